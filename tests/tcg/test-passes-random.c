/* Random blocks mean the same before and after ir_optimise, as the interpreter sees them. */
#include <stdlib.h>

#include "random-ir.h"
#include "tcg/interp.h"

static TestState *state;

static void run(const IrBlock *ir, uint64_t seed, TestResult *result)
{
    TcgExit exit;
    uint64_t pc;

    test_state_fill(state, seed);
    exit = tcg_interpret(state, ir, NULL, &pc);
    test_result_take(result, state, exit);
}

static void optimised_blocks_mean_the_same(gconstpointer data)
{
    unsigned what = GPOINTER_TO_UINT(data);
    IrBlock *ir = ir_block_new(test_target.slots, test_target.n_slots, test_helpers, test_n_helpers);
    static TestResult before, after;
    const char *only = getenv("MYNA_TEST_SEED"), *count = getenv("MYNA_TEST_COUNT");
    uint64_t first = only ? strtoull(only, NULL, 0) : 0, last = only ? first + 1 : count ? strtoull(count, NULL, 0) : 600;

    for (uint64_t seed = first; seed < last; seed++) {
        g_autoptr(IrBlock) plain = NULL;

        ir_block_reset(ir);
        random_ir(ir, seed, 10 + seed % 120, what);
        plain = ir_block_copy(ir);
        run(plain, seed, &before);
        ir_optimise(ir);
        run(ir, seed, &after);
        test_result_compare(&before, &after, plain, seed, what);
    }
    ir_block_free(ir);
}

int main(int argc, char **argv)
{
    g_setenv("MYNA_CHECK_IR", "1", TRUE);
    g_test_init(&argc, &argv, NULL);
    tcg_interp_init(&test_target, &test_runtime);
    state = test_state_new();
#define TEST(name, what) \
    g_test_add_data_func("/passes/random/" name, GUINT_TO_POINTER(what), optimised_blocks_mean_the_same)
    TEST("pure", 0);
    TEST("labels", RANDOM_LABELS);
    TEST("memory", RANDOM_MEMORY);
    TEST("calls", RANDOM_CALLS | RANDOM_LABELS);
    TEST("fp", RANDOM_FP | RANDOM_CALLS | RANDOM_MEMORY);
    TEST("dead-slots", RANDOM_DEAD | RANDOM_MEMORY | RANDOM_LABELS);
    TEST("all", RANDOM_FP | RANDOM_CALLS | RANDOM_MEMORY | RANDOM_LABELS);
    return g_test_run();
}
