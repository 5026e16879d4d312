/* From parsed options to a running machine, and back. Under the machine lock. */
#ifndef SYSTEM_STARTUP_H
#define SYSTEM_STARTUP_H

#include <glib.h>
#include <stdbool.h>

bool startup(GError **error);
void shutdown_all(void);

/* The board of a name as -machine has it, the default one for NULL; NULL: there is none. */
struct BoardType;
const struct BoardType *startup_find_board(const char *name);

/* -device and device_add: TYPE,key=value,... */
struct Device;
struct Device *startup_add_device(const char *options, bool hotplug, GError **error);

/* -object: those made before the backends, or those made after them. */
void objects_init(void);
void objects_print_types(void);
bool objects_create(GPtrArray *texts, bool late, GError **error);

/* -nic, -net and the default card. */
bool nics_create(GError **error);

#endif
