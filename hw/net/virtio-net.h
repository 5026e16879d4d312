/* The virtio network device's state, shared by its data path and its control queue. */
#ifndef HW_NET_VIRTIO_NET_H
#define HW_NET_VIRTIO_NET_H

#include "core/clock.h"
#include "hw/net/nic.h"
#include "hw/virtio/virtio.h"

/* Numbers of feature bits, VIRTIO 1.2, 5.1.3. */
enum { NET_F_CSUM = 0, NET_F_GUEST_CSUM = 1, NET_F_CTRL_GUEST_OFFLOADS = 2, NET_F_MTU = 3, NET_F_MAC = 5,
       NET_F_GUEST_TSO4 = 7, NET_F_GUEST_TSO6 = 8, NET_F_GUEST_ECN = 9, NET_F_HOST_TSO4 = 11, NET_F_HOST_TSO6 = 12,
       NET_F_HOST_ECN = 13, NET_F_MRG_RXBUF = 15, NET_F_STATUS = 16, NET_F_CTRL_VQ = 17, NET_F_CTRL_RX = 18,
       NET_F_CTRL_VLAN = 19, NET_F_CTRL_RX_EXTRA = 20, NET_F_GUEST_ANNOUNCE = 21, NET_F_MQ = 22,
       NET_F_CTRL_MAC_ADDR = 23, NET_F_GUEST_USO4 = 54, NET_F_GUEST_USO6 = 55, NET_F_HOST_USO = 56,
       NET_F_SPEED_DUPLEX = 63 };
enum { NET_S_LINK_UP = 1, NET_S_ANNOUNCE = 2 };

#define VIRTIO_NET_MACS      64 /* in the filter table, of both kinds together */
#define VIRTIO_NET_MAX_PAIRS 64
#define VIRTIO_NET_FLOWS     256

#define VIRTIO_NET_STATE(FIELD, ARRAY)                                                          \
    ARRAY(uint8_t, mac, 6, 0)                                                                   \
    FIELD(bool, promisc, true)                                                                  \
    FIELD(bool, all_multi, false)                                                               \
    FIELD(bool, all_uni, false)                                                                 \
    FIELD(bool, no_multi, false)                                                                \
    FIELD(bool, no_uni, false)                                                                  \
    FIELD(bool, no_broadcast, false)                                                            \
    FIELD(bool, uni_overflow, false)   /* more addresses than the table has: all are taken */   \
    FIELD(bool, multi_overflow, false)                                                          \
    FIELD(uint8_t, uni_count, 0)                                                                \
    FIELD(uint8_t, multi_count, 0)                                                              \
    ARRAY(uint8_t, table, VIRTIO_NET_MACS * 6, 0) /* unicast first */                           \
    ARRAY(uint32_t, vlans, 128, 0)     /* bit per VLAN id */                                    \
    FIELD(uint16_t, pairs, 1)          /* in use */                                             \
    FIELD(uint64_t, guest_offloads, 0) /* of the features GUEST_*, those that are switched on */ \
    FIELD(bool, announce, false)       /* the driver has not acknowledged yet */

DEFINE_STATE(VirtioNetState, VIRTIO_NET_STATE);

typedef struct VirtioNet {
    VirtioDevice v;
    VirtioNetState s;
    Nic nic;
    /* Properties: the features that are offered. */
    bool csum, guest_csum, gso, guest_tso4, guest_tso6, guest_ecn, host_tso4, host_tso6, host_ecn, guest_uso4, guest_uso6,
        host_uso, mrg_rxbuf, status, ctrl_vq, ctrl_rx, ctrl_vlan, ctrl_rx_extra, ctrl_mac_addr, ctrl_guest_offloads,
        guest_announce, mq;
    uint32_t rx_queue_size, tx_queue_size, host_mtu;
    int32_t speed;
    char *duplex;
    unsigned max_pairs;
    Timer *more;  /* goes on sending after the vCPU had a turn */
    Timer *moved; /* once the machine runs after a load */
    uint8_t flows[VIRTIO_NET_FLOWS]; /* queue pair that a flow last sent from; a hint, not saved */
    /* A frame that had no room in its queue. */
    uint8_t *waiting;
    size_t waiting_size;
    NetHeader waiting_header;
} VirtioNet;

/* A request for the control queue: its answer is one byte. */
void virtio_net_control(VirtioNet *n, VirtQueue *q);
/* Whether the filters that the control queue set let a frame in. */
bool virtio_net_accepts(const VirtioNet *n, const uint8_t *frame, size_t size);
/* Tells the backend what the driver takes. */
void virtio_net_apply_offloads(VirtioNet *n);

#endif
