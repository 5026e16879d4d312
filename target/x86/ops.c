/* What the translating engine calls of the x86 target. */
#include "target/x86/faulting.h"
#include "target/x86/system.h"

/*
 * Code of processes, in flat segments and in no mode that looks at each instruction: shared libraries
 * and programs are at another address in each process.
 */
static unsigned x86_pic_bits(const X86State *s)
{
    const uint64_t each = MODE_TF | MODE_SHADOW | MODE_BREAKPOINTS | MODE_GUEST | MODE_VM;
    uint64_t mode = s->mode_flags;

    if ((mode & each) || (mode >> MODE_CPL_SHIFT & 3) != 3 || !(mode & MODE_FLAT_CS)) {
        return 0;
    }
    return mode & MODE_CS64 ? 64 : mode & MODE_CS32 ? 32 : 0;
}

void x86_block_key(Cpu *cpu, BlockKey *key)
{
    X86State *s = x86_state(cpu);

    key->pc = s->pc;
    key->base = is_code64(s) ? 0 : s->seg[S_CS].base;
    key->flags = s->mode_flags;
    key->pic_bits = x86_pic_bits(s);
}

static unsigned mmu_mode(Cpu *cpu, bool kernel)
{
    X86State *s = x86_state(cpu);

    return kernel ? MMU_KERNEL : data_mode(s, s->cpl);
}

/*
 * A virtual machine's pages are told apart by its ASID, and by the modes that their rights were
 * derived under: a VMRUN may come back with other ones and empties no TLB.
 */
static uint64_t virtual_space(const X86State *s)
{
    /* Bits that these registers have at different places, packed into twelve. */
    uint64_t modes = (s->cr0 & (CR0_PG | CR0_WP)) >> 16 |                       /* bits 15, 0 */
                     (s->cr4 & (CR4_PSE | CR4_PAE | CR4_PGE)) >> 3 |            /* bits 1, 2, 4 */
                     (s->cr4 & (CR4_SMEP | CR4_SMAP | CR4_PKE)) >> 12 |         /* bits 8-10 */
                     (s->efer & (EFER_LMA | EFER_NXE)) >> 5 |                   /* bits 5, 6 */
                     (s->cr4 & CR4_PCIDE) >> 14 | (uint64_t)s->svm.nested_paging << 7; /* bits 3, 7 */

    modes = (modes & 0x7ff) | (modes & 0x8000) >> 4;
    return SVM_SPACE(s->svm.asid) | modes << 32 | (s->cr4 & CR4_LA57) << 16;
}

uint64_t x86_pcid_space(const X86State *s, unsigned pcid)
{
    return (s->svm.guest ? virtual_space(s) : 0) | pcid;
}

/*
 * Without PCIDs every write of CR3 empties the TLB. What it had is kept by CR3 nevertheless, and renewed at that write
 * (EngineOps.renew_space). Outside of virtual machines, where CR3 changes without a word.
 */
uint64_t x86_space_id(const X86State *s)
{
    if (s->cr4 & CR4_PCIDE) {
        return x86_pcid_space(s, s->cr3 & 0xfff);
    }
    if (s->svm.guest || !(s->cr0 & CR0_PG)) {
        return x86_pcid_space(s, 0);
    }
    return is_long(s) ? s->cr3 >> 12 : s->cr3 >> 5;
}

static uint64_t address_space_id(Cpu *cpu)
{
    return x86_space_id(x86_state(cpu));
}

static void raise_alignment(Cpu *cpu, VirtAddr addr, bool is_store)
{
    X86State *s = x86_state(cpu);
    X86Insn in;

    /* Vector operands want their alignment whatever AC says. */
    if (s->mode_flags & MODE_AC) {
        x86_raise_error(s, EXC_AC, 0, 0);
    }
    x86_raise_misaligned(s, x86_insn_at_pc(s, &in) ? &in : NULL);
}

static bool guest_debug_exception(Cpu *cpu)
{
    X86State *s = x86_state(cpu);
    uint64_t hits = x86_breakpoint_hits(s, linear(s, (is_code64(s) ? 0 : s->seg[S_CS].base) + s->pc));

    if (!hits || (s->eflags & EFL_RF)) {
        return false;
    }
    s->exception = (X86Exception){ .vector = EXC_DB, .dr6 = hits };
    return true;
}

/* Entering a handler changes the state as it goes; task switches have no address to restart from. */
static bool watch_restartable(Cpu *cpu)
{
    return !x86_state(cpu)->catching;
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
        .ymm_offset = offsetof(X86State, ymm_high),
        .use_vector_pins = true,
    },
    .helpers = x86_helpers,
    .n_helpers = HELPER_COUNT,
    .block_key = x86_block_key,
    .translate = x86_translate,
    .disassemble = x86_disassemble,
    .mmu_mode = mmu_mode,
    .system_modes = 1 << MMU_KERNEL | 1 << MMU_KERNEL_AC,
    .links_global = true,
    .chosen_offset = offsetof(X86State, chosen),
    .system_sites = true,
    .address_space_id = address_space_id,
    .walk = x86_walk,
    .raise_mmu_fault = x86_raise_mmu_fault,
    .raise_alignment = raise_alignment,
    .raise_host_fp = x86_raise_host_fp,
    .deliver_exception = x86_deliver_exception,
    .service = x86_service,
    .guest_debug_exception = guest_debug_exception,
    .watch_restartable = watch_restartable,
    .watch_hits = x86_watch_hits,
    .get_pc = get_pc,
    .set_pc = set_pc,
    .gdb_target_xml = x86_gdb_xml,
    .gdb_read_register = x86_gdb_read,
    .gdb_write_register = x86_gdb_write,
};
