/* Making qcow2 images, and how large they would be. */
#include "backends/block/qcow2/qcow2.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>

const BlockCreateOption qcow2_create_options[] = {
    { "backing_file", BLOCK_OPT_STRING, NULL, "File name of a base image", true },
    { "backing_fmt", BLOCK_OPT_STRING, NULL, "Image format of the base image", true },
    { "cluster_size", BLOCK_OPT_SIZE, "65536", "qcow2 cluster size", false },
    { "compat", BLOCK_OPT_STRING, "1.1", "Compatibility level (v2 [0.10] or v3 [1.1])", true },
    { "compression_type", BLOCK_OPT_STRING, "zlib", "Compression method used for image cluster compression", false },
    { "data_file", BLOCK_OPT_STRING, NULL, "File name of an external data file", true },
    { "data_file_raw", BLOCK_OPT_BOOL, NULL, "The external data file must stay valid as a raw image", true },
    { "encrypt.cipher-alg", BLOCK_OPT_STRING, NULL, "Name of encryption cipher algorithm", false },
    { "encrypt.cipher-mode", BLOCK_OPT_STRING, NULL, "Name of encryption cipher mode", false },
    { "encrypt.format", BLOCK_OPT_STRING, NULL, "Encrypt the image, format choices: 'aes', 'luks'", false },
    { "encrypt.hash-alg", BLOCK_OPT_STRING, NULL, "Name of encryption hash algorithm", false },
    { "encrypt.iter-time", BLOCK_OPT_INT, NULL, "Time to spend in PBKDF in milliseconds", false },
    { "encrypt.ivgen-alg", BLOCK_OPT_STRING, NULL, "Name of IV generator algorithm", false },
    { "encrypt.ivgen-hash-alg", BLOCK_OPT_STRING, NULL, "Name of IV generator hash algorithm", false },
    { "encrypt.key-secret", BLOCK_OPT_STRING, NULL, "ID of secret providing qcow AES key or LUKS passphrase", false },
    { "encryption", BLOCK_OPT_BOOL, NULL, "Encrypt the image with format 'aes'. (Old spelling of encrypt.format=aes)", false },
    { "extended_l2", BLOCK_OPT_BOOL, "off", "Extended L2 tables", false },
    { "lazy_refcounts", BLOCK_OPT_BOOL, "off", "Postpone refcount updates", true },
    { "preallocation", BLOCK_OPT_STRING, "off", "Preallocation mode (allowed values: off, metadata, falloc, full)", false },
    { "refcount_bits", BLOCK_OPT_INT, "16", "Width of a reference count entry in bits", true },
    { NULL },
};

typedef enum Preallocation { PREALLOC_OFF, PREALLOC_METADATA, PREALLOC_FALLOC, PREALLOC_FULL } Preallocation;

typedef struct Wish {
    char *backing, *backing_format, *data_file;
    uint64_t cluster_size, refcount_bits;
    unsigned version, compression;
    bool raw, extended, lazy;
    Preallocation preallocation;
    unsigned crypt;
    LuksNew *luks;
    char *secret; /* of the old AES */
} Wish;

static void free_wish(Wish *wish)
{
    g_free(wish->backing);
    g_free(wish->backing_format);
    g_free(wish->data_file);
    g_free(wish->secret);
    luks_new_free(wish->luks);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Wish, free_wish)

#define refuse(...) (g_set_error(error, VM_ERROR, VM_ERROR_USER, __VA_ARGS__), false)

/* Index of the word in a NULL-terminated list; names count twice: "0.10", "v2", "1.1", "v3". */
static bool choose(Json *options, const char *name, const char *const *words, unsigned *chosen, GError **error)
{
    g_autofree char *text = NULL;

    if (!block_option_string(options, name, &text, error)) {
        return false;
    }
    for (unsigned i = 0; text && words[i]; i++) {
        if (!strcmp(text, words[i])) {
            *chosen = i;
            return true;
        }
    }
    return !text || refuse("%s cannot be '%s'", name, text);
}

static bool read_encryption(Json *options, Wish *wish, GError **error)
{
    static const char *const formats[] = { "", "aes", "luks", NULL };
    bool old = false;

    wish->crypt = QCOW2_CRYPT_NONE;
    if (!choose(options, "encrypt.format", formats, &wish->crypt, error) ||
        !block_option_bool(options, "encryption", &old, error)) {
        return false;
    }
    if (old && wish->crypt == QCOW2_CRYPT_NONE) {
        wish->crypt = QCOW2_CRYPT_AES;
    }
    if (wish->crypt == QCOW2_CRYPT_LUKS) {
        wish->luks = luks_new_parse(options, "encrypt.", error);
        return wish->luks;
    }
    return block_option_string(options, "encrypt.key-secret", &wish->secret, error);
}

static bool read_wish(Json *options, Wish *wish, GError **error)
{
    static const char *const versions[] = { "0.10", "v2", "1.1", "v3", NULL };
    static const char *const types[] = { "zlib", "zstd", NULL };
    static const char *const modes[] = { "off", "metadata", "falloc", "full", NULL };
    unsigned version = 2, mode = PREALLOC_OFF;

    wish->cluster_size = 65536;
    wish->refcount_bits = 16;
    if (!block_option_string(options, "backing_file", &wish->backing, error) ||
        !block_option_string(options, "backing_fmt", &wish->backing_format, error) ||
        !block_option_string(options, "data_file", &wish->data_file, error) ||
        !block_option_size(options, "cluster_size", &wish->cluster_size, error) ||
        !block_option_u64(options, "refcount_bits", &wish->refcount_bits, error) ||
        !block_option_bool(options, "data_file_raw", &wish->raw, error) ||
        !block_option_bool(options, "extended_l2", &wish->extended, error) ||
        !block_option_bool(options, "lazy_refcounts", &wish->lazy, error) ||
        !choose(options, "compat", versions, &version, error) ||
        !choose(options, "compression_type", types, &wish->compression, error) ||
        !choose(options, "preallocation", modes, &mode, error)) {
        return false;
    }
    wish->version = version < 2 ? 2 : 3;
    wish->preallocation = mode;
    return read_encryption(options, wish, error);
}

static bool check_wish(Wish *wish, GError **error)
{
    uint64_t cluster = wish->cluster_size, bits = wish->refcount_bits;

    if (cluster & (cluster - 1) || cluster < 1u << QCOW2_MIN_CLUSTER_BITS || cluster > 1u << QCOW2_MAX_CLUSTER_BITS) {
        return refuse("cluster size must be a power of two between 512 and 2048k");
    }
    if (!bits || bits & (bits - 1) || bits > 64) {
        return refuse("refcount width must be a power of two and may not exceed 64 bits");
    }
    if (wish->version < 3 && (bits != 16 || wish->lazy || wish->extended || wish->data_file || wish->compression)) {
        return refuse("%s needs compatibility level 1.1 (compat=1.1)",
                      bits != 16 ? "a refcount width other than 16 bits" : wish->lazy ? "lazy_refcounts" :
                      wish->extended ? "extended_l2" : wish->data_file ? "data_file" : "a compression type other than zlib");
    }
    if (wish->extended && cluster < 1u << QCOW2_EXTENDED_MIN_CLUSTER_BITS) {
        return refuse("extended L2 entries are only supported with cluster sizes of at least %u bytes",
                      1u << QCOW2_EXTENDED_MIN_CLUSTER_BITS);
    }
    if (wish->crypt == QCOW2_CRYPT_LUKS && wish->version < 3) {
        return refuse("encrypt.format=luks needs compatibility level 1.1 (compat=1.1)");
    }
    if (wish->crypt && (wish->preallocation != PREALLOC_OFF || wish->data_file)) {
        return refuse("an encrypted image can have neither preallocation nor a data file: what lies there would not read as zeros");
    }
    if (wish->raw && (!wish->data_file || wish->backing)) {
        return refuse("data_file_raw needs data_file, and excludes backing_file");
    }
    if (wish->backing && wish->preallocation != PREALLOC_OFF && !wish->extended) {
        return refuse("backing file and preallocation can only be used at the same time if extended_l2 is enabled");
    }
    if (!qcow2_compression_supported(wish->compression)) {
        return refuse("this program was built without zstd");
    }
    if (wish->backing && strlen(wish->backing) > QCOW2_MAX_NAME) {
        return refuse("the backing file name is too long");
    }
    if (wish->raw && wish->preallocation == PREALLOC_OFF) {
        wish->preallocation = PREALLOC_METADATA; /* so that no change of the mapping is ever needed */
    }
    return true;
}

/* ---- making ---- */

/* An image of no size: header, refcount table, one refcount block. Everything else is allocated by the driver itself. */
static int write_bare(BlockImage *file, const Wish *wish)
{
    Qcow2 s = { .image = { .file = file, .backing_name = wish->backing, .backing_format = wish->backing_format } };
    g_autofree uint8_t *block = g_malloc0(wish->cluster_size);
    uint64_t table;
    int error;

    s.version = wish->version;
    s.cluster_bits = __builtin_ctzll(wish->cluster_size);
    s.cluster_size = wish->cluster_size;
    s.refcount_order = __builtin_ctzll(wish->refcount_bits);
    s.compression = wish->compression;
    s.external = wish->data_file;
    s.data_file_name = wish->data_file;
    s.incompatible = (wish->data_file ? QCOW2_INCOMPAT_DATA_FILE : 0) |
                     (wish->compression ? QCOW2_INCOMPAT_COMPRESSION : 0) |
                     (wish->extended ? QCOW2_INCOMPAT_EXTENDED_L2 : 0);
    s.compatible = wish->lazy ? QCOW2_COMPAT_LAZY : 0;
    s.autoclear = wish->raw ? QCOW2_AUTOCLEAR_RAW : 0;
    s.reftable_offset = wish->cluster_size;
    s.reftable_clusters = 1;
    s.extensions = g_array_new(FALSE, FALSE, sizeof(Qcow2Extension));
    s.snapshots = g_ptr_array_new();
    for (unsigned i = 0; i < 3; i++) {
        qcow2_refcount_store(block, s.refcount_order, i, 1);
    }
    error = block_image_write(file, 2 * wish->cluster_size, block, wish->cluster_size);
    if (!error) {
        memset(block, 0, wish->cluster_size);
        table = 2 * wish->cluster_size;
        store_be64(block, table);
        error = block_image_write(file, wish->cluster_size, block, wish->cluster_size);
    }
    if (!error) {
        error = qcow2_write_header(&s);
    }
    g_array_unref(s.extensions);
    g_ptr_array_unref(s.snapshots);
    return error;
}

static int write_plain_zeros(BlockImage *image, uint64_t from, uint64_t to)
{
    g_autofree uint8_t *zeros = g_malloc0(1 << 20);
    int error = 0;

    for (; from < to && !error; from += MIN(to - from, 1 << 20)) {
        error = block_image_write(image, from, zeros, MIN(to - from, 1 << 20));
    }
    return error;
}

static int fill_host(BlockImage *image, uint64_t from, uint64_t to, Preallocation mode)
{
    return mode == PREALLOC_FULL ? write_plain_zeros(image, from, to) : block_image_write_zeroes(image, from, to - from, false);
}

/* lock held for the table. A run of guest clusters of one L2 table gets host clusters. */
static int link_empty(Qcow2 *s, uint64_t guest, uint64_t clusters, uint64_t host)
{
    int error = 0;

    g_mutex_lock(&s->lock);
    for (uint64_t i = 0; i < clusters && !error; i++) {
        error = qcow2_store_entry(s, guest + (i << s->cluster_bits), (host + (i << s->cluster_bits)) | QCOW2_COPIED,
                                  s->entry_bits == 4 && !s->image.backing_name ? UINT32_MAX : 0);
    }
    g_mutex_unlock(&s->lock);
    return error;
}

static int preallocate(Qcow2 *s, uint64_t from, uint64_t to, Preallocation mode)
{
    uint64_t table_guest = 1ull << qcow2_l1_shift(s), host, got, end = 0;
    bool fresh;
    int error = 0;

    for (from = round_up(from, s->cluster_size); from < to && !error; from += got << s->cluster_bits) {
        uint64_t want = qcow2_clusters(s, MIN(to, (from & -table_guest) + table_guest) - from);

        error = qcow2_need_l2(s, from);
        if (!error && s->external) {
            host = from;
            got = want;
        } else if (!error) {
            error = qcow2_alloc(s, want, &host, &got, &fresh);
            end = MAX(end, host + (got << s->cluster_bits));
        }
        if (!error && (mode > PREALLOC_METADATA || (!s->external && !fresh))) {
            uint64_t host_end = s->external ? MIN(host + (got << s->cluster_bits), to) : host + (got << s->cluster_bits);

            error = fill_host(s->data, host, host_end, mode);
        }
        if (!error) {
            error = link_empty(s, from, got, host);
        }
        if (!error) {
            error = qcow2_flush_if_full(s);
        }
    }
    if (!error && mode == PREALLOC_METADATA && end > block_image_size(s->image.file)) {
        uint8_t zero = 0;

        error = block_image_write(s->image.file, end - 1, &zero, 1); /* the file has all clusters that are in use */
    }
    return error;
}

int qcow2_preallocate(Qcow2 *s, uint64_t from, uint64_t to)
{
    return preallocate(s, from, to, PREALLOC_METADATA);
}

static int give_size(Qcow2 *s, uint64_t size, Preallocation mode)
{
    uint64_t entries = round_up(size, 1ull << qcow2_l1_shift(s)) >> qcow2_l1_shift(s);
    int error = qcow2_grow_l1(s, entries);

    if (!error) {
        s->size = size;
        error = qcow2_write_size(s);
    }
    if (!error && mode != PREALLOC_OFF) {
        error = preallocate(s, 0, size, mode);
    }
    return error ? error : qcow2_flush(s);
}

bool qcow2_create(BlockImage *file, const char *name, uint64_t size, Json *options, GError **error)
{
    g_auto(Wish) wish = { 0 };
    g_autoptr(Json) none = json_object();
    BlockOpen how = { name, file, none, 0 };
    BlockImage *image;
    bool encrypted;
    int failed;

    if (!read_wish(options, &wish, error) || !check_wish(&wish, error)) {
        return false;
    }
    size = round_up(size, 512);
    if (size > QCOW2_MAX_L1 / 8 * (wish.cluster_size >> (wish.extended ? 4 : 3)) * wish.cluster_size) {
        return refuse("the image is too large for its cluster size: the disk can have at most %" PRIu64 " bytes",
                      QCOW2_MAX_L1 / 8 * (wish.cluster_size >> (wish.extended ? 4 : 3)) * wish.cluster_size);
    }
    if (wish.data_file) {
        g_autofree char *data_name = block_name_relative_to(name, wish.data_file);

        if (!block_image_create(data_name, "raw", size, NULL, error)) {
            return false;
        }
    }
    failed = write_bare(file, &wish);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write '%s': %s", name, g_strerror(failed));
        return false;
    }
    image = qcow2_open(&how, error);
    if (!image) {
        return false;
    }
    encrypted = !wish.crypt || qcow2_crypt_create((Qcow2 *)image, wish.crypt, wish.luks, wish.secret, error);
    failed = encrypted ? give_size((Qcow2 *)image, size, wish.preallocation) : 0;
    g_clear_pointer(&image->backing_name, g_free);
    g_clear_pointer(&image->backing_format, g_free);
    qcow2_close(image);
    if (!encrypted) {
        return false;
    }
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write '%s': %s", name, g_strerror(failed));
    }
    return !failed;
}

/* ---- measuring ---- */

static uint64_t up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit;
}

/* Bytes of refcount blocks and table for so many clusters, counting themselves. */
static uint64_t refcount_bytes(uint64_t clusters, uint64_t cluster_size, uint64_t refcount_bits)
{
    uint64_t blocks = 0, table = 0, last;

    do {
        last = blocks + table;
        blocks = up((clusters + last) * refcount_bits, cluster_size * 8);
        table = up(blocks * 8, cluster_size);
    } while (blocks + table != last);
    return last * cluster_size;
}

bool qcow2_measure(uint64_t size, uint64_t data, Json *options, uint64_t *required, uint64_t *full, GError **error)
{
    g_auto(Wish) wish = { 0 };
    uint64_t cluster, l2_entries, meta, whole, limit;

    if (!read_wish(options, &wish, error) || !check_wish(&wish, error)) {
        return false;
    }
    cluster = wish.cluster_size;
    whole = up(size, cluster) * cluster;
    l2_entries = cluster / (wish.extended ? 16 : 8);
    limit = QCOW2_MAX_L1 / 8 * l2_entries * cluster;
    if (size > limit) {
        return refuse("the image is too large for its cluster size: the disk can have at most %" PRIu64 " bytes", limit);
    }
    meta = cluster + up(up(size, cluster), l2_entries) * cluster; /* header, L2 tables */
    meta += up(up(up(size, cluster), l2_entries) * 8, cluster) * cluster;
    meta += wish.luks ? up(luks_new_size(wish.luks), cluster) * cluster : 0;
    meta += refcount_bytes((meta + whole) / cluster, cluster, wish.refcount_bits);
    *full = meta + whole;
    *required = meta + (wish.preallocation != PREALLOC_OFF ? whole : MIN(up(data, cluster) * cluster, whole));
    return true;
}
