/* Guest code as text, by capstone. */
#include "target/x86/internal.h"

#include "config.h"

static unsigned undecoded(const uint8_t *code, GString *text)
{
    g_string_append_printf(text, "%02x", code[0]);
    return 1;
}

#ifdef CONFIG_CAPSTONE
#include "util/disassembler.h"

unsigned x86_disassemble(const BlockKey *key, const uint8_t *code, unsigned size, uint64_t pc, GString *text)
{
    cs_mode mode = key->flags & MODE_CS64 ? CS_MODE_64 : key->flags & MODE_CS32 ? CS_MODE_32 : CS_MODE_16;
    const Disassembler *cs = disassembler();
    unsigned length = 1;
    csh handle;
    cs_insn *insn;

    if (!cs || cs->open(CS_ARCH_X86, mode, &handle) != CS_ERR_OK) {
        return undecoded(code, text);
    }
    if (cs->disasm(handle, code, size, pc, 1, &insn) == 1) {
        g_string_append_printf(text, "%s %s", insn->mnemonic, insn->op_str);
        length = insn->size;
        cs->free(insn, 1);
    } else {
        g_string_append(text, "(undefined)");
    }
    cs->close(&handle);
    return length;
}
#else
unsigned x86_disassemble(const BlockKey *key, const uint8_t *code, unsigned size, uint64_t pc, GString *text)
{
    return undecoded(code, text);
}
#endif
