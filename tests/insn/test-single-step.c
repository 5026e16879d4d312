/*
 * Single-step tests in MOO files, recorded from 286 and 386 processors in real mode: the state before and
 * after one instruction (github.com/SingleStepTests; docs/testing.md).
 *
 *   test-single-step [FOLDER | -] [LIMIT]     -: the collections there are; LIMIT tests of each file (0: all)
 *
 * Each runs compiled and interpreted. Memory is 16 MiB behind functions, so that what is seen is the
 * instruction and not the TLB.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "accel/accel.h"
#include "oracle/undefined.h"
#include "target/x86/system.h"
#include "tcg/tcg.h"
#include "util/bits.h"

/* These run with guest values in vector registers. */
#define REGISTERS_ONLY                                                                                \
    __attribute__((target("general-regs-only"), optimize("no-tree-loop-distribute-patterns"), \
                   no_sanitize("address", "undefined")))
enum { MEMORY = 16 << 20, TLB_SIZE = 16, MAX_STEPS = 1000, MAX_TOLD = 3 };
enum { MAX_LENGTH_286 = 10 };
enum { NOT_IN_REAL_MODE = 0xf000 }; /* IOPL and NT on a 286 */

/* In the order of a 386's chunk; a 286's has an order of its own. */
enum { CR0, CR3, AX, BX, CX, DX, SI, DI, BP, SP, CS, DS, ES, FS, GS, SS, IP, FLAGS, DR6, DR7, REGISTERS };
static const uint8_t order_286[] = {AX, BX, CX, DX, CS, SS, DS, ES, SP, BP, SI, DI, IP, FLAGS};
static const char *const names[] = {"cr0", "cr3", "ax", "bx", "cx", "dx", "si", "di", "bp", "sp",
                                    "cs", "ds", "es", "fs", "gs", "ss", "ip", "flags", "dr6", "dr7"};
static const struct { uint8_t name, reg; } general[] = {
    {AX, R_AX}, {BX, R_BX}, {CX, R_CX}, {DX, R_DX}, {SI, R_SI}, {DI, R_DI}, {BP, R_BP}, {SP, R_SP},
};
static const struct { uint8_t name, seg; } segments[] = {
    {CS, S_CS}, {DS, S_DS}, {ES, S_ES}, {FS, S_FS}, {GS, S_GS}, {SS, S_SS},
};

typedef struct Span {
    const uint8_t *at, *end;
} Span;

typedef struct Side {
    uint32_t reg[REGISTERS];
    uint32_t has; /* bit by register */
    Span ram;     /* address, byte, ... */
} Side;

typedef struct Test {
    uint32_t number;
    Span name, code;
    Side before, after;
    int exception; /* -1 */
} Test;

static uint8_t memory[MEMORY];
static Cpu *cpu;
static X86State *s;
static IrBlock *ir;
static HostBlock *block;
static X86Insn insn;
static unsigned ran, failed, n_files, left_out, n_only_286, told;

/* The file. */

static bool chunk(Span *in, char name[5], Span *out)
{
    uint32_t size;

    if (in->end - in->at < 8) {
        return false;
    }
    memcpy(name, in->at, 4);
    name[4] = 0;
    size = load_le32(in->at + 4);
    if (size > (size_t)(in->end - in->at - 8)) {
        return false;
    }
    *out = (Span){in->at + 8, in->at + 8 + size};
    in->at = out->end;
    return true;
}

static uint32_t take(Span *from, unsigned size)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < size && from->at < from->end; i++) {
        value |= (uint32_t)*from->at++ << 8 * i;
    }
    return value;
}

static void read_side(Span in, Side *side)
{
    char name[5];
    Span body;

    while (chunk(&in, name, &body)) {
        bool wide = !strcmp(name, "RG32");

        if (wide || !strcmp(name, "REGS")) {
            uint32_t mask = take(&body, wide ? 4 : 2);

            for (unsigned i = 0; i < (wide ? REGISTERS : G_N_ELEMENTS(order_286)); i++) {
                if (mask >> i & 1) {
                    unsigned reg = wide ? i : order_286[i];

                    side->reg[reg] = take(&body, wide ? 4 : 2);
                    side->has |= 1u << reg;
                }
            }
        } else if (!strcmp(name, "RAM ")) {
            take(&body, 4);
            side->ram = body;
        }
    }
}

static Test read_test(Span in)
{
    Test test = {.number = take(&in, 4), .exception = -1};
    char name[5];
    Span body;

    while (chunk(&in, name, &body)) {
        if (!strcmp(name, "NAME") || !strcmp(name, "BYTS")) {
            take(&body, 4);
            *(name[0] == 'N' ? &test.name : &test.code) = body;
        } else if (!strcmp(name, "INIT")) {
            read_side(body, &test.before);
        } else if (!strcmp(name, "FINA")) {
            read_side(body, &test.after);
        } else if (!strcmp(name, "EXCP")) {
            test.exception = take(&body, 1); /* an address follows, of a word of the bus */
        }
    }
    return test;
}

static bool next_byte(Span *ram, uint32_t *address, uint8_t *value)
{
    if (ram->end - ram->at < 5) {
        return false;
    }
    *address = take(ram, 4) % MEMORY;
    *value = take(ram, 1);
    return true;
}

/* The processor. */

REGISTERS_ONLY static uint64_t load(void *state, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)memory[(addr + i) % MEMORY] << i * 8;
    }
    return value;
}

REGISTERS_ONLY static void store(void *state, uint64_t addr, uint64_t value, unsigned size, unsigned mem, uintptr_t retaddr)
{
    for (unsigned i = 0; i < size; i++) {
        memory[(addr + i) % MEMORY] = value >> i * 8;
    }
}

REGISTERS_ONLY static void load_bytes(void *state, uint64_t addr, void *buf, unsigned size, uintptr_t retaddr)
{
    for (unsigned i = 0; i < size; i++) {
        ((uint8_t *)buf)[i] = memory[(addr + i) % MEMORY];
    }
}

REGISTERS_ONLY static void store_bytes(void *state, uint64_t addr, const void *buf, unsigned size, uintptr_t retaddr)
{
    for (unsigned i = 0; i < size; i++) {
        memory[(addr + i) % MEMORY] = ((const uint8_t *)buf)[i];
    }
}

REGISTERS_ONLY static void probe_store(void *state, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
}

REGISTERS_ONLY static uint64_t atomic(void *state, uint64_t addr, unsigned op_size, uint64_t b, uint64_t c, uintptr_t retaddr)
{
    unsigned size = op_size & 0xff;
    uint64_t old = load(state, addr, size, 0, 0);

    store(state, addr, ir_atomic_result(op_size >> 8, old, b, c, size), size, 0, 0);
    return old;
}

REGISTERS_ONLY static void unaligned(void *state, uint64_t addr, bool is_store, uintptr_t retaddr)
{
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

static void *engine_probe(Cpu *c, VirtAddr addr, unsigned size, MmuAccess access, unsigned mode, uintptr_t retaddr)
{
    return (addr & 0xfff) + size > 0x1000 ? NULL : memory + addr % MEMORY;
}

static void nothing(Cpu *c)
{
}

static void start(void)
{
    static TlbEntry tlb[TLB_SIZE];
    static JumpCacheEntry jumps[JUMP_CACHE_SIZE];
    g_autoptr(GError) error = NULL;

    engine.load = engine_load;
    engine.store = engine_store;
    engine.probe = engine_probe;
    engine.update_mode = nothing;
    engine.flush_all = nothing;
    cpu = cpu_new(&x86_cpu_type, "486", 0, &error);
    g_assert_no_error(error);
    s = x86_state(cpu);
    ir = ir_block_new(x86_slots, SLOT_COUNT, x86_helpers, HELPER_COUNT);
    g_assert(tcg_init(&guest_ops(cpu)->tcg, &runtime, NULL, &error));
    for (unsigned i = 0; i < TLB_SIZE; i++) {
        tlb[i].tag = TLB_INVALID;
    }
    for (unsigned i = 0; i < JUMP_CACHE_SIZE; i++) {
        jumps[i] = (JumpCacheEntry){.pc = jump_cache_empty(i)};
    }
    cpu->hot->tlb_mask = (TLB_SIZE - 1) * sizeof(TlbEntry);
    cpu->hot->tlb_load = cpu->hot->tlb_store = tlb;
    cpu->hot->jump_cache = jumps;
}

static bool fetch(Translation *t, uint64_t pc, uint8_t *out)
{
    *out = memory[(t->key->base + pc) % MEMORY];
    return true;
}

static bool never(Translation *t, uint64_t pc)
{
    return false;
}

static bool never_far(void *opaque, uint64_t pc)
{
    return false;
}

static void translate(bool compile)
{
    BlockKey key = {.pc = s->pc, .base = s->seg[S_CS].base, .flags = s->mode_flags};
    Translation t = {.ir = ir, .cpu = cpu, .key = &key, .max_insns = 1, .fetch = fetch, .has_breakpoint = never};

    x86_decode(&t, key.flags, key.pc, &insn);
    ir_block_reset(ir);
    x86_translate(&t);
    ir_optimise(ir);
    if (block) {
        block = NULL;
    }
    if (compile) {
        block = tcg_compile(ir, never_far, NULL);
        if (!block) { /* the buffer is full: nothing in it is needed any more */
            tcg_region_next();
            block = tcg_compile(ir, never_far, NULL);
        }
    }
}

/* False: the delivery itself ended in an exception. */
static bool __attribute__((noinline)) deliver(void)
{
    if (__builtin_setjmp(s->catch_point)) {
        s->catching = false;
        return false;
    }
    s->catching = true;
    guest_ops(cpu)->deliver_exception(cpu);
    s->catching = false;
    return true;
}

static bool is_286(const Test *test)
{
    return !(test->before.has >> CR0 & 1);
}

static void load_state(const Test *test)
{
    const Side *side = &test->before;
    Span ram = side->ram;
    uint32_t address;
    uint8_t value;

    while (next_byte(&ram, &address, &value)) {
        memory[address] = value;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(general); i++) {
        s->reg[general[i].reg] = side->reg[general[i].name];
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(segments); i++) {
        x86_load_real_segment(s, segments[i].seg, side->reg[segments[i].name]);
    }
    s->idtr.base = 0;
    s->idtr.limit = 0x3ff;
    s->pc = side->reg[IP];
    s->exception = (X86Exception){.vector = -1};
    s->shut_down = false;
    s->eflags = 2;
    x86_set_eflags(s, side->reg[FLAGS] & (is_286(test) ? ~(uint32_t)NOT_IN_REAL_MODE : UINT32_MAX), UINT32_MAX);
    x86_update_mode(s);
}

/* One instruction, with what it raises. */
static int run(const Test *test, bool compile)
{
    uint64_t pc = s->pc, cs = s->seg[S_CS].base;
    int vector = -1;

    translate(compile);
    for (unsigned i = 0; i < MAX_STEPS && s->pc == pc && s->seg[S_CS].base == cs; i++) {
        HostExit *out = NULL;
        uint64_t next;
        TcgExit why = compile ? tcg_enter(s, block->code, &out) : tcg_interpret(s, ir, NULL, &next);

        if (why == TCG_EXIT_UNCHAINED && compile) {
            s->pc = out->pc;
        }
        if (why == TCG_EXIT_EXCEPTION) {
            vector = s->exception.vector;
            return deliver() ? vector : EXC_DF;
        }
    }
    return vector;
}

static uint32_t result_of(unsigned reg)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(general); i++) {
        if (general[i].name == reg) {
            return s->reg[general[i].reg];
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(segments); i++) {
        if (segments[i].name == reg) {
            return s->seg[segments[i].seg].selector;
        }
    }
    return reg == IP ? s->pc + 1 /* HLT ran */ : reg == FLAGS ? x86_eflags(s) : 0;
}

static void differs(GString *out, const char *what, uint32_t want, uint32_t got)
{
    g_string_append_printf(out, "    %s: %x, we %x\n", what, want, got);
}

static void compare_registers(const Test *test, uint32_t flags_mask, GString *out)
{
    bool wide = !is_286(test);

    for (unsigned reg = AX; reg <= FLAGS; reg++) {
        uint32_t mask = reg == FLAGS ? flags_mask : wide ? UINT32_MAX : 0xffff;
        uint32_t want = test->after.has >> reg & 1 ? test->after.reg[reg] : test->before.reg[reg], got = result_of(reg);

        if (reg == IP && !(test->after.has >> IP & 1)) {
            continue; /* a branch to itself */
        }
        if (test->before.has >> reg & 1 && (want ^ got) & mask) {
            differs(out, names[reg], want, got);
        }
    }
}

static void compare_memory(const Test *test, uint32_t flags_mask, GString *out)
{
    uint32_t flags_at = s->seg[S_SS].base + (uint16_t)(s->reg[R_SP] + 4); /* in an exception's frame */
    Span ram = test->after.ram;
    uint32_t address;
    uint8_t value;

    while (next_byte(&ram, &address, &value)) {
        uint32_t at = address - flags_at;
        uint8_t mask = test->exception >= 0 && at < 2 ? flags_mask >> 8 * at : 0xff;

        if ((memory[address] ^ value) & mask) {
            g_string_append_printf(out, "    memory %x: %x, we %x\n", address, value, memory[address]);
        }
    }
}

static uint32_t defined_flags(const Test *test)
{
    Case one = {.mode = ORACLE_16, .in = insn};
    OracleState before = {.gpr = {[R_CX] = test->before.reg[CX]}};
    Undefined undefined = undefined_results(&one, &before, test->exception >= 0);
    uint32_t rows = FLAGS_ALL | EFL_TF | EFL_IF | EFL_DF;

    return rows & ~(test->exception == EXC_DE ? FLAGS_ALL : undefined.flags);
}

/* LOCK in front of everything, no instruction of more than ten bytes, no FS and GS. */
static bool only_286(const Test *test)
{
    bool segment = insn.row->emit == x86_emit_mov_from_seg || insn.row->emit == x86_emit_mov_to_seg;

    return is_286(test) && (insn.lock || insn.length > MAX_LENGTH_286 || (segment && test->exception == EXC_UD));
}

/* Where later processors do something else. */
static bool as_on_386(const Test *test, int vector)
{
    X86Emit *emit = insn.row->emit;

    if (!is_286(test)) {
        return false;
    }
    if (test->exception == EXC_GP) {
        /* The stack's limit too; pointers have moved already; looked at before the digit of a group. */
        return vector == EXC_SS || vector == EXC_UD ||
               (vector == EXC_GP && (emit == x86_emit_string || emit == x86_emit_pop));
    }
    if (emit == x86_emit_idiv) {
        return test->exception < 0 && vector == EXC_DE; /* some quotients that do not fit are not noticed */
    }
    /* Two words, of which the second may be at the segment's other end. */
    return vector >= EXC_SS && (emit == x86_emit_bound || emit == x86_emit_load_far || emit == x86_emit_call_far_m ||
                                emit == x86_emit_jmp_far_m);
}

/* Recorded wrong: what is pushed as CS is the SS of that test. */
static bool recorded_wrong(const char *file, const Test *test)
{
    return is_286(test) && ((g_str_has_prefix(file, "CD.") && test->number == 2044) ||
                            (g_str_has_prefix(file, "CE.") && test->number == 1193) ||
                            (g_str_has_prefix(file, "FF.3.") && test->number == 1141));
}

static void run_test(const char *file, const Test *test)
{
    g_autoptr(GString) out = g_string_new(NULL);

    load_state(test);
    translate(false);
    if (only_286(test) || recorded_wrong(file, test)) {
        n_only_286++;
        return;
    }
    ran++;
    for (unsigned compile = 0; compile < 2 && !out->len; compile++) {
        uint32_t mask;
        int vector;

        load_state(test);
        vector = run(test, compile);
        mask = defined_flags(test);
        if (as_on_386(test, vector)) {
            break;
        }
        compare_registers(test, mask, out);
        compare_memory(test, mask, out);
        if (out->len) {
            g_string_append_printf(out, "    %s, exception %d, ours %d\n", compile ? "compiled" : "interpreted", test->exception,
                                   vector);
        }
    }
    if (out->len) {
        failed++;
        if (told++ < MAX_TOLD) {
            g_print("%s test %u: %.*s\n%s", file, test->number, (int)(test->name.end - test->name.at), test->name.at, out->str);
        }
    }
}

static GByteArray *read_file(const char *path)
{
    GByteArray *all = g_byte_array_new();
    gzFile in = gzopen(path, "rb");
    uint8_t part[65536];
    int n;

    while (in && (n = gzread(in, part, sizeof(part))) > 0) {
        g_byte_array_append(all, part, n);
    }
    if (in) {
        gzclose(in);
    }
    return all;
}

/* Ports float on the test bench, which has no coprocessor; HLT is how each test ends. */
static bool not_here(const char *file)
{
    static const char *const files[] = {"6C.", "6D.", "6E.", "6F.", "E4.", "E5.", "E6.", "E7.", "EC.", "ED.", "EE.", "EF.", "F4.", "D8."};

    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
        const char *at = strstr(file, files[i]);

        if (at && strspn(file, "67") >= (size_t)(at - file)) { /* prefixes of size */
            return true;
        }
    }
    return false;
}

static void run_file(const char *folder, const char *file, unsigned limit)
{
    g_autofree char *path = g_build_filename(folder, file, NULL);
    g_autoptr(GByteArray) all = read_file(path);
    Span in = {all->data, all->data + all->len}, body;
    unsigned before = ran, failed_before = failed;
    char name[5];

    told = 0;
    while ((!limit || ran - before < limit) && chunk(&in, name, &body)) {
        if (!strcmp(name, "TEST")) {
            Test test = read_test(body);

            run_test(file, &test);
        }
    }
    if (failed != failed_before) {
        g_print("%s: %u of %u failed\n", file, failed - failed_before, ran - before);
    }
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void run_folder(const char *path, unsigned limit)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    GDir *folder = g_dir_open(path, 0, NULL);
    const char *file;

    while (folder && (file = g_dir_read_name(folder))) {
        if (strstr(file, ".MOO")) {
            g_ptr_array_add(files, g_strdup(file));
        }
    }
    g_ptr_array_sort(files, by_name);
    for (unsigned i = 0; i < files->len; i++) {
        if (not_here(files->pdata[i])) {
            left_out++;
        } else {
            run_file(path, files->pdata[i], limit);
            n_files++;
        }
    }
    g_clear_pointer(&folder, g_dir_close);
}

/* Checkouts of the collections: docs/testing.md. */
static void run_collections(unsigned limit)
{
    static const char *const folders[] = {"80286/v1_real_mode", "80386/v1_ex_real_mode"};
    const char *suites = g_getenv("MYNA_SUITES");
    g_autofree char *root = suites ? g_strdup(suites) : g_build_filename(g_get_user_cache_dir(), "myna-suites", NULL);

    for (unsigned i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = g_build_filename(root, folders[i], NULL);

        run_folder(path, limit);
    }
}

int main(int argc, char **argv)
{
    unsigned limit = argc > 2 ? atoi(argv[2]) : 0;

    start();
    if (argc > 1 && strcmp(argv[1], "-")) {
        run_folder(argv[1], limit);
    } else {
        run_collections(limit);
    }
    if (!n_files) {
        g_print("SKIP: no folder of MOO files (docs/testing.md, \"Published suites\")\n");
        return 77;
    }
    g_print("%u tests of %u files, %u failed; %u tests are for a 286 alone, %u files for a test bench\n", ran, n_files,
            failed, n_only_286, left_out);
    return failed ? 1 : 0;
}
