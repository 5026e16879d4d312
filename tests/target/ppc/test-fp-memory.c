/*
 * Random loops of floating point between loads and stores, with a short loop within: accesses near the ends of pages, to pages that are read-only or not there, with
 * numbers that the host leaves to helpers. What registers, FPSCR and memory have in the end is what a few lines here say.
 */
#include "tests/target/ppc/rig.h"

#include "core/lock.h"
#include "target/ppc/vec_ops.h"
#include "util/bits.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { DATA = 0x3e000, MIDDLE = 0x40000, PAGE = 0x1000, PAGES = 6, AT_DEVICE = 3, READ_ONLY = 4, HOLE = 5, SIZE = PAGES * PAGE };
enum { PROGRAMS = 400, MOST = 44, FPRS = 12, GPRS = 13, POINTER = 4, POINTERS = 4, COUNTER = 8, WORD = 9, INNER = 11, TRIPS = 5, XX = 6, MOST_MOVED = 3000 };

typedef enum Kind { LFD, LFDU, LFDX, LFS, STFD, STFDU, LXV, STXV, LOAD, STORE, ADD_TO, SET_TO, COUNT_DOWN, LEAVE_IF, MFFS, SET_INNER, INNER_END, OPS } Kind;

typedef struct Op {
    PpcFpExec *exec;
    uint32_t word; /* without registers */
    bool b, c;     /* which it has beside a */
    bool is_vector;
} Op;

static const Op ops[] = {
    { ppc_exec_fadd, X_(63, 0, 0, 0, 21), true, false },  { ppc_exec_fsub, X_(63, 0, 0, 0, 20), true, false },
    { ppc_exec_fmul, X_(63, 0, 0, 0, 25), false, true },  { ppc_exec_fdiv, X_(63, 0, 0, 0, 18), true, false },
    { ppc_exec_fmadd, X_(63, 0, 0, 0, 29), true, true },  { ppc_exec_fmsub, X_(63, 0, 0, 0, 28), true, true },
    { ppc_exec_fnmadd, X_(63, 0, 0, 0, 31), true, true }, { ppc_exec_fnmsub, X_(63, 0, 0, 0, 30), true, true },
    { ppc_exec_fadds, X_(59, 0, 0, 0, 21), true, false }, { ppc_exec_fmadds, X_(59, 0, 0, 0, 29), true, true },
    { ppc_exec_fneg, X_(63, 0, 0, 0, 40), true, false },  { ppc_exec_fmr, X_(63, 0, 0, 0, 72), true, false },
    { ppc_exec_xvadddp, 60u << 26 | 96 << 3, true, false, true }, { ppc_exec_xvmaddadp, 60u << 26 | 97 << 3, true, false, true },
};

typedef struct Insn {
    unsigned kind; /* Kind, or OPS and more */
    unsigned t, a, b, c;
    int imm;
    uint32_t word;
} Insn;

typedef struct Machine {
    uint64_t gpr[GPRS];
    uint8_t data[SIZE];
    PpcState *fp;
} Machine;

static bool has_faults, has_device, has_vectors, is_le;

static int below(GRand *rand, int n)
{
    return g_rand_int_range(rand, 0, n);
}

static uint64_t number(GRand *rand)
{
    static const uint64_t others[] = {
        0, UINT64_C(0x7ff0000000000000), UINT64_C(0x7ff8000000000123), UINT64_C(0x7ff0000000000456), 1,
        UINT64_C(0x0010000000000000), UINT64_C(0x7fefffffffffffff), UINT64_C(0x000fffffffffffff)
    };
    uint64_t m = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand), sign = m & UINT64_C(1) << 63;

    if (!below(rand, 60)) {
        return sign | others[below(rand, G_N_ELEMENTS(others))];
    }
    return sign | (m & ((UINT64_C(1) << 52) - 1)) | (uint64_t)(1023 + g_rand_int_range(rand, -8, 8)) << 52;
}

static uint32_t encode(const Insn *in)
{
    switch (in->kind) {
    case LFD: return D_(50, in->t, in->a, in->imm);
    case LFDU: return D_(51, in->t, in->a, in->imm);
    case LFDX: return X_(31, in->t, in->a, in->b, 599);
    case LFS: return D_(48, in->t, in->a, in->imm);
    case STFD: return D_(54, in->t, in->a, in->imm);
    case STFDU: return D_(55, in->t, in->a, in->imm);
    case LXV: return D_(61, in->t, in->a, in->imm) | 1;
    case STXV: return D_(61, in->t, in->a, in->imm) | 5;
    case LOAD: return LWZ(in->t, in->imm, in->a);
    case STORE: return STW(in->t, in->imm, in->a);
    case ADD_TO: return ADDI(in->t, in->a, in->imm);
    case SET_TO: return LIS(in->t, MIDDLE >> 16);
    case COUNT_DOWN: return ADDI(COUNTER, COUNTER, -1);
    case LEAVE_IF: return D_(11, 0, COUNTER, in->imm);
    case MFFS: return X_(63, in->t, 0, 0, 583);
    case SET_INNER: return LI(INNER, in->imm);
    case INNER_END: return ADDI(INNER, INNER, -1);
    default: {
        const Op *op = &ops[in->kind - OPS];

        return op->word | in->t << 21 | in->a << 16 | (op->b ? in->b << 11 : 0) | (op->c ? in->c << 6 : 0);
    }
    }
}

static Insn make_one(GRand *rand)
{
    unsigned kind = below(rand, 2) ? OPS + below(rand, G_N_ELEMENTS(ops)) : (unsigned)below(rand, SET_INNER);
    Insn in = { .kind = kind, .t = below(rand, FPRS), .a = below(rand, FPRS), .b = below(rand, FPRS), .c = below(rand, FPRS) };

    if (kind >= OPS && ops[kind - OPS].is_vector && !has_vectors) {
        in.kind = OPS;
    }
    if (kind < OPS) {
        in.a = POINTER + below(rand, POINTERS);
        in.b = 12; /* zero, or little */
        in.imm = 4 * g_rand_int_range(rand, -6, 12) + (below(rand, 20) ? 0 : 3);
        if (!has_vectors && (kind == LXV || kind == STXV)) {
            in.kind = LFD;
        } else if (kind == LXV || kind == STXV) {
            in.imm = 16 * g_rand_int_range(rand, -2, 4);
        } else if (kind == LOAD || kind == STORE) {
            in.t = WORD + below(rand, 2);
        } else if (kind == ADD_TO) {
            in.t = in.a;
            in.imm = 4 * g_rand_int_range(rand, -2, 3);
        } else if (kind == SET_TO && below(rand, 2)) {
            in.t = in.a;
        } else if (kind == SET_TO) {
            in.kind = COUNT_DOWN;
        } else if (kind == LEAVE_IF) {
            in.imm = g_rand_int_range(rand, -4, 4);
        } else if (kind == MFFS && !below(rand, 2)) {
            in.kind = LFD;
        } else if (kind == LFDU || kind == STFDU) {
            in.imm = below(rand, 3) ? 8 : -8;
        }
    }
    in.word = encode(&in);
    return in;
}

static uint64_t widen(uint32_t single)
{
    union { uint32_t i; float f; } from = { single };
    union { double d; uint64_t i; } to;

    if (isnan(from.f)) {
        return (uint64_t)(single >> 31) << 63 | UINT64_C(0x7ff) << 52 | (uint64_t)(single & 0x7fffff) << 29;
    }
    to.d = from.f;
    return to.i;
}

/* False: it faults. */
static bool may_access(uint64_t addr, unsigned size, bool is_store)
{
    uint64_t last = addr + size - 1;

    for (uint64_t page = addr / PAGE; page <= last / PAGE; page++) {
        if (has_faults && (page == DATA / PAGE + HOLE || (is_store && page == DATA / PAGE + READ_ONLY))) {
            return false;
        }
    }
    return true;
}

static uint64_t load(const Machine *m, uint64_t addr, unsigned size)
{
    const uint8_t *at = m->data + (addr - DATA);

    return size == 8 ? (is_le ? load_le64(at) : load_be64(at)) : is_le ? load_le32(at) : load_be32(at);
}

static void store(Machine *m, uint64_t addr, uint64_t value, unsigned size)
{
    uint8_t *at = m->data + (addr - DATA);

    if (size == 8) {
        is_le ? store_le64(at, value) : store_be64(at, value);
    } else {
        is_le ? store_le32(at, value) : store_be32(at, value);
    }
}

static void put_fpr(Machine *m, unsigned t, uint64_t value)
{
    m->fp->vsr[t][0] = value;
    m->fp->vsr[t][1] = 0;
}

enum { FAULTS = -1, LEAVES = 1, GOES_BACK, GETS_LOST };

static int step(Machine *m, const Insn *in)
{
    uint64_t addr = m->gpr[in->a] + (in->kind == LFDX ? (int64_t)m->gpr[in->b] : in->imm);
    bool is_store = in->kind == STFD || in->kind == STFDU || in->kind == STXV || in->kind == STORE;
    unsigned size = in->kind == LXV || in->kind == STXV ? 16 : in->kind == LFS || in->kind == LOAD || in->kind == STORE ? 4 : 8;

    if (in->kind <= STORE && (addr < DATA || addr + size > DATA + SIZE)) {
        return GETS_LOST;
    }
    if (in->kind <= STORE && !may_access(addr, size, is_store)) {
        return FAULTS;
    }
    switch (in->kind) {
    case LFD:
    case LFDX: put_fpr(m, in->t, load(m, addr, 8)); break;
    case LFDU: put_fpr(m, in->t, load(m, m->gpr[in->a] = addr, 8)); break;
    case LFS: put_fpr(m, in->t, widen(load(m, addr, 4))); break;
    case LXV: m->fp->vsr[in->t][is_le] = load(m, addr, 8); m->fp->vsr[in->t][!is_le] = load(m, addr + 8, 8); break;
    case STXV: store(m, addr, m->fp->vsr[in->t][is_le], 8); store(m, addr + 8, m->fp->vsr[in->t][!is_le], 8); break;
    case STFD: store(m, addr, m->fp->vsr[in->t][0], 8); break;
    case STFDU: store(m, m->gpr[in->a] = addr, m->fp->vsr[in->t][0], 8); break;
    case LOAD: m->gpr[in->t] = load(m, addr, 4); break;
    case STORE: store(m, addr, m->gpr[in->t], 4); break;
    case ADD_TO: m->gpr[in->t] = addr; break;
    case SET_TO: m->gpr[in->t] = MIDDLE; break;
    case COUNT_DOWN: m->gpr[COUNTER]--; break;
    case LEAVE_IF: return (int64_t)m->gpr[COUNTER] == in->imm ? LEAVES : 0;
    case MFFS: put_fpr(m, in->t, m->fp->fpscr); break;
    case SET_INNER: m->gpr[INNER] = in->imm; break;
    case INNER_END: return --m->gpr[INNER] ? GOES_BACK : 0;
    default:
        ops[in->kind - OPS].exec(m->fp, in->word);
        if (!ops[in->kind - OPS].is_vector) {
            m->fp->vsr[in->t][1] = 0;
        }
    }
    return 0;
}

/* As in test-fp-read.c, but for two pages. */
static void map_memory(void)
{
    enum { PROCESSES = 0x200000, TREE = 0x400000, RIGHTS = 0x187, NO_STORES = 0x185, BITS = 19, MAPPED = 128, HR = 1 << 20 };

    store_be64(rig_ram + PROCESSES, TREE | BITS);
    for (unsigned page = 0; page < MAPPED; page++) {
        unsigned rights = page == DATA / PAGE + READ_ONLY ? NO_STORES : RIGHTS;

        store_be64(rig_ram + TREE + 8 * page, page == DATA / PAGE + HOLE ? 0 : UINT64_C(3) << 62 | page << 12 | rights);
    }
    rig_state->spr[SPR_PTCR] = PROCESSES;
    rig_state->spr[SPR_LPCR] |= HR;
    rig_cpu->type->replaced(rig_cpu);
}

static uint64_t pointer(GRand *rand)
{
    int page = has_faults ? 1 + below(rand, below(rand, 4) ? 3 : PAGES - 1) : 1 + below(rand, PAGES - 2);
    int at = below(rand, 3) ? 4 * g_rand_int_range(rand, -40, 40) : below(rand, PAGE / 8) * 8;

    return CLAMP(DATA + page * PAGE + at, DATA + MOST_MOVED, DATA + SIZE - MOST_MOVED);
}

/* A device whose code uses vector registers, as any C may. */
enum { DEVICE = 0x2000000 };

static Region *in_the_way; /* it has what lies there */

static void spoil(void)
{
#define ONES(n) __asm__ volatile("pcmpeqd %%xmm" #n ", %%xmm" #n ::: "xmm" #n)
    ONES(0); ONES(1); ONES(2); ONES(3); ONES(4); ONES(5); ONES(6); ONES(7);
    ONES(8); ONES(9); ONES(10); ONES(11); ONES(12); ONES(13); ONES(14); ONES(15);
#undef ONES
}

static uint64_t device_read(void *opaque, PhysAddr offset, unsigned size)
{
    const uint8_t *at = opaque ? rig_ram + DATA + AT_DEVICE * PAGE + offset : NULL;

    spoil();
    return !at ? 1 : size == 8 ? load_be64(at) : size == 4 ? load_be32(at) : size == 2 ? load_be16(at) : *at;
}

static void device_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    uint8_t *at = rig_ram + DATA + AT_DEVICE * PAGE + offset;

    spoil();
    for (unsigned i = 0; opaque && i < size; i++) {
        at[i] = value >> 8 * (size - 1 - i);
    }
}

static void add_devices(void)
{
    static const RegionOps device = { .read = device_read, .write = device_write, .min_size = 1, .max_size = 8, .endian = ENDIAN_BIG };

    machine_lock();
    region_add(memory_system_root(), DEVICE, region_new_io("device", &device, NULL, PAGE));
    in_the_way = region_new_io("in the way", &device, rig_ram, PAGE);
    region_add_overlap(memory_system_root(), DATA + AT_DEVICE * PAGE, in_the_way, 1);
    machine_unlock();
}

static void begin(GRand *rand, Machine *m)
{
    machine_lock();
    region_set_enabled(in_the_way, has_device);
    machine_unlock();
    rig_reset(MSR_FP | MSR_PR | (has_vectors ? MSR_VSX : 0) | (is_le ? MSR_LE : 0));
    if (has_faults) {
        map_memory();
    }
    store_be32(rig_ram + 0x700, RIG_END);
    store_be32(rig_ram + 0x300, RIG_END);
    for (unsigned i = 0; i < SIZE / 8; i++) {
        store(m, DATA + 8 * i, number(rand), 8);
    }
    memcpy(rig_ram + DATA, m->data, SIZE);
    for (unsigned k = 0; k < POINTERS; k++) {
        m->gpr[POINTER + k] = pointer(rand);
    }
    m->gpr[COUNTER] = TRIPS - 1;
    m->gpr[WORD] = m->gpr[WORD + 1] = 0x3ff00000;
    m->gpr[INNER] = 1;
    m->gpr[12] = 8 * g_rand_int_range(rand, 0, 3);
    for (unsigned k = 0; k < FPRS; k++) {
        m->fp->vsr[k][0] = rig_state->vsr[k][0] = number(rand);
    }
    for (unsigned k = POINTER; k < GPRS; k++) {
        rig_state->gpr[k] = m->gpr[k];
    }
    m->fp->fpscr = FPSCR_FX | FPSCR_XX;
    rig_state->ctr = TRIPS;
}

static void check_end(const Machine *m, int how, uint32_t at)
{
    enum { STATUS_OF_LAST = FPSCR_FPRF | FPSCR_FR | FPSCR_FI };

    g_assert_cmphex(rig_state->spr[SPR_SRR0], ==, how < 0 ? at : rig_state->spr[SPR_SRR0]);
    for (unsigned k = POINTER; k < GPRS; k++) {
        g_assert_cmphex(rig_state->gpr[k], ==, ppc_is_64bit(rig_cpu) ? m->gpr[k] : (uint32_t)m->gpr[k]);
    }
    for (unsigned k = 0; k < FPRS; k++) {
        g_assert_cmphex(rig_state->vsr[k][0], ==, m->fp->vsr[k][0]);
        g_assert_cmphex(rig_state->vsr[k][1], ==, has_vectors ? m->fp->vsr[k][1] : rig_state->vsr[k][1]);
    }
    if (how >= 0) {
        g_assert_cmphex(rig_state->vsr[31][0], ==, m->fp->fpscr);
    } else {
        g_assert_cmphex(rig_state->fpscr & ~(uint64_t)STATUS_OF_LAST, ==, m->fp->fpscr & ~(uint64_t)STATUS_OF_LAST);
    }
    for (unsigned i = 0; i < SIZE; i++) {
        if (rig_ram[DATA + i] != m->data[i]) {
            g_error("%x: %02x, not %02x", DATA + i, rig_ram[DATA + i], m->data[i]);
        }
    }
}

static unsigned n_faults, n_leaves;

/* Some of them are gone through a few times. */
static void add_inner_loop(GRand *rand, Insn *insns, unsigned n)
{
    enum { LONGEST = 14 };
    unsigned first = below(rand, n - 2), length = 2 + below(rand, LONGEST), last = MIN(n - 1, first + length);

    insns[first] = (Insn){ .kind = SET_INNER, .imm = 1 + below(rand, 5) };
    insns[last] = (Insn){ .kind = INNER_END, .imm = first + 1 };
    insns[first].word = encode(&insns[first]);
    insns[last].word = encode(&insns[last]);
}

static unsigned put_words(const Insn *insns, unsigned n, uint32_t *code, unsigned *at)
{
    enum { MTFSB1_XX = 0xfc00004c | XX << 21, FIRST = 1 };
    unsigned words = 0, end;

    code[words++] = MTFSB1_XX;
    for (unsigned i = 0; i < n; i++) {
        at[i] = words;
        code[words++] = insns[i].word;
        words += insns[i].kind == LEAVE_IF ? 1 : insns[i].kind == INNER_END ? 2 : 0;
    }
    end = words + 1;
    for (unsigned i = 0; i < n; i++) {
        if (insns[i].kind == LEAVE_IF) {
            code[at[i] + 1] = BC(12, 2, 4 * (end - at[i] - 1));
        } else if (insns[i].kind == INNER_END) {
            code[at[i] + 1] = D_(11, 0, INNER, 0);
            code[at[i] + 2] = BC(4, 2, 4 * ((int)at[insns[i].imm] - (int)(at[i] + 2)));
        }
    }
    code[words] = BC(16, 0, 4 * (FIRST - (int)words));
    code[end] = X_(63, 31, 0, 0, 583); /* mffs */
    return end;
}

static unsigned n_faults, n_leaves;

static void run_program(GRand *rand)
{
    unsigned n = g_rand_int_range(rand, 3, MOST), at[MOST], end;
    g_autofree PpcState *fp = g_new0(PpcState, 1);
    Machine m = { .fp = fp };
    uint32_t code[3 * MOST + 8];
    Insn insns[MOST];
    int how = 0;

    begin(rand, &m);
    for (unsigned i = 0; i < n; i++) {
        insns[i] = make_one(rand);
    }
    if (below(rand, 3)) {
        add_inner_loop(rand, insns, n);
    }
    end = put_words(insns, n, code, at);
    rig_run_words(code, end + 1);
    for (unsigned trip = 0; trip < TRIPS && how == 0; trip++) {
        for (unsigned i = 0; i < n && how == 0; i++) {
            if ((how = step(&m, &insns[i])) == GOES_BACK) {
                i = insns[i].imm - 1;
                how = 0;
            } else if (how) {
                end = at[i];
            }
        }
    }
    n_faults += how == FAULTS;
    n_leaves += how == LEAVES;
    if (how != GETS_LOST) {
        check_end(&m, how, RIG_CODE + 4 * end);
    }
}

static void loops_do_what_they_say(void)
{
    const char *wanted = g_getenv("MYNA_SEED"), *loops = g_getenv("MYNA_LOOPS");
    unsigned seed = wanted ? strtoul(wanted, NULL, 0) : g_test_rand_int(), programs = loops ? strtoul(loops, NULL, 0) : PROGRAMS;

    for (unsigned i = 0; i < programs; i++) {
        GRand *rand = g_rand_new_with_seed(seed + i);

        g_test_message("MYNA_SEED=%u", seed + i);
        has_faults = rig_state->model->mmu == PPC_MMU_RADIX;
        has_vectors = has_faults; /* as of POWER9 */
        has_device = (seed + i) % 3 == 0;
        is_le = has_faults && ((seed + i) & 1);
        run_program(rand);
        g_rand_free(rand);
    }
    g_test_message("%u faults, %u left early", n_faults, n_leaves);
}

/* What is left to stubs of ways out between two accesses, the first of which goes to a device. */
static void a_way_out_behind_a_device_stores_results(void)
{
    enum { FADD = 21, F1 = 1 };
    static const uint32_t code[] = {
        0xfc00004c | XX << 21,                  /* mtfsb1 */
        D_(11, 0, WORD, 0),                     /* cmpwi r9, 0 */
        X_(63, F1, F1, 3, FADD),                /* f1 += f3 */
        LWZ(WORD + 1, 0, POINTER),
        BC(4, 2, 4 * 3),                        /* bne */
        LWZ(INNER, 4, POINTER),
        X_(63, F1, 4, 5, FADD),                 /* f1 = f4 + f5 */
        X_(63, 31, 0, 0, 583),                  /* mffs f31 */
    };
    const uint64_t one = UINT64_C(0x3ff0000000000000), two = UINT64_C(0x4000000000000000), third = UINT64_C(0x3fd5555555555555);
    g_autofree PpcState *fp = g_new0(PpcState, 1);

    for (unsigned leaves = 0; leaves < 2; leaves++) {
        rig_reset(MSR_FP);
        fp->vsr[1][0] = rig_state->vsr[1][0] = third;
        fp->vsr[3][0] = rig_state->vsr[3][0] = two;
        fp->vsr[4][0] = rig_state->vsr[4][0] = one;
        fp->vsr[5][0] = rig_state->vsr[5][0] = third;
        fp->fpscr = FPSCR_FX | FPSCR_XX;
        rig_state->gpr[WORD] = leaves;
        rig_state->gpr[POINTER] = DEVICE;
        rig_run_words(code, G_N_ELEMENTS(code));
        ppc_exec_fadd(fp, leaves ? code[2] : code[6]);
        g_assert_cmphex(rig_state->vsr[1][0], ==, fp->vsr[1][0]);
        g_assert_cmphex(rig_state->vsr[31][0], ==, fp->fpscr);
    }
}

/* Constant addresses, which become known within a region, on its slow way (nothing is in the TLB). */
static void constant_addresses_are_found_again(void)
{
    enum { FADD = 21, NUMBERS = 0x50000 };
    static const uint32_t code[] = {
        0xfc00004c | XX << 21,            /* mtfsb1 */
        D_(50, 1, POINTER, 0),            /* lfd f1, 0(r4) */
        X_(63, 1, 1, 2, FADD),
        LIS(WORD, NUMBERS >> 16),
        D_(50, 3, WORD, 0),               /* lfd f3, 0(r9) */
        X_(63, 1, 1, 3, FADD),
        D_(50, 4, WORD, 8),
        X_(63, 1, 1, 4, FADD),
        D_(50, 5, POINTER, 8),
        X_(63, 1, 1, 5, FADD),
    };
    const uint64_t one = UINT64_C(0x3ff0000000000000), five = UINT64_C(0x4014000000000000);

    rig_reset(MSR_FP);
    rig_state->vsr[2][0] = one;
    store_be64(rig_ram + DATA, one);
    store_be64(rig_ram + DATA + 8, one);
    store_be64(rig_ram + NUMBERS, one);
    store_be64(rig_ram + NUMBERS + 8, one);
    rig_state->gpr[POINTER] = DATA;
    rig_run_words(code, G_N_ELEMENTS(code));
    g_assert_cmphex(rig_state->vsr[1][0], ==, five);
}

/*
 * The register that has an address for the next access gets a value that has to make room, with so many others that none is left, and is
 * free again by then.
 */
static void an_address_is_gone_where_a_value_has_been(void)
{
    enum { MOST_OTHERS = 6, FADD = 21, OR = 444, OTHERS = 14, OLD = 20, VALUE = 5, COPY = 8 };
    const uint64_t one = UINT64_C(0x3ff0000000000000), two = UINT64_C(0x4000000000000000), three = UINT64_C(0x4008000000000000);

    for (unsigned others = 0; others <= MOST_OTHERS; others++) {
        uint32_t code[MOST_OTHERS + 10], n = 0;

        code[n++] = 0xfc00004c | XX << 21; /* mtfsb1 */
        code[n++] = D_(50, 1, POINTER, 0);
        code[n++] = X_(63, 2, 1, 1, FADD);
        for (unsigned i = 0; i < others; i++) {
            code[n++] = ADDI(OTHERS + i, 3, i + 1);
        }
        code[n++] = X_(31, VALUE, OLD, VALUE, OR);
        code[n++] = LI(VALUE, 3);
        code[n++] = X_(31, OLD, COPY, OLD, OR);
        code[n++] = LI(OLD, 0);
        code[n++] = D_(50, 3, POINTER, 8);
        code[n++] = X_(63, 4, 3, 1, FADD);
        code[n++] = D_(54, 4, POINTER, 16);
        rig_reset(MSR_FP);
        store_be64(rig_ram + DATA, one);
        store_be64(rig_ram + DATA + 8, two);
        for (unsigned times = 0; times < 40; times++) { /* interpreted first, and the page is known then */
            store_be64(rig_ram + DATA + 16, 0);
            rig_state->gpr[3] = 100;
            rig_state->gpr[POINTER] = DATA;
            rig_state->gpr[VALUE] = 7;
            rig_run_words(code, n);
            g_assert_cmphex(rig_state->vsr[3][0], ==, two);
            g_assert_cmphex(load_be64(rig_ram + DATA + 16), ==, three);
            g_assert_cmpint(rig_state->gpr[COPY], ==, 7);
            for (unsigned i = 0; i < others; i++) {
                g_assert_cmpint(rig_state->gpr[OTHERS + i], ==, 101 + i);
            }
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_start(argc > 1 ? argv[1] : "7400");
    add_devices();
    g_test_add_func("/ppc/fp-memory/way-out-behind-device", a_way_out_behind_a_device_stores_results);
    g_test_add_func("/ppc/fp-memory/constant-addresses", constant_addresses_are_found_again);
    g_test_add_func("/ppc/fp-memory/address-gone", an_address_is_gone_where_a_value_has_been);
    g_test_add_func("/ppc/fp-memory", loops_do_what_they_say);
    return g_test_run();
}
