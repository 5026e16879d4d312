/* Translates a block: instructions from a pc on until something ends it. */
#include "target/ppc/fp.h"
#include "target/ppc/insns.h"

#include "util/bits.h"
#include "util/log.h"

#include <inttypes.h>

enum { MAX_INSNS = 64 };
enum { ALIGN_BOUNDARY = 0x10000000 }; /* SRR1 of an alignment interrupt */

bool ppc_each_insn_exits(const PpcTranslator *tr)
{
    return (tr->mode & (MODE_SE | MODE_CIABR | MODE_IABR)) || tr->t->single_step;
}

/* Ends of blocks. */

/* Behind an instruction, the pc slot has been put: an interrupt, or what else asked for an exit. */
static void end_traced(PpcTranslator *tr, bool is_traced)
{
    PPC_CALL2(tr, trace, ppc_pc(tr, IR_I64, tr->pc), ppc_const(tr, IR_I64, is_traced));
    if (tr->t->single_step) {
        ir_exit_main(tr->ir, TCG_EXIT_DEBUG);
    } else {
        ir_exit_lookup(tr->ir, ir_get(tr->ir, IR_I64, SLOT_PC), BRANCH_JUMP);
    }
    tr->done = true;
}

static void end_single(PpcTranslator *tr, bool is_branch)
{
    end_traced(tr, tr->mode & MODE_SE || (is_branch && tr->mode & MODE_BE));
}

bool ppc_branch_ends_block(const PpcTranslator *tr)
{
    return ppc_each_insn_exits(tr) || tr->mode & MODE_BE;
}

void ppc_end_lookup(PpcTranslator *tr, IrVal pc, IrBranchHint hint)
{
    if (ppc_branch_ends_block(tr)) {
        ir_put(tr->ir, IR_I64, SLOT_PC, pc);
        end_single(tr, true);
    } else {
        ir_exit_lookup(tr->ir, pc, hint);
        tr->done = true;
    }
}

void ppc_end_at_slot(PpcTranslator *tr)
{
    if (tr->t->single_step) {
        ir_exit_main(tr->ir, TCG_EXIT_DEBUG);
    } else {
        ir_exit_lookup(tr->ir, ir_get(tr->ir, IR_I64, SLOT_PC), BRANCH_JUMP);
    }
    tr->done = true;
}

static void exit_jump(PpcTranslator *tr, uint64_t pc)
{
    ir_exit_jump(tr->ir, pc);
    ppc_mark_exit(tr, pc);
    tr->done = true;
}

/* To the code behind the last instruction, which was no branch. */
static void end_fall_through(PpcTranslator *tr, uint64_t pc)
{
    if (ppc_each_insn_exits(tr) && tr->n_insns) {
        ir_put(tr->ir, IR_I64, SLOT_PC, ppc_pc(tr, IR_I64, pc & tr->pc_mask));
        end_single(tr, false);
        return;
    }
    exit_jump(tr, pc & tr->pc_mask);
}

void ppc_end_jump(PpcTranslator *tr, uint64_t pc)
{
    pc &= tr->pc_mask;
    if (ppc_branch_ends_block(tr)) {
        ppc_end_lookup(tr, ppc_pc(tr, IR_I64, pc), BRANCH_JUMP);
        return;
    }
    exit_jump(tr, pc);
}

void ppc_end_mode(PpcTranslator *tr, uint64_t pc)
{
    IrVal next = ppc_pc(tr, IR_I64, pc & tr->pc_mask);

    if (ppc_each_insn_exits(tr)) {
        ir_put(tr->ir, IR_I64, SLOT_PC, next);
        end_single(tr, false);
        return;
    }
    /* The engine has chosen another jump cache if the modes did change; interrupts make the poll there. */
    ir_exit_lookup(tr->ir, next, BRANCH_JUMP);
    tr->done = true;
}

void ppc_branch_if(PpcTranslator *tr, const PpcInsn *in, IrCc cc, IrVal flags, uint64_t target)
{
    target &= tr->pc_mask;
    if (ppc_branch_ends_block(tr)) {
        ppc_end_lookup(tr, ir_selectcc(tr->ir, IR_I64, cc, flags, ppc_pc(tr, IR_I64, target),
                                       ppc_pc(tr, IR_I64, in->next_pc)), BRANCH_JUMP);
        return;
    }
    ir_exit_if(tr->ir, cc, flags, target);
    ppc_mark_exit(tr, target);
    tr->n_side_exits++;
}

void ppc_emit_raise(PpcTranslator *tr, uint32_t vector, uint64_t flags)
{
    PPC_CALL2(tr, raise, ppc_const(tr, IR_I64, vector), ppc_const(tr, IR_I64, flags));
    ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
    tr->done = true;
}

void ppc_emit_illegal(PpcTranslator *tr)
{
    ppc_emit_raise(tr, PPC_PROGRAM, PROGRAM_ILLEGAL);
}

static unsigned new_cold(PpcTranslator *tr, const PpcInsn *in, PpcEmit *emit)
{
    PpcCold *cold = &tr->cold[tr->n_cold++];

    g_assert(tr->n_cold <= PPC_MAX_COLD);
    cold->label = ir_new_label(tr->ir);
    cold->insn = *in;
    cold->emit = emit;
    return cold->label;
}

void ppc_cold_if(PpcTranslator *tr, const PpcInsn *in, IrCond cond, IrType type, IrVal a, IrVal b, PpcEmit *emit)
{
    ir_brcond(tr->ir, cond, type, a, b, new_cold(tr, in, emit));
}

void ppc_cold_if_bits(PpcTranslator *tr, const PpcInsn *in, IrType type, IrVal value, uint64_t bits, PpcEmit *emit)
{
    IrVal flags = ir_opf(tr->ir, IR_test, type, value, ppc_const(tr, type, bits), (IrVal){ 0 }).flags;

    ir_brcc(tr->ir, CC_NE, flags, new_cold(tr, in, emit));
}

void ppc_cold_if_uncached(PpcTranslator *tr, const PpcInsn *in, IrVal addr, PpcEmit *emit)
{
    uint32_t range = offsetof(PpcState, uncached) + (tr->mode & MODE_PR ? sizeof(PpcRange) : 0);
    IrVal start = ir_get_field(tr->ir, IR_I64, range + offsetof(PpcRange, start));
    IrVal size = ir_get_field(tr->ir, IR_I64, range + offsetof(PpcRange, size));

    ppc_cold_if(tr, in, COND_LTU, IR_I64, ir_op2(tr->ir, IR_sub, IR_I64, ppc_arg(tr, addr, tr->address), start), size, emit);
}

/* MODE_COUNT: an instruction, and a look at the counters where a block begins. */
static void count_insn(PpcTranslator *tr)
{
    if (tr->mode & MODE_COUNT) {
        ir_put(tr->ir, IR_I64, SLOT_PMU_LEFT, ir_op2(tr->ir, IR_sub, IR_I64, ir_get(tr->ir, IR_I64, SLOT_PMU_LEFT), ppc_const(tr, IR_I64, 1)));
    }
}

static void cold_look_at_counters(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL0(tr, pmu_look);
    ir_put(tr->ir, IR_I64, SLOT_PC, ppc_pc(tr, IR_I64, in->pc));
    ir_exit_lookup(tr->ir, ir_get(tr->ir, IR_I64, SLOT_PC), BRANCH_JUMP);
    tr->done = true;
}

static void look_at_counters(PpcTranslator *tr, uint64_t pc)
{
    PpcInsn in = { .pc = pc, .next_pc = pc };

    ir_insn_start(tr->ir, pc);
    ppc_cold_if(tr, &in, COND_LTS, IR_I64, ir_get(tr->ir, IR_I64, SLOT_PMU_LEFT), ppc_const(tr, IR_I64, 0), cold_look_at_counters);
}

static void emit_cold(PpcTranslator *tr)
{
    for (unsigned i = 0; i < tr->n_cold; i++) {
        PpcCold *cold = &tr->cold[i];

        ir_label(tr->ir, cold->label);
        ir_insn_start(tr->ir, cold->insn.pc);
        tr->pc = cold->insn.pc;
        ppc_cr_forget(tr);
        tr->cr_put = 0;
        tr->ca_put = false;
        tr->carry = (IrVal){ 0 };
        tr->fp_last = -1;
        tr->done = false;
        cold->emit(tr, &cold->insn);
        if (!tr->done) {
            end_fall_through(tr, cold->insn.next_pc);
        }
    }
}

/* One instruction. */

static void assume_again(PpcTranslator *tr, const PpcInsn *in, uint64_t bit)
{
    PPC_CALL2(tr, assume, ppc_const(tr, IR_I64, bit), ppc_pc(tr, IR_I64, in->pc));
    ir_exit_main(tr->ir, TCG_EXIT_LOOKUP);
    tr->done = true;
}

static void cold_fp(PpcTranslator *tr, const PpcInsn *in)
{
    assume_again(tr, in, MODE_FP);
}

static void cold_vec(PpcTranslator *tr, const PpcInsn *in)
{
    assume_again(tr, in, MODE_VEC);
}

static void cold_vsx(PpcTranslator *tr, const PpcInsn *in)
{
    assume_again(tr, in, MODE_VSX);
}

static void cold_fast_fp(PpcTranslator *tr, const PpcInsn *in)
{
    assume_again(tr, in, MODE_FAST_FP);
}

/* What a bit says: that the bits in mask of a field are these. */
static const struct {
    uint64_t bit;
    uint32_t field;
    uint64_t mask, value;
    PpcEmit *otherwise;
} assumed[] = {
    { MODE_FP, offsetof(PpcState, msr), MSR_FP, MSR_FP, cold_fp },
    { MODE_VEC, offsetof(PpcState, msr), MSR_VEC, MSR_VEC, cold_vec },
    { MODE_VSX, offsetof(PpcState, msr), MSR_VSX, MSR_VSX, cold_vsx },
    { MODE_FAST_FP, offsetof(PpcState, fpscr), FPSCR_FAST_MASK, FPSCR_FAST, cold_fast_fp },
};

bool ppc_assume(PpcTranslator *tr, const PpcInsn *in, uint64_t bit)
{
    IrVal now;

    if (tr->mode & MODE_PR || tr->looked_at & bit) {
        return tr->mode & bit;
    }
    tr->looked_at |= bit;
    tr->ir->loop_branches = true; /* copies by vector registers */
    for (unsigned i = 0; i < G_N_ELEMENTS(assumed); i++) {
        if (assumed[i].bit == bit) {
            now = ir_op2(tr->ir, IR_and, IR_I64, ir_get_field(tr->ir, IR_I64, assumed[i].field), ppc_const(tr, IR_I64, assumed[i].mask));
            ppc_cold_if(tr, in, tr->mode & bit ? COND_NE : COND_EQ, IR_I64, now, ppc_const(tr, IR_I64, assumed[i].value),
                        assumed[i].otherwise);
        }
    }
    return tr->mode & bit;
}

/* The interrupt that the row's facility asks for, if it is off; 0: none. */
static uint32_t unavailable(PpcTranslator *tr, const PpcInsn *in)
{
    uint32_t attr = in->row->attr;

    if ((attr & A_FP) && !ppc_assume(tr, in, MODE_FP)) {
        return PPC_FPU;
    }
    if ((attr & A_VEC) && !ppc_assume(tr, in, MODE_VEC)) {
        return PPC_VPU;
    }
    if ((attr & A_SPE) && !ppc_assume(tr, in, MODE_VEC)) {
        return PPC_SPE;
    }
    if ((attr & A_VSX) && !ppc_assume(tr, in, MODE_VSX)) {
        return PPC_VSU;
    }
    if (attr & A_VSX_VEC) {
        bool high = in->word >> (attr & A_TX28 ? 3 : attr & A_TX5 ? 26 : 0) & 1;

        return ppc_assume(tr, in, high ? MODE_VEC : MODE_VSX) ? 0 : high ? PPC_VPU : PPC_VSU;
    }
    return 0;
}

/* Instructions between a comparison and its branch that the host does without its flags. */
static bool keeps_host_flags(const PpcInsn *in)
{
    uint32_t word = in->word;

    if (in->prefix) {
        return false;
    }
    switch (word >> 26) {
    case 14: case 15: /* addi, addis */
        return true;
    case 16: /* bc without a count */
        return F_BO(in) & 4;
    case 24: /* nop */
        return word == 0x60000000;
    case 31:
        switch (word & 0x7ff) {
        case 444 << 1: /* mr */
            return F_RS(in) == F_RB(in);
        case 339 << 1: case 467 << 1:
            return F_SPR(in) == SPR_LR || F_SPR(in) == SPR_CTR;
        default:
            return false;
        }
    default:
        return false;
    }
}

static void cold_word_differs(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal pc = ppc_pc(tr, IR_I64, in->pc);

    PPC_CALL1(tr, code_differs, pc);
    ir_exit_main(tr->ir, TCG_EXIT_LOOKUP);
    tr->done = true;
}

/* A word whose constant is rewritten often is loaded when the block runs; of its other bits the block is made. */
static void load_immediate(PpcTranslator *tr, PpcInsn *in)
{
    const uint8_t *host = tr->t->patched && !in->prefix ? tr->t->patched(tr->t, in->pc, 4) : NULL;
    IrVal word, fixed;

    if (!host || ppc_each_insn_exits(tr)) {
        return;
    }
    word = ir_load_code(tr->ir, IR_I32, host);
    if (!(tr->mode & MODE_LE)) {
        word = ir_op1(tr->ir, IR_bswap, IR_I32, word);
    }
    fixed = ir_op2(tr->ir, IR_and, IR_I32, word, ppc_const(tr, IR_I32, 0xffff0000));
    ppc_cold_if(tr, in, COND_NE, IR_I32, fixed, ppc_const(tr, IR_I32, in->word & 0xffff0000), cold_word_differs);
    in->loaded = word;
}

static void translate_insn(PpcTranslator *tr, PpcInsn *in)
{
    const PpcRow *row = ppc_decode(tr->isa, in->prefix, in->word);
    uint32_t vector;

    in->row = row;
    if (in->word >> 26 == 1 && !in->prefix && (tr->isa & ISA_V310)) { /* across a boundary of 64 bytes */
        ppc_emit_raise(tr, PPC_ALIGN, ALIGN_BOUNDARY);
    } else if (in->prefix && !(tr->mode & MODE_PREFIX)) {
        PPC_CALL1(tr, facility_unavailable, ppc_const(tr, IR_I64, FACILITY_PREFIX));
        ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
        tr->done = true;
    } else if (!row || !row->emit) {
        log_if(LOG_GUEST_ERRORS, "instruction %08x %08x at %" PRIx64 ", which the %s does not have\n", in->prefix, in->word, in->pc,
               tr->s->model->name);
        ppc_emit_illegal(tr);
    } else if ((row->attr & (A_PRIV | A_HV)) && (tr->mode & MODE_PR)) {
        ppc_emit_raise(tr, PPC_PROGRAM, PROGRAM_PRIVILEGED);
    } else if ((row->attr & A_HV) && (tr->isa & ISA_HV) && !(tr->mode & MODE_HV)) {
        ppc_emit_raise(tr, PPC_PROGRAM, tr->isa & ISA_V206 ? PROGRAM_PRIVILEGED : PROGRAM_ILLEGAL);
    } else if ((vector = unavailable(tr, in))) {
        ppc_emit_raise(tr, vector, 0);
    } else {
        if (row->attr & A_IMMEDIATE) {
            load_immediate(tr, in);
        }
        row->emit(tr, in);
        tr->flags_epoch += !keeps_host_flags(in);
    }
}

/* MSR[LE] decides the order of words in memory, not that of prefix and suffix. */
bool ppc_fetch_word(PpcTranslator *tr, uint64_t pc, uint32_t *word)
{
    const uint8_t *at = tr->t->bytes ? tr->t->bytes(tr->t, pc, 4) : NULL;
    uint8_t bytes[4];

    for (unsigned i = 0; !at && i < 4; i++) {
        if (!tr->t->fetch(tr->t, pc + i, &bytes[i])) {
            return false;
        }
    }
    at = at ? at : bytes;
    *word = tr->mode & MODE_LE ? load_le32(at) : load_be32(at);
    return true;
}

static bool fetch(PpcTranslator *tr, uint64_t pc, PpcInsn *in)
{
    *in = (PpcInsn){ .pc = pc, .next_pc = (pc + 4) & tr->pc_mask };
    if (!ppc_fetch_word(tr, pc, &in->word)) {
        return false;
    }
    if (in->word >> 26 == 1 && (tr->isa & ISA_V310) && (pc & 63) != 60) {
        in->prefix = in->word;
        in->next_pc = (pc + 8) & tr->pc_mask;
        return ppc_fetch_word(tr, (pc + 4) & tr->pc_mask, &in->word);
    }
    return true;
}

static void set_mode(PpcTranslator *tr, Translation *t)
{
    uint64_t mode = t->key->flags;

    memset(tr, 0, offsetof(PpcTranslator, cold));
    tr->t = t;
    tr->ir = t->ir;
    tr->s = ppc_state(t->cpu);
    tr->mode = mode;
    tr->isa = tr->s->model->isa;
    tr->is64 = tr->isa & ISA_64;
    tr->sf = mode & MODE_SF;
    tr->width = tr->is64 ? IR_I64 : IR_I32;
    tr->address = tr->sf ? IR_I64 : IR_I32;
    tr->order = mode & MODE_LE ? 0 : IRM_BE;
    tr->fp_last = -1;
    tr->pc_mask = tr->sf ? UINT64_MAX : UINT32_MAX;
}

static uint64_t page_of(uint64_t pc)
{
    return pc >> GUEST_PAGE_BITS;
}

static bool is_plain(PpcTranslator *tr, const PpcInsn *in)
{
    const PpcRow *row = in->prefix ? NULL : ppc_decode(tr->isa, 0, in->word);
    unsigned op = in->word >> 26;
    bool has_rc = op == 20 || op == 21 || op == 23 || op == 30 || op == 31, has_oe;

    if (!row || !(row->attr & A_PLAIN)) {
        return false;
    }
    has_oe = op == 31 && !(row->mask & 0x400);
    return !(has_rc && IS_RC(in)) && !(has_oe && IS_OE(in));
}

bool ppc_are_plain(PpcTranslator *tr, uint64_t pc, unsigned count)
{
    if (tr->mode & (MODE_COUNT | MODE_BE) || ppc_each_insn_exits(tr) || tr->n_insns + count > tr->limit ||
        tr->n_cold + PPC_COLD_OF_ONE > PPC_MAX_COLD) {
        return false;
    }
    for (unsigned i = 0; i < count; i++, pc += 4) {
        PpcInsn in;

        if (page_of(pc) != page_of(tr->t->key->pc) || translation_breaks_at(tr->t, pc) ||
            (tr->t->may_be_patched && tr->t->may_be_patched(tr->t, pc, 4)) || !fetch(tr, pc, &in) || !is_plain(tr, &in)) {
            return false;
        }
    }
    return true;
}

/* False: the block ends before pc. */
static bool next_insn(PpcTranslator *tr, uint64_t pc, PpcInsn *in)
{
    bool fetched = fetch(tr, pc, in);

    if (tr->n_insns && !fetched) {
        return false;
    }
    ir_insn_start(tr->ir, pc);
    tr->n_insns++;
    tr->pc = pc;
    tr->next_pc = in->next_pc;
    if (fetched) {
        count_insn(tr);
        if (tr->mode & MODE_IABR) {
            PPC_CALL1(tr, check_iabr, ppc_pc(tr, IR_I64, pc));
        }
        translate_insn(tr, in);
    } else {
        PPC_CALL1(tr, raise_fetch_fault, ppc_pc(tr, IR_I64, pc));
        ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
        tr->done = true;
    }
    return true;
}

/* Bytes of the block if it reaches up to pc. Behind the last word of all comes address 0. */
static uint64_t size_at(const PpcTranslator *tr, uint64_t pc)
{
    return MAX(tr->size, (pc - tr->t->key->pc) & tr->pc_mask);
}

void ppc_translate(Translation *t)
{
    PpcTranslator tr;
    uint64_t pc = t->key->pc;
    PpcInsn in;

    set_mode(&tr, t);
    /* MMU_USER, which no other code runs in. */
    t->ir->use_sites = (tr.mode & (MODE_PR | MODE_DR)) == (MODE_PR | MODE_DR) && !(tr.isa & ISA_BOOKE);
    t->ir->stores_apart = tr.s->model->mmu == PPC_MMU_RADIX && (tr.mode & (MODE_PR | MODE_DR)) == MODE_DR; /* MMU_KERNEL_NO_LOADS */
    t->ir->steady_slots = SLOT_MASK(SLOT_R0 + 1);
    tr.limit = ppc_each_insn_exits(&tr) ? 1 : CLAMP(t->max_insns, 1, MAX_INSNS);
    ir_poll(t->ir, pc);
    if (tr.mode & MODE_COUNT) {
        look_at_counters(&tr, pc);
    }
    while (!tr.done) {
        bool is_guarded = tr.guarded;

        if (translation_breaks_at(t, pc)) {
            ir_put(tr.ir, IR_I64, SLOT_PC, ppc_pc(&tr, IR_I64, pc));
            ir_exit_main(tr.ir, TCG_EXIT_DEBUG);
            break;
        }
        if (tr.n_insns >= tr.limit || tr.n_side_exits >= PPC_MAX_SIDE_EXITS || tr.n_cold + PPC_COLD_OF_ONE > PPC_MAX_COLD ||
            page_of(pc) != page_of(t->key->pc) || !next_insn(&tr, pc, &in)) {
            end_fall_through(&tr, pc);
            break;
        }
        tr.guarded -= is_guarded;
        pc = in.next_pc;
        if (tr.goes_back) {
            tr.size = size_at(&tr, pc);
            pc = tr.back_to;
            tr.goes_back = false;
        }
    }
    emit_cold(&tr);
    t->end_pc = MAX(t->end_pc - t->key->pc, size_at(&tr, pc)) + t->key->pc;
    t->n_insns = tr.n_insns;
}
