/*
 * The e500's SPE and embedded floating point: one image of code and data, run by Debian's qemu-ppc as a black box and by the
 * translator; registers, CR and memory are compared.
 *
 * test-spe-oracle RUNNER-SOURCE [SEED [ROW]]. Left out: what the black box does not have (most products of half words), and floating
 * point other than with normal numbers, which it computes as IEEE 754 says and the e500 does not.
 */
#include "target/ppc/insns.h"
#include "tests/target/ppc/rig.h"
#include "util/bits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { IMAGE_SIZE = 0x800000, DATA = 0x400000, CASE = 64, EACH = 60, BASE = 0x100000 };
enum { AT_A = 0, AT_B = 8, AT_D = 16, AT_MEMORY = 24, AT_SPEFSCR = 40, AT_CR = 44 };

#define EVLDD(rt, d, ra)  (4u << 26 | (rt) << 21 | (ra) << 16 | (d) / 8 << 11 | 769)
#define EVSTDD(rt, d, ra) (4u << 26 | (rt) << 21 | (ra) << 16 | (d) / 8 << 11 | 801)
#define MFCR(rt)          X_(31, rt, 0, 0, 19)
#define MTCR(rs)          (X_(31, rs, 0, 0, 144) | 0xff000)

static uint8_t image[IMAGE_SIZE];
static uint32_t at_code;
static unsigned n_cases;
static const PpcRow *rows[IMAGE_SIZE / CASE];
static uint32_t words[IMAGE_SIZE / CASE];
static uint64_t seed;

static uint32_t random32(void)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return seed >> 32;
}

static void put(uint32_t word)
{
    store_be32(image + at_code, word);
    at_code += 4;
}

static bool is_float(const PpcRow *row)
{
    return g_str_has_prefix(row->name, "ef") || g_str_has_prefix(row->name, "evfs");
}

static bool is_double(const PpcRow *row)
{
    return (g_str_has_prefix(row->name, "efd") && !g_str_equal(row->name, "efdcfs")) || g_str_equal(row->name, "efscfd");
}

static bool from_integer(const PpcRow *row)
{
    const char *cf = strstr(row->name, "cf");

    return cf && (cf[2] == 'u' || cf[2] == 's') && (cf[3] == 'i' || cf[3] == 'f');
}

static bool is_memory(const PpcRow *row)
{
    return g_str_has_prefix(row->name, "evl") || g_str_has_prefix(row->name, "evst");
}

static bool is_comparison(const PpcRow *row)
{
    return strstr(row->name, "cmp") || strstr(row->name, "tst");
}

/* Of rA alone: rB is 0 in these. */
static bool is_unary(const PpcRow *row)
{
    unsigned xo = row->match & 0x7ff;

    return (xo >= 520 && xo <= 526) || xo == 553 || xo == 555 || strstr(row->name, "abs") || g_str_has_suffix(row->name, "neg") ||
           xo == 1220;
}

/* What the black box raises illegal instruction for, and where it is not the manual's text. */
static bool is_left_out(const PpcRow *row)
{
    static const char *const there[] = { "evmwumi", "evmwumia", "evmwumiaa", "evmwsmi", "evmwsmia", "evmwsmiaa", "evmra", NULL };
    static const char *const wrong[] = {
        "evrndw",                                     /* clears the upper half, not the lower one */
        "evsrwu", "evsrws", "evslw",                  /* give the count */
        "brinc",                                      /* leaves the left word */
        "evldh", "evldhx", "evlwhsplat", "evlwhsplatx", /* half words in the wrong places */
        "evfscfsf", "evfsctsf", "efscfsf", "efsctsf", "efdcfsf", "efdctsf", /* fractions of 32 bits, not of a sign and 31 */
        "evfsctsi",                                   /* the right word's sign in the left one */
        "evfscmpgt", "evfscmplt", "evfscmpeq", "evfststgt", "evfststlt", "evfststeq", /* CR bits in the wrong places */
        NULL,
    };

    return ((row->match & 0x7ff) >= 1024 && !g_strv_contains(there, row->name)) || g_strv_contains(wrong, row->name);
}

static uint32_t random_word(void)
{
    static const uint32_t edges[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x8000, 0x7fff, 0x80008000, 0xffff };

    return random32() % 3 ? random32() : edges[random32() % G_N_ELEMENTS(edges)];
}

/* A normal number around 1. */
static uint32_t random_single(void)
{
    return (random32() & 0x807fffff) | (110 + random32() % 34) << 23;
}

static uint64_t random_double(void)
{
    uint64_t fraction = (uint64_t)random32() << 32 | random32();

    return (fraction & UINT64_C(0x800fffffffffffff)) | (uint64_t)(1000 + random32() % 46) << 52;
}

static uint64_t random_operand(const PpcRow *row)
{
    if (!is_float(row) || from_integer(row)) {
        return (uint64_t)random_word() << 32 | random_word();
    }
    return is_double(row) ? random_double() : (uint64_t)random_single() << 32 | random_single();
}

static void add_case(const PpcRow *row)
{
    uint8_t *data = image + DATA + n_cases * CASE;
    bool memory = is_memory(row), indexed = memory && row->name[strlen(row->name) - 1] == 'x';
    uint32_t word = row->match | (is_comparison(row) ? 0 : 5) << 21 | 6u << 16 | ((memory && !indexed) || is_unary(row) ? 0 : 7u) << 11;

    store_be64(data + AT_A, random_operand(row));
    store_be64(data + AT_B, indexed ? 0 : random32() % 4 ? random_operand(row) : load_be64(data + AT_A));
    store_be64(data + AT_D, random_operand(row));
    store_be64(data + AT_MEMORY, random_operand(row));
    store_be32(data + AT_SPEFSCR, 0); /* round to nearest: the black box knows no other */
    rows[n_cases] = row;
    words[n_cases++] = word;
    put(EVLDD(6, AT_A, 31));
    put(EVLDD(7, AT_B, 31));
    put(EVLDD(5, AT_D, 31));
    put(LWZ(8, AT_SPEFSCR, 31));
    put(MTSPR(512, 8));
    put(LWZ(8, AT_B, 31));
    put(MTCR(8));
    if (memory) {
        put(ADDI(6, 31, AT_MEMORY));
    }
    put(word);
    put(EVSTDD(5, AT_D, 31));
    put(MFSPR(8, 512));
    put(STW(8, AT_SPEFSCR, 31));
    put(MFCR(8));
    put(STW(8, AT_CR, 31));
    put(ADDI(31, 31, CASE));
}

static void make_image(const char *only)
{
    for (const PpcRow *row = ppc_rows_spe; row->name; row++) {
        bool wanted = only ? g_str_equal(only, row->name) : !is_left_out(row);

        for (unsigned i = 0; i < EACH && wanted; i++) {
            add_case(row);
        }
    }
    put(BLR);
    g_assert_cmpuint(at_code, <, DATA);
    g_assert_cmpuint(n_cases * CASE, <, IMAGE_SIZE - DATA);
}

/* The image as the black box leaves it; false: it or the compiler is not there. */
static bool ask(const char *runner, uint8_t *result)
{
    g_autofree char *folder = g_dir_make_tmp("myna-spe-XXXXXX", NULL);
    g_autofree char *program = g_build_filename(folder, "runner", NULL), *in = g_build_filename(folder, "in", NULL);
    g_autofree char *out = g_build_filename(folder, "out", NULL), *data = NULL;
    g_autofree char *command = g_strdup_printf(
        "cd '%s' && powerpc-linux-gnu-gcc -O1 -static -nostdlib -fno-pic -o runner '%s' && qemu-ppc -cpu e500v2 ./runner <in >out",
        folder, runner);
    gsize size;
    bool there;

    g_file_set_contents(in, (const char *)image, IMAGE_SIZE, NULL);
    there = system(command) == 0 && g_file_get_contents(out, &data, &size, NULL) && size == IMAGE_SIZE;
    if (there) {
        memcpy(result, data, IMAGE_SIZE);
    }
    remove(program);
    remove(in);
    remove(out);
    rmdir(folder);
    return there;
}

static void run_here(uint8_t *result)
{
    static const uint32_t end_word = RIG_END;

    rig_reset(0);
    ppc_map_page(rig_cpu, 0, 0, RIG_RAM);
    ppc_set_msr(rig_state, MSR_VEC);
    memcpy(rig_ram + BASE, image, IMAGE_SIZE);
    rig_words(RIG_CODE, &end_word, 1);
    rig_state->lr = RIG_CODE;
    rig_state->gpr[31] = BASE + DATA;
    rig_run(BASE);
    memcpy(result, rig_ram + BASE, IMAGE_SIZE);
}

enum { SHOWN = 40 };

static unsigned compare(const uint8_t *ours, const uint8_t *theirs)
{
    unsigned bad = 0;

    for (unsigned n = 0; n < n_cases; n++) {
        const uint8_t *a = ours + DATA + n * CASE, *b = theirs + DATA + n * CASE, *in = image + DATA + n * CASE;

        if (memcmp(a, b, AT_SPEFSCR) == 0 && load_be32(a + AT_CR) == load_be32(b + AT_CR)) {
            continue;
        }
        if (bad++ < SHOWN) {
            printf("# %s %08x: a %016" PRIx64 " b %016" PRIx64 ": %016" PRIx64 " not %016" PRIx64 ", CR %08x not %08x\n",
                   rows[n]->name, words[n], load_be64(in + AT_A), load_be64(in + AT_B), load_be64(a + AT_D), load_be64(b + AT_D),
                   load_be32(a + AT_CR), load_be32(b + AT_CR));
        }
    }
    return bad;
}

int main(int argc, char **argv)
{
    g_autofree uint8_t *theirs = g_malloc(IMAGE_SIZE), *ours = g_malloc(IMAGE_SIZE);
    unsigned bad;

    if (argc < 2) {
        printf("usage: %s RUNNER-SOURCE [SEED [ROW]]\n", argv[0]);
        return 1;
    }
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    make_image(argc > 3 ? argv[3] : NULL);
    if (!g_find_program_in_path("qemu-ppc") || !g_find_program_in_path("powerpc-linux-gnu-gcc") || !ask(argv[1], theirs)) {
        printf("SKIP: needs qemu-user and gcc-powerpc-linux-gnu\n");
        return 77;
    }
    rig_start("e500v2");
    run_here(ours);
    bad = compare(ours, theirs);
    printf("%u cases of %u rows, %u differ\n", n_cases, n_cases / EACH, bad);
    return bad != 0;
}
