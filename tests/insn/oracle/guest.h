/* Runs one instruction through the translator: in its interpreter, and compiled. */
#ifndef TESTS_INSN_ORACLE_GUEST_H
#define TESTS_INSN_ORACLE_GUEST_H

#include "state.h"
#include "target/x86/decode.h"

typedef enum GuestEngine { GUEST_COMPILED, GUEST_INTERPRETED, GUEST_PLAIN /* interpreted, not optimised */ } GuestEngine;

void guest_init(void);
/* From now on locked instructions are atomic ones: others might look. */
void guest_add_processor(void);
X86State *guest_state(void);

/* The instruction at ORACLE_CODE + ORACLE_START, of this size; translated when it runs first. */
void guest_place(OracleMode mode, unsigned size);
void guest_run(GuestEngine how, bool with_fp, OracleState *s);

/* Decodes bytes as code of the mode: false if they are no whole instruction. */
bool guest_decode(OracleMode mode, const uint8_t *code, unsigned size, X86Insn *in);
char *guest_disassemble(OracleMode mode, const uint8_t *code, unsigned size);

#endif
