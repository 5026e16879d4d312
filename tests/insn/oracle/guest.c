/*
 * The translator under test, without an engine: memory is the host's own at the same addresses, of
 * which one page is a TLB hit and the other is not, and one instruction is all that is translated.
 */
#include "guest.h"

#include "host.h"

#include <cpuid.h>

#include "accel/accel.h"
#include "target/x86/faulting.h"
#include "tcg/tcg.h"

/* These run with guest values in vector registers. */
#define REGISTERS_ONLY                                                                                \
    __attribute__((target("general-regs-only"), optimize("no-tree-loop-distribute-patterns"), \
                   no_sanitize("address", "undefined")))
enum { TLB_SIZE = 16, MAX_STEPS = 100000 };

static Cpu *cpu;
static IrBlock *ir, *plain;
static HostBlock *block;
static uint64_t block_mode;
static OracleMode mode_now;
static unsigned code_size;
static bool translated;
static X86Insn insn_now;

REGISTERS_ONLY static bool canonical(uint64_t addr)
{
    return (uint64_t)((int64_t)(addr << 16) >> 16) == addr;
}

REGISTERS_ONLY static bool in_code(uint64_t addr)
{
    return addr >= ORACLE_CODE && addr < ORACLE_CODE + ORACLE_CODE_SIZE;
}

/* What is mapped on the host; both pages of data and the code. Page faults name the first byte that is not. */
REGISTERS_ONLY static void check_range(void *state, uint64_t addr, unsigned size, bool write, uintptr_t retaddr)
{
    uint64_t last = addr + size - 1, bad;
    X86State *s = state;

    if ((addr >= ORACLE_DATA && last < ORACLE_DATA + ORACLE_DATA_SIZE && addr <= last) ||
        (in_code(addr) && in_code(last) && !write)) {
        return;
    }
    if (retaddr) {
        tcg_restore(s, retaddr);
    }
    bad = (addr >= ORACLE_DATA && addr < ORACLE_DATA + ORACLE_DATA_SIZE) || (in_code(addr) && !write) ? last & ~UINT64_C(0xfff)
                                                                                                 : addr;
    x86_raise_memory_fault(s, &insn_now, bad, 4 | write << 1 | in_code(bad), mode_now == ORACLE_64 && (!canonical(bad) || !canonical(last)));
}

REGISTERS_ONLY static uint64_t load(void *s, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    uint64_t value = 0;

    check_range(s, addr, size, mem & IRM_UPDATE, retaddr);
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)((uint8_t *)addr)[i] << i * 8;
    }
    return value;
}

REGISTERS_ONLY static void store(void *s, uint64_t addr, uint64_t value, unsigned size, unsigned mem, uintptr_t retaddr)
{
    check_range(s, addr, size, true, retaddr);
    for (unsigned i = 0; i < size; i++) {
        ((uint8_t *)addr)[i] = value >> i * 8;
    }
}

REGISTERS_ONLY static void load_bytes(void *s, uint64_t addr, void *buf, unsigned size, uintptr_t retaddr)
{
    check_range(s, addr, size, false, retaddr);
    for (unsigned i = 0; i < size; i++) {
        ((uint8_t *)buf)[i] = ((uint8_t *)addr)[i];
    }
}

REGISTERS_ONLY static void store_bytes(void *s, uint64_t addr, const void *buf, unsigned size, uintptr_t retaddr)
{
    check_range(s, addr, size, true, retaddr);
    for (unsigned i = 0; i < size; i++) {
        ((uint8_t *)addr)[i] = ((const uint8_t *)buf)[i];
    }
}

REGISTERS_ONLY static void probe_store(void *s, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    check_range(s, addr, size, true, retaddr);
}

REGISTERS_ONLY static uint64_t atomic(void *s, uint64_t addr, unsigned op_size, uint64_t b, uint64_t c, uintptr_t retaddr)
{
    unsigned size = op_size & 0xff;
    uint64_t old;

    check_range(s, addr, size, true, retaddr);
    old = load(s, addr, size, 0, 0);
    store(s, addr, ir_atomic_result(op_size >> 8, old, b, c, size), size, 0, 0);
    return old;
}

REGISTERS_ONLY static void unaligned(void *s, uint64_t addr, bool is_store, uintptr_t retaddr)
{
    if (retaddr) {
        tcg_restore(s, retaddr);
    }
    if (((X86State *)s)->mode_flags & MODE_AC) {
        guest_ops(cpu)->raise_alignment(cpu, addr, is_store);
    }
    x86_raise_misaligned(s, &insn_now);
}

static void host_fault(void *state, int number, int code, uintptr_t host_pc)
{
    x86_raise_host_fp(cpu, number, code);
}

REGISTERS_ONLY static const HostBlock *find_block(uintptr_t host_pc)
{
    return block && tcg_block_has(block, host_pc) ? block : NULL;
}

static const TcgRuntime runtime = {
    .load = load, .store = store, .load_bytes = load_bytes, .store_bytes = store_bytes, .probe_store = probe_store,
    .atomic = atomic, .unaligned = unaligned, .host_fault = host_fault, .find_block = find_block,
};

static uint64_t engine_load(Cpu *c, VirtAddr addr, unsigned size, unsigned mode, uintptr_t retaddr)
{
    return load(c->state, addr, size, 0, retaddr);
}

static void engine_store(Cpu *c, VirtAddr addr, uint64_t value, unsigned size, unsigned mode, uintptr_t retaddr)
{
    store(c->state, addr, value, size, 0, retaddr);
}

/* The second page is no plain memory, so that the slow way is seen too. */
static void *engine_probe(Cpu *c, VirtAddr addr, unsigned size, MmuAccess access, unsigned mode, uintptr_t retaddr)
{
    check_range(c->state, addr, size, access == MMU_STORE, retaddr);
    return (addr & 0xfff) + size > 0x1000 || addr >= ORACLE_DATA + 0x1000 ? NULL : (void *)addr;
}

static void set_tables(CpuHot *hot)
{
    static TlbEntry tlb[TLB_SIZE];
    static JumpCacheEntry jumps[JUMP_CACHE_SIZE];

    for (unsigned i = 0; i < TLB_SIZE; i++) {
        tlb[i].tag = TLB_INVALID;
    }
    tlb[ORACLE_DATA >> 12 & (TLB_SIZE - 1)].tag = ORACLE_DATA;
    for (unsigned i = 0; i < JUMP_CACHE_SIZE; i++) {
        jumps[i] = (JumpCacheEntry){.pc = jump_cache_empty(i)};
    }
    hot->tlb_mask = (TLB_SIZE - 1) * sizeof(TlbEntry);
    hot->tlb_load = hot->tlb_store = tlb;
    hot->jump_cache = jumps;
    tcg_sites_init(tcg_sites(hot));
}

/* "max" claims what the translator can do; what the host cannot do, it cannot be asked about. */
static char *model_of_host(void)
{
    static const struct { const char *name; uint32_t leaf, subleaf; uint8_t reg, bit; } features[] = {
#define FEATURE(name, leaf, subleaf, reg, bit) {#name, leaf, subleaf, reg, bit},
#include "target/x86/features.def"
#undef FEATURE
    };
    GString *model = g_string_new("max,check=off");

    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++) {
        uint32_t out[4] = {0};
        bool user = features[i].leaf == 7 || features[i].leaf == 1 || features[i].leaf == 0x80000001;

        __get_cpuid_count(features[i].leaf, features[i].subleaf, &out[0], &out[1], &out[2], &out[3]);
        if (user && !(out[features[i].reg] >> features[i].bit & 1)) {
            g_string_append_printf(model, ",-%s", features[i].name);
        }
    }
    return g_string_free(model, FALSE);
}

void guest_init(void)
{
    g_autofree char *model = model_of_host();
    g_autoptr(GError) error = NULL;

    engine.load = engine_load;
    engine.store = engine_store;
    engine.probe = engine_probe;
    cpu = cpu_new(&x86_cpu_type, model, 0, &error);
    g_assert_no_error(error);
    ir = ir_block_new(x86_slots, SLOT_COUNT, x86_helpers, HELPER_COUNT);
    plain = ir_block_new(x86_slots, SLOT_COUNT, x86_helpers, HELPER_COUNT);
    g_assert(tcg_init(&guest_ops(cpu)->tcg, &runtime, NULL, &error));
    set_tables(cpu->hot);
}

void guest_add_processor(void)
{
    g_assert_nonnull(cpu_new(&x86_cpu_type, "max", 1, NULL));
}

X86State *guest_state(void)
{
    return cpu->state;
}

/* Registers of a user's process under Linux. */
static void set_segments(X86State *s, OracleMode mode)
{
    uint16_t user = SEG_P | SEG_S | 3 << SEG_DPL_SHIFT;
    uint16_t big = mode == ORACLE_32 ? SEG_DB : 0;

    for (int i = S_ES; i <= S_GS; i++) {
        s->seg[i] = (X86Segment){.selector = host_selector(mode, i), .attr = user | big | 3};
        if (mode == ORACLE_64) {
            s->seg[i].attr |= SEG_DB | SEG_G;
        }
        s->seg[i].limit = mode == ORACLE_16 ? ORACLE_LIMIT_16 : UINT32_MAX;
        s->seg[i].base = mode == ORACLE_16 ? ORACLE_DATA : 0;
    }
    s->seg[S_CS].attr = user | 0xb | (mode == ORACLE_64 ? SEG_L : big);
    s->seg[S_CS].base = mode == ORACLE_16 ? ORACLE_CODE : 0;
    if (mode == ORACLE_16) {
        s->seg[S_CS].limit = ORACLE_CODE_SIZE - 1;
    }
    if (mode == ORACLE_64) {
        s->seg[S_FS].base = host_fs_base();
        s->seg[S_GS].base = ORACLE_GS_BASE_64;
    } else {
        s->seg[S_FS].base = ORACLE_FS_BASE;
        s->seg[S_FS].limit = ORACLE_FS_LIMIT;
        s->seg[S_GS].base = ORACLE_GS_BASE;
        s->seg[S_GS].limit = ORACLE_GS_LIMIT;
        s->seg[S_GS].attr = user | big | 7; /* expand-down */
    }
}

static bool fetch(Translation *t, uint64_t pc, uint8_t *out)
{
    *out = *(uint8_t *)(t->key->base + pc);
    return true;
}

static bool no_breakpoint(Translation *t, uint64_t pc)
{
    return false;
}

static bool never_far(void *opaque, uint64_t pc)
{
    return false;
}

static void check_block(const IrBlock *one, const char *when)
{
    char *why = NULL;

    if (!ir_verify(one, &why)) {
        g_autoptr(GString) text = g_string_new(NULL);

        ir_dump(one, text);
        g_error("%s: %s\n%s", when, why, text->str);
    }
}

static void translate(IrBlock *to)
{
    X86State *s = cpu->state;
    BlockKey key = {.pc = s->pc, .base = s->seg[S_CS].base, .flags = s->mode_flags};
    Translation t = {.ir = to, .cpu = cpu, .key = &key, .max_insns = 1, .fetch = fetch, .has_breakpoint = no_breakpoint};

    ir_block_reset(to);
    x86_translate(&t);
}

/* Every access remembers its page. */
static bool never_scattered(void *opaque, uint64_t pc)
{
    return false;
}

static void make_block(void)
{
    X86State *s = cpu->state;

    translate(ir);
    check_block(ir, "translated");
    ir_optimise(ir);
    check_block(ir, "optimised");
    if (block) {
    }
    ir->scattered = never_scattered;
    block = tcg_compile(ir, never_far, NULL);
    if (!block) { /* the buffer is full: nothing in it is needed any more */
        tcg_region_next();
        block = tcg_compile(ir, never_far, NULL);
    }
    translate(plain);
    block_mode = s->mode_flags;
    translated = true;
}

static uint64_t start_pc(void)
{
    return mode_now == ORACLE_16 ? ORACLE_START : ORACLE_CODE + ORACLE_START;
}

void guest_place(OracleMode mode, unsigned size)
{
    mode_now = mode;
    code_size = size;
    translated = false;
    guest_decode(mode, (uint8_t *)(uintptr_t)(ORACLE_CODE + ORACLE_START), size, &insn_now);
    insn_now.next_pc += start_pc();
}

static void load_state(const OracleState *from, bool with_fp)
{
    X86State *s = cpu->state;

    memcpy(s->reg, from->gpr, sizeof(s->reg));
    s->pc = start_pc();
    s->exception = (X86Exception){.vector = -1};
    s->cpl = 3;
    s->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE | CR4_UMIP;
    s->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    s->xcr0 = XSTATE_X87 | XSTATE_SSE | XSTATE_AVX;
    set_segments(s, mode_now);
    s->seg[S_TR] = (X86Segment){.selector = 0x40, .limit = 0x66, .attr = SEG_P | 0xb}; /* no ports */
    if (with_fp) {
        memcpy(s->fx, &from->fp.fx, sizeof(s->fx));
        memcpy(s->ymm_high, from->fp.ymm_high, sizeof(s->ymm_high));
        s->hot.fp_loaded = 0;
    }
    s->eflags = 2;
    x86_set_eflags(s, from->flags, UINT32_MAX);
    x86_update_mode(s);
}

static TcgExit run_once(GuestEngine how)
{
    X86State *s = cpu->state;
    HostExit *out = NULL;
    uint64_t pc;
    TcgExit why;

    if (how == GUEST_COMPILED) {
        why = tcg_enter(s, block->code, &out);
        if (why == TCG_EXIT_UNCHAINED) {
            s->pc = out->pc;
        }
        return why;
    }
    return tcg_interpret(s, how == GUEST_PLAIN ? plain : ir, NULL, &pc);
}

void guest_run(GuestEngine how, bool with_fp, OracleState *to)
{
    X86State *s = cpu->state;
    TcgExit why = TCG_EXIT_LOOKUP;

    load_state(to, with_fp);
    if (!translated || block_mode != s->mode_flags) {
        make_block();
    }
    for (unsigned i = 0; i < MAX_STEPS && why != TCG_EXIT_EXCEPTION && s->pc == start_pc(); i++) {
        why = run_once(how);
    }
    memcpy(to->gpr, s->reg, sizeof(s->reg));
    to->flags = x86_eflags(s);
    to->pc = s->pc - (mode_now == ORACLE_16 ? 0 : ORACLE_CODE);
    to->vector = why == TCG_EXIT_EXCEPTION ? s->exception.vector : ORACLE_NOWHERE;
    to->error = why == TCG_EXIT_EXCEPTION && s->exception.has_error ? s->exception.error_code : 0;
    to->cr2 = to->vector == EXC_PF ? s->exception.cr2 : 0;
    if (to->vector != ORACLE_NOWHERE && s->exception.software) {
        to->pc = s->exception.next_pc - (mode_now == ORACLE_16 ? 0 : ORACLE_CODE);
    }
    if (with_fp) {
        memcpy(&to->fp.fx, s->fx, sizeof(s->fx));
        memcpy(to->fp.ymm_high, s->ymm_high, sizeof(s->ymm_high));
    }
}

/* Decoding without running. */

typedef struct Bytes {
    const uint8_t *code;
    unsigned size;
} Bytes;
static Bytes bytes;

static bool fetch_bytes(Translation *t, uint64_t pc, uint8_t *out)
{
    if (pc >= bytes.size) {
        return false;
    }
    *out = bytes.code[pc];
    return true;
}

static uint64_t mode_bits(OracleMode mode)
{
    return mode == ORACLE_64 ? MODE_CS64 | MODE_PE : mode == ORACLE_32 ? MODE_CS32 | MODE_PE : MODE_PE;
}

bool guest_decode(OracleMode mode, const uint8_t *code, unsigned size, X86Insn *in)
{
    BlockKey key = {.flags = mode_bits(mode)};
    Translation t = {.cpu = cpu, .key = &key, .fetch = fetch_bytes};

    bytes = (Bytes){code, size};
    return x86_decode(&t, key.flags, 0, in) == DECODE_OK;
}

char *guest_disassemble(OracleMode mode, const uint8_t *code, unsigned size)
{
    BlockKey key = {.flags = mode_bits(mode)};
    GString *text = g_string_new(NULL);

    x86_disassemble(&key, code, size, ORACLE_CODE + ORACLE_START, text);
    return g_string_free(text, FALSE);
}
