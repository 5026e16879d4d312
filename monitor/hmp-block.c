/* The human monitor: drives and their images. */
#include "backends/block.h"
#include "monitor/internal.h"
#include "util/options.h"

#include <string.h>

/* ---- info ---- */

static void put_block(BlockBackend *blk, void *opaque)
{
    const char *user = device_using(PROP_DRIVE, block_id(blk));
    Hmp *hmp = opaque;

    if (block_inserted(blk)) {
        g_autoptr(Json) node = block_describe(blk);
        const Json *cache = json_get(node, "cache");
        const char *backing = json_member_string(node, "backing_file");

        hmp_printf(hmp, "%s (%s): %s (%s%s)\n", block_id(blk), json_member_string(node, "node-name"), block_filename(blk),
                   block_format(blk), block_readonly(blk) ? ", read-only" : "");
        hmp_printf(hmp, "    Cache mode:       %s%s%s\n",
                   json_member_bool(cache, "writeback", true) ? "writeback" : "writethrough",
                   json_member_bool(cache, "direct", false) ? ", direct" : "",
                   json_member_bool(cache, "no-flush", false) ? ", ignore flushes" : "");
        if (backing) {
            hmp_printf(hmp, "    Backing file:     %s (chain depth: %d)\n", backing,
                       (int)json_member_int(node, "backing_file_depth", 0));
        }
    } else {
        hmp_printf(hmp, "%s: [not inserted]\n", block_id(blk));
    }
    if (user) {
        hmp_printf(hmp, "    Attached to:      %s\n", user);
    }
    if (block_options(blk)->cdrom || g_strcmp0(block_options(blk)->interface, "floppy") == 0) {
        hmp_printf(hmp, "    Removable device: %slocked, tray %s\n", block_medium_locked(blk) ? "" : "not ",
                   block_inserted(blk) ? "closed" : "open");
    }
}

void info_block(Hmp *hmp, const HmpArgs *args)
{
    block_for_each(put_block, hmp);
}

static void put_stats(BlockBackend *blk, void *opaque)
{
    BlockStats s;

    block_stats(blk, &s);
    hmp_printf(opaque,
               "%s: rd_bytes=%" G_GUINT64_FORMAT " wr_bytes=%" G_GUINT64_FORMAT " rd_operations=%" G_GUINT64_FORMAT
               " wr_operations=%" G_GUINT64_FORMAT " flush_operations=%" G_GUINT64_FORMAT
               " wr_total_time_ns=%" G_GUINT64_FORMAT " rd_total_time_ns=%" G_GUINT64_FORMAT
               " flush_total_time_ns=%" G_GUINT64_FORMAT "\n",
               block_id(blk), s.read_bytes, s.write_bytes, s.read_ops, s.write_ops, s.flush_ops, s.write_ns, s.read_ns,
               s.flush_ns);
}

void info_blockstats(Hmp *hmp, const HmpArgs *args)
{
    block_for_each(put_stats, hmp);
}

/* ---- commands ---- */

static void say(Hmp *hmp, GError *error)
{
    if (error) {
        hmp_error(hmp, error);
    }
}

void hmp_block_resize(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    BlockBackend *blk = action_find_drive(args->argv[0], &error);
    uint64_t size;

    if (blk && !parse_size(args->argv[1], 1 << 20, &size)) { /* megabytes, unless it says otherwise */
        hmp_printf(hmp, "Error: '%s' is not a size\n", args->argv[1]);
        return;
    }
    if (blk) {
        block_resize(blk, size, &error);
    }
    say(hmp, error);
}

void hmp_set_io_throttle(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    BlockBackend *blk = action_find_drive(args->argv[0], &error);
    BlockThrottle t = { 0 };
    struct BlockThrottleLimit *const limits[] = { &t.bps_total,  &t.bps_read,  &t.bps_write,
                                                  &t.iops_total, &t.iops_read, &t.iops_write };

    for (int i = 0; blk && i < 6; i++) {
        if (!parse_size(args->argv[1 + i], 1, &limits[i]->average)) {
            hmp_printf(hmp, "Error: '%s' is not a number\n", args->argv[1 + i]);
            return;
        }
    }
    if (blk) {
        block_set_throttle(blk, &t, NULL, &error);
    }
    say(hmp, error);
}

static void commit_one(BlockBackend *blk, void *opaque)
{
    GError *error = NULL;

    if (block_inserted(blk) && !block_readonly(blk)) {
        g_autoptr(Json) node = block_describe(blk);

        if (json_member_int(node, "backing_file_depth", 0)) {
            block_commit(blk, &error);
            say(opaque, error);
        }
    }
}

void hmp_commit(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    BlockBackend *blk;

    if (g_str_equal(args->argv[0], "all")) {
        block_for_each(commit_one, hmp);
        return;
    }
    blk = action_find_drive(args->argv[0], &error);
    if (blk) {
        block_commit(blk, &error);
    }
    say(hmp, error);
}

void hmp_drive_add(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    const char *options = args->argv[args->argc - 1]; /* a PCI address may stand before it */

    if (!monitor_hooks.add_drive) {
        hmp_printf(hmp, "Error: this program adds no drives\n");
    } else if (monitor_hooks.add_drive(options, &error)) {
        hmp_printf(hmp, "OK\n");
    }
    say(hmp, error);
}

void hmp_drive_del(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    BlockBackend *blk = action_find_drive(args->argv[0], &error);

    if (blk) {
        action_drive_del(blk, &error);
    }
    say(hmp, error);
}

void hmp_snapshot_blkdev(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    bool reuse = hmp_flag(args, "-n");
    char **argv = args->argv + (args->argc && args->argv[0][0] == '-');
    int argc = args->argc - (args->argc && args->argv[0][0] == '-');
    BlockBackend *blk = argc >= 2 ? action_find_drive(argv[0], &error) : NULL;

    if (argc < 2) {
        hmp_printf(hmp, "Error: needs a device and a file\n");
        return;
    }
    if (blk) {
        block_snapshot(blk, argv[1], argc > 2 ? argv[2] : NULL, NULL, reuse, &error);
    }
    say(hmp, error);
}
