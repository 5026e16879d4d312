/* Lists of guest memory that the host reads and writes directly: what block and network requests take. */
#ifndef CORE_DMA_H
#define CORE_DMA_H

#include "core/memory.h"

#include <sys/uio.h>

/* Zeroed is empty. iov[0..count) are its pieces, contiguous ones joined. */
typedef struct DmaList {
    struct iovec *iov;
    struct DmaPiece *pieces; /* where each is in its RAM block */
    int count, room;
    uint64_t size; /* bytes in all */
} DmaList;

/* Any thread. False if some of it is not RAM (or ROM, if it will be written): then it is as it was. */
bool dma_list_add(DmaList *list, PhysAddr addr, uint64_t size, bool is_write);
/* What was written to its first `size` bytes becomes known: displays, translated code. */
void dma_list_written(const DmaList *list, uint64_t size);
/* Copies between a buffer and the list from byte `offset` of it; returns how many fitted. */
uint64_t dma_list_put(const DmaList *list, uint64_t offset, const void *data, uint64_t size);
uint64_t dma_list_get(const DmaList *list, uint64_t offset, void *data, uint64_t size);
void dma_list_clear(DmaList *list); /* empty again, keeps its room */
void dma_list_free(DmaList *list);

#endif
