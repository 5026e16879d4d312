/* The IR builder: appends operations, folding constants and identities on the way. */
#include "tcg/ir.h"

#include "ir_private.h"
#include "tcg/raw.h"

#define NONE ((IrVal){0})

static void grow_values(IrBlock *ir)
{
    ir->max_values *= 2;
    ir->value_type = g_renew(uint8_t, ir->value_type, ir->max_values);
    ir->value_def = g_renew(uint32_t, ir->value_def, ir->max_values);
}

/* Gives the value its type; its definition is the insn that is appended next. */
IrVal ir_new_value(IrBlock *ir, IrType type)
{
    uint32_t id = ir->n_values++;

    if (id >= ir->max_values) {
        grow_values(ir);
    }
    ir->value_type[id] = type;
    ir->value_def[id] = ir->n_insns;
    return (IrVal){id};
}

static IrInsn *append(IrBlock *ir, IrOp op, IrType type, unsigned bits, IrVal a, IrVal b, IrVal c, uint64_t imm)
{
    IrInsn *insn;

    if (ir->n_insns == ir->max_insns) {
        ir->max_insns *= 2;
        ir->insns = g_renew(IrInsn, ir->insns, ir->max_insns);
    }
    insn = &ir->insns[ir->n_insns++];
    *insn = (IrInsn){.op = op, .type = type, .bits = bits, .in = {a.id, b.id, c.id}, .imm = imm};
    return insn;
}

IrConstEntry *ir_const_entry(IrBlock *ir, IrType type, uint64_t value)
{
    return &((IrBlockFull *)ir)->consts[(value * 0x9e3779b97f4a7c15 >> 59 ^ type) % IR_CONST_CACHE];
}

IrVal ir_const(IrBlock *ir, IrType type, uint64_t value)
{
    IrConstEntry *entry;
    IrVal v;

    value &= ir_mask(type);
    entry = ir_const_entry(ir, type, value);
    if (ir_const_is(ir, entry, type, value)) {
        return (IrVal){entry->id};
    }
    v = ir_new_value(ir, type);
    append(ir, IR_const, type, 0, NONE, NONE, NONE, value)->out = v.id;
    *entry = (IrConstEntry){.value = value, .id = v.id, .kind = ir_const_kind(ir, type)};
    return v;
}

IrVal ir_get(IrBlock *ir, IrType type, unsigned slot)
{
    IrVal v = ir_new_value(ir, type);

    append(ir, IR_get, type, slot, NONE, NONE, NONE, 0)->out = v.id;
    return v;
}

void ir_put(IrBlock *ir, IrType type, unsigned slot, IrVal value)
{
    append(ir, IR_put, type, slot, value, NONE, NONE, 0);
}

IrVal ir_get8h(IrBlock *ir, unsigned slot)
{
    IrVal v = ir_new_value(ir, IR_I8);

    append(ir, IR_get8h, IR_I8, slot, NONE, NONE, NONE, 0)->out = v.id;
    return v;
}

void ir_put8h(IrBlock *ir, unsigned slot, IrVal value)
{
    append(ir, IR_put8h, IR_I8, slot, value, NONE, NONE, 0);
}

bool ir_known_inputs(const IrBlock *ir, const IrInsn *insn, uint64_t in[4])
{
    int n = ir_facts[insn->op].inputs;

    for (int i = 0; i < n; i++) {
        uint32_t id = insn->in[i];

        if (ir->value_type[id] == IR_FLAGS) {
            uint32_t flags, defined;

            if (!ir_known_flags(ir, id, &flags, &defined)) {
                return false;
            }
            if (insn->op == IR_adc || insn->op == IR_sbb) {
                defined |= ~FLAG_CF;
            } else if (insn->op != IR_flags_image) {
                defined |= ~ir_cc_reads(insn->bits);
            }
            if ((defined & FLAGS_ALL) != FLAGS_ALL) {
                return false;
            }
            in[i] = flags;
        } else if (!ir_is_const(ir, (IrVal){id}, &in[i])) {
            return false;
        }
    }
    return true;
}

bool ir_known_flags(const IrBlock *ir, uint32_t id, uint32_t *flags, uint32_t *defined)
{
    const IrInsn *def = &ir->insns[ir->value_def[id]];
    uint64_t in[4] = {0}, out[2];
    int n = ir_facts[def->op].inputs;

    if (!ir_facts[def->op].pure) {
        return false;
    }
    /* One level deep: a chain of adc is not worth a recursion that a guest could make long. */
    for (int i = 0; i < n; i++) {
        if (!ir_is_const(ir, (IrVal){def->in[i]}, &in[i])) {
            return false;
        }
    }
    ir_eval(def, in, out, flags);
    *defined = ir_eval_flags_defined(def, in);
    return true;
}

static bool always(bool *constant, uint64_t *value, uint64_t v)
{
    *constant = true;
    *value = v;
    return true;
}

/* Identities of an operation whose second input is the constant k. Returns true if it equals its
 * first input; sets *constant if it equals that. */
static bool identity_by_constant(const IrInsn *insn, uint64_t k, uint64_t mask, bool *constant,
                                 uint64_t *value)
{
    switch (insn->op) {
    case IR_add:
    case IR_sub:
    case IR_xor:
        return k == 0;
    case IR_or:
        return k == 0 || (k == mask && !always(constant, value, mask));
    case IR_and:
        return k == mask || (k == 0 && !always(constant, value, 0));
    case IR_andn:
        return k == 0 || (k == mask && !always(constant, value, 0));
    case IR_mul:
        return k == 1 || (k == 0 && !always(constant, value, 0));
    case IR_shl:
    case IR_shr:
    case IR_sar:
    case IR_rol:
    case IR_ror:
        return (uint8_t)k == 0;
    default:
        return false;
    }
}

uint32_t ir_identity(const IrBlock *ir, const IrInsn *insn, bool *constant, uint64_t *value)
{
    uint64_t mask = ir_mask(insn->type);
    uint32_t a = insn->in[0], b = insn->in[1], c = insn->in[2];
    uint32_t same = 0;
    uint64_t k;

    *constant = false;
    switch (insn->op) {
    case IR_add:
    case IR_xor:
    case IR_or:
    case IR_and:
    case IR_mul:
        if (ir_is_const(ir, (IrVal){a}, &k) && identity_by_constant(insn, k & mask, mask, constant, value)) {
            same = b;
        }
        /* fall through */
    case IR_sub:
    case IR_andn:
    case IR_shl:
    case IR_shr:
    case IR_sar:
    case IR_rol:
    case IR_ror:
        if (!same && !*constant && ir_is_const(ir, (IrVal){b}, &k) &&
            identity_by_constant(insn, k & mask, mask, constant, value)) {
            same = a;
        }
        if (a == b && !same && !*constant) {
            if (insn->op == IR_and || insn->op == IR_or) {
                same = a;
            } else if (insn->op == IR_sub || insn->op == IR_xor || insn->op == IR_andn) {
                always(constant, value, 0);
            }
        }
        break;
    case IR_shld:
    case IR_shrd:
        if (ir_is_const(ir, (IrVal){c}, &k) && (uint8_t)k == 0) {
            same = a;
        }
        break;
    case IR_select:
        if (ir_is_const(ir, (IrVal){a}, &k)) {
            same = (uint8_t)k ? b : c;
        }
        /* fall through */
    case IR_selectcc:
        if (b == c) {
            same = b;
        }
        break;
    case IR_zext:
    case IR_sext:
        if (insn->bits == insn->type) {
            same = a;
        }
        break;
    default:
        break;
    }
    /* A wider value is not equal: its type says how wide an address or a put is. */
    return same && ir->value_type[same] == insn->type ? same : 0;
}

static bool commutes(IrOp op)
{
    return op == IR_add || op == IR_and || op == IR_or || op == IR_xor || op == IR_mul || op == IR_test;
}

/* Constants come second: what the back-end and the passes look for. */
void ir_order_inputs(const IrBlock *ir, IrInsn *insn)
{
    uint32_t a = insn->in[0], b = insn->in[1];

    if (commutes(insn->op) && ir_is_const(ir, (IrVal){a}, NULL) && !ir_is_const(ir, (IrVal){b}, NULL)) {
        insn->in[0] = b;
        insn->in[1] = a;
    }
}

static IrVal pure(IrBlock *ir, IrOp op, IrType type, unsigned bits, IrVal a, IrVal b, IrVal c)
{
    IrInsn insn = {.op = op, .type = type, .bits = bits, .in = {a.id, b.id, c.id}};
    IrType out_type = ir_output_type(op, type);
    uint64_t in[4] = {0}, out[2], value;
    uint32_t flags, same;
    bool constant;
    IrVal v;

    ir_order_inputs(ir, &insn);
    if (ir_known_inputs(ir, &insn, in)) {
        ir_eval(&insn, in, out, &flags);
        return ir_const(ir, out_type, out[0]);
    }
    same = ir_identity(ir, &insn, &constant, &value);
    if (constant) {
        return ir_const(ir, out_type, value);
    }
    if (same) {
        return (IrVal){same};
    }
    v = ir_new_value(ir, out_type);
    insn.out = v.id;
    *append(ir, op, type, bits, a, b, c, 0) = insn;
    return v;
}

IrVal ir_op1(IrBlock *ir, IrOp op, IrType type, IrVal a)
{
    return pure(ir, op, type, 0, a, NONE, NONE);
}

IrVal ir_op2(IrBlock *ir, IrOp op, IrType type, IrVal a, IrVal b)
{
    return pure(ir, op, type, 0, a, b, NONE);
}

IrVal ir_op3(IrBlock *ir, IrOp op, IrType type, IrVal a, IrVal b, IrVal c)
{
    return pure(ir, op, type, 0, a, b, c);
}

IrValFlags ir_opf(IrBlock *ir, IrOp op, IrType type, IrVal a, IrVal b, IrVal c)
{
    IrValFlags v = {NONE, NONE};
    bool always_flags = ir_facts[op].flags == OP_ALWAYS_FLAGS;
    IrInsn *insn;

    if (!always_flags) {
        v.value = ir_new_value(ir, type);
    }
    v.flags = ir_new_value(ir, IR_FLAGS);
    insn = append(ir, op, type, always_flags ? 0 : IRB_FLAGS, a, b, c, 0);
    insn->out = always_flags ? v.flags.id : v.value.id;
    ir_order_inputs(ir, insn);
    return v;
}

IrPair ir_host_counter(IrBlock *ir)
{
    IrPair v = { ir_new_value(ir, IR_I64), ir_new_value(ir, IR_I64), NONE };

    append(ir, IR_host_counter, IR_I64, 0, NONE, NONE, NONE, 0)->out = v.low.id;
    return v;
}

IrPair ir_mul2(IrBlock *ir, IrOp op, IrType type, IrVal a, IrVal b, bool flags)
{
    IrPair v = {ir_new_value(ir, type), ir_new_value(ir, type), NONE};

    if (flags) {
        v.flags = ir_new_value(ir, IR_FLAGS);
    }
    append(ir, op, type, flags ? IRB_FLAGS : 0, a, b, NONE, 0)->out = v.low.id;
    return v;
}

IrPair ir_div2(IrBlock *ir, IrOp op, IrType type, IrVal low, IrVal high, IrVal divisor)
{
    IrPair v = {ir_new_value(ir, type), ir_new_value(ir, type), NONE};

    append(ir, op, type, 0, low, high, divisor, 0)->out = v.low.id;
    return v;
}

IrVal ir_sext(IrBlock *ir, IrType to, IrType from, IrVal a)
{
    return pure(ir, IR_sext, to, from, a, NONE, NONE);
}

IrVal ir_zext(IrBlock *ir, IrType to, IrType from, IrVal a)
{
    return pure(ir, IR_zext, to, from, a, NONE, NONE);
}

IrVal ir_setcond(IrBlock *ir, IrCond cond, IrType type, IrVal a, IrVal b)
{
    return pure(ir, IR_setcond, type, cond, a, b, NONE);
}

IrVal ir_order(IrBlock *ir, IrType type, bool is_signed, IrVal a, IrVal b, IrVal add)
{
    return pure(ir, IR_order, type, is_signed, a, b, add);
}

IrVal ir_select(IrBlock *ir, IrType type, IrVal cond, IrVal yes, IrVal no)
{
    return pure(ir, IR_select, type, 0, cond, yes, no);
}

IrVal ir_setcc(IrBlock *ir, IrCc cc, IrVal flags)
{
    return pure(ir, IR_setcc, IR_I8, cc, flags, NONE, NONE);
}

IrVal ir_selectcc(IrBlock *ir, IrType type, IrCc cc, IrVal flags, IrVal yes, IrVal no)
{
    return pure(ir, IR_selectcc, type, cc, flags, yes, no);
}

IrVal ir_load(IrBlock *ir, IrType type, IrVal addr, int64_t disp, unsigned mem)
{
    IrType out = mem & (IRM_ZX | IRM_SX) ? IR_I64 : mem & IRM_SX32 ? IR_I32 : type;
    IrVal v = ir_new_value(ir, out);

    append(ir, IR_load, type, mem, addr, NONE, NONE, disp)->out = v.id;
    return v;
}

void ir_store(IrBlock *ir, IrType type, IrVal addr, int64_t disp, IrVal value, unsigned mem)
{
    append(ir, IR_store, type, mem, addr, value, NONE, disp);
}

void ir_probe_store(IrBlock *ir, IrType type, IrVal addr, int64_t disp, unsigned mem)
{
    append(ir, IR_probe_store, type, mem, addr, NONE, NONE, disp);
}

IrVal ir_try_string(IrBlock *ir, IrOp op, IrType addr_type, unsigned shift, IrVal to, IrVal from, IrVal count)
{
    IrVal v = ir_new_value(ir, IR_I8);

    append(ir, op, addr_type, shift, to, from, count, 0)->out = v.id;
    return v;
}

IrVal ir_atomic(IrBlock *ir, IrOp op, IrType type, IrVal addr, int64_t disp, IrVal b, IrVal c)
{
    IrVal v = ir_new_value(ir, type);

    append(ir, op, type, 0, addr, b, c, disp)->out = v.id;
    return v;
}

IrVal ir_get_field(IrBlock *ir, IrType type, uint32_t offset)
{
    IrVal v = ir_new_value(ir, type);

    append(ir, IR_get_field, type, 0, NONE, NONE, NONE, offset)->out = v.id;
    return v;
}

IrVal ir_load_code(IrBlock *ir, IrType type, const uint8_t *host)
{
    IrVal v = ir_new_value(ir, type);

    append(ir, IR_load_code, type, 0, NONE, NONE, NONE, (uintptr_t)host)->out = v.id;
    return v;
}

void ir_put_field(IrBlock *ir, IrType type, uint32_t offset, IrVal value)
{
    append(ir, IR_put_field, type, 0, value, NONE, NONE, offset);
}

void ir_fence(IrBlock *ir, IrFence kind)
{
    append(ir, IR_fence, IR_VOID, 0, NONE, NONE, NONE, kind);
}

IrValFlags ir_raw(IrBlock *ir, const IrRaw *raw, IrVal addr, int64_t disp, IrVal gpr, bool flags)
{
    bool has_out = ir_raw_has_output(raw);
    IrVal out = ir_new_value(ir, has_out ? raw->gpr_type : IR_VOID);
    IrVal flags_out = ir_new_value(ir, flags ? IR_FLAGS : IR_VOID);
    IrInsn *insn;

    if (ir->n_raws == ir->max_raws) {
        ir->max_raws = MAX(16, ir->max_raws * 2);
        ir->raws = g_renew(IrRaw, ir->raws, ir->max_raws);
    }
    g_assert(ir->n_raws < IRB_FLAGS);
    ir->raws[ir->n_raws] = *raw;
    insn = append(ir, IR_raw, has_out ? raw->gpr_type : IR_VOID, ir->n_raws | (flags ? IRB_FLAGS : 0),
                  addr, gpr, NONE, disp);
    insn->out = out.id;
    ir->n_raws++;
    return (IrValFlags){has_out ? out : NONE, flags ? flags_out : NONE};
}

IrVal ir_fast(IrBlock *ir, const IrFast *fast)
{
    IrVal out = fast->kind == FAST_COMPARE ? ir_new_value(ir, IR_I8) : NONE;

    if (ir->n_fasts == ir->max_fasts) {
        ir->max_fasts = MAX(16, ir->max_fasts * 2);
        ir->fasts = g_renew(IrFast, ir->fasts, ir->max_fasts);
    }
    g_assert(ir->n_fasts < IRB_FLAGS);
    ir->fasts[ir->n_fasts] = *fast;
    append(ir, IR_fast, out.id ? IR_I8 : IR_VOID, ir->n_fasts++, NONE, NONE, NONE, 0)->out = out.id;
    return out;
}

IrVal ir_call(IrBlock *ir, unsigned helper, IrVal a, IrVal b, IrVal c, IrVal d)
{
    IrType result = ir->helpers[helper].result;
    IrVal v = result == IR_VOID ? NONE : ir_new_value(ir, result);
    IrInsn *insn = append(ir, IR_call, result, helper, a, b, c, 0);

    insn->in[3] = d.id;
    insn->out = v.id;
    return v;
}

void ir_insn_start(IrBlock *ir, uint64_t pc)
{
    append(ir, IR_insn_start, IR_VOID, 0, NONE, NONE, NONE, pc);
}

unsigned ir_new_label(IrBlock *ir)
{
    return ir->n_labels++;
}

void ir_label(IrBlock *ir, unsigned label)
{
    append(ir, IR_label, IR_VOID, 0, NONE, NONE, NONE, label);
}

void ir_br(IrBlock *ir, unsigned label)
{
    append(ir, IR_br, IR_VOID, 0, NONE, NONE, NONE, label);
}

void ir_brcc(IrBlock *ir, IrCc cc, IrVal flags, unsigned label)
{
    append(ir, IR_brcc, IR_VOID, cc, flags, NONE, NONE, label);
}

void ir_brcond(IrBlock *ir, IrCond cond, IrType type, IrVal a, IrVal b, unsigned label)
{
    append(ir, IR_brcond, type, cond, a, b, NONE, label);
}

void ir_exit_if(IrBlock *ir, IrCc cc, IrVal flags, uint64_t pc)
{
    append(ir, IR_exit_if, IR_VOID, cc, flags, NONE, NONE, pc);
}

void ir_exit_jump(IrBlock *ir, uint64_t pc)
{
    append(ir, IR_exit_jump, IR_VOID, 0, NONE, NONE, NONE, pc);
}

void ir_mark_call(IrBlock *ir)
{
    IrInsn *last = &ir->insns[ir->n_insns - 1];

    if (last->op == IR_exit_jump) {
        last->bits = BRANCH_CALL;
    }
}

void ir_exit_lookup(IrBlock *ir, IrVal pc, IrBranchHint hint)
{
    append(ir, IR_exit_lookup, ir->value_type[pc.id], hint, pc, NONE, NONE, 0);
}

void ir_exit_main(IrBlock *ir, TcgExit why)
{
    append(ir, IR_exit_main, IR_VOID, why, NONE, NONE, NONE, 0);
}

void ir_poll(IrBlock *ir, uint64_t pc)
{
    append(ir, IR_poll, IR_VOID, 0, NONE, NONE, NONE, pc);
}
