/*
 * An assembler for x86-64: each function writes one instruction.
 *
 * Intel SDM volume 2. Sizes are bytes: 1, 2, 4 or 8. 32-bit results clear the upper half.
 */
#ifndef TCG_X86_64_ASM_H
#define TCG_X86_64_ASM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tcg/ir.h"

enum {
    RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15,
    HOST_REGS, NO_REG = -1,
};

typedef struct Asm {
    uint8_t *start;   /* writable view of the code being made */
    uint8_t *p;       /* next byte */
    uint8_t *limit;   /* end of the room */
    intptr_t to_exec; /* executable address - writable address */
    uint8_t *fusible, *fusible_end; /* the last instruction, if it makes one with a conditional branch behind it; NULL: none may move */
    bool dodge;       /* branches keep away from ends of 32 bytes, see asm_place_branch */
} Asm;

/* Where code goes that is made meanwhile. */
typedef struct AsmRoom {
    uint8_t *p, *limit;
} AsmRoom;

typedef struct Mem {
    int8_t base, index; /* NO_REG: none */
    uint8_t scale;      /* log2 */
    int32_t disp;
} Mem;

/* A register or a memory operand: what ModRM.rm can be. */
typedef struct Rm {
    bool is_mem;
    int8_t reg;
    Mem mem;
} Rm;

/* Opcodes: byte, map, mandatory prefix, and which operands are byte registers. */
enum {
    MAP_0F = 1 << 8, MAP_38 = 2 << 8, MAP_3A = 3 << 8, MAP_MASK = 3 << 8,
    BYTE_REG = 1 << 10, BYTE_RM = 1 << 11,
    P_66 = 0x66 << 16, P_F2 = 0xf2 << 16, P_F3 = 0xf3 << 16,
    P_LOCK = 1 << 24,
};

/* Operations in the ALU group's encoding. */
typedef enum Alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP } Alu;
/* Shift group. */
typedef enum Shift { SH_ROL, SH_ROR, SH_RCL, SH_RCR, SH_SHL, SH_SHR, SH_SAL, SH_SAR } Shift;

/* What is known by its offset stays where it is. */
static inline uint32_t asm_offset(Asm *a)
{
    a->fusible = NULL;
    return a->p - a->start;
}

static inline void asm_byte(Asm *a, uint8_t b)
{
    *a->p++ = b;
}

static inline void asm_u32(Asm *a, uint32_t v)
{
    memcpy(a->p, &v, 4);
    a->p += 4;
}

static inline void asm_u64(Asm *a, uint64_t v)
{
    memcpy(a->p, &v, 8);
    a->p += 8;
}

static inline Rm rm_reg(int reg)
{
    return (Rm){ .reg = reg };
}

static inline Rm rm_mem(Mem mem)
{
    return (Rm){ .is_mem = true, .mem = mem };
}

static inline Mem mem_at(int base, int32_t disp)
{
    return (Mem){ .base = base, .index = NO_REG, .disp = disp };
}

static inline Mem mem_index(int base, int index, int32_t disp)
{
    return (Mem){ .base = base, .index = index, .disp = disp };
}

/* A field of the state, or below it. */
static inline Mem mem_state(int32_t disp)
{
    return mem_at(RSP, disp);
}

static inline bool fits_s8(int64_t v)
{
    return v == (int8_t)v;
}

static inline bool fits_s32(int64_t v)
{
    return v == (int32_t)v;
}

/* ModRM, SIB and displacement. */
void asm_modrm(Asm *a, int reg, Rm rm);
/* The instruction from here on makes one with a branch. */
static inline void asm_fuses(Asm *a, uint8_t *from)
{
    a->fusible = from;
    a->fusible_end = a->p;
}

/*
 * Nops for a branch of this length that comes next. patched: the offset of a rel32 in it that must not cross 8 bytes; 0: none.
 * Intel's processors from Skylake to Comet Lake do not keep decoded what branches across an end of 32 bytes or up to it,
 * together with the comparison before that makes one operation with it (JCC erratum, Intel 341810): then both go behind it.
 */
void asm_place_branch_nops(Asm *a, unsigned length, unsigned patched);
static inline void asm_place_branch(Asm *a, unsigned length, unsigned patched)
{
    if (a->dodge || patched) {
        asm_place_branch_nops(a, length, patched);
    }
    a->fusible = NULL;
}

/* Any instruction with a ModRM byte, without its immediate: with a register, with one and a displacement, or with any memory operand. */
void asm_op_rr(Asm *a, uint32_t opcode, unsigned size, int reg, int rm);
void asm_op_at(Asm *a, uint32_t opcode, unsigned size, int reg, int base, int32_t disp);
void asm_op_mem(Asm *a, uint32_t opcode, unsigned size, int reg, Mem mem);

static inline void asm_op(Asm *a, uint32_t opcode, unsigned size, int reg, Rm rm)
{
    if (!rm.is_mem) {
        asm_op_rr(a, opcode, size, reg, rm.reg);
    } else if (__builtin_constant_p(rm.mem.index) && rm.mem.index == NO_REG && __builtin_constant_p(rm.mem.base) && rm.mem.base != NO_REG) {
        asm_op_at(a, opcode, size, reg, rm.mem.base, rm.mem.disp);
    } else {
        asm_op_mem(a, opcode, size, reg, rm.mem);
    }
}

/* The same with a VEX prefix; pp and map from the opcode. */
void asm_vex(Asm *a, uint32_t opcode, bool w, bool l256, int reg, int vvvv, Rm rm);
typedef enum AsmRound { ROUND_NEAREST, ROUND_DOWN, ROUND_UP, ROUND_CUT } AsmRound;
/* A scalar operation that rounds so whatever MXCSR says, and raises nothing. */
void asm_evex_round(Asm *a, uint32_t opcode, bool w, AsmRound round, int reg, int vvvv, int rm);
void asm_evex(Asm *a, uint32_t opcode, bool w, int reg, int vvvv, int rm); /* of 128 bits, without a mask; the first 16 registers */

/* op reg64, [rsp + disp]: what makes up most checks. */
static inline void asm_op_state8(Asm *a, uint8_t opcode, int reg, int8_t disp)
{
    enum { REX_W = 0x48, MODRM_DISP8_SIB = 0x44, SIB_RSP = 0x24 };
    uint64_t word = (REX_W | (reg & 8) >> 1) | opcode << 8 | (MODRM_DISP8_SIB | (reg & 7) << 3) << 16 | SIB_RSP << 24 |
                    (uint64_t)(uint8_t)disp << 32;

    memcpy(a->p, &word, 8);
    a->p += 5;
}

static inline void asm_mov_rr(Asm *a, unsigned size, int to, int from)
{
    asm_op(a, 0x8b, size < 4 ? 4 : size, to, rm_reg(from));
}

/* Loads zero-extended: sizes 1 and 2 into 32 bits. */
static inline void asm_load(Asm *a, unsigned size, int to, Mem from)
{
    asm_op(a, size >= 4 ? 0x8b : size == 1 ? 0xb6 | MAP_0F : 0xb7 | MAP_0F, size == 8 ? 8 : 4, to, rm_mem(from));
}

void asm_load_signed(Asm *a, unsigned size, unsigned to_size, int to, Mem from);
static inline void asm_store(Asm *a, unsigned size, Mem to, int from)
{
    asm_op(a, size == 1 ? 0x88 | BYTE_REG : 0x89, size, from, rm_mem(to));
}

void asm_mov_ri(Asm *a, int to, uint64_t imm); /* all 64 bits; leaves EFLAGS alone */
/* imm is sign-extended from 32 bits for size 8. */
void asm_store_imm(Asm *a, unsigned size, Mem to, int32_t imm);
void asm_zext_rr(Asm *a, unsigned from_size, int to, int from);
void asm_sext_rr(Asm *a, unsigned from_size, unsigned to_size, int to, int from);
void asm_alu_ri(Asm *a, Alu op, unsigned size, Rm to, int32_t imm);
void asm_shift_imm(Asm *a, Shift op, unsigned size, int reg, unsigned count);

static inline void asm_lea(Asm *a, unsigned size, int to, Mem from)
{
    asm_op(a, 0x8d, size, to, rm_mem(from));
}

/* to op= from; for ALU_CMP to is only read. */
static inline void asm_alu(Asm *a, Alu op, unsigned size, int to, Rm from)
{
    uint8_t *at = a->p;

    asm_op(a, op << 3 | (size == 1 ? 2 | BYTE_REG | BYTE_RM : 3), size, to, from);
    asm_fuses(a, at);
}

/* The same with memory as the destination. */
static inline void asm_alu_mr(Asm *a, Alu op, unsigned size, Rm to, int from)
{
    uint8_t *at = a->p;

    asm_op(a, op << 3 | (size == 1 ? 0 | BYTE_REG | BYTE_RM : 1), size, from, to);
    asm_fuses(a, at);
}

static inline void asm_shift_cl(Asm *a, Shift op, unsigned size, int reg)
{
    asm_op(a, size == 1 ? 0xd2 | BYTE_RM : 0xd3, size, op, rm_reg(reg));
}

/* Both change places, all 64 bits; flags stay. */
static inline void asm_exchange(Asm *a, int x, int y)
{
    asm_op(a, 0x87, 8, x, rm_reg(y));
}

static inline void asm_test_rr(Asm *a, unsigned size, int x, int y)
{
    uint8_t *at = a->p;

    asm_op(a, size == 1 ? 0x84 | BYTE_REG | BYTE_RM : 0x85, size, y, rm_reg(x));
    asm_fuses(a, at);
}

void asm_test_imm(Asm *a, unsigned size, Rm rm, uint32_t imm);

/* Group 3 (f6/f7): 2 not, 3 neg, 4 mul, 5 imul, 6 div, 7 idiv. */
static inline void asm_group3(Asm *a, unsigned digit, unsigned size, Rm rm)
{
    asm_op(a, size == 1 ? 0xf6 | BYTE_RM : 0xf7, size, digit, rm);
}

static inline void asm_setcc(Asm *a, IrCc cc, int to)
{
    asm_op(a, 0x90 | MAP_0F | BYTE_RM | cc, 4, 0, rm_reg(to));
}

static inline void asm_ret(Asm *a)
{
    asm_byte(a, 0xc3);
}

static inline void asm_push(Asm *a, int reg)
{
    if (reg >= 8) {
        asm_byte(a, 0x41);
    }
    asm_byte(a, 0x50 | (reg & 7));
}

static inline void asm_pop(Asm *a, int reg)
{
    if (reg >= 8) {
        asm_byte(a, 0x41);
    }
    asm_byte(a, 0x58 | (reg & 7));
}

/* Branches to an address in the executable view; and the rel32 of one. */
void asm_rel32(uint8_t *rel32, const void *target, intptr_t to_exec);
void asm_jmp_to(Asm *a, const void *target);
void asm_call_to(Asm *a, const void *target);
void asm_jcc_to(Asm *a, IrCc cc, const void *target);
/* Branches forward: return the offset of the rel32 for asm_patch_here. */
uint32_t asm_jmp(Asm *a);
uint32_t asm_jcc(Asm *a, IrCc cc);
void asm_jmp_mem(Asm *a, Mem to);
/* Back to an offset in the same code. */
void asm_jmp_offset(Asm *a, uint32_t offset);
/* Makes the rel32 at an offset lead to another offset, or to here. */
void asm_patch(Asm *a, uint32_t rel32, uint32_t target);

static inline void asm_patch_here(Asm *a, uint32_t rel32)
{
    asm_patch(a, rel32, asm_offset(a));
}

/* No-operation bytes of this length in as few instructions as possible. */
void asm_nop(Asm *a, unsigned bytes);

#endif
