/*
 * Jumps, calls and returns in all directions within a page, also returns to where nobody called from: what registers have in the end is what a
 * few lines here say. With `sites=all` all blocks are hot, so they go through loops (target/ppc/unroll.c).
 */
#include "tests/target/ppc/rig.h"

#include "core/lock.h"
#include "util/bits.h"

#include <inttypes.h>

enum { WORDS = 120, PROGRAMS = 1500, FIRST = 3, LINK = 7, TRIPS = 200, REGS = 8 };

typedef enum Kind { K_ADDI, K_ADD, K_CMP, K_BRANCH, K_CALL, K_IF, K_RETURN, K_RETURN_IF, K_TO_LINK, K_FROM_LINK, K_COUNT, KINDS } Kind;

typedef struct Insn {
    Kind kind;
    unsigned t, a, b;
    int imm, target; /* target: index of a word */
    bool yes;
} Insn;

typedef struct Registers {
    uint64_t gpr[REGS], lr, ctr;
    bool less;
} Registers;

/* Where the code runs: memory is there a second time, as a library is in two processes. */
static uint64_t base = RIG_CODE;
enum { SECOND = 0x10000000 };

/* Backward branches, and returns, count down before, so that all programs end. */
static void make(GRand *rand, Insn *code)
{
    for (int i = 0; i < WORDS; i++) {
        Insn *in = &code[i];

        *in = (Insn){ .kind = g_rand_int_range(rand, 0, KINDS),
                      .t = g_rand_int_range(rand, FIRST, LINK),
                      .a = g_rand_int_range(rand, FIRST, LINK),
                      .b = g_rand_int_range(rand, FIRST, LINK),
                      .imm = g_rand_int_range(rand, -300, 300),
                      .target = g_rand_int_range(rand, 0, WORDS),
                      .yes = g_rand_boolean(rand) };
        if (in->kind >= K_BRANCH && in->kind <= K_RETURN_IF) {
            if (i == 0 || code[i - 1].kind != K_COUNT) {
                in->kind = K_COUNT;
            }
        }
    }
    /* Nobody comes to a branch but by its count. */
    for (int i = 0; i < WORDS; i++) {
        Kind kind = code[code[i].target].kind;

        if (kind >= K_BRANCH && kind <= K_RETURN_IF) {
            code[i].target--;
        }
    }
}

static uint32_t word_of(const Insn *in, int i)
{
    int distance = 4 * (in->target - i);

    switch (in->kind) {
    case K_ADDI: return ADDI(in->t, in->a, in->imm);
    case K_ADD: return ADD(in->t, in->a, in->b);
    case K_CMP: return D_(11, 0, in->a, in->imm); /* cmpwi */
    case K_BRANCH: return B(distance);
    case K_CALL: return B(distance) | 1;
    case K_IF: return BC(in->yes ? 12 : 4, 0, distance);
    case K_RETURN: return BLR;
    case K_RETURN_IF: return 0x4c000020u | (in->yes ? 12u : 4u) << 21;
    case K_TO_LINK: return MTSPR(8, LINK);
    case K_FROM_LINK: return MFSPR(LINK, 8);
    default: return BC(18, 0, 4 * (WORDS - i)); /* bdz, to the end */
    }
}

static void run(const Insn *code, Registers *r, uint64_t mask)
{
    for (int i = 0; i < WORDS;) {
        const Insn *in = &code[i++];

        switch (in->kind) {
        case K_ADDI: r->gpr[in->t] = (r->gpr[in->a] + (uint64_t)in->imm) & mask; break;
        case K_ADD: r->gpr[in->t] = (r->gpr[in->a] + r->gpr[in->b]) & mask; break;
        case K_CMP: r->less = (int32_t)r->gpr[in->a] < in->imm; break;
        case K_CALL: r->lr = base + 4 * (uint64_t)i; /* fall through */
        case K_BRANCH: i = in->target; break;
        case K_IF: i = r->less == in->yes ? in->target : i; break;
        case K_RETURN_IF:
            if (r->less != in->yes) {
                break;
            } /* fall through */
        case K_RETURN: i = (r->lr - base) / 4; break;
        case K_TO_LINK: r->lr = r->gpr[LINK]; break;
        case K_FROM_LINK: r->gpr[LINK] = r->lr; break;
        default: i = --r->ctr == 0 ? WORDS : i; break;
        }
    }
}

static void check(const Insn *code, const char *what, uint64_t msr)
{
    uint64_t mask = ppc_is_64bit(rig_cpu) ? UINT64_MAX : UINT32_MAX;
    Registers want = { .lr = base + 4 * WORDS, .ctr = TRIPS };

    ppc_set_msr(rig_state, msr | (ppc_is_64bit(rig_cpu) ? MSR_SF : 0));
    for (unsigned i = FIRST; i < REGS; i++) {
        want.gpr[i] = rig_state->gpr[i] = i == LINK ? want.lr : 1000 * i;
    }
    rig_state->lr = want.lr;
    rig_state->ctr = want.ctr;
    rig_state->cr[0] = 4;
    run(code, &want, mask);
    rig_run(base);
    for (unsigned i = FIRST; i < REGS; i++) {
        if (rig_state->gpr[i] != want.gpr[i]) {
            g_error("%s: r%u is %" PRIx64 ", not %" PRIx64, what, i, rig_state->gpr[i], want.gpr[i]);
        }
    }
    g_assert_cmphex(rig_state->lr, ==, want.lr);
    g_assert_cmphex(rig_state->ctr, ==, want.ctr);
}

static GRand *seeded(unsigned *seed)
{
    const char *wanted = g_getenv("MYNA_SEED");

    *seed = wanted ? strtoul(wanted, NULL, 0) : g_test_rand_int();
    g_test_message("MYNA_SEED=%u", *seed);
    return g_rand_new_with_seed(*seed);
}

static void put_program(GRand *rand, Insn *code)
{
    uint32_t words[WORDS + 1];

    make(rand, code);
    for (int i = 0; i < WORDS; i++) {
        words[i] = word_of(&code[i], i);
    }
    words[WORDS] = RIG_END;
    rig_words(RIG_CODE, words, WORDS + 1);
}

static void programs_do_what_they_say(void)
{
    unsigned seed;
    GRand *rand = seeded(&seed);

    for (unsigned n = 0; n < PROGRAMS; n++) {
        g_autofree char *what = g_strdup_printf("program %u of seed %u", n, seed);
        Insn code[WORDS];

        rig_reset(0);
        put_program(rand, code);
        check(code, what, 0);
    }
    g_rand_free(rand);
}

/* Stores change one instruction after another: every block that has it is made anew, wherever in the block it is. */
static void changed_programs_do_what_they_say(void)
{
    enum { WRITER = 0x30000, CHANGES = 6 };
    static const uint32_t writer[] = { STW(5, 0, 7), RIG_END };
    unsigned seed;
    GRand *rand = seeded(&seed);

    for (unsigned n = 0; n < PROGRAMS / 4; n++) {
        g_autofree char *what = g_strdup_printf("changed program %u of seed %u", n, seed);
        Insn code[WORDS];

        rig_reset(0);
        put_program(rand, code);
        rig_words(WRITER, writer, G_N_ELEMENTS(writer));
        check(code, what, 0);
        for (unsigned i = 0; i < CHANGES;) {
            unsigned k = g_rand_int_range(rand, 0, WORDS);

            if (code[k].kind > K_CMP) {
                continue;
            }
            code[k].kind = g_rand_int_range(rand, 0, K_CMP + 1);
            code[k].t = g_rand_int_range(rand, FIRST, LINK);
            code[k].imm ^= 1 << g_rand_int_range(rand, 0, 8);
            rig_state->gpr[5] = word_of(&code[k], (int)k);
            rig_state->gpr[7] = RIG_CODE + 4 * k;
            rig_run(WRITER);
            check(code, what, 0);
            i++;
        }
    }
    g_rand_free(rand);
}

/* Of processes at two addresses: blocks are position-independent then. */
static void programs_run_at_two_addresses(void)
{
    static const uint32_t end[] = { RIG_END };
    unsigned seed;
    GRand *rand = seeded(&seed);
    Region *again;

    machine_lock();
    again = region_new_alias("again", rig_region, 0, RIG_RAM);
    region_add(memory_system_root(), SECOND, again);
    machine_unlock();
    for (unsigned n = 0; n < PROGRAMS / 4; n++) {
        g_autofree char *what = g_strdup_printf("process %u of seed %u", n, seed);
        Insn code[WORDS];

        rig_reset(0);
        put_program(rand, code);
        rig_words(0x700, end, 1); /* which problem state must not use */
        for (unsigned i = 0; i < 4; i++) {
            base = RIG_CODE + (i & 1 ? SECOND : 0);
            check(code, what, MSR_PR);
        }
        base = RIG_CODE;
    }
    g_rand_free(rand);
}

enum { LAST_PAGE = 0xfffff000 };

/* Memory there, once; NULL: addresses are larger. */
static uint8_t *last_page(void)
{
    static Region *top;
    g_autoptr(GError) error = NULL;

    if (ppc_is_64bit(rig_cpu)) {
        g_test_skip("of 32-bit addresses");
        return NULL;
    }
    if (!top) {
        machine_lock();
        top = region_new_ram("top", GUEST_PAGE_SIZE, &error);
        g_assert_no_error(error);
        region_add(memory_system_root(), LAST_PAGE, top);
        machine_unlock();
    }
    rig_reset(0);
    return region_host(top);
}

/* A block that ends with the last instruction there is, behind which comes address 0, is made anew when that is written. */
static void the_last_word_is_written(void)
{
    enum { BEFORE = GUEST_PAGE_SIZE - 8 };
    static const uint32_t end[] = { RIG_END }, store[] = { STW(5, -4, 0), B(-8 - RIG_CODE - 4) };
    uint8_t *last = last_page();

    if (!last) {
        return;
    }
    last += BEFORE;
    store_be32(last, ADDI(3, 3, 1));
    store_be32(last + 4, ADDI(3, 3, 2));
    rig_words(0, end, 1);
    rig_state->gpr[3] = 0;
    rig_run(LAST_PAGE + BEFORE);
    g_assert_cmphex(rig_state->gpr[3], ==, 3);
    rig_words(RIG_CODE, store, 2);
    rig_state->gpr[5] = ADDI(3, 3, 16);
    rig_run(RIG_CODE);
    g_assert_cmphex(load_be32(last + 4), ==, ADDI(3, 3, 16));
    g_assert_cmphex(rig_state->gpr[3], ==, 3 + 1 + 16);
}

/* The same of the branch of a loop, through which a hot block goes several times, until it has too many branches and ends within the loop. */
static void the_last_branch_is_written(void)
{
    enum { INSNS = 9, BEFORE = GUEST_PAGE_SIZE - 4 * INSNS, ROUNDS = 4, NEVER = BC(12, 6, -64) };
    static const uint32_t end[] = { RIG_END };
    static const uint32_t code[] = { LI(4, ROUNDS), ADDI(3, 3, 1), NEVER, NEVER, NEVER, NEVER, NEVER, D_(13, 4, 4, -1) /* addic. */, BC(4, 2, -28) };
    static const uint32_t store[] = { STW(5, -4, 0), B(-4 * INSNS - RIG_CODE - 4) };
    uint8_t *last = last_page();

    if (!last) {
        return;
    }
    for (unsigned i = 0; i < INSNS; i++) {
        store_be32(last + BEFORE + 4 * i, code[i]);
    }
    rig_words(0, end, 1);
    rig_words(RIG_CODE, store, 2);
    for (unsigned n = 0; n < 4; n++) {
        rig_state->gpr[3] = 0;
        rig_run(LAST_PAGE + BEFORE);
        g_assert_cmpint(rig_state->gpr[3], ==, ROUNDS);
    }
    rig_state->gpr[5] = ADDI(3, 3, 16);
    rig_state->gpr[3] = 0;
    rig_run(RIG_CODE);
    g_assert_cmpint(rig_state->gpr[3], ==, 1 + 16);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_start(argc > 1 ? argv[1] : "7400");
    g_test_add_func("/ppc/branches", programs_do_what_they_say);
    g_test_add_func("/ppc/branches/changed", changed_programs_do_what_they_say);
    g_test_add_func("/ppc/branches/two-addresses", programs_run_at_two_addresses);
    g_test_add_func("/ppc/branches/last-word", the_last_word_is_written);
    g_test_add_func("/ppc/branches/last-branch", the_last_branch_is_written);
    return g_test_run();
}
