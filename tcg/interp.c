/*
 * The portable engine: executes IR directly on the state in memory.
 *
 * Nothing is kept in registers between operations, so the state is complete at every point: the pc
 * slot is written at each insn_start. It is the reference for the back-end and runs what is not
 * worth compiling.
 */
#include "interp.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>

#include "interp_private.h"
#include "ir_private.h"
#include "pic.h"

const TcgTarget *interp_target;
const TcgRuntime *interp_runtime;

static __thread sigjmp_buf *unwind_jump;

/* Values by id, reused from block to block; grown only. */
static __thread uint64_t *values;
static __thread uint32_t max_values;
static __thread uint32_t *labels;
static __thread uint32_t max_labels;

void tcg_interp_init(const TcgTarget *target, const TcgRuntime *runtime)
{
    interp_target = target;
    interp_runtime = runtime;
}

bool tcg_interp_active(void)
{
    return unwind_jump != NULL;
}

void tcg_interp_unwind(TcgExit why)
{
    if (unwind_jump) {
        siglongjmp(*unwind_jump, (int)why + 1);
    }
}

static uint64_t read_slot(const void *state, const IrSlot *slot)
{
    uint64_t v = 0;

    memcpy(&v, (const uint8_t *)state + slot->offset, ir_type_size(slot->type));
    return v;
}

static void write_slot(void *state, const IrSlot *slot, IrType type, uint64_t v)
{
    unsigned size = ir_type_size(slot->type);

    /* I32 zero-extends into a larger slot, I8 and I16 replace the low part. */
    v &= ir_mask(type);
    if (type < IR_I32) {
        size = MIN(size, ir_type_size(type));
    }
    memcpy((uint8_t *)state + slot->offset, &v, size);
}

static void write_pc(void *state, uint64_t pc)
{
    write_slot(state, &interp_target->slots[interp_target->pc_slot], IR_I64, pc);
}

/* A pc of the IR. */
static void write_known_pc(void *state, const IrBlock *ir, uint64_t pc)
{
    write_pc(state, pic_pc(ir->pic_bits, state, pc));
}

/* Constants may be used across labels, so they are values from the start. */
static void prepare(const IrBlock *ir)
{
    if (ir->n_values > max_values) {
        max_values = ir->n_values * 2;
        values = g_renew(uint64_t, values, max_values);
    }
    if (ir->n_labels > max_labels) {
        max_labels = ir->n_labels * 2;
        labels = g_renew(uint32_t, labels, max_labels);
    }
    values[0] = 0; /* an absent input */
    for (uint32_t i = 0; i < ir->n_insns; i++) {
        const IrInsn *insn = &ir->insns[i];

        if (insn->op == IR_const) {
            values[insn->out] = insn->imm;
        } else if (insn->op == IR_label) {
            labels[insn->imm] = i;
        }
    }
}

static uint64_t address(const IrBlock *ir, const IrInsn *insn)
{
    uint64_t addr = values[insn->in[0]] + insn->imm;

    return ir->value_type[insn->in[0]] == IR_I32 ? (uint32_t)addr : addr;
}

static uint64_t swap_bytes(uint64_t v, unsigned size)
{
    return __builtin_bswap64(v) >> (64 - size * 8);
}

static void check_alignment(void *state, const IrInsn *insn, uint64_t addr, bool is_store)
{
    if (insn->bits & IRM_ALIGNED && addr & (ir_type_size(insn->type) - 1)) {
        interp_runtime->unaligned(state, addr, is_store, 0);
    }
}

static void do_load(void *state, const IrBlock *ir, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    uint64_t addr = address(ir, insn);
    uint64_t v;

    check_alignment(state, insn, addr, false);
    v = interp_runtime->load(state, addr, size, insn->bits, 0) & ir_mask(insn->type);
    if (insn->bits & IRM_BE) {
        v = swap_bytes(v, size);
    }
    if (insn->bits & (IRM_SX | IRM_SX32)) {
        v = (uint64_t)((int64_t)(v << (64 - size * 8)) >> (64 - size * 8));
        v &= ir_mask(ir->value_type[insn->out]);
    }
    values[insn->out] = v;
}

static void do_store(void *state, const IrBlock *ir, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    uint64_t addr = address(ir, insn);
    uint64_t v = values[insn->in[1]] & ir_mask(insn->type);

    check_alignment(state, insn, addr, true);
    if (insn->bits & IRM_BE) {
        v = swap_bytes(v, size);
    }
    interp_runtime->store(state, addr, v, size, insn->bits, 0);
}

static void do_atomic(void *state, const IrBlock *ir, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    uint64_t mask = ir_mask(insn->type);

    values[insn->out] = interp_runtime->atomic(state, address(ir, insn), TCG_ATOMIC(insn->op, size),
                                               values[insn->in[1]] & mask,
                                               values[insn->in[2]] & mask, 0) & mask;
}

static void do_call(void *state, const IrBlock *ir, const IrInsn *insn)
{
    const IrHelper *helper = &ir->helpers[insn->bits];
    uint64_t (*fn)(void *, uint64_t, uint64_t, uint64_t, uint64_t) =
        (uint64_t (*)(void *, uint64_t, uint64_t, uint64_t, uint64_t))helper->fn;
    uint64_t v = fn(state, values[insn->in[0]], values[insn->in[1]], values[insn->in[2]], values[insn->in[3]]);

    if (insn->out) {
        values[insn->out] = v & ir_mask(helper->result);
    }
}

static void do_raw(void *state, const IrBlock *ir, const IrInsn *insn)
{
    const IrRaw *raw = &ir->raws[insn->bits & ~IRB_FLAGS];
    InterpRaw r = {0};

    if (raw->rm_role == RAW_MEM) {
        r.addr = address(ir, insn);
    }
    if (raw->flags_in) {
        r.flags = values[insn->in[1]];
    } else {
        r.gpr = values[insn->in[1]];
    }
    interp_raw(state, raw, &r);
    values[insn->out] = r.gpr & ir_mask(ir->value_type[insn->out]);
    values[insn->out + 1] = r.flags & FLAGS_ALL;
}

static G_GNUC_NO_INLINE bool quotient_fits(const IrInsn *insn, uint64_t low, uint64_t high, uint64_t divisor)
{
    unsigned width = 8 * ir_type_size(insn->type), sign = 64 - width;
    __int128 dividend, quotient, top = (__int128)1 << (width - 1);

    if (insn->op == IR_divu2_checked) {
        return (high & ir_mask(insn->type)) < (divisor & ir_mask(insn->type));
    }
    dividend = (__int128)(((unsigned __int128)((int64_t)(high << sign) >> sign) << width) |
                          (low & ir_mask(insn->type)));
    divisor = (int64_t)(divisor << sign) >> sign;
    if (divisor == 0 || (divisor == UINT64_MAX && (unsigned __int128)dividend == (unsigned __int128)1 << 127)) {
        return false;
    }
    quotient = divisor == UINT64_MAX ? -dividend : dividend / (int64_t)divisor;
    return quotient >= -top && quotient < top;
}

static void do_fast(void *state, const IrBlock *ir, const IrInsn *insn)
{
    const IrFast *fast = &ir->fasts[insn->bits];
    uint64_t (*fn)(void *, uint64_t, uint64_t, uint64_t, uint64_t) =
        (uint64_t (*)(void *, uint64_t, uint64_t, uint64_t, uint64_t))ir->helpers[fast->helper].fn;
    uint64_t v = fn(state, fast->args[0], fast->args[1], 0, 0);

    if (insn->out) {
        values[insn->out] = v & 0xff;
    }
}

static void do_checked_division(void *state, const IrInsn *insn)
{
    IrInsn plain = *insn;
    uint64_t in[4], out[2];
    uint32_t flags;

    for (unsigned i = 0; i < 3; i++) {
        in[i] = values[insn->in[i]];
    }
    if (!quotient_fits(insn, in[0], in[1], in[2])) {
        interp_runtime->host_fault(state, SIGFPE, FPE_INTDIV, 0);
    }
    plain.op = insn->op == IR_divu2_checked ? IR_divu2 : IR_divs2;
    ir_eval(&plain, in, out, &flags);
    values[insn->out] = out[0];
    values[insn->out + 1] = out[1];
}

static void do_pure(const IrBlock *ir, const IrInsn *insn)
{
    uint64_t in[4], out[2];
    uint32_t flags, id = insn->out;
    int outputs = ir_op_outputs(insn->op);

    for (int i = 0; i < 4; i++) {
        in[i] = values[insn->in[i]];
    }
    ir_eval(insn, in, out, &flags);
    for (int i = 0; i < outputs; i++) {
        values[id++] = out[i];
    }
    if (ir_insn_defines_flags(insn)) {
        values[id] = flags;
    }
}

static void do_counter(const IrInsn *insn)
{
    uint64_t counter = __builtin_ia32_rdtsc();

    values[insn->out] = (uint32_t)counter;
    values[insn->out + 1] = counter >> 32;
}

static bool branch_taken(const IrInsn *insn)
{
    IrInsn compare = {.op = IR_setcond, .type = insn->type, .bits = insn->bits};
    uint64_t in[4] = {values[insn->in[0]], values[insn->in[1]]}, out[2];
    uint32_t flags;

    if (insn->op == IR_brcc) {
        return ir_cc_holds(insn->bits, in[0]);
    }
    ir_eval(&compare, in, out, &flags);
    return out[0];
}

static TcgExit run(void *state, const IrBlock *ir)
{
    /* CpuHot.poll, which a state begins with. */
    const _Atomic int32_t *poll = state;

    for (uint32_t i = 0; i < ir->n_insns; i++) {
        const IrInsn *insn = &ir->insns[i];

        switch (insn->op) {
        case IR_const:
        case IR_label:
            break;
        case IR_get:
            values[insn->out] = read_slot(state, &ir->slots[insn->bits]) & ir_mask(insn->type);
            break;
        case IR_get8h:
            values[insn->out] = read_slot(state, &ir->slots[insn->bits]) >> 8 & 0xff;
            break;
        case IR_put:
            write_slot(state, &ir->slots[insn->bits], insn->type, values[insn->in[0]]);
            break;
        case IR_put8h:
            ((uint8_t *)state)[ir->slots[insn->bits].offset + 1] = values[insn->in[0]];
            break;
        case IR_get_field:
            values[insn->out] = 0;
            memcpy(&values[insn->out], (const uint8_t *)state + insn->imm, ir_type_size(insn->type));
            break;
        case IR_host_counter:
            do_counter(insn);
            break;
        case IR_load_code:
            values[insn->out] = 0;
            memcpy(&values[insn->out], (const uint8_t *)(uintptr_t)insn->imm, ir_type_size(insn->type));
            break;
        case IR_put_field:
            memcpy((uint8_t *)state + insn->imm, &values[insn->in[0]], ir_type_size(insn->type));
            break;
        case IR_load:
            do_load(state, ir, insn);
            break;
        case IR_store:
            do_store(state, ir, insn);
            break;
        case IR_probe_store: {
            uint64_t addr = address(ir, insn);

            check_alignment(state, insn, addr, true);
            interp_runtime->probe_store(state, addr, ir_type_size(insn->type), insn->bits, 0);
            break;
        }
        case IR_try_copy:
        case IR_try_fill:
            values[insn->out] = 0;
            break;
        case IR_atomic_add:
        case IR_atomic_and:
        case IR_atomic_or:
        case IR_atomic_xor:
        case IR_atomic_xchg:
        case IR_atomic_cmpxchg:
            do_atomic(state, ir, insn);
            break;
        case IR_divu2_checked:
        case IR_divs2_checked:
            do_checked_division(state, insn);
            break;
        case IR_fence:
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
            break;
        case IR_raw:
            do_raw(state, ir, insn);
            break;
        case IR_call:
            do_call(state, ir, insn);
            break;
        case IR_fast:
            do_fast(state, ir, insn);
            break;
        case IR_insn_start:
            write_known_pc(state, ir, insn->imm);
            break;
        case IR_brcc:
        case IR_brcond:
            if (!branch_taken(insn)) {
                break;
            }
            /* fall through */
        case IR_br:
            i = labels[insn->imm];
            break;
        case IR_exit_if:
            if (!ir_cc_holds(insn->bits, values[insn->in[0]])) {
                break;
            }
            /* fall through */
        case IR_exit_jump:
            write_known_pc(state, ir, insn->imm);
            return TCG_EXIT_LOOKUP;
        case IR_exit_lookup:
            write_pc(state, values[insn->in[0]] & ir_mask(insn->type));
            return TCG_EXIT_LOOKUP;
        case IR_exit_main:
            return insn->bits;
        case IR_poll:
            if (*poll < 0) {
                write_known_pc(state, ir, insn->imm);
                return TCG_EXIT_POLL;
            }
            break;
        default:
            do_pure(ir, insn);
            break;
        }
    }
    g_assert_not_reached(); /* the verifier: a block ends in an exit */
}

static TcgExit run_to_exit(void *state, const IrBlock *ir)
{
    sigjmp_buf jump;
    int unwound = sigsetjmp(jump, 0);

    if (unwound) {
        return unwound - 1;
    }
    unwind_jump = &jump;
    return run(state, ir);
}

TcgExit tcg_protect(void *state, void (*fn)(void *state))
{
    sigjmp_buf *outer = unwind_jump, jump;
    int unwound = sigsetjmp(jump, 0);

    if (!unwound) {
        unwind_jump = &jump;
        fn(state);
    }
    unwind_jump = outer;
    return unwound ? unwound - 1 : TCG_EXIT_LOOKUP;
}

TcgExit tcg_interpret(void *state, const IrBlock *ir, HostExit **exit, uint64_t *exit_pc)
{
    sigjmp_buf *outer = unwind_jump;
    TcgExit why;

    prepare(ir);
    why = run_to_exit(state, ir);
    unwind_jump = outer;
    if (exit) {
        *exit = NULL;
    }
    if (exit_pc) {
        *exit_pc = read_slot(state, &interp_target->slots[interp_target->pc_slot]);
    }
    return why;
}
