/*
 * The two 8237A DMA controllers of a PC with their page registers.
 *
 * Manual: Intel 8237A data sheet (231466). Channels 0-3 move bytes, 5-7 words; channel 4 is the
 * cascade. Transfers happen when the device calls: the bus is never taken from the CPU.
 */
#include "hw/dma/i8237.h"

#include "util/bits.h"

enum { CHANNELS = 8, CASCADE = 4 };
enum { MODE_KIND = 0x0c, KIND_VERIFY = 0x00, KIND_WRITE = 0x04, KIND_READ = 0x08 };
enum { MODE_AUTO = 0x10, MODE_DOWN = 0x20, COMMAND_OFF = 0x04 };

#define DMA_STATE(FIELD, ARRAY)                                            \
    ARRAY(uint16_t, base_addr, CHANNELS, 0)                                \
    ARRAY(uint16_t, base_count, CHANNELS, 0)                               \
    ARRAY(uint16_t, addr, CHANNELS, 0)                                     \
    ARRAY(uint16_t, count, CHANNELS, 0)     /* transfers left, less one */ \
    ARRAY(uint8_t, mode, CHANNELS, 0)                                      \
    ARRAY(uint8_t, page, CHANNELS, 0)                                      \
    ARRAY(uint8_t, page_scratch, 8, 0)      /* ports without a channel */  \
    ARRAY(uint8_t, command, 2, 0)                                          \
    ARRAY(uint8_t, temporary, 2, 0)                                        \
    ARRAY(bool, high_byte, 2, false)        /* the flip-flop */            \
    FIELD(uint8_t, mask, 0xff)                                             \
    FIELD(uint8_t, request, 0)              /* DREQ levels */              \
    FIELD(uint8_t, software, 0)             /* requests by register */     \
    FIELD(uint8_t, terminal, 0)             /* reached since last read */

DEFINE_STATE(DmaState, DMA_STATE);

typedef struct Dma {
    Device dev;
    DmaState s;
    AddressSpace *memory;
    Region *low, *high, *pages;
    uint8_t told; /* channels whose device knows that they run */
    I8237Ready *ready[CHANNELS];
    void *opaque[CHANNELS];
} Dma;

/* Channel of each page register at 80-8f; CHANNELS for those that only remember. */
static const uint8_t page_channel[16] = { 8, 2, 3, 1, 8, 8, 8, 0, 8, 6, 7, 5, 8, 8, 8, 4 };

static uint8_t running_channels(const DmaState *s)
{
    uint8_t running = s->request & ~s->mask;

    running &= s->command[0] & COMMAND_OFF ? 0xf0 : 0xff;
    running &= s->command[1] & COMMAND_OFF ? 0x0f : 0xff;
    return running;
}

/* Tells devices whose channel began to run. */
static void dma_update(Device *dev)
{
    Dma *dma = (Dma *)dev;
    uint8_t running = running_channels(&dma->s), news = running & ~dma->told;

    dma->told = running;
    for (int c = 0; c < CHANNELS; c++) {
        if ((news >> c & 1) && dma->ready[c]) {
            dma->ready[c](dma->opaque[c]);
        }
    }
}

bool i8237_running(Device *dev, int channel)
{
    return running_channels(&((Dma *)dev)->s) >> channel & 1;
}

void i8237_connect(Device *dev, int channel, I8237Ready *ready, void *opaque)
{
    Dma *dma = (Dma *)dev;

    dma->ready[channel & 7] = ready;
    dma->opaque[channel & 7] = opaque;
}

void i8237_request(Device *dev, int channel, bool level)
{
    DmaState *s = &((Dma *)dev)->s;

    s->request = (s->request & ~(1 << channel)) | level << channel;
    dma_update(dev);
}

void i8237_set_memory(Device *dev, AddressSpace *memory)
{
    ((Dma *)dev)->memory = memory;
}

static PhysAddr transfer_address(const DmaState *s, int c)
{
    if (c > CASCADE) {
        return (PhysAddr)(s->page[c] & 0xfe) << 16 | (PhysAddr)s->addr[c] << 1;
    }
    return (PhysAddr)s->page[c] << 16 | s->addr[c];
}

/* After the last transfer: start over, or mask the channel. */
static void reach_terminal_count(DmaState *s, int c)
{
    s->terminal |= 1 << c;
    s->software &= ~(1 << c);
    if (s->mode[c] & MODE_AUTO) {
        s->addr[c] = s->base_addr[c];
        s->count[c] = s->base_count[c];
    } else {
        s->mask |= 1 << c;
    }
}

typedef enum Direction { TO_MEMORY, FROM_MEMORY } Direction;

static bool direction_allows(const DmaState *s, int c, Direction direction)
{
    switch (s->mode[c] & MODE_KIND) {
    case KIND_VERIFY:
        return direction == TO_MEMORY;
    case KIND_WRITE:
        return direction == TO_MEMORY;
    case KIND_READ:
        return direction == FROM_MEMORY;
    default:
        return false;
    }
}

static size_t transfer(Dma *dma, int c, Direction direction, uint8_t *buf, size_t size,
                       bool *terminal)
{
    DmaState *s = &dma->s;
    AddressSpace *memory = dma->memory ? dma->memory : memory_system();
    size_t unit = c > CASCADE ? 2 : 1, done = 0;

    *terminal = false;
    if (!i8237_running(&dma->dev, c) || !direction_allows(s, c, direction)) {
        return 0;
    }
    while (done + unit <= size && !*terminal) {
        if ((s->mode[c] & MODE_KIND) == KIND_WRITE) {
            memory_write(memory, transfer_address(s, c), buf + done, unit);
        } else if ((s->mode[c] & MODE_KIND) == KIND_READ) {
            memory_read(memory, transfer_address(s, c), buf + done, unit);
        }
        done += unit;
        s->addr[c] += s->mode[c] & MODE_DOWN ? -1 : 1;
        if (s->count[c]-- == 0) {
            reach_terminal_count(s, c);
            *terminal = true;
        }
    }
    dma->told = running_channels(s) & dma->told;
    return done;
}

size_t i8237_to_memory(Device *dev, int channel, const void *buf, size_t size, bool *terminal)
{
    return transfer((Dma *)dev, channel, TO_MEMORY, (uint8_t *)buf, size, terminal);
}

size_t i8237_from_memory(Device *dev, int channel, void *buf, size_t size, bool *terminal)
{
    return transfer((Dma *)dev, channel, FROM_MEMORY, buf, size, terminal);
}

static uint64_t read_register(Dma *dma, int chip, unsigned reg)
{
    DmaState *s = &dma->s;
    uint8_t value;

    if (reg < 8) {
        int c = chip * 4 + reg / 2;
        uint16_t v = reg & 1 ? s->count[c] : s->addr[c];

        s->high_byte[chip] = !s->high_byte[chip];
        return s->high_byte[chip] ? v & 0xff : v >> 8;
    }
    switch (reg) {
    case 8:
        value = (s->terminal >> chip * 4 & 15) | (s->request >> chip * 4 & 15) << 4;
        s->terminal &= ~(15 << chip * 4);
        return value;
    case 13:
        return s->temporary[chip];
    case 15:
        return 0xf0 | (s->mask >> chip * 4 & 15);
    default:
        return 0;
    }
}

static void write_half(uint16_t *base, uint16_t *current, bool high, uint8_t value)
{
    *base = high ? value << 8 | (*base & 0xff) : (*base & 0xff00) | value;
    *current = *base;
}

static void set_bit(uint8_t *bits, int n, bool on)
{
    *bits = (*bits & ~(1 << n)) | on << n;
}

static void write_register(Dma *dma, int chip, unsigned reg, uint8_t value)
{
    DmaState *s = &dma->s;
    int c = chip * 4 + (reg < 8 ? reg / 2 : value & 3);

    switch (reg) {
    case 0: case 2: case 4: case 6:
        write_half(&s->base_addr[c], &s->addr[c], s->high_byte[chip], value);
        s->high_byte[chip] = !s->high_byte[chip];
        break;
    case 1: case 3: case 5: case 7:
        write_half(&s->base_count[c], &s->count[c], s->high_byte[chip], value);
        s->high_byte[chip] = !s->high_byte[chip];
        break;
    case 8:
        s->command[chip] = value;
        break;
    case 9:
        set_bit(&s->software, c, value & 4);
        break;
    case 10:
        set_bit(&s->mask, c, value & 4);
        break;
    case 11:
        s->mode[c] = value;
        break;
    case 12:
        s->high_byte[chip] = false;
        break;
    case 13: /* master clear */
        s->high_byte[chip] = false;
        s->command[chip] = 0;
        s->terminal &= ~(15 << chip * 4);
        s->software &= ~(15 << chip * 4);
        s->mask |= 15 << chip * 4;
        break;
    case 14:
        s->mask &= ~(15 << chip * 4);
        break;
    default:
        s->mask = (s->mask & ~(15 << chip * 4)) | (value & 15) << chip * 4;
        break;
    }
    dma_update(&dma->dev);
}

static uint64_t low_read(void *opaque, PhysAddr offset, unsigned size)
{
    return read_register(opaque, 0, offset);
}

static void low_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    write_register(opaque, 0, offset, value);
}

/* The second chip's registers are a word apart. */
static uint64_t high_read(void *opaque, PhysAddr offset, unsigned size)
{
    return read_register(opaque, 1, offset >> 1);
}

static void high_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    write_register(opaque, 1, offset >> 1, value);
}

static uint64_t page_read(void *opaque, PhysAddr offset, unsigned size)
{
    const DmaState *s = &((Dma *)opaque)->s;
    int c = page_channel[offset];

    return c < CHANNELS ? s->page[c] : s->page_scratch[offset & 7];
}

static void page_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    DmaState *s = &((Dma *)opaque)->s;
    int c = page_channel[offset];

    if (c < CHANNELS) {
        s->page[c] = value;
    } else {
        s->page_scratch[offset & 7] = value;
    }
}

static const RegionOps low_ops = { .read = low_read, .write = low_write, .max_size = 1 };
static const RegionOps high_ops = { .read = high_read, .write = high_write, .max_size = 1 };
static const RegionOps page_ops = { .read = page_read, .write = page_write, .max_size = 1 };

static bool dma_realize(Device *dev, GError **error)
{
    Dma *dma = (Dma *)dev;

    dma->low = region_new_io("dma1", &low_ops, dma, 16);
    dma->high = region_new_io("dma2", &high_ops, dma, 32);
    dma->pages = region_new_io("dma-page", &page_ops, dma, 16);
    region_add(memory_ports_root(), 0x00, dma->low);
    region_add(memory_ports_root(), 0xc0, dma->high);
    /* Port 92 lies elsewhere, but 80 is also where POST codes go. */
    region_add(memory_ports_root(), 0x80, dma->pages);
    return true;
}

static void dma_reset(Device *dev)
{
    ((Dma *)dev)->told = 0;
}

const DeviceType i8237_type = {
    .name = "i8237",
    .about = "DMA controllers",
    .bus = "system",
    .size = sizeof(Dma),
    .state_at = offsetof(Dma, s),
    .state = DmaState_fields,
    .realize = dma_realize,
    .reset = dma_reset,
    .update = dma_update,
};
