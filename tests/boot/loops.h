/* What loops.c, which runs random loops, and loops-insns.c, which makes them, have in common. */
#ifndef TESTS_BOOT_LOOPS_H
#define TESTS_BOOT_LOOPS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PAGE = 4096,
    DATA = 0x30000000, DATA_PAGES = 6,
    CODE_AREA = 256, /* of the code's page, at its end: loops store there too */
};

enum { AX, CX, DX, BX, SP, BP, SI, DI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum { C = 1, P = 4, A = 0x10, Z = 0x40, S = 0x80, O = 0x800, ALL = C | P | A | Z | S | O, DF = 0x400 };

#ifdef __x86_64__
#define IS64 true
typedef uint64_t Word;
#else
#define IS64 false
typedef uint32_t Word;
#endif

/* Registers that point to data, as letters from 'a'. */
#define POINTERS (IS64 ? "dghmn" : "dgh")

extern uint64_t random_state;
uint64_t random_next(void);
unsigned below(unsigned n);

typedef struct Loop {
    unsigned size;
    unsigned undefined; /* flags, when it has ended */
    Word count;         /* what ECX begins with */
    int pointer;        /* goes up to end_register, `distance` further; -1: none does */
    int end_register;
    Word distance;
} Loop;

/* code is where it will run. back: address of a pointer to what it goes to in the end. */
Loop loop_make(uint8_t *code, bool has_avx, const Word *back);

#endif
