/*
 * IR_order, which condition fields are made of: computed where it is made if anything reads it. One that only goes to
 * slots in memory is postponed, until its slot must be there, and most are replaced before that. Its inputs stay for it
 * (Value.refs); the fault map, and the stubs of exits, have it as a place of its own.
 */
#include "backend.h"

static const IrInsn *definition(const Context *c, uint32_t id)
{
    return &c->ir->insns[c->ir->value_def[id]];
}

static void hold_inputs(Context *c, const IrInsn *insn)
{
    for (unsigned k = 0; k < 3; k++) {
        c->values[insn->in[k]].refs++;
    }
}

void order_release_inputs(Context *c, uint32_t id)
{
    const IrInsn *insn = definition(c, id);

    for (unsigned k = 0; k < 3; k++) {
        Value *v = &c->values[insn->in[k]];

        v->refs--;
        if (v->last_use < c->i) { /* else it is an input of the current insn, or used later */
            value_release(c, insn->in[k]);
        }
    }
}

/* The low byte of `to` becomes 8, 4 or 2 by EFLAGS: 2 * (different + 2 * less) + 2. */
static void select_bits(Asm *a, bool is_signed, int to, int scratch)
{
    asm_setcc(a, CC_NE, to);
    asm_setcc(a, is_signed ? CC_L : CC_B, scratch);
    asm_lea(a, 4, to, (Mem){ .base = to, .index = scratch, .scale = 1 });
    asm_lea(a, 4, to, (Mem){ .base = to, .index = to, .disp = 2 });
}

static void compute(Context *c, const IrInsn *insn)
{
    uint32_t add = insn->in[2];
    const Value *v = &c->values[add];
    uint16_t locked = c->locked;
    int out, scratch;

    compare_values(c, ir_type_size(insn->type), insn->in[0], insn->in[1]);
    c->locked = locked;
    if (v->reg != NO_REG) {
        lock_reg(c, v->reg);
    }
    out = alloc_temp(c);
    scratch = alloc_temp(c);
    select_bits(&c->a, insn->bits, out, scratch);
    unlock_reg(c, scratch);
    if (v->is_const) {
        asm_alu_ri(&c->a, ALU_ADD, 4, rm_reg(out), v->imm & 0xff);
    } else if (v->reg == NO_REG && v->spill < 0) {
        asm_alu(&c->a, ALU_ADD, 1, out, rm_mem(slot_home(v->home)));
    } else {
        asm_alu(&c->a, ALU_ADD, 1, out, value_rm(c, add, 1));
    }
    value_set_reg(c, insn->out, out, false);
}

void emit_order(Context *c, const IrInsn *insn)
{
    Value *v = &c->values[insn->out];

    if (v->is_read) {
        compute(c, insn);
    } else {
        v->is_postponed = true;
        hold_inputs(c, insn);
    }
}

void order_compute(Context *c, uint32_t id)
{
    uint16_t locked = c->locked;

    compute(c, definition(c, id));
    c->values[id].is_postponed = false;
    order_release_inputs(c, id);
    c->locked = locked;
}

uint64_t orders_postponed(const Context *c)
{
    uint64_t slots = 0;

    for (uint64_t mask = c->dirty; mask; mask &= mask - 1) {
        unsigned slot = __builtin_ctzll(mask);

        slots |= (uint64_t)c->values[c->slots[slot].value].is_postponed << slot;
    }
    return slots;
}

/* Two constants are as good as any others in the same order. */
static void shorten_constants(Order *o)
{
    uint64_t mask = ir_mask(o->type), sign = o->is_signed ? (mask >> 1) + 1 : 0;
    uint64_t a = (o->in[0].imm ^ sign) & mask, b = (o->in[1].imm ^ sign) & mask;

    if (o->in[0].kind == PLACE_CONST && o->in[1].kind == PLACE_CONST) {
        o->in[0].imm = a > b;
        o->in[1].imm = a < b;
    }
}

Place order_place(Context *c, uint32_t id)
{
    const IrInsn *insn = definition(c, id);
    Order order = { .type = insn->type, .is_signed = insn->bits };
    Place p = { .kind = PLACE_ORDER, .reg = NO_REG, .size = ir_type_size(insn->type) << 1 | insn->bits };

    for (unsigned k = 0; k < 3; k++) {
        order.in[k] = value_place(c, insn->in[k]);
    }
    shorten_constants(&order);
    p.imm = c->n_orders;
    *CONTEXT_PUSH(c, orders) = order;
    return p;
}

static uint16_t registers_of(const Order *o)
{
    uint16_t mask = 0;

    for (unsigned k = 0; k < 3; k++) {
        mask |= o->in[k].kind == PLACE_REG ? 1u << o->in[k].reg : 0;
    }
    return mask;
}

static Rm rm_of(const Place *p)
{
    return p->kind == PLACE_REG ? rm_reg(p->reg) : rm_mem(mem_state(p->disp));
}

/* EFLAGS of the comparison. The scratch register is for what is no operand as it is. */
static void compare_places(Asm *a, const Order *o, int scratch)
{
    unsigned size = ir_type_size(o->type);
    const Place *x = &o->in[0], *y = &o->in[1];
    bool fits = y->kind == PLACE_CONST && (size < 8 || fits_s32(y->imm));
    Rm left = rm_reg(scratch);

    if (x->kind == PLACE_CONST) {
        asm_mov_ri(a, scratch, x->imm);
    } else if (x->kind == PLACE_MEM && y->kind == PLACE_MEM) {
        asm_load(a, size, scratch, mem_state(x->disp));
    } else {
        left = rm_of(x);
    }
    if (fits) {
        asm_alu_ri(a, ALU_CMP, size, left, (int32_t)y->imm);
    } else if (y->kind == PLACE_CONST) {
        asm_mov_ri(a, scratch, y->imm);
        asm_alu_mr(a, ALU_CMP, size, left, scratch);
    } else if (y->kind == PLACE_REG) {
        asm_alu_mr(a, ALU_CMP, size, left, y->reg);
    } else {
        asm_alu(a, ALU_CMP, size, left.reg, rm_of(y));
    }
}

/* Registers without any of the inputs, those that nothing else needs first. */
static int take_scratch(const Context *c, uint16_t inputs, uint16_t others)
{
    uint16_t all = c->temps & ~inputs, best = all & ~others;

    g_assert(all);
    return __builtin_ctz(best ? best : all);
}

void order_store(Context *c, Place *p, uint16_t others)
{
    Order *o = &c->orders[p->imm];
    Asm *a = &c->a;
    uint16_t inputs;
    int to, scratch;

    if (o->in[2].kind == PLACE_REG) { /* so that two temporaries are always left */
        asm_store(a, 1, mem_state(AREA_X0), o->in[2].reg);
        o->in[2] = (Place){ .kind = PLACE_MEM, .reg = NO_REG, .size = 1, .disp = AREA_X0 };
    }
    inputs = registers_of(o);
    to = take_scratch(c, inputs, others);
    scratch = take_scratch(c, inputs | 1u << to, others);
    if (others >> to & 1) {
        asm_store(a, 8, mem_state(AREA_SAVE0), to);
    }
    if (others >> scratch & 1) {
        asm_store(a, 8, mem_state(AREA_SAVE1), scratch);
    }
    compare_places(a, o, to);
    select_bits(a, o->is_signed, to, scratch);
    if (o->in[2].kind == PLACE_CONST) {
        asm_alu_ri(a, ALU_ADD, 4, rm_reg(to), o->in[2].imm & 0xff);
    } else {
        asm_alu(a, ALU_ADD, 1, to, rm_of(&o->in[2]));
    }
    asm_store(a, 1, slot_home(p->slot), to);
    if (others >> to & 1) {
        asm_load(a, 8, to, mem_state(AREA_SAVE0));
    }
    if (others >> scratch & 1) {
        asm_load(a, 8, scratch, mem_state(AREA_SAVE1));
    }
}

uint16_t order_registers(const Context *c, const Place *p)
{
    return registers_of(&c->orders[p->imm]);
}
