/* Drives and their media: requests, errors, temporary writes, changes. */
#include "backends/block.h"
#include "tests/hw/rig.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

static int last_error, done_count;

static void done(void *opaque, int error)
{
    last_error = error;
    done_count++;
}

static BlockBackend *open_drive(const char *id, const char *file, const char *format, bool readonly,
                                bool snapshot, GError **error)
{
    BlockOptions o = {
        .id = (char *)id, .file = (char *)file, .format = (char *)format, .interface = (char *)"none",
        .bus = 0, .unit = 9, .index = -1, .readonly = readonly, .snapshot = snapshot,
    };

    return block_new(&o, error);
}

static int transfer(BlockBackend *blk, bool is_write, uint64_t offset, void *a, size_t size_a, void *b,
                    size_t size_b)
{
    struct iovec iov[2] = { { a, size_a }, { b, size_b } };
    int before = done_count;

    if (is_write) {
        block_write(blk, offset, iov, 2, 0, done, NULL);
    } else {
        block_read(blk, offset, iov, 2, done, NULL);
    }
    g_assert_cmpint(done_count, ==, before); /* never from within the call */
    block_drain(blk);
    g_assert_cmpint(done_count, ==, before + 1);
    return last_error;
}

static uint8_t byte_of_file(const char *path, size_t at)
{
    g_autofree char *data = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    g_assert_cmpuint(at, <, size);
    return data[at];
}

static void vectors_are_scattered_and_gathered(void)
{
    const char *path = rig_image(64 * 512);
    BlockBackend *blk = open_drive("vectors", path, "raw", false, false, NULL);
    uint8_t a[512], b[1024];

    g_assert_cmpuint(block_size(blk), ==, 64 * 512);
    g_assert_cmpint(transfer(blk, false, 10 * 512, a, 512, b, 1024), ==, 0);
    g_assert_cmphex(a[0], ==, rig_pattern(10));
    g_assert_cmphex(b[0], ==, rig_pattern(11));
    g_assert_cmphex(b[1023], ==, rig_pattern(12));
    memset(a, 0xaa, 512);
    memset(b, 0xbb, 1024);
    g_assert_cmpint(transfer(blk, true, 20 * 512, a, 512, b, 1024), ==, 0);
    block_flush(blk, done, NULL);
    block_drain(blk);
    g_assert_cmphex(byte_of_file(path, 20 * 512), ==, 0xaa);
    g_assert_cmphex(byte_of_file(path, 23 * 512 - 1), ==, 0xbb);
    g_assert_cmphex(byte_of_file(path, 23 * 512), ==, rig_pattern(23));
}

static void requests_past_the_end_fail(void)
{
    BlockBackend *blk = open_drive("end", rig_image(8 * 512), "raw", false, false, NULL);
    uint8_t a[512], b[512];

    g_assert_cmpint(transfer(blk, false, 7 * 512, a, 512, b, 512), ==, EINVAL);
    g_assert_cmpint(transfer(blk, true, UINT64_MAX - 511, a, 512, b, 512), ==, EINVAL);
    g_assert_cmpint(transfer(blk, false, 6 * 512, a, 512, b, 512), ==, 0);
}

static void readonly_drives_refuse_writes(void)
{
    const char *path = rig_image(8 * 512);
    BlockBackend *blk = open_drive("readonly", path, "raw", true, false, NULL);
    uint8_t a[512] = { 1 }, b[512] = { 2 };

    g_assert_true(block_readonly(blk));
    g_assert_cmpint(transfer(blk, true, 0, a, 512, b, 512), ==, EROFS);
    g_assert_false(block_write_sync(blk, 0, a, 512, NULL));
    g_assert_cmphex(byte_of_file(path, 0), ==, rig_pattern(0));
}

static void snapshot_writes_stay_out_of_the_file(void)
{
    const char *path = rig_image(300 * 512);
    BlockBackend *blk = open_drive("temporary", path, "raw", false, true, NULL);
    uint8_t a[512], b[512];

    memset(a, 0x5a, 512);
    memset(b, 0xa5, 512);
    g_assert_cmpint(transfer(blk, true, 200 * 512, a, 512, b, 512), ==, 0);
    memset(a, 0, 512);
    memset(b, 0, 512);
    g_assert_cmpint(transfer(blk, false, 201 * 512, a, 512, b, 512), ==, 0);
    g_assert_cmphex(a[100], ==, 0xa5);
    g_assert_cmphex(b[100], ==, rig_pattern(202));
    g_assert_cmpint(transfer(blk, false, 199 * 512, a, 512, b, 512), ==, 0);
    g_assert_cmphex(a[100], ==, rig_pattern(199));
    g_assert_cmphex(b[100], ==, 0x5a);
    g_assert_cmphex(byte_of_file(path, 200 * 512), ==, rig_pattern(200));
}

static void odd_sizes_are_filled_with_zeros(void)
{
    g_autofree char *path = NULL;
    BlockBackend *blk;
    uint8_t sector[512];

    g_close(g_file_open_tmp("myna-test-XXXXXX", &path, NULL), NULL);
    g_assert_true(g_file_set_contents(path, "hello", 5, NULL));
    blk = open_drive("odd", path, "raw", false, false, NULL);
    g_assert_cmpuint(block_size(blk), ==, 512);
    g_assert_true(block_read_sync(blk, 0, sector, 512, NULL));
    g_assert_cmpmem(sector, 5, "hello", 5);
    g_assert_cmpint(sector[511], ==, 0);
    g_unlink(path);
}

static int changes;
static bool is_loaded, is_locked;

static void changed(void *opaque, bool loaded)
{
    changes++;
    is_loaded = loaded;
}

static bool locked(void *opaque)
{
    return is_locked;
}

static void media_come_and_go(void)
{
    static const BlockMediaOps ops = { .changed = changed, .medium_locked = locked };
    BlockBackend *blk = open_drive("tray", rig_image(8 * 512), "raw", false, false, NULL);
    uint8_t a[512], b[512];

    g_assert_false(block_eject(blk, false, NULL)); /* not removable yet */
    block_set_media_ops(blk, &ops, NULL);
    is_locked = true;
    g_assert_false(block_eject(blk, false, NULL));
    is_locked = false;
    g_assert_true(block_eject(blk, false, NULL));
    g_assert_false(is_loaded);
    g_assert_false(block_inserted(blk));
    g_assert_cmpuint(block_size(blk), ==, 0);
    g_assert_null(block_filename(blk));
    g_assert_cmpint(transfer(blk, false, 0, a, 512, b, 512), ==, ENOMEDIUM);
    g_assert_true(block_change(blk, rig_image(16 * 512), "raw", true, NULL));
    g_assert_true(is_loaded);
    g_assert_cmpuint(block_size(blk), ==, 16 * 512);
    g_assert_true(block_readonly(blk));
}

static void drives_are_found_by_name_and_place(void)
{
    BlockBackend *blk = rig_drive("placed", "ide", 1, 512, false, false);
    g_autoptr(GError) error = NULL;

    g_assert_true(block_find("placed") == blk);
    g_assert_true(block_find_drive("ide", 0, 1) == blk);
    g_assert_null(block_find_drive("ide", 1, 1));
    g_assert_null(block_find("nobody"));
    g_assert_null(open_drive("placed", NULL, NULL, false, false, &error));
    g_assert_nonnull(error);
}

static void what_cannot_be_opened_is_named(void)
{
    g_autoptr(GError) missing = NULL, format = NULL, foreign = NULL;
    const char *path = rig_image(8 * 512);
    BlockBackend *blk;

    g_assert_null(open_drive("m", "/nowhere/at.all", "raw", false, false, &missing));
    g_assert_nonnull(strstr(missing->message, "/nowhere/at.all"));
    g_assert_null(open_drive("f", path, "floppycow", false, false, &format));
    g_assert_nonnull(strstr(format->message, "floppycow"));
    g_assert_true(g_file_set_contents(path, "QFI\xfb\0\0\0\3", 8, NULL));
    blk = open_drive("q", path, NULL, false, false, &foreign);
    if (blk) {
        block_delete(blk);
    } else {
        g_assert_nonnull(strstr(foreign->message, path));
    }
    g_assert_nonnull(open_drive("q2", path, "raw", false, false, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
#define ADD(fn) g_test_add_func("/block/" #fn, fn)
    ADD(vectors_are_scattered_and_gathered);
    ADD(requests_past_the_end_fail);
    ADD(readonly_drives_refuse_writes);
    ADD(snapshot_writes_stay_out_of_the_file);
    ADD(odd_sizes_are_filled_with_zeros);
    ADD(media_come_and_go);
    ADD(drives_are_found_by_name_and_place);
    ADD(what_cannot_be_opened_is_named);
    return g_test_run();
}
