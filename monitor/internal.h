/* What the files of the monitor share. */
#ifndef MONITOR_INTERNAL_H
#define MONITOR_INTERNAL_H

#include "core/cpu.h"
#include "core/incident.h"
#include "core/input.h"
#include "monitor/monitor.h"

extern MonitorHooks monitor_hooks;

/* ---- HMP ---- */

/* A conversation with a person. */
typedef struct Hmp {
    GString *out;             /* what the command prints */
    int cpu;                  /* index of the one that x, info registers ... look at */
    const GPtrArray *history; /* of char *, the oldest first; NULL if there is none */
} Hmp;

typedef struct HmpArgs {
    const char *format; /* "10i" of "x/10i"; "" if there was none */
    const char *rest;   /* the text behind the name */
    int argc;
    char **argv;        /* its words; "double quotes" keep spaces in */
} HmpArgs;

typedef void HmpFn(Hmp *hmp, const HmpArgs *args);

typedef struct HmpCommand {
    const char *names; /* "quit|q" */
    const char *args;  /* "[-f] device"; "..." at the end: the rest is one argument */
    const char *help;
    HmpFn *fn;
} HmpCommand;

extern const HmpCommand hmp_commands[], hmp_infos[]; /* end with NULL names */

void hmp_execute(Hmp *hmp, const char *line);
const HmpCommand *hmp_find(const HmpCommand *list, const char *name);
void hmp_error(Hmp *hmp, GError *error); /* takes */
void hmp_printf(Hmp *hmp, const char *format, ...) G_GNUC_PRINTF(2, 3);
Cpu *hmp_cpu(Hmp *hmp); /* NULL, and a message, if there is none */
/* The word at index as an expression; false after a message. */
bool hmp_number(Hmp *hmp, const HmpArgs *args, int index, uint64_t *value);
/* "-f" among the words. */
bool hmp_flag(const HmpArgs *args, const char *flag);
/* Possible ends of the last word of a line, for Tab; NULL-terminated, caller frees. */
char **hmp_complete(const char *line);

#define COMMAND(names, args, help, fn) HmpFn fn;
#define INFO(names, args, help, fn)    HmpFn fn;
#include "monitor/commands.def"
#undef COMMAND
#undef INFO

/* ---- numbers ---- */

/* C-like expression with $registers of cpu (may be NULL); all of text. */
bool expr_eval(const char *text, Cpu *cpu, uint64_t *value, GError **error);
bool register_by_name(Cpu *cpu, const char *name, uint64_t *value);
/* Names of x86 system registers; false if it is none. */
bool x86_register(Cpu *cpu, const char *name, uint64_t *value);

/* Runs fn where the CPU's state is whole: in its thread. */
void monitor_on_cpu(Cpu *cpu, void (*fn)(Cpu *cpu, void *data), void *data);

/* ---- what both kinds of monitor do ---- */

bool action_continue(GError **error);
void action_quit(void);
void action_reset(void);
/* "ctrl-alt-f1"; keys by name or number. */
bool action_send_keys(const char *keys, int hold_ms, GError **error);
void action_press_keys(const InputKey *keys, int count, int hold_ms);
/* format: "ppm", which NULL means too, or "png". */
bool action_screendump(const char *path, const char *format, GError **error);
bool action_save_memory(Cpu *cpu, uint64_t addr, uint64_t size, const char *path, GError **error);
struct BlockBackend;
/* A drive by its id, or by that of the device that has it. */
struct BlockBackend *action_find_drive(const char *name, GError **error);
bool action_eject(const char *name, bool force, GError **error);
bool action_change(const char *name, const char *file, const char *format, bool readonly,
                   GError **error);
bool action_drive_del(struct BlockBackend *blk, GError **error); /* refuses what a device uses */
bool action_node_del(const char *node_name, GError **error);
bool action_device_add(const char *options, GError **error);
bool action_device_del(const char *id, GError **error);
bool action_usb_add(const char *spec, GError **error);
bool action_usb_del(const char *address, GError **error);
bool action_set_link(const char *name, bool up, GError **error);
/* Id of the device whose property points at a backend of that id; NULL if none. */
const char *device_using(PropKind kind, const char *id);

/* ---- QMP ---- */

typedef Json *QmpFn(const Json *arguments, GError **error); /* NULL without error: {} */

#define QMP(name, fn) QmpFn fn;
#include "monitor/qmp.def"
#undef QMP

typedef struct QmpCommand {
    const char *name;
    QmpFn *fn;
} QmpCommand;

extern const QmpCommand qmp_commands[]; /* ends with a NULL name */
extern const char *const qmp_events[];  /* ends with NULL */

/* The required member; NULL and an error if it is missing or of another kind. */
const char *qmp_string(const Json *arguments, const char *name, GError **error);
bool qmp_int(const Json *arguments, const char *name, int64_t *value, GError **error);

bool qmp_session_new(CharBackend *chr, bool pretty, GError **error);
void qmp_events_init(void);
void qmp_set_shutdown_reason(const char *reason); /* of the SHUTDOWN event to come */
void qmp_set_reset_reason(const char *reason);

#endif
