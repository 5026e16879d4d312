/*
 * Random integer instructions, on the host processor and through translation and the interpreter.
 *
 * Sequences of a few instructions are run natively and, from the same state, as blocks of many and
 * of single instructions, optimised and not. Registers, memory and the defined flags have to agree.
 * MYNA_SEED and MYNA_ROUNDS in the environment change what is run.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/insn/oracle-guest.h"
#include "tests/insn/x86-random.h"

static void random_state(NativeRegs *regs, GRand *rand, NativeMode mode)
{
    static const uint8_t pointers[] = {3, 6, 7, 12, 13};

    for (unsigned i = 0; i < 16; i++) {
        regs->gpr[i] = random_value(rand);
    }
    for (unsigned i = 0; i < sizeof(pointers); i++) {
        regs->gpr[pointers[i]] = NATIVE_DATA + 0x4000 + (g_rand_int(rand) & 0x7ff8);
    }
    if (g_rand_int(rand) & 1) {
        regs->gpr[R_SI] &= ~UINT64_C(15);
    } else {
        regs->gpr[R_SI] &= ~UINT64_C(15);
        regs->gpr[R_DI] = regs->gpr[R_DI] - (g_rand_int(rand) & 7);
    }
    regs->gpr[R_15] = regs->gpr[R_BP] = g_rand_int(rand) & 63;
    regs->gpr[R_SP] = NATIVE_DATA + 0x3800 + (g_rand_int(rand) & 0xf8);
    regs->flags = (g_rand_int(rand) & FLAGS_ALL) | 0x202;
    if (g_rand_int_range(rand, 0, 5) == 0) { /* one that faults, or will soon */
        regs->gpr[pointers[g_rand_int(rand) % sizeof(pointers)]] =
            NATIVE_DATA + NATIVE_DATA_SIZE - (g_rand_int(rand) & 0x1ff) + (g_rand_int(rand) & 1 ? 0x1000 : 0);
    }
    regs->code = NATIVE_CODE;
    for (unsigned i = 0; i < 16 && mode != NATIVE_64; i++) {
        regs->gpr[i] = i < 8 ? (uint32_t)regs->gpr[i] : 0;
    }
    if (mode == NATIVE_16) {
        for (unsigned i = 0; i < sizeof(pointers) - 2; i++) {
            regs->gpr[pointers[i]] -= NATIVE_DATA;
        }
        regs->gpr[R_SP] -= NATIVE_DATA;
        regs->code = 0;
    }
}

static void compare(const Case *one, const Variant *v, const NativeRegs *before, int native_vector, int vector,
                    const uint8_t *memory)
{
    X86State *s = x86_state(cpu);
    uint32_t mask = FLAGS_ALL & ~one->undefined;
    bool same = native_vector == vector;

    same = same && !memcmp(s->reg, NATIVE_REGS->gpr, sizeof(s->reg)) &&
           !memcmp(memory, (void *)NATIVE_DATA, NATIVE_DATA_SIZE);
    if (vector >= 0) { /* flags that the next instructions overwrite need not be up to date */
        same = same && s->pc == NATIVE_REGS->fault_pc;
    } else {
        same = same && ((x86_flags(s) ^ NATIVE_REGS->flags) & mask) == 0;
    }
    if (same) {
        return;
    }
    g_printerr("\n%sin blocks of %u, %soptimised%s: exception %d, should be %d\n", one->text->str, v->max_insns,
               v->optimise ? "" : "not ", v->compile ? " and compiled" : "", vector, native_vector);
    for (unsigned i = 0; i < 16; i++) {
        if (s->reg[i] != NATIVE_REGS->gpr[i]) {
            g_printerr("r%u was %" PRIx64 " is %" PRIx64 " should be %" PRIx64 "\n", i, before->gpr[i], s->reg[i],
                       NATIVE_REGS->gpr[i]);
        }
    }
    if (vector >= 0) {
        g_printerr("at %" PRIx64 ", should be %" PRIx64 "\n", s->pc, NATIVE_REGS->fault_pc);
    }
    g_printerr("flags were %x are %x should be %x, of these defined %x\n", (unsigned)before->flags & FLAGS_ALL,
               x86_flags(s), (unsigned)NATIVE_REGS->flags & FLAGS_ALL, mask);
    for (unsigned i = 0; i < NATIVE_DATA_SIZE; i++) {
        if (memory[i] != ((uint8_t *)NATIVE_DATA)[i]) {
            g_printerr("memory at %x is %02x should be %02x\n", NATIVE_DATA + i, ((uint8_t *)NATIVE_DATA)[i], memory[i]);
            break;
        }
    }
    g_test_fail();
    if (!g_getenv("MYNA_KEEP_GOING")) {
        exit(1);
    }
}

/* On the host, or where that runs 64-bit code only, in the plain interpreter. Registers and flags go to NATIVE_REGS. */
static int run_reference(const Case *one, const NativeRegs *before, NativeMode mode, bool real)
{
    static const Variant plain = {1, false, false};
    X86State *s = x86_state(cpu);
    uint16_t code, data;
    int vector;

    *NATIVE_REGS = *before;
    if (native_has(mode, &code, &data)) {
        return native_run(mode);
    }
    load_guest(before, mode, real);
    vector = guest_run(before->code + one->size, &plain);
    memcpy(NATIVE_REGS->gpr, s->reg, sizeof(s->reg));
    NATIVE_REGS->flags = x86_flags(s);
    NATIVE_REGS->fault_pc = s->pc;
    return vector;
}

typedef enum What { INSTRUCTIONS, MOVES, CHOICES, CARRIES } What;

/* real: the guest in real mode, where 16-bit code does the same but for what is undefined there. */
static void run_random(NativeMode mode, bool real, What what)
{
    static const Variant variants[] = {
        {64, true, false}, {1, false, false}, {64, false, false}, {64, true, true}, {2, true, true},
        {64, true, false, .pic = true}, {64, true, true, .pic = true}, {2, true, true, .pic = true},
    };
    const char *seed_text = g_getenv("MYNA_SEED"), *rounds_text = g_getenv("MYNA_ROUNDS");
    uint32_t seed = seed_text ? strtoul(seed_text, NULL, 0) : 1;
    unsigned rounds = rounds_text ? strtoul(rounds_text, NULL, 0) : 6000;
    g_autofree uint8_t *initial = g_malloc(NATIVE_DATA_SIZE), *result = g_malloc(NATIVE_DATA_SIZE);
    Case one = {.text = g_string_new(NULL)};
    GRand *rand = g_rand_new();
    uint16_t code, data;

    g_test_message("seed %u%s", seed, native_has(mode, &code, &data) ? "" : "; the host runs 64-bit code only: the interpreter stands in");
    for (unsigned i = 0; i < NATIVE_DATA_SIZE; i++) {
        initial[i] = i % 7 == 0 ? 0 : i * 37 >> 3;
    }
    memcpy((void *)NATIVE_DATA, initial, NATIVE_DATA_SIZE);
    for (unsigned round = 0; round < rounds; round++) {
        NativeRegs before;
        int native_vector;

        g_rand_set_seed(rand, seed + round);
        all_scattered = what == CHOICES || (what == MOVES && round & 1);
        if (what == MOVES) {
            build_moves(&one, rand, mode);
        } else if (what == CHOICES) {
            build_choices(&one, rand, mode);
        } else if (what == CARRIES) {
            build_carries(&one, rand, mode);
        } else {
            build_case(&one, rand, g_getenv("MYNA_ONLY"), mode, real);
        }
        random_state(&before, rand, mode);
        if (what == CHOICES && round & 1) { /* near a page's end */
            before.gpr[R_BX] |= 0xfc0;
            before.gpr[R_SI] |= 0xfc0;
        }
        native_vector = run_reference(&one, &before, mode, real);
        memcpy(result, (void *)NATIVE_DATA, NATIVE_DATA_SIZE);
        for (unsigned i = 0; i < G_N_ELEMENTS(variants); i++) {
            int vector;

            memcpy((void *)NATIVE_DATA, initial, NATIVE_DATA_SIZE);
            load_guest(&before, mode, real);
            vector = guest_run(before.code + one.size, &variants[i]);
            compare(&one, &variants[i], &before, native_vector, vector, result);
        }
        memcpy((void *)NATIVE_DATA, initial, NATIVE_DATA_SIZE);
    }
    g_rand_free(rand);
    g_string_free(one.text, TRUE);
}

static void random_integer_instructions_do_what_the_host_does(void)
{
    run_random(NATIVE_64, false, INSTRUCTIONS);
}

static void random_32_bit_instructions_do_what_the_host_does(void)
{
    run_random(NATIVE_32, false, INSTRUCTIONS);
}

static void random_16_bit_instructions_do_what_the_host_does(void)
{
    uint16_t code, data;

    if (!native_has(NATIVE_16, &code, &data)) {
        g_test_skip("no local descriptor table, or 64-bit code only");
        return;
    }
    run_random(NATIVE_16, false, INSTRUCTIONS);
    run_random(NATIVE_16, true, INSTRUCTIONS);
}

/* With one processor nothing is atomic. */
static void locked_instructions_do_what_the_host_does(void)
{
    g_assert_nonnull(cpu_new(&x86_cpu_type, "max", 1, NULL));
    run_random(NATIVE_64, false, INSTRUCTIONS);
    run_random(NATIVE_32, false, INSTRUCTIONS);
}

static void moves_off_few_registers_do_what_the_host_does(void)
{
    run_random(NATIVE_64, false, MOVES);
    run_random(NATIVE_32, false, MOVES);
}

static void accesses_by_what_is_chosen_do_what_the_host_does(void)
{
    run_random(NATIVE_64, false, CHOICES);
    run_random(NATIVE_32, false, CHOICES);
}

static void chains_of_carries_do_what_the_host_does(void)
{
    run_random(NATIVE_64, false, CARRIES);
    run_random(NATIVE_32, false, CARRIES);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!native_init()) {
        g_print("1..0 # SKIP addresses are taken\n");
        return 0;
    }
    guest_init();
    g_test_add_func("/x86/oracle", random_integer_instructions_do_what_the_host_does);
    g_test_add_func("/x86/oracle32", random_32_bit_instructions_do_what_the_host_does);
    g_test_add_func("/x86/oracle16", random_16_bit_instructions_do_what_the_host_does);
    g_test_add_func("/x86/oracle-moves", moves_off_few_registers_do_what_the_host_does);
    g_test_add_func("/x86/oracle-choices", accesses_by_what_is_chosen_do_what_the_host_does);
    g_test_add_func("/x86/oracle-carries", chains_of_carries_do_what_the_host_does);
    g_test_add_func("/x86/oracle-locked", locked_instructions_do_what_the_host_does);
    return g_test_run();
}
