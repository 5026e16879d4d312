/* What the core keeps of each open image; private to the core's files. */
#ifndef BACKENDS_BLOCK_NODE_H
#define BACKENDS_BLOCK_NODE_H

#include "backends/block/driver.h"

typedef struct BlockNode {
    char *name;
    int refs;
    GRWLock edges; /* unaligned writes, which read and write back whole units, against all others */
} BlockNode;

/* Makes the node of an image that a driver opened; takes node_name (NULL: one is made). */
void block_node_attach(BlockImage *image, char *node_name);

#endif
