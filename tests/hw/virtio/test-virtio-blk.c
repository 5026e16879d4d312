/* The virtio disk as a driver uses it: sectors, identity, discards, and requests that are wrong. */
#include "backends/block.h"
#include "core/clock.h"
#include "core/mainloop.h"
#include "tests/hw/virtio/driver.h"
#include "util/bits.h"

#include <string.h>

enum { HEADER = 0x200000, DATA = 0x201000, STATUS = 0x240000, SIZE = 64, SECTORS = 2048 };
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
#define F_ALL (VIRTIO_BIT(9) | VIRTIO_BIT(11) | VIRTIO_BIT(13) | VIRTIO_BIT(14))

static Device *disk, *readonly;
static Driver d;

static void start(Device *dev, uint64_t features)
{
    device_reset(disk);
    device_reset(readonly);
    driver_start(&d, dev, features | F_ALL);
    driver_queue(&d, 0, SIZE);
    driver_ok(&d);
}

static void header(uint32_t type, uint64_t sector)
{
    store_le32(rig_ram() + HEADER, type);
    store_le32(rig_ram() + HEADER + 4, 0);
    store_le64(rig_ram() + HEADER + 8, sector);
    rig_ram()[STATUS] = 0xff;
}

/* Returns the status; the data are at DATA. */
static uint8_t request(uint32_t type, uint64_t sector, uint32_t size)
{
    DriverBuffer buffers[3] = { { HEADER, 16, false }, { DATA, size, type != T_OUT && type < T_DISCARD },
                                { STATUS, 1, true } };

    header(type, sector);
    if (!size) {
        buffers[1] = buffers[2];
    }
    driver_request(&d, 0, buffers, size ? 3 : 2);
    return rig_ram()[STATUS];
}

static uint8_t range_request(uint32_t type, uint64_t sector, uint32_t count, uint32_t flags)
{
    store_le64(rig_ram() + DATA, sector);
    store_le32(rig_ram() + DATA + 8, count);
    store_le32(rig_ram() + DATA + 12, flags);
    return request(type, 0, 16);
}

static bool filled(const uint8_t *data, uint8_t byte, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] != byte) {
            return false;
        }
    }
    return true;
}

static void sectors_are_read_and_written(void)
{
    static const uint64_t forms[] = { 0, VIRTIO_BIT(VIRTIO_F_EVENT_IDX), VIRTIO_BIT(VIRTIO_F_RING_PACKED) };

    for (unsigned f = 0; f < G_N_ELEMENTS(forms); f++) {
        start(disk, forms[f]);
        g_assert_cmpuint(request(T_IN, 5, 1024), ==, S_OK);
        g_assert_true(filled(rig_ram() + DATA, rig_pattern(5), 512));
        g_assert_true(filled(rig_ram() + DATA + 512, rig_pattern(6), 512));
        memset(rig_ram() + DATA, 0x40 + f, 2048);
        g_assert_cmpuint(request(T_OUT, 100, 2048), ==, S_OK);
        g_assert_cmpuint(request(T_FLUSH, 0, 0), ==, S_OK);
        memset(rig_ram() + DATA, 0, 4096);
        g_assert_cmpuint(request(T_IN, 99, 512 * 6), ==, S_OK);
        g_assert_true(filled(rig_ram() + DATA, rig_pattern(99), 512));
        g_assert_true(filled(rig_ram() + DATA + 512, 0x40 + f, 2048));
        g_assert_true(filled(rig_ram() + DATA + 5 * 512, rig_pattern(104), 512));
    }
}

static void neighbours_are_merged_and_each_is_answered(void)
{
    enum { REQUESTS = 12 };
    uint16_t id;
    uint32_t length;
    int back = 0;

    start(disk, 0);
    for (int i = 0; i < REQUESTS; i++) {
        DriverBuffer buffers[] = { { HEADER + i * 16, 16, false }, { DATA + i * 512, 512, true }, { STATUS + i, 1, true } };
        int n = i < 8 ? i : 200 + i; /* eight in a row, then others */

        store_le32(rig_ram() + HEADER + i * 16, T_IN);
        store_le64(rig_ram() + HEADER + i * 16 + 8, 300 + n);
        rig_ram()[STATUS + i] = 0xff;
        driver_add(&d, 0, buffers, 3, false);
    }
    driver_kick(&d, 0);
    rig_run(NS_PER_MS);
    for (; driver_used(&d, 0, &id, &length); back++) {
        g_assert_cmpuint(length, ==, 513);
    }
    g_assert_cmpint(back, ==, REQUESTS);
    for (int i = 0; i < REQUESTS; i++) {
        g_assert_cmpuint(rig_ram()[STATUS + i], ==, S_OK);
        g_assert_true(filled(rig_ram() + DATA + i * 512, rig_pattern(300 + (i < 8 ? i : 200 + i)), 512));
    }
}

static void the_disk_says_what_it_is(void)
{
    start(disk, 0);
    g_assert_cmpuint(driver_config(0, 4), ==, SECTORS);
    g_assert_cmpuint(driver_config(20, 4), ==, 512);
    memset(rig_ram() + DATA, 0xee, 20);
    g_assert_cmpuint(request(T_GET_ID, 0, 20), ==, S_OK);
    g_assert_cmpmem(rig_ram() + DATA, 8, "SN-1234", 8);
}

static void sectors_beyond_the_end_fail(void)
{
    static const struct {
        uint64_t sector;
        uint32_t size;
    } cases[] = { { SECTORS, 512 }, { SECTORS - 1, 1024 }, { UINT64_MAX, 512 }, { UINT64_MAX / 512, 512 }, { 1ull << 55, 4096 } };

    start(disk, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpuint(request(T_IN, cases[i].sector, cases[i].size), ==, S_IOERR);
        g_assert_cmpuint(request(T_OUT, cases[i].sector, cases[i].size), ==, S_IOERR);
    }
    g_assert_cmpuint(request(T_IN, 0, 100), ==, S_IOERR); /* no whole sectors */
    g_assert_cmpuint(request(77, 0, 512), ==, S_UNSUPP);
    g_assert_cmpuint(request(T_IN, 0, 512), ==, S_OK);
}

static void ranges_are_discarded_and_zeroed(void)
{
    start(disk, 0);
    g_assert_cmpuint(range_request(T_WRITE_ZEROES, 500, 4, 0), ==, S_OK);
    g_assert_cmpuint(request(T_IN, 499, 512 * 6), ==, S_OK);
    g_assert_true(filled(rig_ram() + DATA, rig_pattern(499), 512));
    g_assert_true(filled(rig_ram() + DATA + 512, 0, 2048));
    g_assert_true(filled(rig_ram() + DATA + 5 * 512, rig_pattern(504), 512));
    g_assert_cmpuint(range_request(T_WRITE_ZEROES, 600, 4, 1), ==, S_OK); /* and may be unmapped */
    g_assert_cmpuint(range_request(T_DISCARD, 700, 8, 0), ==, S_OK);
    g_assert_cmpuint(range_request(T_DISCARD, SECTORS, 1, 0), ==, S_IOERR);
    g_assert_cmpuint(range_request(T_DISCARD, UINT64_MAX, 8, 0), ==, S_IOERR);
    g_assert_cmpuint(range_request(T_WRITE_ZEROES, SECTORS - 1, UINT32_MAX, 0), ==, S_IOERR);
    g_assert_cmpuint(range_request(T_WRITE_ZEROES, 0, 1, 0x80), ==, S_UNSUPP); /* a flag that is not known */
    g_assert_cmpuint(range_request(T_DISCARD, 0, 1, 1), ==, S_UNSUPP);
}

static void a_readonly_disk_stays_as_it_is(void)
{
    start(readonly, 0);
    g_assert_cmphex((driver_set_common(0, 0, 4), driver_common(4, 4)) & 0x20, ==, 0x20);
    g_assert_cmpuint(request(T_OUT, 0, 512), ==, S_IOERR);
    g_assert_cmpuint(range_request(T_WRITE_ZEROES, 0, 1, 0), ==, S_IOERR);
    g_assert_cmpuint(request(T_IN, 0, 512), ==, S_OK);
    g_assert_true(filled(rig_ram() + DATA, rig_pattern(0), 512));
}

static void requests_without_room_for_a_status_want_a_reset(void)
{
    static const DriverBuffer no_status[] = { { HEADER, 16, false } }, short_header[] = { { HEADER, 8, false }, { STATUS, 1, true } };

    start(disk, 0);
    driver_add(&d, 0, no_status, 1, false);
    driver_kick(&d, 0);
    g_assert_true(driver_common(0x14, 1) & VIRTIO_NEEDS_RESET);
    start(disk, 0);
    driver_add(&d, 0, short_header, 2, false);
    driver_kick(&d, 0);
    g_assert_true(driver_common(0x14, 1) & VIRTIO_NEEDS_RESET);
    start(disk, 0);
    g_assert_cmpuint(request(T_IN, 0, 512), ==, S_OK);
}

static void a_snapshot_keeps_the_cache_mode(void)
{
    start(disk, 0);
    g_assert_cmpuint(driver_config(32, 1), ==, 1);
    driver_set_config(32, 0, 1);
    rig_save_and_load(disk);
    g_assert_cmpuint(driver_config(32, 1), ==, 0);
    g_assert_cmpuint(request(T_IN, 3, 512), ==, S_OK);
    g_assert_true(filled(rig_ram() + DATA, rig_pattern(3), 512));
}

/* The status of a request, which is 0, written into the status of the device, where it means a reset. */
static void write_status_to_status(void)
{
    enum { DEVICE_STATUS = DRIVER_BAR + 0x14 };
    DriverBuffer read[3] = { { HEADER + 16, 16, false }, { DATA, 512, true }, { STATUS, 1, true } };
    DriverBuffer identify[3] = { { HEADER, 16, false }, { DATA + 512, 20, true }, { DEVICE_STATUS, 1, true } };

    start(disk, 0);
    header(T_GET_ID, 0);
    memset(rig_ram() + HEADER + 16, 0, 16);
    driver_add(&d, 0, read, 3, false); /* has begun, and waits for others to be merged with */
    driver_add(&d, 0, identify, 3, false);
    driver_kick(&d, 0);
    rig_run(NS_PER_MS);
}

static void a_request_resets_the_device_that_serves_it_when_it_is_done(void)
{
    uint16_t id;
    uint32_t length;

    write_status_to_status();
    g_assert_cmpuint(rig_ram()[STATUS], ==, S_OK);
    g_assert_true(driver_used(&d, 0, &id, &length));
    g_assert_true(driver_used(&d, 0, &id, &length));
    g_assert_cmpuint(driver_common(0x14, 1), ==, 15); /* until both are done */
    main_loop_step(false);
    g_assert_cmpuint(driver_common(0x14, 1), ==, 0);
    start(disk, 0);
    g_assert_cmpuint(request(T_IN, 5, 1024), ==, S_OK);
}

/* The same by the message that tells of it. */
static void a_message_resets_the_device_that_sends_it_when_it_is_sent(void)
{
    enum { DEVICE_STATUS = DRIVER_BAR + 0x14, VECTOR = 1 };
    DriverBuffer read[3] = { { HEADER + 16, 16, false }, { DATA, 512, true }, { STATUS, 1, true } };
    DriverBuffer identify[3] = { { HEADER, 16, false }, { DATA + 512, 20, true }, { STATUS + 1, 1, true } };

    start(disk, 0);
    rig_store(DRIVER_MSIX + VECTOR * 16, DEVICE_STATUS, 4);
    rig_store(DRIVER_MSIX + VECTOR * 16 + 8, 0, 4);
    header(T_GET_ID, 0);
    memset(rig_ram() + HEADER + 16, 0, 16);
    driver_add(&d, 0, read, 3, false);
    driver_add(&d, 0, identify, 3, false);
    driver_kick(&d, 0);
    rig_run(NS_PER_MS);
    g_assert_cmpuint(rig_ram()[STATUS], ==, S_OK);
    g_assert_cmpuint(rig_ram()[STATUS + 1], ==, S_OK);
    main_loop_step(false);
    g_assert_cmpuint(driver_common(0x14, 1), ==, 0);
}

/* It is not to be forgotten by a snapshot that is made before. */
static void a_snapshot_has_the_reset_that_waits(void)
{
    write_status_to_status();
    g_assert_cmpuint(driver_common(0x14, 1), ==, 15);
    rig_save_and_load(disk);
    g_assert_cmpuint(driver_common(0x14, 1), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    rig_drive("d", "none", 0, SECTORS * 512, false, false);
    rig_drive("r", "none", 0, SECTORS * 512, true, false);
    disk = rig_add("virtio-blk-pci,drive=d,serial=SN-1234,packed=on", pci_bus_bus(rig_pci()));
    readonly = rig_add("virtio-blk-pci,drive=r", pci_bus_bus(rig_pci()));
#define ADD(fn) g_test_add_func("/virtio-blk/" #fn, fn)
    ADD(sectors_are_read_and_written);
    ADD(neighbours_are_merged_and_each_is_answered);
    ADD(the_disk_says_what_it_is);
    ADD(sectors_beyond_the_end_fail);
    ADD(ranges_are_discarded_and_zeroed);
    ADD(a_readonly_disk_stays_as_it_is);
    ADD(requests_without_room_for_a_status_want_a_reset);
    ADD(a_snapshot_keeps_the_cache_mode);
    ADD(a_request_resets_the_device_that_serves_it_when_it_is_done);
    ADD(a_message_resets_the_device_that_sends_it_when_it_is_sent);
    ADD(a_snapshot_has_the_reset_that_waits);
    return g_test_run();
}
