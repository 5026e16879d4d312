/* IR as text, one operation a line: "%3:i32, %4:flags = add %1, 0x5". */
#include "tcg/ir.h"

#include <inttypes.h>

#include "ir_private.h"

static const char *const type_names[] = {
    "i8", "i16", "i32", "i64", "i128", "f32", "f64", "f80", "v128", "v256", "flags", "void",
};
static const char *const cc_names[] = {
    "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g",
};
static const char *const cond_names[] = {
    "eq", "ne", "ltu", "geu", "leu", "gtu", "lts", "ges", "les", "gts",
};
static const char *const exit_names[] = {
    "lookup", "poll", "exception", "halt", "mode", "smc", "debug", "yield", "unchained",
};
static const char *const hint_names[] = {"jump", "call", "return"};

#define NAME(names, index) ((index) < G_N_ELEMENTS(names) ? names[index] : "?")

static void dump_outputs(const IrBlock *ir, const IrInsn *insn, GString *text)
{
    int n = ir_op_outputs(insn->op) + ir_insn_defines_flags(insn);
    const char *separator = "";

    if (!insn->out) {
        return;
    }
    for (int i = 0; i < n; i++) {
        uint32_t id = insn->out + i;

        if (id < ir->n_values && ir->value_type[id] != IR_VOID) {
            g_string_append_printf(text, "%s%%%u:%s", separator, id, type_names[ir->value_type[id]]);
            separator = ", ";
        }
    }
    if (*separator) {
        g_string_append(text, " = ");
    }
}

static void dump_input(const IrBlock *ir, uint32_t id, GString *text)
{
    uint64_t k;

    if (id < ir->n_values && ir_is_const(ir, (IrVal){id}, &k)) {
        g_string_append_printf(text, k < 10 ? "%" PRIu64 : "0x%" PRIx64, k);
    } else {
        g_string_append_printf(text, "%%%u", id);
    }
}

static void dump_disp(int64_t disp, GString *text)
{
    if (disp) {
        g_string_append_printf(text, disp < 0 ? " - 0x%" PRIx64 : " + 0x%" PRIx64,
                               disp < 0 ? -(uint64_t)disp : (uint64_t)disp);
    }
}

static void dump_memory(const IrBlock *ir, const IrInsn *insn, GString *text)
{
    static const char *const names[] = {".be", ".zx", ".sx", ".sx32", ".aligned", ".stack", ".kernel"};

    g_string_append_printf(text, ".%s", type_names[insn->type]);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (insn->bits >> i & 1) {
            g_string_append(text, names[i]);
        }
    }
    g_string_append(text, " [");
    dump_input(ir, insn->in[0], text);
    dump_disp(insn->imm, text);
    g_string_append(text, "]");
    for (int i = 1; i < ir_op_inputs(insn->op); i++) {
        g_string_append(text, ", ");
        dump_input(ir, insn->in[i], text);
    }
}

static void dump_raw_role(uint8_t role, uint8_t number, GString *text)
{
    static const char *const names[] = {
        "", "/", "xmm", "mm", "st", "in", "out", "inout", "mem",
    };

    if (role == RAW_NONE) {
        return;
    }
    g_string_append_printf(text, " %s", NAME(names, role));
    if (role <= RAW_ST) {
        g_string_append_printf(text, "%u", number);
    }
}

static void dump_raw(const IrBlock *ir, const IrInsn *insn, GString *text)
{
    static const char *const maps[] = {"", "0f ", "0f38 ", "0f3a "};
    unsigned index = insn->bits & ~IRB_FLAGS;
    const IrRaw *raw;

    if (index >= ir->n_raws) {
        g_string_append_printf(text, " ?%u", index);
        return;
    }
    raw = &ir->raws[index];
    g_string_append_c(text, ' ');
    if (raw->vex) {
        g_string_append_printf(text, "vex%u ", raw->vex * 128);
    }
    if (raw->prefix) {
        g_string_append_printf(text, "%02x ", raw->prefix);
    }
    g_string_append_printf(text, "%s%s%02x", raw->w ? "w " : "", maps[raw->map & 3], raw->opcode);
    dump_raw_role(raw->reg_role, raw->reg, text);
    dump_raw_role(raw->rm_role, raw->rm, text);
    if (raw->rm_role == RAW_MEM) {
        g_string_append_printf(text, "%u [", raw->mem_size);
        dump_input(ir, insn->in[0], text);
        dump_disp(insn->imm, text);
        g_string_append(text, "]");
    }
    if (insn->in[1]) {
        g_string_append(text, " gpr ");
        dump_input(ir, insn->in[1], text);
    }
    if (raw->has_imm) {
        g_string_append_printf(text, " 0x%x", raw->imm);
    }
}

static void dump_plain_inputs(const IrBlock *ir, const IrInsn *insn, GString *text)
{
    const char *separator = " ";

    for (int i = 0; i < ir_op_inputs(insn->op); i++) {
        if (insn->in[i]) {
            g_string_append(text, separator);
            dump_input(ir, insn->in[i], text);
            separator = ", ";
        }
    }
}

static void dump_insn(const IrBlock *ir, const IrInsn *insn, GString *text)
{
    g_string_append(text, insn->op == IR_insn_start || insn->op == IR_label ? "" : "    ");
    dump_outputs(ir, insn, text);
    g_string_append(text, ir_op_name(insn->op));
    switch (insn->op) {
    case IR_get:
    case IR_get8h:
    case IR_put:
    case IR_put8h:
        g_string_append_printf(text, ".%s %s", type_names[insn->type],
                               insn->bits < ir->n_slots ? ir->slots[insn->bits].name : "?");
        if (insn->in[0]) {
            g_string_append(text, ", ");
            dump_input(ir, insn->in[0], text);
        }
        break;
    case IR_get_field:
    case IR_put_field:
    case IR_load_code:
        g_string_append_printf(text, ".%s 0x%" PRIx64, type_names[insn->type], insn->imm);
        if (insn->in[0]) {
            g_string_append(text, ", ");
            dump_input(ir, insn->in[0], text);
        }
        break;
    case IR_load:
    case IR_store:
    case IR_probe_store:
    case IR_try_copy:
    case IR_try_fill:
    case IR_atomic_add:
    case IR_atomic_and:
    case IR_atomic_or:
    case IR_atomic_xor:
    case IR_atomic_xchg:
    case IR_atomic_cmpxchg:
        dump_memory(ir, insn, text);
        break;
    case IR_raw:
        dump_raw(ir, insn, text);
        break;
    case IR_fast:
        g_string_append_printf(text, " %s 0x%x", ir->helpers[ir->fasts[insn->bits].helper].name, ir->fasts[insn->bits].args[1]);
        break;
    case IR_call:
        g_string_append_printf(text, " %s", insn->bits < ir->n_helpers ? ir->helpers[insn->bits].name : "?");
        dump_plain_inputs(ir, insn, text);
        break;
    case IR_sext:
    case IR_zext:
        g_string_append_printf(text, ".%s", NAME(type_names, insn->bits));
        dump_plain_inputs(ir, insn, text);
        break;
    case IR_setcc:
    case IR_selectcc:
        g_string_append_printf(text, ".%s", NAME(cc_names, insn->bits));
        dump_plain_inputs(ir, insn, text);
        break;
    case IR_setcond:
        g_string_append_printf(text, ".%s.%s", NAME(cond_names, insn->bits), type_names[insn->type]);
        dump_plain_inputs(ir, insn, text);
        break;
    case IR_order:
        g_string_append_printf(text, ".%s.%s", insn->bits ? "s" : "u", type_names[insn->type]);
        dump_plain_inputs(ir, insn, text);
        break;
    case IR_cmp:
    case IR_test:
    case IR_bt:
        g_string_append_printf(text, ".%s", type_names[insn->type]);
        dump_plain_inputs(ir, insn, text);
        break;
    case IR_insn_start:
        g_string_append_printf(text, " 0x%" PRIx64, insn->imm);
        break;
    case IR_label:
    case IR_br:
        g_string_append_printf(text, " L%" PRIu64, insn->imm);
        break;
    case IR_brcc:
        g_string_append_printf(text, ".%s", NAME(cc_names, insn->bits));
        dump_plain_inputs(ir, insn, text);
        g_string_append_printf(text, ", L%" PRIu64, insn->imm);
        break;
    case IR_brcond:
        g_string_append_printf(text, ".%s.%s", NAME(cond_names, insn->bits), type_names[insn->type]);
        dump_plain_inputs(ir, insn, text);
        g_string_append_printf(text, ", L%" PRIu64, insn->imm);
        break;
    case IR_exit_if:
        g_string_append_printf(text, ".%s", NAME(cc_names, insn->bits));
        dump_plain_inputs(ir, insn, text);
        g_string_append_printf(text, ", 0x%" PRIx64, insn->imm);
        break;
    case IR_exit_jump:
    case IR_poll:
        g_string_append_printf(text, "%s 0x%" PRIx64, insn->bits == BRANCH_CALL ? ".call" : "", insn->imm);
        break;
    case IR_exit_lookup:
        g_string_append_printf(text, ".%s", NAME(hint_names, insn->bits));
        dump_plain_inputs(ir, insn, text);
        break;
    case IR_exit_main:
        g_string_append_printf(text, " %s", NAME(exit_names, insn->bits));
        break;
    default:
        dump_plain_inputs(ir, insn, text);
        break;
    }
}

void ir_dump(const IrBlock *ir, GString *text)
{
    unsigned next_exit = 0;

    for (uint32_t i = 0; i < ir->n_insns; i++) {
        const IrInsn *insn = &ir->insns[i];

        if (insn->op == IR_const) {
            continue; /* shown where it is used */
        }
        dump_insn(ir, insn, text);
        while (next_exit < ir->exit_dead->len &&
               g_array_index(ir->exit_dead, IrExitDead, next_exit).insn < i) {
            next_exit++;
        }
        if (next_exit < ir->exit_dead->len) {
            const IrExitDead *dead = &g_array_index(ir->exit_dead, IrExitDead, next_exit);

            if (dead->insn == i) {
                g_string_append(text, " ; dead:");
                for (unsigned s = 0; s < ir->n_slots; s++) {
                    if (dead->slots >> s & 1) {
                        g_string_append_printf(text, " %s", ir->slots[s].name);
                    }
                }
            }
        }
        g_string_append_c(text, '\n');
    }
}
