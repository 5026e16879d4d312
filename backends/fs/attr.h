/* Owners, modes and device numbers of files, as the security model of a shared folder keeps them. */
#ifndef BACKENDS_FS_ATTR_H
#define BACKENDS_FS_ATTR_H

#include "backends/fs/node.h"

#define ATTR_FOLDER    ".virtfs_metadata"      /* mapped-file: has a file of attributes for each file beside it */
#define ATTR_ROOT_FILE ".virtfs_metadata_root" /* those of the shared folder itself */
#define ATTR_XATTR     "user.virtfs."          /* mapped-xattr: the attributes begin so */

/* What a guest says of a file; a member that has no value is -1. */
typedef struct Attr {
    int64_t uid, gid, mode, rdev;
} Attr;

#define ATTR_NONE ((Attr){ -1, -1, -1, -1 })

bool attr_mapped(const FsDev *dev);
/* A name that a guest may use in a folder: 0, or an error number. */
int attr_check_name(const FsDev *dev, const char *name);
bool attr_hides_name(const FsDev *dev, const char *name);
bool attr_hides_xattr(const FsDev *dev, const char *name);

/* All return 0 or an error number. */
int attr_stat(const FsDev *dev, Node *node, struct stat *st);
int attr_set_owner(const FsDev *dev, Node *node, int64_t uid, int64_t gid); /* -1: leave */
int attr_set_mode(const FsDev *dev, Node *node, unsigned mode);
/* A new file; attr.mode with its type. */
int attr_init(const FsDev *dev, Node *node, const Attr *attr);

/* Of the model mapped-file: what follows the names of files (attr-file.c). */
int attr_file_read(Node *node, Attr *attr);
int attr_file_write(Node *node, const Attr *attr);
void attr_file_renamed(int old_dir, const char *old_name, int new_dir, const char *new_name);
int attr_file_linked(Node *node, int new_dir, const char *new_name);
void attr_file_removed(int dir, const char *name);
void attr_file_emptied(int dir, const char *name); /* folder `name` is to be removed */

#endif
