/* The program's names, and what each of them emulates. */
#ifndef SYSTEM_TARGETS_H
#define SYSTEM_TARGETS_H

#include "core/cpu.h"
#include "core/machine.h"

typedef struct SystemTarget {
    const char *name;         /* "x86_64": of the program myna-system-x86_64 */
    const char *boards[3];    /* BoardType.target of those that it offers */
    const CpuType *cpu_type;  /* for -cpu help */
    const char *default_cpu;  /* NULL: the board's */
    const char *default_board; /* NULL: the one that says so */
    bool has_kvm;             /* on x86 hosts */
} SystemTarget;

/* The one of a program's name; x86_64 for names that say nothing. */
const SystemTarget *system_target_find(const char *program);
bool system_target_offers(const SystemTarget *target, const BoardType *board);

#endif
