/*
 * What the parts of the qcow2 driver share. docs/block-qcow2.md says how they work together.
 *
 * Format: "Qcow2 Image File Format", the interoperability specification. "Guest" offsets are on the virtual disk, "host"
 * offsets in the image file or the external data file.
 *
 * Locks, outermost first: ops (shared by requests, exclusive for work on the whole image), flushing (one flush at a
 * time), tables_lock (making L2 tables), refs_lock (refcounts), lock (all else in memory; never held during I/O).
 */
#ifndef BACKENDS_BLOCK_QCOW2_H
#define BACKENDS_BLOCK_QCOW2_H

#include "backends/block/drivers.h"
#include "backends/block/driver.h"
#include "backends/block/luks.h"
#include "util/bits.h"

enum {
    QCOW2_MAGIC = 0x514649fb,
    QCOW2_V2_HEADER = 72,
    QCOW2_V3_HEADER = 104,
    QCOW2_MIN_CLUSTER_BITS = 9,
    QCOW2_MAX_CLUSTER_BITS = 21,
    QCOW2_EXTENDED_MIN_CLUSTER_BITS = 14,
    QCOW2_SUBCLUSTERS = 32,
    QCOW2_MAX_NAME = 1023,
    QCOW2_MAX_SNAPSHOTS = 65536,
    QCOW2_MAX_SNAPSHOT_TABLE = 64 << 20, /* bytes */
    QCOW2_MAX_SNAPSHOT_EXTRA = 1024,
    QCOW2_MAX_BITMAPS = 65535,
    QCOW2_MAX_BITMAP_DIRECTORY = 64 << 20,
    QCOW2_MAX_L1 = 32 << 20,       /* bytes; what other implementations take */
    QCOW2_MAX_REFTABLE = 8 << 20,
    QCOW2_PIN_STRIPES = 256,
};

enum { QCOW2_CRYPT_NONE, QCOW2_CRYPT_AES, QCOW2_CRYPT_LUKS };
enum { QCOW2_ZLIB, QCOW2_ZSTD };

enum {
    QCOW2_INCOMPAT_DIRTY = 1 << 0,
    QCOW2_INCOMPAT_CORRUPT = 1 << 1,
    QCOW2_INCOMPAT_DATA_FILE = 1 << 2,
    QCOW2_INCOMPAT_COMPRESSION = 1 << 3,
    QCOW2_INCOMPAT_EXTENDED_L2 = 1 << 4,
    QCOW2_INCOMPAT_KNOWN = 0x1f,
    QCOW2_COMPAT_LAZY = 1 << 0,
    QCOW2_AUTOCLEAR_BITMAPS = 1 << 0,
    QCOW2_AUTOCLEAR_RAW = 1 << 1,
    QCOW2_AUTOCLEAR_KNOWN = 3,
};

#define QCOW2_COPIED (1ull << 63)
#define QCOW2_COMPRESSED (1ull << 62)
#define QCOW2_ZERO 1ull
#define QCOW2_OFFSET 0x00fffffffffffe00ull
#define QCOW2_L1_RESERVED 0x7f000000000001ffull
#define QCOW2_L2_RESERVED 0x3f000000000001feull

/* ---- tables.c: pieces of L2 tables or refcount blocks in memory ---- */

typedef struct TableSlice {
    uint64_t offset; /* in the file */
    unsigned dirty_from, dirty_to; /* bytes; from >= to: clean */
    bool loading, writing, used;
    uint8_t *data; /* as in the file */
} TableSlice;

typedef struct TableCache {
    BlockImage *file;
    GMutex *lock;      /* guards it */
    bool drop_lock;    /* the lock is let go during reads */
    unsigned slice_bits;
    unsigned limit;    /* slices */
    unsigned hand, dirty;
    GPtrArray *slices;
    GHashTable *by_offset;
    GCond loaded;
} TableCache;

/* A piece of a table on its way to the file. */
typedef struct TableWrite {
    uint64_t offset, slice;
    size_t size;
    uint8_t *data;
} TableWrite;

void table_cache_init(TableCache *cache, BlockImage *file, GMutex *lock, bool drop_lock, unsigned slice_bits, uint64_t bytes);
void table_cache_free(TableCache *cache);
/* Lock held for all of these. A pointer is valid until the next call or until the lock is let go. */
uint8_t *table_cache_peek(TableCache *cache, uint64_t offset); /* NULL if it is not in memory */
uint8_t *table_cache_get(TableCache *cache, uint64_t offset, int *error);
void table_cache_dirty(TableCache *cache, uint64_t offset, size_t size);
/* Slices in this range of the file are dropped, changed or not. */
void table_cache_forget(TableCache *cache, uint64_t offset, uint64_t size);
void table_cache_clear(TableCache *cache);
/* The changed pieces, copied; they count as clean and stay in memory until table_writes_done. */
GArray *table_cache_collect(TableCache *cache);
void table_writes_done(TableCache *cache, GArray *writes, bool written); /* frees writes */
int table_writes_perform(TableCache *cache, GArray *writes); /* no lock needed */
bool table_cache_is_full_of_changes(const TableCache *cache);

/* ---- the image ---- */

typedef struct Qcow2Extension {
    uint32_t type, size;
    uint8_t *data;
} Qcow2Extension;

typedef struct Qcow2Snapshot {
    uint64_t l1_offset;
    uint32_t l1_size;
    BlockSnapshot info;
    uint32_t extra_size;
    uint8_t *extra; /* what lies behind the 24 bytes that are known */
} Qcow2Snapshot;

typedef struct Qcow2Bitmap {
    uint64_t table_offset;
    uint32_t table_size, flags, extra_size;
    uint8_t type, granularity_bits;
    char *name;
    uint8_t *extra;
    uint64_t *table;  /* while it records: the table */
    uint8_t *bits;    /* and the bits; NULL otherwise */
    uint64_t bits_size;
} Qcow2Bitmap;

enum { QCOW2_BITMAP_IN_USE = 1, QCOW2_BITMAP_AUTO = 2, QCOW2_BITMAP_EXTRA_OK = 4 };

/* Guest clusters whose mapping is being made. */
typedef struct Qcow2Busy {
    uint64_t from, to;
    struct Qcow2Busy *next;
} Qcow2Busy;

typedef struct Qcow2Free {
    uint64_t offset, clusters;
    bool discard; /* tell the host */
} Qcow2Free;

typedef struct Qcow2 {
    BlockImage image;
    BlockImage *data; /* where guest data lies: image.file or the external data file */
    bool external, raw_external, writable;
    unsigned version, cluster_bits, refcount_order, header_length;
    unsigned l2_bits;         /* entries of a table, as power of two */
    unsigned entry_bits;      /* bytes of an entry: 3, extended 4 */
    unsigned subcluster_bits; /* == cluster_bits if not extended */
    uint64_t cluster_size, size;
    uint32_t crypt_method;
    uint64_t incompatible, compatible, autoclear;
    unsigned compression;
    char *data_file_name;
    uint64_t crypt_offset, crypt_length; /* of the LUKS header */
    void *crypt;              /* crypt.c: the cipher, or NULL */
    GArray *extensions;       /* of Qcow2Extension: unknown ones, kept */
    uint8_t *extra_header;    /* header fields behind those that are known */
    size_t extra_header_size;
    bool lazy, discard_passes;

    GRWLock ops;
    GMutex flushing, tables_lock, refs_lock, lock;
    GCond settled; /* a busy range ended; lock */

    uint64_t l1_offset, *l1; /* host byte order */
    uint32_t l1_size, l1_dirty_from, l1_dirty_to;
    TableCache l2;
    Qcow2Busy *busy;
    GArray *frees;           /* of Qcow2Free: references that are gone in memory */
    GPtrArray *free_batches; /* flushed, wait for requests in flight; flushing */
    int pins[QCOW2_PIN_STRIPES];
    uint64_t pin_idle[QCOW2_PIN_STRIPES], pin_epoch; /* when a stripe was last seen idle */
    bool whole; /* work on the whole image: no new fast requests */

    uint64_t reftable_offset, *reftable;
    uint32_t reftable_clusters, reftable_size, reftable_dirty_from, reftable_dirty_to;
    TableCache refs;
    uint64_t free_hint;    /* no cluster below it is free */
    uint64_t fresh_from;   /* host bytes from here on read as zeros */
    uint64_t known_end;    /* clusters of the file when it was opened; 0 if that says nothing */
    uint64_t packed_at;    /* where the next compressed cluster may begin; 0: nowhere */
    bool dirty_marked;     /* the dirty bit is in the file */
    bool corrupt_seen;     /* and is not yet marked */

    GPtrArray *snapshots; /* of Qcow2Snapshot */
    uint64_t snapshots_offset, snapshots_size;
    GPtrArray *bitmaps; /* of Qcow2Bitmap */
    uint64_t bitmaps_offset, bitmaps_size;
    int recording; /* atomic: bitmaps with the auto flag are in memory and marked in use */
    struct Qcow2Inflated *inflated; /* compress.c: clusters that were read lately */
} Qcow2;

static inline uint64_t qcow2_clusters(const Qcow2 *s, uint64_t bytes)
{
    return (bytes >> s->cluster_bits) + ((bytes & (s->cluster_size - 1)) != 0);
}

static inline uint64_t qcow2_cluster_start(const Qcow2 *s, uint64_t offset)
{
    return offset & -s->cluster_size;
}

/* The unit that is allocated on its own: a cluster or a subcluster. */
static inline uint64_t qcow2_unit(const Qcow2 *s)
{
    return 1ull << s->subcluster_bits;
}

/* Guest bytes that one L2 table maps. */
static inline unsigned qcow2_l1_shift(const Qcow2 *s)
{
    return s->cluster_bits + s->l2_bits;
}

/* Where the machine state of snapshots begins. */
static inline uint64_t qcow2_vm_state_offset(const Qcow2 *s)
{
    return round_up(s->size, 1ull << qcow2_l1_shift(s));
}

/* ---- header.c ---- */
bool qcow2_read_header(Qcow2 *s, bool check, GError **error);
void qcow2_free_header(Qcow2 *s);
int qcow2_write_header(Qcow2 *s); /* all of the first cluster */
/* Single fields, each within one sector; no flush. */
int qcow2_write_features(Qcow2 *s);
int qcow2_write_size(Qcow2 *s);
int qcow2_write_l1_location(Qcow2 *s); /* offset and size at once, as for the others */
int qcow2_write_reftable_location(Qcow2 *s);
int qcow2_write_snapshots_location(Qcow2 *s);
int qcow2_set_dirty(Qcow2 *s, bool dirty); /* the bit, stable at return */
/* Damage was met: says so, and the next flush sets the corrupt bit. Any lock may be held. */
void qcow2_set_corrupt(Qcow2 *s, const char *what, uint64_t offset);
/* Reads a table of big-endian 64-bit numbers. NULL: error is set. */
uint64_t *qcow2_read_table(Qcow2 *s, uint64_t offset, size_t entries, GError **error);
int qcow2_write_table(Qcow2 *s, uint64_t offset, const uint64_t *table, size_t entries);

/* ---- refcount.c ---- */
uint64_t qcow2_refcount_load(const void *block, unsigned order, uint64_t index);
void qcow2_refcount_store(void *block, unsigned order, uint64_t index, uint64_t value);
bool qcow2_refcounts_open(Qcow2 *s, GError **error);
/* All take refs_lock. 0 or errno. */
int qcow2_refcount(Qcow2 *s, uint64_t offset, uint64_t *count);
int qcow2_ref(Qcow2 *s, uint64_t offset, uint64_t clusters, int64_t delta);
int qcow2_set_refcount(Qcow2 *s, uint64_t offset, uint64_t count); /* for repair */
/* One run of at most `want` clusters. *fresh: they read as zeros. */
int qcow2_alloc(Qcow2 *s, uint64_t want, uint64_t *offset, uint64_t *got, bool *fresh);
int qcow2_alloc_exactly(Qcow2 *s, uint64_t clusters, uint64_t *offset);
int qcow2_alloc_packed(Qcow2 *s, size_t bytes, uint64_t *offset);
/* Whether a range has some of the header, active L1, refcount or snapshot tables. */
bool qcow2_is_fixed(const Qcow2 *s, uint64_t offset, uint64_t clusters);
/* References that never were in a table go at once. */
void qcow2_unalloc(Qcow2 *s, uint64_t offset, uint64_t clusters);
void qcow2_unalloc_packed(Qcow2 *s, uint64_t offset, size_t bytes);

/* ---- flush.c ---- */
/* References that were just removed from tables in memory; refcounts follow when the file agrees. lock held. */
void qcow2_free_later(Qcow2 *s, uint64_t offset, uint64_t clusters, bool discard);
void qcow2_free_entry_later(Qcow2 *s, uint64_t entry, bool discard); /* what an L2 entry refers to */
int qcow2_flush(Qcow2 *s);
int qcow2_flush_if_full(Qcow2 *s); /* bounds what is unwritten; no locks held but ops */
/* Ends all requests and writes everything, refcounts of freed clusters too; then the image is ours until _end. */
int qcow2_whole_begin(Qcow2 *s);
void qcow2_whole_end(Qcow2 *s);
void qcow2_pin(Qcow2 *s, uint64_t offset);   /* lock held */
void qcow2_unpin(Qcow2 *s, uint64_t offset); /* takes lock */

/* ---- map.c ---- */
typedef enum Qcow2MapKind { QCOW2_MAP_NONE, QCOW2_MAP_ZERO, QCOW2_MAP_DATA, QCOW2_MAP_COMPRESSED } Qcow2MapKind;
typedef struct Qcow2Extent {
    Qcow2MapKind kind;
    uint64_t size;  /* of the same kind; DATA: one after the other in the file too */
    uint64_t host;  /* DATA */
    uint64_t entry; /* COMPRESSED */
    bool owned;     /* DATA: may be written in place */
} Qcow2Extent;
/* lock held; let go while a table is read (or, if `memory_only`, EAGAIN). */
int qcow2_map(Qcow2 *s, uint64_t offset, uint64_t size, bool memory_only, Qcow2Extent *extent);
/* An L2 entry's two words; lock held, may be let go. The table must exist for store. */
int qcow2_load_entry(Qcow2 *s, uint64_t offset, uint64_t *entry, uint64_t *bitmap);
int qcow2_store_entry(Qcow2 *s, uint64_t offset, uint64_t entry, uint64_t bitmap);
int qcow2_need_l2(Qcow2 *s, uint64_t offset); /* a table of our own for this guest offset; takes locks */
bool qcow2_entry_has_host(const Qcow2 *s, uint64_t entry);
Qcow2MapKind qcow2_unit_kind(const Qcow2 *s, uint64_t entry, uint64_t bitmap, unsigned unit);
bool qcow2_entry_is_sound(const Qcow2 *s, uint64_t entry, uint64_t bitmap);
uint64_t qcow2_packed_offset(const Qcow2 *s, uint64_t entry, uint64_t *size); /* bytes up to the end of its sectors */
int qcow2_grow_l1(Qcow2 *s, uint64_t entries); /* whole image ours */

/* Busy ranges; lock held. */
bool qcow2_is_busy(const Qcow2 *s, uint64_t from, uint64_t to);
void qcow2_busy_begin(Qcow2 *s, Qcow2Busy *busy, uint64_t from, uint64_t to);
void qcow2_busy_end(Qcow2 *s, Qcow2Busy *busy);

/* ---- io.c; offsets may lie in the machine state area ---- */
int qcow2_read_guest(Qcow2 *s, uint64_t offset, const struct iovec *iov, int count);
int qcow2_write_guest(Qcow2 *s, uint64_t offset, const struct iovec *iov, int count);
int qcow2_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
int qcow2_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
int qcow2_write_compressed(BlockImage *image, uint64_t offset, const void *buf, size_t size);
int qcow2_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent);
bool qcow2_resolve(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd, uint64_t *host_offset);
void qcow2_resolved(BlockImage *image, uint64_t offset, uint64_t size, bool is_write);

/* ---- zero.c ---- */
int qcow2_discard(BlockImage *image, uint64_t offset, uint64_t size);
int qcow2_write_zeroes(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap);
int qcow2_drop_range(Qcow2 *s, uint64_t offset, uint64_t size); /* mappings of whole clusters vanish */
int qcow2_make_empty(BlockImage *image);

/* ---- compress.c ---- */
bool qcow2_compression_supported(unsigned type);
/* out has room for `size` - 1 bytes; 0: it does not get smaller. */
size_t qcow2_compress(unsigned type, const void *in, size_t size, void *out);
bool qcow2_expand(unsigned type, const void *in, size_t in_size, void *out, size_t size);
int qcow2_read_compressed(Qcow2 *s, uint64_t entry, uint64_t within, const struct iovec *iov, int count);
void qcow2_forget_inflated(Qcow2 *s);
void qcow2_free_inflated(Qcow2 *s);

/* ---- crypt.c ---- */
bool qcow2_crypt_open(Qcow2 *s, Json *options, unsigned flags, GError **error);
void qcow2_crypt_close(Qcow2 *s);
/* A new image becomes encrypted; what: of LUKS, secret: of the old AES. */
bool qcow2_crypt_create(Qcow2 *s, unsigned method, const LuksNew *what, const char *secret, GError **error);
void qcow2_crypt_info(Qcow2 *s, Json *specific);
/* In place; whole sectors. guest, host: where they lie. */
int qcow2_encrypt(Qcow2 *s, uint64_t guest, uint64_t host, void *buf, size_t size);
int qcow2_decrypt(Qcow2 *s, uint64_t guest, uint64_t host, void *buf, size_t size);

/* ---- snapshot.c ---- */
bool qcow2_snapshots_open(Qcow2 *s, GError **error);
void qcow2_snapshots_close(Qcow2 *s);
int qcow2_rewrite_snapshots(Qcow2 *s); /* the table, in a new place; whole image ours */
GPtrArray *qcow2_snapshot_list(BlockImage *image);
bool qcow2_snapshot_create(BlockImage *image, BlockSnapshot *snapshot, GError **error);
bool qcow2_snapshot_apply(BlockImage *image, const char *id_or_name, GError **error);
bool qcow2_snapshot_delete(BlockImage *image, const char *id_or_name, GError **error);
bool qcow2_snapshot_view(BlockImage *image, const char *id_or_name, GError **error);
int qcow2_vm_state_read(BlockImage *image, uint64_t offset, void *buf, size_t size);
int qcow2_vm_state_write(BlockImage *image, uint64_t offset, const void *buf, size_t size);

/* ---- bitmap.c ---- */
bool qcow2_bitmaps_open(Qcow2 *s, GError **error);
void qcow2_bitmaps_close(Qcow2 *s);
/* Before the first change of the disk: bitmaps that record are marked as in use. */
int qcow2_bitmaps_start(Qcow2 *s);
int qcow2_bitmaps_save(Qcow2 *s);
void qcow2_bitmaps_mark(Qcow2 *s, uint64_t offset, uint64_t size);
void qcow2_bitmaps_info(Qcow2 *s, Json *specific);
void qcow2_bitmap_free(Qcow2Bitmap *bitmap);
/* The bits into memory, as wide as the disk; false: they cannot be had. */
bool qcow2_bitmap_load(Qcow2 *s, Qcow2Bitmap *bitmap);
uint64_t qcow2_bitmap_bytes(const Qcow2 *s, const Qcow2Bitmap *bitmap);
void qcow2_bitmap_mark(Qcow2Bitmap *bitmap, uint64_t offset, uint64_t size);
int qcow2_bitmaps_write_directory(Qcow2 *s); /* in its place: sizes have not changed */
int qcow2_bitmaps_move_directory(Qcow2 *s);  /* to a new one; all written and stable */

/* ---- bitmap-change.c ---- */
bool qcow2_bitmap_change(BlockImage *image, BlockBitmapAction action, const char *name, uint64_t granularity, GError **error);
bool qcow2_bitmap_merge(BlockImage *image, const char *name, BlockImage *source, const char *source_name, GError **error);

/* ---- check.c ---- */
int qcow2_check(BlockImage *image, unsigned fix, BlockCheck *result, GError **error);
bool qcow2_change_refcount_bits(Qcow2 *s, uint64_t bits, GError **error); /* whole image ours */

/* ---- create.c, amend.c, resize.c ---- */
extern const BlockCreateOption qcow2_create_options[];
bool qcow2_create(BlockImage *file, const char *name, uint64_t size, Json *options, GError **error);
bool qcow2_measure(uint64_t size, uint64_t data, Json *options, uint64_t *required, uint64_t *full, GError **error);
bool qcow2_amend(BlockImage *image, Json *options, GError **error);
bool qcow2_change_backing(BlockImage *image, const char *name, const char *format, GError **error);
int qcow2_resize(BlockImage *image, uint64_t size, bool preallocate, GError **error);
int qcow2_preallocate(Qcow2 *s, uint64_t from, uint64_t to);

/* ---- driver.c ---- */
BlockImage *qcow2_open(BlockOpen *how, GError **error);
void qcow2_close(BlockImage *image);

#endif
