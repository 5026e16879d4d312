/*
 * Flags values: which one EFLAGS hold, and images of others in spill slots.
 *
 * An image is what PUSHF stores. Consumers of a condition test bits of the image. Flags of which only
 * one condition is ever read are kept as that instead, by SETcc. POPF, which is slow, is for the rest.
 */
#include "backend.h"
#include "tcg/raw.h"

static void push_flags(Context *c)
{
    asm_byte(&c->a, 0x9c);
}

void save_flags(Context *c, int32_t area)
{
    push_flags(c);
    asm_op(&c->a, 0x8f, 4, 0, rm_mem(mem_state(area))); /* pop */
}

void restore_flags(Context *c, int32_t area)
{
    asm_op(&c->a, 0xff, 4, 6, rm_mem(mem_state(area))); /* push */
    asm_byte(&c->a, 0x9d);                              /* popf */
}

static void save_image(Context *c, Value *v)
{
    if (v->spill >= 0) {
        return;
    }
    v->spill = spill_alloc(c);
    v->clean = v->cc >= 0;
    if (v->cc >= 0) {
        asm_op(&c->a, 0x90 | MAP_0F | v->cc, 4, 0, rm_mem(spill_mem(v->spill))); /* setcc */
    } else {
        save_flags(c, AREA_SPILL - 8 * v->spill);
    }
}

void clobber_flags(Context *c)
{
    /* The current insn may still be about to read them. */
    if (c->flags_now && c->values[c->flags_now].last_use >= c->i) {
        save_image(c, &c->values[c->flags_now]);
    }
    c->flags_now = 0;
}

bool flags_wanted(const Context *c, const IrInsn *insn)
{
    uint32_t id = ir_insn_flags_id(insn);

    return id && c->values[id].last_use >= 0;
}

void define_flags(Context *c, const IrInsn *insn)
{
    if (flags_wanted(c, insn)) {
        c->flags_now = ir_insn_flags_id(insn);
    }
}

void need_flags(Context *c, uint32_t id)
{
    Value *v = &c->values[id];

    if (c->flags_now != id) {
        clobber_flags(c);
        restore_flags(c, AREA_SPILL - 8 * v->spill);
        c->flags_now = id;
    }
}

void need_carry(Context *c, uint32_t id)
{
    if (c->flags_now != id) {
        clobber_flags(c);
        asm_op(&c->a, 0xba | MAP_0F, 4, 4, rm_mem(spill_mem(c->values[id].spill))); /* bt */
        asm_byte(&c->a, 0);
    }
}

/* L and LE from an image: SF and OF are bits 7 and 11. */
static void test_signed(Context *c, Mem image, bool or_equal)
{
    int temp = alloc_temp(c);

    asm_load(&c->a, 4, temp, image);
    asm_shift_imm(&c->a, SH_SHR, 4, temp, 4);
    asm_alu_ri(&c->a, ALU_AND, 4, rm_reg(temp), FLAG_SF);
    asm_alu(&c->a, ALU_XOR, 4, temp, rm_mem(image));
    asm_test_imm(&c->a, 1, rm_reg(temp), or_equal ? FLAG_SF | FLAG_ZF : FLAG_SF);
    unlock_reg(c, temp);
}

IrCc need_condition(Context *c, uint32_t id, IrCc cc)
{
    /* What each pair of conditions reads, where one test can tell. */
    static const uint16_t masks[8] = { FLAG_OF, FLAG_CF, FLAG_ZF, FLAG_CF | FLAG_ZF, FLAG_SF, FLAG_PF };
    uint32_t mask = masks[cc >> 1];
    const Value *v = &c->values[id];
    Mem image;

    if (c->flags_now == id) {
        return cc;
    }
    image = spill_mem(v->spill);
    clobber_flags(c);
    if (v->clean) {
        asm_alu_ri(&c->a, ALU_CMP, 1, rm_mem(image), 0);
    } else if (mask) {
        asm_test_imm(&c->a, mask > 0xff ? 4 : 1, rm_mem(image), mask);
    } else {
        test_signed(c, image, cc >= CC_LE);
    }
    return cc & 1 ? CC_E : CC_NE;
}

void emit_setcc(Context *c, const IrInsn *insn)
{
    int out = alloc_temp(c);

    IrCc cc = need_condition(c, insn->in[0], insn->bits);

    asm_setcc(&c->a, cc, out);
    value_set_reg(c, insn->out, out, false);
}

void emit_selectcc(Context *c, const IrInsn *insn)
{
    unsigned size = MAX(4, ir_type_size(insn->type));
    IrCc cc = need_condition(c, insn->in[0], insn->bits);
    uint32_t yes = insn->in[1], no = insn->in[2];
    int out;

    if (c->values[yes].is_const && !c->values[no].is_const) {
        uint32_t other = yes;

        yes = no;
        no = other;
        cc ^= 1;
    }
    out = out_reg(c, insn->out, no, yes, 0, false);
    value_move_to(c, no, out, size);
    asm_op(&c->a, 0x40 | MAP_0F | cc, size, out, value_rm(c, yes, size));
    value_set_reg(c, insn->out, out, size == 4);
}

/* The low byte of EFLAGS. LAHF with all around it takes a fifth of what PUSHF and POP take (Zen 5: 6 cycles). */
static void low_byte_of_flags(Context *c, int out)
{
    static const uint8_t load_flags[] = { 0x9f /* lahf */, 0x0f, 0xb6, 0xc4 /* movzx eax, ah */ };

    if (!host_has(HOST_LAHF)) {
        push_flags(c);
        asm_pop(&c->a, out);
        asm_zext_rr(&c->a, 1, out, out);
        return;
    }
    if (out != RAX) {
        asm_mov_rr(&c->a, 8, out, RAX);
    }
    for (unsigned k = 0; k < sizeof(load_flags); k++) {
        asm_byte(&c->a, load_flags[k]);
    }
    if (out != RAX) {
        asm_exchange(&c->a, out, RAX);
    }
}

/*
 * Of a comparison by the FPU or the vector unit, which leaves OF clear: all that is wanted is in the low byte, and is
 * taken from there by instructions that let EFLAGS be, as a branch on them is most often next.
 */
static void image_of_raw(Context *c, uint32_t id, int out)
{
    enum { ALWAYS_SET = 1 << 1 };

    low_byte_of_flags(c, out);
    asm_lea(&c->a, 4, out, mem_at(out, -ALWAYS_SET));
    if (c->values[id].last_use <= c->i) {
        c->flags_now = 0;
    }
}

static bool leaves_of_clear(const Context *c, const IrInsn *def)
{
    return def->op == IR_raw && !ir_raw_is_string(&c->ir->raws[def->bits & ~IRB_FLAGS]);
}

void emit_flags_image(Context *c, const IrInsn *insn)
{
    uint32_t id = insn->in[0];
    int out = out_reg(c, insn->out, 0, 0, 0, false);

    if (c->flags_now == id && leaves_of_clear(c, &c->ir->insns[c->ir->value_def[id]])) {
        image_of_raw(c, id, out);
        value_set_reg(c, insn->out, out, true);
        return;
    }
    if (c->flags_now == id) {
        push_flags(c);
        asm_pop(&c->a, out);
    } else {
        asm_load(&c->a, 4, out, spill_mem(c->values[id].spill));
    }
    if (c->flags_now != id || c->values[id].last_use > c->i) {
        clobber_flags(c);
    }
    c->flags_now = 0;
    asm_alu_ri(&c->a, ALU_AND, 4, rm_reg(out), FLAGS_ALL);
    value_set_reg(c, insn->out, out, true);
}

void emit_flags_from(Context *c, const IrInsn *insn)
{
    Value *flags = &c->values[insn->out];
    const Value *v = &c->values[insn->in[0]];
    int temp;

    if (!flags_wanted(c, insn)) {
        return;
    }
    flags->spill = spill_alloc(c);
    flags->clean = false;
    if (v->is_const) {
        asm_store_imm(&c->a, 8, spill_mem(flags->spill), v->imm & FLAGS_ALL);
        return;
    }
    if (v->reg != NO_REG) {
        lock_reg(c, v->reg);
    }
    temp = alloc_temp(c);
    value_move_to(c, insn->in[0], temp, 4);
    clobber_flags(c);
    asm_alu_ri(&c->a, ALU_AND, 4, rm_reg(temp), FLAGS_ALL);
    asm_store(&c->a, 8, spill_mem(flags->spill), temp);
}
