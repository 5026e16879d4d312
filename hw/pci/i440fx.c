/*
 * Intel 440FX PCI host bridge: configuration mechanism 1, shadow RAM, SMRAM.
 *
 * Intel 82441FX PCI and Memory Controller data sheet (order 290549).
 */
#include "hw/pci/i440fx.h"

#include "util/bits.h"

enum { REG_PAM = 0x59, REG_SMRAM = 0x72 };
enum { SMRAM_OPEN = 0x40, SMRAM_LOCK = 0x10 };
#define SEGMENTS 13 /* F0000-FFFFF, then 16 KiB pieces from C0000 */

#define I440FX_STATE(FIELD, ARRAY) FIELD(uint32_t, address, 0) /* CF8h */

DEFINE_STATE(I440fxState, I440FX_STATE);

typedef struct I440fx {
    PciDevice pci;
    I440fxState s;
    Region *config_address, *config_data;
    uint8_t (*reset_read)(Device *dev); /* of the south bridge: wiring */
    void (*reset_write)(Device *dev, uint8_t value);
    Device *reset_dev;
    /* Views of A0000-FFFFF: what PCI has there is above RAM unless a register says otherwise. */
    Region *vga_hole;
    Region *pci_view[SEGMENTS], *ram_view[SEGMENTS];
} I440fx;

/* Of the function at CF8h's address; offset is the byte within the register. */
static uint64_t data_read(void *opaque, PhysAddr offset, unsigned size)
{
    I440fx *host = opaque;
    uint32_t a = host->s.address;

    if (!(a & 0x80000000)) {
        return UINT64_MAX;
    }
    return pci_config_read(host->pci.bus, a >> 16, a >> 8 & 0xff, (a & 0xfc) + offset, size);
}

static void data_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    I440fx *host = opaque;
    uint32_t a = host->s.address;

    if (a & 0x80000000) {
        pci_config_write(host->pci.bus, a >> 16, a >> 8 & 0xff, (a & 0xfc) + offset, value, size);
    }
}

/* Only doubleword accesses reach the register (section 3.1.1); of others the bus sees CF9h. */
static uint64_t address_read(void *opaque, PhysAddr offset, unsigned size)
{
    I440fx *host = opaque;

    if (offset == 1 && size == 1 && host->reset_read) {
        return host->reset_read(host->reset_dev);
    }
    return size == 4 ? host->s.address : UINT64_MAX;
}

static void address_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    I440fx *host = opaque;

    if (size == 4 && offset == 0) {
        host->s.address = value & 0x80fffffc;
    } else if (offset == 1 && size == 1 && host->reset_write) {
        host->reset_write(host->reset_dev, value);
    }
}

void i440fx_set_reset_register(PciBus *bus, uint8_t (*read)(Device *dev),
                               void (*write)(Device *dev, uint8_t value), Device *dev)
{
    I440fx *host = (I440fx *)pci_bus_device(bus, 0);

    host->reset_read = read;
    host->reset_write = write;
    host->reset_dev = dev;
}

static const RegionOps address_ops = { address_read, address_write, 1, 4, ENDIAN_LITTLE };
static const RegionOps data_ops = { data_read, data_write, 1, 4, ENDIAN_LITTLE };

/* The nibble of a segment: bit 0 reads RAM, bit 1 writes RAM. */
static unsigned pam_mode(const I440fx *host, int segment)
{
    if (segment == 0) {
        return host->pci.config[REG_PAM] >> 4 & 3;
    }
    return host->pci.config[REG_PAM + 1 + (segment - 1) / 2] >> ((segment - 1) % 2 * 4) & 3;
}

static void i440fx_update(Device *dev)
{
    I440fx *host = (I440fx *)dev;

    memory_begin();
    for (int i = 0; i < SEGMENTS; i++) {
        unsigned mode = pam_mode(host, i);

        /* Write-only shadowing reads ROM: nobody keeps that setting, so writes go nowhere then. */
        region_set_enabled(host->ram_view[i], mode & 1);
        region_set_readonly(host->ram_view[i], mode == 1);
        region_set_enabled(host->pci_view[i], !(mode & 1));
    }
    region_set_enabled(host->vga_hole, !(host->pci.config[REG_SMRAM] & SMRAM_OPEN));
    memory_commit();
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    if (pci->config[REG_SMRAM] & SMRAM_LOCK) { /* locks itself, and closes SMRAM, until reset */
        pci->config[REG_SMRAM] &= ~SMRAM_OPEN;
        pci->writable[REG_SMRAM] = 0;
    }
    if (offset <= REG_SMRAM && offset + size > REG_PAM) {
        i440fx_update(&pci->dev);
    }
}

static bool i440fx_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x8086, .device = 0x1237, .class_rev = 0x060000 << 8 | 0x02,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
    };
    I440fx *host = (I440fx *)dev;
    PciDevice *pci = &host->pci;

    pci_device_init(pci, &info);
    store_le16(pci->config + 0x04, 0x0006); /* memory and master are always on */
    store_le16(pci->writable + 0x04, 0x0100);
    store_le16(pci->config + 0x06, 0x0280);
    for (int i = 0; i < 7; i++) {
        pci->writable[REG_PAM + i] = i ? 0x33 : 0x30;
    }
    pci->writable[REG_SMRAM] = 0x78;
    pci->config[REG_SMRAM] = 0x02;
    pci->config_written = config_written;
    return true;
}

static void i440fx_reset(Device *dev)
{
    I440fx *host = (I440fx *)dev;

    for (int i = 0; i < 7; i++) {
        host->pci.config[REG_PAM + i] = 0;
    }
    store_le16(host->pci.config + 0x04, 0x0006);
    host->pci.config[REG_SMRAM] = 0x02;
    host->pci.writable[REG_SMRAM] = 0x78;
}

static const Prop i440fx_props[] = {
    PCI_PROPS(I440fx),
    { 0 },
};

const DeviceType i440fx_type = {
    .name = "i440FX",
    .about = "Intel 440FX host bridge",
    .bus = "pci",
    .size = sizeof(I440fx),
    .state_at = offsetof(I440fx, s),
    .state = I440fxState_fields,
    .props = i440fx_props,
    .realize = i440fx_realize,
    .reset = i440fx_reset,
    .update = i440fx_update,
};

/* Interrupt pins rotate with the slot, as on the boards of the time. */
static int map_irq(PciDevice *pci, int pin)
{
    return (PCI_SLOT(pci->devfn) - 1 + pin) & 3;
}

static void map_segments(I440fx *host, Region *memory, Region *pci_memory, Region *ram)
{
    host->vga_hole = region_new_alias("vga-hole", pci_memory, 0xa0000, 0x20000);
    region_add_overlap(memory, 0xa0000, host->vga_hole, 1);
    for (int i = 0; i < SEGMENTS; i++) {
        PhysAddr start = i ? 0xc0000 + (i - 1) * 0x4000 : 0xf0000;
        uint64_t size = i ? 0x4000 : 0x10000;

        host->pci_view[i] = region_new_alias("pam-pci", pci_memory, start, size);
        host->ram_view[i] = region_new_alias("pam-ram", ram, start, size);
        region_set_enabled(host->ram_view[i], false);
        region_add_overlap(memory, start, host->pci_view[i], 1);
        region_add_overlap(memory, start, host->ram_view[i], 1);
    }
}

PciBus *i440fx_new(Region *memory, Region *ports, Region *pci_memory, Region *ram, LineFn *set_irq,
                   void *irq_opaque, GError **error)
{
    Device *dev = device_new(&i440fx_type, "i440fx");
    I440fx *host = (I440fx *)dev;
    PciBus *bus = pci_bus_new("pci.0", dev, pci_memory, ports, map_irq, set_irq, irq_opaque, 4);

    host->pci.devfn = 0;
    map_segments(host, memory, pci_memory, ram);
    host->config_address = region_new_io("pci-config-address", &address_ops, host, 4);
    host->config_data = region_new_io("pci-config-data", &data_ops, host, 4);
    region_add(ports, 0xcf8, host->config_address);
    region_add(ports, 0xcfc, host->config_data);
    return device_realize(dev, pci_bus_bus(bus), error) ? bus : NULL;
}
