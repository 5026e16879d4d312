/*
 * Host instructions per snippet of guest code, against the counts in tests/golden: what makes the
 * translator's code longer is seen at once, and what makes it shorter shows in the change of the file.
 *
 * MYNA_GOLDEN_UPDATE=1 writes the counts instead. The host's optional features are masked off, so
 * that the counts are the same everywhere.
 */
#include <glib.h>
#include <string.h>

#include "target/x86/internal.h"
#include "tcg/tcg.h"
#include "tests/tcg/golden.h"

enum { CODE_PC = 0x1000, MAX_CODE = 192, MODE_FLAT_ALL = MODE_PE | MODE_SS32 | MODE_FLAT | MODE_FLAT_CS | MODE_OSFXSR };

static Cpu *cpu;
static IrBlock *ir;
static uint8_t code[MAX_CODE];
static unsigned code_size;

static bool fetch(Translation *t, uint64_t pc, uint8_t *out)
{
    uint64_t at = pc & 0xfff;

    *out = at < code_size ? code[at] : 0;
    return at < code_size;
}

static bool is_far(void *opaque, uint64_t pc)
{
    const BlockKey *key = opaque;

    return pc >> 12 != key->pc >> 12;
}

typedef struct How {
    uint64_t mode;
    unsigned pic_bits; /* as in IrBlock */
    bool is_hot;
} How;

static char *translate(How how)
{
    BlockKey key = {.pc = how.pic_bits ? 0 : CODE_PC, .flags = how.mode, .pic_bits = how.pic_bits};
    Translation t = {.ir = ir, .cpu = cpu, .key = &key, .max_insns = 64, .fetch = fetch, .is_hot = how.is_hot};
    HostBlock *block;
    char *text;

    ir_block_reset(ir);
    ir->pic_bits = how.pic_bits;
    x86_translate(&t);
    ir_optimise(ir);
    block = tcg_compile(ir, is_far, &key);
    if (!block) {
        tcg_region_next();
        block = tcg_compile(ir, is_far, &key);
    }
    text = tcg_disassemble_host(block);
    return text;
}

static char *translate_bytes(const uint8_t *bytes, unsigned size, void *opaque)
{
    const How *how = opaque;

    memcpy(code, bytes, size);
    code_size = size;
    return translate(*how);
}

static void compare_file(const char *name, uint64_t mode, unsigned pic_bits)
{
    How how = {mode, pic_bits, false};

    golden_compare(name, pic_bits ? 15 : 200, translate_bytes, &how);
}

static void hot_code_goes_on_where_it_jumps(void)
{
    How how = {(MODE_FLAT_ALL & ~MODE_SS32) | MODE_CS64 | MODE_LMA | 3 << MODE_CPL_SHIFT, 0, true};

    golden_compare("x86_64-hot.txt", 3, translate_bytes, &how);
}

static void code_for_64_bit_guests_is_as_short_as_it_was(void)
{
    compare_file("x86_64.txt", (MODE_FLAT_ALL & ~MODE_SS32) | MODE_CS64 | MODE_LMA, 0);
}

static void position_independent_code_is_as_short_as_it_was(void)
{
    const uint64_t process = 3 << MODE_CPL_SHIFT;

    compare_file("x86_64-pic.txt", (MODE_FLAT_ALL & ~MODE_SS32) | MODE_CS64 | MODE_LMA | process, 64);
    compare_file("i386-pic.txt", MODE_FLAT_ALL | MODE_CS32 | process, 32);
}

static void code_for_32_bit_guests_is_as_short_as_it_was(void)
{
    compare_file("i386.txt", MODE_FLAT_ALL | MODE_CS32, 0);
}

int main(int argc, char **argv)
{
    static const TcgTarget target = {.slots = x86_slots, .n_slots = SLOT_COUNT, .pc_slot = SLOT_PC,
                                     .fxsave_offset = offsetof(X86State, fx), .use_vector_pins = true};
    static const TcgRuntime runtime = {0};
    const TcgOptions options = {.host_features = "-bmi1,-bmi2,-lzcnt,-popcnt,-movbe,-fsrm,-guesses-fldcw"};
    g_autofree char *text = NULL;

    g_test_init(&argc, &argv, NULL);
    cpu = cpu_new(&x86_cpu_type, "Nehalem,+bmi1,+bmi2,+abm,+movbe,+adx", 0, NULL);
    g_assert_nonnull(cpu);
    ir = ir_block_new(x86_slots, SLOT_COUNT, x86_helpers, HELPER_COUNT);
    g_assert_true(tcg_init(&target, &runtime, &options, NULL));
    code[0] = 0x90;
    code_size = 1;
    text = translate((How){MODE_FLAT_ALL | MODE_CS32, 0, false});
    if (!text) {
        g_print("1..0 # SKIP no disassembler\n");
        return 0;
    }
    g_test_add_func("/golden/x86_64", code_for_64_bit_guests_is_as_short_as_it_was);
    g_test_add_func("/golden/i386", code_for_32_bit_guests_is_as_short_as_it_was);
    g_test_add_func("/golden/pic", position_independent_code_is_as_short_as_it_was);
    g_test_add_func("/golden/hot", hot_code_goes_on_where_it_jumps);
    return g_test_run();
}
