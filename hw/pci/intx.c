/* Interrupt pins of PCI functions, and the wires that they share (PCI Local Bus Specification 3.0, 2.2.6). */
#include "hw/pci/bus.h"

#include "hw/pci/msi.h"
#include "util/bits.h"

/* Whether a request for INTx reaches the wire. */
static bool intx_allowed(const PciDevice *pci)
{
    return !(load_le16(pci->config + PCI_COMMAND) & COMMAND_INTX_OFF) && !pci_msi_enabled(pci) &&
           !pci_msix_enabled(pci);
}

/* Behind a bridge pins rotate with the slot, and come out at the pins of the bridge (9.1 of its specification). */
static int irq_of(PciDevice *pci)
{
    int pin = pci->config[PCI_IRQ_PIN] - 1;

    if (pin < 0) {
        return -1;
    }
    while (pci->bus->bridge) {
        pin = (PCI_SLOT(pci->devfn) + pin) & 3;
        pci = pci->bus->bridge;
    }
    return pci->bus->map_irq(pci, pin);
}

static int count_asserting(PciBus *bus, int irq)
{
    int count = 0;

    for (int i = 0; i < MAX_DEVFN; i++) {
        PciDevice *pci = bus->at[i];

        count += pci && pci->intx && irq_of(pci) == irq && intx_allowed(pci);
        count += pci && pci->secondary ? count_asserting(pci->secondary, irq) : 0;
    }
    return count;
}

static void recount(PciBus *bus, int irq)
{
    bus->asserted[irq] = count_asserting(bus, irq);
    bus->set_irq(bus->irq_opaque, irq, bus->asserted[irq] > 0);
}

void pci_set_intx(PciDevice *pci, bool level)
{
    int irq = irq_of(pci);
    bool visible = level && intx_allowed(pci);
    bool was_visible = pci->dev.type_data != NULL;
    PciBus *host = pci_host_bus(pci->bus);

    pci->intx = level;
    pci->config[PCI_STATUS] = level ? pci->config[PCI_STATUS] | STATUS_INTX
                                    : pci->config[PCI_STATUS] & ~STATUS_INTX;
    if (visible == was_visible || irq < 0) {
        return;
    }
    pci->dev.type_data = visible ? pci : NULL; /* whether we count in asserted[] */
    host->asserted[irq] += visible ? 1 : -1;
    if (host->asserted[irq] == visible) { /* it was the first, or the last */
        host->set_irq(host->irq_opaque, irq, visible);
    }
}

void pci_bus_update_irqs(PciBus *bus)
{
    for (int irq = 0; irq < bus->irq_count; irq++) {
        recount(bus, irq);
    }
}
