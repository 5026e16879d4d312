/*
 * x87 instructions: the host's x87 stack is the guest's, so almost all of them are executed as they
 * are, with another memory operand. What stores or loads the environment is a helper.
 *
 * The undocumented aliases (SDM volume 2, appendix A.5 leaves them blank) are what every processor
 * since the 8087 does; the host knows them.
 */
#include "target/x86/fp_table.h"

typedef enum X87Kind {
    X87_UD,
    X87_LOAD, X87_STORE,      /* memory of .size bytes */
    X87_STORE_NOWAIT,         /* pending exceptions stay pending */
    X87_FISTTP,               /* a store that came with SSE3 */
    X87_FLDENV, X87_FNSTENV, X87_FRSTOR, X87_FNSAVE,
} X87Kind;

typedef struct X87Memory {
    uint8_t kind, size;
} X87Memory;

/* By opcode - D8 and ModRM.reg. */
static const X87Memory memory_forms[8][8] = {
#define L(size) {X87_LOAD, size}
#define S(size) {X87_STORE, size}
#define T(size) {X87_FISTTP, size}
#define C(size) {X87_STORE_NOWAIT, size}
    {L(4), L(4), L(4), L(4), L(4), L(4), L(4), L(4)},
    {L(4), {X87_UD}, S(4), S(4), {X87_FLDENV}, L(2), {X87_FNSTENV}, C(2)},
    {L(4), L(4), L(4), L(4), L(4), L(4), L(4), L(4)},
    {L(4), T(4), S(4), S(4), {X87_UD}, L(10), {X87_UD}, S(10)},
    {L(8), L(8), L(8), L(8), L(8), L(8), L(8), L(8)},
    {L(8), T(8), S(8), S(8), {X87_FRSTOR}, {X87_UD}, {X87_FNSAVE}, C(2)},
    {L(2), L(2), L(2), L(2), L(2), L(2), L(2), L(2)},
    {L(2), T(2), S(2), S(2), L(10), L(8), S(10), S(8)},
#undef L
#undef S
#undef T
#undef C
};

/* Register forms by opcode - D8 and ModRM.reg: which values of ModRM.rm exist. */
static const uint8_t register_forms[8][8] = {
    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
    {0xff, 0xff, 0x01, 0xff, 0x33, 0x7f, 0xff, 0xff},
    {0xff, 0xff, 0xff, 0xff, 0x00, 0x02, 0x00, 0x00},
    {0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0x00},
    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00},
    {0xff, 0xff, 0xff, 0x02, 0xff, 0xff, 0xff, 0xff},
    {0xff, 0xff, 0xff, 0xff, 0x01, 0xff, 0xff, 0x00},
};

enum {
    DB_CONTROL = 4,    /* DB E0 ..: fneni, fndisi, fnclex, fninit, fnsetpm */
    CONTROL_FNCLEX = 2,
    CONTROL_FNINIT = 3,
};

static void translate_environment(X86Translator *tr, X86Insn *in, X87Kind kind)
{
    static const uint8_t sizes[2][2] = {{14, 28}, {94, 108}}; /* by whole state, 32-bit format */
    bool whole = kind == X87_FRSTOR || kind == X87_FNSAVE;
    bool write = kind == X87_FNSTENV || kind == X87_FNSAVE;
    bool wide = in->type != IR_I16;
    X86Helper helper = kind == X87_FLDENV ? HELPER_fp_fldenv : kind == X87_FNSTENV ? HELPER_fp_fnstenv
                       : kind == X87_FRSTOR ? HELPER_fp_frstor : HELPER_fp_fnsave;
    IrBlock *ir = tr->ir;
    IrVal addr = x86_address_arg(tr, in, sizes[whole][wide], write);

    ir_call(ir, helper, addr, ir_const(ir, IR_I64, wide), (IrVal){0}, (IrVal){0});
}

/* FWAIT as FNOP, which looks for pending exceptions and does nothing else. */
static const IrRaw fnop = {
    .opcode = 0xd9, .reg_role = RAW_DIGIT, .reg = 2, .rm_role = RAW_ST, .x87 = true, .may_fault = true,
};

void x86_wait_before_limit(X86Translator *tr, int seg)
{
    if (!tr->cs64 && (seg == S_CS || !x86_is_unlimited(tr, seg))) { /* code cannot be written */
        ir_raw(tr->ir, &fnop, (IrVal){0}, 0, (IrVal){0}, false);
    }
}

static bool translate_memory(X86Translator *tr, X86Insn *in)
{
    const X87Memory *form = &memory_forms[in->opcode & 7][in->reg & 7];
    bool write = form->kind != X87_LOAD;
    IrRaw raw = {
        .opcode = in->opcode, .reg_role = RAW_DIGIT, .reg = in->reg & 7, .rm_role = RAW_MEM,
        .mem_size = form->size, .mem_read = !write, .mem_write = write, .x87 = true,
        .may_fault = form->kind != X87_STORE_NOWAIT,
    };
    int64_t disp;
    IrVal addr;

    if (form->kind == X87_UD || (form->kind == X87_FISTTP && !x86_has(tr->s, FEAT_pni))) {
        return false;
    }
    if (tr->mode & (MODE_EM | MODE_TS)) {
        x86_raise_now(tr, EXC_NM);
        return true;
    }
    if (form->kind != X87_STORE_NOWAIT && form->kind != X87_FNSTENV && form->kind != X87_FNSAVE) {
        x86_wait_before_limit(tr, in->seg);
    }
    if (form->kind >= X87_FLDENV) {
        translate_environment(tr, in, form->kind);
        return true;
    }
    addr = x86_address_sized(tr, in, form->size, write, &disp);
    ir_raw(tr->ir, &raw, addr, disp, (IrVal){0}, false);
    return true;
}

/* fcmovcc: b, e, be, u for DA; their opposites for DB. */
static IrCc fcmov_condition(const X86Insn *in)
{
    static const uint8_t conditions[] = {CC_B, CC_E, CC_BE, CC_P};

    return conditions[in->reg & 3] ^ (in->opcode == 0xdb);
}

static bool translate_register(X86Translator *tr, X86Insn *in)
{
    unsigned digit = in->reg & 7, st = in->rm & 7;
    bool fcmov = (in->opcode == 0xda || in->opcode == 0xdb) && digit < 4;
    bool to_flags = (in->opcode == 0xdb || in->opcode == 0xdf) && (digit == 5 || digit == 6);
    bool control = in->opcode == 0xdb && digit == DB_CONTROL;
    bool status = in->opcode == 0xdf && digit == 4; /* fnstsw ax */
    IrValFlags result;
    IrVal flags = {0};
    IrRaw raw = {
        .opcode = in->opcode, .reg_role = RAW_DIGIT, .reg = digit, .rm_role = RAW_ST, .rm = st,
        .gpr_type = IR_I32, .x87 = true, .may_fault = !control && !status, .flags_in = fcmov,
    };

    if (!(register_forms[in->opcode & 7][digit] >> st & 1) ||
        ((fcmov || to_flags) && !x86_has(tr->s, FEAT_cmov))) {
        return false;
    }
    if (tr->mode & (MODE_EM | MODE_TS)) {
        x86_raise_now(tr, EXC_NM);
        return true;
    }
    if (control && st != CONTROL_FNCLEX && st != CONTROL_FNINIT) {
        return true; /* for the 8087 and 287 only */
    }
    if (status) {
        raw.rm_role = RAW_AX_OUT;
    }
    if (fcmov) {
        flags = x86_flags_for(tr, fcmov_condition(in));
    }
    result = ir_raw(tr->ir, &raw, (IrVal){0}, 0, flags, to_flags);
    if (status) {
        x86_gpr_put(tr, in, IR_I16, R_AX, result.value);
    }
    if (to_flags) {
        x86_flags_put_value(tr, result.flags);
    }
    if (control) {
        ir_call(tr->ir, HELPER_fp_clear_ferr, (IrVal){0}, (IrVal){0}, (IrVal){0}, (IrVal){0});
    }
    return true;
}

bool x86_translate_x87(X86Translator *tr, X86Insn *in)
{
    if (in->opcode == 0x9b) {
        if ((tr->mode & (MODE_MP | MODE_TS)) == (MODE_MP | MODE_TS)) {
            x86_raise_now(tr, EXC_NM);
        } else {
            ir_raw(tr->ir, &fnop, (IrVal){0}, 0, (IrVal){0}, false);
        }
        return true;
    }
    if (in->opcode < 0xd8 || in->opcode > 0xdf) {
        return false;
    }
    return in->is_mem ? translate_memory(tr, in) : translate_register(tr, in);
}
