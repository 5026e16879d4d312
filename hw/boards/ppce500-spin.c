/*
 * Spin table: an entry for each processor, with the address that it is to begin at and what r3 is to be there.
 *
 * ePAPR 1.1, 5.5.2: addresses are 64-bit, and the lowest bit of the first one is set until it is valid.
 */
#include "hw/boards/ppce500-spin.h"

#include "target/ppc/cpu.h"

enum { ADDR_HIGH, ADDR_LOW, R3_HIGH, R3_LOW, RESERVED, PIR, WORDS = SPIN_ENTRY / 4 };

#define SPIN_STATE(FIELD, ARRAY)                   \
    ARRAY(uint32_t, word, SPIN_CPUS * WORDS, 0)    \
    ARRAY(bool, gone, SPIN_CPUS, false) /* released: it does not look at its entry any more */

DEFINE_STATE(SpinState, SPIN_STATE);

typedef struct Spin {
    Device dev;
    SpinState s;
    Region *region;
} Spin;

/* The page around the entry is mapped from 0 on, and the processor begins there. */
static void release(Cpu *cpu, const uint32_t *entry)
{
    uint64_t addr = (uint64_t)entry[ADDR_HIGH] << 32 | entry[ADDR_LOW];

    ppc_map_page(cpu, 0, addr & ~(SPIN_MAP_SIZE - 1), SPIN_MAP_SIZE);
    ppc_start(cpu, addr & (SPIN_MAP_SIZE - 1), entry[R3_LOW]);
}

static uint64_t spin_read(void *opaque, PhysAddr offset, unsigned size)
{
    return ((Spin *)opaque)->s.word[offset / 4];
}

static void spin_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Spin *spin = opaque;
    unsigned n = offset / SPIN_ENTRY;
    uint32_t *entry = &spin->s.word[n * WORDS];
    Cpu *cpu = cpu_get(n);

    spin->s.word[offset / 4] = value;
    if (cpu && n > 0 && !spin->s.gone[n] && !(entry[ADDR_LOW] & 1)) {
        spin->s.gone[n] = true;
        release(cpu, entry);
    }
}

static const RegionOps spin_ops = { spin_read, spin_write, 4, 4, ENDIAN_BIG };

Region *ppce500_spin_region(Device *dev)
{
    return ((Spin *)dev)->region;
}

static bool spin_realize(Device *dev, GError **error)
{
    Spin *spin = (Spin *)dev;

    spin->region = region_new_io("spin-table", &spin_ops, spin, SPIN_CPUS * SPIN_ENTRY);
    return true;
}

static void spin_reset(Device *dev)
{
    Spin *spin = (Spin *)dev;

    for (unsigned n = 0; n < SPIN_CPUS; n++) {
        spin->s.word[n * WORDS + ADDR_LOW] = 1;
        spin->s.word[n * WORDS + PIR] = n;
    }
}

const DeviceType ppce500_spin_type = {
    .name = "e500-spin",
    .about = "spin table of the ppce500 board",
    .bus = "system",
    .size = sizeof(Spin),
    .state_at = offsetof(Spin, s),
    .state = SpinState_fields,
    .realize = spin_realize,
    .reset = spin_reset,
};
