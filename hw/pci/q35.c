/*
 * Intel Q35 memory controller hub: the PCI Express host bridge, its configuration window, shadow RAM and TSEG.
 *
 * Intel 3 Series Express Chipset Family data sheet (order 316966), chapter 5.
 */
#include "hw/pci/q35.h"

#include "hw/pci/northbridge.h"
#include "util/bits.h"

#include <string.h>

enum { REG_TSEG_QUERY = 0x50, REG_PCIEXBAR = 0x60, REG_PAM = 0x90, REG_SMRAM = 0x9d, REG_ESMRAMC = 0x9e,
       REG_TSEGMB = 0xac, REG_TOLUD = 0xb0 };
enum { PCIEXBAR_ON = 1, PCIEXBAR_LENGTH = 6 };
enum { ESMRAMC_TSEG = 1, ESMRAMC_CACHE = 0x38 };
#define PCIEXBAR_BASE  UINT64_C(0xffc000000) /* of 36 bits, for the smallest window */
#define PCIEXBAR_RESET UINT64_C(0xe0000000)

#define Q35_STATE(FIELD, ARRAY) FIELD(uint32_t, address, 0) /* CF8h */

DEFINE_STATE(Q35State, Q35_STATE);

typedef struct Q35 {
    NorthBridge nb;
    Q35State s;
    Region *memory, *config;      /* the system's; configuration space */
    uint64_t mapped, mapped_size; /* where config is; size 0: nowhere */
    Region *ram;
    uint64_t low_ram;
    Region *tseg_hole, *tseg;     /* the top of RAM: outside of system management mode, and inside */
} Q35;

/* ---- configuration space in memory ---- */

static uint64_t config_read(void *opaque, PhysAddr offset, unsigned size)
{
    Q35 *q = opaque;

    return pci_config_read(q->nb.pci.bus, offset >> 20, offset >> 12 & 0xff, offset & 0xfff, size);
}

static void config_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Q35 *q = opaque;

    pci_config_write(q->nb.pci.bus, offset >> 20, offset >> 12 & 0xff, offset & 0xfff, value, size);
}

static const RegionOps config_ops = { config_read, config_write, 1, 4, ENDIAN_LITTLE };

/* 5.1.14: 256, 128 or 64 buses; the base is aligned to what they take. */
static uint64_t window_of(const Q35 *q, uint64_t *base)
{
    uint64_t value = load_le64(q->nb.pci.config + REG_PCIEXBAR), size;
    unsigned length = (value & PCIEXBAR_LENGTH) >> 1;

    if (!(value & PCIEXBAR_ON) || length == 3) {
        return 0;
    }
    size = UINT64_C(256) << 20 >> length;
    *base = value & PCIEXBAR_BASE & -size;
    return size;
}

static void update_config(Q35 *q)
{
    uint64_t base = 0, size = window_of(q, &base);

    if (size == q->mapped_size && base == q->mapped) {
        return;
    }
    if (q->mapped_size) {
        region_remove(q->config);
    }
    if (size) {
        region_set_size(q->config, size);
        region_add_overlap(q->memory, base, q->config, 1);
    }
    q->mapped = base;
    q->mapped_size = size;
}

uint64_t q35_mmconfig(PciBus *bus, unsigned *buses)
{
    Q35 *q = (Q35 *)pci_bus_device(bus, 0);

    *buses = q->mapped_size >> 20;
    return q->mapped;
}

/* ---- TSEG: memory of system management mode at the end of low RAM ---- */

static void update_tseg(Q35 *q)
{
    static const uint32_t sizes[] = { 1 << 20, 2 << 20, 8 << 20, 0 };
    uint8_t control = q->nb.pci.config[REG_ESMRAMC], smram = q->nb.pci.config[REG_SMRAM];
    uint64_t size = sizes[control >> 1 & 3];
    bool on = (control & ESMRAMC_TSEG) && (smram & SMRAM_ENABLE) && size && size < q->low_ram;

    if (!q->tseg) {
        return;
    }
    if (on) {
        region_set_size(q->tseg_hole, size);
        region_set_offset(q->tseg_hole, q->low_ram - size);
        region_set_size(q->tseg, size);
        region_set_alias(q->tseg, q->ram, q->low_ram - size);
        region_set_offset(q->tseg, q->low_ram - size);
    }
    region_set_enabled(q->tseg_hole, on);
    region_set_enabled(q->tseg, on);
}

static void map_tseg(Q35 *q)
{
    q->tseg_hole = northbridge_new_hole("tseg-hole", 1 << 20);
    q->tseg = region_new_alias("tseg", q->ram, 0, 1 << 20);
    region_set_enabled(q->tseg_hole, false);
    region_set_enabled(q->tseg, false);
    region_add_overlap(q->memory, 0, q->tseg_hole, 1);
    region_add_overlap(q->nb.smm_root, 0, q->tseg, 2);
}

/* ---- the function ---- */

static void q35_update(Device *dev)
{
    Q35 *q = (Q35 *)dev;
    NorthBridge *nb = &q->nb;

    northbridge_lock_smram(nb, REG_SMRAM);
    if (nb->pci.config[REG_SMRAM] & SMRAM_LOCK) {
        nb->pci.writable[REG_ESMRAMC] = 0;
    }
    memory_begin();
    northbridge_update(nb, nb->pci.config + REG_PAM, nb->pci.config[REG_SMRAM]);
    update_config(q);
    update_tseg(q);
    memory_commit();
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    if (offset <= REG_ESMRAMC && offset + size > REG_PCIEXBAR) {
        q35_update(&pci->dev);
    }
}

static void set_reset_values(Q35 *q)
{
    uint8_t *c = q->nb.pci.config;

    store_le16(c + 0x04, 0x0006); /* memory and master are always on */
    store_le64(c + REG_PCIEXBAR, PCIEXBAR_RESET);
    store_le16(c + REG_TSEG_QUERY, 0);
    store_le32(c + REG_TSEGMB, 0);
    memset(c + REG_PAM, 0, PAM_REGISTERS);
    c[REG_SMRAM] = SMRAM_SEGMENT;
    c[REG_ESMRAMC] = ESMRAMC_CACHE;
    q->nb.pci.writable[REG_SMRAM] = 0x78;
    q->nb.pci.writable[REG_ESMRAMC] = 0x07;
}

static bool q35_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x8086, .device = 0x29c0, .class_rev = 0x060000 << 8,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
    };
    Q35 *q = (Q35 *)dev;
    PciDevice *pci = &q->nb.pci;

    pci_device_init(pci, &info);
    store_le16(pci->writable + 0x04, 0x0100);
    store_le16(pci->config + 0x06, 0x0090);
    store_le64(pci->writable + REG_PCIEXBAR, PCIEXBAR_BASE | PCIEXBAR_LENGTH | PCIEXBAR_ON);
    store_le16(pci->writable + REG_TSEG_QUERY, 0xffff); /* what reads back tells OVMF of no larger TSEG */
    for (int i = 0; i < PAM_REGISTERS; i++) {
        pci->writable[REG_PAM + i] = i ? 0x33 : 0x30;
    }
    store_le32(pci->writable + REG_TSEGMB, 0xfff00000); /* firmware's note to itself: TSEG ends where low RAM does */
    store_le16(pci->writable + REG_TOLUD, 0xfff0);
    store_le16(pci->config + REG_TOLUD, q->low_ram >> 16);
    pci->config_written = config_written;
    set_reset_values(q);
    return true;
}

static void q35_reset(Device *dev)
{
    Q35 *q = (Q35 *)dev;

    set_reset_values(q);
    store_le16(q->nb.pci.config + REG_TOLUD, q->low_ram >> 16);
}

static const Prop q35_props[] = {
    PCI_PROPS_IN(Q35, nb.pci),
    { 0 },
};

const DeviceType q35_type = {
    .name = "mch",
    .about = "Intel Q35 host bridge",
    .bus = "pci",
    .size = sizeof(Q35),
    .state_at = offsetof(Q35, s),
    .state = Q35State_fields,
    .props = q35_props,
    .realize = q35_realize,
    .reset = q35_reset,
    .update = q35_update,
};

void q35_set_reset_register(PciBus *bus, uint8_t (*read)(Device *dev), void (*write)(Device *dev, uint8_t value),
                            Device *dev)
{
    NorthBridge *nb = (NorthBridge *)pci_bus_device(bus, 0);

    nb->reset_read = read;
    nb->reset_write = write;
    nb->reset_dev = dev;
}

PciBus *q35_new(Region *memory, Region *ports, Region *pci_memory, Region *ram, uint64_t low_ram, PciMapIrq *map_irq,
                LineFn *set_irq, void *irq_opaque, GError **error)
{
    Device *dev = device_new(&q35_type, "mch");
    Q35 *q = (Q35 *)dev;
    PciBus *bus = pci_bus_new("pcie.0", dev, pci_memory, ports, map_irq, set_irq, irq_opaque, Q35_PIRQS);

    q->memory = memory;
    q->ram = ram;
    q->low_ram = low_ram;
    q->nb.pci.devfn = 0;
    q->nb.address = &q->s.address;
    q->config = region_new_io("mmconfig", &config_ops, q, 256 << 20);
    northbridge_map(&q->nb, memory, ports, pci_memory, ram);
    if (q->nb.smm) {
        map_tseg(q);
    }
    return device_realize(dev, pci_bus_bus(bus), error) ? bus : NULL;
}
