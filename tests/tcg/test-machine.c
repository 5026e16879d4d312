/*
 * The machine that random IR runs on: a state, eight pages of memory, a few helpers.
 *
 * All that translated code calls here leaves vector and x87 registers alone, as the contract says.
 */
#include "random-ir.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#define REGISTERS_ONLY                                                                  \
    __attribute__((target("general-regs-only"), optimize("no-tree-loop-distribute-patterns"), \
                   no_sanitize("address", "undefined")))
#define TLB_SIZE 16

#define REG(n, rank) {"r" #n, offsetof(TestState, reg) + (n) * 8, IR_I64, rank}

static const IrSlot slots[TEST_SLOTS] = {
    REG(0, 0), REG(1, 1), REG(2, 2), REG(3, 3), REG(4, 10), REG(5, 4), REG(6, 5), REG(7, 6),
    REG(8, 7), REG(9, 8), REG(10, 9), REG(11, -1), REG(12, -1), REG(13, -1), REG(14, -1), REG(15, -1),
    [TEST_SLOT_CC_DST] = {"cc_dst", offsetof(TestState, cc_dst), IR_I64, -1},
    [TEST_SLOT_CC_SRC] = {"cc_src", offsetof(TestState, cc_src), IR_I64, -1},
    [TEST_SLOT_CC_OP] = {"cc_op", offsetof(TestState, cc_op), IR_I8, -1},
    [TEST_SLOT_CC_AUX] = {"cc_aux", offsetof(TestState, cc_aux), IR_I8, -1},
    [TEST_SLOT_PC] = {"pc", offsetof(TestState, pc), IR_I64, -1},
};

const TcgTarget test_target = {
    .slots = slots,
    .n_slots = TEST_SLOTS,
    .pc_slot = TEST_SLOT_PC,
    .fxsave_offset = offsetof(TestState, fx),
    .use_vector_pins = true,
};

uint8_t test_ram[TEST_RAM_SIZE] __attribute__((aligned(4096)));
const HostBlock *test_host_block, *test_next_block;
static TlbEntry tlb_load[TLB_SIZE], tlb_store[TLB_SIZE];

REGISTERS_ONLY static void fault(void *state, uint64_t addr, bool is_store, uintptr_t retaddr)
{
    TestState *s = state;

    tcg_restore(s, retaddr);
    s->hot.scratch = addr << 1 | is_store;
    tcg_unwind(s, TCG_EXIT_EXCEPTION);
}

REGISTERS_ONLY static uint8_t *byte_at(void *state, uint64_t addr, bool is_store, uintptr_t retaddr)
{
    uint64_t offset = addr - TEST_RAM_BASE;

    if (offset >= (is_store ? 0x6000 : 0x7000)) {
        fault(state, addr, is_store, retaddr);
    }
    return test_ram + offset;
}

REGISTERS_ONLY static void load_bytes(void *state, uint64_t addr, void *buf, unsigned size, uintptr_t retaddr)
{
    for (unsigned i = 0; i < size; i++) {
        ((uint8_t *)buf)[i] = *byte_at(state, addr + i, false, retaddr);
    }
}

REGISTERS_ONLY static void probe_store(void *state, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    for (unsigned i = 0; i < size; i++) {
        byte_at(state, addr + i, true, retaddr);
    }
}

REGISTERS_ONLY static void store_bytes(void *state, uint64_t addr, const void *buf, unsigned size,
                                       uintptr_t retaddr)
{
    probe_store(state, addr, size, 0, retaddr);
    for (unsigned i = 0; i < size; i++) {
        *byte_at(state, addr + i, true, retaddr) = ((const uint8_t *)buf)[i];
    }
}

REGISTERS_ONLY static uint64_t load(void *state, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    uint64_t v = 0;

    if (mem & IRM_UPDATE) {
        probe_store(state, addr, size, 0, retaddr);
    }
    load_bytes(state, addr, &v, size, retaddr);
    return v;
}

REGISTERS_ONLY static void store(void *state, uint64_t addr, uint64_t value, unsigned size, unsigned mem,
                                 uintptr_t retaddr)
{
    store_bytes(state, addr, &value, size, retaddr);
}

REGISTERS_ONLY static uint64_t atomic(void *state, uint64_t addr, unsigned op_size, uint64_t b, uint64_t c,
                                      uintptr_t retaddr)
{
    unsigned size = op_size & 0xff;
    uint64_t old;

    probe_store(state, addr, size, 0, retaddr);
    old = load(state, addr, size, 0, retaddr);
    store(state, addr, ir_atomic_result(op_size >> 8, old, b, c, size), size, 0, retaddr);
    return old;
}

REGISTERS_ONLY static void unaligned(void *state, uint64_t addr, bool is_store, uintptr_t retaddr)
{
    fault(state, ~addr, is_store, retaddr);
}

static void host_fault(void *state, int signal, int code, uintptr_t host_pc)
{
    fault(state, signal, code, 0);
}

REGISTERS_ONLY static const HostBlock *find_block(uintptr_t host_pc)
{
    return test_next_block && tcg_block_has(test_next_block, host_pc) ? test_next_block : test_host_block;
}

const TcgRuntime test_runtime = {
    .load = load, .store = store, .load_bytes = load_bytes, .store_bytes = store_bytes,
    .probe_store = probe_store, .atomic = atomic, .unaligned = unaligned, .host_fault = host_fault,
    .find_block = find_block,
};

REGISTERS_ONLY static uint64_t pure(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return a * 31 + b * 37 + c * 41 + d;
}

REGISTERS_ONLY static uint64_t reads(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    const TestState *s = state;

    return s->reg[0] + s->reg[12] * 3 + s->cc_op * 5 + a;
}

REGISTERS_ONLY static uint64_t writes(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    TestState *s = state;

    s->reg[1] += a;
    s->reg[13] ^= b;
    s->cc_src = 99;
    return 0;
}

REGISTERS_ONLY static uint64_t may_fault(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if ((a & 7) == 0) {
        fault(state, a, false, tcg_caller_pc(state));
    }
    return 0;
}

REGISTERS_ONLY static uint64_t all(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    TestState *s = state;
    uint64_t sum = 0;

    for (unsigned i = 0; i < 16; i++) {
        sum = sum * 3 + s->reg[i];
        s->reg[i] += i;
    }
    return sum;
}

/* Destroys the host's vector registers, sees and changes the guest's in the state. */
static uint64_t uses_fp(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    TestState *s = state;
    uint64_t v;

    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0; pcmpeqd %%xmm5, %%xmm5; pcmpeqd %%xmm15, %%xmm15"
                     : : : "xmm0", "xmm5", "xmm15");
    memcpy(&v, s->fx + 160 + 5 * 16, 8);
    a += v;
    memcpy(s->fx + 160 + 7 * 16, &a, 8);
    return v;
}

const IrHelper test_helpers[] = {
    {"pure", (void *)pure, 4, IR_I64, EFFECT_PURE, 0, 0},
    {"reads", (void *)reads, 1, IR_I64, 0, 1 << 0 | 1 << 12 | 1 << TEST_SLOT_CC_OP, 0},
    {"writes", (void *)writes, 2, IR_VOID, 0, 1 << 1 | 1 << 13, 1 << 1 | 1 << 13 | 1 << TEST_SLOT_CC_SRC},
    {"may_fault", (void *)may_fault, 1, IR_VOID, EFFECT_FAULT, 0, 0},
    {"all", (void *)all, 0, IR_I64, 0, ~0ull, ~0ull},
    {"uses_fp", (void *)uses_fp, 1, IR_I64, EFFECT_FP, 0, 0},
};
const uint32_t test_n_helpers = G_N_ELEMENTS(test_helpers);

TestState *test_state_new(void)
{
    size_t size = CPU_STACK_SIZE + 4096;
    uint8_t *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    G_STATIC_ASSERT(sizeof(TestState) <= 4096);
    g_assert(base != MAP_FAILED);
    return (TestState *)(base + CPU_STACK_SIZE);
}

static void fill_tlb(TlbEntry *tlb, unsigned pages)
{
    for (unsigned i = 0; i < TLB_SIZE; i++) {
        tlb[i].tag = TLB_INVALID;
    }
    for (unsigned i = 0; i < pages; i++) {
        uint64_t page = TEST_RAM_BASE + i * 4096;
        TlbEntry *entry = &tlb[page >> 12 & (TLB_SIZE - 1)];

        entry->tag = page;
        entry->addend = (uintptr_t)test_ram - TEST_RAM_BASE;
    }
}

void test_state_fill(TestState *s, uint64_t seed)
{
    static JumpCacheEntry jump_cache[JUMP_CACHE_SIZE]; /* zeros are empty places, and translated code only reads it */
    GRand *random = g_rand_new_with_seed(seed);
    uint32_t mxcsr = 0x1f80;

    jump_cache[0].pc = jump_cache_empty(0);
    fill_tlb(tlb_load, 5);
    fill_tlb(tlb_store, 4);
    memset(s, 0, sizeof(*s));
    s->hot.tlb_mask = (TLB_SIZE - 1) * sizeof(TlbEntry);
    s->hot.tlb_load = tlb_load;
    s->hot.tlb_store = tlb_store;
    s->hot.jump_cache = jump_cache;
    for (unsigned i = 0; i < 16; i++) {
        s->reg[i] = (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);
        if (g_rand_boolean(random)) {
            s->reg[i] >>= g_rand_int_range(random, 0, 64);
        }
    }
    s->cc_dst = g_rand_int(random);
    s->cc_src = g_rand_int(random);
    s->cc_op = g_rand_int(random);
    s->cc_aux = g_rand_int(random);
    s->pc = 0x400000;
    s->fx[0] = 0x7f;
    s->fx[1] = 3;
    memcpy(s->fx + 24, &mxcsr, 4);
    for (unsigned i = 0; i < 256; i++) {
        s->fx[160 + i] = g_rand_int(random);
    }
    for (unsigned i = 0; i < TEST_RAM_SIZE; i += 4) {
        uint32_t v = g_rand_int(random);

        memcpy(test_ram + i, &v, 4);
    }
    g_rand_free(random);
}

void test_result_take(TestResult *r, const TestState *s, TcgExit exit)
{
    r->exit = exit;
    r->state = *s;
    memcpy(r->ram, test_ram, sizeof(r->ram));
}

static void show(GString *text, const char *name, uint64_t expected, uint64_t got)
{
    if (expected != got) {
        g_string_append_printf(text, "%s is 0x%" G_GINT64_MODIFIER "x, expected 0x%" G_GINT64_MODIFIER "x\n",
                               name, got, expected);
    }
}

/* FXSAVE: the x87 instruction and data pointers depend on where code lies. */
static bool same_fx(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, 6) == 0 && memcmp(a + 24, b + 24, 4) == 0 && memcmp(a + 32, b + 32, 384) == 0;
}

void test_result_compare(const TestResult *expected, const TestResult *got, const IrBlock *ir, uint64_t seed,
                         unsigned what)
{
    uint64_t ignored = what & RANDOM_DEAD && expected->exit == TCG_EXIT_LOOKUP ? TEST_DEAD_SLOTS : 0;
    const TestState *a = &expected->state, *b = &got->state;
    g_autoptr(GString) text = g_string_new(NULL);

    show(text, "exit", expected->exit, got->exit);
    for (unsigned i = 0; i < TEST_SLOTS; i++) {
        uint64_t v[2] = {0, 0};

        memcpy(&v[0], (const uint8_t *)a + slots[i].offset, ir_type_size(slots[i].type));
        memcpy(&v[1], (const uint8_t *)b + slots[i].offset, ir_type_size(slots[i].type));
        if (!(ignored >> i & 1)) {
            show(text, slots[i].name, v[0], v[1]);
        }
    }
    if (expected->exit == TCG_EXIT_EXCEPTION) {
        show(text, "fault address", a->hot.scratch, b->hot.scratch);
    }
    show(text, "fp_loaded", 0, b->hot.fp_loaded);
    if (!same_fx(a->fx, b->fx)) {
        for (unsigned i = 0; i < 416; i++) {
            g_autofree char *name = g_strdup_printf("fx[%u]", i);

            show(text, name, a->fx[i], b->fx[i]);
        }
    }
    if (memcmp(a->tail, b->tail, sizeof(a->tail)) != 0) {
        g_string_append(text, "the end of the state was written\n");
    }
    for (unsigned i = 0; i < TEST_RAM_SIZE; i++) {
        g_autofree char *name = expected->ram[i] == got->ram[i] ? NULL : g_strdup_printf("byte 0x%x", TEST_RAM_BASE + i);

        if (name) {
            show(text, name, expected->ram[i], got->ram[i]);
        }
    }
    if (text->len) {
        g_string_append_printf(text, "seed %" G_GUINT64_FORMAT ":\n", seed);
        ir_dump(ir, text);
        g_printerr("%s", text->str);
        g_assert_not_reached();
    }
}
