/* The protocol at the bottom of most images: files of the host. */
#include "backends/block/drivers.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct FileImage {
    BlockImage image;
    int fd;
    _Atomic uint64_t size; /* known without asking the host: nobody else changes it */
} FileImage;

static const char *const file_protocols[] = { "file", NULL };

int block_file_io(int fd, uint64_t offset, void *buf, size_t size, bool is_write)
{
    char *at = buf;

    while (size) {
        ssize_t n = is_write ? pwrite(fd, at, size, offset) : pread(fd, at, size, offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        if (n == 0) {
            if (is_write) {
                return ENOSPC;
            }
            memset(at, 0, size);
            return 0;
        }
        at += n;
        offset += n;
        size -= n;
    }
    return 0;
}

static int open_host_file(BlockOpen *how, const char *path, GError **error)
{
    bool readonly = how->flags & BLOCK_OPEN_READONLY;
    int fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);

    if (fd < 0 && !readonly && how->flags & BLOCK_OPEN_AUTO_READONLY &&
        (errno == EACCES || errno == EROFS || errno == EPERM)) {
        how->flags |= BLOCK_OPEN_READONLY;
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open '%s': %s", path, g_strerror(errno));
    }
    return fd;
}

static BlockImage *file_open(BlockOpen *how, GError **error)
{
    g_autofree char *path = NULL, *locking = NULL, *aio = NULL;
    struct stat st;
    FileImage *file;
    int fd;

    if (!block_option_string(how->options, "filename", &path, error) ||
        !block_option_string(how->options, "locking", &locking, error) ||
        !block_option_string(how->options, "aio", &aio, error)) {
        return NULL;
    }
    if (!path) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "driver 'file' needs filename=");
        return NULL;
    }
    fd = open_host_file(how, path, error);
    if (fd < 0) {
        return NULL;
    }
    if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot use '%s' as a drive: %s", path,
                    S_ISDIR(st.st_mode) ? "it is a folder" : g_strerror(errno));
        close(fd);
        return NULL;
    }
    file = g_new0(FileImage, 1);
    file->image.driver = &block_file;
    file->image.flags = how->flags;
    file->image.growable = S_ISREG(st.st_mode);
    file->image.zero_init = S_ISREG(st.st_mode);
    file->fd = fd;
    file->size = S_ISREG(st.st_mode) ? st.st_size : MAX(0, lseek(fd, 0, SEEK_END));
    return &file->image;
}

static void file_close(BlockImage *image)
{
    close(((FileImage *)image)->fd);
    g_free(image);
}

static uint64_t file_size(BlockImage *image)
{
    return ((FileImage *)image)->size;
}

static void grow_to(FileImage *file, uint64_t end)
{
    uint64_t old = file->size;

    while (old < end && !__atomic_compare_exchange_n((uint64_t *)&file->size, &old, end, false, __ATOMIC_SEQ_CST,
                                                      __ATOMIC_SEQ_CST)) {
    }
}

static int transfer(FileImage *file, uint64_t offset, const struct iovec *iov, int count, bool is_write)
{
    while (count) {
        int n = MIN(count, IOV_MAX);
        size_t want = block_iov_size(iov, n);
        ssize_t got = is_write ? pwritev(file->fd, iov, n, offset) : preadv(file->fd, iov, n, offset);

        if (got < 0 && errno != EINTR) {
            return errno;
        }
        if (got != want) { /* short: piece by piece, which finds out why */
            for (int i = 0; i < n; i++) {
                int error = block_file_io(file->fd, offset, iov[i].iov_base, iov[i].iov_len, is_write);

                if (error) {
                    return error;
                }
                offset += iov[i].iov_len;
            }
        } else {
            offset += want;
        }
        iov += n;
        count -= n;
    }
    if (is_write) {
        grow_to(file, offset);
    }
    return 0;
}

static int file_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    return transfer((FileImage *)image, offset, iov, count, false);
}

static int file_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    return transfer((FileImage *)image, offset, iov, count, true);
}

static int file_flush(BlockImage *image)
{
    if (image->flags & (BLOCK_OPEN_UNSAFE | BLOCK_OPEN_READONLY)) {
        return 0;
    }
    return fdatasync(((FileImage *)image)->fd) < 0 ? errno : 0;
}

static int file_discard(BlockImage *image, uint64_t offset, uint64_t size)
{
    FileImage *file = (FileImage *)image;

    return fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size) < 0 ? errno : 0;
}

static int file_write_zeroes(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap)
{
    FileImage *file = (FileImage *)image;
    uint64_t end = file->size;

    if (!image->growable) {
        return ENOTSUP;
    }
    if (offset + size > end) { /* what is appended reads as zeros; unlike ftruncate, this never cuts off a write beside it */
        if (fallocate(file->fd, 0, offset + size - 1, 1) < 0) {
            return ENOTSUP;
        }
        grow_to(file, offset + size);
        size = offset < end ? end - offset : 0;
    }
    if (!size || (may_unmap && file_discard(image, offset, size) == 0)) {
        return 0;
    }
    return fallocate(file->fd, FALLOC_FL_ZERO_RANGE, offset, size) < 0 ? ENOTSUP : 0;
}

static int file_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent)
{
    FileImage *file = (FileImage *)image;
    off_t data = lseek(file->fd, offset, SEEK_DATA), hole;

    extent->image = image;
    extent->offset = offset;
    extent->status = BLOCK_HERE | BLOCK_DATA;
    if (data == (off_t)offset) {
        hole = lseek(file->fd, offset, SEEK_HOLE);
        extent->size = hole > (off_t)offset ? MIN(size, (uint64_t)hole - offset) : size;
    } else if (data > (off_t)offset || (data < 0 && errno == ENXIO)) {
        extent->status = BLOCK_HERE | BLOCK_ZERO;
        extent->size = data < 0 ? size : MIN(size, (uint64_t)data - offset);
    }
    return 0;
}

static bool file_resolve(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd, uint64_t *host_offset)
{
    FileImage *file = (FileImage *)image;
    uint64_t end = file->size;

    if (offset > end || size > end - offset) {
        return false; /* the end of the file needs care */
    }
    *fd = file->fd;
    *host_offset = offset;
    return true;
}

static const BlockCreateOption file_create_options[] = { { NULL } };

static bool file_create(BlockImage *below, const char *name, uint64_t size, Json *options, GError **error)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || (size && ftruncate(fd, size) < 0)) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot create '%s': %s", name, g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    close(fd);
    return true;
}

static int file_resize(BlockImage *image, uint64_t size, bool preallocate, GError **error)
{
    FileImage *file = (FileImage *)image;
    uint64_t old = file->size;
    int failed = 0;

    if (!image->growable) {
        failed = ENOTSUP;
    } else if (ftruncate(file->fd, size) < 0) {
        failed = errno;
    } else if (preallocate && size > old) {
        failed = posix_fallocate(file->fd, old, size - old);
    }
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot resize '%s': %s", image->name, g_strerror(failed));
    } else {
        file->size = size;
    }
    return failed;
}

static bool file_reopen(BlockImage *image, unsigned flags, GError **error)
{
    FileImage *file = (FileImage *)image;
    g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", file->fd);
    int fd = open(self, (flags & BLOCK_OPEN_READONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC);

    if (fd < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot reopen '%s': %s", image->name, g_strerror(errno));
        return false;
    }
    close(file->fd);
    file->fd = fd;
    return true;
}

const BlockDriver block_file = {
    .name = "file",
    .protocols = file_protocols,
    .is_protocol = true,
    .open = file_open,
    .close = file_close,
    .size = file_size,
    .reopen = file_reopen,
    .read = file_read,
    .write = file_write,
    .flush = file_flush,
    .discard = file_discard,
    .write_zeroes = file_write_zeroes,
    .status = file_status,
    .resolve = file_resolve,
    .create_options = file_create_options,
    .create = file_create,
    .resize = file_resize,
};
