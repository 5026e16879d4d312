/* What drivers of host files and host devices share. */
#ifndef BACKENDS_BLOCK_FILE_H
#define BACKENDS_BLOCK_FILE_H

#include "backends/block/drivers.h"

typedef struct FileImage {
    BlockImage image;
    int fd, lock_fd;       /* lock_fd: -1 if nothing is locked */
    int buffered_fd;       /* with O_DIRECT: without it, for what does not fill whole units; else -1 */
    uint32_t unit;         /* with O_DIRECT: what offsets and sizes are multiples of; else 1 */
    _Atomic uint64_t size; /* known without asking the host: nobody else changes it */
    GMutex lock;           /* with O_DIRECT: whole units against parts of them */
    GCond changed;
    int direct_writes;
    bool partial_write;
} FileImage;

/* Opens the path that the options name ("filename", "locking"). driver's name is for messages. */
FileImage *file_image_open(BlockOpen *how, const BlockDriver *driver, int extra, GError **error);
void file_image_close(BlockImage *image);
int file_image_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
int file_image_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count);
int file_image_flush(BlockImage *image);
uint64_t file_image_size(BlockImage *image);
bool file_image_resolve(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd,
                        uint64_t *host_offset);
void file_image_resolved(BlockImage *image, uint64_t offset, uint64_t size, bool is_write);
bool file_image_reopen(BlockImage *image, unsigned flags, GError **error);

/* file-lock.c */
typedef enum FileLocking { LOCKING_AUTO, LOCKING_ON, LOCKING_OFF } FileLocking;
/* Locks the file for the use that flags tell of; again: changes it. */
bool file_lock(int fd, const char *path, unsigned flags, FileLocking locking, GError **error);

#endif
