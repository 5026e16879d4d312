/*
 * The world switch: VMRUN and #VMEXIT (APM vol. 2, 15.5 and 15.6).
 *
 * What of the host's state #VMEXIT brings back is kept in the processor, not in the page at VM_HSAVE_PA, whose
 * content is the processor's own business.
 */
#include <stdatomic.h>

#include "target/x86/faulting.h"
#include "target/x86/paging.h"
#include "target/x86/svm.h"
#include "util/bits.h"

/* VMCB_EVENT and VMCB_EXIT_INT_INFO (15.20). */
enum { EVENT_INTR, EVENT_NMI = 2, EVENT_EXCEPTION, EVENT_INT_N };
#define EVENT_VALID     (UINT64_C(1) << 31)
#define EVENT_HAS_ERROR (UINT64_C(1) << 11)

static const struct {
    uint16_t offset;
    uint8_t seg;
} switched[] = { { VMCB_ES, S_ES }, { VMCB_CS, S_CS }, { VMCB_SS, S_SS }, { VMCB_DS, S_DS } };

/* The VMCB's fields that are checked before any of them counts. */
typedef struct Incoming {
    uint64_t cr0, cr2, cr3, cr4, efer, dr6, dr7, rip, rsp, rax, pat, event, iopm, msrpm, nested_cr3;
    uint64_t pdpte[4];
    uint32_t rflags, asid, intercept[6];
    X86Segment seg[4];
    bool nested;
    uint8_t cpl;
} Incoming;

void svm_state_loaded(X86State *s)
{
    X86Svm *v = &s->svm;

    x86_nested_flush(s);
    v->asid %= SVM_ASIDS; /* whatever a snapshot says */
    if (v->guest && !svm_page_find(s, v->vmcb, &(SvmPage){ 0 })) {
        v->guest = false;
    }
}

static void read_incoming(const uint8_t *p, Incoming *in)
{
    *in = (Incoming){
        .cr0 = load_le64(p + VMCB_CR0), .cr2 = load_le64(p + VMCB_CR2), .cr3 = load_le64(p + VMCB_CR3),
        .cr4 = load_le64(p + VMCB_CR4), .efer = load_le64(p + VMCB_EFER), .dr6 = load_le64(p + VMCB_DR6),
        .dr7 = load_le64(p + VMCB_DR7), .rip = load_le64(p + VMCB_RIP), .rsp = load_le64(p + VMCB_RSP),
        .rax = load_le64(p + VMCB_RAX), .pat = load_le64(p + VMCB_PAT), .event = load_le64(p + VMCB_EVENT),
        .iopm = load_le64(p + VMCB_IOPM), .msrpm = load_le64(p + VMCB_MSRPM),
        .nested_cr3 = load_le64(p + VMCB_NESTED_CR3), .rflags = load_le64(p + VMCB_RFLAGS),
        .asid = load_le32(p + VMCB_ASID), .nested = p[VMCB_NESTED_CONTROL] & 1, .cpl = p[VMCB_CPL] & 3,
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(in->intercept); i++) {
        in->intercept[i] = load_le32(p + VMCB_INTERCEPTS + 4 * i);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(switched); i++) {
        seg_load_image(p + switched[i].offset, &in->seg[switched[i].seg]);
    }
}

static bool event_allowed(uint64_t event)
{
    unsigned vector = event & 0xff;

    switch (event >> 8 & 7) {
    case EVENT_EXCEPTION:
        return vector != EXC_NMI && vector < 32;
    case EVENT_INTR:
    case EVENT_NMI:
    case EVENT_INT_N:
        return true;
    default:
        return false;
    }
}

/* Both kinds of maps are taken to reach two pages on, and must stay below the last address even so. */
static bool map_allowed(PhysAddr map)
{
    return !((map | ((map & ~UINT64_C(0xfff)) + 0x2000)) & ~X86_PHYS_MASK);
}

static bool controls_allowed(const X86State *s, const Incoming *in)
{
    bool vmrun = in->intercept[SVM_EXIT_VMRUN / 32] >> SVM_EXIT_VMRUN % 32 & 1;

    return vmrun && in->asid != 0 && in->asid < SVM_ASIDS &&
           map_allowed(in->iopm) && map_allowed(in->msrpm) &&
           !(in->event & EVENT_VALID && !event_allowed(in->event)) &&
           !(in->nested && (!(s->cr0 & CR0_PG) || in->nested_cr3 & ~X86_PHYS_MASK || !x86_pat_ok(in->pat)));
}

static bool state_allowed(X86State *s, Incoming *in)
{
    bool paging = (in->cr0 & CR0_PG) != 0, lme = (in->efer & EFER_LME) != 0;
    uint16_t cs = in->seg[S_CS].attr;

    if (!(in->efer & EFER_SVME) || in->efer & ~x86_allowed_efer(s) || in->cr0 >> 32 ||
        (!(in->cr0 & CR0_CD) && (in->cr0 & CR0_NW)) || in->cr4 & ~x86_allowed_cr4(s) ||
        in->cr3 & ~X86_PHYS_MASK || in->dr6 >> 32 || in->dr7 >> 32) {
        return false;
    }
    if (lme && paging && (!(in->cr4 & CR4_PAE) || !(in->cr0 & CR0_PE) || ((cs & SEG_L) && (cs & SEG_DB)))) {
        return false;
    }
    if (paging && !lme && (in->cr4 & CR4_PAE) && !in->nested) {
        return x86_read_pdptes(s, in->cr3, in->pdpte);
    }
    return true;
}

static void save_host(X86State *s, uint64_t next_pc)
{
    X86Svm *v = &s->svm;

    memcpy(v->host.seg, s->seg, sizeof(v->host.seg));
    v->host.gdtr.base = s->gdtr.base;
    v->host.gdtr.limit = s->gdtr.limit;
    v->host.idtr.base = s->idtr.base;
    v->host.idtr.limit = s->idtr.limit;
    v->host.cr0 = s->cr0;
    v->host.cr3 = s->cr3;
    v->host.cr4 = s->cr4;
    v->host.efer = s->efer;
    v->host.rip = next_pc;
    v->host.rsp = s->reg[R_SP];
    v->host.rax = s->reg[R_AX];
    v->host.pat = s->pat;
    v->host.rflags = x86_eflags(s);
    memcpy(v->host.pdpte, s->pdpte, sizeof(v->host.pdpte));
}

/* Breakpoints of the other world. */
static void switch_dr7(X86State *s, uint64_t value)
{
    uint64_t old = s->dr[7];

    s->dr[7] = value;
    if ((old | value) & 0xff && old != value) {
        x86_update_watches(s);
    }
}

static void load_guest(X86State *s, const Incoming *in, const uint8_t *p)
{
    s->cr0 = (in->cr0 & UINT32_MAX) | CR0_ET;
    s->cr2 = in->cr2;
    s->cr3 = in->cr3;
    s->cr4 = in->cr4;
    x86_tsc_rules_changed(s);
    x86_forget_calls(s);
    s->efer = in->efer & ~(uint64_t)EFER_LMA;
    if ((s->cr0 & CR0_PG) && (s->efer & EFER_LME)) {
        s->efer |= EFER_LMA;
    }
    s->dr[6] = in->dr6 | 0xffff0ff0;
    switch_dr7(s, in->dr7 | 0x400);
    memcpy(s->seg, in->seg, sizeof(in->seg));
    memcpy(s->pdpte, in->pdpte, sizeof(s->pdpte));
    s->gdtr.base = load_le64(p + VMCB_GDTR + 8);
    s->gdtr.limit = load_le16(p + VMCB_GDTR + 4);
    s->idtr.base = load_le64(p + VMCB_IDTR + 8);
    s->idtr.limit = load_le16(p + VMCB_IDTR + 4);
    x86_set_eflags(s, in->rflags | 2, UINT32_MAX);
    s->pc = is_code64(s) ? in->rip : (uint32_t)in->rip;
    s->reg[R_SP] = in->rsp;
    s->reg[R_AX] = in->rax;
    s->cpl = !(s->cr0 & CR0_PE) ? 0 : s->eflags & EFL_VM ? 3 : in->cpl;
    if (in->nested) {
        s->pat = in->pat;
    }
    s->interrupt_shadow = load_le32(p + VMCB_INT_STATE) & 1;
}

static void load_controls(X86State *s, const Incoming *in, const uint8_t *p, PhysAddr vmcb)
{
    X86Svm *v = &s->svm;
    uint8_t flush = p[VMCB_TLB_CONTROL];

    if (v->asid != in->asid || v->nested_cr3 != in->nested_cr3 || flush) {
        x86_nested_flush(s);
    }
    memcpy(v->intercept, in->intercept, sizeof(v->intercept));
    v->vmcb = vmcb;
    v->iopm = in->iopm & ~UINT64_C(0xfff);
    v->msrpm = in->msrpm & ~UINT64_C(0xfff);
    v->asid = in->asid;
    v->nested_paging = in->nested;
    v->nested_cr3 = in->nested_cr3;
    v->tsc_offset = load_le64(p + VMCB_TSC_OFFSET);
    v->int_control = load_le32(p + VMCB_INT_CONTROL);
    v->int_vector = load_le32(p + VMCB_INT_VECTOR) & 0xff;
    v->pause_count = v->pause_left = load_le16(p + VMCB_PAUSE_COUNT);
    v->pause_threshold = load_le16(p + VMCB_PAUSE_THRESHOLD);
    v->shadow_pc = UINT64_MAX;
    if (flush == 1) {
        engine.flush_all(s->hot.cpu);
    } else if (flush & 2) { /* 3: the ASID's; 7: those that are not global */
        engine.flush_spaces(s->hot.cpu, SVM_SPACE(v->asid), SVM_SPACE_MASK);
    }
}

/*
 * An ASID has one TLB, the engine has one for each name of a space (x86_space_id), which the modes are part of: what the guest has
 * flushed under one name it would find again under another.
 */
static void flush_other_modes(X86State *s)
{
    uint64_t *last = &s->asid_space[s->svm.asid], now = x86_pcid_space(s, 0);

    G_STATIC_ASSERT(G_N_ELEMENTS(s->asid_space) == SVM_ASIDS);
    if (*last != now) {
        engine.flush_spaces(s->hot.cpu, SVM_SPACE(s->svm.asid), SVM_SPACE_MASK);
        *last = now;
    }
}

/* The event that VMRUN delivers before the first instruction: it goes the way of an exception. */
static void inject(X86State *s, uint64_t event, uint64_t next_rip)
{
    unsigned type = event >> 8 & 7, vector = event & 0xff;
    bool by_opcode = type == EVENT_EXCEPTION && (vector == EXC_BP || vector == EXC_OF);

    if (type == EVENT_NMI) {
        vector = EXC_NMI; /* whatever the field says */
    }
    s->exception = (X86Exception){
        .vector = vector,
        .has_error = type == EVENT_EXCEPTION && event & EVENT_HAS_ERROR,
        .error_code = event >> 32,
        .software = type == EVENT_INT_N || by_opcode,
        .by_opcode = by_opcode,
        .external = type == EVENT_INTR || type == EVENT_NMI,
        .injected = true,
        .next_pc = x86_has(s, FEAT_nrip_save) ? next_rip : s->pc,
        .cr2 = s->cr2,
    };
}

static void require_svm(X86State *s, uintptr_t ra)
{
    if (!(s->efer & EFER_SVME) || !is_protected(s)) {
        x86_raise(s, EXC_UD, ra);
    }
    if (s->cpl) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
}

uint64_t helper_svm_vmrun(X86State *s, uint64_t vmcb, uint64_t next_pc, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    SvmPage page;
    Incoming in;

    require_svm(s, ra);
    if (svm_intercepts(s, SVM_EXIT_VMRUN)) {
        svm_exit(s, (X86SvmExit){ .code = SVM_EXIT_VMRUN, .next_rip = next_pc }, ra);
    }
    if (!svm_page_find(s, vmcb, &page)) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    tcg_restore(s, ra);
    s->interrupt_shadow = 0;
    s->pending_debug = 0;
    read_incoming(page.host, &in);
    in.nested = in.nested && x86_has(s, FEAT_npt);
    if (!controls_allowed(s, &in) || !state_allowed(s, &in)) {
        x86_log(s, LOG_GUEST_ERRORS, "cpu: VMRUN refused: cr0 %#" PRIx64 " cr4 %#" PRIx64 " efer %#" PRIx64 "\n",
                in.cr0, in.cr4, in.efer);
        store_le64(page.host + VMCB_EXIT_CODE, SVM_EXIT_INVALID);
        store_le64(page.host + VMCB_EXIT_INT_INFO, 0);
        svm_page_written(s, &page);
        s->svm.gif = false;
        s->pc = next_pc;
        x86_update_mode(s);
        tcg_unwind(s, TCG_EXIT_MODE);
    }
    save_host(s, next_pc);
    load_controls(s, &in, page.host, vmcb);
    s->svm.guest = true;
    s->svm.gif = true;
    load_guest(s, &in, page.host);
    flush_other_modes(s);
    if (s->svm.int_control & V_IRQ) {
        atomic_fetch_or(&s->hot.cpu->requests, CPU_REQ_VIRTUAL);
    }
    x86_update_mode(s);
    if (in.event & EVENT_VALID) {
        inject(s, in.event, load_le64(page.host + VMCB_NEXT_RIP));
        tcg_unwind(s, TCG_EXIT_EXCEPTION);
    }
    tcg_unwind(s, TCG_EXIT_MODE);
}

uint64_t svm_event_info(const X86Exception *e)
{
    unsigned type = e->external ? (e->vector == EXC_NMI ? EVENT_NMI : EVENT_INTR)
                    : e->software && !e->by_opcode ? EVENT_INT_N : EVENT_EXCEPTION;

    return EVENT_VALID | e->vector | type << 8 |
           (e->has_error ? EVENT_HAS_ERROR | (uint64_t)e->error_code << 32 : 0);
}

static void store_guest(X86State *s, const X86SvmExit *exit, uint8_t *p)
{
    X86Svm *v = &s->svm;
    bool shadow = s->interrupt_shadow || v->shadow_pc == s->pc;

    for (unsigned i = 0; i < G_N_ELEMENTS(switched); i++) {
        seg_store_image(p + switched[i].offset, &s->seg[switched[i].seg]);
    }
    store_le64(p + VMCB_GDTR + 8, s->gdtr.base);
    store_le32(p + VMCB_GDTR + 4, s->gdtr.limit);
    store_le64(p + VMCB_IDTR + 8, s->idtr.base);
    store_le32(p + VMCB_IDTR + 4, s->idtr.limit);
    store_le64(p + VMCB_EFER, s->efer);
    store_le64(p + VMCB_CR0, s->cr0);
    store_le64(p + VMCB_CR2, s->cr2);
    store_le64(p + VMCB_CR3, s->cr3);
    store_le64(p + VMCB_CR4, s->cr4);
    store_le64(p + VMCB_DR6, s->dr[6]);
    store_le64(p + VMCB_DR7, s->dr[7]);
    store_le64(p + VMCB_RFLAGS, x86_eflags(s));
    store_le64(p + VMCB_RIP, s->pc);
    store_le64(p + VMCB_RSP, s->reg[R_SP]);
    store_le64(p + VMCB_RAX, s->reg[R_AX]);
    p[VMCB_CPL] = s->cpl;
    if (v->nested_paging) {
        store_le64(p + VMCB_PAT, s->pat);
    }
    store_le32(p + VMCB_INT_CONTROL, v->int_control);
    store_le32(p + VMCB_INT_STATE, shadow);
    store_le64(p + VMCB_EXIT_CODE, exit->code);
    store_le64(p + VMCB_EXIT_INFO1, exit->info1);
    store_le64(p + VMCB_EXIT_INFO2, exit->info2);
    store_le64(p + VMCB_EXIT_INT_INFO, s->delivering ? svm_event_info(s->delivering) : 0);
    store_le32(p + VMCB_EVENT, load_le32(p + VMCB_EVENT) & ~(uint32_t)EVENT_VALID);
    store_le64(p + VMCB_NEXT_RIP, x86_has(s, FEAT_nrip_save) ? exit->next_rip : 0);
}

static void load_host(X86State *s)
{
    X86Svm *v = &s->svm;

    memcpy(s->seg, v->host.seg, sizeof(v->host.seg));
    s->gdtr.base = v->host.gdtr.base;
    s->gdtr.limit = v->host.gdtr.limit;
    s->idtr.base = v->host.idtr.base;
    s->idtr.limit = v->host.idtr.limit;
    s->cr0 = v->host.cr0 | CR0_PE;
    s->cr3 = v->host.cr3;
    s->cr4 = v->host.cr4;
    x86_tsc_rules_changed(s);
    x86_forget_calls(s);
    s->efer = v->host.efer;
    memcpy(s->pdpte, v->host.pdpte, sizeof(s->pdpte));
    switch_dr7(s, 0x400);
    x86_set_eflags(s, v->host.rflags & ~(uint32_t)EFL_VM, UINT32_MAX);
    s->pc = v->host.rip;
    s->reg[R_SP] = v->host.rsp;
    s->reg[R_AX] = v->host.rax;
    s->pat = v->host.pat;
    s->cpl = 0;
    s->interrupt_shadow = 0;
    s->pending_debug = 0;
}

void svm_exit(X86State *s, X86SvmExit exit, uintptr_t ra)
{
    X86Svm *v = &s->svm;
    uint8_t bytes[15];
    unsigned length = 0;
    SvmPage page;

    s->catching = false;
    if (ra) {
        tcg_restore(s, ra);
    }
    if (exit.code == SVM_EXIT_NPF || exit.code == SVM_EXIT_EXCEPTION + EXC_PF) {
        if (x86_has(s, FEAT_decodeassists) && !(exit.info1 & PF_I)) {
            length = x86_read_instruction(s, bytes); /* decode assist, 15.8.4 */
        }
    }
    x86_log(s, LOG_INT, "cpu %d: #VMEXIT %#" PRIx64 " info %#" PRIx64 " %#" PRIx64 " pc=%04x:%016" PRIx64 "\n",
            s->hot.cpu->index, exit.code, exit.info1, exit.info2, s->seg[S_CS].selector, s->pc);
    /* It was RAM when VMRUN read it; if it has gone since, there is nowhere to tell. */
    if (svm_page_find(s, v->vmcb, &page)) {
        store_guest(s, &exit, page.host);
        page.host[VMCB_INSN_LENGTH] = length;
        for (unsigned i = 0; i < length; i++) {
            page.host[VMCB_INSN_BYTES + i] = bytes[i];
        }
        svm_page_written(s, &page);
    }
    s->delivering = NULL;
    s->exception.vector = -1;
    v->guest = false;
    v->gif = false;
    cpu_clear_request(s->hot.cpu, CPU_REQ_VIRTUAL);
    s->hot.cpu->halted = false;
    load_host(s);
    x86_update_mode(s);
    if (s->eflags & EFL_TF) { /* VMRUN was a single step */
        s->exception = (X86Exception){ .vector = EXC_DB, .dr6 = 1 << 14 };
        tcg_unwind(s, TCG_EXIT_EXCEPTION);
    }
    tcg_unwind(s, TCG_EXIT_MODE);
}
