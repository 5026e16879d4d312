/*
 * The PCI Express capability of functions, and what configuration space beyond 256 bytes answers.
 *
 * PCI Express Base Specification 3.0, section 7.8.
 */
#include "hw/pci/express.h"

#include "util/bits.h"

enum { CAP_EXPRESS = 0x10, INTEGRATED_SIZE = 0x14, EXPRESS_SIZE = 0x3c, VERSION_2 = 2 };
enum { LINK_2_5GT = 1, LINK_X1 = 1 << 4, LINK_ACTIVE_REPORTED = 1 << 20, LINK_ACTIVE = 1 << 13 };
enum { ROLE_BASED_ERRORS = 0x8000, DEVICE_CONTROL = 0x2010 };

uint8_t pci_add_express(PciDevice *pci, PciExpressType type)
{
    bool integrated = type == EXPRESS_INTEGRATED;
    uint8_t at = pci_add_capability(pci, CAP_EXPRESS, integrated ? INTEGRATED_SIZE : EXPRESS_SIZE);
    uint8_t *c = pci->config + at, *w = pci->writable + at;

    store_le16(c + EXP_FLAGS, type << 4 | (integrated ? 1 : VERSION_2));
    store_le32(c + EXP_DEVICE_CAP, ROLE_BASED_ERRORS);
    store_le16(c + EXP_DEVICE_CONTROL, DEVICE_CONTROL);
    store_le16(w + EXP_DEVICE_CONTROL, 0x7fff);
    if (!integrated) {
        store_le32(c + EXP_LINK_CAP, LINK_2_5GT | LINK_X1 | (type == EXPRESS_ROOT_PORT ? LINK_ACTIVE_REPORTED : 0));
        store_le16(w + EXP_LINK_CONTROL, 0x01cb);
        store_le16(c + EXP_LINK_STATUS, LINK_2_5GT | LINK_X1);
        store_le16(w + EXP_DEVICE_CONTROL2, 0x001f);
        store_le32(c + EXP_LINK_CAP2, LINK_2_5GT << 1);
        store_le16(c + EXP_LINK_CONTROL2, LINK_2_5GT);
    }
    return at;
}

uint8_t pci_add_express_endpoint(PciDevice *pci)
{
    return pci_add_express(pci, pci_bus_bridge(pci->bus) ? EXPRESS_ENDPOINT : EXPRESS_INTEGRATED);
}

void pci_express_set_link(PciDevice *pci, uint8_t cap, bool active)
{
    uint8_t *status = pci->config + cap + EXP_LINK_STATUS;

    store_le16(status, LINK_2_5GT | LINK_X1 | (active ? LINK_ACTIVE : 0));
}

bool pci_is_express(const PciDevice *pci)
{
    const uint8_t *c = pci->config;

    for (uint8_t p = c[0x34]; p; p = c[p + 1]) {
        if (c[p] == CAP_EXPRESS) {
            return true;
        }
    }
    return false;
}
