/* Every x87 opcode, valid or not: the translated instruction does what the host's own does. */
#include "fp-machine.h"

enum { ROUNDS = 48 };

/* Where the environment holds pointers to code and data, which are zero for the guest. */
static void forget_pointers(FpContext *c, uint64_t at, bool wide)
{
    uint8_t *env = c->data + (at - fpm_data_address());

    memset(env + (wide ? 12 : 6), 0, wide ? 14 : 8);
}

static void check_code(FpEngine how, const uint8_t *code, unsigned n, int environment)
{
    for (unsigned i = 0; i < ROUNDS && !g_test_failed(); i++) {
        FpContext before, want, got;
        char *difference;

        fpm_random_context(&before);
        before.gpr[R_BX] = fpm_data_address() + fpm_below(64);
        if (environment) { /* no pending exceptions from a load */
            uint8_t *env = before.data + (before.gpr[R_BX] - fpm_data_address());

            env[0] |= 0x3f;
        }
        want = got = before;
        fpm_run_native(&want, code, n);
        fpm_run_translated(how, &got, code, n);
        if (environment) {
            forget_pointers(&want, before.gpr[R_BX], environment == 2);
            forget_pointers(&got, before.gpr[R_BX], environment == 2);
        }
        difference = fpm_difference(&want, &got, FLAGS_ALL);
        if (difference) {
            fpm_fail("differs from the host", code, n, &before, difference);
        }
    }
}

static bool is_environment(unsigned opcode, unsigned digit)
{
    return (opcode == 0xd9 || opcode == 0xdd) && (digit == 4 || digit == 6);
}

static void test_opcodes(const void *engine_name)
{
    static const uint8_t fwait[] = {0x9b};
    FpEngine how = GPOINTER_TO_INT(engine_name);

    for (unsigned opcode = 0xd8; opcode <= 0xdf && !g_test_failed(); opcode++) {
        for (unsigned digit = 0; digit < 8; digit++) {
            uint8_t code[] = {opcode, digit << 3 | R_BX};

            if (opcode == 0xd9 && digit == 5) {
                continue; /* fldcw may unmask: below */
            }
            check_code(how, code, 2, is_environment(opcode, digit) ? 2 : 0);
        }
        for (unsigned modrm = 0xc0; modrm <= 0xff; modrm++) {
            uint8_t code[] = {opcode, modrm};

            check_code(how, code, 2, 0);
        }
    }
    check_code(how, fwait, 1, 0);
}

static void test_environment16(const void *engine_name)
{
    for (unsigned i = 0; i < 4; i++) {
        uint8_t code[] = {0x66, i & 1 ? 0xdd : 0xd9, (i & 2 ? 6 : 4) << 3 | R_BX};

        check_code(GPOINTER_TO_INT(engine_name), code, 3, 1);
    }
}

/* Whole sequences, so that the state stays in registers between instructions. */
static void test_sequences(const void *engine_name)
{
    for (unsigned i = 0; i < 200 && !g_test_failed(); i++) {
        uint8_t code[32];
        unsigned n = 0;
        FpContext before;

        for (unsigned k = 0; k < 10; k++) {
            static const uint8_t memory_ops[] = {0xd8, 0xda, 0xdc, 0xde};
            unsigned kind = fpm_below(5);

            if (kind == 0) {
                code[n++] = memory_ops[fpm_below(4)];
                code[n++] = fpm_below(8) << 3 | R_BX;
            } else if (kind == 1) {
                code[n++] = fpm_below(2) ? 0xdd : 0xd9;
                code[n++] = (fpm_below(2) ? 0 : 3) << 3 | R_BX;
            } else if (kind == 2) {
                code[n++] = fpm_below(2) ? 0xdb : 0xda; /* fcmovcc */
                code[n++] = 0xc0 + fpm_below(32);
            } else if (kind == 3) {
                code[n++] = 0xdb; /* fucomi, fcomi */
                code[n++] = 0xe8 + fpm_below(16);
            } else {
                code[n++] = fpm_below(2) ? 0xdf : 0xd9; /* fnstsw ax or a constant */
                code[n] = code[n - 1] == 0xdf ? 0xe0 : 0xe8 + fpm_below(7);
                n++;
            }
        }
        fpm_random_context(&before);
        before.gpr[R_BX] = fpm_data_address() + fpm_below(64);
        fpm_check(GPOINTER_TO_INT(engine_name), "sequence differs from the host", code, n, &before);
    }
}

/* An unmasked exception comes at the next waiting instruction, however it was unmasked. */
static void test_unmasked(const void *engine_name)
{
    static const uint8_t divide[] = {0xd8, 0xf1, 0xd9, 0xc9, 0x9b};  /* fdiv st1; fxch; fwait */
    static const uint8_t load[] = {0xd9, 0x2b, 0xd9, 0xe8};          /* fldcw [rbx]; fld1 */
    static const uint8_t status[] = {0xd9, 0x2b, 0xdf, 0xe0};        /* fldcw [rbx]; fnstsw ax */
    FpEngine how = GPOINTER_TO_INT(engine_name);
    FpContext before, want, got;
    char *difference;

    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *code = i == 0 ? divide : i == 1 ? load : status;
        unsigned n = i == 0 ? sizeof(divide) : 4;

        fpm_random_context(&before);
        before.gpr[R_BX] = fpm_data_address();
        before.fx.tags = 0xff;
        before.fx.fsw = 4;
        before.fx.fcw = i == 0 ? 0x37b : 0x37f;
        before.data[0] = 0x7b;
        before.data[1] = 3;
        memset(before.fx.st[1], 0, 16);
        memset(before.fx.st[0], 0, 16);
        before.fx.st[0][7] = 0x80;
        before.fx.st[0][8] = 0xff;
        before.fx.st[0][9] = 0x3f;
        if (i == 0) {
            before.fx.fsw = 0;
        }
        want = got = before;
        fpm_run_native(&want, code, n);
        fpm_run_translated(how, &got, code, n);
        g_assert_cmpint(got.vector, ==, i == 2 ? -1 : EXC_MF);
        difference = fpm_difference(&want, &got, FLAGS_ALL);
        if (difference) {
            fpm_fail("differs from the host", code, n, &before, difference);
        }
    }
}

/* CR0.NE = 0: no exception but FERR#; port F0 makes the instruction run after all. */
static void test_ferr(void)
{
    X86State *s = fpm_state();

    s->fp_ferr = 1;
    x86_fp_ignne(s->hot.cpu);
    g_assert_cmpint(s->fp_ferr, ==, 2);
    x86_fp_clear_ferr(s);
    g_assert_cmpint(s->fp_ferr, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fpm_init();
    g_test_add_func("/insn/fp/x87/ferr", test_ferr);
    for (FpEngine how = FPM_INTERPRET; how <= FPM_COMPILE; how++) {
        static const struct { const char *name; GTestDataFunc fn; } tests[] = {
            {"opcodes", test_opcodes}, {"environment16", test_environment16}, {"sequences", test_sequences},
            {"unmasked", test_unmasked},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
            g_autofree char *path = g_strdup_printf("/insn/fp/x87/%s-%s", tests[i].name,
                                                    how == FPM_INTERPRET ? "interpreted" : "compiled");

            g_test_add_data_func(path, GINT_TO_POINTER(how), tests[i].fn);
        }
    }
    return g_test_run();
}
