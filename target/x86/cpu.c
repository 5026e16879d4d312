/* The x86 processor as boards and engines see it: reset, INIT, snapshots. */
#include "core/machine.h"
#include "core/state.h"
#include "target/x86/pmu.h"
#include "target/x86/smm.h"
#include "target/x86/svm.h"
#include "util/bits.h"
#include "util/error.h"

#define ROW(member, n, reset_) \
    { #member, offsetof(X86State, member), sizeof(((X86State *)0)->member) / (n), n, reset_ },
#define SEG_ROWS(name, index, selector_, base_, limit_, attr_)                                            \
    { #name "_selector", offsetof(X86State, seg[index].selector), 2, 1, selector_ },                       \
    { #name "_base", offsetof(X86State, seg[index].base), 8, 1, base_ },                                   \
    { #name "_limit", offsetof(X86State, seg[index].limit), 4, 1, limit_ },                                \
    { #name "_attr", offsetof(X86State, seg[index].attr), 2, 1, attr_ },
#define HOST_SEG_ROWS(name, index)                                                                        \
    { "svm_host_" #name "_selector", offsetof(X86State, svm.host.seg[index].selector), 2, 1, 0 },          \
    { "svm_host_" #name "_base", offsetof(X86State, svm.host.seg[index].base), 8, 1, 0 },                  \
    { "svm_host_" #name "_limit", offsetof(X86State, svm.host.seg[index].limit), 4, 1, 0 },                \
    { "svm_host_" #name "_attr", offsetof(X86State, svm.host.seg[index].attr), 2, 1, 0 },

enum {
    ATTR_CODE = SEG_P | SEG_S | 0xb, ATTR_DATA = SEG_P | SEG_S | 3, ATTR_LDT = SEG_P | 2, ATTR_TSS = SEG_P | 0xb,
};
#define RESET_PAT 0x0007040600070406

/* All of the guest's state, with what power-on makes of it. */
static const StateField *x86_fields(size_t *count)
{
    static const StateField rows[] = {
        ROW(cc_dst, 1, 0) ROW(cc_src, 1, 0) ROW(cc_op, 1, 0) ROW(cc_aux_dst, 1, 0)
        ROW(reg, 16, 0) ROW(pc, 1, 0xfff0) ROW(eflags, 1, 2) ROW(df, 1, 1)
        SEG_ROWS(es, S_ES, 0, 0, 0xffff, ATTR_DATA) SEG_ROWS(cs, S_CS, 0xf000, 0xffff0000, 0xffff, ATTR_CODE)
        SEG_ROWS(ss, S_SS, 0, 0, 0xffff, ATTR_DATA) SEG_ROWS(ds, S_DS, 0, 0, 0xffff, ATTR_DATA)
        SEG_ROWS(fs, S_FS, 0, 0, 0xffff, ATTR_DATA) SEG_ROWS(gs, S_GS, 0, 0, 0xffff, ATTR_DATA)
        SEG_ROWS(ldtr, S_LDTR, 0, 0, 0xffff, ATTR_LDT) SEG_ROWS(tr, S_TR, 0, 0, 0xffff, ATTR_TSS)
        ROW(gdtr.base, 1, 0) ROW(gdtr.limit, 1, 0xffff) ROW(idtr.base, 1, 0) ROW(idtr.limit, 1, 0xffff)
        ROW(cr0, 1, 0x60000010) ROW(cr2, 1, 0) ROW(cr3, 1, 0) ROW(cr4, 1, 0) ROW(efer, 1, 0) ROW(xcr0, 1, 1)
        ROW(dr, 8, 0) ROW(pdpte, 4, 0) ROW(cpl, 1, 0) ROW(interrupt_shadow, 1, 0) ROW(nmi_blocked, 1, 0)
        ROW(pending_debug, 1, 0) ROW(monitor_armed, 1, 0) ROW(masked_intr_wakes, 1, 0)
        ROW(in_smm, 1, 0) ROW(smm_guest, 1, 0) ROW(smm_nmi_blocked, 1, 0) ROW(smm_io_valid, 1, 0) ROW(smm_io_size, 1, 0)
        ROW(smm_io_port, 1, 0) ROW(smm_io_pc, 1, 0) ROW(smm_io_next, 1, 0) ROW(smm_efer, 1, 0) ROW(wait_sipi, 1, 0) ROW(shut_down, 1, 0)
        ROW(star, 1, 0) ROW(lstar, 1, 0) ROW(cstar, 1, 0) ROW(fmask, 1, 0) ROW(kernel_gs_base, 1, 0)
        ROW(tsc_aux, 1, 0) ROW(tsc_adjust, 1, 0) ROW(sysenter_cs, 1, 0) ROW(sysenter_esp, 1, 0)
        ROW(sysenter_eip, 1, 0) ROW(pat, 1, RESET_PAT) ROW(mtrr_def, 1, 0) ROW(mtrr_fixed, 11, 0)
        ROW(mtrr_base, 8, 0) ROW(mtrr_mask, 8, 0) ROW(misc_enable, 1, 1) ROW(mcg_status, 1, 0)
        ROW(mcg_ctl, 1, UINT64_MAX) ROW(mc_banks, 40, 0) ROW(debugctl, 1, 0) ROW(smbase, 1, 0x30000)
        ROW(spec_ctrl, 1, 0) ROW(feature_control, 1, 0) ROW(bios_sign_id, 1, UINT64_C(0x100000000))
        ROW(xss, 1, 0) ROW(pkru, 1, 0) ROW(perf, 32, 0) ROW(mwait_addr, 1, 0) ROW(monitor_line, 8, 0) ROW(kvm_msr, 8, 0) ROW(kvm_clock, 1, 0)
        ROW(fx, 512, 0) ROW(xsave_header, 64, 0) ROW(ymm_high, 256, 0) ROW(fp_ferr, 1, 0)
        ROW(exception.vector, 1, UINT32_MAX) ROW(exception.error_code, 1, 0) ROW(exception.has_error, 1, 0)
        ROW(exception.software, 1, 0) ROW(exception.external, 1, 0) ROW(exception.next_pc, 1, 0)
        ROW(exception.cr2, 1, 0) ROW(exception.dr6, 1, 0) ROW(exception.by_opcode, 1, 0)
        ROW(exception.injected, 1, 0)
        ROW(svm.gif, 1, 1) ROW(svm.guest, 1, 0) ROW(svm.nested_paging, 1, 0) ROW(svm.vm_cr, 1, 0)
        ROW(svm.hsave_pa, 1, 0) ROW(svm.tsc_ratio, 1, SVM_TSC_RATIO_ONE) ROW(svm.vmcb, 1, 0) ROW(svm.iopm, 1, 0)
        ROW(svm.msrpm, 1, 0) ROW(svm.tsc_offset, 1, 0) ROW(svm.nested_cr3, 1, 0) ROW(svm.intercept, 6, 0)
        ROW(svm.asid, 1, 0) ROW(svm.int_control, 1, 0) ROW(svm.int_vector, 1, 0) ROW(svm.pause_count, 1, 0)
        ROW(svm.pause_threshold, 1, 0) ROW(svm.pause_left, 1, 0) ROW(svm.shadow_pc, 1, UINT64_MAX)
        HOST_SEG_ROWS(es, S_ES) HOST_SEG_ROWS(cs, S_CS) HOST_SEG_ROWS(ss, S_SS) HOST_SEG_ROWS(ds, S_DS)
        ROW(svm.host.gdtr.base, 1, 0) ROW(svm.host.gdtr.limit, 1, 0) ROW(svm.host.idtr.base, 1, 0)
        ROW(svm.host.idtr.limit, 1, 0) ROW(svm.host.cr0, 1, 0) ROW(svm.host.cr3, 1, 0) ROW(svm.host.cr4, 1, 0)
        ROW(svm.host.efer, 1, 0) ROW(svm.host.rip, 1, 0) ROW(svm.host.rsp, 1, 0) ROW(svm.host.rax, 1, 0)
        ROW(svm.host.pat, 1, 0) ROW(svm.host.pdpte, 4, 0) ROW(svm.host.rflags, 1, 2)
    };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

/* After the fields have changed as a whole: what is derived from them, here and in the engine. */
static void state_replaced(X86State *s)
{
    s->published_mmu = UINT32_MAX;
    s->no_interrupt_waits = 0;
    x86_tsc_rules_changed(s);
    x86_smm_choose_memory(s);
    svm_state_loaded(s);
    x86_forget_calls(s);
    x86_update_watches(s);
    x86_pmu_restart(s);
    if (engine.flush_all) {
        engine.flush_all(s->hot.cpu);
    }
    x86_update_mode(s);
}

static void reset_common(Cpu *cpu)
{
    X86State *s = x86_state(cpu);
    const X86Features *f = s->features;

    s->reg[R_DX] = f->stepping | (f->model & 15) << 4 | MIN(f->family, 15u) << 8 | (f->model >> 4) << 16;
    s->dr[6] = 0xffff0ff0;
    s->dr[7] = 0x400;
    s->wait_sipi = cpu->index != 0;
    cpu->halted = s->wait_sipi;
}

static void x86_reset(Cpu *cpu)
{
    X86State *s = x86_state(cpu);

    state_reset(x86_fields, s);
    s->hot.fp_loaded = 0;
    store_le16(s->fx, 0x40);        /* FCW */
    s->fx[4] = 0xff;                /* FTW: all in use, zero */
    store_le32(s->fx + 24, 0x1f80); /* MXCSR */
    store_le32(s->fx + 28, 0xffff);
    x86_tsc_reset(s);
    s->perf[PERF_GLOBAL_CONTROL] = x86_has_pmu(s) ? 15 : 0; /* SDM vol. 3, table 20-2 */
    reset_common(cpu);
    cpu_clear_request(cpu, CPU_REQ_INTR | CPU_REQ_NMI | CPU_REQ_SMI | CPU_REQ_INIT | CPU_REQ_SIPI |
                               CPU_REQ_TIMER | CPU_REQ_MCE | CPU_REQ_VIRTUAL);
    state_replaced(s);
}

/* INIT keeps vector and x87 registers, caches, MSRs and the TSC (SDM vol. 3, table 9-1). */
void x86_init_signal(Cpu *cpu)
{
    static const char *const kept[] = {
        "fx", "xsave_header", "ymm_high", "star", "lstar", "cstar", "fmask", "kernel_gs_base", "tsc_aux",
        "tsc_adjust", "sysenter_cs", "sysenter_esp", "sysenter_eip", "pat", "mtrr_def", "mtrr_fixed",
        "mtrr_base", "mtrr_mask", "misc_enable", "mcg_status", "mcg_ctl", "mc_banks", "debugctl", "smbase",
        "feature_control", "bios_sign_id", "perf", "xcr0", "kvm_msr", "kvm_clock",
        "svm.vm_cr", "svm.hsave_pa", "svm.tsc_ratio",
    };
    X86State *s = x86_state(cpu);
    uint64_t cache = s->cr0 & (CR0_CD | CR0_NW);
    size_t count;
    const StateField *rows = x86_fields(&count);

    for (size_t i = 0; i < count; i++) {
        bool keep = false;

        for (unsigned k = 0; k < G_N_ELEMENTS(kept) && !keep; k++) {
            keep = !strcmp(rows[i].name, kept[k]);
        }
        for (size_t n = 0; n < rows[i].count && !keep; n++) {
            state_set((uint8_t *)s + rows[i].offset + n * rows[i].size, rows[i].size, rows[i].reset);
        }
    }
    s->cr0 = 0x10 | cache;
    reset_common(cpu);
    state_replaced(s);
}

/* APIC id: thread, core and socket numbers, each in a field of its own. */
static uint32_t topology_id(int index)
{
    int threads = MAX(machine_config.threads, 1), cores = MAX(machine_config.cores, 1);
    unsigned thread_bits = 0, core_bits = 0;

    while (1 << thread_bits < threads) {
        thread_bits++;
    }
    while (1 << core_bits < cores) {
        core_bits++;
    }
    return index % threads | index / threads % cores << thread_bits |
           index / threads / cores << (thread_bits + core_bits);
}

static bool x86_init(Cpu *cpu, const char *model, GError **error)
{
    X86State *s = x86_state(cpu);

    s->features = x86_model_parse(model, error);
    if (!s->features) {
        return false;
    }
    s->apic_id = topology_id(cpu->index);
    s->seg_memo[S_ES].key = s->seg_memo[S_DS].key = s->seg_memo[S_FS].key = UINT32_MAX;
    x86_tsc_start();
    return true;
}

static void x86_save(Cpu *cpu, GKeyFile *out)
{
    X86State *s = x86_state(cpu);
    g_autofree char *id = g_strdup_printf("cpu%d", cpu->index);
    g_autofree char *run = g_strdup_printf("cpu%d-run", cpu->index);
    g_autofree char *names = x86_model_names(s->features);

    x86_pmu_update(s);
    /* In one form only, whatever computed the flags last. */
    x86_set_eflags(s, x86_eflags(s), FLAGS_ALL);
    state_save(x86_fields, s, out, id);
    g_key_file_set_boolean(out, run, "halted", cpu->halted);
    g_key_file_set_uint64(out, run, "requests", cpu->requests & ~(uint32_t)CPU_REQ_EXIT);
    g_key_file_set_uint64(out, run, "sipi_vector", cpu->sipi_vector);
    g_key_file_set_uint64(out, run, "tsc", x86_tsc(s));
    g_key_file_set_boolean(out, run, "a20_masked", s->a20_masked);
    g_key_file_set_string(out, run, "features", names);
}

static bool x86_load(Cpu *cpu, GKeyFile *in, GError **error)
{
    X86State *s = x86_state(cpu);
    g_autofree char *id = g_strdup_printf("cpu%d", cpu->index);
    g_autofree char *run = g_strdup_printf("cpu%d-run", cpu->index);
    g_autofree char *names = g_key_file_get_string(in, run, "features", NULL); /* NULL: of an older version */
    g_autofree char *missing = names ? x86_model_misses(s->features, names) : NULL;

    if (missing) {
        x86_reset(cpu);
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "the CPU of the snapshot has what this one has not: %s (-cpu)", missing);
        return false;
    }
    if (!state_load(x86_fields, s, in, id, error)) {
        x86_reset(cpu);
        return false;
    }
    /* Whatever a damaged snapshot says, these index arrays and choose modes. */
    s->cpl &= 3;
    s->df = s->df < 0 ? -1 : 1;
    s->eflags |= 2;
    s->hot.fp_loaded = 0;
    store_le32(s->fx + 24, load_le32(s->fx + 24) & x86_mxcsr_mask());
    cpu->halted = g_key_file_get_boolean(in, run, "halted", NULL);
    cpu_clear_request(cpu, ~(uint32_t)CPU_REQ_EXIT);
    cpu_request(cpu, g_key_file_get_uint64(in, run, "requests", NULL));
    cpu->sipi_vector = g_key_file_get_uint64(in, run, "sipi_vector", NULL);
    x86_tsc_set(s, g_key_file_get_uint64(in, run, "tsc", NULL));
    s->a20_masked = g_key_file_get_boolean(in, run, "a20_masked", NULL);
    state_replaced(s);
    return true;
}

static char *x86_lacks(Cpu *cpu, bool under_kvm)
{
    return x86_model_lacks(x86_state(cpu)->features, under_kvm);
}

static void x86_replaced(Cpu *cpu)
{
    state_replaced(x86_state(cpu));
}

const CpuType x86_cpu_type = {
    .name = "x86",
    .state_size = sizeof(X86State),
    .guest_ops = &x86_guest_ops,
    .init = x86_init,
    .reset = x86_reset,
    .has_work = x86_has_work,
    .save = x86_save,
    .load = x86_load,
    .replaced = x86_replaced,
    .lacks = x86_lacks,
    .describe = x86_describe,
    .list_models = x86_model_list,
    .machine_check = x86_machine_check,
};
