/* What all network cards share: an address, a backend and its link. */
#ifndef HW_NET_NIC_H
#define HW_NET_NIC_H

#include "backends/net.h"
#include "core/device.h"

typedef struct Nic {
    uint8_t mac[6];
    NetBackend *net; /* NULL: a card without a network; its link is up, frames go nowhere */
} Nic;

/* Rows for a card's property list; `nic` is the member of the card's struct. */
#define NIC_PROPS(Type)                                                   \
    PROP(Type, nic.mac, "mac", PROP_MAC, NULL, "hardware address"),       \
        PROP(Type, nic.net, "netdev", PROP_NETDEV, NULL, "network backend")

/* Part of realize: picks an address if there is none, takes the backend. */
bool nic_attach(Nic *nic, const NetFrontend *frontend, void *opaque, GError **error);
void nic_detach(Nic *nic);
bool nic_link_up(const Nic *nic);
bool nic_writable(const Nic *nic); /* false: leave the transmit ring alone until `writable` is called */
/* Short frames are padded to the least that Ethernet carries. */
void nic_send(Nic *nic, const uint8_t *frame, size_t size);

#endif
