/* Random x86 code, of instructions whose flags are known, of accesses in a row, or of carries. */
#ifndef TESTS_INSN_X86_RANDOM_H
#define TESTS_INSN_X86_RANDOM_H

#include <glib.h>
#include <string.h>

#include "tests/insn/native.h"

typedef struct Code {
    uint8_t *at;
    GRand *rand;
    bool is32; /* no REX: eight registers, ebp is the small index */
    bool is16; /* as is32, but all sizes are 16 bits without prefix: any address will do */
} Code;

static inline uint32_t any(Code *c, uint32_t below)
{
    return g_rand_int_range(c->rand, 0, below);
}

static inline void byte(Code *c, uint8_t value)
{
    *c->at++ = value;
}

static inline void bytes(Code *c, uint64_t value, unsigned n)
{
    memcpy(c->at, &value, n);
    c->at += n;
}

/* What is run, from NATIVE_CODE on: its bytes, the flags that it leaves undefined, and a line for each instruction. */
typedef struct Case {
    uint8_t code[256];
    unsigned size;
    uint32_t undefined;
    GString *text;
} Case;

/* Often one of those at which results change. */
uint64_t random_value(GRand *rand);

/* Instructions by the table of templates, the last of them one whose name begins with `only`, unless that is NULL. */
void build_case(Case *one, GRand *rand, const char *only, NativeMode mode, bool real);

/*
 * Words that go between registers and memory off three registers. BP may become a copy of one of them, which then may
 * be loaded over while BP points on.
 */
void build_moves(Case *one, GRand *rand, NativeMode mode);

/* Accesses by what is chosen, or counted, off one of three pointers, which may change before the access. */
void build_choices(Case *one, GRand *rand, NativeMode mode);

/* ADCX and ADOX, and what changes or reads flags between them. */
void build_carries(Case *one, GRand *rand, NativeMode mode);

#endif
