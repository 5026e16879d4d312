/* Between the core of network backends, their kinds and their filters. */
#ifndef BACKENDS_NET_INTERNAL_H
#define BACKENDS_NET_INTERNAL_H

#include "backends/net.h"
#include "util/iov.h"

#include <glib-unix.h>

typedef struct NetOps {
    /*
     * A frame from the NIC; header is NULL or within net_set_host_offloads. False: no room now; the core
     * holds the frame and sends it again after net_send_again.
     */
    bool (*send)(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count);
    void (*free)(NetBackend *net);
    char *(*describe)(const NetBackend *net);  /* ",key=value..."; caller frees; may be NULL */
    void (*receive_again)(NetBackend *net);    /* net_can_deliver is true again; may be NULL */
    void (*link_changed)(NetBackend *net, bool up); /* may be NULL */
} NetOps;

/* A kind of backend; constant data, listed in types.def. */
typedef struct NetType {
    const char *name, *about;
    /* Asks o for its keys; what it did not ask for is refused. Calls net_register last. */
    NetBackend *(*create)(const char *id, const Options *o, GError **error);
} NetType;

NetBackend *net_register(const char *id, const char *kind, const NetOps *ops, void *opaque);
void *net_opaque(const NetBackend *net);
void net_set_host_offloads(NetBackend *net, unsigned offloads);
void net_set_queues(NetBackend *net, int queues);
void net_needs_no_card(NetBackend *net); /* net_check_unused says nothing of it */

/* A frame for the NIC, queued while it has no room, dropped when the queue is full. header may be NULL. */
void net_deliver(NetBackend *net, const uint8_t *frame, size_t size);
void net_deliver_header(NetBackend *net, const NetHeader *header, const uint8_t *frame, size_t size);
/* False: do not read more from the host; receive_again says when to go on. */
bool net_can_deliver(const NetBackend *net);
/* The host end has room: what the core held goes out. */
void net_send_again(NetBackend *net);

void net_event(const char *name, struct Json *data); /* takes data */

/* As g_unix_fd_add, without what GLib does around each dispatch of a source that may not recurse. */
guint net_watch(int fd, GIOCondition condition, GUnixFDSourceFunc fn, void *opaque);

/* ---- frames on their way (queue.c) ---- */

/* A first-in-first-out queue of frames that is bounded in bytes. */
typedef struct NetQueue {
    GQueue frames; /* NetFrame */
    size_t bytes, limit;
} NetQueue;

typedef struct NetFrame {
    NetHeader header;
    bool has_header;
    size_t size;
    uint8_t data[];
} NetFrame;

/* What a queued frame costs besides its bytes, so that small ones are bounded too. */
#define NET_FRAME_COST 128

void net_queue_init(NetQueue *queue, size_t limit);
/* False: no room, the frame is not taken. */
bool net_queue_push(NetQueue *queue, const NetHeader *header, const struct iovec *iov, int count);
const NetFrame *net_queue_peek(const NetQueue *queue); /* NULL: empty */
void net_queue_pop(NetQueue *queue);
void net_queue_clear(NetQueue *queue);

/* ---- what hardware would do (offload.c) ---- */

/* The NET_CAN_* bits that a side must have to take this frame as it is. */
unsigned net_header_needs(const NetHeader *header);
typedef void NetEmit(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size);
/* Fills in checksums and cuts large sends; emits frames that need nothing. Nonsense emits nothing. */
void net_complete(const NetHeader *header, const uint8_t *frame, size_t size, NetEmit *emit, void *opaque);

/* ---- filters (filter.c and those built on it) ---- */

typedef enum NetDirection { NET_TX = 1, NET_RX = 2, NET_ALL = 3 } NetDirection; /* as the NIC sees it */

typedef struct NetFilter NetFilter;
typedef struct NetFilterOps {
    /* True: the frame goes on. False: the filter kept a copy or drops it. */
    bool (*pass)(NetFilter *filter, NetDirection direction, const NetHeader *header, const struct iovec *iov,
                 int count);
    bool (*writable)(NetFilter *filter); /* false: frames from the NIC would be dropped; may be NULL */
    bool (*can_deliver)(NetFilter *filter); /* the same for frames towards it; may be NULL */
} NetFilterOps;

struct NetFilter {
    const NetFilterOps *ops;
    char *id;
    const char *kind;
    NetBackend *net;
    NetDirection directions;
    bool on;
    void *opaque;
};

/* The keys that all filters have: netdev=, queue=all|rx|tx, status=on|off; joins the backend's chain. */
NetFilter *net_filter_new(const NetFilterOps *ops, const char *kind, const char *id, void *opaque, const Options *o,
                          GError **error);
void net_filter_free(NetFilter *filter);
/* A frame that a filter held goes on behind it. */
void net_filter_release(NetFilter *filter, NetDirection direction, const NetHeader *header, const struct iovec *iov,
                        int count);
/* The filter has room again in that direction. */
void net_filter_room(NetFilter *filter, NetDirection direction);
GPtrArray *net_filters(NetBackend *net); /* NetFilter, in the order they see what the NIC sends */

#endif
