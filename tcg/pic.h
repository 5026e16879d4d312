/* The pcs of position-independent blocks. */
#ifndef TCG_PIC_H
#define TCG_PIC_H

#include "core/cpu.h" /* layer: CpuHot is what translated code touches of any guest */

/* What a pc in the IR is at the page that the block runs at. pic_bits as in IrBlock. */
static inline uint64_t pic_pc(unsigned pic_bits, const void *state, uint64_t pc)
{
    uint64_t sum = pic_bits ? ((const CpuHot *)state)->pic_page + pc : pc;

    return pic_bits == 32 ? (uint32_t)sum : sum;
}

#endif
