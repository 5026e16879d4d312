/*
 * Non-volatile memory of a Macintosh: 8 KiB, a byte in every second or sixteenth address, in partitions.
 *
 * CHRP System Binding to Open Firmware (IEEE 1275), "NVRAM partitions"; the second half is Mac OS X's.
 */
#include "hw/nvram/mac_nvram.h"

#include "hw/nvram/battery.h"
#include "hw/nvram/chrp.h"
#include "util/bits.h"
#include "util/error.h"

enum { HALF = MAC_NVRAM_SIZE / 2, SYSTEM_SIZE = 0xc10 };

typedef struct MacNvram {
    Device dev;
    uint32_t shift; /* a byte each 1 << shift */
    Region *region;
    BlockBackend *blk;
    Battery battery;
    uint8_t data[MAC_NVRAM_SIZE]; /* stays over a reset */
} MacNvram;

static uint64_t nvram_read(void *opaque, PhysAddr offset, unsigned size)
{
    MacNvram *nvram = opaque;

    return nvram->data[offset >> nvram->shift];
}

static void nvram_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    MacNvram *nvram = opaque;

    nvram->data[offset >> nvram->shift] = value;
    battery_changed(&nvram->battery);
}

static const RegionOps nvram_ops = { nvram_read, nvram_write, 1, 1, ENDIAN_LITTLE };

Region *mac_nvram_region(Device *dev)
{
    return ((MacNvram *)dev)->region;
}

/* Of Mac OS X's partition: Adler's sum that begins with 0. */
static uint32_t osx_sum(const uint8_t *data, unsigned size)
{
    uint32_t low = 0, high = 0;

    for (unsigned i = 0; i < size; i++) {
        low = (low + data[i]) % 65521;
        high = (high + low) % 65521;
    }
    return high << 16 | low;
}

static void format(uint8_t *data)
{
    uint8_t *osx = data + HALF;

    chrp_put_partition(data, CHRP_SYSTEM, "system", SYSTEM_SIZE);
    chrp_put_partition(data + SYSTEM_SIZE, CHRP_FREE, "free", HALF - SYSTEM_SIZE);
    chrp_put_partition(osx, CHRP_OSX, "wwwwwwwwwww", HALF);
    store_be32(osx + CHRP_HEADER + 4, 2); /* its generation: the one that counts */
    store_be32(osx + CHRP_HEADER, osx_sum(osx + CHRP_HEADER + 4, HALF - CHRP_HEADER - 4));
}

bool mac_nvram_prepare(Device *dev, const char *const *defaults, GPtrArray *wanted, GError **error)
{
    MacNvram *nvram = (MacNvram *)dev;
    bool used = chrp_find_settings(nvram->data, HALF) == nvram->data;

    if (!used) {
        format(nvram->data);
    }
    if (!chrp_change_settings(nvram->data, used ? NULL : defaults, wanted, error)) {
        return false;
    }
    battery_changed(&nvram->battery);
    return true;
}

static bool nvram_realize(Device *dev, GError **error)
{
    MacNvram *nvram = (MacNvram *)dev;

    if (nvram->shift > 8) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "macio-nvram: it_shift=%u is more than 8", nvram->shift);
        return false;
    }
    nvram->region = region_new_io("macio-nvram", &nvram_ops, nvram, (uint64_t)MAC_NVRAM_SIZE << nvram->shift);
    return battery_init(&nvram->battery, dev, nvram->data, MAC_NVRAM_SIZE, nvram->blk, error);
}

static void nvram_save(Device *dev, GKeyFile *out)
{
    battery_save(&((MacNvram *)dev)->battery, out, "nvram.data");
}

static bool nvram_load(Device *dev, GKeyFile *in, GError **error)
{
    return battery_load(&((MacNvram *)dev)->battery, in, "nvram.data", error);
}

static const Prop nvram_props[] = {
    PROP(MacNvram, shift, "it_shift", PROP_U32, "1", "a byte in every 2^N addresses"),
    PROP(MacNvram, blk, "drive", PROP_DRIVE, NULL, "image of its contents"),
    { 0 },
};

const DeviceType mac_nvram_type = {
    .name = "macio-nvram",
    .about = "non-volatile memory of a Macintosh",
    .bus = "system",
    .size = sizeof(MacNvram),
    .props = nvram_props,
    .realize = nvram_realize,
    .save_extra = nvram_save,
    .load_extra = nvram_load,
};
