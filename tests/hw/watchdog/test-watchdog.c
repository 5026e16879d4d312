/* Watchdogs and pvpanic, and what -action makes of what they tell. */
#include "core/clock.h"
#include "core/incident.h"
#include "core/machine.h"
#include "core/mainloop.h"
#include "tests/hw/rig.h"
#include "util/error.h"

enum { BAR = 0xf0000000u, TIMER1 = 0, TIMER2 = 4, STATUS = 8, RELOAD = 12, CONFIG = 0x60, LOCK = 0x68 };

static GString *told;
static Device *esb, *ib700;

static void on_incident(const char *event, const char *action)
{
    g_string_append_printf(told, "%s:%s ", event, action);
}

static void expect(const char *text)
{
    g_assert_cmpstr(told->str, ==, text);
    g_string_truncate(told, 0);
}

static void run_requests(void)
{
    for (int i = 0; i < 10; i++) {
        main_loop_step(false);
    }
}

static void set_action(const char *event, const char *action)
{
    g_assert_true(incident_set_action(event, action, NULL));
}

static void config(Device *dev, unsigned offset, uint32_t value, unsigned size)
{
    PciDevice *pci = (PciDevice *)dev;

    pci_config_write(pci->bus, 0, pci->devfn, offset, value, size);
}

static void protected_write(unsigned offset, uint32_t value)
{
    rig_store(BAR + RELOAD, 0x80, 2);
    rig_store(BAR + RELOAD, 0x86, 2);
    rig_store(BAR + offset, value, offset == RELOAD ? 2 : 4);
}

/* Two stages of a second each. */
static void start_esb(void)
{
    device_reset(esb);
    config(esb, 0x10, BAR, 4);
    config(esb, 4, 2, 2);
    config(esb, CONFIG, 3, 2);
    protected_write(TIMER1, 1006);
    protected_write(TIMER2, 1006);
    config(esb, LOCK, 2, 1);
}

static void the_6300esb_has_two_stages(void)
{
    set_action("watchdog", "none");
    start_esb();
    rig_run(900 * NS_PER_MS);
    g_assert_cmpuint(rig_load(BAR + STATUS, 4), ==, 0);
    rig_run(200 * NS_PER_MS);
    g_assert_cmpuint(rig_load(BAR + STATUS, 4), ==, 1);
    expect("");
    rig_run(NS_PER_SECOND);
    expect("WATCHDOG:none ");
    g_assert_cmpuint(rig_load(BAR + RELOAD, 2), ==, 0x200);
    start_esb();
    g_assert_cmpuint(rig_load(BAR + RELOAD, 2), ==, 0x200); /* a reset leaves it */
    rig_store(BAR + RELOAD, 0x200, 2);
    g_assert_cmpuint(rig_load(BAR + RELOAD, 2), ==, 0x200); /* protected */
    protected_write(RELOAD, 0x200);
    g_assert_cmpuint(rig_load(BAR + RELOAD, 2), ==, 0);
}

static void the_6300esb_is_fed_and_stopped(void)
{
    start_esb();
    for (int i = 0; i < 10; i++) {
        rig_run(1500 * NS_PER_MS);
        protected_write(RELOAD, 0x100);
    }
    expect("");
    rig_save_and_load(esb);
    rig_run(1500 * NS_PER_MS);
    expect("");
    rig_run(NS_PER_SECOND);
    expect("WATCHDOG:none ");
    start_esb();
    config(esb, LOCK, 0, 1);
    rig_run(10 * NS_PER_SECOND);
    expect("");
    start_esb();
    config(esb, LOCK, 3, 1); /* locked: it cannot be stopped */
    config(esb, LOCK, 0, 1);
    rig_run(10 * NS_PER_SECOND);
    expect("WATCHDOG:none ");
    start_esb();
    config(esb, CONFIG, 0x23, 2); /* without output */
    rig_run(10 * NS_PER_SECOND);
    expect("");
}

static void the_ib700_counts_down_from_what_was_written(void)
{
    device_reset(ib700);
    rig_out8(0x443, 10); /* 30 - 2 * 10 */
    rig_run(9 * NS_PER_SECOND);
    rig_save_and_load(ib700);
    expect("");
    rig_run(2 * NS_PER_SECOND);
    expect("WATCHDOG:none ");
    rig_run(60 * NS_PER_SECOND);
    expect("");
    rig_out8(0x443, 14);
    rig_out8(0x441, 0);
    rig_run(60 * NS_PER_SECOND);
    expect("");
}

static void pvpanic_tells_what_was_written(void)
{
    Device *pci = rig_add("pvpanic-pci", pci_bus_bus(rig_pci()));

    set_action("panic", "none");
    rig_add("pvpanic", rig_isa());
    g_assert_cmpuint(rig_in8(0x505), ==, 3);
    rig_out8(0x505, 1);
    expect("GUEST_PANICKED:run ");
    rig_out8(0x505, 2);
    expect("GUEST_CRASHLOADED:run ");
    rig_out8(0x505, 0xfc);
    expect("");
    config(pci, 0x10, 0xf1000000, 4);
    config(pci, 4, 2, 2);
    g_assert_cmpuint(rig_load(0xf1000000, 1), ==, 3);
    rig_store(0xf1000000, 1, 1);
    expect("GUEST_PANICKED:run ");
    rig_store(0xf1000001, 1, 1);
    expect("");
    set_action("panic", "pause");
    machine_continue();
    rig_out8(0x505, 1);
    run_requests();
    expect("GUEST_PANICKED:pause ");
    g_assert_cmpstr(run_state_name(machine_state()), ==, "guest-panicked");
    machine_continue();
}

static void watchdogs_do_what_was_set(void)
{
    static const struct {
        const char *action, *state;
    } cases[] = { { "pause", "watchdog" }, { "debug", "running" }, { "inject-nmi", "running" }, { "reset", "running" } };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *want = g_strdup_printf("WATCHDOG:%s ", cases[i].action);

        machine_continue();
        set_action("watchdog", cases[i].action);
        incident_watchdog();
        run_requests();
        expect(want);
        g_assert_cmpstr(run_state_name(machine_state()), ==, cases[i].state);
    }
}

static void unknown_actions_are_refused(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(incident_set_action("watchdog", "explode", &error));
    g_assert_error(error, VM_ERROR, VM_ERROR_USER);
    g_clear_error(&error);
    g_assert_false(incident_set_action("dinner", "none", &error));
    g_assert_error(error, VM_ERROR, VM_ERROR_USER);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    told = g_string_new(NULL);
    incident_set_event_fn(on_incident);
    esb = rig_add("i6300esb", pci_bus_bus(rig_pci()));
    ib700 = rig_add("ib700", rig_isa());
#define ADD(fn) g_test_add_func("/watchdog/" #fn, fn)
    ADD(the_6300esb_has_two_stages);
    ADD(the_6300esb_is_fed_and_stopped);
    ADD(the_ib700_counts_down_from_what_was_written);
    ADD(pvpanic_tells_what_was_written);
    ADD(watchdogs_do_what_was_set);
    ADD(unknown_actions_are_refused);
    return g_test_run();
}
