/* A plain PCI-to-PCI bridge (1b36:0001). */
#include "hw/pci/bridge.h"

#include "util/error.h"

enum { CAP_SLOT_NUMBER = 0x04, CAP_SLOT_SIZE = 4, FIRST_IN_CHASSIS = 0x20 };

typedef struct PlainBridge {
    PciBridge bridge;
    uint8_t chassis_nr;
    bool shpc, msi;
} PlainBridge;

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    pci_bridge_written((PciBridge *)pci, offset);
}

static void bridge_update(Device *dev)
{
    pci_bridge_update((PciBridge *)dev);
}

static bool bridge_realize(Device *dev, GError **error)
{
    static const PciInfo info = { .vendor = 0x1b36, .device = 0x0001, .class_rev = 0x060400 << 8 };
    PlainBridge *b = (PlainBridge *)dev;
    PciDevice *pci = &b->bridge.pci;

    if (b->shpc) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s': no hot-plug controller for bridges (shpc=off)", dev->id);
        return false;
    }
    pci_bridge_init(&b->bridge, &info);
    if (b->chassis_nr) {
        uint8_t cap = pci_add_capability(pci, CAP_SLOT_NUMBER, CAP_SLOT_SIZE);

        pci->config[cap + 2] = FIRST_IN_CHASSIS;
        pci->config[cap + 3] = b->chassis_nr;
    }
    pci->config_written = config_written;
    return true;
}

static void bridge_reset(Device *dev)
{
    pci_bridge_reset((PciBridge *)dev);
}

static void bridge_fetch(Device *dev)
{
    pci_bridge_fetch((PciBridge *)dev);
}

static const Prop bridge_props[] = {
    PCI_PROPS_IN(PlainBridge, bridge.pci),
    PROP(PlainBridge, chassis_nr, "chassis_nr", PROP_U8, "0", "tells bridges apart for people; 0: it does not say"),
    PROP(PlainBridge, shpc, "shpc", PROP_BOOL, "off", "a hot-plug controller: there is none"),
    PROP(PlainBridge, msi, "msi", PROP_BOOL, "off", "accepted; the bridge has nothing to interrupt for"),
    { 0 },
};

const DeviceType pci_bridge_type = {
    .name = "pci-bridge", .about = "PCI-to-PCI bridge", .bus = "pci", .user = true, .size = sizeof(PlainBridge),
    .props = bridge_props, .realize = bridge_realize, .reset = bridge_reset, .update = bridge_update, .fetch = bridge_fetch,
};
