/* 9P messages on open files: lopen, lcreate, read, write, readdir, fsync, lock, getlock. */
#include "backends/fs/p9-internal.h"

#include "util/iov.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* Flags of Tlopen are those of Linux in general, which x86 has as well. What else a guest sends is its own business. */
enum { KEPT_FLAGS = O_ACCMODE | O_TRUNC | O_APPEND | O_SYNC | O_DSYNC | O_NOATIME };

static bool flags_write(uint32_t flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_TRUNC | O_CREAT));
}

/*
 * The file itself, whatever is at its name now. Only files and folders: opening a FIFO waits and opening a device acts;
 * guests do that on their side.
 */
static int open_node(const FsDev *dev, Node *node, uint32_t flags, FidKind *kind)
{
    g_auto(Pin) pin = node_pin(node);
    struct stat st, seen;
    int fd, error;

    if (pin.fd < 0) {
        return pin.fd;
    }
    error = attr_stat(dev, node, &seen);
    if (error || fstat(pin.fd, &st) != 0) {
        return error ? -error : -errno;
    }
    if ((!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) || (st.st_mode & S_IFMT) != (seen.st_mode & S_IFMT)) {
        return S_ISLNK(seen.st_mode) ? -ELOOP : -ENXIO;
    }
    flags = (flags & KEPT_FLAGS) | (dev->sync ? O_SYNC : 0) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    *kind = S_ISDIR(st.st_mode) ? FID_FOLDER : FID_FILE;
    if (*kind == FID_FOLDER) {
        flags = (flags & ~(O_TRUNC | O_APPEND)) | O_DIRECTORY;
    }
    if (!descriptor_take()) {
        return -ENFILE;
    }
    fd = open(fd_path(pin.fd).text, flags);
    if (fd < 0 && errno == EPERM && (flags & O_NOATIME)) { /* for owners only */
        fd = open(fd_path(pin.fd).text, flags & ~O_NOATIME);
    }
    if (fd < 0) {
        error = errno;
        descriptor_give();
        return -error;
    }
    return fd;
}

int p9_open_fid(Fid *fid, uint32_t flags)
{
    FidKind kind;
    int fd, error = 0;

    g_mutex_lock(&fid->mutex);
    if (fid->kind != FID_PLAIN) {
        error = EBADF;
    } else if ((fd = open_node(fid->p->dev, fid->node, flags, &kind)) < 0) {
        error = -fd;
    } else {
        fid->kind = kind;
        fid->fd = fd;
        fid->flags = flags;
    }
    g_mutex_unlock(&fid->mutex);
    return error;
}

static int put_opened(P9Request *r, Node *node)
{
    int error = p9_put_qid(r, node);

    p9_put32(r, 0); /* whole messages */
    return error;
}

int p9_lopen(P9Request *r)
{
    uint32_t id = p9_get32(r), flags = p9_get32(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    int error;

    if (r->bad || !fid) {
        return r->bad ? EINVAL : EBADF;
    }
    if (r->p->dev->readonly && flags_write(flags & ~O_CREAT)) {
        return EROFS;
    }
    error = p9_open_fid(fid, flags & ~(O_CREAT | O_EXCL));
    return error ? error : put_opened(r, fid->node);
}

/* Makes the file unless it is there; *made says which. */
static int create(P9Request *r, Node *dir, const char *name, uint32_t flags, const Attr *attr, bool *made)
{
    const FsDev *dev = r->p->dev;
    g_auto(Pin) pin = node_pin(dir);
    int fd;

    if (pin.fd < 0) {
        return -pin.fd;
    }
    fd = openat(pin.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                attr_mapped(dev) ? dev->fmode : attr->mode & 07777);
    *made = fd >= 0;
    if (fd < 0) {
        return errno == EEXIST && !(flags & O_EXCL) ? 0 : errno;
    }
    close(fd);
    return 0;
}

int p9_lcreate(P9Request *r)
{
    uint32_t id = p9_get32(r);
    g_autofree char *name = p9_get_text(r);
    uint32_t flags = p9_get32(r), mode = p9_get32(r), gid = p9_get32(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autoptr(Node) dir = NULL, node = NULL;
    Attr attr = { .gid = gid, .mode = S_IFREG | (mode & 07777), .rdev = -1 };
    bool made;
    int error;

    if (r->bad || !fid) {
        return r->bad ? EINVAL : EBADF;
    }
    if (r->p->dev->readonly) {
        return EROFS;
    }
    if ((error = attr_check_name(r->p->dev, name))) {
        return error;
    }
    attr.uid = fid->uid;
    dir = p9_fid_node(fid);
    if ((error = create(r, dir, name, flags, &attr, &made))) {
        return error;
    }
    node = node_walk(dir, name, &error);
    if (!node) {
        return error;
    }
    error = made ? attr_init(r->p->dev, node, &attr) : 0;
    if (error) {
        g_auto(Pin) pin = node_pin(dir);

        if (pin.fd >= 0) {
            unlinkat(pin.fd, name, 0);
        }
        node_removed(dir, name);
        return error;
    }
    /* The fid of the folder becomes that of the file. */
    g_mutex_lock(&fid->mutex);
    if (fid->kind == FID_PLAIN) {
        Node *old = fid->node; /* another message may have walked it meanwhile */

        fid->node = node_ref(node);
        node_unref(old);
    } else {
        error = EBADF;
    }
    g_mutex_unlock(&fid->mutex);
    error = error ? error : p9_open_fid(fid, flags & ~(O_CREAT | O_EXCL));
    return error ? error : put_opened(r, node);
}

/* ---- data ---- */

/* All of a request in pieces that the host takes at once. Returns the bytes done, or -errno if there are none. */
static ssize_t transfer(int fd, bool is_write, const struct iovec *iov, unsigned count, uint64_t offset)
{
    size_t done = 0;

    while (count) {
        int n = MIN(count, IOV_MAX);
        size_t want = iov_size(iov, n);
        ssize_t got = is_write ? pwritev(fd, iov, n, offset + done) : preadv(fd, iov, n, offset + done);

        if (got < 0) {
            return done ? (ssize_t)done : -errno;
        }
        done += got;
        if (got < want) {
            break;
        }
        iov += n;
        count -= n;
    }
    return done;
}

static int read_xattr(P9Request *r, Fid *fid, uint64_t offset, uint32_t count)
{
    int error = 0;

    g_mutex_lock(&fid->mutex);
    if (fid->kind != FID_XATTR_READ) {
        error = fid->kind == FID_FOLDER ? EISDIR : EBADF;
    } else {
        count = offset >= fid->xattr->len ? 0 : MIN(count, fid->xattr->len - offset);
        p9_put32(r, count);
        g_byte_array_append(r->reply, fid->xattr->data + (count ? offset : 0), count);
    }
    g_mutex_unlock(&fid->mutex);
    return error;
}

int p9_read(P9Request *r)
{
    uint32_t id = p9_get32(r);
    uint64_t offset = p9_get64(r);
    uint32_t count = p9_room(r, P9_READ_HEADER, p9_get32(r));
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autofree struct iovec *part = NULL;
    ssize_t done;
    int fd;

    if (r->bad || !fid) {
        return r->bad ? EINVAL : EBADF;
    }
    fd = p9_fid_fd(fid, FID_FILE);
    if (fd < 0) {
        return read_xattr(r, fid, offset, count);
    }
    if (offset > INT64_MAX - count) {
        return EINVAL;
    }
    part = g_new(struct iovec, r->in_count + 1);
    done = transfer(fd, false, part, iov_part(r->in, r->in_count, P9_READ_HEADER, count, part), offset);
    if (done < 0) {
        return -done;
    }
    p9_put32(r, done);
    r->data = done;
    return 0;
}

static int write_xattr(P9Request *r, Fid *fid, uint64_t offset, uint32_t count)
{
    int error = 0;

    g_mutex_lock(&fid->mutex);
    if (fid->kind != FID_XATTR_WRITE) {
        error = EBADF;
    } else if (offset > fid->xattr->len || count > fid->xattr_size - offset) {
        error = ENOSPC;
    } else {
        g_byte_array_set_size(fid->xattr, MAX(fid->xattr->len, offset + count));
        iov_read(r->out, r->out_count, P9_WRITE_HEADER, fid->xattr->data + offset, count);
        p9_put32(r, count);
    }
    g_mutex_unlock(&fid->mutex);
    return error;
}

int p9_write(P9Request *r)
{
    uint32_t id = p9_get32(r);
    uint64_t offset = p9_get64(r);
    uint32_t count = p9_get32(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autofree struct iovec *part = NULL;
    ssize_t done;
    int fd;

    if (r->bad || count > r->out_size - P9_WRITE_HEADER) {
        return EINVAL;
    }
    if (!fid) {
        return EBADF;
    }
    if (r->p->dev->readonly) {
        return EROFS;
    }
    fd = p9_fid_fd(fid, FID_FILE);
    if (fd < 0) {
        return write_xattr(r, fid, offset, count);
    }
    if (offset > INT64_MAX - count) {
        return EFBIG;
    }
    part = g_new(struct iovec, r->out_count + 1);
    done = transfer(fd, true, part, iov_part(r->out, r->out_count, P9_WRITE_HEADER, count, part), offset);
    if (done < 0) {
        return -done;
    }
    p9_put32(r, done);
    return 0;
}

int p9_fsync(P9Request *r)
{
    uint32_t id = p9_get32(r);
    bool data_only = !r->bad && r->size - r->at >= 4 && p9_get32(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    int fd;

    if (r->bad || !fid) {
        return r->bad ? EINVAL : EBADF;
    }
    fd = p9_fid_fd(fid, FID_FILE);
    fd = fd < 0 ? p9_fid_fd(fid, FID_FOLDER) : fd;
    if (fd < 0) {
        return EBADF;
    }
    return (data_only ? fdatasync(fd) : fsync(fd)) == 0 ? 0 : errno;
}

/* ---- folders ---- */

enum { ENTRY_FIXED = 13 + 8 + 1 + 2 }; /* of an entry of Rreaddir: qid, offset, type, the name's length */

/* The qid of an entry; in the mapped models its kind is in attributes, so it is looked up. */
static void put_entry_qid(P9Request *r, Node *dir, const struct dirent64 *entry)
{
    bool dots = g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, "..");
    int error;

    if (attr_mapped(r->p->dev) && !dots) {
        g_autoptr(Node) node = node_walk(dir, entry->d_name, &error);
        guint before = r->reply->len;

        if (node && p9_put_qid(r, node) == 0) {
            return;
        }
        g_byte_array_set_size(r->reply, before);
    }
    p9_put8(r, entry->d_type == DT_DIR ? 0x80 : entry->d_type == DT_LNK ? 0x02 : 0);
    p9_put32(r, 0);
    p9_put64(r, p9_qid_path(r->p, node_device(dir), entry->d_ino));
}

static uint8_t qid_entry_type(uint8_t qid, uint8_t d_type)
{
    return qid == 0x80 ? DT_DIR : qid == 0x02 ? DT_LNK : d_type;
}

/* False: there is no room for it. */
static bool put_entry(P9Request *r, Node *dir, const struct dirent64 *entry, guint end)
{
    guint at = r->reply->len;

    if (at + ENTRY_FIXED + strlen(entry->d_name) > end) {
        return false;
    }
    put_entry_qid(r, dir, entry);
    p9_put64(r, entry->d_off);
    p9_put8(r, qid_entry_type(r->reply->data[at], attr_mapped(r->p->dev) ? DT_UNKNOWN : entry->d_type));
    p9_put_text(r, entry->d_name);
    return true;
}

static int list(P9Request *r, int fd, Node *dir, uint64_t offset, guint end)
{
    uint64_t buf[1024]; /* aligned as entries are */
    bool room = true;

    if (lseek(fd, offset, SEEK_SET) < 0) {
        return errno;
    }
    while (room) {
        ssize_t size = getdents64(fd, buf, sizeof(buf));

        if (size <= 0) {
            return size ? errno : 0;
        }
        for (ssize_t at = 0; at < size && room;) {
            const struct dirent64 *entry = (const void *)((const char *)buf + at);

            room = attr_hides_name(r->p->dev, entry->d_name) || put_entry(r, dir, entry, end);
            at += entry->d_reclen;
        }
    }
    return 0;
}

int p9_readdir(P9Request *r)
{
    uint32_t id = p9_get32(r);
    uint64_t offset = p9_get64(r);
    uint32_t count = p9_room(r, P9_READ_HEADER, p9_get32(r));
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autoptr(GByteArray) head = g_byte_array_new();
    int error = EBADF;

    if (r->bad || !fid) {
        return r->bad ? EINVAL : EBADF;
    }
    p9_put32(r, 0);
    g_mutex_lock(&fid->mutex); /* one position for all who read it */
    if (fid->kind == FID_FOLDER) {
        error = list(r, fid->fd, fid->node, offset, r->reply->len + count);
    }
    g_mutex_unlock(&fid->mutex);
    if (!error) {
        uint32_t size = r->reply->len - 4;

        memcpy(r->reply->data, &size, sizeof(size));
    }
    return error;
}

/* ---- locks: of the open file description, so that they hold against the host's programs and other fids ---- */

enum { P9_LOCK_READ = 0, P9_LOCK_WRITE = 1, P9_LOCK_NONE = 2 };
enum { P9_LOCK_SUCCESS = 0, P9_LOCK_BLOCKED = 1, P9_LOCK_ERROR = 2 };

/* flock takes write locks of files that were opened for reading; fcntl does not: locks have their own description. */
static int lock_fd(Fid *fid)
{
    FidKind kind;
    int fd;

    g_mutex_lock(&fid->mutex);
    if (fid->lock_fd < 0 && fid->kind == FID_FILE) {
        fd = open_node(fid->p->dev, fid->node, fid->p->dev->readonly ? O_RDONLY : O_RDWR, &kind);
        fid->lock_fd = fd < 0 ? open_node(fid->p->dev, fid->node, fid->flags & O_ACCMODE, &kind) : fd;
    }
    fd = fid->lock_fd;
    g_mutex_unlock(&fid->mutex);
    return fd;
}

static bool get_lock(P9Request *r, uint8_t type, uint64_t start, uint64_t length, struct flock *lock)
{
    *lock = (struct flock){
        .l_type = type == P9_LOCK_READ ? F_RDLCK : type == P9_LOCK_WRITE ? F_WRLCK : F_UNLCK, .l_whence = SEEK_SET,
        .l_start = start, .l_len = length,
    };
    return !r->bad && type <= P9_LOCK_NONE && start <= INT64_MAX && length <= INT64_MAX - start;
}

int p9_lock(P9Request *r)
{
    uint32_t id = p9_get32(r);
    uint8_t type = p9_get8(r);
    uint32_t flags = p9_get32(r);
    uint64_t start = p9_get64(r), length = p9_get64(r);
    uint32_t process = p9_get32(r);
    g_autofree char *client = p9_get_text(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    struct flock lock;
    int fd;

    (void)flags; /* who wants to wait asks again */
    (void)process;
    if (!get_lock(r, type, start, length, &lock)) {
        return EINVAL;
    }
    fd = fid ? lock_fd(fid) : -EBADF;
    if (fd < 0) {
        return -fd;
    }
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
        p9_put8(r, P9_LOCK_SUCCESS);
    } else {
        p9_put8(r, errno == EAGAIN || errno == EACCES ? P9_LOCK_BLOCKED : P9_LOCK_ERROR);
    }
    return 0;
}

int p9_getlock(P9Request *r)
{
    uint32_t id = p9_get32(r);
    uint8_t type = p9_get8(r);
    uint64_t start = p9_get64(r), length = p9_get64(r);
    uint32_t process = p9_get32(r);
    g_autofree char *client = p9_get_text(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    struct flock lock;
    int fd;

    /* Linux asks with no type: for any lock at all. */
    if (!get_lock(r, type == P9_LOCK_NONE ? P9_LOCK_WRITE : type, start, length, &lock)) {
        return EINVAL;
    }
    fd = fid ? lock_fd(fid) : -EBADF;
    if (fd < 0) {
        return -fd;
    }
    if (fcntl(fd, F_OFD_GETLK, &lock) != 0) {
        return errno;
    }
    p9_put8(r, lock.l_type == F_UNLCK ? P9_LOCK_NONE : lock.l_type == F_WRLCK ? P9_LOCK_WRITE : P9_LOCK_READ);
    p9_put64(r, lock.l_start);
    p9_put64(r, lock.l_len);
    p9_put32(r, process);
    p9_put_text(r, client);
    return 0;
}
