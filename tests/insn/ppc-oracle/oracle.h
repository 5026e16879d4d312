/* What the parts of the PowerPC oracle share: the model, its rows, cases and comparison. */
#ifndef TESTS_INSN_PPC_ORACLE_ORACLE_H
#define TESTS_INSN_PPC_ORACLE_ORACLE_H

#include "tests/insn/ppc-oracle/cases.h"

#include "target/ppc/insns.h"

typedef struct Setup {
    const char *model, *compiler, *flags, *emulator, *emulated;
    bool is_le, has_vec, has_vsx;
} Setup;

extern const Setup *setup;
extern PpcState *state;
extern Cpu *cpu;

/* A row of the decoder and what became of its cases. */
typedef struct Row {
    const PpcRow *row;
    uint32_t reserved, reserved_prefix; /* bits that the black box wants to be zero */
    unsigned tried, same, illegal, wrong;
} Row;

extern GArray *rows; /* Row */

/* generate.c */
extern uint64_t seed;
uint64_t next(void);
unsigned below(unsigned n);
bool is64(void);
void collect_rows(const char *pattern); /* those with such a name; NULL: all */
/* For each row one case without any of its free bits, and one with each of them: what is illegal only with a bit has it reserved. */
unsigned make_probes(OracleCase **cases);
void learn_reserved(const OracleState *results);
void make_case(OracleCase *c, unsigned index);
bool is_decimal_float(const PpcRow *row);
uint32_t first_word(const OracleCase *c); /* the last word of a case's first instruction */

/* special.c: instructions whose fields go together; each makes a whole case. */
bool is_special(const PpcRow *row);
void make_special(const PpcRow *row, OracleCase *c);

/* compare.c */
unsigned compare_all(const OracleCase *cases, const OracleState *results, unsigned n); /* how many differ */
void print_coverage(void);
char *difference(const OracleCase *c, const OracleState *want, const OracleState *got, unsigned what); /* caller frees */

/* engines.c */
unsigned compare_engines(unsigned n); /* how many cases differ */

/* test-ppc-oracle.c */
void run_case(const OracleCase *c, bool compile, OracleState *out);

#endif
