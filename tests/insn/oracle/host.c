/*
 * The host as oracle: all registers are loaded, one instruction runs, all registers are saved.
 *
 * An exception is a signal. Its handler notes what was raised, takes the registers from where the kernel
 * put them, and leaves for good: no system call, and no registers loaded only to be saved again.
 * Everything is at absolute addresses: while guest registers are in place there is nothing else to
 * address memory by.
 */
#include "host.h"

#include <asm/ldt.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

/* At ORACLE_CONTROL; the offsets are those that the code below has. */
typedef struct Control {
    uint64_t gpr[16];
    uint64_t flags;       /* 080 */
    uint64_t entry;       /* 088 */
    uint64_t back;        /* 090: 64-bit code ends with jmp *back */
    uint64_t host_sp;     /* 098 */
    uint32_t far_entry;   /* 0a0: as entry, for 32- and 16-bit code */
    uint16_t far_selector, pad;
    uint64_t back32;      /* 0a8: other code ends with a far jump to a jmp *back32 */
    uint64_t data_selector; /* 0b0 */
    uint32_t fs_selector, gs_selector; /* 0b8, 0bc */
    uint64_t fs_base;     /* 0c0: ours */
    uint64_t with_fp;     /* 0c8 */
    uint64_t gs_base;     /* 0d0: of 64-bit code */
    uint8_t unused[0x400 - 0xd8];
    OracleFp fp;          /* 400 */
} Control;

G_STATIC_ASSERT(offsetof(Control, flags) == 0x80 && offsetof(Control, host_sp) == 0x98 &&
                offsetof(Control, far_entry) == 0xa0 && offsetof(Control, back32) == 0xa8);
G_STATIC_ASSERT(offsetof(Control, data_selector) == 0xb0 && offsetof(Control, gs_selector) == 0xbc &&
                offsetof(Control, with_fp) == 0xc8 && offsetof(Control, gs_base) == 0xd0 && offsetof(Control, fp) == 0x400);

static Control *const control = (Control *)(uintptr_t)ORACLE_CONTROL;
enum { JUMP32 = ORACLE_CONTROL + 0x1000 };

void host_enter_64(void);
void host_enter_32(void);
void host_enter_16(void);
extern const char host_return_64[], host_return_32[];
/* From a signal's handler: all is saved. */
G_NORETURN void host_leave_64(void);
G_NORETURN void host_leave_32(void);

#define AT(offset) "0x20000" #offset
#define SAVE_HOST "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n  mov %rsp, " AT(098) "\n"
#define POP_HOST "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n  ret\n"
#define LOAD_FP                                                          \
    "  cmpl $0, " AT(0c8) "\n  je 1f\n"                                  \
    "  mov $7, %eax\n  xor %edx, %edx\n  xrstor64 " AT(400) "\n1:\n"
/* The host's direction flag and alignment check are off, its FP units as C code wants them. */
#define BACK_TO_HOST                                                     \
    "  mov " AT(098) ", %rsp\n"                                          \
    "  pushf\n  pop " AT(080) "\n  push $2\n  popf\n"                    \
    "  cmpl $0, " AT(0c8) "\n  je 1f\n"                                  \
    "  mov $7, %eax\n  xor %edx, %edx\n  xsave64 " AT(400) "\n"          \
    "  fninit\n  movl $0x1f80, " AT(0d8) "\n  ldmxcsr " AT(0d8) "\n  vzeroupper\n1:\n" \
    POP_HOST

__asm__(".text\n"
        ".globl host_enter_64\n.globl host_return_64\n"
        "host_enter_64:\n" SAVE_HOST
        "  mov " AT(0d0) ", %rax\n  wrgsbase %rax\n" LOAD_FP
        "  push " AT(080) "\n  popf\n"
        "  mov " AT(000) ", %rax\n  mov " AT(008) ", %rcx\n  mov " AT(010) ", %rdx\n  mov " AT(018) ", %rbx\n"
        "  mov " AT(020) ", %rsp\n  mov " AT(028) ", %rbp\n  mov " AT(030) ", %rsi\n  mov " AT(038) ", %rdi\n"
        "  mov " AT(040) ", %r8\n  mov " AT(048) ", %r9\n  mov " AT(050) ", %r10\n  mov " AT(058) ", %r11\n"
        "  mov " AT(060) ", %r12\n  mov " AT(068) ", %r13\n  mov " AT(070) ", %r14\n  mov " AT(078) ", %r15\n"
        "  jmp *" AT(088) "\n"
        "host_return_64:\n"
        "  mov %rax, " AT(000) "\n  mov %rcx, " AT(008) "\n  mov %rdx, " AT(010) "\n  mov %rbx, " AT(018) "\n"
        "  mov %rsp, " AT(020) "\n  mov %rbp, " AT(028) "\n  mov %rsi, " AT(030) "\n  mov %rdi, " AT(038) "\n"
        "  mov %r8, " AT(040) "\n  mov %r9, " AT(048) "\n  mov %r10, " AT(050) "\n  mov %r11, " AT(058) "\n"
        "  mov %r12, " AT(060) "\n  mov %r13, " AT(068) "\n  mov %r14, " AT(070) "\n  mov %r15, " AT(078) "\n"
        "  mov " AT(0c0) ", %rax\n  wrfsbase %rax\n"
        BACK_TO_HOST);

#define LOAD_DATA_SEGMENTS                                               \
    "  mov " AT(0b0) ", %eax\n  mov %eax, %ds\n  mov %eax, %es\n"        \
    "  mov " AT(0b8) ", %eax\n  mov %eax, %fs\n  mov " AT(0bc) ", %eax\n  mov %eax, %gs\n"

/* Only low halves are in use. Loading a null selector clears the base, or not: ours is put back. */
__asm__(".text\n"
        ".globl host_enter_32\n.globl host_enter_16\n.globl host_return_32\n"
        "host_enter_32:\n" SAVE_HOST LOAD_FP LOAD_DATA_SEGMENTS
        "  push " AT(080) "\n  popf\n"
        "  mov " AT(000) ", %eax\n  mov " AT(008) ", %ecx\n  mov " AT(010) ", %edx\n  mov " AT(018) ", %ebx\n"
        "  mov " AT(020) ", %esp\n  mov " AT(028) ", %ebp\n  mov " AT(030) ", %esi\n  mov " AT(038) ", %edi\n"
        "  ljmp *" AT(0a0) "\n"
        /* A stack segment of its own: only IRET loads all at once. It leaves ESP's upper half as it was. */
        "host_enter_16:\n" SAVE_HOST LOAD_FP LOAD_DATA_SEGMENTS
        "  mov $0x20000ff0, %esp\n"
        "  push " AT(0b0) "\n  push " AT(020) "\n  push " AT(080) "\n"
        "  movzwl " AT(0a4) ", %eax\n  push %rax\n  mov " AT(0a0) ", %eax\n  push %rax\n"
        "  mov " AT(000) ", %eax\n  mov " AT(008) ", %ecx\n  mov " AT(010) ", %edx\n  mov " AT(018) ", %ebx\n"
        "  mov " AT(028) ", %ebp\n  mov " AT(030) ", %esi\n  mov " AT(038) ", %edi\n"
        "  iretq\n"
        "host_return_32:\n"
        "  mov %eax, " AT(000) "\n  mov %ecx, " AT(008) "\n  mov %edx, " AT(010) "\n  mov %ebx, " AT(018) "\n"
        "  mov %esp, " AT(020) "\n  mov %ebp, " AT(028) "\n  mov %esi, " AT(030) "\n  mov %edi, " AT(038) "\n"
        "  mov $0x2b, %eax\n  mov %eax, %ss\n  mov $0, %eax\n  mov %eax, %ds\n  mov %eax, %es\n"
        "  mov %eax, %fs\n  mov %eax, %gs\n"
        "  mov " AT(0c0) ", %rax\n  wrfsbase %rax\n"
        BACK_TO_HOST);

__asm__(".text\n"
        ".globl host_leave_64\n.globl host_leave_32\n"
        "host_leave_32:\n"
        "  mov $0x2b, %eax\n  mov %eax, %ss\n"
        "  xor %eax, %eax\n  mov %eax, %ds\n  mov %eax, %es\n  mov %eax, %fs\n  mov %eax, %gs\n"
        "  mov " AT(0c0) ", %rax\n  wrfsbase %rax\n"
        "host_leave_64:\n"
        "  mov " AT(098) ", %rsp\n" POP_HOST);

/* Linux's selectors, and ours in the LDT. */
enum {
    USER_CS32 = 0x23, USER_DS = 0x2b, USER_CS64 = 0x33,
    LDT_CODE = 0x07, LDT_DATA = 0x0f, LDT_FS = 0x17, LDT_GS = 0x1f, LDT_FS_16 = 0x27, LDT_GS_16 = 0x2f,
};
enum { TRAP_DEBUG = 1, TRAP_BREAKPOINT = 3, PRESENT = 1, FETCH = 0x10 };

static bool has_ldt;
static uint8_t *code_alias;
static volatile bool running;
static bool got_trap_flag;
static unsigned code_end; /* offset behind the instruction */
static uint64_t code_base;
static OracleMode mode_now;
static int vector;
static uint32_t error;
static uint64_t fault_pc, cr2;
static volatile unsigned run_count;
static struct sigaction previous[NSIG];

__attribute__((no_stack_protector, no_sanitize("address", "undefined")))
static G_NORETURN void take_registers_and_leave(const ucontext_t *uc)
{
    static const uint8_t order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                      REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    const greg_t *regs = uc->uc_mcontext.gregs;

    for (unsigned i = 0; i < 16; i++) {
        control->gpr[i] = mode_now == ORACLE_64 ? (uint64_t)regs[order[i]] : (uint32_t)regs[order[i]];
    }
    control->flags = regs[REG_EFL] & ~(uint64_t)EFL_RF;
    if (control->with_fp) {
        memcpy(&control->fp, uc->uc_mcontext.fpregs, sizeof(control->fp)); /* as XSAVE wrote it */
    }
    if (mode_now == ORACLE_64) {
        host_leave_64();
    }
    host_leave_32();
}

/* The handler returns to where registers are saved, in 64-bit code with a flat stack. */
static void return_and_save(ucontext_t *uc)
{
    greg_t *regs = uc->uc_mcontext.gregs;

    regs[REG_RIP] = (uintptr_t)(mode_now == ORACLE_64 ? host_return_64 : host_return_32);
    regs[REG_CSGSFS] = (regs[REG_CSGSFS] & 0x0000ffffffff0000) | USER_CS64 | (greg_t)USER_DS << 48;
}

/* FS may be the guest's: nothing here may use thread-local storage. */
__attribute__((no_stack_protector, no_sanitize("address", "undefined")))
static void on_signal(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *regs = uc->uc_mcontext.gregs;
    uint64_t pc = regs[REG_RIP] - code_base;

    __asm__ volatile("push $2\n popf" ::: "cc", "memory");
    if (!running) {
        struct sigaction *next = &previous[number];

        if (next->sa_flags & SA_SIGINFO) {
            next->sa_sigaction(number, info, context);
        } else {
            signal(number, SIG_DFL); /* happens again, and kills */
        }
        return;
    }
    __asm__ volatile("wrfsbase %0" : : "r"(control->fs_base));
    if (regs[REG_TRAPNO] == TRAP_DEBUG && pc != code_end) {
        got_trap_flag = true; /* POPF; behind the way back's first instruction */
        regs[REG_EFL] &= ~EFL_TF;
        return;
    }
    vector = regs[REG_TRAPNO];
    error = regs[REG_ERR];
    cr2 = regs[REG_CR2];
    fault_pc = pc;
    if (vector == TRAP_BREAKPOINT) {
        vector = ORACLE_NOWHERE; /* a branch led there */
        fault_pc--;
    } else if (vector == EXC_PF && error & FETCH) {
        vector = ORACLE_NOWHERE;
        error = 0;
    } else if (vector == EXC_PF && cr2 >> 63) {
        error &= ~(uint32_t)PRESENT; /* Linux says nothing of its own half */
    }
    take_registers_and_leave(uc);
}

/* Some instructions jump to themselves. */
__attribute__((no_stack_protector, no_sanitize("address", "undefined")))
static void on_tick(int number, siginfo_t *info, void *context)
{
    static unsigned last;

    if (running && last == run_count) {
        vector = ORACLE_ENDLESS;
        return_and_save(context);
    }
    last = run_count;
}

static bool set_ldt(unsigned selector, uint32_t base, uint32_t limit, unsigned contents, bool big)
{
    struct user_desc desc = {
        .entry_number = selector >> 3, .base_addr = base, .limit = limit, .contents = contents, .seg_32bit = big,
        .useable = 1,
    };

    return syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)) == 0;
}

static bool map(uintptr_t at, size_t size, int protection)
{
    return mmap((void *)at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_POPULATE, -1, 0) ==
           (void *)at;
}

/* Instructions cannot write it; host_place writes through another mapping. */
static bool map_code(void)
{
    int fd = memfd_create("code", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, ORACLE_CODE_SIZE) < 0) {
        return false;
    }
    code_alias = mmap(NULL, ORACLE_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return code_alias != MAP_FAILED &&
           mmap((void *)(uintptr_t)ORACLE_CODE, ORACLE_CODE_SIZE, PROT_READ | PROT_EXEC,
                MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, 0) == (void *)(uintptr_t)ORACLE_CODE;
}

static void start_clock(void)
{
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    struct itimerval every = {.it_interval = {.tv_usec = 500000}, .it_value = {.tv_usec = 500000}};

    sigaction(SIGVTALRM, &action, NULL);
    setitimer(ITIMER_VIRTUAL, &every, NULL);
}

const char *host_init(void)
{
    static const uint8_t jump32[] = {0xff, 0x24, 0x25, 0xa8, 0x00, 0x00, 0x20};
    static const int signals[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGTRAP};
    static uint8_t stack[65536];
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};

    if (!(getauxval(AT_HWCAP2) & 2) || !__builtin_cpu_supports("avx")) {
        return "the host has no AVX or no FSGSBASE";
    }
    if (!map(ORACLE_CONTROL, ORACLE_CONTROL_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC) ||
        !map_code() ||
        !map(ORACLE_DATA, ORACLE_DATA_SIZE, PROT_READ | PROT_WRITE)) {
        return "addresses are taken";
    }
    memset((void *)(uintptr_t)JUMP32, 0xcc, 0x1000);
    memcpy((void *)(uintptr_t)JUMP32, jump32, sizeof(jump32));
    mprotect(control, 0x1000, PROT_READ | PROT_WRITE); /* a branch may lead there */
    memset(code_alias, 0xcc, ORACLE_CODE_SIZE);
    __asm__("rdfsbase %0" : "=r"(control->fs_base));
    control->gs_base = ORACLE_GS_BASE_64;
    has_ldt = set_ldt(LDT_CODE, ORACLE_CODE, ORACLE_CODE_SIZE - 1, MODIFY_LDT_CONTENTS_CODE, false) &&
              set_ldt(LDT_DATA, ORACLE_DATA, ORACLE_LIMIT_16, MODIFY_LDT_CONTENTS_DATA, false) &&
              set_ldt(LDT_FS, ORACLE_FS_BASE, ORACLE_FS_LIMIT, MODIFY_LDT_CONTENTS_DATA, true) &&
              set_ldt(LDT_GS, ORACLE_GS_BASE, ORACLE_GS_LIMIT, MODIFY_LDT_CONTENTS_STACK, true) &&
              set_ldt(LDT_FS_16, ORACLE_FS_BASE, ORACLE_FS_LIMIT, MODIFY_LDT_CONTENTS_DATA, false) &&
              set_ldt(LDT_GS_16, ORACLE_GS_BASE, ORACLE_GS_LIMIT, MODIFY_LDT_CONTENTS_STACK, false);
    sigaltstack(&alternate, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        sigaction(signals[i], &action, &previous[signals[i]]);
    }
    start_clock();
    return NULL;
}

bool host_has_mode(OracleMode mode)
{
    return mode == ORACLE_64 || has_ldt;
}

uint16_t host_selector(OracleMode mode, int seg)
{
    switch (seg) {
    case S_CS:
        return mode == ORACLE_64 ? USER_CS64 : mode == ORACLE_32 ? USER_CS32 : LDT_CODE;
    case S_FS:
        return mode == ORACLE_64 ? 0 : mode == ORACLE_32 ? LDT_FS : LDT_FS_16;
    case S_GS:
        return mode == ORACLE_64 ? 0 : mode == ORACLE_32 ? LDT_GS : LDT_GS_16;
    case S_SS:
        return mode == ORACLE_16 ? LDT_DATA : USER_DS;
    default:
        return mode == ORACLE_16 ? LDT_DATA : mode == ORACLE_32 ? USER_DS : 0;
    }
}

uint64_t host_fs_base(void)
{
    return control->fs_base;
}

void host_place(OracleMode mode, const uint8_t *code, unsigned size)
{
    static const uint8_t jump[] = {0xff, 0x24, 0x25, 0x90, 0x00, 0x00, 0x20}; /* jmp *back */
    uint8_t *at = code_alias + ORACLE_START;
    uint32_t target = JUMP32;

    memset(at, 0xcc, 64);
    memcpy(at, code, size);
    at += size;
    code_end = ORACLE_START + size;
    if (mode == ORACLE_64) {
        memcpy(at, jump, sizeof(jump));
        return;
    }
    if (mode == ORACLE_16) {
        *at++ = 0x66; /* a 32-bit offset all the same */
    }
    *at++ = 0xea; /* far jump to an immediate pointer */
    memcpy(at, &target, 4);
    at[4] = USER_CS64;
    at[5] = 0;
}

void host_run(OracleMode mode, bool with_fp, OracleState *s)
{
    bool is16 = mode == ORACLE_16;

    memcpy(control->gpr, s->gpr, sizeof(s->gpr));
    control->flags = s->flags;
    control->with_fp = with_fp;
    if (with_fp) {
        control->fp = s->fp;
        control->fp.header[0] = XSTATE_X87 | XSTATE_SSE | XSTATE_AVX;
        memset(control->fp.header + 1, 0, sizeof(control->fp.header) - 8);
    }
    code_base = is16 ? 0 : ORACLE_CODE;
    control->entry = code_base + ORACLE_START;
    control->far_entry = control->entry;
    control->far_selector = host_selector(mode, S_CS);
    control->data_selector = host_selector(mode, S_SS);
    control->fs_selector = host_selector(mode, S_FS);
    control->gs_selector = host_selector(mode, S_GS);
    control->back = (uintptr_t)host_return_64;
    control->back32 = (uintptr_t)host_return_32;
    mode_now = mode;
    vector = ORACLE_NOWHERE;
    error = 0;
    fault_pc = code_end;
    got_trap_flag = false;
    run_count++;
    running = true;
    switch (mode) {
    case ORACLE_64:
        host_enter_64();
        break;
    case ORACLE_32:
        host_enter_32();
        break;
    default:
        host_enter_16();
        break;
    }
    running = false;
    memcpy(s->gpr, control->gpr, sizeof(s->gpr));
    for (unsigned i = 8; i < 16 && mode != ORACLE_64; i++) {
        s->gpr[i] = 0; /* ours */
    }
    s->flags = control->flags | (got_trap_flag ? EFL_TF : 0);
    s->pc = fault_pc;
    s->vector = vector;
    s->error = error;
    s->cr2 = vector == EXC_PF ? cr2 : 0;
    if (with_fp) {
        s->fp = control->fp;
    }
}
