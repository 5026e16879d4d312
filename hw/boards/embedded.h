/*
 * What small embedded boards share: a kernel that is started without firmware, by -kernel, and a device tree that tells it
 * where it is (Embedded Power Architecture Platform Requirements 1.1).
 */
#ifndef HW_BOARDS_EMBEDDED_H
#define HW_BOARDS_EMBEDDED_H

#include "core/cpu.h"
#include "core/machine.h"
#include "core/memory.h"

typedef struct EmbeddedPiece {
    uint64_t addr;
    GBytes *bytes;
} EmbeddedPiece;

typedef struct Embedded {
    const BoardType *board;
    const char *compatible;  /* of the tree's root: what a kernel must know */
    uint64_t map_size;       /* that the processor has mapped when the kernel begins */

    GArray *pieces;          /* EmbeddedPiece: the kernel in memory */
    uint64_t entry, kernel_end;
    GBytes *initrd;
    uint64_t initrd_addr, tree_addr;
    void *tree;              /* EMBEDDED_TREE_MAX bytes */
} Embedded;

enum { EMBEDDED_TREE_MAX = 0x100000 };

/* -kernel, -initrd, -append and -dtb as far as they can be read; the tree's place is known then. */
bool embedded_load(Embedded *e, GError **error);
/*
 * Starts the kernel at each reset, on the first processor: tree is the board's (taken; sequential write has finished) unless
 * -dtb names another one. Memory and what the command line says go into it.
 */
bool embedded_start(Embedded *e, void *tree, GError **error);

/* The board's tree, of EMBEDDED_TREE_MAX bytes: what is between these two goes through hw/boards/tree.h. */
void *embedded_tree_new(void);
void embedded_tree_finish(void *fdt);

#endif
