/* -usbdevice and usb_add: how USB devices were named before -device. */
#include "system/old-usb.h"

#include "backends/block.h"
#include "backends/char.h"
#include "core/device.h"
#include "system/cmdline.h"
#include "system/startup.h"
#include "util/error.h"
#include "util/options.h"

#include <string.h>

/* "[format=F]:FILE" or "FILE": the drive, as a property; NULL with an error. */
static char *make_disk(const char *arg, GError **error)
{
    static int count;
    g_autofree char *id = g_strdup_printf("usbdisk%d", count++), *format = NULL;
    BlockOptions o = { .id = id, .interface = (char *)"none", .bus = -1, .unit = -1, .index = -1 };

    if (g_str_has_prefix(arg, "format=")) {
        size_t n = strcspn(arg, ":,");

        o.format = format = g_strndup(arg + 7, n - 7);
        arg += n + (arg[n] != '\0');
        arg += *arg == ':';
    } else if (*arg == ':') {
        arg++;
    }
    o.file = (char *)arg;
    if (!*arg) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "USB device 'disk:': no image file is named");
        return NULL;
    }
    return block_new(&o, error) ? g_strdup_printf("usb-storage,drive=%s", id) : NULL;
}

/* "[vendorid=,productid=]:DEV": the ids that could be changed once are ignored. */
static char *make_serial(const char *arg, GError **error)
{
    static int count;
    g_autofree char *id = g_strdup_printf("usbserial%d", count++);

    if (g_str_has_prefix(arg, "vendorid=") || g_str_has_prefix(arg, "productid=")) {
        const char *colon = strchr(arg, ':');

        arg = colon ? colon : "";
    }
    arg += *arg == ':';
    return char_new(id, arg, error) ? g_strdup_printf("usb-serial,chardev=%s", id) : NULL;
}

/* "BUS.ADDR" or "VENDOR:PRODUCT" in hexadecimal. */
static char *make_host(const char *arg, GError **error)
{
    g_auto(GStrv) part = g_strsplit_set(arg, ".:", 2);

    if (g_strv_length(part) != 2) {
        return g_strdup("usb-host");
    }
    return strchr(arg, ':') ? g_strdup_printf("usb-host,vendorid=0x%s,productid=0x%s", part[0], part[1])
                            : g_strdup_printf("usb-host,hostbus=%s,hostaddr=%s", part[0], part[1]);
}

static const struct {
    const char *old, *device;
    char *(*make)(const char *arg, GError **error); /* what -device wants, of the text behind a colon */
} spellings[] = {
    { "tablet", "usb-tablet", NULL },       { "mouse", "usb-mouse", NULL },
    { "keyboard", "usb-kbd", NULL },        { "hub", "usb-hub", NULL },
    { "disk:", "usb-storage", make_disk },  { "serial:", "usb-serial", make_serial },
    { "host:", "usb-host", make_host },     { "wacom-tablet", "usb-wacom-tablet", NULL },
    { "audio", "usb-audio", NULL },         { "braille", "usb-braille", NULL },
};

static char *translate(const char *spec, GError **error)
{
    const char *names[G_N_ELEMENTS(spellings) + 1] = { 0 };
    g_autofree char *hint = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(spellings); i++) {
        const char *old = spellings[i].old;

        names[i] = old;
        if (spellings[i].make ? !g_str_has_prefix(spec, old) : !g_str_equal(spec, old)) {
            continue;
        }
        if (!device_type_find(spellings[i].device)) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "this build has no %s", spellings[i].device);
            return NULL;
        }
        return spellings[i].make ? spellings[i].make(spec + strlen(old), error)
                                 : g_strdup(spellings[i].device);
    }
    hint = options_hint(spec, names);
    g_set_error(error, VM_ERROR, VM_ERROR_USER,
                "no USB device '%s'%s; there are tablet, mouse, keyboard, hub, disk:FILE, serial:DEV and "
                "host:BUS.ADDR", spec, hint);
    return NULL;
}

bool old_usb_add(const char *spec, bool hotplug, GError **error)
{
    g_autofree char *text = translate(spec, error);

    return text && startup_add_device(text, hotplug, error);
}

bool old_usb_create(GError **error)
{
    for (guint i = 0; i < cmdline.usbdevices->len; i++) {
        const char *spec = g_ptr_array_index(cmdline.usbdevices, i);

        if (!old_usb_add(spec, false, error)) {
            g_prefix_error(error, "-usbdevice %s: ", spec);
            return false;
        }
    }
    return true;
}
