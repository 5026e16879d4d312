/* QMP: drives, block nodes and what is done with them. */
#include "backends/block.h"
#include "core/iothread.h"
#include "monitor/internal.h"
#include "util/error.h"

/* ---- what there is ---- */

static bool removable(const BlockBackend *blk)
{
    return block_is_cdrom(blk) || g_strcmp0(block_options(blk)->interface, "floppy") == 0;
}

static const char *shown_id(const BlockBackend *blk)
{
    return block_options(blk)->is_node ? "" : block_id(blk);
}

static void add_block(BlockBackend *blk, void *opaque)
{
    const char *user = device_using(PROP_DRIVE, block_id(blk));
    Json *info = json_object();

    json_set_string(info, "device", shown_id(blk));
    if (user) {
        json_set_string(info, "qdev", user);
    }
    json_set_string(info, "type", "unknown");
    json_set_bool(info, "removable", removable(blk));
    json_set_bool(info, "locked", block_medium_locked(blk));
    if (removable(blk)) {
        json_set_bool(info, "tray_open", !block_inserted(blk));
    }
    json_set_string(info, "io-status", block_io_status(blk));
    if (block_inserted(blk)) {
        json_set(info, "inserted", block_describe(blk));
    }
    json_append(opaque, info);
}

Json *qmp_query_block(const Json *arguments, GError **error)
{
    Json *list = json_array();

    block_for_each(add_block, list);
    return list;
}

Json *qmp_query_nodes(const Json *arguments, GError **error)
{
    return block_describe_nodes();
}

static void add_blockstats(BlockBackend *blk, void *opaque)
{
    BlockStats s;
    Json *info = json_object(), *stats = json_object();

    block_stats(blk, &s);
    {
        const struct {
            const char *name;
            uint64_t value;
        } counters[] = {
            { "rd_bytes", s.read_bytes },
            { "wr_bytes", s.write_bytes },
            { "unmap_bytes", s.unmap_bytes },
            { "rd_operations", s.read_ops },
            { "wr_operations", s.write_ops },
            { "flush_operations", s.flush_ops },
            { "unmap_operations", s.unmap_ops },
            { "rd_total_time_ns", s.read_ns },
            { "wr_total_time_ns", s.write_ns },
            { "flush_total_time_ns", s.flush_ns },
            { "unmap_total_time_ns", s.unmap_ns },
            { "rd_merged", 0 },
            { "wr_merged", 0 },
            { "unmap_merged", 0 },
            { "failed_rd_operations", s.failed_reads },
            { "failed_wr_operations", s.failed_writes },
            { "failed_flush_operations", s.failed_flushes },
            { "failed_unmap_operations", s.failed_unmaps },
            { "invalid_rd_operations", s.invalid_reads },
            { "invalid_wr_operations", s.invalid_writes },
            { "invalid_flush_operations", 0 },
            { "invalid_unmap_operations", 0 },
            { "wr_highest_offset", s.highest_offset },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(counters); i++) {
            json_set(stats, counters[i].name, json_uint(counters[i].value));
        }
    }
    json_set_bool(stats, "account_failed", true);
    json_set_bool(stats, "account_invalid", true);
    json_set_string(info, "device", shown_id(blk));
    json_set(info, "stats", stats);
    json_append(opaque, info);
}

Json *qmp_query_blockstats(const Json *arguments, GError **error)
{
    Json *list = json_array();

    block_for_each(add_blockstats, list);
    return list;
}

static void add_iothread(IoThread *thread, void *opaque)
{
    Json *info = json_object();

    json_set_string(info, "id", iothread_id(thread));
    json_set_int(info, "thread-id", iothread_tid(thread));
    json_set_int(info, "poll-max-ns", 0);
    json_set_int(info, "poll-grow", 0);
    json_set_int(info, "poll-shrink", 0);
    json_append(opaque, info);
}

Json *qmp_query_iothreads(const Json *arguments, GError **error)
{
    Json *list = json_array();

    iothread_for_each(add_iothread, list);
    return list;
}

/* ---- media ---- */

Json *qmp_eject(const Json *arguments, GError **error)
{
    const char *name = json_member_string(arguments, "id");

    if (!name) {
        name = qmp_string(arguments, "device", error);
    }
    if (name) {
        action_eject(name, json_member_bool(arguments, "force", false), error);
    }
    return NULL;
}

Json *qmp_change(const Json *arguments, GError **error)
{
    const char *name = qmp_string(arguments, "device", error);
    const char *file = name ? qmp_string(arguments, "target", error) : NULL;

    if (file) {
        action_change(name, file, json_member_string(arguments, "arg"), false, error);
    }
    return NULL;
}

Json *qmp_change_medium(const Json *arguments, GError **error)
{
    const char *name = json_member_string(arguments, "id");
    const char *mode = json_member_string(arguments, "read-only-mode"), *file;

    if (!name) {
        name = qmp_string(arguments, "device", error);
    }
    file = name ? qmp_string(arguments, "filename", error) : NULL;
    if (file) {
        action_change(name, file, json_member_string(arguments, "format"),
                      g_strcmp0(mode, "read-only") == 0, error);
    }
    return NULL;
}

Json *qmp_close_tray(const Json *arguments, GError **error)
{
    const char *name = json_member_string(arguments, "id");

    name = name ? name : qmp_string(arguments, "device", error);
    if (name) {
        action_find_drive(name, error); /* trays close as soon as there is a medium */
    }
    return NULL;
}

/* ---- nodes and images ---- */

Json *qmp_blockdev_add(const Json *arguments, GError **error)
{
    block_node_add(arguments, error);
    return NULL;
}

Json *qmp_blockdev_del(const Json *arguments, GError **error)
{
    const char *name = qmp_string(arguments, "node-name", error);

    if (name) {
        action_node_del(name, error);
    }
    return NULL;
}

/* The drive that "device", "node-name" or "id" means. */
static BlockBackend *named_drive(const Json *arguments, GError **error)
{
    const char *name = json_member_string(arguments, "device");

    name = name ? name : json_member_string(arguments, "id");
    name = name ? name : json_member_string(arguments, "node-name");
    name = name ? name : qmp_string(arguments, "device", error);
    return name ? action_find_drive(name, error) : NULL;
}

Json *qmp_block_resize(const Json *arguments, GError **error)
{
    BlockBackend *blk = named_drive(arguments, error);
    int64_t size;

    if (blk && qmp_int(arguments, "size", &size, error)) {
        block_resize(blk, MAX(0, size), error);
    }
    return NULL;
}

Json *qmp_set_io_throttle(const Json *arguments, GError **error)
{
    BlockBackend *blk = named_drive(arguments, error);
    BlockThrottle t = { .iops_size = MAX(0, json_member_int(arguments, "iops_size", 0)) };
    const struct {
        const char *name;
        struct BlockThrottleLimit *limit;
    } rows[] = {
        { "bps", &t.bps_total },   { "bps_rd", &t.bps_read },   { "bps_wr", &t.bps_write },
        { "iops", &t.iops_total }, { "iops_rd", &t.iops_read }, { "iops_wr", &t.iops_write },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *max = g_strdup_printf("%s_max", rows[i].name);
        g_autofree char *length = g_strdup_printf("%s_max_length", rows[i].name);

        rows[i].limit->average = MAX(0, json_member_int(arguments, rows[i].name, 0));
        rows[i].limit->max = MAX(0, json_member_int(arguments, max, 0));
        rows[i].limit->max_length = MAX(0, json_member_int(arguments, length, 0));
    }
    if (blk) {
        block_set_throttle(blk, &t, json_member_string(arguments, "group"), error);
    }
    return NULL;
}

Json *qmp_snapshot_sync(const Json *arguments, GError **error)
{
    BlockBackend *blk = named_drive(arguments, error);
    const char *file = blk ? qmp_string(arguments, "snapshot-file", error) : NULL;

    if (file) {
        block_snapshot(blk, file, json_member_string(arguments, "format"),
                       json_member_string(arguments, "snapshot-node-name"),
                       g_strcmp0(json_member_string(arguments, "mode"), "existing") == 0, error);
    }
    return NULL;
}
