/* -drive, -blockdev, -hda and their like: what they mean, kept until the drives are opened. */
#include "system/cmdline.h"

#include "core/device.h"
#include "core/machine.h"
#include "system/startup.h"
#include "util/error.h"
#include "util/options.h"

#include <string.h>

static GPtrArray *wanted; /* of BlockOptions * */
static GPtrArray *nodes;  /* of Json *, from -blockdev */

static const char *const interfaces[] = { "floppy", "ide", "mtd", "none", "pflash", "scsi", "sd", "virtio", NULL };

/* ---- where a drive sits ---- */

/* How many units sit on one bus of an interface; 0: there is one bus. */
static int units_per_bus(const char *interface)
{
    const BoardType *board = startup_find_board(cmdline.machine);

    if (g_str_equal(interface, "ide")) {
        return board && board->ide_units ? board->ide_units : 2;
    }
    return g_str_equal(interface, "floppy") ? 2 : g_str_equal(interface, "scsi") ? 7 : 0;
}

/* By those before it on the command line. */
static bool place_taken(const BlockOptions *o)
{
    for (guint i = 0; wanted && i < wanted->len && g_ptr_array_index(wanted, i) != o; i++) {
        const BlockOptions *other = g_ptr_array_index(wanted, i);

        if (g_str_equal(other->interface, o->interface) && other->bus == o->bus &&
            other->unit == o->unit) {
            return true;
        }
    }
    return false;
}

static void put_at(BlockOptions *o, int index)
{
    int per_bus = units_per_bus(o->interface);

    o->bus = per_bus ? index / per_bus : 0;
    o->unit = per_bus ? index % per_bus : index;
}

static bool place(BlockOptions *o, bool cdrom_default, GError **error)
{
    if (g_str_equal(o->interface, "none")) {
        return true;
    }
    if (o->index >= 0 && (o->bus >= 0 || o->unit >= 0)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-drive: index cannot be used with bus and unit");
        return false;
    }
    if (o->index >= 0) {
        put_at(o, o->index);
    } else if (o->unit < 0 || o->bus < 0) {
        int index = cdrom_default && g_str_equal(o->interface, "ide") ? 2 : 0;
        int bus = o->bus, unit = o->unit;

        do { /* the first free place with what was given */
            put_at(o, index++);
        } while (((bus >= 0 && o->bus != bus) || (unit >= 0 && o->unit != unit) || place_taken(o)) && index < 1024);
    }
    if (place_taken(o)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "drive '%s': %s %d.%d is taken by another drive",
                    o->file ? o->file : "", o->interface, o->bus, o->unit);
        return false;
    }
    return true;
}

static char *make_id(const BlockOptions *o)
{
    static int count;

    if (units_per_bus(o->interface) && !g_str_equal(o->interface, "floppy")) {
        return g_strdup_printf("%s%d-%s%d", o->interface, o->bus, o->cdrom ? "cd" : "hd", o->unit);
    }
    if (!g_str_equal(o->interface, "none")) {
        return g_strdup_printf("%s%d", o->interface, o->unit);
    }
    return g_strdup_printf("none%d", count++);
}

/* ---- -drive ---- */

/* The older spelling of throttling keys is accepted too. */
static bool get_limit(Options *o, const char *name, const char *old, struct BlockThrottleLimit *out, GError **error)
{
    g_autofree char *key = g_strdup_printf("throttling.%s", name);
    g_autofree char *max = g_strdup_printf("throttling.%s-max", name);
    g_autofree char *length = g_strdup_printf("throttling.%s-max-length", name);
    g_autofree char *old_max = g_strdup_printf("%s_max", old), *old_length = g_strdup_printf("%s_max_length", old);

    return options_get_size(o, old, &out->average, error) && options_get_size(o, key, &out->average, error) &&
           options_get_size(o, old_max, &out->max, error) && options_get_size(o, max, &out->max, error) &&
           options_get_u64(o, old_length, &out->max_length, error) &&
           options_get_u64(o, length, &out->max_length, error);
}

static bool get_throttle(Options *o, BlockOptions *out, GError **error)
{
    BlockThrottle *t = &out->throttle;
    const char *group = options_get(o, "throttling.group"), *old_group = options_get(o, "group");

    out->throttle_group = g_strdup(group ? group : old_group);
    return get_limit(o, "iops-total", "iops", &t->iops_total, error) &&
           get_limit(o, "iops-read", "iops_rd", &t->iops_read, error) &&
           get_limit(o, "iops-write", "iops_wr", &t->iops_write, error) &&
           get_limit(o, "bps-total", "bps", &t->bps_total, error) &&
           get_limit(o, "bps-read", "bps_rd", &t->bps_read, error) &&
           get_limit(o, "bps-write", "bps_wr", &t->bps_write, error) &&
           options_get_size(o, "iops_size", &t->iops_size, error) &&
           options_get_size(o, "throttling.iops-size", &t->iops_size, error);
}

static bool is_drive_key(const char *key)
{
    static const char *const keys[] = {
        "if", "media", "file", "format", "driver", "id", "node-name", "serial", "cache", "cache.writeback", "aio",
        "detect-zeroes", "werror", "rerror", "copy-on-read", "index", "bus", "unit", "readonly", "read-only", "snapshot",
        "group", "iops_size", "addr", NULL,
    };

    return g_strv_contains(keys, key) || g_str_has_prefix(key, "throttling.") || g_str_has_prefix(key, "bps") ||
           g_str_has_prefix(key, "iops");
}

/* All other keys belong to the image; whether it knows them is seen when it is opened. */
static Json *image_options(const Options *o)
{
    Json *image = NULL;

    for (int i = 0; i < options_count(o); i++) {
        const char *key = options_key(o, i);

        if (!is_drive_key(key)) {
            image = image ? image : json_object();
            json_set_string(image, key, options_value(o, i));
            options_get(o, key);
        }
    }
    return image;
}

static bool check_words(const BlockOptions *out, const char *media, GError **error)
{
    if (!g_strv_contains(interfaces, out->interface)) {
        g_autofree char *hint = options_hint(out->interface, interfaces);

        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-drive: no interface '%s'%s", out->interface, hint);
        return false;
    }
    if (media && !g_str_equal(media, "disk") && !g_str_equal(media, "cdrom")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-drive: media=%s is neither disk nor cdrom", media);
        return false;
    }
    return true;
}

static char *dup_or_null(const char *text)
{
    return text && *text ? g_strdup(text) : NULL;
}

static bool parse_drive(const char *text, BlockOptions *out, GError **error)
{
    g_autoptr(Options) o = options_parse(text, NULL, error);
    const char *media, *interface, *format;
    bool copy_on_read = false;

    if (!o) {
        return false;
    }
    interface = options_get(o, "if");
    media = options_get(o, "media");
    format = options_get(o, "format");
    out->interface = g_strdup(interface ? interface : "ide");
    out->file = g_strdup(options_get(o, "file"));
    out->format = dup_or_null(format ? format : options_get(o, "driver"));
    out->id = g_strdup(options_get(o, "id"));
    out->node_name = g_strdup(options_get(o, "node-name"));
    out->serial = g_strdup(options_get(o, "serial"));
    out->cache = g_strdup(options_get(o, "cache"));
    out->cache_writeback = g_strdup(options_get(o, "cache.writeback"));
    out->aio = g_strdup(options_get(o, "aio"));
    out->detect_zeroes = g_strdup(options_get(o, "detect-zeroes"));
    out->werror = g_strdup(options_get(o, "werror"));
    out->rerror = g_strdup(options_get(o, "rerror"));
    if (!check_words(out, media, error)) {
        return false;
    }
    out->cdrom = media && g_str_equal(media, "cdrom");
    out->image = image_options(o);
    if (!options_get_int(o, "index", &out->index, error) || !options_get_int(o, "bus", &out->bus, error) ||
        !options_get_int(o, "unit", &out->unit, error) ||
        !options_get_bool(o, "readonly", &out->readonly, error) ||
        !options_get_bool(o, "read-only", &out->readonly, error) ||
        !options_get_bool(o, "snapshot", &out->snapshot, error) ||
        !options_get_bool(o, "copy-on-read", &copy_on_read, error) || !get_throttle(o, out, error) ||
        !options_check_unknown(o, "-drive", error)) {
        return false;
    }
    out->copy_on_read = copy_on_read;
    return true;
}

static BlockOptions *drive_parse(const char *text, const char *interface, int index, bool cdrom, GError **error)
{
    BlockOptions *o = g_new0(BlockOptions, 1);

    if (!wanted) {
        wanted = g_ptr_array_new();
    }
    o->bus = o->unit = o->index = -1;
    if (interface) {
        o->interface = g_strdup(interface);
        o->file = g_strdup(text);
        o->index = index;
        o->cdrom = cdrom;
    } else if (!parse_drive(text, o, error)) {
        return NULL;
    }
    return o;
}

/* Once the machine is known, which says how many drives a bus has. */
static bool place_and_name(BlockOptions *o, GError **error)
{
    if (!place(o, o->cdrom, error)) {
        return false;
    }
    if (!o->id) {
        o->id = make_id(o);
    }
    return true;
}

bool drive_add(const char *text, const char *interface, int index, bool cdrom, GError **error)
{
    BlockOptions *o = drive_parse(text, interface, index, cdrom, error);

    if (o) {
        g_ptr_array_add(wanted, o);
    }
    return o != NULL;
}

bool drive_hot_add(const char *text, GError **error)
{
    BlockOptions *o = drive_parse(text, NULL, -1, false, error);

    if (o && !g_str_equal(o->interface, "none")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "drive_add takes if=none; device_add gives it a device");
        return false;
    }
    return o && place_and_name(o, error) && block_new(o, error) != NULL;
}

/* ---- -blockdev ---- */

bool blockdev_add(const char *text, GError **error)
{
    Json *node;

    if (*text == '{') {
        node = json_parse(text, error);
        if (node && json_kind(node) != JSON_OBJECT) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "-blockdev: no object");
            return false;
        }
    } else {
        g_autoptr(Options) o = options_parse(text, "driver", error);

        node = o ? json_object() : NULL;
        for (int i = 0; o && i < options_count(o); i++) {
            json_set_string(node, options_key(o, i), options_value(o, i));
        }
    }
    if (!node) {
        return false;
    }
    nodes = nodes ? nodes : g_ptr_array_new();
    g_ptr_array_add(nodes, node);
    return true;
}

/* ---- opening them, and devices for those that no board takes ---- */

bool drives_open(GError **error)
{
    for (guint i = 0; nodes && i < nodes->len; i++) {
        const Json *node = g_ptr_array_index(nodes, i);

        if (!block_node_add(node, error)) {
            const char *name = json_member_string(node, "node-name");

            g_prefix_error(error, "-blockdev %s: ", name ? name : "");
            return false;
        }
    }
    for (guint i = 0; wanted && i < wanted->len; i++) {
        BlockOptions *o = g_ptr_array_index(wanted, i);

        o->snapshot |= cmdline.snapshot;
        if (!place_and_name(o, error) || !block_new(o, error)) {
            return false;
        }
    }
    return true;
}

/* A controller takes the drives of its bus itself. */
static bool add_scsi(const BlockOptions *o, GError **error)
{
    return block_is_claimed(block_find(o->id)) || startup_add_device("lsi53c895a", false, error);
}

/* if=virtio and if=scsi: the devices that such drives imply. */
bool drives_add_devices(GError **error)
{
    bool has_pci = bus_find_kind("pci") != NULL;

    for (guint i = 0; wanted && i < wanted->len && has_pci; i++) {
        const BlockOptions *o = g_ptr_array_index(wanted, i);
        bool good = true;

        if (g_str_equal(o->interface, "virtio") && device_type_find("virtio-blk-pci")) {
            g_autofree char *text = g_strdup_printf("virtio-blk-pci,drive=%s", o->id);

            good = block_find_drive("virtio", o->bus, o->unit) && startup_add_device(text, false, error);
        } else if (g_str_equal(o->interface, "scsi") && device_type_find("lsi53c895a")) {
            good = add_scsi(o, error);
        }
        if (!good) {
            g_prefix_error(error, "drive '%s': ", o->id);
            return false;
        }
    }
    return true;
}

/* After the machine is made: a drive that nothing took would be a disk that the guest never sees. */
bool drives_check(GError **error)
{
    for (guint i = 0; wanted && i < wanted->len; i++) {
        const BlockOptions *o = g_ptr_array_index(wanted, i);

        if (!g_str_equal(o->interface, "none") && !block_is_claimed(block_find(o->id))) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER,
                        "drive '%s': this machine has no place for if=%s,bus=%d,unit=%d; if=ide has index 0 to 3 (q35: 0 to 5) and "
                        "if=floppy 0 and 1, and if=none with -device takes any disk device", o->file ? o->file : o->id,
                        o->interface, o->bus, o->unit);
            return false;
        }
    }
    return true;
}
