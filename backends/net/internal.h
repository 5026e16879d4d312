/* Between the registry of network backends and their kinds. */
#ifndef BACKENDS_NET_INTERNAL_H
#define BACKENDS_NET_INTERNAL_H

#include "backends/net.h"
#include "util/options.h"

typedef struct NetOps {
    void (*send)(NetBackend *net, const uint8_t *frame, size_t size);
    void (*free)(NetBackend *net);
    char *(*describe)(const NetBackend *net);
} NetOps;

NetBackend *net_register(const char *id, const char *kind, const NetOps *ops, void *opaque);
void *net_opaque(const NetBackend *net);
/* A frame for the guest; queued while its card has no room. */
void net_deliver(NetBackend *net, const uint8_t *frame, size_t size);
bool net_can_deliver(const NetBackend *net);

NetBackend *net_user_new(const char *id, const Options *o, GError **error);

#endif
