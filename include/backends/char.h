/* Character backends: the host end of serial lines, monitors and debug ports. */
#ifndef BACKENDS_CHAR_H
#define BACKENDS_CHAR_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct CharBackend CharBackend;

typedef enum CharEvent { CHAR_OPENED, CHAR_CLOSED, CHAR_BREAK } CharEvent;

/* The device's side; called from the main loop under the machine lock. */
typedef struct CharFrontend {
    size_t (*can_receive)(void *opaque); /* bytes that it would take now */
    void (*receive)(void *opaque, const uint8_t *data, size_t size);
    void (*event)(void *opaque, CharEvent event); /* may be NULL */
} CharFrontend;

/*
 * spec is what -serial and -chardev say: "stdio", "pty", "file:PATH", "unix:PATH,server=on,wait=off",
 * "tcp:HOST:PORT,server=on", "telnet:...", "pipe:PATH", "null", "vc", "mon:stdio", "chardev:ID" ...
 */
CharBackend *char_new(const char *id, const char *spec, GError **error);
/* -chardev BACKEND,id=ID,key=value... */
extern const char *const char_kinds[]; /* what -chardev knows; NULL ends it */
CharBackend *char_new_options(const char *options, GError **error);
CharBackend *char_find(const char *id);
void char_for_each(void (*fn)(CharBackend *chr, void *opaque), void *opaque);
void char_free_all(void);
const char *char_id(const CharBackend *chr);
char *char_describe(const CharBackend *chr); /* `info chardev`; caller frees */

/* One frontend per backend, or several through a mux ("mon:stdio", mux=on). */
bool char_attach(CharBackend *chr, const CharFrontend *frontend, void *opaque, GError **error);
void char_detach(CharBackend *chr, void *opaque);
/* Any thread. Never blocks for long: what the peer does not take in time is dropped, as on a wire. */
void char_write(CharBackend *chr, const uint8_t *data, size_t size);
/* The frontend can receive again. */
void char_accept(CharBackend *chr);
bool char_connected(const CharBackend *chr);

/* A text console of the window: the ui registers how "vc" backends are made. */
typedef CharBackend *CharVcFactory(const char *id, const char *options, GError **error);
void char_set_vc_factory(CharVcFactory *fn);

/* For backends that live elsewhere (vc): the operations of a backend. */
typedef struct CharOps {
    void (*write)(CharBackend *chr, const uint8_t *data, size_t size);
    void (*accept)(CharBackend *chr); /* the frontend can receive again; may be NULL */
    void (*free)(CharBackend *chr);
    bool in_lines; /* write is dear: bytes that come one by one wait for the end of their line, or a moment */
} CharOps;
CharBackend *char_register(const char *id, const CharOps *ops, void *opaque);
void *char_opaque(const CharBackend *chr);
/* Gives bytes from outside to the frontend; returns how many it took. */
size_t char_deliver(CharBackend *chr, const uint8_t *data, size_t size);
void char_deliver_event(CharBackend *chr, CharEvent event);

/* In the mux, Ctrl-A x and the monitor switch call these. */
typedef void CharMuxQuitFn(void);
void char_set_mux_quit(CharMuxQuitFn *fn);
void char_restore_terminal(void); /* at exit */

#endif
