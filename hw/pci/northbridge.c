/*
 * What the host bridges of Intel's PC chip sets share: configuration mechanism 1, shadow RAM, SMRAM.
 *
 * PCI Local Bus Specification 3.0, section 3.2.2.3.2; Intel 82441FX data sheet (order 290549), chapter 3.
 */
#include "hw/pci/northbridge.h"

#include "core/cpu.h"
#include "core/machine.h"

/* Of the function at CF8h's address; offset is the byte within the register. */
static uint64_t data_read(void *opaque, PhysAddr offset, unsigned size)
{
    NorthBridge *nb = opaque;
    uint32_t a = *nb->address;

    if (!(a & 0x80000000)) {
        return UINT64_MAX;
    }
    return pci_config_read(nb->pci.bus, a >> 16, a >> 8 & 0xff, (a & 0xfc) + offset, size);
}

static void data_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    NorthBridge *nb = opaque;
    uint32_t a = *nb->address;

    if (a & 0x80000000) {
        pci_config_write(nb->pci.bus, a >> 16, a >> 8 & 0xff, (a & 0xfc) + offset, value, size);
    }
}

/* Only doubleword accesses reach the register (82441FX, section 3.1.1); of others the bus sees CF9h. */
static uint64_t address_read(void *opaque, PhysAddr offset, unsigned size)
{
    NorthBridge *nb = opaque;

    if (offset == 1 && size == 1 && nb->reset_read) {
        return nb->reset_read(nb->reset_dev);
    }
    return size == 4 ? *nb->address : UINT64_MAX;
}

static void address_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    NorthBridge *nb = opaque;

    if (size == 4 && offset == 0) {
        *nb->address = value & 0x80fffffc;
    } else if (offset == 1 && size == 1 && nb->reset_write) {
        nb->reset_write(nb->reset_dev, value);
    }
}

static const RegionOps address_ops = { address_read, address_write, 1, 4, ENDIAN_LITTLE };
static const RegionOps data_ops = { data_read, data_write, 1, 4, ENDIAN_LITTLE };

/* The nibble of a segment: bit 0 reads RAM, bit 1 writes RAM. */
static unsigned pam_mode(const uint8_t *pam, int segment)
{
    if (segment == 0) {
        return pam[0] >> 4 & 3;
    }
    return pam[1 + (segment - 1) / 2] >> ((segment - 1) % 2 * 4) & 3;
}

void northbridge_update(NorthBridge *nb, const uint8_t *pam, uint8_t smram)
{
    for (int i = 0; i < SHADOW_SEGMENTS; i++) {
        unsigned mode = pam_mode(pam, i);

        /* Write-only shadowing reads ROM: nobody keeps that setting, so writes go nowhere then. */
        region_set_enabled(nb->ram_view[i], mode & 1);
        region_set_readonly(nb->ram_view[i], mode == 1);
        region_set_enabled(nb->pci_view[i], !(mode & 1));
    }
    region_set_enabled(nb->vga_hole, !(smram & SMRAM_OPEN));
    if (nb->smm) {
        region_set_enabled(nb->smm_low, smram & SMRAM_ENABLE);
    }
}

void northbridge_lock_smram(NorthBridge *nb, unsigned offset)
{
    if (nb->pci.config[offset] & SMRAM_LOCK) {
        nb->pci.config[offset] &= ~SMRAM_OPEN;
        nb->pci.writable[offset] = 0;
    }
}

static uint64_t hole_read(void *opaque, PhysAddr offset, unsigned size)
{
    return UINT64_MAX;
}

static void hole_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
}

static const RegionOps hole_ops = { hole_read, hole_write, 1, 8, ENDIAN_LITTLE };

Region *northbridge_new_hole(const char *name, uint64_t size)
{
    return region_new_io(name, &hole_ops, NULL, size);
}

/* Without a VGA nothing answers in its window; RAM there is SMRAM's. */
static void map_segments(NorthBridge *nb, Region *memory, Region *pci_memory, Region *ram)
{
    nb->nothing = northbridge_new_hole("no-vga", 0x20000);
    region_add_overlap(pci_memory, 0xa0000, nb->nothing, -1);
    nb->vga_hole = region_new_alias("vga-hole", pci_memory, 0xa0000, 0x20000);
    region_add_overlap(memory, 0xa0000, nb->vga_hole, 1);
    for (int i = 0; i < SHADOW_SEGMENTS; i++) {
        PhysAddr start = i ? 0xc0000 + (i - 1) * 0x4000 : 0xf0000;
        uint64_t size = i ? 0x4000 : 0x10000;

        nb->pci_view[i] = region_new_alias("pam-pci", pci_memory, start, size);
        nb->ram_view[i] = region_new_alias("pam-ram", ram, start, size);
        region_set_enabled(nb->ram_view[i], false);
        region_add_overlap(memory, start, nb->pci_view[i], 1);
        region_add_overlap(memory, start, nb->ram_view[i], 1);
    }
}

static void map_smram(NorthBridge *nb, Region *memory, Region *ram)
{
    nb->smm_root = region_new_container("smm", UINT64_MAX);
    region_add(nb->smm_root, 0, region_new_alias("smm-memory", memory, 0, UINT64_MAX));
    nb->smm_low = region_new_alias("smram", ram, 0xa0000, 0x20000);
    region_set_enabled(nb->smm_low, false);
    region_add_overlap(nb->smm_root, 0xa0000, nb->smm_low, 2);
    nb->smm = address_space_new("smm", nb->smm_root);
    for (int n = 0; cpu_get(n); n++) {
        cpu_get(n)->smm_memory = nb->smm;
    }
}

void northbridge_map(NorthBridge *nb, Region *memory, Region *ports, Region *pci_memory, Region *ram)
{
    map_segments(nb, memory, pci_memory, ram);
    if (machine_config.smm) {
        map_smram(nb, memory, ram);
    }
    nb->config_address = region_new_io("pci-config-address", &address_ops, nb, 4);
    nb->config_data = region_new_io("pci-config-data", &data_ops, nb, 4);
    region_add(ports, 0xcf8, nb->config_address);
    region_add(ports, 0xcfc, nb->config_data);
}
