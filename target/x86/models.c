/* CPU models by the names that QEMU's users know, and the -cpu text that adjusts them. */
#include <cpuid.h>

#include "target/x86/caches.h"
#include "target/x86/fp_table.h"
#include "target/x86/system.h"
#include "util/error.h"

static const struct {
    const char *name;
    X86FeatureWord word;
    uint8_t reg, bit; /* register: 0 EAX .. 3 EDX */
    uint32_t leaf, subleaf;
} features[] = {
#define WORD_OF(leaf, reg)                                                                          \
    ((leaf) == 1 ? ((reg) == 3 ? WORD_1_EDX : WORD_1_ECX) : (leaf) == 6 ? WORD_6_EAX                \
     : (leaf) == 7 ? ((reg) == 1 ? WORD_7_EBX : (reg) == 2 ? WORD_7_ECX : WORD_7_EDX)               \
     : (leaf) == 13 ? WORD_D_1_EAX : (leaf) == 0x8000000a ? WORD_XA_EDX : (reg) == 3 ? WORD_X1_EDX : WORD_X1_ECX)
#define FEATURE(name, leaf, subleaf, reg, bit) { #name, WORD_OF(leaf, reg), reg, bit, leaf, subleaf },
#include "features.def"
#undef FEATURE
};

/* Names of QEMU that mean one of ours. */
static const struct {
    const char *alias, *name;
} aliases[] = {
    { "sse3", "pni" }, { "lzcnt", "abm" }, { "xd", "nx" }, { "i64", "lm" }, { "cid", "pcid" },
    { "cr8_legacy", "cr8legacy" }, { "ffxsr", "fxsr_opt" }, { "sha", "sha_ni" },
};

#define P486 "fpu vme pse"
#define PPENTIUM "fpu vme de pse tsc msr mce cx8 mmx apic"
#define PPENTIUM2 PPENTIUM " pae sep mtrr pge mca cmov pat pse36 fxsr"
#define PPENTIUM3 PPENTIUM2 " sse"
#define PPRO_SSE2 "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat clflush mmx fxsr sse sse2"
#define P64 PPRO_SSE2 " pse36 pni cx16 syscall nx lm lahf_lm"
#define PCORE2 P64 " vme ssse3"
#define PPENRYN PCORE2 " sse4.1"
#define PNEHALEM PPENRYN " sse4.2 popcnt"
#define PWESTMERE PNEHALEM " aes pclmulqdq"
#define PSANDYBRIDGE PWESTMERE " avx xsave xsaveopt tsc-deadline x2apic rdtscp arat pcid"
#define PIVYBRIDGE PSANDYBRIDGE " f16c rdrand fsgsbase smep erms"
#define PHASWELL PIVYBRIDGE " avx2 fma bmi1 bmi2 movbe abm invpcid tsc-adjust pdpe1gb"
#define PSKYLAKE PHASWELL " rdseed adx smap 3dnowprefetch clflushopt xsavec xgetbv1"
#define PEPYC P64                                                                                  \
    " vme ssse3 sse4.1 sse4.2 popcnt aes pclmulqdq avx avx2 fma f16c bmi1 bmi2 movbe rdrand rdseed adx smap smep" \
    " fsgsbase clflushopt sha-ni xsave xsaveopt xsavec xgetbv1 abm 3dnowprefetch sse4a mmxext fxsr-opt pdpe1gb rdtscp cr8legacy arat monitor topoext"
#define PV2 P64 " ssse3 sse4.1 sse4.2 popcnt"
#define PV3 PV2 " avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"
#define PMAX PWESTMERE                                                                             \
    " rdrand rdseed fsgsbase smep smap erms pcid invpcid tsc-deadline x2apic movbe"                \
    " bmi1 bmi2 abm adx rdtscp pdpe1gb arat umip clflushopt clwb tsc-adjust rdpid fsrm mmxext"     \
    " 3dnowprefetch monitor xsave xsaveopt xsavec xgetbv1 xsaves sha-ni avx avx2 fma f16c"\
    " pku vaes vpclmulqdq la57"

/* What the default model has where the host's processor has it: programs choose faster code by these, which the host then
 * runs. XSAVE is there for AVX. */
#define PFAST                                                                                       \
    "ssse3 sse4.1 sse4.2 popcnt aes pclmulqdq sha-ni bmi1 bmi2 abm movbe adx xsave avx avx2 fma f16c vaes vpclmulqdq" \
    " xsaveopt xsavec xgetbv1"

static const struct Model {
    const char *name, *about, *vendor, *model_id;
    unsigned family, model, stepping;
    uint32_t level, xlevel;
    const char *features;
    const X86Caches *caches;
} models[] = {
    { "486", "Intel 486", "GenuineIntel", "", 4, 8, 0, 1, 0, P486, NULL },
    { "pentium", "Intel Pentium MMX", "GenuineIntel", "", 5, 4, 3, 1, 0, PPENTIUM, NULL },
    { "pentium2", "Intel Pentium II", "GenuineIntel", "", 6, 5, 2, 2, 0, PPENTIUM2, &x86_caches_p6_512k_4way_tlb },
    { "pentium3", "Intel Pentium III", "GenuineIntel", "", 6, 7, 3, 3, 0, PPENTIUM3, &x86_caches_p6_512k },
    { "athlon", "AMD Athlon", "AuthenticAMD", "QEMU Virtual CPU version 2.5+", 6, 2, 3, 2, 0x80000008,
      PPENTIUM2 " syscall mmxext 3dnow 3dnowext", &x86_caches_k7 },
    { "n270", "Intel Atom N270", "GenuineIntel", "Intel(R) Atom(TM) CPU N270   @ 1.60GHz", 6, 28, 2, 10,
      0x80000008, PPRO_SSE2 " vme pni ssse3 movbe nx lahf_lm monitor ss", &x86_caches_atom },
    { "coreduo", "Intel Core Duo", "GenuineIntel", "Genuine Intel(R) CPU           T2600  @ 2.16GHz", 6,
      14, 8, 10, 0x80000008, PPRO_SSE2 " vme pni nx monitor ss", &x86_caches_yonah },
    { "core2duo", "Intel Core 2 Duo", "GenuineIntel",
      "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz", 6, 15, 11, 10, 0x80000008, PCORE2 " monitor ss", &x86_caches_merom },
    { "qemu32", "a 32-bit CPU for every guest", "GenuineIntel", "Myna Virtual CPU", 6, 6, 3, 4, 0x80000004,
      PPRO_SSE2 " pni", &x86_caches_generic },
    { "kvm32", "as qemu32", "GenuineIntel", "Myna Virtual CPU 32", 15, 6, 1, 5, 0x80000008, PPRO_SSE2 " pni pse36", &x86_caches_generic },
    /* With PCIDs the translator keeps what it knows of a process while others run; with deadlines Linux does not spin for a tenth of
     * a second to find how fast the local APIC counts. */
    { "qemu64", "a 64-bit CPU for every guest", "AuthenticAMD", "Myna Virtual CPU", 15, 107, 1, 0xd,
      0x8000000a, P64 " pcid invpcid tsc-deadline", &x86_caches_generic },
    { "default", "as qemu64, with vector and bit instructions of the host", "AuthenticAMD", "Myna Virtual CPU", 15, 107, 1, 0xd,
      0x8000000a, P64 " pcid invpcid tsc-deadline 3dnowprefetch", &x86_caches_generic },
    { "kvm64", "as qemu64", "GenuineIntel", "Myna Virtual CPU 64", 15, 6, 1, 0xd, 0x80000008, P64, &x86_caches_generic },
    { "phenom", "AMD Phenom", "AuthenticAMD", "AMD Phenom(tm) 9550 Quad-Core Processor", 16, 2, 3, 5,
      0x8000001a, P64 " vme popcnt monitor mmxext fxsr-opt pdpe1gb rdtscp abm 3dnowprefetch cr8legacy sse4a 3dnow 3dnowext", &x86_caches_k10 },
    { "Conroe", "Intel Core 2, 65 nm", "GenuineIntel", "Intel Celeron_4x0 (Conroe/Merom Class Core 2)", 6,
      15, 3, 10, 0x80000008, PCORE2, &x86_caches_merom },
    { "Penryn", "Intel Core 2, 45 nm", "GenuineIntel", "Intel Core 2 Duo P9xxx (Penryn Class Core 2)", 6,
      23, 3, 10, 0x80000008, PPENRYN, &x86_caches_penryn },
    { "Nehalem", "Intel Core i7 9xx", "GenuineIntel", "Intel Core i7 9xx (Nehalem Class Core i7)", 6, 26, 3,
      11, 0x80000008, PNEHALEM " rdtscp", &x86_caches_nehalem },
    { "Westmere", "Intel Xeon E56xx", "GenuineIntel",
      "Westmere E56xx/L56xx/X56xx (Nehalem-C)", 6, 44, 1, 11, 0x80000008, PWESTMERE " pcid arat pdpe1gb rdtscp", &x86_caches_westmere },
    { "SandyBridge", "Intel Xeon E312xx", "GenuineIntel", "Intel Xeon E312xx (Sandy Bridge)", 6, 42, 1, 0xd,
      0x80000008, PSANDYBRIDGE, &x86_caches_sandybridge },
    { "IvyBridge", "Intel Xeon E3-12xx v2", "GenuineIntel", "Intel Xeon E3-12xx v2 (Ivy Bridge)", 6, 58, 9, 0xd,
      0x80000008, PIVYBRIDGE, &x86_caches_ivybridge },
    { "Haswell", "Intel Core, 4th generation", "GenuineIntel", "Intel Core Processor (Haswell, no TSX)", 6, 60, 1,
      0xd, 0x80000008, PHASWELL, &x86_caches_haswell },
    { "Skylake-Client", "Intel Core, 6th generation", "GenuineIntel", "Intel Core Processor (Skylake)", 6, 94, 3,
      0xd, 0x80000008, PSKYLAKE, &x86_caches_skylake },
    { "EPYC", "AMD EPYC", "AuthenticAMD", "AMD EPYC Processor", 23, 1, 2, 0xd, 0x8000001e, PEPYC, &x86_caches_zen },
    { "x86-64-v2", "any 64-bit CPU of 2009", "GenuineIntel", "Myna Virtual CPU x86-64-v2", 6, 26, 3, 0xd,
      0x80000008, PV2, &x86_caches_generic },
    { "x86-64-v3", "any 64-bit CPU of 2013", "GenuineIntel", "Myna Virtual CPU x86-64-v3", 6, 60, 1, 0xd,
      0x80000008, PV3, &x86_caches_generic },
    { "max", "everything that this build can do", "GenuineIntel", "Myna Virtual CPU max", 6, 94, 3, 0x16,
      0x80000008, PMAX, &x86_caches_generic },
    { "host", "the host's own, under KVM; else as max", "GenuineIntel", "Myna Virtual CPU host", 6, 94, 3, 0x16,
      0x80000008, PMAX, &x86_caches_generic },
};

/* Vector and integer extensions that run as themselves: only if the host has them. */
static bool host_has(X86Feature f)
{
    unsigned a, b, c, d;

    switch (f) {
    case FEAT_pni:
    case FEAT_ssse3:
    case FEAT_sse4_1:
    case FEAT_sse4_2:
    case FEAT_aes:
    case FEAT_pclmulqdq:
    case FEAT_popcnt:
        return __get_cpuid(1, &a, &b, &c, &d) && (c >> features[f].bit & 1);
    case FEAT_avx:
    case FEAT_f16c:
    case FEAT_fma:
        return __builtin_cpu_supports("avx") && __get_cpuid(1, &a, &b, &c, &d) && (c >> features[f].bit & 1);
    case FEAT_avx2:
        return __builtin_cpu_supports("avx2"); /* of the processor and of the host's kernel */
    case FEAT_vaes:
    case FEAT_vpclmulqdq:
        return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) &&
               (c >> features[f == FEAT_vaes ? FEAT_aes : FEAT_pclmulqdq].bit & 1);
    case FEAT_misalignsse:
        return false;
    default:
        return true;
    }
}

/* What a model has only where the host has it: in C it is slower than what programs do without. +NAME turns it on. */
static bool on_request(X86Feature f)
{
    return f == FEAT_sha_ni && !x86_host_has_sha();
}

static X86HostHasFn *follow_host; /* NULL: the translator runs guests */
static X86HostHasFn *host_has_fn; /* once KVM has been asked */

/* What an engine can run. Of the translator the rest of features.def is for the decoder and future use. */
static bool supported_by(X86Feature f, X86HostHasFn *host)
{
    if (host) {
        return host(features[f].leaf, features[f].subleaf, features[f].reg, features[f].bit);
    }
    switch (f) {
    case FEAT_pn:
    case FEAT_ds:
    case FEAT_acpi:
        return false;
    default:
        return host_has(f);
    }
}

static bool supported(X86Feature f)
{
    return supported_by(f, follow_host);
}

char *x86_model_lacks(const X86Features *f, bool under_kvm)
{
    GString *names = g_string_new(NULL);

    for (unsigned i = 0; i < FEAT_COUNT; i++) {
        if (f->on[i] && !supported_by(i, under_kvm ? host_has_fn : NULL)) {
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", features[i].name);
        }
    }
    return g_string_free(names, names->len == 0);
}

/* "sse4.1", "sse4-1" and "sse4_1" are the same name. */
static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char x = *a == '.' || *a == '-' ? '_' : g_ascii_tolower(*a);
        char y = *b == '.' || *b == '-' ? '_' : g_ascii_tolower(*b);

        if (x != y) {
            return false;
        }
    }
    return *a == *b;
}

static int find_feature(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(aliases); i++) {
        if (same_name(name, aliases[i].alias)) {
            name = aliases[i].name;
        }
    }
    for (int i = 0; i < FEAT_COUNT; i++) {
        if (same_name(name, features[i].name)) {
            return i;
        }
    }
    return -1;
}

char *x86_model_names(const X86Features *f)
{
    GString *names = g_string_new(NULL);

    for (unsigned i = 0; i < FEAT_COUNT; i++) {
        if (f->on[i]) {
            g_string_append_printf(names, "%s%s", names->len ? " " : "", features[i].name);
        }
    }
    return g_string_free(names, FALSE);
}

char *x86_model_misses(const X86Features *f, const char *names)
{
    g_auto(GStrv) all = g_strsplit(names, " ", -1);
    GString *missing = g_string_new(NULL);

    for (char **n = all; *n; n++) {
        int i = find_feature(*n);

        if (**n && (i < 0 || !f->on[i])) {
            g_string_append_printf(missing, "%s%s", missing->len ? ", " : "", *n);
        }
    }
    return g_string_free(missing, missing->len == 0);
}

/* Number of edits between two names, for suggestions. */
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(b);
    g_autofree unsigned *row = g_new(unsigned, n + 1);

    for (size_t j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i]; i++) {
        unsigned diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 1; j <= n; j++) {
            unsigned old = row[j];
            bool same = g_ascii_tolower(a[i]) == g_ascii_tolower(b[j - 1]);

            row[j] = MIN(MIN(row[j], row[j - 1]) + 1, diagonal + !same);
            diagonal = old;
        }
    }
    return row[n];
}

static void nearest(const char *name, const char *candidate, const char **best, unsigned *best_distance)
{
    unsigned d = distance(name, candidate);

    if (d < *best_distance) {
        *best_distance = d;
        *best = candidate;
    }
}

static void unknown_name(GError **error, const char *what, const char *name, const char *near)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "unknown CPU %s '%s'%s%s%s", what, name,
                near ? ": did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bool parse_switch(const char *value, bool *on)
{
    if (!g_ascii_strcasecmp(value, "on") || !g_ascii_strcasecmp(value, "yes") ||
        !g_ascii_strcasecmp(value, "true") || !strcmp(value, "1")) {
        *on = true;
        return true;
    }
    *on = false;
    return !g_ascii_strcasecmp(value, "off") || !g_ascii_strcasecmp(value, "no") ||
           !g_ascii_strcasecmp(value, "false") || !strcmp(value, "0");
}

static bool set_feature(X86Features *f, const char *name, bool on, GError **error)
{
    int i = find_feature(name);

    if (i < 0) {
        const char *near = NULL;
        unsigned best = 4;

        for (unsigned j = 0; j < FEAT_COUNT; j++) {
            nearest(name, features[j].name, &near, &best);
        }
        unknown_name(error, "feature", name, near);
        return false;
    }
    f->asked[i] = on;
    f->missing[i] = on && !supported(i);
    f->on[i] = on && supported(i);
    return true;
}

/* The value of "level=13": a number, or an error that names it. */
static bool parse_number(const char *key, const char *value, uint32_t *out, GError **error)
{
    char *end;
    guint64 n = g_ascii_strtoull(value, &end, 0);

    if (end == value || *end || n > UINT32_MAX) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "CPU property '%s' wants a number, not '%s'", key, value);
        return false;
    }
    *out = n;
    return true;
}

static bool set_option(X86Features *f, const char *key, const char *value, GError **error)
{
    /* Switches of QEMU that change nothing here. */
    static const char *const ignored[] = {
        "migratable", "kvm", "l3_cache", "full_cpuid_auto_level", "host_cache_info",
        "host_phys_bits", "phys_bits", "vmware_cpuid_freq", "legacy_cache", "tcg_cpuid",
    };
    uint32_t n;
    bool on;

    if (!strcmp(key, "family")) {
        return parse_number(key, value, &f->family, error);
    } else if (!strcmp(key, "model")) {
        return parse_number(key, value, &f->model, error);
    } else if (!strcmp(key, "stepping")) {
        return parse_number(key, value, &f->stepping, error);
    } else if (!strcmp(key, "level")) {
        return parse_number(key, value, &f->level, error);
    } else if (!strcmp(key, "xlevel")) {
        return parse_number(key, value, &f->xlevel, error);
    } else if (!strcmp(key, "tsc-frequency") || !strcmp(key, "tsc_freq")) {
        return parse_number(key, value, &n, error);
    } else if (same_name(key, "model_id")) {
        g_strlcpy(f->model_id, value, sizeof(f->model_id));
        return true;
    } else if (!strcmp(key, "vendor")) {
        if (strlen(value) != 12) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "CPU vendor '%s' does not have 12 characters", value);
            return false;
        }
        g_strlcpy(f->vendor, value, sizeof(f->vendor));
        return true;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(ignored); i++) {
        if (same_name(key, ignored[i])) {
            return true;
        }
    }
    if (!parse_switch(value, &on)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "CPU property '%s' wants on or off, not '%s'", key, value);
        return false;
    }
    if (!strcmp(key, "check") || !strcmp(key, "enforce")) {
        *(*key == 'c' ? &f->check : &f->enforce) = on;
        return true;
    }
    if (!strcmp(key, "pmu")) {
        f->pmu = on && !follow_host;
        return true;
    }
    return set_feature(f, key, on, error);
}

/* What was asked for and is left out: a warning (check=off: none), or with enforce=on an error. told: the model that has had it, as each CPU is one. */
static bool report(const X86Features *f, const char *what, const char **told, GError **error)
{
    if (f->enforce) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "CPU model '%s': %s (enforce=on)", f->name, what);
        return false;
    }
    if (f->check && *told != f->name) {
        *told = f->name;
        log_warn("CPU model '%s': %s, left out", f->name, what);
    }
    return true;
}

/* What cannot be had. */
static bool report_missing(const X86Features *f, GError **error)
{
    static const char *told;
    g_autoptr(GString) names = g_string_new(NULL);

    for (unsigned i = 0; i < FEAT_COUNT; i++) {
        if (f->missing[i]) {
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", features[i].name);
        }
    }
    if (!names->len) {
        return true;
    }
    g_string_append_printf(names, " not available %s", follow_host ? "from KVM here" : "in the translator");
    return report(f, names->str, &told, error);
}

/* Features that make no sense without another; its own rows come before. Who asked for one such hears of it. */
static bool drop_dependents(X86Features *f, GError **error)
{
    static const char *told;
    g_autoptr(GString) lost = g_string_new(NULL);
    static const struct {
        X86Feature feature, needs;
    } rows[] = {
        { FEAT_sse, FEAT_fxsr }, { FEAT_sse2, FEAT_sse }, { FEAT_pni, FEAT_sse2 }, { FEAT_ssse3, FEAT_pni },
        { FEAT_sse4_1, FEAT_ssse3 }, { FEAT_sse4_2, FEAT_sse4_1 }, { FEAT_aes, FEAT_sse2 },
        { FEAT_pclmulqdq, FEAT_sse2 }, { FEAT_sha_ni, FEAT_sse2 }, { FEAT_lm, FEAT_pae },
        { FEAT_lm, FEAT_sse2 }, { FEAT_nx, FEAT_pae }, { FEAT_pdpe1gb, FEAT_lm }, { FEAT_pcid, FEAT_lm },
        { FEAT_cx16, FEAT_lm }, { FEAT_fsgsbase, FEAT_lm }, { FEAT_smap, FEAT_pae },
        { FEAT_npt, FEAT_svm }, { FEAT_nrip_save, FEAT_svm }, { FEAT_tsc_scale, FEAT_svm },
        { FEAT_vmcb_clean, FEAT_svm }, { FEAT_flushbyasid, FEAT_svm }, { FEAT_decodeassists, FEAT_svm },
        { FEAT_pause_filter, FEAT_svm }, { FEAT_pfthreshold, FEAT_pause_filter },
        { FEAT_vgif, FEAT_svm },
        { FEAT_x2apic, FEAT_apic }, { FEAT_tsc_deadline, FEAT_apic }, { FEAT_xgetbv1, FEAT_xsave },
        { FEAT_xsaveopt, FEAT_xsave }, { FEAT_xsavec, FEAT_xsave }, { FEAT_xsaves, FEAT_xsavec }, { FEAT_pku, FEAT_lm }, { FEAT_la57, FEAT_lm },
        { FEAT_avx, FEAT_xsave }, { FEAT_avx, FEAT_sse4_2 }, { FEAT_avx2, FEAT_avx }, { FEAT_fma, FEAT_avx }, { FEAT_f16c, FEAT_avx },
        { FEAT_vaes, FEAT_avx }, { FEAT_vpclmulqdq, FEAT_avx },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        X86Feature feature = rows[i].feature, needs = rows[i].needs;

        if (f->on[feature] && !f->on[needs]) {
            f->on[feature] = false;
            if (f->asked[feature]) {
                g_string_append_printf(lost, "%s%s needs %s", lost->len ? ", " : "", features[feature].name, features[needs].name);
            }
        }
    }
    return !lost->len || report(f, lost->str, &told, error);
}

void x86_models_know_host(X86HostHasFn *has)
{
    host_has_fn = has;
}

void x86_models_follow_host(bool follow)
{
    follow_host = follow ? host_has_fn : NULL;
}

/* The identity of the host's processor, and all features that the engine and our state have room for. */
static void copy_host(X86Features *f)
{
    uint32_t a, b, c, d;

    __cpuid(0, a, b, c, d);
    memcpy(f->vendor, (uint32_t[]){ b, d, c }, 12);
    f->level = MIN(a, 0x16u);
    __cpuid(1, a, b, c, d);
    f->stepping = a & 15;
    f->family = (a >> 8 & 15) == 15 ? 15 + (a >> 20 & 255) : a >> 8 & 15;
    f->model = (a >> 4 & 15) | (a >> 16 & 15) << 4;
    for (unsigned i = 0; i < 3; i++) {
        __cpuid(0x80000002 + i, a, b, c, d);
        memcpy(f->model_id + 16 * i, (uint32_t[]){ a, b, c, d }, 16);
    }
    for (unsigned i = 0; i < FEAT_COUNT; i++) {
        f->on[i] = supported(i);
    }
}

static bool turns_on(const char *part, const char *name)
{
    size_t n = strlen(name);
    bool on;

    if (part[0] == '+') {
        return !g_ascii_strcasecmp(part + 1, name);
    }
    return !g_ascii_strncasecmp(part, name, n) && (!part[n] || (part[n] == '=' && parse_switch(part + n + 1, &on) && on));
}

/*
 * With svm come its own features, unless they are turned off; and as only AMD's processors have it, guests look for it
 * on no others: a model that stands for no particular processor becomes one of them.
 */
static void prepare_svm(X86Features *f, char **parts)
{
    bool wanted = false;

    for (char **p = parts; *p; p++) {
        wanted |= turns_on(*p, "svm");
    }
    if (!wanted || !supported(FEAT_svm)) {
        return;
    }
    for (unsigned i = 0; i < FEAT_COUNT; i++) {
        if (features[i].word == WORD_XA_EDX) {
            f->on[i] = supported(i);
        }
    }
    if (!strcmp(f->name, "max") || (!follow_host && !strcmp(f->name, "host"))) {
        g_strlcpy(f->vendor, "AuthenticAMD", sizeof(f->vendor));
        f->family = 15;
        f->model = 107;
        f->stepping = 1;
    }
}

#define DEFAULT_MODEL "default"

static bool is_default(const struct Model *m)
{
    return !strcmp(m->name, DEFAULT_MODEL);
}

/* Who has one of these need not be told of what it has only for speed. */
static bool goes_without_deadlines(const struct Model *m)
{
    return is_default(m) || !strcmp(m->name, "qemu64");
}

static bool processor_has(X86Feature f)
{
    unsigned regs[4];

    return __get_cpuid_count(features[f].leaf, features[f].subleaf, &regs[0], &regs[1], &regs[2], &regs[3]) &&
           (regs[features[f].reg] >> features[f].bit & 1);
}

static void add_fast_features(X86Features *f)
{
    g_auto(GStrv) names = g_strsplit(PFAST, " ", -1);
    bool avx = supported(FEAT_avx) && (follow_host || processor_has(FEAT_avx));

    for (char **n = names; *n; n++) {
        int i = find_feature(*n);
        bool saves = i == FEAT_xsave || features[i].word == WORD_D_1_EAX;

        g_assert(i >= 0);
        f->on[i] = supported(i) && (saves ? avx : follow_host || processor_has(i));
    }
}

X86Features *x86_model_parse(const char *spec, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(spec ? spec : DEFAULT_MODEL, ",", -1);
    g_autofree X86Features *f = g_new0(X86Features, 1);
    const struct Model *m = NULL;
    const char *name = parts[0] && *parts[0] ? parts[0] : DEFAULT_MODEL;

    if (g_str_has_suffix(name, "-v1")) {
        parts[0][strlen(name) - 3] = 0;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        if (!g_ascii_strcasecmp(models[i].name, name)) {
            m = &models[i];
        }
    }
    if (!m) {
        const char *near = NULL;
        unsigned best = 5;

        for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
            nearest(name, models[i].name, &near, &best);
        }
        unknown_name(error, "model", name, near);
        return NULL;
    }
    f->name = m->name;
    g_strlcpy(f->vendor, m->vendor, sizeof(f->vendor));
    g_strlcpy(f->model_id, m->model_id, sizeof(f->model_id));
    f->family = m->family;
    f->model = m->model;
    f->stepping = m->stepping;
    f->level = m->level;
    f->xlevel = m->xlevel;
    f->caches = m->caches;
    f->on[FEAT_hypervisor] = true;
    f->check = true;
    {
        g_auto(GStrv) names = g_strsplit(m->features, " ", -1);

        for (char **n = names; *n; n++) {
            int i = find_feature(*n);

            g_assert(i >= 0);
            f->on[i] = supported(i) && (follow_host || !on_request(i));
            /* The translator's models are what it can do of them; and few kernels let a guest have MWAIT. */
            f->missing[i] = follow_host && !f->on[i] && i != FEAT_monitor && !(i == FEAT_tsc_deadline && goes_without_deadlines(m));
        }
    }
    if (!strcmp(m->name, "host") || !strcmp(m->name, "max") || is_default(m)) { /* "what there is" lacks nothing */
        memset(f->missing, 0, sizeof(f->missing));
    }
    if (is_default(m)) {
        add_fast_features(f);
    }
    if (follow_host && !strcmp(m->name, "host")) {
        copy_host(f);
    }
    prepare_svm(f, parts[0] ? parts + 1 : parts);
    for (char **p = parts[0] ? parts + 1 : parts; *p; p++) {
        char *equals = strchr(*p, '=');

        if ((*p)[0] == '+' || (*p)[0] == '-') {
            if (!set_feature(f, *p + 1, (*p)[0] == '+', error)) {
                return NULL;
            }
        } else if (equals) {
            *equals = 0;
            if (!set_option(f, *p, equals + 1, error)) {
                return NULL;
            }
        } else if (**p && !set_option(f, *p, "on", error)) {
            return NULL;
        }
    }
    if (!report_missing(f, error) || !drop_dependents(f, error)) {
        return NULL;
    }
    if (f->pmu && strcmp(f->vendor, "AuthenticAMD")) {
        f->level = MAX(f->level, 0xa);
    }
    for (unsigned i = 0; i < FEAT_COUNT; i++) {
        if (f->on[i]) {
            f->words[features[i].word] |= 1u << features[i].bit;
            if (features[i].leaf < 0x80000000) {
                f->level = MAX(f->level, features[i].leaf);
            } else {
                f->xlevel = MAX(f->xlevel, features[i].leaf);
            }
        }
    }
    return g_steal_pointer(&f);
}

void x86_model_list(GString *out)
{
    g_string_append(out, "CPU models:\n");
    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        g_string_append_printf(out, "  %-14s %s\n", models[i].name, models[i].about);
    }
    g_string_append(out, "\nFeatures:\n ");
    for (unsigned i = 0, column = 1; i < FEAT_COUNT; i++) {
        if (!supported(i)) {
            continue;
        }
        if (column + strlen(features[i].name) + 1 > 78) {
            g_string_append(out, "\n ");
            column = 1;
        }
        g_string_append_printf(out, " %s", features[i].name);
        column += strlen(features[i].name) + 1;
    }
    g_string_append(out, "\n");
}
