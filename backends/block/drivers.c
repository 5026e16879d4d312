/* The catalogue of image formats and protocols. */
#include "backends/block/drivers.h"

#include "util/error.h"

const BlockDriver *const block_drivers[] = {
#define DRIVER(name) &block_##name,
#include "backends/block/drivers.def"
#undef DRIVER
    NULL,
};

const BlockDriver *block_driver_find(const char *name)
{
    for (int i = 0; block_drivers[i]; i++) {
        if (g_str_equal(block_drivers[i]->name, name)) {
            return block_drivers[i];
        }
    }
    return NULL;
}

const BlockDriver *block_driver_probe(const uint8_t *head, size_t size, const char *name)
{
    const BlockDriver *best = &block_raw;
    int best_score = 0;

    for (int i = 0; block_drivers[i]; i++) {
        int score = block_drivers[i]->probe ? block_drivers[i]->probe(head, size, name) : 0;

        if (score > best_score) {
            best_score = score;
            best = block_drivers[i];
        }
    }
    return best;
}

void block_driver_unknown(const char *name, GError **error)
{
    GString *known = g_string_new(NULL);

    for (int i = 0; block_drivers[i]; i++) {
        g_string_append_printf(known, "%s%s", i ? ", " : "", block_drivers[i]->name);
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "no image format '%s'; there are: %s", name, known->str);
    g_string_free(known, TRUE);
}
