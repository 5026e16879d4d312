/* The guest of the x86 oracle: one processor whose memory is what the native side has mapped, run block by block. */
#ifndef TESTS_INSN_ORACLE_GUEST_H
#define TESTS_INSN_ORACLE_GUEST_H

#include "target/x86/internal.h"
#include "tests/insn/native.h"

/* How it is run: blocks of how many instructions, through what. */
typedef struct Variant {
    unsigned max_insns;
    bool optimise, compile;
    bool pic; /* position-independent, where the mode has that */
    bool hot; /* as blocks that were found hot */
} Variant;

extern Cpu *cpu;
extern bool all_scattered; /* every access remembers its page, or none does */

void guest_init(void);

/* Takes the state over. real: in real mode, where 16-bit code does the same but for what is undefined there. */
void load_guest(const NativeRegs *regs, NativeMode mode, bool real);

/* Until the pc is `end`; the vector of the exception that came before, or -1. */
int guest_run(uint64_t end, const Variant *variant);

#endif
