/*
 * Regions: groups (emit_group.c) that operations of floating point lie in, with as many addresses as there are.
 *
 * The first access at each address checks the span of all that are at constant distances from it, and leaves the host address in memory
 * (AREA_ROOTS), where the others take it from. No register is held, so everything but accesses is as it is elsewhere; but where the
 * register that had it last has been left alone since, it is not loaded again (Region.base_in).
 *
 * Behind an access that goes the slow way no check holds any more. So out of line is a copy of the whole region, in which all accesses
 * go the slow way: each check that fails leads to its access there. Operations of the copy have stubs of their own.
 */
#include "backend.h"

enum { MAX_SPAN = 256, NEAR = 600 };

/* Two doublewords that may be one access later (emit_direct.c) are so for the span. */
static unsigned span_of(const Context *c, uint32_t i)
{
    const IrInsn *insn = &c->ir->insns[i], *next = insn + 1;
    unsigned size = ir_type_size(insn->type);

    return insn->op != IR_probe_store && size == 8 && i + 1 < c->ir->n_insns && next->op == insn->op && next->type == insn->type &&
                   next->in[0] == insn->in[0] && next->imm == insn->imm + 8 ? 16 : size;
}

static bool is_steady(const Context *c, uint32_t id)
{
    const IrInsn *def = &c->ir->insns[c->ir->value_def[id]];

    return def->op == IR_get && c->ir->steady_slots >> def->bits & 1;
}

/*
 * The root of an access: the last one with its value (IrBlock.stores_apart: and kind), if the span allows it, or a new one. What comes
 * behind a branch out may never be accessed, so it wishes to store only on the stack. NULL: there are too many.
 */
static RegionRoot *find_root(Context *c, Region *r, uint32_t i, bool behind_exit)
{
    const IrInsn *insn = &c->ir->insns[i];
    int64_t low, high;
    uint32_t id = root_of(c->ir, insn, &low);
    RegionRoot *root = NULL;

    high = low + span_of(c, i) - 1;
    for (unsigned k = 0; k < r->n_roots; k++) {
        if (r->roots[k].id == id && (!c->ir->stores_apart || r->roots[k].stores == access_is_store(c->ir, insn))) {
            root = &r->roots[k];
        }
    }
    if (!root || MAX(root->high, high) - MIN(root->low, low) >= MAX_SPAN || c->values[id].is_const ||
        (access_is_store(c->ir, insn) && !root->stores && behind_exit && !is_steady(c, id))) {
        if (r->n_roots == REGION_ROOTS) {
            return NULL;
        }
        root = &r->roots[r->n_roots++];
        *root = (RegionRoot){ .id = id, .low = low, .high = high };
    }
    root->low = MIN(root->low, low);
    root->high = MAX(root->high, high);
    root->stores |= access_is_store(c->ir, insn);
    root->members++;
    return root;
}

static bool is_between(const Context *c, uint32_t i)
{
    const IrInsn *insn = &c->ir->insns[i];

    return insn->op == IR_insn_start || insn->op == IR_put || insn->op == IR_put8h || insn->op == IR_const ||
           may_be_between(c->ir, insn);
}

/* All accesses up to what cannot be in a region. `fast` is the first operation of floating point. */
static void find_members(Context *c, Region *r, uint32_t *fast)
{
    uint32_t end = MIN(c->ir->n_insns, (uint32_t)c->i + NEAR);
    bool behind_exit = false;

    r->n_roots = r->n_members = 0;
    *fast = 0;
    for (uint32_t i = c->i; i < end && r->n_members < REGION_MEMBERS; i++) {
        const IrInsn *insn = &c->ir->insns[i];

        if (c->dead[i]) {
            continue;
        }
        if (ir_facts[insn->op].faults != OP_NEVER_FAULTS && insn->op != IR_fast) {
            RegionRoot *root = access_is_plain(insn) ? find_root(c, r, i, behind_exit) : NULL;

            if (!root) {
                return;
            }
            r->members[r->n_members].insn = i;
            r->members[r->n_members++].root = root - r->roots;
        } else if (insn->op == IR_fast) {
            *fast = *fast ? *fast : i;
        } else if ((insn->op == IR_exit_if && !ir_is_loop_edge(c->ir, insn)) || branch_has_stub(c, insn)) {
            behind_exit = true;
        } else if (!is_between(c, i)) {
            return;
        }
    }
}

static bool is_shared(const Region *r, unsigned member)
{
    return r->roots[r->members[member].root].members > 1;
}

bool region_begin(Context *c, const IrInsn *first)
{
    Region *r = &c->region;
    uint32_t fast;

    if (!has_vector_fields() || !host_has(HOST_MOVBE) || c->ir->n_fasts == 0 || c->held || c->group_last || c->loop.running ||
        !access_is_plain(first)) {
        return false;
    }
    find_members(c, r, &fast);
    while (r->n_members && !is_shared(r, r->n_members - 1)) { /* alone at the end: it gains nothing */
        r->n_members--;
    }
    if (r->n_members < 2 || !is_shared(r, 0) || !fast || fast > r->members[r->n_members - 1].insn) {
        return false;
    }
    r->active = true;
    r->first_member = c->n_members;
    r->first_cold = c->n_cold;
    c->group_last = r->members[r->n_members - 1].insn;
    return true;
}

static Mem root_home(const Region *r, const RegionRoot *root)
{
    return mem_state(AREA_ROOTS + 8 * (int32_t)(root - r->roots));
}

static RegionRoot *root_at(Region *r, uint32_t insn)
{
    unsigned k = 0;

    while (r->members[k].insn != insn) {
        k++;
    }
    return &r->roots[r->members[k].root];
}

/* Only the slow way of an access whose page is known needs its address. */
static void keep_address(Context *c, Member *m)
{
    Place p = value_place(c, m->insn->in[0]);

    m->addr_reg = p.kind == PLACE_REG ? p.reg : NO_REG;
    m->addr_home = p.disp;
    m->addr_is_const = p.kind == PLACE_CONST; /* it was none yet where the region began */
    m->addr = p.imm + m->insn->imm;
    m->disp = m->insn->imm;
    if (p.kind == PLACE_REG) {
        lock_reg(c, p.reg);
    }
}

/* What is stored, or where a load goes, before anything of the access itself. */
static int prepare_value(Context *c, Member *m, int temp)
{
    const IrInsn *insn = m->insn;
    int32_t imm = 0;
    int out = NO_REG;

    if (m->in_vector && insn->op == IR_store) {
        m->imm = c->store_field;
        direct_copy(c);
    } else if (m->in_vector) {
        direct_begin(c, insn);
    } else if (insn->op == IR_load) {
        out = c->values[insn->out].last_use >= 0 && c->values[insn->out].wish >= 0 ? out_reg(c, insn->out, 0, 0, 0, true) : temp;
    } else if (insn->op == IR_store) {
        m->value_is_imm = stored_imm(c, insn, &imm);
        m->imm = imm;
        m->value_reg = m->value_is_imm ? NO_REG : value_use(c, insn->in[1]);
    }
    return out;
}

/* The access on the usual path. */
static void emit_usual(Context *c, Member *m, Mem mem)
{
    const IrInsn *insn = m->insn;

    if (m->in_vector && insn->op == IR_store) {
        vector_stored(c, insn, mem);
    } else if (m->in_vector) {
        vector_loaded(c, insn, m->out, mem, true);
    } else if (insn->op == IR_load) {
        emit_loaded_at_once(c, insn, m->out, mem);
    } else if (m->value_is_imm) {
        asm_store_imm(&c->a, ir_type_size(insn->type), mem, m->imm);
    } else if (insn->op == IR_store) {
        emit_stored(c, insn, mem, m->value_reg);
    }
}

/* The check of all that the root's accesses cover, which is kept if there are others. Returns this one's operand. */
static Mem check_root(Context *c, Member *m, RegionRoot *root, Address addr, int t1, int t2)
{
    bool is_shared = root->members > 1;
    int64_t offset;
    ColdStub *stub = begin_access(c, m->insn, COLD_REGION_CHECK, root->stores);
    Address span = addr;
    Mem mem;

    m->check = stub - c->cold;
    root_of(c->ir, m->insn, &offset);
    m->begin = asm_offset(&c->a);
    if (!is_shared) {
        return emit_probe_in(c, stub, addr, span_of(c, c->i), root->stores, 1, t1, t2);
    }
    span.disp += root->low - offset;
    mem = emit_probe_in(c, stub, span, root->high - root->low + 1, root->stores, 1, t1, t2);
    if (mem.index != NO_REG || mem.disp) {
        asm_lea(&c->a, 8, t1, mem);
        mem = mem_at(t1, 0);
    }
    asm_store(&c->a, 8, root_home(&c->region, root), mem.base);
    root->checked = true;
    mem.disp = offset - root->low;
    return mem;
}

static void end_region(Context *c)
{
    ColdStub *s = cold_new(c, COLD_REGION);

    s->pc = c->pc;
    s->first_member = c->region.first_member;
    s->n_members = c->n_members - s->first_member;
    s->first_cold = c->region.first_cold;
    s->end_cold = s - c->cold;
    c->region.active = false;
    memset(c->region.base_in, 0, sizeof(c->region.base_in));
    c->group_last = 0;
}

/* Calls preserve these: the way back from a cold stub finds the address there, too. */
static const int8_t base_regs[] = { R14, R15, R13 };

static bool is_unused(const Context *c, int reg)
{
    return c->temps >> reg & 1 && !c->reg_values[reg] && !((c->locked | c->held | c->kept) >> reg & 1);
}

/* A register that has the root's host address from an access before, which is locked. */
static int base_held(Context *c, const RegionRoot *root)
{
    unsigned which = root - c->region.roots + 1;

    for (unsigned k = 0; k < G_N_ELEMENTS(base_regs); k++) {
        if (c->region.base_in[base_regs[k]] == which && is_unused(c, base_regs[k])) {
            lock_reg(c, base_regs[k]);
            return base_regs[k];
        }
    }
    return NO_REG;
}

/* For an address: a register that may keep it, if there is one that neither is used nor has another root's. */
static int alloc_base(Context *c)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(base_regs); k++) {
        if (is_unused(c, base_regs[k]) && !c->region.base_in[base_regs[k]]) {
            lock_reg(c, base_regs[k]);
            return base_regs[k];
        }
    }
    return alloc_temp(c);
}

void region_access(Context *c, const IrInsn *insn)
{
    RegionRoot *root = root_at(&c->region, c->i);
    bool known = root->checked;
    Address addr = { 0 };
    Member m = { .insn = insn, .pc = c->pc, .addr_size = c->ir->value_type[insn->in[0]] == IR_I32 ? 4 : 8 };
    int t2 = NO_REG, held = NO_REG, spare = NO_REG;
    int64_t offset;
    Mem mem;

    m.in_vector = load_goes_to_field(c, insn) || store_is_direct(c, insn);
    m.is_pair = load_goes_to_field(c, insn) == 16 || (store_is_direct(c, insn) && c->store_pair);
    if (!known) {
        clobber_flags(c);
        addr = root->members > 1 ? address_of(c, insn) : probe_address_of(c, insn, span_of(c, c->i), 1);
        m.addr_reg = addr.reg;
        m.disp = addr.disp;
        m.addr_is_const = addr.is_late;
        m.addr = addr.value;
    } else {
        keep_address(c, &m);
        held = base_held(c, root);
    }
    m.temp = held != NO_REG ? held : alloc_base(c);
    if (!known) {
        t2 = alloc_temp(c);
    }
    if (known && insn->op == IR_load && !m.in_vector && c->values[insn->out].wish < 0) {
        spare = alloc_free_temp(c); /* what is loaded goes beside the address */
    }
    m.out = prepare_value(c, &m, spare != NO_REG ? spare : m.temp);
    m.keep_flags = c->flags_now && c->values[c->flags_now].last_use > c->i;
    m.snapshot = snapshot_take(c, UINT64_MAX);
    m.before = xmm_snapshot(c);
    m.note = c->late_note;
    if (m.in_vector && insn->op == IR_load) {
        m.out = xmm_alloc(c);
    }
    if (known) {
        root_of(c->ir, insn, &offset);
        m.begin = asm_offset(&c->a);
        if (held == NO_REG) {
            asm_load(&c->a, 8, m.temp, root_home(&c->region, root));
        }
        mem = mem_at(m.temp, offset - root->low);
    } else {
        mem = check_root(c, &m, root, addr, m.temp, t2);
    }
    m.at = asm_offset(&c->a);
    emit_usual(c, &m, mem);
    m.end = asm_offset(&c->a);
    m.after = xmm_snapshot(c);
    *CONTEXT_PUSH(c, members) = m;
    if (insn->op == IR_load && !m.in_vector) {
        value_set_reg(c, insn->out, m.out, true);
    }
    if ((uint32_t)c->i + m.is_pair == c->group_last) {
        end_region(c);
    }
    if (m.in_vector && insn->op == IR_load) {
        vector_put(c, m.out);
    }
    if (c->region.active && root->checked && (mem.base == m.temp || mem.base == t2) && mem.base >= R13 && (m.in_vector || m.out != mem.base)) {
        c->region.base_in[mem.base] = root - c->region.roots + 1;
    }
}

/* Operations in the code that has just been repeated have stubs of their own, which come back to the copy. */
static void repeat_stubs(Context *c, uint32_t first, uint32_t end, uint32_t from, uint32_t to, uint32_t by)
{
    for (uint32_t k = first; k < end; k++) {
        ColdStub copy = c->cold[k], *s;

        if (copy.kind != COLD_FAST || copy.resume <= from || copy.resume > to) {
            continue;
        }
        for (unsigned j = 0; j < G_N_ELEMENTS(copy.jumps); j++) {
            copy.jumps[j] += copy.jumps[j] ? by : 0;
        }
        if (copy.trap_to) {
            copy.trap_from += by;
            copy.trap_to += by;
        }
        copy.store_at += by;
        copy.resume += by;
        s = cold_new(c, COLD_FAST);
        *s = copy;
    }
}

static void slow_access(Context *c, const ColdStub *s, Member *m)
{
    if (m->check) {
        asm_patch_here(&c->a, c->cold[m->check].jumps[0]);
    }
    if (m->keep_flags) {
        save_flags(c, AREA_UPDATE);
    }
    carry_settle(c, m->before, m->note);
    member_alone(c, s, m, m->temp);
    if (m->is_pair) {
        second_half(c, m, m->temp);
    }
    xmm_reload(c, m->after);
    if (m->in_vector && m->insn->op == IR_load) {
        vector_loaded(c, m->insn, m->out, mem_state(m->is_pair ? AREA_BOUNCE : AREA_X0), false);
    }
    if (m->keep_flags) {
        restore_flags(c, AREA_UPDATE);
    }
}

void cold_region(Context *c, ColdStub *stub)
{
    enum { ROOM = 2048 /* for one access */ };
    const ColdStub s = *stub;

    for (unsigned k = 0; k < s.n_members; k++) {
        Member m = c->members[s.first_member + k];

        if (c->a.limit - c->a.p < ROOM + (int)(k ? m.begin - c->members[s.first_member + k - 1].end : 0)) {
            c->a.limit = c->a.p; /* the block is given up */
            return;
        }
        if (k) {
            uint32_t from = c->members[s.first_member + k - 1].end, here = asm_offset(&c->a);

            repeat_code(c, from, m.begin);
            repeat_stubs(c, s.first_cold, s.end_cold, from, m.begin, here - from);
        }
        if (m.insn->op == IR_exit_if || m.insn->op == IR_brcond || m.insn->op == IR_brcc) { /* to the usual path's branch, which is taken then */
            asm_patch(&c->a, asm_jcc(&c->a, m.imm), m.at);
        } else {
            slow_access(c, &s, &m);
        }
    }
    asm_jmp_offset(&c->a, c->members[s.first_member + s.n_members - 1].end);
}
