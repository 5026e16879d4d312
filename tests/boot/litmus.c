/*
 * Litmus tests: what processors must never show each other, run by pinned threads of a Linux guest.
 *
 * Usage: litmus SECONDS THREADS. Each test runs for that long and prints a line: rounds, outcomes that x86-TSO (SDM volume 3, 9.2)
 * allows but a sequential machine has not, and forbidden ones. Page tables change by the kernel's own shootdowns.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 2000, LINE = 64, PAGE = 4096, MAX_THREADS = 4 };

typedef struct Cell {
    _Alignas(LINE) volatile uint32_t x;
    _Alignas(LINE) volatile uint32_t y;
    _Alignas(LINE) atomic_uint gate;
    uint32_t r[MAX_THREADS][2];
} Cell;

static Cell cells[ROUNDS];
static unsigned n_threads, seconds_each;
static int failures;

static atomic_uint arrived, generation;
static atomic_bool stop;

static void barrier(unsigned count)
{
    unsigned now = atomic_load(&generation);

    if (atomic_fetch_add(&arrived, 1) + 1 == count) {
        atomic_store(&arrived, 0);
        atomic_fetch_add(&generation, 1);
        return;
    }
    for (unsigned spins = 0; atomic_load(&generation) == now; spins++) {
        if (spins > 1000) {
            sched_yield();
        }
    }
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pin(unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

static void report(const char *name, uint64_t rounds, uint64_t weak, uint64_t forbidden)
{
    printf("LITMUS %s rounds %llu weak %llu forbidden %llu\n", name, (unsigned long long)rounds, (unsigned long long)weak,
           (unsigned long long)forbidden);
    fflush(stdout);
    failures += forbidden != 0;
}

/* ---- orders of loads and stores ---- */

#define COMPILER() __asm__ volatile("" ::: "memory")
#define MFENCE() __asm__ volatile("mfence" ::: "memory")
#define LOCKED() __asm__ volatile("lock; addl $0, %0" : "+m"(*(volatile uint32_t *)&(uint32_t){0})::"memory")

typedef struct Shape {
    const char *name;
    unsigned threads;
    void (*run[MAX_THREADS])(Cell *c, uint32_t *r);
    bool (*weak)(const Cell *c), (*forbidden)(const Cell *c);
} Shape;

#define THREAD(name, ...) static void name(Cell *c, uint32_t *r) { (void)r; __VA_ARGS__; }
#define OUTCOME(name, condition) static bool name(const Cell *c) { return condition; }
#define R(t, n) (c->r[t][n])

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

static const Shape *shape;
static uint64_t end_time;

static void run_shape(unsigned me)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        /* Together, if the others run: a thread of which nothing is heard is not waited for. */
        atomic_fetch_add(&cells[i].gate, 1);
        for (int spins = 0; spins < 300 && atomic_load(&cells[i].gate) < shape->threads; spins++) {
        }
        shape->run[me](&cells[i], cells[i].r[me]);
    }
}

static void *shape_thread(void *opaque)
{
    unsigned me = (uintptr_t)opaque;

    pin(me);
    for (;;) {
        barrier(shape->threads);
        if (atomic_load(&stop)) {
            return NULL;
        }
        run_shape(me);
        barrier(shape->threads);
    }
}

static void test_shape(const Shape *which)
{
    pthread_t threads[MAX_THREADS];
    uint64_t rounds = 0, weak = 0, forbidden = 0;

    shape = which;
    atomic_store(&stop, false);
    for (unsigned i = 1; i < which->threads; i++) {
        pthread_create(&threads[i], NULL, shape_thread, (void *)(uintptr_t)i);
    }
    pin(0);
    end_time = now_ms() + seconds_each * 1000;
    while (now_ms() < end_time) {
        memset(cells, 0, sizeof(cells));
        barrier(which->threads);
        run_shape(0);
        barrier(which->threads);
        for (unsigned i = 0; i < ROUNDS; i++) {
            weak += which->weak(&cells[i]);
            forbidden += which->forbidden(&cells[i]);
        }
        rounds += ROUNDS;
    }
    atomic_store(&stop, true);
    barrier(which->threads);
    for (unsigned i = 1; i < which->threads; i++) {
        pthread_join(threads[i], NULL);
    }
    report(which->name, rounds, weak, forbidden);
}

/* ---- all threads at once until the time is up ---- */

static atomic_ullong total, wrong;
static unsigned (*body)(unsigned me); /* some rounds of it; the number of wrong ones */

static void *body_thread(void *opaque)
{
    unsigned me = (uintptr_t)opaque;

    pin(me);
    barrier(n_threads);
    while (now_ms() < end_time) {
        atomic_fetch_add(&wrong, body(me));
        atomic_fetch_add(&total, 1);
    }
    barrier(n_threads);
    return NULL;
}

static void run_all(unsigned (*what)(unsigned me))
{
    pthread_t threads[MAX_THREADS];

    body = what;
    atomic_store(&total, 0);
    atomic_store(&wrong, 0);
    end_time = now_ms() + seconds_each * 1000;
    for (unsigned i = 1; i < n_threads; i++) {
        pthread_create(&threads[i], NULL, body_thread, (void *)(uintptr_t)i);
    }
    body_thread(NULL);
    for (unsigned i = 1; i < n_threads; i++) {
        pthread_join(threads[i], NULL);
    }
}

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
    uint8_t *area = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t expected_low, low, high = 0;

    split[0] = area + LINE - 4;
    split[1] = area + PAGE - 4;
    run_all(split_body);
    /* Rounds are not told apart by thread: all halves behind have got each of them, those before the even threads' only. */
    low = (uint64_t)*(uint32_t *)split[0] + *(uint32_t *)split[1];
    high = (uint64_t)*(uint32_t *)(split[0] + 4) + *(uint32_t *)(split[1] + 4);
    expected_low = low;
    report("split-lock", atomic_load(&total) * 200, 0,
           (high != atomic_load(&total) * 200) + (expected_low > high) + (low % 200 != 0));
    munmap(area, 2 * PAGE);
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
    uint8_t *at = code_pages + PAGE;
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
    code_pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < MAX_THREADS; i++) {
        write_code(code_pages + i * 128);
    }
    write_code(code_pages + PAGE);
    run_all(self_body);
    report("self-modifying", atomic_load(&total) * 50, 0, atomic_load(&wrong));
    run_all(cross_body);
    report("cross-modifying", atomic_load(&total) * 50, 0, atomic_load(&wrong));
}

/* ---- page tables ---- */

static uint8_t *page;
static atomic_uint turn;

static void wait_a_little(int signal)
{
    sched_yield(); /* then the access again */
}

/* Behind mprotect() nobody stores any more. */
static unsigned protect_body(unsigned me)
{
    volatile uint32_t *word = (volatile uint32_t *)page;
    unsigned bad = 0;

    if (me == 0) {
        uint32_t seen;

        mprotect(page, PAGE, PROT_READ);
        seen = *word;
        for (int i = 0; i < 200; i++) {
            bad += *word != seen;
        }
        mprotect(page, PAGE, PROT_READ | PROT_WRITE);
        for (int i = 0; i < 50; i++) {
            sched_yield();
        }
        return bad;
    }
    for (int i = 0; i < 100; i++) {
        ++*word;
    }
    return 0;
}

/* Another page in a page's place: who hears of it does not find the old one. */
static unsigned replace_body(unsigned me)
{
    unsigned bad = 0;

    if (me == 0) {
        uint32_t n = atomic_load(&turn) + 1;
        uint8_t *fresh = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        *(volatile uint32_t *)fresh = n;
        mremap(fresh, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page);
        atomic_store(&turn, n);
        return 0;
    }
    for (int i = 0; i < 100; i++) {
        uint32_t least = atomic_load(&turn);

        bad += *(volatile uint32_t *)page < least;
    }
    return bad;
}

/*
 * Dirty bits: MADV_FREE clears them, and the kernel drops what is still clean when it looks. The odd turns are open: what is
 * stored in them must stay, although MADV_PAGEOUT looks meanwhile.
 */
static unsigned dirty_body(unsigned me)
{
    unsigned bad = 0;

    if (me == 0) {
        madvise(page, MAX_THREADS * PAGE, MADV_FREE);
        atomic_fetch_add(&turn, 1);
        madvise(page, MAX_THREADS * PAGE, MADV_PAGEOUT);
        madvise(page, MAX_THREADS * PAGE, MADV_PAGEOUT);
        atomic_fetch_add(&turn, 1);
        return 0;
    }
    for (int i = 0; i < 100; i++) {
        volatile uint32_t *word = (volatile uint32_t *)(page + (size_t)me * PAGE);
        uint32_t before = atomic_load(&turn), value, mark = before * 128 + i + 1;

        *word = mark;
        for (int k = 0; k < 20; k++) {
            COMPILER();
        }
        value = *word;
        bad += (before & 1) && atomic_load(&turn) == before && value != mark;
    }
    return bad;
}

static void test_pages(void)
{
    signal(SIGSEGV, wait_a_little);
    page = mmap(NULL, MAX_THREADS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    run_all(protect_body);
    report("mprotect", atomic_load(&total), 0, atomic_load(&wrong));
    atomic_store(&turn, 0);
    run_all(replace_body);
    report("replace", atomic_load(&total), 0, atomic_load(&wrong));
    atomic_store(&turn, 0);
    mprotect(page, MAX_THREADS * PAGE, PROT_READ | PROT_WRITE);
    run_all(dirty_body);
    report("dirty", atomic_load(&total), 0, atomic_load(&wrong));
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        return 2;
    }
    seconds_each = atoi(argv[1]);
    n_threads = atoi(argv[2]);
    if (n_threads < 2 || n_threads > MAX_THREADS) {
        return 2;
    }
    for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        if (shapes[i].threads <= n_threads) {
            test_shape(&shapes[i]);
        }
    }
    test_split();
    test_pair();
    test_whole();
    test_code();
    test_pages();
    printf("LITMUS-END %d\n", failures);
    return failures != 0;
}
