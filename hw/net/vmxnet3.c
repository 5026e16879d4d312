/*
 * VMXNET3, the paravirtual card of VMware's machines: registers, commands, interrupts.
 *
 * Revision 1 of the device, version 1 of UPT. There is no public manual: the facts are those of the drivers in Linux
 * and iPXE. The driver describes its rings in memory and commands the card to look there.
 */
#include "hw/net/vmxnet3.h"

#include "hw/net/frame.h"
#include "hw/pci/msi.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

/* BAR 0: one register for each vector or queue, 8 bytes apart. */
enum { IMR = 0x000, TXPROD = 0x600, RXPROD = 0x800, RXPROD2 = 0xa00, PER_QUEUE = 8, DOORBELLS_SIZE = 4096 };
/* BAR 1. */
enum { VRRS = 0x00, UVRS = 0x08, DSAL = 0x10, DSAH = 0x18, CMD = 0x20, MACL = 0x28, MACH = 0x30, ICR = 0x38, ECR = 0x40 };
enum { REVISION_1 = 1, UPT_1 = 1 };
enum {
    CMD_ACTIVATE = 0xcafe0000, CMD_QUIESCE, CMD_RESET, CMD_UPDATE_RX_MODE, CMD_UPDATE_GROUPS, CMD_UPDATE_VLANS,
    CMD_UPDATE_RSS_TABLE, CMD_UPDATE_FEATURES = 0xcafe0009,
    CMD_GET_QUEUE_STATUS = 0xf00d0000, CMD_GET_STATS, CMD_GET_LINK, CMD_GET_MAC_LOW, CMD_GET_MAC_HIGH,
    CMD_GET_INTERRUPTS = 0xf00d0008,
};
enum { MAGIC = 0xbabefee1 };
enum { EVENT_LINK = 4 };
enum { LINK_UP = 1, LINK_SPEED = 10000 << 16 };
enum { INTR_DISABLE_ALL = 1 };
enum { HASH_IP4 = 1, HASH_TCP4 = 2, HASH_IP6 = 4, HASH_TCP6 = 8, RSS_CONFIG_SIZE = 8 + RSS_KEY_SIZE + 128 };

/* ---- the driver's memory ---- */

static uint32_t shared_load(Vmxnet3 *v, unsigned offset, unsigned size)
{
    uint8_t bytes[4] = { 0 };

    pci_dma_read(&v->pci, v->s.shared + offset, bytes, size);
    return load_le32(bytes);
}

static uint64_t shared_load64(Vmxnet3 *v, unsigned offset)
{
    uint8_t bytes[8] = { 0 };

    pci_dma_read(&v->pci, v->s.shared + offset, bytes, sizeof(bytes));
    return load_le64(bytes);
}

uint64_t vmxnet3_queue_address(const Vmxnet3 *v, unsigned index)
{
    return v->s.queues + index * QUEUE_SIZE;
}

/* ---- interrupts ---- */

static void vmxnet3_update(Device *dev)
{
    Vmxnet3 *v = (Vmxnet3 *)dev;
    Vmxnet3State *s = &v->s;
    uint32_t ready = s->pending & ~s->masked;

    if (ready && s->active && !(shared_load(v, SHARED_INTR_CONTROL, 4) & INTR_DISABLE_ALL)) {
        s->pending &= ~ready;
        s->masked |= s->auto_mask ? ready : 0;
        if (pci_msix_enabled(&v->pci)) {
            for (unsigned vector = 0; vector < VMXNET3_VECTORS; vector++) {
                if (ready >> vector & 1) {
                    pci_msix_notify(&v->pci, vector);
                }
            }
        } else if (pci_msi_enabled(&v->pci)) {
            pci_msi_notify(&v->pci, 0);
        } else {
            s->asserted = true;
        }
    }
    pci_set_intx(&v->pci, s->asserted);
}

void vmxnet3_raise(Vmxnet3 *v, unsigned vector)
{
    if (vector < VMXNET3_VECTORS) {
        v->s.pending |= 1u << vector;
        vmxnet3_update(&v->pci.dev);
    }
}

/* ---- commands ---- */

static void update_rx_mode(Vmxnet3 *v)
{
    v->s.rx_mode = shared_load(v, SHARED_RX_MODE, 4);
}

static void update_groups(Vmxnet3 *v)
{
    unsigned count = shared_load(v, SHARED_GROUPS_SIZE, 2) / 6;

    v->s.all_groups = count > VMXNET3_MAX_GROUPS;
    v->s.groups_count = MIN(count, VMXNET3_MAX_GROUPS);
    pci_dma_read(&v->pci, shared_load64(v, SHARED_GROUPS), v->s.groups, v->s.groups_count * 6);
}

static void update_vlans(Vmxnet3 *v)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(v->s.vlans); i++) {
        v->s.vlans[i] = shared_load(v, SHARED_VLANS + i * 4, 4);
    }
}

static void update_rss(Vmxnet3 *v)
{
    Vmxnet3State *s = &v->s;
    uint8_t config[RSS_CONFIG_SIZE] = { 0 };
    uint16_t types;

    pci_dma_read(&v->pci, shared_load64(v, SHARED_RSS + 8), config, sizeof(config));
    types = load_le16(config);
    s->rss_kinds = (types & HASH_IP4 ? 1 << RSS_IP4 : 0) | (types & HASH_TCP4 ? 1 << RSS_TCP4 : 0) |
                   (types & HASH_IP6 ? 1 << RSS_IP6 : 0) | (types & HASH_TCP6 ? 1 << RSS_TCP6 : 0);
    s->rss_table_size = MIN(load_le16(config + 6), G_N_ELEMENTS(s->rss_table));
    memcpy(s->rss_key, config + 8, sizeof(s->rss_key));
    memcpy(s->rss_table, config + 8 + RSS_KEY_SIZE, sizeof(s->rss_table));
}

static void update_features(Vmxnet3 *v)
{
    v->s.features = shared_load64(v, SHARED_FEATURES);
    if (v->s.features & FEATURE_RSS) {
        update_rss(v);
    }
}

static bool is_ring(uint32_t size, uint32_t most)
{
    return size > 0 && size <= most;
}

static bool read_tx_queue(Vmxnet3 *v, unsigned queue)
{
    Vmxnet3State *s = &v->s;
    uint8_t d[QUEUE_SIZE] = { 0 };

    pci_dma_read(&v->pci, vmxnet3_queue_address(v, queue), d, sizeof(d));
    s->tx_base[queue] = load_le64(d + TXQ_RING);
    s->tx_size[queue] = load_le32(d + TXQ_RING_SIZE);
    s->tx_comp_base[queue] = load_le64(d + TXQ_COMP);
    s->tx_comp_size[queue] = load_le32(d + TXQ_COMP_SIZE);
    s->tx_vector[queue] = d[TXQ_VECTOR];
    s->tx_next[queue] = s->tx_comp_next[queue] = 0;
    s->tx_gen[queue] = s->tx_comp_gen[queue] = 1;
    return is_ring(s->tx_size[queue], VMXNET3_MAX_RING) && is_ring(s->tx_comp_size[queue], VMXNET3_MAX_COMP);
}

static bool read_rx_queue(Vmxnet3 *v, unsigned queue)
{
    Vmxnet3State *s = &v->s;
    uint8_t d[QUEUE_SIZE] = { 0 };

    pci_dma_read(&v->pci, vmxnet3_queue_address(v, s->tx_count + queue), d, sizeof(d));
    for (unsigned i = 0, ring = queue * 2; i < 2; i++, ring++) {
        s->rx_base[ring] = load_le64(d + RXQ_RING + i * 8);
        s->rx_size[ring] = load_le32(d + RXQ_RING_SIZE + i * 4);
        s->rx_next[ring] = 0;
        s->rx_gen[ring] = 1;
    }
    s->rx_comp_base[queue] = load_le64(d + RXQ_COMP);
    s->rx_comp_size[queue] = load_le32(d + RXQ_COMP_SIZE);
    s->rx_comp_next[queue] = 0;
    s->rx_comp_gen[queue] = 1;
    s->rx_vector[queue] = d[RXQ_VECTOR];
    return is_ring(s->rx_size[queue * 2], VMXNET3_MAX_RING) && s->rx_size[queue * 2 + 1] <= VMXNET3_MAX_RING &&
           is_ring(s->rx_comp_size[queue], VMXNET3_MAX_COMP);
}

static void deactivate(Vmxnet3 *v)
{
    v->s.active = false;
    v->s.pending = 0;
    v->s.asserted = false;
    vmxnet3_update(&v->pci.dev);
}

/* Returns what reading CMD gives: 0 for success. */
static uint32_t activate(Vmxnet3 *v)
{
    Vmxnet3State *s = &v->s;
    unsigned tx = shared_load(v, SHARED_TX_COUNT, 1), rx = shared_load(v, SHARED_RX_COUNT, 1);

    deactivate(v);
    if (shared_load(v, SHARED_MAGIC, 4) != (uint32_t)MAGIC || !tx || tx > VMXNET3_TX_QUEUES || !rx || rx > VMXNET3_RX_QUEUES) {
        guest_error(v->pci.dev.id, "activated without queues, or with too many: %u to send, %u to receive", tx, rx);
        return 1;
    }
    s->tx_count = tx;
    s->rx_count = rx;
    s->queues = shared_load64(v, SHARED_QUEUES);
    s->auto_mask = shared_load(v, SHARED_AUTO_MASK, 1);
    s->event_vector = shared_load(v, SHARED_EVENT_VECTOR, 1);
    for (unsigned queue = 0; queue < tx; queue++) {
        if (!read_tx_queue(v, queue)) {
            guest_error(v->pci.dev.id, "queue %u to send has rings of %u and %u entries", queue, s->tx_size[queue],
                        s->tx_comp_size[queue]);
            return 1;
        }
    }
    for (unsigned queue = 0; queue < rx; queue++) {
        if (!read_rx_queue(v, queue)) {
            guest_error(v->pci.dev.id, "queue %u to receive has rings of %u, %u and %u entries", queue,
                        s->rx_size[queue * 2], s->rx_size[queue * 2 + 1], s->rx_comp_size[queue]);
            return 1;
        }
    }
    memset(s->tx_counters, 0, sizeof(s->tx_counters));
    memset(s->rx_counters, 0, sizeof(s->rx_counters));
    update_features(v);
    update_rx_mode(v);
    update_groups(v);
    update_vlans(v);
    s->active = true;
    net_flush(v->nic.net);
    return 0;
}

static void reset_card(Vmxnet3 *v)
{
    deactivate(v);
    v->s.shared = v->s.queues = 0;
    v->s.masked = (1u << VMXNET3_VECTORS) - 1;
    memcpy(v->s.mac, v->nic.mac, sizeof(v->s.mac));
}

static void put_counters(Vmxnet3 *v, unsigned index, const uint64_t *counters)
{
    uint8_t bytes[VMXNET3_COUNTERS * 8];

    for (unsigned i = 0; i < VMXNET3_COUNTERS; i++) {
        store_le64(bytes + i * 8, counters[i]);
    }
    pci_dma_write(&v->pci, vmxnet3_queue_address(v, index) + QUEUE_COUNTERS, bytes, sizeof(bytes));
}

static void put_stats(Vmxnet3 *v)
{
    const Vmxnet3State *s = &v->s;

    for (unsigned queue = 0; s->active && queue < s->tx_count; queue++) {
        put_counters(v, queue, s->tx_counters + queue * VMXNET3_COUNTERS);
    }
    for (unsigned queue = 0; s->active && queue < s->rx_count; queue++) {
        put_counters(v, s->tx_count + queue, s->rx_counters + queue * VMXNET3_COUNTERS);
    }
}

/* A queue never stops because of an error here: a packet that makes no sense is left out. */
static void put_status(Vmxnet3 *v)
{
    static const uint8_t running[8];

    for (unsigned i = 0; v->s.active && i < v->s.tx_count + v->s.rx_count; i++) {
        pci_dma_write(&v->pci, vmxnet3_queue_address(v, i) + QUEUE_STOPPED, running, sizeof(running));
    }
}

static void command(Vmxnet3 *v, uint32_t value)
{
    uint32_t result = 0;

    switch (value) {
    case CMD_ACTIVATE:
        result = activate(v);
        break;
    case CMD_QUIESCE:
        put_stats(v);
        deactivate(v);
        break;
    case CMD_RESET:
        reset_card(v);
        break;
    case CMD_UPDATE_RX_MODE:
        update_rx_mode(v);
        break;
    case CMD_UPDATE_GROUPS:
        update_groups(v);
        break;
    case CMD_UPDATE_VLANS:
        update_vlans(v);
        break;
    case CMD_UPDATE_RSS_TABLE:
        update_rss(v);
        break;
    case CMD_UPDATE_FEATURES:
        update_features(v);
        break;
    case CMD_GET_QUEUE_STATUS:
        put_status(v);
        break;
    case CMD_GET_STATS:
        put_stats(v);
        break;
    case CMD_GET_LINK:
        result = nic_link_up(&v->nic) ? LINK_UP | LINK_SPEED : 0;
        break;
    case CMD_GET_MAC_LOW:
        result = load_le32(v->nic.mac);
        break;
    case CMD_GET_MAC_HIGH:
        result = load_le16(v->nic.mac + 4);
        break;
    case CMD_GET_INTERRUPTS: /* as the driver likes: 0 */
        break;
    default:
        guest_error(v->pci.dev.id, "command %08x", value);
    }
    v->s.result = result;
}

static void link_changed(void *opaque, bool up)
{
    Vmxnet3 *v = opaque;
    uint8_t bytes[4];

    if (v->s.active) {
        store_le32(bytes, shared_load(v, SHARED_EVENTS, 4) | EVENT_LINK);
        pci_dma_write(&v->pci, v->s.shared + SHARED_EVENTS, bytes, sizeof(bytes));
        vmxnet3_raise(v, v->s.event_vector);
    }
    net_flush(v->nic.net);
}

/* ---- registers ---- */

static uint64_t doorbells_read(void *opaque, PhysAddr offset, unsigned size)
{
    const Vmxnet3 *v = opaque;
    unsigned vector = offset / PER_QUEUE;

    return vector < VMXNET3_VECTORS && offset % PER_QUEUE == 0 ? v->s.masked >> vector & 1 : 0;
}

static void doorbells_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Vmxnet3 *v = opaque;
    unsigned index = offset / PER_QUEUE;

    if (offset % PER_QUEUE) {
        return;
    }
    if (index < VMXNET3_VECTORS) {
        v->s.masked = bits_set(v->s.masked, index, 1, value & 1);
        vmxnet3_update(&v->pci.dev);
        if (!(value & 1)) {
            net_flush(v->nic.net); /* the driver is done with a round, and has put back what it took */
        }
    } else if (offset >= TXPROD && offset < TXPROD + VMXNET3_TX_QUEUES * PER_QUEUE) {
        vmxnet3_transmit(v, (offset - TXPROD) / PER_QUEUE);
    } else if ((offset >= RXPROD && offset < RXPROD + VMXNET3_RX_QUEUES * PER_QUEUE) ||
               (offset >= RXPROD2 && offset < RXPROD2 + VMXNET3_RX_QUEUES * PER_QUEUE)) {
        net_flush(v->nic.net);
    }
}

static const RegionOps doorbells_ops = { doorbells_read, doorbells_write, 4, 4, ENDIAN_LITTLE };

static uint32_t read_icr(Vmxnet3 *v)
{
    bool was = v->s.asserted;

    v->s.asserted = false;
    vmxnet3_update(&v->pci.dev);
    return was;
}

static uint64_t registers_read(void *opaque, PhysAddr offset, unsigned size)
{
    Vmxnet3 *v = opaque;

    switch (offset) {
    case VRRS:
        return REVISION_1;
    case UVRS:
        return UPT_1;
    case DSAL:
        return (uint32_t)v->s.shared;
    case DSAH:
        return v->s.shared >> 32;
    case CMD:
        return v->s.result;
    case MACL:
        return load_le32(v->s.mac);
    case MACH:
        return load_le16(v->s.mac + 4);
    case ICR:
        return read_icr(v);
    case ECR:
        return v->s.active ? shared_load(v, SHARED_EVENTS, 4) : 0;
    }
    return 0;
}

static void acknowledge_events(Vmxnet3 *v, uint32_t events)
{
    uint8_t bytes[4];

    store_le32(bytes, shared_load(v, SHARED_EVENTS, 4) & ~events);
    pci_dma_write(&v->pci, v->s.shared + SHARED_EVENTS, bytes, sizeof(bytes));
}

static void registers_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Vmxnet3 *v = opaque;

    switch (offset) {
    case VRRS:
    case UVRS:
        if (value != 1) {
            guest_error(v->pci.dev.id, "asked for version bits %02x: there is only 1", (unsigned)value);
        }
        break;
    case DSAL: /* what an active card works with stays as it is until it is activated again */
        v->s.shared = (v->s.shared & ~(uint64_t)UINT32_MAX) | (uint32_t)value;
        break;
    case DSAH:
        v->s.shared = (v->s.shared & UINT32_MAX) | value << 32;
        break;
    case CMD:
        command(v, value);
        break;
    case MACL:
        store_le32(v->s.mac, value);
        break;
    case MACH:
        store_le16(v->s.mac + 4, value);
        break;
    case ECR:
        if (v->s.active) {
            acknowledge_events(v, value);
        }
        break;
    }
}

static const RegionOps registers_ops = { registers_read, registers_write, 4, 4, ENDIAN_LITTLE };

/* ---- the device ---- */

static const NetFrontend frontend = {
    .can_receive = vmxnet3_can_receive,
    .receive = vmxnet3_receive,
    .link_changed = link_changed,
    .writable = vmxnet3_transmit_all,
};

static bool vmxnet3_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x15ad, .device = 0x07b0, .class_rev = 0x020000 << 8 | 0x01,
        .subsystem_vendor = 0x15ad, .subsystem = 0x07b0, .interrupt_pin = 1, .rom = "efi-vmxnet3.rom",
    };
    Vmxnet3 *v = (Vmxnet3 *)dev;

    pci_device_init(&v->pci, &info);
    v->doorbells = region_new_io("vmxnet3-doorbells", &doorbells_ops, v, DOORBELLS_SIZE);
    v->registers = region_new_io("vmxnet3-registers", &registers_ops, v, 4096);
    pci_register_bar(&v->pci, 0, PCI_BAR_MEM32, v->doorbells);
    pci_register_bar(&v->pci, 1, PCI_BAR_MEM32, v->registers);
    return pci_msi_init(&v->pci, 1, true, error) && pci_msix_init_own_bar(&v->pci, VMXNET3_VECTORS, 2, error) &&
           nic_attach(&v->nic, &frontend, v, error) && pci_load_rom(&v->pci, error);
}

static void vmxnet3_unrealize(Device *dev)
{
    Vmxnet3 *v = (Vmxnet3 *)dev;

    nic_detach(&v->nic);
    region_free(v->doorbells);
    region_free(v->registers);
}

static void vmxnet3_reset(Device *dev)
{
    reset_card((Vmxnet3 *)dev);
}

/* Sizes that no activation lets pass come from damaged snapshots only. */
static bool vmxnet3_post_load(Device *dev, GError **error)
{
    Vmxnet3State *s = &((Vmxnet3 *)dev)->s;

    s->tx_count = MIN(s->tx_count, VMXNET3_TX_QUEUES);
    s->rx_count = MIN(s->rx_count, VMXNET3_RX_QUEUES);
    s->groups_count = MIN(s->groups_count, VMXNET3_MAX_GROUPS);
    s->rss_table_size = MIN(s->rss_table_size, G_N_ELEMENTS(s->rss_table));
    for (unsigned i = 0; i < G_N_ELEMENTS(s->tx_size); i++) {
        s->tx_size[i] = MIN(s->tx_size[i], VMXNET3_MAX_RING);
        s->tx_gen[i] &= 1;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(s->rx_size); i++) {
        s->rx_size[i] = MIN(s->rx_size[i], VMXNET3_MAX_RING);
        s->rx_gen[i] &= 1;
    }
    if (s->active && (!s->tx_count || !s->rx_count)) {
        s->active = false;
    }
    return true;
}

static const Prop vmxnet3_props[] = {
    PCI_PROPS(Vmxnet3),
    NIC_PROPS(Vmxnet3),
    { 0 },
};

const DeviceType vmxnet3_type = {
    .name = "vmxnet3",
    .about = "VMware's paravirtual network card, version 3",
    .bus = "pci",
    .user = true,
    .hotplug = true,
    .size = sizeof(Vmxnet3),
    .state_at = offsetof(Vmxnet3, s),
    .state = Vmxnet3State_fields,
    .props = vmxnet3_props,
    .realize = vmxnet3_realize,
    .unrealize = vmxnet3_unrealize,
    .reset = vmxnet3_reset,
    .post_load = vmxnet3_post_load,
    .update = vmxnet3_update,
};
