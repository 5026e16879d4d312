/*
 * What an instruction can see and change, and where its memory is: the same addresses on the host and
 * for the translator, which runs guests in place here.
 */
#ifndef TESTS_INSN_ORACLE_STATE_H
#define TESTS_INSN_ORACLE_STATE_H

#include "target/x86/fp_state.h"

typedef enum OracleMode {
    ORACLE_64,
    ORACLE_32, /* compatibility mode, flat but for FS and GS */
    ORACLE_16, /* 16-bit protected mode; CS begins at ORACLE_CODE, all others at ORACLE_DATA */
    ORACLE_MODES
} OracleMode;

/* Low enough for 32-bit absolute addresses; what is between is not mapped. */
enum {
    ORACLE_CONTROL = 0x20000000, /* host.c's own */
    ORACLE_CONTROL_SIZE = 0x2000,
    ORACLE_CODE = 0x20010000,
    ORACLE_CODE_SIZE = 0x1000,
    ORACLE_START = 0x800,        /* the instruction's offset in the code; all around it is INT3 */
    ORACLE_DATA = 0x20030000,
    ORACLE_DATA_SIZE = 0x2000,
    ORACLE_LIMIT_16 = ORACLE_DATA_SIZE - 1,
    /* FS in 32 and 16-bit code; GS is an expand-down segment whose upper half is the second page. */
    ORACLE_FS_BASE = ORACLE_DATA + 0x800,
    ORACLE_FS_LIMIT = 0xfff,
    ORACLE_GS_BASE = ORACLE_DATA,
    ORACLE_GS_LIMIT = 0xfff,
    ORACLE_GS_BASE_64 = 0x12340, /* in 64-bit code */
    ORACLE_ESP_16 = ORACLE_CONTROL, /* upper half of ESP in 16-bit code */
};

enum { ORACLE_NOWHERE = -1, ORACLE_ENDLESS = -2 }; /* no exception; the host did not come to an end */

typedef struct OracleFp {
    FxImage fx;
    uint64_t header[8]; /* as XSAVE wants it */
    uint8_t ymm_high[16][16];
} OracleFp;

typedef struct OracleState {
    OracleFp fp __attribute__((aligned(64)));
    uint64_t gpr[16];
    uint64_t flags;
    uint64_t pc; /* afterwards: of the next instruction or of the fault, relative to ORACLE_CODE */
    /* Afterwards: */
    int32_t vector; /* -1: no exception */
    uint32_t error;
    uint64_t cr2;   /* with vector 14 */
} OracleState;

static inline uint8_t *oracle_data(void)
{
    return (uint8_t *)(uintptr_t)ORACLE_DATA;
}

#endif
