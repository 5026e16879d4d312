/*
 * Machine checks, as a monitor's user injects them: banks, status, the exception (SDM vol. 3, 16.3 and 16.6).
 */
#include "target/x86/system.h"
#include "util/error.h"

#define STATUS_VALID         (UINT64_C(1) << 63)
#define STATUS_OVERFLOW      (UINT64_C(1) << 62)
#define STATUS_UNCORRECTED   (UINT64_C(1) << 61)
enum { MCG_IN_PROGRESS = 1 << 2 };

static bool refuse(GError **error, const char *why)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s", why);
    return false;
}

/* An error that is there already stays, unless it was a corrected one and this is not; both leave a mark. */
static void note(uint64_t *bank, const MachineCheck *check)
{
    bool keep = (bank[1] & STATUS_VALID) && ((bank[1] & STATUS_UNCORRECTED) || !(check->status & STATUS_UNCORRECTED));

    if (keep) {
        bank[1] |= STATUS_OVERFLOW;
        return;
    }
    bank[1] = check->status | (bank[1] & STATUS_VALID ? STATUS_OVERFLOW : 0);
    bank[2] = check->addr;
    bank[3] = check->misc;
}

bool x86_machine_check(Cpu *cpu, const MachineCheck *check, GError **error)
{
    X86State *s = x86_state(cpu);
    uint64_t *bank = &s->mc_banks[4 * check->bank];

    if (!x86_has(s, FEAT_mca)) {
        return refuse(error, "the processor has no machine-check banks");
    }
    if (check->bank >= MCG_BANKS) {
        return refuse(error, "the processor has no such bank");
    }
    if (!(check->status & STATUS_VALID)) {
        return refuse(error, "the status is of no error: bit 63 is clear");
    }
    if (check->status & STATUS_UNCORRECTED) {
        if (s->mcg_ctl != UINT64_MAX) {
            return refuse(error, "the guest has switched machine checks off");
        }
        if (bank[0] != UINT64_MAX) {
            return refuse(error, "the guest has switched the bank off");
        }
        note(bank, check);
        if (s->mcg_status & MCG_IN_PROGRESS) { /* a second one is too much */
            x86_shut_down(s);
            return true;
        }
        s->mcg_status = check->mcg_status | MCG_IN_PROGRESS;
        cpu_request(cpu, CPU_REQ_MCE);
    } else {
        note(bank, check); /* it waits for somebody who looks */
    }
    return true;
}

void x86_take_machine_check(X86State *s)
{
    X86Exception e = { .vector = EXC_MC };

    if (!(s->cr4 & CR4_MCE)) {
        x86_shut_down(s);
        return;
    }
    s->hot.cpu->halted = false;
    x86_interrupt(s, &e);
}
