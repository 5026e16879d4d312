/*
 * The PowerPC oracle's comparison. What the architecture leaves undefined, and where the black box is known to leave its text, is
 * listed in `leniencies`.
 */
#include "tests/insn/ppc-oracle/oracle.h"

#include "target/ppc/fp.h"
#include "util/bits.h"

#include <math.h>
#include <string.h>

enum {
    L_FR = 1 << 0,          /* FPSCR[FR]: the black box does not have it */
    L_FPRF = 1 << 1,
    L_T = 1 << 2,           /* register T is not compared */
    L_T_HIGH_WORD = 1 << 3, /* nor its left half */
    L_T_LOW_DOUBLE = 1 << 4,
    L_ESTIMATE = 1 << 5,    /* near, as a double */
    L_ESTIMATE_SINGLES = 1 << 6,
    L_SKIP = 1 << 7,        /* only that it runs */
    L_FI = 1 << 8,          /* FR, FI and XX */
    L_COMPARE = 1 << 10,
    L_FX = 1 << 11,
    L_NEGATED = 1 << 12,
    L_CLASS = 1 << 13,
    L_DIVISION = 1 << 14,
    L_XX = 1 << 15,
    L_SNAN = 1 << 16,
    L_NI = 1 << 17,
    L_CR0 = 1 << 18,
    L_CONVERT = 1 << 19,
    L_VECTOR = 1 << 20,
    L_SNANJ = 1 << 21,
    L_ENABLED = 1 << 22,    /* not with exceptions enabled */
    L_UNDEFINED = 1 << 23,  /* for the operands that an instruction before may have made */
    L_COMPRESSED = 1 << 25,
    L_CR6 = 1 << 26,
    L_ONLY_FI = 1 << 27,
    L_DECIMAL = 1 << 24,    /* operands that are no numbers: T is undefined */
    L_NAN = 1 << 9,         /* a NaN loses the bits that a single does not have */
    L_R = 1 << 28,          /* GPR T is not compared */
    L_SPECIAL = 1 << 29,    /* decimal infinities and NaNs: T */
    L_ODD = 1 << 30,        /* the last bit, of what is rounded to odd */
    L_BAD_DIGITS = 1u << 31, /* the outcome is undefined, and the black box may not notice it */
};

/* By name, or the beginning of names ending in '*'. */
static const struct {
    const char *name;
    unsigned what;
    const char *why;
} leniencies[] = {
    { "fres", L_ESTIMATE | L_FI | L_FPRF, "an estimate" },
    { "fre", L_ESTIMATE | L_FI | L_FPRF, "an estimate" },
    { "frsqrte*", L_ESTIMATE | L_FI | L_FPRF, "an estimate" },
    { "xsre*", L_ESTIMATE | L_FI | L_FPRF, "an estimate" },
    { "xsrsqrte*", L_ESTIMATE | L_FI | L_FPRF, "an estimate" },
    { "xvredp", L_ESTIMATE | L_FI, "an estimate" },
    { "xvrsqrtedp", L_ESTIMATE | L_FI, "an estimate" },
    { "xvresp", L_ESTIMATE_SINGLES | L_FI, "an estimate" },
    { "xvrsqrtesp", L_ESTIMATE_SINGLES | L_FI, "an estimate" },
    { "vrefp", L_ESTIMATE_SINGLES, "an estimate" },
    { "vrsqrtefp", L_ESTIMATE_SINGLES, "an estimate" },
    { "vexptefp", L_ESTIMATE_SINGLES, "an estimate" },
    { "vlogefp", L_ESTIMATE_SINGLES, "an estimate" },
    { "fctiw*", L_T_HIGH_WORD | L_FPRF, "the left word is undefined" },
    { "fctid*", L_FPRF, "FPRF is undefined" },
    { "vexptefp", L_T, "far arguments" },
    { "fcmp?", L_COMPARE, "FR and FI are not altered (book I, 4.6.8)" },
    { "xscmp?dp", L_COMPARE, "FR and FI are not altered" },
    { "mtfsb1", L_FX, "FX follows the bit (book I, 4.2.2)" },
    { "vrldmi", L_T, "the black box clears what is outside of the mask" },
    { "stqcx.", L_SKIP, "the black box never stores" },
    { "hash*", L_SKIP, "nothing without DEXCR, which the black box does not look at" },
    { "rnop", L_SKIP, "the black box has no such instructions" },
    { "xststdcsp", L_SKIP, "numbers that are no single: not settled" },
    { "xv*", L_ENABLED, "the black box stops at the first element with an exception that is enabled, or not at all" },
    { "fcmpo", L_ENABLED, "VXVC is not set beside a VXSNAN that is enabled (book I, 4.6.8)" }, { "xscmpodp", L_ENABLED, "the same" },
    { "xs*jdp", L_SNANJ, "the black box does not look at the second NaN" },
    { "xv*", L_VECTOR, "FR, FI and FPRF are not altered" },
    { "lxs*", L_T_LOW_DOUBLE, "undefined, zero since v3.1" }, { "mtvsr??", L_T_LOW_DOUBLE, "undefined, zero since v3.1" },
    { "mtvsrd", L_T_LOW_DOUBLE, "undefined, zero since v3.1" },
    { "mtfsb1", L_NI, "the black box has no NI" },
    { "f*m??d*", L_SNAN, "a signalling NaN beside infinity times zero: both are set (book I, 4.6.6)" },
    { "f*m??b*", L_SNAN, "a signalling NaN beside infinity times zero" },
    { "xv*m??d*", L_SNAN, "a signalling NaN beside infinity times zero" },
    { "xv*m??b*", L_SNAN, "a signalling NaN beside infinity times zero" },
    { "xs*m??d*", L_SNAN, "a signalling NaN beside infinity times zero" },
    { "xs*m??b*", L_SNAN, "a signalling NaN beside infinity times zero" },
    { "mulhw*", L_CR0, "of 64-bit processors" }, { "divw*", L_CR0, "of 64-bit processors" },
    { "fcfid*", L_FPRF, "the black box does not set FPRF" },
    { "xvcv*x?s", L_CONVERT, "the black box takes all elements behind an invalid one for invalid" },
    { "fnm*", L_NEGATED, "rounded first, then negated (book I, 4.6.6)" },
    { "xsnm*", L_NEGATED, "rounded first, then negated" },
    { "xvnm*", L_NEGATED, "rounded first, then negated" },
    { "f*s", L_CLASS, "FPRF of a denormalized single" },
    { "frsp", L_CLASS, "FPRF of a denormalized single" },
    { "xs*sp", L_CLASS, "FPRF of a denormalized single" },
    { "div*", L_DIVISION, "quotients that do not exist" }, { "mod?d", L_DIVISION, "quotients that do not exist" },
    { "mod?w", L_DIVISION, "quotients that do not exist" },
    { "vdiv*", L_UNDEFINED, "quotients that do not exist" }, { "vmod*", L_UNDEFINED, "quotients that do not exist" },
    { "vins*", L_UNDEFINED, "elements beyond the register" }, { "vext??v*", L_UNDEFINED, "elements beyond the registers" },
    { "pmxv*", L_VECTOR | L_ENABLED, "FR, FI and FPRF are not altered" },
    { "denbcd*", L_FPRF, "FPRF stays with a digit that is none" },
    { "bcd*", L_UNDEFINED | L_DECIMAL, "operands that are no numbers" },
    { "bcdcfsq", L_SKIP, "the black box leaves the register where the number is too long" },
    { "bcdus", L_CR6, "the black box takes the last digit for a sign" }, { "bcdutrunc", L_CR6, "the same" },
    { "bcdctsq", L_CR6, "the black box looks at what it has overwritten" }, { "bcdcpsgn", L_CR6, "the same" },
    { "drdpq", L_SKIP, "the black box has the result in the second register" },
    /* Their significand is the trailing field (book I, 5.5.2); the black box drops it, or keeps codes that are not the preferred ones. */
    { "dscli*", L_SPECIAL, "trailing digits of infinities and NaNs" }, { "dscri*", L_SPECIAL, "the same" },
    { "diex*", L_SPECIAL, "the same" }, { "ddedpd*", L_SPECIAL, "the same" }, { "drsp", L_SPECIAL, "the same" },
    { "xs*qp", L_ODD, "the black box rounds to odd only where it is neither tiny nor large" },
    { "pmxv*ger*", L_ENABLED, "enabled exceptions" },
    { "xvm??*p", L_ENABLED, "the black box stops at a quiet NaN" }, { "xsm??*p", L_ENABLED, "the same" },
    { "xxgenpcv?m", L_COMPRESSED, "what compression leaves over is undefined" },
    { "xscvdp?x?s", L_FPRF, "FPRF is undefined" },
    { "lve*", L_T, "other elements are undefined" },
    /* Power ISA, book I, 4.3.2: but for frsp a NaN operand is the result as it is. */
    { "fadds", L_NAN, "NaN payload" }, { "fsubs", L_NAN, "NaN payload" }, { "fmuls", L_NAN, "NaN payload" },
    { "fdivs", L_NAN, "NaN payload" }, { "fsqrts", L_NAN, "NaN payload" }, { "fmadds", L_NAN, "NaN payload" },
    { "fmsubs", L_NAN, "NaN payload" }, { "fnmadds", L_NAN, "NaN payload" }, { "fnmsubs", L_NAN, "NaN payload" },
    { "xs*sp", L_NAN, "NaN payload" },
};

static unsigned leniency_of(const char *name, const OracleCase *c)
{
    unsigned what = L_FR;

    for (unsigned i = 0; i < G_N_ELEMENTS(leniencies); i++) {
        if (g_pattern_match_simple(leniencies[i].name, name)) {
            what |= leniencies[i].what;
        }
    }
    if (what & (L_ENABLED | L_ESTIMATE | L_ESTIMATE_SINGLES) && c->state.fpscr & 0xf8) {
        what |= L_SKIP;
    }
    if (what & L_NEGATED && c->state.fpscr & 2) {
        what |= L_SKIP;
    }
    return what;
}

static bool is_decimal_zero(const uint64_t v[2])
{
    return !v[0] && v[1] < 16;
}

/* Where the black box goes astray depends on operands: of the case's only instruction. */
static unsigned leniency_of_operands(const char *name, const OracleCase *c)
{
    uint32_t word = first_word(c);
    unsigned function = field_b(word), what = 0;

    if (g_pattern_match_simple("*wat", name) && (function == 5 || function == 7)) {
        what |= L_SKIP; /* signed words: it compares them as positive doublewords */
    }
    if (g_pattern_match_simple("l?at", name) && function >= 24) {
        what |= L_R; /* the least number, where there was nothing to do: it has another one */
    }
    if (!strcmp(setup->model, "970fx") && g_str_has_prefix(name, "dcbz")) {
        what |= L_SKIP; /* it clears 32 bytes, as with HID5's bit; a 970's block is 128 */
    }
    if (g_str_has_prefix(name, "xsrqp") && !(word & 0x10000) && (word >> 9 & 3) == 3 && c->state.fpscr & 3) {
        what |= L_SKIP; /* it takes FPSCR[RN] for a number of its own */
    }
    if ((!strcmp(name, "bcdadd") || !strcmp(name, "bcdsub")) && is_decimal_zero(c->state.vsr[32 + field_a(word)]) &&
        is_decimal_zero(c->state.vsr[32 + field_b(word)])) {
        what |= L_CR6; /* a zero is both zero and positive there */
    }
    if (!strcmp(name, "bcdcpsgn") && field_t(word) == field_b(word)) {
        what |= L_T; /* it looks at what it has overwritten */
    }
    return what;
}

static bool is_decimal_special(uint64_t v)
{
    return (v >> 58 & 31) >= 30;
}

/* A digit that is none, or no sign. */
static bool is_bad_decimal(const uint64_t v[2], bool has_sign)
{
    for (unsigned i = has_sign; i < 32; i++) {
        if ((v[i < 16] >> 4 * (i % 16) & 15) > 9) {
            return true;
        }
    }
    return has_sign && (v[1] & 15) < 10;
}

static bool has_bad_decimals(const char *name, const OracleCase *c)
{
    const uint64_t *a = c->state.vsr[32 + field_a(first_word(c))], *b = c->state.vsr[32 + field_b(first_word(c))];

    if (!strcmp(name, "bcdadd") || !strcmp(name, "bcdsub")) {
        return is_bad_decimal(a, true) || is_bad_decimal(b, true);
    }
    return !strncmp(name, "bcdu", 4) && is_bad_decimal(b, false);
}

static bool is_nan(uint64_t x)
{
    return (x << 1) > UINT64_C(0x7ff) << 53;
}

static bool near_double(uint64_t x, uint64_t y)
{
    double a, b;

    memcpy(&a, &x, 8);
    memcpy(&b, &y, 8);
    return x == y || (isnan(a) && isnan(b)) || fabs(a - b) <= fabs(b) / 256 || (fabs(a) < 1e-300 && fabs(b) < 1e-300);
}

static bool near_single(uint32_t x, uint32_t y)
{
    float a, b;

    memcpy(&a, &x, 4);
    memcpy(&b, &y, 4);
    return x == y || (isnan(a) && isnan(b)) || fabsf(a - b) <= fabsf(b) / 32 || fabsf(a - b) <= 1 / 32.0f ||
           (fabsf(a) < 1e-37f && fabsf(b) < 1e-37f);
}

/* word: the instruction that the leniencies are of. */
static bool same_vector(uint32_t word, unsigned reg, const uint64_t want[2], const uint64_t got[2], unsigned what)
{
    uint32_t t = field_t(word), xt = t | (word & 1) << 5;
    bool is_pair = word >> 26 == 63 && what & L_SPECIAL;
    bool is_t = reg == t || reg == t + 32 || reg == xt || (is_pair && reg == (t | 1));

    if (!setup->has_vsx && reg < 32 && want[1] != got[1]) {
        return same_vector(word, reg, (uint64_t[2]){ want[0], got[1] }, got, what);
    }
    if (want[0] == got[0] && want[1] == got[1]) {
        return true;
    }
    if (what & L_NAN && is_nan(want[0]) && want[1] == got[1] && want[0] == (got[0] & ~UINT64_C(0x1fffffff))) {
        return true;
    }
    if (!is_t) {
        return false;
    }
    if (what & L_T) {
        return true;
    }
    if (what & L_ODD && word & 1 && got[1] & 1 && want[0] == got[0] && (want[1] == got[1] + 1 || want[1] == got[1] - 1)) {
        return true;
    }
    if (what & L_ESTIMATE) {
        return near_double(want[0], got[0]) && near_double(want[1], got[1]);
    }
    if (what & L_ESTIMATE_SINGLES) {
        return near_single(want[0], got[0]) && near_single(want[0] >> 32, got[0] >> 32) && near_single(want[1], got[1]) &&
               near_single(want[1] >> 32, got[1] >> 32);
    }
    if (what & L_T_HIGH_WORD && (uint32_t)want[0] == (uint32_t)got[0]) {
        return true;
    }
    return what & L_T_LOW_DOUBLE && want[0] == got[0];
}

/*
 * The black box rounds a sum to a double before it makes a single of it, and sees no underflow where the first step is inexact and the second
 * exact. The ISA's tiny and inexact result is one (book I, 4.4.4).
 */
static bool is_unseen_underflow(const char *name, const OracleState *want, const OracleState *got, unsigned reg)
{
    uint64_t magnitude = got->vsr[reg][0] << 1 >> 1;
    bool is_single = g_pattern_match_simple("xs*sp", name) || g_pattern_match_simple("f*s", name) || !strcmp(name, "frsp");

    return is_single && magnitude < UINT64_C(897) << 52 && (got->fpscr & (FPSCR_UX | FPSCR_FI)) == (FPSCR_UX | FPSCR_FI) &&
           (want->fpscr & (FPSCR_UX | FPSCR_FI | FPSCR_UE)) == FPSCR_FI;
}

char *difference(const OracleCase *c, const OracleState *want, const OracleState *got, unsigned what)
{
    GString *text = g_string_new(NULL);
    uint64_t fpscr = 0;
    uint32_t word = want->signal && want->fault_pc < c->n_insns * 4 && c->insns[0] >> 26 != 1 ? c->insns[want->fault_pc / 4] : first_word(c);
    bool has_fault = want->signal == 11 && got->signal == 11; /* how much of an access was done is open */
    const PpcRow *row = ppc_decode(state->model->isa, 0, word);
    unsigned t = field_t(word) | (word >> 26 == 60 ? (word & 1) << 5 : 0);
    uint32_t underflow = row && c->n_insns == 1 && is_unseen_underflow(row->name, want, got, t) ? FPSCR_UX : 0;

#define FIELD(name, mask)                                                                                                 \
    if ((want->name ^ got->name) & (mask)) {                                                                              \
        g_string_append_printf(text, "  " #name " want %lx got %lx\n", (unsigned long)want->name, (unsigned long)got->name); \
    }
    FIELD(signal, UINT64_MAX)
    FIELD(fault_pc, UINT64_MAX)
    if (want->signal == 8) { /* enabled: FI and FR are zero, numbers out of range are scaled, CR1 is of the outcome */
        what |= L_T | L_COMPARE | L_XX | (c->state.fpscr & (FPSCR_OE | FPSCR_UE) ? L_FPRF : 0);
    }
    if (what & L_SNAN && !(want->fpscr & got->fpscr & FPSCR_VXIMZ)) {
        what &= ~L_SNAN;
    }
    if (what & L_CONVERT && want->fpscr & FPSCR_VXCVI) {
        what |= L_T;
    }
    if (what & L_DECIMAL && (want->cr & 0x10 || what & L_BAD_DIGITS) && (got->cr & 0xf0) == 0x10) {
        what |= L_T | L_CR6;
    }
    FIELD(cr, (what & L_CR6 ? ~UINT32_C(0xf0) : UINT32_MAX) & (what & L_FI ? ~UINT32_C(0x09000000) : UINT32_MAX) & (what & L_DIVISION || (what & L_CR0 && is64()) ? 0x0fffffff : UINT32_MAX) &
              (want->signal == 8 ? ~UINT32_C(0x0f000000) : what & L_FX ? ~UINT32_C(0x08000000) : UINT32_MAX))
    FIELD(xer, setup->is_le ? 0xe00c007f : 0xe000007f)
    FIELD(lr, UINT64_MAX)
    FIELD(ctr, UINT64_MAX)
    FIELD(vscr, setup->has_vec ? 0x10001 : 0) /* the others are reserved */
    FIELD(vrsave, setup->has_vec ? UINT32_MAX : 0)
    fpscr = UINT32_MAX & ~((what & L_FR ? FPSCR_FR : 0) | (what & L_FPRF ? FPSCR_FPRF : 0) |
                           (what & L_ONLY_FI ? FPSCR_FI | (want->fpscr & FPSCR_VXCVI || !(want->fpscr & 0xf8) ? FPSCR_FEX : 0) : 0) | (what & L_COMPARE ? FPSCR_FR | FPSCR_FI | FPSCR_C : 0) | (what & L_FX ? FPSCR_FX : 0) |
                           (what & L_CLASS ? FPSCR_C : 0) | (what & L_VECTOR ? FPSCR_FI : 0) | (what & L_VECTOR && want->fpscr & FPSCR_OX ? FPSCR_UX : 0) |
                           (what & L_SNANJ ? FPSCR_VXSNAN | FPSCR_VX | FPSCR_FX : 0) | (what & L_XX ? FPSCR_XX | FPSCR_OX | FPSCR_UX : 0) |
                           (what & L_SNAN ? FPSCR_VXSNAN : 0) | (what & L_NI ? FPSCR_NI : 0) |
                           (what & L_FI ? FPSCR_FR | FPSCR_FI | FPSCR_XX | FPSCR_FX | FPSCR_FEX | FPSCR_UX | FPSCR_OX | FPSCR_ZX : 0));
    FIELD(fpscr, fpscr & ~(uint64_t)underflow)
    for (unsigned i = 0; i < 31; i++) {
        if (want->gpr[i] != got->gpr[i] && !((what & (L_DIVISION | L_R) || has_fault) && i == field_t(word))) {
            g_string_append_printf(text, "  r%u want %lx got %lx\n", i, (unsigned long)want->gpr[i], (unsigned long)got->gpr[i]);
        }
    }
    for (unsigned i = 0; i < (has_fault ? 0 : setup->has_vec ? 64 : 32); i++) {
        if (!same_vector(word, i, want->vsr[i], got->vsr[i], what)) {
            g_string_append_printf(text, "  vs%u want %016lx %016lx got %016lx %016lx\n", i, (unsigned long)want->vsr[i][0],
                                   (unsigned long)want->vsr[i][1], (unsigned long)got->vsr[i][0], (unsigned long)got->vsr[i][1]);
        }
    }
    for (unsigned i = 0; i < ORACLE_WINDOW && !has_fault; i++) {
        if (want->memory[i] != got->memory[i]) {
            g_string_append_printf(text, "  memory[%u] want %02x got %02x\n", i, want->memory[i], got->memory[i]);
        }
    }
    return g_string_free(text, text->len == 0);
}

static void describe_case(const OracleCase *c)
{
    g_print("  before: cr %08lx xer %08lx fpscr %08lx vscr %lx\n", (unsigned long)c->state.cr, (unsigned long)c->state.xer,
            (unsigned long)c->state.fpscr, (unsigned long)c->state.vscr);
    for (unsigned i = 0; i < c->n_insns; i++) {
        uint32_t w = c->insns[i], op = w >> 26;
        unsigned fields[] = { w >> 21 & 31, w >> 16 & 31, w >> 11 & 31, w >> 6 & 31 };
        const PpcRow *row = ppc_decode(state->model->isa, 0, w);

        g_print("  %08x %s t%u a%u b%u c%u\n", w, row ? row->name : "?", fields[0], fields[1], fields[2], fields[3]);
        for (unsigned k = 0; k < 4; k++) {
            unsigned x[] = { field_xt(w), field_xa(w), field_xb(w), field_xc(w) };
            unsigned reg = op == 4 ? 32 + fields[k] : op == 60 ? x[k] : fields[k];

            if (op == 4 || op >= 59) {
                g_print("    %c: vs%u %016lx %016lx", "tabc"[k], reg, (unsigned long)c->state.vsr[reg][0],
                        (unsigned long)c->state.vsr[reg][1]);
                if (op == 63) {
                    g_print(" vs%u %016lx %016lx", 32 + reg, (unsigned long)c->state.vsr[32 + reg][0],
                            (unsigned long)c->state.vsr[32 + reg][1]);
                }
                g_print("\n");
            } else {
                g_print("    %c: r%u %lx\n", "tabc"[k], reg, (unsigned long)c->state.gpr[reg]);
            }
        }
    }
}

/* Whether the quotient of the first instruction does not exist, or perhaps not (divde). */
static bool divides_badly(const OracleCase *c)
{
    uint32_t word = c->insns[0];
    uint64_t a = c->state.gpr[field_a(word)], b = c->state.gpr[field_b(word)];
    bool is_word = (word >> 1 & 0x1ff) == 491 || (word >> 1 & 0x1ff) == 459, is_double = (word >> 1 & 0x1ff) == 489 || (word >> 1 & 0x1ff) == 457;

    if (is_word) {
        return c->n_insns > 1 || !(uint32_t)b || ((uint32_t)a == 0x80000000 && (uint32_t)b == UINT32_MAX);
    }
    return c->n_insns > 1 || !is_double || !b || (a == UINT64_C(1) << 63 && b == UINT64_MAX);
}

/* divdeo of a quotient from 2^63 to 2^64, which the black box does not find too large: it compares magnitudes. */
static bool lacks_room_for_sign(const OracleCase *c)
{
    enum { DIVDEO = 0x200 | 425 };
    uint32_t word = c->insns[0];
    int64_t a = c->state.gpr[field_a(word)], b = c->state.gpr[field_b(word)];
    uint64_t dividend = a < 0 ? -(uint64_t)a : (uint64_t)a, divisor = b < 0 ? -(uint64_t)b : (uint64_t)b;

    return word >> 26 == 31 && (word >> 1 & 0x3ff) == DIVDEO && dividend < divisor &&
           ((unsigned __int128)dividend << 64) / divisor >> 63;
}

/* Whether an element of a vector division has no quotient. */
static bool divides_vectors_badly(const char *name, const OracleCase *c)
{
    unsigned width = name[strlen(name) - 1] == 'w' ? 32 : name[strlen(name) - 1] == 'd' ? 64 : 128;
    bool is_signed = name[strlen(name) - 2] == 's', extended = g_str_has_prefix(name, "vdive");
    unsigned __int128 v[2], ones = width == 128 ? ~(unsigned __int128)0 : ((unsigned __int128)1 << width) - 1;
    const uint64_t *ab[2] = { c->state.vsr[32 + field_a(c->insns[0])], c->state.vsr[32 + field_b(c->insns[0])] };

    for (unsigned at = 0; at < 128; at += width) {
        for (unsigned i = 0; i < 2; i++) {
            v[i] = ((unsigned __int128)ab[i][0] << 64 | ab[i][1]) >> at & ones;
            if (is_signed && extended && v[i] >> (width - 1)) {
                v[i] = -v[i] & ones;
            }
        }
        if (!v[1] || (is_signed && !extended && v[1] == ones && v[0] == ones / 2 + 1) ||
            (extended && v[0] >= (is_signed ? v[1] / 2 : v[1]))) {
            return true;
        }
    }
    return false;
}

unsigned compare_all(const OracleCase *cases, const OracleState *results, unsigned n)
{
    unsigned wrong = 0, shown = 0;

    for (unsigned i = 0; i < n; i++) {
        Row *r = &g_array_index(rows, Row, i % rows->len);
        unsigned what = 0;
        OracleState got[2];

        for (unsigned k = cases[i].insns[0] >> 26 == 1; k < cases[i].n_insns; k++) {
            const PpcRow *row = ppc_decode(state->model->isa, k && cases[i].insns[0] >> 26 == 1 ? cases[i].insns[0] : 0, cases[i].insns[k]);

            what |= row ? leniency_of(row->name, &cases[i]) : L_SKIP;
            if (row && k && g_str_has_prefix(row->name, "mffs")) { /* FR of an instruction before */
                what |= L_SKIP;
            }
            if (row && cases[i].n_insns > 1 && g_str_has_prefix(row->name, "mtfsf")) {
                what |= L_FX; /* an exception whose bit it has set changes no bit from 0 to 1 (book I, 4.2.2): FX stays, but not there */
            }
            if (row && is_decimal_float(row)) { /* the black box never clears FI there, and takes no enabled exception */
                what |= L_ONLY_FI | (cases[i].state.fpscr & 0xf8 ? L_SKIP : 0);
            }
        }
        if (what & L_DIVISION && cases[i].n_insns == 1 && !divides_badly(&cases[i])) {
            what &= ~L_DIVISION;
        }
        if (what & L_DIVISION && lacks_room_for_sign(&cases[i])) {
            what |= L_SKIP;
        }
        if (cases[i].n_insns == 1 && (g_str_has_prefix(r->row->name, "vdiv") || g_str_has_prefix(r->row->name, "vmod")) &&
            divides_vectors_badly(r->row->name, &cases[i])) {
            what |= L_T;
        }
        if (cases[i].n_insns == 1 && what & L_COMPRESSED && cases[i].insns[0] & 0x10000) {
            what |= L_T;
        }
        if (cases[i].n_insns == 1) {
            const OracleState *s = &cases[i].state;

            what |= leniency_of_operands(r->row->name, &cases[i]);
            what |= has_bad_decimals(r->row->name, &cases[i]) ? L_BAD_DIGITS : 0;
            what |= what & L_SPECIAL && (is_decimal_special(s->vsr[field_a(cases[i].insns[0])][0]) ||
                                         is_decimal_special(s->vsr[field_b(cases[i].insns[0])][0])) ? L_T | L_CLASS : 0;
        }
        if (cases[i].n_insns > 1 && cases[i].insns[0] >> 26 != 1) {
            what |= what & (L_UNDEFINED | L_DIVISION | L_ESTIMATE | L_ESTIMATE_SINGLES | L_T | L_T_HIGH_WORD | L_FI | L_FPRF | L_T_LOW_DOUBLE | L_CONVERT | L_NEGATED | L_NAN | L_SPECIAL | L_ODD) ? L_SKIP : 0;
        }
        r->tried++;
        run_case(&cases[i], false, &got[0]);
        run_case(&cases[i], true, &got[1]);
        if (got[0].signal == 11 && got[0].fault_address - (ORACLE_PAGE - 0x1000) > ORACLE_PAGE_SIZE + 0x2000) {
            continue; /* something may be there */
        }
        if (results[i].signal == 4 && got[0].signal != 4) {
            r->illegal++; /* reserved bits, mostly */
            continue;
        }
        if (what & L_FPRF) { /* undefined: an engine may show an older one */
            got[1].fpscr = (got[1].fpscr & ~(uint64_t)FPSCR_FPRF) | (got[0].fpscr & FPSCR_FPRF);
        }
        /* The two engines agree in all bits; but where one was left in the midst, FPSCR may show older status. */
        if (!got[0].signal && !(what & L_DIVISION) && memcmp(&got[0], &got[1], sizeof(got[0]))) {
            g_autofree char *text = difference(&cases[i], &got[0], &got[1], 0);

            g_print("case %u, %s, the engines differ\n%s", i, r->row->name, text ? text : "");
            describe_case(&cases[i]);
            r->wrong++;
            wrong += n; /* a failure in any case */
        }
        if (what & L_SKIP) {
            continue;
        }
        for (unsigned engine_index = 0; engine_index < 2; engine_index++) {
            g_autofree char *text = difference(&cases[i], &results[i], &got[engine_index], what);

            if (!text) {
                continue;
            }
            wrong++;
            r->wrong++;
            if (r->wrong <= 2 && shown++ < 60) {
                g_print("case %u, %s, %s\n%s", i, r->row->name, engine_index ? "compiled" : "interpreted", text);
                describe_case(&cases[i]);
            }
            break;
        }
        r->same++;
    }
    return wrong;
}

void print_coverage(void)
{
    g_autoptr(GString) never = g_string_new(NULL);
    unsigned count = 0;

    for (unsigned i = 0; i < rows->len; i++) {
        const Row *r = &g_array_index(rows, Row, i);

        if (r->wrong || r->illegal * 2 > r->tried) {
            g_print("%-12s tried %u, compared %u, illegal there %u, different %u\n", r->row->name, r->tried, r->same, r->illegal, r->wrong);
        }
        if (r->same == 0) {
            g_string_append_printf(never, " %s", r->row->name);
            count++;
        }
    }
    g_print("%s: %u rows of the decoder, %u of them never compared:%s\n", setup->model, rows->len, count, never->str);
}
