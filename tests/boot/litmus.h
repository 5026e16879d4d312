/* The frame of litmus tests: shapes of loads and stores, bodies that all threads run, and what a processor's own file offers. */
#ifndef TESTS_BOOT_LITMUS_H
#define TESTS_BOOT_LITMUS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE = 64, MAX_THREADS = 4 };

/* What one round of a shape works on. */
typedef struct Cell {
    _Alignas(LINE) volatile uint32_t x;
    _Alignas(LINE) volatile uint32_t y;
    _Alignas(LINE) volatile uint32_t z;
    _Alignas(LINE) atomic_uint gate;
    uint32_t r[MAX_THREADS][2];
} Cell;

/* weak: an outcome that the processor may show although a sequential one would not; forbidden: one that it must not. */
typedef struct Shape {
    const char *name;
    unsigned threads;
    void (*run[MAX_THREADS])(Cell *c, uint32_t *r);
    bool (*weak)(const Cell *c), (*forbidden)(const Cell *c);
} Shape;

#define COMPILER() __asm__ volatile("" ::: "memory")
#define THREAD(name, ...) static void name(Cell *c, uint32_t *r) { (void)r; __VA_ARGS__; }
#define OUTCOME(name, condition) static bool name(const Cell *c) { return condition; }
#define R(t, n) (c->r[t][n])

extern unsigned n_threads;
extern size_t page_size;
extern atomic_ullong total, wrong; /* rounds of run_all, and what its bodies returned */

void test_shape(const Shape *which);
/* All threads do `body`, some rounds of it that return the number of wrong ones, until the time is up. */
void run_all(unsigned (*body)(unsigned me));
void report(const char *name, uint64_t rounds, uint64_t weak, uint64_t forbidden);

/* Of the processor's file: its orders of loads and stores, its atomic operations, code that changes. */
void test_processor(void);

#endif
