/* Registers, addresses and helper calls for emitters. */
#include "target/ppc/insns.h"

IrVal ppc_const(PpcTranslator *tr, IrType type, uint64_t value)
{
    return ir_const(tr->ir, type, value);
}

IrVal ppc_pc(PpcTranslator *tr, IrType type, uint64_t pc)
{
    IrType sum_type = MIN(type, tr->address); /* sums wrap at 32 bits in 32-bit mode */
    IrVal sum;

    if (!tr->t->key->pic_bits) {
        return ppc_const(tr, type, pc);
    }
    sum = ir_op2(tr->ir, IR_add, sum_type, ir_get(tr->ir, sum_type, SLOT_PIC_PAGE), ppc_const(tr, sum_type, pc & ir_mask(sum_type)));
    return type == sum_type ? sum : ir_zext(tr->ir, type, sum_type, sum);
}

static IrVal shifted(PpcTranslator *tr, IrType type, IrVal value, unsigned shift)
{
    return shift ? ir_op2(tr->ir, IR_shl, type, value, ppc_const(tr, IR_I8, shift)) : value;
}

IrVal ppc_si(PpcTranslator *tr, const PpcInsn *in, IrType type, unsigned shift)
{
    IrVal value;

    if (!in->loaded.id) {
        return ppc_const(tr, type, (uint64_t)F_SI(in) << shift);
    }
    value = shifted(tr, IR_I32, in->loaded, 16);
    value = ir_op2(tr->ir, IR_sar, IR_I32, value, ppc_const(tr, IR_I8, 16));
    return shifted(tr, type, type == IR_I64 ? ir_sext(tr->ir, type, IR_I32, value) : value, shift);
}

IrVal ppc_ui(PpcTranslator *tr, const PpcInsn *in, IrType type, unsigned shift)
{
    IrVal value;

    if (!in->loaded.id) {
        return ppc_const(tr, type, (uint64_t)F_UI(in) << shift);
    }
    value = ir_op2(tr->ir, IR_and, IR_I32, in->loaded, ppc_const(tr, IR_I32, 0xffff));
    return shifted(tr, type, type == IR_I64 ? ir_zext(tr->ir, type, IR_I32, value) : value, shift);
}

IrVal ppc_gpr_as(PpcTranslator *tr, IrType type, unsigned n)
{
    return ir_get(tr->ir, type, SLOT_R0 + n);
}

IrVal ppc_gpr(PpcTranslator *tr, unsigned n)
{
    return ppc_gpr_as(tr, tr->width, n);
}

IrVal ppc_gpr_zero_extended(PpcTranslator *tr, unsigned n)
{
    /* The slots of 32-bit processors have zeros there. */
    return tr->is64 ? ir_zext(tr->ir, IR_I64, IR_I32, ppc_gpr_as(tr, IR_I32, n)) : ppc_gpr_as(tr, IR_I64, n);
}

IrVal ppc_gpr_or_0(PpcTranslator *tr, unsigned n)
{
    return n ? ppc_gpr(tr, n) : ppc_const(tr, tr->width, 0);
}

void ppc_put_gpr(PpcTranslator *tr, unsigned n, IrVal value)
{
    ir_put(tr->ir, tr->width, SLOT_R0 + n, tr->guarded ? ppc_guarded_value(tr, value, ppc_gpr(tr, n)) : value);
}

IrVal ppc_base(PpcTranslator *tr, unsigned ra)
{
    return ra ? ppc_gpr_as(tr, tr->address, ra) : ppc_const(tr, tr->address, 0);
}

IrVal ppc_address_x(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal rb = ppc_gpr_as(tr, tr->address, F_RB(in));

    return F_RA(in) ? ir_op2(tr->ir, IR_add, tr->address, ppc_base(tr, F_RA(in)), rb) : rb;
}

IrVal ppc_address_xu(PpcTranslator *tr, const PpcInsn *in)
{
    return ir_op2(tr->ir, IR_add, tr->address, ppc_gpr_as(tr, tr->address, F_RA(in)),
                  ppc_gpr_as(tr, tr->address, F_RB(in)));
}

void ppc_put_address(PpcTranslator *tr, unsigned ra, IrVal address)
{
    ir_put(tr->ir, tr->address, SLOT_R0 + ra, address);
}

IrVal ppc_arg(PpcTranslator *tr, IrVal value, IrType type)
{
    return type == IR_I64 ? value : ir_zext(tr->ir, IR_I64, type, value);
}

IrVal ppc_call(PpcTranslator *tr, PpcHelper helper, IrVal a, IrVal b, IrVal c, IrVal d)
{
    const IrHelper *h = &ppc_helpers[helper];

    if (h->writes & SLOTS_CR) {
        ppc_cr_forget(tr);
    }
    if (h->writes & SLOT_MASK(SLOT_CA)) {
        tr->carry = (IrVal){ 0 };
    }
    return ir_call(tr->ir, helper, a, b, c, d);
}
