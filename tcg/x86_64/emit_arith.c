/* Arithmetic, logic and comparisons. */
#include "backend.h"

static const int8_t alu_of_op[IR_OP_COUNT] = {
    [IR_add] = ALU_ADD, [IR_sub] = ALU_SUB, [IR_adc] = ALU_ADC, [IR_sbb] = ALU_SBB,
    [IR_and] = ALU_AND, [IR_or] = ALU_OR, [IR_xor] = ALU_XOR,
};

static bool is_commutative(IrOp op)
{
    return op == IR_add || op == IR_adc || op == IR_and || op == IR_or || op == IR_xor;
}

/* The width that an operation is done at: without flags, bits above the type may be anything. */
static unsigned work_size(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);

    return flags_wanted(c, insn) ? size : MAX(size, 4);
}

/* lea out, [a + b] or [a + imm]: a third register, and EFLAGS stay. */
static bool try_lea(Context *c, const IrInsn *insn, unsigned size)
{
    uint32_t a = insn->in[0], b = insn->in[1];
    int32_t imm;
    int out, ra, rb;

    if ((insn->op != IR_add && insn->op != IR_sub) || flags_wanted(c, insn) ||
        c->values[a].is_const) {
        return false;
    }
    if (value_imm(c, b, size, &imm)) {
        if (insn->op == IR_sub) {
            imm = -(uint32_t)imm;
            if (imm == INT32_MIN) {
                return false;
            }
        }
    } else if (insn->op == IR_sub || c->values[b].is_const) {
        return false;
    }
    if (c->values[a].reg == NO_REG || (!c->values[b].is_const && c->values[b].reg == NO_REG)) {
        return false;
    }
    if (c->flags_now && c->values[c->flags_now].last_use <= c->i) {
        c->flags_now = 0;
    }
    if (c->values[b].reg != NO_REG) {
        lock_reg(c, c->values[b].reg);
    }
    /* The inputs are read where they are now, even if they have to move out of the way. */
    ra = c->values[a].reg;
    rb = c->values[b].reg;
    out = out_reg(c, insn->out, a, 0, 0, false);
    if (c->values[b].is_const) {
        if (ra == out && !c->flags_now) {
            asm_alu_ri(&c->a, ALU_ADD, size, rm_reg(out), imm);
        } else {
            asm_lea(&c->a, size, out, mem_at(ra, imm));
        }
    } else {
        if (!c->flags_now && (ra == out || rb == out)) {
            asm_alu(&c->a, ALU_ADD, size, out, rm_reg(ra == out ? rb : ra));
        } else if (ra == RBP || ra == R13) {
            asm_lea(&c->a, size, out, mem_index(rb, ra, 0));
        } else {
            asm_lea(&c->a, size, out, mem_index(ra, rb, 0));
        }
    }
    value_set_reg(c, insn->out, out, size == 4);
    return true;
}

/* lea out, [a + (b << scale)], where the shift was left to us. */
static bool try_scaled(Context *c, const IrInsn *insn, unsigned size)
{
    unsigned which = c->values[insn->in[0]].scale ? 0 : 1;
    const Value *v = &c->values[insn->in[which]];
    uint32_t a = insn->in[!which];
    int ra, rb, out;
    Mem mem;

    if (insn->op != IR_add || !v->scale) {
        return false;
    }
    ra = value_use(c, a);
    rb = value_use(c, v->scaled);
    out = out_reg(c, insn->out, a, 0, 0, false);
    mem = mem_index(ra, rb, 0);
    mem.scale = v->scale;
    asm_lea(&c->a, size, out, mem);
    value_set_reg(c, insn->out, out, size == 4);
    value_release(c, v->scaled);
    return true;
}

/* A mask of the low half at most: a word is enough, and its instruction has the mask as an operand. */
static bool try_low_mask(Context *c, const IrInsn *insn)
{
    bool swapped = c->values[insn->in[0]].is_const;
    uint32_t a = insn->in[swapped], b = insn->in[!swapped];
    int out;

    if (insn->op != IR_and || insn->type != IR_I64 || flags_wanted(c, insn) || !c->values[b].is_const || c->values[b].imm > UINT32_MAX) {
        return false;
    }
    if (c->values[b].imm != UINT32_MAX) {
        clobber_flags(c);
    }
    out = out_reg(c, insn->out, a, 0, 0, false);
    value_move_zext(c, a, out, 4);
    if (c->values[b].imm != UINT32_MAX) {
        asm_alu_ri(&c->a, ALU_AND, 4, rm_reg(out), (int32_t)c->values[b].imm);
        c->flags_now = 0;
    }
    value_set_reg(c, insn->out, out, false);
    return true;
}

static void emit_binary(Context *c, const IrInsn *insn)
{
    unsigned size = work_size(c, insn);
    uint32_t a = insn->in[0], b = insn->in[1];
    bool carry = insn->op == IR_adc || insn->op == IR_sbb;
    Alu op = alu_of_op[insn->op];
    int32_t imm;
    Rm rm;
    int out, wish;

    if (try_scaled(c, insn, size) || try_lea(c, insn, size) || try_low_mask(c, insn)) {
        return;
    }
    wish = c->values[insn->out].wish >= 0 ? backend.slot_reg[c->values[insn->out].wish] : NO_REG;
    if (is_commutative(insn->op) &&
        (c->values[a].is_const || (wish != NO_REG && c->values[b].reg == wish && !c->values[b].is_const))) {
        a = insn->in[1];
        b = insn->in[0];
    }
    if (carry) {
        need_carry(c, insn->in[2]);
        if (c->flags_now && c->values[insn->in[2]].last_use > c->i) {
            clobber_flags(c); /* EFLAGS still hold them, and an image is kept for later */
        }
    } else {
        clobber_flags(c);
    }
    out = out_reg(c, insn->out, a, b == a ? 0 : b, 0, false);
    if (insn->op == IR_sbb && a == b) {
        asm_alu(&c->a, op, size, out, rm_reg(out)); /* whatever it is */
    } else if (value_imm(c, b, size, &imm)) {
        value_move_to(c, a, out, size);
        asm_alu_ri(&c->a, op, size, rm_reg(out), imm);
    } else {
        /* When a and b are one value it is read before it is overwritten. */
        rm = value_rm(c, b, size);
        value_move_to(c, a, out, size);
        if (a == b && !rm.is_mem) {
            rm = rm_reg(out);
        }
        asm_alu(&c->a, op, size, out, rm);
    }
    c->flags_now = 0;
    value_set_reg(c, insn->out, out, size == 4);
    define_flags(c, insn);
}

static void emit_unary(Context *c, const IrInsn *insn)
{
    unsigned size = work_size(c, insn);
    int out;

    if (insn->op == IR_neg) {
        clobber_flags(c);
    }
    out = out_reg(c, insn->out, insn->in[0], 0, 0, false);
    value_move_to(c, insn->in[0], out, size);
    asm_group3(&c->a, insn->op == IR_neg ? 3 : 2, size, rm_reg(out));
    value_set_reg(c, insn->out, out, size == 4);
    define_flags(c, insn);
}

/* The host's andn: the complement of its first source, and its second, which may be in memory. */
static bool try_bmi1_andn(Context *c, const IrInsn *insn, unsigned size)
{
    uint32_t a = insn->in[0], b = insn->in[1];
    int from, out;
    Rm rm;

    if (!host_has(HOST_BMI1) || size < 4 || c->values[b].is_const) {
        return false;
    }
    clobber_flags(c);
    from = value_use(c, b);
    rm = value_rm(c, a, size);
    out = out_reg(c, insn->out, a, b, 0, false);
    asm_vex(&c->a, 0xf2 | MAP_38, size == 8, false, out, from, rm);
    value_set_reg(c, insn->out, out, size == 4);
    return true;
}

static void emit_andn(Context *c, const IrInsn *insn)
{
    unsigned size = work_size(c, insn);
    uint32_t a = insn->in[0], b = insn->in[1];
    Rm rm;
    int out;

    if (try_bmi1_andn(c, insn, size)) {
        return;
    }
    clobber_flags(c);
    out = out_reg(c, insn->out, b, a, 0, false);
    rm = value_rm(c, a, size);
    value_move_to(c, b, out, size);
    asm_group3(&c->a, 2, size, rm_reg(out));
    if (a == b) {
        rm = rm_reg(out); /* a & ~a: both are ~a now */
        asm_alu(&c->a, ALU_XOR, size, out, rm);
    } else {
        asm_alu(&c->a, ALU_AND, size, out, rm);
    }
    value_set_reg(c, insn->out, out, size == 4);
}

/* Loads leave zeros above what they load. */
static bool is_loaded_so(const Context *c, uint32_t id)
{
    const IrInsn *def = &c->ir->insns[c->ir->value_def[id]];

    return def->op == IR_load && !(def->bits & (IRM_SX | IRM_SX32)) && c->values[id].clean;
}

static void emit_extend(Context *c, const IrInsn *insn)
{
    unsigned from = ir_type_size(insn->bits), to = MAX(4, ir_type_size(insn->type));
    uint32_t a = insn->in[0];
    Value *v = &c->values[a];
    bool is_copy = false;
    Rm rm;
    int out;

    if (from >= ir_type_size(insn->type)) { /* a copy of the low part */
        from = to;
        is_copy = true;
    }
    if (insn->op == IR_zext && v->reg != NO_REG && !v->is_const && c->values[insn->out].wish < 0 &&
        (from >= 4 ? v->type == IR_I32 && v->clean : v->type == insn->bits && is_loaded_so(c, a))) {
        value_set_reg(c, insn->out, v->reg, insn->type == IR_I32);
        return;
    }
    if (is_copy && v->reg != NO_REG && !v->is_const && c->values[insn->out].wish < 0) {
        value_set_reg(c, insn->out, v->reg, false);
        return;
    }
    if (v->is_const) {
        v = &c->values[insn->out];
        v->is_const = true;
        v->imm = c->values[a].imm & ir_mask(insn->bits);
        if (insn->op == IR_sext && from < 8) {
            v->imm = (int64_t)(v->imm << (64 - from * 8)) >> (64 - from * 8);
        }
        v->imm &= ir_mask(insn->type);
        return;
    }
    out = out_reg(c, insn->out, a, 0, 0, false);
    rm = value_rm(c, a, from);
    if (insn->op == IR_zext) {
        if (rm.is_mem) {
            asm_load(&c->a, from, out, rm.mem);
        } else {
            asm_zext_rr(&c->a, from, out, rm.reg);
        }
    } else if (rm.is_mem) {
        asm_load_signed(&c->a, from, to, out, rm.mem);
    } else {
        asm_sext_rr(&c->a, from, to, out, rm.reg);
    }
    value_set_reg(c, insn->out, out, to == 4 || (insn->op == IR_zext && from <= 4));
}

void emit_arith(Context *c, const IrInsn *insn)
{
    switch (insn->op) {
    case IR_neg:
    case IR_not:
        emit_unary(c, insn);
        break;
    case IR_andn:
        emit_andn(c, insn);
        break;
    case IR_sext:
    case IR_zext:
        emit_extend(c, insn);
        break;
    default:
        emit_binary(c, insn);
    }
}

/* cmp x, y at a width. */
void compare_values(Context *c, unsigned size, uint32_t x, uint32_t y)
{
    int32_t imm;
    Rm rm;

    clobber_flags(c);
    if (value_imm(c, y, size, &imm)) {
        rm = value_rm(c, x, size);
        if (imm == 0 && !rm.is_mem) {
            asm_test_rr(&c->a, size, rm.reg, rm.reg);
        } else {
            asm_alu_ri(&c->a, ALU_CMP, size, rm, imm);
        }
        return;
    }
    rm = value_rm(c, x, size);
    asm_alu_mr(&c->a, ALU_CMP, size, rm, value_use(c, y));
}

IrCc host_condition(IrCond cond)
{
    static const uint8_t host[] = {
        [COND_EQ] = CC_E, [COND_NE] = CC_NE, [COND_LTU] = CC_B, [COND_GEU] = CC_AE, [COND_LEU] = CC_BE,
        [COND_GTU] = CC_A, [COND_LTS] = CC_L, [COND_GES] = CC_GE, [COND_LES] = CC_LE, [COND_GTS] = CC_G,
    };

    return host[cond];
}

static void emit_test(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    uint32_t a = insn->in[0], b = insn->in[1];
    int32_t imm;
    Rm rm;

    if (c->values[a].is_const) {
        a = insn->in[1];
        b = insn->in[0];
    }
    clobber_flags(c);
    if (value_imm(c, b, size, &imm)) {
        asm_test_imm(&c->a, size, value_rm(c, a, size), imm);
    } else {
        rm = value_rm(c, a, size);
        asm_op(&c->a, size == 1 ? 0x84 | BYTE_REG | BYTE_RM : 0x85, size, value_use(c, b), rm);
    }
    define_flags(c, insn);
}

static void emit_bt(Context *c, const IrInsn *insn)
{
    unsigned size = MAX(4, ir_type_size(insn->type));
    const Value *bit = &c->values[insn->in[1]];
    int reg = value_use(c, insn->in[0]);

    clobber_flags(c);
    if (bit->is_const) {
        asm_op(&c->a, 0xba | MAP_0F, size, 4, rm_reg(reg));
        asm_byte(&c->a, bit->imm & (ir_type_size(insn->type) * 8 - 1));
    } else {
        asm_op(&c->a, 0xa3 | MAP_0F, size, value_use(c, insn->in[1]), rm_reg(reg));
    }
    define_flags(c, insn);
}

static void emit_select(Context *c, const IrInsn *insn)
{
    unsigned size = MAX(4, ir_type_size(insn->type));
    uint32_t yes = insn->in[1], no = insn->in[2];
    int cond = value_use(c, insn->in[0]), out;
    Rm rm;

    clobber_flags(c);
    asm_test_rr(&c->a, 1, cond, cond);
    unlock_reg(c, cond);
    out = out_reg(c, insn->out, no, yes, 0, false);
    rm = value_rm(c, yes, size);
    value_move_to(c, no, out, size);
    asm_op(&c->a, 0x40 | MAP_0F | CC_NE, size, out, rm);
    value_set_reg(c, insn->out, out, size == 4);
}

void emit_compare(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);

    switch (insn->op) {
    case IR_cmp:
        compare_values(c, size, insn->in[0], insn->in[1]);
        define_flags(c, insn);
        break;
    case IR_test:
        emit_test(c, insn);
        break;
    case IR_bt:
        emit_bt(c, insn);
        break;
    case IR_select:
        emit_select(c, insn);
        break;
    case IR_setcond: {
        int out;

        compare_values(c, size, insn->in[0], insn->in[1]);
        c->locked = 0;
        out = alloc_temp(c);
        asm_setcc(&c->a, host_condition(insn->bits), out);
        value_set_reg(c, insn->out, out, false);
        break;
    }
    default:
        g_assert_not_reached();
    }
}
