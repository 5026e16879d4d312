/*
 * Whether anyone will want the lazy description of the flags, by a look at the next instructions.
 *
 * Flags are dead if they are overwritten before an instruction reads them. A fault or an interrupt
 * in between shows older flags to its handler; nothing uses them behind its return either. The price
 * of keeping them would be stores at each load that follows an addition.
 *
 * Readers in the same block have the IR value, so flags may be dead although they are read, as long
 * as nothing can leave the block between: a block that begins behind that would read the slots.
 *
 * What was looked at may change: the block is made anew then, as if it had these bytes itself (translation_relies_on).
 */
#include "target/x86/insns.h"

/* Instructions. FP_AHEAD: with those of the FPU and the vector unit, among which flags are read and overwritten seldom. */
enum { LOOK_AHEAD = 8, LOOP_AHEAD = 24 /* for the edge of a loop, which is worth it */, FP_AHEAD = 32 };
enum { OWN_RUNS = 14 /* of bytes that the block itself may be made of, and look on from */ };

uint64_t x86_page_of(const X86Translator *tr, uint64_t pc)
{
    uint64_t linear = tr->cs_base + pc;

    return (tr->cs64 ? linear : (uint32_t)linear) >> 12;
}

/* Decodes ahead, on the block's page only: fetching from others has effects. */
static const X86Insn *look(X86Translator *tr, uint64_t pc)
{
    unsigned n = pc % X86_AHEAD;
    X86Insn *in = &tr->ahead[n];

    if (tr->ahead_valid >> n & 1 && in->pc == pc) {
        return in;
    }
    if (x86_page_of(tr, pc) != tr->page || x86_page_of(tr, pc + 15) != tr->page) {
        return NULL;
    }
    tr->ahead_valid &= ~(1u << n);
    if (x86_decode(tr->t, tr->mode, pc, in) != DECODE_OK || !in->row->emit) {
        return NULL;
    }
    tr->ahead_valid |= 1u << n;
    return in;
}

const X86Insn *x86_looked_at(const X86Translator *tr, uint64_t pc)
{
    unsigned n = pc % X86_AHEAD;

    return tr->ahead_valid >> n & 1 && tr->ahead[n].pc == pc ? &tr->ahead[n] : NULL;
}

/* Shifts by a constant that is not zero define all flags. */
static bool is_plain_shift(const X86Insn *in)
{
    unsigned count = in->row->operand[1] == O_1 ? 1 : in->row->operand[1] == O_Ib ? in->imm & 31 : 0;

    return in->row->emit == x86_emit_shift && in->row->op >= SHIFT_SHL && count;
}

/* The same of two registers, but for those of 16 bits, which are made of others. */
static bool is_plain_double_shift(const X86Insn *in)
{
    return (in->row->emit == x86_emit_shld || in->row->emit == x86_emit_shrd) && in->row->operand[2] == O_Ib && in->type >= IR_I32 &&
           in->imm & 31;
}

static bool is_adc(const X86Insn *in)
{
    return in->row->emit == x86_emit_alu && (in->row->op == ALU_ADC || in->row->op == ALU_SBB);
}

/* The flags that an instruction reads which then goes on; 0 also for others. */
static unsigned groups_read(const X86Insn *in)
{
    if (in->row->emit == x86_emit_jcc || in->row->emit == x86_emit_setcc || in->row->emit == x86_emit_cmov) {
        return x86_flag_groups(in->opcode & 15);
    }
    return is_adc(in) ? FLAGS_CARRY : 0;
}

enum { FCMOV = 0xda, FCMOV_FCOMI = 0xdb, FCOMIP = 0xdf, UCOMIS = 0x2e, COMIS = 0x2f, STATE = 0xae };

/* (U)COMISS, (U)COMISD, their VEX forms, F(U)COMI and F(U)COMIP, which define all flags, if they are no #UD here. */
static bool is_fp_comparison(const X86Translator *tr, const X86Insn *in)
{
    enum { F_UCOMI = 5, F_COMI = 6 };
    unsigned digit = in->reg & 7;

    if (in->row->emit != x86_emit_fp) {
        return false;
    }
    if (in->map == MAP_ONE) {
        return !in->is_mem && (in->opcode == FCMOV_FCOMI || in->opcode == FCOMIP) && (digit == F_UCOMI || digit == F_COMI) &&
               x86_has(tr->s, FEAT_cmov);
    }
    if (in->map != MAP_0F || (in->opcode != UCOMIS && in->opcode != COMIS)) {
        return false;
    }
    if (in->vex) {
        return (in->vex_pp == 0 || in->vex_pp == 0x66) && in->vvvv_unused && tr->mode & MODE_AVX && x86_has(tr->s, FEAT_avx);
    }
    return !in->rep && !(tr->mode & MODE_EM) && tr->mode & MODE_OSFXSR && x86_has(tr->s, in->opsize ? FEAT_sse2 : FEAT_sse);
}

/* Of the floating-point and vector instructions: all but comparisons, FCMOVcc and what is rare. */
static bool is_fp_without_flags(const X86Insn *in)
{
    if (in->row->emit != x86_emit_fp) {
        return false;
    }
    if (in->map == MAP_ONE) {
        return in->is_mem || (in->opcode != FCMOV && in->opcode != FCMOV_FCOMI && in->opcode != FCOMIP);
    }
    return in->map == MAP_0F && in->opcode != UCOMIS && in->opcode != COMIS && in->opcode != STATE;
}

static bool changes_some(const X86Insn *in)
{
    X86Emit *emit = in->row->emit;

    return emit == x86_emit_inc || emit == x86_emit_dec || emit == x86_emit_bt;
}

/* The block ends before it. */
static bool is_end(const X86Translator *tr, uint64_t pc)
{
    return pc == tr->next_known || translation_breaks_at(tr->t, pc);
}

/* Whether the block may be left at an instruction that neither reads nor defines all flags. */
static bool may_leave(X86Translator *tr, const X86Insn *in)
{
    X86Emit *emit = in->row->emit;

    if (is_end(tr, in->pc)) {
        return true;
    }
    if (in->is_mem) {
        return emit != x86_emit_lea && emit != x86_emit_nop;
    }
    return !(emit == x86_emit_mov || emit == x86_emit_lea || emit == x86_emit_movzx || emit == x86_emit_movsx ||
             emit == x86_emit_nop || emit == x86_emit_not || emit == x86_emit_inc || emit == x86_emit_dec ||
             emit == x86_emit_bt || emit == x86_emit_xchg || emit == x86_emit_cbw || emit == x86_emit_cwd ||
             emit == x86_emit_bswap);
}

static bool dead_in_other_block(X86Translator *tr, uint64_t pc);

bool x86_is_full(X86Translator *tr, uint64_t pc)
{
    const X86Insn *in;

    if (tr->n_insns < tr->limit) {
        return false;
    }
    return tr->limit == 1 || tr->n_insns >= tr->limit + X86_MORE_READERS || !(in = look(tr, pc)) || !groups_read(in);
}

/* Whether the n-th instruction from here on, which reads flags, will be in this block. */
static bool has_room(const X86Translator *tr, unsigned n, unsigned branches)
{
    unsigned more = n == 0 && tr->limit > 1 ? X86_MORE_READERS : 0;

    return tr->n_insns + n < tr->limit + more && tr->n_side_exits + branches < X86_MAX_SIDE_EXITS &&
           tr->n_cold + X86_COLD_PER_INSN <= X86_COLD_LIMIT;
}

/* Whether it is not the next instruction of this block, which has gone back from there and begins with it. */
static bool is_own_start(const X86Translator *tr, uint64_t pc)
{
    return tr->n_followed && (pc & tr->pc_mask) == tr->t->key->pc;
}

/*
 * How much of an instruction says what it does to flags: others' immediates and displacements may be rewritten all the time. Shifts
 * by zero leave flags alone, and branches have to lead to the same place.
 */
static unsigned telling_bytes(const X86Insn *in)
{
    X86Emit *emit = in->row->emit;

    if (emit == x86_emit_jcc || emit == x86_emit_jmp || emit == x86_emit_call || emit == x86_emit_shift || emit == x86_emit_shld ||
        emit == x86_emit_shrd) {
        return in->length;
    }
    return in->disp_size ? in->disp_at : in->length - x86_immediate_bytes(in);
}

/* The instructions that were looked at, which the block relies on if they leave no reader. */
typedef struct Looked {
    uint64_t end; /* of those in a row behind the one being translated */
    unsigned n;   /* of the others: */
    struct { uint64_t pc; uint8_t size; } other[FP_AHEAD];
} Looked;

static void note(const X86Translator *tr, Looked *l, const X86Insn *in, bool in_a_row)
{
    if (in_a_row) {
        l->end = in->next_pc;
    } else if (tr->n_followed || in->pc < tr->t->key->pc || in->pc >= tr->next_pc) {
        l->other[l->n].pc = in->pc;
        l->other[l->n++].size = telling_bytes(in);
    }
}

static bool rely_on(X86Translator *tr, const Looked *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        if (!translation_relies_on(tr->t, l->other[i].pc, l->other[i].size, OWN_RUNS)) {
            return false;
        }
    }
    tr->ahead_pc = MAX(tr->ahead_pc, l->end);
    return true;
}

/* What was looked at behind the bytes in a row that end here. */
static void rely_on_ahead(X86Translator *tr, uint64_t pc)
{
    const X86Insn *in;

    for (; pc < tr->ahead_pc && (in = look(tr, pc)); pc = in->next_pc) {
        translation_relies_on(tr->t, pc, telling_bytes(in), 0);
    }
    tr->ahead_pc = 0;
}

/* Behind the last byte of all comes address 0. */
static void end_run(X86Translator *tr, uint64_t pc)
{
    uint64_t start = tr->t->key->pc, size = (pc - tr->run_pc) & tr->pc_mask;

    if (tr->run_pc != start && size) {
        translation_relies_on(tr->t, tr->run_pc, size, 0);
    } else if (size > tr->t->end_pc - start) {
        tr->t->end_pc = start + size;
    }
    rely_on_ahead(tr, pc);
}

void x86_goes_on_at(X86Translator *tr, X86Insn *in, uint64_t target)
{
    end_run(tr, in->next_pc);
    tr->run_pc = in->next_pc = target;
}

void x86_ends_before(X86Translator *tr, uint64_t pc)
{
    end_run(tr, pc);
}

/* groups: those for which readers have a value; 0 in another block. in_a_row: pc is behind the instruction that is being translated. */
static bool dead_from(X86Translator *tr, uint64_t pc, unsigned groups, bool in_a_row)
{
    unsigned branches = 0, ahead = pc == tr->t->key->pc ? LOOP_AHEAD : LOOK_AHEAD;
    Looked looked;

    looked.end = 0; /* the rest is not looked at */
    looked.n = 0;
    for (unsigned i = 0; i < ahead; i++) {
        const X86Insn *in = look(tr, pc & tr->pc_mask);
        unsigned reads;

        if (!in) {
            return false;
        }
        note(tr, &looked, in, in_a_row);
        groups = is_own_start(tr, pc) ? 0 : groups;
        reads = groups_read(in);
        if (reads) {
            if (reads & ~groups || in->is_mem || is_end(tr, in->pc) || !has_room(tr, i, branches)) {
                return false;
            }
            if (is_adc(in)) {
                return rely_on(tr, &looked); /* from registers, and defines all */
            }
            if (in->row->emit == x86_emit_jcc) {
                uint64_t target;

                branches++;
                pc = in->next_pc;
                if (!x86_branch_target(tr, in, &target) || !dead_in_other_block(tr, target)) {
                    return false;
                }
                if (target <= in->pc) { /* a loop's second copy is left here for another block */
                    groups = 0;
                }
                continue;
            }
        } else if (in->row->emit == x86_emit_jmp || in->row->emit == x86_emit_call) {
            if (!x86_branch_target(tr, in, &pc)) {
                return false;
            }
            groups = 0;
            in_a_row = false;
            continue;
        } else if (in->row->attr & A_FLW || is_plain_shift(in) || is_plain_double_shift(in) || is_fp_comparison(tr, in)) {
            return rely_on(tr, &looked);
        } else if (!(in->row->attr & A_FLN) && !is_fp_without_flags(in)) {
            return false;
        } else if (changes_some(in) || may_leave(tr, in)) {
            groups = 0;
        }
        if (ahead < FP_AHEAD && in->row->emit == x86_emit_fp) {
            ahead++;
        }
        pc = in->next_pc;
    }
    return false;
}

static bool dead_in_other_block(X86Translator *tr, uint64_t pc)
{
    unsigned n = pc % G_N_ELEMENTS(tr->known);

    if (!(tr->known_valid >> n & 1) || tr->known[n].pc != pc) {
        tr->known_valid |= 1u << n;
        tr->known[n].pc = pc;
        tr->known[n].dead = false; /* for a loop that comes back here */
        tr->known[n].dead = dead_from(tr, pc, 0, false);
        tr->known[n].pc = pc;
    }
    return tr->known[n].dead;
}

/* A block of one instruction may be the one that changes what would be looked at: it was left for that, and is done again. */
static bool exact(const X86Translator *tr)
{
    return tr->keep_flags || tr->mode & MODE_BREAKPOINTS || tr->limit == 1;
}

bool x86_flags_dead_at(X86Translator *tr, uint64_t pc)
{
    return !exact(tr) && dead_in_other_block(tr, pc & tr->pc_mask);
}

/* Whether ZF is read by the next instruction alone, and the other flags by none. */
bool x86_only_zero_flag_wanted(X86Translator *tr)
{
    const X86Insn *in = exact(tr) ? NULL : look(tr, tr->next_pc & tr->pc_mask);
    uint64_t next_pc, target;
    bool jumps;

    if (!in || (in->opcode & 14) != CC_E || in->is_mem || is_end(tr, in->pc) || !has_room(tr, 0, 0) || is_own_start(tr, in->pc)) {
        return false;
    }
    next_pc = in->next_pc;
    jumps = in->row->emit == x86_emit_jcc;
    if (jumps ? !x86_branch_target(tr, in, &target) || !dead_in_other_block(tr, target) : in->row->emit != x86_emit_setcc) {
        return false;
    }
    return dead_from(tr, next_pc, 0, true);
}

bool x86_flags_wanted(X86Translator *tr, unsigned groups)
{
    return exact(tr) || !dead_from(tr, tr->next_pc, groups, true);
}
