/* USB devices without a controller: bulk-only storage, UAS, the serial port, keyboard and hub, transfer by transfer. */
#include "core/clock.h"
#include "core/input.h"
#include "tests/hw/rig.h"
#include "hw/usb/usb.h"
#include "util/bits.h"

#include <string.h>

static UsbBus *bus;
static UsbPort ports[8];

static void nothing(UsbPort *port)
{
}

static unsigned ready_calls;

static void note_ready(UsbPort *port, UsbDevice *dev, uint8_t address, unsigned stream)
{
    ready_calls++;
}

static const UsbPortOps port_ops = { nothing, nothing, note_ready, nothing, NULL };

static int control(UsbDevice *usb, const uint8_t setup[8], uint8_t *data, int size)
{
    bool in = setup[0] & 0x80;
    int n = 0;

    g_assert_cmpint(usb_transfer(usb, USB_SETUP, 0, 0, (void *)setup, 8), ==, 8);
    if (size) {
        n = usb_transfer(usb, in ? USB_IN : USB_OUT, 0, 0, data, size);
        if (n < 0) {
            return n;
        }
    }
    if (usb_transfer(usb, in && size ? USB_OUT : USB_IN, 0, 0, NULL, 0) < 0) {
        return USB_STALL;
    }
    return n;
}

static UsbDevice *plug(const char *text)
{
    UsbDevice *usb = (UsbDevice *)rig_add(text, &bus->bus);

    usb_device_bus_reset(usb);
    g_assert_cmpint(control(usb, (const uint8_t[8]){ 0, 9, 1 }, NULL, 0), ==, 0);
    return usb;
}

static int transfer(UsbDevice *usb, UsbPid pid, int ep, unsigned stream, void *data, size_t size)
{
    int n = usb_transfer(usb, pid, ep, stream, data, size);

    for (int i = 0; n == USB_NAK && i < 10; i++) {
        rig_run(NS_PER_MS);
        n = usb_transfer(usb, pid, ep, stream, data, size);
    }
    return n;
}

/* ---- bulk-only storage ---- */

static uint8_t buffer[65536];

/* Returns the status of the wrapper; *residue as it says. */
static int command(UsbDevice *usb, const uint8_t *cdb, int cdb_size, uint32_t length, bool in, uint32_t *residue)
{
    uint8_t cbw[31] = { 'U', 'S', 'B', 'C', 1, 2, 3, 4 }, csw[13];

    store_le32(cbw + 8, length);
    cbw[12] = in ? 0x80 : 0;
    cbw[14] = cdb_size;
    memcpy(cbw + 15, cdb, cdb_size);
    g_assert_cmpint(transfer(usb, USB_OUT, 2, 0, cbw, sizeof(cbw)), ==, 31);
    for (uint32_t at = 0; at < length;) {
        int n = transfer(usb, in ? USB_IN : USB_OUT, in ? 1 : 2, 0, buffer + at, length - at);

        g_assert_cmpint(n, >, 0);
        at += n;
    }
    g_assert_cmpint(transfer(usb, USB_IN, 1, 0, csw, sizeof(csw)), ==, 13);
    g_assert_cmpmem(csw, 4, "USBS", 4);
    g_assert_cmphex(load_le32(csw + 4), ==, 0x04030201);
    *residue = load_le32(csw + 8);
    return csw[12];
}

#define COMMAND(usb, length, in, residue, ...) \
    command(usb, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }), length, in, residue)

static void storage_reads_and_writes(void)
{
    BlockBackend *blk = rig_drive("stick", "none", 0, 1 << 20, false, false);
    UsbDevice *usb = plug("usb-storage,drive=stick,serial=ABC");
    uint32_t residue;

    g_assert_cmpint(COMMAND(usb, 36, true, &residue, 0x12, 0, 0, 0, 36, 0), ==, 0);
    COMMAND(usb, 0, false, &residue, 0, 0, 0, 0, 0, 0); /* the attention of power-on */
    g_assert_cmpint(COMMAND(usb, 18, true, &residue, 3, 0, 0, 0, 18, 0), ==, 0);
    g_assert_cmpint(COMMAND(usb, 8, true, &residue, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), ==, 0);
    g_assert_cmpuint(load_be32(buffer), ==, 2047);
    g_assert_cmpint(COMMAND(usb, 16384, true, &residue, 0x28, 0, 0, 0, 0, 7, 0, 0, 32, 0), ==, 0);
    g_assert_cmpuint(residue, ==, 0);
    for (int n = 0; n < 32; n++) {
        g_assert_cmpuint(buffer[n * 512], ==, rig_pattern(7 + n));
    }
    memset(buffer, 0x5a, 1024);
    g_assert_cmpint(COMMAND(usb, 1024, false, &residue, 0x2a, 0, 0, 0, 0, 5, 0, 0, 2, 0), ==, 0);
    g_assert_true(block_read_sync(blk, 5 * 512, buffer, 1024, NULL));
    g_assert_cmpuint(buffer[1023], ==, 0x5a);
    rig_save_and_load(&usb->dev);
    device_free(&usb->dev);
}

static void hosts_that_expect_something_else(void)
{
    BlockBackend *blk = rig_drive("stick2", "none", 0, 1 << 20, false, false);
    UsbDevice *usb = plug("usb-storage,drive=stick2");
    uint8_t kept[1024];
    uint32_t residue;

    COMMAND(usb, 0, false, &residue, 0, 0, 0, 0, 0, 0);
    /* More than there is: padded. */
    g_assert_cmpint(COMMAND(usb, 200, true, &residue, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), ==, 0);
    g_assert_cmpuint(residue, ==, 192);
    /* Data, and none comes. */
    g_assert_cmpint(COMMAND(usb, 64, true, &residue, 0, 0, 0, 0, 0, 0), ==, 0);
    g_assert_cmpuint(residue, ==, 64);
    g_assert_cmpint(COMMAND(usb, 64, false, &residue, 0, 0, 0, 0, 0, 0), ==, 0);
    g_assert_cmpuint(residue, ==, 64);
    /* Less than there is, or none: a phase error. */
    g_assert_cmpint(COMMAND(usb, 512, true, &residue, 0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0), ==, 2);
    g_assert_cmpint(COMMAND(usb, 0, true, &residue, 0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0), ==, 2);
    /* Too little to write: nothing is. */
    g_assert_true(block_read_sync(blk, 0, kept, 1024, NULL));
    memset(buffer, 0x77, 512);
    g_assert_cmpint(COMMAND(usb, 512, false, &residue, 0x2a, 0, 0, 0, 0, 0, 0, 0, 2, 0), ==, 2);
    g_assert_true(block_read_sync(blk, 0, buffer, 1024, NULL));
    g_assert_cmpmem(buffer, 1024, kept, 1024);
    /* The other direction. */
    g_assert_cmpint(COMMAND(usb, 512, false, &residue, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), ==, 2);
    g_assert_cmpint(COMMAND(usb, 512, true, &residue, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), ==, 2);
    /* No such command. */
    g_assert_cmpint(COMMAND(usb, 0, false, &residue, 0xff, 0, 0, 0, 0, 0), ==, 1);
    device_free(&usb->dev);
}

static void wrappers_of_nonsense_stall_until_a_reset(void)
{
    UsbDevice *usb;
    uint8_t cbw[31] = { 1, 2, 3 }, luns;
    uint32_t residue;

    rig_drive("stick3", "none", 0, 1 << 20, false, false);
    usb = plug("usb-storage,drive=stick3");
    g_assert_cmpint(usb_transfer(usb, USB_OUT, 2, 0, cbw, 31), ==, USB_STALL);
    g_assert_cmpint(usb_transfer(usb, USB_OUT, 2, 0, cbw, 31), ==, USB_STALL);
    g_assert_cmpint(control(usb, (const uint8_t[8]){ 0x21, 0xff }, NULL, 0), ==, 0);
    g_assert_cmpint(control(usb, (const uint8_t[8]){ 2, 1, 0, 0, 2 }, NULL, 0), ==, 0);
    COMMAND(usb, 0, false, &residue, 0, 0, 0, 0, 0, 0);
    g_assert_cmpint(control(usb, (const uint8_t[8]){ 0xa1, 0xfe, 0, 0, 0, 0, 1 }, &luns, 1), ==, 1);
    g_assert_cmpuint(luns, ==, 0);
    device_free(&usb->dev);
}

/* ---- UAS ---- */

static void uas_runs_commands_by_tag(void)
{
    UsbDevice *usb = plug("usb-uas,id=uas");
    uint8_t iu[32] = { 1, 0, 0, 9 }, status[64];
    Device *disk;

    rig_drive("many", "none", 0, 1 << 20, false, false);
    disk = rig_add("scsi-hd,drive=many", bus_find("uas.0"));
    g_assert_nonnull(disk);
    usb_device_bus_reset(usb);
    g_assert_cmpint(control(usb, (const uint8_t[8]){ 0, 9, 1 }, NULL, 0), ==, 0);
    g_assert_cmpint(usb->speed, ==, USB_SUPER);
    for (int i = 0; i < 2; i++) { /* the first tells of power-on */
        memset(iu + 16, 0, 16);
        g_assert_cmpint(transfer(usb, USB_OUT, 1, 0, iu, 32), ==, 32);
        g_assert_cmpint(transfer(usb, USB_IN, 2, 5, status, sizeof(status)), ==, USB_NAK);
        g_assert_cmpint(transfer(usb, USB_IN, 2, 9, status, sizeof(status)), ==, i ? 16 : 16 + 18);
        g_assert_cmpuint(status[0], ==, 3);
        g_assert_cmpuint(status[3], ==, 9);
        g_assert_cmpuint(status[6], ==, i ? 0 : 2);
    }
    memcpy(iu + 16, (const uint8_t[]){ 0x28, 0, 0, 0, 0, 3, 0, 0, 4, 0 }, 10);
    g_assert_cmpint(transfer(usb, USB_OUT, 1, 0, iu, 32), ==, 32);
    g_assert_cmpint(transfer(usb, USB_IN, 3, 9, buffer, 2048), ==, 2048);
    g_assert_cmpuint(buffer[512], ==, rig_pattern(4));
    g_assert_cmpint(transfer(usb, USB_IN, 2, 9, status, sizeof(status)), ==, 16);
    iu[0] = 5; /* a task: abort what is not there, then one that is not known */
    iu[4] = 1;
    g_assert_cmpint(transfer(usb, USB_OUT, 1, 0, iu, 16), ==, 16);
    g_assert_cmpint(transfer(usb, USB_IN, 2, 9, status, sizeof(status)), ==, 8);
    g_assert_cmpuint(status[7], ==, 0);
    iu[4] = 0x33;
    g_assert_cmpint(transfer(usb, USB_OUT, 1, 0, iu, 16), ==, 16);
    g_assert_cmpint(transfer(usb, USB_IN, 2, 9, status, sizeof(status)), ==, 8);
    g_assert_cmpuint(status[7], ==, 4);
    for (int i = 0; i < 2000; i++) { /* a host that does not listen gets no further */
        int n = usb_transfer(usb, USB_OUT, 1, 0, iu, 16);

        g_assert_cmpint(n, ==, i < 1024 ? 16 : USB_NAK);
    }
    ready_calls = 0;
    g_assert_cmpint(transfer(usb, USB_IN, 2, 9, status, sizeof(status)), ==, 8);
    g_assert_cmpuint(ready_calls, ==, 1);
    g_assert_cmpint(usb_transfer(usb, USB_OUT, 1, 0, iu, 16), ==, 16);
    while (usb_transfer(usb, USB_IN, 2, 9, status, sizeof(status)) > 0) {
    }
    for (int i = 0; i < 2000; i++) { /* anything at all */
        for (int n = 0; n < 32; n++) {
            iu[n] = g_test_rand_int_range(0, n < 6 ? 8 : 256);
        }
        usb_transfer(usb, USB_OUT, 1, 0, iu, g_test_rand_int_range(0, 33));
        usb_transfer(usb, USB_IN, 2 + i % 2, g_test_rand_int_range(0, 8), buffer, 4096);
        usb_transfer(usb, USB_OUT, 4, g_test_rand_int_range(0, 8), buffer, 4096);
        if (i % 100 == 0) {
            rig_run(NS_PER_MS);
        }
    }
    device_free(&usb->dev);
}

/* ---- the rest ---- */

static void the_serial_port_has_a_status_before_its_data(void)
{
    RigChar *rc = rig_char("line");
    UsbDevice *usb = plug("usb-serial,chardev=line");
    uint8_t data[512];

    g_assert_cmpint(usb_transfer(usb, USB_OUT, 2, 0, (void *)"hello", 5), ==, 5);
    g_assert_cmpstr(rc->written->str, ==, "hello");
    g_assert_cmpint(usb_transfer(usb, USB_IN, 1, 0, data, 512), ==, 2); /* after the reset */
    g_assert_cmpint(usb_transfer(usb, USB_IN, 1, 0, data, 512), ==, USB_NAK);
    ready_calls = 0;
    g_assert_cmpuint(char_deliver(rc->chr, (const uint8_t *)"abc", 3), ==, 3);
    g_assert_cmpuint(ready_calls, >, 0);
    g_assert_cmpint(usb_transfer(usb, USB_IN, 1, 0, data, 512), ==, 5);
    g_assert_cmpmem(data + 2, 3, "abc", 3);
    rig_run(20 * NS_PER_MS); /* the latency timer */
    g_assert_cmpint(usb_transfer(usb, USB_IN, 1, 0, data, 512), ==, 2);
    for (int i = 0; i < 100; i++) {
        char_deliver(rc->chr, (const uint8_t *)"x", 1);
    }
    g_assert_cmpint(usb_transfer(usb, USB_IN, 1, 0, data, 512), ==, 64 + 2 + 38); /* a packet and a rest */
    rig_save_and_load(&usb->dev);
    device_free(&usb->dev);
}

static void the_keyboard_reports_and_repeats(void)
{
    UsbDevice *usb = plug("usb-kbd");
    uint8_t report[8];

    g_assert_cmpint(usb_transfer(usb, USB_IN, 1, 0, report, 8), ==, USB_NAK);
    input_send_key(0xe1, true); /* left shift */
    input_send_key(0x04, true);
    g_assert_cmpint(usb_transfer(usb, USB_IN, 1, 0, report, 8), ==, 8);
    g_assert_cmpmem(report, 8, "\x02\0\0\0\0\0\0\0", 8);
    g_assert_cmpint(usb_transfer(usb, USB_IN, 1, 0, report, 4), ==, USB_BABBLE);
    g_assert_cmpint(usb_transfer(usb, USB_IN, 1, 0, report, 8), ==, 8);
    g_assert_cmpmem(report, 8, "\x02\0\x04\0\0\0\0\0", 8);
    g_assert_cmpint(control(usb, (const uint8_t[8]){ 0x21, 0x0a, 0, 25 }, NULL, 0), ==, 0); /* idle: 100 ms */
    g_assert_cmpint(usb_transfer(usb, USB_IN, 1, 0, report, 8), ==, USB_NAK);
    rig_run(101 * NS_PER_MS);
    g_assert_cmpint(usb_transfer(usb, USB_IN, 1, 0, report, 8), ==, 8);
    for (int key = 5; key < 12; key++) {
        input_send_key(key, true);
        g_assert_cmpint(usb_transfer(usb, USB_IN, 1, 0, report, 8), ==, 8);
    }
    g_assert_cmpmem(report + 2, 6, "\1\1\1\1\1\1", 6); /* too many */
    for (int i = 0; i < 200; i++) { /* nobody reads: others get the keys */
        input_send_key(0x04, i & 1);
    }
    rig_save_and_load(&usb->dev);
    device_free(&usb->dev);
}

static void hubs_come_by_themselves_and_go_with_all_that_is_behind(void)
{
    GPtrArray *made = g_ptr_array_new();
    uint8_t status[4];
    Device *hub;

    for (int i = 0; i < 10; i++) {
        g_ptr_array_add(made, rig_add("usb-mouse", &bus->bus));
    }
    hub = device_find("usb-hub.0");
    g_assert_nonnull(hub);
    usb_device_bus_reset((UsbDevice *)hub);
    g_assert_cmpint(control((UsbDevice *)hub, (const uint8_t[8]){ 0, 9, 1 }, NULL, 0), ==, 0);
    g_assert_cmpint(control((UsbDevice *)hub, (const uint8_t[8]){ 0x23, 3, 4, 0, 1 }, NULL, 0), ==, 0); /* reset port 1 */
    g_assert_cmpint(control((UsbDevice *)hub, (const uint8_t[8]){ 0xa3, 0, 0, 0, 1, 0, 4 }, status, 4), ==, 4);
    g_assert_cmphex(load_le16(status) & 3, ==, 3);
    g_assert_cmphex(load_le16(status + 2), ==, 0x11);
    g_assert_cmpint(control((UsbDevice *)hub, (const uint8_t[8]){ 0xa3, 0, 0, 0, 9, 0, 4 }, status, 4), ==, USB_STALL);
    device_free(hub);
    g_assert_null(device_find("usb-mouse.9"));
    g_ptr_array_free(made, TRUE);
}

int main(int argc, char **argv)
{
    Device *owner;

    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    owner = rig_dma();
    bus = usb_bus_new(owner);
    for (int n = 0; n < 8; n++) {
        ports[n] = (UsbPort){ .ops = &port_ops, .index = n,
                              .speeds = USB_SPEED(USB_FULL) | USB_SPEED(USB_HIGH) | USB_SPEED(USB_SUPER) };
        usb_bus_add_port(bus, &ports[n]);
    }
#define ADD(fn) g_test_add_func("/usb-devices/" #fn, fn)
    ADD(storage_reads_and_writes);
    ADD(hosts_that_expect_something_else);
    ADD(wrappers_of_nonsense_stall_until_a_reset);
    ADD(uas_runs_commands_by_tag);
    ADD(the_serial_port_has_a_status_before_its_data);
    ADD(the_keyboard_reports_and_repeats);
    ADD(hubs_come_by_themselves_and_go_with_all_that_is_behind);
    return g_test_run();
}
