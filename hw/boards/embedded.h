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

/* Making a tree with libfdt's sequential functions. */
typedef struct EmbeddedTree {
    void *fdt;
} EmbeddedTree;

EmbeddedTree embedded_tree_new(void);
void *embedded_tree_finish(EmbeddedTree *t);
void et_begin(EmbeddedTree *t, const char *format, ...) G_GNUC_PRINTF(2, 3);
void et_end(EmbeddedTree *t);
void et_flag(EmbeddedTree *t, const char *name);
void et_text(EmbeddedTree *t, const char *name, const char *text);
/* Several texts: a zero byte between them. */
#define et_texts(t, name, list) et_bytes((t), (name), (list), sizeof(list))
void et_bytes(EmbeddedTree *t, const char *name, const void *data, size_t size);
void et_cells(EmbeddedTree *t, const char *name, const uint32_t *cells, unsigned count);
#define ET_CELLS(t, name, ...)                                                              \
    do {                                                                                    \
        const uint32_t cells_[] = { __VA_ARGS__ };                                          \
        et_cells((t), (name), cells_, sizeof(cells_) / sizeof(cells_[0]));                  \
    } while (0)

#endif
