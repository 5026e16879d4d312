/* Compiles one block: a pass backward, a pass forward, then the cold stubs behind. */
#include "backend.h"
#include "util/clear.h"

/* More than any one insn or cold stub needs. */
#define MARGIN 8192

static Context context; /* callers serialise compilation */

ColdStub *cold_new(Context *c, ColdKind kind)
{
    ColdStub *s = CONTEXT_PUSH(c, cold);

    clear_bytes(s, offsetof(ColdStub, sites)); /* those are half of it, and mostly there are none */
    for (unsigned k = 0; k < GROUP_ROOTS; k++) {
        s->sites[k].jump = 0;
    }
    s->kind = kind;
    s->xmms = s->before = xmm_snapshot(c);
    s->note = c->late ? NULL : c->late_note;
    return s;
}

void thunk_call(Context *c, Thunk thunk)
{
    asm_call_to(&c->a, backend.thunks[thunk]);
}

void fault_record(Context *c, uint32_t offset, uint64_t pc, Snapshot snapshot)
{
    *CONTEXT_PUSH(c, faults) = (FaultRecord){ offset, pc, snapshot };
}

/* Nothing is in a register yet, and nothing known. */
static void reset_allocation(Context *c)
{
    static const Value fresh = { .last_use = -1, .reg = NO_REG, .home = -1, .spill = -1, .wish = -1, .cc = CC_UNKNOWN };

    for (uint32_t id = 0; id < c->ir->n_values; id++) {
        c->values[id] = fresh;
        c->values[id].type = c->ir->value_type[id];
    }
    memset(c->slots, 0, c->ir->n_slots * sizeof(*c->slots));
    memset(c->reg_values, 0, sizeof(c->reg_values));
    memset(c->spill_refs, 0, sizeof(c->spill_refs));
    c->dirty = 0;
    c->held = 0;
    c->group_last = 0;
    c->region.active = false;
    memset(c->region.base_in, 0, sizeof(c->region.base_in));
    c->pins_clean = 0;
    c->flags_now = 0;
    c->fp_known = FP_LOADED_NOTHING;
    c->pc = 0;
    c->xmm_valid = 0;
    c->xmm_late = 0;
    c->late_note = NULL;
}

static void prepare(Context *c, IrBlock *ir)
{
    c->ir = ir;
    if (ir->n_values > c->max_values) {
        c->max_values = ir->n_values * 2;
        c->values = g_renew(Value, c->values, c->max_values);
    }
    if (ir->n_insns > c->max_insns) {
        c->max_insns = ir->n_insns * 2;
        c->live_slots = g_renew(uint64_t, c->live_slots, c->max_insns);
        c->dead = g_renew(bool, c->dead, c->max_insns);
    }
    if (ir->n_labels > c->max_labels) {
        c->max_labels = ir->n_labels * 2;
        c->labels = g_renew(uint32_t, c->labels, c->max_labels);
    }
    if (ir->n_labels) {
        memset(c->labels, 0xff, ir->n_labels * sizeof(*c->labels));
    }
    reset_allocation(c);
    c->kept = 0;
    c->loop.running = c->late = false; /* a second copy may have been given up in its middle */
    c->n_members = 0;
    c->site_start = (ir->n_insns ? ir->insns[0].imm : 0) >> 3;
    c->n_sites = 0;
    c->xmm_clock = 0;
    c->put_already = 0;
    c->put_until = 0;
    c->get_until = 0;
    c->store_at = 0;
    c->store_until = 0;
    c->zeros_left = 0;
    c->n_xmm_saves = 0;
    c->has_near_stubs = false;
    c->n_places = c->n_orders = c->n_cold = c->n_faults = c->n_traps = c->n_branches = 0;
    c->temps = backend.temps;
}

enum { PIC_ENTRY = 12 };

/* What comes before a position-independent block's code: the pc in R13 says at which page it runs. */
static void emit_pic_entry(Context *c)
{
    static uint8_t code[PIC_ENTRY]; /* always the same */

    if (code[0] == 0) {
        uint8_t *start = c->a.p;

        asm_alu_ri(&c->a, ALU_AND, 8, rm_reg(R13), -4096);
        asm_store(&c->a, 8, mem_state(G_STRUCT_OFFSET(CpuHot, pic_page)), R13);
        g_assert(c->a.p - start == PIC_ENTRY);
        memcpy(code, start, PIC_ENTRY);
        c->a.p = start;
    }
    memcpy(c->a.p, code, PIC_ENTRY);
    c->a.p += PIC_ENTRY;
}

/* Where the jump cache leads. The code proper, from where offsets count, is aligned, at least as tcg_retire needs it. */
static const uint8_t *emit_entry(Context *c)
{
    enum { ALIGN = 16 };
    unsigned size = c->ir->pic_bits ? PIC_ENTRY : 0;
    const uint8_t *entry = c->a.p += -((uintptr_t)c->a.p + size) % ALIGN;

    if (size) {
        emit_pic_entry(c);
    }
    c->a.start = c->a.p;
    return entry + c->a.to_exec;
}

/* From the usual path to what is out of line, or back. */
static void change_part(Context *c)
{
    AsmRoom now = { c->a.p, c->a.limit };

    c->a.p = c->other.p;
    c->a.limit = c->other.limit;
    c->a.fusible = NULL;
    c->other = now;
    c->out_of_line = !c->out_of_line;
}

/* What address_of may be for. */
static bool may_have_site(IrOp op)
{
    switch (op) {
    case IR_load:
    case IR_store:
    case IR_probe_store:
    case IR_raw:
    case IR_atomic_add:
    case IR_atomic_and:
    case IR_atomic_or:
    case IR_atomic_xor:
    case IR_atomic_xchg:
    case IR_atomic_cmpxchg:
        return true;
    default:
        return false;
    }
}

static unsigned count_accesses(const IrBlock *ir)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < ir->n_insns; i++) {
        n += may_have_site(ir->insns[i].op);
    }
    return n;
}

/* With room for as many exits and sites as there may be, which they fill one by one. */
static HostBlock *block_new(Context *c, unsigned copies)
{
    unsigned exits = c->counts.exits * copies + 1;
    unsigned accesses = c->ir->use_sites ? count_accesses(c->ir) * copies + LOOP_ROOTS + GROUP_ROOTS : 0;
    size_t sites_end = sizeof(HostBlock) + accesses * sizeof(TcgSiteUse);
    HostBlock *block = metadata_room(sites_end + exits * sizeof(HostExit), G_ALIGNOF(HostBlock));

    if (!block) {
        return NULL;
    }
    memset(block, 0, sites_end);
    block->sites = (TcgSiteUse *)(block + 1);
    block->exits = (HostExit *)(block->sites + accesses);
    block->max_exits = exits;
    block->max_sites = accesses;
    block->n_insns = c->counts.insns;
    return block;
}

static void emit_insn(Context *c, const IrInsn *insn)
{
    switch (insn->op) {
    case IR_get:
        slot_get(c, insn);
        break;
    case IR_put:
        slot_put(c, insn);
        break;
    case IR_get8h:
        slot_get8h(c, insn);
        break;
    case IR_put8h:
        slot_put8h(c, insn);
        break;
    case IR_get_field:
        field_get(c, insn);
        break;
    case IR_put_field:
        field_put(c, insn);
        break;
    case IR_load_code:
        code_get(c, insn);
        break;
    case IR_host_counter:
        emit_counter(c, insn);
        break;
    case IR_add:
    case IR_sub:
    case IR_adc:
    case IR_sbb:
    case IR_neg:
    case IR_and:
    case IR_or:
    case IR_xor:
    case IR_andn:
    case IR_not:
    case IR_sext:
    case IR_zext:
        emit_arith(c, insn);
        break;
    case IR_shl:
    case IR_shr:
    case IR_sar:
    case IR_rol:
    case IR_ror:
        emit_shift(c, insn);
        break;
    case IR_shld:
    case IR_shrd:
    case IR_clz:
    case IR_ctz:
    case IR_popcnt:
    case IR_bswap:
        emit_bits(c, insn);
        break;
    case IR_eqb:
        emit_eqb(c, insn);
        break;
    case IR_mul:
    case IR_mulu2:
    case IR_muls2:
    case IR_divu2:
    case IR_divs2:
    case IR_divu2_checked:
    case IR_divs2_checked:
        emit_muldiv(c, insn);
        break;
    case IR_setcond:
    case IR_select:
    case IR_cmp:
    case IR_test:
    case IR_bt:
        emit_compare(c, insn);
        break;
    case IR_order:
        emit_order(c, insn);
        break;
    case IR_setcc:
        emit_setcc(c, insn);
        break;
    case IR_selectcc:
        emit_selectcc(c, insn);
        break;
    case IR_flags_image:
        emit_flags_image(c, insn);
        break;
    case IR_flags_from:
        emit_flags_from(c, insn);
        break;
    case IR_load:
        emit_load(c, insn);
        break;
    case IR_store:
        emit_store(c, insn);
        break;
    case IR_probe_store:
        emit_probe_store(c, insn);
        break;
    case IR_atomic_add:
    case IR_atomic_and:
    case IR_atomic_or:
    case IR_atomic_xor:
    case IR_atomic_xchg:
    case IR_atomic_cmpxchg:
        xmm_forget_all(c);
        emit_atomic(c, insn);
        break;
    case IR_try_copy:
    case IR_try_fill:
        emit_string(c, insn);
        break;
    case IR_fence:
        asm_byte(&c->a, 0x0f);
        asm_byte(&c->a, 0xae);
        asm_byte(&c->a, insn->imm == FENCE_LOADS ? 0xe8 : insn->imm == FENCE_STORES ? 0xf8 : 0xf0);
        break;
    case IR_raw:
        emit_raw(c, insn);
        break;
    case IR_fast:
        emit_fast(c, insn);
        break;
    case IR_call:
        emit_call(c, insn);
        break;
    default:
        emit_control(c, insn);
    }
}

/* Operations whose inputs turned out to be constants only now that nobody wants their flags. */
static bool fold(Context *c, const IrInsn *insn)
{
    unsigned inputs = ir_op_inputs(insn->op);
    uint64_t in[4] = { 0 }, out[2];
    uint32_t flags;

    if (!inputs || !c->values[insn->in[0]].is_const || !ir_op_pure(insn->op) || ir_op_outputs(insn->op) != 1 || flags_wanted(c, insn)) {
        return false;
    }
    for (unsigned k = 0; k < inputs; k++) {
        const Value *v = &c->values[insn->in[k]];

        if (!v->is_const) {
            return false;
        }
        in[k] = v->imm;
    }
    ir_eval(insn, in, out, &flags);
    c->values[insn->out].is_const = true;
    c->values[insn->out].imm = out[0] & ir_mask(c->values[insn->out].type);
    return true;
}

static inline void release_value(Context *c, uint32_t id)
{
    if (id && c->values[id].last_use <= c->i) { /* most live on */
        value_release(c, id);
    }
}

static inline void release_values(Context *c, const IrInsn *insn)
{
    unsigned inputs = ir_op_inputs(insn->op);

    for (unsigned k = 0; k < inputs; k++) {
        release_value(c, insn->in[k]);
    }
    if (insn->out) {
        unsigned outputs = ir_op_outputs(insn->op) + ir_insn_defines_flags(insn);

        for (unsigned k = 0; k < outputs; k++) {
            release_value(c, insn->out + k);
        }
    }
}

static void emit_cold(Context *c, ColdStub *s)
{
    for (unsigned k = 0; k < GROUP_ROOTS && c->ir->use_sites && s->kind != COLD_UNALIGNED; k++) {
        if (s->sites[k].jump) {
            s->jumps[2 * k] = cold_site(c, &s->sites[k]);
        }
    }
    switch (s->kind) {
    case COLD_LOAD: cold_load(c, s); break;
    case COLD_UPDATE: cold_update(c, s); break;
    case COLD_GROUP: cold_group(c, s); break;
    case COLD_REGION: cold_region(c, s); break;
    case COLD_REGION_CHECK: break; /* its jump is the region's */
    case COLD_STORE: cold_store(c, s); break;
    case COLD_PROBE: cold_probe(c, s); break;
    case COLD_ATOMIC: cold_atomic(c, s); break;
    case COLD_UNALIGNED: cold_unaligned(c, s); break;
    case COLD_RAW: cold_raw(c, s); break;
    case COLD_FAST: cold_fast(c, s); break;
    case COLD_FP_LOAD: cold_fp_load(c, s); break;
    case COLD_CALL: cold_shortcut(c, s); break;
    case COLD_EXIT: cold_exit(c, s); break;
    case COLD_BRANCH: cold_branch(c, s); break;
    case COLD_POLL: cold_poll(c, s); break;
    case COLD_DIV: cold_div(c, s); break;
    case COLD_STRING: cold_string(c, s); break;
    }
}

static bool has_room(const Context *c)
{
    return c->a.limit - c->a.p > MARGIN;
}

static bool emit_insns(Context *c)
{
    const IrInsn *insns = c->ir->insns;
    uint32_t n = c->ir->n_insns;
    const bool *dead = c->dead;

    c->a.dodge = host_has(HOST_JCC_ERRATUM);
    for (uint32_t i = 0; i < n; i++) {
        const IrInsn *insn = &insns[i];

        c->i = i;
        if (insn->op == IR_insn_start) {
            c->pc = insn->imm;
            continue;
        }
        if (dead[i]) {
            continue;
        }
        if (insn->op == IR_const) { /* it is no code, and has a use further on */
            c->values[insn->out].is_const = true;
            c->values[insn->out].imm = insn->imm & ir_mask(insn->type);
            continue;
        }
        if (!has_room(c)) {
            return false;
        }
        c->locked = 0;
        c->xmm_locked = 0;
        if (!fold(c, insn)) {
            emit_insn(c, insn);
        }
        release_values(c, insn);
    }
    return true;
}

/* Branches out whose slots must be stored first: they are taken as often as not, so they stay near. */
static bool is_near(const ColdStub *s)
{
    return s->kind == COLD_EXIT && !s->exit;
}

static bool emit_stubs(Context *c, uint32_t from, bool near)
{
    for (uint32_t k = from; k < c->n_cold; k++) {
        if (!has_room(c)) {
            return false;
        }
        if (is_near(&c->cold[k]) == near) {
            emit_cold(c, &c->cold[k]);
        }
    }
    return has_room(c);
}

/* Ends in the other part. */
static bool emit_all_cold(Context *c, uint32_t from)
{
    c->a.dodge = false;
    if (c->has_near_stubs && !emit_stubs(c, from, true)) {
        return false;
    }
    change_part(c);
    return emit_stubs(c, from, false);
}

/*
 * The loop's body by itself: without the poll, and with an exit to what comes behind it. Addresses that the
 * operands do not need are computed no more.
 */
static void cut_loop(Context *c, IrBlock *body)
{
    const Loop *l = &c->loop;

    *body = *c->ir;
    body->n_insns = l->edge + 1 + l->conditional;
    c->body_insns = g_renew(IrInsn, c->body_insns, body->n_insns);
    body->insns = c->body_insns;
    memcpy(body->insns, c->ir->insns, (l->edge + 1) * sizeof(*body->insns));
    body->insns[0].op = IR_insn_start;
    if (l->conditional) {
        body->insns[l->edge + 1] = (IrInsn){ .op = IR_exit_jump, .type = IR_VOID, .imm = l->next_pc };
    }
    for (unsigned k = 0; k < l->n_accesses; k++) {
        if (l->accesses[k].root >= 0 && l->roots[l->accesses[k].root].by_slot) {
            body->insns[l->accesses[k].insn].in[0] = 0;
        }
    }
}

/* The second copy of a loop's body, see emit_loop.c. */
static bool emit_loop(Context *c)
{
    uint32_t first_cold = c->n_cold;
    IrBlock *whole = c->ir, body;
    bool done;

    cut_loop(c, &body);
    c->ir = &body;
    reset_allocation(c);
    c->loop.running = true;
    liveness(c);
    loop_enter(c);
    c->kept = c->loop.bases;
    c->pins_clean = c->loop.pins_clean;
    done = emit_insns(c) && emit_all_cold(c, first_cold);
    if (done) {
        cold_loop(c);
        change_part(c);
    }
    c->loop.running = false;
    c->late = false;
    c->xmm_late = 0;
    c->kept = 0;
    c->ir = whole;
    return done;
}

static bool emit_all(Context *c)
{
    if (!emit_insns(c)) {
        return false;
    }
    c->block->usual_size = asm_offset(&c->a);
    if (!emit_all_cold(c, 0)) {
        return false;
    }
    change_part(c);
    if (c->loop.edge && !emit_loop(c)) {
        return false;
    }
    for (uint32_t k = 0; k < c->n_branches; k++) {
        asm_patch(&c->a, c->branches[k].rel32, c->labels[c->branches[k].label]);
    }
    return true;
}

/* What is known only now, behind the rest; there are mostly fewer exits than there might have been. False: no room. */
static bool finish_metadata(Context *c)
{
    HostBlock *block = c->block;
    uint32_t map = fault_map_encode(c), traps = c->n_traps * sizeof(*c->traps);
    uint8_t *end = (uint8_t *)(block->exits + block->n_exits);

    if (!metadata_room(end - (uint8_t *)block + traps + map, G_ALIGNOF(HostBlock))) {
        return false;
    }
    block->max_exits = block->n_exits;
    block->n_traps = c->n_traps;
    if (traps) {
        block->traps = memcpy(end, c->traps, traps);
    }
    block->fault_map = memcpy(end + traps, c->map, map);
    block->fault_map_size = map;
    metadata_keep(end + traps + map);
    return true;
}

/* A block begins with its poll or its first instruction, in any order; if it has neither, its pc is the engine's to say. */
static uint64_t start_pc(const IrBlock *ir)
{
    uint64_t pc = 0;

    for (uint32_t i = 0; i < MIN(ir->n_insns, 2); i++) {
        if (ir->insns[i].op == IR_poll || (ir->insns[i].op == IR_insn_start && !i)) {
            pc = ir->insns[i].imm;
        }
    }
    return pc;
}

static HostBlock *compile(Context *c, IrBlock *ir, bool (*far_exit)(void *opaque, uint64_t pc), void *opaque)
{
    HostBlock *block;
    const uint8_t *entry, *cold;

    prepare(c, ir);
    c->far_exit = far_exit;
    c->opaque = opaque;
    fold_addresses(c);
    liveness(c);
    buffer_begin(&c->a, &c->other);
    c->out_of_line = false;
    if (!has_room(c)) {
        return NULL;
    }
    cold = c->other.p + c->a.to_exec;
    entry = emit_entry(c);
    block = c->block = block_new(c, loop_plan(c) ? 2 : 1);
    if (!block) {
        return NULL;
    }
    carry_plan(c);
    block->pc = start_pc(ir);
    if (!emit_all(c)) {
        return NULL;
    }
    block->code = c->a.start + c->a.to_exec;
    block->entry = entry;
    block->pic_bits = ir->pic_bits;
    block->size = asm_offset(&c->a);
    block->cold = cold;
    block->cold_size = c->other.p + c->a.to_exec - cold;
    for (unsigned k = 0; k < block->n_exits; k++) {
        asm_patch(&c->a, block->exits[k].patch, block->exits[k].stub);
    }
    if (!finish_metadata(c)) {
        return NULL;
    }
    buffer_end(&c->a, &c->other);
    return block;
}

/* Something in its body wants more. */
static void give_loop_fewer_registers(Context *c)
{
    if (c->loop_bases) {
        c->loop_bases--;
    } else {
        c->loop_wanted = false;
    }
}

HostBlock *tcg_compile(IrBlock *ir, bool (*far_exit)(void *opaque, uint64_t pc), void *opaque)
{
    Context *c = &context;

    c->max_roots = GROUP_ROOTS;
    c->loop_wanted = true;
    c->late_failed = false;
    c->loop_bases = LOOP_BASES;
    if (setjmp(c->out_of_registers)) { /* from the start, with fewer registers that are held */
        if (c->late_failed && c->late) {
            c->late = false;
        } else if (c->loop.running) {
            give_loop_fewer_registers(c);
        } else {
            c->max_roots--;
        }
    }
    return compile(c, ir, far_exit, opaque);
}

size_t tcg_metadata_size(const HostBlock *block)
{
    return sizeof(*block) + block->max_exits * sizeof(*block->exits) + block->max_sites * sizeof(*block->sites) + block->fault_map_size +
           block->n_traps * sizeof(*block->traps);
}
