/* Stack instructions: PUSH, POP, PUSHA, POPA, ENTER, LEAVE, PUSHF, POPF. Memory first, SP last. */
#include "target/x86/insns.h"

void x86_emit_push(X86Translator *tr, X86Insn *in)
{
    X86Operand source = in->row->operand[0];
    IrVal value = source == O_Iz || source == O_Ibs ? x86_immediate(tr, in, 0) : x86_operand_get(tr, in, 0);

    x86_push(tr, in, in->type, value);
}

void x86_emit_pop(X86Translator *tr, X86Insn *in)
{
    unsigned size = x86_size(in->type);
    IrVal value = x86_stack_load(tr, in, in->type, R_SP, 0);

    if (in->is_mem) {
        if (in->base == R_SP) {
            in->disp += size; /* the address is computed with the new SP */
            in->disp_size = 0;
        }
        x86_operand_put(tr, in, 0, value);
        x86_stack_move(tr, size);
    } else {
        x86_stack_move(tr, size);
        x86_operand_put(tr, in, 0, value); /* pop sp: this one stays */
    }
}

void x86_emit_pusha(X86Translator *tr, X86Insn *in)
{
    int64_t size = x86_size(in->type);

    for (unsigned reg = R_AX; reg <= R_DI; reg++) {
        x86_stack_store(tr, in, in->type, -size * (reg + 1), x86_gpr_get(tr, in, in->type, reg));
    }
    x86_stack_move(tr, -size * 8);
}

void x86_emit_popa(X86Translator *tr, X86Insn *in)
{
    int64_t size = x86_size(in->type);
    IrVal values[8];

    for (int reg = R_DI; reg >= R_AX; reg--) {
        values[reg] = x86_stack_load(tr, in, in->type, R_SP, size * (R_DI - reg));
    }
    for (unsigned reg = R_AX; reg <= R_DI; reg++) {
        if (reg != R_SP) {
            x86_gpr_put(tr, in, in->type, reg, values[reg]);
        }
    }
    x86_stack_move(tr, size * 8);
}

IrVal x86_flags_to_push(X86Translator *tr)
{
    IrBlock *ir = tr->ir;
    IrVal arithmetic = ir_op1(ir, IR_flags_image, IR_I32, x86_flags_all(tr));
    IrVal system = ir_op2(ir, IR_and, IR_I32, ir_get(ir, IR_I32, SLOT_EFLAGS), x86_const(tr, IR_I32, ~(uint32_t)(EFL_VM | EFL_RF)));
    IrVal down = ir_op2(ir, IR_and, IR_I32, ir_get(ir, IR_I32, SLOT_DF), x86_const(tr, IR_I32, EFL_DF)); /* 1 or -1 */

    return ir_op2(ir, IR_or, IR_I32, ir_op2(ir, IR_or, IR_I32, arithmetic, system), down);
}

/* The helper checks V86 mode. */
void x86_emit_pushf(X86Translator *tr, X86Insn *in)
{
    bool checked = tr->vm && tr->iopl < 3;
    IrVal image = checked ? X86_CALL1(tr, pushf, x86_const(tr, IR_I64, in->type)) : x86_arg(tr, IR_I32, x86_flags_to_push(tr));

    x86_push(tr, in, in->type, image);
}

static void call_popf(X86Translator *tr, X86Insn *in)
{
    bool checked = tr->vm && tr->iopl < 3;
    IrVal value;

    if (checked && in->type != IR_I16) {
        x86_gp0(tr);
        return;
    }
    if (checked) { /* whether it is allowed at all */
        X86_CALL1(tr, check_popf, x86_const(tr, IR_I64, 0));
    }
    value = x86_stack_load(tr, in, in->type, R_SP, 0);
    if (checked) { /* here, as the helper is behind the move of SP */
        X86_CALL1(tr, check_popf, x86_arg(tr, in->type, value));
    }
    x86_stack_move(tr, x86_size(in->type));
    X86_CALL2(tr, popf, x86_arg(tr, in->type, value), x86_const(tr, IR_I64, in->type));
    x86_flags_forget(tr);
    x86_end_next(tr, in);
}

/* An interrupt may be waiting, and IF be set now. */
static void look_for_interrupt(X86Translator *tr, X86Insn *in)
{
    X86_CALL0(tr, poll_if);
}

/* Flags that change nothing of the mode. */
void x86_emit_popf(X86Translator *tr, X86Insn *in)
{
    uint32_t of_mode = EFL_TF | (tr->cpl == 0 ? EFL_IOPL : 0) | (in->type != IR_I16 ? EFL_AC : 0);
    uint32_t mask = EFL_NT | (tr->cpl <= tr->iopl ? EFL_IF : 0) | (in->type != IR_I16 ? EFL_ID : 0);
    IrBlock *ir = tr->ir;
    IrVal value, old, changed, down;

    if (tr->vm || x86_each_insn_exits(tr) || tr->mode & MODE_GUEST) {
        call_popf(tr, in);
        return;
    }
    value = x86_stack_load(tr, in, in->type, R_SP, 0);
    value = in->type == IR_I16 ? ir_zext(ir, IR_I32, IR_I16, value) : value; /* of 64 bits the low half is used */
    old = ir_get(ir, IR_I32, SLOT_EFLAGS);
    changed = ir_op2(ir, IR_and, IR_I32, ir_op2(ir, IR_xor, IR_I32, value, old), x86_const(tr, IR_I32, of_mode));
    x86_emit_other_if(tr, in, COND_NE, IR_I32, changed, x86_const(tr, IR_I32, 0), call_popf);
    down = ir_op2(ir, IR_and, IR_I32, ir_op2(ir, IR_shr, IR_I32, value, x86_const(tr, IR_I8, 9)), x86_const(tr, IR_I32, 2)); /* DF */
    ir_put(ir, IR_I32, SLOT_EFLAGS, ir_op2(ir, IR_or, IR_I32, ir_op2(ir, IR_and, IR_I32, old, x86_const(tr, IR_I32, ~(mask | EFL_RF))),
                                           ir_op2(ir, IR_and, IR_I32, value, x86_const(tr, IR_I32, mask))));
    ir_put(ir, IR_I32, SLOT_DF, ir_op2(ir, IR_sub, IR_I32, x86_const(tr, IR_I32, 1), down));
    x86_flags_put_image(tr, ir_op2(ir, IR_and, IR_I32, value, x86_const(tr, IR_I32, FLAGS_ALL)));
    x86_stack_move(tr, x86_size(in->type));
    if (mask & EFL_IF) {
        x86_emit_other_if(tr, in, COND_EQ, IR_I64, ir_get_field(ir, IR_I64, offsetof(X86State, no_interrupt_waits)),
                          x86_const(tr, IR_I64, 0), look_for_interrupt);
    }
}

/* ENTER: a frame of imm bytes at nesting level imm2, which copies that many frame pointers. */
void x86_emit_enter(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrType pointer = x86_stack_type(tr);
    int64_t size = x86_size(in->type);
    unsigned level = in->imm2 & 31;
    int64_t move = -size * (level + 1) - (int64_t)in->imm;
    IrVal frame = ir_op2(ir, IR_sub, pointer, ir_get(ir, pointer, SLOT_SP), x86_const(tr, pointer, size));

    if (in->type > pointer) { /* SP moves, the frame pointer is all of ESP */
        frame = ir_op2(ir, IR_or, IR_I32, ir_zext(ir, IR_I32, pointer, frame),
                       ir_op2(ir, IR_and, IR_I32, ir_get(ir, IR_I32, SLOT_SP), x86_const(tr, IR_I32, 0xffff0000)));
    }
    x86_stack_store(tr, in, in->type, -size, x86_gpr_get(tr, in, in->type, R_BP));
    for (unsigned i = 1; i < level; i++) {
        x86_stack_store(tr, in, in->type, -size * (i + 1), x86_stack_load(tr, in, in->type, R_BP, -size * i));
    }
    if (level) {
        x86_stack_store(tr, in, in->type, -size * (level + 1), frame);
    }
    x86_stack_probe(tr, in, in->type, move); /* the new frame has to be writable */
    x86_stack_move(tr, move);
    ir_put(ir, in->type, SLOT_BP, frame);
}

void x86_emit_leave(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrType pointer = x86_stack_type(tr);
    IrVal value = x86_stack_load(tr, in, in->type, R_BP, 0);

    ir_put(ir, pointer, SLOT_SP, ir_op2(ir, IR_add, pointer, ir_get(ir, pointer, SLOT_BP),
                                        x86_const(tr, pointer, x86_size(in->type))));
    x86_gpr_put(tr, in, in->type, R_BP, value);
}
