/*
 * Storing and loading FP state: FXSAVE and FXRSTOR, pending exceptions.
 *
 * The helpers here work on the image in the state; the call stores it from the host's registers
 * before and loads it after (EFFECT_FP). Instruction and data pointers read as zero: the host's own
 * mean nothing to the guest.
 */
#include "target/x86/fp_state.h"
#include "target/x86/svm.h"

#include "core/line.h"
#include "core/lock.h"

/* Of X86State.fp_ferr. */
enum { FERR_ASSERTED = 1, FERR_IGNNE = 2 };

enum {
    XMM_BYTES_32 = 8 * 16, /* outside of 64-bit mode */
    XMM_BYTES_64 = 16 * 16,
};

uint32_t x86_mxcsr_mask(void)
{
    static gsize mask;

    if (g_once_init_enter(&mask)) {
        FxImage fx __attribute__((aligned(16))) = {0};

        __asm__ volatile("fxsave64 %0" : "=m"(fx));
        /* The first SSE processors leave 0 there, for one without DAZ. */
        g_once_init_leave(&mask, (fx.mxcsr_mask ? fx.mxcsr_mask : 0xffbf) & 0xffff);
    }
    return mask;
}

void x86_fx_init_x87(FxImage *fx)
{
    fx->fcw = FCW_INIT;
    fx->fsw = 0;
    fx->tags = 0;
    fx->fop = 0;
    fx->fip = fx->fdp = 0;
}

void x86_fx_set_words(FxImage *fx, unsigned fcw, unsigned fsw)
{
    fx->fcw = (fcw & FCW_WRITABLE) | FCW_ALWAYS;
    fx->fsw = fsw & ~(FSW_ES | FSW_B);
    if (fsw & ~fcw & FSW_EXCEPTIONS) {
        fx->fsw |= FSW_ES | FSW_B;
    }
}

void x86_fp_reset(X86State *s)
{
    FxImage *fx = fx_image(s);

    memset(s->fx, 0, sizeof(s->fx));
    memset(s->xsave_header, 0, sizeof(s->xsave_header));
    memset(s->ymm_high, 0, sizeof(s->ymm_high));
    x86_fx_init_x87(fx);
    fx->mxcsr = MXCSR_INIT;
    fx->mxcsr_mask = x86_mxcsr_mask();
    s->fp_ferr = 0;
    s->hot.fp_loaded = 0;
}

static uint64_t wrap(const X86State *s, uint64_t addr)
{
    return s->mode_flags & MODE_CS64 ? addr : (uint32_t)addr;
}

static unsigned mmu_mode(X86State *s)
{
    return guest_ops(s->hot.cpu)->mmu_mode(s->hot.cpu, false);
}

/* What is beyond 4 GiB outside of 64-bit mode is at 0: of this size. */
static unsigned wrapped(const X86State *s, uint64_t addr, unsigned size)
{
    uint64_t room = (UINT64_C(1) << 32) - (uint32_t)addr;

    return s->mode_flags & MODE_CS64 || size <= room ? 0 : size - room;
}

void *x86_fp_probe(X86State *s, uint64_t addr, unsigned size, MmuAccess access, uintptr_t retaddr)
{
    unsigned rest = wrapped(s, addr, size);
    void *host = engine.probe(s->hot.cpu, wrap(s, addr), size - rest, access, mmu_mode(s), retaddr);

    if (rest) {
        engine.probe(s->hot.cpu, 0, rest, access, mmu_mode(s), retaddr);
    }
    return rest ? NULL : host;
}

/* How much of an area of this size lies on the address's page. */
static unsigned on_page(uint64_t addr, unsigned size)
{
    return MIN(size, GUEST_PAGE_SIZE - (addr & (GUEST_PAGE_SIZE - 1)));
}

/* Of so many bytes on a page: what an access takes. An area at an odd address has an odd number of them. */
static unsigned one_access(unsigned left)
{
    return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

void x86_fp_read(X86State *s, uint64_t addr, void *buf, unsigned size, uintptr_t retaddr)
{
    Cpu *cpu = s->hot.cpu;
    unsigned mode = mmu_mode(s);
    uint8_t *to = buf;

    for (unsigned i = 0, step; i < size; i += step) {
        unsigned part = on_page(addr + i, size - i);
        const void *host = part >= 16 ? engine.probe(cpu, wrap(s, addr + i), part, MMU_LOAD, mode, retaddr) : NULL;

        if (host) {
            step = part;
            memcpy(to + i, host, step);
        } else {
            uint64_t value;

            step = one_access(part);
            value = engine.load(cpu, wrap(s, addr + i), step, mode, retaddr);
            memcpy(to + i, &value, step);
        }
    }
}

void x86_fp_write(X86State *s, uint64_t addr, const void *buf, unsigned size, uintptr_t retaddr)
{
    Cpu *cpu = s->hot.cpu;
    unsigned mode = mmu_mode(s);
    const uint8_t *from = buf;
    void *host = x86_fp_probe(s, addr, size, MMU_STORE, retaddr);

    if (host) {
        memcpy(host, buf, size);
        return;
    }
    for (unsigned i = 0, step; i < size; i += step) {
        unsigned part = on_page(addr + i, size - i);

        host = part >= 16 && part < size ? engine.probe(cpu, wrap(s, addr + i), part, MMU_STORE, mode, retaddr) : NULL;
        if (host) {
            step = part;
            memcpy(host, from + i, step);
        } else {
            uint64_t value = 0;

            step = one_access(part);
            memcpy(&value, from + i, step);
            engine.store(cpu, wrap(s, addr + i), value, step, mode, retaddr);
        }
    }
}

unsigned x86_fx_xmm_bytes(const X86State *s)
{
    return s->mode_flags & MODE_CS64 ? XMM_BYTES_64 : XMM_BYTES_32;
}

void x86_fx_hide_host(FxImage *fx)
{
    fx->reserved = 0;
    fx->fop = 0;
    fx->fip = fx->fdp = 0;
    fx->mxcsr_mask = x86_mxcsr_mask();
}

FxImage x86_fx_guest_image(X86State *s)
{
    FxImage fx = *fx_image(s);

    x86_fx_hide_host(&fx);
    return fx;
}

/* (linear address) */
uint64_t helper_fp_fxsave(X86State *s, uint64_t addr, uint64_t b, uint64_t c, uint64_t d)
{
    unsigned size = FX_X87_BYTES + x86_fx_xmm_bytes(s);
    uintptr_t retaddr = tcg_caller_pc(s);
    void *host = engine.probe(s->hot.cpu, addr, size, MMU_STORE, mmu_mode(s), retaddr);

    if (host) {
        memcpy(host, fx_image(s), size);
        x86_fx_hide_host(host);
    } else {
        FxImage fx = x86_fx_guest_image(s);

        x86_fp_write(s, addr, &fx, size, retaddr);
    }
    return 0;
}

void x86_fx_check_mxcsr(X86State *s, uint32_t mxcsr, uintptr_t retaddr)
{
    if (mxcsr & ~x86_mxcsr_mask()) {
        x86_raise_error(s, EXC_GP, 0, retaddr);
    }
}

void x86_fx_load_x87(FxImage *fx, const FxImage *from)
{
    x86_fx_set_words(fx, from->fcw, from->fsw);
    fx->tags = from->tags;
    memcpy(fx->st, from->st, sizeof(fx->st));
    for (unsigned i = 0; i < 8; i++) {
        memset(&fx->st[i][10], 0, 6);
    }
}

/* (linear address) */
uint64_t helper_fp_fxrstor(X86State *s, uint64_t addr, uint64_t b, uint64_t c, uint64_t d)
{
    uintptr_t retaddr = tcg_caller_pc(s);
    unsigned size = FX_X87_BYTES + x86_fx_xmm_bytes(s);
    const FxImage *from = engine.probe(s->hot.cpu, addr, size, MMU_LOAD, mmu_mode(s), retaddr);
    FxImage *fx = fx_image(s), copy;
    uint32_t mxcsr;

    if (!from) {
        x86_fp_read(s, addr, &copy, size, retaddr);
        from = &copy;
    }
    mxcsr = *(const volatile uint32_t *)&from->mxcsr; /* once: what is checked is what is loaded */
    x86_fx_check_mxcsr(s, mxcsr, retaddr);
    x86_fx_load_x87(fx, from);
    fx->mxcsr = mxcsr;
    memcpy(fx->xmm, from->xmm, x86_fx_xmm_bytes(s));
    return 0;
}

/*
 * With CR0.NE = 0 an x87 exception goes out on FERR# to IRQ 13, and the processor waits in front of
 * the instruction until that arrives. The handler's write to port F0 asserts IGNNE#; then the
 * exception is ignored until it is cleared.
 */
static void set_ferr(X86State *s, bool level)
{
    bool taken = machine_lock_if();

    line_set(s->ferr_line, level);
    machine_unlock_if(taken);
}

void x86_fp_clear_ferr(X86State *s)
{
    if (s->fp_ferr & FERR_ASSERTED) {
        set_ferr(s, false);
    }
    s->fp_ferr = 0;
}

void x86_fp_ignne(Cpu *cpu)
{
    X86State *s = x86_state(cpu);

    if (s->fp_ferr & FERR_ASSERTED) {
        set_ferr(s, false);
        s->fp_ferr = FERR_IGNNE;
    }
}

void x86_raise_x87(X86State *s, uintptr_t retaddr)
{
    FxImage *fx = fx_image(s);

    if (s->cr0 & CR0_NE) {
        x86_raise(s, EXC_MF, retaddr);
    }
    if (s->fp_ferr & FERR_IGNNE) {
        /* The host knows no IGNNE#: masked, the pending exception does no more harm. */
        x86_fx_set_words(fx, fx->fcw | FCW_MASKS, fx->fsw);
    } else if (!(s->fp_ferr & FERR_ASSERTED)) {
        if (svm_intercepts(s, SVM_EXIT_FERR_FREEZE)) {
            svm_exit(s, (X86SvmExit){ .code = SVM_EXIT_FERR_FREEZE }, retaddr);
        }
        s->fp_ferr |= FERR_ASSERTED;
        set_ferr(s, true);
    }
    if (retaddr) {
        tcg_restore(s, retaddr);
    }
    tcg_unwind(s, TCG_EXIT_LOOKUP);
}
