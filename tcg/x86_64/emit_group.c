/*
 * Groups: accesses at small distances from one address, one behind the other, share a TLB check.
 *
 * The check is that the whole span lies in one page of the table. Where it fails all of the group
 * goes the slow way, access by access; the code between them is repeated there. So nothing between
 * the first and the last access may leave the block, call or touch other memory.
 */
#include "backend.h"

enum { MAX_SPAN = 256, MAX_MEMBERS = 16, NEAR = 96, MAX_DEPTH = 24 };
enum { OTHER_KINDS = IRM_BE | IRM_ALIGNED | IRM_KERNEL | IRM_UPDATE };

static bool is_plain(const IrInsn *insn)
{
    return (insn->op == IR_load || insn->op == IR_store) && !(insn->bits & OTHER_KINDS);
}

/* The address as a value and a constant. */
static uint32_t root_of(const IrBlock *ir, const IrInsn *access, int64_t *offset)
{
    uint32_t id = access->in[0];

    *offset = access->imm;
    for (unsigned depth = 0; depth < MAX_DEPTH; depth++) {
        const IrInsn *def = &ir->insns[ir->value_def[id]];
        uint64_t add;

        if (def->op != IR_add || def->type != ir->value_type[id] || !ir_is_const(ir, (IrVal){ def->in[1] }, &add) ||
            ir->value_type[def->in[0]] != def->type) {
            break;
        }
        *offset += def->type == IR_I32 ? (int32_t)add : (int64_t)add;
        id = def->in[0];
    }
    return id;
}

/* The last access of the group that begins here, 0 if there is none; *low and *high are the span. */
static uint32_t plan(const Context *c, const IrInsn *first, int64_t *low, int64_t *high)
{
    const IrBlock *ir = c->ir;
    uint32_t end = MIN(ir->n_insns, (uint32_t)c->i + NEAR), last = 0;
    unsigned n = 1;
    int64_t offset;
    uint32_t root = root_of(ir, first, &offset);

    *low = offset;
    *high = offset + ir_type_size(first->type) - 1;
    for (uint32_t i = c->i + 1; i < end && n < MAX_MEMBERS; i++) {
        const IrInsn *insn = &ir->insns[i];

        if (is_plain(insn) && insn->op == first->op && root_of(ir, insn, &offset) == root) {
            int64_t from = MIN(*low, offset), to = MAX(*high, offset + (int64_t)ir_type_size(insn->type) - 1);

            if (to - from >= MAX_SPAN) {
                break;
            }
            *low = from;
            *high = to;
            last = i;
            n++;
        } else if (!may_be_between(insn->op) && insn->op != IR_put && insn->op != IR_put8h &&
                   insn->op != IR_insn_start && !c->dead[i]) {
            break;
        }
    }
    return last;
}

static Member *member_new(Context *c, const IrInsn *insn, Address addr)
{
    Member *m = CONTEXT_PUSH(c, members);

    *m = (Member){ .insn = insn, .addr_reg = addr.reg, .disp = addr.disp, .pc = c->pc };
    return m;
}

/* The access itself, and what is needed to do it the slow way. */
static void emit_access(Context *c, const IrInsn *insn, Address addr, int out)
{
    unsigned size = ir_type_size(insn->type);
    Mem mem = mem_index(c->group_addend, addr.reg, addr.disp);
    Member *m = member_new(c, insn, addr);
    int32_t imm = 0;

    if (insn->op == IR_load) {
        m->out = out;
    } else {
        m->value_is_imm = value_imm(c, insn->in[1], size, &imm);
        m->imm = imm;
        m->value_reg = m->value_is_imm ? NO_REG : value_use(c, insn->in[1]);
    }
    m->keep_flags = c->flags_now && c->values[c->flags_now].last_use > c->i;
    m->snapshot = snapshot_take(c, UINT64_MAX);
    m->at = asm_offset(&c->a);
    if (insn->op == IR_load) {
        emit_loaded(c, insn, out, mem);
    } else if (m->value_is_imm) {
        asm_store_imm(&c->a, size, mem, imm);
    } else {
        asm_store(&c->a, size, mem, m->value_reg);
    }
    m->end = asm_offset(&c->a);
    c->cold[c->group_stub].n_members++;
    if (insn->op == IR_load) {
        value_set_reg(c, insn->out, out, true);
    }
    if ((uint32_t)c->i == c->group_last) {
        c->group_last = 0;
        c->held = 0;
    }
}

/*
 * With zeros above, so that it can be added to the addend. Where there is no check a displacement
 * must wrap at 32 bits: other members may have come to the same page by another sum.
 */
static Address clean_address(Context *c, Address addr, bool checked)
{
    if (addr.size == 4 && (!addr.is_clean || (addr.disp && !checked))) {
        int temp = alloc_temp(c);

        emit_effective(c, temp, addr.reg, addr.disp, 4);
        unlock_reg(c, addr.reg);
        addr = (Address){ .reg = temp, .size = 8, .is_clean = true };
    } else if (addr.size == 4) {
        addr.size = 8;
    }
    return addr;
}

static int load_out(Context *c, const IrInsn *insn)
{
    const Value *v = &c->values[insn->out];

    if (insn->op != IR_load) {
        return NO_REG;
    }
    return v->last_use >= 0 && v->wish >= 0 ? out_reg(c, insn->out, 0, 0, 0, true) : alloc_temp(c);
}

bool emit_group(Context *c, const IrInsn *insn)
{
    int64_t low, high, offset;
    Address addr, span;
    ColdStub *stub;
    uint32_t last;
    int32_t imm;
    int out;

    if (c->group_last) {
        addr = clean_address(c, address_of(c, insn), false);
        emit_access(c, insn, addr, load_out(c, insn));
        return true;
    }
    if (c->held || !is_plain(insn) || c->values[insn->in[0]].is_const || (last = plan(c, insn, &low, &high)) == 0) {
        return false;
    }
    clobber_flags(c);
    addr = clean_address(c, address_of(c, insn), true);
    if (insn->op == IR_store && !value_imm(c, insn->in[1], ir_type_size(insn->type), &imm)) {
        value_use(c, insn->in[1]); /* before the branch out */
    }
    out = insn->op == IR_load && c->values[insn->out].last_use >= 0 && c->values[insn->out].wish >= 0
              ? load_out(c, insn) : NO_REG;
    stub = begin_access(c, insn, COLD_GROUP, insn->op == IR_store);
    c->group_stub = stub - c->cold;
    stub->first_member = c->n_members;
    root_of(c->ir, insn, &offset);
    span = addr;
    span.disp += low - offset;
    c->group_addend = emit_probe(c, stub, span, high - low + 1, insn->op == IR_store, 1).base;
    c->held = 1u << c->group_addend;
    c->group_last = last;
    emit_access(c, insn, addr, out == NO_REG ? load_out(c, insn) : out);
    return true;
}

void cold_group(Context *c, ColdStub *s)
{
    Asm *a = &c->a;
    int scratch = s->temp; /* would have been the addend */

    patch_jumps(c, s);
    for (unsigned k = 0; k < s->n_members; k++) {
        const Member *m = &c->members[s->first_member + k];
        unsigned size = ir_type_size(m->insn->type);

        if (k) {
            repeat_code(c, m[-1].end, m->at);
        }
        if (m->keep_flags) {
            save_flags(c, AREA_X2);
        }
        emit_effective(c, scratch, m->addr_reg, m->disp, c->ir->value_type[m->insn->in[0]] == IR_I32 ? 4 : 8);
        asm_store(a, 8, mem_state(AREA_X0), scratch);
        if (m->insn->op == IR_load) {
            thunk_call(c, sized(THUNK_LOAD1, size));
        } else if (m->value_is_imm) {
            asm_store_imm(a, 8, mem_state(AREA_X1), m->imm);
            thunk_call(c, sized(THUNK_STORE1, size));
        } else {
            asm_store(a, 8, mem_state(AREA_X1), m->value_reg);
            thunk_call(c, sized(THUNK_STORE1, size));
        }
        fault_record(c, asm_offset(a), m->pc, m->snapshot);
        if (m->insn->op == IR_load) {
            emit_loaded(c, m->insn, m->out, mem_state(AREA_X0));
        }
        if (m->keep_flags) {
            restore_flags(c, AREA_X2);
        }
    }
    asm_jmp_offset(a, c->members[s->first_member + s->n_members - 1].end);
}
