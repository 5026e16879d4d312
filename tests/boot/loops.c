/*
 * Random loops as a process runs them, with page faults, signals and code that changes itself: prints a digest for
 * each, which has to be the same on every processor.
 *
 * Usage: loops SEED COUNT FEATURES ["dump"]. FEATURES: 1 for AVX2 and FMA, 0 for none. A line of the output has a seed and the
 * digests of the loops of that seed and the next ones. "dump" shows the code and what was left instead.
 * Static and at a fixed address, so that registers are loaded and stored without one.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "loops.h"

enum {
    CODE = 0x20000000, CODE2 = 0x28000000, CODE_PAGES = 2, /* the same memory twice */
    STACK = 0x31000000, STACK_PAGES = 2,
    GROUP = 32, /* loops that share their data */
    DATA_SIZE = DATA_PAGES * PAGE, STACK_SIZE = STACK_PAGES * PAGE,
};

/* ---- running ---- */

typedef struct Area {
    uint16_t fcw, fsw, tags, fop;
    uint32_t pointers[4];
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16];
    uint8_t xmm[16][16];
    uint8_t unused[96];
    uint64_t header[8];
    uint8_t ymm_high[16][16];
} Area;

Area loop_fp __attribute__((aligned(64)));
Word loop_regs[16], loop_flags, loop_entry, loop_host_sp, loop_back_pointer;
uint32_t loop_mxcsr = 0x1f80;
void loop_run(void);
extern const char loop_back[];

#ifdef __x86_64__
__asm__(".text\n.globl loop_run, loop_back\nloop_run:\n"
        "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n  mov %rsp, loop_host_sp\n"
        "  mov $7, %eax\n  xor %edx, %edx\n  xrstor64 loop_fp\n"
        "  pushq loop_flags\n  popf\n"
        "  mov loop_regs, %rax\n  mov loop_regs+8, %rcx\n  mov loop_regs+16, %rdx\n  mov loop_regs+24, %rbx\n"
        "  mov loop_regs+32, %rsp\n  mov loop_regs+40, %rbp\n  mov loop_regs+48, %rsi\n  mov loop_regs+56, %rdi\n"
        "  mov loop_regs+64, %r8\n  mov loop_regs+72, %r9\n  mov loop_regs+80, %r10\n  mov loop_regs+88, %r11\n"
        "  mov loop_regs+96, %r12\n  mov loop_regs+104, %r13\n  mov loop_regs+112, %r14\n  mov loop_regs+120, %r15\n"
        "  jmp *loop_entry\n"
        "loop_back:\n"
        "  mov %rax, loop_regs\n  mov %rcx, loop_regs+8\n  mov %rdx, loop_regs+16\n  mov %rbx, loop_regs+24\n"
        "  mov %rsp, loop_regs+32\n  mov %rbp, loop_regs+40\n  mov %rsi, loop_regs+48\n  mov %rdi, loop_regs+56\n"
        "  mov %r8, loop_regs+64\n  mov %r9, loop_regs+72\n  mov %r10, loop_regs+80\n  mov %r11, loop_regs+88\n"
        "  mov %r12, loop_regs+96\n  mov %r13, loop_regs+104\n  mov %r14, loop_regs+112\n  mov %r15, loop_regs+120\n"
        "  mov loop_host_sp, %rsp\n  pushf\n  popq loop_flags\n  cld\n"
        "  mov $7, %eax\n  xor %edx, %edx\n  xsave64 loop_fp\n  fninit\n  ldmxcsr loop_mxcsr\n  vzeroupper\n"
        "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n  ret\n");
#else
__asm__(".text\n.globl loop_run, loop_back\nloop_run:\n"
        "  push %ebx\n  push %ebp\n  push %esi\n  push %edi\n  mov %esp, loop_host_sp\n"
        "  mov $7, %eax\n  xor %edx, %edx\n  xrstor loop_fp\n"
        "  pushl loop_flags\n  popf\n"
        "  mov loop_regs, %eax\n  mov loop_regs+4, %ecx\n  mov loop_regs+8, %edx\n  mov loop_regs+12, %ebx\n"
        "  mov loop_regs+16, %esp\n  mov loop_regs+20, %ebp\n  mov loop_regs+24, %esi\n  mov loop_regs+28, %edi\n"
        "  jmp *loop_entry\n"
        "loop_back:\n"
        "  mov %eax, loop_regs\n  mov %ecx, loop_regs+4\n  mov %edx, loop_regs+8\n  mov %ebx, loop_regs+12\n"
        "  mov %esp, loop_regs+16\n  mov %ebp, loop_regs+20\n  mov %esi, loop_regs+24\n  mov %edi, loop_regs+28\n"
        "  mov loop_host_sp, %esp\n  pushf\n  popl loop_flags\n  cld\n"
        "  mov $7, %eax\n  xor %edx, %edx\n  xsave loop_fp\n  fninit\n  ldmxcsr loop_mxcsr\n  vzeroupper\n"
        "  pop %edi\n  pop %esi\n  pop %ebp\n  pop %ebx\n  ret\n");
#endif

static volatile bool running;
static struct {
    uint32_t number, trap, error;
    uint64_t address, pc;
} caught;
static Word code_base;
static Loop loop;
static bool has_avx;

/* Leaves for where registers are stored: all of them are the loop's then. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
#ifdef __x86_64__
    Word pc = regs[REG_RIP];
#else
    Word pc = regs[REG_EIP];
#endif

    if (!running) {
        signal(number, SIG_DFL); /* happens again, and kills */
        return;
    }
    running = false;
    caught.number = number;
    caught.trap = regs[REG_TRAPNO];
    caught.error = number == SIGSEGV ? regs[REG_ERR] & 6 : 0; /* whether the page is there is the kernel's own affair */
    caught.address = number == SIGSEGV ? (uintptr_t)info->si_addr & -PAGE : 0;
    caught.pc = pc - code_base;
#ifdef __x86_64__
    regs[REG_RIP] = (Word)loop_back;
#else
    regs[REG_EIP] = (Word)loop_back;
#endif
}

/* ---- what it runs with ---- */

static uint8_t template[DATA_SIZE + STACK_SIZE];
static uint64_t template_of = -1;

static void make_template(uint64_t group)
{
    template_of = group;
    random_state = (group + 1) * 0x9e3779b97f4a7c15;
    for (unsigned i = 0; i < sizeof(template); i += 8) {
        uint64_t value = random_next();

        switch (value >> 60 & 7) {
        case 0: case 1:
            value = (value & 0x000fffffffffffff) | UINT64_C(0x3ff0000000000000); /* 1 to 2 */
            break;
        case 2:
            value = (value & UINT64_C(0x007fffff007fffff)) | UINT64_C(0x3f8000003f800000);
            break;
        case 3:
            value &= 0xff;
            break;
        case 4:
            value = 0;
            break;
        case 5:
            value = DATA + PAGE + (value & 0x3ff8);
            break;
        }
        memcpy(template + i, &value, 8);
    }
}

static void make_state(void)
{
    static const uint16_t fcws[] = { 0x37f, 0x37f, 0x27f, 0x77f, 0xb7f, 0xf7f, 0x07f };

    memset(&loop_fp, 0, sizeof(loop_fp));
    loop_fp.fcw = fcws[below(7)];
    loop_fp.mxcsr = 0x1f80 | (below(4) ? 0 : below(4) << 13) | (below(8) ? 0 : 0x8040);
    if (below(16) == 0) {
        loop_fp.mxcsr &= ~(0x80 << below(3)); /* unmasked */
    }
    loop_fp.header[0] = 7;
    for (unsigned i = 0; i < (IS64 ? 16 : 8); i++) {
        unsigned at = below(sizeof(template) / 8 - 2) * 8;

        memcpy(loop_fp.xmm[i], template + at, 16);
        if (has_avx) {
            memcpy(loop_fp.ymm_high[i], template + at, 16);
        }
    }
    for (unsigned i = 0; i < 16; i++) {
        loop_regs[i] = below(4) ? random_next() : below(3) - 1;
    }
    for (const char *p = POINTERS; *p; p++) {
        uint32_t at = DATA + 512 + below(DATA_SIZE - 1024);

        loop_regs[*p - 'a'] = below(3) ? at & ~15u : at;
    }
    loop_regs[BP] = below(3) ? below(128) : 0;
    loop_regs[R14] = below(3) ? below(64) * 8 : -(Word)8;
    loop_regs[SP] = STACK + PAGE + below(64) * 8;
    loop_regs[CX] = loop.count;
    if (loop.pointer >= 0) {
        loop_regs[loop.end_register] = loop_regs[loop.pointer] + loop.distance;
    }
    loop_flags = 0x202 | (below(2) ? random_next() & ALL : 0) | (below(8) ? 0 : DF);
}

typedef struct Pages {
    bool changed;
    unsigned protected, fresh; /* one page each; DATA_PAGES: none */
    int protection;
} Pages;

static void *data_page(unsigned n)
{
    return (void *)(uintptr_t)(DATA + n * PAGE);
}

static void prepare_pages(Pages *pages)
{
    *pages = (Pages){ .protected = DATA_PAGES, .fresh = DATA_PAGES };
    memcpy(data_page(0), template, DATA_SIZE);
    memcpy((void *)(uintptr_t)STACK, template + DATA_SIZE, STACK_SIZE);
    if (below(4) == 0) {
        pages->protected = below(DATA_PAGES);
        pages->protection = below(2) ? PROT_READ : PROT_NONE;
        mprotect(data_page(pages->protected), PAGE, pages->protection);
    }
    if (below(4) == 0) {
        pages->fresh = below(DATA_PAGES);
        madvise(data_page(pages->fresh), PAGE, MADV_DONTNEED);
    }
}

/* ---- what it leaves ---- */

static uint64_t hash(uint64_t sum, const void *data, size_t bytes)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t value = 0;

        memcpy(&value, p + i, bytes - i < 8 ? bytes - i : 8);
        sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 29;
    }
    return sum;
}

static void tidy(void)
{
    loop_fp.fop = 0;
    memset(loop_fp.pointers, 0, sizeof(loop_fp.pointers));
    loop_fp.mxcsr_mask = 0;
    memset(loop_fp.unused, 0, sizeof(loop_fp.unused));
    memset(loop_fp.header, 0, sizeof(loop_fp.header));
    if (!IS64) {
        memset(loop_fp.xmm[8], 0, 128);
        memset(loop_fp.ymm_high[8], 0, 128);
        memset(loop_regs + 8, 0, 8 * sizeof(Word));
    }
    /* A fault's frame may have older flags: docs/translator.md. */
    loop_flags &= (caught.number ? 0 : ALL & ~loop.undefined) | DF;
}

static uint64_t digest(void)
{
    uint64_t sum = hash(0, &caught, sizeof(caught));

    sum = hash(sum, loop_regs, sizeof(loop_regs));
    sum = hash(sum, &loop_flags, sizeof(loop_flags));
    sum = hash(sum, &loop_fp, sizeof(loop_fp));
    sum = hash(sum, data_page(0), DATA_SIZE);
    sum = hash(sum, (void *)(uintptr_t)STACK, STACK_SIZE);
    return hash(sum, (void *)code_base, loop.size);
}

static void dump_bytes(const char *name, const void *data, unsigned bytes)
{
    printf("DUMP %s", name);
    for (unsigned i = 0; i < bytes; i++) {
        printf("%s%02x", i % 8 ? "" : " ", ((const uint8_t *)data)[i]);
    }
    printf("\n");
}

static void dump(void)
{
    printf("DUMP signal %u trap %u error %x at %llx pc %llx flags %llx of %x\n", caught.number, caught.trap, caught.error,
           (unsigned long long)caught.address, (unsigned long long)caught.pc, (unsigned long long)loop_flags, ALL & ~loop.undefined);
    for (unsigned i = 0; i < (IS64 ? 16 : 8); i++) {
        char name[16];

        printf("DUMP r%u %llx\n", i, (unsigned long long)loop_regs[i]);
        snprintf(name, sizeof(name), "xmm%u", i);
        dump_bytes(name, loop_fp.xmm[i], 16);
        dump_bytes("  high", loop_fp.ymm_high[i], 16);
    }
    printf("DUMP fcw %x fsw %x tags %x mxcsr %x\n", loop_fp.fcw, loop_fp.fsw, loop_fp.tags, loop_fp.mxcsr);
    dump_bytes("st", loop_fp.st, sizeof(loop_fp.st));
    for (unsigned i = 0; i < DATA_SIZE + STACK_SIZE; i += 64) {
        const uint8_t *now = i < DATA_SIZE ? (uint8_t *)data_page(0) + i : (uint8_t *)(uintptr_t)STACK + (i - DATA_SIZE);
        char name[16];

        if (memcmp(now, template + i, 64) != 0) {
            snprintf(name, sizeof(name), "+%05x", i);
            dump_bytes(name, now, 64);
        }
    }
}

static uint64_t run(uint64_t seed, bool show)
{
    Pages pages;

    if (template_of != seed / GROUP) {
        make_template(seed / GROUP);
    }
    random_state = (seed + 1) * 0xd1342543de82ef95;
    code_base = below(2) ? CODE : CODE2;
    memset((uint8_t *)code_base + PAGE - CODE_AREA, 0, CODE_AREA);
    loop = loop_make((uint8_t *)code_base, has_avx, &loop_back_pointer);
    make_state();
    prepare_pages(&pages);
    if (show) {
        dump_bytes("code", (void *)code_base, loop.size);
        printf("DUMP pages protected %u as %d fresh %u\n", pages.protected, pages.protection, pages.fresh);
        for (unsigned i = 0; i < (IS64 ? 16 : 8); i++) {
            printf("DUMP before r%u %llx\n", i, (unsigned long long)loop_regs[i]);
        }
        fflush(stdout);
    }
    memset(&caught, 0, sizeof(caught));
    loop_entry = code_base;
    running = true;
    loop_run();
    running = false;
    mprotect(data_page(0), DATA_SIZE, PROT_READ | PROT_WRITE);
    tidy();
    if (show) {
        dump();
    }
    return digest();
}

static void *map(uint32_t at, size_t bytes, int protection, int fd)
{
    void *p = mmap((void *)(uintptr_t)at, bytes, protection, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED : MAP_SHARED | MAP_FIXED, fd, 0);

    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return p;
}

int main(int argc, char **argv)
{
    static const int signals[] = { SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP };
    static uint8_t signal_stack[65536];
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    stack_t alternate = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };
    int fd = memfd_create("code", 0);
    uint64_t seed, count;
    bool show = argc > 4;

    if (argc < 4 || fd < 0 || ftruncate(fd, CODE_PAGES * PAGE) < 0) {
        return 2;
    }
    seed = strtoull(argv[1], NULL, 0);
    count = strtoull(argv[2], NULL, 0);
    has_avx = atoi(argv[3]);
    loop_back_pointer = (Word)loop_back;
    map(CODE, CODE_PAGES * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, fd);
    map(CODE2, CODE_PAGES * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, fd);
    map(DATA, DATA_SIZE, PROT_READ | PROT_WRITE, -1);
    map(STACK, STACK_SIZE, PROT_READ | PROT_WRITE, -1);
    sigaltstack(&alternate, NULL);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaction(signals[i], &action, NULL);
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t sum = run(seed + i, show);

        if (i % 16 == 0) {
            printf("%sLOOPS %llu", i ? "\n" : "", (unsigned long long)(seed + i));
        }
        printf(" %08x", (uint32_t)(sum >> 32));
    }
    printf("\nLOOPS-END\n");
    return 0;
}
