/* Commands of the human monitor on devices and media. */
#include "monitor/internal.h"

#include "hw/usb/usb.h"
#include "util/options.h"

#include <string.h>

void hmp_eject(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    const char *name = NULL;

    for (int i = 0; i < args->argc; i++) {
        if (args->argv[i][0] != '-') {
            name = args->argv[i];
        }
    }
    if (!name) {
        hmp_printf(hmp, "Error: no device named\n");
    } else if (!action_eject(name, hmp_flag(args, "-f"), &error)) {
        hmp_error(hmp, error);
    }
}

void hmp_change(Hmp *hmp, const HmpArgs *args)
{
    const char *format = args->argc > 2 ? args->argv[2] : NULL;
    const char *mode = args->argc > 3 ? args->argv[3] : "retain";
    GError *error = NULL;

    if (!action_change(args->argv[0], args->argv[1], format, g_str_equal(mode, "read-only"),
                       &error)) {
        hmp_error(hmp, error);
    }
}

void hmp_device_add(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    if (!action_device_add(args->rest, &error)) {
        hmp_error(hmp, error);
    }
}

void hmp_device_del(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    if (!action_device_del(args->argv[0], &error)) {
        hmp_error(hmp, error);
    }
}

void hmp_usb_add(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    if (!action_usb_add(args->argv[0], &error)) {
        hmp_error(hmp, error);
    }
}

void hmp_usb_del(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    if (!action_usb_del(args->argv[0], &error)) {
        hmp_error(hmp, error);
    }
}

void info_usb(Hmp *hmp, const HmpArgs *args)
{
    g_autofree char *text = usb_describe();

    hmp_printf(hmp, "%s", text);
}

void hmp_set_link(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    bool up;

    if (!parse_bool(args->argv[1], &up)) {
        hmp_printf(hmp, "Error: '%s' is not on or off\n", args->argv[1]);
    } else if (!action_set_link(args->argv[0], up, &error)) {
        hmp_error(hmp, error);
    }
}
