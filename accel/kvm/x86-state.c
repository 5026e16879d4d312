/*
 * x86 registers between the kernel and X86State, the one architectural state of all engines.
 *
 * While a vCPU runs they are in the kernel; everybody else sees them when the vCPU is paused.
 */
#include "accel/kvm/internal.h"

#include "target/x86/system.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

enum { XSAVE_BYTES = 4096, XSAVE_HEADER = 512, XSAVE_YMM = 576 };

/* MSRs that are plain fields of the state. */
static const struct {
    uint32_t msr;
    uint16_t offset, count; /* count registers from msr on, step apart */
    uint8_t step;
} msr_table[] = {
#define MSR(number, member)         { number, offsetof(X86State, member), 1, 1 },
#define MSRS(number, member, count, step) { number, offsetof(X86State, member), count, step },
    MSR(0x174, sysenter_cs) MSR(0x175, sysenter_esp) MSR(0x176, sysenter_eip)
    MSR(0xc0000081, star) MSR(0xc0000082, lstar) MSR(0xc0000083, cstar) MSR(0xc0000084, fmask)
    MSR(0xc0000102, kernel_gs_base) MSR(0xc0000103, tsc_aux) MSR(0x277, pat) MSR(0x2ff, mtrr_def)
    MSRS(0x250, mtrr_fixed[0], 1, 1) MSRS(0x258, mtrr_fixed[1], 2, 1) MSRS(0x268, mtrr_fixed[3], 8, 1)
    MSRS(0x200, mtrr_base[0], 8, 2) MSRS(0x201, mtrr_mask[0], 8, 2)
    MSR(0x1a0, misc_enable) MSR(0x17a, mcg_status) MSR(0x17b, mcg_ctl) MSRS(0x400, mc_banks[0], 40, 1)
    MSR(0x3a, feature_control) MSR(0x48, spec_ctrl) MSR(0x3b, tsc_adjust) MSR(0xda0, xss)
    MSR(0x1d9, debugctl) MSR(0x8b, bios_sign_id)
    MSRS(0x4b564d00, kvm_msr[0], 7, 1)
#undef MSR
#undef MSRS
};

enum { MSR_TSC = 0x10, MSR_MAX = 128 };

/* Less than this is what it takes to write it, and no reason to. */
#define TSC_SLACK (x86_tsc_frequency() / 1000)

typedef struct Msrs {
    struct kvm_msrs header;
    struct kvm_msr_entry entries[MSR_MAX];
} Msrs;

static uint32_t *known_msrs; /* of the kernel */
static uint32_t known_count;

static bool kernel_has(uint32_t msr)
{
    for (uint32_t i = 0; i < known_count; i++) {
        if (known_msrs[i] == msr) {
            return true;
        }
    }
    /* The list leaves out the MTRRs and machine check banks, which it always has. */
    return (msr >= 0x200 && msr < 0x300) || (msr >= 0x400 && msr < 0x428);
}

bool kvm_state_init(GError **error)
{
    struct kvm_msr_list probe = { 0 }, *list;

    ioctl(kvm.fd, KVM_GET_MSR_INDEX_LIST, &probe); /* fails with E2BIG and the count */
    list = g_malloc0(sizeof(*list) + probe.nmsrs * sizeof(uint32_t));
    list->nmsrs = probe.nmsrs;
    if (ioctl(kvm.fd, KVM_GET_MSR_INDEX_LIST, list) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "KVM: cannot list its MSRs: %s", g_strerror(errno));
        g_free(list);
        return false;
    }
    known_count = list->nmsrs;
    known_msrs = g_memdup2(list->indices, known_count * sizeof(uint32_t));
    g_free(list);
    return true;
}

static void check(KvmCpu *kc, int result, const char *what)
{
    if (result < 0) {
        log_error("KVM: cpu %d: cannot %s: %s", kc->cpu->index, what, g_strerror(errno));
    }
}

/* ---- general registers ---- */

static void pull_regs(KvmCpu *kc, X86State *s)
{
    struct kvm_regs r = { 0 };

    check(kc, ioctl(kc->fd, KVM_GET_REGS, &r), "read the registers");
    s->reg[R_AX] = r.rax;
    s->reg[R_CX] = r.rcx;
    s->reg[R_DX] = r.rdx;
    s->reg[R_BX] = r.rbx;
    s->reg[R_SP] = r.rsp;
    s->reg[R_BP] = r.rbp;
    s->reg[R_SI] = r.rsi;
    s->reg[R_DI] = r.rdi;
    memcpy(&s->reg[R_8], &r.r8, 8 * sizeof(uint64_t));
    s->pc = r.rip;
    x86_set_eflags(s, r.rflags, UINT32_MAX);
}

static void push_regs(KvmCpu *kc, X86State *s)
{
    struct kvm_regs r = {
        .rax = s->reg[R_AX], .rcx = s->reg[R_CX], .rdx = s->reg[R_DX], .rbx = s->reg[R_BX],
        .rsp = s->reg[R_SP], .rbp = s->reg[R_BP], .rsi = s->reg[R_SI], .rdi = s->reg[R_DI],
        .rip = s->pc, .rflags = x86_eflags(s),
    };

    memcpy(&r.r8, &s->reg[R_8], 8 * sizeof(uint64_t));
    check(kc, ioctl(kc->fd, KVM_SET_REGS, &r), "write the registers");
}

/* ---- segments and control registers ---- */

static void from_kernel_segment(X86Segment *to, const struct kvm_segment *from)
{
    to->selector = from->selector;
    to->base = from->base;
    to->limit = from->limit;
    to->attr = (from->type & SEG_TYPE) | (from->s ? SEG_S : 0) | (from->dpl & 3) << SEG_DPL_SHIFT |
               (from->present && !from->unusable ? SEG_P : 0) | from->avl << 8 | (from->l ? SEG_L : 0) |
               (from->db ? SEG_DB : 0) | (from->g ? SEG_G : 0);
}

static struct kvm_segment to_kernel_segment(const X86Segment *from)
{
    return (struct kvm_segment){
        .selector = from->selector, .base = from->base, .limit = from->limit, .type = from->attr & SEG_TYPE,
        .s = (from->attr & SEG_S) != 0, .dpl = from->attr >> SEG_DPL_SHIFT & 3, .present = (from->attr & SEG_P) != 0,
        .avl = from->attr >> 8 & 1, .l = (from->attr & SEG_L) != 0, .db = (from->attr & SEG_DB) != 0,
        /* the limit is in bytes: large ones are only possible with granularity */
        .g = (from->attr & SEG_G) || from->limit > 0xfffff, .unusable = !(from->attr & SEG_P),
    };
}

/* Processors in V86 mode insist on exactly these. */
static void v86_segment(struct kvm_segment *segment)
{
    *segment = (struct kvm_segment){
        .selector = segment->selector, .base = (uint64_t)segment->selector << 4, .limit = 0xffff, .type = 3,
        .s = 1, .dpl = 3, .present = 1,
    };
}

/* kvm_sregs2 begins as kvm_sregs does, up to apic_base. */
static void pull_sregs(KvmCpu *kc, X86State *s)
{
    struct kvm_sregs2 r = { 0 };
    const struct kvm_segment *const segments[S_COUNT] = {
        [S_ES] = &r.es, [S_CS] = &r.cs, [S_SS] = &r.ss, [S_DS] = &r.ds, [S_FS] = &r.fs, [S_GS] = &r.gs,
        [S_LDTR] = &r.ldt, [S_TR] = &r.tr,
    };

    if (kvm.sregs2) {
        check(kc, ioctl(kc->fd, KVM_GET_SREGS2, &r), "read the system registers");
    } else {
        struct kvm_sregs old = { 0 };

        check(kc, ioctl(kc->fd, KVM_GET_SREGS, &old), "read the system registers");
        memcpy(&r, &old, offsetof(struct kvm_sregs, interrupt_bitmap));
    }
    for (unsigned i = 0; i < S_COUNT; i++) {
        from_kernel_segment(&s->seg[i], segments[i]);
    }
    s->gdtr.base = r.gdt.base;
    s->gdtr.limit = r.gdt.limit;
    s->idtr.base = r.idt.base;
    s->idtr.limit = r.idt.limit;
    s->cr0 = r.cr0;
    s->cr2 = r.cr2;
    s->cr3 = r.cr3;
    s->cr4 = r.cr4;
    s->efer = r.efer;
    if (kvm.sregs2 && (r.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)) {
        memcpy(s->pdpte, r.pdptrs, sizeof(s->pdpte));
    }
    s->cpl = !(s->cr0 & CR0_PE) ? 0 : (s->eflags & EFL_VM) ? 3 : s->seg[S_SS].attr >> SEG_DPL_SHIFT & 3;
}

static bool uses_pdptrs(const X86State *s)
{
    return (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !(s->efer & EFER_LMA);
}

/* What the kernel's own APIC has, which these registers are part of. */
static void keep_apic(KvmCpu *kc, struct kvm_sregs2 *r)
{
    struct kvm_sregs now = { 0 };

    check(kc, ioctl(kc->fd, KVM_GET_SREGS, &now), "read the system registers");
    r->cr8 = now.cr8;
    r->apic_base = now.apic_base;
}

static void push_sregs(KvmCpu *kc, X86State *s)
{
    const CpuIntc *intc = kc->cpu->intc;
    void *opaque = kc->cpu->intc_opaque;
    struct kvm_sregs2 r = {
        .es = to_kernel_segment(&s->seg[S_ES]), .cs = to_kernel_segment(&s->seg[S_CS]),
        .ss = to_kernel_segment(&s->seg[S_SS]), .ds = to_kernel_segment(&s->seg[S_DS]),
        .fs = to_kernel_segment(&s->seg[S_FS]), .gs = to_kernel_segment(&s->seg[S_GS]),
        .ldt = to_kernel_segment(&s->seg[S_LDTR]), .tr = to_kernel_segment(&s->seg[S_TR]),
        .gdt = { .base = s->gdtr.base, .limit = s->gdtr.limit }, .idt = { .base = s->idtr.base, .limit = s->idtr.limit },
        .cr0 = s->cr0, .cr2 = s->cr2, .cr3 = s->cr3, .cr4 = s->cr4, .efer = s->efer,
        .cr8 = intc && intc->get_tpr ? intc->get_tpr(opaque) : 0,
        .apic_base = intc && intc->get_base ? intc->get_base(opaque) : 0,
    };
    struct kvm_segment *const v86[] = { &r.es, &r.cs, &r.ss, &r.ds, &r.fs, &r.gs };

    if (kvm.chips != CHIPS_OFF) {
        keep_apic(kc, &r);
    }
    r.tr.type |= 2; /* processors want it busy */
    r.tr.unusable = 0;
    r.tr.present = 1;
    for (unsigned i = 0; i < G_N_ELEMENTS(v86) && (s->eflags & EFL_VM); i++) {
        v86_segment(v86[i]);
    }
    if (kvm.sregs2) {
        if (uses_pdptrs(s)) {
            r.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
            memcpy(r.pdptrs, s->pdpte, sizeof(r.pdptrs));
        }
        check(kc, ioctl(kc->fd, KVM_SET_SREGS2, &r), "write the system registers");
    } else {
        struct kvm_sregs old = { 0 };

        memcpy(&old, &r, offsetof(struct kvm_sregs, interrupt_bitmap));
        check(kc, ioctl(kc->fd, KVM_SET_SREGS, &old), "write the system registers");
    }
}

/* ---- vector and x87 registers ---- */

static void *xsave_buffer(void)
{
    return g_malloc0(MAX(kvm.xsave_size, XSAVE_BYTES));
}

static void pull_fp(KvmCpu *kc, X86State *s)
{
    g_autofree uint8_t *area = xsave_buffer();
    struct kvm_xcrs xcrs = { 0 };

    check(kc, ioctl(kc->fd, kvm.xsave_size > XSAVE_BYTES ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, area),
          "read the vector registers");
    memcpy(s->fx, area, sizeof(s->fx));
    memcpy(s->xsave_header, area + XSAVE_HEADER, sizeof(s->xsave_header));
    memcpy(s->ymm_high, area + XSAVE_YMM, sizeof(s->ymm_high));
    if (kvm.xcrs && ioctl(kc->fd, KVM_GET_XCRS, &xcrs) == 0 && xcrs.nr_xcrs) {
        s->xcr0 = xcrs.xcrs[0].value;
    }
}

static void push_fp(KvmCpu *kc, X86State *s)
{
    g_autofree uint8_t *area = xsave_buffer();
    struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0] = { .xcr = 0, .value = s->xcr0 } };
    uint64_t present = 3 | (s->features->on[FEAT_avx] ? 4 : 0);

    memcpy(area, s->fx, sizeof(s->fx));
    memcpy(area + XSAVE_HEADER, &present, sizeof(present));
    memcpy(area + XSAVE_YMM, s->ymm_high, sizeof(s->ymm_high));
    check(kc, ioctl(kc->fd, KVM_SET_XSAVE, area), "write the vector registers");
    if (kvm.xcrs && s->features->on[FEAT_xsave]) {
        check(kc, ioctl(kc->fd, KVM_SET_XCRS, &xcrs), "write XCR0");
    }
}

/* ---- MSRs ---- */

static void list_msrs(Msrs *m, X86State *s)
{
    m->header.nmsrs = 0;
    for (unsigned row = 0; row < G_N_ELEMENTS(msr_table); row++) {
        uint64_t *fields = (uint64_t *)((uint8_t *)s + msr_table[row].offset);

        for (unsigned i = 0; i < msr_table[row].count; i++) {
            uint32_t msr = msr_table[row].msr + i * msr_table[row].step;

            if (kernel_has(msr)) {
                m->entries[m->header.nmsrs++] = (struct kvm_msr_entry){ .index = msr, .data = fields[i] };
            }
        }
    }
}

static uint64_t *msr_field(X86State *s, uint32_t msr)
{
    for (unsigned row = 0; row < G_N_ELEMENTS(msr_table); row++) {
        uint32_t distance = msr - msr_table[row].msr, step = msr_table[row].step;

        if (msr >= msr_table[row].msr && distance % step == 0 && distance / step < msr_table[row].count) {
            return (uint64_t *)((uint8_t *)s + msr_table[row].offset) + distance / step;
        }
    }
    return NULL;
}

/*
 * All of them, past those that the kernel refuses: which it has depends on the CPU model. The kernel stops at the
 * first that it does not take and tells how many went well.
 */
static void transfer_msrs(KvmCpu *kc, Msrs *m, unsigned long request)
{
    unsigned total = m->header.nmsrs, done = 0, kept = 0;

    while (done < total) {
        Msrs part;
        int n;

        part.header.nmsrs = total - done;
        memcpy(part.entries, m->entries + done, part.header.nmsrs * sizeof(part.entries[0]));
        n = ioctl(kc->fd, request, &part);
        if (n < 0) {
            check(kc, n, "transfer MSRs");
            break;
        }
        memcpy(m->entries + kept, part.entries, n * sizeof(part.entries[0]));
        kept += n;
        done += n + 1;
    }
    m->header.nmsrs = kept;
}

uint64_t kvm_get_msr(KvmCpu *kc, uint32_t msr)
{
    Msrs m = { .header.nmsrs = 1, .entries[0].index = msr };

    ioctl(kc->fd, KVM_GET_MSRS, &m);
    return m.entries[0].data;
}

void kvm_set_msr(KvmCpu *kc, uint32_t msr, uint64_t value)
{
    Msrs m = { .header.nmsrs = 1, .entries[0] = { .index = msr, .data = value } };

    if (ioctl(kc->fd, KVM_SET_MSRS, &m) != 1) {
        log_error("KVM: cpu %d: cannot set MSR %x to %" PRIx64, kc->cpu->index, msr, value);
    }
}

/* ---- the time stamp counter ---- */

static bool tsc_offset(KvmCpu *kc, uint64_t *offset, unsigned long request)
{
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)offset,
    };

    return kvm.tsc_offset && ioctl(kc->fd, request, &attr) == 0;
}

/* Newer kernels tell what they add to the host's counter, exactly. */
static void pull_tsc(KvmCpu *kc, X86State *s)
{
    uint64_t offset;

    if (tsc_offset(kc, &offset, KVM_GET_DEVICE_ATTR)) {
        x86_tsc_set_host_offset(s, offset);
    } else {
        uint64_t tsc = kvm_get_msr(kc, MSR_TSC);

        if (llabs((int64_t)(tsc - x86_tsc(s))) > (int64_t)TSC_SLACK) {
            x86_tsc_set(s, tsc);
        }
    }
}

static void push_tsc(KvmCpu *kc, X86State *s)
{
    uint64_t wanted = x86_tsc_host_offset(s), now;

    if (tsc_offset(kc, &now, KVM_GET_DEVICE_ATTR)) {
        if (now != wanted) {
            tsc_offset(kc, &wanted, KVM_SET_DEVICE_ATTR);
        }
    } else if (llabs((int64_t)(kvm_get_msr(kc, MSR_TSC) - x86_tsc(s))) > (int64_t)TSC_SLACK) {
        kvm_set_msr(kc, MSR_TSC, x86_tsc(s));
    }
    kvm_irqchip_push_deadline(kc);
}

static void pull_msrs(KvmCpu *kc, X86State *s)
{
    Msrs m;

    list_msrs(&m, s);
    transfer_msrs(kc, &m, KVM_GET_MSRS);
    for (unsigned i = 0; i < m.header.nmsrs; i++) {
        *msr_field(s, m.entries[i].index) = m.entries[i].data;
    }
}

static void push_msrs(KvmCpu *kc, X86State *s)
{
    Msrs m;

    list_msrs(&m, s);
    transfer_msrs(kc, &m, KVM_SET_MSRS);
}

/* ---- debug registers and events ---- */

static void pull_debug(KvmCpu *kc, X86State *s)
{
    struct kvm_debugregs r = { 0 };

    if (kvm.debugregs && ioctl(kc->fd, KVM_GET_DEBUGREGS, &r) == 0) {
        memcpy(s->dr, r.db, 4 * sizeof(s->dr[0]));
        s->dr[6] = r.dr6;
        s->dr[7] = r.dr7;
    }
}

static void push_debug(KvmCpu *kc, X86State *s)
{
    struct kvm_debugregs r = { .dr6 = s->dr[6], .dr7 = s->dr[7] };

    memcpy(r.db, s->dr, sizeof(r.db));
    if (kvm.debugregs) {
        check(kc, ioctl(kc->fd, KVM_SET_DEBUGREGS, &r), "write the debug registers");
    }
}

static void pull_events(KvmCpu *kc, X86State *s)
{
    struct kvm_vcpu_events e = { 0 };

    check(kc, ioctl(kc->fd, KVM_GET_VCPU_EVENTS, &e), "read pending events");
    s->exception = (X86Exception){ .vector = -1 };
    if (e.exception.injected) {
        s->exception.vector = e.exception.nr;
        s->exception.has_error = e.exception.has_error_code;
        s->exception.error_code = e.exception.error_code;
    } else if (e.interrupt.injected) {
        s->exception.vector = e.interrupt.nr;
        s->exception.external = true;
    }
    s->interrupt_shadow = e.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS ? 2 : e.interrupt.shadow ? 1 : 0;
    s->nmi_blocked = e.nmi.masked;
    if (e.nmi.injected || e.nmi.pending) {
        cpu_request(kc->cpu, CPU_REQ_NMI);
    }
}

static void push_events(KvmCpu *kc, X86State *s)
{
    const X86Exception *pending = &s->exception;
    struct kvm_vcpu_events e = {
        .interrupt.shadow = s->interrupt_shadow == 2 ? KVM_X86_SHADOW_INT_MOV_SS
                            : s->interrupt_shadow    ? KVM_X86_SHADOW_INT_STI
                                                     : 0,
        .nmi.masked = s->nmi_blocked,
        .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW,
    };

    if (pending->vector >= 0 && pending->external && pending->vector != EXC_NMI) {
        e.interrupt.injected = 1;
        e.interrupt.nr = pending->vector;
    } else if (pending->vector >= 0 && !pending->software) {
        e.exception.injected = 1;
        e.exception.nr = pending->vector;
        e.exception.has_error_code = pending->has_error;
        e.exception.error_code = pending->error_code;
    }
    check(kc, ioctl(kc->fd, KVM_SET_VCPU_EVENTS, &e), "write pending events");
}

/* KVM_INTERRUPT would keep it where no ioctl finds it again, and a vCPU that is stopped before it enters would lose it. */
void kvm_inject_external(KvmCpu *kc, uint8_t vector)
{
    struct kvm_mp_state mp = { 0 };
    struct kvm_vcpu_events e = { 0 };

    check(kc, ioctl(kc->fd, KVM_GET_VCPU_EVENTS, &e), "read pending events");
    e.interrupt.injected = 1;
    e.interrupt.soft = 0;
    e.interrupt.nr = vector;
    check(kc, ioctl(kc->fd, KVM_SET_VCPU_EVENTS, &e), "inject an interrupt");
    check(kc, ioctl(kc->fd, KVM_GET_MP_STATE, &mp), "read the activity state");
    if (mp.mp_state == KVM_MP_STATE_HALTED) {
        mp.mp_state = KVM_MP_STATE_RUNNABLE;
        check(kc, ioctl(kc->fd, KVM_SET_MP_STATE, &mp), "write the activity state");
    }
}

/* ---- activity, of vCPUs whose APIC is in the kernel ---- */

static void pull_activity(KvmCpu *kc, X86State *s)
{
    struct kvm_mp_state mp = { 0 };

    if (kvm.chips == CHIPS_OFF || s->shut_down) {
        return;
    }
    check(kc, ioctl(kc->fd, KVM_GET_MP_STATE, &mp), "read the activity state");
    s->wait_sipi = mp.mp_state == KVM_MP_STATE_UNINITIALIZED || mp.mp_state == KVM_MP_STATE_INIT_RECEIVED;
    atomic_store(&kc->cpu->halted, s->wait_sipi || mp.mp_state == KVM_MP_STATE_HALTED);
}

static void push_activity(KvmCpu *kc, X86State *s)
{
    struct kvm_mp_state mp = {
        .mp_state = s->wait_sipi                    ? KVM_MP_STATE_INIT_RECEIVED
                    : atomic_load(&kc->cpu->halted) ? KVM_MP_STATE_HALTED
                                                    : KVM_MP_STATE_RUNNABLE,
    };

    if (kvm.chips != CHIPS_OFF) {
        check(kc, ioctl(kc->fd, KVM_SET_MP_STATE, &mp), "write the activity state");
    }
}

/* ---- all of it ---- */

/* The kernel finishes an access that it exited for when it is entered again, here without running the guest. */
static void finish_io(KvmCpu *kc)
{
    if (kc->io_unfinished) {
        kc->run->immediate_exit = 1;
        ioctl(kc->fd, KVM_RUN, 0);
        kc->io_unfinished = false;
    }
}

void kvm_state_pull(KvmCpu *kc)
{
    X86State *s = x86_state(kc->cpu);

    if (!kc->loaded) {
        return;
    }
    finish_io(kc);
    pull_regs(kc, s);
    pull_sregs(kc, s);
    pull_fp(kc, s);
    pull_msrs(kc, s);
    pull_tsc(kc, s);
    pull_debug(kc, s);
    pull_events(kc, s);
    pull_activity(kc, s);
    x86_update_mode(s);
    kc->loaded = false;
}

void kvm_state_push(KvmCpu *kc)
{
    X86State *s = x86_state(kc->cpu);

    if (kc->loaded) {
        return;
    }
    push_regs(kc, s);
    push_fp(kc, s);
    push_sregs(kc, s);
    push_msrs(kc, s);
    push_tsc(kc, s);
    push_events(kc, s);
    push_debug(kc, s);
    push_activity(kc, s);
    kc->run->ready_for_interrupt_injection = 0;
    kc->run->if_flag = (s->eflags & EFL_IF) != 0;
    kc->guest_debug_changed = true;
    kc->loaded = true;
}

/* During an exit, for devices that look at registers: all others stay as they are. */
void kvm_sync_registers(Cpu *cpu, bool write)
{
    KvmCpu *kc = kvm_cpu(cpu);

    if (!kc->loaded) {
        return;
    }
    if (write) {
        push_regs(kc, x86_state(cpu));
    } else {
        pull_regs(kc, x86_state(cpu));
    }
}
