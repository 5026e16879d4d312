/*
 * What a host-MMU window for 32-bit guests would cost and give on this host: a page of a memfd mapped when it is first touched, and
 * accesses relative to GS beside those by a site (tcg/x86_64/emit_site.c) and by the table.
 *
 * usage: bench-window [PAGES]
 */
#include <asm/prctl.h>
#include <glib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, RAM_PAGES = 16384, STEPS = 20 * 1000 * 1000, BATCH = 5, UNROLLED = 4 };
#define WINDOW_SIZE (UINT64_C(1) << 32)

static uint8_t *window, *ram;
static int fd;
static enum { SKIP, MAP } on_fault;

static double microseconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void check(bool done, const char *what)
{
    if (!done) {
        perror(what);
        _exit(1);
    }
}

static void reserve(void *at, uint64_t size)
{
    check(mmap(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == at, "mmap");
}

/* Pages that are neighbours are not so in RAM, as those of a process that has run for a while. */
static void map_page(unsigned number)
{
    off_t place = (off_t)(number * 2654435761u % RAM_PAGES) * PAGE;
    void *at = window + (uint64_t)number * PAGE;

    check(mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, place) == at, "mmap");
}

static void handle(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    if (on_fault == MAP) {
        map_page(((uint8_t *)info->si_addr - window) / PAGE);
    } else {
        uc->uc_mcontext.gregs[REG_RIP] += 2; /* touch_byte's instruction */
    }
}

static void touch_byte(unsigned number)
{
    __asm__ volatile("movb (%0), %%al" : : "r"(window + (uint64_t)number * PAGE) : "rax", "memory");
}

static void protect(unsigned number)
{
    check(!mprotect(window + (uint64_t)number * PAGE, PAGE, PROT_READ), "mprotect");
}

static void unmap(unsigned number)
{
    reserve(window + (uint64_t)number * PAGE, PAGE);
}

static void set_gs(unsigned number)
{
    check(!syscall(SYS_arch_prctl, ARCH_SET_GS, window), "arch_prctl");
}

static void no_call(unsigned number)
{
    syscall(SYS_getppid);
}

/* For every second page, so that none is a neighbour of another's. */
static void measure(const char *what, void (*fn)(unsigned number), unsigned pages)
{
    double start = microseconds();

    for (unsigned k = 0; k < pages; k++) {
        fn(2 * k);
    }
    printf("%-52s %8.2f us\n", what, (microseconds() - start) / pages);
}

static void measure_system(unsigned pages)
{
    double start;

    measure("a system call", no_call, pages);
    measure("GS base", set_gs, pages);
    on_fault = SKIP;
    measure("SIGSEGV and back", touch_byte, pages);
    on_fault = MAP;
    measure("SIGSEGV, page mapped, access made", touch_byte, pages);
    measure("page made read only", protect, pages);
    measure("page unmapped", unmap, pages);
    measure("page mapped, no signal", map_page, pages);
    start = microseconds();
    reserve(window, WINDOW_SIZE);
    printf("%-52s %8.2f us\n", "all unmapped at once, per page", (microseconds() - start) / pages);
}

typedef struct Entry {
    uint64_t tag, addend;
} Entry;

/* What the accesses look at, as TcgSites and the TLB's table. */
static struct {
    uint64_t page, addend, mask;
    Entry *table;
} state;

/* A chain of loads: the address of each is the value of the one before. */
#define CHAIN(name, access)                                                                            \
    static uint32_t name(uint32_t at)                                                                  \
    {                                                                                                  \
        uint64_t a = at, t, u;                                                                         \
        for (unsigned k = 0; k < STEPS; k++) {                                                         \
            __asm__ volatile(access : "+r"(a), "=&r"(t), "=&r"(u) : "r"(&state) : "memory", "cc");     \
        }                                                                                              \
        return a;                                                                                      \
    }
/* Loads that do not wait for one another, several for each turn of the loop. */
#define APART(name, access)                                                                            \
    static uint32_t name(uint32_t at)                                                                  \
    {                                                                                                  \
        for (unsigned k = 0; k < STEPS / UNROLLED; k++) {                                              \
            uint64_t a, t, u;                                                                          \
            __asm__ volatile(COPY access COPY access COPY access COPY access                           \
                             : "=&r"(a), "=&r"(t), "=&r"(u) : "r"(&state), "r"(at) : "memory", "cc");  \
        }                                                                                              \
        return at;                                                                                     \
    }
#define COPY "mov %k4, %k0\n"
#define BY_WINDOW "addr32 mov %%gs:(%k0), %k0\n"
#define BY_SITE   "lea (%0), %1; sub (%3), %1; cmp $4093, %1; jae 9f; mov 8(%3), %1; mov (%1, %0), %k0; 9:\n"
#define BY_TABLE                                                                                       \
    "lea (%0), %1; shr $8, %k1; and 16(%3), %1; add 24(%3), %1; lea 3(%0), %2; and $-4096, %k2;"       \
    "cmp (%1), %2; jne 9f; mov 8(%1), %1; mov (%1, %0), %k0; 9:\n"
CHAIN(chain_by_window, BY_WINDOW)
CHAIN(chain_by_site, BY_SITE)
CHAIN(chain_by_table, BY_TABLE)
APART(apart_by_window, BY_WINDOW)
APART(apart_by_site, BY_SITE)
APART(apart_by_table, BY_TABLE)

static void measure_access(const char *what, uint32_t (*fn)(uint32_t at), uint32_t at)
{
    double best = 1e9;

    for (unsigned k = 0; k < BATCH; k++) {
        double start = microseconds();

        check(fn(at) == at, what);
        best = MIN(best, (microseconds() - start) * 1000 / STEPS);
    }
    printf("%-52s %8.2f ns\n", what, best);
}

static void measure_accesses(void)
{
    enum { NUMBER = 0x1234, AT = NUMBER * PAGE + 64, ENTRIES = 1024 };
    static Entry table[ENTRIES];
    uint32_t at = AT;

    map_page(NUMBER);
    memcpy(window + AT, &at, sizeof(at)); /* leads to itself */
    for (unsigned k = 0; k < ENTRIES; k++) {
        table[k].tag = UINT64_MAX;
    }
    table[NUMBER % ENTRIES] = (Entry){ (uint64_t)NUMBER * PAGE, (uintptr_t)window };
    state.page = (uint64_t)NUMBER * PAGE;
    state.addend = (uintptr_t)window;
    state.mask = (ENTRIES - 1) * sizeof(Entry);
    state.table = table;
    set_gs(0);
    measure_access("load that waits for the one before: window", chain_by_window, AT);
    measure_access("                                    site", chain_by_site, AT);
    measure_access("                                    table", chain_by_table, AT);
    measure_access("load that waits for nothing:        window", apart_by_window, AT);
    measure_access("                                    site", apart_by_site, AT);
    measure_access("                                    table", apart_by_table, AT);
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO };
    unsigned pages = argc > 1 ? CLAMP(atoi(argv[1]), 1, RAM_PAGES) : RAM_PAGES / 4;

    fd = memfd_create("ram", 0);
    check(fd >= 0 && !ftruncate(fd, (off_t)RAM_PAGES * PAGE), "memfd");
    ram = mmap(NULL, (size_t)RAM_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(ram != MAP_FAILED, "mmap");
    memset(ram, 1, (size_t)RAM_PAGES * PAGE);
    window = mmap(NULL, WINDOW_SIZE + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(window != MAP_FAILED, "mmap");
    sigaction(SIGSEGV, &action, NULL);
    measure_system(pages);
    measure_accesses();
    return 0;
}
