/*
 * Makes random loops of PowerPC code out of the decoder's rows: accesses at a few pointers,
 * operations of all kinds, inner loops, branches, calls, and stores to their own code. They end,
 * whatever values they work on.
 */
#include "tests/target/ppc/loops.h"

#include "target/ppc/insns.h"
#include "tests/random.h"

#include <string.h>

uint64_t random_state = 1;

uint64_t random_next(void)
{
    return random_step(&random_state);
}

unsigned below(unsigned n)
{
    return (random_next() >> 32) * n >> 32;
}

/* ---- rows ---- */

typedef enum Class { OF_INTEGERS, OF_NUMBERS, OF_VECTORS, RARE, INTEGER_ACCESS, OTHER_ACCESS, CLASSES } Class;

static GPtrArray *rows[CLASSES];

/* What enters the system, leaves the loop, has to do with time or chance, or is here in a way of
 * its own. */
static bool is_excluded(const PpcRow *row)
{
    static const char *const names[] = { "darn",  "copy",  "paste.", "cp_abort", "eciwx", "ecowx", "lscbx",
                                         "mtspr", "mfspr", "lwat",   "ldat",    "stwat", "stdat" };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(row->name, names[i])) {
            return true;
        }
    }
    return row->attr & (A_PRIV | A_HV | A_SPE) || !row->emit || (row->isa != ISA_ALL && !ppc_isa(rig_state, row->isa));
}

static bool is_access(const PpcRow *row)
{
    const char *name = row->attr & A_PREFIXED && row->name[0] == 'p' ? row->name + 1 : row->name;
    unsigned op = row->match >> 26;

    return (op == 31 && ((name[0] == 'l' && strncmp(name, "lvs", 3)) || !strncmp(name, "st", 2) || !strcmp(name, "dcbz"))) ||
           (op != 31 && (!strncmp(name, "st", 2) || (name[0] == 'l' && strcmp(name, "lnia"))));
}

static void add_rows(const PpcRow *row, Class class)
{
    for (; row->name; row++) {
        if (!is_excluded(row)) {
            Class real = !is_access(row) ? class : class == OF_INTEGERS ? INTEGER_ACCESS : OTHER_ACCESS;

            g_ptr_array_add(rows[real], (void *)row);
        }
    }
}

static void collect_rows(void)
{
    for (unsigned i = 0; i < CLASSES; i++) {
        rows[i] = g_ptr_array_new();
    }
    for (unsigned i = 0; i < 3; i++) {
        add_rows(ppc_rows_integer, OF_INTEGERS);
        add_rows(ppc_rows_logic, OF_INTEGERS);
    }
    add_rows(ppc_rows_cr, OF_INTEGERS);
    add_rows(ppc_rows_memory, OF_INTEGERS);
    add_rows(ppc_rows_fp, OF_NUMBERS);
    add_rows(ppc_rows_fp_memory, OF_NUMBERS);
    add_rows(ppc_rows_altivec, OF_VECTORS);
    add_rows(ppc_rows_vsx, OF_VECTORS);
    add_rows(ppc_rows_dfp, RARE);
    add_rows(ppc_rows_mma, RARE);
    add_rows(ppc_rows_vsx_prefixed, RARE);
    add_rows(ppc_rows_cache, RARE);
}

/* ---- words ---- */

static Loop *loop;
static uint64_t mode;
static bool ctr_is_free, in_inner, in_function, is_everyday; /* is_everyday: what the host does, nothing that C does */
static int walker;                                           /* a pointer that the inner loop steps, or 0 */
static unsigned to_end[32], n_to_end, calls[16], n_calls, patched[16], n_patched;

static unsigned put(uint32_t word)
{
    loop->words[loop->n] = word;
    return loop->n++;
}

static bool is_le(void)
{
    return mode & MSR_LE;
}

static unsigned value_register(void)
{
    static const uint8_t all[] = { 0, 1, 2, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };

    return all[below(3) ? 4 + below(8) : below(sizeof(all))];
}

static unsigned pointer(void)
{
    return POINTER + below(below(2) ? 2 : POINTERS);
}

/* Keeps the field from naming a register with a use. */
static uint32_t spare(uint32_t word, unsigned shift)
{
    unsigned reg = word >> shift & 31;

    return reg >= POINTER && reg <= CODE_BASE ? (word & ~(31u << shift)) | value_register() << shift : word;
}

static int distance(bool updates)
{
    switch (updates ? below(4) : below(8)) {
    case 0: return 8;
    case 1: return -8;
    case 2: return ((int)below(9) - 4) * 4;
    case 3: return ((int)below(9) - 4) * 16;
    case 4: return (int)below(600) - 300;
    default: return ((int)below(33) - 16) * 8;
    }
}

static bool begins(const char *name, const char *with)
{
    return !strncmp(name, with, strlen(with));
}

/* Which registers an integer access may load or store, by what else it has of them. */
static unsigned access_register(const char *name)
{
    return begins(name, "lmw") || begins(name, "stmw")                                                ? 14 + below(18)
           : begins(name, "lsw") || begins(name, "stsw")                                              ? 14 + below(10)
           : begins(name, "lq") || begins(name, "stq") || begins(name, "plq") || begins(name, "pstq") ? 14 + 2 * below(8)
                                                                                                      : value_register();
}

static bool is_refused(const char *name) /* in little-endian mode: an interrupt */
{
    return is_le() && (begins(name, "lmw") || begins(name, "stmw") || begins(name, "lsw") || begins(name, "stsw"));
}

/* Of numbers and vectors: mostly such as others read and write, too. */
static uint32_t few_registers(const PpcRow *row, uint32_t word)
{
    uint32_t high = (24u << 21 | 24u << 16 | 24u << 11) & ~row->mask;

    return below(3) ? word & ~high : word;
}

static const PpcRow *access_row(const GPtrArray *class)
{
    static const char everyday[] =
        " lwz stw lbz lhz sth ld std lwzu stwu ldu stdu lwzx lwbrx lfd stfd lfdu stfdu lfdx lfs stfs lxv stxv lxvd2x stxvd2x lvx stvx ";
    const PpcRow *row;
    char name[32];

    do {
        row = g_ptr_array_index(class, below(class->len));
        g_snprintf(name, sizeof(name), " %s ", row->name);
    } while (is_everyday && !strstr(everyday, name));
    return row;
}

static bool by_pc(const PpcRow *row)
{
    return row->prefix_match >> 20 & 1;
}

static void access_memory(void)
{
    bool integer = below(2) == 0;
    const PpcRow *row = access_row(rows[integer ? INTEGER_ACCESS : OTHER_ACCESS]);
    uint32_t word = row->match | ((uint32_t)random_next() & ~row->mask), prefix = 0;
    bool indexed = row->match >> 26 == 31, updates = strchr(row->name + 1, 'u') && !begins(row->name, "pl");
    unsigned ra = pointer();

    if (row->attr & A_PREFIXED && by_pc(row)) {
        return; /* the loop would be written over with anything */
    }
    if (is_refused(row->name) || (strstr(row->name, "arx") && below(6)) || (strstr(row->name, "cx.") && below(6))) {
        return; /* reservations at any address are mostly alignment interrupts */
    }
    if (walker && !updates && below(3)) {
        ra = walker;
    }
    if (integer && strcmp(row->name, "dcbz")) {
        word = (word & ~(31u << 21)) | access_register(row->name) << 21;
    } else if (!integer) {
        word = few_registers(row, word);
    }
    word = (word & ~(31u << 16)) | ra << 16;
    if (indexed) {
        if (!(row->mask >> 11 & 31) && !begins(row->name, "lswi") && !begins(row->name, "stswi")) {
            word = (word & ~(31u << 11)) | (INDEX + below(INDICES)) << 11;
        }
        word &= ~1u | row->mask | row->match;
    } else {
        int by = distance(updates);

        word = (word & ~(0xffffu & ~row->mask)) | ((uint32_t)by & 0xffff & ~row->mask);
        prefix = row->attr & A_PREFIXED ? row->prefix_match | (by < 0 ? 0x3ffff : 0) : 0;
    }
    if (prefix) {
        put(prefix);
    }
    put(word);
}

/* Leaves FPRF undefined; an engine may show an older one. */
static bool is_conversion(const PpcRow *row)
{
    return begins(row->name, "fcti") || g_pattern_match_simple("xscvdp?x?s", row->name) || g_pattern_match_simple("xscvqp??z", row->name);
}

static void operation(void)
{
    Class class = below(40) == 0 ? RARE : (Class)below(3);
    const PpcRow *row;
    uint32_t word;

    if (rows[class]->len == 0) {
        class = OF_INTEGERS;
    }
    row = g_ptr_array_index(rows[class], below(rows[class]->len));
    if (loop->has_conversions ? begins(row->name, "mff") || begins(row->name, "mcrfs") : is_conversion(row)) {
        return;
    }
    word = row->match | ((uint32_t)random_next() & ~row->mask);
    if (class != OF_INTEGERS) {
        word = few_registers(row, word);
    }
    if (begins(row->name, "tw") || begins(row->name, "td")) {
        word = below(60) ? (word & ~(31u << 21)) : word;
    }
    if (begins(row->name, "mtfsb") && below(4)) {
        return; /* exceptions become enabled, numbers rounded otherwise */
    }
    if ((class != OF_NUMBERS || row->match >> 26 == 31) && (strncmp(row->name, "cmp", 3) || !strcmp(row->name, "cmpb")) && strncmp(row->name, "cr", 2)) {
        word = spare(spare(word, 21), 16);
    }
    if (row->attr & A_PREFIXED) {
        put(row->prefix_match | ((uint32_t)random_next() & ~row->prefix_mask & 0x3ffff));
    }
    put(word);
}

static void plain_vector(void)
{
    static const uint8_t vsx[] = { 96, 104, 112, 97, 154, 130, 146 };    /* xvadddp, xvsubdp, xvmuldp, xvmaddadp, xxlxor, xxland, xxlor */
    static const uint16_t altivec[] = { 10, 74, 128, 1028, 1156, 1220 }; /* vaddfp, vsubfp, vadduwm, vand, vor, vxor */
    uint32_t registers = below(8) << 21 | below(8) << 16 | below(8) << 11;

    if (mode & MSR_VSX && below(3)) {
        put(60u << 26 | registers | (uint32_t)vsx[below(sizeof(vsx))] << 3);
    } else if (mode & MSR_VEC) {
        put(4u << 26 | registers | altivec[below(G_N_ELEMENTS(altivec))]);
    }
}

/* Everyday code, which rows at random seldom make. */
static void plain(void)
{
    static const uint16_t singles[] = { 21, 20, 25, 18, 29, 28, 31, 30 };
    unsigned t = value_register(), a = value_register(), b = value_register(), f = below(8), xo = singles[below(8)];

    switch (below(10)) {
    case 0:
        if (n_patched < G_N_ELEMENTS(patched) && !in_inner) {
            patched[n_patched++] = loop->n;
        }
        put(ADDI(t, a ? a : 14, (int)below(200) - 100));
        break;
    case 1: put(ADD(t, a, b)); break;
    case 2: put(D_(21, a, t, (random_next() & 0xfffe) | below(2))); break; /* rlwinm[.] */
    case 3: put(D_(11, below(8) << 2, a, (int)below(9) - 4)); break;       /* cmpwi */
    case 4: put(X_(31, below(8) << 2, a, b, below(2) ? 0 : 32)); break;    /* cmpw, cmplw */
    case 5: put(D_(28, a, t, 0xff)); break;                                /* andi. */
    case 6: plain_vector(); break;
    default: /* floating point as compilers make it */
        put(X_(below(4) ? 63 : 59, f, below(8), xo == 25 ? 0 : below(8), xo) | (xo >= 25 ? below(8) << 6 : 0));
    }
}

/* Index registers and pointers get values that were computed, within bounds. */
static void move_address(void)
{
    unsigned from = value_register();

    switch (below(4)) {
    case 0:
        put(D_(28, from, INDEX + below(INDICES), below(2) ? 0x3f8 : 0x3fc)); /* andi. */
        break;
    case 1: put(LI(INDEX + below(INDICES), ((int)below(40) - 20) * 8)); break;
    case 2: put(ADDI(pointer(), pointer(), ((int)below(9) - 4) * 8)); break;
    default: { /* one of two that lie near */
        unsigned to = pointer();

        put(D_(21, from, from, (29 << 11 | 28 << 6 | 28 << 1))); /* rlwinm: 0 or 8 */
        put(ADD(to, to, from));
    }
    }
}

static void several(unsigned n);

static void patch_to(unsigned at, unsigned to)
{
    loop->words[at] |= 4 * (to - at) & 0xfffc;
}

static uint32_t random_condition(void)
{
    return BC(below(2) ? 12 : 4, below(32), 0);
}

static void branch_over(void)
{
    unsigned at;

    if (below(2)) {
        put(D_(below(2) ? 11 : 10, 0, value_register(), (int)below(5) - 2));
        at = put(BC(below(2) ? 12 : 4, below(3), 0));
    } else {
        at = put(below(6) ? random_condition() : B(0));
    }
    several(1 + below(4));
    if (loop->words[at] >> 26 == 18) {
        loop->words[at] = B(4 * (loop->n - at));
    } else {
        patch_to(at, loop->n);
    }
}

static void leave(void)
{
    if (n_to_end < G_N_ELEMENTS(to_end) && !in_function && below(2)) {
        put(D_(11, 0, OUTER, below(LONGEST_TRIP)));
        to_end[n_to_end++] = put(BC(12, 2, 0));
    }
}

static void call(void)
{
    if (n_calls < G_N_ELEMENTS(calls) && !in_function) {
        calls[n_calls++] = put(B(0) | 1);
        put(ADDI(14 + below(8), 14 + below(8), 1)); /* some functions return behind it */
    }
}

/* Changes an immediate of an `addi` that may be anywhere in the loop. */
static void change_code(void)
{
    unsigned reg = 20 + below(4), at, index = INDEX + 1;

    if (n_patched == 0 || in_inner) {
        return;
    }
    at = patched[below(n_patched)];
    put(LWZ(reg, 4 * at, CODE_BASE));
    put(D_(26, reg, reg, 1 + below(15))); /* xori */
    put(STW(reg, 4 * at, CODE_BASE));
    if (below(2)) {
        put(LI(index, 4 * at));
        put(X_(31, 0, CODE_BASE, index, 54)); /* dcbst */
        put(X_(31, 0, 0, 0, 598));
        put(X_(31, 0, CODE_BASE, index, 982)); /* icbi */
        put(X_(31, 0, 0, 0, 598));
        put(ISYNC);
    }
}

static void special(void)
{
    unsigned reg = value_register();

    switch (below(6)) {
    case 0: put(MFSPR(reg, 1)); break;
    case 1: /* the string count stays */
        put(MFSPR(24, 1));
        put(D_(20, reg, 24, 0 << 11 | 0 << 6 | 2 << 1)); /* rlwimi */
        put(MTSPR(1, 24));
        break;
    case 2: put(MFSPR(reg, ctr_is_free ? 9 : 8)); break;
    case 3:
        if (ctr_is_free && !in_inner && !in_function) { /* which may be called from a loop that counts there */
            put(MTSPR(9, reg));
        }
        break;
    case 4:
        if (!loop->has_conversions) {
            put(X_(63, below(12), 0, 0, 583)); /* mffs */
        }
        break;
    default: put(X_(31, reg, 0, 0, 19)); /* mfcr */
    }
}

static void inner_loop(void)
{
    enum { LONG = 20 };
    unsigned trips = below(5) ? 1 + below(6) : 1 + below(LONG), begin, field = below(3) ? 0 : below(8), step = 1 + below(2) * 7, form;
    bool wide = mode & MSR_SF && below(2);

    if (in_inner || in_function) {
        return;
    }
    in_inner = true;
    form = below(ctr_is_free ? 6 : 5);
    switch (form) {
    case 0:
    case 1: put(LI(INNER, trips)); break;
    case 2:
    case 3:
        put(LI(INNER, 0));
        put(LI(LIMIT, trips * step));
        break;
    case 4:
        put(ADDI(INNER, pointer(), 0));
        put(ADDI(LIMIT, INNER, trips * step * 8));
        walker = INNER;
        break;
    default: put(LI(INNER, trips)); put(MTSPR(9, INNER));
    }
    begin = loop->n;
    several(1 + below(8));
    switch (form) {
    case 0:
        put(ADDI(INNER, INNER, -1));
        put(D_(below(2) ? 11 : 10, field << 2 | wide, INNER, 0));
        put(BC(4, 4 * field + 2, 0));
        break;
    case 1:
        put(D_(13, INNER, INNER, -1)); /* addic. */
        put(below(2) ? BC(4, 2, 0) : BC(12, 1, 0));
        break;
    case 2:
        put(ADDI(INNER, INNER, step));
        put(D_(below(2) ? 11 : 10, field << 2 | wide, INNER, trips * step));
        put(below(2) ? BC(4, 4 * field + 2, 0) : BC(12, 4 * field, 0));
        break;
    case 3:
    case 4:
        put(ADDI(INNER, INNER, form == 3 ? step : 8 * step));
        put(X_(31, field << 2 | wide, INNER, LIMIT, below(2) ? 32 : 0));
        put(below(2) ? BC(4, 4 * field + 2, 0) : BC(12, 4 * field, 0));
        break;
    default: put(BC(16, 0, 0));
    }
    patch_to(loop->n - 1, begin);
    walker = 0;
    in_inner = false;
}

static void several(unsigned n)
{
    while (n--) {
        if (loop->n > MOST_WORDS - 200) {
            return;
        }
        switch (below(32)) {
        case 0:
        case 1: branch_over(); break;
        case 2: leave(); break;
        case 3: call(); break;
        case 4: inner_loop(); break;
        case 5: special(); break;
        case 6: move_address(); break;
        case 7:
            if (below(3) == 0) {
                change_code();
            }
            break;
        case 8:
        case 9:
        case 10:
        case 11:
        case 12: is_everyday ? plain() : operation(); break;
        case 13:
        case 14:
        case 15:
        case 16:
        case 17:
        case 18: plain(); break;
        default: access_memory();
        }
    }
}

/* Accesses at one pointer in a row, as for the fields of a struct. */
static void body(void)
{
    unsigned n = 2 + below(below(4) ? 20 : 60);

    several(n);
    if (below(3) == 0) {
        inner_loop();
    }
}

static void functions(void)
{
    for (unsigned i = 0; i < n_calls; i++) {
        unsigned at = calls[i];

        if (i == 0 || below(3) == 0) {
            in_function = true;
            for (; i < n_calls && (at == calls[i] || below(2)); i++) {
                loop->words[calls[i]] = (B(4 * (loop->n - calls[i]))) | 1;
            }
            i--;
            several(1 + below(5));
            if (below(3) == 0) {
                put(0x4c000020 | (below(2) ? 12u : 4u) << 21 | below(32) << 16); /* bclr */
                several(1 + below(3));
            }
            if (below(3) == 0) { /* not to where they were called from, sometimes */
                put(MFSPR(22, 8));
                put(D_(21, 14 + below(8), 23, 0 << 11 | 29 << 6 | 29 << 1)); /* rlwinm: 0 or 4 */
                put(ADD(22, 22, 23));
                put(MTSPR(8, 22));
            }
            put(BLR);
            in_function = false;
        } else {
            loop->words[at] = X_(24, 0, 0, 0, 0); /* nop */
        }
    }
}

void loop_make(Loop *l, uint64_t at, uint64_t msr)
{
    unsigned begin, trips = below(4) ? 2 + below(8) : 1 + below(LONGEST_TRIP), form = below(4);

    if (!rows[0]) {
        collect_rows();
    }
    loop = l;
    mode = msr;
    loop->n = n_to_end = n_calls = n_patched = 0;
    walker = 0;
    in_inner = in_function = false;
    ctr_is_free = form != 0;
    loop->has_conversions = below(3) == 0;
    is_everyday = below(3) == 0;
    loop->ctr = ctr_is_free ? random_next() : trips;
    put(LI(OUTER, trips));
    begin = loop->n;
    body();
    switch (form) {
    case 0:
        put(ADDI(OUTER, OUTER, -1));
        put(below(2) ? BC(16, 0, 0) : B(0));
        if (loop->words[loop->n - 1] >> 26 == 18) { /* too far for some: bdz over a jump */
            loop->words[loop->n - 1] = BC(18, 0, 8);
            put(B(4 * ((int)begin - (int)loop->n)));
        } else {
            patch_to(loop->n - 1, begin);
        }
        break;
    case 1:
        put(D_(13, OUTER, OUTER, -1));
        patch_to(put(BC(12, 1, 0)), begin);
        break;
    default:
        put(ADDI(OUTER, OUTER, -1));
        put(D_(11, form << 2, OUTER, 0));
        patch_to(put(BC(4, 4 * form + 2, 0)), begin);
    }
    for (unsigned i = 0; i < n_to_end; i++) {
        patch_to(to_end[i], loop->n);
    }
    put(RIG_END);
    functions();
}
