/* Model-specific registers, the time stamp counter and performance counters (SDM vol. 4). */
#include "core/machine.h"
#include "target/x86/pmu.h"
#include "target/x86/svm.h"

enum { APIC_BASE_X2APIC = 1 << 10, APIC_BASE_RESERVED = 0x2ff };

enum {
    MSR_TSC = 0x10, MSR_PLATFORM_ID = 0x17, MSR_APIC_BASE = 0x1b, MSR_EBL_CR_POWERON = 0x2a, MSR_CORE_THREADS = 0x35,
    MSR_FEATURE_CONTROL = 0x3a, MSR_TSC_ADJUST = 0x3b, MSR_SPEC_CTRL = 0x48, MSR_BIOS_UPDATE = 0x79,
    MSR_BIOS_SIGN_ID = 0x8b, MSR_SMBASE = 0x9e, MSR_PERFCTR0 = 0xc1, MSR_FSB_FREQ = 0xcd, MSR_MPERF = 0xe7,
    MSR_APERF = 0xe8, MSR_MTRRCAP = 0xfe, MSR_BBL_CR_CTL3 = 0x11e, MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_MCG_CAP = 0x179, MSR_MCG_STATUS, MSR_MCG_CTL,
    MSR_EVENTSEL0 = 0x186, MSR_PERF_STATUS = 0x198, MSR_PERF_CTL, MSR_CLOCK_MODULATION,
    MSR_THERM_INTERRUPT, MSR_THERM_STATUS, MSR_MISC_ENABLE = 0x1a0, MSR_DEBUGCTL = 0x1d9,
    MSR_MTRR_BASE0 = 0x200, MSR_MTRR_FIX64K = 0x250, MSR_MTRR_FIX16K = 0x258, MSR_MTRR_FIX4K = 0x268,
    MSR_PAT = 0x277, MSR_MTRR_DEF = 0x2ff, MSR_MC0 = 0x400, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800,
    MSR_XSS = 0xda0,
};
enum {
    MSR_EFER = 0xc0000080, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_FMASK, MSR_FS_BASE = 0xc0000100,
    MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_TSC_AUX, MSR_K7_EVNTSEL0 = 0xc0010000,
    MSR_K7_PERFCTR0 = 0xc0010004, MSR_SYSCFG = 0xc0010010, MSR_HWCR = 0xc0010015, MSR_NB_CFG = 0xc001001f,
    MSR_VM_CR = 0xc0010114, MSR_OSVW_LENGTH = 0xc0010140, MSR_DE_CFG = 0xc0011029,
};

enum { HWCR_TSC_FREQ_SEL = 1 << 24 };
enum { VARIABLE_MTRRS = 8 };

/* Read as zero or as written, and taken without a word: firmware and kernels probe them. */
static bool ignorable(uint32_t msr)
{
    switch (msr) {
    case MSR_PLATFORM_ID:
    case MSR_EBL_CR_POWERON:
    case MSR_BIOS_UPDATE:
    case MSR_FSB_FREQ:
    case MSR_PERF_CTL:
    case MSR_CLOCK_MODULATION:
    case MSR_THERM_INTERRUPT:
    case MSR_THERM_STATUS:
    case MSR_BBL_CR_CTL3:
    case MSR_SYSCFG:
    case MSR_HWCR:
    case MSR_NB_CFG:
    case MSR_DE_CFG:
    case 0x1b0:   /* energy and performance bias */
    case 0x1c9:   /* last branch records */
    case 0x1db:
    case 0x1dc:
    case 0x1dd:
    case 0x1de:
    case 0x34:    /* SMI count */
    case 0x2c:    /* the clock's settings, of family 15 */
    case 0xce:    /* platform information */
    case 0xe2:    /* package sleep states */
    case 0x119:   /* the serial number's switch */
    case 0x1aa:   /* power management */
    case 0x1fc:
    case 0x1ad:   /* turbo ratios */
    case 0x140:   /* misc features */
    case 0xc0010055: /* interrupt pending message */
    case 0xc001001b: /* clock control, of the Athlon */
    case 0xc0010020: /* patch loader */
    case 0xc0010058: /* where PCI configuration space is */
    case 0xc0010112: /* memory of system management mode */
    case 0xc0010113:
    case 0xc0010117: /* VM_HSAVE_PA */
    case 0xc0011020: /* settings of load and store, code, data, bus units */
    case 0xc0011021:
    case 0xc0011022:
    case 0xc0011023:
    case 0xc001102a:
    case 0xc001102c:
        return true;
    default:
        return msr >= 0x606 && msr <= 0x641; /* power limits and energy counters */
    }
}

static bool is_variable_mtrr(uint32_t msr)
{
    return msr >= MSR_MTRR_BASE0 && msr < MSR_MTRR_BASE0 + 2 * VARIABLE_MTRRS;
}

static uint64_t *mtrr(X86State *s, uint32_t msr)
{
    if (msr == MSR_MTRR_DEF) {
        return &s->mtrr_def;
    }
    if (is_variable_mtrr(msr)) {
        unsigned n = (msr - MSR_MTRR_BASE0) / 2;

        return msr & 1 ? &s->mtrr_mask[n] : &s->mtrr_base[n];
    }
    if (msr == MSR_MTRR_FIX64K) {
        return &s->mtrr_fixed[0];
    }
    if (msr == MSR_MTRR_FIX16K || msr == MSR_MTRR_FIX16K + 1) {
        return &s->mtrr_fixed[1 + msr - MSR_MTRR_FIX16K];
    }
    if (msr >= MSR_MTRR_FIX4K && msr < MSR_MTRR_FIX4K + 8) {
        return &s->mtrr_fixed[3 + msr - MSR_MTRR_FIX4K];
    }
    return NULL;
}

/* Registers that read as they were written; what may be written is checked in plain_ok. */
static uint64_t *plain(X86State *s, uint32_t msr)
{
    switch (msr) {
    case MSR_SYSENTER_CS:
        return &s->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return &s->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &s->sysenter_eip;
    case MSR_PAT:
        return x86_has(s, FEAT_pat) ? &s->pat : NULL;
    case MSR_MISC_ENABLE:
        return &s->misc_enable;
    case MSR_MCG_STATUS:
        return &s->mcg_status;
    case MSR_MCG_CTL:
        return &s->mcg_ctl;
    case MSR_DEBUGCTL:
        return &s->debugctl;
    case MSR_FEATURE_CONTROL:
        return &s->feature_control;
    case MSR_BIOS_SIGN_ID:
        return &s->bios_sign_id;
    case MSR_XSS:
        return x86_has(s, FEAT_xsaves) ? &s->xss : NULL;
    case MSR_STAR:
        return x86_has(s, FEAT_syscall) ? &s->star : NULL;
    case MSR_LSTAR:
        return x86_has(s, FEAT_lm) ? &s->lstar : NULL;
    case MSR_CSTAR:
        return x86_has(s, FEAT_lm) ? &s->cstar : NULL;
    case MSR_FMASK:
        return x86_has(s, FEAT_lm) ? &s->fmask : NULL;
    case MSR_FS_BASE:
        return x86_has(s, FEAT_lm) ? &s->seg[S_FS].base : NULL;
    case MSR_GS_BASE:
        return x86_has(s, FEAT_lm) ? &s->seg[S_GS].base : NULL;
    case MSR_KERNEL_GS_BASE:
        return x86_has(s, FEAT_lm) ? &s->kernel_gs_base : NULL;
    case MSR_TSC_AUX:
        return x86_has(s, FEAT_rdtscp) || x86_has(s, FEAT_rdpid) ? &s->tsc_aux : NULL;
    default:
        break;
    }
    if (msr >= MSR_MC0 && msr < MSR_MC0 + 4 * MCG_BANKS) {
        return &s->mc_banks[msr - MSR_MC0];
    }
    if (msr >= MSR_PERFCTR0 && msr < MSR_PERFCTR0 + PMU_GENERAL) {
        return &s->perf[PERF_GENERAL + msr - MSR_PERFCTR0];
    }
    if (msr >= MSR_EVENTSEL0 && msr < MSR_EVENTSEL0 + PMU_GENERAL) {
        return &s->perf[PERF_SELECT + msr - MSR_EVENTSEL0];
    }
    if (msr >= MSR_K7_EVNTSEL0 && msr < MSR_K7_EVNTSEL0 + 8) {
        return &s->perf[PERF_AMD_SELECT + msr - MSR_K7_EVNTSEL0];
    }
    return x86_has(s, FEAT_mtrr) ? mtrr(s, msr) : NULL;
}

enum { MTRR_TYPES = 0x73, PAT_TYPES = 0xf3 }; /* UC WC WT WP WB; UC- too */

static bool memory_types_ok(uint64_t value, unsigned mask)
{
    for (int i = 0; i < 8; i++, value >>= 8) {
        unsigned type = value & 0xff;

        if (type > 7 || !(mask >> type & 1)) {
            return false;
        }
    }
    return true;
}

bool x86_pat_ok(uint64_t pat)
{
    return memory_types_ok(pat, PAT_TYPES);
}

static bool mtrr_type_ok(uint8_t type)
{
    return type < 8 && MTRR_TYPES >> type & 1;
}

/* SDM volume 3, 12.11.2: reserved bits and types. */
static bool variable_mtrr_ok(uint32_t msr, uint64_t value)
{
    uint64_t reserved = ~X86_PHYS_MASK | (msr & 1 ? 0x7ff : 0xf00);

    return !(value & reserved) && (msr & 1 || mtrr_type_ok(value));
}

static bool plain_ok(const X86State *s, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case MSR_SYSENTER_ESP:
    case MSR_SYSENTER_EIP:
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS_BASE:
        return is_canonical_base(s, value);
    case MSR_PAT:
        return x86_pat_ok(value);
    case MSR_FMASK:
    case MSR_TSC_AUX:
        return !(value >> 32);
    case MSR_XSS:
        return !value;
    case MSR_MTRR_DEF:
        return !(value & ~UINT64_C(0xcff)) && mtrr_type_ok(value);
    case MSR_FEATURE_CONTROL:
        return !(s->feature_control & 1); /* locked */
    default:
        if (msr >= MSR_MC0 && msr < MSR_MC0 + 4 * MCG_BANKS) {
            /* Controls are switched all on or off, a status is only ever cleared. */
            return msr % 4 == 0 ? value == 0 || (value | 1 << 10) == UINT64_MAX : msr % 4 != 1 || value == 0;
        }
        if (msr >= MSR_MTRR_FIX64K && msr < MSR_MTRR_FIX4K + 8) {
            return memory_types_ok(value, MTRR_TYPES);
        }
        return !is_variable_mtrr(msr) || variable_mtrr_ok(msr, value);
    }
}

static uint64_t tsc_now(X86State *s)
{
    return svm_guest_tsc(s, x86_tsc(s));
}

bool x86_msr_read(X86State *s, uint32_t msr, uint64_t *value)
{
    Cpu *cpu = s->hot.cpu;
    const uint64_t *field = plain(s, msr);

    if (x86_pmu_read(s, msr, value)) {
        return true;
    }
    if (field) {
        *value = *field;
        return true;
    }
    if (svm_msr_read(s, msr, value)) {
        return true;
    }
    switch (msr) {
    case MSR_TSC:
    case MSR_MPERF:
    case MSR_APERF:
        *value = tsc_now(s);
        return true;
    case MSR_TSC_ADJUST:
        *value = s->tsc_adjust;
        return x86_has(s, FEAT_tsc_adjust);
    case MSR_EFER:
        *value = s->efer;
        return x86_has(s, FEAT_syscall) || x86_has(s, FEAT_nx) || x86_has(s, FEAT_lm);
    case MSR_APIC_BASE:
        tcg_fp_sync(s);
        *value = cpu->intc && cpu->intc->get_base ? cpu->intc->get_base(cpu->intc_opaque) : 0;
        return x86_has(s, FEAT_apic);
    case MSR_MTRRCAP:
        *value = VARIABLE_MTRRS | 1 << 8 | 1 << 10; /* fixed ones, and WC */
        return x86_has(s, FEAT_mtrr);
    case MSR_MCG_CAP:
        *value = MCG_BANKS | 1 << 8;
        return true;
    case MSR_PERF_STATUS:
        *value = 1000 | UINT64_C(4) << 40;
        return true;
    case MSR_CORE_THREADS: /* of the package: threads, and cores above */
        *value = (uint64_t)MAX(machine_config.cores, 1) << 16 | (MAX(machine_config.cores, 1) * MAX(machine_config.threads, 1));
        return true;
    case MSR_SMBASE:
        *value = s->smbase;
        return s->in_smm;
    case MSR_VM_CR:
        *value = 1 << 4 | 1 << 3; /* SVM off and locked */
        return true;
    case MSR_HWCR:
        *value = HWCR_TSC_FREQ_SEL; /* the TSC counts at the frequency of the highest P-state, says the firmware */
        return true;
    case MSR_OSVW_LENGTH:
    case MSR_OSVW_LENGTH + 1:
        *value = 0;
        return true;
    default:
        break;
    }
    if ((msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x100) || msr == MSR_TSC_DEADLINE) {
        tcg_fp_sync(s);
        return cpu->intc && cpu->intc->read_msr && cpu->intc->read_msr(cpu->intc_opaque, msr, value);
    }
    *value = 0;
    return ignorable(msr);
}

uint64_t x86_allowed_efer(const X86State *s)
{
    uint64_t allowed = EFER_LMA;

    if (x86_has(s, FEAT_syscall)) {
        allowed |= EFER_SCE;
    }
    if (x86_has(s, FEAT_lm)) {
        allowed |= EFER_LME;
    }
    if (x86_has(s, FEAT_nx)) {
        allowed |= EFER_NXE;
    }
    if (x86_has(s, FEAT_fxsr_opt)) {
        allowed |= 1 << 14;
    }
    if (x86_has(s, FEAT_svm) && !(s->svm.vm_cr & VM_CR_SVMDIS)) {
        allowed |= EFER_SVME;
    }
    return allowed;
}

static bool write_efer(X86State *s, uint64_t value)
{
    if ((value & ~x86_allowed_efer(s)) || ((s->cr0 & CR0_PG) && ((s->efer ^ value) & EFER_LME))) {
        return false;
    }
    x86_set_efer(s, (value & ~(uint64_t)EFER_LMA) | (s->efer & EFER_LMA));
    return true;
}

/* The local APIC's timer waits for a time stamp; when that will be has changed with the counter. */
static void renew_deadline(X86State *s)
{
    Cpu *cpu = s->hot.cpu;
    uint64_t deadline;

    tcg_fp_sync(s);
    if (cpu->intc && cpu->intc->read_msr && cpu->intc->write_msr && cpu->intc->read_msr(cpu->intc_opaque, MSR_TSC_DEADLINE, &deadline) &&
        deadline) {
        cpu->intc->write_msr(cpu->intc_opaque, MSR_TSC_DEADLINE, deadline);
    }
}

bool x86_msr_write(X86State *s, uint32_t msr, uint64_t value)
{
    Cpu *cpu = s->hot.cpu;
    uint64_t *field = plain(s, msr);
    bool good;

    if (x86_pmu_write(s, msr, value, &good)) {
        return good;
    }
    if (field) {
        if (!plain_ok(s, msr, value)) {
            return false;
        }
        *field = msr == MSR_BIOS_SIGN_ID ? *field : value;
        if (field != &s->seg[S_FS].base && field != &s->seg[S_GS].base) { /* these come at each switch of threads */
            x86_forget_calls(s);
        }
        return true;
    }
    if (svm_msr_write(s, msr, value, &good)) {
        return good;
    }
    switch (msr) {
    case MSR_TSC: {
        uint64_t old = x86_tsc(s); /* the processor's own, also in a virtual machine */

        s->tsc_adjust += value - old;
        x86_tsc_set(s, value);
        renew_deadline(s);
        return true;
    }
    case MSR_TSC_ADJUST:
        s->tsc_offset += value - s->tsc_adjust;
        s->tsc_adjust = value;
        x86_tsc_rules_changed(s);
        renew_deadline(s);
        return x86_has(s, FEAT_tsc_adjust);
    case MSR_EFER:
        return write_efer(s, value);
    case MSR_APIC_BASE:
        tcg_fp_sync(s);
        if (!x86_has(s, FEAT_apic) || value & (APIC_BASE_RESERVED | ~X86_PHYS_MASK) ||
            ((value & APIC_BASE_X2APIC) && !x86_has(s, FEAT_x2apic))) {
            return false;
        }
        return !cpu->intc || !cpu->intc->set_base || cpu->intc->set_base(cpu->intc_opaque, value);
    case MSR_MPERF:
    case MSR_APERF:
    case MSR_VM_CR:
    case MSR_OSVW_LENGTH:
    case MSR_OSVW_LENGTH + 1:
        return true;
    default:
        break;
    }
    if ((msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x100) || msr == MSR_TSC_DEADLINE) {
        tcg_fp_sync(s);
        return cpu->intc && cpu->intc->write_msr && cpu->intc->write_msr(cpu->intc_opaque, msr, value);
    }
    return ignorable(msr);
}

uint64_t helper_rdmsr(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint32_t msr = a;
    uint64_t value;

    if (!x86_has(s, FEAT_msr)) {
        x86_raise(s, EXC_UD, ra);
    }
    if (s->cpl) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    if (!x86_msr_read(s, msr, &value)) {
        x86_log(s, LOG_GUEST_ERRORS, "cpu: read of unknown MSR %#x\n", msr);
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    return value;
}

uint64_t helper_wrmsr(X86State *s, uint64_t a, uint64_t value, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint32_t msr = a;

    if (!x86_has(s, FEAT_msr)) {
        x86_raise(s, EXC_UD, ra);
    }
    if (s->cpl) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    if (!x86_msr_write(s, msr, value)) {
        x86_log(s, LOG_GUEST_ERRORS, "cpu: bad write of MSR %#x: %#" PRIx64 "\n", msr, value);
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    return 0;
}

uint64_t helper_rdtsc(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if ((s->cr4 & CR4_TSD) && s->cpl) {
        x86_raise_error(s, EXC_GP, 0, tcg_caller_pc(s));
    }
    return svm_guest_tsc(s, x86_tsc_read(s));
}

uint64_t helper_tsc_aux(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return s->tsc_aux;
}

uint64_t helper_rdpmc(X86State *s, uint64_t index, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint64_t value;

    if (s->cpl && !(s->cr4 & CR4_PCE)) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    if (x86_has_pmu(s) ? !x86_pmu_counter(s, index, &value) : (uint32_t)index >= PMU_GENERAL) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    return x86_has_pmu(s) ? value : s->perf[PERF_GENERAL + (index & 3)]; /* those stand still */
}
