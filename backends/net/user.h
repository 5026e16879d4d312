/* Between the parts of the user network. */
#ifndef BACKENDS_NET_USER_H
#define BACKENDS_NET_USER_H

#include "backends/char.h"
#include "backends/net/internal.h"

#include <libslirp.h>

typedef struct UserNet UserNet;

/* What slirp is configured with; it keeps pointers into this. */
typedef struct UserConfig {
    SlirpConfig slirp;
    GPtrArray *texts; /* what the pointers in it point to */
    GPtrArray *search; /* of dnssearch=, ends with NULL */
} UserConfig;

bool user_config_read(UserConfig *config, const Options *o, GError **error);
void user_config_clear(UserConfig *config);

/* A connection of the guest's to an address of guestfwd= that a character backend answers. */
typedef struct GuestForward {
    UserNet *user;
    CharBackend *chr;
    struct in_addr address;
    uint16_t port;
} GuestForward;

struct UserNet {
    NetBackend *net;
    Slirp *slirp;
    UserConfig config;
    GSource *source;
    int epoll;
    GArray *wanted;       /* Wanted: what slirp wants to hear of in this round */
    GArray *places;       /* guint, by descriptor: its place in wanted, if it is there */
    GHashTable *watched;  /* descriptor to events that epoll has */
    bool waiting;         /* the main loop may be in its poll */
    bool inside, refused; /* libslirp is running; a frame came meanwhile */
    GPtrArray *forwards;  /* char *: rules of hostfwd */
    GPtrArray *guest_forwards; /* GuestForward */
    char *smb_folder;
};

/* Of the guest's link; libslirp is told of a larger one (user-segment.c). */
#define USER_MTU       1500
#define USER_SLIRP_MTU 65521

/* A frame of the guest: the limit of segments in a SYN is raised, in place. */
void user_raise_mss(uint8_t *frame, size_t size);
/* A frame of libslirp goes to the guest in pieces that its link carries. */
void user_deliver(UserNet *user, const uint8_t *frame, size_t size);

/* Around each call that may make libslirp send: it is not to be entered twice, as two of them in a hub would. */
void user_enter(UserNet *user);
void user_leave(UserNet *user);

/* Rules: hostfwd=, guestfwd=, smb= (user-forward.c). */
bool user_add_rules(UserNet *user, const Options *o, GError **error);
void user_free_rules(UserNet *user);
/* Bytes that wait in character backends, after a round of slirp. */
void user_serve_guest_forwards(UserNet *user);
void user_wake(UserNet *user); /* the main loop shall look at slirp's sockets anew */

#endif
