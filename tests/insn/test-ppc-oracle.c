/*
 * Random PowerPC instructions: Debian's user emulators as a black box against the interpreter and compiled code.
 *
 * test-ppc-oracle MODEL RUNNER-SOURCE [CASES [SEED]]. Each case is up to four instructions and a state; the runner
 * (ppc-oracle/runner.c) executes all of them under qemu-ppc, qemu-ppc64 or qemu-ppc64le in one process. What the
 * architecture leaves undefined, and where the black box is known to leave its text, is listed in `leniencies`.
 */
#include "tests/insn/ppc-oracle/cases.h"

#include "accel/accel.h"
#include "target/ppc/dfp.h"
#include "target/ppc/fp.h"
#include "target/ppc/insns.h"
#include "util/bits.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>

enum { TLB_ENTRIES = 16, CODE = 0x10000 };

typedef struct Setup {
    const char *model, *compiler, *flags, *emulator, *emulated;
    bool is_le, has_vec, has_vsx;
} Setup;

static const Setup setups[] = {
    { "750", "powerpc-linux-gnu-gcc", "", "qemu-ppc", "750_v3.1", false, false, false },
    { "7447a", "powerpc-linux-gnu-gcc", "-DHAVE_VEC", "qemu-ppc", "7447a", false, true, false },
    { "970fx", "powerpc64-linux-gnu-gcc", "-DHAVE_VEC", "qemu-ppc64", "970fx", false, true, false },
    { "power8", "powerpc64-linux-gnu-gcc", "-DHAVE_VEC -DHAVE_VSX", "qemu-ppc64", "power8", false, true, true },
    { "power9", "powerpc64le-linux-gnu-gcc", "-DHAVE_VEC -DHAVE_VSX", "qemu-ppc64le", "power9", true, true, true },
    { "power10", "powerpc64le-linux-gnu-gcc", "-DHAVE_VEC -DHAVE_VSX", "qemu-ppc64le", "power10", true, true, true },
};

static const Setup *setup;
static Cpu *cpu;
static PpcState *state;
static IrBlock *ir;
static const HostBlock *compiled;
static uint8_t page[ORACLE_PAGE_SIZE] __attribute__((aligned(4096)));
static uint32_t code[ORACLE_INSNS + 1];
static TlbEntry tlb_entries[TLB_ENTRIES];
static JumpCacheEntry jumps[JUMP_CACHE_SIZE];
static uint64_t fault_address;

/* Where no engine is linked. */
__attribute__((weak)) EngineOps engine;
__attribute__((weak)) const AccelOps *accel;

/* Memory. */

static uint8_t *find(uint64_t addr, unsigned size, bool is_store, uintptr_t retaddr)
{
    if (addr < ORACLE_PAGE || addr + size > ORACLE_PAGE + ORACLE_PAGE_SIZE || addr + size < addr) {
        fault_address = addr >= ORACLE_PAGE && addr < ORACLE_PAGE + ORACLE_PAGE_SIZE ? ORACLE_PAGE + ORACLE_PAGE_SIZE : addr;
        ppc_raise(state, PPC_DSI, 0, retaddr);
    }
    return page + (addr - ORACLE_PAGE);
}

static uint64_t rt_load(void *s, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    uint64_t v = 0;

    memcpy(&v, find(addr, size, false, retaddr), size);
    return v;
}

static void rt_store(void *s, uint64_t addr, uint64_t value, unsigned size, unsigned mem, uintptr_t retaddr)
{
    memcpy(find(addr, size, true, retaddr), &value, size);
}

static void rt_load_bytes(void *s, uint64_t addr, void *buf, unsigned size, uintptr_t retaddr)
{
    memcpy(buf, find(addr, size, false, retaddr), size);
}

static void rt_store_bytes(void *s, uint64_t addr, const void *buf, unsigned size, uintptr_t retaddr)
{
    memcpy(find(addr, size, true, retaddr), buf, size);
}

static void rt_probe(void *s, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    find(addr, size, true, retaddr);
}

static uint64_t rt_atomic(void *s, uint64_t addr, unsigned op_size, uint64_t b, uint64_t c, uintptr_t retaddr)
{
    unsigned size = op_size & 0xff;
    uint8_t *at = find(addr, size, true, retaddr);
    uint64_t old = 0;

    memcpy(&old, at, size);
    g_assert(op_size >> 8 == IR_atomic_cmpxchg);
    if (old == (size == 8 ? b : b & ((UINT64_C(1) << size * 8) - 1))) {
        memcpy(at, &c, size);
    }
    return old;
}

static void rt_unaligned(void *s, uint64_t addr, bool is_store, uintptr_t retaddr)
{
    ppc_raise(state, PPC_ALIGN, 0, retaddr);
}

static void rt_host_fault(void *s, int sig, int sig_code, uintptr_t host_pc)
{
    g_error("host fault %d at %lx", sig, (unsigned long)host_pc);
}

static const HostBlock *rt_find_block(uintptr_t host_pc)
{
    return compiled && host_pc - (uintptr_t)compiled->code <= compiled->size ? compiled : NULL;
}

static const TcgRuntime runtime = {
    .load = rt_load, .store = rt_store, .load_bytes = rt_load_bytes, .store_bytes = rt_store_bytes,
    .probe_store = rt_probe, .atomic = rt_atomic, .unaligned = rt_unaligned, .host_fault = rt_host_fault,
    .find_block = rt_find_block,
};

static uint64_t engine_load(Cpu *c, VirtAddr addr, unsigned size, unsigned mode, uintptr_t retaddr)
{
    return rt_load(c->state, addr, size, 0, retaddr);
}

static void engine_store(Cpu *c, VirtAddr addr, uint64_t value, unsigned size, unsigned mode, uintptr_t retaddr)
{
    rt_store(c->state, addr, value, size, 0, retaddr);
}

static void *engine_probe(Cpu *c, VirtAddr addr, unsigned size, MmuAccess access, unsigned mode, uintptr_t retaddr)
{
    return find(addr, size, access == MMU_STORE, retaddr);
}

static void engine_update_mode(Cpu *c)
{
}

/* Random contents. */

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(0x2545f4914f6cdd1d);
}

static unsigned below(unsigned n)
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

static bool is64(void)
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

typedef struct Row {
    const PpcRow *row;
    unsigned tried, same, illegal, wrong;
} Row;

static GArray *rows;

/* What is not for this test: control flow, time, string forms that would reach r31, reservations of other cases. */
static bool is_excluded(const PpcRow *row)
{
    static const char *const names[] = {
        "sc", "scv", "wait", "mfspr", "mtspr", "mftb", "lmw", "stmw", "lswi", "lswx", "stswi", "stswx", "darn", "b", "bc",
        "bclr", "bcctr", "bctar", "lbarx", "lharx", "lwarx", "ldarx", "lqarx", "stbcx.", "sthcx.", "stwcx.", "stdcx.", "stqcx.",
        "lq", "stq", "lwat", "ldat", "stwat", "stdat", "dcbz", "dcbzl", "dcba", "icbi", "eciwx", "ecowx", "copy", "paste.", "cpabort",
        "lscbx", "tbegin.", "tend.", "rfebb", "tabort.", "tcheck", "tsr.", "tabortwc.", "tabortdc.", "tabortwci.", "tabortdci.", "addpcis", "plq", "pstq", "lnia", "isync", "dcbi",
    };

    if (row->attr & (A_PRIV | A_HV | A_BRANCH | A_SPE) || !row->emit) {
        return true;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(row->name, names[i])) {
            return true;
        }
    }
    return false;
}

static void collect_rows(void)
{
    rows = g_array_new(FALSE, TRUE, sizeof(Row));
    for (const PpcTable *table = ppc_tables; table->rows; table++) {
        for (const PpcRow *row = table->rows; row->name; row++) {
            Row r = { .row = row };

            if (!is_excluded(row) && (row->isa == ISA_ALL || row->isa & state->model->isa)) {
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
        a[0] = (a[0] & ~UINT64_C(0xffff)) | (below(2) ? below(36) : row->name[3] == 's' || row->name[4] == 's' ? (next() & 0xff) : below(300));
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

static bool is_decimal_float(const PpcRow *row)
{
    return row->name[0] == 'd' && (row->match >> 26 == 59 || row->match >> 26 == 63);
}

static void random_word(const PpcRow *row, OracleCase *c, unsigned at)
{
    static const uint32_t zeroed[] = { 0, 0, 0, 0x001f0000, 0x001f0000, 0x0000f800, 0x001ff800, 0x001f07c0, 0x000007c0, 0x007f0000,
                                       0x007ff800, 0x001e0000, 0x0060f801, 0x00600001, 0x007ff801, 0x00610fff, 0x0010ffff, 0x00000801,
                                       0x00100001, 0x001c0000, 0x001807c0, 0x03e1f800, 0x03fff800, 0x03ff0000, 0x00180000 };
    uint32_t word, prefix, keep = ~zeroed[below(G_N_ELEMENTS(zeroed))];
    bool indexed;

    word = row->match | (next() & ~row->mask & keep);
    prefix = row->attr & A_PREFIXED ? row->prefix_match | (next() & ~row->prefix_mask) : 0;
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

/* The last word of a case's first instruction. */
static uint32_t first_word(const OracleCase *c)
{
    return c->insns[c->insns[0] >> 26 == 1];
}

static void make_case(OracleCase *c, unsigned index)
{
    Row *r = &g_array_index(rows, Row, index % rows->len);

    memset(c, 0, sizeof(*c));
    fill_state(&c->state);
    if (below(12) == 0) {
        c->state.fpscr |= next() & (FPSCR_VE | FPSCR_OE | FPSCR_UE | FPSCR_ZE | FPSCR_XE);
    }
    c->n_insns = below(8) == 0 ? 2 + below(ORACLE_INSNS - 1) : 1;
    random_word(r->row, c, 0);
    for (unsigned i = 1; i < c->n_insns && !(r->row->attr & A_PREFIXED); i++) {
        const PpcRow *row = g_array_index(rows, Row, below(rows->len)).row;

        if (row->attr & A_PREFIXED) {
            c->n_insns = i;
            break;
        }
        random_word(row, c, i);
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

/* Running. */

static void load_state(const OracleState *s)
{
    for (unsigned i = 0; i < 32; i++) {
        state->gpr[i] = s->gpr[i];
    }
    memcpy(state->vsr, s->vsr, sizeof(state->vsr));
    ppc_set_cr(state, s->cr);
    ppc_set_xer(state, s->xer);
    state->lr = s->lr;
    state->ctr = s->ctr;
    state->fpscr = s->fpscr;
    fp_summarise(state);
    ppc_fp_update_fast(state);
    state->fp_noted = 0;
    state->fp_last_fpcc = 0;
    state->vscr = s->vscr;
    state->vrsave = s->vrsave;
    memset(page, 0, sizeof(page));
    memcpy(page + ORACLE_PAGE_SIZE - ORACLE_WINDOW, s->memory, ORACLE_WINDOW);
    state->exception.vector = PPC_NO_EXCEPTION;
    state->reserve_addr = PPC_NO_RESERVATION;
    state->pc = CODE;
    fault_address = 0;
}

static unsigned signal_of(const PpcException *e)
{
    switch (e->vector) {
    case PPC_NO_EXCEPTION: return 0;
    case PPC_PROGRAM: return e->flags & PROGRAM_FP ? 8 : e->flags & PROGRAM_TRAP ? 5 : 4;
    case PPC_DSI: return 11;
    case PPC_ALIGN: return 7;
    default: return 4;
    }
}

static void save_state(OracleState *s)
{
    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < 32; i++) {
        s->gpr[i] = is64() ? state->gpr[i] : (uint32_t)state->gpr[i];
    }
    memcpy(s->vsr, state->vsr, sizeof(s->vsr));
    s->cr = ppc_get_cr(state);
    s->xer = ppc_get_xer(state);
    s->lr = is64() ? state->lr : (uint32_t)state->lr;
    s->ctr = is64() ? state->ctr : (uint32_t)state->ctr;
    ppc_fp_settle(state);
    s->fpscr = state->fpscr;
    s->vscr = state->vscr;
    s->vrsave = state->vrsave;
    s->signal = signal_of(&state->exception);
    s->fault_pc = s->signal ? state->pc - CODE : 0;
    s->fault_address = s->signal == 11 ? fault_address : 0;
    memcpy(s->memory, page + ORACLE_PAGE_SIZE - ORACLE_WINDOW, ORACLE_WINDOW);
}

static bool fetch(Translation *t, uint64_t pc, uint8_t *out)
{
    uint32_t word = pc - CODE < sizeof(code) ? code[(pc - CODE) / 4] : 0;

    *out = word >> (setup->is_le ? pc & 3 : 3 - (pc & 3)) * 8;
    return true;
}

static bool has_breakpoint(Translation *t, uint64_t pc)
{
    return pc == CODE + 4 * (uint64_t)(uintptr_t)t->engine;
}

static bool never_far(void *opaque, uint64_t pc)
{
    return false;
}

static TcgExit run_block(bool compile, uint64_t n_insns)
{
    BlockKey key;
    Translation t = { .ir = ir, .cpu = cpu, .key = &key, .max_insns = 64, .fetch = fetch, .has_breakpoint = has_breakpoint,
                      .engine = (void *)(uintptr_t)n_insns };
    HostBlock *block;
    HostExit *exit;
    char *why = NULL;
    uint64_t pc;
    TcgExit reason;

    guest_ops(cpu)->block_key(cpu, &key);
    atomic_store(&state->hot.poll, 0);
    ir_block_reset(ir);
    guest_ops(cpu)->translate(&t);
    if (!ir_verify(ir, &why)) {
        g_autoptr(GString) text = g_string_new(NULL);

        ir_dump(ir, text);
        g_error("%s\n%s", why, text->str);
    }
    if (!compile) {
        return tcg_interpret(state, ir, NULL, &pc);
    }
    ir_optimise(ir);
    block = tcg_compile(ir, never_far, NULL);
    if (!block) {
        tcg_region_next();
        block = tcg_compile(ir, never_far, NULL);
    }
    compiled = block;
    reason = tcg_enter(state, block->code, &exit);
    if (reason == TCG_EXIT_UNCHAINED) {
        state->pc = exit->pc;
    }
    compiled = NULL;
    tcg_free(block);
    return reason;
}

static void run_case(const OracleCase *c, bool compile, OracleState *out)
{
    for (unsigned i = 0; i < c->n_insns; i++) {
        code[i] = c->insns[i];
    }
    load_state(&c->state);
    for (unsigned i = 0; i < ORACLE_INSNS + 2 && state->pc != CODE + 4 * c->n_insns; i++) {
        if (run_block(compile, c->n_insns) == TCG_EXIT_EXCEPTION) {
            break;
        }
    }
    save_state(out);
}

/* Comparing. */

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
    { "xststdcsp", L_SKIP, "numbers that are no single: not settled" },
    { "xvcmpg?dp", L_ENABLED, "the black box does not stop at VXVC" }, { "xvcmpg?sp", L_ENABLED, "the black box does not stop at VXVC" },
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
    { "pmxv*", L_VECTOR | L_ENABLED, "FR, FI and FPRF are not altered" }, { "xv*ger*", L_ENABLED, "enabled exceptions" },
    { "denbcd*", L_FPRF, "FPRF stays with a digit that is none" },
    { "bcd*", L_UNDEFINED | L_DECIMAL, "operands that are no numbers" },
    { "bcdcfsq", L_SKIP, "the black box leaves the register where the number is too long" },
    { "bcdus", L_CR6, "the black box takes the last digit for a sign" }, { "bcdutrunc", L_CR6, "the same" },
    { "bcdctsq", L_CR6, "the black box looks at what it has overwritten" }, { "bcdcpsgn", L_CR6, "the same" },
    { "drdpq", L_SKIP, "the black box has the result in the second register" },
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

static bool same_vector(const OracleCase *c, unsigned reg, const uint64_t want[2], const uint64_t got[2], unsigned what)
{
    uint32_t t = first_word(c) >> 21 & 31, xt = t | (first_word(c) & 1) << 5;
    bool is_t = reg == t || reg == t + 32 || reg == xt;

    if (!setup->has_vsx && reg < 32 && want[1] != got[1]) {
        return same_vector(c, reg, (uint64_t[2]){ want[0], got[1] }, got, what);
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

static char *difference(const OracleCase *c, const OracleState *want, const OracleState *got, unsigned what)
{
    GString *text = g_string_new(NULL);
    uint64_t fpscr = 0;

#define FIELD(name, mask)                                                                                                 \
    if ((want->name ^ got->name) & (mask)) {                                                                              \
        g_string_append_printf(text, "  " #name " want %lx got %lx\n", (unsigned long)want->name, (unsigned long)got->name); \
    }
    FIELD(signal, UINT64_MAX)
    FIELD(fault_pc, UINT64_MAX)
    if (want->signal == 8) { /* enabled: FI and FR are zero, numbers out of range are scaled, CR1 is of the outcome */
        what |= L_T | L_COMPARE | L_XX;
    }
    if (what & L_SNAN && !(want->fpscr & got->fpscr & FPSCR_VXIMZ)) {
        what &= ~L_SNAN;
    }
    if (what & L_CONVERT && want->fpscr & FPSCR_VXCVI) {
        what |= L_T;
    }
    if (what & L_DECIMAL && want->cr & got->cr & 0x10 && (got->cr & 0xf0) == 0x10) {
        what |= L_T | L_CR6;
    }
    FIELD(cr, (what & L_CR6 ? ~UINT32_C(0xf0) : UINT32_MAX) & (what & L_DIVISION || (what & L_CR0 && is64()) ? 0x0fffffff : UINT32_MAX) &
              (want->signal == 8 ? ~UINT32_C(0x0f000000) : what & L_FX ? ~UINT32_C(0x08000000) : UINT32_MAX))
    FIELD(xer, setup->is_le ? 0xfffc007f : 0xe000007f)
    FIELD(lr, UINT64_MAX)
    FIELD(ctr, UINT64_MAX)
    FIELD(vscr, setup->has_vec ? 0x10001 : 0) /* the others are reserved */
    FIELD(vrsave, setup->has_vec ? UINT64_MAX : 0)
    fpscr = UINT32_MAX & ~((what & L_FR ? FPSCR_FR : 0) | (what & L_FPRF ? FPSCR_FPRF : 0) |
                           (what & L_ONLY_FI ? FPSCR_FI | (want->fpscr & FPSCR_VXCVI ? FPSCR_FEX : 0) : 0) | (what & L_COMPARE ? FPSCR_FR | FPSCR_FI | FPSCR_C : 0) | (what & L_FX ? FPSCR_FX : 0) |
                           (what & L_CLASS ? FPSCR_C : 0) | (what & L_VECTOR ? FPSCR_FI : 0) | (what & L_VECTOR && want->fpscr & FPSCR_OX ? FPSCR_UX : 0) |
                           (what & L_SNANJ ? FPSCR_VXSNAN | FPSCR_VX : 0) | (what & L_XX ? FPSCR_XX | FPSCR_OX | FPSCR_UX : 0) |
                           (what & L_SNAN ? FPSCR_VXSNAN : 0) | (what & L_NI ? FPSCR_NI : 0) |
                           (what & L_FI ? FPSCR_FR | FPSCR_FI | FPSCR_XX | FPSCR_FX | FPSCR_FEX | FPSCR_UX | FPSCR_OX | FPSCR_ZX : 0));
    FIELD(fpscr, fpscr)
    for (unsigned i = 0; i < 31; i++) {
        if (want->gpr[i] != got->gpr[i] && !(what & L_DIVISION && i == field_t(c->insns[0]))) {
            g_string_append_printf(text, "  r%u want %lx got %lx\n", i, (unsigned long)want->gpr[i], (unsigned long)got->gpr[i]);
        }
    }
    for (unsigned i = 0; i < (setup->has_vec ? 64 : 32); i++) {
        if (!same_vector(c, i, want->vsr[i], got->vsr[i], what)) {
            g_string_append_printf(text, "  vs%u want %016lx %016lx got %016lx %016lx\n", i, (unsigned long)want->vsr[i][0],
                                   (unsigned long)want->vsr[i][1], (unsigned long)got->vsr[i][0], (unsigned long)got->vsr[i][1]);
        }
    }
    for (unsigned i = 0; i < ORACLE_WINDOW; i++) {
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

/* Files. */

static void swap_words(void *words, size_t n)
{
    uint64_t *w = words;

    for (size_t i = 0; i < n && !setup->is_le; i++) {
        w[i] = GUINT64_SWAP_LE_BE(w[i]);
    }
}

static bool write_cases(const char *name, OracleCase *cases, unsigned n)
{
    FILE *f = fopen(name, "wb");
    bool good = f;

    for (unsigned i = 0; good && i < n; i++) {
        OracleCase c = cases[i];

        swap_words(&c, ORACLE_WORDS(OracleCase));
        good = fwrite(&c, sizeof(c), 1, f) == 1;
    }
    return f && fclose(f) == 0 && good;
}

static bool read_results(const char *name, OracleState *results, unsigned n)
{
    FILE *f = fopen(name, "rb");
    size_t got = f ? fread(results, sizeof(*results), n, f) : 0;

    for (size_t i = 0; i < got; i++) {
        swap_words(&results[i], ORACLE_WORDS(OracleState));
    }
    if (f) {
        fclose(f);
    }
    return got == n;
}

static bool shell(const char *format, ...) G_GNUC_PRINTF(1, 2);
static bool shell(const char *format, ...)
{
    g_autofree char *command = NULL;
    int status = 0;
    va_list args;

    va_start(args, format);
    command = g_strdup_vprintf(format, args);
    va_end(args);
    return g_spawn_command_line_sync(command, NULL, NULL, &status, NULL) && status == 0;
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

/* The same of a vector division's elements. */
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

/* How many differ. */
static unsigned compare_all(const OracleCase *cases, const OracleState *results, unsigned n)
{
    unsigned wrong = 0, shown = 0;

    for (unsigned i = 0; i < n; i++) {
        Row *r = &g_array_index(rows, Row, i % rows->len);
        unsigned what = 0;
        OracleState got[2];

        for (unsigned k = cases[i].insns[0] >> 26 == 1; k < cases[i].n_insns; k++) {
            const PpcRow *row = ppc_decode(state->model->isa, k && cases[i].insns[0] >> 26 == 1 ? cases[i].insns[0] : 0, cases[i].insns[k]);

            what |= row ? leniency_of(row->name, &cases[i]) : L_SKIP;
            if (row && is_decimal_float(row)) { /* the black box never clears FI there, and takes no enabled exception */
                what |= L_ONLY_FI | (cases[i].state.fpscr & 0xf8 ? L_SKIP : 0);
            }
        }
        if (what & L_DIVISION && cases[i].n_insns == 1 && !divides_badly(&cases[i])) {
            what &= ~L_DIVISION;
        }
        if (cases[i].n_insns == 1 && (g_str_has_prefix(r->row->name, "vdiv") || g_str_has_prefix(r->row->name, "vmod")) &&
            divides_vectors_badly(r->row->name, &cases[i])) {
            what |= L_T;
        }
        if (cases[i].n_insns == 1 && what & L_COMPRESSED && cases[i].insns[0] & 0x10000) {
            what |= L_T;
        }
        if (cases[i].n_insns > 1 && cases[i].insns[0] >> 26 != 1) {
            what |= what & (L_UNDEFINED | L_DIVISION | L_ESTIMATE | L_ESTIMATE_SINGLES | L_T | L_T_HIGH_WORD | L_FI | L_FPRF | L_T_LOW_DOUBLE | L_CONVERT | L_NEGATED) ? L_SKIP : 0;
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

static void print_coverage(void)
{
    unsigned never = 0;

    for (unsigned i = 0; i < rows->len; i++) {
        const Row *r = &g_array_index(rows, Row, i);

        if (r->wrong || r->illegal * 2 > r->tried) {
            g_print("%-12s tried %u, compared %u, illegal there %u, different %u\n", r->row->name, r->tried, r->same, r->illegal, r->wrong);
        }
        never += r->same == 0;
    }
    g_print("%s: %u rows of the decoder, %u of them never compared\n", setup->model, rows->len, never);
}

static bool choose_setup(const char *model)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(setups); i++) {
        if (!strcmp(setups[i].model, model)) {
            setup = &setups[i];
        }
    }
    return setup;
}

static void start(void)
{
    static const TcgOptions options;

    cpu = cpu_new(&ppc_cpu_type, setup->model, 0, NULL);
    g_assert(cpu);
    state = ppc_state(cpu);
    ir = ir_block_new(ppc_slots, SLOT_COUNT, ppc_helpers, HELPER_COUNT);
    g_assert(tcg_init(&guest_ops(cpu)->tcg, &runtime, &options, NULL));
    for (unsigned i = 0; i < TLB_ENTRIES; i++) {
        uint64_t at = ORACLE_PAGE + (ORACLE_PAGE_SIZE - (TLB_ENTRIES << 12)) + (i << 12);

        tlb_entries[at >> 12 & (TLB_ENTRIES - 1)] = (TlbEntry){ at, (uintptr_t)page - ORACLE_PAGE };
    }
    for (unsigned i = 0; i < JUMP_CACHE_SIZE; i++) {
        jumps[i] = (JumpCacheEntry){ .pc = jump_cache_empty(i) };
    }
    cpu->hot->tlb_mask = (TLB_ENTRIES - 1) * sizeof(TlbEntry);
    cpu->hot->tlb_load = cpu->hot->tlb_store = tlb_entries;
    cpu->hot->jump_cache = jumps;
    engine.load = engine_load;
    engine.store = engine_store;
    engine.probe = engine_probe;
    engine.update_mode = engine_update_mode;
    cpu->type->reset(cpu);
    state->spr[SPR_FSCR] = UINT64_MAX;
    ppc_set_msr(state, MSR_PR | MSR_FP | (setup->has_vec ? MSR_VEC : 0) | (setup->has_vsx ? MSR_VSX : 0) |
                           (setup->is_le ? MSR_LE : 0) | (is64() ? MSR_SF : 0) | MSR_FE0 | MSR_FE1);
}

int main(int argc, char **argv)
{
    g_autofree char *dir = g_dir_make_tmp("ppc-oracle-XXXXXX", NULL), *compiler = NULL, *emulator = NULL;
    unsigned n = argc > 3 ? strtoul(argv[3], NULL, 0) : 20000, wrong;
    OracleState *results;
    OracleCase *cases;

    if (argc < 3 || !choose_setup(argv[1])) {
        g_printerr("test-ppc-oracle MODEL RUNNER-SOURCE [CASES [SEED]]\n");
        return 2;
    }
    compiler = g_find_program_in_path(setup->compiler);
    emulator = g_find_program_in_path(setup->emulator);
    if (!compiler || !emulator) {
        g_print("SKIP: no %s\n", compiler ? setup->emulator : setup->compiler);
        return 77;
    }
    if (argc > 4) {
        seed += strtoull(argv[4], NULL, 0) * UINT64_C(0xda942042e4dd58b5);
    }
    start();
    collect_rows();
    cases = g_new(OracleCase, n);
    results = g_new(OracleState, n);
    for (unsigned i = 0; i < n; i++) {
        make_case(&cases[i], i);
    }
    g_autofree char *program = g_strdup_printf("%s/runner", dir), *in = g_strdup_printf("%s/cases", dir),
                    *out = g_strdup_printf("%s/results", dir);

    g_assert(shell("%s -O1 -static -no-pie -Wa,-many -Wl,--no-warn-rwx-segments -mno-vsx -mno-altivec %s -o %s %s", compiler,
                   setup->flags, program, argv[2]));
    g_assert(write_cases(in, cases, n));
    g_assert(shell("%s -cpu %s %s %s %s", emulator, setup->emulated, program, in, out));
    g_assert(read_results(out, results, n));
    wrong = compare_all(cases, results, n);
    print_coverage();
    g_print("%u cases, %u different\n", n, wrong);
    shell("rm -r %s", dir);
    /* The black box has faults of its own in rare corners (UE and OE enabled, round to odd), which are no failure. */
    return wrong > n / 500;
}
