/* The files that a guest knows, as a tree of names below the shared folder, each with a handle on the host. */
#ifndef BACKENDS_FS_NODE_H
#define BACKENDS_FS_NODE_H

#include "backends/fsdev.h"

#include <sys/stat.h>
#include <sys/types.h>

typedef struct Tree Tree;
typedef struct Node Node;

/* A node with its handle open: an O_PATH descriptor, or -errno if it cannot be had. */
typedef struct Pin {
    Node *node; /* borrowed */
    int fd;
} Pin;

Tree *tree_new(const char *path, GError **error);
void tree_free(Tree *tree); /* no nodes are left but the root */
Node *tree_root(Tree *tree); /* a new reference */

Node *node_ref(Node *node);
void node_unref(Node *node);
Pin node_pin(Node *node);
void pin_clear(Pin *pin);
/* What `name`, one component, is in folder `dir`: a new reference, or NULL and an error number. ".." is how dir was
 * reached. */
Node *node_walk(Node *dir, const char *name, int *error);
/* How node was reached, as new references; false: it was removed. The root's name is NULL. */
bool node_place(Node *node, Node **dir, char **name);
char *node_path(Node *node); /* from the root, "" for it; NULL: it was removed. Caller frees */
dev_t node_device(const Node *node);
/* What was done to the host's files is noted. */
void node_renamed(Node *old_dir, const char *old_name, Node *new_dir, const char *new_name);
void node_removed(Node *dir, const char *name);

/* Descriptors are a resource of the whole process: false if guests have had enough of them. */
bool descriptor_take(void);
void descriptor_give(void);

/* "/proc/self/fd/N": the file itself, for calls that take no O_PATH descriptor. */
typedef struct FdPath {
    char text[32];
} FdPath;
FdPath fd_path(int fd);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pin, pin_clear)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Node, node_unref)

#endif
