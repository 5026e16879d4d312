/*
 * The performance monitor: six counters (970: eight; 7xx and 604: four), of cycles and completed instructions (Power ISA, Book III, 9;
 * MPC750 User's Manual, chapter 11). Other events count nothing.
 *
 * While an instruction counter is not frozen, blocks are made that count (MODE_COUNT): each instruction takes one off the slot
 * pmu_left, and a block that begins with less than nothing left comes here, so an overflow is found at the next block. A cycle is a
 * nanosecond that the processor's thread has run; its overflows are found by a timer. Nothing is paid while MMCR0[FC] is set.
 */
#include "target/ppc/spr.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "core/clock.h"

/* MMCR0. */
#define FREEZE            UINT64_C(0x80000000)
#define FREEZE_SUPERVISOR UINT64_C(0x40000000)
#define FREEZE_PROBLEM    UINT64_C(0x20000000)
#define FREEZE_MARKED     UINT64_C(0x10000000) /* MSR[PMM] */
#define FREEZE_UNMARKED   UINT64_C(0x08000000)
#define ALERT_ENABLE      UINT64_C(0x04000000)
#define FREEZE_ON_ALERT   UINT64_C(0x02000000)
#define FIRST_ALERTS      UINT64_C(0x00008000) /* counter 1 negative */
#define OTHERS_ALERT      UINT64_C(0x00004000)
#define HISTORY_ACCESS    UINT64_C(0x00200000) /* BHRBA */
#define PROBLEM_CONTROLS  (FREEZE | ALERT_ENABLE | MMCR0_ALERT_OCCURRED)
#define GROUP_B_DENIED    UINT64_C(0x00000200) /* PMCCEXT, 3.1 */
#define FREEZE_5_AND_6    UINT64_C(0x00000010)
#define FREEZE_HYPERVISOR UINT64_C(0x00000001)

/* MMCR2: for each counter, that it stands in problem state. */
#define PROBLEM_FREEZES UINT64_C(0x4020100804020000)

#define NEGATIVE UINT32_C(0x80000000)
#define FAR      (INT64_C(1) << 62) /* no overflow is near */

enum { SIER_SIAR_VALID = 0x0400000, SIER_PROBLEM = 0x2000000 };
enum { COUNTERS = 8 };

typedef enum Event { EVENT_NONE, EVENT_INSNS, EVENT_CYCLES } Event;

/* Where a processor has its registers. */
typedef struct Layout {
    unsigned mmcr0, mmcr1, siar, counters;
    uint16_t pmc[COUNTERS];
} Layout;

static const Layout *layout_of(const PpcState *s)
{
    static const Layout classic = { 952, 956, 955, 4, { 953, 954, 957, 958 } };
    static const Layout g4e = { 952, 956, 955, 6, { 953, 954, 957, 958, 945, 946 } };
    static const Layout server = { 795, 798, 796, 6, { 787, 788, 789, 790, 791, 792 } };
    static const Layout g5 = { 795, 798, 796, 8, { 787, 788, 789, 790, 791, 792, 793, 794 } };

    return ppc_isa(s, ISA_7450) ? &g4e : ppc_isa(s, ISA_CLASSIC) ? &classic : ppc_isa(s, ISA_V206) ? &server : &g5;
}

/* The number that chooses the counter's event. */
static unsigned selection(const PpcState *s, const Layout *l, unsigned n)
{
    static const uint8_t classic_shift[] = { 27, 22, 17, 11 }, g5_shift[] = { 27, 22, 17, 12, 7, 2 };
    uint64_t mmcr0 = s->spr[l->mmcr0], mmcr1 = s->spr[l->mmcr1];

    if (ppc_isa(s, ISA_CLASSIC)) {
        return n == 0 ? mmcr0 >> 6 & 0x7f : n == 1 ? mmcr0 & 0x3f : mmcr1 >> classic_shift[n - 2] & (n == 5 ? 0x3f : 0x1f);
    }
    if (ppc_isa(s, ISA_V206)) {
        return mmcr1 >> (24 - 8 * n) & 0xff;
    }
    return n < 2 ? mmcr0 >> (n ? 1 : 8) & 0x1f : mmcr1 >> g5_shift[n - 2] & 0x1f;
}

static Event event_of(const PpcState *s, const Layout *l, unsigned n)
{
    unsigned number;

    if (ppc_isa(s, ISA_V206) && n >= 4) {
        return n == 4 ? EVENT_INSNS : EVENT_CYCLES;
    }
    number = selection(s, l, n);
    if (ppc_isa(s, ISA_CLASSIC)) {
        return number == 1 ? EVENT_CYCLES : number == 2 ? EVENT_INSNS : EVENT_NONE;
    }
    if (ppc_isa(s, ISA_V206)) { /* PM_CYC, PM_RUN_CYC; PM_INST_CMPL, PM_RUN_INST_CMPL */
        return number == 0x1e || number == 0xf4 ? EVENT_CYCLES : number == 2 || number == 0xfa ? EVENT_INSNS : EVENT_NONE;
    }
    return number == 7 ? EVENT_CYCLES : number == 1 || number == 9 ? EVENT_INSNS : EVENT_NONE;
}

static bool is_frozen(const PpcState *s, const Layout *l, unsigned n)
{
    bool problem = s->msr & MSR_PR, hypervisor = !problem && s->msr & MSR_HV, marked = s->msr & MSR_PMM;
    uint64_t mmcr0 = s->spr[l->mmcr0];

    if (mmcr0 & (FREEZE | (problem ? FREEZE_PROBLEM : hypervisor ? 0 : FREEZE_SUPERVISOR) | (marked ? FREEZE_MARKED : FREEZE_UNMARKED))) {
        return true;
    }
    if (ppc_isa(s, ISA_CLASSIC)) {
        return false;
    }
    if ((hypervisor && mmcr0 & FREEZE_HYPERVISOR) || (ppc_isa(s, ISA_V206) && n >= 4 && mmcr0 & FREEZE_5_AND_6)) {
        return true;
    }
    if (ppc_isa(s, ISA_V207)) { /* MMCR2, nine bits per counter: supervisor, problem state, ... hypervisor */
        unsigned shift = 63 - 9 * n - (problem ? 1 : hypervisor ? 6 : 0);

        return s->spr[SPR_MMCR2] >> shift & 1;
    }
    return false;
}

/* ---- counting ---- */

static uint64_t thread_ns(PpcState *s)
{
    struct timespec t;

    tcg_fp_sync(s);
    clock_gettime(s->pmu.clock, &t);
    return t.tv_sec * UINT64_C(1000000000) + t.tv_nsec;
}

static void deliver_alert(PpcState *s, uint64_t mmcr0)
{
    if (ppc_isa(s, ISA_V207) && mmcr0 & MMCR0_EVENT_BRANCH) {
        ppc_ebb_update(s);
        return;
    }
    atomic_fetch_or(&s->pending, PPC_INT_PERF);
    ppc_poll_interrupts(s);
}

static void alert(PpcState *s, const Layout *l)
{
    uint64_t *mmcr0 = &s->spr[l->mmcr0];

    *mmcr0 = (*mmcr0 & ~ALERT_ENABLE) | (*mmcr0 & FREEZE_ON_ALERT ? FREEZE : 0) | (ppc_isa(s, ISA_64) ? MMCR0_ALERT_OCCURRED : 0);
    s->spr[l->siar] = s->pc;
    if (ppc_isa(s, ISA_V207)) {
        s->spr[SPR_SIER] = SIER_SIAR_VALID | (s->msr & MSR_PR ? SIER_PROBLEM : 0);
    }
    deliver_alert(s, *mmcr0);
}

/* Adds what came since the last time to the counters that were on, and looks for those that are negative. */
static void add_events(PpcState *s)
{
    const Layout *l = layout_of(s);
    PpcPmu *pmu = &s->pmu;
    uint64_t deltas[] = { 0, MAX(pmu->left_seen - s->pmu_left, 0), 0 };

    pmu->left_seen = MIN(pmu->left_seen, s->pmu_left);
    if (pmu->cycles) {
        uint64_t ns = thread_ns(s);

        deltas[EVENT_CYCLES] = ns - pmu->ns_seen;
        pmu->ns_seen = ns;
    }
    for (unsigned n = 0; n < l->counters; n++) {
        uint64_t *pmc = &s->spr[l->pmc[n]];

        if (pmu->on >> n & 1) {
            *pmc = (uint32_t)(*pmc + deltas[event_of(s, l, n)]);
        }
        if (*pmc & NEGATIVE && s->spr[l->mmcr0] & ALERT_ENABLE && s->spr[l->mmcr0] & (n ? OTHERS_ALERT : FIRST_ALERTS)) {
            alert(s, l);
        }
    }
}

static void expired(void *opaque)
{
    PpcState *s = opaque;

    cpu_request(s->hot.cpu, CPU_REQ_TIMER);
}

/* From the controls and the state: what counts, and when to look again. In the processor's thread. */
static void plan(PpcState *s)
{
    const Layout *l = layout_of(s);
    PpcPmu *pmu = &s->pmu;
    uint64_t left = FAR, cycles = FAR;
    bool was_cycles = pmu->cycles;

    pmu->on = 0;
    pmu->blocks = pmu->cycles = false;
    for (unsigned n = 0; n < l->counters; n++) {
        Event event = event_of(s, l, n);
        uint32_t value = s->spr[l->pmc[n]];
        uint64_t until = value & NEGATIVE ? FAR : NEGATIVE - value;

        if (event == EVENT_NONE || is_frozen(s, l, n)) {
            continue;
        }
        pmu->on |= 1u << n;
        if (event == EVENT_CYCLES) {
            pmu->cycles = true;
            cycles = MIN(cycles, until);
        } else {
            pmu->blocks = true;
            left = MIN(left, until);
        }
    }
    s->pmu_left = pmu->left_seen = left - 1;
    if (pmu->cycles && !was_cycles) {
        tcg_fp_sync(s);
        pthread_getcpuclockid(pthread_self(), &pmu->clock);
        pmu->ns_seen = thread_ns(s);
    }
    if (pmu->cycles && cycles < NEGATIVE) {
        tcg_fp_sync(s);
        if (!pmu->timer) {
            pmu->timer = timer_new(CLOCK_GUEST, expired, s);
        }
        timer_set(pmu->timer, clock_now(CLOCK_GUEST) + cycles + 1);
    }
}

/* Whether anything counts in some state of the processor. */
static bool wanted(const PpcState *s)
{
    const Layout *l = layout_of(s);

    if (ppc_isa(s, ISA_BOOKE) || s->spr[l->mmcr0] & FREEZE) {
        return false;
    }
    for (unsigned n = 0; n < l->counters; n++) {
        if (event_of(s, l, n) != EVENT_NONE) {
            return true;
        }
    }
    return false;
}

uint64_t ppc_pmu_mode(PpcState *s)
{
    uint64_t level = s->msr & (MSR_PR | MSR_HV | MSR_PMM);

    if (G_LIKELY(!s->pmu.active)) {
        return 0;
    }
    if (s->pmu.level != level) {
        add_events(s);
        s->pmu.level = level;
        plan(s);
    }
    return s->pmu.blocks ? MODE_COUNT : 0;
}

void ppc_pmu_service(PpcState *s)
{
    if (s->pmu.active || wanted(s)) {
        add_events(s);
        s->pmu.active = wanted(s);
        plan(s);
        ppc_update_mode(s);
    }
}

void ppc_pmu_restart(PpcState *s)
{
    s->pmu.active = s->pmu.blocks = s->pmu.cycles = false;
    s->pmu.on = 0;
    s->pmu_left = s->pmu.left_seen = FAR;
    if (wanted(s)) {
        cpu_request(s->hot.cpu, CPU_REQ_TIMER);
    }
}

void ppc_pmu_update(PpcState *s)
{
    if (s->pmu.active) {
        add_events(s);
    }
}

/* A block begins with less than nothing left. */
uint64_t ppc_helper_pmu_look(PpcState *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    ppc_pmu_service(s);
    return 0;
}

/* ---- registers ---- */

uint64_t ppc_pmu_read(PpcState *s, unsigned n)
{
    ppc_pmu_update(s);
    return s->spr[n];
}

/* The names that problem state has are 16 below. By these, two of the controls have only some of their bits. */
static uint64_t user_bits(const PpcState *s, unsigned n)
{
    return !ppc_isa(s, ISA_V207) ? UINT64_MAX : n + 16 == SPR_MMCR0 ? PROBLEM_CONTROLS : n + 16 == SPR_MMCR2 ? PROBLEM_FREEZES : UINT64_MAX;
}

uint64_t ppc_pmu_read_user(PpcState *s, unsigned n)
{
    return ppc_pmu_read(s, n + 16) & user_bits(s, n);
}

/*
 * MMCR0[PMCC]: problem state reads all; has nothing; reads and writes group A, which are counters, MMCR0, MMCR2 and MMCRA; the same, but
 * without counters 5 and 6 (Power ISA 2.07, Book III, 9.2 and 9.4.4). Group B it reads.
 */
PpcPmuAccess ppc_pmu_access(const PpcState *s, unsigned n, bool write)
{
    enum { READ_ONLY, NOTHING, GROUP_A, GROUP_A_BUT_5_6, PMC5 = 775, PMC6 = 776, SIER = 768, SIAR = 780 };
    unsigned control = s->spr[SPR_MMCR0] >> 18 & 3;
    bool group_b = n <= SIER || n >= SIAR;

    if (control == NOTHING || (control == GROUP_A_BUT_5_6 && (n == PMC5 || n == PMC6)) ||
        (control == READ_ONLY && group_b && ppc_isa(s, ISA_V310) && s->spr[SPR_MMCR0] & GROUP_B_DENIED)) {
        return PMU_UNAVAILABLE;
    }
    return write && control == READ_ONLY ? PMU_REFUSED : PMU_ALLOWED;
}

/* The history of branches, in which there are none. */
uint64_t ppc_helper_check_bhrb(PpcState *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (!(s->spr[SPR_MMCR0] & HISTORY_ACCESS)) {
        ppc_facility_unavailable(s, FACILITY_BHRB, tcg_caller_pc(s));
    }
    return 0;
}

/* An alert that is written happens: what a kernel has saved of a task comes back so. */
static void mmcr0_written(PpcState *s, uint64_t value)
{
    bool occurred = value & MMCR0_ALERT_OCCURRED, branches = value & MMCR0_EVENT_BRANCH;

    if (!occurred || (ppc_isa(s, ISA_V207) && branches)) {
        atomic_fetch_and(&s->pending, ~(uint32_t)PPC_INT_PERF);
    }
    if (ppc_isa(s, ISA_V207) && occurred) {
        deliver_alert(s, value);
    }
}

/* Of the register as it is now, these bits become those of `value`. */
static void write_bits(PpcState *s, unsigned n, uint64_t value, uint64_t bits)
{
    const Layout *l = layout_of(s);
    bool is_counter = false;

    ppc_pmu_update(s);
    value = (s->spr[n] & ~bits) | (value & bits);
    for (unsigned i = 0; i < l->counters; i++) {
        is_counter |= l->pmc[i] == n;
    }
    s->spr[n] = is_counter ? (uint32_t)value : value;
    if (n == l->mmcr0 && ppc_isa(s, ISA_64)) {
        mmcr0_written(s, value);
    }
    ppc_pmu_service(s);
}

void ppc_pmu_write(PpcState *s, unsigned n, uint64_t value)
{
    write_bits(s, n, value, UINT64_MAX);
}

void ppc_pmu_write_user(PpcState *s, unsigned n, uint64_t value)
{
    write_bits(s, n + 16, value, user_bits(s, n));
}
