/* Local APICs of two processors and the I/O APIC in front of them. */
#include "core/clock.h"
#include "hw/intr/apic.h"
#include "hw/intr/ioapic.h"
#include "tests/hw/rig.h"

enum { ID = 0x20, TPR = 0x80, EOI = 0xb0, LDR = 0xd0, SVR = 0xf0, ISR = 0x100, ESR = 0x280 };
enum { ICR = 0x300, ICR_HIGH = 0x310, LVT_TIMER = 0x320, LVT_LINT0 = 0x350, INITIAL = 0x380 };
enum { CURRENT = 0x390, DIVIDE = 0x3e0 };
enum { SHORT_SELF = 1 << 18, SHORT_OTHERS = 3 << 18, ASSERT = 1 << 14 };

static const CpuType fake_type = { .name = "fake", .state_size = 4096 };
static Cpu *cpu[2];
static Device *apic[2], *ioapic;

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

static bool requested(int n, uint32_t what)
{
    return cpu[n]->requests & what;
}

static int acknowledge(int n)
{
    return apic_intc.acknowledge(apic[n]);
}

static void set_redirection(int pin, uint64_t entry)
{
    rig_store(IOAPIC_BASE, 0x11 + pin * 2, 4);
    rig_store(IOAPIC_BASE + 0x10, entry >> 32, 4);
    rig_store(IOAPIC_BASE, 0x10 + pin * 2, 4);
    rig_store(IOAPIC_BASE + 0x10, entry, 4);
}

static void set_up(void)
{
    for (int n = 0; n < IOAPIC_PINS; n++) {
        line_set(ioapic_input(ioapic, n), false);
    }
    device_reset(ioapic);
    for (int n = 0; n < 2; n++) {
        line_set(apic_lint(apic[n], 0), false);
        device_reset(apic[n]);
        cpu_clear_request(cpu[n], UINT32_MAX);
        set_reg(n, SVR, 0x1ff);
    }
}

static void each_processor_sees_its_own(void)
{
    set_up();
    g_assert_cmphex(reg(0, ID), ==, 0);
    g_assert_cmphex(reg(1, ID), ==, 1 << 24);
}

static void an_interrupt_is_acknowledged_and_ended(void)
{
    set_up();
    set_reg(0, ICR, SHORT_SELF | 0x41);
    g_assert_true(requested(0, CPU_REQ_INTR));
    g_assert_cmphex(acknowledge(0), ==, 0x41);
    g_assert_false(requested(0, CPU_REQ_INTR));
    g_assert_cmphex(reg(0, ISR + 0x20), ==, 1 << 1);
    set_reg(0, EOI, 0);
    g_assert_cmphex(reg(0, ISR + 0x20), ==, 0);
    g_assert_cmpint(acknowledge(0), ==, -1);
}

static void the_task_priority_holds_interrupts_back(void)
{
    set_up();
    set_reg(0, TPR, 0x50);
    set_reg(0, ICR, SHORT_SELF | 0x51);
    g_assert_false(requested(0, CPU_REQ_INTR));
    apic_intc.set_tpr(apic[0], 4);
    g_assert_true(requested(0, CPU_REQ_INTR));
    g_assert_cmphex(acknowledge(0), ==, 0x51);
}

static void init_and_startup_reach_the_other(void)
{
    set_up();
    set_reg(0, ICR, SHORT_OTHERS | ASSERT | 5 << 8);
    g_assert_true(requested(1, CPU_REQ_INIT));
    g_assert_false(requested(0, CPU_REQ_INIT));
    set_reg(0, ICR, SHORT_OTHERS | ASSERT | 6 << 8 | 0x9a);
    g_assert_true(requested(1, CPU_REQ_SIPI));
    g_assert_cmphex(cpu[1]->sipi_vector, ==, 0x9a);
}

static void a_logical_destination_is_a_mask(void)
{
    set_up();
    set_reg(0, LDR, 1 << 24);
    set_reg(1, LDR, 2 << 24);
    set_reg(0, ICR_HIGH, 2 << 24);
    set_reg(0, ICR, 1 << 11 | 0x61);
    g_assert_false(requested(0, CPU_REQ_INTR));
    g_assert_cmphex(acknowledge(1), ==, 0x61);
}

static void a_vector_below_16_is_an_error(void)
{
    set_up();
    set_reg(0, ICR, SHORT_SELF | 5);
    set_reg(0, ESR, 0);
    g_assert_cmphex(reg(0, ESR), ==, 1 << 5);
    set_reg(0, ESR, 0);
    g_assert_cmphex(reg(0, ESR), ==, 0);
}

static void the_timer_fires_once_or_again(void)
{
    set_up();
    set_reg(0, DIVIDE, 0xb); /* by 1: nanoseconds */
    set_reg(0, LVT_TIMER, 0x30);
    set_reg(0, INITIAL, 1000);
    clock_advance(400);
    g_assert_cmpint(reg(0, CURRENT), ==, 600);
    g_assert_false(requested(0, CPU_REQ_INTR));
    clock_advance(600);
    g_assert_cmphex(acknowledge(0), ==, 0x30);
    set_reg(0, EOI, 0);
    clock_advance(5000);
    g_assert_false(requested(0, CPU_REQ_INTR));
    set_reg(0, LVT_TIMER, 0x20031);
    set_reg(0, INITIAL, 1000);
    for (int n = 0; n < 3; n++) {
        clock_advance(1000);
        g_assert_cmphex(acknowledge(0), ==, 0x31);
        set_reg(0, EOI, 0);
    }
}

/* Whoever sees the count at zero has its interrupt, even if the main loop comes to the timer later. */
static void a_count_that_is_read_as_zero_has_fired(void)
{
    set_up();
    set_reg(0, DIVIDE, 0xb);
    set_reg(0, LVT_TIMER, 0x30);
    set_reg(0, INITIAL, 1000);
    clock_set_guest(clock_now(CLOCK_GUEST) + 999);
    g_assert_cmpint(reg(0, CURRENT), ==, 1);
    g_assert_false(requested(0, CPU_REQ_INTR));
    clock_set_guest(clock_now(CLOCK_GUEST) + 1);
    g_assert_cmpint(reg(0, CURRENT), ==, 0);
    g_assert_cmphex(acknowledge(0), ==, 0x30);
    set_reg(0, EOI, 0);
    clock_advance(5000);
    g_assert_cmpint(reg(0, CURRENT), ==, 0); /* once, however long ago */
    g_assert_false(requested(0, CPU_REQ_INTR));
}

static void a_single_shot_that_was_fired_is_not_begun_again_by_the_mode(void)
{
    set_up();
    set_reg(0, DIVIDE, 0xb);
    set_reg(0, LVT_TIMER, 0x30);
    set_reg(0, INITIAL, 1000);
    clock_advance(1500);
    g_assert_cmphex(acknowledge(0), ==, 0x30);
    set_reg(0, EOI, 0);
    set_reg(0, LVT_TIMER, 0x20030);
    g_assert_cmpint(reg(0, CURRENT), ==, 0);
    clock_advance(5000);
    g_assert_false(requested(0, CPU_REQ_INTR));
    set_reg(0, INITIAL, 1000);
    clock_advance(1000);
    g_assert_cmphex(acknowledge(0), ==, 0x30);
}

/* What was running when the mode changed runs out when it would have: once, or the first time of many. */
static void a_count_goes_on_through_a_change_of_mode(void)
{
    set_up();
    set_reg(0, DIVIDE, 0xb);
    set_reg(0, LVT_TIMER, 0x20030);
    set_reg(0, INITIAL, 1000);
    for (int n = 0; n < 3; n++) {
        clock_advance(1000);
        g_assert_cmphex(acknowledge(0), ==, 0x30);
        set_reg(0, EOI, 0);
    }
    clock_advance(300);
    set_reg(0, LVT_TIMER, 0x31);
    g_assert_cmpint(reg(0, CURRENT), ==, 700);
    clock_advance(699);
    g_assert_false(requested(0, CPU_REQ_INTR));
    clock_advance(1);
    g_assert_cmphex(acknowledge(0), ==, 0x31);
    set_reg(0, EOI, 0);
    clock_advance(5000);
    g_assert_cmpint(reg(0, CURRENT), ==, 0);
    g_assert_false(requested(0, CPU_REQ_INTR));

    set_reg(0, INITIAL, 1000);
    clock_advance(300);
    set_reg(0, LVT_TIMER, 0x20032);
    g_assert_cmpint(reg(0, CURRENT), ==, 700);
    clock_advance(700);
    for (int n = 0; n < 3; n++) {
        g_assert_cmphex(acknowledge(0), ==, 0x32);
        set_reg(0, EOI, 0);
        g_assert_false(requested(0, CPU_REQ_INTR));
        clock_advance(1000);
    }
}

/* The main loop may not have got to a count that ran out before the register was written. */
static void what_ran_out_before_a_change_of_mode_has_fired(void)
{
    set_up();
    set_reg(0, DIVIDE, 0xb);
    set_reg(0, LVT_TIMER, 0x30);
    set_reg(0, INITIAL, 1000);
    clock_set_guest(clock_now(CLOCK_GUEST) + 1500);
    set_reg(0, LVT_TIMER, 0x20031); /* of a single shot that has ended: does not begin it again */
    g_assert_cmphex(acknowledge(0), ==, 0x30);
    set_reg(0, EOI, 0);
    g_assert_cmpint(reg(0, CURRENT), ==, 0);
    set_reg(0, INITIAL, 1000);
    clock_set_guest(clock_now(CLOCK_GUEST) + 2500);
    set_reg(0, LVT_TIMER, 0x32);
    g_assert_cmphex(acknowledge(0), ==, 0x31);
    set_reg(0, EOI, 0);
    g_assert_cmpint(reg(0, CURRENT), ==, 500);
    clock_advance(500);
    g_assert_cmphex(acknowledge(0), ==, 0x32);
}

static void a_count_goes_on_at_another_pace(void)
{
    set_up();
    set_reg(0, DIVIDE, 0xb);
    set_reg(0, LVT_TIMER, 0x20030);
    set_reg(0, INITIAL, 1000);
    clock_advance(3300);
    g_assert_cmphex(acknowledge(0), ==, 0x30);
    set_reg(0, EOI, 0);
    set_reg(0, DIVIDE, 0); /* by 2 */
    g_assert_cmpint(reg(0, CURRENT), ==, 700);
    clock_advance(1398);
    g_assert_cmpint(reg(0, CURRENT), ==, 1);
    g_assert_false(requested(0, CPU_REQ_INTR));
    clock_advance(2);
    g_assert_cmphex(acknowledge(0), ==, 0x30);
    set_reg(0, EOI, 0);
    clock_advance(2000);
    g_assert_cmphex(acknowledge(0), ==, 0x30);
}

/* Even if that would have taken longer at this pace than the machine is on. */
static void a_count_goes_on_at_the_slowest_pace(void)
{
    set_up();
    set_reg(0, DIVIDE, 0xb);
    set_reg(0, LVT_TIMER, 0x30);
    set_reg(0, INITIAL, UINT32_MAX);
    clock_advance(4000000000);
    set_reg(0, DIVIDE, 0xa); /* by 128 */
    g_assert_cmpuint(reg(0, CURRENT), ==, UINT32_MAX - 4000000000);
    rig_save_and_load(apic[0]);
    g_assert_cmpuint(reg(0, CURRENT), ==, UINT32_MAX - 4000000000);
    clock_advance((UINT32_MAX - 4000000000) * INT64_C(128) - 1);
    g_assert_false(requested(0, CPU_REQ_INTR));
    clock_advance(1);
    g_assert_cmphex(acknowledge(0), ==, 0x30);
}

static void what_ran_out_before_another_count_has_fired(void)
{
    set_up();
    set_reg(0, DIVIDE, 0xb);
    set_reg(0, LVT_TIMER, 0x30);
    set_reg(0, INITIAL, 1000);
    clock_set_guest(clock_now(CLOCK_GUEST) + 1500);
    set_reg(0, INITIAL, 2000);
    g_assert_cmphex(acknowledge(0), ==, 0x30);
    set_reg(0, EOI, 0);
    g_assert_cmpint(reg(0, CURRENT), ==, 2000);
    clock_set_guest(clock_now(CLOCK_GUEST) + 2500);
    set_reg(0, INITIAL, 0);
    g_assert_cmphex(acknowledge(0), ==, 0x30);
    set_reg(0, EOI, 0);
    clock_advance(5000);
    g_assert_false(requested(0, CPU_REQ_INTR));
}

static void the_8259_comes_through_lint0(void)
{
    set_up();
    set_reg(0, LVT_LINT0, 0x700);
    line_set(apic_lint(apic[0], 0), true);
    g_assert_true(requested(0, CPU_REQ_INTR));
    g_assert_cmphex(acknowledge(0), ==, 0x77);
    set_reg(0, LVT_LINT0, 0x10700);
    g_assert_false(requested(0, CPU_REQ_INTR));
}

static void a_level_is_sent_again_after_the_eoi(void)
{
    set_up();
    set_redirection(10, UINT64_C(1) << 56 | 0x8000 | 0x55);
    line_set(ioapic_input(ioapic, 10), true);
    g_assert_cmphex(acknowledge(1), ==, 0x55);
    g_assert_false(requested(1, CPU_REQ_INTR));
    set_reg(1, EOI, 0);
    g_assert_cmphex(acknowledge(1), ==, 0x55);
    line_set(ioapic_input(ioapic, 10), false);
    set_reg(1, EOI, 0);
    g_assert_false(requested(1, CPU_REQ_INTR));
}

static void ended(void *opaque)
{
    ++*(int *)opaque;
}

static void the_listener_hears_of_ends(void)
{
    int ends = 0;

    set_up();
    ioapic_on_end(ioapic, 2, ended, &ends);
    set_redirection(2, 0x32);
    set_redirection(4, 0x44);
    line_pulse(ioapic_input(ioapic, 2));
    line_pulse(ioapic_input(ioapic, 4));
    g_assert_cmphex(acknowledge(0), ==, 0x44);
    set_reg(0, EOI, 0);
    g_assert_cmpint(ends, ==, 0);
    g_assert_cmphex(acknowledge(0), ==, 0x32);
    set_reg(0, EOI, 0);
    g_assert_cmpint(ends, ==, 1);
    set_redirection(2, 1 << 16 | 0x32);
    set_reg(0, EOI, 0);
    g_assert_cmpint(ends, ==, 1);
    ioapic_on_end(ioapic, 2, NULL, NULL);
}

static void an_edge_at_a_masked_input_is_lost(void)
{
    set_up();
    set_redirection(4, 1 << 16 | 0x44);
    line_pulse(ioapic_input(ioapic, 4));
    set_redirection(4, 0x44);
    g_assert_false(requested(0, CPU_REQ_INTR));
    line_pulse(ioapic_input(ioapic, 4));
    g_assert_cmphex(acknowledge(0), ==, 0x44);
}

/* It had been set by a level, and nobody waits for it as an edge. */
static void a_level_leaves_no_edge_behind(void)
{
    set_up();
    set_redirection(9, 0x8055);
    line_set(ioapic_input(ioapic, 9), true);
    g_assert_cmpint(acknowledge(0), ==, 0x55);
    line_set(ioapic_input(ioapic, 9), false);
    set_reg(0, EOI, 0);
    set_redirection(9, 0x55);
    g_assert_false(requested(0, CPU_REQ_INTR));
}

static void a_disabled_apic_is_not_there(void)
{
    set_up();
    g_assert_true(apic_intc.set_base(apic[1], APIC_BASE));
    g_assert_cmphex(reg(1, SVR), ==, UINT32_MAX);
    rig_store(APIC_BASE + 0x1000, 0x66, 4);
    g_assert_true(apic_intc.set_base(apic[1], APIC_BASE | 0x800));
    set_reg(1, SVR, 0x1ff);
    g_assert_false(requested(1, CPU_REQ_INTR));
}

static void a_message_signalled_interrupt_arrives(void)
{
    set_up();
    rig_store(APIC_BASE + 0x1000, 0x66, 4); /* processor 1 */
    g_assert_cmphex(acknowledge(1), ==, 0x66);
}

static void x2apic_registers_are_msrs(void)
{
    uint64_t value;

    set_up();
    g_assert_false(apic_intc.read_msr(apic[1], 0x802, &value));
    g_assert_true(apic_intc.set_base(apic[1], APIC_BASE | 0xc00));
    g_assert_true(apic_intc.read_msr(apic[1], 0x802, &value));
    g_assert_cmpuint(value, ==, 1);
    g_assert_true(apic_intc.write_msr(apic[1], 0x83f, 0x71));
    g_assert_cmphex(acknowledge(1), ==, 0x71);
    g_assert_false(apic_intc.write_msr(apic[1], 0x802, 0));
    g_assert_false(apic_intc.write_msr(apic[1], 0x83f, 0x171)); /* reserved bits */
    g_assert_false(apic_intc.write_msr(apic[1], 0x80f, UINT64_C(0x1000001ff)));
    g_assert_false(apic_intc.set_base(apic[1], APIC_BASE | 0x800));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    for (int n = 0; n < 2; n++) {
        cpu[n] = cpu_new(&fake_type, NULL, n, NULL);
        apic[n] = device_new(&apic_type, NULL);
        apic_connect(apic[n], cpu[n], n, NULL);
        g_assert_true(device_realize(apic[n], NULL, NULL));
        apic_set_external(apic[n], external, NULL);
    }
    region_add_overlap(memory_system_root(), APIC_BASE, apic_region(), 1);
    ioapic = rig_add("ioapic", NULL);
    g_test_add_func("/apic/each-processor-sees-its-own", each_processor_sees_its_own);
    g_test_add_func("/apic/an-interrupt-is-acknowledged-and-ended",
                    an_interrupt_is_acknowledged_and_ended);
    g_test_add_func("/apic/the-task-priority-holds-interrupts-back",
                    the_task_priority_holds_interrupts_back);
    g_test_add_func("/apic/init-and-startup-reach-the-other", init_and_startup_reach_the_other);
    g_test_add_func("/apic/a-logical-destination-is-a-mask", a_logical_destination_is_a_mask);
    g_test_add_func("/apic/a-vector-below-16-is-an-error", a_vector_below_16_is_an_error);
    g_test_add_func("/apic/the-timer-fires-once-or-again", the_timer_fires_once_or_again);
    g_test_add_func("/apic/a-count-of-zero-has-fired", a_count_that_is_read_as_zero_has_fired);
    g_test_add_func("/apic/a-single-shot-that-was-fired-is-not-begun-again-by-the-mode",
                    a_single_shot_that_was_fired_is_not_begun_again_by_the_mode);
    g_test_add_func("/apic/a-count-goes-on-through-a-change-of-mode", a_count_goes_on_through_a_change_of_mode);
    g_test_add_func("/apic/what-ran-out-before-a-change-of-mode-has-fired",
                    what_ran_out_before_a_change_of_mode_has_fired);
    g_test_add_func("/apic/a-count-goes-on-at-another-pace", a_count_goes_on_at_another_pace);
    g_test_add_func("/apic/a-count-goes-on-at-the-slowest-pace", a_count_goes_on_at_the_slowest_pace);
    g_test_add_func("/apic/what-ran-out-before-another-count-has-fired", what_ran_out_before_another_count_has_fired);
    g_test_add_func("/apic/the-8259-comes-through-lint0", the_8259_comes_through_lint0);
    g_test_add_func("/apic/a-level-is-sent-again-after-the-eoi", a_level_is_sent_again_after_the_eoi);
    g_test_add_func("/apic/the-listener-hears-of-ends", the_listener_hears_of_ends);
    g_test_add_func("/apic/an-edge-at-a-masked-input-is-lost", an_edge_at_a_masked_input_is_lost);
    g_test_add_func("/apic/a-level-leaves-no-edge-behind", a_level_leaves_no_edge_behind);
    g_test_add_func("/apic/a-disabled-apic-is-not-there", a_disabled_apic_is_not_there);
    g_test_add_func("/apic/a-message-signalled-interrupt-arrives",
                    a_message_signalled_interrupt_arrives);
    g_test_add_func("/apic/x2apic-registers-are-msrs", x2apic_registers_are_msrs);
    return g_test_run();
}
