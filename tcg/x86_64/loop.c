/*
 * Which blocks are loops whose TLB checks can be made before them, and how.
 *
 * The body is what lies before the branch to the block's own start. Slots are followed through it as sums
 * of what they are at its beginning. Where all addresses are such sums and go a constant distance (one that
 * the loop does not change) in an iteration, it is known for how many iterations they stay on their pages.
 */
#include "backend.h"
#include "util/clear.h"

#include <stdlib.h>

enum { MAX_SPAN = 1024, MAX_STEP = 1024, MAX_OFF = 2048, NEAR_ALL = 32768 /* more than displacements change by */ };

typedef struct Walk {
    Context *c;
    uint64_t pc;
    Linear *values;                  /* by id */
    Linear slots[IR_MAX_SLOTS];      /* what they hold now */
    uint64_t changed;                /* slots that have been put */
    uint64_t unsteady;               /* that were something else than a known distance off */
} Walk;

static Linear of_slot(unsigned slot, IrType type)
{
    return (Linear){ .known = true, .type = type, .n_terms = 1, .slot = { slot }, .factor = { 1 } };
}

static Linear of_const(uint64_t value, IrType type)
{
    return (Linear){ .known = true, .type = type, .add = type == IR_I32 ? (int32_t)value : (int64_t)value };
}

/* a + factor * b; not known where it gets too large. */
static Linear sum_of(Linear a, Linear b, int factor)
{
    a.known &= b.known && a.type == b.type && !b.align && (!a.align || b.n_terms == 0);
    for (unsigned k = 0; k < b.n_terms && a.known; k++) {
        int f = b.factor[k] * factor;
        unsigned at = 0;

        while (at < a.n_terms && a.slot[at] != b.slot[k]) {
            at++;
        }
        if (at < a.n_terms) {
            f += a.factor[at];
            if (f == 0) {
                a.n_terms--;
                a.slot[at] = a.slot[a.n_terms];
                a.factor[at] = a.factor[a.n_terms];
                continue;
            }
        } else if (a.n_terms == LOOP_TERMS) {
            a.known = false;
            break;
        } else {
            a.slot[a.n_terms++] = b.slot[k];
        }
        a.factor[at] = f;
        a.known = f >= -8 && f <= 8;
    }
    a.add += b.add * factor;
    if (a.type == IR_I32) {
        a.add = (int32_t)a.add;
    }
    return a;
}

static bool is_constant(const Linear *l)
{
    return l->known && l->n_terms == 0;
}

static bool same_terms(const Linear *a, const Linear *b)
{
    Linear difference = sum_of(*a, *b, -1);

    return difference.known && difference.n_terms == 0;
}

/* What a slot holds at this point, read with this type. */
static Linear slot_now(const Walk *w, unsigned slot, IrType type)
{
    Linear now;

    if (!(w->changed >> slot & 1)) {
        return of_slot(slot, type);
    }
    now = w->slots[slot];
    if (now.known && now.type == IR_I64 && type == IR_I32) {
        now.type = IR_I32;
        now.add = (int32_t)now.add;
    }
    now.known &= now.type == type;
    return now;
}

/* An input, which may be wider than the operation. */
static Linear input(const Walk *w, uint32_t id, IrType type)
{
    const IrBlock *ir = w->c->ir;
    Linear l = w->values[id];
    uint64_t imm;

    if (ir_is_const(ir, (IrVal){ id }, &imm)) {
        return of_const(imm, type);
    }
    if (l.known && l.type == IR_I64 && type == IR_I32) {
        l.type = IR_I32;
        l.add = (int32_t)l.add;
    }
    l.known &= l.type == type;
    return l;
}

static Linear shifted(const Walk *w, const IrInsn *insn)
{
    Linear zero = of_const(0, insn->type), l = input(w, insn->in[0], insn->type);
    uint64_t count;

    if (!ir_is_const(w->c->ir, (IrVal){ insn->in[1] }, &count) || count > 3) {
        return (Linear){ 0 };
    }
    return sum_of(zero, l, 1 << count);
}

/* Rounded down to a multiple: the sum itself, if it is such a one, which is looked at before the loop. */
static Linear rounded(const Walk *w, const IrInsn *insn)
{
    Linear l = input(w, insn->in[0], insn->type);
    uint64_t mask;

    if (!ir_is_const(w->c->ir, (IrVal){ insn->in[1] }, &mask)) {
        return (Linear){ 0 };
    }
    mask = ~mask & (insn->type == IR_I32 ? UINT32_MAX : UINT64_MAX);
    if (l.align || (mask != 15 && mask != 31)) {
        return (Linear){ 0 };
    }
    l.align = mask + 1;
    l.align_add = l.add;
    return l;
}

static void see_put(Walk *w, const IrInsn *insn, unsigned slot)
{
    Linear off, *now = &w->slots[slot];
    bool had_type = !(w->changed >> slot & 1) || now->type == insn->type;

    *now = insn->type == IR_I32 || insn->type == IR_I64 ? input(w, insn->in[0], insn->type) : (Linear){ 0 };
    now->known &= !now->align;
    off = sum_of(*now, of_slot(slot, now->type), -1);
    w->changed |= 1ull << slot;
    if (!had_type || !is_constant(&off)) {
        w->unsteady |= 1ull << slot;
    }
}

static void see(Walk *w, const IrInsn *insn)
{
    bool is_address_type = insn->type == IR_I32 || insn->type == IR_I64;
    unsigned slot = insn->bits;

    switch (insn->op) {
    case IR_insn_start:
        w->pc = insn->imm;
        break;
    case IR_get:
        w->values[insn->out] = is_address_type ? slot_now(w, slot, insn->type) : (Linear){ 0 };
        break;
    case IR_add:
    case IR_sub:
        w->values[insn->out] = is_address_type ? sum_of(input(w, insn->in[0], insn->type), input(w, insn->in[1], insn->type),
                                                        insn->op == IR_add ? 1 : -1)
                                               : (Linear){ 0 };
        break;
    case IR_and:
        w->values[insn->out] = is_address_type ? rounded(w, insn) : (Linear){ 0 };
        break;
    case IR_shl:
        w->values[insn->out] = is_address_type ? shifted(w, insn) : (Linear){ 0 };
        break;
    case IR_put:
        see_put(w, insn, slot);
        break;
    case IR_put8h:
        w->slots[slot] = (Linear){ 0 };
        w->changed |= 1ull << slot;
        w->unsteady |= 1ull << slot;
        break;
    default:
        for (int k = 0; k < ir_op_outputs(insn->op) && insn->out; k++) {
            w->values[insn->out + k] = (Linear){ 0 };
        }
    }
}

static bool is_access(const Context *c, const IrInsn *insn)
{
    return insn->op == IR_load || insn->op == IR_store || insn->op == IR_probe_store ||
           (insn->op == IR_raw && c->ir->raws[insn->bits & ~IRB_FLAGS].rm_role == RAW_MEM);
}

/* Operations that a body may have, besides pure ones: nothing that calls, or branches other than out. */
static bool may_be_in_body(const Context *c, const IrInsn *insn)
{
    switch (insn->op) {
    case IR_get:
    case IR_put:
    case IR_get8h:
    case IR_put8h:
    case IR_get_field:
    case IR_insn_start:
    case IR_exit_if:
    case IR_divu2_checked:
    case IR_divs2_checked:
    case IR_raw:
    case IR_fast:
        return true;
    case IR_put_field:
        return !changes_tables(insn);
    case IR_brcond:
        return c->ir->loop_branches;
    case IR_load:
    case IR_store:
    case IR_probe_store:
        return !(insn->bits & (IRM_ALIGNED | IRM_KERNEL));
    default:
        return ir_op_pure(insn->op);
    }
}

/* The branch to the start. */
static bool find_edge(Context *c, Loop *l)
{
    const IrBlock *ir = c->ir;
    unsigned accesses = 0;

    if (ir->n_insns < 3 || ir->insns[0].op != IR_poll) {
        return false;
    }
    l->pc = ir->insns[0].imm;
    for (uint32_t i = 1; i < ir->n_insns; i++) {
        const IrInsn *insn = &ir->insns[i];

        if (insn->op == IR_exit_jump && insn->bits == BRANCH_CALL) {
            return false; /* a function that calls itself comes back from most of its calls at once */
        }
        if ((insn->op == IR_exit_if || insn->op == IR_exit_jump) && insn->imm == l->pc) {
            l->edge = i;
            l->conditional = insn->op == IR_exit_if;
            break;
        }
        if (!may_be_in_body(c, insn)) {
            return false;
        }
        accesses += is_access(c, insn);
    }
    if (!l->edge || !accesses || accesses > LOOP_ACCESSES) {
        return false;
    }
    for (uint32_t i = l->edge + 1; l->conditional && i < ir->n_insns; i++) {
        if (ir->insns[i].op == IR_insn_start || ir->insns[i].op == IR_exit_jump) {
            l->next_pc = ir->insns[i].imm;
            return true;
        }
        if (ir->insns[i].op != IR_const) {
            return false;
        }
    }
    return !l->conditional;
}

/* How much more a sum is in the next iteration, by what the slots hold at the end of the body; in terms of such as stay. */
static Linear step_of(const Walk *end, const Linear *sum)
{
    Linear step = of_const(0, sum->type);

    for (unsigned k = 0; k < sum->n_terms; k++) {
        Linear change = sum_of(slot_now(end, sum->slot[k], sum->type), of_slot(sum->slot[k], sum->type), -1);

        step = sum_of(step, change, sum->factor[k]);
    }
    for (unsigned k = 0; k < step.n_terms; k++) {
        step.known &= !(end->changed >> step.slot[k] & 1);
    }
    return step;
}

static bool has_factors_of_addresses(const Linear *l)
{
    for (unsigned k = 0; k < l->n_terms; k++) {
        int f = l->factor[k];

        if (f <= 0 || f & (f - 1)) {
            return false;
        }
    }
    return l->known;
}

/* The slot in the sum that the loop changes, if there is one only and a register has it. */
static void choose_index(const Walk *end, LoopRoot *r)
{
    r->by_slot = true;
    r->index = NO_REG;
    for (unsigned k = 0; k < r->sum.n_terms; k++) {
        unsigned slot = r->sum.slot[k];

        if (end->changed >> slot & 1) {
            int pin = backend.slot_reg[slot];

            r->by_slot &= r->index == NO_REG && pin != NO_REG && end->slots[slot].type == r->sum.type;
            r->index = pin;
            r->scale = __builtin_ctz(r->sum.factor[k]);
        }
    }
}

static bool keeps_alignment(const LoopRoot *r, unsigned align, int64_t at)
{
    return !align || (r->step % (int)align == 0 && (!r->align || (r->align == align && (at - r->align_at) % (int)align == 0)));
}

/* The root of so many bytes at this sum, NULL if there is none. */
static LoopRoot *root_for(Loop *l, const Walk *end, Linear sum, unsigned size, unsigned align, int64_t align_at)
{
    int64_t at = sum.add;
    LoopRoot *r, new = { .low = at, .high = at, .base = NO_REG };
    Linear step;

    sum.add = 0;
    sum.align = 0;
    for (unsigned k = 0; k < l->n_roots; k++) {
        r = &l->roots[k];
        if (r->sum.type == sum.type && same_terms(&r->sum, &sum) && MAX(r->high, at + size - 1) - MIN(r->low, at) < MAX_SPAN &&
            keeps_alignment(r, align, align_at)) {
            return r;
        }
    }
    step = step_of(end, &sum);
    if (l->n_roots == LOOP_ROOTS || !has_factors_of_addresses(&sum) || !is_constant(&step) || ABS(step.add) > MAX_STEP) {
        return NULL;
    }
    new.sum = sum;
    new.step = step.add;
    if (!keeps_alignment(&new, align, align_at)) {
        return NULL;
    }
    r = &l->roots[l->n_roots++];
    *r = new;
    choose_index(end, r);
    return r;
}

/* Makes the operand one of the root's index register, if there is such a one. */
static void see_index(LoopRoot *r, LoopAccess *access, const Walk *now)
{
    IrType type = r->sum.type;
    unsigned slot;
    Linear off;

    if (!r->by_slot || r->index == NO_REG) {
        return;
    }
    slot = backend.reg_slot[r->index];
    off = sum_of(slot_now(now, slot, type), of_slot(slot, type), -1);
    if (!is_constant(&off) || off.add > MAX_OFF || off.add < -MAX_OFF ||
        (now->changed >> slot & 1 && now->slots[slot].type != type)) {
        r->by_slot = false;
        return;
    }
    access->disp -= off.add * (1 << r->scale);
    r->lowest = MIN(r->lowest, (int32_t)off.add);
}

/* How much further the counter goes. */
static int32_t left_to_count(const Loop *l, const Walk *now)
{
    unsigned slot;
    Linear off;

    if (l->counter == NO_REG) {
        return 0;
    }
    slot = backend.reg_slot[l->counter];
    off = sum_of(slot_now(now, slot, l->counter_type), of_slot(slot, l->counter_type), -1);
    return l->counter_step - off.add;
}

static void add_access(Loop *l, const Walk *now, const Walk *end, const IrInsn *insn, uint32_t i)
{
    const IrBlock *ir = now->c->ir;
    IrType type = ir->value_type[insn->in[0]];
    const IrRaw *raw = insn->op == IR_raw ? &ir->raws[insn->bits & ~IRB_FLAGS] : NULL;
    Linear sum = sum_of(input(now, insn->in[0], type), of_const(insn->imm, type), 1);
    unsigned size = raw ? raw->mem_size : ir_type_size(insn->type), align = raw ? raw->mem_align : sum.align;
    int64_t align_at = sum.align ? sum.align_add : sum.add;
    bool is_store = access_is_store(ir, insn);
    LoopAccess *access = &l->accesses[l->n_accesses++];
    LoopRoot *r;

    *access = (LoopAccess){ .insn = i, .root = -1, .steps = sum.known && step_of(end, &sum).known, .disp = sum.add, .left = left_to_count(l, now) };
    if (!sum.known || !fits_s32(sum.add + NEAR_ALL) || !fits_s32(sum.add - NEAR_ALL) ||
        !(r = root_for(l, end, sum, size, align, align_at)) || (ir->stores_apart && r->uses && r->is_store != is_store)) {
        return;
    }
    access->root = r - l->roots;
    if (r->uses++ == 0) {
        r->pc = now->pc;
    }
    r->is_store |= is_store;
    r->low = MIN(r->low, (int32_t)sum.add);
    r->high = MAX(r->high, (int32_t)sum.add + (int32_t)size - 1);
    if (align) {
        r->align = align;
        r->align_at = align_at;
    }
    see_index(r, access, now);
}

static Linear flags_difference(const Walk *w, const IrInsn *insn)
{
    if (insn->type != IR_I32 && insn->type != IR_I64) {
        return (Linear){ 0 };
    }
    switch (insn->op) {
    case IR_cmp:
    case IR_sub:
        return sum_of(input(w, insn->in[0], insn->type), input(w, insn->in[1], insn->type), -1);
    case IR_add:
        return sum_of(input(w, insn->in[0], insn->type), input(w, insn->in[1], insn->type), 1);
    default:
        return (Linear){ 0 };
    }
}

/* What the edge compares, if that says how many iterations are left; guesses are good enough. */
static void find_count(Loop *l, const Walk *end, const IrInsn *edge)
{
    const IrBlock *ir = end->c->ir;
    Linear step;

    if (!l->conditional) {
        return;
    }
    l->count = flags_difference(end, &ir->insns[ir->value_def[edge->in[0]]]);
    if (!l->count.known) {
        return;
    }
    step = step_of(end, &l->count);
    for (unsigned k = 0; k < l->count.n_terms; k++) {
        int f = abs(l->count.factor[k]);

        step.known &= (f & (f - 1)) == 0;
    }
    l->count.known = is_constant(&step) && step.add && step.add <= MAX_STEP && step.add >= -MAX_STEP;
    l->count_step = step.add;
}

/* A slot that steps: how far it is must be known all the time. */
static void find_counter(Loop *l, const Walk *end)
{
    l->counter = NO_REG;
    for (int reg = 0; reg < HOST_REGS; reg++) {
        int slot = backend.reg_slot[reg];

        if (slot >= 0 && end->changed >> slot & 1 && end->slots[slot].known && !(end->unsteady >> slot & 1)) {
            Linear step = sum_of(end->slots[slot], of_slot(slot, end->slots[slot].type), -1);

            if (is_constant(&step) && step.add && step.add <= MAX_STEP && step.add >= -MAX_STEP) {
                l->counter = reg;
                l->counter_type = step.type;
                l->counter_step = step.add;
                return;
            }
        }
    }
}

/* The roots with most accesses have their bases in registers. */
static void assign_bases(const Context *c, Loop *l)
{
    static const int8_t registers[LOOP_BASES] = { R13, R14, R15 };

    for (unsigned k = 0; k < c->loop_bases; k++) {
        LoopRoot *best = NULL;

        for (unsigned r = 0; r < l->n_roots; r++) {
            if (l->roots[r].base == NO_REG && (!best || l->roots[r].uses > best->uses)) {
                best = &l->roots[r];
            }
        }
        if (!best) {
            break;
        }
        best->base = registers[k];
        l->bases |= 1u << registers[k];
    }
}

/* From how many iterations on the checks before them are less than those within, in host instructions. */
static void find_shortest(const Context *c, Loop *l)
{
    enum { ROOT = 22, ROOT_BY_SITE = 16, START = 10, ACCESS = 8, ACCESS_BY_SITE = 4, ITERATION = 4 };
    unsigned cost = START, gain = ITERATION;

    for (unsigned k = 0; k < l->n_roots; k++) {
        cost += c->ir->use_sites ? ROOT_BY_SITE : ROOT;
        gain += (c->ir->use_sites ? ACCESS_BY_SITE : ACCESS) * l->roots[k].uses;
    }
    l->shortest = cost / gain + 1;
}

/* What the second copy may take for granted: see loop_enter. */
static void find_state(const Context *c, Loop *l)
{
    for (unsigned k = 0; k < l->n_roots; k++) {
        const LoopRoot *r = &l->roots[k];

        if (r->by_slot && r->index != NO_REG && r->sum.type == IR_I32) {
            l->pins_clean |= 1u << r->index;
        }
    }
    for (uint32_t i = 1; i < l->edge; i++) {
        const IrInsn *insn = &c->ir->insns[i];

        if (insn->op == IR_raw) {
            l->fp_level = MAX(l->fp_level, c->ir->raws[insn->bits & ~IRB_FLAGS].vex ? FP_LOADED_YMM : FP_LOADED_XMM);
        }
    }
}

bool loop_plan(Context *c)
{
    Loop *l = &c->loop;
    Walk *now, *end;

    clear_bytes(l, offsetof(Loop, roots)); /* few blocks are loops */
    l->counter = NO_REG;
    if (!c->counts.goes_back || !c->loop_wanted || !find_edge(c, l)) {
        l->edge = 0;
        return false;
    }
    now = g_new0(Walk, 2);
    end = now + 1;
    now->c = end->c = c;
    now->values = end->values = g_new0(Linear, c->ir->n_values);
    for (uint32_t i = 1; i < l->edge; i++) {
        see(end, &c->ir->insns[i]);
    }
    find_count(l, end, &c->ir->insns[l->edge]);
    find_counter(l, end);
    for (uint32_t i = 1; i < l->edge; i++) {
        const IrInsn *insn = &c->ir->insns[i];

        if (is_access(c, insn)) {
            add_access(l, now, end, insn, i);
        }
        see(now, insn);
    }
    g_free(now->values);
    g_free(now);
    if (l->n_roots == 0) {
        l->edge = 0;
        return false;
    }
    assign_bases(c, l);
    find_shortest(c, l);
    find_state(c, l);
    l->at_start = l->count.known;
    return true;
}

const LoopAccess *loop_access_at(const Context *c, uint32_t insn)
{
    const Loop *l = &c->loop;

    for (unsigned k = 0; k < l->n_accesses; k++) {
        if (l->accesses[k].insn == insn) {
            return &l->accesses[k];
        }
    }
    return NULL;
}

const LoopAccess *loop_access(const Context *c, uint32_t insn)
{
    return c->loop.running ? loop_access_at(c, insn) : NULL;
}

bool loop_covers(const Context *c, uint32_t insn)
{
    const LoopAccess *access = loop_access(c, insn);

    return access && access->root >= 0;
}
