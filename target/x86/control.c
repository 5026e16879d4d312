/* Control and debug registers, the translation mode derived from them, and TLB instructions. */
#include "target/x86/fp_state.h"
#include "target/x86/pmu.h"
#include "target/x86/svm.h"

bool x86_has(const X86State *s, X86Feature feature)
{
    return s->features->on[feature];
}

bool x86_is_amd(const X86State *s)
{
    return !strcmp(s->features->vendor, "AuthenticAMD");
}

/* Present writable expand-up data (or what real mode left) of 4 GiB. */
static bool unlimited_data(const X86Segment *seg)
{
    return (seg->limit == UINT32_MAX) & ((seg->attr & (SEG_P | SEG_S | 0xe)) == (SEG_P | SEG_S | 2));
}

static bool flat_data(const X86Segment *seg)
{
    return (seg->base == 0) & unlimited_data(seg);
}

/* Instruction breakpoint i is on: R/W and LEN are zero. */
static bool is_breakpoint(const X86State *s, int i)
{
    return (s->dr[7] >> (2 * i) & 3) && !(s->dr[7] >> (16 + 4 * i) & 15);
}

static bool has_breakpoints(const X86State *s)
{
    if (G_LIKELY(!(s->dr[7] & 0xff))) {
        return false;
    }
    return is_breakpoint(s, 0) || is_breakpoint(s, 1) || is_breakpoint(s, 2) || is_breakpoint(s, 3);
}

uint64_t x86_breakpoint_hits(const X86State *s, VirtAddr addr)
{
    uint64_t hits = 0;

    for (int i = 0; i < 4; i++) {
        if (is_breakpoint(s, i) && s->dr[i] == addr) {
            hits |= 1u << i;
        }
    }
    return hits;
}

/* What a breakpoint that is not on instructions is on: DR7's R/W field. */
enum { RW_WRITE = 1, RW_IO = 2, RW_ACCESS = 3 };

static bool is_enabled(const X86State *s, int i)
{
    return s->dr[7] >> (2 * i) & 3;
}

static unsigned condition(const X86State *s, int i)
{
    return s->dr[7] >> (16 + 4 * i) & 3;
}

static unsigned range_size(const X86State *s, int i)
{
    static const uint8_t sizes[] = { 1, 2, 8, 4 };

    return sizes[s->dr[7] >> (18 + 4 * i) & 3];
}

static bool has_port_breakpoints(const X86State *s)
{
    for (int i = 0; s->cr4 & CR4_DE && i < 4; i++) {
        if (is_enabled(s, i) && condition(s, i) == RW_IO) {
            return true;
        }
    }
    return false;
}

unsigned x86_port_hits(const X86State *s, uint32_t port, unsigned size)
{
    unsigned hits = 0;

    for (int i = 0; i < 4; i++) {
        unsigned range = range_size(s, i);
        uint64_t start = s->dr[i] & ~(uint64_t)(range - 1);

        if (is_enabled(s, i) && condition(s, i) == RW_IO && port < start + range && start < port + size) {
            hits |= 1u << i;
        }
    }
    return hits;
}

void x86_update_watches(X86State *s)
{
    for (int i = 0; engine.watch && i < 4; i++) {
        unsigned rw = condition(s, i), size = range_size(s, i);
        bool on = is_enabled(s, i) && (rw == RW_WRITE || rw == RW_ACCESS);

        engine.watch(s->hot.cpu, i, linear(s, s->dr[i] & ~(uint64_t)(size - 1)), on ? size : 0,
                     rw == RW_ACCESS, true);
    }
}

/* Data and I/O breakpoints are traps, late ones at MOV SS; an instruction that faults will be done again. */
bool x86_watch_hits(Cpu *cpu, unsigned hits, bool raised)
{
    X86State *s = x86_state(cpu);

    if (s->interrupt_shadow == 2) {
        s->pending_debug |= hits;
        x86_update_mode(s);
        return false;
    }
    if (!raised) {
        s->exception = (X86Exception){ .vector = EXC_DB, .dr6 = hits };
    } else if (s->exception.vector == EXC_DB) {
        s->exception.dr6 |= hits; /* beside the single step */
    }
    return true;
}

uint64_t helper_check_breakpoint(X86State *s, uint64_t addr, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t hits;

    if (s->eflags & EFL_RF) {
        s->eflags &= ~(uint32_t)EFL_RF;
        return 0;
    }
    hits = x86_breakpoint_hits(s, addr);
    /* Intel's processors have none behind MOV SS. */
    if (hits && (s->interrupt_shadow != 2 || strcmp(s->features->vendor, "GenuineIntel"))) {
        s->exception.dr6 = hits;
        x86_raise(s, EXC_DB, tcg_caller_pc(s));
    }
    return 0;
}

/* Bits that follow from CPL and EFLAGS. */
#define MODE_PRIVILEGE (UINT64_C(3) << MODE_CPL_SHIFT | UINT64_C(3) << MODE_IOPL_SHIFT | MODE_AC)

static uint64_t privilege_bits(const X86State *s)
{
    uint64_t m = (uint64_t)s->cpl << MODE_CPL_SHIFT | (uint64_t)iopl(s) << MODE_IOPL_SHIFT;

    return (s->cr0 & CR0_AM) && (s->eflags & EFL_AC) && s->cpl == 3 ? m | MODE_AC : m;
}

/* Bits that follow from the segments. */
#define MODE_SEGMENTS (MODE_CS64 | MODE_CS32 | MODE_SS32 | MODE_FLAT | MODE_FLAT_CS | MODE_FLAT_FS | MODE_FLAT_GS)

/*
 * 32-bit kernels leave GS to their processes, which have it or not: their own blocks are the same for both. Who runs at CPL 0 and
 * uses GS has its limit checked.
 */
static uint64_t gs_bit(const X86State *s)
{
    return (s->cpl == 3) & unlimited_data(&s->seg[S_GS]) ? MODE_FLAT_GS : 0;
}

static uint64_t segment_bits(const X86State *s)
{
    const X86Segment *cs = &s->seg[S_CS], *ss = &s->seg[S_SS];
    uint64_t m = 0;

    if (is_code64(s)) {
        return MODE_CS64 | MODE_CS32 | MODE_SS32 | MODE_FLAT | MODE_FLAT_CS;
    }
    /* Without branches: FS and GS change at each entry of a 32-bit kernel. */
    m |= cs->attr & SEG_DB ? MODE_CS32 : 0;
    m |= ss->attr & SEG_DB ? MODE_SS32 : 0;
    m |= flat_data(ss) & flat_data(&s->seg[S_DS]) & flat_data(&s->seg[S_ES]) ? MODE_FLAT : 0;
    m |= unlimited_data(&s->seg[S_FS]) ? MODE_FLAT_FS : 0;
    m |= gs_bit(s);
    m |= (cs->base == 0) & (cs->limit == UINT32_MAX) ? MODE_FLAT_CS : 0;
    return m;
}

/* Keeps what the engine is to know of the mode; whether any of it is new. The MMU mode depends on EFLAGS.AC too, which m need not show. */
static inline bool keep_mode(X86State *s, uint64_t m)
{
    unsigned mmu = data_mode(s, s->cpl);
    uint64_t base = m & MODE_CS64 ? 0 : s->seg[S_CS].base;
    bool is_new = m != s->mode_flags || base != s->published_base || mmu != s->published_mmu;

    s->mode_flags = m;
    s->published_base = base;
    s->published_mmu = mmu;
    return is_new;
}

void x86_update_mode(X86State *s)
{
    uint64_t m = privilege_bits(s) | segment_bits(s);
    uint16_t fcw = s->fx[0] | s->fx[1] << 8;

    x86_pmu_follow_level(s);
    if (s->cr0 & CR0_PE) {
        m |= MODE_PE;
    }
    if (s->eflags & EFL_VM) {
        m |= MODE_VM;
    }
    if (s->eflags & EFL_TF || s->pending_debug) {
        m |= MODE_TF;
    }
    if (s->cr0 & CR0_EM) {
        m |= MODE_EM;
    }
    if (s->cr0 & CR0_TS) {
        m |= MODE_TS;
    }
    if (s->cr0 & CR0_MP) {
        m |= MODE_MP;
    }
    if (s->cr4 & CR4_OSFXSR) {
        m |= MODE_OSFXSR;
    }
    if ((fcw & 0x3f) != 0x3f) {
        m |= MODE_FP_UNMASKED;
    }
    if (s->interrupt_shadow) {
        m |= MODE_SHADOW;
    }
    if (s->svm.guest) {
        m |= MODE_GUEST;
    }
    if (s->in_smm) {
        m |= MODE_SMM;
    }
    if (s->cr4 & CR4_OSXSAVE) {
        m |= MODE_OSXSAVE;
        if ((s->xcr0 & 6) == 6) {
            m |= MODE_AVX;
        }
    }
    if (is_long(s)) {
        m |= MODE_LMA;
    }
    if (has_breakpoints(s)) {
        m |= MODE_BREAKPOINTS;
    } else {
        /* Nothing would look at it. */
        s->eflags &= ~(uint32_t)EFL_RF;
    }
    if (G_UNLIKELY(s->dr[7] & 0xff) && has_port_breakpoints(s)) {
        m |= MODE_IO_BREAKPOINTS;
    }
    if (s->cr4 & CR4_OSXMMEXCPT) {
        m |= MODE_OSXMMEXCPT;
    }
    if (G_UNLIKELY(s->pmu.blocks & s->pmu.level)) {
        m |= MODE_COUNT;
    }
    if (keep_mode(s, m) && engine.update_mode) {
        engine.update_mode(s->hot.cpu);
    }
}

/* Bits that want more than a look at CPL, EFLAGS and the segments. */
#define MODE_RARE (MODE_SHADOW | MODE_TF | MODE_VM | MODE_BREAKPOINTS)

/* The segments' bits are known already. */
static void update_privilege(X86State *s, uint64_t segments)
{
    uint64_t m = s->mode_flags;

    if (m & MODE_RARE || s->eflags & (EFL_TF | EFL_VM) || s->interrupt_shadow || s->pending_debug || s->pmu.filtered ||
        !engine.change_mode) {
        x86_update_mode(s);
        return;
    }
    m = (m & ~(MODE_PRIVILEGE | MODE_SEGMENTS)) | privilege_bits(s) | segments;
    s->eflags &= ~(uint32_t)EFL_RF; /* as above: there are no breakpoints */
    if (keep_mode(s, m)) {
        engine.change_mode(s->hot.cpu, s->published_mmu, s->published_mmu, m, s->published_base);
    }
}

void x86_update_privilege(X86State *s)
{
    update_privilege(s, segment_bits(s));
}

void x86_update_flat_call(X86State *s)
{
    uint64_t old = s->mode_flags;

    if ((old & (MODE_CS64 | MODE_FLAT)) != MODE_FLAT || is_long(s)) {
        x86_update_privilege(s);
        return;
    }
    update_privilege(s, (old & (MODE_FLAT | MODE_FLAT_FS)) | gs_bit(s) | MODE_CS32 | MODE_SS32 | MODE_FLAT_CS);
}

/* FS and GS have a bit each, which tells nothing in 64-bit code. */
static bool is_bit_as_known(const X86State *s, int seg)
{
    uint64_t bit = seg == S_FS ? MODE_FLAT_FS : MODE_FLAT_GS;
    bool is = seg == S_FS ? unlimited_data(&s->seg[S_FS]) : gs_bit(s) != 0;

    return s->mode_flags & MODE_CS64 || !(s->mode_flags & bit) == !is;
}

void x86_update_segment(X86State *s, int seg)
{
    uint64_t known = s->mode_flags & MODE_SEGMENTS;

    if (seg >= S_FS) {
        if (!is_bit_as_known(s, seg)) {
            update_privilege(s, known ^ (seg == S_FS ? MODE_FLAT_FS : MODE_FLAT_GS));
        }
    } else if (segment_bits(s) != known) {
        x86_update_privilege(s);
    }
}

static void flush_all(X86State *s)
{
    if (engine.flush_spaces && s->svm.guest) {
        s->asid_space[s->svm.asid] = 0;
        engine.flush_spaces(s->hot.cpu, SVM_SPACE(s->svm.asid), SVM_SPACE_MASK);
    } else if (engine.flush_all) {
        engine.flush_all(s->hot.cpu);
    }
}

/* The address space may have another name now (x86_space_id) in the same mode. */
static void space_changed(X86State *s)
{
    if (engine.update_mode) {
        engine.update_mode(s->hot.cpu);
    }
}

/* The segments as long mode sees CS.L follow EFER.LMA; the caller updates the mode. */
void x86_set_efer(X86State *s, uint64_t value)
{
    bool changed = (s->efer ^ value) & (EFER_NXE | EFER_LMA);

    s->efer = value;
    x86_forget_calls(s);
    if (changed) {
        flush_all(s);
    }
    x86_update_mode(s);
}

void x86_set_cr0(X86State *s, uint64_t value, uintptr_t ra)
{
    uint64_t changed;

    value = (uint32_t)value | CR0_ET;
    changed = s->cr0 ^ value;
    if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD))) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    if ((changed & CR0_PG) && (value & CR0_PG)) {
        if (s->efer & EFER_LME) {
            if (!(s->cr4 & CR4_PAE) || (s->seg[S_CS].attr & SEG_L)) {
                x86_raise_error(s, EXC_GP, 0, ra);
            }
            s->efer |= EFER_LMA;
        } else if (s->cr4 & CR4_PAE) {
            x86_load_pdptes(s, s->cr3, ra);
        }
    } else if (changed & CR0_PG) {
        if (is_code64(s) || (s->cr4 & CR4_PCIDE)) {
            x86_raise_error(s, EXC_GP, 0, ra);
        }
        s->efer &= ~(uint64_t)EFER_LMA;
    }
    s->cr0 = value;
    if (changed & (CR0_PG | CR0_PE | CR0_WP)) {
        flush_all(s);
    }
    if ((changed & CR0_PE) && !(value & CR0_PE)) {
        s->cpl = 0;
    }
    x86_update_mode(s);
    if (changed & CR0_PG) {
        space_changed(s);
    }
}

void x86_set_cr3(X86State *s, uint64_t value, uintptr_t ra)
{
    bool keep = (s->cr4 & CR4_PCIDE) && value >> 63;

    if (is_long(s)) {
        value &= ~(UINT64_C(1) << 63);
        if (value & ~X86_PHYS_MASK) {
            x86_raise_error(s, EXC_GP, 0, ra);
        }
    } else {
        value = (uint32_t)value;
        if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE)) {
            x86_load_pdptes(s, value, ra);
        }
    }
    s->cr3 = value;
    if (!keep && (s->cr0 & CR0_PG) && engine.renew_space) {
        engine.renew_space(s->hot.cpu, x86_space_id(s));
    }
    space_changed(s);
}

uint64_t x86_allowed_cr4(const X86State *s)
{
    static const struct {
        X86Feature feature;
        uint32_t bits;
    } rows[] = {
        { FEAT_vme, CR4_VME | CR4_PVI }, { FEAT_tsc, CR4_TSD }, { FEAT_de, CR4_DE }, { FEAT_pse, CR4_PSE },
        { FEAT_pae, CR4_PAE }, { FEAT_mce, CR4_MCE }, { FEAT_pge, CR4_PGE }, { FEAT_fxsr, CR4_OSFXSR },
        { FEAT_sse, CR4_OSXMMEXCPT }, { FEAT_umip, CR4_UMIP }, { FEAT_fsgsbase, CR4_FSGSBASE },
        { FEAT_pcid, CR4_PCIDE }, { FEAT_xsave, CR4_OSXSAVE }, { FEAT_smep, CR4_SMEP },
        { FEAT_smap, CR4_SMAP }, { FEAT_pku, CR4_PKE }, { FEAT_la57, CR4_LA57 },
    };
    uint64_t bits = CR4_PCE;

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (x86_has(s, rows[i].feature)) {
            bits |= rows[i].bits;
        }
    }
    return bits;
}

void x86_set_cr4(X86State *s, uint64_t value, uintptr_t ra)
{
    uint64_t changed = s->cr4 ^ value;

    if ((value & ~x86_allowed_cr4(s)) || ((changed & (CR4_PAE | CR4_LA57)) && is_long(s)) ||
        ((changed & value & CR4_PCIDE) && (!is_long(s) || (s->cr3 & 0xfff)))) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    if ((changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) && (value & CR4_PAE) &&
        (s->cr0 & CR0_PG) && !is_long(s)) {
        x86_load_pdptes(s, s->cr3, ra);
    }
    s->cr4 = value;
    x86_tsc_rules_changed(s);
    if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP | CR4_SMAP | CR4_PCIDE | CR4_PKE)) {
        flush_all(s);
    }
    x86_update_mode(s);
    if (changed & CR4_PCIDE) {
        space_changed(s);
    }
}

static void require_cpl0(X86State *s, uintptr_t ra)
{
    if (s->cpl) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
}

uint64_t helper_mov_from_cr(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);

    require_cpl0(s, ra);
    switch (a) {
    case 0:
        return s->cr0;
    case 2:
        return s->cr2;
    case 3:
        return s->cr3;
    case 4:
        return s->cr4;
    case 8: {
        Cpu *cpu = s->hot.cpu;

        if (s->svm.guest && (s->svm.int_control & V_INTR_MASKING)) {
            return s->svm.int_control & 15;
        }
        tcg_fp_sync(s);
        return cpu->intc && cpu->intc->get_tpr ? cpu->intc->get_tpr(cpu->intc_opaque) : 0;
    }
    default:
        x86_raise(s, EXC_UD, ra);
    }
}

uint64_t helper_mov_to_cr(X86State *s, uint64_t a, uint64_t value, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);

    require_cpl0(s, ra);
    switch (a) {
    case 0:
        if (is_long(s) && value >> 32) {
            x86_raise_error(s, EXC_GP, 0, ra);
        }
        x86_set_cr0(s, value, ra);
        break;
    case 2:
        s->cr2 = value;
        break;
    case 3:
        x86_set_cr3(s, value, ra);
        break;
    case 4:
        x86_set_cr4(s, value, ra);
        break;
    case 8: {
        Cpu *cpu = s->hot.cpu;

        if (value >> 4) {
            x86_raise_error(s, EXC_GP, 0, ra);
        }
        if (s->svm.guest && (s->svm.int_control & V_INTR_MASKING)) {
            s->svm.int_control = (s->svm.int_control & ~(uint32_t)V_TPR) | value;
            x86_poll_interrupts(s);
            break;
        }
        tcg_fp_sync(s);
        if (cpu->intc && cpu->intc->set_tpr) {
            cpu->intc->set_tpr(cpu->intc_opaque, value);
        }
        x86_poll_interrupts(s);
        break;
    }
    default:
        x86_raise(s, EXC_UD, ra);
    }
    return 0;
}

uint64_t helper_smsw(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (s->cpl && (s->cr4 & CR4_UMIP)) {
        x86_raise_error(s, EXC_GP, 0, tcg_caller_pc(s));
    }
    return s->cr0;
}

uint64_t helper_lmsw(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);

    require_cpl0(s, ra);
    /* It can set PE but not clear it. */
    x86_set_cr0(s, (s->cr0 & ~UINT64_C(0xe)) | (a & 0xf), ra);
    return 0;
}

uint64_t helper_clts(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    require_cpl0(s, tcg_caller_pc(s));
    s->cr0 &= ~(uint64_t)CR0_TS;
    x86_update_mode(s);
    return 0;
}

uint64_t helper_invlpg(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    require_cpl0(s, tcg_caller_pc(s));
    engine.flush_page(s->hot.cpu, linear(s, a));
    return 0;
}

uint64_t helper_wbinvd(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    require_cpl0(s, tcg_caller_pc(s));
    return 0;
}

uint64_t helper_invpcid(X86State *s, uint64_t type, uint64_t descriptor, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    unsigned mode = data_mode(s, s->cpl);
    uint64_t low = load_linear(s, descriptor, 8, mode, ra);
    uint64_t addr = load_linear(s, descriptor + 8, 8, mode, ra);
    unsigned pcid = low & 0xfff;

    require_cpl0(s, ra);
    if (type > 3 || (type < 2 && (low >> 12 || (pcid && !(s->cr4 & CR4_PCIDE)))) ||
        (type == 0 && !is_canonical_base(s, addr))) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    switch (type) {
    case 0:
        engine.flush_page(s->hot.cpu, addr);
        break;
    case 1:
        engine.renew_space(s->hot.cpu, s->cr4 & CR4_PCIDE ? x86_pcid_space(s, pcid) : x86_space_id(s));
        break;
    default:
        flush_all(s);
    }
    return 0;
}

/* Debug registers. */
enum { DR6_FIXED = 0xffff0ff0, DR6_BD = 1 << 13, DR7_FIXED = 0x400, DR7_GD = 1 << 13 };

static unsigned debug_register(X86State *s, unsigned number, uintptr_t ra)
{
    if (number == 4 || number == 5) {
        if (s->cr4 & CR4_DE) {
            x86_raise(s, EXC_UD, ra);
        }
        number += 2;
    }
    if (number > 7) {
        x86_raise(s, EXC_UD, ra);
    }
    require_cpl0(s, ra);
    if (s->dr[7] & DR7_GD) {
        s->exception.dr6 = DR6_BD;
        x86_raise(s, EXC_DB, ra);
    }
    return number;
}

uint64_t helper_mov_from_dr(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return s->dr[debug_register(s, a, tcg_caller_pc(s))];
}

uint64_t helper_mov_to_dr(X86State *s, uint64_t a, uint64_t value, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    unsigned number = debug_register(s, a, ra);

    if (number >= 6 && value >> 32) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    if (number == 6) {
        value = (value & 0xe00f) | DR6_FIXED;
    } else if (number == 7) {
        value = (value & 0xffff2fff) | DR7_FIXED;
    }
    s->dr[number] = value;
    if (number != 6) {
        x86_update_watches(s);
        x86_update_mode(s);
    }
    return 0;
}

uint64_t helper_xgetbv(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint32_t index = a;

    if (!(s->cr4 & CR4_OSXSAVE)) {
        x86_raise(s, EXC_UD, ra);
    }
    if (index > 1 || (index == 1 && !x86_has(s, FEAT_xgetbv1))) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    tcg_fp_sync(s);
    return index ? s->xcr0 & x86_xsave_in_use(s) : s->xcr0;
}

static void check_pkru(X86State *s, uint32_t index, uint32_t high, uintptr_t ra)
{
    if (!(s->cr4 & CR4_PKE)) {
        x86_raise(s, EXC_UD, ra);
    }
    if (index || high) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
}

uint64_t helper_rdpkru(X86State *s, uint64_t index, uint64_t b, uint64_t c, uint64_t d)
{
    check_pkru(s, index, 0, tcg_caller_pc(s));
    return s->pkru;
}

uint64_t helper_wrpkru(X86State *s, uint64_t index, uint64_t value, uint64_t c, uint64_t d)
{
    check_pkru(s, index, value >> 32, tcg_caller_pc(s));
    x86_set_pkru(s, value);
    return 0;
}

uint64_t helper_xsetbv(X86State *s, uint64_t index, uint64_t value, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint64_t supported = x86_xsave_supported(s);

    if (!(s->cr4 & CR4_OSXSAVE)) {
        x86_raise(s, EXC_UD, ra);
    }
    require_cpl0(s, ra);
    if ((uint32_t)index != 0 || !(value & 1) || (value & ~supported) || (value & 6) == 4) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    s->xcr0 = value;
    x86_update_mode(s);
    return 0;
}
