/* Start of the back-end: what the host can do, which slots get registers; entering code. */
#include <cpuid.h>
#include <sys/random.h>

#include "backend.h"
#include "tcg/interp.h"
#include "tcg/pic.h"
#include "util/error.h"

Backend backend;

/*
 * Host registers by rank of a slot's claim. The x86 front end ranks AX CX DX BX BP SI DI R8-R10 SP: all
 * in their own registers but for R10, which leaves r10 to SP (r12 as a base takes one more byte).
 */
static const int8_t reg_of_rank[] = { RAX, RCX, RDX, RBX, RBP, RSI, RDI, R8, R9, R12, R10 };

static const struct { const char *name; uint32_t feature; } feature_names[] = {
    { "bmi1", HOST_BMI1 }, { "bmi2", HOST_BMI2 }, { "lzcnt", HOST_LZCNT },
    { "popcnt", HOST_POPCNT }, { "movbe", HOST_MOVBE }, { "fma", HOST_FMA }, { "avx2", HOST_AVX2 },
    { "jcc-erratum", HOST_JCC_ERRATUM }, { "avx512", HOST_AVX512 }, { "fsrm", HOST_FSRM },
    { "guesses-fldcw", HOST_GUESSES_FLDCW }, { "lahf", HOST_LAHF },
};

/* Skylake to Comet Lake. */
static bool has_jcc_erratum(unsigned signature)
{
    static const uint8_t models[] = { 0x4e, 0x55, 0x5e, 0x8e, 0x9e, 0xa5, 0xa6, 0xae };
    unsigned model = (signature >> 4 & 15) | (signature >> 12 & 0xf0);

    return __builtin_cpu_is("intel") && (signature >> 8 & 15) == 6 && memchr(models, model, sizeof(models));
}

/* Zen 5, and what comes behind it. */
static bool guesses_fldcw(unsigned signature)
{
    enum { ZEN_5 = 0x1a };
    unsigned family = signature >> 8 & 15;

    return __builtin_cpu_is("amd") && family == 15 && family + (signature >> 20 & 0xff) >= ZEN_5;
}

static uint32_t detect_features(void)
{
    enum { FSRM = 1 << 4 };
    unsigned eax, ebx, ecx, edx;
    uint32_t features = 0;

    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
        features |= has_jcc_erratum(eax) ? HOST_JCC_ERRATUM : 0;
        features |= guesses_fldcw(eax) ? HOST_GUESSES_FLDCW : 0;
        features |= ecx & bit_POPCNT ? HOST_POPCNT : 0;
        features |= ecx & bit_MOVBE ? HOST_MOVBE : 0;
        features |= ecx & bit_FMA && ecx & bit_OSXSAVE && __builtin_cpu_supports("fma") ? HOST_FMA : 0;
    }
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        features |= ebx & bit_BMI ? HOST_BMI1 : 0;
        features |= ebx & bit_BMI2 ? HOST_BMI2 : 0;
        features |= __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") ? HOST_AVX512 : 0;
        /* Intel's bit speaks of MOVSB alone, AMD's have it for all (measured on a Zen 5). */
        features |= edx & FSRM && __builtin_cpu_is("amd") ? HOST_FSRM : 0;
        features |= ebx & bit_AVX2 && __builtin_cpu_supports("avx2") ? HOST_AVX2 : 0;
    }
    if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx)) {
        features |= ecx & bit_ABM ? HOST_LZCNT : 0;
        features |= ecx & bit_LAHF_LM ? HOST_LAHF : 0;
    }
    return features;
}

static bool mask_features(const char *mask, GError **error)
{
    g_auto(GStrv) items = g_strsplit(mask, ",", -1);

    for (char **item = items; *item; item++) {
        const char *name = **item == '-' ? *item + 1 : *item;
        bool known = **item == '\0' || g_str_has_prefix(name, "avx");

        if (strcmp(name, "avx") == 0) {
            backend.features &= ~(uint32_t)(HOST_FMA | HOST_AVX2 | HOST_AVX512);
        }
        for (unsigned k = 0; k < G_N_ELEMENTS(feature_names); k++) {
            if (strcmp(name, feature_names[k].name) == 0) {
                known = true;
                backend.features &= ~feature_names[k].feature;
            }
        }
        if (!known) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "unknown host feature '%s'", name);
            return false;
        }
    }
    return true;
}

static void assign_pins(const TcgTarget *target)
{
    memset(backend.slot_reg, NO_REG, sizeof(backend.slot_reg));
    memset(backend.reg_slot, -1, sizeof(backend.reg_slot));
    backend.temps = ((1u << HOST_REGS) - 1) & ~(1u << RSP);
    for (unsigned s = 0; s < target->n_slots; s++) {
        int rank = target->slots[s].pin;

        if (rank >= 0 && rank < (int)G_N_ELEMENTS(reg_of_rank)) {
            backend.slot_reg[s] = reg_of_rank[rank];
            backend.reg_slot[reg_of_rank[rank]] = s;
            backend.pinned_slots |= 1ull << s;
            backend.temps &= ~(1u << reg_of_rank[rank]);
        }
    }
}

/* Neither canonical, with 57 bits too, nor to be found by a guest that tries pages. */
static uint64_t choose_empty_site(void)
{
    enum { PAGE_BITS = 12 };
    uint64_t page = 0;

    if (getrandom(&page, sizeof(page), GRND_NONBLOCK) != sizeof(page)) {
        page = (uint64_t)g_random_int() << 32 | g_random_int();
    }
    return (page >> 2 | UINT64_C(1) << 63) & (UINT64_MAX << PAGE_BITS);
}

bool tcg_init(const TcgTarget *target, const TcgRuntime *runtime, const TcgOptions *options, GError **error)
{
    backend.target = *target;
    backend.runtime = *runtime;
    backend.features = detect_features();
    if (options && options->host_features && !mask_features(options->host_features, error)) {
        return false;
    }
    assign_pins(target);
    backend.empty_site = choose_empty_site();
    if (!buffer_init(options ? options->buffer_size : 0, error)) {
        return false;
    }
    thunks_init();
    signals_init();
    tcg_interp_init(target, runtime);
    return true;
}

static HostExit *exit_of_stub(const HostBlock *block, uintptr_t return_address)
{
    enum { CALL_SIZE = 5 };
    uint32_t stub = return_address - CALL_SIZE - (uintptr_t)block->code;

    for (unsigned k = 0; k < block->n_exits; k++) {
        if (block->exits[k].stub == stub) {
            return &block->exits[k];
        }
    }
    g_assert_not_reached();
}

/* Ways out that translated code has many of are a call there, five bytes; what it stands for is found here. */
static TcgExit find_exit(void *state, unsigned found, HostExit **exit)
{
    uintptr_t return_address = (uintptr_t)*exit;
    const HostBlock *block = backend.runtime.find_block(return_address);
    unsigned pc_slot = backend.target.pc_slot;
    uint64_t pc = block->pc;

    *exit = NULL;
    if (found == FOUND_UNCHAINED) {
        *exit = exit_of_stub(block, return_address);
        pc = (*exit)->pc;
    }
    pc = pic_pc(block->pic_bits, state, pc);
    memcpy((uint8_t *)state + backend.target.slots[pc_slot].offset, &pc, ir_type_size(backend.target.slots[pc_slot].type));
    return found == FOUND_UNCHAINED ? TCG_EXIT_UNCHAINED : found == FOUND_POLL ? TCG_EXIT_POLL : TCG_EXIT_LOOKUP;
}

TcgExit tcg_enter(void *state, const void *code, HostExit **exit)
{
    unsigned why;

    signals_init_thread();
    why = backend.target.use_fp_traps && tcg_fp_traps(state)->on ? fp_traps_enter(state, code, exit) : backend.enter(state, code, exit);
    return why < FOUND_FIRST ? why : find_exit(state, why, exit);
}
