/* What the boards of both kinds of Macintosh share. */
#ifndef HW_BOARDS_MAC_H
#define HW_BOARDS_MAC_H

#include "backends/block.h"
#include "core/cpu.h"
#include "core/machine.h"
#include "core/memory.h"
#include "hw/pci/pci.h"

typedef struct Mac {
    const BoardType *board;
    uint16_t machine_id;      /* as the firmware knows it */
    uint32_t timebase_hz, cpu_hz, bus_hz;
    uint32_t nvram_base;      /* 0: in the macio */
    int via;                  /* as the firmware knows it: 0 CUDA, 1 PMU, 2 PMU with ADB; -1: no such question */
    PhysAddr rom_base;
    uint64_t rom_size;

    Region *ram, *rom;
    Region *pci_memory;       /* what functions are mapped into, by bus address */
    Device *fw_cfg, *macio;
    PciBus *pci;
    /* Of -kernel, laid out in memory at each reset. */
    GBytes *kernel, *initrd;
    GArray *segments;         /* of the kernel: MacSegment */
    uint32_t kernel_addr, kernel_size, initrd_addr, cmdline_addr;
} Mac;

bool mac_make_memory(Mac *mac, uint64_t most, GError **error);
bool mac_make_cpu(Mac *mac, GError **error);
bool mac_load_firmware(Mac *mac, GError **error); /* openbios-ppc, or -bios */
/* The I/O chip with its serial ports, in the slot `addr` or the first that is free. */
bool mac_make_macio(Mac *mac, const char *type, const char *addr, GError **error);
void mac_make_pci_window(PhysAddr at, uint64_t size, Region *target, const char *name);
bool mac_make_fw_cfg(Mac *mac, GError **error); /* after the rest; with -kernel's facts */
BlockBackend *mac_nvram_image(void); /* mac-nvram.c: of -drive if=mtd, or NULL */
bool mac_prepare_nvram(Device *nvram, bool is_newworld, GError **error);
bool mac_load_kernel(Mac *mac, GError **error); /* mac-kernel.c */
Line **mac_pci_lines(Mac *mac, int first_pci);  /* four inputs of the macio's interrupt controller */

#endif
