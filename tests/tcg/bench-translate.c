/*
 * What a translation costs: of all code in a range of a file, such as a program's .text, as that of a 64-bit process.
 *
 * usage: bench-translate FILE OFFSET BYTES [ADDRESS]
 *
 * Blocks begin where the one before ended. For exact figures: valgrind --tool=callgrind --toggle-collect=translate_all.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "target/x86/internal.h"
#include "tcg/tcg.h"

typedef struct Code {
    const uint8_t *bytes;
    uint64_t pc, size; /* pic: distances within the page count from origin */
    uint64_t origin;
} Code;

typedef struct Sums {
    uint64_t blocks, insns, guest, host, hot, exits, map, ir;
} Sums;

static bool fetch(Translation *t, uint64_t pc, uint8_t *out)
{
    const Code *code = t->engine;
    uint64_t at = code->origin + pc - code->pc;

    if (at >= code->size) {
        return false;
    }
    *out = code->bytes[at];
    return true;
}

static const uint8_t *bytes_at(Translation *t, uint64_t pc, unsigned size)
{
    const Code *code = t->engine;
    uint64_t at = code->origin + pc - code->pc;

    return pc + size <= 4096 && at < code->size && code->size - at >= size ? code->bytes + at : NULL;
}

static bool is_far(void *opaque, uint64_t pc)
{
    enum { LONGEST_INSN = 15 };

    return pc >= 4096 - LONGEST_INSN;
}

static HostBlock *compile(IrBlock *ir, BlockKey *key)
{
    HostBlock *block = tcg_compile(ir, is_far, key);

    if (!block) {
        tcg_region_next();
        block = tcg_compile(ir, is_far, key);
    }
    return block;
}

static void __attribute__((noinline)) translate_all(Cpu *cpu, IrBlock *ir, Code *code, uint64_t mode, Sums *sums)
{
    for (uint64_t at = code->pc; at < code->pc + code->size;) {
        BlockKey key = {.pc = at & 4095, .flags = mode, .pic_bits = 64};
        Translation t = {.ir = ir, .cpu = cpu, .key = &key, .max_insns = 64, .fetch = fetch, .bytes = bytes_at, .engine = code, .end_pc = key.pc};
        HostBlock *block;

        code->origin = at & ~UINT64_C(4095);
        ir_block_reset(ir);
        ir->pic_bits = 64;
        x86_translate(&t);
        ir->use_sites = false;
        ir_optimise(ir);
        sums->ir += ir->n_insns;
        block = compile(ir, &key);
        sums->blocks++;
        sums->insns += t.n_insns;
        sums->guest += t.end_pc - key.pc;
        sums->host += block->size + block->cold_size;
        sums->hot += block->usual_size;
        sums->exits += block->n_exits;
        sums->map += block->fault_map_size;
        at += MAX(t.end_pc - key.pc, 1);
    }
}

int main(int argc, char **argv)
{
    static const TcgTarget target = {.slots = x86_slots, .n_slots = SLOT_COUNT, .pc_slot = SLOT_PC,
                                     .fxsave_offset = offsetof(X86State, fx), .use_vector_pins = true};
    static const TcgRuntime runtime = {0};
    const TcgOptions options = {0};
    const uint64_t mode = MODE_PE | MODE_FLAT | MODE_FLAT_CS | MODE_OSFXSR | MODE_CS64 | MODE_LMA | 3 << MODE_CPL_SHIFT;
    g_autofree char *bytes = NULL;
    Code code;
    Sums sums = {0};
    size_t length;
    int64_t start;
    double ns;
    Cpu *cpu;
    IrBlock *ir;

    if (argc < 4 || !g_file_get_contents(argv[1], &bytes, &length, NULL)) {
        g_printerr("usage: bench-translate FILE OFFSET BYTES [ADDRESS]\n");
        return 1;
    }
    code.bytes = (uint8_t *)bytes + MIN(strtoull(argv[2], NULL, 0), length);
    code.size = MIN(strtoull(argv[3], NULL, 0), length - (code.bytes - (uint8_t *)bytes));
    code.pc = argc > 4 ? strtoull(argv[4], NULL, 0) : 0x400000;
    cpu = cpu_new(&x86_cpu_type, "max", 0, NULL);
    ir = ir_block_new(x86_slots, SLOT_COUNT, x86_helpers, HELPER_COUNT);
    if (!cpu || !tcg_init(&target, &runtime, &options, NULL)) {
        g_printerr("no translator\n");
        return 1;
    }
    start = g_get_monotonic_time();
    translate_all(cpu, ir, &code, mode, &sums);
    ns = (g_get_monotonic_time() - start) * 1e3;
    g_print("%" PRIu64 " blocks, %" PRIu64 " instructions, %" PRIu64 " bytes: %.0f ns per block, %.0f per instruction\n", sums.blocks, sums.insns,
            sums.guest, ns / sums.blocks, ns / sums.insns);
    g_print("host code %.2f bytes per byte (usual path %.2f), fault map %.2f, per block %.1f IR insns, %.2f direct exits\n",
            (double)sums.host / sums.guest, (double)sums.hot / sums.guest, (double)sums.map / sums.guest,
            (double)sums.ir / sums.blocks, (double)sums.exits / sums.blocks);
    return 0;
}
