/* Raising and delivering exceptions and interrupts, in all modes (SDM vol. 3, chapter 6). */
#include "core/machine.h"
#include "target/x86/svm.h"
#include "target/x86/vme.h"

enum { DR7_GD = 1 << 13 };

static void G_GNUC_NORETURN raise_event(X86State *s, int vector, bool has_error, uint32_t error,
                                        uintptr_t ra)
{
    s->exception.vector = vector;
    s->exception.has_error = has_error;
    s->exception.error_code = error;
    s->exception.software = false;
    s->exception.external = false;
    s->exception.by_opcode = false;
    s->exception.injected = false;
    if (s->catching) {
        __builtin_longjmp(s->catch_point, 1);
    }
    if (ra) {
        tcg_restore(s, ra);
    }
    tcg_unwind(s, TCG_EXIT_EXCEPTION);
}

void x86_raise(X86State *s, int vector, uintptr_t retaddr)
{
    raise_event(s, vector, false, 0, retaddr);
}

void x86_raise_error(X86State *s, int vector, uint32_t error, uintptr_t retaddr)
{
    raise_event(s, vector, true, error, retaddr);
}

uint64_t helper_raise(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    x86_raise(s, a, tcg_caller_pc(s));
}

uint64_t helper_raise_error(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    x86_raise_error(s, a, b, tcg_caller_pc(s));
}

/* Behind an instruction with TF, or with a trap that waited for it. Behind MOV SS there is none (SDM vol. 3, 6.8.3). */
uint64_t helper_single_step(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (s->interrupt_shadow == 2) {
        return 0;
    }
    s->exception.dr6 = s->pending_debug ? s->pending_debug : DR6_BS;
    s->pending_debug = 0;
    x86_raise(s, EXC_DB, 0);
}

/* Selector and offset of the stack of an inner level. */
void tss_stack(X86State *s, unsigned level, uint16_t *ss, uint64_t *sp, unsigned ext, uintptr_t ra)
{
    const X86Segment *tr = &s->seg[S_TR];
    bool is32 = (tr->attr & 8) != 0;
    unsigned size = is32 ? 4 : 2;
    uint32_t offset = size + level * 2 * size;

    if (!(tr->attr & SEG_P) || offset + 2 * size - 1 > tr->limit) {
        x86_raise_error(s, EXC_TS, (tr->selector & ~3) | ext, ra);
    }
    *sp = load_linear(s, tr->base + offset, size, MMU_KERNEL, ra);
    *ss = load_linear(s, tr->base + offset + size, 2, MMU_KERNEL, ra);
}

uint64_t tss_rsp(X86State *s, unsigned level, unsigned ist, unsigned ext, uintptr_t ra)
{
    const X86Segment *tr = &s->seg[S_TR];
    uint32_t offset = ist ? 36 + (ist - 1) * 8 : 4 + level * 8;
    uint64_t rsp;

    if (!(tr->attr & SEG_P) || offset + 7 > tr->limit) {
        x86_raise_error(s, EXC_TS, (tr->selector & ~3) | ext, ra);
    }
    rsp = load_linear(s, tr->base + offset, 8, MMU_KERNEL, ra);
    if (!is_canonical(s, rsp)) {
        x86_raise_error(s, EXC_SS, ext, ra);
    }
    return rsp;
}

/* INT1, which counts as an event from outside of the program; INT 1 is like any other. */
static bool is_int1(const X86Exception *e)
{
    return e->software && e->vector == EXC_DB && e->by_opcode;
}

static bool is_debug_exception(const X86Exception *e)
{
    return e->vector == EXC_DB && !e->external && (!e->software || e->by_opcode);
}

/* EFLAGS as the handler's frame shows them. */
static uint32_t frame_flags(const X86State *s, const X86Exception *e)
{
    uint32_t flags = x86_eflags(s);
    bool fault = !e->software && !e->external && e->vector != EXC_DB && e->vector != EXC_NMI &&
                 e->vector != EXC_DF && e->vector != EXC_MC;

    return fault ? flags | EFL_RF : flags;
}

static void commit_flags(X86State *s, bool clear_if)
{
    s->eflags &= ~(uint32_t)(EFL_TF | EFL_VM | EFL_RF | EFL_NT | (clear_if ? EFL_IF : 0));
}

static void enter_real(X86State *s, const X86Exception *e, uint64_t return_pc)
{
    uint32_t vector = e->vector, handler;
    Stack k;

    if (vector * 4 + 3 > s->idtr.limit) {
        x86_raise_error(s, EXC_GP, vector * 8 + 2, 0);
    }
    handler = load_linear(s, s->idtr.base + vector * 4, 4, MMU_KERNEL, 0);
    stack_current(s, &k);
    stack_push(s, &k, 2, x86_eflags(s), 0);
    stack_push(s, &k, 2, s->seg[S_CS].selector, 0);
    stack_push(s, &k, 2, return_pc, 0);

    stack_commit(s, &k);
    s->eflags &= ~(uint32_t)(EFL_IF | EFL_TF | EFL_AC | EFL_RF);
    x86_load_real_segment(s, S_CS, handler >> 16);
    s->pc = handler & 0xffff;
}

/* A code segment that a gate names: its descriptor and the level that it will run at. */
static unsigned gate_code_segment(X86State *s, uint16_t selector, Descriptor *cs, unsigned ext)
{
    if (is_null(selector)) {
        x86_raise_error(s, EXC_GP, ext, 0);
    }
    desc_fetch(s, selector, cs, EXC_GP, ext, 0);
    if (!(cs->high & DESC_S) || !(cs->high & DESC_CODE) || desc_dpl(cs) > s->cpl) {
        x86_raise_error(s, EXC_GP, (selector & ~3) | ext, 0);
    }
    if (!(cs->high & DESC_P)) {
        x86_raise_error(s, EXC_NP, (selector & ~3) | ext, 0);
    }
    return cs->high & DESC_CONFORMING ? s->cpl : desc_dpl(cs);
}

static void enter_task(X86State *s, const X86Exception *e, uint16_t selector, uint64_t return_pc,
                       unsigned ext)
{
    Descriptor tss;

    if (selector & 4) {
        x86_raise_error(s, EXC_GP, (selector & ~3) | ext, 0);
    }
    desc_fetch(s, selector, &tss, EXC_GP, ext, 0);
    if ((tss.high & DESC_S) || (desc_type(&tss) != SYS_TSS16 && desc_type(&tss) != SYS_TSS32)) {
        x86_raise_error(s, EXC_GP, (selector & ~3) | ext, 0);
    }
    if (!(tss.high & DESC_P)) {
        x86_raise_error(s, EXC_NP, (selector & ~3) | ext, 0);
    }
    task_switch(s, &tss, TASK_INT, return_pc, e->has_error, e->error_code, ext, 0);
}

static void enter_protected(X86State *s, const X86Exception *e, uint64_t return_pc, unsigned ext)
{
    uint32_t vector = e->vector, idt_error = vector * 8 + 2 + ext;
    bool v86 = (s->eflags & EFL_VM) != 0;
    X86Segment cs_new, ss_new;
    Descriptor gate, cs;
    unsigned type, cpl, size;
    uint64_t raw, offset;
    uint16_t selector;
    bool inner;
    Stack k;

    if (vector * 8 + 7 > s->idtr.limit) {
        x86_raise_error(s, EXC_GP, idt_error, 0);
    }
    raw = load_linear(s, s->idtr.base + vector * 8, 8, MMU_KERNEL, 0);
    gate.low = raw;
    gate.high = raw >> 32;
    type = desc_type(&gate);
    if ((gate.high & DESC_S) || (type != SYS_TASK_GATE && (type & 7) != 6 && (type & 7) != 7)) {
        x86_raise_error(s, EXC_GP, idt_error, 0);
    }
    if (e->software && !is_int1(e) && desc_dpl(&gate) < s->cpl) {
        x86_raise_error(s, EXC_GP, idt_error, 0);
    }
    if (!(gate.high & DESC_P)) {
        x86_raise_error(s, EXC_NP, idt_error, 0);
    }
    selector = gate.low >> 16;
    if (type == SYS_TASK_GATE) {
        enter_task(s, e, selector, return_pc, ext);
        return;
    }

    size = type & 8 ? 4 : 2;
    offset = type & 8 ? (gate.high & 0xffff0000) | (gate.low & 0xffff) : gate.low & 0xffff;
    cpl = gate_code_segment(s, selector, &cs, ext);
    inner = cpl < s->cpl;
    if (v86 && cpl != 0) {
        x86_raise_error(s, EXC_GP, (selector & ~3) | ext, 0);
    }
    if (inner) {
        uint16_t ss_selector;
        uint64_t sp;
        Descriptor ss;

        tss_stack(s, cpl, &ss_selector, &sp, ext, 0);
        if (is_null(ss_selector)) {
            x86_raise_error(s, EXC_TS, ext, 0);
        }
        desc_fetch(s, ss_selector, &ss, EXC_TS, ext, 0);
        if ((ss_selector & 3u) != cpl || desc_dpl(&ss) != cpl || !(ss.high & DESC_S) ||
            (ss.high & DESC_CODE) || !(ss.high & DESC_RW)) {
            x86_raise_error(s, EXC_TS, (ss_selector & ~3) | ext, 0);
        }
        if (!(ss.high & DESC_P)) {
            x86_raise_error(s, EXC_SS, (ss_selector & ~3) | ext, 0);
        }
        desc_set_accessed(s, &ss, 0);
        seg_from_descriptor(&ss_new, ss_selector, &ss);
        k = (Stack){
            .base = ss_new.base,
            .sp = sp,
            .mask = ss_new.attr & SEG_DB ? UINT32_MAX : 0xffff,
            .mode = data_mode(s, cpl),
            .last = ss_new.limit,
            .expand_down = (ss_new.attr & 4) != 0,
            .checked = true,
            .is_new = true,
            .selector = ss_selector | ext,
            .frame = 6 * size,
        };
        if (v86) {
            stack_push(s, &k, size, s->seg[S_GS].selector, 0);
            stack_push(s, &k, size, s->seg[S_FS].selector, 0);
            stack_push(s, &k, size, s->seg[S_DS].selector, 0);
            stack_push(s, &k, size, s->seg[S_ES].selector, 0);
        }
        stack_push(s, &k, size, s->seg[S_SS].selector, 0);
        stack_push(s, &k, size, s->reg[R_SP], 0);
    } else {
        stack_current(s, &k);
        k.frame = 4 * size;
        ss_new = s->seg[S_SS];
    }
    stack_push(s, &k, size, frame_flags(s, e), 0);
    stack_push(s, &k, size, s->seg[S_CS].selector, 0);
    stack_push(s, &k, size, return_pc, 0);
    if (e->has_error) {
        stack_push(s, &k, size, e->error_code, 0);
    }
    seg_from_descriptor(&cs_new, selector, &cs);
    if (offset > cs_new.limit) {
        x86_raise_error(s, EXC_GP, ext, 0);
    }
    desc_set_accessed(s, &cs, 0);
    cs_new.attr = desc_attr(&cs);

    commit_flags(s, !(type & 1));
    if (v86) {
        seg_set_null(&s->seg[S_GS], 0);
        seg_set_null(&s->seg[S_FS], 0);
        seg_set_null(&s->seg[S_DS], 0);
        seg_set_null(&s->seg[S_ES], 0);
    }
    if (inner) {
        s->seg[S_SS] = ss_new;
        s->reg[R_SP] = merge(s->reg[R_SP], k.sp, k.mask);
    } else {
        stack_commit(s, &k);
    }
    set_code_segment(s, &cs_new, cpl);
    s->pc = offset;
}

static void enter_long(X86State *s, const X86Exception *e, uint64_t return_pc, unsigned ext)
{
    uint32_t vector = e->vector, idt_error = vector * 8 + 2 + ext;
    X86Segment cs_new;
    Descriptor gate, cs;
    unsigned type, cpl, ist;
    uint64_t raw, offset;
    uint16_t selector;
    Stack k;

    if (vector * 16 + 15 > s->idtr.limit) {
        x86_raise_error(s, EXC_GP, idt_error, 0);
    }
    raw = load_linear(s, s->idtr.base + vector * 16, 8, MMU_KERNEL, 0);
    gate.low = raw;
    gate.high = raw >> 32;
    type = desc_type(&gate);
    if ((gate.high & DESC_S) || (type != SYS_INT32 && type != SYS_TRAP32)) {
        x86_raise_error(s, EXC_GP, idt_error, 0);
    }
    if (e->software && !is_int1(e) && desc_dpl(&gate) < s->cpl) {
        x86_raise_error(s, EXC_GP, idt_error, 0);
    }
    if (!(gate.high & DESC_P)) {
        x86_raise_error(s, EXC_NP, idt_error, 0);
    }
    selector = gate.low >> 16;
    offset = load_linear(s, s->idtr.base + vector * 16 + 8, 4, MMU_KERNEL, 0) << 32 |
             (gate.high & 0xffff0000) | (gate.low & 0xffff);
    ist = gate.high & 7;
    cpl = gate_code_segment(s, selector, &cs, ext);
    if (!(cs.high & DESC_L) || (cs.high & DESC_DB)) {
        x86_raise_error(s, EXC_GP, (selector & ~3) | ext, 0);
    }
    if (!is_canonical(s, offset)) {
        x86_raise_error(s, EXC_GP, ext, 0);
    }
    k = (Stack){ .mask = UINT64_MAX, .mode = data_mode(s, cpl), .frame = 6 * 8 };
    if (ist || cpl < s->cpl) {
        k.sp = tss_rsp(s, cpl, ist, ext, 0);
    } else {
        k.sp = s->reg[R_SP];
    }
    k.sp &= ~UINT64_C(15);
    stack_push(s, &k, 8, s->seg[S_SS].selector, 0);
    stack_push(s, &k, 8, s->reg[R_SP], 0);
    stack_push(s, &k, 8, frame_flags(s, e), 0);
    stack_push(s, &k, 8, s->seg[S_CS].selector, 0);
    stack_push(s, &k, 8, return_pc, 0);
    if (e->has_error) {
        stack_push(s, &k, 8, e->error_code, 0);
    }
    desc_set_accessed(s, &cs, 0);
    seg_from_descriptor(&cs_new, selector, &cs);

    commit_flags(s, !(type & 1));
    if (cpl < s->cpl) {
        seg_set_null(&s->seg[S_SS], cpl);
        s->seg[S_SS].attr = cpl << SEG_DPL_SHIFT;
    }
    s->reg[R_SP] = k.sp;
    set_code_segment(s, &cs_new, cpl);
    s->pc = offset;
}

void x86_enter_debug(X86State *s, const X86Exception *e)
{
    if (!e->software) {
        s->dr[6] &= ~(uint64_t)DR6_HITS; /* the other bits are the guest's to clear */
    }
    s->dr[6] |= e->dr6;
    s->dr[7] &= ~(uint64_t)DR7_GD;
}

static void enter(X86State *s, const X86Exception *e)
{
    uint64_t return_pc = e->software ? e->next_pc : s->pc;
    unsigned ext = !e->software || is_int1(e);

    if (e->vector == EXC_PF && !e->software && !e->external) {
        s->cr2 = e->cr2;
    } else if (is_debug_exception(e)) {
        x86_enter_debug(s, e);
    }
    if (!(s->cr0 & CR0_PE)) {
        enter_real(s, e, return_pc);
    } else if (is_long(s)) {
        enter_long(s, e, return_pc, ext);
    } else {
        enter_protected(s, e, return_pc, ext);
    }
}

/* False: entering raised the exception that s->exception now holds; nothing else has changed. */
static bool __attribute__((noinline)) try_enter(X86State *s, const X86Exception *e)
{
    if (__builtin_setjmp(s->catch_point)) {
        s->catching = false;
        return false;
    }
    s->catching = true;
    enter(s, e);
    s->catching = false;
    return true;
}

static bool is_contributory(int vector)
{
    return vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP);
}

/* SDM table 6-5. */
static bool is_double_fault(const X86Exception *first, int second)
{
    if (first->software || first->external) {
        return false;
    }
    if (first->vector == EXC_PF) {
        return second == EXC_PF || is_contributory(second);
    }
    return is_contributory(first->vector) && is_contributory(second);
}

void x86_shut_down(X86State *s)
{
    x86_log(s, LOG_INT | LOG_CPU_RESET, "cpu %d: shutdown (triple fault) at %04x:%016" PRIx64 "\n",
            s->hot.cpu->index, s->seg[S_CS].selector, s->pc);
    tcg_fp_sync(s);
    s->shut_down = true;
    s->hot.cpu->halted = true;
    machine_request_reset(SHUTDOWN_GUEST);
}

void x86_interrupt(X86State *s, const X86Exception *event)
{
    X86Exception e = *event;

    if (s->pending_debug && is_debug_exception(&e)) {
        e.dr6 |= s->pending_debug & DR6_HITS;
        s->pending_debug = 0;
    }
    x86_log(s, LOG_INT,
            "cpu %d: v=%02x e=%04x %s cpl=%u pc=%04x:%016" PRIx64 " sp=%04x:%016" PRIx64
            " cr2=%016" PRIx64 " ax=%016" PRIx64 "\n",
            s->hot.cpu->index, e.vector, e.has_error ? e.error_code : 0,
            e.software ? "int" : e.external ? "ext" : "exc", s->cpl, s->seg[S_CS].selector, s->pc,
            s->seg[S_SS].selector, s->reg[R_SP], e.vector == EXC_PF ? e.cr2 : s->cr2, s->reg[R_AX]);
    s->delivering = NULL;
    svm_check_exception(s, &e);
    s->delivering = &e;
    while (!try_enter(s, &e)) {
        X86Exception second = s->exception;

        x86_log(s, LOG_INT, "cpu %d: v=%02x while delivering v=%02x\n", s->hot.cpu->index,
                second.vector, e.vector);
        svm_check_exception(s, &second);
        if (e.vector == EXC_DF && !e.software && !e.external &&
            (second.vector == EXC_PF || is_contributory(second.vector))) {
            s->exception = (X86Exception){ .vector = -1 };
            svm_check_shutdown(s);
            s->delivering = NULL;
            x86_shut_down(s);
            return;
        }
        if (is_double_fault(&e, second.vector)) {
            second = (X86Exception){ .vector = EXC_DF, .has_error = true };
            svm_check_exception(s, &second);
        }
        e = second;
    }
    s->delivering = NULL;
    s->exception = (X86Exception){ .vector = -1 };
    s->interrupt_shadow = 0;
    if (s->pending_debug) { /* at the handler's first instruction */
        X86Exception trap = { .vector = EXC_DB, .dr6 = s->pending_debug & DR6_HITS };

        s->pending_debug = 0;
        x86_interrupt(s, &trap);
        return;
    }
    x86_update_privilege(s);
}

void x86_deliver_exception(Cpu *cpu)
{
    X86State *s = x86_state(cpu);
    X86Exception e = s->exception;

    if (e.vector >= 0) {
        s->exception.vector = -1;
        if (s->mode_flags & MODE_COUNT && e.vector != EXC_DB) {
            s->pmu_left++; /* the instruction did not come to its end */
        }
        x86_interrupt(s, &e);
    }
}

uint64_t helper_int(X86State *s, uint64_t vector, uint64_t next_pc, uint64_t kind, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    X86Exception e = { .vector = vector & 0xff, .software = true, .by_opcode = kind != 0, .next_pc = next_pc };

    if (kind == 0 && (s->eflags & EFL_VM)) {
        if (x86_v86_interrupt(s, vector & 0xff, next_pc, ra)) {
            tcg_unwind(s, TCG_EXIT_MODE);
        }
        if (iopl(s) < 3) {
            x86_raise_error(s, EXC_GP, 0, ra);
        }
    }
    tcg_restore(s, ra);
    x86_interrupt(s, &e);
    tcg_unwind(s, s->shut_down ? TCG_EXIT_HALT : TCG_EXIT_MODE);
}
