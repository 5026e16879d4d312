/* Security models: the host's owners and modes, or the guest's own beside files that all belong to us. */
#include "backends/fs/attr.h"

#include "util/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

bool attr_mapped(const FsDev *dev)
{
    return dev->model == FS_MAPPED_XATTR || dev->model == FS_MAPPED_FILE;
}

bool attr_hides_name(const FsDev *dev, const char *name)
{
    return dev->model == FS_MAPPED_FILE && (g_str_equal(name, ATTR_FOLDER) || g_str_equal(name, ATTR_ROOT_FILE));
}

bool attr_hides_xattr(const FsDev *dev, const char *name)
{
    return attr_mapped(dev) && (!g_str_has_prefix(name, "user.") || g_str_has_prefix(name, ATTR_XATTR));
}

int attr_check_name(const FsDev *dev, const char *name)
{
    if (!*name || strchr(name, '/') || g_str_equal(name, ".") || g_str_equal(name, "..")) {
        return EINVAL;
    }
    return strlen(name) > NAME_MAX ? ENAMETOOLONG : attr_hides_name(dev, name) ? EACCES : 0;
}

/* ---- extended attributes: little-endian numbers ---- */

static int64_t read_number(const char *path, const char *name, unsigned size)
{
    uint8_t bytes[8] = { 0 };
    ssize_t n = getxattr(path, name, bytes, sizeof(bytes));

    return n == size ? (int64_t)(load_le64(bytes) & INT64_MAX) : -1;
}

static Attr read_xattrs(int fd)
{
    FdPath path = fd_path(fd);
    Attr attr = ATTR_NONE;

    attr.uid = read_number(path.text, ATTR_XATTR "uid", 4);
    attr.gid = read_number(path.text, ATTR_XATTR "gid", 4);
    attr.mode = read_number(path.text, ATTR_XATTR "mode", 4);
    attr.rdev = read_number(path.text, ATTR_XATTR "rdev", 8);
    return attr;
}

static int write_number(const char *path, const char *name, int64_t value, unsigned size)
{
    uint8_t bytes[8];

    store_le64(bytes, value);
    return value < 0 || setxattr(path, name, bytes, size, 0) == 0 ? 0 : errno;
}

static int write_xattrs(int fd, const Attr *attr)
{
    FdPath path = fd_path(fd);
    int error = write_number(path.text, ATTR_XATTR "uid", attr->uid, 4);

    error = error ? error : write_number(path.text, ATTR_XATTR "gid", attr->gid, 4);
    error = error ? error : write_number(path.text, ATTR_XATTR "mode", attr->mode, 4);
    return error ? error : write_number(path.text, ATTR_XATTR "rdev", attr->rdev, 8);
}

/* ---- any model ---- */

static int write_mapped(const FsDev *dev, Node *node, const Attr *attr)
{
    g_auto(Pin) pin = node_pin(node);

    if (pin.fd < 0) {
        return -pin.fd;
    }
    return dev->model == FS_MAPPED_XATTR ? write_xattrs(pin.fd, attr) : attr_file_write(node, attr);
}

int attr_stat(const FsDev *dev, Node *node, struct stat *st)
{
    g_auto(Pin) pin = node_pin(node);
    Attr attr = ATTR_NONE;
    int error = 0;

    if (pin.fd < 0) {
        return -pin.fd;
    }
    if (fstat(pin.fd, st) != 0) {
        return errno;
    }
    if (dev->model == FS_MAPPED_XATTR) {
        attr = read_xattrs(pin.fd);
    } else if (dev->model == FS_MAPPED_FILE) {
        error = attr_file_read(node, &attr);
    }
    st->st_uid = attr.uid >= 0 ? attr.uid : st->st_uid;
    st->st_gid = attr.gid >= 0 ? attr.gid : st->st_gid;
    st->st_rdev = attr.rdev >= 0 ? attr.rdev : st->st_rdev;
    /* A guest's special file is an empty regular one here; a folder stays what it is. */
    if (attr.mode >= 0 && S_ISREG(st->st_mode) && !S_ISDIR(attr.mode) && (attr.mode & S_IFMT)) {
        st->st_mode = attr.mode;
    } else if (attr.mode >= 0) {
        st->st_mode = (st->st_mode & S_IFMT) | (attr.mode & 07777);
    }
    return error;
}

int attr_set_owner(const FsDev *dev, Node *node, int64_t uid, int64_t gid)
{
    if (attr_mapped(dev)) {
        Attr attr = ATTR_NONE;

        attr.uid = uid;
        attr.gid = gid;
        return write_mapped(dev, node, &attr);
    } else {
        g_auto(Pin) pin = node_pin(node);

        if (pin.fd < 0) {
            return -pin.fd;
        }
        return fchownat(pin.fd, "", uid < 0 ? -1 : uid, gid < 0 ? -1 : gid, AT_EMPTY_PATH) == 0 ||
                       (dev->model == FS_NONE && errno == EPERM)
                   ? 0
                   : errno;
    }
}

int attr_set_mode(const FsDev *dev, Node *node, unsigned mode)
{
    if (attr_mapped(dev)) {
        Attr attr = ATTR_NONE;
        struct stat st;
        int error = attr_stat(dev, node, &st);

        attr.mode = (st.st_mode & S_IFMT) | (mode & 07777);
        return error ? error : write_mapped(dev, node, &attr);
    } else {
        g_auto(Pin) pin = node_pin(node);

        if (pin.fd < 0) {
            return -pin.fd;
        }
        return fchmodat(AT_FDCWD, fd_path(pin.fd).text, mode & 07777, 0) == 0 ? 0 : errno;
    }
}

int attr_init(const FsDev *dev, Node *node, const Attr *attr)
{
    int error;

    if (attr_mapped(dev)) {
        return write_mapped(dev, node, attr);
    }
    error = attr_set_owner(dev, node, attr->uid, attr->gid);
    /* The process's mask was applied to it, and setting the owner may have dropped bits. */
    return error || S_ISLNK(attr->mode) ? error : attr_set_mode(dev, node, attr->mode);
}
