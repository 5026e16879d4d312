/*
 * Between the block layer and image formats.
 *
 * Images form a graph: a protocol (a host file, a host device, NBD) at the bottom, formats above it,
 * a backing image beside it. All functions run in worker threads and may block; requests on one image may come
 * from several threads at once, so an image locks what it shares. Offsets and sizes are bytes; a request may
 * begin and end at any byte (formats that need whole sectors say so in `align`), and ends within the image's size
 * unless the image is `growable`.
 *
 * A format serves what it stores. For ranges that it has not, its read calls block_image_read_backing, which gives
 * what the backing image has and zeros where there is none or it ends. The core opens `backing` after the format's
 * open has returned, from the `backing_name` that it set, and never while a request runs.
 *
 * Cache modes are the core's: it flushes after writes that must be stable, and host files leave out the host's cache
 * or the flush as `flags` say. A format only keeps its own promise: after `flush` all earlier writes are stable.
 */
#ifndef BACKENDS_BLOCK_DRIVER_H
#define BACKENDS_BLOCK_DRIVER_H

#include "backends/block.h"
#include "util/json.h"

typedef struct BlockImage BlockImage;
typedef struct BlockDriver BlockDriver;

typedef enum BlockOpenFlags {
    BLOCK_OPEN_READONLY = 1 << 0,
    BLOCK_OPEN_NO_BACKING = 1 << 1, /* the backing image is not opened */
    BLOCK_OPEN_CHECK = 1 << 2,      /* for check and repair: dirty and corrupt images open too */
    BLOCK_OPEN_UNSAFE = 1 << 3,     /* cache=unsafe: host files leave out flushes */
    BLOCK_OPEN_WRITETHROUGH = 1 << 4, /* cache=writethrough, directsync */
    BLOCK_OPEN_DIRECT = 1 << 5,     /* cache=none, directsync: O_DIRECT */
    BLOCK_OPEN_DISCARD = 1 << 6,    /* discard=unmap: discards reach the host */
    BLOCK_OPEN_NO_LOCK = 1 << 7,    /* myna-img -U: the image may be in use elsewhere */
    BLOCK_OPEN_SHARE_RW = 1 << 8,   /* file.locking / share-rw: others may write too */
    BLOCK_OPEN_LAZY_REFCOUNTS = 1 << 9,
    BLOCK_OPEN_AUTO_READONLY = 1 << 10, /* what cannot be opened for writing is opened read-only */
    BLOCK_OPEN_NO_IO = 1 << 11,     /* only the header is wanted; encrypted images open without their secret */
} BlockOpenFlags;

/*
 * What open gets. `options` is an object, nested ("file.filename" is a member of "file"); values are of their JSON kind or
 * texts, as the command line gives them. open takes out the members that it understands (block_option_*, or
 * json_remove), and the core refuses the image if any are left. `file` is what the format sits on, taken by a successful
 * open, which sets image->driver and image->file; NULL for protocols. The core sets name, flags and node.
 */
typedef struct BlockOpen {
    const char *name;  /* for messages: the file name as the user gave it */
    BlockImage *file;
    Json *options;
    unsigned flags;
} BlockOpen;

typedef enum BlockStatus {
    BLOCK_DATA = 1 << 0,   /* reads give stored data */
    BLOCK_ZERO = 1 << 1,   /* reads give zeros */
    BLOCK_HERE = 1 << 2,   /* this image has it; unset: it comes from the backing image (or reads as zero) */
    BLOCK_COMPRESSED = 1 << 3,
} BlockStatus;

typedef struct BlockExtent {
    uint64_t size;        /* how far the answer is true, at most what was asked for, at least 1 */
    unsigned status;      /* BlockStatus */
    BlockImage *image;    /* where the bytes lie uncompressed and unencrypted (a protocol image), or NULL */
    uint64_t offset;      /* and at which offset in it */
} BlockExtent;

typedef enum BlockFix { BLOCK_FIX_NONE = 0, BLOCK_FIX_LEAKS = 1, BLOCK_FIX_ERRORS = 2 } BlockFix;

/* What check found; counts as `myna-img check` prints them. */
typedef struct BlockCheck {
    uint64_t corruptions, leaks, check_errors;       /* still there */
    uint64_t corruptions_fixed, leaks_fixed;
    uint64_t image_end_offset;
    uint64_t total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
} BlockCheck;

typedef struct BlockSnapshot {
    char *id, *name;
    uint64_t vm_state_size, disk_size;
    int64_t date_sec, date_nsec, vm_clock_ns;
    uint64_t icount; /* UINT64_MAX: unknown */
} BlockSnapshot;

typedef enum BlockBitmapAction {
    BLOCK_BITMAP_ADD, BLOCK_BITMAP_REMOVE, BLOCK_BITMAP_CLEAR, BLOCK_BITMAP_ENABLE, BLOCK_BITMAP_DISABLE,
} BlockBitmapAction;

/* One option of create or amend, as `-o help` lists it. */
typedef struct BlockCreateOption {
    const char *name;
    enum { BLOCK_OPT_STRING, BLOCK_OPT_SIZE, BLOCK_OPT_BOOL, BLOCK_OPT_INT } kind;
    const char *initial; /* text of the default, or NULL */
    const char *help;
    bool amend; /* may be changed later */
} BlockCreateOption;

struct BlockDriver {
    const char *name;            /* as format= spells it */
    const char *const *protocols; /* NULL-terminated prefixes that select a protocol driver ("nbd"), or NULL */
    bool is_protocol;
    bool is_plain;               /* no metadata of its own: data that is stable needs no flush of the format */
    bool supports_backing;       /* its images may have a backing image */
    /* 0 to 100: how sure it is that a file that begins so is of its format. */
    int (*probe)(const uint8_t *head, size_t size, const char *name);
    BlockImage *(*open)(BlockOpen *how, GError **error);
    /* Writes what it must, frees the image. The core closes file and backing after it, and frees the names. */
    void (*close)(BlockImage *image);
    uint64_t (*size)(BlockImage *image); /* bytes of the virtual disk */
    /* Changes between read-only and writable (BLOCK_OPEN_READONLY in flags), for commit. No request runs. The file
     * below has been reopened already. NULL: for formats nothing but the flag changes; protocols refuse. */
    bool (*reopen)(BlockImage *image, unsigned flags, GError **error);

    /* Of protocols for devices of the host; each may be NULL. */
    void (*limits)(BlockImage *image, BlockLimits *out); /* what the device says of itself */
    bool (*inserted)(BlockImage *image);                 /* whether there is a medium; size is 0 without */
    void (*eject)(BlockImage *image);

    /* Return 0 or an errno value. */
    int (*read)(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
    int (*write)(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
    int (*flush)(BlockImage *image); /* all that was written before is on stable storage, metadata in order */
    /* May be NULL: ENOTSUP for what is. may_unmap: zeros need not stay allocated. */
    int (*discard)(BlockImage *image, uint64_t offset, uint64_t size);
    int (*write_zeroes)(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap);
    int (*write_compressed)(BlockImage *image, uint64_t offset, const void *buf, size_t size); /* one cluster or the end */
    int (*status)(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent); /* NULL: all data */
    /*
     * The fast path, called in the submitting thread: never blocks. If all of the range can be transferred by plain
     * host I/O with nothing to do before or after, says where. For a write the range must already be allocated and
     * not shared. Calls to resolve are balanced by resolved (may be NULL) when the transfer is over, so that a
     * format can keep the clusters from being freed meanwhile.
     */
    bool (*resolve)(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd, uint64_t *host_offset);
    void (*resolved)(BlockImage *image, uint64_t offset, uint64_t size, bool is_write);

    /* Images as wholes. NULL: not supported. */
    const BlockCreateOption *create_options; /* ends with a NULL name */
    /* Makes the image on `file`, an empty protocol image that stays the caller's (protocols: file is NULL, and they make the
     * file `name`). options: name to text, by create_options, checked for unknown names by the core. */
    bool (*create)(BlockImage *file, const char *name, uint64_t size, Json *options, GError **error);
    int (*resize)(BlockImage *image, uint64_t size, bool preallocate, GError **error); /* image grows or shrinks */
    int (*check)(BlockImage *image, unsigned fix, BlockCheck *result, GError **error);
    bool (*amend)(BlockImage *image, Json *options, GError **error);
    /* New backing file name and format in the header; NULL name: none. */
    bool (*change_backing)(BlockImage *image, const char *name, const char *format, GError **error);
    int (*make_empty)(BlockImage *image); /* after a commit: everything comes from the backing image again */
    /* Bytes that a new image of the size would take: as it is filled, and at most. */
    bool (*measure)(uint64_t size, uint64_t data, Json *options, uint64_t *required, uint64_t *full, GError **error);
    /* Members of "format-specific".data; a "dirty-flag" among them is shown as the image's own. */
    void (*info)(BlockImage *image, Json *specific);
    uint64_t (*actual_size)(BlockImage *image); /* bytes on the host, for images of several files; NULL: those of `file` */
    GPtrArray *(*snapshot_list)(BlockImage *image); /* of BlockSnapshot *, which go with the list; caller frees */
    bool (*snapshot_create)(BlockImage *image, BlockSnapshot *snapshot, GError **error); /* fills in id */
    bool (*snapshot_apply)(BlockImage *image, const char *id_or_name, GError **error);
    bool (*snapshot_delete)(BlockImage *image, const char *id_or_name, GError **error);
    /* From now on a read-only image shows the snapshot, also its size. */
    bool (*snapshot_view)(BlockImage *image, const char *id_or_name, GError **error);
    /* Persistent dirty bitmaps of an image that nobody else uses now. granularity: bytes for ADD, 0: the format's choice. */
    bool (*bitmap_change)(BlockImage *image, BlockBitmapAction action, const char *name, uint64_t granularity, GError **error);
    /* What the bitmap of source (of this driver, may be image itself) has is marked in name's, too. */
    bool (*bitmap_merge)(BlockImage *image, const char *name, BlockImage *source, const char *source_name, GError **error);
    /* The machine's state, kept beside a snapshot. */
    int (*vm_state_read)(BlockImage *image, uint64_t offset, void *buf, size_t size);
    int (*vm_state_write)(BlockImage *image, uint64_t offset, const void *buf, size_t size);
};

struct BlockImage {
    const BlockDriver *driver;
    BlockImage *file;    /* what the format sits on; NULL for protocols */
    BlockImage *backing; /* what unallocated ranges show; NULL: zeros */
    char *name;          /* file name as given, for messages */
    char *backing_name, *backing_format; /* from the header, set by open with g_strdup; the format may be NULL */
    unsigned flags;      /* BlockOpenFlags; the core sets them, open may add READONLY */
    uint32_t align;      /* requests are cut and padded to this by the core; 0 or 1: none */
    uint32_t mem_align;  /* of a protocol: buffers of its resolved transfers, and their parts' sizes; 0 or 1: any */
    uint32_t cluster_size; /* 0: none */
    bool encrypted, zero_init; /* zero_init: a new image of it reads as zeros */
    bool compressed_only; /* new clusters are written by write_compressed alone */
    bool growable;       /* a protocol whose files grow by writing past their end */
    bool probed;         /* nobody named the format */
    struct BlockNode *node; /* the core's own */
};

extern const BlockDriver *const block_drivers[]; /* backends/block/drivers.def; ends with NULL */
const BlockDriver *block_driver_find(const char *name);

/*
 * Opens a graph. name: a file name, "nbd://...", "json:{...}", or NULL with everything in options. format NULL:
 * probed. options may be NULL; it is not changed.
 */
BlockImage *block_image_open(const char *name, const char *format, const Json *options, unsigned flags, GError **error);
void block_image_close(BlockImage *image); /* drops a reference; the last one closes it and everything below it */
BlockImage *block_image_ref(BlockImage *image); /* returns image */
BlockImage *block_image_find(const char *node_name); /* among all that are open; not referenced; NULL if none */
const char *block_image_node_name(const BlockImage *image); /* "#block12" if nobody named it */
/* Changes an image and all files below it (not its backing image) to writable or back. No request runs. */
bool block_image_reopen(BlockImage *image, bool writable, GError **error);
/* A backing or extent file's name as the image called image_name means it: relative to its folder. Caller frees. */
char *block_name_relative_to(const char *image_name, const char *name);
/* Creates an image as `myna-img create` does; options: object of texts, may be NULL. */
bool block_image_create(const char *name, const char *format, uint64_t size, const Json *options, GError **error);

/* I/O on an image, for formats on their file and for tools. Any alignment. 0 or errno; past the end reads give zeros. */
int block_image_read(BlockImage *image, uint64_t offset, void *buf, size_t size);
int block_image_write(BlockImage *image, uint64_t offset, const void *buf, size_t size);
int block_image_readv(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
int block_image_writev(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
/* What the backing image has; zeros beyond its end, or if there is none. */
int block_image_read_backing(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
/* After it, all that was written before is stable. Formats flush their file by it. */
int block_image_flush(BlockImage *image);
int block_image_discard(BlockImage *image, uint64_t offset, uint64_t size);
int block_image_write_zeroes(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap);
uint64_t block_image_size(BlockImage *image);
int block_image_resize(BlockImage *image, uint64_t size, GError **error);
/* Writes what the image has into its backing image, which is writable and large enough, and flushes it. 0 or errno. */
int block_image_commit(BlockImage *image, GError **error);
/* Status through the whole chain (base: stop there; NULL: to the end) or of this image alone. */
int block_image_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent);
int block_image_status_above(BlockImage *image, BlockImage *base, uint64_t offset, uint64_t size, BlockExtent *extent);

/* The fast path of an image below, for drivers that pass it on; see BlockDriver. */
bool block_image_resolve(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd, uint64_t *host_offset);
void block_image_resolved(BlockImage *image, uint64_t offset, uint64_t size, bool is_write);

/*
 * Take an option out of BlockOpen.options (or create's). They leave *value alone if it is absent; false: it is wrong, and
 * the error says how. Texts and JSON values of the kind are both fine.
 */
bool block_option_string(Json *options, const char *name, char **value, GError **error); /* new; frees the old one */
bool block_option_bool(Json *options, const char *name, bool *value, GError **error);
bool block_option_u64(Json *options, const char *name, uint64_t *value, GError **error);
bool block_option_size(Json *options, const char *name, uint64_t *value, GError **error); /* bytes; "64k" */

/* Vectors. */
size_t block_iov_size(const struct iovec *iov, int count);
/* The part [skip, skip + size) of a vector; out has room for count elements; returns how many it has. */
int block_iov_part(struct iovec *out, const struct iovec *iov, int count, size_t skip, size_t size);
void block_iov_fill(const struct iovec *iov, int count, int byte);
void block_iov_gather(const struct iovec *iov, int count, void *to);
void block_iov_scatter(const struct iovec *iov, int count, const void *from);

/* An image whose writes go to a temporary file that vanishes at the end. Takes `below`, also on failure. */
BlockImage *block_overlay_new(BlockImage *below, GError **error);

/* All of a transfer, however the host cuts it; past the end of the file reads give zeros. 0 or errno. */
int block_file_io(int fd, uint64_t offset, void *buf, size_t size, bool is_write);

#endif
