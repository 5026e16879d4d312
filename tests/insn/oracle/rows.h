/* The decoder's tables as one list: what the oracle is to cover. */
#ifndef TESTS_INSN_ORACLE_ROWS_H
#define TESTS_INSN_ORACLE_ROWS_H

#include "state.h"
#include "target/x86/insns.h"
#include "target/x86/vex_table.h"

enum { PREFIX_ANY = 1 }; /* no mandatory prefix: 66, F2 and F3 are free */

typedef struct Row {
    uint8_t map, opcode;
    uint8_t prefix;        /* mandatory: 0 (none of them), 66, F3, F2; or PREFIX_ANY */
    int8_t digit;          /* ModRM.reg, -1: free */
    bool has_modrm, is_vex;
    const X86Row *general; /* all but FP units */
    const FpRow *fp;
    const VexRow *vex;
    unsigned attr;         /* X86Attr, also of the group */
    bool x87, undefined;
    bool registers_only;   /* the memory form is excused */
    const char *excused;   /* why it is not run, or NULL */
    uint64_t with_register[ORACLE_MODES], with_memory[ORACLE_MODES]; /* how often it did not fault */
    uint64_t faults[ORACLE_MODES];
} Row;

Row *rows_list(unsigned *count);
/* Touches registers of the x87, MMX or vector units. */
bool row_is_fp(const Row *row);
/* Whether the row can be done without a fault in code of the mode. */
bool row_exists(const Row *row, OracleMode mode);
char *row_name(const Row *row);

#endif
