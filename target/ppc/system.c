/* System instructions: calls, returns from interrupts, MSR, SPRs, segments, TLB (Power ISA, Book III). */
#include "target/ppc/insns.h"
#include "target/ready-mode.h"

static void emit_sc(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL2(tr, syscall, ppc_const(tr, IR_I64, ppc_bits(in->word, 20, 26)), ppc_pc(tr, IR_I64, in->next_pc));
    ppc_end_at_slot(tr);
}

static void emit_scv(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL2(tr, scv, ppc_const(tr, IR_I64, ppc_bits(in->word, 20, 26)), ppc_pc(tr, IR_I64, in->next_pc));
    ppc_end_at_slot(tr);
}

/* rfi, rfid, hrfid, rfci, rfscv: op as in ppc_helper_rfi. */
static void emit_rfi(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL1(tr, rfi, ppc_const(tr, IR_I64, in->row->op));
    ppc_end_at_slot(tr);
}

static void emit_mfmsr(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RT(in), ir_get_field(tr->ir, tr->width, offsetof(PpcState, msr)));
}

/* mtmsr, mtmsrd: L = 1 changes EE and RI only; since 2.06 the byte order, and machine checks, are up to rfid (book III, 3.3.1). */
static uint64_t mtmsr_mask(const PpcTranslator *tr, const PpcInsn *in)
{
    uint64_t kept = tr->isa & ISA_V206 ? MSR_LE | MSR_ME : 0;

    return ppc_bits(in->word, 15, 15) ? MSR_EE | MSR_RI : (in->row->op ? ~MSR_HV : UINT32_MAX) & ~kept;
}

static void mtmsr_slowly(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL2(tr, mtmsr, ppc_gpr_as(tr, IR_I64, F_RS(in)), ppc_const(tr, IR_I64, mtmsr_mask(tr, in)));
    ppc_end_mode(tr, in->next_pc);
}

static void cold_interrupt_waits(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL0(tr, poll_interrupts);
}

/* A value that comes from MSR itself, or from nowhere that is known, with bits that the block has set and cleared since. */
typedef struct KnownBits {
    bool from_msr;
    uint64_t set, cleared;
} KnownBits;

static void know(KnownBits *known, uint64_t set, uint64_t cleared)
{
    uint64_t open = ~(known->set | known->cleared);

    known->set |= set & open;
    known->cleared |= cleared & open;
}

/* How the block has made what a slot holds, from its end back to MSR, a constant or what could change MSR on the way. */
static KnownBits known_bits(const IrBlock *ir, unsigned slot)
{
    enum { LOOK_BACK = 48 };
    KnownBits known = { 0 };
    uint32_t id = 0; /* that is looked for; 0: the slot's last put */
    uint64_t imm;

    for (uint32_t i = ir->n_insns, end = i > LOOK_BACK ? i - LOOK_BACK : 0; i-- > end;) {
        const IrInsn *insn = &ir->insns[i];

        if (insn->op == IR_label || insn->op == IR_call || (insn->op == IR_put_field && insn->imm == offsetof(PpcState, msr))) {
            break;
        }
        if (!id && insn->op == IR_put && insn->bits == slot) {
            id = insn->in[0];
        }
        if (!id || insn->out != id) {
            continue;
        }
        switch (insn->op) {
        case IR_get:
            slot = insn->bits;
            id = 0;
            break;
        case IR_get_field:
            known.from_msr = insn->imm == offsetof(PpcState, msr);
            return known;
        case IR_const:
            know(&known, insn->imm, ~insn->imm);
            return known;
        case IR_zext:
            id = insn->in[0];
            break;
        case IR_or:
        case IR_and:
            if (!ir_is_const(ir, (IrVal){ insn->in[1] }, &imm)) {
                return known;
            }
            know(&known, insn->op == IR_or ? imm : 0, insn->op == IR_or ? 0 : ~imm & ir_mask(insn->type));
            id = insn->in[0];
            break;
        default:
            return known;
        }
    }
    return known;
}

/* Kernels mostly turn EE and RI on and off. No mode depends on these, and the block goes on unless an interrupt waits. */
static void emit_mtmsr(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    uint64_t others = mtmsr_mask(tr, in) & tr->s->msr_mask & ~(MSR_EE | MSR_RI);
    KnownBits known = known_bits(ir, SLOT_R0 + F_RS(in));
    IrVal old, changed;

    if (ppc_each_insn_exits(tr) || tr->isa & ISA_BOOKE) {
        mtmsr_slowly(tr, in);
        return;
    }
    old = ir_get_field(ir, IR_I64, offsetof(PpcState, msr));
    changed = ir_op2(ir, IR_xor, IR_I64, old, ppc_gpr_as(tr, IR_I64, F_RS(in)));
    if (others && !(known.from_msr && !((known.set | known.cleared) & others))) {
        ppc_cold_if(tr, in, COND_NE, IR_I64, ir_op2(ir, IR_and, IR_I64, changed, ppc_const(tr, IR_I64, others)),
                    ppc_const(tr, IR_I64, 0), mtmsr_slowly);
    }
    changed = ir_op2(ir, IR_and, IR_I64, changed, ppc_const(tr, IR_I64, MSR_EE | MSR_RI));
    ir_put_field(ir, IR_I64, offsetof(PpcState, msr), ir_op2(ir, IR_xor, IR_I64, old, changed));
    if (!(known.cleared & MSR_EE) && (known.set & MSR_EE || !known.from_msr)) {
        ppc_cold_if(tr, in, COND_NE, IR_I32, ir_get_field(ir, IR_I32, offsetof(PpcState, pending)), ppc_const(tr, IR_I32, 0),
                    cold_interrupt_waits);
    }
}

/* wrtee, wrteei */
static void emit_wrtee(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal value = in->row->op ? ppc_const(tr, IR_I64, in->word & MSR_EE) : ppc_gpr_as(tr, IR_I64, F_RS(in));

    PPC_CALL2(tr, mtmsr, value, ppc_const(tr, IR_I64, MSR_EE));
    ppc_end_mode(tr, in->next_pc);
}

static uint32_t spr_offset(unsigned n)
{
    return offsetof(PpcState, spr) + n * sizeof(uint64_t);
}

static void cold_mftb(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RT(in), PPC_CALL1(tr, mftb, ppc_const(tr, IR_I64, F_SPR(in) == SPR_TBU_USER)));
}

static IrVal line_field(PpcTranslator *tr, uint32_t offset)
{
    return ir_get_field(tr->ir, IR_I64, offsetof(PpcState, tb_line) + offset);
}

static void put_tb(PpcTranslator *tr, const PpcInsn *in, IrVal tb)
{
    tr->tb = tb;
    tr->tb_insn = tr->n_insns;
    ppc_put_gpr(tr, F_RT(in), F_SPR(in) == SPR_TBU_USER ? ir_op2(tr->ir, IR_shr, IR_I64, tb, ppc_const(tr, IR_I8, 32)) : tb);
}

/*
 * The time base on its line (timebase.c). Now and then in C: where the line ends, and for who waits by reading it. Neighbours, such as a
 * 32-bit processor's upper, lower and upper half again, read it within a tick.
 */
static void emit_mftb(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal reads, since, tb;
    IrPair counter;

    if (tr->tb.id && tr->tb_insn + 1 == tr->n_insns) {
        put_tb(tr, in, tr->tb);
        return;
    }
    reads = ir_op2(ir, IR_add, IR_I32, ir_get_field(ir, IR_I32, offsetof(PpcState, tb_reads)), ppc_const(tr, IR_I32, 1));
    ir_put_field(ir, IR_I32, offsetof(PpcState, tb_reads), reads);
    ppc_cold_if(tr, in, COND_EQ, IR_I32, ir_op2(ir, IR_and, IR_I32, reads, ppc_const(tr, IR_I32, PPC_TB_READS - 1)),
                ppc_const(tr, IR_I32, 0), cold_mftb);
    counter = ir_host_counter(ir);
    since = ir_op2(ir, IR_or, IR_I64, ir_op2(ir, IR_shl, IR_I64, counter.high, ppc_const(tr, IR_I8, 32)), counter.low);
    since = ir_op2(ir, IR_sub, IR_I64, since, line_field(tr, offsetof(PpcTbLine, start)));
    ppc_cold_if(tr, in, COND_GEU, IR_I64, since, line_field(tr, offsetof(PpcTbLine, span)), cold_mftb);
    tb = ir_mul2(ir, IR_mulu2, IR_I64, since, line_field(tr, offsetof(PpcTbLine, slope)), false).high;
    tb = ir_op2(ir, IR_add, IR_I64, tb, line_field(tr, offsetof(PpcTbLine, ticks)));
    tb = ir_op2(ir, IR_add, IR_I64, tb, ir_get_field(ir, IR_I64, offsetof(PpcState, tb_offset)));
    put_tb(tr, in, tb);
}

/* XER's bits that have slots of their own; the last two since POWER9. */
static const struct {
    unsigned slot, shift;
} xer_bits[] = { { SLOT_SO, 31 }, { SLOT_OV, 30 }, { SLOT_CA, 29 }, { SLOT_OV32, 19 }, { SLOT_CA32, 18 } };

static unsigned xer_bit_count(const PpcTranslator *tr)
{
    return tr->isa & ISA_V300 ? 5 : 3;
}

static void emit_mfxer(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal xer = ir_get_field(ir, IR_I32, offsetof(PpcState, xer_low));

    for (unsigned i = 0; i < xer_bit_count(tr); i++) {
        IrVal bit = ir_zext(ir, IR_I32, IR_I8, ir_get(ir, IR_I8, xer_bits[i].slot));

        xer = ir_op2(ir, IR_or, IR_I32, xer, ir_op2(ir, IR_shl, IR_I32, bit, ppc_const(tr, IR_I8, xer_bits[i].shift)));
    }
    ir_put(ir, IR_I32, SLOT_R0 + F_RT(in), xer);
}

static void emit_mtxer(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrVal rs = ppc_gpr_as(tr, IR_I32, F_RS(in));

    ir_put_field(ir, IR_I32, offsetof(PpcState, xer_low), ir_op2(ir, IR_and, IR_I32, rs, ppc_const(tr, IR_I32, ppc_xer_low_mask(tr->s))));
    for (unsigned i = 0; i < xer_bit_count(tr); i++) {
        IrVal bit = ir_op2(ir, IR_shr, IR_I32, rs, ppc_const(tr, IR_I8, xer_bits[i].shift));

        bit = ir_op2(ir, IR_and, IR_I8, bit, ppc_const(tr, IR_I8, 1));
        if (xer_bits[i].slot == SLOT_CA) {
            ppc_put_ca(tr, bit);
        } else {
            ir_put(ir, IR_I8, xer_bits[i].slot, bit);
        }
    }
}

static void emit_mfspr(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned n = F_SPR(in);
    IrVal value;

    switch (n) {
    case SPR_XER:
        emit_mfxer(tr, in);
        return;
    case SPR_LR:
        value = ir_get(tr->ir, tr->width, SLOT_LR);
        break;
    case SPR_CTR:
        value = ir_get(tr->ir, tr->width, SLOT_CTR);
        break;
    case SPR_TBL_USER:
    case SPR_TBU_USER:
        emit_mftb(tr, in);
        return;
    default:
        if (ppc_spr_is_noop(tr->mode, tr->s->model, n, false)) {
            return;
        }
        value = ppc_spr_is_plain(tr->mode, tr->s->model, n, false) ? ir_get_field(tr->ir, IR_I64, spr_offset(n))
                                                                   : PPC_CALL1(tr, mfspr, ppc_const(tr, IR_I64, n));
        break;
    }
    ppc_put_gpr(tr, F_RT(in), value);
}

static void cold_mtspr(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL2(tr, mtspr, ppc_const(tr, IR_I64, F_SPR(in)), ppc_gpr_as(tr, IR_I64, F_RS(in)));
}

/* Bits that a value surely has, as far as the block tells. */
static uint64_t bits_set(const IrBlock *ir, uint32_t id, unsigned depth)
{
    const IrInsn *insn = &ir->insns[ir->value_def[id]];
    uint64_t imm;

    if (depth == 0) {
        return 0;
    }
    switch (insn->op) {
    case IR_const:
        return insn->imm;
    case IR_zext:
        return bits_set(ir, insn->in[0], depth - 1);
    case IR_or:
        return bits_set(ir, insn->in[0], depth - 1) | bits_set(ir, insn->in[1], depth - 1);
    case IR_and:
        return bits_set(ir, insn->in[0], depth - 1) & bits_set(ir, insn->in[1], depth - 1);
    case IR_shl:
        return ir_is_const(ir, (IrVal){ insn->in[1] }, &imm) ? bits_set(ir, insn->in[0], depth - 1) << (imm & 63) : 0;
    case IR_get:
        for (uint32_t i = ir->value_def[id]; i-- > 0 && ir->insns[i].op != IR_label;) {
            if (ir->insns[i].op == IR_put && ir->insns[i].bits == insn->bits) {
                return bits_set(ir, ir->insns[i].in[0], depth - 1);
            }
        }
        return 0;
    default:
        return 0;
    }
}

static void cold_mtamr(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL1(tr, mtamr, ppc_gpr_as(tr, IR_I64, F_RS(in)));
}

/*
 * Key 0 makes MMU modes. The one that the block seems to choose is taken from what the engine left behind the last time; from this
 * mode of the block key.
 */
static void emit_key_0(PpcTranslator *tr, const PpcInsn *in, IrVal amr)
{
    IrBlock *ir = tr->ir;
    unsigned key = bits_set(ir, amr.id, 16) >> 62;
    uint32_t ready = offsetof(PpcState, keyed) + key * sizeof(ReadyMode);

    ppc_cold_if(tr, in, COND_NE, IR_I64, ir_op2(ir, IR_shr, IR_I64, amr, ppc_const(tr, IR_I8, 62)), ppc_const(tr, IR_I64, key), cold_mtamr);
    ppc_cold_if(tr, in, COND_NE, IR_I64, ir_get_field(ir, IR_I64, ready + offsetof(ReadyMode, from)), ppc_const(tr, IR_I64, tr->mode), cold_mtamr);
    ready_mode_take(ir, ready, offsetof(PpcState, chosen));
}

/* Kernels with radix trees, which have no key but the first, write it whenever they touch user memory. */
static void emit_mtamr(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal value;

    ppc_cold_if(tr, in, COND_NE, IR_I32, ir_get_field(tr->ir, IR_I32, offsetof(PpcState, keys_used)), ppc_const(tr, IR_I32, 0), cold_mtspr);
    value = ppc_gpr_as(tr, IR_I64, F_RS(in));
    if (tr->s->model->mmu == PPC_MMU_RADIX && tr->mode & MODE_DR) {
        emit_key_0(tr, in, value);
    }
    ir_put_field(tr->ir, IR_I64, spr_offset(SPR_AMR), value);
}

static void emit_mtspr(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned n = F_SPR(in);

    switch (n) {
    case SPR_XER:
        emit_mtxer(tr, in);
        break;
    case SPR_LR:
        ir_put(tr->ir, tr->width, SLOT_LR, ppc_gpr(tr, F_RS(in)));
        break;
    case SPR_CTR:
        ir_put(tr->ir, tr->width, SLOT_CTR, ppc_gpr(tr, F_RS(in)));
        break;
    case SPR_AMR:
        if (tr->isa & ISA_V206 && !(tr->mode & MODE_PR)) {
            emit_mtamr(tr, in);
            break;
        }
        G_GNUC_FALLTHROUGH;
    default:
        if (ppc_spr_is_noop(tr->mode, tr->s->model, n, true)) {
            break;
        }
        if (ppc_spr_is_plain(tr->mode, tr->s->model, n, true)) {
            ir_put_field(tr->ir, IR_I64, spr_offset(n), ppc_arg(tr, ppc_gpr(tr, F_RS(in)), tr->width));
            break;
        }
        PPC_CALL2(tr, mtspr, ppc_const(tr, IR_I64, n), ppc_gpr_as(tr, IR_I64, F_RS(in)));
        /* SPRs that modes derive from or that raise interrupts; the others are problem state's, but for the performance monitor's, or scratch. */
        if ((n & 16 && !(n >= SPR_SPRG0 && n <= SPR_SPRG7)) || ppc_spr_is_user_pmu(n)) {
            ppc_end_mode(tr, in->next_pc);
        }
        break;
    }
}

/* Segment registers. */

/* By the instruction, or by the upper bits of RB. */
static IrVal segment_number(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal number = in->row->op ? ir_op2(tr->ir, IR_shr, IR_I32, ppc_gpr_as(tr, IR_I32, F_RB(in)), ppc_const(tr, IR_I8, 28))
                               : ppc_const(tr, IR_I32, ppc_bits(in->word, 12, 15));

    return ir_zext(tr->ir, IR_I64, IR_I32, number);
}

static void emit_mtsr(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal n = segment_number(tr, in), value = ppc_gpr_as(tr, IR_I64, F_RS(in));

    if (tr->isa & ISA_SLB) {
        PPC_CALL2(tr, mtsr, n, value);
    } else {
        PPC_CALL2(tr, mtsr_32, n, value);
    }
}

static void emit_mfsr(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RT(in), PPC_CALL1(tr, mfsr, segment_number(tr, in)));
}

static void emit_rfebb(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL1(tr, rfebb, ppc_const(tr, IR_I64, in->word >> 11 & 1));
    ppc_end_at_slot(tr);
}

/* clrbhrb, mfbhrbe: nothing is recorded, and entries without a branch are zero. */
static void emit_bhrb(PpcTranslator *tr, const PpcInsn *in)
{
    if (tr->mode & MODE_PR) {
        PPC_CALL0(tr, check_bhrb);
    }
    if (in->row->op) {
        ppc_put_gpr(tr, F_RT(in), ppc_const(tr, tr->width, 0));
    }
}

/*
 * attn, which a hypervisor or firmware would have to allow in HID0 and which would stop the processor for a service processor; urfid, which is
 * the ultravisor's. Here there is neither.
 */
static void emit_refused(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_emit_illegal(tr);
}

/* msgsndp, msgclrp */
static void emit_doorbell(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL2(tr, doorbell, ppc_gpr_as(tr, IR_I64, F_RB(in)), ppc_const(tr, IR_I64, in->row->op));
    ppc_end_mode(tr, in->next_pc);
}

/* POWER7 and POWER8, icswx. too. */
static void emit_icswx(PpcTranslator *tr, const PpcInsn *in)
{
    if (tr->isa & ISA_V300) {
        ppc_emit_illegal(tr);
        return;
    }
    PPC_CALL1(tr, icswx, ppc_arg(tr, ppc_address_x(tr, in), tr->address));
    ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
    tr->done = true;
}

/* TLB. */

static void emit_tlbie(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL2(tr, tlbie, ppc_gpr_as(tr, IR_I64, F_RB(in)), ppc_const(tr, IR_I64, in->word));
    ppc_end_mode(tr, in->next_pc);
}

static void emit_tlbia(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL0(tr, tlbia);
    ppc_end_mode(tr, in->next_pc);
}

static void emit_tlbsync(PpcTranslator *tr, const PpcInsn *in)
{
}

static void emit_tlbld(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL2(tr, tlbld, ppc_gpr_as(tr, IR_I64, F_RB(in)), ppc_const(tr, IR_I64, in->row->op));
    ppc_end_mode(tr, in->next_pc);
}

/* slbie, slbia, slbmte, slbmfee, slbmfev, slbfee.: op is the extended opcode. */
static void emit_slb(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned op = in->row->op;
    IrVal rb = ppc_gpr_as(tr, IR_I64, F_RB(in)), result;

    result = PPC_CALL3(tr, slb, ppc_const(tr, IR_I64, op | (uint64_t)in->word << 32), ppc_gpr_as(tr, IR_I64, F_RS(in)), rb);
    if (op == 851 || op == 915) {
        ppc_put_gpr(tr, F_RT(in), result);
        return;
    }
    if (op == 979) { /* slbfee.: all ones for none, which no entry has */
        IrVal found = ir_setcond(tr->ir, COND_NE, IR_I64, result, ppc_const(tr, IR_I64, UINT64_MAX));

        ppc_put_gpr(tr, F_RT(in), ir_select(tr->ir, IR_I64, found, result, ppc_const(tr, IR_I64, 0)));
        ppc_put_cr0_eq(tr, found);
        return;
    }
    ppc_end_mode(tr, in->next_pc);
}

/* doze, nap, sleep, rvwinkle, stop, wait: until an interrupt. */
static void emit_nap(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL1(tr, nap, ppc_pc(tr, IR_I64, in->next_pc));
    ppc_end_at_slot(tr);
}

/* wait of user programs: a hint. */
static void emit_wait(PpcTranslator *tr, const PpcInsn *in)
{
}

/* Transactional memory is never available: MSR[TM] stays 0. */
static void emit_transaction(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL1(tr, facility_unavailable, ppc_const(tr, IR_I64, FACILITY_TM));
    ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
    tr->done = true;
}

/* pnop, any suffix */
static void emit_pnop(PpcTranslator *tr, const PpcInsn *in)
{
}

const PpcRow ppc_rows_system[] = {
    { "sc", 17u << 26 | 2, 0xfc000003, emit_sc },
    { "scv", 17u << 26 | 1, 0xfc000003, emit_scv, .isa = ISA_V300 },
    { "rfscv", X_FORM(19, 82), emit_rfi, A_PRIV, ISA_V300, 4 },
    { "rfid", X_FORM(19, 18), emit_rfi, A_PRIV, ISA_64, 1 },
    { "rfmci", X_FORM(19, 38), emit_rfi, A_PRIV, ISA_BOOKE, 5 },
    { "rfci", X_FORM(19, 51), emit_rfi, A_PRIV, ISA_BOOKE, 3 },
    { "rfi", X_FORM(19, 50), emit_rfi, A_PRIV, ISA_CLASSIC | ISA_BOOKE, 0 },
    { "hrfid", X_FORM(19, 274), emit_rfi, A_HV, ISA_HV, 2 },
    { "stop", X_FORM(19, 370), emit_nap, A_PRIV, ISA_V300 },
    { "doze", X_FORM(19, 402), emit_nap, A_HV, ISA_V206 },
    { "nap", X_FORM(19, 434), emit_nap, A_HV, ISA_V206 },
    { "sleep", X_FORM(19, 466), emit_nap, A_HV, ISA_V206 },
    { "rvwinkle", X_FORM(19, 498), emit_nap, A_HV, ISA_V206 },
    { "wait", X_FORM(31, 30), emit_wait, .isa = ISA_V300 },
    { "wait", X_FORM(31, 62), emit_wait, .isa = ISA_BOOKE | ISA_V206 },
    { "rfebb", X_FORM(19, 146), emit_rfebb, .isa = ISA_V207 },
    { "clrbhrb", X_FORM(31, 430), emit_bhrb, .isa = ISA_V207 },
    { "mfbhrbe", X_FORM(31, 302), emit_bhrb, .isa = ISA_V207, .op = 1 },
    { "attn", X_FORM(0, 256), emit_refused, .isa = ISA_64 },
    { "urfid", X_FORM(19, 306), emit_refused, A_PRIV, ISA_V300 },
    { "msgsndp", X_FORM(31, 142), emit_doorbell, A_PRIV, ISA_V207, 0 },
    { "msgclrp", X_FORM(31, 174), emit_doorbell, A_PRIV, ISA_V207, 1 },
    { "msgsnd", X_FORM(31, 206), emit_tlbsync, A_HV, ISA_V206 }, /* between cores: of no state that a board's guest is in */
    { "msgclr", X_FORM(31, 238), emit_tlbsync, A_HV, ISA_V206 },
    { "msgsync", X_FORM(31, 886), emit_tlbsync, A_HV, ISA_V300 },
    { "icswx", X_FORM(31, 406), emit_icswx, .isa = ISA_V206 },
    { "slbiag", X_FORM(31, 850), emit_tlbsync, A_PRIV, ISA_V300 }, /* of SLBs outside of processors */
    { "mfmsr", X_FORM(31, 83), emit_mfmsr, A_PRIV },
    { "wrtee", X_FORM(31, 131), emit_wrtee, A_PRIV, ISA_BOOKE, 0 },
    { "mtmsr", X_FORM(31, 146), emit_mtmsr, A_PRIV },
    { "wrteei", X_FORM(31, 163), emit_wrtee, A_PRIV, ISA_BOOKE, 1 },
    { "mtmsrd", X_FORM(31, 178), emit_mtmsr, A_PRIV, ISA_64, 1 },
    { "mtsr", X_FORM(31, 210), emit_mtsr, A_PRIV, ISA_CLASSIC | ISA_970, 0 },
    { "mtsrin", X_FORM(31, 242), emit_mtsr, A_PRIV, ISA_CLASSIC | ISA_970, 1 },
    { "tlbiel", X_FORM(31, 274), emit_tlbie, A_PRIV, ISA_64 },
    { "tlbie", X_FORM(31, 306), emit_tlbie, A_PRIV, ISA_CLASSIC | ISA_64 },
    { "mfspr", X_FORM(31, 339), emit_mfspr },
    { "tlbia", X_FORM(31, 370), emit_tlbia, A_PRIV, ISA_CLASSIC },
    { "mftb", X_FORM(31, 371), emit_mfspr },
    { "slbmte", X_FORM(31, 402), emit_slb, A_PRIV, ISA_SLB, 402 },
    { "slbie", X_FORM(31, 434), emit_slb, A_PRIV, ISA_SLB, 434 },
    { "slbieg", X_FORM(31, 466), emit_tlbsync, A_PRIV, ISA_V300 }, /* of entries that no software has made */
    { "mtspr", X_FORM(31, 467), emit_mtspr },
    { "slbia", X_FORM(31, 498), emit_slb, A_PRIV, ISA_SLB, 498 },
    { "tlbsync", X_FORM(31, 566), emit_tlbsync, A_PRIV },
    { "slbsync", X_FORM(31, 338), emit_tlbsync, A_PRIV, ISA_V300 },
    { "mfsr", X_FORM(31, 595), emit_mfsr, A_PRIV, ISA_CLASSIC | ISA_970, 0 },
    { "mfsrin", X_FORM(31, 659), emit_mfsr, A_PRIV, ISA_CLASSIC | ISA_970, 1 },
    { "slbmfev", X_FORM(31, 851), emit_slb, A_PRIV, ISA_SLB, 851 },
    { "slbmfee", X_FORM(31, 915), emit_slb, A_PRIV, ISA_SLB, 915 },
    { "slbfee.", X_RC(31, 979), emit_slb, A_PRIV, ISA_V205, 979 },
    { "tlbld", X_FORM(31, 978), emit_tlbld, A_PRIV, ISA_602TLB | ISA_7450, 0 },
    { "tlbli", X_FORM(31, 1010), emit_tlbld, A_PRIV, ISA_602TLB | ISA_7450, 1 },
    { "tbegin.", X_RC(31, 654), emit_transaction, 0, ISA_TM },
    { "tend.", X_RC(31, 686), emit_transaction, 0, ISA_TM },
    { "tcheck", X_FORM(31, 718), emit_transaction, 0, ISA_TM },
    { "tsr.", X_RC(31, 750), emit_transaction, 0, ISA_TM },
    { "tabortwc.", X_RC(31, 782), emit_transaction, 0, ISA_TM },
    { "tabortdc.", X_RC(31, 814), emit_transaction, 0, ISA_TM },
    { "tabortwci.", X_RC(31, 846), emit_transaction, 0, ISA_TM },
    { "tabortdci.", X_RC(31, 878), emit_transaction, 0, ISA_TM },
    { "tabort.", X_RC(31, 910), emit_transaction, 0, ISA_TM },
    { "treclaim.", X_RC(31, 942), emit_transaction, A_PRIV, ISA_TM },
    { "trechkpt.", X_RC(31, 1006), emit_transaction, A_PRIV, ISA_TM },
    { "pnop", 0, 0, emit_pnop, A_PREFIXED, ISA_V310, .prefix_match = 0x07000000, .prefix_mask = 0xfff00000 },
    { NULL },
};
