/*
 * Host signals inside translated code: unmasked FP exceptions of raw instructions, and memory that
 * the host cannot give (SIGBUS). The state is completed and the engine's host_fault runs next.
 */
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>

#include "backend.h"
#include "tcg/interp.h"

#define ALT_STACK_SIZE (64 * 1024)

enum { TRAP_SIMD = 19 }; /* #XM; the signal and its code are those of x87 exceptions */
static const int signals[] = { SIGFPE, SIGSEGV, SIGBUS, SIGILL };
static struct sigaction previous[G_N_ELEMENTS(signals)];

/* ucontext's index of each host register. */
static const int8_t greg_of[HOST_REGS] = {
    [RAX] = REG_RAX, [RCX] = REG_RCX, [RDX] = REG_RDX, [RBX] = REG_RBX, [RSP] = REG_RSP,
    [RBP] = REG_RBP, [RSI] = REG_RSI, [RDI] = REG_RDI, [R8] = REG_R8, [R9] = REG_R9,
    [R10] = REG_R10, [R11] = REG_R11, [R12] = REG_R12, [R13] = REG_R13, [R14] = REG_R14,
    [R15] = REG_R15,
};

/* As the thunks do it. */
static void save_registers(uint8_t *state, const greg_t *gregs)
{
    for (int r = 0; r < HOST_REGS; r++) {
        int slot = backend.reg_slot[r];
        uint64_t value = gregs[greg_of[r]];

        if (slot >= 0) {
            memcpy(state + backend.target.slots[slot].offset, &value,
                   ir_type_size(backend.target.slots[slot].type));
        } else if (r != RSP) {
            memcpy(state + AREA_REGS + 8 * r, &value, 8);
        }
    }
}

/* Makes the return from the handler a call of host_fault(state, signal, code, pc). */
static void deliver(ucontext_t *uc, int signal, int code)
{
    greg_t *gregs = uc->uc_mcontext.gregs;
    uint8_t *state = (uint8_t *)gregs[REG_RSP];
    uintptr_t pc = gregs[REG_RIP];
    uintptr_t key = pc + 1; /* how records of instructions differ from those of calls */

    save_registers(state, gregs);
    memcpy(state + AREA_RETURN, &key, 8);
    tcg_restore(state, key);
    gregs[REG_RDI] = (uintptr_t)state;
    gregs[REG_RSI] = signal;
    gregs[REG_RDX] = code;
    gregs[REG_RCX] = pc;
    gregs[REG_RSP] = (uintptr_t)state - AREA_SIZE - 8;
    gregs[REG_RIP] = (uintptr_t)backend.runtime.host_fault;
    gregs[REG_EFL] &= ~0x400; /* DF */
}

static void chain(int signal, siginfo_t *info, void *context)
{
    for (unsigned k = 0; k < G_N_ELEMENTS(signals); k++) {
        const struct sigaction *old = &previous[k];

        if (signals[k] != signal) {
            continue;
        }
        if (old->sa_flags & SA_SIGINFO) {
            old->sa_sigaction(signal, info, context);
        } else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
            old->sa_handler(signal);
        } else { /* the instruction runs again and the signal does what it always does */
            sigaction(signal, old, NULL);
        }
    }
}

static void handle(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *gregs = uc->uc_mcontext.gregs;
    int code = signal == SIGFPE && gregs[REG_TRAPNO] == TRAP_SIMD ? TCG_FAULT_SIMD : info->si_code;

    if (code == TCG_FAULT_SIMD && backend.target.use_fp_traps &&
        (tcg_is_code(gregs[REG_RIP]) ? fp_traps_resume(uc) : fp_traps_sync(uc))) {
        return;
    }
    tcg_interp_signal(signal, code, context);
    if (info->si_code > 0 && tcg_is_code(gregs[REG_RIP])) {
        deliver(uc, signal, code);
    } else {
        chain(signal, info, context);
    }
}

void signals_init(void)
{
    struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

    sigemptyset(&action.sa_mask);
    for (unsigned k = 0; k < G_N_ELEMENTS(signals); k++) {
        sigaction(signals[k], &action, &previous[k]);
    }
}

/* The thread runs on guest states' stacks: handlers get one of their own. Kept until it ends. */
void signals_init_thread(void)
{
    static GPrivate stack = G_PRIVATE_INIT(g_free);
    static __thread bool done;
    stack_t now, alt = { .ss_size = ALT_STACK_SIZE };

    if (done) {
        return;
    }
    done = true;
    if (sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE)) {
        return;
    }
    alt.ss_sp = g_malloc(ALT_STACK_SIZE);
    g_private_set(&stack, alt.ss_sp);
    sigaltstack(&alt, NULL);
}
