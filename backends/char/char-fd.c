/* Character backends on file descriptors: terminal, pseudo terminal, file, pipe, device, null. */
#include "backends/char/char-internal.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

typedef struct FdChar {
    int in, out; /* -1: none */
    guint source;
    guint retry; /* a pty whose other end is closed is looked at once in a while */
    bool keep;   /* standard input and output are not ours to close */
    char *link;  /* a symbolic link to remove at the end */
} FdChar;

static struct termios saved_terminal;
static bool terminal_saved;

void char_restore_terminal(void)
{
    if (terminal_saved) {
        tcsetattr(STDIN_FILENO, TCSANOW, &saved_terminal);
        terminal_saved = false;
    }
}

static void fd_write(CharBackend *chr, const uint8_t *data, size_t size)
{
    FdChar *fc = char_opaque(chr);
    int tries = 0;

    while (size && fc->out >= 0) {
        ssize_t n = write(fc->out, data, size);

        if (n > 0) {
            data += n;
            size -= n;
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN && ++tries < 100) {
            g_usleep(1000); /* a slow terminal: wait a little, never for long */
        } else {
            return;
        }
    }
}

static void watch(CharBackend *chr);

static gboolean look_again(gpointer opaque)
{
    CharBackend *chr = opaque;
    FdChar *fc = char_opaque(chr);

    fc->retry = 0;
    watch(chr);
    return G_SOURCE_REMOVE;
}

static gboolean readable(gint fd, GIOCondition condition, gpointer opaque)
{
    CharBackend *chr = opaque;
    FdChar *fc = char_opaque(chr);
    uint8_t buf[4096];
    size_t room = char_room(chr);
    ssize_t n;

    if (!room) {
        fc->source = 0;
        fc->retry = g_timeout_add(20, look_again, chr);
        return G_SOURCE_REMOVE;
    }
    n = read(fd, buf, MIN(room, sizeof(buf)));
    if (n > 0) {
        char_deliver(chr, buf, n);
        return G_SOURCE_CONTINUE;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    fc->source = 0;
    if (n < 0 && errno == EIO) { /* nobody has the pty open yet */
        fc->retry = g_timeout_add(200, look_again, chr);
    }
    return G_SOURCE_REMOVE;
}

static void watch(CharBackend *chr)
{
    FdChar *fc = char_opaque(chr);

    if (fc->in >= 0 && !fc->source) {
        fc->source = g_unix_fd_add(fc->in, G_IO_IN | G_IO_HUP, readable, chr);
    }
}

static void fd_free(CharBackend *chr)
{
    FdChar *fc = char_opaque(chr);

    if (fc->source) {
        g_source_remove(fc->source);
    }
    if (fc->retry) {
        g_source_remove(fc->retry);
    }
    if (!fc->keep) {
        if (fc->in >= 0) {
            close(fc->in);
        }
        if (fc->out >= 0 && fc->out != fc->in) {
            close(fc->out);
        }
    }
    if (fc->link) {
        unlink(fc->link);
        g_free(fc->link);
    }
    g_free(fc);
}

static const CharOps fd_ops = { .write = fd_write, .free = fd_free, .in_lines = true };

CharBackend *char_fds_new(const char *id, const char *about, int in, int out)
{
    FdChar *fc = g_new0(FdChar, 1);
    CharBackend *chr = char_register(id, &fd_ops, fc);

    fc->in = in;
    fc->out = out;
    char_set_about(chr, about);
    watch(chr);
    return chr;
}

CharBackend *char_stdio_new(const char *id, bool signals, GError **error)
{
    static bool used;
    CharBackend *chr;

    if (used) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "standard input and output can serve one character device only");
        return NULL;
    }
    used = true;
    if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &saved_terminal) == 0) {
        struct termios raw = saved_terminal;

        terminal_saved = true;
        raw.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
        raw.c_oflag |= OPOST;
        raw.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
        if (!signals) {
            raw.c_lflag &= ~ISIG;
        }
        raw.c_cflag = (raw.c_cflag & ~(CSIZE | PARENB)) | CS8;
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        atexit(char_restore_terminal);
    }
    chr = char_fds_new(id, "stdio", STDIN_FILENO, STDOUT_FILENO);
    ((FdChar *)char_opaque(chr))->keep = true;
    return chr;
}

CharBackend *char_pty_new(const char *id, const char *path, GError **error)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    g_autofree char *about = NULL;
    struct termios raw;
    CharBackend *chr;
    char name[128];

    if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, name, sizeof(name)) != 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot make a pseudo terminal: %s",
                    g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    if (tcgetattr(fd, &raw) == 0) {
        cfmakeraw(&raw);
        tcsetattr(fd, TCSANOW, &raw);
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    about = g_strdup_printf("pty:%s", name);
    chr = char_fds_new(id, about, fd, fd);
    if (path && symlink(name, path) == 0) {
        ((FdChar *)char_opaque(chr))->link = g_strdup(path);
    }
    fprintf(stderr, "char device redirected to %s (label %s)\n", name, id);
    return chr;
}

static int open_or_error(const char *path, int flags, GError **error)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);

    if (fd < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open '%s': %s", path,
                    g_strerror(errno));
    }
    return fd;
}

CharBackend *char_file_new(const char *id, const char *path, const char *input, bool append,
                           GError **error)
{
    int out = open_or_error(path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), error);
    int in = -1;

    if (out < 0) {
        return NULL;
    }
    if (input) {
        in = open_or_error(input, O_RDONLY | O_NONBLOCK, error);
        if (in < 0) {
            close(out);
            return NULL;
        }
    }
    return char_fds_new(id, "file", in, out);
}

/* PATH.in and PATH.out if they exist, else PATH both ways. */
CharBackend *char_pipe_new(const char *id, const char *path, GError **error)
{
    g_autofree char *in_path = g_strconcat(path, ".in", NULL);
    g_autofree char *out_path = g_strconcat(path, ".out", NULL);
    int in, out;

    if (access(in_path, F_OK) == 0 && access(out_path, F_OK) == 0) {
        in = open_or_error(in_path, O_RDWR | O_NONBLOCK, error);
        out = in < 0 ? -1 : open_or_error(out_path, O_RDWR | O_NONBLOCK, error);
        if (in >= 0 && out < 0) {
            close(in);
        }
        return out < 0 ? NULL : char_fds_new(id, "pipe", in, out);
    }
    in = open_or_error(path, O_RDWR | O_NONBLOCK, error);
    return in < 0 ? NULL : char_fds_new(id, "pipe", in, in);
}

CharBackend *char_device_new(const char *id, const char *path, GError **error)
{
    int fd = open_or_error(path, O_RDWR | O_NONBLOCK, error);
    struct termios raw;

    if (fd < 0) {
        return NULL;
    }
    if (tcgetattr(fd, &raw) == 0) {
        cfmakeraw(&raw);
        tcsetattr(fd, TCSANOW, &raw);
    }
    return char_fds_new(id, path, fd, fd);
}

CharBackend *char_null_new(const char *id)
{
    return char_fds_new(id, "null", -1, -1);
}
