/* Values that matter: boundary integers, FP numbers of every class, places in memory. */
#include "values.h"

uint64_t values_integer(Random *r)
{
    static const uint64_t special[] = {
        0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
        0x100000000, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 1, 0xffffffff80000000, 0x99, 0x9a, 0x0f,
    };
    uint64_t value = random_next(r);
    unsigned kind = value & 7, shift = value >> 3 & 63;

    value = random_next(r);
    return kind < 2 ? special[value % G_N_ELEMENTS(special)] : kind < 4 ? value >> shift : kind == 4 ? (uint64_t)((int64_t)value >> shift) : value;
}

static uint64_t single_or_double(Random *r)
{
    static const uint32_t singles[] = {
        0, 0x80000000, 0x3f800000, 0xbf800000, 1, 0x807fffff, 0x00800000, 0x7f7fffff, 0x7f800000, 0xff800000,
        0x7fc00000, 0xffc12345, 0x7f800001, 0xffa00000, 0x4f000000, 0xcf000001, 0x5f000000, 0x40490fdb, 0x3effffff,
    };
    static const uint64_t doubles[] = {
        0, 1ull << 63, 0x3ff0000000000000, 0xbff8000000000000, 1, 0x800fffffffffffff, 0x0010000000000000,
        0x7fefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8123456789abc,
        0x7ff0000000000001, 0xfff4000000000000, 0x41e0000000000000, 0xc1e0000000200000, 0x43e0000000000000,
        0x3810000000000000, 0x36a0000000000000, 0x47efffffffffffff, 0x400921fb54442d18, 0x3fdfffffffffffff,
    };
    uint64_t value = random_next(r), pick = random_next(r);

    switch (pick >> 60 & 7) {
    case 0:
    case 1:
        return (uint64_t)singles[(pick & 0xffff) % G_N_ELEMENTS(singles)] << 32 | singles[(pick >> 16 & 0xffff) % G_N_ELEMENTS(singles)];
    case 2:
    case 3:
        return doubles[(pick & 0xffff) % G_N_ELEMENTS(doubles)];
    case 4: /* near 1.0 as singles and doubles */
        return (value & 0x83ffffff83ffffff) | 0x3c0000003c000000;
    case 5:
        return values_integer(r);
    case 6: /* bytes for string compares and masks */
        return value & 0x8181818181818181;
    default:
        return value;
    }
}

static void extended(uint8_t *to, Random *r)
{
    static const struct { uint64_t significand; uint16_t exponent; } values[] = {
        {0, 0}, {0, 0x8000}, {1ull << 63, 0x3fff}, {1ull << 63, 0xbfff}, {3ull << 62, 0x4000},
        {1ull << 63, 0x7fff}, {1ull << 63, 0xffff}, {3ull << 62, 0x7fff}, {0xc123456789abcdef, 0xffff},
        {0x8000000000000001, 0x7fff}, {0xa000000000000000, 0xffff}, {1, 0}, {0x7fffffffffffffff, 0x8000},
        {1ull << 63, 0}, /* pseudo-denormal */ {0x4000000000000000, 0x3fff}, /* unnormal */
        {0, 0x7fff}, /* pseudo-infinity */ {1, 0xffff}, /* pseudo-NaN */
        {0xffffffffffffffff, 0x7ffe}, {1ull << 63, 1}, {0xc90fdaa22168c235, 0x4000},
        {0xffffffffffffffff, 0x403e}, {1ull << 63, 0xc03e}, {0xb504f333f9de6484, 0x3ffe},
    };
    unsigned kind = random_below(r, 3), n = random_below(r, G_N_ELEMENTS(values));
    uint64_t significand = random_next(r) | 1ull << 63;
    uint16_t exponent = 0x3fff - 40 + random_below(r, 110);

    if (kind == 0) {
        significand = values[n].significand;
        exponent = values[n].exponent;
    } else if (kind == 1) {
        exponent = 0x3fff - 4 + random_below(r, 8);
        significand &= ~0ull << random_below(r, 64);
        significand |= 1ull << 63;
    }
    exponent |= kind && random_below(r, 2) ? 0x8000 : 0;
    memset(to, 0, 16);
    memcpy(to, &significand, 8);
    memcpy(to + 8, &exponent, 2);
}

enum { STOCK = 4096, PER_CASE = 32 };
static uint64_t integers[STOCK], numbers[STOCK];
static uint8_t extendeds[STOCK][16];
static unsigned oldest;

static void make(unsigned n, Random *r)
{
    for (unsigned i = 0; i < n; i++, oldest = (oldest + 1) % STOCK) {
        integers[oldest] = values_integer(r);
        numbers[oldest] = single_or_double(r);
        extended(extendeds[oldest], r);
    }
}

void values_stock(Random *r)
{
    oldest = 0;
    make(STOCK, r);
}

void values_restock(Random *r)
{
    make(PER_CASE, r);
}

void values_gprs(uint64_t *gpr, Random *r)
{
    for (unsigned i = 0; i < 16; i += 4) {
        uint64_t pick = random_next(r);

        for (unsigned k = 0; k < 4; k++) {
            gpr[i + k] = integers[pick >> 16 * k & (STOCK - 1)];
        }
    }
}

void values_fp(OracleFp *fp, bool unmasked, bool all, Random *r)
{
    uint64_t bits = random_next(r), anew;

    memset(&fp->fx, 0, offsetof(FxImage, st));
    fp->fx.fcw = 0x7f | (bits & 3) << 8 | (bits >> 2 & 3) << 10;
    if ((fp->fx.fcw >> 8 & 3) == 1) {
        fp->fx.fcw |= 0x300; /* precision control 1 is reserved */
    }
    if (unmasked) {
        fp->fx.fcw &= ~(1u << (bits >> 8 & 0xff) % 6 | (bits >> 16 & 0x3f));
    }
    fp->fx.fsw = (bits >> 24 & 7) << FSW_TOP_SHIFT | (bits >> 27 & 0x4740);
    if (bits >> 61 == 0) {
        fp->fx.fsw |= bits >> 48 & FSW_EXCEPTIONS;
    }
    x86_fx_set_words(&fp->fx, fp->fx.fcw, fp->fx.fsw);
    bits = random_next(r);
    fp->fx.tags = bits & 3 ? 0xff : bits >> 8;
    fp->fx.mxcsr = 0x1f80 | (bits >> 16 & 3) << 13 | (bits >> 18 & 3 ? 0 : 0x8000) | (bits >> 20 & 3 ? 0 : 0x40) |
                   (bits >> 24 & 0x3f);
    if ((bits >> 30 & 7) == 0) {
        fp->fx.mxcsr &= ~(bits >> 33 & 0x1f80);
    }
    fp->fx.mxcsr_mask = x86_mxcsr_mask();
    anew = all ? UINT64_MAX : random_next(r) & random_next(r);
    for (unsigned left = anew & 0xff; left; left &= left - 1) {
        memcpy(fp->fx.st[__builtin_ctz(left)], extendeds[random_below(r, STOCK)], 16);
    }
    for (unsigned left = anew >> 8 & 0xffff; left; left &= left - 1) {
        unsigned i = __builtin_ctz(left);
        uint64_t pick = random_next(r);

        memcpy(fp->fx.xmm[i], &numbers[pick & (STOCK - 1)], 8);
        memcpy(fp->fx.xmm[i] + 8, &numbers[pick >> 16 & (STOCK - 1)], 8);
        memcpy(fp->ymm_high[i], &numbers[pick >> 32 & (STOCK - 1)], 8);
        memcpy(fp->ymm_high[i] + 8, &numbers[pick >> 48 & (STOCK - 1)], 8);
    }
}

void values_memory(uint8_t *data, unsigned size, Random *r)
{
    for (unsigned i = 0; i < size; i += 48) { /* ten bytes, and quadwords of both kinds */
        uint64_t pick = random_next(r), kinds = random_next(r);

        for (unsigned at = i; at < MIN(i + 48, size); at += 8) {
            memcpy(data + at, (kinds & 1 ? numbers : integers) + (pick & (STOCK - 1)), 8);
            pick >>= 10;
            kinds >>= 1;
        }
        if (i + 16 <= size) {
            memcpy(data + i, extendeds[kinds & (STOCK - 1)], 16);
        }
    }
}

uint64_t values_target(Random *r, OracleMode mode)
{
    uint64_t base = mode == ORACLE_16 ? 0 : ORACLE_DATA;
    uint64_t bits = random_next(r);
    unsigned kind = bits & 31;

    bits >>= 8;
    if (kind < 16) {
        return base + 0xf00 + (bits & 0x1ff) % (bits >> 40 & 1 ? 0x200 : 0xe0);
    }
    if (kind < 22) {
        return base + 0xf00 + ((bits & 0x1ff) & ~(bits >> 40 & 1 ? 63u : 15u));
    }
    if (kind < 27) {
        return base + 0x1000 - (bits & 31);
    }
    if (kind < 30) {
        return base + ORACLE_DATA_SIZE - (bits & 63);
    }
    if (kind < 31) {
        return base + (bits & 31) - 16;
    }
    return values_integer(r);
}

uint64_t values_code(OracleMode mode, Random *r)
{
    uint64_t offset = random_next(r) >> 20 & (ORACLE_CODE_SIZE - 1);

    if (offset >= ORACLE_START - 64 && offset < ORACLE_START + 64) {
        offset += 128;
    }
    if (random_below(r, 32) == 0) {
        return values_integer(r);
    }
    return (mode == ORACLE_16 ? 0 : ORACLE_CODE) + offset;
}
