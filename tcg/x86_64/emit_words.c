/*
 * Doublewords whose words this block has just stored, which is how PowerPC makes doubles of
 * integers: a host hands a load the data of one store that has not reached the cache yet, not of
 * two, and waits until both have. So both words are loaded.
 *
 * Only on the usual path, which is RAM that this CPU has just written: another CPU that sees a
 * doubleword there sees it change in two steps anyway.
 */
#include "backend.h"

enum { VMOVQ_LOAD = P_F3 | MAP_0F | 0x7e, VPSHUFB = P_66 | MAP_38 | 0x00, VMOVAPS_STORE = MAP_0F | 0x29,
       VMOVSD_STORE = P_F2 | MAP_0F | 0x11,
       VMOVD_LOAD = P_66 | MAP_0F | 0x6e, VPINSRD = P_66 | MAP_3A | 0x22, VMOVQ_TO_GPR = P_66 | MAP_0F | 0x7e };
enum { OTHER_KINDS = IRM_KERNEL | IRM_ALIGNED | IRM_UPDATE };

static bool has_vector_fields(void)
{
    return !backend.target.use_vector_pins && backend.target.use_fp_traps && host_has(HOST_AVX2);
}

/* Both words are stored, and nothing else is there since. */
static bool is_stored_in_words(const Context *c, const IrInsn *load)
{
    enum { NEAR = 64, WORD = 4, FIRST = 1, SECOND = 2 };
    const IrBlock *ir = c->ir;
    uint32_t end = MIN((uint32_t)c->i, NEAR);
    unsigned found = 0;
    int64_t at, offset;
    uint32_t root = root_of(ir, load, &at);

    for (uint32_t k = 1; k <= end && found != (FIRST | SECOND); k++) {
        const IrInsn *insn = &ir->insns[c->i - k];

        if (insn->op == IR_label || insn->op == IR_call) {
            return false;
        }
        if (insn->op != IR_store || root_of(ir, insn, &offset) != root ||
            offset + ir_type_size(insn->type) <= at || offset >= at + 2 * WORD) {
            continue;
        }
        if (insn->type != IR_I32 || (offset != at && offset != at + WORD)) {
            return false;
        }
        found |= offset == at ? FIRST : SECOND;
    }
    return found == (FIRST | SECOND);
}

/* In memory's order: big-endian ones are not swapped yet. */
static void load_words(Context *c, int xmm, Mem from)
{
    Mem second = from;

    second.disp += 4;
    asm_vex(&c->a, VMOVD_LOAD, false, false, xmm, 0, rm_mem(from));
    asm_vex(&c->a, VPINSRD, false, false, xmm, xmm, rm_mem(second));
    asm_byte(&c->a, 1);
}

void emit_loaded_at_once(Context *c, const IrInsn *insn, int out, Mem from)
{
    int xmm;

    if (insn->type != IR_I64 || !has_vector_fields() || !is_stored_in_words(c, insn)) {
        emit_loaded(c, insn, out, from);
        return;
    }
    xmm = xmm_alloc(c);
    load_words(c, xmm, from);
    asm_vex(&c->a, VMOVQ_TO_GPR, true, false, xmm, 0, rm_reg(out));
    if (insn->bits & IRM_BE) {
        swap_bytes(c, 8, out);
    }
}

static bool is_put(const Context *c, uint32_t at)
{
    const IrInsn *insn = &c->ir->insns[at];

    return at < c->ir->n_insns && insn->op == IR_put_field && insn->type == IR_I64;
}

bool load_goes_to_field(const Context *c, const IrInsn *load)
{
    return load->op == IR_load && load->type == IR_I64 && !(load->bits & OTHER_KINDS) && has_vector_fields() && (!c->held || c->group_last) &&
           is_put(c, c->i + 1) && load[1].in[0] == load->out && c->values[load->out].last_use == c->i + 1 && is_stored_in_words(c, load);
}

void vector_loaded(Context *c, const IrInsn *load, int xmm, Mem from, bool in_words)
{
    if (in_words) {
        load_words(c, xmm, from);
    } else {
        asm_vex(&c->a, VMOVQ_LOAD, false, false, xmm, 0, rm_mem(from));
    }
    if (load->bits & IRM_BE) {
        asm_vex(&c->a, VPSHUFB, false, false, xmm, xmm, rm_mem(mem_state(AREA_SWAP)));
    }
}

void vector_put(Context *c, int xmm)
{
    const IrInsn *put = &c->ir->insns[c->i + 1];
    uint64_t other;
    bool both = is_put(c, c->i + 2) && put->imm % 16 == 0 && put[1].imm == put->imm + 8 && ir_is_const(c->ir, (IrVal){ put[1].in[0] }, &other) && !other;

    asm_vex(&c->a, both ? VMOVAPS_STORE : VMOVSD_STORE, false, false, xmm, 0, rm_mem(mem_state(put->imm)));
    xmm_set(c, xmm, put->imm, both, true);
    c->put_until = c->i + (both ? 2 : 1);
}
