/*
 * Hypercalls and RTAS calls of the pseries board that change processors.
 *
 * LoPAPR 1.1, 14.5.4.8 (H_CEDE and its kin), 14.11 (VPA), 14.5.4.10 (H_SET_MODE), 7.3.6 (start-cpu).
 */
#include "core/lock.h"
#include "hw/boards/pseries.h"
#include "hw/papr/hpt.h"
#include "target/guest.h"
#include "target/ppc/cpu.h"
#include "util/bits.h"
#include "util/log.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#define LPCR_ILE   (UINT64_C(1) << 25)
#define LPCR_AIL   (UINT64_C(3) << 23)
#define LPCR_UPRT  (UINT64_C(1) << 22)
#define LPCR_HR    (UINT64_C(1) << 20)
#define LPCR_LD    (UINT64_C(1) << 17)
#define LPCR_GTSE  (UINT64_C(1) << 10)
#define START_MSR  (MSR_SF | MSR_ME)

static Cpu *find_cpu(uint64_t server)
{
    return server < (uint64_t)cpu_count() ? cpu_get(server) : NULL;
}

/* Partition-wide modes are set while other processors have not started yet, and started ones inherit them. */
static void change_lpcr(uint64_t clear, uint64_t set)
{
    for (int n = 0; n < cpu_count(); n++) {
        PpcState *s = ppc_state(cpu_get(n));

        s->spr[SPR_LPCR] = (s->spr[SPR_LPCR] & ~clear) | set;
    }
}

static void flush_everything(Cpu *cpu)
{
    if (cpu) {
        engine.flush_all_everywhere(cpu);
    }
}

/*
 * An entry has the virtual address but for the bits below 23 of the page's number, which follow from the group that it is in
 * (Power ISA 2.07, Book III-S, 5.7.7.3): its number is the segment's, exclusive-or the page's, or the complement of that.
 * What kind of page it is L and LP tell as they do in tlbie.
 */
void pseries_flush(void *opaque, uint64_t index, uint64_t v, uint64_t r)
{
    enum { V_SECONDARY = 2, V_LARGE = 4, LP = 0xf000, LP_64K = 0x1000, RB_L = 1 };
    bool is_64k = (v & V_LARGE) && (r & LP) == LP_64K;
    uint64_t va = (v & UINT64_C(0x3fffffffffffff80)) << 16, size = v >> 62, group = index / 8;
    unsigned shift = is_64k ? 16 : 12;
    Cpu *cpu = cpu_current();

    if (index == HPT_ALL || ((v & V_LARGE) && !is_64k)) {
        flush_everything(cpu);
    } else if (cpu) {
        group = v & V_SECONDARY ? ~group : group;
        va |= ((group ^ va >> (size ? 40 : 28)) << shift) & 0x7fffff;
        ppc_invalidate_virtual_page(cpu, va | size << 8 | (is_64k ? LP_64K | RB_L : 0));
    }
}

/* ---- modes ---- */

enum { RESOURCE_CIABR = 1, RESOURCE_DAWR0 = 2, RESOURCE_TRANSLATION = 3, RESOURCE_ENDIAN = 4, RESOURCE_DAWR1 = 5 };

/* A processor's own registers, which must not watch the hypervisor. POWER8 on; the second DAWR: POWER10. */
static int64_t set_watch(unsigned resource, const uint64_t *args)
{
    enum { CIABR_HYPERVISOR = 3, DAWRX_HYPERVISOR = 4 };
    Cpu *cpu = cpu_current();
    PpcState *s = ppc_state(cpu);

    if (pseries_generation(cpu) < (resource == RESOURCE_DAWR1 ? 10 : 8)) {
        return H_P2;
    }
    if (args[0]) {
        return H_UNSUPPORTED_FLAG;
    }
    if (resource == RESOURCE_CIABR) {
        if (args[3] || (args[2] & 3) == CIABR_HYPERVISOR) {
            return args[3] ? H_P4 : H_P3;
        }
        s->spr[SPR_CIABR] = args[2];
    } else {
        if (args[3] & DAWRX_HYPERVISOR) {
            return H_P4;
        }
        s->spr[resource == RESOURCE_DAWR1 ? SPR_DAWR1 : SPR_DAWR0] = args[2];
        s->spr[resource == RESOURCE_DAWR1 ? SPR_DAWRX1 : SPR_DAWRX0] = args[3];
    }
    ppc_debug_changed(cpu);
    return H_SUCCESS;
}

/* Data breakpoints before POWER8 (LoPAPR 1.1, 14.5.4.3.6): the address; for H_SET_XDABR, also whose accesses count. */
static int64_t h_set_dabr(void *opaque, uint64_t opcode, uint64_t *args)
{
    enum { PROBLEM_AND_PRIVILEGED = 3, HYPERVISOR = 4 };
    Cpu *cpu = cpu_current();
    PpcState *s = ppc_state(cpu);

    if (pseries_generation(cpu) >= 8) {
        return H_FUNCTION;
    }
    if (opcode == H_SET_XDABR && (args[1] & HYPERVISOR)) {
        return H_PARAMETER;
    }
    s->spr[SPR_DABR] = args[0];
    s->spr[SPR_DABRX] = opcode == H_SET_XDABR ? args[1] : PROBLEM_AND_PRIVILEGED;
    ppc_debug_changed(cpu);
    return H_SUCCESS;
}

/* flags, resource, two values. */
static int64_t h_set_mode(void *opaque, uint64_t opcode, uint64_t *args)
{
    uint64_t flags = args[0];

    if (args[1] == RESOURCE_ENDIAN) {
        if (flags > 1 || args[2] || args[3]) {
            return flags > 1 ? H_UNSUPPORTED_FLAG : args[2] ? H_P3 : H_P4;
        }
        change_lpcr(LPCR_ILE, flags ? LPCR_ILE : 0);
        return H_SUCCESS;
    }
    if (args[1] == RESOURCE_TRANSLATION) {
        if (pseries_generation(cpu_current()) < 8) {
            return H_P2;
        }
        if (flags > 3 || flags == 1 || args[2] || args[3]) {
            return flags > 3 || flags == 1 ? H_UNSUPPORTED_FLAG : args[2] ? H_P3 : H_P4;
        }
        change_lpcr(LPCR_AIL, flags << 23);
        return H_SUCCESS;
    }
    if (args[1] == RESOURCE_CIABR || args[1] == RESOURCE_DAWR0 || args[1] == RESOURCE_DAWR1) {
        return set_watch(args[1], args);
    }
    return H_P2;
}

/*
 * flags: 10h the table changes, with 08h to another one, else to none; 04h radix; 01h the guest invalidates translations
 * itself. Then the table's real address, the page size (of tables in segments), and its size as 2^(size + 12) bytes.
 */
static int64_t h_register_process_table(void *opaque, uint64_t opcode, uint64_t *args)
{
    enum { CHANGE = 0x10, REGISTER = 8, RADIX = 4, SEGMENTS = 2, GTSE = 1, MAX_SIZE = 24 };
    Pseries *m = opaque;
    Cpu *cpu = cpu_current();
    uint64_t flags = args[0], entry = ppc_state(cpu)->spr[SPR_PTCR], set;

    if ((flags & ~(uint64_t)(CHANGE | REGISTER | RADIX | SEGMENTS | GTSE)) || ((flags & RADIX) && !m->can_radix)) {
        return H_PARAMETER;
    }
    if ((flags & CHANGE) && (flags & REGISTER)) {
        if (args[3] > MAX_SIZE) {
            return H_P4;
        }
        if ((flags & RADIX) && (args[1] & 0xfff)) {
            return H_P2;
        }
        entry = args[1] | args[3];
    } else if (flags & CHANGE) {
        entry = 0;
    }
    set = (flags & RADIX ? LPCR_UPRT | LPCR_HR : flags & SEGMENTS ? LPCR_UPRT : 0) | (flags & GTSE ? LPCR_GTSE : 0);
    change_lpcr(LPCR_UPRT | LPCR_HR | LPCR_GTSE, set);
    for (int n = 0; n < cpu_count(); n++) {
        ppc_state(cpu_get(n))->spr[SPR_PTCR] = entry;
        ppc_state(cpu_get(n))->sr_changed = true;
    }
    flush_everything(cpu);
    ppc_set_msr(ppc_state(cpu), ppc_state(cpu)->msr);
    return H_SUCCESS;
}

static int64_t h_set_sprg0(void *opaque, uint64_t opcode, uint64_t *args)
{
    ppc_state(cpu_current())->spr[SPR_SPRG0] = args[0];
    return H_SUCCESS;
}

/* ---- waiting ---- */

static bool interrupt_waits(const PpcState *s)
{
    return atomic_load(&s->pending) & (PPC_INT_EXTERNAL | PPC_INT_DEC | PPC_INT_DOORBELL | PPC_INT_RESET);
}

/* Interrupts are on from here; the processor sleeps until there is one, or H_PROD. */
static int64_t h_cede(void *opaque, uint64_t opcode, uint64_t *args)
{
    Pseries *m = opaque;
    Cpu *cpu = cpu_current();
    PpcState *s = ppc_state(cpu);

    ppc_set_msr(s, s->msr | MSR_EE);
    if (m->s.prodded[cpu->index]) {
        m->s.prodded[cpu->index] = false;
    } else if (!interrupt_waits(s)) {
        atomic_store(&cpu->halted, true);
    }
    return H_SUCCESS;
}

static int64_t h_prod(void *opaque, uint64_t opcode, uint64_t *args)
{
    Pseries *m = opaque;
    Cpu *cpu = find_cpu(args[0]);

    if (!cpu) {
        return H_PARAMETER;
    }
    if (!m->s.stopped[cpu->index]) {
        m->s.prodded[cpu->index] = !atomic_load(&cpu->halted);
        atomic_store(&cpu->halted, false);
        cpu_request(cpu, CPU_REQ_EXIT);
    }
    return H_SUCCESS;
}

/* Who waits for another processor's lock gives its time: to the host, which knows who has use for it. */
static int64_t h_confer(void *opaque, uint64_t opcode, uint64_t *args)
{
    g_thread_yield();
    return H_SUCCESS;
}

/* -1: all processors, -2: all others. */
static int64_t h_signal_reset(void *opaque, uint64_t opcode, uint64_t *args)
{
    Pseries *m = opaque;
    int64_t target = args[0];

    if (target >= 0 && !find_cpu(target)) {
        return H_PARAMETER;
    }
    for (int n = 0; n < cpu_count(); n++) {
        if (!m->s.stopped[n] && (target == n || target == -1 || (target == -2 && cpu_get(n) != cpu_current()))) {
            ppc_set_interrupt(cpu_get(n), PPC_INT_RESET, true);
        }
    }
    return H_SUCCESS;
}

/* ---- virtual processor areas ---- */

enum { VPA_MIN = 640, VPA_SIZE_AT = 4, VPA_FLAGS_AT = 9, VPA_SHARED = 2, PAGE = 4096 };

/* flags, server, address. The area tells kernels that they share the host's processors. */
static int64_t h_register_vpa(void *opaque, uint64_t opcode, uint64_t *args)
{
    enum { VPA = 1, TRACE_LOG = 2, SLB_SHADOW = 3, NO_VPA = 5, NO_TRACE_LOG = 6, NO_SLB_SHADOW = 7 };
    Pseries *m = opaque;
    uint64_t addr = args[2];
    Cpu *cpu = find_cpu(args[1]);
    uint8_t head[VPA_FLAGS_AT + 1];
    uint16_t size;

    if (!cpu) {
        return H_PARAMETER;
    }
    switch (args[0] >> 45 & 7) {
    case VPA:
        memory_read(memory_system(), addr, head, sizeof(head));
        size = load_be16(head + VPA_SIZE_AT);
        if (!addr || addr % 64 || size < VPA_MIN || addr / PAGE != (addr + size - 1) / PAGE) {
            return H_PARAMETER;
        }
        head[VPA_FLAGS_AT] |= VPA_SHARED;
        memory_write(memory_system(), addr + VPA_FLAGS_AT, head + VPA_FLAGS_AT, 1);
        m->s.vpa[cpu->index] = addr;
        return H_SUCCESS;
    case NO_VPA:
        m->s.vpa[cpu->index] = 0;
        return H_SUCCESS;
    case TRACE_LOG: case SLB_SHADOW: case NO_TRACE_LOG: case NO_SLB_SHADOW:
        return H_SUCCESS; /* nothing reads the shadow, and dispatches are not logged */
    default:
        return H_PARAMETER;
    }
}

/* Nothing is speculated about that could leak: no mitigation is wanted. */
static int64_t h_characteristics(void *opaque, uint64_t opcode, uint64_t *args)
{
    args[0] = args[1] = 0;
    return H_SUCCESS;
}

static int64_t h_random(void *opaque, uint64_t opcode, uint64_t *args)
{
    return getrandom(args, sizeof(args[0]), 0) == sizeof(args[0]) ? H_SUCCESS : H_HARDWARE;
}

static int64_t h_rtas(void *opaque, uint64_t opcode, uint64_t *args)
{
    return papr_rtas_call(args[0]);
}

/* ---- RTAS ---- */

/* processor, address, R3. */
static int32_t rtas_start_cpu(void *opaque, PaprRtas *call)
{
    Pseries *m = opaque;
    Cpu *cpu = find_cpu(call->args[0]);
    PpcState *s, *from = ppc_state(cpu_current());

    if (!cpu || !m->s.stopped[cpu->index]) {
        return RTAS_BAD;
    }
    s = ppc_state(cpu);
    m->s.stopped[cpu->index] = false;
    s->spr[SPR_LPCR] = from->spr[SPR_LPCR];
    s->spr[SPR_PTCR] = from->spr[SPR_PTCR];
    s->sr_changed = true;
    s->msr = START_MSR;
    ppc_start(cpu, call->args[1], call->args[2]);
    return RTAS_OK;
}

static int32_t rtas_stop_self(void *opaque, PaprRtas *call)
{
    Pseries *m = opaque;
    Cpu *cpu = cpu_current();
    PpcState *s = ppc_state(cpu);

    m->s.stopped[cpu->index] = true;
    ppc_set_msr(s, START_MSR);
    atomic_store(&cpu->halted, true);
    return RTAS_OK;
}

/* processor -> 0: stopped, 2: not. */
static int32_t rtas_query_stopped(void *opaque, PaprRtas *call)
{
    Pseries *m = opaque;
    Cpu *cpu = find_cpu(call->args[0]);

    if (!cpu) {
        return RTAS_BAD;
    }
    call->rets[1] = m->s.stopped[cpu->index] ? 0 : 2;
    return RTAS_OK;
}

/* ---- the way in ---- */

/* `sc 1`: the call's number in R3, arguments from R4 on. */
static void hypercall(Cpu *cpu, void *opaque)
{
    PpcState *s = ppc_state(cpu);
    uint64_t args[PAPR_HCALL_ARGS], number = s->gpr[3];
    bool taken;

    if (!(s->msr & MSR_SF)) {
        number = (uint32_t)number;
    }
    memcpy(args, &s->gpr[4], sizeof(args));
    taken = machine_lock_if();
    s->gpr[3] = papr_hcall(number, args);
    memcpy(&s->gpr[4], args, sizeof(args)); /* locked: another processor may start one that has just stopped */
    machine_unlock_if(taken);
}

void pseries_cpu_start_at(Pseries *m, uint64_t pc, uint64_t r1, uint64_t r3, uint64_t r4, uint64_t r5)
{
    for (int n = 0; n < cpu_count(); n++) {
        PpcResetState state = {
            .given = true, .halted = n != 0, .pc = pc, .msr = START_MSR, .sdr1 = pseries_sdr1(m),
            .lpcr = m->can_radix ? LPCR_LD : 0,
        };

        state.gpr[1] = r1;
        state.gpr[3] = r3;
        state.gpr[4] = r4;
        state.gpr[5] = r5;
        m->s.stopped[n] = n != 0;
        ppc_set_reset_state(cpu_get(n), &state);
    }
}

void pseries_cpu_init(Pseries *m)
{
    papr_hcall_add(H_SET_MODE, h_set_mode, m);
    papr_hcall_add(H_SET_DABR, h_set_dabr, m);
    papr_hcall_add(H_SET_XDABR, h_set_dabr, m);
    papr_hcall_add(H_REGISTER_PROC_TBL, h_register_process_table, m);
    papr_hcall_add(H_SET_SPRG0, h_set_sprg0, m);
    papr_hcall_add(H_CEDE, h_cede, m);
    papr_hcall_add(H_PROD, h_prod, m);
    papr_hcall_add(H_CONFER, h_confer, m);
    papr_hcall_add(H_SIGNAL_SYS_RESET, h_signal_reset, m);
    papr_hcall_add(H_REGISTER_VPA, h_register_vpa, m);
    papr_hcall_add(H_GET_CPU_CHARACTERISTICS, h_characteristics, m);
    papr_hcall_add(H_RANDOM, h_random, m);
    papr_hcall_add(H_CALL_RTAS, h_rtas, m);
    papr_rtas_add("start-cpu", 3, 1, rtas_start_cpu, m);
    papr_rtas_add("stop-self", 0, 1, rtas_stop_self, m);
    papr_rtas_add("query-cpu-stopped-state", 1, 2, rtas_query_stopped, m);
    for (int n = 0; n < cpu_count(); n++) {
        ppc_set_hypercall(cpu_get(n), hypercall, m);
    }
}

unsigned pseries_generation(const Cpu *cpu)
{
    switch (ppc_pvr(cpu) >> 16) {
    case 0x003f: case 0x004a:
        return 7;
    case 0x004b: case 0x004c: case 0x004d:
        return 8;
    case 0x004e:
        return 9;
    case 0x0080: case 0x0082:
        return 10;
    default:
        return 0;
    }
}
