/* The PowerPC processor as boards see it: creation, reset, snapshots, pins. */
#include "target/ppc/booke.h"

#include "core/state.h"
#include "util/error.h"

#include <stdatomic.h>
#include <string.h>

#define ROW(member, n, reset_) \
    { #member, offsetof(PpcState, member), sizeof(((PpcState *)0)->member) / (n), n, reset_ },

/* All of the guest's state, with what power-on makes of it; more of it depends on the model. */
static const StateField *ppc_fields(size_t *count)
{
    static const StateField rows[] = {
        ROW(gpr, 32, 0) ROW(pc, 1, 0) ROW(lr, 1, 0) ROW(ctr, 1, 0)
        ROW(ca, 1, 0) ROW(ov, 1, 0) ROW(so, 1, 0) ROW(ca32, 1, 0) ROW(ov32, 1, 0) ROW(cr, 8, 0) ROW(xer_low, 1, 0)
        ROW(reserve_addr, 1, PPC_NO_RESERVATION) ROW(reserve_value, 1, 0) ROW(reserve_value2, 1, 0) ROW(reserve_size, 1, 0)
        ROW(vrsave, 1, 0) ROW(fpscr, 1, 0) ROW(fp_noted, 1, 0) ROW(fp_last_operands, 3, 0) ROW(fp_last_fpcc, 1, 0)
        ROW(vscr, 1, 0) ROW(vsr, 128, 0)
        ROW(msr, 1, 0) ROW(spr, 1024, 0) ROW(sr, 16, 0) ROW(tgpr, 4, 0) ROW(slb_esid, 64, 0) ROW(slb_vsid, 64, 0)
        ROW(exception.vector, 1, PPC_NO_EXCEPTION) ROW(exception.flags, 1, 0) ROW(napping, 1, 0)
        ROW(tb_offset, 1, 0) ROW(dec_end, 1, 0) ROW(hdec_end, 1, 0) ROW(timers_polled, 1, 0) ROW(gprh, 32, 0)
        ROW(spe_acc, 1, 0) ROW(pmr, 16, 0)
    };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

/* After the fields have changed as a whole: what is derived from them, here and in the engine. */
static void state_replaced(PpcState *s)
{
    s->exception.vector = PPC_NO_EXCEPTION;
    s->copy_waits = false;
    ppc_mmu_reset(s);
    if (engine.flush_all) {
        engine.flush_all(s->hot.cpu);
    }
    ppc_forget_uncached(s);
    ppc_watches_update(s);
    ppc_pmu_restart(s);
    ppc_ebb_update(s);
    ppc_update_mode(s);
    ppc_timers_update(s);
}

static void ppc_reset(Cpu *cpu)
{
    PpcState *s = ppc_state(cpu);
    uint32_t levels = atomic_load(&s->pending) & (PPC_INT_EXTERNAL | PPC_INT_SMI | PPC_INT_CRITICAL);

    state_reset(ppc_fields, s);
    ppc_spr_reset(s);
    s->hot.fp_loaded = FP_LOADED_NOTHING;
    s->msr = (s->model->prefix_high ? MSR_IP : 0) | (ppc_isa(s, ISA_64) ? MSR_SF : 0) |
             (ppc_isa(s, ISA_HV) && !s->hypercall ? MSR_HV : 0);
    s->pc = s->model->prefix_high ? 0xfff00100 : ppc_isa(s, ISA_BOOKE) ? 0xfffffffc : 0x100;
    s->dec_end = s->hdec_end = (int64_t)ppc_tb(s) + INT32_MAX + INT64_C(1);
    if (s->reset_state.given) {
        s->pc = s->reset_state.pc & PPC_PC_MASK;
        s->msr = s->reset_state.msr & s->msr_mask;
        memcpy(s->gpr, s->reset_state.gpr, sizeof(s->reset_state.gpr));
        if (s->hypercall) {
            s->spr[SPR_SDR1] = s->reset_state.sdr1;
            s->spr[SPR_LPCR] = s->reset_state.lpcr;
        }
        if (ppc_isa(s, ISA_CLASSIC)) {
            s->spr[SPR_HID0] = s->reset_state.hid0;
        }
    }
    if (ppc_isa(s, ISA_BOOKE)) {
        s->dec_end = INT64_MAX; /* stands at 0 */
        s->timers_polled = ppc_tb(s);
        ppc_booke_reset(s);
    }
    cpu->halted = s->reset_state.halted;
    atomic_store(&s->pending, levels);
    cpu_clear_request(cpu, ~(uint32_t)CPU_REQ_EXIT);
    state_replaced(s);
}

static bool ppc_init(Cpu *cpu, const char *model, GError **error)
{
    PpcState *s = ppc_state(cpu);

    s->model = ppc_model_find(model ? model : "750", error);
    if (!s->model) {
        return false;
    }
    s->msr_mask = s->model->msr_mask;
    s->assumed = MODE_ASSUMED;
    s->mode_msr = MODE_LE | MODE_DR | MODE_IR | MODE_FP | MODE_PR | MODE_VSX | MODE_VEC |
                  (ppc_isa(s, ISA_BOOKE) ? 0 : MODE_SE | MODE_BE) | (ppc_isa(s, ISA_64) ? MODE_HV | MODE_SF : 0);
    ppc_forget_modes(s);
    for (unsigned i = 0; i < READY_MODES; i++) {
        s->keyed[i].from = READY_NONE;
    }
    s->tb_frequency = 25000000;
    ppc_sprs_init(s->model);
    if (ppc_isa(s, ISA_BOOKE)) {
        ppc_booke_init(s);
    }
    ppc_timers_init(cpu);
    return true;
}

static void ppc_save(Cpu *cpu, GKeyFile *out)
{
    PpcState *s = ppc_state(cpu);
    g_autofree char *id = g_strdup_printf("cpu%d", cpu->index);
    g_autofree char *run = g_strdup_printf("cpu%d-run", cpu->index);

    ppc_pmu_update(s);
    ppc_timers_catch_up(s);
    state_save(ppc_fields, s, out, id);
    if (ppc_isa(s, ISA_BOOKE)) {
        ppc_booke_save(s, out);
    }
    g_key_file_set_boolean(out, run, "halted", cpu->halted);
    g_key_file_set_uint64(out, run, "pending", atomic_load(&s->pending));
}

static bool ppc_load(Cpu *cpu, GKeyFile *in, GError **error)
{
    PpcState *s = ppc_state(cpu);
    g_autofree char *id = g_strdup_printf("cpu%d", cpu->index);
    g_autofree char *run = g_strdup_printf("cpu%d-run", cpu->index);

    if (!state_load(ppc_fields, s, in, id, error) || (ppc_isa(s, ISA_BOOKE) && !ppc_booke_load(s, in, error))) {
        ppc_reset(cpu);
        return false;
    }
    /* Whatever a damaged snapshot says, these choose modes and are added up. */
    s->pc &= PPC_PC_MASK;
    s->msr &= s->msr_mask;
    s->ca &= 1;
    s->ov &= 1;
    s->so &= 1;
    s->ca32 &= 1;
    s->ov32 &= 1;
    for (unsigned i = 0; i < 8; i++) {
        s->cr[i] &= 15;
    }
    s->spr[SPR_PVR] = s->model->pvr;
    s->hot.fp_loaded = FP_LOADED_NOTHING;
    cpu->halted = g_key_file_get_boolean(in, run, "halted", NULL);
    atomic_store(&s->pending, g_key_file_get_uint64(in, run, "pending", NULL));
    state_replaced(s);
    return true;
}

static void ppc_replaced(Cpu *cpu)
{
    state_replaced(ppc_state(cpu));
}

void ppc_set_reset_state(Cpu *cpu, const PpcResetState *state)
{
    ppc_state(cpu)->reset_state = *state;
    ppc_state(cpu)->reset_state.given = true;
}

void ppc_start(Cpu *cpu, uint64_t pc, uint64_t r3)
{
    PpcState *s = ppc_state(cpu);

    s->pc = pc & PPC_PC_MASK;
    s->gpr[3] = r3;
    s->napping = false;
    atomic_store(&cpu->halted, false);
    cpu_wake(cpu);
}

static void set_pin(void *opaque, int which, bool level)
{
    ppc_set_interrupt(opaque, which, level);
}

Line *ppc_interrupt_line(Cpu *cpu, PpcInterrupt which)
{
    PpcState *s = ppc_state(cpu);
    unsigned n = __builtin_ctz(which);

    if (!s->pins[n]) {
        s->pins[n] = line_new(set_pin, cpu, which);
    }
    return s->pins[n];
}

void ppc_set_hypercall(Cpu *cpu, void (*fn)(Cpu *cpu, void *opaque), void *opaque)
{
    PpcState *s = ppc_state(cpu);

    s->hypercall = fn;
    s->hypercall_opaque = opaque;
    s->msr_mask &= ~MSR_HV; /* its guest is never in hypervisor state */
}

void ppc_set_dcrs(Cpu *cpu, AddressSpace *dcrs)
{
    ppc_state(cpu)->dcrs = dcrs;
}

bool ppc_is_64bit(const Cpu *cpu)
{
    return ppc_isa(ppc_state(cpu), ISA_64);
}

uint32_t ppc_pvr(const Cpu *cpu)
{
    return ppc_state(cpu)->model->pvr;
}

const char *ppc_model_name(const Cpu *cpu)
{
    return ppc_state(cpu)->model->name;
}

const CpuType ppc_cpu_type = {
    .name = "ppc",
    .state_size = sizeof(PpcState),
    .guest_ops = &ppc_guest_ops,
    .init = ppc_init,
    .reset = ppc_reset,
    .has_work = ppc_has_work,
    .save = ppc_save,
    .load = ppc_load,
    .replaced = ppc_replaced,
    .describe = ppc_describe,
    .list_models = ppc_model_list,
};
