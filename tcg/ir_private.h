/* What the parts of the IR library share with each other and with nobody else. */
#ifndef TCG_IR_PRIVATE_H
#define TCG_IR_PRIVATE_H

#include "tcg/ir.h"

#define IR_CONST_CACHE 32

typedef struct IrConstEntry {
    uint64_t value;
    uint32_t id;
    uint32_t kind; /* its type, and the turn that it is from: of earlier ones it is empty */
} IrConstEntry;

/* The block as ir_block_new makes it: the public part, then what builder and passes keep with it. */
typedef struct IrBlockFull {
    IrBlock ir;
    IrConstEntry consts[IR_CONST_CACHE];
    uint32_t turn; /* of the cache: emptied by the next one */
    IrInsn *other; /* where the forward pass writes; the two arrays change places */
    uint32_t max_other;
    void *scratch; /* of the passes, grown as needed */
    size_t scratch_size;
} IrBlockFull;

/* The place in the cache where a constant is kept, or another one that came later. */
IrConstEntry *ir_const_entry(IrBlock *ir, IrType type, uint64_t value);

static inline uint32_t ir_const_kind(const IrBlock *ir, IrType type)
{
    return ((const IrBlockFull *)ir)->turn << 8 | type;
}

static inline bool ir_const_is(const IrBlock *ir, const IrConstEntry *entry, IrType type, uint64_t value)
{
    return entry->value == value && entry->kind == ir_const_kind(ir, type);
}

void ir_consts_forget(IrBlock *ir);
/* Swaps the inputs of a commutative operation so that a constant comes second. */
void ir_order_inputs(const IrBlock *ir, IrInsn *insn);
/* Zeroed memory that lives until the next call for this block. */
void *ir_scratch(IrBlock *ir, size_t size);

/* How many ids the insn takes from `out` on. */
static inline unsigned ir_count_ids(const IrInsn *insn)
{
    if (insn->op == IR_fast && !insn->out) {
        return 0;
    }
    return ir_facts[insn->op].outputs + (insn->op == IR_raw || ir_insn_defines_flags(insn));
}

/* The type of output `index` (0 or 1) of a pure operation of `type`. */
IrType ir_output_type(IrOp op, IrType type);
/* Whether input `index` is a flags value. */
bool ir_input_is_flags(IrOp op, unsigned index);
/* The flags that a condition reads. */
uint32_t ir_cc_reads(IrCc cc);
IrVal ir_new_value(IrBlock *ir, IrType type);
/* Whether a flags value is computed from constants alone; then what it is. */
bool ir_known_flags(const IrBlock *ir, uint32_t id, uint32_t *flags, uint32_t *defined);
/* Fetches the inputs of a pure operation if all of them are known. */
bool ir_known_inputs(const IrBlock *ir, const IrInsn *insn, uint64_t in[4]);
/* What is left of a pure operation without flags after algebra: the id of an equal value of the
 * same type, or 0; or *constant is set and *value is what it always computes. */
uint32_t ir_identity(const IrBlock *ir, const IrInsn *insn, bool *constant, uint64_t *value);

#endif
