/* What the parts of the 9P server share: sessions, fids, and messages while they are served. */
#ifndef BACKENDS_FS_P9_INTERNAL_H
#define BACKENDS_FS_P9_INTERNAL_H

#include "backends/fs/attr.h"
#include "backends/p9.h"

enum {
    P9_MAX_MSIZE = 1 << 20,
    P9_MIN_MSIZE = 4096,
    P9_MAX_FIDS = 1 << 18,
    P9_MAX_WALK = 16,       /* names in one Twalk */
    P9_MAX_XATTR = 65536,   /* as the kernel has it */
    P9_READ_HEADER = 11,    /* of Rread and Rreaddir: header and count */
    P9_WRITE_HEADER = 23,   /* of Twrite: header, fid, offset, count */
    P9_MAX_MESSAGE = 65536, /* of what is no Twrite: names and targets */
};
#define P9_NOFID UINT32_MAX

typedef enum FidKind { FID_PLAIN, FID_FILE, FID_FOLDER, FID_XATTR_READ, FID_XATTR_WRITE } FidKind;

/* A guest's handle of a file. What is not said to be constant is under `mutex`. */
typedef struct Fid {
    P9Session *p;
    uint32_t id;
    gint refs; /* the table's, and one for each message that uses it */
    uint32_t uid; /* of who attached: owns what is made through it. Constant */
    Node *node;   /* a reference; changes while FID_PLAIN only */
    GMutex mutex;
    FidKind kind;
    int fd, lock_fd; /* of an open file; locks have a description of their own. -1: none */
    uint32_t flags;  /* that it was opened with */
    char *xattr_name;
    GByteArray *xattr;
    uint32_t xattr_flags;
    uint64_t xattr_size; /* promised by Txattrcreate */
} Fid;

struct P9Session {
    FsDev *dev;
    Tree *tree;
    GMutex lock; /* of what follows */
    GHashTable *fids; /* id to Fid */
    GHashTable *devices; /* st_dev to its number, from 1 on */
    uint32_t msize; /* 0: no version yet */
};

/* One message and its reply. */
typedef struct P9Request {
    P9Session *p;
    const struct iovec *out, *in;
    unsigned out_count, in_count;
    size_t out_size, in_size;
    const uint8_t *msg; /* behind the header */
    size_t at, size;
    bool bad; /* it ended too early, or a text has a zero in it */
    GByteArray *reply; /* behind the header */
    size_t data; /* bytes that were put into `in` behind the reply already */
} P9Request;

/* ---- the message: integers are little-endian, texts counted (p9-wire.c) ---- */

uint8_t p9_get8(P9Request *r);
uint16_t p9_get16(P9Request *r);
uint32_t p9_get32(P9Request *r);
uint64_t p9_get64(P9Request *r);
char *p9_get_text(P9Request *r); /* never NULL; caller frees */
void p9_put8(P9Request *r, uint8_t value);
void p9_put16(P9Request *r, uint16_t value);
void p9_put32(P9Request *r, uint32_t value);
void p9_put64(P9Request *r, uint64_t value);
void p9_put_text(P9Request *r, const char *text);
int p9_put_qid(P9Request *r, Node *node); /* 0 or an error number */
/* How many bytes of data a reply of `header` bytes may carry, if the guest wants `count`. */
uint32_t p9_room(const P9Request *r, uint32_t header, uint32_t count);

/* ---- sessions and fids (p9.c) ---- */

Fid *p9_fid(P9Session *p, uint32_t id); /* a new reference; NULL: no such fid */
void p9_fid_unref(Fid *fid);
/* A fid on node (taken), or NULL and an error number: the id is in use, or there are too many. */
Fid *p9_fid_new(P9Session *p, uint32_t id, Node *node, uint32_t uid, int *error);
Fid *p9_fid_take(P9Session *p, uint32_t id); /* out of the table: its reference */
Node *p9_fid_node(Fid *fid); /* a new reference */
/* An open file of fid: its descriptor, valid while the fid is referenced; -1 if it is none of that kind. */
int p9_fid_fd(Fid *fid, FidKind kind);
uint64_t p9_qid_path(P9Session *p, dev_t dev, ino_t ino);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fid, p9_fid_unref)

/* Opens the fid's file and keeps the descriptor in it; 0 or an error number. */
int p9_open_fid(Fid *fid, uint32_t flags);
int p9_commit_xattr(Fid *fid); /* at Tclunk, of FID_XATTR_WRITE */

/* ---- messages: 0 or an error number; each is in the file of its kind ---- */

#define P9_MESSAGES(M)                                                                                        \
    M(8, statfs) M(12, lopen) M(14, lcreate) M(16, symlink) M(18, mknod) M(20, rename) M(22, readlink)        \
    M(24, getattr) M(26, setattr) M(30, xattrwalk) M(32, xattrcreate) M(40, readdir) M(50, fsync) M(52, lock) \
    M(54, getlock) M(70, link) M(72, mkdir) M(74, renameat) M(76, unlinkat) M(100, version) M(102, auth)      \
    M(104, attach) M(108, flush) M(110, walk) M(116, read) M(118, write) M(120, clunk) M(122, remove)

#define P9_DECLARE(number, name) int p9_##name(P9Request *r);
P9_MESSAGES(P9_DECLARE)
#undef P9_DECLARE

#endif
