/* Making the board's device tree: helpers of its files. Errors show when the tree is finished. */
#ifndef HW_BOARDS_PSERIES_TREE_H
#define HW_BOARDS_PSERIES_TREE_H

#include "hw/boards/pseries.h"

typedef struct Tree {
    Pseries *m;
    void *fdt;
} Tree;

void tree_begin(Tree *t, const char *format, ...) G_GNUC_PRINTF(2, 3);
void tree_end(Tree *t);
void tree_bytes(void *tree, const char *name, const void *data, size_t size);
void tree_text(Tree *t, const char *name, const char *text);
void tree_flag(Tree *t, const char *name);
void tree_cells_array(Tree *t, const char *name, const uint32_t *cells, unsigned count);
#define TREE_CELLS(t, name, ...)                                                            \
    do {                                                                                    \
        const uint32_t cells_[] = { __VA_ARGS__ };                                          \
        tree_cells_array((t), (name), cells_, sizeof(cells_) / sizeof(cells_[0]));          \
    } while (0)

void tree_put_bridges(Tree *t); /* pseries-tree-pci.c */

#endif
