/* tcg/eval.c against the host processor: values and flags at every width. */
#include <glib.h>
#include <string.h>

#include "tcg/ir.h"

#ifdef __x86_64__

typedef struct Regs {
    uint64_t a, b, c, flags; /* rax, rdx, rcx, EFLAGS */
} Regs;

/* Runs one instruction with rax, rdx, rcx and the flags given. The red zone stays untouched. */
#define HOST(r, text)                                                                        \
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\tpushq %3\n\tpopfq\n\t" text                 \
                     "\n\tpushfq\n\tpopq %3\n\tleaq 128(%%rsp), %%rsp"                       \
                     : "+a"((r)->a), "+d"((r)->b), "+c"((r)->c), "+r"((r)->flags)            \
                     :                                                                       \
                     : "cc", "memory")

/* ax op dx */
#define TWO(name, text)                                                                      \
    static void host_##name(IrType type, Regs *r)                                            \
    {                                                                                        \
        switch (type) {                                                                      \
        case IR_I8: HOST(r, text "b %%dl, %%al"); break;                                     \
        case IR_I16: HOST(r, text "w %%dx, %%ax"); break;                                    \
        case IR_I32: HOST(r, text "l %%edx, %%eax"); break;                                  \
        default: HOST(r, text "q %%rdx, %%rax"); break;                                      \
        }                                                                                    \
    }
#define ONE(name, text)                                                                      \
    static void host_##name(IrType type, Regs *r)                                            \
    {                                                                                        \
        switch (type) {                                                                      \
        case IR_I8: HOST(r, text "b %%al"); break;                                           \
        case IR_I16: HOST(r, text "w %%ax"); break;                                          \
        case IR_I32: HOST(r, text "l %%eax"); break;                                         \
        default: HOST(r, text "q %%rax"); break;                                             \
        }                                                                                    \
    }
/* ax op cl */
#define SHIFT(name, text)                                                                    \
    static void host_##name(IrType type, Regs *r)                                            \
    {                                                                                        \
        switch (type) {                                                                      \
        case IR_I8: HOST(r, text "b %%cl, %%al"); break;                                     \
        case IR_I16: HOST(r, text "w %%cl, %%ax"); break;                                    \
        case IR_I32: HOST(r, text "l %%cl, %%eax"); break;                                   \
        default: HOST(r, text "q %%cl, %%rax"); break;                                       \
        }                                                                                    \
    }
#define DOUBLE_SHIFT(name, text)                                                             \
    static void host_##name(IrType type, Regs *r)                                            \
    {                                                                                        \
        switch (type) {                                                                      \
        case IR_I16: HOST(r, text "w %%cl, %%dx, %%ax"); break;                              \
        case IR_I32: HOST(r, text "l %%cl, %%edx, %%eax"); break;                            \
        default: HOST(r, text "q %%cl, %%rdx, %%rax"); break;                                \
        }                                                                                    \
    }
/* dx:ax = ax op cx, at 8 bits ah:al; dx:ax op cx for divisions */
#define WIDE(name, text)                                                                     \
    static void host_##name(IrType type, Regs *r)                                            \
    {                                                                                        \
        switch (type) {                                                                      \
        case IR_I8: HOST(r, "movb %%dl, %%ah\n\t" text "b %%cl\n\tmovb %%ah, %%dl"); break; \
        case IR_I16: HOST(r, text "w %%cx"); break;                                          \
        case IR_I32: HOST(r, text "l %%ecx"); break;                                         \
        default: HOST(r, text "q %%rcx"); break;                                             \
        }                                                                                    \
    }

TWO(add, "add")
TWO(sub, "sub")
TWO(adc, "adc")
TWO(sbb, "sbb")
TWO(and, "and")
TWO(or, "or")
TWO(xor, "xor")
TWO(cmp, "cmp")
TWO(test, "test")
ONE(neg, "neg")
ONE(not, "not")
SHIFT(shl, "shl")
SHIFT(shr, "shr")
SHIFT(sar, "sar")
SHIFT(rol, "rol")
SHIFT(ror, "ror")
DOUBLE_SHIFT(shld, "shld")
DOUBLE_SHIFT(shrd, "shrd")
WIDE(mulu2, "mul")
WIDE(muls2, "imul")
WIDE(divu2, "div")
WIDE(divs2, "idiv")

static void host_mul(IrType type, Regs *r)
{
    switch (type) {
    case IR_I8: HOST(r, "imulb %%dl"); break;
    case IR_I16: HOST(r, "imulw %%dx, %%ax"); break;
    case IR_I32: HOST(r, "imull %%edx, %%eax"); break;
    default: HOST(r, "imulq %%rdx, %%rax"); break;
    }
}

static void host_bt(IrType type, Regs *r)
{
    switch (type) {
    case IR_I16: HOST(r, "btw %%dx, %%ax"); break;
    case IR_I32: HOST(r, "btl %%edx, %%eax"); break;
    default: HOST(r, "btq %%rdx, %%rax"); break;
    }
}

static void host_bswap(IrType type, Regs *r)
{
    if (type == IR_I32) {
        HOST(r, "bswapl %%eax");
    } else {
        HOST(r, "bswapq %%rax");
    }
}

/* Numbers near which carries, signs and parities change, and random ones. */
static uint64_t number(void)
{
    static const uint64_t edges[] = {
        0, 1, 2, 0xf, 0x10, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000,
        0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, INT64_MAX, 1ull << 63, UINT64_MAX - 1, UINT64_MAX,
    };
    uint64_t random = (uint64_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int();

    switch (g_test_rand_int_range(0, 4)) {
    case 0: return edges[g_test_rand_int_range(0, G_N_ELEMENTS(edges))];
    case 1: return edges[g_test_rand_int_range(0, G_N_ELEMENTS(edges))] + g_test_rand_int_range(-2, 3);
    case 2: return random >> g_test_rand_int_range(0, 64);
    default: return random;
    }
}

typedef enum Shape { PLAIN, WITH_CARRY, COUNT_IN_B, ANY_COUNT_IN_B, COUNT_IN_C, MULTIPLY, DIVIDE } Shape;

static bool division_is_legal(IrOp op, IrType type, const Regs *r)
{
    unsigned width = ir_type_size(type) * 8;
    uint64_t mask = ir_mask(type);
    unsigned __int128 n = (unsigned __int128)(r->b & mask) << width | (r->a & mask);
    uint64_t c = r->c & mask;

    if (op == IR_divu2) {
        return (r->b & mask) < c;
    } else {
        __int128 s = (__int128)(n << (128 - 2 * width)) >> (128 - 2 * width);
        int64_t d = (int64_t)(c << (64 - width)) >> (64 - width);
        __int128 q;

        if (d == 0 || (d == -1 && (s >> (2 * width - 2)) == -2)) {
            return false;
        }
        q = s / d;
        return q >= -((__int128)1 << (width - 1)) && q < (__int128)1 << (width - 1);
    }
}

static void compare(IrOp op, Shape shape, void (*host)(IrType, Regs *), IrType type)
{
    unsigned width = ir_type_size(type) * 8;
    uint64_t mask = ir_mask(type);

    for (int i = 0; i < 3000; i++) {
        IrInsn insn = {.op = op, .type = type, .bits = op < IR_cmp ? IRB_FLAGS : 0};
        Regs r = {number(), number(), number(), 0x202};
        uint64_t in[4], out[2];
        uint32_t flags, defined;

        r.flags |= g_test_rand_int() & FLAGS_ALL;
        if (shape == COUNT_IN_B || shape == COUNT_IN_C) {
            r.c = (r.c & ~0xffull) | (r.c & (width - 1));
        } else if (shape == ANY_COUNT_IN_B) {
            r.c = (r.c & ~0xffull) | (r.c & (width == 64 ? 63 : 31));
        } else if (shape == DIVIDE && !division_is_legal(op, type, &r)) {
            continue;
        }
        if (op == IR_bt) {
            r.b &= width - 1;
        }
        in[0] = r.a;
        in[1] = shape == COUNT_IN_B || shape == ANY_COUNT_IN_B || shape == MULTIPLY ? r.c : r.b;
        in[2] = shape == WITH_CARRY ? r.flags & FLAGS_ALL : r.c;
        in[3] = 0;
        ir_eval(&insn, in, out, &flags);
        defined = ir_eval_flags_defined(&insn, in);
        host(type, &r);
        if (ir_op_outputs(op) > 0) {
            g_assert_cmphex(out[0], ==, r.a & mask);
        }
        if (ir_op_outputs(op) > 1) {
            g_assert_cmphex(out[1], ==, r.b & mask);
        }
        if (ir_insn_defines_flags(&insn)) {
            g_assert_cmphex(flags & defined, ==, r.flags & defined);
            g_assert_cmphex(flags & ~defined, ==, 0);
        }
    }
}

typedef struct Case {
    const char *name;
    IrOp op;
    Shape shape;
    void (*host)(IrType, Regs *);
    IrType narrowest;
} Case;

static const Case cases[] = {
    {"add", IR_add, PLAIN, host_add, IR_I8},
    {"sub", IR_sub, PLAIN, host_sub, IR_I8},
    {"adc", IR_adc, WITH_CARRY, host_adc, IR_I8},
    {"sbb", IR_sbb, WITH_CARRY, host_sbb, IR_I8},
    {"and", IR_and, PLAIN, host_and, IR_I8},
    {"or", IR_or, PLAIN, host_or, IR_I8},
    {"xor", IR_xor, PLAIN, host_xor, IR_I8},
    {"cmp", IR_cmp, PLAIN, host_cmp, IR_I8},
    {"test", IR_test, PLAIN, host_test, IR_I8},
    {"neg", IR_neg, PLAIN, host_neg, IR_I8},
    {"not", IR_not, PLAIN, host_not, IR_I8},
    {"shl", IR_shl, COUNT_IN_B, host_shl, IR_I8},
    {"shr", IR_shr, COUNT_IN_B, host_shr, IR_I8},
    {"sar", IR_sar, COUNT_IN_B, host_sar, IR_I8},
    {"rol", IR_rol, ANY_COUNT_IN_B, host_rol, IR_I8},
    {"ror", IR_ror, ANY_COUNT_IN_B, host_ror, IR_I8},
    {"shld", IR_shld, COUNT_IN_C, host_shld, IR_I16},
    {"shrd", IR_shrd, COUNT_IN_C, host_shrd, IR_I16},
    {"mul", IR_mul, PLAIN, host_mul, IR_I8},
    {"mulu2", IR_mulu2, MULTIPLY, host_mulu2, IR_I8},
    {"muls2", IR_muls2, MULTIPLY, host_muls2, IR_I8},
    {"divu2", IR_divu2, DIVIDE, host_divu2, IR_I8},
    {"divs2", IR_divs2, DIVIDE, host_divs2, IR_I8},
    {"bt", IR_bt, PLAIN, host_bt, IR_I16},
    {"bswap", IR_bswap, PLAIN, host_bswap, IR_I32},
};

static void agrees_with_the_host(gconstpointer data)
{
    const Case *c = data;

    for (IrType type = c->narrowest; type <= IR_I64; type++) {
        compare(c->op, c->shape, c->host, type);
    }
}

static void conditions_hold_as_on_the_host(void)
{
#define SETCC(name) HOST(&r, "set" name " %%al")
    for (unsigned bits = 0; bits < 64; bits++) {
        uint32_t flags = (bits & 1 ? FLAG_CF : 0) | (bits & 2 ? FLAG_PF : 0) | (bits & 4 ? FLAG_AF : 0) |
                         (bits & 8 ? FLAG_ZF : 0) | (bits & 16 ? FLAG_SF : 0) | (bits & 32 ? FLAG_OF : 0);

        for (unsigned cc = 0; cc < 16; cc++) {
            Regs r = {.flags = flags | 0x202};

            switch (cc) {
            case CC_O: SETCC("o"); break;
            case CC_NO: SETCC("no"); break;
            case CC_B: SETCC("b"); break;
            case CC_AE: SETCC("ae"); break;
            case CC_E: SETCC("e"); break;
            case CC_NE: SETCC("ne"); break;
            case CC_BE: SETCC("be"); break;
            case CC_A: SETCC("a"); break;
            case CC_S: SETCC("s"); break;
            case CC_NS: SETCC("ns"); break;
            case CC_P: SETCC("p"); break;
            case CC_NP: SETCC("np"); break;
            case CC_L: SETCC("l"); break;
            case CC_GE: SETCC("ge"); break;
            case CC_LE: SETCC("le"); break;
            default: SETCC("g"); break;
            }
            g_assert_cmpuint(ir_cc_holds(cc, flags), ==, r.a & 1);
        }
    }
}
#endif

static uint64_t eval1(IrOp op, IrType type, unsigned bits, uint64_t a)
{
    IrInsn insn = {.op = op, .type = type, .bits = bits};
    uint64_t in[4] = {a}, out[2];
    uint32_t flags;

    ir_eval(&insn, in, out, &flags);
    return out[0];
}

static void extensions_take_the_low_part(void)
{
    g_assert_cmphex(eval1(IR_sext, IR_I32, IR_I8, 0x1280), ==, 0xffffff80);
    g_assert_cmphex(eval1(IR_sext, IR_I64, IR_I32, 0x80000000), ==, 0xffffffff80000000);
    g_assert_cmphex(eval1(IR_sext, IR_I16, IR_I8, 0x7f), ==, 0x7f);
    g_assert_cmphex(eval1(IR_zext, IR_I64, IR_I16, 0x123456), ==, 0x3456);
}

static void counts_of_zero_are_the_width(void)
{
    g_assert_cmpuint(eval1(IR_clz, IR_I16, 0, 0xff0000), ==, 16);
    g_assert_cmpuint(eval1(IR_ctz, IR_I8, 0, 0x100), ==, 8);
    g_assert_cmpuint(eval1(IR_clz, IR_I64, 0, 0), ==, 64);
    g_assert_cmpuint(eval1(IR_clz, IR_I32, 0, 1), ==, 31);
    g_assert_cmpuint(eval1(IR_ctz, IR_I32, 0, 0x80000000), ==, 31);
    g_assert_cmpuint(eval1(IR_popcnt, IR_I16, 0, 0xfffff), ==, 16);
}

static void equal_bytes_are_ones(void)
{
    IrInsn insn = {.op = IR_eqb, .type = IR_I64};
    uint64_t inputs[4] = {UINT64_C(0x1100ff8001020304), UINT64_C(0x1101ff8101030304)}, out[2];
    uint32_t flags;

    ir_eval(&insn, inputs, out, &flags);
    g_assert_cmphex(out[0], ==, UINT64_C(0xff00ff00ff00ffff));
}

static void impossible_divisions_give_the_high_half_and_what_is_left_of_the_low_one(void)
{
    IrInsn insn = {.op = IR_divs2, .type = IR_I32};
    uint64_t by_zero[4] = {7, 9, 0}, least[4] = {0x80000000, 0xffffffff, 0xffffffff}, out[2];
    uint32_t flags;

    ir_eval(&insn, by_zero, out, &flags);
    g_assert_cmphex(out[0], ==, 9);
    g_assert_cmphex(out[1], ==, 7);
    ir_eval(&insn, least, out, &flags);
    g_assert_cmphex(out[0], ==, 0xffffffff);
    g_assert_cmphex(out[1], ==, 0x7fffffff); /* 0x80000000 - -1 * -1 */
    insn.op = IR_divu2;
    ir_eval(&insn, by_zero, out, &flags);
    g_assert_cmphex(out[0], ==, 9);
    g_assert_cmphex(out[1], ==, 7);
}

static void impossible_divisions_do_not_trap(void)
{
    for (IrType type = IR_I8; type <= IR_I64; type++) {
        uint64_t top = ir_mask(type) / 2 + 1;
        uint64_t inputs[][4] = {{1, 0, 0}, {0, top, ir_mask(type)}, {UINT64_MAX, UINT64_MAX, 1}};

        for (unsigned i = 0; i < G_N_ELEMENTS(inputs); i++) {
            IrInsn insn = {.op = IR_divs2, .type = type};
            uint64_t out[2];
            uint32_t flags;

            ir_eval(&insn, inputs[i], out, &flags);
            insn.op = IR_divu2;
            ir_eval(&insn, inputs[i], out, &flags);
        }
    }
}

static void comparisons_have_a_sign_or_none(void)
{
    static const struct { IrCond cond; bool at_8, at_16; } rows[] = {
        {COND_LTU, false, false}, {COND_GTU, true, true}, {COND_LTS, true, false},
        {COND_GTS, false, true}, {COND_EQ, false, false}, {COND_NE, true, true},
        {COND_GES, false, true}, {COND_LES, true, false}, {COND_GEU, true, true}, {COND_LEU, false, false},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        IrInsn insn = {.op = IR_setcond, .type = IR_I8, .bits = rows[i].cond};
        uint64_t in[4] = {0x80, 1}, out[2];
        uint32_t flags;

        ir_eval(&insn, in, out, &flags);
        g_assert_cmpuint(out[0], ==, rows[i].at_8);
        insn.type = IR_I16;
        ir_eval(&insn, in, out, &flags);
        g_assert_cmpuint(out[0], ==, rows[i].at_16);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#ifdef __x86_64__
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/eval/host/", cases[i].name, NULL);

        g_test_add_data_func(path, &cases[i], agrees_with_the_host);
    }
    g_test_add_func("/eval/host/conditions", conditions_hold_as_on_the_host);
#endif
    g_test_add_func("/eval/extensions_take_the_low_part", extensions_take_the_low_part);
    g_test_add_func("/eval/counts_of_zero_are_the_width", counts_of_zero_are_the_width);
    g_test_add_func("/eval/equal_bytes_are_ones", equal_bytes_are_ones);
    g_test_add_func("/eval/impossible_divisions_give_the_high_half_and_what_is_left_of_the_low_one", impossible_divisions_give_the_high_half_and_what_is_left_of_the_low_one);
    g_test_add_func("/eval/impossible_divisions_do_not_trap", impossible_divisions_do_not_trap);
    g_test_add_func("/eval/comparisons_have_a_sign_or_none", comparisons_have_a_sign_or_none);
    return g_test_run();
}
