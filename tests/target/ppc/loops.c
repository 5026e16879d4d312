/*
 * Random loops of PowerPC code, run by an engine: prints a digest of what each of them leaves,
 * which has to be the same with all engines and options (tests/boot/loops.py compares). Accesses
 * lie about the ends of pages, some of which are read-only, absent, or a device's.
 *
 * Usage: loops MODEL SEED COUNT ["dump" [N...]]. "dump" shows the code and what was left instead;
 * words N become nops. $MYNA_TEST_ENGINE says who runs them, $MYNA_TEST_LOG what is logged
 * meanwhile.
 */
#include "tests/target/ppc/loops.h"

#include "core/lock.h"
#include "target/ppc/fp.h"
#include "util/bits.h"
#include "util/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE = 0x1000,
    DATA = 0x800000,
    DATA_SIZE = 0x200000,
    MIDDLE = DATA + DATA_SIZE / 2,
    NEAR = 4 * PAGE,
    CODE = 0x40000,
    NOP = 0x60000000
};

static Loop loop;
static uint64_t msr, code_at;
static bool has_faults, has_device;
static unsigned read_only, hole; /* pages */

/* ---- a device in place of a page ---- */

static Region *in_the_way;

static void spoil(void)
{
#define ONES(n) __asm__ volatile("pcmpeqd %%xmm" #n ", %%xmm" #n ::: "xmm" #n)
    ONES(0);
    ONES(1);
    ONES(2);
    ONES(3);
    ONES(4);
    ONES(5);
    ONES(6);
    ONES(7);
    ONES(8);
    ONES(9);
    ONES(10);
    ONES(11);
    ONES(12);
    ONES(13);
    ONES(14);
    ONES(15);
#undef ONES
}

static uint64_t device_read(void *opaque, PhysAddr offset, unsigned size)
{
    const uint8_t *at = rig_ram + MIDDLE + offset;

    spoil();
    return size == 8 ? load_be64(at) : size == 4 ? load_be32(at) : size == 2 ? load_be16(at) : *at;
}

static void device_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    spoil();
    for (unsigned i = 0; i < size; i++) {
        rig_ram[MIDDLE + offset + i] = value >> 8 * (size - 1 - i);
    }
}

static void add_device(void)
{
    static const RegionOps ops = { .read = device_read, .write = device_write, .min_size = 1, .max_size = 8, .endian = ENDIAN_BIG };

    machine_lock();
    in_the_way = region_new_io("in the way", &ops, NULL, PAGE);
    region_add_overlap(memory_system_root(), MIDDLE, in_the_way, 1);
    machine_unlock();
}

/* ---- what it runs with ---- */

static uint64_t number(void)
{
    static const uint64_t others[] = { 0,          UINT64_C(0x7ff0000000000000), UINT64_C(0x7ff8000000000123), UINT64_C(0x7ff0000000000456),
                                       1,          UINT64_C(0x0010000000000000), UINT64_C(0x7fefffffffffffff), UINT64_C(0x000fffffffffffff),
                                       0xffffffff, UINT64_C(0x8000000000000000) };
    uint64_t m = random_next(), sign = m & UINT64_C(1) << 63;

    switch (below(8)) {
    case 0: return sign | others[below(G_N_ELEMENTS(others))];
    case 1: return m;
    case 2: return m & 0xff;
    case 3: return (m & UINT64_C(0x007fffff007fffff)) | UINT64_C(0x3f8000003f800000);
    default: return sign | (m & ((UINT64_C(1) << 52) - 1)) | (uint64_t)(1015 + below(16)) << 52;
    }
}

/* Two blocks of memory and a hole, by BATs; data only. */
static void map_blocks(void)
{
    enum { ALL_OF_8_MIB = 0x3f << 2, ONE_MIB = 7 << 2, VALID = 3, READ_WRITE = 2 };

    rig_state->spr[SPR_DBAT0U] = 0 | ALL_OF_8_MIB | VALID;
    rig_state->spr[SPR_DBAT0U + 1] = 0 | READ_WRITE;
    rig_state->spr[SPR_DBAT0U + 2] = DATA | ONE_MIB | VALID;
    rig_state->spr[SPR_DBAT0U + 3] = DATA | READ_WRITE;
}

/* A tree of one level. Pages are themselves, but among data neighbours change places: what lies behind a page is elsewhere. */
static void map_pages(void)
{
    enum { PROCESSES = 0x200000, TREE = 0x400000, RIGHTS = 0x187, NO_STORES = 0x185, BITS = 19, HR = 1 << 20 };

    store_be64(rig_ram + PROCESSES, TREE | BITS);
    for (unsigned page = 0; page < RIG_RAM / PAGE; page++) {
        unsigned rights = page == read_only ? NO_STORES : RIGHTS, place = page ^ (page >= DATA / PAGE);

        store_be64(rig_ram + TREE + 8 * page, page == hole ? 0 : UINT64_C(3) << 62 | place << 12 | rights);
    }
    rig_state->spr[SPR_PTCR] = PROCESSES;
    rig_state->spr[SPR_LPCR] |= HR;
}

static void map_memory(void)
{
    bool radix = rig_state->model->mmu == PPC_MMU_RADIX;

    read_only = has_faults && below(2) ? MIDDLE / PAGE + 1 + below(2) : 0;
    hole = has_faults && below(2) ? MIDDLE / PAGE - 2 + below(2) : 0;
    if (radix) { /* there is no other way for a process */
        map_pages();
    } else if (has_faults) {
        map_blocks();
    }
    rig_cpu->type->replaced(rig_cpu);
}

static void make_registers(void)
{
    for (unsigned i = 0; i < 32; i++) {
        uint64_t value = below(3) ? number() : below(3) - 1;

        rig_state->gpr[i] = ppc_is_64bit(rig_cpu) ? value : (uint32_t)value;
        rig_state->vsr[i][0] = number();
        rig_state->vsr[i][1] = msr & MSR_VSX ? number() : 0;
        if (msr & MSR_VEC) {
            rig_state->vsr[32 + i][0] = number();
            rig_state->vsr[32 + i][1] = number();
        }
    }
    for (unsigned i = 0; i < POINTERS; i++) {
        unsigned at = MIDDLE - NEAR + (below(2) ? below(2 * NEAR / PAGE) * PAGE + 8 * ((int)below(60) - 30) : below(2 * NEAR / 8) * 8);

        rig_state->gpr[POINTER + i] = at + (below(8) ? 0 : below(8));
    }
    for (unsigned i = 0; i < INDICES; i++) {
        rig_state->gpr[INDEX + i] = below(3) ? below(32) * 8 : below(40);
    }
    rig_state->gpr[CODE_BASE] = code_at;
    rig_state->ctr = ppc_is_64bit(rig_cpu) ? loop.ctr : (uint32_t)loop.ctr;
    rig_state->fpscr = below(4) ? FPSCR_FX | FPSCR_XX : random_next() & (FPSCR_RN | FPSCR_FX | FPSCR_XX);
    rig_state->xer_low = below(20);
    for (unsigned i = 0; i < 8; i++) {
        rig_state->cr[i] = below(16);
    }
    ppc_fp_update_fast(rig_state);
}

static void prepare(uint64_t seed, char **nops)
{
    unsigned page = CODE / PAGE + below(8);

    random_state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (unsigned i = 0; i < 8; i++) {
        random_next();
    }
    msr = MSR_FP | (below(4) ? MSR_PR : 0) | (below(8) ? 0 : MSR_FE0 | MSR_FE1);
    msr |= ppc_isa(rig_state, ISA_ALTIVEC) ? MSR_VEC : 0;
    msr |= ppc_isa(rig_state, ISA_V206) ? MSR_VSX | (below(2) ? MSR_LE : 0) : 0;
    has_faults = (rig_state->model->mmu == PPC_MMU_RADIX || rig_state->model->mmu == PPC_MMU_32) && below(2);
    has_device = below(4) == 0;
    msr |= rig_state->model->mmu == PPC_MMU_RADIX ? MSR_DR | MSR_IR : has_faults ? MSR_DR : 0;
    msr |= ppc_is_64bit(rig_cpu) && below(4) ? MSR_SF : 0;
    code_at = page * PAGE + (below(2) ? 4 * below(PAGE / 4) : PAGE - 4 * (1 + below(40)));
    machine_lock();
    region_set_enabled(in_the_way, has_device);
    machine_unlock();
    rig_reset(msr);
    ppc_set_msr(rig_state, msr);
    loop_make(&loop, code_at, msr);
    for (; nops && *nops; nops++) {
        loop.words[strtoul(*nops, NULL, 0) % MOST_WORDS] = NOP;
    }
    for (unsigned at = 0x100; at < 0x4000; at += 4) {
        store_be32(rig_ram + at, RIG_END);
    }
    for (unsigned at = MIDDLE - 2 * NEAR; at < MIDDLE + 2 * NEAR; at += 8) {
        store_be64(rig_ram + at, number());
    }
    rig_words(code_at, loop.words, loop.n);
    map_memory();
    make_registers();
}

/* ---- what it leaves ---- */

static uint64_t hash(uint64_t sum, const void *data, size_t bytes)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t value = 0;

        memcpy(&value, p + i, MIN(bytes - i, 8));
        sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 29;
    }
    return sum;
}

static void add(GString *text, const char *name, uint64_t value)
{
    g_string_append_printf(text, "%s %" PRIx64 "\n", name, value);
}

static GString *registers(void)
{
    const PpcState *s = rig_state;
    GString *text = g_string_new(NULL);

    add(text, "pc", s->pc);
    add(text, "srr0", s->spr[SPR_SRR0]);
    add(text, "srr1", s->spr[SPR_SRR1]);
    add(text, "dar", s->spr[SPR_DAR]);
    add(text, "dsisr", s->spr[SPR_DSISR]);
    add(text, "msr", s->msr);
    add(text, "lr", s->lr);
    add(text, "ctr", s->ctr);
    add(text, "carries", s->ca | s->ov << 1 | s->so << 2 | s->ca32 << 3 | s->ov32 << 4 | s->xer_low << 8);
    add(text, "vrsave", s->vrsave);
    add(text, "vscr", s->vscr);
    add(text, "fpscr", s->fpscr);
    for (unsigned i = 0; i < 32; i++) {
        g_string_append_printf(text, "r%u %" PRIx64 "\n", i, s->gpr[i]);
    }
    for (unsigned i = 0; i < 64; i++) {
        g_string_append_printf(text, "vsr%u %016" PRIx64 " %016" PRIx64 "\n", i, s->vsr[i][0],
                               i < 32 && !(msr & MSR_VSX) ? 0 : s->vsr[i][1]);
    }
    for (unsigned i = 0; i < 8; i++) {
        g_string_append_printf(text, "cr%u %x\n", i, s->cr[i]);
    }
    return text;
}

static bool ended_by_itself(void)
{
    uint64_t at = rig_state->spr[SPR_SRR0] - code_at;

    return rig_state->pc >= code_at || (at / 4 < loop.n && loop.words[at / 4] == RIG_END);
}

static uint64_t run(uint64_t seed, bool show, char **nops)
{
    g_autoptr(GString) text = NULL;
    uint64_t sum;

    prepare(seed, nops);
    if (show) {
        printf("DUMP code at %" PRIx64 " msr %" PRIx64 " read-only %x hole %x device %d\n", code_at, msr, read_only, hole, has_device);
        for (unsigned i = 0; i < loop.n; i++) {
            printf("DUMP code %" PRIx64 ": %08x\n", code_at + 4 * i, loop.words[i]);
        }
        text = registers();
        printf("DUMP before %s\n", g_strdelimit(text->str, "\n", ';'));
        g_string_free(text, TRUE);
        fflush(stdout);
    }
    rig_run(code_at);
    ppc_fp_settle(rig_state);
    rig_state->fpscr &= ~(uint64_t)(loop.has_conversions ? FPSCR_FPRF : 0);
    if (!ended_by_itself()) { /* a fault before what overwrites it: docs/ppc-fp.md,
                                 target/ppc/liveness.c */
        rig_state->fpscr &= ~(uint64_t)(FPSCR_FPRF | FPSCR_FR | FPSCR_FI);
        memset(rig_state->cr, 0, sizeof(rig_state->cr));
        rig_state->ca = rig_state->ca32 = 0;
    }
    text = registers();
    sum = hash(0, text->str, text->len);
    sum = hash(sum, rig_ram + code_at, 4 * loop.n);
    sum = hash(sum, rig_ram + DATA, DATA_SIZE);
    for (unsigned at = MIDDLE - 2 * NEAR; show && at < MIDDLE + 2 * NEAR; at += 16) {
        g_string_append_printf(text, "%x %016" PRIx64 " %016" PRIx64 "\n", at, load_be64(rig_ram + at), load_be64(rig_ram + at + 8));
    }
    for (const char *line = text->str; show && *line; line = strchr(line, '\n') + 1) {
        printf("DUMP %.*s\n", (int)strcspn(line, "\n"), line);
    }
    return sum;
}

int main(int argc, char **argv)
{
    uint64_t seed, count;
    bool show = argc > 4;

    if (argc < 4) {
        return 2;
    }
    seed = g_ascii_strtoull(argv[2], NULL, 0);
    count = g_ascii_strtoull(argv[3], NULL, 0);
    if (g_getenv("MYNA_TEST_LOG")) {
        log_set_mask(g_getenv("MYNA_TEST_LOG"), NULL);
    }
    rig_start(argv[1]);
    add_device();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t sum = run(seed + i, show, show ? argv + 5 : NULL);

        if (i % 16 == 0) {
            printf("%sLOOPS %" PRIu64, i ? "\n" : "", seed + i);
        }
        printf(" %08x", (uint32_t)(sum >> 32));
        fflush(stdout);
    }
    printf("\nLOOPS-END\n");
    return 0;
}
