/* Integer instructions that are rare or long: strings, bit permutations, wide divisions. */
#include "target/ppc/internal.h"
#include "util/bits.h"

#include <sys/random.h>

/* Strings. Registers wrap from 31 to 0. */

static unsigned string_count(const PpcState *s, uint64_t count)
{
    return count == 128 ? s->xer_low & 127 : count;
}

static uint64_t next_address(const PpcState *s, uint64_t addr)
{
    return s->mode_flags & MODE_SF ? addr + 1 : (uint32_t)(addr + 1);
}

uint64_t ppc_helper_lsw(PpcState *s, uint64_t addr, uint64_t r, uint64_t count, uint64_t d)
{
    unsigned n = string_count(s, count);
    uintptr_t ra = tcg_caller_pc(s);
    uint8_t bytes[128];

    for (unsigned i = 0; i < n; i++, addr = next_address(s, addr)) {
        bytes[i] = engine.load(s->hot.cpu, addr, 1, ppc_data_mode(s), ra);
    }
    for (unsigned i = 0; i < n; i += 4, r = (r + 1) & 31) {
        uint32_t word = 0;

        for (unsigned k = 0; k < 4; k++) {
            word = word << 8 | (i + k < n ? bytes[i + k] : 0);
        }
        s->gpr[r] = word;
    }
    return 0;
}

uint64_t ppc_helper_stsw(PpcState *s, uint64_t addr, uint64_t r, uint64_t count, uint64_t d)
{
    unsigned n = string_count(s, count);
    uintptr_t ra = tcg_caller_pc(s);

    for (unsigned i = 0; i < n; i++, addr = next_address(s, addr)) {
        engine.store(s->hot.cpu, addr, s->gpr[(r + i / 4) & 31] >> (24 - 8 * (i % 4)) & 255, 1, ppc_data_mode(s), ra);
    }
    return 0;
}

/* Bits and bytes. Bit numbers count from the left. */

uint64_t ppc_helper_bpermd(PpcState *s, uint64_t rs, uint64_t rb, uint64_t c, uint64_t d)
{
    uint64_t result = 0;

    for (unsigned i = 0; i < 8; i++) {
        unsigned index = rs >> (8 * i) & 255;

        if (index < 64 && (rb >> (63 - index) & 1)) {
            result |= UINT64_C(1) << i;
        }
    }
    return result;
}

uint64_t ppc_helper_popcntb(PpcState *s, uint64_t v, uint64_t b, uint64_t c, uint64_t d)
{
    v -= v >> 1 & UINT64_C(0x5555555555555555);
    v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
    return (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
}

uint64_t ppc_helper_popcntw(PpcState *s, uint64_t v, uint64_t b, uint64_t c, uint64_t d)
{
    v = ppc_helper_popcntb(s, v, 0, 0, 0);
    v += v >> 8;
    v += v >> 16;
    return v & UINT64_C(0x0000003f0000003f);
}

uint64_t ppc_helper_cmpeqb(PpcState *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    for (unsigned i = 0; i < 64; i += 8) {
        if ((b >> i & 255) == (a & 255)) {
            return 1;
        }
    }
    return 0;
}

/* Bits under zeros of the mask to the left, those under ones to the right, in order. */
uint64_t ppc_helper_cfuged(PpcState *s, uint64_t v, uint64_t mask, uint64_t c, uint64_t d)
{
    uint64_t left = 0, right = 0;
    unsigned ones = __builtin_popcountll(mask);

    for (int i = 63; i >= 0; i--) {
        uint64_t bit = v >> i & 1;

        if (mask >> i & 1) {
            right = right << 1 | bit;
        } else {
            left = left << 1 | bit;
        }
    }
    return ones == 64 ? right : left << ones | right;
}

uint64_t ppc_helper_pdepd(PpcState *s, uint64_t v, uint64_t mask, uint64_t c, uint64_t d)
{
    uint64_t result = 0;

    for (; mask; mask &= mask - 1, v >>= 1) {
        result |= v & 1 ? mask & -mask : 0;
    }
    return result;
}

uint64_t ppc_helper_pextd(PpcState *s, uint64_t v, uint64_t mask, uint64_t c, uint64_t d)
{
    uint64_t result = 0;

    for (unsigned i = 0; mask; mask &= mask - 1, i++) {
        result |= v & mask & -mask ? UINT64_C(1) << i : 0;
    }
    return result;
}

/* Zeros of the value under ones of the mask, from the left or the right up to the first one. */
uint64_t ppc_helper_zeros_under(PpcState *s, uint64_t v, uint64_t mask, uint64_t trailing, uint64_t d)
{
    unsigned n = 0;

    for (unsigned i = 0; i < 64; i++) {
        unsigned bit = trailing ? i : 63 - i;

        if (mask >> bit & 1) {
            if (v >> bit & 1) {
                break;
            }
            n++;
        }
    }
    return n;
}

uint64_t ppc_helper_addg6s(PpcState *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t result = 0;

    for (unsigned i = 0; i < 16; i++) {
        uint64_t below = i == 15 ? UINT64_MAX : (UINT64_C(1) << (4 * i + 4)) - 1;
        unsigned __int128 sum = (unsigned __int128)(a & below) + (b & below);

        result |= sum >> (4 * i + 4) & 1 ? 0 : UINT64_C(6) << (4 * i);
    }
    return result;
}

/* Three digits of BCD to ten bits of densely packed decimal, or back (Power ISA, Book I, appendix B). */
static unsigned bcd_to_dpd(unsigned bcd)
{
    unsigned a = bcd >> 11 & 1, bcd_ = bcd >> 8 & 7, e = bcd >> 7 & 1, fgh = bcd >> 4 & 7, i = bcd >> 3 & 1, jkm = bcd & 7;
    unsigned d1 = bcd_ & 1, h = fgh & 1, fg = fgh >> 1, m = jkm & 1, jk = jkm >> 1;

    switch (a << 2 | e << 1 | i) {
    case 0: return bcd_ << 7 | fgh << 4 | jkm;
    case 1: return bcd_ << 7 | fgh << 4 | 8 | m;
    case 2: return bcd_ << 7 | jk << 5 | h << 4 | 8 | 2 | m;
    case 3: return bcd_ << 7 | 2 << 5 | h << 4 | 8 | 6 | m;
    case 4: return jk << 8 | d1 << 7 | fgh << 4 | 8 | 4 | m;
    case 5: return fg << 8 | d1 << 7 | 1 << 5 | h << 4 | 8 | 6 | m;
    case 6: return jk << 8 | d1 << 7 | 0 << 5 | h << 4 | 8 | 6 | m;
    default: return 0 << 8 | d1 << 7 | 3 << 5 | h << 4 | 8 | 6 | m;
    }
}

static unsigned dpd_to_bcd(unsigned dpd)
{
    for (unsigned hundreds = 0; hundreds < 10; hundreds++) { /* few enough to search, and rare */
        for (unsigned tens = 0; tens < 10; tens++) {
            for (unsigned ones = 0; ones < 10; ones++) {
                unsigned bcd = hundreds << 8 | tens << 4 | ones;
                unsigned other = bcd_to_dpd(bcd);

                /* 24 codes are spare: the top two bits do not count where all digits are 8 or 9. */
                if (other == dpd || ((dpd & 0x6e) == 0x6e && other == (dpd & 0xff))) {
                    return bcd;
                }
            }
        }
    }
    return 0;
}

/* cdtbcd: DPD to BCD; cbcdtd: BCD to DPD. Each word apart, in two groups of three digits. */
uint64_t ppc_helper_bcd(PpcState *s, uint64_t v, uint64_t to_dpd, uint64_t c, uint64_t d)
{
    uint64_t result = 0;

    for (unsigned word = 0; word < 64; word += 32) {
        for (unsigned group = 0; group < 2; group++) {
            if (to_dpd) {
                result |= (uint64_t)bcd_to_dpd(v >> (word + 12 * group) & 0xfff) << (word + 10 * group);
            } else {
                result |= (uint64_t)dpd_to_bcd(v >> (word + 10 * group) & 0x3ff) << (word + 12 * group);
            }
        }
    }
    return result;
}

/* Divisions of (a << 64) by b. What has no 64-bit quotient is 0. */

static bool divdeu_fits(uint64_t a, uint64_t b)
{
    return b && a < b;
}

uint64_t ppc_helper_divdeu(PpcState *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return divdeu_fits(a, b) ? (uint64_t)(((unsigned __int128)a << 64) / b) : 0;
}

static bool divde(int64_t a, int64_t b, int64_t *quotient)
{
    uint64_t ua = a < 0 ? -(uint64_t)a : (uint64_t)a, ub = b < 0 ? -(uint64_t)b : (uint64_t)b, q;
    bool negative = (a < 0) != (b < 0);

    if (!divdeu_fits(ua, ub)) {
        return false;
    }
    q = ((unsigned __int128)ua << 64) / ub;
    *quotient = negative ? -q : q;
    return negative ? q <= UINT64_C(1) << 63 : q < UINT64_C(1) << 63;
}

uint64_t ppc_helper_divde(PpcState *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    int64_t q;

    return divde(a, b, &q) ? (uint64_t)q : 0;
}

uint64_t ppc_helper_divde_overflows(PpcState *s, uint64_t a, uint64_t b, uint64_t is_unsigned, uint64_t d)
{
    int64_t q;

    return is_unsigned ? !divdeu_fits(a, b) : !divde(a, b, &q);
}

/* L: 0 32 bits, 1 64 bits conditioned, 2 raw. */
uint64_t ppc_helper_darn(PpcState *s, uint64_t l, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t value;

    if (l > 2 || getrandom(&value, sizeof(value), GRND_NONBLOCK) != sizeof(value)) {
        return UINT64_MAX; /* the error that the instruction has */
    }
    return l == 0 ? (uint32_t)value : value;
}
