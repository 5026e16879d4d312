/* The vector instructions' functions by group. */
#ifndef PPC_VEC_OPS_H
#define PPC_VEC_OPS_H

#include "fp.h"
#include "vec.h"

/* CR6 of a recording comparison. */
void vec_record(PpcState *s, uint32_t insn, const PpcVec *r);

/* The bytes of a and b, side by side, that those of control name; flip: 0, or 31 to count from the right. */
PpcVec vec_permute(const PpcVec *a, const PpcVec *b, const PpcVec *control, unsigned flip);

/* Exceptions of one element as FPSCR keeps them. */
uint32_t fp_sticky(uint32_t flags);
/* Adds exceptions of all elements to FPSCR. False: one of them is enabled, and nothing is written. */
bool fp_note_vector(PpcState *s, uint32_t flags);
/* The same, and the write of the register that is left to do; then the interrupt. */
void vsx_vector_result(PpcState *s, uint32_t insn, const PpcVec *r, uint32_t flags);
/* Test data class: CR field and FPCC. */
void vsx_test_class(PpcState *s, uint32_t insn, const FpFormat *format, U128 bits, bool not_single);

#define ROW(name, ...) PpcFpExec ppc_exec_##name;
#include "altivec.def"
#include "vsx.def"
#include "dfp.def"
#undef ROW

#endif
