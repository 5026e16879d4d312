/*
 * Undefined results, by emitter: SDM volume 2, "Flags affected" of each instruction; volume 1,
 * appendix A has them in one table.
 *
 * Where our answer is the host's although the manual promises nothing (a BSF of zero leaves its
 * destination alone), there is no row: programs have come to count on it.
 */
#include "undefined.h"

enum { C = FLAG_CF, P = FLAG_PF, A = FLAG_AF, Z = FLAG_ZF, S = FLAG_SF, O = FLAG_OF, ALL = FLAGS_ALL };
enum { ANY = -1 };

typedef struct Entry {
    X86Emit *emit;
    int op; /* X86Row.op */
    uint32_t flags;
} Entry;

static const Entry entries[] = {
    {x86_emit_alu, ALU_AND, A}, {x86_emit_alu, ALU_OR, A}, {x86_emit_alu, ALU_XOR, A}, {x86_emit_test, ANY, A},
    {x86_emit_mul, ANY, S | Z | A | P}, {x86_emit_imul1, ANY, S | Z | A | P}, {x86_emit_imul, ANY, S | Z | A | P},
    {x86_emit_div, ANY, ALL}, {x86_emit_idiv, ANY, ALL},
    {x86_emit_bt, ANY, O | S | A | P}, /* not ZF */
    {x86_emit_andn, ANY, A | P}, {x86_emit_bls, ANY, A | P}, {x86_emit_bzhi, ANY, A | P}, {x86_emit_bextr, ANY, A | P | S},
    {x86_emit_decimal, DECIMAL_DAA, O}, {x86_emit_decimal, DECIMAL_DAS, O},
    {x86_emit_decimal, DECIMAL_AAA, O | S | Z | P}, {x86_emit_decimal, DECIMAL_AAS, O | S | Z | P},
    {x86_emit_aam, ANY, O | A | C}, {x86_emit_aad, ANY, O | A | C},
};

static unsigned width(const X86Insn *in)
{
    return in->row->operand[0] == O_Eb ? 8 : in->type == IR_I16 ? 16 : in->type == IR_I32 ? 32 : 64;
}

static unsigned count_of(const X86Insn *in, const OracleState *before, X86Operand operand, unsigned bits)
{
    unsigned count = operand == O_1 ? 1 : operand == O_CL ? before->gpr[R_CX] : in->imm;

    return count & (bits == 64 ? 63 : 31);
}

static uint32_t shift_flags(const X86Insn *in, unsigned count, unsigned bits)
{
    unsigned op = in->row->op;

    if (count == 0) {
        return 0;
    }
    if (op <= SHIFT_RCR) {
        return count == 1 ? 0 : O;
    }
    /* CF of a SHL or SHR by the width or more; SAR has copies of the sign there. */
    return A | (count == 1 ? 0 : O) | (count >= bits && op != SHIFT_SAR ? C : 0);
}

Undefined undefined_results(const Case *one, const OracleState *before, bool faulted)
{
    const X86Insn *in = &one->in;
    Undefined undefined = {0};
    X86Emit *emit = in->row->emit;
    unsigned bits = width(in);

    if (faulted) { /* POPA may have popped some by then */
        undefined.gprs = emit == x86_emit_popa ? 0xffff & ~(1 << R_SP) : 0;
        return undefined;
    }

    for (unsigned i = 0; i < G_N_ELEMENTS(entries); i++) {
        if (entries[i].emit == emit && (entries[i].op == ANY || entries[i].op == in->row->op)) {
            undefined.flags = entries[i].flags;
        }
    }
    if (emit == x86_emit_shift) {
        undefined.flags = shift_flags(in, count_of(in, before, in->row->operand[1], bits), bits);
    } else if (emit == x86_emit_shld || emit == x86_emit_shrd) {
        unsigned count = count_of(in, before, in->row->operand[2], bits);

        undefined.flags = count == 0 ? 0 : count == 1 ? A : A | O;
        undefined.whole = count > bits; /* 16 bits */
    } else if (emit == x86_emit_bsf || emit == x86_emit_bsr) {
        bool counts = in->rep == 0xf3; /* TZCNT, LZCNT */

        undefined.flags = counts ? O | S | A | P : C | O | S | A | P;
    } else if (emit == x86_emit_bswap && in->type == IR_I16) {
        undefined.gprs = 1 << in->rm;
    }
    return undefined;
}

/* FXSAVE, XSAVE and their like. */
static bool is_area(const Row *row)
{
    return row->map == MAP_0F && row->opcode == 0xae && !row->is_vex;
}

bool undefined_fault_offset(const Case *one)
{
    const Row *row = one->row;
    unsigned flags = row->fp ? row->fp->flags : row->vex ? row->vex->flags : 0;

    return is_area(row) || (row->x87 && row->digit == 4) || flags & (FPF_MASKMOV | FPF_MASKED);
}

bool undefined_mmx_switch(const Case *one)
{
    return one->row->fp && one->row->fp->reg == FP_P && one->row->fp->flags & (FPF_STORE | FPF_MASKMOV);
}

bool undefined_order(const Case *one, const OracleState *host, const OracleState *guest)
{
    unsigned flags = one->row->fp ? one->row->fp->flags : one->row->vex ? one->row->vex->flags : 0;
    bool in_parts = undefined_fault_offset(one) || undefined_partial_store(one);
    bool exception = one->row->x87 ? host->vector < 0 && host->fp.fx.fsw & FSW_ES
                                   : host->vector == EXC_XM && one->row->vex && one->row->vex->flags & FPF_STORE;

    if (in_parts && one->mode != ORACLE_64 && host->vector == EXC_PF && guest->vector >= 0) {
        return true; /* one part is not there, another is beyond the segment's limit */
    }
    if (one->mode == ORACLE_64 && one->in.row->emit == x86_emit_movbe && (host->vector == EXC_SS || host->vector == EXC_GP) &&
        (guest->vector == EXC_SS || guest->vector == EXC_GP)) {
        return true; /* a prefix of SS, or of ES with rbp, does nothing but to the exception of this instruction */
    }
    /*
     * Whether their bytes wrap at 64 KiB is up to the processor (SDM volume 3, "Segment Wraparound"): of the area of FXRSTOR
     * Intel's look at the last byte first, which then is below the limit of an expand-down segment.
     */
    if (one->in.addr_type == IR_I16 && (flags & FPF_MASKMOV || is_area(one->row))) {
        return host->vector >= 0 && guest->vector >= 0;
    }
    return exception && one->in.is_mem && guest->vector >= 0;
}

bool undefined_partial_store(const Case *one)
{
    return one->in.is_mem && (one->row->x87 || one->in.row->emit == x86_emit_movbe);
}

bool undefined_pushed_half(const Case *one)
{
    return one->in.row->emit == x86_emit_push_seg && one->in.type == IR_I32;
}
