/* The translating engine, with a toy guest of a dozen instructions. */
#include "accel/accel.h"
#include "accel/tcg/internal.h"
#include "core/lock.h"
#include "core/machine.h"
#include "util/bits.h"

/*
 * Code: 01 n        r0 += n
 *       02 a4       r0 = byte at a
 *       03 a4       byte at a = r0
 *       04 a4       jump to a
 *       05          halt
 *       06 a4       if (--r1) jump to a
 *       07 a4       word32 at a = r0
 *       08          dirty end: flush page r0 << 12 (helper), go on
 *       09 a4       call a: the pc behind goes to the stack
 *       0a          return
 *       0b n        sp += n
 *       0c          flush everything
 * Pages are mapped by `page_table`, 0 for a fault.
 */
typedef struct ToyState {
    CpuHot hot;
    uint64_t r0, r1, sp, pc, fault, faults;
} ToyState;

enum { TOY_R0, TOY_R1, TOY_SP, TOY_PC, TOY_SLOTS };

static const IrSlot toy_slots[TOY_SLOTS] = {
    { "r0", offsetof(ToyState, r0), IR_I64, 0 },
    { "r1", offsetof(ToyState, r1), IR_I64, 1 },
    { "sp", offsetof(ToyState, sp), IR_I64, 2 },
    { "pc", offsetof(ToyState, pc), IR_I64, -1 },
};

#define PAGES   64
#define WRITABLE 1
static uint64_t page_table[PAGES]; /* physical page << 12 | 2 | WRITABLE */
static uint64_t table_root;         /* read by each walk, says nothing */
static uint64_t space_id;
enum { PROCESS, SYSTEM }; /* the system sees page 4 where processes see page 3 */
static unsigned mode = PROCESS;

static uint64_t helper_fetch_fault(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
static uint64_t helper_flush(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
static uint64_t helper_flush_all(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
static const IrHelper toy_helpers[] = {
    { "fetch_fault", helper_fetch_fault, 0, IR_VOID, EFFECT_FAULT | EFFECT_NORETURN, ~0, 0 },
    { "flush", helper_flush, 1, IR_VOID, EFFECT_FAULT | EFFECT_FP, 0, 0 },
    { "flush_all", helper_flush_all, 0, IR_VOID, EFFECT_FAULT | EFFECT_FP, 0, 0 },
};

static void toy_key(Cpu *cpu, BlockKey *key)
{
    key->pc = ((ToyState *)cpu->state)->pc;
    key->base = 0;
    key->flags = 0;
}

static unsigned toy_length(uint8_t op)
{
    return op == 1 || op == 11 ? 2 : op == 5 || op == 8 || op == 10 || op == 12 ? 1 : 5;
}

static IrVal toy_operand(Translation *t, uint64_t pc, uint8_t byte)
{
    const uint8_t *patched = t->patched(t, pc, 1);

    return patched ? ir_zext(t->ir, IR_I64, IR_I8, ir_load_code(t->ir, IR_I8, patched)) : ir_const(t->ir, IR_I64, byte);
}

static GuestOps toy_ops;

static void toy_translate(Translation *t)
{
    IrBlock *ir = t->ir;
    uint64_t pc = t->key->pc;
    bool done = false;

    ir->use_sites = mode == PROCESS && toy_ops.system_sites;
    ir_poll(ir, pc);
    for (t->n_insns = 0; !done && t->n_insns < t->max_insns; t->n_insns++) {
        uint8_t code[5];
        unsigned length = 1;
        bool complete = t->fetch(t, pc, &code[0]);
        IrVal none = { 0 }, count, addr, sp;

        length = complete ? toy_length(code[0]) : 1;
        for (unsigned i = 1; complete && i < length; i++) {
            complete = t->fetch(t, pc + i, &code[i]);
        }
        if (t->has_breakpoint(t, pc)) {
            ir_put(ir, IR_I64, TOY_PC, ir_const(ir, IR_I64, pc));
            ir_exit_main(ir, TCG_EXIT_DEBUG);
            t->end_pc = pc + 1;
            return;
        }
        if (!complete) {
            if (t->n_insns) {
                break;
            }
            ir_insn_start(ir, pc);
            ir_call(ir, 0, none, none, none, none);
            ir_exit_main(ir, TCG_EXIT_EXCEPTION);
            t->end_pc = pc + 1;
            return;
        }
        ir_insn_start(ir, pc);
        addr = ir_const(ir, IR_I64, length == 5 ? load_le32(code + 1) : 0);
        switch (code[0]) {
        case 1:
            ir_put(ir, IR_I64, TOY_R0, ir_op2(ir, IR_add, IR_I64, ir_get(ir, IR_I64, TOY_R0), toy_operand(t, pc + 1, code[1])));
            break;
        case 2:
            ir_put(ir, IR_I64, TOY_R0, ir_load(ir, IR_I8, addr, 0, IRM_ZX));
            break;
        case 3:
            ir_store(ir, IR_I8, addr, 0, ir_get(ir, IR_I64, TOY_R0), 0);
            break;
        case 4:
            ir_exit_jump(ir, load_le32(code + 1));
            done = true;
            break;
        case 6:
            count = ir_op2(ir, IR_sub, IR_I64, ir_get(ir, IR_I64, TOY_R1), ir_const(ir, IR_I64, 1));
            ir_put(ir, IR_I64, TOY_R1, count);
            ir_exit_if(ir, CC_NE, ir_opf(ir, IR_cmp, IR_I64, count, ir_const(ir, IR_I64, 0), none).flags,
                       load_le32(code + 1));
            break;
        case 7:
            ir_store(ir, IR_I32, addr, 0, ir_get(ir, IR_I64, TOY_R0), 0);
            break;
        case 8:
            ir_call(ir, 1, ir_get(ir, IR_I64, TOY_R0), none, none, none);
            break;
        case 9:
            sp = ir_op2(ir, IR_sub, IR_I64, ir_get(ir, IR_I64, TOY_SP), ir_const(ir, IR_I64, 4));
            ir_store(ir, IR_I32, sp, 0, ir_const(ir, IR_I64, pc + length), 0);
            ir_put(ir, IR_I64, TOY_SP, sp);
            ir_exit_jump(ir, load_le32(code + 1));
            done = true;
            break;
        case 10:
            sp = ir_get(ir, IR_I64, TOY_SP);
            addr = ir_load(ir, IR_I32, sp, 0, IRM_ZX);
            ir_put(ir, IR_I64, TOY_SP, ir_op2(ir, IR_add, IR_I64, sp, ir_const(ir, IR_I64, 4)));
            ir_exit_lookup(ir, addr, BRANCH_RETURN);
            done = true;
            break;
        case 11:
            ir_put(ir, IR_I64, TOY_SP, ir_op2(ir, IR_add, IR_I64, ir_get(ir, IR_I64, TOY_SP), ir_const(ir, IR_I64, code[1])));
            break;
        case 12:
            ir_call(ir, 2, none, none, none, none);
            break;
        default:
            ir_put(ir, IR_I64, TOY_PC, ir_const(ir, IR_I64, pc));
            ir_exit_main(ir, TCG_EXIT_HALT);
            done = true;
            break;
        }
        pc += length;
    }
    if (!done && t->single_step) {
        ir_put(ir, IR_I64, TOY_PC, ir_const(ir, IR_I64, pc));
        ir_exit_main(ir, TCG_EXIT_DEBUG);
    } else if (!done) {
        ir_exit_jump(ir, pc);
    }
    t->end_pc = pc;
}

static unsigned toy_mode(Cpu *cpu, bool kernel)
{
    return mode;
}

static uint64_t toy_space(Cpu *cpu)
{
    return space_id;
}

static bool toy_walk(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned walk_mode, bool debug,
                     MmuResult *out)
{
    uint64_t page = (addr >> 12) + (walk_mode == SYSTEM && addr >> 12 == 3);
    uint64_t entry = page < PAGES ? page_table[page] : 0;

    if (!entry || (access == MMU_STORE && !(entry & WRITABLE))) {
        return false;
    }
    *out = (MmuResult){ .phys = entry & ~0xfffull, .page_size = 4096, .readable = true,
                        .writable = entry & WRITABLE, .executable = true, .n_reads = 2,
                        .read = { { &table_root, table_root, 8 }, { &page_table[page], entry, 8 } } };
    return true;
}

static void toy_raise(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned fault_mode)
{
    ToyState *s = cpu->state;

    s->fault = addr;
    tcg_unwind(s, TCG_EXIT_EXCEPTION);
}

static uint64_t helper_fetch_fault(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    ToyState *s = state;

    tcg_restore(s, tcg_caller_pc(s));
    toy_raise(s->hot.cpu, (s->pc & ~0xfffull) + 0x1000, MMU_FETCH, 0);
    return 0;
}

static uint64_t helper_flush(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    engine.flush_page(((ToyState *)state)->hot.cpu, a << 12);
    return 0;
}

static uint64_t helper_flush_all(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    engine.flush_all(((ToyState *)state)->hot.cpu);
    return 0;
}

static void toy_deliver(Cpu *cpu)
{
    ((ToyState *)cpu->state)->faults++;
    cpu->halted = true;
}

static void toy_service(Cpu *cpu)
{
}

static uint64_t toy_get_pc(Cpu *cpu)
{
    return ((ToyState *)cpu->state)->pc;
}

static bool toy_has_work(Cpu *cpu)
{
    return false;
}

static unsigned watch_hits, watch_count;
static uint64_t watch_pc;

static bool toy_watch_restartable(Cpu *cpu)
{
    return true;
}

static bool toy_watch_hits(Cpu *cpu, unsigned hits, bool raised)
{
    watch_hits |= hits;
    watch_count++;
    watch_pc = ((ToyState *)cpu->state)->pc;
    return false;
}

static GuestOps toy_ops = {
    .tcg = { toy_slots, TOY_SLOTS, TOY_PC, 0, false },
    .helpers = toy_helpers,
    .n_helpers = G_N_ELEMENTS(toy_helpers),
    .block_key = toy_key,
    .translate = toy_translate,
    .mmu_mode = toy_mode,
    .address_space_id = toy_space,
    .walk = toy_walk,
    .system_modes = 1 << SYSTEM,
    .raise_mmu_fault = toy_raise,
    .deliver_exception = toy_deliver,
    .service = toy_service,
    .watch_restartable = toy_watch_restartable,
    .watch_hits = toy_watch_hits,
    .get_pc = toy_get_pc,
};

static const CpuType toy_type = {
    .name = "toy",
    .state_size = sizeof(ToyState),
    .guest_ops = &toy_ops,
    .has_work = toy_has_work,
};

static Cpu *cpu;
static ToyState *s;
static uint8_t *ram;
static Region *ram_region;
static unsigned io_writes, io_value;

static uint64_t io_read(void *opaque, PhysAddr offset, unsigned size)
{
    return 0x5a;
}

static void io_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    io_writes++;
    io_value = value;
}

static const RegionOps io_ops = { io_read, io_write, 1, 4, ENDIAN_LITTLE };

#define IO_PAGE 40
#define RAM_PAGES 32
#define STACK     0x6000

static void set_up(void)
{
    g_autoptr(GError) error = NULL;

    memory_init();
    machine_lock();
    ram_region = region_new_ram("ram", RAM_PAGES << 12, &error);
    g_assert_no_error(error);
    region_add(memory_system_root(), 0, ram_region);
    region_add(memory_system_root(), IO_PAGE << 12, region_new_io("io", &io_ops, NULL, 4096));
    ram = region_host(ram_region);
    machine_unlock();
    g_assert_true(accel_init("tcg", &error));
    cpu = cpu_new(&toy_type, NULL, 0, &error);
    g_assert_no_error(error);
    s = cpu->state;
    cpu->halted = true;
    g_assert_true(accel->start_cpu(cpu, &error));
    machine_lock();
    accel_pause_all();
    machine_unlock();
}

/* An empty machine with all pages mapped to themselves. */
static void start(void)
{
    memset(ram, 0, RAM_PAGES << 12);
    ram_mark_dirty(region_ram(ram_region), 0, RAM_PAGES << 12);
    for (int i = 0; i < PAGES; i++) {
        page_table[i] = (uint64_t)i << 12 | 2 | WRITABLE;
    }
    engine.flush_all(cpu);
    s->r0 = s->r1 = s->fault = s->faults = 0;
    s->pc = 0x1000;
    s->sp = STACK;
    io_writes = 0;
}

static void put32(uint32_t addr, uint8_t op, uint32_t operand)
{
    ram[addr] = op;
    store_le32(ram + addr + 1, operand);
}

static void put_add(uint32_t addr, uint8_t n)
{
    ram[addr] = 1;
    ram[addr + 1] = n;
}

enum { PATIENCE_MS = 100000 }; /* a vCPU may get a hundredth of a busy host */

/* Until the guest halts. */
static void run(void)
{
    machine_lock();
    cpu->halted = false;
    accel_resume_all();
    machine_unlock();
    for (int i = 0; i < PATIENCE_MS && !cpu->halted; i++) {
        g_usleep(1000);
    }
    g_assert_true(cpu->halted);
    machine_lock();
    accel_pause_all();
    machine_unlock();
}

static void a_loop_adds_up(void)
{
    start();
    put_add(0x1000, 3);
    put32(0x1002, 6, 0x1000);
    ram[0x1007] = 5;
    s->r1 = 100000;
    run();
    g_assert_cmpint(s->r0, ==, 300000);
    g_assert_cmphex(s->pc, ==, 0x1007);
}

static void a_loop_over_two_pages_adds_up(void)
{
    start();
    put_add(0x1000, 1);
    put32(0x1002, 4, 0x2000);
    put_add(0x2000, 2);
    put32(0x2002, 6, 0x1000);
    ram[0x2007] = 5;
    s->r1 = 100000;
    run();
    g_assert_cmpint(s->r0, ==, 300000);
}

static void loads_and_stores_reach_ram(void)
{
    start();
    ram[0x3005] = 77;
    put32(0x1000, 2, 0x3005);
    put32(0x1005, 3, 0x4001);
    put32(0x100a, 7, 0x4ffe); /* crosses */
    ram[0x100f] = 5;
    run();
    g_assert_cmpint(ram[0x4001], ==, 77);
    g_assert_cmpint(ram[0x4ffe], ==, 77);
    g_assert_cmpint(ram[0x5001], ==, 0);
}

static void devices_are_reached(void)
{
    start();
    put32(0x1000, 2, IO_PAGE << 12);
    put32(0x1005, 3, (IO_PAGE << 12) + 8);
    ram[0x100a] = 5;
    run();
    g_assert_cmpint(io_writes, ==, 1);
    g_assert_cmphex(io_value, ==, 0x5a);
}

static void a_fault_leaves_the_pc_at_its_instruction(void)
{
    start();
    page_table[9] = 0;
    put_add(0x1000, 1);
    put32(0x1002, 2, 0x9004);
    run();
    g_assert_cmpint(s->faults, ==, 1);
    g_assert_cmphex(s->fault, ==, 0x9004);
    g_assert_cmphex(s->pc, ==, 0x1002);
    g_assert_cmpint(s->r0, ==, 1);
}

static void a_crossing_store_that_faults_writes_nothing(void)
{
    start();
    page_table[9] = 0;
    put_add(0x1000, 0xff);
    put32(0x1002, 7, 0x8ffe);
    run();
    g_assert_cmphex(s->fault, ==, 0x9000);
    g_assert_cmphex(s->pc, ==, 0x1002);
    g_assert_cmpint(ram[0x8ffe], ==, 0);
}

static void a_fetch_fault_is_raised(void)
{
    start();
    page_table[5] = 0;
    put32(0x1000, 4, 0x5000);
    run();
    g_assert_cmphex(s->fault, ==, 0x5000);
    g_assert_cmphex(s->pc, ==, 0x5000);
}

static void the_last_pc_of_all_can_be_jumped_to(void)
{
    start();
    s->pc = UINT64_MAX;
    run();
    g_assert_cmphex(s->fault, ==, UINT64_MAX);
}

static void a_fetch_fault_in_the_second_page_is_raised(void)
{
    start();
    page_table[5] = 0;
    put32(0x1000, 4, 0x4ffc);
    put_add(0x4ffc, 1);
    ram[0x4ffe] = 4;
    run();
    g_assert_cmphex(s->fault, ==, 0x5000);
    g_assert_cmphex(s->pc, ==, 0x4ffe);
    g_assert_cmpint(s->r0, ==, 1);
}

/* The store changes the operand of the addition right behind it, in the same block. */
static void the_next_instruction_sees_a_changed_one(void)
{
    start();
    put_add(0x1000, 9);
    put32(0x1002, 3, 0x1008);
    put_add(0x1007, 1);
    ram[0x1009] = 5;
    run();
    g_assert_cmpint(s->r0, ==, 18);
}

static void changed_code_in_another_block_is_seen(void)
{
    start();
    /* Twice: call 0x2000 (adds n, then jumps back); n is rewritten in between. */
    put32(0x1000, 4, 0x2000);
    put_add(0x2000, 1);
    put32(0x2002, 6, 0x1100);
    ram[0x2007] = 5;
    put32(0x1100, 3, 0x2001); /* n = r0 */
    put32(0x1105, 4, 0x2000);
    s->r1 = 4;
    run();
    g_assert_cmpint(s->r0, ==, 8);
}

/* A block that changes its own operand, and that of another one. */
static void an_operand_that_is_rewritten_often_is_loaded(void)
{
    enum { ROUNDS = 1000 };
    uint64_t killed = code_stats.killed, sum = 1;
    uint8_t own = 0, other = 3;

    start();
    s->r0 = 1;
    s->r1 = ROUNDS;
    put_add(0x1000, own);
    put32(0x1002, 3, 0x1001);
    put32(0x1007, 3, 0x2001);
    put32(0x100c, 4, 0x2000);
    put_add(0x2000, other);
    put32(0x2002, 6, 0x1000);
    ram[0x2007] = 5;
    run();
    for (unsigned i = 0; i < ROUNDS; i++) {
        sum += own;
        own = other = sum;
        sum += other;
    }
    g_assert_cmphex(s->r0, ==, sum);
    g_assert_cmpint(code_stats.killed - killed, <, 100);
    /* What the operation is, is not loaded. */
    put32(0x2002, 7, 0x2000);
    ram[0x2007] = 5;
    memory_write(memory_system(), 0x2002, &ram[0x2002], 6);
    s->pc = 0x2000;
    s->r0 = 0;
    ram[0x2001] = 5;
    run();
    g_assert_cmpint(s->r0, ==, 5);
    ram[0x2000] = 1;
    ram[0x2001] = 7;
    memory_write(memory_system(), 0x2000, &ram[0x2000], 6);
    s->pc = 0x2000;
    run();
    g_assert_cmpint(s->r0, ==, 12);
}

static void data_beside_code_does_not_invalidate_it(void)
{
    uint64_t killed;

    start();
    put_add(0x1000, 1);
    put32(0x1002, 3, 0x1800);
    put32(0x1007, 6, 0x1000);
    ram[0x100c] = 5;
    s->r1 = 1000;
    killed = code_stats.killed;
    run();
    g_assert_cmpint(s->r0, ==, 1000);
    g_assert_cmpint(ram[0x1800], ==, 1000 & 0xff);
    g_assert_cmpint(code_stats.killed, ==, killed);
}

static void code_written_by_a_device_is_seen(void)
{
    uint8_t n = 50;

    start();
    put_add(0x1000, 1);
    ram[0x1002] = 5;
    run();
    memory_write(memory_system(), 0x1001, &n, 1);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 51);
}

static void a_remapped_page_is_seen_after_its_flush(void)
{
    start();
    ram[0x3000] = 1;
    ram[0x4000] = 2;
    put32(0x1000, 2, 0x3000);
    ram[0x1005] = 5;
    run();
    g_assert_cmpint(s->r0, ==, 1);
    page_table[3] = 4 << 12 | 3;
    engine.flush_page(cpu, 0x3000);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 2);
}

static void remapped_code_is_seen_after_its_flush(void)
{
    start();
    put32(0x1000, 4, 0x3000);
    put_add(0x3000, 1);
    ram[0x3002] = 5;
    put_add(0x4000, 2);
    ram[0x4002] = 5;
    run();
    page_table[3] = 4 << 12 | 3;
    engine.flush_page(cpu, 0x3000);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 3);
}

static void the_guest_flushes_a_page_that_it_runs_through(void)
{
    start();
    put_add(0x1000, 3);
    ram[0x1002] = 8;
    put_add(0x1003, 1);
    ram[0x1005] = 5;
    run();
    g_assert_cmpint(s->r0, ==, 4);
}

/* f at 0x2000: if (--r1) { f(); r0 += 1; } */
static void put_recursion(void)
{
    put32(0x2000, 6, 0x2006);
    ram[0x2005] = 10;
    put32(0x2006, 9, 0x2000);
    put_add(0x200b, 1);
    ram[0x200d] = 10;
}

static void calls_return_from_any_depth(void)
{
    start();
    put_recursion();
    put32(0x1000, 9, 0x2000);
    put_add(0x1005, 3);
    ram[0x1007] = 5;
    for (int depth = 1; depth < 1000; depth += depth / 8 + 1) {
        s->r0 = 0;
        s->r1 = depth;
        s->pc = 0x1000;
        run();
        g_assert_cmpint(s->r0, ==, depth + 2);
        g_assert_cmphex(s->sp, ==, STACK);
        g_assert_cmphex(s->pc, ==, 0x1007);
    }
}

/* 256 bytes apart, so that they share a place. */
static void calls_from_places_with_one_low_byte_return(void)
{
    start();
    put32(0x1000, 9, 0x2000);
    put32(0x1005, 6, 0x1000);
    ram[0x100a] = 5;
    put32(0x2000, 9, 0x2200);
    put_add(0x2005, 1);
    ram[0x2007] = 10;
    put32(0x2200, 9, 0x3100);
    put_add(0x2205, 5);
    ram[0x2207] = 10;
    put_add(0x3100, 70);
    ram[0x3102] = 10;
    s->r1 = 100;
    run();
    g_assert_cmpint(s->r0, ==, 7600);
    g_assert_cmphex(s->sp, ==, STACK);
}

static void returns_over_a_frame_are_followed(void)
{
    start();
    put32(0x1000, 9, 0x2000);
    put32(0x1005, 9, 0x2100);
    put_add(0x100a, 3);
    put32(0x100c, 6, 0x1000);
    ram[0x1011] = 5;
    put32(0x2000, 9, 0x2200);
    put_add(0x2005, 1);
    ram[0x2007] = 10;
    put32(0x2100, 9, 0x2300);
    put_add(0x2105, 50); /* never */
    ram[0x2107] = 10;
    ram[0x2200] = 10;
    ram[0x2300] = 11;
    ram[0x2301] = 4;
    ram[0x2302] = 10;
    s->r1 = 50;
    run();
    g_assert_cmpint(s->r0, ==, 200);
    g_assert_cmphex(s->sp, ==, STACK);
}

static void a_changed_return_address_is_followed(void)
{
    start();
    put32(0x1000, 9, 0x2000);
    ram[0x1005] = 5;
    put_add(0x1010, 7);
    put32(0x1012, 6, 0x1000);
    ram[0x1017] = 5;
    put32(0x2000, 7, STACK - 4); /* r0 */
    ram[0x2005] = 10;
    s->r0 = 0x1010;
    s->r1 = 1;
    run();
    g_assert_cmpint(s->r0, ==, 0x1017);
    g_assert_cmphex(s->pc, ==, 0x1017);
}

static void a_return_sees_code_that_the_callee_changed(void)
{
    start();
    put32(0x1000, 9, 0x2000);
    put_add(0x1005, 1);
    put32(0x1007, 6, 0x1000);
    ram[0x100c] = 5;
    put32(0x2000, 3, 0x1006); /* what is added behind the call = r0 */
    ram[0x2005] = 10;
    s->r0 = 1;
    s->r1 = 6;
    run();
    g_assert_cmpint(s->r0, ==, 64);
}

/* Between a call and its return the caller's page is mapped elsewhere. */
static void a_return_to_a_remapped_page(bool flush_all_before, bool near_callee)
{
    start();
    for (uint32_t page = 0x1000; page <= 0x4000; page += 0x3000) {
        ram[page] = flush_all_before ? 12 : 11; /* else sp += 0 */
        ram[page + 1] = flush_all_before ? 12 : 0;
        put32(page + 2, 9, near_callee ? 0x1100 : 0x2000);
        put_add(page + 7, page == 0x1000 ? 1 : 2);
        ram[page + 9] = 5;
        put32(page + 0x100, 4, 0x2000);
    }
    ram[0x2000] = 5;
    ram[0x2001] = 8;
    put_add(0x2002, 40);
    ram[0x2004] = 10;
    for (int round = 0; round < 3; round++) {
        s->pc = 0x1000;
        run();
        g_assert_cmphex(s->pc, ==, 0x2000);
        page_table[1] = (round & 1 ? 1 : 4) << 12 | 3;
        s->r0 = 1;
        s->pc = 0x2001;
        run();
        g_assert_cmphex(s->pc, ==, 0x1009);
        g_assert_cmpint(s->r0, ==, 41 + (round & 1 ? 1 : 2));
    }
}

static void returns_see_remapped_pages(void)
{
    for (int how = 0; how < 4; how++) {
        a_return_to_a_remapped_page(how & 1, how & 2);
    }
}

static void a_call_at_the_end_of_a_page_returns(void)
{
    start();
    for (uint32_t at = 0x1ff7; at <= 0x1fff; at++) { /* behind it: bytes of this page, of both, of the next */
        start();
        put32(at, 9, 0x3000);
        put_add(at + 5, 1);
        put32(at + 7, 6, at);
        ram[at + 12] = 5;
        put_add(0x3000, 2);
        ram[0x3002] = 10;
        s->pc = at;
        s->r1 = 10;
        run();
        g_assert_cmpint(s->r0, ==, 30);
        g_assert_cmphex(s->pc, ==, at + 12);
    }
}

static void calls_of_address_spaces_do_not_mix(void)
{
    start();
    put32(0x1000, 9, 0x2000);
    put_add(0x1005, 1);
    ram[0x1007] = 5;
    put32(0x4000, 9, 0x2000);
    put_add(0x4005, 2);
    ram[0x4007] = 5;
    ram[0x2000] = 5;
    ram[0x2001] = 10;
    for (int i = 0; i < 6; i++) {
        s->r0 = 0;
        s->pc = 0x1000;
        run();
        space_id = i & 1; /* the callee comes back in the other one, in half of the rounds */
        page_table[1] = (i & 1 ? 4 : 1) << 12 | 3;
        s->pc = 0x2001;
        run();
        g_assert_cmphex(s->pc, ==, 0x1007);
        g_assert_cmpint(s->r0, ==, i & 1 ? 2 : 1);
    }
    space_id = 0;
}

static void address_spaces_do_not_mix(void)
{
    start();
    ram[0x3000] = 1;
    ram[0x4000] = 2;
    put32(0x1000, 2, 0x3000);
    ram[0x1005] = 5;
    run();
    space_id = 1;
    engine.update_mode(cpu);
    page_table[3] = 4 << 12 | 3;
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 2);
    space_id = 0;
    engine.update_mode(cpu);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 1); /* still cached */
    engine.flush_space(cpu, 0, true);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 2);
}

static void flushes_reach_spaces_that_are_not_current(void)
{
    start();
    ram[0x4000] = 2;
    put32(0x1000, 2, 0x3000);
    ram[0x1005] = 5;
    run();
    space_id = 1;
    engine.update_mode(cpu);
    page_table[3] = 4 << 12 | 3;
    engine.flush_page(cpu, 0x3000);
    space_id = 0;
    engine.update_mode(cpu);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 2);
}

/* A page of code no more, that an address space has been able to store to all the time, becomes one again. */
static void stores_of_another_space_to_a_page_that_was_code_are_seen(void)
{
    start();
    put32(0x1000, 3, 0x3001); /* changes the operand of the addition below */
    ram[0x1005] = 5;
    run();
    put_add(0x3000, 1);
    ram[0x3002] = 5;
    space_id = 1;
    s->pc = 0x3000;
    run();
    ram_mark_dirty(region_ram(ram_region), 0x3000, 0x1000); /* a device writes there */
    space_id = 0;
    s->pc = 0x3000;
    run();
    s->r0 = 7;
    s->pc = 0x1000;
    run();
    s->r0 = 0;
    s->pc = 0x3000;
    run();
    g_assert_cmpint(s->r0, ==, 7);
}

static uint64_t walks(void)
{
    return ((EngineCpu *)cpu->engine)->n_walks;
}

/* From 0x1000: the byte at 0x3000 to r0, by way of code at 0x5000. */
static void put_load_by_another_page(void)
{
    ram[0x3000] = 1;
    ram[0x4000] = 2;
    put32(0x1000, 4, 0x5000);
    put32(0x5000, 2, 0x3000);
    ram[0x5005] = 5;
    put32(0x6000, 2, 0x4000);
    ram[0x6005] = 5;
}

static void run_again(void)
{
    s->pc = 0x1000;
    run();
}

static void a_renewed_space_keeps_what_is_as_it_was(void)
{
    uint64_t before;

    start();
    put_load_by_another_page();
    run();
    before = walks();
    engine.renew_space(cpu, space_id);
    run_again();
    g_assert_cmpint(s->r0, ==, 1);
    g_assert_cmpint(walks(), ==, before);
}

static void a_renewed_space_sees_changed_pages(void)
{
    uint64_t before;

    start();
    put_load_by_another_page();
    run();
    before = walks();
    page_table[3] = 4 << 12 | 3;
    engine.renew_space(cpu, space_id);
    run_again();
    g_assert_cmpint(s->r0, ==, 2);
    g_assert_cmpint(walks(), ==, before + 1);
    page_table[3] = 0;
    engine.renew_space(cpu, space_id);
    run_again();
    g_assert_cmphex(s->fault, ==, 0x3000);
    page_table[5] = 6 << 12 | 3; /* code */
    engine.renew_space(cpu, space_id);
    run_again();
    g_assert_cmpint(s->r0, ==, 2);
}

static void a_renewed_space_sees_changed_upper_levels(void)
{
    uint64_t before;

    start();
    put_load_by_another_page();
    run();
    before = walks();
    table_root++;
    engine.renew_space(cpu, space_id);
    run_again();
    g_assert_cmpint(walks(), ==, before + 3);
}

static void a_changed_memory_map_is_seen_in_a_renewed_space(void)
{
    Region *other;

    start();
    put_load_by_another_page();
    run();
    machine_lock();
    other = region_new_ram("other", 4096, NULL);
    region_add(memory_system_root(), (RAM_PAGES + 1) << 12, other);
    machine_unlock();
    engine.renew_space(cpu, space_id);
    run_again();
    g_assert_cmpint(s->r0, ==, 1);
    machine_lock();
    region_remove(other);
    region_free(other);
    machine_unlock();
}

/* The first walk's translation is older than what the second one noted. */
static void a_page_walked_again_loses_what_its_old_entry_said(void)
{
    start();
    ram[0x3000] = 1;
    ram[0x4000] = 2;
    put32(0x1000, 2, 0x3000); /* a load enters the page */
    put32(0x1005, 3, 0x3001);
    put32(0x100a, 2, 0x3000);
    ram[0x100f] = 5;
    page_table[3] = 3 << 12 | 2;
    run();
    g_assert_cmphex(s->fault, ==, 0x3001);
    page_table[3] = 4 << 12 | 3;
    s->pc = 0x1005; /* a store walks; no flush, so the load may see either */
    run();
    engine.renew_space(cpu, space_id);
    s->pc = 0x100a;
    run();
    g_assert_cmpint(s->r0, ==, 2);
}

static void spaces_with_much_in_them_are_emptied(void)
{
    Evidence *e = g_new0(Evidence, 1);
    uint64_t entries[EVIDENCE_PAGES + 1] = { 0 }, changed[2];
    MmuResult result = { .n_reads = 2, .read = { { &table_root, table_root, 8 } }, .may_gain = 6 };

    for (unsigned i = 0; i < EVIDENCE_PAGES; i++) {
        result.read[1] = (MmuRead){ &entries[i], 0, 8 };
        g_assert_true(evidence_note(e, (uint64_t)i * 0x5000, &result));
    }
    g_assert_true(evidence_holds(e));
    g_assert_cmpint(evidence_list_changed(e, changed, 2), ==, 0);
    entries[7] = 2;
    result.read[1] = (MmuRead){ &entries[7], 2, 8 };
    g_assert_true(evidence_note(e, 7 * 0x5000, &result)); /* a bit gained */
    entries[7] = 3;
    result.read[1].value = 3;
    g_assert_false(evidence_note(e, 7 * 0x5000, &result));
    g_assert_cmpint(evidence_list_changed(e, changed, 2), ==, 0);
    entries[8] = 1;
    g_assert_cmpint(evidence_list_changed(e, changed, 2), ==, 1);
    g_assert_cmphex(changed[0], ==, 8 * 0x5000);
    entries[8] = entries[9] = entries[10] = 5;
    g_assert_cmpint(evidence_list_changed(e, changed, 2), ==, 3);
    g_assert_true(evidence_holds(e));
    result.read[1] = (MmuRead){ &entries[EVIDENCE_PAGES], 0, 8 };
    g_assert_true(evidence_note(e, EVIDENCE_PAGES * 0x5000, &result));
    g_assert_false(evidence_holds(e)); /* one too many */
    evidence_forget(e);
    g_assert_true(evidence_holds(e));
    result.n_reads = 0;
    g_assert_true(evidence_note(e, 0, &result));
    g_assert_false(evidence_holds(e)); /* nobody knows */
    g_free(e);
}

static void stores_show_in_the_dirty_log(void)
{
    start();
    put32(0x1000, 3, 0x6000);
    ram[0x1005] = 5;
    run();
    machine_lock();
    region_log_start(ram_region, PAGE_CLEAN_DISPLAY);
    region_log_test_and_clear(ram_region, PAGE_CLEAN_DISPLAY, 0x6000, 4096);
    machine_unlock();
    run(); /* what the tables held is dropped, and counts as one more write */
    machine_lock();
    region_log_test_and_clear(ram_region, PAGE_CLEAN_DISPLAY, 0x6000, 4096);
    g_assert_false(region_log_test_and_clear(ram_region, PAGE_CLEAN_DISPLAY, 0x6000, 4096));
    machine_unlock();
    s->pc = 0x1000;
    run();
    machine_lock();
    g_assert_true(region_log_test_and_clear(ram_region, PAGE_CLEAN_DISPLAY, 0x6000, 4096));
    machine_unlock();
}

static void a_changed_memory_map_is_seen(void)
{
    start();
    put32(0x1000, 2, 0x3000);
    ram[0x1005] = 5;
    run();
    machine_lock();
    Region *io = region_new_io("over", &io_ops, NULL, 4096);
    region_add_overlap(memory_system_root(), 0x3000, io, 1);
    machine_unlock();
    s->pc = 0x1000;
    run();
    g_assert_cmphex(s->r0, ==, 0x5a);
    machine_lock();
    region_remove(io);
    region_free(io);
    machine_unlock();
}

static int stops;
static DebugStop stop_why;
static uint64_t stop_pc;

static void on_stop(Cpu *stopped, DebugStop why, VirtAddr addr)
{
    stop_why = why;
    stop_pc = s->pc;
    stops++;
}

static void wait_for_stop(int n)
{
    for (int i = 0; i < PATIENCE_MS && *(volatile int *)&stops < n; i++) {
        g_usleep(1000);
    }
    g_assert_cmpint(stops, ==, n);
    machine_lock();
    accel_pause_all();
}

static void go_on(void)
{
    accel_resume_all();
    machine_unlock();
}

static void breakpoints_stop_and_go_on(void)
{
    start();
    put_add(0x1000, 1);
    put_add(0x1002, 2);
    ram[0x1004] = 5;
    stops = 0;
    accel_debug_stop_fn = on_stop;
    accel->insert_breakpoint(cpu, 0x1002);
    machine_lock();
    cpu->halted = false;
    go_on();
    wait_for_stop(1);
    g_assert_cmpint(stop_why, ==, DEBUG_BREAKPOINT);
    g_assert_cmphex(stop_pc, ==, 0x1002);
    g_assert_cmpint(s->r0, ==, 1);
    machine_unlock();
    run();
    g_assert_cmpint(s->r0, ==, 3);
    accel->remove_breakpoint(cpu, 0x1002);
    accel_debug_stop_fn = NULL;
}

static void watchpoints_stop_after_the_access(void)
{
    start();
    put32(0x1000, 3, 0x7004);
    put_add(0x1005, 2);
    ram[0x1007] = 5;
    stops = 0;
    accel_debug_stop_fn = on_stop;
    s->r0 = 8;
    machine_lock();
    accel->insert_watchpoint(cpu, 0x7004, 1, false, true);
    cpu->halted = false;
    go_on();
    wait_for_stop(1);
    g_assert_cmpint(stop_why, ==, DEBUG_WATCH_WRITE);
    g_assert_cmphex(stop_pc, ==, 0x1005);
    g_assert_cmpint(ram[0x7004], ==, 8);
    accel->remove_watchpoint(cpu, 0x7004, 1, false, true);
    machine_unlock();
    run();
    g_assert_cmpint(s->r0, ==, 10);
    accel_debug_stop_fn = NULL;
}

static void the_guest_learns_of_hits_after_the_instruction(void)
{
    start();
    put_add(0x1000, 8);
    put32(0x1002, 3, 0x7003);
    put32(0x1007, 7, 0x7001); /* its last byte */
    put_add(0x100c, 2);
    put32(0x100e, 2, 0x7004);
    ram[0x1013] = 5;
    watch_hits = watch_count = 0;
    engine.watch(cpu, 2, 0x7004, 2, false, true);
    run();
    g_assert_cmpint(watch_count, ==, 1);
    g_assert_cmphex(watch_hits, ==, 1 << 2);
    g_assert_cmphex(watch_pc, ==, 0x100c);
    g_assert_cmpint(ram[0x7001], ==, 8);
    engine.watch(cpu, 2, 0x7004, 2, true, false);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(watch_count, ==, 2);
    g_assert_cmphex(watch_pc, ==, 0x1013);
    engine.watch(cpu, 2, 0, 0, false, false);
    s->pc = 0x1000;
    run();
    g_assert_cmpint(watch_count, ==, 2);
}

static void single_steps_stop_at_each_instruction(void)
{
    start();
    put_add(0x1000, 1);
    put_add(0x1002, 2);
    ram[0x1004] = 5;
    stops = 0;
    accel_debug_stop_fn = on_stop;
    accel->set_single_step(cpu, true);
    machine_lock();
    cpu->halted = false;
    go_on();
    wait_for_stop(1);
    g_assert_cmpint(stop_why, ==, DEBUG_STEP);
    g_assert_cmphex(stop_pc, ==, 0x1002);
    go_on();
    wait_for_stop(2);
    g_assert_cmphex(stop_pc, ==, 0x1004);
    accel->set_single_step(cpu, false);
    machine_unlock();
    accel_debug_stop_fn = NULL;
    run();
}

static const Block *block_at(uint64_t pc)
{
    BlockKey key = { .pc = pc, .phys = pc };
    const Block *block;

    g_mutex_lock(&tb_lock);
    block = code_block_find(&key, 0, ram + pc, NULL);
    g_mutex_unlock(&tb_lock);
    return block;
}

/* A load from page 3, found to be hot. */
static void run_hot(unsigned in_mode, uint64_t pc)
{
    mode = in_mode;
    put32(pc, 2, 0x3005);
    ram[pc + 5] = 5;
    s->pc = pc;
    run();
    s->pc = pc;
    hot_sample(cpu->engine);
    hot_sample(cpu->engine);
    run();
}

static void blocks_of_the_system_have_sites_until_a_process_comes(void)
{
    bool before_processes;

    start();
    toy_ops.system_sites = true;
    before_processes = hot_before_processes(cpu->engine) && !engine_options.interpret;
    ram[0x3005] = 33;
    ram[0x4005] = 44;
    run_hot(SYSTEM, 0x1000);
    g_assert_cmpint(s->r0, ==, 44);
    g_assert_cmpint(before_processes, ==, block_at(0x1000)->code && block_at(0x1000)->code->n_sites);
    run_hot(PROCESS, 0x2000);
    g_assert_cmpint(s->r0, ==, 33);
    g_assert_null(before_processes ? block_at(0x1000) : NULL);
    mode = SYSTEM;
    s->pc = 0x1000;
    run();
    g_assert_cmpint(s->r0, ==, 44);
    g_assert_false(hot_before_processes(cpu->engine));
    mode = PROCESS;
    toy_ops.system_sites = false;
}

typedef struct Case {
    const char *name;
    void (*fn)(void);
} Case;

#define CASE(name) { #name, name }
static const Case cases[] = {
    CASE(a_loop_adds_up),
    CASE(a_loop_over_two_pages_adds_up),
    CASE(loads_and_stores_reach_ram),
    CASE(devices_are_reached),
    CASE(a_fault_leaves_the_pc_at_its_instruction),
    CASE(a_crossing_store_that_faults_writes_nothing),
    CASE(a_fetch_fault_is_raised),
    CASE(the_last_pc_of_all_can_be_jumped_to),
    CASE(a_fetch_fault_in_the_second_page_is_raised),
    CASE(the_next_instruction_sees_a_changed_one),
    CASE(changed_code_in_another_block_is_seen),
    CASE(an_operand_that_is_rewritten_often_is_loaded),
    CASE(data_beside_code_does_not_invalidate_it),
    CASE(code_written_by_a_device_is_seen),
    CASE(a_remapped_page_is_seen_after_its_flush),
    CASE(remapped_code_is_seen_after_its_flush),
    CASE(the_guest_flushes_a_page_that_it_runs_through),
    CASE(calls_return_from_any_depth),
    CASE(calls_from_places_with_one_low_byte_return),
    CASE(returns_over_a_frame_are_followed),
    CASE(a_changed_return_address_is_followed),
    CASE(a_return_sees_code_that_the_callee_changed),
    CASE(returns_see_remapped_pages),
    CASE(a_call_at_the_end_of_a_page_returns),
    CASE(calls_of_address_spaces_do_not_mix),
    CASE(address_spaces_do_not_mix),
    CASE(flushes_reach_spaces_that_are_not_current),
    CASE(stores_of_another_space_to_a_page_that_was_code_are_seen),
    CASE(a_renewed_space_keeps_what_is_as_it_was),
    CASE(a_renewed_space_sees_changed_pages),
    CASE(a_renewed_space_sees_changed_upper_levels),
    CASE(a_changed_memory_map_is_seen_in_a_renewed_space),
    CASE(a_page_walked_again_loses_what_its_old_entry_said),
    CASE(spaces_with_much_in_them_are_emptied),
    CASE(stores_show_in_the_dirty_log),
    CASE(a_changed_memory_map_is_seen),
    CASE(breakpoints_stop_and_go_on),
    CASE(watchpoints_stop_after_the_access),
    CASE(the_guest_learns_of_hits_after_the_instruction),
    CASE(single_steps_stop_at_each_instruction),
    CASE(blocks_of_the_system_have_sites_until_a_process_comes),
};

static void run_case(gconstpointer data)
{
    ((const Case *)data)->fn();
}

static void use_interpreter(void)
{
    g_mutex_lock(&tb_lock);
    blocks_kill_all();
    g_mutex_unlock(&tb_lock);
    engine_options.interpret = true;
}

static void use_translator(void)
{
    engine_options.interpret = false;
}

static bool has_back_end(void)
{
    uint64_t used, size;

    tcg_code_usage(&used, &size);
    return size > 0;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    set_up();
    if (has_back_end()) {
        g_test_add_func("/translator/start", use_translator);
        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
            g_autofree char *path = g_strdup_printf("/translator/%s", cases[i].name);

            g_test_add_data_func(path, &cases[i], run_case);
        }
    }
    g_test_add_func("/interpreter/start", use_interpreter);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdup_printf("/interpreter/%s", cases[i].name);

        g_test_add_data_func(path, &cases[i], run_case);
    }
    return g_test_run();
}
