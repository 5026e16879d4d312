/* Control flow: jumps, calls, returns, loops, interrupts, far transfers, system calls. */
#include "target/x86/insns.h"

#define NONE ((IrVal){0})

bool x86_branch_target(const X86Translator *tr, const X86Insn *in, uint64_t *target)
{
    *target = (in->next_pc + in->imm) & tr->pc_mask;
    if (in->type == IR_I16) {
        *target &= 0xffff;
        return !tr->t->key->pic_bits;
    }
    return true;
}

/* The target that x86_branch_target does not know. */
static IrVal target_of_16(X86Translator *tr, const X86Insn *in)
{
    return x86_arg(tr, IR_I16, x86_pc(tr, IR_I16, in->next_pc + in->imm));
}

/* Where code has a limit a target (I64) beyond it faults here, not where it leads. */
static bool has_limit(const X86Translator *tr, const X86Insn *in)
{
    return !tr->cs64 && !tr->flat_cs && (in->type != IR_I16 || (tr->pe && !tr->vm));
}

static void check_target(X86Translator *tr, const X86Insn *in, IrVal target)
{
    if (has_limit(tr, in)) {
        X86_CALL1(tr, check_pc, target);
    }
}

static IrVal direct_target(X86Translator *tr, const X86Insn *in)
{
    uint64_t target;

    return x86_branch_target(tr, in, &target) ? x86_pc(tr, IR_I64, target) : target_of_16(tr, in);
}

static void check_direct_target(X86Translator *tr, const X86Insn *in)
{
    if (has_limit(tr, in)) {
        check_target(tr, in, direct_target(tr, in));
    }
}

/* Before a conditional branch has changed anything. Afterwards *cc of the value returned is the condition. */
static IrVal check_if_taken(X86Translator *tr, const X86Insn *in, IrCc *cc, IrVal flags)
{
    IrBlock *ir = tr->ir;
    IrVal taken, target;

    if (!has_limit(tr, in)) {
        return flags;
    }
    taken = ir_setcc(ir, *cc, flags);
    target = ir_select(ir, IR_I64, taken, direct_target(tr, in), x86_const(tr, IR_I64, 0));
    check_target(tr, in, target);
    *cc = CC_NE;
    return ir_opf(ir, IR_test, IR_I8, taken, taken, NONE).flags;
}

static void branch_if(X86Translator *tr, const X86Insn *in, IrCc cc, IrVal flags)
{
    uint64_t target;

    if (x86_branch_target(tr, in, &target)) {
        x86_branch_if(tr, in, cc, flags, target);
    } else {
        x86_end_lookup(tr, ir_selectcc(tr->ir, IR_I64, cc, flags, target_of_16(tr, in),
                                       x86_next_pc(tr, in)), BRANCH_JUMP);
    }
}

static void branch(X86Translator *tr, const X86Insn *in)
{
    uint64_t target;

    if (x86_branch_target(tr, in, &target)) {
        x86_end_jump(tr, target);
    } else {
        x86_end_lookup(tr, target_of_16(tr, in), BRANCH_JUMP);
    }
}

void x86_emit_jcc(X86Translator *tr, X86Insn *in)
{
    IrCc cc = in->opcode & 15;
    IrVal flags = x86_flags_for(tr, cc);

    if (!has_limit(tr, in) && x86_unrolls(tr, in, cc, flags)) {
        return;
    }
    flags = check_if_taken(tr, in, &cc, flags);
    branch_if(tr, in, cc, flags);
}

void x86_emit_jmp(X86Translator *tr, X86Insn *in)
{
    if (!x86_follows(tr, in)) {
        check_direct_target(tr, in);
        branch(tr, in);
    }
}

void x86_emit_jmp_ev(X86Translator *tr, X86Insn *in)
{
    IrVal target = x86_arg(tr, in->type, x86_operand_get(tr, in, 0));

    check_target(tr, in, target);
    x86_end_lookup(tr, target, BRANCH_JUMP);
}

void x86_emit_call(X86Translator *tr, X86Insn *in)
{
    int64_t size = x86_size(in->type);

    x86_stack_store(tr, in, in->type, -size, x86_pc(tr, in->type, in->next_pc));
    check_direct_target(tr, in);
    x86_stack_move(tr, -size);
    if (!x86_follows_call(tr, in)) {
        branch(tr, in);
        ir_mark_call(tr->ir);
    }
}

void x86_emit_call_ev(X86Translator *tr, X86Insn *in)
{
    IrVal target = x86_arg(tr, in->type, x86_operand_get(tr, in, 0));
    int64_t size = x86_size(in->type);

    x86_stack_store(tr, in, in->type, -size, x86_pc(tr, in->type, in->next_pc));
    check_target(tr, in, target);
    x86_stack_move(tr, -size);
    x86_end_lookup(tr, target, BRANCH_CALL);
}

void x86_emit_ret(X86Translator *tr, X86Insn *in)
{
    IrVal target = x86_arg(tr, in->type, x86_stack_load(tr, in, in->type, R_SP, 0));

    bool follows = x86_follows_return(tr, in, target);

    if (!follows) {
        check_target(tr, in, target);
    }
    x86_stack_move(tr, x86_size(in->type) + (in->row->operand[0] == O_Iw ? in->imm : 0));
    if (!follows) {
        x86_end_lookup(tr, target, BRANCH_RETURN);
    }
}

/* LOOPNE, LOOPE, LOOP: the counter has the address size; flags stay. */
void x86_emit_loop(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrType type = in->addr_type;
    IrVal condition = NONE, left, flags;
    IrCc cc = CC_NE;

    if (in->row->op != 2) {
        condition = ir_setcc(ir, in->row->op == 0 ? CC_NE : CC_E, x86_flags_for(tr, CC_E));
    }
    left = ir_op2(ir, IR_sub, type, ir_get(ir, type, SLOT_CX), x86_const(tr, type, 1));
    if (condition.id) {
        condition = ir_op2(ir, IR_and, IR_I8, condition,
                           ir_setcond(ir, COND_NE, type, left, x86_const(tr, type, 0)));
        flags = ir_opf(ir, IR_test, IR_I8, condition, condition, NONE).flags;
    } else {
        flags = ir_opf(ir, IR_test, type, left, left, NONE).flags;
    }
    flags = check_if_taken(tr, in, &cc, flags);
    ir_put(ir, type, SLOT_CX, left);
    branch_if(tr, in, cc, flags);
}

void x86_emit_jcxz(X86Translator *tr, X86Insn *in)
{
    IrVal count = ir_get(tr->ir, in->addr_type, SLOT_CX);
    IrVal flags = ir_opf(tr->ir, IR_test, in->addr_type, count, count, NONE).flags;
    IrCc cc = CC_E;

    flags = check_if_taken(tr, in, &cc, flags);
    branch_if(tr, in, cc, flags);
}

/* Far transfers. */

static IrVal type_arg(X86Translator *tr, const X86Insn *in)
{
    return x86_const(tr, IR_I64, in->type);
}

static void emit_far(X86Translator *tr, X86Insn *in, X86Helper helper, IrVal selector, IrVal offset)
{
    x86_call(tr, helper, selector, offset, type_arg(tr, in), x86_next_pc(tr, in));
    x86_end_at_slot(tr);
}

static void emit_far_memory(X86Translator *tr, X86Insn *in, X86Helper helper)
{
    int64_t disp;
    unsigned size = x86_size(in->type);
    IrVal address = x86_address_sized(tr, in, size + 2, false, &disp);
    IrVal offset = ir_load(tr->ir, in->type, address, disp, 0);
    IrVal selector = ir_load(tr->ir, IR_I16, address, disp + size, 0);

    emit_far(tr, in, helper, x86_arg(tr, IR_I16, selector), x86_arg(tr, in->type, offset));
}

void x86_emit_jmp_far(X86Translator *tr, X86Insn *in)
{
    emit_far(tr, in, HELPER_far_jmp, x86_const(tr, IR_I64, in->imm2), x86_const(tr, IR_I64, in->imm));
}

void x86_emit_call_far(X86Translator *tr, X86Insn *in)
{
    emit_far(tr, in, HELPER_far_call, x86_const(tr, IR_I64, in->imm2), x86_const(tr, IR_I64, in->imm));
}

void x86_emit_jmp_far_m(X86Translator *tr, X86Insn *in)
{
    emit_far_memory(tr, in, HELPER_far_jmp);
}

void x86_emit_call_far_m(X86Translator *tr, X86Insn *in)
{
    emit_far_memory(tr, in, HELPER_far_call);
}

void x86_emit_ret_far(X86Translator *tr, X86Insn *in)
{
    uint64_t drop = in->row->operand[0] == O_Iw ? in->imm : 0;

    X86_CALL2(tr, far_ret, type_arg(tr, in), x86_const(tr, IR_I64, drop));
    x86_end_at_slot(tr);
}

void x86_emit_iret(X86Translator *tr, X86Insn *in)
{
    X86_CALL2(tr, iret, type_arg(tr, in), x86_next_pc(tr, in));
    x86_end_at_slot(tr);
}

/* Software interrupts. */

enum { INT_N, INT_3_OR_O, INT_1 };

static void emit_interrupt(X86Translator *tr, X86Insn *in, unsigned vector, unsigned kind)
{
    X86_CALL3(tr, int, x86_const(tr, IR_I64, vector), x86_next_pc(tr, in), x86_const(tr, IR_I64, kind));
    ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
    tr->done = true;
}

void x86_emit_int(X86Translator *tr, X86Insn *in)
{
    emit_interrupt(tr, in, in->imm, INT_N);
}

void x86_emit_int3(X86Translator *tr, X86Insn *in)
{
    emit_interrupt(tr, in, EXC_BP, INT_3_OR_O);
}

void x86_emit_int1(X86Translator *tr, X86Insn *in)
{
    emit_interrupt(tr, in, EXC_DB, INT_1);
}

void x86_emit_into(X86Translator *tr, X86Insn *in)
{
    unsigned label = ir_new_label(tr->ir);

    ir_brcc(tr->ir, CC_O, x86_flags_for(tr, CC_O), label);
    x86_end_jump(tr, in->next_pc);
    ir_label(tr->ir, label);
    x86_flags_forget(tr);
    ir_insn_start(tr->ir, in->pc);
    emit_interrupt(tr, in, EXC_OF, INT_3_OR_O);
}

void x86_emit_bound(X86Translator *tr, X86Insn *in)
{
    int64_t disp;
    unsigned size = x86_size(in->type);
    IrVal address = x86_address_sized(tr, in, 2 * size, false, &disp);
    IrVal lower = ir_load(tr->ir, in->type, address, disp, 0);
    IrVal upper = ir_load(tr->ir, in->type, address, disp + size, 0);
    IrVal index = x86_gpr_get(tr, in, in->type, in->reg);

    x86_raise_if(tr, in, COND_LTS, in->type, index, lower, EXC_BR, false);
    x86_raise_if(tr, in, COND_GTS, in->type, index, upper, EXC_BR, false);
}

bool x86_is_branch(const X86Insn *in)
{
    static X86Emit *const branches[] = {
        x86_emit_jcc, x86_emit_jmp, x86_emit_jmp_ev, x86_emit_call, x86_emit_call_ev, x86_emit_ret, x86_emit_loop, x86_emit_jcxz,
        x86_emit_jmp_far, x86_emit_call_far, x86_emit_jmp_far_m, x86_emit_call_far_m, x86_emit_ret_far, x86_emit_iret,
        x86_emit_syscall, x86_emit_sysret, x86_emit_sysenter, x86_emit_sysexit,
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(branches); i++) {
        if (in->row && in->row->emit == branches[i]) {
            return true;
        }
    }
    return false;
}
