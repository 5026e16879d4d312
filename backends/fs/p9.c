/* The 9P server: sessions, fids, and who serves which message. 9P2000.L. */
#include "backends/fs/p9-internal.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { RLERROR = 7, TWRITE = 118, TVERSION = 100 };

/* ---- fids ---- */

static void close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
        descriptor_give();
    }
}

void p9_fid_unref(Fid *fid)
{
    if (!g_atomic_int_dec_and_test(&fid->refs)) {
        return;
    }
    close_fd(fid->fd);
    close_fd(fid->lock_fd);
    node_unref(fid->node);
    g_free(fid->xattr_name);
    if (fid->xattr) {
        g_byte_array_unref(fid->xattr);
    }
    g_mutex_clear(&fid->mutex);
    g_free(fid);
}

static void drop_fid(void *fid)
{
    p9_fid_unref(fid);
}

Fid *p9_fid(P9Session *p, uint32_t id)
{
    Fid *fid;

    g_mutex_lock(&p->lock);
    fid = g_hash_table_lookup(p->fids, GUINT_TO_POINTER(id));
    if (fid) {
        g_atomic_int_inc(&fid->refs);
    }
    g_mutex_unlock(&p->lock);
    return fid;
}

Fid *p9_fid_new(P9Session *p, uint32_t id, Node *node, uint32_t uid, int *error)
{
    Fid *fid = NULL;

    g_mutex_lock(&p->lock);
    if (id == P9_NOFID || g_hash_table_contains(p->fids, GUINT_TO_POINTER(id))) {
        *error = EBADF;
    } else if (g_hash_table_size(p->fids) >= P9_MAX_FIDS) {
        *error = ENFILE;
    } else {
        fid = g_new0(Fid, 1);
        *fid = (Fid){ .p = p, .id = id, .refs = 2, .uid = uid, .node = node, .fd = -1, .lock_fd = -1 };
        g_mutex_init(&fid->mutex);
        g_hash_table_insert(p->fids, GUINT_TO_POINTER(id), fid);
    }
    g_mutex_unlock(&p->lock);
    if (!fid) {
        node_unref(node);
    }
    return fid;
}

Fid *p9_fid_take(P9Session *p, uint32_t id)
{
    gpointer fid = NULL;

    g_mutex_lock(&p->lock);
    g_hash_table_steal_extended(p->fids, GUINT_TO_POINTER(id), NULL, &fid);
    g_mutex_unlock(&p->lock);
    return fid;
}

Node *p9_fid_node(Fid *fid)
{
    Node *node;

    g_mutex_lock(&fid->mutex);
    node = node_ref(fid->node);
    g_mutex_unlock(&fid->mutex);
    return node;
}

int p9_fid_fd(Fid *fid, FidKind kind)
{
    int fd;

    g_mutex_lock(&fid->mutex);
    fd = fid->kind == kind ? fid->fd : -1;
    g_mutex_unlock(&fid->mutex);
    return fd;
}

/*
 * Numbers of files are unique in a session though the folder may span file systems: inode numbers use 48 bits almost
 * everywhere, above them goes the file system's number. Larger ones are mixed with it.
 */
uint64_t p9_qid_path(P9Session *p, dev_t dev, ino_t ino)
{
    uint64_t number;

    if (p->dev->multidevs == FS_WARN) {
        return ino;
    }
    g_mutex_lock(&p->lock);
    number = GPOINTER_TO_SIZE(g_hash_table_lookup(p->devices, GSIZE_TO_POINTER(dev)));
    if (!number) {
        number = g_hash_table_size(p->devices) + 1;
        if (number < 4096) { /* a bound for who mounts and unmounts */
            g_hash_table_insert(p->devices, GSIZE_TO_POINTER(dev), GSIZE_TO_POINTER(number));
        }
    }
    g_mutex_unlock(&p->lock);
    number--; /* that of the folder itself is 0 */
    return ino >> 48 && number ? (ino ^ number << 48) * UINT64_C(0x9e3779b97f4a7c15) : number << 48 | ino;
}

/* ---- life ---- */

P9Session *p9_new(FsDev *dev, GError **error)
{
    P9Session *p = g_new0(P9Session, 1);
    Node *root;

    p->dev = dev;
    p->tree = tree_new(dev->path, error);
    if (!p->tree) {
        g_free(p);
        return NULL;
    }
    g_mutex_init(&p->lock);
    p->fids = g_hash_table_new_full(NULL, NULL, NULL, drop_fid);
    p->devices = g_hash_table_new(NULL, NULL);
    root = tree_root(p->tree);
    p9_qid_path(p, node_device(root), 0);
    node_unref(root);
    return p;
}

void p9_reset(P9Session *p)
{
    GHashTable *fids;

    g_mutex_lock(&p->lock);
    fids = p->fids;
    p->fids = g_hash_table_new_full(NULL, NULL, NULL, drop_fid);
    p->msize = 0;
    g_mutex_unlock(&p->lock);
    g_hash_table_unref(fids);
}

void p9_free(P9Session *p)
{
    g_hash_table_unref(p->fids);
    g_hash_table_unref(p->devices);
    tree_free(p->tree);
    g_mutex_clear(&p->lock);
    g_free(p);
}

/* ---- messages of the session ---- */

int p9_version(P9Request *r)
{
    uint32_t msize = p9_get32(r);
    g_autofree char *version = p9_get_text(r);
    bool known = g_str_equal(version, "9P2000.L");

    if (r->bad) {
        return EINVAL;
    }
    if (msize < P9_MIN_MSIZE) {
        return EMSGSIZE;
    }
    msize = MIN(msize, P9_MAX_MSIZE);
    p9_reset(r->p);
    if (known) {
        g_mutex_lock(&r->p->lock);
        r->p->msize = msize;
        g_mutex_unlock(&r->p->lock);
    }
    p9_put32(r, msize);
    p9_put_text(r, known ? version : "unknown"); /* what a server answers that has not that version */
    return 0;
}

int p9_auth(P9Request *r)
{
    return EOPNOTSUPP; /* nothing to prove: who runs the machine gave it the folder */
}

int p9_flush(P9Request *r)
{
    return 0; /* the transport waited for the message that it names */
}

/* One step of a walk; of folders on other file systems as multidevs= says. */
static Node *step(P9Session *p, Node *dir, const char *name, int *error)
{
    static gint warned;
    Node *node;

    *error = g_str_equal(name, "..") ? 0 : attr_check_name(p->dev, name);
    if (*error) {
        *error = *error == EINVAL ? ENOENT : *error;
        return NULL;
    }
    node = node_walk(dir, name, error);
    if (node && p->dev->multidevs != FS_REMAP && node_device(node) != node_device(dir)) {
        if (p->dev->multidevs == FS_FORBID) {
            node_unref(node);
            *error = ENODEV;
            return NULL;
        }
        if (g_atomic_int_compare_and_exchange(&warned, 0, 1)) {
            log_warn("shared folder '%s' spans several file systems: two of its files may have the same number "
                     "(multidevs=remap avoids that)", p->dev->path);
        }
    }
    return node;
}

int p9_attach(P9Request *r)
{
    uint32_t id = p9_get32(r), afid = p9_get32(r);
    g_autofree char *user = p9_get_text(r), *tree = p9_get_text(r);
    uint32_t uid = p9_get32(r);
    g_auto(GStrv) names = g_strsplit(tree, "/", -1);
    g_autoptr(Node) node = tree_root(r->p->tree);
    g_autoptr(Fid) fid = NULL;
    int error;

    if (r->bad || afid != P9_NOFID) {
        return EINVAL;
    }
    for (char **name = names; *name; name++) {
        if (**name) {
            Node *next = step(r->p, node, *name, &error);

            if (!next) {
                return error;
            }
            node_unref(node);
            node = next;
        }
    }
    fid = p9_fid_new(r->p, id, node_ref(node), uid, &error);
    return fid ? p9_put_qid(r, node) : error;
}

int p9_walk(P9Request *r)
{
    uint32_t id = p9_get32(r), new_id = p9_get32(r);
    unsigned count = p9_get16(r), done = 0;
    g_autoptr(Fid) fid = p9_fid(r->p, id);
    g_autoptr(Node) node = NULL;
    g_autoptr(Fid) made = NULL;
    size_t count_at = r->reply->len;
    int error = 0;

    if (r->bad || count > P9_MAX_WALK) {
        return EINVAL;
    }
    if (!fid) {
        return EBADF;
    }
    node = p9_fid_node(fid);
    p9_put16(r, 0);
    for (; done < count && !error; done++) {
        g_autofree char *name = p9_get_text(r);
        Node *next = r->bad ? NULL : step(r->p, node, name, &error);

        if (r->bad) {
            return EINVAL;
        }
        if (!next || (error = p9_put_qid(r, next))) {
            g_clear_pointer(&next, node_unref);
            break;
        }
        node_unref(node);
        node = next;
    }
    store_le16(r->reply->data + count_at, done);
    if (done < count) {
        return done ? 0 : error; /* how far it came; there is no new fid */
    }
    if (new_id != id) {
        made = p9_fid_new(r->p, new_id, node_ref(node), fid->uid, &error);
        return made ? 0 : error;
    }
    g_mutex_lock(&fid->mutex);
    if (fid->kind == FID_PLAIN) {
        Node *old = fid->node;

        fid->node = node_ref(node);
        node_unref(old);
    } else {
        error = EINVAL;
    }
    g_mutex_unlock(&fid->mutex);
    return error;
}

int p9_clunk(P9Request *r)
{
    uint32_t id = p9_get32(r);
    g_autoptr(Fid) fid = r->bad ? NULL : p9_fid_take(r->p, id);

    if (!fid) {
        return EBADF;
    }
    return fid->kind == FID_XATTR_WRITE ? p9_commit_xattr(fid) : 0;
}

/* ---- serving ---- */

static int dispatch(P9Request *r, uint8_t type)
{
    if (!r->p->msize && type != TVERSION && type != P9_TFLUSH) {
        return EPROTO;
    }
    switch (type) {
#define CASE(number, name) case number: return p9_##name(r);
        P9_MESSAGES(CASE)
#undef CASE
    default:
        return EOPNOTSUPP;
    }
}

static size_t reply(P9Request *r, uint8_t type, uint16_t tag, int error)
{
    uint8_t header[P9_HEADER];
    size_t size;

    if (error) {
        g_byte_array_set_size(r->reply, 0);
        p9_put32(r, error);
        r->data = 0;
    }
    size = P9_HEADER + r->reply->len + r->data;
    if (size > r->in_size) {
        return error ? 0 : reply(r, type, tag, EMSGSIZE);
    }
    store_le32(header, size);
    header[4] = error ? RLERROR : type + 1;
    store_le16(header + 5, tag);
    iov_write(r->in, r->in_count, 0, header, P9_HEADER);
    iov_write(r->in, r->in_count, P9_HEADER, r->reply->data, r->reply->len);
    return size;
}

size_t p9_serve(P9Session *p, const struct iovec *out, unsigned out_count, const struct iovec *in, unsigned in_count)
{
    g_autoptr(GByteArray) body = g_byte_array_new();
    P9Request r = {
        .p = p, .out = out, .out_count = out_count, .in = in, .in_count = in_count,
        .out_size = iov_size(out, out_count), .in_size = iov_size(in, in_count), .reply = body,
    };
    g_autofree uint8_t *copy = NULL;
    uint8_t header[P9_HEADER], type;
    size_t size, keep;
    uint16_t tag;
    int error = 0;

    if (iov_read(out, out_count, 0, header, P9_HEADER) != P9_HEADER) {
        return 0;
    }
    size = load_le32(header);
    type = header[4];
    tag = load_le16(header + 5);
    keep = type == TWRITE ? P9_WRITE_HEADER : P9_MAX_MESSAGE; /* what is written stays where it is */
    if (size < P9_HEADER || size > r.out_size || (type != TWRITE && size > P9_MAX_MESSAGE)) {
        error = EMSGSIZE;
    } else {
        r.size = MIN(size, keep) - P9_HEADER;
        copy = g_malloc(r.size + 1);
        iov_read(out, out_count, P9_HEADER, copy, r.size);
        r.msg = copy;
        r.out_size = size;
        error = dispatch(&r, type);
    }
    trace("p9", "%s: message %u tag %u: %s", p->dev->id, type, tag, error ? g_strerror(error) : "done");
    return reply(&r, type, tag, error);
}

/* ---- snapshots: "fid.N" is kind, flags, user and path ---- */

void p9_save(P9Session *p, GKeyFile *out, const char *group)
{
    GHashTableIter iter;
    gpointer value;

    g_key_file_set_integer(out, group, "p9.msize", p->msize);
    g_hash_table_iter_init(&iter, p->fids);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Fid *fid = value;
        g_autofree char *path = node_path(fid->node), *key = g_strdup_printf("fid.%u", fid->id);
        g_autofree char *escaped = path ? g_strescape(path, NULL) : g_strdup("-"); /* names are bytes */
        g_autofree char *text = g_strdup_printf("%d %u %u %s", fid->kind, fid->flags, fid->uid, *escaped ? escaped : "/");

        g_key_file_set_string(out, group, key, text);
    }
}

/* Attributes that were being read or written are lost: the guest gets an error for them. */
static void restore_fid(P9Session *p, uint32_t id, int kind, uint32_t flags, uint32_t uid, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    Node *node = tree_root(p->tree), *next;
    Fid *fid;
    int error = g_str_equal(path, "-") ? ESTALE : 0;

    for (char **name = names; *name && !error; name++) {
        if (**name) {
            next = step(p, node, *name, &error);
            if (next) {
                node_unref(node);
                node = next;
                error = 0;
            }
        }
    }
    if (error || kind >= FID_XATTR_READ) {
        log_warn("shared folder '%s': '%s' cannot be opened again", p->dev->id, path);
        node_unref(node);
        return;
    }
    fid = p9_fid_new(p, id, node, uid, &error);
    if (fid) {
        if (kind != FID_PLAIN && p9_open_fid(fid, flags & ~(O_TRUNC | O_EXCL | O_CREAT)) != 0) {
            log_warn("shared folder '%s': '%s' cannot be opened again", p->dev->id, path);
        }
        p9_fid_unref(fid);
    }
}

bool p9_load(P9Session *p, GKeyFile *in, const char *group, GError **error)
{
    g_auto(GStrv) keys = g_key_file_get_keys(in, group, NULL, error);
    int msize = g_key_file_get_integer(in, group, "p9.msize", NULL);

    p9_reset(p);
    if (!keys) {
        return false;
    }
    if (msize && (msize < P9_MIN_MSIZE || msize > P9_MAX_MSIZE)) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad message size of '%s'", group);
        return false;
    }
    p->msize = msize;
    for (char **key = keys; *key; key++) {
        g_autofree char *text = g_key_file_get_string(in, group, *key, NULL);
        g_auto(GStrv) parts = g_strsplit(text ? text : "", " ", 4);

        if (g_str_has_prefix(*key, "fid.") && g_strv_length(parts) == 4) {
            g_autofree char *path = g_strcompress(parts[3]);

            restore_fid(p, g_ascii_strtoull(*key + 4, NULL, 10), atoi(parts[0]), g_ascii_strtoull(parts[1], NULL, 10),
                        g_ascii_strtoull(parts[2], NULL, 10), path);
        }
    }
    return true;
}
