/* Numbers of the rows of fp.def, altivec.def and vsx.def, and what may stand for their functions. */
#ifndef PPC_FP_ROWS_H
#define PPC_FP_ROWS_H

#include "target/ppc/insns.h"

enum {
#define ROW(name, ...) EXEC_##name,
#include "target/ppc/fp.def"
#include "target/ppc/altivec.def"
#include "target/ppc/vsx.def"
#include "target/ppc/dfp.def"
#undef ROW
    EXEC_COUNT
};

/* As instructions of their own (fp_table.c). */
void ppc_fp_execute(PpcState *s, unsigned row, uint32_t word);
/* Without regard to what is pending. */
void ppc_fp_execute_again(PpcState *s, unsigned row, uint32_t word);

/* Whether FPRF, FR and FI do not depend on what was noted before. (fp_fast.c) */
bool ppc_fp_renews_status(const PpcState *s, unsigned row, uint32_t word);

/* Emits the instruction without a helper on the usual path, or false; `slowly` emits it with one (fp_fast.c). */
bool ppc_emit_fp_fast(PpcTranslator *tr, const PpcInsn *in, PpcEmit *slowly);
bool ppc_emit_vector_fast(PpcTranslator *tr, const PpcInsn *in); /* vec_fast.c */

#endif
