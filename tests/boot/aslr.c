/*
 * A program that Linux maps at another address each time it runs: it runs itself again and again, and each
 * run looks at all ways in which a program sees its own addresses. Static and position-independent, for
 * 64 and 32 bits.
 *
 * Prints "ASLR-OK RUNS" or what was wrong.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define RUNS 40

#ifdef __x86_64__
#define AX "%rax"
#define PC REG_RIP
#define SYSTEM_CALL "mov $39, %eax\nsyscall\n"
#else
#define AX "%eax"
#define PC REG_EIP
#define SYSTEM_CALL "mov $20, %eax\nint $0x80\n"
#endif

#define PLACE(name) ".globl " #name "\n.hidden " #name "\n" #name ":\n"
#define HERE(name) __attribute__((visibility("hidden"))) extern char name[]

/*
 * Each faults in the middle of a block and returns 8. Others give an address that the processor made.
 * away is on another page, so that calls of it and returns from it cross.
 */
#define FAULTS(name, code) \
    PLACE(name) "mov $5, %ecx\nadd $2, %ecx\nxor %edx, %edx\nxor %eax, %eax\n" \
    PLACE(name##_at) code "\n" PLACE(name##_next) "add $1, %ecx\nmov %ecx, %eax\nret\n"
__asm__(".text\n"
        FAULTS(load, "movb (" AX "), %al")
        FAULTS(undefined, "ud2")
        FAULTS(trap, "int3")
        FAULTS(system_call, SYSTEM_CALL)
        PLACE(pushed) "call pushed_next\n" PLACE(pushed_next) "pop " AX "\nret\n"
        PLACE(far_pushed) "call away\n" PLACE(far_pushed_next) "ret\n"
        ".p2align 12\n.skip 100\n"
        PLACE(away)
#ifdef __x86_64__
        "mov (%rsp), %rax\nret\n"
        PLACE(kept) "mov $39, %eax\nsyscall\n" PLACE(kept_next) "mov %rcx, %rax\nret\n"
        PLACE(loaded) "lea kept(%rip), %rax\nret\n"
#else
        "mov (%esp), %eax\nret\n"
        PLACE(narrow) ".byte 0x66, 0xeb, 0x20\n" PLACE(narrow_next) ".skip 40, 0x90\nret\n"
#endif
        ".p2align 12\n");
HERE(load_at);
HERE(load_next);
HERE(undefined_at);
HERE(undefined_next);
HERE(trap_next);
HERE(pushed_next);
HERE(far_pushed_next);
HERE(kept);
HERE(kept_next);
HERE(narrow_next);
int load(void), undefined(void), trap(void), system_call(void), narrow(void);
uintptr_t pushed(void), far_pushed(void), kept_address(void) __asm__("kept"), loaded(void);

static volatile uintptr_t fault_pc, resume_at;
static volatile int fault_signal;
static int wrong;

static void handler(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    fault_signal = signal;
    fault_pc = uc->uc_mcontext.gregs[PC];
    uc->uc_mcontext.gregs[PC] = resume_at;
}

static void check(const char *what, uintptr_t is, uintptr_t should)
{
    if (is != should) {
        printf("ASLR-FAIL %s: %lx, should be %lx\n", what, (unsigned long)is, (unsigned long)should);
        wrong = 1;
    }
}

static void check_fault(const char *what, int (*code)(void), int signal, const char *at, const char *next)
{
    fault_signal = 0;
    resume_at = (uintptr_t)next;
    check(what, code(), 8);
    check(what, fault_signal, signal);
    check(what, fault_pc, (uintptr_t)at);
}

static void check_all(void)
{
    static const int signals[] = { SIGSEGV, SIGILL, SIGTRAP };
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

    for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
        sigaction(signals[i], &action, NULL);
    }
    check_fault("load", load, SIGSEGV, load_at, load_next);
    check_fault("undefined", undefined, SIGILL, undefined_at, undefined_next);
    check_fault("trap", trap, SIGTRAP, trap_next, trap_next);
    check("call", pushed(), (uintptr_t)pushed_next);
    check("far call", far_pushed(), (uintptr_t)far_pushed_next);
#ifdef __x86_64__
    check("syscall", kept_address(), (uintptr_t)kept_next);
    check("lea", loaded(), (uintptr_t)kept);
#else
    check("system call", system_call(), 8);
    resume_at = (uintptr_t)narrow_next + 40; /* the branch kept 16 bits of its target, where nothing is */
    narrow();
    check("narrow branch", fault_pc, ((uintptr_t)narrow_next + 0x20) & 0xffff);
#endif
}

int main(int argc, char **argv)
{
    int runs = 0;

    if (argc > 1) {
        check_all();
        return wrong ? 1 : (uintptr_t)check_all >> 12 & 0x7e;
    }
    int first = -1, moved = 0;
    for (; runs < RUNS; runs++) {
        int status = 0, address;
        pid_t pid = fork();

        if (pid == 0) {
            execl("/proc/self/exe", argv[0], "once", NULL);
            _exit(1);
        }
        waitpid(pid, &status, 0);
        if (!WIFEXITED(status) || (address = WEXITSTATUS(status)) == 1) {
            printf("ASLR-FAIL run %d: status %x\n", runs, status);
            return 1;
        }
        moved += first >= 0 && address != first;
        first = address;
    }
    printf(moved ? "ASLR-OK %d\n" : "ASLR-FAIL always at one address, %d runs\n", runs);
    return !moved;
}
