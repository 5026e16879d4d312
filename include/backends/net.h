/*
 * Network backends: where frames of guest NICs go.
 *
 * A NetBackend is a port with a NIC on one side and a host end (user, tap, socket, ...) on the other.
 * Everything here runs under the machine lock. A frame is Ethernet without its check sequence. With it
 * goes a NetHeader, or NULL for a frame that needs nothing more: a side that left out a checksum, or left
 * one large TCP send in one piece, says so there. What the other side cannot take that way
 * (net_offloads, net_set_offloads) is completed and cut here in software, so each side may offer its
 * guest every offload.
 */
#ifndef BACKENDS_NET_H
#define BACKENDS_NET_H

#include "util/options.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct NetBackend NetBackend;

#define NET_MAX_FRAME (65536 + 64) /* bytes, with headers: a large send in one piece */

enum { NET_HDR_NEEDS_CSUM = 1, NET_HDR_DATA_VALID = 2 };
enum { NET_GSO_NONE = 0, NET_GSO_TCP4 = 1, NET_GSO_TCP6 = 4, NET_GSO_UDP_L4 = 5, NET_GSO_ECN = 0x80 };

/*
 * Layout and meaning: struct virtio_net_hdr (VIRTIO 1.2, 5.1.6) without num_buffers, in the host's byte
 * order. With NEEDS_CSUM the 16 bits at csum_start + csum_offset hold the pseudo header's sum and want the
 * ones' complement sum from csum_start to the end of the frame.
 */
typedef struct NetHeader {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t header_size; /* of all headers; a hint that nobody trusts */
    uint16_t gso_size;    /* payload bytes of each segment */
    uint16_t csum_start, csum_offset;
} NetHeader;

/* Frames that a side takes without help. */
typedef enum NetOffloads {
    NET_CAN_CSUM = 1 << 0, /* NEEDS_CSUM */
    NET_CAN_TSO4 = 1 << 1, /* NET_GSO_TCP4, which implies NEEDS_CSUM */
    NET_CAN_TSO6 = 1 << 2,
    NET_CAN_ECN = 1 << 3,  /* ... with NET_GSO_ECN */
    NET_CAN_USO = 1 << 4,  /* NET_GSO_UDP_L4 */
} NetOffloads;

/* The NIC's side; any thread, machine lock held. */
typedef struct NetFrontend {
    bool (*can_receive)(void *opaque);
    void (*receive)(void *opaque, const uint8_t *frame, size_t size);
    void (*link_changed)(void *opaque, bool up); /* may be NULL */
    /* Instead of receive, for NICs that called net_set_offloads; header is never NULL. */
    void (*receive_header)(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size);
    /* The backend has room again after net_writable was false; may be NULL. */
    void (*writable)(void *opaque);
} NetFrontend;

/* -netdev TYPE,id=ID,key=value...; types and their keys: backends/net/types.def, docs/network.md. */
NetBackend *net_new(const char *options, GError **error);
NetBackend *net_new_options(const Options *options, GError **error); /* "type" and "id" among the keys */
bool net_remove(const char *id, GError **error); /* netdev_del: refused while a NIC is attached */
void net_print_types(void); /* -netdev help */
NetBackend *net_find(const char *id);
void net_for_each(void (*fn)(NetBackend *net, void *opaque), void *opaque);
void net_close_all(void);
const char *net_id(const NetBackend *net);
const char *net_kind(const NetBackend *net);
char *net_describe(const NetBackend *net); /* `info network`; caller frees */
/* Once the machine is built: warns of backends that nobody uses. */
void net_check_unused(void);

bool net_attach(NetBackend *net, const NetFrontend *frontend, void *opaque, GError **error);
void net_detach(NetBackend *net);
bool net_attached(const NetBackend *net);

/* What the NIC takes as it is; 0 at net_attach. May change at any time (a guest's driver resets). */
void net_set_offloads(NetBackend *net, unsigned offloads);
/* What the host end takes without help from the core; only speed depends on it. */
unsigned net_offloads(const NetBackend *net);
/* Queue pairs that the host end has (tap's queues=): a hint for a NIC with several. At least 1. */
int net_queues(const NetBackend *net);

/* From the NIC; net may be NULL (no cable). Sent, held in a bounded queue, or dropped. */
void net_send(NetBackend *net, const uint8_t *frame, size_t size);
/* header may be NULL. The data is not kept. A header that does not fit its frame drops the frame. */
void net_send_iov(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count);
/* False: the next frames would be dropped. A NIC leaves its ring alone until `writable` is called. */
bool net_writable(const NetBackend *net);
/* The NIC can receive again: queued frames are delivered. */
void net_flush(NetBackend *net);

void net_set_link(NetBackend *net, bool up); /* the cable; set_link */
bool net_link_up(const NetBackend *net);
/* 52:54:00:12:34:56, then 57, ... for NICs without mac=, but none that net_note_mac was told of. */
void net_pick_mac(uint8_t mac[6]);
void net_note_mac(const uint8_t mac[6]);

/* NETDEV_STREAM_CONNECTED and its like, for QMP; fn owns the data. */
struct Json;
typedef void NetEventFn(const char *name, struct Json *data);
void net_set_event_fn(NetEventFn *fn);

/* hostfwd_add, hostfwd_remove and `info usernet`; id NULL: the first user network. */
bool net_user_forward(const char *id, const char *rule, GError **error);
bool net_user_unforward(const char *id, const char *rule, GError **error);
char *net_user_info(void); /* caller frees */

#endif
