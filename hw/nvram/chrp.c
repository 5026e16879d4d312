/* Partitions of non-volatile memory and Open Firmware's settings: CHRP System Binding (IEEE 1275), "NVRAM partitions". */
#include "hw/nvram/chrp.h"

#include "util/bits.h"
#include "util/error.h"

#include <string.h>

enum { NAME_SIZE = 12 };

/* All of the header but the sum itself; carries come round. */
static uint8_t header_sum(const uint8_t *header)
{
    unsigned sum = header[0];

    for (int i = 2; i < CHRP_HEADER; i++) {
        sum += header[i];
        sum = (sum & 0xff) + (sum >> 8);
    }
    return sum;
}

static unsigned partition_size(const uint8_t *at)
{
    return load_be16(at + 2) * CHRP_HEADER;
}

void chrp_put_partition(uint8_t *at, uint8_t kind, const char *name, unsigned size)
{
    memset(at, 0, size);
    at[0] = kind;
    store_be16(at + 2, size / CHRP_HEADER);
    memcpy(at + 4, name, MIN(strlen(name), NAME_SIZE));
    at[1] = header_sum(at);
}

uint8_t *chrp_find_settings(uint8_t *data, unsigned size)
{
    unsigned length;

    for (unsigned at = 0; at + CHRP_HEADER <= size; at += length) {
        length = partition_size(data + at);
        if (length < CHRP_HEADER || length > size - at || data[at + 1] != header_sum(data + at)) {
            return NULL;
        }
        if (data[at] == CHRP_SYSTEM && length > CHRP_HEADER) {
            return data + at;
        }
    }
    return NULL;
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

static void read_settings(const uint8_t *data, unsigned size, GPtrArray *settings)
{
    for (unsigned at = CHRP_HEADER, length; at < size && data[at]; at += length + 1) {
        g_autofree char *text = g_strndup((const char *)data + at, size - at);

        length = strlen(text);
        if (strchr(text, '=')) {
            put_setting(settings, text);
        }
    }
}

static bool write_settings(uint8_t *data, unsigned size, GPtrArray *settings, GError **error)
{
    unsigned at = CHRP_HEADER;

    memset(data + CHRP_HEADER, 0, size - CHRP_HEADER);
    for (guint i = 0; i < settings->len; i++) {
        const char *text = settings->pdata[i];

        if (at + strlen(text) + 2 > size) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "-prom-env %s: the settings have %u bytes of memory, which are used up",
                        text, size - CHRP_HEADER);
            return false;
        }
        memcpy(data + at, text, strlen(text) + 1);
        at += strlen(text) + 1;
    }
    return true;
}

bool chrp_change_settings(uint8_t *partition, const char *const *defaults, GPtrArray *wanted, GError **error)
{
    g_autoptr(GPtrArray) settings = g_ptr_array_new_with_free_func(g_free);
    unsigned size = partition_size(partition);

    for (; defaults && *defaults; defaults++) {
        put_setting(settings, *defaults);
    }
    read_settings(partition, size, settings);
    for (guint i = 0; wanted && i < wanted->len; i++) {
        if (!strchr(wanted->pdata[i], '=')) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "-prom-env %s: not NAME=VALUE", (char *)wanted->pdata[i]);
            return false;
        }
        put_setting(settings, wanted->pdata[i]);
    }
    return write_settings(partition, size, settings, error);
}
