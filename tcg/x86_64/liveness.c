/*
 * The backward pass: last uses, dead insns, slots that must be kept, and wishes for registers.
 *
 * A wish: a value that will be put into a pinned slot is best computed in that slot's register,
 * if between the two nothing faults, leaves, calls or reads the slot's old contents.
 */
#include "backend.h"

typedef struct Wishes {
    uint32_t value[IR_MAX_SLOTS]; /* put into the slot further down, nothing in between */
    uint64_t mask;
} Wishes;

static inline bool unused(const Context *c, const IrInsn *insn)
{
    unsigned n = ir_op_outputs(insn->op) + ir_insn_defines_flags(insn);

    for (unsigned i = 0; i < n; i++) {
        if (c->values[insn->out + i].last_use >= 0) {
            return false;
        }
    }
    return true;
}

static bool removable(const Context *c, const IrInsn *insn)
{
    return ir_op_pure(insn->op) || insn->op == IR_get || insn->op == IR_get8h ||
           (insn->op == IR_call && c->ir->helpers[insn->bits].effects & EFFECT_PURE);
}

/* Whether a put replaces all of the slot. */
static bool is_full_put(const Context *c, const IrInsn *insn)
{
    unsigned slot_type;

    if (insn->op != IR_put) {
        return false;
    }
    slot_type = c->ir->slots[insn->bits].type;
    return insn->type == slot_type || (insn->type == IR_I32 && slot_type == IR_I64);
}

static void see_put(Context *c, const IrInsn *insn, uint64_t *live, Wishes *w)
{
    unsigned s = insn->bits;

    w->mask &= ~(1ull << s);
    if (!is_full_put(c, insn)) {
        *live |= 1ull << s;
        return;
    }
    *live &= ~(1ull << s);
    if (backend.slot_reg[s] != NO_REG && c->ir->value_type[insn->in[0]] == insn->type) {
        w->mask |= 1ull << s;
        w->value[s] = insn->in[0];
    }
}

/* An access that does not fault. Its operand may have the register of a slot. */
static void see_covered(const Context *c, int i, uint64_t *live, Wishes *w)
{
    const LoopRoot *r = &c->loop.roots[loop_access(c, i)->root];

    if (r->by_slot && r->index != NO_REG) {
        uint64_t index = 1ull << backend.reg_slot[r->index];

        *live |= index;
        w->mask &= ~index;
    }
}

/* Of insns that are not pure, or fault. */
static void see_effect(Context *c, const IrInsn *insn, int i, uint64_t all, uint64_t exit_dead,
                       uint64_t *live, Wishes *w)
{
    switch (insn->op) {
    case IR_put:
    case IR_put8h:
        see_put(c, insn, live, w);
        return;
    case IR_get:
    case IR_get8h:
        *live |= 1ull << insn->bits;
        w->mask &= ~(1ull << insn->bits);
        return;
    case IR_exit_jump:
    case IR_exit_lookup:
    case IR_exit_main:
        *live = all & ~exit_dead;
        w->mask = 0;
        return;
    case IR_exit_if:
        *live |= all & ~exit_dead;
        w->mask = 0;
        return;
    case IR_call: {
        const IrHelper *h = &c->ir->helpers[insn->bits];

        *live |= h->effects & (EFFECT_FAULT | EFFECT_NORETURN) ? all : h->reads | h->writes;
        w->mask = 0;
        return;
    }
    case IR_load:
    case IR_store:
    case IR_probe_store:
        if (loop_covers(c, i)) {
            see_covered(c, i, live, w);
            return;
        }
        G_GNUC_FALLTHROUGH;
    default:
        if (ir_op_exits(insn->op) || insn->op == IR_label || ir_op_faults(c->ir, insn)) {
            *live = all;
            w->mask = 0;
        }
    }
}

/* Flags that all consumers read through one condition (or its opposite) can be kept as that. */
static void see_consumer(Context *c, const IrInsn *insn)
{
    switch (insn->op) {
    case IR_setcc:
    case IR_selectcc:
    case IR_brcc:
    case IR_exit_if: {
        Value *v = &c->values[insn->in[0]];
        int8_t cc = insn->bits & 14;

        v->cc = v->cc == CC_UNKNOWN || v->cc == cc ? cc : CC_MIXED;
        break;
    }
    case IR_adc:
    case IR_sbb: {
        Value *v = &c->values[insn->in[2]];

        v->cc = v->cc == CC_UNKNOWN || v->cc == CC_B ? CC_B : CC_MIXED;
        break;
    }
    case IR_flags_image:
        c->values[insn->in[0]].cc = CC_MIXED;
        break;
    case IR_raw:
        c->values[insn->in[1]].cc = CC_MIXED;
        break;
    }
}

/* A shift whose only user is an addition that LEA can do all of. */
static bool fold_scale(Context *c, const IrInsn *insn)
{
    Value *v = &c->values[insn->out], *source, *other;
    const IrInsn *user;
    uint64_t count;

    if (insn->op != IR_shl || insn->bits || v->uses != 1 || (insn->type != IR_I32 && insn->type != IR_I64) ||
        !ir_is_const(c->ir, (IrVal){ insn->in[1] }, &count) || count == 0 || count > 3) {
        return false;
    }
    user = &c->ir->insns[v->last_use];
    if (user->op != IR_add || user->type != insn->type || flags_wanted(c, user)) {
        return false;
    }
    source = &c->values[insn->in[0]];
    other = &c->values[user->in[user->in[0] == insn->out]];
    if (ir_is_const(c->ir, (IrVal){ insn->in[0] }, NULL) || other->scale || source->scale ||
        ir_is_const(c->ir, (IrVal){ user->in[user->in[0] == insn->out] }, NULL)) {
        return false;
    }
    v->scale = count;
    v->scaled = insn->in[0];
    source->last_use = MAX(source->last_use, v->last_use);
    source->uses = MIN(source->uses + 1, 255);
    return true;
}

static inline void give_wishes(Context *c, const IrInsn *insn, Wishes *w)
{
    unsigned n = ir_op_outputs(insn->op);

    for (unsigned k = 0; k < n; k++) {
        for (uint64_t mask = w->mask; mask; mask &= mask - 1) {
            unsigned s = __builtin_ctzll(mask);

            if (w->value[s] == insn->out + k) {
                c->values[insn->out + k].wish = s;
                w->mask &= ~(1ull << s);
            }
        }
    }
}

/* Slots that need not be stored at this exit. */
static uint64_t dead_at_exit(const IrBlock *ir, uint32_t at, int *next)
{
    const GArray *dead = ir->exit_dead;

    while (*next >= 0 && g_array_index(dead, IrExitDead, *next).insn > at) {
        --*next;
    }
    return *next >= 0 && g_array_index(dead, IrExitDead, *next).insn == at ? g_array_index(dead, IrExitDead, *next).slots : 0;
}

void liveness(Context *c)
{
    const IrBlock *ir = c->ir;
    uint64_t all = ir->n_slots == 64 ? UINT64_MAX : (1ull << ir->n_slots) - 1;
    uint64_t live = all, *live_slots = c->live_slots;
    int next_dead = (int)ir->exit_dead->len - 1;
    const IrInsn *insns = ir->insns;
    Value *values = c->values;
    bool *dead = c->dead;
    Wishes w;

    w.mask = 0;
    for (int i = (int)ir->n_insns - 1; i >= 0; i--) {
        const IrInsn *insn = &insns[i];
        const IrOpFact *fact = &ir_facts[insn->op];
        bool full_put = false, is_dead = false, reads;

        live_slots[i] = live;
        if (insn->op == IR_insn_start) {
            dead[i] = false;
            continue;
        }
        if (insn->op == IR_put) {
            full_put = is_full_put(c, insn);
            is_dead = !(live >> insn->bits & 1);
        } else if (insn->op == IR_put8h) {
            is_dead = !(live >> insn->bits & 1);
        } else if (fact->outputs + fact->flags != 0) {
            is_dead = (removable(c, insn) && unused(c, insn)) || (insn->op == IR_shl && fold_scale(c, insn));
        }
        dead[i] = is_dead;
        if (is_dead) {
            continue;
        }
        if (w.mask) {
            give_wishes(c, insn, &w);
        }
        if (!fact->pure || fact->faults != OP_NEVER_FAULTS) {
            uint64_t exit_dead = 0;

            if (fact->exits) { /* what an exit must store; for exit_if only in its stub */
                exit_dead = dead_at_exit(ir, i, &next_dead);
                live_slots[i] = all & ~exit_dead;
            }
            see_effect(c, insn, i, all, ir_is_loop_edge(ir, insn) ? 0 : exit_dead, &live, &w);
        }
        if (fact->inputs == 0) {
            continue;
        }
        see_consumer(c, insn);
        reads = !full_put || backend.slot_reg[insn->bits] != NO_REG;
        for (int k = 0; k < fact->inputs; k++) {
            Value *v = &values[insn->in[k]];

            v->uses += v->uses < UINT8_MAX;
            v->is_read |= reads;
            if (v->last_use < 0) {
                v->last_use = i;
            }
        }
    }
    if (c->loop.running) {
        c->loop.live_at_top = live;
    }
}
