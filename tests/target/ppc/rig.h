/*
 * A PowerPC with memory and nothing else, run by the translator (or, as MYNA_TEST_ENGINE says, the interpreter).
 *
 * Code ends with RIG_END, `sc 1`, whose hypervisor is the test.
 */
#ifndef TESTS_TARGET_PPC_RIG_H
#define TESTS_TARGET_PPC_RIG_H

#include "target/ppc/internal.h"

#define RIG_RAM  (16u << 20)
#define RIG_CODE 0x10000u
#define RIG_END  0x44000022u

extern Cpu *rig_cpu;
extern PpcState *rig_state;
extern uint8_t *rig_ram;
extern Region *rig_region; /* of it */

/* Once per program; the processor's model. Memory is at 0. */
void rig_start(const char *model);
/* Registers and memory as after reset, in real mode; MSR as given, with FP and, where there is one, 64-bit mode. */
void rig_reset(uint64_t msr);
/* Puts words at an address, in the order of bytes that the MSR asks for. Returns the address behind them. */
uint32_t rig_words(uint32_t addr, const uint32_t *words, size_t count);
/* Runs from pc to RIG_END, at most some seconds. */
void rig_run(uint64_t pc);
/* The same of words at RIG_CODE, RIG_END behind them. */
void rig_run_words(const uint32_t *words, size_t count);
#define RIG_RUN(...)                                       \
    do {                                                   \
        static const uint32_t rig_list[] = { __VA_ARGS__ }; \
        rig_run_words(rig_list, G_N_ELEMENTS(rig_list));   \
    } while (0)

/* Instruction words by form. */
#define D_(op, rt, ra, d)           ((uint32_t)(op) << 26 | (rt) << 21 | (ra) << 16 | ((d) & 0xffff))
#define X_(op, rt, ra, rb, xo)      ((uint32_t)(op) << 26 | (rt) << 21 | (ra) << 16 | (rb) << 11 | (xo) << 1)
#define LI(rt, v)                   D_(14, rt, 0, v)
#define ADDI(rt, ra, v)             D_(14, rt, ra, v)
#define LIS(rt, v)                  D_(15, rt, 0, v)
#define ORI(ra, rs, v)              D_(24, rs, ra, v)
#define LWZ(rt, d, ra)              D_(32, rt, ra, d)
#define STW(rt, d, ra)              D_(36, rt, ra, d)
#define ADD(rt, ra, rb)             X_(31, rt, ra, rb, 266)
#define MTSPR(n, rs)                X_(31, rs, (n) & 31, (n) >> 5, 467)
#define MFSPR(rt, n)                X_(31, rt, (n) & 31, (n) >> 5, 339)
#define MTMSR(rs)                   X_(31, rs, 0, 0, 146)
#define MFMSR(rt)                   X_(31, rt, 0, 0, 83)
#define BC(bo, bi, d)               (16u << 26 | (bo) << 21 | (bi) << 16 | ((d) & 0xfffc))
#define B(d)                        (18u << 26 | ((d) & 0x3fffffc))
#define BLR                         0x4e800020u
#define RFI                         0x4c000064u
#define RFID                        0x4c000024u
#define ISYNC                       0x4c00012cu

#endif
