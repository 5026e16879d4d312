/* Host code as text for -d out_asm. */
#include "config.h"

#include "backend.h"

#ifdef CONFIG_CAPSTONE
#include <capstone/capstone.h>

char *tcg_disassemble_host(const HostBlock *block)
{
    GString *text = g_string_new(NULL);
    cs_insn *insns;
    csh handle;
    size_t n;

    if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK) {
        return g_string_free(text, FALSE);
    }
    n = cs_disasm(handle, block->code, block->size - RETIRE_STUB, (uintptr_t)block->code, 0, &insns);
    for (size_t i = 0; i < n; i++) {
        if (insns[i].address == (uintptr_t)block->code + block->hot_size) {
            g_string_append(text, TCG_OUT_OF_LINE);
        }
        g_string_append_printf(text, "%12" G_GINT64_MODIFIER "x:  %-8s %s\n", insns[i].address,
                               insns[i].mnemonic, insns[i].op_str);
    }
    if (n) {
        cs_free(insns, n);
    }
    cs_close(&handle);
    return g_string_free(text, FALSE);
}

#else

char *tcg_disassemble_host(const HostBlock *block)
{
    return NULL;
}

#endif
