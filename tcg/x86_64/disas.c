/* Host code as text for -d out_asm. */
#include "config.h"

#include "backend.h"

#ifdef CONFIG_CAPSTONE
#include "util/disassembler.h"

/* An instruction that the library does not know is shown byte by byte. */
static void put_code(GString *text, const Disassembler *cs, csh handle, const uint8_t *code, uint32_t size)
{
    uint32_t done = 0;

    while (done < size) {
        cs_insn *insns;
        size_t n = cs->disasm(handle, code + done, size - done, (uintptr_t)code + done, 0, &insns);

        for (size_t i = 0; i < n; i++) {
            g_string_append_printf(text, "%12" G_GINT64_MODIFIER "x:  %-8s %s\n", insns[i].address, insns[i].mnemonic, insns[i].op_str);
            done += insns[i].size;
        }
        if (n) {
            cs->free(insns, n);
        }
        if (done < size) {
            g_string_append_printf(text, "%12" G_GINT64_MODIFIER "x:  .byte    0x%02x\n", (uint64_t)(uintptr_t)(code + done), code[done]);
            done++;
        }
    }
}

char *tcg_disassemble_host(const HostBlock *block)
{
    const Disassembler *cs = disassembler();
    GString *text;
    csh handle;

    if (!cs || cs->open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK) {
        return NULL;
    }
    text = g_string_new(NULL);
    put_code(text, cs, handle, block->code, block->usual_size);
    g_string_append(text, TCG_OUT_OF_LINE);
    put_code(text, cs, handle, block->cold, block->cold_size);
    put_code(text, cs, handle, block->code + block->usual_size, block->size - block->usual_size);
    cs->close(&handle);
    return g_string_free(text, FALSE);
}

#else

char *tcg_disassemble_host(const HostBlock *block)
{
    return NULL;
}

#endif
