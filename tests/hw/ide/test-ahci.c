/* AHCI: queued commands whose port is stopped and started while they are under way. */
#include "core/mainloop.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <string.h>

enum { BAR = 0xc0000000, PORT = BAR + 0x100, CLB = 0x00, FB = 0x08, CMD = 0x18, TFD = 0x20, SACT = 0x34, CI = 0x38 };
enum { START = 1, RECEIVE = 1 << 4, RUNNING = 1 << 15 };
enum { LIST = 0x10000, RECEIVED = 0x11000, TABLES = 0x20000, FIRST = 0x40000, SECOND = 0x80000, READ_QUEUED = 0x60 };
enum { TRAP = 0xd0000000, PIECES = 40, DISK_SECTORS = 20 * 16 * 63 };

static Device *controller, *bridge, *behind;
static bool sprung = true;
static int devfn;

static uint32_t get(unsigned offset)
{
    return rig_load(PORT + offset, 4);
}

static void put(unsigned offset, uint32_t value)
{
    rig_store(PORT + offset, value, 4);
}

static void start(void)
{
    device_reset(controller);
    memset(rig_ram(), 0, RIG_RAM);
    pci_config_write(rig_pci(), 0, devfn, 0x24, BAR, 4);
    pci_config_write(rig_pci(), 0, devfn, 0x04, 6, 2);
    put(CLB, LIST);
    put(FB, RECEIVED);
    put(CMD, START | RECEIVE);
}

/* A queued read of a sector for each piece, the pieces a page apart. */
static void issue_read(unsigned slot, uint32_t sector, uint32_t to, unsigned pieces)
{
    uint8_t *header = rig_ram() + LIST + slot * 32, *table = rig_ram() + TABLES + slot * 0x1000;
    const uint8_t fis[] = { 0x27, 0x80, READ_QUEUED, pieces, sector, sector >> 8, sector >> 16, 0x40, 0, 0, 0, 0, slot << 3 };

    store_le32(header, 5 | pieces << 16);
    store_le64(header + 8, TABLES + slot * 0x1000);
    memcpy(table, fis, sizeof(fis));
    for (unsigned i = 0; i < pieces; i++) {
        store_le64(table + 0x80 + i * 16, to + i * 0x1000);
        store_le32(table + 0x80 + i * 16 + 12, 511);
    }
    put(SACT, 1u << slot);
    put(CI, 1u << slot);
}

static void assert_read(uint32_t sector, uint32_t to, unsigned pieces)
{
    for (unsigned i = 0; i < pieces; i++) {
        g_assert_cmphex(rig_ram()[to + i * 0x1000], ==, rig_pattern(sector + i));
        g_assert_cmphex(rig_ram()[to + i * 0x1000 + 511], ==, rig_pattern(sector + i));
    }
}

static void write_trap(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    if (!sprung) {
        sprung = true;
        pci_config_write(rig_pci(), 0, ((PciDevice *)bridge)->devfn, 0x3e, 0x40, 2);
    }
}

static void queued_reads_arrive(void)
{
    start();
    issue_read(3, 100, FIRST, 2);
    issue_read(4, 200, SECOND, PIECES);
    g_assert_cmphex(get(CI), ==, 0);
    g_assert_cmphex(get(SACT), ==, 0x18);
    rig_run(0);
    g_assert_cmphex(get(SACT), ==, 0);
    assert_read(100, FIRST, 2);
    assert_read(200, SECOND, PIECES);
}

/* The list of the first is lent to the block layer until its end: the second must not be made in it before. */
static void a_slot_that_is_issued_again_waits_for_its_first_command(void)
{
    start();
    issue_read(3, 100, FIRST, 2);
    put(CMD, RECEIVE);
    g_assert_cmphex(get(SACT), ==, 0);
    g_assert_cmphex(get(CMD) & RUNNING, ==, RUNNING);
    put(CMD, START | RECEIVE);
    issue_read(3, 200, SECOND, PIECES);
    g_assert_cmphex(get(CI), ==, 8);
    g_assert_cmphex(get(SACT), ==, 8);
    rig_run(0);
    g_assert_cmphex(get(CI), ==, 0);
    g_assert_cmphex(get(SACT), ==, 0);
    assert_read(200, SECOND, PIECES);
    put(CMD, RECEIVE);
    g_assert_cmphex(get(CMD) & RUNNING, ==, 0);
}

static void a_reset_forgets_what_waits(void)
{
    start();
    issue_read(3, 100, FIRST, 2);
    put(CMD, RECEIVE);
    put(CMD, START | RECEIVE);
    issue_read(3, 200, SECOND, PIECES);
    device_reset(controller);
    rig_run(0);
    g_assert_cmphex(rig_ram()[SECOND], ==, 0);
}

/* The FIS that tells of the end goes over the register that resets the bus which the controller is on. */
static void complete_into_a_reset(void (*wait)(void))
{
    static const RegionOps ops = { NULL, write_trap, 4, 4, ENDIAN_LITTLE };
    Region *trap = region_new_io("trap", &ops, NULL, 0x1000);
    int number = ((PciDevice *)behind)->devfn;

    device_reset(bridge);
    device_reset(behind);
    memset(rig_ram(), 0, RIG_RAM);
    region_add(memory_system_root(), TRAP, trap);
    pci_config_write(rig_pci(), 0, ((PciDevice *)bridge)->devfn, 0x18, 0x010100, 4);
    pci_config_write(rig_pci(), 0, ((PciDevice *)bridge)->devfn, 0x20, BAR >> 16 | (BAR & 0xffff0000), 4);
    pci_config_write(rig_pci(), 0, ((PciDevice *)bridge)->devfn, 0x04, 6, 2);
    pci_config_write(rig_pci(), 1, number, 0x24, BAR, 4);
    pci_config_write(rig_pci(), 1, number, 0x04, 6, 2);
    put(CLB, LIST);
    put(FB, TRAP);
    put(CMD, START | RECEIVE);
    issue_read(3, 100, FIRST, 2);
    sprung = false;
    rig_run(0);
    g_assert_true(sprung);
    wait();
    assert_read(100, FIRST, 2);
    g_assert_cmphex(pci_config_read(rig_pci(), 1, number, 0x04, 2), ==, 0);
    pci_config_write(rig_pci(), 1, number, 0x24, BAR, 4);
    pci_config_write(rig_pci(), 1, number, 0x04, 6, 2);
    g_assert_cmphex(get(SACT), ==, 0);
    g_assert_cmphex(get(CMD) & START, ==, 0);
    region_remove(trap);
    region_free(trap);
}

static void step(void)
{
    main_loop_step(false);
}

static void a_completion_that_resets_its_bus_ends(void)
{
    complete_into_a_reset(step);
}

static void save(void)
{
    rig_save_and_load(bridge);
}

static void load_another(void)
{
    rig_save_and_load(bridge);
    pci_config_write(rig_pci(), 1, ((PciDevice *)behind)->devfn, 0x04, 6, 2);
    main_loop_step(false);
    g_assert_cmphex(pci_config_read(rig_pci(), 1, ((PciDevice *)behind)->devfn, 0x04, 2), ==, 6);
    pci_config_write(rig_pci(), 1, ((PciDevice *)behind)->devfn, 0x04, 0, 2);
}

static void a_snapshot_has_the_reset_that_waits(void)
{
    complete_into_a_reset(save);
    complete_into_a_reset(load_another);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    rig_drive("disk", "none", 0, DISK_SECTORS * 512, false, false);
    controller = rig_add("ich9-ahci,id=sata", pci_bus_bus(rig_pci()));
    devfn = ((PciDevice *)controller)->devfn;
    rig_add("ide-hd,drive=disk", bus_find("sata.0"));
    rig_drive("other", "none", 1, DISK_SECTORS * 512, false, false);
    bridge = rig_add("pci-bridge,id=b", pci_bus_bus(rig_pci()));
    behind = rig_add("ich9-ahci,id=ahci", bus_find("b"));
    rig_add("ide-hd,drive=other", bus_find("ahci.0"));
#define ADD(fn) g_test_add_func("/ahci/" #fn, fn)
    ADD(queued_reads_arrive);
    ADD(a_slot_that_is_issued_again_waits_for_its_first_command);
    ADD(a_reset_forgets_what_waits);
    ADD(a_completion_that_resets_its_bus_ends);
    ADD(a_snapshot_has_the_reset_that_waits);
    return g_test_run();
}
