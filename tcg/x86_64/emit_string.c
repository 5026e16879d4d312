/*
 * Copying and filling elements in pages that the TLB knows, by the host's own string instructions: what overlaps comes out as
 * one by one. Whatever else it is, nothing is done, and the guest's front-end has another way.
 */
#include "backend.h"

#define PAGE_MASK (~(int32_t)0xfff)
enum { MOST = 4096 /* elements, so that sums within a check do not overflow */, FAILS = 6, FEW = 16 };

typedef struct Fails {
    uint32_t jumps[FAILS];
    unsigned n;
} Fails;

static void fail_at(Fails *f, uint32_t jump)
{
    g_assert(f->n < FAILS);
    f->jumps[f->n++] = jump;
}

static void fail_if(Context *c, Fails *f, IrCc cc)
{
    fail_at(f, asm_jcc(&c->a, cc));
}

/* Registers whose contents are elsewhere meanwhile. */
typedef struct Spare {
    int to, other;
} Spare;

/* s.to = the host address of the elements that a register points to. */
static void find_elements(Context *c, const IrInsn *insn, Fails *f, bool is_store, Spare s, int pointer, int count)
{
    unsigned width = ir_type_size(insn->type);
    Address addr = { .reg = pointer, .size = width };
    Asm *a = &c->a;

    asm_lea(a, width, s.other, (Mem){ .base = pointer, .index = count, .scale = insn->bits, .disp = -1 });
    asm_alu(a, ALU_XOR, width, s.other, rm_reg(pointer));
    asm_test_imm(a, width, rm_reg(s.other), PAGE_MASK);
    fail_if(c, f, CC_NE);
    fail_at(f, emit_table_check(c, addr, 1, is_store, s.to, s.other));
    asm_mov_rr(a, width, s.other, pointer);
    asm_load(a, 8, s.to, mem_at(s.to, 8));
    asm_alu(a, ALU_ADD, 8, s.to, rm_reg(s.other));
}

/*
 * RCX elements, upward, by a loop: the host's string instructions take longer to begin than this does for a few. data is
 * what is stored; of a copy, another register that may change.
 */
static void step_through(Asm *a, bool is_copy, unsigned shift, int data)
{
    Mem from = { .base = RSI, .index = RCX, .scale = shift }, to = { .base = RDI, .index = RCX, .scale = shift };
    uint32_t top;

    if (is_copy) {
        asm_lea(a, 8, RSI, from);
    }
    asm_lea(a, 8, RDI, to);
    asm_group3(a, 3, 8, rm_reg(RCX)); /* neg */
    top = asm_offset(a);
    if (is_copy) {
        asm_load(a, 1 << shift, data, from);
    }
    asm_store(a, 1 << shift, to, data);
    asm_alu_ri(a, ALU_ADD, 8, rm_reg(RCX), 1);
    asm_patch(a, asm_jcc(a, CC_NE), top);
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

/* The registers that the instruction works on are the guest's: they come back afterwards. Of a copy, the source is in s.to. */
static void do_elements(Context *c, const IrInsn *insn, Spare s, int from, int count)
{
    bool is_copy = insn->op == IR_try_copy;
    int source = is_copy ? RSI : RAX;
    uint32_t many, done;
    Asm *a = &c->a;

    asm_store(a, 8, mem_state(AREA_SAVE0), RDI);
    asm_store(a, 8, mem_state(AREA_SAVE1), source);
    asm_store(a, 8, mem_state(AREA_X0), RCX);
    asm_mov_rr(a, ir_type_size(insn->type), s.other, count);
    asm_mov_rr(a, 8, source, is_copy ? s.to : from);
    asm_load(a, 8, RDI, mem_state(AREA_X1));
    asm_mov_rr(a, 8, RCX, s.other);
    asm_alu_ri(a, ALU_CMP, 4, rm_reg(RCX), FEW);
    many = asm_jcc(a, CC_A);
    step_through(a, is_copy, insn->bits, is_copy ? s.other : RAX);
    done = asm_jmp(a);
    asm_patch_here(a, many);
    repeat(a, is_copy, insn->bits);
    asm_patch_here(a, done);
    asm_load(a, 8, RDI, mem_state(AREA_SAVE0));
    asm_load(a, 8, source, mem_state(AREA_SAVE1));
    asm_load(a, 8, RCX, mem_state(AREA_X0));
}

/* Two registers that are neither inputs nor the instruction's. */
static Spare spare_registers(uint32_t inputs)
{
    static const int8_t some[] = { RBX, RBP, RDX, R8, R9 };
    Spare s = { NO_REG, NO_REG };

    for (unsigned k = 0; s.other == NO_REG; k++) {
        if (!(inputs >> some[k] & 1)) {
            *(s.to == NO_REG ? &s.to : &s.other) = some[k];
        }
    }
    return s;
}

void emit_string(Context *c, const IrInsn *insn)
{
    unsigned width = ir_type_size(insn->type);
    int to = value_use(c, insn->in[0]), from = value_use(c, insn->in[1]), count = value_use(c, insn->in[2]);
    Spare s = spare_registers(1u << to | 1u << from | 1u << count);
    Fails fails = { 0 };
    uint32_t none, done;
    Asm *a = &c->a;
    int out;

    clobber_flags(c);
    asm_store(a, 8, mem_state(AREA_X2), s.to);
    asm_store(a, 8, mem_state(AREA_RETURN), s.other);
    asm_alu_ri(a, ALU_CMP, width, rm_reg(count), MOST);
    fail_if(c, &fails, CC_A);
    asm_test_rr(a, width, count, count);
    none = asm_jcc(a, CC_E);
    find_elements(c, insn, &fails, true, s, to, count);
    asm_store(a, 8, mem_state(AREA_X1), s.to);
    if (insn->op == IR_try_copy) {
        find_elements(c, insn, &fails, false, s, from, count);
    }
    do_elements(c, insn, s, from, count);
    asm_patch_here(a, none);
    asm_store_imm(a, 4, mem_state(AREA_X0), 1);
    done = asm_jmp(a);
    for (unsigned i = 0; i < fails.n; i++) {
        asm_patch_here(a, fails.jumps[i]);
    }
    asm_store_imm(a, 4, mem_state(AREA_X0), 0);
    asm_patch_here(a, done);
    asm_load(a, 8, s.to, mem_state(AREA_X2));
    asm_load(a, 8, s.other, mem_state(AREA_RETURN));
    unlock_reg(c, to);
    unlock_reg(c, from);
    unlock_reg(c, count);
    out = alloc_temp(c);
    asm_load(a, 4, out, mem_state(AREA_X0));
    value_set_reg(c, insn->out, out, true);
}
