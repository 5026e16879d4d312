/* The x86-64 back-end against the interpreter: random blocks, memory, exits, faults, raw instructions. */
#include "core/cpu.h"
#include "tcg/tcg.h"

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGES     4
#define PAGE      4096u
#define TLB_SIZE  64

typedef struct TestState {
    CpuHot hot;
    uint64_t cc[4];
    uint64_t reg[16];
    uint64_t pc;
    uint32_t small;
    uint8_t fx[512] __attribute__((aligned(64)));
    uint64_t seen_pc, seen_cc;
    TlbEntry loads[TLB_SIZE], stores[TLB_SIZE];
} TestState;

enum { SLOT_CC = 16, SLOT_PC = 20, SLOT_SMALL, N_SLOTS };

static IrSlot slots[N_SLOTS];
static uint8_t *memory; /* guest pages */
static uint64_t guest_memory = 0x10000; /* first guest address */
static JumpCacheEntry jumps[JUMP_CACHE_SIZE]; /* translated code only reads it */
static TestState *s;
static HostBlock *last_block, *other_block; /* the latter: one that was made before, or NULL */
static uint32_t seed;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(seed ^ seed >> 16) * n >> 32);
}

static uint64_t rnd64(void)
{
    static const uint64_t special[] = { 0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x7fffffff, 0x80000000,
                                        0xffffffff, INT64_MAX, 1ull << 63, UINT64_MAX };

    if (rnd(3) == 0) {
        return special[rnd(G_N_ELEMENTS(special))];
    }
    return ((uint64_t)rnd(UINT32_MAX) << 32 | rnd(UINT32_MAX)) >> rnd(64);
}

static bool in_memory(uint64_t addr, unsigned size)
{
    return addr - guest_memory <= PAGES * PAGE - size;
}

static void fault(TestState *state, uintptr_t retaddr)
{
    tcg_restore(state, retaddr);
    tcg_unwind(state, TCG_EXIT_EXCEPTION);
}

static uint64_t slow_load(void *state, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    uint64_t v = 0;

    tcg_fp_sync(state); /* this file is compiled for vector registers */
    if (!in_memory(addr, size)) {
        fault(state, retaddr);
    }
    memcpy(&v, memory + addr - guest_memory, size);
    return v;
}

static void slow_store(void *state, uint64_t addr, uint64_t value, unsigned size, unsigned mem, uintptr_t retaddr)
{
    tcg_fp_sync(state); /* this file is compiled for vector registers */
    if (!in_memory(addr, size)) {
        fault(state, retaddr);
    }
    memcpy(memory + addr - guest_memory, &value, size);
}

static void slow_load_bytes(void *state, uint64_t addr, void *buf, unsigned size, uintptr_t retaddr)
{
    tcg_fp_sync(state); /* this file is compiled for vector registers */
    if (!in_memory(addr, size)) {
        fault(state, retaddr);
    }
    memcpy(buf, memory + addr - guest_memory, size);
}

static void slow_store_bytes(void *state, uint64_t addr, const void *buf, unsigned size, uintptr_t retaddr)
{
    tcg_fp_sync(state); /* this file is compiled for vector registers */
    if (!in_memory(addr, size)) {
        fault(state, retaddr);
    }
    memcpy(memory + addr - guest_memory, buf, size);
}

static void slow_probe(void *state, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    if (!in_memory(addr, size)) {
        fault(state, retaddr);
    }
}

static uint64_t slow_atomic(void *state, uint64_t addr, unsigned op_size, uint64_t b, uint64_t c, uintptr_t retaddr)
{
    unsigned size = op_size & 0xff;
    uint64_t old = slow_load(state, addr, size, 0, retaddr), v = 0;

    switch (op_size >> 8) {
    case IR_atomic_add: v = old + b; break;
    case IR_atomic_and: v = old & b; break;
    case IR_atomic_or: v = old | b; break;
    case IR_atomic_xor: v = old ^ b; break;
    case IR_atomic_xchg: v = b; break;
    case IR_atomic_cmpxchg: v = old == b ? c : old; break;
    }
    slow_store(state, addr, v, size, 0, retaddr);
    return old;
}

static void unaligned(void *state, uint64_t addr, bool is_store, uintptr_t retaddr)
{
    ((TestState *)state)->seen_cc = 0xa11;
    fault(state, retaddr);
}

static void host_fault(void *state, int signal, int code, uintptr_t pc)
{
    ((TestState *)state)->seen_pc = signal;
    tcg_unwind(state, TCG_EXIT_EXCEPTION);
}

static const HostBlock *find_block(uintptr_t pc)
{
    return other_block && tcg_block_has(other_block, pc) ? other_block : tcg_block_has(last_block, pc) ? last_block : NULL;
}

static uint64_t helper_sum(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return a + b * 3 + c * 5 + d * 7;
}

static uint64_t helper_change(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    TestState *t = state;

    t->seen_cc = t->cc[1] + t->reg[2]; /* sees all slots */
    t->reg[1] += a;
    t->reg[12] ^= b;
    t->cc[2] = a;
    return t->reg[0];
}

static uint64_t helper_fault(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    fault(state, tcg_caller_pc(state));
    return 0;
}

static uint64_t helper_fp(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    TestState *t = state;

    g_assert_cmpint(t->hot.fp_loaded, ==, 0);
    t->fx[160] ^= 1; /* xmm0 */
    return 0;
}

enum { H_SUM, H_CHANGE, H_FAULT, H_FP };
static const IrHelper helpers[] = {
    [H_SUM] = { "sum", helper_sum, 4, IR_I64, 0, 0, 0 },
    [H_CHANGE] = { "change", helper_change, 2, IR_I64, EFFECT_FAULT, ~0ull,
                   1ull << 1 | 1ull << 12 | 1ull << (SLOT_CC + 2) },
    [H_FAULT] = { "fault", helper_fault, 0, IR_VOID, EFFECT_FAULT, ~0ull, 0 },
    [H_FP] = { "fp", helper_fp, 0, IR_VOID, EFFECT_FP, 0, 0 },
};

static void setup(void)
{
    static const int8_t ranks[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, -1, -1, -1, -1, -1 };
    static const TcgRuntime runtime = {
        .load = slow_load, .store = slow_store, .load_bytes = slow_load_bytes, .store_bytes = slow_store_bytes,
        .probe_store = slow_probe, .atomic = slow_atomic, .unaligned = unaligned, .host_fault = host_fault,
        .find_block = find_block,
    };
    static const TcgTarget target = { .slots = slots, .n_slots = N_SLOTS, .pc_slot = SLOT_PC,
                                      .fxsave_offset = G_STRUCT_OFFSET(TestState, fx), .use_vector_pins = true };
    uint8_t *stack = mmap(NULL, CPU_STACK_SIZE + sizeof(TestState) + PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    GError *error = NULL;

    s = (TestState *)(stack + CPU_STACK_SIZE);
    memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 16; i++) {
        slots[i] = (IrSlot){ "r", G_STRUCT_OFFSET(TestState, reg) + i * 8, IR_I64, ranks[i] };
    }
    for (int i = 0; i < 4; i++) {
        slots[SLOT_CC + i] = (IrSlot){ "cc", G_STRUCT_OFFSET(TestState, cc) + i * 8, IR_I64, -1 };
    }
    slots[SLOT_PC] = (IrSlot){ "pc", G_STRUCT_OFFSET(TestState, pc), IR_I64, -1 };
    slots[SLOT_SMALL] = (IrSlot){ "small", G_STRUCT_OFFSET(TestState, small), IR_I32, -1 };
    jumps[0].pc = jump_cache_empty(0); /* zeros are empty places but for this one */
    tcg_init(&target, &runtime, NULL, &error);
    g_assert_no_error(error);
}

static void reset_state(void)
{
    memset(s, 0, sizeof(*s));
    s->hot.tlb_mask = (TLB_SIZE - 1) * sizeof(TlbEntry);
    s->hot.tlb_load = s->loads;
    s->hot.tlb_store = s->stores;
    s->hot.jump_cache = jumps;
    memset(s->loads, 0xff, sizeof(s->loads));
    memset(s->stores, 0xff, sizeof(s->stores));
    /* Page 0 is in both tables, page 1 readable only, the others in none. */
    for (unsigned p = 0; p < 2; p++) {
        uint64_t page = guest_memory + p * PAGE;
        TlbEntry e = { page, (uintptr_t)memory - guest_memory };

        s->loads[page >> 12 & (TLB_SIZE - 1)] = e;
        if (p == 0) {
            s->stores[page >> 12 & (TLB_SIZE - 1)] = e;
        }
    }
    for (int i = 0; i < 16; i++) {
        s->reg[i] = rnd64();
    }
    for (int i = 0; i < 4; i++) {
        s->cc[i] = rnd64();
    }
    s->small = rnd64();
    *(uint16_t *)s->fx = 0x37f;
    *(uint32_t *)(s->fx + 24) = 0x1f80;
    for (unsigned i = 160; i < 416; i++) {
        s->fx[i] = rnd(256);
    }
    for (unsigned i = 0; i < PAGES * PAGE; i += 8) {
        uint64_t v = i * 0x9e3779b97f4a7c15;

        memcpy(memory + i, &v, 8);
    }
}

typedef struct Outcome {
    TcgExit why;
    uint64_t exit_pc;
    TestState state;
    uint8_t memory[PAGES * PAGE];
} Outcome;

static bool far_odd(void *opaque, uint64_t pc)
{
    return pc & 1;
}

static void finish(Outcome *o, TcgExit why, uint64_t exit_pc)
{
    memcpy(&o->state, s, sizeof(*s));
    memset(&o->state.hot, 0, sizeof(o->state.hot));
    memset(o->state.fx + 6, 0, 18); /* host addresses of the last x87 instruction and its operand */
    memset(o->state.fx + 28, 0, 4); /* MXCSR_MASK */
    memset(o->state.fx + 416, 0, 96); /* reserved */
    memcpy(o->memory, memory, sizeof(o->memory));
    o->why = why == TCG_EXIT_UNCHAINED ? TCG_EXIT_LOOKUP : why;
    o->exit_pc = exit_pc;
}

/* Runs a block both ways from the same state and compares everything. */
static void run_both(IrBlock *ir)
{
    g_autoptr(IrBlock) copy = ir_block_copy(ir);
    g_autofree TestState *before = g_memdup2(s, sizeof(*s));
    g_autofree uint8_t *memory_before = g_memdup2(memory, PAGES * PAGE);
    g_autofree Outcome *want = g_new0(Outcome, 1), *got = g_new0(Outcome, 1);
    g_autofree char *why_not = NULL;
    HostExit *exit = NULL;
    uint64_t exit_pc = 0;
    TcgExit why;
    bool same;

    if (!ir_verify(ir, &why_not)) {
        g_error("%s", why_not);
    }
    if (getenv("BACKEND_SHOW")) {
        g_autoptr(GString) text = g_string_new(NULL);

        ir_dump(ir, text);
        fprintf(stderr, "%s\n", text->str);
    }
    last_block = tcg_compile(copy, far_odd, NULL);
    if (!last_block) { /* full: nothing in the next region is in use */
        tcg_region_next();
        last_block = tcg_compile(copy, far_odd, NULL);
    }
    g_assert_nonnull(last_block);
    why = tcg_interpret(s, ir, &exit, &exit_pc);
    finish(want, why, 0);
    memcpy(s, before, sizeof(*s));
    memcpy(memory, memory_before, PAGES * PAGE);
    exit = NULL;
    why = tcg_enter(s, last_block->code, &exit);
    finish(got, why, 0);
    if (why == TCG_EXIT_UNCHAINED) {
        g_assert_cmphex(exit->pc, ==, s->pc);
    }
    same = got->why == want->why && memcmp(&got->state, &want->state, sizeof(got->state)) == 0 &&
           memcmp(got->memory, want->memory, sizeof(got->memory)) == 0;
    if (!same) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree char *code = tcg_disassemble_host(last_block);

        ir_dump(ir, text);
        fprintf(stderr, "%s\n%s\n", text->str, code);
        fprintf(stderr, "exit: %d, interpreter %d\n", got->why, want->why);
        for (unsigned i = 0; i < N_SLOTS; i++) {
            unsigned o = slots[i].offset;
            uint64_t x = *(uint64_t *)((char *)&got->state + o), y = *(uint64_t *)((char *)&want->state + o);

            fprintf(stderr, "%s%u %" G_GINT64_MODIFIER "x -> %" G_GINT64_MODIFIER "x, interpreter %" G_GINT64_MODIFIER "x%s\n",
                    slots[i].name, i, *(uint64_t *)((char *)before + o), x, y, x == y ? "" : "   <---");
        }
        for (unsigned i = 0; i < 512; i++) {
            if (got->state.fx[i] != want->state.fx[i]) {
                fprintf(stderr, "fx+%u %02x, interpreter %02x\n", i, got->state.fx[i], want->state.fx[i]);
            }
        }
        g_error("the back-end differs from the interpreter");
    }
}

/* Random blocks. */
#define POOL 48
static struct { IrVal v; IrType type; } pool[POOL];
static unsigned n_pool;
static IrVal flags;

static void keep(IrVal v, IrType type)
{
    unsigned at = n_pool < POOL ? n_pool++ : rnd(POOL);

    pool[at].v = v;
    pool[at].type = type;
}

static IrVal pick(IrBlock *ir, IrType type)
{
    if (rnd(6) == 0) {
        return ir_const(ir, type, rnd64());
    }
    for (unsigned tries = 0; tries < 12 && n_pool; tries++) {
        unsigned k = rnd(n_pool);

        if (pool[k].type >= type) {
            return pool[k].v;
        }
    }
    return ir_get(ir, type, rnd(11) < 8 ? rnd(16) : SLOT_CC + rnd(4));
}

static IrType int_type(void)
{
    static const IrType types[] = { IR_I8, IR_I16, IR_I32, IR_I32, IR_I32, IR_I64, IR_I64, IR_I64 };

    return types[rnd(G_N_ELEMENTS(types))];
}

static void random_pure(IrBlock *ir)
{
    static const IrOp binary[] = { IR_add, IR_sub, IR_and, IR_or, IR_xor, IR_add, IR_sub };
    IrType t = int_type();
    unsigned width = ir_type_size(t) * 8;
    IrValFlags r;

    switch (rnd(20)) {
    case 0: case 1: case 2: case 3:
        r = ir_opf(ir, binary[rnd(7)], t, pick(ir, t), pick(ir, t), (IrVal){ 0 });
        keep(r.value, t);
        flags = r.flags;
        break;
    case 4: case 5: case 6:
        keep(ir_op2(ir, binary[rnd(7)], t, pick(ir, t), pick(ir, t)), t);
        break;
    case 7:
        r = ir_opf(ir, rnd(2) ? IR_cmp : IR_test, t, pick(ir, t), pick(ir, t), (IrVal){ 0 });
        flags = r.flags;
        break;
    case 8:
        if (flags.id) {
            r = ir_opf(ir, rnd(2) ? IR_adc : IR_sbb, t, pick(ir, t), pick(ir, t), flags);
            keep(r.value, t);
            flags = r.flags;
        }
        break;
    case 9:
        keep(ir_op2(ir, IR_shl + rnd(5), t, pick(ir, t), ir_const(ir, IR_I8, rnd(width))), t);
        break;
    case 10:
        keep(ir_op2(ir, IR_shl + rnd(5), t, pick(ir, t),
                    ir_op2(ir, IR_and, IR_I8, pick(ir, IR_I8), ir_const(ir, IR_I8, width - 1))), t);
        break;
    case 11: {
        IrType from = rnd(t + 1);

        keep(rnd(2) ? ir_sext(ir, t, from, pick(ir, from)) : ir_zext(ir, t, from, pick(ir, from)), t);
        break;
    }
    case 12:
        if (flags.id) {
            if (rnd(2)) {
                keep(ir_setcc(ir, rnd(16), flags), IR_I8);
            } else {
                keep(ir_selectcc(ir, t, rnd(16), flags, pick(ir, t), pick(ir, t)), t);
            }
        }
        break;
    case 13:
        keep(ir_select(ir, t, ir_setcond(ir, rnd(10), t, pick(ir, t), pick(ir, t)), pick(ir, t), pick(ir, t)), t);
        break;
    case 14:
        keep(ir_op2(ir, IR_mul, t, pick(ir, t), pick(ir, t)), t);
        break;
    case 15: {
        IrPair p = ir_mul2(ir, rnd(2) ? IR_mulu2 : IR_muls2, t, pick(ir, t), pick(ir, t), false);

        keep(p.low, t);
        keep(p.high, t);
        break;
    }
    case 16: {
        IrVal divisor = ir_op2(ir, IR_or, t, pick(ir, t), ir_const(ir, t, 1));
        IrPair p = ir_div2(ir, IR_divu2, t, pick(ir, t), ir_const(ir, t, 0), divisor);

        keep(p.low, t);
        keep(p.high, t);
        break;
    }
    case 17: {
        static const IrOp unary[] = { IR_not, IR_neg, IR_clz, IR_ctz, IR_popcnt, IR_bswap };

        keep(ir_op1(ir, unary[rnd(6)], t, pick(ir, t)), t);
        break;
    }
    case 18:
        if (flags.id && rnd(2)) {
            keep(ir_op2(ir, IR_and, IR_I32, ir_op1(ir, IR_flags_image, IR_I32, flags),
                        ir_const(ir, IR_I32, FLAGS_ALL & ~FLAG_AF)), IR_I32);
        } else {
            flags = ir_opf(ir, IR_flags_from, IR_I32, pick(ir, IR_I32), (IrVal){ 0 }, (IrVal){ 0 }).flags;
        }
        break;
    case 19:
        if (t != IR_I8) {
            keep(ir_op3(ir, rnd(2) ? IR_shld : IR_shrd, t, pick(ir, t), pick(ir, t),
                        rnd(2) ? ir_const(ir, IR_I8, 1 + rnd(width - 1))
                               : ir_op2(ir, IR_or, IR_I8,
                                        ir_op2(ir, IR_and, IR_I8, pick(ir, IR_I8), ir_const(ir, IR_I8, width - 2)),
                                        ir_const(ir, IR_I8, 1))), t);
        } else {
            keep(ir_op2(ir, IR_andn, t, pick(ir, t), pick(ir, t)), t);
        }
        break;
    }
}

/* An address that is mostly within the pages, at times just across, rarely outside. */
static IrVal random_address(IrBlock *ir, int64_t *disp)
{
    IrType t = rnd(2) ? IR_I64 : IR_I32;
    IrVal low = ir_op2(ir, IR_and, t, pick(ir, t), ir_const(ir, t, rnd(8) ? 0x1fff : 0x3fff));

    *disp = rnd(2) ? 0 : rnd(40) - 8;
    if (rnd(30) == 0) {
        return pick(ir, t);
    }
    if (rnd(8) == 0) {
        return ir_const(ir, t, guest_memory + rnd(PAGES * PAGE + 16));
    }
    return ir_op2(ir, IR_add, t, low, ir_const(ir, t, guest_memory));
}

static void random_effect(IrBlock *ir, uint64_t pc)
{
    IrType t = int_type();
    int64_t disp;
    IrVal addr;

    switch (rnd(14)) {
    case 0: case 1: {
        addr = random_address(ir, &disp);
        unsigned mem = rnd(12) == 0 ? IRM_KERNEL : rnd(12) == 0 ? IRM_ALIGNED : 0;

        if (rnd(5) == 0 && t != IR_I8) {
            mem |= IRM_BE;
        }
        if (rnd(4) == 0 && t < IR_I64) {
            keep(ir_load(ir, t, addr, disp, mem | (rnd(2) ? IRM_ZX : IRM_SX)), IR_I64);
        } else if (rnd(6) == 0 && t < IR_I32) {
            keep(ir_load(ir, t, addr, disp, mem | IRM_SX32), IR_I32);
        } else {
            keep(ir_load(ir, t, addr, disp, mem), t);
        }
        break;
    }
    case 2: case 3:
        addr = random_address(ir, &disp);
        ir_store(ir, t, addr, disp, pick(ir, t), rnd(12) == 0 ? IRM_KERNEL : rnd(8) == 0 && t != IR_I8 ? IRM_BE : 0);
        break;
    case 4: case 5: case 6: case 7: case 8:
        if (t <= IR_I16 && rnd(3)) {
            t = IR_I64;
        }
        if (rnd(12) == 0) {
            ir_put(ir, IR_I32, SLOT_SMALL, pick(ir, IR_I32));
        } else {
            ir_put(ir, t, rnd(3) ? rnd(16) : SLOT_CC + rnd(4), pick(ir, t));
        }
        break;
    case 9:
        if (rnd(2)) {
            keep(ir_get8h(ir, rnd(2) ? rnd(4) : 11), IR_I8);
        } else {
            ir_put8h(ir, rnd(2) ? rnd(4) : 12, pick(ir, IR_I8));
        }
        break;
    case 10:
        if (rnd(3) == 0) {
            keep(ir_call(ir, H_CHANGE, pick(ir, IR_I64), pick(ir, IR_I64), (IrVal){ 0 }, (IrVal){ 0 }), IR_I64);
        } else {
            keep(ir_call(ir, H_SUM, pick(ir, IR_I64), pick(ir, IR_I64), pick(ir, IR_I64), pick(ir, IR_I64)), IR_I64);
        }
        break;
    case 11:
        if (flags.id && rnd(4) == 0) {
            ir_exit_if(ir, rnd(16), flags, pc + 0x1000 + rnd(2));
        }
        break;
    case 12:
        addr = random_address(ir, &disp);
        keep(ir_atomic(ir, IR_atomic_add + rnd(6), t, addr, disp, pick(ir, t), pick(ir, t)), t);
        break;
    case 13:
        if (rnd(3) == 0) {
            addr = random_address(ir, &disp);
            ir_probe_store(ir, t, addr, disp, 0);
        } else if (rnd(4) == 0) {
            unsigned label = ir_new_label(ir);
            IrVal x = pick(ir, t), y = pick(ir, t);

            ir_brcond(ir, rnd(10), t, x, y, label);
            for (unsigned k = 0; k < 4; k++) {
                ir_put(ir, IR_I64, rnd(16), ir_op2(ir, IR_add, IR_I64, ir_get(ir, IR_I64, rnd(16)), ir_const(ir, IR_I64, 3)));
            }
            ir_label(ir, label);
            n_pool = 0;
            flags.id = 0;
        }
        break;
    }
}

static void random_block(IrBlock *ir, bool optimise)
{
    uint64_t pc = 0x400000;
    unsigned n = 3 + rnd(40);

    ir_block_reset(ir);
    n_pool = 0;
    flags.id = 0;
    ir_poll(ir, pc);
    for (unsigned k = 0; k < n; k++) {
        if (rnd(3) == 0) {
            ir_insn_start(ir, pc += 3);
        }
        if (rnd(3)) {
            random_pure(ir);
        } else {
            random_effect(ir, pc);
        }
    }
    switch (rnd(3)) {
    case 0:
        ir_exit_jump(ir, pc + 0x2000 + rnd(2));
        break;
    case 1:
        ir_exit_lookup(ir, pick(ir, IR_I64), BRANCH_JUMP);
        break;
    case 2:
        ir_put(ir, IR_I64, SLOT_PC, ir_const(ir, IR_I64, pc + 7));
        ir_exit_main(ir, TCG_EXIT_HALT);
        break;
    }
    if (optimise) {
        ir_optimise(ir);
    }
}

static void random_blocks_do_what_the_interpreter_does(void)
{
    IrBlock *ir = ir_block_new(slots, N_SLOTS, helpers, G_N_ELEMENTS(helpers));
    const char *only = getenv("BACKEND_SEED"), *count = getenv("BACKEND_COUNT");
    uint32_t first = only ? atoi(only) : 1, n = count ? atoi(count) : only ? 1 : 4000;

    for (uint32_t k = first; k < first + n; k++) {
        seed = k * 2654435761u;
        if (only || getenv("BACKEND_TRACE")) {
            fprintf(stderr, "seed %u\n", k);
        }
        reset_state();
        random_block(ir, k & 1);
        run_both(ir);
    }
    ir_block_free(ir);
}

/* Accesses by what slots of 64 bits hold in their lower half, with more above at times, near the ends of 4 GiB or of the pages. */
static void narrow_block(IrBlock *ir)
{
    static const int32_t distances[] = { 0, 0, 0, 4, -8, 100, -100, 0x20000, -0x20000, -0x40000000, 0x40000000 };
    uint64_t pc = 0x400000;
    unsigned n = 2 + rnd(7), n_bases = 1 + rnd(2), base[2] = { rnd(16), rnd(16) };
    int32_t distance[2];

    ir_block_reset(ir);
    ir->narrow = true;
    for (unsigned k = 0; k < n_bases; k++) {
        distance[k] = distances[rnd(G_N_ELEMENTS(distances))];
        s->reg[base[k]] = (uint32_t)(guest_memory + (rnd(2) ? rnd(2 * PAGE) : (rnd(3) * PAGE + rnd(64) - 32)) - distance[k]);
        s->reg[base[k]] |= rnd(8) ? 0 : rnd64() << 32;
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned k = rnd(n_bases);
        int64_t disp = distance[k] + (int)rnd(48) - 24, step = (int)rnd(40) - 20;
        IrVal addr = ir_get(ir, IR_I32, base[k]);

        ir_insn_start(ir, pc += 3);
        if (rnd(3) == 0) {
            addr = ir_op2(ir, IR_add, IR_I32, addr, ir_const(ir, IR_I32, step));
            disp -= rnd(2) ? step : 0;
        }
        if (rnd(3) == 0) { /* all of it in the sum, or nothing */
            addr = ir_op2(ir, IR_add, IR_I32, addr, ir_const(ir, IR_I32, disp));
            disp = 0;
        }
        if (rnd(3)) {
            ir_put(ir, IR_I32, rnd(16), ir_load(ir, IR_I32, addr, disp, 0));
        } else {
            ir_store(ir, IR_I32, addr, disp, ir_get(ir, IR_I32, rnd(16)), 0);
        }
        if (rnd(4) == 0) { /* as POP does */
            ir_put(ir, IR_I32, base[k], ir_op2(ir, IR_add, IR_I32, ir_get(ir, IR_I32, base[k]), ir_const(ir, IR_I32, step)));
        }
    }
    ir_exit_jump(ir, pc + 0x2000);
}

static void addresses_of_32_bits_wrap(void)
{
    static const uint64_t memories[] = { 0, 0x10000, (1ull << 32) - 2 * PAGE };
    IrBlock *ir = ir_block_new(slots, N_SLOTS, helpers, G_N_ELEMENTS(helpers));
    uint64_t usual = guest_memory;

    for (uint32_t k = 0; k < 6000; k++) {
        seed = k * 2654435761u;
        guest_memory = memories[k % G_N_ELEMENTS(memories)];
        reset_state();
        narrow_block(ir);
        if (k & 1) {
            ir_optimise(ir);
        }
        run_both(ir);
    }
    guest_memory = usual;
    ir_block_free(ir);
}

/* An address of 32 bits that is one of two near what a slot holds: it may wrap alone, or with its displacement, and the slot may hold more above. */
static void choices_of_32_bits_wrap(void)
{
    static const struct { uint64_t memory, slot; int32_t low, disp; } rows[] = {
        { 0x10000, 0x10100, 4, 8 },
        { 0, 8, -16, 32 },
        { 0, 8, -16, 0 },
        { 0, 0xfffffffb, 0, 8 },
        { 0, UINT64_MAX - 4, 0, 8 },
        { 0, UINT64_MAX - 4, 8, 0 },
        { (1ull << 32) - 2 * PAGE, 0xfffffff0, 32, -64 },
        { (1ull << 32) - 2 * PAGE, 8, -32, 4 },
        { 1ull << 32 | 0x10000, 1ull << 32 | 0x10100, 4, 8 }, /* a page of 64-bit code is there */
    };
    IrBlock *ir = ir_block_new(slots, N_SLOTS, helpers, G_N_ELEMENTS(helpers));
    uint64_t usual = guest_memory;

    for (unsigned k = 0; k < 8 * G_N_ELEMENTS(rows); k++) {
        unsigned n = k / 8;
        IrVal root, which, addr;

        guest_memory = rows[n].memory;
        reset_state();
        s->reg[0] = rows[n].slot;
        s->reg[1] = k & 1;
        ir_block_reset(ir);
        ir->narrow = k & 2 && n + 1 < G_N_ELEMENTS(rows);
        ir_insn_start(ir, 0x400000);
        root = ir_get(ir, IR_I32, 0);
        if (k & 4) { /* whose upper half is known then */
            ir_put(ir, IR_I32, 0, root);
            root = ir_get(ir, IR_I32, 0);
        }
        which = ir_setcond(ir, COND_EQ, IR_I32, ir_get(ir, IR_I32, 1), ir_const(ir, IR_I32, 0));
        addr = ir_select(ir, IR_I32, which, ir_op2(ir, IR_add, IR_I32, root, ir_const(ir, IR_I32, rows[n].low)),
                         ir_op2(ir, IR_add, IR_I32, root, ir_const(ir, IR_I32, rows[n].low + 4)));
        ir_put(ir, IR_I32, 2, ir_load(ir, IR_I32, addr, rows[n].disp, 0));
        ir_exit_jump(ir, 0x402000);
        run_both(ir);
    }
    guest_memory = usual;
    ir_block_free(ir);
}

/* Accesses that share a check by a slot that holds more than 32 bits, which another slot gets between them without what is above. */
static void what_is_above_an_address_does_not_change(void)
{
    IrBlock *ir = ir_block_new(slots, N_SLOTS, helpers, G_N_ELEMENTS(helpers));
    uint64_t usual = guest_memory;

    guest_memory = (1ull << 32) - 2 * PAGE;
    for (unsigned k = 0; k < 4; k++) {
        IrVal addr;

        reset_state();
        s->reg[0] = 1ull << 32 | 4;
        ir_block_reset(ir);
        ir->narrow = true;
        ir_insn_start(ir, 0x400000);
        addr = ir_get(ir, IR_I32, 0);
        if (k & 1) {
            ir_put(ir, IR_I32, 12, addr);
        }
        ir_put(ir, IR_I32, 2, ir_load(ir, IR_I32, addr, -8, 0));
        ir_insn_start(ir, 0x400003);
        ir_put(ir, IR_I32, k & 2 ? 12 : 1, addr);
        ir_insn_start(ir, 0x400005);
        ir_put(ir, IR_I32, 0, ir_const(ir, IR_I32, 5));
        ir_insn_start(ir, 0x40000a);
        ir_put(ir, IR_I32, 3, ir_load(ir, IR_I32, addr, -12, 0));
        ir_exit_jump(ir, 0x402000);
        run_both(ir);
        g_assert_cmphex((uint32_t)s->reg[3], ==, *(uint32_t *)(memory + 2 * PAGE - 8));
    }
    guest_memory = usual;
    ir_block_free(ir);
}

static IrBlock *begin_block(void)
{
    IrBlock *ir = ir_block_new(slots, N_SLOTS, helpers, G_N_ELEMENTS(helpers));

    seed = 1;
    reset_state();
    ir_insn_start(ir, 0x1000);
    return ir;
}

static IrVal guest_address(IrBlock *ir, uint64_t offset)
{
    return ir_const(ir, IR_I64, guest_memory + offset);
}

static void raw_instructions_reach_memory_on_every_path(void)
{
    static const IrRaw movups_load = { .map = 1, .opcode = 0x10, .reg_role = RAW_XMM, .reg = 9, .rm_role = RAW_MEM,
                                       .mem_size = 16, .mem_read = true };
    static const IrRaw movups_store = { .map = 1, .opcode = 0x11, .reg_role = RAW_XMM, .reg = 9, .rm_role = RAW_MEM,
                                        .mem_size = 16, .mem_write = true };
    static const IrRaw addsd = { .prefix = 0xf2, .map = 1, .opcode = 0x58, .reg_role = RAW_XMM, .reg = 1,
                                 .rm_role = RAW_XMM, .rm = 12 };
    static const IrRaw ucomisd = { .prefix = 0x66, .map = 1, .opcode = 0x2e, .reg_role = RAW_XMM, .reg = 1,
                                   .rm_role = RAW_XMM, .rm = 2 };
    static const IrRaw movq_out = { .prefix = 0x66, .map = 1, .opcode = 0x7e, .w = true, .reg_role = RAW_XMM,
                                    .reg = 9, .rm_role = RAW_GPR_OUT, .gpr_type = IR_I64 };
    static const IrRaw movq_in = { .prefix = 0x66, .map = 1, .opcode = 0x6e, .w = true, .reg_role = RAW_XMM,
                                   .reg = 3, .rm_role = RAW_GPR_IN, .gpr_type = IR_I64 };
    static const IrRaw fld = { .opcode = 0xdb, .reg_role = RAW_DIGIT, .reg = 5, .rm_role = RAW_MEM, .mem_size = 10,
                               .mem_read = true, .x87 = true };
    static const IrRaw fstp = { .opcode = 0xdb, .reg_role = RAW_DIGIT, .reg = 7, .rm_role = RAW_MEM, .mem_size = 10,
                                .mem_write = true, .x87 = true };
    static const uint32_t places[] = { 0x100, PAGE - 3, PAGE + 8, 2 * PAGE - 5, 3 * PAGE, PAGES * PAGE - 4 };

    for (unsigned k = 0; k < G_N_ELEMENTS(places) * 3; k++) {
        g_autoptr(IrBlock) ir = begin_block();
        IrVal from = guest_address(ir, places[k % 6]), to = guest_address(ir, places[(k / 3 + k) % 6]);
        IrVal none = { 0 };
        IrValFlags r;

        ir_put(ir, IR_I64, SLOT_CC, ir_op2(ir, IR_add, IR_I64, ir_get(ir, IR_I64, 3), ir_const(ir, IR_I64, 5)));
        ir_raw(ir, &movups_load, from, 0, none, false);
        ir_raw(ir, &addsd, none, 0, none, false);
        ir_raw(ir, &movq_in, none, 0, ir_get(ir, IR_I64, 12), false);
        ir_insn_start(ir, 0x1004);
        ir_raw(ir, &fld, from, 3, none, false);
        ir_raw(ir, &fstp, to, 24, none, false);
        ir_insn_start(ir, 0x1008);
        ir_call(ir, H_FP, none, none, none, none);
        r = ir_raw(ir, &ucomisd, none, 0, none, true);
        ir_put(ir, IR_I8, 11, ir_setcc(ir, CC_B, r.flags));
        r = ir_raw(ir, &movq_out, none, 0, none, false);
        ir_put(ir, IR_I64, 6, r.value);
        ir_insn_start(ir, 0x100c);
        ir_raw(ir, &movups_store, to, 0, none, false);
        ir_exit_jump(ir, 0x1010);
        run_both(ir);
    }
}

static void an_unmasked_exception_is_a_fault_of_its_instruction(void)
{
    static const IrRaw divsd = { .prefix = 0xf2, .map = 1, .opcode = 0x5e, .reg_role = RAW_XMM, .reg = 1,
                                 .rm_role = RAW_XMM, .rm = 2, .may_fault = true };
    g_autoptr(IrBlock) ir = begin_block();
    IrVal none = { 0 };

    *(uint32_t *)(s->fx + 24) = 0x1d80; /* divide by zero unmasked */
    *(double *)(s->fx + 160 + 16) = 1;
    *(double *)(s->fx + 160 + 32) = 0;
    ir_put(ir, IR_I64, 0, ir_const(ir, IR_I64, 77));
    ir_put(ir, IR_I64, SLOT_CC, ir_const(ir, IR_I64, 78));
    ir_insn_start(ir, 0x1004);
    ir_raw(ir, &divsd, none, 0, none, false);
    ir_put(ir, IR_I64, 0, ir_const(ir, IR_I64, 79));
    ir_exit_jump(ir, 0x1010);
    run_both(ir);
    g_assert_cmphex(s->pc, ==, 0x1004);
    g_assert_cmpint(s->reg[0], ==, 77);
    g_assert_cmpint(s->cc[0], ==, 78);
}

static HostBlock *compile_now(IrBlock *ir)
{
    last_block = tcg_compile(ir, far_odd, NULL);
    g_assert_nonnull(last_block);
    return last_block;
}

/* The processors that guess by a hash of the address behind an FLDCW which word it loads: tcg/x86_64/control_word.c. */
static bool host_guesses_fldcw(void)
{
    unsigned eax, ebx, ecx, edx;

    return __builtin_cpu_is("amd") && __get_cpuid(1, &eax, &ebx, &ecx, &edx) && 15 + (eax >> 20 & 0xff) >= 0x1a;
}

/* The places of the FLDCWs with this displacement, one bit each. */
static uint32_t places_of_fldcw(const HostBlock *block, unsigned disp)
{
    enum { MODRM = 0x6c /* digit 5, a SIB byte and a displacement of eight bits */, SIZE = 4 };
    uint32_t places = 0;

    for (const uint8_t *at = block->code; at < block->code + block->size; at++) {
        if (at[0] == 0xd9 && at[1] == MODRM && at[3] == disp) {
            uintptr_t end = (uintptr_t)at + SIZE;
            unsigned low = end & 31, middle = end >> 5 & 31, high = end >> 10 & 15, turned = 0;

            for (unsigned k = 0; k < 5; k++) {
                turned |= (middle >> k & 1) << (4 - k);
            }
            places |= 1u << (low ^ turned ^ high << 1);
        }
    }
    return places;
}

static void two_control_words_are_at_different_places(void)
{
    static const IrRaw fldcw = { .opcode = 0xd9, .reg_role = RAW_DIGIT, .reg = 5, .rm_role = RAW_MEM, .mem_size = 2,
                                 .mem_read = true, .x87 = true };
    static const IrRaw frndint = { .opcode = 0xd9, .reg_role = RAW_DIGIT, .reg = 7, .rm_role = RAW_ST, .rm = 4, .x87 = true };
    uint32_t all[2] = { 0, 0 };

    if (!host_guesses_fldcw()) {
        g_test_skip("not this host's way");
        return;
    }
    for (unsigned k = 0; k < 64; k++) {
        g_autoptr(IrBlock) ir = begin_block();
        IrVal none = { 0 }, address = ir_op2(ir, IR_add, IR_I64, ir_get(ir, IR_I64, 3), ir_const(ir, IR_I64, 0));

        for (unsigned n = 0; n < k; n++) { /* to be elsewhere each time */
            ir_put(ir, IR_I64, 4, ir_op2(ir, IR_add, IR_I64, ir_get(ir, IR_I64, 4), ir_get(ir, IR_I64, 5)));
        }
        for (unsigned n = 0; n < 3; n++) {
            ir_raw(ir, &fldcw, address, 12, none, false);
            ir_raw(ir, &frndint, none, 0, none, false);
            ir_raw(ir, &fldcw, address, 14, none, false);
        }
        ir_exit_jump(ir, 0x1010);
        for (unsigned word = 0; word < 2; word++) {
            all[word] |= places_of_fldcw(compile_now(ir), word ? 14 : 12);
        }
    }
    g_assert_cmphex(all[0], !=, 0);
    g_assert_cmphex(all[1], !=, 0);
    g_assert_cmphex(all[0] & (all[0] - 1), ==, 0);
    g_assert_cmphex(all[1] & (all[1] - 1), ==, 0);
    g_assert_cmphex(all[0], !=, all[1]);
}

static void linked_exits_do_not_come_back(void)
{
    g_autoptr(IrBlock) a = begin_block(), b = begin_block();
    HostBlock *first, *second;
    HostExit *exit = NULL;

    ir_exit_jump(a, 0x2000);
    ir_poll(b, 0x2000);
    ir_put(b, IR_I64, 3, ir_const(b, IR_I64, 5));
    ir_exit_jump(b, 0x3000);
    first = compile_now(a);
    second = compile_now(b);
    other_block = first;
    g_assert_cmpint(tcg_enter(s, first->code, &exit), ==, TCG_EXIT_UNCHAINED);
    g_assert_true(exit == &first->exits[0]);
    tcg_link(exit, second);
    g_assert_cmpint(tcg_enter(s, first->code, &exit), ==, TCG_EXIT_UNCHAINED);
    g_assert_true(exit == &second->exits[0]);
    g_assert_cmphex(s->pc, ==, 0x3000);
    g_assert_cmpint(s->reg[3], ==, 5);
    s->hot.poll = -1;
    g_assert_cmpint(tcg_enter(s, first->code, &exit), ==, TCG_EXIT_POLL);
    g_assert_cmphex(s->pc, ==, 0x2000);
    s->hot.poll = 0;
    tcg_retire(second);
    s->pc = 0;
    g_assert_cmpint(tcg_enter(s, first->code, &exit), ==, TCG_EXIT_LOOKUP);
    g_assert_cmphex(s->pc, ==, 0x2000);
    tcg_unlink(&first->exits[0]);
    g_assert_cmpint(tcg_enter(s, first->code, &exit), ==, TCG_EXIT_UNCHAINED);
    other_block = NULL;
}

static void the_jump_cache_is_used(void)
{
    g_autoptr(IrBlock) near = begin_block(), b = begin_block(), indirect = begin_block();
    uint64_t pc = 0xffffffff81002001;
    HostBlock *far, *via, *target;
    HostExit *exit = NULL;

    ir_exit_jump(near, pc);
    ir_exit_lookup(indirect, ir_get(indirect, IR_I64, 11), BRANCH_RETURN);
    ir_put(b, IR_I64, SLOT_PC, ir_const(b, IR_I64, 1));
    ir_exit_main(b, TCG_EXIT_YIELD);
    far = compile_now(near);
    via = compile_now(indirect);
    target = compile_now(b);
    g_assert_cmpint(tcg_enter(s, far->code, &exit), ==, TCG_EXIT_LOOKUP);
    g_assert_cmphex(s->pc, ==, pc);
    for (unsigned i = 0; i < 5; i++) { /* that an empty place might look like */
        s->reg[11] = (const uint64_t[]){ 0, 1, 0x10000, 0x10001, UINT64_MAX }[i];
        g_assert_cmpint(tcg_enter(s, via->code, &exit), ==, TCG_EXIT_LOOKUP);
        g_assert_cmphex(s->pc, ==, s->reg[11]);
    }
    jumps[jump_cache_index(pc, 0)] = (JumpCacheEntry){ pc, target->code };
    g_assert_cmpint(tcg_enter(s, far->code, &exit), ==, TCG_EXIT_YIELD);
    s->reg[11] = pc;
    g_assert_cmpint(tcg_enter(s, via->code, &exit), ==, TCG_EXIT_YIELD);
    s->reg[11] = pc + 1;
    g_assert_cmpint(tcg_enter(s, via->code, &exit), ==, TCG_EXIT_LOOKUP);
    g_assert_cmphex(s->pc, ==, pc + 1);
    jumps[jump_cache_index(pc, 0)] = (JumpCacheEntry){ 0 };
}

static void the_counter_is_the_hosts(void)
{
    g_autoptr(IrBlock) b = begin_block();
    HostExit *exit = NULL;
    HostBlock *code;
    IrPair counter = ir_host_counter(b);

    ir_put(b, IR_I64, 2, counter.high); /* where the host has it, and elsewhere */
    ir_put(b, IR_I64, 9, counter.low);
    ir_put(b, IR_I64, 11, ir_op2(b, IR_or, IR_I64, ir_op2(b, IR_shl, IR_I64, counter.high, ir_const(b, IR_I8, 32)), counter.low));
    ir_put(b, IR_I64, SLOT_PC, ir_const(b, IR_I64, 1));
    ir_exit_main(b, TCG_EXIT_YIELD);
    code = compile_now(b);
    for (unsigned interpreted = 0; interpreted < 2; interpreted++) {
        uint64_t before = __builtin_ia32_rdtsc();

        for (unsigned i = 0; i < 16; i++) {
            s->reg[i] = 0x1234567800000000 + i;
        }
        g_assert_cmpint(interpreted ? tcg_interpret(s, b, NULL, NULL) : tcg_enter(s, code->code, &exit), ==, TCG_EXIT_YIELD);
        g_assert_cmpuint(s->reg[11], >=, before);
        g_assert_cmpuint(s->reg[11], <=, __builtin_ia32_rdtsc());
        g_assert_cmphex(s->reg[2], ==, s->reg[11] >> 32);
        g_assert_cmphex(s->reg[9], ==, s->reg[11] & UINT32_MAX);
        for (unsigned i = 0; i < 16; i++) {
            if (i != 2 && i != 9 && i != 11) {
                g_assert_cmphex(s->reg[i], ==, 0x1234567800000000 + i);
            }
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    setup();
    g_test_add_func("/tcg/x86_64/random", random_blocks_do_what_the_interpreter_does);
    g_test_add_func("/tcg/x86_64/narrow", addresses_of_32_bits_wrap);
    g_test_add_func("/tcg/x86_64/choices", choices_of_32_bits_wrap);
    g_test_add_func("/tcg/x86_64/above", what_is_above_an_address_does_not_change);
    g_test_add_func("/tcg/x86_64/raw", raw_instructions_reach_memory_on_every_path);
    g_test_add_func("/tcg/x86_64/unmasked", an_unmasked_exception_is_a_fault_of_its_instruction);
    g_test_add_func("/tcg/x86_64/control-words", two_control_words_are_at_different_places);
    g_test_add_func("/tcg/x86_64/links", linked_exits_do_not_come_back);
    g_test_add_func("/tcg/x86_64/jump-cache", the_jump_cache_is_used);
    g_test_add_func("/tcg/x86_64/counter", the_counter_is_the_hosts);
    return g_test_run();
}
