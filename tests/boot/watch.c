/* Runs in a Linux guest: a parent watches its child's memory with the processor's debug registers. */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ON_WRITE = 1, ON_ACCESS = 3 };

static uint64_t cells[512] __attribute__((aligned(4096)));

static void store(void)
{
    volatile uint32_t *p = (uint32_t *)cells;

    p[3] = 1;
    p[5] = 1;
    (void)p[4];
    p[4] = 0x1234; /* watched */
    p[3] = 2;
    for (int i = 0; i < 100; i++) {
        p[4] += 1;
    }
}

static void fill(void)
{
    void *to = cells;
    unsigned long n = 200;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(7) : "memory");
}

static void read_once(void)
{
    volatile uint64_t *p = cells;

    (void)p[1];
    (void)p[2]; /* watched */
    (void)p[3];
}

static void straddle(void)
{
    __asm__ volatile("movl $3, %0" : "=m"(*((char(*)[4])((char *)cells + 13)))); /* 13..16 */
    __asm__ volatile("lock incl %0" : "+m"(((uint32_t *)cells)[4]));
    __asm__ volatile("movdqu %%xmm0, %0" : "=m"(*(uint64_t(*)[2])cells));     /* 0..15: not */
    __asm__ volatile("movdqu %%xmm0, %0" : "=m"(*(uint64_t(*)[2])&cells[1])); /* 8..23 */
}

static long poke(pid_t child, int n, unsigned long value)
{
    return ptrace(PTRACE_POKEUSER, child, offsetof(struct user, u_debugreg) + n * sizeof(long), value);
}

/* How many traps there are until the child ends; -1 if one is not a hit of register n. */
static int traps(void (*run)(void), int n, int rw, unsigned size, uint32_t *first)
{
    unsigned length = size == 8 ? 2 : size - 1;
    int status, count = 0;
    pid_t child = fork();

    if (!child) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        run();
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (poke(child, n, (unsigned long)&cells[2]) ||
        poke(child, 7, 1ul << 2 * n | (unsigned long)(rw | length << 2) << (16 + 4 * n))) {
        perror("BOOT-FAIL poke");
        exit(1);
    }
    for (;;) {
        ptrace(PTRACE_CONT, child, 0, 0);
        waitpid(child, &status, 0);
        if (!WIFSTOPPED(status)) {
            return WIFEXITED(status) ? count : -2;
        }
        if (WSTOPSIG(status) != SIGTRAP ||
            !(ptrace(PTRACE_PEEKUSER, child, offsetof(struct user, u_debugreg) + 6 * sizeof(long), 0) & 1 << n)) {
            return -1;
        }
        if (!count++) {
            *first = ptrace(PTRACE_PEEKDATA, child, &cells[2], 0);
        }
    }
}

static void check(const char *name, void (*run)(void), int n, int rw, unsigned size, int least, int most,
                  uint32_t want)
{
    uint32_t first = 0;
    int count = traps(run, n, rw, size, &first);

    printf("%s %s: %d traps, first saw %x\n",
           count >= least && count <= most && first == want ? "WATCH-OK" : "WATCH-FAIL", name, count, first);
}

int main(void)
{
    check("write", store, 0, ON_WRITE, 4, 101, 101, 0x1234);
    check("byte", store, 1, ON_WRITE, 1, 101, 101, 0x1234);
    check("access", read_once, 3, ON_ACCESS, sizeof(long), 1, 1, 0);
    check("read-not", read_once, 2, ON_WRITE, sizeof(long), 0, 0, 0);
    /* A processor may report repeated instructions late, but not miss them. */
    check("repeated", fill, 1, ON_WRITE, 2, 1, 2, 7);
    check("wide", straddle, 2, ON_WRITE, 4, 3, 3, 0);
    puts("WATCH-END");
    return 0;
}
