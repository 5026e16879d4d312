/*
 * Random x86 loops with memory operands, run as compiled blocks that loop by themselves and, an iteration at
 * a time, by the interpreter: registers, memory, faults and the place of leaving have to agree.
 *
 * Pages of guest memory are in the TLB, in that for loads only, reached the slow way, or missing.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "accel/accel.h"
#include "target/x86/fp_state.h"
#include "target/x86/internal.h"
#include "tcg/tcg.h"

#define REGISTERS_ONLY                                                                  \
    __attribute__((target("general-regs-only"), optimize("no-tree-loop-distribute-patterns"), \
                   no_sanitize("address", "undefined")))

enum { PAGE = 4096, N_PAGES = 8, TLB_SIZE = 64, MAX_CODE = 256, GUEST_PC = 0x1000, HLT = 0xf4, MAX_ITERATIONS = 5000 };

#define BEYOND (UINT64_C(1) << 32)

typedef enum Kind { PAGE_HIT, PAGE_LOADS, PAGE_SLOW, PAGE_FAULT } Kind;

typedef struct Outcome {
    uint64_t gpr[16], pc, fault_addr;
    uint32_t flags;
    int vector;
    uint8_t fx[512] __attribute__((aligned(16)));
    uint8_t memory[N_PAGES][PAGE];
} Outcome;

static Cpu *cpu;
static TlbEntry tlb_load[TLB_SIZE], tlb_store[TLB_SIZE];
static uint8_t memory[N_PAGES][PAGE] __attribute__((aligned(4096)));
static Kind kinds[N_PAGES];
static uint64_t guest_base, address_mask, fault_addr;
static uint8_t code[MAX_CODE];
static unsigned n_code;
static bool is64, in_process; /* the latter: with the privilege that accesses remember their pages at */
static bool in_long_mode; /* 32-bit code beside 64-bit code, which has left its upper halves and a page beyond 4 GiB */
static bool all_sites, in_runs; /* all of them do; as those of a kernel */
static unsigned page_order; /* of the guest's pages in the host: 1, neighbours are neighbours; or an odd number */
static GRand *rng;
static const HostBlock *host_block;

__attribute__((weak)) EngineOps engine;
__attribute__((weak)) const AccelOps *accel;

static unsigned below(unsigned n)
{
    return g_rand_int_range(rng, 0, n);
}

REGISTERS_ONLY static uint8_t *page_at(void *state, uint64_t addr, uintptr_t retaddr)
{
    uint64_t n = (addr - guest_base) & address_mask;

    if (n >= N_PAGES * PAGE || kinds[n / PAGE] == PAGE_FAULT) {
        fault_addr = addr;
        x86_raise_error(state, EXC_PF, 0, retaddr);
    }
    return &memory[n / PAGE * page_order % N_PAGES][n % PAGE];
}

REGISTERS_ONLY static uint64_t rt_load(void *state, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < size; i++) {
        v |= (uint64_t)*page_at(state, (addr + i) & address_mask, retaddr) << i * 8;
    }
    return v;
}

REGISTERS_ONLY static void rt_probe(void *state, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    page_at(state, addr, retaddr);
    page_at(state, (addr + size - 1) & address_mask, retaddr);
}

REGISTERS_ONLY static void rt_store(void *state, uint64_t addr, uint64_t value, unsigned size, unsigned mem, uintptr_t retaddr)
{
    rt_probe(state, addr, size, mem, retaddr);
    for (unsigned i = 0; i < size; i++) {
        *page_at(state, (addr + i) & address_mask, retaddr) = value >> i * 8;
    }
}

REGISTERS_ONLY static void rt_load_bytes(void *state, uint64_t addr, void *buf, unsigned size, uintptr_t retaddr)
{
    for (unsigned i = 0; i < size; i++) {
        ((uint8_t *)buf)[i] = *page_at(state, (addr + i) & address_mask, retaddr);
    }
}

REGISTERS_ONLY static void rt_store_bytes(void *state, uint64_t addr, const void *buf, unsigned size, uintptr_t retaddr)
{
    rt_probe(state, addr, size, 0, retaddr);
    for (unsigned i = 0; i < size; i++) {
        *page_at(state, (addr + i) & address_mask, retaddr) = ((const uint8_t *)buf)[i];
    }
}

REGISTERS_ONLY static void rt_unaligned(void *state, uint64_t addr, bool is_store, uintptr_t retaddr)
{
    x86_raise_error(state, EXC_GP, 0, retaddr);
}

static void rt_host_fault(void *state, int sig, int why, uintptr_t host_pc)
{
    x86_raise_host_fp(cpu, sig, why);
}

REGISTERS_ONLY static const HostBlock *rt_find_block(uintptr_t host_pc)
{
    return host_block && tcg_block_has(host_block, host_pc) ? host_block : NULL;
}

static const TcgRuntime runtime = {
    .load = rt_load, .store = rt_store, .load_bytes = rt_load_bytes, .store_bytes = rt_store_bytes,
    .probe_store = rt_probe, .unaligned = rt_unaligned, .host_fault = rt_host_fault, .find_block = rt_find_block,
};

static void set_tlb(void)
{
    for (unsigned i = 0; i < TLB_SIZE; i++) {
        tlb_load[i].tag = tlb_store[i].tag = TLB_INVALID;
    }
    tcg_sites_init(tcg_sites(cpu->state));
    for (unsigned n = 0; n < N_PAGES; n++) {
        uint64_t addr = (guest_base + n * PAGE) & address_mask;
        TlbEntry entry = { .tag = addr, .addend = (uintptr_t)memory[n * page_order % N_PAGES] - addr };

        if (kinds[n] <= PAGE_LOADS) {
            tlb_load[addr >> 12 & (TLB_SIZE - 1)] = entry;
        }
        if (kinds[n] == PAGE_HIT) {
            tlb_store[addr >> 12 & (TLB_SIZE - 1)] = entry;
        }
    }
    if (in_long_mode) {
        uint64_t addr = guest_base | BEYOND;

        tlb_load[addr >> 12 & (TLB_SIZE - 1)] = (TlbEntry){ .tag = addr, .addend = (uintptr_t)memory[1] - addr };
    }
}

/* Random code. */

static void byte(unsigned value)
{
    code[n_code++] = value;
}

/* reg, [base + index * scale + disp]; index 4: none. */
static void memory_insn(unsigned prefix, bool wide, unsigned map, unsigned opcode, unsigned reg, unsigned base, unsigned index,
                        unsigned scale, int32_t disp)
{
    unsigned rex = (wide && is64) << 3 | reg >> 3 << 2 | index >> 3 << 1 | base >> 3;

    if (prefix) {
        byte(prefix);
    }
    if (rex) {
        byte(0x40 | rex);
    }
    if (map) {
        byte(0x0f);
    }
    byte(opcode);
    byte(0x80 | (reg & 7) << 3 | 4);
    byte(scale << 6 | (index & 7) << 3 | (base & 7));
    memcpy(code + n_code, &disp, 4);
    n_code += 4;
}

static void register_insn(bool wide, unsigned opcode, unsigned reg, unsigned rm)
{
    unsigned rex = (wide && is64) << 3 | reg >> 3 << 2 | rm >> 3;

    if (rex) {
        byte(0x40 | rex);
    }
    byte(opcode);
    byte(0xc0 | (reg & 7) << 3 | (rm & 7));
}

static void add_imm(bool wide, unsigned reg, int8_t imm)
{
    register_insn(wide, 0x83, 0, reg);
    byte(imm);
}

static unsigned one_of(const char *registers)
{
    unsigned n = strlen(registers);
    unsigned reg = registers[below(n)] - 'a';

    return is64 ? reg : reg & 7;
}

/* As letters from 'a': what points, what counts on as an index, what data goes to. ECX counts; r10 or EBP stays. */
#define POINTERS (is64 ? "dghlm" : "dgh")
#define INDICES  (is64 ? "fin" : "f")
#define DATA     (is64 ? "acjp" : "ac")

static void random_access(void)
{
    static const struct { uint8_t prefix, map, opcode; bool wide; } kinds_of_data[] = {
        { 0, 0, 0x8b, true }, { 0, 0, 0x8b, false }, { 0, 0, 0x89, true }, { 0, 0, 0x89, false }, { 0, 0, 0x03, true },
        { 0, 0, 0x01, true }, { 0, 0, 0x33, false }, { 0, 1, 0xb6, true }, { 0, 1, 0xbf, true }, { 0, 0, 0x3b, false },
    };
    static const struct { uint8_t prefix, opcode; } vectors[] = {
        { 0, 0x10 }, { 0, 0x11 }, { 0xf2, 0x10 }, { 0xf2, 0x11 }, { 0xf2, 0x58 }, { 0xf2, 0x59 }, { 0xf3, 0x10 }, { 0xf3, 0x11 },
        { 0x66, 0x6f }, { 0x66, 0x7f }, { 0x66, 0xfe }, { 0xf3, 0x6f }, { 0xf3, 0x7f }, { 0x66, 0x2f }, { 0x66, 0x6e },
    };
    unsigned base = one_of(POINTERS), index = below(2) ? one_of(INDICES) : 4, scale = below(4);
    int32_t disp = below(3) ? (int)below(64) - 32 : below(2) ? 0 : (int)below(600) - 300;
    unsigned k;

    if (below(8) == 0) {
        disp = below(8) * 16;
    }
    switch (below(4)) {
    case 0:
    case 1:
        k = below(G_N_ELEMENTS(vectors));
        memory_insn(vectors[k].prefix, false, 1, vectors[k].opcode, below(is64 ? 16 : 8), base, index, scale, disp);
        break;
    case 2:
        memory_insn(0, false, 0, 0xdd, 0, base, index, scale, disp); /* fld */
        memory_insn(0, false, 0, 0xdc, below(2) ? 0 : 1, base, 4, 0, disp);
        memory_insn(0, false, 0, 0xdd, 3, base, index, scale, disp); /* fstp */
        break;
    default:
        k = below(G_N_ELEMENTS(kinds_of_data));
        memory_insn(kinds_of_data[k].prefix, kinds_of_data[k].wide, kinds_of_data[k].map, kinds_of_data[k].opcode, one_of(DATA),
                    base, index, scale, disp);
    }
}

static void random_step(bool *stepped)
{
    unsigned reg = one_of(below(3) ? POINTERS : INDICES);
    unsigned stays = is64 ? R_10 : R_BP;
    static const int8_t steps[] = { 1, 2, 4, 8, 16, 32, 64, 12, 24, -8, -16, -4, 127 };
    int8_t step = steps[below(G_N_ELEMENTS(steps))];

    if (stepped[reg] && below(4)) {
        return;
    }
    stepped[reg] = true;
    switch (below(8)) {
    case 0:
        register_insn(true, 0x01, stays, reg); /* add */
        break;
    case 1:
        memory_insn(0, true, 0, 0x8d, reg, reg, 4, 0, step); /* lea */
        break;
    case 2:
        register_insn(true, 0x83, 5, reg); /* sub */
        byte(step);
        break;
    default:
        add_imm(true, reg, step);
    }
}

static void random_loop(void)
{
    unsigned n = 1 + below(6);
    bool stepped[16] = { false };

    n_code = 0;
    for (unsigned k = 0; k < n; k++) {
        if (below(2)) {
            random_step(stepped);
        }
        random_access();
        if (below(8) == 0) {
            register_insn(true, 0x01, one_of(DATA), one_of(DATA));
        }
        if (below(12) == 0) { /* a way out, forward */
            byte(0x0f);
            byte(0x80 | below(16));
            byte(0x80);
            byte(1);
            byte(0);
            byte(0);
        }
    }
    if (below(4)) {
        random_step(stepped);
    }
    switch (below(3)) {
    case 0:
        register_insn(below(2), 0x83, 5, R_CX); /* sub ecx, 1 */
        byte(1);
        break;
    case 1:
        register_insn(below(2), 0xff, 1, R_CX); /* dec */
        break;
    default:
        add_imm(true, R_CX, -3);
        register_insn(true, 0x83, 7, R_CX); /* cmp ecx, 3 */
        byte(3);
    }
    byte(0x0f);
    byte(below(4) ? 0x85 : 0x8f); /* jne, jg */
    memcpy(code + n_code, &(int32_t){ -(int)n_code - 4 }, 4);
    n_code += 4;
}

/* Running it. */

static bool fetch(Translation *t, uint64_t pc, uint8_t *out)
{
    *out = pc - GUEST_PC < n_code ? code[pc - GUEST_PC] : HLT;
    return true;
}

static bool no_breakpoint(Translation *t, uint64_t pc)
{
    return false;
}

static bool never(void *opaque, uint64_t pc)
{
    return false;
}

static void set_state(const Outcome *start)
{
    X86State *s = cpu->state;
    uint64_t mode = MODE_PE | MODE_FLAT | MODE_FLAT_CS | MODE_SS32 | MODE_OSFXSR | MODE_OSXMMEXCPT |
                    (is64 ? MODE_CS64 : MODE_CS32) | (is64 || in_long_mode ? MODE_LMA : 0) |
                    (in_process ? 3 << MODE_CPL_SHIFT : 0);

    memcpy(s->reg, start->gpr, sizeof(s->reg));
    memcpy(s->fx, start->fx, sizeof(start->fx));
    memcpy(memory, start->memory, sizeof(memory));
    s->eflags = 2;
    x86_set_eflags(s, start->flags, FLAGS_ALL);
    s->pc = GUEST_PC;
    s->mode_flags = mode;
    s->cr0 = CR0_PE | CR0_NE;
    s->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    s->hot.fp_loaded = 0;
    s->hot.poll = 0;
    s->exception.vector = -1;
    fault_addr = 0;
}

static void take_outcome(Outcome *out, TcgExit why)
{
    X86State *s = cpu->state;

    memset(out, 0, sizeof(*out));
    memcpy(out->gpr, s->reg, sizeof(out->gpr));
    memcpy(out->fx, s->fx, 416);
    memset(out->fx + 6, 0, 18); /* the pointers to the last instruction and operand */
    memset(out->fx + 28, 0, 4); /* MXCSR's bits that the host has */
    memcpy(out->memory, memory, sizeof(memory));
    out->flags = x86_flags(s);
    out->pc = s->pc;
    if (why == TCG_EXIT_HALT) { /* the block went on behind the loop */
        out->pc--;
    }
    out->vector = why == TCG_EXIT_EXCEPTION ? s->exception.vector : -1;
    if (out->vector == EXC_GP && in_process && s->pc - GUEST_PC >= n_code) { /* the same, where HLT may not be used */
        out->vector = -1;
    }
    out->fault_addr = out->vector == EXC_PF ? fault_addr : 0;
}

static IrBlock *make_ir(void)
{
    static IrBlock *ir;
    X86State *s = cpu->state;
    BlockKey key = { .pc = GUEST_PC, .flags = s->mode_flags };
    Translation t = { .cpu = cpu, .key = &key, .max_insns = 64, .fetch = fetch, .has_breakpoint = no_breakpoint };
    char *why = NULL;

    if (!ir) {
        ir = ir_block_new(x86_slots, SLOT_COUNT, x86_helpers, HELPER_COUNT);
    }
    ir_block_reset(ir);
    t.ir = ir;
    x86_translate(&t);
    ir->scattered = all_sites ? never : NULL;
    ir->links_far = in_runs; /* which is a kernel's; it has no other exits here */
    ir_optimise(ir);
    if (!ir_verify(ir, &why)) {
        g_error("%s", why);
    }
    return ir;
}

static void run(const Outcome *start, Outcome *out, bool compiled)
{
    X86State *s = cpu->state;
    TcgExit why = TCG_EXIT_LOOKUP;
    HostExit *exit;
    HostBlock *block = NULL;
    IrBlock *ir;

    set_state(start);
    set_tlb();
    ir = make_ir();
    if (compiled) {
        block = tcg_compile(ir, never, NULL);
        if (!block) {
            tcg_region_next();
            block = tcg_compile(ir, never, NULL);
        }
        g_assert_nonnull(block);
        host_block = block;
    }
    for (unsigned i = 0; s->pc == GUEST_PC && why != TCG_EXIT_EXCEPTION; i++) {
        g_assert_cmpuint(i, <, MAX_ITERATIONS);
        why = compiled ? tcg_enter(s, block->code, &exit) : tcg_interpret(s, ir, NULL, NULL);
    }
    tcg_fp_sync(s);
    host_block = NULL;
    take_outcome(out, why);
}

static void random_start(Outcome *start)
{
    static const uint64_t bases64[] = { 0x100000, 0x7ffffffff000, 0xffffffff80000000, 0xfffffffff000, 0xffff8000 };
    static const uint64_t bases32[] = { 0x100000, 0, 0xffff8000, 0xffffc000, 0x7fffe000 };
    FxImage *fx = (FxImage *)start->fx;

    memset(start, 0, sizeof(*start));
    address_mask = is64 ? UINT64_MAX : UINT32_MAX;
    guest_base = is64 ? bases64[below(5)] : bases32[below(5)];
    page_order = below(2) ? 1 : 3;
    all_sites = below(2);
    in_runs = below(2);
    for (unsigned n = 0; n < N_PAGES; n++) {
        kinds[n] = below(8) ? PAGE_HIT : below(4);
    }
    for (unsigned i = 0; i < sizeof(start->memory); i++) {
        ((uint8_t *)start->memory)[i] = below(3) ? 0 : below(256);
    }
    fx->fcw = 0x37f;
    fx->mxcsr = below(8) ? 0x1fa0 : 0x1fa0 & ~0x80; /* invalid operations unmasked */
    fx->mxcsr_mask = x86_mxcsr_mask();
    for (unsigned i = 0; i < 16; i++) {
        start->gpr[i] = g_rand_int(rng);
        fx->xmm[i][3] = 0x40;
        fx->xmm[i][7] = below(2) ? 0x40 : 0;
    }
    for (const char *p = POINTERS; *p; p++) {
        uint64_t at = guest_base + 1024 + below((N_PAGES - 1) * PAGE - 1024);

        at &= below(3) ? ~15ull : ~0ull;
        start->gpr[is64 ? *p - 'a' : (*p - 'a') & 7] = at & address_mask;
    }
    for (const char *p = INDICES; *p; p++) {
        start->gpr[is64 ? *p - 'a' : (*p - 'a') & 7] = below(3) ? below(128) : 0;
    }
    start->gpr[R_CX] = 3 * (2 + (below(3) ? below(40) : below(700)));
    start->gpr[is64 ? R_10 : R_BP] = below(4) ? below(64) : below(2) ? -16 & address_mask : 8192;
    start->flags = below(2) ? FLAG_CF | FLAG_ZF : FLAG_OF;
}

static void show(const Outcome *start, const Outcome *want, const Outcome *got)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned i = 0; i < n_code; i++) {
        g_string_append_printf(text, "%02x", code[i]);
    }
    g_printerr("# %d-bit code %s\n# pages at %" PRIx64 ":", is64 ? 64 : 32, text->str, guest_base);
    for (unsigned n = 0; n < N_PAGES; n++) {
        g_printerr(" %d", kinds[n]);
    }
    g_printerr("\n# pc %" PRIx64 " %" PRIx64 " vector %d %d at %" PRIx64 " %" PRIx64 " flags %x %x\n", want->pc, got->pc, want->vector,
               got->vector, want->fault_addr, got->fault_addr, want->flags, got->flags);
    for (unsigned i = 0; i < 16; i++) {
        g_printerr("# %u: start %" PRIx64 " want %" PRIx64 " got %" PRIx64 "\n", i, start->gpr[i], want->gpr[i], got->gpr[i]);
    }
    g_printerr("# fx %d memory %d\n", memcmp(want->fx, got->fx, sizeof(want->fx)), memcmp(want->memory, got->memory, sizeof(want->memory)));
}

static void compare(unsigned rounds)
{
    static Outcome start, want, got;

    for (unsigned i = 0; i < rounds && !g_test_failed(); i++) {
        in_process = below(2);
        random_loop();
        random_start(&start);
        run(&start, &want, false);
        run(&start, &got, true);
        if (want.vector >= 0 || got.vector >= 0) { /* a handler sees older arithmetic flags, see docs/translator.md */
            want.flags = got.flags;
        }
        if (memcmp(&want, &got, sizeof(want)) != 0) {
            show(&start, &want, &got);
            g_test_fail();
        }
    }
}

/* No loop: two loads from known addresses share an entry of TcgSites; the second one crosses the page's end. */
static void a_larger_access_does_not_reach_beyond_the_page_of_a_smaller_one(void)
{
    static const uint8_t loads[] = { 0x8a, 0x04, 0x25, 0xff, 0x0f, 0x10, 0,    /* mov al, [0x100fff] */
                                     0x8b, 0x1c, 0x25, 0xfe, 0x0f, 0x10, 0 };  /* mov ebx, [0x100ffe] */
    static Outcome start, want, got;

    is64 = in_process = true;
    random_start(&start);
    guest_base = 0x100000;
    page_order = 3;
    memset(kinds, 0, sizeof(kinds)); /* PAGE_HIT */
    memcpy(code, loads, sizeof(loads));
    n_code = sizeof(loads);
    for (unsigned n = 0; n < N_PAGES; n++) {
        memset(start.memory[n], 0x10 + n, PAGE);
    }
    run(&start, &want, false);
    run(&start, &got, true);
    in_process = false;
    g_assert_cmphex(want.gpr[R_BX], ==, 0x13131010);
    g_assert_cmphex(got.gpr[R_BX], ==, 0x13131010);
}

/* Steps of one site over pages that are neighbours in the host too: a run, and what is not part of it. */
static void a_run_of_pages_ends_where_its_pages_end(void)
{
    static const uint8_t loads[] = { 0x8b, 0x06,                    /* mov eax, [rsi] */
                                     0x8b, 0x16,                    /* mov edx, [rsi] */
                                     0x01, 0xd0,                    /* add eax, edx */
                                     0x48, 0x01, 0xce };            /* add rsi, rcx */
    static const struct { uint64_t at, step; unsigned n; int64_t fault; } walks[] = {
        { PAGE, PAGE, 3, -1 },                     /* page by page */
        { 2 * PAGE - 2, PAGE, 2, -1 },             /* over their ends */
        { 4 * PAGE - 4, 0, 2, -1 },                /* the run's last bytes */
        { 4 * PAGE - 8, 4, 3, 4 * PAGE },          /* and what is behind them */
        { 4 * PAGE - 2, 0, 1, 4 * PAGE },
        { PAGE, -(uint64_t)4, 2, PAGE - 4 },       /* before it */
    };
    static Outcome start, want, got;

    is64 = in_process = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(walks); i++) {
        random_start(&start);
        all_sites = in_runs = true;
        page_order = 1;
        guest_base = 0x100000;
        memset(kinds, 0, sizeof(kinds)); /* PAGE_HIT */
        kinds[0] = kinds[4] = PAGE_FAULT;
        n_code = 0;
        for (unsigned k = 0; k < walks[i].n; k++) {
            memcpy(code + n_code, loads, sizeof(loads));
            n_code += sizeof(loads);
        }
        start.gpr[R_SI] = guest_base + walks[i].at;
        start.gpr[R_CX] = walks[i].step;
        run(&start, &want, false);
        run(&start, &got, true);
        want.flags = got.flags;
        g_assert_cmpint(got.vector, ==, walks[i].fault < 0 ? -1 : EXC_PF);
        g_assert_cmphex(got.fault_addr, ==, walks[i].fault < 0 ? 0 : guest_base + walks[i].fault);
        g_assert_cmpmem(&want, sizeof(want), &got, sizeof(got));
    }
    in_process = false;
}

/* What 64-bit code has left in the upper half of a register is no part of the addresses that 32-bit code makes of it. */
static void a_page_beyond_4_gib_is_not_that_of_32_bit_code(void)
{
    static const uint8_t loads[] = { 0x8b, 0x03,           /* mov eax, [ebx] */
                                     0x8b, 0x4b, 0x04 };   /* mov ecx, [ebx + 4] */
    static Outcome start, want, got;

    is64 = false;
    for (unsigned k = 0; k < 4; k++) {
        in_process = k & 1;
        random_start(&start);
        in_long_mode = true;
        guest_base = 0x100000;
        page_order = 1;
        memset(kinds, 0, sizeof(kinds)); /* PAGE_HIT */
        n_code = k & 2 ? sizeof(loads) : 2; /* a group, or one alone */
        memcpy(code, loads, n_code);
        for (unsigned n = 0; n < N_PAGES; n++) {
            memset(start.memory[n], 0x10 + n, PAGE);
        }
        start.gpr[R_BX] = guest_base | BEYOND;
        run(&start, &want, false);
        run(&start, &got, true);
        g_assert_cmphex(want.gpr[R_AX], ==, 0x10101010);
        g_assert_cmpmem(&want, sizeof(want), &got, sizeof(got));
    }
    in_process = in_long_mode = false;
}

/* A page that is dropped takes the runs along that have it, and no others. */
static void a_page_that_is_dropped_is_in_no_run(void)
{
    TcgSites *sites = tcg_sites(cpu->state);

    tcg_sites_init(sites);
    for (unsigned i = 0; i < 3; i++) {
        sites->site[i] = (TcgSite){ .page = 0x10000 + i * 0x4000, .limit = 0x4000 - 7 };
        sites->empty[0] = 0;
    }
    tcg_sites_drop_page(sites, 0x17000);
    g_assert_cmphex(sites->site[0].page, ==, 0x10000);
    g_assert_cmphex(sites->site[1].page, !=, 0x14000);
    g_assert_cmphex(sites->site[1].limit, ==, 0);
    g_assert_cmphex(sites->site[2].page, ==, 0x18000);
    tcg_sites_drop_page(sites, 0x10000);
    g_assert_cmphex(sites->site[0].page, !=, 0x10000);
    g_assert_cmphex(sites->site[2].page, ==, 0x18000);
}

/* Entries of TcgSites that are empty are near no address that a program has: one with just the highest bit, or what they once had. */
static void an_address_that_empty_entries_might_have_faults(void)
{
    static const uint64_t addresses[] = { UINT64_C(1) << 63, UINT64_C(0x9c5a37d16eb42000) };
    static const uint8_t load[] = { 0x8b, 0x44, 0x24, 0x08 }; /* mov eax, [rsp + 8] */
    static Outcome start, got;

    is64 = in_process = true;
    random_start(&start);
    memset(kinds, 0, sizeof(kinds));
    memcpy(code, load, sizeof(load));
    n_code = sizeof(load);
    for (unsigned i = 0; i < G_N_ELEMENTS(addresses); i++) {
        start.gpr[R_SP] = addresses[i];
        run(&start, &got, true);
        g_assert_cmpint(got.vector, ==, EXC_PF);
        g_assert_cmphex(got.fault_addr, ==, addresses[i] + 8);
    }
    in_process = false;
}

/*
 * A loop with more in its body than registers are left beside the bases of its operands, whose second copy is therefore made
 * anew: the first copy's accesses fault all the same, and the registers that change on both sides of one are what they were.
 */
static void registers_are_exact_where_the_first_copy_faults(void)
{
    static const uint8_t loop[] = {
        0x48, 0x83, 0xc3, 0x01,                   /* add rbx, 1 */
        0x49, 0x83, 0xc3, 0x01,                   /* add r11, 1 */
        0x48, 0x8b, 0x06,                         /* mov rax, [rsi]: the page's end is not far */
        0x48, 0x83, 0xc3, 0x02,                   /* add rbx, 2 */
        0x49, 0x83, 0xc3, 0x02,                   /* add r11, 2 */
        0x48, 0x03, 0x07,                         /* add rax, [rdi] */
        0x49, 0x03, 0x00,                         /* add rax, [r8] */
        0x48, 0x83, 0xe0, 0x7f,                   /* and rax, 127 */
        0x48, 0x0f, 0xa4, 0xc2, 0x05,             /* shld rdx, rax, 5 */
        0x49, 0x31, 0x14, 0xc1,                   /* xor [r9 + rax * 8], rdx */
        0x4d, 0x33, 0x2c, 0xc1,                   /* xor r13, [r9 + rax * 8] */
        0x48, 0x83, 0xc6, 0x08,                   /* add rsi, 8 */
        0xff, 0xc9,                               /* dec ecx */
        0x0f, 0x85, 0xff, 0xff, 0xff, 0xff,       /* jne */
    };
    enum { PAST = 3 };
    static Outcome start, want, got;

    is64 = in_process = true;
    random_start(&start);
    guest_base = 0x100000;
    memset(kinds, 0, sizeof(kinds)); /* PAGE_HIT */
    kinds[1] = PAGE_FAULT;
    memcpy(code, loop, sizeof(loop));
    n_code = sizeof(loop);
    memcpy(code + n_code - 4, &(int32_t){ -(int)n_code }, 4);
    start.gpr[R_CX] = 100;
    start.gpr[R_SI] = guest_base + PAGE - 8 * PAST;
    start.gpr[R_DI] = guest_base + 2 * PAGE;
    start.gpr[8] = guest_base + 3 * PAGE;
    start.gpr[9] = guest_base + 4 * PAGE;
    run(&start, &want, false);
    run(&start, &got, true);
    in_process = false;
    g_assert_cmpint(got.vector, ==, EXC_PF);
    g_assert_cmphex(got.fault_addr, ==, guest_base + PAGE);
    g_assert_cmphex(got.gpr[R_BX], ==, start.gpr[R_BX] + 3 * PAST + 1);
    g_assert_cmphex(got.gpr[11], ==, start.gpr[11] + 3 * PAST + 1);
    want.flags = got.flags; /* older ones, see docs/translator.md */
    g_assert_cmpmem(&want, sizeof(want), &got, sizeof(got));
}

static unsigned rounds(void)
{
    const char *words = g_getenv("MYNA_ROUNDS");

    return words ? atoi(words) : 200;
}

static void loops_of_64_bit_code(void)
{
    is64 = true;
    compare(rounds());
}

static void loops_of_32_bit_code(void)
{
    is64 = false;
    compare(rounds());
}

int main(int argc, char **argv)
{
    const char *seed = g_getenv("MYNA_SEED");
    g_autoptr(GError) error = NULL;

    g_test_init(&argc, &argv, NULL);
    rng = g_rand_new_with_seed(seed ? atoi(seed) : 1);
    cpu = cpu_new(&x86_cpu_type, "max", 0, &error);
    g_assert_no_error(error);
    cpu->hot->tlb_mask = (TLB_SIZE - 1) * sizeof(TlbEntry);
    cpu->hot->tlb_load = tlb_load;
    cpu->hot->tlb_store = tlb_store;
    tcg_init(&guest_ops(cpu)->tcg, &runtime, NULL, &error);
    g_assert_no_error(error);
    g_test_add_func("/loops/64-bit", loops_of_64_bit_code);
    g_test_add_func("/loops/32-bit", loops_of_32_bit_code);
    g_test_add_func("/loops/shared-sites", a_larger_access_does_not_reach_beyond_the_page_of_a_smaller_one);
    g_test_add_func("/loops/runs", a_run_of_pages_ends_where_its_pages_end);
    g_test_add_func("/loops/beyond-4-gib", a_page_beyond_4_gib_is_not_that_of_32_bit_code);
    g_test_add_func("/loops/dropped-page", a_page_that_is_dropped_is_in_no_run);
    g_test_add_func("/loops/empty-sites", an_address_that_empty_entries_might_have_faults);
    g_test_add_func("/loops/made-anew", registers_are_exact_where_the_first_copy_faults);
    return g_test_run();
}
