/* The floppy controller as a driver sees it: registers, interrupt 6 and DMA channel 2. */
#include "core/clock.h"
#include "core/machine.h"
#include "hw/block/fdc.h"
#include "tests/hw/rig.h"

#include <string.h>

enum { DOR = 0x3f2, MSR = 0x3f4, DSR = 0x3f4, FIFO = 0x3f5, DIR_PORT = 0x3f7, CCR = 0x3f7 };
enum { READY = 0x80, TO_GUEST = 0x40, NO_DMA = 0x20, BUSY = 0x10 };
enum { TO_MEMORY = 0x46, FROM_MEMORY = 0x4a };
enum { IRQ = 6, BUFFER = 0x10000, SIZE_1440K = 2880 * 512 };
enum { READ = 0xe6, WRITE = 0x45, READ_ID = 0x4a, FORMAT = 0x4d };

static Device *fdc;
static BlockBackend *drive_a;
static uint8_t result[16];

static void send(int count, const uint8_t *bytes)
{
    for (int i = 0; i < count; i++) {
        g_assert_cmphex(rig_in8(MSR) & (READY | TO_GUEST), ==, READY);
        rig_out8(FIFO, bytes[i]);
    }
}
#define SEND(...) \
    send(sizeof((const uint8_t[]){ __VA_ARGS__ }), (const uint8_t[]){ __VA_ARGS__ })

static int receive(void)
{
    int n = 0;

    while ((rig_in8(MSR) & (READY | TO_GUEST)) == (READY | TO_GUEST) && n < 16) {
        result[n++] = rig_in8(FIFO);
    }
    return n;
}

static void program_dma(uint8_t mode, uint32_t addr, unsigned size)
{
    rig_out8(0x0a, 6);
    rig_out8(0x0c, 0);
    rig_out8(0x0b, mode);
    rig_out8(0x04, addr);
    rig_out8(0x04, addr >> 8);
    rig_out8(0x81, addr >> 16);
    rig_out8(0x05, size - 1);
    rig_out8(0x05, (size - 1) >> 8);
    rig_out8(0x0a, 2);
}

/* Out of reset, at 500 kbit/s, with the medium of a drive that has just stepped. */
static void start(void)
{
    block_eject(drive_a, true, NULL);
    device_reset(fdc);
    rig_out8(0x0a, 6);
    rig_out8(DOR, 0x1c);
    rig_run(NS_PER_MS);
    for (int i = 0; i < 4; i++) {
        SEND(0x08);
        g_assert_cmpint(receive(), ==, 2);
    }
    rig_out8(CCR, 0);
    SEND(0x03, 0xaf, 0x02);
    rig_irq_edges(IRQ);
}

static void insert(uint64_t size, bool readonly)
{
    g_autoptr(GError) error = NULL;

    block_change(drive_a, rig_image(size), "raw", readonly, &error);
    g_assert_no_error(error);
}

static void expect_result(uint8_t st0, uint8_t st1, uint8_t st2, uint8_t c, uint8_t h, uint8_t r)
{
    const uint8_t expected[7] = { st0, st1, st2, c, h, r, 2 };

    g_assert_true(rig_irq(IRQ));
    g_assert_cmpint(receive(), ==, 7);
    g_assert_cmpmem(result, 7, expected, 7);
    g_assert_false(rig_irq(IRQ));
    g_assert_cmphex(rig_in8(MSR), ==, READY);
}

static void reset_asks_for_four_senses(void)
{
    device_reset(fdc);
    g_assert_cmphex(rig_in8(MSR), ==, 0);
    rig_out8(DOR, 0x0c);
    g_assert_cmphex(rig_in8(MSR), ==, 0);
    g_assert_false(rig_irq(IRQ));
    rig_run(NS_PER_MS);
    g_assert_true(rig_irq(IRQ));
    for (int unit = 0; unit < 4; unit++) {
        SEND(0x08);
        g_assert_cmpint(receive(), ==, 2);
        g_assert_cmphex(result[0], ==, 0xc0 | unit);
        g_assert_false(rig_irq(IRQ));
    }
    SEND(0x08);
    g_assert_cmpint(receive(), ==, 1);
    g_assert_cmphex(result[0], ==, 0x80);
}

static void a_driver_recognizes_an_82077(void)
{
    start();
    SEND(0x0e);
    g_assert_cmpint(receive(), ==, 10);
    g_assert_cmphex(result[4], ==, 0xaf);
    SEND(0x13, 0, 0x57, 0);
    SEND(0x94);
    g_assert_cmpint(receive(), ==, 1);
    g_assert_cmphex(result[0], ==, 0x10);
    SEND(0x10);
    g_assert_cmpint(receive(), ==, 1);
    g_assert_cmphex(result[0], ==, 0x90);
    SEND(0x18); /* part id: of the 82078 */
    g_assert_cmpint(receive(), ==, 1);
    g_assert_cmphex(result[0], ==, 0x80);
    rig_out8(DSR, 0x80);
    rig_run(NS_PER_MS);
    SEND(0x0e);
    receive();
    g_assert_cmphex(result[8], ==, 0x57); /* locked */
    SEND(0x14);
    receive();
}

static void a_seek_ends_on_its_own(void)
{
    start();
    insert(SIZE_1440K, false);
    g_assert_cmphex(rig_in8(DIR_PORT), ==, 0x80);
    SEND(0x0f, 0, 5);
    g_assert_cmphex(rig_in8(MSR), ==, READY | 1);
    g_assert_false(rig_irq(IRQ));
    rig_run(10 * NS_PER_MS);
    g_assert_true(rig_irq(IRQ));
    SEND(0x08);
    g_assert_cmpint(receive(), ==, 2);
    g_assert_cmphex(result[0], ==, 0x20);
    g_assert_cmpint(result[1], ==, 5);
    g_assert_cmphex(rig_in8(DIR_PORT), ==, 0);
    SEND(0x07, 0);
    rig_run(10 * NS_PER_MS);
    SEND(0x08);
    receive();
    g_assert_cmpint(result[1], ==, 0);
    SEND(0x04, 0);
    g_assert_cmpint(receive(), ==, 1);
    g_assert_cmphex(result[0], ==, 0x38);
}

static void recalibrating_no_drive_fails(void)
{
    start();
    SEND(0x07, 2);
    rig_run(10 * NS_PER_MS);
    SEND(0x08);
    receive();
    g_assert_cmphex(result[0], ==, 0x72);
}

static void dma_reads_across_both_sides(void)
{
    start();
    insert(SIZE_1440K, false);
    program_dma(TO_MEMORY, BUFFER, 4 * 512);
    SEND(READ, 0, 2, 0, 17, 2, 18, 0x1b, 0xff);
    g_assert_cmphex(rig_in8(MSR), ==, BUSY);
    rig_run(NS_PER_MS);
    expect_result(0x04, 0, 0, 2, 1, 3); /* cylinder 2, sides 0 (17, 18) and 1 (1, 2) */
    for (int i = 0; i < 4; i++) {
        g_assert_cmphex(rig_ram()[BUFFER + i * 512 + 511], ==, rig_pattern(2 * 36 + 16 + i));
    }
}

static void the_terminal_count_may_come_within_a_sector(void)
{
    start();
    insert(SIZE_1440K, false);
    rig_ram()[BUFFER + 700] = 0xee;
    program_dma(TO_MEMORY, BUFFER, 700);
    SEND(READ, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    rig_run(NS_PER_MS);
    expect_result(0, 0, 0, 0, 0, 3);
    g_assert_cmphex(rig_ram()[BUFFER + 699], ==, rig_pattern(1));
    g_assert_cmphex(rig_ram()[BUFFER + 700], ==, 0xee);
}

static void more_than_a_cylinder_is_an_error(void)
{
    start();
    insert(SIZE_1440K, false);
    program_dma(TO_MEMORY, BUFFER, 4 * 512);
    SEND(READ & ~0x80, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
    rig_run(NS_PER_MS);
    expect_result(0x40, 0x80, 0, 0, 0, 18);
}

static void written_sectors_come_back(void)
{
    uint8_t back[1024];

    start();
    insert(SIZE_1440K, false);
    memset(rig_ram() + BUFFER, 0xa5, 1024);
    rig_ram()[BUFFER + 1023] = 0x5a;
    program_dma(FROM_MEMORY, BUFFER, 1024);
    SEND(WRITE, 4, 1, 1, 18, 2, 18, 0x1b, 0xff); /* there is no second sector */
    rig_run(NS_PER_MS);
    expect_result(0x44, 0x80, 0, 1, 1, 18);
    program_dma(FROM_MEMORY, BUFFER, 1024);
    SEND(WRITE, 4, 79, 1, 17, 2, 18, 0x1b, 0xff);
    rig_run(NS_PER_MS);
    expect_result(0x04, 0, 0, 80, 1, 1);
    g_assert_true(block_read_sync(drive_a, 2878 * 512, back, 1024, NULL));
    g_assert_cmpmem(back, 1024, rig_ram() + BUFFER, 1024);
    g_assert_true(block_read_sync(drive_a, 71 * 512, back, 512, NULL));
    g_assert_cmpmem(back, 512, rig_ram() + BUFFER, 512);
}

static void a_protected_medium_refuses_writes(void)
{
    start();
    insert(SIZE_1440K, true);
    SEND(0x04, 0);
    receive();
    g_assert_cmphex(result[0], ==, 0x78);
    SEND(WRITE, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    rig_run(NS_PER_MS);
    expect_result(0x40, 0x02, 0, 0, 0, 1);
}

static void without_dma_bytes_go_through_the_fifo(void)
{
    start();
    insert(SIZE_1440K, false);
    SEND(0x03, 0xaf, 0x03);
    SEND(READ, 0, 0, 0, 5, 2, 5, 0x1b, 0xff);
    for (int sector = 0; sector < 2; sector++) { /* 5 of side 0, then 1 of side 1 */
        rig_run(0);
        g_assert_cmphex(rig_in8(MSR), ==, READY | TO_GUEST | NO_DMA | BUSY);
        g_assert_true(rig_irq(IRQ));
        rig_irq_edges(IRQ);
        for (int i = 0; i < 512; i++) {
            g_assert_cmphex(rig_in8(FIFO), ==, rig_pattern(sector ? 18 : 4));
        }
        g_assert_cmpint(rig_irq_edges(IRQ), ==, 511);
    }
    rig_out8(DSR, 0x80);
    g_assert_false(rig_irq(IRQ));
    rig_run(NS_PER_MS);
    start();
    insert(SIZE_1440K, false);
    SEND(0x03, 0xaf, 0x03);
    SEND(WRITE, 0, 0, 0, 1, 2, 1, 0x1b, 0xff);
    for (int i = 0; i < 512; i++) {
        g_assert_cmphex(rig_in8(MSR), ==, READY | NO_DMA | BUSY);
        rig_out8(FIFO, 0x77);
    }
    rig_run(0);
    g_assert_cmphex(rig_in8(MSR), ==, NO_DMA | BUSY);
    rig_run(2 * NS_PER_MS);
    expect_result(0x40, 0x80, 0, 0, 0, 1);
}

static void the_fifo_asks_once_for_many_bytes(void)
{
    start();
    insert(SIZE_1440K, false);
    SEND(0x03, 0xaf, 0x03);
    SEND(0x13, 0, 0x07, 0);
    SEND(READ, 0, 0, 0, 5, 2, 5, 0x1b, 0xff);
    rig_run(0);
    rig_irq_edges(IRQ);
    for (int i = 0; i < 512; i++) {
        if (i == 8) { /* the driver waits for the next interrupt */
            g_assert_cmpint(rig_irq_edges(IRQ), ==, 0);
            rig_run(3 * NS_PER_MS);
            g_assert_cmpint(rig_irq_edges(IRQ), ==, 1);
        }
        g_assert_cmphex(rig_in8(FIFO), ==, rig_pattern(4));
    }
    g_assert_cmpint(rig_irq_edges(IRQ), ==, 0);
    rig_run(0); /* the sector of the other side waits in the FIFO; nobody takes it */
    g_assert_cmphex(rig_in8(MSR), ==, READY | TO_GUEST | NO_DMA | BUSY);
    rig_run(60 * NS_PER_MS);
    g_assert_cmpint(rig_irq_edges(IRQ), ==, 26);
    expect_result(0x44, 0x10, 0, 0, 1, 1);
}

static void deleted_sectors_are_told_apart(void)
{
    start();
    insert(SIZE_1440K, false);
    memset(rig_ram() + BUFFER, 0xd1, 512);
    program_dma(FROM_MEMORY, BUFFER, 512);
    SEND(0x49, 0, 1, 0, 2, 2, 18, 0x1b, 0xff); /* WRITE DELETED DATA */
    rig_run(NS_PER_MS);
    expect_result(0, 0, 0, 1, 0, 3);
    program_dma(TO_MEMORY, BUFFER, 3 * 512);
    SEND(0x46, 0, 1, 0, 1, 2, 18, 0x1b, 0xff); /* reads the deleted sector, and stops after it */
    rig_run(NS_PER_MS);
    expect_result(0, 0, 0x40, 1, 0, 3);
    g_assert_cmphex(rig_ram()[BUFFER + 512], ==, 0xd1);
    rig_save_and_load(fdc);
    program_dma(TO_MEMORY, BUFFER, 2 * 512);
    SEND(0x66, 0, 1, 0, 1, 2, 18, 0x1b, 0xff); /* skips it */
    rig_run(NS_PER_MS);
    expect_result(0, 0, 0x40, 1, 0, 4);
    g_assert_cmphex(rig_ram()[BUFFER + 512], ==, rig_pattern(36 + 2));
    program_dma(TO_MEMORY, BUFFER, 512);
    SEND(0x6c, 0, 1, 0, 1, 2, 18, 0x1b, 0xff); /* READ DELETED DATA skips the others */
    rig_run(NS_PER_MS);
    expect_result(0, 0, 0x40, 1, 0, 3);
    g_assert_cmphex(rig_ram()[BUFFER], ==, 0xd1);
    program_dma(TO_MEMORY, BUFFER, 512);
    SEND(0x6c, 0, 1, 0, 3, 2, 18, 0x1b, 0xff); /* there is no other one */
    rig_run(NS_PER_MS);
    expect_result(0x40, 0x80, 0x40, 1, 0, 18);
    program_dma(FROM_MEMORY, BUFFER, 512);
    SEND(WRITE, 0, 1, 0, 2, 2, 18, 0x1b, 0xff); /* a normal mark again */
    rig_run(NS_PER_MS);
    expect_result(0, 0, 0, 1, 0, 3);
    SEND(0x76, 0, 1, 0, 1, 2, 18, 0x1b, 0xff); /* VERIFY */
    rig_run(NS_PER_MS);
    expect_result(0, 0, 0, 2, 0, 1);
}

/* Sectors are filled with a number each: rig_pattern() of the sector. */
static void scan(uint8_t opcode, uint8_t value, uint8_t step, uint8_t st2, uint8_t sector)
{
    memset(rig_ram() + BUFFER, value, 18 * 512);
    program_dma(FROM_MEMORY, BUFFER, 18 * 512);
    SEND(opcode, 0, 0, 0, 1, 2, 9, 0x1b, step);
    rig_run(10 * NS_PER_MS);
    expect_result(0, 0, st2, 0, 0, sector);
}

static void scans_look_for_a_sector(void)
{
    uint8_t first = rig_pattern(0), fifth = rig_pattern(4), ninth = rig_pattern(8);

    start();
    insert(SIZE_1440K, false);
    scan(0x51, fifth, 1, 0x08, 5);
    scan(0x51, fifth, 2, 0x08, 5);
    scan(0x51, rig_pattern(1), 2, 0x04, 9); /* passes the even ones */
    scan(0x51, ninth + 1, 1, 0x04, 9);
    scan(0x51, 0xff, 1, 0x08, 1); /* goes with everything */
    scan(0x59, fifth, 1, 0x00, 1);
    scan(0x59, first, 1, 0x08, 1);
    scan(0x59, first - 1, 1, 0x04, 9);
    scan(0x5d, fifth, 1, 0x08, 5);
    scan(0x5d, ninth + 1, 1, 0x04, 9);
    program_dma(FROM_MEMORY, BUFFER, 100); /* fewer bytes than a sector */
    memset(rig_ram() + BUFFER, first, 100);
    SEND(0x51, 0, 0, 0, 1, 2, 9, 0x1b, 1);
    rig_run(NS_PER_MS);
    expect_result(0, 0, 0x08, 0, 0, 1);
}

static void read_id_needs_the_right_rate(void)
{
    start();
    insert(SIZE_1440K / 2, false);
    SEND(READ_ID, 0);
    rig_run(NS_PER_MS);
    g_assert_cmpint(receive(), ==, 7);
    g_assert_cmphex(result[0], ==, 0x40);
    g_assert_cmphex(result[1], ==, 0x01);
    rig_out8(CCR, 2);
    SEND(READ_ID, 4);
    rig_run(NS_PER_MS);
    g_assert_cmpint(receive(), ==, 7);
    g_assert_cmphex(result[0], ==, 0x04);
    g_assert_cmpint(result[4], ==, 1);
    g_assert_cmpint(result[5], >=, 1);
    g_assert_cmpint(result[5], <=, 9);
}

static void no_medium_has_no_address_marks(void)
{
    start();
    SEND(READ_ID, 0);
    rig_run(NS_PER_MS);
    g_assert_cmpint(receive(), ==, 7);
    g_assert_cmphex(result[0], ==, 0x40);
    SEND(READ, 1, 0, 0, 1, 2, 18, 0x1b, 0xff); /* no such drive */
    rig_run(NS_PER_MS);
    expect_result(0x41, 0x01, 0, 0, 0, 1);
}

static void formatting_fills_the_track(void)
{
    uint8_t back[512];

    start();
    insert(SIZE_1440K, false);
    SEND(0x0f, 4, 3);
    rig_run(10 * NS_PER_MS);
    SEND(0x08);
    receive();
    for (int i = 0; i < 18; i++) {
        const uint8_t id[4] = { 3, 1, i * 5 % 18 + 1, 2 }; /* any order */

        memcpy(rig_ram() + BUFFER + i * 4, id, 4);
    }
    program_dma(FROM_MEMORY, BUFFER, 72);
    SEND(FORMAT, 4, 2, 18, 0x54, 0xf6);
    rig_run(NS_PER_MS);
    g_assert_true(rig_irq(IRQ));
    g_assert_cmpint(receive(), ==, 7);
    g_assert_cmphex(result[0], ==, 4);
    for (int i = 0; i < 18; i++) {
        g_assert_true(block_read_sync(drive_a, (3 * 36 + 18 + i) * 512, back, 512, NULL));
        g_assert_cmphex(back[0], ==, 0xf6);
    }
    g_assert_true(block_read_sync(drive_a, (3 * 36 + 17) * 512, back, 512, NULL));
    g_assert_cmphex(back[0], ==, rig_pattern(3 * 36 + 17));
}

static void sizes_choose_the_geometry(void)
{
    static const struct {
        int sectors, per_track, heads, rate;
    } kinds[] = { { 5760, 36, 2, 3 }, { 2880, 18, 2, 0 }, { 2400, 15, 2, 0 }, { 1440, 9, 2, 2 },
                  { 720, 9, 2, 1 },   { 640, 8, 2, 1 },   { 360, 9, 1, 1 },   { 320, 8, 1, 1 },   { 2532, 18, 2, 0 },
                  { 3360, 21, 2, 0 } };

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        start();
        insert(kinds[i].sectors * 512, false);
        rig_out8(CCR, kinds[i].rate);
        program_dma(TO_MEMORY, BUFFER, 512);
        SEND(READ, 0, 1, 0, kinds[i].per_track, 2, kinds[i].per_track, 0x1b, 0xff);
        rig_run(NS_PER_MS);
        g_assert_cmpint(receive(), ==, 7);
        g_assert_cmphex(result[0] & 0xc0, ==, 0);
        g_assert_cmphex(rig_ram()[BUFFER], ==,
                        rig_pattern(kinds[i].heads * kinds[i].per_track + kinds[i].per_track - 1));
    }
}

static void a_reset_forgets_the_command_under_way(void)
{
    start();
    insert(SIZE_1440K, false);
    program_dma(TO_MEMORY, BUFFER, 512);
    SEND(READ, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    rig_out8(DOR, 0x18);
    rig_out8(DOR, 0x1c);
    rig_run(NS_PER_MS);
    for (int i = 0; i < 4; i++) {
        SEND(0x08);
        g_assert_cmpint(receive(), ==, 2);
    }
    g_assert_cmphex(rig_in8(MSR), ==, READY);
    program_dma(TO_MEMORY, BUFFER, 512);
    SEND(READ, 0, 0, 0, 9, 2, 18, 0x1b, 0xff);
    rig_run(NS_PER_MS);
    expect_result(0, 0, 0, 0, 0, 10);
    g_assert_cmphex(rig_ram()[BUFFER], ==, rig_pattern(8));
}

static void a_transfer_goes_on_after_a_snapshot(void)
{
    start();
    insert(SIZE_1440K, false);
    rig_out8(0x0a, 6);
    SEND(READ, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    rig_save_and_load(fdc); /* while the sector is fetched */
    rig_run(NS_PER_MS);
    rig_save_and_load(fdc); /* while it waits for the channel */
    program_dma(TO_MEMORY, BUFFER, 1024);
    rig_run(NS_PER_MS);
    expect_result(0, 0, 0, 0, 0, 3);
    g_assert_cmphex(rig_ram()[BUFFER], ==, rig_pattern(0));
    g_assert_cmphex(rig_ram()[BUFFER + 1023], ==, rig_pattern(1));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    machine_config.default_devices = true;
    drive_a = rig_drive("floppy0", "floppy", 0, 0, false, false);
    fdc = rig_add("isa-fdc", rig_isa());
    g_assert_cmpint(fdc_drive_type(fdc, 0), ==, FLOPPY_1440K);
    g_assert_cmpint(fdc_drive_type(fdc, 1), ==, FLOPPY_NONE);
#define ADD(fn) g_test_add_func("/fdc/" #fn, fn)
    ADD(reset_asks_for_four_senses);
    ADD(a_driver_recognizes_an_82077);
    ADD(a_seek_ends_on_its_own);
    ADD(recalibrating_no_drive_fails);
    ADD(dma_reads_across_both_sides);
    ADD(the_terminal_count_may_come_within_a_sector);
    ADD(more_than_a_cylinder_is_an_error);
    ADD(written_sectors_come_back);
    ADD(a_protected_medium_refuses_writes);
    ADD(without_dma_bytes_go_through_the_fifo);
    ADD(the_fifo_asks_once_for_many_bytes);
    ADD(deleted_sectors_are_told_apart);
    ADD(scans_look_for_a_sector);
    ADD(read_id_needs_the_right_rate);
    ADD(no_medium_has_no_address_marks);
    ADD(formatting_fills_the_track);
    ADD(sizes_choose_the_geometry);
    ADD(a_reset_forgets_the_command_under_way);
    ADD(a_transfer_goes_on_after_a_snapshot);
    return g_test_run();
}
