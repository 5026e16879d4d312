/* Memory that a battery keeps. */
#include "hw/nvram/battery.h"

#include "util/error.h"
#include "util/log.h"

#include <string.h>

bool battery_init(Battery *b, Device *dev, uint8_t *bytes, uint32_t size, BlockBackend *blk, GError **error)
{
    *b = (Battery){ .dev = dev, .bytes = bytes, .size = size, .blk = blk };
    if (blk && block_size(blk) != size) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "nvram '%s': its image has %" G_GUINT64_FORMAT " bytes, not %u", dev->id,
                    block_size(blk), size);
        return false;
    }
    return !blk || block_read_sync(blk, 0, bytes, size, error);
}

/* ---- the image: one request at a time, of everything ---- */

static void written(void *opaque, int error)
{
    Battery *b = opaque;

    b->writing = false;
    if (error) {
        log_warn("nvram '%s': cannot write its image: %s", b->dev->id, g_strerror(error));
    } else if (b->dirty) {
        battery_changed(b);
    }
}

void battery_changed(Battery *b)
{
    b->dirty = b->writing;
    if (b->blk && !b->writing && !block_readonly(b->blk)) {
        b->writing = true;
        b->iov = (struct iovec){ b->bytes, b->size };
        block_write(b->blk, 0, &b->iov, 1, 0, written, b);
    }
}

/* ---- snapshots ---- */

void battery_save(const Battery *b, GKeyFile *out, const char *key)
{
    g_autofree char *text = g_base64_encode(b->bytes, b->size);

    g_key_file_set_string(out, b->dev->id, key, text);
}

bool battery_load(Battery *b, GKeyFile *in, const char *key, GError **error)
{
    g_autofree char *text = g_key_file_get_string(in, b->dev->id, key, NULL);
    gsize size = 0;
    g_autofree uint8_t *bytes = text ? g_base64_decode(text, &size) : NULL;

    if (size != b->size) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad contents of '%s'", b->dev->id);
        return false;
    }
    memcpy(b->bytes, bytes, size);
    battery_changed(b);
    return true;
}
