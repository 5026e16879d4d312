/* Run in a guest by share.py: what a shell cannot ask of a file system. Prints BOOT-FAIL lines for what is wrong. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            printf("BOOT-FAIL share.c:%d: %s: %s\n", __LINE__, #condition, strerror(errno)); \
        }                                                                         \
    } while (0)

static int try_lock(int fd, short type, off_t start, off_t length)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };

    return fcntl(fd, F_SETLK, &lock) == 0 ? 0 : errno;
}

/* The host holds a write lock of the first ten bytes of `held`. */
static void locks(void)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 5 };
    int fd = open("held", O_RDWR), reader = open("held", O_RDONLY);

    CHECK(fd >= 0 && reader >= 0);
    CHECK(try_lock(fd, F_WRLCK, 0, 0) == EAGAIN);
    CHECK(try_lock(fd, F_RDLCK, 9, 1) == EAGAIN);
    CHECK(try_lock(fd, F_WRLCK, 10, 5) == 0);
    CHECK(try_lock(fd, F_UNLCK, 10, 5) == 0);
    CHECK(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK);
    CHECK(flock(reader, LOCK_EX | LOCK_NB) != 0 && errno == EAGAIN);
    close(fd);
    close(reader);
    reader = open("free", O_RDONLY | O_CREAT, 0644);
    CHECK(flock(reader, LOCK_EX | LOCK_NB) == 0);
    CHECK(flock(reader, LOCK_UN) == 0);
    close(reader);
}

static void attributes(int expected)
{
    char value[100], big[4000];

    if (!expected) {
        return;
    }
    CHECK(setxattr("small", "user.one", "value", 5, XATTR_CREATE) == 0);
    CHECK(setxattr("small", "user.one", "value", 5, XATTR_CREATE) != 0 && errno == EEXIST);
    CHECK(getxattr("small", "user.one", value, sizeof(value)) == 5 && memcmp(value, "value", 5) == 0);
    memset(big, 'x', sizeof(big));
    CHECK(setxattr("small", "user.big", big, 2000, 0) == 0);
    CHECK(getxattr("small", "user.big", big, sizeof(big)) == 2000);
    CHECK(listxattr("small", big, sizeof(big)) == 18);
    CHECK(removexattr("small", "user.one") == 0);
    CHECK(getxattr("small", "user.one", value, sizeof(value)) < 0 && errno == ENODATA);
    CHECK(setxattr("small", "user.virtfs.uid", "\0\0\0\0", 4, 0) != 0 || expected == 1);
    CHECK(removexattr("small", "user.big") == 0);
}

static void mapping(void)
{
    int fd = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char *memory;

    CHECK(ftruncate(fd, 20000) == 0);
    memory = mmap(NULL, 20000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) { /* without a cache there is no shared mapping */
        close(fd);
        return;
    }
    memset(memory, 'm', 20000);
    CHECK(msync(memory, 20000, MS_SYNC) == 0);
    CHECK(munmap(memory, 20000) == 0);
    close(fd);
    printf("BOOT-MAPPED\n");
}

int main(int argc, char **argv)
{
    struct statfs fs;
    char text[3];
    int fd;

    if (argc < 3 || chdir(argv[1]) != 0) {
        return 1;
    }
    CHECK(statfs(".", &fs) == 0 && fs.f_type == 0x01021997 && fs.f_blocks && fs.f_namelen == 255);
    locks();
    attributes(argv[2][0] - '0');
    mapping();
    fd = open("append", O_WRONLY | O_CREAT | O_APPEND, 0600);
    CHECK(write(fd, "a", 1) == 1 && write(fd, "b", 1) == 1 && fsync(fd) == 0 && fdatasync(fd) == 0);
    close(fd);
    fd = open("append", O_RDONLY);
    CHECK(read(fd, text, 3) == 2 && memcmp(text, "ab", 2) == 0);
    close(fd);
    CHECK(open("append", O_WRONLY | O_CREAT | O_EXCL, 0600) < 0 && errno == EEXIST);
    CHECK(mkdir("append", 0700) != 0 && errno == EEXIST);
    CHECK(open("append/x", O_RDONLY) < 0 && errno == ENOTDIR);
    printf("BOOT-C\n");
    return 0;
}
