/* Where a PC's firmware is: a ROM from a file, or flash whose contents are a drive. */
#include "hw/boards/pc.h"

#include "backends/block.h"
#include "hw/block/pflash.h"
#include "util/error.h"

#include <string.h>

#define FOUR_GIB  (UINT64_C(1) << 32)
#define BIOS_MAX  (16 * 1024 * 1024)
#define BIOS_SEEN (128 * 1024) /* of its end, below 1 MiB */

/* At the top of 4 GiB. Below 1 MiB is what a bridge can put RAM in the place of: read-only, also for flash. */
static bool map_low_end(Pc *pc, Region *rom, GError **error)
{
    uint64_t size = region_size(rom), seen = MIN(size, BIOS_SEEN);
    Region *low = region_new_rom("bios-low", seen, error);

    if (!low) {
        return false;
    }
    memcpy(region_host(low), region_host(rom) + size - seen, seen);
    region_add_overlap(pc->rom_space, 0x100000 - seen, low, 1);
    return true;
}

static bool load_rom(Pc *pc, const char *standard, GError **error)
{
    const char *name = machine_config.bios ? machine_config.bios : standard;
    g_autofree char *path = firmware_find(name), *data = NULL;
    gsize size;
    Region *rom;

    if (!path) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "firmware '%s' not found", name);
        return false;
    }
    if (!g_file_get_contents(path, &data, &size, error)) {
        return false;
    }
    if (!size || size % GUEST_PAGE_SIZE || size > BIOS_MAX) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "firmware '%s' is not a multiple of 4 KiB up to 16 MiB", path);
        return false;
    }
    rom = region_new_rom("bios", size, error);
    if (!rom) {
        return false;
    }
    memcpy(region_host(rom), data, size);
    region_add_overlap(pc->rom_space, FOUR_GIB - size, rom, 1);
    return !pc->has_pci || map_low_end(pc, rom, error);
}

/* The drive of a flash chip; NULL with *error unset: there is none. */
static BlockBackend *flash_drive(int unit, GError **error)
{
    const char *name = machine_config.pflash[unit];
    BlockBackend *blk;

    if (!name) {
        return block_find_drive("pflash", 0, unit);
    }
    blk = block_find_or_attach(name, error);
    if (!blk) {
        g_prefix_error(error, "-machine pflash%d: ", unit);
    }
    return blk;
}

/* The first chip ends at 4 GiB, the second lies below it. */
static bool make_flash(Pc *pc, BlockBackend *const drives[2], GError **error)
{
    uint64_t end = FOUR_GIB;

    for (int unit = 0; unit < 2 && drives[unit]; unit++) {
        g_autofree char *id = g_strdup_printf("system.flash%d", unit);
        Device *dev = device_new(&cfi_pflash01_type, id);

        device_set_pointer(dev, "drive", drives[unit]);
        if (!device_realize(dev, NULL, error)) {
            device_free(dev);
            return false;
        }
        end -= region_size(pflash_region(dev));
        if (end < FOUR_GIB - BIOS_MAX) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "flash '%s': there is room for 16 MiB in all", id);
            return false;
        }
        region_add_overlap(pc->rom_space, end, pflash_region(dev), 1);
        if (unit == 0 && !map_low_end(pc, pflash_region(dev), error)) {
            return false;
        }
    }
    return true;
}

bool pc_load_bios(Pc *pc, const char *standard, GError **error)
{
    BlockBackend *drives[2] = { NULL };
    GError *problem = NULL;

    for (int unit = 0; unit < 2 && pc->has_pci && !problem; unit++) {
        drives[unit] = flash_drive(unit, &problem);
    }
    if (problem) {
        g_propagate_error(error, problem);
        return false;
    }
    if (!drives[0] && drives[1]) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "pflash unit 1 needs unit 0, which has the firmware's code");
        return false;
    }
    return drives[0] ? make_flash(pc, drives, error) : load_rom(pc, standard, error);
}
