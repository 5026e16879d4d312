/* What the command line asked for, besides MachineConfig. */
#ifndef SYSTEM_CMDLINE_H
#define SYSTEM_CMDLINE_H

#include "backends/block.h"
#include "core/machine.h"

#include <glib.h>

typedef struct Cmdline {
    const char *machine;        /* board name, or NULL for the default */
    const char *accel;          /* -accel's text, or NULL */
    const struct SystemTarget *target; /* by the name of the program */
    const char *smm;            /* "on", "off", "auto" or NULL */
    GPtrArray *serials, *parallels, *chardevs, *audiodevs, *netdevs, *nics, *devices, *drives, *objects;
    GPtrArray *monitors, *qmps, *mons, *gdbs; /* of char * */
    GPtrArray *usbdevices;      /* -usbdevice */
    GPtrArray *legacy_net;      /* -net, in order */
    const char *debugcon;
    const char *display;        /* NULL: the best there is */
    bool full_screen, stopped, daemonize, snapshot;
    bool no_net;                /* -nic none, -net none */
    const char *pidfile, *log_items, *log_file;
    const char *rtc_base;       /* "utc", "localtime" or a date */
} Cmdline;

extern Cmdline cmdline;

/* Parses argv; handles -help and -version itself (and exits). False: the error says what to mend. */
bool cmdline_parse(int argc, char **argv, GError **error);

/* capabilities.c: -machine's cap-NAME and kvm-type. */
struct Options;
bool capabilities_check(const struct Options *o, GError **error);

/* -drive's text, or a plain file name with what -hda and its like imply. */
bool drive_add(const char *text, const char *interface, int index, bool cdrom, GError **error);
bool drive_hot_add(const char *text, GError **error); /* HMP's drive_add: opens it at once */
bool blockdev_add(const char *text, GError **error);  /* -blockdev's text, JSON or keys */
bool drives_open(GError **error);
bool drives_add_devices(GError **error); /* that if=virtio and if=scsi imply; after the board is built */
bool drives_check(GError **error); /* every drive has a place in the machine */

#endif
