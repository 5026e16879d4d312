/* Option ROMs of PCI functions (PCI Local Bus Specification 3.0, 6.3). */
#include "hw/pci/bus.h"

#include "core/machine.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

/*
 * One ROM serves several models, or none in particular, while firmware runs it for the function that its PCIR
 * structure names (PCI Firmware Specification 3.0, 5.1): the default ROM is made to name this one. Byte 6 of the
 * images that a BIOS runs is there to make their sum zero.
 */
static void adopt_rom(const PciInfo *info, uint8_t *rom, size_t size)
{
    for (size_t at = 0; at + 0x1a <= size && load_le16(rom + at) == 0xaa55;) {
        size_t pcir = at + load_le16(rom + at + 0x18), length;
        uint8_t sum = 0;

        if (pcir + 0x18 > size || memcmp(rom + pcir, "PCIR", 4) != 0) {
            return;
        }
        for (int i = 4; i < 8; i++) {
            sum += rom[pcir + i];
        }
        store_le16(rom + pcir + 4, info->vendor);
        store_le16(rom + pcir + 6, info->device);
        for (int i = 4; i < 8; i++) {
            sum -= rom[pcir + i];
        }
        rom[at + 6] += rom[pcir + 0x14] == 0 ? sum : 0;
        length = load_le16(rom + pcir + 0x10) * 512u;
        if (!length || (rom[pcir + 0x15] & 0x80)) {
            return;
        }
        at += length;
    }
}

/* Without its ROM nothing starts from a network card: said to those who want that. */
static void hint_at_rom(const PciDevice *pci)
{
    const char *once = machine_config.boot_once, *order = machine_config.boot_order;

    if ((once && strchr(once, 'n')) || (order && strchr(order, 'n')) || pci->dev.bootindex >= 0) {
        log_warn("'%s' cannot start the machine: its option ROM '%s' is missing (Debian package ipxe-qemu)", pci->dev.id,
                 pci->info->rom);
    }
}

bool pci_load_rom(PciDevice *pci, GError **error)
{
    const char *name = pci->romfile ? pci->romfile : pci->info->rom;
    g_autofree char *path = NULL, *data = NULL;
    uint64_t room = 2048;
    Region *region;
    gsize size;

    if (!name || !*name || !pci->rombar) {
        return true;
    }
    path = g_file_test(name, G_FILE_TEST_EXISTS) ? g_strdup(name) : firmware_find(name);
    if (!path) {
        if (!pci->romfile) { /* only the default: the card works without */
            hint_at_rom(pci);
            return true;
        }
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "cannot find option ROM '%s'", name);
        return false;
    }
    if (!g_file_get_contents(path, &data, &size, error)) {
        return false;
    }
    if (size > 16 << 20) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "option ROM '%s' is larger than 16 MiB", path);
        return false;
    }
    while (room < size) {
        room *= 2;
    }
    room = MAX(room, GUEST_PAGE_SIZE);
    region = region_new_rom(name, room, error);
    if (!region) {
        return false;
    }
    memcpy(region_host(region), data, size);
    if (!pci->romfile) {
        adopt_rom(pci->info, region_host(region), size);
    }
    pci_register_bar(pci, ROM_BAR, PCI_BAR_MEM32, region);
    return true;
}
