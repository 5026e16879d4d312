/*
 * Quadwords (Power ISA, Book I, 3.3.4; Book II, 4.6.2.2) and atomic memory operations (Book II, 4.5). Other processors see each as
 * one step: in plain memory the host makes it so; elsewhere (devices, watched pages, two operands) no other processor runs.
 */
#include <emmintrin.h>

#include "target/ppc/internal.h"

/* What emit_quad says of the form; prefixed ones have the lower address in the first register in either byte order, and need
 * no alignment. */
enum { QUAD_RESERVE = 4, QUAD_PREFIXED = 8 };

/* A value as it lies in memory, or back. */
static uint64_t in_order(const PpcState *s, uint64_t v, unsigned size)
{
    return s->mode_flags & MODE_LE ? v : size == 8 ? __builtin_bswap64(v) : __builtin_bswap32(v);
}

static void check_alignment(PpcState *s, uint64_t addr, unsigned size, bool store, uintptr_t ra)
{
    if (addr & (size - 1)) {
        tcg_restore(s, ra);
        ppc_raise_alignment(s->hot.cpu, addr, store);
    }
}

/* Aligned accesses of 16 bytes are single on hosts with AVX, which the emitter asks for. */
static void host_load_quad(const void *host, uint64_t out[2])
{
    __m128i v;

    __asm__ volatile("movdqa %1, %0" : "=x"(v) : "m"(*(const __m128i *)host));
    _mm_storeu_si128((__m128i *)out, v);
}

static void host_store_quad(void *host, const uint64_t in[2])
{
    __m128i v = _mm_loadu_si128((const __m128i *)in);

    __asm__ volatile("movdqa %1, %0" : "=m"(*(__m128i *)host) : "x"(v));
}

static bool host_exchange_quad(void *host, uint64_t old[2], const uint64_t new[2])
{
    uint8_t done;

    __asm__ volatile("lock cmpxchg16b %1; sete %0"
                     : "=q"(done), "+m"(*(unsigned __int128 *)host), "+a"(old[0]), "+d"(old[1])
                     : "b"(new[0]), "c"(new[1]) : "cc", "memory");
    return done;
}

uint64_t ppc_helper_load_quad(PpcState *s, uint64_t addr, uint64_t r, uint64_t how, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    bool swapped = s->mode_flags & MODE_LE && !(how & QUAD_PREFIXED);
    const void *host = NULL;
    uint64_t bytes[2];

    if (!(how & QUAD_PREFIXED)) {
        check_alignment(s, addr, 16, false, ra);
    }
    ppc_check_reservable(s, addr, MMU_LOAD, ra);
    if (!(addr & 15)) {
        host = engine.probe(s->hot.cpu, addr, 16, MMU_LOAD, ppc_data_mode(s), ra);
    }
    if (host) {
        host_load_quad(host, bytes);
    } else {
        bytes[1] = engine.load(s->hot.cpu, addr + 8, 8, ppc_data_mode(s), ra);
        bytes[0] = engine.load(s->hot.cpu, addr, 8, ppc_data_mode(s), ra);
    }
    if (how & QUAD_RESERVE) {
        s->reserve_addr = addr;
        s->reserve_size = 16;
        s->reserve_value = bytes[0];
        s->reserve_value2 = bytes[1];
    }
    s->gpr[r & 31] = in_order(s, bytes[swapped], 8);
    s->gpr[(r + 1) & 31] = in_order(s, bytes[!swapped], 8);
    return 0;
}

uint64_t ppc_helper_store_quad(PpcState *s, uint64_t addr, uint64_t r, uint64_t how, uint64_t d)
{
    uintptr_t ra = tcg_caller_pc(s);
    bool swapped = s->mode_flags & MODE_LE && !(how & QUAD_PREFIXED);
    uint64_t bytes[2] = { in_order(s, s->gpr[(r + swapped) & 31], 8), in_order(s, s->gpr[(r + !swapped) & 31], 8) };
    uint64_t old[2] = { s->reserve_value, s->reserve_value2 };
    void *host = NULL;

    if (!(how & QUAD_PREFIXED)) {
        check_alignment(s, addr, 16, true, ra);
    }
    ppc_check_reservable(s, addr, MMU_STORE, ra);
    if (how & QUAD_RESERVE && (s->reserve_addr != addr || s->reserve_size != 16)) {
        s->reserve_addr = PPC_NO_RESERVATION;
        return 0;
    }
    if (!(addr & 15)) {
        host = engine.probe(s->hot.cpu, addr, 16, MMU_STORE, ppc_data_mode(s), ra);
    }
    if (how & QUAD_RESERVE) {
        if (!host) {
            engine.exclusive(s->hot.cpu, ra);
        }
        s->reserve_addr = PPC_NO_RESERVATION;
        if (host) {
            return host_exchange_quad(host, old, bytes);
        }
        if (engine.load(s->hot.cpu, addr, 8, ppc_data_mode(s), ra) != old[0] ||
            engine.load(s->hot.cpu, addr + 8, 8, ppc_data_mode(s), ra) != old[1]) {
            return 0;
        }
    } else if (host) {
        host_store_quad(host, bytes);
        return 1;
    }
    engine.store(s->hot.cpu, addr + 8, bytes[1], 8, ppc_data_mode(s), ra);
    engine.store(s->hot.cpu, addr, bytes[0], 8, ppc_data_mode(s), ra);
    return 1;
}

/* Function codes (Book II, 4.5.1 and 4.5.2). Those from 24 on look at a second operand in memory. */
enum {
    AMO_ADD, AMO_XOR, AMO_OR, AMO_AND, AMO_MAX_UNSIGNED, AMO_MAX, AMO_MIN_UNSIGNED, AMO_MIN,
    AMO_SWAP, AMO_COMPARE_SWAP_NE = 16, AMO_INCREMENT_BOUNDED = 24, AMO_STORE_TWIN = 24, AMO_INCREMENT_EQUAL = 25,
    AMO_DECREMENT_BOUNDED = 28,
};

static bool is_amo(unsigned function, bool is_store)
{
    return function <= AMO_MIN || function == AMO_STORE_TWIN ||
           (!is_store && (function == AMO_SWAP || function == AMO_COMPARE_SWAP_NE || function == AMO_INCREMENT_EQUAL ||
                          function == AMO_DECREMENT_BOUNDED));
}

/* What one operand in memory becomes. Values of words are zero-extended. */
static uint64_t amo_result(unsigned function, unsigned size, uint64_t old, uint64_t operand, uint64_t second)
{
    int64_t a = size == 4 ? (int32_t)old : (int64_t)old, b = size == 4 ? (int32_t)operand : (int64_t)operand;

    switch (function) {
    case AMO_ADD: return old + operand;
    case AMO_XOR: return old ^ operand;
    case AMO_OR: return old | operand;
    case AMO_AND: return old & operand;
    case AMO_MAX_UNSIGNED: return MAX(old, operand);
    case AMO_MAX: return a > b ? old : operand;
    case AMO_MIN_UNSIGNED: return MIN(old, operand);
    case AMO_MIN: return a < b ? old : operand;
    case AMO_SWAP: return operand;
    default: return old != operand ? second : old; /* AMO_COMPARE_SWAP_NE */
    }
}

static bool host_exchange(void *host, unsigned size, uint64_t old, uint64_t new)
{
    if (size == 4) {
        uint32_t expected = old;

        return __atomic_compare_exchange_n((uint32_t *)host, &expected, (uint32_t)new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    return __atomic_compare_exchange_n((uint64_t *)host, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static uint64_t host_load(const void *host, unsigned size)
{
    return size == 4 ? __atomic_load_n((const uint32_t *)host, __ATOMIC_RELAXED) : __atomic_load_n((const uint64_t *)host, __ATOMIC_RELAXED);
}

/* The old value. */
static uint64_t amo_single(PpcState *s, uint64_t addr, unsigned size, unsigned function, uint64_t operand, uint64_t second, uintptr_t ra)
{
    void *host = engine.probe(s->hot.cpu, addr, size, MMU_STORE, ppc_data_mode(s), ra);
    uint64_t bytes, old, new;

    if (!host) {
        engine.exclusive(s->hot.cpu, ra);
    }
    do {
        bytes = host ? host_load(host, size) : engine.load(s->hot.cpu, addr, size, ppc_data_mode(s), ra);
        old = in_order(s, bytes, size);
        new = amo_result(function, size, old, operand, second);
        new = in_order(s, size == 4 ? (uint32_t)new : new, size);
    } while (host && !host_exchange(host, size, bytes, new));
    if (!host) {
        engine.store(s->hot.cpu, addr, new, size, ppc_data_mode(s), ra);
    }
    return old;
}

/* The second operand of those that have one in memory; both are in one block of 32 bytes, or else it is an alignment interrupt. */
static uint64_t neighbour_of(PpcState *s, uint64_t addr, unsigned size, unsigned function, bool is_store, uintptr_t ra)
{
    enum { BLOCK = 32 };
    uint64_t neighbour = function == AMO_DECREMENT_BOUNDED ? addr - size : addr + size;

    if ((addr ^ neighbour) & -(uint64_t)BLOCK) {
        tcg_restore(s, ra);
        ppc_raise_alignment(s->hot.cpu, addr, is_store);
    }
    return neighbour;
}

/* Operands that are neighbours. What fetches returns the old value, or the least number where the bound was reached. */
static uint64_t amo_pair(PpcState *s, uint64_t addr, unsigned size, unsigned function, bool is_store, uint64_t operand, uintptr_t ra)
{
    unsigned mode = ppc_data_mode(s);
    uint64_t neighbour = neighbour_of(s, addr, size, function, is_store, ra), old, other;

    engine.probe(s->hot.cpu, addr, size, MMU_STORE, mode, ra);
    engine.probe(s->hot.cpu, neighbour, size, is_store ? MMU_STORE : MMU_LOAD, mode, ra);
    engine.exclusive(s->hot.cpu, ra);
    old = in_order(s, engine.load(s->hot.cpu, addr, size, mode, ra), size);
    other = in_order(s, engine.load(s->hot.cpu, neighbour, size, mode, ra), size);
    if (is_store) {
        if (old == other) {
            operand = in_order(s, operand, size);
            engine.store(s->hot.cpu, neighbour, operand, size, mode, ra);
            engine.store(s->hot.cpu, addr, operand, size, mode, ra);
        }
        return 0;
    }
    if ((old == other) != (function == AMO_INCREMENT_EQUAL)) {
        return UINT64_C(1) << (8 * size - 1);
    }
    other = function == AMO_DECREMENT_BOUNDED ? old - 1 : old + 1;
    engine.store(s->hot.cpu, addr, in_order(s, size == 4 ? (uint32_t)other : other, size), size, mode, ra);
    return old;
}

/* lwat, ldat: RT gets the old value, RT + 1 and RT + 2 are operands; stwat, stdat: RS is the operand. */
uint64_t ppc_helper_amo(PpcState *s, uint64_t addr, uint64_t r, uint64_t function, uint64_t how)
{
    enum { FAULT_FUNCTION = 4 }; /* DSISR */
    uintptr_t ra = tcg_caller_pc(s);
    unsigned size = how & 15;
    bool is_store = how >> 8;
    uint64_t operand = s->gpr[(r + !is_store) & 31], old;

    check_alignment(s, addr, size, is_store, ra);
    if (!is_amo(function, is_store)) {
        s->spr[SPR_DAR] = addr;
        s->spr[SPR_DSISR] = FAULT_FUNCTION;
        ppc_raise(s, PPC_DSI, 0, ra);
    }
    ppc_check_reservable(s, addr, MMU_STORE, ra);
    engine.probe(s->hot.cpu, addr, size, MMU_LOAD, ppc_data_mode(s), ra); /* keys allow stores alone, too */
    operand = size == 4 ? (uint32_t)operand : operand;
    old = function < AMO_INCREMENT_BOUNDED ? amo_single(s, addr, size, function, operand, s->gpr[(r + 2) & 31], ra)
                                           : amo_pair(s, addr, size, function, is_store, operand, ra);
    if (!is_store) {
        s->gpr[r & 31] = old;
    }
    return 0;
}
