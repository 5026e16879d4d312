/* Calls of helpers, branches within the block, and the ways out of it. */
#include "backend.h"

/* An argument, zero-extended, to memory below the state. */
static void store_argument(Context *c, uint32_t id, int32_t area)
{
    const Value *v = &c->values[id];
    unsigned size = ir_type_size(v->type);
    int32_t imm;

    if (v->is_const && fits_s32(v->imm)) {
        value_imm(c, id, 8, &imm);
        asm_store_imm(&c->a, 8, mem_state(area), imm);
    } else if (size == 8 || v->is_const || (size == 4 && v->clean && v->reg != NO_REG)) {
        int reg = value_use(c, id);

        asm_store(&c->a, 8, mem_state(area), reg);
        unlock_reg(c, reg);
    } else {
        int temp;

        if (v->reg != NO_REG) {
            lock_reg(c, v->reg);
        }
        temp = alloc_temp(c);
        value_move_zext(c, id, temp, size);
        asm_store(&c->a, 8, mem_state(area), temp);
        c->locked = 0;
    }
}

/* A helper with EFFECT_SHORTCUT is called out of the way. */
static void emit_shortcut(Context *c, const IrInsn *insn)
{
    const IrHelper *h = &c->ir->helpers[insn->bits];
    ColdStub *s;
    int known, out;

    slots_flush(c, h->reads | h->writes);
    slots_forget(c, h->writes);
    known = value_use(c, insn->in[0]);
    clobber_flags(c);
    asm_test_rr(&c->a, 8, known, known);
    out = out_reg(c, insn->out, insn->in[1], 0, 0, false);
    value_move_to(c, insn->in[1], out, 8);
    s = cold_new(c, COLD_CALL);
    s->insn = insn;
    s->out = out;
    s->jumps[0] = asm_jcc(&c->a, CC_E);
    s->resume = asm_offset(&c->a);
    value_set_reg(c, insn->out, out, false);
}

void cold_shortcut(Context *c, ColdStub *s)
{
    const IrHelper *h = &c->ir->helpers[s->insn->bits];

    patch_jumps(c, s);
    asm_store_imm(&c->a, 8, mem_state(AREA_X0), 0);
    if (s->out != R11) {
        asm_store(&c->a, 8, mem_state(AREA_SAVE1), R11);
    }
    asm_mov_ri(&c->a, R11, (uintptr_t)h->fn);
    thunk_call(c, THUNK_CALL);
    if (s->out != R11) {
        asm_load(&c->a, 8, R11, mem_state(AREA_SAVE1));
    }
    asm_load(&c->a, 8, s->out, mem_state(AREA_X0));
    xmm_reload(c, s->xmms);
    asm_jmp_offset(&c->a, s->resume);
}

void emit_call(Context *c, const IrInsn *insn)
{
    static const int32_t areas[] = { AREA_X0, AREA_X1, AREA_X2, AREA_SAVE0 };
    const IrHelper *h = &c->ir->helpers[insn->bits];
    bool sees_all = h->effects & (EFFECT_FAULT | EFFECT_NORETURN);
    bool writes = h->writes & backend.pinned_slots;
    Thunk thunk = h->effects & EFFECT_FP ? (writes ? THUNK_CALL_FP_WRITES : THUNK_CALL_FP)
                                         : (writes ? THUNK_CALL_WRITES : THUNK_CALL);

    if (h->effects & EFFECT_SHORTCUT) {
        emit_shortcut(c, insn);
        return;
    }
    clobber_flags(c);
    slots_flush(c, sees_all ? UINT64_MAX : h->reads | h->writes);
    for (unsigned k = 0; k < MIN(h->args, 4); k++) {
        if (insn->in[k]) {
            store_argument(c, insn->in[k], areas[k]);
        }
    }
    c->locked = 0;
    lock_reg(c, R11);
    slots_forget(c, h->writes);
    displace(c, R11, true);
    asm_mov_ri(&c->a, R11, (uintptr_t)h->fn);
    thunk_call(c, thunk);
    fault_record(c, asm_offset(&c->a), c->pc, snapshot_take(c, UINT64_MAX));
    unlock_reg(c, R11);
    c->fp_known = FP_LOADED_NOTHING; /* it is loaded again by whoever needs it */
    xmm_forget_all(c);
    if (insn->out && h->result != IR_VOID && c->values[insn->out].last_use >= 0) {
        int out = out_reg(c, insn->out, 0, 0, 0, false);

        asm_load(&c->a, ir_type_size(c->values[insn->out].type), out, mem_state(AREA_X0));
        value_set_reg(c, insn->out, out, true);
    }
}

/* The code that returns an exit to the engine: where its branch leads until it is linked. */
static void exit_stub(Context *c, HostExit *exit)
{
    exit->stub = asm_offset(&c->a);
    thunk_call(c, THUNK_UNCHAINED);
}

static HostExit *exit_new(Context *c, uint64_t pc)
{
    HostExit *exit = &c->block->exits[c->block->n_exits++];

    g_assert(c->block->n_exits <= c->block->max_exits);
    *exit = (HostExit){ .pc = pc, .block = c->block };
    return exit;
}

/*
 * Through the jump cache, if the entry at this distance from R11 is for the pc in R13, where
 * HostBlock.entry wants it.
 */
static void jump_by_entry(Context *c, int32_t entry)
{
    asm_alu_mr(&c->a, ALU_CMP, 8, rm_mem(mem_at(R11, entry)), R13);
    asm_jcc_to(&c->a, CC_NE, backend.thunks[THUNK_SECOND]);
    asm_jmp_mem(&c->a, mem_at(R11, entry + G_STRUCT_OFFSET(JumpCacheEntry, code)));
}

/* To another page: only through the jump cache, whose index is known now. All temporaries are free. */
static void far_jump(Context *c, uint64_t pc)
{
    asm_load(&c->a, 8, R11, mem_state(G_STRUCT_OFFSET(CpuHot, jump_cache)));
    asm_mov_ri(&c->a, R13, pc);
    jump_by_entry(c, jump_cache_index(pc, backend.target.pc_shift) * sizeof(JumpCacheEntry));
}

/* Behind a direct exit's branch: where that leads at first, and for a far one that cannot be linked. */
static void exit_ways(Context *c, HostExit *exit, bool is_far)
{
    exit_stub(c, exit);
    if (is_far) {
        exit->cached = asm_offset(&c->a);
        far_jump(c, exit->pc);
    }
}

/* A chained exit: a jump that the engine links, at first to code out of line. */
static void chained_jump(Context *c, uint64_t pc, bool is_far)
{
    HostExit *exit = exit_new(c, pc);

    asm_place_branch(&c->a, 5, 1);
    exit->patch = asm_jmp(&c->a);
    if (c->out_of_line) {
        exit_ways(c, exit, is_far);
    } else {
        ColdStub *stub = cold_new(c, COLD_EXIT);

        stub->exit = exit;
        stub->imm = pc;
    }
}

static void find_entry(Asm *a)
{
    asm_zext_rr(a, 2, R11, R13); /* jump_cache_index() */
    asm_shift_imm(a, SH_SHL, 4, R11, 4 - backend.target.pc_shift);
    asm_alu(a, ALU_ADD, 8, R11, rm_mem(mem_state(G_STRUCT_OFFSET(CpuHot, jump_cache))));
}

/* The same to the pc in R13. Most blocks have one, and it is always the same code. */
static void lookup_jump(Context *c)
{
    enum { ROOM = 32, JUMP_SIZE = 4 /* the last one, behind the branch out */ };
    static uint8_t code[ROOM];
    static unsigned size;
    Asm *a = &c->a;

    if (a->dodge || !size) {
        uint8_t *start = a->p;

        find_entry(a);
        jump_by_entry(c, 0);
        if (!a->dodge) {
            size = a->p - start;
            g_assert(size <= ROOM);
            memcpy(code, start, size);
        }
        return;
    }
    memcpy(a->p, code, ROOM);
    a->p += size - JUMP_SIZE;
    asm_rel32(a->p - 4, backend.thunks[THUNK_SECOND], a->to_exec);
    a->p += JUMP_SIZE;
    a->fusible = NULL;
}

void pc_to_r13(Asm *a, unsigned pic_bits, uint64_t pc)
{
    const Mem page = mem_state(G_STRUCT_OFFSET(CpuHot, pic_page));

    if (!pic_bits) {
        asm_mov_ri(a, R13, pc);
    } else if (pic_bits == 32 || fits_s32(pc)) {
        asm_load(a, 8, R13, page);
        asm_alu_ri(a, ALU_ADD, pic_bits / 8, rm_reg(R13), (int32_t)pc);
    } else {
        asm_mov_ri(a, R13, pc);
        asm_alu(a, ALU_ADD, 8, R13, rm_mem(page));
    }
}

static void jump_out(Context *c, uint64_t pc)
{
    bool is_far = c->far_exit(c->opaque, pc);

    if (is_far && c->ir->pic_bits) {
        pc_to_r13(&c->a, c->ir->pic_bits, pc);
        lookup_jump(c);
    } else if (is_far && !c->ir->links_far) {
        far_jump(c, pc);
    } else {
        chained_jump(c, pc, is_far);
    }
}

static void drop_dirty(Context *c)
{
    for (uint64_t mask = c->dirty; mask; mask &= mask - 1) {
        Slot *s = &c->slots[__builtin_ctzll(mask)];

        s->dirty = false;
        c->values[s->value].refs--;
        value_release(c, s->value);
    }
    c->dirty = 0;
}

static void flush_for_exit(Context *c)
{
    snapshot_flush(c, snapshot_take(c, c->live_slots[c->i]));
}

static void emit_exit_lookup(Context *c, const IrInsn *insn)
{
    uint32_t id = insn->in[0];

    /* The target first, where no flush disturbs it. */
    if (c->values[id].is_const) {
        flush_for_exit(c);
        far_jump(c, c->values[id].imm);
        return;
    }
    slots_flush(c, c->live_slots[c->i]);
    c->locked = 0;
    value_move_zext(c, id, R13, MIN(ir_type_size(insn->type), ir_type_size(c->values[id].type)));
    lookup_jump(c);
}

static bool is_loop_edge(const Context *c)
{
    return c->loop.edge && c->loop.edge == (uint32_t)c->i;
}

/* cmp dword [rsp + 0], 0 in five bytes: tcg_retire replaces just these at a block's start. */
static void look_for_poll(Asm *a)
{
    asm_byte(a, 0x83);
    asm_byte(a, 0x7c);
    asm_byte(a, 0x24);
    asm_byte(a, 0);
    asm_byte(a, 0);
}

/*
 * From the edge of the first copy. Where nothing says how many iterations are left, the first copy makes so many as
 * the checks before the second one cost: many loops of that kind end sooner.
 */
static void jump_on_in_loop(Context *c)
{
    Asm *a = &c->a;

    if (c->loop.at_start) {
        asm_jmp_offset(a, c->block->inner);
        return;
    }
    asm_alu_ri(a, ALU_SUB, 4, rm_mem(mem_state(AREA_LOOP_TRIPS)), 1);
    c->loop.entry = asm_jcc(a, CC_E);
    look_for_poll(a);
    asm_patch(a, asm_jcc(a, CC_L), 0);
    asm_jmp_offset(a, c->loop.again);
}

static void emit_exit_jump(Context *c, const IrInsn *insn)
{
    if (is_loop_edge(c) && c->loop.running) {
        loop_edge(c, insn);
        return;
    }
    flush_for_exit(c);
    if (is_loop_edge(c)) {
        jump_on_in_loop(c);
    } else {
        jump_out(c, insn->imm);
    }
    drop_dirty(c);
}

static void emit_exit_if(Context *c, const IrInsn *insn)
{
    enum { JCC_SIZE = 6 };
    ColdStub *stub;
    IrCc cc;

    if (is_loop_edge(c)) {
        carry_again(c);
    }
    cc = need_condition(c, insn->in[0], insn->bits & 15);
    stub = cold_new(c, COLD_EXIT);
    stub->imm = insn->imm;
    stub->snapshot = snapshot_take(c, c->live_slots[c->i]);
    stub->is_loop = is_loop_edge(c);
    if (stub->is_loop && c->loop.at_start && stub->snapshot.count == 0) {
        c->n_cold--; /* straight there */
        asm_patch(&c->a, asm_jcc(&c->a, cc), c->block->inner);
        carry_leave(c);
        return;
    }
    if (stub->snapshot.count == 0 && !stub->is_loop && !c->xmm_late && !c->late_note && (c->ir->links_far || !c->far_exit(c->opaque, insn->imm))) {
        stub->exit = exit_new(c, insn->imm); /* nothing to store: the branch itself is linked */
        asm_place_branch(&c->a, JCC_SIZE, 2);
        stub->exit->patch = asm_jcc(&c->a, cc);
    } else {
        stub->jumps[0] = asm_jcc(&c->a, cc);
        c->has_near_stubs = true;
    }
    group_exit(c, insn, cc, asm_offset(&c->a) - JCC_SIZE);
    if (is_loop_edge(c)) {
        carry_leave(c);
    }
}

void cold_exit(Context *c, ColdStub *s)
{
    if (s->exit) {
        exit_ways(c, s->exit, c->far_exit(c->opaque, s->imm));
        return;
    }
    patch_jumps(c, s);
    if (!s->is_loop) {
        carry_settle(c, s->before, s->note);
    }
    snapshot_flush(c, s->snapshot);
    if (s->is_loop) {
        jump_on_in_loop(c);
    } else {
        jump_out(c, s->imm);
    }
}

static void emit_poll(Context *c, const IrInsn *insn)
{
    ColdStub *stub;
    Asm *a = &c->a;

    clobber_flags(c);
    if (c->n_carried && c->i == 0 && asm_offset(a) == 0) {
        enum { RETIRE_ALIGN = 8 };

        carry_load(c);
        asm_nop(a, -asm_offset(a) & (RETIRE_ALIGN - 1));
        c->block->inner = asm_offset(a);
    }
    stub = cold_new(c, COLD_POLL);
    stub->imm = insn->imm;
    stub->snapshot = snapshot_take(c, UINT64_MAX);
    look_for_poll(a);
    stub->jumps[0] = asm_jcc(a, CC_L);
    if (c->loop.edge && c->loop.at_start) {
        loop_enter_at_start(c);
    } else if (c->loop.edge) {
        asm_store_imm(a, 4, mem_state(AREA_LOOP_TRIPS), c->loop.shortest);
        c->loop.again = asm_offset(a);
    }
}

void cold_poll(Context *c, ColdStub *s)
{
    patch_jumps(c, s);
    snapshot_flush(c, s->snapshot);
    if (s->imm == c->block->pc) {
        thunk_call(c, THUNK_POLL);
        return;
    }
    asm_mov_ri(&c->a, R11, TCG_EXIT_POLL);
    pc_to_r13(&c->a, c->ir->pic_bits, s->imm);
    asm_jmp_to(&c->a, backend.thunks[THUNK_EXIT_AT]);
}

static void branch_to(Context *c, uint32_t rel32, uint32_t label)
{
    if (c->labels[label] != UINT32_MAX) {
        asm_patch(&c->a, rel32, c->labels[label]);
    } else {
        *CONTEXT_PUSH(c, branches) = (Branch){ rel32, label };
    }
}

/* Behind the block's end is code for what is rare. */
static bool is_behind_end(const IrBlock *ir, const IrInsn *branch)
{
    for (const IrInsn *insn = branch + 1; insn < ir->insns + ir->n_insns; insn++) {
        if (insn->op == IR_exit_jump || insn->op == IR_exit_lookup || insn->op == IR_exit_main) {
            return true;
        }
        if (insn->op == IR_label) {
            return false;
        }
    }
    return false;
}

bool branch_has_stub(const Context *c, const IrInsn *insn)
{
    return (insn->op == IR_brcond || insn->op == IR_brcc) && has_vector_fields() && c->labels[insn->imm] == UINT32_MAX &&
           is_behind_end(c->ir, insn);
}

static void emit_branch(Context *c, const IrInsn *insn)
{
    enum { JCC_SIZE = 6 };
    bool has_stub = branch_has_stub(c, insn);
    Snapshot dirty;
    IrCc cc;

    if (!has_stub) {
        slots_flush(c, UINT64_MAX);
    }
    if (insn->op == IR_brcond) {
        c->locked = 0;
        compare_values(c, ir_type_size(insn->type), insn->in[0], insn->in[1]);
        cc = host_condition(insn->bits);
    } else {
        cc = need_condition(c, insn->in[0], insn->bits & 15);
    }
    dirty = snapshot_take(c, UINT64_MAX);
    if (has_stub && (dirty.count || c->xmm_late || c->late_note)) {
        ColdStub *stub = cold_new(c, COLD_BRANCH);

        stub->imm = insn->imm;
        stub->snapshot = dirty;
        stub->jumps[0] = asm_jcc(&c->a, cc);
    } else {
        branch_to(c, asm_jcc(&c->a, cc), insn->imm);
    }
    group_exit(c, insn, cc, asm_offset(&c->a) - JCC_SIZE);
}

void cold_branch(Context *c, ColdStub *s)
{
    patch_jumps(c, s);
    carry_settle(c, s->before, s->note);
    snapshot_flush(c, s->snapshot);
    branch_to(c, asm_jmp(&c->a), s->imm);
}

static void emit_label(Context *c, uint32_t label)
{
    slots_flush(c, UINT64_MAX);
    values_forget(c);
    c->flags_now = 0;
    c->fp_known = FP_LOADED_NOTHING;
    xmm_forget_all(c);
    c->labels[label] = asm_offset(&c->a);
}

void emit_control(Context *c, const IrInsn *insn)
{
    switch (insn->op) {
    case IR_label:
        emit_label(c, insn->imm);
        break;
    case IR_br:
        slots_flush(c, UINT64_MAX);
        branch_to(c, asm_jmp(&c->a), insn->imm);
        c->flags_now = 0;
        break;
    case IR_brcc:
    case IR_brcond:
        emit_branch(c, insn);
        break;
    case IR_exit_if:
        if (c->loop.running && is_loop_edge(c)) {
            loop_edge(c, insn);
        } else {
            emit_exit_if(c, insn);
        }
        break;
    case IR_exit_jump:
        emit_exit_jump(c, insn);
        break;
    case IR_exit_lookup:
        emit_exit_lookup(c, insn);
        drop_dirty(c);
        break;
    case IR_exit_main:
        flush_for_exit(c);
        asm_mov_ri(&c->a, R11, insn->bits);
        asm_jmp_to(&c->a, backend.thunks[THUNK_EXIT]);
        drop_dirty(c);
        break;
    case IR_poll:
        emit_poll(c, insn);
        break;
    default:
        g_assert_not_reached();
    }
}
