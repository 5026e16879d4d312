/* Arithmetic and logic: SDM volume 2, ADD to XOR, INC, DEC, NEG, NOT, CMPXCHG, XADD, ADCX, ADOX. */
#include "target/x86/insns.h"

#define NONE ((IrVal){0})

/* The result; its flags are put by the function returned in *put with what is kept here, as puts
 * come after the store. */
typedef struct Result {
    IrVal value, flags;
    X86CcOp cc;
    IrVal dst, src; /* of the cc slots */
    IrVal carry;    /* adc, sbb: held the carry in */
} Result;

static Result compute(X86Translator *tr, X86AluOp op, IrType type, IrVal a, IrVal b)
{
    static const struct { uint8_t ir, cc; } ops[] = {
        [ALU_ADD] = {IR_add, CC_ADD}, [ALU_OR] = {IR_or, CC_LOGIC}, [ALU_ADC] = {IR_adc, CC_ADC},
        [ALU_SBB] = {IR_sbb, CC_SBB}, [ALU_AND] = {IR_and, CC_LOGIC}, [ALU_SUB] = {IR_sub, CC_SUB},
        [ALU_XOR] = {IR_xor, CC_LOGIC}, [ALU_CMP] = {IR_cmp, CC_CMP},
    };
    Result r = {.cc = ops[op].cc};
    IrValFlags out;

    if (op == ALU_ADC || op == ALU_SBB) {
        r.carry = x86_flags_carry(tr);
    }
    out = ir_opf(tr->ir, ops[op].ir, type, a, b, r.carry);
    r.value = out.value;
    r.flags = out.flags;
    r.dst = op == ALU_CMP ? a : out.value;
    r.src = r.cc == CC_LOGIC ? NONE : b;
    return r;
}

static void put_flags(X86Translator *tr, IrType type, const Result *r)
{
    if (r->carry.id) {
        x86_flags_put_carried(tr, r->cc, type, r->dst, r->src, r->carry, r->flags);
    } else {
        x86_flags_put(tr, r->cc, type, r->dst, r->src, r->flags);
    }
}

/* memory = new if it still is old; else the instruction begins again. */
static void store_if_same(X86Translator *tr, X86Insn *in, IrType type, IrVal old, IrVal new)
{
    int64_t disp;
    IrVal address = x86_address_sized(tr, in, x86_size(type), true, &disp);
    IrVal found = ir_atomic(tr->ir, IR_atomic_cmpxchg, type, address, disp, old, new);

    x86_retry_unless_equal(tr, in, type, found, old);
}

static IrVal locked(X86Translator *tr, X86Insn *in, IrOp op, IrType type, IrVal b)
{
    int64_t disp;
    IrVal address = x86_address_sized(tr, in, x86_size(type), true, &disp);

    return ir_atomic(tr->ir, op, type, address, disp, b, NONE);
}

/* What is in memory, for store_if_same: a fault is that of a store. */
static IrVal load_for_store(X86Translator *tr, X86Insn *in, IrType type)
{
    int64_t disp;
    IrVal address = x86_address_sized(tr, in, x86_size(type), true, &disp);

    ir_probe_store(tr->ir, type, address, disp, 0);
    return ir_load(tr->ir, type, address, disp, 0);
}

/* What lock add, or, and, sub, xor find in memory; they have done their work then. */
static IrVal locked_alu(X86Translator *tr, X86Insn *in, X86AluOp op, IrType type, IrVal b)
{
    switch (op) {
    case ALU_OR:
        return locked(tr, in, IR_atomic_or, type, b);
    case ALU_AND:
        return locked(tr, in, IR_atomic_and, type, b);
    case ALU_XOR:
        return locked(tr, in, IR_atomic_xor, type, b);
    case ALU_SUB:
        return locked(tr, in, IR_atomic_add, type, ir_op1(tr->ir, IR_neg, type, b));
    default:
        return locked(tr, in, IR_atomic_add, type, b);
    }
}

static bool is_zeroing(const X86Insn *in, X86AluOp op, IrType type)
{
    return (op == ALU_XOR || op == ALU_SUB) && in->mod == 3 && in->reg == in->rm && type >= IR_I32 &&
           in->row->operand[1] != O_Ibs && in->row->operand[1] != O_Iz;
}

void x86_emit_alu(X86Translator *tr, X86Insn *in)
{
    X86AluOp op = in->row->op;
    IrType type = x86_operand_type(in, 0);
    IrVal a, b;
    Result r;

    if (in->row->operand[1] == O_Ib || in->row->operand[1] == O_Ibs || in->row->operand[1] == O_Iz) {
        b = x86_immediate(tr, in, 1);
    } else if (is_zeroing(in, op, type)) {
        /* The register's old value does not matter. */
        a = b = x86_const(tr, type, 0);
        r = compute(tr, op, type, a, b);
        x86_operand_put(tr, in, 0, a);
        put_flags(tr, type, &r);
        return;
    } else {
        b = x86_operand_get(tr, in, 1);
    }
    if (in->lock && op != ALU_ADC && op != ALU_SBB) {
        a = locked_alu(tr, in, op, type, b);
        r = compute(tr, op, type, a, b);
    } else {
        a = in->lock ? load_for_store(tr, in, type) : op == ALU_CMP ? x86_operand_get(tr, in, 0) : x86_operand_update(tr, in);
        r = compute(tr, op, type, a, b);
        if (in->lock) {
            store_if_same(tr, in, type, a, r.value);
        } else if (op != ALU_CMP) {
            x86_operand_put(tr, in, 0, r.value);
        }
    }
    put_flags(tr, type, &r);
}

void x86_emit_test(X86Translator *tr, X86Insn *in)
{
    IrType type = x86_operand_type(in, 0);
    IrVal a = x86_operand_get(tr, in, 0);
    X86Operand second = in->row->operand[1];
    IrVal b = second == O_Ib || second == O_Iz ? x86_immediate(tr, in, 1) : x86_operand_get(tr, in, 1);
    IrVal flags = ir_opf(tr->ir, IR_test, type, a, b, NONE).flags;

    x86_flags_put(tr, CC_TEST, type, a, b, flags);
}

static void emit_step(X86Translator *tr, X86Insn *in, bool dec)
{
    IrType type = x86_operand_type(in, 0);
    IrVal one = x86_const(tr, type, 1);
    IrVal old = in->lock ? locked(tr, in, IR_atomic_add, type, x86_const(tr, type, dec ? -1 : 1))
                         : x86_operand_update(tr, in);
    IrValFlags new = ir_opf(tr->ir, dec ? IR_sub : IR_add, type, old, one, NONE);

    if (!in->lock) {
        x86_operand_put(tr, in, 0, new.value);
    }
    x86_flags_put_aux(tr, dec ? CC_AUX_DEC : CC_AUX_INC, type, new.value, new.flags);
}

void x86_emit_inc(X86Translator *tr, X86Insn *in)
{
    emit_step(tr, in, false);
}

void x86_emit_dec(X86Translator *tr, X86Insn *in)
{
    emit_step(tr, in, true);
}

void x86_emit_not(X86Translator *tr, X86Insn *in)
{
    IrType type = x86_operand_type(in, 0);

    if (in->lock) {
        locked(tr, in, IR_atomic_xor, type, x86_const(tr, type, UINT64_MAX));
        return;
    }
    x86_operand_put(tr, in, 0, ir_op1(tr->ir, IR_not, type, x86_operand_update(tr, in)));
}

void x86_emit_neg(X86Translator *tr, X86Insn *in)
{
    IrType type = x86_operand_type(in, 0);
    IrVal old = in->lock ? load_for_store(tr, in, type) : x86_operand_update(tr, in);
    IrValFlags new = ir_opf(tr->ir, IR_neg, type, old, NONE, NONE);

    if (in->lock) {
        store_if_same(tr, in, type, old, new.value);
    } else {
        x86_operand_put(tr, in, 0, new.value);
    }
    x86_flags_put(tr, CC_SUB, type, new.value, old, new.flags);
}

void x86_emit_cmpxchg(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrType type = x86_operand_type(in, 0);
    IrVal src = x86_operand_get(tr, in, 1);
    IrVal expected = ir_get(ir, type, SLOT_AX);
    IrVal old, flags;

    if (in->is_mem) {
        int64_t disp;
        IrVal address = x86_address_sized(tr, in, x86_size(type), true, &disp);

        if (in->lock) {
            old = ir_atomic(ir, IR_atomic_cmpxchg, type, address, disp, expected, src);
            flags = ir_opf(ir, IR_cmp, type, expected, old, NONE).flags;
        } else {
            old = ir_load(ir, type, address, disp, IRM_UPDATE);
            flags = ir_opf(ir, IR_cmp, type, expected, old, NONE).flags;
            ir_store(ir, type, address, disp, ir_selectcc(ir, type, CC_E, flags, src, old), 0);
        }
    } else {
        old = x86_gpr_get(tr, in, type, in->rm);
        flags = ir_opf(ir, IR_cmp, type, expected, old, NONE).flags;
        if (type == IR_I32 && tr->cs64) { /* a destination that stays keeps its upper half */
            ir_put(ir, IR_I64, SLOT_AX + in->rm,
                   ir_selectcc(ir, IR_I64, CC_E, flags, ir_zext(ir, IR_I64, IR_I32, src),
                               ir_get(ir, IR_I64, SLOT_AX + in->rm)));
        } else {
            x86_gpr_put(tr, in, type, in->rm, ir_selectcc(ir, type, CC_E, flags, src, old));
        }
    }
    /* The accumulator is written only if they differ: then it is never its own destination. */
    if (in->is_mem || in->rm != R_AX) {
        if (type == IR_I32 && tr->cs64) {
            ir_put(ir, IR_I64, SLOT_AX, ir_selectcc(ir, IR_I64, CC_E, flags, ir_get(ir, IR_I64, SLOT_AX),
                                                    ir_zext(ir, IR_I64, IR_I32, old)));
        } else {
            ir_put(ir, type, SLOT_AX, ir_selectcc(ir, type, CC_E, flags, expected, old));
        }
    }
    x86_flags_put(tr, CC_CMP, type, expected, old, flags);
}

void x86_emit_xadd(X86Translator *tr, X86Insn *in)
{
    IrType type = x86_operand_type(in, 0);
    IrVal src = x86_operand_get(tr, in, 1);
    IrVal old = in->lock ? locked(tr, in, IR_atomic_add, type, src) : x86_operand_update(tr, in);
    IrValFlags sum = ir_opf(tr->ir, IR_add, type, old, src, NONE);

    if (in->lock) {
        x86_operand_put(tr, in, 1, old);
    } else if (in->is_mem) {
        x86_operand_put(tr, in, 0, sum.value);
        x86_operand_put(tr, in, 1, old);
    } else {
        x86_operand_put(tr, in, 1, old);
        x86_operand_put(tr, in, 0, sum.value); /* wins if both are one register */
    }
    x86_flags_put(tr, CC_ADD, type, sum.value, src, sum.flags);
}

/* adcx: add with CF, changing CF only; adox: the same with OF. */
void x86_emit_adx(X86Translator *tr, X86Insn *in)
{
    IrType type = in->type_y;
    IrVal a, b;
    IrValFlags sum;

    if (!x86_feature(tr, FEAT_adx)) {
        x86_ud(tr);
        return;
    }
    a = x86_operand_get(tr, in, 0);
    b = x86_operand_get(tr, in, 1);
    sum = ir_opf(tr->ir, IR_adc, type, a, b, x86_flags_of_carry(tr, in->rep == 0xf3));
    x86_operand_put(tr, in, 0, sum.value);
    x86_flags_put_either(tr, in->rep == 0xf3, sum.value, sum.flags);
}
