/* What we call of capstone, which is loaded for the first disassembly. */
#ifndef UTIL_DISASSEMBLER_H
#define UTIL_DISASSEMBLER_H

#include <capstone/capstone.h>

typedef struct Disassembler {
    __typeof__(cs_open) *open;
    __typeof__(cs_disasm) *disasm;
    __typeof__(cs_free) *free;
    __typeof__(cs_close) *close;
} Disassembler;

/* By any thread. NULL if it cannot be loaded, which is warned of once. */
const Disassembler *disassembler(void);

#endif
