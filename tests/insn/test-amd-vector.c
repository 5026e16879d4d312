/* 3DNow! and SSE4a by results that the manuals' definitions give; VAES and VPCLMULQDQ against the host's 128-bit forms. */
#include "fp-machine.h"

#include "target/x86/system.h"

static FpEngine how;

static void set_mmx(FpContext *c, unsigned n, uint64_t value)
{
    memcpy(c->fx.st[n], &value, 8);
}

static uint64_t get_mmx(const FpContext *c, unsigned n)
{
    uint64_t value;

    memcpy(&value, c->fx.st[n], 8);
    return value;
}

static uint64_t floats(float low, float high)
{
    uint32_t parts[2];

    memcpy(&parts[0], &low, 4);
    memcpy(&parts[1], &high, 4);
    return parts[0] | (uint64_t)parts[1] << 32;
}

/* mm1 op mm2, in registers and from memory. */
static void check_3dnow(uint8_t suffix, uint64_t a, uint64_t b, uint64_t want)
{
    const uint8_t registers[] = {0x0f, 0x0f, 0xca, suffix}, memory[] = {0x0f, 0x0f, 0x0b, suffix};
    FpContext c;

    for (unsigned i = 0; i < 2; i++) {
        fpm_random_context(&c);
        c.fx.fsw = 0;
        set_mmx(&c, 1, a);
        set_mmx(&c, 2, i ? 0x1234 : b);
        memcpy(c.data, &b, 8);
        c.gpr[R_BX] = fpm_data_address();
        fpm_run_translated(how, &c, i ? memory : registers, 4);
        g_assert_cmpint(c.vector, ==, -1);
        g_assert_cmphex(get_mmx(&c, 1), ==, want);
        g_assert_cmphex(c.fx.tags, ==, 0xff);
    }
}

static void test_3dnow(const void *engine_name)
{
    const float largest = 0x1.fffffep127f;
    static const uint8_t unknown[] = {0x0f, 0x0f, 0xca, 0x00};

    how = GPOINTER_TO_INT(engine_name);
    check_3dnow(0x9e, floats(1.5f, -2), floats(2.25f, 1), floats(3.75f, -1));
    check_3dnow(0x9e, floats(largest, 0x1p-126f), floats(largest, -0x1.8p-126f), floats(largest, -0.0f));
    check_3dnow(0x9a, floats(1, 2), floats(3, 5), floats(-2, -3));
    check_3dnow(0xaa, floats(1, 2), floats(3, 5), floats(2, 3));
    check_3dnow(0xb4, floats(-3, 0.5f), floats(2, 0.5f), floats(-6, 0.25f));
    check_3dnow(0xae, floats(1, 2), floats(3, 5), floats(3, 8));
    check_3dnow(0x8a, floats(1, 2), floats(3, 5), floats(-1, -2));
    check_3dnow(0x8e, floats(1, 2), floats(3, 5), floats(-1, 8));
    check_3dnow(0x90, floats(1, 2), floats(1, 5), 0x00000000ffffffff);
    check_3dnow(0xa0, floats(1, 7), floats(1, 5), 0xffffffff00000000);
    check_3dnow(0xb0, floats(1, 7), floats(1, 5), 0x00000000ffffffff);
    check_3dnow(0x94, floats(1, 7), floats(-1, 9), floats(-1, 7));
    check_3dnow(0xa4, floats(1, 7), floats(-1, 9), floats(1, 9));
    check_3dnow(0x0d, 0, 0x8000000001000001, floats(0x1p24f, -0x1p31f));
    check_3dnow(0x0c, 0, 0x1234ffff56780002, floats(2, -1));
    check_3dnow(0x1d, 0, floats(-1.9f, 3e9f), 0x7fffffffffffffff);
    check_3dnow(0x1c, 0, floats(-40000, 123.9f), 0x0000007bffff8000);
    check_3dnow(0x96, 0, floats(4, 1), floats(0.25f, 0.25f));
    check_3dnow(0x97, 0, floats(-4, 1), floats(-0.5f, -0.5f));
    check_3dnow(0xb6, 1, 0x1122334455667788, 0x1122334455667788);
    check_3dnow(0xb7, 0x80007fff00020001, 0x7fff7fff40008000, 0xc0013fff00010000);
    check_3dnow(0xbf, 0xff00010200ff8001, 0xff01020300ff0000, 0xff01020300ff4001);
    check_3dnow(0xbb, 0, 0x1122334455667788, 0x5566778811223344);
    g_assert_cmpint(fpm_vector_in(how, fpm_mode, unknown, sizeof(unknown)), ==, EXC_UD);
}

static void check_sse4a(const uint8_t *code, unsigned size, uint64_t a, uint64_t b, uint64_t control, uint64_t want)
{
    FpContext c;
    uint64_t got;

    fpm_random_context(&c);
    memcpy(c.fx.xmm[1], &a, 8);
    memcpy(c.fx.xmm[2], &b, 8);
    memcpy(c.fx.xmm[2] + 8, &control, 8);
    fpm_run_translated(how, &c, code, size);
    memcpy(&got, c.fx.xmm[1], 8);
    g_assert_cmpint(c.vector, ==, -1);
    g_assert_cmphex(got, ==, want);
}

static void test_sse4a(const void *engine_name)
{
    static const uint8_t extrq_i[] = {0x66, 0x0f, 0x78, 0xc1, 16, 8}, extrq_r[] = {0x66, 0x0f, 0x79, 0xca};
    static const uint8_t insertq_i[] = {0xf2, 0x0f, 0x78, 0xca, 8, 4}, insertq_r[] = {0xf2, 0x0f, 0x79, 0xca};
    static const uint8_t movntsd[] = {0xf2, 0x0f, 0x2b, 0x0b}, movntss[] = {0xf3, 0x0f, 0x2b, 0x0b};
    FpContext c, before;

    how = GPOINTER_TO_INT(engine_name);
    check_sse4a(extrq_i, sizeof(extrq_i), 0x1122334455667788, 0, 0, 0x6677);
    check_sse4a(extrq_r, sizeof(extrq_r), 0x1122334455667788, 0x0420, 0, 0x45566778);
    check_sse4a(insertq_i, sizeof(insertq_i), 0x1122334455667788, 0xff, 0, 0x1122334455667ff8);
    check_sse4a(insertq_r, sizeof(insertq_r), 0x1122334455667788, 0xaabbccdd, 0x2010, 0x1122ccdd55667788);
    for (unsigned i = 0; i < 2; i++) {
        fpm_random_context(&c);
        c.gpr[R_BX] = fpm_data_address() + 3;
        before = c;
        fpm_run_translated(how, &c, i ? movntss : movntsd, 4);
        g_assert_cmpmem(c.data + 3, i ? 4 : 8, before.fx.xmm[1], i ? 4 : 8);
        g_assert_cmpmem(c.data + (i ? 7 : 11), 8, before.data + (i ? 7 : 11), 8);
    }
}

/* op ymm1, ymm2, ymm3 or memory is op xmm1, xmm2, xmm3 on each half. */
static void test_wide(const void *engine_name)
{
    static const uint8_t opcodes[] = {0xdc, 0xdd, 0xde, 0xdf, 0x44};

    how = GPOINTER_TO_INT(engine_name);
    if (!x86_has(fpm_state(), FEAT_vaes) || !x86_has(fpm_state(), FEAT_vpclmulqdq)) {
        g_test_skip("the host has no AVX2 and AES");
        return;
    }
    for (unsigned i = 0; i < 200; i++) {
        bool multiply = opcodes[i % 5] == 0x44, memory = i % 2;
        uint8_t code[] = {0xc4, multiply ? 0xe3 : 0xe2, 0x6d, opcodes[i % 5], memory ? 0x0b : 0xcb, fpm_random()};
        FpContext c, low, high;

        fpm_random_context(&c);
        c.gpr[R_BX] = fpm_data_address() + 5;
        low = high = c;
        for (unsigned n = 1; n < 4; n++) {
            memcpy(high.fx.xmm[n], c.ymm_high[n], 16);
        }
        high.gpr[R_BX] += 16;
        fpm_run_translated(how, &c, code, multiply ? 6 : 5);
        code[2] = 0x69;
        fpm_run_native(&low, code, multiply ? 6 : 5);
        fpm_run_native(&high, code, multiply ? 6 : 5);
        g_assert_cmpint(c.vector, ==, -1);
        g_assert_cmpmem(c.fx.xmm[1], 16, low.fx.xmm[1], 16);
        g_assert_cmpmem(c.ymm_high[1], 16, high.fx.xmm[1], 16);
    }
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(const void *); } tests[] = {
        {"3dnow", test_3dnow}, {"sse4a", test_sse4a}, {"wide", test_wide},
    };
    static X86Features features;

    g_test_init(&argc, &argv, NULL);
    fpm_init();
    features = *fpm_state()->features;
    features.on[FEAT_3dnow] = features.on[FEAT_3dnowext] = features.on[FEAT_sse4a] = true;
    fpm_state()->features = &features;
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *interpreted = g_strdup_printf("/insn/amd/%s-interpreted", tests[i].name);
        g_autofree char *compiled = g_strdup_printf("/insn/amd/%s-compiled", tests[i].name);

        g_test_add_data_func(interpreted, GINT_TO_POINTER(FPM_INTERPRET), tests[i].run);
        g_test_add_data_func(compiled, GINT_TO_POINTER(FPM_COMPILE), tests[i].run);
    }
    return g_test_run();
}
