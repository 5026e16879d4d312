/*
 * Intel 440FX PCI host bridge.
 *
 * Intel 82441FX PCI and Memory Controller data sheet (order 290549).
 */
#include "hw/pci/i440fx.h"

#include "hw/pci/northbridge.h"
#include "util/bits.h"

enum { REG_PAM = 0x59, REG_SMRAM = 0x72 };

#define I440FX_STATE(FIELD, ARRAY) FIELD(uint32_t, address, 0) /* CF8h */

DEFINE_STATE(I440fxState, I440FX_STATE);

typedef struct I440fx {
    NorthBridge nb;
    I440fxState s;
} I440fx;

void i440fx_set_reset_register(PciBus *bus, uint8_t (*read)(Device *dev),
                               void (*write)(Device *dev, uint8_t value), Device *dev)
{
    NorthBridge *nb = (NorthBridge *)pci_bus_device(bus, 0);

    nb->reset_read = read;
    nb->reset_write = write;
    nb->reset_dev = dev;
}

static void i440fx_update(Device *dev)
{
    NorthBridge *nb = &((I440fx *)dev)->nb;

    northbridge_lock_smram(nb, REG_SMRAM);
    memory_begin();
    northbridge_update(nb, nb->pci.config + REG_PAM, nb->pci.config[REG_SMRAM]);
    memory_commit();
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
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
    PciDevice *pci = &((I440fx *)dev)->nb.pci;

    pci_device_init(pci, &info);
    store_le16(pci->config + 0x04, 0x0006); /* memory and master are always on */
    store_le16(pci->writable + 0x04, 0x0100);
    store_le16(pci->config + 0x06, 0x0280);
    for (int i = 0; i < PAM_REGISTERS; i++) {
        pci->writable[REG_PAM + i] = i ? 0x33 : 0x30;
    }
    pci->writable[REG_SMRAM] = 0x78;
    pci->config[REG_SMRAM] = SMRAM_SEGMENT;
    pci->config_written = config_written;
    return true;
}

static void i440fx_reset(Device *dev)
{
    PciDevice *pci = &((I440fx *)dev)->nb.pci;

    for (int i = 0; i < PAM_REGISTERS; i++) {
        pci->config[REG_PAM + i] = 0;
    }
    store_le16(pci->config + 0x04, 0x0006);
    pci->config[REG_SMRAM] = SMRAM_SEGMENT;
    pci->writable[REG_SMRAM] = 0x78;
}

static const Prop i440fx_props[] = {
    PCI_PROPS_IN(I440fx, nb.pci),
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

PciBus *i440fx_new(Region *memory, Region *ports, Region *pci_memory, Region *ram, LineFn *set_irq,
                   void *irq_opaque, GError **error)
{
    Device *dev = device_new(&i440fx_type, "i440fx");
    I440fx *host = (I440fx *)dev;
    PciBus *bus = pci_bus_new("pci.0", dev, pci_memory, ports, map_irq, set_irq, irq_opaque, 4);

    host->nb.pci.devfn = 0;
    host->nb.address = &host->s.address;
    northbridge_map(&host->nb, memory, ports, pci_memory, ram);
    return device_realize(dev, pci_bus_bus(bus), error) ? bus : NULL;
}
