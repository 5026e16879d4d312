/*
 * SPE: simple integer operations on pairs of words, comparisons, loads and stores.
 *
 * Signal Processing Engine (SPE) Programming Environments Manual, chapter 5. Elements: the left word, the right word.
 */
#include "target/ppc/spe.h"

#include "util/bits.h"

static uint32_t leading_signs(uint32_t v)
{
    uint32_t other = v ^ (uint32_t)((int32_t)v >> 31);

    return other ? __builtin_clz(other) : 32;
}

/* What a word becomes; imm is the field that is a number in some. */
static uint32_t element(unsigned how, uint32_t a, uint32_t b, unsigned imm)
{
    switch (how) {
    case SPE_ADD: return a + b;
    case SPE_ADDI: return b + imm;
    case SPE_SUBF: return b - a;
    case SPE_SUBIF: return b - imm;
    case SPE_ABS: return a >> 31 ? -a : a;
    case SPE_NEG: return -a;
    case SPE_EXTSB: return (int8_t)a;
    case SPE_EXTSH: return (int16_t)a;
    case SPE_RND: return (a + 0x8000) & 0xffff0000;
    case SPE_CNTLZ: return a ? __builtin_clz(a) : 32;
    case SPE_CNTLS: return leading_signs(a);
    case SPE_AND: return a & b;
    case SPE_ANDC: return a & ~b;
    case SPE_XOR: return a ^ b;
    case SPE_OR: return a | b;
    case SPE_NOR: return ~(a | b);
    case SPE_EQV: return ~(a ^ b);
    case SPE_ORC: return a | ~b;
    case SPE_NAND: return ~(a & b);
    case SPE_SPLATI: return (int32_t)(imm << 27) >> 27;
    default: return imm << 27; /* SPE_SPLATFI */
    }
}

static uint32_t reverse16(uint32_t v)
{
    uint32_t r = 0;

    for (unsigned i = 0; i < 16; i++) {
        r |= (v >> i & 1) << (15 - i);
    }
    return r;
}

/* The next index of a butterfly: counts from the left, in the bits that rB masks. */
static uint64_t bit_reversed_increment(uint64_t a, uint32_t mask)
{
    uint32_t next = reverse16(reverse16((a | ~mask) & 0xffff) + 1);

    return (a & ~UINT64_C(0xffff)) | (next & mask & 0xffff);
}

void spe_logic(PpcState *s, uint32_t insn, unsigned how)
{
    unsigned d = field_t(insn), a = field_a(insn), b = field_b(insn);

    switch (how) {
    case SPE_BRINC:
        spe_put(s, d, bit_reversed_increment(spe_get(s, a), spe_low(s, b)));
        break;
    case SPE_MERGEHI:
        spe_put_words(s, d, spe_high(s, a), spe_high(s, b));
        break;
    case SPE_MERGELO:
        spe_put_words(s, d, spe_low(s, a), spe_low(s, b));
        break;
    case SPE_MERGEHILO:
        spe_put_words(s, d, spe_high(s, a), spe_low(s, b));
        break;
    case SPE_MERGELOHI:
        spe_put_words(s, d, spe_low(s, a), spe_high(s, b));
        break;
    default:
        spe_put_words(s, d, element(how, spe_high(s, a), spe_high(s, b), a), element(how, spe_low(s, a), spe_low(s, b), a));
        break;
    }
}

static uint32_t shifted(unsigned kind, uint32_t v, uint32_t by)
{
    switch (kind) {
    case SPE_SRU: return by & 32 ? 0 : v >> (by & 31);
    case SPE_SRS: return (int32_t)v >> (by & 32 ? 31 : by & 31);
    case SPE_SL: return by & 32 ? 0 : v << (by & 31);
    default: return v << (by & 31) | v >> (-by & 31);
    }
}

void spe_shift(PpcState *s, uint32_t insn, unsigned how)
{
    unsigned a = field_a(insn), b = field_b(insn), kind = how & ~SPE_IMMEDIATE;
    bool immediate = how & SPE_IMMEDIATE;

    spe_put_words(s, field_t(insn), shifted(kind, spe_high(s, a), immediate ? b : spe_high(s, b)),
                  shifted(kind, spe_low(s, a), immediate ? b : spe_low(s, b)));
}

static bool compares(unsigned how, uint32_t a, uint32_t b)
{
    switch (how) {
    case SPE_GTU: return a > b;
    case SPE_GTS: return (int32_t)a > (int32_t)b;
    case SPE_LTU: return a < b;
    case SPE_LTS: return (int32_t)a < (int32_t)b;
    default: return a == b;
    }
}

/* Left, right, either, both. */
void spe_compare(PpcState *s, uint32_t insn, unsigned how)
{
    bool high = compares(how, spe_high(s, field_a(insn)), spe_high(s, field_b(insn)));
    bool low = compares(how, spe_low(s, field_a(insn)), spe_low(s, field_b(insn)));

    s->cr[field_bf(insn)] = high << 3 | low << 2 | (high | low) << 1 | (high & low);
}

void spe_select(PpcState *s, uint32_t insn, unsigned how)
{
    unsigned a = field_a(insn), b = field_b(insn), cr = s->cr[insn & 7];

    spe_put_words(s, field_t(insn), spe_high(s, cr & 8 ? a : b), spe_low(s, cr & 4 ? a : b));
}

/* Memory. */

/* The address, of `size` bytes whose parts of `part` bytes lie at multiples of their size. */
static uint32_t address(PpcState *s, uint32_t insn, bool indexed, unsigned size, unsigned part, bool is_store)
{
    uint32_t base = field_a(insn) ? spe_low(s, field_a(insn)) : 0;
    uint32_t addr = base + (indexed ? spe_low(s, field_b(insn)) : field_b(insn) * size);

    if (addr & (part - 1)) {
        tcg_restore(s, s->spe_return);
        ppc_raise_alignment(s->hot.cpu, addr, is_store);
    }
    return addr;
}

static uint64_t read_value(PpcState *s, uint32_t addr, unsigned size)
{
    uint64_t v = engine.load(s->hot.cpu, addr, size, ppc_data_mode(s), s->spe_return);

    return size == 2 ? (v & 255) << 8 | (v >> 8 & 255) : size == 4 ? __builtin_bswap32(v) : __builtin_bswap64(v);
}

static void write_value(PpcState *s, uint32_t addr, unsigned size, uint64_t v)
{
    v = size == 4 ? __builtin_bswap32(v) : __builtin_bswap64(v);
    engine.store(s->hot.cpu, addr, v, size, ppc_data_mode(s), s->spe_return);
}

void spe_load(PpcState *s, uint32_t insn, unsigned how)
{
    static const struct {
        uint8_t size, part;
    } sizes[] = {
        [SPE_DD] = { 8, 8 }, [SPE_DW] = { 8, 4 }, [SPE_DH] = { 8, 2 }, [SPE_HHESPLAT] = { 2, 2 }, [SPE_HHOUSPLAT] = { 2, 2 },
        [SPE_HHOSSPLAT] = { 2, 2 }, [SPE_WHE] = { 4, 4 }, [SPE_WHOU] = { 4, 4 }, [SPE_WHOS] = { 4, 4 }, [SPE_WWSPLAT] = { 4, 4 },
        [SPE_WHSPLAT] = { 4, 4 },
    };
    unsigned kind = how & ~SPE_INDEXED, size = sizes[kind].size, d = field_t(insn);
    uint64_t v = read_value(s, address(s, insn, how & SPE_INDEXED, size, sizes[kind].part, false), size);
    uint32_t first = v >> 16 & 0xffff, second = v & 0xffff;

    switch (kind) {
    case SPE_HHESPLAT:
        spe_put_words(s, d, second << 16, second << 16);
        break;
    case SPE_HHOUSPLAT:
        spe_put_words(s, d, second, second);
        break;
    case SPE_HHOSSPLAT:
        spe_put_words(s, d, (int16_t)second, (int16_t)second);
        break;
    case SPE_WHE:
        spe_put_words(s, d, first << 16, second << 16);
        break;
    case SPE_WHOU:
        spe_put_words(s, d, first, second);
        break;
    case SPE_WHOS:
        spe_put_words(s, d, (int16_t)first, (int16_t)second);
        break;
    case SPE_WWSPLAT:
        spe_put_words(s, d, v, v);
        break;
    case SPE_WHSPLAT:
        spe_put_words(s, d, first << 16 | first, second << 16 | second);
        break;
    default: /* eight bytes, as they lie */
        spe_put(s, d, v);
        break;
    }
}

void spe_store(PpcState *s, uint32_t insn, unsigned how)
{
    unsigned kind = how & ~SPE_INDEXED, size = kind <= SPE_DH ? 8 : 4, part = kind == SPE_DD ? 8 : kind == SPE_DH ? 2 : 4;
    uint32_t addr = address(s, insn, how & SPE_INDEXED, size, part, true);
    uint32_t high = spe_high(s, field_t(insn)), low = spe_low(s, field_t(insn));

    switch (kind) {
    case SPE_WHE:
        write_value(s, addr, 4, (high & 0xffff0000) | low >> 16);
        break;
    case SPE_WHOU:
        write_value(s, addr, 4, high << 16 | (low & 0xffff));
        break;
    case SPE_WWE:
        write_value(s, addr, 4, high);
        break;
    case SPE_WWO:
        write_value(s, addr, 4, low);
        break;
    default:
        write_value(s, addr, 8, spe_get(s, field_t(insn)));
        break;
    }
}
