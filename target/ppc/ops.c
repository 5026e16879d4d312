/* What the translating engine calls of the PowerPC target. */
#include "target/ppc/insns.h"

/* Code of processes: shared libraries and programs are at another address in each. */
static unsigned pic_bits(const PpcState *s)
{
    if (!(s->mode_flags & MODE_PR) || (s->mode_flags & (MODE_SE | MODE_BE))) {
        return 0;
    }
    return s->mode_flags & MODE_SF ? 64 : 32;
}

static void block_key(Cpu *cpu, BlockKey *key)
{
    PpcState *s = ppc_state(cpu);

    key->pc = s->pc;
    key->base = 0;
    key->flags = ppc_key_flags(s);
    key->pic_bits = pic_bits(s);
}

static unsigned mmu_mode(Cpu *cpu, bool kernel)
{
    PpcState *s = ppc_state(cpu);

    if (kernel) {
        return s->msr & MSR_DR ? ppc_kernel_mode(s) : MMU_REAL;
    }
    return ppc_data_mode(s);
}

static unsigned fetch_mode(Cpu *cpu)
{
    return ppc_fetch_mode(ppc_state(cpu));
}

static uint64_t address_space_id(Cpu *cpu)
{
    return ppc_state(cpu)->space_id;
}

static void raise_host_fp(Cpu *cpu, int signal, int code)
{
    ppc_program(ppc_state(cpu), PROGRAM_ILLEGAL, 0); /* no operation of ours traps */
}

static uint64_t get_pc(Cpu *cpu)
{
    return ppc_state(cpu)->pc;
}

static void set_pc(Cpu *cpu, uint64_t pc)
{
    ppc_state(cpu)->pc = pc & PPC_PC_MASK;
}

const GuestOps ppc_guest_ops = {
    .tcg = {
        .slots = ppc_slots,
        .n_slots = SLOT_COUNT,
        .pc_slot = SLOT_PC,
        .pc_shift = 2,
        .use_fp_traps = true,
    },
    .helpers = ppc_helpers,
    .n_helpers = HELPER_COUNT,
    .block_key = block_key,
    .translate = ppc_translate,
    .disassemble = ppc_disassemble,
    .mmu_mode = mmu_mode,
    .fetch_mode = fetch_mode,
    .links_global = true,
    .links_worlds = true,
    .system_modes = 1 << MMU_KERNEL | 1 << MMU_REAL | 1 << MMU_FETCH_KERNEL | 1 << MMU_FETCH_REAL | 7 << MMU_KERNEL_NO_LOADS,
    .store_modes = 1 << MMU_KERNEL_NO_LOADS,
    .chosen_offset = offsetof(PpcState, chosen),
    .address_space_id = address_space_id,
    .walk = ppc_walk,
    .raise_mmu_fault = ppc_raise_mmu_fault,
    .raise_alignment = ppc_raise_alignment,
    .raise_host_fp = raise_host_fp,
    .deliver_exception = ppc_deliver_exception,
    .service = ppc_service,
    .watch_before = ppc_watch_before,
    .get_pc = get_pc,
    .set_pc = set_pc,
    .gdb_target_xml = ppc_gdb_xml,
    .gdb_read_register = ppc_gdb_read,
    .gdb_write_register = ppc_gdb_write,
    .gdb_big_endian = ppc_gdb_big_endian,
};
