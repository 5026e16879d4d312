/*
 * The rows of floating-point and vector instructions that are C functions of state and word, and the call of them.
 */
#include "target/ppc/fp.h"
#include "target/ppc/fp_rows.h"
#include "target/ppc/insns.h"
#include "target/ppc/vec_ops.h"

#include <string.h>

enum { OP_ALTIVEC = 4 };

static PpcFpExec *const execs[] = {
#define ROW(name, ...) [EXEC_##name] = ppc_exec_##name,
#include "target/ppc/fp.def"
#include "target/ppc/altivec.def"
#include "target/ppc/vsx.def"
#include "target/ppc/dfp.def"
#undef ROW
};

void ppc_raise_fp_enabled(PpcState *s)
{
    ppc_program(s, PROGRAM_FP, tcg_caller_pc(s));
}

void ppc_fp_execute(PpcState *s, unsigned row, uint32_t word)
{
    if ((s->fp_noted || s->fp_last_fpcc) && ppc_fp_renews_status(s, row, word)) {
        s->fp_noted = 0;
        s->fp_last_fpcc = 0;
    }
    ppc_fp_settle(s);
    if (word >> 26 == OP_ALTIVEC) { /* its arithmetic is the host's */
        tcg_fp_sync(s);
    }
    execs[row](s, word);
    ppc_fp_update_fast(s);
}

void ppc_fp_execute_again(PpcState *s, unsigned row, uint32_t word)
{
    execs[row](s, word);
}

/* (row, word): FPRs, vector registers, FPSCR and VSCR only. */
uint64_t ppc_helper_fp_exec(PpcState *s, uint64_t row, uint64_t word, uint64_t c, uint64_t d)
{
    ppc_fp_execute(s, row, word);
    return 0;
}

/* AltiVec, which has nothing to do with FPSCR. */
uint64_t ppc_helper_vec_exec(PpcState *s, uint64_t row, uint64_t word, uint64_t c, uint64_t d)
{
    execs[row](s, word);
    return 0;
}

/* The same as fp_exec; writes condition fields too. */
uint64_t ppc_helper_fp_exec_cr(PpcState *s, uint64_t row, uint64_t word, uint64_t c, uint64_t d)
{
    ppc_fp_execute(s, row, word);
    return 0;
}

/* The same; reads and writes general registers too. */
uint64_t ppc_helper_fp_exec_gpr(PpcState *s, uint64_t row, uint64_t word, uint64_t c, uint64_t d)
{
    ppc_fp_execute(s, row, word);
    return 0;
}

/* A comparison whose field is the result; the slot is left alone. */
uint64_t ppc_helper_fp_compare(PpcState *s, uint64_t row, uint64_t word, uint64_t c, uint64_t d)
{
    unsigned field = field_bf(word);
    uint8_t old = s->cr[field], result;

    ppc_fp_execute(s, row, word);
    result = s->cr[field];
    s->cr[field] = old;
    return result;
}

static bool touches_gprs(unsigned row)
{
    switch (row) {
    case EXEC_vextublx:
    case EXEC_vextuhlx:
    case EXEC_vextuwlx:
    case EXEC_vextubrx:
    case EXEC_vextuhrx:
    case EXEC_vextuwrx:
    case EXEC_vclzlsbb:
    case EXEC_vctzlsbb:
    case EXEC_xsxexpdp:
    case EXEC_xsxsigdp:
    case EXEC_xsiexpdp:
    case EXEC_mtvsrbm: case EXEC_mtvsrhm: case EXEC_mtvsrwm: case EXEC_mtvsrdm: case EXEC_mtvsrqm:
    case EXEC_vextractbm: case EXEC_vextracthm: case EXEC_vextractwm: case EXEC_vextractdm: case EXEC_vextractqm:
    case EXEC_vcntmbb: case EXEC_vcntmbh: case EXEC_vcntmbw: case EXEC_vcntmbd: case EXEC_vgnb:
    case EXEC_vclrlb: case EXEC_vclrrb:
    case EXEC_vinsblx: case EXEC_vinsbrx: case EXEC_vinshlx: case EXEC_vinshrx: case EXEC_vinswlx: case EXEC_vinswrx:
    case EXEC_vinsdlx: case EXEC_vinsdrx: case EXEC_vinsbvlx: case EXEC_vinsbvrx: case EXEC_vinshvlx: case EXEC_vinshvrx:
    case EXEC_vinswvlx: case EXEC_vinswvrx: case EXEC_vinsw: case EXEC_vinsd:
    case EXEC_vextdubvlx: case EXEC_vextdubvrx: case EXEC_vextduhvlx: case EXEC_vextduhvrx:
    case EXEC_vextduwvlx: case EXEC_vextduwvrx: case EXEC_vextddvlx: case EXEC_vextddvrx:
        return true;
    default:
        return false;
    }
}

/* Whether it writes a condition field: comparisons, tests, and the recording forms. */
static bool touches_cr(const PpcInsn *in)
{
    uint32_t mask = in->row->mask, word = in->word;

    switch (word >> 26) {
    case 4: return (!(mask & 0x400) && word & 0x400) || !strncmp(in->row->name, "bcd", 3) || !strncmp(in->row->name, "vcmp", 4);
    case 59: return word & 1 || in->row->name[0] == 'd';
    case 60: return (!(mask & 0x400) && word & 0x400) || in->row->name[1] == 's' || in->row->name[1] == 'v';
    default: return word & 1 || in->row->op != EXEC_mffs; /* 63: Rc, comparisons, mcrfs */
    }
}

/* Whether it may turn off what the host does itself, so that the block must end behind it. */
static bool changes_mode(unsigned row)
{
    switch (row) {
    case EXEC_mffsce:
    case EXEC_mffscrn:
    case EXEC_mffscrni:
    case EXEC_mcrfs:
    case EXEC_mtfsb0:
    case EXEC_mtfsb1:
    case EXEC_mtfsfi:
    case EXEC_mtfsf:
        return true;
    default:
        return false;
    }
}

static void emit_slowly(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal row = ppc_const(tr, IR_I64, in->row->op), word = ppc_const(tr, IR_I64, in->word);

    tr->fp_last = -1;
    if (touches_gprs(in->row->op)) {
        PPC_CALL2(tr, fp_exec_gpr, row, word);
    } else if (touches_cr(in)) {
        PPC_CALL2(tr, fp_exec_cr, row, word);
    } else if (in->word >> 26 == 4) {
        PPC_CALL2(tr, vec_exec, row, word);
    } else {
        PPC_CALL2(tr, fp_exec, row, word);
    }
    if (changes_mode(in->row->op)) {
        ppc_end_mode(tr, in->next_pc);
    }
}

static void emit_exec(PpcTranslator *tr, const PpcInsn *in)
{
    if (!ppc_emit_fp_fast(tr, in, emit_slowly)) {
        emit_slowly(tr, in);
    }
}

#define ROW(name, match, mask, unit, since) { #name, match, mask, emit_exec, A_##unit, ISA_##since, EXEC_##name, 0, 0 },

const PpcRow ppc_rows_fp[] = {
#include "target/ppc/fp.def"
    { NULL },
};

const PpcRow ppc_rows_altivec[] = {
#include "target/ppc/altivec.def"
    { NULL },
};

const PpcRow ppc_rows_vsx[] = {
#include "target/ppc/vsx.def"
    { NULL },
};

const PpcRow ppc_rows_dfp[] = {
#include "target/ppc/dfp.def"
    { NULL },
};
