/* An assembler for x86-64: encodings with more than one form. */
#include "asm.h"

/* Through a pointer of its own: a store of a byte may change any, as the compiler sees it. */
static inline uint8_t *put_modrm(uint8_t *p, int reg, const Rm *rm)
{
    unsigned r = (reg & 7) << 3, mod;
    const Mem *m = &rm->mem;

    if (!rm->is_mem) {
        *p++ = 0xc0 | r | (rm->reg & 7);
        return p;
    }
    if (m->base == NO_REG) { /* [disp32] or [index * scale + disp32] */
        *p++ = r | 4;
        *p++ = m->scale << 6 | (m->index == NO_REG ? 4 : m->index & 7) << 3 | 5;
        memcpy(p, &m->disp, 4);
        return p + 4;
    }
    /* Base rbp or r13 without displacement means something else. */
    mod = m->disp == 0 && (m->base & 7) != RBP ? 0 : fits_s8(m->disp) ? 1 : 2;
    if (m->index != NO_REG || (m->base & 7) == RSP) {
        *p++ = mod << 6 | r | 4;
        *p++ = m->scale << 6 | (m->index == NO_REG ? 4 : m->index & 7) << 3 | (m->base & 7);
    } else {
        *p++ = mod << 6 | r | (m->base & 7);
    }
    if (mod == 1) {
        *p++ = m->disp;
    } else if (mod == 2) {
        memcpy(p, &m->disp, 4);
        p += 4;
    }
    return p;
}

void asm_modrm(Asm *a, int reg, Rm rm)
{
    a->p = put_modrm(a->p, reg, &rm);
}

static unsigned rex_bits(int reg, Rm rm)
{
    unsigned rex = reg >> 3 << 2;

    if (!rm.is_mem) {
        return rex | rm.reg >> 3;
    }
    if (rm.mem.base != NO_REG) {
        rex |= rm.mem.base >> 3;
    }
    if (rm.mem.index != NO_REG) {
        rex |= rm.mem.index >> 3 << 1;
    }
    return rex;
}

/* Of any kind. */
static void put_op(Asm *a, uint32_t opcode, unsigned size, int reg, Rm rm)
{
    unsigned rex = rex_bits(reg, rm) | (size == 8 ? 8 : 0);
    /* spl, bpl, sil and dil are ah..bh without a REX prefix. */
    bool byte_rex = ((opcode & BYTE_REG) && reg >= 4) ||
                    ((opcode & BYTE_RM) && !rm.is_mem && rm.reg >= 4);
    uint8_t *p = a->p;

    if (opcode & P_LOCK) {
        *p++ = 0xf0;
    }
    if (size == 2) {
        *p++ = 0x66;
    }
    if (opcode >> 16 & 0xff) {
        *p++ = opcode >> 16;
    }
    if (rex || byte_rex) {
        *p++ = 0x40 | rex;
    }
    if (opcode & MAP_MASK) {
        *p++ = 0x0f;
        if ((opcode & MAP_MASK) == MAP_38) {
            *p++ = 0x38;
        } else if ((opcode & MAP_MASK) == MAP_3A) {
            *p++ = 0x3a;
        }
    }
    *p++ = opcode;
    a->p = put_modrm(p, reg, &rm);
}

/*
 * Much of a translation's time goes here, so what is frequent is put together in a register: REX and the opcode, or the latter
 * alone, then ModRM, SIB and displacement. There is always room for eight bytes; those too many are overwritten by what comes next.
 */
enum { REX = 0x40, REX_W = 8 };

static inline bool is_plain(uint32_t opcode, unsigned size)
{
    return opcode <= UINT8_MAX && size != 2;
}

static inline void put_word(Asm *a, uint64_t word, unsigned bytes, unsigned rex)
{
    if (rex) {
        word = word << 8 | REX | rex;
        bytes++;
    }
    memcpy(a->p, &word, 8);
    a->p += bytes;
}

void asm_op_rr(Asm *a, uint32_t opcode, unsigned size, int reg, int rm)
{
    unsigned rex = (size & REX_W) | (reg & 8) >> 1 | (rm & 8) >> 3;
    uint64_t word = (uint8_t)opcode | (0xc0 | (reg & 7) << 3 | (rm & 7)) << 8;

    if (is_plain(opcode, size)) {
        put_word(a, word, 2, rex);
    } else if ((opcode & ~(0xff | BYTE_RM)) == MAP_0F && size != 2) { /* most of the others: movzx */
        bool has_byte_rex = opcode & BYTE_RM && rm >= 4;

        put_word(a, word << 8 | 0x0f, 3, has_byte_rex ? REX | rex : rex);
    } else {
        put_op(a, opcode, size, reg, rm_reg(rm));
    }
}

void asm_op_at(Asm *a, uint32_t opcode, unsigned size, int reg, int base, int32_t disp)
{
    enum { MODRM = 8, SIB = 16, NO_INDEX = RSP << 3, MOD_DISP8 = 0x40, MOD_DISP32 = 0x80 };
    unsigned rex = (size & REX_W) | (reg & 8) >> 1 | (base & 8) >> 3, bytes = 2;
    uint64_t word = opcode | ((reg & 7) << 3 | (base & 7)) << MODRM;

    if (!is_plain(opcode, size)) {
        put_op(a, opcode, size, reg, rm_mem(mem_at(base, disp)));
        return;
    }
    if ((base & 7) == RSP) {
        word |= (NO_INDEX | RSP) << SIB;
        bytes = 3;
    }
    if (disp != 0 || (base & 7) == RBP) { /* without one the latter means something else */
        word |= (fits_s8(disp) ? MOD_DISP8 : MOD_DISP32) << MODRM | (uint64_t)(uint32_t)disp << 8 * bytes;
        bytes += fits_s8(disp) ? 1 : 4;
    }
    put_word(a, word, bytes, rex);
}

void asm_op_mem(Asm *a, uint32_t opcode, unsigned size, int reg, Mem mem)
{
    if (mem.index == NO_REG && mem.base != NO_REG) {
        asm_op_at(a, opcode, size, reg, mem.base, mem.disp);
    } else {
        put_op(a, opcode, size, reg, rm_mem(mem));
    }
}

void asm_vex(Asm *a, uint32_t opcode, bool w, bool l256, int reg, int vvvv, Rm rm)
{
    unsigned rex = rex_bits(reg, rm);
    unsigned prefix = opcode >> 16 & 0xff;
    unsigned pp = prefix == 0x66 ? 1 : prefix == 0xf3 ? 2 : prefix == 0xf2 ? 3 : 0;

    asm_byte(a, 0xc4);
    asm_byte(a, (~rex & 7) << 5 | (opcode & MAP_MASK) >> 8);
    asm_byte(a, w << 7 | (~vvvv & 15) << 3 | l256 << 2 | pp);
    asm_byte(a, opcode);
    asm_modrm(a, reg, rm);
}

static void put_evex(Asm *a, uint32_t opcode, bool w, unsigned rounding, int reg, int vvvv, int rm)
{
    enum { NO_R2 = 0x10, FIXED = 4, NO_V2 = 8 }; /* inverted bits of registers from the 17th on */
    unsigned rex = rex_bits(reg, rm_reg(rm));
    unsigned prefix = opcode >> 16 & 0xff;
    unsigned pp = prefix == 0x66 ? 1 : prefix == 0xf3 ? 2 : prefix == 0xf2 ? 3 : 0;

    asm_byte(a, 0x62);
    asm_byte(a, (~rex & 7) << 5 | NO_R2 | (opcode & MAP_MASK) >> 8);
    asm_byte(a, w << 7 | (~vvvv & 15) << 3 | FIXED | pp);
    asm_byte(a, NO_V2 | rounding);
    asm_byte(a, opcode);
    asm_modrm(a, reg, rm_reg(rm));
}

void asm_evex(Asm *a, uint32_t opcode, bool w, int reg, int vvvv, int rm)
{
    put_evex(a, opcode, w, 0, reg, vvvv, rm);
}

void asm_evex_round(Asm *a, uint32_t opcode, bool w, AsmRound round, int reg, int vvvv, int rm)
{
    enum { ROUNDS = 0x10, MODE_SHIFT = 5 };

    put_evex(a, opcode, w, ROUNDS | round << MODE_SHIFT, reg, vvvv, rm);
}

static uint32_t movsx_opcode(unsigned from_size)
{
    return from_size == 1 ? 0xbe | MAP_0F | BYTE_RM : from_size == 2 ? 0xbf | MAP_0F : 0x63;
}

void asm_load_signed(Asm *a, unsigned size, unsigned to_size, int to, Mem from)
{
    if (size == to_size) {
        asm_load(a, size, to, from);
    } else {
        asm_op(a, movsx_opcode(size), to_size < 4 ? 4 : to_size, to, rm_mem(from));
    }
}

void asm_mov_ri(Asm *a, int to, uint64_t imm)
{
    if (imm == (uint32_t)imm) {
        if (to >= 8) {
            asm_byte(a, 0x41);
        }
        asm_byte(a, 0xb8 | (to & 7));
        asm_u32(a, imm);
    } else if (fits_s32(imm)) {
        asm_op(a, 0xc7, 8, 0, rm_reg(to));
        asm_u32(a, imm);
    } else {
        asm_byte(a, 0x48 | to >> 3);
        asm_byte(a, 0xb8 | (to & 7));
        asm_u64(a, imm);
    }
}

static void put_imm(Asm *a, unsigned size, uint32_t imm)
{
    if (size == 1) {
        asm_byte(a, imm);
    } else if (size == 2) {
        asm_byte(a, imm);
        asm_byte(a, imm >> 8);
    } else {
        asm_u32(a, imm);
    }
}

void asm_store_imm(Asm *a, unsigned size, Mem to, int32_t imm)
{
    asm_op(a, size == 1 ? 0xc6 : 0xc7, size, 0, rm_mem(to));
    put_imm(a, size, imm);
}

void asm_zext_rr(Asm *a, unsigned from_size, int to, int from)
{
    if (from_size >= 4) {
        asm_mov_rr(a, from_size, to, from);
    } else {
        asm_op(a, from_size == 1 ? 0xb6 | MAP_0F | BYTE_RM : 0xb7 | MAP_0F, 4, to, rm_reg(from));
    }
}

void asm_sext_rr(Asm *a, unsigned from_size, unsigned to_size, int to, int from)
{
    if (from_size >= to_size) {
        asm_mov_rr(a, to_size, to, from);
    } else {
        asm_op(a, movsx_opcode(from_size), to_size < 4 ? 4 : to_size, to, rm_reg(from));
    }
}

void asm_alu_ri(Asm *a, Alu op, unsigned size, Rm to, int32_t imm)
{
    uint8_t *at = a->p;

    if (size == 1) {
        asm_op(a, 0x80 | BYTE_RM, 1, op, to);
        asm_byte(a, imm);
    } else if (fits_s8(size == 2 ? (int16_t)imm : imm)) {
        asm_op(a, 0x83, size, op, to);
        asm_byte(a, imm);
    } else {
        asm_op(a, 0x81, size, op, to);
        put_imm(a, size, imm);
    }
    asm_fuses(a, at);
}

void asm_shift_imm(Asm *a, Shift op, unsigned size, int reg, unsigned count)
{
    asm_op(a, size == 1 ? 0xc0 | BYTE_RM : 0xc1, size, op, rm_reg(reg));
    asm_byte(a, count);
}

void asm_test_imm(Asm *a, unsigned size, Rm rm, uint32_t imm)
{
    uint8_t *at = a->p;

    asm_op(a, size == 1 ? 0xf6 | BYTE_RM : 0xf7, size, 0, rm);
    put_imm(a, size, imm);
    asm_fuses(a, at);
}

void asm_place_branch_nops(Asm *a, unsigned length, unsigned patched)
{
    enum { LINE = 32 };
    uint8_t *from = a->fusible && a->fusible_end == a->p ? a->fusible : a->p;
    unsigned before = a->p - from, nops = 0;

    while ((a->dodge && (uintptr_t)(from + nops) % LINE + before + length >= LINE) ||
           (patched && (uintptr_t)(a->p + nops + patched) % 8 > 4)) {
        nops++;
    }
    if (nops) {
        memmove(from + nops, from, before);
        a->p = from;
        asm_nop(a, nops);
        a->p += before;
    }
}

void asm_rel32(uint8_t *rel32, const void *target, intptr_t to_exec)
{
    uint32_t distance = (intptr_t)target - ((intptr_t)rel32 + 4 + to_exec);

    memcpy(rel32, &distance, 4);
}

static void rel32_to(Asm *a, const void *target)
{
    asm_rel32(a->p, target, a->to_exec);
    a->p += 4;
}

void asm_jmp_to(Asm *a, const void *target)
{
    asm_byte(a, 0xe9);
    rel32_to(a, target);
}

void asm_call_to(Asm *a, const void *target)
{
    asm_byte(a, 0xe8);
    rel32_to(a, target);
}

void asm_jcc_to(Asm *a, IrCc cc, const void *target)
{
    asm_place_branch(a, 6, 0);
    asm_byte(a, 0x0f);
    asm_byte(a, 0x80 | cc);
    rel32_to(a, target);
}

uint32_t asm_jmp(Asm *a)
{
    asm_place_branch(a, 5, 0);
    asm_byte(a, 0xe9);
    asm_u32(a, 0);
    return asm_offset(a) - 4;
}

uint32_t asm_jcc(Asm *a, IrCc cc)
{
    asm_place_branch(a, 6, 0);
    asm_byte(a, 0x0f);
    asm_byte(a, 0x80 | cc);
    asm_u32(a, 0);
    return asm_offset(a) - 4;
}

void asm_jmp_mem(Asm *a, Mem to)
{
    enum { LONGEST = 8 };

    asm_place_branch(a, LONGEST, 0);
    asm_op(a, 0xff, 4, 4, rm_mem(to));
}

void asm_jmp_offset(Asm *a, uint32_t offset)
{
    int32_t distance;

    asm_place_branch(a, 5, 0);
    distance = (int32_t)(offset - (asm_offset(a) + 2));
    if (fits_s8(distance)) {
        asm_byte(a, 0xeb);
        asm_byte(a, distance);
    } else {
        asm_byte(a, 0xe9);
        asm_u32(a, distance - 3);
    }
}

void asm_patch(Asm *a, uint32_t rel32, uint32_t target)
{
    uint32_t distance = target - (rel32 + 4);

    memcpy(a->start + rel32, &distance, 4);
}

void asm_nop(Asm *a, unsigned bytes)
{
    static const uint8_t nops[9][8] = {
        { 0 },
        { 0x90 },
        { 0x66, 0x90 },
        { 0x0f, 0x1f, 0x00 },
        { 0x0f, 0x1f, 0x40, 0x00 },
        { 0x0f, 0x1f, 0x44, 0x00, 0x00 },
        { 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00 },
        { 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00 },
        { 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00 },
    };

    while (bytes) {
        unsigned n = bytes < 8 ? bytes : 8;

        memcpy(a->p, nops[n], n);
        a->p += n;
        bytes -= n;
    }
}
