/* Random IR blocks, and a small machine to run them on: for tests that compare engines. */
#ifndef TESTS_TCG_RANDOM_IR_H
#define TESTS_TCG_RANDOM_IR_H

#include "core/cpu.h"
#include "tcg/tcg.h"

/* As an x86 state would be: pinned and unpinned slots, 64 and 32 bits wide, an FXSAVE image. */
typedef struct TestState {
    CpuHot hot;
    uint64_t cc_dst, cc_src;
    uint32_t cc_op, cc_aux;
    uint64_t reg[16];
    uint64_t pc;
    uint8_t fx[512] __attribute__((aligned(64)));
    uint8_t fields[64]; /* in no slot */
    uint8_t tail[256]; /* nobody writes here */
} TestState;

enum { TEST_SLOT_CC_DST = 16, TEST_SLOT_CC_SRC, TEST_SLOT_CC_OP, TEST_SLOT_CC_AUX, TEST_SLOT_PC, TEST_SLOTS };

/* Guest memory: pages 0-3 hit the TLB, 4 only for loads, 5 never; 6 cannot be stored to, 7 faults. */
#define TEST_RAM_BASE 0x10000
#define TEST_RAM_SIZE 0x8000

extern const TcgTarget test_target;
extern const TcgRuntime test_runtime;
extern const IrHelper test_helpers[];
extern const uint32_t test_n_helpers;
extern uint8_t test_ram[TEST_RAM_SIZE];
/* The block whose code runs: what find_block answers. */
extern const HostBlock *test_host_block, *test_next_block; /* the latter: what it goes on to, or NULL */

/* The state: on a page of its own with the stack of translated code below. */
TestState *test_state_new(void);
/* Registers, memory and FP state as the seed says; TLBs as above. */
void test_state_fill(TestState *s, uint64_t seed);

/* RANDOM_DEAD: exits to other blocks need not store TEST_DEAD_SLOTS. */
enum {
    RANDOM_FP = 1 << 0, RANDOM_LABELS = 1 << 1, RANDOM_MEMORY = 1 << 2, RANDOM_CALLS = 1 << 3,
    RANDOM_DEAD = 1 << 4,
};
#define TEST_DEAD_SLOTS (1ull << TEST_SLOT_CC_DST | 1ull << TEST_SLOT_CC_OP | 1ull << 12 | 1ull << 2)
/* Builds a block of about `size` operations, different for each seed. */
void random_ir(IrBlock *ir, uint64_t seed, unsigned size, unsigned what);

/* Result of a run, for comparing. */
typedef struct TestResult {
    TcgExit exit;
    TestState state;
    uint8_t ram[TEST_RAM_SIZE];
} TestResult;
void test_result_take(TestResult *r, const TestState *s, TcgExit exit);
/* Fails with seed, both values and the text of the block if the results differ. */
void test_result_compare(const TestResult *expected, const TestResult *got, const IrBlock *ir, uint64_t seed,
                         unsigned what);

#endif
