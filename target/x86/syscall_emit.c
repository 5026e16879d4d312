/*
 * Emits the fast system calls and their returns, STAC and CLAC.
 *
 * A helper (syscall.c) does all of them; what it leaves in X86State.call makes the next call from the same mode a few loads and
 * stores, as long as nothing unusual is asked for. What that is made of may not change meanwhile: x86_forget_calls().
 */
#include "target/ready-mode.h"
#include "target/x86/insns.h"
#include "target/x86/syscall.h"

static IrVal get_field(X86Translator *tr, IrType type, uint32_t offset)
{
    return ir_get_field(tr->ir, type, offset);
}

static void put_number(X86Translator *tr, IrType type, uint32_t offset, uint64_t value)
{
    ir_put_field(tr->ir, type, offset, x86_const(tr, type, value));
}

static IrVal and32(X86Translator *tr, IrVal a, uint32_t b)
{
    return ir_op2(tr->ir, IR_and, IR_I32, a, x86_const(tr, IR_I32, b));
}

/* Unless a call of this kind is ready here, another function emits it. */
static void unless_ready(X86Translator *tr, X86Insn *in, X86CallKind kind, X86Emit *other)
{
    x86_emit_other_if(tr, in, COND_NE, IR_I64, get_field(tr, IR_I64, CALL_FIELD(kind, mode.from)), x86_const(tr, IR_I64, tr->mode), other);
}

/* What there is of an X86Call besides its mode, and where it goes. */
static const struct {
    uint32_t from, to;
} copies[] = {
    { offsetof(X86Call, cs), offsetof(X86State, seg[S_CS].limit) },
    { offsetof(X86Call, ss), offsetof(X86State, seg[S_SS].limit) },
    { offsetof(X86Call, to), offsetof(X86State, mode_flags) },
};
static void take_tables(X86Translator *tr, X86CallKind kind)
{
    ready_mode_take(tr->ir, CALL_FIELD(kind, mode), offsetof(X86State, chosen));
}

/* The segments, the level and all that follows from them; the block ends. */
static void go(X86Translator *tr, X86CallKind kind, IrVal pc)
{
    take_tables(tr, kind);
    for (unsigned i = 0; i < G_N_ELEMENTS(copies); i++) {
        ir_put_field(tr->ir, IR_I64, copies[i].to, get_field(tr, IR_I64, offsetof(X86State, call) + kind * sizeof(X86Call) + copies[i].from));
    }
    ir_put(tr->ir, IR_I64, SLOT_CS_BASE, x86_const(tr, IR_I64, 0));
    ir_put(tr->ir, IR_I64, SLOT_SS_BASE, x86_const(tr, IR_I64, 0));
    put_number(tr, IR_I32, offsetof(X86State, cpl), kind == CALL_IN ? 0 : 3);
    put_number(tr, IR_I32, offsetof(X86State, published_mmu), kind == CALL_IN ? MMU_KERNEL : MMU_USER);
    ir_exit_lookup(tr->ir, pc, BRANCH_JUMP);
    tr->done = true;
}

static bool may_be_ready(const X86Translator *tr, bool in_64)
{
    return !x86_each_insn_exits(tr) && x86_call_may_be_ready(tr->mode) && !(tr->mode & MODE_LMA) == !in_64 && tr->cs_base == 0;
}

/* Of AMD's processors outside of 64-bit code too. */
static bool has_syscall(const X86Translator *tr)
{
    return x86_feature(tr, FEAT_syscall) && (tr->cs64 || x86_is_amd(tr->s));
}

static void call_syscall(X86Translator *tr, X86Insn *in)
{
    X86_CALL1(tr, syscall, x86_next_pc(tr, in));
    x86_end_at_slot(tr);
}

void x86_emit_syscall(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrVal mask, left, image;

    if (!has_syscall(tr)) {
        x86_ud(tr);
        return;
    }
    if (!may_be_ready(tr, true)) {
        call_syscall(tr, in);
        return;
    }
    unless_ready(tr, in, CALL_IN, call_syscall);
    mask = get_field(tr, IR_I32, CALL_FIELD(CALL_IN, kept));
    left = ir_op2(ir, IR_and, IR_I32, ir_get(ir, IR_I32, SLOT_EFLAGS), mask);
    x86_emit_other_if(tr, in, COND_NE, IR_I32, and32(tr, left, EFL_IOPL | EFL_AC), x86_const(tr, IR_I32, 0), call_syscall); /* of the mode */
    image = x86_flags_to_push(tr);
    ir_put(ir, IR_I64, SLOT_CX, x86_next_pc(tr, in));
    ir_put(ir, IR_I32, SLOT_R11, image);
    ir_put(ir, IR_I32, SLOT_CC_OP, x86_const(tr, IR_I32, X86_CC(CC_IMAGE, 0)));
    ir_put(ir, IR_I32, SLOT_CC_DST, and32(tr, ir_op2(ir, IR_and, IR_I32, image, mask), FLAGS_ALL));
    ir_put(ir, IR_I32, SLOT_DF, x86_const(tr, IR_I32, 1));
    ir_put(ir, IR_I32, SLOT_EFLAGS, left);
    go(tr, CALL_IN, get_field(tr, IR_I64, offsetof(X86State, lstar)));
}

static void call_sysret(X86Translator *tr, X86Insn *in)
{
    X86_CALL1(tr, sysret, x86_const(tr, IR_I64, in->type));
    x86_end_at_slot(tr);
}

void x86_emit_sysret(X86Translator *tr, X86Insn *in)
{
    const uint32_t restored = EFL_IF | EFL_NT | EFL_VIF | EFL_VIP | EFL_ID, of_mode = EFL_TF | EFL_IOPL | EFL_AC | EFL_DF;
    IrBlock *ir = tr->ir;
    IrVal pc, flags, unusual, waits;

    if (!has_syscall(tr)) {
        x86_ud(tr);
        return;
    }
    if (!may_be_ready(tr, true) || tr->cpl || in->type != IR_I64) {
        call_sysret(tr, in);
        return;
    }
    unless_ready(tr, in, CALL_OUT, call_sysret);
    pc = ir_get(ir, IR_I64, SLOT_CX);
    flags = ir_get(ir, IR_I32, SLOT_R11);
    /* A target in the upper half or not canonical, flags of the mode, DF, an interrupt that may wait for IF. */
    waits = ir_op2(ir, IR_xor, IR_I64, get_field(tr, IR_I64, offsetof(X86State, no_interrupt_waits)), x86_const(tr, IR_I64, 1));
    unusual = ir_op2(ir, IR_or, IR_I64, ir_op2(ir, IR_shr, IR_I64, pc, x86_const(tr, IR_I8, 47)), waits);
    unusual = ir_op2(ir, IR_or, IR_I64, unusual, ir_zext(ir, IR_I64, IR_I32, and32(tr, flags, of_mode)));
    x86_emit_other_if(tr, in, COND_NE, IR_I64, unusual, x86_const(tr, IR_I64, 0), call_sysret);
    ir_put(ir, IR_I32, SLOT_CC_OP, x86_const(tr, IR_I32, X86_CC(CC_IMAGE, 0)));
    ir_put(ir, IR_I32, SLOT_CC_DST, and32(tr, flags, FLAGS_ALL));
    ir_put(ir, IR_I32, SLOT_DF, x86_const(tr, IR_I32, 1));
    ir_put(ir, IR_I32, SLOT_EFLAGS, ir_op2(ir, IR_or, IR_I32, and32(tr, flags, restored), x86_const(tr, IR_I32, 1 << 1)));
    go(tr, CALL_OUT, pc);
}

static void call_sysenter(X86Translator *tr, X86Insn *in)
{
    X86_CALL1(tr, sysenter, x86_next_pc(tr, in));
    x86_end_at_slot(tr);
}

void x86_emit_sysenter(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrVal eflags;

    if (!x86_feature(tr, FEAT_sep)) {
        x86_ud(tr);
        return;
    }
    if (!may_be_ready(tr, false)) {
        call_sysenter(tr, in);
        return;
    }
    unless_ready(tr, in, CALL_IN, call_sysenter);
    eflags = ir_get(ir, IR_I32, SLOT_EFLAGS);
    x86_emit_other_if(tr, in, COND_NE, IR_I32, and32(tr, eflags, EFL_AC), x86_const(tr, IR_I32, 0), call_sysenter);
    ir_put(ir, IR_I32, SLOT_EFLAGS, and32(tr, eflags, ~(uint32_t)(EFL_IF | EFL_RF)));
    ir_put(ir, IR_I32, SLOT_SP, get_field(tr, IR_I32, offsetof(X86State, sysenter_esp)));
    go(tr, CALL_IN, ir_zext(ir, IR_I64, IR_I32, get_field(tr, IR_I32, offsetof(X86State, sysenter_eip))));
}

static void call_sysexit(X86Translator *tr, X86Insn *in)
{
    X86_CALL1(tr, sysexit, x86_const(tr, IR_I64, in->type));
    x86_end_at_slot(tr);
}

void x86_emit_sysexit(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrVal gs, other_gs;

    if (!x86_feature(tr, FEAT_sep)) {
        x86_ud(tr);
        return;
    }
    if (!may_be_ready(tr, false) || tr->cpl) {
        call_sysexit(tr, in);
        return;
    }
    unless_ready(tr, in, CALL_OUT, call_sysexit);
    /* GS makes a difference at CPL 3. */
    gs = get_field(tr, IR_I64, offsetof(X86State, seg[S_GS].limit));
    other_gs = ir_op2(ir, IR_xor, IR_I64, gs, get_field(tr, IR_I64, CALL_FIELD(CALL_OUT, gs)));
    other_gs = ir_op2(ir, IR_or, IR_I64, other_gs, ir_zext(ir, IR_I64, IR_I32, and32(tr, ir_get(ir, IR_I32, SLOT_EFLAGS), EFL_AC)));
    x86_emit_other_if(tr, in, COND_NE, IR_I64, other_gs, x86_const(tr, IR_I64, 0), call_sysexit);
    ir_put(ir, IR_I32, SLOT_EFLAGS, and32(tr, ir_get(ir, IR_I32, SLOT_EFLAGS), ~(uint32_t)EFL_RF));
    ir_put(ir, IR_I32, SLOT_SP, ir_get(ir, IR_I32, SLOT_CX));
    go(tr, CALL_OUT, ir_zext(ir, IR_I64, IR_I32, ir_get(ir, IR_I32, SLOT_DX)));
}

/* STAC (0F 01 CB), else CLAC (CA). */
static bool sets_ac(const X86Insn *in)
{
    return in->modrm == 0xcb;
}

static void call_ac(X86Translator *tr, X86Insn *in)
{
    x86_call(tr, sets_ac(in) ? HELPER_stac : HELPER_clac, (IrVal){0}, (IrVal){0}, (IrVal){0}, (IrVal){0});
    x86_end_next(tr, in);
}

void x86_emit_ac(X86Translator *tr, X86Insn *in)
{
    X86CallKind kind = sets_ac(in) ? CALL_AC : CALL_NO_AC;
    IrBlock *ir = tr->ir;
    IrVal eflags;

    if (!x86_feature(tr, FEAT_smap) || tr->cpl) {
        x86_ud(tr);
        return;
    }
    if (!may_be_ready(tr, true)) {
        call_ac(tr, in);
        return;
    }
    /* Whatever AC was: what is copied are the tables with it and without it. */
    unless_ready(tr, in, kind, call_ac);
    take_tables(tr, kind);
    put_number(tr, IR_I32, offsetof(X86State, published_mmu), kind == CALL_AC ? MMU_KERNEL_AC : MMU_KERNEL);
    eflags = and32(tr, ir_get(ir, IR_I32, SLOT_EFLAGS), ~(uint32_t)EFL_AC);
    if (kind == CALL_AC) {
        eflags = ir_op2(ir, IR_or, IR_I32, eflags, x86_const(tr, IR_I32, EFL_AC));
    }
    ir_put(ir, IR_I32, SLOT_EFLAGS, eflags);
    x86_end_next(tr, in);
}
