/*
 * FPSCR: what instructions leave in it, and those that move it (Power ISA, book I, 4.2.2, 4.6.10).
 */
#include "fp.h"
#include "vec_ops.h"

/* Whether one of the exceptions has its enable bit in f set. */
static bool any_enabled(uint32_t exceptions, uint32_t f)
{
    return (exceptions & FPSCR_VX_ALL && f & FPSCR_VE) || (exceptions & FPSCR_OX && f & FPSCR_OE) ||
           (exceptions & FPSCR_UX && f & FPSCR_UE) || (exceptions & FPSCR_ZX && f & FPSCR_ZE) ||
           (exceptions & FPSCR_XX && f & FPSCR_XE);
}

void fp_summarise(PpcState *s)
{
    uint32_t f = s->fpscr & ~(FPSCR_VX | FPSCR_FEX);

    if (f & FPSCR_VX_ALL) {
        f |= FPSCR_VX;
    }
    if (any_enabled(f, f)) {
        f |= FPSCR_FEX;
    }
    s->fpscr = (s->fpscr & ~UINT64_C(0xffffffff)) | f;
}

static void add_sticky(PpcState *s, uint32_t flags)
{
    if (flags) {
        s->fpscr |= flags | (flags & ~s->fpscr ? FPSCR_FX : 0);
        fp_summarise(s);
    }
}

bool fp_note(PpcState *s, uint32_t flags, unsigned what)
{
    uint32_t f = s->fpscr;
    bool stopped = (flags & FPSCR_VX_ALL && f & FPSCR_VE) || (flags & FPSCR_ZX && f & FPSCR_ZE);

    if (flags & (FPSCR_VX_ALL | FPSCR_ZX)) {
        flags &= FPSCR_VX_ALL | FPSCR_ZX;
    }
    if (what & FP_SET_FR_FI) {
        s->fpscr = (s->fpscr & ~(uint64_t)(FPSCR_FR | FPSCR_FI)) | (flags & (FPSCR_FR | FPSCR_FI));
    }
    add_sticky(s, flags & FPSCR_EXCEPTIONS);
    return !stopped;
}

uint32_t fp_sticky(uint32_t flags)
{
    return flags & (flags & (FPSCR_VX_ALL | FPSCR_ZX) ? FPSCR_VX_ALL | FPSCR_ZX : FPSCR_EXCEPTIONS);
}

bool fp_note_vector(PpcState *s, uint32_t flags)
{
    add_sticky(s, flags & FPSCR_EXCEPTIONS);
    return !any_enabled(flags, s->fpscr);
}

void fp_trap(PpcState *s)
{
    if (s->fpscr & FPSCR_FEX && s->msr & (MSR_FE0 | MSR_FE1)) {
        ppc_raise_fp_enabled(s);
    }
}

void fp_end(PpcState *s, uint32_t insn)
{
    if (insn & 1) {
        s->cr[1] = s->fpscr >> 28 & 15;
    }
    fp_trap(s);
}

void fp_write(PpcState *s, unsigned reg, uint64_t value, uint32_t fprf, uint32_t flags)
{
    if (fp_note(s, flags, FP_SET_FR_FI)) {
        fp_put_scalar(s, reg, value);
        s->fpscr = (s->fpscr & ~(uint64_t)FPSCR_FPRF) | fprf;
    }
}

static void set_fpscr(PpcState *s, uint64_t value, uint64_t mask)
{
    mask &= FPSCR_WRITABLE;
    s->fpscr = (s->fpscr & ~mask) | (value & mask);
    fp_summarise(s);
}

void ppc_exec_mffs(PpcState *s, uint32_t insn)
{
    fp_put_scalar(s, field_t(insn), s->fpscr);
    fp_end(s, insn);
}

/* Reads, and clears the enables. */
void ppc_exec_mffsce(PpcState *s, uint32_t insn)
{
    fp_put_scalar(s, field_t(insn), s->fpscr);
    set_fpscr(s, 0, FPSCR_VE | FPSCR_OE | FPSCR_UE | FPSCR_ZE | FPSCR_XE);
}

/* The control bits are read; a field of them is replaced. */
static void read_control(PpcState *s, uint32_t insn, uint64_t value, uint64_t mask)
{
    fp_put_scalar(s, field_t(insn), s->fpscr & UINT64_C(0x7000000ff));
    set_fpscr(s, value, mask);
}

void ppc_exec_mffscdrn(PpcState *s, uint32_t insn)
{
    read_control(s, insn, s->vsr[field_b(insn)][0], UINT64_C(7) << 32);
}

void ppc_exec_mffscdrni(PpcState *s, uint32_t insn)
{
    read_control(s, insn, (uint64_t)(insn >> 11 & 7) << 32, UINT64_C(7) << 32);
}

void ppc_exec_mffscrn(PpcState *s, uint32_t insn)
{
    read_control(s, insn, s->vsr[field_b(insn)][0], FPSCR_RN);
}

void ppc_exec_mffscrni(PpcState *s, uint32_t insn)
{
    read_control(s, insn, insn >> 11 & 3, FPSCR_RN);
}

/* Without the sticky bits. */
void ppc_exec_mffsl(PpcState *s, uint32_t insn)
{
    fp_put_scalar(s, field_t(insn), s->fpscr & (UINT64_C(0x700000000) | FPSCR_FR | FPSCR_FI | FPSCR_FPRF | 0xff));
}

void ppc_exec_mcrfs(PpcState *s, uint32_t insn)
{
    unsigned shift = 28 - 4 * (insn >> 18 & 7);
    uint32_t bits = s->fpscr & 15u << shift;

    s->cr[field_bf(insn)] = bits >> shift;
    s->fpscr &= ~(uint64_t)(bits & (FPSCR_FX | FPSCR_EXCEPTIONS));
    fp_summarise(s);
}

/* FEX and VX cannot be set by hand. */
static uint32_t bit_of(uint32_t insn)
{
    return (0x80000000u >> field_t(insn)) & FPSCR_WRITABLE;
}

void ppc_exec_mtfsb0(PpcState *s, uint32_t insn)
{
    set_fpscr(s, 0, bit_of(insn));
    fp_end(s, insn);
}

void ppc_exec_mtfsb1(PpcState *s, uint32_t insn)
{
    uint32_t bit = bit_of(insn);

    if (bit & FPSCR_EXCEPTIONS & ~s->fpscr) {
        s->fpscr |= FPSCR_FX;
    }
    set_fpscr(s, bit, bit);
    fp_end(s, insn);
}

/* W chooses the left word, where only DRN is. */
void ppc_exec_mtfsfi(PpcState *s, uint32_t insn)
{
    unsigned shift = 28 - 4 * field_bf(insn) + (insn & 0x10000 ? 32 : 0);

    set_fpscr(s, (uint64_t)(insn >> 12 & 15) << shift, UINT64_C(15) << shift);
    fp_end(s, insn);
}

void ppc_exec_mtfsf(PpcState *s, uint32_t insn)
{
    set_fpscr(s, s->vsr[field_b(insn)][0], fp_moved_bits(insn));
    fp_end(s, insn);
}
