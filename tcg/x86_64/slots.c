/* Slots: reads and writes of guest state. */
#include "backend.h"

static unsigned slot_size(unsigned slot)
{
    return ir_type_size(backend.target.slots[slot].type);
}

static void home_forget(Context *c, uint32_t id)
{
    Value *v = &c->values[id];

    c->slots[v->home].homes = v->next_home;
    v->home = -1;
}

/* Before the home of a slot changes: values that are only there go to registers. */
static void homes_displace(Context *c, unsigned slot)
{
    while (c->slots[slot].homes) {
        uint32_t id = c->slots[slot].homes;
        Value *v = &c->values[id];

        if ((v->last_use > c->i || v->refs) && v->reg == NO_REG && !v->is_const && v->spill < 0) {
            unlock_reg(c, value_use(c, id));
        }
        home_forget(c, id);
    }
}

static void drop_dirty(Context *c, unsigned slot)
{
    Slot *s = &c->slots[slot];

    if (s->dirty) {
        s->dirty = false;
        c->dirty &= ~(1ull << slot);
        c->values[s->value].refs--;
        if (c->values[s->value].last_use < c->i) { /* else it is an input of this insn, or used later */
            value_release(c, s->value);
        }
    }
}

static void set_const(Context *c, uint32_t id, IrType type, uint64_t imm)
{
    c->values[id].is_const = true;
    c->values[id].imm = imm & ir_mask(type);
}

/* The slot's contents is a value that is not in its home. Returns false if it had to be stored. */
static bool get_dirty(Context *c, const IrInsn *insn)
{
    uint32_t id = c->slots[insn->bits].value;
    Value *v = &c->values[id];
    bool wider = ir_type_size(insn->type) > ir_type_size(v->type);

    if (v->is_postponed) {
        order_compute(c, id);
    }
    if (v->is_const) {
        set_const(c, insn->out, insn->type, v->imm);
        return true;
    }
    if (v->reg == NO_REG) {
        unlock_reg(c, value_use(c, id));
    }
    if (wider && !(v->clean && v->type == IR_I32)) {
        slots_flush(c, 1ull << insn->bits);
        return false;
    }
    value_set_reg(c, insn->out, v->reg, insn->type == IR_I32 && v->type == IR_I32 && v->clean);
    return true;
}

void slot_get(Context *c, const IrInsn *insn)
{
    unsigned s = insn->bits;
    int pin = backend.slot_reg[s];

    if (pin != NO_REG) {
        bool clean = slot_size(s) <= 4 || c->pins_clean >> pin & 1;

        value_set_reg(c, insn->out, pin, insn->type == IR_I32 && clean);
        return;
    }
    if (c->slots[s].dirty && get_dirty(c, insn)) {
        return;
    }
    c->values[insn->out].home = s;
    c->values[insn->out].next_home = c->slots[s].homes;
    c->slots[s].homes = insn->out;
}

/*
 * Whether a value that has been copied into a slot's register should be there from now on: that frees a temporary or the
 * register of a slot that has gone, unless it is about to be put into that one as well, and spares loads of what is in memory.
 */
static bool is_better_here(const Context *c, const Value *v)
{
    if (v->reg == NO_REG) {
        return v->home >= 0 || v->spill >= 0;
    }
    return !is_pinned(c, v->reg) || (is_dead_pin(c, v->reg) && !(v->wish >= 0 && backend.slot_reg[v->wish] == v->reg));
}

static void put_pinned(Context *c, const IrInsn *insn, int pin)
{
    uint32_t id = insn->in[0];
    Value *v = &c->values[id];
    unsigned size = ir_type_size(insn->type);
    bool zero_extends = size == 4 && slot_size(insn->bits) == 8;
    bool clean = zero_extends || (size == 8 && ir_upper_half_is_zero(c->ir, id));

    if (v->reg == pin && !v->is_const) {
        if (zero_extends && !(v->clean && v->type == IR_I32)) {
            displace(c, pin, false);
            asm_mov_rr(&c->a, 4, pin, pin);
        }
    } else {
        displace(c, pin, false);
        if (v->is_const && (v->imm & ir_mask(insn->type)) == 0 &&
            (!c->flags_now || c->values[c->flags_now].last_use <= c->i)) {
            c->flags_now = 0;
            asm_alu(&c->a, ALU_XOR, 4, pin, rm_reg(pin));
        } else {
            value_move_zext(c, id, pin, size);
        }
        if (!v->is_const && v->type == insn->type && is_better_here(c, v)) {
            value_set_reg(c, id, pin, true);
        }
    }
    c->pins_clean &= ~(1u << pin);
    c->pins_clean |= (uint32_t)clean << pin;
}

/* Bits 0-7 or 0-15 of a pinned register. */
static void put_pinned_low(Context *c, const IrInsn *insn, int pin)
{
    const Value *v = &c->values[insn->in[0]];
    unsigned size = ir_type_size(insn->type);
    int32_t imm;

    if (v->reg == pin && !v->is_const) {
        return;
    }
    displace(c, pin, false);
    if (value_imm(c, insn->in[0], size, &imm)) {
        asm_op(&c->a, size == 1 ? 0xc6 | BYTE_RM : 0xc7, size, 0, rm_reg(pin));
        asm_byte(&c->a, imm);
        if (size == 2) {
            asm_byte(&c->a, imm >> 8);
        }
    } else {
        asm_op(&c->a, size == 1 ? 0x8a | BYTE_REG | BYTE_RM : 0x8b, size, pin,
               value_rm(c, insn->in[0], size));
    }
}

static void store_low(Context *c, uint32_t id, unsigned size, Mem home)
{
    int32_t imm;

    if (value_imm(c, id, size, &imm)) {
        asm_store_imm(&c->a, size, home, imm);
    } else {
        asm_store(&c->a, size, home, value_use(c, id));
    }
}

static void put_memory(Context *c, const IrInsn *insn)
{
    unsigned s = insn->bits, size = ir_type_size(insn->type);
    uint32_t id = insn->in[0];
    Value *v = &c->values[id];
    bool full = size == slot_size(s) || (size == 4 && slot_size(s) == 8);

    if (size == slot_size(s) && v->home == (int)s && ir_type_size(v->type) == size && !c->slots[s].dirty) {
        return;
    }
    if (full && v->type == insn->type) {
        v->refs++; /* also keeps it, if the slot's home is where it is */
        homes_displace(c, s);
        drop_dirty(c, s);
        c->slots[s].value = id;
        c->slots[s].dirty = true;
        c->dirty |= 1ull << s;
        return;
    }
    if (full) { /* the low part of a wider value */
        Mem high = slot_home(s);

        if (!v->is_const) {
            value_use(c, id);
        }
        homes_displace(c, s);
        drop_dirty(c, s);
        store_low(c, id, MIN(size, 4), slot_home(s));
        if (slot_size(s) == 8) {
            g_assert(size == 4);
            high.disp += 4;
            asm_store_imm(&c->a, 4, high, 0);
        }
        return;
    }
    slots_flush(c, 1ull << s);
    if (!v->is_const) {
        value_use(c, id);
    }
    homes_displace(c, s);
    store_low(c, id, size, slot_home(s));
}

void slot_put(Context *c, const IrInsn *insn)
{
    int pin = backend.slot_reg[insn->bits];
    unsigned size = ir_type_size(insn->type);

    if (pin == NO_REG) {
        put_memory(c, insn);
    } else if (size >= 4 || size == slot_size(insn->bits)) {
        put_pinned(c, insn, pin);
    } else {
        put_pinned_low(c, insn, pin);
    }
}

static void rotate_right(Context *c, unsigned size, int to, int from, unsigned count)
{
    if (host_has(HOST_BMI2)) {
        asm_vex(&c->a, 0xf0 | MAP_3A | P_F2, size == 8, false, to, 0, rm_reg(from)); /* rorx */
        asm_byte(&c->a, count);
        return;
    }
    clobber_flags(c);
    if (to != from) {
        asm_mov_rr(&c->a, size, to, from);
    }
    asm_shift_imm(&c->a, SH_ROR, size, to, count);
}

void slot_get8h(Context *c, const IrInsn *insn)
{
    unsigned s = insn->bits;
    int pin = backend.slot_reg[s], out;

    if (pin == NO_REG) {
        Mem m = slot_home(s);

        slots_flush(c, 1ull << s);
        m.disp++;
        out = alloc_temp(c);
        asm_load(&c->a, 1, out, m);
    } else {
        out = alloc_temp(c);
        rotate_right(c, 4, out, pin, 8);
    }
    value_set_reg(c, insn->out, out, false);
}

void slot_put8h(Context *c, const IrInsn *insn)
{
    unsigned s = insn->bits;
    uint32_t id = insn->in[0];
    int pin = backend.slot_reg[s], from;
    const Value *v = &c->values[id];

    if (pin == NO_REG) {
        Mem m = slot_home(s);

        slots_flush(c, 1ull << s);
        if (!v->is_const) {
            value_use(c, id);
        }
        homes_displace(c, s);
        m.disp++;
        store_low(c, id, 1, m);
        return;
    }
    if (v->is_const && pin <= RBX) { /* mov ah, imm8 */
        displace(c, pin, false);
        asm_byte(&c->a, 0xb4 | pin);
        asm_byte(&c->a, v->imm);
        return;
    }
    from = value_use(c, id);
    if (from == pin) {
        from = alloc_temp(c);
        asm_mov_rr(&c->a, 4, from, pin);
    }
    displace(c, pin, false);
    if (from <= RBX && pin <= RBX) { /* mov ah, cl: without REX */
        asm_byte(&c->a, 0x88);
        asm_byte(&c->a, 0xc0 | from << 3 | (4 + pin));
        return;
    }
    rotate_right(c, 8, pin, pin, 8);
    asm_op(&c->a, 0x8a | BYTE_REG | BYTE_RM, 1, pin, rm_reg(from));
    rotate_right(c, 8, pin, pin, 56);
}

void slots_forget(Context *c, uint64_t mask)
{
    for (mask &= (c->ir->n_slots == 64 ? UINT64_MAX : (1ull << c->ir->n_slots) - 1); mask; mask &= mask - 1) {
        unsigned s = __builtin_ctzll(mask);
        int pin = backend.slot_reg[s];

        if (pin != NO_REG) {
            displace(c, pin, true);
            c->pins_clean &= ~(1u << pin);
        } else {
            homes_displace(c, s);
        }
    }
}
