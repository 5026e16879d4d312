/* The rows of SPE and embedded floating point, which are C functions of state and word, and the call of them. */
#include "target/ppc/insns.h"
#include "target/ppc/spe.h"

#define SPE_SELECT SPE
#define SCALAR     SPE

enum {
#define SPE(name, xo, function, how) ROW_##name,
#include "target/ppc/spe.def"
#undef SPE
};

static const struct {
    SpeExec *exec;
    unsigned how;
} execs[] = {
#define SPE(name, xo, function, how) [ROW_##name] = { spe_##function, how },
#include "target/ppc/spe.def"
#undef SPE
};
#undef SPE_SELECT
#undef SCALAR

/* (row, word): general registers, their upper halves, memory, CR. */
uint64_t ppc_helper_spe(PpcState *s, uint64_t row, uint64_t word, uint64_t c, uint64_t d)
{
    s->spe_return = tcg_caller_pc(s);
    execs[row].exec(s, word, execs[row].how);
    return 0;
}

static void emit_spe(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL2(tr, spe, ppc_const(tr, IR_I64, in->row->op), ppc_const(tr, IR_I64, in->word));
}

#define ROW_OF(name, xo, mask, attributes) { #name, 4u << 26 | (xo), mask, emit_spe, attributes, ISA_E500, ROW_##name, 0, 0 },
#define SPE(name, xo, function, how)        ROW_OF(name, xo, 0xfc0007ff, A_SPE)
#define SPE_SELECT(name, xo, function, how) ROW_OF(name, xo, 0xfc0007f8, A_SPE)
#define SCALAR(name, xo, function, how)     ROW_OF(name, xo, 0xfc0007ff, 0)

const PpcRow ppc_rows_spe[] = {
#include "target/ppc/spe.def"
    { NULL },
};
