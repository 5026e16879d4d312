/*
 * The back-end: random blocks agree with the interpreter; links, jump cache and polls work.
 *
 * To look at a failure: MYNA_TEST_SEED=n shows the block and its code, MYNA_TEST_SIZE=n makes it smaller
 * (each size is the beginning of the larger ones), -p /backend/random/pure selects. MYNA_TEST_COUNT=n
 * tries that many.
 */
#include <stdlib.h>
#include <string.h>

#include "random-ir.h"

static TestState *state;
static IrBlock *ir;

static bool far_exit(void *opaque, uint64_t pc)
{
    return pc & 8;
}

static HostBlock *compile(IrBlock *block)
{
    HostBlock *host = tcg_compile(block, far_exit, NULL);

    if (!host) { /* the buffer is full: nothing in it is used any more */
        tcg_region_next();
        host = tcg_compile(block, far_exit, NULL);
    }
    g_assert_nonnull(host);
    return host;
}

static TcgExit enter(const HostBlock *host, HostExit **exit)
{
    test_host_block = host;
    return tcg_enter(state, host->code, exit);
}

static void compare_with_interpreter(gconstpointer data)
{
    unsigned what = GPOINTER_TO_UINT(data);
    static TestResult expected, got;
    const char *only = getenv("MYNA_TEST_SEED"), *size = getenv("MYNA_TEST_SIZE");
    const char *count = getenv("MYNA_TEST_COUNT");
    uint64_t first = only ? strtoull(only, NULL, 0) : 0;
    uint64_t last = only ? first + 1 : count ? strtoull(count, NULL, 0) : 1500;

    for (uint64_t seed = first; seed < last; seed++) {
        g_autoptr(IrBlock) plain = NULL;
        HostExit *side = NULL;
        HostBlock *host;
        uint64_t pc;
        TcgExit exit;

        ir_block_reset(ir);
        random_ir(ir, seed, size ? strtoul(size, NULL, 0) : 10 + seed % 120, what);
        plain = ir_block_copy(ir);
        test_state_fill(state, seed);
        exit = tcg_interpret(state, plain, NULL, &pc);
        test_result_take(&expected, state, exit);

        if (seed & 1) {
            ir_optimise(ir);
        }
        if (only) {
            g_autoptr(GString) text = g_string_new(NULL);

            ir_dump(ir, text);
            g_printerr("%s", text->str);
        }
        host = compile(ir);
        if (only) {
            g_autofree char *text = tcg_disassemble_host(host);

            g_printerr("%s", text);
        }
        test_state_fill(state, seed);
        exit = enter(host, &side);
        if (exit == TCG_EXIT_UNCHAINED) {
            g_assert_true(side && side->block == host);
            g_assert_cmphex(side->pc, ==, state->pc);
            exit = TCG_EXIT_LOOKUP;
        }
        test_result_take(&got, state, exit);
        test_result_compare(&expected, &got, ir, seed, what);
    }
}

/* r0 += 1; at 10 leave to `out`, else continue at `next`. */
static HostBlock *counting_block(uint64_t next, uint64_t out)
{
    IrValFlags f;
    IrVal sum;

    ir_block_reset(ir);
    ir_poll(ir, 0x1000);
    ir_insn_start(ir, 0x1000);
    sum = ir_op2(ir, IR_add, IR_I64, ir_get(ir, IR_I64, 0), ir_const(ir, IR_I64, 1));
    ir_put(ir, IR_I64, 0, sum);
    f = ir_opf(ir, IR_cmp, IR_I64, sum, ir_const(ir, IR_I64, 10), (IrVal){0});
    ir_exit_if(ir, CC_E, f.flags, out);
    ir_exit_jump(ir, next);
    ir_optimise(ir);
    return compile(ir);
}

static HostExit *exit_to(HostBlock *host, uint64_t pc)
{
    for (unsigned i = 0; i < host->n_exits; i++) {
        if (host->exits[i].pc == pc) {
            return &host->exits[i];
        }
    }
    g_assert_not_reached();
}

static void linked_exits_stay_in_translated_code(void)
{
    HostBlock *host = counting_block(0x1000, 0x2000);
    HostExit *exit = NULL;

    test_state_fill(state, 0);
    state->reg[0] = 0;
    g_assert_cmpint(enter(host, &exit), ==, TCG_EXIT_UNCHAINED);
    g_assert_cmpuint(state->reg[0], ==, 1);
    g_assert_true(exit == exit_to(host, 0x1000));
    tcg_link(exit, host);
    g_assert_cmpint(enter(host, &exit), ==, TCG_EXIT_UNCHAINED);
    g_assert_cmpuint(state->reg[0], ==, 10);
    g_assert_true(exit == exit_to(host, 0x2000));
    g_assert_cmphex(state->pc, ==, 0x2000);
    tcg_unlink(exit_to(host, 0x1000));
    state->reg[0] = 0;
    g_assert_cmpint(enter(host, &exit), ==, TCG_EXIT_UNCHAINED);
    g_assert_cmpuint(state->reg[0], ==, 1);
}

static void a_poll_ends_a_linked_loop(void)
{
    HostBlock *host = counting_block(0x1000, 0x2000);
    HostExit *exit = NULL;

    test_state_fill(state, 0);
    tcg_link(exit_to(host, 0x1000), host);
    state->reg[0] = 5;
    state->hot.poll = -1;
    g_assert_cmpint(enter(host, &exit), ==, TCG_EXIT_POLL);
    g_assert_cmpuint(state->reg[0], ==, 5);
    g_assert_cmphex(state->pc, ==, 0x1000);
}

static void far_exits_use_the_jump_cache(void)
{
    HostBlock *host = counting_block(0x1008, 0x2000);
    JumpCacheEntry *cache;
    HostExit *exit = NULL;

    test_state_fill(state, 0);
    cache = state->hot.jump_cache;
    state->reg[0] = 0;
    g_assert_cmpint(enter(host, &exit), ==, TCG_EXIT_LOOKUP);
    g_assert_cmphex(state->pc, ==, 0x1008);
    cache[jump_cache_index(0x1008, 0)] = (JumpCacheEntry){0x1008, host->code};
    g_assert_cmpint(enter(host, &exit), ==, TCG_EXIT_UNCHAINED);
    g_assert_cmpuint(state->reg[0], ==, 10);
    g_assert_cmphex(state->pc, ==, 0x2000);
    cache[jump_cache_index(0x1008, 0)] = (JumpCacheEntry){0};
}

static void lookups_use_the_jump_cache(void)
{
    HostBlock *to = counting_block(0x1000, 0x2000), *from;
    JumpCacheEntry *cache;
    HostExit *exit = NULL;

    ir_block_reset(ir);
    ir_insn_start(ir, 0x3000);
    ir_exit_lookup(ir, ir_get(ir, IR_I64, 3), BRANCH_RETURN);
    from = compile(ir);
    test_state_fill(state, 0);
    cache = state->hot.jump_cache;
    state->reg[0] = 9;
    state->reg[3] = 0x123456789a;
    g_assert_cmpint(enter(from, &exit), ==, TCG_EXIT_LOOKUP);
    g_assert_cmphex(state->pc, ==, 0x123456789a);
    test_next_block = to;
    cache[jump_cache_index(0x123456789a, 0)] = (JumpCacheEntry){0x123456789a, to->code};
    g_assert_cmpint(enter(from, &exit), ==, TCG_EXIT_UNCHAINED);
    g_assert_cmphex(state->pc, ==, 0x2000);
    g_assert_cmpuint(state->reg[0], ==, 10);
    cache[jump_cache_index(0x123456789a, 0)] = (JumpCacheEntry){0};
    test_next_block = NULL;
}

static void a_retired_block_leaves_at_once(void)
{
    HostBlock *host = counting_block(0x1000, 0x2000);
    HostExit *exit = NULL;

    test_state_fill(state, 0);
    state->reg[0] = 5;
    tcg_retire(host);
    g_assert_cmpint(enter(host, &exit), ==, TCG_EXIT_LOOKUP);
    g_assert_cmphex(state->pc, ==, 0x1000);
    g_assert_cmpuint(state->reg[0], ==, 5);
}

static void what_is_out_of_line_is_elsewhere(void)
{
    enum { ALIGNMENT = 16, FAR = 4096 };
    HostBlock *first = counting_block(0x1000, 0x2000), *second = counting_block(0x1000, 0x2000);

    g_assert_cmpuint((uintptr_t)second->code - (uintptr_t)first->code, <, first->size + ALIGNMENT);
    g_assert_cmpuint((uintptr_t)second->cold - (uintptr_t)first->cold, ==, first->cold_size);
    g_assert_cmpuint((uintptr_t)first->cold - (uintptr_t)first->code, >, FAR);
    for (const HostBlock *block = first; block; block = block == first ? second : NULL) {
        g_assert_true(tcg_is_code((uintptr_t)block->code + 1) && tcg_is_code((uintptr_t)block->cold + block->cold_size));
        g_assert_false(tcg_is_out_of_line((uintptr_t)block->code + block->size));
        g_assert_true(tcg_is_out_of_line((uintptr_t)block->cold + 1));
        g_assert_true(tcg_block_has(block, (uintptr_t)block->code + 1) && tcg_block_has(block, (uintptr_t)block->cold + block->cold_size));
        g_assert_false(tcg_block_has(block, (uintptr_t)block->code - 1));
    }
}

static void a_region_may_stay_empty(void)
{
    for (unsigned n = 0; n < 2; n++) {
        HostBlock *host;

        tcg_region_next();
        tcg_region_next();
        ir_block_reset(ir);
        ir_poll(ir, 0x1000);
        ir_exit_jump(ir, 0x2000);
        host = tcg_compile(ir, far_exit, NULL); /* not by compile(), which would go on to the next */
        g_assert_nonnull(host);
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    TcgOptions options = {0};

    g_test_init(&argc, &argv, NULL);
    if (!tcg_init(&test_target, &test_runtime, &options, &error)) {
        g_error("%s", error->message);
    }
    state = test_state_new();
    ir = ir_block_new(test_target.slots, test_target.n_slots, test_helpers, test_n_helpers);
    g_test_add_func("/backend/linked_exits_stay_in_translated_code", linked_exits_stay_in_translated_code);
    g_test_add_func("/backend/a_poll_ends_a_linked_loop", a_poll_ends_a_linked_loop);
    g_test_add_func("/backend/far_exits_use_the_jump_cache", far_exits_use_the_jump_cache);
    g_test_add_func("/backend/lookups_use_the_jump_cache", lookups_use_the_jump_cache);
    g_test_add_func("/backend/a_retired_block_leaves_at_once", a_retired_block_leaves_at_once);
    g_test_add_func("/backend/out-of-line", what_is_out_of_line_is_elsewhere);
    g_test_add_func("/backend/empty-region", a_region_may_stay_empty);
#define TEST(name, what) \
    g_test_add_data_func("/backend/random/" name, GUINT_TO_POINTER(what), compare_with_interpreter)
    TEST("pure", 0);
    TEST("labels", RANDOM_LABELS);
    TEST("memory", RANDOM_MEMORY);
    TEST("calls", RANDOM_CALLS | RANDOM_LABELS);
    TEST("fp", RANDOM_FP | RANDOM_CALLS | RANDOM_MEMORY);
    TEST("dead-slots", RANDOM_DEAD | RANDOM_MEMORY | RANDOM_LABELS);
    TEST("all", RANDOM_FP | RANDOM_CALLS | RANDOM_MEMORY | RANDOM_LABELS);
    return g_test_run();
}
