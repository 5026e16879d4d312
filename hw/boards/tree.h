/* Writing device trees with libfdt's sequential functions. Errors, such as a lack of room, show at fdt_finish(). */
#ifndef HW_BOARDS_TREE_H
#define HW_BOARDS_TREE_H

#include <glib.h>
#include <stdint.h>

/* A node, and the properties and nodes that follow up to its end. */
void tree_begin(void *fdt, const char *format, ...) G_GNUC_PRINTF(2, 3);
void tree_end(void *fdt);
void tree_bytes(void *fdt, const char *name, const void *data, size_t size);
void tree_flag(void *fdt, const char *name);
void tree_text(void *fdt, const char *name, const char *text);
/* Several texts: a zero byte between them. */
#define tree_texts(fdt, name, list) tree_bytes((fdt), (name), (list), sizeof(list))
/* 32-bit numbers. */
void tree_cells(void *fdt, const char *name, const uint32_t *cells, unsigned count);
#define TREE_CELLS(fdt, name, ...)                                                          \
    do {                                                                                    \
        const uint32_t cells_[] = { __VA_ARGS__ };                                          \
        tree_cells((fdt), (name), cells_, sizeof(cells_) / sizeof(cells_[0]));              \
    } while (0)

#endif
