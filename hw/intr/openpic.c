/*
 * OpenPIC: sources, four timers and four messages between processors, by priority. As KeyLargo has it, with 64 sources; and
 * as Freescale's MPIC, big-endian, with 256, of which eight are shared by the PCI bus's messages.
 *
 * The Open Programmable Interrupt Controller Register Interface Specification 1.2 (AMD/Cyrix 1995); MPC8544E PowerQUICC III
 * Reference Manual, chapter 10. Registers are words on 16-byte boundaries. A source that names several processors goes to
 * the first that asks.
 */
#include "hw/intr/openpic.h"

#include "core/clock.h"
#include "core/cpu.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

enum { TIMERS = 4, MESSAGES = 4, SHARED = 8, ALL_MAX = MPIC_SOURCES + TIMERS + MESSAGES };
enum { BLOCK_REVISION = 0x00400201 }; /* version 2.0 swaps the bytes of messages, which Linux then undoes */
enum { TIMER_HZ = 4166666, VERSION_1_2 = 2 };

#define VP_MASK     0x80000000u
#define VP_ACTIVE   0x40000000u
#define VP_POLARITY 0x00800000u
#define VP_LEVEL    0x00400000u
#define VP_RESET    0x80000000u
#define COUNT_STOP  0x80000000u
#define GCR_RESET   0x80000000u
#define GCR_MIXED   0x20000000u

/* A bit per processor of `pending`: all others than messages use bit 0 only. */
#define OPENPIC_STATE(FIELD, ARRAY)                                                  \
    FIELD(uint32_t, gcr, 0)                                                          \
    FIELD(uint32_t, spurious, 0xffff)                                                  \
    FIELD(uint32_t, init, 0) /* processors held in reset */                          \
    ARRAY(uint32_t, vecpri, ALL_MAX, VP_RESET)                                           \
    ARRAY(uint32_t, dest, ALL_MAX, 1)                                                    \
    ARRAY(uint8_t, level, ALL_MAX, 0)                                                    \
    ARRAY(uint8_t, pending, ALL_MAX, 0)                                                  \
    ARRAY(uint8_t, serving, ALL_MAX, 0)        /* processors that acknowledged it */     \
    ARRAY(uint32_t, task, OPENPIC_CPUS_MAX, 15)                                      \
    ARRAY(uint32_t, base, TIMERS, COUNT_STOP)                                        \
    ARRAY(uint32_t, toggle, TIMERS, 0)     /* bit 31 of the current count */         \
    ARRAY(int64_t, expires, TIMERS, -1)                                              \
    ARRAY(uint32_t, shared, SHARED, 0)     /* MPIC: messages of a shared source */

DEFINE_STATE(OpenpicState, OPENPIC_STATE);

typedef struct Openpic Openpic;

typedef struct PicTimer {
    Openpic *pic;
    int number;
    Timer *timer;
} PicTimer;

typedef struct OpenpicModel {
    unsigned sources;
    uint32_t vector_mask;
    bool is_mpic;
} OpenpicModel;

struct Openpic {
    Device dev;
    OpenpicState s;
    const OpenpicModel *model;
    uint32_t cpus;
    Region *region;
    Line *inputs[MPIC_SOURCES];
    Line *external[OPENPIC_CPUS_MAX];
    PicTimer timers[TIMERS];
};

/* Timers are behind the sources, messages between processors behind the timers. */
static int first_timer(const Openpic *pic)
{
    return pic->model->sources;
}

static int first_message(const Openpic *pic)
{
    return first_timer(pic) + TIMERS;
}

static int all(const Openpic *pic)
{
    return first_message(pic) + MESSAGES;
}

static unsigned priority(const OpenpicState *s, int n)
{
    return s->vecpri[n] >> 16 & 15;
}

static bool is_message(const Openpic *pic, int n)
{
    return n >= first_message(pic);
}

/* Whether source n has something for that processor. */
static bool wants(const Openpic *pic, int n, int cpu)
{
    const OpenpicState *s = &pic->s;

    if (s->vecpri[n] & VP_MASK) {
        return false;
    }
    return is_message(pic, n) ? s->pending[n] >> cpu & 1 : s->pending[n] && (s->dest[n] >> cpu & 1);
}

/* The most urgent source that the processor serves; -1: none. */
static int in_service(const Openpic *pic, int cpu)
{
    const OpenpicState *s = &pic->s;
    int found = -1;

    for (int n = 0; n < all(pic); n++) {
        if ((s->serving[n] >> cpu & 1) && (found < 0 || priority(s, n) > priority(s, found))) {
            found = n;
        }
    }
    return found;
}

/* What the processor is at: its task priority, or that of what it serves. */
static unsigned current_priority(const Openpic *pic, int cpu)
{
    const OpenpicState *s = &pic->s;
    int n = in_service(pic, cpu);

    return n < 0 ? s->task[cpu] : MAX(s->task[cpu], priority(s, n));
}

/* The source that interrupts the processor now; -1: none. */
static int best(const Openpic *pic, int cpu)
{
    const OpenpicState *s = &pic->s;
    unsigned above = current_priority(pic, cpu);
    int found = -1;

    for (int n = 0; n < all(pic); n++) {
        if (priority(s, n) > above && wants(pic, n, cpu)) {
            above = priority(s, n);
            found = n;
        }
    }
    return found;
}

static void openpic_update(Device *dev)
{
    Openpic *pic = (Openpic *)dev;

    for (unsigned cpu = 0; cpu < pic->cpus; cpu++) {
        line_set(pic->external[cpu], best(pic, cpu) >= 0);
    }
    for (int n = 0; n < TIMERS; n++) {
        if (pic->s.expires[n] >= 0) {
            timer_set(pic->timers[n].timer, pic->s.expires[n]);
        } else {
            timer_cancel(pic->timers[n].timer);
        }
    }
}

static void input_changed(void *opaque, int n, bool level)
{
    Openpic *pic = opaque;
    OpenpicState *s = &pic->s;

    s->level[n] = level;
    if (level) {
        s->pending[n] = 1;
    } else if (s->vecpri[n] & VP_LEVEL) {
        s->pending[n] = 0;
    }
    trace("openpic_input", "source %d is %d", n, level);
    openpic_update(&pic->dev);
}

/* ---- timers ---- */

static int64_t period(const OpenpicState *s, int n)
{
    return mul_div(MAX(s->base[n] & ~COUNT_STOP, 1), NS_PER_SECOND, TIMER_HZ);
}

static void timer_expired(void *opaque)
{
    PicTimer *t = opaque;
    OpenpicState *s = &t->pic->s;

    if (s->expires[t->number] < 0) {
        return;
    }
    /* A slow host skips what it missed: the count is not late for ever. */
    s->expires[t->number] = MAX(s->expires[t->number] + period(s, t->number),
                                clock_now(CLOCK_GUEST) + NS_PER_US);
    s->toggle[t->number] ^= COUNT_STOP;
    s->pending[first_timer(t->pic) + t->number] = 1;
    openpic_update(&t->pic->dev);
}

static void write_base(OpenpicState *s, int n, uint32_t value)
{
    bool starts = !(value & COUNT_STOP) && (s->base[n] & COUNT_STOP);

    s->base[n] = value;
    if (value & COUNT_STOP) {
        s->expires[n] = -1;
    } else if (starts) {
        s->toggle[n] = 0;
        s->expires[n] = clock_now(CLOCK_GUEST) + period(s, n);
    }
}

static uint32_t current_count(const OpenpicState *s, int n)
{
    int64_t left = s->expires[n] - clock_now(CLOCK_GUEST);

    if (s->expires[n] < 0) {
        return s->base[n] & ~COUNT_STOP;
    }
    return s->toggle[n] | (mul_div(MAX(left, 0), TIMER_HZ, NS_PER_SECOND) & ~COUNT_STOP);
}

/* ---- what a processor does ---- */

static uint32_t acknowledge(Openpic *pic, int cpu)
{
    OpenpicState *s = &pic->s;
    uint32_t mask = pic->model->vector_mask;
    int n = best(pic, cpu);

    if (n < 0) {
        return s->spurious & mask;
    }
    if (is_message(pic, n)) {
        s->pending[n] &= ~(1u << cpu);
    } else if (!(s->vecpri[n] & VP_LEVEL)) {
        s->pending[n] = 0;
    }
    s->serving[n] |= 1u << cpu;
    trace("openpic_acknowledge", "cpu %d takes source %d, vector %02x", cpu, n, s->vecpri[n] & mask);
    return s->vecpri[n] & mask;
}

/* The most urgent of those in service is done; a level source that is still high comes again. */
static void end_of_interrupt(Openpic *pic, int cpu)
{
    int n = in_service(pic, cpu);

    if (n >= 0) {
        pic->s.serving[n] &= ~(1u << cpu);
    }
}

static uint32_t read_cpu(Openpic *pic, int cpu, unsigned reg)
{
    switch (reg) {
    case 0x80:
        return pic->s.task[cpu];
    case 0x90: /* who am I */
        return cpu;
    case 0xa0:
        return acknowledge(pic, cpu);
    default:
        return 0;
    }
}

static void write_cpu(Openpic *pic, int cpu, unsigned reg, uint32_t value)
{
    OpenpicState *s = &pic->s;

    switch (reg) {
    case 0x40:
    case 0x50:
    case 0x60:
    case 0x70:
        s->pending[first_message(pic) + (reg - 0x40) / 16] |= value & ((1u << pic->cpus) - 1);
        break;
    case 0x80:
        s->task[cpu] = value & 15;
        break;
    case 0xb0:
        end_of_interrupt(pic, cpu);
        break;
    }
}

/* ---- sources ---- */

static uint32_t read_vecpri(const OpenpicState *s, int n)
{
    bool active = s->pending[n] || s->serving[n];

    return s->vecpri[n] | (active ? VP_ACTIVE : 0);
}

static void write_vecpri(Openpic *pic, int n, uint32_t value)
{
    OpenpicState *s = &pic->s;
    uint32_t sense = n < first_timer(pic) ? VP_POLARITY | VP_LEVEL : 0;

    s->vecpri[n] = value & (VP_MASK | sense | 0xf0000 | pic->model->vector_mask);
    if (s->vecpri[n] & VP_LEVEL) { /* what an edge left is no level */
        s->pending[n] = s->level[n];
    }
}

static uint32_t read_global(const Openpic *pic, unsigned offset)
{
    const OpenpicState *s = &pic->s;

    switch (offset) {
    case 0x1000:
        return (pic->model->sources - 1) << 16 | (pic->cpus - 1) << 8 | VERSION_1_2;
    case 0x1020:
        return s->gcr;
    case 0x1090:
        return s->init;
    case 0x10a0:
    case 0x10b0:
    case 0x10c0:
    case 0x10d0:
        return read_vecpri(s, first_message(pic) + (offset - 0x10a0) / 16);
    case 0x10e0:
        return s->spurious & pic->model->vector_mask;
    case 0x10f0:
        return TIMER_HZ;
    default:
        return 0;
    }
}

static void openpic_reset_state(Openpic *pic)
{
    uint8_t level[MPIC_SOURCES];

    memcpy(level, pic->s.level, sizeof(level));
    state_reset(OpenpicState_fields, &pic->s);
    memcpy(pic->s.level, level, sizeof(level)); /* the wires stay as they are */
}

static void write_global(Openpic *pic, unsigned offset, uint32_t value)
{
    OpenpicState *s = &pic->s;

    switch (offset) {
    case 0x1020:
        if (value & GCR_RESET) {
            openpic_reset_state(pic);
        }
        s->gcr = value & GCR_MIXED;
        break;
    case 0x1090:
        s->init = value & ((1u << pic->cpus) - 1);
        break;
    case 0x10a0:
    case 0x10b0:
    case 0x10c0:
    case 0x10d0:
        write_vecpri(pic, first_message(pic) + (offset - 0x10a0) / 16, value);
        break;
    case 0x10e0:
        s->spurious = value & pic->model->vector_mask;
        break;
    case 0x10f0: /* the frequency is what it is */
        break;
    }
}

static uint32_t read_timer(const Openpic *pic, unsigned offset)
{
    const OpenpicState *s = &pic->s;
    int n = offset >> 6 & 3;

    switch (offset & 0x30) {
    case 0x00:
        return current_count(s, n);
    case 0x10:
        return s->base[n];
    case 0x20:
        return read_vecpri(s, first_timer(pic) + n);
    default:
        return s->dest[first_timer(pic) + n];
    }
}

static void write_dest(Openpic *pic, int n, uint32_t value)
{
    pic->s.dest[n] = value & ((1u << pic->cpus) - 1);
}

static void write_timer(Openpic *pic, unsigned offset, uint32_t value)
{
    int n = offset >> 6 & 3;

    switch (offset & 0x30) {
    case 0x10:
        write_base(&pic->s, n, value);
        break;
    case 0x20:
        write_vecpri(pic, first_timer(pic) + n, value);
        break;
    case 0x30:
        write_dest(pic, first_timer(pic) + n, value);
        break;
    }
}

/* ---- messages of the PCI bus: 32 share a source, whose register tells them and forgets ---- */

enum { SHARED_REGS = 0x1600, SHARED_END = 0x1800, SHARED_INDEX = 0x140, SHARED_STATUS = 0x120 };

static void update_shared(Openpic *pic, unsigned n)
{
    if (pic->s.shared[n]) {
        pic->s.pending[MPIC_SHARED + n] = 1;
    } else if (pic->s.vecpri[MPIC_SHARED + n] & VP_LEVEL) {
        pic->s.pending[MPIC_SHARED + n] = 0;
    }
}

static uint32_t read_shared(Openpic *pic, unsigned offset)
{
    unsigned n = offset >> 4;
    uint32_t value = 0;

    if (n < SHARED) {
        value = pic->s.shared[n];
        trace("openpic_messages", "messages of %u: %08x", n, value);
        pic->s.shared[n] = 0;
        update_shared(pic, n);
    } else if (offset == SHARED_STATUS) {
        for (n = 0; n < SHARED; n++) {
            value |= pic->s.shared[n] ? 1u << n : 0;
        }
    }
    return value;
}

static void write_shared(Openpic *pic, unsigned offset, uint32_t value)
{
    trace("openpic_message", "message %08x at %x", value, offset);
    if (offset == SHARED_INDEX) {
        pic->s.shared[value >> 29] |= 1u << (value >> 24 & 31);
        update_shared(pic, value >> 29);
    }
}

/* ---- the window ---- */

enum { TIMER_REGS = 0x1100, TIMER_END = 0x1200, SOURCE_REGS = 0x10000, CPU_REGS = 0x20000 };

/* The first page is that of the processor which makes the access. */
static int accessing_cpu(const Openpic *pic)
{
    const Cpu *cpu = cpu_current();

    return cpu && cpu->index < (int)pic->cpus ? cpu->index : 0;
}

static uint64_t openpic_read(void *opaque, PhysAddr offset, unsigned size)
{
    Openpic *pic = opaque;
    uint32_t value = 0;

    if (offset & 15) {
        return 0;
    }
    if (offset == 0 && pic->model->is_mpic) {
        value = BLOCK_REVISION;
    } else if (offset < 0x1000) {
        value = read_cpu(pic, accessing_cpu(pic), offset);
    } else if (pic->model->is_mpic && offset >= SHARED_REGS && offset < SHARED_END) {
        value = read_shared(pic, offset - SHARED_REGS);
    } else if (offset >= TIMER_REGS && offset < TIMER_END) {
        value = read_timer(pic, offset - TIMER_REGS);
    } else if (offset < SOURCE_REGS) {
        value = read_global(pic, offset);
    } else if (offset < SOURCE_REGS + pic->model->sources * 32) {
        int n = (offset - SOURCE_REGS) / 32;

        value = offset & 16 ? pic->s.dest[n] : read_vecpri(&pic->s, n);
    } else if (offset >= CPU_REGS && (offset - CPU_REGS) >> 12 < pic->cpus) {
        value = read_cpu(pic, (offset - CPU_REGS) >> 12, offset & 0xfff);
    }
    openpic_update(&pic->dev);
    return value;
}

static void openpic_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Openpic *pic = opaque;

    if (offset & 15) {
        return;
    }
    if (offset < 0x1000) {
        write_cpu(pic, accessing_cpu(pic), offset, value);
    } else if (pic->model->is_mpic && offset >= SHARED_REGS && offset < SHARED_END) {
        write_shared(pic, offset - SHARED_REGS, value);
    } else if (offset >= TIMER_REGS && offset < TIMER_END) {
        write_timer(pic, offset - TIMER_REGS, value);
    } else if (offset < SOURCE_REGS) {
        write_global(pic, offset, value);
    } else if (offset < SOURCE_REGS + pic->model->sources * 32) {
        int n = (offset - SOURCE_REGS) / 32;

        if (offset & 16) {
            write_dest(pic, n, value);
        } else {
            write_vecpri(pic, n, value);
        }
    } else if (offset >= CPU_REGS && (offset - CPU_REGS) >> 12 < pic->cpus) {
        write_cpu(pic, (offset - CPU_REGS) >> 12, offset & 0xfff, value);
    }
    openpic_update(&pic->dev);
}

static const RegionOps openpic_ops = { openpic_read, openpic_write, 4, 4, ENDIAN_LITTLE };
static const RegionOps mpic_ops = { openpic_read, openpic_write, 4, 4, ENDIAN_BIG };

Region *openpic_region(Device *dev)
{
    return ((Openpic *)dev)->region;
}

Line *openpic_input(Device *dev, int source)
{
    return ((Openpic *)dev)->inputs[source];
}

void openpic_connect(Device *dev, int cpu, Line *external)
{
    ((Openpic *)dev)->external[cpu] = external;
}

static bool realize(Openpic *pic, const OpenpicModel *model, GError **error)
{
    const char *name = pic->dev.type->name;

    if (pic->cpus < 1 || pic->cpus > OPENPIC_CPUS_MAX) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: nb_cpus=%u is not 1 to %d", name, pic->cpus, OPENPIC_CPUS_MAX);
        return false;
    }
    pic->model = model;
    pic->region = region_new_io(name, model->is_mpic ? &mpic_ops : &openpic_ops, pic, OPENPIC_WINDOW);
    for (unsigned n = 0; n < model->sources; n++) {
        pic->inputs[n] = line_new(input_changed, pic, n);
    }
    for (int n = 0; n < TIMERS; n++) {
        pic->timers[n] = (PicTimer){ pic, n, timer_new(CLOCK_GUEST, timer_expired, &pic->timers[n]) };
    }
    return true;
}

static bool openpic_realize(Device *dev, GError **error)
{
    static const OpenpicModel model = { .sources = OPENPIC_SOURCES, .vector_mask = 0xff };

    return realize((Openpic *)dev, &model, error);
}

static bool mpic_realize(Device *dev, GError **error)
{
    static const OpenpicModel model = { .sources = MPIC_SOURCES, .vector_mask = 0xffff, .is_mpic = true };

    return realize((Openpic *)dev, &model, error);
}

/* Devices that were reset before drive their wires again: what they are now is the level. */
static void openpic_reset(Device *dev)
{
    Openpic *pic = (Openpic *)dev;

    for (unsigned n = 0; n < pic->model->sources; n++) {
        pic->s.level[n] = line_level(pic->inputs[n]);
    }
}

static bool openpic_loaded(Device *dev, GError **error)
{
    OpenpicState *s = &((Openpic *)dev)->s;

    for (int n = 0; n < OPENPIC_CPUS_MAX; n++) {
        s->task[n] &= 15;
    }
    return true;
}

static const Prop openpic_props[] = {
    PROP(Openpic, cpus, "nb_cpus", PROP_U32, "1", "processors that it serves"),
    { 0 },
};

const DeviceType openpic_type = {
    .name = "openpic",
    .about = "OpenPIC interrupt controller",
    .bus = "system",
    .size = sizeof(Openpic),
    .state_at = offsetof(Openpic, s),
    .state = OpenpicState_fields,
    .props = openpic_props,
    .realize = openpic_realize,
    .reset = openpic_reset,
    .post_load = openpic_loaded,
    .update = openpic_update,
};

const DeviceType mpic_type = {
    .name = "fsl-mpic",
    .about = "Freescale's MPIC interrupt controller",
    .bus = "system",
    .size = sizeof(Openpic),
    .state_at = offsetof(Openpic, s),
    .state = OpenpicState_fields,
    .props = openpic_props,
    .realize = mpic_realize,
    .reset = openpic_reset,
    .post_load = openpic_loaded,
    .update = openpic_update,
};
