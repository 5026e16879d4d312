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

static IrType element_type(const X86Insn *in)
{
    X86StringOp op = in->row->op;
    IrType type = in->opcode & 1 ? in->type : IR_I8;

    return type == IR_I64 && (op == STRING_INS || op == STRING_OUTS) ? IR_I32 : type;
}

static void emit_repeated(X86Translator *tr, X86Insn *in)
{
    X86StringOp op = in->row->op;
    unsigned seg = in->seg_override >= 0 ? in->seg_override : S_DS;
    unsigned how = STRING_HOW(op, element_type(in), in->addr_type, in->rep == 0xf2);
    IrVal left = X86_CALL2(tr, string_rep, x86_const(tr, IR_I64, how), x86_const(tr, IR_I64, seg));

    if (op == STRING_CMPS || op == STRING_SCAS) {
        x86_flags_forget(tr);
    }
    /* Interrupted: the instruction begins again after the poll. */
    x86_retry_unless_equal(tr, in, IR_I64, left, x86_const(tr, IR_I64, 0));
}

/* Whether the pointers of MOVS and STOS are addresses. */
static bool has_plain_pointers(const X86Translator *tr, const X86Insn *in)
{
    int seg = in->seg_override;

    return in->addr_type == tr->addr_type && (tr->cs64 || tr->flat) && seg != S_FS && seg != S_GS && (tr->cs64 || seg != S_CS);
}

static void add_bytes(X86Translator *tr, X86Insn *in, unsigned reg, IrVal bytes)
{
    IrType type = in->addr_type;

    ir_put(tr->ir, type, SLOT_AX + reg, ir_op2(tr->ir, IR_add, type, ir_get(tr->ir, type, SLOT_AX + reg), bytes));
}

/* The usual case of MOVS and STOS, upward within a page; the helper does the others. */
static void emit_at_once(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrType type = in->addr_type, element = element_type(in);
    bool is_move = in->row->op == STRING_MOVS;
    IrVal count, bytes, done;

    x86_emit_other_if(tr, in, COND_LTS, IR_I32, ir_get(ir, IR_I32, SLOT_DF), x86_const(tr, IR_I32, 0), emit_repeated);
    count = ir_get(ir, type, SLOT_CX);
    done = ir_try_string(ir, is_move ? IR_try_copy : IR_try_fill, type, element, ir_get(ir, type, SLOT_DI),
                         is_move ? ir_get(ir, type, SLOT_SI) : ir_get(ir, element, SLOT_AX), count);
    x86_emit_other_if(tr, in, COND_EQ, IR_I8, done, x86_const(tr, IR_I8, 0), emit_repeated);
    bytes = element ? ir_op2(ir, IR_shl, type, count, x86_const(tr, IR_I8, element)) : count;
    add_bytes(tr, in, R_DI, bytes);
    if (is_move) {
        add_bytes(tr, in, R_SI, bytes);
    }
    ir_put(ir, type, SLOT_CX, x86_const(tr, type, 0));
}

void x86_emit_string(X86Translator *tr, X86Insn *in)
{
    X86StringOp op = in->row->op;
    IrType type = element_type(in);

    if (!in->rep) {
        emit_once(tr, in, op, type);
        if (tr->mode & MODE_IO_BREAKPOINTS && (op == STRING_INS || op == STRING_OUTS)) {
            x86_end_jump(tr, in->next_pc); /* as after IN */
        }
        return;
    }
    if ((op == STRING_MOVS || op == STRING_STOS) && has_plain_pointers(tr, in)) {
        emit_at_once(tr, in);
    } else {
        emit_repeated(tr, in);
    }
    if (tr->mode & MODE_IO_BREAKPOINTS) {
        x86_end_jump(tr, in->next_pc);
    }
}
