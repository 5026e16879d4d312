/*
 * Litmus tests of PowerPC: sync, lwsync and dependencies (Power ISA, Book II, 1.7), reservations, quadwords, atomic memory
 * operations, and code that changes.
 */
#define _GNU_SOURCE
#include "litmus.h"

#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#define HWCAP2_ARCH_2_07 0x80000000ul
#define HWCAP2_ARCH_3_00 0x00800000ul

/* ---- orders of loads and stores ---- */

#define SYNC()   __asm__ volatile("sync" ::: "memory")
#define LWSYNC() __asm__ volatile("lwsync" ::: "memory")
#define EIEIO()  __asm__ volatile("eieio" ::: "memory")
/* Loads from an address that depends on a value, which is taken out of it again. */
#define LOAD_AFTER(value, place)                                                                                     \
    __extension__({                                                                                                  \
        uint32_t loaded_;                                                                                            \
        unsigned long nothing_;                                                                                      \
        __asm__ volatile("xor %0,%2,%2\n\tlwzx %1,%3,%0" : "=&r"(nothing_), "=r"(loaded_) : "r"(value), "b"(&(place)) \
                         : "memory");                                                                                \
        loaded_;                                                                                                     \
    })
/* A branch that depends on a value, and isync: what follows waits for it. */
#define CONTROL_ISYNC(value) __asm__ volatile("cmpw %0,%0; bne- 1f; 1: isync" ::"r"(value) : "cr0", "memory")

THREAD(store_x_load_y, c->x = 1; COMPILER(); r[0] = c->y)
THREAD(store_y_load_x, c->y = 1; COMPILER(); r[0] = c->x)
THREAD(store_x_sync_load_y, c->x = 1; SYNC(); r[0] = c->y)
THREAD(store_y_sync_load_x, c->y = 1; SYNC(); r[0] = c->x)
THREAD(store_x_lwsync_load_y, c->x = 1; LWSYNC(); r[0] = c->y)
THREAD(store_y_lwsync_load_x, c->y = 1; LWSYNC(); r[0] = c->x)
THREAD(write_xy, c->x = 1; COMPILER(); c->y = 1)
THREAD(write_x_lwsync_y, c->x = 1; LWSYNC(); c->y = 1)
THREAD(write_x_sync_y, c->x = 1; SYNC(); c->y = 1)
THREAD(write_x_eieio_y, c->x = 1; EIEIO(); c->y = 1)
THREAD(read_y_x, r[0] = c->y; COMPILER(); r[1] = c->x)
THREAD(read_x_y, r[0] = c->x; COMPILER(); r[1] = c->y)
THREAD(read_y_lwsync_x, r[0] = c->y; LWSYNC(); r[1] = c->x)
THREAD(read_y_sync_x, r[0] = c->y; SYNC(); r[1] = c->x)
THREAD(read_x_sync_y, r[0] = c->x; SYNC(); r[1] = c->y)
THREAD(read_x_lwsync_y, r[0] = c->x; LWSYNC(); r[1] = c->y)
THREAD(read_y_address_x, r[0] = c->y; r[1] = LOAD_AFTER(r[0], c->x))
THREAD(read_y_isync_x, r[0] = c->y; CONTROL_ISYNC(r[0]); r[1] = c->x)
THREAD(read_x_write_y, r[0] = c->x; COMPILER(); c->y = 1)
THREAD(read_y_write_x, r[0] = c->y; COMPILER(); c->x = 1)
THREAD(copy_x_to_y, r[0] = c->x; c->y = r[0])
THREAD(copy_y_to_x, r[0] = c->y; c->x = r[0])
THREAD(read_x_lwsync_write_y, r[0] = c->x; LWSYNC(); c->y = 1)
THREAD(read_y_lwsync_write_x, r[0] = c->y; LWSYNC(); c->x = 1)
THREAD(read_y_lwsync_write_z, r[0] = c->y; LWSYNC(); c->z = r[0])
THREAD(read_z_lwsync_x, r[0] = c->z; LWSYNC(); r[1] = c->x)
THREAD(copy_x_lwsync_y, r[0] = c->x; LWSYNC(); c->y = r[0])
THREAD(write_x, c->x = 1)
THREAD(write_y, c->y = 1)
THREAD(x1_y2, c->x = 1; COMPILER(); c->y = 2)
THREAD(y1_x2, c->y = 1; COMPILER(); c->x = 2)
THREAD(x1_lwsync_y2, c->x = 1; LWSYNC(); c->y = 2)
THREAD(y1_lwsync_x2, c->y = 1; LWSYNC(); c->x = 2)
THREAD(x1_sync_y1, c->x = 1; SYNC(); c->y = 1)
THREAD(y2_sync_read_x, c->y = 2; SYNC(); r[0] = c->x)
THREAD(x2_lwsync_y1, c->x = 2; LWSYNC(); c->y = 1)
THREAD(read_y_lwsync_x1, r[0] = c->y; LWSYNC(); c->x = 1)
THREAD(x1_x2, c->x = 1; COMPILER(); c->x = 2)
THREAD(read_x_x, r[0] = c->x; COMPILER(); r[1] = c->x)

OUTCOME(never, c == NULL)
OUTCOME(both_zero, !R(0, 0) && !R(1, 0))
OUTCOME(mp_reordered, R(1, 0) && !R(1, 1))
OUTCOME(lb_cycle, R(0, 0) && R(1, 0))
OUTCOME(iriw_disagree, R(2, 0) && !R(2, 1) && R(3, 0) && !R(3, 1))
OUTCOME(wrc_broken, R(1, 0) && R(2, 0) && !R(2, 1))
OUTCOME(isa2_broken, R(1, 0) && R(2, 0) && !R(2, 1))
OUTCOME(ww_cycle, c->x == 1 && c->y == 1)
OUTCOME(r_cycle, c->y == 2 && !R(1, 0))
OUTCOME(s_cycle, R(1, 0) && c->x == 2)
OUTCOME(co_back, R(1, 0) == 2 && R(1, 1) < 2)

static const Shape shapes[] = {
    { "SB", 2, { store_x_load_y, store_y_load_x }, both_zero, never },
    { "SB+lwsyncs", 2, { store_x_lwsync_load_y, store_y_lwsync_load_x }, both_zero, never },
    { "SB+syncs", 2, { store_x_sync_load_y, store_y_sync_load_x }, never, both_zero },
    { "MP", 2, { write_xy, read_y_x }, mp_reordered, never },
    { "MP+lwsyncs", 2, { write_x_lwsync_y, read_y_lwsync_x }, never, mp_reordered },
    { "MP+syncs", 2, { write_x_sync_y, read_y_sync_x }, never, mp_reordered },
    { "MP+eieio+address", 2, { write_x_eieio_y, read_y_address_x }, never, mp_reordered },
    { "MP+lwsync+isync", 2, { write_x_lwsync_y, read_y_isync_x }, never, mp_reordered },
    { "LB", 2, { read_x_write_y, read_y_write_x }, lb_cycle, never },
    { "LB+data", 2, { copy_x_to_y, copy_y_to_x }, never, lb_cycle },
    { "LB+lwsyncs", 2, { read_x_lwsync_write_y, read_y_lwsync_write_x }, never, lb_cycle },
    { "2+2W", 2, { x1_y2, y1_x2 }, ww_cycle, never },
    { "2+2W+lwsyncs", 2, { x1_lwsync_y2, y1_lwsync_x2 }, never, ww_cycle },
    { "R+syncs", 2, { x1_sync_y1, y2_sync_read_x }, never, r_cycle },
    { "S+lwsyncs", 2, { x2_lwsync_y1, read_y_lwsync_x1 }, never, s_cycle },
    { "CoRR", 2, { x1_x2, read_x_x }, never, co_back },
    { "WRC+lwsync+address", 3, { write_x, copy_x_lwsync_y, read_y_address_x }, never, wrc_broken },
    { "ISA2+lwsyncs", 3, { write_x_lwsync_y, read_y_lwsync_write_z, read_z_lwsync_x }, never, isa2_broken },
    { "IRIW+lwsyncs", 4, { write_x, write_y, read_x_lwsync_y, read_y_lwsync_x }, iriw_disagree, never },
    { "IRIW+syncs", 4, { write_x, write_y, read_x_sync_y, read_y_sync_x }, never, iriw_disagree },
    { "IRIW", 4, { write_x, write_y, read_x_y, read_y_x }, iriw_disagree, never },
};

/* ---- reservations ---- */

/* Counters of all sizes beside each other in a reservation granule. */
static struct {
    _Alignas(128) volatile uint64_t doubleword;
    volatile uint32_t word;
    volatile uint16_t half;
    volatile uint8_t byte, neighbour;
    volatile uint32_t shared;
} counters;

#define INCREMENT(letter, place)                                                                                  \
    do {                                                                                                          \
        unsigned long v_;                                                                                         \
        __asm__ volatile("1: l" letter "arx %0,0,%1; addi %0,%0,1; st" letter "cx. %0,0,%1; bne- 1b" : "=&b"(v_) \
                         : "r"(&(place)) : "cr0", "memory");                                                      \
    } while (0)

static unsigned increment_body(unsigned me)
{
    for (int i = 0; i < 200; i++) {
        INCREMENT("d", counters.doubleword);
        INCREMENT("w", counters.word);
        INCREMENT("h", counters.half);
        INCREMENT("b", counters.byte);
        if (me == 0) {
            counters.neighbour++; /* a plain store beside them */
        }
    }
    return 0;
}

/* The first thread stores one half of a word, and finds it as it was; the others count in the other. */
static unsigned halves_body(unsigned me)
{
    static uint16_t n;
    volatile uint16_t *high = (volatile uint16_t *)&counters.shared + (*(const uint8_t *)&(uint16_t){ 1 } == 1);
    unsigned bad = 0;

    for (int i = 0; i < 100; i++) {
        if (me == 0) {
            *high = ++n;
            bad += *high != n;
        } else {
            uint32_t v, sum;

            do {
                __asm__ volatile("lwarx %0,0,%1" : "=r"(v) : "r"(&counters.shared) : "memory");
                sum = (v & 0xffff0000) | ((v + 1) & 0xffff);
                __asm__ volatile("stwcx. %1,0,%2; mfcr %0" : "=r"(v) : "r"(sum), "r"(&counters.shared) : "cr0", "memory");
            } while (!(v & 0x20000000));
        }
    }
    return bad;
}

/* The first thread stores whole words: an increment that was under way must not bring the old one back. */
static unsigned overwrite_body(unsigned me)
{
    static uint32_t n;
    unsigned bad = 0;

    for (int i = 0; i < 100; i++) {
        if (me == 0) {
            n += 0x100;
            counters.shared = n;
            bad += (counters.shared & 0xffffff00) != n;
        } else {
            uint32_t v;

            __asm__ volatile("1: lwarx %0,0,%1; rlwinm 5,%0,0,0,23; addi %0,%0,1; rlwimi 5,%0,0,24,31; stwcx. 5,0,%1; bne- 1b"
                             : "=&b"(v) : "r"(&counters.shared) : "r5", "cr0", "memory");
        }
    }
    return bad;
}

static void test_reservations(void)
{
    unsigned long long rounds;

    run_all(increment_body);
    rounds = atomic_load(&total) * 200;
    report("larx-stcx", rounds, 0, (counters.doubleword != rounds) + (counters.word != (uint32_t)rounds) +
           (counters.half != (uint16_t)rounds) + (counters.byte != (uint8_t)rounds));
    run_all(halves_body);
    report("larx-stcx+half", atomic_load(&total) * 100, 0, atomic_load(&wrong));
    counters.shared = 0;
    run_all(overwrite_body);
    report("larx-stcx+word", atomic_load(&total) * 100, 0, atomic_load(&wrong));
}

/* ---- what is loaded and stored whole ---- */

static _Alignas(16) volatile uint64_t whole[2];

static unsigned doubleword_body(unsigned me)
{
    unsigned bad = 0;

    for (int i = 0; i < 1000; i++) {
        uint64_t value = UINT64_C(0x1111111111111111) * (i & 15), seen;

        if (me & 1) {
            __asm__ volatile("std %1,0(%0)" ::"b"(&whole[0]), "r"(value) : "memory");
            __asm__ volatile("lfd 0,0(%1); stfd 0,0(%0)" ::"b"(&whole[1]), "b"(&value) : "fr0", "memory");
        } else {
            __asm__ volatile("lfd 0,0(%1); stfd 0,0(%0)" ::"b"(&seen), "b"(&whole[0]) : "fr0", "memory");
            bad += seen != (seen & 15) * UINT64_C(0x1111111111111111);
            __asm__ volatile("ld %0,0(%1)" : "=r"(seen) : "b"(&whole[1]) : "memory");
            bad += seen != (seen & 15) * UINT64_C(0x1111111111111111);
        }
    }
    return bad;
}

static void store_quad(uint64_t first, uint64_t second)
{
    register uint64_t even __asm__("r6") = first, odd __asm__("r7") = second;

    __asm__ volatile(".machine push; .machine power8; stq 6,0(%0); .machine pop" ::"b"(whole), "r"(even), "r"(odd) : "memory");
}

static void load_quad(uint64_t *first, uint64_t *second)
{
    register uint64_t even __asm__("r6"), odd __asm__("r7");

    __asm__ volatile(".machine push; .machine power8; lq 6,0(%2); .machine pop" : "=r"(even), "=r"(odd) : "b"(whole) : "memory");
    *first = even;
    *second = odd;
}

static bool add_to_quad(uint64_t *first, uint64_t *second)
{
    register uint64_t even __asm__("r6"), odd __asm__("r7");
    uint32_t cr;

    __asm__ volatile(".machine push; .machine power8; lqarx 6,0,%2; .machine pop" : "=r"(even), "=r"(odd) : "r"(whole) : "memory");
    *first = even++;
    *second = odd--;
    __asm__ volatile(".machine push; .machine power8; stqcx. 6,0,%3; .machine pop; mfcr %0" : "=r"(cr)
                     : "r"(even), "r"(odd), "r"(whole) : "cr0", "memory");
    return cr & 0x20000000;
}

/* Both doublewords change together, and nobody ever sees one of them alone. */
static unsigned quadword_body(unsigned me)
{
    unsigned bad = 0;

    for (int i = 0; i < 1000; i++) {
        uint64_t first, second;

        if (me & 1) {
            store_quad(i, ~(uint64_t)i);
        } else {
            load_quad(&first, &second);
            bad += first != ~second;
        }
    }
    return bad;
}

static unsigned quadword_add_body(unsigned me)
{
    unsigned bad = 0;

    (void)me;
    for (int i = 0; i < 200; i++) {
        uint64_t first, second;
        bool done;

        do {
            done = add_to_quad(&first, &second);
            bad += first != ~second;
        } while (!done);
    }
    return bad;
}

static void test_whole(void)
{
    run_all(doubleword_body);
    report("whole-doubleword", atomic_load(&total) * 1000, 0, atomic_load(&wrong));
    if (getauxval(AT_HWCAP2) & HWCAP2_ARCH_2_07) {
        uint64_t first, second, rounds;

        store_quad(0, ~UINT64_C(0));
        run_all(quadword_body);
        report("lq-stq", atomic_load(&total) * 1000, 0, atomic_load(&wrong));
        store_quad(0, ~UINT64_C(0));
        run_all(quadword_add_body);
        rounds = atomic_load(&total) * 200;
        load_quad(&first, &second);
        report("lqarx-stqcx", rounds, 0, atomic_load(&wrong) + (first != rounds) + (second != ~rounds));
    }
}

/* ---- atomic memory operations ---- */

/* lwat and ldat take their operands from the registers behind the target. Function codes: Book II, 4.5.1. */
#define FETCH(letter, function, place, operand, operand2)                                                                  \
    __extension__({                                                                                                        \
        register uint64_t old_ __asm__("r6"), a_ __asm__("r7") = (operand), b_ __asm__("r8") = (operand2);                 \
        __asm__ volatile(".machine push; .machine power9; l" letter "at 6,%3," #function "; .machine pop" : "=r"(old_)     \
                         : "r"(a_), "r"(b_), "b"(&(place)) : "memory");                                                    \
        old_;                                                                                                              \
    })
#define STORE(letter, function, place, operand)                                                                            \
    __asm__ volatile(".machine push; .machine power9; st" letter "at %0,%1," #function "; .machine pop" ::"r"(operand),   \
                     "b"(&(place)) : "memory")
enum { BOUND = 50 };

static struct {
    _Alignas(128) volatile uint64_t fetched, stored, swapped, maximum;
    volatile uint32_t word, lock, guarded, none;
    _Alignas(32) volatile uint32_t low; /* of this one only: the next ones are in its block of 32 bytes */
    volatile uint32_t bounded, high;
} amo;
static atomic_ullong put_in, got_out, up, down;

static unsigned amo_body(unsigned me)
{
    uint64_t in = 0, out = 0, highest = 0;
    unsigned bad = 0, ups = 0, downs = 0;

    for (unsigned i = 0; i < 200; i++) {
        uint64_t token = (uint64_t)(me + 1) << 32 | i, before;

        FETCH("d", 0, amo.fetched, 1, 0);
        FETCH("w", 0, amo.word, 1, 0);
        STORE("d", 0, amo.stored, 1ul);
        out += FETCH("d", 8, amo.swapped, token, 0);
        in += token;
        before = FETCH("d", 4, amo.maximum, token, 0);
        bad += before < highest;
        highest = before > token ? before : token;
        /* One is stored if it is not there yet: a lock. */
        while (FETCH("w", 16, amo.lock, 1, 1) != 0) {
        }
        LWSYNC();
        amo.guarded++;
        LWSYNC();
        amo.lock = 0;
        ups += FETCH("w", 24, amo.bounded, 0, 0) != 0x80000000;
        bad += amo.bounded > BOUND;
        if (i % 2) {
            downs += FETCH("w", 28, amo.bounded, 0, 0) != 0x80000000;
        }
    }
    atomic_fetch_add(&put_in, in);
    atomic_fetch_add(&got_out, out);
    atomic_fetch_add(&up, ups);
    atomic_fetch_add(&down, downs);
    return bad;
}

static void test_amo(void)
{
    unsigned long long rounds;

    amo.high = BOUND;
    run_all(amo_body);
    rounds = atomic_load(&total) * 200;
    report("amo", rounds, 0, atomic_load(&wrong) + (amo.fetched != rounds) + (amo.word != (uint32_t)rounds) +
           (amo.stored != rounds) + (amo.guarded != (uint32_t)rounds) + (got_out + amo.swapped != put_in) +
           (amo.bounded != up - down));
}

/* ---- code that changes ---- */

typedef uint32_t Code(void);
enum { NUMBERS = 0x8000 };

/* li r3,n; blr */
static void write_code(uint32_t *at, unsigned n)
{
    *(volatile uint32_t *)at = 0x38600000 | n % NUMBERS;
}

/* Behind this others find what was stored at `at`, if they run it at `runs` after they have heard of it. */
static void publish_code(const uint32_t *at, const uint32_t *runs)
{
    __asm__ volatile("dcbst 0,%0; sync; icbi 0,%1; sync; isync" ::"r"(at), "r"(runs) : "memory");
}

static uint8_t *code_pages, *code_alias; /* the same memory twice */
static atomic_uint told;                 /* what the shared code returns at least */

static unsigned self_body(unsigned me)
{
    static _Thread_local uint32_t n;
    uint32_t *at = (uint32_t *)(code_pages + me * 256); /* neighbours' code on one page */
    unsigned bad = 0;

    for (int i = 0; i < 50; i++) {
        write_code(at, ++n);
        publish_code(at, at);
        bad += ((Code *)at)() != n % NUMBERS;
    }
    return bad;
}

static unsigned cross(unsigned me, uint8_t *writes, uint8_t *runs)
{
    static _Thread_local uint32_t last;
    unsigned bad = 0;

    for (int i = 0; i < 50; i++) {
        if (me == 0) {
            uint32_t n = atomic_load(&told) + 1;

            write_code((uint32_t *)writes, n);
            publish_code((uint32_t *)writes, (uint32_t *)runs);
            atomic_store(&told, n);
        } else {
            uint32_t least = atomic_load(&told), got, most;

            CONTROL_ISYNC(least);
            got = least + (((Code *)runs)() - least) % NUMBERS;
            most = atomic_load(&told) + 1;
            if (most - least < NUMBERS) { /* otherwise one number stands for several */
                bad += got > most || got < last;
                last = got;
            }
        }
    }
    return bad;
}

static unsigned cross_body(unsigned me)
{
    return cross(me, code_pages + page_size, code_pages + page_size);
}

static unsigned alias_body(unsigned me)
{
    return cross(me, code_alias + page_size, code_pages + page_size);
}

static void test_code(void)
{
    int file = memfd_create("code", 0);

    if (file < 0 || ftruncate(file, 2 * page_size) != 0) {
        perror("memfd_create");
        report("code", 0, 0, 1);
        return;
    }
    code_pages = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, file, 0);
    code_alias = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    for (unsigned i = 0; i <= MAX_THREADS; i++) {
        uint32_t *at = (uint32_t *)(code_pages + (i < MAX_THREADS ? i * 256 : page_size));

        write_code(at, 0);
        at[1] = 0x4e800020;
        publish_code(at, at);
    }
    run_all(self_body);
    report("self-modifying", atomic_load(&total) * 50, 0, atomic_load(&wrong));
    run_all(cross_body);
    report("cross-modifying", atomic_load(&total) * 50, 0, atomic_load(&wrong));
    run_all(alias_body);
    report("cross-modifying-alias", atomic_load(&total) * 50, 0, atomic_load(&wrong));
}

void test_processor(void)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        if (shapes[i].threads <= n_threads) {
            test_shape(&shapes[i]);
        }
    }
    test_reservations();
    test_whole();
    if (getauxval(AT_HWCAP2) & HWCAP2_ARCH_3_00) {
        test_amo();
    }
    test_code();
}
