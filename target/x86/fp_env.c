/*
 * FLDENV, FNSTENV, FRSTOR, FNSAVE and MASKMOV on the FXSAVE image in the state.
 *
 * SDM volume 1, figures 8-9 to 8-12: four layouts of the environment, by operand size and mode.
 */
#include "target/x86/fp_state.h"

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static unsigned register_tag(const uint8_t *st)
{
    uint64_t significand;
    unsigned exponent = (st[8] | st[9] << 8) & 0x7fff;

    memcpy(&significand, st, 8);
    if (exponent == 0) {
        return significand == 0 ? TAG_ZERO : TAG_SPECIAL;
    }
    return exponent == 0x7fff || !(significand >> 63) ? TAG_SPECIAL : TAG_VALID;
}

static unsigned full_tags(const FxImage *fx)
{
    unsigned tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        unsigned tag = fx->tags >> i & 1 ? register_tag(fx->st[(i - fx_top(fx)) & 7]) : TAG_EMPTY;

        tags |= tag << i * 2;
    }
    return tags;
}

/* The pointers are zero, so that real and protected mode differ in nothing. */
static unsigned build_environment(const FxImage *fx, bool wide, uint8_t *env)
{
    uint16_t words[3] = {fx->fcw, fx->fsw, full_tags(fx)};

    memset(env, 0, 28);
    for (unsigned i = 0; i < 3; i++) {
        memcpy(env + i * (wide ? 4 : 2), &words[i], 2);
        if (wide) {
            memset(env + i * 4 + 2, 0xff, 2);
        }
    }
    if (wide) {
        memset(env + 26, 0xff, 2);
    }
    return wide ? 28 : 14;
}

static void load_environment(FxImage *fx, bool wide, const uint8_t *env)
{
    uint16_t words[3];

    for (unsigned i = 0; i < 3; i++) {
        memcpy(&words[i], env + i * (wide ? 4 : 2), 2);
    }
    x86_fx_set_words(fx, words[0], words[1]);
    fx->tags = 0;
    for (unsigned i = 0; i < 8; i++) {
        if ((words[2] >> i * 2 & 3) != TAG_EMPTY) {
            fx->tags |= 1 << i;
        }
    }
}

/* Registers do not move when TOP changes, but the image begins with ST(0). */
static void rotate_registers(FxImage *fx, unsigned old_top)
{
    uint8_t st[8][16];
    unsigned shift = fx_top(fx) - old_top;

    memcpy(st, fx->st, sizeof(st));
    for (unsigned i = 0; i < 8; i++) {
        memcpy(fx->st[i], st[(i + shift) & 7], 16);
    }
}

uint64_t helper_fp_fnstenv(X86State *s, uint64_t addr, uint64_t wide, uint64_t c, uint64_t d)
{
    FxImage *fx = fx_image(s);
    uint8_t env[28];
    unsigned size = build_environment(fx, wide, env);

    x86_fp_write(s, addr, env, size, tcg_caller_pc(s));
    x86_fx_set_words(fx, fx->fcw | FCW_MASKS, fx->fsw);
    return 0;
}

uint64_t helper_fp_fldenv(X86State *s, uint64_t addr, uint64_t wide, uint64_t c, uint64_t d)
{
    FxImage *fx = fx_image(s);
    uintptr_t retaddr = tcg_caller_pc(s);
    unsigned top = fx_top(fx);
    uint8_t env[28];

    if (fx->fsw & FSW_ES) {
        x86_raise_x87(s, retaddr);
    }
    x86_fp_read(s, addr, env, wide ? 28 : 14, retaddr);
    load_environment(fx, wide, env);
    rotate_registers(fx, top);
    return 0;
}

uint64_t helper_fp_fnsave(X86State *s, uint64_t addr, uint64_t wide, uint64_t c, uint64_t d)
{
    FxImage *fx = fx_image(s);
    uint8_t area[108];
    unsigned size = build_environment(fx, wide, area), top;

    for (unsigned i = 0; i < 8; i++, size += 10) {
        memcpy(area + size, fx->st[i], 10);
    }
    x86_fp_write(s, addr, area, size, tcg_caller_pc(s));
    top = fx_top(fx);
    x86_fx_init_x87(fx);
    rotate_registers(fx, top);
    x86_fp_clear_ferr(s);
    return 0;
}

uint64_t helper_fp_frstor(X86State *s, uint64_t addr, uint64_t wide, uint64_t c, uint64_t d)
{
    FxImage *fx = fx_image(s);
    uintptr_t retaddr = tcg_caller_pc(s);
    uint8_t area[108];
    unsigned at = wide ? 28 : 14;

    if (fx->fsw & FSW_ES) {
        x86_raise_x87(s, retaddr);
    }
    x86_fp_read(s, addr, area, at + 80, retaddr);
    load_environment(fx, wide, area);
    for (unsigned i = 0; i < 8; i++, at += 10) {
        memset(fx->st[i], 0, 16);
        memcpy(fx->st[i], area + at, 10);
    }
    return 0;
}

static void raise_pending(X86State *s, uintptr_t retaddr)
{
    if (fx_image(s)->fsw & FSW_ES) {
        x86_raise_x87(s, retaddr);
    }
}

static void enter_mmx(FxImage *fx)
{
    unsigned top = fx_top(fx);

    fx->fsw &= ~(7 << FSW_TOP_SHIFT);
    fx->tags = 0xff;
    rotate_registers(fx, top);
}

void x86_fx_to_mmx(X86State *s, uintptr_t retaddr)
{
    raise_pending(s, retaddr);
    enter_mmx(fx_image(s));
}

/* (linear address, value register | mask register << 4 | bytes << 8) */
uint64_t helper_fp_maskmov(X86State *s, uint64_t addr, uint64_t operands, uint64_t c, uint64_t d)
{
    Cpu *cpu = s->hot.cpu;
    FxImage *fx = fx_image(s);
    uintptr_t retaddr = tcg_caller_pc(s);
    unsigned from = operands & 15, by = operands >> 4 & 15, size = operands >> 8;
    unsigned mode = guest_ops(cpu)->mmu_mode(cpu, false);
    const uint8_t *value = fx->xmm[from], *mask = fx->xmm[by];

    if (size == 8) {
        raise_pending(s, retaddr);
    }
    x86_fp_probe(s, addr, size, MMU_STORE, retaddr);
    if (size == 8) {
        enter_mmx(fx);
        value = fx->st[from];
        mask = fx->st[by];
    }
    for (unsigned i = 0; i < size; i++) {
        if (mask[i] & 0x80) {
            engine.store(cpu, addr + i, value[i], 1, mode, retaddr);
        }
    }
    return 0;
}
