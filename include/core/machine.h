/* The running machine: what it was configured as, run states, reset and shutdown requests. */
#ifndef CORE_MACHINE_H
#define CORE_MACHINE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum RunState {
    RUN_PRELAUNCH, /* -S */
    RUN_RUNNING,
    RUN_PAUSED,
    RUN_SHUTDOWN,       /* guest powered off, -no-shutdown */
    RUN_DEBUG,          /* gdb */
    RUN_IO_ERROR,
    RUN_INTERNAL_ERROR,
    RUN_GUEST_PANICKED,
    RUN_WATCHDOG,       /* it was not fed, -action watchdog=pause */
} RunState;

RunState machine_state(void);
const char *run_state_name(RunState state); /* as QMP spells it: "running", "paused" ... */
/* Stop and go: vCPUs and CLOCK_GUEST. Under the machine lock; returns when all vCPUs stand. */
void machine_stop(RunState why);
void machine_continue(void);
/* Runs fn while all vCPUs stand, without a change of state that anybody sees. In the main loop, under the lock. */
void machine_without_cpus(void (*fn)(void *opaque), void *opaque);
/* How the engine makes all vCPUs stand and go on; set by the accel layer. */
void machine_set_pause_fns(void (*pause)(void), void (*resume)(void));

typedef enum ShutdownCause {
    SHUTDOWN_GUEST,  /* ACPI S5, keyboard controller ... */
    SHUTDOWN_HOST,   /* quit, signal, window closed */
    SHUTDOWN_PANIC,
} ShutdownCause;

/* These ask; the main loop acts. Any thread. */
void machine_request_reset(ShutdownCause cause);
void machine_request_shutdown(ShutdownCause cause);
void machine_request_powerdown(void); /* the power button */
void machine_request_exit(int status); /* isa-debug-exit: leave with this exit status */
void machine_request_stop(RunState why); /* from a vCPU thread or a device */

/* Resets now: devices, then what is registered, then CPUs. In the main loop, under the lock. */
void machine_reset(void);

/* Boards and devices register what happens; fn runs under the machine lock. */
typedef void MachineFn(void *opaque);
void machine_on_reset(MachineFn *fn, void *opaque);
void machine_on_powerdown(MachineFn *fn, void *opaque);
typedef void RunStateFn(void *opaque, RunState state);
void machine_on_state(RunStateFn *fn, void *opaque);
/* The guest or the user shuts down: called before the machine stops or the process leaves. */
typedef void ShutdownFn(void *opaque, ShutdownCause cause);
void machine_on_shutdown(ShutdownFn *fn, void *opaque);

/* Configuration as the command line gave it; set before the board is built, constant after. */
typedef struct MachineConfig {
    const char *name;        /* -name */
    uint8_t uuid[16];
    uint64_t ram_size;       /* bytes */
    int cpus, max_cpus, sockets, cores, threads;
    const char *cpu_model;   /* "qemu64,+x" or NULL for the board's own */
    const char *bios;        /* -bios, or NULL */
    const char *pflash[2];   /* -machine pflash0=, pflash1=: block nodes or drives, or NULL */
    const char *kernel, *initrd, *append, *dtb;
    const char *boot_order;  /* "cad" */
    const char *boot_once;
    bool boot_menu, boot_strict;
    int boot_menu_timeout_ms, reboot_timeout_ms; /* -1: unset */
    const char *vga;         /* "std", "cirrus", "none", ... or NULL */
    bool acpi, hpet, usb, nographic, vmport;
    int width, height, depth; /* -g, or 0 */
    GPtrArray *prom_env;     /* of char *: Open Firmware's settings, "name=value"; NULL: none */
    const char *via;         /* -machine via=, or NULL */
    const char *audiodev;    /* -machine audiodev=: of the board's own sound, or NULL */
    bool smm;                /* system management mode, with memory of its own */
    const char *kernel_irqchip; /* "on", "split", "off", or NULL: as the engine likes best */
    bool own_firmware;       /* pseries, x-vof=on: the built-in Open Firmware client interface, no SLOF */
    const char *resize_hpt;  /* pseries: "disabled", "enabled", "required" or NULL */
    const char *ic_mode;     /* pseries: "xics", "xive", "dual" or NULL */
    const char *cpu_compat;  /* pseries: "power8": the processors are no newer for the guest; or NULL */
    const char *dump_dtb;    /* write the device tree there and leave, or NULL */
    bool rtc_localtime;
    bool no_reboot, no_shutdown;
    int exit_status;         /* of a shutdown: 1 after a panic with -action panic=exit-failure */
    bool default_devices;    /* -nodefaults clears it */
    const char *firmware_path; /* -L, or NULL */
} MachineConfig;

extern MachineConfig machine_config;

/* A machine type (board). */
typedef struct BoardType {
    const char *name;
    const char *alias;
    const char *versions;     /* beginning of other names that mean the same: "pc-i440fx-"; NULL: name and "-" */
    const char *about;
    bool is_default;
    const char *target;       /* "x86": which myna-system-* offers it */
    const char *cpu_default;
    const char *cpu_default_64; /* in the family's 64-bit program, if that is another */
    const char *nic;          /* the network card that is there by default */
    bool own_serials;         /* it has serial ports, which are connected to "serial0" ... if these exist */
    bool has_via;             /* it knows -machine via= */
    bool takes_tree;          /* it knows -dtb */
    bool headless;            /* it has a display adapter only if the user asks for one */
    bool has_sound;           /* it knows -machine audiodev= */
    bool has_settings;        /* its firmware is told of -prom-env and -g */
    int max_cpus;
    uint64_t ram_default;
    int ide_units;            /* drives on a bus of -drive if=ide; 0: two */
    bool (*build)(const struct BoardType *type, GError **error);
} BoardType;

extern const BoardType *const board_types[]; /* hw/boards/boards.def; ends with NULL */
extern const BoardType *machine_board;       /* the chosen one; NULL until then */

/* Firmware by name along -L, the build's data folder and the Debian packages' folders. */
char *firmware_find(const char *name); /* caller frees; NULL if nowhere */

#endif
