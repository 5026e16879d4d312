/* The virtio core through a device that gives back what it gets: rings, negotiation, and drivers that misbehave. */
#include "core/clock.h"
#include "tests/hw/virtio/driver.h"
#include "util/bits.h"

#include <string.h>

enum { IN = 0x200000, OUT = 0x201000, SIZE = 16 };
#define F_PACKED   VIRTIO_BIT(VIRTIO_F_RING_PACKED)
#define F_EVENT    VIRTIO_BIT(VIRTIO_F_EVENT_IDX)
#define F_INDIRECT VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)

typedef struct Echo {
    VirtioDevice v;
    VirtqChain *held;
    bool holds;
} Echo;

static bool echo_realize_class(VirtioDevice *v, GError **error)
{
    virtio_add_queue(v, SIZE);
    virtio_add_queue(v, 256);
    return true;
}

static void echo_unrealize_class(VirtioDevice *v)
{
}

static uint64_t echo_features(VirtioDevice *v)
{
    return 0x15;
}

static void echo_get_config(VirtioDevice *v, uint8_t *config)
{
    memcpy(config, "echo", 4);
}

static void echo(VirtqChain *chain)
{
    size_t n = MIN(chain->in_size, chain->out_size);
    g_autofree uint8_t *bytes = g_malloc(n + 1);

    iov_read(chain->out, chain->out_count, 0, bytes, n);
    iov_write(chain->in, chain->in_count, 0, bytes, n);
    virtq_push(chain, n);
}

static void echo_notify(VirtioDevice *v, VirtQueue *q)
{
    Echo *e = (Echo *)v;
    VirtqChain *chain;

    while ((chain = virtq_pop(q, sizeof(*chain)))) {
        if (e->holds && !e->held) {
            e->held = chain;
        } else {
            echo(chain);
        }
    }
    virtq_notify(q);
}

static void echo_reset(VirtioDevice *v, VirtQueue *q)
{
    Echo *e = (Echo *)v;

    if (e->held) {
        virtq_drop(e->held);
        e->held = NULL;
    }
}

static const VirtioClass echo_class = {
    .name = "virtio-echo", .id = 60, .legacy_id = 0x103c, .pci_class = 0x00ff00, .config_size = 4,
    .realize = echo_realize_class, .unrealize = echo_unrealize_class, .features = echo_features,
    .get_config = echo_get_config, .notify = echo_notify, .reset = echo_reset,
};
static const Prop echo_props[] = { VIRTIO_PROPS(Echo), { 0 } };
VIRTIO_TYPES(static_echo, "virtio-echo", NULL, "echo", Echo, &echo_class, echo_props, NULL, 0, false);

static Device *dev;
static Driver d;

static void start(uint64_t features)
{
    ((Echo *)dev)->holds = false;
    driver_start(&d, dev, features);
    driver_queue(&d, 0, SIZE);
    driver_queue(&d, 1, 256);
    driver_ok(&d);
    memset(rig_ram() + IN, 0, 0x1000);
    for (int i = 0; i < 0x1000; i++) {
        rig_ram()[OUT + i] = i * 3 + (i >> 8);
    }
}

static bool needs_reset(void)
{
    return driver_common(0x14, 1) & VIRTIO_NEEDS_RESET;
}

static const uint64_t forms[] = { 0, F_EVENT | F_INDIRECT, F_PACKED, F_PACKED | F_EVENT | F_INDIRECT };

static void requests_come_back_in_every_form_of_ring(void)
{
    static const DriverBuffer buffers[] = {
        { OUT, 100, false }, { OUT + 100, 50, false }, { IN, 30, true }, { IN + 30, 120, true },
    };

    for (unsigned f = 0; f < G_N_ELEMENTS(forms); f++) {
        start(forms[f]);
        for (int i = 0; i < 50; i++) {
            memset(rig_ram() + IN, 0, 200);
            g_assert_cmpuint(driver_request(&d, 0, buffers, 4), ==, 150);
            g_assert_cmpmem(rig_ram() + IN, 150, rig_ram() + OUT, 150);
            if (i == 0 || !(forms[f] & F_EVENT)) {
                g_assert_cmpuint(driver_mail(1), ==, 2);
            }
        }
        g_assert_false(needs_reset());
    }
}

static void indirect_tables_are_followed(void)
{
    static const DriverBuffer buffers[] = { { OUT, 10, false }, { OUT + 10, 10, false }, { IN, 20, true } };
    uint16_t id;
    uint32_t length;

    for (unsigned f = 1; f < G_N_ELEMENTS(forms); f += 2) {
        start(forms[f]);
        for (int i = 0; i < 40; i++) {
            driver_add(&d, 1, buffers, 3, true);
            driver_kick(&d, 1);
            g_assert_true(driver_used(&d, 1, &id, &length));
            g_assert_cmpuint(length, ==, 20);
            g_assert_cmpmem(rig_ram() + IN, 20, rig_ram() + OUT, 20);
        }
    }
}

static void several_at_once_and_one_interrupt(void)
{
    static const DriverBuffer buffers[] = { { OUT, 8, false }, { IN, 8, true } };
    uint16_t id;
    uint32_t length;

    for (unsigned f = 0; f < G_N_ELEMENTS(forms); f++) {
        int back = 0;

        start(forms[f]);
        for (int i = 0; i < SIZE / 2; i++) {
            driver_add(&d, 0, buffers, 2, false);
        }
        driver_kick(&d, 0);
        while (driver_used(&d, 0, &id, &length)) {
            back++;
        }
        g_assert_cmpint(back, ==, SIZE / 2);
        g_assert_cmpuint(driver_mail(1), ==, 2);
    }
}

static void the_event_index_holds_interrupts_back(void)
{
    static const DriverBuffer buffers[] = { { OUT, 8, false }, { IN, 8, true } };

    start(F_EVENT);
    driver_request(&d, 0, buffers, 2);
    g_assert_cmpuint(driver_mail(1), ==, 2);
    store_le16(rig_ram() + d.q[0].driver + 4 + 2 * SIZE, 3); /* used_event */
    driver_request(&d, 0, buffers, 2);
    driver_request(&d, 0, buffers, 2);
    g_assert_cmpuint(driver_mail(1), ==, 0);
    driver_request(&d, 0, buffers, 2);
    g_assert_cmpuint(driver_mail(1), ==, 2);
    start(F_EVENT | F_PACKED);
    driver_request(&d, 0, buffers, 2);
    driver_mail(1);
    store_le16(rig_ram() + d.q[0].driver, 6 | 0x8000); /* the fourth request's place */
    store_le16(rig_ram() + d.q[0].driver + 2, 2);
    driver_request(&d, 0, buffers, 2);
    driver_request(&d, 0, buffers, 2);
    g_assert_cmpuint(driver_mail(1), ==, 0);
    driver_request(&d, 0, buffers, 2);
    g_assert_cmpuint(driver_mail(1), ==, 2);
    store_le16(rig_ram() + d.q[0].driver, 0); /* in the next round */
    for (int i = 4; i < 8; i++) {
        driver_request(&d, 0, buffers, 2);
        g_assert_cmpuint(driver_mail(1), ==, 0);
    }
    driver_request(&d, 0, buffers, 2);
    g_assert_cmpuint(driver_mail(1), ==, 2);
}

static void the_old_interface_works_as_well(void)
{
    static const DriverBuffer buffers[] = { { OUT, 8, false }, { IN, 8, true } };
    uint16_t id;
    uint32_t length;

    start(0);
    pci_config_write(d.pci->bus, 0, d.pci->devfn, d.pci->msix_cap + 2, 0, 2);
    rig_out8(DRIVER_PORTS + 0x12, 0);
    d.features = 0;
    g_assert_cmphex(rig_in32(DRIVER_PORTS), ==, 0x15 | 1u << 24 | 1u << 27 | 1u << 28 | 1u << 29);
    rig_out32(DRIVER_PORTS + 4, 0x15);
    g_assert_cmpuint(rig_in16(DRIVER_PORTS + 0xc), ==, SIZE);
    memset(rig_ram() + DRIVER_RINGS, 0, 0x10000);
    d.q[0] = (DriverQueue){ .size = SIZE, .desc = DRIVER_RINGS, .driver = DRIVER_RINGS + SIZE * 16,
                            .device = DRIVER_RINGS + 4096 };
    rig_out32(DRIVER_PORTS + 8, DRIVER_RINGS / 4096);
    rig_out8(DRIVER_PORTS + 0x12, 7);
    driver_add(&d, 0, buffers, 2, false);
    rig_out16(DRIVER_PORTS + 0x10, 0);
    g_assert_true(driver_used(&d, 0, &id, &length));
    g_assert_cmpuint(length, ==, 8);
    g_assert_true(rig_pci_irq());
    g_assert_cmphex(rig_in8(DRIVER_PORTS + 0x13), ==, 1);
    g_assert_false(rig_pci_irq());
    g_assert_cmphex(rig_in32(DRIVER_PORTS + 0x14), ==, 0x6f686365);
    rig_out32(DRIVER_PORTS + 8, 0);
    g_assert_cmphex(rig_in32(DRIVER_PORTS + 8), ==, 0);
}

static void a_feature_that_is_not_offered_is_refused(void)
{
    start(0);
    driver_set_common(0x14, 0, 1);
    driver_set_common(0x14, 3, 1);
    driver_set_common(8, 0, 4);
    driver_set_common(12, 0x2, 4);
    driver_set_common(8, 1, 4);
    driver_set_common(12, 1, 4);
    driver_set_common(0x14, 11, 1);
    g_assert_cmphex(driver_common(0x14, 1), ==, 3);
}

static void a_queue_is_reset_alone(void)
{
    static const DriverBuffer buffers[] = { { OUT, 8, false }, { IN, 8, true } };

    start(VIRTIO_BIT(VIRTIO_F_RING_RESET));
    ((Echo *)dev)->holds = true;
    driver_add(&d, 0, buffers, 2, false);
    driver_kick(&d, 0);
    g_assert_nonnull(((Echo *)dev)->held);
    driver_set_common(0x16, 0, 2);
    driver_set_common(0x3a, 1, 2);
    g_assert_cmpuint(driver_common(0x3a, 2), ==, 0);
    g_assert_cmpuint(driver_common(0x1c, 2), ==, 0);
    g_assert_null(((Echo *)dev)->held);
    ((Echo *)dev)->holds = false;
    driver_queue(&d, 0, 8);
    g_assert_cmpuint(driver_request(&d, 0, buffers, 2), ==, 8);
}

static void a_snapshot_keeps_rings_and_agreements(void)
{
    static const DriverBuffer buffers[] = { { OUT, 8, false }, { IN, 8, true } };

    for (unsigned f = 0; f < G_N_ELEMENTS(forms); f++) {
        start(forms[f]);
        for (int i = 0; i < 11; i++) {
            driver_request(&d, 0, buffers, 2);
            rig_save_and_load(dev);
        }
        store_le16(rig_ram() + d.q[0].driver + 4 + 2 * SIZE, 11);
        driver_mail(1);
        driver_request(&d, 0, buffers, 2);
        g_assert_cmpuint(driver_mail(1), ==, 2);
    }
}

static void the_configuration_window_reaches_registers(void)
{
    VirtioDevice *v = (VirtioDevice *)dev;
    unsigned cap = v->pci_access_cap;
    PciDevice *pci = (PciDevice *)dev;

    start(0);
    pci_config_write(pci->bus, 0, pci->devfn, cap + 4, 4, 1);
    pci_config_write(pci->bus, 0, pci->devfn, cap + 8, 0x2000, 4);
    pci_config_write(pci->bus, 0, pci->devfn, cap + 12, 4, 4);
    g_assert_cmphex(pci_config_read(pci->bus, 0, pci->devfn, cap + 16, 4), ==, 0x6f686365);
    pci_config_write(pci->bus, 0, pci->devfn, cap + 8, 0x16, 4);
    pci_config_write(pci->bus, 0, pci->devfn, cap + 12, 2, 4);
    pci_config_write(pci->bus, 0, pci->devfn, cap + 16, 1, 2);
    g_assert_cmpuint(driver_common(0x16, 2), ==, 1);
    pci_config_write(pci->bus, 0, pci->devfn, cap + 12, 3, 4); /* no length there is */
    pci_config_read(pci->bus, 0, pci->devfn, cap + 16, 4);
    pci_config_write(pci->bus, 0, pci->devfn, cap + 8, UINT32_MAX, 4);
    pci_config_write(pci->bus, 0, pci->devfn, cap + 16, 1, 4);
}

/* ---- what a hostile driver tries ---- */

static void one_bad(const DriverBuffer *buffers, unsigned count)
{
    driver_add(&d, 0, buffers, count, false);
    driver_kick(&d, 0);
    g_assert_true(needs_reset());
    driver_kick(&d, 0); /* stands still */
}

static void bad_buffers_want_a_reset(void)
{
    static const DriverBuffer cases[][2] = {
        { { OUT, 0, false }, { IN, 8, true } },                        /* nothing */
        { { UINT64_MAX - 3, 8, false }, { IN, 8, true } },             /* wraps */
        { { IN, 8, true }, { OUT, 8, false } },                        /* wrong order */
        { { UINT64_C(0x900000000), 0x7fffffff, false }, { IN, 8, true } }, /* far from RAM */
        { { OUT, 8, false }, { RIG_RAM - 4, 0xffffffff, true } },      /* out of it */
    };

    for (unsigned f = 0; f < G_N_ELEMENTS(forms); f++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
            start(forms[f]);
            one_bad(cases[i], 2);
        }
    }
    start(0);
    g_assert_false(needs_reset());
}

static void chains_without_end_want_a_reset(void)
{
    uint8_t *desc = rig_ram() + DRIVER_RINGS;

    start(0);
    store_le64(desc, OUT);
    store_le32(desc + 8, 8);
    store_le16(desc + 12, 1); /* its own successor */
    store_le16(desc + 14, 0);
    store_le16(rig_ram() + d.q[0].driver + 2, 1);
    driver_kick(&d, 0);
    g_assert_true(needs_reset());
    start(0);
    store_le32(desc + 8, 8);
    store_le64(desc, OUT);
    store_le16(desc + 12, 1);
    store_le16(desc + 14, SIZE); /* outside */
    store_le16(rig_ram() + d.q[0].driver + 2, 1);
    driver_kick(&d, 0);
    g_assert_true(needs_reset());
    start(0);
    store_le16(rig_ram() + d.q[0].driver + 2, SIZE + 1); /* more than fit */
    driver_kick(&d, 0);
    g_assert_true(needs_reset());
    start(0);
    store_le16(rig_ram() + d.q[0].driver + 4, 0xffff); /* head outside */
    store_le16(rig_ram() + d.q[0].driver + 2, 1);
    driver_kick(&d, 0);
    g_assert_true(needs_reset());
}

static void a_table(uint64_t features, uint32_t length, uint16_t flags, uint16_t next)
{
    uint8_t *desc = rig_ram() + DRIVER_RINGS, *table = rig_ram() + DRIVER_TABLES;
    bool packed = features & F_PACKED;

    start(features);
    memset(table, 0, 0x1000);
    store_le64(table, OUT);
    store_le32(table + 8, 8);
    store_le16(table + 12, packed ? 0 : flags);
    store_le16(table + 14, packed ? flags : next);
    store_le64(desc, DRIVER_TABLES);
    store_le32(desc + 8, length);
    store_le16(desc + 12, packed ? 0 : 4);
    store_le16(desc + 14, packed ? 4 | 0x80 : 0);
    store_le16(rig_ram() + d.q[0].driver + 2, packed ? 0 : 1);
    driver_kick(&d, 0);
    g_assert_true(needs_reset());
}

static void bad_tables_want_a_reset(void)
{
    for (unsigned f = 1; f < G_N_ELEMENTS(forms); f += 2) {
        a_table(forms[f], 0, 0, 0);
        a_table(forms[f], 17, 0, 0);
        a_table(forms[f], 32, 4, 0);          /* a table in a table */
        a_table(forms[f], 0x00100000, 1, 0);  /* its own successor; too long */
        a_table(forms[f], 32, 1, 2);          /* outside; an empty buffer */
    }
    a_table(0, 32, 0, 0); /* not agreed on */
}

static void rings_outside_of_memory_want_a_reset(void)
{
    start(0);
    driver_start(&d, dev, 0);
    driver_set_common(0x16, 0, 2);
    driver_set_common(0x18, SIZE, 2);
    driver_set_common(0x24, 0x10, 4);
    driver_set_common(0x1c, 1, 2);
    g_assert_true(needs_reset());
    driver_start(&d, dev, 0);
    driver_set_common(0x18, 7, 2); /* no power of two */
    driver_set_common(0x1c, 1, 2);
    g_assert_true(needs_reset());
}

static void random_rings_do_no_harm(void)
{
    for (int round = 0; round < 300; round++) {
        start(forms[round % 4]);
        for (int i = 0; i < 200; i++) {
            uint32_t at = DRIVER_RINGS + (g_test_rand_bit() ? 0 : 0x8000) + g_test_rand_int_range(0, 300);

            if (g_test_rand_bit()) {
                store_le64(rig_ram() + (at & ~15u), OUT + g_test_rand_int_range(0, 64));
                store_le64(rig_ram() + (at & ~15u) + 8, g_test_rand_int_range(0, 0x10000) | (uint64_t)g_test_rand_int_range(0, 8) << 32);
            } else {
                rig_ram()[at] = g_test_rand_int_range(0, 256);
            }
            if (g_test_rand_int_range(0, 20) == 0) {
                driver_kick(&d, g_test_rand_int_range(0, 3));
            }
        }
        driver_kick(&d, 0);
        rig_save_and_load(dev);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    dev = device_new(&static_echo_type, "echo");
    g_assert_true(device_set_property(dev, "packed", "on", NULL));
    g_assert_true(device_realize(dev, pci_bus_bus(rig_pci()), NULL));
    g_assert_cmpstr(static_echo_transitional_type.name, ==, "virtio-echo-pci-transitional");
    g_assert_cmpstr(static_echo_modern_type.name, ==, "virtio-echo-pci-non-transitional");
#define ADD(fn) g_test_add_func("/virtio/" #fn, fn)
    ADD(requests_come_back_in_every_form_of_ring);
    ADD(indirect_tables_are_followed);
    ADD(several_at_once_and_one_interrupt);
    ADD(the_event_index_holds_interrupts_back);
    ADD(the_old_interface_works_as_well);
    ADD(a_feature_that_is_not_offered_is_refused);
    ADD(a_queue_is_reset_alone);
    ADD(a_snapshot_keeps_rings_and_agreements);
    ADD(the_configuration_window_reaches_registers);
    ADD(bad_buffers_want_a_reset);
    ADD(chains_without_end_want_a_reset);
    ADD(bad_tables_want_a_reset);
    ADD(rings_outside_of_memory_want_a_reset);
    ADD(random_rings_do_no_harm);
    return g_test_run();
}
