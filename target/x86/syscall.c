/*
 * The fast system calls and their returns (SDM vol. 2, vol. 3 chapter 5), where code has not been made ready for them.
 *
 * What they load is the same each time: MSRs and the mode say all but the flags. So each one leaves behind what it found
 * (X86Call), and the next one from the same mode is done by translated code alone (syscall_emit.c).
 */
#include "target/x86/syscall.h"

static void G_GNUC_NORETURN gp(X86State *s, uintptr_t ra)
{
    x86_raise_error(s, EXC_GP, 0, ra);
}

static void set_flat(X86State *s, int seg, uint16_t selector, unsigned dpl, unsigned type, unsigned more)
{
    s->seg[seg] = (X86Segment){
        .selector = selector,
        .limit = UINT32_MAX,
        .attr = type | SEG_S | dpl << SEG_DPL_SHIFT | SEG_P | SEG_G | more,
    };
}

enum { TYPE_DATA = 3, TYPE_CODE = 11 };

typedef enum Vendor { VENDOR_INTEL, VENDOR_AMD } Vendor;

/* Intel's have SYSCALL in 64-bit code only, AMD's have SYSENTER outside of long mode only; an unknown one has what it can. */
static bool has_call(const X86State *s, Vendor whose)
{
    const char *vendor = s->features->vendor;

    return whose == VENDOR_AMD ? is_code64(s) || strcmp(vendor, "GenuineIntel") : strcmp(vendor, "AuthenticAMD") != 0;
}

/* All of EFLAGS, in long mode: VM is clear. */
static void replace_eflags(X86State *s, uint32_t value)
{
    s->cc_op = X86_CC(CC_IMAGE, 0);
    s->cc_dst = value & FLAGS_ALL;
    s->df = value & EFL_DF ? -1 : 1;
    s->eflags = (value & ~(FLAGS_ALL | EFL_DF | EFL_RF | EFL_VM)) | 1 << 1;
}

/* Where flags are kept as SYSCALL's mask says; DF is not. */
enum { NEVER_KEPT = EFL_DF | EFL_RF | EFL_VM };

void x86_forget_calls(X86State *s)
{
    for (unsigned i = 0; i < READY_MODES; i++) {
        s->call[i].mode.from = READY_NONE;
    }
}

/* From a mode to the one that is current now. */
static void keep_call(X86State *s, X86CallKind kind, uint64_t from)
{
    X86Call *call = &s->call[kind];
    unsigned cpl = kind == CALL_IN ? 0 : 3;

    if (!x86_call_may_be_ready(from) || !engine.keep_mode || s->pmu.filtered || s->published_base ||
        s->mode_flags != x86_mode_behind_call(from, cpl, s->mode_flags & MODE_FLAT_GS) ||
        s->published_mmu != (kind == CALL_IN ? MMU_KERNEL : MMU_USER)) {
        call->mode.from = READY_NONE;
        return;
    }
    memcpy(&call->cs, &s->seg[S_CS].limit, sizeof(call->cs));
    memcpy(&call->ss, &s->seg[S_SS].limit, sizeof(call->ss));
    memcpy(&call->gs, &s->seg[S_GS].limit, sizeof(call->gs));
    call->to = s->mode_flags;
    call->kept = ~((uint32_t)s->fmask | NEVER_KEPT) | 1 << 1;
    if (engine.keep_mode(s->hot.cpu, kind, &call->mode)) {
        call->mode.from = from;
    }
}

void x86_keep_fs(X86State *s, uint64_t from)
{
    X86CallKind kind = s->mode_flags & MODE_FLAT_FS ? CALL_FS : CALL_NO_FS;
    X86Call *call = &s->call[kind];

    if (kind == CALL_FS && s->seg_memo[S_FS].key != s->seg[S_FS].selector) {
        return; /* of the local table: the memo is another one's, that has less perhaps */
    }
    if ((from ^ s->mode_flags) == MODE_FLAT_FS && !s->cpl && x86_call_may_be_ready(from) && !is_long(s) && engine.keep_mode &&
        !s->published_base && s->published_mmu == MMU_KERNEL && engine.keep_mode(s->hot.cpu, kind, &call->mode)) {
        call->to = s->mode_flags;
        call->mode.from = from;
    }
}

void x86_keep_ac(X86State *s)
{
    X86CallKind kind = s->eflags & EFL_AC ? CALL_AC : CALL_NO_AC;
    X86Call *call = &s->call[kind];

    if (is_long(s) && !s->cpl && x86_call_may_be_ready(s->mode_flags) && engine.keep_mode && !s->published_base &&
        s->published_mmu == (kind == CALL_AC ? MMU_KERNEL_AC : MMU_KERNEL) && engine.keep_mode(s->hot.cpu, kind, &call->mode)) {
        call->mode.from = s->mode_flags; /* which stay as they are */
    }
}

uint64_t helper_syscall(X86State *s, uint64_t next_pc, uint64_t b, uint64_t c, uint64_t d)
{
    uint16_t selector = s->star >> 32;
    uint64_t from = s->mode_flags;
    bool stepping = s->eflags & EFL_TF;

    if (!(s->efer & EFER_SCE) || !has_call(s, VENDOR_AMD)) {
        x86_raise(s, EXC_UD, tcg_caller_pc(s));
    }
    if (stepping) {
        tcg_restore(s, tcg_caller_pc(s)); /* the block may not be gone back to */
    }
    if (is_long(s)) {
        bool from64 = is_code64(s);
        uint32_t flags = x86_eflags(s);

        s->reg[R_CX] = next_pc;
        s->reg[R_11] = flags & ~(uint32_t)EFL_RF;
        replace_eflags(s, flags & ~(uint32_t)s->fmask);
        set_flat(s, S_CS, selector & ~3, 0, TYPE_CODE, SEG_L);
        set_flat(s, S_SS, (selector & ~3) + 8, 0, TYPE_DATA, SEG_DB);
        s->pc = from64 ? s->lstar : s->cstar;
    } else {
        s->reg[R_CX] = (uint32_t)next_pc;
        s->eflags &= ~(uint32_t)(EFL_IF | EFL_RF | EFL_VM);
        set_flat(s, S_CS, selector & ~3, 0, TYPE_CODE, SEG_DB);
        set_flat(s, S_SS, (selector & ~3) + 8, 0, TYPE_DATA, SEG_DB);
        s->pc = (uint32_t)s->star;
    }
    s->cpl = 0;
    x86_update_flat_call(s);
    if (stepping && !(s->eflags & EFL_TF)) { /* masked: no step behind it */
        s->pending_debug &= DR6_HITS;
        if (!s->pending_debug) {
            tcg_unwind(s, TCG_EXIT_MODE);
        }
    }
    if (from & MODE_CS64 && s->fmask & EFL_DF) {
        keep_call(s, CALL_IN, from);
    }
    return 0;
}

uint64_t helper_sysret(X86State *s, uint64_t opsize, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint16_t selector = s->star >> 48;
    uint64_t from = s->mode_flags;

    if (!(s->efer & EFER_SCE) || !has_call(s, VENDOR_AMD)) {
        x86_raise(s, EXC_UD, ra);
    }
    if (!(s->cr0 & CR0_PE) || s->cpl) {
        gp(s, ra);
    }
    if (is_long(s)) {
        uint32_t flags = s->reg[R_11];

        if (opsize == IR_I64 && !is_canonical(s, s->reg[R_CX])) {
            gp(s, ra);
        }
        if (opsize == IR_I64) {
            set_flat(s, S_CS, (selector + 16) | 3, 3, TYPE_CODE, SEG_L);
            s->pc = s->reg[R_CX];
        } else {
            set_flat(s, S_CS, selector | 3, 3, TYPE_CODE, SEG_DB);
            s->pc = (uint32_t)s->reg[R_CX];
        }
        replace_eflags(s, flags & (FLAGS_ALL | EFL_TF | EFL_IF | EFL_DF | EFL_IOPL | EFL_NT | EFL_AC | EFL_VIF | EFL_VIP | EFL_ID));
    } else {
        set_flat(s, S_CS, selector | 3, 3, TYPE_CODE, SEG_DB);
        s->eflags |= EFL_IF;
        s->pc = (uint32_t)s->reg[R_CX];
    }
    set_flat(s, S_SS, (selector + 8) | 3, 3, TYPE_DATA, SEG_DB);
    s->cpl = 3;
    x86_update_flat_call(s);
    x86_poll_interrupts(s);
    if (s->eflags & EFL_TF) {
        helper_single_step(s, 0, 0, 0, 0); /* TF as it is now counts, as with SYSCALL */
    }
    if (opsize == IR_I64 && from & MODE_LMA) {
        keep_call(s, CALL_OUT, from);
    }
    return 0;
}

uint64_t helper_sysenter(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t from = s->mode_flags;
    bool lma = is_long(s);

    if (lma && !has_call(s, VENDOR_INTEL)) {
        x86_raise(s, EXC_UD, tcg_caller_pc(s));
    }
    if (!(s->cr0 & CR0_PE) || is_null(s->sysenter_cs)) {
        gp(s, tcg_caller_pc(s));
    }
    s->eflags &= ~(uint32_t)(EFL_VM | EFL_IF | EFL_RF);
    set_flat(s, S_CS, s->sysenter_cs & 0xfffc, 0, TYPE_CODE, lma ? SEG_L : SEG_DB);
    set_flat(s, S_SS, (s->sysenter_cs & 0xfffc) + 8, 0, TYPE_DATA, SEG_DB);
    s->cpl = 0;
    s->reg[R_SP] = lma ? s->sysenter_esp : (uint32_t)s->sysenter_esp;
    s->pc = lma ? s->sysenter_eip : (uint32_t)s->sysenter_eip;
    x86_update_flat_call(s);
    if (!lma) {
        keep_call(s, CALL_IN, from);
    }
    return 0;
}

uint64_t helper_sysexit(X86State *s, uint64_t opsize, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint16_t selector = s->sysenter_cs & 0xfffc;
    uint64_t from = s->mode_flags;

    if (is_long(s) && !has_call(s, VENDOR_INTEL)) {
        x86_raise(s, EXC_UD, ra);
    }
    if (!(s->cr0 & CR0_PE) || is_null(s->sysenter_cs) || s->cpl) {
        gp(s, ra);
    }
    if (opsize == IR_I64) {
        if (!is_canonical(s, s->reg[R_CX]) || !is_canonical(s, s->reg[R_DX])) {
            gp(s, ra);
        }
        set_flat(s, S_CS, (selector + 32) | 3, 3, TYPE_CODE, SEG_L);
        set_flat(s, S_SS, (selector + 40) | 3, 3, TYPE_DATA, SEG_DB);
        s->reg[R_SP] = s->reg[R_CX];
        s->pc = s->reg[R_DX];
    } else {
        set_flat(s, S_CS, (selector + 16) | 3, 3, TYPE_CODE, SEG_DB);
        set_flat(s, S_SS, (selector + 24) | 3, 3, TYPE_DATA, SEG_DB);
        s->reg[R_SP] = (uint32_t)s->reg[R_CX];
        s->pc = (uint32_t)s->reg[R_DX];
    }
    s->cpl = 3;
    x86_update_flat_call(s);
    if (!is_long(s)) {
        keep_call(s, CALL_OUT, from);
    }
    return 0;
}
