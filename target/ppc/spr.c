/* Special purpose registers: which there are, who may touch them, what happens then. */
#include "target/ppc/spr.h"

#include <inttypes.h>
#include <stdatomic.h>
#include "util/bits.h"
#include "util/log.h"

static void ignore(PpcState *s, unsigned n, uint64_t value)
{
}

static uint64_t read_xer(PpcState *s, unsigned n)
{
    return ppc_get_xer(s);
}

static void write_xer(PpcState *s, unsigned n, uint64_t value)
{
    ppc_set_xer(s, value);
}

static uint64_t read_tb(PpcState *s, unsigned n)
{
    return ppc_isa(s, ISA_64) ? ppc_tb(s) : (uint32_t)ppc_tb(s);
}

static uint64_t read_tbu(PpcState *s, unsigned n)
{
    return ppc_tb(s) >> 32;
}

static void write_tbl(PpcState *s, unsigned n, uint64_t value)
{
    ppc_tb_set(s, (ppc_tb(s) & ~(uint64_t)UINT32_MAX) | (uint32_t)value);
}

static void write_tbu(PpcState *s, unsigned n, uint64_t value)
{
    ppc_tb_set(s, (ppc_tb(s) & UINT32_MAX) | value << 32);
}

static void write_tbu40(PpcState *s, unsigned n, uint64_t value)
{
    ppc_tb_set(s, (ppc_tb(s) & 0xffffff) | (value & ~UINT64_C(0xffffff)));
}

static uint64_t read_dec(PpcState *s, unsigned n)
{
    return ppc_dec_read(s);
}

static void write_dec(PpcState *s, unsigned n, uint64_t value)
{
    ppc_dec_write(s, value);
}

static uint64_t read_hdec(PpcState *s, unsigned n)
{
    return ppc_hdec_read(s);
}

static void write_hdec(PpcState *s, unsigned n, uint64_t value)
{
    ppc_hdec_write(s, value);
}

static uint64_t read_sprg3_user(PpcState *s, unsigned n)
{
    return s->spr[SPR_SPRG3];
}

static uint64_t read_vrsave(PpcState *s, unsigned n)
{
    return s->vrsave;
}

static void write_vrsave(PpcState *s, unsigned n, uint64_t value)
{
    s->vrsave = value;
}

/* Another name of a register, for user programs. */
static uint64_t read_amr_user(PpcState *s, unsigned n)
{
    return s->spr[SPR_AMR];
}

/* The keys that have one of these bits of AMR or IAMR. */
static uint32_t keys_with(uint64_t bits)
{
    uint32_t keys = 0;

    for (unsigned key = 0; key < 32; key++) {
        keys |= (uint32_t)((bits >> (62 - 2 * key) & 3) != 0) << key;
    }
    return keys;
}

/*
 * Storage keys, which the engine's entries of hashed pages have been made with. What is allowed newly, it will ask for. Key 0 of radix
 * trees is a matter of MMU modes.
 */
static void write_keys(PpcState *s, unsigned n, uint64_t value)
{
    uint64_t denied = value & ~s->spr[n];

    s->spr[n] = value;
    if (n == SPR_AMR && s->model->mmu == PPC_MMU_RADIX) {
        ppc_keys_changed(s);
    }
    if (s->keys_used && keys_with(denied) & s->keys_used) {
        s->keys_used = 0;
        engine.flush_all(s->hot.cpu);
    }
}

uint64_t ppc_helper_mtamr(PpcState *s, uint64_t value, uint64_t b, uint64_t c, uint64_t d)
{
    s->spr[SPR_AMR] = value;
    ppc_keys_changed(s);
    return 0;
}

/* Under radix it is whether privileged state executes problem state's pages. */
static void write_iamr(PpcState *s, unsigned n, uint64_t value)
{
    if (ppc_radix_on(s) && s->spr[n] != value) {
        engine.flush_all(s->hot.cpu);
    }
    write_keys(s, n, value);
}

/* Problem state changes the keys that UAMOR leaves to it (Book III, 5.7.9.1). */
static void write_amr_user(PpcState *s, unsigned n, uint64_t value)
{
    uint64_t mask = s->msr & MSR_PR ? s->spr[SPR_UAMOR] : UINT64_MAX;

    write_keys(s, SPR_AMR, (s->spr[SPR_AMR] & ~mask) | (value & mask));
}

static uint64_t read_dscr_user(PpcState *s, unsigned n)
{
    return s->spr[SPR_DSCR];
}

static void write_dscr_user(PpcState *s, unsigned n, uint64_t value)
{
    s->spr[SPR_DSCR] = value;
}

static void write_sdr1(PpcState *s, unsigned n, uint64_t value)
{
    if (s->spr[n] != value) {
        s->spr[n] = value;
        engine.flush_all(s->hot.cpu);
        ppc_forget_uncached(s); /* of another operating system's mappings */
    }
}

/* What address translation derives from: the address space is another one then, or all entries are wrong. */
void ppc_spr_write_translation(PpcState *s, unsigned n, uint64_t value)
{
    if (s->spr[n] != value) {
        s->spr[n] = value;
        s->sr_changed = s->bats_changed = true;
        ppc_context_sync(s);
    }
}

static void write_and_flush(PpcState *s, unsigned n, uint64_t value)
{
    if (s->spr[n] != value) {
        s->spr[n] = value;
        engine.flush_all(s->hot.cpu);
        ppc_update_mode(s);
    }
}

static void write_mode(PpcState *s, unsigned n, uint64_t value)
{
    s->spr[n] = value;
    ppc_update_mode(s);
}

static void write_fscr(PpcState *s, unsigned n, uint64_t value)
{
    write_mode(s, n, value);
    ppc_ebb_update(s);
}

static void write_watch(PpcState *s, unsigned n, uint64_t value)
{
    s->spr[n] = value;
    ppc_watches_update(s);
}

/* L2CR: an invalidation that has begun is done at once. */
static void write_l2cr(PpcState *s, unsigned n, uint64_t value)
{
    enum { L2I = 0x00200000, L2IP = 1 };

    s->spr[n] = value & ~(uint64_t)(L2I | L2IP);
}

/* HID0: cache flash invalidations (ICFI, DCFI) reset themselves on some. */
static void write_hid0(PpcState *s, unsigned n, uint64_t value)
{
    enum { HIGH_BAT_EN = 0x00800000 };

    if (ppc_isa(s, ISA_7450) && ((s->spr[n] ^ value) & HIGH_BAT_EN)) {
        engine.flush_all(s->hot.cpu);
    }
    s->spr[n] = ppc_isa(s, ISA_64) ? value : value & ~(uint64_t)0xc00;
    ppc_caches_changed(s);
}

/* POWER5 on: PURR and SPURR count with the time base. */
static uint64_t read_purr(PpcState *s, unsigned n)
{
    return s->spr[n] + ppc_tb(s);
}

static void write_purr(PpcState *s, unsigned n, uint64_t value)
{
    s->spr[n] = value - ppc_tb(s);
}

/* The processor is the only thread of its core: that is the last bit. */
static uint64_t read_dpdes(PpcState *s, unsigned n)
{
    return (atomic_load(&s->pending) & PPC_INT_DOORBELL) != 0;
}

static void write_dpdes(PpcState *s, unsigned n, uint64_t value)
{
    ppc_set_interrupt(s->hot.cpu, PPC_INT_DOORBELL, value & 1);
    ppc_poll_interrupts(s);
}

static void write_ctrl(PpcState *s, unsigned n, uint64_t value)
{
    s->spr[SPR_CTRL] = value & 1;
}

static uint64_t read_ctrl(PpcState *s, unsigned n)
{
    return s->spr[SPR_CTRL];
}

static const SprRow rows[] = {
    { SPR_XER, 1, USER, ISA_ALL, read_xer, write_xer },
    { SPR_DSCR_USER, 1, USER, ISA_V206, read_dscr_user, write_dscr_user },
    { SPR_AMR_USER, 1, USER, ISA_V206, read_amr_user, write_amr_user },
    { SPR_DSCR, 1, SUPER, ISA_V206 },
    { SPR_DSISR, 2, SUPER, ISA_CLASSIC | ISA_64 },
    { SPR_DEC, 1, SUPER, ISA_ALL, read_dec, write_dec },
    { SPR_SDR1, 1, SUPER, ISA_CLASSIC | ISA_64, NULL, write_sdr1 },
    { SPR_SRR0, 2, SUPER, ISA_ALL },
    { SPR_CFAR, 1, SUPER, ISA_V205 },
    { SPR_AMR, 1, SUPER, ISA_V206, NULL, write_keys },
    { SPR_PID, 1, SUPER, ISA_V300 | ISA_BOOKE, NULL, ppc_spr_write_translation },
    { SPR_IAMR, 1, SUPER, ISA_V207, NULL, write_iamr },
    { SPR_CTRL_READ, 1, READ, ISA_64, read_ctrl },
    { SPR_CTRL, 1, SUPER, ISA_64, NULL, write_ctrl },
    { SPR_FSCR, 1, SUPER, ISA_V207, NULL, write_fscr },
    { SPR_UAMOR, 1, SUPER, ISA_V206 },
    { SPR_PSPB, 1, SUPER, ISA_V207 },
    { SPR_DPDES, 1, SUPER, ISA_V207, read_dpdes, write_dpdes },
    { SPR_DAWR0, 1, SUPER, ISA_V207, NULL, write_watch },
    { SPR_DAWR1, 1, SUPER, ISA_V310, NULL, write_watch },
    { 186, 1, SUPER, ISA_V207 }, /* RPR */
    { SPR_CIABR, 1, SUPER, ISA_V207, NULL, write_mode },
    { SPR_DAWRX0, 1, SUPER, ISA_V207, NULL, write_watch },
    { SPR_DAWRX1, 1, SUPER, ISA_V310, NULL, write_watch },
    { 190, 1, HYPER, ISA_V207 }, /* HFSCR */
    { SPR_VRSAVE, 1, USER, ISA_ALTIVEC, read_vrsave, write_vrsave },
    { SPR_SPRG3_USER, 1, UR | SR, ISA_64, read_sprg3_user },
    { SPR_TBL_USER, 1, READ, ISA_ALL, read_tb },
    { SPR_TBU_USER, 1, READ, ISA_ALL, read_tbu },
    { SPR_SPRG0, 4, SUPER, ISA_ALL },
    { SPR_SPRG4, 4, SUPER, ISA_BOOKE | ISA_602TLB | ISA_7450 },
    { SPR_ASR, 1, SUPER, ISA_970 },
    { SPR_HIOR, 1, SUPER, ISA_970 },
    { SPR_EAR, 1, SUPER, ISA_ECIWX },
    { SPR_TBL, 1, SUPER, ISA_ALL, read_tb, write_tbl },
    { SPR_TBU, 1, SUPER, ISA_ALL, read_tbu, write_tbu },
    { SPR_TBU40, 1, SUPER, ISA_V206, read_tb, write_tbu40 },
    { SPR_PVR, 1, SUPER, ISA_ALL, NULL, ignore },
    { SPR_HSPRG0, 2, HYPER, ISA_HV },
    { SPR_HDSISR, 2, HYPER, ISA_HV },
    { SPR_SPURR, 2, SUPER, ISA_V202, read_purr, write_purr },
    { SPR_HDEC, 1, HYPER, ISA_HV, read_hdec, write_hdec },
    { SPR_RMOR, 4, HYPER, ISA_HV },
    { SPR_LPCR, 1, HYPER, ISA_HV, NULL, write_and_flush },
    { SPR_LPIDR, 1, HYPER, ISA_HV, NULL, ppc_spr_write_translation },
    { SPR_HMER, 4, HYPER, ISA_V206 },
    { SPR_AMOR, 1, HYPER, ISA_V206 },
    { SPR_TIR, 1, SUPER_READ, ISA_V207 },
    { SPR_PTCR, 1, HYPER, ISA_V300, NULL, write_and_flush },
    { SPR_IBAT0U, 16, SUPER, ISA_CLASSIC, NULL, ppc_spr_write_translation },
    { SPR_IBAT4U, 8, SUPER, ISA_7450, NULL, ppc_spr_write_translation },
    { SPR_DBAT4U, 8, SUPER, ISA_7450, NULL, ppc_spr_write_translation },
    /* Performance monitor of the servers: user and supervisor names. */
    { 768, 1, READ, ISA_V206, ppc_pmu_read_user }, { 769, 11, READ, ISA_64, ppc_pmu_read_user }, { 780, 4, READ, ISA_64, ppc_pmu_read_user },
    { SPR_SIER, 1, SUPER, ISA_V206, ppc_pmu_read, ppc_pmu_write }, { 785, 11, SUPER, ISA_64, ppc_pmu_read, ppc_pmu_write },
    { 796, 4, SUPER, ISA_64, ppc_pmu_read, ppc_pmu_write },
    { 736, 3, READ, ISA_V310, ppc_pmu_read_user }, { 752, 3, SUPER, ISA_V310 }, /* SIER2, SIER3, MMCR3 */
    /* MMCR2, MMCRA, counters and MMCR0. */
    { 769, 8, USER, ISA_V207, ppc_pmu_read_user, ppc_pmu_write_user }, { 779, 1, USER, ISA_V207, ppc_pmu_read_user, ppc_pmu_write_user },
    { SPR_BESCRS, 4, USER, ISA_V207, ppc_bescr_read, ppc_bescr_write }, { SPR_EBBHR, 2, USER, ISA_V207 },
    { SPR_BESCR, 1, USER, ISA_V207, NULL, ppc_bescr_write },
    { 812, 1, READ, ISA_V310 }, { 828, 1, SUPER, ISA_V310, NULL, ignore }, /* DEXCR, which has no aspects */
    { SPR_TAR, 1, USER, ISA_V207 },
    { 848, 1, SUPER, ISA_V207 }, /* IC */
    { 849, 1, SUPER, ISA_V207 }, /* VTB */
    { SPR_PPR, 1, USER, ISA_V205 },
    { 898, 1, USER, ISA_V206 }, /* PPR32 */
    /* The same of the 7xx and 74xx. */
    { SPR_UMMCR2, 3, READ, ISA_CLASSIC, ppc_pmu_read_user }, { 935, 9, READ, ISA_CLASSIC, ppc_pmu_read_user },
    { 944, 3, SUPER, ISA_CLASSIC, ppc_pmu_read, ppc_pmu_write }, { 951, 9, SUPER, ISA_CLASSIC, ppc_pmu_read, ppc_pmu_write },
    { SPR_DMISS, 1, SUPER, ISA_602TLB | ISA_7450 }, { SPR_DCMP, 3, SUPER, ISA_602TLB | ISA_7450 },
    { SPR_IMISS, 3, SUPER, ISA_602TLB | ISA_7450 },
    { SPR_HID0, 1, SUPER, ISA_ALL, NULL, write_hid0 },
    { SPR_HID1, 1, SUPER, ISA_ALL },
    { SPR_IABR, 1, SUPER, ISA_CLASSIC | ISA_64, NULL, write_mode },
    { 1011, 1, SUPER, ISA_CLASSIC | ISA_64 }, /* ICTRL, HID2 */
    { SPR_HID4, 1, SUPER, ISA_CLASSIC | ISA_64 },
    { SPR_DABR, 1, SUPER, ISA_CLASSIC | ISA_64, NULL, write_watch },
    { SPR_MSSCR0, 1, SUPER, ISA_CLASSIC | ISA_64, NULL, write_mode }, /* HID5 of the 970 */
    { SPR_MSSCR0 + 1, 2, SUPER, ISA_CLASSIC | ISA_64 },
    { SPR_L2CR, 1, SUPER, ISA_CLASSIC, NULL, write_l2cr },
    { 1018, 1, SUPER, ISA_CLASSIC, NULL, write_l2cr }, /* L3CR */
    { SPR_ICTC, 4, SUPER, ISA_CLASSIC },
    { SPR_PIR, 1, SUPER, ISA_ALL },
};

typedef struct Spr {
    uint8_t access;
    ReadSpr *read;
    WriteSpr *write;
} Spr;

/* Of the processor's family; one machine has one kind of CPU. */
static Spr sprs[1024];
static const PpcModel *sprs_of;

static void add_rows(const PpcModel *model, const SprRow *row, size_t count)
{
    for (; count--; row++) {
        for (unsigned n = row->first; n < row->first + row->count; n++) {
            if (row->isa == ISA_ALL || (row->isa & model->isa)) {
                sprs[n] = (Spr){ row->access, row->read, row->write };
            }
        }
    }
}

void ppc_sprs_init(const PpcModel *model)
{
    if (sprs_of == model) {
        return;
    }
    sprs_of = model;
    memset(sprs, 0, sizeof(sprs));
    add_rows(model, rows, G_N_ELEMENTS(rows));
    add_rows(model, ppc_booke_sprs, ppc_booke_sprs_count);
}

void ppc_spr_reset(PpcState *s)
{
    memset(s->spr, 0, sizeof(s->spr));
    s->spr[SPR_PVR] = s->model->pvr;
    s->spr[SPR_PIR] = s->hot.cpu->index;
    s->spr[SPR_CTRL] = 1;
    if (ppc_isa(s, ISA_V206)) {
        s->spr[SPR_MMCR0] = 0x80000000; /* FC */
    }
    if (ppc_isa(s, ISA_V207)) {
        s->spr[SPR_FSCR] = 0x180; /* TAR and EBB; the rest is the operating system's */
    }
}

/* The access that the current state asks for, of a register that is there. */
static bool allowed(const PpcState *s, unsigned access, bool write)
{
    unsigned needs = s->msr & MSR_PR ? (write ? UW : UR) : (write ? SW : SR);

    if (access & needs) {
        return true;
    }
    return !(s->msr & MSR_PR) && (access & (write ? HW : HR)) && ((s->msr & MSR_HV) || !ppc_isa(s, ISA_HV));
}

bool ppc_spr_is_user_pmu(unsigned n)
{
    return (n >= 736 && n <= 738) || (n >= 768 && n <= 782);
}

/* The facility that a register belongs to and that FSCR may keep from problem state; 0: none. */
static unsigned facility_of(unsigned n)
{
    return n == SPR_DSCR_USER ? FACILITY_DSCR : n == SPR_TAR ? FACILITY_TAR : n >= SPR_BESCRS && n <= SPR_BESCR ? FACILITY_EBB : 0;
}

bool ppc_spr_is_plain(uint64_t mode, const PpcModel *model, unsigned n, bool write)
{
    const Spr *spr = &sprs[n & 1023];
    unsigned needs = mode & MODE_PR ? (write ? UW : UR) : (write ? SW : SR);

    if (mode & MODE_HV || (!(mode & MODE_PR) && !(model->isa & ISA_HV))) {
        needs |= mode & MODE_PR ? 0 : write ? HW : HR;
    }
    if (mode & MODE_PR && model->isa & ISA_V207 && facility_of(n)) { /* FSCR says whether */
        return false;
    }
    return (spr->access & needs) && !(write ? (void *)spr->write : (void *)spr->read);
}

/*
 * Power ISA 2.07 and 3.0, Book III, 4.4.4: what is not there, and what is the hypervisor's, is not done in privileged state, but for a few
 * numbers that always raise (here, where the hypervisor is the board, what it would make of it: a program interrupt). Four numbers are
 * reserved for being nothing at all. The 970 is here as Linux reads a few that it lacks.
 */
bool ppc_spr_is_noop(uint64_t mode, const PpcModel *model, unsigned n, bool write)
{
    enum { NOTHING_FIRST = 808, NOTHING_LAST = 811 };
    unsigned access = sprs[n & 1023].access;

    if (model->isa & ISA_V207 && n >= NOTHING_FIRST && n <= NOTHING_LAST) {
        return true;
    }
    if (mode & MODE_PR || !(model->isa & (ISA_V206 | ISA_970)) || n == 0 || (!write && n >= 4 && n <= 6)) {
        return false;
    }
    return !(access & (write ? SW : SR)) && !(access & (write ? HW : HR) && (mode & MODE_HV || !(model->isa & ISA_HV)));
}

/* A register that is not there, or not for this state. */
static void refuse(PpcState *s, unsigned n, bool write, uintptr_t retaddr)
{
    if ((s->msr & MSR_PR) && (n & 16)) {
        ppc_program(s, PROGRAM_PRIVILEGED, retaddr);
    }
    if (!(s->msr & MSR_PR)) {
        log_if(LOG_GUEST_ERRORS, "%s of SPR %u, which the %s does not have, at %" PRIx64 "\n", write ? "write" : "read", n,
               s->model->name, s->pc);
    }
    ppc_program(s, PROGRAM_ILLEGAL, retaddr);
}

/* What keeps a register from problem state: raised. */
static void check_facility(PpcState *s, unsigned n, bool write, uintptr_t retaddr)
{
    unsigned facility = facility_of(n);

    if (!(s->msr & MSR_PR) || !ppc_isa(s, ISA_V207)) {
        return;
    }
    if (facility && !(s->spr[SPR_FSCR] >> facility & 1)) {
        ppc_facility_unavailable(s, facility, retaddr);
    }
    if (ppc_spr_is_user_pmu(n)) {
        PpcPmuAccess access = ppc_pmu_access(s, n, write);

        if (access == PMU_UNAVAILABLE) {
            ppc_facility_unavailable(s, FACILITY_PMU, retaddr);
        } else if (access == PMU_REFUSED) {
            refuse(s, n, write, retaddr);
        }
    }
}

uint64_t ppc_helper_mfspr(PpcState *s, uint64_t n, uint64_t b, uint64_t c, uint64_t d)
{
    const Spr *spr = &sprs[n & 1023];

    if (!allowed(s, spr->access, false)) {
        refuse(s, n, false, tcg_caller_pc(s));
        return 0;
    }
    check_facility(s, n, false, tcg_caller_pc(s));
    return spr->read ? spr->read(s, n) : s->spr[n];
}

uint64_t ppc_helper_mtspr(PpcState *s, uint64_t n, uint64_t value, uint64_t c, uint64_t d)
{
    const Spr *spr = &sprs[n & 1023];

    if (!allowed(s, spr->access, true)) {
        refuse(s, n, true, tcg_caller_pc(s));
        return 0;
    }
    check_facility(s, n, true, tcg_caller_pc(s));
    value = ppc_isa(s, ISA_64) ? value : (uint32_t)value;
    if (spr->write) {
        spr->write(s, n, value);
    } else {
        s->spr[n] = value;
    }
    return 0;
}
