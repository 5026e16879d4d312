/*
 * What translators like least, all at once, on every processor of a Linux guest: code that is made as it is run, loops that change
 * themselves, 16-bit code, page faults that a process deals with, and a signal every few hundred microseconds.
 *
 * Usage: storm SECONDS THREADS. Each task computes a value that does not depend on when it is interrupted: once in peace, which
 * is printed, and then again and again by all threads in the storm, where it has to come out the same.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__)
#include <asm/ldt.h>
#define IS_X86 true
#else
#define IS_X86 false
#endif
#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif

enum { MAX_THREADS = 8, PAGES = 16, SUMMANDS = 24, CODE_SIZE = 4096, STACK = 65536 };

typedef struct Thread {
    unsigned number;
    size_t page_size;
    uint8_t *write, *run;      /* the same memory, to be written and to be run */
    uint8_t *pages;            /* PAGES of them, which come by faults */
    uint8_t *low;              /* x86: a 16-bit code segment, and a stack at the end of it */
    uint8_t text[3 * 4096];
    timer_t timer;
    bool has_timer;
    uint32_t random;
    unsigned long faults, signals;
} Thread;

static Thread threads[MAX_THREADS];
static __thread Thread *me;
static atomic_ulong broken_handlers, kicks;
static unsigned n_threads, seconds;

static uint64_t mix(uint64_t sum, uint64_t value)
{
    sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 29;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- signals ---- */

static void arm_timer(Thread *t)
{
    struct itimerspec once = { .it_value.tv_nsec = 30000 + (t->random = t->random * 1664525 + 1013904223) % 400000 };

    timer_settime(t->timer, 0, &once, NULL);
}

/* Uses registers of all kinds, and finds what it left in its own. */
static void on_timer(int number, siginfo_t *info, void *context)
{
    volatile double a = 1.5, b = 2.25;
    volatile float c[8];
    volatile uint64_t big = UINT64_C(0x123456789abcdef0);
    float sum = 0;

    for (unsigned i = 0; i < 8; i++) {
        c[i] = i + (float)a;
    }
    for (unsigned i = 0; i < 8; i++) {
        sum += c[i] * (float)b;
    }
    if (sum != 90.0f || a * b != 3.375 || big / 1000003 * 1000003 + big % 1000003 != big) {
        atomic_fetch_add(&broken_handlers, 1);
    }
    me->signals++;
    if (number == SIGUSR1) {
        atomic_fetch_add(&kicks, 1);
    } else if (me->has_timer) {
        arm_timer(me);
    }
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    size_t at = (uint8_t *)info->si_addr - me->pages;

    if (at >= PAGES * me->page_size) {
        signal(number, SIG_DFL); /* happens again, and kills */
        return;
    }
    me->faults++;
    mprotect(me->pages + at / me->page_size * me->page_size, me->page_size, PROT_READ | PROT_WRITE);
}

/* ---- tasks ---- */

static uint64_t integers(Thread *t)
{
    uint64_t a = 1, b = UINT64_C(0xfedcba9876543210);

    for (unsigned i = 0; i < 3000; i++) {
        uint64_t sum;
        bool carry = __builtin_add_overflow(a, b, &sum);

        a = (b << 13 | b >> 51) + carry;
        b = sum ^ (a * 0x10001) >> (i & 31);
        if (i % 7 == 0) {
            b = b / (a | 1) + (b % (i + 3) << 40);
        }
    }
    return mix(a, b);
}

static uint64_t doubles(Thread *t)
{
    double x = 0.5, y = 1e-3, v[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    uint64_t bits;

    for (unsigned i = 0; i < 2000; i++) {
        x = x * 3.75 * (1 - x);
        y += x / (i + 0.37);
        for (unsigned k = 0; k < 8; k++) {
            v[k] = v[k] * 0.5 + x;
        }
    }
    for (unsigned k = 0; k < 8; k++) {
        y += v[k];
    }
    memcpy(&bits, &y, 8);
    return mix(0, bits);
}

static uint64_t strings(Thread *t)
{
    uint8_t *p = t->text;
    uint64_t sum = 0;

    for (unsigned i = 0; i < sizeof(t->text); i++) {
        p[i] = i * 7 + (i >> 8);
    }
    for (unsigned i = 1; i < 60; i++) {
        unsigned from = i * 97, to = i * 101 % 4000, n = i * 61;

        memmove(p + to, p + from, n);
        memset(p + 4096 - i, i, 2 * i);
        sum = mix(sum, (unsigned)(memcmp(p + i, p + to, n) > 0) + strnlen((char *)p + from, n) + p[to + n / 2]);
    }
    return sum;
}

/* A function that adds constants to its argument; only: the summand that is written, -1: all of it. */
static unsigned make_adder(Thread *t, uint8_t *to, uint64_t seed, int only)
{
    unsigned at = 0;

#if defined(__x86_64__)
    static const uint8_t start[] = { 0x89, 0xf8 }; /* mov %edi, %eax */
#elif defined(__i386__)
    static const uint8_t start[] = { 0x8b, 0x44, 0x24, 0x04 }; /* mov 4(%esp), %eax */
#endif
#if defined(__x86_64__) || defined(__i386__)
    memcpy(to, start, sizeof(start));
    at = sizeof(start);
#endif
    for (int k = 0; k < SUMMANDS; k++) {
        uint32_t value = mix(seed, k);

#if defined(__x86_64__) || defined(__i386__)
        if (only < 0) {
            to[at] = 0x05; /* add $value, %eax */
        }
        if (only < 0 || only == k) {
            memcpy(to + at + 1, &value, 4);
        }
        at += 5;
#else
        uint32_t code[2] = { 0x3c630000 | ((value + 0x8000) >> 16 & 0xffff), 0x38630000 | (value & 0xffff) }; /* addis, addi r3, r3 */

        if (only < 0 || only == k) {
            memcpy(to + at, code, 8);
        }
        at += 8;
#endif
    }
#if defined(__x86_64__) || defined(__i386__)
    to[at++] = 0xc3;
#else
#ifdef __powerpc64__
    memcpy(to + at, &(uint32_t){ 0x78630020 }, 4); /* clrldi r3, r3, 32 */
    at += 4;
#endif
    memcpy(to + at, &(uint32_t){ 0x4e800020 }, 4); /* blr */
    at += 4;
#endif
    __builtin___clear_cache((char *)t->run, (char *)t->run + at);
    return at;
}

/* As compilers do that run what they make: all of it anew, single constants changed, never writable and executable at once. */
static uint64_t made_code(Thread *t)
{
    uint32_t (*adder)(uint32_t) = (void *)t->run;
    uint64_t sum = 0;

    for (unsigned i = 0; i < 200; i++) {
        if (i % 50 == 49) {
            mprotect(t->run, CODE_SIZE, PROT_READ | PROT_WRITE);
            make_adder(t, t->run, i, -1);
            mprotect(t->run, CODE_SIZE, PROT_READ | PROT_EXEC);
        } else {
            make_adder(t, t->write, i, i % 10 ? (int)(i % SUMMANDS) : -1);
        }
        for (unsigned k = 0; k < 1 + i % 3; k++) {
            sum = mix(sum, adder(sum + k));
        }
    }
    return sum;
}

static uint64_t faults(Thread *t)
{
    uint64_t sum = 0;

    mprotect(t->pages, PAGES * t->page_size, PROT_NONE);
    for (unsigned i = 0; i < 4 * PAGES; i++) {
        volatile uint32_t *word = (uint32_t *)(t->pages + (i * 5 % PAGES) * t->page_size + (i * 52 & 0xffc));

        *word = i;
        sum = mix(sum, *word + i);
    }
    for (unsigned i = 0; i < PAGES; i++) {
        sum = mix(sum, *(uint32_t *)(t->pages + i * t->page_size + ((i * 13 % PAGES) * 52 & 0xffc)));
    }
    return sum;
}

#if IS_X86
/* Until the counter is zero: adds a constant that the loop itself counts up. */
static uint64_t changes_itself(Thread *t)
{
    static const uint8_t body[] = {
        0x31, 0xc0,                         /* xor %eax, %eax */
        0xb9, 0x96, 0, 0, 0,                /* mov $150, %ecx */
        0x05, 1, 0, 0, 0,                   /* add $1, %eax; the constant is at 8 */
        0xff, 0x05, 0, 0, 0, 0,             /* incl the constant, whose address is at 14 */
        0x8d, 0x44, 0x40, 0x01,             /* lea 1(%eax,%eax,2), %eax */
        0x49,                               /* dec %ecx; 0xff, 0xc9 in 64-bit code */
        0x75, 0, 0xc3                       /* jnz; ret */
    };
    uint8_t code[64];
    unsigned n = 22;
    uint32_t where;

    memcpy(code, body, sizeof(body));
#ifdef __x86_64__
    where = -10; /* from the end of the INC */
    code[n++] = 0xff;
    code[n++] = 0xc9;
#else
    where = (uintptr_t)t->run + 8;
    code[n++] = 0x49;
#endif
    memcpy(code + 14, &where, 4);
    code[n] = 0x75;
    code[n + 1] = 7 - (n + 2);
    code[n + 2] = 0xc3;
    mprotect(t->run, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
    memcpy(t->write, code, n + 3);
    return mix(0, ((uint32_t (*)(void))(void *)t->run)());
}

static uint64_t extended(Thread *t)
{
    long double x = 0.5L, y = 1e-3L;
    uint64_t bits[2] = { 0 };

    for (unsigned i = 0; i < 1000; i++) {
        x = x * 3.75L * (1 - x);
        y += x / (i + 0.37L);
    }
    memcpy(bits, &y, 10);
    return mix(bits[0], bits[1]);
}

/* Far calls to a stack below 4 GiB and a 16-bit segment, whose code comes back by a 32-bit far return. */
uint32_t call_16(const void *far_pointer, void *stack);
#ifdef __x86_64__
__asm__(".text\n.globl call_16\ncall_16:\n  push %rbx\n  push %rbp\n  mov %rsp, %rax\n  mov %rsi, %rsp\n  push %rax\n"
        "  lcall *(%rdi)\n  pop %rsp\n  pop %rbp\n  pop %rbx\n  ret\n");
#else
__asm__(".text\n.globl call_16\ncall_16:\n  push %ebx\n  push %ebp\n  mov 12(%esp), %edx\n  mov 16(%esp), %ecx\n  mov %esp, %eax\n"
        "  mov %ecx, %esp\n  push %eax\n  lcall *(%edx)\n  pop %esp\n  pop %ebp\n  pop %ebx\n  ret\n");
#endif

static uint64_t narrow_code(Thread *t)
{
    static const uint8_t body[] = {
        0x66, 0x31, 0xc0,                   /* xor %eax, %eax */
        0xb9, 0xc8, 0x00,                   /* mov $200, %cx */
        0x05, 1, 0,                         /* add $1, %ax; the constant is at 7 */
        0x36, 0x67, 0xff, 0x05, 0, 0, 0, 0, /* incw %ss:the constant, whose address is at 13 */
        0x66, 0x05, 0x78, 0x56, 0x34, 0x12, /* add $0x12345678, %eax */
        0x49, 0x75, 6 - 26,                 /* dec %cx; jnz */
        0x66, 0xcb                          /* lretl */
    };
    struct __attribute__((packed)) {
        uint32_t offset;
        uint16_t selector;
    } to = { 0, t->number << 3 | 7 };
    uint32_t where = (uintptr_t)t->low + 7;

    memcpy(t->low, body, sizeof(body));
    memcpy(t->low + 13, &where, 4);
    return mix(0, call_16(&to, t->low + 65536 - 64));
}

static void make_segment(Thread *t)
{
    struct user_desc d = { .entry_number = t->number, .base_addr = (uintptr_t)t->low, .limit = 0xffff, .contents = MODIFY_LDT_CONTENTS_CODE };

    if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)) != 0) {
        fail("modify_ldt");
    }
}
#endif

static const struct {
    const char *name;
    uint64_t (*run)(Thread *t);
} tasks[] = {
    { "integers", integers }, { "doubles", doubles }, { "strings", strings }, { "made", made_code }, { "faults", faults },
#if IS_X86
    { "changed", changes_itself }, { "extended", extended }, { "narrow", narrow_code },
#endif
};
enum { TASKS = sizeof(tasks) / sizeof(tasks[0]) };

static uint64_t expected[TASKS];
static atomic_ulong rounds[TASKS], wrong[TASKS];

/* ---- threads ---- */

static void *map(size_t size, int protection, int flags, int fd)
{
    void *p = mmap(NULL, size, protection, flags, fd, 0);

    if (p == MAP_FAILED) {
        fail("mmap");
    }
    return p;
}

static void thread_init(Thread *t, unsigned number)
{
    int fd = memfd_create("code", 0);

    if (fd < 0 || ftruncate(fd, CODE_SIZE) < 0) {
        fail("memfd_create");
    }
    t->number = number;
    t->random = number + 1;
    t->page_size = sysconf(_SC_PAGESIZE);
    t->write = map(CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    t->run = map(CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd);
    t->pages = map(PAGES * t->page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
#if IS_X86
    t->low = map(65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1);
    make_segment(t);
#endif
}

static void begin(Thread *t)
{
    stack_t stack = { .ss_sp = malloc(STACK), .ss_size = STACK };
    cpu_set_t set;

    me = t;
    CPU_ZERO(&set);
    CPU_SET(t->number, &set);
    sched_setaffinity(0, sizeof(set), &set);
    sigaltstack(&stack, NULL);
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static pthread_t ids[MAX_THREADS];
static pthread_barrier_t all_there;

static void *storm(void *opaque)
{
    Thread *t = opaque;
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
    uint64_t end;

    begin(t);
    event._sigev_un._tid = syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &t->timer) != 0) {
        fail("timer_create");
    }
    t->has_timer = true;
    ids[t->number] = pthread_self();
    pthread_barrier_wait(&all_there);
    end = now_ms() + seconds * 1000;
    arm_timer(t);
    for (unsigned i = 0; i < TASKS || now_ms() < end; i++) { /* each once, however slow */
        unsigned k = (i + t->number) % TASKS;

        atomic_fetch_add(&rounds[k], 1);
        atomic_fetch_add(&wrong[k], tasks[k].run(t) != expected[k]);
        pthread_kill(ids[(t->number + 1) % n_threads], SIGUSR1);
    }
    t->has_timer = false;
    timer_delete(t->timer);
    pthread_barrier_wait(&all_there);
    return NULL;
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

    sigaction(number, &action, NULL);
}

int main(int argc, char **argv)
{
    unsigned long failures = 0, signals = 0, fault_count = 0;

    seconds = argc == 3 ? atoi(argv[1]) : 0;
    n_threads = argc == 3 ? atoi(argv[2]) : 0;
    if (n_threads < 1 || n_threads > MAX_THREADS) {
        return 2;
    }
    handle(SIGALRM, on_timer);
    handle(SIGUSR1, on_timer);
    handle(SIGSEGV, on_fault);
    for (unsigned i = 0; i < n_threads; i++) {
        thread_init(&threads[i], i);
    }
    begin(&threads[0]);
    for (unsigned k = 0; k < TASKS; k++) {
        expected[k] = tasks[k].run(&threads[0]);
        printf("STORM-VALUE %s %016llx\n", tasks[k].name, (unsigned long long)expected[k]);
        fflush(stdout); /* the next one may be more than a host's kernel allows: 16-bit code */
    }
    pthread_barrier_init(&all_there, NULL, n_threads);
    for (unsigned i = 1; i < n_threads; i++) {
        pthread_create(&ids[i], NULL, storm, &threads[i]);
    }
    storm(&threads[0]);
    for (unsigned i = 1; i < n_threads; i++) {
        pthread_join(ids[i], NULL);
    }
    for (unsigned k = 0; k < TASKS; k++) {
        printf("STORM %s rounds %lu wrong %lu\n", tasks[k].name, atomic_load(&rounds[k]), atomic_load(&wrong[k]));
        failures += atomic_load(&wrong[k]);
    }
    for (unsigned i = 0; i < n_threads; i++) {
        signals += threads[i].signals;
        fault_count += threads[i].faults;
    }
    printf("STORM signals %lu of threads %lu faults %lu\n", signals, atomic_load(&kicks), fault_count);
    failures += atomic_load(&broken_handlers);
    printf("STORM-END %lu\n", failures);
    return failures != 0;
}
