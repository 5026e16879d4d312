/* Units on a SCSI bus behind an adapter that the test plays: commands in chunks and with scatter lists. */
#include "core/clock.h"
#include "hw/scsi/scsi.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <string.h>

enum { DISK_SECTORS = 4096, CD_SECTORS = 300 };

static ScsiBus *bus;
static BlockBackend *disk, *cd;

/* What the initiator has, and what came of it. */
static uint8_t host[512 * 1024];
static uint64_t host_moved;
static int status, cancelled;
static ScsiSense sense;
static uint64_t wanted;

static void move(ScsiRequest *r, ScsiDirection direction, uint8_t *data, uint32_t size)
{
    uint32_t n = MIN(size, sizeof(host) - host_moved);

    if (direction == SCSI_TO_HOST) {
        memcpy(host + host_moved, data, n);
    } else {
        memcpy(data, host + host_moved, n);
    }
    host_moved += n;
    scsi_request_continue(r);
}

static void complete(ScsiRequest *r)
{
    status = r->status;
    sense = r->sense;
    wanted = r->wanted;
    scsi_request_unref(r);
}

static void gone(ScsiRequest *r)
{
    cancelled++;
    scsi_request_unref(r);
}

static const ScsiHbaOps ops = {
    .channels = 1, .targets = 8, .luns = 8, .data = move, .complete = complete, .cancelled = gone,
};

static void run_list(const uint8_t cdb[16], const struct iovec *list, int count)
{
    ScsiRequest *r = scsi_request_new(bus, 0, 0, 0, 0, cdb, 0, NULL);

    r->list_direction = SCSI_TO_HOST;
    scsi_request_start(r, list, count);
    rig_run(0);
}

static int run_on(int target, int lun, const uint8_t cdb[16])
{
    status = -1;
    host_moved = 0;
    scsi_request_start(scsi_request_new(bus, 0, target, lun, 0, cdb, 0, NULL), NULL, -1);
    rig_run(0);
    return status;
}
#define CDB(...) ((const uint8_t[16]){ __VA_ARGS__ })
#define RUN(...) run_on(0, 0, CDB(__VA_ARGS__))
#define RUN_CD(...) run_on(1, 0, CDB(__VA_ARGS__))

static void settle(void)
{
    for (int target = 0; target < 2; target++) {
        for (int i = 0; i < 3; i++) {
            run_on(target, 0, CDB(0));
        }
    }
}

static void power_on_is_an_attention_that_inquiry_leaves(void)
{
    scsi_bus_reset(bus);
    g_assert_cmpint(RUN(0x12, 0, 0, 0, 36), ==, SCSI_GOOD);
    g_assert_cmpmem(host + 8, 21, "MYNA    MYNA HARDDISK", 21);
    g_assert_cmpint(RUN(0x00), ==, SCSI_CHECK_CONDITION);
    g_assert_cmpint(RUN(0x03, 0, 0, 0, 18), ==, SCSI_GOOD);
    g_assert_cmphex(host[0], ==, 0x70);
    g_assert_cmphex(host[2], ==, 6);
    g_assert_cmphex(host[12], ==, 0x29);
    g_assert_cmpint(RUN(0x00), ==, SCSI_GOOD);
}

static void units_that_are_not_there_say_so(void)
{
    g_assert_cmpint(run_on(0, 5, CDB(0x12, 0, 0, 0, 36)), ==, SCSI_GOOD);
    g_assert_cmphex(host[0], ==, 0x7f);
    g_assert_cmpint(run_on(0, 5, CDB(0x00)), ==, SCSI_CHECK_CONDITION);
    g_assert_cmphex(sense.asc, ==, 0x25);
    g_assert_true(scsi_target_exists(bus, 0, 1));
    g_assert_false(scsi_target_exists(bus, 0, 2));
    g_assert_cmpint(RUN(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64), ==, SCSI_GOOD);
    g_assert_cmpuint(load_be32(host), ==, 16); /* units 0 and 3 */
    g_assert_cmpuint(host[8 + 8 + 1], ==, 3);
}

static void reads_and_writes_move_the_blocks_they_name(void)
{
    uint8_t back[1024];

    settle();
    g_assert_cmpint(RUN(0x08, 0, 0, 100, 2), ==, SCSI_GOOD);
    g_assert_cmpuint(host_moved, ==, 1024);
    g_assert_cmphex(host[512], ==, rig_pattern(101));
    g_assert_cmpint(RUN(0x28, 0, 0, 0, 1, 0, 0, 3, 0), ==, SCSI_GOOD); /* 768 sectors: several chunks */
    g_assert_cmpuint(host_moved, ==, 768 * 512);
    for (int i = 0; i < 768; i++) {
        g_assert_cmphex(host[i * 512], ==, rig_pattern(256 + i));
    }
    memset(host, 0x5a, 1024);
    g_assert_cmpint(RUN(0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 200, 0, 0, 0, 2), ==, SCSI_GOOD);
    g_assert_true(block_read_sync(disk, 200 * 512, back, 1024, NULL));
    g_assert_cmphex(back[1023], ==, 0x5a);
    g_assert_cmpint(RUN(0x28, 0, 0, 0, 0x10, 0, 0, 0, 1), ==, SCSI_CHECK_CONDITION);
    g_assert_cmphex(sense.asc, ==, 0x21);
    g_assert_cmpint(RUN(0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), ==,
                    SCSI_CHECK_CONDITION);
}

static void scatter_lists_are_filled_straight(void)
{
    uint8_t a[700], b[324], c[64];
    struct iovec list[] = { { a, sizeof(a) }, { b, sizeof(b) }, { c, sizeof(c) } };

    settle();
    memset(c, 0xee, sizeof(c));
    run_list(CDB(0x28, 0, 0, 0, 0, 50, 0, 0, 2), list, 3);
    g_assert_cmpint(status, ==, SCSI_GOOD);
    g_assert_cmphex(a[511], ==, rig_pattern(50));
    g_assert_cmphex(b[323], ==, rig_pattern(51));
    g_assert_cmphex(c[0], ==, 0xee);
    run_list(CDB(0x28, 0, 0, 0, 0, 50, 0, 0, 4), list, 3);
    g_assert_cmpuint(wanted, ==, 2048); /* more than there is room for */
    g_assert_cmphex(c[0], ==, 0xee);
    run_list(CDB(0x2a, 0, 0, 0, 0, 50, 0, 0, 1), list, 3); /* a list to be filled is not what is written */
    g_assert_cmphex(sense.key, ==, 0);
    g_assert_cmpuint(wanted, ==, 512);
    run_list(CDB(0x28, 0, 0, 0, 0, 50, 0, 0, 1), list, 1);
    g_assert_cmphex(a[0], ==, rig_pattern(50));
    run_list(CDB(0x12, 0, 0, 0, 36), list + 2, 1);
    g_assert_cmpmem(c + 8, 4, "MYNA", 4);
}

static void verify_compares(void)
{
    settle();
    g_assert_cmpint(RUN(0x28, 0, 0, 0, 0, 8, 0, 0, 4), ==, SCSI_GOOD);
    g_assert_cmpint(RUN(0x2f, 2, 0, 0, 0, 8, 0, 0, 4), ==, SCSI_GOOD);
    host[1500] ^= 1;
    g_assert_cmpint(RUN(0x2f, 2, 0, 0, 0, 8, 0, 0, 4), ==, SCSI_CHECK_CONDITION);
    g_assert_cmphex(sense.key, ==, 14);
    g_assert_cmpint(RUN(0x2f, 0, 0, 0, 0, 8, 0, 2, 0), ==, SCSI_GOOD);
    g_assert_cmpuint(host_moved, ==, 0);
}

static void write_same_repeats_a_block_and_unmaps(void)
{
    uint8_t back[512];

    settle();
    for (int i = 0; i < 512; i++) {
        host[i] = i;
    }
    g_assert_cmpint(RUN(0x41, 0, 0, 0, 4, 0, 0, 1, 0), ==, SCSI_GOOD);
    g_assert_true(block_read_sync(disk, (1024 + 255) * 512, back, 512, NULL));
    g_assert_cmpmem(back, 512, host, 512);
    memset(host, 0, 512);
    g_assert_cmpint(RUN(0x93, 8, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 128), ==, SCSI_GOOD);
    g_assert_true(block_read_sync(disk, (1024 + 127) * 512, back, 512, NULL));
    g_assert_cmphex(back[511], ==, 0);
    g_assert_true(block_read_sync(disk, (1024 + 128) * 512, back, 512, NULL));
    g_assert_cmphex(back[511], ==, 0xff);
    g_assert_cmpint(RUN(0x93, 9, 0, 0, 0, 0, 0, 0, 4, 128, 0, 0, 0, 128), ==, SCSI_GOOD);
    g_assert_cmpuint(host_moved, ==, 0);
}

static void unmap_takes_a_list(void)
{
    settle();
    memset(host, 0, 64);
    store_be16(host, 38);
    store_be16(host + 2, 32);
    store_be64(host + 8, 2000);
    store_be32(host + 16, 8);
    store_be64(host + 24, 2048);
    store_be32(host + 32, 16);
    g_assert_cmpint(RUN(0x42, 0, 0, 0, 0, 0, 0, 0, 40), ==, SCSI_GOOD);
    store_be64(host + 24, DISK_SECTORS - 1);
    g_assert_cmpint(RUN(0x42, 0, 0, 0, 0, 0, 0, 0, 40), ==, SCSI_CHECK_CONDITION);
    g_assert_cmphex(sense.asc, ==, 0x21);
    store_be16(host + 2, 4000);
    g_assert_cmpint(RUN(0x42, 0, 0, 0, 0, 0, 0, 0, 40), ==, SCSI_CHECK_CONDITION);
}

static void product_data_pages_tell_of_the_disk(void)
{
    settle();
    g_assert_cmpint(RUN(0x12, 1, 0, 0, 255), ==, SCSI_GOOD);
    g_assert_cmpmem(host, 10, "\x00\x00\x00\x06\x00\x80\x83\xb0\xb1\xb2", 10);
    g_assert_cmpint(RUN(0x12, 1, 0x80, 0, 255), ==, SCSI_GOOD);
    g_assert_cmpmem(host + 4, 6, "serial", 6);
    g_assert_cmpint(RUN(0x12, 1, 0x83, 0, 255), ==, SCSI_GOOD);
    g_assert_cmpuint(host_moved, ==, load_be16(host + 2) + 4u);
    g_assert_cmpint(RUN(0x12, 1, 0xb0, 0, 255), ==, SCSI_GOOD);
    g_assert_cmpuint(host_moved, ==, 64);
    g_assert_cmpuint(load_be32(host + 28), ==, 8); /* 4096 bytes */
    g_assert_cmpint(RUN(0x12, 1, 0xb2, 0, 255), ==, SCSI_GOOD);
    g_assert_cmphex(host[5], ==, 0xe0);
    g_assert_cmpint(RUN(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32), ==, SCSI_GOOD);
    g_assert_cmpuint(load_be64(host), ==, DISK_SECTORS - 1);
    g_assert_cmphex(host[14], ==, 0x80);
    g_assert_cmpint(RUN(0x12, 1, 0x42, 0, 255), ==, SCSI_CHECK_CONDITION);
    g_assert_cmpint(RUN(0x5e, 0, 0, 0, 0, 0, 0, 0, 8), ==, SCSI_CHECK_CONDITION);
    g_assert_cmphex(sense.asc, ==, 0x20);
}

static void the_write_cache_is_a_mode_page(void)
{
    uint8_t pages[32];

    settle();
    g_assert_cmpint(RUN(0x1a, 8, 8, 0, 64), ==, SCSI_GOOD);
    g_assert_cmpuint(host_moved, ==, 24);
    g_assert_cmphex(host[4], ==, 0x08);
    g_assert_cmphex(host[6] & 4, ==, 4);
    memcpy(pages, host, 24);
    memset(host, 0, 4);
    host[6] &= ~4;
    g_assert_cmpint(RUN(0x15, 0x10, 0, 0, 24), ==, SCSI_GOOD);
    g_assert_cmpint(RUN(0x5a, 8, 8, 0, 0, 0, 0, 0, 64), ==, SCSI_GOOD);
    g_assert_cmphex(host[10] & 4, ==, 0);
    memcpy(host, pages, 24);
    host[0] = 0;
    host[7] ^= 0xff; /* what cannot change */
    g_assert_cmpint(RUN(0x15, 0x10, 0, 0, 24), ==, SCSI_CHECK_CONDITION);
    g_assert_cmpint(RUN(0x1a, 0, 0x3f, 0, 255), ==, SCSI_GOOD);
    g_assert_cmpuint(host[0] + 1u, ==, host_moved);
}

static void a_cancelled_command_does_not_complete(void)
{
    ScsiRequest *r;

    settle();
    status = -1;
    cancelled = 0;
    r = scsi_request_new(bus, 0, 0, 0, 0, CDB(0x28, 0, 0, 0, 0, 50, 0, 0, 4), 10, NULL);
    scsi_request_start(r, NULL, -1);
    scsi_device_reset(scsi_device_find(bus, 0, 0, 0));
    g_assert_cmpint(cancelled, ==, 0); /* the block layer still works for it */
    rig_run(0);
    g_assert_cmpint(cancelled, ==, 1);
    g_assert_cmpint(status, ==, -1);
    g_assert_cmpint(RUN(0x00), ==, SCSI_CHECK_CONDITION);
}

static void a_cd_reads_and_changes_its_disc(void)
{
    g_autoptr(GError) error = NULL;

    settle();
    g_assert_cmpint(RUN_CD(0x12, 0, 0, 0, 36), ==, SCSI_GOOD);
    g_assert_cmphex(host[0], ==, 5);
    g_assert_cmphex(host[1], ==, 0x80);
    g_assert_cmpint(RUN_CD(0x28, 0, 0, 0, 0, 10, 0, 0, 2), ==, SCSI_GOOD);
    g_assert_cmphex(host[2048], ==, rig_pattern(44));
    g_assert_cmpint(RUN_CD(0xbe, 0, 0, 0, 0, 10, 0, 0, 60, 0xf8), ==, SCSI_GOOD);
    g_assert_cmpuint(host_moved, ==, 60 * 2352);
    g_assert_cmphex(host[59 * 2352 + 16], ==, rig_pattern(69 * 4));
    g_assert_cmpint(RUN_CD(0x43, 2, 0, 0, 0, 0, 0, 0, 64), ==, SCSI_GOOD);
    g_assert_cmpuint(host_moved, ==, 20);
    g_assert_cmpint(RUN_CD(0x46, 0, 0, 0, 0, 0, 0, 0, 200), ==, SCSI_GOOD);
    g_assert_cmpint(RUN_CD(0x1a, 0, 0x2a, 0, 200), ==, SCSI_GOOD);
    g_assert_true(block_eject(cd, true, NULL));
    g_assert_cmpint(RUN_CD(0x00), ==, SCSI_CHECK_CONDITION);
    g_assert_cmphex(sense.asc, ==, 0x3a);
    g_assert_true(block_change(cd, rig_image(100 * 2048), "raw", true, &error));
    g_assert_cmpint(RUN_CD(0x00), ==, SCSI_CHECK_CONDITION);
    g_assert_cmphex(sense.asc, ==, 0x28);
    g_assert_cmpint(RUN_CD(0x25), ==, SCSI_GOOD);
    g_assert_cmpuint(load_be32(host), ==, 99);
}

static void random_commands_end(void)
{
    uint8_t cdb[16];

    for (int i = 0; i < 20000; i++) {
        int target = g_test_rand_int_range(0, 2);

        for (int n = 0; n < 16; n++) {
            cdb[n] = g_test_rand_int_range(0, 3) ? 0 : g_test_rand_int();
        }
        cdb[0] = g_test_rand_int();
        if (cdb[0] == 0x41 || cdb[0] == 0x93 || cdb[0] == 0x2f || cdb[0] == 0xaf || cdb[0] == 0x8f) {
            continue; /* slow on purpose: they work through the whole disk */
        }
        for (int n = 0; n < 64; n++) {
            host[n] = g_test_rand_int();
        }
        g_assert_cmpint(run_on(target, 0, cdb), >=, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    disk = rig_drive("sda", "none", 0, DISK_SECTORS * 512, false, false);
    rig_drive("sdb", "none", 0, 64 * 512, false, false);
    cd = rig_drive("cd", "none", 0, CD_SECTORS * 2048, true, true);
    bus = scsi_bus_new(NULL, &ops, NULL);
    rig_add("scsi-hd,drive=sda,scsi-id=0,lun=0,serial=serial,discard_granularity=4096", &bus->bus);
    rig_add("scsi-cd,drive=cd", &bus->bus);
    rig_add("scsi-hd,drive=sdb,scsi-id=0,lun=3", &bus->bus);
#define ADD(fn) g_test_add_func("/scsi/" #fn, fn)
    ADD(power_on_is_an_attention_that_inquiry_leaves);
    ADD(units_that_are_not_there_say_so);
    ADD(reads_and_writes_move_the_blocks_they_name);
    ADD(scatter_lists_are_filled_straight);
    ADD(verify_compares);
    ADD(write_same_repeats_a_block_and_unmaps);
    ADD(unmap_takes_a_list);
    ADD(product_data_pages_tell_of_the_disk);
    ADD(the_write_cache_is_a_mode_page);
    ADD(a_cancelled_command_does_not_complete);
    ADD(a_cd_reads_and_changes_its_disc);
    ADD(random_commands_end);
    return g_test_run();
}
