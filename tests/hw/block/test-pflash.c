/* Parallel flash as firmware sees it, and what its image has afterwards. */
#include "hw/block/pflash.h"
#include "tests/hw/rig.h"

#include <string.h>

enum { READY = 0x80, ERASE_ERROR = 0x20, PROGRAM_ERROR = 0x10 };
enum { PROGRAM = 0x40, ERASE = 0x20, CLEAR = 0x50, STATUS = 0x70, ID = 0x90, QUERY = 0x98, CONFIRM = 0xd0, BUFFER = 0xe8,
       ARRAY_MODE = 0xff };
enum { SIZE = 132 * 4096 }; /* no power of two, as that of OVMF's variables */
#define FLASH    0xff000000u
#define READONLY 0xff800000u

static Device *flash, *readonly;
static BlockBackend *image;

static uint8_t get(uint32_t at)
{
    return rig_load(at, 1);
}

static void put(uint32_t at, uint8_t value)
{
    rig_store(at, value, 1);
}

static void start(void)
{
    device_reset(flash);
    device_reset(readonly);
    put(FLASH, CLEAR);
    put(READONLY, CLEAR);
}

static uint8_t status(uint32_t at)
{
    uint8_t value;

    put(at, STATUS);
    value = get(at);
    put(at, ARRAY_MODE);
    return value;
}

/* What the image has now. */
static uint8_t stored(uint32_t offset)
{
    uint8_t sector[BLOCK_SECTOR];
    g_autoptr(GError) error = NULL;

    rig_run(0);
    block_read_sync(image, offset & -BLOCK_SECTOR, sector, sizeof(sector), &error);
    g_assert_no_error(error);
    return sector[offset % BLOCK_SECTOR];
}

static void the_contents_are_those_of_the_drive(void)
{
    start();
    g_assert_cmphex(get(FLASH), ==, rig_pattern(0));
    g_assert_cmphex(rig_load(FLASH + SIZE - 4, 4), ==, rig_pattern(SIZE / 512 - 1) * 0x01010101u);
}

/* The steps by which OVMF tells flash from ROM and RAM. */
static void it_is_known_for_flash(void)
{
    uint8_t original;

    start();
    original = get(FLASH);
    put(FLASH, CLEAR);
    g_assert_cmphex(get(FLASH), ==, original);
    put(FLASH, STATUS);
    g_assert_cmphex(get(FLASH), ==, 0);
    put(FLASH, ARRAY_MODE);
    g_assert_cmphex(get(FLASH), ==, original);
}

static void programming_clears_bits_for_good(void)
{
    start();
    put(FLASH + 0x2005, ERASE);
    put(FLASH + 0x2005, CONFIRM);
    g_assert_cmphex(get(FLASH + 0x2005), ==, READY);
    put(FLASH, ARRAY_MODE);
    g_assert_cmphex(rig_load(FLASH + 0x2000, 4), ==, UINT32_MAX);
    g_assert_cmphex(get(FLASH + 0x1fff), ==, rig_pattern(0x1fff / 512));
    g_assert_cmphex(get(FLASH + 0x3000), ==, rig_pattern(0x3000 / 512));
    put(FLASH + 0x2010, PROGRAM);
    put(FLASH + 0x2010, 0x5a);
    put(FLASH + 0x2010, PROGRAM);
    put(FLASH + 0x2010, 0xf0);
    put(FLASH + 0x2020, 0x10); /* the other spelling */
    put(FLASH + 0x2020, 0x12);
    put(FLASH, ARRAY_MODE);
    g_assert_cmphex(get(FLASH + 0x2010), ==, 0x50);
    g_assert_cmphex(stored(0x2010), ==, 0x50);
    g_assert_cmphex(stored(0x2020), ==, 0x12);
    g_assert_cmphex(stored(0x2fff), ==, 0xff);
    g_assert_cmphex(stored(0x3000), ==, rig_pattern(0x3000 / 512));
}

static void a_buffer_is_programmed_at_once(void)
{
    start();
    put(FLASH + 0x4000, ERASE);
    put(FLASH + 0x4000, CONFIRM);
    put(FLASH + 0x4000, BUFFER);
    g_assert_cmphex(get(FLASH + 0x4000), ==, READY);
    put(FLASH + 0x4000, 3 - 1);
    put(FLASH + 0x40fd, 1);
    put(FLASH + 0x40fe, 2);
    put(FLASH + 0x40ff, 3);
    put(FLASH + 0x4000, CONFIRM);
    g_assert_cmphex(status(FLASH), ==, READY);
    g_assert_cmphex(rig_load(FLASH + 0x40fc, 4), ==, 0x030201ff);
    g_assert_cmphex(stored(0x40ff), ==, 3);
    put(FLASH + 0x4000, BUFFER); /* across the end of the page */
    put(FLASH + 0x4000, 2 - 1);
    put(FLASH + 0x40ff, 0);
    put(FLASH + 0x4100, 0);
    g_assert_cmphex(status(FLASH), ==, (READY | ERASE_ERROR | PROGRAM_ERROR));
    g_assert_cmphex(get(FLASH + 0x40ff), ==, 3);
}

static void identity_and_query(void)
{
    start();
    put(FLASH, ID);
    g_assert_cmphex(get(FLASH), ==, 0x89);
    put(FLASH + 0x55, QUERY);
    g_assert_cmphex(rig_load(FLASH + 0x10, 4), ==, 0x01595251); /* QRY, Intel's commands */
    g_assert_cmpuint(get(FLASH + 0x27), ==, 20);                /* fits in 1 MiB */
    g_assert_cmpuint(get(FLASH + 0x2d), ==, SIZE / 4096 - 1);
    g_assert_cmpuint(get(FLASH + 0x2f), ==, 4096 / 256);
    put(FLASH, ARRAY_MODE);
}

static void a_read_only_drive_is_not_programmed(void)
{
    uint8_t before = get(READONLY);

    start();
    put(READONLY, PROGRAM);
    put(READONLY, 0);
    g_assert_cmphex(status(READONLY), ==, (READY | PROGRAM_ERROR));
    put(READONLY, CLEAR);
    put(READONLY, ERASE);
    put(READONLY, CONFIRM);
    g_assert_cmphex(status(READONLY), ==, (READY | ERASE_ERROR));
    g_assert_cmphex(get(READONLY), ==, before);
}

static void wrong_sequences_are_errors(void)
{
    start();
    put(FLASH, ERASE);
    put(FLASH, 0x12);
    g_assert_cmphex(status(FLASH), ==, (READY | ERASE_ERROR | PROGRAM_ERROR));
    put(FLASH, CLEAR);
    put(FLASH, 0x77);
    g_assert_cmphex(status(FLASH), ==, (READY | ERASE_ERROR | PROGRAM_ERROR));
    g_assert_cmphex(get(FLASH), ==, rig_pattern(0));
}

static void a_snapshot_goes_on_in_the_midst_and_fills_the_image(void)
{
    start();
    put(FLASH + 0x6000, ERASE);
    put(FLASH + 0x6000, CONFIRM);
    put(FLASH + 0x6001, PROGRAM);
    region_host(pflash_region(flash))[0x7000] = 0x99; /* as the core restores memory */
    rig_save_and_load(flash);
    put(FLASH + 0x6001, 0x42);
    put(FLASH, ARRAY_MODE);
    g_assert_cmphex(get(FLASH + 0x6001), ==, 0x42);
    g_assert_cmphex(stored(0x7000), ==, 0x99);
}

static void sizes_are_checked(void)
{
    Device *dev = device_new(&cfi_pflash01_type, NULL);
    g_autoptr(GError) error = NULL;

    device_set_pointer(dev, "drive", rig_drive("odd", "none", 0, 5000, false, false));
    g_assert_false(device_realize(dev, NULL, &error));
    g_assert_nonnull(strstr(error->message, "no multiple of 4 KiB"));
    device_free(dev);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    rig_init();
    image = rig_drive("image", "none", 0, SIZE, false, false);
    rig_drive("fixed", "none", 1, 4096, true, false);
    flash = rig_add("cfi.pflash01,drive=image", NULL);
    readonly = rig_add("cfi.pflash01,drive=fixed", NULL);
    region_add(memory_system_root(), FLASH, pflash_region(flash));
    region_add(memory_system_root(), READONLY, pflash_region(readonly));
#define ADD(fn) g_test_add_func("/pflash/" #fn, fn)
    ADD(the_contents_are_those_of_the_drive);
    ADD(it_is_known_for_flash);
    ADD(programming_clears_bits_for_good);
    ADD(a_buffer_is_programmed_at_once);
    ADD(identity_and_query);
    ADD(a_read_only_drive_is_not_programmed);
    ADD(wrong_sequences_are_errors);
    ADD(a_snapshot_goes_on_in_the_midst_and_fills_the_image);
    ADD(sizes_are_checked);
    return g_test_run();
}
