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

enum {
    PAGE = 4096,
    CODE = 0x20000000, CODE2 = 0x28000000, CODE_PAGES = 2, /* the same memory twice */
    DATA = 0x30000000, DATA_PAGES = 6,
    STACK = 0x31000000, STACK_PAGES = 2,
    GROUP = 32, /* loops that share their data */
    DATA_SIZE = DATA_PAGES * PAGE, STACK_SIZE = STACK_PAGES * PAGE,
};

enum { AX, CX, DX, BX, SP, BP, SI, DI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum { C = 1, P = 4, A = 0x10, Z = 0x40, S = 0x80, O = 0x800, ALL = C | P | A | Z | S | O, DF = 0x400 };

#ifdef __x86_64__
#define IS64 true
typedef uint64_t Word;
#else
#define IS64 false
typedef uint32_t Word;
#endif

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

/* ---- making loops ---- */

static uint64_t random_state;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1d;
}

static unsigned below(unsigned n)
{
    return (random_next() >> 32) * n >> 32;
}

static uint8_t *code; /* where the loop is written */
static unsigned size;
static unsigned undefined;      /* flags, at this point */
static unsigned undefined_out;  /* where the loop is left early */
static unsigned to_end[16], n_to_end;
static unsigned to_function[8], n_to_function;
static int fixed_pointer;       /* steps at the loop's end only */
static int end_register;        /* what it is compared with */
static bool has_avx, avx_now, keeps_carry, changes_itself, uses_x87, in_inner;
static unsigned fields[16], n_fields; /* immediates that the loop may change */

static void byte(unsigned value)
{
    code[size++] = value;
}

static void word(uint32_t value)
{
    memcpy(code + size, &value, 4);
    size += 4;
}

typedef struct Mem {
    int base, index; /* -1: none */
    unsigned scale;
    int32_t disp;
} Mem;

static int one_of(const char *registers)
{
    int reg = registers[below(strlen(registers))] - 'a';

    return IS64 || reg < 8 ? reg : AX;
}

#define POINTERS (IS64 ? "dghmn" : "dgh")
#define INDICES (IS64 ? "bfo" : "bf")

/* Data goes here. ECX counts, 64-bit code's R11 or EBP may be an end, R15 or EBP an inner count. */
static int value_register(void)
{
    static const char *all;
    int reg;

    all = IS64 ? "acijklp" : "ac";
    do {
        reg = one_of(all);
    } while (reg == end_register || (in_inner && reg == R15));
    return reg;
}

static int pointer(void)
{
    return one_of(POINTERS);
}

static Mem random_memory(void)
{
    Mem m = { .base = pointer(), .index = -1 };

    if (below(3) == 0) {
        m.index = one_of(INDICES);
        m.scale = below(4);
    }
    switch (below(5)) {
    case 0:
        break;
    case 1:
        m.disp = below(8) * 16;
        break;
    case 2:
        m.disp = (int)below(600) - 300;
        break;
    case 3:
        m.disp = ((int)below(32) - 16) * 8;
        break;
    default:
        m.disp = ((int)below(16) - 8) * 4;
    }
    if (below(40) == 0) {
        m = (Mem){ .base = -1, .index = one_of(INDICES), .scale = below(4), .disp = DATA + 2 * PAGE + (int)below(PAGE) };
    }
    return m;
}

/* ModRM, SIB and displacement. */
static void operand(unsigned reg, const Mem *m)
{
    unsigned index = m->index < 0 ? 4 : m->index & 7, mod = 2;

    if (m->base < 0) {
        mod = 0;
    } else if (m->disp == 0 && (m->base & 7) != 5 && below(4)) {
        mod = 0;
    } else if (m->disp == (int8_t)m->disp && below(4)) {
        mod = 1;
    }
    if (m->index < 0 && m->base >= 0 && (m->base & 7) != 4) {
        byte(mod << 6 | (reg & 7) << 3 | (m->base & 7));
    } else {
        byte(mod << 6 | (reg & 7) << 3 | 4);
        byte(m->scale << 6 | index << 3 | (m->base < 0 ? 5 : m->base & 7));
    }
    if (mod == 1) {
        byte(m->disp);
    } else if (mod == 2 || m->base < 0) {
        word(m->disp);
    }
}

enum { W = 0x100, REX = 0x200 /* always */, M0F = 0x1000, M38 = 0x2000, M3A = 0x3000, MAPS = 0x3000 };

/* An opcode with its map, the prefix before it, and a ModRM operand: a register if m is NULL. */
static void insn(unsigned prefix, unsigned opcode, int reg, const Mem *m, int rm)
{
    unsigned rex = IS64 ? (opcode & W ? 8 : 0) | reg >> 3 << 2 : 0;

    if (IS64) {
        rex |= m ? (m->index > 0 ? m->index >> 3 << 1 : 0) | (m->base > 0 ? m->base >> 3 : 0) : rm >> 3;
    }
    if (prefix) {
        byte(prefix);
    }
    if (rex || (opcode & REX && IS64)) {
        byte(0x40 | rex);
    }
    if (opcode & MAPS) {
        byte(0x0f);
        if ((opcode & MAPS) != M0F) {
            byte((opcode & MAPS) == M38 ? 0x38 : 0x3a);
        }
    }
    byte(opcode);
    if (m) {
        operand(reg, m);
    } else {
        byte(0xc0 | (reg & 7) << 3 | (rm & 7));
    }
}

static void vex(unsigned pp, unsigned map, bool w, bool l, unsigned opcode, int reg, int source, const Mem *m, int rm)
{
    bool x = m && m->index > 7, b = m ? m->base > 7 : rm > 7;

    byte(0xc4);
    byte((reg > 7 ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | map);
    byte((unsigned)w << 7 | (~source & 15) << 3 | (unsigned)l << 2 | pp);
    byte(opcode);
    if (m) {
        operand(reg, m);
    } else {
        byte(0xc0 | (reg & 7) << 3 | (rm & 7));
    }
}

/* 0: none of them is defined now. */
static int condition(void)
{
    static const unsigned reads[8] = { O, C, Z, C | Z, S, P, S | O, S | O | Z };

    for (unsigned i = 0; i < 8; i++) {
        unsigned cc = below(16);

        if (!(reads[cc >> 1] & undefined)) {
            return cc;
        }
    }
    return -1;
}

typedef struct Width {
    unsigned prefix, opcode; /* to be added */
    unsigned immediate;
    bool is_byte;
} Width;

static Width width(bool bytes)
{
    switch (below(bytes ? 6 : 5)) {
    case 0:
        return (Width){ 0x66, 1, 2, false };
    case 1:
    case 2:
        return (Width){ 0, IS64 ? 1 | W : 1, 4, false };
    case 5:
        return (Width){ 0, REX, 1, true };
    default:
        return (Width){ 0, 1, 4, false };
    }
}

static void immediate(unsigned bytes)
{
    uint32_t value = below(3) ? below(256) - 128 : (uint32_t)random_next();

    if (bytes == 4 && n_fields < 16 && !in_inner) {
        fields[n_fields++] = size;
    }
    memcpy(code + size, &value, bytes);
    size += bytes;
}

static void defines(unsigned flags, unsigned leaves_undefined)
{
    undefined = (undefined & ~flags) | leaves_undefined;
}

static void arithmetic(void)
{
    static const uint8_t ops[] = { 0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 7 };
    unsigned op = ops[below(sizeof(ops))];
    Width w = width(true);
    Mem m = random_memory();
    int reg = value_register();

    if ((op == 2 || op == 3) && undefined & C) {
        op = 0;
    }
    switch (below(6)) {
    case 0:
        insn(w.prefix, (8 * op + 2) | w.opcode, reg, NULL, value_register());
        break;
    case 1:
        insn(w.prefix, (8 * op) | w.opcode, reg, &m, 0);
        break;
    case 2:
        insn(w.prefix, 0x80 | w.opcode, op, &m, 0);
        immediate(w.immediate);
        break;
    case 3:
        insn(w.prefix, 0x80 | w.opcode, op, NULL, value_register());
        immediate(w.immediate);
        break;
    default:
        insn(w.prefix, (8 * op + 2) | w.opcode, reg, &m, 0);
    }
    defines(ALL, op == 1 || op == 4 || op == 6 ? A : 0);
}

static void moves(void)
{
    static const uint16_t extending[] = { M0F | 0xb6, M0F | 0xb7, M0F | 0xbe, M0F | 0xbf };
    Width w = width(true);
    Mem m = random_memory();
    int reg = value_register();

    switch (below(9)) {
    case 0:
    case 1:
        insn(w.prefix, 0x88 | w.opcode, value_register(), &m, 0);
        break;
    case 2:
        insn(w.prefix, 0xc6 | w.opcode, 0, &m, 0);
        immediate(w.immediate);
        break;
    case 3:
        insn(0, extending[below(4)] | (IS64 && below(2) ? W : 0), reg, &m, 0);
        break;
    case 4:
        insn(0, 0x8d | (IS64 && below(2) ? W : 0), reg, &m, 0); /* lea */
        break;
    case 5:
        w = width(false);
        insn(w.prefix, 0x8b | w.opcode, reg, NULL, below(3) ? value_register() : pointer());
        break;
    case 6: /* bytes 8 to 15 of AX or DX */
        m.base = m.base > 7 ? BX : m.base;
        m.index = -1;
        insn(0, 0x8a - 2 * below(2), 4 + 2 * (int)below(2), &m, 0);
        break;
    default:
        insn(w.prefix, 0x8a | w.opcode, reg, &m, 0);
    }
}

static void one_operand(void)
{
    Width w = width(true);
    Mem m = random_memory();
    const Mem *to = below(2) ? &m : NULL;
    int reg = value_register();
    unsigned op = below(8), count;

    switch (op) {
    case 0:
    case 1:
        insn(w.prefix, 0xfe | w.opcode, op, to, reg); /* inc, dec */
        defines(ALL & ~C, 0);
        break;
    case 2:
    case 3:
        insn(w.prefix, 0xf6 | w.opcode, op, to, reg); /* not, neg */
        defines(op == 3 ? ALL : 0, 0);
        break;
    case 4:
        insn(w.prefix, 0xd0 | w.opcode, 4 + below(2), to, reg); /* shl, shr by one */
        defines(ALL, A);
        break;
    case 5:
        count = 1 + below(w.is_byte ? 7 : 15);
        insn(w.prefix, 0xc0 | w.opcode, below(2) ? 7 : 5, to, reg); /* sar, shr */
        byte(count);
        defines(ALL, count == 1 ? A : A | O);
        break;
    case 6:
        count = 1 + below(w.is_byte ? 7 : 15);
        insn(w.prefix, 0xc0 | w.opcode, below(2), to, reg); /* rol, ror */
        byte(count);
        defines(C | O, count == 1 ? 0 : O);
        break;
    default:
        insn(w.prefix, 0x84 | w.opcode, value_register(), to, reg); /* test */
        defines(ALL, A);
    }
}

static void multiply_and_bits(void)
{
    Width w = width(false);
    Mem m = random_memory();
    const Mem *from = below(2) ? &m : NULL;
    int reg = value_register(), cc = condition();

    switch (below(6)) {
    case 0:
        insn(w.prefix, M0F | 0xae | w.opcode, reg, from, value_register()); /* imul */
        defines(C | O, S | Z | A | P);
        break;
    case 1:
        insn(w.prefix, M0F | 0xba | (w.opcode & W), 4 + below(4), from, reg); /* bt, bts, btr, btc */
        byte(below(16));
        defines(C, O | S | A | P);
        break;
    case 2:
        if (cc >= 0) {
            insn(0, M0F | REX | 0x90 | cc, 0, from, reg); /* set */
        }
        break;
    case 3:
        if (cc >= 0) {
            insn(w.prefix, M0F | 0x40 | cc | (w.opcode & W), reg, from, value_register()); /* cmov */
        }
        break;
    case 4:
        insn(w.prefix, M0F | 0xc0 | w.opcode, reg, &m, 0); /* xadd */
        defines(ALL, 0);
        break;
    default:
        if (below(2)) {
            byte(0xf0);
        }
        insn(w.prefix, M0F | 0xb0 | w.opcode, reg, &m, 0); /* cmpxchg */
        defines(ALL, 0);
    }
}

/* Quotients that do not fit are exceptions. */
static void divide(void)
{
    Mem m = random_memory();

    if (keeps_carry) {
        return;
    }
    insn(0, 0x31, DX, NULL, DX);
    insn(0, 0xf7, 6, below(2) ? &m : NULL, IS64 ? R8 : BX);
    defines(0, ALL);
}

static void stack(void)
{
    Mem m = random_memory();
    int reg = value_register();
    bool is_long = reg > 7;

    switch (below(4)) {
    case 0:
        insn(0, 0xff, 6, &m, 0); /* push */
        byte(0x58 + DX);         /* pop */
        break;
    case 1:
        byte(0x50 + AX);
        insn(0, 0x8f, 0, &m, 0);
        break;
    case 2:
        if (is_long) {
            byte(0x41);
        }
        byte(0x50 + (reg & 7));
        insn(0, 0x8b | (IS64 ? W : 0), value_register(), &(Mem){ SP, -1, 0, 0 }, 0);
        if (below(4)) {
            insn(0, 0x8d | (IS64 ? W : 0), SP, &(Mem){ SP, -1, 0, sizeof(Word) }, 0);
        }
        break;
    default:
        if (is_long) {
            byte(0x41);
        }
        byte(0x58 + (reg & 7));
    }
}

static void string(void)
{
    static const uint8_t ops[] = { 0xaa, 0xa4, 0xac, 0xae, 0xa6 };
    unsigned op = ops[below(5)];
    Width w = width(true);

    if (fixed_pointer == SI || fixed_pointer == DI) {
        return;
    }
    if (w.prefix) {
        byte(w.prefix);
    }
    if (w.opcode & W) {
        byte(0x48);
    }
    byte(op | (w.opcode & 1));
    if (op == 0xae || op == 0xa6) {
        defines(ALL, 0);
    }
}

static void vector(void)
{
    static const struct { uint8_t prefix, opcode, flags; } ops[] = {
        { 0, 0x10, 2 }, { 0, 0x11, 2 }, { 0xf2, 0x10, 2 }, { 0xf2, 0x11, 2 }, { 0xf3, 0x10, 2 }, { 0xf3, 0x11, 2 }, { 0x66, 0x10, 2 },
        { 0x66, 0x11, 2 }, { 0x66, 0x6f, 0 }, { 0x66, 0x7f, 0 }, { 0xf3, 0x6f, 0 }, { 0xf3, 0x7f, 0 }, { 0, 0x28, 0 }, { 0, 0x29, 0 },
        { 0xf2, 0x58, 0 }, { 0xf2, 0x59, 0 }, { 0xf2, 0x5c, 0 }, { 0xf3, 0x58, 0 }, { 0xf3, 0x59, 0 }, { 0, 0x58, 0 }, { 0x66, 0x59, 0 },
        { 0x66, 0xfe, 0 }, { 0x66, 0xef, 0 }, { 0x66, 0xd4, 0 }, { 0x66, 0xd6, 2 }, { 0xf3, 0x7e, 2 }, { 0x66, 0x60, 0 }, { 0x66, 0xdb, 0 },
        { 0x66, 0x74, 0 }, { 0x66, 0x2e, 1 }, { 0, 0x2f, 1 }, { 0, 0x14, 0 }, { 0xf2, 0x5d, 0 }, { 0xf3, 0x5a, 0 }, { 0xf2, 0x5a, 0 },
        { 0, 0x5b, 0 }, { 0xf2, 0x51, 0 }, { 0, 0xc2, 4 },
    };
    unsigned k = below(sizeof(ops) / sizeof(ops[0]));
    Mem m = random_memory();
    bool from_memory = ops[k].flags & 2 || below(3);

    insn(ops[k].prefix, M0F | ops[k].opcode, below(IS64 ? 16 : 8), from_memory ? &m : NULL, below(IS64 ? 16 : 8));
    if (ops[k].flags & 1) {
        defines(ALL, 0);
    }
    if (ops[k].flags & 4) {
        byte(below(8));
    }
}

static void vector_and_general(void)
{
    Mem m = random_memory();
    int reg = value_register(), xmm = below(8);

    switch (below(5)) {
    case 0:
        insn(0xf2, M0F | 0x2a | (IS64 && below(2) ? W : 0), xmm, below(2) ? &m : NULL, reg); /* cvtsi2sd */
        break;
    case 1:
        insn(0xf2, M0F | 0x2c | (IS64 && below(2) ? W : 0), reg, below(2) ? &m : NULL, xmm); /* cvttsd2si */
        break;
    case 2:
        insn(0x66, M0F | 0x6e | (IS64 && below(2) ? W : 0), xmm, below(2) ? &m : NULL, reg); /* movd */
        break;
    case 3:
        insn(0x66, M0F | 0x7e | (IS64 && below(2) ? W : 0), xmm, below(2) ? &m : NULL, reg);
        break;
    default:
        insn(0x66, M0F | 0xd7, reg, NULL, xmm); /* pmovmskb */
    }
}

static void avx(void)
{
    static const struct { uint8_t pp, map, opcode, flags; } ops[] = {
        { 0, 1, 0x10, 3 }, { 0, 1, 0x11, 3 }, { 1, 1, 0x6f, 1 }, { 1, 1, 0x7f, 1 }, { 2, 1, 0x6f, 1 }, { 2, 1, 0x7f, 1 },
        { 0, 1, 0x58, 0 }, { 1, 1, 0x59, 0 }, { 1, 1, 0xfe, 0 }, { 1, 1, 0xef, 0 }, { 1, 1, 0xdb, 0 }, { 3, 1, 0x58, 4 },
        { 2, 1, 0x59, 4 }, { 1, 2, 0xb8, 8 }, { 1, 2, 0x98, 8 }, { 1, 2, 0x00, 0 }, { 1, 2, 0x18, 3 }, { 1, 2, 0x58, 1 },
    };
    unsigned k = below(sizeof(ops) / sizeof(ops[0]));
    Mem m = random_memory();
    bool l = !(ops[k].flags & 4) && below(2), from_memory = ops[k].flags & 2 || below(3);

    if (below(24) == 0) {
        byte(0xc5);
        byte(0xf8);
        byte(0x77); /* vzeroupper */
        return;
    }
    vex(ops[k].pp, ops[k].map, ops[k].flags & 8 && below(2), l, ops[k].opcode, below(IS64 ? 16 : 8),
        ops[k].flags & 1 ? 0 : below(IS64 ? 16 : 8), from_memory ? &m : NULL, below(IS64 ? 16 : 8));
}

static void x87(void)
{
    Mem m = random_memory();

    uses_x87 = true;
    insn(0, below(2) ? 0xdd : below(2) ? 0xd9 : 0xdb, 0, &m, 0); /* fld, fild */
    for (unsigned n = below(3); n > 0; n--) {
        m = random_memory();
        if (below(3)) {
            insn(0, below(2) ? 0xdc : 0xd8, below(2) ? 0 : below(8) & 5, &m, 0); /* fadd, fmul ... */
        } else {
            byte(0xd8);
            byte(0xc0 | below(2) << 3 | below(3)); /* with ST(i) */
        }
    }
    if (below(6) == 0) {
        byte(0xdf);
        byte(0xf1); /* fcomip */
        defines(ALL, 0);
        return;
    }
    m = random_memory();
    insn(0, below(2) ? 0xdd : below(2) ? 0xd9 : 0xdb, 3, &m, 0); /* fstp, fistp */
}

static void step(void)
{
    static const int8_t steps[] = { 1, 2, 4, 8, 16, 32, 64, 12, 24, -8, -16, -4, 127, -1, 40 };
    int reg = below(4) ? pointer() : IS64 ? (int[]){ BP, R14 }[below(2)] : BP;
    int8_t by = steps[below(sizeof(steps))];
    unsigned w = IS64 ? W : 0;

    if (reg == fixed_pointer || reg == end_register || (!IS64 && in_inner && reg == BP)) {
        return;
    }
    switch (below(6)) {
    case 0:
        insn(0, 0x8d | w, reg, &(Mem){ reg, -1, 0, by }, 0);
        break;
    case 1:
        insn(0, 0x83 | w, 5, NULL, reg); /* sub */
        byte(by);
        defines(ALL, 0);
        break;
    case 2:
        insn(0, 0xff | w, below(2), NULL, reg);
        defines(ALL & ~C, 0);
        break;
    case 3:
        if (IS64 && below(4) == 0) {
            w = 0; /* clears the upper half */
        }
        /* fall through */
    default:
        insn(0, 0x83 | w, 0, NULL, reg);
        byte(by);
        defines(ALL, 0);
    }
}

/* A pointer is loaded, and made one that leads somewhere. */
static void chase(void)
{
    Mem m = random_memory();
    int reg = pointer();

    if (reg == fixed_pointer) {
        return;
    }
    insn(0, 0x8b, reg, &m, 0);
    insn(0, 0x81, 4, NULL, reg);
    word(0x3ff8 + below(2) * 7);
    insn(0, 0x81, 0, NULL, reg);
    word(DATA + PAGE);
    defines(ALL, 0);
}

/* Stores to an immediate of the loop, or close to it. */
static void change_code(void)
{
    int reg = below(2) ? CX : value_register();
    Mem m = { .base = -1, .index = -1 };

    if (n_fields && below(4)) {
        m.disp = code_base + fields[below(n_fields)];
    } else {
        m.disp = code_base + PAGE - 256 + below(32) * 4;
    }
    insn(0, below(4) ? 0x89 : 0x88 | REX, reg, &m, 0);
}

static void simple(void)
{
    switch (below(changes_itself ? 26 : 25)) {
    case 0: case 1: case 2: case 3: case 4:
        arithmetic();
        break;
    case 5: case 6: case 7: case 8: case 9:
        moves();
        break;
    case 10: case 11:
        one_operand();
        break;
    case 12:
        multiply_and_bits();
        break;
    case 13: case 14: case 15:
        step();
        break;
    case 16:
        below(3) ? stack() : below(2) ? string() : divide();
        break;
    case 17: case 18: case 19: case 20:
        avx_now && below(3) ? avx() : vector();
        break;
    case 21:
        vector_and_general();
        break;
    case 22: case 23:
        x87();
        break;
    case 24:
        chase();
        break;
    default:
        change_code();
    }
}

static void skip_some(void)
{
    int cc = condition();
    unsigned before = undefined, at;

    if (cc < 0) {
        return;
    }
    byte(0x0f);
    byte(0x80 | cc);
    at = size;
    word(0);
    for (unsigned n = 1 + below(2); n > 0; n--) {
        simple();
    }
    undefined |= before;
    memcpy(code + at, &(uint32_t){ size - at - 4 }, 4);
}

static void leave_early(void)
{
    int cc = condition();

    if (cc >= 0 && n_to_end < 16) {
        byte(0x0f);
        byte(0x80 | cc);
        to_end[n_to_end++] = size;
        word(0);
        undefined_out |= undefined;
    }
}

static void call(void)
{
    if (n_to_function < 8) {
        byte(0xe8);
        to_function[n_to_function++] = size;
        word(0);
        undefined = ALL; /* of the function nothing is known here */
    }
}

static void inner_loop(void)
{
    int reg = IS64 ? R15 : BP;
    unsigned top;

    if (in_inner || reg == end_register) {
        return;
    }
    insn(0, 0xc7, 0, NULL, reg); /* mov */
    word(1 + below(12));
    in_inner = true;
    undefined = ALL;
    top = size;
    for (unsigned n = 1 + below(3); n > 0; n--) {
        simple();
    }
    insn(0, 0xff, 1, NULL, reg); /* dec */
    in_inner = false;
    defines(ALL & ~C, keeps_carry ? 0 : C);
    byte(0x0f);
    byte(0x85);
    word(top - size - 4);
}

static void body(void)
{
    for (unsigned n = 1 + below(below(4) ? 4 : 10); n > 0; n--) {
        switch (below(32)) {
        case 0: case 1:
            skip_some();
            break;
        case 2:
            leave_early();
            break;
        case 3:
            if (below(3) == 0) {
                call();
            } else {
                inner_loop();
            }
            break;
        default:
            simple();
        }
    }
}

static void branch_back(unsigned cc)
{
    if (size < 120 && below(2)) {
        byte(0x70 | cc);
        byte(-(int)size - 1);
    } else {
        byte(0x0f);
        byte(0x80 | cc);
        word(-(int)size - 4);
    }
}

/* Instructions that leave flags alone. */
static void quiet(void)
{
    for (unsigned n = below(3); n > 0; n--) {
        if (below(2)) {
            moves();
        } else {
            Mem m = random_memory();

            insn(0xf2, M0F | (below(2) ? 0x10 : 0x59), below(8), &m, 0);
        }
    }
}

static void patch(const unsigned *from, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        memcpy(code + from[i], &(uint32_t){ size - from[i] - 4 }, 4);
    }
}

enum { W64 = IS64 ? W : 0 };

/* The whole; what ECX begins with. */
static Word make_loop(Word *end)
{
    unsigned count = 1 + (below(8) ? below(40) : below(700)), kind = below(6), by = 1 << below(5);
    Word start = count;

    size = n_to_end = n_to_function = n_fields = 0;
    undefined_out = 0;
    in_inner = uses_x87 = false;
    changes_itself = below(24) == 0;
    if (changes_itself) {
        start = count = 1 + count % 12;
    }
    avx_now = has_avx && below(2);
    fixed_pointer = end_register = -1;
    keeps_carry = kind <= 1;
    undefined = kind == 0 || kind == 2 || kind == 4 ? ALL : 0;
    if (kind == 1 || kind == 5) {
        undefined = 0;
    }
    if (kind == 5) {
        fixed_pointer = pointer();
        end_register = IS64 ? R11 : BP;
    }
    body();
    switch (kind) {
    case 0: /* the flags of DEC live on */
    case 1:
        insn(0, 0xff | W64, 1, NULL, CX);
        defines(ALL & ~C, C);
        quiet();
        branch_back(below(4) ? 5 : 15);
        break;
    case 2:
        byte(0xe2); /* loop: near only */
        if (size < 126) {
            byte(-(int)size - 1);
        } else {
            byte(0);
            insn(0, 0x83 | W64, 7, NULL, CX);
            byte(0);
            defines(ALL, 0);
            branch_back(15);
        }
        break;
    case 3: /* up to zero */
        start = -(Word)count * by;
        insn(0, 0x83 | W64, 0, NULL, CX);
        byte(by);
        defines(ALL, 0);
        quiet();
        branch_back(below(2) ? 5 : 8);
        break;
    case 4:
        start = 0;
        insn(0, 0x83 | (below(2) ? W64 : 0), 0, NULL, CX);
        byte(by);
        defines(ALL, 0);
        insn(0, 0x81, 7, NULL, CX);
        word(count * by);
        branch_back(below(2) ? 12 : 2);
        break;
    default:
        *end = by; /* for each iteration */
        insn(0, 0x83 | W64, 0, NULL, fixed_pointer);
        byte(by);
        defines(ALL, 0);
        insn(0, 0x3b | W64, fixed_pointer, NULL, end_register);
        branch_back(below(2) ? 2 : 5);
    }
    *end *= count;
    patch(to_end, n_to_end);
    undefined |= undefined_out;
    byte(0xff); /* jmp *loop_back_pointer */
    byte(IS64 ? 0x24 : 0x25);
    if (IS64) {
        byte(0x25);
    }
    word((uint32_t)(uintptr_t)&loop_back_pointer);
    if (n_to_function) {
        unsigned flags = undefined, fields_before = n_fields;

        patch(to_function, n_to_function);
        undefined = ALL;
        moves();
        arithmetic();
        byte(0xc3);
        undefined = flags;
        n_fields = fields_before;
    }
    return start;
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

static void make_state(Word start, Word end)
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
    loop_regs[CX] = start;
    if (fixed_pointer >= 0) {
        loop_regs[end_register] = loop_regs[fixed_pointer] + end;
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
    loop_flags &= (caught.number ? 0 : ALL & ~undefined) | DF;
}

static uint64_t digest(void)
{
    uint64_t sum = hash(0, &caught, sizeof(caught));

    sum = hash(sum, loop_regs, sizeof(loop_regs));
    sum = hash(sum, &loop_flags, sizeof(loop_flags));
    sum = hash(sum, &loop_fp, sizeof(loop_fp));
    sum = hash(sum, data_page(0), DATA_SIZE);
    sum = hash(sum, (void *)(uintptr_t)STACK, STACK_SIZE);
    return hash(sum, (void *)code_base, size);
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
           (unsigned long long)caught.address, (unsigned long long)caught.pc, (unsigned long long)loop_flags, ALL & ~undefined);
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
    Word start, end = 0;
    uint64_t result;
    Pages pages;

    if (template_of != seed / GROUP) {
        make_template(seed / GROUP);
    }
    random_state = (seed + 1) * 0xd1342543de82ef95;
    code_base = below(2) ? CODE : CODE2;
    code = (uint8_t *)code_base;
    memset(code + PAGE - 256, 0, 256);
    start = make_loop(&end);
    make_state(start, end);
    prepare_pages(&pages);
    if (show) {
        dump_bytes("code", code, size);
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
    result = digest();
    return result;
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
