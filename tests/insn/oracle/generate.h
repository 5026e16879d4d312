/* Makes instructions from rows of the decoder's tables, and states for them to run in. */
#ifndef TESTS_INSN_ORACLE_GENERATE_H
#define TESTS_INSN_ORACLE_GENERATE_H

#include "rows.h"
#include "tests/random.h"

typedef struct Random {
    uint64_t state;
} Random;

static inline uint64_t random_next(Random *r)
{
    return random_step(&r->state);
}

static inline unsigned random_below(Random *r, unsigned n)
{
    return (random_next(r) >> 32) * n >> 32;
}

typedef struct Case {
    OracleMode mode;
    Row *row;
    uint8_t code[16];
    unsigned size;
    X86Insn in;
    bool with_fp;     /* registers of the FP units matter */
    bool unmasked;    /* x87 exceptions, in all states of the case or in none */
    bool ac;          /* EFLAGS.AC */
    bool far_reaching; /* may change all of the data */
    uint8_t disp_at, disp_size;
} Case;

/* False: no legal bytes came of it, try again. */
bool generate_case(Case *one, Row *row, OracleMode mode, Random *r);
/* Registers; memory stays as generate_memory made it. first: nothing of s is kept. */
void generate_state(const Case *one, OracleState *s, bool first, Random *r);
void generate_memory(const Case *one, uint8_t *data, Random *r);

#endif
