/* Task switches through 16- and 32-bit task state segments (SDM vol. 3, chapter 8). */
#include "target/x86/svm.h"

/* What a TSS holds, in one shape for both sizes. */
typedef struct TaskImage {
    uint32_t cr3, pc, flags;
    uint32_t reg[8];
    uint16_t seg[6];
    uint16_t ldt;
    bool trap;
} TaskImage;

enum { TSS16_SIZE = 44, TSS32_SIZE = 104 };

static void read_image(X86State *s, uint64_t base, bool is32, TaskImage *t, uintptr_t ra)
{
    *t = (TaskImage){ 0 };
    if (is32) {
        t->cr3 = load_linear(s, base + 0x1c, 4, MMU_KERNEL, ra);
        t->pc = load_linear(s, base + 0x20, 4, MMU_KERNEL, ra);
        t->flags = load_linear(s, base + 0x24, 4, MMU_KERNEL, ra);
        for (int i = 0; i < 8; i++) {
            t->reg[i] = load_linear(s, base + 0x28 + i * 4, 4, MMU_KERNEL, ra);
        }
        for (int i = 0; i < 6; i++) {
            t->seg[i] = load_linear(s, base + 0x48 + i * 4, 2, MMU_KERNEL, ra);
        }
        t->ldt = load_linear(s, base + 0x60, 2, MMU_KERNEL, ra);
        t->trap = load_linear(s, base + 0x64, 2, MMU_KERNEL, ra) & 1;
    } else {
        t->pc = load_linear(s, base + 0x0e, 2, MMU_KERNEL, ra);
        t->flags = load_linear(s, base + 0x10, 2, MMU_KERNEL, ra);
        for (int i = 0; i < 8; i++) {
            t->reg[i] = load_linear(s, base + 0x12 + i * 2, 2, MMU_KERNEL, ra) | 0xffff0000;
        }
        for (int i = 0; i < 4; i++) {
            t->seg[i] = load_linear(s, base + 0x22 + i * 2, 2, MMU_KERNEL, ra);
        }
        t->ldt = load_linear(s, base + 0x2a, 2, MMU_KERNEL, ra);
    }
}

static void write_image(X86State *s, uint64_t base, bool is32, uint64_t pc, uint32_t flags, uintptr_t ra)
{
    if (is32) {
        store_linear(s, base + 0x20, pc, 4, MMU_KERNEL, ra);
        store_linear(s, base + 0x24, flags, 4, MMU_KERNEL, ra);
        for (int i = 0; i < 8; i++) {
            store_linear(s, base + 0x28 + i * 4, s->reg[i], 4, MMU_KERNEL, ra);
        }
        for (int i = 0; i < 6; i++) {
            store_linear(s, base + 0x48 + i * 4, s->seg[i].selector, 2, MMU_KERNEL, ra);
        }
    } else {
        store_linear(s, base + 0x0e, pc, 2, MMU_KERNEL, ra);
        store_linear(s, base + 0x10, flags, 2, MMU_KERNEL, ra);
        for (int i = 0; i < 8; i++) {
            store_linear(s, base + 0x12 + i * 2, s->reg[i], 2, MMU_KERNEL, ra);
        }
        for (int i = 0; i < 4; i++) {
            store_linear(s, base + 0x22 + i * 2, s->seg[i].selector, 2, MMU_KERNEL, ra);
        }
    }
}

/* The new task's LDT and segments; faults belong to the new task. */
static void load_segments(X86State *s, const TaskImage *t, uintptr_t ra)
{
    static const uint8_t data[] = { S_DS, S_ES, S_FS, S_GS };
    unsigned cpl = t->seg[S_CS] & 3;
    X86Segment loaded;
    Descriptor d;

    if (!is_null(t->ldt)) {
        if (t->ldt & 4) {
            x86_raise_error(s, EXC_TS, t->ldt & ~3, ra);
        }
        desc_fetch(s, t->ldt, &d, EXC_TS, 0, ra);
        if ((d.high & DESC_S) || desc_type(&d) != SYS_LDT || !(d.high & DESC_P)) {
            x86_raise_error(s, EXC_TS, t->ldt & ~3, ra);
        }
        seg_from_descriptor(&s->seg[S_LDTR], t->ldt, &d);
    }
    if (s->eflags & EFL_VM) {
        for (int i = 0; i < 6; i++) {
            seg_set_v86(s, i, t->seg[i]);
        }
        s->cpl = 3;
        return;
    }
    if (is_null(t->seg[S_CS])) {
        x86_raise_error(s, EXC_TS, 0, ra);
    }
    desc_fetch(s, t->seg[S_CS], &d, EXC_TS, 0, ra);
    if (!(d.high & DESC_S) || !(d.high & DESC_CODE) ||
        (d.high & DESC_CONFORMING ? desc_dpl(&d) > cpl : desc_dpl(&d) != cpl)) {
        x86_raise_error(s, EXC_TS, t->seg[S_CS] & ~3, ra);
    }
    if (!(d.high & DESC_P)) {
        x86_raise_error(s, EXC_NP, t->seg[S_CS] & ~3, ra);
    }
    s->cpl = cpl;
    seg_load_protected(s, &loaded, S_SS, t->seg[S_SS], cpl, EXC_TS, ra);
    s->seg[S_SS] = loaded;
    for (unsigned i = 0; i < G_N_ELEMENTS(data); i++) {
        seg_load_protected(s, &loaded, data[i], t->seg[data[i]], cpl, EXC_TS, ra);
        s->seg[data[i]] = loaded;
    }
    desc_set_accessed(s, &d, ra);
    seg_from_descriptor(&s->seg[S_CS], t->seg[S_CS], &d);
    if (s->pc > s->seg[S_CS].limit) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
}

void task_switch(X86State *s, Descriptor *d, TaskSource source, uint64_t next_pc, bool has_error,
                 uint32_t error, unsigned ext, uintptr_t ra)
{
    bool is32 = (desc_type(d) & 8) != 0, old32 = (s->seg[S_TR].attr & 8) != 0;
    uint32_t limit = desc_limit(d), base = desc_base(d), flags = x86_eflags(s);
    uint64_t old_base = s->seg[S_TR].base;
    uint16_t old_selector = s->seg[S_TR].selector;
    Descriptor old;
    TaskImage t;

    /* From here on the state in memory counts: the switch rewrites all of it. */
    if (ra) {
        tcg_restore(s, ra);
        ra = 0;
    }
    svm_check_task_switch(s, d->selector, source, has_error, error);
    if (limit < (is32 ? TSS32_SIZE : TSS16_SIZE) - 1) {
        x86_raise_error(s, EXC_TS, (d->selector & ~3) | ext, ra);
    }
    read_image(s, base, is32, &t, ra);
    /* Both TSSs can be written, or nothing is. */
    engine.probe(s->hot.cpu, linear(s, base), 1, MMU_STORE, MMU_KERNEL, ra);
    engine.probe(s->hot.cpu, linear(s, old_base), 1, MMU_STORE, MMU_KERNEL, ra);
    engine.probe(s->hot.cpu, linear(s, old_base + (old32 ? TSS32_SIZE : TSS16_SIZE) - 1), 1, MMU_STORE,
                 MMU_KERNEL, ra);

    if (source == TASK_JUMP || source == TASK_IRET) {
        if (desc_read(s, old_selector & ~7, &old, ra)) {
            desc_set_busy(s, &old, false, ra);
        }
    }
    if (source == TASK_IRET) {
        flags &= ~(uint32_t)EFL_NT;
    }
    write_image(s, old_base, old32, next_pc, flags, ra);
    if (source == TASK_CALL || source == TASK_INT) {
        store_linear(s, base, old_selector, 2, MMU_KERNEL, ra);
        t.flags |= EFL_NT;
    }
    if (source != TASK_IRET) {
        desc_set_busy(s, d, true, ra);
    }

    /* Commit: the new task runs now, whatever its segments turn out to be. */
    seg_from_descriptor(&s->seg[S_TR], d->selector, d);
    s->cr0 |= CR0_TS;
    if (is32 && (s->cr0 & CR0_PG)) {
        x86_set_cr3(s, t.cr3, ra);
    }
    s->pc = t.pc;
    x86_set_eflags(s, t.flags, ~0u); /* a 16-bit task leaves virtual-8086 mode */
    for (int i = 0; i < 8; i++) {
        s->reg[i] = t.reg[i];
    }
    for (int i = 0; i < 6; i++) {
        /* Selectors are visible even if loading their descriptors fails. */
        seg_set_null(&s->seg[i], t.seg[i]);
    }
    seg_set_null(&s->seg[S_LDTR], t.ldt);
    s->seg[S_SS].attr = SEG_DB;
    s->cpl = s->eflags & EFL_VM ? 3 : t.seg[S_CS] & 3;
    s->dr[7] &= ~UINT64_C(0x155); /* local breakpoints are the old task's */
    x86_update_watches(s);
    x86_update_mode(s);
    load_segments(s, &t, ra);
    x86_update_mode(s);
    if (has_error) {
        Stack k;

        stack_current(s, &k);
        stack_push(s, &k, is32 ? 4 : 2, error, ra);
        stack_commit(s, &k);
    }
    x86_poll_interrupts(s);
    if (t.trap) {
        s->exception.dr6 = 1 << 15; /* BT */
        x86_raise(s, EXC_DB, ra);
    }
}
