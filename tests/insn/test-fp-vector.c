/* Every MMX and SSE table row: the translated instruction does what the host's own does. */
#include <cpuid.h>

#include "fp-machine.h"
#include "target/x86/fp_table.h"

enum { ROUNDS = 24 };

static FpEngine how;

static bool host_has(unsigned feature)
{
    static const struct { uint32_t leaf, subleaf, reg, bit; } features[] = {
#define FEATURE(name, leaf, subleaf, reg, bit) {leaf, subleaf, reg, bit},
#include "target/x86/features.def"
#undef FEATURE
    };
    uint32_t r[4];

    return __get_cpuid_count(features[feature].leaf, features[feature].subleaf, &r[0], &r[1], &r[2], &r[3]) &&
           r[features[feature].reg] >> features[feature].bit & 1;
}

/* The bytes of a row with random registers; base register of memory is BX. */
static unsigned build(uint8_t *code, const FpRow *row, bool memory, unsigned digit)
{
    bool reg_gpr = row->reg == FP_G, rm_gpr = row->rm == FP_E && !memory;
    unsigned n = 0, reg = fpm_below(16), rm = fpm_below(16);
    uint8_t rex = 0x40;

    while (reg_gpr && (reg == R_SP || reg == R_BX)) {
        reg = fpm_below(16);
    }
    while (rm_gpr && rm == R_SP) {
        rm = fpm_below(16);
    }
    if (row->reg == FP_NONE) {
        reg = digit;
    }
    if (row->reg == FP_P) {
        reg &= 7;
    }
    if (row->rm == FP_Q || row->rm == FP_N) {
        rm &= 7;
    }
    if (memory) {
        rm = R_BX;
    }
    if (row->prefix) {
        code[n++] = row->prefix;
    }
    rex |= (row->flags & (FPF_Y | FPF_GPR64 | FPF_STRING) && fpm_below(2) ? 8 : 0) | (reg >> 3) << 2 | rm >> 3;
    if (rex != 0x40) {
        code[n++] = rex;
    }
    code[n++] = 0x0f;
    if (row->map != MAP_0F) {
        code[n++] = row->map == MAP_0F38 ? 0x38 : 0x3a;
    }
    code[n++] = row->opcode;
    if (row->rm != FP_NONE) {
        code[n++] = (memory ? 0 : 0xc0) | (reg & 7) << 3 | (rm & 7);
    }
    if (row->flags & FPF_IMM) {
        code[n++] = fpm_below(3) ? fpm_random() : fpm_below(16);
    }
    return n;
}

static void check_row(const FpRow *row, bool memory, unsigned digit)
{
    bool misaligned_ok = row->size != 16 || row->flags & FPF_LOOSE;

    for (unsigned i = 0; i < ROUNDS && !g_test_failed(); i++) {
        FpContext before;
        uint8_t code[16];
        unsigned n = build(code, row, memory, digit);

        fpm_random_context(&before);
        before.gpr[R_BX] = fpm_data_address() + fpm_below(8) * 16 + (misaligned_ok ? fpm_below(16) : 0);
        /* AMD's processors let SHA operands be misaligned, against Intel's manual. */
        if (memory && !misaligned_ok && i == 0 && row->feature != FEAT_sha_ni) {
            before.gpr[R_BX]++;
        }
        if (row->flags & FPF_MASKMOV) {
            before.gpr[R_DI] = fpm_data_address() + fpm_below(64);
        }
        if (row->flags & FPF_STRING) {
            before.gpr[R_AX] = (int64_t)fpm_below(40) - 20;
            before.gpr[R_DX] = fpm_below(8) ? fpm_below(17) : fpm_random();
        }
        fpm_check(how, "differs from the host", code, n, &before);
    }
}

static void test_rows(const void *engine_name)
{
    how = GPOINTER_TO_INT(engine_name);
    for (unsigned i = 0; i < x86_fp_row_count && !g_test_failed(); i++) {
        const FpRow *row = &x86_fp_rows[i];
        bool has_memory = row->rm == FP_W || row->rm == FP_Q || row->rm == FP_E || row->rm == FP_M;

        if (!host_has(row->feature)) {
            continue;
        }
        for (unsigned digit = 0; digit < 8; digit++) {
            if (row->rm != FP_M && (row->digits ? row->digits >> digit & 1 : digit == 0)) {
                check_row(row, false, digit);
            }
        }
        if (has_memory) {
            check_row(row, true, 0);
        }
    }
}

/* Loads and stores off one register share TLB checks, or off two, which may overlap, with other instructions between them. */
static void test_groups(const void *engine_name)
{
    static const struct {
        uint8_t size, bytes[5];
        bool aligned;
    } accesses[] = {
        {3, {0x0f, 0x10, 0x43}, false}, {3, {0x0f, 0x28, 0x43}, true}, {3, {0x0f, 0x11, 0x43}, false},
        {3, {0x0f, 0x29, 0x43}, true}, {4, {0xf3, 0x0f, 0x6f, 0x43}, false}, {4, {0x66, 0x0f, 0x7f, 0x43}, true},
        {4, {0xf2, 0x0f, 0x10, 0x43}, false}, {4, {0x66, 0x0f, 0x58, 0x43}, true}, {4, {0x66, 0x0f, 0xfe, 0x43}, true},
        {4, {0xf2, 0x0f, 0x11, 0x43}, false}, {4, {0x66, 0x0f, 0xd6, 0x43}, false},
    }, others[] = {
        {3, {0x0f, 0x58, 0xc1}, false}, {4, {0x66, 0x0f, 0xfe, 0xd0}, false}, {2, {0x39, 0xc8}, false}, /* cmp eax, ecx */
        {3, {0x83, 0xd2, 0x00}, false}, /* adc edx, 0 */ {3, {0x48, 0x01, 0xc7}, false}, {3, {0x0f, 0x94, 0xc2}, false},
    };

    how = GPOINTER_TO_INT(engine_name);
    for (unsigned round = 0; round < 1500 && !g_test_failed(); round++) {
        FpContext before;
        unsigned n = 0, kind = fpm_below(G_N_ELEMENTS(accesses));
        uint8_t code[80];

        for (unsigned k = 0; k < 9; k++) {
            if (fpm_below(3)) {
                unsigned i = fpm_below(4) ? kind : fpm_below(G_N_ELEMENTS(accesses));

                memcpy(code + n, accesses[i].bytes, accesses[i].size);
                n += accesses[i].size;
                code[n - 1] |= fpm_below(8) << 3;
                code[n - 1] ^= fpm_below(3) ? 0 : 3 ^ 6; /* rsi */
                code[n++] = (accesses[i].aligned ? 16 * fpm_below(16) : fpm_below(240)) - 128;
            } else {
                unsigned i = fpm_below(G_N_ELEMENTS(others));

                memcpy(code + n, others[i].bytes, others[i].size);
                n += others[i].size;
            }
        }
        fpm_random_context(&before);
        before.gpr[R_BX] = fpm_data_address() + 256;
        before.gpr[R_SI] = fpm_data_address() + 256 + 16 * fpm_below(16);
        fpm_check(how, "sequence differs from the host", code, n, &before);
    }
}

/* movaps xmm0, [rbx+1]; movaps xmm1, [rbx+17]: the first of them faults. */
static void test_misaligned_group(void)
{
    static const uint8_t loads[] = {0x0f, 0x28, 0x43, 0x01, 0x0f, 0x28, 0x4b, 0x11};

    g_assert_cmpint(fpm_vector_in(FPM_COMPILE, fpm_mode, loads, sizeof(loads)), ==, EXC_GP);
}

/* Each opcode has one meaning: a second row would be dead. */
static void test_rows_are_unique(void)
{
    for (unsigned i = 0; i < x86_fp_row_count; i++) {
        const FpRow *row = &x86_fp_rows[i];

        g_assert_true(x86_fp_row(row->map, row->prefix, row->opcode) == row);
    }
}

static void test_mode_checks(void)
{
    static const uint8_t addps[] = {0x0f, 0x58, 0xc1}, paddb[] = {0x0f, 0xfc, 0xc1}, fadd[] = {0xd8, 0xc1};
    static const uint8_t fwait[] = {0x9b}, fxsave[] = {0x0f, 0xae, 0x03}, ldmxcsr[] = {0x0f, 0xae, 0x13};
    static const uint8_t bad[] = {0xf3, 0x0f, 0xfc, 0xc1};
    uint64_t mode = fpm_mode;

#define VECTOR(m, code) fpm_vector_in(FPM_INTERPRET, m, code, sizeof(code))
    g_assert_cmpint(VECTOR(mode, addps), ==, -1);
    g_assert_cmpint(VECTOR(mode | MODE_EM, addps), ==, EXC_UD);
    g_assert_cmpint(VECTOR(mode | MODE_TS, addps), ==, EXC_NM);
    g_assert_cmpint(VECTOR(mode & ~MODE_OSFXSR, addps), ==, EXC_UD);
    g_assert_cmpint(VECTOR((mode & ~MODE_OSFXSR) | MODE_TS, addps), ==, EXC_UD);
    g_assert_cmpint(VECTOR(mode & ~MODE_OSFXSR, paddb), ==, -1);
    g_assert_cmpint(VECTOR(mode | MODE_EM, paddb), ==, EXC_UD);
    g_assert_cmpint(VECTOR(mode | MODE_TS, paddb), ==, EXC_NM);
    g_assert_cmpint(VECTOR(mode | MODE_EM, fadd), ==, EXC_NM);
    g_assert_cmpint(VECTOR(mode | MODE_TS, fadd), ==, EXC_NM);
    g_assert_cmpint(VECTOR(mode | MODE_TS, fwait), ==, -1);
    g_assert_cmpint(VECTOR(mode | MODE_EM, fwait), ==, -1);
    g_assert_cmpint(VECTOR(mode | MODE_TS | MODE_MP, fwait), ==, EXC_NM);
    g_assert_cmpint(VECTOR(mode | MODE_TS, fxsave), ==, EXC_NM);
    g_assert_cmpint(VECTOR(mode | MODE_EM, fxsave), ==, EXC_NM);
    g_assert_cmpint(VECTOR(mode & ~MODE_OSFXSR, ldmxcsr), ==, EXC_UD);
    g_assert_cmpint(VECTOR(mode, bad), ==, EXC_UD);
#undef VECTOR
}

/* An unmasked SIMD exception comes at the instruction, which then has done nothing. */
static void test_unmasked(const void *engine_name)
{
    static const uint8_t divps[] = {0x0f, 0x5e, 0xc1};
    FpContext before, want, got;
    char *difference;

    fpm_random_context(&before);
    memset(before.fx.xmm[1], 0, 16);
    before.fx.xmm[0][3] = before.fx.xmm[0][7] = before.fx.xmm[0][11] = before.fx.xmm[0][15] = 0x3f;
    before.fx.mxcsr = 0x1f80 & ~0x200;
    want = got = before;
    fpm_run_native(&want, divps, sizeof(divps));
    fpm_run_translated(GPOINTER_TO_INT(engine_name), &got, divps, sizeof(divps));
    g_assert_cmpint(want.vector, ==, EXC_MF); /* the oracle's name for SIGFPE */
    g_assert_cmpint(got.vector, ==, EXC_XM);
    got.vector = want.vector;
    difference = fpm_difference(&want, &got, 0);
    if (difference) {
        fpm_fail("after #XM", divps, sizeof(divps), &before, difference);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fpm_init();
    g_test_add_func("/insn/fp/vector/unique", test_rows_are_unique);
    g_test_add_func("/insn/fp/vector/mode", test_mode_checks);
    g_test_add_func("/insn/fp/vector/misaligned-group", test_misaligned_group);
    g_test_add_data_func("/insn/fp/vector/groups-interpreted", GINT_TO_POINTER(FPM_INTERPRET), test_groups);
    g_test_add_data_func("/insn/fp/vector/groups-compiled", GINT_TO_POINTER(FPM_COMPILE), test_groups);
    g_test_add_data_func("/insn/fp/vector/rows-interpreted", GINT_TO_POINTER(FPM_INTERPRET), test_rows);
    g_test_add_data_func("/insn/fp/vector/unmasked-interpreted", GINT_TO_POINTER(FPM_INTERPRET), test_unmasked);
    g_test_add_data_func("/insn/fp/vector/rows-compiled", GINT_TO_POINTER(FPM_COMPILE), test_rows);
    g_test_add_data_func("/insn/fp/vector/unmasked-compiled", GINT_TO_POINTER(FPM_COMPILE), test_unmasked);
    return g_test_run();
}
