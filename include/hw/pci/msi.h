/*
 * Message signalled interrupts of a PCI function: MSI and MSI-X.
 *
 * A device calls pci_msi_init or pci_msix_init in its realize; the PCI layer resets, saves, loads and frees
 * what they made, and holds the INTx wire low while either is enabled.
 */
#ifndef HW_PCI_MSI_H
#define HW_PCI_MSI_H

#include "hw/pci/pci.h"

/* vectors: 1, 2, 4 ... 32. is64: the message address has 64 bits. */
bool pci_msi_init(PciDevice *pci, unsigned vectors, bool is64, GError **error);
/*
 * The table (16 bytes for each of up to 2048 vectors) and the pending bits (one each, in quadwords) lie at these
 * offsets of BAR `bar`, above what bar_region itself answers there. bar_region is borrowed.
 */
bool pci_msix_init(PciDevice *pci, unsigned vectors, int bar, Region *bar_region, uint32_t table,
                   uint32_t pba, GError **error);
/* As above in a BAR of its own (32-bit memory), which is made here. */
bool pci_msix_init_own_bar(PciDevice *pci, unsigned vectors, int bar, GError **error);

/* Callable without the machine lock. */
bool pci_msi_enabled(const PciDevice *pci);
bool pci_msix_enabled(const PciDevice *pci);

/*
 * Sends the message, or sets the pending bit if the vector is masked (MSI-X). With fewer MSI vectors granted than
 * asked for, higher ones share the last. Vectors out of range and disabled functions send nothing. Any thread; takes
 * the machine lock if it is not held.
 */
void pci_msi_notify(PciDevice *pci, unsigned vector);
void pci_msix_notify(PciDevice *pci, unsigned vector);
/*
 * For a device with an I/O thread: interrupts that need no machine lock. want_wires, under that lock, once MSI-X is there and
 * before the thread begins; its wires last until the device is gone. send is for any thread: false if the engine cannot do
 * that, or the vector is masked or off: then pci_msix_notify does it.
 */
void pci_msix_want_wires(PciDevice *pci);
bool pci_msix_send(PciDevice *pci, unsigned vector);
/* The device takes back what it asked for: clears the pending bit. Under the machine lock. */
void pci_msix_clear_pending(PciDevice *pci, unsigned vector);

/* How many vectors the function has, and what firmware or a hypervisor makes them send. Under the machine lock. */
unsigned pci_msi_vectors(const PciDevice *pci);
unsigned pci_msix_vectors(const PciDevice *pci);
void pci_msi_set_message(PciDevice *pci, uint64_t address, uint16_t data, unsigned granted);
void pci_msix_set_message(PciDevice *pci, unsigned vector, uint64_t address, uint32_t data);

/* For the PCI layer. All under the machine lock. */
void pci_msi_config_written(PciDevice *pci, unsigned offset, unsigned size);
void pci_msi_reset(PciDevice *pci);
void pci_msi_save(PciDevice *pci, GKeyFile *out);
bool pci_msi_load(PciDevice *pci, GKeyFile *in, GError **error); /* config space is loaded already */
void pci_msi_free(PciDevice *pci);

#endif
