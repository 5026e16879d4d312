/*
 * xHCI: the USB 3 controller. Registers and ports; rings, commands and transfers are in files of their own.
 *
 * xHCI 1.2, chapter 5 (registers), sections 4.15 and 4.19 (ports). Each socket has two ports, one that
 * shows what is plugged in at USB 2 speeds and one for SuperSpeed.
 */
#include "hw/usb/xhci.h"

#include "hw/pci/msi.h"
#include "hw/usb/xhci-regs.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

static const StateField *XhciState_fields(size_t *count)
{
    typedef XhciState Owner;
    static const StateField rows[] = { XHCI_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

/* ---- guest memory ---- */

bool xhci_running(const Xhci *x)
{
    return x->s.command & CMD_RUN;
}

void xhci_read(Xhci *x, uint64_t at, void *buf, size_t size)
{
    pci_dma_read(&x->pci, at, buf, size);
}

void xhci_write(Xhci *x, uint64_t at, const void *buf, size_t size)
{
    pci_dma_write(&x->pci, at, buf, size);
}

void xhci_read_words(Xhci *x, uint64_t at, uint32_t *words, int count)
{
    xhci_read(x, at, words, count * 4);
    for (int i = 0; i < count; i++) {
        words[i] = load_le32(&words[i]);
    }
}

void xhci_write_words(Xhci *x, uint64_t at, const uint32_t *words, int count)
{
    uint8_t raw[8 * 4];

    for (int i = 0; i < count; i++) {
        store_le32(raw + i * 4, words[i]);
    }
    xhci_write(x, at, raw, count * 4);
}

/* ---- ports ---- */

static unsigned port_count(const Xhci *x)
{
    return x->ports2 + x->ports3;
}

/* Index of the port at which a socket shows its device. */
static unsigned port_of(const Xhci *x, const UsbPort *socket)
{
    return socket->dev && socket->dev->speed == USB_SUPER ? x->ports2 + socket->index : (unsigned)socket->index;
}

static UsbPort *socket_of(Xhci *x, unsigned port)
{
    return &x->sockets[port < x->ports2 ? port : port - x->ports2];
}

UsbPort *xhci_socket(Xhci *x, unsigned port)
{
    UsbPort *socket;

    if (port < 1 || port > port_count(x)) {
        return NULL;
    }
    socket = socket_of(x, port - 1);
    return socket->dev && port_of(x, socket) == port - 1 && (x->s.portsc[port - 1] & SC_ENABLE) ? socket : NULL;
}

void xhci_port_events(Xhci *x)
{
    for (unsigned n = 0; n < port_count(x) && xhci_running(x); n++) {
        if (x->s.port_event[n] && xhci_events_fit(x, 0, 1)) {
            x->s.port_event[n] = false;
            xhci_put_event(x, 0, (uint64_t)(n + 1) << 24, (uint32_t)CC_SUCCESS << 24, TRB_PORT_EVENT << 10);
        }
    }
}

/* An event is due if one of the change bits was not set before; who starts the controller looks at its ports by himself. */
static void set_changes(Xhci *x, unsigned n, uint32_t changes)
{
    if (changes & ~x->s.portsc[n]) {
        x->s.portsc[n] |= changes;
        x->s.port_event[n] = xhci_running(x);
        x->s.status |= STS_PORT;
        xhci_port_events(x);
    }
}

static void set_link(Xhci *x, unsigned n, unsigned link)
{
    x->s.portsc[n] = (x->s.portsc[n] & ~(uint32_t)SC_LINK) | link << SC_LINK_SHIFT;
}

static uint32_t speed_bits(UsbSpeed speed)
{
    static const uint32_t ids[] = { [USB_FULL] = 1, [USB_LOW] = 2, [USB_HIGH] = 3, [USB_SUPER] = 4 };

    return ids[speed] << SC_SPEED_SHIFT;
}

/* What is connected, as after power-on: SuperSpeed links come up by themselves. */
static uint32_t connected_bits(const UsbDevice *usb)
{
    return SC_POWER | SC_CONNECT | speed_bits(usb->speed) |
           (usb->speed == USB_SUPER ? SC_ENABLE | LINK_U0 << SC_LINK_SHIFT : LINK_POLLING << SC_LINK_SHIFT);
}

static void reset_port(Xhci *x, unsigned n)
{
    UsbPort *socket = socket_of(x, n);

    x->s.portsc[n] = SC_POWER | LINK_RXDETECT << SC_LINK_SHIFT;
    x->s.portpmsc[n] = 0;
    x->s.port_event[n] = false;
    if (socket->dev && port_of(x, socket) == n) {
        usb_device_bus_reset(socket->dev);
        x->s.portsc[n] = connected_bits(socket->dev) | SC_CONNECT_CHANGE;
    }
}

static void port_attached(UsbPort *socket)
{
    Xhci *x = socket->opaque;
    unsigned n = port_of(x, socket);

    x->s.portsc[n] = (x->s.portsc[n] & (SC_CHANGES | SC_WAKE)) | connected_bits(socket->dev);
    set_changes(x, n, SC_CONNECT_CHANGE);
}

static void disconnect_port(Xhci *x, unsigned n)
{
    if (x->s.portsc[n] & SC_CONNECT) {
        x->s.portsc[n] = (x->s.portsc[n] & (SC_CHANGES | SC_WAKE)) | SC_POWER | LINK_RXDETECT << SC_LINK_SHIFT;
        set_changes(x, n, SC_CONNECT_CHANGE);
    }
}

static void port_detached(UsbPort *socket)
{
    Xhci *x = socket->opaque;

    if (socket->index < (int)x->ports2) {
        disconnect_port(x, socket->index);
    }
    if (socket->index < (int)x->ports3) {
        disconnect_port(x, x->ports2 + socket->index);
    }
    xhci_kick_all(x); /* what waits for the device fails now */
}

static void port_ready(UsbPort *socket, UsbDevice *dev, uint8_t address, unsigned stream)
{
    Xhci *x = socket->opaque;
    unsigned e = (address & 15) * 2 + (address & 0x80 ? 1 : 0), slot = dev->core.address;

    if ((address & 15) == 0) {
        e = 1;
    }
    if (slot && slot <= x->slots) { /* its address is its slot's number */
        xhci_kick(x, slot, e, stream);
    } else {
        xhci_kick_all(x);
    }
}

static void port_wakeup(UsbPort *socket)
{
    Xhci *x = socket->opaque;
    unsigned n = port_of(x, socket);

    if ((x->s.portsc[n] & SC_LINK) >> SC_LINK_SHIFT == LINK_U3) {
        set_link(x, n, LINK_RESUME);
        set_changes(x, n, SC_LINK_CHANGE);
    }
}

static const UsbPortOps port_ops = { port_attached, port_detached, port_ready, port_wakeup, NULL };

static void write_link(Xhci *x, unsigned n, unsigned wanted)
{
    unsigned old = (x->s.portsc[n] & SC_LINK) >> SC_LINK_SHIFT;
    bool enabled = x->s.portsc[n] & SC_ENABLE;

    switch (wanted) {
    case LINK_U0:
        if (enabled && old != LINK_U0) {
            set_link(x, n, LINK_U0);
            if (old == LINK_U3 || old == LINK_RESUME) {
                set_changes(x, n, SC_LINK_CHANGE);
            }
        }
        break;
    case LINK_U3:
    case LINK_RESUME:
        if (enabled) {
            set_link(x, n, wanted);
        }
        break;
    case LINK_DISABLED:
        x->s.portsc[n] &= ~(uint32_t)SC_ENABLE;
        set_link(x, n, LINK_DISABLED);
        break;
    case LINK_RXDETECT: { /* a disabled link looks for its partner again */
        UsbPort *socket = socket_of(x, n);

        if (old == LINK_DISABLED && socket->dev && port_of(x, socket) == n) {
            x->s.portsc[n] = (x->s.portsc[n] & (SC_CHANGES | SC_WAKE)) | connected_bits(socket->dev);
            set_changes(x, n, SC_CONNECT_CHANGE);
        }
        break;
    }
    default:
        break;
    }
}

static void write_portsc(Xhci *x, unsigned n, uint32_t value)
{
    uint32_t *sc = &x->s.portsc[n];
    UsbPort *socket = socket_of(x, n);
    bool here = socket->dev && port_of(x, socket) == n;

    *sc &= ~(value & SC_CHANGES);
    *sc = (*sc & ~(uint32_t)(SC_WAKE | SC_INDICATOR)) | (value & (SC_WAKE | SC_INDICATOR));
    if (value & SC_ENABLE) { /* writing 1 disables */
        *sc &= ~(uint32_t)SC_ENABLE;
        set_link(x, n, n < x->ports2 ? LINK_POLLING : LINK_DISABLED);
    }
    if (value & (SC_RESET | SC_WARM_RESET)) {
        if (here) {
            usb_device_bus_reset(socket->dev);
            *sc |= SC_ENABLE;
            set_link(x, n, LINK_U0);
            *sc = (*sc & ~(uint32_t)SC_SPEED) | speed_bits(socket->dev->speed);
            set_changes(x, n, SC_RESET_CHANGE | (n >= x->ports2 && value & SC_WARM_RESET ? SC_WARM_CHANGE : 0));
        }
    } else if (value & SC_LINK_WRITE) {
        write_link(x, n, (value & SC_LINK) >> SC_LINK_SHIFT);
    }
}

/* ---- registers ---- */

static void start_state(Xhci *x)
{
    state_reset(XhciState_fields, &x->s);
    x->s.status = STS_HALTED;
    timer_cancel(x->moderation);
    timer_cancel(x->frame_timer);
    g_array_set_size(x->kicks, 0);
    for (unsigned n = 0; n < port_count(x); n++) {
        reset_port(x, n);
    }
    xhci_update_interrupts(x);
}

static void xhci_reset(Device *dev)
{
    start_state((Xhci *)dev);
}

static void write_command(Xhci *x, uint32_t value)
{
    XhciState *s = &x->s;
    bool starts = (value & CMD_RUN) && !xhci_running(x);

    if (value & CMD_RESET) {
        start_state(x);
        return;
    }
    if (value & CMD_RESTORE) { /* nothing was saved: the driver sets up anew */
        s->status |= STS_RESTORE_ERROR;
    }
    s->command = value & 0xc0d;
    if (starts) {
        s->status &= ~(uint32_t)STS_HALTED;
        s->started_at = clock_now(CLOCK_GUEST);
        xhci_port_events(x);
        xhci_kick_all(x);
    } else if (!xhci_running(x)) {
        s->status |= STS_HALTED;
        s->command_running = false;
    }
}

static void write_command_ring(Xhci *x, uint32_t value)
{
    XhciState *s = &x->s;

    if (s->command_running) {
        if (value & (CRCR_STOP | CRCR_ABORT)) { /* commands take no time: it is between two of them */
            s->command_running = false;
            xhci_put_event(x, 0, s->command_ring & ~15ull, (uint32_t)CC_RING_STOPPED << 24, TRB_COMMAND_EVENT << 10);
        }
        return;
    }
    s->command_ring = (s->command_ring & ~0xffffffffull) | (value & ~62u);
    s->command_ring_is_new = true;
}

static void write_doorbell(Xhci *x, unsigned slot, uint32_t value)
{
    unsigned endpoint = value & 0xff;
    uint64_t at;
    uint32_t word;

    if (!xhci_running(x)) {
        return;
    }
    if (slot == 0) {
        x->s.command_running = true;
        xhci_run_commands(x);
        return;
    }
    at = slot <= x->slots && x->s.slot[slot] ? xhci_device_context(x, slot) : 0;
    if (!at || endpoint < 1 || endpoint >= XHCI_ENDPOINTS) {
        guest_error(x->pci.dev.id, "doorbell %u of endpoint %u", slot, endpoint);
        return;
    }
    xhci_read_words(x, at + endpoint * 32, &word, 1);
    if ((word & 7) == EP_STOPPED) {
        word = (word & ~7u) | EP_RUNNING;
        xhci_write_words(x, at + endpoint * 32, &word, 1);
    }
    xhci_kick(x, slot, endpoint, value >> 16);
}

/* Supported protocols: which ports are USB 2 and which USB 3. */
static uint32_t read_extended(const Xhci *x, unsigned offset)
{
    bool third = offset >= EXTENDED + 16;
    uint32_t next = third || !x->ports3 ? 0 : 4 << 8;

    switch (offset & 15) {
    case 0:
        return 2 | next | (third ? 0x03000000 : 0x02000000);
    case 4:
        return 0x20425355; /* "USB " */
    case 8:
        return third ? (x->ports2 + 1) | x->ports3 << 8 : 1 | x->ports2 << 8;
    default:
        return 0;
    }
}

static uint32_t read_capability(const Xhci *x, unsigned offset)
{
    switch (offset) {
    case CAPLENGTH:
        return REG_OPERATIONAL | 0x0100 << 16;
    case HCSPARAMS1:
        return x->slots | x->intrs << 8 | port_count(x) << 24;
    case HCSPARAMS2:
        return 0x0f | 4 << 4; /* isochronous threshold; 2^4 event ring segments */
    case HCCPARAMS1: /* 64-bit addresses, no secondary stream arrays, 2^(7 + 1) streams */
        return 0x81 | 7 << 12 | EXTENDED / 4 << 16;
    case DBOFF:
        return REG_DOORBELLS;
    case RTSOFF:
        return REG_RUNTIME;
    case EXTENDED ... EXTENDED + 31:
        return read_extended(x, offset);
    default:
        return 0;
    }
}

static uint32_t read_operational(const Xhci *x, unsigned offset)
{
    const XhciState *s = &x->s;

    switch (offset) {
    case USBCMD:
        return s->command;
    case USBSTS:
        return s->status;
    case PAGESIZE:
        return 1;
    case DNCTRL:
        return s->notifications;
    case CRCR: /* the address reads as 0 */
        return s->command_running ? CRCR_RUNNING : 0;
    case DCBAAP:
        return s->contexts;
    case DCBAAP + 4:
        return s->contexts >> 32;
    case CONFIG:
        return s->config;
    default:
        return 0;
    }
}

static uint64_t mmio_read(void *opaque, PhysAddr offset, unsigned size)
{
    Xhci *x = opaque;

    if (offset < REG_OPERATIONAL) {
        return read_capability(x, offset);
    }
    if (offset < REG_PORTS) {
        return read_operational(x, offset);
    }
    if (offset < REG_PORTS + 16 * port_count(x)) {
        unsigned n = (offset - REG_PORTS) / 16;

        return (offset & 15) == PORT_SC ? x->s.portsc[n] : (offset & 15) == PORT_PMSC ? x->s.portpmsc[n] : 0;
    }
    if (offset == REG_RUNTIME) {
        return xhci_running(x) ? (clock_now(CLOCK_GUEST) - x->s.started_at) / (125 * NS_PER_US) & 0x3fff : 0;
    }
    if (offset >= REG_INTERRUPTERS && offset < REG_INTERRUPTERS + 32 * x->intrs) {
        return xhci_read_interrupter(x, (offset - REG_INTERRUPTERS) / 32, offset & 31);
    }
    return 0;
}

static void write_operational(Xhci *x, unsigned offset, uint32_t value)
{
    XhciState *s = &x->s;

    switch (offset) {
    case USBCMD:
        write_command(x, value);
        break;
    case USBSTS:
        s->status &= ~(value & (STS_EVENT | STS_PORT | STS_RESTORE_ERROR | 1 << 2));
        break;
    case DNCTRL:
        s->notifications = value & 0xffff;
        break;
    case CRCR:
        write_command_ring(x, value);
        break;
    case CRCR + 4:
        if (!s->command_running) {
            s->command_ring = (s->command_ring & 0xffffffff) | (uint64_t)value << 32;
        }
        break;
    case DCBAAP:
        s->contexts = (s->contexts & ~0xffffffffull) | (value & ~63u);
        break;
    case DCBAAP + 4:
        s->contexts = (s->contexts & 0xffffffff) | (uint64_t)value << 32;
        break;
    case CONFIG:
        s->config = value & 0xff;
        break;
    }
}

static void mmio_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Xhci *x = opaque;

    if (offset >= REG_OPERATIONAL && offset < REG_PORTS) {
        write_operational(x, offset, value);
    } else if (offset >= REG_PORTS && offset < REG_PORTS + 16 * port_count(x)) {
        unsigned n = (offset - REG_PORTS) / 16;

        if ((offset & 15) == PORT_SC) {
            write_portsc(x, n, value);
        } else if ((offset & 15) == PORT_PMSC) {
            x->s.portpmsc[n] = value;
        }
    } else if (offset >= REG_INTERRUPTERS && offset < REG_INTERRUPTERS + 32 * x->intrs) {
        xhci_write_interrupter(x, (offset - REG_INTERRUPTERS) / 32, offset & 31, value);
    } else if (offset >= REG_DOORBELLS && offset < REG_DOORBELLS + 4 * (x->slots + 1)) {
        write_doorbell(x, (offset - REG_DOORBELLS) / 4, value);
    }
    xhci_update_interrupts(x);
}

static const RegionOps mmio_ops = { mmio_read, mmio_write, 4, 4, ENDIAN_LITTLE };

/* ---- the device ---- */

static const PciInfo nec_info = { 0x1033, 0x0194, 0x0c0330 << 8 | 3, 0x1af4, 0x1100, 1, NULL };
static const PciInfo generic_info = { 0x1b36, 0x000d, 0x0c0330 << 8 | 1, 0x1af4, 0x1100, 1, NULL };

static bool check_properties(const Xhci *x, GError **error)
{
    const char *type = x->pci.dev.type->name;

    if (!x->ports2 || x->ports2 > XHCI_MAX_PORTS / 2 || x->ports3 > XHCI_MAX_PORTS / 2) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: p2=%u and p3=%u are not from 1 (p3: 0) to %d", type,
                    x->ports2, x->ports3, XHCI_MAX_PORTS / 2);
        return false;
    }
    if (!x->slots || x->slots > XHCI_SLOTS || !x->intrs || x->intrs > XHCI_INTERRUPTERS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: slots=%u is not from 1 to %d, or intrs=%u not from 1 to %d",
                    type, x->slots, XHCI_SLOTS, x->intrs, XHCI_INTERRUPTERS);
        return false;
    }
    return true;
}

static bool xhci_realize(Device *dev, GError **error)
{
    Xhci *x = (Xhci *)dev;
    bool is_nec = g_str_equal(dev->type->name, "nec-usb-xhci");

    if (!check_properties(x, error)) {
        return false;
    }
    pci_device_init(&x->pci, is_nec ? &nec_info : &generic_info);
    x->pci.config[0x60] = 0x30; /* release 3.0 of USB */
    x->mmio = region_new_io("xhci", &mmio_ops, x, REG_SIZE);
    pci_register_bar(&x->pci, 0, PCI_BAR_MEM64, x->mmio);
    if ((x->use_msi && is_nec && !pci_msi_init(&x->pci, 1 << (31 - __builtin_clz(x->intrs)), true, error)) ||
        (x->use_msix && !pci_msix_init(&x->pci, x->intrs, 0, x->mmio, REG_MSIX_TABLE, REG_MSIX_PENDING, error))) {
        return false;
    }
    x->moderation = timer_new(CLOCK_GUEST, xhci_moderation_over, x);
    x->frame_timer = timer_new(CLOCK_GUEST, xhci_frame, x);
    x->kicks = g_array_new(FALSE, FALSE, sizeof(XhciKick));
    x->bus = usb_bus_new(dev);
    x->socket_count = MAX(x->ports2, x->ports3);
    for (int n = 0; n < x->socket_count; n++) {
        x->sockets[n] = (UsbPort){ .ops = &port_ops, .opaque = x, .index = n };
        if (n < (int)x->ports2) {
            x->sockets[n].speeds |= USB_SPEED(USB_LOW) | USB_SPEED(USB_FULL) | USB_SPEED(USB_HIGH);
        }
        if (n < (int)x->ports3) {
            x->sockets[n].speeds |= USB_SPEED(USB_SUPER);
        }
        usb_bus_add_port(x->bus, &x->sockets[n]);
    }
    return true;
}

static bool xhci_loaded(Device *dev, GError **error)
{
    Xhci *x = (Xhci *)dev;
    XhciState *s = &x->s;
    int64_t now = clock_now(CLOCK_GUEST);

    for (unsigned n = 0; n < port_count(x); n++) {
        UsbPort *socket = socket_of(x, n);

        if (!socket->dev || port_of(x, socket) != n) {
            s->portsc[n] &= ~(uint32_t)(SC_CONNECT | SC_ENABLE);
        }
    }
    for (unsigned n = 0; n < XHCI_INTERRUPTERS; n++) {
        s->erst_size[n] = MIN(s->erst_size[n], ERST_MAX);
        s->quiet_until[n] = MIN(s->quiet_until[n], now + NS_PER_SECOND);
    }
    if (s->started_at < 0 || s->started_at > now) {
        s->started_at = now;
    }
    g_array_set_size(x->kicks, 0);
    timer_cancel(x->moderation);
    x->kick_everything = true;
    timer_set(x->frame_timer, now + NS_PER_MS);
    return true;
}

static void xhci_update(Device *dev)
{
    xhci_update_interrupts((Xhci *)dev);
}

static const Prop xhci_props[] = {
    PCI_PROPS(Xhci),
    PROP(Xhci, ports2, "p2", PROP_U32, "4", "USB 2 ports"),
    PROP(Xhci, ports3, "p3", PROP_U32, "4", "USB 3 ports"),
    PROP(Xhci, slots, "slots", PROP_U32, "64", "devices that can be addressed"),
    PROP(Xhci, intrs, "intrs", PROP_U32, "16", "event rings"),
    PROP(Xhci, use_msi, "msi", PROP_BOOL, "on", "message signalled interrupts (nec-usb-xhci)"),
    PROP(Xhci, use_msix, "msix", PROP_BOOL, "on", "MSI-X"),
    { 0 },
};

#define XHCI_TYPE(spelling, text)          \
    {                                      \
        .name = spelling,                  \
        .about = text,                     \
        .bus = "pci",                      \
        .user = true,                      \
        .size = sizeof(Xhci),              \
        .state_at = offsetof(Xhci, s),     \
        .state = XhciState_fields,         \
        .props = xhci_props,               \
        .realize = xhci_realize,           \
        .reset = xhci_reset,               \
        .post_load = xhci_loaded,          \
        .update = xhci_update,             \
    }

const DeviceType qemu_xhci_type = XHCI_TYPE("qemu-xhci", "USB 3 controller (xHCI)");
const DeviceType nec_usb_xhci_type = XHCI_TYPE("nec-usb-xhci", "USB 3 controller (xHCI) of NEC");
