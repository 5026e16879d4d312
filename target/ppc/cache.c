/* Cache and storage control, synchronisation (Power ISA, Book II, 4.3 and 4.6). */
#include "target/ppc/insns.h"

static void emit_nop(PpcTranslator *tr, const PpcInsn *in)
{
}

/* Where it is an instruction and not reserved. */
static void emit_privileged_nop(PpcTranslator *tr, const PpcInsn *in)
{
    if (tr->isa & ISA_V310 && tr->mode & MODE_PR) {
        PPC_CALL2(tr, raise, ppc_const(tr, IR_I64, PPC_PROGRAM), ppc_const(tr, IR_I64, PROGRAM_PRIVILEGED));
        ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
        tr->done = true;
    }
}

static unsigned line_of_dcbz(const PpcTranslator *tr, const PpcInsn *in)
{
    return (tr->mode & MODE_DCBZ32) && !(in->word >> 21 & 1) ? 32 : tr->s->model->cache_line;
}

static IrVal start_of_line(PpcTranslator *tr, IrVal addr, unsigned line)
{
    return ir_op2(tr->ir, IR_and, tr->address, addr, ppc_const(tr, tr->address, -(uint64_t)line));
}

/* On a page that may be caching inhibited, or where caches are off. */
static void cold_dcbz(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned line = line_of_dcbz(tr, in);
    IrVal addr = ppc_address_x(tr, in);

    PPC_CALL3(tr, dcbz, ppc_arg(tr, start_of_line(tr, addr, line), tr->address), ppc_const(tr, IR_I64, line),
              ppc_arg(tr, addr, tr->address));
}

/* dcbz: the whole line that the address is in. */
static void emit_dcbz(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned line = line_of_dcbz(tr, in);
    IrVal addr = start_of_line(tr, ppc_address_x(tr, in), line);
    IrVal zero = ppc_const(tr, IR_I64, 0);

    if (tr->mode & MODE_DR || tr->isa & (ISA_BOOKE | ISA_CLASSIC)) { /* in real mode the cache may be off */
        ppc_cold_if_uncached(tr, in, addr, cold_dcbz);
    }
    for (unsigned i = 0; i < line; i += 8) {
        ir_store(tr->ir, IR_I64, addr, i, zero, 0);
    }
}

/* dcbst, dcbf, dcbi, icbi: as loads, so that they fault as loads. */
static void emit_touch(PpcTranslator *tr, const PpcInsn *in)
{
    ir_load(tr->ir, IR_I8, ppc_address_x(tr, in), 0, IRM_ZX);
}

/* sync, and its kinds: only the heavy one orders stores before loads, which hosts of this engine may swap. */
static void emit_sync(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned kind = ppc_bits(in->word, 9, 10);

    if (kind != 1 && cpu_count() > 1) {
        ir_fence(tr->ir, FENCE_ALL);
    }
}

static void cold_context_sync(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL0(tr, context_sync);
    ppc_end_mode(tr, in->next_pc);
}

/*
 * isync: what has been changed of the context counts from here on. Code is always what memory has. Mostly nothing has: kernels have it behind
 * each lock that they take.
 */
static void emit_isync(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal changed;

    if (tr->mode & MODE_PR) {
        return;
    }
    if (ppc_each_insn_exits(tr)) {
        cold_context_sync(tr, in);
        return;
    }
    changed = ir_get_field(tr->ir, IR_I8, offsetof(PpcState, sr_changed));
    ppc_cold_if(tr, in, COND_NE, IR_I8, changed, ppc_const(tr, IR_I8, 0), cold_context_sync);
}

static void emit_copy(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL1(tr, copy, ppc_arg(tr, ppc_address_x(tr, in), tr->address));
}

static void emit_paste(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_cr0_eq(tr, PPC_CALL1(tr, paste, ppc_arg(tr, ppc_address_x(tr, in), tr->address)));
}

static void emit_cp_abort(PpcTranslator *tr, const PpcInsn *in)
{
    ir_put_field(tr->ir, IR_I8, offsetof(PpcState, copy_waits), ppc_const(tr, IR_I8, 0));
}

#define WITH_L(op, xo, rc) ((uint32_t)(op) << 26 | 1 << 21 | (xo) << 1 | (rc)), 0xfc2007ffu

const PpcRow ppc_rows_cache[] = {
    { "dcbst", X_FORM(31, 54), emit_touch },
    { "dcbf", X_FORM(31, 86), emit_touch },
    { "dcbtst", X_FORM(31, 246), emit_nop },
    { "dcbt", X_FORM(31, 278), emit_nop },
    { "dcbi", X_FORM(31, 470), emit_touch, A_PRIV },
    { "dcba", X_FORM(31, 758), emit_nop },
    { "icbi", X_FORM(31, 982), emit_touch },
    { "icbt", X_FORM(31, 22), emit_nop, .isa = ISA_BOOKE | ISA_V207 },
    { "dcbz", X_FORM(31, 1014), emit_dcbz },
    { "dss", X_FORM(31, 822), emit_nop, .isa = ISA_ALTIVEC },
    { "dst", X_FORM(31, 342), emit_nop, .isa = ISA_ALTIVEC },
    { "dstst", X_FORM(31, 374), emit_nop, .isa = ISA_ALTIVEC },
    { "sync", X_FORM(31, 598), emit_sync },
    { "eieio", X_FORM(31, 854), emit_nop },
    { "isync", X_FORM(19, 150), emit_isync },
    { "copy", WITH_L(31, 774, 0), emit_copy, .isa = ISA_V300 },
    { "paste.", WITH_L(31, 902, 1), emit_paste, .isa = ISA_V300 },
    { "paste.", X_RC(31, 902), emit_paste, .isa = ISA_V310 }, /* with the block's metadata, of which there are none */
    { "cp_abort", X_FORM(31, 838), emit_cp_abort, .isa = ISA_V300 },
    /* Reserved to be nothing (Book I, appendix of reserved instructions). Since 3.1 four of them check return addresses, if DEXCR says so:
     * compilers make them for older processors, too. Here it never does. */
    { "rnop", X_FORM(31, 530), emit_nop, .isa = ISA_V207 },
    { "rnop", X_FORM(31, 562), emit_nop, .isa = ISA_V207 },
    { "rnop", X_FORM(31, 594), emit_nop, .isa = ISA_V207 },
    { "rnop", X_FORM(31, 626), emit_nop, .isa = ISA_V207 },
    { "hashstp", X_FORM(31, 658), emit_privileged_nop, .isa = ISA_V207 },
    { "hashchkp", X_FORM(31, 690), emit_privileged_nop, .isa = ISA_V207 },
    { "hashst", X_FORM(31, 722), emit_nop, .isa = ISA_V207 },
    { "hashchk", X_FORM(31, 754), emit_nop, .isa = ISA_V207 },
    { NULL },
};
