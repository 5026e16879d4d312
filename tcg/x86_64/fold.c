/*
 * Addresses that are what a pinned slot holds and a constant: accesses name the slot's register, with a displacement. The
 * sums between need no registers then, and it is seen which accesses are neighbours.
 *
 * The slot must not have been put since it was read: the register has what it holds at each access.
 */
#include "backend.h"

/* Where slots in registers were put last. */
typedef struct Puts {
    uint64_t mask;
    uint32_t at[IR_MAX_SLOTS]; /* of those in the mask */
} Puts;

static void see_put(Puts *puts, unsigned slot, uint32_t at)
{
    puts->mask |= 1ull << slot;
    puts->at[slot] = at;
}

static void fold(const IrBlock *ir, IrInsn *insn, const Puts *puts)
{
    enum { DEPTH = 24, ROOM = 256 };
    unsigned type = ir->value_type[insn->in[0]];
    const IrInsn *def = &ir->insns[ir->value_def[insn->in[0]]];
    int64_t disp = insn->imm;
    uint64_t add;

    for (unsigned depth = 0; depth < DEPTH && def->op == IR_add && def->type == type && ir->value_type[def->in[0]] == type &&
                             ir_is_const(ir, (IrVal){ def->in[1] }, &add); depth++) {
        disp += add;
        def = &ir->insns[ir->value_def[def->in[0]]];
    }
    disp = type == IR_I32 ? (int32_t)disp : disp;
    if (def->op == IR_get && def->type == type && backend.slot_reg[def->bits] != NO_REG && 
        (!(puts->mask >> def->bits & 1) || def >= &ir->insns[puts->at[def->bits]]) && fits_s32(disp + ROOM)) {
        insn->in[0] = def->out;
        insn->imm = disp;
    }
}

void fold_addresses(Context *c)
{
    IrBlock *ir = c->ir;
    bool has_poll = ir->n_insns && ir->insns[0].op == IR_poll;
    Puts puts;

    puts.mask = 0;
    c->counts.insns = c->counts.exits = 0;
    c->counts.goes_back = false;
    for (uint32_t i = 0; i < ir->n_insns; i++) {
        IrInsn *insn = &ir->insns[i];

        switch (insn->op) {
        case IR_insn_start:
            c->counts.insns++;
            break;
        case IR_put:
        case IR_put8h:
            see_put(&puts, insn->bits, i);
            break;
        case IR_call:
            for (uint64_t slots = ir->helpers[insn->bits].writes & backend.pinned_slots; slots; slots &= slots - 1) {
                see_put(&puts, __builtin_ctzll(slots), i);
            }
            break;
        case IR_load:
        case IR_store:
        case IR_probe_store:
            fold(ir, insn, &puts);
            break;
        case IR_raw:
            if (ir->raws[insn->bits & ~IRB_FLAGS].rm_role == RAW_MEM) {
                fold(ir, insn, &puts);
            }
            break;
        case IR_exit_if:
        case IR_exit_jump:
            c->counts.exits++;
            c->counts.goes_back |= has_poll && insn->imm == ir->insns[0].imm;
            break;
        default:
            break;
        }
    }
}
