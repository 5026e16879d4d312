/* Emits the arithmetic flags: what producers leave in the cc slots, and what consumers get. */
#include "target/x86/insns.h"

unsigned x86_flag_groups(IrCc cc)
{
    switch (cc & ~1) {
    case CC_O:
        return FLAGS_OVERFLOW;
    case CC_B:
        return FLAGS_CARRY;
    case CC_BE:
        return FLAGS_CARRY | FLAGS_REST;
    case CC_L:
    case CC_LE:
        return FLAGS_OVERFLOW | FLAGS_REST;
    default:
        return FLAGS_REST;
    }
}

/* An image, from the slots: all puts of earlier instructions have been emitted. */
static IrVal image_of_slots(X86Translator *tr)
{
    IrBlock *ir = tr->ir;
    IrVal op = ir_zext(ir, IR_I64, IR_I32, ir_get(ir, IR_I32, SLOT_CC_OP));

    return x86_call(tr, HELPER_flags, op, ir_get(ir, IR_I64, SLOT_CC_DST), ir_get(ir, IR_I64, SLOT_CC_SRC), ir_get(ir, IR_I64, SLOT_CC_AUX_DST));
}

static IrVal flags_of_image(X86Translator *tr, IrVal image)
{
    IrVal flags = ir_opf(tr->ir, IR_flags_from, IR_I32, image, (IrVal){0}, (IrVal){0}).flags;

    tr->flags = (X86FlagValues){flags, flags, flags};
    return flags;
}

/* The value that has all of these groups; id 0: none has. */
static IrVal flags_known(const X86Translator *tr, unsigned groups)
{
    uint32_t id = groups & FLAGS_CARRY      ? tr->flags.carry.id
                  : groups & FLAGS_OVERFLOW ? tr->flags.overflow.id
                                            : tr->flags.rest.id;

    if (((groups & FLAGS_OVERFLOW) && tr->flags.overflow.id != id) || ((groups & FLAGS_REST) && tr->flags.rest.id != id)) {
        id = 0;
    }
    return (IrVal){id};
}

/* CF from a number of ADCX's or ADOX's. */
static IrVal flag_of_number(X86Translator *tr, IrVal number)
{
    return ir_opf(tr->ir, IR_bt, IR_I32, number, x86_const(tr, IR_I32, 0), (IrVal){0}).flags;
}

static IrVal flags_with(X86Translator *tr, unsigned groups)
{
    IrVal flags = flags_known(tr, groups);

    if (!flags.id && groups == FLAGS_CARRY && tr->carries.cf.id) {
        return flag_of_number(tr, tr->carries.cf);
    }
    return flags.id ? flags : flags_of_image(tr, image_of_slots(tr));
}

IrVal x86_flags_for(X86Translator *tr, IrCc cc)
{
    return flags_with(tr, x86_flag_groups(cc));
}

IrVal x86_flags_all(X86Translator *tr)
{
    return flags_with(tr, FLAGS_GROUPS);
}

IrVal x86_flags_carry(X86Translator *tr)
{
    return flags_with(tr, FLAGS_CARRY);
}

static IrVal widen(X86Translator *tr, IrType type, IrVal value)
{
    return type < IR_I32 ? ir_zext(tr->ir, IR_I32, type, value) : value;
}

static void put_value(X86Translator *tr, unsigned slot, IrType type, IrVal value)
{
    ir_put(tr->ir, type == IR_I64 ? IR_I64 : IR_I32, slot, widen(tr, type, value));
}

static void remember(X86Translator *tr, IrVal flags)
{
    tr->flags = (X86FlagValues){flags, flags, flags};
    tr->carries = (X86Carries){0};
}

void x86_flags_put(X86Translator *tr, X86CcOp op, IrType type, IrVal dst, IrVal src, IrVal flags)
{
    if (!x86_flags_wanted(tr, flags.id ? FLAGS_GROUPS : 0)) {
        remember(tr, flags);
        return;
    }
    ir_put(tr->ir, IR_I32, SLOT_CC_OP, x86_const(tr, IR_I32, X86_CC(op, type)));
    put_value(tr, SLOT_CC_DST, type, dst);
    if (src.id) {
        put_value(tr, SLOT_CC_SRC, type, src);
    }
    remember(tr, flags);
}

void x86_flags_put_carried(X86Translator *tr, X86CcOp op, IrType type, IrVal dst, IrVal src, IrVal carry, IrVal flags)
{
    X86CcOp without = op == CC_ADC ? CC_ADD : CC_SUB;

    if (!x86_flags_wanted(tr, flags.id ? FLAGS_GROUPS : 0)) {
        remember(tr, flags);
        return;
    }
    ir_put(tr->ir, IR_I32, SLOT_CC_OP,
           ir_selectcc(tr->ir, IR_I32, CC_B, carry, x86_const(tr, IR_I32, X86_CC(op, type)),
                       x86_const(tr, IR_I32, X86_CC(without, type))));
    put_value(tr, SLOT_CC_DST, type, dst);
    put_value(tr, SLOT_CC_SRC, type, src);
    remember(tr, flags);
}

void x86_flags_put_image(X86Translator *tr, IrVal image)
{
    IrVal flags = ir_opf(tr->ir, IR_flags_from, IR_I32, image, (IrVal){0}, (IrVal){0}).flags;

    if (!x86_flags_wanted(tr, FLAGS_GROUPS)) {
        remember(tr, flags);
        return;
    }
    ir_put(tr->ir, IR_I32, SLOT_CC_OP, x86_const(tr, IR_I32, X86_CC(CC_IMAGE, 0)));
    ir_put(tr->ir, IR_I32, SLOT_CC_DST, image);
    remember(tr, flags);
}

void x86_flags_put_value(X86Translator *tr, IrVal flags)
{
    if (!x86_flags_wanted(tr, FLAGS_GROUPS)) {
        remember(tr, flags);
        return;
    }
    ir_put(tr->ir, IR_I32, SLOT_CC_OP, x86_const(tr, IR_I32, X86_CC(CC_IMAGE, 0)));
    ir_put(tr->ir, IR_I32, SLOT_CC_DST, ir_op1(tr->ir, IR_flags_image, IR_I32, flags));
    remember(tr, flags);
}

/* INC and DEC in a chain of ADCX and ADOX leave CF, and with it the chain's numbers. */
static void put_aux_beside_carries(X86Translator *tr, X86CcAux op, IrType type, IrVal dst, IrVal flags)
{
    IrVal of = ir_zext(tr->ir, IR_I32, IR_I8, ir_setcc(tr->ir, CC_O, flags));

    tr->carries.of = of;
    if (x86_flags_wanted(tr, FLAGS_OVERFLOW | FLAGS_REST)) {
        ir_put(tr->ir, IR_I32, SLOT_CC_OP, x86_const(tr, IR_I32, X86_CC(op == CC_AUX_INC ? CC_ADX_INC : CC_ADX_DEC, type)));
        put_value(tr, SLOT_CC_DST, type, dst);
        ir_put(tr->ir, IR_I32, SLOT_CC_AUX_DST, of);
    }
}

void x86_flags_put_aux(X86Translator *tr, X86CcAux op, IrType type, IrVal dst, IrVal flags)
{
    IrBlock *ir = tr->ir;
    IrVal kept;

    tr->flags.overflow = tr->flags.rest = flags;
    if (tr->carries.in_slots) {
        put_aux_beside_carries(tr, op, type, dst, flags);
        return;
    }
    if (!x86_flags_wanted(tr, FLAGS_OVERFLOW | FLAGS_REST)) {
        return;
    }
    kept = ir_op2(ir, IR_and, IR_I32, ir_get(ir, IR_I32, SLOT_CC_OP),
                  x86_const(tr, IR_I32, 0xff | X86_CC_CF_MASK));
    ir_put(ir, IR_I32, SLOT_CC_OP,
           ir_op2(ir, IR_or, IR_I32, kept, x86_const(tr, IR_I32, X86_CC_AUX(op, type))));
    put_value(tr, SLOT_CC_AUX_DST, type, dst);
}

static IrVal bit_at(X86Translator *tr, IrVal bit, unsigned shift)
{
    return ir_op2(tr->ir, IR_shl, IR_I32, ir_zext(tr->ir, IR_I32, IR_I8, bit), x86_const(tr, IR_I8, shift));
}

void x86_flags_put_carry(X86Translator *tr, IrVal cf, IrVal flags)
{
    IrBlock *ir = tr->ir;
    IrVal word;

    tr->flags.carry = flags;
    tr->carries = (X86Carries){0};
    if (!x86_flags_wanted(tr, flags.id ? FLAGS_CARRY : 0)) {
        return;
    }
    word = ir_op2(ir, IR_and, IR_I32, ir_get(ir, IR_I32, SLOT_CC_OP), x86_const(tr, IR_I32, ~X86_CC_CF_MASK));
    word = ir_op2(ir, IR_or, IR_I32, word, x86_const(tr, IR_I32, X86_CC_CF_KNOWN));
    word = ir_op2(ir, IR_or, IR_I32, word, bit_at(tr, cf, X86_CC_CF_SHIFT));
    ir_put(ir, IR_I32, SLOT_CC_OP, word);
}

/*
 * Both carries as numbers, from whatever the flags are, and in the slots. Those in the slots of which the block knows nothing are most
 * often what ADCX and ADOX left there, in the round before of a loop.
 */
static void carries_begin(X86Translator *tr)
{
    IrBlock *ir = tr->ir;
    IrVal all = flags_known(tr, FLAGS_GROUPS), known, none = {0};
    X86Carries *c = &tr->carries;

    if (all.id) {
        c->cf = ir_zext(ir, IR_I32, IR_I8, ir_setcc(ir, CC_B, all));
        c->of = ir_zext(ir, IR_I32, IR_I8, ir_setcc(ir, CC_O, all));
        ir_put(ir, IR_I32, SLOT_CC_OP, x86_const(tr, IR_I32, X86_CC(CC_ADX, 0)));
        ir_put(ir, IR_I32, SLOT_CC_DST, ir_op1(ir, IR_flags_image, IR_I32, all));
        ir_put(ir, IR_I32, SLOT_CC_SRC, c->cf);
        ir_put(ir, IR_I32, SLOT_CC_AUX_DST, c->of);
    } else {
        known = ir_op2(ir, IR_sub, IR_I32, ir_get(ir, IR_I32, SLOT_CC_OP), x86_const(tr, IR_I32, X86_CC(CC_ADX, 0)));
        known = ir_setcond(ir, COND_LTU, IR_I32, known, x86_const(tr, IR_I32, X86_CC(CC_OP_COUNT - CC_ADX, 0)));
        c->cf = x86_call(tr, HELPER_carries_unless, ir_zext(ir, IR_I64, IR_I8, known),
                         ir_zext(ir, IR_I64, IR_I32, ir_get(ir, IR_I32, SLOT_CC_SRC)), none, none);
        c->of = ir_get(ir, IR_I32, SLOT_CC_AUX_DST);
    }
    c->in_slots = true;
}

IrVal x86_flags_of_carry(X86Translator *tr, bool overflow)
{
    if (!tr->carries.in_slots) {
        carries_begin(tr);
    }
    return flag_of_number(tr, overflow ? tr->carries.of : tr->carries.cf);
}

void x86_flags_put_either(X86Translator *tr, bool overflow, IrVal sum, IrVal carry)
{
    /* All of its bits are the carry: one instruction, and no matter what is subtracted from itself. */
    IrVal number = ir_opf(tr->ir, IR_sbb, IR_I32, sum, sum, carry).value;

    *(overflow ? &tr->carries.of : &tr->carries.cf) = number;
    *(overflow ? &tr->flags.overflow : &tr->flags.carry) = (IrVal){0};
    ir_put(tr->ir, IR_I32, overflow ? SLOT_CC_AUX_DST : SLOT_CC_SRC, number);
}

void x86_flags_put_rotate(X86Translator *tr, IrVal count, IrVal cf, IrVal of, IrVal flags)
{
    IrBlock *ir = tr->ir;
    IrVal old, word;

    tr->flags.carry = tr->flags.overflow = flags;
    tr->carries = (X86Carries){0};
    if (!x86_flags_wanted(tr, flags.id ? FLAGS_CARRY | FLAGS_OVERFLOW : 0)) {
        return;
    }
    old = ir_get(ir, IR_I32, SLOT_CC_OP);
    word = ir_op2(ir, IR_and, IR_I32, old, x86_const(tr, IR_I32, ~(X86_CC_CF_MASK | X86_CC_OF_MASK)));
    word = ir_op2(ir, IR_or, IR_I32, word, x86_const(tr, IR_I32, X86_CC_CF_KNOWN | X86_CC_OF_KNOWN));
    word = ir_op2(ir, IR_or, IR_I32, word, bit_at(tr, cf, X86_CC_CF_SHIFT));
    word = ir_op2(ir, IR_or, IR_I32, word, bit_at(tr, of, X86_CC_OF_SHIFT));
    if (count.id) {
        word = ir_select(ir, IR_I32, count, word, old);
    }
    ir_put(ir, IR_I32, SLOT_CC_OP, word);
}

void x86_flags_put_if(X86Translator *tr, IrVal count, X86CcOp op, IrType type, IrVal dst, IrVal src)
{
    IrBlock *ir = tr->ir;
    IrVal values[2] = {dst, src};

    x86_flags_forget(tr);
    if (!x86_flags_wanted(tr, 0)) {
        return;
    }
    ir_put(ir, IR_I32, SLOT_CC_OP,
           ir_select(ir, IR_I32, count, x86_const(tr, IR_I32, X86_CC(op, type)),
                     ir_get(ir, IR_I32, SLOT_CC_OP)));
    for (unsigned i = 0; i < 2; i++) {
        unsigned slot = i == 0 ? SLOT_CC_DST : SLOT_CC_SRC;
        IrVal wide = type == IR_I64 ? values[i] : ir_zext(ir, IR_I64, type, values[i]);

        ir_put(ir, IR_I64, slot, ir_select(ir, IR_I64, count, wide, ir_get(ir, IR_I64, slot)));
    }
}
