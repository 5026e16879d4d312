/* What the host bridges of Intel's PC chip sets share: configuration mechanism 1, shadow RAM, SMRAM. */
#ifndef HW_PCI_NORTHBRIDGE_H
#define HW_PCI_NORTHBRIDGE_H

#include "hw/pci/pci.h"

#define SHADOW_SEGMENTS 13 /* F0000-FFFFF, then 16 KiB pieces from C0000 */
#define PAM_REGISTERS   7

/* The SMRAM register: of the 440FX at 72h, of the Q35 at 9Dh. */
enum { SMRAM_OPEN = 0x40, SMRAM_CLOSED = 0x20, SMRAM_LOCK = 0x10, SMRAM_ENABLE = 0x08, SMRAM_SEGMENT = 0x02 };

/*
 * Embedded in a host bridge. What is in A0000-FFFFF: what PCI has there is above RAM unless a register says otherwise.
 * Processors in system management mode see memory through smm, where SMRAM is RAM.
 */
typedef struct NorthBridge {
    PciDevice pci; /* first */
    uint32_t *address; /* CF8h: in the type's state */
    Region *config_address, *config_data;
    uint8_t (*reset_read)(Device *dev); /* of the south bridge: wiring */
    void (*reset_write)(Device *dev, uint8_t value);
    Device *reset_dev;
    Region *vga_hole, *nothing;
    Region *pci_view[SHADOW_SEGMENTS], *ram_view[SHADOW_SEGMENTS];
    Region *smm_root, *smm_low; /* SMRAM at A0000 */
    AddressSpace *smm;
} NorthBridge;

/* memory: the system's root; pci_memory, ram: as for i440fx_new. All are borrowed. */
void northbridge_map(NorthBridge *nb, Region *memory, Region *ports, Region *pci_memory, Region *ram);
Region *northbridge_new_hole(const char *name, uint64_t size); /* nothing answers there */
/* After a change of the PAM registers or the SMRAM register, within memory_begin and _commit. */
void northbridge_update(NorthBridge *nb, const uint8_t *pam, uint8_t smram);
/* A write to the SMRAM register: its lock closes it, and itself, until reset. */
void northbridge_lock_smram(NorthBridge *nb, unsigned offset);

#endif
