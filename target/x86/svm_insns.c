/* VMLOAD, VMSAVE, STGI, CLGI, INVLPGA, VMMCALL, SKINIT, and the MSRs of SVM (APM vol. 2, 15.5, 15.17, 15.30; vol. 3). */
#include "target/x86/paging.h"
#include "target/x86/svm.h"
#include "util/bits.h"

enum {
    MSR_TSC_RATIO = 0xc0000104, MSR_VM_CR = 0xc0010114, MSR_IGNNE = 0xc0010115, MSR_VM_HSAVE_PA = 0xc0010117,
};

/* What comes before the intercept, and that. */
static void begin(X86State *s, unsigned code, uint64_t next_pc, uintptr_t ra)
{
    if (!(s->efer & EFER_SVME) || !is_protected(s)) {
        x86_raise(s, EXC_UD, ra);
    }
    if (s->cpl) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    if (svm_intercepts(s, code)) {
        svm_exit(s, (X86SvmExit){ .code = code, .next_rip = next_pc }, ra);
    }
}

/* The control block of VMLOAD and VMSAVE: in a virtual machine its address is the machine's. */
static SvmPage operand(X86State *s, PhysAddr addr, MmuAccess access, uintptr_t ra)
{
    SvmPage page;

    if (addr & 0xfff || addr & ~X86_PHYS_MASK) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    if (s->svm.guest && s->svm.nested_paging) {
        X86NestedPage nested;

        if (!x86_nested_page(s, addr, access, NESTED_FINAL, false, &nested)) {
            svm_exit(s, (X86SvmExit){ SVM_EXIT_NPF, s->nested_info, s->fault_addr, 0 }, ra);
        }
        addr = nested.phys;
    }
    if (!svm_page_find(s, addr, &page)) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    return page;
}

static const struct {
    uint16_t offset;
    uint8_t seg;
} segments[] = { { VMCB_FS, S_FS }, { VMCB_GS, S_GS }, { VMCB_LDTR, S_LDTR }, { VMCB_TR, S_TR } };

static const struct {
    uint16_t offset;
    uint16_t field; /* of X86State */
    bool is_address;
} registers[] = {
    { VMCB_STAR, offsetof(X86State, star), false },
    { VMCB_LSTAR, offsetof(X86State, lstar), true },
    { VMCB_CSTAR, offsetof(X86State, cstar), true },
    { VMCB_FMASK, offsetof(X86State, fmask), false },
    { VMCB_KERNEL_GS_BASE, offsetof(X86State, kernel_gs_base), true },
    { VMCB_SYSENTER_CS, offsetof(X86State, sysenter_cs), false },
    { VMCB_SYSENTER_ESP, offsetof(X86State, sysenter_esp), true },
    { VMCB_SYSENTER_EIP, offsetof(X86State, sysenter_eip), true },
};

uint64_t helper_svm_vmload(X86State *s, uint64_t vmcb, uint64_t next_pc, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    SvmPage page;

    begin(s, SVM_EXIT_VMLOAD, next_pc, ra);
    page = operand(s, vmcb, MMU_LOAD, ra);
    for (unsigned i = 0; i < G_N_ELEMENTS(segments); i++) {
        const uint8_t *p = page.host + segments[i].offset;

        s->seg[segments[i].seg] = (X86Segment){
            .selector = load_le16(p),
            .attr = load_le16(p + 2) & 0xfff,
            .limit = load_le32(p + 4),
            .base = make_canonical(load_le64(p + 8), most_linear_bits(s)),
        };
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++) {
        uint64_t value = load_le64(page.host + registers[i].offset);

        *(uint64_t *)((uint8_t *)s + registers[i].field) = registers[i].is_address ? make_canonical(value, most_linear_bits(s)) : value;
    }
    x86_forget_calls(s);
    x86_update_segment(s, S_FS); /* GS tells nothing at CPL 0 */
    return 0;
}

uint64_t helper_svm_vmsave(X86State *s, uint64_t vmcb, uint64_t next_pc, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    SvmPage page;

    begin(s, SVM_EXIT_VMSAVE, next_pc, ra);
    page = operand(s, vmcb, MMU_STORE, ra);
    for (unsigned i = 0; i < G_N_ELEMENTS(segments); i++) {
        const X86Segment *seg = &s->seg[segments[i].seg];
        uint8_t *p = page.host + segments[i].offset;

        store_le16(p, seg->selector);
        store_le16(p + 2, seg->attr);
        store_le32(p + 4, seg->limit);
        store_le64(p + 8, seg->base);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++) {
        store_le64(page.host + registers[i].offset, *(uint64_t *)((uint8_t *)s + registers[i].field));
    }
    svm_page_written(s, &page);
    return 0;
}

uint64_t helper_svm_stgi(X86State *s, uint64_t next_pc, uint64_t b, uint64_t c, uint64_t d)
{
    begin(s, SVM_EXIT_STGI, next_pc, tcg_caller_pc(s));
    if (svm_has_virtual_gif(s)) {
        s->svm.int_control |= V_GIF;
    } else {
        s->svm.gif = true;
    }
    if (s->hot.cpu->requests) {
        s->hot.poll = -1;
    }
    return 0;
}

uint64_t helper_svm_clgi(X86State *s, uint64_t next_pc, uint64_t b, uint64_t c, uint64_t d)
{
    begin(s, SVM_EXIT_CLGI, next_pc, tcg_caller_pc(s));
    if (svm_has_virtual_gif(s)) {
        s->svm.int_control &= ~(uint32_t)V_GIF;
    } else {
        s->svm.gif = false;
    }
    return 0;
}

uint64_t helper_svm_invlpga(X86State *s, uint64_t addr, uint64_t asid, uint64_t next_pc, uint64_t d)
{
    begin(s, SVM_EXIT_INVLPGA, next_pc, tcg_caller_pc(s));
    if (asid == 0 && !s->svm.guest) {
        engine.flush_page(s->hot.cpu, linear(s, addr));
        return 0;
    }
    /* The pages of another world are not told apart by address. */
    engine.flush_spaces(s->hot.cpu, SVM_SPACE(asid & 0xffff), SVM_SPACE_MASK);
    x86_nested_flush(s);
    return 0;
}

/* Outside of virtual machines, and where nobody intercepts it, it is undefined. */
uint64_t helper_svm_vmmcall(X86State *s, uint64_t next_pc, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);

    if (svm_intercepts(s, SVM_EXIT_VMMCALL)) {
        svm_exit(s, (X86SvmExit){ .code = SVM_EXIT_VMMCALL, .next_rip = next_pc }, ra);
    }
    x86_raise(s, EXC_UD, ra);
}

/* There is no TPM to measure a secure loader with, and CPUID says so: beyond the intercept it is undefined. */
uint64_t helper_svm_skinit(X86State *s, uint64_t next_pc, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);

    begin(s, SVM_EXIT_SKINIT, next_pc, ra);
    x86_raise(s, EXC_UD, ra);
}

uint64_t svm_guest_tsc(const X86State *s, uint64_t tsc)
{
    if (!s->svm.guest) {
        return tsc;
    }
    if (s->svm.tsc_ratio != SVM_TSC_RATIO_ONE) { /* 8.32 fixed point */
        tsc = (unsigned __int128)tsc * s->svm.tsc_ratio >> 32;
    }
    return tsc + s->svm.tsc_offset;
}

bool svm_msr_read(X86State *s, uint32_t msr, uint64_t *value)
{
    if (!x86_has(s, FEAT_svm)) {
        return false;
    }
    switch (msr) {
    case MSR_VM_CR:
        *value = s->svm.vm_cr;
        return true;
    case MSR_VM_HSAVE_PA:
        *value = s->svm.hsave_pa;
        return true;
    case MSR_IGNNE:
        *value = 0;
        return true;
    case MSR_TSC_RATIO:
        *value = s->svm.tsc_ratio;
        return x86_has(s, FEAT_tsc_scale);
    default:
        return false;
    }
}

static bool write_vm_cr(X86State *s, uint64_t value)
{
    uint64_t kept = s->svm.vm_cr & VM_CR_LOCK ? VM_CR_LOCK | VM_CR_SVMDIS : 0;

    if (value & ~(uint64_t)VM_CR_ALL || (value & VM_CR_SVMDIS & ~kept && s->efer & EFER_SVME)) {
        return false;
    }
    s->svm.vm_cr = (value & ~kept) | (s->svm.vm_cr & kept);
    return true;
}

bool svm_msr_write(X86State *s, uint32_t msr, uint64_t value, bool *good)
{
    if (!x86_has(s, FEAT_svm)) {
        return false;
    }
    switch (msr) {
    case MSR_VM_CR:
        *good = write_vm_cr(s, value);
        return true;
    case MSR_VM_HSAVE_PA:
        *good = !(value & (0xfff | ~X86_PHYS_MASK));
        s->svm.hsave_pa = *good ? value : s->svm.hsave_pa;
        return true;
    case MSR_IGNNE:
        *good = true;
        return true;
    case MSR_TSC_RATIO:
        *good = x86_has(s, FEAT_tsc_scale) && !(value >> 40);
        s->svm.tsc_ratio = *good ? value : s->svm.tsc_ratio;
        return true;
    default:
        return false;
    }
}
