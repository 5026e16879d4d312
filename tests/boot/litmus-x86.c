/*
 * Litmus tests of x86: total store order (SDM volume 3, 9.2), locked operations, and code that changes.
 */
#define _GNU_SOURCE
#include "litmus.h"

#include <sys/mman.h>

/* ---- orders of loads and stores ---- */

#define MFENCE() __asm__ volatile("mfence" ::: "memory")
#define LOCKED() __asm__ volatile("lock; addl $0, %0" : "+m"(*(volatile uint32_t *)&(uint32_t){0})::"memory")

THREAD(sb0, c->x = 1; COMPILER(); r[0] = c->y)
THREAD(sb1, c->y = 1; COMPILER(); r[0] = c->x)
THREAD(sb0_mfence, c->x = 1; MFENCE(); r[0] = c->y)
THREAD(sb1_mfence, c->y = 1; MFENCE(); r[0] = c->x)
THREAD(sb0_locked, c->x = 1; LOCKED(); r[0] = c->y)
THREAD(sb1_locked, c->y = 1; LOCKED(); r[0] = c->x)
THREAD(sb0_xchg, __atomic_exchange_n(&c->x, 1, __ATOMIC_SEQ_CST); r[0] = c->y)
THREAD(sb1_xchg, __atomic_exchange_n(&c->y, 1, __ATOMIC_SEQ_CST); r[0] = c->x)
THREAD(mp0, c->x = 1; COMPILER(); c->y = 1)
THREAD(mp1, r[0] = c->y; COMPILER(); r[1] = c->x)
THREAD(lb0, r[0] = c->x; COMPILER(); c->y = 1)
THREAD(lb1, r[0] = c->y; COMPILER(); c->x = 1)
THREAD(write_x, c->x = 1)
THREAD(write_y, c->y = 1)
THREAD(read_xy, r[0] = c->x; COMPILER(); r[1] = c->y)
THREAD(read_yx, r[0] = c->y; COMPILER(); r[1] = c->x)
THREAD(wrc1, r[0] = c->x; COMPILER(); c->y = r[0])
THREAD(ww0, c->x = 1; COMPILER(); c->y = 2)
THREAD(ww1, c->y = 1; COMPILER(); c->x = 2)
THREAD(co0, c->x = 1; COMPILER(); c->x = 2)
THREAD(co1, r[0] = c->x; COMPILER(); r[1] = c->x)
/* A thread sees its own store early, and both in the same order as others. */
THREAD(n6_0, c->x = 1; COMPILER(); r[0] = c->x; r[1] = c->y)
THREAD(n6_1, c->y = 1; COMPILER(); c->x = 2)

OUTCOME(never, c == NULL)
OUTCOME(both_zero, !R(0, 0) && !R(1, 0))
OUTCOME(mp_reordered, R(1, 0) && !R(1, 1))
OUTCOME(lb_cycle, R(0, 0) && R(1, 0))
OUTCOME(iriw_disagree, R(2, 0) && !R(2, 1) && R(3, 0) && !R(3, 1))
OUTCOME(wrc_broken, R(1, 0) && R(2, 0) && !R(2, 1))
OUTCOME(ww_cycle, c->x == 1 && c->y == 1)
OUTCOME(co_back, R(1, 0) == 2 && R(1, 1) < 2)
OUTCOME(n6_seen, R(0, 0) == 1 && !R(0, 1) && c->x == 1)
OUTCOME(n6_lost, R(0, 0) == 0)

static const Shape shapes[] = {
    { "SB", 2, { sb0, sb1 }, both_zero, never },
    { "SB+mfence", 2, { sb0_mfence, sb1_mfence }, never, both_zero },
    { "SB+lock", 2, { sb0_locked, sb1_locked }, never, both_zero },
    { "SB+xchg", 2, { sb0_xchg, sb1_xchg }, never, both_zero },
    { "MP", 2, { mp0, mp1 }, never, mp_reordered },
    { "LB", 2, { lb0, lb1 }, never, lb_cycle },
    { "2+2W", 2, { ww0, ww1 }, never, ww_cycle },
    { "CoRR", 2, { co0, co1 }, never, co_back },
    { "n6", 2, { n6_0, n6_1 }, n6_seen, n6_lost },
    { "WRC", 3, { write_x, wrc1, read_yx }, never, wrc_broken },
    { "IRIW", 4, { write_x, write_y, read_xy, read_yx }, never, iriw_disagree },
};

/* ---- atomic operations ---- */

/* Atomic operations that lie across a line, and across a page, together with ones on the part behind. */
static uint8_t *split[2];

static unsigned split_body(unsigned me)
{
    unsigned bad = 0;

    for (int i = 0; i < 200; i++) {
        volatile uint64_t *wide = (volatile uint64_t *)split[i & 1];
        volatile uint32_t *high = (volatile uint32_t *)(split[i & 1] + 4);

        if (me & 1) {
            __asm__ volatile("lock; addl $1, %0" : "+m"(*high)::"memory", "cc");
        } else {
#ifdef __x86_64__
            __asm__ volatile("lock; addq %1, %0" : "+m"(*wide) : "r"(UINT64_C(0x100000001)) : "memory", "cc");
#else
            uint64_t old = *wide;
            while (!__sync_bool_compare_and_swap(wide, old, old + UINT64_C(0x100000001))) {
                old = *wide;
            }
#endif
        }
    }
    return bad;
}

static void test_split(void)
{
    uint8_t *area = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t expected_low, low, high = 0;

    split[0] = area + LINE - 4;
    split[1] = area + page_size - 4;
    run_all(split_body);
    /* Rounds are not told apart by thread: all halves behind have got each of them, those before the even threads' only. */
    low = (uint64_t)*(uint32_t *)split[0] + *(uint32_t *)split[1];
    high = (uint64_t)*(uint32_t *)(split[0] + 4) + *(uint32_t *)(split[1] + 4);
    expected_low = low;
    report("split-lock", atomic_load(&total) * 200, 0,
           (high != atomic_load(&total) * 200) + (expected_low > high) + (low % 200 != 0));
    munmap(area, 2 * page_size);
}

/* Both halves change together, and nobody ever sees one of them alone. */
typedef struct Pair {
    _Alignas(2 * sizeof(uintptr_t)) volatile uintptr_t low;
    volatile uintptr_t high;
} Pair;

static Pair pair;

static bool swap_pair(uintptr_t *low, uintptr_t *high, uintptr_t new_low, uintptr_t new_high)
{
    bool done;

#ifdef __x86_64__
    __asm__ volatile("lock; cmpxchg16b %1; sete %0" : "=q"(done), "+m"(pair), "+a"(*low), "+d"(*high)
                     : "b"(new_low), "c"(new_high) : "memory", "cc");
#else
    __asm__ volatile("lock; cmpxchg8b %1; sete %0" : "=q"(done), "+m"(pair), "+a"(*low), "+d"(*high)
                     : "b"(new_low), "c"(new_high) : "memory", "cc");
#endif
    return done;
}

static unsigned pair_body(unsigned me)
{
    unsigned bad = 0;

    for (int i = 0; i < 200; i++) {
        uintptr_t low = 0, high = 0;

        do {
            bad += high != ~low && (low || high);
        } while (!swap_pair(&low, &high, low + 1, ~(low + 1)));
    }
    return bad;
}

static void test_pair(void)
{
    pair.low = 0;
    pair.high = 0;
    run_all(pair_body);
    report(sizeof(void *) == 8 ? "cmpxchg16b" : "cmpxchg8b", atomic_load(&total) * 200, 0,
           atomic_load(&wrong) + (pair.low != (uintptr_t)(atomic_load(&total) * 200)));
}

/* An aligned quadword is stored and loaded whole. */
static _Alignas(8) volatile uint64_t whole;

static unsigned whole_body(unsigned me)
{
    unsigned bad = 0;

    for (int i = 0; i < 1000; i++) {
        uint64_t value = (me & 1) ? UINT64_C(0x1111111111111111) * (i & 15) : 0;

        if (me & 1) {
            __asm__ volatile("movq %1, %%xmm0; movq %%xmm0, %0" : "=m"(whole) : "m"(value) : "xmm0");
        } else {
            __asm__ volatile("movq %1, %%xmm0; movq %%xmm0, %0" : "=m"(value) : "m"(whole) : "xmm0");
            bad += value != (value & 15) * UINT64_C(0x1111111111111111);
        }
    }
    return bad;
}

static void test_whole(void)
{
    run_all(whole_body);
    report("whole-quadword", atomic_load(&total) * 1000, 0, atomic_load(&wrong));
}

/* ---- code that changes ---- */

typedef uint32_t Code(void);

/* mov $imm32, %eax; ret. The immediate is aligned, so that it changes as a whole. */
static void write_code(uint8_t *at)
{
    at[3] = 0xb8;
    *(volatile uint32_t *)(at + 4) = 0;
    at[8] = 0xc3;
}

static void serialize(void)
{
    uint32_t a = 0, b, c = 0, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d)::"memory");
}

static uint8_t *code_pages;
static atomic_uint told; /* what the shared code returns at least */

static unsigned self_body(unsigned me)
{
    static _Thread_local uint32_t n;
    uint8_t *at = code_pages + (size_t)me * 128; /* neighbours' code on one page */
    unsigned bad = 0;

    for (int i = 0; i < 50; i++) {
        *(volatile uint32_t *)(at + 4) = ++n;
        bad += ((Code *)(at + 3))() != n;
    }
    return bad;
}

/* The first thread writes, the others run: with a serializing instruction behind the news they see it. */
static unsigned cross_body(unsigned me)
{
    static _Thread_local uint32_t last;
    uint8_t *at = code_pages + page_size;
    unsigned bad = 0;

    for (int i = 0; i < 50; i++) {
        if (me == 0) {
            uint32_t n = atomic_load(&told) + 1;

            *(volatile uint32_t *)(at + 4) = n;
            atomic_store(&told, n);
        } else {
            uint32_t least = atomic_load(&told), got;

            serialize();
            got = ((Code *)(at + 3))();
            bad += got < least || got < last;
            last = got;
        }
    }
    return bad;
}

static void test_code(void)
{
    code_pages = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < MAX_THREADS; i++) {
        write_code(code_pages + i * 128);
    }
    write_code(code_pages + page_size);
    run_all(self_body);
    report("self-modifying", atomic_load(&total) * 50, 0, atomic_load(&wrong));
    run_all(cross_body);
    report("cross-modifying", atomic_load(&total) * 50, 0, atomic_load(&wrong));
}

void test_processor(void)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        if (shapes[i].threads <= n_threads) {
            test_shape(&shapes[i]);
        }
    }
    test_split();
    test_pair();
    test_whole();
    test_code();
}
