/* Monitors and gdb servers that the command line asked for. Under the machine lock. */
#ifndef SYSTEM_MONITORS_H
#define SYSTEM_MONITORS_H

#include <glib.h>
#include <stdbool.h>

/* When all devices are there, before the machine runs. */
bool monitors_start(GError **error);

#endif
