/* Network backends: where frames of guest NICs go. */
#ifndef BACKENDS_NET_H
#define BACKENDS_NET_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct NetBackend NetBackend;

/* The NIC's side; main loop, machine lock held. */
typedef struct NetFrontend {
    bool (*can_receive)(void *opaque);
    void (*receive)(void *opaque, const uint8_t *frame, size_t size);
    void (*link_changed)(void *opaque, bool up); /* may be NULL */
} NetFrontend;

/* -netdev TYPE,id=ID,key=value... ("user" with libslirp; hostfwd=, net=, host=, dhcpstart=, dns=,
 * restrict=, hostname=, tftp=, bootfile=, guestfwd=, ipv6=). */
NetBackend *net_new(const char *options, GError **error);
NetBackend *net_find(const char *id);
void net_for_each(void (*fn)(NetBackend *net, void *opaque), void *opaque);
void net_close_all(void);
const char *net_id(const NetBackend *net);
char *net_describe(const NetBackend *net); /* `info network` */

bool net_attach(NetBackend *net, const NetFrontend *frontend, void *opaque, GError **error);
void net_detach(NetBackend *net);
bool net_attached(const NetBackend *net);
/* From the NIC, machine lock held; queued or dropped by the backend. */
void net_send(NetBackend *net, const uint8_t *frame, size_t size);
/* The NIC can receive again: queued frames are delivered. */
void net_flush(NetBackend *net);
void net_set_link(NetBackend *net, bool up);
bool net_link_up(const NetBackend *net);
/* 52:54:00:12:34:56, then 57, ... for NICs without mac=. */
void net_pick_mac(uint8_t mac[6]);

#endif
