/*
 * XSAVE, XSAVEOPT, XSAVEC, XSAVES and their opposites (SDM volume 1, chapter 13).
 *
 * A component is in use when its registers differ from what a reset leaves. XSAVEOPT has no memory of
 * what it stored last: it only leaves out what is not in use. There are no supervisor components.
 */
#include "target/x86/fp_state.h"
#include "target/x86/system.h"

enum { HEADER_AT = 512, EXTENDED_AT = 576, AVX_BYTES = 256, PKRU_BYTES = 8 };
#define XCOMP_COMPACTED (UINT64_C(1) << 63)
enum { XSTATE_LEGACY = XSTATE_X87 | XSTATE_SSE };

static unsigned pkru_offset(uint64_t components, bool compacted)
{
    return EXTENDED_AT + (compacted && !(components & XSTATE_AVX) ? 0 : AVX_BYTES);
}

unsigned x86_xsave_size(uint64_t components, bool compacted)
{
    if (components & XSTATE_PKRU) {
        return pkru_offset(components, compacted) + PKRU_BYTES;
    }
    return EXTENDED_AT + (components & XSTATE_AVX ? AVX_BYTES : 0);
}

uint64_t x86_xsave_supported(const X86State *s)
{
    return XSTATE_LEGACY | (x86_has(s, FEAT_avx) ? XSTATE_AVX : 0) | (x86_has(s, FEAT_pku) ? XSTATE_PKRU : 0);
}

/* n: a multiple of 16. Vectors that are in use mostly show that at once, those that are not have to be looked at to the end. */
static bool all_zero(const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i += 16) {
        uint64_t words[2];

        memcpy(words, bytes + i, sizeof(words));
        if (words[0] | words[1]) {
            return false;
        }
    }
    return true;
}

uint64_t x86_xsave_in_use(X86State *s)
{
    const FxImage *fx = fx_image(s);
    uint64_t used = 0;

    if (fx->fcw != FCW_INIT || fx->fsw || fx->tags || !all_zero(fx->st[0], sizeof(fx->st))) {
        used |= XSTATE_X87;
    }
    if (fx->mxcsr != MXCSR_INIT || !all_zero(fx->xmm[0], sizeof(fx->xmm))) {
        used |= XSTATE_SSE;
    }
    if (!all_zero(s->ymm_high, sizeof(s->ymm_high))) {
        used |= XSTATE_AVX;
    }
    return used | (s->pkru ? XSTATE_PKRU : 0);
}

/* Cached translations were checked under the old rights: those of keys that matter go. */
void x86_set_pkru(X86State *s, uint32_t value)
{
    uint32_t changed = s->pkru ^ value;

    s->pkru = value;
    for (unsigned key = 0; key < 16; key++) {
        if (changed >> 2 * key & 3 && s->keys_cached >> key & 1) {
            s->keys_cached = 0;
            if (engine.flush_all) {
                engine.flush_all(s->hot.cpu);
            }
            return;
        }
    }
}

/* An area in memory: `host` is where it lies if it is within a page of plain memory, and NULL otherwise. */
typedef struct Area {
    X86State *s;
    uint64_t addr;
    uint8_t *host;
    uintptr_t ra;
} Area;

/* Faults as the access to all of it would. */
static Area area_at(X86State *s, uint64_t addr, unsigned size, MmuAccess access, uintptr_t ra)
{
    return (Area){ s, addr, x86_fp_probe(s, addr, size, access, ra), ra };
}

static void area_put(const Area *area, unsigned at, const void *bytes, unsigned size)
{
    if (area->host) {
        memcpy(area->host + at, bytes, size);
    } else {
        x86_fp_write(area->s, area->addr + at, bytes, size, area->ra);
    }
}

/* Where these bytes can be read: in the area itself or in `copy`. */
static const void *area_get(const Area *area, unsigned at, void *copy, unsigned size)
{
    if (area->host) {
        return area->host + at;
    }
    x86_fp_read(area->s, area->addr + at, copy, size, area->ra);
    return copy;
}

/* The data of these components, to an area that holds `layout`. */
static void store_components(const Area *area, uint64_t what, uint64_t layout, bool compacted)
{
    X86State *s = area->s;
    const FxImage *fx = fx_image(s);
    uint64_t pkru = s->pkru;
    FxImage head;

    memcpy(&head, fx, FX_ST_AT);
    x86_fx_hide_host(&head);
    if (what & XSTATE_X87) {
        area_put(area, 0, &head, FX_MXCSR_AT);
        area_put(area, FX_ST_AT, fx->st, sizeof(fx->st));
    }
    if (what & XSTATE_SSE || (!compacted && what & XSTATE_AVX)) {
        area_put(area, FX_MXCSR_AT, &head.mxcsr, 8);
    }
    if (what & XSTATE_SSE) {
        area_put(area, FX_X87_BYTES, fx->xmm, x86_fx_xmm_bytes(s));
    }
    if (what & XSTATE_AVX) {
        area_put(area, EXTENDED_AT, s->ymm_high, x86_fx_xmm_bytes(s));
    }
    if (what & XSTATE_PKRU) {
        area_put(area, pkru_offset(layout, compacted), &pkru, PKRU_BYTES);
    }
}

/* (linear address, EDX:EAX, whether only what is in use is stored: XSAVEOPT) */
uint64_t helper_fp_xsave(X86State *s, uint64_t addr, uint64_t mask, uint64_t optimised, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint64_t wanted = mask & s->xcr0, used = wanted & x86_xsave_in_use(s), present, copy;
    Area area = area_at(s, addr, x86_xsave_size(wanted, false), MMU_STORE, ra);

    memcpy(&present, area_get(&area, HEADER_AT, &copy, sizeof(copy)), sizeof(present));
    store_components(&area, optimised ? used : wanted, wanted, false);
    present = (present & ~wanted) | used;
    area_put(&area, HEADER_AT, &present, sizeof(present));
    return 0;
}

/* (linear address, EDX:EAX): XSAVEC and XSAVES. */
uint64_t helper_fp_xsavec(X86State *s, uint64_t addr, uint64_t mask, uint64_t c, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint64_t wanted = mask & s->xcr0, used = wanted & x86_xsave_in_use(s);
    uint64_t header[2] = {used, wanted | XCOMP_COMPACTED};
    Area area = area_at(s, addr, x86_xsave_size(wanted, true), MMU_STORE, ra);

    store_components(&area, used, wanted, true);
    area_put(&area, HEADER_AT, header, sizeof(header));
    return 0;
}

static void check_header(X86State *s, const uint64_t header[8], bool only_compacted, uintptr_t ra)
{
    bool compacted = header[1] & XCOMP_COMPACTED;
    uint64_t layout = header[1] & ~XCOMP_COMPACTED;
    bool bad = compacted ? header[0] & ~layout || layout & ~s->xcr0 : header[0] & ~s->xcr0 || header[1] || only_compacted;

    for (unsigned i = 2; i < (compacted ? 8 : 3); i++) {
        bad |= header[i] != 0;
    }
    if (bad) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
}

/* (linear address, EDX:EAX, whether the compacted format is the only one: XRSTORS) */
uint64_t helper_fp_xrstor(X86State *s, uint64_t addr, uint64_t mask, uint64_t only_compacted, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint64_t wanted = mask & s->xcr0, header[8], copied_header[8], present, pkru = 0;
    bool compacted;
    uint8_t copied_high[sizeof(s->ymm_high)];
    FxImage *fx = fx_image(s), copy;
    const FxImage *from;
    const uint8_t *high = NULL;
    Area area = area_at(s, addr, EXTENDED_AT, MMU_LOAD, ra);
    uint32_t mxcsr;

    memcpy(header, area_get(&area, HEADER_AT, copied_header, sizeof(header)), sizeof(header));
    check_header(s, header, only_compacted, ra);
    compacted = header[1] & XCOMP_COMPACTED;
    present = wanted & header[0];
    from = area_get(&area, 0, &copy, FX_X87_BYTES + sizeof(copy.xmm));
    if (present & XSTATE_AVX) {
        Area extended = area_at(s, addr + EXTENDED_AT, sizeof(copied_high), MMU_LOAD, ra);

        high = area_get(&extended, 0, copied_high, sizeof(copied_high));
    }
    if (present & XSTATE_PKRU) {
        x86_fp_read(s, addr + pkru_offset(header[1], compacted), &pkru, PKRU_BYTES, ra);
    }
    if (wanted & XSTATE_SSE || (!compacted && wanted & XSTATE_AVX)) {
        mxcsr = *(const volatile uint32_t *)&from->mxcsr; /* once: what is checked is what is loaded */
        if (compacted && !(present & XSTATE_SSE)) {
            mxcsr = MXCSR_INIT;
        }
        x86_fx_check_mxcsr(s, mxcsr, ra);
        fx->mxcsr = mxcsr;
    }
    if (present & XSTATE_X87) {
        x86_fx_load_x87(fx, from);
    } else if (wanted & XSTATE_X87) {
        x86_fx_init_x87(fx);
        memset(fx->st, 0, sizeof(fx->st));
    }
    if (present & XSTATE_SSE) {
        memcpy(fx->xmm, from->xmm, x86_fx_xmm_bytes(s));
    } else if (wanted & XSTATE_SSE) {
        memset(fx->xmm, 0, x86_fx_xmm_bytes(s));
    }
    if (high) {
        memcpy(s->ymm_high, high, x86_fx_xmm_bytes(s));
    } else if (wanted & XSTATE_AVX) {
        memset(s->ymm_high, 0, x86_fx_xmm_bytes(s));
    }
    if (wanted & XSTATE_PKRU) {
        x86_set_pkru(s, pkru);
    }
    return 0;
}
