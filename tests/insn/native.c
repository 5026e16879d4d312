/* Runs guest instructions on the host processor itself: loads all registers, jumps, saves them. */
#include "native.h"

#include <asm/ldt.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

_Static_assert(offsetof(NativeRegs, flags) == 0x80 && offsetof(NativeRegs, code) == 0x88 &&
               offsetof(NativeRegs, back) == 0x90 && offsetof(NativeRegs, host_sp) == 0x98, "used below");

_Static_assert(offsetof(NativeRegs, far_code) == 0xa0 && offsetof(NativeRegs, back32) == 0xa8 &&
               offsetof(NativeRegs, data_selector) == 0xb0, "used below");

void native_enter(void);
void native_enter32(void);
extern const char native_return[], native_return32[];
void native_enter16(void);
extern const char native_return16[];
/* Linux's selectors, and ours in the LDT. */
enum { USER_CS32 = 0x23, USER_DS = 0x2b, USER_CS64 = 0x33, LDT_CODE = 0x07, LDT_DATA = 0x0f };
static sigjmp_buf on_fault;
static int fault_signal;
static volatile bool running;

__asm__(".text\n"
        ".globl native_enter\n"
        ".globl native_return\n"
        "native_enter:\n"
        "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
        "  mov %rsp, 0x20000098\n"
        "  push 0x20000080\n"
        "  popf\n"
        "  mov 0x20000000, %rax\n  mov 0x20000008, %rcx\n  mov 0x20000010, %rdx\n  mov 0x20000018, %rbx\n"
        "  mov 0x20000020, %rsp\n  mov 0x20000028, %rbp\n  mov 0x20000030, %rsi\n  mov 0x20000038, %rdi\n"
        "  mov 0x20000040, %r8\n  mov 0x20000048, %r9\n  mov 0x20000050, %r10\n  mov 0x20000058, %r11\n"
        "  mov 0x20000060, %r12\n  mov 0x20000068, %r13\n  mov 0x20000070, %r14\n  mov 0x20000078, %r15\n"
        "  jmp *0x20000088\n"
        "native_return:\n"
        "  mov %rax, 0x20000000\n  mov %rcx, 0x20000008\n  mov %rdx, 0x20000010\n  mov %rbx, 0x20000018\n"
        "  mov %rsp, 0x20000020\n  mov %rbp, 0x20000028\n  mov %rsi, 0x20000030\n  mov %rdi, 0x20000038\n"
        "  mov %r8, 0x20000040\n  mov %r9, 0x20000048\n  mov %r10, 0x20000050\n  mov %r11, 0x20000058\n"
        "  mov %r12, 0x20000060\n  mov %r13, 0x20000068\n  mov %r14, 0x20000070\n  mov %r15, 0x20000078\n"
        "  mov 0x20000098, %rsp\n"
        "  pushf\n"
        "  pop 0x20000080\n"
        "  cld\n"
        "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n"
        "  ret\n");

/* Data segments are null in 64-bit code: 32-bit code wants some. Only low halves are in use. */
__asm__(".text\n"
        ".globl native_enter32\n"
        ".globl native_return32\n"
        "native_enter32:\n"
        "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
        "  mov %rsp, 0x20000098\n"
        "  mov $0x2b, %eax\n  mov %eax, %ds\n  mov %eax, %es\n"
        "  push 0x20000080\n"
        "  popf\n"
        "  mov 0x20000000, %eax\n  mov 0x20000008, %ecx\n  mov 0x20000010, %edx\n  mov 0x20000018, %ebx\n"
        "  mov 0x20000020, %esp\n  mov 0x20000028, %ebp\n  mov 0x20000030, %esi\n  mov 0x20000038, %edi\n"
        "  ljmp *0x200000a0\n"
        "native_return32:\n"
        "  mov %eax, 0x20000000\n  mov %ecx, 0x20000008\n  mov %edx, 0x20000010\n  mov %ebx, 0x20000018\n"
        "  mov %esp, 0x20000020\n  mov %ebp, 0x20000028\n  mov %esi, 0x20000030\n  mov %edi, 0x20000038\n"
        "  mov 0x20000098, %rsp\n"
        "  pushf\n"
        "  pop 0x20000080\n"
        "  cld\n"
        "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n"
        "  ret\n");

/* 16-bit code has a stack segment of its own: only IRET loads all at once. */
__asm__(".text\n"
        ".globl native_enter16\n"
        ".globl native_return16\n"
        "native_enter16:\n"
        "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
        "  mov %rsp, 0x20000098\n"
        "  mov 0x200000b0, %eax\n  mov %eax, %ds\n  mov %eax, %es\n"
        "  push %rax\n"
        "  push 0x20000020\n"
        "  push 0x20000080\n"
        "  movzwl 0x200000a4, %eax\n  push %rax\n"
        "  mov 0x200000a0, %eax\n  push %rax\n"
        "  mov 0x20000000, %eax\n  mov 0x20000008, %ecx\n  mov 0x20000010, %edx\n  mov 0x20000018, %ebx\n"
        "  mov 0x20000028, %ebp\n  mov 0x20000030, %esi\n  mov 0x20000038, %edi\n"
        "  iretq\n"
        "native_return16:\n"
        "  mov %eax, 0x20000000\n  mov %ecx, 0x20000008\n  mov %edx, 0x20000010\n  mov %ebx, 0x20000018\n"
        "  mov %esp, 0x20000020\n  mov %ebp, 0x20000028\n  mov %esi, 0x20000030\n  mov %edi, 0x20000038\n"
        "  mov $0x2b, %eax\n  mov %eax, %ss\n"
        "  mov 0x20000098, %rsp\n"
        "  pushf\n"
        "  pop 0x20000080\n"
        "  cld\n"
        "  mov %eax, %ds\n  mov %eax, %es\n"
        "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n"
        "  ret\n");

static bool has_ldt, has_32;

static bool set_ldt(unsigned entry, uint32_t base, unsigned contents)
{
    struct user_desc desc = {
        .entry_number = entry, .base_addr = base, .limit = 0xffff, .contents = contents, .useable = 1,
    };

    return syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)) == 0;
}

bool native_has(NativeMode mode, uint16_t *code, uint16_t *data)
{
    *code = mode == NATIVE_64 ? USER_CS64 : mode == NATIVE_32 ? USER_CS32 : LDT_CODE;
    *data = mode == NATIVE_16 ? LDT_DATA : USER_DS;
    return mode == NATIVE_64 || (has_32 && (mode == NATIVE_32 || has_ldt));
}

/* Where the fault found the guest's registers. */
static void save_registers(void *context)
{
    static const uint8_t order[16] = {
        REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
        REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
    };
    const ucontext_t *uc = context;

    for (unsigned i = 0; i < 16; i++) {
        NATIVE_REGS->gpr[i] = uc->uc_mcontext.gregs[order[i]];
    }
    NATIVE_REGS->flags = uc->uc_mcontext.gregs[REG_EFL];
    NATIVE_REGS->fault_pc = uc->uc_mcontext.gregs[REG_RIP];
}

static void handle(int number, siginfo_t *info, void *context)
{
    if (!running) {
        signal(number, SIG_DFL); /* our own: happens again, and kills */
        return;
    }
    save_registers(context);
    fault_signal = number;
    siglongjmp(on_fault, 1);
}

/* Sandboxes may keep a process to 64-bit code. */
static bool try_32(void)
{
    *NATIVE_REGS = (NativeRegs){.code = NATIVE_CODE, .flags = 0x202};
    native_finish((uint8_t *)NATIVE_CODE, NATIVE_32);
    return native_run(NATIVE_32) < 0;
}

bool native_init(void)
{
    static const uint8_t jump32[] = {0xff, 0x24, 0x25, 0xa8, 0x00, 0x00, 0x20};
    static uint8_t stack[65536];
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    void *base = mmap((void *)NATIVE_BASE, NATIVE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (base != (void *)NATIVE_BASE) {
        return false;
    }
    mprotect((void *)(NATIVE_DATA + NATIVE_DATA_SIZE), NATIVE_CODE - NATIVE_DATA - NATIVE_DATA_SIZE, PROT_NONE);
    memcpy((void *)NATIVE_BACK32, jump32, sizeof(jump32));
    has_ldt = set_ldt(LDT_CODE >> 3, NATIVE_CODE, MODIFY_LDT_CONTENTS_CODE) &&
              set_ldt(LDT_DATA >> 3, NATIVE_DATA, MODIFY_LDT_CONTENTS_DATA);
    sigaltstack(&alternate, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    has_32 = try_32();
    return true;
}

uint8_t *native_finish(uint8_t *code, NativeMode mode)
{
    uint32_t target = NATIVE_BACK32;
    static const uint8_t jump[] = {0xff, 0x24, 0x25, 0x90, 0x00, 0x00, 0x20};

    if (mode == NATIVE_16) {
        *code++ = 0x66; /* a 32-bit offset all the same */
    }
    if (mode != NATIVE_64) {
        code[0] = 0xea; /* far jump to an immediate pointer */
        memcpy(code + 1, &target, 4);
        code[5] = USER_CS64;
        code[6] = 0;
        return code + 7;
    }
    memcpy(code, jump, sizeof(jump));
    return code + sizeof(jump);
}

int native_run(NativeMode mode)
{
    uint16_t code, data;

    native_has(mode, &code, &data);
    NATIVE_REGS->back = (uintptr_t)native_return;
    NATIVE_REGS->back32 = mode == NATIVE_16 ? (uintptr_t)native_return16 : (uintptr_t)native_return32;
    NATIVE_REGS->far_code = NATIVE_REGS->code;
    NATIVE_REGS->far_selector = code;
    NATIVE_REGS->data_selector = data;
    if (sigsetjmp(on_fault, 1)) {
        running = false;
        for (unsigned i = 8; i < 16 && mode != NATIVE_64; i++) {
            NATIVE_REGS->gpr[i] = 0; /* ours */
        }
        if (mode == NATIVE_16) {
            NATIVE_REGS->gpr[4] &= 0xffff;
        }
        return fault_signal == SIGFPE ? 0 : fault_signal == SIGILL ? 6 : 13;
    }
    running = true;
    switch (mode) {
    case NATIVE_64:
        native_enter();
        break;
    case NATIVE_32:
        native_enter32();
        break;
    case NATIVE_16:
        native_enter16();
        NATIVE_REGS->gpr[4] &= 0xffff; /* IRET to a 16-bit stack leaves the rest of ESP as it was */
        break;
    }
    running = false;
    return -1;
}
