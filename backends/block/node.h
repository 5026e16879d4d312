/* What the core keeps of each open image; private to the core's files. */
#ifndef BACKENDS_BLOCK_NODE_H
#define BACKENDS_BLOCK_NODE_H

#include "backends/block/driver.h"

typedef struct BlockNode {
    char *name;
    int refs;
    int detect_zeroes; /* DetectZeroes that the node's options ask for; -1: nothing said */
    GRWLock edges; /* unaligned writes, which read and write back whole units, against all others */
} BlockNode;

/* Makes the node of an image that a driver opened; takes node_name (NULL: one is made). */
void block_nodes_for_each(void (*fn)(BlockImage *image, void *opaque), void *opaque); /* all that are open */
void block_nodes_close_all(void); /* drops what the user made */
void block_node_attach(BlockImage *image, char *node_name);

#endif
