/* The emitters that the opcode tables name, by the file they are in. */
#ifndef TARGET_X86_INSNS_H
#define TARGET_X86_INSNS_H

#include "target/x86/decode.h"

extern const X86Row x86_rows_one[256], x86_rows_0f[256];
/* Rows of the maps 0F38 and 0F3A and of VEX, where prefixes choose; never NULL. */
const X86Row *x86_row_0f38(const X86Insn *in);
const X86Row *x86_row_vex(const X86Insn *in);
extern const X86Row x86_row_fp, x86_row_fp_ib, x86_row_fp_iw, x86_row_undefined;

/* Families with several operations: X86Row.op. */
typedef enum X86AluOp { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP } X86AluOp;
typedef enum X86ShiftOp { SHIFT_ROL, SHIFT_ROR, SHIFT_RCL, SHIFT_RCR, SHIFT_SHL, SHIFT_SHR, SHIFT_SAL, SHIFT_SAR } X86ShiftOp;
typedef enum X86BitOp { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT } X86BitOp;
typedef enum X86DecimalOp { DECIMAL_DAA, DECIMAL_DAS, DECIMAL_AAA, DECIMAL_AAS } X86DecimalOp;
typedef enum X86StringOp { STRING_MOVS, STRING_STOS, STRING_LODS, STRING_CMPS, STRING_SCAS, STRING_INS, STRING_OUTS } X86StringOp;

#define X86_EMITTERS(E) \
    /* alu.c */ \
    E(alu) E(test) E(inc) E(dec) E(not) E(neg) E(cmpxchg) E(xadd) E(adx) \
    /* move.c */ \
    E(mov) E(movzx) E(movsx) E(movsxd) E(lea) E(xchg) E(nop90) E(cmov) E(setcc) E(bswap) E(xlat) \
    E(cbw) E(cwd) E(movbe) E(movnti) E(mov_from_seg) E(mov_to_seg) E(load_far) E(lahf) E(sahf) \
    /* shift.c */ \
    E(shift) E(shld) E(shrd) E(shiftx) E(rorx) \
    /* muldiv.c */ \
    E(mul) E(imul1) E(imul) E(div) E(idiv) E(aam) E(aad) E(mulx) E(decimal) \
    /* bits.c */ \
    E(bt) E(bsf) E(bsr) E(popcnt) E(andn) E(bls) E(bzhi) E(pdep) E(pext) E(bextr) E(crc32) \
    E(cmpxchg_wide) \
    /* branch.c */ \
    E(jcc) E(jmp) E(jmp_ev) E(call) E(call_ev) E(ret) E(loop) E(jcxz) E(jmp_far) E(call_far) \
    E(jmp_far_m) E(call_far_m) E(ret_far) E(iret) E(int) E(int3) E(int1) E(into) E(bound) \
    E(syscall) E(sysret) E(sysenter) E(sysexit) \
    /* stack.c */ \
    E(push) E(pop) E(pusha) E(popa) E(push_seg) E(pop_seg) E(pushf) E(popf) E(enter) E(leave) \
    /* string.c */ \
    E(string) \
    /* misc.c */ \
    E(nop) E(ud) E(hlt) E(in) E(out) E(cmc) E(clc) E(stc) E(cli) E(sti) E(cld) E(std) E(salc) E(rsm) \
    E(cpuid) E(rdtsc) E(rdpmc) E(rdmsr) E(wrmsr) E(clts) E(wbinvd) E(mov_cr) E(mov_dr) E(lar) \
    E(grp6) E(grp7) E(grp15) E(grp9) E(invpcid) E(fp) \
    /* svm_emit.c */ \
    E(svm) E(svm_check)
#define E(name) X86Emit x86_emit_##name;
X86_EMITTERS(E)
#undef E

/* Shared between emitters. */
IrVal x86_const(X86Translator *tr, IrType type, uint64_t value);
IrVal x86_arg(X86Translator *tr, IrType type, IrVal value); /* as argument of a helper: I64 */
IrVal x86_call(X86Translator *tr, X86Helper helper, IrVal a, IrVal b, IrVal c, IrVal d);
#define X86_CALL0(tr, name)          x86_call(tr, HELPER_##name, (IrVal){0}, (IrVal){0}, (IrVal){0}, (IrVal){0})
#define X86_CALL1(tr, name, a)       x86_call(tr, HELPER_##name, a, (IrVal){0}, (IrVal){0}, (IrVal){0})
#define X86_CALL2(tr, name, a, b)    x86_call(tr, HELPER_##name, a, b, (IrVal){0}, (IrVal){0})
#define X86_CALL3(tr, name, a, b, c) x86_call(tr, HELPER_##name, a, b, c, (IrVal){0})
bool x86_each_insn_exits(const X86Translator *tr); /* single step and the like */
/* Whether the instruction at pc can be part of this block. */
bool x86_fits_block(X86Translator *tr, uint64_t pc);
IrType x86_stack_type(const X86Translator *tr);
unsigned x86_size(IrType type);
/* Stack: the value is at the top, the pointer is not yet moved; then move it, last of all. */
void x86_stack_store(X86Translator *tr, const X86Insn *in, IrType type, int64_t disp, IrVal value);
void x86_stack_probe(X86Translator *tr, const X86Insn *in, IrType type, int64_t disp); /* faults as a store would */
IrVal x86_stack_load(X86Translator *tr, const X86Insn *in, IrType type, unsigned reg, int64_t disp);
void x86_stack_move(X86Translator *tr, int64_t by);
/* push in one go */
void x86_push(X86Translator *tr, const X86Insn *in, IrType type, IrVal value);
/* EFLAGS as PUSHF pushes them, I32. */
IrVal x86_flags_to_push(X86Translator *tr);
/* Segment register load and what it means for the block. */
void x86_emit_load_seg(X86Translator *tr, X86Insn *in, int seg, IrVal selector);
/* STAC and CLAC. */
void x86_emit_ac(X86Translator *tr, X86Insn *in);
void x86_retry_unless_equal(X86Translator *tr, const X86Insn *in, IrType type, IrVal a, IrVal b);
/* MODE_COUNT, before a block's first instruction. */
void x86_look_at_counters(X86Translator *tr, uint64_t pc);
/* What performance counters take for a branch. */
bool x86_is_branch(const X86Insn *in);
bool x86_feature(const X86Translator *tr, X86Feature feature);
/* CF, or CF and OF, change and nothing else: I8 values of 0 or 1. flags may be none. count: if it is
 * given (I8) and zero, nothing changes; flags are none then. */
void x86_flags_put_carry(X86Translator *tr, IrVal cf, IrVal flags);
/* ADCX and ADOX: flags whose CF is the one carry or the other (OF); and what either becomes: CF of the flags `carry`, which are a sum's. */
IrVal x86_flags_of_carry(X86Translator *tr, bool overflow);
void x86_flags_put_either(X86Translator *tr, bool overflow, IrVal sum, IrVal carry);
void x86_flags_put_rotate(X86Translator *tr, IrVal count, IrVal cf, IrVal of, IrVal flags);
/* inc, dec: all but CF. */
void x86_flags_put_aux(X86Translator *tr, X86CcAux op, IrType type, IrVal dst, IrVal flags);
/* adc, sbb: op is CC_ADC or CC_SBB, carry the flags value that held the carry in. */
void x86_flags_put_carried(X86Translator *tr, X86CcOp op, IrType type, IrVal dst, IrVal src, IrVal carry, IrVal flags);
/* Shifts whose count (I8) may be 0, which leaves the flags. */
void x86_flags_put_if(X86Translator *tr, IrVal count, X86CcOp op, IrType type, IrVal dst, IrVal src);
/* liveness.c. Groups of flags that change and are known together. */
enum { FLAGS_CARRY = 1, FLAGS_OVERFLOW = 2, FLAGS_REST = 4, FLAGS_GROUPS = 7 };
unsigned x86_flag_groups(IrCc cc);
/* Whether code at pc overwrites all arithmetic flags before it reads any. */
bool x86_flags_dead_at(X86Translator *tr, uint64_t pc);
/* Whether the slots have to describe the flags that this instruction defines; groups: those of which
 * there is an IR value. */
bool x86_flags_wanted(X86Translator *tr, unsigned groups);
/* Whether the next instruction is in this block and reads ZF, and nobody wants any of the flags otherwise. */
bool x86_only_zero_flag_wanted(X86Translator *tr);
/* Whether the block ends before pc for its number of instructions. One that reads flags is not parted from what defines them. */
bool x86_is_full(X86Translator *tr, uint64_t pc);
/* unroll.c. Whether the branch is known to be taken, back to an instruction of this block, and worth to follow: in->next_pc is it. */
bool x86_unrolls(X86Translator *tr, X86Insn *in, IrCc cc, IrVal flags);
/* follow.c. Whether translation goes on where a jump, a call (which then has done all else) or a return leads: in->next_pc is it. */
bool x86_follows(X86Translator *tr, X86Insn *in);
bool x86_follows_call(X86Translator *tr, X86Insn *in);
bool x86_follows_return(X86Translator *tr, X86Insn *in, IrVal target);
/* The instruction at pc if it has been decoded already. */
const X86Insn *x86_looked_at(const X86Translator *tr, uint64_t pc);
/* Behind the instruction the block goes on elsewhere on its page; or it ends before pc. What it relies on is noted. */
void x86_goes_on_at(X86Translator *tr, X86Insn *in, uint64_t target);
void x86_ends_before(X86Translator *tr, uint64_t pc);
uint64_t x86_page_of(const X86Translator *tr, uint64_t pc);
/* Notes the successor's liveness for the exit just emitted. */
void x86_mark_exit(X86Translator *tr, uint64_t pc);

#endif
