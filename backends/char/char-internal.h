/* Between the registry of character backends and their kinds. */
#ifndef BACKENDS_CHAR_INTERNAL_H
#define BACKENDS_CHAR_INTERNAL_H

#include "backends/char.h"

void char_set_about(CharBackend *chr, const char *about);
void char_enable_mux(CharBackend *chr);
size_t char_room(CharBackend *chr); /* bytes that char_deliver takes now */
CharVcFactory *char_vc_factory(void);

/* Kinds. fd kinds own their descriptors. */
CharBackend *char_stdio_new(const char *id, bool signals, GError **error);
CharBackend *char_pty_new(const char *id, const char *path, GError **error);
CharBackend *char_file_new(const char *id, const char *path, const char *input, bool append,
                           GError **error);
CharBackend *char_pipe_new(const char *id, const char *path, GError **error);
CharBackend *char_device_new(const char *id, const char *path, GError **error);
CharBackend *char_null_new(const char *id);
CharBackend *char_fds_new(const char *id, const char *about, int in, int out);

typedef struct CharSocketOptions {
    const char *host, *port; /* TCP */
    const char *path;        /* or a Unix socket */
    bool server, wait, telnet, nodelay;
    int reconnect; /* seconds, 0: never */
} CharSocketOptions;
CharBackend *char_socket_new(const char *id, const CharSocketOptions *options, GError **error);

#endif
