/* Values that matter: boundary integers, FP numbers of every class, places in memory. */
#ifndef TESTS_INSN_ORACLE_VALUES_H
#define TESTS_INSN_ORACLE_VALUES_H

#include "generate.h"

/* States are made of values from a stock; some of it is made anew for each case. */
void values_stock(Random *r);
void values_restock(Random *r);
uint64_t values_integer(Random *r);
/* all: of registers some keep what they have otherwise. */
void values_gprs(uint64_t *gpr, Random *r);
void values_fp(OracleFp *fp, bool unmasked, bool all, Random *r);
void values_memory(uint8_t *data, unsigned size, Random *r);
/* A linear address in the data, or in 16-bit code an offset in it; sometimes where nothing is mapped. */
uint64_t values_target(Random *r, OracleMode mode);
/* An offset in the code that is not near the instruction. */
uint64_t values_code(OracleMode mode, Random *r);
/* Of the case's memory operand, in its segment (generate.c). */
uint64_t values_segment_offset(const Case *one, Random *r);

#endif
