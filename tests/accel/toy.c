#include "tests/accel/toy.h"

enum { TOY_R0, TOY_R1, TOY_SP, TOY_PC, TOY_SLOTS };

static const IrSlot toy_slots[TOY_SLOTS] = {
    { "r0", offsetof(ToyState, r0), IR_I64, 0 },
    { "r1", offsetof(ToyState, r1), IR_I64, 1 },
    { "sp", offsetof(ToyState, sp), IR_I64, 2 },
    { "pc", offsetof(ToyState, pc), IR_I64, -1 },
};

Cpu *cpu;
ToyState *s;
uint8_t *ram;
Region *ram_region;
unsigned io_writes, io_value;
unsigned watch_hits, watch_count;
uint64_t watch_pc;
uint64_t page_table[PAGES], table_root, space_id;
unsigned mode = PROCESS;

static uint64_t helper_fetch_fault(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
static uint64_t helper_flush(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
static uint64_t helper_flush_all(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
static const IrHelper toy_helpers[] = {
    { "fetch_fault", helper_fetch_fault, 0, IR_VOID, EFFECT_FAULT | EFFECT_NORETURN, ~0, 0 },
    { "flush", helper_flush, 1, IR_VOID, EFFECT_FAULT | EFFECT_FP, 0, 0 },
    { "flush_all", helper_flush_all, 0, IR_VOID, EFFECT_FAULT | EFFECT_FP, 0, 0 },
};

static void toy_key(Cpu *c, BlockKey *key)
{
    key->pc = s->pc;
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

GuestOps toy_ops;

static void toy_translate(Translation *t)
{
    IrBlock *ir = t->ir;
    uint64_t pc = t->key->pc, end = pc, run = pc;
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
        case 14:
            count = ir_load(ir, IR_I8, addr, 0, IRM_ZX | IRM_UPDATE);
            ir_store(ir, IR_I8, addr, 0, ir_op2(ir, IR_add, IR_I64, count, ir_const(ir, IR_I64, 1)), 0);
            break;
        case 13:
            end = run == t->key->pc ? pc + length : end;
            translation_relies_on(t, run, pc + length - run, 0);
            pc = load_le32(code + 1) - length;
            run = pc + length;
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
    t->end_pc = run == t->key->pc ? pc : end;
    translation_relies_on(t, run, pc - run, 0);
}

static unsigned toy_mode(Cpu *c, bool kernel)
{
    return mode;
}

static uint64_t toy_space(Cpu *c)
{
    return space_id;
}

static bool toy_walk(Cpu *c, VirtAddr addr, MmuAccess access, unsigned walk_mode, bool debug,
                     MmuResult *out)
{
    uint64_t page = (addr >> 12) + (walk_mode == SYSTEM && addr >> 12 == 3);
    uint64_t entry = page < PAGES ? page_table[page] : 0;

    if (!entry || (access == MMU_STORE && !(entry & WRITABLE)) || (access == MMU_LOAD && entry & UNREADABLE)) {
        return false;
    }
    *out = (MmuResult){ .phys = entry & ~0xfffull, .page_size = 4096, .readable = !(entry & UNREADABLE),
                        .writable = entry & WRITABLE, .executable = true, .global = entry & GLOBAL, .n_reads = 2,
                        .read = { { &table_root, table_root, 8 }, { &page_table[page], entry, 8 } } };
    return true;
}

static void toy_raise(Cpu *c, VirtAddr addr, MmuAccess access, unsigned fault_mode)
{
    s->fault = addr;
    tcg_unwind(s, TCG_EXIT_EXCEPTION);
}

static uint64_t helper_fetch_fault(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    tcg_restore(s, tcg_caller_pc(s));
    toy_raise(cpu, (s->pc & ~0xfffull) + 0x1000, MMU_FETCH, 0);
    return 0;
}

static uint64_t helper_flush(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    engine.flush_page(cpu, a << 12);
    return 0;
}

static uint64_t helper_flush_all(void *state, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    engine.flush_all(cpu);
    return 0;
}

static void toy_deliver(Cpu *c)
{
    s->faults++;
    cpu->halted = true;
}

static void toy_service(Cpu *c)
{
}

static uint64_t toy_get_pc(Cpu *c)
{
    return s->pc;
}

static bool toy_has_work(Cpu *c)
{
    return false;
}

static bool toy_watch_restartable(Cpu *c)
{
    return true;
}

static bool toy_watch_hits(Cpu *c, unsigned hits, bool raised)
{
    watch_hits |= hits;
    watch_count++;
    watch_pc = s->pc;
    return false;
}

GuestOps toy_ops = {
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

static uint64_t io_read(void *opaque, PhysAddr offset, unsigned size)
{
    return 0x5a;
}

static void io_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    io_writes++;
    io_value = value;
}

const RegionOps io_ops = { io_read, io_write, 1, 4, ENDIAN_LITTLE };

void set_up(void)
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

void start(void)
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

void put32(uint32_t addr, uint8_t op, uint32_t operand)
{
    ram[addr] = op;
    store_le32(ram + addr + 1, operand);
}

void put_add(uint32_t addr, uint8_t n)
{
    ram[addr] = 1;
    ram[addr + 1] = n;
}

void run(void)
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
