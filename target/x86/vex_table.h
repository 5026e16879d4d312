/* The table of VEX instructions on vector registers. */
#ifndef TARGET_X86_VEX_TABLE_H
#define TARGET_X86_VEX_TABLE_H

#include "target/x86/fp_table.h"

/* What a row asks of VEX.L and VEX.W; everything else is undefined. */
typedef enum VexLength { VEX_L_BOTH, VEX_L_128, VEX_L_256, VEX_L_IGNORED } VexLength;
typedef enum VexW { VEX_W_IGNORED, VEX_W_0, VEX_W_1 } VexW; /* ignored: or chooses between like operations */

typedef struct VexRow {
    uint8_t map, prefix, opcode;
    uint8_t reg;               /* FpOperand */
    bool h;                    /* VEX.vvvv names a register; else it must be zero */
    uint8_t rm;                /* FpOperand */
    uint8_t size, size256;     /* of the memory form with VEX.128 and VEX.256, in bytes */
    uint8_t length, w;
    uint8_t feature, feature256; /* X86Feature */
    uint16_t flags;            /* FpFlags */
    uint8_t digits;            /* mask of the values of ModRM.reg, where reg is FP_NONE */
} VexRow;

extern const VexRow x86_vex_rows[];
extern const unsigned x86_vex_row_count;

/* The row of an opcode under VEX.pp (0, 0x66, 0xf3, 0xf2) and VEX.W, or NULL. */
const VexRow *x86_vex_row(unsigned map, unsigned prefix, unsigned opcode, bool w);

#endif
