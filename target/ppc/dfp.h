/*
 * Decimal floating point in digits: numbers of any of the three formats, computed exactly and rounded once.
 * What the rounding found out comes as FPSCR bits (softfp.h).
 */
#ifndef PPC_DFP_H
#define PPC_DFP_H

#include "softfp.h"

typedef struct DfpFormat {
    int precision; /* digits */
    int bias;      /* of the last digit's exponent */
    int max;       /* largest biased exponent */
    int exp_bits;  /* of the exponent, behind the combination field */
    int declets;   /* of ten bits, three digits each */
    int adjust;    /* of the exponent, where overflow or underflow is enabled */
} DfpFormat;

extern const DfpFormat dfp_short, dfp_long, dfp_extended;

/* FPSCR[DRN]. */
typedef enum DfpRound {
    DFP_NEAREST, DFP_ZERO, DFP_UP, DFP_DOWN, DFP_HALF_AWAY, DFP_HALF_ZERO, DFP_AWAY, DFP_SHORTER,
} DfpRound;

enum { DFP_DIGITS = 80 }; /* twice the longest significand, and some */

typedef struct DfpNum {
    FpKind kind;
    bool negative;
    int exp;                   /* finite: of digit[0] */
    uint8_t digit[DFP_DIGITS]; /* the last one first; of a NaN its payload */
} DfpNum;

DfpNum dfp_unpack(const DfpFormat *f, U128 bits);
/* The number must fit: dfp_round has seen it. */
U128 dfp_pack(const DfpFormat *f, const DfpNum *n);
/* Rounds to precision and range. mode: FPSCR bits OE and UE. *flags: OX UX XX FI FR are added. */
void dfp_round(const DfpFormat *f, DfpNum *n, DfpRound round, unsigned mode, uint32_t *flags);
/* Drops the last digits; a number that comes of it may have one digit more than were left. *flags: XX FI FR. */
void dfp_drop(DfpNum *n, int count, DfpRound round, uint32_t *flags);
/* Digits before the first zero on the left: 0 for zero. */
int dfp_length(const DfpNum *n);
/* Multiplies by 10 to the power of `by`, at a lower exponent. */
void dfp_shift_left(DfpNum *n, int by);
bool dfp_is_subnormal(const DfpFormat *f, const DfpNum *n);
/* FPSCR[FPRF]. */
uint32_t dfp_class(const DfpFormat *f, const DfpNum *n);

/* Of finite numbers, and not rounded; round: of the sign of a zero. */
DfpNum dfp_add(const DfpNum *a, const DfpNum *b, DfpRound round);
DfpNum dfp_mul(const DfpNum *a, const DfpNum *b);
DfpNum dfp_div(const DfpNum *a, const DfpNum *b); /* b is not zero */
int dfp_compare(const DfpNum *a, const DfpNum *b);

DfpNum dfp_from_int(bool negative, U128 magnitude);
/* Of digits of a number whose exponent is 0 or larger; false: it has no room in 128 bits. */
bool dfp_to_int(const DfpNum *n, U128 *magnitude);

static inline bool dfp_is_finite(const DfpNum *n)
{
    return n->kind == FP_IS_FINITE;
}

static inline bool dfp_is_nan(const DfpNum *n)
{
    return n->kind >= FP_IS_QNAN;
}

#endif
