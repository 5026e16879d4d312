/* Items of the firmware interface through its ports and by DMA. */
#include "hw/nvram/fw_cfg.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <string.h>

enum { SELECT = 0x510, DATA = 0x511, DMA = 0x514, REQUEST = 0x1000, BUFFER = 0x2000 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

static Device *fw;

static void read_item(uint16_t key, void *buf, size_t size)
{
    uint8_t *p = buf;

    rig_out16(SELECT, key);
    for (size_t n = 0; n < size; n++) {
        p[n] = rig_in8(DATA);
    }
}

static uint32_t run_dma(uint32_t control, uint32_t length)
{
    uint8_t *request = rig_ram() + REQUEST;

    store_be32(request, control);
    store_be32(request + 4, length);
    store_be64(request + 8, BUFFER);
    rig_out32(DMA, 0);
    rig_out32(DMA + 4, GUINT32_SWAP_LE_BE(REQUEST));
    return load_be32(request);
}

static uint16_t file_key(const char *name)
{
    uint8_t count[4], entry[64];

    read_item(FW_CFG_FILE_DIR, count, 4);
    for (uint32_t n = 0; n < load_be32(count); n++) {
        for (int i = 0; i < 64; i++) {
            entry[i] = rig_in8(DATA);
        }
        if (!strcmp((char *)entry + 8, name)) {
            return load_be16(entry + 4);
        }
    }
    return 0;
}

static void the_signature_reads_qemu(void)
{
    char text[5] = "";

    read_item(FW_CFG_SIGNATURE, text, 4);
    g_assert_cmpstr(text, ==, "QEMU");
    g_assert_cmphex(rig_in32(DMA), ==, GUINT32_SWAP_LE_BE(0x51454d55));
}

static void past_the_end_are_zeros(void)
{
    uint8_t data[4] = { 1, 1, 1, 1 };

    fw_cfg_add_u16(fw, FW_CFG_NB_CPUS, 0x1234);
    read_item(FW_CFG_NB_CPUS, data, 4);
    g_assert_cmphex(load_le32(data), ==, 0x1234);
    read_item(0x3fff, data, 4);
    g_assert_cmphex(load_le32(data), ==, 0);
}

static void a_file_is_found_and_read_by_dma(void)
{
    uint16_t key;

    fw_cfg_add_file(fw, "etc/one", "first", 5);
    fw_cfg_add_file(fw, "etc/two", "0123456789", 10);
    key = file_key("etc/two");
    g_assert_cmphex(key, >=, FW_CFG_FILE_FIRST);
    memset(rig_ram() + BUFFER, 0xff, 16);
    g_assert_cmphex(run_dma((uint32_t)key << 16 | DMA_SELECT | DMA_SKIP, 3), ==, 0);
    g_assert_cmphex(run_dma(DMA_READ, 10), ==, 0);
    g_assert_cmpmem(rig_ram() + BUFFER, 11, "3456789\0\0\0\xff", 11);
}

static void only_writable_files_are_written(void)
{
    uint16_t key;
    size_t size;

    fw_cfg_add_writable_file(fw, "etc/w", "abcd", 4);
    memcpy(rig_ram() + BUFFER, "XY", 2);
    key = file_key("etc/w");
    g_assert_cmphex(run_dma((uint32_t)key << 16 | DMA_SELECT | DMA_WRITE, 2), ==, 0);
    g_assert_cmpmem(fw_cfg_file_data(fw, "etc/w", &size), 4, "XYcd", 4);
    g_assert_cmphex(run_dma((uint32_t)key << 16 | DMA_SELECT | DMA_WRITE, 5), ==, DMA_ERROR);
    key = file_key("etc/one");
    g_assert_cmphex(run_dma((uint32_t)key << 16 | DMA_SELECT | DMA_WRITE, 2), ==, DMA_ERROR);
}

static void make_current(void *opaque)
{
    fw_cfg_add_file(fw, "etc/late", opaque, 5);
}

static void a_file_is_made_current_when_it_is_selected(void)
{
    char text[6] = "";
    uint16_t key;

    fw_cfg_add_file(fw, "etc/late", "early", 5);
    fw_cfg_on_select(fw, "etc/late", make_current, (void *)"later");
    key = file_key("etc/late");
    read_item(key, text, 5);
    g_assert_cmpstr(text, ==, "later");
    fw_cfg_add_file(fw, "etc/late", "other", 5); /* the function stays with the name */
    read_item(key, text, 5);
    g_assert_cmpstr(text, ==, "later");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    fw = rig_add("fw_cfg", NULL);
    g_test_add_func("/fw-cfg/the-signature-reads-qemu", the_signature_reads_qemu);
    g_test_add_func("/fw-cfg/past-the-end-are-zeros", past_the_end_are_zeros);
    g_test_add_func("/fw-cfg/a-file-is-found-and-read-by-dma", a_file_is_found_and_read_by_dma);
    g_test_add_func("/fw-cfg/only-writable-files-are-written", only_writable_files_are_written);
    g_test_add_func("/fw-cfg/a-file-is-made-current-when-it-is-selected", a_file_is_made_current_when_it_is_selected);
    return g_test_run();
}
