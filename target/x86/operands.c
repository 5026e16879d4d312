/* Operands: general registers, memory addresses with their segments, the stack. */
#include "target/x86/insns.h"

unsigned x86_size(IrType type)
{
    return 1u << type;
}

IrVal x86_const(X86Translator *tr, IrType type, uint64_t value)
{
    return ir_const(tr->ir, type, value);
}

IrVal x86_pc(X86Translator *tr, IrType type, uint64_t pc)
{
    IrType sum_type = MIN(type, tr->addr_type); /* sums wrap in 32-bit code */
    IrVal sum;

    if (!tr->t->key->pic_bits) {
        return x86_const(tr, type, pc);
    }
    sum = ir_op2(tr->ir, IR_add, sum_type, ir_get(tr->ir, sum_type, SLOT_PIC_PAGE),
                 x86_const(tr, sum_type, pc & ir_mask(sum_type)));
    return type == sum_type ? sum : ir_zext(tr->ir, type, sum_type, sum);
}

IrVal x86_next_pc(X86Translator *tr, const X86Insn *in)
{
    return x86_pc(tr, IR_I64, in->next_pc);
}

IrVal x86_arg(X86Translator *tr, IrType type, IrVal value)
{
    return type == IR_I64 ? value : ir_zext(tr->ir, IR_I64, type, value);
}

IrVal x86_call(X86Translator *tr, X86Helper helper, IrVal a, IrVal b, IrVal c, IrVal d)
{
    return ir_call(tr->ir, helper, a, b, c, d);
}

bool x86_feature(const X86Translator *tr, X86Feature feature)
{
    return x86_has(tr->s, feature);
}

/* Registers. */

static bool is_high_byte(const X86Insn *in, IrType type, unsigned reg)
{
    return type == IR_I8 && !in->rex && !in->vex && reg >= 4 && reg < 8;
}

IrVal x86_gpr_get(X86Translator *tr, const X86Insn *in, IrType type, unsigned reg)
{
    if (is_high_byte(in, type, reg)) {
        return ir_get8h(tr->ir, SLOT_AX + (reg & 3));
    }
    return ir_get(tr->ir, type, SLOT_AX + reg);
}

void x86_gpr_put(X86Translator *tr, const X86Insn *in, IrType type, unsigned reg, IrVal value)
{
    if (is_high_byte(in, type, reg)) {
        ir_put8h(tr->ir, SLOT_AX + (reg & 3), value);
    } else {
        ir_put(tr->ir, type, SLOT_AX + reg, value);
    }
}

/* Addresses. */

static IrVal add_const(X86Translator *tr, IrType type, IrVal value, int64_t disp)
{
    return disp ? ir_op2(tr->ir, IR_add, type, value, x86_const(tr, type, disp)) : value;
}

/* Where the displacement is, if it is to be read when the code runs. */
static const uint8_t *patched_displacement(const X86Translator *tr, const X86Insn *in)
{
    bool may_be = in->disp_size && !in->rip_relative && tr->t->patched;

    return may_be ? tr->t->patched(tr->t, in->pc + in->disp_at, in->disp_size) : NULL;
}

/*
 * base + (index << scale) at the given type, without the displacement, unless that is read now; id 0: there is nothing.
 * The base of an address relative to the pc is the page that a position-independent block runs at.
 */
static IrVal registers_of(X86Translator *tr, const X86Insn *in, IrType type)
{
    IrBlock *ir = tr->ir;
    IrVal sum = {0};
    const uint8_t *patched = patched_displacement(tr, in);

    if (in->rip_relative && tr->t->key->pic_bits) {
        return ir_get(ir, type, SLOT_PIC_PAGE);
    }
    if (in->index >= 0) {
        sum = ir_get(ir, type, SLOT_AX + in->index);
        if (in->scale) {
            sum = ir_op2(ir, IR_shl, type, sum, x86_const(tr, IR_I8, in->scale));
        }
    }
    if (in->base >= 0) {
        IrVal base = ir_get(ir, type, SLOT_AX + in->base);

        sum = sum.id ? ir_op2(ir, IR_add, type, base, sum) : base;
    }
    if (patched) {
        IrType narrow = __builtin_ctz(in->disp_size);
        IrVal disp = ir_load_code(ir, narrow, patched);

        disp = narrow == type ? disp : ir_sext(ir, type, narrow, disp);
        sum = sum.id ? ir_op2(ir, IR_add, type, sum, disp) : disp;
    }
    return sum;
}

/* What registers_of leaves out. */
static int64_t displacement(const X86Translator *tr, const X86Insn *in)
{
    if (patched_displacement(tr, in)) {
        return 0;
    }
    return in->rip_relative ? (int64_t)(in->next_pc + in->disp) : in->disp;
}

IrVal x86_effective(X86Translator *tr, X86Insn *in)
{
    IrType type = in->addr_type;
    IrVal sum = registers_of(tr, in, type);

    if (!sum.id) {
        return x86_const(tr, type, displacement(tr, in) & ir_mask(type));
    }
    return add_const(tr, type, sum, displacement(tr, in));
}

static void add_cold(X86Translator *tr, uint64_t pc, int vector, bool has_error, unsigned label)
{
    g_assert(tr->n_cold < X86_MAX_COLD);
    tr->cold[tr->n_cold++] = (X86Cold){.label = label, .pc = pc, .vector = vector, .has_error = has_error};
}

void x86_raise_if(X86Translator *tr, const X86Insn *in, IrCond cond, IrType type, IrVal a, IrVal b,
                  int vector, bool has_error)
{
    unsigned label = ir_new_label(tr->ir);

    add_cold(tr, in->pc, vector, has_error, label);
    ir_brcond(tr->ir, cond, type, a, b, label);
}

void x86_retry_unless_equal(X86Translator *tr, const X86Insn *in, IrType type, IrVal a, IrVal b)
{
    unsigned label = ir_new_label(tr->ir);

    add_cold(tr, in->pc, COLD_RETRY, false, label);
    ir_brcond(tr->ir, COND_NE, type, a, b, label);
}

void x86_look_at_counters(X86Translator *tr, uint64_t pc)
{
    unsigned label = ir_new_label(tr->ir);

    add_cold(tr, pc, COLD_LOOK, false, label);
    ir_brcond(tr->ir, COND_LTS, IR_I64, ir_get(tr->ir, IR_I64, SLOT_PMU_LEFT), x86_const(tr, IR_I64, 0), label);
}

void x86_emit_other_if(X86Translator *tr, const X86Insn *in, IrCond cond, IrType type, IrVal a, IrVal b, X86Emit *emit)
{
    unsigned label = ir_new_label(tr->ir);
    X86Cold *cold;

    add_cold(tr, in->pc, COLD_EMIT, false, label);
    cold = &tr->cold[tr->n_cold - 1];
    cold->insn = *in;
    cold->insn.address = (IrVal){0}; /* values do not live across labels */
    cold->emit = emit;
    ir_brcond(tr->ir, cond, type, a, b, label);
}

static bool is_flat(const X86Translator *tr, int seg, bool write)
{
    switch (seg) {
    case S_FS:
        return tr->mode & MODE_FLAT_FS;
    case S_GS:
        return tr->mode & MODE_FLAT_GS;
    case S_CS:
        return tr->flat_cs && !(write && tr->pe && !tr->vm);
    default:
        return tr->flat;
    }
}

bool x86_is_unlimited(const X86Translator *tr, int seg)
{
    return tr->cs64 || is_flat(tr, seg, false);
}

static IrVal check_with_helper(X86Translator *tr, int seg, IrVal offset, IrType addr_type, unsigned size, bool write)
{
    IrVal linear = x86_call(tr, HELPER_seg_check, x86_const(tr, IR_I64, seg), x86_arg(tr, addr_type, offset),
                            x86_const(tr, IR_I64, size), x86_const(tr, IR_I64, write));

    return linear;
}

IrVal x86_linear(X86Translator *tr, const X86Insn *in, int seg, IrVal offset, IrType addr_type,
                 unsigned size, bool write)
{
    IrBlock *ir = tr->ir;
    IrVal wide;

    if (tr->cs64) {
        wide = x86_arg(tr, addr_type, offset);
        if (seg == S_FS || seg == S_GS) {
            wide = ir_op2(ir, IR_add, IR_I64, wide, ir_get(ir, IR_I64, SLOT_ES_BASE + seg));
        }
        return wide;
    }
    if (!is_flat(tr, seg, write)) {
        uint64_t value;

        if ((tr->pe && !tr->vm) || addr_type == IR_I32) {
            return check_with_helper(tr, seg, offset, addr_type, size, write);
        }
        /* Real and V86 mode: limits are 64 KiB. */
        wide = ir_zext(ir, IR_I32, IR_I16, offset);
        if (size > 1 && !(ir_is_const(ir, wide, &value) && value + size <= 0x10000)) {
            x86_raise_if(tr, in, COND_GTU, IR_I32, wide, x86_const(tr, IR_I32, 0x10000 - size),
                         seg == S_SS ? EXC_SS : EXC_GP, true);
        }
        return ir_op2(ir, IR_add, IR_I32, wide, ir_get(ir, IR_I32, SLOT_ES_BASE + seg));
    }
    wide = addr_type == IR_I16 ? ir_zext(ir, IR_I32, IR_I16, offset) : offset;
    if (seg == S_FS || seg == S_GS) {
        wide = ir_op2(ir, IR_add, IR_I32, wide, ir_get(ir, IR_I32, SLOT_ES_BASE + seg));
    }
    return wide;
}

/* Whether offsets need no check and no truncation, so that a displacement can be left to the access. */
static bool is_simple(const X86Translator *tr, const X86Insn *in, bool write)
{
    return in->addr_type == tr->addr_type && (tr->cs64 || is_flat(tr, in->seg, write));
}

enum { MAX_OPERAND = 4096 };

IrVal x86_address_sized(X86Translator *tr, X86Insn *in, unsigned size, bool write, int64_t *disp)
{
    bool again = write && !in->address_written && !tr->cs64 && !is_flat(tr, in->seg, true) && tr->pe && !tr->vm;

    if (in->address.id && !again) {
        *disp = in->address_disp;
        return in->address;
    }
    if (is_simple(tr, in, write)) {
        IrVal sum = registers_of(tr, in, in->addr_type);

        in->address_disp = displacement(tr, in);
        if (!sum.id) {
            sum = x86_const(tr, in->addr_type, in->address_disp & ir_mask(in->addr_type));
            in->address_disp = 0;
        }
        in->address = x86_linear(tr, in, in->seg, sum, in->addr_type, size, write);
        /* Back-ends add an operand's last byte to it. */
        if ((int32_t)in->address_disp != in->address_disp || in->address_disp > INT32_MAX - MAX_OPERAND) {
            in->address = add_const(tr, tr->addr_type, in->address, in->address_disp);
            in->address_disp = 0;
        }
    } else {
        in->address = x86_linear(tr, in, in->seg, x86_effective(tr, in), in->addr_type, size ? size : 1, write);
        in->address_disp = 0;
    }
    in->address_written = write;
    *disp = in->address_disp;
    return in->address;
}

IrVal x86_address(X86Translator *tr, X86Insn *in, int64_t *disp)
{
    return x86_address_sized(tr, in, 1, false, disp);
}

IrVal x86_address_arg(X86Translator *tr, X86Insn *in, unsigned size, bool write)
{
    int64_t disp;
    IrVal address = x86_address_sized(tr, in, size, write, &disp);

    return x86_arg(tr, tr->addr_type, add_const(tr, tr->addr_type, address, disp));
}

/* Register or memory. */

/* EFLAGS.AC at work: misaligned accesses fault. */
static unsigned alignment(const X86Translator *tr)
{
    return tr->mode & MODE_AC ? IRM_ALIGNED : 0;
}

IrVal x86_rm_get(X86Translator *tr, X86Insn *in, IrType type)
{
    int64_t disp;
    IrVal address;

    if (!in->is_mem) {
        return x86_gpr_get(tr, in, type, in->rm);
    }
    address = x86_address_sized(tr, in, x86_size(type), false, &disp);
    return ir_load(tr->ir, type, address, disp, alignment(tr));
}

void x86_rm_put(X86Translator *tr, X86Insn *in, IrType type, IrVal value)
{
    int64_t disp;
    IrVal address;

    if (!in->is_mem) {
        x86_gpr_put(tr, in, type, in->rm, value);
        return;
    }
    address = x86_address_sized(tr, in, x86_size(type), true, &disp);
    ir_store(tr->ir, type, address, disp, value, alignment(tr));
}

IrType x86_operand_type(const X86Insn *in, unsigned n)
{
    switch ((X86Operand)in->row->operand[n]) {
    case O_Eb:
    case O_Gb:
    case O_Ib:
    case O_Ob:
    case O_Zb:
    case O_AL:
    case O_CL:
    case O_1:
        return IR_I8;
    case O_Ew:
    case O_Gw:
    case O_Iw:
    case O_Sw:
    case O_DX:
        return IR_I16;
    case O_Ed:
    case O_Gd:
        return IR_I32;
    case O_Ey:
    case O_Gy:
    case O_By:
        return in->type_y;
    default:
        return in->type;
    }
}

/* In the code. It is sign-extended to the operand's. */
static unsigned immediate_size(const X86Insn *in, X86Operand operand)
{
    switch (operand) {
    case O_Ib:
    case O_Ibs:
        return 1;
    case O_Iw:
        return 2;
    case O_Iz:
        return in->type == IR_I16 ? 2 : 4;
    case O_Iv:
        return 1u << in->type;
    default:
        return 0;
    }
}

unsigned x86_immediate_bytes(const X86Insn *in)
{
    unsigned size = 0;

    for (unsigned n = 0; n < G_N_ELEMENTS(in->row->operand); n++) {
        size += immediate_size(in, in->row->operand[n]);
    }
    return size;
}

IrVal x86_immediate(X86Translator *tr, const X86Insn *in, unsigned n)
{
    IrType type = x86_operand_type(in, n), narrow;
    unsigned size = immediate_size(in, in->row->operand[n]);
    const uint8_t *host;

    if (!size || !tr->t->patched || !(host = tr->t->patched(tr->t, in->pc + in->length - size, size))) {
        return x86_const(tr, type, in->imm);
    }
    narrow = __builtin_ctz(size);
    return narrow == type ? ir_load_code(tr->ir, type, host)
                          : ir_sext(tr->ir, type, narrow, ir_load_code(tr->ir, narrow, host));
}

IrVal x86_operand_get(X86Translator *tr, X86Insn *in, unsigned n)
{
    IrType type = x86_operand_type(in, n);

    switch ((X86Operand)in->row->operand[n]) {
    case O_Eb ... O_Ev:
    case O_Ob:
    case O_Ov:
        return x86_rm_get(tr, in, type);
    case O_Gb ... O_Gv:
        return x86_gpr_get(tr, in, type, in->reg);
    case O_By:
        return x86_gpr_get(tr, in, type, in->vvvv);
    case O_Zb:
    case O_Zv:
        return x86_gpr_get(tr, in, type, in->rm);
    case O_AL:
    case O_AX:
        return ir_get(tr->ir, type, SLOT_AX);
    case O_CL:
        return ir_get(tr->ir, type, SLOT_CX);
    case O_DX:
        return ir_get(tr->ir, type, SLOT_DX);
    case O_1:
        return x86_const(tr, type, 1);
    default:
        return x86_const(tr, type, in->imm);
    }
}

/* Operand 0 of an instruction that goes on to write it. */
IrVal x86_operand_update(X86Translator *tr, X86Insn *in)
{
    unsigned kind = in->row->operand[0];
    IrType type = x86_operand_type(in, 0);
    int64_t disp;
    IrVal address;

    if (!in->is_mem || kind < O_Eb || kind > O_Ev) {
        return x86_operand_get(tr, in, 0);
    }
    address = x86_address_sized(tr, in, x86_size(type), true, &disp);
    return ir_load(tr->ir, type, address, disp, IRM_UPDATE | alignment(tr));
}

void x86_operand_put(X86Translator *tr, X86Insn *in, unsigned n, IrVal value)
{
    IrType type = x86_operand_type(in, n);

    switch ((X86Operand)in->row->operand[n]) {
    case O_Eb ... O_Ev:
    case O_Ob:
    case O_Ov:
        x86_rm_put(tr, in, type, value);
        break;
    case O_Gb ... O_Gv:
        x86_gpr_put(tr, in, type, in->reg, value);
        break;
    case O_By:
        x86_gpr_put(tr, in, type, in->vvvv, value);
        break;
    case O_Zb:
    case O_Zv:
        x86_gpr_put(tr, in, type, in->rm, value);
        break;
    case O_AL:
    case O_AX:
        ir_put(tr->ir, type, SLOT_AX, value);
        break;
    default:
        g_assert_not_reached();
    }
}

/* The stack. */

IrType x86_stack_type(const X86Translator *tr)
{
    return tr->cs64 ? IR_I64 : tr->ss32 ? IR_I32 : IR_I16;
}

/* Address of [SS:reg + disp]; what is left of the displacement in *rest. */
static IrVal stack_address(X86Translator *tr, const X86Insn *in, unsigned reg, int64_t disp, unsigned size,
                           bool write, int64_t *rest)
{
    IrType type = x86_stack_type(tr);
    IrVal pointer = ir_get(tr->ir, type, SLOT_AX + reg);

    if (tr->cs64 || (tr->flat && tr->ss32)) {
        *rest = disp;
        return pointer;
    }
    *rest = 0;
    return x86_linear(tr, in, S_SS, add_const(tr, type, pointer, disp), type, size, write);
}

void x86_stack_store(X86Translator *tr, const X86Insn *in, IrType type, int64_t disp, IrVal value)
{
    int64_t rest;
    IrVal address = stack_address(tr, in, R_SP, disp, x86_size(type), true, &rest);

    ir_store(tr->ir, type, address, rest, value, IRM_STACK | alignment(tr));
}

void x86_stack_probe(X86Translator *tr, const X86Insn *in, IrType type, int64_t disp)
{
    int64_t rest;
    IrVal address = stack_address(tr, in, R_SP, disp, x86_size(type), true, &rest);

    ir_probe_store(tr->ir, type, address, rest, IRM_STACK);
}

IrVal x86_stack_load(X86Translator *tr, const X86Insn *in, IrType type, unsigned reg, int64_t disp)
{
    int64_t rest;
    IrVal address = stack_address(tr, in, reg, disp, x86_size(type), false, &rest);

    return ir_load(tr->ir, type, address, rest, IRM_STACK | alignment(tr));
}

void x86_stack_move(X86Translator *tr, int64_t by)
{
    IrType type = x86_stack_type(tr);

    if (by) {
        ir_put(tr->ir, type, SLOT_SP, add_const(tr, type, ir_get(tr->ir, type, SLOT_SP), by));
    }
}

void x86_push(X86Translator *tr, const X86Insn *in, IrType type, IrVal value)
{
    int64_t size = x86_size(type);

    x86_stack_store(tr, in, type, -size, value);
    x86_stack_move(tr, -size);
}
