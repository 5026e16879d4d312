/* Numbers by chance for tests, the same for the same start everywhere (xorshift64*). */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <stdint.h>

/* number: not 0. The upper bits are the better ones. */
static inline uint64_t random_step(uint64_t *number)
{
    *number ^= *number << 13;
    *number ^= *number >> 7;
    *number ^= *number << 17;
    return *number * UINT64_C(0x2545f4914f6cdd1d);
}

#endif
