/* Special purpose registers of the embedded processors: the 440 and the e500, and what both have of Book E. */
#include "target/ppc/booke.h"
#include "target/ppc/spr.h"

#include "core/machine.h"

#include <stdatomic.h>

static void ignore(PpcState *s, unsigned n, uint64_t value)
{
}

static uint64_t read_dec(PpcState *s, unsigned n)
{
    ppc_booke_timers_poll(s);
    ppc_poll_interrupts(s);
    return ppc_booke_dec_value(s);
}

static void write_dec(PpcState *s, unsigned n, uint64_t value)
{
    ppc_booke_dec_write(s, value);
    ppc_poll_interrupts(s);
}

static uint64_t read_tsr(PpcState *s, unsigned n)
{
    ppc_booke_timers_poll(s);
    ppc_poll_interrupts(s);
    return s->spr[SPR_TSR];
}

/* Bits that are written 1 become 0. */
static void write_tsr(PpcState *s, unsigned n, uint64_t value)
{
    ppc_booke_timers_poll(s);
    s->spr[SPR_TSR] &= ~value;
}

/* What a watchdog does in the end is decided once: software cannot take it back. */
static void write_tcr(PpcState *s, unsigned n, uint64_t value)
{
    ppc_booke_timers_poll(s);
    s->spr[SPR_TCR] = value | (s->spr[SPR_TCR] & TCR_WRC);
    ppc_booke_timers_update(s);
    ppc_poll_interrupts(s);
}

static void clear_bits(PpcState *s, unsigned n, uint64_t value)
{
    s->spr[n] &= ~value;
}

static void write_dbcr0(PpcState *s, unsigned n, uint64_t value)
{
    s->spr[n] = value & ~(uint64_t)DBCR0_RST;
    if (value & DBCR0_RST) {
        tcg_fp_sync(s);
        machine_request_reset(SHUTDOWN_GUEST);
    }
    ppc_update_mode(s);
}

/* Flash invalidations are done at once. */
static void write_mmucsr0(PpcState *s, unsigned n, uint64_t value)
{
    enum { TLB0 = 4, TLB1 = 2 };

    ppc_booke_flash_invalidate(s, value & TLB0, value & TLB1);
}

static void write_l1csr(PpcState *s, unsigned n, uint64_t value)
{
    enum { INVALIDATE = 2, CLEAR_LOCKS = 0x100 };

    s->spr[n] = value & ~(uint64_t)(INVALIDATE | CLEAR_LOCKS);
    ppc_caches_changed(s);
}

static void write_bucsr(PpcState *s, unsigned n, uint64_t value)
{
    enum { INVALIDATE = 0x200 };

    s->spr[n] = value & ~(uint64_t)INVALIDATE;
}

/* User programs' names of SPRG4 to SPRG7. */
static uint64_t read_sprg_user(PpcState *s, unsigned n)
{
    return s->spr[SPR_SPRG0 + n - 256];
}

static uint64_t read_atb(PpcState *s, unsigned n)
{
    return n == SPR_ATBL ? (uint32_t)ppc_tb(s) : ppc_tb(s) >> 32;
}

const SprRow ppc_booke_sprs[] = {
    { SPR_DEC, 1, SUPER, ISA_BOOKE, read_dec, write_dec },
    { SPR_PID, 1, SUPER, ISA_BOOKE, NULL, ppc_spr_write_translation },
    { SPR_DECAR, 1, SUPER, ISA_BOOKE },
    { SPR_CSRR0, 2, SUPER, ISA_BOOKE },
    { SPR_DEAR, 3, SUPER, ISA_BOOKE }, /* ESR, IVPR */
    { SPR_VRSAVE, 1, USER, ISA_BOOKE }, /* USPRG0 */
    { SPR_USPRG4, 4, READ, ISA_BOOKE, read_sprg_user },
    { SPR_PIR_BOOKE, 1, SUPER, ISA_BOOKE },
    { SPR_DBSR, 1, SUPER, ISA_BOOKE, NULL, clear_bits },
    { SPR_DBCR0, 1, SUPER, ISA_BOOKE, NULL, write_dbcr0 },
    { SPR_DBCR0 + 1, 2, SUPER, ISA_BOOKE }, /* DBCR1, DBCR2 */
    { 312, 8, SUPER, ISA_BOOKE },           /* IAC, DAC, DVC */
    { SPR_TSR, 1, SUPER, ISA_BOOKE, read_tsr, write_tsr },
    { SPR_TCR, 1, SUPER, ISA_BOOKE, NULL, write_tcr },
    { SPR_IVOR0, 16, SUPER, ISA_BOOKE },
    { SPR_MCSRR0, 2, SUPER, ISA_BOOKE },
    { SPR_MCSR, 1, SUPER, ISA_BOOKE, NULL, clear_bits },
    /* 440 */
    { 880, 8, SUPER, ISA_440 },                       /* INV, ITV: victims of caches */
    { SPR_CCR1, 1, SUPER, ISA_440 },
    { 912, 4, SUPER, ISA_440 }, { 916, 6, SUPER, ISA_440 }, /* DNV, DTV, DVLIM, IVLIM */
    { SPR_RSTCFG, 1, SUPER_READ, ISA_440 },
    { 924, 4, SUPER_READ, ISA_440 },                  /* DCDBTR, ICDBTR */
    { SPR_MMUCR, 1, SUPER, ISA_440 },
    { SPR_CCR0, 1, SUPER, ISA_440 },
    { 979, 1, SUPER_READ, ISA_440 },                  /* ICDBDR */
    { 1011, 1, SUPER, ISA_440 },                      /* DBDR */
    { SPR_HID0, 2, 0, ISA_440 },                      /* the others' */
    /* e500 */
    { SPR_SPEFSCR, 1, USER, ISA_E500 },
    { SPR_L1CFG0, 2, READ, ISA_E500 },
    { SPR_ATBL, 2, READ, ISA_E500, read_atb },
    { SPR_IVOR32, 4, SUPER, ISA_E500 },
    { 569, 1, SUPER_READ, ISA_E500 }, { 573, 1, SUPER_READ, ISA_E500 }, /* MCARU, MCAR */
    { SPR_MAS0, 5, SUPER, ISA_E500 },
    { SPR_MAS6, 1, SUPER, ISA_E500 },
    { SPR_PID1, 2, SUPER, ISA_E500, NULL, ppc_spr_write_translation },
    { SPR_TLB0CFG, 2, SUPER_READ, ISA_E500 },
    { SPR_MAS7, 1, SUPER, ISA_E500 },
    { SPR_L1CSR0, 2, SUPER, ISA_E500, NULL, write_l1csr },
    { SPR_MMUCSR0, 1, SUPER, ISA_E500, NULL, write_mmucsr0 },
    { SPR_BUCSR, 1, SUPER, ISA_E500, NULL, write_bucsr },
    { SPR_MMUCFG, 1, SUPER_READ, ISA_E500 },
    { SPR_SVR, 1, SUPER, ISA_E500, NULL, ignore },
};
const size_t ppc_booke_sprs_count = G_N_ELEMENTS(ppc_booke_sprs);
