/*
 * One walk from the start of the block: what a slot is known to hold replaces gets and redundant
 * puts, copies and constants are propagated, pure operations are folded, and conditions made into
 * values and tested again become branches on the original.
 *
 * Needs: nothing.  Keeps: value ids, which may become more; the insns are renumbered.  Leaves dead values for ir_pass_dead.
 *
 * A get of a pinned slot is replaced only by a value of its own type: it is free, and an extra extension
 * would not be. One of a slot in memory costs a load, often of what was stored just before.
 */
#include "passes.h"

#include "tcg/ir_private.h"
#include "util/clear.h"

/* The slot's low `type` bits are those of value `id`; above are zeros if zero_above is set. */
typedef struct Known {
    uint32_t id; /* 0: nothing is known */
    uint8_t type;
    bool zero_above;
    uint32_t high; /* value of bits 8-15 by put8h or get8h, 0: not known as such */
    uint32_t low;  /* one of 32 bits that a get behind the last put gave, 0: none; id is wider */
} Known;

/* A sum of two values, the second one perhaps shifted left, and a constant, as addresses are. */
typedef struct Sum {
    uint32_t out, at; /* value and insn; 0: none */
    uint32_t a, b;
    uint64_t distance;
    uint8_t type, shift;
} Sum;

/*
 * Sums that one of the same two values is replaced by, and how many insns ago they may have been: a value that is kept takes a register. In
 * blocks with fast operations iterations of a short loop are as far from each other as that.
 */
enum { SUMS = 8, SUM_NEAR = 24, SUM_NEAR_FAST = 48, MAX_DISTANCES = 8 };

typedef struct Forward {
    IrBlock *ir;
    Sum sums[SUMS];
    unsigned next_sum;
    const IrInsn *from;  /* the insns before the pass */
    uint32_t *replace;   /* by value: the equal value to use, 0: itself */
    uint32_t *same;      /* by value of a get: one whose low bits it has, 0: not known */
    Known slots[IR_MAX_SLOTS];
    uint32_t dead_next;  /* next entry of exit_dead to renumber */
    bool unreachable;    /* behind an exit, until the next label */
} Forward;

static uint32_t replaced(const Forward *f, uint32_t id)
{
    return f->replace[id] ? f->replace[id] : id;
}

static void emit(Forward *f, const IrInsn *insn)
{
    IrBlock *ir = f->ir;
    uint32_t at = ir->n_insns++;

    ir->insns[at] = *insn;
    if (insn->out) {
        for (unsigned i = 0, n = ir_count_ids(insn); i < n; i++) {
            ir->value_def[insn->out + i] = at;
        }
    }
}

/* Value `out` is a constant: an equal one is used if there is one already. */
static void emit_const(Forward *f, uint32_t out, IrType type, uint64_t value)
{
    IrBlock *ir = f->ir;
    IrInsn insn = {.op = IR_const, .type = type, .out = out};
    IrConstEntry *entry;

    value &= ir_mask(type);
    entry = ir_const_entry(ir, type, value);
    if (ir_const_is(ir, entry, type, value)) {
        f->replace[out] = entry->id;
        return;
    }
    *entry = (IrConstEntry){.value = value, .id = out, .kind = ir_const_kind(ir, type)};
    insn.imm = value;
    emit(f, &insn);
}

/* The id of a constant, which may be a new one. */
static uint32_t const_id(Forward *f, IrType type, uint64_t value)
{
    IrConstEntry *entry;
    IrInsn insn = {.op = IR_const, .type = type, .imm = value & ir_mask(type)};

    entry = ir_const_entry(f->ir, type, insn.imm);
    if (!ir_const_is(f->ir, entry, type, insn.imm)) {
        insn.out = ir_new_value(f->ir, type).id;
        *entry = (IrConstEntry){.value = insn.imm, .id = insn.out, .kind = ir_const_kind(f->ir, type)};
        emit(f, &insn);
    }
    return entry->id;
}

static void forget_slots(Forward *f, uint64_t slots)
{
    for (slots &= f->ir->n_slots == IR_MAX_SLOTS ? ~0ull : (1ull << f->ir->n_slots) - 1; slots; slots &= slots - 1) {
        f->slots[__builtin_ctzll(slots)] = (Known){0};
    }
}

static bool is_in_memory(const IrBlock *ir, unsigned slot)
{
    return ir->slots[slot].pin < 0;
}

/* A slot in memory that is read in another width than it was put in: from the value, not from memory. */
static bool convert_get(Forward *f, IrInsn *insn, const Known *k)
{
    IrBlock *ir = f->ir;
    IrType held = ir->value_type[k->id];
    bool narrower = insn->type <= k->type && insn->type < held;
    bool wider = insn->type == IR_I64 && k->type == IR_I32 && k->zero_above && held == IR_I32;

    if (insn->type > IR_I64 || !is_in_memory(ir, insn->bits) || !(narrower || wider)) {
        return false;
    }
    /* From its own type: a copy of the low part. */
    emit(f, &(IrInsn){.op = IR_zext, .type = insn->type, .bits = narrower ? insn->type : IR_I32, .in = {k->id}, .out = insn->out});
    return true;
}

static void forward_get(Forward *f, IrInsn *insn)
{
    const IrBlock *ir = f->ir;
    Known *k = &f->slots[insn->bits];
    uint64_t value;

    if (k->id && (insn->type <= k->type || k->zero_above)) {
        if (ir_is_const(ir, (IrVal){k->id}, &value)) {
            emit_const(f, insn->out, insn->type, value & ir_mask(k->type));
            return;
        }
        if (insn->type == k->type && ir->value_type[k->id] == insn->type) {
            f->replace[insn->out] = k->id;
            return;
        }
        if (insn->type == IR_I32 && k->low) {
            f->replace[insn->out] = k->low;
            return;
        }
        if (convert_get(f, insn, k)) {
            k->low = insn->type == IR_I32 ? insn->out : k->low;
            return;
        }
    }
    emit(f, insn);
    if (k->id && insn->type <= k->type) {
        f->same[insn->out] = k->id;
        k->low = insn->type == IR_I32 ? insn->out : k->low;
    }
    if (!k->id || (k->type < insn->type && !k->zero_above)) {
        k->id = insn->out;
        k->type = insn->type;
        k->zero_above = insn->type == ir->slots[insn->bits].type;
    }
}

static void forward_put(Forward *f, IrInsn *insn)
{
    const IrBlock *ir = f->ir;
    Known *k = &f->slots[insn->bits];
    bool whole = insn->type >= IR_I32 || insn->type == ir->slots[insn->bits].type;

    if (insn->type == IR_I32 && ir->slots[insn->bits].type == IR_I64 && ir->value_type[insn->in[0]] == IR_I64 &&
        ir_upper_half_is_zero(ir, insn->in[0])) {
        insn->type = IR_I64; /* the same, and no half of a value that has to be extended */
    }
    /* Constants are put again: a put of the pc is no news to us, but insn_start may have been. */
    if (k->id == insn->in[0] && !ir_is_const(ir, (IrVal){k->id}, NULL) &&
        (whole ? k->type == insn->type && k->zero_above : k->type >= insn->type)) {
        return;
    }
    emit(f, insn);
    if (insn->type >= IR_I16) {
        k->high = 0;
    }
    k->low = 0;
    k->id = insn->in[0];
    k->type = insn->type;
    k->zero_above = whole;
}

static void forward_get8h(Forward *f, IrInsn *insn)
{
    Known *k = &f->slots[insn->bits];
    uint64_t value;

    if (k->high) {
        f->replace[insn->out] = k->high;
    } else if (k->id && (k->type > IR_I8 || k->zero_above) && ir_is_const(f->ir, (IrVal){k->id}, &value)) {
        emit_const(f, insn->out, IR_I8, (value & ir_mask(k->type)) >> 8);
    } else {
        emit(f, insn);
        k->high = insn->out;
    }
}

static void forward_put8h(Forward *f, IrInsn *insn)
{
    Known *k = &f->slots[insn->bits];

    emit(f, insn);
    k->high = f->ir->value_type[insn->in[0]] == IR_I8 ? insn->in[0] : 0;
    k->low = 0;
    if (k->type > IR_I8 || k->zero_above) {
        k->type = IR_I8;
        k->zero_above = false;
    }
}

/* An extension of an extension or of something that is extended already. */
static void simplify_extension(Forward *f, IrInsn *insn)
{
    const IrBlock *ir = f->ir;
    const IrInsn *inner = &ir->insns[ir->value_def[insn->in[0]]];

    if (inner->op != IR_zext && inner->op != IR_sext) {
        return;
    }
    if (insn->bits <= inner->bits) {
        insn->in[0] = inner->in[0]; /* only bits that both have */
    } else if (inner->op == IR_zext || insn->op == IR_sext) {
        insn->op = inner->op;
        insn->bits = inner->bits;
        insn->in[0] = inner->in[0];
    }
}

/* select on a setcc is a selectcc. */
static void simplify_select(Forward *f, IrInsn *insn)
{
    const IrBlock *ir = f->ir;
    const IrInsn *condition = &ir->insns[ir->value_def[insn->in[0]]];

    if (condition->op == IR_setcc) {
        insn->op = IR_selectcc;
        insn->bits = condition->bits;
        insn->in[0] = condition->in[0];
    }
}

/* A test of bits that cannot be ones is one of zero. */
static void simplify_test(Forward *f, IrInsn *insn)
{
    const IrBlock *ir = f->ir;

    if (!(ir_possible_ones(ir, f->same, insn->in[0]) & ir_possible_ones(ir, f->same, insn->in[1]) & ir_mask(insn->type))) {
        insn->in[0] = insn->in[1] = const_id(f, insn->type, 0);
    }
}

/* The value that a selectcc on known flags chooses; 0: not known. */
static uint32_t known_choice(const IrBlock *ir, const IrInsn *insn)
{
    IrInsn condition = {.op = IR_setcc, .type = IR_I8, .bits = insn->bits, .in = {insn->in[0]}};
    uint64_t in[4] = {0}, out[2];
    uint32_t flags, id;

    if (insn->op != IR_selectcc || !ir_known_inputs(ir, &condition, in)) {
        return 0;
    }
    ir_eval(&condition, in, out, &flags);
    id = insn->in[out[0] ? 1 : 2];
    return ir->value_type[id] == insn->type ? id : 0;
}

/* What the value is a constant more than, which is added to the distance. */
static uint32_t without_distance(const IrBlock *ir, IrType type, uint32_t id, uint64_t *distance)
{
    for (unsigned k = 0; k < MAX_DISTANCES; k++) {
        const IrInsn *def = &ir->insns[ir->value_def[id]];
        uint64_t add;

        if (def->op != IR_add || def->type != type || def->out != id || ir_insn_defines_flags(def) ||
            ir->value_type[def->in[0]] != type || !ir_is_const(ir, (IrVal){def->in[1]}, &add)) {
            break;
        }
        *distance += add;
        id = def->in[0];
    }
    return id;
}

static Sum sum_of(const IrBlock *ir, const IrInsn *insn)
{
    const IrInsn *shift = &ir->insns[ir->value_def[insn->in[1]]];
    Sum s = {.out = insn->out, .at = ir->n_insns, .a = insn->in[0], .b = insn->in[1], .type = insn->type};
    uint64_t count, more = 0;

    if (shift->op == IR_shl && shift->type == insn->type && !ir_insn_defines_flags(shift) &&
        ir_is_const(ir, (IrVal){shift->in[1]}, &count) && count <= 3) {
        s.b = shift->in[0];
        s.shift = count;
    }
    s.a = without_distance(ir, s.type, s.a, &s.distance);
    s.b = without_distance(ir, s.type, s.b, &more);
    s.distance = (s.distance + (more << s.shift)) & ir_mask(s.type);
    return s;
}

/*
 * The value of a sum of registers that has been computed a few insns before, 0 if there is none. Accesses at constant distances
 * from one value share checks: where the two sums differ by a constant, this one becomes that one and the difference.
 */
static uint32_t same_sum(Forward *f, IrInsn *insn)
{
    IrBlock *ir = f->ir;
    unsigned near = ir->n_fasts ? SUM_NEAR_FAST : SUM_NEAR;
    Sum s;

    if (insn->op != IR_add || (insn->type != IR_I32 && insn->type != IR_I64) || ir_is_const(ir, (IrVal){insn->in[1]}, NULL)) {
        return 0;
    }
    s = sum_of(ir, insn);
    for (unsigned k = 0; k < SUMS; k++) {
        Sum *old = &f->sums[k];

        if (!old->out || old->type != s.type || old->shift != s.shift || s.at - old->at > near ||
            !((old->a == s.a && old->b == s.b) || (!s.shift && old->a == s.b && old->b == s.a))) {
            continue;
        }
        if (old->distance == s.distance) {
            return old->out;
        }
        insn->in[0] = old->out;
        insn->in[1] = const_id(f, s.type, s.distance - old->distance);
        *old = s;
        return 0;
    }
    f->sums[f->next_sum++ % SUMS] = s;
    return 0;
}

/*
 * a - (a / c) * c is the remainder, which the division gives, too: programs for processors without an instruction for it.
 * 0: it is something else.
 */
static uint32_t remainder_of(const IrBlock *ir, const IrInsn *insn)
{
    const IrInsn *product, *quotient;

    if (insn->op != IR_sub) {
        return 0;
    }
    product = &ir->insns[ir->value_def[insn->in[1]]];
    if (product->op != IR_mul || product->type != insn->type) {
        return 0;
    }
    for (unsigned k = 0; k < 2; k++) {
        quotient = &ir->insns[ir->value_def[product->in[k]]];
        if ((quotient->op == IR_divu2 || quotient->op == IR_divs2) && quotient->type == insn->type && quotient->out == product->in[k] &&
            quotient->in[0] == insn->in[0] && quotient->in[2] == product->in[!k]) {
            return quotient->out + 1;
        }
    }
    return 0;
}

static void forward_pure(Forward *f, IrInsn *insn)
{
    IrBlock *ir = f->ir;
    uint64_t in[4] = {0}, out[2], value;
    uint32_t flags, same;
    bool constant;

    if (insn->op == IR_const) {
        emit_const(f, insn->out, insn->type, insn->imm);
        return;
    }
    if (insn->op == IR_test) {
        simplify_test(f, insn);
    }
    if (ir_facts[insn->op].outputs != 1 || ir_insn_defines_flags(insn)) {
        emit(f, insn);
        if (ir_facts[insn->op].outputs == 1 && ir_known_inputs(ir, insn, in)) { /* it is for its flags only */
            ir_eval(insn, in, out, &flags);
            f->replace[insn->out] = const_id(f, insn->type, out[0]);
        }
        return;
    }
    if (insn->op == IR_zext || insn->op == IR_sext) {
        simplify_extension(f, insn);
    } else if (insn->op == IR_select) {
        simplify_select(f, insn);
    }
    ir_order_inputs(ir, insn);
    if (ir_known_inputs(ir, insn, in)) {
        ir_eval(insn, in, out, &flags);
        emit_const(f, insn->out, ir_output_type(insn->op, insn->type), out[0]);
        return;
    }
    same = ir_identity(ir, insn, &constant, &value);
    if (!constant && !same) {
        same = known_choice(ir, insn);
    }
    if (!constant && !same) {
        same = remainder_of(ir, insn);
    }
    if (!constant && !same) {
        same = same_sum(f, insn);
    }
    if (constant) {
        emit_const(f, insn->out, ir_output_type(insn->op, insn->type), value);
    } else if (same) {
        f->replace[insn->out] = same;
    } else {
        emit(f, insn);
    }
}

/* Whether the condition is known; then which way it goes. */
static bool known_condition(const IrBlock *ir, const IrInsn *insn, bool *taken)
{
    IrInsn test = {.op = insn->op == IR_brcond ? IR_setcond : IR_setcc, .type = insn->type, .bits = insn->bits};
    uint64_t in[4] = {0}, out[2];
    uint32_t flags;

    memcpy(test.in, insn->in, sizeof(test.in));
    if (!ir_known_inputs(ir, &test, in)) {
        return false;
    }
    ir_eval(&test, in, out, &flags);
    *taken = out[0];
    return true;
}

/* brcond of a condition's value against zero tests the condition itself. */
static void simplify_brcond(const IrBlock *ir, IrInsn *insn)
{
    const IrInsn *condition = &ir->insns[ir->value_def[insn->in[0]]];
    uint64_t zero;

    if ((insn->bits != COND_EQ && insn->bits != COND_NE) ||
        !ir_is_const(ir, (IrVal){insn->in[1]}, &zero) || (zero & ir_mask(insn->type)) != 0 ||
        insn->type != IR_I8) {
        return;
    }
    if (condition->op == IR_setcc) {
        insn->bits = condition->bits ^ (insn->bits == COND_EQ);
        insn->op = IR_brcc;
        insn->type = IR_VOID;
        insn->in[0] = condition->in[0];
        insn->in[1] = 0;
    } else if (condition->op == IR_setcond) {
        insn->bits = condition->bits ^ (insn->bits == COND_EQ);
        insn->type = condition->type;
        insn->in[0] = condition->in[0];
        insn->in[1] = condition->in[1];
    }
}

static void forward_branch(Forward *f, IrInsn *insn)
{
    bool taken;

    if (insn->op == IR_brcond) {
        simplify_brcond(f->ir, insn);
    }
    if (known_condition(f->ir, insn, &taken)) {
        if (!taken) {
            return;
        }
        insn->op = insn->op == IR_exit_if ? IR_exit_jump : IR_br;
        insn->type = IR_VOID;
        insn->bits = 0;
        memset(insn->in, 0, sizeof(insn->in));
        f->unreachable = true;
    }
    emit(f, insn);
}

static void forward_insn(Forward *f, IrInsn *insn)
{
    IrBlock *ir = f->ir;

    switch ((IrOp)insn->op) {
    case IR_get:
        forward_get(f, insn);
        break;
    case IR_put:
        forward_put(f, insn);
        break;
    case IR_get8h:
        forward_get8h(f, insn);
        break;
    case IR_put8h:
        forward_put8h(f, insn);
        break;
    case IR_call:
        emit(f, insn);
        forget_slots(f, ir->helpers[insn->bits].writes);
        break;
    case IR_label:
        forget_slots(f, ~0ull);
        memset(f->sums, 0, sizeof(f->sums));
        emit(f, insn);
        break;
    case IR_brcc:
    case IR_brcond:
    case IR_exit_if:
        forward_branch(f, insn);
        break;
    case IR_exit_lookup: /* of a constant also: the mode may have changed, which a link would miss */
    case IR_exit_jump:
    case IR_exit_main:
    case IR_br:
        emit(f, insn);
        f->unreachable = true;
        break;
    default:
        if (ir_facts[insn->op].pure) {
            forward_pure(f, insn);
        } else {
            emit(f, insn);
        }
        break;
    }
}

/* Entries of exit_dead follow their insn; those of dropped insns go. */
static void renumber_exit(Forward *f, uint32_t from, uint32_t before)
{
    GArray *dead = f->ir->exit_dead;
    IrExitDead *entry;

    if (f->dead_next < dead->len) {
        entry = &g_array_index(dead, IrExitDead, f->dead_next);
        if (entry->insn == from) {
            if (f->ir->n_insns > before) {
                entry->insn = f->ir->n_insns - 1;
                f->dead_next++;
            } else {
                g_array_remove_index(dead, f->dead_next);
            }
        }
    }
}

void ir_pass_forward(IrBlock *ir)
{
    IrBlockFull *full = (IrBlockFull *)ir;
    uint32_t n = ir->n_insns;
    Forward f;

    /* Insns are read from the old array and written to the other one; each may become one more. */
    if (full->max_other < MAX(ir->max_insns, 2 * n)) {
        full->max_other = MAX(ir->max_insns, 2 * n);
        full->other = g_renew(IrInsn, full->other, full->max_other);
    }
    f.ir = ir;
    f.from = ir->insns;
    f.replace = ir_scratch(ir, 2 * ir->n_values * sizeof(*f.replace));
    f.same = f.replace + ir->n_values;
    clear_bytes(f.sums, sizeof(f.sums));
    f.next_sum = 0;
    clear_bytes(f.slots, ir->n_slots * sizeof(*f.slots));
    f.dead_next = 0;
    f.unreachable = false;
    ir_consts_forget(ir);
    ir->insns = full->other;
    ir->n_insns = 0;

    for (uint32_t i = 0; i < n; i++) {
        IrInsn insn = f.from[i];
        uint32_t before = ir->n_insns;

        if (insn.op == IR_label) {
            f.unreachable = false;
        }
        /* Constants may be used behind a later label. */
        if (!f.unreachable || insn.op == IR_const) {
            for (unsigned k = 0, inputs = ir_facts[insn.op].inputs; k < inputs; k++) {
                insn.in[k] = replaced(&f, insn.in[k]);
            }
            forward_insn(&f, &insn);
        }
        renumber_exit(&f, i, before);
    }
    full->other = (IrInsn *)f.from;
    {
        uint32_t max = ir->max_insns;

        ir->max_insns = full->max_other;
        full->max_other = max;
    }
}
