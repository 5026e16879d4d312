/* The board's device tree: what its files share. */
#ifndef HW_BOARDS_PSERIES_TREE_H
#define HW_BOARDS_PSERIES_TREE_H

#include "hw/boards/pseries.h"
#include "hw/boards/tree.h"

typedef struct Tree {
    Pseries *m;
    bool starting; /* not renewed under a running system */
    void *fdt;
} Tree;

void tree_put_bridges(Tree *t); /* pseries-tree-pci.c */

#endif
