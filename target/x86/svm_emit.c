/* In a virtual machine's code: the calls in front of instructions that its host may want to intercept. */
#include "target/x86/insns.h"
#include "target/x86/svm.h"

static IrVal word(X86Translator *tr, uint64_t value)
{
    return x86_const(tr, IR_I64, value);
}

static void check(X86Translator *tr, const X86Insn *in, unsigned code, uint64_t info1)
{
    X86_CALL3(tr, svm_check, word(tr, code), word(tr, info1), x86_next_pc(tr, in));
}

/* For those that raise #GP or #UD first outside of ring 0. */
static void check_cpl0(X86Translator *tr, const X86Insn *in, unsigned code)
{
    if (tr->cpl == 0) {
        check(tr, in, code, 0);
    }
}

static IrVal port_in_dx(X86Translator *tr)
{
    return x86_arg(tr, IR_I16, ir_get(tr->ir, IR_I16, SLOT_DX));
}

static void check_io(X86Translator *tr, const X86Insn *in, IrVal port, unsigned info)
{
    unsigned size = in->opcode & 1 ? (in->type == IR_I16 ? 2 : 4) : 1;

    info |= size << 4 | IO_ADDR16 << (in->addr_type - IR_I16);
    X86_CALL3(tr, svm_check_io, port, word(tr, info), x86_next_pc(tr, in));
}

static void check_string_io(X86Translator *tr, const X86Insn *in)
{
    bool input = in->opcode < 0x6e;
    unsigned seg = input ? S_ES : in->seg_override >= 0 ? in->seg_override : S_DS;

    check_io(tr, in, port_in_dx(tr), (input ? IO_IN : 0) | IO_STRING | (in->rep ? IO_REP : 0) | seg << IO_SEGMENT_SHIFT);
}

static void check_one_byte(X86Translator *tr, X86Insn *in)
{
    switch (in->opcode) {
    case 0x6c ... 0x6f:
        check_string_io(tr, in);
        break;
    case 0x90:
        if (in->rep == 0xf3 && in->rm == R_AX) {
            X86_CALL1(tr, svm_check_pause, x86_next_pc(tr, in));
        }
        break;
    case 0x9c:
        check(tr, in, SVM_EXIT_PUSHF, 0);
        break;
    case 0x9d:
        check(tr, in, SVM_EXIT_POPF, 0);
        break;
    case 0xcd:
        check(tr, in, SVM_EXIT_INT_N, in->imm & 0xff);
        break;
    case 0xcf:
        check(tr, in, SVM_EXIT_IRET, 0);
        break;
    case 0xe4:
    case 0xe5:
        check_io(tr, in, word(tr, in->imm & 0xff), IO_IN);
        break;
    case 0xe6:
    case 0xe7:
        check_io(tr, in, word(tr, in->imm & 0xff), 0);
        break;
    case 0xec:
    case 0xed:
        check_io(tr, in, port_in_dx(tr), IO_IN);
        break;
    case 0xee:
    case 0xef:
        check_io(tr, in, port_in_dx(tr), 0);
        break;
    case 0xf1:
        check(tr, in, SVM_EXIT_ICEBP, 0);
        break;
    case 0xf4:
        check(tr, in, SVM_EXIT_HLT, 0);
        break;
    }
}

static void check_invlpg(X86Translator *tr, X86Insn *in)
{
    IrVal address = x86_address_arg(tr, in, 1, false);

    X86_CALL3(tr, svm_check, word(tr, SVM_EXIT_INVLPG), address, x86_next_pc(tr, in));
}

static void check_grp7(X86Translator *tr, X86Insn *in)
{
    unsigned which = in->modrm >> 3 & 7;

    if (which == 4) {
        check(tr, in, SVM_EXIT_READ_CR0, 0);
    } else if (which == 6) { /* the selective intercept takes all of LMSW */
        check_cpl0(tr, in, SVM_EXIT_WRITE_CR0);
        check_cpl0(tr, in, SVM_EXIT_CR0_SELECTIVE);
    } else if (in->is_mem) {
        static const uint8_t codes[8] = {
            SVM_EXIT_READ_GDTR, SVM_EXIT_READ_IDTR, SVM_EXIT_WRITE_GDTR, SVM_EXIT_WRITE_IDTR,
        };

        if (which < 2) {
            check(tr, in, codes[which], 0);
        } else if (which < 4) {
            check_cpl0(tr, in, codes[which]);
        } else if (which == 7 && tr->cpl == 0) {
            check_invlpg(tr, in);
        }
    } else if (in->modrm == 0xc8 && x86_feature(tr, FEAT_monitor)) {
        check_cpl0(tr, in, SVM_EXIT_MONITOR);
    } else if (in->modrm == 0xc9 && x86_feature(tr, FEAT_monitor)) {
        check_cpl0(tr, in, SVM_EXIT_MWAIT);
    } else if (in->modrm == 0xd1 && tr->mode & MODE_OSXSAVE) {
        check_cpl0(tr, in, SVM_EXIT_XSETBV);
    } else if (in->modrm == 0xf9 && x86_feature(tr, FEAT_rdtscp)) {
        check(tr, in, SVM_EXIT_RDTSCP, 0);
    }
}

static void check_grp6(X86Translator *tr, const X86Insn *in)
{
    static const uint8_t codes[4] = { SVM_EXIT_READ_LDTR, SVM_EXIT_READ_TR, SVM_EXIT_WRITE_LDTR, SVM_EXIT_WRITE_TR };
    unsigned which = in->modrm >> 3 & 7;

    if (which < 2) {
        check(tr, in, codes[which], 0);
    } else if (which < 4) {
        check_cpl0(tr, in, codes[which]);
    }
}

static void check_msr(X86Translator *tr, const X86Insn *in, bool is_write)
{
    IrVal msr = x86_arg(tr, IR_I32, ir_get(tr->ir, IR_I32, SLOT_CX));

    X86_CALL3(tr, svm_check_msr, msr, word(tr, is_write), x86_next_pc(tr, in));
}

static void check_write_cr(X86Translator *tr, const X86Insn *in)
{
    IrType type = tr->cs64 ? IR_I64 : IR_I32;

    if (in->reg == 0) {
        IrVal value = x86_arg(tr, type, x86_gpr_get(tr, in, type, in->rm));

        X86_CALL3(tr, svm_check_cr0, value, word(tr, CR_IS_MOV | in->rm), x86_next_pc(tr, in));
    } else {
        check(tr, in, SVM_EXIT_WRITE_CR0 + in->reg, CR_IS_MOV | in->rm);
    }
}

static void check_two_byte(X86Translator *tr, X86Insn *in)
{
    switch (in->opcode) {
    case 0x00:
        check_grp6(tr, in);
        break;
    case 0x01:
        check_grp7(tr, in);
        break;
    case 0x06: /* CLTS: the selective intercept does not concern it */
        check(tr, in, SVM_EXIT_WRITE_CR0, 0);
        break;
    case 0x08:
        check(tr, in, SVM_EXIT_INVD, 0);
        break;
    case 0x09:
        check(tr, in, SVM_EXIT_WBINVD, 0);
        break;
    case 0x20:
        check(tr, in, SVM_EXIT_READ_CR0 + in->reg, CR_IS_MOV | in->rm);
        break;
    case 0x21:
        check(tr, in, SVM_EXIT_READ_DR0 + in->reg, in->rm);
        break;
    case 0x22:
        check_write_cr(tr, in);
        break;
    case 0x23:
        check(tr, in, SVM_EXIT_WRITE_DR0 + in->reg, in->rm);
        break;
    case 0x30:
    case 0x32:
        check_msr(tr, in, in->opcode == 0x30);
        break;
    case 0x31:
        check(tr, in, SVM_EXIT_RDTSC, 0);
        break;
    case 0x33:
        check(tr, in, SVM_EXIT_RDPMC, 0);
        break;
    case 0xa2:
        check(tr, in, SVM_EXIT_CPUID, 0);
        break;
    case 0xaa:
        check(tr, in, SVM_EXIT_RSM, 0);
        break;
    }
}

void x86_emit_svm_check(X86Translator *tr, X86Insn *in)
{
    if (in->vex) {
        return;
    }
    if (in->map == MAP_ONE) {
        check_one_byte(tr, in);
    } else if (in->map == MAP_0F) {
        check_two_byte(tr, in);
    } else if (in->map == MAP_0F38 && in->opcode == 0x82 && in->opsize && !in->rep && x86_feature(tr, FEAT_invpcid)) {
        check(tr, in, SVM_EXIT_INVPCID, 0);
    }
}

/* 0F 01 D8 to DF. rAX is of the address size; INVLPGA's ASID is in ECX. */
void x86_emit_svm(X86Translator *tr, X86Insn *in)
{
    IrVal rax = x86_arg(tr, in->addr_type, ir_get(tr->ir, in->addr_type, SLOT_AX)), ecx;

    switch (in->modrm) {
    case 0xd8:
        X86_CALL2(tr, svm_vmrun, rax, x86_next_pc(tr, in));
        ir_exit_main(tr->ir, TCG_EXIT_MODE);
        tr->done = true;
        return;
    case 0xd9:
        X86_CALL1(tr, svm_vmmcall, x86_next_pc(tr, in));
        ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
        tr->done = true;
        return;
    case 0xda:
        X86_CALL2(tr, svm_vmload, rax, x86_next_pc(tr, in));
        if (!tr->cs64) { /* FS and GS are bits of the mode */
            x86_end_next(tr, in);
            return;
        }
        break;
    case 0xdb:
        X86_CALL2(tr, svm_vmsave, rax, x86_next_pc(tr, in));
        break;
    case 0xdc:
        X86_CALL1(tr, svm_stgi, x86_next_pc(tr, in));
        break;
    case 0xdd:
        X86_CALL1(tr, svm_clgi, x86_next_pc(tr, in));
        break;
    case 0xde:
        X86_CALL1(tr, svm_skinit, x86_next_pc(tr, in));
        ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
        tr->done = true;
        return;
    case 0xdf:
        ecx = x86_arg(tr, IR_I32, ir_get(tr->ir, IR_I32, SLOT_CX));
        X86_CALL3(tr, svm_invlpga, rax, ecx, x86_next_pc(tr, in));
        break;
    }
    x86_end_jump(tr, in->next_pc); /* the next block polls: STGI may have let something in */
}
