/* Every VEX table row: the translated instruction does what the host's own does. */
#include <cpuid.h>

#include "fp-machine.h"
#include "target/x86/vex_table.h"

enum { ROUNDS = 24 };

static FpEngine how;

/* Like "max", which the machine is: what the host has. What it need not have is in test-amd-vector. */
static bool has(unsigned feature)
{
    return x86_has(fpm_state(), feature) && feature != FEAT_vaes && feature != FEAT_vpclmulqdq;
}

static unsigned random_except(uint32_t excluded)
{
    unsigned n;

    do {
        n = fpm_below(16);
    } while (excluded >> n & 1);
    return n;
}

typedef struct Form {
    bool memory, l256;
    unsigned digit;
} Form;

/* The bytes of a row with random registers; base register of memory is BX. */
static unsigned build(uint8_t *code, const VexRow *row, Form form)
{
    unsigned n = 0, no_gpr = 1 << R_SP | 1 << R_BX;
    unsigned reg = row->reg == FP_NONE ? form.digit : random_except(row->reg == FP_G ? no_gpr : 0);
    unsigned rm = form.memory ? R_BX : random_except(row->rm == FP_E ? 1 << R_SP : 0);
    bool uses_vvvv = row->h || (row->flags & FPF_MERGE && !form.memory);
    unsigned vvvv = uses_vvvv ? random_except(0) : 0, index = random_except(1 << reg);
    bool w = row->w == VEX_W_1 || (row->w == VEX_W_IGNORED && fpm_below(2));
    bool gather = row->flags & FPF_GATHER;
    uint8_t pp = x86_prefix_index(row->prefix);

    if (gather) {
        vvvv = random_except(1 << reg | 1 << index);
    }
    if (row->map == MAP_0F && !w && rm < 8 && fpm_below(2)) {
        code[n++] = 0xc5;
        code[n++] = (reg < 8) << 7 | (~vvvv & 15) << 3 | form.l256 << 2 | pp;
    } else {
        code[n++] = 0xc4;
        code[n++] = (reg < 8) << 7 | (!gather || index < 8) << 6 | (rm < 8) << 5 | row->map;
        code[n++] = w << 7 | (~vvvv & 15) << 3 | form.l256 << 2 | pp;
    }
    code[n++] = row->opcode;
    if (gather) {
        code[n++] = (reg & 7) << 3 | 4;
        code[n++] = fpm_below(4) << 6 | (index & 7) << 3 | R_BX;
    } else if (row->rm != FP_NONE) {
        code[n++] = (form.memory ? 0 : 0xc0) | (reg & 7) << 3 | (rm & 7);
    }
    if (row->flags & FPF_IMM) {
        code[n++] = fpm_below(3) ? fpm_random() : fpm_below(16);
    }
    return n;
}

/* Indexes that stay in the data, of 4 or 8 bytes. */
static void make_indexes(FpContext *c, bool wide)
{
    for (unsigned i = 0; i < 16; i++) {
        for (unsigned at = 0; at < 16; at += 4) {
            uint32_t low = wide && at & 4 ? 0 : fpm_below(24), high = wide && at & 4 ? 0 : fpm_below(24);

            memcpy(c->fx.xmm[i] + at, &low, 4);
            memcpy(c->ymm_high[i] + at, &high, 4);
        }
    }
}

static void check_form(const VexRow *row, Form form)
{
    for (unsigned i = 0; i < ROUNDS && !g_test_failed(); i++) {
        FpContext before;
        uint8_t code[16];
        unsigned n = build(code, row, form);
        bool aligned = row->flags & FPF_ALIGNED;

        fpm_random_context(&before);
        before.gpr[R_BX] = fpm_data_address() + 32 * (1 + fpm_below(4)) + (aligned ? 0 : fpm_below(32));
        if (aligned && form.memory && i == 0) {
            before.gpr[R_BX] += 16; /* a fault for VEX.256 */
        }
        if (row->flags & FPF_MASKMOV) {
            before.gpr[R_DI] = fpm_data_address() + fpm_below(64);
        }
        if (row->flags & FPF_STRING) {
            before.gpr[R_AX] = (int64_t)fpm_below(40) - 20;
            before.gpr[R_DX] = fpm_below(8) ? fpm_below(17) : fpm_random();
        }
        if (row->flags & FPF_GATHER) {
            unsigned mask = ~(code[0] == 0xc5 ? code[1] : code[2]) >> 3 & 15;

            make_indexes(&before, row->opcode & 1);
            for (unsigned b = 0; b < 16; b++) {
                before.fx.xmm[mask][b] = fpm_random();
                before.ymm_high[mask][b] = fpm_random();
            }
        }
        if (row->flags & FPF_MXCSR) {
            uint32_t good = 0x1f80 | fpm_below(64);

            memcpy(before.data + before.gpr[R_BX] - fpm_data_address(), &good, 4);
        }
        fpm_check(how, "differs from the host", code, n, &before);
    }
}

static void check_row(const VexRow *row, bool l256)
{
    bool has_memory = row->rm == FP_W || row->rm == FP_E || row->rm == FP_M;
    bool has_register = row->rm != FP_M && (!(row->flags & FPF_REG_AVX2) || has(FEAT_avx2));
    unsigned digits = row->digits ? row->digits : row->flags & FPF_MXCSR ? 0x0c : 1;

    for (unsigned digit = 0; digit < 8; digit++) {
        if (!(digits >> digit & 1)) {
            continue;
        }
        if (has_register) {
            check_form(row, (Form){ .l256 = l256, .digit = digit });
        }
        if (has_memory) {
            check_form(row, (Form){ .memory = true, .l256 = l256, .digit = digit });
        }
    }
}

static bool host_has_avx(void)
{
    if (!has(FEAT_avx)) {
        g_test_skip("the host has no AVX");
    }
    return has(FEAT_avx);
}

static void test_rows(const void *engine_name)
{
    how = GPOINTER_TO_INT(engine_name);
    if (!host_has_avx()) {
        return;
    }
    for (unsigned i = 0; i < x86_vex_row_count && !g_test_failed(); i++) {
        const VexRow *row = &x86_vex_rows[i];

        if (row->length != VEX_L_256 && has(row->feature)) {
            check_row(row, false);
        }
        if (row->length != VEX_L_128 && has(row->feature256)) {
            check_row(row, true);
        }
    }
}

static void test_rows_are_unique(void)
{
    for (unsigned i = 0; i < x86_vex_row_count; i++) {
        const VexRow *row = &x86_vex_rows[i];

        if (row->w != VEX_W_1) {
            g_assert_true(x86_vex_row(row->map, row->prefix, row->opcode, false) == row);
        }
        if (row->w != VEX_W_0) {
            g_assert_true(x86_vex_row(row->map, row->prefix, row->opcode, true) == row);
        }
    }
}

/* Register forms of both kinds one behind the other: upper halves survive legacy instructions. */
static void test_sequences(const void *engine_name)
{
    static const uint8_t legacy[][4] = {
        {0x0f, 0x58, 0xc1}, {0x0f, 0x28, 0xd3}, {0x66, 0x0f, 0xfe, 0xca}, {0x0f, 0x57, 0xdb}, {0x0f, 0xc6, 0xd1, 0x1b},
    };
    static const uint8_t lengths[] = {3, 3, 4, 3, 4};
    g_autoptr(GPtrArray) rows = g_ptr_array_new();

    how = GPOINTER_TO_INT(engine_name);
    if (!host_has_avx()) {
        return;
    }
    for (unsigned i = 0; i < x86_vex_row_count; i++) {
        const VexRow *row = &x86_vex_rows[i];

        if (row->reg == FP_V && (row->rm == FP_W || row->rm == FP_U) && !row->digits && has(row->feature) &&
            has(row->feature256) && !(row->flags & (FPF_MASKMOV | FPF_STRING | FPF_REG_AVX2))) {
            g_ptr_array_add(rows, (void *)row);
        }
    }
    for (unsigned round = 0; round < 400 && !g_test_failed(); round++) {
        FpContext before;
        uint8_t code[64];
        unsigned n = 0;

        for (unsigned k = 0; k < 5; k++) {
            const VexRow *row = rows->pdata[fpm_below(rows->len)];
            unsigned kind = fpm_below(8);

            if (kind < 4) {
                bool l256 = row->length == VEX_L_256 || (row->length != VEX_L_128 && fpm_below(2));

                n += build(code + n, row, (Form){ .l256 = l256 });
            } else if (kind < 7) {
                unsigned l = fpm_below(G_N_ELEMENTS(lengths));

                memcpy(code + n, legacy[l], lengths[l]);
                n += lengths[l];
            } else {
                code[n++] = 0xc5;
                code[n++] = fpm_below(2) ? 0xf8 : 0xfc;
                code[n++] = 0x77;
            }
        }
        fpm_random_context(&before);
        fpm_check(how, "sequence differs from the host", code, n, &before);
    }
}

static void test_checks(void)
{
    static const uint8_t vaddps[] = {0xc5, 0xf4, 0x58, 0xc2};
    static const uint8_t prefixed[] = {0x66, 0xc5, 0xf4, 0x58, 0xc2};      /* a prefix before VEX */
    static const uint8_t vvvv[] = {0xc5, 0xf0, 0x28, 0xc2};                /* vmovaps uses no vvvv */
    static const uint8_t long_movd[] = {0xc5, 0xfd, 0x6e, 0xc0};           /* vmovd has no VEX.256 */
    static const uint8_t short_permq[] = {0xc4, 0xe3, 0xf9, 0x00, 0xc0, 0}; /* vpermq has no VEX.128 */
    static const uint8_t permq_w0[] = {0xc4, 0xe3, 0x7d, 0x00, 0xc0, 0};
    static const uint8_t gather_same[] = {0xc4, 0xe2, 0x79, 0x90, 0x04, 0x0b};  /* vpgatherdd xmm0, [rbx+xmm1], xmm0 */
    static const uint8_t gather_no_sib[] = {0xc4, 0xe2, 0x79, 0x90, 0x03};
    uint64_t mode = fpm_mode;

    if (!host_has_avx()) {
        return;
    }
#define VECTOR(m, code) fpm_vector_in(FPM_INTERPRET, m, code, sizeof(code))
    g_assert_cmpint(VECTOR(mode, vaddps), ==, -1);
    g_assert_cmpint(VECTOR(mode | MODE_EM, vaddps), ==, -1);
    g_assert_cmpint(VECTOR(mode | MODE_TS, vaddps), ==, EXC_NM);
    g_assert_cmpint(VECTOR(mode & ~MODE_AVX, vaddps), ==, EXC_UD);
    g_assert_cmpint(VECTOR(mode, prefixed), ==, EXC_UD);
    g_assert_cmpint(VECTOR(mode, vvvv), ==, EXC_UD);
    g_assert_cmpint(VECTOR(mode, long_movd), ==, EXC_UD);
    g_assert_cmpint(VECTOR(mode, short_permq), ==, EXC_UD);
    g_assert_cmpint(VECTOR(mode, permq_w0), ==, EXC_UD);
    g_assert_cmpint(VECTOR(mode, gather_same), ==, EXC_UD);
    g_assert_cmpint(VECTOR(mode, gather_no_sib), ==, EXC_UD);
#undef VECTOR
}

/* Elements that are masked out do not fault; a gather that faults keeps what came before. */
static void test_masked_faults(const void *engine_name)
{
    static const uint8_t load[] = {0xc4, 0xe2, 0x75, 0x2c, 0x03};   /* vmaskmovps ymm0, ymm1, [rbx] */
    static const uint8_t store[] = {0xc4, 0xe2, 0x75, 0x2e, 0x03};  /* vmaskmovps [rbx], ymm1, ymm0 */
    static const uint8_t gather[] = {0xc4, 0xe2, 0x6d, 0x90, 0x04, 0x8b}; /* vpgatherdd ymm0, [rbx+ymm1*4], ymm2 */
    FpEngine engine_kind = GPOINTER_TO_INT(engine_name);
    uint32_t indexes[8] = {0, 1, 2, 0x10000000, 4, 5, 6, 7}, value;
    FpContext c, before;

    if (!host_has_avx()) {
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        fpm_random_context(&c);
        c.gpr[R_BX] = fpm_data_address() + FPM_DATA_SIZE - 16; /* four elements are in the data */
        memset(c.fx.xmm[1], 0xff, 16);
        memset(c.ymm_high[1], i ? 0x80 : 0, 16);
        before = c;
        fpm_run_translated(engine_kind, &c, load, sizeof(load));
        g_assert_cmpint(c.vector, ==, i ? EXC_PF : -1);
        if (i) {
            g_assert_cmpmem(c.fx.xmm[0], 16, before.fx.xmm[0], 16);
        } else {
            g_assert_cmpmem(c.fx.xmm[0], 16, before.data + FPM_DATA_SIZE - 16, 16);
        }
        c = before;
        fpm_run_translated(engine_kind, &c, store, sizeof(store));
        g_assert_cmpint(c.vector, ==, i ? EXC_PF : -1);
        g_assert_cmpmem(c.data + FPM_DATA_SIZE - 16, 16, i ? before.data + FPM_DATA_SIZE - 16 : before.fx.xmm[0], 16);
    }
    if (!has(FEAT_avx2)) {
        return;
    }
    fpm_random_context(&c);
    c.gpr[R_BX] = fpm_data_address();
    memcpy(c.fx.xmm[1], indexes, 16);
    memcpy(c.ymm_high[1], indexes + 4, 16);
    memset(c.fx.xmm[2], 0xff, 16);
    memset(c.ymm_high[2], 0xff, 16);
    before = c;
    fpm_run_translated(engine_kind, &c, gather, sizeof(gather));
    g_assert_cmpint(c.vector, ==, EXC_PF);
    g_assert_cmpmem(c.fx.xmm[0], 12, before.data, 12);
    g_assert_cmpmem(c.fx.xmm[0] + 12, 4, before.fx.xmm[0] + 12, 4);
    memcpy(&value, c.fx.xmm[2] + 8, 4);
    g_assert_cmpuint(value, ==, 0);
    memcpy(&value, c.fx.xmm[2] + 12, 4);
    g_assert_cmpuint(value, ==, UINT32_MAX);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(const void *); } tests[] = {
        {"rows", test_rows}, {"sequences", test_sequences}, {"masked-faults", test_masked_faults},
    };

    g_test_init(&argc, &argv, NULL);
    fpm_init();
    g_test_add_func("/insn/fp/vex/unique", test_rows_are_unique);
    g_test_add_func("/insn/fp/vex/checks", test_checks);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *interpreted = g_strdup_printf("/insn/fp/vex/%s-interpreted", tests[i].name);
        g_autofree char *compiled = g_strdup_printf("/insn/fp/vex/%s-compiled", tests[i].name);

        g_test_add_data_func(interpreted, GINT_TO_POINTER(FPM_INTERPRET), tests[i].run);
        g_test_add_data_func(compiled, GINT_TO_POINTER(FPM_COMPILE), tests[i].run);
    }
    return g_test_run();
}
