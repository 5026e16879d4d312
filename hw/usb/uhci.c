/*
 * UHCI: the USB 1.1 controller of the PIIX and ICH chips.
 *
 * Universal Host Controller Interface Design Guide 1.1; chapter 2 for registers, 3 for the schedule.
 */
#include "core/clock.h"
#include "hw/pci/pci.h"
#include "hw/usb/usb.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

enum { USBCMD = 0, USBSTS = 2, USBINTR = 4, FRNUM = 6, FLBASEADD = 8, SOFMOD = 12, PORTSC = 16 };
enum { CMD_RUN = 1, CMD_HCRESET = 2, CMD_GRESET = 4, CMD_DEBUG = 0x20 };
enum { STS_INT = 1, STS_ERROR = 2, STS_RESUME = 4, STS_HOST_ERROR = 8, STS_PROCESS_ERROR = 0x10, STS_HALTED = 0x20 };
enum { INTR_TIMEOUT = 1, INTR_RESUME = 2, INTR_IOC = 4, INTR_SHORT = 8 };
enum { PORT_CONNECT = 1, PORT_CONNECT_CHANGE = 2, PORT_ENABLE = 4, PORT_ENABLE_CHANGE = 8, PORT_LINE_K = 0x10,
       PORT_RESUME = 0x40, PORT_ALWAYS = 0x80, PORT_LOW_SPEED = 0x100, PORT_RESET = 0x200, PORT_SUSPEND = 0x1000 };
enum { LINK_END = 1, LINK_QH = 2, LINK_DEPTH = 4 };
enum { TD_STALLED = 1 << 22, TD_BUFFER = 1 << 21, TD_BABBLE = 1 << 20, TD_NAK = 1 << 19, TD_TIMEOUT = 1 << 18,
       TD_ACTIVE = 1 << 23, TD_IOC = 1 << 24, TD_ISO = 1 << 25, TD_SHORT = 1 << 29, TD_ERRORS = 3 << 27 };
#define PORTS       2
#define FRAME_NS    NS_PER_MS
#define MAX_TD_DATA 1280
#define MAX_VISITS  4096 /* links followed in one frame, which real hardware could not reach */
#define ALL_VISITS  8192 /* and in all frames that are due together */
/* More than the wire could carry: a frame ends when nothing is left to do, or here. */
#define FRAME_BYTES (16 * MAX_TD_DATA)
#define MAX_BACKLOG 64   /* frames that are caught up with after a pause of the host */
/* Once nothing but NAKs came for a while, several frames are gone through at a time. */
#define BUSY_FRAMES 32
#define IDLE_BATCH  16

#define UHCI_STATE(FIELD, ARRAY)                                              \
    FIELD(uint16_t, command, 0)                                               \
    FIELD(uint16_t, status, STS_HALTED)                                       \
    FIELD(uint16_t, intr, 0)                                                  \
    FIELD(uint16_t, frame, 0)                                                 \
    FIELD(uint32_t, list, 0)                                                  \
    FIELD(uint8_t, sof, 64)                                                   \
    ARRAY(uint16_t, portsc, PORTS, PORT_ALWAYS)                               \
    FIELD(uint8_t, why, 0) /* of STS_INT: INTR_IOC, INTR_SHORT */             \
    FIELD(int64_t, frame_at, 0) /* guest time at which `frame` began */       \
    FIELD(uint32_t, quiet, 0)   /* frames without anything but NAKs */

DEFINE_STATE(UhciState, UHCI_STATE);

typedef struct Uhci {
    PciDevice pci;
    UhciState s;
    Region *io;
    UsbBus *bus; /* NULL: a companion */
    UsbPort ports[PORTS];
    char *masterbus;
    uint32_t firstport;
    Timer *timer;
    bool progress; /* in this pass through the frame's queues */
    int budget;    /* bytes left in this frame */
    int visits;    /* left of ALL_VISITS */
    uint8_t causes;
} Uhci;

typedef struct Td {
    uint32_t link, control, token, buffer;
} Td;

/* ---- interrupts ---- */

static int64_t batch(const Uhci *u)
{
    return u->s.quiet < BUSY_FRAMES ? 1 : IDLE_BATCH;
}

static void uhci_update(Device *dev)
{
    Uhci *u = (Uhci *)dev;
    const UhciState *s = &u->s;
    bool level = ((s->status & STS_INT) && (s->why & s->intr)) ||
                 ((s->status & STS_ERROR) && (s->intr & INTR_TIMEOUT)) ||
                 ((s->status & STS_RESUME) && (s->intr & INTR_RESUME)) ||
                 (s->status & (STS_HOST_ERROR | STS_PROCESS_ERROR));

    pci_set_intx(&u->pci, level);
    if (s->command & CMD_RUN) {
        if (!timer_pending(u->timer)) {
            timer_set(u->timer, s->frame_at + batch(u) * FRAME_NS);
        }
    } else {
        timer_cancel(u->timer);
    }
}

static void process_error(Uhci *u, const char *what, uint32_t value)
{
    guest_error(u->pci.dev.id, "%s %x", what, value);
    u->s.status |= STS_PROCESS_ERROR | STS_HALTED;
    u->s.command &= ~CMD_RUN;
}

/* ---- transfer descriptors ---- */

static UsbDevice *find_device(Uhci *u, uint8_t address)
{
    UsbDevice *usb = NULL;

    for (int n = 0; n < PORTS && !usb; n++) {
        if (u->s.portsc[n] & PORT_ENABLE) {
            usb = usb_port_find(&u->ports[n], address);
        }
    }
    return usb;
}

enum { TD_DONE, TD_STAYS, TD_ENDS_QUEUE };

/* What the device said goes into the descriptor; the queue advances if this returns TD_DONE. */
static int retire_td(Uhci *u, Td *td, int result, unsigned size, bool is_in)
{
    td->control &= ~(TD_ACTIVE | TD_NAK);
    if (result >= 0) {
        td->control = (td->control & ~0x7ffu) | ((result - 1) & 0x7ff);
        u->causes |= td->control & TD_IOC ? INTR_IOC : 0;
        if (is_in && (unsigned)result < size && (td->control & TD_SHORT)) {
            u->causes |= INTR_SHORT;
            return TD_ENDS_QUEUE;
        }
        return TD_DONE;
    }
    td->control &= ~0x7ffu;
    td->control |= 0x7ff; /* nothing was moved */
    switch (result) {
    case USB_STALL:
        td->control |= TD_STALLED;
        break;
    case USB_BABBLE:
        td->control |= TD_STALLED | TD_BABBLE;
        break;
    default: /* all the retries that the error counter allows happen at once */
        td->control = (td->control & ~TD_ERRORS) | TD_STALLED | TD_TIMEOUT;
        break;
    }
    u->causes |= td->control & TD_IOC ? INTR_IOC : 0;
    u->s.status |= STS_ERROR;
    return td->control & TD_ISO ? TD_DONE : TD_ENDS_QUEUE;
}

static int run_td(Uhci *u, uint32_t at, Td *td)
{
    uint8_t data[MAX_TD_DATA], raw[16];
    uint8_t pid, endpoint;
    unsigned size;
    UsbDevice *usb;
    uint32_t before;
    int result, what;

    pci_dma_read(&u->pci, at, raw, sizeof(raw));
    *td = (Td){ load_le32(raw), load_le32(raw + 4), load_le32(raw + 8), load_le32(raw + 12) };
    if (!(td->control & TD_ACTIVE)) {
        return TD_STAYS;
    }
    before = td->control;
    pid = td->token;
    endpoint = td->token >> 15 & 15;
    size = ((td->token >> 21) + 1) & 0x7ff;
    if (size > MAX_TD_DATA || (pid != USB_IN && pid != USB_OUT && pid != USB_SETUP)) {
        process_error(u, "transfer descriptor with token", td->token);
        return TD_STAYS;
    }
    if (pid != USB_IN) {
        pci_dma_read(&u->pci, td->buffer, data, size);
    }
    usb = find_device(u, td->token >> 8 & 0x7f);
    result = usb ? usb_transfer(usb, pid, endpoint, 0, data, size) : USB_NO_ANSWER;
    if (result == USB_NAK) {
        if (td->control & TD_ISO) { /* nobody waits: an empty packet */
            result = 0;
        } else {
            td->control |= TD_NAK;
            if (td->control != before) {
                store_le32(raw, td->control);
                pci_dma_write(&u->pci, at + 4, raw, 4);
            }
            return TD_STAYS;
        }
    }
    if (result > 0 && pid == USB_IN) {
        pci_dma_write(&u->pci, td->buffer, data, result);
    }
    u->progress = true;
    u->budget -= result > 0 ? result + 8 : 8;
    what = retire_td(u, td, result, size, pid == USB_IN);
    store_le32(raw, td->control);
    pci_dma_write(&u->pci, at + 4, raw, 4);
    return what;
}

/* ---- the schedule ---- */

static uint32_t read_link(Uhci *u, uint32_t at)
{
    uint8_t raw[4];

    pci_dma_read(&u->pci, at, raw, sizeof(raw));
    return load_le32(raw);
}

/* The descriptors of a queue: one, or as many as say "depth first". */
static void run_queue(Uhci *u, uint32_t qh, uint32_t element)
{
    for (int n = 0; n < MAX_VISITS && !(element & (LINK_END | LINK_QH)) && u->budget > 0 && u->visits > 0; n++) {
        uint8_t raw[4];
        Td td;

        u->visits--;
        if (run_td(u, element & ~15u, &td) != TD_DONE) {
            return;
        }
        element = td.link;
        store_le32(raw, element);
        pci_dma_write(&u->pci, qh + 4, raw, 4);
        if (!(element & LINK_DEPTH)) {
            return;
        }
    }
}

/*
 * Follows the frame's list. It may be a ring (bandwidth reclamation): that is gone round until a whole
 * round moves nothing. `mark` is where the round began; it moves up at powers of two, so that any loop
 * that it is not on comes to contain it.
 */
static void run_frame(Uhci *u)
{
    uint32_t link = read_link(u, (u->s.list & ~0xfffu) + (u->s.frame & 1023) * 4), mark = LINK_END;
    unsigned next_mark = 1;

    u->budget = FRAME_BYTES;
    u->progress = false;
    for (unsigned n = 0; n < MAX_VISITS && !(link & LINK_END) && u->budget > 0 && u->visits > 0; n++) {
        uint32_t at = link & ~15u;

        u->visits--;
        if (link == mark) {
            if (!u->progress) {
                break;
            }
            u->progress = false;
        }
        if (n == next_mark) {
            mark = link;
            next_mark *= 2;
            u->progress = false;
        }
        if (link & LINK_QH) {
            uint8_t raw[8];
            uint32_t element;

            pci_dma_read(&u->pci, at, raw, sizeof(raw));
            element = load_le32(raw + 4);
            if (!(element & LINK_END) && (element & LINK_QH)) {
                link = element; /* a queue of queues */
                continue;
            }
            run_queue(u, at, element);
            link = load_le32(raw);
        } else {
            Td td;

            run_td(u, at, &td);
            link = td.link;
        }
        if (!(u->s.command & CMD_RUN)) {
            return;
        }
    }
}

static void run_frames(void *opaque)
{
    Uhci *u = opaque;
    UhciState *s = &u->s;
    int64_t due = (clock_now(CLOCK_GUEST) - s->frame_at) / FRAME_NS;

    if (!(s->command & CMD_RUN)) {
        return;
    }
    if (due > MAX_BACKLOG) {
        int64_t lost = due - MAX_BACKLOG;

        s->frame = (s->frame + lost) & 0x7ff;
        s->frame_at += lost * FRAME_NS;
        due = MAX_BACKLOG;
    }
    u->visits = ALL_VISITS; /* frames for which none are left go by without their lists */
    for (; due > 0 && (s->command & CMD_RUN); due--) {
        int before = FRAME_BYTES;

        run_frame(u);
        before -= u->budget;
        s->quiet = before ? 0 : MIN(s->quiet + 1, BUSY_FRAMES);
        s->frame = (s->frame + 1) & 0x7ff;
        s->frame_at += FRAME_NS;
        if (u->causes) {
            s->status |= STS_INT;
            s->why |= u->causes;
            u->causes = 0;
        }
    }
    uhci_update(&u->pci.dev);
}

/* The timer may be set for many frames from now; the next frame is soon enough. */
static void hurry(Uhci *u)
{
    if (u->s.command & CMD_RUN) {
        int64_t elapsed = clock_now(CLOCK_GUEST) - u->s.frame_at;

        u->s.quiet = 0; /* its turn may be a few frames away */
        timer_set(u->timer, u->s.frame_at + (elapsed / FRAME_NS + 1) * FRAME_NS);
    }
}

/* ---- ports ---- */

static void port_changed(UsbPort *port)
{
    Uhci *u = port->opaque;
    uint16_t *sc = &u->s.portsc[port->index];
    bool was_enabled = *sc & PORT_ENABLE;

    *sc &= ~(PORT_CONNECT | PORT_ENABLE | PORT_LOW_SPEED | PORT_SUSPEND);
    *sc |= PORT_CONNECT_CHANGE;
    if (port->dev) {
        *sc |= PORT_CONNECT | (port->dev->speed == USB_LOW ? PORT_LOW_SPEED : 0);
    } else if (was_enabled) {
        *sc |= PORT_ENABLE_CHANGE;
    }
    u->s.status |= STS_RESUME;
    uhci_update(&u->pci.dev);
}

static void port_ready(UsbPort *port, UsbDevice *dev, uint8_t address, unsigned stream)
{
    hurry(port->opaque);
}

static void port_wakeup(UsbPort *port)
{
    Uhci *u = port->opaque;

    if (u->s.portsc[port->index] & PORT_SUSPEND) {
        u->s.portsc[port->index] |= PORT_RESUME;
        u->s.status |= STS_RESUME;
        uhci_update(&u->pci.dev);
    }
}

static const UsbPortOps port_ops = { port_changed, port_changed, port_ready, port_wakeup, NULL };

static void write_port(Uhci *u, int n, uint16_t value)
{
    uint16_t *sc = &u->s.portsc[n], old = *sc;

    if (!(value & PORT_RESET) && (old & PORT_RESET) && u->ports[n].dev) {
        usb_device_bus_reset(u->ports[n].dev);
    }
    *sc &= ~(value & (PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE));
    *sc &= ~(PORT_ENABLE | PORT_RESUME | PORT_RESET | PORT_SUSPEND);
    *sc |= value & (PORT_ENABLE | PORT_RESUME | PORT_RESET | PORT_SUSPEND);
    if (!(*sc & PORT_CONNECT) || (*sc & PORT_RESET)) {
        *sc &= ~PORT_ENABLE;
    }
    if ((old & PORT_RESUME) && !(value & PORT_RESUME)) {
        *sc &= ~PORT_SUSPEND; /* the resume has ended */
    }
}

/* ---- registers ---- */

static void start_state(Uhci *u)
{
    state_reset(UhciState_fields, &u->s);
    timer_cancel(u->timer);
    u->causes = 0;
    for (int n = 0; n < PORTS; n++) {
        if (u->ports[n].dev) {
            usb_device_bus_reset(u->ports[n].dev);
            u->s.portsc[n] |= PORT_CONNECT | PORT_CONNECT_CHANGE |
                              (u->ports[n].dev->speed == USB_LOW ? PORT_LOW_SPEED : 0);
        }
    }
}

static void uhci_reset(Device *dev)
{
    start_state((Uhci *)dev);
}

static void write_command(Uhci *u, uint16_t value)
{
    UhciState *s = &u->s;

    if (value & CMD_HCRESET) {
        start_state(u);
        return;
    }
    if (value & CMD_GRESET) {
        for (int n = 0; n < PORTS; n++) {
            if (u->ports[n].dev) {
                usb_device_bus_reset(u->ports[n].dev);
            }
            s->portsc[n] &= ~(PORT_ENABLE | PORT_SUSPEND);
        }
    }
    if ((value & CMD_RUN) && !(s->command & CMD_RUN)) {
        s->frame_at = clock_now(CLOCK_GUEST);
        s->quiet = 0;
        s->status &= ~STS_HALTED;
        timer_cancel(u->timer);
    } else if (!(value & CMD_RUN)) {
        s->status |= STS_HALTED;
    }
    s->command = value & 0xff;
}

static uint16_t frame_now(const Uhci *u)
{
    const UhciState *s = &u->s;

    if (!(s->command & CMD_RUN)) {
        return s->frame;
    }
    return (s->frame + (clock_now(CLOCK_GUEST) - s->frame_at) / FRAME_NS) & 0x7ff;
}

static uint64_t uhci_read(void *opaque, PhysAddr offset, unsigned size)
{
    Uhci *u = opaque;
    const UhciState *s = &u->s;

    switch (offset & ~1u) {
    case USBCMD:
        return s->command;
    case USBSTS:
        return s->status;
    case USBINTR:
        return s->intr;
    case FRNUM:
        return frame_now(u);
    case FLBASEADD:
        return s->list & 0xffff;
    case FLBASEADD + 2:
        return s->list >> 16;
    case SOFMOD:
        return s->sof;
    case PORTSC:
    case PORTSC + 2: {
        int n = (offset - PORTSC) / 2;

        return s->portsc[n] | (s->portsc[n] & PORT_RESUME ? PORT_LINE_K : 0);
    }
    default: /* software counts ports by the bit that always reads as 1 */
        return offset > PORTSC ? 0xff7f : 0;
    }
}

static void uhci_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Uhci *u = opaque;
    UhciState *s = &u->s;

    switch (offset & ~1u) {
    case USBCMD:
        write_command(u, value);
        break;
    case USBSTS:
        s->status &= ~(value & 0x1f);
        s->why = s->status & STS_INT ? s->why : 0;
        break;
    case USBINTR:
        s->intr = value & 15;
        break;
    case FRNUM:
        if (!(s->command & CMD_RUN)) {
            s->frame = value & 0x7ff;
        }
        break;
    case FLBASEADD:
        s->list = (s->list & 0xffff0000) | (value & 0xf000);
        break;
    case FLBASEADD + 2:
        s->list = (s->list & 0xffff) | value << 16;
        break;
    case SOFMOD:
        s->sof = value & 0x7f;
        break;
    case PORTSC:
    case PORTSC + 2:
        write_port(u, (offset - PORTSC) / 2, value);
        break;
    }
    uhci_update(&u->pci.dev);
}

static const RegionOps io_ops = { uhci_read, uhci_write, 2, 2, ENDIAN_LITTLE };

/* ---- the device ---- */

/* Interrupt pins and numbers of the chips that this controller was part of. */
static const PciInfo infos[] = {
    { 0x8086, 0x7020, 0x0c0300 << 8 | 0x01, 0x1af4, 0x1100, 4, NULL },
    { 0x8086, 0x7112, 0x0c0300 << 8 | 0x01, 0x1af4, 0x1100, 4, NULL },
    { 0x8086, 0x2934, 0x0c0300 << 8 | 0x03, 0x1af4, 0x1100, 1, NULL },
    { 0x8086, 0x2935, 0x0c0300 << 8 | 0x03, 0x1af4, 0x1100, 2, NULL },
    { 0x8086, 0x2936, 0x0c0300 << 8 | 0x03, 0x1af4, 0x1100, 3, NULL },
};
static const char *const names[] = { "piix3-usb-uhci", "piix4-usb-uhci", "ich9-usb-uhci1", "ich9-usb-uhci2",
                                     "ich9-usb-uhci3" };

static const PciInfo *info_of(const DeviceType *type)
{
    int n = 0;

    while (!g_str_equal(names[n], type->name)) {
        n++;
    }
    return &infos[n];
}

static bool uhci_realize(Device *dev, GError **error)
{
    Uhci *u = (Uhci *)dev;

    pci_device_init(&u->pci, info_of(dev->type));
    u->pci.config[0x60] = 0x10; /* release 1.0 of USB */
    store_le16(u->pci.writable + 0xc0, 0x30bf); /* legacy support: nothing of it is emulated */
    store_le16(u->pci.config + 0xc0, 0x2000);
    u->io = region_new_io(dev->type->name, &io_ops, u, 32);
    pci_register_bar(&u->pci, 4, PCI_BAR_IO, u->io);
    u->timer = timer_new(CLOCK_GUEST, run_frames, u);
    for (int n = 0; n < PORTS; n++) {
        u->ports[n] = (UsbPort){ .ops = &port_ops, .opaque = u, .index = n,
                                 .speeds = USB_SPEED(USB_LOW) | USB_SPEED(USB_FULL) };
    }
    if (u->masterbus) {
        return usb_bus_lend(u->masterbus, u->ports, PORTS, u->firstport, error);
    }
    u->bus = usb_bus_new(dev);
    for (int n = 0; n < PORTS; n++) {
        usb_bus_add_port(u->bus, &u->ports[n]);
    }
    return true;
}

/* A snapshot from another machine may say that ports are connected that are not. */
static bool uhci_loaded(Device *dev, GError **error)
{
    Uhci *u = (Uhci *)dev;

    for (int n = 0; n < PORTS; n++) {
        if (!u->ports[n].dev) {
            u->s.portsc[n] &= ~(PORT_CONNECT | PORT_ENABLE);
        }
    }
    u->s.frame &= 0x7ff;
    if (u->s.frame_at < 0 || u->s.frame_at > clock_now(CLOCK_GUEST)) {
        u->s.frame_at = clock_now(CLOCK_GUEST);
    }
    timer_cancel(u->timer);
    return true;
}

static const Prop uhci_props[] = {
    PCI_PROPS(Uhci),
    PROP(Uhci, masterbus, "masterbus", PROP_STRING, NULL, "bus of the usb-ehci whose companion this is"),
    PROP(Uhci, firstport, "firstport", PROP_U32, "0", "its port (from 0) that the first of ours shares"),
    { 0 },
};

#define UHCI_TYPE(spelling, text)          \
    {                                      \
        .name = spelling,                  \
        .about = text,                     \
        .bus = "pci",                      \
        .user = true,                      \
        .size = sizeof(Uhci),              \
        .state_at = offsetof(Uhci, s),     \
        .state = UhciState_fields,         \
        .props = uhci_props,               \
        .realize = uhci_realize,           \
        .reset = uhci_reset,               \
        .post_load = uhci_loaded,          \
        .update = uhci_update,             \
    }

const DeviceType piix3_usb_uhci_type = UHCI_TYPE("piix3-usb-uhci", "USB 1.1 controller (UHCI) of the PIIX3");
const DeviceType piix4_usb_uhci_type = UHCI_TYPE("piix4-usb-uhci", "USB 1.1 controller (UHCI) of the PIIX4");
const DeviceType ich9_usb_uhci1_type = UHCI_TYPE("ich9-usb-uhci1", "USB 1.1 controller (UHCI) of the ICH9, first");
const DeviceType ich9_usb_uhci2_type = UHCI_TYPE("ich9-usb-uhci2", "USB 1.1 controller (UHCI) of the ICH9, second");
const DeviceType ich9_usb_uhci3_type = UHCI_TYPE("ich9-usb-uhci3", "USB 1.1 controller (UHCI) of the ICH9, third");
