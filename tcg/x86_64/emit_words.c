/*
 * Doublewords whose words this block has just stored, which is how PowerPC makes doubles of
 * integers: a host hands a load the data of one store that has not reached the cache yet, not of
 * two, and waits until both have. So both words are loaded.
 *
 * Only on the usual path, which is RAM that this CPU has just written: another CPU that sees a
 * doubleword there sees it change in two steps anyway.
 */
#include "backend.h"

enum { VMOVD_LOAD = P_66 | MAP_0F | 0x6e, VPINSRD = P_66 | MAP_3A | 0x22, VMOVQ_TO_GPR = P_66 | MAP_0F | 0x7e };

/* Both words are stored, and nothing else is there since. */
bool is_stored_in_words(const Context *c, const IrInsn *load)
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

void load_words(Context *c, int xmm, Mem from)
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
