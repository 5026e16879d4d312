/*
 * Litmus tests: what processors must never show each other, run by pinned threads of a Linux guest.
 *
 * Usage: litmus SECONDS THREADS. Each test runs for that long and prints a line: rounds, outcomes that the architecture allows but
 * a sequential machine has not, and forbidden ones. Page tables change by the kernel's own shootdowns. What is the processor's
 * is in litmus-x86.c and litmus-ppc.c.
 */
#define _GNU_SOURCE
#include "litmus.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 2000 };

static Cell cells[ROUNDS];
unsigned n_threads;
size_t page_size;
static unsigned seconds_each;
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

void report(const char *name, uint64_t rounds, uint64_t weak, uint64_t forbidden)
{
    printf("LITMUS %s rounds %llu weak %llu forbidden %llu\n", name, (unsigned long long)rounds, (unsigned long long)weak,
           (unsigned long long)forbidden);
    fflush(stdout);
    failures += forbidden != 0;
}

/* ---- shapes ---- */

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

void test_shape(const Shape *which)
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

atomic_ullong total, wrong;
static unsigned (*body)(unsigned me); /* some rounds of it; the number of wrong ones */

static void *body_thread(void *opaque)
{
    unsigned me = (uintptr_t)opaque;

    pin(me);
    barrier(n_threads);
    if (me == 0) { /* the time begins when all are there */
        end_time = now_ms() + seconds_each * 1000;
    }
    barrier(n_threads);
    while (now_ms() < end_time) {
        atomic_fetch_add(&wrong, body(me));
        atomic_fetch_add(&total, 1);
    }
    barrier(n_threads);
    return NULL;
}

void run_all(unsigned (*what)(unsigned me))
{
    pthread_t threads[MAX_THREADS];

    body = what;
    atomic_store(&total, 0);
    atomic_store(&wrong, 0);
    for (unsigned i = 1; i < n_threads; i++) {
        pthread_create(&threads[i], NULL, body_thread, (void *)(uintptr_t)i);
    }
    body_thread(NULL);
    for (unsigned i = 1; i < n_threads; i++) {
        pthread_join(threads[i], NULL);
    }
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

        mprotect(page, page_size, PROT_READ);
        seen = *word;
        for (int i = 0; i < 200; i++) {
            bad += *word != seen;
        }
        mprotect(page, page_size, PROT_READ | PROT_WRITE);
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
        uint8_t *fresh = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        *(volatile uint32_t *)fresh = n;
        mremap(fresh, page_size, page_size, MREMAP_MAYMOVE | MREMAP_FIXED, page);
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
        madvise(page, MAX_THREADS * page_size, MADV_FREE);
        atomic_fetch_add(&turn, 1);
        madvise(page, MAX_THREADS * page_size, MADV_PAGEOUT);
        madvise(page, MAX_THREADS * page_size, MADV_PAGEOUT);
        atomic_fetch_add(&turn, 1);
        return 0;
    }
    for (int i = 0; i < 100; i++) {
        volatile uint32_t *word = (volatile uint32_t *)(page + (size_t)me * page_size);
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
    page = mmap(NULL, MAX_THREADS * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    run_all(protect_body);
    report("mprotect", atomic_load(&total), 0, atomic_load(&wrong));
    atomic_store(&turn, 0);
    run_all(replace_body);
    report("replace", atomic_load(&total), 0, atomic_load(&wrong));
    atomic_store(&turn, 0);
    mprotect(page, MAX_THREADS * page_size, PROT_READ | PROT_WRITE);
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
    page_size = sysconf(_SC_PAGESIZE);
    test_processor();
    test_pages();
    printf("LITMUS-END %d\n", failures);
    return failures != 0;
}
