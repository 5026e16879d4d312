/* Registers as gdb knows them (GDB manual, "PowerPC Features"): r0-r31, f0-f31, pc, msr, cr, lr, ctr, xer, fpscr. */
#include "target/ppc/internal.h"
#include "util/bits.h"

#include <string.h>

enum { GDB_F0 = 32, GDB_PC = 64, GDB_MSR, GDB_CR, GDB_LR, GDB_CTR, GDB_XER, GDB_FPSCR };

static char *make_core(bool is64)
{
    GString *xml = g_string_new("<?xml version=\"1.0\"?>\n<!DOCTYPE feature SYSTEM \"gdb-target.dtd\">\n<feature name=\"org.gnu.gdb.power.core\">\n");
    const char *bits = is64 ? "64" : "32";

    for (unsigned i = 0; i < 32; i++) {
        g_string_append_printf(xml, "<reg name=\"r%u\" bitsize=\"%s\" regnum=\"%u\" type=\"uint%s\"/>\n", i, bits, i, bits);
    }
    g_string_append_printf(xml, "<reg name=\"pc\" bitsize=\"%s\" type=\"code_ptr\" regnum=\"64\"/>\n<reg name=\"msr\" bitsize=\"%s\" type=\"uint%s\"/>\n",
                           bits, bits, bits);
    g_string_append_printf(xml, "<reg name=\"cr\" bitsize=\"32\" type=\"uint32\"/>\n<reg name=\"lr\" bitsize=\"%s\" type=\"code_ptr\"/>\n", bits);
    g_string_append_printf(xml, "<reg name=\"ctr\" bitsize=\"%s\" type=\"uint%s\"/>\n<reg name=\"xer\" bitsize=\"32\" type=\"uint32\"/>\n</feature>\n",
                           bits, bits);
    return g_string_free(xml, FALSE);
}

static char *make_fpu(void)
{
    GString *xml = g_string_new("<?xml version=\"1.0\"?>\n<!DOCTYPE feature SYSTEM \"gdb-target.dtd\">\n<feature name=\"org.gnu.gdb.power.fpu\">\n");

    for (unsigned i = 0; i < 32; i++) {
        g_string_append_printf(xml, "<reg name=\"f%u\" bitsize=\"64\" type=\"ieee_double\" regnum=\"%u\"/>\n", i, GDB_F0 + i);
    }
    g_string_append_printf(xml, "<reg name=\"fpscr\" bitsize=\"32\" group=\"float\" regnum=\"%u\"/>\n</feature>\n", GDB_FPSCR);
    return g_string_free(xml, FALSE);
}

const char *ppc_gdb_xml(Cpu *cpu, const char *annex)
{
    static char *core, *fpu;
    bool is64 = ppc_is_64bit(cpu);

    if (!core) {
        core = make_core(is64);
        fpu = make_fpu();
    }
    if (!strcmp(annex, "power-core.xml")) {
        return core;
    }
    if (!strcmp(annex, "power-fpu.xml")) {
        return fpu;
    }
    if (strcmp(annex, "target.xml")) {
        return NULL;
    }
    return is64 ? "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target><architecture>powerpc:common64</architecture>"
                  "<xi:include href=\"power-core.xml\"/><xi:include href=\"power-fpu.xml\"/></target>"
                : "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target><architecture>powerpc:common</architecture>"
                  "<xi:include href=\"power-core.xml\"/><xi:include href=\"power-fpu.xml\"/></target>";
}

/* Values have the byte order that the CPU has now. */
static int put(PpcState *s, uint8_t *buf, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        buf[s->msr & MSR_LE ? i : size - 1 - i] = value >> (8 * i);
    }
    return size;
}

static uint64_t get(PpcState *s, const uint8_t *buf, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)buf[s->msr & MSR_LE ? i : size - 1 - i] << (8 * i);
    }
    return value;
}

static unsigned size_of(PpcState *s, int number)
{
    if (number >= GDB_F0 && number < GDB_PC) {
        return 8;
    }
    if (number == GDB_CR || number == GDB_XER || number == GDB_FPSCR) {
        return 4;
    }
    return number >= 0 && number < PPC_GDB_REGISTERS ? (ppc_isa(s, ISA_64) ? 8 : 4) : 0;
}

int ppc_gdb_read(Cpu *cpu, int number, uint8_t *buf)
{
    PpcState *s = ppc_state(cpu);
    unsigned size = size_of(s, number);
    uint64_t value;

    switch (number) {
    case GDB_PC: value = s->pc; break;
    case GDB_MSR: value = s->msr; break;
    case GDB_CR: value = ppc_get_cr(s); break;
    case GDB_LR: value = s->lr; break;
    case GDB_CTR: value = s->ctr; break;
    case GDB_XER: value = ppc_get_xer(s); break;
    case GDB_FPSCR:
        ppc_fp_settle(s);
        value = s->fpscr;
        break;
    default:
        if (!size) {
            return 0;
        }
        value = number < GDB_F0 ? s->gpr[number] : s->vsr[number - GDB_F0][0];
        break;
    }
    return put(s, buf, value, size);
}

int ppc_gdb_write(Cpu *cpu, int number, const uint8_t *buf)
{
    PpcState *s = ppc_state(cpu);
    unsigned size = size_of(s, number);
    uint64_t value = get(s, buf, size);

    switch (number) {
    case GDB_PC: s->pc = value & ~UINT64_C(3); break;
    case GDB_MSR: ppc_set_msr(s, value); break;
    case GDB_CR: ppc_set_cr(s, value); break;
    case GDB_LR: s->lr = value; break;
    case GDB_CTR: s->ctr = value; break;
    case GDB_XER: ppc_set_xer(s, value); break;
    case GDB_FPSCR:
        ppc_fp_settle(s);
        s->fpscr = value;
        ppc_fp_update_fast(s);
        break;
    default:
        if (size && number < GDB_F0) {
            s->gpr[number] = value;
        } else if (size) {
            s->vsr[number - GDB_F0][0] = value;
        }
        break;
    }
    return size;
}
