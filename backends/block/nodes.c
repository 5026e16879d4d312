/* Nodes that the user made (-blockdev, blockdev-add) and drives around them. */
#include "backends/block/backend.h"
#include "backends/block/node.h"
#include "util/error.h"

static GPtrArray *named; /* of BlockImage *; a reference each */

bool block_node_add(const Json *options, GError **error)
{
    const char *name = json_member_string(options, "node-name"), *driver = json_member_string(options, "driver");
    BlockImage *image;

    if (!name || !*name || !driver) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "a block node needs driver and node-name");
        return false;
    }
    if (block_find(name)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "node-name=%s is the id of a drive", name);
        return false;
    }
    image = block_image_open(NULL, NULL, options, 0, error);
    if (!image) {
        return false;
    }
    named = named ? named : g_ptr_array_new();
    g_ptr_array_add(named, image);
    return true;
}

bool block_node_del(const char *node_name, GError **error)
{
    BlockImage *image = block_image_find(node_name);

    if (!image || !named || !g_ptr_array_find(named, image, NULL)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, image ? "block node '%s' was not made by blockdev-add"
                                                          : "there is no block node '%s'", node_name);
        return false;
    }
    if (image->node->refs > 1) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "block node '%s' is in use", node_name);
        return false;
    }
    g_ptr_array_remove(named, image);
    block_image_close(image);
    return true;
}

void block_nodes_close_all(void)
{
    while (named && named->len) { /* the last made may sit on earlier ones */
        block_image_close(g_ptr_array_steal_index(named, named->len - 1));
    }
}

BlockBackend *block_find_or_attach(const char *name, GError **error)
{
    BlockBackend *blk = block_find(name);
    BlockImage *image = blk ? NULL : block_image_find(name);
    BlockOptions options = { .bus = -1, .unit = -1, .index = -1 };

    if (blk) {
        return blk;
    }
    if (!image) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "there is no drive '%s'", name);
        return NULL;
    }
    options.id = options.node_name = (char *)name;
    options.interface = (char *)"none";
    options.is_node = true;
    blk = block_new(&options, error);
    if (blk) {
        block_set_root(blk, block_image_ref(image));
    }
    return blk;
}
