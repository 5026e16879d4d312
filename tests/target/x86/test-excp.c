/* Interrupts, exceptions, far transfers and tasks in every mode, and the CPU models. */
#include "target/x86/fp_state.h"
#include "target/x86/internal.h"
#include "tests/target/x86/fake.h"

enum { GDT = 0x1000, IDT = 0x2000, TSS = 0x3000, TSS2 = 0x3800, STACK0 = 0x9000, STACK3 = 0xa000 };
enum { CODE0 = 0x08, DATA0 = 0x10, CODE3 = 0x1b, DATA3 = 0x23, TSS_SEL = 0x28, TSS2_SEL = 0x38, GATE = 0x40 };

static void interrupt(int vector, bool has_error, uint32_t error)
{
    X86Exception e = { .vector = vector, .has_error = has_error, .error_code = error };

    x86_interrupt(s, &e);
}

static void idt_gate(int vector, uint16_t selector, uint32_t offset, unsigned access)
{
    put64(IDT + 8 * vector, (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)access << 40 |
                                (uint64_t)(offset >> 16) << 48);
}

static void protected_mode_of(const char *model)
{
    fake_start(model);
    put64(GDT + CODE0, descriptor(0, 0xfffff, 0x9b, 0xc));
    put64(GDT + DATA0, descriptor(0, 0xfffff, 0x93, 0xc));
    put64(GDT + (CODE3 & ~7), descriptor(0, 0xfffff, 0xfb, 0xc));
    put64(GDT + (DATA3 & ~7), descriptor(0, 0xfffff, 0xf3, 0xc));
    put64(GDT + TSS_SEL, descriptor(TSS, 0x67, 0x8b, 0));
    put64(GDT + TSS2_SEL, descriptor(TSS2, 0x67, 0x89, 0));
    s->gdtr.base = GDT;
    s->gdtr.limit = 0xff;
    s->idtr.base = IDT;
    s->idtr.limit = 0x7ff;
    s->cr0 |= CR0_PE;
    put32(TSS + 4, STACK0);
    put32(TSS + 8, DATA0);
    set_segment(S_TR, TSS_SEL, descriptor(TSS, 0x67, 0x8b, 0));
    set_segment(S_CS, CODE0, descriptor(0, 0xfffff, 0x9b, 0xc));
    for (int i = 0; i < 6; i++) {
        if (i != S_CS) {
            set_segment(i, DATA0, descriptor(0, 0xfffff, 0x93, 0xc));
        }
    }
    s->pc = 0x1234;
    s->reg[R_SP] = 0x8000;
    x86_update_mode(s);
}

static void protected_mode(void)
{
    protected_mode_of("qemu32");
}

static void at_user_level(void)
{
    set_segment(S_CS, CODE3, descriptor(0, 0xfffff, 0xfb, 0xc));
    for (int i = 0; i < 6; i++) {
        if (i != S_CS) {
            set_segment(i, DATA3, descriptor(0, 0xfffff, 0xf3, 0xc));
        }
    }
    s->cpl = 3;
    s->reg[R_SP] = STACK3;
    x86_update_mode(s);
}

static void real_mode_frames(void)
{
    fake_start("486");
    put32(0x21 * 4, 0x12345678);
    s->idtr.limit = 0x3ff;
    x86_load_real_segment(s, S_SS, 0x100);
    s->reg[R_SP] = 0xffff0010;
    x86_load_real_segment(s, S_CS, 0x400);
    s->pc = 0x50;
    s->eflags |= EFL_IF;
    interrupt(0x21, false, 0);
    g_assert_cmphex(s->seg[S_CS].base, ==, 0x12340);
    g_assert_cmphex(s->pc, ==, 0x5678);
    g_assert_cmphex(s->reg[R_SP], ==, 0xffff000a);
    g_assert_cmphex(load_le16(ram + 0x100a), ==, 0x50);
    g_assert_cmphex(load_le16(ram + 0x100c), ==, 0x400);
    g_assert_cmphex(load_le16(ram + 0x100e) & EFL_IF, ==, EFL_IF);
    g_assert_cmphex(s->eflags & EFL_IF, ==, 0);
    helper_iret(s, IR_I16, 0, 0, 0);
    g_assert_cmphex(s->seg[S_CS].base, ==, 0x4000);
    g_assert_cmphex(s->pc, ==, 0x50);
    g_assert_cmphex(s->eflags & EFL_IF, ==, EFL_IF);
}

static void same_level_frames(void)
{
    protected_mode();
    idt_gate(13, CODE0, 0x45678, 0x8f);
    s->eflags |= EFL_IF;
    interrupt(13, true, 0xabc);
    g_assert_cmphex(s->pc, ==, 0x45678);
    g_assert_cmphex(s->reg[R_SP], ==, 0x7ff0);
    g_assert_cmphex(get32(0x7ff0), ==, 0xabc);
    g_assert_cmphex(get32(0x7ff4), ==, 0x1234);
    g_assert_cmphex(get32(0x7ff8), ==, CODE0);
    g_assert_cmphex(get32(0x7ffc) & (EFL_RF | EFL_IF), ==, EFL_RF | EFL_IF);
    g_assert_cmphex(s->eflags & EFL_IF, ==, EFL_IF); /* a trap gate */
}

static void inner_level_frames(void)
{
    protected_mode();
    at_user_level();
    idt_gate(0x80, CODE0, 0x5000, 0xee);
    s->eflags |= EFL_IF;
    X86Exception e = { .vector = 0x80, .software = true, .next_pc = 0x1236 };
    x86_interrupt(s, &e);
    g_assert_cmphex(s->cpl, ==, 0);
    g_assert_cmphex(s->seg[S_SS].selector, ==, DATA0);
    g_assert_cmphex(s->reg[R_SP], ==, STACK0 - 20);
    g_assert_cmphex(get32(STACK0 - 20), ==, 0x1236);
    g_assert_cmphex(get32(STACK0 - 16), ==, CODE3);
    g_assert_cmphex(get32(STACK0 - 8), ==, STACK3);
    g_assert_cmphex(get32(STACK0 - 4), ==, DATA3);
    g_assert_cmphex(s->eflags & EFL_IF, ==, 0);

    s->seg[S_FS].attr &= ~(3 << SEG_DPL_SHIFT); /* a kernel segment does not survive the return */
    seg_set_null(&s->seg[S_GS], 3); /* nor does a null selector's RPL */
    helper_iret(s, IR_I32, 0, 0, 0);
    g_assert_cmphex(s->cpl, ==, 3);
    g_assert_cmphex(s->pc, ==, 0x1236);
    g_assert_cmphex(s->reg[R_SP], ==, STACK3);
    g_assert_cmphex(s->seg[S_FS].selector, ==, 0);
    g_assert_cmphex(s->seg[S_GS].selector, ==, 0);
    g_assert_cmphex(s->seg[S_DS].selector, ==, DATA3);
    g_assert_cmphex(s->eflags & EFL_IF, ==, EFL_IF);
}

static void gates_have_a_level(void)
{
    protected_mode();
    at_user_level();
    idt_gate(0x81, CODE0, 0x5000, 0x8e);
    idt_gate(EXC_GP, CODE0, 0x6000, 0x8e);
    X86Exception e = { .vector = 0x81, .software = true, .next_pc = 0x1236 };
    x86_interrupt(s, &e);
    g_assert_cmphex(s->pc, ==, 0x6000);
    g_assert_cmphex(get32(STACK0 - 24), ==, 0x81 * 8 + 2);
    g_assert_cmphex(get32(STACK0 - 20), ==, 0x1234);
}

static void double_and_triple_faults(void)
{
    protected_mode();
    idt_gate(EXC_DF, CODE0, 0x7000, 0x8e);
    interrupt(EXC_GP, true, 0); /* no gate: #GP */
    g_assert_cmphex(s->pc, ==, 0x7000);
    g_assert_cmphex(get32(s->reg[R_SP]), ==, 0);

    /* #PF then #NP is double; #UD then #NP is not. */
    protected_mode();
    idt_gate(EXC_DF, CODE0, 0x7000, 0x8e);
    idt_gate(EXC_PF, CODE0, 0x7100, 0x0e);
    idt_gate(EXC_UD, CODE0, 0x7200, 0x0e);
    idt_gate(EXC_NP, CODE0, 0x7300, 0x8e);
    interrupt(EXC_PF, true, 0);
    g_assert_cmphex(s->pc, ==, 0x7000);
    interrupt(EXC_UD, false, 0);
    g_assert_cmphex(s->pc, ==, 0x7300);
    g_assert_cmphex(get32(s->reg[R_SP]), ==, EXC_UD * 8 + 3);

    protected_mode();
    s->idtr.limit = 0;
    interrupt(EXC_GP, true, 0);
    g_assert_true(s->shut_down);
    g_assert_true(cpu->halted);
    g_assert_cmphex(s->pc, ==, 0x1234);
    g_assert_cmphex(s->reg[R_SP], ==, 0x8000);
}

static void virtual_8086_mode(void)
{
    protected_mode();
    idt_gate(0x20, CODE0, 0x5000, 0x8e);
    /* Into it by IRET. */
    static const uint32_t frame[] = { 0x10, 0x2000, EFL_VM | EFL_IF | 2, 0xfffe, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000 };
    s->reg[R_SP] = 0x8000;
    for (unsigned i = 0; i < G_N_ELEMENTS(frame); i++) {
        put32(0x8000 + 4 * i, frame[i]);
    }
    helper_iret(s, IR_I32, 0, 0, 0);
    g_assert_cmphex(s->cpl, ==, 3);
    g_assert_cmphex(s->eflags & EFL_VM, ==, EFL_VM);
    g_assert_cmphex(s->seg[S_CS].base, ==, 0x20000);
    g_assert_cmphex(s->seg[S_SS].base, ==, 0x30000);
    g_assert_cmphex(s->seg[S_ES].base, ==, 0x40000);
    g_assert_cmphex(s->seg[S_GS].base, ==, 0x70000);
    g_assert_cmphex(s->reg[R_SP], ==, 0xfffe);

    X86Exception e = { .vector = 0x20, .external = true };
    x86_interrupt(s, &e);
    g_assert_cmphex(s->cpl, ==, 0);
    g_assert_cmphex(s->eflags & EFL_VM, ==, 0);
    g_assert_cmphex(s->reg[R_SP], ==, STACK0 - 36);
    for (unsigned i = 0; i < G_N_ELEMENTS(frame); i++) {
        g_assert_cmphex(get32(STACK0 - 36 + 4 * i), ==, frame[i]);
    }
    g_assert_cmphex(s->seg[S_DS].selector, ==, 0);
    helper_iret(s, IR_I32, 0, 0, 0);
    g_assert_cmphex(s->seg[S_FS].base, ==, 0x60000);
}

static void call_gates_copy_parameters(void)
{
    protected_mode();
    at_user_level();
    put64(GDT + GATE, 0x5678 | (uint64_t)CODE0 << 16 | UINT64_C(2) << 32 | UINT64_C(0xec) << 40);
    put32(STACK3, 0x11111111);
    put32(STACK3 + 4, 0x22222222);
    helper_far_call(s, GATE | 3, 0xdead, IR_I32, 0x1240);
    g_assert_cmphex(s->cpl, ==, 0);
    g_assert_cmphex(s->pc, ==, 0x5678);
    g_assert_cmphex(s->reg[R_SP], ==, STACK0 - 24);
    g_assert_cmphex(get32(STACK0 - 24), ==, 0x1240);
    g_assert_cmphex(get32(STACK0 - 20), ==, CODE3);
    g_assert_cmphex(get32(STACK0 - 16), ==, 0x11111111);
    g_assert_cmphex(get32(STACK0 - 12), ==, 0x22222222);
    g_assert_cmphex(get32(STACK0 - 8), ==, STACK3);
    helper_far_ret(s, IR_I32, 8, 0, 0);
    g_assert_cmphex(s->cpl, ==, 3);
    g_assert_cmphex(s->pc, ==, 0x1240);
    g_assert_cmphex(s->reg[R_SP], ==, STACK3 + 8);
}

static void tasks_nest(void)
{
    protected_mode();
    put32(TSS2 + 0x20, 0x7777);
    put32(TSS2 + 0x24, 2);
    put32(TSS2 + 0x28, 0xaaaa);
    put32(TSS2 + 0x38, 0x6000);
    put32(TSS2 + 0x4c, CODE0);
    for (int i = 0x48; i <= 0x5c; i += 4) {
        if (i != 0x4c) {
            put32(TSS2 + i, DATA0);
        }
    }
    s->reg[R_AX] = 0x5555;
    helper_far_call(s, TSS2_SEL, 0, IR_I32, 0x1250);
    g_assert_cmphex(s->pc, ==, 0x7777);
    g_assert_cmphex(s->reg[R_AX], ==, 0xaaaa);
    g_assert_cmphex(s->eflags & EFL_NT, ==, EFL_NT);
    g_assert_cmphex(s->seg[S_TR].selector, ==, TSS2_SEL);
    g_assert_cmphex(s->cr0 & CR0_TS, ==, CR0_TS);
    g_assert_cmphex(load_le16(ram + TSS2), ==, TSS_SEL);
    g_assert_cmphex(ram[GDT + TSS2_SEL + 5], ==, 0x8b);
    g_assert_cmphex(get32(TSS + 0x20), ==, 0x1250);
    g_assert_cmphex(get32(TSS + 0x28), ==, 0x5555);

    helper_iret(s, IR_I32, 0x7779, 0, 0);
    g_assert_cmphex(s->pc, ==, 0x1250);
    g_assert_cmphex(s->reg[R_AX], ==, 0x5555);
    g_assert_cmphex(s->eflags & EFL_NT, ==, 0);
    g_assert_cmphex(ram[GDT + TSS2_SEL + 5], ==, 0x89);
    g_assert_cmphex(ram[GDT + TSS_SEL + 5], ==, 0x8b);
    g_assert_cmphex(get32(TSS2 + 0x20), ==, 0x7779);
}

/* By an interrupt's task gate. */
static void a_16_bit_task_ends_virtual_8086_mode(void)
{
    protected_mode();
    put64(GDT + TSS2_SEL, descriptor(TSS2, 0x2b, 0x81, 0));
    put64(GDT + GATE, descriptor(0x700, 0xffff, 0x9b, 0));
    put32(TSS2 + 0x0e, 0x7777 | 2 << 16);
    put32(TSS2 + 0x22, DATA0 | GATE << 16);
    put32(TSS2 + 0x26, DATA0 | DATA0 << 16);
    put32(TSS2 + 0x2a, 0);
    put64(IDT + 8 * 0x28, (uint64_t)TSS2_SEL << 16 | UINT64_C(0xe500) << 32);
    s->eflags |= EFL_VM | 3 << 12;
    s->cpl = 3;
    x86_update_mode(s);
    X86Exception e = { .vector = 0x28, .software = true, .next_pc = 0x1236 };
    x86_interrupt(s, &e);
    g_assert_cmphex(s->pc, ==, 0x7777);
    g_assert_cmphex(s->seg[S_TR].selector, ==, TSS2_SEL);
    g_assert_cmphex(s->eflags & EFL_VM, ==, 0);
    g_assert_cmphex(s->seg[S_CS].base, ==, 0x700);
    g_assert_cmphex(get32(TSS + 0x24) & EFL_VM, ==, EFL_VM);
}

/* Identity-mapped by one 1 GiB page. */
static void long_mode(void)
{
    protected_mode();
    fake_start("max");
    put64(0x20000, 0x21000 | 7);
    put64(0x21000, 0x87);
    put64(GDT + CODE0, descriptor(0, 0, 0x9b, 2));
    put64(GDT + DATA0, descriptor(0, 0xfffff, 0x93, 0xc));
    put64(GDT + (CODE3 & ~7), descriptor(0, 0, 0xfb, 2));
    put64(GDT + (DATA3 & ~7), descriptor(0, 0xfffff, 0xf3, 0xc));
    s->gdtr.base = GDT;
    s->gdtr.limit = 0xff;
    s->idtr.base = IDT;
    s->idtr.limit = 0xfff;
    s->cr3 = 0x20000;
    s->cr4 = CR4_PAE;
    s->efer = EFER_LME | EFER_LMA | EFER_SCE;
    s->cr0 = CR0_PE | CR0_PG | CR0_ET;
    put64(TSS + 4, STACK0);
    put64(TSS + 36, 0x9800);
    set_segment(S_TR, TSS_SEL, descriptor(TSS, 0x67, 0x8b, 0));
    set_segment(S_CS, CODE3, descriptor(0, 0, 0xfb, 2));
    set_segment(S_SS, DATA3, descriptor(0, 0xfffff, 0xf3, 0xc));
    s->cpl = 3;
    s->pc = 0x400123;
    s->reg[R_SP] = 0xa008;
    x86_update_mode(s);
}

static void long_mode_frames(void)
{
    long_mode();
    put64(IDT + 14 * 16, 0x5000 | CODE0 << 16 | UINT64_C(0x8e) << 40);
    put64(IDT + 14 * 16 + 8, 0);
    interrupt(14, true, 6);
    g_assert_cmphex(s->cpl, ==, 0);
    g_assert_cmphex(s->reg[R_SP], ==, STACK0 - 48);
    g_assert_cmphex(get32(STACK0 - 48), ==, 6);
    g_assert_cmphex(get32(STACK0 - 40), ==, 0x400123);
    g_assert_cmphex(get32(STACK0 - 16), ==, 0xa008);
    g_assert_cmphex(s->seg[S_SS].selector, ==, 0);
    s->reg[R_SP] += 8;
    helper_iret(s, IR_I64, 0, 0, 0);
    g_assert_cmphex(s->cpl, ==, 3);
    g_assert_cmphex(s->pc, ==, 0x400123);
    g_assert_cmphex(s->reg[R_SP], ==, 0xa008);
    g_assert_cmphex(s->seg[S_SS].selector, ==, DATA3);

    /* The same by the first interrupt stack. */
    put64(IDT + 14 * 16, 0x5000 | CODE0 << 16 | UINT64_C(0x8e01) << 32);
    interrupt(14, true, 6);
    g_assert_cmphex(s->reg[R_SP], ==, 0x9800 - 48);
}

static void system_calls_go_in_and_out(void)
{
    long_mode();
    s->star = (uint64_t)CODE0 << 32 | UINT64_C(0x13) << 48;
    s->lstar = UINT64_C(0xffffffff81000000);
    s->fmask = EFL_IF;
    s->eflags |= EFL_IF;
    helper_syscall(s, 0x400125, 0, 0, 0);
    g_assert_cmphex(s->pc, ==, UINT64_C(0xffffffff81000000));
    g_assert_cmphex(s->reg[R_CX], ==, 0x400125);
    g_assert_cmphex(s->eflags & EFL_IF, ==, 0);
    g_assert_cmphex(s->reg[R_11] & EFL_IF, ==, EFL_IF);
    g_assert_cmphex(s->cpl, ==, 0);
    helper_sysret(s, IR_I64, 0, 0, 0);
    g_assert_cmphex(s->cpl, ==, 3);
    g_assert_cmphex(s->pc, ==, 0x400125);
    g_assert_cmphex(s->seg[S_CS].selector, ==, 0x23);
    g_assert_cmphex(s->seg[S_SS].selector, ==, 0x1b);
    g_assert_cmphex(s->eflags & EFL_IF, ==, EFL_IF);
}

static void call_amd(void)
{
    helper_syscall(s, 0x400125, 0, 0, 0);
}

static void call_intel(void)
{
    helper_sysenter(s, 0, 0, 0, 0);
}

static void system_calls_are_the_makers(void)
{
    for (int amd = 0; amd < 2; amd++) {
        long_mode();
        g_strlcpy((char *)s->features->vendor, amd ? "AuthenticAMD" : "GenuineIntel", sizeof(s->features->vendor));
        s->efer |= EFER_SCE;
        s->sysenter_cs = CODE0;
        set_segment(S_CS, CODE3, descriptor(0, 0xfffff, 0xfb, 0xc)); /* compatibility mode */
        g_assert_cmpint(raised_by(amd ? call_intel : call_amd), ==, EXC_UD);
        g_assert_cmpint(raised_by(amd ? call_amd : call_intel), ==, -1);
        g_assert_cmpint(s->cpl, ==, 0);
    }
}

static void software_interrupt_1(void)
{
    X86Exception e = { .vector = EXC_DB, .software = true, .next_pc = 0x1236 };

    x86_interrupt(s, &e);
}

/* Only the opcode F1 does not ask for the gate's level. */
static void int_1_is_not_int1(void)
{
    X86Exception opcode = { .vector = EXC_DB, .software = true, .by_opcode = true, .next_pc = 0x1235 };

    protected_mode();
    at_user_level();
    idt_gate(EXC_DB, CODE0, 0x5000, 0x8e);
    idt_gate(EXC_GP, CODE0, 0x6000, 0x8e);
    software_interrupt_1();
    g_assert_cmphex(s->pc, ==, 0x6000);
    g_assert_cmphex(get32(s->reg[R_SP]), ==, EXC_DB * 8 + 2);

    protected_mode();
    at_user_level();
    idt_gate(EXC_DB, CODE0, 0x5000, 0x8e);
    x86_interrupt(s, &opcode);
    g_assert_cmphex(s->pc, ==, 0x5000);
    g_assert_cmphex(get32(s->reg[R_SP]), ==, 0x1235);
}

/* A data breakpoint at MOV SS comes at the first instruction of what the next one enters, or together with another trap. */
static void traps_at_mov_ss_come_late(void)
{
    X86Exception call = { .vector = 0x20, .software = true, .next_pc = 0x1236 };
    X86Exception opcode = { .vector = EXC_DB, .software = true, .by_opcode = true, .next_pc = 0x1235 };

    protected_mode();
    idt_gate(EXC_DB, CODE0, 0x5000, 0x8e);
    idt_gate(0x20, CODE0, 0x6000, 0x8e);
    s->interrupt_shadow = 2;
    g_assert_false(x86_watch_hits(cpu, 1, false));
    helper_set_shadow(s, 0, 0x1234, 0, 0);
    x86_interrupt(s, &call);
    g_assert_cmphex(s->pc, ==, 0x5000);
    g_assert_cmphex(s->dr[6] & 0xf00f, ==, 1);
    g_assert_cmphex(get32(s->reg[R_SP]), ==, 0x6000);
    g_assert_cmphex(get32(s->reg[R_SP] + 12), ==, 0x1236);

    protected_mode();
    idt_gate(EXC_DB, CODE0, 0x5000, 0x8e);
    s->interrupt_shadow = 2;
    g_assert_false(x86_watch_hits(cpu, 4, false));
    helper_set_shadow(s, 0, 0x1234, 0, 0);
    x86_interrupt(s, &opcode);
    g_assert_cmphex(s->dr[6] & 0xf00f, ==, 4);
    g_assert_cmphex(get32(s->reg[R_SP]), ==, 0x1235);
    g_assert_cmphex(s->pending_debug, ==, 0);
}

static void load_null_stack(void)
{
    helper_load_seg(s, S_SS, 0, 0, 0);
}

static void load_kernel_data(void)
{
    helper_load_seg(s, S_DS, DATA0, 0, 0);
}

static void load_beyond_table(void)
{
    helper_load_seg(s, S_DS, 0x203, 0, 0);
}

static void segment_loads_are_checked(void)
{
    protected_mode();
    at_user_level();
    g_assert_cmpint(raised_by(load_null_stack), ==, EXC_GP);
    g_assert_cmpint(raised_by(load_kernel_data), ==, EXC_GP);
    g_assert_cmphex(s->exception.error_code, ==, DATA0);
    g_assert_cmpint(raised_by(load_beyond_table), ==, EXC_GP);
    g_assert_cmphex(s->exception.error_code, ==, 0x200);
    g_assert_cmphex(s->seg[S_DS].selector, ==, DATA3);
}

static void check_breakpoint(void)
{
    helper_check_breakpoint(s, 0x1234, 0, 0, 0);
}

static void breakpoints_stop_once(void)
{
    protected_mode();
    helper_mov_to_dr(s, 1, 0x1234, 0, 0);
    helper_mov_to_dr(s, 7, 2 << 2, 0, 0);
    g_assert_cmphex(s->mode_flags & MODE_BREAKPOINTS, ==, MODE_BREAKPOINTS);
    g_assert_cmpint(raised_by(check_breakpoint), ==, EXC_DB);
    idt_gate(EXC_DB, CODE0, 0x5000, 0x8e);
    X86Exception e = s->exception;
    x86_interrupt(s, &e);
    g_assert_cmphex(s->dr[6] & 0xf, ==, 2);
    g_assert_cmphex(s->pc, ==, 0x5000);

    /* The handler sets RF in the frame, and the instruction runs. */
    put32((uint32_t)s->reg[R_SP] + 8, EFL_RF | 2);
    helper_iret(s, IR_I32, 0, 0, 0);
    g_assert_cmphex(s->pc, ==, 0x1234);
    g_assert_cmpint(raised_by(check_breakpoint), ==, -1);
    g_assert_cmpint(raised_by(check_breakpoint), ==, EXC_DB);
}

static unsigned random_op;
static uint64_t random_args[4];

static uint64_t random_number(void)
{
    uint64_t r = (uint64_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int();

    switch (g_test_rand_int_range(0, 4)) {
    case 0:
        return r;
    case 1:
        return r & 0xffff;
    case 2:
        return r & 0xff;
    default:
        return (uint32_t)r;
    }
}

static void run_random_op(void)
{
    static uint64_t (*const ops[])(X86State *, uint64_t, uint64_t, uint64_t, uint64_t) = {
        helper_far_jmp, helper_far_call, helper_far_ret, helper_iret, helper_syscall, helper_sysret,
        helper_sysenter, helper_sysexit, helper_lldt, helper_ltr, helper_lar, helper_lsl, helper_verr,
        helper_mov_to_cr, helper_mov_to_dr, helper_rdmsr, helper_popf, helper_set_gdtr,
    };
    unsigned n = random_op % (G_N_ELEMENTS(ops) + 2);
    uint64_t *a = random_args;

    if (n < G_N_ELEMENTS(ops)) {
        if (ops[n] == helper_far_jmp || ops[n] == helper_far_call) {
            a[2] = 1 + a[2] % 3;
        } else if (ops[n] == helper_far_ret || ops[n] == helper_iret || ops[n] == helper_sysret ||
                   ops[n] == helper_sysexit) {
            a[0] = 1 + a[0] % 3;
        }
        ops[n](s, a[0], a[1], a[2], a[3]);
    } else if (n == G_N_ELEMENTS(ops)) {
        helper_load_seg(s, a[0] % 6 == S_CS ? S_DS : a[0] % 6, a[1], 0, 0);
    } else {
        X86Exception e = { .vector = a[0] & 0xff, .software = a[1] & 1, .next_pc = a[2], .has_error = a[3] & 1 };

        s->catching = false;
        x86_interrupt(s, &e);
    }
}

/* Whatever tables and registers say, the processor stays in a state that it can be in. */
static void random_states_do_no_harm(void)
{
    for (int i = 0; i < 4000; i++) {
        if (i % 40 == 0) {
            if (g_test_rand_bit()) {
                long_mode();
            } else {
                protected_mode();
            }
        }
        for (int k = 0; k < 30; k++) {
            put64(GDT + 8 * (k & 15), random_number() | (g_test_rand_bit() ? UINT64_C(0x8000) << 32 : 0));
            put64(IDT + 8 * g_test_rand_int_range(0, 256), random_number() ^ random_number() << 40);
            put64(TSS + 4 * g_test_rand_int_range(0, 26), random_number());
        }
        s->reg[g_test_rand_int_range(0, 16)] = random_number();
        random_op = g_test_rand_int();
        for (int k = 0; k < 4; k++) {
            random_args[k] = random_number();
        }
        raised_by(run_random_op);
        g_assert_cmpint(s->cpl, <=, 3);
        g_assert_true(s->eflags & 2);
        g_assert_true(!(s->eflags & EFL_VM) || s->cpl == 3 || !(s->cr0 & CR0_PE));
        s->shut_down = false;
    }
}

static uint64_t told_space;

static void hear_of_space(Cpu *c)
{
    told_space = x86_space_id(s);
}

/* Without a CR3 write too: INVPCID names the space by what it is called now. */
static void the_engine_hears_of_renamed_spaces(void)
{
    void (*update_mode)(Cpu *) = engine.update_mode;

    fake_start("max");
    s->cr0 = CR0_PE | CR0_PG | CR0_ET;
    s->cr4 = CR4_PAE | CR4_PGE;
    s->efer = EFER_LME | EFER_LMA;
    s->cr3 = 0x9000;
    set_segment(S_CS, CODE0, descriptor(0, 0, 0x9b, 2));
    x86_update_mode(s);
    told_space = 9;
    engine.update_mode = hear_of_space;
    x86_set_cr4(s, s->cr4 | CR4_PCIDE, 0);
    g_assert_cmphex(told_space, ==, 0);
    x86_set_cr4(s, s->cr4 & ~CR4_PCIDE, 0);
    g_assert_cmphex(told_space, ==, 9);

    protected_mode();
    s->cr3 = 0x9000;
    told_space = 0;
    x86_set_cr0(s, s->cr0 | CR0_PG, 0);
    g_assert_cmphex(told_space, ==, 0x9000 >> 5);
    x86_set_cr0(s, s->cr0 & ~CR0_PG, 0);
    g_assert_cmphex(told_space, ==, 0);
    engine.update_mode = update_mode;
}

static uint64_t armed_at; /* the time stamp counter when the deadline was last set */

static bool give_deadline(void *opaque, uint32_t msr, uint64_t *value)
{
    g_assert_cmphex(msr, ==, 0x6e0);
    *value = 1;
    return true;
}

static bool take_deadline(void *opaque, uint32_t msr, uint64_t value)
{
    g_assert_cmphex(msr, ==, 0x6e0);
    g_assert_cmphex(value, ==, 1);
    armed_at = x86_tsc(s);
    return true;
}

/* The timer is armed by the host's clock: the deadline of a counter that is set to later is nearer. */
static void a_deadline_moves_with_the_time_stamp_counter(void)
{
    static const CpuIntc intc = { .read_msr = give_deadline, .write_msr = take_deadline };
    enum { TSC = 0x10, ADJUST = 0x3b };

    fake_start("max");
    cpu->intc = &intc;
    g_assert_true(x86_msr_write(s, TSC, UINT64_C(1) << 60));
    g_assert_cmphex(armed_at, >=, UINT64_C(1) << 60);
    g_assert_true(x86_msr_write(s, ADJUST, UINT64_C(1) << 61));
    g_assert_cmphex(armed_at, >=, UINT64_C(1) << 61);
    cpu->intc = NULL;
}

/* FS is in the mode of 32-bit code. */
static void vmload_renews_the_mode(void)
{
    enum { VMCB = 0x20000, FS = 0x440 }; /* APM vol. 2, table B-2 */
    const uint16_t data = 0xc93, small = 0x493; /* with and without granularity */

    protected_mode_of("qemu64,+svm");
    s->efer |= EFER_SVME;
    g_assert_true(s->mode_flags & MODE_FLAT_FS);
    for (int flat = 0; flat < 2; flat++) {
        put32(VMCB + FS, DATA0 | (uint32_t)(flat ? data : small) << 16);
        put32(VMCB + FS + 4, flat ? UINT32_MAX : 0xfff);
        put64(VMCB + FS + 8, 0x12340);
        helper_svm_vmload(s, VMCB, 0, 0, 0);
        g_assert_cmphex(s->seg[S_FS].base, ==, 0x12340);
        g_assert_cmpint(!!(s->mode_flags & MODE_FLAT_FS), ==, flat);
    }
}

static void models_are_coherent(void)
{
    static const char *const names[] = {
        "486", "pentium", "pentium2", "pentium3", "qemu32", "qemu64", "default", "kvm64", "core2duo", "coreduo", "n270",
        "Conroe", "Penryn", "Nehalem", "Westmere", "phenom", "athlon", "max", "host",
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        uint32_t leaf0[4], leaf1[4], ext[4];

        fake_start(names[i]);
        x86_cpuid(s, 0, 0, leaf0);
        x86_cpuid(s, 1, 0, leaf1);
        x86_cpuid(s, 0x80000001, 0, ext);
        g_assert_cmpint(leaf0[0], >=, 1);
        g_assert_cmpint(leaf1[3] & 1, ==, 1);
        g_assert_cmpint(leaf1[3] >> 6 & 1, ==, x86_has(s, FEAT_pae));
        if (x86_has(s, FEAT_lm)) {
            g_assert_cmpint(leaf1[3] >> 6 & 1, ==, 1);
            g_assert_cmpint(ext[3] >> 29 & 1, ==, 1);
        }
        g_assert_cmphex(s->reg[R_DX] & 0xfff, ==, leaf1[0] & 0xfff);
    }
}

static void model_text_is_parsed(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree X86Features *f = x86_model_parse("qemu64,+sse4.1,ssse3=on,-nx,family=6,vendor=GenuineIntel", &error);

    g_assert_no_error(error);
    g_assert_true(f->on[FEAT_ssse3]);
    g_assert_false(f->on[FEAT_nx]);
    g_assert_cmpint(f->family, ==, 6);
    g_assert_cmpstr(f->vendor, ==, "GenuineIntel");
    g_assert_null(x86_model_parse("qemu6", &error));
    g_assert_nonnull(strstr(error->message, "qemu64"));
    g_clear_error(&error);
    g_assert_null(x86_model_parse("qemu64,+sssse3", &error));
    g_assert_nonnull(strstr(error->message, "ssse3"));
}

static void snapshots_keep_everything(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *before = NULL, *after = NULL;

    long_mode();
    s->reg[R_12] = 0x123456789abcdef0;
    s->seg[S_GS].base = 0xffff888000000000;
    x86_set_eflags(s, FLAG_CF | FLAG_ZF | EFL_DF, FLAGS_ALL | EFL_DF);
    before = x86_describe(cpu, true);
    x86_cpu_type.save(cpu, file);
    x86_cpu_type.reset(cpu);
    g_assert_true(x86_cpu_type.load(cpu, file, &error));
    g_assert_no_error(error);
    after = x86_describe(cpu, true);
    g_assert_cmpstr(before, ==, after);
}

/* A guest has seen what its processor has; without it, it would fail later. */
static void a_snapshot_wants_the_features_that_it_had(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;

    fake_start("qemu64,+movbe,+adx");
    x86_cpu_type.save(cpu, file);
    fake_start("qemu64,+adx");
    g_assert_false(x86_cpu_type.load(cpu, file, &error));
    g_assert_nonnull(strstr(error->message, "movbe"));
    g_assert_null(strstr(error->message, "adx"));
    g_clear_error(&error);
    fake_start("qemu64,+movbe,+adx,+rdpid");
    g_assert_true(x86_cpu_type.load(cpu, file, &error));
    fake_start("486");
    g_key_file_remove_key(file, "cpu0-run", "features", NULL); /* as versions before did not have it */
    g_assert_true(x86_cpu_type.load(cpu, file, &error));
    g_assert_no_error(error);
}

/* ---- areas of FP state that go over a page's end, of which only the first page is found in one piece ---- */

static VirtAddr area_start, area_end;

static void *first_page_only(Cpu *c, VirtAddr addr, unsigned size, MmuAccess access, unsigned mode, uintptr_t ra)
{
    g_assert_cmphex(addr, <=, UINT32_MAX);
    return (addr ^ area_start) >> 12 || (addr ^ (addr + size - 1)) >> 12 ? NULL : fake_byte(addr, access, mode);
}

static uint64_t load_of_area(Cpu *c, VirtAddr addr, unsigned size, unsigned mode, uintptr_t ra)
{
    g_assert_cmphex(addr + size, <=, area_end);
    return fake_load(c, addr, size, mode, ra);
}

static void store_to_area(Cpu *c, VirtAddr addr, uint64_t value, unsigned size, unsigned mode, uintptr_t ra)
{
    g_assert_cmphex(addr + size, <=, area_end);
    fake_store(c, addr, value, size, mode, ra);
}

static void with_area_at(VirtAddr start, VirtAddr end)
{
    protected_mode_of("max");
    area_start = start;
    area_end = end;
    engine.probe = first_page_only;
    engine.load = load_of_area;
    engine.store = store_to_area;
}

static void without_area(void)
{
    engine.probe = fake_probe;
    engine.load = fake_load;
    engine.store = fake_store;
}

static void an_area_at_an_odd_address_ends_where_it_ends(void)
{
    enum { PAGE = 0x5000, SIZE = 108 };

    for (unsigned before = 1; before < SIZE; before++) {
        uint8_t st[8][16];

        with_area_at(PAGE - before, PAGE - before + SIZE);
        for (unsigned i = 0; i < 80; i++) {
            fx_image(s)->st[i / 10][i % 10] = st[i / 10][i % 10] = i + before;
        }
        helper_fp_fnsave(s, area_start, 1, 0, 0);
        for (unsigned i = 0; i < 80; i++) {
            g_assert_cmphex(ram[area_start + 28 + i], ==, (uint8_t)(i + before));
        }
        helper_fp_frstor(s, area_start, 1, 0, 0);
        for (unsigned i = 0; i < 8; i++) {
            g_assert_cmpmem(fx_image(s)->st[i], 10, st[i], 10);
        }
    }
    without_area();
}

static void an_area_goes_on_at_the_first_address_behind_the_last(void)
{
    with_area_at(0xfffffdc0, UINT64_C(1) << 32);
    s->xcr0 = 7;
    memset(ram + FAKE_RAM - 64, 0, 64);
    put64(FAKE_RAM - 64, 4); /* AVX's registers are behind the header, at address 0 */
    memset(ram, 0x5a, 128);
    helper_fp_xrstor(s, area_start, 4, 0, 0);
    g_assert_cmpmem(s->ymm_high, 128, ram, 128);
    without_area();
}

static void snapshots_keep_virtual_machines(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;
    X86Svm before;

    fake_start("qemu64,+svm");
    memset(&s->svm, 0x11, sizeof(s->svm));
    s->svm.gif = s->svm.guest = s->svm.nested_paging = true;
    s->svm.vmcb = 0x5000;
    s->svm.asid = 3;
    memcpy(&before, &s->svm, sizeof(before));
    x86_cpu_type.save(cpu, file);
    x86_cpu_type.reset(cpu);
    g_assert_true(s->svm.gif);
    g_assert_false(s->svm.guest);
    g_assert_true(x86_cpu_type.load(cpu, file, &error));
    g_assert_no_error(error);
    g_assert_cmpmem(&before, sizeof(before), &s->svm, sizeof(s->svm));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/x86/excp/real_mode_frames", real_mode_frames);
    g_test_add_func("/x86/excp/same_level_frames", same_level_frames);
    g_test_add_func("/x86/excp/inner_level_frames", inner_level_frames);
    g_test_add_func("/x86/excp/gates_have_a_level", gates_have_a_level);
    g_test_add_func("/x86/excp/double_and_triple_faults", double_and_triple_faults);
    g_test_add_func("/x86/excp/virtual_8086_mode", virtual_8086_mode);
    g_test_add_func("/x86/excp/call_gates_copy_parameters", call_gates_copy_parameters);
    g_test_add_func("/x86/excp/tasks_nest", tasks_nest);
    g_test_add_func("/x86/excp/a_16_bit_task_ends_virtual_8086_mode", a_16_bit_task_ends_virtual_8086_mode);
    g_test_add_func("/x86/excp/system_calls_are_the_makers", system_calls_are_the_makers);
    g_test_add_func("/x86/excp/int_1_is_not_int1", int_1_is_not_int1);
    g_test_add_func("/x86/excp/traps_at_mov_ss_come_late", traps_at_mov_ss_come_late);
    g_test_add_func("/x86/excp/long_mode_frames", long_mode_frames);
    g_test_add_func("/x86/excp/system_calls_go_in_and_out", system_calls_go_in_and_out);
    g_test_add_func("/x86/excp/segment_loads_are_checked", segment_loads_are_checked);
    g_test_add_func("/x86/excp/breakpoints_stop_once", breakpoints_stop_once);
    g_test_add_func("/x86/excp/random_states_do_no_harm", random_states_do_no_harm);
    g_test_add_func("/x86/excp/the_engine_hears_of_renamed_spaces", the_engine_hears_of_renamed_spaces);
    g_test_add_func("/x86/excp/a_deadline_moves_with_the_time_stamp_counter", a_deadline_moves_with_the_time_stamp_counter);
    g_test_add_func("/x86/excp/vmload_renews_the_mode", vmload_renews_the_mode);
    g_test_add_func("/x86/model/models_are_coherent", models_are_coherent);
    g_test_add_func("/x86/model/model_text_is_parsed", model_text_is_parsed);
    g_test_add_func("/x86/fp/an_area_at_an_odd_address_ends_where_it_ends", an_area_at_an_odd_address_ends_where_it_ends);
    g_test_add_func("/x86/fp/an_area_goes_on_at_the_first_address_behind_the_last",
                    an_area_goes_on_at_the_first_address_behind_the_last);
    g_test_add_func("/x86/snapshot/snapshots_keep_everything", snapshots_keep_everything);
    g_test_add_func("/x86/snapshot/a_snapshot_wants_the_features_that_it_had", a_snapshot_wants_the_features_that_it_had);
    g_test_add_func("/x86/snapshot/snapshots_keep_virtual_machines", snapshots_keep_virtual_machines);
    return g_test_run();
}
