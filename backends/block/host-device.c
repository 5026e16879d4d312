/* Block devices of the host, and its CD-ROM drives, whose media come and go by themselves. */
#include "backends/block/file.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/cdrom.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- block devices ---- */

static BlockImage *device_open(BlockOpen *how, GError **error)
{
    FileImage *file = file_image_open(how, &block_host_device, 0, error);
    struct stat st;
    uint64_t size;
    int readonly = 0;

    if (!file) {
        return NULL;
    }
    if (fstat(file->fd, &st) < 0 || (!S_ISBLK(st.st_mode) && !S_ISCHR(st.st_mode))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is no device; driver=file takes files", how->name);
        file_image_close(&file->image);
        return NULL;
    }
    if (ioctl(file->fd, BLKGETSIZE64, &size) == 0) {
        file->size = size;
    }
    if (!(how->flags & BLOCK_OPEN_READONLY) && ioctl(file->fd, BLKROGET, &readonly) == 0 && readonly) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "'%s' is a read-only device; use readonly=on", how->name);
        file_image_close(&file->image);
        return NULL;
    }
    return &file->image;
}

static int device_range(BlockImage *image, unsigned long operation, uint64_t offset, uint64_t size)
{
    uint64_t range[2] = { offset, size };

    return ioctl(((FileImage *)image)->fd, operation, range) < 0 ? ENOTSUP : 0;
}

static int device_discard(BlockImage *image, uint64_t offset, uint64_t size)
{
    return device_range(image, BLKDISCARD, offset, size);
}

static int device_write_zeroes(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap)
{
    return offset % 4096 || size % 4096 ? ENOTSUP : device_range(image, BLKZEROOUT, offset, size);
}

static void device_limits(BlockImage *image, BlockLimits *out)
{
    int fd = ((FileImage *)image)->fd, logical;
    unsigned value;

    if (ioctl(fd, BLKSSZGET, &logical) == 0 && logical >= BLOCK_SECTOR) {
        out->logical_block = out->physical_block = logical;
    }
    if (ioctl(fd, BLKPBSZGET, &value) == 0 && value >= out->logical_block) {
        out->physical_block = value;
    }
    if (ioctl(fd, BLKIOMIN, &value) == 0) {
        out->min_io = value;
    }
    if (ioctl(fd, BLKIOOPT, &value) == 0) {
        out->opt_io = value;
    }
}

/* ---- CD-ROM drives ---- */

static BlockImage *cdrom_open(BlockOpen *how, GError **error)
{
    FileImage *file;

    how->flags |= BLOCK_OPEN_READONLY;
    file = file_image_open(how, &block_host_cdrom, O_NONBLOCK, error); /* opens without a disc too */
    if (!file) {
        return NULL;
    }
    if (ioctl(file->fd, CDROM_GET_CAPABILITY, 0) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is no CD-ROM drive", how->name);
        file_image_close(&file->image);
        return NULL;
    }
    return &file->image;
}

static bool cdrom_inserted(BlockImage *image)
{
    FileImage *file = (FileImage *)image;
    int status = ioctl(file->fd, CDROM_DRIVE_STATUS, CDSL_CURRENT);
    uint64_t size;

    if (status != CDS_DISC_OK && status != CDS_NO_INFO) {
        file->size = 0;
    } else if (!file->size && ioctl(file->fd, BLKGETSIZE64, &size) == 0) {
        file->size = size;
    }
    return file->size > 0;
}

static void cdrom_eject(BlockImage *image)
{
    FileImage *file = (FileImage *)image;

    ioctl(file->fd, CDROM_LOCKDOOR, 0);
    if (ioctl(file->fd, CDROMEJECT, 0) == 0) {
        file->size = 0;
    }
}

const BlockDriver block_host_device = {
    .name = "host_device",
    .is_protocol = true,
    .open = device_open,
    .close = file_image_close,
    .size = file_image_size,
    .reopen = file_image_reopen,
    .read = file_image_read,
    .write = file_image_write,
    .flush = file_image_flush,
    .discard = device_discard,
    .write_zeroes = device_write_zeroes,
    .limits = device_limits,
    .resolve = file_image_resolve,
    .resolved = file_image_resolved,
};

const BlockDriver block_host_cdrom = {
    .name = "host_cdrom",
    .is_protocol = true,
    .open = cdrom_open,
    .close = file_image_close,
    .size = file_image_size,
    .read = file_image_read,
    .write = file_image_write,
    .flush = file_image_flush,
    .inserted = cdrom_inserted,
    .eject = cdrom_eject,
    .resolve = file_image_resolve,
    .resolved = file_image_resolved,
};
