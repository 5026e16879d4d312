/*
 * Groups: accesses at small distances from one address, one behind the other, share a TLB check; those
 * from two addresses in turn share two, vector and x87 operands from three share three.
 *
 * The check is that the whole span lies in one page of the table. Where it fails all of the group
 * goes the slow way, access by access; the code between them is repeated there. So nothing between
 * the first and the last access may call or touch other memory.
 *
 * The block may be left between them, as the slow way goes by the same branch. What comes behind that may never be
 * accessed: it adds neither an address nor the wish to store, and the span stays short.
 *
 * A group with a store among its members, or a load that is for an update, is checked against the table for
 * stores, whose pages can be loaded from too. Where they may be for stores only (IrBlock.stores_apart), a root has members of one kind.
 *
 * With 64-bit addresses a group keeps what is to be added to them. Sums of 32 bits wrap; where that was checked by 64 bits, they do
 * not in the span. Else such a group keeps the host address of its lowest byte, and looks at no address again.
 *
 * Raw instructions with vector or x87 operands form groups of their own, of one kind of encoding, so that the
 * test for loaded FP state is not needed again, and with no alignment that the first one does not have.
 */
#include "backend.h"
#include "tcg/raw.h"
#include "util/bits.h"

enum { MAX_SPAN = 256, MAX_SPAN_BEHIND_EXIT = 128, MAX_MEMBERS = 16, NEAR = 96, MAX_DEPTH = 24 };
enum { OTHER_KINDS = IRM_ALIGNED | IRM_KERNEL };

/* Byte-swapped ones only by one instruction, which leaves EFLAGS alone. */
bool access_is_plain(const IrInsn *insn)
{
    return (insn->op == IR_load || insn->op == IR_store || insn->op == IR_probe_store) && !(insn->bits & OTHER_KINDS) &&
           (!(insn->bits & IRM_BE) || host_has(HOST_MOVBE));
}

static const IrRaw *raw_of(const Context *c, const IrInsn *insn)
{
    return insn->op == IR_raw ? &c->ir->raws[insn->bits & ~IRB_FLAGS] : NULL;
}

/* A vector, x87 or MMX instruction on registers of its unit, or on one of them and memory. No flags. */
static bool is_fp(const IrInsn *insn, const IrRaw *raw, bool has_memory)
{
    RawRole registers = raw->x87 && raw->reg_role == RAW_DIGIT ? RAW_ST : raw->reg_role;

    return !raw->flags_in && !ir_insn_defines_flags(insn) && !ir_raw_writes_cx(raw) &&
           (registers == RAW_XMM || registers == RAW_ST || (registers == RAW_MMX && raw->x87)) &&
           raw->rm_role == (has_memory ? RAW_MEM : registers);
}

static unsigned access_size(const Context *c, const IrInsn *insn)
{
    return insn->op == IR_raw ? raw_of(c, insn)->mem_size : ir_type_size(insn->type);
}

static bool may_begin(const Context *c, const IrInsn *insn)
{
    enum { MAX_OPERAND = 64 };
    const IrRaw *raw = raw_of(c, insn);

    return raw ? is_fp(insn, raw, true) && raw->mem_read != raw->mem_write && raw->mem_size <= MAX_OPERAND
               : access_is_plain(insn);
}

static bool is_of_kind(const Context *c, const IrInsn *insn, const IrInsn *first)
{
    const IrRaw *a = raw_of(c, insn), *b = raw_of(c, first);

    if (!a) {
        return !b && access_is_plain(insn);
    }
    return b && may_begin(c, insn) && !a->vex == !b->vex;
}

bool access_is_store(const IrBlock *ir, const IrInsn *insn)
{
    return insn->op == IR_raw ? ir->raws[insn->bits & ~IRB_FLAGS].mem_write : insn->op != IR_load || insn->bits & IRM_UPDATE;
}

static bool is_aligned_kind(const Context *c, const IrInsn *insn)
{
    return insn->op == IR_raw && raw_of(c, insn)->mem_align;
}

/* Whether an access at this distance is aligned if the first one is. */
static bool is_aligned_with(const Context *c, const IrInsn *insn, const IrInsn *first, int64_t distance)
{
    return !is_aligned_kind(c, insn) || (raw_of(c, insn)->mem_align == raw_of(c, first)->mem_align &&
                                         distance % raw_of(c, insn)->mem_align == 0);
}

/* An instruction on registers, within a group of such with memory operands. */
static bool is_raw_between(const Context *c, const IrInsn *insn, const IrInsn *first)
{
    const IrRaw *raw = raw_of(c, insn), *other = raw_of(c, first);

    return raw && other && is_fp(insn, raw, false) && !raw->vex == !other->vex;
}

/* The same with a memory operand that needs no check here. */
static bool is_covered_between(const Context *c, uint32_t i, const IrInsn *first)
{
    const IrInsn *insn = &c->ir->insns[i];
    const IrRaw *raw = raw_of(c, insn), *other = raw_of(c, first);

    return c->loop.running && loop_covers(c, i) && (!raw || (other && is_fp(insn, raw, true) && !raw->vex == !other->vex));
}

uint32_t root_of(const IrBlock *ir, const IrInsn *access, int64_t *offset)
{
    uint32_t id = access->in[0];

    *offset = access->imm;
    for (unsigned depth = 0; depth < MAX_DEPTH; depth++) {
        const IrInsn *def = &ir->insns[ir->value_def[id]];
        uint64_t add;

        if (def->op != IR_add || def->type != ir->value_type[id] || !ir_is_const(ir, (IrVal){ def->in[1] }, &add) ||
            ir->value_type[def->in[0]] != def->type) {
            break;
        }
        *offset += def->type == IR_I32 ? (int32_t)add : (int64_t)add;
        id = def->in[0];
    }
    return id;
}

/* The accesses of a group that are at constant distances from one value. */
typedef struct Root {
    uint32_t id;
    int64_t first, low, high; /* distances of the first one, and of the first and last byte of all */
    bool stores;              /* there is a store among them */
    uint32_t base;            /* of 32 bits: the value that the check is made by, */
    bool is_wide;             /* and no sum for an address wraps where that one's do not */
    unsigned members;
} Root;

typedef struct Plan {
    uint32_t last; /* insn of the last access */
    bool behind_exit; /* where the plan is at, there may have been a branch out */
    unsigned n_roots;
    Root roots[GROUP_ROOTS];
} Plan;

static bool is_32bit(const Context *c, uint32_t id)
{
    return c->ir->value_type[id] == IR_I32;
}

/* The pinned register that has the value at the group's first access; NO_REG: it is somewhere else, or not known yet. */
static int root_register(const Context *c, uint32_t id)
{
    const IrBlock *ir = c->ir;
    uint32_t at = ir->value_def[id];
    const IrInsn *def = &ir->insns[at];
    const Value *v = &c->values[id];
    int pin;

    if (at < (uint32_t)c->i) {
        return !v->is_const && v->reg != NO_REG && is_pinned(c, v->reg) ? v->reg : NO_REG;
    }
    if (def->op != IR_get || (pin = backend.slot_reg[def->bits]) == NO_REG) {
        return NO_REG;
    }
    for (uint32_t i = c->i; i < at; i++) {
        if ((ir->insns[i].op == IR_put || ir->insns[i].op == IR_put8h) && ir->insns[i].bits == def->bits) {
            return NO_REG;
        }
    }
    return pin;
}

/* Whether an access takes its address from a pinned register: it leaves the temporaries to a second check. */
static bool is_in_pin(const Context *c, const IrInsn *access)
{
    return root_register(c, access->in[0]) != NO_REG && (int32_t)access->imm == access->imm;
}

/* Whether the plan may have this root besides those that it has. */
static bool is_possible(const Context *c, const Plan *plan, uint32_t id, const IrInsn *first)
{
    if (plan->n_roots == 0) {
        return true;
    }
    return plan->n_roots < (raw_of(c, first) ? c->max_roots : MIN(c->max_roots, 2)) && !plan->behind_exit && is_in_pin(c, first) &&
           root_register(c, id) != NO_REG;
}

/* The root of an access, which is *offset away, a new one if there may be another; NULL: it belongs to no group with these. */
static Root *plan_root(const Context *c, Plan *plan, const IrInsn *insn, const IrInsn *first, int64_t *offset)
{
    uint32_t id = root_of(c->ir, insn, offset);
    Root *root = NULL;

    for (unsigned k = 0; k < plan->n_roots; k++) {
        if (plan->roots[k].id == id) {
            root = &plan->roots[k];
        }
    }
    if (!root) {
        if (!is_possible(c, plan, id, first)) {
            return NULL;
        }
        root = &plan->roots[plan->n_roots++];
        *root = (Root){ .id = id, .first = *offset, .low = *offset, .high = *offset, .base = plan->n_roots > 1 ? id : insn->in[0], .is_wide = true };
    }
    if (MAX(root->high, *offset + (int64_t)access_size(c, insn) - 1) - MIN(root->low, *offset) >=
            (plan->behind_exit ? MAX_SPAN_BEHIND_EXIT : MAX_SPAN) ||
        ((plan->behind_exit || (c->ir->stores_apart && root->members)) && access_is_store(c->ir, insn) && !root->stores) ||
        (c->ir->stores_apart && root->stores && !access_is_store(c->ir, insn))) {
        return NULL;
    }
    return root;
}

/* False: the accesses from the first one on do not make a group. */
static bool make_plan(const Context *c, const IrInsn *first, Plan *plan)
{
    const IrBlock *ir = c->ir;
    uint32_t end = MIN(ir->n_insns, (uint32_t)c->i + NEAR), at[MAX_MEMBERS];
    const Root *of[MAX_MEMBERS];
    unsigned n = 0;

    plan->last = 0;
    plan->behind_exit = false;
    plan->n_roots = 0;
    plan->roots[0].members = 0; /* those are set when they are used */
    for (uint32_t i = c->i; i < end && n < MAX_MEMBERS; i++) {
        const IrInsn *insn = &ir->insns[i];
        const IrOpFact *fact = &ir_facts[insn->op];
        bool has_operand = fact->faults != OP_NEVER_FAULTS; /* perhaps */

        if (insn->op == IR_insn_start || insn->op == IR_put || insn->op == IR_get || (fact->pure && insn->op < IR_shld)) {
            continue; /* most are of these */
        }
        if (has_operand && is_covered_between(c, i, first)) {
            continue;
        }
        if (has_operand && is_of_kind(c, insn, first)) {
            unsigned before = plan->n_roots;
            int64_t offset;
            Root *root = plan_root(c, plan, insn, first, &offset);

            if (!root || (root != plan->roots && is_aligned_kind(c, insn)) ||
                !is_aligned_with(c, insn, first, offset - root->first)) {
                plan->n_roots = before;
                break;
            }
            root->stores |= access_is_store(c->ir, insn);
            root->low = MIN(root->low, offset);
            root->high = MAX(root->high, offset + (int64_t)access_size(c, insn) - 1);
            root->is_wide &= insn->in[0] == root->base || (insn->imm == 0 && insn->in[0] != root->id);
            root->members++;
            of[n] = root;
            at[n++] = i;
        } else if (insn->op == IR_exit_if && !ir_is_loop_edge(ir, insn)) {
            plan->behind_exit = true;
        } else if (!may_be_between(ir, insn) && insn->op != IR_put && insn->op != IR_put8h &&
                   insn->op != IR_insn_start && !is_raw_between(c, insn, first) && !c->dead[i]) {
            break;
        }
    }
    while (n && of[n - 1] != plan->roots && of[n - 1]->members == 1) { /* alone and at the end: it gains nothing */
        plan->n_roots--;
        n--;
    }
    if (plan->roots[0].members < 2 || (n == 2 && first->bits & IRM_UPDATE && first->op == IR_load)) {
        return false; /* an update alone is emit_update's */
    }
    if (is_aligned_kind(c, first)) { /* the check looks at the span's first byte */
        Root *root = plan->roots;

        root->low = root->first - (int64_t)round_up(root->first - root->low, raw_of(c, first)->mem_align);
    }
    plan->last = at[n - 1];
    return true;
}

static Member *member_new(Context *c, const IrInsn *insn, Address addr)
{
    Member *m = CONTEXT_PUSH(c, members);

    *m = (Member){ .insn = insn, .addr_reg = addr.reg, .disp = addr.disp, .pc = c->pc,
                   .addr_size = c->ir->value_type[insn->in[0]] == IR_I32 ? 4 : 8 };
    return m;
}

/* The access itself, and what is needed to do it the slow way. */
static void emit_access(Context *c, const IrInsn *insn, Address addr, int out)
{
    unsigned size = access_size(c, insn);
    int64_t offset;
    uint32_t id = root_of(c->ir, insn, &offset);
    Member *m = member_new(c, insn, addr);
    unsigned root = 0;
    int32_t imm = 0;
    Mem mem;

    while (c->group_root[root] != id) {
        root++;
    }
    mem = is_32bit(c, id) && !c->group_is_wide[root] ? mem_at(c->group_addend[root], offset - c->group_low[root])
                                                      : mem_index(c->group_addend[root], addr.reg, addr.disp);
    m->in_vector = load_goes_to_field(c, insn) || store_is_direct(c, insn);
    m->is_pair = load_goes_to_field(c, insn) == 16 || (store_is_direct(c, insn) && c->store_pair);
    if (m->in_vector && insn->op == IR_store) {
        m->imm = c->store_field;
    } else if (m->in_vector) {
        direct_begin(c, insn);
        m->out = out = xmm_alloc(c);
    } else if (insn->op == IR_load) {
        m->out = out;
    } else if (insn->op == IR_store) {
        m->value_is_imm = stored_imm(c, insn, &imm);
        m->imm = imm;
        m->value_reg = m->value_is_imm ? NO_REG : value_use(c, insn->in[1]);
    }
    m->keep_flags = c->flags_now && c->values[c->flags_now].last_use > c->i;
    m->snapshot = snapshot_take(c, UINT64_MAX);
    if (insn->op == IR_raw) {
        control_word_place(c, insn, mem);
    }
    m->at = asm_offset(&c->a);
    if (m->in_vector && insn->op == IR_store) {
        vector_stored(c, insn, mem);
    } else if (m->in_vector) {
        vector_loaded(c, insn, out, mem, true);
    } else if (insn->op == IR_load) {
        emit_loaded_at_once(c, insn, out, mem);
    } else if (insn->op == IR_raw) {
        fault_record(c, m->at + 1, c->pc, m->snapshot);
        raw_encode(c, raw_of(c, insn), RAX, mem);
    } else if (m->value_is_imm) {
        if (!store_zeros(c, insn, mem, c->group_last)) {
            asm_store_imm(&c->a, size, mem, imm);
        }
    } else if (insn->op == IR_store) {
        emit_stored(c, insn, mem, m->value_reg);
    }
    m->end = asm_offset(&c->a);
    c->cold[c->group_stub].n_members++;
    if (insn->op == IR_load && !m->in_vector) {
        value_set_reg(c, insn->out, out, true);
    }
    if ((uint32_t)c->i + m->is_pair == c->group_last) {
        c->group_last = 0;
        c->held = 0;
        c->cold[c->group_stub].xmms = xmm_snapshot(c); /* puts between the accesses may have made others */
    }
    if (m->in_vector && insn->op == IR_load) {
        vector_put(c, out);
    }
}

void group_exit(Context *c, const IrInsn *insn, IrCc cc, uint32_t at)
{
    if (c->group_last) {
        Member *m = CONTEXT_PUSH(c, members);

        *m = (Member){ .insn = insn, .imm = cc, .at = at, .begin = at, .end = asm_offset(&c->a) };
        if (c->xmm_late) { /* the branch's stub stores them */
            m->after = xmm_snapshot(c);
        }
        if (!c->region.active) {
            c->cold[c->group_stub].n_members++;
        }
    }
}

/* With zeros above, so that it can be added to an addend; a displacement must wrap at 32 bits. */
static Address clean_address(Context *c, Address addr)
{
    if (addr.size == 4 && (!addr.is_clean || addr.disp)) {
        int temp = alloc_temp(c);

        emit_effective(c, temp, addr.reg, addr.disp, 4);
        unlock_reg(c, addr.reg);
        addr = (Address){ .reg = temp, .size = 8 };
    } else if (addr.size == 4) {
        addr.size = 8;
    }
    return addr;
}

int load_out(Context *c, const IrInsn *insn)
{
    const Value *v = &c->values[insn->out];

    if (insn->op != IR_load || load_goes_to_field(c, insn)) {
        return NO_REG;
    }
    return v->last_use >= 0 && v->wish >= 0 ? out_reg(c, insn->out, 0, 0, 0, true) : alloc_temp(c);
}

Mem loop_address(Context *c, const IrInsn *insn, int addend)
{
    Address addr = clean_address(c, address_of(c, insn));

    return mem_index(addend, addr.reg, addr.disp);
}

/*
 * Whether a value of 32 bits has the same above them at each of the accesses: a slot that it is put into gets it without, and may
 * be where it is from then on. held: the check itself holds it.
 */
static bool is_left_alone(const Context *c, const Plan *plan, uint32_t id, unsigned held)
{
    const Value *v = &c->values[id];

    if (c->ir->value_def[id] < (uint32_t)c->i) {
        if (v->clean) {
            return true;
        }
        if (v->refs > held || v->home >= 0) {
            return false;
        }
    }
    for (uint32_t i = c->i; i <= plan->last; i++) {
        if (c->ir->insns[i].op == IR_put && c->ir->insns[i].in[0] == id) {
            return false;
        }
    }
    return true;
}

/* The checks of all roots, before the first access; the cold stub is behind each. */
static void check_roots(Context *c, const Plan *plan, const IrInsn *first, Address addr)
{
    int scratch, addend[GROUP_ROOTS], other_root[GROUP_ROOTS];
    const IrRaw *raw = raw_of(c, first);

    for (unsigned k = 1; k < plan->n_roots; k++) {
        if ((other_root[k] = root_register(c, plan->roots[k].id)) == NO_REG) {
            other_root[k] = value_use(c, plan->roots[k].id); /* it had to make way for what the first access loads */
        }
    }
    /*
     * All registers first: what makes room must come before any branch. R11 is not for keeps: slots that
     * are stored from spilled values go through it.
     */
    c->held = 1u << R11;
    for (unsigned k = 0; k < plan->n_roots; k++) {
        addend[k] = alloc_temp(c);
    }
    c->held = 0;
    scratch = alloc_temp(c);
    for (unsigned k = 0; k < plan->n_roots; k++) {
        const Root *root = &plan->roots[k];
        ColdStub *stub = &c->cold[c->group_stub], other = { 0 };
        Address span = addr;
        Mem mem;

        if (k) {
            span = (Address){ .reg = other_root[k], .size = is_32bit(c, root->id) ? 4 : 8,
                              .is_wide = sums_are_wide(c, root->id, root->low), .is_site = addr.is_site };
        }
        span.disp += k ? root->low : root->low - root->first;
        mem = emit_probe_in(c, k ? &other : stub, span, root->high - root->low + 1, root->stores,
                            raw && !k ? raw->mem_align : 1, addend[k], scratch);
        if (k) {
            stub->jumps[2 * k] = other.jumps[0];
            stub->sites[k] = other.sites[0];
        }
        c->group_is_wide[k] = root->is_wide && span.is_wide && is_left_alone(c, plan, root->base, k > 0);
        if (is_32bit(c, root->id) && !c->group_is_wide[k] && mem.base == addend[k]) {
            if (mem.index != NO_REG || mem.disp) {
                asm_lea(&c->a, 8, addend[k], mem);
            }
        } else if (is_32bit(c, root->id) && !c->group_is_wide[k]) {
            asm_mov_rr(&c->a, 8, addend[k], mem.base);
            unlock_reg(c, mem.base); /* the first access may want it: nothing may make room any more */
        }
        c->group_root[k] = root->id;
        c->group_addend[k] = addend[k];
        c->group_low[k] = root->low;
    }
    for (unsigned k = 0; k < plan->n_roots; k++) {
        c->held |= 1u << addend[k];
    }
}

/* What is looked at between the accesses: on their slow way copies are gone. */
static void settle_fields(Context *c, uint32_t last)
{
    for (uint32_t i = c->i + 1; c->xmm_late && !c->late && i <= last; i++) {
        if (c->ir->insns[i].op == IR_get_field) {
            xmm_settle(c, c->ir->insns[i].imm);
        }
    }
}

bool emit_group(Context *c, const IrInsn *insn)
{
    const IrRaw *raw = raw_of(c, insn);
    ColdStub *stub;
    Address addr;
    uint32_t others[GROUP_ROOTS] = { 0 };
    int32_t imm;
    Plan plan;
    int out;

    if (c->region.active || region_begin(c, insn)) {
        region_access(c, insn);
        return true;
    }
    if (c->group_last) {
        addr = address_of(c, insn);
        emit_access(c, insn, addr, load_out(c, insn));
        return true;
    }
    if (c->held || !may_begin(c, insn) || c->values[insn->in[0]].is_const || !make_plan(c, insn, &plan)) {
        return false;
    }
    for (unsigned k = 1; k < plan.n_roots; k++) {
        if (c->ir->value_def[plan.roots[k].id] < (uint32_t)c->i) { /* no operand itself, it may have had its last use before: kept for the check */
            others[k] = plan.roots[k].id;
            c->values[others[k]].refs++;
        }
    }
    clobber_flags(c);
    settle_fields(c, plan.last);
    addr = address_of(c, insn);
    if (insn->op == IR_store && !store_is_direct(c, insn) && !stored_imm(c, insn, &imm)) {
        value_use(c, insn->in[1]); /* before the branch out */
    }
    out = insn->op == IR_load && c->values[insn->out].last_use >= 0 && c->values[insn->out].wish >= 0
              ? load_out(c, insn) : NO_REG;
    stub = begin_access(c, insn, COLD_GROUP, plan.roots[0].stores);
    c->group_stub = stub - c->cold;
    stub->first_member = c->n_members;
    check_roots(c, &plan, insn, addr);
    for (unsigned k = 1; k < plan.n_roots; k++) {
        if (others[k]) {
            c->values[others[k]].refs--;
            if (c->values[others[k]].last_use < c->i) { /* it is not what this access stores */
                value_release(c, others[k]);
            }
        }
    }
    stub = &c->cold[c->group_stub];
    if (stub->jumps[1]) { /* the first one is then misaligned too, and faults before any has been made */
        ColdStub *other = cold_new(c, COLD_UNALIGNED); /* which may move the first */

        *other = c->cold[c->group_stub];
        other->kind = COLD_UNALIGNED;
        other->addr_reg = addr.reg;
        other->disp = addr.disp;
        other->is_store = raw->mem_write;
        other->snapshot = snapshot_take(c, UINT64_MAX);
    }
    c->group_last = plan.last;
    emit_access(c, insn, addr, out == NO_REG ? load_out(c, insn) : out);
    return true;
}

/* The code between two accesses, with what can fault in it. */
static void repeat_between(Context *c, const Member *before, const Member *m)
{
    uint32_t from = before->end, to = m->at, here = asm_offset(&c->a), n = c->n_faults;

    repeat_code(c, from, to);
    for (uint32_t k = 0; k < n; k++) {
        FaultRecord f = c->faults[k];

        if (f.offset > from && f.offset <= to) {
            fault_record(c, here + (f.offset - from), f.pc, f.snapshot);
        }
    }
}

/* Mostly the group is over a page's end and this one is not: then it runs as it is. */
static void repeat_raw(Context *c, const Member *m, int scratch)
{
    const IrRaw *raw = raw_of(c, m->insn);
    uint32_t other, done;
    Asm *a = &c->a;

    asm_store_imm(a, 8, mem_state(AREA_X2), raw->mem_size);
    thunk_call(c, raw->mem_write ? THUNK_FIND_STORE : THUNK_FIND_LOAD);
    other = asm_jcc(a, CC_NE);
    asm_load(a, 8, scratch, mem_state(AREA_X1));
    fault_record(c, asm_offset(a) + 1, m->pc, m->snapshot);
    raw_encode(c, raw, RAX, mem_at(scratch, 0));
    done = asm_jmp(a);
    asm_patch_here(a, other);
    raw_through_buffer(c, raw, RAX, m->pc, m->snapshot);
    asm_patch_here(a, done);
}

/* In a register, `scratch` perhaps, for the thunk; of the access itself or what is so far behind it. */
static int member_address(Context *c, const Member *m, int scratch, int32_t behind)
{
    int reg = m->addr_reg;

    if (m->addr_is_const) {
        uint64_t addr = m->addr + behind;

        asm_mov_ri(&c->a, scratch, m->addr_size == 4 ? (uint32_t)addr : addr);
        return scratch;
    }
    if (reg == NO_REG) {
        reg = scratch;
        asm_load(&c->a, m->addr_size, reg, mem_state(m->addr_home));
    }
    return slow_address(c, scratch, reg, m->disp + behind, m->addr_size);
}

/* What was loaded comes together in memory. */
void second_half(Context *c, const Member *m, int scratch)
{
    bool is_load = m->insn->op == IR_load;
    Asm *a = &c->a;

    if (is_load) {
        asm_load(a, 8, scratch, mem_state(AREA_X0));
        asm_store(a, 8, mem_state(AREA_BOUNCE), scratch);
    } else {
        cold_field(c, m->insn, m->imm ^ 8, scratch);
    }
    thunk_call_at(c, is_load ? THUNK_LOAD8 : THUNK_STORE8, member_address(c, m, scratch, 8));
    fault_record(c, asm_offset(a), m->pc, m->snapshot);
    if (is_load) {
        asm_load(a, 8, scratch, mem_state(AREA_X0));
        asm_store(a, 8, mem_state(AREA_BOUNCE + 8), scratch);
    }
}

/* One of the accesses, alone. */
void member_alone(Context *c, const ColdStub *s, const Member *m, int scratch)
{
    unsigned size = access_size(c, m->insn);
    int address;
    Asm *a = &c->a;

    if (m->in_vector && m->insn->op == IR_store) {
        cold_field(c, m->insn, m->imm, scratch);
    }
    address = member_address(c, m, scratch, 0);
    if (m->insn->op == IR_raw) {
        asm_store(a, 8, mem_state(AREA_X0), address);
        repeat_raw(c, m, scratch);
        return;
    }
    if (m->insn->op == IR_load && !m->in_vector) {
        slow_load(c, m->insn, address, m->out, m->pc, m->snapshot);
        return;
    }
    if (m->insn->op == IR_load) {
        thunk_call_at(c, THUNK_LOAD8, address);
    } else if (m->insn->op == IR_probe_store) {
        asm_store(a, 8, mem_state(AREA_X0), address);
        cold_size(c, s, size);
        thunk_call(c, THUNK_PROBE_STORE);
    } else {
        if (m->value_is_imm) {
            asm_store_imm(a, 8, mem_state(AREA_X1), m->imm);
        }
        slow_store(c, m->insn, address, m->value_is_imm || m->in_vector ? NO_REG : m->value_reg);
    }
    fault_record(c, asm_offset(a), m->pc, m->snapshot);
}

void cold_group(Context *c, ColdStub *s)
{
    Asm *a = &c->a;

    patch_jumps(c, s);
    carry_settle(c, s->before, s->note);
    for (unsigned k = 0; k < s->n_members; k++) {
        const Member *m = &c->members[s->first_member + k];

        if (k) {
            repeat_between(c, &m[-1], m);
        }
        if (m->insn->op == IR_exit_if) { /* to the usual path's branch, which is taken then */
            xmm_reload(c, m->after);
            asm_patch(a, asm_jcc(a, m->imm), m->at);
            continue;
        }
        if (m->keep_flags) {
            save_flags(c, AREA_UPDATE);
        }
        member_alone(c, s, m, s->temp);
        if (m->is_pair) {
            second_half(c, m, s->temp); /* would have been the addend */
        }
        if (m->in_vector && m->insn->op == IR_load) {
            vector_loaded(c, m->insn, m->out, mem_state(m->is_pair ? AREA_BOUNCE : AREA_X0), false);
        }
        if (m->keep_flags) {
            restore_flags(c, AREA_UPDATE);
        }
    }
    xmm_reload(c, s->xmms);
    asm_jmp_offset(a, c->members[s->first_member + s->n_members - 1].end);
}
