/*
 * MMX and SSE instructions up to SSE4.2, AES, PCLMULQDQ and SHA: operands, memory sizes, features.
 *
 * Notation of the SDM, volume 2, appendix A. A legacy 16-byte memory operand must be aligned unless
 * the row says FPF_LOOSE.
 */
#include "target/x86/fp_table.h"

#define NP(opcode)    MAP_0F, 0, opcode
#define P66(opcode)   MAP_0F, 0x66, opcode
#define PF3(opcode)   MAP_0F, 0xf3, opcode
#define PF2(opcode)   MAP_0F, 0xf2, opcode
#define NP38(opcode)  MAP_0F38, 0, opcode
#define P6638(opcode) MAP_0F38, 0x66, opcode
#define NP3A(opcode)  MAP_0F3A, 0, opcode
#define P663A(opcode) MAP_0F3A, 0x66, opcode

#define V    FP_V
#define P    FP_P
#define G    FP_G
#define W    FP_W
#define U    FP_U
#define Q    FP_Q
#define N    FP_N
#define E    FP_E
#define M    FP_M
#define NONE FP_NONE

#define IMM    FPF_IMM
#define STORE  FPF_STORE
#define LOOSE  FPF_LOOSE
#define EXC    FPF_EXC
#define EFLAGS FPF_EFLAGS
#define Y      FPF_Y

/* Families: packed single and double; the four of an arithmetic operation; MMX and its SSE2 twin. */
#define PACKED(opcode, flags)                      \
    {NP(opcode), V, W, 16, FEAT_sse, flags},       \
    {P66(opcode), V, W, 16, FEAT_sse2, flags}
#define SCALAR(opcode, flags)                      \
    {PF3(opcode), V, W, 4, FEAT_sse, flags},       \
    {PF2(opcode), V, W, 8, FEAT_sse2, flags}
#define ARITH(opcode, flags) PACKED(opcode, flags), SCALAR(opcode, flags)
#define INT_OF(opcode, feature)                    \
    {NP(opcode), P, Q, 8, feature},                \
    {P66(opcode), V, W, 16, FEAT_sse2}
#define INT(opcode) INT_OF(opcode, FEAT_mmx)
#define SHIFT_GROUP(opcode, mmx_digits, sse_digits)                     \
    {NP(opcode), NONE, N, 0, FEAT_mmx, IMM, mmx_digits},                \
    {P66(opcode), NONE, U, 0, FEAT_sse2, IMM, sse_digits}
#define SSSE3(opcode)                              \
    {NP38(opcode), P, Q, 8, FEAT_ssse3},           \
    {P6638(opcode), V, W, 16, FEAT_ssse3}
#define SSE41(opcode, size) {P6638(opcode), V, W, size, FEAT_sse4_1}

const FpRow x86_fp_rows[] = {
    /* Moves. */
    PACKED(0x10, LOOSE), SCALAR(0x10, 0),
    PACKED(0x11, STORE | LOOSE), SCALAR(0x11, STORE),
    {NP(0x12), V, W, 8, FEAT_sse}, /* movlps, movhlps */
    {P66(0x12), V, M, 8, FEAT_sse2},
    {PF3(0x12), V, W, 16, FEAT_pni},
    {PF2(0x12), V, W, 8, FEAT_pni},
    {NP(0x13), V, M, 8, FEAT_sse, STORE},
    {P66(0x13), V, M, 8, FEAT_sse2, STORE},
    PACKED(0x14, 0), PACKED(0x15, 0),
    {NP(0x16), V, W, 8, FEAT_sse}, /* movhps, movlhps */
    {P66(0x16), V, M, 8, FEAT_sse2},
    {PF3(0x16), V, W, 16, FEAT_pni},
    {NP(0x17), V, M, 8, FEAT_sse, STORE},
    {P66(0x17), V, M, 8, FEAT_sse2, STORE},
    PACKED(0x28, 0), PACKED(0x29, STORE),
    {NP(0x2b), V, M, 16, FEAT_sse, STORE},
    {P66(0x2b), V, M, 16, FEAT_sse2, STORE},

    /* Conversions and comparisons to flags. */
    {NP(0x2a), V, Q, 8, FEAT_sse, EXC},
    {P66(0x2a), V, Q, 8, FEAT_sse2, EXC},
    {PF3(0x2a), V, E, 4, FEAT_sse, EXC | Y},
    {PF2(0x2a), V, E, 4, FEAT_sse2, EXC | Y},
    {NP(0x2c), P, W, 8, FEAT_sse, EXC},
    {P66(0x2c), P, W, 16, FEAT_sse2, EXC},
    {PF3(0x2c), G, W, 4, FEAT_sse, EXC | FPF_GPR64},
    {PF2(0x2c), G, W, 8, FEAT_sse2, EXC | FPF_GPR64},
    {NP(0x2d), P, W, 8, FEAT_sse, EXC},
    {P66(0x2d), P, W, 16, FEAT_sse2, EXC},
    {PF3(0x2d), G, W, 4, FEAT_sse, EXC | FPF_GPR64},
    {PF2(0x2d), G, W, 8, FEAT_sse2, EXC | FPF_GPR64},
    {NP(0x2e), V, W, 4, FEAT_sse, EXC | EFLAGS},
    {P66(0x2e), V, W, 8, FEAT_sse2, EXC | EFLAGS},
    {NP(0x2f), V, W, 4, FEAT_sse, EXC | EFLAGS},
    {P66(0x2f), V, W, 8, FEAT_sse2, EXC | EFLAGS},

    /* Floating-point arithmetic. */
    {NP(0x50), G, U, 0, FEAT_sse},
    {P66(0x50), G, U, 0, FEAT_sse2},
    ARITH(0x51, EXC),
    {NP(0x52), V, W, 16, FEAT_sse}, {PF3(0x52), V, W, 4, FEAT_sse},
    {NP(0x53), V, W, 16, FEAT_sse}, {PF3(0x53), V, W, 4, FEAT_sse},
    PACKED(0x54, 0), PACKED(0x55, 0), PACKED(0x56, 0), PACKED(0x57, 0),
    ARITH(0x58, EXC), ARITH(0x59, EXC),
    {NP(0x5a), V, W, 8, FEAT_sse2, EXC},
    {P66(0x5a), V, W, 16, FEAT_sse2, EXC},
    {PF3(0x5a), V, W, 4, FEAT_sse2, EXC},
    {PF2(0x5a), V, W, 8, FEAT_sse2, EXC},
    {NP(0x5b), V, W, 16, FEAT_sse2, EXC},
    {P66(0x5b), V, W, 16, FEAT_sse2, EXC},
    {PF3(0x5b), V, W, 16, FEAT_sse2, EXC},
    ARITH(0x5c, EXC), ARITH(0x5d, EXC), ARITH(0x5e, EXC), ARITH(0x5f, EXC),
    {P66(0x7c), V, W, 16, FEAT_pni, EXC}, {PF2(0x7c), V, W, 16, FEAT_pni, EXC},
    {P66(0x7d), V, W, 16, FEAT_pni, EXC}, {PF2(0x7d), V, W, 16, FEAT_pni, EXC},
    PACKED(0xc2, EXC | IMM), SCALAR(0xc2, EXC | IMM),
    PACKED(0xc6, IMM),
    {P66(0xd0), V, W, 16, FEAT_pni, EXC}, {PF2(0xd0), V, W, 16, FEAT_pni, EXC},
    {P66(0xe6), V, W, 16, FEAT_sse2, EXC},
    {PF3(0xe6), V, W, 8, FEAT_sse2, EXC},
    {PF2(0xe6), V, W, 16, FEAT_sse2, EXC},

    /* Integer vectors. punpckl of MMX reads four bytes only. */
    {NP(0x60), P, Q, 4, FEAT_mmx}, {P66(0x60), V, W, 16, FEAT_sse2},
    {NP(0x61), P, Q, 4, FEAT_mmx}, {P66(0x61), V, W, 16, FEAT_sse2},
    {NP(0x62), P, Q, 4, FEAT_mmx}, {P66(0x62), V, W, 16, FEAT_sse2},
    INT(0x63), INT(0x64), INT(0x65), INT(0x66), INT(0x67), INT(0x68), INT(0x69), INT(0x6a), INT(0x6b),
    {P66(0x6c), V, W, 16, FEAT_sse2},
    {P66(0x6d), V, W, 16, FEAT_sse2},
    {NP(0x6e), P, E, 4, FEAT_mmx, Y},
    {P66(0x6e), V, E, 4, FEAT_sse2, Y},
    {NP(0x6f), P, Q, 8, FEAT_mmx},
    {P66(0x6f), V, W, 16, FEAT_sse2},
    {PF3(0x6f), V, W, 16, FEAT_sse2, LOOSE},
    {NP(0x70), P, Q, 8, FEAT_sse, IMM},
    {P66(0x70), V, W, 16, FEAT_sse2, IMM},
    {PF3(0x70), V, W, 16, FEAT_sse2, IMM},
    {PF2(0x70), V, W, 16, FEAT_sse2, IMM},
    SHIFT_GROUP(0x71, 0x54, 0x54), SHIFT_GROUP(0x72, 0x54, 0x54), SHIFT_GROUP(0x73, 0x44, 0xcc),
    INT(0x74), INT(0x75), INT(0x76),
    {NP(0x77), NONE, NONE, 0, FEAT_mmx},
    {NP(0x7e), P, E, 4, FEAT_mmx, STORE | Y},
    {P66(0x7e), V, E, 4, FEAT_sse2, STORE | Y},
    {PF3(0x7e), V, W, 8, FEAT_sse2},
    {NP(0x7f), P, Q, 8, FEAT_mmx, STORE},
    {P66(0x7f), V, W, 16, FEAT_sse2, STORE},
    {PF3(0x7f), V, W, 16, FEAT_sse2, STORE | LOOSE},
    {NP(0xc4), P, E, 2, FEAT_sse, IMM},
    {P66(0xc4), V, E, 2, FEAT_sse2, IMM},
    {NP(0xc5), G, N, 0, FEAT_sse, IMM},
    {P66(0xc5), G, U, 0, FEAT_sse2, IMM},
    INT(0xd1), INT(0xd2), INT(0xd3), INT_OF(0xd4, FEAT_sse2), INT(0xd5),
    {P66(0xd6), V, W, 8, FEAT_sse2, STORE},
    {PF3(0xd6), V, N, 0, FEAT_sse2},
    {PF2(0xd6), P, U, 0, FEAT_sse2},
    {NP(0xd7), G, N, 0, FEAT_sse},
    {P66(0xd7), G, U, 0, FEAT_sse2},
    INT(0xd8), INT(0xd9), INT_OF(0xda, FEAT_sse), INT(0xdb), INT(0xdc), INT(0xdd),
    INT_OF(0xde, FEAT_sse), INT(0xdf), INT_OF(0xe0, FEAT_sse), INT(0xe1), INT(0xe2),
    INT_OF(0xe3, FEAT_sse), INT_OF(0xe4, FEAT_sse), INT(0xe5),
    {NP(0xe7), P, M, 8, FEAT_sse, STORE},
    {P66(0xe7), V, M, 16, FEAT_sse2, STORE},
    INT(0xe8), INT(0xe9), INT_OF(0xea, FEAT_sse), INT(0xeb), INT(0xec), INT(0xed),
    INT_OF(0xee, FEAT_sse), INT(0xef),
    {PF2(0xf0), V, M, 16, FEAT_pni, LOOSE},
    INT(0xf1), INT(0xf2), INT(0xf3), INT_OF(0xf4, FEAT_sse2), INT(0xf5), INT_OF(0xf6, FEAT_sse),
    {NP(0xf7), P, N, 8, FEAT_sse, FPF_MASKMOV},
    {P66(0xf7), V, U, 16, FEAT_sse2, FPF_MASKMOV},
    INT(0xf8), INT(0xf9), INT(0xfa), INT_OF(0xfb, FEAT_sse2), INT(0xfc), INT(0xfd), INT(0xfe),

    /* 0F 38. */
    SSSE3(0x00), SSSE3(0x01), SSSE3(0x02), SSSE3(0x03), SSSE3(0x04), SSSE3(0x05), SSSE3(0x06),
    SSSE3(0x07), SSSE3(0x08), SSSE3(0x09), SSSE3(0x0a), SSSE3(0x0b), SSSE3(0x1c), SSSE3(0x1d),
    SSSE3(0x1e),
    SSE41(0x10, 16), SSE41(0x14, 16), SSE41(0x15, 16), /* blends by xmm0 */
    {P6638(0x17), V, W, 16, FEAT_sse4_1, EFLAGS},
    SSE41(0x20, 8), SSE41(0x21, 4), SSE41(0x22, 2), SSE41(0x23, 8), SSE41(0x24, 4), SSE41(0x25, 8),
    SSE41(0x28, 16), SSE41(0x29, 16),
    {P6638(0x2a), V, M, 16, FEAT_sse4_1},
    SSE41(0x2b, 16),
    SSE41(0x30, 8), SSE41(0x31, 4), SSE41(0x32, 2), SSE41(0x33, 8), SSE41(0x34, 4), SSE41(0x35, 8),
    {P6638(0x37), V, W, 16, FEAT_sse4_2},
    SSE41(0x38, 16), SSE41(0x39, 16), SSE41(0x3a, 16), SSE41(0x3b, 16), SSE41(0x3c, 16),
    SSE41(0x3d, 16), SSE41(0x3e, 16), SSE41(0x3f, 16), SSE41(0x40, 16), SSE41(0x41, 16),
    {NP38(0xc8), V, W, 16, FEAT_sha_ni}, {NP38(0xc9), V, W, 16, FEAT_sha_ni},
    {NP38(0xca), V, W, 16, FEAT_sha_ni}, {NP38(0xcb), V, W, 16, FEAT_sha_ni},
    {NP38(0xcc), V, W, 16, FEAT_sha_ni}, {NP38(0xcd), V, W, 16, FEAT_sha_ni},
    {P6638(0xdb), V, W, 16, FEAT_aes}, {P6638(0xdc), V, W, 16, FEAT_aes},
    {P6638(0xdd), V, W, 16, FEAT_aes}, {P6638(0xde), V, W, 16, FEAT_aes},
    {P6638(0xdf), V, W, 16, FEAT_aes},

    /* 0F 3A. */
    {P663A(0x08), V, W, 16, FEAT_sse4_1, EXC | IMM},
    {P663A(0x09), V, W, 16, FEAT_sse4_1, EXC | IMM},
    {P663A(0x0a), V, W, 4, FEAT_sse4_1, EXC | IMM},
    {P663A(0x0b), V, W, 8, FEAT_sse4_1, EXC | IMM},
    {P663A(0x0c), V, W, 16, FEAT_sse4_1, IMM},
    {P663A(0x0d), V, W, 16, FEAT_sse4_1, IMM},
    {P663A(0x0e), V, W, 16, FEAT_sse4_1, IMM},
    {NP3A(0x0f), P, Q, 8, FEAT_ssse3, IMM},
    {P663A(0x0f), V, W, 16, FEAT_ssse3, IMM},
    {P663A(0x14), V, E, 1, FEAT_sse4_1, IMM | STORE},
    {P663A(0x15), V, E, 2, FEAT_sse4_1, IMM | STORE},
    {P663A(0x16), V, E, 4, FEAT_sse4_1, IMM | STORE | Y},
    {P663A(0x17), V, E, 4, FEAT_sse4_1, IMM | STORE},
    {P663A(0x20), V, E, 1, FEAT_sse4_1, IMM},
    {P663A(0x21), V, W, 4, FEAT_sse4_1, IMM},
    {P663A(0x22), V, E, 4, FEAT_sse4_1, IMM | Y},
    {P663A(0x40), V, W, 16, FEAT_sse4_1, EXC | IMM},
    {P663A(0x41), V, W, 16, FEAT_sse4_1, EXC | IMM},
    {P663A(0x42), V, W, 16, FEAT_sse4_1, IMM},
    {P663A(0x44), V, W, 16, FEAT_pclmulqdq, IMM},
    {P663A(0x60), V, W, 16, FEAT_sse4_2, IMM | LOOSE | EFLAGS | FPF_STRING},
    {P663A(0x61), V, W, 16, FEAT_sse4_2, IMM | LOOSE | EFLAGS | FPF_STRING},
    {P663A(0x62), V, W, 16, FEAT_sse4_2, IMM | LOOSE | EFLAGS | FPF_STRING},
    {P663A(0x63), V, W, 16, FEAT_sse4_2, IMM | LOOSE | EFLAGS | FPF_STRING},
    {NP3A(0xcc), V, W, 16, FEAT_sha_ni, IMM},
    {P663A(0xdf), V, W, 16, FEAT_aes, IMM},
};

const unsigned x86_fp_row_count = G_N_ELEMENTS(x86_fp_rows);

const FpRow *x86_fp_row(unsigned map, unsigned prefix, unsigned opcode)
{
    static const FpRow *rows[3][4][256];
    static gsize ready;

    if (g_once_init_enter(&ready)) {
        for (unsigned i = 0; i < x86_fp_row_count; i++) {
            const FpRow *row = &x86_fp_rows[i];

            rows[row->map - MAP_0F][x86_prefix_index(row->prefix)][row->opcode] = row;
        }
        g_once_init_leave(&ready, 1);
    }
    return rows[map - MAP_0F][x86_prefix_index(prefix)][opcode];
}
