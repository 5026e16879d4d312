/* The driver's side of virtio over PCI, for tests of devices: virtio 1, split and packed rings. */
#ifndef TESTS_HW_VIRTIO_DRIVER_H
#define TESTS_HW_VIRTIO_DRIVER_H

#include "hw/virtio/virtio.h"
#include "tests/hw/rig.h"

#define DRIVER_BAR    0xf0000000u /* the registers of virtio 1 */
#define DRIVER_MSIX   0xf0010000u
#define DRIVER_PORTS  0xc000u     /* those of before */
#define DRIVER_RINGS  0x100000u   /* 64 KiB for each queue */
#define DRIVER_TABLES 0x300000u   /* indirect ones */
#define DRIVER_MAIL   0x90000u    /* MSI-X vector n writes n + 1 to doubleword n */

typedef struct DriverQueue {
    unsigned size;
    PhysAddr desc, driver, device;
    uint16_t avail, used; /* counters of a split ring, positions in a packed one */
    bool avail_wrap, used_wrap;
    uint16_t next_free;
    uint16_t slots[VIRTQ_MAX_SIZE]; /* of the chain with that id */
} DriverQueue;

typedef struct Driver {
    PciDevice *pci;
    uint64_t features;
    DriverQueue q[8];
} Driver;

typedef struct DriverBuffer {
    PhysAddr addr;
    uint32_t size;
    bool is_write;
} DriverBuffer;

/* Resets the device, places its BARs, agrees on what of `features` it offers. */
void driver_start(Driver *d, Device *dev, uint64_t features);
void driver_queue(Driver *d, unsigned index, unsigned size);
void driver_ok(Driver *d);
bool driver_has(const Driver *d, unsigned feature);
/* Makes a chain available; returns its id. indirect: through a table. */
uint16_t driver_add(Driver *d, unsigned index, const DriverBuffer *buffers, unsigned count, bool indirect);
void driver_kick(Driver *d, unsigned index);
/* The next chain that came back: its id and length; false if there is none. */
bool driver_used(Driver *d, unsigned index, uint16_t *id, uint32_t *length);
/* add, kick, let time pass, used; returns the length and fails the test if nothing comes back. */
uint32_t driver_request(Driver *d, unsigned index, const DriverBuffer *buffers, unsigned count);

uint32_t driver_common(unsigned offset, unsigned size); /* registers */
void driver_set_common(unsigned offset, uint32_t value, unsigned size);
uint32_t driver_config(unsigned offset, unsigned size);
void driver_set_config(unsigned offset, uint32_t value, unsigned size);
uint32_t driver_mail(unsigned vector); /* messages since the last look: 0 or vector + 1 */

#endif
