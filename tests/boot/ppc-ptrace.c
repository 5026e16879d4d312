/*
 * Linux' ptrace with the processor's debug facilities: data breakpoints, single steps, branch trace. The only program of an initial
 * RAM disk, static: prints PTRACE- lines and switches the machine off.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* <asm/ptrace.h> does not go together with <sys/ptrace.h>. */
enum { GET_INFO = 0x89, SET_BREAK = 0x88, DELETE_BREAK = 0x87, SET_DEBUG_REGISTER = 26, SINGLE_BLOCK = 0x100 };
enum { TRIGGER_READ = 2, TRIGGER_WRITE = 4, MODE_EXACT = 0, MODE_RANGE = 1, HAS_RANGE = 4 };

struct info {
    unsigned version, instruction_breaks, data_breaks, conditions, alignment, sizeof_condition;
    unsigned long long features;
};
struct breakpoint {
    unsigned version, trigger, address_mode, condition_mode;
    unsigned long long addr, addr2, condition;
};

/* Longs that are eight bytes apart. */
static volatile unsigned long words[64] __attribute__((aligned(512)));
static volatile unsigned long seen;
#define WORD(n) words[(n) * (8 / sizeof(long))]

static long ask(int request, pid_t pid, unsigned long addr, const void *data)
{
    return syscall(SYS_ptrace, request, pid, addr, data);
}

/* What the child does between stops, by number. */
static void act(unsigned what)
{
    switch (what) {
    case 0: WORD(1) = 1; break;            /* beside the watched one, then on it */
    case 1: seen = WORD(1); WORD(0) = 5; break;
    case 2: seen = WORD(0); break;
    case 3: ((volatile char *)words)[35] = 3; WORD(8) = 4; ((volatile char *)words)[23] = 9; break;
    case 4: seen = WORD(0); WORD(0) = 6; break;
    default: break;
    }
}

static pid_t child(unsigned what)
{
    pid_t pid = fork();

    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        act(what);
        _exit(42);
    }
    waitpid(pid, NULL, 0);
    return pid;
}

/* Lets it go to its next stop: the address of a data breakpoint, 1 after its end, 0 for any other stop. */
static unsigned long long go_on(pid_t pid)
{
    siginfo_t why;
    int status;

    ptrace(PTRACE_CONT, pid, 0, 0);
    waitpid(pid, &status, 0);
    if (WIFEXITED(status)) {
        return WEXITSTATUS(status) == 42;
    }
    memset(&why, 0, sizeof(why));
    ptrace(PTRACE_GETSIGINFO, pid, 0, &why);
    return WSTOPSIG(status) == SIGTRAP && why.si_code == 4 /* TRAP_HWBKPT */ ? (unsigned long)why.si_addr : 0;
}

static long set(pid_t pid, unsigned trigger, unsigned long addr, unsigned long end)
{
    struct breakpoint b = { .version = 1, .trigger = trigger, .address_mode = end ? MODE_RANGE : MODE_EXACT, .addr = addr, .addr2 = end };

    return ask(SET_BREAK, pid, 0, &b);
}

static void tell(const char *name, int good)
{
    printf("PTRACE-%s %s\n", name, good ? "ok" : "bad");
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static unsigned long peek(pid_t pid, volatile unsigned long *at)
{
    return ptrace(PTRACE_PEEKDATA, pid, at, 0);
}

static void data_breakpoints(const struct info *info)
{
    unsigned long at = (unsigned long)words, hit;
    pid_t pid = child(1);
    long slot = set(pid, TRIGGER_WRITE, at, 0);

    tell("SET", slot > 0);
    hit = go_on(pid);
    tell("WRITE", hit >= at && hit < at + 8);
    tell("BEFORE", peek(pid, &WORD(0)) == 0);
    ask(DELETE_BREAK, pid, 0, (void *)slot);
    tell("DELETED", go_on(pid) == 1);

    pid = child(2);
    set(pid, TRIGGER_READ, at, 0);
    hit = go_on(pid);
    tell("READ", hit >= at && hit < at + 8);
    end(pid);

    pid = child(0);
    set(pid, TRIGGER_READ | TRIGGER_WRITE, at, 0);
    tell("BESIDE", go_on(pid) == 1);

    if (info->features & HAS_RANGE) { /* bytes 16 to 31 */
        pid = child(3);
        set(pid, TRIGGER_WRITE, at + 16, at + 32);
        hit = go_on(pid);
        tell("RANGE", hit == at + 23 || hit == at + 16);
        tell("RANGE-BEFORE", peek(pid, &WORD(8)) == 4);
        end(pid);
    }
    if (info->data_breaks > 1) { /* both at once: the read first */
        pid = child(4);
        tell("SECOND-SET", set(pid, TRIGGER_WRITE, at, 0) > 0 && set(pid, TRIGGER_READ, at, 0) > 0);
        hit = go_on(pid);
        tell("SECOND", hit >= at && hit < at + 8);
        end(pid);
    }
}

/* The older request: an address with the bits of DABR. */
static void debug_register(void)
{
    unsigned long at = (unsigned long)words, hit;
    pid_t pid = child(1);

    tell("DABR-SET", ask(SET_DEBUG_REGISTER, pid, 0, (void *)(at | 6)) == 0);
    hit = go_on(pid);
    tell("DABR", hit >= at && hit < at + 8);
    end(pid);
}

/* The number of stops until the child has left act(). */
static unsigned stops(int request)
{
    pid_t pid = child(99);
    unsigned n = 0;
    int status;

    for (; n < 100000; n++) {
        ask(request, pid, 0, NULL);
        waitpid(pid, &status, 0);
        if (WIFEXITED(status) || WSTOPSIG(status) != SIGTRAP) {
            break;
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 42 ? n : 0;
}

/* perf's breakpoints: accesses are done by the kernel, which steps over them, and counted; its own too. */
static void counting(void)
{
    struct perf_event_attr attr = { .type = PERF_TYPE_BREAKPOINT, .size = sizeof(attr), .bp_type = 2 /* writes */,
                                    .bp_addr = (unsigned long)words, .bp_len = 8 };
    unsigned long long count = 0;
    int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0), pipes[2];

    if (fd < 0) {
        printf("PTRACE-PERF none %d\n", errno);
        return;
    }
    for (unsigned i = 0; i < 100; i++) {
        WORD(0) = i;
        WORD(1) = i;
    }
    if (read(fd, &count, sizeof(count)) != sizeof(count)) {
        count = 0;
    }
    tell("PERF", count == 100);
    if (pipe(pipes) == 0 && write(pipes[1], "12345678", 8) == 8 && read(pipes[0], (void *)words, 8) == 8 &&
        read(fd, &count, sizeof(count)) == sizeof(count)) {
        tell("PERF-KERNEL", count > 100);
    }
    printf("PTRACE-COUNT %llu\n", count);
    close(fd);
}

static volatile unsigned alerts;

static void alerted(int signal)
{
    (void)signal;
    alerts++;
}

/* The performance monitor through the kernel: instructions of a loop, counted and by period; cycles. The kernel throttles alerts. */
static void monitor(void)
{
    struct perf_event_attr attr = { .type = PERF_TYPE_HARDWARE, .size = sizeof(attr), .config = PERF_COUNT_HW_INSTRUCTIONS, .exclude_kernel = 1 };
    unsigned long long insns = 0, cycles = 0;
    int insns_fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0), cycles_fd, sampled;
    unsigned long n = 100000;

    attr.config = PERF_COUNT_HW_CPU_CYCLES;
    cycles_fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    attr.config = PERF_COUNT_HW_INSTRUCTIONS;
    attr.sample_period = 20000;
    attr.wakeup_events = 1;
    sampled = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    if (insns_fd < 0 || cycles_fd < 0 || sampled < 0) {
        printf("PTRACE-MONITOR none %d\n", errno);
        return;
    }
    signal(SIGIO, alerted);
    fcntl(sampled, F_SETOWN, getpid());
    fcntl(sampled, F_SETFL, O_ASYNC);
    ioctl(insns_fd, PERF_EVENT_IOC_RESET, 0);
    __asm__ volatile("mtctr %0\n0: addi %0,%0,1\naddi %0,%0,-1\nnop\nbdnz 0b" : "+r"(n) : : "ctr");
    if (read(insns_fd, &insns, sizeof(insns)) == sizeof(insns) && read(cycles_fd, &cycles, sizeof(cycles)) == sizeof(cycles)) {
        printf("PTRACE-COUNTED %llu instructions, %llu cycles, %u alerts\n", insns, cycles, alerts);
    }
    tell("MONITOR", insns >= 400000 && insns < 404000 && cycles > 1000 && alerts >= 1 && alerts <= 21);
}

int main(void)
{
    struct info info = { 0 };
    unsigned steps, blocks;
    pid_t pid;

    setvbuf(stdout, NULL, _IONBF, 0);
    pid = child(0);
    if (ask(GET_INFO, pid, 0, &info) != 0) {
        printf("PTRACE-INFO none %d\n", errno);
    }
    end(pid);
    printf("PTRACE-INFO %u %llx\n", info.data_breaks, info.features);
    if (info.data_breaks) {
        data_breakpoints(&info);
    }
    debug_register();
    steps = stops(PTRACE_SINGLESTEP);
    blocks = stops(SINGLE_BLOCK);
    printf("PTRACE-STEPS %u %u\n", steps, blocks);
    tell("STEPS", steps > 20 && blocks > 2 && blocks < steps);
    counting();
    monitor();
    printf("PTRACE-END\n");
    sync();
    reboot(RB_POWER_OFF);
    return 0;
}
