/* The protocol at the bottom of most images: files of the host. */
#include "backends/block/file.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---- opening ---- */

static int access_mode(unsigned flags)
{
    return (flags & BLOCK_OPEN_READONLY ? O_RDONLY : O_RDWR) | (flags & BLOCK_OPEN_DIRECT ? O_DIRECT : 0) | O_CLOEXEC;
}

static int open_host_file(BlockOpen *how, const char *path, int extra, GError **error)
{
    int fd = open(path, access_mode(how->flags) | extra);

    if (fd < 0 && !(how->flags & BLOCK_OPEN_READONLY) && how->flags & BLOCK_OPEN_AUTO_READONLY &&
        (errno == EACCES || errno == EROFS || errno == EPERM)) {
        how->flags |= BLOCK_OPEN_READONLY;
        fd = open(path, access_mode(how->flags) | extra);
    }
    if (fd < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open '%s': %s%s", path, g_strerror(errno),
                    how->flags & BLOCK_OPEN_DIRECT && errno == EINVAL
                        ? " (its file system has no direct I/O: cache=none and directsync need it)" : "");
    }
    return fd;
}

static bool parse_locking(Json *options, FileLocking *out, GError **error)
{
    static const char *const names[] = { "auto", "on", "off" };
    g_autofree char *text = NULL;

    *out = LOCKING_AUTO;
    if (!block_option_string(options, "locking", &text, error)) {
        return false;
    }
    for (size_t i = 0; text && i < G_N_ELEMENTS(names); i++) {
        if (g_str_equal(text, names[i])) {
            *out = i;
            return true;
        }
    }
    if (text) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "locking=%s is none of auto, on, off", text);
    }
    return !text;
}

/* What the host wants direct transfers to be multiples of. */
static uint32_t direct_unit(int fd)
{
    uint32_t unit = 512;
    g_autofree void *all = g_malloc(8192);
    void *buf = (void *)(((uintptr_t)all + 4095) & ~UINT64_C(4095));

    while (unit < 4096 && pread(fd, buf, unit, 0) < 0 && errno == EINVAL) {
        unit *= 2;
    }
    return unit;
}

static bool prepare_direct(FileImage *file, const char *path, GError **error)
{
    file->unit = direct_unit(file->fd);
    file->image.mem_align = file->unit;
    file->buffered_fd = open(path, access_mode(file->image.flags & ~BLOCK_OPEN_DIRECT));
    if (file->buffered_fd < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open '%s': %s", path, g_strerror(errno));
        return false;
    }
    return true;
}

static bool prepare(FileImage *file, const char *path, FileLocking locking, GError **error)
{
    struct stat st;

    if (fstat(file->fd, &st) < 0 || S_ISDIR(st.st_mode)) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot use '%s' as a drive: %s", path,
                    S_ISDIR(st.st_mode) ? "it is a folder" : g_strerror(errno));
        return false;
    }
    if ((S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) && locking != LOCKING_OFF && !(file->image.flags & BLOCK_OPEN_NO_LOCK)) {
        file->lock_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (file->lock_fd >= 0 && !file_lock(file->lock_fd, path, file->image.flags, locking, error)) {
            return false;
        }
    }
    file->image.growable = S_ISREG(st.st_mode);
    file->image.zero_init = S_ISREG(st.st_mode);
    file->size = S_ISREG(st.st_mode) ? st.st_size : MAX(0, lseek(file->fd, 0, SEEK_END));
    return !(file->image.flags & BLOCK_OPEN_DIRECT) || prepare_direct(file, path, error);
}

FileImage *file_image_open(BlockOpen *how, const BlockDriver *driver, int extra, GError **error)
{
    g_autofree char *path = NULL, *aio = NULL;
    FileLocking locking;
    FileImage *file;
    int fd;

    if (!block_option_string(how->options, "filename", &path, error) ||
        !block_option_string(how->options, "aio", &aio, error) || !parse_locking(how->options, &locking, error)) {
        return NULL;
    }
    if (!path || !*path) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "driver '%s' needs filename=", driver->name);
        return NULL;
    }
    fd = open_host_file(how, path, extra, error);
    if (fd < 0) {
        return NULL;
    }
    file = g_new0(FileImage, 1);
    file->image.driver = driver;
    file->image.flags = how->flags;
    file->fd = fd;
    file->lock_fd = file->buffered_fd = -1;
    file->unit = 1;
    g_mutex_init(&file->lock);
    g_cond_init(&file->changed);
    if (!prepare(file, path, locking, error)) {
        file_image_close(&file->image);
        return NULL;
    }
    return file;
}

static BlockImage *file_open(BlockOpen *how, GError **error)
{
    FileImage *file = file_image_open(how, &block_file, 0, error);

    return file ? &file->image : NULL;
}

void file_image_close(BlockImage *image)
{
    FileImage *file = (FileImage *)image;
    const int fds[] = { file->fd, file->buffered_fd, file->lock_fd };

    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    g_mutex_clear(&file->lock);
    g_cond_clear(&file->changed);
    g_free(file);
}

uint64_t file_image_size(BlockImage *image)
{
    return ((FileImage *)image)->size;
}

bool file_image_reopen(BlockImage *image, unsigned flags, GError **error)
{
    FileImage *file = (FileImage *)image;
    g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", file->fd);
    int fd = -1, buffered = -1;

    if (file->lock_fd >= 0 && !file_lock(file->lock_fd, image->name, flags, LOCKING_AUTO, error)) {
        return false;
    }
    fd = open(self, access_mode(flags));
    buffered = fd >= 0 && file->buffered_fd >= 0 ? open(self, access_mode(flags & ~BLOCK_OPEN_DIRECT)) : -1;
    if (fd < 0 || (file->buffered_fd >= 0 && buffered < 0)) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot reopen '%s': %s", image->name, g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    close(file->fd);
    file->fd = fd;
    if (buffered >= 0) {
        close(file->buffered_fd);
        file->buffered_fd = buffered;
    }
    return true;
}

/* ---- transfers ---- */

static void grow_to(FileImage *file, uint64_t end)
{
    uint64_t old = file->size;

    while (old < end && !atomic_compare_exchange_weak(&file->size, &old, end)) {
    }
}

static int transfer(int fd, uint64_t offset, const struct iovec *iov, int count, bool is_write)
{
    while (count) {
        int n = MIN(count, IOV_MAX);
        ssize_t got = is_write ? pwritev(fd, iov, n, offset) : preadv(fd, iov, n, offset);

        if (got < 0 && errno != EINTR) {
            return errno;
        }
        for (int i = 0; i < n; i++) {
            size_t done = got > 0 ? MIN((size_t)got, iov[i].iov_len) : 0;
            /* Short: the rest piece by piece, which finds out why. */
            int error = done < iov[i].iov_len ? block_file_io(fd, offset + done, (char *)iov[i].iov_base + done,
                                                              iov[i].iov_len - done, is_write)
                                              : 0;

            if (error) {
                return error;
            }
            offset += iov[i].iov_len;
            got -= done;
        }
        iov += n;
        count -= n;
    }
    return 0;
}

/* ---- transfers past the host's cache ---- */

static bool is_whole(const FileImage *file, uint64_t offset, uint64_t size)
{
    return offset % file->unit == 0 && size % file->unit == 0;
}

static bool is_placed_well(const FileImage *file, const struct iovec *iov, int count)
{
    for (int i = 0; i < count; i++) {
        if ((uintptr_t)iov[i].iov_base % file->unit || iov[i].iov_len % file->unit) {
            return false;
        }
    }
    return true;
}

/* Waits while part of a unit is written, unless it would block and may not. */
static bool begin_direct_write(FileImage *file, bool may_wait)
{
    bool good;

    g_mutex_lock(&file->lock);
    while (file->partial_write && may_wait) {
        g_cond_wait(&file->changed, &file->lock);
    }
    good = !file->partial_write;
    file->direct_writes += good;
    g_mutex_unlock(&file->lock);
    return good;
}

static void end_direct_write(FileImage *file)
{
    g_mutex_lock(&file->lock);
    if (--file->direct_writes == 0) {
        g_cond_broadcast(&file->changed);
    }
    g_mutex_unlock(&file->lock);
}

/* Part of a unit goes through the host's cache and from there to the disk at once, alone. */
static int write_partial(FileImage *file, uint64_t offset, const struct iovec *iov, int count)
{
    int error;

    g_mutex_lock(&file->lock);
    while (file->direct_writes || file->partial_write) {
        g_cond_wait(&file->changed, &file->lock);
    }
    file->partial_write = true;
    g_mutex_unlock(&file->lock);
    error = transfer(file->buffered_fd, offset, iov, count, true);
    if (!error && fdatasync(file->buffered_fd) < 0) {
        error = errno;
    }
    g_mutex_lock(&file->lock);
    file->partial_write = false;
    g_cond_broadcast(&file->changed);
    g_mutex_unlock(&file->lock);
    return error;
}

static int direct_bounced(FileImage *file, uint64_t offset, const struct iovec *iov, int count, bool is_write)
{
    size_t size = block_iov_size(iov, count);
    void *buf = NULL;
    struct iovec one = { NULL, size };
    int error = posix_memalign(&buf, 4096, MAX(size, 1));

    if (error) {
        return error;
    }
    one.iov_base = buf;
    if (is_write) {
        block_iov_gather(iov, count, buf);
    }
    error = transfer(file->fd, offset, &one, 1, is_write);
    if (!is_write && !error) {
        block_iov_scatter(iov, count, buf);
    }
    free(buf);
    return error;
}

static int direct_io(FileImage *file, uint64_t offset, const struct iovec *iov, int count, bool is_write)
{
    int error;

    if (!is_whole(file, offset, block_iov_size(iov, count))) {
        return is_write ? write_partial(file, offset, iov, count)
                        : transfer(file->buffered_fd, offset, iov, count, false);
    }
    if (is_write) {
        begin_direct_write(file, true);
    }
    error = is_placed_well(file, iov, count) ? transfer(file->fd, offset, iov, count, is_write)
                                             : direct_bounced(file, offset, iov, count, is_write);
    if (is_write) {
        end_direct_write(file);
    }
    return error;
}

int file_image_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    FileImage *file = (FileImage *)image;

    return file->unit > 1 ? direct_io(file, offset, iov, count, false) : transfer(file->fd, offset, iov, count, false);
}

int file_image_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    FileImage *file = (FileImage *)image;
    int error = file->unit > 1 ? direct_io(file, offset, iov, count, true)
                               : transfer(file->fd, offset, iov, count, true);

    if (!error && image->growable) {
        grow_to(file, offset + block_iov_size(iov, count));
    }
    return error;
}

bool file_image_resolve(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd,
                        uint64_t *host_offset)
{
    FileImage *file = (FileImage *)image;
    uint64_t end = file->size;

    if (offset > end || size > end - offset || !is_whole(file, offset, size) ||
        (is_write && file->unit > 1 && !begin_direct_write(file, false))) {
        return false; /* the end of the file needs care */
    }
    *fd = file->fd;
    *host_offset = offset;
    return true;
}

void file_image_resolved(BlockImage *image, uint64_t offset, uint64_t size, bool is_write)
{
    FileImage *file = (FileImage *)image;

    if (is_write && file->unit > 1) {
        end_direct_write(file);
    }
}

int file_image_flush(BlockImage *image)
{
    if (image->flags & (BLOCK_OPEN_UNSAFE | BLOCK_OPEN_READONLY)) {
        return 0;
    }
    return fdatasync(((FileImage *)image)->fd) < 0 ? errno : 0;
}

/* ---- holes ---- */

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

/* ---- whole files ---- */

static const BlockCreateOption file_create_options[] = { { NULL } };

static bool file_create(BlockImage *below, const char *name, uint64_t size, Json *options, GError **error)
{
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    bool good = fd >= 0;

    if (good && !file_lock(fd, name, 0, LOCKING_AUTO, error)) { /* nobody loses an image that is in use */
        close(fd);
        return false;
    }
    good = good && ftruncate(fd, 0) == 0 && (!size || ftruncate(fd, size) == 0);
    if (!good) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot create '%s': %s", name, g_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return good;
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

const BlockDriver block_file = {
    .name = "file",
    .protocols = file_protocols,
    .is_protocol = true,
    .open = file_open,
    .close = file_image_close,
    .size = file_image_size,
    .reopen = file_image_reopen,
    .read = file_image_read,
    .write = file_image_write,
    .flush = file_image_flush,
    .discard = file_discard,
    .write_zeroes = file_write_zeroes,
    .status = file_status,
    .resolve = file_image_resolve,
    .resolved = file_image_resolved,
    .create_options = file_create_options,
    .create = file_create,
    .resize = file_resize,
};
