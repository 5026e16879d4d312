/* Compressed clusters of qcow2: zlib (RFC 1951, a window of 4 KiB) and zstd (RFC 8878). */
#include "backends/block/qcow2/qcow2.h"
#include "config.h"

#include <errno.h>
#include <zlib.h>
#ifdef CONFIG_ZSTD
#include <zstd.h>
#endif

enum { WINDOW_BITS = 12, RECENT = 4 };

/* Clusters that were inflated last: a guest reads them in small pieces. */
typedef struct Qcow2Inflated {
    GMutex lock;
    struct {
        uint64_t entry; /* 0: nothing */
        uint8_t *data;
    } recent[RECENT];
    unsigned next;
} Qcow2Inflated;

bool qcow2_compression_supported(unsigned type)
{
#ifdef CONFIG_ZSTD
    return type <= QCOW2_ZSTD;
#else
    return type == QCOW2_ZLIB;
#endif
}

static size_t deflate_cluster(const void *in, size_t size, void *out)
{
    z_stream z = { .next_in = (Bytef *)in, .avail_in = size, .next_out = out, .avail_out = size - 1 };
    size_t packed;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -WINDOW_BITS, 9, Z_DEFAULT_STRATEGY) != Z_OK) {
        return 0;
    }
    packed = deflate(&z, Z_FINISH) == Z_STREAM_END ? size - 1 - z.avail_out : 0;
    deflateEnd(&z);
    return packed;
}

static bool inflate_cluster(const void *in, size_t in_size, void *out, size_t size)
{
    z_stream z = { .next_in = (Bytef *)in, .avail_in = in_size, .next_out = out, .avail_out = size };
    int result;

    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) {
        return false;
    }
    result = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return z.avail_out == 0 && (result == Z_STREAM_END || result == Z_BUF_ERROR);
}

size_t qcow2_compress(unsigned type, const void *in, size_t size, void *out)
{
#ifdef CONFIG_ZSTD
    if (type == QCOW2_ZSTD) {
        static __thread ZSTD_CCtx *context; /* large; one per worker */
        size_t packed;

        if (!context) {
            context = ZSTD_createCCtx();
        }
        packed = ZSTD_compressCCtx(context, out, size - 1, in, size, ZSTD_CLEVEL_DEFAULT);
        return ZSTD_isError(packed) ? 0 : packed;
    }
#endif
    return deflate_cluster(in, size, out);
}

/* Stops when a cluster is there: what follows in the last sector belongs to others. */
bool qcow2_expand(unsigned type, const void *in, size_t in_size, void *out, size_t size)
{
#ifdef CONFIG_ZSTD
    if (type == QCOW2_ZSTD) {
        static __thread ZSTD_DCtx *context;
        ZSTD_inBuffer from = { in, in_size, 0 };
        ZSTD_outBuffer to = { out, size, 0 };
        size_t result = 1;

        if (!context) {
            context = ZSTD_createDCtx();
        }
        ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
        while (to.pos < to.size) {
            size_t before = from.pos + to.pos;

            result = ZSTD_decompressStream(context, &to, &from);
            if (ZSTD_isError(result) || from.pos + to.pos == before) {
                return false;
            }
        }
        return true;
    }
#endif
    return inflate_cluster(in, in_size, out, size);
}

/* ---- those that were read lately ---- */

static Qcow2Inflated *inflated(Qcow2 *s)
{
    if (!g_atomic_pointer_get(&s->inflated)) {
        Qcow2Inflated *made = g_new0(Qcow2Inflated, 1);

        g_mutex_init(&made->lock);
        if (!g_atomic_pointer_compare_and_exchange(&s->inflated, NULL, made)) {
            g_mutex_clear(&made->lock);
            g_free(made);
        }
    }
    return s->inflated;
}

void qcow2_forget_inflated(Qcow2 *s)
{
    Qcow2Inflated *cache = g_atomic_pointer_get(&s->inflated);

    if (!cache) {
        return;
    }
    g_mutex_lock(&cache->lock);
    for (unsigned i = 0; i < RECENT; i++) {
        cache->recent[i].entry = 0;
    }
    g_mutex_unlock(&cache->lock);
}

void qcow2_free_inflated(Qcow2 *s)
{
    for (unsigned i = 0; s->inflated && i < RECENT; i++) {
        g_free(s->inflated->recent[i].data);
    }
    if (s->inflated) {
        g_mutex_clear(&s->inflated->lock);
    }
    g_clear_pointer(&s->inflated, g_free);
}

/* Takes data. */
static void keep(Qcow2 *s, uint64_t entry, uint8_t *data)
{
    Qcow2Inflated *cache = inflated(s);

    g_mutex_lock(&cache->lock);
    g_free(cache->recent[cache->next].data);
    cache->recent[cache->next].entry = entry;
    cache->recent[cache->next].data = data;
    cache->next = (cache->next + 1) % RECENT;
    g_mutex_unlock(&cache->lock);
}

static bool copy_kept(Qcow2 *s, uint64_t entry, uint64_t within, const struct iovec *iov, int count)
{
    Qcow2Inflated *cache = inflated(s);
    bool found = false;

    g_mutex_lock(&cache->lock);
    for (unsigned i = 0; i < RECENT && !found; i++) {
        if (cache->recent[i].entry == entry) {
            block_iov_scatter(iov, count, cache->recent[i].data + within);
            found = true;
        }
    }
    g_mutex_unlock(&cache->lock);
    return found;
}

int qcow2_read_compressed(Qcow2 *s, uint64_t entry, uint64_t within, const struct iovec *iov, int count)
{
    g_autofree uint8_t *packed = NULL, *data = NULL;
    uint64_t size, offset = qcow2_packed_offset(s, entry, &size);
    int error;

    if (copy_kept(s, entry, within, iov, count)) {
        return 0;
    }
    packed = g_malloc(size); /* at most two clusters: the entry's field is no wider */
    data = g_malloc(s->cluster_size);
    error = block_image_read(s->image.file, offset, packed, size);
    if (error) {
        return error;
    }
    if (!qcow2_expand(s->compression, packed, size, data, s->cluster_size)) {
        return EIO;
    }
    block_iov_scatter(iov, count, data + within);
    if (within + block_iov_size(iov, count) < s->cluster_size) {
        keep(s, entry, g_steal_pointer(&data));
    }
    return 0;
}
