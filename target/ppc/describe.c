/* Registers as text for the monitor and logs; CR and XER as the architecture has them. */
#include "target/ppc/internal.h"

#include <inttypes.h>

uint32_t ppc_get_cr(const PpcState *s)
{
    uint32_t cr = 0;

    for (unsigned i = 0; i < 8; i++) {
        cr = cr << 4 | s->cr[i];
    }
    return cr;
}

void ppc_set_cr(PpcState *s, uint32_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        s->cr[i] = value >> (28 - 4 * i) & 15;
    }
}

uint64_t ppc_get_xer(const PpcState *s)
{
    uint64_t xer = (uint32_t)s->so << 31 | (uint32_t)s->ov << 30 | (uint32_t)s->ca << 29 | s->xer_low;

    return ppc_isa(s, ISA_V300) ? xer | (uint32_t)s->ov32 << 19 | (uint32_t)s->ca32 << 18 : xer;
}

void ppc_set_xer(PpcState *s, uint64_t value)
{
    s->so = value >> 31 & 1;
    s->ov = value >> 30 & 1;
    s->ca = value >> 29 & 1;
    s->ov32 = value >> 19 & 1;
    s->ca32 = value >> 18 & 1;
    s->xer_low = value & ppc_xer_low_mask(s);
}

char *ppc_describe(Cpu *cpu, bool with_fpu)
{
    PpcState *s = ppc_state(cpu);
    GString *text = g_string_new(NULL);
    int width = ppc_isa(s, ISA_64) ? 16 : 8;

    g_string_append_printf(text, "NIP %0*" PRIx64 "   LR %0*" PRIx64 " CTR %0*" PRIx64 " XER %0*" PRIx64 " CPU#%d\n", width, s->pc,
                           width, s->lr, width, s->ctr, width, ppc_get_xer(s), cpu->index);
    g_string_append_printf(text, "MSR %0*" PRIx64 " HID0 %0*" PRIx64 "  CR %08x\n", width, s->msr, width, s->spr[SPR_HID0], ppc_get_cr(s));
    g_string_append_printf(text, "TB %08x %08x DECR %" PRIu64 "\n", (uint32_t)(ppc_timebase(cpu) >> 32), (uint32_t)ppc_timebase(cpu),
                           ppc_dec_read(s));
    for (unsigned i = 0; i < 32; i += 4) {
        g_string_append_printf(text, "GPR%02u", i);
        for (unsigned k = i; k < i + 4; k++) {
            g_string_append_printf(text, " %0*" PRIx64, width, s->gpr[k]);
        }
        g_string_append_c(text, '\n');
    }
    g_string_append_printf(text, " SRR0 %0*" PRIx64 "  SRR1 %0*" PRIx64 "    PVR %08x\n", width, s->spr[SPR_SRR0], width,
                           s->spr[SPR_SRR1], s->model->pvr);
    g_string_append_printf(text, "SPRG0 %0*" PRIx64 " SPRG1 %0*" PRIx64 "  SPRG2 %0*" PRIx64 "  SPRG3 %0*" PRIx64 "\n", width,
                           s->spr[SPR_SPRG0], width, s->spr[SPR_SPRG1], width, s->spr[SPR_SPRG2], width, s->spr[SPR_SPRG3]);
    g_string_append_printf(text, " SDR1 %0*" PRIx64 "   DAR %0*" PRIx64 "  DSISR %0*" PRIx64 "\n", width, s->spr[SPR_SDR1], width,
                           s->spr[SPR_DAR], width, s->spr[SPR_DSISR]);
    for (unsigned i = 0; with_fpu && i < 32; i += 4) {
        g_string_append_printf(text, "FPR%02u %016" PRIx64 " %016" PRIx64 " %016" PRIx64 " %016" PRIx64 "\n", i, s->vsr[i][0],
                               s->vsr[i + 1][0], s->vsr[i + 2][0], s->vsr[i + 3][0]);
    }
    if (with_fpu) {
        ppc_fp_settle(s);
        g_string_append_printf(text, "FPSCR %08" PRIx64 "\n", s->fpscr);
    }
    return g_string_free(text, FALSE);
}
