/* Instructions of the embedded processors: TLB, device control and performance registers, cache locking (440, e500 manuals). */
#include "target/ppc/booke.h"
#include "target/ppc/insns.h"

static void emit_nop(PpcTranslator *tr, const PpcInsn *in)
{
}

static void emit_tlbwe(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL3(tr, tlbwe, ppc_gpr_as(tr, IR_I64, F_RS(in)), ppc_gpr_as(tr, IR_I64, F_RA(in)), ppc_const(tr, IR_I64, F_RB(in)));
    ppc_end_mode(tr, in->next_pc);
}

static void emit_tlbre(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal value = PPC_CALL2(tr, tlbre, ppc_gpr_as(tr, IR_I64, F_RA(in)), ppc_const(tr, IR_I64, F_RB(in)));

    if (tr->isa & ISA_440) {
        ppc_put_gpr(tr, F_RT(in), value);
    }
}

static void emit_tlbsx(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal value = PPC_CALL1(tr, tlbsx, ppc_arg(tr, ppc_address_x(tr, in), tr->address)), missed;

    if (!(tr->isa & ISA_440)) {
        return;
    }
    ppc_put_gpr(tr, F_RT(in), value);
    if (IS_RC(in)) {
        missed = ir_op2(tr->ir, IR_shr, IR_I64, value, ppc_const(tr, IR_I8, 32));
        ppc_put_cr0_eq(tr, ir_setcond(tr->ir, COND_EQ, IR_I64, missed, ppc_const(tr, IR_I64, 0)));
    }
}

static void emit_tlbivax(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL1(tr, tlbivax, ppc_arg(tr, ppc_address_x(tr, in), tr->address));
    ppc_end_mode(tr, in->next_pc);
}

/* Device control registers: the number is split as those of SPRs are. */

uint64_t ppc_helper_mfdcr(PpcState *s, uint64_t n, uint64_t b, uint64_t c, uint64_t d)
{
    return s->dcrs ? memory_load(s->dcrs, n * 4, 4) : 0;
}

uint64_t ppc_helper_mtdcr(PpcState *s, uint64_t n, uint64_t value, uint64_t c, uint64_t d)
{
    if (s->dcrs) {
        memory_store(s->dcrs, n * 4, value, 4);
    }
    return 0;
}

static void emit_mfdcr(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RT(in), PPC_CALL1(tr, mfdcr, ppc_const(tr, IR_I64, F_SPR(in))));
}

static void emit_mtdcr(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL2(tr, mtdcr, ppc_const(tr, IR_I64, F_SPR(in)), ppc_gpr_as(tr, IR_I64, F_RS(in)));
    ppc_end_mode(tr, in->next_pc);
}

/*
 * Performance monitor of the e500: registers that keep what is written. Four of each of PMC, PMLCa, PMLCb and one PMGC, 128
 * numbers apart; users read them by numbers without bit 4.
 */
enum { PMR_SUPERVISOR = 16 };

static uint32_t *find_pmr(PpcState *s, unsigned n, bool write, uintptr_t retaddr)
{
    if ((s->msr & MSR_PR) && (write || (n & PMR_SUPERVISOR))) {
        ppc_program(s, PROGRAM_PRIVILEGED, retaddr);
    }
    if (n >= 512 || (n & 127 & ~(PMR_SUPERVISOR | 3)) || (write && !(n & PMR_SUPERVISOR))) {
        ppc_program(s, PROGRAM_ILLEGAL, retaddr);
    }
    return &s->pmr[n >> 7 << 2 | (n & 3)];
}

uint64_t ppc_helper_mfpmr(PpcState *s, uint64_t n, uint64_t b, uint64_t c, uint64_t d)
{
    return *find_pmr(s, n, false, tcg_caller_pc(s));
}

uint64_t ppc_helper_mtpmr(PpcState *s, uint64_t n, uint64_t value, uint64_t c, uint64_t d)
{
    *find_pmr(s, n, true, tcg_caller_pc(s)) = value;
    return 0;
}

static void emit_mfpmr(PpcTranslator *tr, const PpcInsn *in)
{
    ppc_put_gpr(tr, F_RT(in), PPC_CALL1(tr, mfpmr, ppc_const(tr, IR_I64, F_SPR(in))));
}

static void emit_mtpmr(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL2(tr, mtpmr, ppc_const(tr, IR_I64, F_SPR(in)), ppc_gpr_as(tr, IR_I64, F_RS(in)));
}

const PpcRow ppc_rows_booke[] = {
    { "dcbtstls", X_FORM(31, 134), emit_nop, .isa = ISA_E500 }, /* caches have no lines to lock */
    { "dcbtls", X_FORM(31, 166), emit_nop, .isa = ISA_E500 },
    { "icblc", X_FORM(31, 230), emit_nop, .isa = ISA_E500 },
    { "mfdcr", X_FORM(31, 323), emit_mfdcr, A_PRIV, ISA_440 },
    { "mfpmr", X_FORM(31, 334), emit_mfpmr, .isa = ISA_E500 },
    { "dcblc", X_FORM(31, 390), emit_nop, .isa = ISA_E500 },
    { "mtdcr", X_FORM(31, 451), emit_mtdcr, A_PRIV, ISA_440 },
    { "dccci", X_FORM(31, 454), emit_nop, A_PRIV, ISA_440 },
    { "mtpmr", X_FORM(31, 462), emit_mtpmr, .isa = ISA_E500 },
    { "icbtls", X_FORM(31, 486), emit_nop, .isa = ISA_E500 },
    { "dcread", X_FORM(31, 486), emit_nop, A_PRIV, ISA_440 },
    { "tlbivax", X_FORM(31, 786), emit_tlbivax, A_PRIV, ISA_E500 },
    { "tlbsx", X_FORM(31, 914), emit_tlbsx, A_PRIV, ISA_BOOKE },
    { "tlbre", X_FORM(31, 946), emit_tlbre, A_PRIV, ISA_BOOKE },
    { "iccci", X_FORM(31, 966), emit_nop, A_PRIV, ISA_440 },
    { "tlbwe", X_FORM(31, 978), emit_tlbwe, A_PRIV, ISA_BOOKE },
    { "icread", X_FORM(31, 998), emit_nop, A_PRIV, ISA_440 },
    { NULL },
};
