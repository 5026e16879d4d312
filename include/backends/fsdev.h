/* Folders of the host that guests share: -fsdev local,id=ID,path=FOLDER,security_model=MODEL. */
#ifndef BACKENDS_FSDEV_H
#define BACKENDS_FSDEV_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum FsModel { /* whose owners and modes files have */
    FS_NONE,           /* the host's; failures to change the owner are ignored */
    FS_PASSTHROUGH,    /* the host's */
    FS_MAPPED_XATTR,   /* the guest's, kept in extended attributes user.virtfs.* */
    FS_MAPPED_FILE,    /* the guest's, kept in files below .virtfs_metadata */
} FsModel;

typedef enum FsMultidevs { /* when the folder spans several file systems */
    FS_REMAP,  /* files keep different numbers */
    FS_WARN,   /* they are numbered as on the host, after a warning */
    FS_FORBID, /* those of other file systems are not shown */
} FsMultidevs;

typedef struct FsDev {
    char *id, *path;
    FsModel model;
    FsMultidevs multidevs;
    bool readonly, sync;     /* sync: writeout=immediate */
    unsigned fmode, dmode;   /* of files and folders on the host, in the mapped models */
} FsDev;

bool fsdev_add(const char *text, GError **error); /* -fsdev's text */
/* -virtfs's text: an fsdev; returns the text of the -device that goes with it, which the caller frees, or NULL. */
char *fsdev_add_virtfs(const char *text, GError **error);
FsDev *fsdev_find(const char *id); /* NULL: none */

#endif
