/* Hypercalls on plain memory. */
#ifndef HW_PAPR_MEMOP_H
#define HW_PAPR_MEMOP_H

void papr_memop_init(void); /* offers them */

#endif
