/* A guest of a dozen instructions, and a machine for it, whose engine is the real one. */
#ifndef TESTS_ACCEL_TOY_H
#define TESTS_ACCEL_TOY_H

#include "accel/accel.h"
#include "accel/tcg/internal.h"
#include "core/lock.h"
#include "core/machine.h"
#include "util/bits.h"

/*
 * Code: 01 n        r0 += n
 *       02 a4       r0 = byte at a
 *       03 a4       byte at a = r0
 *       04 a4       jump to a
 *       05          halt
 *       06 a4       if (--r1) jump to a
 *       07 a4       word32 at a = r0
 *       08          dirty end: flush page r0 << 12 (helper), go on
 *       09 a4       call a: the pc behind goes to the stack
 *       0a          return
 *       0b n        sp += n
 *       0c          flush everything
 *       0d a4       go on at a, in the same block
 *       0e a4       byte at a += 1
 * Pages are mapped by `page_table`, 0 for a fault.
 */
typedef struct ToyState {
    CpuHot hot;
    uint64_t r0, r1, sp, pc, fault, faults;
} ToyState;

#define PAGES     64
#define WRITABLE  1
#define GLOBAL    4
#define UNREADABLE 8
#define IO_PAGE   40
#define RAM_PAGES 32
#define STACK     0x6000

enum { PROCESS, SYSTEM }; /* the system sees page 4 where processes see page 3 */
enum { PATIENCE_MS = 100000 }; /* a vCPU may get a hundredth of a busy host */

extern GuestOps toy_ops;
extern uint64_t page_table[PAGES]; /* physical page << 12 | 2 | flags */
extern uint64_t table_root;        /* read by each walk, says nothing */
extern uint64_t space_id;
extern unsigned mode;

extern Cpu *cpu;
extern ToyState *s;
extern uint8_t *ram;
extern Region *ram_region;
extern const RegionOps io_ops; /* of the page IO_PAGE: reads as 5Ah */
extern unsigned io_writes, io_value;
extern unsigned watch_hits, watch_count;
extern uint64_t watch_pc;

void set_up(void);

/* An empty machine with all pages mapped to themselves, about to start at 0x1000. */
void start(void);

/* An instruction with an operand of 32 bits; an addition to r0. */
void put32(uint32_t addr, uint8_t op, uint32_t operand);
void put_add(uint32_t addr, uint8_t n);

/* Until the guest halts. */
void run(void);

/* Each runs in the translator and in the interpreter. */
typedef struct Case {
    const char *name;
    void (*fn)(void);
} Case;

#define CASE(name) { #name, name }

/* What each file of cases has; the last one has no name. */
extern const Case code_cases[], space_cases[], debug_cases[];

#endif
