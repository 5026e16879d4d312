/* FXSAVE, FXRSTOR, XSAVE, XRSTOR, LDMXCSR, STMXCSR as the host does them, and their faults. */
#include "fp-machine.h"

enum { ROUNDS = 64, AREA = 64 };

static void check_code(FpEngine how, const uint8_t *code, unsigned n, const FpContext *before, bool is_image)
{
    FpContext want = *before, got = *before;
    char *difference;

    fpm_run_native(&want, code, n);
    fpm_run_translated(how, &got, code, n);
    if (is_image) { /* instruction and data pointers are zero, and the mask is the guest's */
        for (unsigned i = 0; i < 2; i++) {
            FxImage *image = (FxImage *)((i ? got.data : want.data) + AREA);

            image->fop = 0;
            image->fip = image->fdp = 0;
            image->mxcsr_mask = 0;
        }
    }
    difference = fpm_difference(&want, &got, FLAGS_ALL);
    if (difference) {
        fpm_fail("differs from the host", code, n, before, difference);
    }
}

/* A context whose data area holds a valid image at AREA. */
static void image_context(FpContext *c)
{
    FpContext other;
    FxImage *image = (FxImage *)(c->data + AREA);

    fpm_random_context(c);
    fpm_random_context(&other);
    *image = other.fx;
    image->fop = 0;
    image->fip = image->fdp = 0;
    memset(c->data + AREA + 512, 0, 64);
    c->gpr[R_BX] = fpm_data_address() + AREA;
}

static void test_fxsave(const void *engine_name)
{
    static const uint8_t fxsave[] = {0x0f, 0xae, 0x03}, fxsave64[] = {0x48, 0x0f, 0xae, 0x03};
    static const uint8_t fxrstor[] = {0x0f, 0xae, 0x0b};
    FpEngine how = GPOINTER_TO_INT(engine_name);
    FpContext c;

    for (unsigned i = 0; i < ROUNDS && !g_test_failed(); i++) {
        image_context(&c);
        fpm_page_end = i & 1 ? c.gpr[R_BX] + 8 * fpm_below(64) : 0;
        check_code(how, fxsave, sizeof(fxsave), &c, true);
        check_code(how, fxsave64, sizeof(fxsave64), &c, true);
        check_code(how, fxrstor, sizeof(fxrstor), &c, false);
        c.data[AREA + 26] = i < 2; /* a reserved bit of MXCSR */
        c.gpr[R_BX] += i % 16;     /* misaligned */
        check_code(how, fxrstor, sizeof(fxrstor), &c, false);
        check_code(how, fxsave, sizeof(fxsave), &c, true);
    }
    fpm_page_end = 0;
}

static bool host_has_xsave(void)
{
    uint32_t a = 1, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c >> 27 & 1;
}

/* The last page of 4 GiB and the first: outside of 64-bit mode an area goes on from one to the other. */
static uint8_t last_and_first[2 * GUEST_PAGE_SIZE];

static uint8_t *at_4gib(uint64_t addr, unsigned size)
{
    uint64_t offset = (addr + GUEST_PAGE_SIZE) & UINT32_MAX;

    g_assert_cmphex(addr, <=, UINT32_MAX);
    g_assert_cmpuint(offset + size, <=, addr >> 31 ? GUEST_PAGE_SIZE : sizeof(last_and_first));
    return last_and_first + offset;
}

static uint64_t load_4gib(Cpu *c, VirtAddr addr, unsigned size, unsigned mode, uintptr_t retaddr)
{
    uint64_t value = 0;

    memcpy(&value, at_4gib(addr, size), size);
    return value;
}

static void store_4gib(Cpu *c, VirtAddr addr, uint64_t value, unsigned size, unsigned mode, uintptr_t retaddr)
{
    memcpy(at_4gib(addr, size), &value, size);
}

static void *probe_4gib(Cpu *c, VirtAddr addr, unsigned size, MmuAccess access, unsigned mode, uintptr_t retaddr)
{
    return at_4gib(addr, size);
}

static void test_areas_across_4gib(void)
{
    EngineOps kept = engine;
    X86State *s = fpm_state();
    uint32_t mode_flags = s->mode_flags;
    uint8_t area[576], back[sizeof(area)];

    engine.load = load_4gib;
    engine.store = store_4gib;
    engine.probe = probe_4gib;
    s->mode_flags &= ~MODE_CS64;
    for (unsigned i = 0; i < sizeof(area); i++) {
        area[i] = i * 7 + 1;
    }
    for (unsigned before = 1; before < sizeof(area); before++) {
        uint32_t addr = -before;

        memset(last_and_first, 0, sizeof(last_and_first));
        memset(back, 0, sizeof(back));
        g_assert_null(x86_fp_probe(s, addr, sizeof(area), MMU_STORE, 0));
        x86_fp_write(s, addr, area, sizeof(area), 0);
        g_assert_cmpmem(last_and_first + GUEST_PAGE_SIZE - before, sizeof(area), area, sizeof(area));
        x86_fp_read(s, addr, back, sizeof(back), 0);
        g_assert_cmpmem(back, sizeof(back), area, sizeof(area));
    }
    g_assert_true(x86_fp_probe(s, -64u, 64, MMU_STORE, 0) == last_and_first + GUEST_PAGE_SIZE - 64);
    s->mode_flags = mode_flags;
    engine = kept;
}

static void test_xsave(const void *engine_name)
{
    static const uint8_t xsave[] = {0x0f, 0xae, 0x23}, xrstor[] = {0x0f, 0xae, 0x2b};
    FpEngine how = GPOINTER_TO_INT(engine_name);
    FpContext c;

    if (!host_has_xsave()) {
        g_test_skip("the host has no XSAVE");
        return;
    }
    fpm_state()->xcr0 = 3;
    for (unsigned i = 0; i < ROUNDS && !g_test_failed(); i++) {
        image_context(&c);
        fpm_page_end = i % 4 == 3 ? c.gpr[R_BX] + 8 * fpm_below(72) : 0;
        c.gpr[R_AX] = i & 3;
        c.gpr[R_DX] = 0;
        check_code(how, xsave, sizeof(xsave), &c, true);
        c.data[AREA + 512] = fpm_below(4);
        check_code(how, xrstor, sizeof(xrstor), &c, false);
        c.data[AREA + 512 + 8 + i % 16] = i > 50; /* reserved bytes of the header */
        c.data[AREA + 26] = i == 50;
        check_code(how, xrstor, sizeof(xrstor), &c, false);
        c.gpr[R_BX] += 16; /* aligned for FXSAVE only */
        check_code(how, xsave, sizeof(xsave), &c, true);
    }
    fpm_page_end = 0;
}

static bool host_has_xsavec(void)
{
    uint32_t a = 13, b, c = 1, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return host_has_xsave() && a >> 1 & 1;
}

/* The compacted format, stored and loaded; with components that are not in use. */
static void test_xsavec(const void *engine_name)
{
    static const uint8_t xsavec[] = {0x0f, 0xc7, 0x23}, xrstor[] = {0x0f, 0xae, 0x2b};
    FpEngine how = GPOINTER_TO_INT(engine_name);
    FpContext c;

    if (!host_has_xsavec() || !__builtin_cpu_supports("avx")) {
        g_test_skip("the host has no XSAVEC");
        return;
    }
    fpm_state()->xcr0 = 7;
    for (unsigned i = 0; i < ROUNDS && !g_test_failed(); i++) {
        uint64_t header[2] = {fpm_below(8), 1ull << 63 | 7};

        image_context(&c);
        fpm_page_end = i % 4 == 1 ? c.gpr[R_BX] + 8 * fpm_below(104) : 0;
        c.gpr[R_AX] = i & 7;
        c.gpr[R_DX] = 0;
        if (i % 8 == 7) {
            memset(c.ymm_high, 0, sizeof(c.ymm_high));
        }
        if (i % 8 != 7) { /* whether the host takes upper halves of zero for unused is its own affair */
            check_code(how, xsavec, sizeof(xsavec), &c, true);
        }
        header[1] ^= i == 60 ? 1ull << 10 : i == 61 ? 2 : 0;
        memcpy(c.data + AREA + 512, header, sizeof(header));
        c.data[AREA + 512 + 20] = i == 62;
        check_code(how, xrstor, sizeof(xrstor), &c, false);
    }
    fpm_page_end = 0;
}

static void test_mxcsr(const void *engine_name)
{
    static const uint8_t ldmxcsr[] = {0x0f, 0xae, 0x13}, stmxcsr[] = {0x0f, 0xae, 0x1b};
    FpEngine how = GPOINTER_TO_INT(engine_name);
    FpContext c;

    for (unsigned i = 0; i < ROUNDS && !g_test_failed(); i++) {
        fpm_random_context(&c);
        c.gpr[R_BX] = fpm_data_address() + fpm_below(64);
        check_code(how, stmxcsr, sizeof(stmxcsr), &c, false);
        memset(&c.data[c.gpr[R_BX] - fpm_data_address() + 2], i < 8 ? 1 << i : 0, 2);
        if (i < 8 ? i != 1 : true) { /* bit 17 exists on some hosts, but not for the guest */
            check_code(how, ldmxcsr, sizeof(ldmxcsr), &c, false);
        }
    }
}

/* 32-bit code neither stores nor loads xmm8 to xmm15. */
static void test_fxsave32(void)
{
    static const uint8_t fxsave[] = {0x0f, 0xae, 0x03}, fxrstor[] = {0x0f, 0xae, 0x0b};
    uint64_t saved = fpm_mode;
    FpContext before, c;

    image_context(&before);
    fpm_mode = (saved & ~MODE_CS64) | MODE_CS32;
    c = before;
    fpm_run_translated(FPM_INTERPRET, &c, fxsave, sizeof(fxsave));
    g_assert_cmpmem(c.data + AREA + 160, 128, before.fx.xmm[0], 128);
    g_assert_cmpmem(c.data + AREA + 288, 224, before.data + AREA + 288, 224);
    c = before;
    fpm_run_translated(FPM_INTERPRET, &c, fxrstor, sizeof(fxrstor));
    g_assert_cmpmem(c.fx.xmm[0], 128, before.data + AREA + 160, 128);
    g_assert_cmpmem(c.fx.xmm[8], 128, before.fx.xmm[8], 128);
    fpm_mode = saved;
}

/* A fault in the middle leaves everything as it was. */
static void test_fault(void)
{
    static const uint8_t fxrstor[] = {0x0f, 0xae, 0x0b}, fnsave[] = {0xdd, 0x33};
    FpContext before, c;

    image_context(&before);
    before.gpr[R_BX] = fpm_data_address() + FPM_DATA_SIZE - 64;
    c = before;
    fpm_run_translated(FPM_INTERPRET, &c, fxrstor, sizeof(fxrstor));
    g_assert_cmpint(c.vector, ==, EXC_PF);
    g_assert_cmpmem(&c.fx, sizeof(c.fx), &before.fx, sizeof(c.fx));
    c = before;
    fpm_run_translated(FPM_INTERPRET, &c, fnsave, sizeof(fnsave));
    g_assert_cmpint(c.vector, ==, EXC_PF);
    g_assert_cmpmem(&c.fx, sizeof(c.fx), &before.fx, sizeof(c.fx));
    g_assert_cmpmem(c.data, sizeof(c.data), before.data, sizeof(c.data));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fpm_init();
    g_test_add_func("/insn/fp/state/fxsave32", test_fxsave32);
    g_test_add_func("/insn/fp/state/fault", test_fault);
    g_test_add_func("/insn/fp/state/areas-across-4-gib", test_areas_across_4gib);
    for (FpEngine how = FPM_INTERPRET; how <= FPM_COMPILE; how++) {
        static const struct { const char *name; GTestDataFunc fn; } tests[] = {
            {"fxsave", test_fxsave}, {"xsave", test_xsave}, {"xsavec", test_xsavec}, {"mxcsr", test_mxcsr},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
            g_autofree char *path = g_strdup_printf("/insn/fp/state/%s-%s", tests[i].name,
                                                    how == FPM_INTERPRET ? "interpreted" : "compiled");

            g_test_add_data_func(path, GINT_TO_POINTER(how), tests[i].fn);
        }
    }
    return g_test_run();
}
