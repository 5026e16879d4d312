/*
 * Binary floating point in integers: exact, for any format up to 128 bits.
 *
 * A number is unpacked, computed with as if precision were unlimited, and rounded once. What the
 * rounding found out comes as FPSCR bits.
 */
#ifndef PPC_SOFTFP_H
#define PPC_SOFTFP_H

#include <stdbool.h>
#include <stdint.h>

typedef unsigned __int128 U128;
typedef __int128 S128;

/* FPSCR (Power ISA, book I, 4.2.2). */
enum {
    FPSCR_FX = 0x80000000u, FPSCR_FEX = 0x40000000, FPSCR_VX = 0x20000000, FPSCR_OX = 0x10000000,
    FPSCR_UX = 0x08000000, FPSCR_ZX = 0x04000000, FPSCR_XX = 0x02000000, FPSCR_VXSNAN = 0x01000000,
    FPSCR_VXISI = 0x00800000, FPSCR_VXIDI = 0x00400000, FPSCR_VXZDZ = 0x00200000, FPSCR_VXIMZ = 0x00100000,
    FPSCR_VXVC = 0x00080000, FPSCR_FR = 0x00040000, FPSCR_FI = 0x00020000, FPSCR_FPRF = 0x0001f000,
    FPSCR_C = 0x00010000, FPSCR_FPCC = 0x0000f000,
    FPSCR_VXSOFT = 0x00000400, FPSCR_VXSQRT = 0x00000200, FPSCR_VXCVI = 0x00000100, FPSCR_VE = 0x80,
    FPSCR_OE = 0x40, FPSCR_UE = 0x20, FPSCR_ZE = 0x10, FPSCR_XE = 0x08, FPSCR_NI = 0x04, FPSCR_RN = 0x03,
    FPSCR_VX_ALL = FPSCR_VXSNAN | FPSCR_VXISI | FPSCR_VXIDI | FPSCR_VXZDZ | FPSCR_VXIMZ | FPSCR_VXVC |
                   FPSCR_VXSOFT | FPSCR_VXSQRT | FPSCR_VXCVI,
    FPSCR_EXCEPTIONS = FPSCR_OX | FPSCR_UX | FPSCR_ZX | FPSCR_XX | FPSCR_VX_ALL,
};

/* The first four are FPSCR[RN]. */
typedef enum FpRound { ROUND_NEAREST, ROUND_ZERO, ROUND_UP, ROUND_DOWN, ROUND_AWAY, ROUND_ODD } FpRound;

typedef struct FpFormat {
    int precision; /* with the hidden bit */
    int max;       /* largest exponent; the smallest of a normal number is 1 - max */
    int width;
    int adjust;    /* of the exponent, where overflow or underflow is enabled */
} FpFormat;

extern const FpFormat fp_half, fp_bfloat, fp_single, fp_double, fp_quad;

typedef enum FpKind { FP_IS_ZERO, FP_IS_FINITE, FP_IS_INF, FP_IS_QNAN, FP_IS_SNAN } FpKind;

typedef struct FpNum {
    FpKind kind;
    bool negative;
    bool sticky; /* something below sig */
    int exp;
    U128 sig;    /* finite: bit 127 is set, the value is sig * 2^(exp - 127); NaN: the fraction below bit 127 */
} FpNum;

FpNum fp_unpack(const FpFormat *format, U128 bits);
/* mode: FPSCR bits OE and UE. *flags: OX UX XX FI FR are added. */
U128 fp_pack(const FpFormat *format, FpNum n, FpRound round, unsigned mode, uint32_t *flags);
/* Rounds to a format's precision and range, and stays unpacked. With NI what is tiny becomes zero. */
FpNum fp_round(const FpFormat *format, FpNum n, FpRound round, unsigned mode, uint32_t *flags);

static inline bool fp_is_nan(FpNum n)
{
    return n.kind >= FP_IS_QNAN;
}

/* These know no NaNs: the caller has chosen among them. *flags: VXISI VXIMZ VXIDI VXZDZ VXSQRT ZX. */
FpNum fp_add(FpNum a, FpNum b, FpRound round, uint32_t *flags);
FpNum fp_mul(FpNum a, FpNum b, uint32_t *flags);
FpNum fp_mul_add(FpNum a, FpNum c, FpNum b, FpRound round, uint32_t *flags); /* a * c + b */
FpNum fp_div(FpNum a, FpNum b, uint32_t *flags);
FpNum fp_sqrt(FpNum a, uint32_t *flags);

FpNum fp_from_int(bool negative, U128 magnitude);
/* To an integer, saturated into [-low, high] of magnitudes; *flags: VXCVI, XX, FI, FR. No NaN. */
S128 fp_to_int(FpNum n, FpRound round, U128 low, U128 high, uint32_t *flags);
/* To a value that is an integer. */
FpNum fp_round_to_int(FpNum n, FpRound round, uint32_t *flags);
/* -1, 0, 1. */
int fp_compare(FpNum a, FpNum b);
/* FPSCR[FPRF] of a packed value. */
uint32_t fp_class(const FpFormat *format, U128 bits);
FpNum fp_default_nan(void);

#endif
