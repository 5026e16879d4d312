/*
 * Non-volatile memory of a Macintosh: 8 KiB, a byte in every second or sixteenth address, in partitions.
 *
 * CHRP System Binding to Open Firmware (IEEE 1275), "NVRAM partitions"; the second half is Mac OS X's.
 */
#include "hw/nvram/mac_nvram.h"

#include "hw/nvram/battery.h"
#include "util/bits.h"
#include "util/error.h"

#include <string.h>

enum { HEADER = 16, HALF = MAC_NVRAM_SIZE / 2, SYSTEM_SIZE = 0xc10 };
enum { KIND_OSX = 0x5a, KIND_SYSTEM = 0x70, KIND_FREE = 0x7f };

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

/* All of the header but the sum itself; carries come round. */
static uint8_t header_sum(const uint8_t *header)
{
    unsigned sum = header[0];

    for (int i = 2; i < HEADER; i++) {
        sum += header[i];
        sum = (sum & 0xff) + (sum >> 8);
    }
    return sum;
}

static void put_partition(uint8_t *at, uint8_t kind, const char *name, unsigned size)
{
    memset(at, 0, HEADER);
    at[0] = kind;
    store_be16(at + 2, size / HEADER);
    memcpy(at + 4, name, MIN(strlen(name), 12));
    at[1] = header_sum(at);
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

/* ---- settings: "name=value" texts, each with a NUL ---- */

static void put_setting(GPtrArray *settings, const char *text)
{
    size_t name = strchr(text, '=') - text + 1;

    for (guint i = 0; i < settings->len; i++) {
        if (strncmp(settings->pdata[i], text, name) == 0) {
            g_free(settings->pdata[i]);
            settings->pdata[i] = g_strdup(text);
            return;
        }
    }
    g_ptr_array_add(settings, g_strdup(text));
}

/* Whether the memory has been in use: its first partition is the settings'. */
static bool has_settings(const uint8_t *data)
{
    unsigned size = load_be16(data + 2) * HEADER;

    return data[0] == KIND_SYSTEM && data[1] == header_sum(data) && size > HEADER && size <= HALF;
}

static void read_settings(const uint8_t *data, GPtrArray *settings)
{
    unsigned size = load_be16(data + 2) * HEADER;

    for (unsigned at = HEADER, length; at < size && data[at]; at += length + 1) {
        g_autofree char *text = g_strndup((const char *)data + at, size - at);

        length = strlen(text);
        if (strchr(text, '=')) {
            put_setting(settings, text);
        }
    }
}

static bool write_settings(uint8_t *data, unsigned size, GPtrArray *settings, GError **error)
{
    unsigned at = HEADER;

    memset(data + HEADER, 0, size - HEADER);
    for (guint i = 0; i < settings->len; i++) {
        const char *text = settings->pdata[i];

        if (at + strlen(text) + 2 > size) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "-prom-env %s: the settings have %u bytes of memory, which are used up",
                        text, size - HEADER);
            return false;
        }
        memcpy(data + at, text, strlen(text) + 1);
        at += strlen(text) + 1;
    }
    return true;
}

static void format(uint8_t *data)
{
    uint8_t *osx = data + HALF;

    memset(data, 0, MAC_NVRAM_SIZE);
    put_partition(data, KIND_SYSTEM, "system", SYSTEM_SIZE);
    put_partition(data + SYSTEM_SIZE, KIND_FREE, "free", HALF - SYSTEM_SIZE);
    put_partition(osx, KIND_OSX, "wwwwwwwwwww", HALF);
    store_be32(osx + HEADER + 4, 2); /* its generation: the one that counts */
    store_be32(osx + HEADER, osx_sum(osx + HEADER + 4, HALF - HEADER - 4));
}

bool mac_nvram_prepare(Device *dev, const char *const *defaults, GPtrArray *wanted, GError **error)
{
    MacNvram *nvram = (MacNvram *)dev;
    g_autoptr(GPtrArray) settings = g_ptr_array_new_with_free_func(g_free);

    if (has_settings(nvram->data)) {
        read_settings(nvram->data, settings);
    } else {
        format(nvram->data);
        for (; defaults && *defaults; defaults++) {
            put_setting(settings, *defaults);
        }
    }
    for (guint i = 0; wanted && i < wanted->len; i++) {
        if (!strchr(wanted->pdata[i], '=')) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "-prom-env %s: not NAME=VALUE", (char *)wanted->pdata[i]);
            return false;
        }
        put_setting(settings, wanted->pdata[i]);
    }
    if (!write_settings(nvram->data, load_be16(nvram->data + 2) * HEADER, settings, error)) {
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
