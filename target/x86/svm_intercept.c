/* Which events and instructions of a virtual machine are its host's business (APM vol. 2, 15.7 to 15.14). */
#include <x86intrin.h>

#include "target/x86/svm.h"

void svm_check_exception(X86State *s, const X86Exception *e)
{
    X86SvmExit exit = { .code = SVM_EXIT_EXCEPTION + e->vector };

    if (e->injected || e->external || (e->software && !e->by_opcode) || e->vector >= 32 ||
        !svm_intercepts(s, exit.code)) {
        return;
    }
    exit.info1 = e->has_error ? e->error_code : 0;
    if (e->vector == EXC_PF) {
        exit.info2 = e->cr2;
    } else if (e->vector == EXC_DB && !e->software) {
        x86_enter_debug(s, e); /* the host finds DR6 and DR7 as a handler would */
    }
    exit.next_rip = e->software ? e->next_pc : 0;
    svm_exit(s, exit, 0);
}

void svm_check_shutdown(X86State *s)
{
    if (svm_intercepts(s, SVM_EXIT_SHUTDOWN)) {
        svm_exit(s, (X86SvmExit){ .code = SVM_EXIT_SHUTDOWN }, 0);
    }
}

void svm_check_task_switch(X86State *s, uint16_t selector, TaskSource source, bool has_error, uint32_t error)
{
    uint64_t info2 = has_error ? error | UINT64_C(1) << 44 : 0;

    if (G_LIKELY(!svm_intercepts(s, SVM_EXIT_TASK_SWITCH))) {
        return;
    }
    if (source == TASK_IRET) {
        info2 |= UINT64_C(1) << 36;
    } else if (source == TASK_JUMP) {
        info2 |= UINT64_C(1) << 38;
    }
    if (s->eflags & EFL_RF) {
        info2 |= UINT64_C(1) << 48;
    }
    svm_exit(s, (X86SvmExit){ SVM_EXIT_TASK_SWITCH, selector, info2, 0 }, 0);
}

/* An exception that the instruction raises first. */
static bool faults_first(const X86State *s, uint64_t code)
{
    switch (code) {
    case SVM_EXIT_RDTSC:
    case SVM_EXIT_RDTSCP:
        return s->cpl && (s->cr4 & CR4_TSD);
    case SVM_EXIT_RDPMC:
        return s->cpl && !(s->cr4 & CR4_PCE);
    case SVM_EXIT_READ_IDTR:
    case SVM_EXIT_READ_GDTR:
    case SVM_EXIT_READ_LDTR:
    case SVM_EXIT_READ_TR:
        return s->cpl && (s->cr4 & CR4_UMIP);
    default:
        return false;
    }
}

uint64_t helper_svm_check(X86State *s, uint64_t code, uint64_t info1, uint64_t next_pc, uint64_t d)
{
    if (svm_intercepts(s, code) && !faults_first(s, code)) {
        svm_exit(s, (X86SvmExit){ code, x86_has(s, FEAT_decodeassists) ? info1 : 0, 0, next_pc }, tcg_caller_pc(s));
    }
    return 0;
}

/* MOV to CR0: the selective intercept leaves TS and MP to the guest. */
uint64_t helper_svm_check_cr0(X86State *s, uint64_t value, uint64_t info1, uint64_t next_pc, uint64_t d)
{
    uint64_t changed = (s->cr0 ^ value) & ~(uint64_t)(CR0_TS | CR0_MP | CR0_ET);
    unsigned code = svm_intercepts(s, SVM_EXIT_WRITE_CR0) ? SVM_EXIT_WRITE_CR0 : SVM_EXIT_CR0_SELECTIVE;

    if (svm_intercepts(s, code) && (code == SVM_EXIT_WRITE_CR0 || changed)) {
        svm_exit(s, (X86SvmExit){ code, x86_has(s, FEAT_decodeassists) ? info1 : 0, 0, next_pc }, tcg_caller_pc(s));
    }
    return 0;
}

/* A bit of a permission map in the host's memory. */
static unsigned map_bits(X86State *s, PhysAddr map, uint32_t bit, unsigned n)
{
    unsigned low = x86_read_phys(s, map + bit / 8, 1), high = x86_read_phys(s, map + bit / 8 + 1, 1);

    return (low | high << 8) >> bit % 8 & ((1u << n) - 1);
}

/* Ports are three maps of pages: accesses beyond the last one use the bits behind it. */
uint64_t helper_svm_check_io(X86State *s, uint64_t port, uint64_t info, uint64_t next_pc, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    unsigned size = info >> 4 & 7;

    port &= 0xffff;
    x86_check_io(s, port, size, ra);
    if (svm_intercepts(s, SVM_EXIT_IO) && map_bits(s, s->svm.iopm, port, size)) {
        svm_exit(s, (X86SvmExit){ SVM_EXIT_IO, port << 16 | info, next_pc, next_pc }, ra);
    }
    return 0;
}

/* Where the MSR's two bits are, for reads and writes; false: such MSRs are always intercepted. */
static bool msr_place(uint32_t msr, uint32_t *bit)
{
    static const uint32_t first[] = { 0, 0xc0000000, 0xc0010000 };

    for (unsigned i = 0; i < G_N_ELEMENTS(first); i++) {
        if (msr - first[i] < 0x2000) {
            *bit = i * 0x4000 + (msr - first[i]) * 2;
            return true;
        }
    }
    return false;
}

uint64_t helper_svm_check_msr(X86State *s, uint64_t msr, uint64_t is_write, uint64_t next_pc, uint64_t d)
{
    uint32_t bit;

    if (svm_intercepts(s, SVM_EXIT_MSR) &&
        (!msr_place(msr, &bit) || map_bits(s, s->svm.msrpm, bit + is_write, 1))) {
        svm_exit(s, (X86SvmExit){ SVM_EXIT_MSR, is_write, 0, next_pc }, tcg_caller_pc(s));
    }
    return 0;
}

/* A processor's few cycles between the PAUSEs of a loop that spins are many of the host's here. */
#define PAUSE_SLOWNESS 32

/* With a filter only the last of so many PAUSEs leaves; a threshold begins the count again when they are far apart. */
uint64_t helper_svm_check_pause(X86State *s, uint64_t next_pc, uint64_t b, uint64_t c, uint64_t d)
{
    X86Svm *v = &s->svm;

    if (!svm_intercepts(s, SVM_EXIT_PAUSE)) {
        return 0;
    }
    if (x86_has(s, FEAT_pause_filter) && v->pause_count) {
        if (x86_has(s, FEAT_pfthreshold) && v->pause_threshold) {
            uint64_t now = __rdtsc();

            if (now - v->last_pause > v->pause_threshold * PAUSE_SLOWNESS) {
                v->pause_left = v->pause_count;
            }
            v->last_pause = now;
        }
        if (v->pause_left) {
            v->pause_left--;
            return 0;
        }
    }
    svm_exit(s, (X86SvmExit){ .code = SVM_EXIT_PAUSE, .next_rip = next_pc }, tcg_caller_pc(s));
}
