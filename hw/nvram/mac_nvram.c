/*
 * Non-volatile memory of a Macintosh: 8 KiB, a byte in every second or sixteenth address, in partitions.
 *
 * CHRP System Binding to Open Firmware (IEEE 1275), "NVRAM partitions"; the second half is Mac OS X's.
 */
#include "hw/nvram/mac_nvram.h"

#include "util/bits.h"
#include "util/error.h"

#include <string.h>

enum { HEADER = 16, HALF = MAC_NVRAM_SIZE / 2, SYSTEM_SIZE = 0xc10 };
enum { KIND_OSX = 0x5a, KIND_SYSTEM = 0x70, KIND_FREE = 0x7f };

typedef struct MacNvram {
    Device dev;
    uint32_t shift; /* a byte each 1 << shift */
    Region *region;
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

bool mac_nvram_format(Device *dev, GPtrArray *settings, GError **error)
{
    MacNvram *nvram = (MacNvram *)dev;
    uint8_t *data = nvram->data, *osx = data + HALF;
    unsigned at = HEADER;

    memset(data, 0, MAC_NVRAM_SIZE);
    put_partition(data, KIND_SYSTEM, "system", SYSTEM_SIZE);
    for (guint i = 0; settings && i < settings->len; i++) {
        const char *text = settings->pdata[i];

        if (!strchr(text, '=')) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "-prom-env %s: not NAME=VALUE", text);
            return false;
        }
        if (at + strlen(text) + 2 > SYSTEM_SIZE) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "-prom-env %s: the settings have %d bytes of memory, which are used up",
                        text, SYSTEM_SIZE - HEADER);
            return false;
        }
        memcpy(data + at, text, strlen(text) + 1);
        at += strlen(text) + 1;
    }
    put_partition(data + SYSTEM_SIZE, KIND_FREE, "free", HALF - SYSTEM_SIZE);
    put_partition(osx, KIND_OSX, "wwwwwwwwwww", HALF);
    store_be32(osx + HEADER + 4, 2); /* its generation: the one that counts */
    store_be32(osx + HEADER, osx_sum(osx + HEADER + 4, HALF - HEADER - 4));
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
    return mac_nvram_format(dev, NULL, error);
}

static void nvram_save(Device *dev, GKeyFile *out)
{
    g_autofree char *text = g_base64_encode(((MacNvram *)dev)->data, MAC_NVRAM_SIZE);

    g_key_file_set_string(out, dev->id, "nvram.data", text);
}

static bool nvram_load(Device *dev, GKeyFile *in, GError **error)
{
    g_autofree char *text = g_key_file_get_string(in, dev->id, "nvram.data", error);
    gsize size = 0;
    g_autofree uint8_t *data = text ? g_base64_decode(text, &size) : NULL;

    if (!text) {
        return false;
    }
    memcpy(((MacNvram *)dev)->data, data, MIN(size, MAC_NVRAM_SIZE));
    return true;
}

static const Prop nvram_props[] = {
    PROP(MacNvram, shift, "it_shift", PROP_U32, "1", "a byte in every 2^N addresses"),
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
