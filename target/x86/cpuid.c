/* What CPUID answers, from the model and the machine's topology (SDM vol. 2, CPUID). */
#include "core/machine.h"
#include "target/x86/caches.h"
#include "target/x86/fp_state.h"
#include "target/x86/pmu.h"
#include "target/x86/svm.h"

enum { APIC_CLOCK = 1000000000 }; /* hw/intr/apic-timer.c, and KVM's */

/* Bits that an identifier of n things needs. */
static unsigned id_bits(unsigned n)
{
    unsigned bits = 0;

    while (1u << bits < n) {
        bits++;
    }
    return bits;
}

static unsigned threads_per_core(void)
{
    return MAX(machine_config.threads, 1);
}

static unsigned cores_per_socket(void)
{
    return MAX(machine_config.cores, 1);
}

static void put_text(uint32_t out[4], const char *text, const uint8_t order[3])
{
    for (int i = 0; i < 3; i++) {
        memcpy(&out[order[i]], text + 4 * i, 4);
    }
}

static void topology_leaf(X86State *s, uint32_t subleaf, uint32_t out[4])
{
    unsigned threads = threads_per_core(), cores = cores_per_socket();

    out[2] = subleaf & 0xff;
    out[3] = s->apic_id;
    if (subleaf == 0) {
        out[0] = id_bits(threads);
        out[1] = threads;
        out[2] |= 1 << 8;
    } else if (subleaf == 1) {
        out[0] = id_bits(threads) + id_bits(cores);
        out[1] = threads * cores;
        out[2] |= 2 << 8;
    }
}

static void xsave_leaf(X86State *s, uint32_t subleaf, uint32_t out[4])
{
    const X86Features *f = s->features;
    uint64_t supported = x86_xsave_supported(s);

    if (!f->on[FEAT_xsave]) {
        return;
    }
    if (subleaf == 0) {
        out[0] = supported;
        out[1] = x86_xsave_size(s->xcr0, false);
        out[2] = x86_xsave_size(supported, false);
    } else if (subleaf == 1) {
        out[0] = f->words[WORD_D_1_EAX];
        if (f->on[FEAT_xsavec]) {
            out[1] = x86_xsave_size(s->xcr0, true);
        }
    } else if (subleaf < 32 && supported & ~UINT64_C(3) & 1ull << subleaf) { /* an extended component: size and offset */
        uint64_t component = 1ull << subleaf;

        out[0] = x86_xsave_size(component, true) - x86_xsave_size(0, true);
        out[1] = x86_xsave_size(component, false) - out[0];
    }
}

/* Switched off in its base register, it is as if there were none. */
static bool apic_enabled(X86State *s)
{
    const Cpu *cpu = s->hot.cpu;

    return !cpu || !cpu->intc || !cpu->intc->get_base || cpu->intc->get_base(cpu->intc_opaque) >> 11 & 1;
}

static void basic_leaf(X86State *s, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    static const uint8_t vendor_order[3] = { 1, 3, 2 };
    const X86Features *f = s->features;
    unsigned logical = threads_per_core() * cores_per_socket();

    switch (leaf) {
    case 0:
        out[0] = f->level;
        put_text(out, f->vendor, vendor_order);
        break;
    case 1: {
        unsigned extra = f->family > 15 ? f->family - 15 : 0;

        out[0] = f->stepping | (f->model & 15) << 4 | MIN(f->family, 15u) << 8 | (f->model >> 4) << 16 | extra << 20;
        out[1] = s->apic_id << 24 | (f->on[FEAT_clflush] ? 8 << 8 : 0);
        out[2] = f->words[WORD_1_ECX];
        out[3] = f->words[WORD_1_EDX];
        if (!apic_enabled(s)) {
            out[3] &= ~(1u << 9);
        }
        if (s->cr4 & CR4_OSXSAVE) {
            out[2] |= 1 << 27;
        }
        if (logical > 1) {
            out[1] |= MIN(1u << (id_bits(threads_per_core()) + id_bits(cores_per_socket())), 255u) << 16;
            out[3] |= 1 << 28;
        }
        break;
    }
    case 2:
        if (f->caches && !x86_is_amd(s)) {
            memcpy(out, f->caches->leaf2, sizeof(f->caches->leaf2));
        }
        break;
    case 4:
        if (f->caches && !x86_is_amd(s)) {
            x86_cache_leaf(f->caches, subleaf, threads_per_core(), cores_per_socket(), false, out);
        }
        break;
    case 5:
        if (f->on[FEAT_monitor]) {
            out[0] = out[1] = 64;
            out[2] = 3;
        }
        break;
    case 6:
        out[0] = f->words[WORD_6_EAX];
        break;
    case 7:
        if (subleaf == 0) {
            out[1] = f->words[WORD_7_EBX];
            out[2] = f->words[WORD_7_ECX];
            out[3] = f->words[WORD_7_EDX];
            if (s->cr4 & CR4_PKE) {
                out[2] |= 1 << 4;
            }
        }
        break;
    case 0xa:
        if (x86_has_pmu(s) && !x86_is_amd(s)) {
            out[0] = 2 | PMU_GENERAL << 8 | PMU_WIDTH << 16 | 7 << 24;
            out[1] = 1 << 3 | 1 << 4 | 1 << 6; /* missing: last-level cache references and misses, branch misses */
            out[3] = PMU_FIXED | PMU_WIDTH << 5;
        }
        break;
    case 0xb:
        topology_leaf(s, subleaf, out);
        break;
    case 0xd:
        xsave_leaf(s, subleaf, out);
        break;
    case 0x15:
        /* The crystal is the clock of the local APIC's timer: kernels that find it here do not measure that. */
        out[0] = APIC_CLOCK / 1000000;
        out[1] = x86_tsc_frequency() / 1000000;
        out[2] = APIC_CLOCK;
        break;
    case 0x16:
        out[0] = out[1] = x86_tsc_frequency() / 1000000;
        out[2] = 100;
        break;
    }
}

static void extended_leaf(X86State *s, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    static const uint8_t vendor_order[3] = { 1, 3, 2 };
    const X86Features *f = s->features;
    unsigned logical = threads_per_core() * cores_per_socket();
    bool amd = !strcmp(f->vendor, "AuthenticAMD");

    switch (leaf) {
    case 0x80000000:
        out[0] = f->xlevel;
        put_text(out, f->vendor, vendor_order);
        break;
    case 0x80000001:
        if (amd) {
            basic_leaf(s, 1, 0, out);
            out[1] = 0;
            /* AMD repeats most of leaf 1's EDX. */
            out[3] = f->words[WORD_X1_EDX] | (f->words[WORD_1_EDX] & 0x0183f3ff);
        } else {
            out[3] = f->words[WORD_X1_EDX];
            if (!is_code64(s)) {
                out[3] &= ~(1u << 11); /* Intel shows SYSCALL in 64-bit mode only */
            }
        }
        out[2] = f->words[WORD_X1_ECX] | (x86_has_amd_core_counters(s) ? 1 << 23 : 0);
        if (logical > 1 && amd) {
            out[2] |= 2;
        }
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        memcpy(out, f->model_id + (leaf - 0x80000002) * 16, 16);
        break;
    case 0x80000005:
    case 0x80000006:
        if (f->caches) {
            x86_cache_leaf_amd(f->caches, leaf - 0x80000004, amd, out);
        }
        break;
    case 0x80000007:
        out[3] = 1 << 8; /* the TSC runs at one rate always */
        break;
    case 0x80000008:
        out[0] = f->on[FEAT_lm] ? X86_PHYS_BITS | most_linear_bits(s) << 8 : f->on[FEAT_pse36] ? 36 : 32;
        if (logical > 1) {
            out[2] = (logical - 1) | id_bits(logical) << 12;
        }
        break;
    case 0x8000000a: /* SVM: revision, address space identifiers, features */
        if (f->on[FEAT_svm]) {
            out[0] = 1;
            out[1] = SVM_ASIDS;
            out[3] = f->words[WORD_XA_EDX];
        }
        break;
    case 0x8000001d:
        if (f->on[FEAT_topoext] && f->caches) {
            x86_cache_leaf(f->caches, subleaf, threads_per_core(), cores_per_socket(), true, out);
        }
        break;
    case 0x8000001e: /* which core this is; a socket is one node */
        if (f->on[FEAT_topoext]) {
            unsigned bits = id_bits(threads_per_core());

            out[0] = s->apic_id;
            out[1] = (s->apic_id >> bits & ((1u << id_bits(cores_per_socket())) - 1)) | (threads_per_core() - 1) << 8;
            out[2] = s->apic_id >> (bits + id_bits(cores_per_socket())) & 0xff;
        }
        break;
    }
}

void x86_cpuid(X86State *s, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const X86Features *f = s->features;

    memset(out, 0, 4 * sizeof(out[0]));
    if (leaf >= 0x80000000 && f->xlevel) {
        if (leaf <= f->xlevel) {
            extended_leaf(s, leaf, subleaf, out);
            return;
        }
    } else if (leaf >> 28 == 4 && f->on[FEAT_hypervisor]) {
        static const uint8_t order[3] = { 1, 2, 3 };

        if (leaf == 0x40000000) {
            out[0] = 0x40000000; /* nothing else to be had */
            put_text(out, "MynaMynaMyna", order);
        }
        return;
    }
    /* Beyond the last leaf processors answer with the last basic one. */
    basic_leaf(s, MIN(leaf, f->level), subleaf, out);
}

uint64_t helper_cpuid(X86State *s, uint64_t leaf, uint64_t subleaf, uint64_t c, uint64_t d)
{
    uint32_t out[4];

    tcg_fp_sync(s);
    x86_cpuid(s, leaf, subleaf, out);
    s->reg[R_AX] = out[0];
    s->reg[R_BX] = out[1];
    s->reg[R_CX] = out[2];
    s->reg[R_DX] = out[3];
    return 0;
}
