/*
 * spapr-vlan: the logical LAN, a network card made of hypercalls.
 *
 * LoPAPR 1.1, 17.4. The guest registers a page of buffer descriptors and a receive queue, adds buffers, and sends up to
 * six pieces at a time. A received frame goes into a buffer behind the eight bytes that the guest recognises it by.
 */
#include "hw/net/nic.h"
#include "hw/papr/vio.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

#define BD_VALID  (UINT64_C(1) << 63)
#define BD_TOGGLE (UINT64_C(1) << 62)
#define RXQ_TOGGLE (UINT64_C(1) << 63) /* of entries in the receive queue */
#define RXQ_VALID  (UINT64_C(1) << 62)
enum { RXQ_ENTRY = 16, HANDLE = 8, PAGE = 4096, SEND_BUFFERS = 6, MAX_BUFFERS = 2048, DROPPED_AT = PAGE - 8 };
enum { MAX_SEND = 65536 };

#define VLAN_STATE(FIELD, ARRAY)                                                  \
    FIELD(bool, open, false)                                                      \
    FIELD(uint64_t, page, 0)        /* bus address of the buffer list */          \
    FIELD(uint64_t, queue, 0)       /* descriptor of the receive queue */         \
    FIELD(uint32_t, queue_at, 0)    /* byte offset of the next entry */           \
    FIELD(bool, toggle, true)       /* its toggle bit */                          \
    ARRAY(uint64_t, buffer, MAX_BUFFERS, 0)                                       \
    FIELD(uint32_t, buffers, 0)                                                   \
    FIELD(uint64_t, dropped, 0)

typedef struct VlanState {
    VLAN_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
    VioState vio;
} VlanState;

static const StateField *vlan_fields(size_t *count)
{
    typedef VlanState Owner;
    static const StateField rows[] = { VLAN_STATE(STATE_ROW, STATE_ROW_ARRAY) VIO_STATE(VIO_ROW, VIO_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

typedef struct Vlan {
    VioDevice vio;
    VlanState s;
    Nic nic;
} Vlan;

static uint32_t bd_size(uint64_t bd)
{
    return bd >> 32 & 0xffffff;
}

static uint64_t bd_address(uint64_t bd)
{
    return (uint32_t)bd;
}

/* A descriptor that says VALID and lies within the window. */
static bool bd_good(const Vlan *vlan, uint64_t bd)
{
    return (bd & BD_VALID) && bd_address(bd) + bd_size(bd) <= papr_tce_end(vlan->vio.tce);
}

/* ---- receiving ---- */

static bool vlan_can_receive(void *opaque)
{
    Vlan *vlan = opaque;

    return vlan->s.open && vlan->s.buffers > 0;
}

/* The smallest buffer that takes `size` bytes leaves the list; 0: there is none. */
static uint64_t take_buffer(VlanState *s, size_t size)
{
    uint32_t best = s->buffers;
    uint64_t bd;

    for (uint32_t i = 0; i < s->buffers; i++) {
        if (bd_size(s->buffer[i]) >= size && (best == s->buffers || bd_size(s->buffer[i]) < bd_size(s->buffer[best]))) {
            best = i;
        }
    }
    if (best == s->buffers) {
        return 0;
    }
    bd = s->buffer[best];
    s->buffer[best] = s->buffer[--s->buffers];
    return bd;
}

static void count_dropped(Vlan *vlan)
{
    uint8_t count[8];

    store_be64(count, ++vlan->s.dropped);
    papr_tce_write(vlan->vio.tce, vlan->s.page + DROPPED_AT, count, sizeof(count));
}

static void vlan_receive(void *opaque, const uint8_t *frame, size_t size)
{
    Vlan *vlan = opaque;
    VlanState *s = &vlan->s;
    uint64_t bd = s->open ? take_buffer(s, size + HANDLE) : 0, entry_at = bd_address(s->queue) + s->queue_at;
    uint8_t handle[HANDLE], entry[RXQ_ENTRY];
    PaprTce *tce = vlan->vio.tce;

    if (!bd) {
        count_dropped(vlan);
        return;
    }
    if (!papr_tce_read(tce, bd_address(bd), handle, HANDLE) ||
        !papr_tce_write(tce, bd_address(bd) + HANDLE, frame, size)) {
        return;
    }
    store_be64(entry, RXQ_VALID | (s->toggle ? RXQ_TOGGLE : 0) | (uint64_t)HANDLE << 32 | size);
    memcpy(entry + 8, handle, HANDLE);
    if (!papr_tce_write(tce, entry_at + 8, entry + 8, 8) || !papr_tce_write(tce, entry_at, entry, 8)) {
        return;
    }
    s->queue_at += RXQ_ENTRY;
    if (s->queue_at + RXQ_ENTRY > bd_size(s->queue)) {
        s->queue_at = 0;
        s->toggle = !s->toggle;
    }
    vio_interrupt(&vlan->vio);
}

static const NetFrontend frontend = { .can_receive = vlan_can_receive, .receive = vlan_receive };

/* ---- hypercalls ---- */

static void put_props(VioDevice *vio, PaprPutProp *put, void *node)
{
    Vlan *vlan = (Vlan *)vio;
    uint8_t filters[4] = { 0 };

    put(node, "local-mac-address", vlan->nic.mac, 6);
    put(node, "ibm,mac-address-filters", filters, sizeof(filters));
}

static const VioInfo info = {
    .name = "l-lan", .device_type = "network", .compatible = "IBM,l-lan", .window = 0x10000000, .put_props = put_props,
};

static Vlan *find_vlan(uint64_t reg)
{
    return (Vlan *)vio_find_type(reg, &info);
}

static void close_lan(Vlan *vlan)
{
    vlan->s.open = false;
    vlan->s.buffers = 0;
    vlan->s.queue = vlan->s.page = 0;
    vlan->s.queue_at = 0;
    vlan->s.toggle = true;
}

/* unit, buffer list, receive queue, filter list, address. */
static int64_t h_register(void *opaque, uint64_t opcode, uint64_t *args)
{
    Vlan *vlan = find_vlan(args[0]);
    uint8_t first[8];

    if (!vlan) {
        return H_PARAMETER;
    }
    if (vlan->s.open) {
        return H_RESOURCE;
    }
    if (args[1] % PAGE || args[1] >= papr_tce_end(vlan->vio.tce) || !bd_good(vlan, args[2]) ||
        bd_address(args[2]) % RXQ_ENTRY || bd_size(args[2]) < RXQ_ENTRY || args[3] % PAGE) {
        guest_error(vlan->vio.dev.id, "bad registration");
        return H_PARAMETER;
    }
    close_lan(vlan);
    vlan->s.page = args[1];
    vlan->s.queue = args[2];
    vlan->s.toggle = !(args[2] & BD_TOGGLE);
    vlan->s.open = true;
    store_be64(first, args[2]);
    papr_tce_write(vlan->vio.tce, args[1], first, sizeof(first));
    if (vlan->nic.net) {
        net_flush(vlan->nic.net);
    }
    return H_SUCCESS;
}

static int64_t h_free(void *opaque, uint64_t opcode, uint64_t *args)
{
    Vlan *vlan = find_vlan(args[0]);

    if (!vlan) {
        return H_PARAMETER;
    }
    if (!vlan->s.open) {
        return H_RESOURCE;
    }
    close_lan(vlan);
    return H_SUCCESS;
}

static int64_t h_add_buffer(void *opaque, uint64_t opcode, uint64_t *args)
{
    Vlan *vlan = find_vlan(args[0]);
    uint64_t bd = args[1];

    if (!vlan || !bd_good(vlan, bd) || bd_size(bd) < 16) {
        return H_PARAMETER;
    }
    if (!vlan->s.open || vlan->s.buffers == MAX_BUFFERS) {
        return H_RESOURCE;
    }
    vlan->s.buffer[vlan->s.buffers++] = bd;
    if (vlan->s.buffers == 1 && vlan->nic.net) {
        net_flush(vlan->nic.net);
    }
    return H_SUCCESS;
}

/* unit, six descriptors (the first one that is zero ends them), continue token. */
static int64_t h_send(void *opaque, uint64_t opcode, uint64_t *args)
{
    Vlan *vlan = find_vlan(args[0]);
    uint32_t size = 0;
    g_autofree uint8_t *frame = NULL;

    if (!vlan) {
        return H_PARAMETER;
    }
    if (!vlan->s.open) {
        return H_DROPPED;
    }
    if (args[7]) {
        return H_HARDWARE;
    }
    frame = g_malloc(MAX_SEND);
    for (int i = 1; i <= SEND_BUFFERS && (args[i] & BD_VALID); i++) {
        uint32_t piece = bd_size(args[i]);

        if (!bd_good(vlan, args[i]) || piece > MAX_SEND - size ||
            !papr_tce_read(vlan->vio.tce, bd_address(args[i]), frame + size, piece)) {
            return H_RESOURCE;
        }
        size += piece;
    }
    if (size >= 14) {
        nic_send(&vlan->nic, frame, size);
    }
    return H_SUCCESS;
}

/* All multicast frames are let through, so there is nothing to keep. */
static int64_t h_multicast(void *opaque, uint64_t opcode, uint64_t *args)
{
    return find_vlan(args[0]) ? H_SUCCESS : H_PARAMETER;
}

/* Frames are not filtered by address, so that it is the guest's own business. */
static int64_t h_change_mac(void *opaque, uint64_t opcode, uint64_t *args)
{
    return find_vlan(args[0]) ? H_SUCCESS : H_PARAMETER;
}

/* ---- device ---- */

static bool vlan_realize(Device *dev, GError **error)
{
    Vlan *vlan = (Vlan *)dev;

    papr_hcall_add(H_REGISTER_LOGICAL_LAN, h_register, NULL);
    papr_hcall_add(H_FREE_LOGICAL_LAN, h_free, NULL);
    papr_hcall_add(H_ADD_LOGICAL_LAN_BUFFER, h_add_buffer, NULL);
    papr_hcall_add(H_SEND_LOGICAL_LAN, h_send, NULL);
    papr_hcall_add(H_MULTICAST_CTRL, h_multicast, NULL);
    papr_hcall_add(H_CHANGE_LOGICAL_LAN_MAC, h_change_mac, NULL);
    return nic_attach(&vlan->nic, &frontend, vlan, error) && vio_init(&vlan->vio, &info, &vlan->s.vio, error);
}

static void vlan_unrealize(Device *dev)
{
    nic_detach(&((Vlan *)dev)->nic);
    vio_fini((VioDevice *)dev);
}

static void vlan_reset(Device *dev)
{
    vio_reset((VioDevice *)dev);
}

static bool vlan_post_load(Device *dev, GError **error)
{
    Vlan *vlan = (Vlan *)dev;
    VlanState *s = &vlan->s;

    s->buffers = MIN(s->buffers, MAX_BUFFERS);
    if (s->open && (!bd_good(vlan, s->queue) || bd_size(s->queue) < RXQ_ENTRY ||
                    s->queue_at + RXQ_ENTRY > bd_size(s->queue))) {
        close_lan(vlan);
    }
    return true;
}

static const Prop vlan_props[] = {
    VIO_PROPS(Vlan),
    NIC_PROPS(Vlan),
    { 0 },
};

const DeviceType spapr_vlan_type = {
    .name = "spapr-vlan",
    .about = "logical LAN of a partition",
    .bus = VIO_BUS,
    .user = true,
    .size = sizeof(Vlan),
    .state_at = offsetof(Vlan, s),
    .state = vlan_fields,
    .props = vlan_props,
    .realize = vlan_realize,
    .unrealize = vlan_unrealize,
    .reset = vlan_reset,
    .post_load = vlan_post_load,
};
