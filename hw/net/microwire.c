/*
 * Serial EEPROMs with a Microwire bus.
 *
 * Microchip 93C46/56/66 data sheet: a start bit, two bits of opcode, the address, 16 bits of data. Writing
 * takes no time.
 */
#include "hw/net/microwire.h"

/* In wires[]: bits shifted in and how many; bits to shift out and how many; flags. */
enum { IN_HIGH, IN_LOW, IN_COUNT, OUT, OUT_COUNT, FLAGS };
enum { FLAG_CLOCK = 1, FLAG_WRITABLE = 2, FLAG_DONE = 4 };
enum { OP_EXTENDED, OP_WRITE, OP_READ, OP_ERASE };
enum { EXT_DISABLE, EXT_WRITE_ALL, EXT_ERASE_ALL, EXT_ENABLE };

static void fill(const Microwire *m, uint16_t value)
{
    for (unsigned i = 0; i < 1u << m->address_bits; i++) {
        m->words[i] = value;
    }
}

/* The command is complete as far as `count` bits behind the start bit go. */
static void run(const Microwire *m, uint32_t bits, unsigned count)
{
    uint16_t *w = m->wires;
    unsigned n = m->address_bits, extra = count - 2 - n;
    unsigned op = bits >> (count - 2) & 3, address = bits >> extra & ((1u << n) - 1);
    unsigned extended = address >> (n - 2);
    bool has_data = op == OP_WRITE || (op == OP_EXTENDED && extended == EXT_WRITE_ALL);

    if (has_data && extra < 16) {
        return;
    }
    w[FLAGS] |= FLAG_DONE;
    if (op == OP_READ) {
        w[OUT] = m->words[address];
        w[OUT_COUNT] = 17; /* a zero goes ahead of the data */
    } else if (op == OP_EXTENDED && extended == EXT_ENABLE) {
        w[FLAGS] |= FLAG_WRITABLE;
    } else if (op == OP_EXTENDED && extended == EXT_DISABLE) {
        w[FLAGS] &= ~FLAG_WRITABLE;
    } else if (w[FLAGS] & FLAG_WRITABLE) {
        if (op == OP_EXTENDED) {
            fill(m, has_data ? bits & 0xffff : 0xffff);
        } else {
            m->words[address] = op == OP_WRITE ? bits & 0xffff : 0xffff;
        }
    }
}

static void rising_clock(const Microwire *m, bool data)
{
    uint16_t *w = m->wires;
    uint32_t bits = (uint32_t)w[IN_HIGH] << 16 | w[IN_LOW];

    if (w[OUT_COUNT]) {
        w[OUT_COUNT]--;
        return;
    }
    if ((w[FLAGS] & FLAG_DONE) || (w[IN_COUNT] == 0 && !data)) {
        return; /* finished until the next select; zeros before the start bit */
    }
    bits = bits << 1 | data;
    w[IN_HIGH] = bits >> 16;
    w[IN_LOW] = bits;
    if (++w[IN_COUNT] >= 3 + m->address_bits) {
        run(m, bits, w[IN_COUNT] - 1);
    }
}

void microwire_drive(const Microwire *m, bool select, bool clock, bool data)
{
    uint16_t *w = m->wires;
    bool was = w[FLAGS] & FLAG_CLOCK;

    if (w[IN_COUNT] > 3 + m->address_bits + 16 || w[OUT_COUNT] > 17) {
        w[IN_COUNT] = w[OUT_COUNT] = 0; /* no chip gets there: a damaged snapshot */
    }
    w[FLAGS] = (w[FLAGS] & ~FLAG_CLOCK) | (clock ? FLAG_CLOCK : 0);
    if (!select) {
        w[IN_HIGH] = w[IN_LOW] = w[IN_COUNT] = w[OUT_COUNT] = 0;
        w[FLAGS] &= ~FLAG_DONE;
    } else if (clock && !was) {
        rising_clock(m, data);
    }
}

bool microwire_data(const Microwire *m)
{
    const uint16_t *w = m->wires;

    /* The zero ahead of the data is bit 16. */
    return w[OUT_COUNT] == 0 || ((uint32_t)w[OUT] >> ((w[OUT_COUNT] - 1) & 31) & 1);
}
