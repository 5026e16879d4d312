/* Drives and nodes as monitors show them, with QMP's names. */
#include "backends/block/backend.h"
#include "backends/block/node.h"

#include <sys/stat.h>

static int chain_length(const BlockImage *image)
{
    int n = 0;

    while ((image = image->backing)) {
        n++;
    }
    return n;
}

/* Members of ImageInfo. */
static Json *describe_image(BlockImage *image)
{
    Json *info = json_object(), *specific = json_object(), *data;
    BlockImage *bottom = image;
    struct stat st;

    while (bottom->file) {
        bottom = bottom->file;
    }
    json_set_string(info, "filename", image->name);
    json_set_string(info, "format", image->driver->name);
    json_set(info, "virtual-size", json_uint(block_image_size(image)));
    if (stat(bottom->name, &st) == 0) {
        json_set(info, "actual-size", json_uint(st.st_blocks * UINT64_C(512)));
    }
    json_set_bool(info, "dirty-flag", false);
    if (image->cluster_size) {
        json_set_int(info, "cluster-size", image->cluster_size);
    }
    if (image->encrypted) {
        json_set_bool(info, "encrypted", true);
    }
    if (image->backing_name) {
        json_set_string(info, "backing-filename", image->backing_name);
        if (image->backing_format) {
            json_set_string(info, "backing-filename-format", image->backing_format);
        }
    }
    if (image->backing) {
        json_set_string(info, "full-backing-filename", image->backing->name);
        json_set(info, "backing-image", describe_image(image->backing));
    }
    if (image->driver->info) {
        data = json_object();
        image->driver->info(image, data);
        json_set_string(specific, "type", image->driver->name);
        json_set(specific, "data", data);
        json_set(info, "format-specific", specific);
    } else {
        json_free(specific);
    }
    return info;
}

static void add_limits(Json *node, const BlockThrottle *t, const char *group)
{
    const struct {
        const char *name;
        const struct BlockThrottleLimit *limit;
    } rows[] = {
        { "bps", &t->bps_total },   { "bps_rd", &t->bps_read },   { "bps_wr", &t->bps_write },
        { "iops", &t->iops_total }, { "iops_rd", &t->iops_read }, { "iops_wr", &t->iops_write },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *max = g_strdup_printf("%s_max", rows[i].name);
        g_autofree char *length = g_strdup_printf("%s_max_length", rows[i].name);

        json_set(node, rows[i].name, json_uint(rows[i].limit->average));
        if (rows[i].limit->max) {
            json_set(node, max, json_uint(rows[i].limit->max));
            json_set(node, length, json_uint(MAX(1, rows[i].limit->max_length)));
        }
    }
    if (t->iops_size) {
        json_set(node, "iops_size", json_uint(t->iops_size));
    }
    if (group) {
        json_set_string(node, "group", group);
    }
}

static Json *describe_node(BlockImage *image, bool write_cache, DetectZeroes detect, const BlockThrottle *limits,
                           const char *group)
{
    static const char *const detect_names[] = { "off", "on", "unmap" };
    Json *node = json_object(), *cache = json_object();

    json_set_string(node, "file", image->name);
    json_set_string(node, "node-name", block_image_node_name(image));
    json_set_bool(node, "ro", image->flags & BLOCK_OPEN_READONLY);
    json_set_string(node, "drv", image->driver->name);
    json_set_bool(node, "encrypted", image->encrypted);
    if (image->backing) {
        json_set_string(node, "backing_file", image->backing->name);
    }
    json_set_int(node, "backing_file_depth", chain_length(image));
    json_set_string(node, "detect_zeroes", detect_names[detect]);
    json_set_int(node, "write_threshold", 0);
    add_limits(node, limits, group);
    json_set_bool(cache, "writeback", write_cache);
    json_set_bool(cache, "direct", image->flags & BLOCK_OPEN_DIRECT);
    json_set_bool(cache, "no-flush", image->flags & BLOCK_OPEN_UNSAFE);
    json_set(node, "cache", cache);
    json_set(node, "image", describe_image(image));
    return node;
}

Json *block_describe(const BlockBackend *blk)
{
    const char *group;
    const BlockThrottle *limits = block_throttle(blk, &group);
    Json *node = describe_node(blk->root, blk->write_cache, blk->detect_zeroes, limits, group);

    json_set_string(node, "file", blk->file);
    json_set_string(node, "drv", blk->format); /* of the image, also under -snapshot */
    json_set_bool(node, "ro", blk->readonly);
    return node;
}

static void add_node(BlockImage *image, void *opaque)
{
    static const BlockThrottle none;

    json_append(opaque, describe_node(image, true, MAX(0, image->node->detect_zeroes), &none, NULL));
}

Json *block_describe_nodes(void)
{
    Json *list = json_array();

    block_nodes_for_each(add_node, list);
    return list;
}
