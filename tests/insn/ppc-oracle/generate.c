/* The PowerPC oracle's cases: random states out of values that matter, and random instructions of a row. */
#include "tests/insn/ppc-oracle/oracle.h"

#include "target/ppc/dfp.h"
#include "target/ppc/fp.h"
#include "tests/random.h"
#include "util/bits.h"

#include <signal.h>
#include <string.h>

uint64_t seed = 0x9e3779b97f4a7c15;

uint64_t next(void)
{
    return random_step(&seed);
}

unsigned below(unsigned n)
{
    return (next() >> 32) % n;
}

static uint64_t integer(void)
{
    static const uint64_t edges[] = { 0, 1, 2, 0x7f, 0x80, 0xff, 0x8000, 0x7fffffff, 0x80000000, 0xffffffff,
                                      INT64_MAX, UINT64_C(1) << 63, UINT64_MAX, 0xffffffff80000000 };

    switch (below(4)) {
    case 0: return edges[below(G_N_ELEMENTS(edges))];
    case 1: return next() >> below(64);
    case 2: return -(next() >> below(64));
    default: return next();
    }
}

static uint32_t single(void)
{
    uint32_t r = next(), sign = r & 0x80000000;

    switch (below(12)) {
    case 0: return sign;
    case 1: return sign | 0x7f800000;
    case 2: return sign | 0x7fc00000 | (r & 0x3fffff);
    case 3: return sign | 0x7f800000 | (r & 0x3fffff) | 1;
    case 4: return sign | (r & 0x7fffff) >> below(23);
    case 5: return sign | (254u - below(3)) << 23 | (r & 0x7fffff);
    case 6: return sign | (1u + below(30)) << 23 | (r & 0x7fffff);
    case 7: return sign | (127u + below(40)) << 23 | (r & 0x7fffff);
    case 8: return sign | (127u - 10 + below(20)) << 23 | (0x7fffffu << below(23) & 0x7fffff);
    default: return sign | (100u + below(60)) << 23 | (r & 0x7fffff);
    }
}

static uint64_t number(void)
{
    uint64_t r = next(), sign = r & UINT64_C(1) << 63, fraction = r >> 11 & UINT64_C(0xfffffffffffff);

    switch (below(16)) {
    case 0: return sign;
    case 1: return sign | UINT64_C(0x7ff) << 52;
    case 2: return sign | UINT64_C(0xfff) << 51 | fraction >> 1;
    case 3: return sign | UINT64_C(0x7ff) << 52 | fraction >> 1 | 1;
    case 4: return sign | fraction >> below(52);
    case 5: return sign | (uint64_t)(2046 - below(3)) << 52 | fraction;
    case 6: return sign | (uint64_t)(1 + below(60)) << 52 | fraction;
    case 7: return sign | (uint64_t)(1023 + below(70)) << 52 | fraction;
    case 8: return sign | (uint64_t)(1023 - 10 + below(20)) << 52 | (UINT64_C(0xfffffffffffff) << below(52) & UINT64_C(0xfffffffffffff));
    case 9: return sign | (uint64_t)(860 + below(40)) << 52 | fraction;
    case 10: return sign | (uint64_t)(1140 + below(20)) << 52 | fraction;
    case 11: return fp_single_to_double(single());
    case 12: return sign | (uint64_t)(1023 - 10 + below(70)) << 52 | (fraction & UINT64_C(0xffffff0000000));
    case 13: return integer();
    default: return sign | (uint64_t)(1000 + below(50)) << 52 | fraction;
    }
}

static void fill_vector(uint64_t v[2])
{
    switch (below(4)) {
    case 0:
        v[0] = number();
        v[1] = number();
        break;
    case 1:
        v[0] = (uint64_t)single() << 32 | single();
        v[1] = (uint64_t)single() << 32 | single();
        break;
    case 2: /* 128-bit floating point */
        v[0] = below(6) ? (next() & UINT64_C(0x8000ffffffffffff)) | (uint64_t)(16383 - 70 + below(140)) << 48
                        : (next() & UINT64_C(0x80007fffffffffff)) | (below(2) ? UINT64_C(0x7fff) << 48 : 0);
        v[1] = below(3) ? next() : 0;
        break;
    default:
        v[0] = integer();
        v[1] = integer();
        break;
    }
}

bool is64(void)
{
    return ppc_is_64bit(cpu);
}

static void fill_state(OracleState *s)
{
    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < 32; i++) {
        s->gpr[i] = is64() ? integer() : (uint32_t)integer();
        s->vsr[i][0] = number();
        s->vsr[i][1] = setup->has_vsx ? number() : 0;
        if (setup->has_vec) {
            fill_vector(s->vsr[32 + i]);
        }
    }
    s->gpr[ORACLE_BASE_REGISTER] = 0;
    s->cr = (uint32_t)next();
    s->xer = (next() & 0xe0000000) | below(20);
    s->lr = is64() ? next() : (uint32_t)next();
    s->ctr = is64() ? next() : (uint32_t)next();
    s->fpscr = next() & 3; /* rounding */
    s->fpscr |= setup->has_vsx ? (next() & 7) << 32 : 0; /* of decimal numbers */
    if (below(3) == 0) {
        s->fpscr |= next() & (FPSCR_EXCEPTIONS | FPSCR_FX | FPSCR_FPRF | FPSCR_FI);
    }
    if (below(4) == 0) {
        s->fpscr = (s->fpscr & ~(uint64_t)FPSCR_RN) | FPSCR_XX | FPSCR_FX; /* what the host may compute in */
    }
    s->vscr = setup->has_vec ? next() & (0x10000 | 1) : 0;
    s->vrsave = setup->has_vec ? (uint32_t)next() : 0;
    for (unsigned i = 0; i < sizeof(s->memory); i += 8) {
        uint64_t v = below(2) ? number() : integer();

        memcpy(s->memory + i, &v, 8);
    }
}

/* Instructions. */

GArray *rows;

/* What is not for this test: what enters the system, addresses of code, time, chance, strings that reach r31, transactions. */
static bool is_excluded(const PpcRow *row)
{
    static const char *const names[] = {
        "sc", "scv", "wait", "mftb", "lmw", "stmw", "darn", "bclr", "bcctr", "bctar", "eciwx", "ecowx", "copy", "paste.", "cpabort",
        "lscbx", "tbegin.", "tend.", "rfebb", "tabort.", "tcheck", "tsr.", "tabortwc.", "tabortdc.", "tabortwci.", "tabortdci.",
        "addpcis", "plq", "pstq", "lnia", "dcbi",
    };

    if (row->attr & (A_PRIV | A_HV | A_SPE) || !row->emit) {
        return true;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(row->name, names[i])) {
            return true;
        }
    }
    /* Strings are alignment interrupts in little-endian mode. */
    return setup->is_le && (g_str_has_prefix(row->name, "lsw") || g_str_has_prefix(row->name, "stsw"));
}

void collect_rows(const char *pattern)
{
    rows = g_array_new(FALSE, TRUE, sizeof(Row));
    for (const PpcTable *table = ppc_tables; table->rows; table++) {
        for (const PpcRow *row = table->rows; row->name; row++) {
            Row r = { .row = row };

            if (!is_excluded(row) && (row->isa == ISA_ALL || row->isa & state->model->isa) &&
                (!pattern || g_pattern_match_simple(pattern, row->name))) {
                g_array_append_val(rows, r);
            }
        }
    }
}

/* Whether the word is a load or store, and which fields make the address. */
static bool is_memory(uint32_t word, const char *name, bool *indexed)
{
    unsigned op = word >> 26;

    *indexed = op == 31;
    if (name[0] == 'p') {
        return !strncmp(name, "pl", 2) || !strncmp(name, "pst", 3);
    }
    return op == 6 || (op >= 32 && op <= 58 && strncmp(name, "xx", 2)) || op == 61 || op == 62 ||
           (op == 31 && ((name[0] == 'l' && strncmp(name, "lvs", 3)) || (name[0] == 's' && name[1] == 't')));
}

static bool begins_with_any(const char *name, const char *const *beginnings)
{
    while (*beginnings && !g_str_has_prefix(name, *beginnings)) {
        beginnings++;
    }
    return *beginnings;
}

static bool uses_vectors_only(uint32_t word, const char *name)
{
    static const char *const with_gprs[] = { "vext", "vclzls", "vctzls", "madd", "mtvsr", "vcnt", "vgnb", "vclr", "vins", NULL };
    unsigned op = word >> 26;

    return ((op == 4 && !begins_with_any(name, with_gprs)) ||
            op == 59 || (op == 60 && strncmp(name, "xsx", 3) && strncmp(name, "xsiexp", 6)) || op == 63);
}

/* A decimal integer as the instruction takes it: signed packed, unsigned packed, national or zoned; now and then a wrong one. */
static void fill_decimal(const char *name, uint64_t v[2], uint32_t word)
{
    static const char *const unsigned_forms[] = { "bcdus", "bcdutrunc", NULL };
    unsigned digits = below(3) ? below(33) : 31;
    unsigned __int128 n = 0, sign = below(2) ? 0xc : below(2) ? 0xd : 10 + below(6);
    bool national = !strcmp(name, "bcdcfn"), zoned = !strcmp(name, "bcdcfz");

    for (unsigned i = 0; i < digits; i++) {
        unsigned digit = below(4) ? below(10) : below(2) ? 9 : 0;

        n |= national ? i < 7 ? (unsigned __int128)(0x30 + digit) << (16 * i + 16) : 0
             : zoned  ? i < 16 ? (unsigned __int128)((word & 0x200 ? 0xf0 : 0x30) + digit) << 8 * i : 0
                      : (unsigned __int128)digit << 4 * i;
    }
    if (national) {
        for (unsigned i = digits; i < 7; i++) {
            n |= (unsigned __int128)0x30 << (16 * i + 16);
        }
        n |= sign & 1 ? '-' : '+';
    } else if (zoned) {
        for (unsigned i = digits; i < 16; i++) {
            n |= (unsigned __int128)(word & 0x200 ? 0xf0 : 0x30) << 8 * i;
        }
        n = (n & ~(unsigned __int128)0xf0) | (word & 0x200 ? sign : sign & 1 ? 7 : 3) << 4;
    } else if (!begins_with_any(name, unsigned_forms)) {
        n = n << 4 | sign;
    }
    if (below(16) == 0) {
        n ^= (unsigned __int128)next() << below(120);
    }
    v[0] = n >> 64;
    v[1] = n;
}

static void fill_decimal_operands(const PpcRow *row, uint32_t word, OracleState *s)
{
    bool counts = row->name[3] == 's' || row->name[3] == 't' || row->name[3] == 'u';
    uint64_t *a = s->vsr[32 + field_a(word)], *b = s->vsr[32 + field_b(word)];

    fill_decimal(row->name, b, word);
    if (!strcmp(row->name, "bcdcfsq")) {
        b[0] = below(2) ? integer() : integer() >> (next() & 63);
        b[1] = integer();
    }
    if (counts && strcmp(row->name, "bcdsub") && strcmp(row->name, "bcdsetsgn")) {
        unsigned count = row->name[3] == 's' || row->name[4] == 's' ? next() & 0xff : below(300);

        /* Of bcdsr the black box rounds up at far more digits than there are. */
        a[0] = (a[0] & ~UINT64_C(0xffff)) | (below(2) ? below(36) : strcmp(row->name, "bcdsr") ? count : -below(32) & 0xff);
    } else if (!(row->mask & 0x1f0000)) {
        fill_decimal(row->name, a, word);
    }
}

/* A decimal floating-point number near 10 to the power of `exp`, or one of the special ones. */
static U128 decimal_number(const DfpFormat *f, int exp)
{
    unsigned digits = below(3) ? below(f->precision + 1) : (unsigned)f->precision;
    DfpNum n = { .kind = FP_IS_FINITE, .negative = below(2) };
    unsigned style = below(4);

    for (unsigned i = 0; i < digits; i++) {
        n.digit[i] = style == 0 ? below(2) * 9 : style == 1 ? (i + 1 == digits ? 5 : 0) : below(10);
    }
    switch (below(24)) {
    case 0: n.kind = FP_IS_INF; break;
    case 1: n.kind = FP_IS_QNAN; break;
    case 2: n.kind = FP_IS_SNAN; break;
    case 3: return (U128)next() << 64 | next();
    case 4: exp = -f->bias + below(20); break;
    case 5: exp = f->max - f->bias - below(20); break;
    default: exp += (int)below(12) - 6; break;
    }
    n.exp = CLAMP(exp, -f->bias, f->max - f->bias);
    return dfp_pack(f, &n);
}

static void fill_decimal_floats(const PpcRow *row, uint32_t word, OracleState *s)
{
    const DfpFormat *f = word >> 26 == 63 ? &dfp_extended : &dfp_long;
    int exp = below(2) ? -(int)below(10) : below(3) ? (int)below(f->precision * 2) - f->precision : (int)below(f->max) - f->bias;
    unsigned fields[] = { field_a(word), field_b(word) };
    uint64_t *a = s->vsr[fields[0]], *b = s->vsr[fields[1]];

    for (unsigned i = 0; i < 2; i++) {
        U128 bits = decimal_number(f, exp);

        if (f == &dfp_extended) {
            s->vsr[fields[i] & ~1][0] = bits >> 64;
            s->vsr[fields[i] | 1][0] = bits;
        } else {
            s->vsr[fields[i]][0] = bits;
        }
    }
    if (!strncmp(row->name, "drrnd", 5) || !strncmp(row->name, "dtstsf", 6)) {
        a[0] = below(40);
    }
    if (!strncmp(row->name, "diex", 4)) {
        a[0] = below(8) ? below(f->max + 10) : below(2) ? -(uint64_t)below(6) : integer();
    }
    if (!strcmp(row->name, "dctdp")) {
        b[0] = (next() & ~UINT64_C(0xffffffff)) | (uint32_t)decimal_number(&dfp_short, exp);
    }
    if (!strcmp(row->name, "dctqpq")) {
        b[0] = decimal_number(&dfp_long, exp);
    }
    if (!strncmp(row->name, "dcffix", 6)) {
        b[0] = integer();
    }
    if (!strncmp(row->name, "denbcd", 6)) {
        uint64_t v[2];

        fill_decimal(word & 0x100000 ? "bcdadd" : "bcdus", v, 0);
        if (f == &dfp_extended) {
            s->vsr[fields[1] & ~1][0] = v[0];
        }
        s->vsr[fields[1] | (f == &dfp_extended)][0] = v[1];
    }
}

bool is_decimal_float(const PpcRow *row)
{
    return row->name[0] == 'd' && (row->match >> 26 == 59 || row->match >> 26 == 63);
}

static void random_word(const Row *r, OracleCase *c, unsigned at)
{
    const PpcRow *row = r->row;
    static const uint32_t zeroed[] = { 0, 0, 0, 0x001f0000, 0x001f0000, 0x0000f800, 0x001ff800, 0x001f07c0, 0x000007c0, 0x007f0000,
                                       0x007ff800, 0x001e0000, 0x0060f801, 0x00600001, 0x007ff801, 0x00610fff, 0x0010ffff, 0x00000801,
                                       0x00100001, 0x001c0000, 0x001807c0, 0x03e1f800, 0x03fff800, 0x03ff0000, 0x00180000 };
    uint32_t word, prefix, keep = ~zeroed[below(G_N_ELEMENTS(zeroed))];
    bool indexed;

    word = row->match | (next() & ~row->mask & keep);
    prefix = row->attr & A_PREFIXED ? row->prefix_match | (next() & ~row->prefix_mask) : 0;
    if (below(16)) {
        word &= ~r->reserved;
        prefix &= ~r->reserved_prefix;
    }
    if (below(2)) {
        word &= ~1u | row->mask | row->match;
    }
    if (strstr(row->name, "insert") || strstr(row->name, "vextract") || strstr(row->name, "xxextract")) {
        word &= ~0x00180000u | row->mask | row->match; /* elements that end in the register */
    }
    if (!strcmp(row->name, "addex")) {
        word &= ~1u;
    }
    if (strstr(row->name, "fdp")) {
        word &= ~0x00200000u; /* pairs are even */
    }
    if (!strcmp(row->name, "mtcrf") || !strcmp(row->name, "mfcr")) {
        word &= ~0x00100000u; /* mtocrf, mfocrf: undefined if not one bit is set */
    }
    if (!uses_vectors_only(word, row->name)) {
        for (unsigned shift = strncmp(row->name, "madd", 4) && strncmp(row->name, "vextd", 5) ? 11 : 6; shift <= 21; shift += 5) {
            if ((word >> shift & 31) == ORACLE_BASE_REGISTER && !(row->mask >> shift & 31)) {
                word ^= 1u << (shift + below(5));
            }
        }
    }
    if (is_memory(word, row->name, &indexed)) {
        unsigned ra = word >> 16 & 31, rb = word >> 11 & 31, offset = 64 + (below(3) ? below(8) * 16 : below(150));
        int disp = below(2) ? (int)below(48) - 24 : ((int)below(6) - 3) * 16;

        if (ra == 0 || ra == ORACLE_BASE_REGISTER) {
            ra = 3 + below(20);
            word = (word & ~0x1f0000u) | ra << 16;
        }
        if (indexed) {
            if (rb == ra || !rb || rb == ORACLE_BASE_REGISTER) {
                rb = ra == 30 ? 29 : ra + 1;
                word = (word & ~0xf800u) | rb << 11;
            }
            c->state.gpr[rb] = is64() ? (uint64_t)disp : (uint32_t)disp;
        } else {
            uint32_t low = row->mask & 0xffff;

            word = (word & (~0xffffu | low)) | (row->match & low) | ((uint32_t)disp & 0xffff & ~low);
            prefix = prefix ? (prefix & ~0x3ffffu) | (disp < 0 ? 0x3ffff : 0) : 0;
        }
        c->state.gpr[ra] = ORACLE_MEMORY + offset;
    }
    if (g_str_has_prefix(row->name, "bcd")) {
        fill_decimal_operands(row, word, &c->state);
    }
    if (is_decimal_float(row)) {
        fill_decimal_floats(row, word, &c->state);
    }
    if (g_str_has_prefix(row->name, "bcdu")) {
        word &= ~0x200u; /* no preferred sign: the black box takes it for a vector subtraction */
    }
    if (!strcmp(row->name, "vgnb")) {
        word |= 0x00020000; /* less than two is undefined */
    }
    /* Elements that end in the register. */
    if (!strncmp(row->name, "vextu", 5)) {
        c->state.gpr[word >> 16 & 31] &= ~UINT64_C(15) | below(13);
    }
    if (!strncmp(row->name, "vextd", 5)) {
        c->state.gpr[word >> 6 & 31] = (c->state.gpr[word >> 6 & 31] & ~UINT64_C(31)) | below(25);
    }
    if (!strncmp(row->name, "vins", 4) && !(row->mask >> 16 & 31)) {
        c->state.gpr[word >> 16 & 31] = (c->state.gpr[word >> 16 & 31] & ~UINT64_C(15)) | below(9);
    }
    if (!strcmp(row->name, "vinsw") || !strcmp(row->name, "vinsd")) {
        word &= ~0x00170000u;
    }
    if (strstr(row->name, "ger")) {
        word |= 6; /* operands beside all accumulators */
        word &= strstr(row->name, "f64") ? ~0x00010000u : ~0u;
    }
    if (prefix) {
        c->insns[at++] = prefix >> 24 == 6 || prefix >> 24 == 4 ? prefix & ~0x00100000u : prefix; /* not by the pc, which differs */
        c->n_insns = 2;
    }
    c->insns[at] = word;
}

/* ---- reserved bits ---- */

static bool has_probes(const Row *r)
{
    return !is_special(r->row);
}

static void add_probe(GArray *probes, const Row *r, uint32_t flip, uint32_t flip_prefix)
{
    OracleCase c = { .n_insns = 1 };

    if (r->row->attr & A_PREFIXED) {
        c.insns[0] = r->row->prefix_match | flip_prefix;
        c.n_insns = 2;
    }
    c.insns[c.n_insns - 1] = r->row->match | flip;
    g_array_append_val(probes, c);
}

unsigned make_probes(OracleCase **cases)
{
    GArray *probes = g_array_new(FALSE, TRUE, sizeof(OracleCase));
    unsigned n;

    for (guint i = 0; i < rows->len; i++) {
        const Row *r = &g_array_index(rows, Row, i);

        if (has_probes(r)) {
            add_probe(probes, r, 0, 0);
        }
        for (unsigned bit = 0; bit < 32 && has_probes(r); bit++) {
            add_probe(probes, r, ~r->row->mask & 1u << bit, 0);
            add_probe(probes, r, 0, r->row->attr & A_PREFIXED ? ~r->row->prefix_mask & 1u << bit : 0);
        }
    }
    n = probes->len;
    *cases = (OracleCase *)g_array_free(probes, FALSE);
    return n;
}

void learn_reserved(const OracleState *results)
{
    for (guint i = 0; i < rows->len; i++) {
        Row *r = &g_array_index(rows, Row, i);
        bool legal;

        if (!has_probes(r)) {
            continue;
        }
        legal = results++->signal != SIGILL;
        for (unsigned bit = 0; bit < 32; bit++, results += 2) {
            r->reserved |= legal && results[0].signal == SIGILL ? 1u << bit : 0;
            r->reserved_prefix |= legal && results[1].signal == SIGILL ? 1u << bit : 0;
        }
    }
}

uint32_t first_word(const OracleCase *c)
{
    return c->insns[c->insns[0] >> 26 == 1];
}

void make_case(OracleCase *c, unsigned index)
{
    Row *r = &g_array_index(rows, Row, index % rows->len);

    memset(c, 0, sizeof(*c));
    fill_state(&c->state);
    if (below(12) == 0) {
        c->state.fpscr |= next() & (FPSCR_VE | FPSCR_OE | FPSCR_UE | FPSCR_ZE | FPSCR_XE);
    }
    if (is_special(r->row)) {
        make_special(r->row, c);
    } else {
        c->n_insns = below(8) == 0 ? 2 + below(ORACLE_INSNS - 1) : 1;
        random_word(r, c, 0);
    }
    for (unsigned i = 1; i < c->n_insns && !(r->row->attr & A_PREFIXED) && !is_special(r->row); i++) {
        const Row *other = &g_array_index(rows, Row, below(rows->len));

        if (other->row->attr & A_PREFIXED || is_special(other->row)) {
            c->n_insns = i;
            break;
        }
        random_word(other, c, i);
    }
    /* No exception waits, and summaries follow from the rest. */
    c->state.fpscr &= ~(uint64_t)((c->state.fpscr & FPSCR_VE ? FPSCR_VX_ALL : 0) | (c->state.fpscr & FPSCR_OE ? FPSCR_OX : 0) |
                                  (c->state.fpscr & FPSCR_UE ? FPSCR_UX : 0) | (c->state.fpscr & FPSCR_ZE ? FPSCR_ZX : 0) |
                                  (c->state.fpscr & FPSCR_XE ? FPSCR_XX : 0));
    if (c->state.fpscr & FPSCR_VX_ALL) {
        c->state.fpscr |= FPSCR_VX;
    }
    if (c->state.fpscr & FPSCR_EXCEPTIONS) {
        c->state.fpscr |= FPSCR_FX; /* the black box sets it where nothing changes, too */
    }
}
