/*
 * The second copy of a loop's body, and what comes before it: the TLB checks of the roots, and for how
 * many iterations they stay on their pages. After so many it goes back to the block's start, which looks
 * for interrupts; so it does after an iteration in which another access went the slow way, since that may have
 * changed what is in the TLB. A check that fails leads to the first copy.
 */
#include "backend.h"

enum {
    LONGEST = 1024,   /* iterations between two looks at CpuHot.poll */
    NEAR_WRAP = 8192, /* more than an index register moves meanwhile: a page and what it is off within an iteration */
    TOP_ALIGN = 32,   /* of the second copy */
    MAX_SITE = 256,   /* bytes that one looks after */
    LIMIT = AREA_LOOP, BASES = AREA_LOOP + 8,
};

static Mem base_memory(unsigned root)
{
    return mem_state(BASES + 8 * (int)root);
}

static void give_up_if(Context *c, IrCc cc)
{
    asm_patch(&c->a, asm_jcc(&c->a, cc), c->loop.otherwise);
}

static int pin_of(const Linear *l, unsigned term)
{
    return backend.slot_reg[l->slot[term]];
}

/* The usual sums take one or two instructions: a slot, another one that is scaled or taken off, and a constant. */
static bool emit_short_sum(Context *c, const Linear *l, int64_t add, int to)
{
    unsigned size = ir_type_size(l->type), base = l->n_terms && l->factor[0] != 1, other = !base;
    Mem sum = mem_at(NO_REG, add);

    if (!l->n_terms || l->n_terms > 2 || base >= l->n_terms || l->factor[base] != 1 || !fits_s32(add)) {
        return false;
    }
    if (pin_of(l, base) == NO_REG) { /* a difference of a slot in memory, mostly */
        if (l->n_terms != 2 || l->factor[other] != -1 || pin_of(l, other) == NO_REG) {
            return false;
        }
        asm_load(&c->a, size, to, slot_home(l->slot[base]));
        asm_alu(&c->a, ALU_SUB, size, to, rm_reg(pin_of(l, other)));
        if (add) {
            asm_alu_ri(&c->a, ALU_ADD, size, rm_reg(to), add);
        }
        return true;
    }
    sum.base = pin_of(l, base);
    if (l->n_terms == 1) {
        emit_effective(c, to, sum.base, add, size);
        return true;
    }
    if (l->factor[other] == -1) {
        emit_effective(c, to, sum.base, add, size);
        asm_alu(&c->a, ALU_SUB, size, to, pin_of(l, other) != NO_REG ? rm_reg(pin_of(l, other)) : rm_mem(slot_home(l->slot[other])));
        return true;
    }
    if (l->factor[other] < 0 || pin_of(l, other) == NO_REG) {
        return false;
    }
    sum.index = pin_of(l, other);
    sum.scale = __builtin_ctz(l->factor[other]);
    asm_lea(&c->a, size, to, sum);
    return true;
}

/* to = the sum, plus `more`, of what the slots hold now; scratch changes too. */
static void emit_sum(Context *c, const Linear *l, int64_t more, int to, int scratch)
{
    unsigned size = ir_type_size(l->type);
    int64_t add = l->add + more;
    Asm *a = &c->a;

    if (emit_short_sum(c, l, add, to)) {
        return;
    }
    asm_mov_ri(a, to, size == 4 ? (uint32_t)add : (uint64_t)add);
    for (unsigned k = 0; k < l->n_terms; k++) {
        int from = backend.slot_reg[l->slot[k]], factor = ABS(l->factor[k]);
        Mem sum = { .base = to, .scale = __builtin_ctz(factor) };

        if (from == NO_REG || l->factor[k] < 0) {
            if (from == NO_REG) {
                asm_load(a, size, scratch, slot_home(l->slot[k]));
            } else {
                asm_mov_rr(a, size, scratch, from);
            }
            from = scratch;
        }
        if (l->factor[k] < 0) {
            asm_group3(a, 3, size, rm_reg(scratch)); /* neg */
        }
        sum.index = from;
        asm_lea(a, size, to, sum);
    }
}

void loop_enter_at_start(Context *c)
{
    Loop *l = &c->loop;
    unsigned size = ir_type_size(l->count.type);
    int64_t before = -l->count_step, soon = before * (l->shortest + 1); /* where it ends so soon that it is not worth it */

    emit_sum(c, &l->count, before, R14, R11); /* not 0 in the last iteration, which would look like 2^64 of them */
    asm_alu_ri(&c->a, ALU_CMP, size, rm_reg(R14), soon);
    l->entry = asm_jcc(&c->a, soon > 0 ? CC_A : CC_B);
    l->otherwise = asm_offset(&c->a);
}

/* Whether it compares with the page that it met last. */
static bool is_site(const Context *c, const LoopRoot *r)
{
    return c->ir->use_sites && r->high - r->low < MAX_SITE && !(c->ir->scattered && c->ir->scattered(c->opaque, r->pc));
}

/* R13 = the addend of the page with all of the root's bytes; R14 = the lowest address. */
static void check_root(Context *c, LoopRoot *r)
{
    Address addr = { .reg = R14, .size = 8, .by_page = true };
    Asm *a = &c->a;

    emit_sum(c, &r->sum, r->low, R14, R11);
    if (r->align) {
        asm_lea(a, 4, R13, mem_at(R14, r->align_at - r->low));
        asm_test_imm(a, 1, rm_reg(R13), r->align - 1);
        give_up_if(c, CC_NE);
    }
    if (is_site(c, r)) {
        uint32_t start = asm_offset(a);

        c->pc = r->pc;
        asm_mov_rr(a, 8, R13, R14);
        site_check(c, &r->site, addr, start, 8, r->high - r->low + 1, r->is_store, R13);
        return;
    }
    asm_patch(a, emit_table_check(c, addr, r->high - r->low + 1, r->is_store, R13, R11), c->loop.otherwise);
    asm_load(a, 8, R13, mem_at(R13, 8));
}

/* A 32-bit index register must not wrap while the host adds it in 64 bits. */
static void check_wrap(Context *c, const LoopRoot *r)
{
    if (r->sum.type != IR_I32) {
        return;
    }
    asm_alu_ri(&c->a, ALU_CMP, 4, rm_reg(r->index), -NEAR_WRAP);
    give_up_if(c, CC_AE);
    if (r->lowest < 0 || r->step < 0) {
        asm_alu_ri(&c->a, ALU_CMP, 4, rm_reg(r->index), NEAR_WRAP);
        give_up_if(c, CC_B);
    }
}

/* With 64 bits and nothing but the index register and another one in the sum, that is all the base has besides the addend. */
static bool base_is_short(const LoopRoot *r)
{
    const Linear *sum = &r->sum;

    return r->by_slot && r->index != NO_REG && sum->type == IR_I64 &&
           (sum->n_terms == 1 || (sum->n_terms == 2 && pin_of(sum, pin_of(sum, 0) == r->index) != NO_REG));
}

/* The base, from R13 and R14, which stays. */
static void make_base(Context *c, const LoopRoot *r, unsigned number)
{
    Asm *a = &c->a;

    if (base_is_short(r)) {
        unsigned other = pin_of(&r->sum, 0) == r->index;

        if (r->sum.n_terms == 2) {
            asm_lea(a, 8, R13, (Mem){ .base = R13, .index = pin_of(&r->sum, other), .scale = __builtin_ctz(r->sum.factor[other]) });
        }
        asm_store(a, 8, base_memory(number), R13);
        return;
    }
    if (r->by_slot) {
        asm_lea(a, 8, R13, (Mem){ .base = R13, .index = R14, .disp = -r->low });
    }
    if (r->by_slot && r->index != NO_REG) {
        check_wrap(c, r);
        asm_mov_rr(a, 8, R11, r->index);
        if (r->scale) {
            asm_shift_imm(a, SH_SHL, 8, R11, r->scale);
        }
        asm_alu(a, ALU_SUB, 8, R13, rm_reg(R11));
    }
    asm_store(a, 8, base_memory(number), R13);
}

/* R11 = bytes that the root may go up before it leaves the page. */
static void emit_room(Context *c, const LoopRoot *r)
{
    asm_mov_rr(&c->a, 4, R11, R14);
    asm_alu_ri(&c->a, ALU_AND, 4, rm_reg(R11), 4095);
    if (r->step > 0) {
        asm_group3(&c->a, 3, 4, rm_reg(R11)); /* neg */
        asm_alu_ri(&c->a, ALU_ADD, 4, rm_reg(R11), 4095 - (r->high - r->low));
    }
}

static void divide_by_constant(Context *c, uint32_t step)
{
    enum { PRECISE = 24 }; /* for what is less than 4096 */
    Asm *a = &c->a;

    if ((step & (step - 1)) == 0) {
        asm_shift_imm(a, SH_SHR, 4, R11, __builtin_ctz(step));
        return;
    }
    asm_op(a, 0x69, 8, R11, rm_reg(R11)); /* imul */
    asm_u32(a, ((1u << PRECISE) + step - 1) / step);
    asm_shift_imm(a, SH_SHR, 8, R11, PRECISE);
}

/* R15 = how many more iterations the root stays where it is, if that is less. */
static void limit_iterations(Context *c, const LoopRoot *r)
{
    if (r->step == 0) {
        return;
    }
    emit_room(c, r);
    divide_by_constant(c, ABS(r->step));
    asm_alu(&c->a, ALU_CMP, 4, R11, rm_reg(R15));
    asm_op(&c->a, 0x40 | MAP_0F | CC_B, 4, R15, rm_reg(R11)); /* cmovb */
}

/* R15 iterations after the next one. */
static void make_limit(Context *c, const Loop *l)
{
    Asm *a = &c->a;
    unsigned size = ir_type_size(l->counter_type);

    asm_alu_ri(a, ALU_CMP, 4, rm_reg(R15), l->shortest);
    give_up_if(c, CC_B);
    if (l->counter == NO_REG) {
        asm_alu_ri(a, ALU_ADD, 4, rm_reg(R15), 1);
        asm_store(a, 4, mem_state(LIMIT), R15);
        return;
    }
    asm_op(a, 0x69, 8, R15, rm_reg(R15)); /* imul */
    asm_u32(a, l->counter_step);
    asm_lea(a, size, R15, (Mem){ .base = R15, .index = l->counter, .disp = l->counter_step });
    asm_store(a, 8, mem_state(LIMIT), R15);
}

void loop_enter(Context *c)
{
    Loop *l = &c->loop;
    Asm *a = &c->a;

    if (c->n_carried) { /* where a check fails: a page has been looked for, which may have cost them */
        uint32_t first = l->otherwise;

        l->otherwise = asm_offset(a);
        carry_load(c);
        asm_jmp_offset(a, first);
    }
    carry_begin_late(c);
    asm_patch_here(a, l->entry);
    if (l->fp_level) {
        need_fp(c, l->fp_level);
    }
    for (uint32_t clean = l->pins_clean; clean; clean &= clean - 1) {
        asm_mov_rr(a, 4, __builtin_ctz(clean), __builtin_ctz(clean));
    }
    asm_mov_ri(a, R15, LONGEST - 1);
    for (unsigned k = 0; k < l->n_roots; k++) {
        check_root(c, &l->roots[k]);
        make_base(c, &l->roots[k], k);
        limit_iterations(c, &l->roots[k]);
    }
    make_limit(c, l);
    for (unsigned k = 0; k < l->n_roots; k++) {
        if (l->roots[k].base != NO_REG) {
            asm_load(a, 8, l->roots[k].base, base_memory(k));
        }
    }
    carry_load(c);
    asm_nop(a, -asm_offset(a) & (TOP_ALIGN - 1));
    l->top = asm_offset(a);
}

void cold_loop(Context *c)
{
    for (unsigned k = 0; k < c->loop.n_roots; k++) {
        if (c->loop.roots[k].site.jump) {
            asm_patch(&c->a, cold_site(c, &c->loop.roots[k].site), c->loop.otherwise);
        }
    }
}

void loop_edge(Context *c, const IrInsn *insn)
{
    const Loop *l = &c->loop;
    Snapshot others; /* that the next iteration has no use for: they are stored on the ways out */
    uint32_t leave = 0;
    IrCc cc = CC_E;

    slots_flush(c, c->live_slots[c->i] & orders_postponed(c)); /* changes EFLAGS */
    carry_again(c);
    if (l->conditional) {
        cc = need_condition(c, insn->in[0], insn->bits & 15);
    }
    slots_flush(c, c->live_slots[c->i] & l->live_at_top);
    others = snapshot_take(c, c->live_slots[c->i]);
    if (l->conditional) {
        leave = asm_jcc(&c->a, cc ^ 1);
    }
    if (l->counter == NO_REG) {
        asm_alu_ri(&c->a, ALU_SUB, 4, rm_mem(mem_state(LIMIT)), 1);
    } else {
        asm_alu(&c->a, ALU_CMP, ir_type_size(l->counter_type), l->counter, rm_mem(mem_state(LIMIT)));
    }
    asm_patch(&c->a, asm_jcc(&c->a, CC_NE), l->top);
    snapshot_flush(c, others);
    if (c->late) {
        carry_flush(c);
    }
    asm_jmp_offset(&c->a, 0);
    if (leave) {
        asm_patch_here(&c->a, leave);
    }
    if (leave && c->late) {
        carry_flush(c);
    }
}

void loop_expire(Context *c, int32_t left, int temp)
{
    const Loop *l = &c->loop;

    if (l->counter == NO_REG) {
        asm_store_imm(&c->a, 4, mem_state(LIMIT), 1);
        return;
    }
    asm_lea(&c->a, ir_type_size(l->counter_type), temp, mem_at(l->counter, left));
    asm_store(&c->a, 8, mem_state(LIMIT), temp);
}

Mem loop_operand(Context *c, const IrInsn *insn)
{
    const LoopAccess *access = loop_access(c, c->i);
    const LoopRoot *r = &c->loop.roots[access->root];
    int base = r->base;

    if (base == NO_REG) {
        base = alloc_temp(c);
        asm_load(&c->a, 8, base, base_memory(access->root));
    }
    if (r->by_slot) {
        return (Mem){ .base = base, .index = r->index, .scale = r->scale, .disp = access->disp };
    }
    return loop_address(c, insn, base);
}
