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

const OpFact ir_facts[IR_OP_COUNT] = {
#define PURE(name, outputs, inputs, meaning)   [IR_##name] = {#name, outputs, inputs, true, FLAGS_OF(IR_##name)},
#define EFFECT(name, outputs, inputs, meaning) [IR_##name] = {#name, outputs, inputs, false, FLAGS_OF(IR_##name)},
#include "tcg/ops.def"
#undef PURE
#undef EFFECT
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

void ir_block_reset(IrBlock *ir)
{
    IrBlockFull *full = (IrBlockFull *)ir;

    ir->n_insns = 0;
    ir->n_values = 1;
    ir->n_labels = 0;
    ir->n_raws = 0;
    ir->n_fasts = 0;
    ir->pic_bits = 0;
    ir->links_far = false;
    ir->use_sites = false;
    ir->scattered = NULL;
    ir->loop_branches = false;
    ir->value_type[0] = IR_VOID;
    ir->value_def[0] = 0;
    g_array_set_size(ir->exit_dead, 0);
    memset(full->consts, 0, sizeof(full->consts));
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

const char *ir_op_name(IrOp op)
{
    return ir_facts[op].name;
}

int ir_op_outputs(IrOp op)
{
    return ir_facts[op].outputs;
}

int ir_op_inputs(IrOp op)
{
    return ir_facts[op].inputs;
}

bool ir_op_pure(IrOp op)
{
    return ir_facts[op].pure;
}

bool ir_op_faults(const IrBlock *ir, const IrInsn *insn)
{
    switch (insn->op) {
    case IR_load:
    case IR_store:
    case IR_probe_store:
    case IR_atomic_add:
    case IR_atomic_and:
    case IR_atomic_or:
    case IR_atomic_xor:
    case IR_atomic_xchg:
    case IR_atomic_cmpxchg:
    case IR_divu2_checked:
    case IR_divs2_checked:
        return true;
    case IR_raw: {
        const IrRaw *raw = &ir->raws[insn->bits & ~IRB_FLAGS];

        return raw->may_fault || raw->rm_role == RAW_MEM;
    }
    case IR_fast:
        return true;
    case IR_call:
        return ir->helpers[insn->bits].effects & EFFECT_FAULT;
    default:
        return false;
    }
}

bool ir_op_exits(IrOp op)
{
    switch (op) {
    case IR_br:
    case IR_brcc:
    case IR_brcond:
    case IR_exit_if:
    case IR_exit_jump:
    case IR_exit_lookup:
    case IR_exit_main:
    case IR_poll:
        return true;
    default:
        return false;
    }
}

bool ir_insn_defines_flags(const IrInsn *insn)
{
    return ir_defines_flags(insn);
}

uint32_t ir_insn_flags_id(const IrInsn *insn)
{
    return ir_insn_defines_flags(insn) ? insn->out + ir_facts[insn->op].outputs : 0;
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

unsigned ir_type_size(IrType type)
{
    static const uint8_t sizes[] = {
        [IR_I8] = 1,   [IR_I16] = 2,  [IR_I32] = 4,    [IR_I64] = 8,
        [IR_I128] = 16, [IR_F32] = 4, [IR_F64] = 8,    [IR_F80] = 10,
        [IR_V128] = 16, [IR_V256] = 32, [IR_FLAGS] = 4, [IR_VOID] = 0,
    };

    return sizes[type];
}

uint64_t ir_mask(IrType type)
{
    static const uint64_t masks[] = {
        [IR_I8] = 0xff, [IR_I16] = 0xffff, [IR_I32] = 0xffffffff, [IR_I64] = UINT64_MAX,
    };

    return type <= IR_I64 ? masks[type] : UINT64_MAX;
}

bool ir_is_const(const IrBlock *ir, IrVal v, uint64_t *value)
{
    const IrInsn *def;

    if (!v.id || ir->value_type[v.id] == IR_FLAGS) {
        return false;
    }
    def = &ir->insns[ir->value_def[v.id]];
    if (def->op != IR_const) {
        return false;
    }
    if (value) {
        *value = def->imm;
    }
    return true;
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
