/* -drive, -hda and their like: what they mean, kept until the drives are opened. */
#include "system/cmdline.h"

#include "core/device.h"
#include "util/error.h"
#include "util/options.h"

#include <string.h>

static GPtrArray *wanted; /* of BlockOptions * */

static const char *const interfaces[] = { "floppy", "ide", "mtd", "none", "pflash", "scsi", "sd", "virtio", NULL };

/* How many units sit on one bus of an interface. */
static int units_per_bus(const char *interface)
{
    return g_str_equal(interface, "ide") || g_str_equal(interface, "floppy") ? 2 : 7;
}

static bool place_taken(const BlockOptions *o)
{
    for (guint i = 0; i < wanted->len; i++) {
        const BlockOptions *other = g_ptr_array_index(wanted, i);

        if (g_str_equal(other->interface, o->interface) && other->bus == o->bus &&
            other->unit == o->unit) {
            return true;
        }
    }
    return false;
}

static bool place(BlockOptions *o, bool cdrom_default, GError **error)
{
    int per_bus = units_per_bus(o->interface);

    if (g_str_equal(o->interface, "none")) {
        return true;
    }
    if (o->index >= 0) {
        o->bus = o->index / per_bus;
        o->unit = o->index % per_bus;
    } else if (o->unit < 0 || o->bus < 0) {
        int index = cdrom_default && g_str_equal(o->interface, "ide") ? 2 : 0;

        o->bus = MAX(o->bus, 0);
        do {
            o->bus = index / per_bus;
            o->unit = index % per_bus;
            index++;
        } while (place_taken(o));
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

    if (g_str_equal(o->interface, "ide")) {
        return g_strdup_printf("ide%d-%s%d", o->bus, o->cdrom ? "cd" : "hd", o->unit);
    }
    if (g_str_equal(o->interface, "floppy")) {
        return g_strdup_printf("floppy%d", o->unit);
    }
    return g_strdup_printf("%s%d", o->interface, count++);
}

static bool parse_drive(const char *text, BlockOptions *out, GError **error)
{
    g_autoptr(Options) o = options_parse(text, NULL, error);
    static const char *const known_and_fine[] = { "aio", "discard", "detect-zeroes", "werror", "rerror",
                                                  "cyls", "heads", "secs", "trans", "copy-on-read",
                                                  "throttling.iops-total", "throttling.bps-total" };
    const char *media, *interface;

    if (!o) {
        return false;
    }
    interface = options_get(o, "if");
    media = options_get(o, "media");
    out->interface = g_strdup(interface ? interface : "ide");
    out->file = g_strdup(options_get(o, "file"));
    out->format = g_strdup(options_get(o, "format"));
    out->id = g_strdup(options_get(o, "id"));
    out->serial = g_strdup(options_get(o, "serial"));
    out->cache = g_strdup(options_get(o, "cache"));
    for (size_t i = 0; i < G_N_ELEMENTS(known_and_fine); i++) {
        options_get(o, known_and_fine[i]);
    }
    if (!g_strv_contains(interfaces, out->interface)) {
        g_autofree char *hint = options_hint(out->interface, interfaces);

        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-drive: no interface '%s'%s", out->interface, hint);
        return false;
    }
    if (media && !g_str_equal(media, "disk") && !g_str_equal(media, "cdrom")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-drive: media=%s is neither disk nor cdrom", media);
        return false;
    }
    out->cdrom = media && g_str_equal(media, "cdrom");
    if (out->format && !*out->format) {
        g_clear_pointer(&out->format, g_free);
    }
    return options_get_int(o, "index", &out->index, error) &&
           options_get_int(o, "bus", &out->bus, error) &&
           options_get_int(o, "unit", &out->unit, error) &&
           options_get_bool(o, "readonly", &out->readonly, error) &&
           options_get_bool(o, "read-only", &out->readonly, error) &&
           options_get_bool(o, "snapshot", &out->snapshot, error) &&
           options_check_unknown(o, "-drive", error);
}

bool drive_add(const char *text, const char *interface, int index, bool cdrom, GError **error)
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
        return false;
    }
    if (!place(o, o->cdrom, error)) {
        return false;
    }
    if (!o->id) {
        o->id = make_id(o);
    }
    g_ptr_array_add(wanted, o);
    return true;
}

/* After the machine is made: a drive that nothing took would be a disk that the guest never sees. */
bool drives_check(GError **error)
{
    bool ide = bus_find_kind("ide") != NULL;

    for (guint i = 0; wanted && i < wanted->len; i++) {
        const BlockOptions *o = g_ptr_array_index(wanted, i);
        bool served = (g_str_equal(o->interface, "ide") && ide && o->bus < 2 && o->unit < 2) ||
                      (g_str_equal(o->interface, "floppy") && o->bus == 0 && o->unit < 2);

        if (!served && !g_str_equal(o->interface, "none")) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER,
                        "drive '%s': this machine has no place for if=%s,bus=%d,unit=%d; there are "
                        "if=ide (index 0 to 3) and if=floppy (index 0 and 1)",
                        o->file ? o->file : "", o->interface, o->bus, o->unit);
            return false;
        }
    }
    return true;
}

bool drives_open(GError **error)
{
    for (guint i = 0; wanted && i < wanted->len; i++) {
        BlockOptions *o = g_ptr_array_index(wanted, i);

        o->snapshot |= cmdline.snapshot;
        if (!block_new(o, error)) {
            return false;
        }
    }
    return true;
}
