/* What the translating engine calls of the x86 target. */
#include "accel/accel.h" /* layer: the guest's own breakpoints are the engine's */
#include "target/x86/system.h"

void x86_block_key(Cpu *cpu, BlockKey *key)
{
    X86State *s = x86_state(cpu);

    key->pc = s->pc;
    key->base = is_code64(s) ? 0 : s->seg[S_CS].base;
    key->flags = s->mode_flags;
}

static unsigned mmu_mode(Cpu *cpu, bool kernel)
{
    X86State *s = x86_state(cpu);

    return kernel ? MMU_KERNEL : data_mode(s, s->cpl);
}

/* Without PCIDs every write of CR3 empties the TLB, so one identifier does for all. */
static uint64_t address_space_id(Cpu *cpu)
{
    X86State *s = x86_state(cpu);

    return s->cr4 & CR4_PCIDE ? s->cr3 & 0xfff : 0;
}

static void raise_alignment(Cpu *cpu, VirtAddr addr, bool is_store)
{
    X86State *s = x86_state(cpu);

    /* Vector operands want their alignment whatever AC says. */
    if (s->mode_flags & MODE_AC) {
        x86_raise_error(s, EXC_AC, 0, 0);
    }
    x86_raise_error(s, EXC_GP, 0, 0);
}

enum { DR7_EXECUTE, DR7_WRITE, DR7_IO, DR7_ACCESS };

static bool breakpoint_enabled(const X86State *s, int i)
{
    return s->dr[7] >> (2 * i) & 3;
}

static unsigned breakpoint_kind(const X86State *s, int i)
{
    return s->dr[7] >> (16 + 4 * i) & 3;
}

static unsigned breakpoint_size(const X86State *s, int i)
{
    static const uint8_t sizes[] = { 1, 2, 8, 4 };

    return sizes[s->dr[7] >> (18 + 4 * i) & 3];
}

/* Hands the guest's breakpoints to the engine; those it had before are taken back. */
void x86_update_breakpoints(X86State *s)
{
    Cpu *cpu = s->hot.cpu;

    for (int i = 0; i < 4; i++) {
        struct X86Breakpoint *b = &s->breakpoints[i];
        bool want = breakpoint_enabled(s, i) && breakpoint_kind(s, i) == DR7_EXECUTE;

        if (b->set && (!want || b->addr != s->dr[i])) {
            tcg_fp_sync(s);
            accel->remove_breakpoint(cpu, b->addr);
            b->set = false;
        }
        if (want && !b->set && accel && accel->insert_breakpoint) {
            tcg_fp_sync(s);
            b->addr = s->dr[i];
            b->set = accel->insert_breakpoint(cpu, b->addr);
        }
    }
}

static bool guest_debug_exception(Cpu *cpu)
{
    X86State *s = x86_state(cpu);
    uint64_t addr = linear(s, (is_code64(s) ? 0 : s->seg[S_CS].base) + s->pc), hits = 0;

    if (s->eflags & EFL_RF) {
        return false;
    }
    for (int i = 0; i < 4; i++) {
        if (breakpoint_enabled(s, i) && breakpoint_kind(s, i) == DR7_EXECUTE &&
            breakpoint_size(s, i) == 1 && s->dr[i] == addr) {
            hits |= 1u << i;
        }
    }
    if (!hits) {
        return false;
    }
    s->exception = (X86Exception){ .vector = EXC_DB, .dr6 = hits };
    return true;
}

static uint64_t get_pc(Cpu *cpu)
{
    X86State *s = x86_state(cpu);

    return linear(s, (is_code64(s) ? 0 : s->seg[S_CS].base) + s->pc);
}

static void set_pc(Cpu *cpu, uint64_t pc)
{
    X86State *s = x86_state(cpu);

    s->pc = linear(s, pc - (is_code64(s) ? 0 : s->seg[S_CS].base));
}

const GuestOps x86_guest_ops = {
    .tcg = {
        .slots = x86_slots,
        .n_slots = SLOT_COUNT,
        .pc_slot = SLOT_PC,
        .fxsave_offset = offsetof(X86State, fx),
        .use_vector_pins = true,
    },
    .helpers = x86_helpers,
    .n_helpers = HELPER_COUNT,
    .block_key = x86_block_key,
    .translate = x86_translate,
    .disassemble = x86_disassemble,
    .mmu_mode = mmu_mode,
    .address_space_id = address_space_id,
    .walk = x86_walk,
    .raise_mmu_fault = x86_raise_mmu_fault,
    .raise_alignment = raise_alignment,
    .raise_host_fp = x86_raise_host_fp,
    .deliver_exception = x86_deliver_exception,
    .service = x86_service,
    .guest_debug_exception = guest_debug_exception,
    .get_pc = get_pc,
    .set_pc = set_pc,
    .gdb_target_xml = x86_gdb_xml,
    .gdb_read_register = x86_gdb_read,
    .gdb_write_register = x86_gdb_write,
    .gdb_register_count = X86_GDB_REGISTERS,
};
