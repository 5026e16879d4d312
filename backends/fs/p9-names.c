/* 9P messages on names: mkdir, symlink, mknod, link, rename, unlink, remove. */
#include "backends/fs/p9-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The folder that a message names, if it may be changed and `name` may be used in it. */
static int writable_folder(P9Request *r, Fid *fid, const char *name, Node **dir)
{
    int error;

    if (r->bad || !fid) {
        return r->bad ? EINVAL : EBADF;
    }
    if (r->p->dev->readonly) {
        return EROFS;
    }
    error = attr_check_name(r->p->dev, name);
    if (!error) {
        *dir = p9_fid_node(fid);
    }
    return error;
}

static void undo(Node *dir, const char *name, bool folder)
{
    g_auto(Pin) pin = node_pin(dir);

    if (pin.fd >= 0) {
        unlinkat(pin.fd, name, folder ? AT_REMOVEDIR : 0);
    }
    node_removed(dir, name);
}

/* What was just made gets its owner and mode, and the reply its qid. */
static int finish(P9Request *r, Node *dir, const char *name, const Attr *attr)
{
    int error;
    g_autoptr(Node) node = node_walk(dir, name, &error);

    if (!node) {
        return error;
    }
    error = attr_init(r->p->dev, node, attr);
    if (error) {
        undo(dir, name, S_ISDIR(attr->mode));
        return error;
    }
    return p9_put_qid(r, node);
}

int p9_mkdir(P9Request *r)
{
    uint32_t id = p9_get32(r);
    g_autofree char *name = p9_get_text(r);
    uint32_t mode = p9_get32(r), gid = p9_get32(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autoptr(Node) dir = NULL;
    const FsDev *dev = r->p->dev;
    int error = writable_folder(r, fid, name, &dir);

    if (!error) {
        g_auto(Pin) pin = node_pin(dir);
        Attr attr = { fid->uid, gid, S_IFDIR | (mode & 07777), -1 };

        if (pin.fd < 0) {
            return -pin.fd;
        }
        if (mkdirat(pin.fd, name, attr_mapped(dev) ? dev->dmode : mode & 0777) != 0) {
            return errno;
        }
        error = finish(r, dir, name, &attr);
    }
    return error;
}

/* In the mapped models links and special files are regular files on the host: a link's text is what is in it. */
static int make_file(const FsDev *dev, int dir, const char *name, const char *content)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, dev->fmode), error = 0;

    if (fd < 0) {
        return errno;
    }
    if (write(fd, content, strlen(content)) != (ssize_t)strlen(content)) {
        error = EIO;
        unlinkat(dir, name, 0);
    }
    close(fd);
    return error;
}

int p9_symlink(P9Request *r)
{
    uint32_t id = p9_get32(r);
    g_autofree char *name = p9_get_text(r), *target = p9_get_text(r);
    uint32_t gid = p9_get32(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autoptr(Node) dir = NULL;
    int error = writable_folder(r, fid, name, &dir);

    if (!error) {
        g_auto(Pin) pin = node_pin(dir);
        Attr attr = { fid->uid, gid, S_IFLNK | 0777, -1 };

        if (pin.fd < 0) {
            return -pin.fd;
        }
        if (strlen(target) >= PATH_MAX) {
            return ENAMETOOLONG;
        }
        if (attr_mapped(r->p->dev)) {
            error = make_file(r->p->dev, pin.fd, name, target);
        } else {
            error = symlinkat(target, pin.fd, name) == 0 ? 0 : errno;
        }
        error = error ? error : finish(r, dir, name, &attr);
    }
    return error;
}

int p9_mknod(P9Request *r)
{
    uint32_t id = p9_get32(r);
    g_autofree char *name = p9_get_text(r);
    uint32_t mode = p9_get32(r), major_number = p9_get32(r), minor_number = p9_get32(r), gid = p9_get32(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autoptr(Node) dir = NULL;
    int error = writable_folder(r, fid, name, &dir);

    if (!error) {
        g_auto(Pin) pin = node_pin(dir);
        dev_t rdev = makedev(major_number, minor_number);
        Attr attr = { fid->uid, gid, mode & (S_IFMT | 07777), rdev & INT64_MAX };

        if (pin.fd < 0) {
            return -pin.fd;
        }
        if (S_ISDIR(mode) || S_ISLNK(mode)) {
            return EINVAL;
        }
        if (attr_mapped(r->p->dev)) {
            error = make_file(r->p->dev, pin.fd, name, "");
        } else {
            error = mknodat(pin.fd, name, mode & (S_IFMT | 0777), rdev) == 0 ? 0 : errno;
        }
        error = error ? error : finish(r, dir, name, &attr);
    }
    return error;
}

int p9_link(P9Request *r)
{
    uint32_t dir_id = p9_get32(r), id = p9_get32(r);
    g_autofree char *name = p9_get_text(r);
    g_autoptr(Fid) dir_fid = p9_fid(r->p, dir_id), fid = p9_fid(r->p, id);
    g_autoptr(Node) dir = NULL, node = NULL;
    int error = writable_folder(r, dir_fid, name, &dir);

    if (error || !fid) {
        return error ? error : EBADF;
    }
    node = p9_fid_node(fid);
    {
        g_auto(Pin) into = node_pin(dir), pin = node_pin(node);

        if (into.fd < 0 || pin.fd < 0) {
            return into.fd < 0 ? -into.fd : -pin.fd;
        }
        if (linkat(AT_FDCWD, fd_path(pin.fd).text, into.fd, name, AT_SYMLINK_FOLLOW) != 0) {
            return errno;
        }
        if (r->p->dev->model == FS_MAPPED_FILE && (error = attr_file_linked(node, into.fd, name))) {
            undo(dir, name, false);
        }
    }
    return error;
}

/* ---- names that change and go ---- */

static int rename_file(P9Request *r, Node *old_dir, const char *old_name, Node *new_dir, const char *new_name)
{
    g_auto(Pin) from = node_pin(old_dir), to = node_pin(new_dir);

    if (from.fd < 0 || to.fd < 0) {
        return from.fd < 0 ? -from.fd : -to.fd;
    }
    if (r->p->dev->model == FS_MAPPED_FILE) {
        attr_file_emptied(to.fd, new_name);
    }
    if (renameat(from.fd, old_name, to.fd, new_name) != 0) {
        return errno;
    }
    if (r->p->dev->model == FS_MAPPED_FILE) {
        attr_file_renamed(from.fd, old_name, to.fd, new_name);
    }
    node_renamed(old_dir, old_name, new_dir, new_name);
    return 0;
}

int p9_renameat(P9Request *r)
{
    uint32_t old_id = p9_get32(r);
    g_autofree char *old_name = p9_get_text(r);
    uint32_t new_id = p9_get32(r);
    g_autofree char *new_name = p9_get_text(r);
    g_autoptr(Fid) old_fid = p9_fid(r->p, old_id), new_fid = p9_fid(r->p, new_id);
    g_autoptr(Node) old_dir = NULL, new_dir = NULL;
    int error = writable_folder(r, old_fid, old_name, &old_dir);

    error = error ? error : writable_folder(r, new_fid, new_name, &new_dir);
    return error ? error : rename_file(r, old_dir, old_name, new_dir, new_name);
}

static int remove_file(P9Request *r, Node *dir, const char *name, bool folder)
{
    g_auto(Pin) pin = node_pin(dir);

    if (pin.fd < 0) {
        return -pin.fd;
    }
    if (folder && r->p->dev->model == FS_MAPPED_FILE) {
        attr_file_emptied(pin.fd, name);
    }
    if (unlinkat(pin.fd, name, folder ? AT_REMOVEDIR : 0) != 0) {
        return errno;
    }
    if (r->p->dev->model == FS_MAPPED_FILE) {
        attr_file_removed(pin.fd, name);
    }
    node_removed(dir, name);
    return 0;
}

int p9_unlinkat(P9Request *r)
{
    uint32_t id = p9_get32(r);
    g_autofree char *name = p9_get_text(r);
    uint32_t flags = p9_get32(r);
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autoptr(Node) dir = NULL;
    int error = writable_folder(r, fid, name, &dir);

    if (!error && (flags & ~AT_REMOVEDIR)) {
        error = EINVAL;
    }
    return error ? error : remove_file(r, dir, name, flags & AT_REMOVEDIR);
}

/* Where a fid's file is, for messages that name no folder; the host may have put something else there. */
static int place(P9Session *p, Fid *fid, Node **dir, char **name, bool *folder)
{
    g_autoptr(Node) node = p9_fid_node(fid);
    g_autoptr(Node) there = NULL;
    struct stat st, now;
    int error = attr_stat(p->dev, node, &st);

    if (error) {
        return error;
    }
    if (!node_place(node, dir, name)) {
        return ENOENT;
    }
    if (!*name) {
        return EBUSY; /* the shared folder itself */
    }
    there = node_walk(*dir, *name, &error);
    if (!there) {
        return error;
    }
    error = attr_stat(p->dev, there, &now);
    *folder = S_ISDIR(st.st_mode);
    return error ? error : st.st_dev != now.st_dev || st.st_ino != now.st_ino ? ENOENT : 0;
}

int p9_remove(P9Request *r)
{
    uint32_t id = p9_get32(r);
    g_autoptr(Fid) fid = r->bad ? NULL : p9_fid_take(r->p, id); /* is gone whatever happens */
    g_autoptr(Node) dir = NULL;
    g_autofree char *name = NULL;
    bool folder = false;
    int error;

    if (!fid) {
        return EBADF;
    }
    if (r->p->dev->readonly) {
        return EROFS;
    }
    error = place(r->p, fid, &dir, &name, &folder);
    return error ? error : remove_file(r, dir, name, folder);
}

int p9_rename(P9Request *r)
{
    uint32_t id = p9_get32(r), dir_id = p9_get32(r);
    g_autofree char *new_name = p9_get_text(r), *name = NULL;
    g_autoptr(Fid) fid = p9_fid(r->p, id), dir_fid = p9_fid(r->p, dir_id);
    g_autoptr(Node) dir = NULL, new_dir = NULL;
    bool folder;
    int error = writable_folder(r, dir_fid, new_name, &new_dir);

    if (error || !fid) {
        return error ? error : EBADF;
    }
    error = place(r->p, fid, &dir, &name, &folder);
    return error ? error : rename_file(r, dir, name, new_dir, new_name);
}
