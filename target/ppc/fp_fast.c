/*
 * Floating point by the host: which instructions it can do, and FPSCR afterwards.
 *
 * While FPSCR says round to nearest, XX is set and nothing is enabled (MODE_FAST_FP, part of the block's key), the host's
 * result is the guest's and no sticky bit changes, if the result is a normal number by a margin: overflow, underflow and
 * NaNs are not. Only the status of the last operation is missing, FPRF, FR and FI. It is computed by doing that operation
 * again when somebody looks. Of a block's operations only the last one is noted: a fault between them shows older status.
 */
#include "target/ppc/fp.h"
#include "target/ppc/fp_rows.h"

#include <stdatomic.h>

/* As IrFast.last says. A comparison's FPCC is in the first byte of fp_last_fpcc. */
G_STATIC_ASSERT(offsetof(PpcState, fp_last_fpcc) == offsetof(PpcState, fp_noted) + 4);
G_STATIC_ASSERT(offsetof(PpcState, fp_last_operands) == offsetof(PpcState, fp_noted) + 8);

/* A running block that does everything by helpers is right in either mode; what turns the host off ends its block. Blocks of
 * privileged state look themselves. */
void ppc_fp_update_fast(PpcState *s)
{
    if (s->msr & MSR_PR && ppc_fp_is_fast(s) == !(s->mode_flags & MODE_FAST_FP)) {
        s->mode_flags ^= MODE_FAST_FP;
        if (engine.update_mode) {
            engine.update_mode(s->hot.cpu);
        }
        atomic_store_explicit(&s->hot.poll, -1, memory_order_relaxed);
    }
}

#define STATUS (FPSCR_FPRF | FPSCR_FR | FPSCR_FI)

enum { ADD = 0x58, MUL = 0x59, SUB = 0x5c, DIV = 0x5e, SQRT = 0x51 };          /* 0f map, as scalars and in pairs */
enum { FMADD = 0xa8, FMSUB = 0xaa, FNMADD = 0xac, FNMSUB = 0xae };             /* 0f38 map: 213 forms; scalars + 1 */

static int32_t left(unsigned reg)
{
    return offsetof(PpcState, vsr) + reg * sizeof(PpcVsr);
}

/* a op b; a is -1 for a root. */
static bool two(IrFast *f, unsigned opcode, int a, unsigned b)
{
    f->prefix = f->kind == FAST_DOUBLES ? 0x66 : 0xf2;
    f->map = 1;
    f->opcode = opcode;
    f->a = a < 0 ? -1 : left(a);
    f->b = left(b);
    return true;
}

/* a * c with b added or subtracted. The host's "nmadd" is the product negated. */
static bool fused(IrFast *f, unsigned opcode, unsigned a, unsigned c, unsigned b)
{
    f->kind = f->kind == FAST_DOUBLES ? FAST_FUSED2 : FAST_FUSED;
    f->prefix = 0x66;
    f->map = 2;
    f->opcode = opcode + (f->kind == FAST_FUSED);
    f->a = left(a);
    f->c = left(c);
    f->b = left(b);
    return true;
}

enum { CUT = 0x2c, NEAREST = 0x2d };

static bool to_int(IrFast *f, unsigned opcode, unsigned size, unsigned b)
{
    f->kind = FAST_TO_INT;
    f->prefix = 0xf2;
    f->map = 1;
    f->opcode = opcode;
    f->size = size;
    f->b = left(b);
    return true;
}

static bool compare(IrFast *f, unsigned a, unsigned b)
{
    f->kind = FAST_COMPARE;
    f->a = left(a);
    f->b = left(b);
    f->t = offsetof(PpcState, fp_last_fpcc);
    return true;
}

static bool plan_fpr(unsigned row, uint32_t word, IrFast *f)
{
    unsigned a = field_a(word), b = field_b(word), c = field_c(word);

    f->t = left(field_t(word));
    f->single = word >> 26 == 59;
    switch (row) {
    case EXEC_fadd:
    case EXEC_fadds: return two(f, ADD, a, b);
    case EXEC_fsub:
    case EXEC_fsubs: return two(f, SUB, a, b);
    case EXEC_fmul:
    case EXEC_fmuls: return two(f, MUL, a, c);
    case EXEC_fdiv:
    case EXEC_fdivs: return two(f, DIV, a, b);
    case EXEC_fsqrt:
    case EXEC_fsqrts: return two(f, SQRT, -1, b);
    case EXEC_fmadd:
    case EXEC_fmadds: return fused(f, FMADD, a, c, b);
    case EXEC_fmsub:
    case EXEC_fmsubs: return fused(f, FMSUB, a, c, b);
    case EXEC_fnmadd:
    case EXEC_fnmadds: return fused(f, FNMSUB, a, c, b);
    case EXEC_fnmsub:
    case EXEC_fnmsubs: return fused(f, FNMADD, a, c, b);
    case EXEC_frsp:
        f->kind = FAST_ROUND;
        f->single = true;
        f->b = left(b);
        return true;
    case EXEC_fctiw: return to_int(f, NEAREST, 4, b);
    case EXEC_fctid: return to_int(f, NEAREST, 8, b);
    case EXEC_fctiwz: return to_int(f, CUT, 4, b);
    case EXEC_fctidz: return to_int(f, CUT, 8, b);
    case EXEC_fctiwuz: return f->is_unsigned = true, to_int(f, CUT, 4, b);
    case EXEC_fctiduz: return f->is_unsigned = true, to_int(f, CUT, 8, b);
    case EXEC_fcfid:
    case EXEC_fcfids:
    case EXEC_fcfidu:
    case EXEC_fcfidus:
        f->kind = FAST_FROM_INT;
        f->is_unsigned = row == EXEC_fcfidu || row == EXEC_fcfidus;
        f->b = left(b);
        return true;
    case EXEC_fcmpu:
    case EXEC_fcmpo: return compare(f, a, b);
    default: return false;
    }
}

static bool plan_vsx(unsigned row, uint32_t word, IrFast *f)
{
    unsigned t = field_xt(word), a = field_xa(word), b = field_xb(word);

    f->t = left(t);
    f->kind = word >> 3 & 0x40 ? FAST_DOUBLES : FAST_DOUBLE;
    switch (row) {
    case EXEC_xsadddp:
    case EXEC_xvadddp: return two(f, ADD, a, b);
    case EXEC_xssubdp:
    case EXEC_xvsubdp: return two(f, SUB, a, b);
    case EXEC_xsmuldp:
    case EXEC_xvmuldp: return two(f, MUL, a, b);
    case EXEC_xsdivdp:
    case EXEC_xvdivdp: return two(f, DIV, a, b);
    case EXEC_xsmaddadp:
    case EXEC_xvmaddadp: return fused(f, FMADD, a, b, t);
    case EXEC_xsmaddmdp:
    case EXEC_xvmaddmdp: return fused(f, FMADD, a, t, b);
    case EXEC_xsmsubadp:
    case EXEC_xvmsubadp: return fused(f, FMSUB, a, b, t);
    case EXEC_xsmsubmdp:
    case EXEC_xvmsubmdp: return fused(f, FMSUB, a, t, b);
    case EXEC_xsnmaddadp:
    case EXEC_xvnmaddadp: return fused(f, FNMSUB, a, b, t);
    case EXEC_xsnmaddmdp:
    case EXEC_xvnmaddmdp: return fused(f, FNMSUB, a, t, b);
    case EXEC_xsnmsubadp:
    case EXEC_xvnmsubadp: return fused(f, FNMADD, a, b, t);
    case EXEC_xsnmsubmdp:
    case EXEC_xvnmsubmdp: return fused(f, FNMADD, a, t, b);
    case EXEC_xssqrtdp: return two(f, SQRT, -1, b);
    case EXEC_xsaddsp: return f->single = true, two(f, ADD, a, b);
    case EXEC_xssubsp: return f->single = true, two(f, SUB, a, b);
    case EXEC_xsmulsp: return f->single = true, two(f, MUL, a, b);
    case EXEC_xsdivsp: return f->single = true, two(f, DIV, a, b);
    case EXEC_xssqrtsp: return f->single = true, two(f, SQRT, -1, b);
    case EXEC_xscvsxddp:
    case EXEC_xscvuxddp:
    case EXEC_xscvsxdsp:
    case EXEC_xscvuxdsp:
        f->kind = FAST_FROM_INT;
        f->is_unsigned = row == EXEC_xscvuxddp || row == EXEC_xscvuxdsp;
        f->single = row == EXEC_xscvsxdsp || row == EXEC_xscvuxdsp;
        f->b = left(b);
        return true;
    case EXEC_xscvdpsxds: return to_int(f, CUT, 8, b);
    case EXEC_xscvdpuxds: return f->is_unsigned = true, to_int(f, CUT, 8, b);
    case EXEC_xscvdpsxws: return f->twice = true, to_int(f, CUT, 4, b);
    case EXEC_xscvdpuxws: return f->twice = f->is_unsigned = true, to_int(f, CUT, 4, b);
    case EXEC_xsrsp:
        f->kind = FAST_ROUND;
        f->single = true;
        f->b = left(b);
        return true;
    case EXEC_xscmpudp:
    case EXEC_xscmpodp: return compare(f, a, b);
    default: return false;
    }
}

static bool plan(unsigned row, uint32_t word, IrFast *f)
{
    unsigned op = word >> 26;

    *f = (IrFast){ .kind = FAST_DOUBLE, .a = -1, .b = -1, .c = -1, .last = offsetof(PpcState, fp_noted),
                   .args = { row, word } };
    if (op == 59 || op == 63) {
        return (!(word & 1) || row == EXEC_fcmpu || row == EXEC_fcmpo) && plan_fpr(row, word, f);
    }
    return op == 60 && plan_vsx(row, word, f);
}

static bool has_status(const IrFast *f)
{
    return f->kind == FAST_DOUBLE || f->kind == FAST_FUSED || f->kind == FAST_ROUND || f->kind == FAST_TO_INT ||
           f->kind == FAST_FROM_INT;
}

/* The operation that was noted before is not the last one any more, unless the block can be left between the two. */
static void supersede(PpcTranslator *tr)
{
    if (tr->fp_last >= 0 && tr->fp_last_exits == tr->n_side_exits) {
        tr->ir->fasts[tr->fp_last].record = false;
    }
    tr->fp_last = tr->ir->n_fasts;
    tr->fp_last_exits = tr->n_side_exits;
}

/* Moves of FPRs: only signs change. */
static bool emit_move(PpcTranslator *tr, const PpcInsn *in)
{
    enum { XORPS = 0x57, ANDPS = 0x54, ORPS = 0x56 };
    uint32_t word = in->word;
    IrFast f = { .kind = FAST_SIGN, .t = left(field_t(word)), .a = -1, .b = left(field_b(word)), .c = -1, .last = -1,
                 .clear = tr->isa & ISA_V206, .helper = HELPER_fp_exec, .args = { in->row->op, word } };

    if (word >> 26 != 63 || word & 1) {
        return false;
    }
    switch (in->row->op) {
    case EXEC_fmr: break;
    case EXEC_fneg: f.opcode = XORPS; break;
    case EXEC_fabs: f.opcode = ANDPS; break;
    case EXEC_fnabs: f.opcode = ORPS; break;
    default: return false;
    }
    ir_fast(tr->ir, &f);
    return true;
}

/* xxpermdi and its aliases: doublewords chosen. */
static bool emit_permute(PpcTranslator *tr, const PpcInsn *in)
{
    uint32_t word = in->word;
    IrVal high, low;

    if (in->row->op != EXEC_xxpermdi) {
        return false;
    }
    high = ir_get_field(tr->ir, IR_I64, left(field_xa(word)) + 8 * (word >> 9 & 1));
    low = ir_get_field(tr->ir, IR_I64, left(field_xb(word)) + 8 * (word >> 8 & 1));
    ir_put_field(tr->ir, IR_I64, left(field_xt(word)), high);
    ir_put_field(tr->ir, IR_I64, left(field_xt(word)) + 8, low);
    return true;
}

/* FPSCR's bits that an instruction other than mtfsf moves, and to what; 0: it is another one, or wants more than that. */
static uint32_t constant_bits(unsigned row, uint32_t word, uint64_t *value)
{
    unsigned shift = 28 - 4 * field_bf(word);

    *value = 0;
    if (word & 1) {
        return 0;
    }
    switch (row) {
    case EXEC_mtfsfi:
        *value = (uint64_t)(word >> 12 & 15) << shift;
        return word & 0x10000 ? 0 : 15u << shift;
    case EXEC_mtfsb1: *value = UINT32_MAX; /* fall through */
    case EXEC_mtfsb0: return 0x80000000u >> field_t(word);
    default: return 0;
    }
}

/*
 * Moves to FPSCR mostly restore what it says already, but for its status bits: libraries save it, set its rounding mode,
 * and put it back. Whatever changes more is the helper's, in cold code. FPSCR is in no slot: helpers of fast operations
 * change it where it lies.
 */
static bool emit_control(PpcTranslator *tr, const PpcInsn *in, PpcEmit *slowly)
{
    bool is_mtfsf = in->row->op == EXEC_mtfsf && !(in->word & 1);
    uint64_t value = 0, moved = is_mtfsf ? fp_moved_bits(in->word) : constant_bits(in->row->op, in->word, &value);
    IrBlock *ir = tr->ir;
    IrType type;
    IrVal old, new;

    moved &= FPSCR_WRITABLE;
    if ((tr->mode & (MODE_PR | MODE_FAST_FP)) == MODE_PR || !moved || (moved & STATUS && (moved & STATUS) != STATUS) ||
        (moved & STATUS && !is_mtfsf)) {
        return false;
    }
    old = ir_get_field(ir, IR_I64, offsetof(PpcState, fpscr));
    new = is_mtfsf ? ir_get_field(ir, IR_I64, left(field_b(in->word))) : ppc_const(tr, IR_I64, value);
    type = moved >> 32 ? IR_I64 : IR_I32;
    ppc_cold_if_bits(tr, in, type, ir_op2(ir, IR_xor, type, old, new), moved & ~(uint64_t)STATUS, slowly);
    if (moved & STATUS) {
        old = ir_op2(ir, IR_and, IR_I64, old, ppc_const(tr, IR_I64, ~(uint64_t)STATUS));
        new = ir_op2(ir, IR_and, IR_I64, new, ppc_const(tr, IR_I64, STATUS));
        ir_put_field(ir, IR_I64, offsetof(PpcState, fpscr), ir_op2(ir, IR_or, IR_I64, old, new));
        ir_put_field(ir, IR_I64, offsetof(PpcState, fp_noted), ppc_const(tr, IR_I64, 0));
        tr->fp_last = -1;
    }
    return true;
}

/* Of doubles, one that AVX-512 may round as it likes: the sums and products. */
static bool is_rounded_at_will(const IrFast *f)
{
    return !f->single && (f->kind == FAST_FUSED || (f->kind == FAST_DOUBLE && (f->opcode == ADD || f->opcode == SUB || f->opcode == MUL)));
}

/*
 * The operation whose status will probably be asked for: the last one of the block, else the one that is noted now, as the block is
 * translated where it is about to run; or else a sum of products.
 */
static void guess_noted(PpcTranslator *tr, IrFast *f)
{
    enum { A_FORM = 0xfc00003e, FMADD_WORD = 0xfc00003a };
    uint32_t word = tr->fp_last >= 0 ? tr->ir->fasts[tr->fp_last].args[1] : tr->s->fp_noted;
    const PpcRow *row = word >> 26 == 63 ? ppc_decode(tr->s->model->isa, 0, word) : NULL;

    if (!row || row->op >= EXEC_COUNT || !plan(row->op, word, f) || !is_rounded_at_will(f)) {
        word = FMADD_WORD;
        plan(EXEC_fmadd, word, f);
    }
    f->is_fused = f->kind == FAST_FUSED;
    f->note_mask = A_FORM;
    f->note_key = word & A_FORM;
}

/* FPSCR is read, where nothing is enabled, so that nothing traps. The note stays. */
static bool emit_read(PpcTranslator *tr, const PpcInsn *in)
{
    uint64_t both = MODE_PR | MODE_FAST_FP;
    IrFast f;

    if (in->row->op != EXEC_mffs || in->word & 1 || (tr->mode & both) != both) {
        return false;
    }
    guess_noted(tr, &f);
    f.kind = FAST_STATUS;
    f.t = left(field_t(in->word));
    f.a = f.b = f.c = -1;
    f.clear = tr->isa & ISA_V206;
    f.control = offsetof(PpcState, fpscr);
    f.helper = HELPER_fp_settled;
    f.args[0] = 0;
    f.args[1] = in->word;
    ir_fast(tr->ir, &f);
    tr->fp_last = -1;
    return true;
}

uint64_t ppc_helper_fp_settled(PpcState *s, uint64_t a, uint64_t word, uint64_t c, uint64_t d)
{
    ppc_fp_settle(s);
    fp_put_scalar(s, field_t(word), s->fpscr);
    return 0;
}

/* As mark_word in fp_ops.c; what the helper has done stays as it is. */
static void emit_mark(PpcTranslator *tr, int32_t t, IrVal operand)
{
    IrBlock *ir = tr->ir;
    IrVal zero = ppc_const(tr, IR_I64, 0), word = ir_op2(ir, IR_and, IR_I64, ir_get_field(ir, IR_I64, t), ppc_const(tr, IR_I64, UINT32_MAX));
    IrVal negative = ir_op2(ir, IR_shr, IR_I64, operand, ppc_const(tr, IR_I8, 63));
    IrVal minus_zero = ir_select(ir, IR_I64, ir_setcond(ir, COND_EQ, IR_I64, word, zero), negative, zero);
    IrVal mark = ir_op2(ir, IR_or, IR_I64, minus_zero, ppc_const(tr, IR_I64, FP_WORD_MARK));

    G_STATIC_ASSERT(FP_WORD_MINUS_ZERO == 1);
    ir_put_field(ir, IR_I64, t, ir_op2(ir, IR_or, IR_I64, word, ir_op2(ir, IR_shl, IR_I64, mark, ppc_const(tr, IR_I8, 32))));
}

bool ppc_emit_fp_fast(PpcTranslator *tr, const PpcInsn *in, PpcEmit *slowly)
{
    IrVal operand = { 0 };
    bool marks;
    IrFast f;

    if (emit_control(tr, in, slowly) || emit_read(tr, in)) {
        return true;
    }
    if (emit_move(tr, in) || emit_permute(tr, in) || ppc_emit_vector_fast(tr, in)) {
        return true;
    }
    if (!plan(in->row->op, in->word, &f) || !ppc_assume(tr, in, MODE_FAST_FP)) {
        return false;
    }
    f.helper = f.kind == FAST_COMPARE ? HELPER_fp_compare : HELPER_fp_exec;
    f.traps = tr->mode & MODE_TRAP_FP;
    f.clear = has_status(&f) && tr->isa & ISA_V206;
    if (f.kind == FAST_COMPARE) {
        tr->fp_last = -1; /* its FPCC comes after what was noted */
        ppc_put_cr(tr, field_bf(in->word), ir_fast(tr->ir, &f));
        return true;
    }
    if (has_status(&f)) {
        supersede(tr);
        f.record = true;
    }
    marks = f.kind == FAST_TO_INT && f.size == 4 && fp_is_g3(tr->s);
    if (marks) {
        operand = ir_get_field(tr->ir, IR_I64, f.b);
    }
    ir_fast(tr->ir, &f);
    if (marks) {
        emit_mark(tr, f.t, operand);
    }
    return true;
}

/* Whether the instruction, which a helper does, gives FPRF, FR and FI new values whatever they were. */
bool ppc_fp_renews_status(const PpcState *s, unsigned row, uint32_t word)
{
    IrFast f;

    if (row == EXEC_mffs) {
        return false;
    }
    if (row == EXEC_mtfsf) {
        return (fp_moved_bits(word) & STATUS) == STATUS;
    }
    return ppc_fp_is_fast(s) && plan(row, word, &f) && has_status(&f) && f.kind != FAST_TO_INT;
}

static PpcFpSum sum_of(const IrFast *f)
{
    PpcFpSum sum = { .single = f->single };

    if (f->kind == FAST_FUSED) {
        unsigned opcode = f->opcode - 1;

        sum.known = sum.fused = true;
        sum.minus = opcode == FMSUB || opcode == FNMADD;
        sum.negated = opcode == FNMSUB || opcode == FNMADD;
    } else if (f->kind == FAST_DOUBLE) {
        sum.known = f->opcode == ADD || f->opcode == SUB || f->opcode == MUL;
        sum.minus = f->opcode == SUB;
        sum.product = f->opcode == MUL;
    }
    return sum;
}

enum { T, A, B, C, PLACES };

/* What the note of a word says: its row, and where its result and operands are; -1: nothing there. */
static const PpcFpNote *read_note(PpcState *s, uint32_t word)
{
    PpcFpNote *note = &s->fp_notes[(word >> 21 ^ word >> 1) % G_N_ELEMENTS(s->fp_notes)];
    const PpcRow *row;
    IrFast f;

    if (note->word != word) {
        row = ppc_decode(s->model->isa, 0, word);
        if (!row || !(row->attr & (A_FP | A_VSX)) || row->op >= EXEC_COUNT || !plan(row->op, word, &f) || !has_status(&f)) {
            return NULL; /* a snapshot may say anything */
        }
        *note = (PpcFpNote){ .word = word, .row = row->op, .places = { f.t, f.a, f.b, f.c }, .sum = sum_of(&f) };
    }
    return note;
}

static uint64_t *doubleword_at(PpcState *s, int32_t offset)
{
    return (uint64_t *)((uint8_t *)s + offset);
}

/* The operands of the last operation go back to their registers, it is done again, and the registers are restored. */
static void do_again(PpcState *s, const PpcFpNote *note)
{
    uint64_t kept[PLACES], behind = doubleword_at(s, note->places[T])[1];

    for (unsigned k = 0; k < PLACES; k++) {
        if (note->places[k] >= 0) {
            kept[k] = *doubleword_at(s, note->places[k]);
        }
    }
    for (unsigned k = A; k < PLACES; k++) {
        if (note->places[k] >= 0) {
            *doubleword_at(s, note->places[k]) = s->fp_last_operands[k - A];
        }
    }
    ppc_fp_execute_again(s, note->row, note->word);
    doubleword_at(s, note->places[T])[1] = behind;
    for (unsigned k = 0; k < PLACES; k++) {
        if (note->places[k] >= 0) {
            *doubleword_at(s, note->places[k]) = kept[k];
        }
    }
}

void ppc_fp_settle(PpcState *s)
{
    uint32_t word = s->fp_noted;
    uint8_t fpcc = s->fp_last_fpcc;
    const PpcFpNote *note;
    uint32_t status;

    if (!word && !fpcc) {
        return;
    }
    s->fp_noted = 0;
    s->fp_last_fpcc = 0;
    if (word && (note = read_note(s, word)) != NULL) {
        if (note->sum.known && ppc_fp_status_of(note->sum, s->fp_last_operands, &status)) {
            s->fpscr = (s->fpscr & ~(uint64_t)STATUS) | status;
        } else {
            do_again(s, note);
        }
    }
    if (fpcc && fpcc <= 8) {
        s->fpscr = (s->fpscr & ~(uint64_t)FPSCR_FPCC) | (uint64_t)fpcc << 12;
    }
}
