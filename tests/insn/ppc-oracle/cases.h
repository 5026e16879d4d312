/*
 * What the generator and the runner of PowerPC instruction cases hand each other: files of these, in the order of
 * bytes of the processor that runs them.
 */
#ifndef TESTS_INSN_PPC_ORACLE_CASES_H
#define TESTS_INSN_PPC_ORACLE_CASES_H

#include <stdint.h>

enum {
    ORACLE_INSNS = 4,
    ORACLE_WINDOW = 256,         /* bytes of memory that are compared: the last ones of a page */
    ORACLE_PAGE = 0x20000000,    /* mapped; its neighbours are not */
    ORACLE_PAGE_SIZE = 0x10000,
    ORACLE_BASE_REGISTER = 31,   /* of the runner: code must not write it */
};
#define ORACLE_MEMORY (ORACLE_PAGE + ORACLE_PAGE_SIZE - ORACLE_WINDOW)

/* All but memory are 64-bit words. */
typedef struct OracleState {
    uint64_t gpr[32];
    uint64_t cr, xer, lr, ctr, fpscr, vscr, vrsave;
    uint64_t signal;   /* that ended it, 0: none */
    uint64_t fault_pc; /* then: offset in the code */
    uint64_t fault_address; /* of SIGSEGV */
    uint64_t vsr[64][2];
    uint8_t memory[ORACLE_WINDOW];
} OracleState;

typedef struct OracleCase {
    uint64_t n_insns;
    uint64_t insns[ORACLE_INSNS];
    OracleState state;
} OracleCase;

#define ORACLE_WORDS(type) ((sizeof(type) - ORACLE_WINDOW) / sizeof(uint64_t))

#endif
