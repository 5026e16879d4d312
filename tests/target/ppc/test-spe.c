/*
 * The e500's SPE: values by the manual's text for what the black box of test-spe-oracle lacks (products, accumulator,
 * saturation) or computes as IEEE 754 says (infinities, denormalized numbers, overflow), and its interrupts.
 */
#include "tests/target/ppc/rig.h"

#include "target/ppc/spe.h"

#define U64 UINT64_C
#define EV(xo) (4u << 26 | 5 << 21 | 6 << 16 | 7 << 11 | (xo)) /* r5 from r6 and r7 */

enum { OV = 0x4000, SOV = 0x8000, OVH = 0x40000000 };
#define SOVH 0x80000000u

static void start(void)
{
    rig_reset(0);
    ppc_map_page(rig_cpu, 0, 0, RIG_RAM);
    ppc_set_msr(rig_state, MSR_VEC);
    rig_state->spr[SPR_IVPR] = 0x30000;
    for (unsigned n = 0; n < 4; n++) {
        const uint32_t handler[] = { LI(31, 32 + n), RIG_END };

        rig_state->spr[SPR_IVOR32 + n] = n * 0x100;
        rig_words(0x30000 + n * 0x100, handler, 2);
    }
    rig_state->gpr[31] = 0;
}

static void run(uint32_t word, uint64_t a, uint64_t b)
{
    const uint32_t words[] = { word };

    spe_put(rig_state, 6, a);
    spe_put(rig_state, 7, b);
    rig_run_words(words, 1);
}

static void values_are_the_manual_s(void)
{
    static const struct {
        const char *name;
        uint32_t xo;
        uint64_t a, b, acc, result, acc_after;
        uint32_t spefscr;
    } cases[] = {
        { "evrndw", 524, U64(0x1234800012347fff), 0, 0, U64(0x1235000012340000), 0, 0 },
        { "evsrwu", 544, U64(0x8000000080000000), U64(0x000000040000003f), 0, U64(0x0800000000000000), 0, 0 },
        { "evsrws", 545, U64(0x8000000080000000), U64(0x000000040000003f), 0, U64(0xf8000000ffffffff), 0, 0 },
        { "evslw", 548, U64(0x0000000100000001), U64(0x0000001f00000020), 0, U64(0x8000000000000000), 0, 0 },
        { "brinc", 527, U64(0x1111111122220004), 7, 0, U64(0x1111111122220002), 0, 0 },
        { "evmhessf", 1027, U64(0x8000000040000000), U64(0x8000000040000000), 9, U64(0x7fffffff20000000), 9, SOVH | OVH },
        { "evmhossfa", 1063, U64(0x0000800000004000), U64(0x000080000000c000), 0, U64(0x7fffffffe0000000), U64(0x7fffffffe0000000), SOVH | OVH },
        { "evmheumi", 1032, U64(0xffff000000020000), U64(0xffff000000030000), 0, U64(0xfffe000100000006), 0, 0 },
        { "evmhosmi", 1037, U64(0x0000ffff00000002), U64(0x000000030000ffff), 0, U64(0xfffffffdfffffffe), 0, 0 },
        { "evmwhssf", 1095, U64(0x8000000040000000), U64(0x8000000040000000), 0, U64(0x7fffffff20000000), 0, SOVH | OVH },
        { "evmwhumi", 1100, U64(0xffffffff80000000), U64(0xffffffff00000002), 0, U64(0xfffffffe00000001), 0, 0 },
        { "evmwssf", 1107, 0x80000000, 0x80000000, 0, U64(0x7fffffffffffffff), 0, SOV | OV },
        { "evmwsmf", 1115, 0x40000000, 0x40000000, 0, U64(0x2000000000000000), 0, 0 },
        { "evaddusiaaw", 1216, U64(0xffffffff00000001), 0, U64(0x0000000200000002), U64(0xffffffff00000003), U64(0xffffffff00000003), SOVH | OVH },
        { "evsubfusiaaw", 1218, U64(0x0000000300000001), 0, U64(0x0000000200000002), 1, 1, SOVH | OVH },
        { "evaddssiaaw", 1217, U64(0x800000007fffffff), 0, U64(0xffffffff00000001), U64(0x800000007fffffff), U64(0x800000007fffffff),
          SOVH | OVH | SOV | OV },
        { "evsubfsmiaaw", 1227, U64(0x0000000100000002), 0, 0, U64(0xfffffffffffffffe), U64(0xfffffffffffffffe), 0 },
        { "evmra", 1220, U64(0x123456789abcdef0), 0, 0, U64(0x123456789abcdef0), U64(0x123456789abcdef0), 0 },
        { "evdivws", 1222, U64(0x8000000000000007), U64(0xfffffffffffffffe), 0, U64(0x7ffffffffffffffd), 0, SOVH | OVH },
        { "evdivwu", 1223, U64(0x0000000700000007), 2, 0, U64(0xffffffff00000003), 0, SOVH | OVH },
        { "evmheumiaaw", 1288, U64(0x0002000000030000), U64(0x0004000000050000), U64(0x00000001ffffffff), U64(0x000000090000000e),
          U64(0x000000090000000e), 0 },
        { "evmheumianw", 1416, U64(0x0002000000030000), U64(0x0004000000050000), U64(0x0000000100000010), U64(0xfffffff900000001),
          U64(0xfffffff900000001), 0 },
        { "evmhessfaaw", 1283, U64(0x8000000040000000), U64(0x8000000040000000), U64(0x0000000100000001), U64(0x7fffffff20000001),
          U64(0x7fffffff20000001), SOVH | OVH },
        { "evmhogsmiaa", 1325, 0xffff, 5, 3, U64(0xfffffffffffffffe), U64(0xfffffffffffffffe), 0 },
        { "evmhegsmfan", 1451, 0x80000000, 0x80000000, 0, U64(0xffffffff80000000), U64(0xffffffff80000000), 0 },
        { "evmwlumiaaw", 1352, U64(0x0001000000000003), U64(0x0001000000000005), U64(0x0000000700000001), U64(0x0000000700000010),
          U64(0x0000000700000010), 0 },
        { "evmwssfaa", 1363, 0x80000000, 0x80000000, 1, U64(0x7fffffffffffffff), U64(0x7fffffffffffffff), SOV | OV },
        { "evmwsmian", 1497, 3, 0xffffffff, 1, 4, 4, 0 },
        /* Embedded floating point: beyond the largest number there is nothing, below the smallest zero. */
        { "efdadd inf", 736, U64(0x7ff0000000000000), U64(0x3ff0000000000000), 0, U64(0x7fefffffffffffff), 0, 0x00100800 },
        { "efdmul over", 744, U64(0x7fe0000000000000), U64(0xffe0000000000000), 0, U64(0xffefffffffffffff), 0, 0x00223100 },
        { "efdmul under", 744, U64(0x0010000000000000), U64(0x8010000000000000), 0, U64(0x8000000000000000), 0, 0x00243200 },
        { "efdadd denormal", 736, 1, U64(0x3ff0000000000000), 0, U64(0x3ff0000000000000), 0, 0x00100800 },
        { "efddiv 0", 745, U64(0x3ff0000000000000), U64(0x8000000000000000), 0, U64(0xffefffffffffffff), 0, 0x00080400 },
        { "efdcfsf", 755, 0, 0x40000000, 0, U64(0x3fe0000000000000), 0, 0 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        start();
        rig_state->spe_acc = cases[i].acc;
        run(EV(cases[i].xo), cases[i].a, cases[i].b);
        if (spe_get(rig_state, 5) != cases[i].result || rig_state->spe_acc != (cases[i].acc_after ? cases[i].acc_after : cases[i].acc) ||
            rig_state->spr[SPR_SPEFSCR] != cases[i].spefscr) {
            g_test_message("%s: %016" G_GINT64_MODIFIER "x, accumulator %016" G_GINT64_MODIFIER "x, SPEFSCR %08x", cases[i].name,
                           spe_get(rig_state, 5), rig_state->spe_acc, (uint32_t)rig_state->spr[SPR_SPEFSCR]);
            g_test_fail();
        }
    }
}

static void without_the_bit_it_is_not_there(void)
{
    start();
    ppc_set_msr(rig_state, 0);
    run(EV(512), 1, 2);
    g_assert_cmpint(rig_state->gpr[31], ==, 32);
    g_assert_cmphex(rig_state->spr[SPR_ESR], ==, ESR_SPV);
    start();
    ppc_set_msr(rig_state, 0);
    run(EV(704), 0x3f800000, 0x3f800000); /* efsadd needs no upper halves */
    g_assert_cmphex(rig_state->gpr[5], ==, 0x40000000);
}

static void enabled_exceptions_interrupt(void)
{
    start();
    rig_state->spr[SPR_SPEFSCR] = SPEFSCR_FDBZE;
    spe_put(rig_state, 5, 77);
    run(EV(745), U64(0x3ff0000000000000), 0);
    g_assert_cmpint(rig_state->gpr[31], ==, 33);
    g_assert_cmpint(spe_get(rig_state, 5), ==, 77);
    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE);
    start();
    rig_state->spr[SPR_SPEFSCR] = SPEFSCR_FINXE;
    run(EV(745), U64(0x4000000000000000), U64(0x4008000000000000)); /* 2 / 3, cut off */
    g_assert_cmpint(rig_state->gpr[31], ==, 34);
    g_assert_cmphex(spe_get(rig_state, 5), ==, U64(0x3fe5555555555555));
    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, RIG_CODE + 4);
}

static void unaligned_pairs_interrupt(void)
{
    start();
    rig_state->spr[SPR_IVOR0 + 5] = 0x300;
    run(4u << 26 | 5 << 21 | 6 << 16 | 769, 0x1004, 0); /* evldd */
    g_assert_cmpint(rig_state->gpr[31], ==, 35);
    g_assert_cmphex(rig_state->spr[SPR_DEAR], ==, 0x1004);
    start();
    run(4u << 26 | 5 << 21 | 6 << 16 | 771, 0x1004, 0); /* evldw */
    g_assert_cmpint(rig_state->gpr[31], ==, 0);
}

static void word_instructions_leave_the_upper_half(void)
{
    start();
    spe_put(rig_state, 5, U64(0x1122334455667788));
    run(ADDI(5, 5, 1), 0, 0);
    g_assert_cmphex(spe_get(rig_state, 5), ==, U64(0x1122334455667789));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_start("e500v2");
#define TEST(name) g_test_add_func("/spe/" #name, name)
    TEST(values_are_the_manual_s);
    TEST(without_the_bit_it_is_not_there);
    TEST(enabled_exceptions_interrupt);
    TEST(unaligned_pairs_interrupt);
    TEST(word_instructions_leave_the_upper_half);
    return g_test_run();
}
