/*
 * VEX instructions: AVX, AVX2, FMA, F16C and the VEX forms of AES and PCLMULQDQ.
 *
 * Notation of the SDM, volume 2, appendix A, with H for the register in VEX.vvvv. Memory operands need
 * no alignment unless the row says ALIGNED.
 */
#include "target/x86/vex_table.h"

#define NP(opcode)    MAP_0F, 0, opcode
#define P66(opcode)   MAP_0F, 0x66, opcode
#define PF3(opcode)   MAP_0F, 0xf3, opcode
#define PF2(opcode)   MAP_0F, 0xf2, opcode
#define P6638(opcode) MAP_0F38, 0x66, opcode
#define P663A(opcode) MAP_0F3A, 0x66, opcode

#define V    FP_V
#define G    FP_G
#define W    FP_W
#define U    FP_U
#define E    FP_E
#define M    FP_M
#define NONE FP_NONE
#define H    true
#define X    false /* VEX.vvvv is not used */

#define IMM     FPF_IMM
#define STORE   FPF_STORE
#define EXC     FPF_EXC
#define EFLAGS  FPF_EFLAGS
#define Y       FPF_Y
#define GPR64   FPF_GPR64
#define ALIGNED FPF_ALIGNED

#define BOTH VEX_L_BOTH
#define L128 VEX_L_128
#define L256 VEX_L_256
#define LIG  VEX_L_IGNORED
#define WIG  VEX_W_IGNORED
#define W0   VEX_W_0
#define W1   VEX_W_1

/* Both lengths with memory operands as long as the registers: from AVX on; with AVX2 for the long one. */
#define AVX(where, reg, h, rm, flags)  {where, reg, h, rm, 16, 32, BOTH, WIG, FEAT_avx, FEAT_avx, flags}
#define AVX2(where, reg, h, rm, flags) {where, reg, h, rm, 16, 32, BOTH, WIG, FEAT_avx, FEAT_avx2, flags}
/* From AVX2 on, one value of VEX.W. */
#define NEW2(where, reg, h, rm, w, flags) {where, reg, h, rm, 16, 32, BOTH, w, FEAT_avx2, FEAT_avx2, flags}
/* One length. */
#define SHORT(where, reg, h, rm, size, flags) {where, reg, h, rm, size, 0, L128, WIG, FEAT_avx, FEAT_avx, flags}
#define LONG(where, reg, h, rm, size, w, feature, flags) {where, reg, h, rm, 0, size, L256, w, feature, feature, flags}
#define SCALAR1(where, reg, h, rm, size, flags) {where, reg, h, rm, size, size, LIG, WIG, FEAT_avx, FEAT_avx, flags}

/* Packed single and double; scalars of both. */
#define PACKED(opcode, h, flags) AVX(NP(opcode), V, h, W, flags), AVX(P66(opcode), V, h, W, flags)
#define SCALAR(opcode, flags)                                                                      \
    SCALAR1(PF3(opcode), V, H, W, 4, flags), SCALAR1(PF2(opcode), V, H, W, 8, flags)
#define ARITH(opcode, flags) PACKED(opcode, H, flags), SCALAR(opcode, flags)
#define INT(opcode)   AVX2(P66(opcode), V, H, W, 0)
#define INT38(opcode) AVX2(P6638(opcode), V, H, W, 0)
/* Shift counts are in the low half of 16 bytes. */
#define SHIFT(opcode) {P66(opcode), V, H, W, 16, 16, BOTH, WIG, FEAT_avx, FEAT_avx2, 0}
#define SHIFT_GROUP(opcode, digits)                                                                \
    {P66(opcode), NONE, H, U, 0, 0, BOTH, WIG, FEAT_avx, FEAT_avx2, IMM, digits}
/* Sign and zero extension of a part of the register. */
#define EXTEND(opcode, size)                                                                       \
    {P6638(opcode), V, X, W, size, 2 * (size), BOTH, WIG, FEAT_avx, FEAT_avx2, 0}
#define BROADCAST2(opcode, size) {P6638(opcode), V, X, W, size, size, BOTH, W0, FEAT_avx2, FEAT_avx2, 0}
#define FMA_PACKED(opcode) {P6638(opcode), V, H, W, 16, 32, BOTH, WIG, FEAT_fma, FEAT_fma, EXC}
#define FMA_SCALAR(opcode)                                                                         \
    {P6638(opcode), V, H, W, 4, 4, LIG, W0, FEAT_fma, FEAT_fma, EXC},                               \
    {P6638(opcode), V, H, W, 8, 8, LIG, W1, FEAT_fma, FEAT_fma, EXC}
#define FMA_BOTH(opcode) FMA_PACKED(opcode), FMA_SCALAR((opcode) + 1)
#define FMA_ORDER(opcode) /* of operands: 132, 213, 231 */                                          \
    FMA_PACKED((opcode) + 6), FMA_PACKED((opcode) + 7), FMA_BOTH((opcode) + 8),                     \
    FMA_BOTH((opcode) + 10), FMA_BOTH((opcode) + 12), FMA_BOTH((opcode) + 14)
#define MASKED(opcode, feature, w, flags)                                                          \
    {P6638(opcode), V, H, M, 16, 32, BOTH, w, feature, feature, FPF_MASKED | (flags)}
#define GATHER(opcode) {P6638(opcode), V, H, M, 16, 32, BOTH, WIG, FEAT_avx2, FEAT_avx2, FPF_GATHER}
#define AES(opcode) {P6638(opcode), V, H, W, 16, 32, BOTH, WIG, FEAT_aes, FEAT_vaes, 0}
#define STRING(opcode)                                                                             \
    {P663A(opcode), V, X, W, 16, 0, L128, WIG, FEAT_avx, FEAT_avx, IMM | EFLAGS | FPF_STRING}

const VexRow x86_vex_rows[] = {
    /* Moves. The scalar ones merge with a second register when they have no memory operand. */
    PACKED(0x10, X, 0), SCALAR1(PF3(0x10), V, X, W, 4, FPF_MERGE), SCALAR1(PF2(0x10), V, X, W, 8, FPF_MERGE),
    PACKED(0x11, X, STORE),
    SCALAR1(PF3(0x11), V, X, W, 4, STORE | FPF_MERGE), SCALAR1(PF2(0x11), V, X, W, 8, STORE | FPF_MERGE),
    SHORT(NP(0x12), V, H, W, 8, 0), SHORT(P66(0x12), V, H, M, 8, 0),
    AVX(PF3(0x12), V, X, W, 0),
    {PF2(0x12), V, X, W, 8, 32, BOTH, WIG, FEAT_avx, FEAT_avx, 0},
    SHORT(NP(0x13), V, X, M, 8, STORE), SHORT(P66(0x13), V, X, M, 8, STORE),
    PACKED(0x14, H, 0), PACKED(0x15, H, 0),
    SHORT(NP(0x16), V, H, W, 8, 0), SHORT(P66(0x16), V, H, M, 8, 0),
    AVX(PF3(0x16), V, X, W, 0),
    SHORT(NP(0x17), V, X, M, 8, STORE), SHORT(P66(0x17), V, X, M, 8, STORE),
    PACKED(0x28, X, ALIGNED), PACKED(0x29, X, STORE | ALIGNED),
    AVX(NP(0x2b), V, X, M, STORE | ALIGNED), AVX(P66(0x2b), V, X, M, STORE | ALIGNED),

    /* Conversions and comparisons to flags. */
    SCALAR1(PF3(0x2a), V, H, E, 4, EXC | Y), SCALAR1(PF2(0x2a), V, H, E, 4, EXC | Y),
    SCALAR1(PF3(0x2c), G, X, W, 4, EXC | GPR64), SCALAR1(PF2(0x2c), G, X, W, 8, EXC | GPR64),
    SCALAR1(PF3(0x2d), G, X, W, 4, EXC | GPR64), SCALAR1(PF2(0x2d), G, X, W, 8, EXC | GPR64),
    SCALAR1(NP(0x2e), V, X, W, 4, EXC | EFLAGS), SCALAR1(P66(0x2e), V, X, W, 8, EXC | EFLAGS),
    SCALAR1(NP(0x2f), V, X, W, 4, EXC | EFLAGS), SCALAR1(P66(0x2f), V, X, W, 8, EXC | EFLAGS),

    /* Floating-point arithmetic. */
    AVX(NP(0x50), G, X, U, 0), AVX(P66(0x50), G, X, U, 0),
    PACKED(0x51, X, EXC), SCALAR(0x51, EXC),
    AVX(NP(0x52), V, X, W, 0), SCALAR1(PF3(0x52), V, H, W, 4, 0),
    AVX(NP(0x53), V, X, W, 0), SCALAR1(PF3(0x53), V, H, W, 4, 0),
    PACKED(0x54, H, 0), PACKED(0x55, H, 0), PACKED(0x56, H, 0), PACKED(0x57, H, 0),
    ARITH(0x58, EXC), ARITH(0x59, EXC),
    {NP(0x5a), V, X, W, 8, 16, BOTH, WIG, FEAT_avx, FEAT_avx, EXC},
    AVX(P66(0x5a), V, X, W, EXC),
    SCALAR(0x5a, EXC),
    PACKED(0x5b, X, EXC), AVX(PF3(0x5b), V, X, W, EXC),
    ARITH(0x5c, EXC), ARITH(0x5d, EXC), ARITH(0x5e, EXC), ARITH(0x5f, EXC),
    AVX(P66(0x7c), V, H, W, EXC), AVX(PF2(0x7c), V, H, W, EXC),
    AVX(P66(0x7d), V, H, W, EXC), AVX(PF2(0x7d), V, H, W, EXC),
    PACKED(0xc2, H, EXC | IMM), SCALAR(0xc2, EXC | IMM),
    PACKED(0xc6, H, IMM),
    AVX(P66(0xd0), V, H, W, EXC), AVX(PF2(0xd0), V, H, W, EXC),
    AVX(P66(0xe6), V, X, W, EXC),
    {PF3(0xe6), V, X, W, 8, 16, BOTH, WIG, FEAT_avx, FEAT_avx, EXC},
    AVX(PF2(0xe6), V, X, W, EXC),

    /* Integer vectors. */
    INT(0x60), INT(0x61), INT(0x62), INT(0x63), INT(0x64), INT(0x65), INT(0x66), INT(0x67), INT(0x68),
    INT(0x69), INT(0x6a), INT(0x6b), INT(0x6c), INT(0x6d),
    SHORT(P66(0x6e), V, X, E, 4, Y),
    AVX(P66(0x6f), V, X, W, ALIGNED), AVX(PF3(0x6f), V, X, W, 0),
    AVX2(P66(0x70), V, X, W, IMM), AVX2(PF3(0x70), V, X, W, IMM), AVX2(PF2(0x70), V, X, W, IMM),
    SHIFT_GROUP(0x71, 0x54), SHIFT_GROUP(0x72, 0x54), SHIFT_GROUP(0x73, 0xcc),
    INT(0x74), INT(0x75), INT(0x76),
    {NP(0x77), NONE, X, NONE, 0, 0, BOTH, WIG, FEAT_avx, FEAT_avx, 0}, /* vzeroupper, vzeroall */
    SHORT(P66(0x7e), V, X, E, 4, STORE | Y), SHORT(PF3(0x7e), V, X, W, 8, 0),
    AVX(P66(0x7f), V, X, W, STORE | ALIGNED), AVX(PF3(0x7f), V, X, W, STORE),
    SHORT(NP(0xae), NONE, X, M, 4, FPF_MXCSR),
    SHORT(P66(0xc4), V, H, E, 2, IMM), SHORT(P66(0xc5), G, X, U, 0, IMM),
    SHIFT(0xd1), SHIFT(0xd2), SHIFT(0xd3), INT(0xd4), INT(0xd5),
    SHORT(P66(0xd6), V, X, W, 8, STORE),
    AVX2(P66(0xd7), G, X, U, 0),
    INT(0xd8), INT(0xd9), INT(0xda), INT(0xdb), INT(0xdc), INT(0xdd), INT(0xde), INT(0xdf), INT(0xe0),
    SHIFT(0xe1), SHIFT(0xe2), INT(0xe3), INT(0xe4), INT(0xe5),
    AVX(P66(0xe7), V, X, M, STORE | ALIGNED),
    INT(0xe8), INT(0xe9), INT(0xea), INT(0xeb), INT(0xec), INT(0xed), INT(0xee), INT(0xef),
    AVX(PF2(0xf0), V, X, M, 0),
    SHIFT(0xf1), SHIFT(0xf2), SHIFT(0xf3), INT(0xf4), INT(0xf5), INT(0xf6),
    SHORT(P66(0xf7), V, X, U, 16, FPF_MASKMOV),
    INT(0xf8), INT(0xf9), INT(0xfa), INT(0xfb), INT(0xfc), INT(0xfd), INT(0xfe),

    /* 0F 38. */
    INT38(0x00), INT38(0x01), INT38(0x02), INT38(0x03), INT38(0x04), INT38(0x05), INT38(0x06), INT38(0x07),
    INT38(0x08), INT38(0x09), INT38(0x0a), INT38(0x0b),
    {P6638(0x0c), V, H, W, 16, 32, BOTH, W0, FEAT_avx, FEAT_avx, 0},
    {P6638(0x0d), V, H, W, 16, 32, BOTH, W0, FEAT_avx, FEAT_avx, 0},
    {P6638(0x0e), V, X, W, 16, 32, BOTH, W0, FEAT_avx, FEAT_avx, EFLAGS},
    {P6638(0x0f), V, X, W, 16, 32, BOTH, W0, FEAT_avx, FEAT_avx, EFLAGS},
    {P6638(0x13), V, X, W, 8, 16, BOTH, W0, FEAT_f16c, FEAT_f16c, EXC},
    LONG(P6638(0x16), V, H, W, 32, W0, FEAT_avx2, 0),
    AVX(P6638(0x17), V, X, W, EFLAGS),
    {P6638(0x18), V, X, W, 4, 4, BOTH, W0, FEAT_avx, FEAT_avx, FPF_REG_AVX2},
    LONG(P6638(0x19), V, X, W, 8, W0, FEAT_avx, FPF_REG_AVX2),
    LONG(P6638(0x1a), V, X, M, 16, W0, FEAT_avx, 0),
    AVX2(P6638(0x1c), V, X, W, 0), AVX2(P6638(0x1d), V, X, W, 0), AVX2(P6638(0x1e), V, X, W, 0),
    EXTEND(0x20, 8), EXTEND(0x21, 4), EXTEND(0x22, 2), EXTEND(0x23, 8), EXTEND(0x24, 4), EXTEND(0x25, 8),
    INT38(0x28), INT38(0x29),
    AVX2(P6638(0x2a), V, X, M, ALIGNED),
    INT38(0x2b),
    MASKED(0x2c, FEAT_avx, W0, 0), MASKED(0x2d, FEAT_avx, W0, 0),
    MASKED(0x2e, FEAT_avx, W0, STORE), MASKED(0x2f, FEAT_avx, W0, STORE),
    EXTEND(0x30, 8), EXTEND(0x31, 4), EXTEND(0x32, 2), EXTEND(0x33, 8), EXTEND(0x34, 4), EXTEND(0x35, 8),
    LONG(P6638(0x36), V, H, W, 32, W0, FEAT_avx2, 0),
    INT38(0x37), INT38(0x38), INT38(0x39), INT38(0x3a), INT38(0x3b), INT38(0x3c), INT38(0x3d), INT38(0x3e),
    INT38(0x3f), INT38(0x40),
    SHORT(P6638(0x41), V, X, W, 16, 0),
    NEW2(P6638(0x45), V, H, W, WIG, 0), NEW2(P6638(0x46), V, H, W, W0, 0), NEW2(P6638(0x47), V, H, W, WIG, 0),
    BROADCAST2(0x58, 4), BROADCAST2(0x59, 8), BROADCAST2(0x78, 1), BROADCAST2(0x79, 2),
    LONG(P6638(0x5a), V, X, M, 16, W0, FEAT_avx2, 0),
    MASKED(0x8c, FEAT_avx2, WIG, 0), MASKED(0x8e, FEAT_avx2, WIG, STORE),
    GATHER(0x90), GATHER(0x91), GATHER(0x92), GATHER(0x93),
    FMA_ORDER(0x90), FMA_ORDER(0xa0), FMA_ORDER(0xb0),
    {P6638(0xdb), V, X, W, 16, 0, L128, WIG, FEAT_aes, FEAT_aes, 0}, AES(0xdc), AES(0xdd), AES(0xde), AES(0xdf),

    /* 0F 3A. */
    LONG(P663A(0x00), V, X, W, 32, W1, FEAT_avx2, IMM), LONG(P663A(0x01), V, X, W, 32, W1, FEAT_avx2, IMM),
    NEW2(P663A(0x02), V, H, W, W0, IMM),
    {P663A(0x04), V, X, W, 16, 32, BOTH, W0, FEAT_avx, FEAT_avx, IMM},
    {P663A(0x05), V, X, W, 16, 32, BOTH, W0, FEAT_avx, FEAT_avx, IMM},
    LONG(P663A(0x06), V, H, W, 32, W0, FEAT_avx, IMM),
    AVX(P663A(0x08), V, X, W, EXC | IMM), AVX(P663A(0x09), V, X, W, EXC | IMM),
    SCALAR1(P663A(0x0a), V, H, W, 4, EXC | IMM), SCALAR1(P663A(0x0b), V, H, W, 8, EXC | IMM),
    AVX(P663A(0x0c), V, H, W, IMM), AVX(P663A(0x0d), V, H, W, IMM), AVX2(P663A(0x0e), V, H, W, IMM),
    AVX2(P663A(0x0f), V, H, W, IMM),
    SHORT(P663A(0x14), V, X, E, 1, IMM | STORE), SHORT(P663A(0x15), V, X, E, 2, IMM | STORE),
    SHORT(P663A(0x16), V, X, E, 4, IMM | STORE | Y), SHORT(P663A(0x17), V, X, E, 4, IMM | STORE),
    LONG(P663A(0x18), V, H, W, 16, W0, FEAT_avx, IMM), LONG(P663A(0x19), V, X, W, 16, W0, FEAT_avx, IMM | STORE),
    {P663A(0x1d), V, X, W, 8, 16, BOTH, W0, FEAT_f16c, FEAT_f16c, IMM | STORE | EXC},
    SHORT(P663A(0x20), V, H, E, 1, IMM), SHORT(P663A(0x21), V, H, W, 4, IMM), SHORT(P663A(0x22), V, H, E, 4, IMM | Y),
    LONG(P663A(0x38), V, H, W, 16, W0, FEAT_avx2, IMM), LONG(P663A(0x39), V, X, W, 16, W0, FEAT_avx2, IMM | STORE),
    AVX(P663A(0x40), V, H, W, EXC | IMM), SHORT(P663A(0x41), V, H, W, 16, EXC | IMM),
    AVX2(P663A(0x42), V, H, W, IMM),
    {P663A(0x44), V, H, W, 16, 32, BOTH, WIG, FEAT_pclmulqdq, FEAT_vpclmulqdq, IMM},
    LONG(P663A(0x46), V, H, W, 32, W0, FEAT_avx2, IMM),
    {P663A(0x4a), V, H, W, 16, 32, BOTH, W0, FEAT_avx, FEAT_avx, IMM | FPF_IS4},
    {P663A(0x4b), V, H, W, 16, 32, BOTH, W0, FEAT_avx, FEAT_avx, IMM | FPF_IS4},
    {P663A(0x4c), V, H, W, 16, 32, BOTH, W0, FEAT_avx, FEAT_avx2, IMM | FPF_IS4},
    STRING(0x60), STRING(0x61), STRING(0x62), STRING(0x63),
    {P663A(0xdf), V, X, W, 16, 0, L128, WIG, FEAT_aes, FEAT_aes, IMM},
};

const unsigned x86_vex_row_count = G_N_ELEMENTS(x86_vex_rows);

const VexRow *x86_vex_row(unsigned map, unsigned prefix, unsigned opcode, bool w)
{
    static const VexRow *rows[3][4][256][2];
    static gsize ready;

    if (g_once_init_enter(&ready)) {
        for (unsigned i = 0; i < x86_vex_row_count; i++) {
            const VexRow *row = &x86_vex_rows[i];
            const VexRow **place = rows[row->map - MAP_0F][x86_prefix_index(row->prefix)][row->opcode];

            if (row->w != VEX_W_1) {
                place[0] = row;
            }
            if (row->w != VEX_W_0) {
                place[1] = row;
            }
        }
        g_once_init_leave(&ready, 1);
    }
    return rows[map - MAP_0F][x86_prefix_index(prefix)][opcode][w];
}
