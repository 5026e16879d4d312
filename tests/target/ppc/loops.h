/* What loops.c, which runs random loops, and loops-insns.c, which makes them, have in common. */
#ifndef TESTS_TARGET_PPC_LOOPS_H
#define TESTS_TARGET_PPC_LOOPS_H

#include "tests/target/ppc/rig.h"

/* Registers with a use; the others are for values. */
enum { POINTER = 3, POINTERS = 4, INDEX = 7, INDICES = 2, OUTER = 9, INNER, LIMIT, CODE_BASE };

enum { MOST_WORDS = 900, LONGEST_TRIP = 40 };

typedef struct Loop {
    uint32_t words[MOST_WORDS];
    unsigned n;
    uint64_t ctr;         /* begins with it */
    bool has_conversions; /* to integers, which leave FPRF undefined: nobody looks at it */
} Loop;

extern uint64_t random_state;
uint64_t random_next(void);
unsigned below(unsigned n);

/* For rig_cpu in a mode. at: where it will be, and CODE_BASE points to. It ends with RIG_END. */
void loop_make(Loop *loop, uint64_t at, uint64_t msr);

#endif
