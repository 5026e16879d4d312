/* MSI and MSI-X as a driver uses them; messages are stores to memory that the test reads. */
#include "hw/pci/msi.h"
#include "core/irqchip.h"
#include "core/mainloop.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <sys/eventfd.h>

enum { VECTORS = 5, TABLE = 0x100, PBA = 0x200, MAILBOX = 0x8000 };
#define BAR 0xf0000000u

typedef struct Sender {
    PciDevice pci;
    Region *bar;
} Sender;

static bool sender_realize(Device *dev, GError **error)
{
    static const PciInfo info = { .vendor = 0x1234, .device = 0x5678, .interrupt_pin = 1 };
    Sender *s = (Sender *)dev;

    pci_device_init(&s->pci, &info);
    s->bar = region_new_container("bar", 0x1000);
    pci_register_bar(&s->pci, 0, PCI_BAR_MEM32, s->bar);
    return pci_msi_init(&s->pci, 4, true, error) &&
           pci_msix_init(&s->pci, VECTORS, 0, s->bar, TABLE, PBA, error);
}

static void sender_unrealize(Device *dev)
{
    region_free(((Sender *)dev)->bar);
}

static const Prop props[] = { PCI_PROPS(Sender), { 0 } };
static const DeviceType sender_type = {
    .name = "sender", .bus = "pci", .size = sizeof(Sender), .props = props,
    .realize = sender_realize, .unrealize = sender_unrealize,
};

static PciDevice *pci;

static uint32_t get(unsigned offset, unsigned size)
{
    return pci_config_read(rig_pci(), 0, pci->devfn, offset, size);
}

static void put(unsigned offset, uint32_t value, unsigned size)
{
    pci_config_write(rig_pci(), 0, pci->devfn, offset, value, size);
}

static void start(void)
{
    device_reset(&pci->dev);
    put(0x10, BAR, 4);
    put(4, 6, 2);
    memset(rig_ram() + MAILBOX, 0, 64);
}

/* Vector n writes 100 + n to the mailbox's nth doubleword. */
static void program_table(void)
{
    for (int n = 0; n < VECTORS; n++) {
        rig_store(BAR + TABLE + n * 16, MAILBOX + n * 4, 4);
        rig_store(BAR + TABLE + n * 16 + 8, 100 + n, 4);
        rig_store(BAR + TABLE + n * 16 + 12, 0, 4);
    }
}

static uint32_t mail(int n)
{
    uint32_t value = load_le32(rig_ram() + MAILBOX + n * 4);

    store_le32(rig_ram() + MAILBOX + n * 4, 0);
    return value;
}

static void msi_data_tells_the_vector(void)
{
    start();
    put(pci->msi_cap + 4, MAILBOX, 4);
    put(pci->msi_cap + 12, 0x1230, 2);
    pci_msi_notify(pci, 1);
    g_assert_cmphex(mail(0), ==, 0); /* not enabled */
    put(pci->msi_cap + 2, 1 | 2 << 4, 2);
    pci_msi_notify(pci, 3);
    g_assert_cmphex(mail(0), ==, 0x1233);
    put(pci->msi_cap + 2, 1 | 1 << 4, 2); /* two of four granted */
    pci_msi_notify(pci, 3);
    g_assert_cmphex(mail(0), ==, 0x1231);
    put(pci->msi_cap + 2, 1 | 7 << 4, 2); /* more than there are */
    pci_msi_notify(pci, 31);
    g_assert_cmphex(mail(0), ==, 0x1233);
}

static void the_wire_is_low_while_messages_are_on(void)
{
    start();
    pci_set_intx(pci, true);
    g_assert_true(rig_pci_irq());
    put(pci->msi_cap + 2, 1, 2);
    g_assert_false(rig_pci_irq());
    put(pci->msi_cap + 2, 0, 2);
    g_assert_true(rig_pci_irq());
    put(pci->msix_cap + 2, 0x8000, 2);
    g_assert_false(rig_pci_irq());
    pci_set_intx(pci, false);
}

static void msix_entries_are_messages(void)
{
    start();
    g_assert_cmphex(get(pci->msix_cap + 2, 2), ==, VECTORS - 1);
    g_assert_cmphex(get(pci->msix_cap + 4, 4), ==, TABLE);
    g_assert_cmphex(get(pci->msix_cap + 8, 4), ==, PBA);
    program_table();
    pci_msix_notify(pci, 2);
    g_assert_cmphex(mail(2), ==, 0);
    put(pci->msix_cap + 2, 0x8000, 2);
    pci_msix_notify(pci, 2);
    pci_msix_notify(pci, VECTORS);
    pci_msix_notify(pci, UINT32_MAX);
    g_assert_cmphex(mail(2), ==, 102);
    g_assert_cmphex(mail(1), ==, 0);
}

static void masked_vectors_wait(void)
{
    start();
    program_table();
    put(pci->msix_cap + 2, 0xc000, 2); /* all masked */
    pci_msix_notify(pci, 1);
    pci_msix_notify(pci, 4);
    g_assert_cmphex(rig_load(BAR + PBA, 4), ==, 0x12);
    rig_store(BAR + PBA, 0, 4); /* read-only */
    rig_store(BAR + TABLE + 4 * 16 + 12, 1, 4);
    put(pci->msix_cap + 2, 0x8000, 2);
    g_assert_cmphex(mail(1), ==, 101);
    g_assert_cmphex(rig_load(BAR + PBA, 4), ==, 0x10);
    g_assert_cmphex(mail(4), ==, 0);
    rig_store(BAR + TABLE + 4 * 16 + 12, 0, 4);
    g_assert_cmphex(mail(4), ==, 104);
    g_assert_cmphex(rig_load(BAR + PBA, 4), ==, 0);
}

/* ---- an engine that takes messages from eventfds ---- */

enum { APIC = 0xfee00000, LAST_ROUTE = 25 };

static int connected_fd = -1, routes = 24;
static uint32_t connected_data;

static int connect_wire(int fd, uint64_t address, uint32_t data)
{
    if (routes == LAST_ROUTE) {
        return -1;
    }
    g_assert_cmphex(address, ==, APIC);
    connected_fd = fd;
    connected_data = data;
    return routes++;
}

static void disconnect_wire(int route, int fd)
{
    g_assert_cmpint(route, ==, routes - 1);
    g_assert_cmpint(fd, ==, connected_fd);
    connected_fd = -1;
    routes--;
}

static const IrqchipOps wiring_chip = { .connect = connect_wire, .disconnect = disconnect_wire };

static uint64_t arrived(void)
{
    eventfd_t count = 0;

    eventfd_read(connected_fd, &count);
    return count;
}

static void program_wire(int n, uint32_t address, uint32_t control)
{
    rig_store(BAR + TABLE + n * 16, address, 4);
    rig_store(BAR + TABLE + n * 16 + 8, 200 + n, 4);
    rig_store(BAR + TABLE + n * 16 + 12, control, 4);
}

static void start_wired(void)
{
    start();
    pci_msix_want_wires(pci);
    irqchip_switch(&wiring_chip);
    put(pci->msix_cap + 2, 0x8000, 2);
}

static void an_open_vector_has_a_wire(void)
{
    start_wired();
    g_assert_false(pci_msix_send(pci, 1));
    program_wire(1, APIC, 0);
    g_assert_cmpint(connected_data, ==, 201);
    g_assert_true(pci_msix_send(pci, 1));
    g_assert_cmpint(arrived(), ==, 1);
    rig_store(BAR + TABLE + 16 + 8, 0x77, 4); /* rewritten though open */
    g_assert_cmphex(connected_data, ==, 0x77);
    g_assert_false(pci_msix_send(pci, VECTORS));
    program_wire(2, APIC, 0); /* the engine has no route left */
    g_assert_false(pci_msix_send(pci, 2));
    irqchip_switch(NULL);
}

static void what_ends_a_wire(void)
{
    start_wired();
    program_wire(1, APIC, 0);
    put(pci->msix_cap + 2, 0xc000, 2);
    g_assert_false(pci_msix_send(pci, 1));
    put(pci->msix_cap + 2, 0x8000, 2);
    g_assert_true(pci_msix_send(pci, 1));
    put(4, 2, 2); /* no master of the bus */
    g_assert_false(pci_msix_send(pci, 1));
    put(4, 6, 2);
    program_wire(1, MAILBOX, 0); /* memory, which is no interrupt controller's */
    g_assert_false(pci_msix_send(pci, 1));
    program_wire(1, APIC, 0);
    irqchip_switch(NULL);
    g_assert_cmpint(connected_fd, ==, -1);
    irqchip_switch(&wiring_chip);
    g_assert_true(pci_msix_send(pci, 1));
    device_reset(&pci->dev);
    g_assert_cmpint(connected_fd, ==, -1);
    irqchip_switch(NULL);
}

/* A thread may write at the moment in which the guest masks its vector. */
static void what_comes_too_late_is_pending(void)
{
    int fd;

    start_wired();
    program_wire(1, APIC, 0);
    fd = connected_fd;
    program_wire(1, APIC, 1);
    eventfd_write(fd, 1);
    main_loop_step(false);
    g_assert_cmphex(rig_load(BAR + PBA, 4), ==, 2);
    rig_store(BAR + PBA, 0, 4);
    start_wired();
    program_wire(1, APIC, 1);
    eventfd_write(fd, 1);
    rig_save_and_load(&pci->dev); /* also if nobody had the time to look */
    g_assert_cmphex(rig_load(BAR + PBA, 4), ==, 2);
    irqchip_switch(NULL);
}

static void reset_masks_all(void)
{
    start();
    program_table();
    put(pci->msix_cap + 2, 0x8000, 2);
    start();
    g_assert_cmphex(get(pci->msix_cap + 2, 2), ==, VECTORS - 1);
    g_assert_cmphex(rig_load(BAR + TABLE + 12, 4), ==, 1);
    g_assert_cmphex(rig_load(BAR + TABLE, 4), ==, 0);
}

static void a_snapshot_keeps_table_and_pending_bits(void)
{
    start();
    program_table();
    put(pci->msix_cap + 2, 0xc000, 2);
    pci_msix_notify(pci, 3);
    rig_save_and_load(&pci->dev);
    g_assert_cmphex(rig_load(BAR + PBA, 4), ==, 8);
    put(pci->msix_cap + 2, 0x8000, 2);
    g_assert_cmphex(mail(3), ==, 103);
}

static void a_damaged_snapshot_is_refused(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();

    start();
    device_save(&pci->dev, file);
    g_key_file_set_string(file, pci->dev.id, "pci.msix", "1 2 3");
    g_assert_false(device_load(&pci->dev, file, NULL));
    g_assert_false(pci_msix_enabled(pci));
}

static void wrong_numbers_of_vectors_are_refused(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(pci_msi_init(pci, 3, true, &error));
    g_assert_nonnull(error);
    g_assert_false(pci_msix_init(pci, 4096, 0, ((Sender *)pci)->bar, 0, 0, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    pci = (PciDevice *)device_new(&sender_type, "sender");
    g_assert_true(device_realize(&pci->dev, pci_bus_bus(rig_pci()), NULL));
#define ADD(fn) g_test_add_func("/msi/" #fn, fn)
    ADD(msi_data_tells_the_vector);
    ADD(the_wire_is_low_while_messages_are_on);
    ADD(msix_entries_are_messages);
    ADD(masked_vectors_wait);
    ADD(an_open_vector_has_a_wire);
    ADD(what_ends_a_wire);
    ADD(what_comes_too_late_is_pending);
    ADD(reset_masks_all);
    ADD(a_snapshot_keeps_table_and_pending_bits);
    ADD(a_damaged_snapshot_is_refused);
    ADD(wrong_numbers_of_vectors_are_refused);
    return g_test_run();
}
