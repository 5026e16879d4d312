/*
 * Local APICs in both modes: delivery modes, destinations, priorities, errors, reserved registers, the timer's modes. What is
 * expected is in Intel's SDM, volume 3, chapter 11.
 */
#include "core/clock.h"
#include "hw/intr/apic.h"
#include "tests/hw/rig.h"

enum {
    ID = 0x20, VERSION = 0x30, TPR = 0x80, APR = 0x90, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100,
    TMR = 0x180, IRR = 0x200, ESR = 0x280, ICR = 0x300, ICR_HIGH = 0x310, LVT_TIMER = 0x320, LVT_THERMAL = 0x330, LVT_PERF = 0x340,
    LVT_LINT0 = 0x350, LVT_LINT1 = 0x360, LVT_ERROR = 0x370, INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0,
};
enum { FIXED, LOWEST = 1 << 8, SMI = 2 << 8, NMI = 4 << 8, INIT = 5 << 8, STARTUP = 6 << 8, EXTINT = 7 << 8 };
enum { LOGICAL = 1 << 11, ASSERT = 1 << 14, LEVEL = 1 << 15, SELF = 1 << 18, ALL = 2 << 18, OTHERS = 3 << 18, MASKED = 1 << 16 };
enum { OFF = APIC_BASE, XAPIC = APIC_BASE | 0x800, X2APIC = APIC_BASE | 0xc00 };
enum { MSR_DEADLINE = 0x6e0, MSR_ICR = 0x830, MSR_SELF = 0x83f };

#define N 4
static const uint8_t ids[N] = { 0, 1, 2, 17 };
static const CpuType fake_type = { .name = "fake", .state_size = 4096 };
static Cpu *cpu[N];
static Device *apic[N];
static int ended[256];

static int64_t tsc_to_ns(Cpu *c, uint64_t tsc)
{
    return tsc / 2;
}

static void on_eoi(void *opaque, uint8_t vector)
{
    ended[vector]++;
}

static int external(Device *pic)
{
    return 0x77;
}

static uint32_t reg(int n, unsigned offset)
{
    cpu_set_current(cpu[n]);
    return rig_load(APIC_BASE + offset, 4);
}

static void set_reg(int n, unsigned offset, uint32_t value)
{
    cpu_set_current(cpu[n]);
    rig_store(APIC_BASE + offset, value, 4);
}

static uint64_t msr(int n, uint32_t number)
{
    uint64_t value = 0;

    g_assert_true(apic_intc.read_msr(apic[n], number, &value));
    return value;
}

static bool set_msr(int n, uint32_t number, uint64_t value)
{
    return apic_intc.write_msr(apic[n], number, value);
}

static bool set_base(int n, uint64_t value)
{
    return apic_intc.set_base(apic[n], value);
}

static int acknowledge(int n)
{
    return apic_intc.acknowledge(apic[n]);
}

/* Processors that are asked for this, as bits; the requests are taken back. */
static unsigned asked(uint32_t what)
{
    unsigned who = 0;

    for (int n = 0; n < N; n++) {
        who |= (unsigned)!!(cpu[n]->requests & what) << n;
        cpu_clear_request(cpu[n], what);
    }
    return who;
}

/* Processors that take this vector and nothing else, as bits. */
static unsigned taken(int vector)
{
    unsigned who = 0;

    for (int n = 0; n < N; n++) {
        int got = acknowledge(n);

        if (got >= 0) {
            g_assert_cmphex(got, ==, vector);
            who |= 1u << n;
            if (apic_intc.get_base(apic[n]) & 0x400) {
                g_assert_true(set_msr(n, 0x80b, 0));
            } else {
                set_reg(n, EOI, 0);
            }
        }
    }
    return who;
}

static void set_up(void)
{
    memset(ended, 0, sizeof(ended));
    for (int n = 0; n < N; n++) {
        line_set(apic_lint(apic[n], 0), false);
        line_set(apic_lint(apic[n], 1), false);
        device_reset(apic[n]);
        cpu_clear_request(cpu[n], UINT32_MAX);
        set_reg(n, SVR, 0x1ff);
    }
}

static void set_up_x2(void)
{
    set_up();
    for (int n = 0; n < N; n++) {
        g_assert_true(set_base(n, X2APIC));
    }
}

static void send(int from, uint32_t destination, uint32_t command)
{
    set_reg(from, ICR_HIGH, destination << 24);
    set_reg(from, ICR, command);
}

static void send_x2(int from, uint32_t destination, uint32_t command)
{
    g_assert_true(set_msr(from, MSR_ICR, (uint64_t)destination << 32 | command));
}

static void registers_begin_as_the_manual_says(void)
{
    set_up();
    device_reset(apic[1]);
    g_assert_cmphex(reg(1, ID), ==, 1 << 24);
    g_assert_cmphex(reg(1, VERSION) & 0xff, ==, 0x14);
    g_assert_cmphex(reg(1, VERSION) >> 16 & 0xff, ==, 5);
    g_assert_cmphex(reg(1, TPR) | reg(1, PPR) | reg(1, LDR) | reg(1, ESR) | reg(1, ICR) | reg(1, ICR_HIGH), ==, 0);
    g_assert_cmphex(reg(1, DFR), ==, 0xffffffff);
    g_assert_cmphex(reg(1, SVR), ==, 0xff);
    for (unsigned r = LVT_TIMER; r <= LVT_ERROR; r += 16) {
        g_assert_cmphex(reg(1, r), ==, MASKED);
    }
    g_assert_cmphex(reg(1, INITIAL) | reg(1, CURRENT) | reg(1, DIVIDE), ==, 0);
    for (unsigned r = ISR; r < ESR; r += 16) {
        g_assert_cmphex(reg(1, r), ==, 0);
    }
}

static void each_delivery_mode_asks_for_its_own(void)
{
    set_up();
    send(0, 2, FIXED | 0x41);
    g_assert_cmphex(taken(0x41), ==, 1 << 2);
    send(0, 2, LOWEST | 0x42);
    g_assert_cmphex(taken(0x42), ==, 1 << 2);
    send(0, 2, SMI | ASSERT);
    g_assert_cmphex(asked(CPU_REQ_SMI), ==, 1 << 2);
    send(0, 2, NMI | ASSERT | 0x10);
    g_assert_cmphex(asked(CPU_REQ_NMI), ==, 1 << 2);
    send(0, 2, INIT | ASSERT | LEVEL);
    g_assert_cmphex(asked(CPU_REQ_INIT), ==, 1 << 2);
    send(0, 2, INIT | LEVEL); /* de-assert */
    g_assert_cmphex(asked(CPU_REQ_INIT), ==, 0);
    send(0, 2, STARTUP | 0x9a);
    g_assert_cmphex(asked(CPU_REQ_SIPI), ==, 1 << 2);
    g_assert_cmphex(cpu[2]->sipi_vector, ==, 0x9a);
    g_assert_cmphex(asked(UINT32_MAX), ==, 0);
}

static void shorthands_need_no_destination(void)
{
    set_up();
    send(1, 0, SELF | 0x51);
    g_assert_cmphex(taken(0x51), ==, 1 << 1);
    send(1, 0, ALL | 0x52);
    g_assert_cmphex(taken(0x52), ==, 0xf);
    send(1, 0, OTHERS | 0x53);
    g_assert_cmphex(taken(0x53), ==, 0xd);
    send(1, 0, OTHERS | NMI);
    g_assert_cmphex(asked(CPU_REQ_NMI), ==, 0xd);
    send(1, 0, OTHERS | SMI);
    g_assert_cmphex(asked(CPU_REQ_SMI), ==, 0xd);
}

static void what_is_switched_off_is_not_reached(void)
{
    set_up();
    g_assert_true(set_base(2, OFF));
    send(1, 0, ALL | 0x52);
    g_assert_cmphex(taken(0x52), ==, 0xb);
    send(1, 0, OTHERS | NMI);
    g_assert_cmphex(asked(CPU_REQ_NMI), ==, 0x9);
    send(1, 2, NMI);
    g_assert_cmphex(asked(CPU_REQ_NMI), ==, 0);
}

/* By the spurious vector's register: INIT, NMI, SMI and start-up arrive, interrupts do not. */
static void what_software_switched_off_takes_no_interrupts(void)
{
    set_up();
    set_reg(2, SVR, 0xff);
    send(0, 2, FIXED | 0x41);
    g_assert_cmphex(taken(0x41), ==, 0);
    send(0, 2, NMI);
    g_assert_cmphex(asked(CPU_REQ_NMI), ==, 1 << 2);
    send(0, 2, SMI);
    g_assert_cmphex(asked(CPU_REQ_SMI), ==, 1 << 2);
    send(2, 0, FIXED | 0x43);
    g_assert_cmphex(taken(0x43), ==, 1 << 0);
    set_reg(2, LVT_ERROR, 0x44);
    g_assert_cmphex(reg(2, LVT_ERROR), ==, MASKED | 0x44);
    set_reg(2, SVR, 0x1ff);
    g_assert_cmphex(reg(2, LVT_ERROR), ==, MASKED | 0x44);
    g_assert_cmphex(taken(0x41), ==, 0); /* it is lost */
}

static void physical_destinations(void)
{
    set_up();
    send(0, 17, 0x41);
    g_assert_cmphex(taken(0x41), ==, 1 << 3);
    send(0, 0xff, 0x42);
    g_assert_cmphex(taken(0x42), ==, 0xf);
    send(0, 9, 0x43); /* nobody */
    g_assert_cmphex(taken(0x43), ==, 0);
    set_reg(2, ID, 9 << 24);
    send(0, 9, 0x44);
    g_assert_cmphex(taken(0x44), ==, 1 << 2);
}

static void logical_destinations_of_the_flat_model(void)
{
    set_up();
    for (int n = 0; n < N; n++) {
        set_reg(n, LDR, 1u << (24 + n) | 0xffff);
        g_assert_cmphex(reg(n, LDR), ==, 1u << (24 + n));
    }
    send(0, 0x5, LOGICAL | 0x41);
    g_assert_cmphex(taken(0x41), ==, 0x5);
    send(0, 0xff, LOGICAL | 0x42);
    g_assert_cmphex(taken(0x42), ==, 0xf);
    send(0, 0xf0, LOGICAL | 0x43);
    g_assert_cmphex(taken(0x43), ==, 0);
}

static void logical_destinations_of_the_cluster_model(void)
{
    set_up();
    for (int n = 0; n < N; n++) {
        set_reg(n, DFR, 0);
        g_assert_cmphex(reg(n, DFR), ==, 0x0fffffff);
        set_reg(n, LDR, (uint32_t)(n / 2 << 4 | 1 << (n & 1)) << 24); /* two clusters of two */
    }
    send(0, 0x03, LOGICAL | 0x41);
    g_assert_cmphex(taken(0x41), ==, 0x3);
    send(0, 0x12, LOGICAL | 0x42);
    g_assert_cmphex(taken(0x42), ==, 0x8);
    send(0, 0x1c, LOGICAL | 0x43);
    g_assert_cmphex(taken(0x43), ==, 0);
    send(0, 0xff, LOGICAL | 0x44);
    g_assert_cmphex(taken(0x44), ==, 0xf);
}

static void lowest_priority_is_the_least_busy_one(void)
{
    set_up();
    set_reg(0, TPR, 0x80);
    set_reg(1, TPR, 0x40);
    set_reg(2, TPR, 0x60);
    set_reg(3, TPR, 0x90);
    send(0, 0xff, LOWEST | 0xa1);
    g_assert_cmphex(taken(0xa1), ==, 1 << 1);
    set_reg(1, SVR, 0xff);
    send(0, 0xff, LOWEST | 0xa2);
    g_assert_cmphex(taken(0xa2), ==, 1 << 2);
}

static void priorities_of_classes(void)
{
    set_up();
    set_reg(0, TPR, 0x33);
    g_assert_cmphex(reg(0, PPR), ==, 0x33);
    send(0, 0, 0x35);
    g_assert_cmpint(acknowledge(0), ==, -1); /* of the same class */
    send(0, 0, 0x52);
    g_assert_cmphex(reg(0, IRR + 0x20), ==, 1u << 0x12);
    g_assert_cmphex(acknowledge(0), ==, 0x52);
    g_assert_cmphex(reg(0, ISR + 0x20), ==, 1u << 0x12);
    g_assert_cmphex(reg(0, IRR + 0x20), ==, 0);
    g_assert_cmphex(reg(0, PPR), ==, 0x50);
    send(0, 0, 0x5f);
    g_assert_cmpint(acknowledge(0), ==, -1);
    send(0, 0, 0x61);
    g_assert_cmphex(acknowledge(0), ==, 0x61);
    g_assert_cmphex(reg(0, PPR), ==, 0x60);
    set_reg(0, EOI, 0);
    g_assert_cmphex(reg(0, PPR), ==, 0x50);
    set_reg(0, TPR, 0x58); /* not above, but the lower half is the task's */
    g_assert_cmphex(reg(0, PPR), ==, 0x58);
    set_reg(0, TPR, 0);
    set_reg(0, EOI, 0);
    g_assert_cmphex(reg(0, PPR), ==, 0);
    g_assert_cmphex(acknowledge(0), ==, 0x5f);
    set_reg(0, EOI, 0);
    g_assert_cmphex(acknowledge(0), ==, 0x35);
    set_reg(0, EOI, 0);
    apic_intc.set_tpr(apic[0], 0xb); /* CR8 */
    g_assert_cmphex(reg(0, TPR), ==, 0xb0);
    set_reg(0, TPR, 0x7c);
    g_assert_cmphex(apic_intc.get_tpr(apic[0]), ==, 7);
}

static void only_levels_are_told_of_their_end(void)
{
    set_up();
    rig_store(APIC_BASE, 0x61, 4); /* an MSI: edge */
    g_assert_cmphex(taken(0x61), ==, 1 << 0);
    g_assert_cmpint(ended[0x61], ==, 0);
    rig_store(APIC_BASE, LEVEL | ASSERT | 0x62, 4);
    g_assert_cmphex(reg(0, TMR + 0x30), ==, 1 << 2);
    g_assert_cmphex(acknowledge(0), ==, 0x62);
    g_assert_cmpint(ended[0x62], ==, 0);
    set_reg(0, EOI, 0);
    g_assert_cmpint(ended[0x62], ==, 1);
    set_reg(0, EOI, 0); /* of nothing */
    g_assert_cmpint(ended[0x62], ==, 1);
    rig_store(APIC_BASE, 0x62, 4);
    g_assert_cmphex(reg(0, TMR + 0x30), ==, 0);
    g_assert_cmphex(taken(0x62), ==, 1 << 0);
    g_assert_cmpint(ended[0x62], ==, 1);
}

static void local_vectors_keep_their_bits(void)
{
    static const uint32_t kept[] = { 0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff };

    set_up();
    for (unsigned i = 0; i < G_N_ELEMENTS(kept); i++) {
        set_reg(0, LVT_TIMER + i * 16, UINT32_MAX);
        g_assert_cmphex(reg(0, LVT_TIMER + i * 16), ==, kept[i]);
    }
    set_reg(0, LVT_PERF, 0x42);
    set_reg(0, SVR, 0xff);
    for (unsigned r = LVT_TIMER; r <= LVT_ERROR; r += 16) {
        g_assert_cmphex(reg(0, r) & MASKED, ==, MASKED);
    }
}

static void local_interrupts_of_each_mode(void)
{
    set_up();
    set_reg(0, LVT_LINT1, NMI);
    line_set(apic_lint(apic[0], 1), true);
    g_assert_cmphex(asked(CPU_REQ_NMI), ==, 1);
    line_set(apic_lint(apic[0], 1), false);
    set_reg(0, LVT_LINT1, SMI);
    line_set(apic_lint(apic[0], 1), true);
    g_assert_cmphex(asked(CPU_REQ_SMI), ==, 1);
    line_set(apic_lint(apic[0], 1), false);
    set_reg(0, LVT_LINT1, 0x48);
    line_set(apic_lint(apic[0], 1), true);
    g_assert_cmphex(taken(0x48), ==, 1);
    line_set(apic_lint(apic[0], 1), false);
    set_reg(0, LVT_LINT1, MASKED | 0x48);
    line_set(apic_lint(apic[0], 1), true);
    g_assert_cmphex(taken(0x48), ==, 0);
    set_reg(0, LVT_LINT0, EXTINT);
    line_set(apic_lint(apic[0], 0), true);
    set_reg(0, TPR, 0xff); /* which does not hold it back */
    g_assert_cmphex(acknowledge(0), ==, 0x77);
    set_reg(0, TPR, 0);
    line_set(apic_lint(apic[0], 0), false);
    set_reg(0, LVT_PERF, NMI);
    apic_intc.perf_interrupt(apic[0]);
    g_assert_cmphex(asked(CPU_REQ_NMI), ==, 1);
    g_assert_cmphex(reg(0, LVT_PERF), ==, MASKED | NMI); /* SDM 11.5.1 */
}

static void errors_are_shown_by_a_write(void)
{
    set_up();
    set_reg(0, LVT_ERROR, 0x4e);
    send(0, 0, 0x0f);
    g_assert_cmphex(taken(0x4e), ==, 1);
    g_assert_cmphex(reg(0, ESR), ==, 0);
    set_reg(0, ESR, 0);
    g_assert_cmphex(reg(0, ESR), ==, 1 << 5);
    set_reg(0, ESR, 0);
    g_assert_cmphex(reg(0, ESR), ==, 0);
    rig_store(APIC_BASE, 0x08, 4); /* an MSI with a vector that nothing may have */
    g_assert_cmphex(taken(0x4e), ==, 1);
    set_reg(0, ESR, 0);
    g_assert_cmphex(reg(0, ESR), ==, 1 << 6);
    set_reg(0, ESR, 0);
    set_reg(0, 0x40, 1); /* no register */
    g_assert_cmphex(taken(0x4e), ==, 1);
    set_reg(0, ESR, 0);
    g_assert_cmphex(reg(0, ESR), ==, 1 << 7);
    set_reg(0, ESR, 0);
    reg(0, 0x3f0); /* x2APICs have one there */
    g_assert_cmphex(taken(0x4e), ==, 1);
    set_reg(0, ESR, 0);
    g_assert_cmphex(reg(0, ESR), ==, 1 << 7);
    set_reg(0, LVT_ERROR, 3); /* a bad vector for errors does not end in more of them */
    send(0, 0, 0x0f);
    g_assert_cmphex(taken(0), ==, 0);
}

static void the_mode_changes_one_step_at_a_time(void)
{
    static const uint64_t modes[] = { OFF, XAPIC, X2APIC };
    static const bool may[3][3] = { { true, true, false }, { true, true, true }, { true, false, true } };

    for (unsigned from = 0; from < 3; from++) {
        for (unsigned to = 0; to < 3; to++) {
            set_up();
            for (unsigned step = 1; step < from; step++) {
                g_assert_true(set_base(1, modes[step]));
            }
            g_assert_true(set_base(1, modes[from]));
            g_assert_cmpint(set_base(1, modes[to]), ==, may[from][to]);
            g_assert_cmphex(apic_intc.get_base(apic[1]), ==, modes[may[from][to] ? to : from]);
        }
    }
    set_up();
    g_assert_false(set_base(1, APIC_BASE | 0x400)); /* extended, but off */
    g_assert_cmphex(apic_intc.get_base(apic[0]) & 0x100, ==, 0x100);
}

static void x2apic_ids_are_of_32_bits(void)
{
    set_up();
    set_reg(3, ID, 5 << 24);
    set_reg(3, LDR, 0x80000000);
    g_assert_true(set_base(3, X2APIC));
    g_assert_cmphex(msr(3, 0x802), ==, 17);
    g_assert_cmphex(msr(3, 0x80d), ==, 0x10002);
    g_assert_cmphex(reg(3, ID), ==, UINT32_MAX); /* no memory any more */
    set_reg(3, TPR, 0x50);
    g_assert_cmphex(msr(3, 0x808), ==, 0);
}

static void x2apic_destinations(void)
{
    set_up_x2();
    send_x2(0, 17, 0x41);
    g_assert_cmphex(taken(0x41), ==, 1 << 3);
    send_x2(0, UINT32_MAX, 0x42);
    g_assert_cmphex(taken(0x42), ==, 0xf);
    send_x2(0, 0xff, 0x43); /* an id like others */
    g_assert_cmphex(taken(0x43), ==, 0);
    send_x2(0, 0x10002, LOGICAL | 0x44);
    g_assert_cmphex(taken(0x44), ==, 1 << 3);
    send_x2(0, 0x6, LOGICAL | 0x45);
    g_assert_cmphex(taken(0x45), ==, 0x6);
    send_x2(0, 0xff, LOGICAL | 0x46); /* the first eight of the first cluster */
    g_assert_cmphex(taken(0x46), ==, 0x7);
    send_x2(0, 0x100ff, LOGICAL | 0x47);
    g_assert_cmphex(taken(0x47), ==, 0x8);
    send_x2(0, UINT32_MAX, LOGICAL | 0x48);
    g_assert_cmphex(taken(0x48), ==, 0xf);
    send_x2(2, 0, OTHERS | NMI);
    g_assert_cmphex(asked(CPU_REQ_NMI), ==, 0xb);
    send_x2(2, 1, SMI);
    g_assert_cmphex(asked(CPU_REQ_SMI), ==, 0x2);
    send_x2(2, 17, STARTUP | 0x77);
    g_assert_cmphex(asked(CPU_REQ_SIPI), ==, 0x8);
    g_assert_cmphex(msr(2, MSR_ICR), ==, UINT64_C(0x1100000677));
}

static void init_leaves_ids_and_mode(void)
{
    set_up_x2();
    send_x2(0, 17, INIT | ASSERT);
    g_assert_cmphex(asked(CPU_REQ_INIT), ==, 0x8);
    g_assert_cmphex(apic_intc.get_base(apic[3]), ==, X2APIC);
    g_assert_cmphex(msr(3, 0x802), ==, 17);
    g_assert_cmphex(msr(3, 0x80d), ==, 0x10002);
    g_assert_cmphex(msr(3, 0x80f), ==, 0xff);
    set_up();
    set_reg(2, ID, 9 << 24);
    set_reg(2, LDR, 0x04000000);
    set_reg(2, TPR, 0x20);
    set_reg(2, LVT_LINT1, NMI);
    send(0, 9, INIT | ASSERT);
    g_assert_cmphex(asked(CPU_REQ_INIT), ==, 0x4);
    g_assert_cmphex(reg(2, ID), ==, 9 << 24);
    g_assert_cmphex(reg(2, LDR) | reg(2, TPR), ==, 0);
    g_assert_cmphex(reg(2, SVR), ==, 0xff);
    g_assert_cmphex(reg(2, LVT_LINT1), ==, MASKED);
}

static void self_interrupts_have_a_register(void)
{
    set_up_x2();
    g_assert_true(set_msr(1, MSR_SELF, 0x71));
    g_assert_cmphex(taken(0x71), ==, 1 << 1);
    g_assert_true(set_msr(1, 0x837, 0x4e));
    g_assert_true(set_msr(1, MSR_SELF, 0x0a));
    g_assert_cmphex(taken(0x4e), ==, 1 << 1);
    g_assert_true(set_msr(1, 0x828, 0));
    g_assert_cmphex(msr(1, 0x828), ==, 1 << 6);
}

/* SDM table 11-6. */
static void x2apics_have_these_registers_and_no_others(void)
{
    uint64_t value;

    set_up_x2();
    for (uint32_t r = 0; r < 0x100; r++) {
        bool both = r == 0x08 || r == 0x0f || r == 0x28 || r == 0x30 || (r >= 0x32 && r <= 0x38) || r == 0x3e;
        bool read_only = r == 2 || r == 3 || r == 0x0a || r == 0x0d || (r >= 0x10 && r <= 0x27) || r == 0x39;
        bool write_only = r == 0x0b || r == 0x3f;

        g_assert_cmpint(apic_intc.read_msr(apic[1], 0x800 + r, &value), ==, both || read_only);
        g_assert_cmpint(set_msr(1, 0x800 + r, 0), ==, both || write_only);
        g_assert_false(set_msr(1, 0x800 + r, r == 0x30 ? 1 << 20 : UINT64_C(1) << 32));
    }
    set_up();
    for (uint32_t r = 0; r < 0x100; r++) {
        g_assert_false(apic_intc.read_msr(apic[1], 0x800 + r, &value));
        g_assert_false(set_msr(1, 0x800 + r, 0));
    }
}

static void x2apics_refuse_reserved_bits(void)
{
    static const struct { uint32_t msr, good, bad; } rows[] = {
        { 0x808, 0xff, 0x100 }, { 0x80b, 0, 1 }, { 0x80f, 0x1ff, 0x10000 }, { 0x828, 0, 1 }, { MSR_ICR, 0xcc8ff, 0x2000 },
        { MSR_ICR, 0x4c440, 0x100000 }, { 0x832, 0x700ff, 0x80000 }, { 0x832, 0x10040, 0x100 }, { 0x833, 0x107ff, 0x2000 },
        { 0x834, 0x107ff, 0x20000 }, { 0x835, 0x1a7ff, 0x20000 }, { 0x836, 0x1a7ff, 0x800 }, { 0x837, 0x100ff, 0x700 },
        { 0x838, 0xffffffff, 0 }, { 0x83e, 0xb, 0x4 }, { 0x83e, 0, 0x10 }, { MSR_SELF, 0xff, 0x100 },
    };

    set_up_x2();
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_true(set_msr(1, rows[i].msr, rows[i].good));
        if (rows[i].bad) {
            g_assert_false(set_msr(1, rows[i].msr, rows[i].bad));
        }
    }
}

static void the_timer_divides_by_eight_values(void)
{
    static const struct { uint32_t divide; unsigned by; } rows[] = {
        { 0xb, 1 }, { 0, 2 }, { 1, 4 }, { 2, 8 }, { 3, 16 }, { 8, 32 }, { 9, 64 }, { 0xa, 128 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        set_up();
        set_reg(0, DIVIDE, rows[i].divide | 0xf4);
        g_assert_cmphex(reg(0, DIVIDE), ==, rows[i].divide);
        set_reg(0, LVT_TIMER, 0x30);
        set_reg(0, INITIAL, 100);
        clock_advance(40 * rows[i].by);
        g_assert_cmpint(reg(0, CURRENT), ==, 60);
        g_assert_cmphex(taken(0x30), ==, 0);
        clock_advance(60 * rows[i].by);
        g_assert_cmphex(taken(0x30), ==, 1);
        g_assert_cmpint(reg(0, CURRENT), ==, 0);
    }
}

static void a_masked_timer_counts_and_says_nothing(void)
{
    set_up();
    set_reg(0, DIVIDE, 0xb);
    set_reg(0, LVT_TIMER, MASKED | 0x30);
    set_reg(0, INITIAL, 1000);
    clock_advance(400);
    g_assert_cmpint(reg(0, CURRENT), ==, 600);
    clock_advance(700);
    g_assert_cmphex(taken(0x30), ==, 0);
    set_reg(0, LVT_TIMER, 0x20030); /* periodic */
    set_reg(0, INITIAL, 1000);
    clock_advance(1000);
    g_assert_cmphex(taken(0x30), ==, 1);
    clock_advance(1500);
    g_assert_cmpint(reg(0, CURRENT), ==, 500);
    g_assert_cmphex(taken(0x30), ==, 1);
    set_reg(0, INITIAL, 0); /* stops */
    clock_advance(5000);
    g_assert_cmphex(taken(0x30), ==, 0);
    g_assert_cmpint(reg(0, CURRENT), ==, 0);
}

static void deadlines_are_of_the_time_stamp_counter(void)
{
    uint64_t now;

    set_up();
    set_reg(0, DIVIDE, 0xb);
    g_assert_true(set_msr(0, MSR_DEADLINE, 100)); /* ignored in the other modes */
    g_assert_cmphex(msr(0, MSR_DEADLINE), ==, 0);
    set_reg(0, LVT_TIMER, 0x30);
    set_reg(0, INITIAL, 1000);
    set_reg(0, LVT_TIMER, 0x40031); /* disarms */
    clock_advance(2000);
    g_assert_cmphex(taken(0x30), ==, 0);
    set_reg(0, INITIAL, 1000);
    g_assert_cmpint(reg(0, CURRENT), ==, 0);
    now = clock_now(CLOCK_GUEST) * 2;
    g_assert_true(set_msr(0, MSR_DEADLINE, now + 2000));
    g_assert_cmphex(msr(0, MSR_DEADLINE), ==, now + 2000);
    clock_advance(900);
    g_assert_cmphex(taken(0x31), ==, 0);
    clock_advance(200);
    g_assert_cmphex(taken(0x31), ==, 1);
    g_assert_cmphex(msr(0, MSR_DEADLINE), ==, 0);
    g_assert_true(set_msr(0, MSR_DEADLINE, 1)); /* long past */
    g_assert_cmphex(taken(0x31), ==, 1);
    g_assert_true(set_msr(0, MSR_DEADLINE, clock_now(CLOCK_GUEST) * 2 + 2000));
    clock_set_guest(clock_now(CLOCK_GUEST) + 1500); /* the main loop does not get to it */
    g_assert_true(set_msr(0, MSR_DEADLINE, clock_now(CLOCK_GUEST) * 2 + 2000));
    g_assert_cmphex(taken(0x31), ==, 1);
    clock_advance(1000);
    g_assert_cmphex(taken(0x31), ==, 1);
    g_assert_true(set_msr(0, MSR_DEADLINE, clock_now(CLOCK_GUEST) * 2 + 2000));
    g_assert_true(set_msr(0, MSR_DEADLINE, 0));
    clock_advance(2000);
    g_assert_cmphex(taken(0x31), ==, 0);
    g_assert_true(set_msr(0, MSR_DEADLINE, clock_now(CLOCK_GUEST) * 2 + 2000));
    set_reg(0, LVT_TIMER, 0x30);
    clock_advance(2000);
    g_assert_cmphex(taken(0x31), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    for (int n = 0; n < N; n++) {
        cpu[n] = cpu_new(&fake_type, NULL, n, NULL);
        apic[n] = device_new(&apic_type, NULL);
        apic_connect(apic[n], cpu[n], ids[n], tsc_to_ns);
        g_assert_true(device_realize(apic[n], NULL, NULL));
        apic_set_external(apic[n], external, NULL);
    }
    region_add_overlap(memory_system_root(), APIC_BASE, apic_region(), 1);
    apic_on_eoi(on_eoi, NULL);
#define TEST(function) g_test_add_func("/apic-modes/" #function, function)
    TEST(registers_begin_as_the_manual_says);
    TEST(each_delivery_mode_asks_for_its_own);
    TEST(shorthands_need_no_destination);
    TEST(what_is_switched_off_is_not_reached);
    TEST(what_software_switched_off_takes_no_interrupts);
    TEST(physical_destinations);
    TEST(logical_destinations_of_the_flat_model);
    TEST(logical_destinations_of_the_cluster_model);
    TEST(lowest_priority_is_the_least_busy_one);
    TEST(priorities_of_classes);
    TEST(only_levels_are_told_of_their_end);
    TEST(local_vectors_keep_their_bits);
    TEST(local_interrupts_of_each_mode);
    TEST(errors_are_shown_by_a_write);
    TEST(the_mode_changes_one_step_at_a_time);
    TEST(x2apic_ids_are_of_32_bits);
    TEST(x2apic_destinations);
    TEST(init_leaves_ids_and_mode);
    TEST(self_interrupts_have_a_register);
    TEST(x2apics_have_these_registers_and_no_others);
    TEST(x2apics_refuse_reserved_bits);
    TEST(the_timer_divides_by_eight_values);
    TEST(a_masked_timer_counts_and_says_nothing);
    TEST(deadlines_are_of_the_time_stamp_counter);
    return g_test_run();
}
