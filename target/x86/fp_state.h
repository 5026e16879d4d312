/* The FXSAVE image that X86State.fx is, and what works on it. */
#ifndef TARGET_X86_FP_STATE_H
#define TARGET_X86_FP_STATE_H

#include <string.h>

#include "target/x86/internal.h"

/* SDM volume 1, table 10-2: the 64-bit layout that the host loads and stores. */
typedef struct FxImage {
    uint16_t fcw, fsw;
    uint8_t tags, reserved;  /* a one: the physical register holds something */
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16];       /* from ST(0) on, whatever TOP is */
    uint8_t xmm[16][16];
    uint8_t unused[96];
} FxImage;

G_STATIC_ASSERT(sizeof(FxImage) == 512);

enum {
    FCW_MASKS = 0x3f, FCW_INIT = 0x37f, FCW_WRITABLE = 0x1f3f, FCW_ALWAYS = 0x40,
    FSW_EXCEPTIONS = 0x3f, FSW_ES = 0x80, FSW_TOP_SHIFT = 11, FSW_B = 0x8000,
    MXCSR_INIT = 0x1f80,
    XSTATE_X87 = 1, XSTATE_SSE = 2, XSTATE_AVX = 4, XSTATE_PKRU = 1 << 9,
    FX_X87_BYTES = 160, /* of an FXSAVE image up to the XMM registers */
    FX_MXCSR_AT = 24, FX_ST_AT = 32,
};

static inline FxImage *fx_image(X86State *s)
{
    return (FxImage *)s->fx;
}

static inline unsigned fx_top(const FxImage *fx)
{
    return fx->fsw >> FSW_TOP_SHIFT & 7;
}

/* As FNINIT leaves the x87 unit. */
void x86_fx_init_x87(FxImage *fx);
/* The control and status word of a load: reserved bits dropped, ES and B as they follow. */
void x86_fx_set_words(FxImage *fx, unsigned fcw, unsigned fsw);

/* What the guest may see of the image, and bytes of it that hold XMM registers in the current mode. */
FxImage x86_fx_guest_image(X86State *s);
void x86_fx_hide_host(FxImage *fx); /* in the first FX_ST_AT bytes: what is the host's own, or not kept */
unsigned x86_fx_xmm_bytes(const X86State *s);
void x86_fx_check_mxcsr(X86State *s, uint32_t mxcsr, uintptr_t retaddr); /* #GP(0) */
void x86_fx_load_x87(FxImage *fx, const FxImage *from);

/* What every MMX instruction does first: a pending x87 exception, then TOP is 0 and all registers are in use. */
void x86_fx_to_mmx(X86State *s, uintptr_t retaddr);
/* amd_vector.c: whether 3DNow! has this suffix, and only in its extensions. */
bool x86_3dnow_exists(unsigned suffix, bool *extended);

/* xsave.c. State components that XCR0 may enable on this model, those that are not as after a reset, and the size of an
 * area for some of them. */
uint64_t x86_xsave_supported(const X86State *s);
uint64_t x86_xsave_in_use(X86State *s);
unsigned x86_xsave_size(uint64_t components, bool compacted);
void x86_set_pkru(X86State *s, uint32_t value);

/* Guest memory at a linear address. All faults come before the first byte is written. */
void x86_fp_read(X86State *s, uint64_t addr, void *buf, unsigned size, uintptr_t retaddr);
void x86_fp_write(X86State *s, uint64_t addr, const void *buf, unsigned size, uintptr_t retaddr);
/* EngineOps.probe: faults as the access would; what it returns is for memory within a page. */
void *x86_fp_probe(X86State *s, uint64_t addr, unsigned size, MmuAccess access, uintptr_t retaddr);

#endif
