/* Memory that a battery keeps. */
#include "hw/nvram/battery.h"

#include "util/error.h"
#include "util/log.h"

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
    state_save_bytes(out, b->dev->id, key, b->bytes, b->size);
}

bool battery_load(Battery *b, GKeyFile *in, const char *key, GError **error)
{
    if (!state_load_bytes(in, b->dev->id, key, b->bytes, b->size, error)) {
        return false;
    }
    battery_changed(b);
    return true;
}
