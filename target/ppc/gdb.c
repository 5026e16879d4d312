/*
 * Registers as gdb knows them (GDB manual, "PowerPC Features"). A model's description lists what it has, in this order, which is also
 * the order of their numbers: r0-r31, f0-f31, pc, msr, cr, lr, ctr, xer, fpscr; vr0-vr31, vscr, vrsave; vs0h-vs31h; ppr; dscr; tar;
 * or, on processors with SPE, ev0h-ev31h, acc, spefscr.
 */
#include "target/ppc/booke.h"

#include <string.h>

typedef enum Kind {
    K_GPR, K_FPR, K_PC, K_MSR, K_CR, K_LR, K_CTR, K_XER, K_FPSCR, K_VR, K_VSCR, K_VRSAVE, K_VSR_RIGHT, K_PPR, K_DSCR, K_TAR,
    K_SPE_HIGH, K_SPE_ACC, K_SPEFSCR,
} Kind;

enum { WIDTH = 0 }; /* size of a register that is as wide as the processor */

/* Registers in a row. A group with a feature's name begins this feature. */
typedef struct Group {
    const char *feature, *name; /* the name may have %u */
    Kind kind;
    unsigned count, size;       /* bytes */
    const char *type;           /* NULL: an integer of this size */
    uint64_t isa;               /* any of these */
} Group;

static const Group groups[] = {
    { "core", "r%u", K_GPR, 32, WIDTH, NULL, ISA_ALL },
    { "fpu", "f%u", K_FPR, 32, 8, "ieee_double", ISA_FPU },
    { "core", "pc", K_PC, 1, WIDTH, "code_ptr", ISA_ALL },
    { NULL, "msr", K_MSR, 1, WIDTH, NULL, ISA_ALL },
    { NULL, "cr", K_CR, 1, 4, NULL, ISA_ALL },
    { NULL, "lr", K_LR, 1, WIDTH, "code_ptr", ISA_ALL },
    { NULL, "ctr", K_CTR, 1, WIDTH, NULL, ISA_ALL },
    { NULL, "xer", K_XER, 1, 4, NULL, ISA_ALL },
    { "fpu", "fpscr", K_FPSCR, 1, 4, NULL, ISA_FPU },
    { "altivec", "vr%u", K_VR, 32, 16, "vec128", ISA_ALTIVEC },
    { NULL, "vscr", K_VSCR, 1, 4, NULL, ISA_ALTIVEC },
    { NULL, "vrsave", K_VRSAVE, 1, 4, NULL, ISA_ALTIVEC },
    { "vsx", "vs%uh", K_VSR_RIGHT, 32, 8, NULL, ISA_V206 },
    { "ppr", "ppr", K_PPR, 1, 8, NULL, ISA_V207 },
    { "dscr", "dscr", K_DSCR, 1, 8, NULL, ISA_V207 },
    { "tar", "tar", K_TAR, 1, 8, NULL, ISA_V207 },
    { "spe", "ev%uh", K_SPE_HIGH, 32, 4, NULL, ISA_E500 },
    { NULL, "acc", K_SPE_ACC, 1, 8, NULL, ISA_E500 },
    { NULL, "spefscr", K_SPEFSCR, 1, 4, NULL, ISA_E500 },
};

static bool has_group(const PpcState *s, const Group *g)
{
    return g->isa == ISA_ALL || ppc_isa(s, g->isa);
}

static unsigned size_of(const PpcState *s, const Group *g)
{
    return g->size != WIDTH ? g->size : ppc_isa(s, ISA_64) ? 8 : 4;
}

/* The group of a register's number, which becomes the index within; NULL: there is no such register. */
static const Group *find(const PpcState *s, int *number)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(groups) && *number >= 0; i++) {
        if (has_group(s, &groups[i])) {
            if (*number < (int)groups[i].count) {
                return &groups[i];
            }
            *number -= groups[i].count;
        }
    }
    return NULL;
}

/* ---- the description ---- */

static const char *const vector_types =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
    "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/><vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
    "<union id=\"vec128\"><field name=\"uint128\" type=\"uint128\"/><field name=\"v4_float\" type=\"v4f\"/>"
    "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
    "<field name=\"v16_int8\" type=\"v16i8\"/></union>";

/* A feature's groups need not be neighbours, nor does the order in which features are described count: registers have numbers. */
static void add_feature(const PpcState *s, const char *feature, GString *xml)
{
    const char *current = NULL;
    unsigned number = 0;

    g_string_append_printf(xml, "<feature name=\"org.gnu.gdb.power.%s\">%s", feature, strcmp(feature, "altivec") ? "" : vector_types);
    for (unsigned i = 0; i < G_N_ELEMENTS(groups); i++) {
        const Group *g = &groups[i];
        unsigned size = size_of(s, g);

        current = g->feature ? g->feature : current;
        if (!has_group(s, g)) {
            continue;
        }
        for (unsigned n = 0; n < g->count && !strcmp(current, feature); n++) {
            g_autofree char *name = g->count > 1 ? g_strdup_printf(g->name, n) : g_strdup(g->name);
            g_autofree char *type = g->type ? g_strdup(g->type) : g_strdup_printf("uint%u", 8 * size);

            g_string_append_printf(xml, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"/>", name, 8 * size, type, number + n);
        }
        number += g->count;
    }
    g_string_append(xml, "</feature>");
}

static char *describe(const PpcState *s)
{
    GString *xml = g_string_new("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>");
    const char *done[G_N_ELEMENTS(groups)] = { NULL };
    unsigned n_done = 0;

    g_string_append_printf(xml, "<architecture>powerpc:%s</architecture>",
                           ppc_isa(s, ISA_64) ? "common64" : ppc_isa(s, ISA_E500) ? "e500" : "common");
    for (unsigned i = 0; i < G_N_ELEMENTS(groups); i++) {
        if (groups[i].feature && has_group(s, &groups[i]) && !g_strv_contains(done, groups[i].feature)) {
            add_feature(s, groups[i].feature, xml);
            done[n_done++] = groups[i].feature;
        }
    }
    g_string_append(xml, "</target>");
    return g_string_free(xml, FALSE);
}

const char *ppc_gdb_xml(Cpu *cpu, const char *annex)
{
    static char *text; /* all processors of a machine are of one model */

    if (strcmp(annex, "target.xml")) {
        return NULL;
    }
    if (!text) {
        text = describe(ppc_state(cpu));
    }
    return text;
}

/* ---- values, in the byte order that the CPU has now ---- */

bool ppc_gdb_big_endian(Cpu *cpu)
{
    return !(ppc_state(cpu)->msr & MSR_LE);
}

static void put(const PpcState *s, uint8_t *buf, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        buf[s->msr & MSR_LE ? i : size - 1 - i] = value >> (8 * i);
    }
}

static uint64_t get(const PpcState *s, const uint8_t *buf, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)buf[s->msr & MSR_LE ? i : size - 1 - i] << (8 * i);
    }
    return value;
}

/* Where the left half of a vector register is in the buffer. */
static unsigned left_at(const PpcState *s)
{
    return s->msr & MSR_LE ? 8 : 0;
}

int ppc_gdb_read(Cpu *cpu, int number, uint8_t *buf)
{
    PpcState *s = ppc_state(cpu);
    const Group *g = find(s, &number);
    uint64_t value = 0;

    if (!g) {
        return 0;
    }
    switch (g->kind) {
    case K_GPR: value = s->gpr[number]; break;
    case K_FPR: value = s->vsr[number][0]; break;
    case K_PC: value = s->pc; break;
    case K_MSR: value = s->msr; break;
    case K_CR: value = ppc_get_cr(s); break;
    case K_LR: value = s->lr; break;
    case K_CTR: value = s->ctr; break;
    case K_XER: value = ppc_get_xer(s); break;
    case K_FPSCR:
        ppc_fp_settle(s);
        value = s->fpscr;
        break;
    case K_VR:
        put(s, buf + left_at(s), s->vsr[32 + number][0], 8);
        put(s, buf + (left_at(s) ^ 8), s->vsr[32 + number][1], 8);
        return g->size;
    case K_VSCR: value = s->vscr; break;
    case K_VRSAVE: value = s->vrsave; break;
    case K_VSR_RIGHT: value = s->vsr[number][1]; break;
    case K_PPR: value = s->spr[SPR_PPR]; break;
    case K_DSCR: value = s->spr[SPR_DSCR]; break;
    case K_TAR: value = s->spr[SPR_TAR]; break;
    case K_SPE_HIGH: value = s->gprh[number]; break;
    case K_SPE_ACC: value = s->spe_acc; break;
    case K_SPEFSCR: value = s->spr[SPR_SPEFSCR]; break;
    }
    put(s, buf, value, size_of(s, g));
    return size_of(s, g);
}

int ppc_gdb_write(Cpu *cpu, int number, const uint8_t *buf)
{
    PpcState *s = ppc_state(cpu);
    const Group *g = find(s, &number);
    uint64_t value;

    if (!g) {
        return 0;
    }
    value = get(s, buf, MIN(size_of(s, g), 8));
    switch (g->kind) {
    case K_GPR: s->gpr[number] = value; break;
    case K_FPR: s->vsr[number][0] = value; break;
    case K_PC: s->pc = value & PPC_PC_MASK; break;
    case K_MSR: ppc_set_msr(s, value); break;
    case K_CR: ppc_set_cr(s, value); break;
    case K_LR: s->lr = value; break;
    case K_CTR: s->ctr = value; break;
    case K_XER: ppc_set_xer(s, value); break;
    case K_FPSCR:
        ppc_fp_settle(s);
        s->fpscr = value;
        ppc_fp_update_fast(s);
        break;
    case K_VR:
        s->vsr[32 + number][0] = get(s, buf + left_at(s), 8);
        s->vsr[32 + number][1] = get(s, buf + (left_at(s) ^ 8), 8);
        break;
    case K_VSCR: s->vscr = value & 0x10001; break;
    case K_VRSAVE: s->vrsave = value; break;
    case K_VSR_RIGHT: s->vsr[number][1] = value; break;
    case K_PPR: s->spr[SPR_PPR] = value; break;
    case K_DSCR: s->spr[SPR_DSCR] = value; break;
    case K_TAR: s->spr[SPR_TAR] = value; break;
    case K_SPE_HIGH: s->gprh[number] = value; break;
    case K_SPE_ACC: s->spe_acc = value; break;
    case K_SPEFSCR: s->spr[SPR_SPEFSCR] = value; break;
    }
    return size_of(s, g);
}
