/*
 * SMBus host of the ICH9, with nothing on its bus.
 *
 * Intel I/O Controller Hub 9 Family data sheet (order 316972), chapter 18.
 */
#include "hw/acpi/pm.h"
#include "hw/pci/pci.h"

enum { REG_HOSTC = 0x40, SMB_SIZE = 32, SMB_BAR = 4 };

#define ICH9_SMB_STATE(FIELD, ARRAY) ARRAY(uint8_t, regs, SMB_SIZE, 0)

DEFINE_STATE(Ich9SmbState, ICH9_SMB_STATE);

typedef struct Ich9Smb {
    PciDevice pci;
    Ich9SmbState s;
    Region *bar;
} Ich9Smb;

static uint64_t smb_read(void *opaque, PhysAddr offset, unsigned size)
{
    return smbus_read(((Ich9Smb *)opaque)->s.regs, offset);
}

static void smb_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    smbus_write(((Ich9Smb *)opaque)->s.regs, offset, value);
}

static const RegionOps smb_ops = { smb_read, smb_write, 1, 1, ENDIAN_LITTLE };

static bool ich9_smb_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x8086, .device = 0x2930, .class_rev = 0x0c0500 << 8 | 0x02,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1,
    };
    Ich9Smb *smb = (Ich9Smb *)dev;

    pci_device_init(&smb->pci, &info);
    smb->pci.writable[REG_HOSTC] = 0x1f;
    smb->bar = region_new_io("ich9-smb", &smb_ops, smb, SMB_SIZE);
    pci_register_bar(&smb->pci, SMB_BAR, PCI_BAR_IO, smb->bar);
    return true;
}

static void ich9_smb_reset(Device *dev)
{
    ((PciDevice *)dev)->config[REG_HOSTC] = 0;
}

static const Prop ich9_smb_props[] = {
    PCI_PROPS(Ich9Smb),
    { 0 },
};

const DeviceType ich9_smb_type = {
    .name = "ICH9-SMB", .about = "Intel ICH9 SMBus host", .bus = "pci", .size = sizeof(Ich9Smb),
    .state_at = offsetof(Ich9Smb, s), .state = Ich9SmbState_fields, .props = ich9_smb_props,
    .realize = ich9_smb_realize, .reset = ich9_smb_reset,
};
