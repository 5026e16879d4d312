/* Branches (Power ISA, Book I, 2.4). */
#include "target/ppc/insns.h"

/* BO: what the branch depends on. */
enum { BO_ANY_CONDITION = 16, BO_IF_TRUE = 8, BO_NO_COUNT = 4, BO_IF_ZERO = 2 };

static void put_link(PpcTranslator *tr, const PpcInsn *in)
{
    ir_put(tr->ir, IR_I64, SLOT_LR, ppc_pc(tr, IR_I64, in->next_pc));
}

/* The end of the block: to the distance from this instruction, or from 0 with AA. */
static void end_branch(PpcTranslator *tr, const PpcInsn *in, int64_t distance)
{
    if (IS_AA(in) && tr->t->key->pic_bits) {
        ppc_end_lookup(tr, ppc_const(tr, IR_I64, (uint64_t)distance & tr->pc_mask), BRANCH_JUMP);
    } else {
        ppc_end_jump(tr, (IS_AA(in) ? 0 : in->pc) + (uint64_t)distance);
    }
}

static void emit_b(PpcTranslator *tr, const PpcInsn *in)
{
    if (IS_LK(in)) {
        put_link(tr, in);
    }
    end_branch(tr, in, (int32_t)((in->word & 0x03fffffc) << 6) >> 6);
    if (IS_LK(in)) {
        ir_mark_call(tr->ir);
    }
}

/* CTR - 1, put into it, and flags that tell whether it is zero in the current mode. */
static IrVal count_down(PpcTranslator *tr)
{
    IrValFlags ctr = ir_opf(tr->ir, IR_sub, tr->width, ir_get(tr->ir, tr->width, SLOT_CTR), ppc_const(tr, tr->width, 1), (IrVal){ 0 });

    ir_put(tr->ir, tr->width, SLOT_CTR, ctr.value);
    return tr->width == tr->address ? ctr.flags
                                    : ir_opf(tr->ir, IR_cmp, tr->address, ctr.value, ppc_const(tr, tr->address, 0), (IrVal){ 0 }).flags;
}

/* The flags and condition that the branch is taken on. False: always. */
static bool branch_condition(PpcTranslator *tr, const PpcInsn *in, IrVal *flags, IrCc *cc)
{
    unsigned bo = F_BO(in);
    IrVal condition = { 0 }, count;
    IrCc condition_cc = CC_NE, count_cc = bo & BO_IF_ZERO ? CC_E : CC_NE;

    if (!(bo & BO_ANY_CONDITION)) {
        condition = ppc_cr_bit_flags(tr, F_BI(in), &condition_cc);
        condition_cc ^= bo & BO_IF_TRUE ? 0 : 1;
    }
    if (bo & BO_NO_COUNT) {
        *flags = condition;
        *cc = condition_cc;
        return !(bo & BO_ANY_CONDITION);
    }
    count = count_down(tr);
    if (bo & BO_ANY_CONDITION) {
        *flags = count;
        *cc = count_cc;
        return true;
    }
    *flags = ir_opf(tr->ir, IR_test, IR_I8, ir_setcc(tr->ir, condition_cc, condition), ir_setcc(tr->ir, count_cc, count),
                    (IrVal){ 0 }).flags;
    *cc = CC_NE;
    return true;
}

/*
 * A branch over few instructions that only compute: these are done, and their results put or not. The host could not
 * foretell a branch on data, and a taken one would leave the block.
 */
static bool guards_few(PpcTranslator *tr, const PpcInsn *in)
{
    enum { FEW = 2 };
    unsigned count = F_DS(in) / 4 - 1;

    if ((F_BO(in) & (BO_ANY_CONDITION | BO_NO_COUNT)) != BO_NO_COUNT || IS_LK(in) || IS_AA(in) || F_DS(in) < 8 || count > FEW) {
        return false;
    }
    return ppc_are_plain(tr, in->next_pc, count);
}

static void emit_bc(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal flags;
    IrCc cc;
    bool conditional;

    if (guards_few(tr, in)) {
        tr->guarded = F_DS(in) / 4 - 1;
        tr->guard_bi = F_BI(in);
        tr->guard_value = !(F_BO(in) & BO_IF_TRUE);
        return;
    }
    conditional = branch_condition(tr, in, &flags, &cc);

    if (IS_LK(in)) {
        put_link(tr, in);
    }
    if (!conditional && !IS_AA(in) && F_DS(in) == 4 && !ppc_branch_ends_block(tr)) {
        return; /* bcl 20,31,.+4, by which position-independent code finds out where it is */
    }
    if (!conditional) {
        end_branch(tr, in, F_DS(in));
    } else if (IS_AA(in) && tr->t->key->pic_bits) {
        ppc_branch_if(tr, in, cc ^ 1, flags, in->next_pc);
        end_branch(tr, in, F_DS(in));
    } else if (!IS_AA(in) && !IS_LK(in) && ppc_unrolls(tr, in, cc, flags, in->pc + (uint64_t)F_DS(in))) {
        ppc_branch_if(tr, in, cc ^ 1, flags, in->next_pc);
    } else {
        ppc_branch_if(tr, in, cc, flags, (IS_AA(in) ? 0 : in->pc) + (uint64_t)F_DS(in));
    }
}

/* bclr, bcctr, bctar: op is the slot, or the SPR of TAR. */
static IrVal register_target(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned op = in->row->op;
    IrVal target;

    if (!tr->sf && (op == SLOT_LR || op == SLOT_CTR)) {
        target = ir_op2(tr->ir, IR_and, IR_I32, ir_get(tr->ir, IR_I32, op), ppc_const(tr, IR_I32, ~3u));
        return ir_zext(tr->ir, IR_I64, IR_I32, target);
    }
    target = op == SLOT_LR || op == SLOT_CTR ? ir_get(tr->ir, IR_I64, op) : PPC_CALL1(tr, mfspr, ppc_const(tr, IR_I64, op));
    return ir_op2(tr->ir, IR_and, IR_I64, target, ppc_const(tr, IR_I64, tr->pc_mask & ~UINT64_C(3)));
}

static void emit_branch_register(PpcTranslator *tr, const PpcInsn *in)
{
    IrBranchHint hint = IS_LK(in) ? BRANCH_CALL : in->row->op == SLOT_LR ? BRANCH_RETURN : BRANCH_JUMP;
    IrVal target = { 0 }, flags;
    IrCc cc;
    bool conditional, early = IS_LK(in) || in->row->op == SPR_TAR; /* which FSCR may keep: CTR stays as it is then */

    if (early) {
        target = register_target(tr, in);
    }
    conditional = branch_condition(tr, in, &flags, &cc);
    if (IS_LK(in)) {
        put_link(tr, in);
    }
    if (conditional) {
        ppc_branch_if(tr, in, cc ^ 1, flags, in->next_pc);
    }
    /* Behind the jump where that may be: the comparison's flags are still there. */
    ppc_end_lookup(tr, early ? target : register_target(tr, in), hint);
}

/* The same where every instruction is a block of its own. */
static void emit_branch_register_single(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal target = register_target(tr, in), flags;
    IrCc cc;

    if (branch_condition(tr, in, &flags, &cc)) {
        target = ir_selectcc(tr->ir, IR_I64, cc, flags, target, ppc_pc(tr, IR_I64, in->next_pc));
    }
    if (IS_LK(in)) {
        put_link(tr, in);
    }
    ppc_end_lookup(tr, target, BRANCH_JUMP);
}

static void emit_bclr(PpcTranslator *tr, const PpcInsn *in)
{
    if (ppc_each_insn_exits(tr) || (tr->mode & MODE_BE)) {
        emit_branch_register_single(tr, in);
    } else {
        emit_branch_register(tr, in);
    }
}

const PpcRow ppc_rows_branch[] = {
    { "bc", OPCD(16), emit_bc, A_BRANCH },
    { "b", OPCD(18), emit_b, A_BRANCH },
    { "bclr", X_FORM(19, 16), emit_bclr, A_BRANCH, .op = SLOT_LR },
    { "bcctr", X_FORM(19, 528), emit_bclr, A_BRANCH, .op = SLOT_CTR },
    { "bctar", X_FORM(19, 560), emit_bclr, A_BRANCH, ISA_V207, .op = SPR_TAR },
    { NULL },
};
