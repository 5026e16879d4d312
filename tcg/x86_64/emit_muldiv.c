/*
 * Multiplication and division. The long forms work in rax and rdx, which are guest registers: where
 * the results do not belong there, the registers' contents are kept in memory meanwhile.
 */
#include "backend.h"

static void emit_mul(Context *c, const IrInsn *insn)
{
    bool flags = flags_wanted(c, insn);
    unsigned size = flags ? ir_type_size(insn->type) : MAX(4, ir_type_size(insn->type));
    uint32_t a = insn->in[0], b = insn->in[1];
    int32_t imm;
    int out;
    Rm rm;

    if (c->values[a].is_const) {
        a = insn->in[1];
        b = insn->in[0];
    }
    clobber_flags(c);
    if (value_imm(c, b, size, &imm)) {
        rm = value_rm(c, a, size);
        out = out_reg(c, insn->out, a, 0, 0, false);
        asm_op(&c->a, fits_s8(imm) ? 0x6b : 0x69, size, out, rm);
        if (fits_s8(imm)) {
            asm_byte(&c->a, imm);
        } else if (size == 2) {
            asm_byte(&c->a, imm);
            asm_byte(&c->a, imm >> 8);
        } else {
            asm_u32(&c->a, imm);
        }
    } else {
        out = out_reg(c, insn->out, a, b == a ? 0 : b, 0, false);
        rm = value_rm(c, b, size);
        value_move_to(c, a, out, size);
        asm_op(&c->a, 0xaf | MAP_0F, size, out, a == b && !rm.is_mem ? rm_reg(out) : rm);
    }
    value_set_reg(c, insn->out, out, size == 4);
    define_flags(c, insn);
}

/* Where an input is while rax and rdx are being set up. */
static Rm safe_input(Context *c, uint32_t id, unsigned size)
{
    int reg = c->values[id].is_const ? NO_REG : c->values[id].reg;

    if (reg == RAX) {
        return rm_mem(mem_state(AREA_SAVE0));
    }
    if (reg == RDX) {
        return rm_mem(mem_state(AREA_SAVE1));
    }
    if (reg == NO_REG && !c->values[id].is_const && c->values[id].spill >= 0) {
        return rm_mem(spill_mem(c->values[id].spill));
    }
    return rm_reg(value_use(c, id));
}

static void load_rm(Context *c, unsigned size, int to, Rm from)
{
    if (from.is_mem) {
        asm_load(&c->a, size, to, from.mem);
    } else {
        asm_mov_rr(&c->a, size, to, from.reg);
    }
}

static bool wishes_for(Context *c, uint32_t out, int reg)
{
    const Value *v = &c->values[out];

    return v->wish >= 0 && backend.slot_reg[v->wish] == reg && v->last_use >= 0;
}

typedef struct Fixed {
    bool keep[2];     /* rax, rdx: the old contents come back */
    int temp[2];      /* where the results go then */
} Fixed;

static void fixed_begin(Context *c, const IrInsn *insn, Fixed *f, unsigned inputs)
{
    static const int8_t regs[] = { RAX, RDX };

    for (unsigned k = 0; k < inputs; k++) {
        if (c->values[insn->in[k]].reg != NO_REG) {
            lock_reg(c, c->values[insn->in[k]].reg);
        }
    }
    for (unsigned k = 0; k < 2; k++) {
        bool unused = !is_pinned(c, regs[k]);

        f->keep[k] = !wishes_for(c, insn->out + k, regs[k]);
        if (!f->keep[k]) {
            displace(c, regs[k], false);
        } else if (unused) {
            displace(c, regs[k], false);
        }
        lock_reg(c, regs[k]);
        asm_store(&c->a, 8, mem_state(k ? AREA_SAVE1 : AREA_SAVE0), regs[k]);
    }
}

static void fixed_end(Context *c, const IrInsn *insn, const Fixed *f, bool byte_pair, unsigned size)
{
    static const int8_t regs[] = { RAX, RDX };

    c->locked = 1u << RAX | 1u << RDX;
    if (byte_pair) { /* the high half or remainder is in ah */
        asm_byte(&c->a, 0x0f); /* movzx edx, ah */
        asm_byte(&c->a, 0xb6);
        asm_byte(&c->a, 0xd4);
    }
    for (unsigned k = 0; k < 2; k++) {
        uint32_t out = insn->out + k;
        int reg = regs[k];

        if (f->keep[k] && c->values[out].last_use >= 0) {
            reg = alloc_temp(c);
            asm_mov_rr(&c->a, 8, reg, regs[k]);
        }
        if (f->keep[k]) {
            asm_load(&c->a, 8, regs[k], mem_state(k ? AREA_SAVE1 : AREA_SAVE0));
        }
        if (c->values[out].last_use >= 0) {
            value_set_reg(c, out, reg, size == 4);
        }
    }
}

void emit_counter(Context *c, const IrInsn *insn)
{
    Fixed fixed;

    fixed_begin(c, insn, &fixed, 0);
    asm_byte(&c->a, 0x0f); /* rdtsc */
    asm_byte(&c->a, 0x31);
    fixed_end(c, insn, &fixed, false, 8);
}

static bool is_in(const Context *c, uint32_t id, int reg)
{
    return !c->values[id].is_const && c->values[id].reg == reg;
}

/* mulx: one factor is in rdx already, the halves go anywhere, EFLAGS stay. */
static bool try_mulx(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    bool second = is_in(c, insn->in[1], RDX);
    int other, low, high;

    if (insn->op != IR_mulu2 || size < 4 || flags_wanted(c, insn) || !host_has(HOST_BMI2) || (!second && !is_in(c, insn->in[0], RDX))) {
        return false;
    }
    lock_reg(c, RDX);
    other = value_use(c, insn->in[!second]);
    low = out_reg(c, insn->out, 0, insn->in[0], insn->in[1], false);
    high = out_reg(c, insn->out + 1, 0, insn->in[0], insn->in[1], false);
    asm_vex(&c->a, 0xf6 | MAP_38 | P_F2, size == 8, false, high, low, rm_reg(other));
    value_set_reg(c, insn->out, low, size == 4);
    value_set_reg(c, insn->out + 1, high, size == 4);
    return true;
}

/* rdx:rax = rax * operand. */
static void emit_long_mul(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    uint32_t a = insn->in[0], b = insn->in[1];
    Fixed f;
    Rm x, y;

    if (try_mulx(c, insn)) {
        return;
    }
    clobber_flags(c);
    fixed_begin(c, insn, &f, 2);
    x = safe_input(c, a, size);
    y = safe_input(c, b, size);
    load_rm(c, size, RAX, x);
    asm_group3(&c->a, insn->op == IR_mulu2 ? 4 : 5, size, y);
    fixed_end(c, insn, &f, size == 1, size);
    define_flags(c, insn);
}

/* Values of one-output multiplication whose flags at 8 bits only the long form gives. */
static void emit_mul8(Context *c, const IrInsn *insn)
{
    int out;
    Rm x, y;

    clobber_flags(c);
    asm_store(&c->a, 8, mem_state(AREA_SAVE0), RAX);
    asm_store(&c->a, 8, mem_state(AREA_SAVE1), RDX);
    x = safe_input(c, insn->in[0], 1);
    y = safe_input(c, insn->in[1], 1);
    c->values[insn->out].wish = -1;
    load_rm(c, 1, RAX, x);
    asm_group3(&c->a, 5, 1, y);
    c->locked = 1u << RAX | 1u << RDX;
    out = alloc_temp(c);
    asm_mov_rr(&c->a, 4, out, RAX);
    asm_load(&c->a, 8, RAX, mem_state(AREA_SAVE0));
    value_set_reg(c, insn->out, out, false);
    define_flags(c, insn);
}

/*
 * The processor's own check: a division that faults comes back as SIGFPE (signal.c). Where rax or rdx
 * have changed by then, the fault map says that their slots' contents is in AREA_SAVE0 and 1.
 */
static void emit_checked_div(Context *c, const IrInsn *insn)
{
    static const int8_t regs[] = { RAX, RDX };
    unsigned size = ir_type_size(insn->type);
    Fixed f;
    Rm divisor;
    Rm in[2];
    Snapshot snapshot = { .first = c->n_places };

    clobber_flags(c);
    for (unsigned k = 0; k < 3; k++) {
        if (c->values[insn->in[k]].reg != NO_REG) {
            lock_reg(c, c->values[insn->in[k]].reg);
        }
    }
    for (unsigned k = 0; k < 2; k++) {
        f.keep[k] = !wishes_for(c, insn->out + k, regs[k]);
        if (!f.keep[k] || !is_pinned(c, regs[k])) {
            displace(c, regs[k], true);
        }
        lock_reg(c, regs[k]);
    }
    for (unsigned k = 0; k < 2; k++) { /* kept, read from there, or to be restored */
        bool in_place = is_in(c, insn->in[k], regs[k]);

        if (f.keep[k] || !in_place || is_in(c, insn->in[2], regs[k]) || is_in(c, insn->in[!k], regs[k])) {
            asm_store(&c->a, 8, mem_state(k ? AREA_SAVE1 : AREA_SAVE0), regs[k]);
        }
        if (!in_place && is_pinned(c, regs[k])) {
            *CONTEXT_PUSH(c, places) = (Place){
                .slot = backend.reg_slot[regs[k]], .kind = PLACE_MEM, .size = 8, .reg = NO_REG,
                .disp = k ? AREA_SAVE1 : AREA_SAVE0,
            };
            snapshot.count++;
        }
    }
    divisor = safe_input(c, insn->in[2], size);
    for (unsigned k = 0; k < 2; k++) {
        in[k] = safe_input(c, insn->in[k], size);
    }
    for (unsigned k = 0; k < 2; k++) {
        if (!is_in(c, insn->in[k], regs[k])) {
            load_rm(c, size, regs[k], in[k]);
        }
    }
    /* Behind rax and rdx: others may refer to what those are restored to. */
    snapshot.count += snapshot_take(c, UINT64_MAX).count;
    fault_record(c, asm_offset(&c->a) + 1, c->pc, snapshot);
    asm_group3(&c->a, insn->op == IR_divu2_checked ? 6 : 7, size, divisor);
    fixed_end(c, insn, &f, false, size);
}

/* What has no quotient goes to cold code. */
static void check_divisor(Context *c, const IrInsn *insn, Rm divisor, unsigned size, ColdStub *s)
{
    if (divisor.is_mem) {
        asm_alu_ri(&c->a, ALU_CMP, size, divisor, 0);
    } else {
        asm_test_rr(&c->a, size, divisor.reg, divisor.reg);
    }
    s->jumps[0] = asm_jcc(&c->a, CC_E);
    if (insn->op == IR_divs2) {
        asm_alu_ri(&c->a, ALU_CMP, size, divisor, -1);
        s->jumps[1] = asm_jcc(&c->a, CC_E);
    }
}

/*
 * By -1: negated, unless that is not possible; then, and by 0, the quotient is the high half, and the remainder what the low
 * one is without its product: the low one by 0, and one less by -1.
 */
void cold_div(Context *c, ColdStub *s)
{
    Asm *a = &c->a;

    if (s->jumps[1]) {
        uint32_t fits, impossible;

        asm_patch_here(a, s->jumps[1]);
        asm_group3(a, 3, s->size, rm_reg(RAX));
        fits = asm_jcc(a, CC_NO);
        asm_test_rr(a, s->size, RDX, RDX); /* the least number, or its opposite */
        impossible = asm_jcc(a, CC_S);
        asm_patch_here(a, fits);
        asm_mov_ri(a, RDX, 0);
        asm_jmp_offset(a, s->resume);
        asm_patch_here(a, impossible);
        asm_alu_ri(a, ALU_SUB, s->size, rm_reg(RAX), 1);
    }
    asm_patch_here(a, s->jumps[0]);
    asm_op(a, 0x87, s->size, RAX, rm_reg(RDX));
    asm_jmp_offset(a, s->resume);
}

static void load_half(Context *c, uint32_t id, unsigned size, int to, Rm from)
{
    if (c->values[id].is_const) {
        asm_mov_ri(&c->a, to, c->values[id].imm);
    } else if (c->values[id].reg != to) {
        load_rm(c, size, to, from);
    }
}

static void emit_div(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    const Value *by = &c->values[insn->in[2]];
    ColdStub *s = NULL;
    Fixed f;
    Rm divisor, half[2] = { rm_reg(RAX), rm_reg(RDX) };

    clobber_flags(c);
    fixed_begin(c, insn, &f, 3);
    divisor = safe_input(c, insn->in[2], size);
    for (unsigned k = 0; k < 2; k++) {
        if (!c->values[insn->in[k]].is_const || size == 1) {
            half[k] = safe_input(c, insn->in[k], size);
        }
    }
    if (size == 1) { /* ax = high:low */
        load_rm(c, 1, RDX, half[1]);
        asm_shift_imm(&c->a, SH_SHL, 4, RDX, 8);
        load_rm(c, 1, RAX, half[0]);
        asm_zext_rr(&c->a, 1, RAX, RAX);
        asm_alu(&c->a, ALU_OR, 4, RAX, rm_reg(RDX));
    } else {
        load_half(c, insn->in[0], size, RAX, half[0]);
        load_half(c, insn->in[1], size, RDX, half[1]);
    }
    if (size >= 4 && !(by->is_const && by->imm && by->imm != ir_mask(insn->type))) {
        s = cold_new(c, COLD_DIV);
        s->size = size;
        check_divisor(c, insn, divisor, size, s);
    }
    asm_group3(&c->a, insn->op == IR_divu2 ? 6 : 7, size, divisor);
    if (s) {
        s->resume = asm_offset(&c->a);
    }
    fixed_end(c, insn, &f, size == 1, size);
}

void emit_muldiv(Context *c, const IrInsn *insn)
{
    switch (insn->op) {
    case IR_mul:
        if (insn->type == IR_I8 && flags_wanted(c, insn)) {
            emit_mul8(c, insn);
        } else {
            emit_mul(c, insn);
        }
        break;
    case IR_mulu2:
    case IR_muls2:
        emit_long_mul(c, insn);
        break;
    case IR_divu2_checked:
    case IR_divs2_checked:
        emit_checked_div(c, insn);
        break;
    default:
        emit_div(c, insn);
    }
}
