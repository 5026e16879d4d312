/* Translates a block: instructions from a pc on until something ends it. */
#include "target/x86/insns.h"
#include "util/clear.h"

enum { MAX_INSNS = 48 };
#define NOWHERE UINT64_MAX /* no pc of an instruction that others follow */

bool x86_each_insn_exits(const X86Translator *tr)
{
    return (tr->mode & (MODE_TF | MODE_SHADOW)) || tr->t->single_step;
}

void x86_raise_now(X86Translator *tr, int vector)
{
    X86_CALL1(tr, raise, x86_const(tr, IR_I64, vector));
    ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
    tr->done = true;
}

void x86_ud(X86Translator *tr)
{
    x86_raise_now(tr, EXC_UD);
}

void x86_gp0(X86Translator *tr)
{
    X86_CALL2(tr, raise_error, x86_const(tr, IR_I64, EXC_GP), x86_const(tr, IR_I64, 0));
    ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
    tr->done = true;
}

/* Ends of blocks. */

/* The exit that the mode wants behind every instruction; the pc slot has been put. */
static void end_single(X86Translator *tr)
{
    if (tr->mode & MODE_TF) {
        X86_CALL0(tr, single_step);
        ir_exit_main(tr->ir, TCG_EXIT_MODE);
    } else {
        ir_exit_main(tr->ir, tr->t->single_step ? TCG_EXIT_DEBUG : TCG_EXIT_MODE);
    }
}

void x86_end_lookup(X86Translator *tr, IrVal pc, IrBranchHint hint)
{
    if (x86_each_insn_exits(tr)) {
        ir_put(tr->ir, IR_I64, SLOT_PC, pc);
        end_single(tr);
    } else {
        ir_exit_lookup(tr->ir, pc, hint);
    }
    tr->done = true;
}

void x86_end_next(X86Translator *tr, const X86Insn *in)
{
    x86_end_lookup(tr, x86_next_pc(tr, in), BRANCH_JUMP);
}

void x86_end_at_slot(X86Translator *tr)
{
    if (x86_each_insn_exits(tr)) {
        end_single(tr);
    } else {
        ir_exit_lookup(tr->ir, ir_get(tr->ir, IR_I64, SLOT_PC), BRANCH_JUMP);
    }
    tr->done = true;
}

void x86_end_jump(X86Translator *tr, uint64_t pc)
{
    pc &= tr->pc_mask;
    if (x86_each_insn_exits(tr) && tr->n_insns) {
        x86_end_lookup(tr, x86_pc(tr, IR_I64, pc), BRANCH_JUMP);
        return;
    }
    ir_exit_jump(tr->ir, pc);
    x86_mark_exit(tr, pc);
    if (tr->n_returns) {
        ir_mark_call(tr->ir); /* back in a function that calls itself */
    }
    tr->done = true;
}

void x86_end_main(X86Translator *tr, uint64_t pc, TcgExit why)
{
    ir_put(tr->ir, IR_I64, SLOT_PC, x86_pc(tr, IR_I64, pc & tr->pc_mask));
    ir_exit_main(tr->ir, why);
    tr->done = true;
}

void x86_branch_if(X86Translator *tr, const X86Insn *in, IrCc cc, IrVal flags, uint64_t target)
{
    target &= tr->pc_mask;
    if (x86_each_insn_exits(tr)) {
        x86_end_lookup(tr, ir_selectcc(tr->ir, IR_I64, cc, flags, x86_pc(tr, IR_I64, target),
                                       x86_next_pc(tr, in)), BRANCH_JUMP);
        return;
    }
    ir_exit_if(tr->ir, cc, flags, target);
    x86_mark_exit(tr, target);
    tr->n_side_exits++;
}

/* Of performance counters, if there are any. */
static void add_to_slot(X86Translator *tr, unsigned slot, int by)
{
    if (tr->mode & MODE_COUNT) {
        ir_put(tr->ir, IR_I64, slot, ir_op2(tr->ir, IR_add, IR_I64, ir_get(tr->ir, IR_I64, slot), x86_const(tr, IR_I64, by)));
    }
}

static void emit_cold(X86Translator *tr)
{
    tr->n_returns = 0;
    for (unsigned i = 0; i < tr->n_cold; i++) {
        X86Cold *cold = &tr->cold[i];

        ir_label(tr->ir, cold->label);
        ir_insn_start(tr->ir, cold->pc);
        if (cold->vector == COLD_RETRY) {
            add_to_slot(tr, SLOT_PMU_LEFT, 1);
            ir_exit_jump(tr->ir, cold->pc);
        } else if (cold->vector == COLD_LOOK) {
            X86_CALL0(tr, pmu_look);
            ir_exit_jump(tr->ir, cold->pc);
        } else if (cold->vector == COLD_EMIT) {
            x86_flags_forget(tr);
            tr->keep_flags = true; /* what follows in another block reads them */
            tr->done = false;
            cold->emit(tr, &cold->insn);
            if (!tr->done) {
                x86_end_next(tr, &cold->insn);
            }
        } else if (cold->has_error) {
            X86_CALL2(tr, raise_error, x86_const(tr, IR_I64, cold->vector), x86_const(tr, IR_I64, 0));
            ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
        } else {
            X86_CALL1(tr, raise, x86_const(tr, IR_I64, cold->vector));
            ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
        }
    }
}

void x86_mark_exit(X86Translator *tr, uint64_t pc)
{
    IrBlock *ir = tr->ir;
    const IrInsn *last = &ir->insns[ir->n_insns - 1];

    if ((last->op == IR_exit_jump || last->op == IR_exit_if) && x86_flags_dead_at(tr, pc)) {
        IrExitDead dead = {.insn = ir->n_insns - 1, .slots = SLOTS_CC};

        g_array_append_val(ir->exit_dead, dead);
    }
}

/* One instruction. */

static void translate_insn(X86Translator *tr, X86Insn *in)
{
    const X86Row *row = in->row;
    bool protected = tr->pe && !tr->vm;

    if (!row->emit || (in->lock && !(row->attr & A_LOCK && in->is_mem)) ||
        (row->attr & A_MEM && !in->is_mem) || (row->attr & A_REG && in->is_mem) ||
        (row->attr & A_O64 && !tr->cs64) || ((row->attr & A_PE || in->vex) && !protected)) {
        x86_ud(tr);
    } else if (row->attr & A_CPL0 && tr->cpl != 0) {
        x86_gp0(tr);
    } else {
        in->lock = in->lock && !tr->one_cpu;
        if (tr->mode & MODE_GUEST) {
            x86_emit_svm_check(tr, in);
        }
        row->emit(tr, in);
    }
}

static void set_mode(X86Translator *tr, Translation *t)
{
    uint64_t mode = t->key->flags;

    clear_bytes(tr, offsetof(X86Translator, ahead)); /* the large arrays need not be */
    tr->t = t;
    tr->ir = t->ir;
    tr->s = x86_state(t->cpu);
    tr->mode = mode;
    tr->cs64 = mode & MODE_CS64;
    tr->cs32 = !(mode & MODE_CS64) && mode & MODE_CS32;
    tr->ss32 = mode & MODE_SS32;
    tr->pe = mode & MODE_PE;
    tr->vm = mode & MODE_VM;
    tr->flat = mode & MODE_FLAT;
    tr->flat_cs = mode & MODE_FLAT_CS;
    tr->one_cpu = cpu_count() <= 1;
    tr->cpl = mode >> MODE_CPL_SHIFT & 3;
    tr->iopl = mode >> MODE_IOPL_SHIFT & 3;
    tr->cs_base = t->key->base;
    tr->addr_type = mode & MODE_CS64 ? IR_I64 : IR_I32;
    tr->pc_mask = mode & MODE_CS64 ? UINT64_MAX : UINT32_MAX;
    tr->page = x86_page_of(tr, t->key->pc);
    tr->run_pc = t->key->pc;
}

/* Before a block's first instruction. */
static void begin(X86Translator *tr, uint64_t pc)
{
    bool real = !tr->pe || tr->vm;

    if (!tr->cs64 && !tr->flat_cs && (!real || pc > 0xffff)) {
        X86_CALL1(tr, check_pc, x86_const(tr, IR_I64, pc));
    }
    if (tr->mode & MODE_SHADOW) {
        X86_CALL2(tr, set_shadow, x86_const(tr, IR_I64, 0), x86_const(tr, IR_I64, pc));
    }
}

bool x86_fits_block(X86Translator *tr, uint64_t pc)
{
    X86Insn in;

    return x86_page_of(tr, pc) == x86_page_of(tr, tr->t->key->pc) &&
           x86_decode(tr->t, tr->mode, pc, &in) == DECODE_OK && x86_page_of(tr, in.next_pc - 1) == x86_page_of(tr, pc) &&
           pc != tr->next_known && !translation_breaks_at(tr->t, pc) &&
           tr->n_insns < tr->t->max_insns;
}

static IrVal linear_pc(X86Translator *tr, uint64_t pc)
{
    return tr->t->key->pic_bits ? x86_pc(tr, IR_I64, pc)
                           : x86_const(tr, IR_I64, tr->cs64 ? pc : (uint32_t)(tr->cs_base + pc));
}

/* False: the block ends before pc. */
static bool next_insn(X86Translator *tr, uint64_t pc, X86Insn *in)
{
    const X86Insn *known = x86_looked_at(tr, pc);
    X86DecodeResult result = DECODE_OK;
    bool first = tr->n_insns == 0;

    if (known) {
        *in = *known;
    } else {
        result = x86_decode(tr->t, tr->mode, pc, in);
    }
    if (!first && (result != DECODE_OK || x86_page_of(tr, in->next_pc - 1) != x86_page_of(tr, pc))) {
        return false; /* begins a block of its own, which then faults or spans pages */
    }
    ir_insn_start(tr->ir, pc);
    if (tr->mode & MODE_BREAKPOINTS) { /* while it is known that MOV SS was before */
        X86_CALL1(tr, check_breakpoint, linear_pc(tr, pc));
    }
    if (first) {
        begin(tr, pc);
    }
    if (result != DECODE_FETCH) {
        add_to_slot(tr, SLOT_PMU_LEFT, -1);
    }
    if (tr->mode & MODE_COUNT && result == DECODE_OK && x86_is_branch(in)) {
        add_to_slot(tr, SLOT_PMU_BRANCHES, 1);
    }
    tr->n_insns++;
    tr->next_pc = in->next_pc;
    switch (result) {
    case DECODE_OK:
        translate_insn(tr, in);
        break;
    case DECODE_TOO_LONG:
        in->next_pc = pc + 15;
        x86_gp0(tr);
        break;
    case DECODE_FETCH:
        in->next_pc = pc + 1;
        X86_CALL1(tr, raise_fetch_fault, linear_pc(tr, pc));
        ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
        tr->done = true;
        break;
    }
    return true;
}

void x86_translate(Translation *t)
{
    X86Translator tr;
    uint64_t pc = t->key->pc;
    X86Insn in;

    set_mode(&tr, t);
    t->ir->use_sites = tr.cpl == 3; /* MMU_USER, which no other code runs in */
    t->ir->narrow = !(tr.mode & MODE_LMA); /* 64-bit code may have left anything above, and has pages there */
    t->ir->steady_slots = 1u << SLOT_SP | 1u << SLOT_BP;
    tr.next_known = t->next_known ? t->next_known : NOWHERE;
    tr.limit = x86_each_insn_exits(&tr) ? 1 : CLAMP(t->max_insns, 1, MAX_INSNS);
    if (!(tr.mode & MODE_SHADOW)) {
        ir_poll(t->ir, pc); /* an interrupt cannot be taken in a shadow: polling would not end */
    }
    if (tr.mode & MODE_COUNT) {
        x86_look_at_counters(&tr, pc);
    }
    while (!tr.done) {
        if (translation_breaks_at(t, pc)) {
            x86_end_main(&tr, pc, TCG_EXIT_DEBUG);
            break;
        }
        if (pc == tr.next_known || x86_is_full(&tr, pc) || tr.n_side_exits >= X86_MAX_SIDE_EXITS || (tr.n_followed && pc == t->key->pc) ||
            tr.n_cold + X86_COLD_PER_INSN > X86_COLD_LIMIT || x86_page_of(&tr, pc) != x86_page_of(&tr, t->key->pc) ||
            !next_insn(&tr, pc, &in)) {
            x86_end_jump(&tr, pc);
            break;
        }
        pc = in.next_pc;
    }
    emit_cold(&tr);
    x86_ends_before(&tr, pc);
    t->n_insns = tr.n_insns;
}
