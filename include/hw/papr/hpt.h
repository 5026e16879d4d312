/* The hashed page table of a partition, which belongs to the hypervisor and changes by hypercalls. */
#ifndef HW_PAPR_HPT_H
#define HW_PAPR_HPT_H

#include "core/memory.h"

/* The translation by entry number index, whose halves were v and r, went away or changes. UINT64_MAX: all did. */
typedef void HptFlushFn(void *opaque, uint64_t index, uint64_t v, uint64_t r);
#define HPT_ALL UINT64_MAX

/*
 * table: 2^shift bytes, entries of 16 bytes in big-endian order as the processor has them; borrowed.
 * ram_size: pages below it are memory.
 */
void hpt_init(uint8_t *table, unsigned shift, uint64_t ram_size, HptFlushFn *flush, void *opaque);
/* Device registers that entries may map too, from `first` on; after hpt_init. */
void hpt_add_window(PhysAddr first, uint64_t size);
void hpt_clear(void);
/*
 * Fills another table, of 2^shift bytes, with what the guest wants to stay (bolted entries); the others will be missed, and
 * entered again. False: there is no room for one.
 */
bool hpt_rehash(uint8_t *to, unsigned shift);
void hpt_use(uint8_t *table, unsigned shift); /* another table from now on; drops all translations */

#endif
