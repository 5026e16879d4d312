/*
 * Copying and filling elements in pages that the TLB knows, by the host's own string instructions: what overlaps comes out as
 * one by one. Whatever else it is, nothing is done, and the guest's front-end has another way.
 */
#include "backend.h"

enum { MOST = 4096 /* elements, so that sums within a check do not overflow */, FEW = 16 };

/*
 * Registers for the time of an operation: temporaries, as many as there are, then some of guests, whose contents are in memory
 * meanwhile.
 */
typedef struct Borrowed {
    uint32_t taken; /* and those that the operation reads: none of these may be borrowed */
    int8_t pins[3];
    unsigned n_pins;
} Borrowed;

static const int16_t borrowed_areas[] = { AREA_X1, AREA_X2, AREA_RETURN };

static int borrow(Context *c, Borrowed *b)
{
    static const int8_t some[] = { RBX, RBP, RDX, R8, R9 };

    if (c->temps & ~(c->locked | c->held | c->kept)) {
        return alloc_temp(c);
    }
    for (unsigned k = 0; k < G_N_ELEMENTS(some); k++) {
        if (!(b->taken >> some[k] & 1)) {
            b->taken |= 1u << some[k];
            b->pins[b->n_pins] = some[k];
            asm_store(&c->a, 8, mem_state(borrowed_areas[b->n_pins++]), some[k]);
            return some[k];
        }
    }
    g_assert_not_reached();
}

static void give_back(Context *c, const Borrowed *b)
{
    for (unsigned k = 0; k < b->n_pins; k++) {
        asm_load(&c->a, 8, b->pins[k], mem_state(borrowed_areas[k]));
    }
}

/* to = the host address of the elements that a register points to. Returns the jump that is taken if the TLB does not know. */
static uint32_t find_elements(Context *c, const IrInsn *insn, bool is_store, int to, int other, int pointer, int count)
{
    unsigned width = ir_type_size(insn->type);
    Mem last = { .base = pointer, .index = count, .scale = insn->bits, .disp = -1 };
    Asm *a = &c->a;
    uint32_t fails = emit_table_check_run(c, pointer, last, width, is_store, to, other);

    asm_load(a, 8, to, mem_at(to, 8));
    if (width == 4) {
        asm_mov_rr(a, 4, other, pointer);
        pointer = other;
    }
    asm_alu(a, ALU_ADD, 8, to, rm_reg(pointer));
    return fails;
}

/* RCX elements, upward, by a loop: many hosts' string instructions take longer to begin than this does for a few. */
static void step_through(Asm *a, bool is_copy, unsigned shift)
{
    Mem from = { .base = RSI, .index = RCX, .scale = shift }, to = { .base = RDI, .index = RCX, .scale = shift };
    uint32_t top;

    if (is_copy) {
        asm_store(a, 8, mem_state(AREA_SAVE0), RAX);
        asm_lea(a, 8, RSI, from);
    }
    asm_lea(a, 8, RDI, to);
    asm_group3(a, 3, 8, rm_reg(RCX)); /* neg */
    top = asm_offset(a);
    if (is_copy) {
        asm_load(a, 1 << shift, RAX, from);
    }
    asm_store(a, 1 << shift, to, RAX);
    asm_alu_ri(a, ALU_ADD, 8, rm_reg(RCX), 1);
    asm_patch(a, asm_jcc(a, CC_NE), top);
    if (is_copy) {
        asm_load(a, 8, RAX, mem_state(AREA_SAVE0));
    }
}

static void repeat(Asm *a, bool is_copy, unsigned shift)
{
    if (shift == 1) {
        asm_byte(a, 0x66);
    }
    asm_byte(a, 0xf3);
    if (shift == 3) {
        asm_byte(a, 0x48);
    }
    asm_byte(a, (is_copy ? 0xa4 : 0xaa) | (shift != 0));
}

/*
 * A loop's end is predicted where the count is always the same. Else what it costs to guess wrong is more than the start of an
 * instruction, on hosts that have quick ones.
 */
static void do_elements(Context *c, const IrInsn *insn, const Value *count)
{
    bool is_copy = insn->op == IR_try_copy;
    uint32_t many, none, done;
    Asm *a = &c->a;

    if (count->is_const ? count->imm > FEW || count->imm == 0 : host_has(HOST_FSRM)) {
        repeat(a, is_copy, insn->bits);
        return;
    }
    if (count->is_const) {
        step_through(a, is_copy, insn->bits);
        return;
    }
    asm_alu_ri(a, ALU_CMP, 4, rm_reg(RCX), FEW);
    many = asm_jcc(a, CC_A);
    asm_test_rr(a, 4, RCX, RCX);
    none = asm_jcc(a, CC_E);
    step_through(a, is_copy, insn->bits);
    done = asm_jmp(a);
    asm_patch_here(a, many);
    repeat(a, is_copy, insn->bits);
    asm_patch_here(a, done);
    asm_patch_here(a, none);
}

void emit_string(Context *c, const IrInsn *insn)
{
    unsigned width = ir_type_size(insn->type);
    bool is_copy = insn->op == IR_try_copy;
    int to = value_use(c, insn->in[0]), from = value_use(c, insn->in[1]), count = value_use(c, insn->in[2]);
    int source = is_copy ? RSI : RAX, host_to, host_from = NO_REG, left;
    Borrowed b = { .taken = 1u << to | 1u << from | 1u << count };
    Value number = c->values[insn->in[2]];
    ColdStub *stub;
    Asm *a = &c->a;

    number.imm &= ir_mask(insn->type);
    clobber_flags(c);
    left = alloc_temp(c);
    host_to = borrow(c, &b);
    if (is_copy || from != RAX) {
        host_from = borrow(c, &b);
    }
    stub = cold_new(c, COLD_STRING);
    stub->out = left;
    if (!number.is_const || number.imm > MOST) {
        asm_alu_ri(a, ALU_CMP, width, rm_reg(count), MOST);
        stub->jumps[0] = asm_jcc(a, CC_A);
    }
    stub->jumps[2] = find_elements(c, insn, true, host_to, left, to, count);
    if (is_copy) {
        stub->jumps[4] = find_elements(c, insn, false, host_from, left, from, count);
    } else if (host_from != NO_REG) {
        asm_mov_rr(a, 8, host_from, from);
    }
    /* The instruction's registers are the guest's: they come back afterwards. */
    asm_mov_rr(a, count == RCX ? 8 : width, left, count);
    if (count != RCX) {
        asm_exchange(a, left, RCX);
    } else if (width == 4) {
        asm_mov_rr(a, 4, RCX, RCX);
    }
    asm_exchange(a, host_to, RDI);
    if (host_from != NO_REG) {
        asm_exchange(a, host_from, source);
    }
    do_elements(c, insn, &number);
    asm_mov_rr(a, 8, RCX, left);
    asm_mov_rr(a, 8, RDI, host_to);
    if (host_from != NO_REG) {
        asm_mov_rr(a, 8, source, host_from);
    }
    asm_mov_ri(a, left, true);
    stub->resume = asm_offset(a);
    give_back(c, &b);
    value_set_reg(c, insn->out, left, true);
}

void cold_string(Context *c, ColdStub *s)
{
    patch_jumps(c, s);
    asm_mov_ri(&c->a, s->out, false);
    asm_jmp_offset(&c->a, s->resume);
}
