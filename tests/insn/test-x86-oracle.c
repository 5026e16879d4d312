/*
 * Random integer instructions, on the host processor and through translation and the interpreter.
 *
 * Sequences of a few instructions are run natively and, from the same state, as blocks of many and
 * of single instructions, optimised and not. Registers, memory and the defined flags have to agree.
 * A template says which flags it reads, defines and leaves undefined (SDM volume 1, appendix A).
 * MYNA_SEED and MYNA_ROUNDS in the environment change what is run.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"
#include "target/x86/internal.h"
#include "tcg/tcg.h"

enum { C = FLAG_CF, P = FLAG_PF, A = FLAG_AF, Z = FLAG_ZF, S = FLAG_SF, O = FLAG_OF, ALL = FLAGS_ALL };

typedef enum Form {
    MODRM,    /* reg and rm at random; reg is the digit if one is given */
    OPREG,    /* a register in the opcode */
    PLAIN,    /* just the bytes */
    REG_ONLY, /* MODRM without memory */
    MEM_ONLY,
    CUSTOM,   /* the function writes everything */
} Form;

enum { BYTE = 1, WORD = 2, LONG = 4, QUAD = 8, V = WORD | LONG | QUAD, BV = V | BYTE, LQ = LONG | QUAD };
enum { IMM_NONE, IMM_B, IMM_Z, IMM_V, IMM_COUNT };
enum { LOCKABLE = 1, VEX = 2, ONLY64 = 4, ONLY32 = 8, NOT16 = 16 };

typedef struct Code {
    uint8_t *at;
    GRand *rand;
    bool is32; /* no REX: eight registers, ebp is the small index */
    bool is16; /* as is32, but all sizes are 16 bits without prefix: any address will do */
} Code;

typedef struct Template {
    const char *name;
    Form form;
    uint8_t prefix; /* mandatory, 0: none */
    uint8_t map;    /* 0: one byte, 1: 0f, 2: 0f38, 3: 0f3a */
    uint8_t opcode; /* of the byte form if there is one */
    int8_t digit;   /* -1: none */
    uint8_t sizes, imm, attr;
    uint32_t reads, defines, undefines;
    void (*custom)(Code *c);
} Template;

static uint32_t any(Code *c, uint32_t below)
{
    return g_rand_int_range(c->rand, 0, below);
}

static void byte(Code *c, uint8_t value)
{
    *c->at++ = value;
}

static void bytes(Code *c, uint64_t value, unsigned n)
{
    memcpy(c->at, &value, n);
    c->at += n;
}

static void string(Code *c, const char *hex)
{
    for (; hex[0] && hex[1]; hex += 2) {
        char two[3] = {hex[0], hex[1], 0};

        byte(c, strtoul(two, NULL, 16));
        if (hex[2] == ' ') {
            hex++;
        }
    }
}

static uint64_t random_value(GRand *rand)
{
    static const uint64_t special[] = {
        0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
        INT64_MAX, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 1, 0xffffffff80000000,
    };
    uint64_t value = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);

    switch (g_rand_int_range(rand, 0, 4)) {
    case 0:
        return special[value % G_N_ELEMENTS(special)];
    case 1:
        return value >> (g_rand_int(rand) & 63);
    default:
        return value;
    }
}

/* Either, or the first in 32-bit code. */
static const char *either(Code *c, const char *any_mode, const char *only64)
{
    return c->is32 || any(c, 2) ? any_mode : only64;
}

/* Registers that may change; rbx, rsi, rdi, r12, r13 point to data, r15 is a small index. */
static unsigned free_register(Code *c)
{
    static const uint8_t regs[] = {0, 1, 2, 5, 8, 9, 10, 11, 14};

    return regs[any(c, c->is32 ? 3 : sizeof(regs))];
}

static unsigned byte_register(Code *c, bool rex)
{
    static const uint8_t legacy[] = {0, 1, 2, 4, 5, 6};

    return rex ? free_register(c) : legacy[any(c, sizeof(legacy))];
}

typedef struct Operand {
    bool mem;
    unsigned rm, index, scale, mod;
    bool has_index;
    int32_t disp;
} Operand;

static void random_operand(Code *c, Operand *o, bool mem, unsigned reg)
{
    static const uint8_t bases[] = {3, 6, 7, 12, 13};

    *o = (Operand){.mem = mem, .rm = reg, .mod = 3};
    if (mem && c->is16) {
        o->rm = any(c, 8);
        o->mod = any(c, 3);
        o->disp = any(c, 0x10000);
    } else if (mem) {
        o->rm = bases[any(c, c->is32 ? 3 : sizeof(bases))];
        o->has_index = any(c, 2);
        o->index = c->is32 ? R_BP : R_15;
        o->scale = any(c, 4);
        o->mod = 1 + any(c, 2);
        o->disp = o->mod == 1 ? (int8_t)any(c, 256) : (int32_t)any(c, 2048) - 1024;
        if (any(c, 3) == 0 && (o->rm & 7) != 5) {
            o->mod = 0;
            o->disp = 0;
        }
    }
}

static void emit_operand(Code *c, const Operand *o, unsigned reg)
{
    if (c->is16) {
        byte(c, o->mod << 6 | (reg & 7) << 3 | o->rm);
        if (o->mod == 0 && o->rm == 6) {
            bytes(c, o->disp, 2);
        } else if (o->mod < 3) {
            bytes(c, o->disp, o->mod);
        }
        return;
    }
    bool sib = o->mem && (o->has_index || (o->rm & 7) == 4);

    byte(c, o->mod << 6 | (reg & 7) << 3 | (sib ? 4 : o->rm & 7));
    if (sib) {
        byte(c, o->has_index ? o->scale << 6 | (o->index & 7) << 3 | (o->rm & 7) : 4 << 3 | (o->rm & 7));
    }
    if (o->mem && o->mod) {
        bytes(c, o->disp, o->mod == 1 ? 1 : 4);
    }
}

static void emit_vex(Code *c, const Template *t, const Operand *o, unsigned reg, bool w)
{
    unsigned pp = t->prefix == 0x66 ? 1 : t->prefix == 0xf3 ? 2 : t->prefix == 0xf2 ? 3 : 0;
    bool no_source = t->map == 3;
    unsigned vvvv = no_source ? 0 : free_register(c);
    unsigned x = o->mem && o->has_index ? o->index >> 3 : 0;

    byte(c, 0xc4);
    byte(c, (reg & 8 ? 0 : 0x80) | (x ? 0 : 0x40) | (o->rm & 8 ? 0 : 0x20) | t->map);
    byte(c, w << 7 | (~vvvv & 15) << 3 | pp);
    byte(c, t->opcode);
    emit_operand(c, o, reg);
    if (t->imm == IMM_B) {
        byte(c, any(c, 256));
    }
}

static void emit(Code *c, const Template *t)
{
    unsigned size, n = 0, reg, rex = 0;
    uint8_t sizes[4];
    bool with_rex, mem;
    Operand o = {0};

    if (t->form == CUSTOM) {
        t->custom(c);
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        if (t->sizes & 1 << i && !(c->is32 && 1 << i == QUAD)) {
            sizes[n++] = 1 << i;
        }
    }
    size = n ? sizes[any(c, n)] : 0;
    mem = t->form == MEM_ONLY || (t->form == MODRM && any(c, 2));
    with_rex = !c->is32 && any(c, 2);
    reg = size == BYTE && t->map == 0 ? byte_register(c, with_rex) : free_register(c);
    if (t->digit >= 0) {
        reg = t->digit;
    }
    if (t->form == MODRM || t->form == REG_ONLY || t->form == MEM_ONLY) {
        bool narrow = size == BYTE || (t->map == 1 && (t->opcode & 0xf6) == 0xb6);

        random_operand(c, &o, mem, narrow && !with_rex ? byte_register(c, false) : free_register(c));
        /* Two-byte forms with byte operands mix kinds: both have to be legacy numbers or none. */
        if (narrow && !with_rex && t->digit < 0) {
            reg = byte_register(c, false);
            if (t->map == 1 && (t->opcode & 0xf6) == 0xb6) {
                reg = (const uint8_t[]){0, 1, 2, 5}[any(c, c->is32 ? 3 : 4)];
            }
        }
        rex = (t->digit < 0 ? (reg & 8) >> 1 : 0) | (mem && o.has_index ? o.index >> 3 << 1 : 0) | o.rm >> 3;
        if (narrow && rex && !with_rex) { /* memory wants REX: no high bytes then */
            with_rex = true;
            if (t->digit < 0) {
                reg = free_register(c);
                rex = (rex & ~4) | (reg & 8) >> 1;
            }
        }
    } else if (t->form == OPREG) {
        reg = size == BYTE ? byte_register(c, with_rex) : free_register(c);
        rex = reg >> 3;
    }
    if (t->attr & VEX) {
        emit_vex(c, t, &o, reg, size == QUAD);
        return;
    }
    if (t->attr & LOCKABLE && mem && any(c, 2)) {
        byte(c, 0xf0);
    }
    if (size == (c->is16 ? LONG : WORD)) {
        byte(c, 0x66);
    }
    if (t->prefix) {
        byte(c, t->prefix);
    }
    if (size == QUAD) {
        rex |= 8;
    }
    if (rex || with_rex) {
        byte(c, 0x40 | rex);
    }
    if (t->map) {
        byte(c, 0x0f);
        if (t->map > 1) {
            byte(c, t->map == 2 ? 0x38 : 0x3a);
        }
    }
    if (t->form == OPREG) {
        byte(c, (t->opcode | (t->sizes & BYTE && size != BYTE ? 8 : 0)) + (reg & 7));
    } else {
        byte(c, t->opcode | (t->sizes & BYTE && size != BYTE));
        if (t->form != PLAIN) {
            emit_operand(c, &o, reg);
        }
    }
    switch (t->imm) {
    case IMM_B:
        byte(c, any(c, 256));
        break;
    case IMM_COUNT: /* within the width, so that nothing is undefined */
        byte(c, size == WORD ? 1 + any(c, 15) : 1 + any(c, size == QUAD ? 63 : 31));
        break;
    case IMM_Z:
    case IMM_V:
        bytes(c, random_value(c->rand), size == BYTE ? 1 : size == WORD ? 2 : size == QUAD && t->imm == IMM_V ? 8 : 4);
        break;
    }
}

/* What does not fit the templates. */

static void custom_div(Code *c)
{
    string(c, either(c, "31d2 f7f1", "4831d2 49f7f2")); /* xor edx,edx; div */
}

static void custom_div_narrow(Code *c)
{
    string(c, any(c, 2) ? "0fb6c0 f6f1" : "31d2 66f7f1");
}

static void custom_idiv(Code *c)
{
    string(c, either(c, "99 f7f9", "4899 49f7fa"));
}

static void custom_idiv_narrow(Code *c)
{
    string(c, any(c, 2) ? "0fbec0 f6fa" : "6699 66f7f9");
}

static void custom_shift_cl(Code *c)
{
    static const Template shift = {"", MODRM, 0, 0, 0xd2, 0, BV, 0, 0};
    Template t = shift;

    t.digit = 4 + any(c, 4);
    emit(c, &t);
}

static void custom_rotate_cl(Code *c)
{
    static const Template rotate = {"", MODRM, 0, 0, 0xd2, 0, BV, 0, 0};
    Template t = rotate;

    t.digit = any(c, 4);
    emit(c, &t);
}

static void custom_bt_string(Code *c)
{
    unsigned op = any(c, 4); /* bt, bts, btr, btc [rbx + disp8], r15 */

    if (op && any(c, 2)) {
        byte(c, 0xf0);
    }
    if (c->is32) {
        byte(c, 0x0f);
        byte(c, 0xa3 + 8 * op);
        byte(c, 0x6b); /* [ebx + disp8], ebp */
        byte(c, any(c, 256));
        return;
    }
    switch (any(c, 3)) {
    case 0:
        byte(c, 0x66);
        byte(c, 0x44);
        break;
    case 1:
        byte(c, 0x44);
        break;
    default:
        byte(c, 0x4c);
        break;
    }
    byte(c, 0x0f);
    byte(c, 0xa3 + 8 * op);
    byte(c, 0x7b);
    byte(c, any(c, 256));
}

static void custom_string(Code *c)
{
    static const uint8_t ops[] = {0xa4, 0xa6, 0xaa, 0xac, 0xae};
    unsigned op = ops[any(c, sizeof(ops))];
    unsigned prefix = any(c, 3);
    bool backward = any(c, 4) == 0;

    byte(c, backward ? 0xfd : 0xfc);
    if (prefix) {
        byte(c, 0xb9); /* mov ecx, count */
        bytes(c, any(c, 4) ? any(c, 40) : any(c, 600), c->is16 ? 2 : 4);
    }
    if (any(c, 2)) {
        string(c, c->is16 ? "30c0 3a04" : "30c0 3a06"); /* xor al,al; cmp al,[rsi] */
    }
    if (prefix) {
        byte(c, 0xf1 + prefix);
    }
    switch (any(c, c->is32 ? 3 : 4)) {
    case 0:
        byte(c, op);
        break;
    case 1:
        byte(c, 0x66);
        byte(c, op + 1);
        break;
    case 2:
        byte(c, op + 1);
        break;
    default:
        byte(c, 0x48);
        byte(c, op + 1);
        break;
    }
    byte(c, 0xfc);
}

static void custom_overlap(Code *c)
{
    string(c, c->is32 ? "56 57 8d7e" : "56 57 488d7e"); /* push rsi, rdi; lea rdi,[rsi + n] */
    byte(c, any(c, 17));
    string(c, "b9");
    bytes(c, any(c, 100), 4);
    string(c, any(c, 2) ? "f3a4" : either(c, "f3a5", "f348a5"));
    string(c, "5f 5e");
}

static void custom_jcc(Code *c)
{
    byte(c, 0x70 + any(c, 16));
    string(c, either(c, "02 ffc0", "03 48ffc0")); /* over inc rax */
}

static void custom_loop(Code *c)
{
    byte(c, 0xe0 + any(c, 4));
    string(c, either(c, "02 ffc0", "03 48ffc0"));
}

static void custom_counted(Code *c)
{
    string(c, "b9");
    bytes(c, 1 + any(c, 20), 4);
    /* add, rol, dec, jnz; adc, loop */
    if (c->is32) {
        string(c, any(c, 2) ? "01d0 d1c2 49 75f9" : "11d0 e2fc");
    } else {
        string(c, any(c, 2) ? "4801d0 48d1c2 ffc9 75f6" : "4811d0 e2fb");
    }
}

static void custom_call(Code *c)
{
    string(c, either(c, "e802000000 eb03 01c8 c3", "e802000000 eb04 4801c8 c3")); /* over a jump */
}

static void custom_call_indirect(Code *c)
{
    string(c, "4c8d1d04000000 41ffd3 eb04 4829c8 c3");
    /* lea r11,[rip + 4 .. ] is one short of the function: adjusted below */
    c->at[-13] = 5;
}

static void custom_stack(Code *c)
{
    static const char *const some[] = {
        "50 59", "6650 6659", "6a80 58", "6878563412 415a", "c8200000 c9", "4889e5 c8100003 c9", "54 5a", "ff33 58",
        "8f4310 4883ec08", "8f442408 4883ec08", "ff742410 59", "668f03 4883ec02", "66ff33 6658",
    };
    static const char *const some32[] = {
        "50 59", "6650 6659", "6a80 58", "6878563412 5a", "c8200000 c9", "55 89e5 c8100003 c9 5d", "54 5a",
        "ff33 58", "8f4310 83ec04", "8f442404 83ec04", "ff742410 59", "668f03 83ec02", "66ff33 6658",
        "60 61", "6660 6661", "60 83c410 5b 83c40c", "66c8100000 66c9",
        /* a pushed selector leaves the slot's upper half alone or clears it (SDM, PUSH): clear before */
        "6a00 8d642404 1e 59", "6a00 8d642404 0fa0 59", "6a00 8d642404 16 6659 665a",
    };

    static const char *const some16[] = {
        "50 59", "6650 6659", "6a80 58", "687856 5a", "c8200000 c9", "55 89e5 c8100003 c9 5d", "54 5a",
        "ff33 58", "8f4310 83ec02", "668f03 83ec04", "66ff33 6658", "60 61", "66c8100000 66c9",
        "1e 59", "0fa0 59", "16 6659 665a",
    };

    if (c->is16) {
        string(c, some16[any(c, G_N_ELEMENTS(some16))]);
        return;
    }
    string(c, c->is32 ? some32[any(c, G_N_ELEMENTS(some32))] : some[any(c, G_N_ELEMENTS(some))]);
}

static void custom_cmpxchg(Code *c)
{
    /* mov rax,[rbx]; lock cmpxchg [rbx],rcx: with and without success */
    if (any(c, 2)) {
        string(c, either(c, "8b03", "488b03"));
    }
    string(c, any(c, 2) ? either(c, "0fb10b", "480fb10b") : any(c, 2) ? "f00fb10b" : "66f00fb10b");
}

static void custom_cmpxchg_wide(Code *c)
{
    if (c->is16) {
        string(c, any(c, 2) ? "668b04 668b5404 f00fc70c" : "f00fc70c");
        return;
    }
    if (any(c, 2)) {
        string(c, either(c, "8b06 8b5604", "488b06 488b5608")); /* mov rax,[rsi]; mov rdx,[rsi + 8] */
    }
    string(c, either(c, "f00fc70e", "f0480fc70e"));
}

static void custom_addr32(Code *c)
{
    /* mov eax,[ebx + 16]; lea ecx,[ebx + ecx + 7f]; add [ebx + r15d*2 + 8],eax; REX before 67 */
    string(c, any(c, 2) ? "678b4310 678d4c0b7f" : "674201447b08 41678d0c0b");
}

/* 16-bit addresses: only lea, as nothing is mapped there. */
static void custom_addr16(Code *c)
{
    byte(c, 0x67);
    byte(c, 0x8d);
    switch (any(c, 3)) {
    case 0:
        byte(c, any(c, 8) << 0 | any(c, 3) << 3);
        if ((c->at[-1] & 7) == 6) {
            bytes(c, any(c, 0x10000), 2);
        }
        break;
    case 1:
        byte(c, 0x40 | any(c, 8) | any(c, 3) << 3);
        byte(c, any(c, 256));
        break;
    default:
        byte(c, 0x80 | any(c, 8) | any(c, 3) << 3);
        bytes(c, any(c, 0x10000), 2);
        break;
    }
}

static void custom_moffs(Code *c)
{
    byte(c, 0xa0 + any(c, 4));
    if (c->is16) {
        bytes(c, any(c, 0x10000), 2);
    } else if (c->is32) {
        bytes(c, NATIVE_DATA + any(c, 0x1000), 4);
    } else {
        bytes(c, NATIVE_DATA + any(c, 0x1000), 8);
    }
}

static void custom_rip(Code *c)
{
    static const char *const some[] = {"488d05f8ffffff", "488b0500000000", "488d0d00010000"};

    string(c, some[any(c, 3)]);
}

#define ALU(name, n, reads_, undef) \
    {name, MODRM, 0, 0, 8 * n, -1, BV, 0, n == 7 ? 0 : LOCKABLE, reads_, ALL & ~(undef), undef}, \
    {name " r", MODRM, 0, 0, 8 * n + 2, -1, BV, 0, 0, reads_, ALL & ~(undef), undef}, \
    {name " acc", PLAIN, 0, 0, 8 * n + 4, -1, BV, IMM_Z, 0, reads_, ALL & ~(undef), undef}, \
    {name " imm", MODRM, 0, 0, 0x80, n, BV, IMM_Z, n == 7 ? 0 : LOCKABLE, reads_, ALL & ~(undef), undef}, \
    {name " ibs", MODRM, 0, 0, 0x83, n, V, IMM_B, n == 7 ? 0 : LOCKABLE, reads_, ALL & ~(undef), undef}

#define SHIFT(name, n) \
    {name " imm", MODRM, 0, 0, 0xc0, n, BV, IMM_COUNT, 0, 0, C | Z | S | P, A | O | C}, \
    {name " 1", MODRM, 0, 0, 0xd0, n, BV, 0, 0, 0, C | Z | S | P | O, A}
#define ROTATE(name, n, reads_) \
    {name " imm", MODRM, 0, 0, 0xc0, n, BV, IMM_B, 0, reads_, 0, O}, \
    {name " 1", MODRM, 0, 0, 0xd0, n, BV, 0, 0, reads_, C | O, 0}
#define CC(n, reads_) \
    {"set" #n, MODRM, 0, 1, 0x90 + n, 0, BYTE, 0, 0, reads_, 0, 0}, \
    {"cmov" #n, MODRM, 0, 1, 0x40 + n, -1, V, 0, 0, reads_, 0, 0}

static const Template templates[] = {
    ALU("add", 0, 0, 0), ALU("or", 1, 0, A), ALU("adc", 2, C, 0), ALU("sbb", 3, C, 0), ALU("and", 4, 0, A),
    ALU("sub", 5, 0, 0), ALU("xor", 6, 0, A), ALU("cmp", 7, 0, 0),
    {"test", MODRM, 0, 0, 0x84, -1, BV, 0, 0, 0, ALL & ~A, A},
    {"test imm", MODRM, 0, 0, 0xf6, 0, BV, IMM_Z, 0, 0, ALL & ~A, A},
    {"test acc", PLAIN, 0, 0, 0xa8, -1, BV, IMM_Z, 0, 0, ALL & ~A, A},
    {"inc", MODRM, 0, 0, 0xfe, 0, BV, 0, LOCKABLE, 0, ALL & ~C, 0},
    {"dec", MODRM, 0, 0, 0xfe, 1, BV, 0, LOCKABLE, 0, ALL & ~C, 0},
    {"inc", MODRM, 0, 0, 0xfe, 0, BV, 0, LOCKABLE, 0, ALL & ~C, 0},
    {"not", MODRM, 0, 0, 0xf6, 2, BV, 0, LOCKABLE, 0, 0, 0},
    {"neg", MODRM, 0, 0, 0xf6, 3, BV, 0, LOCKABLE, 0, ALL, 0},
    {"mul", MODRM, 0, 0, 0xf6, 4, BV, 0, 0, 0, C | O, S | Z | A | P},
    {"imul1", MODRM, 0, 0, 0xf6, 5, BV, 0, 0, 0, C | O, S | Z | A | P},
    {"imul2", MODRM, 0, 1, 0xaf, -1, V, 0, 0, 0, C | O, S | Z | A | P},
    {"imul3", MODRM, 0, 0, 0x69, -1, V, IMM_Z, 0, 0, C | O, S | Z | A | P},
    {"imul3b", MODRM, 0, 0, 0x6b, -1, V, IMM_B, 0, 0, C | O, S | Z | A | P},
    SHIFT("shl", 4), SHIFT("shr", 5), SHIFT("sal", 6), SHIFT("sar", 7),
    ROTATE("rol", 0, 0), ROTATE("ror", 1, 0), ROTATE("rcl", 2, C), ROTATE("rcr", 3, C),
    {"shld", MODRM, 0, 1, 0xa4, -1, V, IMM_COUNT, 0, 0, C | Z | S | P, A | O},
    {"shrd", MODRM, 0, 1, 0xac, -1, V, IMM_COUNT, 0, 0, C | Z | S | P, A | O},
    {"shld cl", MODRM, 0, 1, 0xa5, -1, LQ, 0, 0, 0, 0, A | O},
    {"shrd cl", MODRM, 0, 1, 0xad, -1, LQ, 0, 0, 0, 0, A | O},
    {"bt imm", MODRM, 0, 1, 0xba, 4, V, IMM_B, 0, 0, C, O | S | A | P},
    {"bts imm", MODRM, 0, 1, 0xba, 5, V, IMM_B, LOCKABLE, 0, C, O | S | A | P},
    {"btr imm", MODRM, 0, 1, 0xba, 6, V, IMM_B, LOCKABLE, 0, C, O | S | A | P},
    {"btc imm", MODRM, 0, 1, 0xba, 7, V, IMM_B, LOCKABLE, 0, C, O | S | A | P},
    {"bt reg", REG_ONLY, 0, 1, 0xa3, -1, V, 0, 0, 0, C, O | S | A | P},
    {"bts reg", REG_ONLY, 0, 1, 0xab, -1, V, 0, 0, 0, C, O | S | A | P},
    {"btr reg", REG_ONLY, 0, 1, 0xb3, -1, V, 0, 0, 0, C, O | S | A | P},
    {"btc reg", REG_ONLY, 0, 1, 0xbb, -1, V, 0, 0, 0, C, O | S | A | P},
    {"bsf", MODRM, 0, 1, 0xbc, -1, V, 0, 0, 0, Z, C | O | S | A | P},
    {"bsr", MODRM, 0, 1, 0xbd, -1, V, 0, 0, 0, Z, C | O | S | A | P},
    {"popcnt", MODRM, 0xf3, 1, 0xb8, -1, V, 0, 0, 0, ALL, 0},
    {"tzcnt", MODRM, 0xf3, 1, 0xbc, -1, V, 0, 0, 0, C | Z, O | S | A | P},
    {"lzcnt", MODRM, 0xf3, 1, 0xbd, -1, V, 0, 0, 0, C | Z, O | S | A | P},
    {"andn", MODRM, 0, 2, 0xf2, -1, LQ, 0, VEX, 0, C | O | S | Z, A | P},
    {"blsr", MODRM, 0, 2, 0xf3, 1, LQ, 0, VEX, 0, C | O | S | Z, A | P},
    {"blsmsk", MODRM, 0, 2, 0xf3, 2, LQ, 0, VEX, 0, C | O | S | Z, A | P},
    {"blsi", MODRM, 0, 2, 0xf3, 3, LQ, 0, VEX, 0, C | O | S | Z, A | P},
    {"bzhi", MODRM, 0, 2, 0xf5, -1, LQ, 0, VEX, 0, C | O | S | Z, A | P},
    {"pdep", MODRM, 0xf2, 2, 0xf5, -1, LQ, 0, VEX, 0, 0, 0},
    {"pext", MODRM, 0xf3, 2, 0xf5, -1, LQ, 0, VEX, 0, 0, 0},
    {"mulx", MODRM, 0xf2, 2, 0xf6, -1, LQ, 0, VEX, 0, 0, 0},
    {"bextr", MODRM, 0, 2, 0xf7, -1, LQ, 0, VEX, 0, C | O | Z, A | P | S},
    {"shlx", MODRM, 0x66, 2, 0xf7, -1, LQ, 0, VEX, 0, 0, 0},
    {"shrx", MODRM, 0xf2, 2, 0xf7, -1, LQ, 0, VEX, 0, 0, 0},
    {"sarx", MODRM, 0xf3, 2, 0xf7, -1, LQ, 0, VEX, 0, 0, 0},
    {"rorx", MODRM, 0xf2, 3, 0xf0, -1, LQ, IMM_B, VEX, 0, 0, 0},
    {"adcx", MODRM, 0x66, 2, 0xf6, -1, LQ, 0, 0, C, C, 0},
    {"adox", MODRM, 0xf3, 2, 0xf6, -1, LQ, 0, 0, O, O, 0},
    {"crc32", MODRM, 0xf2, 2, 0xf1, -1, V, 0, 0, 0, 0, 0},
    {"mov", MODRM, 0, 0, 0x88, -1, BV, 0, 0, 0, 0, 0},
    {"mov r", MODRM, 0, 0, 0x8a, -1, BV, 0, 0, 0, 0, 0},
    {"mov imm", MODRM, 0, 0, 0xc6, 0, BV, IMM_Z, 0, 0, 0, 0},
    {"mov opreg", OPREG, 0, 0, 0xb0, -1, BV, IMM_V, 0, 0, 0, 0},
    {"movzx b", MODRM, 0, 1, 0xb6, -1, V, 0, 0, 0, 0, 0},
    {"movzx w", MODRM, 0, 1, 0xb7, -1, LQ, 0, 0, 0, 0, 0},
    {"movsx b", MODRM, 0, 1, 0xbe, -1, V, 0, 0, 0, 0, 0},
    {"movsx w", MODRM, 0, 1, 0xbf, -1, LQ, 0, 0, 0, 0, 0},
    {"movsxd", MODRM, 0, 0, 0x63, -1, LQ, 0, ONLY64, 0, 0, 0},
    {"arpl", MODRM, 0, 0, 0x63, -1, LONG, 0, ONLY32, 0, Z, 0},
    {"inc reg", OPREG, 0, 0, 0x40, -1, WORD | LONG, 0, ONLY32, 0, ALL & ~C, 0},
    {"dec reg", OPREG, 0, 0, 0x48, -1, WORD | LONG, 0, ONLY32, 0, ALL & ~C, 0},
    {"daa", PLAIN, 0, 0, 0x27, -1, LONG, 0, ONLY32, C | A, ALL & ~O, O},
    {"das", PLAIN, 0, 0, 0x2f, -1, LONG, 0, ONLY32, C | A, ALL & ~O, O},
    {"aaa", PLAIN, 0, 0, 0x37, -1, LONG, 0, ONLY32, A, C | A, O | S | Z | P},
    {"aas", PLAIN, 0, 0, 0x3f, -1, LONG, 0, ONLY32, A, C | A, O | S | Z | P},
    {"aam", PLAIN, 0, 0, 0xd4, -1, LONG, IMM_B, ONLY32, 0, S | Z | P, O | A | C},
    {"aad", PLAIN, 0, 0, 0xd5, -1, LONG, IMM_B, ONLY32, 0, S | Z | P, O | A | C},
    {"salc", PLAIN, 0, 0, 0xd6, -1, LONG, 0, ONLY32, C, 0, 0},
    {"addr16", CUSTOM, .custom = custom_addr16, .attr = ONLY32 | NOT16},
    {"moffs", CUSTOM, .custom = custom_moffs},
    {"lea", MEM_ONLY, 0, 0, 0x8d, -1, V, 0, 0, 0, 0, 0},
    {"xchg", MODRM, 0, 0, 0x86, -1, BV, 0, LOCKABLE, 0, 0, 0},
    {"xchg acc", OPREG, 0, 0, 0x90, -1, V, 0, 0, 0, 0, 0},
    {"bswap", OPREG, 0, 1, 0xc8, -1, LQ, 0, 0, 0, 0, 0},
    {"movbe load", MEM_ONLY, 0, 2, 0xf0, -1, V, 0, 0, 0, 0, 0},
    {"movbe store", MEM_ONLY, 0, 2, 0xf1, -1, V, 0, 0, 0, 0, 0},
    {"movnti", MEM_ONLY, 0, 1, 0xc3, -1, LQ, 0, 0, 0, 0, 0},
    {"xlat", PLAIN, 0, 0, 0xd7, -1, LONG, 0, 0, 0, 0, 0},
    {"cbw", PLAIN, 0, 0, 0x98, -1, V, 0, 0, 0, 0, 0},
    {"cwd", PLAIN, 0, 0, 0x99, -1, V, 0, 0, 0, 0, 0},
    {"lahf", PLAIN, 0, 0, 0x9f, -1, LONG, 0, 0, ALL & ~O, 0, 0},
    {"sahf", PLAIN, 0, 0, 0x9e, -1, LONG, 0, 0, O, ALL & ~O, 0},
    {"clc", PLAIN, 0, 0, 0xf8, -1, LONG, 0, 0, 0, C, 0},
    {"stc", PLAIN, 0, 0, 0xf9, -1, LONG, 0, 0, 0, C, 0},
    {"cmc", PLAIN, 0, 0, 0xf5, -1, LONG, 0, 0, C, C, 0},
    {"xadd", MODRM, 0, 1, 0xc0, -1, BV, 0, LOCKABLE, 0, ALL, 0},
    {"cmpxchg", MODRM, 0, 1, 0xb0, -1, BV, 0, LOCKABLE, 0, ALL, 0},
    {"nop", MODRM, 0, 1, 0x1f, 0, V, 0, 0, 0, 0, 0},
    CC(0, O), CC(1, O), CC(2, C), CC(3, C), CC(4, Z), CC(5, Z), CC(6, C | Z), CC(7, C | Z),
    CC(8, S), CC(9, S), CC(10, P), CC(11, P), CC(12, S | O), CC(13, S | O), CC(14, S | O | Z), CC(15, S | O | Z),
    {"div", CUSTOM, .custom = custom_div, .undefines = ALL},
    {"div narrow", CUSTOM, .custom = custom_div_narrow, .undefines = ALL},
    {"idiv", CUSTOM, .custom = custom_idiv, .undefines = ALL},
    {"div any", MODRM, 0, 0, 0xf6, 6, LQ, .undefines = ALL},
    {"idiv any", MODRM, 0, 0, 0xf6, 7, LQ, .undefines = ALL},
    {"idiv narrow", CUSTOM, .custom = custom_idiv_narrow, .undefines = ALL},
    {"shift cl", CUSTOM, .custom = custom_shift_cl, .undefines = A | O | C},
    {"rotate cl", CUSTOM, .custom = custom_rotate_cl, .reads = C, .undefines = O},
    {"bt string", CUSTOM, .custom = custom_bt_string, .defines = C, .undefines = O | S | A | P},
    {"string", CUSTOM, .custom = custom_string, .undefines = 0},
    {"string2", CUSTOM, .custom = custom_string, .undefines = 0},
    {"overlap", CUSTOM, .custom = custom_overlap, .attr = NOT16},
    {"jcc", CUSTOM, .custom = custom_jcc, .reads = ALL},
    {"loop", CUSTOM, .custom = custom_loop, .reads = Z},
    {"counted", CUSTOM, .custom = custom_counted, .reads = C, .attr = NOT16},
    {"call", CUSTOM, .custom = custom_call, .defines = ALL, .attr = NOT16},
    {"call indirect", CUSTOM, .custom = custom_call_indirect, .defines = ALL, .attr = ONLY64},
    {"stack", CUSTOM, .custom = custom_stack},
    {"cmpxchg equal", CUSTOM, .custom = custom_cmpxchg, .defines = ALL},
    {"cmpxchg wide", CUSTOM, .custom = custom_cmpxchg_wide, .defines = Z},
    {"addr32", CUSTOM, .custom = custom_addr32, .attr = ONLY64},
    {"rip", CUSTOM, .custom = custom_rip, .attr = ONLY64},
};

/* The guest side. */

enum {
    MODE_64 = MODE_CS64 | MODE_SS32 | MODE_PE | MODE_FLAT | MODE_FLAT_CS | MODE_LMA | 3 << MODE_CPL_SHIFT,
    MODE_16 = MODE_PE | MODE_LMA | 3 << MODE_CPL_SHIFT,
    MODE_32 = MODE_CS32 | MODE_SS32 | MODE_PE | MODE_FLAT | MODE_FLAT_CS | MODE_LMA | 3 << MODE_CPL_SHIFT,
};

static Cpu *cpu;
static IrBlock *ir;

/* What the host has mapped: the data, and for reading what comes first and the code. */
static void check_range(uint64_t addr, unsigned size, bool write, uintptr_t retaddr)
{
    bool data = addr >= NATIVE_DATA && addr + size <= NATIVE_DATA + NATIVE_DATA_SIZE;
    bool code = addr >= NATIVE_CODE && addr + size <= NATIVE_BASE + NATIVE_SIZE;

    if (!data && !(code && !write)) {
        x86_state(cpu)->exception.vector = EXC_PF;
        if (retaddr) {
            tcg_restore(cpu->state, retaddr);
        }
        tcg_unwind(cpu->state, TCG_EXIT_EXCEPTION);
    }
}

static uint64_t load(void *s, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    uint64_t value = 0;

    check_range(addr, size, false, retaddr);
    memcpy(&value, (void *)addr, size);
    return value;
}

static void store(void *s, uint64_t addr, uint64_t value, unsigned size, unsigned mem, uintptr_t retaddr)
{
    check_range(addr, size, true, retaddr);
    memcpy((void *)addr, &value, size);
}

static void probe_store(void *s, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    check_range(addr, size, true, retaddr);
}

static uint64_t atomic(void *s, uint64_t addr, unsigned op_size, uint64_t b, uint64_t c, uintptr_t retaddr)
{
    unsigned size = op_size & 0xff;
    uint64_t mask = UINT64_MAX >> (64 - 8 * size);
    uint64_t old, new;

    check_range(addr, size, true, retaddr);
    old = load(s, addr, size, 0, 0);
    switch (op_size >> 8) {
    case IR_atomic_add:
        new = old + b;
        break;
    case IR_atomic_and:
        new = old & b;
        break;
    case IR_atomic_or:
        new = old | b;
        break;
    case IR_atomic_xor:
        new = old ^ b;
        break;
    case IR_atomic_xchg:
        new = b;
        break;
    default:
        new = old == (b & mask) ? c : old;
        break;
    }
    store(s, addr, new, size, 0, 0);
    return old;
}

static const HostBlock *compiled;

static const HostBlock *find_block(uintptr_t host_pc)
{
    return compiled && tcg_block_has(compiled, host_pc) ? compiled : NULL;
}

static void host_fault(void *state, int number, int code, uintptr_t host_pc)
{
    x86_raise_host_fp(cpu, number, code);
}

static const TcgRuntime runtime = {
    .load = load, .store = store, .probe_store = probe_store, .atomic = atomic, .find_block = find_block,
    .host_fault = host_fault,
};

static uint64_t engine_load(Cpu *c, VirtAddr addr, unsigned size, unsigned mode, uintptr_t retaddr)
{
    return load(NULL, addr, size, 0, retaddr);
}

static void engine_store(Cpu *c, VirtAddr addr, uint64_t value, unsigned size, unsigned mode, uintptr_t retaddr)
{
    store(NULL, addr, value, size, 0, retaddr);
}

/* Every fourth page is not plain memory, so that the slow way is seen too. */
static void *engine_probe(Cpu *c, VirtAddr addr, unsigned size, MmuAccess access, unsigned mode, uintptr_t retaddr)
{
    check_range(addr, size, access == MMU_STORE, retaddr);
    if ((addr & 0xfff) + size > 0x1000 || (addr >> 12 & 3) == 3) {
        return NULL;
    }
    return (void *)addr;
}

static bool fetch(Translation *t, uint64_t pc, uint8_t *out)
{
    *out = *(uint8_t *)(*(uint64_t *)t->engine + pc);
    return true;
}

static uint64_t end_of_code;

static bool has_breakpoint(Translation *t, uint64_t pc)
{
    return (t->key->pic_bits ? *(uint64_t *)t->engine : 0) + pc == end_of_code;
}

/* Half of the pages are reached inline, the others through the runtime. */
static void set_tables(CpuHot *hot)
{
    enum { ENTRIES = 16 };
    static TlbEntry tlb[ENTRIES];
    static JumpCacheEntry jumps[JUMP_CACHE_SIZE];

    for (unsigned i = 0; i < ENTRIES; i++) {
        tlb[i].tag = i & 1 ? TLB_INVALID : NATIVE_DATA + (uint64_t)(i << 12);
    }
    for (unsigned i = 0; i < JUMP_CACHE_SIZE; i++) {
        jumps[i] = (JumpCacheEntry){.pc = jump_cache_empty(i)};
    }
    hot->tlb_mask = (ENTRIES - 1) * sizeof(TlbEntry);
    hot->tlb_load = hot->tlb_store = tlb;
    hot->jump_cache = jumps;
    tcg_sites_init(tcg_sites(hot));
}

typedef struct Variant {
    unsigned max_insns;
    bool optimise, compile;
    bool pic; /* position-independent, where the mode has that */
} Variant;

static bool never_far(void *opaque, uint64_t pc)
{
    return false;
}

/* Every access remembers its page, or none does. */
static bool all_scattered;

static bool is_scattered(void *opaque, uint64_t pc)
{
    return all_scattered;
}

static TcgExit run_compiled(X86State *s)
{
    HostBlock *block;
    HostExit *out;
    TcgExit why;

    ir->scattered = is_scattered;
    block = tcg_compile(ir, never_far, NULL);
    if (!block) { /* the buffer is full: nothing in it is needed any more */
        tcg_region_next();
        block = tcg_compile(ir, never_far, NULL);
    }
    compiled = block;
    why = tcg_enter(s, block->code, &out);
    compiled = NULL;
    return why;
}

static void check_block(const char *when)
{
    char *why = NULL;

    if (!ir_verify(ir, &why)) {
        g_autoptr(GString) text = g_string_new(NULL);

        ir_dump(ir, text);
        g_error("%s: %s\n%s", when, why, text->str);
    }
}

static TcgExit run_block(const Variant *variant)
{
    X86State *s = x86_state(cpu);
    BlockKey key = {.pc = s->pc, .base = s->seg[S_CS].base, .flags = s->mode_flags};
    uint64_t origin = key.base;
    Translation t = {.ir = ir, .cpu = cpu, .key = &key, .max_insns = variant->max_insns, .fetch = fetch,
                     .has_breakpoint = has_breakpoint, .engine = &origin};
    uint64_t pc;

    if (variant->pic && s->mode_flags & (MODE_CS64 | MODE_CS32)) {
        s->hot.pic_page = origin = s->pc & ~(uint64_t)0xfff;
        key.pc = s->pc & 0xfff;
        key.pic_bits = s->mode_flags & MODE_CS64 ? 64 : 32;
    }
    ir_block_reset(ir);
    ir->pic_bits = key.pic_bits;
    x86_translate(&t);
    check_block("translated");
    if (variant->optimise) {
        ir_optimise(ir);
        check_block("optimised");
    }
    return variant->compile ? run_compiled(s) : tcg_interpret(s, ir, NULL, &pc);
}

static int guest_run(uint64_t end, const Variant *variant)
{
    X86State *s = x86_state(cpu);

    end_of_code = end;
    for (unsigned i = 0; i < 100000 && s->pc != end; i++) {
        if (run_block(variant) == TCG_EXIT_EXCEPTION) {
            return s->exception.vector == EXC_PF || s->exception.vector == EXC_SS ? EXC_GP : s->exception.vector;
        }
    }
    return -1;
}

static void load_guest(const NativeRegs *regs, NativeMode mode, bool real)
{
    X86State *s = x86_state(cpu);
    uint16_t code, data, big = mode == NATIVE_32 ? SEG_DB : mode == NATIVE_64 ? SEG_L : 0;

    native_has(mode, &code, &data);
    memcpy(s->reg, regs->gpr, sizeof(s->reg));
    s->pc = regs->code;
    s->exception.vector = -1;
    s->mode_flags = mode == NATIVE_64 ? MODE_64 : mode == NATIVE_32 ? MODE_32 : real ? 0 : MODE_16;
    for (unsigned i = S_ES; i <= S_DS; i++) {
        bool is_code = i == S_CS;

        s->seg[i] = (X86Segment){
            .selector = is_code ? code : data,
            .base = mode != NATIVE_16 ? 0 : is_code ? NATIVE_CODE : NATIVE_DATA,
            .limit = mode == NATIVE_16 ? 0xffff : UINT32_MAX,
            .attr = SEG_P | SEG_S | 3 << SEG_DPL_SHIFT | big | (is_code ? 0xb : 3),
        };
    }
    x86_set_eflags(s, regs->flags, UINT32_MAX);
}

typedef struct Case {
    uint8_t code[256];
    unsigned size;
    uint32_t undefined;
    GString *text;
} Case;

static void build_case(Case *one, GRand *rand, const char *only, NativeMode mode, bool real)
{
    bool is32 = mode != NATIVE_64;
    unsigned count = 1 + g_rand_int_range(rand, 0, 6);
    uint8_t *begin = (uint8_t *)NATIVE_CODE;
    Code c = {.at = begin, .rand = rand, .is32 = is32, .is16 = mode == NATIVE_16};

    one->undefined = 0;
    g_string_truncate(one->text, 0);
    while (count) {
        const Template *t = &templates[g_rand_int_range(rand, 0, G_N_ELEMENTS(templates))];
        uint8_t *from = c.at;

        if (t->reads & one->undefined || t->attr & (is32 ? ONLY64 : ONLY32) || (is32 && t->sizes == QUAD) ||
            (c.is16 && t->attr & NOT16) || (real && (t->attr & VEX || !strcmp(t->name, "arpl"))) || (only && count == 1 && !g_str_has_prefix(t->name, only))) {
            continue;
        }
        emit(&c, t);
        one->undefined = (one->undefined & ~t->defines) | t->undefines;
        g_string_append_printf(one->text, "%s:", t->name);
        for (; from < c.at; from++) {
            g_string_append_printf(one->text, " %02x", *from);
        }
        g_string_append(one->text, "\n");
        count--;
    }
    one->size = c.at - begin;
    native_finish(c.at, mode);
}

/*
 * Words that go between registers and memory off three registers. BP may become a copy of one of them, which then may
 * be loaded over while BP points on.
 */
static void build_moves(Case *one, GRand *rand, NativeMode mode)
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

/* Accesses by what is chosen, or counted, off one of three pointers, which may change before the access. */
static void build_choices(Case *one, GRand *rand, NativeMode mode)
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
    one->undefined = A;
    one->size = c.at - begin;
    native_finish(c.at, mode);
}

static void random_state(NativeRegs *regs, GRand *rand, NativeMode mode)
{
    static const uint8_t pointers[] = {3, 6, 7, 12, 13};

    for (unsigned i = 0; i < 16; i++) {
        regs->gpr[i] = random_value(rand);
    }
    for (unsigned i = 0; i < sizeof(pointers); i++) {
        regs->gpr[pointers[i]] = NATIVE_DATA + 0x4000 + (g_rand_int(rand) & 0x7ff8);
    }
    if (g_rand_int(rand) & 1) {
        regs->gpr[R_SI] &= ~UINT64_C(15);
    } else {
        regs->gpr[R_SI] &= ~UINT64_C(15);
        regs->gpr[R_DI] = regs->gpr[R_DI] - (g_rand_int(rand) & 7);
    }
    regs->gpr[R_15] = regs->gpr[R_BP] = g_rand_int(rand) & 63;
    regs->gpr[R_SP] = NATIVE_DATA + 0x3800 + (g_rand_int(rand) & 0xf8);
    regs->flags = (g_rand_int(rand) & FLAGS_ALL) | 0x202;
    if (g_rand_int_range(rand, 0, 5) == 0) { /* one that faults, or will soon */
        regs->gpr[pointers[g_rand_int(rand) % sizeof(pointers)]] =
            NATIVE_DATA + NATIVE_DATA_SIZE - (g_rand_int(rand) & 0x1ff) + (g_rand_int(rand) & 1 ? 0x1000 : 0);
    }
    regs->code = NATIVE_CODE;
    for (unsigned i = 0; i < 16 && mode != NATIVE_64; i++) {
        regs->gpr[i] = i < 8 ? (uint32_t)regs->gpr[i] : 0;
    }
    if (mode == NATIVE_16) {
        for (unsigned i = 0; i < sizeof(pointers) - 2; i++) {
            regs->gpr[pointers[i]] -= NATIVE_DATA;
        }
        regs->gpr[R_SP] -= NATIVE_DATA;
        regs->code = 0;
    }
}

static void compare(const Case *one, const Variant *v, const NativeRegs *before, int native_vector, int vector,
                    const uint8_t *memory)
{
    X86State *s = x86_state(cpu);
    uint32_t mask = FLAGS_ALL & ~one->undefined;
    bool same = native_vector == vector;

    same = same && !memcmp(s->reg, NATIVE_REGS->gpr, sizeof(s->reg)) &&
           !memcmp(memory, (void *)NATIVE_DATA, NATIVE_DATA_SIZE);
    if (vector >= 0) { /* flags that the next instructions overwrite need not be up to date */
        same = same && s->pc == NATIVE_REGS->fault_pc;
    } else {
        same = same && ((x86_flags(s) ^ NATIVE_REGS->flags) & mask) == 0;
    }
    if (same) {
        return;
    }
    g_printerr("\n%sin blocks of %u, %soptimised%s: exception %d, should be %d\n", one->text->str, v->max_insns,
               v->optimise ? "" : "not ", v->compile ? " and compiled" : "", vector, native_vector);
    for (unsigned i = 0; i < 16; i++) {
        if (s->reg[i] != NATIVE_REGS->gpr[i]) {
            g_printerr("r%u was %" PRIx64 " is %" PRIx64 " should be %" PRIx64 "\n", i, before->gpr[i], s->reg[i],
                       NATIVE_REGS->gpr[i]);
        }
    }
    if (vector >= 0) {
        g_printerr("at %" PRIx64 ", should be %" PRIx64 "\n", s->pc, NATIVE_REGS->fault_pc);
    }
    g_printerr("flags were %x are %x should be %x, of these defined %x\n", (unsigned)before->flags & FLAGS_ALL,
               x86_flags(s), (unsigned)NATIVE_REGS->flags & FLAGS_ALL, mask);
    for (unsigned i = 0; i < NATIVE_DATA_SIZE; i++) {
        if (memory[i] != ((uint8_t *)NATIVE_DATA)[i]) {
            g_printerr("memory at %x is %02x should be %02x\n", NATIVE_DATA + i, ((uint8_t *)NATIVE_DATA)[i], memory[i]);
            break;
        }
    }
    g_test_fail();
    if (!g_getenv("MYNA_KEEP_GOING")) {
        exit(1);
    }
}

/* On the host, or where that runs 64-bit code only, in the plain interpreter. Registers and flags go to NATIVE_REGS. */
static int run_reference(const Case *one, const NativeRegs *before, NativeMode mode, bool real)
{
    static const Variant plain = {1, false, false};
    X86State *s = x86_state(cpu);
    uint16_t code, data;
    int vector;

    *NATIVE_REGS = *before;
    if (native_has(mode, &code, &data)) {
        return native_run(mode);
    }
    load_guest(before, mode, real);
    vector = guest_run(before->code + one->size, &plain);
    memcpy(NATIVE_REGS->gpr, s->reg, sizeof(s->reg));
    NATIVE_REGS->flags = x86_flags(s);
    NATIVE_REGS->fault_pc = s->pc;
    return vector;
}

typedef enum What { INSTRUCTIONS, MOVES, CHOICES } What;

/* real: the guest in real mode, where 16-bit code does the same but for what is undefined there. */
static void run_random(NativeMode mode, bool real, What what)
{
    static const Variant variants[] = {
        {64, true, false}, {1, false, false}, {64, false, false}, {64, true, true}, {2, true, true},
        {64, true, false, .pic = true}, {64, true, true, .pic = true}, {2, true, true, .pic = true},
    };
    const char *seed_text = g_getenv("MYNA_SEED"), *rounds_text = g_getenv("MYNA_ROUNDS");
    uint32_t seed = seed_text ? strtoul(seed_text, NULL, 0) : 1;
    unsigned rounds = rounds_text ? strtoul(rounds_text, NULL, 0) : 6000;
    g_autofree uint8_t *initial = g_malloc(NATIVE_DATA_SIZE), *result = g_malloc(NATIVE_DATA_SIZE);
    Case one = {.text = g_string_new(NULL)};
    GRand *rand = g_rand_new();
    uint16_t code, data;

    g_test_message("seed %u%s", seed, native_has(mode, &code, &data) ? "" : "; the host runs 64-bit code only: the interpreter stands in");
    for (unsigned i = 0; i < NATIVE_DATA_SIZE; i++) {
        initial[i] = i % 7 == 0 ? 0 : i * 37 >> 3;
    }
    memcpy((void *)NATIVE_DATA, initial, NATIVE_DATA_SIZE);
    for (unsigned round = 0; round < rounds; round++) {
        NativeRegs before;
        int native_vector;

        g_rand_set_seed(rand, seed + round);
        all_scattered = what == CHOICES || (what == MOVES && round & 1);
        if (what == MOVES) {
            build_moves(&one, rand, mode);
        } else if (what == CHOICES) {
            build_choices(&one, rand, mode);
        } else {
            build_case(&one, rand, g_getenv("MYNA_ONLY"), mode, real);
        }
        random_state(&before, rand, mode);
        if (what == CHOICES && round & 1) { /* near a page's end */
            before.gpr[R_BX] |= 0xfc0;
            before.gpr[R_SI] |= 0xfc0;
        }
        native_vector = run_reference(&one, &before, mode, real);
        memcpy(result, (void *)NATIVE_DATA, NATIVE_DATA_SIZE);
        for (unsigned i = 0; i < G_N_ELEMENTS(variants); i++) {
            int vector;

            memcpy((void *)NATIVE_DATA, initial, NATIVE_DATA_SIZE);
            load_guest(&before, mode, real);
            vector = guest_run(before.code + one.size, &variants[i]);
            compare(&one, &variants[i], &before, native_vector, vector, result);
        }
        memcpy((void *)NATIVE_DATA, initial, NATIVE_DATA_SIZE);
    }
    g_rand_free(rand);
    g_string_free(one.text, TRUE);
}

static void random_integer_instructions_do_what_the_host_does(void)
{
    run_random(NATIVE_64, false, INSTRUCTIONS);
}

static void random_32_bit_instructions_do_what_the_host_does(void)
{
    run_random(NATIVE_32, false, INSTRUCTIONS);
}

static void random_16_bit_instructions_do_what_the_host_does(void)
{
    uint16_t code, data;

    if (!native_has(NATIVE_16, &code, &data)) {
        g_test_skip("no local descriptor table, or 64-bit code only");
        return;
    }
    run_random(NATIVE_16, false, INSTRUCTIONS);
    run_random(NATIVE_16, true, INSTRUCTIONS);
}

/* With one processor nothing is atomic. */
static void locked_instructions_do_what_the_host_does(void)
{
    g_assert_nonnull(cpu_new(&x86_cpu_type, "max", 1, NULL));
    run_random(NATIVE_64, false, INSTRUCTIONS);
    run_random(NATIVE_32, false, INSTRUCTIONS);
}

static void moves_off_few_registers_do_what_the_host_does(void)
{
    run_random(NATIVE_64, false, MOVES);
    run_random(NATIVE_32, false, MOVES);
}

static void accesses_by_what_is_chosen_do_what_the_host_does(void)
{
    run_random(NATIVE_64, false, CHOICES);
    run_random(NATIVE_32, false, CHOICES);
}

int main(int argc, char **argv)
{
    static const TcgTarget target = {.slots = x86_slots, .n_slots = SLOT_COUNT, .pc_slot = SLOT_PC};

    g_test_init(&argc, &argv, NULL);
    if (!native_init()) {
        g_print("1..0 # SKIP addresses are taken\n");
        return 0;
    }
    cpu = cpu_new(&x86_cpu_type, "max", 0, NULL);
    g_assert(cpu);
    ir = ir_block_new(x86_slots, SLOT_COUNT, x86_helpers, HELPER_COUNT);
    g_assert(tcg_init(&target, &runtime, &(TcgOptions){0}, NULL));
    set_tables(cpu->hot);
    engine.load = engine_load;
    engine.store = engine_store;
    engine.probe = engine_probe;
    g_test_add_func("/x86/oracle", random_integer_instructions_do_what_the_host_does);
    g_test_add_func("/x86/oracle32", random_32_bit_instructions_do_what_the_host_does);
    g_test_add_func("/x86/oracle16", random_16_bit_instructions_do_what_the_host_does);
    g_test_add_func("/x86/oracle-moves", moves_off_few_registers_do_what_the_host_does);
    g_test_add_func("/x86/oracle-choices", accesses_by_what_is_chosen_do_what_the_host_does);
    g_test_add_func("/x86/oracle-locked", locked_instructions_do_what_the_host_does);
    return g_test_run();
}
