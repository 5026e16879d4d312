/*
 * VEX instructions on vector registers into raw host instructions.
 *
 * What makes one undefined is in the SDM, volume 2, 2.4: VEX.L, VEX.W and VEX.vvvv that the
 * instruction does not use, and XCR0 without YMM state; CR0.EM means nothing here.
 */
#include "target/x86/vex_masked.h"
#include "target/x86/vex_table.h"

static IrVal masked_operands(X86Translator *tr, VexMasked operands)
{
    return ir_const(tr->ir, IR_I64, operands.word);
}

static IrVal offset_of(X86Translator *tr, X86Insn *in)
{
    return ir_zext(tr->ir, IR_I64, in->addr_type, x86_effective(tr, in));
}

static void translate_masked(X86Translator *tr, X86Insn *in, const VexRow *row, unsigned size)
{
    /* 2C to 2F say the size of elements, 8C and 8E leave it to VEX.W. */
    bool wide = row->opcode >= 0x80 ? in->w : row->opcode & 1;
    VexMasked operands = {
        .reg = in->reg, .mask = in->vvvv, .l256 = size == 32, .wide = wide, .store = !!(row->flags & FPF_STORE),
        .seg = in->seg, .addr_type = in->addr_type,
    };

    ir_call(tr->ir, HELPER_vex_masked, offset_of(tr, in), masked_operands(tr, operands), (IrVal){0}, (IrVal){0});
}

/* False: #UD. The index is a vector register and needs a SIB byte; all three registers must differ. */
static bool translate_gather(X86Translator *tr, X86Insn *in, const VexRow *row)
{
    VexMasked operands = {
        .reg = in->reg, .mask = in->vvvv, .index = in->vsib, .l256 = in->vex == 2, .wide = in->w,
        .wide_index = row->opcode & 1, .scale = in->scale, .seg = in->seg, .addr_type = in->addr_type,
    };
    IrVal offset;

    if (in->vsib < 0 || in->reg == in->vvvv || in->reg == in->vsib || in->vvvv == in->vsib) {
        return false;
    }
    in->index = -1;
    offset = offset_of(tr, in);
    ir_call(tr->ir, HELPER_vex_gather, offset, masked_operands(tr, operands), (IrVal){0}, (IrVal){0});
    return true;
}

/* vzeroupper and vzeroall: outside of 64-bit code the upper eight registers stay as they are. */
static void translate_zero(X86Translator *tr, X86Insn *in, const FpRow *row)
{
    bool all = in->vex == 2;

    if (tr->cs64) {
        x86_translate_fp_row(tr, in, row, in->vex, false);
        return;
    }
    for (unsigned n = 0; n < 8; n++) {
        /* vmovaps n, n; vxorps n, n, n: the upper half of what VEX.128 writes is zero. */
        IrRaw raw = {
            .map = MAP_0F, .opcode = all ? 0x57 : 0x28, .vex = 1, .reg_role = RAW_XMM, .reg = n,
            .rm_role = RAW_XMM, .rm = n, .vvvv = all ? n : 0,
        };

        ir_raw(tr->ir, &raw, (IrVal){0}, 0, (IrVal){0}, false);
    }
}

/* AES and PCLMULQDQ of 256 bits, which few hosts have. */
static void translate_crypt(X86Translator *tr, X86Insn *in)
{
    uint64_t how = in->opcode | (in->imm & 0xff) << 8 | in->reg << 16 | in->vvvv << 20 | (uint64_t)in->rm << 24 |
                   (uint64_t)in->is_mem << 28;
    IrVal addr = in->is_mem ? x86_address_arg(tr, in, 32, false) : ir_const(tr->ir, IR_I64, 0);

    ir_call(tr->ir, HELPER_vex_crypt, ir_const(tr->ir, IR_I64, how), addr, (IrVal){0}, (IrVal){0});
}

static bool is_defined(const X86Translator *tr, const X86Insn *in, const VexRow *row)
{
    bool l256 = in->vex == 2;
    bool uses_vvvv = row->h || (row->flags & FPF_MERGE && !in->is_mem);

    if (in->is_mem ? row->rm == FP_U : row->rm == FP_M) {
        return false;
    }
    if ((row->length == VEX_L_128 && l256) || (row->length == VEX_L_256 && !l256) || (!in->vvvv_unused && !uses_vvvv)) {
        return false;
    }
    if (row->digits && !(row->digits >> (in->reg & 7) & 1)) {
        return false;
    }
    if (row->flags & FPF_MXCSR && (in->reg & 7) != 2 && (in->reg & 7) != 3) {
        return false;
    }
    if (row->flags & FPF_REG_AVX2 && !in->is_mem && !x86_has(tr->s, FEAT_avx2)) {
        return false;
    }
    return tr->mode & MODE_AVX && x86_has(tr->s, FEAT_avx) &&
           x86_has(tr->s, l256 && row->length != VEX_L_IGNORED ? row->feature256 : row->feature);
}

bool x86_translate_vex(X86Translator *tr, X86Insn *in)
{
    const VexRow *row = x86_vex_row(in->map, in->vex_pp, in->opcode, in->w);
    bool l256;
    FpRow plain;

    if (!row || !is_defined(tr, in, row)) {
        return false;
    }
    l256 = in->vex == 2 && row->length != VEX_L_IGNORED;
    plain = (FpRow){
        .map = row->map, .prefix = row->prefix, .opcode = row->opcode, .reg = row->reg, .rm = row->rm,
        .size = l256 ? row->size256 : row->size,
        .flags = row->flags | (row->flags & FPF_ALIGNED ? 0 : FPF_LOOSE), .digits = row->digits,
    };
    if (tr->mode & MODE_TS) {
        x86_raise_now(tr, EXC_NM);
    } else if (row->flags & FPF_GATHER) {
        return translate_gather(tr, in, row);
    } else if (row->flags & FPF_MASKED) {
        translate_masked(tr, in, row, plain.size);
    } else if (row->flags & FPF_MASKMOV) {
        x86_translate_maskmov(tr, in, &plain);
    } else if (l256 && row->feature256 != row->feature && (row->feature256 == FEAT_vaes || row->feature256 == FEAT_vpclmulqdq)) {
        translate_crypt(tr, in);
    } else if (x86_is_explicit_string(&plain)) {
        x86_translate_pcmpestr(tr, in);
    } else if (row->flags & FPF_MXCSR) {
        x86_translate_mxcsr(tr, in, (in->reg & 7) == 2);
    } else if (row->rm == FP_NONE) {
        translate_zero(tr, in, &plain);
    } else {
        /* Outside of 64-bit code W does not widen general registers, and there are eight vector registers. */
        bool w = in->w && (tr->cs64 || !(row->flags & (FPF_Y | FPF_GPR64)));

        if (row->flags & FPF_IS4 && !tr->cs64) {
            in->imm &= 0x7f;
        }
        x86_translate_fp_row(tr, in, &plain, l256 ? 2 : 1, w);
    }
    return true;
}
