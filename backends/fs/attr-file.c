/*
 * The security model mapped-file: folder .virtfs_metadata beside the files has, by their names, texts of
 * "virtfs.uid=0" lines; .virtfs_metadata_root is that of the shared folder itself.
 */
#include "backends/fs/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_TEXT = 512 };

static const struct {
    const char *name;
    size_t offset;
} members[] = {
    { "virtfs.uid=", offsetof(Attr, uid) },
    { "virtfs.gid=", offsetof(Attr, gid) },
    { "virtfs.mode=", offsetof(Attr, mode) },
    { "virtfs.rdev=", offsetof(Attr, rdev) },
};

static int64_t *member(Attr *attr, int i)
{
    return (int64_t *)((char *)attr + members[i].offset);
}

static void parse(const char *text, Attr *attr)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(members); i++) {
            if (g_str_has_prefix(*line, members[i].name)) {
                *member(attr, i) = g_ascii_strtoull(*line + strlen(members[i].name), NULL, 10) & INT64_MAX;
            }
        }
    }
}

/* The folder of attributes; -errno if there is none. */
static int open_metadata(int dir, bool create)
{
    int fd;

    if (create && mkdirat(dir, ATTR_FOLDER, 0700) != 0 && errno != EEXIST) {
        return -errno;
    }
    fd = openat(dir, ATTR_FOLDER, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int read_file(int dir, const char *name, Attr *attr)
{
    char text[MAX_TEXT + 1] = { 0 };
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0) {
        return errno == ENOENT ? 0 : errno;
    }
    if (read(fd, text, MAX_TEXT) > 0) {
        parse(text, attr);
    }
    close(fd);
    return 0;
}

static int write_file(int dir, const char *name, const Attr *changes)
{
    Attr attr = ATTR_NONE;
    g_autoptr(GString) text = g_string_new(NULL);
    int error = read_file(dir, name, &attr), fd;

    if (error) {
        return error;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(members); i++) {
        int64_t change = *member((Attr *)changes, i), value = change >= 0 ? change : *member(&attr, i);

        if (value >= 0) {
            g_string_append_printf(text, "%s%" G_GINT64_FORMAT "\n", members[i].name, value);
        }
    }
    fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    error = write(fd, text->str, text->len) == (ssize_t)text->len ? 0 : EIO;
    close(fd);
    return error;
}

typedef int PlaceFn(int dir, const char *name, const Attr *in, Attr *out, void *opaque);

typedef struct Target { /* of a link */
    int dir;
    const char *name;
} Target;

/* Calls fn with the folder and name of the node's attributes. */
static int with_place(Node *node, bool create, PlaceFn *fn, const Attr *in, Attr *out, void *opaque)
{
    Node *parent;
    g_autofree char *name = NULL;
    int error = 0, metadata;

    if (!node_place(node, &parent, &name)) {
        return 0; /* removed: its attributes went with its name */
    }
    {
        g_auto(Pin) pin = node_pin(parent);

        if (pin.fd < 0) {
            error = -pin.fd;
        } else if (!name) {
            error = fn(pin.fd, ATTR_ROOT_FILE, in, out, opaque);
        } else if ((metadata = open_metadata(pin.fd, create)) >= 0) {
            error = fn(metadata, name, in, out, opaque);
            close(metadata);
        } else {
            error = metadata == -ENOENT ? 0 : -metadata;
        }
    }
    node_unref(parent);
    return error;
}

static int do_read(int dir, const char *name, const Attr *in, Attr *out, void *opaque)
{
    return read_file(dir, name, out);
}

static int do_write(int dir, const char *name, const Attr *in, Attr *out, void *opaque)
{
    return write_file(dir, name, in);
}

int attr_file_read(Node *node, Attr *attr)
{
    return with_place(node, false, do_read, NULL, attr, NULL);
}

int attr_file_write(Node *node, const Attr *attr)
{
    return with_place(node, true, do_write, attr, NULL, NULL);
}

void attr_file_renamed(int old_dir, const char *old_name, int new_dir, const char *new_name)
{
    int from = open_metadata(old_dir, false), to = from >= 0 ? open_metadata(new_dir, true) : -1;

    if (to >= 0) {
        if (renameat(from, old_name, to, new_name) != 0) {
            unlinkat(to, new_name, 0);
        }
        close(to);
    } else {
        attr_file_removed(new_dir, new_name);
    }
    if (from >= 0) {
        close(from);
    }
}

static int do_link(int dir, const char *name, const Attr *in, Attr *out, void *opaque)
{
    const Target *target = opaque;

    unlinkat(target->dir, target->name, 0);
    return linkat(dir, name, target->dir, target->name, 0) == 0 ? 0 : errno;
}

/* Names of one file have one file of attributes, which has to be there then. */
int attr_file_linked(Node *node, int new_dir, const char *new_name)
{
    Target target = { open_metadata(new_dir, true), new_name };
    Attr attr = ATTR_NONE;
    int error = target.dir < 0 ? -target.dir : attr_file_write(node, &attr);

    error = error ? error : with_place(node, true, do_link, NULL, NULL, &target);
    if (target.dir >= 0) {
        close(target.dir);
    }
    return error;
}

void attr_file_removed(int dir, const char *name)
{
    int metadata = open_metadata(dir, false);

    if (metadata >= 0) {
        unlinkat(metadata, name, 0);
        close(metadata);
    }
}

void attr_file_emptied(int dir, const char *name)
{
    int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0) {
        unlinkat(fd, ATTR_FOLDER, AT_REMOVEDIR);
        close(fd);
    }
}
