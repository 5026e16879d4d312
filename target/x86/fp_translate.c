/*
 * MMX and SSE instructions into raw host instructions, and the state-saving ones into helpers.
 *
 * Which checks come first is in the SDM, volume 3, 2.5 and 13.1: EM and OSFXSR give #UD, TS gives
 * #NM. Unmasked exceptions are the host's: it runs with the guest's control words.
 */
#include "target/x86/fp_state.h"
#include "target/x86/fp_table.h"
#include "target/x86/insns.h"
#include "tcg/raw.h"

/* The prefix that is part of the opcode: F2 and F3 win over 66. */
static unsigned mandatory_prefix(const X86Insn *in)
{
    return in->rep ? in->rep : in->opsize ? 0x66 : 0;
}

static bool has_feature(const X86State *s, const FpRow *row, bool mmx)
{
    if (x86_has(s, row->feature)) {
        return true;
    }
    return mmx && row->feature == FEAT_sse && x86_has(s, FEAT_mmxext);
}

/* Linear address of the implicit operand of maskmovq and maskmovdqu. */
void x86_translate_maskmov(X86Translator *tr, X86Insn *in, const FpRow *row)
{
    int seg = in->seg_override >= 0 ? in->seg_override : S_DS;
    IrVal di = x86_gpr_get(tr, in, in->addr_type, R_DI), addr;
    unsigned last = row->size == 8 ? 7 : 15; /* REX chooses among vector registers only */
    uint64_t operands = (in->reg & last) | (in->rm & last) << 4 | row->size << 8;

    if (row->size == 8) {
        x86_wait_before_limit(tr, seg);
    }
    addr = x86_linear(tr, in, seg, di, in->addr_type, row->size, true);
    addr = ir_zext(tr->ir, IR_I64, tr->addr_type, addr);
    ir_call(tr->ir, HELPER_fp_maskmov, addr, ir_const(tr->ir, IR_I64, operands), (IrVal){0}, (IrVal){0});
}

void x86_translate_pcmpestr(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrVal low = ir_const(ir, IR_I64, 0), high = low, result;
    uint64_t operands = in->opcode | (in->imm & 0xff) << 8 | in->reg << 16 | in->rm << 20 |
                        in->is_mem << 24 | (in->w && tr->cs64) << 25 | (in->vex != 0) << 26;

    if (in->is_mem) {
        int64_t disp;
        IrVal addr = x86_address_sized(tr, in, 16, false, &disp);

        low = ir_load(ir, IR_I64, addr, disp, 0);
        high = ir_load(ir, IR_I64, addr, disp + 8, 0);
    }
    result = ir_call(ir, HELPER_fp_pcmpestr, ir_const(ir, IR_I64, operands), low, high, (IrVal){0});
    if (in->opcode & 1) {
        IrVal index = ir_op2(ir, IR_shr, IR_I64, result, ir_const(ir, IR_I8, 32));

        x86_gpr_put(tr, in, IR_I32, R_CX, index);
    }
    x86_flags_put_image(tr, result);
}

/* A misaligned operand is #GP, also where the stack's limit would make it #SS. */
static void align_before_limit(X86Translator *tr, X86Insn *in, unsigned align)
{
    IrBlock *ir = tr->ir;
    IrVal linear;

    if (x86_is_unlimited(tr, in->seg) || in->seg != S_SS) {
        return;
    }
    linear = ir_op2(ir, IR_add, IR_I32, ir_zext(ir, IR_I32, in->addr_type, x86_effective(tr, in)),
                    ir_get(ir, IR_I32, SLOT_ES_BASE + S_SS));
    x86_raise_if(tr, in, COND_NE, IR_I32, ir_op2(ir, IR_and, IR_I32, linear, x86_const(tr, IR_I32, align - 1)),
                 x86_const(tr, IR_I32, 0), EXC_GP, true);
}

void x86_translate_fp_row(X86Translator *tr, X86Insn *in, const FpRow *row, unsigned vex, bool w)
{
    bool store = row->flags & FPF_STORE;
    bool wide = w && row->flags & (FPF_Y | FPF_GPR64);
    IrVal addr = {0}, gpr = {0};
    int64_t disp = 0;
    /* A pending x87 exception is raised by MMX instructions too. */
    bool mmx = row->reg == FP_P || row->rm == FP_Q || row->rm == FP_N || (row->rm == FP_NONE && !vex);
    IrValFlags result;
    IrRaw raw = {
        .prefix = row->prefix,
        .map = row->map,
        .opcode = row->opcode,
        .w = vex ? w : wide,
        .vex = vex,
        .vvvv = in->vvvv,
        .has_imm = row->flags & FPF_IMM,
        .imm = in->imm,
        .gpr_type = wide ? IR_I64 : IR_I32,
        .x87 = mmx,
        .may_fault = mmx || row->flags & FPF_EXC,
    };

    if (mmx && in->is_mem && row->opcode != 0x2a) { /* CVTPI2PS and CVTPI2PD look at memory first */
        x86_wait_before_limit(tr, in->seg);
    }

    switch (row->reg) {
    case FP_V:
        raw.reg_role = RAW_XMM;
        raw.reg = in->reg;
        break;
    case FP_P:
        raw.reg_role = RAW_MMX;
        raw.reg = in->reg & 7;
        break;
    case FP_G:
        raw.reg_role = RAW_GPR_OUT;
        break;
    default:
        raw.reg_role = row->rm == FP_NONE ? RAW_NONE : RAW_DIGIT;
        raw.reg = in->reg & 7;
        break;
    }
    if (in->is_mem && row->rm != FP_NONE) {
        raw.rm_role = RAW_MEM;
        raw.mem_size = wide && row->flags & FPF_Y ? 8 : row->size;
        raw.mem_read = !store;
        raw.mem_write = store;
        raw.mem_align = raw.mem_size >= 16 && !(row->flags & FPF_LOOSE) ? raw.mem_size : 0;
        if (raw.mem_align) {
            align_before_limit(tr, in, raw.mem_align);
        }
        addr = x86_address_sized(tr, in, raw.mem_size, store, &disp);
    } else if (row->rm == FP_W || row->rm == FP_U) {
        raw.rm_role = RAW_XMM;
        raw.rm = in->rm;
    } else if (row->rm == FP_Q || row->rm == FP_N) {
        raw.rm_role = RAW_MMX;
        raw.rm = in->rm & 7;
    } else if (row->rm == FP_E && store) {
        raw.rm_role = RAW_GPR_OUT;
    } else if (row->rm == FP_E) {
        raw.rm_role = RAW_GPR_IN;
        gpr = x86_gpr_get(tr, in, raw.gpr_type, in->rm);
    }
    result = ir_raw(tr->ir, &raw, addr, disp, gpr, row->flags & FPF_EFLAGS);
    if (ir_raw_writes_cx(&raw)) {
        x86_gpr_put(tr, in, IR_I32, R_CX, result.value);
    } else if (raw.reg_role == RAW_GPR_OUT) {
        x86_gpr_put(tr, in, raw.gpr_type, in->reg, result.value);
    } else if (raw.rm_role == RAW_GPR_OUT) {
        x86_gpr_put(tr, in, raw.gpr_type, in->rm, result.value);
    }
    if (row->flags & FPF_EFLAGS) {
        x86_flags_put_value(tr, result.flags);
    }
}

static void translate_sha(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrVal low = ir_const(ir, IR_I64, 0), high = low;
    uint64_t how = in->opcode | (in->map == MAP_0F3A) << 8 | in->reg << 12 | (in->is_mem ? 0 : in->rm) << 16 | in->is_mem << 20 |
                   (uint64_t)(in->imm & 0xff) << 24;

    if (in->is_mem) {
        IrVal addr;
        int64_t disp;

        align_before_limit(tr, in, 16);
        addr = x86_address_arg(tr, in, 16, false);
        x86_raise_if(tr, in, COND_NE, IR_I64, ir_op2(ir, IR_and, IR_I64, addr, ir_const(ir, IR_I64, 15)), ir_const(ir, IR_I64, 0),
                     EXC_GP, true);
        addr = x86_address_sized(tr, in, 16, false, &disp);
        low = ir_load(ir, IR_I64, addr, disp, 0);
        high = ir_load(ir, IR_I64, addr, disp + 8, 0);
    }
    ir_call(ir, HELPER_fp_sha, ir_const(ir, IR_I64, how), low, high, (IrVal){0});
}

static bool translate_vector(X86Translator *tr, X86Insn *in)
{
    const FpRow *row = x86_fp_row(in->map, mandatory_prefix(in), in->opcode);
    bool xmm, mmx;

    if (!row) {
        return false;
    }
    if (in->is_mem ? row->rm == FP_U || row->rm == FP_N : row->rm == FP_M) {
        return false;
    }
    if (row->digits && !(row->digits >> (in->reg & 7) & 1)) {
        return false;
    }
    xmm = row->reg == FP_V || row->rm == FP_W || row->rm == FP_U;
    mmx = !xmm;
    if (!has_feature(tr->s, row, mmx) || tr->mode & MODE_EM || (xmm && !(tr->mode & MODE_OSFXSR))) {
        return false;
    }
    if (tr->mode & MODE_TS) {
        x86_raise_now(tr, EXC_NM);
    } else if (row->flags & FPF_MASKMOV) {
        x86_translate_maskmov(tr, in, row);
    } else if (x86_is_explicit_string(row)) {
        x86_translate_pcmpestr(tr, in);
    } else if (row->feature == FEAT_sha_ni && !x86_host_has_sha()) {
        translate_sha(tr, in);
    } else {
        x86_translate_fp_row(tr, in, row, 0, in->w);
    }
    return true;
}

/* Where an area begins has to be in the stack segment, or canonical, before its alignment is looked at. */
static void check_first_part(X86Translator *tr, X86Insn *in, bool write)
{
    enum { FIRST_PART = 4 };
    IrBlock *ir = tr->ir;
    IrVal addr, upper = ir_const(ir, IR_I8, 16);

    if (!tr->cs64) {
        x86_linear(tr, in, in->seg, x86_effective(tr, in), in->addr_type, FIRST_PART, write);
        return;
    }
    addr = x86_address_arg(tr, in, 1, write);
    x86_raise_if(tr, in, COND_NE, IR_I64, addr,
                 ir_op2(ir, IR_sar, IR_I64, ir_op2(ir, IR_shl, IR_I64, addr, upper), upper), EXC_SS, true);
}

/* helper(linear address, argument, second) for a memory area of `size` bytes, aligned to `align`. */
static void call_area(X86Translator *tr, X86Insn *in, X86Helper helper, unsigned size, bool write,
                      unsigned align, IrVal argument, IrVal second)
{
    IrBlock *ir = tr->ir;
    IrVal addr;

    if (in->seg == S_SS) {
        check_first_part(tr, in, write);
    }
    align_before_limit(tr, in, align);
    addr = x86_address_arg(tr, in, size, write);
    x86_raise_if(tr, in, COND_NE, IR_I64,
                 ir_op2(ir, IR_and, IR_I64, addr, ir_const(ir, IR_I64, align - 1)),
                 ir_const(ir, IR_I64, 0), EXC_GP, true);
    ir_call(ir, helper, addr, argument, second, (IrVal){0});
}

/* EDX:EAX */
static IrVal feature_mask(X86Translator *tr)
{
    IrBlock *ir = tr->ir;
    IrVal low = ir_zext(ir, IR_I64, IR_I32, ir_get(ir, IR_I32, SLOT_AX));
    IrVal high = ir_zext(ir, IR_I64, IR_I32, ir_get(ir, IR_I32, SLOT_DX));

    high = ir_op2(ir, IR_shl, IR_I64, high, ir_const(ir, IR_I8, 32));
    return ir_op2(ir, IR_or, IR_I64, low, high);
}

void x86_translate_mxcsr(X86Translator *tr, X86Insn *in, bool load)
{
    IrRaw raw = {
        .map = MAP_0F, .opcode = 0xae, .reg_role = RAW_DIGIT, .reg = load ? 2 : 3, .rm_role = RAW_MEM,
        .mem_size = 4, .mem_read = load, .mem_write = !load,
    };
    int64_t disp;
    IrVal addr = x86_address_sized(tr, in, 4, !load, &disp);

    if (load) {
        IrVal value = ir_zext(tr->ir, IR_I64, IR_I32, ir_load(tr->ir, IR_I32, addr, disp, 0));
        IrVal reserved = ir_op2(tr->ir, IR_and, IR_I64, value,
                                ir_const(tr->ir, IR_I64, ~(uint64_t)x86_mxcsr_mask()));

        x86_raise_if(tr, in, COND_NE, IR_I64, reserved, ir_const(tr->ir, IR_I64, 0), EXC_GP, true);
        /* The host checks as well, should memory change in between. */
        raw.may_fault = true;
        addr = x86_address_sized(tr, in, 4, false, &disp);
    }
    ir_raw(tr->ir, &raw, addr, disp, (IrVal){0}, false);
}

/* 0F AE with memory: FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, XSAVE, XRSTOR, XSAVEOPT. */
static bool translate_state(X86Translator *tr, X86Insn *in)
{
    unsigned digit = in->reg & 7;

    if (!in->is_mem || mandatory_prefix(in)) {
        return false;
    }
    switch (digit) {
    case 0:
    case 1:
        if (!x86_has(tr->s, FEAT_fxsr)) {
            return false;
        }
        if (tr->mode & (MODE_EM | MODE_TS)) {
            x86_raise_now(tr, EXC_NM);
            return true;
        }
        call_area(tr, in, digit ? HELPER_fp_fxrstor : HELPER_fp_fxsave, 512, !digit, 16, (IrVal){0},
                  (IrVal){0});
        return true;
    case 2:
    case 3:
        if (!x86_has(tr->s, FEAT_sse) || tr->mode & MODE_EM || !(tr->mode & MODE_OSFXSR)) {
            return false;
        }
        if (tr->mode & MODE_TS) {
            x86_raise_now(tr, EXC_NM);
        } else {
            x86_translate_mxcsr(tr, in, digit == 2);
        }
        return true;
    case 4:
    case 5:
    case 6:
        if (!x86_has(tr->s, digit == 6 ? FEAT_xsaveopt : FEAT_xsave) || !(tr->mode & MODE_OSXSAVE)) {
            return false;
        }
        if (tr->mode & MODE_TS) {
            x86_raise_now(tr, EXC_NM);
            return true;
        }
        call_area(tr, in, digit == 5 ? HELPER_fp_xrstor : HELPER_fp_xsave, 576, digit != 5, 64, feature_mask(tr),
                  ir_const(tr->ir, IR_I64, digit == 6));
        return true;
    default:
        return false;
    }
}

/* 0F C7: XRSTORS, XSAVEC, XSAVES. */
static bool translate_compacted(X86Translator *tr, X86Insn *in)
{
    enum { XRSTORS = 3, XSAVEC = 4 };
    unsigned digit = in->reg & 7;
    bool store = digit != XRSTORS;

    if (!in->is_mem || mandatory_prefix(in) || !(tr->mode & MODE_OSXSAVE) ||
        !x86_has(tr->s, digit == XSAVEC ? FEAT_xsavec : FEAT_xsaves)) {
        return false;
    }
    if (digit != XSAVEC && tr->cpl) {
        x86_gp0(tr);
    } else if (tr->mode & MODE_TS) {
        x86_raise_now(tr, EXC_NM);
    } else {
        call_area(tr, in, store ? HELPER_fp_xsavec : HELPER_fp_xrstor, 576, store, 64, feature_mask(tr),
                  store ? (IrVal){0} : ir_const(tr->ir, IR_I64, true));
    }
    return true;
}

/* 0F 0E and 0F 0F: FEMMS, and 3DNow! with its opcode where immediates are. */
static bool translate_3dnow(X86Translator *tr, X86Insn *in)
{
    static const IrRaw emms = {
        .map = MAP_0F, .opcode = 0x77, .reg_role = RAW_NONE, .rm_role = RAW_NONE, .x87 = true, .may_fault = true,
    };
    IrVal memory = ir_const(tr->ir, IR_I64, 0);
    bool extended = false;
    uint64_t how = (in->imm & 0xff) | (in->reg & 7) << 8 | (in->rm & 7) << 12 | in->is_mem << 16;
    int64_t disp;

    if (!x86_has(tr->s, FEAT_3dnow) || tr->mode & MODE_EM) {
        return false;
    }
    if (in->opcode == 0x0f && (!x86_3dnow_exists(in->imm & 0xff, &extended) || (extended && !x86_has(tr->s, FEAT_3dnowext)))) {
        return false;
    }
    if (tr->mode & MODE_TS) {
        x86_raise_now(tr, EXC_NM);
    } else if (in->opcode == 0x0e) {
        ir_raw(tr->ir, &emms, (IrVal){0}, 0, (IrVal){0}, false);
    } else {
        if (in->is_mem) {
            IrVal addr = x86_address_sized(tr, in, 8, false, &disp);

            memory = ir_load(tr->ir, IR_I64, addr, disp, 0);
        }
        ir_call(tr->ir, HELPER_fp_3dnow, ir_const(tr->ir, IR_I64, how), memory, (IrVal){0}, (IrVal){0});
    }
    return true;
}

/* EXTRQ and INSERTQ: 78 with two immediate bytes, 79 with a register. */
static bool translate_sse4a(X86Translator *tr, X86Insn *in)
{
    bool insert = mandatory_prefix(in) == 0xf2, immediate = in->opcode == 0x78;
    unsigned to = immediate && !insert ? in->rm : in->reg;
    uint64_t how = to | in->rm << 4 | insert << 8 | immediate << 9;

    if (!x86_has(tr->s, FEAT_sse4a) || in->is_mem || (mandatory_prefix(in) != 0x66 && !insert) ||
        (immediate && !insert && in->reg & 7) || tr->mode & MODE_EM || !(tr->mode & MODE_OSFXSR)) {
        return false;
    }
    if (tr->mode & MODE_TS) {
        x86_raise_now(tr, EXC_NM);
    } else {
        ir_call(tr->ir, HELPER_fp_sse4a, ir_const(tr->ir, IR_I64, how), ir_const(tr->ir, IR_I64, in->imm & 0xffff), (IrVal){0},
                (IrVal){0});
    }
    return true;
}

bool x86_translate_fp(X86Translator *tr, X86Insn *in)
{
    if (in->vex) {
        return x86_translate_vex(tr, in);
    }
    if (in->map == MAP_ONE) {
        return x86_translate_x87(tr, in);
    }
    if (in->map == MAP_0F && in->opcode == 0xae) {
        return translate_state(tr, in);
    }
    if (in->map == MAP_0F && in->opcode == 0xc7) {
        return translate_compacted(tr, in);
    }
    if (in->map == MAP_0F && (in->opcode == 0x0e || in->opcode == 0x0f)) {
        return translate_3dnow(tr, in);
    }
    if (in->map == MAP_0F && (in->opcode == 0x78 || in->opcode == 0x79)) {
        return translate_sse4a(tr, in);
    }
    if (in->map == MAP_0F && in->opcode == 0x2b && in->rep && in->is_mem && x86_has(tr->s, FEAT_sse4a)) {
        in->opcode = 0x11; /* MOVNTSS, MOVNTSD store as MOVSS and MOVSD do */
    }
    return translate_vector(tr, in);
}
