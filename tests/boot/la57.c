/* A program that lives above 47 bits of address where the kernel pages with five levels; prints what it finds. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };

static sigjmp_buf back;
static volatile uintptr_t fault_at;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    fault_at = (uintptr_t)info->si_addr;
    siglongjmp(back, 1);
}

/* What the kernel says of a store to an address: its si_addr, or 1 if there was no fault. */
static uintptr_t store_fault(uintptr_t addr)
{
    fault_at = 1;
    if (!sigsetjmp(back, 1)) {
        *(volatile char *)addr = 1;
    }
    return fault_at;
}

static int check(const char *what, int good)
{
    printf("LA57-%s %s\n", good ? "OK" : "FAIL", what);
    return good;
}

static void high_memory(void)
{
    static const unsigned char code[] = { 0x8d, 0x47, 0x07, 0xc3 }; /* lea 7(%rdi), %eax; ret */
    uintptr_t top = (uintptr_t)1 << 56;

    for (unsigned bit = 48; bit <= 55; bit++) {
        char *want = (char *)((uintptr_t)1 << bit), *p;
        int status = 0;

        p = mmap(want, 64 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (!check("mapped where it was asked for", p == want)) {
            return;
        }
        memset(p, bit, 64 * PAGE);
        memcpy(p + PAGE, code, sizeof(code));
        check("code runs there", ((int (*)(int))(void *)(p + PAGE))(bit) == (int)bit + 7);
        if (fork() == 0) {
            p[0] = 99; /* a copy of the page */
            _exit(p[0] == 99 && p[3 * PAGE] == (char)bit ? 0 : 1);
        }
        wait(&status);
        check("a child has its own", status == 0 && p[0] == (char)bit);
        mprotect(p + 2 * PAGE, PAGE, PROT_READ);
        check("a store to a page that is read only", store_fault((uintptr_t)p + 2 * PAGE + 5) == (uintptr_t)p + 2 * PAGE + 5);
        munmap(p, 64 * PAGE);
        check("a store to what is gone", store_fault((uintptr_t)p) == (uintptr_t)p);
    }
    check("the last page of a process is never mapped", store_fault(top - 1) == top - 1);
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    char *p;

    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    p = mmap((void *)((uintptr_t)1 << 50), PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(p, PAGE);
    if ((uintptr_t)p >> 47) {
        high_memory();
        check("an address with bit 57 alone", store_fault((uintptr_t)1 << 57) == 0);
    } else {
        printf("LA57-NONE\n");
        check("an address with bit 48 alone", store_fault((uintptr_t)1 << 48) == 0);
    }
    check("an address with bit 63 alone", store_fault((uintptr_t)1 << 63) == 0);
    printf("LA57-END\n");
    return 0;
}
