/* Block backends: disks, CD-ROMs and floppies of the host, asynchronous. See docs/block.md. */
#ifndef BACKENDS_BLOCK_H
#define BACKENDS_BLOCK_H

#include "core/iothread.h"
#include "util/json.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define BLOCK_SECTOR 512

typedef struct BlockBackend BlockBackend;

typedef enum BlockKind { BLOCK_DISK, BLOCK_CDROM, BLOCK_FLOPPY } BlockKind;

typedef enum BlockWriteFlags {
    BLOCK_FUA = 1 << 0,       /* done means on stable storage */
    BLOCK_MAY_UNMAP = 1 << 1, /* write_zeroes: the range need not stay allocated */
} BlockWriteFlags;

/*
 * Runs in the main loop under the machine lock, or in the backend's I/O thread without it; never from within the
 * call that submitted. error is 0 or an errno value.
 */
typedef void BlockDone(void *opaque, int error);

/* Limits on average, per second; 0: none. Bursts: up to max per second for max_length seconds. */
typedef struct BlockThrottle {
    struct BlockThrottleLimit {
        uint64_t average, max, max_length;
    } iops_total, iops_read, iops_write, bps_total, bps_read, bps_write;
    uint64_t iops_size; /* larger requests count as several of this many bytes; 0: every request is one */
} BlockThrottle;

/* -drive options after parsing; index/bus/unit place it. Texts that are NULL mean the default. */
typedef struct BlockOptions {
    char *id, *node_name;
    char *file;      /* NULL: no medium */
    char *format;    /* "raw", or NULL: probe */
    char *interface; /* "ide", "floppy", "none", "scsi", "virtio", "pflash" */
    int bus, unit, index; /* -1: unset */
    bool cdrom, readonly, snapshot, copy_on_read;
    char *cache; /* "none", "writeback", "writethrough", "directsync", "unsafe" */
    char *serial;
    Json *image; /* further options of the image ("backing.file.filename"), or NULL */
    char *cache_writeback; /* "on", "off": over what cache says */
    bool is_node; /* made around a block node */
    char *aio;   /* "threads", "native", "io_uring" */
    char *detect_zeroes; /* "off", "on", "unmap" */
    char *rerror, *werror; /* "report", "ignore", "stop", "enospc" */
    BlockThrottle throttle;
    char *throttle_group; /* name of a group whose members share the limits */
} BlockOptions;

/* A drive with or without a medium. */
BlockBackend *block_new(const BlockOptions *options, GError **error);
BlockBackend *block_find(const char *id);
BlockBackend *block_find_drive(const char *interface, int bus, int unit); /* NULL if none; it has a place now */
bool block_is_claimed(const BlockBackend *blk); /* block_find_drive has found it */
void block_for_each(void (*fn)(BlockBackend *blk, void *opaque), void *opaque);
/* A drive by its id, or a new one around the block node of that name. */
BlockBackend *block_find_or_attach(const char *name, GError **error);
void block_delete(BlockBackend *blk); /* no device uses it */
/* Block nodes of -blockdev and blockdev-add. options: an object, nested or with dotted keys. */
bool block_node_add(const Json *options, GError **error);
bool block_node_del(const char *node_name, GError **error);
/* Flushes and closes everything; at exit. */
void block_close_all(void);

const char *block_id(const BlockBackend *blk);
const char *block_filename(const BlockBackend *blk); /* NULL if no medium */
const char *block_format(const BlockBackend *blk);
const BlockOptions *block_options(const BlockBackend *blk);
bool block_is_cdrom(const BlockBackend *blk);
bool block_inserted(const BlockBackend *blk);
bool block_readonly(const BlockBackend *blk);
uint64_t block_size(const BlockBackend *blk); /* bytes, 0 if no medium */

/*
 * Offsets and sizes in bytes, multiples of 512. The vector and its bytes are borrowed until done. Called under the
 * machine lock, or in the backend's I/O thread.
 *
 * rerror=/werror= are the block layer's own work: with "stop" or "enospc" it stops the machine, sends BLOCK_IO_ERROR and
 * submits the request again when the machine continues, so a device only sees errors that it shall report, and none
 * for "ignore". Throttling, detect-zeroes and discard=ignore likewise happen below this interface.
 */
void block_read(BlockBackend *blk, uint64_t offset, const struct iovec *iov, int count,
                BlockDone *done, void *opaque);
void block_write(BlockBackend *blk, uint64_t offset, const struct iovec *iov, int count, unsigned flags,
                 BlockDone *done, void *opaque);
void block_write_zeroes(BlockBackend *blk, uint64_t offset, uint64_t size, unsigned flags, BlockDone *done,
                        void *opaque);
void block_flush(BlockBackend *blk, BlockDone *done, void *opaque);
void block_discard(BlockBackend *blk, uint64_t offset, uint64_t size, BlockDone *done, void *opaque);
/*
 * A device that is about to submit several requests may say so; what is submitted between the two may wait for the
 * end. They nest.
 */
void block_plug(BlockBackend *blk);
void block_unplug(BlockBackend *blk);

/*
 * Completions of this backend run in the thread, without the machine lock (NULL: in the main loop, under it). Drained
 * first. From then on requests are submitted from that thread.
 */
void block_set_iothread(BlockBackend *blk, IoThread *thread);

/* What a device reports of the medium. */
typedef struct BlockLimits {
    uint32_t logical_block, physical_block; /* bytes; from the host medium where known, else 512 */
    uint32_t min_io, opt_io;                /* bytes, 0 unknown */
    uint32_t discard_granularity;           /* bytes, 0: discards do nothing */
    bool write_cache;                       /* writeback: a flush is needed */
} BlockLimits;
void block_limits(BlockBackend *blk, BlockLimits *out);
void block_set_write_cache(BlockBackend *blk, bool on); /* guest switches its cache: off means each write is FUA */

/* Waits until all requests of this backend are done; runs their callbacks. */
void block_drain(BlockBackend *blk);
/* Blocking, for loaders and small media. */
bool block_read_sync(BlockBackend *blk, uint64_t offset, void *buf, uint64_t size, GError **error);
bool block_write_sync(BlockBackend *blk, uint64_t offset, const void *buf, uint64_t size,
                      GError **error);

/* "BLOCK_IO_ERROR" and its like; fn takes the data. Called in the main loop under the machine lock. */
typedef void BlockEventFn(const char *name, Json *data);
void block_set_event_fn(BlockEventFn *fn);

bool block_set_throttle(BlockBackend *blk, const BlockThrottle *limits, const char *group, GError **error);
const BlockThrottle *block_throttle(const BlockBackend *blk, const char **group); /* limits in force */

typedef struct BlockStats {
    uint64_t read_bytes, read_ops, read_ns;
    uint64_t write_bytes, write_ops, write_ns;
    uint64_t flush_ops, flush_ns, unmap_bytes, unmap_ops, unmap_ns;
    uint64_t failed_reads, failed_writes, failed_flushes, failed_unmaps;
    uint64_t invalid_reads, invalid_writes;
    uint64_t highest_offset; /* end of the furthest write */
    int64_t last_access_ns;  /* CLOCK_REAL; 0: none yet */
} BlockStats;
void block_stats(const BlockBackend *blk, BlockStats *out);

/* Removable media. The device hears of eject requests and changes. */
typedef struct BlockMediaOps {
    void (*changed)(void *opaque, bool loaded); /* the medium came or went */
    void (*eject_request)(void *opaque, bool force);
    bool (*tray_open)(void *opaque);
    bool (*medium_locked)(void *opaque);
    void (*resized)(void *opaque); /* block_resize; may be NULL, also for disks that are not removable */
} BlockMediaOps;
void block_set_media_ops(BlockBackend *blk, const BlockMediaOps *ops, void *opaque);
bool block_change(BlockBackend *blk, const char *file, const char *format, bool readonly,
                  GError **error);
bool block_medium_locked(const BlockBackend *blk);
const char *block_io_status(const BlockBackend *blk); /* "ok", "failed", "nospace": why requests wait for `cont` */
bool block_eject(BlockBackend *blk, bool force, GError **error);

/* ---- images of a running machine; requests wait meanwhile ---- */

bool block_resize(BlockBackend *blk, uint64_t size, GError **error);
/* Writes what the image has into its backing image (-snapshot: the image itself), which shows through afterwards. */
bool block_commit(BlockBackend *blk, GError **error);
/* From now on writes go to a new image over this one. existing: the file is there already. */
bool block_snapshot(BlockBackend *blk, const char *file, const char *format, const char *node_name, bool existing,
                    GError **error);

/* For monitors: objects with the members of QMP's BlockDeviceInfo; the caller frees. */
Json *block_describe(const BlockBackend *blk); /* it has a medium */
Json *block_describe_nodes(void);              /* an array */

#endif
