/* Between checking a qcow2 image and repairing it. */
#ifndef BACKENDS_BLOCK_QCOW2_CHECK_H
#define BACKENDS_BLOCK_QCOW2_CHECK_H

#include "backends/block/qcow2/qcow2.h"

enum { QCOW2_COUNT_CHUNK = 4096 };

typedef struct Qcow2Check {
    Qcow2 *s;
    unsigned fix;
    BlockCheck *result;
    uint64_t file_clusters; /* of the image file, the last one perhaps in part */
    GHashTable *chunks;     /* of references found: cluster / QCOW2_COUNT_CHUNK to uint32_t[] */
    uint64_t last_chunk;
    uint32_t *last;
    uint64_t end;           /* behind the last cluster that something refers to */
    uint64_t lasting;       /* corruptions that cannot be corrected */
    bool rebuild;           /* refcounts must be written anew elsewhere */
} Qcow2Check;

uint32_t qcow2_count_get(Qcow2Check *c, uint64_t cluster);
/* false: outside of the file; not counted. */
bool qcow2_count_add(Qcow2Check *c, uint64_t offset, uint64_t bytes, uint32_t times);
/* References of tables, snapshots, bitmaps; corrects entries that are not possible. */
int qcow2_count_all(Qcow2Check *c);
int qcow2_count_tables_only(Qcow2Check *c); /* without refcount table and blocks */

#endif
