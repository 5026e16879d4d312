/* What is done when the guest panics or a watchdog is not fed: -action, -watchdog-action. Machine lock. */
#ifndef CORE_INCIDENT_H
#define CORE_INCIDENT_H

#include <glib.h>
#include <stdbool.h>

typedef enum PanicAction { PANIC_SHUTDOWN, PANIC_PAUSE, PANIC_EXIT_FAILURE, PANIC_NONE } PanicAction;
typedef enum WatchdogAction {
    WATCHDOG_RESET, WATCHDOG_SHUTDOWN, WATCHDOG_POWEROFF, WATCHDOG_INJECT_NMI, WATCHDOG_PAUSE, WATCHDOG_DEBUG,
    WATCHDOG_NONE,
} WatchdogAction;

/* event: "reboot", "shutdown", "panic" or "watchdog"; action as the manual spells it: "pause", "inject-nmi" ... */
bool incident_set_action(const char *event, const char *action, GError **error);

/* Devices tell; what was set is done. */
void incident_panicked(void);
void incident_crashloaded(void); /* it panicked, and its crash kernel takes over */
void incident_watchdog(void);

/* Who tells management of it: name of the event, and what is done. */
typedef void IncidentFn(const char *event, const char *action);
void incident_set_event_fn(IncidentFn *fn);

#endif
