/* Data movement: MOV and its relatives, XCHG, LEA, CMOVcc, SETcc, conversions, segment registers. */
#include "target/x86/insns.h"
#include "target/x86/syscall.h"

#define NONE ((IrVal){0})

void x86_emit_mov(X86Translator *tr, X86Insn *in)
{
    X86Operand source = in->row->operand[1];

    if (source == O_Ib || source == O_Iz || source == O_Iv) {
        x86_operand_put(tr, in, 0, x86_immediate(tr, in, 1));
    } else {
        x86_operand_put(tr, in, 0, x86_operand_get(tr, in, 1));
    }
}

static void emit_extend(X86Translator *tr, X86Insn *in, IrType from, bool sign)
{
    IrBlock *ir = tr->ir;
    IrVal value;

    if (in->is_mem && from < in->type) {
        int64_t disp;
        IrVal address = x86_address_sized(tr, in, x86_size(from), false, &disp);

        value = ir_load(ir, from, address, disp, !sign ? IRM_ZX : in->type == IR_I32 ? IRM_SX32 : IRM_SX);
    } else {
        value = x86_rm_get(tr, in, from);
        if (from < in->type) {
            value = sign ? ir_sext(ir, in->type, from, value) : ir_zext(ir, in->type, from, value);
        }
    }
    x86_gpr_put(tr, in, in->type, in->reg, value);
}

void x86_emit_movzx(X86Translator *tr, X86Insn *in)
{
    emit_extend(tr, in, x86_operand_type(in, 1), false);
}

void x86_emit_movsx(X86Translator *tr, X86Insn *in)
{
    emit_extend(tr, in, x86_operand_type(in, 1), true);
}

/* ZF, the only flag that ARPL changes. */
static void put_zf(X86Translator *tr, bool zf)
{
    IrBlock *ir = tr->ir;
    IrVal image = ir_op1(ir, IR_flags_image, IR_I32, x86_flags_all(tr));

    image = ir_op2(ir, IR_and, IR_I32, image, x86_const(tr, IR_I32, ~FLAG_ZF));
    x86_flags_put_image(tr, ir_op2(ir, IR_or, IR_I32, image, x86_const(tr, IR_I32, zf ? FLAG_ZF : 0)));
}

static void emit_arpl_raising(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrVal dst = ir_op2(ir, IR_and, IR_I16, x86_rm_get(tr, in, IR_I16), x86_const(tr, IR_I16, 0xfffc));
    IrVal rpl = ir_op2(ir, IR_and, IR_I16, x86_gpr_get(tr, in, IR_I16, in->reg), x86_const(tr, IR_I16, 3));

    x86_rm_put(tr, in, IR_I16, ir_op2(ir, IR_or, IR_I16, dst, rpl));
    put_zf(tr, true);
}

/* ARPL: raises the RPL of the destination selector to that of the source; without a need to, it does not write. */
static void emit_arpl(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrVal dst, src, mask;

    if (!tr->pe || tr->vm) {
        x86_ud(tr);
        return;
    }
    mask = x86_const(tr, IR_I16, 3);
    dst = ir_op2(ir, IR_and, IR_I16, x86_rm_get(tr, in, IR_I16), mask);
    src = ir_op2(ir, IR_and, IR_I16, x86_gpr_get(tr, in, IR_I16, in->reg), mask);
    x86_emit_other_if(tr, in, COND_LTU, IR_I16, dst, src, emit_arpl_raising);
    put_zf(tr, false);
}

void x86_emit_movsxd(X86Translator *tr, X86Insn *in)
{
    if (tr->cs64) {
        emit_extend(tr, in, in->type == IR_I16 ? IR_I16 : IR_I32, true);
    } else {
        emit_arpl(tr, in);
    }
}

void x86_emit_lea(X86Translator *tr, X86Insn *in)
{
    IrVal offset;

    if (in->type == IR_I32 && in->addr_type == IR_I64) {
        in->addr_type = IR_I32; /* the upper half is of no interest */
    }
    offset = x86_effective(tr, in);
    if (in->type > in->addr_type) {
        offset = ir_zext(tr->ir, in->type, in->addr_type, offset);
    }
    x86_gpr_put(tr, in, in->type, in->reg, offset);
}

void x86_emit_xchg(X86Translator *tr, X86Insn *in)
{
    IrType type = x86_operand_type(in, 0);
    IrVal b = x86_operand_get(tr, in, 1);
    IrVal a;

    if (in->is_mem) {
        int64_t disp;
        IrVal address = x86_address_sized(tr, in, x86_size(type), true, &disp);

        if (tr->one_cpu) {
            a = ir_load(tr->ir, type, address, disp, IRM_UPDATE);
            ir_store(tr->ir, type, address, disp, b, 0);
        } else {
            a = ir_atomic(tr->ir, IR_atomic_xchg, type, address, disp, b, NONE);
        }
    } else {
        a = x86_operand_get(tr, in, 0);
        x86_operand_put(tr, in, 0, b);
    }
    x86_operand_put(tr, in, 1, a);
}

/* 90: NOP, PAUSE with F3 whatever REX says, XCHG R8,rAX with REX.B. */
void x86_emit_nop90(X86Translator *tr, X86Insn *in)
{
    if (in->rep != 0xf3) {
        if (in->rm != R_AX) {
            x86_emit_xchg(tr, in);
        }
    } else if (cpu_count() > 1) { /* who waits lets others run */
        if (x86_each_insn_exits(tr)) {
            x86_end_jump(tr, in->next_pc);
        } else {
            x86_end_main(tr, in->next_pc, TCG_EXIT_YIELD);
        }
    }
}

void x86_emit_cmov(X86Translator *tr, X86Insn *in)
{
    IrVal flags, yes, no;

    if (!x86_feature(tr, FEAT_cmov)) {
        x86_ud(tr);
        return;
    }
    yes = x86_operand_get(tr, in, 1);
    no = x86_operand_get(tr, in, 0);
    flags = x86_flags_for(tr, in->opcode & 15);
    x86_operand_put(tr, in, 0, ir_selectcc(tr->ir, in->type, in->opcode & 15, flags, yes, no));
}

void x86_emit_setcc(X86Translator *tr, X86Insn *in)
{
    IrCc cc = in->opcode & 15;

    x86_rm_put(tr, in, IR_I8, ir_setcc(tr->ir, cc, x86_flags_for(tr, cc)));
}

void x86_emit_bswap(X86Translator *tr, X86Insn *in)
{
    IrVal value = x86_gpr_get(tr, in, in->type, in->rm);

    /* With a 16-bit operand undefined; processors clear it. */
    value = in->type == IR_I16 ? x86_const(tr, IR_I16, 0) : ir_op1(tr->ir, IR_bswap, in->type, value);
    x86_gpr_put(tr, in, in->type, in->rm, value);
}

/* AL = [rBX + AL] */
void x86_emit_xlat(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrVal index = ir_zext(ir, in->addr_type, IR_I8, ir_get(ir, IR_I8, SLOT_AX));
    IrVal offset = ir_op2(ir, IR_add, in->addr_type, ir_get(ir, in->addr_type, SLOT_BX), index);
    int seg = in->seg_override >= 0 ? in->seg_override : S_DS;
    IrVal address = x86_linear(tr, in, seg, offset, in->addr_type, 1, false);

    ir_put(ir, IR_I8, SLOT_AX, ir_load(ir, IR_I8, address, 0, 0));
}

/* CBW, CWDE, CDQE: AX = sign-extended lower half. */
void x86_emit_cbw(X86Translator *tr, X86Insn *in)
{
    IrType half = in->type - 1;

    ir_put(tr->ir, in->type, SLOT_AX, ir_sext(tr->ir, in->type, half, ir_get(tr->ir, half, SLOT_AX)));
}

/* CWD, CDQ, CQO: DX = sign of AX. */
void x86_emit_cwd(X86Translator *tr, X86Insn *in)
{
    IrVal count = x86_const(tr, IR_I8, 8 * x86_size(in->type) - 1);

    ir_put(tr->ir, in->type, SLOT_DX,
           ir_op2(tr->ir, IR_sar, in->type, ir_get(tr->ir, in->type, SLOT_AX), count));
}

void x86_emit_movbe(X86Translator *tr, X86Insn *in)
{
    IrVal value;

    if (!x86_feature(tr, FEAT_movbe)) {
        x86_ud(tr);
        return;
    }
    value = x86_operand_get(tr, in, 1);
    if (in->type == IR_I16) {
        value = ir_op2(tr->ir, IR_rol, IR_I16, value, x86_const(tr, IR_I8, 8));
    } else {
        value = ir_op1(tr->ir, IR_bswap, in->type, value);
    }
    x86_operand_put(tr, in, 0, value);
}

void x86_emit_movnti(X86Translator *tr, X86Insn *in)
{
    if (!x86_feature(tr, FEAT_sse2) || in->opsize || in->rep) {
        x86_ud(tr);
        return;
    }
    x86_rm_put(tr, in, in->type_y, x86_gpr_get(tr, in, in->type_y, in->reg));
}

/* Segment registers. */

static IrVal get_selector(X86Translator *tr, unsigned seg)
{
    return ir_get_field(tr->ir, IR_I16, offsetof(X86State, seg[seg].selector));
}

void x86_emit_mov_from_seg(X86Translator *tr, X86Insn *in)
{
    unsigned seg = in->modrm >> 3 & 7;

    if (seg > S_GS) {
        x86_ud(tr);
    } else if (in->is_mem) {
        x86_rm_put(tr, in, IR_I16, get_selector(tr, seg));
    } else {
        x86_gpr_put(tr, in, in->type, in->rm, ir_zext(tr->ir, in->type, IR_I16, get_selector(tr, seg)));
    }
}

/* The block goes on where nothing that it was translated for can have changed. */
void x86_emit_load_seg(X86Translator *tr, X86Insn *in, int seg, IrVal selector)
{
    X86_CALL2(tr, load_seg, x86_const(tr, IR_I64, seg), x86_arg(tr, IR_I16, selector));
    if (seg == S_SS || (!tr->cs64 && (seg <= S_DS || (tr->pe && !tr->vm)))) {
        in->row = NULL; /* the caller ends the block */
    }
}

/* What follows MOV and POP of a segment that has turned out to need the helper, which the caller ends the block behind. */
static void mov_by_helper(X86Translator *tr, X86Insn *in)
{
    X86_CALL2(tr, load_seg, x86_const(tr, IR_I64, in->modrm >> 3 & 7), x86_arg(tr, IR_I16, x86_rm_get(tr, in, IR_I16)));
}

static void pop_by_helper(X86Translator *tr, X86Insn *in)
{
    X86_CALL2(tr, load_seg, x86_const(tr, IR_I64, in->row->op), x86_arg(tr, IR_I16, x86_stack_load(tr, in, IR_I16, R_SP, 0)));
    x86_stack_move(tr, x86_size(in->type));
}

/* Not zero: the descriptor is another than that of the last load. Another selector is up to `by_helper`. */
static IrVal memo_differs(X86Translator *tr, X86Insn *in, int seg, IrVal selector, X86Emit *by_helper)
{
    IrBlock *ir = tr->ir;
    const uint32_t memo = offsetof(X86State, seg_memo[seg]);
    IrVal wide, room, addr, diff, loaded;

    wide = ir_zext(ir, IR_I32, IR_I16, selector);
    /* Negative: beyond the table's limit, which has 16 bits. */
    room = ir_op2(ir, IR_sub, IR_I32, ir_get_field(ir, IR_I32, offsetof(X86State, gdtr.limit)),
                  ir_op2(ir, IR_or, IR_I32, wide, x86_const(tr, IR_I32, 7)));
    diff = ir_op2(ir, IR_xor, IR_I32, wide, ir_get_field(ir, IR_I32, memo + offsetof(X86SegMemo, key)));
    diff = ir_op2(ir, IR_or, IR_I32, diff, ir_op2(ir, IR_shr, IR_I32, room, x86_const(tr, IR_I8, 31)));
    x86_emit_other_if(tr, in, COND_NE, IR_I32, diff, x86_const(tr, IR_I32, 0), by_helper);
    addr = ir_op2(ir, IR_and, IR_I32, wide, x86_const(tr, IR_I32, 0xfff8));
    addr = ir_op2(ir, IR_add, IR_I32, addr, ir_get_field(ir, IR_I32, offsetof(X86State, gdtr.base)));
    loaded = ir_load(ir, IR_I64, addr, 0, 0);
    return ir_op2(ir, IR_xor, IR_I64, loaded, ir_get_field(ir, IR_I64, memo + offsetof(X86SegMemo, raw)));
}

/*
 * Kernels load DS and ES at each entry with what they have already. The block goes on if the selector and its descriptor
 * are those of the last load, and the register still has what that gave; otherwise `by_helper` does the instruction.
 */
static bool load_seg_again(X86Translator *tr, X86Insn *in, int seg, IrVal selector, X86Emit *by_helper)
{
    IrBlock *ir = tr->ir;
    const uint32_t memo = offsetof(X86State, seg_memo[seg]);
    IrVal diff, loaded;

    if ((seg != S_DS && seg != S_ES) || tr->cs64 || !tr->pe || tr->vm || tr->cpl == 3 || x86_each_insn_exits(tr)) {
        return false;
    }
    diff = memo_differs(tr, in, seg, selector, by_helper);
    loaded = ir_op2(ir, IR_xor, IR_I64, ir_get_field(ir, IR_I64, offsetof(X86State, seg[seg].limit)),
                    ir_get_field(ir, IR_I64, memo + offsetof(X86SegMemo, seg.limit)));
    diff = ir_op2(ir, IR_or, IR_I64, diff, loaded);
    loaded = ir_op2(ir, IR_xor, IR_I64, ir_get(ir, IR_I64, SLOT_ES_BASE + seg),
                    ir_get_field(ir, IR_I64, memo + offsetof(X86SegMemo, seg.base)));
    diff = ir_op2(ir, IR_or, IR_I64, diff, loaded);
    x86_emit_other_if(tr, in, COND_NE, IR_I64, diff, x86_const(tr, IR_I64, 0), by_helper);
    return true;
}

/*
 * 32-bit kernels load FS at each entry, and give it back, which changes a bit of the mode. Where the helper has left what that comes to
 * (X86State.call), the block ends in the other mode without it.
 */
static bool load_fs(X86Translator *tr, X86Insn *in, IrVal selector, X86Emit *by_helper)
{
    X86CallKind kind = tr->mode & MODE_FLAT_FS ? CALL_NO_FS : CALL_FS;
    const uint32_t memo = offsetof(X86State, seg_memo[S_FS]);
    IrBlock *ir = tr->ir;
    IrVal ready, ac, diff, limit, base;

    if (tr->mode & MODE_LMA || !x86_call_may_be_ready(tr->mode) || tr->cpl || tr->cs_base || x86_each_insn_exits(tr)) {
        return false;
    }
    ready = ir_op2(ir, IR_xor, IR_I64, ir_get_field(ir, IR_I64, CALL_FIELD(kind, mode.from)), x86_const(tr, IR_I64, tr->mode));
    ac = ir_op2(ir, IR_and, IR_I32, ir_get(ir, IR_I32, SLOT_EFLAGS), x86_const(tr, IR_I32, EFL_AC)); /* of the mode of accesses */
    ready = ir_op2(ir, IR_or, IR_I64, ready, ir_zext(ir, IR_I64, IR_I32, ac));
    x86_emit_other_if(tr, in, COND_NE, IR_I64, ready, x86_const(tr, IR_I64, 0), by_helper);
    if (kind == CALL_FS) {
        diff = memo_differs(tr, in, S_FS, selector, by_helper);
        limit = ir_get_field(ir, IR_I64, memo + offsetof(X86SegMemo, seg.limit));
        base = ir_get_field(ir, IR_I64, memo + offsetof(X86SegMemo, seg.base));
    } else {
        IrVal wide = ir_zext(ir, IR_I64, IR_I16, selector);

        diff = ir_op2(ir, IR_and, IR_I64, wide, x86_const(tr, IR_I64, 0xfffc));
        limit = ir_op2(ir, IR_shl, IR_I64, wide, x86_const(tr, IR_I8, 32));
        base = x86_const(tr, IR_I64, 0);
    }
    x86_emit_other_if(tr, in, COND_NE, IR_I64, diff, x86_const(tr, IR_I64, 0), by_helper);
    ir_put_field(ir, IR_I64, offsetof(X86State, seg[S_FS].limit), limit);
    ir_put_field(ir, IR_I64, offsetof(X86State, mode_flags), ir_get_field(ir, IR_I64, CALL_FIELD(kind, to)));
    ir_put_field(ir, IR_I64, offsetof(X86State, hot.jump_cache), ir_get_field(ir, IR_I64, CALL_FIELD(kind, mode.jump_cache)));
    ir_put_field(ir, IR_I64, offsetof(X86State, chosen), ir_get_field(ir, IR_I64, CALL_FIELD(kind, mode.chosen)));
    ir_put(ir, IR_I64, SLOT_FS_BASE, base);
    return true;
}

/* In 64-bit code: a selector that names no descriptor. */
static void load_null_seg(X86Translator *tr, X86Insn *in, int seg, IrVal selector)
{
    IrBlock *ir = tr->ir;
    IrVal wide = ir_zext(ir, IR_I64, IR_I16, selector);

    x86_emit_other_if(tr, in, COND_NE, IR_I64, ir_op2(ir, IR_and, IR_I64, wide, x86_const(tr, IR_I64, 0xfffc)), x86_const(tr, IR_I64, 0),
                      mov_by_helper);
    ir_put_field(ir, IR_I64, offsetof(X86State, seg[seg].limit), ir_op2(ir, IR_shl, IR_I64, wide, x86_const(tr, IR_I8, 32)));
    ir_put(ir, IR_I64, SLOT_ES_BASE + seg, x86_const(tr, IR_I64, 0));
}

static void end_after_seg(X86Translator *tr, X86Insn *in, int seg, bool shadow)
{
    if (seg == S_SS && shadow) {
        X86_CALL2(tr, set_shadow, x86_const(tr, IR_I64, 2), x86_const(tr, IR_I64, 0));
    }
    if (!in->row) {
        x86_end_next(tr, in);
    }
}

void x86_emit_mov_to_seg(X86Translator *tr, X86Insn *in)
{
    unsigned seg = in->modrm >> 3 & 7;
    IrVal selector;

    if (seg > S_GS || seg == S_CS) {
        x86_ud(tr);
        return;
    }
    selector = x86_rm_get(tr, in, IR_I16);
    if (tr->cs64 && seg != S_SS && !x86_each_insn_exits(tr)) {
        load_null_seg(tr, in, seg, selector);
        return;
    }
    if (load_seg_again(tr, in, seg, selector, mov_by_helper)) {
        return;
    }
    if (seg == S_FS && load_fs(tr, in, selector, mov_by_helper)) {
        x86_end_next(tr, in);
        return;
    }
    x86_emit_load_seg(tr, in, seg, selector);
    end_after_seg(tr, in, seg, true);
}

/* LDS, LES, LSS, LFS, LGS: offset, then selector. */
void x86_emit_load_far(X86Translator *tr, X86Insn *in)
{
    int seg = in->row->op;
    int64_t disp;
    unsigned size = x86_size(in->type);
    IrVal address = x86_address_sized(tr, in, size + 2, false, &disp);
    IrVal offset = ir_load(tr->ir, in->type, address, disp, 0);
    IrVal selector = ir_load(tr->ir, IR_I16, address, disp + size, 0);

    x86_emit_load_seg(tr, in, seg, selector);
    x86_gpr_put(tr, in, in->type, in->reg, offset);
    end_after_seg(tr, in, seg, false);
}

void x86_emit_push_seg(X86Translator *tr, X86Insn *in)
{
    IrVal selector = get_selector(tr, in->row->op);

    x86_push(tr, in, in->type, ir_zext(tr->ir, in->type, IR_I16, selector));
}

void x86_emit_pop_seg(X86Translator *tr, X86Insn *in)
{
    int seg = in->row->op;
    unsigned size = x86_size(in->type);
    IrVal selector = x86_stack_load(tr, in, IR_I16, R_SP, 0);

    if (load_seg_again(tr, in, seg, selector, pop_by_helper)) {
        x86_stack_move(tr, size);
        return;
    }
    if (seg == S_FS && load_fs(tr, in, selector, pop_by_helper)) {
        x86_stack_move(tr, size);
        x86_end_next(tr, in);
        return;
    }
    x86_emit_load_seg(tr, in, seg, selector);
    x86_stack_move(tr, size);
    end_after_seg(tr, in, seg, true);
}

/* AH and the flags' low byte. */

void x86_emit_lahf(X86Translator *tr, X86Insn *in)
{
    IrVal image;

    if (tr->cs64 && !x86_feature(tr, FEAT_lahf_lm)) {
        x86_ud(tr);
        return;
    }
    image = ir_op1(tr->ir, IR_flags_image, IR_I32, x86_flags_all(tr));
    ir_put8h(tr->ir, SLOT_AX, ir_op2(tr->ir, IR_or, IR_I32, image, x86_const(tr, IR_I32, 2)));
}

void x86_emit_sahf(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrVal ah, of;

    if (tr->cs64 && !x86_feature(tr, FEAT_lahf_lm)) {
        x86_ud(tr);
        return;
    }
    of = ir_setcc(ir, CC_O, x86_flags_for(tr, CC_O));
    of = ir_op2(ir, IR_shl, IR_I32, ir_zext(ir, IR_I32, IR_I8, of), x86_const(tr, IR_I8, 11));
    ah = ir_zext(ir, IR_I32, IR_I8, ir_get8h(ir, SLOT_AX));
    ah = ir_op2(ir, IR_and, IR_I32, ah, x86_const(tr, IR_I32, FLAGS_ALL & 0xff));
    x86_flags_put_image(tr, ir_op2(ir, IR_or, IR_I32, ah, of));
}
