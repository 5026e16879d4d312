/*
 * EHCI: the USB 2.0 controller, with companions that take what is not high speed.
 *
 * Enhanced Host Controller Interface Specification 1.0; chapter 2 for registers, section 4.2 for the
 * routing of ports. The schedules are in ehci-schedule.c.
 *
 * Drivers add to the schedules in memory without telling the controller, so these are looked at each
 * microframe while something moves, each frame a little later, and many frames at a time when all is
 * quiet; a device that becomes ready, or a write to a register, ends the quiet at once.
 */
#include "hw/usb/ehci.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

enum { CAPLENGTH = 0x00, HCSPARAMS = 0x04, HCCPARAMS = 0x08, PORTROUTE = 0x0c };
enum { OPERATIONAL = 0x20, USBCMD = 0x20, USBSTS = 0x24, USBINTR = 0x28, FRINDEX = 0x2c, CTRLDSSEGMENT = 0x30,
       PERIODICLISTBASE = 0x34, ASYNCLISTADDR = 0x38, CONFIGFLAG = 0x60, PORTSC = 0x64 };
enum { CMD_RUN = 1 << 0, CMD_RESET = 1 << 1, CMD_PERIODIC = 1 << 4, CMD_ASYNC = 1 << 5, CMD_DOORBELL = 1 << 6 };
enum { PORT_CONNECT = 1 << 0, PORT_CONNECT_CHANGE = 1 << 1, PORT_ENABLE = 1 << 2, PORT_ENABLE_CHANGE = 1 << 3,
       PORT_RESUME = 1 << 6, PORT_SUSPEND = 1 << 7, PORT_RESET = 1 << 8, PORT_LINE_K = 1 << 10,
       PORT_LINE_J = 1 << 11, PORT_POWER = 1 << 12, PORT_OWNER = 1 << 13 };
#define PORT_PLAIN_BITS 0x007fc000u /* indicators, test mode and wake enables: kept, and nothing more */

#define FRAME_NS      NS_PER_MS
#define MICROFRAME_NS (FRAME_NS / 8)
#define MAX_BACKLOG   64
#define BUSY_NS       (2 * NS_PER_MS)  /* after something moved: each microframe */
#define AWAKE_NS      (32 * NS_PER_MS) /* then each frame, and then: */
#define IDLE_FRAMES   16

static const StateField *EhciState_fields(size_t *count)
{
    typedef EhciState Owner;
    static const StateField rows[] = { EHCI_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

/* ---- time ---- */

static bool running(const Ehci *e)
{
    return e->s.command & CMD_RUN;
}

static int64_t frames_since(const Ehci *e)
{
    return (clock_now(CLOCK_GUEST) - e->s.frame_at) / FRAME_NS;
}

static void arm(Ehci *e)
{
    int64_t now = clock_now(CLOCK_GUEST), quiet = now - e->s.busy_at;
    bool periodic = e->s.status & EHCI_STS_PERIODIC, async = e->s.status & EHCI_STS_ASYNC;
    int64_t next_frame = e->s.frame_at + (frames_since(e) + 1) * FRAME_NS;

    if (!running(e) || (!periodic && !async && !(e->s.intr & EHCI_STS_ROLLOVER))) {
        timer_cancel(e->timer);
    } else if (async && quiet < BUSY_NS) {
        timer_set(e->timer, now + MICROFRAME_NS);
    } else if (quiet < AWAKE_NS) {
        timer_set(e->timer, next_frame);
    } else {
        timer_set(e->timer, next_frame + (IDLE_FRAMES - 1) * FRAME_NS);
    }
}

/* Something may have changed that the schedules wait for. */
static void wake(Ehci *e)
{
    if (running(e)) {
        int64_t now = clock_now(CLOCK_GUEST);

        e->s.busy_at = MAX(e->s.busy_at, now - BUSY_NS); /* its turn may be a few frames away */
        timer_set(e->timer, now);
    }
}

static void ehci_update(Device *dev)
{
    Ehci *e = (Ehci *)dev;

    pci_set_intx(&e->pci, e->s.status & e->s.intr & 0x3f);
    if (!running(e)) {
        timer_cancel(e->timer);
    } else if (!timer_pending(e->timer)) {
        arm(e);
    }
}

static uint32_t frindex_now(const Ehci *e)
{
    uint32_t index = e->s.frindex;

    if (running(e)) {
        index += (clock_now(CLOCK_GUEST) - e->s.frame_at) / MICROFRAME_NS;
    }
    return index & 0x3fff;
}

static void run(void *opaque)
{
    Ehci *e = opaque;
    EhciState *s = &e->s;
    int64_t due = frames_since(e);

    if (!running(e)) {
        return;
    }
    e->moved = false;
    e->events = 0;
    if (due > MAX_BACKLOG) {
        int64_t lost = due - MAX_BACKLOG;

        s->frindex = (s->frindex + lost * 8) & 0x3fff;
        s->frame_at += lost * FRAME_NS;
        due = MAX_BACKLOG;
    }
    e->budget = EHCI_PASS; /* frames for which nothing is left of it go by without their lists */
    for (; due > 0; due--) {
        if (s->status & EHCI_STS_PERIODIC) {
            ehci_run_frame(e, s->frindex >> 3);
        }
        s->frindex = (s->frindex + 8) & 0x3fff;
        s->frame_at += FRAME_NS;
        if (!(s->frindex & (0x1fff >> (s->command >> 2 & 3)))) {
            e->events |= EHCI_STS_ROLLOVER;
        }
    }
    if (s->status & EHCI_STS_ASYNC) {
        ehci_run_async(e);
    }
    if (e->moved) {
        s->busy_at = clock_now(CLOCK_GUEST);
    }
    s->status |= e->events;
    arm(e);
    ehci_update(&e->pci.dev);
}

/* ---- ports ---- */

UsbDevice *ehci_find_device(Ehci *e, uint8_t address)
{
    UsbDevice *usb = NULL;

    for (int n = 0; n < EHCI_PORTS && !usb; n++) {
        if (e->s.portsc[n] & PORT_ENABLE) {
            usb = usb_port_find(&e->ports[n], address);
        }
    }
    return usb;
}

static bool goes_to_companion(const Ehci *e, int n)
{
    return e->companion[n] && (e->s.portsc[n] & PORT_OWNER);
}

/* Puts the device of a port at the controller that owns it now. */
static void route(Ehci *e, int n)
{
    UsbDevice *usb = e->ports[n].owner;
    UsbPort *wanted = goes_to_companion(e, n) ? e->companion[n] : &e->ports[n];

    if (usb && usb->port && usb->port != wanted) {
        usb_port_connect(wanted, usb);
    }
}

static void port_changed(UsbPort *port)
{
    Ehci *e = port->opaque;
    int n = port->index;
    uint32_t *sc = &e->s.portsc[n];

    if (port->dev && goes_to_companion(e, n)) {
        route(e, n);
        return;
    }
    if (!port->dev && (*sc & PORT_ENABLE)) {
        *sc |= PORT_ENABLE_CHANGE;
    }
    *sc &= ~(uint32_t)(PORT_CONNECT | PORT_ENABLE | PORT_SUSPEND | PORT_RESUME);
    *sc |= PORT_CONNECT_CHANGE | (port->dev ? PORT_CONNECT : 0);
    e->s.status |= EHCI_STS_PORT;
    ehci_update(&e->pci.dev);
}

static void port_ready(UsbPort *port, UsbDevice *dev, uint8_t address, unsigned stream)
{
    wake(port->opaque);
}

static void port_wakeup(UsbPort *port)
{
    Ehci *e = port->opaque;

    if (e->s.portsc[port->index] & PORT_SUSPEND) {
        e->s.portsc[port->index] |= PORT_RESUME;
        e->s.status |= EHCI_STS_PORT;
        ehci_update(&e->pci.dev);
    }
}

/* A port whose device is gone is ours again (section 4.2.2). */
static void port_vacated(UsbPort *port)
{
    Ehci *e = port->opaque;

    if (e->s.config_flag) {
        e->s.portsc[port->index] &= ~(uint32_t)PORT_OWNER;
    }
}

static const UsbPortOps port_ops = { port_changed, port_changed, port_ready, port_wakeup, port_vacated };

static uint32_t read_port(const Ehci *e, int n)
{
    uint32_t sc = e->s.portsc[n];
    const UsbDevice *usb = e->ports[n].dev;

    if (usb && !(sc & (PORT_ENABLE | PORT_RESET))) {
        sc |= usb->speed == USB_LOW ? PORT_LINE_K : PORT_LINE_J;
    }
    return sc;
}

static void end_port_reset(Ehci *e, int n)
{
    UsbDevice *usb = e->ports[n].dev;

    if (usb) {
        usb_device_bus_reset(usb);
        if (usb->speed == USB_HIGH) {
            e->s.portsc[n] |= PORT_ENABLE;
        }
    }
}

static void write_port(Ehci *e, int n, uint32_t value)
{
    uint32_t *sc = &e->s.portsc[n], old = *sc;

    *sc &= ~(value & (PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE));
    *sc = (*sc & ~PORT_PLAIN_BITS) | (value & PORT_PLAIN_BITS & ~(uint32_t)PORT_OWNER);
    if (!(value & PORT_ENABLE)) {
        *sc &= ~(uint32_t)(PORT_ENABLE | PORT_SUSPEND);
    }
    if ((value & PORT_RESET) && !(old & PORT_RESET)) {
        *sc = (*sc & ~(uint32_t)(PORT_ENABLE | PORT_SUSPEND)) | PORT_RESET;
    } else if (!(value & PORT_RESET) && (old & PORT_RESET)) {
        *sc &= ~(uint32_t)PORT_RESET;
        end_port_reset(e, n);
    }
    if ((value & PORT_SUSPEND) && (*sc & PORT_ENABLE)) {
        *sc |= PORT_SUSPEND;
    }
    if ((value & PORT_RESUME) && (*sc & PORT_SUSPEND)) {
        *sc |= PORT_RESUME;
    } else if (!(value & PORT_RESUME) && (old & PORT_RESUME)) {
        *sc &= ~(uint32_t)(PORT_RESUME | PORT_SUSPEND);
    }
    if (e->companion[n] && ((value ^ old) & PORT_OWNER)) {
        *sc ^= PORT_OWNER;
        route(e, n);
    }
    wake(e);
}

static void set_config_flag(Ehci *e, bool on)
{
    e->s.config_flag = on;
    for (int n = 0; n < EHCI_PORTS; n++) {
        if (e->companion[n]) {
            e->s.portsc[n] = on ? e->s.portsc[n] & ~(uint32_t)PORT_OWNER : e->s.portsc[n] | PORT_OWNER;
            route(e, n);
        }
    }
}

/* ---- registers ---- */

static void start_state(Ehci *e)
{
    state_reset(EhciState_fields, &e->s);
    timer_cancel(e->timer);
    for (int n = 0; n < EHCI_PORTS; n++) {
        e->s.portsc[n] = PORT_POWER | (e->companion[n] ? PORT_OWNER : 0);
        route(e, n);
        if (e->ports[n].dev) {
            usb_device_bus_reset(e->ports[n].dev);
            e->s.portsc[n] |= PORT_CONNECT | PORT_CONNECT_CHANGE;
        }
    }
}

static void ehci_reset(Device *dev)
{
    start_state((Ehci *)dev);
}

static void write_command(Ehci *e, uint32_t value)
{
    EhciState *s = &e->s;

    if (value & CMD_RESET) {
        start_state(e);
        return;
    }
    if ((value & CMD_RUN) && !running(e)) {
        s->frame_at = s->busy_at = clock_now(CLOCK_GUEST);
        s->frindex &= ~7u;
    } else if (!(value & CMD_RUN) && running(e)) {
        s->frindex = frindex_now(e) & ~7u;
    }
    if ((value & CMD_ASYNC) && !(s->command & CMD_ASYNC)) {
        s->busy_at = clock_now(CLOCK_GUEST);
    }
    s->command = value & 0x00ff0b3f;
    s->status &= ~(uint32_t)(EHCI_STS_HALTED | EHCI_STS_PERIODIC | EHCI_STS_ASYNC);
    if (running(e)) {
        s->status |= (value & CMD_PERIODIC ? EHCI_STS_PERIODIC : 0) | (value & CMD_ASYNC ? EHCI_STS_ASYNC : 0);
        if (value & CMD_DOORBELL) { /* what is remembered between two passes has to be in the list still */
            s->status |= EHCI_STS_ADVANCE;
        }
    } else {
        s->status |= EHCI_STS_HALTED;
    }
    wake(e);
}

static uint32_t read_capability(const Ehci *e, unsigned offset)
{
    switch (offset) {
    case CAPLENGTH:
        return OPERATIONAL | 0x0100 << 16;
    case HCSPARAMS:
        return EHCI_PORTS | 0 << 4 | e->ports_per_companion << 8 | e->companions << 12;
    case HCCPARAMS:
        return 0x0006; /* frame lists of other sizes than 1024, and park mode */
    default:
        return 0;
    }
}

static uint64_t ehci_read(void *opaque, PhysAddr offset, unsigned size)
{
    Ehci *e = opaque;
    const EhciState *s = &e->s;

    switch (offset) {
    case USBCMD:
        return s->command;
    case USBSTS:
        return s->status;
    case USBINTR:
        return s->intr;
    case FRINDEX:
        return frindex_now(e);
    case PERIODICLISTBASE:
        return s->periodic_list;
    case ASYNCLISTADDR:
        return s->async_list;
    case CONFIGFLAG:
        return s->config_flag;
    case PORTSC ... PORTSC + 4 * EHCI_PORTS - 1:
        return read_port(e, (offset - PORTSC) / 4);
    default:
        return offset < OPERATIONAL ? read_capability(e, offset) : 0;
    }
}

static void ehci_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ehci *e = opaque;
    EhciState *s = &e->s;

    switch (offset) {
    case USBCMD:
        write_command(e, value);
        break;
    case USBSTS:
        s->status &= ~(value & 0x3f);
        break;
    case USBINTR:
        s->intr = value & 0x3f;
        break;
    case FRINDEX:
        if (!running(e)) {
            s->frindex = value & 0x3ff8;
        }
        break;
    case PERIODICLISTBASE:
        s->periodic_list = value & ~0xfffu;
        break;
    case ASYNCLISTADDR:
        s->async_list = value & ~31u;
        break;
    case CONFIGFLAG:
        set_config_flag(e, value & 1);
        break;
    case PORTSC ... PORTSC + 4 * EHCI_PORTS - 1:
        write_port(e, (offset - PORTSC) / 4, value);
        break;
    }
    ehci_update(&e->pci.dev);
}

static const RegionOps mmio_ops = { ehci_read, ehci_write, 4, 4, ENDIAN_LITTLE };

/* ---- the device ---- */

static bool lend(UsbBus *bus, UsbPort *ports, int count, int first, GError **error)
{
    Ehci *e = (Ehci *)bus->bus.owner;

    if (first < 0 || first + count > EHCI_PORTS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "firstport=%d: '%s' has ports 0 to %d", first,
                    bus->bus.name, EHCI_PORTS - 1);
        return false;
    }
    for (int i = first; i < first + count; i++) {
        if (e->companion[i] || e->ports[i].owner) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "firstport=%d: port %d of '%s' is taken", first, i,
                        bus->bus.name);
            return false;
        }
    }
    for (int i = 0; i < count; i++) {
        e->companion[first + i] = &ports[i];
        e->ports[first + i].speeds = USB_SPEED(USB_LOW) | USB_SPEED(USB_FULL) | USB_SPEED(USB_HIGH);
    }
    e->companions++;
    e->ports_per_companion = MAX(e->ports_per_companion, count);
    return true;
}

static const PciInfo infos[] = {
    { 0x8086, 0x24cd, 0x0c0320 << 8 | 0x10, 0x1af4, 0x1100, 4, NULL },
    { 0x8086, 0x293a, 0x0c0320 << 8 | 0x03, 0x1af4, 0x1100, 4, NULL },
    { 0x8086, 0x293c, 0x0c0320 << 8 | 0x03, 0x1af4, 0x1100, 4, NULL },
};

static bool ehci_realize(Device *dev, GError **error)
{
    Ehci *e = (Ehci *)dev;

    pci_device_init(&e->pci, &infos[g_str_equal(dev->type->name, "usb-ehci")         ? 0
                                    : g_str_equal(dev->type->name, "ich9-usb-ehci1") ? 1
                                                                                     : 2]);
    e->pci.config[0x60] = 0x20; /* release 2.0 of USB */
    e->pci.config[0x61] = 0x20; /* frame length: 60000 high-speed bit times */
    e->pci.writable[0x61] = 0x3f;
    e->mmio = region_new_io("ehci", &mmio_ops, e, 0x1000);
    pci_register_bar(&e->pci, 0, PCI_BAR_MEM32, e->mmio);
    e->timer = timer_new(CLOCK_GUEST, run, e);
    e->bus = usb_bus_new(dev);
    e->bus->lend = lend;
    for (int n = 0; n < EHCI_PORTS; n++) {
        e->ports[n] = (UsbPort){ .ops = &port_ops, .opaque = e, .index = n, .speeds = USB_SPEED(USB_HIGH) };
        usb_bus_add_port(e->bus, &e->ports[n]);
    }
    return true;
}

static bool ehci_loaded(Device *dev, GError **error)
{
    Ehci *e = (Ehci *)dev;
    int64_t now = clock_now(CLOCK_GUEST);

    for (int n = 0; n < EHCI_PORTS; n++) {
        uint32_t sc = e->s.portsc[n];

        route(e, n);
        e->s.portsc[n] = e->ports[n].dev ? sc : sc & ~(uint32_t)(PORT_CONNECT | PORT_ENABLE);
    }
    e->s.frindex &= 0x3ff8;
    if (e->s.frame_at < 0 || e->s.frame_at > now || e->s.busy_at < 0 || e->s.busy_at > now) {
        e->s.frame_at = e->s.busy_at = now;
    }
    timer_cancel(e->timer);
    return true;
}

static const Prop ehci_props[] = {
    PCI_PROPS(Ehci),
    { 0 },
};

#define EHCI_TYPE(spelling, text)          \
    {                                      \
        .name = spelling,                  \
        .about = text,                     \
        .bus = "pci",                      \
        .user = true,                      \
        .size = sizeof(Ehci),              \
        .state_at = offsetof(Ehci, s),     \
        .state = EhciState_fields,         \
        .props = ehci_props,               \
        .realize = ehci_realize,           \
        .reset = ehci_reset,               \
        .post_load = ehci_loaded,          \
        .update = ehci_update,             \
    }

const DeviceType usb_ehci_type = EHCI_TYPE("usb-ehci", "USB 2.0 controller (EHCI)");
const DeviceType ich9_usb_ehci1_type = EHCI_TYPE("ich9-usb-ehci1", "USB 2.0 controller (EHCI) of the ICH9, first");
const DeviceType ich9_usb_ehci2_type = EHCI_TYPE("ich9-usb-ehci2", "USB 2.0 controller (EHCI) of the ICH9, second");
