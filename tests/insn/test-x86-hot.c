/*
 * Random jumps, calls and returns among instructions that define and read flags, as blocks that were found hot, and on the host: such
 * blocks go on where these lead, in front of their own start, too. A run begins anywhere.
 */
#include <stdlib.h>

#include "tests/insn/oracle-guest.h"
#include "tests/insn/x86-random.h"

enum { MAX_INSNS = 24, STACK = NATIVE_DATA + 0x3800, DEPTH = 64 /* return addresses that are there */, FUEL = 12 };

typedef struct Program {
    unsigned start[MAX_INSNS + 1]; /* offsets of the instructions, and of the end */
    unsigned n;
    struct {
        unsigned at, insn; /* a rel32, and to which instruction */
    } jumps[3 * MAX_INSNS];
    unsigned n_jumps;
} Program;

static Program program;

static void rel32(Code *c, unsigned insn)
{
    program.jumps[program.n_jumps].at = c->at - (uint8_t *)NATIVE_CODE;
    program.jumps[program.n_jumps++].insn = insn;
    bytes(c, 0, 4);
}

/* A jump or call to anywhere, but to the end when it is due: flags stay. Behind it is a jump to the end. */
static void transfer(Code *c, uint8_t opcode)
{
    bool is_call = opcode == 0xe8;

    bytes(c, 0xff498d48, 4); /* lea rcx, [rcx - 1] */
    byte(c, 0xe3);           /* jrcxz */
    byte(c, is_call ? 7 : 5);
    byte(c, opcode);
    rel32(c, any(c, program.n));
    if (is_call) {
        bytes(c, 0x05eb, 2); /* jmp .+7 */
    }
    byte(c, 0xe9);
    rel32(c, program.n);
}

static uint8_t registers(Code *c)
{
    static const uint8_t some[] = {0, 2, 3, 6}; /* eax, edx, ebx, esi */

    return 0xc0 | some[any(c, 4)] << 3 | some[any(c, 4)];
}

static void instruction(Code *c, unsigned number)
{
    static const uint8_t plain[] = {0x39, 0x39, 0x85, 0x01, 0x89, 0x11}; /* cmp, test, add, mov, adc */
    unsigned kind = any(c, 16);

    if (kind < 6) {
        byte(c, plain[kind]);
        byte(c, registers(c));
    } else if (kind == 6) {
        byte(c, 0xff); /* inc, dec */
        byte(c, (registers(c) & ~0x38) | any(c, 2) << 3);
    } else if (kind == 7) {
        byte(c, 0x0f); /* cmov */
        byte(c, 0x40 | any(c, 16));
        byte(c, registers(c));
    } else if (kind < 11) {
        byte(c, 0x0f); /* jcc */
        byte(c, 0x80 | any(c, 16));
        rel32(c, number + 1 + any(c, program.n - number));
    } else if (kind == 11) {
        byte(c, 0xe9);
        rel32(c, number + 1 + any(c, program.n - number));
    } else if (kind < 14) {
        transfer(c, 0xe9);
    } else if (kind == 14) {
        transfer(c, 0xe8);
    } else {
        byte(c, 0xc3);
    }
}

static void build(GRand *rand)
{
    Code c = {.at = (uint8_t *)NATIVE_CODE, .rand = rand};

    program.n_jumps = 0;
    program.n = 4 + any(&c, MAX_INSNS - 3);
    for (unsigned i = 0; i < program.n; i++) {
        program.start[i] = c.at - (uint8_t *)NATIVE_CODE;
        instruction(&c, i);
    }
    program.start[program.n] = c.at - (uint8_t *)NATIVE_CODE;
    native_finish(c.at, NATIVE_64);
    for (unsigned i = 0; i < program.n_jumps; i++) {
        uint32_t distance = program.start[program.jumps[i].insn] - (program.jumps[i].at + 4);

        memcpy((uint8_t *)NATIVE_CODE + program.jumps[i].at, &distance, 4);
    }
}

static void fill_stack(uint64_t end)
{
    for (unsigned i = 0; i < 2 * DEPTH; i++) {
        ((uint64_t *)STACK)[(int)i - DEPTH] = i < DEPTH ? 0 : end;
    }
}

/* From the state, with what is at NATIVE_CODE, up to `end`. */
static void run_and_compare(const NativeRegs *before, uint64_t end)
{
    static const Variant variants[] = {
        {64, true, true, .hot = true}, {64, true, false, .hot = true}, {7, true, true, .hot = true}, {64, true, true, .pic = true, .hot = true},
    };
    X86State *s = x86_state(cpu);

    fill_stack(end);
    *NATIVE_REGS = *before;
    g_assert_cmpint(native_run(NATIVE_64), ==, -1);
    for (unsigned i = 0; i < G_N_ELEMENTS(variants); i++) {
        fill_stack(end);
        load_guest(before, NATIVE_64, false);
        g_assert_cmpint(guest_run(end, &variants[i]), ==, -1);
        g_assert_cmpint(s->pc, ==, end);
        g_assert_cmpmem(s->reg, sizeof(s->reg), NATIVE_REGS->gpr, sizeof(s->reg));
        g_assert_cmphex((x86_flags(s) ^ NATIVE_REGS->flags) & FLAGS_ALL & ~FLAG_AF, ==, 0);
    }
}

static void random_jumps_lead_where_they_do_on_the_host(void)
{
    const char *seed = g_getenv("MYNA_SEED"), *rounds = g_getenv("MYNA_ROUNDS");
    GRand *rand = g_rand_new();

    for (unsigned round = 0; round < (rounds ? strtoul(rounds, NULL, 0) : 5000); round++) {
        NativeRegs before = {.flags = 0x202};

        g_rand_set_seed(rand, (seed ? strtoul(seed, NULL, 0) : 1) + round);
        build(rand);
        for (unsigned i = 0; i < 8; i++) {
            before.gpr[i] = g_rand_int_range(rand, 0, 3);
        }
        before.gpr[R_CX] = FUEL;
        before.gpr[R_SP] = STACK;
        before.flags |= g_rand_int(rand) & FLAGS_ALL;
        before.code = NATIVE_CODE + program.start[g_rand_int_range(rand, 0, program.n)];
        run_and_compare(&before, NATIVE_CODE + program.start[program.n]);
    }
    g_rand_free(rand);
}

/* It jumps to what is in front of it, and ends behind that: flags that were defined there are read by a block that begins at its start. */
static void flags_from_in_front_of_a_block_are_there_at_its_start(void)
{
    static const uint8_t code[] = {
        0x39, 0xd8,       /* cmp eax, ebx */
        0x74, 0x05,       /* je .+7: the block's start */
        0x83, 0xc1, 0x01, /* add ecx, 1 */
        0xeb, 0xf7,       /* jmp .-7 */
        0x31, 0xd2,       /* xor edx, edx */
    };
    NativeRegs before = {.flags = 0x202, .code = NATIVE_CODE + 2, .gpr = {[R_SP] = STACK}};

    memcpy((void *)NATIVE_CODE, code, sizeof(code));
    native_finish((uint8_t *)NATIVE_CODE + sizeof(code), NATIVE_64);
    run_and_compare(&before, NATIVE_CODE + sizeof(code));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!native_init()) {
        g_print("1..0 # SKIP addresses are taken\n");
        return 0;
    }
    guest_init();
    g_test_add_func("/x86/hot/flags", flags_from_in_front_of_a_block_are_there_at_its_start);
    g_test_add_func("/x86/hot/random", random_jumps_lead_where_they_do_on_the_host);
    return g_test_run();
}
