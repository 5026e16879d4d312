/* What engines share: how a vCPU's thread is paused and given work. */
#ifndef ACCEL_INTERNAL_H
#define ACCEL_INTERNAL_H

#include "accel/accel.h"
#include "target/guest.h"

#define ACCEL_MAX_CPUS 512

extern const AccelOps tcg_accel_ops, kvm_accel_ops;

/* The engine of this name, which has `length` bytes; NULL if there is none. */
const AccelOps *accel_find_type(const char *name, size_t length);

/* Makes the CPU known; it begins paused. Before its thread starts. */
void accel_cpu_add(Cpu *cpu);
/* Whether accel_cpu_park has something to do. After CPU_REQ_EXIT was seen. */
bool accel_cpu_wanted(Cpu *cpu);
/* In the CPU's thread between blocks, no lock held: does queued work, and stands while paused. */
void accel_cpu_park(Cpu *cpu);
/* In the CPU's thread: stand at the next accel_cpu_park until the machine goes on. */
void accel_cpu_pause_self(Cpu *cpu);
/* Ends the threads of vCPUs that stand; accel_cpu_leaves tells a thread, after accel_cpu_park. */
void accel_cpus_end(void);
bool accel_cpu_leaves(Cpu *cpu);
/* The AccelOps.run_on_cpu of engines that park. */
void accel_cpu_run(Cpu *cpu, void (*fn)(Cpu *cpu, void *data), void *data);

/* EngineOps of engines that do not translate. */
extern const EngineOps plain_engine_ops;

#endif
