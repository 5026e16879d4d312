/* The machine that FP instructions are compared on, see fp-machine.h. */
#include "fp-machine.h"

#include "accel/accel.h"
#include "tests/random.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#define REGISTERS_ONLY                                                                  \
    __attribute__((target("general-regs-only"), optimize("no-tree-loop-distribute-patterns"), \
                   no_sanitize("address", "undefined")))
#define NATIVE_BASE 0x10000000ul
#define TLB_SIZE    16

/* In the low 2 GiB, where it has absolute addresses. */
typedef struct Native {
    FpContext c;
    uint8_t code[4096] __attribute__((aligned(4096)));
} Native;

G_STATIC_ASSERT(offsetof(Native, c.data) + FPM_DATA_SIZE <= 4096);

static Native *const native = (Native *)NATIVE_BASE;
static Cpu *cpu;
static sigjmp_buf native_trap;
static volatile bool native_running;
static const uint8_t *guest_code;
static unsigned guest_code_size;
static const HostBlock *host_block;
static TlbEntry tlb_load[TLB_SIZE], tlb_store[TLB_SIZE];
static uint64_t random_state = 0x9e3779b97f4a7c15;

uint64_t fpm_mode = MODE_CS64 | MODE_PE | MODE_FLAT | MODE_FLAT_CS | MODE_SS32 | MODE_OSFXSR | MODE_LMA |
                    MODE_OSXMMEXCPT | MODE_OSXSAVE | MODE_AVX;

/* Where no engine is linked. */
__attribute__((weak)) EngineOps engine;
__attribute__((weak)) const AccelOps *accel;

#define GUEST_PC 0x400000ul

uint64_t fpm_page_end;

/* Memory: what is not in the data area faults as #PF would. */

REGISTERS_ONLY static bool in_data(uint64_t addr, unsigned size)
{
    uint64_t start = fpm_data_address();

    return addr >= start && addr + size <= start + FPM_DATA_SIZE;
}

REGISTERS_ONLY static void check(void *state, uint64_t addr, unsigned size, uintptr_t retaddr)
{
    if (!in_data(addr, size)) {
        x86_raise_error(state, EXC_PF, 0, retaddr);
    }
}

REGISTERS_ONLY static uint64_t rt_load(void *state, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    uint64_t v = 0;

    check(state, addr, size, retaddr);
    for (unsigned i = 0; i < size; i++) {
        v |= (uint64_t)((uint8_t *)addr)[i] << i * 8;
    }
    return v;
}

REGISTERS_ONLY static void rt_store(void *state, uint64_t addr, uint64_t value, unsigned size, unsigned mem,
                                    uintptr_t retaddr)
{
    check(state, addr, size, retaddr);
    for (unsigned i = 0; i < size; i++) {
        ((uint8_t *)addr)[i] = value >> i * 8;
    }
}

REGISTERS_ONLY static void rt_load_bytes(void *state, uint64_t addr, void *buf, unsigned size, uintptr_t retaddr)
{
    check(state, addr, size, retaddr);
    for (unsigned i = 0; i < size; i++) {
        ((uint8_t *)buf)[i] = ((uint8_t *)addr)[i];
    }
}

REGISTERS_ONLY static void rt_store_bytes(void *state, uint64_t addr, const void *buf, unsigned size,
                                          uintptr_t retaddr)
{
    check(state, addr, size, retaddr);
    for (unsigned i = 0; i < size; i++) {
        ((uint8_t *)addr)[i] = ((const uint8_t *)buf)[i];
    }
}

REGISTERS_ONLY static void rt_probe(void *state, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    check(state, addr, size, retaddr);
}

REGISTERS_ONLY static void rt_unaligned(void *state, uint64_t addr, bool is_store, uintptr_t retaddr)
{
    x86_raise_error(state, EXC_GP, 0, retaddr);
}

static void rt_host_fault(void *state, int sig, int code, uintptr_t host_pc)
{
    x86_raise_host_fp(cpu, sig, code);
}

REGISTERS_ONLY static const HostBlock *rt_find_block(uintptr_t host_pc)
{
    return host_block && tcg_block_has(host_block, host_pc) ? host_block : NULL;
}

static const TcgRuntime runtime = {
    .load = rt_load, .store = rt_store, .load_bytes = rt_load_bytes, .store_bytes = rt_store_bytes,
    .probe_store = rt_probe, .unaligned = rt_unaligned, .host_fault = rt_host_fault,
    .find_block = rt_find_block,
};

static uint64_t engine_load(Cpu *c, VirtAddr addr, unsigned size, unsigned mode, uintptr_t retaddr)
{
    return rt_load(c->state, addr, size, 0, retaddr);
}

static void engine_store(Cpu *c, VirtAddr addr, uint64_t value, unsigned size, unsigned mode, uintptr_t retaddr)
{
    rt_store(c->state, addr, value, size, 0, retaddr);
}

static void *engine_probe(Cpu *c, VirtAddr addr, unsigned size, MmuAccess access, unsigned mode,
                          uintptr_t retaddr)
{
    check(c->state, addr, size, retaddr);
    return addr & 1 || (addr < fpm_page_end && addr + size > fpm_page_end) ? NULL : (void *)addr;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    uintptr_t pc = uc->uc_mcontext.gregs[REG_RIP];

    if (native_running) {
        native->c.vector = sig == SIGILL ? EXC_UD : sig == SIGFPE ? EXC_MF : EXC_GP;
        memcpy(&native->c.fx, uc->uc_mcontext.fpregs, 416);
        siglongjmp(native_trap, 1);
    }
    g_printerr("signal %d at %lx\n", sig, pc);
    abort();
}

void fpm_init(void)
{
    static const int signals[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
    g_autoptr(GError) error = NULL;
    void *at = mmap(native, sizeof(Native), PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    g_assert(at == native);
    /* The back-end's handlers go on to these. */
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        sigaction(signals[i], &action, NULL);
    }
    engine.load = engine_load;
    engine.store = engine_store;
    engine.probe = engine_probe;
    cpu = cpu_new(&x86_cpu_type, "max", 0, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < TLB_SIZE; i++) {
        tlb_load[i].tag = tlb_store[i].tag = TLB_INVALID;
    }
    cpu->hot->tlb_mask = (TLB_SIZE - 1) * sizeof(TlbEntry);
    cpu->hot->tlb_load = tlb_load;
    cpu->hot->tlb_store = tlb_store;
    tcg_init(&guest_ops(cpu)->tcg, &runtime, NULL, &error);
    g_assert_no_error(error);
}

X86State *fpm_state(void)
{
    return cpu->state;
}

REGISTERS_ONLY uint64_t fpm_data_address(void)
{
    return NATIVE_BASE + offsetof(Native, c.data);
}

/* The oracle. */

static uint8_t *put(uint8_t *at, const void *bytes, unsigned size)
{
    memcpy(at, bytes, size);
    return at + size;
}

/* An instruction with the operand [absolute address]. */
static uint8_t *put_absolute(uint8_t *at, const char *bytes, unsigned size, unsigned reg, const void *address)
{
    uint32_t where = (uintptr_t)address;

    at = put(at, bytes, size);
    *at++ = (reg & 7) << 3 | 4;
    *at++ = 0x25;
    return put(at, &where, 4);
}

/* vinsertf128 (18) or vextractf128 (19) of all upper halves. */
static uint8_t *put_upper_halves(uint8_t *at, uint8_t opcode)
{
    for (unsigned i = 0; i < 16 && __builtin_cpu_supports("avx"); i++) {
        uint8_t bytes[] = {0xc4, (i < 8) << 7 | 0x63, (opcode == 0x18 ? ~i & 15 : 15) << 3 | 5, opcode};

        at = put_absolute(at, (char *)bytes, 4, i, native->c.ymm_high[i]);
        *at++ = 1;
    }
    return at;
}

static void build_stub(const uint8_t *code, unsigned size)
{
    static const uint8_t enter[] = {0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57};
    static const uint8_t leave[] = {0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3};
    uint8_t *at = put(native->code, enter, sizeof(enter));
    FpContext *c = &native->c;

    at = put_upper_halves(at, 0x18);
    at = put_absolute(at, "\x48\x0f\xae", 3, 1, &c->fx); /* fxrstor64 */
    at = put_absolute(at, "\xff", 1, 6, &c->flags);      /* push */
    *at++ = 0x9d;
    for (unsigned i = 0; i < 16; i++) {
        if (i != R_SP) {
            at = put_absolute(at, i < 8 ? "\x48\x8b" : "\x4c\x8b", 2, i, &c->gpr[i]);
        }
    }
    at = put(at, code, size);
    for (unsigned i = 0; i < 16; i++) {
        if (i != R_SP) {
            at = put_absolute(at, i < 8 ? "\x48\x89" : "\x4c\x89", 2, i, &c->gpr[i]);
        }
    }
    *at++ = 0x9c;
    at = put_absolute(at, "\x8f", 1, 0, &c->flags);     /* pop */
    at = put_absolute(at, "\x48\x0f\xae", 3, 0, &c->fx); /* fxsave64 */
    at = put_upper_halves(at, 0x19);
    put(at, leave, sizeof(leave));
    __builtin___clear_cache((char *)native->code, (char *)native->code + sizeof(native->code));
}

void fpm_run_native(FpContext *c, const uint8_t *code, unsigned size)
{
    uint32_t mxcsr = 0x1f80;
    uint16_t fcw = 0x37f;

    native->c = *c;
    native->c.vector = -1;
    build_stub(code, size);
    if (!sigsetjmp(native_trap, 1)) {
        native_running = true;
        ((void (*)(void))native->code)();
    }
    native_running = false;
    __asm__ volatile("fninit; fldcw %0; ldmxcsr %1" : : "m"(fcw), "m"(mxcsr));
    *c = native->c;
}

/* The translator. */

static bool fetch(Translation *t, uint64_t pc, uint8_t *byte)
{
    static const uint8_t padding = 0x90;

    *byte = pc - GUEST_PC < guest_code_size ? guest_code[pc - GUEST_PC] : padding;
    return true;
}

static bool no_breakpoint(Translation *t, uint64_t pc)
{
    return false;
}

static bool far_exit(void *opaque, uint64_t pc)
{
    return false;
}

void fpm_run_translated(FpEngine how, FpContext *c, const uint8_t *code, unsigned size)
{
    static IrBlock *ir;
    X86State *s = cpu->state;
    BlockKey key = {.pc = GUEST_PC, .flags = fpm_mode};
    Translation t = {.cpu = cpu, .key = &key, .max_insns = 64, .fetch = fetch, .has_breakpoint = no_breakpoint};
    HostExit *exit = NULL;
    uint64_t exit_pc;
    char *why = NULL;
    TcgExit reason;

    native->c = *c; /* the data */
    memcpy(s->fx, &c->fx, sizeof(s->fx));
    memcpy(s->ymm_high, c->ymm_high, sizeof(s->ymm_high));
    memcpy(s->reg, c->gpr, sizeof(s->reg));
    s->eflags = 2;
    x86_set_eflags(s, c->flags, FLAGS_ALL);
    s->pc = GUEST_PC;
    s->mode_flags = fpm_mode;
    s->cr0 = CR0_PE | CR0_NE;
    s->xcr0 = 7;
    s->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    s->hot.fp_loaded = 0;
    s->exception.vector = -1;
    guest_code = code;
    guest_code_size = size;

    if (!ir) {
        ir = ir_block_new(x86_slots, SLOT_COUNT, x86_helpers, HELPER_COUNT);
    }
    ir_block_reset(ir);
    t.ir = ir;
    /* The instructions, and no padding behind them. */
    for (unsigned insns = 1; ; insns++) {
        ir_block_reset(ir);
        t.max_insns = insns;
        x86_translate(&t);
        if (t.end_pc >= GUEST_PC + size || t.n_insns < insns) {
            break;
        }
    }
    if (!ir_verify(ir, &why)) {
        g_autoptr(GString) text = g_string_new(NULL);

        ir_dump(ir, text);
        g_error("%s in\n%s", why, text->str);
    }
    ir_optimise(ir);
    if (how == FPM_INTERPRET) {
        reason = tcg_interpret(s, ir, &exit, &exit_pc);
    } else {
        HostBlock *block = tcg_compile(ir, far_exit, NULL);
        unsigned entry = (NATIVE_BASE >> 12) & (TLB_SIZE - 1);

        /* Now and then as TLB hits; addresses are the host's own. */
        tlb_load[entry].tag = fpm_below(2) ? NATIVE_BASE : TLB_INVALID;
        tlb_store[entry].tag = fpm_below(2) ? NATIVE_BASE : TLB_INVALID;

        tcg_sites_init(tcg_sites(s));
        g_assert(block);
        host_block = block;
        reason = tcg_enter(s, block->code, &exit);
        host_block = NULL;
    }
    *c = native->c;
    c->vector = reason == TCG_EXIT_EXCEPTION ? s->exception.vector : -1;
    memcpy(&c->fx, s->fx, sizeof(s->fx));
    memcpy(c->ymm_high, s->ymm_high, sizeof(s->ymm_high));
    memcpy(c->gpr, s->reg, sizeof(s->reg));
    c->flags = x86_flags(s);
}

int fpm_vector_in(FpEngine how, uint64_t mode, const uint8_t *code, unsigned size)
{
    uint64_t saved = fpm_mode;
    FpContext c;

    fpm_random_context(&c);
    c.gpr[R_BX] = fpm_data_address();
    fpm_mode = mode;
    fpm_run_translated(how, &c, code, size);
    fpm_mode = saved;
    return c.vector;
}

/* Random contexts. */

uint64_t fpm_random(void)
{
    return random_step(&random_state);
}

unsigned fpm_below(unsigned n)
{
    return (fpm_random() >> 33) % n;
}

static void random_vector(uint8_t *to)
{
    static const uint32_t singles[] = {
        0, 0x80000000, 0x3f800000, 0xbf800000, 1, 0x807fffff, 0x00800000, 0x7f7fffff, 0x7f800000, 0xff800000,
        0x7fc00000, 0xffc12345, 0x7f800001, 0xffa00000, 0x4f000000, 0xcf000001, 0x5f000000, 0x40490fdb,
    };
    static const uint64_t doubles[] = {
        0, 1ull << 63, 0x3ff0000000000000, 0xbff8000000000000, 1, 0x800fffffffffffff, 0x0010000000000000,
        0x7fefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8123456789abc,
        0x7ff0000000000001, 0xfff4000000000000, 0x41e0000000000000, 0xc1e0000000200000, 0x43e0000000000000,
        0x3810000000000000, 0x36a0000000000000, 0x47efffffffffffff, 0x400921fb54442d18,
    };
    static const uint8_t bytes[] = {0, 1, 0x7f, 0x80, 0xff, 'a', 'b', 'c'};
    unsigned kind = fpm_below(5);
    uint64_t v[2] = {fpm_random(), fpm_random()};

    for (unsigned i = 0; i < 2; i++) {
        if (kind == 0) {
            v[i] = (uint64_t)singles[fpm_below(G_N_ELEMENTS(singles))] << 32 |
                   singles[fpm_below(G_N_ELEMENTS(singles))];
        } else if (kind == 1) {
            v[i] = doubles[fpm_below(G_N_ELEMENTS(doubles))];
        } else if (kind == 2) { /* near 1.0 as singles and doubles */
            v[i] = (v[i] & 0x83ffffff83ffffff) | 0x3c0000003c000000;
        } else if (kind == 3) {
            for (unsigned b = 0; b < 8; b++) {
                ((uint8_t *)&v[i])[b] = bytes[fpm_below(G_N_ELEMENTS(bytes))];
            }
        }
    }
    memcpy(to, v, 16);
}

static void random_st(uint8_t *to)
{
    static const struct { uint64_t significand; uint16_t exponent; } values[] = {
        {0, 0}, {0, 0x8000}, {1ull << 63, 0x3fff}, {1ull << 63, 0xbfff}, {3ull << 62, 0x4000},
        {1ull << 63, 0x7fff}, {1ull << 63, 0xffff}, {3ull << 62, 0x7fff}, {0xc123456789abcdef, 0xffff},
        {0x8000000000000001, 0x7fff}, {0xa000000000000000, 0xffff}, {1, 0}, {0x7fffffffffffffff, 0x8000},
        {1ull << 63, 0}, /* pseudo-denormal */ {0x4000000000000000, 0x3fff}, /* unnormal */
        {0, 0x7fff}, /* pseudo-infinity */ {1, 0xffff}, /* pseudo-NaN */
        {0xffffffffffffffff, 0x7ffe}, {1ull << 63, 1}, {0xc90fdaa22168c235, 0x4000},
        {0xffffffffffffffff, 0x403e}, {1ull << 63, 0xc03e}, {0xb504f333f9de6484, 0x3ffe},
    };
    unsigned kind = fpm_below(3), n = fpm_below(G_N_ELEMENTS(values));
    uint64_t significand = fpm_random() | 1ull << 63;
    uint16_t exponent = 0x3fff - 40 + fpm_below(110);

    if (kind == 0) {
        significand = values[n].significand;
        exponent = values[n].exponent;
    } else if (kind == 1) {
        exponent = 0x3fff - 4 + fpm_below(8);
        significand &= ~0ull << fpm_below(64);
        significand |= 1ull << 63;
    }
    exponent |= kind && fpm_below(2) ? 0x8000 : 0;
    memset(to, 0, 16);
    memcpy(to, &significand, 8);
    memcpy(to + 8, &exponent, 2);
}

void fpm_random_context(FpContext *c)
{
    memset(c, 0, sizeof(*c));
    c->vector = -1;
    c->fx.fcw = 0x7f | fpm_below(4) << 8 | fpm_below(4) << 10;
    if ((c->fx.fcw >> 8 & 3) == 1) {
        c->fx.fcw |= 0x300; /* precision control 1 is reserved */
    }
    c->fx.fsw = fpm_below(8) << FSW_TOP_SHIFT | (fpm_random() & 0x477f);
    c->fx.tags = fpm_below(4) ? 0xff : fpm_random();
    c->fx.mxcsr = 0x1f80 | fpm_below(4) << 13 | (fpm_below(4) ? 0 : 0x8000) | (fpm_below(4) ? 0 : 0x40) |
                  (fpm_random() & 0x3f);
    c->fx.mxcsr_mask = x86_mxcsr_mask();
    for (unsigned i = 0; i < 8; i++) {
        random_st(c->fx.st[i]);
    }
    for (unsigned i = 0; i < 16; i++) {
        random_vector(c->fx.xmm[i]);
        random_vector(c->ymm_high[i]);
        c->gpr[i] = fpm_random() >> (fpm_below(4) ? 0 : fpm_below(64));
    }
    c->flags = 0x202 | (fpm_random() & FLAGS_ALL);
    for (unsigned i = 0; i < sizeof(c->data); i += 16) {
        random_vector(c->data + i);
    }
    random_st(c->data + fpm_below(2) * 16);
}

static void compare(GString *out, const char *what, unsigned n, const void *want, const void *got, unsigned size)
{
    const uint8_t *a = want, *b = got;

    if (memcmp(a, b, size) != 0) {
        g_string_append_printf(out, "  %s%u: host ", what, n);
        for (unsigned i = size; i-- > 0; ) {
            g_string_append_printf(out, "%02x", a[i]);
        }
        g_string_append(out, " we ");
        for (unsigned i = size; i-- > 0; ) {
            g_string_append_printf(out, "%02x", b[i]);
        }
        g_string_append_c(out, '\n');
    }
}

char *fpm_difference(const FpContext *want, const FpContext *got, uint32_t flags)
{
    g_autoptr(GString) out = g_string_new(NULL);
    uint64_t want_flags = want->flags & flags, got_flags = got->flags & flags;

    compare(out, "exception ", 0, &want->vector, &got->vector, sizeof(int));
    compare(out, "fcw ", 0, &want->fx.fcw, &got->fx.fcw, 2);
    compare(out, "fsw ", 0, &want->fx.fsw, &got->fx.fsw, 2);
    compare(out, "tags ", 0, &want->fx.tags, &got->fx.tags, 1);
    compare(out, "mxcsr ", 0, &want->fx.mxcsr, &got->fx.mxcsr, 4);
    compare(out, "flags ", 0, &want_flags, &got_flags, 8);
    for (unsigned i = 0; i < 8; i++) {
        compare(out, "st", i, want->fx.st[i], got->fx.st[i], 10);
    }
    for (unsigned i = 0; i < 16; i++) {
        compare(out, "xmm", i, want->fx.xmm[i], got->fx.xmm[i], 16);
        compare(out, "ymm_high", i, want->ymm_high[i], got->ymm_high[i], 16);
        if (i != R_SP) {
            compare(out, "gpr", i, &want->gpr[i], &got->gpr[i], 8);
        }
    }
    for (unsigned i = 0; i < sizeof(want->data); i += 16) {
        compare(out, "data ", i, want->data + i, got->data + i, 16);
    }
    return out->len ? g_string_free(g_steal_pointer(&out), FALSE) : NULL;
}

void fpm_check(FpEngine how, const char *what, const uint8_t *code, unsigned size, const FpContext *before)
{
    FpContext want = *before, got = *before;
    char *difference;

    fpm_run_native(&want, code, size);
    fpm_run_translated(how, &got, code, size);
    difference = fpm_difference(&want, &got, FLAGS_ALL);
    if (difference) {
        fpm_fail(what, code, size, before, difference);
    }
}

void fpm_fail(const char *what, const uint8_t *code, unsigned size, const FpContext *before, char *difference)
{
    g_autoptr(GString) text = g_string_new(what);

    g_string_append(text, ":");
    for (unsigned i = 0; i < size; i++) {
        g_string_append_printf(text, " %02x", code[i]);
    }
    g_string_append_printf(text, "\n  fcw %04x fsw %04x tags %02x mxcsr %x\n%s", before->fx.fcw, before->fx.fsw,
                           before->fx.tags, before->fx.mxcsr, difference);
    g_test_message("%s", text->str);
    g_test_fail();
    g_free(difference);
}
