/* A test bench for devices: ports, memory, an ISA bus with watched lines, and images. */
#ifndef TESTS_HW_RIG_H
#define TESTS_HW_RIG_H

#include "backends/block.h"
#include "backends/char.h"
#include "core/device.h"
#include "core/line.h"
#include "core/memory.h"
#include "hw/pci/pci.h"

#define RIG_RAM (16u << 20)

/* Once per program, before anything else: memory, a clock that stands still, an ISA bus. */
void rig_init(void);
void rig_resolve(void); /* ids in properties; rig_init does it */
Bus *rig_isa(void);
Device *rig_dma(void);
PciBus *rig_pci(void); /* made at the first call */
bool rig_pci_irq(void); /* any INTx */

/* The ISA interrupts as a controller would see them. */
bool rig_irq(int n);
int rig_irq_edges(int n); /* rising, since the last call */

uint8_t rig_in8(uint16_t port);
uint16_t rig_in16(uint16_t port);
uint32_t rig_in32(uint16_t port);
void rig_out8(uint16_t port, uint8_t value);
void rig_out16(uint16_t port, uint16_t value);
void rig_out32(uint16_t port, uint32_t value);
uint32_t rig_load(PhysAddr addr, unsigned size);
void rig_store(PhysAddr addr, uint32_t value, unsigned size);
uint8_t *rig_ram(void); /* guest memory from address 0 */

/* Lets requests to the host finish and timers of the next `ns` run. */
void rig_run(int64_t ns);

/* text: "type,property=value,..." as -device has it. The device is realized, then reset. */
Device *rig_add(const char *text, Bus *bus);
/* Saves the device, resets it, and loads what was saved. */
void rig_save_and_load(Device *dev);

/* An image in a temporary file of `size` bytes where sector n is filled with rig_pattern(n). */
BlockBackend *rig_drive(const char *id, const char *interface, int unit, uint64_t size, bool readonly,
                        bool cdrom);
char *rig_image(uint64_t size); /* its file; removed at the end */
uint8_t rig_pattern(uint64_t sector);

/* A character backend that keeps what the device writes. */
typedef struct RigChar {
    CharBackend *chr;
    GString *written;
} RigChar;

RigChar *rig_char(const char *id);

#endif
