/* Images over images: opening them by name or options, their backing chains, closing them. */
#include "backends/block/names.h"
#include "backends/block/node.h"
#include "backends/block/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROBE_SIZE 2048
#define CHAIN_MAX 200

/* What is being opened above, to see loops. */
typedef struct Above {
    const char *path; /* real path of the file */
    int depth;
    const struct Above *above;
} Above;

static GMutex nodes_lock;
static GPtrArray *nodes; /* of BlockImage *, all that are open */

static BlockImage *open_node(const char *name, Json *options, const char *format, unsigned flags, bool is_file,
                             const Above *above, GError **error);

/* ---- nodes ---- */

void block_node_attach(BlockImage *image, char *node_name)
{
    static int count;
    BlockNode *node = g_new0(BlockNode, 1);

    g_mutex_lock(&nodes_lock);
    node->name = node_name ? node_name : g_strdup_printf("#block%03d", count++);
    node->refs = 1;
    node->detect_zeroes = -1;
    g_rw_lock_init(&node->edges);
    image->node = node;
    if (!nodes) {
        nodes = g_ptr_array_new();
    }
    g_ptr_array_add(nodes, image);
    g_mutex_unlock(&nodes_lock);
}

BlockImage *block_image_ref(BlockImage *image)
{
    g_atomic_int_inc(&image->node->refs);
    return image;
}

const char *block_image_node_name(const BlockImage *image)
{
    return image->node->name;
}

BlockImage *block_image_find(const char *node_name)
{
    BlockImage *found = NULL;

    g_mutex_lock(&nodes_lock);
    for (guint i = 0; nodes && i < nodes->len && !found; i++) {
        BlockImage *image = g_ptr_array_index(nodes, i);

        found = g_str_equal(image->node->name, node_name) ? image : NULL;
    }
    g_mutex_unlock(&nodes_lock);
    return found;
}

void block_nodes_for_each(void (*fn)(BlockImage *image, void *opaque), void *opaque)
{
    g_mutex_lock(&nodes_lock);
    for (guint i = 0; nodes && i < nodes->len; i++) {
        fn(g_ptr_array_index(nodes, i), opaque);
    }
    g_mutex_unlock(&nodes_lock);
}

void block_image_close(BlockImage *image)
{
    BlockNode *node;
    BlockImage *file, *backing;
    char *names[3];

    if (!image || !g_atomic_int_dec_and_test(&image->node->refs)) {
        return;
    }
    node = image->node;
    file = image->file;
    backing = image->backing;
    names[0] = image->name;
    names[1] = image->backing_name;
    names[2] = image->backing_format;
    g_mutex_lock(&nodes_lock);
    g_ptr_array_remove_fast(nodes, image);
    g_mutex_unlock(&nodes_lock);
    image->driver->close(image);
    block_image_close(file);
    block_image_close(backing);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_free(names[i]);
    }
    g_rw_lock_clear(&node->edges);
    g_free(node->name);
    g_free(node);
}

/* ---- options that every node has ---- */

typedef struct Common {
    char *driver, *node_name;
    int detect_zeroes;
    Json *file, *backing; /* object, text (a node's name) or null; NULL if absent */
} Common;

static void common_clear(Common *c)
{
    g_free(c->driver);
    g_free(c->node_name);
    json_free(c->file);
    json_free(c->backing);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Common, common_clear)

static void set_flag(unsigned *flags, unsigned flag, bool on)
{
    *flags = on ? *flags | flag : *flags & ~flag;
}

static bool take_flag(Json *options, const char *name, unsigned flag, unsigned *flags, GError **error)
{
    bool on = *flags & flag;

    if (!block_option_bool(options, name, &on, error)) {
        return false;
    }
    set_flag(flags, flag, on);
    return true;
}

static bool take_discard(Json *options, unsigned *flags, GError **error)
{
    g_autofree char *discard = NULL;

    if (!block_option_string(options, "discard", &discard, error)) {
        return false;
    }
    if (!discard) {
        return true;
    }
    if (g_str_equal(discard, "unmap") || g_str_equal(discard, "on")) {
        *flags |= BLOCK_OPEN_DISCARD;
    } else if (g_str_equal(discard, "ignore") || g_str_equal(discard, "off")) {
        *flags &= ~BLOCK_OPEN_DISCARD;
    } else {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "discard=%s is neither unmap nor ignore", discard);
        return false;
    }
    return true;
}

static bool take_cache(Json *options, unsigned *flags, GError **error)
{
    g_autoptr(Json) cache = json_remove(options, "cache");

    if (!cache) {
        return true;
    }
    if (json_kind(cache) != JSON_OBJECT) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "cache has the members direct and no-flush");
        return false;
    }
    return take_flag(cache, "direct", BLOCK_OPEN_DIRECT, flags, error) &&
           take_flag(cache, "no-flush", BLOCK_OPEN_UNSAFE, flags, error) &&
           block_options_check_empty(cache, "cache", error);
}

static bool take_detect_zeroes(Json *options, int *detect, GError **error)
{
    static const char *const names[] = { "off", "on", "unmap" };
    g_autofree char *text = NULL;

    *detect = -1;
    if (!block_option_string(options, "detect-zeroes", &text, error)) {
        return false;
    }
    if (!text) {
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (g_str_equal(names[i], text)) {
            *detect = i;
            return true;
        }
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "detect-zeroes=%s is none of off, on, unmap", text);
    return false;
}

static bool take_common(Json *options, Common *c, unsigned *flags, GError **error)
{
    if (!block_option_string(options, "driver", &c->driver, error) ||
        !block_option_string(options, "node-name", &c->node_name, error) ||
        !take_flag(options, "read-only", BLOCK_OPEN_READONLY, flags, error) ||
        !take_flag(options, "auto-read-only", BLOCK_OPEN_AUTO_READONLY, flags, error) ||
        !take_flag(options, "share-rw", BLOCK_OPEN_SHARE_RW, flags, error) ||
        !take_flag(options, "force-share", BLOCK_OPEN_NO_LOCK, flags, error) ||
        !take_detect_zeroes(options, &c->detect_zeroes, error) || !take_discard(options, flags, error) ||
        !take_cache(options, flags, error)) {
        return false;
    }
    if (c->node_name && block_image_find(c->node_name)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "two block nodes have the name '%s'", c->node_name);
        return false;
    }
    c->file = json_remove(options, "file");
    c->backing = json_remove(options, "backing");
    return true;
}

/* ---- the parts of a node ---- */

static BlockImage *referenced(const char *node_name, GError **error)
{
    BlockImage *image = block_image_find(node_name);

    if (!image) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "there is no block node '%s'", node_name);
        return NULL;
    }
    return block_image_ref(image);
}

static BlockImage *open_file_child(const char *name, Common *c, unsigned flags, const Above *above, GError **error)
{
    Json *options = NULL;

    if (c->file && json_get_string(c->file)) {
        return referenced(json_get_string(c->file), error);
    }
    if (c->file && json_kind(c->file) != JSON_OBJECT) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "file is neither an object nor a node's name");
        return NULL;
    }
    if (!c->file && !name) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "driver '%s' needs file=", c->driver ? c->driver : "");
        return NULL;
    }
    options = c->file ? g_steal_pointer(&c->file) : json_object();
    return open_node(name, options, NULL, (flags | BLOCK_OPEN_DISCARD) & ~BLOCK_OPEN_NO_BACKING, true, above, error);
}

static const BlockDriver *choose_driver(const char *name, const Json *options, const char *wanted, bool is_file,
                                        GError **error)
{
    const BlockDriver *driver;

    if (!wanted && !is_file) {
        return NULL; /* to be probed */
    }
    if (!wanted) {
        const char *file_name = name ? name : json_member_string(options, "filename");

        if (!file_name) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "a file needs driver= or filename=");
            return NULL;
        }
        return block_name_protocol(file_name, error);
    }
    driver = block_driver_find(wanted);
    if (!driver) {
        block_driver_unknown(wanted, error);
    }
    return driver;
}

static const BlockDriver *probe(BlockImage *file)
{
    g_autofree uint8_t *head = g_malloc0(PROBE_SIZE);
    size_t size = MIN(PROBE_SIZE, block_image_size(file));

    if (block_image_read(file, 0, head, size) != 0) {
        size = 0; /* a drive without a medium; a bad sector shows itself again later */
    }
    return block_driver_probe(head, size, file->name);
}

static void set_file_name(Json *options, const char *name)
{
    const char *path = block_name_path(name);

    if (!json_get(options, "filename")) {
        json_set_string(options, "filename", path);
    }
}

static bool has_loop(const char *path, const Above *above)
{
    for (; above; above = above->above) {
        if (path && above->path && g_str_equal(path, above->path)) {
            return true;
        }
    }
    return false;
}

static bool open_backing(BlockImage *image, Common *c, const Above *above, GError **error)
{
    unsigned flags = (image->flags | BLOCK_OPEN_READONLY) & ~(BLOCK_OPEN_AUTO_READONLY | BLOCK_OPEN_WRITETHROUGH);
    g_autofree char *name = NULL, *format = g_strdup(image->backing_format);
    Json *options = NULL;

    if (c->backing && json_kind(c->backing) == JSON_NULL) {
        return true;
    }
    if (c->backing && !image->driver->supports_backing) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "format '%s' has no backing images", image->driver->name);
        return false;
    }
    if (c->backing && json_get_string(c->backing)) {
        if (*json_get_string(c->backing)) {
            image->backing = referenced(json_get_string(c->backing), error);
        }
        return image->backing || !*json_get_string(c->backing);
    }
    if (image->flags & BLOCK_OPEN_NO_BACKING || (!image->backing_name && !c->backing)) {
        return true;
    }
    options = c->backing ? g_steal_pointer(&c->backing) : json_object();
    if (image->backing_name && !json_get(options, "file") && !json_get(options, "filename")) {
        name = block_name_relative_to(image->name, image->backing_name);
    }
    if (json_get(options, "driver")) {
        g_clear_pointer(&format, g_free);
    }
    image->backing = open_node(name, options, format, flags, false, above, error);
    if (!image->backing) {
        g_prefix_error(error, "backing image of '%s': ", image->name);
    }
    return image->backing != NULL;
}

/* Opens the driver on its file (taken) with what is left of the options. */
static BlockImage *open_driver(const BlockDriver *driver, const char *name, BlockImage *file, Json *options,
                               unsigned flags, Common *c, GError **error)
{
    g_autofree char *shown = g_strdup(name ? name : file ? file->name : json_member_string(options, "filename"));
    BlockOpen how = { shown ? shown : "", file, options, flags };
    g_autofree char *what = g_strdup_printf("%s '%s'", driver->is_protocol ? "driver" : "format", driver->name);
    BlockImage *image = driver->open(&how, error);

    if (!image) {
        block_image_close(file);
        return NULL;
    }
    if (!image->name) {
        image->name = g_strdup(block_name_path(how.name));
    }
    image->flags |= how.flags;
    image->file = file;
    if (file && file->flags & BLOCK_OPEN_READONLY) {
        image->flags |= BLOCK_OPEN_READONLY;
    }
    block_node_attach(image, g_steal_pointer(&c->node_name));
    image->node->detect_zeroes = c->detect_zeroes;
    if (!block_options_check_empty(options, what, error)) {
        block_image_close(image);
        return NULL;
    }
    return image;
}

static bool is_new_in_chain(const char *path, const Above *above, GError **error)
{
    if (!has_loop(path, above) && (!above || above->depth < CHAIN_MAX)) {
        return true;
    }
    g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "the backing chain comes back to '%s', or is longer than %d images", path,
                CHAIN_MAX);
    return false;
}

/* A format on its file, then its backing chain. driver NULL: what the file looks like. */
static BlockImage *open_format(const BlockDriver *driver, const char *name, Json *options, unsigned flags, Common *c,
                               const Above *above, GError **error)
{
    const char *given = name ? name : c->file ? json_member_string(c->file, "filename") : NULL;
    g_autofree char *path = given ? g_canonicalize_filename(block_name_path(given), NULL) : NULL;
    Above here = { path, above ? above->depth + 1 : 1, above };
    bool probed = !driver;
    BlockImage *file, *image;

    if (!is_new_in_chain(path, above, error)) {
        return NULL;
    }
    file = open_file_child(name, c, flags, above, error);
    if (!file) {
        return NULL;
    }
    image = open_driver(driver ? driver : probe(file), name, file, options, flags, c, error);
    if (!image) {
        return NULL;
    }
    image->probed = probed;
    if (!open_backing(image, c, &here, error)) {
        block_image_close(image);
        return NULL;
    }
    return image;
}

static BlockImage *open_parts(const char *name, Json *options, const char *format, unsigned flags, bool is_file,
                              const Above *above, GError **error)
{
    g_auto(Common) c = { 0 };
    const BlockDriver *driver;
    GError *failed = NULL;

    if (!take_common(options, &c, &flags, error)) {
        return NULL;
    }
    if (!c.driver) {
        c.driver = g_strdup(format);
    }
    driver = choose_driver(name, options, c.driver, is_file, &failed);
    if (failed) {
        g_propagate_error(error, failed);
        return NULL;
    }
    if (!driver || !driver->is_protocol) {
        return open_format(driver, name, options, flags, &c, above, error);
    }
    if (c.file || c.backing) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "driver '%s' has no '%s'", driver->name, c.file ? "file" : "backing");
        return NULL;
    }
    if (name) {
        set_file_name(options, name);
    }
    return open_driver(driver, name, NULL, options, flags, &c, error);
}

/* Takes options. is_file: the node is what a format sits on, so its format is not probed. */
static BlockImage *open_node(const char *name, Json *options, const char *format, unsigned flags, bool is_file,
                             const Above *above, GError **error)
{
    BlockImage *image = NULL;

    if (name && g_str_has_prefix(name, "json:")) {
        g_autoptr(Json) flat = json_parse(name + 5, error);
        Json *tree = flat && json_kind(flat) == JSON_OBJECT ? block_options_nested(flat, error) : NULL;

        if (!tree) {
            if (flat && json_kind(flat) != JSON_OBJECT) {
                g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is no object", name);
            }
            json_free(options);
            return NULL;
        }
        block_options_merge(tree, options);
        json_free(options);
        options = tree;
        name = NULL;
    }
    image = open_parts(name, options, format, flags, is_file, above, error);
    json_free(options);
    return image;
}

BlockImage *block_image_open(const char *name, const char *format, const Json *options, unsigned flags, GError **error)
{
    Json *tree = options ? block_options_nested(options, error) : json_object();

    return tree ? open_node(name, tree, format, flags, false, NULL, error) : NULL;
}

/* ---- changes ---- */

bool block_image_reopen(BlockImage *image, bool writable, GError **error)
{
    unsigned old = image->flags, flags = writable ? old & ~BLOCK_OPEN_READONLY : old | BLOCK_OPEN_READONLY;

    if (flags == old) {
        return true;
    }
    if (image->driver->is_protocol && !image->driver->reopen) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' cannot be reopened", image->name);
        return false;
    }
    if (writable && image->file && !block_image_reopen(image->file, true, error)) {
        return false;
    }
    if (image->driver->reopen && !image->driver->reopen(image, flags, error)) {
        if (writable && image->file) {
            block_image_reopen(image->file, false, NULL);
        }
        return false;
    }
    image->flags = flags;
    return writable || !image->file || block_image_reopen(image->file, false, error);
}

int block_image_resize(BlockImage *image, uint64_t size, GError **error)
{
    if (!image->driver->resize) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "images of format '%s' cannot be resized", image->driver->name);
        return ENOTSUP;
    }
    if (image->flags & BLOCK_OPEN_READONLY) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is read-only", image->name);
        return EROFS;
    }
    return image->driver->resize(image, size, false, error);
}

/* ---- new images ---- */

static bool check_create_options(const BlockDriver *driver, const Json *options, GError **error)
{
    for (unsigned i = 0; i < json_count(options); i++) {
        const BlockCreateOption *known = driver->create_options;

        while (known && known->name && !g_str_equal(known->name, json_name_at(options, i))) {
            known++;
        }
        if (!known || !known->name) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "format '%s' has no creation option '%s'", driver->name,
                        json_name_at(options, i));
            return false;
        }
    }
    return true;
}

bool block_image_create(const char *name, const char *format, uint64_t size, const Json *options, GError **error)
{
    const BlockDriver *driver = block_driver_find(format), *protocol;
    g_autoptr(Json) given = options ? json_copy(options) : json_object();
    g_autoptr(Json) none = json_object();
    BlockImage *file;
    bool good;

    if (!driver) {
        block_driver_unknown(format, error);
        return false;
    }
    if (!driver->create) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "images of format '%s' cannot be created", format);
        return false;
    }
    if (!check_create_options(driver, given, error) || !(protocol = block_name_protocol(name, error))) {
        return false;
    }
    if (driver->is_protocol) {
        return driver->create(NULL, block_name_path(name), size, given, error);
    }
    if (protocol->create && !protocol->create(NULL, block_name_path(name), 0, none, error)) {
        return false;
    }
    file = open_node(name, json_object(), NULL, BLOCK_OPEN_DISCARD, true, NULL, error);
    if (!file) {
        return false;
    }
    good = driver->create(file, block_name_path(name), size, given, error);
    block_image_close(file);
    return good;
}
