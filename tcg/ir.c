/* IR blocks and facts about operations. */
#include "tcg/ir.h"

#include <string.h>

#include "ir_private.h"

/* Which operations are marked (F) in ops.def; the ranges are those of its order. */
#define FLAGS_OF(op) \
    ((op) == IR_cmp || (op) == IR_test || (op) == IR_bt || (op) == IR_flags_from ? OP_ALWAYS_FLAGS \
     : ((op) >= IR_add && (op) <= IR_xor) || ((op) >= IR_shl && (op) <= IR_muls2) || (op) == IR_raw \
         ? OP_MAY_FLAGS                                                                             \
         : OP_NO_FLAGS)

#define EXITS(op) \
    ((op) == IR_br || (op) == IR_brcc || (op) == IR_brcond || (op) == IR_exit_if || (op) == IR_exit_jump || (op) == IR_exit_lookup || \
     (op) == IR_exit_main || (op) == IR_poll)
#define IS_ATOMIC(op)                                                                                                       \
    ((op) == IR_atomic_add || (op) == IR_atomic_and || (op) == IR_atomic_or || (op) == IR_atomic_xor || (op) == IR_atomic_xchg || \
     (op) == IR_atomic_cmpxchg)
#define FAULTS(op)                                                                                                    \
    ((op) == IR_load || (op) == IR_store || (op) == IR_probe_store || IS_ATOMIC(op) || (op) == IR_divu2_checked ||      \
             (op) == IR_divs2_checked || (op) == IR_fast                                                               \
         ? OP_FAULTS                                                                                                  \
     : (op) == IR_raw || (op) == IR_call ? OP_MAY_FAULT                                                                \
                                         : OP_NEVER_FAULTS)
#define FACT(name, outputs, inputs, pure) \
    [IR_##name] = {#name, outputs, inputs, pure, EXITS(IR_##name), FLAGS_OF(IR_##name), FAULTS(IR_##name)}

const IrOpFact ir_facts[IR_OP_COUNT] = {
#define PURE(name, outputs, inputs, meaning)   FACT(name, outputs, inputs, true),
#define EFFECT(name, outputs, inputs, meaning) FACT(name, outputs, inputs, false),
#include "tcg/ops.def"
#undef PURE
#undef EFFECT
};

const uint8_t ir_type_sizes[] = {
    [IR_I8] = 1,   [IR_I16] = 2,  [IR_I32] = 4,    [IR_I64] = 8,
    [IR_I128] = 16, [IR_F32] = 4, [IR_F64] = 8,    [IR_F80] = 10,
    [IR_V128] = 16, [IR_V256] = 32, [IR_FLAGS] = 4, [IR_VOID] = 0,
};

#define ALL UINT64_MAX
const uint64_t ir_type_masks[] = {
    [IR_I8] = 0xff, [IR_I16] = 0xffff, [IR_I32] = 0xffffffff, [IR_I64] = ALL,  [IR_I128] = ALL, [IR_F32] = ALL,
    [IR_F64] = ALL, [IR_F80] = ALL,    [IR_V128] = ALL,       [IR_V256] = ALL, [IR_FLAGS] = ALL, [IR_VOID] = ALL,
};

IrBlock *ir_block_new(const IrSlot *slots, uint32_t n_slots, const IrHelper *helpers, uint32_t n_helpers)
{
    IrBlockFull *full = g_new0(IrBlockFull, 1);
    IrBlock *ir = &full->ir;

    g_assert(n_slots <= IR_MAX_SLOTS);
    ir->slots = slots;
    ir->n_slots = n_slots;
    ir->helpers = helpers;
    ir->n_helpers = n_helpers;
    ir->max_insns = 256;
    ir->insns = g_new(IrInsn, ir->max_insns);
    ir->max_values = 256;
    ir->value_type = g_new(uint8_t, ir->max_values);
    ir->value_def = g_new(uint32_t, ir->max_values);
    ir->exit_dead = g_array_new(FALSE, FALSE, sizeof(IrExitDead));
    ir_block_reset(ir);
    return ir;
}

void ir_consts_forget(IrBlock *ir)
{
    IrBlockFull *full = (IrBlockFull *)ir;

    full->turn = (full->turn + 1) & 0xffffff;
    if (!full->turn) { /* entries of that turn's last time would count again */
        memset(full->consts, 0, sizeof(full->consts));
        full->turn = 1;
    }
}

void ir_block_reset(IrBlock *ir)
{
    ir->n_insns = 0;
    ir->n_values = 1;
    ir->n_labels = 0;
    ir->n_raws = 0;
    ir->n_fasts = 0;
    ir->pic_bits = 0;
    ir->links_far = false;
    ir->use_sites = false;
    ir->narrow = false;
    ir->scattered = NULL;
    ir->loop_branches = false;
    ir->stores_apart = false;
    ir->value_type[0] = IR_VOID;
    ir->value_def[0] = 0;
    g_array_set_size(ir->exit_dead, 0);
    ir_consts_forget(ir);
}

void ir_block_free(IrBlock *ir)
{
    if (!ir) {
        return;
    }
    g_free(ir->insns);
    g_free(ir->raws);
    g_free(ir->fasts);
    g_free(ir->value_type);
    g_free(ir->value_def);
    g_array_free(ir->exit_dead, TRUE);
    g_free(((IrBlockFull *)ir)->other);
    g_free(((IrBlockFull *)ir)->scratch);
    g_free(ir);
}

IrBlock *ir_block_copy(const IrBlock *ir)
{
    IrBlockFull *full = g_memdup2(ir, sizeof(IrBlockFull));
    IrBlock *copy = &full->ir;

    full->other = NULL;
    full->max_other = 0;
    full->scratch = NULL;
    full->scratch_size = 0;
    copy->insns = g_memdup2(ir->insns, ir->max_insns * sizeof(*ir->insns));
    copy->fasts = g_memdup2(ir->fasts, ir->max_fasts * sizeof(*ir->fasts));
    copy->raws = g_memdup2(ir->raws, ir->max_raws * sizeof(*ir->raws));
    copy->value_type = g_memdup2(ir->value_type, ir->max_values * sizeof(*ir->value_type));
    copy->value_def = g_memdup2(ir->value_def, ir->max_values * sizeof(*ir->value_def));
    copy->exit_dead = g_array_copy(ir->exit_dead);
    return copy;
}

void *ir_scratch(IrBlock *ir, size_t size)
{
    IrBlockFull *full = (IrBlockFull *)ir;

    if (size > full->scratch_size) {
        g_free(full->scratch);
        full->scratch_size = size * 2;
        full->scratch = g_malloc(full->scratch_size);
    }
    return memset(full->scratch, 0, size);
}

bool ir_insn_may_fault(const IrBlock *ir, const IrInsn *insn)
{
    if (insn->op == IR_raw) {
        const IrRaw *raw = &ir->raws[insn->bits & ~IRB_FLAGS];

        return raw->may_fault || raw->rm_role == RAW_MEM;
    }
    return ir->helpers[insn->bits].effects & EFFECT_FAULT;
}

bool ir_input_is_flags(IrOp op, unsigned index)
{
    switch (op) {
    case IR_adc:
    case IR_sbb:
        return index == 2;
    case IR_setcc:
    case IR_selectcc:
    case IR_flags_image:
    case IR_brcc:
    case IR_exit_if:
        return index == 0;
    default:
        return false;
    }
}

IrType ir_output_type(IrOp op, IrType type)
{
    switch (op) {
    case IR_setcond:
    case IR_setcc:
    case IR_order:
    case IR_get8h:
        return IR_I8;
    case IR_flags_image:
        return IR_I32;
    default:
        return type;
    }
}

bool ir_upper_half_is_zero(const IrBlock *ir, uint32_t id)
{
    const IrInsn *def = &ir->insns[ir->value_def[id]];
    uint64_t mask;

    switch (def->op) {
    case IR_load:
        return !(def->bits & IRM_SX) && def->type <= IR_I32;
    case IR_zext:
        return def->bits <= IR_I32;
    case IR_and:
        return ir_is_const(ir, (IrVal){ def->in[1] }, &mask) && mask <= UINT32_MAX;
    case IR_shr:
        return def->type == IR_I64 && ir_is_const(ir, (IrVal){ def->in[1] }, &mask) && (mask & 63) >= 32;
    default:
        return false;
    }
}

uint32_t ir_cc_reads(IrCc cc)
{
    static const uint32_t reads[8] = {
        FLAG_OF, FLAG_CF, FLAG_ZF, FLAG_CF | FLAG_ZF,
        FLAG_SF, FLAG_PF, FLAG_SF | FLAG_OF, FLAG_SF | FLAG_OF | FLAG_ZF,
    };

    return reads[cc >> 1];
}
