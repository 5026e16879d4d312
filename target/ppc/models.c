/* Processor models: what each implements. PVRs are those of the manuals' "processor version register" tables. */
#include "target/ppc/internal.h"

#include "util/error.h"
#include "util/options.h"

#include <string.h>

#define CLASSIC (ISA_CLASSIC | ISA_FPU | ISA_FP_OPTIONAL | ISA_MFTB)
#define G4      (CLASSIC | ISA_ALTIVEC | ISA_ECIWX)
#define PPC440  (ISA_BOOKE | ISA_440 | ISA_FPU | ISA_FP_OPTIONAL | ISA_MFTB)
#define E500    (ISA_BOOKE | ISA_E500 | ISA_ISEL | ISA_MFTB)
#define PPC970  (ISA_64 | ISA_FPU | ISA_FP_OPTIONAL | ISA_FSQRT | ISA_MFTB | ISA_ALTIVEC | ISA_SLB | ISA_970)
#define POWER5  (ISA_64 | ISA_FPU | ISA_FP_OPTIONAL | ISA_FSQRT | ISA_MFTB | ISA_SLB | ISA_V202 | ISA_HV)
#define POWER7  (POWER5 | ISA_ALTIVEC | ISA_V205 | ISA_V206 | ISA_DFP | ISA_ISEL)
#define POWER8  (POWER7 | ISA_V207 | ISA_TM)
#define POWER9  (POWER8 | ISA_V300)
#define POWER10 ((POWER9 & ~ISA_TM) | ISA_V310)

#define MSR_COMMON   (MSR_LE | MSR_RI | MSR_DR | MSR_IR | MSR_FE1 | MSR_BE | MSR_SE | MSR_FE0 | MSR_ME | MSR_FP | MSR_PR | MSR_EE)
#define MSR_CLASSIC  (MSR_COMMON | MSR_IP | MSR_ILE | MSR_POW)
#define MSR_750      (MSR_CLASSIC | MSR_PMM)
#define MSR_970      (MSR_COMMON | MSR_SF | MSR_VEC | MSR_POW | MSR_PMM)
#define MSR_SERVER   (MSR_COMMON | MSR_SF | MSR_HV | MSR_VEC | MSR_VSX | MSR_PMM)
#define MSR_BOOKE    (MSR_CE | MSR_POW | MSR_EE | MSR_PR | MSR_ME | MSR_BE | MSR_IR | MSR_DR)
#define MSR_440      (MSR_BOOKE | MSR_FP | MSR_FE0 | MSR_FE1 | MSR_SE)
#define MSR_E500     (MSR_BOOKE | MSR_VEC | MSR_UCLE | MSR_SE | MSR_PMM)

#define G3_MODEL(name, pvr) { name, "32-bit, G3", pvr, CLASSIC | ISA_ECIWX, PPC_MMU_32, MSR_750, 32, true, false }
#define G4_MODEL(name, pvr) { name, "32-bit, G4, AltiVec", pvr, G4, PPC_MMU_32, MSR_750 | MSR_VEC, 32, true, false }
#define G4E_MODEL(name, pvr) \
    { name, "32-bit, G4, AltiVec", pvr, G4 | ISA_7450, PPC_MMU_32, MSR_750 | MSR_VEC, 32, true, false }

static const PpcModel models[] = {
    { "603", "32-bit", 0x00030100, CLASSIC | ISA_602TLB, PPC_MMU_603, MSR_CLASSIC | MSR_TGPR, 32, true, false },
    { "603e", "32-bit", 0x00060401, CLASSIC | ISA_602TLB | ISA_ECIWX, PPC_MMU_603, MSR_CLASSIC | MSR_TGPR, 32, true, false },
    { "604", "32-bit", 0x00040103, CLASSIC | ISA_ECIWX, PPC_MMU_32, MSR_750, 32, true, false },
    { "604e", "32-bit", 0x00090204, CLASSIC | ISA_ECIWX, PPC_MMU_32, MSR_750, 32, true, false },
    G3_MODEL("740", 0x00080301), G3_MODEL("750", 0x00080301), G3_MODEL("750cx", 0x00082202),
    G3_MODEL("750cxe", 0x00083311), G3_MODEL("755", 0x00083208), G3_MODEL("750fx", 0x70000203),
    G3_MODEL("750gx", 0x70020102), G3_MODEL("750cl", 0x00087210),
    G4_MODEL("7400", 0x000c0209), G4_MODEL("7410", 0x800c1104),
    G4E_MODEL("7450", 0x80000201), G4E_MODEL("7451", 0x80000203), G4E_MODEL("7445", 0x80010302),
    G4E_MODEL("7455", 0x80010302), G4E_MODEL("7447", 0x80020101), G4E_MODEL("7457", 0x80020102),
    G4E_MODEL("7447a", 0x80030102), G4E_MODEL("7448", 0x80040201),
    { "440ep", "32-bit, Book E, FPU", 0x422218d3, PPC440, PPC_MMU_440, MSR_440, 32, false, false },
    { "e500v2", "32-bit, Book E, SPE", 0x80210030, E500, PPC_MMU_E500, MSR_E500, 32, false, false },
    { "970", "64-bit, G5", 0x00390202, PPC970, PPC_MMU_HASH64, MSR_970, 128, false, false },
    { "970fx", "64-bit, G5", 0x003c0301, PPC970, PPC_MMU_HASH64, MSR_970, 128, false, false },
    { "970mp", "64-bit, G5", 0x00440101, PPC970, PPC_MMU_HASH64, MSR_970, 128, false, false },
    { "power5+", "64-bit", 0x003b0201, POWER5, PPC_MMU_HASH64, MSR_970 & ~(MSR_VEC | MSR_POW), 128, false, false },
    { "power7", "64-bit, Power ISA 2.06", 0x003f0203, POWER7, PPC_MMU_HASH64, MSR_SERVER, 128, false, true },
    { "power7+", "64-bit, Power ISA 2.06", 0x004a0201, POWER7, PPC_MMU_HASH64, MSR_SERVER, 128, false, true },
    { "power8e", "64-bit, Power ISA 2.07", 0x004b0201, POWER8, PPC_MMU_HASH64, MSR_SERVER, 128, false, true },
    { "power8", "64-bit, Power ISA 2.07", 0x004d0200, POWER8, PPC_MMU_HASH64, MSR_SERVER, 128, false, true },
    { "power8nvl", "64-bit, Power ISA 2.07", 0x004c0100, POWER8, PPC_MMU_HASH64, MSR_SERVER, 128, false, true },
    { "power9", "64-bit, Power ISA 3.0", 0x004e1200, POWER9, PPC_MMU_RADIX, MSR_SERVER, 128, false, true },
    { "power10", "64-bit, Power ISA 3.1", 0x00800200, POWER10, PPC_MMU_RADIX, MSR_SERVER, 128, false, true },
};

/* Other names of the same. */
static const struct {
    const char *alias, *name;
} aliases[] = {
    { "g3", "750" }, { "g4", "7400" }, { "g5", "970" }, { "750_v3.1", "750" }, { "7400_v2.9", "7400" },
    { "440epb", "440ep" }, { "e500", "e500v2" }, { "e500v2_v30", "e500v2" }, { "970_v2.2", "970" }, { "970fx_v3.1", "970fx" }, { "power7_v2.3", "power7" }, { "power8_v2.0", "power8" },
    { "power9_v2.0", "power9" }, { "power10_v2.0", "power10" }, { "ppc", "604" }, { "ppc32", "604" }, { "ppc64", "970fx" },
};

const PpcModel *ppc_model_find(const char *name, GError **error)
{
    const char *known[G_N_ELEMENTS(models) + 1] = { NULL };
    g_autofree char *hint = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(aliases); i++) {
        if (!g_ascii_strcasecmp(name, aliases[i].alias)) {
            name = aliases[i].name;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        if (!g_ascii_strcasecmp(name, models[i].name)) {
            return &models[i];
        }
        known[i] = models[i].name;
    }
    hint = options_hint(name, known);
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "no PowerPC processor '%s'%s; -cpu help lists them", name, hint);
    return NULL;
}

void ppc_model_list(GString *out)
{
    g_string_append(out, "Available CPUs:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        g_string_append_printf(out, "  %-12s PVR %08x  %s\n", models[i].name, models[i].pvr, models[i].about);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(aliases); i++) {
        g_string_append_printf(out, "  %-12s (alias of %s)\n", aliases[i].alias, aliases[i].name);
    }
}
