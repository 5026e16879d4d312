/* The arithmetic flags from their lazy description (the table in target/x86/cpu.h), and EFLAGS. */
#include "target/x86/internal.h"

static uint32_t parity(uint64_t value)
{
    return __builtin_parity(value & 0xff) ? 0 : FLAG_PF;
}

/* SF, ZF and PF of a result. */
static uint32_t result_flags(uint64_t value, unsigned width)
{
    uint64_t shifted = value << (64 - width);

    return (shifted == 0 ? FLAG_ZF : 0) | (shifted >> 63 ? FLAG_SF : 0) | parity(value);
}

static uint32_t flag_if(bool condition, uint32_t flag)
{
    return condition ? flag : 0;
}

static uint32_t aux_flags(uint32_t aux, uint64_t dst)
{
    unsigned width = 8u << (aux & 3);
    uint64_t mask = UINT64_MAX >> (64 - width);
    uint64_t sign = UINT64_C(1) << (width - 1);
    bool inc = aux >> 2 == CC_AUX_INC;
    uint64_t at_overflow = inc ? sign : sign - 1;
    uint64_t nibble = inc ? 0 : 15;

    return result_flags(dst, width) | flag_if((dst & mask) == at_overflow, FLAG_OF) |
           flag_if((dst & 15) == nibble, FLAG_AF);
}

static uint32_t base_flags(uint32_t op, uint64_t dst, uint64_t src)
{
    unsigned width = 8u << (op & 3);
    uint64_t mask = UINT64_MAX >> (64 - width);
    uint64_t sign = UINT64_C(1) << (width - 1);
    uint32_t flags;
    uint64_t a, b = src & mask, result = dst & mask;

    switch (op >> 2) {
    case CC_IMAGE:
        return dst & FLAGS_ALL;
    case CC_ADX:
        return (dst & FLAGS_ALL & ~(uint32_t)(FLAG_CF | FLAG_OF)) | flag_if(src & 1, FLAG_CF);
    case CC_ADX_INC:
    case CC_ADX_DEC:
        return (aux_flags(X86_CC(op >> 2 == CC_ADX_INC ? CC_AUX_INC : CC_AUX_DEC, op & 3), dst) & ~(uint32_t)FLAG_OF) | flag_if(src & 1, FLAG_CF);
    case CC_CMP:
        return base_flags(X86_CC(CC_SUB, op & 3), dst - src, src);
    case CC_TEST:
        return base_flags(X86_CC(CC_LOGIC, op & 3), dst & src, 0);
    }
    flags = result_flags(dst, width);
    switch (op >> 2) {
    case CC_ADD:
    case CC_ADC:
        a = (result - b - (op >> 2 == CC_ADC)) & mask;
        return flags | flag_if(op >> 2 == CC_ADC ? result <= b : result < b, FLAG_CF) |
               ((a ^ b ^ result) & FLAG_AF) | flag_if((a ^ result) & (b ^ result) & sign, FLAG_OF);
    case CC_SUB:
    case CC_SBB:
        a = (result + b + (op >> 2 == CC_SBB)) & mask;
        return flags | flag_if(op >> 2 == CC_SBB ? a <= b : a < b, FLAG_CF) |
               ((a ^ b ^ result) & FLAG_AF) | flag_if((a ^ b) & (a ^ result) & sign, FLAG_OF);
    case CC_SHL:
        return flags | flag_if(b & sign, FLAG_CF) | flag_if((b ^ result) & sign, FLAG_OF);
    case CC_SHR:
        return flags | (b & FLAG_CF) | flag_if((result ^ result << 1) & sign, FLAG_OF);
    case CC_SAR:
        return flags | (b & FLAG_CF);
    case CC_MUL:
        return flags | flag_if(b, FLAG_CF | FLAG_OF);
    default: /* CC_LOGIC; others do not occur */
        return flags;
    }
}

/* Of a comparison or subtraction: the commonest by far, so it has a way without branches. */
static uint32_t subtraction_flags(uint64_t result, uint64_t b, unsigned width)
{
    unsigned unused = 64 - width;
    uint64_t a = result + b, high_a = a << unused, high_b = b << unused, high = high_a - high_b;
    uint64_t overflow = (high_a ^ high_b) & (high_a ^ high);

    return (high_a < high_b) | parity(result) | ((a ^ b ^ result) & FLAG_AF) | (uint32_t)(high == 0) << 6 |
           (uint32_t)(high >> 63) << 7 | (uint32_t)(overflow >> 63) << 11;
}

static uint32_t flags_of(uint32_t op, uint64_t dst, uint64_t src, uint64_t aux_dst)
{
    uint32_t flags;

    if (op >> 2 == CC_CMP || op >> 2 == CC_SUB) { /* and nothing else */
        return subtraction_flags(op >> 2 == CC_CMP ? dst - src : dst, src, 8u << (op & 3));
    }
    if (op >> 2 == CC_IMAGE) {
        return dst & FLAGS_ALL;
    }
    flags = base_flags(op & 0xff, dst, src);

    if (op & X86_CC_AUX_MASK) {
        flags = (flags & FLAG_CF) | aux_flags((op & X86_CC_AUX_MASK) >> 8, aux_dst);
    } else if ((op & 0xff) >> 2 >= CC_ADX) {
        flags |= flag_if(aux_dst & 1, FLAG_OF);
    }
    if (op & X86_CC_CF_KNOWN) {
        flags = (flags & ~FLAG_CF) | flag_if(op >> X86_CC_CF_SHIFT & 1, FLAG_CF);
    }
    if (op & X86_CC_OF_KNOWN) {
        flags = (flags & ~FLAG_OF) | flag_if(op >> X86_CC_OF_SHIFT & 1, FLAG_OF);
    }
    return flags;
}

uint64_t helper_flags(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return flags_of(a, b, c, d);
}

uint32_t x86_flags(const X86State *s)
{
    return flags_of(s->cc_op, s->cc_dst, s->cc_src, s->cc_aux_dst);
}

uint64_t helper_carries_unless(X86State *s, uint64_t known, uint64_t cf, uint64_t c, uint64_t d)
{
    uint32_t flags;

    if (known) {
        return cf;
    }
    flags = x86_flags(s);
    s->cc_op = X86_CC(CC_ADX, 0);
    s->cc_dst = flags;
    s->cc_src = (flags & FLAG_CF) != 0;
    s->cc_aux_dst = (flags & FLAG_OF) != 0;
    return s->cc_src;
}

enum { EFL_FIXED = 1 << 1 };

/* EFLAGS without the arithmetic flags. */
static uint32_t system_flags(const X86State *s)
{
    return (s->eflags & ~(FLAGS_ALL | EFL_DF)) | EFL_FIXED | (s->df < 0 ? EFL_DF : 0);
}

uint32_t x86_eflags(const X86State *s)
{
    return system_flags(s) | x86_flags(s);
}

void x86_set_eflags(X86State *s, uint32_t value, uint32_t mask)
{
    /* The arithmetic flags that stay cost a derivation from their description. */
    uint32_t old = (mask & FLAGS_ALL) == FLAGS_ALL ? system_flags(s) : x86_eflags(s);
    uint32_t flags = (old & ~mask) | (value & mask);

    s->cc_op = X86_CC(CC_IMAGE, 0);
    s->cc_dst = flags & FLAGS_ALL;
    s->df = flags & EFL_DF ? -1 : 1;
    s->eflags = (flags & ~(FLAGS_ALL | EFL_DF)) | EFL_FIXED;
}
