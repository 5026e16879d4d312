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

/* -drive options after parsing; index/bus/unit place it. */
typedef struct BlockOptions {
    char *id, *node_name;
    char *file;      /* NULL: no medium */
    char *format;    /* "raw", or NULL: probe */
    char *interface; /* "ide", "floppy", "none", "scsi", "virtio", "pflash" */
    int bus, unit, index; /* -1: unset */
    bool cdrom, readonly, snapshot;
    char *cache, *serial;
} BlockOptions;

/* A drive with or without a medium. */
BlockBackend *block_new(const BlockOptions *options, GError **error);
BlockBackend *block_find(const char *id);
BlockBackend *block_find_drive(const char *interface, int bus, int unit); /* NULL if none */
void block_for_each(void (*fn)(BlockBackend *blk, void *opaque), void *opaque);
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

/* Removable media. The device hears of eject requests and changes. */
typedef struct BlockMediaOps {
    void (*changed)(void *opaque, bool loaded); /* the medium came or went */
    void (*eject_request)(void *opaque, bool force);
    bool (*tray_open)(void *opaque);
    bool (*medium_locked)(void *opaque);
} BlockMediaOps;
void block_set_media_ops(BlockBackend *blk, const BlockMediaOps *ops, void *opaque);
bool block_change(BlockBackend *blk, const char *file, const char *format, bool readonly,
                  GError **error);
bool block_eject(BlockBackend *blk, bool force, GError **error);

#endif
