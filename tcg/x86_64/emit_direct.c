/*
 * Loads and stores between memory and fields: doublewords and whole vectors pass through no general register, and what was
 * loaded is at once the copy that operations work on.
 *
 * A vector is two accesses in the IR, one behind the other, and one here; where it goes the slow way they are two again.
 */
#include "backend.h"

enum { VMOVQ_LOAD = P_F3 | MAP_0F | 0x7e, VMOVUPS_LOAD = MAP_0F | 0x10, VMOVUPS_STORE = MAP_0F | 0x11, VPSHUFB = P_66 | MAP_38 | 0x00,
       VPSHUFD = P_66 | MAP_0F | 0x70, VMOVSD_STORE = P_F2 | MAP_0F | 0x11 };
enum { OTHER_KINDS = IRM_KERNEL | IRM_ALIGNED | IRM_UPDATE, SWAP_DOUBLES = 0x4e };

bool has_vector_fields(void)
{
    return !backend.target.use_vector_pins && backend.target.use_fp_traps && host_has(HOST_AVX2);
}

static bool is_op(const Context *c, uint32_t at, IrOp op)
{
    return at < c->ir->n_insns && c->ir->insns[at].op == op && c->ir->insns[at].type == IR_I64;
}

/*
 * Where nothing is between the accesses of a group that a call on their slow way could spoil; up to insn `last`, of the same group. What a loop
 * has checked before is no access of the group, but code between them, which their slow way repeats behind such calls.
 */
static bool may_be_here(const Context *c, uint32_t last)
{
    return has_vector_fields() && (c->group_last ? last <= c->group_last && !loop_covers(c, last) : !c->held);
}

/* Two accesses of the two halves of 16 bytes, which are checked together. */
static bool is_pair(const Context *c, uint32_t first, uint32_t second)
{
    const IrInsn *a = &c->ir->insns[first], *b = &c->ir->insns[second];
    const LoopAccess *x = loop_access(c, first), *y = loop_access(c, second);

    return a->in[0] == b->in[0] && a->bits == b->bits && b->imm == a->imm + 8 && (x ? x->root : -1) == (y ? y->root : -1) &&
           !c->values[a->in[0]].is_const && (!(a->bits & IRM_BE) || host_has(HOST_MOVBE));
}

/* In the other order, as in little-endian mode, the host's doublewords change places, too. */
static bool is_order(const IrInsn *access, uint64_t first, uint64_t second)
{
    return (first ^ second) == 8 && (first < second || !(access->bits & IRM_BE));
}

unsigned load_goes_to_field(const Context *c, const IrInsn *load)
{
    uint32_t i = load - c->ir->insns;

    if (load->op != IR_load || load->type != IR_I64 || load->bits & OTHER_KINDS || !may_be_here(c, i)) {
        return 0;
    }
    if (is_op(c, i + 1, IR_put_field)) {
        return load[1].in[0] == load->out && c->values[load->out].last_use == (int32_t)i + 1 ? 8 : 0;
    }
    return is_op(c, i + 1, IR_load) && is_op(c, i + 2, IR_put_field) && is_op(c, i + 3, IR_put_field) && may_be_here(c, i + 1) &&
                   is_pair(c, i, i + 1) && load[2].in[0] == load->out && load[3].in[0] == load[1].out &&
                   c->values[load->out].last_use == (int32_t)i + 2 && c->values[load[1].out].last_use == (int32_t)i + 3 &&
                   is_order(load, load[2].imm, load[3].imm) ? 16 : 0;
}

void direct_begin(Context *c, const IrInsn *access)
{
    if (access->bits & IRM_BE) {
        xmm_get(c, AREA_SWAP, true);
    }
}

void vector_loaded(Context *c, const IrInsn *load, int xmm, Mem from, bool is_usual)
{
    if (load[1].op == IR_load) {
        if (!(load->bits & IRM_BE) && load[2].imm > load[3].imm) {
            asm_vex(&c->a, VPSHUFD, false, false, xmm, 0, rm_mem(from));
            asm_byte(&c->a, SWAP_DOUBLES);
            return;
        }
        asm_vex(&c->a, VMOVUPS_LOAD, false, false, xmm, 0, rm_mem(from));
    } else if (is_usual && is_stored_in_words(c, load)) {
        load_words(c, xmm, from);
    } else {
        asm_vex(&c->a, VMOVQ_LOAD, false, false, xmm, 0, rm_mem(from));
    }
    if (load->bits & IRM_BE) {
        asm_vex(&c->a, VPSHUFB, false, false, xmm, xmm, is_usual ? rm_reg(xmm_get(c, AREA_SWAP, true)) : rm_mem(mem_state(AREA_SWAP)));
    }
}

/* Of the next insn but for the zero itself, which there need be no register for; 0: it is something else. */
static uint32_t put_of_zero_beside(const Context *c, const IrInsn *put)
{
    uint32_t i = put - c->ir->insns + 1;
    uint64_t value;

    if (is_op(c, i, IR_const)) {
        i++;
    }
    return is_op(c, i, IR_put_field) && put->imm % 16 == 0 && c->ir->insns[i].imm == put->imm + 8 &&
                   ir_is_const(c->ir, (IrVal){ c->ir->insns[i].in[0] }, &value) && !value ? i : 0;
}

uint32_t direct_last_put(const Context *c, const IrInsn *load)
{
    uint32_t i = load - c->ir->insns, other;

    if (load[1].op == IR_load) {
        return i + 3;
    }
    other = put_of_zero_beside(c, &load[1]);
    return other ? other : i + 1;
}

void vector_put(Context *c, int xmm)
{
    const IrInsn *put = &c->ir->insns[c->i + 1];
    bool is_pair = put->op == IR_load, both;
    int32_t field = is_pair ? put[1].imm & ~UINT64_C(8) : put->imm;

    c->put_until = direct_last_put(c, &c->ir->insns[c->i]);
    both = is_pair || c->put_until != (uint32_t)c->i + 1;
    xmm_put(c, xmm, field, is_pair || (both && !c->late), !is_pair); /* late ones have zero beside them in memory */
}

/* The first store of a get_field's value, or of the values of both halves; 0: it goes elsewhere. */
static uint32_t find_store(const Context *c, const IrInsn *get, bool both)
{
    uint32_t i = get - c->ir->insns, at = i + 1 + both;
    const IrInsn *store = &c->ir->insns[at];

    if (both) {
        if (!is_op(c, i + 1, IR_get_field) || !is_order(get, get->imm, get[1].imm)) {
            return 0;
        }
        if (is_op(c, at, IR_probe_store)) {
            at++;
            store++;
        }
    }
    if (!is_op(c, at, IR_store) || store->bits & OTHER_KINDS || store->in[1] != get->out || c->values[get->out].last_use != (int32_t)at) {
        return 0;
    }
    return !both || (is_op(c, at + 1, IR_store) && is_pair(c, at, at + 1) && is_order(store, get->imm, get[1].imm) &&
                     store[1].in[1] == get[1].out && c->values[get[1].out].last_use == (int32_t)at + 1) ? at : 0;
}

bool field_goes_to_store(Context *c, const IrInsn *get)
{
    bool both = xmm_has_copy(c, get->imm & ~UINT64_C(8), true) && find_store(c, get, true);
    uint32_t at;

    if (get->type != IR_I64 || !(both || xmm_has_copy(c, get->imm, false)) || !(at = find_store(c, get, both)) ||
        !may_be_here(c, at + both)) {
        return false;
    }
    c->store_at = at;
    c->store_pair = both;
    c->store_field = get->imm;
    c->get_until = both ? c->i + 1 : 0;
    return true;
}

bool store_is_direct(const Context *c, const IrInsn *insn)
{
    return insn->op == IR_store && c->store_at && insn == &c->ir->insns[c->store_at];
}

int direct_copy(Context *c)
{
    direct_begin(c, &c->ir->insns[c->store_at]);
    return xmm_get(c, c->store_pair ? c->store_field & ~8 : c->store_field, c->store_pair);
}

void vector_stored(Context *c, const IrInsn *store, Mem to)
{
    int from = direct_copy(c), xmm = from;

    if (store->bits & IRM_BE) {
        xmm = xmm_alloc(c);
        asm_vex(&c->a, VPSHUFB, false, false, xmm, from, rm_reg(xmm_get(c, AREA_SWAP, true)));
    } else if (c->store_pair && c->store_field & 8) {
        xmm = xmm_alloc(c);
        asm_vex(&c->a, VPSHUFD, false, false, xmm, 0, rm_reg(from));
        asm_byte(&c->a, SWAP_DOUBLES);
    }
    asm_vex(&c->a, c->store_pair ? VMOVUPS_STORE : VMOVSD_STORE, false, false, xmm, 0, rm_mem(to));
    c->store_until = c->store_pair ? c->store_at + 1 : 0;
    c->store_at = 0;
}
