/* What raw host instructions do besides their operands. */
#ifndef TCG_RAW_H
#define TCG_RAW_H

#include "tcg/ir.h"

/* PCMPISTRM and PCMPISTRI; others that define flags leave OF clear. */
static inline bool ir_raw_is_string(const IrRaw *raw)
{
    enum { THREE_BYTE_3A = 3, PCMPISTRM = 0x62, PCMPISTRI = 0x63 };

    return raw->map == THREE_BYTE_3A && (raw->opcode == PCMPISTRM || raw->opcode == PCMPISTRI);
}

/* PCMPISTRI leaves its index in ECX, which no byte of it names: it is the operation's output. */
static inline bool ir_raw_writes_cx(const IrRaw *raw)
{
    return ir_raw_is_string(raw) && raw->opcode & 1;
}

static inline bool ir_raw_has_output(const IrRaw *raw)
{
    return raw->reg_role == RAW_GPR_OUT || raw->reg_role == RAW_GPR_INOUT || raw->rm_role == RAW_GPR_OUT ||
           raw->rm_role == RAW_GPR_INOUT || raw->rm_role == RAW_AX_OUT || ir_raw_writes_cx(raw);
}

#endif
