/* The interpreter on a small state, with memory of one page behind a fake runtime. */
#include <glib.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "tcg/interp.h"
#include "util/bits.h"

typedef struct State {
    int32_t poll;
    uint32_t unused[15];
    uint64_t ax, cx, pc;
    uint32_t small;
    uint8_t fx[512] __attribute__((aligned(64)));
} State;

enum { AX, CX, PC, SMALL };

static const IrSlot slots[] = {
    [AX] = {"ax", offsetof(State, ax), IR_I64, 0},
    [CX] = {"cx", offsetof(State, cx), IR_I64, 1},
    [PC] = {"pc", offsetof(State, pc), IR_I64, -1},
    [SMALL] = {"small", offsetof(State, small), IR_I32, -1},
};

static uint8_t memory[4096];
static State state __attribute__((aligned(64)));
static bool unaligned_seen;
static int fault_signal;

#define NO ((IrVal){0})

/* Addresses past the page fault. */
static uint8_t *place(uint64_t addr, unsigned size)
{
    if (addr > sizeof(memory) - size) {
        tcg_interp_unwind(TCG_EXIT_EXCEPTION);
    }
    return memory + addr;
}

static uint64_t fake_load(void *s, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    uint64_t v = 0;

    memcpy(&v, place(addr, size), size);
    return v;
}

static void fake_store(void *s, uint64_t addr, uint64_t value, unsigned size, unsigned mem, uintptr_t retaddr)
{
    memcpy(place(addr, size), &value, size);
}

static void fake_load_bytes(void *s, uint64_t addr, void *buf, unsigned size, uintptr_t retaddr)
{
    memcpy(buf, place(addr, size), size);
}

static void fake_store_bytes(void *s, uint64_t addr, const void *buf, unsigned size, uintptr_t retaddr)
{
    memcpy(place(addr, size), buf, size);
}

static void fake_probe_store(void *s, uint64_t addr, unsigned size, unsigned mem, uintptr_t retaddr)
{
    place(addr, size);
}

static uint64_t fake_atomic(void *s, uint64_t addr, unsigned op_size, uint64_t b, uint64_t c, uintptr_t retaddr)
{
    uint64_t old = fake_load(s, addr, op_size & 0xff, 0, 0);

    g_assert_cmpuint(op_size >> 8, ==, IR_atomic_cmpxchg);
    fake_store(s, addr, old == b ? c : old, op_size & 0xff, 0, 0);
    return old;
}

static void fake_unaligned(void *s, uint64_t addr, bool is_store, uintptr_t retaddr)
{
    unaligned_seen = true;
    tcg_interp_unwind(TCG_EXIT_EXCEPTION);
}

static void fake_host_fault(void *s, int sig, int code, uintptr_t host_pc)
{
    fault_signal = sig;
    tcg_interp_unwind(TCG_EXIT_EXCEPTION);
}

static const TcgRuntime runtime = {
    .load = fake_load, .store = fake_store, .load_bytes = fake_load_bytes, .store_bytes = fake_store_bytes,
    .probe_store = fake_probe_store, .atomic = fake_atomic, .unaligned = fake_unaligned,
    .host_fault = fake_host_fault,
};

static const TcgTarget target = {
    .slots = slots, .n_slots = G_N_ELEMENTS(slots), .pc_slot = PC, .fxsave_offset = offsetof(State, fx),
};

static uint64_t sum_and_pc(void *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return a + b + ((State *)s)->pc;
}

static uint64_t unwinds(void *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    g_assert_true(tcg_interp_active());
    tcg_interp_unwind(a);
    g_assert_not_reached();
}

enum { SUM, UNWINDS };

static const IrHelper helpers[] = {
    [SUM] = {"sum", (void *)sum_and_pc, 2, IR_I32, 0, 1 << PC, 0},
    [UNWINDS] = {"unwinds", (void *)unwinds, 1, IR_VOID, EFFECT_FAULT, 0, 0},
};

static IrBlock *block(void)
{
    memset(&state, 0, sizeof(state));
    memset(memory, 0, sizeof(memory));
    store_le16(state.fx, 0x37f);
    store_le32(state.fx + 24, 0x1f80);
    unaligned_seen = false;
    fault_signal = 0;
    return ir_block_new(slots, G_N_ELEMENTS(slots), helpers, G_N_ELEMENTS(helpers));
}

static TcgExit run(const IrBlock *ir)
{
    g_autofree char *why = NULL;
    uint64_t pc;
    TcgExit exit;

    if (!ir_verify(ir, &why)) {
        g_error("%s", why);
    }
    exit = tcg_interpret(&state, ir, NULL, &pc);
    g_assert_cmphex(pc, ==, state.pc);
    g_assert_false(tcg_interp_active());
    return exit;
}

static IrVal k64(IrBlock *ir, uint64_t v)
{
    return ir_const(ir, IR_I64, v);
}

static void puts_replace_what_their_type_says(void)
{
    g_autoptr(IrBlock) ir = block();

    state.ax = state.cx = 0x1122334455667788;
    state.small = 0x11223344;
    ir_put(ir, IR_I8, AX, k64(ir, 0xaaa1));
    ir_put8h(ir, AX, k64(ir, 0xaaa2));
    ir_put(ir, IR_I32, CX, k64(ir, 0xaaaaaaaa00000003));
    ir_put(ir, IR_I16, SMALL, k64(ir, 0xaaa0004));
    ir_exit_jump(ir, 0x1000);
    g_assert_cmpint(run(ir), ==, TCG_EXIT_LOOKUP);
    g_assert_cmphex(state.ax, ==, 0x112233445566a2a1);
    g_assert_cmphex(state.cx, ==, 3);
    g_assert_cmphex(state.small, ==, 0x11220004);
    g_assert_cmphex(state.pc, ==, 0x1000);
}

static void a_side_exit_is_taken_on_its_condition(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal a = ir_get(ir, IR_I32, AX);
    IrValFlags f = ir_opf(ir, IR_cmp, IR_I32, a, ir_const(ir, IR_I32, 5), NO);

    ir_exit_if(ir, CC_B, f.flags, 0x2000);
    ir_exit_lookup(ir, ir_get(ir, IR_I64, CX), BRANCH_JUMP);
    state.ax = 4;
    state.cx = 0x3000;
    run(ir);
    g_assert_cmphex(state.pc, ==, 0x2000);
    state.ax = 5;
    run(ir);
    g_assert_cmphex(state.pc, ==, 0x3000);
}

static void a_poll_leaves_when_asked(void)
{
    g_autoptr(IrBlock) ir = block();

    ir_poll(ir, 0x1000);
    ir_exit_jump(ir, 0x2000);
    state.poll = -1;
    g_assert_cmpint(run(ir), ==, TCG_EXIT_POLL);
    g_assert_cmphex(state.pc, ==, 0x1000);
    state.poll = 1;
    g_assert_cmpint(run(ir), ==, TCG_EXIT_LOOKUP);
    g_assert_cmphex(state.pc, ==, 0x2000);
}

static void loads_extend_and_swap(void)
{
    g_autoptr(IrBlock) ir = block();
    IrVal a = ir_get(ir, IR_I32, AX);

    store_le16(memory + 0x10, 0x80fe);
    state.ax = 0xffffffff00000018;
    ir_put(ir, IR_I64, CX, ir_load(ir, IR_I16, a, -8, IRM_SX));
    ir_store(ir, IR_I32, a, 0, ir_load(ir, IR_I16, a, -8, IRM_SX32 | IRM_BE), 0);
    ir_store(ir, IR_I32, a, 4, k64(ir, 0x11223344), IRM_BE);
    ir_exit_jump(ir, 0x2000);
    run(ir);
    g_assert_cmphex(state.cx, ==, 0xffffffffffff80fe);
    g_assert_cmphex(load_le32(memory + 0x18), ==, 0xfffffe80);
    g_assert_cmphex(load_be32(memory + 0x1c), ==, 0x11223344);
}

static void a_32_bit_address_wraps(void)
{
    g_autoptr(IrBlock) ir = block();

    memory[8] = 77;
    ir_put(ir, IR_I8, CX, ir_load(ir, IR_I8, ir_const(ir, IR_I32, 0xfffffff8), 16, 0));
    ir_exit_jump(ir, 0x2000);
    run(ir);
    g_assert_cmpuint(state.cx, ==, 77);
}

static void a_fault_leaves_the_pc_and_the_puts_before(void)
{
    g_autoptr(IrBlock) ir = block();

    ir_insn_start(ir, 0x1000);
    ir_put(ir, IR_I64, AX, k64(ir, 1));
    ir_insn_start(ir, 0x1003);
    ir_store(ir, IR_I64, k64(ir, 4090), 0, k64(ir, 7), 0);
    ir_put(ir, IR_I64, AX, k64(ir, 2));
    ir_exit_jump(ir, 0x1006);
    g_assert_cmpint(run(ir), ==, TCG_EXIT_EXCEPTION);
    g_assert_cmphex(state.pc, ==, 0x1003);
    g_assert_cmpuint(state.ax, ==, 1);
}

static void misalignment_faults_where_it_matters(void)
{
    g_autoptr(IrBlock) ir = block();

    ir_load(ir, IR_I32, k64(ir, 2), 0, 0);
    ir_exit_jump(ir, 0x1006);
    g_assert_cmpint(run(ir), ==, TCG_EXIT_LOOKUP);
    ir_block_reset(ir);
    ir_load(ir, IR_I32, k64(ir, 2), 0, IRM_ALIGNED);
    ir_exit_jump(ir, 0x1006);
    g_assert_cmpint(run(ir), ==, TCG_EXIT_EXCEPTION);
    g_assert_true(unaligned_seen);
}

static void an_atomic_returns_the_old_value(void)
{
    g_autoptr(IrBlock) ir = block();

    store_le32(memory + 4, 5);
    ir_put(ir, IR_I64, AX,
           ir_zext(ir, IR_I64, IR_I32,
                   ir_atomic(ir, IR_atomic_cmpxchg, IR_I32, k64(ir, 4), 0, k64(ir, 0x100000005), k64(ir, 6))));
    ir_exit_jump(ir, 0x1006);
    run(ir);
    g_assert_cmpuint(state.ax, ==, 5);
    g_assert_cmpuint(load_le32(memory + 4), ==, 6);
}

static void calls_get_arguments_and_may_unwind(void)
{
    g_autoptr(IrBlock) ir = block();

    ir_insn_start(ir, 0x1000);
    ir_put(ir, IR_I64, CX, ir_zext(ir, IR_I64, IR_I32, ir_call(ir, SUM, k64(ir, 0xf00000002), k64(ir, 3), NO, NO)));
    ir_call(ir, UNWINDS, k64(ir, TCG_EXIT_HALT), NO, NO, NO);
    ir_put(ir, IR_I64, CX, k64(ir, 0));
    ir_exit_jump(ir, 0x1006);
    g_assert_cmpint(run(ir), ==, TCG_EXIT_HALT);
    g_assert_cmphex(state.cx, ==, 0x1005);
    g_assert_cmphex(state.pc, ==, 0x1000);
}

static void a_loop_counts_down(void)
{
    g_autoptr(IrBlock) ir = block();
    unsigned top = ir_new_label(ir);
    IrVal one = k64(ir, 1), sum;
    IrValFlags f;

    ir_label(ir, top);
    sum = ir_op2(ir, IR_add, IR_I64, ir_get(ir, IR_I64, AX), ir_get(ir, IR_I64, CX));
    ir_put(ir, IR_I64, AX, sum);
    f = ir_opf(ir, IR_sub, IR_I64, ir_get(ir, IR_I64, CX), one, NO);
    ir_put(ir, IR_I64, CX, f.value);
    ir_brcc(ir, CC_NE, f.flags, top);
    ir_exit_main(ir, TCG_EXIT_MODE);
    state.cx = 10;
    g_assert_cmpint(run(ir), ==, TCG_EXIT_MODE);
    g_assert_cmpuint(state.ax, ==, 55);
}

static void multiplication_has_two_halves_and_flags(void)
{
    g_autoptr(IrBlock) ir = block();
    IrPair p = ir_mul2(ir, IR_mulu2, IR_I32, ir_get(ir, IR_I32, AX), ir_get(ir, IR_I32, CX), true);

    ir_put(ir, IR_I32, AX, p.low);
    ir_put(ir, IR_I32, CX, p.high);
    ir_put(ir, IR_I32, SMALL, ir_op1(ir, IR_flags_image, IR_I32, p.flags));
    ir_exit_jump(ir, 0);
    state.ax = 0x80000001;
    state.cx = 6;
    run(ir);
    g_assert_cmphex(state.ax, ==, 6);
    g_assert_cmphex(state.cx, ==, 3);
    g_assert_cmphex(state.small, ==, FLAG_CF | FLAG_OF);
}

#ifdef __x86_64__

static uint8_t *xmm(unsigned n)
{
    return state.fx + 160 + n * 16;
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    tcg_interp_signal(sig, info->si_code, context);
    abort();
}

/* paddd xmm9, [mem] */
static const IrRaw paddd = {.prefix = 0x66, .map = 1, .opcode = 0xfe, .reg_role = RAW_XMM, .reg = 9,
                            .rm_role = RAW_MEM, .mem_size = 16, .mem_read = true, .mem_align = 16};

static void a_vector_instruction_reads_memory(void)
{
    g_autoptr(IrBlock) ir = block();

    store_le32(xmm(9) + 4, 40);
    store_le32(memory + 0x24, 2);
    ir_raw(ir, &paddd, k64(ir, 0x10), 0x10, NO, false);
    ir_exit_jump(ir, 0);
    run(ir);
    g_assert_cmpuint(load_le32(xmm(9) + 4), ==, 42);
}

static void a_misaligned_vector_operand_faults(void)
{
    g_autoptr(IrBlock) ir = block();

    ir_raw(ir, &paddd, k64(ir, 0x18), 0, NO, false);
    ir_exit_jump(ir, 0);
    g_assert_cmpint(run(ir), ==, TCG_EXIT_EXCEPTION);
    g_assert_true(unaligned_seen);
}

static void general_registers_go_in_and_out(void)
{
    g_autoptr(IrBlock) ir = block();
    IrRaw movq_in = {.prefix = 0x66, .map = 1, .opcode = 0x6e, .w = true, .reg_role = RAW_XMM, .reg = 3,
                     .rm_role = RAW_GPR_IN, .gpr_type = IR_I64};
    IrRaw pmovmskb = {.prefix = 0x66, .map = 1, .opcode = 0xd7, .reg_role = RAW_GPR_OUT,
                      .rm_role = RAW_XMM, .rm = 3, .gpr_type = IR_I32};

    ir_raw(ir, &movq_in, NO, 0, k64(ir, 0x80000000ff7f8000), false);
    ir_put(ir, IR_I32, AX, ir_raw(ir, &pmovmskb, NO, 0, NO, false).value);
    ir_exit_jump(ir, 0);
    run(ir);
    g_assert_cmphex(load_le64(xmm(3)), ==, 0x80000000ff7f8000);
    g_assert_cmphex(state.ax, ==, 0x8a);
}

static void a_comparison_gives_flags(void)
{
    g_autoptr(IrBlock) ir = block();
    IrRaw comisd = {.prefix = 0x66, .map = 1, .opcode = 0x2f, .reg_role = RAW_XMM, .reg = 0,
                    .rm_role = RAW_XMM, .rm = 1, .may_fault = true};
    IrValFlags f = ir_raw(ir, &comisd, NO, 0, NO, true);

    ir_exit_if(ir, CC_B, f.flags, 0x10);
    ir_exit_jump(ir, 0x20);
    store_le64(xmm(1), 0x3ff0000000000000);
    run(ir);
    g_assert_cmphex(state.pc, ==, 0x10);
    store_le64(xmm(0), 0x4000000000000000);
    run(ir);
    g_assert_cmphex(state.pc, ==, 0x20);
}

/* fld1, fldz, fcmovb st0, st1, fnstsw ax */
static void x87_uses_flags_and_gives_its_status(void)
{
    g_autoptr(IrBlock) ir = block();
    IrRaw fld1 = {.opcode = 0xd9, .reg_role = RAW_DIGIT, .reg = 5, .rm_role = RAW_ST, .rm = 0, .x87 = true};
    IrRaw fldz = {.opcode = 0xd9, .reg_role = RAW_DIGIT, .reg = 5, .rm_role = RAW_ST, .rm = 6, .x87 = true};
    IrRaw fcmovb = {.opcode = 0xda, .reg_role = RAW_DIGIT, .reg = 0, .rm_role = RAW_ST, .rm = 1, .x87 = true,
                    .flags_in = true};
    IrRaw fnstsw = {.opcode = 0xdf, .reg_role = RAW_DIGIT, .reg = 4, .rm_role = RAW_AX_OUT, .x87 = true,
                    .gpr_type = IR_I32};
    IrVal flags;

    ir_raw(ir, &fld1, NO, 0, NO, false);
    ir_raw(ir, &fldz, NO, 0, NO, false);
    flags = ir_opf(ir, IR_cmp, IR_I64, ir_get(ir, IR_I64, AX), k64(ir, 1), NO).flags;
    ir_raw(ir, &fcmovb, NO, 0, flags, false);
    ir_put(ir, IR_I32, CX, ir_raw(ir, &fnstsw, NO, 0, NO, false).value);
    ir_exit_jump(ir, 0);
    run(ir);
    g_assert_cmphex(load_le64(state.fx + 32), ==, 1ull << 63);
    g_assert_cmphex(load_le16(state.fx + 40), ==, 0x3fff);
    g_assert_cmphex(state.cx, ==, 0x3000);
}

static void an_unmasked_exception_goes_to_the_guest(void)
{
    g_autoptr(IrBlock) ir = block();
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO}, before;
    IrRaw divsd = {.prefix = 0xf2, .map = 1, .opcode = 0x5e, .reg_role = RAW_XMM, .reg = 0,
                   .rm_role = RAW_XMM, .rm = 1, .may_fault = true};

    sigaction(SIGFPE, &action, &before);
    store_le32(state.fx + 24, 0x1d80); /* division by zero unmasked */
    store_le64(xmm(0), 0x3ff0000000000000);
    ir_insn_start(ir, 0x1234);
    ir_raw(ir, &divsd, NO, 0, NO, false);
    ir_exit_jump(ir, 0);
    for (int i = 0; i < 2; i++) { /* twice: the signal must not stay blocked */
        fault_signal = 0;
        g_assert_cmpint(run(ir), ==, TCG_EXIT_EXCEPTION);
        g_assert_cmpint(fault_signal, ==, SIGFPE);
        g_assert_cmphex(state.pc, ==, 0x1234);
        g_assert_cmphex(load_le32(state.fx + 24), ==, 0x1d84);
        g_assert_cmphex(load_le64(xmm(0)), ==, 0x3ff0000000000000);
    }
    sigaction(SIGFPE, &before, NULL);
}

static void a_faulting_store_leaves_the_stack(void)
{
    g_autoptr(IrBlock) ir = block();
    IrRaw fld1 = {.opcode = 0xd9, .reg_role = RAW_DIGIT, .reg = 5, .rm_role = RAW_ST, .x87 = true};
    IrRaw fstp = {.opcode = 0xdd, .reg_role = RAW_DIGIT, .reg = 3, .rm_role = RAW_MEM, .mem_size = 8,
                  .mem_write = true, .x87 = true};

    ir_raw(ir, &fld1, NO, 0, NO, false);
    ir_raw(ir, &fstp, ir_get(ir, IR_I64, AX), 0, NO, false);
    ir_exit_jump(ir, 0);
    state.ax = 4095;
    g_assert_cmpint(run(ir), ==, TCG_EXIT_EXCEPTION);
    g_assert_cmphex(state.fx[4], ==, 0x80); /* one register in use */
    state.fx[4] = 0;
    store_le16(state.fx + 2, 0);
    state.ax = 8;
    g_assert_cmpint(run(ir), ==, TCG_EXIT_LOOKUP);
    g_assert_cmphex(state.fx[4], ==, 0);
    g_assert_cmphex(load_le64(memory + 8), ==, 0x3ff0000000000000);
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    tcg_interp_init(&target, &runtime);
#define TEST(f) g_test_add_func("/interp/" #f, f)
    TEST(puts_replace_what_their_type_says);
    TEST(a_side_exit_is_taken_on_its_condition);
    TEST(a_poll_leaves_when_asked);
    TEST(loads_extend_and_swap);
    TEST(a_32_bit_address_wraps);
    TEST(a_fault_leaves_the_pc_and_the_puts_before);
    TEST(misalignment_faults_where_it_matters);
    TEST(an_atomic_returns_the_old_value);
    TEST(calls_get_arguments_and_may_unwind);
    TEST(a_loop_counts_down);
    TEST(multiplication_has_two_halves_and_flags);
#ifdef __x86_64__
    TEST(a_vector_instruction_reads_memory);
    TEST(a_misaligned_vector_operand_faults);
    TEST(general_registers_go_in_and_out);
    TEST(a_comparison_gives_flags);
    TEST(x87_uses_flags_and_gives_its_status);
    TEST(an_unmasked_exception_goes_to_the_guest);
    TEST(a_faulting_store_leaves_the_stack);
#endif
    return g_test_run();
}
