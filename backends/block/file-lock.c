/*
 * Locks against double use of an image, between our processes and with qemu's, which has the same bytes: a shared lock on
 * byte 100 + n says "I use permission n", one on byte 200 + n "nobody else may". They belong to the open file, so two
 * opens in one process exclude each other as well.
 */
#include "backends/block/file.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>

enum { PERM_READ = 0, PERM_WRITE = 1, PERM_RESIZE = 3, PERMS = 4 };
enum { USED_BASE = 100, UNSHARED_BASE = 200 };

static int set_lock(int fd, int type, off_t at)
{
    struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

    return fcntl(fd, F_OFD_SETLK, &l) < 0 ? errno : 0;
}

static bool somebody_has(int fd, off_t at)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

static int apply(int fd, unsigned used, unsigned unshared)
{
    int failed = 0;

    for (int i = 0; i < PERMS && !failed; i++) {
        failed = set_lock(fd, used >> i & 1 ? F_RDLCK : F_UNLCK, USED_BASE + i);
        failed = failed ? failed : set_lock(fd, unshared >> i & 1 ? F_RDLCK : F_UNLCK, UNSHARED_BASE + i);
    }
    return failed;
}

bool file_lock(int fd, const char *path, unsigned flags, FileLocking locking, GError **error)
{
    static const char *const names[PERMS] = { "consistent read", "write", "write unchanged", "resize" };
    bool readonly = flags & BLOCK_OPEN_READONLY;
    unsigned used = readonly ? 1 << PERM_READ : 1 << PERM_READ | 1 << PERM_WRITE | 1 << PERM_RESIZE;
    unsigned unshared = flags & BLOCK_OPEN_SHARE_RW ? 0 : 1 << PERM_WRITE | 1 << PERM_RESIZE;
    int failed;

    if (locking == LOCKING_OFF || flags & BLOCK_OPEN_NO_LOCK) {
        return true;
    }
    failed = apply(fd, used, unshared);
    if (failed && locking == LOCKING_AUTO && (failed == EINVAL || failed == ENOLCK || failed == EOPNOTSUPP)) {
        return true; /* this file system has no locks */
    }
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot lock '%s': %s", path, g_strerror(failed));
        return false;
    }
    for (int i = 0; i < PERMS; i++) {
        bool denied = used >> i & 1 && somebody_has(fd, UNSHARED_BASE + i);

        if (denied || (unshared >> i & 1 && somebody_has(fd, USED_BASE + i))) {
            apply(fd, 0, 0);
            g_set_error(error, VM_ERROR, VM_ERROR_HOST,
                        "cannot get the %s\"%s\" lock of '%s': another process uses the image, or this one a second time",
                        denied ? "" : "shared ", names[i], path);
            return false;
        }
    }
    return true;
}
