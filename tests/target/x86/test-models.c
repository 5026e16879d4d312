/*
 * CPU models against dumps of the processors that they are named after (github.com/InstLatx64/InstLatx64): what a model has more and
 * what it lacks is what docs/x86.md says, word for word. --flags MODEL prints what Linux is to show of a model, --flags all that it may show.
 */
#include "tests/target/x86/fake.h"

#include <cpuid.h>
#include <stdio.h>

#include "target/x86/fp_table.h"

enum { W_1D, W_1C, W_6A, W_7B, W_XA1, W_XD, W_XC, WORDS };

static const struct {
    uint32_t leaf, subleaf;
    unsigned reg;
} words[WORDS] = {
    [W_1D] = { 1, 0, 3 }, [W_1C] = { 1, 0, 2 }, [W_6A] = { 6, 0, 0 }, [W_7B] = { 7, 0, 1 }, [W_XA1] = { 13, 1, 0 },
    [W_XD] = { 0x80000001, 0, 3 }, [W_XC] = { 0x80000001, 0, 2 },
};

/* Bits that are no model's doing: topology, and what the system has turned on. AMD repeats leaf 1 in 80000001h. */
static const uint32_t ignored[WORDS] = { [W_1D] = 1u << 28, [W_1C] = 1u << 27 | 1u << 31, [W_XD] = 0x0183f3ff, [W_XC] = 1u << 1 };

typedef struct Hardware {
    const char *model, *dump;
    uint32_t signature, word[WORDS];
} Hardware;

static const Hardware hardware[] = {
    { "486", "480", 0x480, { 0x3 } },
    { "pentium", "543", 0x543, { 0x008003bf } },
    { "pentium2", "653", 0x652, { 0x0183fbff } },
    { "pentium3", "673", 0x673, { 0x0387fbff } },
    { "athlon", "622", 0x623, { 0x0183f9ff, [W_XD] = 0xc1c3f9ff } },
    { "n270", "106C2", 0x106c2, { 0xbfe9fbff, 0x0040e31d, 1, 0, 0, 0x00100000, 1 } },
    { "coreduo", "6E8", 0x6e8, { 0xafe9fbff, 0xc109, 1, 0, 0, 0x00100000, 0 } },
    { "core2duo", "6FB", 0x6fb, { 0xbfebfbff, 0xe3fd, 1, 0, 0, 0x20100800, 1 } },
    { "Conroe", "6F2", 0x6f3, { 0xbfebfbff, 0xe3bd, 1, 0, 0, 0x20100800, 1 } },
    { "Penryn", "10676", 0x10673, { 0xbfebfbff, 0x0008e3fd, 1, 0, 0, 0x20100800, 1 } },
    { "Nehalem", "106A4", 0x106a3, { 0xbfebfbff, 0x0098e3bd, 3, 0, 0, 0x28100800, 1 } },
    { "Westmere", "206C1", 0x206c1, { 0xbfebfbff, 0x029ee3ff, 7, 0, 0, 0x2c100800, 1 } },
    { "SandyBridge", "206A7", 0x206a1, { 0xbfebfbff, 0x1fbae3ff, 0x75, 0, 1, 0x28100800, 1 } },
    { "IvyBridge", "306A9", 0x306a9, { 0xbfebfbff, 0x7fbae3ff, 0x77, 0x281, 1, 0x28100800, 1 } },
    { "Haswell", "306C3", 0x306c1, { 0xbfebfbff, 0x7ffafbff, 0x75, 0x27ab, 1, 0x2c100800, 0x21 } },
    { "Skylake-Client", "506E3", 0x506e3, { 0xbfebfbff, 0x7ffafbff, 0x7f5, 0x029c67af, 0xf, 0x2c100800, 0x121 } },
    { "phenom", "100F23", 0x100f23, { 0x178bfbff, 0x00802009, 0, 0, 0, 0xefd3fbff, 0x7ff } },
    { "EPYC", "800F12", 0x800f12, { 0x178bfbff, 0x7ed8320b, 4, 0x209c01a9, 0xf, 0x2fd3fbff, 0x35c233ff } },
};

/* All that has a name, besides the features of ours. */
static const struct {
    const char *name;
    unsigned word, bit;
} other_names[] = {
    { "tm", W_1D, 29 }, { "pbe", W_1D, 31 },
    { "dtes64", W_1C, 2 }, { "ds_cpl", W_1C, 4 }, { "vmx", W_1C, 5 }, { "smx", W_1C, 6 }, { "est", W_1C, 7 }, { "tm2", W_1C, 8 },
    { "sdbg", W_1C, 11 }, { "xtpr", W_1C, 14 }, { "pdcm", W_1C, 15 }, { "dca", W_1C, 18 },
    { "dtherm", W_6A, 0 }, { "ida", W_6A, 1 }, { "pln", W_6A, 4 }, { "ecmd", W_6A, 5 }, { "pts", W_6A, 6 }, { "hwp", W_6A, 7 },
    { "hwp_notify", W_6A, 8 }, { "hwp_act_window", W_6A, 9 }, { "hwp_epp", W_6A, 10 },
    { "sgx", W_7B, 2 }, { "hle", W_7B, 4 }, { "fdp_excptn_only", W_7B, 6 }, { "rtm", W_7B, 11 }, { "zero_fcs_fds", W_7B, 13 },
    { "mpx", W_7B, 14 }, { "intel_pt", W_7B, 25 },
    { "mp", W_XD, 19 },
    { "extapic", W_XC, 3 }, { "osvw", W_XC, 9 }, { "ibs", W_XC, 10 }, { "skinit", W_XC, 12 }, { "wdt", W_XC, 13 }, { "tce", W_XC, 17 },
    { "perfctr_core", W_XC, 23 }, { "perfctr_nb", W_XC, 24 }, { "bpext", W_XC, 26 }, { "perfctr_llc", W_XC, 28 }, { "mwaitx", W_XC, 29 },
};

static const struct {
    const char *name;
    uint32_t leaf, subleaf;
    unsigned reg, bit;
} features[] = {
#define FEATURE(name, leaf, subleaf, reg, bit) { #name, leaf, subleaf, reg, bit },
#include "target/x86/features.def"
#undef FEATURE
};

static const char *name_of(unsigned word, unsigned bit)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++) {
        if (features[i].leaf == words[word].leaf && features[i].subleaf == words[word].subleaf && features[i].reg == words[word].reg &&
            features[i].bit == bit) {
            return features[i].name;
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(other_names); i++) {
        if (other_names[i].word == word && other_names[i].bit == bit) {
            return other_names[i].name;
        }
    }
    return "?";
}

static uint32_t cpuid_word(uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    uint32_t out[4];

    if (leaf > (leaf >> 31 ? s->features->xlevel : s->features->level)) {
        return 0;
    }
    s->seg[S_CS].attr |= SEG_L;
    s->efer |= EFER_LMA; /* Intel's show SYSCALL in 64-bit mode alone */
    x86_cpuid(s, leaf, subleaf, out);
    return out[reg];
}

static void add_names(GString *to, unsigned word, uint32_t bits)
{
    for (unsigned bit = 0; bit < 32; bit++) {
        if (bits >> bit & 1) {
            g_string_append_printf(to, "%s%s", to->len ? " " : "", name_of(word, bit));
        }
    }
}

/* Vector units that this host lacks are left out of models. */
static bool host_is_complete(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt");
}

static void a_model_differs_as_documented(gconstpointer data)
{
    const Hardware *h = data;
    g_autoptr(GString) more = g_string_new(NULL), lacks = g_string_new(NULL);
    g_autofree char *row = NULL, *path = g_test_build_filename(G_TEST_DIST, "docs", "x86.md", NULL), *page = NULL;

    if (!host_is_complete()) {
        g_test_skip("the host lacks AVX2 or FMA: so do models");
        return;
    }
    fake_start(h->model);
    g_assert_cmphex(cpuid_word(1, 0, 0), ==, h->signature);
    for (unsigned word = 0; word < WORDS; word++) {
        uint32_t ours = cpuid_word(words[word].leaf, words[word].subleaf, words[word].reg) & ~ignored[word];
        uint32_t real = h->word[word] & ~ignored[word];

        add_names(more, word, ours & ~real);
        add_names(lacks, word, real & ~ours & ~(word == W_7B && !x86_host_has_sha() ? 1u << 29 : 0));
    }
    row = g_strdup_printf("| %s (%s) | %s | %s |\n", h->model, h->dump, more->str, lacks->str);
    g_assert_true(g_file_get_contents(path, &page, NULL, NULL));
    if (!strstr(page, row)) {
        g_test_message("docs/x86.md lacks the row:\n%s", row);
        g_test_fail();
    }
}

static void caches_are_told_of_once(void)
{
    uint32_t out[4];

    fake_start("Skylake-Client");
    x86_cpuid(s, 4, 3, out);
    g_assert_cmphex(out[0] & 0x3ff, ==, 0x163);
    g_assert_cmphex(out[1], ==, 0x02c0003f);
    g_assert_cmphex(out[2], ==, 0x1fff);
    g_assert_cmphex(out[3], ==, 6);
    x86_cpuid(s, 4, 4, out);
    g_assert_cmphex(out[0], ==, 0);
    x86_cpuid(s, 2, 0, out);
    g_assert_cmphex(out[0], ==, 0x76036301);
    x86_cpuid(s, 0x80000005, 0, out);
    g_assert_cmphex(out[2], ==, 0);
    x86_cpuid(s, 0x80000006, 0, out);
    g_assert_cmphex(out[2], ==, 0x01004040);

    fake_start("phenom");
    x86_cpuid(s, 0x80000005, 0, out);
    g_assert_cmphex(out[0], ==, 0xff30ff10);
    g_assert_cmphex(out[2], ==, 0x40020140);
    x86_cpuid(s, 0x80000006, 0, out);
    g_assert_cmphex(out[2], ==, 0x02008140);
    g_assert_cmphex(out[3], ==, 0x0010a140);
    x86_cpuid(s, 4, 0, out);
    g_assert_cmphex(out[0], ==, 0);

    fake_start("EPYC");
    x86_cpuid(s, 0x8000001d, 1, out);
    g_assert_cmphex(out[0] & 0x3ff, ==, 0x122);
    g_assert_cmphex(out[1], ==, 0x00c0003f);
    g_assert_cmphex(out[2], ==, 0xff);
    x86_cpuid(s, 0x80000006, 0, out);
    g_assert_cmphex(out[2], ==, 0x02006140);
}

/* An XSAVE area's components lie where the sizes say: each behind the one before, the last at the end. */
static void xsave_leaves_agree(void)
{
    uint32_t all[4], out[4], end = 576;

    fake_start("max");
    x86_cpuid(s, 13, 0, all);
    g_assert_cmphex(all[0] & 3, ==, 3);
    for (unsigned i = 2; i < 32; i++) {
        x86_cpuid(s, 13, i, out);
        if (!(all[0] >> i & 1)) {
            g_assert_cmphex(out[0] | out[1] | out[2], ==, 0);
            continue;
        }
        g_assert_cmpuint(out[1], >=, end);
        end = out[0] + out[1];
    }
    g_assert_cmpuint(all[2], ==, end);
    x86_cpuid(s, 14, 0, out);
    g_assert_cmphex(out[0], ==, 0);
}

/* Of a model, by the names that Linux' /proc/cpuinfo has, those that it shows as CPUID does. */
static void print_flags(const char *model)
{
    static const char *const hidden[] = { "hypervisor", "ht", NULL }; /* depends on the machine */
    static const struct {
        const char *ours, *shown;
    } renamed[] = {
        { "tsc_deadline", "tsc_deadline_timer" }, { "cr8legacy", "cr8_legacy" },
    };

    if (model) {
        fake_start(model);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++) {
        const char *name = features[i].name;
        uint32_t word = !model ? UINT32_MAX : cpuid_word(features[i].leaf, features[i].subleaf, features[i].reg);

        for (unsigned k = 0; k < G_N_ELEMENTS(renamed); k++) {
            name = strcmp(name, renamed[k].ours) ? name : renamed[k].shown;
        }
        if (!g_strv_contains(hidden, name) && word >> features[i].bit & 1) {
            printf("%s ", name);
        }
    }
    printf("\n");
}

static bool lacks_deadlines(uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit)
{
    return !(leaf == 1 && reg == 2 && bit == 24);
}

/* As KVM without its interrupt controllers: the default model is what it is there, another one lacks something. */
static void the_default_model_has_deadlines_where_they_can_be_had(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree X86Features *model = NULL, *other = NULL;

    x86_models_know_host(lacks_deadlines);
    x86_models_follow_host(true);
    model = x86_model_parse("qemu64,enforce=on", &error);
    g_assert_no_error(error);
    g_assert_false(model->on[FEAT_tsc_deadline]);
    g_free(model);
    model = x86_model_parse("default,enforce=on", &error);
    g_assert_no_error(error);
    g_assert_false(model->on[FEAT_tsc_deadline]);
    other = x86_model_parse("SandyBridge,enforce=on", &error);
    g_assert_null(other);
    g_assert_nonnull(strstr(error->message, "tsc_deadline"));
    x86_models_follow_host(false);
    x86_models_know_host(NULL);
}

/* Its programs run what the host runs; what they see of it besides is qemu64, which stays what it is. */
static void the_default_model_follows_the_host(void)
{
    static const struct {
        X86Feature feature;
        uint32_t leaf, subleaf;
        unsigned reg, bit;
    } fast[] = {
        { FEAT_ssse3, 1, 0, 2, 9 },  { FEAT_sse4_2, 1, 0, 2, 20 }, { FEAT_popcnt, 1, 0, 2, 23 },  { FEAT_aes, 1, 0, 2, 25 },
        { FEAT_avx, 1, 0, 2, 28 },   { FEAT_xsave, 1, 0, 2, 28 },  { FEAT_fma, 1, 0, 2, 12 },     { FEAT_movbe, 1, 0, 2, 22 },
        { FEAT_bmi1, 7, 0, 1, 3 },   { FEAT_avx2, 7, 0, 1, 5 },    { FEAT_bmi2, 7, 0, 1, 8 },     { FEAT_adx, 7, 0, 1, 19 },
        { FEAT_sha_ni, 7, 0, 1, 29 }, { FEAT_abm, 0x80000001, 0, 2, 5 },
    };
    g_autoptr(GError) error = NULL;
    g_autofree X86Features *model = x86_model_parse(NULL, &error), *fixed = x86_model_parse("qemu64", &error);

    g_assert_no_error(error);
    g_assert_cmpstr(model->name, ==, "default");
    g_assert_cmpstr(model->vendor, ==, fixed->vendor);
    g_assert_cmpuint(model->family << 16 | model->model << 8 | model->stepping, ==,
                     fixed->family << 16 | fixed->model << 8 | fixed->stepping);
    for (unsigned i = 0; i < G_N_ELEMENTS(fast); i++) {
        unsigned regs[4] = { 0 };

        __get_cpuid_count(fast[i].leaf, fast[i].subleaf, &regs[0], &regs[1], &regs[2], &regs[3]);
        g_assert_cmpuint(model->on[fast[i].feature], ==, regs[fast[i].reg] >> fast[i].bit & 1);
        g_assert_false(fixed->on[fast[i].feature]);
    }
    for (unsigned i = 0; i < FEAT_COUNT; i++) {
        g_assert_true(model->on[i] || !fixed->on[i]);
    }
}

/* KVM without AVX: nothing that is saved by XSAVE alone, and no word of it. */
static bool lacks_avx(uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit)
{
    return !(leaf == 1 && reg == 2 && bit == 28);
}

static void the_default_model_lacks_nothing(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree X86Features *model = NULL;

    x86_models_know_host(lacks_avx);
    x86_models_follow_host(true);
    model = x86_model_parse("default,enforce=on", &error);
    g_assert_no_error(error);
    g_assert_false(model->on[FEAT_avx] || model->on[FEAT_avx2] || model->on[FEAT_xsave] || model->on[FEAT_xsavec]);
    g_assert_true(model->on[FEAT_bmi2]);
    x86_models_follow_host(false);
    x86_models_know_host(NULL);
}

/* Said where the user asked for both, and nowhere else. */
static void a_contradiction_is_told(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree X86Features *model = x86_model_parse("max,-sse4.2,enforce=on", &error);

    g_assert_no_error(error);
    g_free(model);
    model = x86_model_parse("max,+x2apic,-apic,enforce=on", &error);
    g_assert_null(model);
    g_assert_cmpstr(error->message, ==, "CPU model 'max': x2apic needs apic (enforce=on)");
    g_clear_error(&error);
    model = x86_model_parse("max,+avx,-sse4.2,enforce=on", &error);
    g_assert_null(model);
    if (__builtin_cpu_supports("avx")) { /* others lack it */
        g_assert_cmpstr(error->message, ==, "CPU model 'max': avx needs sse4_2 (enforce=on)");
    }
}

static void what_avx_registers_want_goes_with_xsave(void)
{
    static const X86Feature wants[] = { FEAT_avx, FEAT_avx2, FEAT_fma, FEAT_f16c, FEAT_vaes, FEAT_vpclmulqdq };
    static const char *const texts[] = { "default,-xsave", "max,-xsave", "max,-avx", "max,+vaes,-xsave",
                                        "max,-sse4.2", "default,-sse4.1", "Haswell,-ssse3" };

    for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree X86Features *model = x86_model_parse(texts[i], &error);

        g_assert_no_error(error);
        for (unsigned k = 0; k < G_N_ELEMENTS(wants); k++) {
            g_assert_false(model->on[wants[k]]);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--flags")) {
        print_flags(argv[2]);
        return 0;
    }
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(hardware); i++) {
        g_autofree char *name = g_strdup_printf("/x86/models/%s", hardware[i].model);

        g_test_add_data_func(name, &hardware[i], a_model_differs_as_documented);
    }
    g_test_add_func("/x86/models/caches_are_told_of_once", caches_are_told_of_once);
    g_test_add_func("/x86/models/xsave_leaves_agree", xsave_leaves_agree);
    g_test_add_func("/x86/models/the_default_model_follows_the_host", the_default_model_follows_the_host);
    g_test_add_func("/x86/models/the_default_model_lacks_nothing", the_default_model_lacks_nothing);
    g_test_add_func("/x86/models/a_contradiction_is_told", a_contradiction_is_told);
    g_test_add_func("/x86/models/what_avx_registers_want_goes_with_xsave", what_avx_registers_want_goes_with_xsave);
    g_test_add_func("/x86/models/the_default_model_has_deadlines_where_they_can_be_had",
                    the_default_model_has_deadlines_where_they_can_be_had);
    return g_test_run();
}
