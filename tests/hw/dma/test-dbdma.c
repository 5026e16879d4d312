/* Descriptor-based DMA: programs of descriptors, by themselves and for the disk of a macio. */
#include "hw/dma/dbdma.h"
#include "core/clock.h"
#include "hw/ide/macio_ide.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <string.h>

#define DMA 0x80000000u
#define IDE 0x80010000u
enum { DISK_CHANNEL = 0x16, OTHER_CHANNEL = 3, PROGRAM = 0x1000, DATA = 0x10000 };
enum { CONTROL = 0, STATUS = 4, POINTER = 0x0c };
enum { INPUT_MORE = 2 << 12, INPUT_LAST = 3 << 12, OUTPUT_LAST = 1 << 12, STORE = 4 << 12, NOP = 6 << 12, STOP = 7 << 12 };
enum { INTERRUPT = 0x30, BRANCH = 0x0c, SYSTEM = 6 << 8 };
enum { RUN = 0x8000, DEAD = 0x800, ACTIVE = 0x400 };

static Device *dbdma, *ide;
static int interrupts;
static bool disk_irq;

static void dma_irq(void *opaque, int n, bool level)
{
    interrupts += level;
}

static void ide_irq(void *opaque, int n, bool level)
{
    disk_irq = level;
}

static uint32_t get(int channel, int reg)
{
    return rig_load(DMA + channel * 0x80 + reg, 4);
}

static void set(int channel, int reg, uint32_t value)
{
    rig_store(DMA + channel * 0x80 + reg, value, 4);
}

static void put(int n, unsigned command, unsigned count, uint32_t address, uint32_t depend)
{
    uint8_t *d = rig_ram() + PROGRAM + n * 16;

    store_le16(d, count);
    store_le16(d + 2, command);
    store_le32(d + 4, address);
    store_le32(d + 8, depend);
    store_le32(d + 12, 0);
}

static void go(int channel)
{
    interrupts = 0;
    set(channel, CONTROL, 0xff000000);
    set(channel, POINTER, PROGRAM);
    set(channel, CONTROL, (uint32_t)RUN << 16 | RUN);
}

static void words_are_stored_and_jumps_taken(void)
{
    put(0, STORE | SYSTEM | INTERRUPT, 4, DATA, 0x12345678);
    put(1, NOP | BRANCH, 0, 0, PROGRAM + 3 * 16);
    put(2, STORE | SYSTEM, 4, DATA, 0);
    put(3, STOP, 0, 0, 0);
    go(OTHER_CHANNEL);
    g_assert_cmphex(load_le32(rig_ram() + DATA), ==, 0x12345678);
    g_assert_cmphex(get(OTHER_CHANNEL, STATUS) & (RUN | ACTIVE | DEAD), ==, RUN);
    g_assert_cmpint(interrupts, ==, 1);
    g_assert_cmphex(load_le16(rig_ram() + PROGRAM + 14) & RUN, ==, RUN);
}

static void nonsense_kills_the_channel_alone(void)
{
    put(0, 0xf << 12, 0, 0, 0);
    go(OTHER_CHANNEL);
    g_assert_cmphex(get(OTHER_CHANNEL, STATUS) & (RUN | ACTIVE | DEAD), ==, RUN | DEAD);
    set(OTHER_CHANNEL, CONTROL, (uint32_t)RUN << 16);
    g_assert_cmphex(get(OTHER_CHANNEL, STATUS) & (RUN | DEAD), ==, 0);
}

static void a_circle_does_not_last_for_ever(void)
{
    put(0, NOP | BRANCH, 0, 0, PROGRAM);
    go(OTHER_CHANNEL);
    rig_run(10 * NS_PER_MS);
    g_assert_cmphex(get(OTHER_CHANNEL, STATUS) & ACTIVE, ==, ACTIVE);
    put(0, STOP, 0, 0, 0);
    rig_run(10 * NS_PER_MS);
    g_assert_cmphex(get(OTHER_CHANNEL, STATUS) & ACTIVE, ==, 0);
}

/* Each store sets the channel that makes it going: it goes on where it is, no deeper. */
static void a_program_that_starts_its_own_channel_comes_to_a_rest(void)
{
    put(0, STORE | SYSTEM, 4, DMA + OTHER_CHANNEL * 0x80 + CONTROL, (uint32_t)RUN << 16 | RUN);
    put(1, NOP | BRANCH, 0, 0, PROGRAM);
    go(OTHER_CHANNEL);
    rig_run(10 * NS_PER_MS);
    g_assert_cmphex(get(OTHER_CHANNEL, STATUS) & (ACTIVE | DEAD), ==, ACTIVE);
    put(0, STOP, 0, 0, 0);
    rig_run(10 * NS_PER_MS);
    g_assert_cmphex(get(OTHER_CHANNEL, STATUS) & ACTIVE, ==, 0);
}

static void a_program_may_start_another_channel(void)
{
    put(0, STORE | SYSTEM, 4, DMA + (OTHER_CHANNEL + 1) * 0x80 + CONTROL, (uint32_t)RUN << 16 | RUN);
    put(1, STOP, 0, 0, 0);
    put(8, STORE | SYSTEM, 4, DATA, 0x5678);
    put(9, STOP, 0, 0, 0);
    store_le32(rig_ram() + DATA, 0);
    set(OTHER_CHANNEL + 1, CONTROL, 0xff000000);
    set(OTHER_CHANNEL + 1, POINTER, PROGRAM + 8 * 16);
    go(OTHER_CHANNEL);
    rig_run(NS_PER_MS);
    g_assert_cmphex(load_le32(rig_ram() + DATA), ==, 0x5678);
    g_assert_cmphex(get(OTHER_CHANNEL + 1, STATUS) & (RUN | ACTIVE | DEAD), ==, RUN);
}

static void command(uint8_t code, unsigned sector, unsigned count)
{
    rig_store(IDE + 0x20, count, 1);
    rig_store(IDE + 0x30, sector, 1);
    rig_store(IDE + 0x40, sector >> 8, 1);
    rig_store(IDE + 0x50, 0, 1);
    rig_store(IDE + 0x60, 0xe0, 1);
    rig_store(IDE + 0x70, code, 1);
}

static void sectors_are_scattered(void)
{
    memset(rig_ram() + DATA, 0, 4096);
    put(0, INPUT_MORE, 700, DATA, 0);
    put(1, INPUT_LAST, 324, DATA + 2000, 0);
    put(2, STOP, 0, 0, 0);
    command(0xc8, 5, 2);
    go(DISK_CHANNEL);
    rig_run(NS_PER_MS);
    g_assert_true(disk_irq);
    g_assert_cmphex(rig_load(IDE + 0x70, 1), ==, 0x50);
    g_assert_false(disk_irq);
    g_assert_cmphex(get(DISK_CHANNEL, STATUS) & (RUN | ACTIVE | DEAD), ==, RUN);
    for (int i = 0; i < 1024; i++) {
        int at = i < 700 ? i : 2000 + i - 700;

        g_assert_cmphex(rig_ram()[DATA + at], ==, rig_pattern(5 + i / 512));
    }
    g_assert_cmphex(load_le32(rig_ram() + PROGRAM + 12) & 0xffff, ==, 0);
}

static void the_drive_waits_for_the_channel(void)
{
    memset(rig_ram() + DATA, 0xa5, 512);
    command(0xca, 9, 1);
    rig_run(NS_PER_MS);
    g_assert_false(disk_irq);
    put(0, OUTPUT_LAST, 512, DATA, 0);
    put(1, STOP, 0, 0, 0);
    go(DISK_CHANNEL);
    rig_run(NS_PER_MS);
    g_assert_true(disk_irq);
    memset(rig_ram() + DATA, 0, 512);
    put(0, INPUT_LAST, 512, DATA, 0);
    command(0xc8, 9, 1);
    go(DISK_CHANNEL);
    rig_run(NS_PER_MS);
    g_assert_cmphex(rig_ram()[DATA + 511], ==, 0xa5);
}

static void the_data_port_has_bytes_in_order(void)
{
    command(0xec, 0, 1);
    rig_run(0);
    for (int i = 0; i < 27; i++) {
        rig_load(IDE, 2);
    }
    g_assert_cmphex(rig_load(IDE, 2), !=, 0xffff);
    g_assert_cmphex(rig_load(IDE + 0x160, 1) & 8, ==, 8);
    rig_store(IDE + 0x160, 4, 1);
    rig_store(IDE + 0x160, 0, 1);
    rig_store(IDE + 0x200, 0x11223344, 4);
    rig_save_and_load(ide);
    g_assert_cmphex(rig_load(IDE + 0x200, 4), ==, 0x11223344);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    rig_drive("hd0", "ide", 0, 1 << 20, false, false);
    dbdma = rig_add("mac-dbdma", NULL);
    region_add(memory_system_root(), DMA, dbdma_region(dbdma));
    dbdma_connect(dbdma, OTHER_CHANNEL, NULL, NULL, line_new(dma_irq, NULL, 0));
    ide = device_new(&macio_ide_type, NULL);
    macio_ide_connect(ide, line_new(ide_irq, NULL, 0), dbdma, DISK_CHANNEL, line_new(dma_irq, NULL, 1));
    g_assert_true(device_realize(ide, NULL, NULL));
    device_reset(ide);
    region_add(memory_system_root(), IDE, macio_ide_region(ide));
#define ADD(fn) g_test_add_func("/dbdma/" #fn, fn)
    ADD(words_are_stored_and_jumps_taken);
    ADD(nonsense_kills_the_channel_alone);
    ADD(a_circle_does_not_last_for_ever);
    ADD(a_program_that_starts_its_own_channel_comes_to_a_rest);
    ADD(a_program_may_start_another_channel);
    ADD(sectors_are_scattered);
    ADD(the_drive_waits_for_the_channel);
    ADD(the_data_port_has_bytes_in_order);
    return g_test_run();
}
