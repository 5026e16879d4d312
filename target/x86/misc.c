/* Flag bits, ports and system instructions: most of them are calls of helpers. */
#include "target/x86/insns.h"

#define NONE ((IrVal){0})

void x86_emit_nop(X86Translator *tr, X86Insn *in)
{
}

void x86_emit_ud(X86Translator *tr, X86Insn *in)
{
    x86_ud(tr);
}

void x86_emit_fp(X86Translator *tr, X86Insn *in)
{
    if (!x86_translate_fp(tr, in)) {
        x86_ud(tr);
    }
}

static IrVal get32(X86Translator *tr, unsigned slot)
{
    return x86_arg(tr, IR_I32, ir_get(tr->ir, IR_I32, slot));
}

/* EDX:EAX = value */
static void put_pair(X86Translator *tr, IrVal value)
{
    ir_put(tr->ir, IR_I32, SLOT_AX, value);
    ir_put(tr->ir, IR_I32, SLOT_DX, ir_op2(tr->ir, IR_shr, IR_I64, value, x86_const(tr, IR_I8, 32)));
}

/* EDX:EAX */
static IrVal get_pair(X86Translator *tr)
{
    IrVal high = ir_op2(tr->ir, IR_shl, IR_I64, get32(tr, SLOT_DX), x86_const(tr, IR_I8, 32));

    return ir_op2(tr->ir, IR_or, IR_I64, high, get32(tr, SLOT_AX));
}

/* Flag bits. */

void x86_emit_clc(X86Translator *tr, X86Insn *in)
{
    x86_flags_put_carry(tr, x86_const(tr, IR_I8, 0), NONE);
}

void x86_emit_stc(X86Translator *tr, X86Insn *in)
{
    x86_flags_put_carry(tr, x86_const(tr, IR_I8, 1), NONE);
}

void x86_emit_cmc(X86Translator *tr, X86Insn *in)
{
    x86_flags_put_carry(tr, ir_setcc(tr->ir, CC_AE, x86_flags_carry(tr)), NONE);
}

void x86_emit_cld(X86Translator *tr, X86Insn *in)
{
    ir_put(tr->ir, IR_I32, SLOT_DF, x86_const(tr, IR_I32, 1));
}

void x86_emit_std(X86Translator *tr, X86Insn *in)
{
    ir_put(tr->ir, IR_I32, SLOT_DF, x86_const(tr, IR_I32, UINT32_MAX));
}

void x86_emit_cli(X86Translator *tr, X86Insn *in)
{
    IrVal eflags;

    if (tr->cpl > tr->iopl) { /* virtual interrupts, or #GP */
        X86_CALL0(tr, cli);
        return;
    }
    eflags = ir_get(tr->ir, IR_I32, SLOT_EFLAGS);
    ir_put(tr->ir, IR_I32, SLOT_EFLAGS, ir_op2(tr->ir, IR_and, IR_I32, eflags, x86_const(tr, IR_I32, ~EFL_IF)));
}

/*
 * No interrupt is taken before the instruction behind STI is done. In one block with it that is so
 * anyway, as long as the block ends then. If it has to go into a block of its own, the shadow mode
 * sees to it; likewise in a virtual machine, whose host may see the shadow.
 */
void x86_emit_sti(X86Translator *tr, X86Insn *in)
{
    IrVal eflags, known;

    if (tr->cpl > tr->iopl || x86_each_insn_exits(tr) || tr->mode & MODE_GUEST || !x86_fits_block(tr, in->next_pc)) {
        X86_CALL0(tr, sti);
        x86_end_next(tr, in);
        return;
    }
    eflags = ir_op2(tr->ir, IR_or, IR_I32, ir_get(tr->ir, IR_I32, SLOT_EFLAGS), x86_const(tr, IR_I32, EFL_IF));
    known = ir_get_field(tr->ir, IR_I64, offsetof(X86State, no_interrupt_waits));
    ir_put(tr->ir, IR_I32, SLOT_EFLAGS, X86_CALL2(tr, set_if, known, x86_arg(tr, IR_I32, eflags)));
    tr->limit = tr->n_insns + 1;
}

/* AL = CF ? FF : 0 */
void x86_emit_salc(X86Translator *tr, X86Insn *in)
{
    IrVal carry = ir_setcc(tr->ir, CC_B, x86_flags_carry(tr));

    ir_put(tr->ir, IR_I8, SLOT_AX, ir_op1(tr->ir, IR_neg, IR_I8, carry));
}

/* Ports. */

static IrVal port_of(X86Translator *tr, const X86Insn *in, X86Operand operand)
{
    return operand == O_Ib ? x86_const(tr, IR_I64, in->imm) : x86_arg(tr, IR_I16, ir_get(tr->ir, IR_I16, SLOT_DX));
}

static IrType port_type(const X86Insn *in, X86Operand operand)
{
    return operand == O_AL ? IR_I8 : in->type == IR_I64 ? IR_I32 : in->type;
}

void x86_emit_in(X86Translator *tr, X86Insn *in)
{
    IrType type = port_type(in, in->row->operand[0]);
    IrVal value = X86_CALL2(tr, in, port_of(tr, in, in->row->operand[1]), x86_const(tr, IR_I64, x86_size(type)));

    ir_put(tr->ir, type, SLOT_AX, value);
    if (tr->mode & MODE_IO_BREAKPOINTS) {
        x86_end_jump(tr, in->next_pc); /* the next block polls: the trap comes behind this one */
    }
}

void x86_emit_out(X86Translator *tr, X86Insn *in)
{
    IrType type = port_type(in, in->row->operand[1]);
    uint64_t length = (uint8_t)(in->next_pc - in->pc);

    x86_call(tr, HELPER_out, port_of(tr, in, in->row->operand[0]), x86_arg(tr, type, ir_get(tr->ir, type, SLOT_AX)),
             x86_const(tr, IR_I64, x86_size(type) | length << 8), x86_next_pc(tr, in));
    x86_end_jump(tr, in->next_pc); /* the next block polls: a write may raise an interrupt */
}

/* Waiting, identification, time. */

void x86_emit_hlt(X86Translator *tr, X86Insn *in)
{
    X86_CALL1(tr, hlt, x86_next_pc(tr, in));
    ir_exit_main(tr->ir, TCG_EXIT_HALT);
    tr->done = true;
}

void x86_emit_rsm(X86Translator *tr, X86Insn *in)
{
    X86_CALL0(tr, rsm);
    ir_exit_main(tr->ir, TCG_EXIT_MODE);
    tr->done = true;
}

void x86_emit_cpuid(X86Translator *tr, X86Insn *in)
{
    X86_CALL2(tr, cpuid, get32(tr, SLOT_AX), get32(tr, SLOT_CX));
}

static void call_rdtsc(X86Translator *tr, X86Insn *in)
{
    put_pair(tr, X86_CALL0(tr, rdtsc));
}

/* The host's counter; now and then, and where it may not be read, in C. */
static void read_counter(X86Translator *tr, X86Insn *in, X86Emit *slowly)
{
    IrBlock *ir = tr->ir;
    IrVal left = ir_get_field(ir, IR_I32, offsetof(X86State, tsc_left)), sum;
    IrPair counter;

    if (tr->mode & MODE_GUEST) {
        slowly(tr, in);
        return;
    }
    x86_emit_other_if(tr, in, COND_EQ, IR_I32, left, x86_const(tr, IR_I32, 0), slowly);
    ir_put_field(ir, IR_I32, offsetof(X86State, tsc_left), ir_op2(ir, IR_sub, IR_I32, left, x86_const(tr, IR_I32, 1)));
    counter = ir_host_counter(ir);
    sum = ir_op2(ir, IR_or, IR_I64, ir_op2(ir, IR_shl, IR_I64, counter.high, x86_const(tr, IR_I8, 32)), counter.low);
    put_pair(tr, ir_op2(ir, IR_add, IR_I64, sum, ir_get_field(ir, IR_I64, offsetof(X86State, tsc_add))));
}

void x86_emit_rdtsc(X86Translator *tr, X86Insn *in)
{
    if (!x86_feature(tr, FEAT_tsc)) {
        x86_ud(tr);
        return;
    }
    read_counter(tr, in, call_rdtsc);
}

static void call_rdtscp(X86Translator *tr, X86Insn *in)
{
    put_pair(tr, X86_CALL0(tr, rdtsc));
    ir_put(tr->ir, IR_I32, SLOT_CX, X86_CALL0(tr, tsc_aux));
}

static void emit_rdtscp(X86Translator *tr, X86Insn *in)
{
    read_counter(tr, in, call_rdtscp);
    if (!(tr->mode & MODE_GUEST)) {
        ir_put(tr->ir, IR_I32, SLOT_CX, ir_get_field(tr->ir, IR_I32, offsetof(X86State, tsc_aux)));
    }
}

void x86_emit_rdpmc(X86Translator *tr, X86Insn *in)
{
    put_pair(tr, X86_CALL1(tr, rdpmc, get32(tr, SLOT_CX)));
}

void x86_emit_rdmsr(X86Translator *tr, X86Insn *in)
{
    put_pair(tr, X86_CALL1(tr, rdmsr, get32(tr, SLOT_CX)));
}

void x86_emit_wrmsr(X86Translator *tr, X86Insn *in)
{
    X86_CALL2(tr, wrmsr, get32(tr, SLOT_CX), get_pair(tr));
    x86_end_next(tr, in);
}

void x86_emit_clts(X86Translator *tr, X86Insn *in)
{
    X86_CALL0(tr, clts);
    x86_end_next(tr, in);
}

void x86_emit_wbinvd(X86Translator *tr, X86Insn *in)
{
    X86_CALL0(tr, wbinvd);
}

/* Control and debug registers: always full registers, whatever mod and operand size say. */
void x86_emit_mov_cr(X86Translator *tr, X86Insn *in)
{
    IrType type = tr->cs64 ? IR_I64 : IR_I32;
    unsigned number = in->reg;
    IrVal n = x86_const(tr, IR_I64, number);

    if (number != 0 && number != 2 && number != 3 && number != 4 && number != 8) {
        x86_ud(tr);
    } else if (tr->cpl) {
        x86_gp0(tr);
    } else if (in->row->op == 0) {
        static const uint32_t fields[] = { offsetof(X86State, cr0), 0, offsetof(X86State, cr2), offsetof(X86State, cr3), offsetof(X86State, cr4) };

        x86_gpr_put(tr, in, type, in->rm, number < 8 ? ir_get_field(tr->ir, type, fields[number]) : X86_CALL1(tr, mov_from_cr, n));
    } else {
        X86_CALL2(tr, mov_to_cr, n, x86_arg(tr, type, x86_gpr_get(tr, in, type, in->rm)));
        x86_end_next(tr, in);
    }
}

void x86_emit_mov_dr(X86Translator *tr, X86Insn *in)
{
    IrType type = tr->cs64 ? IR_I64 : IR_I32;
    IrVal n = x86_const(tr, IR_I64, in->reg);

    if (in->reg > 7) {
        x86_ud(tr);
    } else if (tr->cpl) {
        x86_gp0(tr);
    } else if (in->row->op == 0) {
        x86_gpr_put(tr, in, type, in->rm, X86_CALL1(tr, mov_from_dr, n));
    } else {
        X86_CALL2(tr, mov_to_dr, n, x86_arg(tr, type, x86_gpr_get(tr, in, type, in->rm)));
        x86_end_next(tr, in);
    }
}

/* Descriptors. */

/* The flags with ZF as bit 0 of zf (I64 or I32) says. */
static void put_zero_flag(X86Translator *tr, IrVal image, IrVal zf)
{
    IrBlock *ir = tr->ir;

    zf = ir_op2(ir, IR_and, IR_I32, zf, x86_const(tr, IR_I32, 1));
    image = ir_op2(ir, IR_and, IR_I32, image, x86_const(tr, IR_I32, ~FLAG_ZF));
    x86_flags_put_image(tr, ir_op2(ir, IR_or, IR_I32, image,
                                   ir_op2(ir, IR_shl, IR_I32, zf, x86_const(tr, IR_I8, 6))));
}

/* LAR, LSL: all ones from the helper say that the selector is of no use. */
void x86_emit_lar(X86Translator *tr, X86Insn *in)
{
    IrBlock *ir = tr->ir;
    IrVal image = ir_op1(ir, IR_flags_image, IR_I32, x86_flags_all(tr));
    IrVal selector = x86_arg(tr, IR_I16, x86_rm_get(tr, in, IR_I16));
    IrVal result = x86_call(tr, in->row->op ? HELPER_lsl : HELPER_lar, selector, NONE, NONE, NONE);
    IrVal found = ir_setcond(ir, COND_NE, IR_I64, result, x86_const(tr, IR_I64, UINT64_MAX));
    IrVal old = x86_gpr_get(tr, in, in->type, in->reg);

    x86_gpr_put(tr, in, in->type, in->reg,
                ir_select(ir, in->type, found, result, old));
    put_zero_flag(tr, image, ir_zext(ir, IR_I32, IR_I8, found));
}

/* SLDT, STR, SMSW: 16 bits to memory, the operand size to a register. */
static void put_word(X86Translator *tr, X86Insn *in, IrVal value)
{
    if (in->is_mem) {
        x86_rm_put(tr, in, IR_I16, value);
    } else {
        x86_gpr_put(tr, in, in->type, in->rm, value);
    }
}

void x86_emit_grp6(X86Translator *tr, X86Insn *in)
{
    IrVal image, selector;
    unsigned which = in->modrm >> 3 & 7;

    switch (which) {
    case 0:
        put_word(tr, in, X86_CALL0(tr, sldt));
        break;
    case 1:
        put_word(tr, in, X86_CALL0(tr, str));
        break;
    case 2:
    case 3:
        if (tr->cpl) {
            x86_gp0(tr);
            break;
        }
        selector = x86_arg(tr, IR_I16, x86_rm_get(tr, in, IR_I16));
        x86_call(tr, which == 2 ? HELPER_lldt : HELPER_ltr, selector, NONE, NONE, NONE);
        break;
    case 4:
    case 5:
        image = ir_op1(tr->ir, IR_flags_image, IR_I32, x86_flags_all(tr));
        selector = x86_arg(tr, IR_I16, x86_rm_get(tr, in, IR_I16));
        put_zero_flag(tr, image, x86_call(tr, which == 4 ? HELPER_verr : HELPER_verw, selector, NONE, NONE, NONE));
        break;
    default:
        x86_ud(tr);
        break;
    }
}

static void emit_store_table(X86Translator *tr, X86Insn *in, unsigned which)
{
    IrVal base = X86_CALL1(tr, get_table, x86_const(tr, IR_I64, 2 * which));
    IrVal limit = X86_CALL1(tr, get_table, x86_const(tr, IR_I64, 2 * which + 1));
    IrType type = tr->cs64 ? IR_I64 : IR_I32;
    int64_t disp;
    IrVal address = x86_address_sized(tr, in, 2 + x86_size(type), true, &disp);

    ir_probe_store(tr->ir, type, address, disp + 2, 0);
    ir_store(tr->ir, IR_I16, address, disp, limit, 0);
    ir_store(tr->ir, type, address, disp + 2, base, 0);
}

static void emit_load_table(X86Translator *tr, X86Insn *in, X86Helper helper)
{
    IrType type = tr->cs64 ? IR_I64 : IR_I32;
    int64_t disp;
    IrVal address, limit, base;

    if (tr->cpl) {
        x86_gp0(tr);
        return;
    }
    address = x86_address_sized(tr, in, 2 + x86_size(type), false, &disp);
    limit = ir_load(tr->ir, IR_I16, address, disp, IRM_ZX);
    base = ir_load(tr->ir, type, address, disp + 2, type == IR_I64 ? 0 : IRM_ZX);
    if (!tr->cs64 && in->type == IR_I16) {
        base = ir_op2(tr->ir, IR_and, IR_I64, base, x86_const(tr, IR_I64, 0xffffff));
    }
    x86_call(tr, helper, base, limit, NONE, NONE);
    x86_end_next(tr, in);
}

/* 0F 01 with a register operand: an opcode of its own for each ModRM byte. */
static void emit_grp7_register(X86Translator *tr, X86Insn *in)
{
    IrVal address;

    switch (in->modrm) {
    case 0xc8:
    case 0xc9:
        if (!x86_feature(tr, FEAT_monitor) || tr->cpl) {
            x86_ud(tr);
        } else if (in->modrm == 0xc8) {
            address = x86_linear(tr, in, in->seg_override >= 0 ? in->seg_override : S_DS,
                                 ir_get(tr->ir, in->addr_type, SLOT_AX), in->addr_type, 1, false);
            X86_CALL1(tr, monitor, x86_arg(tr, tr->addr_type, address));
        } else {
            X86_CALL1(tr, mwait, x86_next_pc(tr, in));
            ir_exit_main(tr->ir, TCG_EXIT_MODE);
            tr->done = true;
        }
        break;
    case 0xca:
    case 0xcb:
        x86_emit_ac(tr, in);
        break;
    case 0xd0:
    case 0xd1:
        if (!(tr->mode & MODE_OSXSAVE)) {
            x86_ud(tr);
        } else if (in->modrm == 0xd0) {
            put_pair(tr, X86_CALL1(tr, xgetbv, get32(tr, SLOT_CX)));
        } else if (tr->cpl) {
            x86_gp0(tr);
        } else {
            X86_CALL2(tr, xsetbv, get32(tr, SLOT_CX), get_pair(tr));
            x86_end_next(tr, in);
        }
        break;
    case 0xee:
    case 0xef:
        if (!x86_feature(tr, FEAT_pku)) {
            x86_ud(tr);
        } else if (in->modrm == 0xee) {
            put_pair(tr, X86_CALL1(tr, rdpkru, get32(tr, SLOT_CX)));
        } else {
            X86_CALL2(tr, wrpkru, get32(tr, SLOT_CX), get_pair(tr));
            x86_end_next(tr, in);
        }
        break;
    case 0xd8 ... 0xdf:
        if (!x86_feature(tr, FEAT_svm)) {
            x86_ud(tr);
        } else {
            x86_emit_svm(tr, in);
        }
        break;
    case 0xf8:
        if (!tr->cs64) {
            x86_ud(tr);
        } else if (tr->cpl) {
            x86_gp0(tr);
        } else {
            IrVal gs = ir_get(tr->ir, IR_I64, SLOT_GS_BASE), other = ir_get(tr->ir, IR_I64, SLOT_KERNEL_GS_BASE);

            ir_put(tr->ir, IR_I64, SLOT_GS_BASE, other);
            ir_put(tr->ir, IR_I64, SLOT_KERNEL_GS_BASE, gs);
        }
        break;
    case 0xf9:
        if (!x86_feature(tr, FEAT_rdtscp)) {
            x86_ud(tr);
            break;
        }
        emit_rdtscp(tr, in);
        break;
    default:
        x86_ud(tr);
        break;
    }
}

void x86_emit_grp7(X86Translator *tr, X86Insn *in)
{
    unsigned which = in->modrm >> 3 & 7;

    if (which == 4) {
        put_word(tr, in, X86_CALL0(tr, smsw));
    } else if (which == 6) {
        if (tr->cpl) {
            x86_gp0(tr);
            return;
        }
        X86_CALL1(tr, lmsw, x86_arg(tr, IR_I16, x86_rm_get(tr, in, IR_I16)));
        x86_end_next(tr, in);
    } else if (!in->is_mem) {
        emit_grp7_register(tr, in);
    } else if (which < 2) {
        emit_store_table(tr, in, which);
    } else if (which < 4) {
        emit_load_table(tr, in, which == 2 ? HELPER_set_gdtr : HELPER_set_idtr);
    } else if (which == 7) {
        if (tr->cpl) {
            x86_gp0(tr);
            return;
        }
        X86_CALL1(tr, invlpg, x86_address_arg(tr, in, 1, false));
        x86_end_next(tr, in);
    } else {
        x86_ud(tr);
    }
}

void x86_emit_invpcid(X86Translator *tr, X86Insn *in)
{
    IrType type = tr->cs64 ? IR_I64 : IR_I32;
    IrVal address;

    if (!x86_feature(tr, FEAT_invpcid)) {
        x86_ud(tr);
        return;
    }
    address = x86_address_arg(tr, in, 16, false);
    X86_CALL2(tr, invpcid, x86_arg(tr, type, x86_gpr_get(tr, in, type, in->reg)), address);
    x86_end_next(tr, in);
}

/* RDRAND, RDSEED, RDPID. */
void x86_emit_grp9(X86Translator *tr, X86Insn *in)
{
    IrVal value;

    if (in->row->op == 7 && in->rep == 0xf3 && !in->is_mem) {
        if (!x86_feature(tr, FEAT_rdpid)) {
            x86_ud(tr);
            return;
        }
        value = X86_CALL0(tr, tsc_aux);
        x86_gpr_put(tr, in, tr->cs64 ? IR_I64 : IR_I32, in->rm, value);
        return;
    }
    if (in->is_mem || in->rep || !x86_feature(tr, in->row->op == 6 ? FEAT_rdrand : FEAT_rdseed)) {
        x86_ud(tr);
        return;
    }
    value = X86_CALL0(tr, rdrand);
    x86_gpr_put(tr, in, in->type, in->rm, value);
    x86_flags_put_image(tr, x86_const(tr, IR_I32, FLAG_CF));
}

static void emit_segment_base(X86Translator *tr, X86Insn *in)
{
    unsigned which = in->row->op;
    unsigned slot = which & 1 ? SLOT_GS_BASE : SLOT_FS_BASE;
    IrVal value;

    if (!tr->cs64 || !x86_feature(tr, FEAT_fsgsbase)) {
        x86_ud(tr);
        return;
    }
    X86_CALL0(tr, check_fsgsbase);
    if (which < 2) {
        x86_gpr_put(tr, in, in->type_y, in->rm, ir_get(tr->ir, in->type_y, slot));
    } else {
        value = x86_arg(tr, in->type_y, x86_gpr_get(tr, in, in->type_y, in->rm));
        X86_CALL1(tr, check_canonical, value);
        ir_put(tr->ir, IR_I64, slot, value);
    }
}

/* 0F AE: fences, cache lines and segment bases here, saved FP state with the FP unit. */
void x86_emit_grp15(X86Translator *tr, X86Insn *in)
{
    unsigned which = in->row->op;
    int64_t disp;
    IrVal address;

    if (!in->is_mem) {
        if (in->rep == 0xf3 && which < 4) {
            emit_segment_base(tr, in);
        } else if (in->rep || in->opsize || which < 5 || !x86_feature(tr, which == 7 ? FEAT_sse : FEAT_sse2)) {
            x86_ud(tr);
        } else {
            ir_fence(tr->ir, which == 5 ? FENCE_LOADS : which == 6 ? FENCE_ALL : FENCE_STORES);
        }
        return;
    }
    if ((which == 7 || (which == 6 && in->opsize)) && !in->rep) {
        if (!x86_feature(tr, which == 6 ? FEAT_clwb : in->opsize ? FEAT_clflushopt : FEAT_clflush)) {
            x86_ud(tr);
            return;
        }
        address = x86_address_sized(tr, in, 1, false, &disp);
        ir_load(tr->ir, IR_I8, address, disp, 0); /* faults as a load does */
        return;
    }
    x86_emit_fp(tr, in);
}
