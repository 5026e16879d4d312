/* A learning switch: frames go to the port behind which their destination was seen, or to all. */
#ifndef BACKENDS_NET_LAN_H
#define BACKENDS_NET_LAN_H

#include "backends/net/internal.h"

typedef struct Lan Lan;
typedef struct LanPort LanPort;
typedef void LanOutput(void *opaque, const NetHeader *header, const uint8_t *frame, size_t size);

Lan *lan_new(void);
void lan_free(Lan *lan); /* after its ports */
LanPort *lan_port_new(Lan *lan, LanOutput *output, void *opaque);
void lan_port_free(LanPort *port);
/* A frame that came in at port. */
void lan_input(LanPort *port, const NetHeader *header, const uint8_t *frame, size_t size);
unsigned lan_learnt(const Lan *lan); /* addresses */

#endif
