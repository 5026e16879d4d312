/* Engines that run vCPUs: the translator, KVM. One interface for all. */
#ifndef ACCEL_ACCEL_H
#define ACCEL_ACCEL_H

#include "core/cpu.h"

typedef struct AccelOps {
    const char *name, *about;
    bool smm; /* runs system management mode */
    /* options: the text after the name in "-accel tcg,tb-size=64,verify=100", or NULL. */
    bool (*init)(const char *options, GError **error);
    bool (*available)(char **why_not); /* for -accel help; why_not is freed by the caller */
    bool (*start_cpu)(Cpu *cpu, GError **error); /* creates its thread, which waits to be resumed */
    /* Changing engines, vCPUs standing. After leave it costs nothing; enter finds memory that others have changed. */
    bool (*fits)(GError **error);      /* the CPU model and the board are for it; may be NULL */
    bool (*may_leave)(GError **error); /* may be NULL */
    void (*leave)(void);
    void (*enter)(void);
    /* Runs fn(cpu, data) in the CPU's thread between blocks and waits; from any other thread. */
    void (*run_on_cpu)(Cpu *cpu, void (*fn)(Cpu *cpu, void *data), void *data);
    char *(*describe)(void); /* `info jit` */
    /* Debuggers. addr is virtual (linear). */
    bool (*insert_breakpoint)(Cpu *cpu, VirtAddr addr);
    bool (*remove_breakpoint)(Cpu *cpu, VirtAddr addr);
    bool (*insert_watchpoint)(Cpu *cpu, VirtAddr addr, VirtAddr size, bool on_read, bool on_write);
    bool (*remove_watchpoint)(Cpu *cpu, VirtAddr addr, VirtAddr size, bool on_read, bool on_write);
    void (*set_single_step)(Cpu *cpu, bool on);
} AccelOps;

extern const AccelOps *const accel_types[]; /* ends with NULL */
extern const AccelOps *accel;               /* the chosen one */
extern bool accel_guest_is_host;            /* the guest's instructions are the host's: KVM can run them */

/* spec is -accel's text, "tcg,thread=multi" or "kvm:tcg"; NULL: the best that works. */
bool accel_init(const char *spec, GError **error);
/* The machine carries on in another engine, "tcg" or "kvm". In the main loop, lock held. False: it stays where it was. */
bool accel_switch(const char *name, GError **error);
/* All vCPUs stop at an instruction boundary, or go on. Called by machine_stop/continue, lock held. */
void accel_pause_all(void);
void accel_resume_all(void);

/* Virtual memory of a CPU as its current page tables map it; CPU paused or its own thread. */
bool accel_debug_translate(Cpu *cpu, VirtAddr addr, PhysAddr *phys);
bool accel_debug_read(Cpu *cpu, VirtAddr addr, void *buf, uint64_t size);
bool accel_debug_write(Cpu *cpu, VirtAddr addr, const void *buf, uint64_t size);

/* Why a CPU stopped for the debugger; gdb stub and monitor listen. */
typedef enum DebugStop { DEBUG_BREAKPOINT, DEBUG_WATCH_READ, DEBUG_WATCH_WRITE, DEBUG_WATCH_ACCESS, DEBUG_STEP } DebugStop;
typedef void DebugStopFn(Cpu *cpu, DebugStop why, VirtAddr addr);
extern DebugStopFn *accel_debug_stop_fn; /* called in the CPU's thread under the machine lock */

#endif
