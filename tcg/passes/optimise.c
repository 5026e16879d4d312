/* The pass list. With MYNA_CHECK_IR in the environment the verifier runs after every pass. */
#include "passes.h"

#include <stdlib.h>

static void check(const IrBlock *ir, const char *when)
{
    g_autofree char *why = NULL;
    GString *text;

    if (ir_verify(ir, &why)) {
        return;
    }
    text = g_string_new(NULL);
    ir_dump(ir, text);
    g_error("IR is wrong after %s: %s\n%s", when, why, text->str);
}

/*
 * Whether the pass that removes what is dead does more than the back-end, which leaves dead operations out anyway: that looks at
 * what is behind an operation for fields, and for loops. What is hot gets all passes.
 */
static bool wants_dead(const IrBlock *ir)
{
    if (ir->use_sites) {
        return true;
    }
    for (uint32_t i = 0; i < ir->n_insns; i++) {
        const IrInsn *insn = &ir->insns[i];

        if (insn->op == IR_put_field || insn->op == IR_get_field || insn->op == IR_fast ||
            ((insn->op == IR_exit_if || insn->op == IR_exit_jump) && insn->imm == ir->insns[0].imm)) {
            return true;
        }
    }
    return false;
}

void ir_optimise(IrBlock *ir)
{
    static const struct {
        const char *name;
        void (*run)(IrBlock *ir);
    } passes[] = {
        {"forward", ir_pass_forward},
        {"dead", ir_pass_dead},
    };
    static int checking = -1;

    if (checking < 0) {
        checking = getenv("MYNA_CHECK_IR") != NULL;
    }
    if (checking) {
        check(ir, "translation");
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(passes); i++) {
        if (passes[i].run == ir_pass_dead && !checking && !wants_dead(ir)) {
            continue;
        }
        passes[i].run(ir);
        if (checking) {
            check(ir, passes[i].name);
        }
    }
}
