/* Raw images: files and block devices as they are. */
#include "backends/block/driver.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct RawImage {
    BlockImage image;
    int fd;
    uint64_t size;  /* rounded up to whole sectors */
    bool is_device;
} RawImage;

static int raw_probe(const uint8_t *head, size_t size)
{
    return 1; /* anything can be a raw image */
}

static BlockImage *raw_open(const char *path, bool readonly, GError **error)
{
    int fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    struct stat st;
    RawImage *raw;

    if (fd < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open '%s': %s", path, g_strerror(errno));
        return NULL;
    }
    if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot use '%s' as a drive: %s", path,
                    S_ISDIR(st.st_mode) ? "it is a folder" : g_strerror(errno));
        close(fd);
        return NULL;
    }
    raw = g_new0(RawImage, 1);
    raw->image.driver = &block_raw;
    raw->fd = fd;
    raw->is_device = S_ISBLK(st.st_mode);
    raw->size = st.st_size;
    if (raw->is_device && ioctl(fd, BLKGETSIZE64, &raw->size) < 0) {
        raw->size = lseek(fd, 0, SEEK_END);
    }
    raw->size = (raw->size + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR;
    return &raw->image;
}

static void raw_close(BlockImage *image)
{
    close(((RawImage *)image)->fd);
    g_free(image);
}

static uint64_t raw_size(BlockImage *image)
{
    return ((RawImage *)image)->size;
}

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

static int transfer(int fd, uint64_t offset, const struct iovec *iov, int count, bool is_write)
{
    int error = 0;

    for (int i = 0; i < count && !error; i++) {
        error = block_file_io(fd, offset, iov[i].iov_base, iov[i].iov_len, is_write);
        offset += iov[i].iov_len;
    }
    return error;
}

static int raw_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    return transfer(((RawImage *)image)->fd, offset, iov, count, false);
}

static int raw_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    return transfer(((RawImage *)image)->fd, offset, iov, count, true);
}

static int raw_flush(BlockImage *image)
{
    return fdatasync(((RawImage *)image)->fd) < 0 ? errno : 0;
}

static int raw_discard(BlockImage *image, uint64_t offset, uint64_t size)
{
    RawImage *raw = (RawImage *)image;

    if (raw->is_device ||
        fallocate(raw->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size) == 0) {
        return 0;
    }
    return errno == EOPNOTSUPP ? 0 : errno; /* discarding is a hint */
}

const BlockDriver block_raw = {
    "raw", raw_probe, raw_open, raw_close, raw_size, raw_read, raw_write, raw_flush, raw_discard,
};
