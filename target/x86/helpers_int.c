/* Helpers of integer instructions: what is too large or too rare to be inline. */
#include "target/x86/insns.h"
#include "target/x86/system.h"

static unsigned data_mmu_mode(X86State *s)
{
    Cpu *cpu = s->hot.cpu;

    return guest_ops(cpu)->mmu_mode(cpu, false);
}

/* The bytes at pc cannot be read: the same fetch again, from the page where it begins and the next. */
uint64_t helper_raise_fetch_fault(X86State *s, uint64_t pc, uint64_t b, uint64_t c, uint64_t d)
{
    Cpu *cpu = s->hot.cpu;
    uintptr_t ra = tcg_caller_pc(s);
    uint64_t next_page = (pc | 0xfff) + 1;

    if (!(s->mode_flags & MODE_CS64)) {
        next_page = (uint32_t)next_page;
    }
    engine.probe(cpu, pc, 1, MMU_FETCH, data_mmu_mode(s), ra);
    engine.probe(cpu, next_page, 1, MMU_FETCH, data_mmu_mode(s), ra);
    /* It has become readable meanwhile. */
    tcg_restore(s, ra);
    tcg_unwind(s, TCG_EXIT_LOOKUP);
}

/* Division. */

uint64_t helper_div(X86State *s, uint64_t divisor, uint64_t size, uint64_t c, uint64_t d)
{
    uint32_t dividend = s->reg[R_AX] & 0xffff;
    uint32_t quotient, remainder;

    if (size == 2) {
        dividend |= (uint32_t)(s->reg[R_DX] & 0xffff) << 16;
    }
    if (divisor == 0 || dividend / (uint32_t)divisor >> (8 * size)) {
        x86_raise(s, EXC_DE, tcg_caller_pc(s));
    }
    quotient = dividend / (uint32_t)divisor;
    remainder = dividend % (uint32_t)divisor;
    if (size == 1) {
        s->reg[R_AX] = (s->reg[R_AX] & ~UINT64_C(0xffff)) | remainder << 8 | quotient;
    } else {
        s->reg[R_AX] = (s->reg[R_AX] & ~UINT64_C(0xffff)) | quotient;
        s->reg[R_DX] = (s->reg[R_DX] & ~UINT64_C(0xffff)) | remainder;
    }
    return 0;
}

static void idiv64(X86State *s, int64_t divisor)
{
    __int128 dividend = (__int128)s->reg[R_DX] << 64 | s->reg[R_AX];
    bool negative = dividend < 0;
    unsigned __int128 magnitude = negative ? -(unsigned __int128)dividend : (unsigned __int128)dividend;
    uint64_t by = divisor < 0 ? -(uint64_t)divisor : (uint64_t)divisor;
    uint64_t low = magnitude, high = magnitude >> 64;
    uint64_t quotient, remainder, limit;

    if (by == 0 || high >= by) {
        x86_raise(s, EXC_DE, tcg_caller_pc(s));
    }
    __asm__("divq %4" : "=a"(quotient), "=d"(remainder) : "a"(low), "d"(high), "r"(by) : "cc");
    limit = (UINT64_C(1) << 63) - (negative == (divisor < 0));
    if (quotient > limit) {
        x86_raise(s, EXC_DE, tcg_caller_pc(s));
    }
    s->reg[R_AX] = negative == (divisor < 0) ? quotient : -quotient;
    s->reg[R_DX] = negative ? -remainder : remainder;
}

uint64_t helper_idiv(X86State *s, uint64_t a, uint64_t size, uint64_t c, uint64_t d)
{
    int64_t divisor = a;
    int64_t dividend, quotient, remainder;
    unsigned unused = 64 - 8 * size;

    if (size == 8) {
        idiv64(s, divisor);
        return 0;
    }
    if (size == 1) {
        dividend = (int16_t)s->reg[R_AX];
    } else if (size == 2) {
        dividend = (int32_t)((s->reg[R_DX] & 0xffff) << 16 | (s->reg[R_AX] & 0xffff));
    } else {
        dividend = (int64_t)(s->reg[R_DX] << 32 | (uint32_t)s->reg[R_AX]);
    }
    if (divisor == 0 || (divisor == -1 && dividend == INT64_MIN)) {
        x86_raise(s, EXC_DE, tcg_caller_pc(s));
    }
    quotient = dividend / divisor;
    remainder = dividend % divisor;
    if ((int64_t)((uint64_t)quotient << unused) >> unused != quotient) {
        x86_raise(s, EXC_DE, tcg_caller_pc(s));
    }
    if (size == 1) {
        s->reg[R_AX] = (s->reg[R_AX] & ~UINT64_C(0xffff)) | (remainder & 0xff) << 8 | (quotient & 0xff);
    } else if (size == 2) {
        s->reg[R_AX] = (s->reg[R_AX] & ~UINT64_C(0xffff)) | (quotient & 0xffff);
        s->reg[R_DX] = (s->reg[R_DX] & ~UINT64_C(0xffff)) | (remainder & 0xffff);
    } else {
        s->reg[R_AX] = (uint32_t)quotient;
        s->reg[R_DX] = (uint32_t)remainder;
    }
    return 0;
}

/* Compare and exchange of 8 and 16 bytes. */

static bool exchange16(void *host, uint64_t old[2], uint64_t low, uint64_t high)
{
    bool equal;

    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(equal), "+m"(*(unsigned __int128 *)host), "+a"(old[0]), "+d"(old[1])
                     : "b"(low), "c"(high)
                     : "memory");
    return equal;
}

uint64_t helper_cmpxchg_wide(X86State *s, uint64_t addr, uint64_t low, uint64_t high, uint64_t size)
{
    Cpu *cpu = s->hot.cpu;
    uintptr_t ra = tcg_caller_pc(s);
    unsigned mode = data_mmu_mode(s);
    unsigned half = size / 2;
    uint64_t old[2] = {s->reg[R_AX], s->reg[R_DX]};
    bool equal;
    void *host;

    if (size == 16 && addr % 16) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    host = engine.probe(cpu, addr, size, MMU_STORE, mode, ra);
    if (host && size == 16) {
        equal = exchange16(host, old, low, high);
    } else if (host) {
        uint64_t expected = old[1] << 32 | (uint32_t)old[0];

        equal = __atomic_compare_exchange_n((uint64_t *)host, &expected, high << 32 | (uint32_t)low, false,
                                            __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        old[0] = (uint32_t)expected;
        old[1] = expected >> 32;
    } else {
        uint64_t mask = UINT64_MAX >> (64 - 8 * half);

        if (engine.exclusive) {
            engine.exclusive(cpu, ra);
        }
        uint64_t found[2] = {engine.load(cpu, addr, half, mode, ra), engine.load(cpu, addr + half, half, mode, ra)};

        equal = found[0] == (old[0] & mask) && found[1] == (old[1] & mask);
        engine.store(cpu, addr, equal ? low & mask : found[0], half, mode, ra);
        engine.store(cpu, addr + half, equal ? high & mask : found[1], half, mode, ra);
        old[0] = found[0];
        old[1] = found[1];
    }
    if (!equal) {
        s->reg[R_AX] = old[0];
        s->reg[R_DX] = old[1];
    }
    return equal;
}

/* Rotation through carry of a `width`-bit value: how is carry << 1 | right. */

static unsigned __int128 rotate(uint64_t value, unsigned count, unsigned width, uint64_t how)
{
    unsigned bits = width + 1;
    unsigned __int128 all = ((unsigned __int128)1 << bits) - 1;
    unsigned __int128 wide = (unsigned __int128)(how >> 1 & 1) << width | (value & UINT64_MAX >> (64 - width));

    count %= bits;
    if (how & 1) {
        count = (bits - count) % bits;
    }
    return count ? (wide << count | wide >> (bits - count)) & all : wide;
}

uint64_t helper_rotate_through(X86State *s, uint64_t value, uint64_t count, uint64_t width, uint64_t how)
{
    return rotate(value, count, width, how) & UINT64_MAX >> (64 - width);
}

uint64_t helper_rotate_carry(X86State *s, uint64_t value, uint64_t count, uint64_t width, uint64_t how)
{
    return rotate(value, count, width, how) >> width & 1;
}

/* Decimal adjustment. */

static uint32_t byte_flags(uint8_t al)
{
    return (al == 0 ? FLAG_ZF : 0) | (al & 0x80 ? FLAG_SF : 0) | (__builtin_parity(al) ? 0 : FLAG_PF);
}

static uint64_t adjust_packed(uint16_t ax, uint32_t flags, bool subtract)
{
    uint8_t al = ax, old = al;
    uint32_t out = 0;

    if ((al & 15) > 9 || (flags & FLAG_AF)) {
        out |= FLAG_AF | (subtract && al < 6 ? FLAG_CF : 0);
        al += subtract ? -6 : 6;
    }
    if (old > 0x99 || (flags & FLAG_CF)) {
        out |= FLAG_CF;
        al += subtract ? -0x60 : 0x60;
    }
    if (!subtract && old <= 0x99 && (flags & FLAG_CF)) {
        out |= FLAG_CF;
    }
    return (uint64_t)((ax & 0xff00) | al) << 32 | out | byte_flags(al);
}

static uint64_t adjust_ascii(uint16_t ax, uint32_t flags, bool subtract)
{
    bool adjust = (ax & 15) > 9 || (flags & FLAG_AF);

    if (adjust) {
        ax += subtract ? -0x106 : 0x106;
    }
    return (uint64_t)(ax & 0xff0f) << 32 | (adjust ? FLAG_AF | FLAG_CF : 0) | byte_flags(ax & 15);
}

uint64_t helper_decimal(X86State *s, uint64_t ax, uint64_t flags, uint64_t op, uint64_t d)
{
    switch ((X86DecimalOp)op) {
    case DECIMAL_DAA:
    case DECIMAL_DAS:
        return adjust_packed(ax, flags, op == DECIMAL_DAS);
    default:
        return adjust_ascii(ax, flags, op == DECIMAL_AAS);
    }
}

/* CRC-32C, bit by bit: polynomial 11EDC6F41, reflected. */
uint64_t helper_crc32(X86State *s, uint64_t a, uint64_t value, uint64_t size, uint64_t d)
{
    uint32_t crc = a;

    for (unsigned byte = 0; byte < size; byte++) {
        crc ^= value >> (8 * byte) & 0xff;
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
        }
    }
    return crc;
}

uint64_t helper_pdep(X86State *s, uint64_t value, uint64_t mask, uint64_t c, uint64_t d)
{
    uint64_t out = 0;

    for (; mask; mask &= mask - 1, value >>= 1) {
        if (value & 1) {
            out |= mask & -mask;
        }
    }
    return out;
}

uint64_t helper_pext(X86State *s, uint64_t value, uint64_t mask, uint64_t c, uint64_t d)
{
    uint64_t out = 0;

    for (unsigned n = 0; mask; mask &= mask - 1, n++) {
        if (value & mask & -mask) {
            out |= UINT64_C(1) << n;
        }
    }
    return out;
}

/* Segments. */

/* Bytes from offset on that the segment allows; 0: none. Faults are the caller's. */
uint64_t x86_segment_room(const X86State *s, int seg, uint64_t offset, bool write)
{
    const X86Segment *segment = &s->seg[seg];
    bool protected = (s->mode_flags & MODE_PE) && !(s->mode_flags & MODE_VM);
    bool is_code = segment->attr & 8;
    uint64_t last = segment->limit;

    if (protected) {
        bool may_write = !is_code && segment->attr & 2, may_read = !is_code || segment->attr & 2;

        if (!(segment->attr & SEG_P) || !(segment->attr & SEG_S) || !(write ? may_write : may_read)) {
            return 0;
        }
        if (!is_code && segment->attr & 4) { /* expand-down: above the limit */
            if (offset <= last) {
                return 0;
            }
            last = segment->attr & SEG_DB ? UINT32_MAX : 0xffff;
        }
    }
    if (segment->limit == UINT32_MAX) {
        return UINT64_MAX; /* an operand across the end goes on at 0 */
    }
    return offset > last ? 0 : last - offset + 1;
}

uint64_t x86_segment_linear(X86State *s, int seg, uint64_t offset, unsigned size, bool write, uintptr_t ra)
{
    if (s->mode_flags & MODE_CS64) {
        return seg == S_FS || seg == S_GS ? s->seg[seg].base + offset : offset;
    }
    if (x86_segment_room(s, seg, offset, write) < size) {
        x86_raise_error(s, seg == S_SS ? EXC_SS : EXC_GP, 0, ra);
    }
    return (uint32_t)(s->seg[seg].base + offset);
}

uint64_t helper_seg_check(X86State *s, uint64_t seg, uint64_t offset, uint64_t size, uint64_t write)
{
    return x86_segment_linear(s, seg, offset, size, write, tcg_caller_pc(s));
}

uint64_t helper_check_pc(X86State *s, uint64_t pc, uint64_t b, uint64_t c, uint64_t d)
{
    if (pc > s->seg[S_CS].limit) {
        x86_raise_error(s, EXC_GP, 0, tcg_caller_pc(s));
    }
    return 0;
}

uint64_t helper_check_canonical(X86State *s, uint64_t addr, uint64_t b, uint64_t c, uint64_t d)
{
    if (!is_canonical_base(s, addr)) {
        x86_raise_error(s, EXC_GP, 0, tcg_caller_pc(s));
    }
    return 0;
}

uint64_t helper_check_fsgsbase(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (!(s->cr4 & CR4_FSGSBASE)) {
        x86_raise(s, EXC_UD, tcg_caller_pc(s));
    }
    return 0;
}

uint64_t helper_get_table(X86State *s, uint64_t which, uint64_t b, uint64_t c, uint64_t d)
{
    if (s->cpl && (s->cr4 & CR4_UMIP)) {
        x86_raise_error(s, EXC_GP, 0, tcg_caller_pc(s));
    }
    switch (which) {
    case 0:
        return s->gdtr.base;
    case 1:
        return s->gdtr.limit;
    case 2:
        return s->idtr.base;
    default:
        return s->idtr.limit;
    }
}

uint64_t helper_set_shadow(X86State *s, uint64_t shadow, uint64_t pc, uint64_t c, uint64_t d)
{
    s->interrupt_shadow = shadow;
    if (s->pending_debug && s->eflags & EFL_TF) {
        s->pending_debug |= DR6_BS;
    }
    s->svm.shadow_pc = shadow ? UINT64_MAX : pc;
    x86_update_mode(s);
    if (!shadow) {
        x86_poll_interrupts(s);
    }
    return 0;
}

uint64_t helper_read_eflags(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return x86_eflags(s);
}
