/* Writing device trees (ePAPR 1.1, chapter 2; names of nodes by the board). */
#include "hw/boards/tree.h"

#include "util/bits.h"

#include <libfdt.h>
#include <string.h>

void tree_begin(void *fdt, const char *format, ...)
{
    va_list args;
    g_autofree char *name = NULL;

    va_start(args, format);
    name = g_strdup_vprintf(format, args);
    va_end(args);
    fdt_begin_node(fdt, name);
}

void tree_end(void *fdt)
{
    fdt_end_node(fdt);
}

void tree_bytes(void *fdt, const char *name, const void *data, size_t size)
{
    fdt_property(fdt, name, data, size);
}

void tree_flag(void *fdt, const char *name)
{
    tree_bytes(fdt, name, "", 0);
}

void tree_text(void *fdt, const char *name, const char *text)
{
    tree_bytes(fdt, name, text, strlen(text) + 1);
}

void tree_cells(void *fdt, const char *name, const uint32_t *cells, unsigned count)
{
    g_autofree uint8_t *bytes = g_malloc(count * 4 + 1);

    for (unsigned i = 0; i < count; i++) {
        store_be32(bytes + i * 4, cells[i]);
    }
    tree_bytes(fdt, name, bytes, count * 4);
}
