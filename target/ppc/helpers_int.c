/* Integer instructions that are rare or long: strings, bit permutations, wide divisions, quadwords. */
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

/* Quadwords: two accesses; other processors are kept out by the engine's reservations only. */

static uint64_t load_ordered(PpcState *s, uint64_t addr, uintptr_t ra)
{
    uint64_t v = engine.load(s->hot.cpu, addr, 8, ppc_data_mode(s), ra);

    return s->mode_flags & MODE_LE ? v : __builtin_bswap64(v);
}

static void check_quad_alignment(PpcState *s, uint64_t addr, bool store, uintptr_t ra)
{
    if (addr & 15) {
        tcg_restore(s, ra);
        ppc_raise_alignment(s->hot.cpu, addr, store);
    }
}

/* What emit_quad says of the form; prefixed ones have the lower address in the first register in either byte order, and need
 * no alignment. */
enum { QUAD_RESERVE = 4, QUAD_PREFIXED = 8 };

uint64_t ppc_helper_load_quad(PpcState *s, uint64_t addr, uint64_t r, uint64_t how, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    bool little = s->mode_flags & MODE_LE && !(how & QUAD_PREFIXED);
    uint64_t first, second;

    if (!(how & QUAD_PREFIXED)) {
        check_quad_alignment(s, addr, false, ra);
    }
    second = load_ordered(s, addr + 8, ra);
    first = load_ordered(s, addr, ra);
    if (how & QUAD_RESERVE) {
        s->reserve_addr = addr;
        s->reserve_size = 16;
        s->reserve_value = first;
        s->reserve_value2 = second;
    }
    s->gpr[r & 31] = little ? second : first;
    s->gpr[(r + 1) & 31] = little ? first : second;
    return 0;
}

uint64_t ppc_helper_store_quad(PpcState *s, uint64_t addr, uint64_t r, uint64_t how, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    bool little = s->mode_flags & MODE_LE, swapped = little && !(how & QUAD_PREFIXED), same = true, conditional = how & QUAD_RESERVE;
    uint64_t first = s->gpr[(r + swapped) & 31], second = s->gpr[(r + !swapped) & 31];
    uint64_t *host;

    if (!(how & QUAD_PREFIXED)) {
        check_quad_alignment(s, addr, true, ra);
    }
    if (!little) {
        first = __builtin_bswap64(first);
        second = __builtin_bswap64(second);
    }
    if (conditional) {
        uint64_t old[2] = { s->reserve_value, s->reserve_value2 };

        same = s->reserve_addr == addr && s->reserve_size == 16;
        s->reserve_addr = PPC_NO_RESERVATION;
        if (!same) {
            return 0;
        }
        if (!little) {
            old[0] = __builtin_bswap64(old[0]);
            old[1] = __builtin_bswap64(old[1]);
        }
        host = engine.probe(s->hot.cpu, addr, 16, MMU_STORE, ppc_data_mode(s), ra);
        if (host) { /* one step, as other processors see it */
            uint8_t done;

            __asm__ volatile("lock cmpxchg16b %1; sete %0"
                             : "=q"(done), "+m"(*(unsigned __int128 *)host), "+a"(old[0]), "+d"(old[1])
                             : "b"(first), "c"(second) : "cc", "memory");
            return done;
        }
        if (engine.load(s->hot.cpu, addr, 8, ppc_data_mode(s), ra) != old[0] ||
            engine.load(s->hot.cpu, addr + 8, 8, ppc_data_mode(s), ra) != old[1]) {
            return 0;
        }
    }
    engine.store(s->hot.cpu, addr + 8, second, 8, ppc_data_mode(s), ra);
    engine.store(s->hot.cpu, addr, first, 8, ppc_data_mode(s), ra);
    return 1;
}

/* A value as it lies in memory, or back. */
static uint64_t in_order(const PpcState *s, uint64_t v, unsigned size)
{
    return s->mode_flags & MODE_LE ? v : size == 8 ? __builtin_bswap64(v) : __builtin_bswap32(v);
}

/* Atomic memory operations (Book II, 4.5): loads change RT, stores do not. */
uint64_t ppc_helper_amo(PpcState *s, uint64_t addr, uint64_t r, uint64_t function, uint64_t how)
{
    uintptr_t ra = tcg_caller_pc(s);
    unsigned size = how & 15, mode = ppc_data_mode(s);
    bool is_store = how >> 8;
    uint64_t old, other = 0, value, operand = s->gpr[(r + 1) & 31], result;
    int64_t a, b;

    if (addr & (size - 1)) {
        tcg_restore(s, ra);
        ppc_raise_alignment(s->hot.cpu, addr, is_store);
    }
    engine.probe(s->hot.cpu, addr, size, MMU_STORE, mode, ra);
    old = engine.load(s->hot.cpu, addr, size, mode, ra);
    old = in_order(s, old, size);
    if (is_store) {
        operand = s->gpr[r & 31];
    }
    operand = size == 4 ? (uint32_t)operand : operand;
    a = size == 4 ? (int32_t)old : (int64_t)old;
    b = size == 4 ? (int32_t)operand : (int64_t)operand;
    result = old;
    value = old;
    switch (function) {
    case 0: value = old + operand; break;
    case 1: value = old ^ operand; break;
    case 2: value = old | operand; break;
    case 3: value = old & operand; break;
    case 4: value = old > operand ? old : operand; break;
    case 5: value = a > b ? old : operand; break;
    case 6: value = old < operand ? old : operand; break;
    case 7: value = a < b ? old : operand; break;
    case 8:
        if (is_store) {
            ppc_program(s, PROGRAM_ILLEGAL, ra);
        }
        value = operand; /* swap */
        break;
    case 16:
        if (is_store) {
            ppc_program(s, PROGRAM_ILLEGAL, ra);
        }
        value = old != operand ? s->gpr[(r + 2) & 31] : old; /* compare and swap not equal */
        break;
    case 24: case 25: case 28: /* bounded and equal, with the neighbour in memory */
        other = engine.load(s->hot.cpu, function == 28 ? addr - size : addr + size, size, mode, ra);
        other = in_order(s, other, size);
        if (is_store) { /* store twin */
            if (function != 24) {
                ppc_program(s, PROGRAM_ILLEGAL, ra);
            }
            value = old == other ? operand : old;
            if (old == other) {
                engine.store(s->hot.cpu, addr + size, in_order(s, operand, size), size, mode, ra);
            }
            break;
        }
        if ((old == other) == (function == 25)) { /* increment equal; increment, decrement bounded */
            value = function == 28 ? old - 1 : old + 1;
        } else {
            result = size == 8 ? UINT64_C(1) << 63 : UINT64_C(1) << 31;
        }
        break;
    default:
        ppc_program(s, PROGRAM_ILLEGAL, ra);
    }
    value = in_order(s, value, size);
    engine.store(s->hot.cpu, addr, size == 4 ? (uint32_t)value : value, size, mode, ra);
    if (!is_store) {
        s->gpr[r & 31] = size == 4 ? (uint32_t)result : result;
    }
    return 0;
}
