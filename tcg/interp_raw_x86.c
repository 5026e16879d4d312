/*
 * Raw host instructions under the interpreter, on x86-64 hosts: a stub is generated that loads the
 * guest's FP state, executes the one instruction and stores the FP state again.
 *
 * In the stub: rdi = Image before, rcx = image after, rsi = Frame, rdx = memory operand, rax = GPR
 * operand. The upper halves of vector registers are moved for VEX instructions only. Stubs are found by their bytes, so that each is generated once per thread.
 */
#ifdef __x86_64__

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "interp_private.h"
#include "tcg/raw.h"

#define STUB_SIZE  512
#define STUB_COUNT 1024
#define FX_SIZE    512

typedef struct Frame {
    uint64_t gpr;
    uint64_t flags;
    uint64_t status; /* fnstsw writes here */
} Frame;

typedef struct Image {
    uint8_t fx[FX_SIZE];
    uint8_t ymm_high[16][16];
} Image;

typedef struct Code {
    uint8_t bytes[STUB_SIZE];
    unsigned n;
} Code;

static __thread uint8_t *stubs_write;
static __thread const uint8_t *stubs_run;

/* Set while the stub runs; where a trapping one goes, and what it leaves behind. */
static __thread sigjmp_buf *trap_jump;
static __thread uint8_t *trap_image;
static __thread int trap_signal, trap_code;

static void emit(Code *c, const void *bytes, unsigned n)
{
    memcpy(c->bytes + c->n, bytes, n);
    c->n += n;
}

static void emit_byte(Code *c, uint8_t byte)
{
    c->bytes[c->n++] = byte;
}

/* vinsertf128 or vextractf128 of all 16, with the Image at rdi (7) or rcx (1). */
static void emit_upper_halves(Code *c, uint8_t opcode, uint8_t base)
{
    enum { VINSERTF128 = 0x18 };

    for (unsigned n = 0; n < 16; n++) {
        uint32_t offset = offsetof(Image, ymm_high) + 16 * n;

        emit_byte(c, 0xc4);
        emit_byte(c, (n < 8) << 7 | 3 << 5 | 3);
        emit_byte(c, (opcode == VINSERTF128 ? ~n & 15 : 15) << 3 | 5);
        emit_byte(c, opcode);
        emit_byte(c, 0x80 | (n & 7) << 3 | base);
        emit(c, &offset, 4);
        emit_byte(c, 1);
    }
}

static uint8_t register_field(uint8_t role, uint8_t number)
{
    bool is_gpr = role == RAW_GPR_IN || role == RAW_GPR_OUT || role == RAW_GPR_INOUT;

    return is_gpr || role == RAW_NONE ? 0 : number; /* the GPR operand is rax */
}

/* SDM vol. 2, 2.1 to 2.3. */
static void emit_insn(Code *c, const IrRaw *raw)
{
    uint8_t reg = register_field(raw->reg_role, raw->reg);
    uint8_t rm = raw->rm_role == RAW_MEM ? 2 : register_field(raw->rm_role, raw->rm);
    bool has_modrm = raw->reg_role != RAW_NONE || raw->rm_role != RAW_NONE;

    if (raw->vex) {
        uint8_t pp = raw->prefix == 0x66 ? 1 : raw->prefix == 0xf3 ? 2 : raw->prefix == 0xf2 ? 3 : 0;

        emit_byte(c, 0xc4);
        emit_byte(c, (reg < 8) << 7 | 1 << 6 | (rm < 8) << 5 | raw->map);
        emit_byte(c, raw->w << 7 | (~raw->vvvv & 15) << 3 | (raw->vex == 2) << 2 | pp);
    } else {
        uint8_t rex = raw->w << 3 | (reg >> 3 & 1) << 2 | (rm >> 3 & 1);

        if (raw->prefix) {
            emit_byte(c, raw->prefix);
        }
        if (rex) {
            emit_byte(c, 0x40 | rex);
        }
        if (raw->map) {
            emit_byte(c, 0x0f);
        }
        if (raw->map >= 2) {
            emit_byte(c, raw->map == 2 ? 0x38 : 0x3a);
        }
    }
    emit_byte(c, raw->opcode);
    if (has_modrm) {
        emit_byte(c, (raw->rm_role == RAW_MEM ? 0 : 0xc0) | (reg & 7) << 3 | (rm & 7));
    }
    if (raw->has_imm) {
        emit_byte(c, raw->imm);
    }
}

static void emit_stub(Code *c, const IrRaw *raw)
{
    static const uint8_t enter[] = {
        0x48, 0x0f, 0xae, 0x0f, /* fxrstor64 [rdi] */
        0x48, 0x8b, 0x06,       /* mov rax, [rsi] */
        0xff, 0x76, 0x08, 0x9d, /* push [rsi + 8]; popfq */
    };
    static const uint8_t leave[] = {
        0x48, 0x89, 0x06,       /* mov [rsi], rax */
        0x9c, 0x8f, 0x46, 0x08, /* pushfq; pop [rsi + 8] */
        0x48, 0x0f, 0xae, 0x01, /* fxsave64 [rcx] */
    };
    static const uint8_t vzeroupper[] = {0xc5, 0xf8, 0x77}, ret = 0xc3;
    static const uint8_t save_rcx[] = {0x48, 0x89, 0xc8}, swap_rcx[] = {0x48, 0x91}; /* mov rax, rcx; xchg rax, rcx */
    static const uint8_t store_status[] = {0xdd, 0x7e, 0x10}; /* fnstsw [rsi + 16] */

    if (raw->vex) {
        emit_upper_halves(c, 0x18, 7); /* into what FXRSTOR loads below */
    }
    emit(c, enter, sizeof(enter));
    if (raw->rm_role == RAW_AX_OUT) {
        emit(c, store_status, sizeof(store_status));
    } else if (ir_raw_writes_cx(raw)) {
        emit(c, save_rcx, sizeof(save_rcx));
        emit_insn(c, raw);
        emit(c, swap_rcx, sizeof(swap_rcx));
    } else {
        emit_insn(c, raw);
    }
    emit(c, leave, sizeof(leave));
    if (raw->vex) {
        emit_upper_halves(c, 0x19, 1);
        emit(c, vzeroupper, sizeof(vzeroupper));
    }
    emit_byte(c, ret);
}

static void map_stubs(void)
{
    size_t size = STUB_SIZE * STUB_COUNT;
    int fd = memfd_create("myna-interp", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, size) < 0) {
        g_error("cannot create memory for interpreted host instructions");
    }
    stubs_write = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    stubs_run = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    close(fd);
    if (stubs_write == MAP_FAILED || stubs_run == MAP_FAILED) {
        g_error("cannot map memory for interpreted host instructions");
    }
}

static const uint8_t *find_stub(const IrRaw *raw)
{
    Code code = {.n = 0};
    uint32_t hash = 0;
    uint8_t *place;
    size_t offset;

    emit_stub(&code, raw);
    if (!stubs_write) {
        map_stubs();
    }
    for (unsigned i = 0; i < code.n; i++) {
        hash = (hash ^ code.bytes[i]) * 0x01000193;
    }
    offset = (hash ^ hash >> 16) % STUB_COUNT * STUB_SIZE;
    place = stubs_write + offset;
    if (memcmp(place, code.bytes, STUB_SIZE) != 0) {
        unsigned a = 0, b, c = 0, d;

        memcpy(place, code.bytes, STUB_SIZE);
        /* Code modified through another address: needs a serialising instruction (SDM vol. 3, 8.1.3). */
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
    }
    return stubs_run + offset;
}

typedef void (*Stub)(const void *before, Frame *frame, void *memory, void *after);

/* Returns false if the instruction trapped: then the image after is what the trap left. */
static bool run_stub(const uint8_t *stub, const Image *before, Frame *frame, void *memory, Image *after)
{
    sigjmp_buf jump;
    uint32_t mxcsr;
    uint16_t fcw;
    bool trapped;

    __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(fcw));
    trap_image = after->fx;
    trapped = sigsetjmp(jump, 0);
    if (!trapped) {
        trap_jump = &jump;
        ((Stub)(uintptr_t)stub)(before, frame, memory, after);
    }
    trap_jump = NULL;
    __asm__ volatile("fninit; fldcw %1; ldmxcsr %0" : : "m"(mxcsr), "m"(fcw));
    return !trapped;
}

void tcg_interp_signal(int sig, int code, void *context)
{
    const ucontext_t *uc = context;
    uintptr_t pc = uc->uc_mcontext.gregs[REG_RIP];

    if (!trap_jump || pc - (uintptr_t)stubs_run >= STUB_SIZE * STUB_COUNT) {
        return;
    }
    trap_signal = sig;
    trap_code = code;
    /* Up to the bytes that FXSAVE leaves to software: the kernel has its own there. */
    memcpy(trap_image, uc->uc_mcontext.fpregs, 464);
    siglongjmp(*trap_jump, 1);
}

static void raise_trap(void *state)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, trap_signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    interp_runtime->host_fault(state, trap_signal, trap_code, 0);
}

/* An x87 store with an unmasked exception other than precision writes nothing. */
static bool store_suppressed(const IrRaw *raw, const uint8_t *before, const uint8_t *after)
{
    enum { FSW_ES = 0x80, FP_NO_RESULT = 0x1f };
    uint16_t old, control, status;

    memcpy(&old, before + 2, 2);
    memcpy(&control, after, 2);
    memcpy(&status, after + 2, 2);
    return raw->x87 && !(old & FSW_ES) && status & FSW_ES && status & ~control & FP_NO_RESULT;
}

void interp_raw(void *state, const IrRaw *raw, InterpRaw *r)
{
    uint8_t memory[FX_SIZE] __attribute__((aligned(64)));
    Image before __attribute__((aligned(64))), after __attribute__((aligned(64)));
    uint8_t *fx = (uint8_t *)state + interp_target->fxsave_offset;
    uint8_t *ymm_high = (uint8_t *)state + interp_target->ymm_offset;
    Frame frame = {.gpr = r->gpr, .flags = (r->flags & FLAGS_ALL) | 0x202};
    bool is_memory = raw->rm_role == RAW_MEM;

    g_assert(!is_memory || raw->mem_size <= sizeof(memory));
    if (is_memory && raw->mem_align && r->addr & (raw->mem_align - 1)) {
        interp_runtime->unaligned(state, r->addr, raw->mem_write, 0);
    }
    if (is_memory && raw->mem_read) {
        interp_runtime->load_bytes(state, r->addr, memory, raw->mem_size, 0);
    }
    memcpy(before.fx, fx, sizeof(before.fx));
    memcpy(after.fx, fx, sizeof(after.fx));
    if (raw->vex) {
        memcpy(before.ymm_high, ymm_high, sizeof(before.ymm_high));
    }
    if (!run_stub(find_stub(raw), &before, &frame, memory, &after)) {
        memcpy(fx, after.fx, sizeof(after.fx));
        raise_trap(state);
    }
    /* The store may fault, and the FP state must be the old one then. */
    if (is_memory && raw->mem_write && !store_suppressed(raw, before.fx, after.fx)) {
        interp_runtime->store_bytes(state, r->addr, memory, raw->mem_size, 0);
    }
    memcpy(fx, after.fx, sizeof(after.fx));
    if (raw->vex) {
        memcpy(ymm_high, after.ymm_high, sizeof(after.ymm_high));
    }
    r->gpr = raw->rm_role == RAW_AX_OUT ? (uint16_t)frame.status : frame.gpr;
    r->flags = frame.flags;
}

#endif
