/* What CPUID shows under KVM: the model's answers, less what the kernel cannot do, and KVM's own leaves. */
#include "accel/kvm/internal.h"

#include "target/x86/system.h"
#include "util/error.h"

#include <errno.h>
#include <linux/kvm_para.h>
#include <string.h>
#include <sys/ioctl.h>

enum { ENTRIES = 256 };

static struct kvm_cpuid2 *supported;

static uint32_t supported_word(uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    for (uint32_t i = 0; supported && i < supported->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &supported->entries[i];

        if (e->function == leaf && (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == subleaf)) {
            const uint32_t words[4] = { e->eax, e->ebx, e->ecx, e->edx };

            return words[reg];
        }
    }
    return 0;
}

/* Features whose state X86State does not have, or the kernel keeps to itself: protection keys, a guest in the guest. */
static bool lacks_state(uint32_t leaf, unsigned reg, unsigned bit)
{
    enum { PKU_BIT = 3, SVM_BIT = 2 };

    return reg == 2 && ((leaf == 7 && bit == PKU_BIT) || (leaf == 0x80000001 && bit == SVM_BIT));
}

static bool has_feature(uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit)
{
    enum { X2APIC_BIT = 21, TSC_DEADLINE_BIT = 24, HYPERVISOR_BIT = 31 };

    if (leaf == 1 && reg == 2) {
        switch (bit) {
        case HYPERVISOR_BIT:
            return true;
        case X2APIC_BIT: /* the kernel's list has it only once there is an APIC in it */
            return kvm.chips != CHIPS_OFF;
        case TSC_DEADLINE_BIT:
            return kvm.chips != CHIPS_OFF && kvm.deadline_timer;
        }
    }
    return !lacks_state(leaf, reg, bit) && supported_word(leaf, subleaf, reg) >> bit & 1;
}

bool kvm_cpuid_init(GError **error)
{
    supported = g_malloc0(sizeof(*supported) + ENTRIES * sizeof(struct kvm_cpuid_entry2));
    supported->nent = ENTRIES;
    if (kvm_ioctl(kvm.fd, KVM_GET_SUPPORTED_CPUID, supported) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "KVM: cannot learn what CPUID may show: %s", g_strerror(errno));
        g_clear_pointer(&supported, g_free);
        return false;
    }
    x86_models_know_host(has_feature);
    return true;
}

static void add(struct kvm_cpuid2 *list, X86State *s, uint32_t leaf, uint32_t subleaf, bool indexed)
{
    struct kvm_cpuid_entry2 *e = &list->entries[list->nent];
    uint32_t out[4];

    if (list->nent == ENTRIES) {
        return;
    }
    x86_cpuid(s, leaf, subleaf, out);
    *e = (struct kvm_cpuid_entry2){ .function = leaf, .index = subleaf, .eax = out[0], .ebx = out[1], .ecx = out[2],
                                    .edx = out[3], .flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0 };
    list->nent++;
}

/* Leaves whose answer depends on ECX, and how many of them there are. */
static unsigned subleaves(uint32_t leaf)
{
    switch (leaf) {
    case 4:
    case 0x8000001d:
        return 5;
    case 7:
        return 1;
    case 0xb:
        return 3;
    case 0xd:
        return 3;
    default:
        return 0;
    }
}

static void add_range(struct kvm_cpuid2 *list, X86State *s, uint32_t first, uint32_t last)
{
    for (uint32_t leaf = first; leaf <= last; leaf++) {
        unsigned n = subleaves(leaf);

        for (unsigned i = 0; i < MAX(n, 1u); i++) {
            add(list, s, leaf, i, n > 0);
        }
    }
}

/*
 * KVM's signature: guests then use its clock and end interrupts through memory. What they would make hypercalls for (waking
 * and interrupting each other) is left out: a machine may go on under the translator, which has none.
 */
static void add_paravirtual(struct kvm_cpuid2 *list)
{
    const uint32_t *name = (const uint32_t *)"KVMKVMKVM\0\0\0";
    uint32_t features = supported_word(KVM_CPUID_FEATURES, 0, 0);
    const uint32_t with_apic = 1u << KVM_FEATURE_ASYNC_PF | 1u << KVM_FEATURE_ASYNC_PF_INT | 1u << KVM_FEATURE_PV_EOI;
    const uint32_t wanted = 1u << KVM_FEATURE_CLOCKSOURCE | 1u << KVM_FEATURE_NOP_IO_DELAY |
                            1u << KVM_FEATURE_CLOCKSOURCE2 | 1u << KVM_FEATURE_STEAL_TIME |
                            1u << KVM_FEATURE_CLOCKSOURCE_STABLE_BIT | (kvm.chips != CHIPS_OFF ? with_apic : 0);

    list->entries[list->nent++] = (struct kvm_cpuid_entry2){
        .function = KVM_CPUID_SIGNATURE, .eax = KVM_CPUID_FEATURES, .ebx = name[0], .ecx = name[1], .edx = name[2],
    };
    list->entries[list->nent++] = (struct kvm_cpuid_entry2){
        .function = KVM_CPUID_FEATURES, .eax = features & wanted,
    };
}

bool kvm_cpuid_set(KvmCpu *kc, GError **error)
{
    g_autofree struct kvm_cpuid2 *list = g_malloc0(sizeof(*list) + (ENTRIES + 2) * sizeof(struct kvm_cpuid_entry2));
    X86State *s = x86_state(kc->cpu);
    uint32_t out[4];

    x86_cpuid(s, 0, 0, out);
    add_range(list, s, 0, MIN(out[0], 0x20u));
    x86_cpuid(s, 0x80000000, 0, out);
    if (out[0] >= 0x80000000) {
        add_range(list, s, 0x80000000, MIN(out[0], 0x80000020u));
    }
    if (s->features->on[FEAT_hypervisor]) {
        add_paravirtual(list);
    }
    if (kvm_ioctl(kc->fd, KVM_SET_CPUID2, list) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "KVM: the kernel refuses the CPU model: %s", g_strerror(errno));
        return false;
    }
    return true;
}
