/* Registers by gdb's numbers, and the description that gdb asks for. */
#include "target/x86/system.h"
#include "util/bits.h"

/*
 * gdb's order: the general registers, pc and eflags, six selectors, st0-7, eight x87 control words,
 * the vector registers, mxcsr; then fs_base and gs_base on a 64-bit CPU.
 */
static bool wide(Cpu *cpu)
{
    return x86_has(x86_state(cpu), FEAT_lm);
}

static const uint8_t general[16] = {
    R_AX, R_BX, R_CX, R_DX, R_SI, R_DI, R_BP, R_SP, R_8, R_9, R_10, R_11, R_12, R_13, R_14, R_15,
};
static const uint8_t general32[8] = { R_AX, R_CX, R_DX, R_BX, R_SP, R_BP, R_SI, R_DI };
static const uint8_t segments[6] = { S_CS, S_SS, S_DS, S_ES, S_FS, S_GS };

enum RegisterKind { GENERAL, PC, FLAGS, SEGMENT, STACK_ST, FCTRL, VECTOR, MXCSR, FS_BASE, GS_BASE, NO_REGISTER };

static enum RegisterKind locate(Cpu *cpu, int number, int *index)
{
    int n = wide(cpu) ? 16 : 8;

    if (number < 0) {
        return NO_REGISTER;
    }
    if (number < n) {
        *index = n == 16 ? general[number] : general32[number];
        return GENERAL;
    }
    number -= n;
    if (number == 0) {
        return PC;
    }
    if (number == 1) {
        return FLAGS;
    }
    number -= 2;
    if (number < 6) {
        *index = segments[number];
        return SEGMENT;
    }
    number -= 6;
    *index = number & 7;
    if (number < 8) {
        return STACK_ST;
    }
    if (number < 16) {
        return FCTRL;
    }
    number -= 16;
    *index = number;
    if (number < n) {
        return VECTOR;
    }
    number -= n;
    if (number == 0) {
        return MXCSR;
    }
    if (n == 16 && number <= 2) {
        return number == 1 ? FS_BASE : GS_BASE;
    }
    return NO_REGISTER;
}

/* fctrl fstat ftag fiseg fioff foseg fooff fop, from the FXSAVE image. */
static uint32_t read_fctrl(const X86State *s, int index)
{
    switch (index) {
    case 0:
        return load_le16(s->fx);
    case 1:
        return load_le16(s->fx + 2);
    case 2: {
        uint32_t tags = 0;

        for (int i = 0; i < 8; i++) {
            tags |= (s->fx[4] >> i & 1 ? 0u : 3u) << (2 * i);
        }
        return tags;
    }
    case 4:
        return load_le32(s->fx + 8);
    case 6:
        return load_le32(s->fx + 16);
    case 7:
        return load_le16(s->fx + 6);
    default:
        return 0;
    }
}

int x86_gdb_read(Cpu *cpu, int number, uint8_t *buf)
{
    X86State *s = x86_state(cpu);
    int size = wide(cpu) ? 8 : 4, index = 0;
    uint64_t value;

    switch (locate(cpu, number, &index)) {
    case GENERAL:
        value = s->reg[index];
        break;
    case PC:
        /* gdb knows no segments: in real mode it gets the linear address. */
        value = s->pc + (is_code64(s) ? 0 : s->seg[S_CS].base);
        break;
    case FLAGS:
        value = x86_eflags(s);
        size = 4;
        break;
    case SEGMENT:
        value = s->seg[index].selector;
        size = 4;
        break;
    case STACK_ST:
        memcpy(buf, s->fx + 32 + 16 * index, 10);
        return 10;
    case FCTRL:
        value = read_fctrl(s, index);
        size = 4;
        break;
    case VECTOR:
        memcpy(buf, s->fx + 160 + 16 * index, 16);
        return 16;
    case MXCSR:
        value = load_le32(s->fx + 24);
        size = 4;
        break;
    case FS_BASE:
        value = s->seg[S_FS].base;
        break;
    case GS_BASE:
        value = s->seg[S_GS].base;
        break;
    default:
        return 0;
    }
    store_le64(buf, value);
    return size;
}

int x86_gdb_write(Cpu *cpu, int number, const uint8_t *buf)
{
    X86State *s = x86_state(cpu);
    int size = wide(cpu) ? 8 : 4, index = 0;
    uint64_t value = size == 8 ? load_le64(buf) : load_le32(buf);

    switch (locate(cpu, number, &index)) {
    case GENERAL:
        s->reg[index] = value;
        return size;
    case PC:
        s->pc = linear(s, value - (is_code64(s) ? 0 : s->seg[S_CS].base));
        return size;
    case FLAGS:
        x86_set_eflags(s, load_le32(buf), ~(uint32_t)EFL_VM);
        x86_update_mode(s);
        return 4;
    case SEGMENT:
        if (!(s->cr0 & CR0_PE)) {
            x86_load_real_segment(s, index, load_le16(buf));
            x86_update_mode(s);
        }
        return 4;
    case STACK_ST:
        memcpy(s->fx + 32 + 16 * index, buf, 10);
        return 10;
    case FCTRL:
        return 4;
    case VECTOR:
        memcpy(s->fx + 160 + 16 * index, buf, 16);
        return 16;
    case MXCSR:
        store_le32(s->fx + 24, load_le32(buf) & x86_mxcsr_mask());
        return 4;
    case FS_BASE:
        s->seg[S_FS].base = value;
        return size;
    case GS_BASE:
        s->seg[S_GS].base = value;
        return size;
    default:
        return 0;
    }
}

static char *describe_registers(bool is64)
{
    static const char *const names64[] = {
        "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    };
    static const char *const names32[] = { "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi" };
    static const char *const selectors[] = { "cs", "ss", "ds", "es", "fs", "gs" };
    static const char *const control[] = {
        "fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop",
    };
    GString *x = g_string_new("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>");
    int n = is64 ? 16 : 8, bits = is64 ? 64 : 32;
    const char *core = is64 ? "org.gnu.gdb.i386.core" : "org.gnu.gdb.i386.core";

    g_string_append_printf(x, "<architecture>i386%s</architecture><feature name=\"%s\">", is64 ? ":x86-64" : "", core);
    for (int i = 0; i < n; i++) {
        const char *name = is64 ? names64[i] : names32[i];
        bool pointer = !strcmp(name + 1, "sp") || !strcmp(name + 1, "bp");

        g_string_append_printf(x, "<reg name=\"%s\" bitsize=\"%d\" type=\"%s\"/>", name, bits,
                               pointer ? "data_ptr" : is64 ? "int64" : "int32");
    }
    g_string_append_printf(x, "<reg name=\"%s\" bitsize=\"%d\" type=\"code_ptr\"/>", is64 ? "rip" : "eip", bits);
    g_string_append(x, "<reg name=\"eflags\" bitsize=\"32\" type=\"int32\"/>");
    for (int i = 0; i < 6; i++) {
        g_string_append_printf(x, "<reg name=\"%s\" bitsize=\"32\" type=\"int32\"/>", selectors[i]);
    }
    for (int i = 0; i < 8; i++) {
        g_string_append_printf(x, "<reg name=\"st%d\" bitsize=\"80\" type=\"i387_ext\"/>", i);
    }
    for (int i = 0; i < 8; i++) {
        g_string_append_printf(x, "<reg name=\"%s\" bitsize=\"32\" type=\"int\" group=\"float\"/>", control[i]);
    }
    g_string_append(x, "</feature><feature name=\"org.gnu.gdb.i386.sse\">"
                       "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
                       "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
                       "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
                       "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
                       "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
                       "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
                       "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
                       "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
                       "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
                       "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/></union>");
    for (int i = 0; i < n; i++) {
        g_string_append_printf(x, "<reg name=\"xmm%d\" bitsize=\"128\" type=\"vec128\"/>", i);
    }
    g_string_append(x, "<reg name=\"mxcsr\" bitsize=\"32\" type=\"int\" group=\"vector\"/></feature>");
    if (is64) {
        g_string_append(x, "<feature name=\"org.gnu.gdb.i386.segments\">"
                           "<reg name=\"fs_base\" bitsize=\"64\" type=\"int\"/>"
                           "<reg name=\"gs_base\" bitsize=\"64\" type=\"int\"/></feature>");
    }
    g_string_append(x, "</target>");
    return g_string_free(x, FALSE);
}

const char *x86_gdb_xml(Cpu *cpu, const char *annex)
{
    static char *text[2];
    bool is64 = wide(cpu);

    if (strcmp(annex, "target.xml")) {
        return NULL;
    }
    if (!text[is64]) {
        text[is64] = describe_registers(is64);
    }
    return text[is64];
}
