/* NE2000 cards: Novell's on the ISA bus, and Realtek's RTL8029AS on PCI, which looks the same to software. */
#include "hw/isa/isa.h"
#include "hw/net/dp8390.h"
#include "hw/pci/pci.h"

static const RegionOps ops = { dp8390_read, dp8390_write, 1, 4, ENDIAN_LITTLE };

/* ---- ISA ---- */

typedef struct Ne2000Isa {
    IsaDevice isa;
    Dp8390 chip;
    Region *ports;
} Ne2000Isa;

static void isa_set_irq(Device *dev, bool level)
{
    line_set(isa_irq(((Ne2000Isa *)dev)->isa.irq), level);
}

static bool isa_realize(Device *dev, GError **error)
{
    Ne2000Isa *card = (Ne2000Isa *)dev;

    if (!dp8390_realize(&card->chip, dev, isa_set_irq, error)) {
        return false;
    }
    card->ports = region_new_io("ne2k_isa", &ops, &card->chip, DP8390_PORTS);
    isa_add_ports(card->ports, card->isa.iobase);
    return true;
}

static void isa_update(Device *dev)
{
    dp8390_update(&((Ne2000Isa *)dev)->chip);
}

static const Prop isa_props[] = {
    ISA_PROPS(Ne2000Isa, "0x300", "9", "255"),
    PROP(Ne2000Isa, chip.nic.mac, "mac", PROP_MAC, NULL, "hardware address"),
    PROP(Ne2000Isa, chip.nic.net, "netdev", PROP_NETDEV, NULL, "network backend"),
    { 0 },
};

const DeviceType ne2k_isa_type = {
    .name = "ne2k_isa",
    .about = "Novell NE2000 on the ISA bus",
    .bus = ISA_BUS,
    .user = true,
    .size = sizeof(Ne2000Isa),
    .state_at = offsetof(Ne2000Isa, chip.s),
    .state = Dp8390State_fields,
    .props = isa_props,
    .realize = isa_realize,
    .update = isa_update,
};

/* ---- PCI ---- */

typedef struct Ne2000Pci {
    PciDevice pci;
    Dp8390 chip;
    Region *ports;
} Ne2000Pci;

static void pci_irq(Device *dev, bool level)
{
    pci_set_intx((PciDevice *)dev, level);
}

static bool pci_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x10ec, .device = 0x8029, .class_rev = 0x020000 << 8,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1, .rom = "efi-ne2k_pci.rom",
    };
    Ne2000Pci *card = (Ne2000Pci *)dev;

    pci_device_init(&card->pci, &info);
    card->ports = region_new_io("ne2k_pci", &ops, &card->chip, DP8390_PORTS);
    pci_register_bar(&card->pci, 0, PCI_BAR_IO, card->ports);
    return dp8390_realize(&card->chip, dev, pci_irq, error) && pci_load_rom(&card->pci, error);
}

static void pci_unrealize(Device *dev)
{
    Ne2000Pci *card = (Ne2000Pci *)dev;

    nic_detach(&card->chip.nic);
    region_free(card->ports);
}

static void pci_update(Device *dev)
{
    dp8390_update(&((Ne2000Pci *)dev)->chip);
}

static const Prop pci_props[] = {
    PCI_PROPS(Ne2000Pci),
    PROP(Ne2000Pci, chip.nic.mac, "mac", PROP_MAC, NULL, "hardware address"),
    PROP(Ne2000Pci, chip.nic.net, "netdev", PROP_NETDEV, NULL, "network backend"),
    { 0 },
};

const DeviceType ne2k_pci_type = {
    .name = "ne2k_pci",
    .about = "Realtek RTL8029AS, an NE2000 on PCI",
    .bus = "pci",
    .user = true,
    .hotplug = true,
    .size = sizeof(Ne2000Pci),
    .state_at = offsetof(Ne2000Pci, chip.s),
    .state = Dp8390State_fields,
    .props = pci_props,
    .realize = pci_realize,
    .unrealize = pci_unrealize,
    .update = pci_update,
};
