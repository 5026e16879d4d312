/* For hosts without a back-end of their own: all is left to the interpreter. */
#include "interp.h"

#include "util/error.h"

#define FALLBACK __attribute__((weak))

FALLBACK bool tcg_init(const TcgTarget *target, const TcgRuntime *runtime,
                       const TcgOptions *options, GError **error)
{
    tcg_interp_init(target, runtime);
    return true;
}

FALLBACK HostBlock *tcg_compile(IrBlock *ir, bool (*far_exit)(void *opaque, uint64_t pc), void *opaque)
{
    return NULL;
}

FALLBACK void tcg_free(HostBlock *block)
{
}

FALLBACK unsigned tcg_region_count(void)
{
    return 1;
}

FALLBACK unsigned tcg_region_of(const void *code)
{
    return 0;
}

FALLBACK unsigned tcg_region_current(void)
{
    return 0;
}

FALLBACK unsigned tcg_region_next(void)
{
    return 0;
}

FALLBACK void tcg_code_usage(uint64_t *used, uint64_t *size)
{
    *used = *size = 0;
}

FALLBACK TcgExit tcg_enter(void *state, const void *code, HostExit **exit)
{
    g_assert_not_reached();
}

FALLBACK void tcg_unwind(void *state, TcgExit why)
{
    tcg_interp_unwind(why);
    g_assert_not_reached();
}

FALLBACK uintptr_t tcg_caller_pc(void *state)
{
    return 0;
}

FALLBACK bool tcg_restore(void *state, uintptr_t host_pc)
{
    return false;
}

FALLBACK void tcg_fp_sync(void *state)
{
}

FALLBACK void tcg_link(HostExit *exit, const HostBlock *to)
{
}

FALLBACK void tcg_unlink(HostExit *exit)
{
}

FALLBACK void tcg_retire(HostBlock *block, uint64_t pc)
{
}

FALLBACK char *tcg_disassemble_host(const HostBlock *block)
{
    return NULL;
}
