/*
 * OHCI: the USB 1.1 controller of Apple, and of many add-in cards.
 *
 * Open Host Controller Interface Specification for USB, release 1.0a; chapter 7 for registers, sections
 * 4.2 to 4.5 for endpoint and transfer descriptors and the communications area, 5.2 and 6.4 for their
 * processing.
 */
#include "core/clock.h"
#include "hw/pci/pci.h"
#include "hw/usb/usb.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

enum { REVISION = 0x00, CONTROL = 0x04, COMMAND = 0x08, INTERRUPT_STATUS = 0x0c, INTERRUPT_ENABLE = 0x10,
       INTERRUPT_DISABLE = 0x14, HCCA = 0x18, PERIOD_CURRENT = 0x1c, CONTROL_HEAD = 0x20, CONTROL_CURRENT = 0x24,
       BULK_HEAD = 0x28, BULK_CURRENT = 0x2c, DONE_HEAD = 0x30, FM_INTERVAL = 0x34, FM_REMAINING = 0x38,
       FM_NUMBER = 0x3c, PERIODIC_START = 0x40, LS_THRESHOLD = 0x44, DESCRIPTOR_A = 0x48, DESCRIPTOR_B = 0x4c,
       RH_STATUS = 0x50, PORT_STATUS = 0x54 };
enum { CONTROL_PERIODIC = 1 << 2, CONTROL_ISOCHRONOUS = 1 << 3, CONTROL_CONTROL = 1 << 4, CONTROL_BULK = 1 << 5,
       CONTROL_STATE = 3 << 6, STATE_RESET = 0 << 6, STATE_OPERATIONAL = 2 << 6, STATE_SUSPEND = 3 << 6 };
enum { COMMAND_RESET = 1 << 0, COMMAND_CONTROL_FILLED = 1 << 1, COMMAND_BULK_FILLED = 1 << 2, COMMAND_OWNER = 1 << 3 };
enum { INT_DONE = 1 << 1, INT_FRAME = 1 << 2, INT_RESUME = 1 << 3, INT_ERROR = 1 << 4, INT_OVERFLOW = 1 << 5,
       INT_HUB = 1 << 6, INT_OWNER = 1 << 30 };
#define INT_MASTER (1u << 31)
enum { ED_SKIP = 1 << 14, ED_ISOCHRONOUS = 1 << 15, ED_HALTED = 1, ED_CARRY = 2 };
enum { TD_ROUNDING = 1 << 18, CC_SHIFT = 28 };
enum { CC_NONE = 0, CC_STALL = 4, CC_NO_ANSWER = 5, CC_OVERRUN = 8, CC_UNDERRUN = 9 };
enum { PORT_CONNECT = 1 << 0, PORT_ENABLE = 1 << 1, PORT_SUSPEND = 1 << 2, PORT_RESET = 1 << 4, PORT_POWER = 1 << 8,
       PORT_LOW_SPEED = 1 << 9, PORT_CONNECT_CHANGE = 1 << 16, PORT_ENABLE_CHANGE = 1 << 17,
       PORT_SUSPEND_CHANGE = 1 << 18, PORT_RESET_CHANGE = 1 << 20, PORT_CHANGES = 0x1f << 16 };
#define MAX_PORTS   15
#define FRAME_NS    NS_PER_MS
#define FRAME_BITS  12000
#define MAX_BACKLOG 64
#define MAX_EDS     512 /* endpoint descriptors looked at in one list */
#define MAX_TDS     64  /* retired of one endpoint at a visit */
#define MAX_DATA    8192
/* What the frames that are due may cost together, in bytes: far more than the wire carries, copied in a fraction of a frame. */
#define PASS        (1 << 20)
#define VISIT       64         /* that looking at a descriptor counts for */
#define MAX_SHARE   (PASS / 4) /* for one visit to an endpoint: others get their turn */
#define BUSY_FRAMES 32
#define IDLE_BATCH  16

#define OHCI_STATE(FIELD, ARRAY)                                           \
    FIELD(uint32_t, control, 0)                                            \
    FIELD(uint32_t, command, 0)                                            \
    FIELD(uint32_t, status, 0)                                             \
    FIELD(uint32_t, enable, 0)                                             \
    FIELD(uint32_t, hcca, 0)                                               \
    FIELD(uint32_t, period_current, 0)                                     \
    FIELD(uint32_t, control_head, 0)                                       \
    FIELD(uint32_t, control_current, 0)                                    \
    FIELD(uint32_t, bulk_head, 0)                                          \
    FIELD(uint32_t, bulk_current, 0)                                       \
    FIELD(uint32_t, done_head, 0)                                          \
    FIELD(uint8_t, done_delay, 7) /* frames until the queue is given out; 7: not at all */ \
    FIELD(uint32_t, interval, 0x27782edf)                                  \
    FIELD(uint16_t, frame, 0)                                              \
    FIELD(uint32_t, periodic_start, 0)                                     \
    FIELD(uint32_t, ls_threshold, 0x628)                                   \
    FIELD(uint32_t, descriptor_a, 0)                                       \
    FIELD(uint32_t, descriptor_b, 0)                                       \
    FIELD(uint32_t, hub_status, 0)                                         \
    ARRAY(uint32_t, port, MAX_PORTS, 0)                                    \
    FIELD(int64_t, frame_at, 0) /* guest time at which `frame` began */    \
    FIELD(uint32_t, quiet, 0)   /* frames without anything but NAKs */

DEFINE_STATE(OhciState, OHCI_STATE);

typedef struct Ohci {
    PciDevice pci;
    OhciState s;
    Region *mmio;
    UsbBus *bus;
    UsbPort ports[MAX_PORTS];
    uint32_t port_count;
    char *masterbus;
    uint32_t firstport;
    Timer *timer;
    bool moved;
    int budget; /* left of PASS */
    uint8_t data[MAX_DATA];
} Ohci;

/* ---- memory and lines ---- */

static void read_words(Ohci *o, uint32_t at, uint32_t *words, int count)
{
    pci_dma_read(&o->pci, at, words, count * 4);
    for (int i = 0; i < count; i++) {
        words[i] = load_le32(&words[i]);
    }
}

static void write_words(Ohci *o, uint32_t at, const uint32_t *words, int count)
{
    uint8_t raw[8 * 4];

    for (int i = 0; i < count; i++) {
        store_le32(raw + i * 4, words[i]);
    }
    pci_dma_write(&o->pci, at, raw, count * 4);
}

static bool operational(const Ohci *o)
{
    return (o->s.control & CONTROL_STATE) == STATE_OPERATIONAL;
}

/* Whether each frame must begin on time: the driver counts them, or waits for a queue. */
static bool needs_each_frame(const Ohci *o)
{
    const OhciState *s = &o->s;

    return s->quiet < BUSY_FRAMES || (s->enable & INT_FRAME) || s->done_delay != 7;
}

static void ohci_update(Device *dev)
{
    Ohci *o = (Ohci *)dev;

    pci_set_intx(&o->pci, (o->s.enable & INT_MASTER) && (o->s.status & o->s.enable & ~INT_MASTER));
    if (!operational(o)) {
        timer_cancel(o->timer);
    } else if (!timer_pending(o->timer)) {
        timer_set(o->timer, o->s.frame_at + (needs_each_frame(o) ? 1 : IDLE_BATCH) * FRAME_NS);
    }
}

/* The next frame is due, however many the timer was set for. */
static void wake(Ohci *o)
{
    if (operational(o)) {
        o->s.quiet = 0;
        timer_set(o->timer, o->s.frame_at + ((clock_now(CLOCK_GUEST) - o->s.frame_at) / FRAME_NS + 1) * FRAME_NS);
    }
}

/* ---- transfer descriptors ---- */

static UsbDevice *find_device(Ohci *o, uint8_t address)
{
    UsbDevice *usb = NULL;

    for (unsigned n = 0; n < o->port_count && !usb; n++) {
        if (o->s.port[n] & PORT_ENABLE) {
            usb = usb_port_find(&o->ports[n], address);
        }
    }
    return usb;
}

/* Between o->data and two pages: the rest of the first from `at` on, then the one that `end` lies in. */
static void copy(Ohci *o, uint32_t at, uint32_t end, unsigned size, bool to_memory)
{
    unsigned first = MIN(size, 4096 - (at & 0xfff));

    if (to_memory) {
        pci_dma_write(&o->pci, at, o->data, first);
        pci_dma_write(&o->pci, end & ~0xfffu, o->data + first, size - first);
    } else {
        pci_dma_read(&o->pci, at, o->data, first);
        pci_dma_read(&o->pci, end & ~0xfffu, o->data + first, size - first);
    }
}

static unsigned error_code(int result)
{
    return result == USB_STALL ? CC_STALL : result == USB_BABBLE ? CC_OVERRUN : CC_NO_ANSWER;
}

/* The descriptor leaves the endpoint and joins the done queue. */
static void retire(Ohci *o, uint32_t ed[4], uint32_t at, uint32_t td[], int words, unsigned delay)
{
    ed[2] = (ed[2] & 15) | (td[2] & ~15u);
    td[2] = o->s.done_head;
    o->s.done_head = at;
    o->s.done_delay = MIN(o->s.done_delay, delay);
    write_words(o, at, td, words);
}

/* Bytes that a general descriptor still has to move. */
static unsigned bytes_left(const uint32_t td[4])
{
    if (!td[1]) {
        return 0;
    }
    if ((td[1] ^ td[3]) & ~0xfffu) {
        return 4096 - (td[1] & 0xfff) + (td[3] & 0xfff) + 1;
    }
    return td[3] >= td[1] ? td[3] - td[1] + 1 : 0;
}

/* False: the endpoint waits, or has halted. */
static bool run_general(Ohci *o, uint32_t ed[4], uint32_t at)
{
    static const UsbPid pids[] = { USB_SETUP, USB_OUT, USB_IN, 0 };
    unsigned direction = ed[0] >> 11 & 3, packet = ed[0] >> 16 & 0x7ff, size, code = CC_NONE;
    uint32_t td[4];
    UsbDevice *usb;
    UsbPid pid;
    int result;

    o->budget -= VISIT;
    read_words(o, at, td, 4);
    pid = direction == 1 ? USB_OUT : direction == 2 ? USB_IN : pids[td[0] >> 19 & 3];
    size = MIN(bytes_left(td), MAX_DATA);
    if (!pid) {
        result = USB_NO_ANSWER;
    } else {
        if (pid != USB_IN) {
            copy(o, td[1], td[3], size, false);
            o->budget -= size; /* whether the device wants it or not */
        }
        usb = find_device(o, ed[0] & 0x7f);
        result = usb ? usb_transfer(usb, pid, ed[0] >> 7 & 15, 0, o->data, size) : USB_NO_ANSWER;
    }
    if (result == USB_NAK || (pid != USB_IN && result == 0 && size)) {
        return false;
    }
    o->moved = true;
    o->budget -= pid == USB_IN ? MAX(result, 0) : 0;
    if (result < 0) {
        code = error_code(result);
    } else {
        unsigned left = size - result;

        if (pid == USB_IN) {
            copy(o, td[1], td[3], result, true);
        }
        if (left) { /* the buffer pointer is where the next byte goes */
            unsigned to_page_end = 4096 - (td[1] & 0xfff);

            td[1] = (unsigned)result < to_page_end ? td[1] + result : (td[3] & ~0xfffu) + (result - to_page_end);
            if (pid != USB_IN || (result && packet && result % packet == 0)) {
                write_words(o, at, td, 4);
                return true; /* it goes on */
            }
            code = td[0] & TD_ROUNDING ? CC_NONE : CC_UNDERRUN;
        } else {
            td[1] = 0;
        }
        ed[2] ^= ((unsigned)result / (packet ? packet : 1) & 1) ? ED_CARRY : 0;
    }
    td[0] = (td[0] & 0x03ffffff) | (uint32_t)code << CC_SHIFT;
    ed[2] |= code ? ED_HALTED : 0;
    retire(o, ed, at, td, 4, code ? 0 : td[0] >> 21 & 7);
    return !code;
}

/* One packet of an isochronous descriptor in each frame that it is for. */
static bool run_isochronous(Ohci *o, uint32_t ed[4], uint32_t at)
{
    uint32_t td[8], offset, next;
    unsigned count, n, size, code = CC_NONE, shift;
    int16_t relative;
    bool in = (ed[0] >> 11 & 3) == 2;
    UsbDevice *usb;
    int result = 0;

    o->budget -= VISIT;
    read_words(o, at, td, 8);
    count = td[0] >> 24 & 7;
    relative = o->s.frame - (uint16_t)td[0];
    if (relative < 0) {
        return false;
    }
    o->moved = true;
    if (relative > (int)count) { /* its time is over */
        td[0] = (td[0] & 0x0fffffff) | (uint32_t)CC_OVERRUN << CC_SHIFT;
        retire(o, ed, at, td, 8, td[0] >> 21 & 7);
        return true;
    }
    n = relative;
    shift = n & 1 ? 16 : 0;
    offset = td[4 + n / 2] >> shift & 0x1fff;
    next = n == count ? (td[3] & 0xfff) + 1 + ((td[3] ^ td[1]) & ~0xfffu ? 4096 : 0)
                      : td[4 + (n + 1) / 2] >> ((n + 1) & 1 ? 16 : 0) & 0x1fff;
    size = next > offset ? MIN(next - offset, 1023) : 0;
    offset = offset & 0x1000 ? (td[3] & ~0xfffu) | (offset & 0xfff) : (td[1] & ~0xfffu) | offset;
    o->budget -= size;
    if (!in) {
        copy(o, offset, td[3], size, false);
    }
    usb = find_device(o, ed[0] & 0x7f);
    result = usb ? usb_transfer(usb, in ? USB_IN : USB_OUT, ed[0] >> 7 & 15, 0, o->data, size) : USB_NO_ANSWER;
    if (result == USB_NAK) {
        result = 0;
    }
    if (result < 0) {
        code = error_code(result);
    } else if (in) {
        copy(o, offset, td[3], result, true);
        code = (unsigned)result < size ? CC_UNDERRUN : CC_NONE;
    }
    td[4 + n / 2] = (td[4 + n / 2] & ~(0xffffu << shift)) | (code << 12 | (in ? MAX(result, 0) : 0)) << shift;
    if (n == count) {
        td[0] &= 0x0fffffff;
        retire(o, ed, at, td, 8, td[0] >> 21 & 7);
    } else {
        write_words(o, at, td, 8);
    }
    return false;
}

/* ---- endpoint descriptors ---- */

static bool has_work(const uint32_t ed[4])
{
    return !(ed[0] & ED_SKIP) && !(ed[2] & ED_HALTED) && (ed[2] & ~15u) != (ed[1] & ~15u);
}

/* Follows a list of endpoints; `limit` transfers of each. Returns the one that the pass had nothing left for; 0: it was done. */
static uint32_t run_list(Ohci *o, uint32_t at, int limit)
{
    for (int n = 0; n < MAX_EDS && at && operational(o); n++) {
        if (o->budget <= 0) {
            return at;
        }
        uint32_t ed[4], head;
        int floor = MAX(o->budget - MAX_SHARE, 0);

        o->budget -= VISIT;
        read_words(o, at, ed, 4);
        head = ed[2];
        for (int i = 0; i < limit && o->budget > floor && has_work(ed); i++) {
            bool goes_on = ed[0] & ED_ISOCHRONOUS ? run_isochronous(o, ed, ed[2] & ~15u)
                                                  : run_general(o, ed, ed[2] & ~15u);

            if (!goes_on) {
                break;
            }
        }
        if (head != ed[2]) {
            write_words(o, at + 8, &ed[2], 1);
        }
        at = ed[3] & ~15u;
    }
    return 0;
}

/* Whether the list still has an endpoint: a driver may have taken it out, and use its memory for other things. */
static bool has_endpoint(Ohci *o, uint32_t at, uint32_t wanted)
{
    for (int n = 0; n < MAX_EDS && at && at != wanted; n++) {
        uint32_t ed[4];

        o->budget -= VISIT;
        read_words(o, at, ed, 4);
        at = ed[3] & ~15u;
    }
    return at == wanted;
}

/*
 * Control and bulk lists are looked at when the driver said that they are filled, until all is moved. They go on where the pass before
 * had to stop.
 */
static void run_filled(Ohci *o, unsigned enabled, unsigned filled, uint32_t head, uint32_t *current)
{
    OhciState *s = &o->s;

    if ((s->control & enabled) && (s->command & filled)) {
        bool before = o->moved;
        uint32_t at = head;
        bool waits = false;

        *current = run_list(o, *current && has_endpoint(o, head, *current) ? *current : head, MAX_TDS);
        o->moved |= before;
        for (int n = 0; n < MAX_EDS && at && !waits; n++) {
            uint32_t ed[4];

            if (o->budget <= 0) {
                return; /* not all was looked at */
            }
            o->budget -= VISIT;
            read_words(o, at, ed, 4);
            waits = has_work(ed);
            at = ed[3] & ~15u;
        }
        if (!waits) {
            s->command &= ~filled;
        }
    }
}

/* Gives out the done queue, its lowest bit saying that other interrupts are due, too. */
static void write_done_queue(Ohci *o)
{
    OhciState *s = &o->s;
    uint32_t head;

    if (s->done_delay && s->done_delay != 7) {
        s->done_delay--;
        return;
    }
    if (s->done_delay || !s->done_head || (s->status & INT_DONE)) {
        return;
    }
    head = s->done_head | (s->status & s->enable & ~INT_MASTER ? 1 : 0);
    write_words(o, s->hcca + 0x84, &head, 1);
    s->done_head = 0;
    s->done_delay = 7;
    s->status |= INT_DONE;
}

static void run_frame(Ohci *o)
{
    OhciState *s = &o->s;
    uint32_t number;

    if (s->control & CONTROL_PERIODIC) {
        uint32_t head;

        read_words(o, s->hcca + (s->frame & 31) * 4, &head, 1);
        run_list(o, head & ~15u, 1);
    }
    run_filled(o, CONTROL_CONTROL, COMMAND_CONTROL_FILLED, s->control_head, &s->control_current);
    run_filled(o, CONTROL_BULK, COMMAND_BULK_FILLED, s->bulk_head, &s->bulk_current);
    write_done_queue(o);
    s->frame++;
    s->frame_at += FRAME_NS;
    s->status |= INT_FRAME | (s->frame & 0x7fff ? 0 : INT_OVERFLOW);
    number = s->frame;
    write_words(o, s->hcca + 0x80, &number, 1);
}

static void run_frames(void *opaque)
{
    Ohci *o = opaque;
    OhciState *s = &o->s;
    int64_t due = (clock_now(CLOCK_GUEST) - s->frame_at) / FRAME_NS;

    if (!operational(o)) {
        return;
    }
    if (due > MAX_BACKLOG) {
        int64_t lost = due - MAX_BACKLOG;

        s->frame += lost;
        s->frame_at += lost * FRAME_NS;
        due = MAX_BACKLOG;
    }
    o->budget = PASS; /* frames for which nothing is left of it go by without their lists */
    for (; due > 0 && operational(o); due--) {
        o->moved = false;
        run_frame(o);
        s->quiet = o->moved ? 0 : MIN(s->quiet + 1, BUSY_FRAMES);
    }
    ohci_update(&o->pci.dev);
}

/* ---- the root hub ---- */

static void hub_changed(Ohci *o)
{
    o->s.status |= INT_HUB;
    ohci_update(&o->pci.dev);
}

static uint32_t connected_bits(const UsbDevice *usb)
{
    return usb ? PORT_CONNECT | (usb->speed == USB_LOW ? PORT_LOW_SPEED : 0) : 0;
}

static void port_changed(UsbPort *port)
{
    Ohci *o = port->opaque;
    uint32_t *sc = &o->s.port[port->index];

    if (!port->dev && (*sc & PORT_ENABLE)) {
        *sc |= PORT_ENABLE_CHANGE;
    }
    *sc &= ~(uint32_t)(PORT_CONNECT | PORT_ENABLE | PORT_SUSPEND | PORT_LOW_SPEED);
    *sc |= PORT_CONNECT_CHANGE | connected_bits(port->dev);
    if ((o->s.control & CONTROL_STATE) == STATE_SUSPEND) {
        o->s.status |= INT_RESUME;
    }
    hub_changed(o);
}

static void port_ready(UsbPort *port, UsbDevice *dev, uint8_t address, unsigned stream)
{
    wake(port->opaque);
}

static void port_wakeup(UsbPort *port)
{
    Ohci *o = port->opaque;

    if (o->s.port[port->index] & PORT_SUSPEND) {
        o->s.port[port->index] = (o->s.port[port->index] & ~(uint32_t)PORT_SUSPEND) | PORT_SUSPEND_CHANGE;
        hub_changed(o);
    }
    if ((o->s.control & CONTROL_STATE) == STATE_SUSPEND) {
        o->s.status |= INT_RESUME;
        ohci_update(&o->pci.dev);
    }
}

static const UsbPortOps port_ops = { port_changed, port_changed, port_ready, port_wakeup, NULL };

/* Bits are commands: some set, some clear (section 7.4.4). */
static void write_port(Ohci *o, unsigned n, uint32_t value)
{
    uint32_t *sc = &o->s.port[n];
    UsbDevice *usb = o->ports[n].dev;

    *sc &= ~(value & PORT_CHANGES);
    if (value & PORT_CONNECT) { /* clears enable */
        *sc &= ~(uint32_t)PORT_ENABLE;
    }
    if (value & (PORT_ENABLE | PORT_SUSPEND | PORT_RESET)) {
        if (!usb) {
            *sc |= PORT_CONNECT_CHANGE; /* tells that there is nothing to do it to */
        } else if (value & PORT_RESET) {
            usb_device_bus_reset(usb);
            *sc = (*sc & ~(uint32_t)PORT_SUSPEND) | PORT_ENABLE | PORT_RESET_CHANGE;
            hub_changed(o);
        } else {
            *sc |= value & PORT_ENABLE;
            *sc |= (*sc & PORT_ENABLE) && (value & PORT_SUSPEND) ? PORT_SUSPEND : 0;
        }
    }
    if ((value & 1 << 3) && (*sc & PORT_SUSPEND)) { /* resume */
        *sc = (*sc & ~(uint32_t)PORT_SUSPEND) | PORT_SUSPEND_CHANGE;
        hub_changed(o);
    }
    *sc |= value & PORT_POWER;
    if (value & PORT_LOW_SPEED) { /* clears power */
        *sc &= ~(uint32_t)(PORT_POWER | PORT_ENABLE | PORT_SUSPEND);
    }
}

static void write_hub_status(Ohci *o, uint32_t value)
{
    for (unsigned n = 0; n < o->port_count; n++) {
        if (value & 1) {
            o->s.port[n] &= ~(uint32_t)PORT_POWER;
        } else if (value & 1 << 16) {
            o->s.port[n] |= PORT_POWER;
        }
    }
    if (value & 1u << 31) {
        o->s.hub_status &= ~(1u << 15);
    } else {
        o->s.hub_status |= value & 1 << 15;
    }
}

/* ---- registers ---- */

static void reset_root_hub(Ohci *o)
{
    o->s.descriptor_a = o->port_count | 1 << 9; /* ports have power always */
    o->s.descriptor_b = 0;
    o->s.hub_status = 0;
    for (unsigned n = 0; n < o->port_count; n++) {
        UsbDevice *usb = o->ports[n].dev;

        if (usb) {
            usb_device_bus_reset(usb);
        }
        o->s.port[n] = PORT_POWER | connected_bits(usb) | (usb ? PORT_CONNECT_CHANGE : 0);
    }
}

static void ohci_reset(Device *dev)
{
    Ohci *o = (Ohci *)dev;

    timer_cancel(o->timer);
    reset_root_hub(o);
}

static void write_control(Ohci *o, uint32_t value)
{
    bool was_operational = operational(o);

    o->s.control = value & 0x7ff;
    if (operational(o) && !was_operational) {
        o->s.frame_at = clock_now(CLOCK_GUEST);
        timer_cancel(o->timer);
    } else if ((value & CONTROL_STATE) == STATE_RESET && was_operational) {
        reset_root_hub(o);
    }
    wake(o);
}

static void write_command(Ohci *o, uint32_t value)
{
    if (value & COMMAND_RESET) { /* all but the root hub, and into suspend (section 7.1.3) */
        OhciState kept = o->s;

        state_reset(OhciState_fields, &o->s);
        o->s.descriptor_a = kept.descriptor_a;
        o->s.descriptor_b = kept.descriptor_b;
        o->s.hub_status = kept.hub_status;
        memcpy(o->s.port, kept.port, sizeof(kept.port));
        o->s.control = STATE_SUSPEND;
        timer_cancel(o->timer);
        return;
    }
    o->s.command |= value & (COMMAND_CONTROL_FILLED | COMMAND_BULK_FILLED | COMMAND_OWNER);
    if (value & COMMAND_OWNER) { /* there is no firmware that would not let go */
        o->s.status |= INT_OWNER;
        o->s.command &= ~(uint32_t)COMMAND_OWNER;
    }
    if (value & (COMMAND_CONTROL_FILLED | COMMAND_BULK_FILLED)) {
        wake(o);
    }
}

static uint32_t frame_remaining(const Ohci *o)
{
    int64_t within = (clock_now(CLOCK_GUEST) - o->s.frame_at) % FRAME_NS;
    uint32_t interval = o->s.interval & 0x3fff;

    if (!operational(o)) {
        return 0;
    }
    return (o->s.interval & 1u << 31) | (interval - MIN(interval, within * FRAME_BITS / FRAME_NS));
}

static uint16_t frame_now(const Ohci *o)
{
    return o->s.frame + (operational(o) ? (clock_now(CLOCK_GUEST) - o->s.frame_at) / FRAME_NS : 0);
}

static uint64_t ohci_read(void *opaque, PhysAddr offset, unsigned size)
{
    Ohci *o = opaque;
    const OhciState *s = &o->s;

    switch (offset) {
    case REVISION:
        return 0x10;
    case CONTROL:
        return s->control;
    case COMMAND:
        return s->command;
    case INTERRUPT_STATUS:
        return s->status;
    case INTERRUPT_ENABLE:
    case INTERRUPT_DISABLE:
        return s->enable;
    case HCCA:
        return s->hcca;
    case PERIOD_CURRENT:
        return s->period_current;
    case CONTROL_HEAD:
        return s->control_head;
    case CONTROL_CURRENT:
        return s->control_current;
    case BULK_HEAD:
        return s->bulk_head;
    case BULK_CURRENT:
        return s->bulk_current;
    case DONE_HEAD:
        return s->done_head;
    case FM_INTERVAL:
        return s->interval;
    case FM_REMAINING:
        return frame_remaining(o);
    case FM_NUMBER:
        return frame_now(o);
    case PERIODIC_START:
        return s->periodic_start;
    case LS_THRESHOLD:
        return s->ls_threshold;
    case DESCRIPTOR_A:
        return s->descriptor_a;
    case DESCRIPTOR_B:
        return s->descriptor_b;
    case RH_STATUS:
        return s->hub_status;
    default:
        return offset >= PORT_STATUS && offset < PORT_STATUS + 4 * o->port_count ? s->port[(offset - PORT_STATUS) / 4]
                                                                                : 0;
    }
}

static void ohci_write(void *opaque, PhysAddr offset, uint64_t data, unsigned size)
{
    Ohci *o = opaque;
    OhciState *s = &o->s;
    uint32_t value = data;

    switch (offset) {
    case CONTROL:
        write_control(o, value);
        break;
    case COMMAND:
        write_command(o, value);
        break;
    case INTERRUPT_STATUS:
        s->status &= ~value;
        break;
    case INTERRUPT_ENABLE:
        s->enable |= value;
        wake(o);
        break;
    case INTERRUPT_DISABLE:
        s->enable &= ~value;
        break;
    case HCCA:
        s->hcca = value & ~0xffu;
        break;
    case CONTROL_HEAD:
        s->control_head = value & ~15u;
        break;
    case CONTROL_CURRENT:
        s->control_current = value & ~15u;
        break;
    case BULK_HEAD:
        s->bulk_head = value & ~15u;
        break;
    case BULK_CURRENT:
        s->bulk_current = value & ~15u;
        break;
    case FM_INTERVAL:
        s->interval = value & 0xffff3fff;
        break;
    case PERIODIC_START:
        s->periodic_start = value & 0x3fff;
        break;
    case LS_THRESHOLD:
        s->ls_threshold = value & 0xfff;
        break;
    case DESCRIPTOR_A:
        s->descriptor_a = (s->descriptor_a & 0x4ff) | (value & 0xff001b00);
        break;
    case DESCRIPTOR_B:
        s->descriptor_b = value;
        break;
    case RH_STATUS:
        write_hub_status(o, value);
        break;
    default:
        if (offset >= PORT_STATUS && offset < PORT_STATUS + 4 * o->port_count) {
            write_port(o, (offset - PORT_STATUS) / 4, value);
        }
    }
    ohci_update(&o->pci.dev);
}

static const RegionOps mmio_ops = { ohci_read, ohci_write, 4, 4, ENDIAN_LITTLE };

/* ---- the device ---- */

static bool ohci_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x106b, .device = 0x003f, .class_rev = 0x0c0310 << 8,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1,
    };
    Ohci *o = (Ohci *)dev;

    if (o->port_count < 1 || o->port_count > MAX_PORTS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "pci-ohci: num-ports=%u is not from 1 to %d", o->port_count,
                    MAX_PORTS);
        return false;
    }
    pci_device_init(&o->pci, &info);
    o->mmio = region_new_io("ohci", &mmio_ops, o, 0x1000);
    pci_register_bar(&o->pci, 0, PCI_BAR_MEM32, o->mmio);
    o->timer = timer_new(CLOCK_GUEST, run_frames, o);
    for (unsigned n = 0; n < o->port_count; n++) {
        o->ports[n] = (UsbPort){ .ops = &port_ops, .opaque = o, .index = n,
                                 .speeds = USB_SPEED(USB_LOW) | USB_SPEED(USB_FULL) };
    }
    if (o->masterbus) {
        return usb_bus_lend(o->masterbus, o->ports, o->port_count, o->firstport, error);
    }
    o->bus = usb_bus_new(dev);
    for (unsigned n = 0; n < o->port_count; n++) {
        usb_bus_add_port(o->bus, &o->ports[n]);
    }
    return true;
}

static bool ohci_loaded(Device *dev, GError **error)
{
    Ohci *o = (Ohci *)dev;
    int64_t now = clock_now(CLOCK_GUEST);

    for (unsigned n = 0; n < o->port_count; n++) {
        if (!o->ports[n].dev) {
            o->s.port[n] &= ~(uint32_t)(PORT_CONNECT | PORT_ENABLE);
        }
    }
    if (o->s.frame_at < 0 || o->s.frame_at > now) {
        o->s.frame_at = now;
    }
    timer_cancel(o->timer);
    return true;
}

static const Prop ohci_props[] = {
    PCI_PROPS(Ohci),
    PROP(Ohci, port_count, "num-ports", PROP_U32, "3", "number of ports"),
    PROP(Ohci, masterbus, "masterbus", PROP_STRING, NULL, "bus of the usb-ehci whose companion this is"),
    PROP(Ohci, firstport, "firstport", PROP_U32, "0", "its port (from 0) that the first of ours shares"),
    { 0 },
};

const DeviceType pci_ohci_type = {
    .name = "pci-ohci",
    .about = "USB 1.1 controller (OHCI)",
    .bus = "pci",
    .user = true,
    .size = sizeof(Ohci),
    .state_at = offsetof(Ohci, s),
    .state = OhciState_fields,
    .props = ohci_props,
    .realize = ohci_realize,
    .reset = ohci_reset,
    .post_load = ohci_loaded,
    .update = ohci_update,
};
