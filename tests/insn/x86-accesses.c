/* Sequences of accesses off few registers, for what the translator does with several of them at once. */
#include "target/x86/internal.h"
#include "tests/insn/x86-random.h"

void build_moves(Case *one, GRand *rand, NativeMode mode)
{
    static const uint8_t others[] = {R_AX, R_CX, R_DX, R_BP};
    enum { COUNT = 14, LOAD = 0x8b, STORE = 0x89, CMP = 0x39, ADD_IMM = 0x83 };
    uint8_t *begin = (uint8_t *)NATIVE_CODE, *at = begin, bases[] = {R_BX, R_SI, R_DI};
    int copied = -1; /* index of what BP is a copy of */

    for (unsigned i = 0; i < COUNT; i++) {
        unsigned kind = g_rand_int_range(rand, 0, 9), reg = others[g_rand_int_range(rand, 0, 4)];
        unsigned n = g_rand_int_range(rand, 0, 3), base = bases[n];

        if (mode == NATIVE_64) {
            *at++ = 0x48;
        }
        if (kind == 8 && copied >= 0 && bases[copied] != R_BP) {
            reg = bases[copied];
            bases[copied] = R_BP;
            kind = 0;
        }
        if (kind < 5) {
            reg = copied >= 0 && reg == R_BP ? R_AX : reg;
            *at++ = kind < 3 ? LOAD : STORE;
            *at++ = 0x40 | reg << 3 | base;
            *at++ = g_rand_int_range(rand, -16, 16) * 8 + (g_rand_int_range(rand, 0, 8) == 0);
        } else if (kind == 5) {
            reg = copied >= 0 && reg == R_BP ? R_CX : reg;
            copied = reg == R_BP ? (int)n : copied;
            *at++ = LOAD;
            *at++ = 0xc0 | reg << 3 | base;
        } else if (kind == 6) {
            *at++ = ADD_IMM;
            *at++ = 0xc0 | (reg == R_BP ? R_DX : reg);
            *at++ = 1 + g_rand_int_range(rand, 0, 100);
        } else {
            *at++ = CMP;
            *at++ = 0xc0 | base << 3 | reg;
        }
    }
    one->undefined = 0;
    g_string_assign(one->text, "moves:");
    for (uint8_t *p = begin; p < at; p++) {
        g_string_append_printf(one->text, " %02x", *p);
    }
    one->size = at - begin;
    native_finish(at, mode);
}

void build_choices(Case *one, GRand *rand, NativeMode mode)
{
    static const uint8_t bases[] = {R_BX, R_SI, R_DI}, chosen[] = {R_CX, R_DX, R_BP};
    enum { COUNT = 4 };
    uint8_t *begin = (uint8_t *)NATIVE_CODE;
    Code c = {.at = begin, .rand = rand, .is32 = mode != NATIVE_64};

    for (unsigned i = 0; i < COUNT; i++) {
        unsigned base = bases[any(&c, 3)], p = chosen[any(&c, 3)], kind = any(&c, 6), cc = any(&c, 16);

        /* cmp base, another; then lea p, [base+d]; cmovcc p, base (or another pointer) */
        bytes(&c, c.is32 ? 0x39 : 0x3948, c.is32 ? 1 : 2);
        byte(&c, 0xc0 | bases[any(&c, 3)] << 3 | base);
        if (kind < 4) {
            bytes(&c, c.is32 ? 0x8d : 0x8d48, c.is32 ? 1 : 2);
            byte(&c, 0x40 | p << 3 | base);
            byte(&c, any(&c, 64) - 32);
            bytes(&c, c.is32 ? 0x400f | cc << 8 : 0x400f48 | cc << 16, c.is32 ? 2 : 3);
            byte(&c, 0xc0 | p << 3 | (any(&c, 8) ? base : bases[any(&c, 3)]));
        } else { /* setcc al, or nothing; and eax, 7; lea p, [base+rax*4+d] */
            bytes(&c, 0xc0900f | cc << 8, kind == 4 ? 3 : 0);
            bytes(&c, any(&c, 2) ? 0x07e083 : 0x01e083, 3);
            bytes(&c, c.is32 ? 0x8d : 0x8d48, c.is32 ? 1 : 2);
            byte(&c, 0x44 | p << 3);
            byte(&c, 0x80 | base);
            byte(&c, any(&c, 64) - 32);
        }
        switch (any(&c, 8)) {
        case 0: /* the pointer becomes another, or moves on */
            bytes(&c, c.is32 ? 0x89 : 0x8948, c.is32 ? 1 : 2);
            byte(&c, 0xc0 | bases[any(&c, 3)] << 3 | base);
            break;
        case 1:
            bytes(&c, c.is32 ? 0x83 : 0x8348, c.is32 ? 1 : 2);
            byte(&c, 0xc0 | base);
            byte(&c, any(&c, 64));
            break;
        }
        if (!c.is32 && any(&c, 2)) {
            byte(&c, 0x48);
        }
        byte(&c, any(&c, 3) ? 0x8b : any(&c, 2) ? 0x89 : 0x01); /* load, store, or add to memory */
        byte(&c, 0x40 | (any(&c, 4) ? R_AX : p) << 3 | p);
        byte(&c, any(&c, 32));
    }
    one->undefined = 0;
    g_string_assign(one->text, "choices:");
    for (uint8_t *at = begin; at < c.at; at++) {
        g_string_append_printf(one->text, " %02x", *at);
    }
    one->undefined = FLAG_AF;
    one->size = c.at - begin;
    native_finish(c.at, mode);
}
