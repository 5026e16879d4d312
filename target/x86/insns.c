/* The opcode tables: SDM volume 2, appendix A, in its notation. */
#include "target/x86/insns.h"

#define ROW(name, op, a, b, c, attr) {x86_emit_##name, NULL, op, {O_##a, O_##b, O_##c}, attr}
#define GROUP(rows, attr)            {NULL, rows, 0, {0}, (attr) | A_MODRM}

const X86Row x86_row_undefined = {0};
const X86Row x86_row_fp = ROW(fp, 0, NONE, NONE, NONE, A_MODRM);
const X86Row x86_row_fp_ib = ROW(fp, 0, NONE, NONE, Ib, A_MODRM);
const X86Row x86_row_fp_iw = ROW(fp, 0, NONE, NONE, Iw, A_MODRM);
#define FP    ROW(fp, 0, NONE, NONE, NONE, A_MODRM)
#define FP_IB ROW(fp, 0, NONE, NONE, Ib, A_MODRM)

/* Groups, by ModRM.reg. */
#define GROUP1(dst, src) { \
    ROW(alu, ALU_ADD, dst, src, NONE, A_LOCK | A_FLW), ROW(alu, ALU_OR, dst, src, NONE, A_LOCK | A_FLW), \
    ROW(alu, ALU_ADC, dst, src, NONE, A_LOCK), ROW(alu, ALU_SBB, dst, src, NONE, A_LOCK), \
    ROW(alu, ALU_AND, dst, src, NONE, A_LOCK | A_FLW), ROW(alu, ALU_SUB, dst, src, NONE, A_LOCK | A_FLW), \
    ROW(alu, ALU_XOR, dst, src, NONE, A_LOCK | A_FLW), ROW(alu, ALU_CMP, dst, src, NONE, A_FLW), \
}
static const X86Row group1_eb_ib[8] = GROUP1(Eb, Ib);
static const X86Row group1_ev_iz[8] = GROUP1(Ev, Iz);
static const X86Row group1_ev_ibs[8] = GROUP1(Ev, Ibs);

#define GROUP2(dst, src) { \
    ROW(shift, SHIFT_ROL, dst, src, NONE, 0), ROW(shift, SHIFT_ROR, dst, src, NONE, 0), \
    ROW(shift, SHIFT_RCL, dst, src, NONE, 0), ROW(shift, SHIFT_RCR, dst, src, NONE, 0), \
    ROW(shift, SHIFT_SHL, dst, src, NONE, 0), ROW(shift, SHIFT_SHR, dst, src, NONE, 0), \
    ROW(shift, SHIFT_SAL, dst, src, NONE, 0), ROW(shift, SHIFT_SAR, dst, src, NONE, 0), \
}
static const X86Row group2_eb_ib[8] = GROUP2(Eb, Ib);
static const X86Row group2_ev_ib[8] = GROUP2(Ev, Ib);
static const X86Row group2_eb_1[8] = GROUP2(Eb, 1);
static const X86Row group2_ev_1[8] = GROUP2(Ev, 1);
static const X86Row group2_eb_cl[8] = GROUP2(Eb, CL);
static const X86Row group2_ev_cl[8] = GROUP2(Ev, CL);

static const X86Row group1a[8] = {ROW(pop, 0, Ev, NONE, NONE, A_D64 | A_FLN)};

static const X86Row group3_eb[8] = {
    ROW(test, 0, Eb, Ib, NONE, A_FLW), ROW(test, 0, Eb, Ib, NONE, A_FLW),
    ROW(not, 0, Eb, NONE, NONE, A_LOCK | A_FLN), ROW(neg, 0, Eb, NONE, NONE, A_LOCK | A_FLW),
    ROW(mul, 0, Eb, NONE, NONE, A_FLW), ROW(imul1, 0, Eb, NONE, NONE, A_FLW),
    ROW(div, 0, Eb, NONE, NONE, A_FLN), ROW(idiv, 0, Eb, NONE, NONE, A_FLN),
};
static const X86Row group3_ev[8] = {
    ROW(test, 0, Ev, Iz, NONE, A_FLW), ROW(test, 0, Ev, Iz, NONE, A_FLW),
    ROW(not, 0, Ev, NONE, NONE, A_LOCK | A_FLN), ROW(neg, 0, Ev, NONE, NONE, A_LOCK | A_FLW),
    ROW(mul, 0, Ev, NONE, NONE, A_FLW), ROW(imul1, 0, Ev, NONE, NONE, A_FLW),
    ROW(div, 0, Ev, NONE, NONE, A_FLN), ROW(idiv, 0, Ev, NONE, NONE, A_FLN),
};
static const X86Row group4[8] = {
    ROW(inc, 0, Eb, NONE, NONE, A_LOCK | A_FLN), ROW(dec, 0, Eb, NONE, NONE, A_LOCK | A_FLN),
};
static const X86Row group5[8] = {
    ROW(inc, 0, Ev, NONE, NONE, A_LOCK | A_FLN), ROW(dec, 0, Ev, NONE, NONE, A_LOCK | A_FLN),
    ROW(call_ev, 0, Ev, NONE, NONE, A_F64 | A_END), ROW(call_far_m, 0, M, NONE, NONE, A_MEM | A_END),
    ROW(jmp_ev, 0, Ev, NONE, NONE, A_F64 | A_END), ROW(jmp_far_m, 0, M, NONE, NONE, A_MEM | A_END),
    ROW(push, 0, Ev, NONE, NONE, A_D64 | A_FLN),
};
static const X86Row group8[8] = {
    [4] = ROW(bt, BIT_TEST, Ev, Ib, NONE, A_FLN),
    ROW(bt, BIT_SET, Ev, Ib, NONE, A_LOCK | A_FLN), ROW(bt, BIT_RESET, Ev, Ib, NONE, A_LOCK | A_FLN),
    ROW(bt, BIT_COMPLEMENT, Ev, Ib, NONE, A_LOCK | A_FLN),
};
static const X86Row group9[8] = {
    [1] = ROW(cmpxchg_wide, 0, M, NONE, NONE, A_LOCK | A_MEM),
    [3] = FP, FP, FP, ROW(grp9, 6, NONE, NONE, NONE, A_MODRM), ROW(grp9, 7, NONE, NONE, NONE, A_MODRM),
};
static const X86Row group11_eb[8] = {ROW(mov, 0, Eb, Ib, NONE, A_FLN)};
static const X86Row group11_ev[8] = {ROW(mov, 0, Ev, Iz, NONE, A_FLN)};
static const X86Row group15[8] = {
    ROW(grp15, 0, NONE, NONE, NONE, A_MODRM), ROW(grp15, 1, NONE, NONE, NONE, A_MODRM),
    ROW(grp15, 2, NONE, NONE, NONE, A_MODRM), ROW(grp15, 3, NONE, NONE, NONE, A_MODRM),
    ROW(grp15, 4, NONE, NONE, NONE, A_MODRM), ROW(grp15, 5, NONE, NONE, NONE, A_MODRM),
    ROW(grp15, 6, NONE, NONE, NONE, A_MODRM), ROW(grp15, 7, NONE, NONE, NONE, A_MODRM),
};

#define ALU6(code, op, lock, fl) \
    [code] = ROW(alu, op, Eb, Gb, NONE, (lock) | (fl)), ROW(alu, op, Ev, Gv, NONE, (lock) | (fl)), \
    ROW(alu, op, Gb, Eb, NONE, fl), ROW(alu, op, Gv, Ev, NONE, fl), \
    ROW(alu, op, AL, Ib, NONE, fl), ROW(alu, op, AX, Iz, NONE, fl)
#define TIMES2(...) __VA_ARGS__, __VA_ARGS__
#define TIMES4(...) TIMES2(__VA_ARGS__), TIMES2(__VA_ARGS__)
#define TIMES8(...) TIMES4(__VA_ARGS__), TIMES4(__VA_ARGS__)
#define TIMES16(...) TIMES8(__VA_ARGS__), TIMES8(__VA_ARGS__)
#define SEG_STACK(code, seg, attr) \
    [code] = ROW(push_seg, seg, NONE, NONE, NONE, attr | A_FLN), ROW(pop_seg, seg, NONE, NONE, NONE, attr)

const X86Row x86_rows_one[256] = {
    ALU6(0x00, ALU_ADD, A_LOCK, A_FLW),
    SEG_STACK(0x06, S_ES, A_I64),
    ALU6(0x08, ALU_OR, A_LOCK, A_FLW),
    [0x0e] = ROW(push_seg, S_CS, NONE, NONE, NONE, A_I64 | A_FLN),
    ALU6(0x10, ALU_ADC, A_LOCK, 0),
    SEG_STACK(0x16, S_SS, A_I64),
    ALU6(0x18, ALU_SBB, A_LOCK, 0),
    SEG_STACK(0x1e, S_DS, A_I64),
    ALU6(0x20, ALU_AND, A_LOCK, A_FLW),
    [0x27] = ROW(decimal, DECIMAL_DAA, NONE, NONE, NONE, A_I64),
    ALU6(0x28, ALU_SUB, A_LOCK, A_FLW),
    [0x2f] = ROW(decimal, DECIMAL_DAS, NONE, NONE, NONE, A_I64),
    ALU6(0x30, ALU_XOR, A_LOCK, A_FLW),
    [0x37] = ROW(decimal, DECIMAL_AAA, NONE, NONE, NONE, A_I64),
    ALU6(0x38, ALU_CMP, 0, A_FLW),
    [0x3f] = ROW(decimal, DECIMAL_AAS, NONE, NONE, NONE, A_I64),
    [0x40] = TIMES8(ROW(inc, 0, Zv, NONE, NONE, A_I64 | A_FLN)),
    TIMES8(ROW(dec, 0, Zv, NONE, NONE, A_I64 | A_FLN)),
    [0x50] = TIMES8(ROW(push, 0, Zv, NONE, NONE, A_D64 | A_FLN)),
    TIMES8(ROW(pop, 0, Zv, NONE, NONE, A_D64 | A_FLN)),
    [0x60] = ROW(pusha, 0, NONE, NONE, NONE, A_I64 | A_FLN),
    ROW(popa, 0, NONE, NONE, NONE, A_I64 | A_FLN),
    ROW(bound, 0, Gv, M, NONE, A_I64 | A_MEM),
    ROW(movsxd, 0, Gv, Ed, NONE, 0), /* arpl Ew,Gw outside of 64-bit code */
    [0x68] = ROW(push, 0, Iz, NONE, NONE, A_D64 | A_FLN),
    ROW(imul, 0, Gv, Ev, Iz, A_FLW),
    ROW(push, 0, Ibs, NONE, NONE, A_D64 | A_FLN),
    ROW(imul, 0, Gv, Ev, Ibs, A_FLW),
    [0x6c] = ROW(string, STRING_INS, NONE, NONE, NONE, 0), ROW(string, STRING_INS, NONE, NONE, NONE, 0),
    ROW(string, STRING_OUTS, NONE, NONE, NONE, 0), ROW(string, STRING_OUTS, NONE, NONE, NONE, 0),
    [0x70] = TIMES16(ROW(jcc, 0, Jb, NONE, NONE, A_F64)),
    [0x80] = GROUP(group1_eb_ib, 0), GROUP(group1_ev_iz, 0), GROUP(group1_eb_ib, A_I64), GROUP(group1_ev_ibs, 0),
    [0x84] = ROW(test, 0, Eb, Gb, NONE, A_FLW), ROW(test, 0, Ev, Gv, NONE, A_FLW),
    ROW(xchg, 0, Eb, Gb, NONE, A_LOCK | A_FLN), ROW(xchg, 0, Ev, Gv, NONE, A_LOCK | A_FLN),
    [0x88] = ROW(mov, 0, Eb, Gb, NONE, A_FLN), ROW(mov, 0, Ev, Gv, NONE, A_FLN),
    ROW(mov, 0, Gb, Eb, NONE, A_FLN), ROW(mov, 0, Gv, Ev, NONE, A_FLN),
    ROW(mov_from_seg, 0, Ev, Sw, NONE, A_FLN), ROW(lea, 0, Gv, M, NONE, A_MEM | A_FLN),
    ROW(mov_to_seg, 0, Sw, Ew, NONE, 0), GROUP(group1a, 0),
    [0x90] = ROW(nop90, 0, Zv, AX, NONE, 0),
    ROW(xchg, 0, Zv, AX, NONE, A_FLN), TIMES2(ROW(xchg, 0, Zv, AX, NONE, A_FLN)), TIMES4(ROW(xchg, 0, Zv, AX, NONE, A_FLN)),
    [0x98] = ROW(cbw, 0, NONE, NONE, NONE, A_FLN), ROW(cwd, 0, NONE, NONE, NONE, A_FLN),
    ROW(call_far, 0, Ap, NONE, NONE, A_I64 | A_END),
    ROW(fp, 0, NONE, NONE, NONE, 0), /* fwait */
    ROW(pushf, 0, NONE, NONE, NONE, A_D64), ROW(popf, 0, NONE, NONE, NONE, A_D64),
    ROW(sahf, 0, NONE, NONE, NONE, 0), ROW(lahf, 0, NONE, NONE, NONE, 0),
    [0xa0] = ROW(mov, 0, AL, Ob, NONE, A_FLN), ROW(mov, 0, AX, Ov, NONE, A_FLN),
    ROW(mov, 0, Ob, AL, NONE, A_FLN), ROW(mov, 0, Ov, AX, NONE, A_FLN),
    TIMES2(ROW(string, STRING_MOVS, NONE, NONE, NONE, A_FLN)), TIMES2(ROW(string, STRING_CMPS, NONE, NONE, NONE, 0)),
    ROW(test, 0, AL, Ib, NONE, A_FLW), ROW(test, 0, AX, Iz, NONE, A_FLW),
    TIMES2(ROW(string, STRING_STOS, NONE, NONE, NONE, A_FLN)), TIMES2(ROW(string, STRING_LODS, NONE, NONE, NONE, A_FLN)),
    TIMES2(ROW(string, STRING_SCAS, NONE, NONE, NONE, 0)),
    [0xb0] = TIMES8(ROW(mov, 0, Zb, Ib, NONE, A_FLN)), TIMES8(ROW(mov, 0, Zv, Iv, NONE, A_FLN)),
    [0xc0] = GROUP(group2_eb_ib, 0), GROUP(group2_ev_ib, 0),
    ROW(ret, 0, Iw, NONE, NONE, A_F64 | A_END), ROW(ret, 0, NONE, NONE, NONE, A_F64 | A_END),
    ROW(load_far, S_ES, Gv, M, NONE, A_I64 | A_MEM), ROW(load_far, S_DS, Gv, M, NONE, A_I64 | A_MEM),
    GROUP(group11_eb, 0), GROUP(group11_ev, 0),
    ROW(enter, 0, Iw, Ib, NONE, A_D64 | A_FLN), ROW(leave, 0, NONE, NONE, NONE, A_D64 | A_FLN),
    ROW(ret_far, 0, Iw, NONE, NONE, A_END), ROW(ret_far, 0, NONE, NONE, NONE, A_END),
    ROW(int3, 0, NONE, NONE, NONE, A_END), ROW(int, 0, Ib, NONE, NONE, A_END),
    ROW(into, 0, NONE, NONE, NONE, A_I64), ROW(iret, 0, NONE, NONE, NONE, A_END),
    [0xd0] = GROUP(group2_eb_1, 0), GROUP(group2_ev_1, 0), GROUP(group2_eb_cl, 0), GROUP(group2_ev_cl, 0),
    ROW(aam, 0, Ib, NONE, NONE, A_I64), ROW(aad, 0, Ib, NONE, NONE, A_I64),
    ROW(salc, 0, NONE, NONE, NONE, A_I64), ROW(xlat, 0, NONE, NONE, NONE, A_FLN),
    TIMES8(FP),
    [0xe0] = ROW(loop, 0, Jb, NONE, NONE, A_F64), ROW(loop, 1, Jb, NONE, NONE, A_F64),
    ROW(loop, 2, Jb, NONE, NONE, A_F64), ROW(jcxz, 0, Jb, NONE, NONE, A_F64),
    ROW(in, 0, AL, Ib, NONE, 0), ROW(in, 0, AX, Ib, NONE, 0),
    ROW(out, 0, Ib, AL, NONE, 0), ROW(out, 0, Ib, AX, NONE, 0),
    ROW(call, 0, Jz, NONE, NONE, A_F64 | A_END), ROW(jmp, 0, Jz, NONE, NONE, A_F64 | A_END),
    ROW(jmp_far, 0, Ap, NONE, NONE, A_I64 | A_END), ROW(jmp, 0, Jb, NONE, NONE, A_F64 | A_END),
    ROW(in, 0, AL, DX, NONE, 0), ROW(in, 0, AX, DX, NONE, 0),
    ROW(out, 0, DX, AL, NONE, 0), ROW(out, 0, DX, AX, NONE, 0),
    [0xf1] = ROW(int1, 0, NONE, NONE, NONE, A_END),
    [0xf4] = ROW(hlt, 0, NONE, NONE, NONE, A_CPL0 | A_END), ROW(cmc, 0, NONE, NONE, NONE, 0),
    GROUP(group3_eb, 0), GROUP(group3_ev, 0),
    ROW(clc, 0, NONE, NONE, NONE, 0), ROW(stc, 0, NONE, NONE, NONE, 0),
    ROW(cli, 0, NONE, NONE, NONE, 0), ROW(sti, 0, NONE, NONE, NONE, A_END),
    ROW(cld, 0, NONE, NONE, NONE, A_FLN), ROW(std, 0, NONE, NONE, NONE, A_FLN),
    GROUP(group4, 0), GROUP(group5, 0),
};

const X86Row x86_rows_0f[256] = {
    [0x00] = ROW(grp6, 0, NONE, NONE, NONE, A_MODRM | A_PE), ROW(grp7, 0, NONE, NONE, NONE, A_MODRM),
    ROW(lar, 0, Gv, Ew, NONE, A_PE), ROW(lar, 1, Gv, Ew, NONE, A_PE),
    [0x05] = ROW(syscall, 0, NONE, NONE, NONE, A_END), ROW(clts, 0, NONE, NONE, NONE, A_CPL0),
    ROW(sysret, 0, NONE, NONE, NONE, A_END),
    ROW(wbinvd, 0, NONE, NONE, NONE, A_CPL0), ROW(wbinvd, 0, NONE, NONE, NONE, A_CPL0),
    [0x0b] = ROW(ud, 0, NONE, NONE, NONE, A_END),
    [0x0d] = ROW(nop, 0, NONE, NONE, NONE, A_MODRM), ROW(fp, 0, NONE, NONE, NONE, 0) /* femms */, FP_IB /* 3DNow! */,
    [0x10] = TIMES8(FP),
    [0x18] = TIMES8(ROW(nop, 0, NONE, NONE, NONE, A_MODRM | A_FLN)),
    [0x20] = ROW(mov_cr, 0, NONE, NONE, NONE, A_MODRM), ROW(mov_dr, 0, NONE, NONE, NONE, A_MODRM),
    ROW(mov_cr, 1, NONE, NONE, NONE, A_MODRM), ROW(mov_dr, 1, NONE, NONE, NONE, A_MODRM),
    [0x28] = TIMES8(FP),
    [0x30] = ROW(wrmsr, 0, NONE, NONE, NONE, A_CPL0), ROW(rdtsc, 0, NONE, NONE, NONE, 0),
    ROW(rdmsr, 0, NONE, NONE, NONE, A_CPL0), ROW(rdpmc, 0, NONE, NONE, NONE, 0),
    ROW(sysenter, 0, NONE, NONE, NONE, A_END), ROW(sysexit, 0, NONE, NONE, NONE, A_CPL0 | A_END),
    [0x40] = TIMES16(ROW(cmov, 0, Gv, Ev, NONE, 0)),
    [0x50] = TIMES16(FP), TIMES16(FP),
    [0x70] = TIMES4(FP_IB), TIMES2(FP), FP, ROW(fp, 0, NONE, NONE, NONE, 0) /* emms */, TIMES8(FP),
    [0x80] = TIMES16(ROW(jcc, 0, Jz, NONE, NONE, A_F64)),
    [0x90] = TIMES16(ROW(setcc, 0, Eb, NONE, NONE, 0)),
    [0xa0] = ROW(push_seg, S_FS, NONE, NONE, NONE, A_D64 | A_FLN), ROW(pop_seg, S_FS, NONE, NONE, NONE, A_D64),
    ROW(cpuid, 0, NONE, NONE, NONE, 0), ROW(bt, BIT_TEST, Ev, Gv, NONE, A_FLN),
    ROW(shld, 0, Ev, Gv, Ib, 0), ROW(shld, 0, Ev, Gv, CL, 0),
    [0xa8] = ROW(push_seg, S_GS, NONE, NONE, NONE, A_D64 | A_FLN), ROW(pop_seg, S_GS, NONE, NONE, NONE, A_D64),
    ROW(rsm, 0, NONE, NONE, NONE, A_END), ROW(bt, BIT_SET, Ev, Gv, NONE, A_LOCK | A_FLN),
    ROW(shrd, 0, Ev, Gv, Ib, 0), ROW(shrd, 0, Ev, Gv, CL, 0),
    GROUP(group15, 0), ROW(imul, 0, Gv, Ev, NONE, A_FLW),
    [0xb0] = ROW(cmpxchg, 0, Eb, Gb, NONE, A_LOCK | A_FLW), ROW(cmpxchg, 0, Ev, Gv, NONE, A_LOCK | A_FLW),
    ROW(load_far, S_SS, Gv, M, NONE, A_MEM), ROW(bt, BIT_RESET, Ev, Gv, NONE, A_LOCK | A_FLN),
    ROW(load_far, S_FS, Gv, M, NONE, A_MEM), ROW(load_far, S_GS, Gv, M, NONE, A_MEM),
    ROW(movzx, 0, Gv, Eb, NONE, A_FLN), ROW(movzx, 0, Gv, Ew, NONE, A_FLN),
    ROW(popcnt, 0, Gv, Ev, NONE, A_FLW), ROW(ud, 0, NONE, NONE, NONE, A_MODRM | A_END),
    GROUP(group8, 0), ROW(bt, BIT_COMPLEMENT, Ev, Gv, NONE, A_LOCK | A_FLN),
    ROW(bsf, 0, Gv, Ev, NONE, A_FLW), ROW(bsr, 0, Gv, Ev, NONE, A_FLW),
    ROW(movsx, 0, Gv, Eb, NONE, A_FLN), ROW(movsx, 0, Gv, Ew, NONE, A_FLN),
    [0xc0] = ROW(xadd, 0, Eb, Gb, NONE, A_LOCK | A_FLW), ROW(xadd, 0, Ev, Gv, NONE, A_LOCK | A_FLW),
    FP_IB, ROW(movnti, 0, M, Gy, NONE, A_MEM), FP_IB, FP_IB, FP_IB, GROUP(group9, 0),
    [0xc8] = TIMES8(ROW(bswap, 0, Zv, NONE, NONE, A_FLN)),
    [0xd0] = TIMES16(FP), TIMES16(FP), TIMES8(FP), TIMES4(FP), TIMES2(FP), FP,
    ROW(ud, 0, NONE, NONE, NONE, A_MODRM | A_END),
};

const X86Row *x86_row_0f38(const X86Insn *in)
{
    static const X86Row movbe_load = ROW(movbe, 0, Gv, Ev, NONE, A_MEM | A_FLN);
    static const X86Row movbe_store = ROW(movbe, 0, Ev, Gv, NONE, A_MEM | A_FLN);
    static const X86Row crc32_byte = ROW(crc32, 0, Gy, Eb, NONE, A_FLN);
    static const X86Row crc32 = ROW(crc32, 0, Gy, Ev, NONE, A_FLN);
    static const X86Row adx = ROW(adx, 0, Gy, Ey, NONE, 0);
    static const X86Row invpcid = ROW(invpcid, 0, NONE, NONE, NONE, A_MODRM | A_MEM | A_CPL0);

    switch (in->opcode) {
    case 0x82:
        return in->opsize && !in->rep ? &invpcid : &x86_row_fp;
    case 0xf0:
        return in->rep == 0xf2 ? &crc32_byte : in->rep ? &x86_row_undefined : &movbe_load;
    case 0xf1:
        return in->rep == 0xf2 ? &crc32 : in->rep ? &x86_row_undefined : &movbe_store;
    case 0xf6:
        return in->rep == 0xf3 || (in->opsize && !in->rep) ? &adx : &x86_row_fp;
    }
    return &x86_row_fp;
}

const X86Row *x86_row_vex(const X86Insn *in)
{
    static const X86Row andn = ROW(andn, 0, Gy, By, Ey, A_FLW);
    static const X86Row bls = ROW(bls, 0, By, Ey, NONE, A_FLW);
    static const X86Row bzhi = ROW(bzhi, 0, Gy, Ey, By, A_FLW);
    static const X86Row pdep = ROW(pdep, 0, Gy, By, Ey, A_FLN);
    static const X86Row pext = ROW(pext, 0, Gy, By, Ey, A_FLN);
    static const X86Row mulx = ROW(mulx, 0, Gy, By, Ey, A_FLN);
    static const X86Row bextr = ROW(bextr, 0, Gy, Ey, By, A_FLW);
    static const X86Row shiftx = ROW(shiftx, 0, Gy, Ey, By, A_FLN);
    static const X86Row rorx = ROW(rorx, 0, Gy, Ey, Ib, A_FLN);
    static const X86Row no_modrm = ROW(fp, 0, NONE, NONE, NONE, 0);

    if (in->map == MAP_0F3A) {
        return in->opcode == 0xf0 && in->vex_pp == 0xf2 ? &rorx : &x86_row_fp_ib;
    }
    if (in->map == MAP_0F) {
        switch (in->opcode) {
        case 0x77:
            return &no_modrm;
        case 0x70 ... 0x73:
        case 0xc2:
        case 0xc4 ... 0xc6:
            return &x86_row_fp_ib;
        }
        return &x86_row_fp;
    }
    switch (in->opcode) {
    case 0xf2:
        return in->vex_pp == 0 ? &andn : &x86_row_fp;
    case 0xf3:
        return in->vex_pp == 0 ? &bls : &x86_row_fp;
    case 0xf5:
        return in->vex_pp == 0 ? &bzhi : in->vex_pp == 0xf2 ? &pdep : in->vex_pp == 0xf3 ? &pext : &x86_row_fp;
    case 0xf6:
        return in->vex_pp == 0xf2 ? &mulx : &x86_row_fp;
    case 0xf7:
        return in->vex_pp == 0 ? &bextr : &shiftx;
    }
    return &x86_row_fp;
}
