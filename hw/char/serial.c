/*
 * 16550A serial port, on the ISA bus or in a processor's memory (serial-mm).
 *
 * National Semiconductor PC16550D data sheet. Bytes leave at once as far as the host is concerned,
 * but the transmitter stays busy for the time that the programmed rate takes for a FIFO of bytes
 * only when software asks for pacing; guests never wait on THRE for longer than one character.
 */
#include "hw/char/serial.h"

#include "backends/char.h"
#include "core/clock.h"
#include "hw/isa/isa.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

#define FIFO_SIZE 16

#define SERIAL_STATE(FIELD, ARRAY)                                                 \
    FIELD(uint16_t, divisor, 12)                                                   \
    FIELD(uint8_t, ier, 0)                                                         \
    FIELD(uint8_t, fcr, 0)                                                         \
    FIELD(uint8_t, lcr, 0)                                                         \
    FIELD(uint8_t, mcr, MCR_OUT2)                                                  \
    FIELD(uint8_t, lsr, LSR_THRE | LSR_TEMT)                                       \
    FIELD(uint8_t, msr, MSR_DCD | MSR_DSR | MSR_CTS)                               \
    FIELD(uint8_t, scr, 0)                                                         \
    FIELD(bool, thr_pending, false) /* THRE became true and IIR has not said so */ \
    FIELD(bool, timeout_pending, false) /* bytes below the trigger level grew old */ \
    ARRAY(uint8_t, rx, FIFO_SIZE, 0)                                               \
    FIELD(uint8_t, rx_head, 0)                                                     \
    FIELD(uint8_t, rx_count, 0)                                                    \
    FIELD(int64_t, timeout_at, -1)                                                 \
    FIELD(uint8_t, irq_level, 0)

enum { IER_RX = 0x01, IER_TX = 0x02, IER_LINE = 0x04, IER_MODEM = 0x08 };
enum {
    IIR_NONE = 0x01, IIR_MODEM = 0x00, IIR_TX = 0x02, IIR_RX = 0x04, IIR_LINE = 0x06,
    IIR_TIMEOUT = 0x0c, IIR_FIFOS = 0xc0,
};
enum { FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02, FCR_CLEAR_TX = 0x04 };
enum { LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_OUT2 = 0x08, MCR_LOOP = 0x10 };
enum {
    LSR_READY = 0x01, LSR_OVERRUN = 0x02, LSR_PARITY = 0x04, LSR_FRAMING = 0x08, LSR_BREAK = 0x10,
    LSR_THRE = 0x20, LSR_TEMT = 0x40,
    LSR_ERRORS = LSR_OVERRUN | LSR_PARITY | LSR_FRAMING | LSR_BREAK,
};
enum { MSR_DELTAS = 0x0f, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };
enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

DEFINE_STATE(SerialState, SERIAL_STATE);

typedef struct Serial {
    IsaDevice isa; /* of serial-mm: its device only */
    SerialState s;
    uint32_t index;
    uint32_t baud_base; /* bits per second with a divisor of 1 */
    CharBackend *chr;
    Line *irq;
    bool gated; /* MCR's OUT2 lets the interrupt through, as PCs are wired */
    Region *region;
    Timer *timeout;
} Serial;

/* Character time of the programmed rate: start, 8 data and stop bits. */
static int64_t character_ns(const Serial *serial)
{
    uint32_t divisor = serial->s.divisor ? serial->s.divisor : 1;

    return (int64_t)divisor * 10 * NS_PER_SECOND / serial->baud_base;
}

static unsigned trigger_level(const SerialState *s)
{
    static const uint8_t levels[] = { 1, 4, 8, 14 };

    return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

/* The highest-priority cause that is both pending and enabled (table 2 of the data sheet). */
static uint8_t interrupt_cause(const SerialState *s)
{
    if ((s->ier & IER_LINE) && (s->lsr & LSR_ERRORS)) {
        return IIR_LINE;
    }
    if ((s->ier & IER_RX) && s->rx_count >= trigger_level(s)) {
        return IIR_RX;
    }
    if ((s->ier & IER_RX) && s->rx_count && s->timeout_pending) {
        return IIR_TIMEOUT;
    }
    if ((s->ier & IER_TX) && s->thr_pending) {
        return IIR_TX;
    }
    if ((s->ier & IER_MODEM) && (s->msr & MSR_DELTAS)) {
        return IIR_MODEM;
    }
    return IIR_NONE;
}

static void serial_update(Device *dev)
{
    Serial *serial = (Serial *)dev;
    SerialState *s = &serial->s;

    s->irq_level = interrupt_cause(s) != IIR_NONE && (!serial->gated || (s->mcr & (MCR_OUT2 | MCR_LOOP)));
    line_set(serial->irq, s->irq_level);
    if (s->timeout_at >= 0) {
        timer_set(serial->timeout, s->timeout_at);
    } else {
        timer_cancel(serial->timeout);
    }
}

static void timeout_expired(void *opaque)
{
    Serial *serial = opaque;

    serial->s.timeout_at = -1;
    serial->s.timeout_pending = serial->s.rx_count != 0;
    serial_update(&serial->isa.dev);
}

static void push(Serial *serial, uint8_t byte, uint8_t line_status)
{
    SerialState *s = &serial->s;
    unsigned room = s->fcr & FCR_ENABLE ? FIFO_SIZE : 1;

    if (s->rx_count == room) {
        s->lsr |= LSR_OVERRUN;
        if (room == 1) {
            s->rx[s->rx_head] = byte;
        }
        return;
    }
    s->rx[(s->rx_head + s->rx_count++) % FIFO_SIZE] = byte;
    s->lsr |= LSR_READY | line_status;
    s->timeout_at = clock_now(CLOCK_GUEST) + 4 * character_ns(serial);
    s->timeout_pending = false;
}

static size_t serial_can_receive(void *opaque)
{
    Serial *serial = opaque;
    SerialState *s = &serial->s;
    unsigned room = s->fcr & FCR_ENABLE ? FIFO_SIZE : 1;

    /* Nothing is taken while the port loops back: the line is cut (MCR bit 4). */
    return s->mcr & MCR_LOOP ? 0 : room - s->rx_count;
}

static void serial_receive(void *opaque, const uint8_t *data, size_t size)
{
    Serial *serial = opaque;

    for (size_t i = 0; i < size; i++) {
        push(serial, data[i], 0);
    }
    serial_update(&serial->isa.dev);
}

static void serial_event(void *opaque, CharEvent event)
{
    Serial *serial = opaque;

    if (event == CHAR_BREAK) {
        push(serial, 0, LSR_BREAK);
        serial_update(&serial->isa.dev);
    }
}

static const CharFrontend frontend = { serial_can_receive, serial_receive, serial_event };

static uint8_t pop(Serial *serial)
{
    SerialState *s = &serial->s;
    uint8_t byte = s->rx[s->rx_head];

    if (!s->rx_count) {
        return byte;
    }
    s->rx_head = (s->rx_head + 1) % FIFO_SIZE;
    s->timeout_pending = false;
    if (--s->rx_count) {
        s->timeout_at = clock_now(CLOCK_GUEST) + 4 * character_ns(serial);
    } else {
        s->lsr &= ~LSR_READY;
        s->timeout_at = -1;
    }
    char_accept(serial->chr);
    return byte;
}

static void transmit(Serial *serial, uint8_t byte)
{
    SerialState *s = &serial->s;

    if (s->mcr & MCR_LOOP) {
        push(serial, byte, 0);
    } else {
        char_write(serial->chr, &byte, 1);
    }
    s->lsr |= LSR_THRE | LSR_TEMT;
    s->thr_pending = true; /* sending takes no guest time */
}

static void clear_rx(SerialState *s)
{
    s->rx_head = s->rx_count = 0;
    s->lsr &= ~(LSR_READY | LSR_BREAK);
    s->timeout_at = -1;
    s->timeout_pending = false;
}

static void write_fcr(Serial *serial, uint8_t value)
{
    SerialState *s = &serial->s;

    if ((value ^ s->fcr) & FCR_ENABLE) { /* changing the mode empties both FIFOs */
        value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
    }
    if (value & FCR_CLEAR_RX) {
        clear_rx(s);
        char_accept(serial->chr);
    }
    if (value & FCR_CLEAR_TX) {
        s->lsr |= LSR_THRE | LSR_TEMT;
        s->thr_pending = true;
    }
    s->fcr = value & (0xc0 | FCR_ENABLE);
}

/* In loopback the modem outputs (DTR, RTS, OUT1, OUT2) feed the inputs (DSR, CTS, RI, DCD). */
static uint8_t modem_inputs(const SerialState *s)
{
    if (s->mcr & MCR_LOOP) {
        return (s->mcr & 0x01) << 5 | (s->mcr & 0x02) << 3 | (s->mcr & 0x0c) << 4;
    }
    return MSR_CTS | MSR_DSR | MSR_DCD;
}

static void modem_changed(SerialState *s)
{
    uint8_t inputs = modem_inputs(s), changed = (s->msr ^ inputs) & 0xf0;
    uint8_t deltas = (s->msr & MSR_DELTAS) | (changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4;

    if ((changed & MSR_RI) && !(inputs & MSR_RI)) { /* trailing edge of RI */
        deltas |= 0x04;
    }
    s->msr = inputs | deltas;
}

static uint64_t serial_read(void *opaque, PhysAddr offset, unsigned size)
{
    Serial *serial = opaque;
    SerialState *s = &serial->s;
    uint8_t value = 0;

    switch (offset) {
    case DATA:
        value = s->lcr & LCR_DLAB ? s->divisor & 0xff : pop(serial);
        break;
    case IER:
        value = s->lcr & LCR_DLAB ? s->divisor >> 8 : s->ier;
        break;
    case IIR:
        value = interrupt_cause(s);
        if (value == IIR_TX) {
            s->thr_pending = false;
        }
        value |= s->fcr & FCR_ENABLE ? IIR_FIFOS : 0;
        break;
    case LCR:
        value = s->lcr;
        break;
    case MCR:
        value = s->mcr;
        break;
    case LSR:
        value = s->lsr;
        if (!(s->lsr & LSR_ERRORS)) {
            return value; /* the busy-wait of every driver: nothing changes */
        }
        s->lsr &= ~LSR_ERRORS;
        break;
    case MSR:
        value = s->msr;
        s->msr &= ~MSR_DELTAS;
        break;
    case SCR:
        return s->scr;
    }
    serial_update(&serial->isa.dev);
    return value;
}

static void serial_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Serial *serial = opaque;
    SerialState *s = &serial->s;

    switch (offset) {
    case DATA:
        if (s->lcr & LCR_DLAB) {
            s->divisor = (s->divisor & 0xff00) | value;
        } else {
            transmit(serial, value);
        }
        break;
    case IER:
        if (s->lcr & LCR_DLAB) {
            s->divisor = value << 8 | (s->divisor & 0xff);
        } else {
            s->thr_pending |= (value & ~s->ier & IER_TX) && (s->lsr & LSR_THRE);
            s->ier = value & 0x0f;
        }
        break;
    case IIR:
        write_fcr(serial, value);
        break;
    case LCR:
        s->lcr = value;
        break;
    case MCR:
        s->mcr = value & 0x1f;
        modem_changed(s);
        char_accept(serial->chr);
        break;
    case SCR:
        s->scr = value;
        break;
    default: /* LSR and MSR are for reading */
        break;
    }
    serial_update(&serial->isa.dev);
}

static const RegionOps serial_ops = { serial_read, serial_write, 1, 1, ENDIAN_LITTLE };

/* What both kinds have, whose wires and places are known. */
static bool realize_common(Serial *serial, GError **error)
{
    if (!serial->baud_base) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: baudbase=0 is no rate", serial->isa.dev.id);
        return false;
    }
    if (serial->chr && !char_attach(serial->chr, &frontend, serial, error)) {
        return false;
    }
    serial->timeout = timer_new(CLOCK_GUEST, timeout_expired, serial);
    serial->region = region_new_io("serial", &serial_ops, serial, 8);
    return true;
}

static bool serial_realize(Device *dev, GError **error)
{
    static const uint16_t ports[] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
    static const uint8_t irqs[] = { 4, 3, 4, 3 };
    Serial *serial = (Serial *)dev;

    if (serial->index < G_N_ELEMENTS(ports)) {
        if (!serial->isa.iobase) {
            serial->isa.iobase = ports[serial->index];
        }
        if (serial->isa.irq == ISA_NONE) {
            serial->isa.irq = irqs[serial->index];
        }
    }
    serial->baud_base = 115200;
    serial->gated = true;
    serial->irq = isa_irq(serial->isa.irq);
    if (!realize_common(serial, error)) {
        return false;
    }
    isa_add_ports(serial->region, serial->isa.iobase);
    return true;
}

static const Prop serial_props[] = {
    ISA_PROPS(Serial, "0", "255", "255"),
    PROP(Serial, index, "index", PROP_U32, "0", "0-3: COM1-COM4, gives the default port and line"),
    PROP(Serial, chr, "chardev", PROP_CHAR, NULL, "character backend"),
    { 0 },
};

const DeviceType isa_serial_type = {
    .name = "isa-serial",
    .about = "16550A serial port",
    .bus = "isa",
    .user = true,
    .size = sizeof(Serial),
    .state_at = offsetof(Serial, s),
    .state = SerialState_fields,
    .props = serial_props,
    .realize = serial_realize,
    .update = serial_update,
};

Region *serial_mm_region(Device *dev)
{
    return ((Serial *)dev)->region;
}

void serial_mm_connect(Device *dev, Line *irq)
{
    ((Serial *)dev)->irq = irq;
}

static bool serial_mm_realize(Device *dev, GError **error)
{
    return realize_common((Serial *)dev, error);
}

static const Prop serial_mm_props[] = {
    PROP(Serial, baud_base, "baudbase", PROP_U32, "115200", "bits per second with a divisor of 1"),
    PROP(Serial, chr, "chardev", PROP_CHAR, NULL, "character backend"),
    { 0 },
};

const DeviceType serial_mm_type = {
    .name = "serial-mm",
    .about = "16550A serial port in memory",
    .bus = "system",
    .size = sizeof(Serial),
    .state_at = offsetof(Serial, s),
    .state = SerialState_fields,
    .props = serial_mm_props,
    .realize = serial_mm_realize,
    .update = serial_update,
};
