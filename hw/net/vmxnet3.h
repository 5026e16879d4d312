/* VMXNET3's state, shared by its registers and its rings. */
#ifndef HW_NET_VMXNET3_H
#define HW_NET_VMXNET3_H

#include "core/clock.h"
#include "hw/net/nic.h"
#include "hw/net/rss.h"
#include "hw/pci/pci.h"

#define VMXNET3_TX_QUEUES 8
#define VMXNET3_RX_QUEUES 16
#define VMXNET3_VECTORS   25
#define VMXNET3_MAX_RING  4096
#define VMXNET3_MAX_COMP  8192
#define VMXNET3_MAX_GROUPS 256 /* multicast addresses; more of them: all are taken */
#define VMXNET3_COUNTERS  10
#define VMXNET3_MAX_RX_FRAME 16384

/* The driver's memory: where things are in what DSAL and DSAH point to. */
enum {
    SHARED_MAGIC = 0, SHARED_FEATURES = 24, SHARED_QUEUES = 40, SHARED_MTU = 56, SHARED_TX_COUNT = 62, SHARED_RX_COUNT = 63,
    SHARED_AUTO_MASK = 80, SHARED_EVENT_VECTOR = 82, SHARED_INTR_CONTROL = 108, SHARED_RX_MODE = 120,
    SHARED_GROUPS_SIZE = 124, SHARED_GROUPS = 128, SHARED_VLANS = 136, SHARED_RSS = 648, SHARED_EVENTS = 696, SHARED_SIZE = 720,
};
/* A queue's part: control, configuration, status, counters. */
enum {
    QUEUE_SIZE = 256, QUEUE_STOPPED = 80, QUEUE_COUNTERS = 88, RXQ_UPDATE_PROD = 0,
    TXQ_RING = 16, TXQ_COMP = 32, TXQ_RING_SIZE = 56, TXQ_COMP_SIZE = 64, TXQ_VECTOR = 72,
    RXQ_RING = 16, RXQ_COMP = 32, RXQ_RING_SIZE = 56, RXQ_COMP_SIZE = 64, RXQ_VECTOR = 72,
};
enum { FEATURE_RX_CSUM = 1, FEATURE_RSS = 2, FEATURE_RX_VLAN = 4 };
enum { RX_MODE_UNICAST = 1, RX_MODE_MULTICAST = 2, RX_MODE_BROADCAST = 4, RX_MODE_ALL_MULTI = 8, RX_MODE_PROMISCUOUS = 16 };
/* Counters of a queue. */
enum { TX_TSO, TX_TSO_BYTES, TX_UNICAST, TX_UNICAST_BYTES, TX_MULTICAST, TX_MULTICAST_BYTES, TX_BROADCAST, TX_BROADCAST_BYTES,
       TX_ERRORS, TX_DISCARDED };
enum { RX_UNICAST = 2, RX_MULTICAST = 4, RX_BROADCAST = 6, RX_NO_BUFFER = 8 };

/*
 * A ring's place and size in entries, the entry that is next, and the value that its generation bit has when the entry
 * is ours to take (or what we write into a completion). RX rings: two for each queue.
 */
#define VMXNET3_RING(ARRAY, name, count)                                \
    ARRAY(uint64_t, name##_base, count, 0)                              \
    ARRAY(uint32_t, name##_size, count, 0)                              \
    ARRAY(uint32_t, name##_next, count, 0)                              \
    ARRAY(uint8_t, name##_gen, count, 0)

#define VMXNET3_STATE(FIELD, ARRAY)                                     \
    FIELD(uint64_t, shared, 0) /* DSAL and DSAH */                      \
    FIELD(uint64_t, queues, 0) /* the queues' descriptors */            \
    FIELD(uint32_t, result, 0) /* of the last command */                \
    FIELD(bool, active, false)                                          \
    FIELD(bool, auto_mask, false)                                       \
    FIELD(uint8_t, tx_count, 0)                                         \
    FIELD(uint8_t, rx_count, 0)                                         \
    FIELD(uint8_t, event_vector, 0)                                     \
    FIELD(uint32_t, features, 0)                                        \
    FIELD(uint32_t, rx_mode, 0)                                         \
    FIELD(bool, all_groups, false)                                      \
    FIELD(uint32_t, groups_count, 0)                                    \
    ARRAY(uint8_t, groups, VMXNET3_MAX_GROUPS * 6, 0)                   \
    ARRAY(uint32_t, vlans, 128, 0)                                      \
    ARRAY(uint8_t, mac, 6, 0)                                           \
    FIELD(uint32_t, pending, 0) /* vectors */                           \
    FIELD(uint32_t, masked, 0)                                          \
    FIELD(bool, asserted, false) /* the wire, until ICR is read */      \
    FIELD(uint32_t, rss_kinds, 0)                                       \
    ARRAY(uint8_t, rss_key, RSS_KEY_SIZE, 0)                            \
    ARRAY(uint8_t, rss_table, 128, 0)                                   \
    FIELD(uint32_t, rss_table_size, 0)                                  \
    VMXNET3_RING(ARRAY, tx, VMXNET3_TX_QUEUES)                          \
    VMXNET3_RING(ARRAY, tx_comp, VMXNET3_TX_QUEUES)                     \
    VMXNET3_RING(ARRAY, rx, VMXNET3_RX_QUEUES * 2)                      \
    VMXNET3_RING(ARRAY, rx_comp, VMXNET3_RX_QUEUES)                     \
    ARRAY(uint8_t, tx_vector, VMXNET3_TX_QUEUES, 0)                     \
    ARRAY(uint8_t, rx_vector, VMXNET3_RX_QUEUES, 0)                     \
    ARRAY(uint64_t, tx_counters, VMXNET3_TX_QUEUES * VMXNET3_COUNTERS, 0) \
    ARRAY(uint64_t, rx_counters, VMXNET3_RX_QUEUES * VMXNET3_COUNTERS, 0)

DEFINE_STATE(Vmxnet3State, VMXNET3_STATE);

typedef struct Vmxnet3 {
    PciDevice pci;
    Vmxnet3State s;
    Nic nic;
    Region *doorbells, *registers;
    uint8_t packet[NET_MAX_FRAME]; /* being gathered by vmxnet3_transmit */
} Vmxnet3;

void vmxnet3_raise(Vmxnet3 *v, unsigned vector);
uint64_t vmxnet3_queue_address(const Vmxnet3 *v, unsigned index); /* of a queue's descriptor; those to send come first */
void vmxnet3_transmit(Vmxnet3 *v, unsigned queue);
void vmxnet3_transmit_all(void *opaque);
bool vmxnet3_can_receive(void *opaque);
void vmxnet3_receive(void *opaque, const uint8_t *frame, size_t size);

#endif
