/*
 * Where values and slots are while code is made: registers, homes in the state, spill slots.
 *
 * A value may be in several places at once. A register may hold several values (copies of the same
 * bits). A memory slot that was put is "dirty": its contents is a value that is stored only when
 * somebody needs it in memory. Nothing here changes EFLAGS.
 */
#include "backend.h"

static void list_remove(Context *c, uint32_t id)
{
    Value *v = &c->values[id];
    uint32_t *link;

    if (v->reg == NO_REG) {
        return;
    }
    for (link = &c->reg_values[v->reg]; *link != id; link = &c->values[*link].next) {
    }
    *link = v->next;
    v->reg = NO_REG;
}

static void home_remove(Context *c, uint32_t id)
{
    Value *v = &c->values[id];
    uint32_t *link;

    if (v->home < 0) {
        return;
    }
    for (link = &c->slots[v->home].homes; *link != id; link = &c->values[*link].next_home) {
    }
    *link = v->next_home;
    v->home = -1;
}

static void home_add(Context *c, uint32_t id, unsigned slot)
{
    Value *v = &c->values[id];

    home_remove(c, id);
    v->home = slot;
    v->next_home = c->slots[slot].homes;
    c->slots[slot].homes = id;
}

static void spill_free(Context *c, Value *v)
{
    if (v->spill >= 0) {
        c->spill_refs[v->spill]--;
        v->spill = -1;
    }
}

void value_set_reg(Context *c, uint32_t id, int reg, bool clean)
{
    Value *v = &c->values[id];

    list_remove(c, id);
    v->reg = reg;
    v->clean = clean;
    v->next = c->reg_values[reg];
    c->reg_values[reg] = id;
}

void value_release(Context *c, uint32_t id)
{
    Value *v = &c->values[id];

    if (v->last_use > c->i || v->refs) {
        return;
    }
    list_remove(c, id);
    home_remove(c, id);
    spill_free(c, v);
    if (v->is_postponed) {
        v->is_postponed = false;
        order_release_inputs(c, id);
    }
}

int spill_alloc(Context *c)
{
    for (int k = 0; k < N_SPILLS; k++) {
        if (!c->spill_refs[k]) {
            c->spill_refs[k] = 1;
            return k;
        }
    }
    g_error("a block with more than %d live values", N_SPILLS);
}

static bool has_copy(const Value *v)
{
    return v->is_const || v->home >= 0 || v->spill >= 0;
}

/* Registers of the moment with no value in them, the one that a call clobbers late. */
static const int8_t temp_order[] = { R14, R15, R11, R13, RSI, RDI, RBX, R10, R9, R8, RBP, R12, RDX, RCX, RAX };

/* Operations that want no particular registers, and neither fault nor leave. */
static bool may_borrow(const IrInsn *insn)
{
    switch (insn->op) {
    case IR_get:
    case IR_put:
    case IR_add:
    case IR_sub:
    case IR_and:
    case IR_or:
    case IR_xor:
    case IR_andn:
    case IR_not:
    case IR_neg:
    case IR_sext:
    case IR_zext:
    case IR_shl:
    case IR_shr:
    case IR_sar:
    case IR_rol:
    case IR_ror:
        return true;
    default:
        return false;
    }
}

/*
 * Whether a pinned register may serve as a temporary for now: nobody reads its slot before that is put again, which sends
 * away what is in the register. At all operations that fault, leave or call C that looks, slots are needed. Calls of other
 * functions keep as many bytes as the slot has.
 */
static bool is_lent(const Context *c, int reg)
{
    const IrInsn *insn = &c->ir->insns[c->i];
    int slot = backend.reg_slot[reg];

    return is_dead_pin(c, reg) && may_borrow(insn) && !(insn->op == IR_get && insn->bits == slot) &&
           ir_type_size(backend.target.slots[slot].type) == 8;
}

static int find_free(const Context *c)
{
    int lent = NO_REG, base = NO_REG;

    for (unsigned k = 0; k < G_N_ELEMENTS(temp_order); k++) {
        int r = temp_order[k];

        if ((c->locked | c->held | c->kept) >> r & 1 || c->reg_values[r]) {
            continue;
        }
        if (c->temps >> r & 1) {
            if (!c->region.base_in[r]) {
                return r;
            }
            base = base == NO_REG ? r : base;
        } else if (lent == NO_REG && is_lent(c, r)) {
            lent = r;
        }
    }
    return base != NO_REG ? base : lent;
}

static inline Place place_of_value(const Context *c, uint32_t id)
{
    const Value *v = &c->values[id];
    Place p = { .size = ir_type_size(v->type), .reg = NO_REG };

    if (v->is_const) {
        p.kind = PLACE_CONST;
        p.imm = v->imm;
        p.size = 8;
    } else if (v->reg != NO_REG) {
        p.kind = PLACE_REG;
        p.reg = v->reg;
        p.size = p.size == 4 && v->clean ? 8 : p.size;
    } else {
        p.kind = PLACE_MEM;
        p.disp = v->spill >= 0 ? AREA_SPILL - 8 * v->spill
                               : (int32_t)backend.target.slots[v->home].offset;
    }
    return p;
}

Place value_place(const Context *c, uint32_t id)
{
    return place_of_value(c, id);
}

static inline Place place_of(Context *c, unsigned slot)
{
    uint32_t id = c->slots[slot].value;
    Place p = c->values[id].is_postponed ? order_place(c, id) : place_of_value(c, id);

    p.slot = slot;
    return p;
}

static void store_const(Context *c, unsigned size, Mem home, uint64_t imm)
{
    if (size < 8 || fits_s32(imm)) {
        asm_store_imm(&c->a, size, home, imm);
    } else {
        Mem high = home;

        high.disp += 4;
        asm_store_imm(&c->a, 4, home, imm);
        asm_store_imm(&c->a, 4, high, imm >> 32);
    }
}

static void store_reg(Context *c, unsigned slot_size, unsigned size, Mem home, int reg)
{
    asm_store(&c->a, MIN(size, slot_size), home, reg);
    if (size < slot_size) {
        g_assert(size == 4);
        home.disp += 4;
        asm_store_imm(&c->a, 4, home, 0);
    }
}

static void store_place(Context *c, const Place *p)
{
    unsigned size = ir_type_size(backend.target.slots[p->slot].type);
    Mem home = slot_home(p->slot);

    switch (p->kind) {
    case PLACE_CONST:
        store_const(c, size, home, p->imm);
        break;
    case PLACE_REG:
        store_reg(c, size, p->size, home, p->reg);
        break;
    case PLACE_MEM: /* at exits: r11 is free once the registers are stored */
        asm_load(&c->a, p->size, R11, mem_state(p->disp));
        store_reg(c, size, size, home, R11);
        break;
    case PLACE_ORDER:
        g_assert_not_reached();
    }
}

Snapshot snapshot_take(Context *c, uint64_t mask)
{
    Snapshot s = { .first = c->n_places };

    for (mask &= c->dirty; mask; mask &= mask - 1) {
        *CONTEXT_PUSH(c, places) = place_of(c, __builtin_ctzll(mask));
        s.count++;
    }
    return s;
}

/* No store has it as it is, and two stores would make the next load of the slot wait. */
static bool is_long_const(const Place *p)
{
    return p->kind == PLACE_CONST && ir_type_size(backend.target.slots[p->slot].type) == 8 && !fits_s32(p->imm);
}

static void flush_orders(Context *c, Snapshot s)
{
    for (uint32_t k = s.first; k < s.first + s.count; k++) {
        uint16_t others = 0;

        if (c->places[k].kind != PLACE_ORDER) {
            continue;
        }
        for (uint32_t later = k + 1; later < s.first + s.count; later++) {
            others |= c->places[later].kind == PLACE_ORDER ? order_registers(c, &c->places[later]) : 0;
        }
        order_store(c, &c->places[k], others);
    }
}

/* Registers first, which are scratch then; what is in memory last, as that takes R11, and with it long constants. */
void snapshot_flush(Context *c, Snapshot s)
{
    for (uint32_t k = s.first; k < s.first + s.count; k++) {
        const Place *p = &c->places[k];

        if (p->kind == PLACE_REG || (p->kind == PLACE_CONST && !is_long_const(p))) {
            store_place(c, p);
        }
    }
    flush_orders(c, s);
    for (uint32_t k = s.first; k < s.first + s.count; k++) {
        const Place *p = &c->places[k];

        if (p->kind == PLACE_MEM) {
            store_place(c, p);
        } else if (is_long_const(p)) {
            asm_mov_ri(&c->a, R11, p->imm);
            asm_store(&c->a, 8, slot_home(p->slot), R11);
        }
    }
}

static void slot_set_clean(Context *c, unsigned slot, bool stored)
{
    Slot *s = &c->slots[slot];
    uint32_t id = s->value;
    Value *v = &c->values[id];

    s->dirty = false;
    c->dirty &= ~(1ull << slot);
    v->refs--;
    if (stored && v->last_use >= c->i && v->home < 0 && !v->is_const) {
        home_add(c, id, slot);
    }
    if (v->last_use < c->i) {
        value_release(c, id);
    }
}

static void flush_slot(Context *c, unsigned slot)
{
    uint32_t id = c->slots[slot].value;
    Value *v = &c->values[id];
    Place p;

    if (v->is_postponed) {
        order_compute(c, id);
    }
    if (v->reg == NO_REG && !v->is_const) {
        unlock_reg(c, value_use(c, id));
    }
    p = place_of(c, slot);
    if (is_long_const(&p)) {
        int reg = alloc_temp(c);

        asm_mov_ri(&c->a, reg, p.imm);
        asm_store(&c->a, 8, slot_home(slot), reg);
        unlock_reg(c, reg);
    } else {
        store_place(c, &p);
    }
    slot_set_clean(c, slot, true);
}

void slots_flush(Context *c, uint64_t mask)
{
    while (mask & c->dirty) { /* flushing one may evict, and so flush, another */
        flush_slot(c, __builtin_ctzll(mask & c->dirty));
    }
}

/* Dirty slots whose value is in a register: all of them, or those that are still needed. */
static void flush_slots_in(Context *c, int reg, bool strict)
{
    for (uint64_t mask = c->dirty; mask; mask &= mask - 1) {
        unsigned slot = __builtin_ctzll(mask);
        const Value *v = &c->values[c->slots[slot].value];

        if (v->reg != reg || v->is_const) {
            continue;
        }
        if (strict || c->live_slots[c->i] >> slot & 1) {
            flush_slot(c, slot);
        } else {
            slot_set_clean(c, slot, false);
        }
    }
}

/* Gives the values of a register that are used at or after insn `from` another place. */
static void spill_values(Context *c, int reg, int from)
{
    int spill = -1;

    for (uint32_t id = c->reg_values[reg], next; id; id = next) {
        Value *v = &c->values[id];

        next = v->next;
        if (v->last_use < from && !v->refs) {
            continue;
        }
        if (!has_copy(v)) {
            if (spill < 0) {
                spill = spill_alloc(c);
                asm_store(&c->a, 8, spill_mem(spill), reg);
            } else {
                c->spill_refs[spill]++;
            }
            v->spill = spill;
        }
        list_remove(c, id);
    }
}

static void evict(Context *c, int reg)
{
    flush_slots_in(c, reg, true);
    spill_values(c, reg, c->i);
    while (c->reg_values[reg]) { /* dead already */
        list_remove(c, c->reg_values[reg]);
    }
}

/* What it costs to empty a register: the higher the better to keep. */
static int64_t worth(const Context *c, int reg)
{
    int64_t worth = -1;

    for (uint32_t id = c->reg_values[reg]; id; id = c->values[id].next) {
        const Value *v = &c->values[id];
        int64_t w = INT32_MAX - (int64_t)v->last_use;

        if (v->last_use < c->i) {
            w = v->refs ? 1 : 0;
        } else if (has_copy(v)) {
            w = v->is_const ? 2 : 3;
        }
        worth = MAX(worth, w);
    }
    return worth;
}

int alloc_free_temp(Context *c)
{
    int reg = find_free(c);

    if (reg == NO_REG || !(c->temps >> reg & 1)) {
        return NO_REG;
    }
    lock_reg(c, reg);
    return reg;
}

int alloc_temp(Context *c)
{
    int reg = find_free(c);

    if (reg == NO_REG) {
        int64_t least = INT64_MAX;

        for (int r = 0; r < HOST_REGS; r++) {
            if (c->temps >> r & 1 && !((c->locked | c->held | c->kept) >> r & 1) && worth(c, r) < least) {
                least = worth(c, r);
                reg = r;
            }
        }
        if (reg == NO_REG && (c->max_roots > 1 || c->loop.running)) {
            longjmp(c->out_of_registers, 1);
        }
        g_assert(reg != NO_REG);
        evict(c, reg);
    }
    lock_reg(c, reg);
    return reg;
}

void displace(Context *c, int reg, bool strict)
{
    bool needed = false, dirty = false;
    int to;

    for (uint32_t id = c->reg_values[reg]; id; id = c->values[id].next) {
        const Value *v = &c->values[id];

        needed |= v->last_use > c->i && !v->is_const;
        dirty |= v->refs > 0;
    }
    to = needed ? find_free(c) : NO_REG;
    if (to == NO_REG) {
        if (dirty) {
            flush_slots_in(c, reg, strict);
        }
        spill_values(c, reg, c->i + 1);
        return;
    }
    asm_mov_rr(&c->a, 8, to, reg);
    c->region.base_in[to] = 0;
    for (uint32_t id = c->reg_values[reg], next; id; id = next) {
        const Value *v = &c->values[id];

        next = v->next;
        if (v->last_use > c->i || v->refs) {
            value_set_reg(c, id, to, v->clean);
        }
    }
    if (c->locked >> reg & 1) {
        lock_reg(c, to);
    }
}

void value_move_to(Context *c, uint32_t id, int reg, unsigned size)
{
    const Value *v = &c->values[id];

    if (v->is_const) {
        asm_mov_ri(&c->a, reg, size < 8 ? v->imm & (UINT64_MAX >> (64 - size * 8)) : v->imm);
    } else if (v->reg != NO_REG) {
        if (v->reg != reg) {
            asm_mov_rr(&c->a, size, reg, v->reg);
        }
    } else if (v->spill >= 0) {
        asm_load(&c->a, size, reg, spill_mem(v->spill));
    } else {
        asm_load(&c->a, MIN(size, ir_type_size(backend.target.slots[v->home].type)), reg, slot_home(v->home));
    }
}

void value_move_zext(Context *c, uint32_t id, int reg, unsigned size)
{
    const Value *v = &c->values[id];

    if (!v->is_const && v->reg != NO_REG) {
        if (v->reg != reg || (size == 4 && !(v->clean && v->type == IR_I32)) || size < 4) {
            asm_zext_rr(&c->a, size, reg, v->reg);
        }
    } else {
        value_move_to(c, id, reg, size);
    }
}

int value_use(Context *c, uint32_t id)
{
    Value *v = &c->values[id];

    if (v->reg == NO_REG) {
        int reg = alloc_temp(c);
        bool was_spilled = v->spill >= 0 && !v->is_const;

        /* A spilled value keeps all its bits: whether it is clean does not change. */
        value_move_to(c, id, reg, was_spilled ? 8 : ir_type_size(v->type));
        value_set_reg(c, id, reg, was_spilled ? v->clean : true);
    }
    lock_reg(c, v->reg);
    return v->reg;
}

Rm value_rm(Context *c, uint32_t id, unsigned size)
{
    const Value *v = &c->values[id];

    if (v->reg == NO_REG && !v->is_const && v->last_use <= c->i) {
        if (v->spill >= 0) {
            return rm_mem(spill_mem(v->spill));
        }
        if (ir_type_size(backend.target.slots[v->home].type) >= size) {
            return rm_mem(slot_home(v->home));
        }
    }
    return rm_reg(value_use(c, id));
}

bool value_imm(const Context *c, uint32_t id, unsigned size, int32_t *imm)
{
    const Value *v = &c->values[id];

    if (!v->is_const || (size == 8 && !fits_s32(v->imm))) {
        return false;
    }
    *imm = size == 1 ? (int8_t)v->imm : size == 2 ? (int16_t)v->imm : (int32_t)v->imm;
    return true;
}

/* Whether a value is alone in a temporary and nothing needs it after the current insn. */
static bool reusable(const Context *c, uint32_t id)
{
    int reg = c->values[id].reg;

    if (reg == NO_REG || (is_pinned(c, reg) && !is_lent(c, reg))) {
        return false;
    }
    for (uint32_t k = c->reg_values[reg]; k; k = c->values[k].next) {
        const Value *v = &c->values[k];

        if ((v->last_use > c->i && !v->is_const) || v->refs) {
            return false;
        }
    }
    return true;
}

static bool is_in(const Context *c, uint32_t id, int reg)
{
    return id && c->values[id].reg == reg;
}

int out_reg(Context *c, uint32_t out, uint32_t reuse, uint32_t keep, uint32_t keep2, bool strict)
{
    const uint32_t inputs[] = { reuse, keep, keep2 };
    int wish = c->values[out].wish;
    int reg = wish >= 0 ? backend.slot_reg[wish] : NO_REG;

    for (unsigned k = 0; k < G_N_ELEMENTS(inputs); k++) {
        if (inputs[k] && c->values[inputs[k]].reg != NO_REG) {
            lock_reg(c, c->values[inputs[k]].reg);
        }
    }
    if (reg != NO_REG && !is_in(c, keep, reg) && !is_in(c, keep2, reg)) {
        displace(c, reg, strict);
        lock_reg(c, reg);
        return reg;
    }
    if (reuse && reusable(c, reuse)) {
        reg = c->values[reuse].reg;
        if (!is_in(c, keep, reg) && !is_in(c, keep2, reg)) {
            displace(c, reg, strict); /* constants */
            return reg;
        }
    }
    return alloc_temp(c);
}

void values_forget(Context *c)
{
    for (int r = 0; r < HOST_REGS; r++) {
        while (c->reg_values[r]) {
            list_remove(c, c->reg_values[r]);
        }
    }
    for (unsigned s = 0; s < c->ir->n_slots; s++) {
        while (c->slots[s].homes) {
            home_remove(c, c->slots[s].homes);
        }
    }
    memset(c->spill_refs, 0, sizeof(c->spill_refs));
    c->pins_clean = 0;
}
