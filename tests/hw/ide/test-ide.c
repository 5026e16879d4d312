/* Disks and CD-ROMs behind the PIIX3 controller: PIO, bus-master DMA and packets. */
#include "core/clock.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <string.h>

enum { BASE = 0x1f0, DATA = BASE, ERROR, COUNT, LBA0, LBA1, LBA2, SELECT, STATUS, COMMAND = STATUS,
       FEATURE = ERROR, CONTROL = 0x3f6 };
enum { ERR = 0x01, DRQ = 0x08, DSC = 0x10, READY = 0x40, BUSY = 0x80 };
enum { BM = 0xc000, BM_STATUS = BM + 2, BM_TABLE = BM + 4, PRD = 0x8000, BUFFER = 0x20000 };
enum { DISK = 0, CD = 1, DISK_SECTORS = 20 * 16 * 63, CD_SECTORS = 300 };

static Device *controller;
static BlockBackend *disk, *cd;
static int devfn;

static void start(int unit)
{
    device_reset(controller);
    pci_config_write(rig_pci(), 0, devfn, 0x20, BM, 4);
    pci_config_write(rig_pci(), 0, devfn, 0x04, 5, 2);
    rig_out8(SELECT, 0xe0 | unit << 4);
}

static void command28(uint8_t command, uint32_t lba, uint8_t count, int unit)
{
    rig_out8(SELECT, 0xe0 | unit << 4 | (lba >> 24 & 15));
    rig_out8(COUNT, count);
    rig_out8(LBA0, lba);
    rig_out8(LBA1, lba >> 8);
    rig_out8(LBA2, lba >> 16);
    rig_out8(COMMAND, command);
}

static void read_words(void *to, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i += 2) {
        store_le16((uint8_t *)to + i, rig_in16(DATA));
    }
}

static void write_words(const void *from, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i += 2) {
        rig_out16(DATA, load_le16((const uint8_t *)from + i));
    }
}

static bool interrupted(void)
{
    return rig_in8(BM_STATUS) & 4;
}

static void clear_interrupt(void)
{
    rig_in8(STATUS);
    rig_out8(BM_STATUS, 0x66);
}

static void identify_tells_size_and_name(void)
{
    uint8_t id[512];

    start(DISK);
    rig_out8(COMMAND, 0xec);
    rig_run(0);
    g_assert_cmphex(rig_in8(STATUS) & (BUSY | DRQ | ERR), ==, DRQ);
    read_words(id, 512);
    g_assert_cmphex(rig_in8(STATUS) & (BUSY | DRQ | ERR), ==, 0);
    g_assert_cmpuint(load_le32(id + 120), ==, DISK_SECTORS);
    g_assert_cmpuint(load_le32(id + 200), ==, DISK_SECTORS);
    g_assert_cmpuint(load_le16(id + 2), ==, 20);
    g_assert_cmpmem(id + 54, 4, "YMAN", 4);
}

static void pio_reads_several_sectors(void)
{
    uint8_t sector[512];

    start(DISK);
    clear_interrupt();
    command28(0x20, 1000, 3, DISK);
    for (int i = 0; i < 3; i++) {
        rig_run(0);
        g_assert_true(interrupted());
        g_assert_cmphex(rig_in8(STATUS) & (BUSY | DRQ), ==, DRQ);
        clear_interrupt();
        read_words(sector, 512);
        g_assert_cmphex(sector[0], ==, rig_pattern(1000 + i));
        g_assert_cmphex(sector[511], ==, rig_pattern(1000 + i));
    }
    rig_run(0);
    g_assert_false(interrupted());
    g_assert_cmphex(rig_in8(STATUS), ==, READY | DSC);
}

static void pio_writes_arrive(void)
{
    uint8_t out[1024], back[1024];

    start(DISK);
    for (int i = 0; i < 1024; i++) {
        out[i] = i * 13 + (i >> 8);
    }
    command28(0x30, 77, 2, DISK);
    for (int i = 0; i < 2; i++) {
        rig_run(0);
        g_assert_cmphex(rig_in8(STATUS) & (BUSY | DRQ), ==, DRQ);
        write_words(out + i * 512, 512);
    }
    rig_run(0);
    g_assert_cmphex(rig_in8(STATUS), ==, READY | DSC);
    g_assert_true(block_read_sync(disk, 77 * 512, back, 1024, NULL));
    g_assert_cmpmem(back, 1024, out, 1024);
}

static void geometry_addresses_are_the_same_sectors(void)
{
    uint8_t sector[512];

    start(DISK);
    rig_out8(SELECT, 0xa0 | 3); /* head 3 */
    rig_out8(COUNT, 1);
    rig_out8(LBA0, 5);
    rig_out8(LBA1, 2); /* cylinder 2 */
    rig_out8(LBA2, 0);
    rig_out8(COMMAND, 0x20);
    rig_run(0);
    read_words(sector, 512);
    g_assert_cmphex(sector[0], ==, rig_pattern((2 * 16 + 3) * 63 + 4));
}

static void past_the_end_is_not_found(void)
{
    start(DISK);
    command28(0x20, DISK_SECTORS, 1, DISK);
    rig_run(0);
    g_assert_cmphex(rig_in8(STATUS) & (BUSY | DRQ | ERR), ==, ERR);
    g_assert_cmphex(rig_in8(ERROR) & 0x14, !=, 0);
    rig_out8(COMMAND, 0x01); /* no command */
    rig_run(0);
    g_assert_cmphex(rig_in8(STATUS) & ERR, ==, ERR);
    g_assert_cmphex(rig_in8(ERROR), ==, 0x04);
}

/* Two pieces, the second ends the table. */
static void program_dma(bool to_memory, uint32_t size)
{
    rig_store(PRD, BUFFER, 4);
    rig_store(PRD + 4, 1024, 4);
    rig_store(PRD + 8, BUFFER + 0x10000, 4);
    rig_store(PRD + 12, (size - 1024) | 0x80000000, 4);
    rig_out8(BM, to_memory ? 8 : 0);
    rig_out32(BM_TABLE, PRD);
    rig_out8(BM_STATUS, 0x66);
}

static void run_dma(bool to_memory)
{
    rig_out8(BM, to_memory ? 9 : 1);
    rig_run(0);
    g_assert_cmphex(rig_in8(BM_STATUS) & 7, ==, 4);
    rig_out8(BM, 0);
    g_assert_cmphex(rig_in8(STATUS) & (BUSY | DRQ | ERR), ==, 0);
}

static void dma_scatters_what_it_reads(void)
{
    start(DISK);
    program_dma(true, 4096);
    command28(0xc8, 500, 8, DISK);
    run_dma(true);
    for (int i = 0; i < 8; i++) {
        uint32_t at = i < 2 ? BUFFER + i * 512 : BUFFER + 0x10000 + (i - 2) * 512;

        g_assert_cmphex(rig_ram()[at], ==, rig_pattern(500 + i));
        g_assert_cmphex(rig_ram()[at + 511], ==, rig_pattern(500 + i));
    }
}

static void dma_writes_with_48_bit_addresses(void)
{
    uint8_t back[2048];

    start(DISK);
    memset(rig_ram() + BUFFER, 0x11, 1024);
    memset(rig_ram() + BUFFER + 0x10000, 0x22, 1024);
    program_dma(false, 2048);
    for (int half = 0; half < 2; half++) { /* high-order bytes first */
        rig_out8(COUNT, half ? 4 : 0);
        rig_out8(LBA0, half ? 0x10 : 0);
        rig_out8(LBA1, half ? 0x27 : 0);
        rig_out8(LBA2, 0);
    }
    rig_out8(SELECT, 0xe0);
    rig_out8(COMMAND, 0x35);
    run_dma(false);
    g_assert_true(block_read_sync(disk, 10000 * 512, back, 2048, NULL));
    g_assert_cmphex(back[0], ==, 0x11);
    g_assert_cmphex(back[1023], ==, 0x11);
    g_assert_cmphex(back[1024], ==, 0x22);
    g_assert_cmphex(back[2047], ==, 0x22);
}

static void a_reset_shows_signatures(void)
{
    start(DISK);
    rig_out8(CONTROL, 0x04);
    rig_out8(CONTROL, 0x00);
    rig_run(10 * NS_PER_MS);
    rig_out8(SELECT, 0xa0);
    g_assert_cmphex(rig_in8(LBA1) | rig_in8(LBA2) << 8, ==, 0);
    rig_out8(SELECT, 0xb0);
    g_assert_cmphex(rig_in8(LBA1) | rig_in8(LBA2) << 8, ==, 0xeb14);
    rig_out8(COMMAND, 0xec); /* a packet drive refuses IDENTIFY DEVICE */
    rig_run(0);
    g_assert_cmphex(rig_in8(STATUS) & ERR, ==, ERR);
}

/* ---- packets ---- */

static int packet(const uint8_t cdb[12], uint8_t *answer, int size)
{
    int got = 0;

    rig_out8(SELECT, 0xa0 | CD << 4);
    rig_out8(FEATURE, 0);
    rig_out8(LBA1, 2048 & 0xff);
    rig_out8(LBA2, 2048 >> 8);
    rig_out8(COMMAND, 0xa0);
    rig_run(0);
    g_assert_cmphex(rig_in8(STATUS) & (BUSY | DRQ), ==, DRQ);
    g_assert_cmphex(rig_in8(COUNT) & 3, ==, 1);
    write_words(cdb, 12);
    for (;;) {
        int n;

        rig_run(0);
        if (!(rig_in8(STATUS) & DRQ)) {
            break;
        }
        g_assert_cmphex(rig_in8(COUNT) & 3, ==, 2);
        n = rig_in8(LBA1) | rig_in8(LBA2) << 8;
        g_assert_cmpint(got + n, <=, size);
        read_words(answer + got, n);
        got += n;
    }
    g_assert_cmphex(rig_in8(COUNT) & 3, ==, 3);
    return rig_in8(STATUS) & ERR ? -(rig_in8(ERROR) >> 4) : got;
}
#define PACKET(answer, ...) packet((const uint8_t[12]){ __VA_ARGS__ }, answer, sizeof(answer))

static void settle_cd(void)
{
    uint8_t sense[18];

    start(CD);
    for (int i = 0; i < 3 && PACKET(sense, 0) < 0; i++) {
        PACKET(sense, 0x03, 0, 0, 0, 18);
    }
}

static void a_cd_identifies_itself(void)
{
    uint8_t data[512];

    settle_cd();
    rig_out8(COMMAND, 0xa1);
    rig_run(0);
    g_assert_cmphex(rig_in8(STATUS) & (BUSY | DRQ), ==, DRQ);
    read_words(data, 512);
    g_assert_cmphex(load_le16(data) & 0xff00, ==, 0x8500);
    g_assert_cmpint(PACKET(data, 0x12, 0, 0, 0, 36), ==, 36);
    g_assert_cmphex(data[0], ==, 5);
    g_assert_cmphex(data[1], ==, 0x80);
}

static void a_cd_reads_its_sectors(void)
{
    uint8_t data[3 * 2048];

    settle_cd();
    g_assert_cmpint(PACKET(data, 0x25), ==, 8);
    g_assert_cmpuint(load_be32(data), ==, CD_SECTORS - 1);
    g_assert_cmpuint(load_be32(data + 4), ==, 2048);
    g_assert_cmpint(PACKET(data, 0x28, 0, 0, 0, 0, 20, 0, 0, 3), ==, 3 * 2048);
    for (int i = 0; i < 12; i++) {
        g_assert_cmphex(data[i * 512], ==, rig_pattern(20 * 4 + i));
    }
    g_assert_cmpint(PACKET(data, 0x28, 0, 0, 0, 1, 44, 0, 0, 1), ==, -5); /* sector 300 */
    g_assert_cmpint(PACKET(data, 0x03, 0, 0, 0, 18), ==, 18);
    g_assert_cmphex(data[2], ==, 5);
    g_assert_cmphex(data[12], ==, 0x21);
}

static void a_cd_reads_by_dma(void)
{
    const uint8_t cdb[12] = { 0xa8, 0, 0, 0, 0, 10, 0, 0, 0, 2 };

    settle_cd();
    program_dma(true, 4096);
    rig_out8(FEATURE, 1);
    rig_out8(COMMAND, 0xa0);
    rig_run(0);
    write_words(cdb, 12);
    run_dma(true);
    g_assert_cmphex(rig_ram()[BUFFER], ==, rig_pattern(40));
    g_assert_cmphex(rig_ram()[BUFFER + 0x10000 + 3071], ==, rig_pattern(47));
}

static void the_toc_has_a_track_and_the_end(void)
{
    uint8_t data[64];

    settle_cd();
    g_assert_cmpint(PACKET(data, 0x43, 0, 0, 0, 0, 0, 0, 0, 64), ==, 20);
    g_assert_cmpuint(load_be16(data), ==, 18);
    g_assert_cmpuint(data[2], ==, 1);
    g_assert_cmpuint(data[6], ==, 1);
    g_assert_cmpuint(load_be32(data + 8), ==, 0);
    g_assert_cmphex(data[14], ==, 0xaa);
    g_assert_cmpuint(load_be32(data + 16), ==, CD_SECTORS);
    g_assert_cmpint(PACKET(data, 0x43, 2, 0, 0, 0, 0, 0, 0, 64), ==, 20);
    g_assert_cmpuint(data[9] * 60 * 75 + data[10] * 75 + data[11], ==, 150);
}

static void an_empty_tray_is_not_ready_and_a_new_disc_is_news(void)
{
    uint8_t data[64];
    g_autoptr(GError) error = NULL;

    settle_cd();
    g_assert_true(block_eject(cd, true, NULL));
    for (int i = 0; i < 2; i++) {
        if (PACKET(data, 0x00) == -2) {
            break;
        }
    }
    g_assert_cmpint(PACKET(data, 0x28, 0, 0, 0, 0, 0, 0, 0, 1), ==, -2);
    PACKET(data, 0x03, 0, 0, 0, 18);
    g_assert_cmphex(data[12], ==, 0x3a);
    block_change(cd, rig_image(100 * 2048), "raw", true, &error);
    g_assert_no_error(error);
    g_assert_cmpint(PACKET(data, 0x00), ==, -6);
    PACKET(data, 0x03, 0, 0, 0, 18);
    g_assert_cmphex(data[12], ==, 0x28);
    g_assert_cmpint(PACKET(data, 0x00), ==, 0);
    g_assert_cmpint(PACKET(data, 0x25), ==, 8);
    g_assert_cmpuint(load_be32(data), ==, 99);
    block_change(cd, rig_image(CD_SECTORS * 2048), "raw", true, &error);
    g_assert_no_error(error);
}

static void a_locked_tray_does_not_open(void)
{
    uint8_t data[64];

    settle_cd();
    g_assert_cmpint(PACKET(data, 0x1e, 0, 0, 0, 1), ==, 0);
    g_assert_cmpint(PACKET(data, 0x1b, 0, 0, 0, 2), ==, -5);
    g_assert_false(block_eject(cd, false, NULL));
    g_assert_cmpint(PACKET(data, 0x1e, 0, 0, 0, 0), ==, 0);
    g_assert_cmpint(PACKET(data, 0x1b, 0, 0, 0, 2), ==, 0);
    g_assert_cmpint(PACKET(data, 0x00), ==, -2);
    g_assert_cmpint(PACKET(data, 0x1b, 0, 0, 0, 3), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    disk = rig_drive("hda", "ide", DISK, DISK_SECTORS * 512, false, false);
    cd = rig_drive("cd", "ide", CD, CD_SECTORS * 2048, true, true);
    controller = rig_add("piix3-ide", pci_bus_bus(rig_pci()));
    devfn = ((PciDevice *)controller)->devfn;
#define ADD(fn) g_test_add_func("/ide/" #fn, fn)
    ADD(identify_tells_size_and_name);
    ADD(pio_reads_several_sectors);
    ADD(pio_writes_arrive);
    ADD(geometry_addresses_are_the_same_sectors);
    ADD(past_the_end_is_not_found);
    ADD(dma_scatters_what_it_reads);
    ADD(dma_writes_with_48_bit_addresses);
    ADD(a_reset_shows_signatures);
    ADD(a_cd_identifies_itself);
    ADD(a_cd_reads_its_sectors);
    ADD(a_cd_reads_by_dma);
    ADD(the_toc_has_a_track_and_the_end);
    ADD(an_empty_tray_is_not_ready_and_a_new_disc_is_news);
    ADD(a_locked_tray_does_not_open);
    return g_test_run();
}
