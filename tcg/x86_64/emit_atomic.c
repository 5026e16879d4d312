/* Atomic operations on guest memory: host instructions with a lock prefix where the TLB allows. */
#include "backend.h"

static Alu atomic_alu(IrOp op)
{
    return op == IR_atomic_and ? ALU_AND : op == IR_atomic_or ? ALU_OR : ALU_XOR;
}

/* and, or, xor whose old value is wanted: it is left in rax. */
static void update_loop(Context *c, const IrInsn *insn, Mem mem, int new)
{
    unsigned size = ir_type_size(insn->type);
    Asm *a = &c->a;
    uint32_t again;

    asm_load(a, size, RAX, mem);
    again = asm_offset(a);
    asm_mov_rr(a, 8, new, RAX);
    asm_alu(a, atomic_alu(insn->op), 8, new, rm_mem(mem_state(AREA_X1)));
    asm_op(a, P_LOCK | MAP_0F | (size == 1 ? 0xb0 | BYTE_REG : 0xb1), size, new, rm_mem(mem));
    asm_byte(a, 0x70 | CC_NE);
    asm_byte(a, again - (asm_offset(a) + 1));
}

/*
 * Registers: with rax the operand, its contents is kept in AREA_SAVE0 and comes back behind the
 * access. The operands' registers must then not be rax: they are copied.
 */
void emit_atomic(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    bool used = c->values[insn->out].last_use >= 0;
    bool cmpxchg = insn->op == IR_atomic_cmpxchg;
    bool locked_alu = !used && (insn->op == IR_atomic_and || insn->op == IR_atomic_or || insn->op == IR_atomic_xor);
    bool in_rax = cmpxchg || (!locked_alu && insn->op != IR_atomic_add && insn->op != IR_atomic_xchg);
    int b, new = NO_REG, out;
    Address addr;
    ColdStub *stub;
    Mem mem;

    clobber_flags(c);
    slots_flush(c, UINT64_MAX); /* frees temporaries, which are scarce here */
    c->values[insn->out].wish = -1;
    addr = address_of(c, insn);
    /* Operands go to memory: the thunk wants them there, and registers come back from there. */
    b = value_use(c, insn->in[1]);
    asm_store(&c->a, 8, mem_state(AREA_X1), b);
    unlock_reg(c, b);
    if (cmpxchg) {
        new = value_use(c, insn->in[2]);
        asm_store(&c->a, 8, mem_state(AREA_X2), new);
        unlock_reg(c, new);
    }
    stub = begin_access(c, insn, COLD_ATOMIC, true);
    stub->imm = TCG_ATOMIC(insn->op, size);
    out = alloc_temp(c); /* before the branches to the stub: what is evicted for it is so on both paths */
    stub->out = out;
    mem = emit_probe(c, stub, addr, size, true, 1);
    stub->snapshot = snapshot_take(c, UINT64_MAX);
    if (size > 1) { /* misaligned within a page: not as one host instruction, which could split a line */
        int t = mem.base;

        if (mem.index != NO_REG) {
            asm_lea(&c->a, 8, t, mem);
            mem = mem_at(t, 0);
        }
        asm_test_imm(&c->a, 1, rm_reg(t), size - 1);
        stub->jumps[1] = asm_jcc(&c->a, CC_NE);
    } else if (mem.index != NO_REG) {
        asm_lea(&c->a, 8, mem.base, mem);
        mem = mem_at(mem.base, 0);
    }
    if (in_rax) {
        asm_store(&c->a, 8, mem_state(AREA_SAVE0), RAX);
        if (cmpxchg) {
            asm_load(&c->a, 8, RAX, mem_state(AREA_X1));
            asm_load(&c->a, 8, out, mem_state(AREA_X2));
            asm_op(&c->a, P_LOCK | MAP_0F | (size == 1 ? 0xb0 | BYTE_REG : 0xb1), size, out, rm_mem(mem));
        } else {
            update_loop(c, insn, mem, out);
        }
        asm_mov_rr(&c->a, 8, out, RAX);
        asm_load(&c->a, 8, RAX, mem_state(AREA_SAVE0));
    } else {
        asm_load(&c->a, 8, out, mem_state(AREA_X1));
        if (locked_alu) {
            asm_op(&c->a, P_LOCK | atomic_alu(insn->op) << 3 | (size == 1 ? 0 | BYTE_REG : 1), size, out, rm_mem(mem));
        } else if (insn->op == IR_atomic_add) {
            asm_op(&c->a, P_LOCK | MAP_0F | (size == 1 ? 0xc0 | BYTE_REG : 0xc1), size, out, rm_mem(mem));
        } else {
            asm_op(&c->a, size == 1 ? 0x86 | BYTE_REG : 0x87, size, out, rm_mem(mem));
        }
    }
    stub->resume = asm_offset(&c->a);
    if (used) {
        value_set_reg(c, insn->out, out, false);
    }
}

void cold_atomic(Context *c, ColdStub *s)
{
    patch_jumps(c, s);
    if (s->jumps[1]) {
        asm_patch_here(&c->a, s->jumps[1]);
    }
    for (int area = AREA_X1; area >= AREA_X2; area -= 8) { /* zero-extended */
        asm_load(&c->a, s->size, s->out, mem_state(area));
        asm_store(&c->a, 8, mem_state(area), s->out);
    }
    cold_address(c, s);
    asm_store_imm(&c->a, 8, mem_state(AREA_SAVE1), s->imm); /* operation and size */
    cold_call(c, s, THUNK_ATOMIC);
    asm_load(&c->a, 8, s->out, mem_state(AREA_X0));
    asm_jmp_offset(&c->a, s->resume);
}
