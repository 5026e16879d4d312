/* Guest code as text, by capstone. */
#include "target/ppc/internal.h"

#include <inttypes.h>

#include "config.h"
#include "util/bits.h"

static unsigned undecoded(const BlockKey *key, const uint8_t *code, unsigned size, GString *text)
{
    if (size >= 4) {
        g_string_append_printf(text, ".long 0x%08x", key->flags & MODE_LE ? load_le32(code) : load_be32(code));
    }
    return 4;
}

#ifdef CONFIG_CAPSTONE
#include "util/disassembler.h"

unsigned ppc_disassemble(const BlockKey *key, const uint8_t *code, unsigned size, uint64_t pc, GString *text)
{
    cs_mode mode = (key->flags & MODE_SF ? CS_MODE_64 : CS_MODE_32) | (key->flags & MODE_LE ? CS_MODE_LITTLE_ENDIAN : CS_MODE_BIG_ENDIAN);
    const Disassembler *cs = disassembler();
    cs_insn *insn;
    csh handle;

    if (size < 4 || !cs || cs->open(CS_ARCH_PPC, mode, &handle) != CS_ERR_OK) {
        return undecoded(key, code, size, text);
    }
    g_string_append_printf(text, "%08" PRIx64 ": ", pc);
    if (cs->disasm(handle, code, 4, pc, 1, &insn) == 1) {
        g_string_append_printf(text, "%s %s", insn->mnemonic, insn->op_str);
        cs->free(insn, 1);
    } else {
        undecoded(key, code, size, text);
    }
    cs->close(&handle);
    return 4;
}
#else
unsigned ppc_disassemble(const BlockKey *key, const uint8_t *code, unsigned size, uint64_t pc, GString *text)
{
    return undecoded(key, code, size, text);
}
#endif
