#include "tests/insn/oracle-guest.h"

#include <inttypes.h>
#include <string.h>

#include "tcg/tcg.h"

enum {
    MODE_64 = MODE_CS64 | MODE_SS32 | MODE_PE | MODE_FLAT | MODE_FLAT_CS | MODE_LMA | 3 << MODE_CPL_SHIFT,
    MODE_16 = MODE_PE | MODE_LMA | 3 << MODE_CPL_SHIFT,
    MODE_32 = MODE_CS32 | MODE_SS32 | MODE_PE | MODE_FLAT | MODE_FLAT_CS | MODE_LMA | 3 << MODE_CPL_SHIFT,
};

Cpu *cpu;
static IrBlock *ir;

/* What the host has mapped: the data, and for reading what comes first and the code. */
static void check_range(uint64_t addr, unsigned size, bool write, uintptr_t retaddr)
{
    bool data = addr >= NATIVE_DATA && addr + size <= NATIVE_DATA + NATIVE_DATA_SIZE;
    bool code = addr >= NATIVE_CODE && addr + size <= NATIVE_BASE + NATIVE_SIZE;

    if (!data && !(code && !write)) {
        x86_state(cpu)->exception.vector = EXC_PF;
        if (retaddr) {
            tcg_restore(cpu->state, retaddr);
        }
        tcg_unwind(cpu->state, TCG_EXIT_EXCEPTION);
    }
}

static uint64_t load(void *s, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    uint64_t value = 0;

    check_range(addr, size, false, retaddr);
    memcpy(&value, (void *)addr, size);
    return value;
}

static void store(void *s, uint64_t addr, uint64_t value, unsigned size, unsigned mem, uintptr_t retaddr)
{
    check_range(addr, size, true, retaddr);
    memcpy((void *)addr, &value, size);
}

static void probe_store(void *s, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    check_range(addr, size, true, retaddr);
}

static uint64_t atomic(void *s, uint64_t addr, unsigned op_size, uint64_t b, uint64_t c, uintptr_t retaddr)
{
    unsigned size = op_size & 0xff;
    uint64_t old;

    check_range(addr, size, true, retaddr);
    old = load(s, addr, size, 0, 0);
    store(s, addr, ir_atomic_result(op_size >> 8, old, b, c, size), size, 0, 0);
    return old;
}

static const HostBlock *compiled;

static const HostBlock *find_block(uintptr_t host_pc)
{
    return compiled && tcg_block_has(compiled, host_pc) ? compiled : NULL;
}

static void host_fault(void *state, int number, int code, uintptr_t host_pc)
{
    x86_raise_host_fp(cpu, number, code);
}

static const TcgRuntime runtime = {
    .load = load, .store = store, .probe_store = probe_store, .atomic = atomic, .find_block = find_block,
    .host_fault = host_fault,
};

static uint64_t engine_load(Cpu *c, VirtAddr addr, unsigned size, unsigned mode, uintptr_t retaddr)
{
    return load(NULL, addr, size, 0, retaddr);
}

static void engine_store(Cpu *c, VirtAddr addr, uint64_t value, unsigned size, unsigned mode, uintptr_t retaddr)
{
    store(NULL, addr, value, size, 0, retaddr);
}

/* Every fourth page is not plain memory, so that the slow way is seen too. */
static void *engine_probe(Cpu *c, VirtAddr addr, unsigned size, MmuAccess access, unsigned mode, uintptr_t retaddr)
{
    check_range(addr, size, access == MMU_STORE, retaddr);
    if ((addr & 0xfff) + size > 0x1000 || (addr >> 12 & 3) == 3) {
        return NULL;
    }
    return (void *)addr;
}

static bool fetch(Translation *t, uint64_t pc, uint8_t *out)
{
    *out = *(uint8_t *)(*(uint64_t *)t->engine + pc);
    return true;
}

static uint64_t end_of_code;

static bool has_breakpoint(Translation *t, uint64_t pc)
{
    return (t->key->pic_bits ? *(uint64_t *)t->engine : 0) + pc == end_of_code;
}

/* Half of the pages are reached inline, the others through the runtime. */
static void set_tables(CpuHot *hot)
{
    enum { ENTRIES = 16 };
    static TlbEntry tlb[ENTRIES];
    static JumpCacheEntry jumps[JUMP_CACHE_SIZE];

    for (unsigned i = 0; i < ENTRIES; i++) {
        tlb[i].tag = i & 1 ? TLB_INVALID : NATIVE_DATA + (uint64_t)(i << 12);
    }
    for (unsigned i = 0; i < JUMP_CACHE_SIZE; i++) {
        jumps[i] = (JumpCacheEntry){.pc = jump_cache_empty(i)};
    }
    hot->tlb_mask = (ENTRIES - 1) * sizeof(TlbEntry);
    hot->tlb_load = hot->tlb_store = tlb;
    hot->jump_cache = jumps;
    tcg_sites_init(tcg_sites(hot));
}

static bool never_far(void *opaque, uint64_t pc)
{
    return false;
}

bool all_scattered;

static bool is_scattered(void *opaque, uint64_t pc)
{
    return all_scattered;
}

static TcgExit run_compiled(X86State *s)
{
    HostBlock *block;
    HostExit *out;
    TcgExit why;

    ir->scattered = is_scattered;
    block = tcg_compile(ir, never_far, NULL);
    if (!block) { /* the buffer is full: nothing in it is needed any more */
        tcg_region_next();
        block = tcg_compile(ir, never_far, NULL);
    }
    compiled = block;
    why = tcg_enter(s, block->code, &out);
    compiled = NULL;
    return why;
}

static void check_block(const char *when)
{
    char *why = NULL;

    if (!ir_verify(ir, &why)) {
        g_autoptr(GString) text = g_string_new(NULL);

        ir_dump(ir, text);
        g_error("%s: %s\n%s", when, why, text->str);
    }
}

/* As if blocks were there already, for half of the code: by its bytes, so that a failure comes again. */
static uint64_t some_next_known(const Variant *variant, uint64_t pc, uint64_t origin)
{
    uint64_t hash = 0;

    for (int i = 0; i < 8; i++) {
        hash = (hash ^ *(const uint8_t *)(origin + pc + i)) * 0x9e3779b97f4a7c15;
    }
    return variant->hot || hash >> 63 ? 0 : pc + 1 + (hash >> 56) % 48;
}

static TcgExit run_block(const Variant *variant)
{
    X86State *s = x86_state(cpu);
    BlockKey key = {.pc = s->pc, .base = s->seg[S_CS].base, .flags = s->mode_flags};
    uint64_t origin = key.base;
    Translation t = {.ir = ir, .cpu = cpu, .key = &key, .max_insns = variant->max_insns, .fetch = fetch,
                     .has_breakpoint = has_breakpoint, .engine = &origin};
    uint64_t pc;

    if (variant->pic && s->mode_flags & (MODE_CS64 | MODE_CS32)) {
        s->hot.pic_page = origin = s->pc & ~(uint64_t)0xfff;
        key.pc = s->pc & 0xfff;
        key.pic_bits = s->mode_flags & MODE_CS64 ? 64 : 32;
    }
    t.is_hot = variant->hot;
    t.next_known = some_next_known(variant, key.pc, origin);
    ir_block_reset(ir);
    ir->pic_bits = key.pic_bits;
    x86_translate(&t);
    check_block("translated");
    if (variant->optimise) {
        ir_optimise(ir);
        check_block("optimised");
    }
    return variant->compile ? run_compiled(s) : tcg_interpret(s, ir, NULL, &pc);
}

int guest_run(uint64_t end, const Variant *variant)
{
    X86State *s = x86_state(cpu);

    end_of_code = end;
    for (unsigned i = 0; i < 100000 && s->pc != end; i++) {
        if (run_block(variant) == TCG_EXIT_EXCEPTION) {
            return s->exception.vector == EXC_PF || s->exception.vector == EXC_SS ? EXC_GP : s->exception.vector;
        }
    }
    return -1;
}

void load_guest(const NativeRegs *regs, NativeMode mode, bool real)
{
    X86State *s = x86_state(cpu);
    uint16_t code, data, big = mode == NATIVE_32 ? SEG_DB : mode == NATIVE_64 ? SEG_L : 0;

    native_has(mode, &code, &data);
    memcpy(s->reg, regs->gpr, sizeof(s->reg));
    s->pc = regs->code;
    s->exception.vector = -1;
    s->mode_flags = mode == NATIVE_64 ? MODE_64 : mode == NATIVE_32 ? MODE_32 : real ? 0 : MODE_16;
    for (unsigned i = S_ES; i <= S_DS; i++) {
        bool is_code = i == S_CS;

        s->seg[i] = (X86Segment){
            .selector = is_code ? code : data,
            .base = mode != NATIVE_16 ? 0 : is_code ? NATIVE_CODE : NATIVE_DATA,
            .limit = mode == NATIVE_16 ? 0xffff : UINT32_MAX,
            .attr = SEG_P | SEG_S | 3 << SEG_DPL_SHIFT | big | (is_code ? 0xb : 3),
        };
    }
    x86_set_eflags(s, regs->flags, UINT32_MAX);
}

void guest_init(void)
{
    static const TcgTarget target = {.slots = x86_slots, .n_slots = SLOT_COUNT, .pc_slot = SLOT_PC};

    cpu = cpu_new(&x86_cpu_type, "max", 0, NULL);
    g_assert(cpu);
    ir = ir_block_new(x86_slots, SLOT_COUNT, x86_helpers, HELPER_COUNT);
    g_assert(tcg_init(&target, &runtime, &(TcgOptions){.host_features = g_getenv("MYNA_HOST_FEATURES")}, NULL));
    set_tables(cpu->hot);
    engine.load = engine_load;
    engine.store = engine_store;
    engine.probe = engine_probe;
}
