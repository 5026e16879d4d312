/*
 * 8259A interrupt controller, with the edge/level control register that PCI chipsets add.
 *
 * Manual: Intel 8259A data sheet (231468); ELCR: 82371FB (PIIX) data sheet.
 */
#include "hw/intr/i8259.h"

#include "core/irqchip.h"
#include "core/memory.h"
#include "util/log.h"

#include <linux/kvm.h>

typedef enum PicReg { PIC_READ_IRR, PIC_READ_ISR } PicReg;

#define PIC_STATE(FIELD, ARRAY)                                              \
    FIELD(uint8_t, lines, 0)          /* levels of the inputs */             \
    FIELD(uint8_t, irr, 0)            /* latched requests */                 \
    FIELD(uint8_t, isr, 0)            /* being serviced */                   \
    FIELD(uint8_t, imr, 0)                                                   \
    FIELD(uint8_t, elcr, 0)           /* 1: level triggered */               \
    FIELD(uint8_t, base, 0)           /* vector of IR0 */                    \
    FIELD(uint8_t, lowest, 7)         /* input of lowest priority */         \
    FIELD(uint8_t, icw_next, 0)       /* 2-4: which ICW port 1 expects */    \
    FIELD(bool, wants_icw4, false)                                           \
    FIELD(bool, single, false)                                               \
    FIELD(bool, level_mode, false)    /* LTIM of ICW1 */                     \
    FIELD(bool, auto_eoi, false)                                             \
    FIELD(bool, rotate_auto, false)                                          \
    FIELD(bool, nested, false)        /* special fully nested mode */        \
    FIELD(bool, special_mask, false)                                         \
    FIELD(bool, poll, false)          /* the next read acknowledges */       \
    FIELD(uint8_t, read_reg, PIC_READ_IRR)

enum { ICW1_IC4 = 0x01, ICW1_SNGL = 0x02, ICW1_LTIM = 0x08, ICW1 = 0x10 };
enum { ICW4_AEOI = 0x02, ICW4_SFNM = 0x10 };
enum { OCW3 = 0x08, OCW3_READ = 0x02, OCW3_READ_ISR = 0x01, OCW3_POLL = 0x04 };
enum { OCW3_SET_SMM = 0x40, OCW3_SMM = 0x20 };
enum { CASCADE_INPUT = 2, SPURIOUS_INPUT = 7 };

DEFINE_STATE(PicState, PIC_STATE);

typedef struct Pic {
    Device dev;
    PicState s;
    uint32_t iobase, elcr_port;
    bool master;
    Region *ports, *elcr_region;
    Line *in[8];
    Line *intr;        /* wiring */
    struct Pic *slave; /* of a master */
    int heard;         /* the input that has a listener */
    void (*on_end)(void *opaque);
    void *opaque;
} Pic;

static uint8_t level_inputs(const PicState *s)
{
    return s->level_mode ? 0xff : s->elcr;
}

static uint8_t requests(const PicState *s)
{
    uint8_t level = level_inputs(s);

    return (s->irr & ~level) | (s->lines & level);
}

/* Distance of the first set bit from the input of highest priority; 8 if none is set. */
static int priority(const PicState *s, uint8_t bits)
{
    for (int n = 0; n < 8; n++) {
        if (bits >> ((s->lowest + 1 + n) & 7) & 1) {
            return n;
        }
    }
    return 8;
}

/* The input to deliver now, or -1. */
static int pending_input(const Pic *pic)
{
    const PicState *s = &pic->s;
    int wanted = priority(s, requests(s) & ~s->imr);
    uint8_t busy = s->isr;

    if (wanted == 8) {
        return -1;
    }
    if (s->special_mask) {
        busy &= ~s->imr;
    }
    if (s->nested && pic->slave) {
        busy &= ~(1 << CASCADE_INPUT); /* the slave itself may interrupt a lower one of its own */
    }
    return wanted < priority(s, busy) ? (s->lowest + 1 + wanted) & 7 : -1;
}

/* ---- an engine's 8259 in place of this one ---- */

static uint8_t level_mask(const Pic *pic)
{
    return pic->master ? 0xf8 : 0xde;
}

static IrqchipPart kernel_part(const Pic *pic)
{
    return pic->master ? IRQCHIP_PIC_MASTER : IRQCHIP_PIC_SLAVE;
}

static void hand_over(const Pic *pic)
{
    const PicState *s = &pic->s;
    struct kvm_pic_state k = {
        .last_irr = s->lines, .irr = requests(s), .imr = s->imr, .isr = s->isr, .priority_add = (s->lowest + 1) & 7,
        .irq_base = s->base, .read_reg_select = s->read_reg == PIC_READ_ISR, .poll = s->poll,
        .special_mask = s->special_mask, .init_state = s->icw_next ? s->icw_next - 1 : 0, .auto_eoi = s->auto_eoi,
        .rotate_on_auto_eoi = s->rotate_auto, .special_fully_nested_mode = s->nested, .init4 = s->wants_icw4,
        .elcr = s->elcr, .elcr_mask = level_mask(pic),
    };

    irqchip->set(kernel_part(pic), &k);
}

static void pic_fetch(Device *dev)
{
    Pic *pic = (Pic *)dev;
    PicState *s = &pic->s;
    struct kvm_pic_state k = { 0 };

    if (!irqchip_has_pic()) {
        return;
    }
    irqchip->get(kernel_part(pic), &k);
    s->irr = k.irr;
    s->imr = k.imr;
    s->isr = k.isr;
    s->lowest = (k.priority_add - 1) & 7;
    s->base = k.irq_base;
    s->read_reg = k.read_reg_select ? PIC_READ_ISR : PIC_READ_IRR;
    s->poll = k.poll;
    s->special_mask = k.special_mask;
    s->icw_next = k.init_state ? (k.init_state & 3) + 1 : 0;
    s->auto_eoi = k.auto_eoi;
    s->rotate_auto = k.rotate_on_auto_eoi;
    s->nested = k.special_fully_nested_mode;
    s->wants_icw4 = k.init4;
    s->elcr = k.elcr;
}

static void pic_update(Device *dev)
{
    Pic *pic = (Pic *)dev;

    if (irqchip_has_pic()) {
        hand_over(pic);
        line_set(pic->intr, false);
    } else {
        line_set(pic->intr, pending_input(pic) >= 0);
    }
}

static void tell_end(Pic *pic, int n)
{
    if (pic->on_end && n == pic->heard) {
        pic->on_end(pic->opaque);
    }
}

static void acknowledge_input(Pic *pic, int n)
{
    PicState *s = &pic->s;

    s->irr &= ~(1 << n);
    if (!s->auto_eoi) {
        s->isr |= 1 << n;
    } else if (s->rotate_auto) {
        s->lowest = n;
    }
    line_set(pic->intr, false); /* so that a further request makes an edge on the master */
    pic_update(&pic->dev);
    if (s->auto_eoi) {
        tell_end(pic, n);
    }
}

int i8259_acknowledge(Device *dev)
{
    Pic *pic = (Pic *)dev;
    int n = pending_input(pic);

    if (n < 0) {
        return pic->s.base + SPURIOUS_INPUT;
    }
    acknowledge_input(pic, n);
    if (n == CASCADE_INPUT && pic->slave) {
        Pic *slave = pic->slave;

        n = pending_input(slave);
        if (n < 0) {
            return slave->s.base + SPURIOUS_INPUT;
        }
        acknowledge_input(slave, n);
        return slave->s.base + n;
    }
    return pic->s.base + n;
}

void i8259_on_end(Device *dev, int n, void (*fn)(void *opaque), void *opaque)
{
    Pic *pic = (Pic *)dev;

    pic->heard = n;
    pic->on_end = fn;
    pic->opaque = opaque;
}

bool i8259_pending(Device *dev)
{
    return pending_input((Pic *)dev) >= 0;
}

static void input_changed(void *opaque, int n, bool level)
{
    Pic *pic = opaque;
    uint8_t bit = 1 << n;

    if (irqchip_has_pic()) { /* which hears of it from the I/O APIC, whose wires are the same */
        pic->s.lines = level ? pic->s.lines | bit : pic->s.lines & ~bit;
        return;
    }
    if (level) {
        pic->s.lines |= bit;
        pic->s.irr |= bit;
    } else {
        pic->s.lines &= ~bit;
        if (level_inputs(&pic->s) & bit) {
            pic->s.irr &= ~bit;
        }
    }
    pic_update(&pic->dev);
}

static void end_of_interrupt(Pic *pic, int n, bool rotate)
{
    PicState *s = &pic->s;
    bool served = s->isr >> n & 1;

    s->isr &= ~(1 << n);
    if (rotate) {
        s->lowest = n;
    }
    if (served) {
        tell_end(pic, n);
    }
}

static void write_ocw2(Pic *pic, uint8_t value)
{
    PicState *s = &pic->s;
    bool rotate = value & 0x80;
    int n;

    switch (value >> 5) {
    case 0: /* rotate in automatic EOI mode: clear, set */
    case 4:
        s->rotate_auto = rotate;
        break;
    case 1: /* non-specific EOI, rotating or not */
    case 5:
        n = priority(s, s->special_mask ? s->isr & ~s->imr : s->isr);
        if (n < 8) {
            end_of_interrupt(pic, (s->lowest + 1 + n) & 7, rotate);
        }
        break;
    case 3: /* specific EOI, rotating or not */
    case 7:
        end_of_interrupt(pic, value & 7, rotate);
        break;
    case 6:
        s->lowest = value & 7;
        break;
    }
}

static void write_ocw3(PicState *s, uint8_t value)
{
    s->poll = value & OCW3_POLL;
    if (value & OCW3_READ) {
        s->read_reg = value & OCW3_READ_ISR ? PIC_READ_ISR : PIC_READ_IRR;
    }
    if (value & OCW3_SET_SMM) {
        s->special_mask = value & OCW3_SMM;
    }
}

/* Starts initialisation: clears all but the lines, the level control and the vector base. */
static void write_icw1(PicState *s, uint8_t value)
{
    s->irr = 0;
    s->isr = 0;
    s->imr = 0;
    s->lowest = 7;
    s->auto_eoi = s->rotate_auto = s->nested = s->special_mask = s->poll = false;
    s->read_reg = PIC_READ_IRR;
    s->wants_icw4 = value & ICW1_IC4;
    s->single = value & ICW1_SNGL;
    s->level_mode = value & ICW1_LTIM;
    s->icw_next = 2;
}

static void write_icw(Pic *pic, uint8_t value)
{
    PicState *s = &pic->s;

    switch (s->icw_next) {
    case 2:
        s->base = value & 0xf8;
        s->icw_next = s->single ? (s->wants_icw4 ? 4 : 0) : 3;
        break;
    case 3: /* the cascade is wired, whatever the guest says */
        s->icw_next = s->wants_icw4 ? 4 : 0;
        break;
    default:
        s->auto_eoi = value & ICW4_AEOI;
        s->nested = value & ICW4_SFNM;
        s->icw_next = 0;
        break;
    }
}

static void pic_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Pic *pic = opaque;

    if (offset == 1) {
        if (pic->s.icw_next) {
            write_icw(pic, value);
        } else {
            pic->s.imr = value;
        }
    } else if (value & ICW1) {
        write_icw1(&pic->s, value);
    } else if (value & OCW3) {
        write_ocw3(&pic->s, value);
    } else {
        write_ocw2(pic, value);
    }
    pic_update(&pic->dev);
}

static uint8_t read_poll(Pic *pic)
{
    int n = pending_input(pic);

    pic->s.poll = false;
    if (n < 0) {
        return 0;
    }
    acknowledge_input(pic, n);
    return 0x80 | n;
}

static uint64_t pic_read(void *opaque, PhysAddr offset, unsigned size)
{
    Pic *pic = opaque;

    if (pic->s.poll) {
        return read_poll(pic);
    }
    if (offset == 1) {
        return pic->s.imr;
    }
    return pic->s.read_reg == PIC_READ_ISR ? pic->s.isr : requests(&pic->s);
}

static const RegionOps pic_ops = { .read = pic_read, .write = pic_write, .max_size = 1 };

static uint64_t elcr_read(void *opaque, PhysAddr offset, unsigned size)
{
    return ((Pic *)opaque)->s.elcr;
}

/* The timer, the keyboard, the cascade, the clock and the FPU error stay edge triggered. */
static void elcr_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Pic *pic = opaque;

    pic->s.elcr = value & level_mask(pic);
    pic_update(&pic->dev);
}

static const RegionOps elcr_ops = { .read = elcr_read, .write = elcr_write, .max_size = 1 };

Line *i8259_input(Device *dev, int n)
{
    return ((Pic *)dev)->in[n];
}

void i8259_connect(Device *dev, Line *intr)
{
    ((Pic *)dev)->intr = intr;
    pic_update(dev);
}

void i8259_cascade(Device *master, Device *slave)
{
    ((Pic *)master)->slave = (Pic *)slave;
    i8259_connect(slave, i8259_input(master, CASCADE_INPUT));
}

static bool pic_realize(Device *dev, GError **error)
{
    Pic *pic = (Pic *)dev;

    for (int n = 0; n < 8; n++) {
        pic->in[n] = line_new(input_changed, pic, n);
    }
    pic->ports = region_new_io("i8259", &pic_ops, pic, 2);
    region_add(memory_ports_root(), pic->iobase, pic->ports);
    if (pic->elcr_port) {
        pic->elcr_region = region_new_io("elcr", &elcr_ops, pic, 1);
        region_add(memory_ports_root(), pic->elcr_port, pic->elcr_region);
    }
    return true;
}

/* The wires keep their levels over a reset of this chip. */
static void pic_reset(Device *dev)
{
    Pic *pic = (Pic *)dev;

    for (int n = 0; n < 8; n++) {
        if (line_level(pic->in[n])) {
            pic->s.lines |= 1 << n;
        }
    }
}

static void pic_describe(Device *dev, GString *text)
{
    const PicState *s = &((Pic *)dev)->s;

    g_string_append_printf(text, "irr=%02x imr=%02x isr=%02x elcr=%02x base=%02x lowest=%d\n",
                           requests(s), s->imr, s->isr, s->elcr, s->base, s->lowest);
}

static const Prop pic_props[] = {
    PROP(Pic, iobase, "iobase", PROP_U32, "0x20", "first of its two ports"),
    PROP(Pic, elcr_port, "elcr", PROP_U32, "0x4d0", "port of the edge/level control, 0: none"),
    PROP(Pic, master, "master", PROP_BOOL, "on", "has the inputs 0-7 of the machine"),
    { NULL },
};

const DeviceType i8259_type = {
    .name = "i8259",
    .about = "8259A interrupt controller",
    .bus = "system",
    .size = sizeof(Pic),
    .state_at = offsetof(Pic, s),
    .state = PicState_fields,
    .props = pic_props,
    .realize = pic_realize,
    .reset = pic_reset,
    .update = pic_update,
    .fetch = pic_fetch,
    .describe = pic_describe,
};
