/* Checks an IR block: types, single assignment, inputs defined before use, labels, a final exit. */
#include "tcg/ir.h"

#include <stdarg.h>

#include "ir_private.h"
#include "tcg/raw.h"

typedef struct Check {
    const IrBlock *ir;
    uint32_t at;         /* the insn being checked */
    uint32_t region;     /* how many labels came before it */
    uint32_t *defined;   /* by value: region of its definition + 1, 0: not yet */
    uint8_t *label_seen, *label_used;
    char **why;
} Check;

static bool fail(Check *c, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool fail(Check *c, const char *format, ...)
{
    const IrBlock *ir = c->ir;
    IrOp op = c->at < ir->n_insns ? ir->insns[c->at].op : IR_OP_COUNT;
    va_list args;

    if (c->why) {
        g_autofree char *reason = NULL;

        va_start(args, format);
        reason = g_strdup_vprintf(format, args);
        va_end(args);
        *c->why = g_strdup_printf("insn %u (%s): %s", c->at, op < IR_OP_COUNT ? ir_op_name(op) : "?", reason);
    }
    return false;
}

static bool check_input(Check *c, unsigned index, IrType wanted)
{
    const IrBlock *ir = c->ir;
    const IrInsn *insn = &ir->insns[c->at];
    uint32_t id = insn->in[index];
    IrType type;

    if (id == 0 || id >= ir->n_values) {
        return fail(c, "input %u is no value", index);
    }
    if (!c->defined[id]) {
        return fail(c, "input %%%u is not defined before", id);
    }
    type = ir->value_type[id];
    if (c->defined[id] != c->region + 1 && !ir_is_const(ir, (IrVal){id}, NULL)) {
        return fail(c, "input %%%u lives across a label", id);
    }
    if ((wanted == IR_FLAGS) != (type == IR_FLAGS)) {
        return fail(c, "input %%%u is %s flags", id, type == IR_FLAGS ? "" : "not");
    }
    if (wanted != IR_FLAGS && (type > IR_I64 || type < wanted)) {
        return fail(c, "input %%%u is too narrow", id);
    }
    return true;
}

static bool define(Check *c, uint32_t id, IrType type)
{
    const IrBlock *ir = c->ir;

    if (id == 0 || id >= ir->n_values) {
        return fail(c, "output %u is no value", id);
    }
    if (c->defined[id]) {
        return fail(c, "output %%%u is assigned twice", id);
    }
    if (ir->value_type[id] != type) {
        return fail(c, "output %%%u has the wrong type", id);
    }
    if (ir->value_def[id] != c->at) {
        return fail(c, "output %%%u is recorded as defined by insn %u", id, ir->value_def[id]);
    }
    c->defined[id] = c->region + 1;
    return true;
}

/* How wide input `index` of a pure operation has to be. */
static IrType input_type(const IrInsn *insn, unsigned index)
{
    switch (insn->op) {
    case IR_shl:
    case IR_shr:
    case IR_sar:
    case IR_rol:
    case IR_ror:
    case IR_bt:
        return index == 1 ? IR_I8 : insn->type;
    case IR_shld:
    case IR_shrd:
        return index == 2 ? IR_I8 : insn->type;
    case IR_select:
        return index == 0 ? IR_I8 : insn->type;
    case IR_order:
        return index == 2 ? IR_I8 : insn->type;
    case IR_sext:
    case IR_zext:
        return insn->bits;
    case IR_flags_from:
        return IR_I32;
    default:
        return insn->type;
    }
}

static bool check_pure(Check *c, const IrInsn *insn)
{
    int outputs = ir_op_outputs(insn->op);

    if (insn->type > IR_I64) {
        return fail(c, "not of an integer type");
    }
    if (insn->op == IR_const && insn->imm & ~ir_mask(insn->type)) {
        return fail(c, "constant is wider than its type");
    }
    if ((insn->op == IR_sext || insn->op == IR_zext) && insn->bits > insn->type) {
        return fail(c, "extends from a wider type");
    }
    if ((insn->op == IR_setcc || insn->op == IR_selectcc) && insn->bits > CC_G) {
        return fail(c, "no such condition");
    }
    if (insn->op == IR_eqb && insn->type != IR_I64) {
        return fail(c, "is of I64 only");
    }
    if (insn->op == IR_setcond && insn->bits > COND_GTS) {
        return fail(c, "no such condition");
    }
    for (int i = 0; i < ir_op_inputs(insn->op); i++) {
        if (!check_input(c, i, ir_input_is_flags(insn->op, i) ? IR_FLAGS : input_type(insn, i))) {
            return false;
        }
    }
    for (int i = 0; i < outputs; i++) {
        if (!define(c, insn->out + i, ir_output_type(insn->op, insn->type))) {
            return false;
        }
    }
    return !ir_insn_defines_flags(insn) || define(c, insn->out + outputs, IR_FLAGS);
}

static bool check_slot(Check *c, const IrInsn *insn)
{
    if (insn->bits >= c->ir->n_slots) {
        return fail(c, "no such slot");
    }
    if (insn->type > c->ir->slots[insn->bits].type) {
        return fail(c, "wider than the slot");
    }
    if ((insn->op == IR_get8h || insn->op == IR_put8h) &&
        (insn->type != IR_I8 || c->ir->slots[insn->bits].type < IR_I16)) {
        return fail(c, "the slot has no bits 8-15");
    }
    return true;
}

static bool check_memory(Check *c, const IrInsn *insn)
{
    IrType out = insn->type;

    if (insn->type > IR_I64) {
        return fail(c, "not of an integer type");
    }
    if (!check_input(c, 0, IR_I32)) {
        return false;
    }
    for (int i = 1; i < ir_op_inputs(insn->op); i++) {
        if (!check_input(c, i, insn->type)) {
            return false;
        }
    }
    if (insn->op == IR_load) {
        out = insn->bits & (IRM_ZX | IRM_SX) ? IR_I64 : insn->bits & IRM_SX32 ? IR_I32 : out;
    }
    return ir_op_outputs(insn->op) == 0 || define(c, insn->out, out);
}

static bool check_raw(Check *c, const IrInsn *insn)
{
    unsigned index = insn->bits & ~IRB_FLAGS;
    const IrRaw *raw = &c->ir->raws[index];
    bool in;

    if (index >= c->ir->n_raws) {
        return fail(c, "no such raw instruction");
    }
    in = raw->reg_role == RAW_GPR_IN || raw->reg_role == RAW_GPR_INOUT ||
         raw->rm_role == RAW_GPR_IN || raw->rm_role == RAW_GPR_INOUT;
    if (raw->rm_role == RAW_MEM && (raw->mem_size == 0 || raw->mem_size > 512)) {
        return fail(c, "memory operand of %u bytes", raw->mem_size);
    }
    return (raw->rm_role != RAW_MEM || check_input(c, 0, IR_I32)) &&
           (!in || check_input(c, 1, raw->gpr_type)) &&
           (!raw->flags_in || check_input(c, 1, IR_FLAGS)) &&
           define(c, insn->out, ir_raw_has_output(raw) ? raw->gpr_type : IR_VOID) &&
           define(c, insn->out + 1, insn->bits & IRB_FLAGS ? IR_FLAGS : c->ir->value_type[insn->out + 1]);
}

static bool check_call(Check *c, const IrInsn *insn)
{
    const IrHelper *helper;

    if (insn->bits >= c->ir->n_helpers) {
        return fail(c, "no such helper");
    }
    helper = &c->ir->helpers[insn->bits];
    for (int i = 0; i < 4; i++) {
        if (i < helper->args ? !check_input(c, i, IR_I8) : insn->in[i] != 0) {
            return i < helper->args ? false : fail(c, "%s takes %d arguments", helper->name, helper->args);
        }
    }
    return helper->result == IR_VOID ? insn->out == 0 || fail(c, "%s returns nothing", helper->name)
                                     : define(c, insn->out, helper->result);
}

static bool check_label_number(Check *c, const IrInsn *insn)
{
    if (insn->imm >= c->ir->n_labels) {
        return fail(c, "no such label");
    }
    if (insn->op != IR_label) {
        c->label_used[insn->imm] = 1;
    } else if (c->label_seen[insn->imm]++) {
        return fail(c, "label %u is placed twice", (unsigned)insn->imm);
    } else {
        c->region++;
    }
    return true;
}

static bool check_field(Check *c, const IrInsn *insn)
{
    if (insn->type > IR_I64) {
        return fail(c, "not of an integer type");
    }
    for (unsigned i = 0; i < c->ir->n_slots; i++) {
        const IrSlot *slot = &c->ir->slots[i];

        if (insn->imm < slot->offset + ir_type_size(slot->type) && slot->offset < insn->imm + ir_type_size(insn->type)) {
            return fail(c, "the field is slot %s", slot->name);
        }
    }
    return true;
}

static bool check_insn(Check *c, const IrInsn *insn)
{
    if (insn->op >= IR_OP_COUNT) {
        return fail(c, "no such operation");
    }
    if (ir_op_pure(insn->op)) {
        return check_pure(c, insn);
    }
    switch ((IrOp)insn->op) {
    case IR_get:
    case IR_get8h:
        return check_slot(c, insn) && define(c, insn->out, insn->type);
    case IR_put:
    case IR_put8h:
        return check_slot(c, insn) && check_input(c, 0, insn->type);
    case IR_fast:
        if (insn->bits >= c->ir->n_fasts || c->ir->fasts[insn->bits].helper >= c->ir->n_helpers) {
            return fail(c, "no such operation or helper");
        }
        return insn->out == 0 || define(c, insn->out, insn->type);
    case IR_get_field:
        return check_field(c, insn) && define(c, insn->out, insn->type);
    case IR_host_counter:
        return (insn->type == IR_I64 || fail(c, "not of 64 bits")) && define(c, insn->out, IR_I64) && define(c, insn->out + 1, IR_I64);
    case IR_load_code:
        return (insn->type <= IR_I64 || fail(c, "not an integer")) && define(c, insn->out, insn->type);
    case IR_try_copy:
    case IR_try_fill:
        return (insn->bits <= 3 || fail(c, "no such size")) && check_input(c, 0, insn->type) &&
               check_input(c, 1, insn->op == IR_try_copy ? insn->type : (IrType)insn->bits) && check_input(c, 2, insn->type) &&
               define(c, insn->out, IR_I8);
    case IR_put_field:
        return check_field(c, insn) && check_input(c, 0, insn->type);
    case IR_divu2_checked:
    case IR_divs2_checked:
        return (insn->type == IR_I32 || insn->type == IR_I64 || fail(c, "not of 32 or 64 bits")) && check_pure(c, insn);
    case IR_raw:
        return check_raw(c, insn);
    case IR_call:
        return check_call(c, insn);
    case IR_label:
    case IR_br:
        return check_label_number(c, insn);
    case IR_brcc:
        return (insn->bits <= CC_G || fail(c, "no such condition")) && check_input(c, 0, IR_FLAGS) &&
               check_label_number(c, insn);
    case IR_brcond:
        return (insn->bits <= COND_GTS || fail(c, "no such condition")) &&
               (insn->type <= IR_I64 || fail(c, "not of an integer type")) &&
               check_input(c, 0, insn->type) && check_input(c, 1, insn->type) && check_label_number(c, insn);
    case IR_exit_if:
        return (insn->bits <= CC_G || fail(c, "no such condition")) && check_input(c, 0, IR_FLAGS);
    case IR_exit_lookup:
        return check_input(c, 0, IR_I8);
    case IR_fence:
    case IR_insn_start:
    case IR_exit_jump:
    case IR_exit_main:
    case IR_poll:
        return true;
    default:
        return check_memory(c, insn);
    }
}

static bool ends_block(const IrBlock *ir, const IrInsn *insn)
{
    switch (insn->op) {
    case IR_br:
    case IR_exit_jump:
    case IR_exit_lookup:
    case IR_exit_main:
        return true;
    case IR_call:
        return ir->helpers[insn->bits].effects & EFFECT_NORETURN;
    default:
        return false;
    }
}

static bool check_block(Check *c)
{
    const IrBlock *ir = c->ir;
    uint32_t before = 0;

    for (c->at = 0; c->at < ir->n_insns; c->at++) {
        if (!check_insn(c, &ir->insns[c->at])) {
            return false;
        }
    }
    c->at = ir->n_insns ? ir->n_insns - 1 : 0;
    while (c->at > 0 && ir->insns[c->at].op == IR_const) {
        c->at--; /* kept for uses that have gone */
    }
    if (ir->n_insns == 0 || !ends_block(ir, &ir->insns[c->at])) {
        return fail(c, "the block does not end in an exit");
    }
    for (unsigned i = 0; i < ir->n_labels; i++) {
        if (c->label_used[i] && !c->label_seen[i]) {
            return fail(c, "label %u is nowhere", i);
        }
    }
    for (unsigned i = 0; i < ir->exit_dead->len; i++) {
        c->at = g_array_index(ir->exit_dead, IrExitDead, i).insn;
        if (c->at >= ir->n_insns || (i && c->at <= before) || !ir_op_exits(ir->insns[c->at].op)) {
            return fail(c, "exit_dead entry %u is not for an exit", i);
        }
        before = c->at;
    }
    return true;
}

bool ir_verify(const IrBlock *ir, char **why)
{
    g_autofree uint32_t *defined = g_new0(uint32_t, ir->n_values);
    g_autofree uint8_t *label_seen = g_new0(uint8_t, ir->n_labels + 1);
    g_autofree uint8_t *label_used = g_new0(uint8_t, ir->n_labels + 1);
    Check c = {.ir = ir, .defined = defined, .label_seen = label_seen, .label_used = label_used, .why = why};

    return check_block(&c);
}
