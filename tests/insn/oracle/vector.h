/* Test vectors: one line of text per case. */
#ifndef TESTS_INSN_ORACLE_VECTOR_H
#define TESTS_INSN_ORACLE_VECTOR_H

#include "compare.h"

/* Registers as a vector has them that it does not name. */
void vector_plain_state(OracleState *s);
/*
 *   MODE CODE | WHAT=VALUE ... | WHAT=VALUE ...
 *
 * MODE is 64, 32 or 16, CODE hexadecimal bytes. Before the second bar is what differs from the plain state (all zero; flags
 * 202; the FP units reset), behind it what the instruction changes; what neither names stays as it is. WHAT: r0-r15,
 * flags, mask (of flags that are defined), vector, error, cr2, pc (relative to the instruction), fcw, fsw, tags,
 * mxcsr, st0-7, xmm0-15, ymm0-15 (upper halves), mOFFSET (eight bytes of data). Values are hexadecimal.
 */
void vector_print(const Instance *i, uint32_t flags_mask, GString *out);
/* The case and before, data, host and host_data of a line; false: no vector. The row is NULL. */
bool vector_parse(const char *line, Case *one, Instance *i, uint32_t *flags_mask);

#endif
