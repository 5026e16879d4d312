/* The IR builder, the passes (by the text of what they leave) and the verifier. */
#include <glib.h>
#include <string.h>

#include "tcg/ir.h"

enum { AX, CX, CC, SMALL };

static const IrSlot slots[] = {
    [AX] = {"ax", 64, IR_I64, 0},
    [CX] = {"cx", 72, IR_I64, 1},
    [CC] = {"cc", 80, IR_I64, -1},
    [SMALL] = {"small", 88, IR_I32, -1},
};

enum { READS_AX, WRITES_CX, FAULTS, IS_PURE };

static const IrHelper helpers[] = {
    [READS_AX] = {"reads_ax", NULL, 0, IR_VOID, 0, 1 << AX, 0},
    [WRITES_CX] = {"writes_cx", NULL, 0, IR_VOID, 0, 0, 1 << CX},
    [FAULTS] = {"faults", NULL, 1, IR_VOID, EFFECT_FAULT, 0, 0},
    [IS_PURE] = {"is_pure", NULL, 1, IR_I64, EFFECT_PURE, 0, 0},
};

#define NO ((IrVal){0})

static IrBlock *block(void)
{
    return ir_block_new(slots, G_N_ELEMENTS(slots), helpers, G_N_ELEMENTS(helpers));
}

static void expect_text(const IrBlock *ir, const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *why = NULL;

    ir_dump(ir, text);
    g_assert_cmpstr(text->str, ==, expected);
    if (!ir_verify(ir, &why)) {
        g_error("%s", why);
    }
}

static void expect_optimised(IrBlock *ir, const char *expected)
{
    g_autofree char *why = NULL;

    if (!ir_verify(ir, &why)) {
        g_error("before: %s", why);
    }
    ir_optimise(ir);
    expect_text(ir, expected);
}

static IrVal k32(IrBlock *ir, uint32_t v)
{
    return ir_const(ir, IR_I32, v);
}

/* Builder. */

static void constants_are_folded_and_shared(void)
{
    g_autoptr(IrBlock) ir = block();
    uint64_t k = 0;
    IrVal sum = ir_op2(ir, IR_add, IR_I32, k32(ir, 0xffffffff), k32(ir, 3));
    uint32_t values = ir->n_values;

    g_assert_true(ir_is_const(ir, sum, &k));
    g_assert_cmphex(k, ==, 2);
    g_assert_cmpuint(k32(ir, 2).id, ==, sum.id);
    g_assert_cmpuint(ir->n_values, ==, values);
    g_assert_cmpuint(ir_const(ir, IR_I64, 2).id, !=, sum.id);
}

static void identities_make_no_insn(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal a = ir_get(ir, IR_I32, AX), zero = k32(ir, 0), ones = k32(ir, ~0u);
    uint64_t k;

    g_assert_cmpuint(ir_op2(ir, IR_add, IR_I32, a, zero).id, ==, a.id);
    g_assert_cmpuint(ir_op2(ir, IR_add, IR_I32, zero, a).id, ==, a.id);
    g_assert_cmpuint(ir_op2(ir, IR_and, IR_I32, a, ones).id, ==, a.id);
    g_assert_cmpuint(ir_op2(ir, IR_shl, IR_I32, a, ir_const(ir, IR_I8, 0)).id, ==, a.id);
    g_assert_cmpuint(ir_zext(ir, IR_I32, IR_I32, a).id, ==, a.id);
    g_assert_cmpuint(ir_select(ir, IR_I32, ir_const(ir, IR_I8, 1), a, zero).id, ==, a.id);
    g_assert_true(ir_is_const(ir, ir_op2(ir, IR_and, IR_I32, a, zero), &k) && k == 0);
    g_assert_true(ir_is_const(ir, ir_op2(ir, IR_or, IR_I32, a, ones), &k) && k == 0xffffffff);
    g_assert_true(ir_is_const(ir, ir_op2(ir, IR_xor, IR_I32, a, a), &k) && k == 0);
    g_assert_cmpuint(ir_op2(ir, IR_sub, IR_I32, zero, a).id, !=, a.id);
}

static void a_wider_value_is_not_the_same(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal a = ir_get(ir, IR_I64, AX), low = ir_op2(ir, IR_add, IR_I32, a, k32(ir, 0));

    /* An address of type I32 wraps, one of type I64 does not. */
    g_assert_cmpuint(low.id, !=, a.id);
    g_assert_cmpuint(ir->value_type[low.id], ==, IR_I32);
}

static void reset_forgets_constants(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal first = k32(ir, 7);

    ir_block_reset(ir);
    ir_get(ir, IR_I64, AX);
    g_assert_cmpuint(k32(ir, 7).id, !=, first.id);
    g_assert_cmpuint(ir->n_insns, ==, 2);
}

static void a_copy_lives_on(void)
{
    IrBlock *ir = block();
    g_autoptr(IrBlock) copy = NULL;

    ir_put(ir, IR_I32, AX, k32(ir, 7));
    ir_exit_jump(ir, 0x10);
    ir_optimise(ir);
    copy = ir_block_copy(ir);
    ir_block_free(ir);
    expect_text(copy, "    put.i32 ax, 7\n    exit_jump 0x10\n");
    ir_optimise(copy);
    expect_text(copy, "    put.i32 ax, 7\n    exit_jump 0x10\n");
}

static void every_form_has_a_text(void)
{
    g_autoptr(IrBlock) ir = block();
    IrRaw raw = {.prefix = 0x66, .map = 1, .opcode = 0xef, .reg_role = RAW_XMM, .reg = 2, .rm_role = RAW_MEM,
                 .mem_size = 16, .mem_read = true, .mem_align = 16};
    IrVal a;
    IrValFlags f;
    unsigned label = ir_new_label(ir);

    ir_insn_start(ir, 0x1234);
    ir_poll(ir, 0x1234);
    a = ir_load(ir, IR_I16, ir_get(ir, IR_I32, CX), -8, IRM_ZX);
    ir_store(ir, IR_I32, a, 16, a, IRM_BE);
    f = ir_opf(ir, IR_sub, IR_I32, a, k32(ir, 0x20), NO);
    ir_put(ir, IR_I64, AX, ir_selectcc(ir, IR_I64, CC_BE, f.flags, a, ir_sext(ir, IR_I64, IR_I8, a)));
    ir_raw(ir, &raw, a, 4, NO, false);
    ir_call(ir, FAULTS, a, NO, NO, NO);
    ir_brcond(ir, COND_LTS, IR_I16, a, ir_const(ir, IR_I16, 5), label);
    ir_exit_if(ir, CC_L, f.flags, 0x2000);
    ir_exit_lookup(ir, a, BRANCH_RETURN);
    ir_label(ir, label);
    ir_exit_main(ir, TCG_EXIT_MODE);
    expect_text(ir, "insn_start 0x1234\n"
                    "    poll 0x1234\n"
                    "    %1:i32 = get.i32 cx\n"
                    "    %2:i64 = load.i16.zx [%1 - 0x8]\n"
                    "    store.i32.be [%2 + 0x10], %2\n"
                    "    %4:i32, %5:flags = sub %2, 0x20\n"
                    "    %6:i64 = sext.i8 %2\n"
                    "    %7:i64 = selectcc.be %5, %2, %6\n"
                    "    put.i64 ax, %7\n"
                    "    raw 66 0f ef xmm2 mem16 [%2 + 0x4]\n"
                    "    call faults %2\n"
                    "    brcond.lts.i16 %2, 5, L0\n"
                    "    exit_if.l %5, 0x2000\n"
                    "    exit_lookup.return %2\n"
                    "label L0\n"
                    "    exit_main mode\n");
}

/* Passes. */

static void a_get_takes_the_value_of_the_put(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal a = ir_get(ir, IR_I32, AX), b;

    ir_put(ir, IR_I32, CX, ir_op2(ir, IR_add, IR_I32, a, k32(ir, 1)));
    a = ir_get(ir, IR_I32, CX);
    b = ir_get(ir, IR_I32, AX);
    ir_put(ir, IR_I32, CX, ir_op2(ir, IR_add, IR_I32, a, b));
    ir_exit_jump(ir, 0x10);
    expect_optimised(ir, "    %1:i32 = get.i32 ax\n"
                         "    %3:i32 = add %1, 1\n"
                         "    %6:i32 = add %3, %1\n"
                         "    put.i32 cx, %6\n"
                         "    exit_jump 0x10\n");
}

static void constants_go_through_slots_of_any_width(void)
{
    g_autoptr(IrBlock) ir = block();

    ir_put(ir, IR_I32, AX, k32(ir, 0x12345678));
    ir_put(ir, IR_I64, CX, ir_op2(ir, IR_add, IR_I64, ir_get(ir, IR_I64, AX), ir_const(ir, IR_I64, 1)));
    ir_put(ir, IR_I8, CC, ir_get8h(ir, AX));
    ir_exit_jump(ir, 0x10);
    expect_optimised(ir, "    put.i32 ax, 0x12345678\n"
                         "    put.i64 cx, 0x12345679\n"
                         "    put.i8 cc, 0x56\n"
                         "    exit_jump 0x10\n");
}

static void a_narrow_put_hides_the_rest(void)
{
    g_autoptr(IrBlock) ir = block();

    ir_put(ir, IR_I64, AX, ir_const(ir, IR_I64, 0x1111));
    ir_put(ir, IR_I8, AX, ir_const(ir, IR_I8, 0x22));
    ir_put(ir, IR_I64, CX, ir_get(ir, IR_I64, AX));
    ir_exit_jump(ir, 0x10);
    expect_optimised(ir, "    put.i64 ax, 0x1111\n"
                         "    put.i8 ax, 0x22\n"
                         "    %3:i64 = get.i64 ax\n"
                         "    put.i64 cx, %3\n"
                         "    exit_jump 0x10\n");
}

static void the_high_byte_is_apart_from_the_low_one(void)
{
    g_autoptr(IrBlock) ir = block();

    ir_put8h(ir, AX, ir_const(ir, IR_I8, 0x33)); /* dead: overwritten below */
    ir_put(ir, IR_I8, AX, ir_const(ir, IR_I8, 0x22));
    ir_put8h(ir, AX, ir_const(ir, IR_I8, 0x44));
    ir_put(ir, IR_I8, CX, ir_get8h(ir, AX));
    ir_exit_jump(ir, 0x10);
    expect_optimised(ir, "    put.i8 ax, 0x22\n"
                         "    put8h.i8 ax, 0x44\n"
                         "    put.i8 cx, 0x44\n"
                         "    exit_jump 0x10\n");
}

static void only_the_last_put_stays(void)
{
    g_autoptr(IrBlock) ir = block();

    for (unsigned i = 0; i < 3; i++) {
        ir_insn_start(ir, 0x10 + i);
        ir_put(ir, IR_I64, CC, ir_const(ir, IR_I64, 20 + i));
    }
    ir_exit_jump(ir, 0x13);
    expect_optimised(ir, "insn_start 0x10\n"
                         "insn_start 0x11\n"
                         "insn_start 0x12\n"
                         "    put.i64 cc, 0x16\n"
                         "    exit_jump 0x13\n");
}

static void a_fault_sees_the_puts_before_it(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal a = ir_get(ir, IR_I64, AX);

    ir_put(ir, IR_I64, CC, ir_const(ir, IR_I64, 20));
    ir_load(ir, IR_I8, a, 0, 0);
    ir_put(ir, IR_I64, CC, ir_const(ir, IR_I64, 21));
    ir_call(ir, FAULTS, a, NO, NO, NO);
    ir_put(ir, IR_I64, CC, ir_const(ir, IR_I64, 22));
    ir_exit_jump(ir, 0x13);
    expect_optimised(ir, "    %1:i64 = get.i64 ax\n"
                         "    put.i64 cc, 0x14\n"
                         "    %3:i8 = load.i8 [%1]\n"
                         "    put.i64 cc, 0x15\n"
                         "    call faults %1\n"
                         "    put.i64 cc, 0x16\n"
                         "    exit_jump 0x13\n");
}

static void a_call_sees_what_it_reads(void)
{
    g_autoptr(IrBlock) ir = block();

    ir_put(ir, IR_I64, AX, ir_const(ir, IR_I64, 1));
    ir_put(ir, IR_I64, CX, ir_const(ir, IR_I64, 2));
    ir_call(ir, READS_AX, NO, NO, NO, NO);
    ir_put(ir, IR_I64, AX, ir_const(ir, IR_I64, 3));
    ir_put(ir, IR_I64, CX, ir_const(ir, IR_I64, 4));
    ir_call(ir, WRITES_CX, NO, NO, NO, NO);
    ir_put(ir, IR_I64, AX, ir_get(ir, IR_I64, CX));
    ir_exit_jump(ir, 0x13);
    expect_optimised(ir, "    put.i64 ax, 1\n"
                         "    call reads_ax\n"
                         "    put.i64 cx, 4\n"
                         "    call writes_cx\n"
                         "    %5:i64 = get.i64 cx\n"
                         "    put.i64 ax, %5\n"
                         "    exit_jump 0x13\n");
}

static void an_exit_sees_all_but_its_dead_slots(void)
{
    g_autoptr(IrBlock) ir = block();
    IrExitDead dead = {.slots = 1 << CC};
    IrValFlags f;
    IrVal a = ir_get(ir, IR_I32, AX);

    f = ir_opf(ir, IR_cmp, IR_I32, a, k32(ir, 0), NO);
    ir_put(ir, IR_I64, CC, ir_const(ir, IR_I64, 20));
    ir_put(ir, IR_I64, CX, ir_const(ir, IR_I64, 21));
    ir_exit_if(ir, CC_E, f.flags, 0x20);
    dead.insn = ir->n_insns - 1;
    g_array_append_val(ir->exit_dead, dead);
    ir_put(ir, IR_I64, CC, ir_const(ir, IR_I64, 22));
    ir_put(ir, IR_I64, CX, ir_const(ir, IR_I64, 23));
    ir_exit_jump(ir, 0x13);
    dead.insn = ir->n_insns - 1;
    g_array_append_val(ir->exit_dead, dead);
    expect_optimised(ir, "    %1:i32 = get.i32 ax\n"
                         "    %3:flags = cmp.i32 %1, 0\n"
                         "    put.i64 cx, 0x15\n"
                         "    exit_if.e %3, 0x20 ; dead: cc\n"
                         "    put.i64 cx, 0x17\n"
                         "    exit_jump 0x13 ; dead: cc\n");
}

static void unused_flags_and_values_go(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal a = ir_get(ir, IR_I32, AX);
    IrValFlags used, unused;

    unused = ir_opf(ir, IR_add, IR_I32, a, k32(ir, 2), NO);
    used = ir_opf(ir, IR_sub, IR_I32, a, k32(ir, 3), NO);
    ir_setcc(ir, CC_E, unused.flags);
    ir_call(ir, IS_PURE, a, NO, NO, NO);
    ir_put(ir, IR_I32, CX, unused.value);
    ir_exit_if(ir, CC_B, used.flags, 0x20);
    ir_exit_jump(ir, 0x13);
    expect_optimised(ir, "    %1:i32 = get.i32 ax\n"
                         "    %3:i32 = add %1, 2\n"
                         "    %7:flags = cmp.i32 %1, 3\n"
                         "    put.i32 cx, %3\n"
                         "    exit_if.b %7, 0x20\n"
                         "    exit_jump 0x13\n");
}

static void a_test_of_a_condition_is_the_condition(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal a = ir_get(ir, IR_I32, AX), condition;
    IrValFlags f = ir_opf(ir, IR_cmp, IR_I32, a, k32(ir, 3), NO);
    unsigned label = ir_new_label(ir);

    condition = ir_setcc(ir, CC_LE, f.flags);
    ir_put(ir, IR_I32, CX, ir_select(ir, IR_I32, condition, a, k32(ir, 3)));
    ir_brcond(ir, COND_EQ, IR_I8, condition, ir_const(ir, IR_I8, 0), label);
    ir_exit_jump(ir, 0x13);
    ir_label(ir, label);
    ir_exit_jump(ir, 0x14);
    expect_optimised(ir, "    %1:i32 = get.i32 ax\n"
                         "    %3:flags = cmp.i32 %1, 3\n"
                         "    %5:i32 = selectcc.le %3, %1, 3\n"
                         "    put.i32 cx, %5\n"
                         "    brcc.g %3, L0\n"
                         "    exit_jump 0x13\n"
                         "label L0\n"
                         "    exit_jump 0x14\n");
}

static void known_conditions_are_decided(void)
{
    g_autoptr(IrBlock) ir = block();
    IrValFlags f;

    ir_put(ir, IR_I32, AX, k32(ir, 3));
    f = ir_opf(ir, IR_cmp, IR_I32, ir_get(ir, IR_I32, AX), k32(ir, 3), NO);
    ir_exit_if(ir, CC_NE, f.flags, 0x12);
    ir_exit_if(ir, CC_E, f.flags, 0x13);
    ir_put(ir, IR_I32, AX, k32(ir, 4));
    ir_exit_jump(ir, 0x14);
    expect_optimised(ir, "    put.i32 ax, 3\n"
                         "    exit_jump 0x13\n");
}

static void a_count_under_a_mask_is_not_asked_for_what_the_mask_has_not(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal a = ir_get(ir, IR_I64, AX), zero = ir_const(ir, IR_I64, 0), count, large;

    ir_put(ir, IR_I64, CX, ir_op2(ir, IR_and, IR_I64, a, ir_const(ir, IR_I64, 0x38)));
    count = ir_get(ir, IR_I8, CX);
    large = ir_opf(ir, IR_test, IR_I8, count, ir_const(ir, IR_I8, 64), NO).flags;
    ir_put(ir, IR_I64, AX, ir_selectcc(ir, IR_I64, CC_NE, large, zero, ir_op2(ir, IR_shl, IR_I64, a, count)));
    large = ir_opf(ir, IR_test, IR_I8, count, ir_const(ir, IR_I8, 32), NO).flags;
    ir_exit_if(ir, CC_NE, large, 0x13);
    ir_exit_jump(ir, 0x14);
    expect_optimised(ir, "    %1:i64 = get.i64 ax\n"
                         "    %4:i64 = and %1, 0x38\n"
                         "    put.i64 cx, %4\n"
                         "    %5:i8 = get.i8 cx\n"
                         "    %8:i64 = shl %1, %5\n"
                         "    put.i64 ax, %8\n"
                         "    %11:flags = test.i8 %5, 0x20\n"
                         "    exit_if.ne %11, 0x13\n"
                         "    exit_jump 0x14\n");
}

static void labels_end_what_is_known(void)
{
    g_autoptr(IrBlock) ir = block();
    unsigned label = ir_new_label(ir);
    IrVal three = k32(ir, 3);

    ir_put(ir, IR_I32, SMALL, three);
    ir_brcond(ir, COND_EQ, IR_I32, ir_get(ir, IR_I32, AX), three, label);
    ir_put(ir, IR_I32, SMALL, k32(ir, 4));
    ir_label(ir, label);
    ir_put(ir, IR_I32, CX, ir_get(ir, IR_I32, SMALL));
    ir_exit_jump(ir, 0x14);
    expect_optimised(ir, "    put.i32 small, 3\n"
                         "    %2:i32 = get.i32 ax\n"
                         "    brcond.eq.i32 %2, 3, L0\n"
                         "    put.i32 small, 4\n"
                         "label L0\n"
                         "    %4:i32 = get.i32 small\n"
                         "    put.i32 cx, %4\n"
                         "    exit_jump 0x14\n");
}

static void putting_back_what_was_got_is_nothing(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal a = ir_get(ir, IR_I32, AX), b = ir_get(ir, IR_I64, CX);

    ir_put(ir, IR_I32, AX, a); /* clears the upper half: stays */
    ir_put(ir, IR_I64, CX, b);
    ir_put(ir, IR_I8, CX, b);
    ir_exit_jump(ir, 0x14);
    expect_optimised(ir, "    %1:i32 = get.i32 ax\n"
                         "    put.i32 ax, %1\n"
                         "    exit_jump 0x14\n");
}

static void extensions_of_extensions_are_one(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal a = ir_get(ir, IR_I64, AX);

    ir_put(ir, IR_I64, CX, ir_zext(ir, IR_I64, IR_I32, ir_zext(ir, IR_I32, IR_I8, a)));
    ir_put(ir, IR_I64, CC, ir_sext(ir, IR_I64, IR_I8, ir_zext(ir, IR_I32, IR_I16, a)));
    ir_exit_jump(ir, 0x14);
    expect_optimised(ir, "    %1:i64 = get.i64 ax\n"
                         "    %3:i64 = zext.i8 %1\n"
                         "    put.i64 cx, %3\n"
                         "    %5:i64 = sext.i8 %1\n"
                         "    put.i64 cc, %5\n"
                         "    exit_jump 0x14\n");
}

/* Verifier. */

static void expect_refused(const IrBlock *ir, const char *reason)
{
    g_autofree char *why = NULL;

    g_assert_false(ir_verify(ir, &why));
    if (!strstr(why, reason)) {
        g_error("refused for '%s' and not for '%s'", why, reason);
    }
}

static void a_block_must_end_in_an_exit(void)
{
    g_autoptr(IrBlock) ir = block();

    ir_put(ir, IR_I32, AX, k32(ir, 3));
    expect_refused(ir, "does not end");
}

static void no_value_lives_across_a_label(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal a = ir_get(ir, IR_I32, AX), k = k32(ir, 9);
    unsigned label = ir_new_label(ir);

    ir_label(ir, label);
    ir_put(ir, IR_I32, CX, k);
    ir_put(ir, IR_I32, CX, a);
    ir_exit_jump(ir, 0);
    expect_refused(ir, "across a label");
}

static void inputs_are_checked(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal a = ir_get(ir, IR_I32, AX);

    ir_op2(ir, IR_add, IR_I64, a, a);
    ir_exit_jump(ir, 0);
    expect_refused(ir, "too narrow");
    ir_block_reset(ir);
    a = ir_get(ir, IR_I32, AX);
    ir_exit_if(ir, CC_E, a, 0);
    ir_exit_jump(ir, 0);
    expect_refused(ir, "not flags");
    ir_block_reset(ir);
    a = ir_get(ir, IR_I32, AX);
    ir_put(ir, IR_I32, AX, (IrVal){a.id + 1});
    ir_exit_jump(ir, 0);
    expect_refused(ir, "no value");
    ir_block_reset(ir);
    ir_put(ir, IR_I64, SMALL, ir_const(ir, IR_I64, 5));
    ir_exit_jump(ir, 0);
    expect_refused(ir, "wider than the slot");
}

static void a_value_is_assigned_once(void)
{
    g_autoptr(IrBlock) ir = block();

    ir_get(ir, IR_I32, AX);
    ir_get(ir, IR_I32, AX);
    ir->insns[1].out = ir->insns[0].out;
    ir_exit_jump(ir, 0);
    expect_refused(ir, "assigned twice");
}

static void a_branch_needs_its_label(void)
{
    g_autoptr(IrBlock) ir = block();

    ir_br(ir, ir_new_label(ir));
    expect_refused(ir, "is nowhere");
}

int main(int argc, char **argv)
{
    g_setenv("MYNA_CHECK_IR", "1", TRUE);
    g_test_init(&argc, &argv, NULL);
#define TEST(group, f) g_test_add_func("/ir/" group "/" #f, f)
    TEST("build", constants_are_folded_and_shared);
    TEST("build", identities_make_no_insn);
    TEST("build", a_wider_value_is_not_the_same);
    TEST("build", reset_forgets_constants);
    TEST("build", a_copy_lives_on);
    TEST("build", every_form_has_a_text);
    TEST("passes", a_get_takes_the_value_of_the_put);
    TEST("passes", constants_go_through_slots_of_any_width);
    TEST("passes", a_narrow_put_hides_the_rest);
    TEST("passes", the_high_byte_is_apart_from_the_low_one);
    TEST("passes", only_the_last_put_stays);
    TEST("passes", a_fault_sees_the_puts_before_it);
    TEST("passes", a_call_sees_what_it_reads);
    TEST("passes", an_exit_sees_all_but_its_dead_slots);
    TEST("passes", unused_flags_and_values_go);
    TEST("passes", a_test_of_a_condition_is_the_condition);
    TEST("passes", known_conditions_are_decided);
    TEST("passes", a_count_under_a_mask_is_not_asked_for_what_the_mask_has_not);
    TEST("passes", labels_end_what_is_known);
    TEST("passes", putting_back_what_was_got_is_nothing);
    TEST("passes", extensions_of_extensions_are_one);
    TEST("verify", a_block_must_end_in_an_exit);
    TEST("verify", no_value_lives_across_a_label);
    TEST("verify", inputs_are_checked);
    TEST("verify", a_value_is_assigned_once);
    TEST("verify", a_branch_needs_its_label);
    return g_test_run();
}
