/* 9P messages on attributes: getattr, setattr, readlink, statfs, extended attributes. */
#include "backends/fs/p9-internal.h"

#include "util/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { GETATTR_BASIC = 0x7ff }; /* all up to st_blocks */
enum {
    SET_MODE = 1, SET_UID = 2, SET_GID = 4, SET_SIZE = 8, SET_ATIME = 0x10, SET_MTIME = 0x20, SET_CTIME = 0x40,
    SET_ATIME_TO = 0x80, SET_MTIME_TO = 0x100,
};
#define V9FS_MAGIC 0x01021997

static void put_time(P9Request *r, const struct timespec *time)
{
    p9_put64(r, time->tv_sec);
    p9_put64(r, time->tv_nsec);
}

/* What programs take as a hint of how much to read at once. */
static uint32_t block_size(P9Request *r, const struct stat *st)
{
    uint32_t room = r->p->msize - P9_WRITE_HEADER - 1;

    return room < st->st_blksize ? st->st_blksize : room - room % st->st_blksize;
}

int p9_getattr(P9Request *r)
{
    uint32_t id = p9_get32(r);
    uint64_t mask = p9_get64(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autoptr(Node) node = NULL;
    struct stat st;
    int error;

    if (r->bad || !fid) {
        return r->bad ? EINVAL : EBADF;
    }
    node = p9_fid_node(fid);
    if ((error = attr_stat(r->p->dev, node, &st))) {
        return error;
    }
    p9_put64(r, mask & GETATTR_BASIC);
    if ((error = p9_put_qid(r, node))) {
        return error;
    }
    p9_put32(r, st.st_mode);
    p9_put32(r, st.st_uid);
    p9_put32(r, st.st_gid);
    p9_put64(r, st.st_nlink);
    p9_put64(r, (minor(st.st_rdev) & 0xff) | major(st.st_rdev) << 8 | (uint64_t)(minor(st.st_rdev) & ~0xffu) << 12);
    p9_put64(r, st.st_size);
    p9_put64(r, block_size(r, &st));
    p9_put64(r, st.st_blocks);
    put_time(r, &st.st_atim);
    put_time(r, &st.st_mtim);
    put_time(r, &st.st_ctim);
    for (int i = 0; i < 4; i++) { /* birth, generation, data version: the host does not tell */
        p9_put64(r, 0);
    }
    return 0;
}

static int set_times(int fd, uint32_t valid, const struct timespec *atime, const struct timespec *mtime)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };

    if (valid & SET_ATIME) {
        times[0] = valid & SET_ATIME_TO ? *atime : (struct timespec){ .tv_nsec = UTIME_NOW };
    }
    if (valid & SET_MTIME) {
        times[1] = valid & SET_MTIME_TO ? *mtime : (struct timespec){ .tv_nsec = UTIME_NOW };
    }
    return utimensat(AT_FDCWD, fd_path(fd).text, times, 0) == 0 ? 0 : errno;
}

int p9_setattr(P9Request *r)
{
    uint32_t id = p9_get32(r), valid = p9_get32(r), mode = p9_get32(r), uid = p9_get32(r), gid = p9_get32(r);
    uint64_t size = p9_get64(r);
    struct timespec atime, mtime;
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autoptr(Node) node = NULL;
    g_auto(Pin) pin = { NULL };
    int error = 0;

    atime.tv_sec = p9_get64(r);
    atime.tv_nsec = p9_get64(r) % 1000000000u;
    mtime.tv_sec = p9_get64(r);
    mtime.tv_nsec = p9_get64(r) % 1000000000u;
    if (r->bad || !fid) {
        return r->bad ? EINVAL : EBADF;
    }
    if (r->p->dev->readonly) {
        return EROFS;
    }
    node = p9_fid_node(fid);
    pin = node_pin(node);
    if (pin.fd < 0) {
        return -pin.fd;
    }
    if (valid & SET_MODE) {
        error = attr_set_mode(r->p->dev, node, mode);
    }
    if (!error && (valid & (SET_ATIME | SET_MTIME))) {
        error = set_times(pin.fd, valid, &atime, &mtime);
    }
    /* A change of nothing moves the time of change, which is all that SET_CTIME alone asks for. */
    if (!error && (valid & (SET_UID | SET_GID) || (valid & (SET_CTIME | SET_ATIME | SET_MTIME | SET_MODE)) == SET_CTIME)) {
        error = attr_set_owner(r->p->dev, node, valid & SET_UID ? (int64_t)uid : -1, valid & SET_GID ? (int64_t)gid : -1);
    }
    if (!error && (valid & SET_SIZE)) {
        error = size > INT64_MAX ? EFBIG : truncate(fd_path(pin.fd).text, size) == 0 ? 0 : errno;
    }
    return error;
}

/* In the mapped models a link is a file with its text in it. */
static ssize_t read_link(int fd, bool is_file, char *text)
{
    ssize_t length;
    int file;

    if (!is_file) {
        return readlinkat(fd, "", text, PATH_MAX);
    }
    file = open(fd_path(fd).text, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) {
        return -1;
    }
    length = read(file, text, PATH_MAX);
    close(file);
    return length;
}

int p9_readlink(P9Request *r)
{
    uint32_t id = p9_get32(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autoptr(Node) node = NULL;
    g_auto(Pin) pin = { NULL };
    char text[PATH_MAX + 1];
    struct stat seen, st;
    ssize_t length;
    int error;

    if (r->bad || !fid) {
        return r->bad ? EINVAL : EBADF;
    }
    node = p9_fid_node(fid);
    pin = node_pin(node);
    if (pin.fd < 0) {
        return -pin.fd;
    }
    if ((error = attr_stat(r->p->dev, node, &seen)) || fstat(pin.fd, &st) != 0) {
        return error ? error : errno;
    }
    if (!S_ISLNK(seen.st_mode)) {
        return EINVAL;
    }
    length = read_link(pin.fd, !S_ISLNK(st.st_mode), text);
    if (length < 0) {
        return errno;
    }
    text[length] = '\0';
    p9_put_text(r, text);
    return 0;
}

int p9_statfs(P9Request *r)
{
    uint32_t id = p9_get32(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autoptr(Node) node = NULL;
    g_auto(Pin) pin = { NULL };
    struct statfs fs;

    if (r->bad || !fid) {
        return r->bad ? EINVAL : EBADF;
    }
    node = p9_fid_node(fid);
    pin = node_pin(node);
    if (pin.fd < 0) {
        return -pin.fd;
    }
    if (fstatfs(pin.fd, &fs) != 0) {
        return errno;
    }
    p9_put32(r, V9FS_MAGIC);
    p9_put32(r, fs.f_bsize);
    p9_put64(r, fs.f_blocks);
    p9_put64(r, fs.f_bfree);
    p9_put64(r, fs.f_bavail);
    p9_put64(r, fs.f_files);
    p9_put64(r, fs.f_ffree);
    p9_put64(r, node_device(node));
    p9_put32(r, MIN(fs.f_namelen, NAME_MAX));
    return 0;
}

/* ---- extended attributes ---- */

static int get_xattr(const char *path, const char *name, GByteArray *value)
{
    ssize_t size;

    g_byte_array_set_size(value, P9_MAX_XATTR);
    size = getxattr(path, name, value->data, P9_MAX_XATTR);
    g_byte_array_set_size(value, MAX(size, 0));
    return size < 0 ? errno : 0;
}

/* The names that guests may see, each with its zero. */
static int list_xattrs(const FsDev *dev, const char *path, GByteArray *names)
{
    g_autofree char *all = g_malloc(P9_MAX_XATTR + 1);
    ssize_t size = listxattr(path, all, P9_MAX_XATTR);

    if (size < 0) {
        return errno;
    }
    all[size] = '\0';
    for (const char *name = all; name < all + size; name += strlen(name) + 1) {
        if (!attr_hides_xattr(dev, name)) {
            g_byte_array_append(names, (const uint8_t *)name, strlen(name) + 1);
        }
    }
    return 0;
}

static void set_kind(Fid *fid, FidKind kind, const char *name, GByteArray *value)
{
    fid->kind = kind;
    fid->xattr_name = g_strdup(name);
    fid->xattr = g_byte_array_ref(value);
}

int p9_xattrwalk(P9Request *r)
{
    uint32_t id = p9_get32(r), new_id = p9_get32(r);
    g_autofree char *name = p9_get_text(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id), made = NULL;
    g_autoptr(Node) node = NULL;
    g_autoptr(GByteArray) value = g_byte_array_new();
    g_auto(Pin) pin = { NULL };
    const FsDev *dev = r->p->dev;
    int error;

    if (r->bad || !fid) {
        return r->bad ? EINVAL : EBADF;
    }
    if (*name && attr_hides_xattr(dev, name)) {
        return EOPNOTSUPP;
    }
    node = p9_fid_node(fid);
    pin = node_pin(node);
    if (pin.fd < 0) {
        return -pin.fd;
    }
    error = *name ? get_xattr(fd_path(pin.fd).text, name, value) : list_xattrs(dev, fd_path(pin.fd).text, value);
    if (error) {
        return error;
    }
    made = p9_fid_new(r->p, new_id, node_ref(node), fid->uid, &error);
    if (!made) {
        return error;
    }
    g_mutex_lock(&made->mutex);
    set_kind(made, FID_XATTR_READ, name, value);
    g_mutex_unlock(&made->mutex);
    p9_put64(r, value->len);
    return 0;
}

int p9_xattrcreate(P9Request *r)
{
    uint32_t id = p9_get32(r);
    g_autofree char *name = p9_get_text(r);
    uint64_t size = p9_get64(r);
    uint32_t flags = p9_get32(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autoptr(GByteArray) value = g_byte_array_new();
    int error = 0;

    if (r->bad || !fid) {
        return r->bad ? EINVAL : EBADF;
    }
    if (r->p->dev->readonly) {
        return EROFS;
    }
    if (!*name || attr_hides_xattr(r->p->dev, name)) {
        return EOPNOTSUPP;
    }
    if (size > P9_MAX_XATTR) {
        return E2BIG;
    }
    g_mutex_lock(&fid->mutex);
    if (fid->kind == FID_PLAIN) {
        set_kind(fid, FID_XATTR_WRITE, name, value);
        fid->xattr_flags = flags;
        fid->xattr_size = size;
    } else {
        error = EINVAL;
    }
    g_mutex_unlock(&fid->mutex);
    return error;
}

/* Replacing with nothing is how removal comes. */
int p9_commit_xattr(Fid *fid)
{
    g_auto(Pin) pin = node_pin(fid->node);
    FdPath path = fd_path(pin.fd);

    if (pin.fd < 0) {
        return -pin.fd;
    }
    if (fid->xattr->len != fid->xattr_size || (fid->xattr_flags & ~(XATTR_CREATE | XATTR_REPLACE))) {
        return EINVAL;
    }
    if (!fid->xattr_size && (fid->xattr_flags & XATTR_REPLACE)) {
        return removexattr(path.text, fid->xattr_name) == 0 ? 0 : errno;
    }
    return setxattr(path.text, fid->xattr_name, fid->xattr->data, fid->xattr->len, fid->xattr_flags) == 0 ? 0 : errno;
}
