/* Monitors: people (HMP) and programs (QMP) looking at and steering a running machine. */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "backends/char.h"
#include "core/device.h"
#include "core/machine.h"
#include "util/json.h"

typedef enum MonitorMode { MONITOR_HMP, MONITOR_QMP } MonitorMode;

/* What only the program above knows; set once before the first monitor. Members may be NULL. */
typedef struct MonitorHooks {
    Device *(*add_device)(const char *options, GError **error); /* as -device, machine running */
    bool (*add_drive)(const char *options, GError **error);     /* as -drive with if=none */
    bool (*add_usb)(const char *spec, GError **error);          /* as -usbdevice, machine running */
    bool (*start_gdbserver)(const char *spec, GError **error);  /* "none" stops it */
    const BoardType *const *boards;                             /* ends with NULL */
    const char *target;                                         /* "x86_64", for query-target */
} MonitorHooks;

void monitor_set_hooks(const MonitorHooks *hooks);

/*
 * A monitor on a character backend, for as long as the process lives. shared: the backend is a mux
 * whose input goes to another frontend first, so the greeting waits until somebody switches here.
 */
bool monitor_new(CharBackend *chr, MonitorMode mode, bool pretty, bool shared, GError **error);

/* One line of HMP; returns what it prints, caller frees. Main loop, machine lock held. */
char *monitor_run(const char *line, int cpu);

/* Sends a QMP event to all who listen; takes data, which may be NULL. */
void monitor_event(const char *name, Json *data);

#endif
