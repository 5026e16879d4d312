/* When a vCPU cannot go on: what happened, the instruction, the registers, and what to do. The machine stands then. */
#include "accel/kvm/internal.h"

#include "core/machine.h"
#include "target/x86/system.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>

enum { CODE_BYTES = 15 };

static void put_bytes(GString *text, const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_string_append_printf(text, " %02x", bytes[i]);
    }
}

/* As the guest's own page tables have it, or as the kernel has fetched it. */
static void put_code(GString *text, KvmCpu *kc)
{
    const struct kvm_run *run = kc->run;
    Cpu *cpu = kc->cpu;
    uint8_t bytes[CODE_BYTES];

    if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR && run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION &&
        run->emulation_failure.ndata >= 3 &&
        (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
        put_bytes(text, run->emulation_failure.insn_bytes, MIN(run->emulation_failure.insn_size, CODE_BYTES));
    } else if (accel_debug_read(cpu, guest_ops(cpu)->get_pc(cpu), bytes, sizeof(bytes))) {
        put_bytes(text, bytes, sizeof(bytes));
    } else {
        g_string_append(text, " cannot be read");
    }
}

static void give_up(KvmCpu *kc, const char *why)
{
    Cpu *cpu = kc->cpu;
    g_autofree char *registers = NULL;
    g_autoptr(GString) code = g_string_new(NULL);

    kvm_state_pull(kc);
    registers = cpu->type->describe(cpu, false);
    put_code(code, kc);
    log_error("KVM: cpu %d: %s\ncode at the instruction pointer:%s\n%s", cpu->index, why, code->str, registers);
    accel_cpu_pause_self(cpu);
    machine_request_stop(RUN_INTERNAL_ERROR);
}

void kvm_fail_run(KvmCpu *kc, int number)
{
    const char *advice = "";
    g_autofree char *why = NULL;

    switch (number) {
    case EFAULT:
        advice = "; a page of the guest's memory cannot be had: the host may be out of memory, or the file behind it too short";
        break;
    case ENOMEM:
        advice = "; the host is out of memory";
        break;
    case EINVAL:
        advice = "; the kernel does not accept the vCPU's registers: try -accel tcg";
        break;
    }
    why = g_strdup_printf("cannot run: %s%s", g_strerror(number), advice);
    give_up(kc, why);
}

void kvm_fail_internal(KvmCpu *kc)
{
    static const char *const names[] = {
        [KVM_INTERNAL_ERROR_EMULATION] = "the kernel cannot emulate an instruction",
        [KVM_INTERNAL_ERROR_SIMUL_EX] = "exceptions came at once that the kernel cannot tell apart",
        [KVM_INTERNAL_ERROR_DELIVERY_EV] = "an exit while an interrupt or exception was being delivered",
        [KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "an exit for a reason that the kernel does not know",
    };
    const struct kvm_run *run = kc->run;
    unsigned number = run->internal.suberror;
    g_autoptr(GString) why = g_string_new(NULL);

    g_string_append_printf(why, "internal error of the kernel's KVM, suberror %u: %s", number,
                           number < G_N_ELEMENTS(names) && names[number] ? names[number] : "unknown");
    for (unsigned i = 0; i < MIN(run->internal.ndata, G_N_ELEMENTS(run->internal.data)); i++) {
        g_string_append_printf(why, "%s%" PRIx64, i ? " " : "; data ", (uint64_t)run->internal.data[i]);
    }
    g_string_append(why, "; -accel tcg does without KVM");
    give_up(kc, why->str);
}

/* SDM volume 3, appendix C: bit 31 says that entry failed; reason 33 is the guest's state. */
void kvm_fail_entry(KvmCpu *kc)
{
    enum { INVALID_STATE = 33, ENTRY_FAILED = 1u << 31 };
    uint64_t reason = kc->run->fail_entry.hardware_entry_failure_reason;
    g_autofree char *why = NULL;

    why = g_strdup_printf("the processor refuses to enter the guest, reason %" PRIx64 "%s", reason,
                          reason == (ENTRY_FAILED | INVALID_STATE)
                              ? ": it does not take this state of the guest. Old Intel processors cannot run real mode code "
                                "unless kvm_intel emulates it (its parameter emulate_invalid_guest_state)"
                              : "; -accel tcg does without KVM");
    give_up(kc, why);
}

void kvm_fail_unknown(KvmCpu *kc)
{
    g_autofree char *why = g_strdup_printf("the kernel exits for a reason that this program does not know, %u",
                                           kc->run->exit_reason);

    give_up(kc, why);
}
