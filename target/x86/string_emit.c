/* String instructions: one step inline, repeated ones by a helper that works on runs (string.c). */
#include "target/x86/insns.h"

#include "target/x86/string.h"

#define NONE ((IrVal){0})

static IrVal pointer_address(X86Translator *tr, X86Insn *in, IrType type, unsigned reg, bool write)
{
    int seg = reg == R_DI ? S_ES : in->seg_override >= 0 ? in->seg_override : S_DS;

    return x86_linear(tr, in, seg, ir_get(tr->ir, in->addr_type, SLOT_AX + reg), in->addr_type,
                      x86_size(type), write);
}

static IrVal load_from(X86Translator *tr, X86Insn *in, IrType type, unsigned reg)
{
    return ir_load(tr->ir, type, pointer_address(tr, in, type, reg, false), 0, 0);
}

static void advance(X86Translator *tr, X86Insn *in, IrType type, unsigned reg)
{
    IrBlock *ir = tr->ir;
    IrType addr = in->addr_type;
    IrVal step = ir_get(ir, IR_I32, SLOT_DF);

    if (addr == IR_I64) {
        step = ir_sext(ir, IR_I64, IR_I32, step);
    }
    if (type != IR_I8) {
        step = ir_op2(ir, IR_shl, addr, step, x86_const(tr, IR_I8, type));
    }
    ir_put(ir, addr, SLOT_AX + reg, ir_op2(ir, IR_add, addr, ir_get(ir, addr, SLOT_AX + reg), step));
}

static void compare(X86Translator *tr, IrType type, IrVal a, IrVal b)
{
    IrVal flags = ir_opf(tr->ir, IR_cmp, type, a, b, NONE).flags;

    x86_flags_put(tr, CC_CMP, type, a, b, flags);
}

static void emit_once(X86Translator *tr, X86Insn *in, X86StringOp op, IrType type)
{
    IrBlock *ir = tr->ir;
    IrVal a = NONE, b = NONE, address;

    if ((op == STRING_INS || op == STRING_OUTS) && tr->cpl > tr->iopl) { /* before memory is looked at */
        X86_CALL2(tr, check_io, x86_arg(tr, IR_I16, ir_get(ir, IR_I16, SLOT_DX)), x86_const(tr, IR_I64, x86_size(type)));
    }
    switch (op) {
    case STRING_MOVS:
        a = load_from(tr, in, type, R_SI);
        ir_store(ir, type, pointer_address(tr, in, type, R_DI, true), 0, a, 0);
        break;
    case STRING_STOS:
        ir_store(ir, type, pointer_address(tr, in, type, R_DI, true), 0, ir_get(ir, type, SLOT_AX), 0);
        break;
    case STRING_LODS:
        ir_put(ir, type, SLOT_AX, load_from(tr, in, type, R_SI));
        break;
    case STRING_CMPS:
        b = load_from(tr, in, type, R_DI); /* which processors look at first */
        a = load_from(tr, in, type, R_SI);
        break;
    case STRING_SCAS:
        a = ir_get(ir, type, SLOT_AX);
        b = load_from(tr, in, type, R_DI);
        break;
    case STRING_INS:
        address = pointer_address(tr, in, type, R_DI, true);
        ir_probe_store(ir, type, address, 0, 0);
        a = X86_CALL2(tr, in, x86_arg(tr, IR_I16, ir_get(ir, IR_I16, SLOT_DX)), x86_const(tr, IR_I64, x86_size(type)));
        ir_store(ir, type, address, 0, a, 0);
        break;
    case STRING_OUTS:
        a = load_from(tr, in, type, R_SI);
        x86_call(tr, HELPER_out, x86_arg(tr, IR_I16, ir_get(ir, IR_I16, SLOT_DX)), x86_arg(tr, type, a),
                 x86_const(tr, IR_I64, x86_size(type)), x86_const(tr, IR_I64, 0));
        break;
    }
    if (op != STRING_STOS && op != STRING_SCAS && op != STRING_INS) {
        advance(tr, in, type, R_SI);
    }
    if (op != STRING_LODS && op != STRING_OUTS) {
        advance(tr, in, type, R_DI);
    }
    if (b.id) {
        compare(tr, type, a, b);
    }
}

void x86_emit_string(X86Translator *tr, X86Insn *in)
{
    X86StringOp op = in->row->op;
    IrType type = in->opcode & 1 ? in->type : IR_I8;
    IrVal left;
    unsigned seg, how;

    if (type == IR_I64 && (op == STRING_INS || op == STRING_OUTS)) {
        type = IR_I32;
    }
    if (!in->rep) {
        emit_once(tr, in, op, type);
        if (tr->mode & MODE_IO_BREAKPOINTS && (op == STRING_INS || op == STRING_OUTS)) {
            x86_end_jump(tr, in->next_pc); /* as after IN */
        }
        return;
    }
    seg = in->seg_override >= 0 ? in->seg_override : S_DS;
    how = STRING_HOW(op, type, in->addr_type, in->rep == 0xf2);
    left = X86_CALL2(tr, string_rep, x86_const(tr, IR_I64, how), x86_const(tr, IR_I64, seg));
    if (op == STRING_CMPS || op == STRING_SCAS) {
        x86_flags_forget(tr);
    }
    /* Interrupted: the instruction begins again after the poll. */
    x86_retry_unless_equal(tr, in, IR_I64, left, x86_const(tr, IR_I64, 0));
    if (tr->mode & MODE_IO_BREAKPOINTS) {
        x86_end_jump(tr, in->next_pc);
    }
}
