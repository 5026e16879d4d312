/* What the files of the embedded processors (Book E: 440, e500) share, and what the others call of them. */
#ifndef TARGET_PPC_BOOKE_H
#define TARGET_PPC_BOOKE_H

#include "target/ppc/internal.h"

/* Exception syndrome register. */
enum {
    ESR_PIL = 0x08000000, ESR_PPR = 0x04000000, ESR_PTR = 0x02000000, ESR_FP = 0x01000000, ESR_ST = 0x00800000,
    ESR_SPV = 0x00000080,
};
/* Timer control and status. */
enum {
    TCR_WIE = 0x08000000, TCR_DIE = 0x04000000, TCR_FIE = 0x00800000, TCR_ARE = 0x00400000, TCR_WRC = 0x30000000,
    TSR_WIS = 0x40000000, TSR_DIS = 0x08000000, TSR_FIS = 0x04000000,
};
#define TSR_ENW 0x80000000u
/* Debug control and status. */
enum { DBCR0_IDM = 0x40000000, DBCR0_RST = 0x30000000, DBCR0_ICMP = 0x08000000, DBSR_IC = 0x08000000 };

enum {
    SPR_USPRG4 = 260, SPR_PIR_BOOKE = 286, SPR_DBCR0 = 308, SPR_SPEFSCR = 512, SPR_L1CFG0 = 515, SPR_ATBL = 526,
    SPR_IVOR32 = 528, SPR_MCSRR0 = 570, SPR_MCSR = 572, SPR_MAS0 = 624, SPR_MAS1, SPR_MAS2, SPR_MAS3, SPR_MAS4,
    SPR_MAS6 = 630, SPR_PID1 = 633, SPR_PID2, SPR_TLB0CFG = 688, SPR_TLB1CFG, SPR_CCR1 = 888, SPR_RSTCFG = 923,
    SPR_MAS7 = 944, SPR_MMUCR = 946, SPR_CCR0, SPR_L1CSR0 = 1010, SPR_L1CSR1, SPR_MMUCSR0, SPR_BUCSR, SPR_MMUCFG = 1015,
    SPR_SVR = 1023,
};

/* cpu.c */
void ppc_booke_init(PpcState *s);
void ppc_booke_reset(PpcState *s);
void ppc_booke_save(PpcState *s, GKeyFile *out);
bool ppc_booke_load(PpcState *s, GKeyFile *in, GError **error);

/* mmu-booke.c */
bool ppc_walk_booke(PpcState *s, uint32_t addr, MmuAccess access, unsigned mode, bool debug, MmuResult *out);
void ppc_raise_fault_booke(PpcState *s, uint32_t addr, MmuAccess access) G_GNUC_NORETURN;
uint64_t ppc_space_booke(const PpcState *s);
void ppc_booke_flash_invalidate(PpcState *s, bool tlb0, bool tlb1); /* MMUCSR0 */

/* excp-booke.c */
void ppc_booke_enter(PpcState *s, uint32_t vector);
uint32_t ppc_booke_wanted(const PpcState *s);
void ppc_booke_traced(PpcState *s) G_GNUC_NORETURN; /* behind an instruction */
bool ppc_booke_steps(const PpcState *s); /* a debug interrupt behind each instruction */

/* timers-booke.c: the vCPU's thread only, but for due. */
void ppc_booke_timers_due(PpcState *s);  /* of the clock's timer: look at the next chance */
void ppc_booke_timers_poll(PpcState *s); /* TSR is up to date then */
uint64_t ppc_booke_dec_value(PpcState *s);
void ppc_booke_dec_write(PpcState *s, uint64_t value);
void ppc_booke_timers_update(PpcState *s);
void ppc_booke_tb_moved(PpcState *s, int64_t by);

#endif
