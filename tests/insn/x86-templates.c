/*
 * Instructions at random, by templates that say which flags each reads, defines and leaves undefined (SDM volume 1, appendix A).
 */
#include <stdlib.h>

#include "target/x86/internal.h"
#include "tests/insn/x86-random.h"

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

uint64_t random_value(GRand *rand)
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

/* push rcx; pop rcx: a count that the translator does not know. */
static void hide_count(Code *c)
{
    if (any(c, 2)) {
        string(c, "51 59");
    }
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
        hide_count(c);
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
    hide_count(c);
    if (any(c, 4) == 0) { /* all three are known */
        string(c, "be");
        bytes(c, NATIVE_DATA + 0x400 + any(c, 0x40), 4);
        string(c, "bf");
        bytes(c, NATIVE_DATA + 0x400 + any(c, 0x80), 4);
    }
    string(c, any(c, 2) ? any(c, 2) ? "f3a4" : "f3aa" : either(c, "f3a5", "f348a5"));
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

void build_case(Case *one, GRand *rand, const char *only, NativeMode mode, bool real)
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
