/* Runs guest instructions on the host processor itself. */
#ifndef TESTS_INSN_NATIVE_H
#define TESTS_INSN_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

/* Everything is mapped here, low enough for 32-bit absolute addresses. */
#define NATIVE_BASE 0x20000000
#define NATIVE_BACK32 0x20001000
#define NATIVE_DATA 0x20010000
#define NATIVE_DATA_SIZE 0x10000
#define NATIVE_CODE 0x20030000
#define NATIVE_SIZE 0x40000

typedef struct NativeRegs {
    uint64_t gpr[16];
    uint64_t flags;
    uint64_t code;    /* where to begin */
    uint64_t back;    /* the code ends with jmp *NATIVE_BACK */
    uint64_t host_sp;
    uint32_t far_code;      /* as code, for 32-bit code */
    uint16_t far_selector;
    uint64_t back32;        /* 32-bit code ends with a far jump to a jmp *back32 */
    uint64_t data_selector;
    uint64_t fault_pc;
} NativeRegs;

#define NATIVE_REGS ((NativeRegs *)NATIVE_BASE)

bool native_init(void);
typedef enum NativeMode {
    NATIVE_64,
    NATIVE_32,
    NATIVE_16, /* protected mode; code and data segments begin at NATIVE_CODE and NATIVE_DATA */
} NativeMode;
/* Whether the host can do it; gives the selectors of code and data. */
bool native_has(NativeMode mode, uint16_t *code, uint16_t *data);

/* Appends the jump that ends native code; returns the new end. */
uint8_t *native_finish(uint8_t *code, NativeMode mode);
/* From code and registers in NATIVE_REGS, results to there, also those at a fault. Returns the exception vector, -1: none;
 * 13 stands for all that are one signal. */
int native_run(NativeMode mode);

#endif
