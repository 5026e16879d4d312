/*
 * pc-testdev: what kvm-unit-tests wants of a PC: a port and memory that read back, and wires to the interrupt controllers.
 *
 * Ports E0h-E3h and 64 KiB at FF000000h keep what is written; a byte written to 2000h + n is the level of ISA interrupt n. The
 * memory answers as a device, so that every instruction with such an operand goes the long way. At E4h-E7h other emulators
 * take a page away from KVM for a moment; here as there nothing of it is seen.
 */
#include "hw/isa/isa.h"

#include "util/bits.h"

enum { LATCH_SIZE = 8, MEMORY_SIZE = 0x10000 };

#define TESTDEV_STATE(FIELD, ARRAY)                                    \
    ARRAY(uint8_t, latch, LATCH_SIZE, 0)                               \
    FIELD(uint16_t, levels, 0)                                         \
    FIELD(uint16_t, driven, 0) /* interrupts written since the reset */

DEFINE_STATE(TestdevState, TESTDEV_STATE);

typedef struct Testdev {
    IsaDevice isa;
    TestdevState s;
    Region *latch, *irqs, *window;
    Region *memory; /* behind the window */
} Testdev;

static void testdev_update(Device *dev)
{
    Testdev *t = (Testdev *)dev;

    for (int n = 0; n < ISA_IRQS; n++) {
        if (t->s.driven >> n & 1) {
            line_set(isa_irq(n), t->s.levels >> n & 1);
        }
    }
}

/* The core splits accesses, so that they stay within the region. */
static uint64_t load(const uint8_t *from, unsigned size)
{
    return size == 1 ? *from : size == 2 ? load_le16(from) : load_le32(from);
}

static void store(uint8_t *to, uint64_t value, unsigned size)
{
    uint8_t bytes[8];

    store_le64(bytes, value);
    memcpy(to, bytes, size);
}

static uint64_t latch_read(void *opaque, PhysAddr offset, unsigned size)
{
    const Testdev *t = opaque;

    return load(t->s.latch + offset, size);
}

static void latch_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Testdev *t = opaque;

    store(t->s.latch + offset, value, size);
}

static uint64_t irqs_read(void *opaque, PhysAddr offset, unsigned size)
{
    return 0;
}

static void irqs_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Testdev *t = opaque;

    t->s.driven |= 1u << offset;
    t->s.levels = bits_set(t->s.levels, offset, 1, value != 0);
    testdev_update(&t->isa.dev);
}

static uint64_t window_read(void *opaque, PhysAddr offset, unsigned size)
{
    return load(region_host(((Testdev *)opaque)->memory) + offset, size);
}

static void window_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    store(region_host(((Testdev *)opaque)->memory) + offset, value, size);
}

static const RegionOps latch_ops = { .read = latch_read, .write = latch_write };
static const RegionOps irqs_ops = { .read = irqs_read, .write = irqs_write, .max_size = 1 };
static const RegionOps window_ops = { .read = window_read, .write = window_write };

static bool testdev_realize(Device *dev, GError **error)
{
    Testdev *t = (Testdev *)dev;

    t->memory = region_new_ram("pc-testdev", MEMORY_SIZE, error);
    if (!t->memory) {
        return false;
    }
    t->latch = region_new_io("pc-testdev-latch", &latch_ops, t, LATCH_SIZE);
    t->irqs = region_new_io("pc-testdev-irqs", &irqs_ops, t, ISA_IRQS);
    t->window = region_new_io("pc-testdev-window", &window_ops, t, MEMORY_SIZE);
    isa_add_ports(t->latch, 0xe0);
    isa_add_ports(t->irqs, 0x2000);
    region_add(isa_memory(), 0xff000000, t->window);
    return true;
}

const DeviceType pc_testdev_type = {
    .name = "pc-testdev",
    .about = "ports, memory and interrupts for kvm-unit-tests",
    .bus = ISA_BUS,
    .user = true,
    .size = sizeof(Testdev),
    .state_at = offsetof(Testdev, s),
    .state = TestdevState_fields,
    .realize = testdev_realize,
    .update = testdev_update,
};
