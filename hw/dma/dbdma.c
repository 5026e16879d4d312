/*
 * Descriptor-based DMA of Apple's I/O chips: each channel runs a program of descriptors in memory.
 *
 * Macintosh Technology in the Common Hardware Reference Platform (Apple 1995), chapter 4. Registers and descriptors are
 * little-endian. A program that only jumps in circles is stopped for a while after some steps, so that others run too.
 */
#include "hw/dma/dbdma.h"

#include "core/clock.h"
#include "util/bits.h"
#include "util/log.h"

enum { REG_CONTROL, REG_STATUS, REG_POINTER = 3, REG_INTERRUPT, REG_BRANCH, REG_WAIT };
enum {
    RUN = 0x8000, PAUSE = 0x4000, FLUSH = 0x2000, WAKE = 0x1000, DEAD = 0x0800, ACTIVE = 0x0400, BRANCH_TAKEN = 0x0100,
    DEVICE_BITS = 0xff,
};
enum { OUTPUT_MORE, OUTPUT_LAST, INPUT_MORE, INPUT_LAST, STORE_QUAD, LOAD_QUAD, NOP, STOP };
enum { NEVER, IF_FALSE, IF_TRUE, ALWAYS }; /* of a descriptor's i, b and w fields */
enum { KEY_SYSTEM = 6, DESCRIPTOR = 16, STEPS_MAX = 256 };

#define DBDMA_STATE(FIELD, ARRAY)                                                        \
    ARRAY(uint32_t, status, DBDMA_CHANNELS, 0)                                           \
    ARRAY(uint32_t, pointer, DBDMA_CHANNELS, 0)                                          \
    ARRAY(uint32_t, interrupt, DBDMA_CHANNELS, 0)                                        \
    ARRAY(uint32_t, branch, DBDMA_CHANNELS, 0)                                           \
    ARRAY(uint32_t, wait, DBDMA_CHANNELS, 0)                                             \
    ARRAY(bool, data, DBDMA_CHANNELS, false) /* a descriptor of data is under way: */    \
    ARRAY(uint32_t, address, DBDMA_CHANNELS, 0)                                          \
    ARRAY(uint16_t, left, DBDMA_CHANNELS, 0)                                             \
    FIELD(int64_t, resume_at, -1)                                                        \
    FIELD(uint32_t, resting, 0) /* channels that made too many steps at once */

DEFINE_STATE(DbdmaState, DBDMA_STATE);

typedef struct Channel {
    const DbdmaOps *ops;
    void *opaque;
    Line *irq;
    bool told; /* the device, that there is data to move */
} Channel;

typedef struct Dbdma {
    Device dev;
    DbdmaState s;
    Channel channel[DBDMA_CHANNELS];
    Region *region;
    Timer *timer;
    bool stepping; /* a program runs: what it stores may set a channel going, which then waits for its turn */
} Dbdma;

typedef struct Descriptor {
    uint16_t count, command;
    uint32_t address, depend;
} Descriptor;

static Descriptor fetch(PhysAddr at)
{
    uint8_t raw[DESCRIPTOR];

    memory_read(memory_system(), at, raw, sizeof(raw));
    return (Descriptor){ load_le16(raw), load_le16(raw + 2), load_le32(raw + 4), load_le32(raw + 8) };
}

static bool running(const DbdmaState *s, int n)
{
    return (s->status[n] & (RUN | PAUSE | DEAD | ACTIVE)) == (RUN | ACTIVE);
}

/* Of a select register: the device's status bits are as wanted. */
static bool condition(const DbdmaState *s, int n, uint32_t select)
{
    uint8_t mask = select >> 16, value = select;

    return (s->status[n] & mask) == (value & mask);
}

static bool applies(const DbdmaState *s, int n, unsigned when, uint32_t select)
{
    switch (when & 3) {
    case NEVER:
        return false;
    case ALWAYS:
        return true;
    default:
        return condition(s, n, select) == ((when & 3) == IF_TRUE);
    }
}

static void tell(Dbdma *d, int n)
{
    Channel *c = &d->channel[n];
    bool ready = running(&d->s, n) && d->s.data[n];

    if (c->told != ready) {
        c->told = ready;
        if (c->ops) {
            c->ops->ready(c->opaque, ready);
        }
    }
}

/* What is left of its bytes and the channel's status, into the descriptor at `at`. */
static void write_result(const DbdmaState *s, int n, PhysAddr at)
{
    uint8_t result[4];

    store_le16(result, s->left[n]);
    store_le16(result + 2, s->status[n]);
    memory_write(memory_system(), at + 12, result, sizeof(result));
}

/* The descriptor is done: its result is written, and what it asks for happens. */
static void finish(Dbdma *d, int n, const Descriptor *desc)
{
    DbdmaState *s = &d->s;
    PhysAddr at = s->pointer[n];

    if (applies(s, n, desc->command >> 2, s->branch[n])) {
        s->pointer[n] = desc->depend & ~15u;
        s->status[n] |= BRANCH_TAKEN;
    } else {
        s->pointer[n] += DESCRIPTOR;
        s->status[n] &= ~BRANCH_TAKEN;
    }
    write_result(s, n, at);
    if (applies(s, n, desc->command >> 4, s->interrupt[n])) {
        line_pulse(d->channel[n].irq);
    }
}

static unsigned quad_size(const Descriptor *desc)
{
    unsigned size = desc->count & 7;

    return size & 4 ? 4 : size & 2 ? 2 : 1;
}

/* Moves a word between the descriptor and memory; the key tells of other buses than the system's, which are not there. */
static bool run_quad(Dbdma *d, int n, const Descriptor *desc, bool store)
{
    DbdmaState *s = &d->s;
    unsigned size = quad_size(desc);
    uint8_t word[4];

    if ((desc->command >> 8 & 7) != KEY_SYSTEM) {
        return false;
    }
    if (store) {
        store_le32(word, desc->depend);
        memory_write(memory_system(), desc->address, word, size);
    } else {
        memory_read(memory_system(), desc->address, word, size);
        memory_write(memory_system(), s->pointer[n] + 8, word, size);
    }
    s->left[n] = 0;
    return true;
}

/* Until software starts it anew. */
static void die(DbdmaState *s, int n)
{
    s->status[n] = (s->status[n] | DEAD) & ~ACTIVE;
}

/* One descriptor; false when the channel stops or waits for its device. */
static bool step(Dbdma *d, int n)
{
    DbdmaState *s = &d->s;
    Descriptor desc = fetch(s->pointer[n]);
    unsigned command = desc.command >> 12;

    trace("dbdma_step", "channel %d at %08x: command %04x, %u bytes at %08x", n, s->pointer[n], desc.command,
          desc.count, desc.address);
    if (command <= INPUT_LAST) {
        s->address[n] = desc.address;
        s->left[n] = desc.count;
        s->data[n] = true;
        return false;
    }
    if (applies(s, n, desc.command, s->wait[n])) {
        return false; /* until software wakes it */
    }
    switch (command) {
    case STORE_QUAD:
    case LOAD_QUAD:
        if (run_quad(d, n, &desc, command == STORE_QUAD)) {
            break;
        }
        die(s, n);
        return false;
    case NOP:
        s->left[n] = 0;
        break;
    case STOP:
        s->status[n] &= ~ACTIVE;
        return false;
    default:
        guest_error(d->dev.id, "channel %d: descriptor with command %u", n, command);
        die(s, n);
        return false;
    }
    finish(d, n, &desc);
    return true;
}

static void run_later(Dbdma *d, int n, int64_t ns)
{
    d->s.resting |= 1u << n;
    d->s.resume_at = clock_now(CLOCK_GUEST) + ns;
}

static void run(Dbdma *d, int n)
{
    int steps = 0;

    if (d->stepping) {
        run_later(d, n, 0);
        return;
    }
    d->stepping = true;
    while (running(&d->s, n) && !d->s.data[n] && step(d, n)) {
        if (++steps == STEPS_MAX) {
            run_later(d, n, NS_PER_MS);
            break;
        }
    }
    d->stepping = false;
    tell(d, n);
}

uint64_t dbdma_move(Device *dev, int n, void *buf, uint64_t size, bool to_memory)
{
    Dbdma *d = (Dbdma *)dev;
    DbdmaState *s = &d->s;
    uint64_t moved = 0;
    bool was_stepping = d->stepping;

    d->stepping = true;
    for (int steps = 0; running(s, n) && s->data[n] && (moved < size || !s->left[n]) && steps < 1 << 16; steps++) {
        uint32_t part = MIN(s->left[n], size - moved);
        Descriptor desc = fetch(s->pointer[n]);

        if ((desc.command >> 12 >= INPUT_MORE) != to_memory && size) {
            guest_error(dev->id, "channel %d: data goes the other way", n);
            die(s, n);
            s->data[n] = false;
            break;
        }
        if (to_memory) {
            memory_write(memory_system(), s->address[n], (uint8_t *)buf + moved, part);
        } else {
            memory_read(memory_system(), s->address[n], (uint8_t *)buf + moved, part);
        }
        moved += part;
        s->address[n] += part;
        s->left[n] -= part;
        if (!s->left[n]) {
            s->data[n] = false;
            finish(d, n, &desc);
            while (running(s, n) && !s->data[n] && steps++ < 1 << 16 && step(d, n)) {
            }
        }
    }
    d->stepping = was_stepping;
    tell(d, n);
    return moved;
}

/* ---- registers ---- */

static void dbdma_update(Device *dev)
{
    Dbdma *d = (Dbdma *)dev;

    if (d->s.resume_at >= 0) {
        timer_set(d->timer, d->s.resume_at);
    } else {
        timer_cancel(d->timer);
    }
}

static void timer_expired(void *opaque)
{
    Dbdma *d = opaque;
    uint32_t resting = d->s.resting;

    d->s.resting = 0;
    d->s.resume_at = -1;
    for (int n = 0; n < DBDMA_CHANNELS; n++) {
        if (resting >> n & 1) {
            run(d, n);
        }
    }
    dbdma_update(&d->dev);
}

/* Software asks for what has arrived so far: the descriptor under way shows it. */
static void flush(const DbdmaState *s, int n)
{
    if (s->data[n]) {
        write_result(s, n, s->pointer[n]);
    }
}

/* The upper half says which bits of the lower half are meant. */
static void write_control(Dbdma *d, int n, uint32_t value)
{
    DbdmaState *s = &d->s;
    uint32_t mask = value >> 16 & (RUN | PAUSE | FLUSH | WAKE | DEAD | DEVICE_BITS);
    uint32_t old = s->status[n], now = (old & ~mask) | (value & mask & ~DEAD);

    if ((now & RUN) && !(old & RUN)) {
        now = (now | ACTIVE) & ~DEAD;
        s->data[n] = false;
    } else if (!(now & RUN) && (old & RUN)) {
        now &= ~(ACTIVE | DEAD | BRANCH_TAKEN);
        s->data[n] = false;
    } else if ((now & (RUN | WAKE | DEAD)) == (RUN | WAKE)) {
        now |= ACTIVE;
    }
    s->status[n] = now & ~(FLUSH | WAKE);
    if (now & FLUSH) {
        flush(s, n);
    }
    trace("dbdma_control", "channel %d: %08x, status %04x", n, value, s->status[n]);
    s->resting &= ~(1u << n);
    run(d, n);
}

static uint64_t dbdma_read(void *opaque, PhysAddr offset, unsigned size)
{
    const DbdmaState *s = &((Dbdma *)opaque)->s;
    int n = offset >> 7;

    switch (offset >> 2 & 31) {
    case REG_STATUS:
        return s->status[n];
    case REG_POINTER:
        return s->pointer[n];
    case REG_INTERRUPT:
        return s->interrupt[n];
    case REG_BRANCH:
        return s->branch[n];
    case REG_WAIT:
        return s->wait[n];
    default:
        return 0;
    }
}

static void dbdma_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Dbdma *d = opaque;
    DbdmaState *s = &d->s;
    int n = offset >> 7;

    switch (offset >> 2 & 31) {
    case REG_CONTROL:
        write_control(d, n, value);
        break;
    case REG_POINTER: /* stays while the program runs */
        if (!(s->status[n] & (RUN | ACTIVE))) {
            s->pointer[n] = value & ~15u;
        }
        break;
    case REG_INTERRUPT:
        s->interrupt[n] = value & 0xff00ff;
        break;
    case REG_BRANCH:
        s->branch[n] = value & 0xff00ff;
        break;
    case REG_WAIT:
        s->wait[n] = value & 0xff00ff;
        break;
    }
    dbdma_update(&d->dev);
}

static const RegionOps dbdma_ops = { dbdma_read, dbdma_write, 4, 4, ENDIAN_LITTLE };

Region *dbdma_region(Device *dev)
{
    return ((Dbdma *)dev)->region;
}

void dbdma_connect(Device *dev, int n, const DbdmaOps *ops, void *opaque, Line *irq)
{
    ((Dbdma *)dev)->channel[n] = (Channel){ ops, opaque, irq, false };
}

static bool dbdma_realize(Device *dev, GError **error)
{
    Dbdma *d = (Dbdma *)dev;

    d->region = region_new_io("dbdma", &dbdma_ops, d, DBDMA_WINDOW);
    d->timer = timer_new(CLOCK_GUEST, timer_expired, d);
    return true;
}

static void dbdma_reset(Device *dev)
{
    for (int n = 0; n < DBDMA_CHANNELS; n++) {
        tell((Dbdma *)dev, n);
    }
}

static bool dbdma_loaded(Device *dev, GError **error)
{
    Dbdma *d = (Dbdma *)dev;

    for (int n = 0; n < DBDMA_CHANNELS; n++) {
        d->s.pointer[n] &= ~15u;
        tell(d, n);
    }
    return true;
}

const DeviceType dbdma_type = {
    .name = "mac-dbdma",
    .about = "descriptor-based DMA",
    .bus = "system",
    .size = sizeof(Dbdma),
    .state_at = offsetof(Dbdma, s),
    .state = DbdmaState_fields,
    .realize = dbdma_realize,
    .reset = dbdma_reset,
    .post_load = dbdma_loaded,
    .update = dbdma_update,
};
