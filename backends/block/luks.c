/* Disks that are LUKS volumes: a header, and the encrypted disk behind it. */
#include "backends/block/luks.h"

#include "backends/block/drivers.h"
#include "util/error.h"

#include <errno.h>
#include <string.h>

#define STEP (1u << 20) /* of what is encrypted in one go */

typedef struct LuksImage {
    BlockImage image;
    Luks *luks;
    uint64_t payload;
} LuksImage;

static int luks_probe(const uint8_t *head, size_t size, const char *name)
{
    return size >= 8 && !memcmp(head, "LUKS\xba\xbe\x00\x01", 8) ? 100 : 0;
}

static int header_io(void *opaque, uint64_t offset, void *buf, size_t size, bool is_write)
{
    return is_write ? block_image_write(opaque, offset, buf, size) : block_image_read(opaque, offset, buf, size);
}

static BlockImage *luks_image_open(BlockOpen *how, GError **error)
{
    g_autofree char *secret = NULL;
    LuksImage *l;
    Luks *luks;

    if (!block_option_string(how->options, "key-secret", &secret, error)) {
        return NULL;
    }
    luks = luks_open(header_io, how->file, secret, !(how->flags & BLOCK_OPEN_NO_IO), error);
    if (!luks) {
        g_prefix_error(error, "'%s': ", how->name);
        return NULL;
    }
    if (luks_payload_offset(luks) > block_image_size(how->file)) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s': the disk begins behind the end of the file", how->name);
        luks_free(luks);
        return NULL;
    }
    l = g_new0(LuksImage, 1);
    l->image.driver = &block_luks;
    l->image.file = how->file;
    l->image.align = BLOCK_SECTOR;
    l->image.encrypted = true;
    l->luks = luks;
    l->payload = luks_payload_offset(luks);
    return &l->image;
}

static void luks_image_close(BlockImage *image)
{
    luks_free(((LuksImage *)image)->luks);
    g_free(image);
}

static uint64_t luks_image_size(BlockImage *image)
{
    return (block_image_size(image->file) - ((LuksImage *)image)->payload) / BLOCK_SECTOR * BLOCK_SECTOR;
}

static int luks_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    LuksImage *l = (LuksImage *)image;
    size_t size = block_iov_size(iov, count), room = MIN(size, STEP);
    g_autofree uint8_t *buf = g_try_malloc(room);
    g_autofree struct iovec *part = g_new(struct iovec, count);
    int error = buf ? 0 : ENOMEM;

    for (size_t done = 0; done < size && !error; done += room) {
        size_t n = MIN(room, size - done);

        error = block_image_read(image->file, l->payload + offset + done, buf, n);
        error = error ? error : luks_decrypt(l->luks, (offset + done) / BLOCK_SECTOR, buf, n);
        if (!error) {
            block_iov_scatter(part, block_iov_part(part, iov, count, done, n), buf);
        }
    }
    return error;
}

static int luks_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    LuksImage *l = (LuksImage *)image;
    size_t size = block_iov_size(iov, count), room = MIN(size, STEP);
    g_autofree uint8_t *buf = g_try_malloc(room);
    g_autofree struct iovec *part = g_new(struct iovec, count);
    int error = buf ? 0 : ENOMEM;

    for (size_t done = 0; done < size && !error; done += room) {
        size_t n = MIN(room, size - done);

        block_iov_gather(part, block_iov_part(part, iov, count, done, n), buf);
        error = luks_encrypt(l->luks, (offset + done) / BLOCK_SECTOR, buf, n);
        error = error ? error : block_image_write(image->file, l->payload + offset + done, buf, n);
    }
    return error;
}

static int luks_flush(BlockImage *image)
{
    return block_image_flush(image->file);
}

static void luks_image_info(BlockImage *image, Json *specific)
{
    luks_info(((LuksImage *)image)->luks, specific);
}

static int luks_resize(BlockImage *image, uint64_t size, bool preallocate, GError **error)
{
    return block_image_resize(image->file, ((LuksImage *)image)->payload + size, error);
}

static const BlockCreateOption luks_create_options[] = {
    { "cipher-alg", BLOCK_OPT_STRING, NULL, "Name of encryption cipher algorithm" },
    { "cipher-mode", BLOCK_OPT_STRING, NULL, "Name of encryption cipher mode" },
    { "hash-alg", BLOCK_OPT_STRING, NULL, "Name of encryption hash algorithm" },
    { "iter-time", BLOCK_OPT_INT, NULL, "Time to spend in PBKDF in milliseconds" },
    { "ivgen-alg", BLOCK_OPT_STRING, NULL, "Name of IV generator algorithm" },
    { "ivgen-hash-alg", BLOCK_OPT_STRING, NULL, "Name of IV generator hash algorithm" },
    { "key-secret", BLOCK_OPT_STRING, NULL, "ID of the secret that provides the keyslot passphrase" },
    { NULL },
};

static bool luks_image_create(BlockImage *file, const char *name, uint64_t size, Json *options, GError **error)
{
    LuksNew *what = luks_new_parse(options, "", error);
    Luks *luks = NULL;
    bool ok = what;

    if (ok && file->growable) {
        ok = !block_image_resize(file, luks_new_size(what) + size, error);
    }
    if (ok) {
        luks = luks_create(what, header_io, file, error);
        ok = luks;
    }
    luks_free(luks);
    luks_new_free(what);
    return ok;
}

const BlockDriver block_luks = {
    .name = "luks",
    .probe = luks_probe,
    .open = luks_image_open,
    .close = luks_image_close,
    .size = luks_image_size,
    .read = luks_read,
    .write = luks_write,
    .flush = luks_flush,
    .create_options = luks_create_options,
    .create = luks_image_create,
    .resize = luks_resize,
    .info = luks_image_info,
};
