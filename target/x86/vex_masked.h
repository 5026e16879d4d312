/* Operands of the helpers for masked moves and gathers. */
#ifndef TARGET_X86_VEX_MASKED_H
#define TARGET_X86_VEX_MASKED_H

#include "target/x86/fp_state.h"

typedef union VexMasked {
    struct {
        uint32_t reg : 4, mask : 4, index : 4; /* vector registers */
        uint32_t l256 : 1, wide : 1;           /* VEX.256; elements of 8 bytes instead of 4 */
        uint32_t store : 1;
        uint32_t seg : 3, addr_type : 2;       /* IrType of addresses */
        /* Gathers: */
        uint32_t wide_index : 1, scale : 2;
    };
    uint32_t word;
} VexMasked;

#endif
