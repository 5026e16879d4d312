/*
 * The tree of names that a guest has walked to.
 *
 * A node holds an O_PATH descriptor of its file, so it goes on meaning that file whatever happens to the name. There
 * may be more nodes than descriptors: the least recently used are closed, and opened again by name from their folder,
 * if what is there then is the same file still.
 */
#include "backends/fs/node.h"

#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct Tree {
    GMutex lock; /* of everything here and in nodes */
    Node *root;
    GHashTable *by_name; /* set of nodes, by folder and name */
    GQueue idle;         /* nodes whose descriptor nobody uses, the longest unused first */
};

struct Node {
    Tree *tree;
    Node *parent; /* a reference; NULL: the root, or removed */
    char *name;
    int fd; /* -1: closed */
    unsigned refs, pins;
    bool removed;
    GList idle; /* its data is the node while it is in tree->idle */
    dev_t dev;
    ino_t ino;
};

/* ---- descriptors ---- */

static atomic_uint descriptors;

/* A quarter of what the process may have is left to everybody else. */
static unsigned descriptor_limit(void)
{
    static unsigned limit;

    if (!limit) {
        struct rlimit r;

        if (getrlimit(RLIMIT_NOFILE, &r) != 0) {
            return 256;
        }
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
        getrlimit(RLIMIT_NOFILE, &r);
        limit = MIN(r.rlim_cur, 1 << 20) / 4 * 3;
    }
    return limit;
}

bool descriptor_take(void)
{
    if (atomic_fetch_add(&descriptors, 1) < descriptor_limit()) {
        return true;
    }
    atomic_fetch_sub(&descriptors, 1);
    return false;
}

void descriptor_give(void)
{
    atomic_fetch_sub(&descriptors, 1);
}

FdPath fd_path(int fd)
{
    FdPath path;

    snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
    return path;
}

/* ---- under the lock ---- */

static guint node_hash(gconstpointer key)
{
    const Node *node = key;

    return g_direct_hash(node->parent) * 31 + g_str_hash(node->name);
}

static gboolean node_equal(gconstpointer a, gconstpointer b)
{
    const Node *x = a, *y = b;

    return x->parent == y->parent && g_str_equal(x->name, y->name);
}

static void leave_idle(Node *node)
{
    if (node->idle.data) {
        g_queue_unlink(&node->tree->idle, &node->idle);
        node->idle.data = NULL;
    }
}

static void close_node(Node *node)
{
    leave_idle(node);
    if (node->fd >= 0) {
        close(node->fd);
        descriptor_give();
        node->fd = -1;
    }
}

static void unref_locked(Node *node)
{
    while (node && --node->refs == 0) {
        Node *parent = node->parent;

        if (parent && !node->removed) {
            g_hash_table_remove(node->tree->by_name, node);
        }
        close_node(node);
        g_free(node->name);
        g_free(node);
        node = parent;
    }
}

/* Room for one more, at the cost of what is unused if more than half of all are open. */
static bool take_locked(Tree *tree)
{
    while (tree->idle.head && atomic_load(&descriptors) >= descriptor_limit() / 2) {
        close_node(tree->idle.head->data);
    }
    return descriptor_take();
}

static void idle_locked(Node *node)
{
    if (!node->pins && node->fd >= 0 && node->parent && !node->removed && !node->idle.data) {
        node->idle.data = node;
        g_queue_push_tail_link(&node->tree->idle, &node->idle);
    }
}

static int open_below(int dir, const char *name)
{
    int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* The handle by way of the nearest folder that has one; -errno if a name means another file now. */
static int reopen_locked(Node *node)
{
    g_autoptr(GPtrArray) closed = g_ptr_array_new();

    for (Node *n = node; n->fd < 0; n = n->parent) {
        if (n->removed || !n->parent) {
            return -ESTALE;
        }
        g_ptr_array_add(closed, n);
    }
    while (closed->len) {
        Node *n = g_ptr_array_steal_index(closed, closed->len - 1);
        struct stat st;
        int fd;

        n->parent->pins++; /* it is not the one to be closed now */
        leave_idle(n->parent);
        if (!take_locked(n->tree)) {
            fd = -ENFILE;
        } else if ((fd = open_below(n->parent->fd, n->name)) < 0) {
            descriptor_give();
        } else if (fstat(fd, &st) != 0 || st.st_dev != n->dev || st.st_ino != n->ino) {
            close(fd);
            descriptor_give();
            fd = -ESTALE;
        }
        n->parent->pins--;
        idle_locked(n->parent);
        if (fd < 0) {
            return fd == -ENOENT || fd == -ENOTDIR ? -ESTALE : fd;
        }
        n->fd = fd;
        idle_locked(n);
    }
    return node->fd;
}

static void remove_locked(Node *node)
{
    Node *parent = node->parent;

    g_hash_table_remove(node->tree->by_name, node);
    leave_idle(node); /* its descriptor is all that is left */
    node->removed = true;
    node->parent = NULL;
    unref_locked(parent);
}

static Node *find_locked(Node *dir, const char *name)
{
    Node key = { .parent = dir, .name = (char *)name };

    return g_hash_table_lookup(dir->tree->by_name, &key);
}

/* ---- for others ---- */

Tree *tree_new(const char *path, GError **error)
{
    Tree *tree;
    struct stat st;
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) != 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open folder '%s': %s", path, g_strerror(errno));
        return NULL;
    }
    tree = g_new0(Tree, 1);
    g_mutex_init(&tree->lock);
    tree->by_name = g_hash_table_new(node_hash, node_equal);
    tree->root = g_new0(Node, 1);
    descriptor_take();
    *tree->root = (Node){ .tree = tree, .fd = fd, .refs = 1, .dev = st.st_dev, .ino = st.st_ino };
    return tree;
}

void tree_free(Tree *tree)
{
    g_assert(tree->root->refs == 1 && !g_hash_table_size(tree->by_name));
    node_unref(tree->root);
    g_hash_table_unref(tree->by_name);
    g_mutex_clear(&tree->lock);
    g_free(tree);
}

Node *tree_root(Tree *tree)
{
    return node_ref(tree->root);
}

Node *node_ref(Node *node)
{
    g_mutex_lock(&node->tree->lock);
    node->refs++;
    g_mutex_unlock(&node->tree->lock);
    return node;
}

void node_unref(Node *node)
{
    Tree *tree = node->tree;

    g_mutex_lock(&tree->lock);
    unref_locked(node);
    g_mutex_unlock(&tree->lock);
}

Pin node_pin(Node *node)
{
    Pin pin = { node };

    g_mutex_lock(&node->tree->lock);
    node->pins++;
    leave_idle(node);
    pin.fd = node->fd >= 0 ? node->fd : reopen_locked(node);
    g_mutex_unlock(&node->tree->lock);
    return pin;
}

void pin_clear(Pin *pin)
{
    if (pin->node) {
        g_mutex_lock(&pin->node->tree->lock);
        pin->node->pins--;
        idle_locked(pin->node);
        g_mutex_unlock(&pin->node->tree->lock);
        pin->node = NULL;
    }
}

static Node *node_new(Node *dir, const char *name, int fd, const struct stat *st)
{
    Node *node = g_new0(Node, 1);

    *node = (Node){ .tree = dir->tree, .parent = dir, .name = g_strdup(name), .fd = fd, .refs = 1, .dev = st->st_dev,
                    .ino = st->st_ino };
    dir->refs++;
    g_hash_table_add(dir->tree->by_name, node);
    return node;
}

/* fd is the host's file of that name; taken. */
static Node *node_for(Node *dir, const char *name, int fd, const struct stat *st)
{
    Node *node = find_locked(dir, name);

    if (node && (node->dev != st->st_dev || node->ino != st->st_ino)) {
        remove_locked(node); /* the host put another there */
        node = NULL;
    }
    if (!node) {
        node = node_new(dir, name, fd, st);
    } else {
        node->refs++;
        if (node->fd < 0) {
            node->fd = fd;
        } else {
            close(fd);
            descriptor_give();
        }
    }
    idle_locked(node);
    return node;
}

Node *node_walk(Node *dir, const char *name, int *error)
{
    Tree *tree = dir->tree;
    g_auto(Pin) pin = node_pin(dir);
    Node *node = NULL;
    struct stat st;
    bool may;
    int fd = pin.fd;

    if (fd < 0) {
        *error = -fd;
        return NULL;
    }
    if (g_str_equal(name, "..")) {
        g_mutex_lock(&tree->lock);
        node = dir->parent ? dir->parent : dir->removed ? NULL : dir;
        if (node) {
            node->refs++;
        }
        g_mutex_unlock(&tree->lock);
        *error = ESTALE;
        return node;
    }
    g_mutex_lock(&tree->lock);
    may = take_locked(tree);
    g_mutex_unlock(&tree->lock);
    fd = may ? open_below(pin.fd, name) : -ENFILE;
    if (fd < 0) {
        if (may) {
            descriptor_give();
        }
        *error = -fd;
        return NULL;
    }
    if (fstat(fd, &st) != 0) {
        *error = errno;
        close(fd);
        descriptor_give();
        return NULL;
    }
    g_mutex_lock(&tree->lock);
    node = node_for(dir, name, fd, &st);
    g_mutex_unlock(&tree->lock);
    return node;
}

bool node_place(Node *node, Node **dir, char **name)
{
    bool placed;

    g_mutex_lock(&node->tree->lock);
    placed = !node->removed;
    if (placed) {
        *dir = node->parent ? node->parent : node;
        (*dir)->refs++;
        *name = g_strdup(node->name);
    }
    g_mutex_unlock(&node->tree->lock);
    return placed;
}

char *node_path(Node *node)
{
    GString *path = g_string_new(NULL);
    Tree *tree = node->tree;
    bool removed;

    g_mutex_lock(&tree->lock);
    for (; node->parent; node = node->parent) {
        g_string_prepend(path, node->name);
        g_string_prepend_c(path, '/');
    }
    removed = node->removed;
    g_mutex_unlock(&tree->lock);
    return g_string_free(path, removed);
}

dev_t node_device(const Node *node)
{
    return node->dev;
}

static bool is_above(const Node *node, const Node *below)
{
    while (below && below != node) {
        below = below->parent;
    }
    return below != NULL;
}

void node_renamed(Node *old_dir, const char *old_name, Node *new_dir, const char *new_name)
{
    Tree *tree = old_dir->tree;
    Node *node, *there;

    g_mutex_lock(&tree->lock);
    node = find_locked(old_dir, old_name);
    there = find_locked(new_dir, new_name);
    if (there && there != node) {
        remove_locked(there);
    }
    if (node && is_above(node, new_dir)) {
        remove_locked(node); /* the host moved folders meanwhile: the tree must not become a ring */
    } else if (node) {
        g_hash_table_remove(tree->by_name, node);
        node->parent = new_dir;
        new_dir->refs++;
        g_free(node->name);
        node->name = g_strdup(new_name);
        g_hash_table_add(tree->by_name, node);
        unref_locked(old_dir);
    }
    g_mutex_unlock(&tree->lock);
}

void node_removed(Node *dir, const char *name)
{
    Node *node;

    g_mutex_lock(&dir->tree->lock);
    node = find_locked(dir, name);
    if (node) {
        remove_locked(node);
    }
    g_mutex_unlock(&dir->tree->lock);
}
