/* Runs one instruction on the host processor itself, in 64-, 32- or 16-bit code. */
#ifndef TESTS_INSN_ORACLE_HOST_H
#define TESTS_INSN_ORACLE_HOST_H

#include "state.h"

/* NULL, or why this host cannot be the oracle. After tcg_init, whose signal handlers come second. */
const char *host_init(void);
bool host_has_mode(OracleMode mode);
uint16_t host_selector(OracleMode mode, int seg);
uint64_t host_fs_base(void);

/* The instruction's bytes go to ORACLE_CODE + ORACLE_START, with a way back behind them. */
void host_place(OracleMode mode, const uint8_t *code, unsigned size);
/* with_fp: the vector and x87 registers too. */
void host_run(OracleMode mode, bool with_fp, OracleState *s);

#endif
