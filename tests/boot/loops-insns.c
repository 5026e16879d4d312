/*
 * Makes random loops: bodies of instructions on moving pointers, with branches, calls and inner loops, that end. Which flags the
 * manuals leave undefined is followed, so that none of them is looked at.
 */
#include "loops.h"

#include <string.h>

uint64_t random_state;

uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1d;
}

unsigned below(unsigned n)
{
    return (random_next() >> 32) * n >> 32;
}

static uint8_t *code; /* where the loop is written */
static unsigned size, head; /* head: where an iteration begins */
static unsigned undefined;      /* flags, at this point */
static unsigned undefined_out;  /* where the loop is left early */
static unsigned to_end[16], n_to_end;
static unsigned to_function[8], n_to_function;
static unsigned before, before_end; /* code in front of the loop that it has not gone through yet, or 0; where it is left */
static int fixed_pointer;       /* steps at the loop's end only */
static int end_register;        /* what it is compared with */
static bool has_avx, avx_now, keeps_carry, changes_itself, uses_x87, in_inner;
static unsigned fields[16], n_fields; /* immediates that the loop may change */

static void byte(unsigned value)
{
    code[size++] = value;
}

static void word(uint32_t value)
{
    memcpy(code + size, &value, 4);
    size += 4;
}

typedef struct Mem {
    int base, index; /* -1: none */
    unsigned scale;
    int32_t disp;
} Mem;

static int one_of(const char *registers)
{
    int reg = registers[below(strlen(registers))] - 'a';

    return IS64 || reg < 8 ? reg : AX;
}

#define INDICES (IS64 ? "bfo" : "bf")

/* Data goes here. ECX counts, 64-bit code's R11 or EBP may be an end, R15 or EBP an inner count. */
static int value_register(void)
{
    static const char *all;
    int reg;

    all = IS64 ? "acijklp" : "ac";
    do {
        reg = one_of(all);
    } while (reg == end_register || (in_inner && reg == R15));
    return reg;
}

static int pointer(void)
{
    return one_of(POINTERS);
}

static Mem random_memory(void)
{
    Mem m = { .base = pointer(), .index = -1 };

    if (below(3) == 0) {
        m.index = one_of(INDICES);
        m.scale = below(4);
    }
    switch (below(5)) {
    case 0:
        break;
    case 1:
        m.disp = below(8) * 16;
        break;
    case 2:
        m.disp = (int)below(600) - 300;
        break;
    case 3:
        m.disp = ((int)below(32) - 16) * 8;
        break;
    default:
        m.disp = ((int)below(16) - 8) * 4;
    }
    if (below(40) == 0) {
        m = (Mem){ .base = -1, .index = one_of(INDICES), .scale = below(4), .disp = DATA + 2 * PAGE + (int)below(PAGE) };
    }
    return m;
}

/* ModRM, SIB and displacement. */
static void operand(unsigned reg, const Mem *m)
{
    unsigned index = m->index < 0 ? 4 : m->index & 7, mod = 2;

    if (m->base < 0) {
        mod = 0;
    } else if (m->disp == 0 && (m->base & 7) != 5 && below(4)) {
        mod = 0;
    } else if (m->disp == (int8_t)m->disp && below(4)) {
        mod = 1;
    }
    if (m->index < 0 && m->base >= 0 && (m->base & 7) != 4) {
        byte(mod << 6 | (reg & 7) << 3 | (m->base & 7));
    } else {
        byte(mod << 6 | (reg & 7) << 3 | 4);
        byte(m->scale << 6 | index << 3 | (m->base < 0 ? 5 : m->base & 7));
    }
    if (mod == 1) {
        byte(m->disp);
    } else if (mod == 2 || m->base < 0) {
        word(m->disp);
    }
}

enum { W = 0x100, REX = 0x200 /* always */, M0F = 0x1000, M38 = 0x2000, M3A = 0x3000, MAPS = 0x3000 };

/* An opcode with its map, the prefix before it, and a ModRM operand: a register if m is NULL. */
static void insn(unsigned prefix, unsigned opcode, int reg, const Mem *m, int rm)
{
    unsigned rex = IS64 ? (opcode & W ? 8 : 0) | reg >> 3 << 2 : 0;

    if (IS64) {
        rex |= m ? (m->index > 0 ? m->index >> 3 << 1 : 0) | (m->base > 0 ? m->base >> 3 : 0) : rm >> 3;
    }
    if (prefix) {
        byte(prefix);
    }
    if (rex || (opcode & REX && IS64)) {
        byte(0x40 | rex);
    }
    if (opcode & MAPS) {
        byte(0x0f);
        if ((opcode & MAPS) != M0F) {
            byte((opcode & MAPS) == M38 ? 0x38 : 0x3a);
        }
    }
    byte(opcode);
    if (m) {
        operand(reg, m);
    } else {
        byte(0xc0 | (reg & 7) << 3 | (rm & 7));
    }
}

static void vex(unsigned pp, unsigned map, bool w, bool l, unsigned opcode, int reg, int source, const Mem *m, int rm)
{
    bool x = m && m->index > 7, b = m ? m->base > 7 : rm > 7;

    byte(0xc4);
    byte((reg > 7 ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | map);
    byte((unsigned)w << 7 | (~source & 15) << 3 | (unsigned)l << 2 | pp);
    byte(opcode);
    if (m) {
        operand(reg, m);
    } else {
        byte(0xc0 | (reg & 7) << 3 | (rm & 7));
    }
}

/* 0: none of them is defined now. */
static int condition(void)
{
    static const unsigned reads[8] = { O, C, Z, C | Z, S, P, S | O, S | O | Z };

    for (unsigned i = 0; i < 8; i++) {
        unsigned cc = below(16);

        if (!(reads[cc >> 1] & undefined)) {
            return cc;
        }
    }
    return -1;
}

typedef struct Width {
    unsigned prefix, opcode; /* to be added */
    unsigned immediate;
    bool is_byte;
} Width;

static Width width(bool bytes)
{
    switch (below(bytes ? 6 : 5)) {
    case 0:
        return (Width){ 0x66, 1, 2, false };
    case 1:
    case 2:
        return (Width){ 0, IS64 ? 1 | W : 1, 4, false };
    case 5:
        return (Width){ 0, REX, 1, true };
    default:
        return (Width){ 0, 1, 4, false };
    }
}

static void immediate(unsigned bytes)
{
    uint32_t value = below(3) ? below(256) - 128 : (uint32_t)random_next();

    if (bytes == 4 && n_fields < 16 && !in_inner) {
        fields[n_fields++] = size;
    }
    memcpy(code + size, &value, bytes);
    size += bytes;
}

static void defines(unsigned flags, unsigned leaves_undefined)
{
    undefined = (undefined & ~flags) | leaves_undefined;
}

static void arithmetic(void)
{
    static const uint8_t ops[] = { 0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 7 };
    unsigned op = ops[below(sizeof(ops))];
    Width w = width(true);
    Mem m = random_memory();
    int reg = value_register();

    if ((op == 2 || op == 3) && undefined & C) {
        op = 0;
    }
    switch (below(6)) {
    case 0:
        insn(w.prefix, (8 * op + 2) | w.opcode, reg, NULL, value_register());
        break;
    case 1:
        insn(w.prefix, (8 * op) | w.opcode, reg, &m, 0);
        break;
    case 2:
        insn(w.prefix, 0x80 | w.opcode, op, &m, 0);
        immediate(w.immediate);
        break;
    case 3:
        insn(w.prefix, 0x80 | w.opcode, op, NULL, value_register());
        immediate(w.immediate);
        break;
    default:
        insn(w.prefix, (8 * op + 2) | w.opcode, reg, &m, 0);
    }
    defines(ALL, op == 1 || op == 4 || op == 6 ? A : 0);
}

static void moves(void)
{
    static const uint16_t extending[] = { M0F | 0xb6, M0F | 0xb7, M0F | 0xbe, M0F | 0xbf };
    Width w = width(true);
    Mem m = random_memory();
    int reg = value_register();

    switch (below(9)) {
    case 0:
    case 1:
        insn(w.prefix, 0x88 | w.opcode, value_register(), &m, 0);
        break;
    case 2:
        insn(w.prefix, 0xc6 | w.opcode, 0, &m, 0);
        immediate(w.immediate);
        break;
    case 3:
        insn(0, extending[below(4)] | (IS64 && below(2) ? W : 0), reg, &m, 0);
        break;
    case 4:
        insn(0, 0x8d | (IS64 && below(2) ? W : 0), reg, &m, 0); /* lea */
        break;
    case 5:
        w = width(false);
        insn(w.prefix, 0x8b | w.opcode, reg, NULL, below(3) ? value_register() : pointer());
        break;
    case 6: /* bytes 8 to 15 of AX or DX */
        m.base = m.base > 7 ? BX : m.base;
        m.index = -1;
        insn(0, 0x8a - 2 * below(2), 4 + 2 * (int)below(2), &m, 0);
        break;
    default:
        insn(w.prefix, 0x8a | w.opcode, reg, &m, 0);
    }
}

static void one_operand(void)
{
    Width w = width(true);
    Mem m = random_memory();
    const Mem *to = below(2) ? &m : NULL;
    int reg = value_register();
    unsigned op = below(8), count;

    switch (op) {
    case 0:
    case 1:
        insn(w.prefix, 0xfe | w.opcode, op, to, reg); /* inc, dec */
        defines(ALL & ~C, 0);
        break;
    case 2:
    case 3:
        insn(w.prefix, 0xf6 | w.opcode, op, to, reg); /* not, neg */
        defines(op == 3 ? ALL : 0, 0);
        break;
    case 4:
        insn(w.prefix, 0xd0 | w.opcode, 4 + below(2), to, reg); /* shl, shr by one */
        defines(ALL, A);
        break;
    case 5:
        count = 1 + below(w.is_byte ? 7 : 15);
        insn(w.prefix, 0xc0 | w.opcode, below(2) ? 7 : 5, to, reg); /* sar, shr */
        byte(count);
        defines(ALL, count == 1 ? A : A | O);
        break;
    case 6:
        count = 1 + below(w.is_byte ? 7 : 15);
        insn(w.prefix, 0xc0 | w.opcode, below(2), to, reg); /* rol, ror */
        byte(count);
        defines(C | O, count == 1 ? 0 : O);
        break;
    default:
        insn(w.prefix, 0x84 | w.opcode, value_register(), to, reg); /* test */
        defines(ALL, A);
    }
}

static void multiply_and_bits(void)
{
    Width w = width(false);
    Mem m = random_memory();
    const Mem *from = below(2) ? &m : NULL;
    int reg = value_register(), cc = condition();

    switch (below(6)) {
    case 0:
        insn(w.prefix, M0F | 0xae | w.opcode, reg, from, value_register()); /* imul */
        defines(C | O, S | Z | A | P);
        break;
    case 1:
        insn(w.prefix, M0F | 0xba | (w.opcode & W), 4 + below(4), from, reg); /* bt, bts, btr, btc */
        byte(below(16));
        defines(C, O | S | A | P);
        break;
    case 2:
        if (cc >= 0) {
            insn(0, M0F | REX | 0x90 | cc, 0, from, reg); /* set */
        }
        break;
    case 3:
        if (cc >= 0) {
            insn(w.prefix, M0F | 0x40 | cc | (w.opcode & W), reg, from, value_register()); /* cmov */
        }
        break;
    case 4:
        insn(w.prefix, M0F | 0xc0 | w.opcode, reg, &m, 0); /* xadd */
        defines(ALL, 0);
        break;
    default:
        if (below(2)) {
            byte(0xf0);
        }
        insn(w.prefix, M0F | 0xb0 | w.opcode, reg, &m, 0); /* cmpxchg */
        defines(ALL, 0);
    }
}

/* Quotients that do not fit are exceptions. */
static void divide(void)
{
    Mem m = random_memory();

    if (keeps_carry) {
        return;
    }
    insn(0, 0x31, DX, NULL, DX);
    insn(0, 0xf7, 6, below(2) ? &m : NULL, IS64 ? R8 : BX);
    defines(0, ALL);
}

static void stack(void)
{
    Mem m = random_memory();
    int reg = value_register();
    bool is_long = reg > 7;

    switch (below(4)) {
    case 0:
        insn(0, 0xff, 6, &m, 0); /* push */
        byte(0x58 + DX);         /* pop */
        break;
    case 1:
        byte(0x50 + AX);
        insn(0, 0x8f, 0, &m, 0);
        break;
    case 2:
        if (is_long) {
            byte(0x41);
        }
        byte(0x50 + (reg & 7));
        insn(0, 0x8b | (IS64 ? W : 0), value_register(), &(Mem){ SP, -1, 0, 0 }, 0);
        if (below(4)) {
            insn(0, 0x8d | (IS64 ? W : 0), SP, &(Mem){ SP, -1, 0, sizeof(Word) }, 0);
        }
        break;
    default:
        if (is_long) {
            byte(0x41);
        }
        byte(0x58 + (reg & 7));
    }
}

static void string(void)
{
    static const uint8_t ops[] = { 0xaa, 0xa4, 0xac, 0xae, 0xa6 };
    unsigned op = ops[below(5)];
    Width w = width(true);
    bool repeated = below(3) == 0;

    if (fixed_pointer == SI || fixed_pointer == DI) {
        return;
    }
    if (repeated) { /* ECX counts something else otherwise */
        byte(0x50 + CX);
        byte(0xb8 + CX);
        word(below(4) ? 1 + below(40) : 1 + below(below(4) ? 400 : 4000));
        byte(op < 0xac ? 0xf3 : 0xf2 + below(2));
    }
    if (w.prefix) {
        byte(w.prefix);
    }
    if (w.opcode & W) {
        byte(0x48);
    }
    byte(op | (w.opcode & 1));
    if (op == 0xae || op == 0xa6) {
        defines(ALL, 0);
    }
    if (repeated) {
        byte(0x58 + CX);
    }
}

static void vector(void)
{
    static const struct { uint8_t prefix, opcode, flags; } ops[] = {
        { 0, 0x10, 2 }, { 0, 0x11, 2 }, { 0xf2, 0x10, 2 }, { 0xf2, 0x11, 2 }, { 0xf3, 0x10, 2 }, { 0xf3, 0x11, 2 }, { 0x66, 0x10, 2 },
        { 0x66, 0x11, 2 }, { 0x66, 0x6f, 0 }, { 0x66, 0x7f, 0 }, { 0xf3, 0x6f, 0 }, { 0xf3, 0x7f, 0 }, { 0, 0x28, 0 }, { 0, 0x29, 0 },
        { 0xf2, 0x58, 0 }, { 0xf2, 0x59, 0 }, { 0xf2, 0x5c, 0 }, { 0xf3, 0x58, 0 }, { 0xf3, 0x59, 0 }, { 0, 0x58, 0 }, { 0x66, 0x59, 0 },
        { 0x66, 0xfe, 0 }, { 0x66, 0xef, 0 }, { 0x66, 0xd4, 0 }, { 0x66, 0xd6, 2 }, { 0xf3, 0x7e, 2 }, { 0x66, 0x60, 0 }, { 0x66, 0xdb, 0 },
        { 0x66, 0x74, 0 }, { 0x66, 0x2e, 1 }, { 0, 0x2f, 1 }, { 0, 0x14, 0 }, { 0xf2, 0x5d, 0 }, { 0xf3, 0x5a, 0 }, { 0xf2, 0x5a, 0 },
        { 0, 0x5b, 0 }, { 0xf2, 0x51, 0 }, { 0, 0xc2, 4 },
        { 0, 0x12, 2 }, { 0, 0x13, 2 }, { 0, 0x16, 2 }, { 0, 0x17, 2 }, { 0x66, 0x12, 2 }, { 0x66, 0x13, 2 }, { 0x66, 0x16, 2 },
        { 0x66, 0x17, 2 }, { 0xf3, 0x16, 0 }, { 0xf2, 0x12, 0 },
    };
    unsigned k = below(sizeof(ops) / sizeof(ops[0]));
    Mem m = random_memory();
    bool from_memory = ops[k].flags & 2 || below(3);

    insn(ops[k].prefix, M0F | ops[k].opcode, below(IS64 ? 16 : 8), from_memory ? &m : NULL, below(IS64 ? 16 : 8));
    if (ops[k].flags & 1) {
        defines(ALL, 0);
    }
    if (ops[k].flags & 4) {
        byte(below(8));
    }
}

static void vector_and_general(void)
{
    Mem m = random_memory();
    int reg = value_register(), xmm = below(8);

    switch (below(5)) {
    case 0:
        insn(0xf2, M0F | 0x2a | (IS64 && below(2) ? W : 0), xmm, below(2) ? &m : NULL, reg); /* cvtsi2sd */
        break;
    case 1:
        insn(0xf2, M0F | 0x2c | (IS64 && below(2) ? W : 0), reg, below(2) ? &m : NULL, xmm); /* cvttsd2si */
        break;
    case 2:
        insn(0x66, M0F | 0x6e | (IS64 && below(2) ? W : 0), xmm, below(2) ? &m : NULL, reg); /* movd */
        break;
    case 3:
        insn(0x66, M0F | 0x7e | (IS64 && below(2) ? W : 0), xmm, below(2) ? &m : NULL, reg);
        break;
    default:
        insn(0x66, M0F | 0xd7, reg, NULL, xmm); /* pmovmskb */
    }
}

static void avx(void)
{
    static const struct { uint8_t pp, map, opcode, flags; } ops[] = {
        { 0, 1, 0x10, 3 }, { 0, 1, 0x11, 3 }, { 1, 1, 0x6f, 1 }, { 1, 1, 0x7f, 1 }, { 2, 1, 0x6f, 1 }, { 2, 1, 0x7f, 1 },
        { 0, 1, 0x58, 0 }, { 1, 1, 0x59, 0 }, { 1, 1, 0xfe, 0 }, { 1, 1, 0xef, 0 }, { 1, 1, 0xdb, 0 }, { 3, 1, 0x58, 4 },
        { 2, 1, 0x59, 4 }, { 1, 2, 0xb8, 8 }, { 1, 2, 0x98, 8 }, { 1, 2, 0x00, 0 }, { 1, 2, 0x18, 3 }, { 1, 2, 0x58, 1 },
    };
    unsigned k = below(sizeof(ops) / sizeof(ops[0]));
    Mem m = random_memory();
    bool l = !(ops[k].flags & 4) && below(2), from_memory = ops[k].flags & 2 || below(3);

    if (below(24) == 0) {
        byte(0xc5);
        byte(0xf8);
        byte(0x77); /* vzeroupper */
        return;
    }
    vex(ops[k].pp, ops[k].map, ops[k].flags & 8 && below(2), l, ops[k].opcode, below(IS64 ? 16 : 8),
        ops[k].flags & 1 ? 0 : below(IS64 ? 16 : 8), from_memory ? &m : NULL, below(IS64 ? 16 : 8));
}

static void x87(void)
{
    Mem m = random_memory();

    uses_x87 = true;
    insn(0, below(2) ? 0xdd : below(2) ? 0xd9 : 0xdb, 0, &m, 0); /* fld, fild */
    for (unsigned n = below(3); n > 0; n--) {
        m = random_memory();
        if (below(3)) {
            insn(0, below(2) ? 0xdc : 0xd8, below(2) ? 0 : below(8) & 5, &m, 0); /* fadd, fmul ... */
        } else {
            byte(0xd8);
            byte(0xc0 | below(2) << 3 | below(3)); /* with ST(i) */
        }
    }
    if (below(6) == 0) {
        byte(0xdf);
        byte(0xf1); /* fcomip */
        defines(ALL, 0);
        return;
    }
    m = random_memory();
    insn(0, below(2) ? 0xdd : below(2) ? 0xd9 : 0xdb, 3, &m, 0); /* fstp, fistp */
}

static void step(void)
{
    static const int8_t steps[] = { 1, 2, 4, 8, 16, 32, 64, 12, 24, -8, -16, -4, 127, -1, 40 };
    int reg = below(4) ? pointer() : IS64 ? (int[]){ BP, R14 }[below(2)] : BP;
    int8_t by = steps[below(sizeof(steps))];
    unsigned w = IS64 ? W : 0;

    if (reg == fixed_pointer || reg == end_register || (!IS64 && in_inner && reg == BP)) {
        return;
    }
    switch (below(6)) {
    case 0:
        insn(0, 0x8d | w, reg, &(Mem){ reg, -1, 0, by }, 0);
        break;
    case 1:
        insn(0, 0x83 | w, 5, NULL, reg); /* sub */
        byte(by);
        defines(ALL, 0);
        break;
    case 2:
        insn(0, 0xff | w, below(2), NULL, reg);
        defines(ALL & ~C, 0);
        break;
    case 3:
        if (IS64 && below(4) == 0) {
            w = 0; /* clears the upper half */
        }
        /* fall through */
    default:
        insn(0, 0x83 | w, 0, NULL, reg);
        byte(by);
        defines(ALL, 0);
    }
}

/* A pointer is loaded, and made one that leads somewhere. */
static void chase(void)
{
    Mem m = random_memory();
    int reg = pointer();

    if (reg == fixed_pointer) {
        return;
    }
    insn(0, 0x8b, reg, &m, 0);
    insn(0, 0x81, 4, NULL, reg);
    word(0x3ff8 + below(2) * 7);
    insn(0, 0x81, 0, NULL, reg);
    word(DATA + PAGE);
    defines(ALL, 0);
}

/* Stores to an immediate of the loop, or close to it. */
static void change_code(void)
{
    int reg = below(2) ? CX : value_register();
    Mem m = { .base = -1, .index = -1 };

    if (n_fields && below(4)) {
        m.disp = (uintptr_t)code + fields[below(n_fields)];
    } else {
        m.disp = (uintptr_t)code + PAGE - CODE_AREA + below(32) * 4;
    }
    insn(0, below(4) ? 0x89 : 0x88 | REX, reg, &m, 0);
}

static void simple(void)
{
    switch (below(changes_itself ? 26 : 25)) {
    case 0: case 1: case 2: case 3: case 4:
        arithmetic();
        break;
    case 5: case 6: case 7: case 8: case 9:
        moves();
        break;
    case 10: case 11:
        one_operand();
        break;
    case 12:
        multiply_and_bits();
        break;
    case 13: case 14: case 15:
        step();
        break;
    case 16:
        below(3) ? stack() : below(2) ? string() : divide();
        break;
    case 17: case 18: case 19: case 20:
        avx_now && below(3) ? avx() : vector();
        break;
    case 21:
        vector_and_general();
        break;
    case 22: case 23:
        x87();
        break;
    case 24:
        chase();
        break;
    default:
        change_code();
    }
}

static void skip_some(void)
{
    int cc = condition();
    unsigned before = undefined, at;

    if (cc < 0) {
        return;
    }
    byte(0x0f);
    byte(0x80 | cc);
    at = size;
    word(0);
    for (unsigned n = 1 + below(2); n > 0; n--) {
        simple();
    }
    undefined |= before;
    memcpy(code + at, &(uint32_t){ size - at - 4 }, 4);
}

static void leave_early(void)
{
    int cc = condition();

    if (cc >= 0 && n_to_end < 16) {
        byte(0x0f);
        byte(0x80 | cc);
        to_end[n_to_end++] = size;
        word(0);
        undefined_out |= undefined;
    }
}

static void call(void)
{
    if (n_to_function < 8) {
        byte(0xe8);
        to_function[n_to_function++] = size;
        word(0);
        undefined = ALL; /* of the function nothing is known here */
        byte(0x0c); /* or al, 1: the function may return behind it */
        byte(1);
    }
}

static void swap(unsigned *a, unsigned *b)
{
    unsigned was = *a;

    *a = *b;
    *b = was;
}

static unsigned jump(unsigned to)
{
    byte(0xe9);
    word(to - size - 4);
    return size - 4;
}

static void patch(const unsigned *from, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        memcpy(code + from[i], &(uint32_t){ size - from[i] - 4 }, 4);
    }
}

static void some(void)
{
    for (unsigned n = 1 + below(2); n > 0; n--) {
        simple();
    }
}

/* Some code that comes after what is behind it, or that is in front of the loop. */
static void detour(void)
{
    unsigned flags = undefined, first, last;

    if (before && below(2)) {
        jump(before);
        patch(&before_end, 1);
        before = 0;
        undefined = ALL;
        return;
    }
    first = jump(0);
    undefined = ALL;
    some();
    last = jump(0);
    patch(&first, 1);
    swap(&flags, &undefined);
    some();
    jump(first + 4);
    patch(&last, 1);
    undefined = flags;
}

static void inner_loop(void)
{
    int reg = IS64 ? R15 : BP;
    unsigned top;

    if (in_inner || reg == end_register) {
        return;
    }
    insn(0, 0xc7, 0, NULL, reg); /* mov */
    word(1 + below(12));
    in_inner = true;
    undefined = ALL;
    top = size;
    for (unsigned n = 1 + below(3); n > 0; n--) {
        simple();
    }
    insn(0, 0xff, 1, NULL, reg); /* dec */
    in_inner = false;
    defines(ALL & ~C, keeps_carry ? 0 : C);
    byte(0x0f);
    byte(0x85);
    word(top - size - 4);
}

static void body(void)
{
    for (unsigned n = 1 + below(below(4) ? 4 : 10); n > 0; n--) {
        switch (below(32)) {
        case 0: case 1:
            skip_some();
            break;
        case 2:
            leave_early();
            break;
        case 3:
            if (below(3) == 0) {
                call();
            } else {
                inner_loop();
            }
            break;
        case 4:
            detour();
            break;
        default:
            simple();
        }
    }
}

static void branch_back(unsigned cc)
{
    if (size < 120 && below(2)) {
        byte(0x70 | cc);
        byte(head - size - 1);
    } else {
        byte(0x0f);
        byte(0x80 | cc);
        word(head - size - 4);
    }
}

/* Instructions that leave flags alone. */
static void quiet(void)
{
    for (unsigned n = below(3); n > 0; n--) {
        if (below(2)) {
            moves();
        } else {
            Mem m = random_memory();

            insn(0xf2, M0F | (below(2) ? 0x10 : 0x59), below(8), &m, 0);
        }
    }
}

enum { W64 = IS64 ? W : 0 };

/* The loop's count, a few, as a constant before its head. */
static void set_count(Word start)
{
    insn(0, 0xc7 | W64, 0, NULL, CX);
    word(start);
    head = size;
}

Loop loop_make(uint8_t *to, bool with_avx, const Word *back)
{
    unsigned count = 1 + (below(8) ? below(40) : below(700)), kind = below(6), by = 1 << below(5);
    bool is_short = kind != 5 && below(3) == 0;
    Word start, distance = 0;

    code = to;
    has_avx = with_avx;
    size = head = n_to_end = n_to_function = n_fields = 0;
    undefined_out = 0;
    in_inner = uses_x87 = false;
    changes_itself = below(24) == 0;
    if (changes_itself) {
        count = 1 + count % 12;
    }
    if (is_short) {
        count = 1 + below(6);
    }
    start = kind == 3 ? -(Word)count * by : kind == 4 ? 0 : count;
    avx_now = has_avx && below(2);
    fixed_pointer = end_register = -1;
    keeps_carry = kind <= 1;
    undefined = kind == 0 || kind == 2 || kind == 4 ? ALL : 0;
    if (kind == 1 || kind == 5) {
        undefined = 0;
    }
    if (kind == 5) {
        fixed_pointer = pointer();
        end_register = IS64 ? R11 : BP;
    }
    before = 0;
    if (below(8) == 0) {
        unsigned over = jump(0);

        before = size;
        undefined = ALL;
        some();
        before_end = jump(0);
        patch(&over, 1);
        undefined = ALL;
        head = size;
    }
    if (is_short) {
        set_count(start);
    }
    body();
    switch (kind) {
    case 0: /* the flags of DEC live on */
    case 1:
        insn(0, 0xff | W64, 1, NULL, CX);
        defines(ALL & ~C, C);
        quiet();
        branch_back(below(4) ? 5 : 15);
        break;
    case 2:
        byte(0xe2); /* loop: near only */
        if (size - head < 126) {
            byte(head - size - 1);
        } else {
            byte(0);
            insn(0, 0x83 | W64, 7, NULL, CX);
            byte(0);
            defines(ALL, 0);
            branch_back(15);
        }
        break;
    case 3: /* up to zero */
        insn(0, 0x83 | W64, 0, NULL, CX);
        byte(by);
        defines(ALL, 0);
        quiet();
        branch_back(below(2) ? 5 : 8);
        break;
    case 4:
        insn(0, 0x83 | (below(2) ? W64 : 0), 0, NULL, CX);
        byte(by);
        defines(ALL, 0);
        insn(0, 0x81, 7, NULL, CX);
        word(count * by);
        branch_back(below(2) ? 12 : 2);
        break;
    default:
        distance = by * count;
        insn(0, 0x83 | W64, 0, NULL, fixed_pointer);
        byte(by);
        defines(ALL, 0);
        insn(0, 0x3b | W64, fixed_pointer, NULL, end_register);
        branch_back(below(2) ? 2 : 5);
    }
    patch(to_end, n_to_end);
    undefined |= undefined_out;
    byte(0xff); /* jmp *back */
    byte(IS64 ? 0x24 : 0x25);
    if (IS64) {
        byte(0x25);
    }
    word((uint32_t)(uintptr_t)back);
    if (n_to_function) {
        unsigned flags = undefined, fields_before = n_fields, over;

        patch(to_function, n_to_function);
        undefined = ALL;
        moves();
        arithmetic();
        if (below(2)) {
            insn(0, 0xf6, 0, NULL, CX); /* test cl, 1 */
            byte(1);
            byte(0x74);
            byte(0);
            over = size;
            insn(0, 0x83 | W64, 0, &(Mem){ SP, -1, 0, 0 }, 0); /* returns behind what follows the call */
            byte(2);
            code[over - 1] = size - over;
        }
        byte(0xc3);
        undefined = flags;
        n_fields = fields_before;
    }
    return (Loop){ size, undefined, start, fixed_pointer, end_register, distance };
}
