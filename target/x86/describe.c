/* The text of `info registers`. */
#include "target/x86/system.h"
#include "util/bits.h"

static void put_segment(GString *t, const X86State *s, const char *name, int index)
{
    const X86Segment *seg = &s->seg[index];

    g_string_append_printf(t, "%-3s=%04x %0*" PRIx64 " %08x %04x dpl=%d%s%s%s\n", name, seg->selector,
                           x86_has(s, FEAT_lm) ? 16 : 8, seg->base, seg->limit, seg->attr,
                           seg->attr >> SEG_DPL_SHIFT & 3, seg->attr & SEG_P ? "" : " absent",
                           seg->attr & SEG_DB ? " 32" : "", seg->attr & SEG_L ? " 64" : "");
}

static void put_flags(GString *t, uint32_t flags)
{
    static const struct {
        uint32_t bit;
        char letter;
    } letters[] = {
        { EFL_DF, 'D' }, { FLAG_OF, 'O' }, { FLAG_SF, 'S' }, { FLAG_ZF, 'Z' }, { FLAG_AF, 'A' }, { FLAG_PF, 'P' },
        { FLAG_CF, 'C' },
    };

    g_string_append(t, " [");
    for (unsigned i = 0; i < G_N_ELEMENTS(letters); i++) {
        g_string_append_c(t, flags & letters[i].bit ? letters[i].letter : '-');
    }
    g_string_append_c(t, ']');
}

static void put_fpu(GString *t, const X86State *s)
{
    int n = x86_has(s, FEAT_lm) ? 16 : 8;

    g_string_append_printf(t, "FCW=%04x FSW=%04x FTW=%02x MXCSR=%08x\n", load_le16(s->fx), load_le16(s->fx + 2),
                           s->fx[4], load_le32(s->fx + 24));
    for (int i = 0; i < 8; i++) {
        g_string_append_printf(t, "ST%d=%04x %016" PRIx64 "%c", i, load_le16(s->fx + 32 + 16 * i + 8),
                               load_le64(s->fx + 32 + 16 * i), i & 1 ? '\n' : ' ');
    }
    for (int i = 0; i < n; i++) {
        g_string_append_printf(t, "XMM%02d=%016" PRIx64 "%016" PRIx64 "%c", i, load_le64(s->fx + 160 + 16 * i + 8),
                               load_le64(s->fx + 160 + 16 * i), i & 1 ? '\n' : ' ');
    }
}

char *x86_describe(Cpu *cpu, bool with_fpu)
{
    static const char *const names[] = {
        "AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI", "8", "9", "10", "11", "12", "13", "14", "15",
    };
    /* The order that people read. */
    static const uint8_t order[] = { R_AX, R_BX, R_CX, R_DX, R_SI, R_DI, R_BP, R_SP, 8, 9, 10, 11, 12, 13, 14, 15 };
    static const char *const segs[] = { "ES", "CS", "SS", "DS", "FS", "GS", "LDT", "TR" };
    X86State *s = x86_state(cpu);
    bool is64 = is_long(s);
    int width = is64 ? 16 : 8;
    uint32_t flags = x86_eflags(s);
    GString *t = g_string_new(NULL);

    for (int i = 0; i < (is64 ? 16 : 8); i++) {
        int r = order[i];

        g_string_append_printf(t, "%c%-2s=%0*" PRIx64 "%c", is64 ? 'R' : 'E', names[r], width,
                               is64 ? s->reg[r] : (uint32_t)s->reg[r], i % 4 == 3 ? '\n' : ' ');
    }
    g_string_append_printf(t, "%cIP=%0*" PRIx64 " %cFL=%08x", is64 ? 'R' : 'E', width, s->pc, is64 ? 'R' : 'E', flags);
    put_flags(t, flags);
    g_string_append_printf(t, " CPL=%u II=%d A20=%d SMM=%d HLT=%d\n", s->cpl, s->interrupt_shadow, !s->a20_masked,
                           s->in_smm, (int)cpu->halted);
    for (int i = 0; i < S_COUNT; i++) {
        put_segment(t, s, segs[i], i);
    }
    g_string_append_printf(t, "GDT=     %0*" PRIx64 " %08x\n", is64 ? 16 : 8, s->gdtr.base, s->gdtr.limit);
    g_string_append_printf(t, "IDT=     %0*" PRIx64 " %08x\n", is64 ? 16 : 8, s->idtr.base, s->idtr.limit);
    g_string_append_printf(t, "CR0=%08" PRIx64 " CR2=%0*" PRIx64 " CR3=%0*" PRIx64 " CR4=%08" PRIx64 "\n", s->cr0, width,
                           s->cr2, width, s->cr3, s->cr4);
    for (int i = 0; i < 4; i++) {
        g_string_append_printf(t, "DR%d=%0*" PRIx64 " ", i, width, s->dr[i]);
    }
    g_string_append_printf(t, "\nDR6=%0*" PRIx64 " DR7=%0*" PRIx64 "\nEFER=%016" PRIx64 "\n", width, s->dr[6], width,
                           s->dr[7], s->efer);
    if (with_fpu) {
        put_fpu(t, s);
    }
    return g_string_free(t, FALSE);
}
