/* Performance counters: see pmu.c. */
#ifndef TARGET_X86_PMU_H
#define TARGET_X86_PMU_H

#include "target/x86/system.h"

/* Where counters and controls are in X86State.perf. */
enum {
    PERF_GENERAL = 0, PERF_SELECT = 4,         /* Intel's four */
    PERF_AMD_SELECT = 8, PERF_AMD_COUNTER = 12, /* AMD's: four that all have, two more */
    PERF_AMD_SELECT_CORE = 16, PERF_AMD_COUNTER_CORE = 20,
    PERF_FIXED = 24, PERF_FIXED_CONTROL = 27, PERF_GLOBAL_CONTROL, PERF_GLOBAL_STATUS,
};
enum { PMU_GENERAL = 4, PMU_FIXED = 3, PMU_AMD_CORE = 6, PMU_WIDTH = 48 };

/* What the model has: Intel's architectural counters of version 2, AMD's, or storage that stands still. */
bool x86_has_pmu(const X86State *s);
bool x86_has_amd_core_counters(const X86State *s);

/* False: no register of this unit. A write with good false: #GP. */
bool x86_pmu_read(X86State *s, uint32_t msr, uint64_t *value);
bool x86_pmu_write(X86State *s, uint32_t msr, uint64_t value, bool *good);
/* RDPMC. False: there is no such counter. */
bool x86_pmu_counter(X86State *s, uint32_t index, uint64_t *value);

/* Brings all counters up to now. The processor's thread, or any while it is stopped. */
void x86_pmu_update(X86State *s);
/* CPU_REQ_TIMER, on the processor's thread: overflows, and a start after the state was loaded. */
void x86_pmu_service(X86State *s);
/* The state was replaced: counting begins again when the processor runs. */
void x86_pmu_restart(X86State *s);
/* CPL has changed, or may have. */
void x86_pmu_follow_level(X86State *s);

#endif
