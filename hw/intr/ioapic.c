/*
 * I/O APIC: 24 inputs whose interrupts go to local APICs.
 *
 * Manual: Intel 82093AA data sheet (290566); the EOI register is the one of later chipsets.
 */
#include "hw/intr/ioapic.h"

#include "core/irqchip.h"
#include "core/memory.h"
#include "hw/intr/apic.h"

#include <linux/kvm.h>

enum { WINDOW_SELECT = 0x00, WINDOW_DATA = 0x10, WINDOW_EOI = 0x40 };
enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_TABLE = 0x10 };
enum {
    ENTRY_LOGICAL = 1 << 11, ENTRY_LOW = 1 << 13, ENTRY_REMOTE_IRR = 1 << 14, ENTRY_LEVEL = 1 << 15,
    ENTRY_MASKED = 1 << 16,
};
#define ENTRY_WRITABLE UINT64_C(0xff0000000001afff)

#define IOAPIC_STATE(FIELD, ARRAY)                                       \
    FIELD(uint8_t, select, 0)                                            \
    FIELD(uint8_t, id, 0)                                                \
    FIELD(uint32_t, lines, 0)  /* levels of the inputs */                \
    FIELD(uint32_t, irr, 0)    /* edges to deliver */                    \
    ARRAY(uint64_t, entry, IOAPIC_PINS, ENTRY_MASKED)

DEFINE_STATE(IoapicState, IOAPIC_STATE);

typedef struct Ioapic {
    Device dev;
    IoapicState s;
    Region *window;
    Line *in[IOAPIC_PINS];
    int (*external)(Device *pic);
    Device *pic;
    int heard; /* the input that has a listener, or -1 */
    void (*on_end)(void *opaque);
    void *opaque;
} Ioapic;

static ApicMessage message_of(uint64_t entry)
{
    return (ApicMessage){
        .destination = entry >> 56,
        .logical = entry & ENTRY_LOGICAL,
        .mode = entry >> 8 & 7,
        .vector = entry,
        .level = entry & ENTRY_LEVEL,
    };
}

static void deliver(Ioapic *io, uint64_t entry)
{
    ApicMessage message = message_of(entry);

    if (message.mode == APIC_EXTINT) {
        if (!io->external) {
            return;
        }
        message.mode = APIC_FIXED;
        message.vector = io->external(io->pic);
    }
    apic_send(&message);
}

static void service(Ioapic *io, int n)
{
    IoapicState *s = &io->s;
    uint64_t entry = s->entry[n];

    if (entry & ENTRY_MASKED) {
        return;
    }
    if (entry & ENTRY_LEVEL) {
        if ((s->lines >> n & 1) && !(entry & ENTRY_REMOTE_IRR)) {
            s->entry[n] |= ENTRY_REMOTE_IRR;
            deliver(io, entry);
        }
    } else if (s->irr >> n & 1) {
        s->irr &= ~(1u << n);
        deliver(io, entry);
    }
}

/* ---- an engine's I/O APIC in place of this one, or its local APICs behind this one ---- */

static uint32_t level_inputs(const IoapicState *s)
{
    uint32_t mask = 0;

    for (int n = 0; n < IOAPIC_PINS; n++) {
        mask |= (s->entry[n] & ENTRY_LEVEL) ? 1u << n : 0;
    }
    return mask;
}

static void hand_over(const Ioapic *io)
{
    const IoapicState *s = &io->s;
    struct kvm_ioapic_state k = {
        .base_address = IOAPIC_BASE, .ioregsel = s->select, .id = s->id,
        .irr = (s->irr & ~level_inputs(s)) | (s->lines & level_inputs(s)),
    };

    for (int n = 0; n < IOAPIC_PINS; n++) {
        k.redirtbl[n].bits = s->entry[n];
    }
    irqchip->set(IRQCHIP_IOAPIC, &k);
}

static void ioapic_fetch(Device *dev)
{
    IoapicState *s = &((Ioapic *)dev)->s;
    struct kvm_ioapic_state k = { 0 };

    if (!irqchip_has_pic()) {
        return;
    }
    irqchip->get(IRQCHIP_IOAPIC, &k);
    s->select = k.ioregsel;
    s->id = k.id & 15;
    for (int n = 0; n < IOAPIC_PINS; n++) {
        s->entry[n] = k.redirtbl[n].bits & (ENTRY_WRITABLE | ENTRY_REMOTE_IRR);
    }
    s->irr = k.irr & ~level_inputs(s);
}

/* Local APICs of an engine report the ends of those interrupts that it knows to be level triggered. */
static void publish(const Ioapic *io, int n)
{
    uint64_t entry = io->s.entry[n];
    ApicMessage message = message_of(entry);

    if (n == io->heard) {
        apic_watch_eoi(message.mode <= APIC_LOWEST && !(entry & ENTRY_MASKED) ? message.vector : -1);
    }
    if (!irqchip || irqchip->all) {
        return;
    }
    if ((entry & ENTRY_LEVEL) && !(entry & ENTRY_MASKED)) {
        irqchip->route_pin(n, apic_msi_address(&message), apic_msi_data(&message));
    } else {
        irqchip->route_pin(n, 0, 0);
    }
}

static void ioapic_update(Device *dev)
{
    Ioapic *io = (Ioapic *)dev;

    if (irqchip_has_pic()) {
        hand_over(io);
        return;
    }
    for (int n = 0; n < IOAPIC_PINS; n++) {
        publish(io, n);
        service(io, n);
    }
}

/* ---- inputs ---- */

/* All inputs are wired active high; guests that ask for the other polarity mean the same wire. */
static void input_changed(void *opaque, int n, bool level)
{
    Ioapic *io = opaque;
    uint32_t bit = 1u << n;

    if (irqchip_has_pic()) {
        io->s.lines = level ? io->s.lines | bit : io->s.lines & ~bit;
        irqchip->set_line(n == 2 ? 0 : n, level); /* global interrupt 0 is on input 2 */
        return;
    }
    if (level) {
        io->s.lines |= bit;
        if (!(io->s.entry[n] & (ENTRY_MASKED | ENTRY_LEVEL))) { /* edges at a masked input are ignored */
            io->s.irr |= bit;
        }
    } else {
        io->s.lines &= ~bit;
    }
    service(io, n);
}

static void end_of_interrupt(void *opaque, uint8_t vector)
{
    Ioapic *io = opaque;

    for (int n = 0; n < IOAPIC_PINS; n++) {
        uint64_t entry = io->s.entry[n];

        if ((entry & 0xff) == vector && (entry & ENTRY_LEVEL) && (entry & ENTRY_REMOTE_IRR)) {
            io->s.entry[n] &= ~(uint64_t)ENTRY_REMOTE_IRR;
            service(io, n);
        } else if ((entry & 0xff) == vector && n == io->heard && io->on_end) {
            io->on_end(io->opaque);
        }
    }
}

static uint32_t read_data(const IoapicState *s)
{
    unsigned n = (s->select - REG_TABLE) / 2u;

    switch (s->select) {
    case REG_ID:
    case REG_ARBITRATION:
        return s->id << 24;
    case REG_VERSION:
        return 0x20 | (IOAPIC_PINS - 1) << 16;
    }
    if (s->select < REG_TABLE || n >= IOAPIC_PINS) {
        return 0;
    }
    return s->select & 1 ? s->entry[n] >> 32 : s->entry[n];
}

static void write_data(Ioapic *io, uint32_t value)
{
    IoapicState *s = &io->s;
    unsigned n = (s->select - REG_TABLE) / 2u;
    uint64_t wanted;

    if (s->select == REG_ID) {
        s->id = value >> 24 & 15;
    }
    if (s->select < REG_TABLE || n >= IOAPIC_PINS) {
        return;
    }
    wanted = s->select & 1 ? (uint64_t)value << 32 | (uint32_t)s->entry[n]
                           : (s->entry[n] & ~UINT64_C(0xffffffff)) | value;
    s->entry[n] = (s->entry[n] & ~ENTRY_WRITABLE) | (wanted & ENTRY_WRITABLE);
    if (!(s->entry[n] & ENTRY_LEVEL)) { /* how software clears it without an EOI */
        s->entry[n] &= ~(uint64_t)ENTRY_REMOTE_IRR;
    }
    publish(io, n);
    service(io, n);
}

static uint64_t window_read(void *opaque, PhysAddr offset, unsigned size)
{
    const Ioapic *io = opaque;

    return offset == WINDOW_SELECT ? io->s.select : offset == WINDOW_DATA ? read_data(&io->s) : 0;
}

static void window_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ioapic *io = opaque;

    switch (offset) {
    case WINDOW_SELECT:
        io->s.select = value;
        break;
    case WINDOW_DATA:
        write_data(io, value);
        break;
    case WINDOW_EOI:
        end_of_interrupt(io, value);
        break;
    }
}

static const RegionOps window_ops = {
    .read = window_read,
    .write = window_write,
    .min_size = 4,
    .max_size = 4,
};

Line *ioapic_input(Device *dev, int n)
{
    return ((Ioapic *)dev)->in[n];
}

void ioapic_on_end(Device *dev, int n, void (*fn)(void *opaque), void *opaque)
{
    Ioapic *io = (Ioapic *)dev;

    io->heard = n;
    io->on_end = fn;
    io->opaque = opaque;
    publish(io, n);
}

void ioapic_set_external(Device *dev, int (*acknowledge)(Device *pic), Device *pic)
{
    ((Ioapic *)dev)->external = acknowledge;
    ((Ioapic *)dev)->pic = pic;
}

static bool ioapic_realize(Device *dev, GError **error)
{
    Ioapic *io = (Ioapic *)dev;

    io->heard = -1;
    for (int n = 0; n < IOAPIC_PINS; n++) {
        io->in[n] = line_new(input_changed, io, n);
    }
    io->window = region_new_io("ioapic", &window_ops, io, 0x1000);
    region_add_overlap(memory_system_root(), IOAPIC_BASE, io->window, 1);
    apic_on_eoi(end_of_interrupt, io);
    return true;
}

static void ioapic_reset(Device *dev)
{
    Ioapic *io = (Ioapic *)dev;

    for (int n = 0; n < IOAPIC_PINS; n++) {
        io->s.lines |= (uint32_t)line_level(io->in[n]) << n;
    }
}

const DeviceType ioapic_type = {
    .name = "ioapic",
    .about = "I/O APIC",
    .bus = "system",
    .size = sizeof(Ioapic),
    .state_at = offsetof(Ioapic, s),
    .state = IoapicState_fields,
    .realize = ioapic_realize,
    .reset = ioapic_reset,
    .update = ioapic_update,
    .fetch = ioapic_fetch,
};
