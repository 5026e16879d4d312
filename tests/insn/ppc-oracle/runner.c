/*
 * Runs instruction cases under a user emulator: runner CASES RESULTS.
 *
 * Registers are loaded, the code runs in a page of its own, registers are stored; a signal's handler leads there too.
 * r31 is the address of the state all the while. HAVE_VSX, HAVE_VEC: what the processor has.
 */
#define _GNU_SOURCE
#include "cases.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

typedef struct Machine {
    OracleState s;
    uint64_t saved[64];
    uint64_t quad[2] __attribute__((aligned(16)));
    uint64_t vectors[32][2] __attribute__((aligned(16)));
} Machine;

#ifdef __powerpc64__
#define LOAD  "ld "
#define STORE "std "
#define LOW   "0"
#else
#define LOAD  "lwz "
#define STORE "stw "
#define LOW   "4" /* of the low word in a doubleword */
#endif

static Machine machine __attribute__((aligned(16), used));
static uint32_t code[16] __attribute__((section(".code,\"awx\",@progbits#"), aligned(4096), used));
extern char run_exit[];

#define STRING_(x) #x
#define STRING(x)  STRING_(x)
#define S(field)   STRING(__builtin_offsetof(Machine, field))

/* GPR numbers as loops of the assembler; offsets come as symbols. */
__asm__(".set AT_GPR, 0\n .set AT_VSR, " STRING(42 * 8) "\n .set AT_SAVED, " STRING(42 * 8 + 1024 + 256) "\n"
        ".set AT_QUAD, AT_SAVED + 512\n .set AT_VECTORS, AT_QUAD + 16\n"
        ".set AT_CR, 256\n .set AT_XER, 264\n .set AT_LR, 272\n .set AT_CTR, 280\n .set AT_FPSCR, 288\n .set AT_VSCR, 296\n .set AT_VRSAVE, 304\n");
_Static_assert(offsetof(OracleState, vsr) == 42 * 8, "see above");
_Static_assert(offsetof(OracleState, cr) == 256, "see above");
_Static_assert(offsetof(Machine, saved) == 42 * 8 + 1024 + 256, "see above");
_Static_assert(offsetof(Machine, quad) == offsetof(Machine, saved) + 512, "see above");
_Static_assert(offsetof(Machine, vectors) == offsetof(Machine, quad) + 16, "see above");

__asm__(
    ".text\n.align 2\n"
    "run:\n"
    "mflr 0\n" STORE "0, AT_SAVED+" LOW "+256(3)\n"
    "mfcr 0\n" STORE "0, AT_SAVED+" LOW "+264(3)\n"
    ".altmacro\n"
    ".macro each_gpr op, first, last, at\n"
    ".if \\first <= \\last\n"
    "\\op \\first, \\at + 8 * \\first(31)\n"
    "each_gpr \\op, %(\\first + 1), \\last, \\at\n"
    ".endif\n"
    ".endm\n"
    STORE "31, AT_SAVED+" LOW "+8*31(3)\n"
    "mr 31, 3\n"
    "each_gpr " STORE ", 1, 2, AT_SAVED+" LOW "\n"
    "each_gpr " STORE ", 13, 30, AT_SAVED+" LOW "\n"
    /* Vectors first: they need registers. */
    ".macro each_vsr op, first, last, at\n"
    ".if \\first <= \\last\n"
    "addi 4, 31, \\at + 16 * (\\first)\n"
    "\\op \\first, 0, 4\n"
    "each_vsr \\op, %(\\first + 1), \\last, \\at\n"
    ".endif\n"
    ".endm\n"
    ".macro each_fpr op, first, last, at\n"
    ".if \\first <= \\last\n"
    "\\op \\first, \\at + 16 * (\\first)(31)\n"
    "each_fpr \\op, %(\\first + 1), \\last, \\at\n"
    ".endif\n"
    ".endm\n"
#ifdef HAVE_VEC
    "addi 4, 31, AT_QUAD\n lvx 0, 0, 4\n mtvscr 0\n"
    LOAD "0, AT_VRSAVE+" LOW "(31)\n mtspr 256, 0\n"
#endif
#if defined(HAVE_VEC) && !defined(HAVE_VSX)
    "each_vsr lvx, 0, 31, AT_VECTORS\n"
#endif
#ifdef HAVE_VSX
    "lfd 0, AT_FPSCR(31)\n .long 0xfffe058e\n" /* mtfsf 0xff, 0, 1, 0: with the left word */
#else
    "lfd 0, AT_FPSCR(31)\n mtfsf 0xff, 0\n"
#endif
#ifdef HAVE_VSX
    "each_vsr lxvd2x, 0, 63, AT_VSR\n"
#else
    "each_fpr lfd, 0, 31, AT_VSR\n"
#endif
    LOAD "0, AT_CR+" LOW "(31)\n mtcrf 0xff, 0\n"
    LOAD "0, AT_XER+" LOW "(31)\n mtxer 0\n"
    LOAD "0, AT_LR+" LOW "(31)\n mtlr 0\n"
    LOAD "0, AT_CTR+" LOW "(31)\n mtctr 0\n"
    "each_gpr " LOAD ", 0, 30, AT_GPR+" LOW "\n"
    "b code\n"
    ".globl run_exit\nrun_exit:\n"
    "each_gpr " STORE ", 0, 30, AT_GPR+" LOW "\n"
    "mfcr 0\n" STORE "0, AT_CR+" LOW "(31)\n"
    "mfxer 0\n" STORE "0, AT_XER+" LOW "(31)\n"
    "mflr 0\n" STORE "0, AT_LR+" LOW "(31)\n"
    "mfctr 0\n" STORE "0, AT_CTR+" LOW "(31)\n"
#ifdef HAVE_VSX
    "each_vsr stxvd2x, 0, 63, AT_VSR\n"
#else
    "each_fpr stfd, 0, 31, AT_VSR\n"
#endif
    "mffs 0\n stfd 0, AT_FPSCR(31)\n"
#if defined(HAVE_VEC) && !defined(HAVE_VSX)
    "each_vsr stvx, 0, 31, AT_VECTORS\n"
#endif
#ifdef HAVE_VEC
    "mfvscr 0\n addi 4, 31, AT_QUAD\n stvx 0, 0, 4\n"
    "mfspr 0, 256\n" STORE "0, AT_VRSAVE+" LOW "(31)\n"
#endif
    LOAD "0, AT_SAVED+" LOW "+264(31)\n mtcrf 0xff, 0\n"
    LOAD "0, AT_SAVED+" LOW "+256(31)\n mtlr 0\n"
    "each_gpr " LOAD ", 1, 2, AT_SAVED+" LOW "\n"
    "each_gpr " LOAD ", 13, 31, AT_SAVED+" LOW "\n"
    "blr\n"
    ".noaltmacro\n");

static void on_signal(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
#ifdef __powerpc64__
    unsigned long *nip = &uc->uc_mcontext.gp_regs[32];
#else
    unsigned long *nip = &uc->uc_mcontext.uc_regs->gregs[32];
#endif

    machine.s.signal = number;
    machine.s.fault_pc = *nip - (unsigned long)code;
    machine.s.fault_address = number == SIGSEGV ? (unsigned long)info->si_addr : 0;
    *nip = (unsigned long)run_exit;
}

static void run(void)
{
    register Machine *m __asm__("3") = &machine;

    __asm__ volatile("bl run"
                     : "+r"(m)
                     :
                     : "memory", "lr", "ctr", "0", "4", "5", "6", "7", "8", "9", "10", "11", "12", "cr0", "cr1", "cr5", "cr6", "cr7");
}

/* The machine's vector registers as the file has them, and the other way. */
static void vectors_in(void)
{
    machine.quad[0] = machine.quad[1] = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    machine.quad[0] = machine.s.vscr;
#else
    machine.quad[1] = machine.s.vscr;
#endif
    memcpy(machine.vectors, machine.s.vsr[32], sizeof(machine.vectors));
}

static void vectors_out(void)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    machine.s.vscr = machine.quad[0];
#else
    machine.s.vscr = machine.quad[1];
#endif
#if defined(HAVE_VEC) && !defined(HAVE_VSX)
    memcpy(machine.s.vsr[32], machine.vectors, sizeof(machine.vectors));
#endif
}

int main(int argc, char **argv)
{
    static const int signals[] = { SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGTRAP };
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    static char stack[65536] __attribute__((aligned(16)));
    stack_t alternative = { .ss_sp = stack, .ss_size = sizeof(stack) }; /* r1 is anything */
    FILE *in = argc == 3 ? fopen(argv[1], "rb") : NULL, *out = argc == 3 ? fopen(argv[2], "wb") : NULL;
    unsigned char *page = mmap((void *)(unsigned long)ORACLE_PAGE, ORACLE_PAGE_SIZE, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    static OracleCase c;

    if (!in || !out || page == MAP_FAILED) {
        fprintf(stderr, "runner CASES RESULTS\n");
        return 1;
    }
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaction(signals[i], &action, NULL);
    }
    sigaltstack(&alternative, NULL);
    while (fread(&c, sizeof(c), 1, in) == 1) {
        unsigned n;

        for (n = 0; n < c.n_insns; n++) {
            code[n] = c.insns[n];
        }
        code[n] = 0x48000000 | ((unsigned long)run_exit - (unsigned long)&code[n] & 0x3fffffc);
        __builtin___clear_cache((char *)code, (char *)&code[n + 1]);
        machine.s = c.state;
        memcpy(page + ORACLE_PAGE_SIZE - ORACLE_WINDOW, c.state.memory, ORACLE_WINDOW);
        vectors_in();
        run();
        vectors_out();
        memcpy(machine.s.memory, page + ORACLE_PAGE_SIZE - ORACLE_WINDOW, ORACLE_WINDOW);
        fwrite(&machine.s, sizeof(machine.s), 1, out);
    }
    return fclose(out) != 0;
}
