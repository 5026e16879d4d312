/*
 * Host instructions per snippet of PowerPC code, as test-golden.c does for x86: test-golden-ppc MODEL.
 *
 * Code is written as the words are, most significant digit first. The host has all its optional features but movbe, BMI, AVX2 and
 * FMA masked off; without those four the test is skipped.
 */
#include "core/cpu.h"
#include "target/ppc/insns.h"
#include "tcg/tcg.h"
#include "tests/tcg/golden.h"

enum { CODE_PC = 0x1000 };

static Cpu *cpu;
static IrBlock *ir;
static uint8_t code[GOLDEN_MAX_CODE];
static unsigned code_size;

static bool fetch(Translation *t, uint64_t pc, uint8_t *out)
{
    uint64_t at = pc & 0xfff;

    *out = at < code_size ? code[t->key->flags & MODE_LE ? at ^ 3 : at] : 0;
    return at < code_size;
}

static bool is_far(void *opaque, uint64_t pc)
{
    const BlockKey *key = opaque;

    return pc >> 12 != key->pc >> 12;
}

static char *translate(const uint8_t *bytes, unsigned size, void *opaque)
{
    BlockKey key = {.pc = CODE_PC, .flags = *(const uint64_t *)opaque};
    Translation t = {.ir = ir, .cpu = cpu, .key = &key, .max_insns = 64, .fetch = fetch};
    HostBlock *block;
    char *text;

    memcpy(code, bytes, size);
    code_size = size;
    ir_block_reset(ir);
    ppc_translate(&t);
    ir_optimise(ir);
    block = tcg_compile(ir, is_far, &key);
    if (!block) {
        tcg_region_next();
        block = tcg_compile(ir, is_far, &key);
    }
    text = tcg_disassemble_host(block);
    return text;
}

static void code_is_as_short_as_it_was(gconstpointer model)
{
    uint64_t mode = MODE_PR | MODE_FP | MODE_VEC | MODE_IR | MODE_DR | MODE_FAST_FP | MODE_TRAP_FP;

    if (ppc_is_64bit(cpu)) {
        mode |= MODE_VSX | MODE_SF | MODE_LE;
        golden_compare("ppc64le.txt", 40, translate, &mode);
    } else {
        golden_compare("ppc.txt", 40, translate, &mode);
    }
}

int main(int argc, char **argv)
{
    static const TcgRuntime runtime = {0};
    const TcgOptions options = {.host_features = "-lzcnt,-popcnt"};
    static const uint8_t nop[] = {0x60, 0, 0, 0};
    uint64_t mode = 0;
    g_autofree char *text = NULL;

    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 2);
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2")) {
        g_print("1..0 # SKIP a host without AVX2, FMA and BMI2\n");
        return 0;
    }
    cpu = cpu_new(&ppc_cpu_type, argv[1], 0, NULL);
    g_assert_nonnull(cpu);
    ir = ir_block_new(ppc_slots, SLOT_COUNT, ppc_helpers, HELPER_COUNT);
    g_assert_true(tcg_init(&ppc_guest_ops.tcg, &runtime, &options, NULL));
    text = translate(nop, sizeof(nop), &mode);
    if (!text) {
        g_print("1..0 # SKIP no disassembler\n");
        return 0;
    }
    g_test_add_data_func("/golden/ppc", argv[1], code_is_as_short_as_it_was);
    return g_test_run();
}
