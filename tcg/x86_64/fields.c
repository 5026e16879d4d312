/*
 * Fields of the state: get and put, and copies of those that fast operations work on, in vector registers.
 *
 * A copy is never newer than the field: operations store their result at once. So copies may be dropped wherever that is
 * simplest, and a cold stub that calls C, which may use vector registers, loads them again.
 */
#include "backend.h"

enum { MOVSD_LOAD = P_F2 | MAP_0F | 0x10, MOVAPS_LOAD = MAP_0F | 0x28 };

void field_get(Context *c, const IrInsn *insn)
{
    int out;

    if (c->values[insn->out].last_use < 0) {
        return;
    }
    out = out_reg(c, insn->out, 0, 0, 0, false);
    asm_load(&c->a, ir_type_size(insn->type), out, mem_state(insn->imm));
    value_set_reg(c, insn->out, out, true);
}

void code_get(Context *c, const IrInsn *insn)
{
    int out;

    if (c->values[insn->out].last_use < 0) {
        return;
    }
    out = out_reg(c, insn->out, 0, 0, 0, false);
    asm_mov_ri(&c->a, out, insn->imm);
    asm_load(&c->a, ir_type_size(insn->type), out, mem_at(out, 0));
    value_set_reg(c, insn->out, out, true);
}

void field_put(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    Mem mem = mem_state(insn->imm);
    int32_t imm;

    xmm_forget(c, insn->imm);
    if (value_imm(c, insn->in[0], size, &imm)) {
        asm_store_imm(&c->a, size, mem, imm);
    } else {
        asm_store(&c->a, size, mem, value_use(c, insn->in[0]));
    }
}

static void load_copy(Context *c, int xmm, int32_t field, bool whole)
{
    asm_op(&c->a, whole ? MOVAPS_LOAD : MOVSD_LOAD, 4, xmm, rm_mem(mem_state(field)));
}

void xmm_forget(Context *c, int32_t field)
{
    for (unsigned mask = c->xmm_valid; mask; mask &= mask - 1) {
        unsigned k = __builtin_ctz(mask);

        if ((c->xmm[k].field ^ field) < 16u && (c->xmm[k].whole || ((c->xmm[k].field ^ field) & 8) == 0)) {
            c->xmm_valid &= ~(1u << k);
        }
    }
}

void xmm_forget_all(Context *c)
{
    c->xmm_valid = 0;
}

int xmm_alloc(Context *c)
{
    unsigned best = 0;
    uint32_t oldest = UINT32_MAX;

    for (unsigned k = 0; k < HOST_XMMS; k++) {
        uint32_t time = c->xmm_valid >> k & 1 ? c->xmm[k].time : 0;

        if (!(c->xmm_locked >> k & 1) && time < oldest) {
            oldest = time;
            best = k;
        }
    }
    c->xmm_valid &= ~(1u << best);
    c->xmm_locked |= 1u << best;
    return best;
}

void xmm_set(Context *c, int xmm, int32_t field, bool whole)
{
    xmm_forget(c, field);
    c->xmm_valid |= 1u << xmm;
    c->xmm[xmm] = (XmmCopy){ .field = field, .whole = whole, .time = ++c->xmm_clock };
}

int xmm_get(Context *c, int32_t field, bool whole)
{
    int xmm;

    for (unsigned mask = c->xmm_valid; mask; mask &= mask - 1) {
        unsigned k = __builtin_ctz(mask);

        if (c->xmm[k].field == field && (c->xmm[k].whole || !whole)) {
            c->xmm[k].time = ++c->xmm_clock;
            c->xmm_locked |= 1u << k;
            return k;
        }
    }
    xmm = xmm_alloc(c);
    load_copy(c, xmm, field, whole);
    xmm_set(c, xmm, field, whole);
    return xmm;
}

Snapshot xmm_snapshot(Context *c)
{
    Snapshot s = { .first = c->n_xmm_saves };

    for (unsigned mask = c->xmm_valid; mask; mask &= mask - 1) {
        unsigned k = __builtin_ctz(mask);

        *CONTEXT_PUSH(c, xmm_saves) = (XmmSave){ k, c->xmm[k].whole, c->xmm[k].field };
        s.count++;
    }
    return s;
}

void xmm_reload(Context *c, Snapshot s)
{
    for (uint32_t k = s.first; k < s.first + s.count; k++) {
        load_copy(c, c->xmm_saves[k].xmm, c->xmm_saves[k].field, c->xmm_saves[k].whole);
    }
}
