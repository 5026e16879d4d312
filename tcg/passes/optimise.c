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
        passes[i].run(ir);
        if (checking) {
            check(ir, passes[i].name);
        }
    }
}
