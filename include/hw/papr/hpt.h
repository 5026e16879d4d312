/* The hashed page table of a partition, which belongs to the hypervisor and changes by hypercalls. */
#ifndef HW_PAPR_HPT_H
#define HW_PAPR_HPT_H

#include "core/memory.h"

/* A translation went away or changed. */
typedef void HptFlushFn(void *opaque);

/*
 * table: 2^shift bytes, entries of 16 bytes in big-endian order as the processor has them; borrowed.
 * ram_size: pages below it are memory. io_first to io_last: where devices may be mapped.
 */
void hpt_init(uint8_t *table, unsigned shift, uint64_t ram_size, PhysAddr io_first, PhysAddr io_last, HptFlushFn *flush,
              void *opaque);
void hpt_clear(void);

#endif
