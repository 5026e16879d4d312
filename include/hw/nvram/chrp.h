/* Non-volatile memory as Open Firmware divides it: partitions, one of them of its settings. */
#ifndef HW_NVRAM_CHRP_H
#define HW_NVRAM_CHRP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { CHRP_HEADER = 16 };
enum { CHRP_OSX = 0x5a, CHRP_SYSTEM = 0x70, CHRP_FREE = 0x7f };

/* An empty one of `size` bytes, a multiple of CHRP_HEADER. */
void chrp_put_partition(uint8_t *at, uint8_t kind, const char *name, unsigned size);
/* The partition of settings among those of `size` bytes of memory, or NULL. */
uint8_t *chrp_find_settings(uint8_t *data, unsigned size);
/*
 * Changes settings ("auto-boot?=false") in their partition: `defaults`, which ends with NULL or is NULL, where the partition
 * has no such setting, `wanted` (or NULL) over what it has. False with a message if they do not fit.
 */
bool chrp_change_settings(uint8_t *partition, const char *const *defaults, GPtrArray *wanted, GError **error);

#endif
