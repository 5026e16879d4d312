/* A PCI host bridge as PAPR shows it: configuration through RTAS, windows, messages, translated accesses. */
#ifndef HW_PAPR_PHB_H
#define HW_PAPR_PHB_H

#include "hw/papr/papr.h"
#include "hw/papr/tce.h"
#include "hw/pci/pci.h"

/* Where bridges have their windows, in the order of their index. */
#define PHB_WINDOWS    (UINT64_C(1) << 45)
#define PHB_WINDOW_END (UINT64_C(1) << 46)
enum { PHB_MAX = 31, PHB_PINS = 4 };

/* What the device tree says of a bridge. */
typedef struct PhbLayout {
    unsigned index;
    uint64_t buid;      /* its name in RTAS calls */
    uint64_t io, io_size, mem32, mem32_pci, mem32_size, mem64, mem64_size; /* addresses of the processor; mem64 alike on PCI */
    uint32_t liobn;     /* of the window for accesses */
    uint64_t dma_size;  /* which begins at 0 */
    uint32_t lsi;       /* interrupt number of the first of four wires */
    unsigned messages;  /* interrupt numbers for messages */
} PhbLayout;

PhbLayout phb_layout(Device *dev);
PciBus *phb_bus(Device *dev);
Device *phb_find(uint32_t high, uint32_t low); /* by the halves of its buid; NULL if there is none */
/* Windows for accesses: one that begins at 0, one that the guest may make where 64-bit addresses of its kind begin. */
#define PHB_DMA_HIGH (UINT64_C(1) << 59)
enum { PHB_DMA_WINDOWS = 2 };
PaprTce *phb_dma_window(Device *dev, unsigned n);
void phb_dma_init(void); /* offers the RTAS calls that change them */
/* Whether a slot is held in reset by the guest. */
bool phb_slot_in_reset(Device *dev, unsigned slot);
void phb_set_slot_reset(Device *dev, unsigned slot, bool on);
void phb_eeh_init(void); /* offers the RTAS calls of error handling */
/* The wire, 0 to 3, of a slot's pin. */
unsigned phb_wire(unsigned slot, unsigned pin);
/* Numbers the buses behind bridges, as firmware does before it hands over the tree. */
void phb_number_buses(Device *dev);
/* The region where devices' messages arrive, at PHB_MESSAGES; once per machine. */
#define PHB_MESSAGES (UINT64_C(1) << 42)
Region *phb_message_region(void);

extern const DeviceType spapr_pci_host_bridge_type;

#endif
