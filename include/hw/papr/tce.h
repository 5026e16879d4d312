/* Translation tables between the addresses that devices of a partition use and its memory. */
#ifndef HW_PAPR_TCE_H
#define HW_PAPR_TCE_H

#include "core/device.h"
#include "core/memory.h"

typedef struct PaprTce PaprTce;

/*
 * Table number liobn: `pages` of 2^page_bits bytes from the bus address `start` on. Owned by the machine.
 * The hypercalls find it until it is freed.
 */
PaprTce *papr_tce_new(uint32_t liobn, uint64_t start, unsigned page_bits, uint32_t pages, GError **error);
/* The same, but its window may be changed. It takes address space for the largest, and memory as far as entries are used. */
PaprTce *papr_tce_new_window(uint32_t liobn, uint64_t start, unsigned page_bits, uint32_t pages, GError **error);
#define PAPR_TCE_MAX_PAGES (1u << 22)
void papr_tce_free(PaprTce *tce);
/* Another window with an empty table, until a reset; no pages: none. False: there are no such windows (pages of 4 KiB, 64 KiB, 16 MiB). */
bool papr_tce_set_window(PaprTce *tce, uint64_t start, unsigned page_bits, uint32_t pages);
uint32_t papr_tce_liobn(const PaprTce *tce);
uint64_t papr_tce_start(const PaprTce *tce);
uint64_t papr_tce_size(const PaprTce *tce); /* bytes of the window that the table is for */
uint64_t papr_tce_end(const PaprTce *tce);  /* first bus address behind what may be accessed at all */
/* Bus addresses are real ones until it is turned off: for firmware, which has no tables. */
void papr_tce_set_bypass(PaprTce *tce, bool on);
void papr_tce_clear(PaprTce *tce);
/* Where a bus address leads; *left: bytes from there that lie together. False: it may not be accessed so. */
bool papr_tce_translate(const PaprTce *tce, uint64_t addr, bool is_write, PhysAddr *phys, uint64_t *left);
/* False if part of the range may not be accessed: then nothing is written, and all of buf is zero. */
bool papr_tce_read(const PaprTce *tce, uint64_t addr, void *buf, uint64_t size);
bool papr_tce_write(const PaprTce *tce, uint64_t addr, const void *buf, uint64_t size);
void papr_tce_init(void); /* offers the hypercalls; once per machine */

#endif
