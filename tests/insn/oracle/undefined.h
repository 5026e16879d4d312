/* What the manuals leave undefined, so that the host's answer is one of many. */
#ifndef TESTS_INSN_ORACLE_UNDEFINED_H
#define TESTS_INSN_ORACLE_UNDEFINED_H

#include "generate.h"

typedef struct Undefined {
    uint32_t flags;    /* EFLAGS bits */
    uint16_t gprs;     /* bit n: register n */
    bool whole;        /* nothing at all is defined */
} Undefined;

/* Of an instruction that ran from this state. */
Undefined undefined_results(const Case *one, const OracleState *before, bool faulted);
/* Any byte of the operand will do for CR2: a large one is not read from its beginning on. */
bool undefined_fault_offset(const Case *one);
/* An MMX store that faults may have made the x87 registers MMX registers before. */
bool undefined_mmx_switch(const Case *one);

/* A store of a number that raises an unmasked exception stores nothing: hosts do not look at memory then, we do. */
bool undefined_order(const Case *one, const OracleState *host, const OracleState *guest);
/* Ten bytes, or MOVBE, across the end of what is mapped: the first ones may have been written. */
bool undefined_partial_store(const Case *one);
/* PUSH of a segment register with 32 bits leaves the upper half alone or clears it (SDM volume 2, PUSH). */
bool undefined_pushed_half(const Case *one);

#endif
