/* The PCI Express capability of functions. */
#ifndef HW_PCI_EXPRESS_H
#define HW_PCI_EXPRESS_H

#include "hw/pci/pci.h"

typedef enum PciExpressType { EXPRESS_ENDPOINT = 0, EXPRESS_ROOT_PORT = 4, EXPRESS_INTEGRATED = 9 } PciExpressType;

/* Offsets within the capability. */
enum {
    EXP_FLAGS = 0x02, EXP_DEVICE_CAP = 0x04, EXP_DEVICE_CONTROL = 0x08, EXP_LINK_CAP = 0x0c, EXP_LINK_CONTROL = 0x10,
    EXP_LINK_STATUS = 0x12, EXP_SLOT_CAP = 0x14, EXP_SLOT_CONTROL = 0x18, EXP_SLOT_STATUS = 0x1a, EXP_ROOT_CONTROL = 0x1c,
    EXP_ROOT_STATUS = 0x20, EXP_DEVICE_CONTROL2 = 0x28, EXP_LINK_CAP2 = 0x2c, EXP_LINK_CONTROL2 = 0x30,
};

/* Returns its offset. Links run at the lowest speed, which nobody waits for. */
uint8_t pci_add_express(PciDevice *pci, PciExpressType type);
/* An endpoint of the kind that fits its place: behind a port, or part of the root complex. */
uint8_t pci_add_express_endpoint(PciDevice *pci);
void pci_express_set_link(PciDevice *pci, uint8_t cap, bool active);
bool pci_is_express(const PciDevice *pci);

#endif
