/* Far jumps, calls and returns, and IRET (SDM vol. 2, vol. 3 chapter 5). */
#include "target/x86/vme.h"

static unsigned opsize_bytes(uint64_t type)
{
    return 1u << type;
}

static void G_GNUC_NORETURN gp(X86State *s, uint16_t selector, uintptr_t ra)
{
    x86_raise_error(s, EXC_GP, selector & ~3, ra);
}

/* The target's pc must lie within its segment. */
static void check_target(X86State *s, const X86Segment *cs, uint64_t pc, uintptr_t ra)
{
    if (is_long(s) && (cs->attr & SEG_L)) {
        if (!is_canonical(s, pc)) {
            gp(s, 0, ra);
        }
    } else if (pc > cs->limit) {
        gp(s, 0, ra);
    }
}

/* Real and virtual-8086 mode. */
static void far_real(X86State *s, uint16_t selector, uint64_t pc)
{
    if (s->eflags & EFL_VM) {
        seg_set_v86(s, S_CS, selector);
    } else {
        x86_load_real_segment(s, S_CS, selector);
    }
    s->pc = pc;
}

/* A code segment reached without a gate: at the current level. */
static void direct_code_segment(X86State *s, uint16_t selector, Descriptor *d, X86Segment *cs, uintptr_t ra)
{
    unsigned rpl = selector & 3;

    if (d->high & DESC_CONFORMING) {
        if (desc_dpl(d) > s->cpl) {
            gp(s, selector, ra);
        }
    } else if (rpl > s->cpl || desc_dpl(d) != s->cpl) {
        gp(s, selector, ra);
    }
    if (!(d->high & DESC_P)) {
        x86_raise_error(s, EXC_NP, selector & ~3, ra);
    }
    if (is_long(s) && (d->high & DESC_L) && (d->high & DESC_DB)) {
        gp(s, selector, ra);
    }
    desc_set_accessed(s, d, ra);
    seg_from_descriptor(cs, selector, d);
}

typedef struct Gate {
    uint16_t selector;
    uint64_t pc;
    unsigned size;   /* of what is pushed */
    unsigned params;
} Gate;

/* What a system descriptor in a far jump or call leads to; task switches are done and return false. */
static bool read_gate(X86State *s, Descriptor *d, uint16_t selector, bool is_call, uint64_t next_pc,
                      Gate *gate, uintptr_t ra)
{
    unsigned type = desc_type(d);
    TaskSource source = is_call ? TASK_CALL : TASK_JUMP;

    if (is_long(s)) {
        uint64_t upper;

        if (type != SYS_CALL32) {
            gp(s, selector, ra);
        }
        if (desc_dpl(d) < MAX(s->cpl, selector & 3u)) {
            gp(s, selector, ra);
        }
        if (!(d->high & DESC_P)) {
            x86_raise_error(s, EXC_NP, selector & ~3, ra);
        }
        upper = load_linear(s, d->addr + 8, 8, MMU_KERNEL, ra);
        if (upper >> 40 & 0x1f) {
            gp(s, selector, ra);
        }
        *gate = (Gate){
            .selector = d->low >> 16,
            .pc = upper << 32 | (d->high & 0xffff0000) | (d->low & 0xffff),
            .size = 8,
        };
        return true;
    }
    switch (type) {
    case SYS_CALL16:
    case SYS_CALL32:
        if (desc_dpl(d) < MAX(s->cpl, selector & 3u)) {
            gp(s, selector, ra);
        }
        if (!(d->high & DESC_P)) {
            x86_raise_error(s, EXC_NP, selector & ~3, ra);
        }
        *gate = (Gate){
            .selector = d->low >> 16,
            .pc = type == SYS_CALL32 ? (d->high & 0xffff0000) | (d->low & 0xffff) : d->low & 0xffff,
            .size = type == SYS_CALL32 ? 4 : 2,
            .params = d->high & 31,
        };
        return true;
    case SYS_TSS16:
    case SYS_TSS32:
    case SYS_TSS16_BUSY:
    case SYS_TSS32_BUSY:
        if (desc_dpl(d) < MAX(s->cpl, selector & 3u) || (type & 2)) {
            gp(s, selector, ra);
        }
        if (!(d->high & DESC_P)) {
            x86_raise_error(s, EXC_NP, selector & ~3, ra);
        }
        task_switch(s, d, source, next_pc, false, 0, 0, ra);
        return false;
    case SYS_TASK_GATE: {
        uint16_t tss_selector = d->low >> 16;
        Descriptor tss;

        if (desc_dpl(d) < MAX(s->cpl, selector & 3u)) {
            gp(s, selector, ra);
        }
        if (!(d->high & DESC_P)) {
            x86_raise_error(s, EXC_NP, selector & ~3, ra);
        }
        if (tss_selector & 4) {
            gp(s, tss_selector, ra);
        }
        desc_fetch(s, tss_selector, &tss, EXC_GP, 0, ra);
        if ((tss.high & DESC_S) || (desc_type(&tss) != SYS_TSS16 && desc_type(&tss) != SYS_TSS32)) {
            gp(s, tss_selector, ra);
        }
        if (!(tss.high & DESC_P)) {
            x86_raise_error(s, EXC_NP, tss_selector & ~3, ra);
        }
        task_switch(s, &tss, source, next_pc, false, 0, 0, ra);
        return false;
    }
    default:
        gp(s, selector, ra);
    }
}

/* The code segment of a call gate, checked; its level is returned. */
static unsigned gate_code(X86State *s, const Gate *gate, bool is_call, X86Segment *cs, uintptr_t ra)
{
    Descriptor d;
    unsigned cpl;

    if (is_null(gate->selector)) {
        gp(s, 0, ra);
    }
    desc_fetch(s, gate->selector, &d, EXC_GP, 0, ra);
    if (!(d.high & DESC_S) || !(d.high & DESC_CODE) || desc_dpl(&d) > s->cpl) {
        gp(s, gate->selector, ra);
    }
    if (is_long(s) && (!(d.high & DESC_L) || (d.high & DESC_DB))) {
        gp(s, gate->selector, ra);
    }
    if (!is_call && !(d.high & DESC_CONFORMING) && desc_dpl(&d) != s->cpl) {
        gp(s, gate->selector, ra);
    }
    if (!(d.high & DESC_P)) {
        x86_raise_error(s, EXC_NP, gate->selector & ~3, ra);
    }
    cpl = d.high & DESC_CONFORMING ? s->cpl : desc_dpl(&d);
    desc_set_accessed(s, &d, ra);
    seg_from_descriptor(cs, gate->selector, &d);
    check_target(s, cs, gate->pc, ra);
    return cpl;
}

uint64_t helper_far_jmp(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t dd)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint16_t selector = a;
    uint64_t pc = b & mask_of(opsize_bytes(c));
    X86Segment cs;
    Descriptor d;

    if (!is_protected(s)) {
        if (pc > s->seg[S_CS].limit) {
            gp(s, 0, ra);
        }
        far_real(s, selector, pc);
        x86_update_mode(s);
        return 0;
    }
    if (is_null(selector)) {
        gp(s, 0, ra);
    }
    desc_fetch(s, selector, &d, EXC_GP, 0, ra);
    if (d.high & DESC_S) {
        if (!(d.high & DESC_CODE)) {
            gp(s, selector, ra);
        }
        direct_code_segment(s, selector, &d, &cs, ra);
        check_target(s, &cs, pc, ra);
        set_code_segment(s, &cs, s->cpl);
        s->pc = pc;
    } else {
        Gate gate;

        if (!read_gate(s, &d, selector, false, dd, &gate, ra)) {
            return 0;
        }
        gate_code(s, &gate, false, &cs, ra);
        set_code_segment(s, &cs, s->cpl);
        s->pc = gate.pc;
    }
    x86_update_mode(s);
    return 0;
}

/* A call gate to an inner level: new stack, with parameters copied. */
static void call_inner(X86State *s, const Gate *gate, const X86Segment *cs, unsigned cpl,
                       uint64_t next_pc, uintptr_t ra)
{
    X86Segment ss = { .selector = cpl, .attr = cpl << SEG_DPL_SHIFT };
    uint64_t params[31];
    Stack old, k;

    stack_current(s, &old);
    if (gate->size == 8) {
        k = (Stack){ .sp = tss_rsp(s, cpl, 0, 0, ra), .mask = UINT64_MAX, .mode = data_mode(s, cpl) };
    } else {
        uint16_t selector;
        uint64_t sp;
        Descriptor d;

        tss_stack(s, cpl, &selector, &sp, 0, ra);
        if (is_null(selector)) {
            x86_raise_error(s, EXC_TS, 0, ra);
        }
        desc_fetch(s, selector, &d, EXC_TS, 0, ra);
        if ((selector & 3u) != cpl || desc_dpl(&d) != cpl || !(d.high & DESC_S) ||
            (d.high & DESC_CODE) || !(d.high & DESC_RW)) {
            x86_raise_error(s, EXC_TS, selector & ~3, ra);
        }
        if (!(d.high & DESC_P)) {
            x86_raise_error(s, EXC_SS, selector & ~3, ra);
        }
        desc_set_accessed(s, &d, ra);
        seg_from_descriptor(&ss, selector, &d);
        k = (Stack){
            .base = ss.base,
            .sp = sp,
            .mask = ss.attr & SEG_DB ? UINT32_MAX : 0xffff,
            .mode = data_mode(s, cpl),
            .last = ss.limit,
            .expand_down = (ss.attr & 4) != 0,
            .checked = true,
            .is_new = true,
            .selector = selector,
        };
    }
    for (unsigned i = 0; i < gate->params; i++) {
        params[i] = stack_peek(s, &old, i * gate->size, gate->size, ra);
    }
    stack_push(s, &k, gate->size, s->seg[S_SS].selector, ra);
    stack_push(s, &k, gate->size, s->reg[R_SP], ra);
    for (unsigned i = gate->params; i-- > 0;) {
        stack_push(s, &k, gate->size, params[i], ra);
    }
    stack_push(s, &k, gate->size, s->seg[S_CS].selector, ra);
    stack_push(s, &k, gate->size, next_pc, ra);

    s->seg[S_SS] = ss;
    s->reg[R_SP] = merge(s->reg[R_SP], k.sp, k.mask);
    set_code_segment(s, cs, cpl);
    s->pc = gate->pc;
}

uint64_t helper_far_call(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t next_pc)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint16_t selector = a;
    unsigned size = opsize_bytes(c), cpl;
    uint64_t pc = b & mask_of(size);
    X86Segment cs;
    Descriptor d;
    Gate gate;
    Stack k;

    stack_current(s, &k);
    if (!is_protected(s)) {
        if (pc > s->seg[S_CS].limit) {
            gp(s, 0, ra);
        }
        stack_push(s, &k, size, s->seg[S_CS].selector, ra);
        stack_push(s, &k, size, next_pc, ra);
        stack_commit(s, &k);
        far_real(s, selector, pc);
        x86_update_mode(s);
        return 0;
    }
    if (is_null(selector)) {
        gp(s, 0, ra);
    }
    desc_fetch(s, selector, &d, EXC_GP, 0, ra);
    if (d.high & DESC_S) {
        if (!(d.high & DESC_CODE)) {
            gp(s, selector, ra);
        }
        direct_code_segment(s, selector, &d, &cs, ra);
        check_target(s, &cs, pc, ra);
        stack_push(s, &k, size, s->seg[S_CS].selector, ra);
        stack_push(s, &k, size, next_pc, ra);
        stack_commit(s, &k);
        set_code_segment(s, &cs, s->cpl);
        s->pc = pc;
        x86_update_mode(s);
        return 0;
    }
    if (!read_gate(s, &d, selector, true, next_pc, &gate, ra)) {
        return 0;
    }
    cpl = gate_code(s, &gate, true, &cs, ra);
    if (cpl < s->cpl) {
        call_inner(s, &gate, &cs, cpl, next_pc, ra);
    } else {
        stack_push(s, &k, gate.size, s->seg[S_CS].selector, ra);
        stack_push(s, &k, gate.size, next_pc, ra);
        stack_commit(s, &k);
        set_code_segment(s, &cs, cpl);
        s->pc = gate.pc;
    }
    x86_update_mode(s);
    return 0;
}

/* The code segment that a far return or IRET goes back to. */
static void return_code_segment(X86State *s, uint16_t selector, X86Segment *cs, uintptr_t ra)
{
    unsigned rpl = selector & 3;
    Descriptor d;

    if (is_null(selector)) {
        gp(s, 0, ra);
    }
    desc_fetch(s, selector, &d, EXC_GP, 0, ra);
    if (!(d.high & DESC_S) || !(d.high & DESC_CODE) || rpl < s->cpl ||
        (d.high & DESC_CONFORMING ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl)) {
        gp(s, selector, ra);
    }
    if (is_long(s) && (d.high & DESC_L) && (d.high & DESC_DB)) {
        gp(s, selector, ra);
    }
    if (!(d.high & DESC_P)) {
        x86_raise_error(s, EXC_NP, selector & ~3, ra);
    }
    desc_set_accessed(s, &d, ra);
    seg_from_descriptor(cs, selector, &d);
}

/* The stack segment that a return to another level (or any IRETQ) goes back to. */
static void return_stack_segment(X86State *s, uint16_t selector, const X86Segment *cs, unsigned cpl,
                                 X86Segment *ss, uintptr_t ra)
{
    if (is_null(selector) && is_long(s) && (cs->attr & SEG_L) && cpl < 3 && (selector & 3u) == cpl) {
        seg_set_null(ss, selector);
        ss->attr = cpl << SEG_DPL_SHIFT;
        return;
    }
    if (is_null(selector)) {
        gp(s, 0, ra);
    }
    seg_load_protected(s, ss, S_SS, selector, cpl, 0, ra);
}

uint64_t helper_far_ret(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    unsigned size = opsize_bytes(a), cpl;
    uint16_t selector;
    uint64_t pc;
    X86Segment cs;
    Stack k;

    stack_current(s, &k);
    pc = stack_pop(s, &k, size, ra);
    selector = stack_pop(s, &k, size, ra);
    if (!is_protected(s)) {
        if (pc > s->seg[S_CS].limit) {
            gp(s, 0, ra);
        }
        k.sp = merge(k.sp, k.sp + b, k.mask);
        stack_commit(s, &k);
        far_real(s, selector, pc);
        x86_update_mode(s);
        return 0;
    }
    return_code_segment(s, selector, &cs, ra);
    check_target(s, &cs, pc, ra);
    cpl = selector & 3;
    k.sp = merge(k.sp, k.sp + b, k.mask);
    if (cpl == s->cpl) {
        stack_commit(s, &k);
        set_code_segment(s, &cs, cpl);
    } else {
        uint64_t sp = stack_pop(s, &k, size, ra), mask;
        uint16_t ss_selector = stack_pop(s, &k, size, ra);
        X86Segment ss;

        return_stack_segment(s, ss_selector, &cs, cpl, &ss, ra);
        set_code_segment(s, &cs, cpl);
        s->seg[S_SS] = ss;
        mask = stack_mask(s);
        s->reg[R_SP] = merge(s->reg[R_SP], sp + b, mask);
        seg_drop_privileged(s, cpl);
    }
    s->pc = pc;
    x86_update_mode(s);
    return 0;
}

/* The EFLAGS bits that IRET may change. */
static uint32_t iret_mask(const X86State *s, unsigned size)
{
    uint32_t mask = FLAGS_ALL | EFL_TF | EFL_DF | EFL_NT;

    if (size > 2) {
        mask |= EFL_RF | EFL_AC | EFL_ID;
    }
    if (s->cpl <= iopl(s)) {
        mask |= EFL_IF;
    }
    if (s->cpl == 0) {
        mask |= EFL_IOPL;
        if (size > 2) {
            mask |= EFL_VIF | EFL_VIP;
        }
    }
    return mask;
}

static void iret_to_v86(X86State *s, Stack *k, uint64_t pc, uint16_t cs, uint32_t flags, uintptr_t ra)
{
    static const uint8_t order[] = { S_SS, S_ES, S_DS, S_FS, S_GS };
    uint32_t sp = stack_pop(s, k, 4, ra);
    uint16_t selector[5];

    for (int i = 0; i < 5; i++) {
        selector[i] = stack_pop(s, k, 4, ra);
    }
    x86_set_eflags(s, flags, FLAGS_ALL | EFL_TF | EFL_IF | EFL_DF | EFL_IOPL | EFL_NT | EFL_RF |
                                 EFL_VM | EFL_AC | EFL_VIF | EFL_VIP | EFL_ID);
    for (int i = 0; i < 5; i++) {
        seg_set_v86(s, order[i], selector[i]);
    }
    seg_set_v86(s, S_CS, cs);
    s->cpl = 3;
    s->reg[R_SP] = sp;
    s->pc = pc & 0xffff;
}

static void iret_nested(X86State *s, uint64_t next_pc, uintptr_t ra)
{
    const X86Segment *tr = &s->seg[S_TR];
    uint16_t link;
    Descriptor d;

    if (is_long(s)) {
        gp(s, 0, ra);
    }
    link = load_linear(s, tr->base, 2, MMU_KERNEL, ra);
    if (link & 4) {
        x86_raise_error(s, EXC_TS, link & ~3, ra);
    }
    desc_fetch(s, link, &d, EXC_TS, 0, ra);
    if ((d.high & DESC_S) || (desc_type(&d) != SYS_TSS16_BUSY && desc_type(&d) != SYS_TSS32_BUSY)) {
        x86_raise_error(s, EXC_TS, link & ~3, ra);
    }
    if (!(d.high & DESC_P)) {
        x86_raise_error(s, EXC_NP, link & ~3, ra);
    }
    task_switch(s, &d, TASK_IRET, next_pc, false, 0, 0, ra);
}

static void iret_protected(X86State *s, unsigned size, uint64_t next_pc, uintptr_t ra)
{
    uint32_t flags, mask;
    uint16_t selector;
    unsigned cpl;
    X86Segment cs;
    uint64_t pc;
    Stack k;

    if (s->eflags & EFL_NT) {
        iret_nested(s, next_pc, ra);
        return;
    }
    stack_current(s, &k);
    k.frame = 5 * size;
    pc = stack_pop(s, &k, size, ra);
    selector = stack_pop(s, &k, size, ra);
    flags = stack_pop(s, &k, size, ra);
    if (size == 4 && (flags & EFL_VM) && s->cpl == 0 && !is_long(s)) {
        iret_to_v86(s, &k, pc, selector, flags, ra);
        return;
    }
    return_code_segment(s, selector, &cs, ra);
    check_target(s, &cs, pc, ra);
    cpl = selector & 3;
    mask = iret_mask(s, size);
    if (cpl == s->cpl && !is_code64(s)) {
        stack_commit(s, &k);
        set_code_segment(s, &cs, cpl);
    } else {
        uint64_t sp = stack_pop(s, &k, size, ra);
        uint16_t ss_selector = stack_pop(s, &k, size, ra);
        bool outer = cpl != s->cpl;
        X86Segment ss;

        return_stack_segment(s, ss_selector, &cs, cpl, &ss, ra);
        set_code_segment(s, &cs, cpl);
        s->seg[S_SS] = ss;
        s->reg[R_SP] = merge(s->reg[R_SP], sp, stack_mask(s));
        if (outer) {
            seg_drop_privileged(s, cpl);
        }
    }
    x86_set_eflags(s, flags, mask);
    s->pc = pc;
}

uint64_t helper_iret(X86State *s, uint64_t a, uint64_t next_pc, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    unsigned size = opsize_bytes(a);

    if (is_protected(s)) {
        iret_protected(s, size, next_pc, ra);
    } else {
        bool v86 = (s->eflags & EFL_VM) != 0, virtual_if;
        uint32_t flags, mask = FLAGS_ALL | EFL_TF | EFL_DF | EFL_NT | EFL_IF;
        uint16_t selector;
        uint64_t pc;
        Stack k;

        virtual_if = x86_has_virtual_if(s);
        if (v86 && iopl(s) < 3 && (!virtual_if || size > 2)) {
            gp(s, 0, ra);
        }
        stack_current(s, &k);
        pc = stack_pop(s, &k, size, ra);
        selector = stack_pop(s, &k, size, ra);
        flags = stack_pop(s, &k, size, ra);
        if (pc > s->seg[S_CS].limit) {
            gp(s, 0, ra);
        }
        if (virtual_if) {
            x86_v86_check_flags(s, flags, ra);
        }
        if (!v86) {
            mask |= EFL_IOPL;
        }
        if (size > 2) {
            mask |= EFL_RF | EFL_AC | EFL_ID;
        }
        stack_commit(s, &k);
        far_real(s, selector, pc);
        if (virtual_if) {
            x86_v86_set_flags(s, flags);
        } else {
            x86_set_eflags(s, flags, mask);
        }
    }
    s->nmi_blocked = false;
    x86_update_privilege(s);
    x86_poll_interrupts(s);
    return 0;
}
