/* Options of drives, devices and what they are connected to on the host. */
#include "system/cmdline-options.h"

#include "backends/audio.h"
#include "backends/char.h"
#include "backends/fsdev.h"
#include "backends/net.h"
#include "core/device.h"
#include "system/startup.h"
#include "util/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_devices(void)
{
    for (int i = 0; device_types[i]; i++) {
        const DeviceType *t = device_types[i];

        if (t->user) {
            printf("name \"%s\", bus %s%s%s%s, desc \"%s\"\n", t->name, t->bus,
                   t->alias ? ", alias \"" : "", t->alias ? t->alias : "", t->alias ? "\"" : "",
                   t->about);
        }
    }
}

/* ---- drives ---- */

bool opt_hda(const char *arg, GError **error)
{
    return drive_add(arg, "ide", 0, false, error);
}

bool opt_hdb(const char *arg, GError **error)
{
    return drive_add(arg, "ide", 1, false, error);
}

bool opt_hdc(const char *arg, GError **error)
{
    return drive_add(arg, "ide", 2, false, error);
}

bool opt_hdd(const char *arg, GError **error)
{
    return drive_add(arg, "ide", 3, false, error);
}

bool opt_cdrom(const char *arg, GError **error)
{
    return drive_add(arg, "ide", 2, true, error);
}

bool opt_fda(const char *arg, GError **error)
{
    return drive_add(arg, "floppy", 0, false, error);
}

bool opt_fdb(const char *arg, GError **error)
{
    return drive_add(arg, "floppy", 1, false, error);
}

bool opt_drive(const char *arg, GError **error)
{
    return drive_add(arg, NULL, -1, false, error);
}

/* driver=raw,node-name=N,file.filename=F or driver=file,filename=F: a drive for -device. */
bool opt_blockdev(const char *arg, GError **error)
{
    return blockdev_add(arg, error);
}

bool opt_snapshot(const char *arg, GError **error)
{
    cmdline.snapshot = true;
    return true;
}

/* ---- backends ---- */

bool opt_netdev(const char *arg, GError **error)
{
    if (option_asks_help(arg)) {
        net_print_types();
        exit(0);
    }
    g_ptr_array_add(cmdline.netdevs, g_strdup(arg));
    return true;
}

bool opt_object(const char *arg, GError **error)
{
    if (option_asks_help(arg)) {
        objects_print_types();
        exit(0);
    }
    g_ptr_array_add(cmdline.objects, g_strdup(arg));
    return true;
}

bool opt_chardev(const char *arg, GError **error)
{
    if (option_asks_help(arg)) {
        printf("Available chardev backend types:\n");
        for (int i = 0; char_kinds[i]; i++) {
            printf("%s\n", char_kinds[i]);
        }
        exit(0);
    }
    g_ptr_array_add(cmdline.chardevs, g_strdup(arg));
    return true;
}

bool opt_audiodev(const char *arg, GError **error)
{
    if (option_asks_help(arg)) {
        audio_print_drivers();
        exit(0);
    }
    g_ptr_array_add(cmdline.audiodevs, g_strdup(arg));
    return true;
}

/* ---- devices ---- */

bool opt_device(const char *arg, GError **error)
{
    if (option_asks_help(arg)) {
        print_devices();
        exit(0);
    }
    if (g_str_has_suffix(arg, ",help") || g_str_has_suffix(arg, ",?")) {
        g_autofree char *name = g_strndup(arg, strcspn(arg, ","));
        const DeviceType *type = device_type_find(name);
        g_autofree char *text = NULL;

        if (!type) {
            return option_fail(error, "no device type '%s'; -device help lists them", name);
        }
        text = device_help(type);
        fputs(text, stdout);
        exit(0);
    }
    g_ptr_array_add(cmdline.devices, g_strdup(arg));
    return true;
}

bool opt_fsdev(const char *arg, GError **error)
{
    if (fsdev_add(arg, error)) {
        return true;
    }
    g_prefix_error(error, "-fsdev %s: ", arg);
    return false;
}

bool opt_virtfs(const char *arg, GError **error)
{
    char *device = fsdev_add_virtfs(arg, error);

    if (!device) {
        g_prefix_error(error, "-virtfs %s: ", arg);
        return false;
    }
    g_ptr_array_add(cmdline.devices, device);
    return true;
}

bool opt_usb(const char *arg, GError **error)
{
    machine_config.usb = true;
    return true;
}

bool opt_usbdevice(const char *arg, GError **error)
{
    option_hint("-usbdevice", "-device usb-");
    machine_config.usb = true;
    g_ptr_array_add(cmdline.usbdevices, g_strdup(arg));
    return true;
}

bool opt_soundhw(const char *arg, GError **error)
{
    if (strcmp(arg, "ac97") == 0) {
        option_hint("-soundhw ac97", "-device AC97");
        g_ptr_array_add(cmdline.devices, g_strdup("AC97"));
    } else if (strcmp(arg, "hda") == 0) {
        option_hint("-soundhw hda", "-device intel-hda -device hda-duplex");
        g_ptr_array_add(cmdline.devices, g_strdup("intel-hda"));
        g_ptr_array_add(cmdline.devices, g_strdup("hda-duplex"));
    } else {
        log_warn("-soundhw %s: there are ac97 and hda; the guest stays silent", arg);
    }
    return true;
}

bool opt_redir(const char *arg, GError **error)
{
    g_auto(GStrv) part = g_strsplit(arg, ":", 4);

    if (g_strv_length(part) != 4) {
        return option_fail(error, "-redir %s: needs tcp:HOSTPORT:[GUEST]:PORT", arg);
    }
    option_hint("-redir", "-nic user,hostfwd=");
    g_ptr_array_add(cmdline.legacy_net,
                    g_strdup_printf("redir,hostfwd=%s::%s-%s:%s", part[0], part[1], part[2], part[3]));
    return true;
}
