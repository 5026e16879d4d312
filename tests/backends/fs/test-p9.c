/* The 9P server by its messages: what it does to a folder, and what guests cannot make it do. */
#include "backends/p9.h"
#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LOPEN = 12, LCREATE = 14, SYMLINK = 16, MKNOD = 18, RENAME = 20, READLINK = 22, GETATTR = 24, SETATTR = 26,
    XATTRWALK = 30, XATTRCREATE = 32, READDIR = 40, LINK = 70, MKDIR = 72, RENAMEAT = 74, UNLINKAT = 76, VERSION = 100,
    ATTACH = 104, FLUSH = 108, WALK = 110, READ = 116, WRITE = 118, CLUNK = 120, REMOVE = 122, RLERROR = 7,
};
#define NOFID UINT32_MAX

static char *folder; /* what is shared; `secret` lies beside it */
static P9Session *session;
static uint8_t answer[1 << 20];
static size_t answer_size;

/*
 * One message: format has b, w, d, q (1, 2, 4, 8 bytes), s (text), and D (pointer and size of bytes). Returns the error
 * number of Rlerror, or 0.
 */
static int ask(uint8_t type, const char *format, ...)
{
    g_autoptr(GByteArray) message = g_byte_array_new();
    struct iovec out, in[2] = { { answer, 11 }, { answer + 11, sizeof(answer) - 11 } };
    va_list args;

    g_byte_array_set_size(message, 7);
    va_start(args, format);
    for (; *format; format++) {
        uint8_t bytes[8];

        if (*format == 's') {
            const char *text = va_arg(args, const char *);

            store_le16(bytes, strlen(text));
            g_byte_array_append(message, bytes, 2);
            g_byte_array_append(message, (const uint8_t *)text, strlen(text));
        } else if (*format == 'D') {
            const uint8_t *data = va_arg(args, const uint8_t *);

            g_byte_array_append(message, data, va_arg(args, unsigned));
        } else {
            store_le64(bytes, *format == 'q' ? va_arg(args, uint64_t) : va_arg(args, unsigned));
            g_byte_array_append(message, bytes, *format == 'b' ? 1 : *format == 'w' ? 2 : *format == 'd' ? 4 : 8);
        }
    }
    va_end(args);
    store_le32(message->data, message->len);
    message->data[4] = type;
    store_le16(message->data + 5, 77);
    out = (struct iovec){ message->data, message->len };
    answer_size = p9_serve(session, &out, 1, in, 2);
    g_assert_cmpuint(answer_size, >=, 7);
    g_assert_cmpuint(load_le32(answer), ==, answer_size);
    g_assert_cmpuint(load_le16(answer + 5), ==, 77);
    if (answer[4] == RLERROR) {
        return load_le32(answer + 7);
    }
    g_assert_cmpuint(answer[4], ==, type + 1);
    return 0;
}

static char *path(const char *name)
{
    return g_build_filename(folder, name, NULL);
}

static void put(const char *name, const char *text)
{
    g_autofree char *file = path(name);
    FILE *f = fopen(file, "w");

    g_assert_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static char *get(const char *name)
{
    g_autofree char *file = path(name);
    char *text = NULL;

    g_file_get_contents(file, &text, NULL, NULL);
    return text;
}

static void run(const char *command)
{
    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
}

/* A fresh folder shared with `options`; fid 1 is its root. */
static void share(const char *options)
{
    static int count;
    g_autoptr(GError) error = NULL;
    g_autofree char *id = g_strdup_printf("f%d", count++), *text = NULL, *top = g_dir_make_tmp("myna-p9-XXXXXX", NULL);
    g_autofree char *secret = g_build_filename(top, "secret", NULL);

    g_free(folder);
    folder = g_build_filename(top, "share", NULL);
    g_assert_cmpint(g_mkdir(folder, 0755), ==, 0);
    g_assert_true(g_file_set_contents(secret, "secret", -1, NULL));
    text = g_strdup_printf("local,id=%s,path=%s,%s", id, folder, options);
    g_assert_true(fsdev_add(text, &error));
    session = p9_new(fsdev_find(id), &error);
    g_assert_no_error(error);
    g_assert_cmpint(ask(VERSION, "ds", 65536, "9P2000.L"), ==, 0);
    g_assert_cmpint(ask(ATTACH, "ddssd", 1, NOFID, "", "", 0), ==, 0);
}

static void unshare_folder(void)
{
    g_autofree char *top = g_path_get_dirname(folder), *command = g_strdup_printf("rm -rf %s", top);

    p9_free(session);
    run(command);
}

static void versions_are_agreed_on_or_refused(void)
{
    share("security_model=none");
    g_assert_cmpint(ask(VERSION, "ds", 8192, "9P2000.u"), ==, 0);
    g_assert_cmpmem(answer + 13, 7, "unknown", 7);
    g_assert_cmpint(ask(ATTACH, "ddssd", 1, NOFID, "", "", 0), ==, EPROTO);
    g_assert_cmpint(ask(VERSION, "ds", 8192, "9P2000"), ==, 0);
    g_assert_cmpmem(answer + 13, 7, "unknown", 7);
    g_assert_cmpint(ask(VERSION, "ds", 100, "9P2000.L"), ==, EMSGSIZE);
    g_assert_cmpint(ask(VERSION, "ds", UINT32_MAX, "9P2000.L"), ==, 0);
    g_assert_cmpuint(load_le32(answer + 7), ==, 1 << 20);
    g_assert_cmpint(ask(GETATTR, "dq", 1, (uint64_t)0x7ff), ==, EBADF); /* it ended the session before */
    g_assert_cmpint(ask(200, "d", 1), ==, EOPNOTSUPP);
    unshare_folder();
}

static void files_are_made_written_and_read(void)
{
    g_autofree char *text = NULL;

    share("security_model=none");
    g_assert_cmpint(ask(MKDIR, "dsdd", 1, "d", 0750, getgid()), ==, 0);
    g_assert_cmpint(ask(WALK, "ddws", 1, 2, 1, "d"), ==, 0);
    g_assert_cmpint(ask(LCREATE, "dsddd", 2, "f", O_RDWR, 0640, getgid()), ==, 0);
    g_assert_cmpint(ask(WRITE, "dqdD", 2, (uint64_t)3, 5, "hello", 5), ==, 0);
    g_assert_cmpuint(load_le32(answer + 7), ==, 5);
    g_assert_cmpint(ask(READ, "dqd", 2, (uint64_t)1, 100), ==, 0);
    g_assert_cmpuint(load_le32(answer + 7), ==, 7);
    g_assert_cmpmem(answer + 11, 7, "\0\0hello", 7);
    g_assert_cmpint(ask(WRITE, "dqdD", 2, (uint64_t)0, 100, "hello", 5), ==, EINVAL); /* it has five bytes */
    g_assert_cmpint(ask(READ, "dqd", 2, UINT64_MAX, 100), ==, EINVAL);
    g_assert_cmpint(ask(CLUNK, "d", 2), ==, 0);
    g_assert_cmpint(ask(CLUNK, "d", 2), ==, EBADF);
    text = path("d/f");
    {
        struct stat st;

        g_assert_cmpint(stat(text, &st), ==, 0);
        g_assert_cmpuint(st.st_mode, ==, S_IFREG | 0640);
        g_assert_cmpuint(st.st_size, ==, 8);
    }
    unshare_folder();
}

static void nothing_leads_out_of_the_folder(void)
{
    static const char *const names[] = { "../secret", "/etc/passwd", ".", "", "d/f", "d/../../secret" };
    g_autofree char *link = NULL, *outer = NULL;

    share("security_model=none");
    link = path("link");
    outer = path("outer");
    g_assert_cmpint(symlink("../secret", link), ==, 0);
    g_assert_cmpint(symlink("..", outer), ==, 0);
    put("f", "mine");
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_cmpint(ask(WALK, "ddws", 1, 2, 1, names[i]), !=, 0);
        g_assert_cmpint(ask(MKDIR, "dsdd", 1, names[i], 0755, 0), !=, 0);
        g_assert_cmpint(ask(UNLINKAT, "dsd", 1, names[i], 0), !=, 0);
        g_assert_cmpint(ask(RENAMEAT, "dsds", 1, "f", 1, names[i]), !=, 0);
        g_assert_cmpint(ask(SYMLINK, "dssd", 1, names[i], "x", 0), !=, 0);
        g_assert_cmpint(ask(MKNOD, "dsdddd", 1, names[i], S_IFREG, 0, 0, 0), !=, 0);
    }
    /* ".." of the folder is the folder. */
    g_assert_cmpint(ask(WALK, "ddwsss", 1, 2, 3, "..", "..", "f"), ==, 0);
    g_assert_cmpint(ask(CLUNK, "d", 2), ==, 0);
    g_assert_cmpint(ask(WALK, "ddwss", 1, 2, 2, "..", "secret"), ==, 0);
    g_assert_cmpuint(load_le16(answer + 7), ==, 1); /* names found */
    /* A link is a link: it is not walked through, opened, truncated or replaced by what it means. */
    g_assert_cmpint(ask(WALK, "ddwss", 1, 2, 2, "outer", "secret"), ==, 0);
    g_assert_cmpuint(load_le16(answer + 7), ==, 1);
    g_assert_cmpint(ask(WALK, "ddws", 1, 2, 1, "link"), ==, 0);
    g_assert_cmpint(ask(LOPEN, "dd", 2, O_RDONLY), ==, ELOOP);
    g_assert_cmpint(ask(SETATTR, "ddddd" "qqqqq", 2, 8, 0, 0, 0, (uint64_t)0, (uint64_t)0, (uint64_t)0, (uint64_t)0, (uint64_t)0), !=, 0);
    g_assert_cmpint(ask(WALK, "ddw", 1, 3, 0), ==, 0);
    g_assert_cmpint(ask(LCREATE, "dsddd", 3, "link", O_RDWR | O_TRUNC, 0644, 0), ==, ELOOP);
    g_assert_cmpint(ask(READLINK, "d", 2), ==, 0);
    g_assert_cmpmem(answer + 9, 9, "../secret", 9);
    {
        g_autofree char *secret = get("../secret");

        g_assert_cmpstr(secret, ==, "secret");
    }
    unshare_folder();
}

static void parents_are_how_a_file_was_reached(void)
{
    g_autofree char *from = NULL, *to = NULL;

    share("security_model=none");
    g_assert_cmpint(ask(MKDIR, "dsdd", 1, "d", 0755, getgid()), ==, 0);
    g_assert_cmpint(ask(WALK, "ddws", 1, 2, 1, "d"), ==, 0);
    /* The host takes the folder away: ".." must not follow. */
    from = path("d");
    to = path("../outside");
    g_assert_cmpint(rename(from, to), ==, 0);
    g_assert_cmpint(ask(WALK, "ddwss", 2, 3, 2, "..", "secret"), ==, 0);
    g_assert_cmpuint(load_le16(answer + 7), ==, 1);
    unshare_folder();
}

static void fids_follow_renames_and_outlive_names(void)
{
    g_autofree char *text = NULL;

    share("security_model=none");
    put("a", "1");
    g_assert_cmpint(ask(MKDIR, "dsdd", 1, "d", 0755, getgid()), ==, 0);
    g_assert_cmpint(ask(WALK, "ddws", 1, 2, 1, "a"), ==, 0);
    g_assert_cmpint(ask(WALK, "ddws", 1, 3, 1, "d"), ==, 0);
    g_assert_cmpint(ask(LOPEN, "dd", 2, O_RDWR), ==, 0);
    g_assert_cmpint(ask(RENAMEAT, "dsds", 1, "a", 3, "b"), ==, 0);
    g_assert_cmpint(ask(WRITE, "dqdD", 2, (uint64_t)1, 1, "2", 1), ==, 0);
    g_assert_cmpint(ask(RENAME, "dds", 2, 1, "c"), ==, 0);
    g_assert_cmpint(ask(WRITE, "dqdD", 2, (uint64_t)2, 1, "3", 1), ==, 0);
    text = get("c");
    g_assert_cmpstr(text, ==, "123");
    g_assert_cmpint(ask(UNLINKAT, "dsd", 1, "c", 0), ==, 0);
    g_assert_cmpint(ask(READ, "dqd", 2, (uint64_t)0, 10), ==, 0);
    g_assert_cmpmem(answer + 11, 3, "123", 3);
    g_assert_cmpint(ask(GETATTR, "dq", 2, (uint64_t)0x7ff), ==, 0);
    g_assert_cmpint(ask(REMOVE, "d", 2), ==, ENOENT);
    g_assert_cmpint(ask(REMOVE, "d", 3), ==, 0);
    g_assert_cmpint(ask(WALK, "ddws", 1, 3, 1, "d"), ==, ENOENT);
    /* A folder into itself, and a fid on what the host replaced. */
    g_assert_cmpint(ask(MKDIR, "dsdd", 1, "e", 0755, getgid()), ==, 0);
    g_assert_cmpint(ask(WALK, "ddws", 1, 3, 1, "e"), ==, 0);
    g_assert_cmpint(ask(RENAMEAT, "dsds", 1, "e", 3, "e"), ==, EINVAL);
    put("g", "first");
    g_assert_cmpint(ask(WALK, "ddws", 1, 4, 1, "g"), ==, 0);
    put("g2", "second");
    {
        g_autofree char *from = path("g2"), *to = path("g");

        g_assert_cmpint(rename(from, to), ==, 0);
    }
    g_assert_cmpint(ask(REMOVE, "d", 4), ==, ENOENT);
    g_free(text);
    text = get("g");
    g_assert_cmpstr(text, ==, "second");
    unshare_folder();
}

static void special_files_are_not_opened(void)
{
    g_autofree char *fifo = NULL;

    share("security_model=none");
    fifo = path("fifo");
    g_assert_cmpint(mkfifo(fifo, 0644), ==, 0);
    g_assert_cmpint(ask(WALK, "ddws", 1, 2, 1, "fifo"), ==, 0);
    g_assert_cmpint(ask(LOPEN, "dd", 2, O_RDONLY), ==, ENXIO);
    g_assert_cmpint(ask(WALK, "ddw", 1, 3, 0), ==, 0);
    g_assert_cmpint(ask(LCREATE, "dsddd", 3, "fifo", O_WRONLY, 0644, getgid()), ==, ENXIO);
    unshare_folder();
}

static void readonly_is_readonly(void)
{
    share("security_model=none,readonly=on");
    put("f", "text");
    g_assert_cmpint(ask(MKDIR, "dsdd", 1, "d", 0755, 0), ==, EROFS);
    g_assert_cmpint(ask(UNLINKAT, "dsd", 1, "f", 0), ==, EROFS);
    g_assert_cmpint(ask(RENAMEAT, "dsds", 1, "f", 1, "g"), ==, EROFS);
    g_assert_cmpint(ask(WALK, "ddws", 1, 2, 1, "f"), ==, 0);
    g_assert_cmpint(ask(LINK, "dds", 1, 2, "g"), ==, EROFS);
    g_assert_cmpint(ask(XATTRCREATE, "dsqd", 2, "user.x", (uint64_t)1, 0), ==, EROFS);
    g_assert_cmpint(ask(LOPEN, "dd", 2, O_RDWR), ==, EROFS);
    g_assert_cmpint(ask(LOPEN, "dd", 2, O_RDONLY | O_TRUNC), ==, EROFS);
    g_assert_cmpint(ask(LOPEN, "dd", 2, O_RDONLY), ==, 0);
    g_assert_cmpint(ask(READ, "dqd", 2, (uint64_t)0, 10), ==, 0);
    unshare_folder();
}

static uint32_t field(unsigned offset) /* of Rgetattr, behind valid and qid */
{
    return load_le32(answer + 7 + 8 + 13 + offset);
}

static void mapped_models_keep_what_the_guest_says(void)
{
    static const char *const models[] = { "security_model=mapped-file", "security_model=mapped-xattr" };

    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        g_autofree char *node = NULL, *link = NULL;
        struct stat st;

        share(models[i]);
        node = path("node");
        link = path("link");
        if (ask(MKNOD, "dsdddd", 1, "node", S_IFBLK | 0660, 8, 1, 6) == EOPNOTSUPP) {
            g_test_message("no extended attributes here");
            unshare_folder();
            continue;
        }
        g_assert_cmpint(stat(node, &st), ==, 0);
        g_assert_cmpuint(st.st_mode, ==, S_IFREG | 0600);
        g_assert_cmpuint(st.st_uid, ==, getuid());
        g_assert_cmpint(ask(WALK, "ddws", 1, 2, 1, "node"), ==, 0);
        g_assert_cmpint(ask(SETATTR, "ddddd" "qqqqq", 2, 1 | 2 | 4, 04711, 1000, 1001, (uint64_t)0, (uint64_t)0, (uint64_t)0, (uint64_t)0,
                            (uint64_t)0), ==, 0);
        g_assert_cmpint(ask(GETATTR, "dq", 2, (uint64_t)0x7ff), ==, 0);
        g_assert_cmpuint(field(0), ==, S_IFBLK | 04711);
        g_assert_cmpuint(field(4), ==, 1000);
        g_assert_cmpuint(field(8), ==, 1001);
        g_assert_cmpuint(field(20), ==, 0x801);
        g_assert_cmpint(ask(LOPEN, "dd", 2, O_RDONLY), ==, ENXIO);
        g_assert_cmpint(ask(SYMLINK, "dssd", 1, "link", "/etc/passwd", 0), ==, 0);
        g_assert_cmpint(lstat(link, &st), ==, 0);
        g_assert_true(S_ISREG(st.st_mode));
        g_assert_cmpint(ask(WALK, "ddws", 1, 3, 1, "link"), ==, 0);
        g_assert_cmpint(ask(READLINK, "d", 3), ==, 0);
        g_assert_cmpmem(answer + 9, 11, "/etc/passwd", 11);
        /* Renames and removals take the attributes along. */
        g_assert_cmpint(ask(RENAMEAT, "dsds", 1, "node", 1, "node2"), ==, 0);
        g_assert_cmpint(ask(GETATTR, "dq", 2, (uint64_t)0x7ff), ==, 0);
        g_assert_cmpuint(field(4), ==, 1000);
        g_assert_cmpint(ask(MKDIR, "dsdd", 1, "d", 0700, 0), ==, 0);
        g_assert_cmpint(ask(WALK, "ddws", 1, 4, 1, "d"), ==, 0);
        g_assert_cmpint(ask(SYMLINK, "dssd", 4, "x", "y", 0), ==, 0);
        g_assert_cmpint(ask(UNLINKAT, "dsd", 1, "d", 0x200), ==, ENOTEMPTY);
        g_assert_cmpint(ask(UNLINKAT, "dsd", 4, "x", 0), ==, 0);
        g_assert_cmpint(ask(UNLINKAT, "dsd", 1, "d", 0x200), ==, 0);
        /* What holds them is not shown. */
        g_assert_cmpint(ask(XATTRCREATE, "dsqd", 3, "user.virtfs.uid", (uint64_t)4, 0), ==, EOPNOTSUPP);
        if (i == 0) {
            g_assert_cmpint(ask(WALK, "ddws", 1, 5, 1, ".virtfs_metadata"), ==, EACCES);
            g_assert_cmpint(ask(UNLINKAT, "dsd", 1, ".virtfs_metadata", 0x200), ==, EACCES);
        }
        unshare_folder();
    }
}

static void many_files_need_few_descriptors(void)
{
    enum { FILES = 800 };
    struct rlimit limit;
    int open_now = 0;

    share("security_model=none");
    for (unsigned i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("n%u", i);

        put(name, name);
        g_assert_cmpint(ask(WALK, "ddws", 1, 10 + i, 1, name), ==, 0);
    }
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    for (int fd = 0; fd < 5000; fd++) {
        open_now += fcntl(fd, F_GETFD) >= 0;
    }
    g_assert_cmpint(open_now, <, 512);
    for (unsigned i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("n%u", i);

        g_assert_cmpint(ask(LOPEN, "dd", 10 + i, O_RDONLY), ==, i < 250 ? 0 : answer[4] == RLERROR ? ENFILE : 0);
        if (answer[4] != RLERROR) {
            g_assert_cmpint(ask(READ, "dqd", 10 + i, (uint64_t)0, 10), ==, 0);
            g_assert_cmpmem(answer + 11, load_le32(answer + 7), name, strlen(name));
        }
        g_assert_cmpint(ask(CLUNK, "d", 10 + i), ==, 0);
    }
    unshare_folder();
}

static void folders_are_listed_from_any_place(void)
{
    enum { FILES = 500 };
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    uint64_t offset = 0;

    share("security_model=none");
    for (unsigned i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("file-number-%u", i);

        put(name, "");
    }
    g_assert_cmpint(ask(WALK, "ddw", 1, 2, 0), ==, 0);
    g_assert_cmpint(ask(LOPEN, "dd", 2, O_RDONLY), ==, 0);
    g_assert_cmpint(ask(READDIR, "dqd", 1, (uint64_t)0, 4096), ==, EBADF);
    for (;;) {
        uint32_t size;

        g_assert_cmpint(ask(READDIR, "dqd", 2, offset, 1000), ==, 0);
        size = load_le32(answer + 7);
        g_assert_cmpuint(size, <=, 1000);
        if (!size) {
            break;
        }
        for (uint32_t at = 0; at < size;) {
            const uint8_t *entry = answer + 11 + at;
            unsigned length = load_le16(entry + 22);

            g_assert_true(g_hash_table_add(names, g_strndup((const char *)entry + 24, length)));
            offset = load_le64(entry + 13);
            at += 24 + length;
        }
    }
    g_assert_cmpuint(g_hash_table_size(names), ==, FILES + 2);
    unshare_folder();
}

static void a_snapshot_opens_the_fids_again(void)
{
    g_autoptr(GKeyFile) saved = g_key_file_new();
    g_autoptr(GError) error = NULL;

    share("security_model=none");
    put("f", "contents");
    put("gone", "x");
    g_assert_cmpint(ask(WALK, "ddws", 1, 2, 1, "f"), ==, 0);
    g_assert_cmpint(ask(LOPEN, "dd", 2, O_RDWR | O_TRUNC), ==, 0);
    g_assert_cmpint(ask(WRITE, "dqdD", 2, (uint64_t)0, 4, "text", 4), ==, 0);
    g_assert_cmpint(ask(WALK, "ddws", 1, 3, 1, "gone"), ==, 0);
    p9_save(session, saved, "s");
    p9_reset(session);
    g_assert_cmpint(ask(GETATTR, "dq", 1, (uint64_t)0x7ff), ==, EPROTO);
    {
        g_autofree char *gone = path("gone");

        unlink(gone);
    }
    g_assert_true(p9_load(session, saved, "s", &error));
    g_assert_cmpint(ask(READ, "dqd", 2, (uint64_t)0, 10), ==, 0);
    g_assert_cmpmem(answer + 11, load_le32(answer + 7), "text", 4);
    g_assert_cmpint(ask(GETATTR, "dq", 3, (uint64_t)0x7ff), !=, 0);
    g_assert_cmpint(ask(GETATTR, "dq", 1, (uint64_t)0x7ff), ==, 0);
    unshare_folder();
}

/* Anything at all, in two threads: it answers, and what is outside stays as it is. */
static void *noise(void *data)
{
    static const uint8_t types[] = { 8, 12, 14, 16, 18, 20, 22, 24, 26, 30, 32, 40, 52, 54, 70, 72, 74, 76, 104, 108, 110, 110, 110, 116, 118, 120, 122 };
    static const char *const names[] = { "a", "b", "..", "c", "/", "" };
    g_autoptr(GRand) rand = g_rand_new_with_seed(GPOINTER_TO_UINT(data));
    uint8_t message[300], room[9000];

    for (int i = 0; i < 20000; i++) {
        unsigned size = g_rand_int_range(rand, 7, sizeof(message)), at = 7;
        struct iovec out = { message, size }, in = { room, g_rand_int_range(rand, 7, sizeof(room)) };

        for (unsigned n = 0; n < sizeof(message); n++) {
            message[n] = g_rand_int(rand);
        }
        store_le32(message, size - g_rand_int_range(rand, 0, 2));
        message[4] = types[g_rand_int_range(rand, 0, G_N_ELEMENTS(types))];
        store_le32(message + at, g_rand_int_range(rand, 1, 8));
        at += 4;
        if (message[4] == 110) {
            store_le32(message + at, g_rand_int_range(rand, 1, 8));
            store_le16(message + at + 4, g_rand_int_range(rand, 0, 3));
            at += 6;
        } else if (message[4] == 12) {
            store_le32(message + at, g_rand_int_range(rand, 0, 3));
        } else if (message[4] == 116 || message[4] == 40) {
            store_le64(message + at, g_rand_int_range(rand, 0, 100));
        }
        for (int n = 0; n < 3 && at < 200; n++) {
            const char *name = names[g_rand_int_range(rand, 0, G_N_ELEMENTS(names))];

            store_le16(message + at, strlen(name));
            memcpy(message + at + 2, name, strlen(name));
            at += 2 + strlen(name);
            if (message[4] == 74 && n == 0) {
                store_le32(message + at, g_rand_int_range(rand, 1, 8));
                at += 4;
            }
        }
        g_assert_cmpuint(p9_serve(session, &out, 1, &in, 1), <=, in.iov_len);
    }
    return NULL;
}

static void noise_is_answered(void)
{
    static const char *const models[] = { "none", "mapped-file", "mapped-xattr" };

    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        g_autofree char *options = g_strconcat("security_model=", models[i], NULL), *secret = NULL;
        GThread *other;

        share(options);
        other = g_thread_new("noise", noise, GUINT_TO_POINTER(2 * i + 1));
        noise(GUINT_TO_POINTER(2 * i + 2));
        g_thread_join(other);
        secret = get("../secret");
        g_assert_cmpstr(secret, ==, "secret");
        unshare_folder();
    }
}

static void options_are_checked(void)
{
    static const char *const wrong[] = {
        "local,id=x,path=/tmp", "local,path=/tmp,security_model=none", "local,id=x,security_model=none",
        "proxy,id=x,path=/tmp", "local,id=x,path=/tmp,security_model=open", "local,id=x,path=/tmp,security_model=none,fmode=0600",
        "local,id=x,path=/tmp,security_model=mapped,fmode=9", "local,id=x,path=/tmp,security_model=none,multidevs=some",
        "local,id=x,path=/tmp,security_model=none,nonsense=1", "local,id=x,path=/tmp,security_model=none,writeout=late",
    };
    g_autoptr(GError) error = NULL;
    g_autofree char *device = fsdev_add_virtfs("local,path=/tmp,mount_tag=tag,,1,security_model=mapped-xattr", &error);

    g_assert_no_error(error);
    g_assert_cmpstr(device, ==, "virtio-9p-pci,fsdev=tag,,1,mount_tag=tag,,1");
    g_assert_null(fsdev_add_virtfs("local,path=/tmp,security_model=none", NULL));
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_false(fsdev_add(wrong[i], &error));
        g_assert_error(error, VM_ERROR, VM_ERROR_USER);
        g_clear_error(&error);
    }
    g_assert_true(fsdev_add("local,id=nowhere,path=/nonexistent,security_model=none", &error));
    g_assert_null(p9_new(fsdev_find("nowhere"), &error));
    g_assert_error(error, VM_ERROR, VM_ERROR_HOST);
}

int main(int argc, char **argv)
{
    struct rlimit few = { 600, 600 };

    setrlimit(RLIMIT_NOFILE, &few); /* so that reclaiming descriptors is seen */
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/p9/versions_are_agreed_on_or_refused", versions_are_agreed_on_or_refused);
    g_test_add_func("/p9/files_are_made_written_and_read", files_are_made_written_and_read);
    g_test_add_func("/p9/nothing_leads_out_of_the_folder", nothing_leads_out_of_the_folder);
    g_test_add_func("/p9/parents_are_how_a_file_was_reached", parents_are_how_a_file_was_reached);
    g_test_add_func("/p9/fids_follow_renames_and_outlive_names", fids_follow_renames_and_outlive_names);
    g_test_add_func("/p9/special_files_are_not_opened", special_files_are_not_opened);
    g_test_add_func("/p9/readonly_is_readonly", readonly_is_readonly);
    g_test_add_func("/p9/mapped_models_keep_what_the_guest_says", mapped_models_keep_what_the_guest_says);
    g_test_add_func("/p9/many_files_need_few_descriptors", many_files_need_few_descriptors);
    g_test_add_func("/p9/folders_are_listed_from_any_place", folders_are_listed_from_any_place);
    g_test_add_func("/p9/a_snapshot_opens_the_fids_again", a_snapshot_opens_the_fids_again);
    g_test_add_func("/p9/noise_is_answered", noise_is_answered);
    g_test_add_func("/p9/options_are_checked", options_are_checked);
    return g_test_run();
}
