/*
 * A machine for comparing FP instructions with the host: flat memory at the host's own addresses, so
 * that the bytes of an instruction run natively and translated on the same data.
 */
#ifndef TESTS_INSN_FP_MACHINE_H
#define TESTS_INSN_FP_MACHINE_H

#include "target/x86/fp_state.h"

enum { FPM_DATA_SIZE = 1024 };

/* What an instruction can see and change. */
typedef struct FpContext {
    FxImage fx __attribute__((aligned(64)));
    uint8_t ymm_high[16][16]; /* not moved on hosts without AVX */
    uint64_t gpr[16];
    uint64_t flags;
    uint64_t stack; /* the oracle's own */
    int vector;     /* exception that was raised, -1: none */
    uint8_t data[FPM_DATA_SIZE] __attribute__((aligned(64)));
} FpContext;

typedef enum FpEngine { FPM_INTERPRET, FPM_COMPILE } FpEngine;

void fpm_init(void);
X86State *fpm_state(void);
/* Linear address of FpContext.data, for base registers. */
uint64_t fpm_data_address(void);
extern uint64_t fpm_page_end; /* nothing over this is found in one piece by helpers */

/* Runs the code in place. mode: MODE_ bits of 64-bit flat code in ring 0 unless changed. */
extern uint64_t fpm_mode;
void fpm_run_native(FpContext *c, const uint8_t *code, unsigned size);
void fpm_run_translated(FpEngine engine, FpContext *c, const uint8_t *code, unsigned size);
/* The exception that code raises in a random context under these MODE_ bits, -1: none. BX is the data's address. */
int fpm_vector_in(FpEngine engine, uint64_t mode, const uint8_t *code, unsigned size);

/* Random contexts made of the values that matter to FP units. */
uint64_t fpm_random(void);
unsigned fpm_below(unsigned n);
void fpm_random_context(FpContext *c);

/* Where a and b differ, or NULL. Caller frees. flags: mask of EFLAGS to compare. */
char *fpm_difference(const FpContext *want, const FpContext *got, uint32_t flags);
void fpm_fail(const char *what, const uint8_t *code, unsigned size, const FpContext *before, char *difference);
/* The test fails, with these words, unless the code does on both sides the same to the context and to all flags. */
void fpm_check(FpEngine how, const char *what, const uint8_t *code, unsigned size, const FpContext *before);

#endif
