/* Fixed-point loads and stores, reservations, multiple and string forms (Power ISA, Book I, 3.3.2 to 3.3.7; Book II, 4.6). */
#include "target/ppc/insns.h"

/* PpcRow.op of loads and stores: the type in memory, and how. */
enum {
    M_TYPE = 15, M_SIGNED = 0x10, M_UPDATE = 0x20, M_INDEXED = 0x40, M_REVERSED = 0x80, M_DS = 0x100, M_PREFIXED = 0x200,
};

static unsigned order_of(const PpcTranslator *tr, const PpcInsn *in)
{
    return in->row->op & M_REVERSED ? tr->order ^ IRM_BE : tr->order;
}

/* Address and displacement; false: an invalid form, which has been raised. */
static bool operand_address(PpcTranslator *tr, const PpcInsn *in, IrVal *addr, int64_t *disp)
{
    unsigned how = in->row->op;

    *disp = 0;
    if (how & M_PREFIXED) {
        bool relative = F_R(in);

        if (relative && F_RA(in)) {
            ppc_emit_illegal(tr);
            return false;
        }
        *addr = relative ? ppc_pc(tr, tr->address, in->pc + F_D34(in)) : ppc_base(tr, F_RA(in));
        *disp = relative ? 0 : F_D34(in);
        if (*disp != (int32_t)*disp) {
            *addr = ir_op2(tr->ir, IR_add, tr->address, *addr, ppc_const(tr, tr->address, *disp));
            *disp = 0;
        }
        return true;
    }
    if (how & M_UPDATE) {
        *addr = how & M_INDEXED ? ppc_address_xu(tr, in)
                                : ir_op2(tr->ir, IR_add, tr->address, ppc_gpr_as(tr, tr->address, F_RA(in)),
                                         ppc_const(tr, tr->address, how & M_DS ? F_DS(in) : F_SI(in)));
        return true;
    }
    if (how & M_INDEXED) {
        *addr = ppc_address_x(tr, in);
        return true;
    }
    *addr = ppc_base(tr, F_RA(in));
    *disp = how & M_DS ? F_DS(in) : F_SI(in);
    return true;
}

static void emit_load(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned how = in->row->op;
    IrType type = how & M_TYPE;
    unsigned mem = order_of(tr, in) | (how & M_SIGNED ? IRM_SX : type == IR_I64 ? 0 : IRM_ZX);
    IrVal addr, value;
    int64_t disp;

    if (type == IR_I8) {
        mem &= ~IRM_BE;
    }
    if (!operand_address(tr, in, &addr, &disp)) {
        return;
    }
    value = ir_load(tr->ir, type, addr, disp, mem);
    if (how & M_UPDATE) {
        ppc_put_address(tr, F_RA(in), addr);
    }
    ppc_put_gpr(tr, F_RT(in), value);
}

static void emit_store(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned how = in->row->op;
    IrType type = how & M_TYPE;
    unsigned mem = type == IR_I8 ? 0 : order_of(tr, in);
    IrVal addr, value;
    int64_t disp;

    if (!operand_address(tr, in, &addr, &disp)) {
        return;
    }
    value = ppc_gpr_as(tr, type, F_RS(in));
    ir_store(tr->ir, type, addr, disp, value, mem);
    if (how & M_UPDATE) {
        ppc_put_address(tr, F_RA(in), addr);
    }
}

/* The alignment interrupt of forms that there are not in this byte order. */
static void emit_unaligned(PpcTranslator *tr, IrVal addr, bool is_store)
{
    PPC_CALL2(tr, unaligned, ppc_arg(tr, addr, tr->address), ppc_const(tr, IR_I64, is_store));
    ir_exit_main(tr->ir, TCG_EXIT_EXCEPTION);
    tr->done = true;
}

/* lmw, stmw. Registers change as they come: a fault in the midst starts again, which may be. */
static void emit_lmw(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal addr = ppc_base(tr, F_RA(in));

    if (tr->mode & MODE_LE) {
        emit_unaligned(tr, ir_op2(tr->ir, IR_add, tr->address, addr, ppc_const(tr, tr->address, F_SI(in))), false);
        return;
    }
    for (unsigned r = F_RT(in), i = 0; r < 32; r++, i++) {
        IrVal value = ir_load(tr->ir, IR_I32, addr, F_SI(in) + 4 * i, IRM_ZX | tr->order);

        if (r != F_RA(in)) { /* an invalid form, which must not lose its base */
            ppc_put_gpr(tr, r, value);
        }
    }
}

static void emit_stmw(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal addr = ppc_base(tr, F_RA(in));

    if (tr->mode & MODE_LE) {
        emit_unaligned(tr, ir_op2(tr->ir, IR_add, tr->address, addr, ppc_const(tr, tr->address, F_SI(in))), true);
        return;
    }
    for (unsigned r = F_RS(in), i = 0; r < 32; r++, i++) {
        ir_store(tr->ir, IR_I32, addr, F_SI(in) + 4 * i, ppc_gpr_as(tr, IR_I32, r), tr->order);
    }
}

/* lswi, lswx, stswi, stswx: rare, in C. */
enum { STRING_STORE = 1, STRING_INDEXED = 2 };
static void emit_string(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal addr, count = ppc_const(tr, IR_I64, F_RB(in) ? F_RB(in) : 32);

    addr = in->row->op & STRING_INDEXED ? ppc_address_x(tr, in) : ppc_base(tr, F_RA(in));
    if (tr->mode & MODE_LE) {
        emit_unaligned(tr, addr, in->row->op & STRING_STORE);
        return;
    }
    addr = ppc_arg(tr, addr, tr->address);
    if (in->row->op & STRING_INDEXED) {
        count = ppc_const(tr, IR_I64, 128); /* the count is in XER */
    }
    if (in->row->op & STRING_STORE) {
        PPC_CALL3(tr, stsw, addr, ppc_const(tr, IR_I64, F_RS(in)), count);
    } else {
        PPC_CALL3(tr, lsw, addr, ppc_const(tr, IR_I64, F_RT(in)), count);
    }
}

/*
 * Reservations: the address and the value that was loaded. A conditional store to that address is a
 * compare-and-swap with the value: it fails if another processor has changed it, but not if somebody changed it
 * and changed it back, which programs cannot tell from nothing having happened unless they count on it.
 * Addresses are effective ones: a program that stores through another mapping than it loaded by fails.
 */
static void reserve(PpcTranslator *tr, const PpcInsn *in, IrVal addr)
{
    IrBlock *ir = tr->ir;
    IrType type = in->row->op;
    IrVal raw, value;

    raw = ir_load(ir, type, addr, 0, (type == IR_I64 ? 0 : IRM_ZX) | (type == IR_I8 ? 0 : IRM_ALIGNED));
    value = raw;
    if (tr->order && type == IR_I16) {
        value = ir_op2(ir, IR_rol, IR_I16, raw, ppc_const(tr, IR_I8, 8));
        value = ir_zext(ir, IR_I64, IR_I16, value);
    } else if (tr->order && type != IR_I8) {
        value = ir_op1(ir, IR_bswap, type, raw);
        value = type == IR_I32 ? ir_zext(ir, IR_I64, IR_I32, value) : value;
    }
    ir_put(ir, IR_I64, SLOT_RESERVE_ADDR, ppc_arg(tr, addr, tr->address));
    ir_put(ir, IR_I64, SLOT_RESERVE_VALUE, raw);
    ir_put(ir, IR_I32, SLOT_RESERVE_SIZE, ppc_const(tr, IR_I32, ir_type_size(type)));
    ppc_put_gpr(tr, F_RT(in), value);
}

/* At a page that may not be for reservations. */
static void cold_larx(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal addr = ppc_address_x(tr, in);

    PPC_CALL3(tr, check_reservable, ppc_arg(tr, addr, tr->address), ppc_const(tr, IR_I64, ir_type_size(in->row->op)),
              ppc_const(tr, IR_I64, MMU_LOAD));
    reserve(tr, in, ppc_address_x(tr, in));
}

static void emit_larx(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal addr = ppc_address_x(tr, in);

    if (tr->mode & MODE_DR && !(tr->isa & ISA_BOOKE)) {
        ppc_cold_if_uncached(tr, in, addr, cold_larx);
    }
    reserve(tr, in, addr);
}

static void cold_stcx_fails(PpcTranslator *tr, const PpcInsn *in)
{
    IrType type = in->row->op;

    PPC_CALL3(tr, check_reservable, ppc_arg(tr, ppc_address_x(tr, in), tr->address), ppc_const(tr, IR_I64, ir_type_size(type)),
              ppc_const(tr, IR_I64, MMU_STORE));
    ir_put(tr->ir, IR_I64, SLOT_RESERVE_ADDR, ppc_const(tr, IR_I64, PPC_NO_RESERVATION));
    ppc_put_cr(tr, 0, ir_get(tr->ir, IR_I8, SLOT_SO));
}

/* Stores the value, or what is there once more. I8: whether the value. */
static IrVal conditional_store(PpcTranslator *tr, IrType type, IrVal addr, IrVal old, IrVal expected, IrVal value)
{
    IrVal same = ir_setcond(tr->ir, COND_EQ, type, old, expected);

    ir_store(tr->ir, type, addr, 0, ir_select(tr->ir, type, same, value, old), 0);
    return same;
}

static void emit_stcx(PpcTranslator *tr, const PpcInsn *in)
{
    IrBlock *ir = tr->ir;
    IrType type = in->row->op;
    IrVal addr = ppc_address_x(tr, in), value, old, expected, full = ppc_arg(tr, addr, tr->address);

    ppc_cold_if(tr, in, COND_NE, IR_I64, full, ir_get(ir, IR_I64, SLOT_RESERVE_ADDR), cold_stcx_fails);
    ppc_cold_if(tr, in, COND_NE, IR_I32, ir_get(ir, IR_I32, SLOT_RESERVE_SIZE), ppc_const(tr, IR_I32, ir_type_size(type)),
                cold_stcx_fails);
    value = ppc_gpr_as(tr, type, F_RS(in));
    if (tr->order && type == IR_I16) {
        value = ir_op2(ir, IR_rol, IR_I16, value, ppc_const(tr, IR_I8, 8));
    } else if (tr->order && type != IR_I8) {
        value = ir_op1(ir, IR_bswap, type, value);
    }
    expected = ir_get(ir, type, SLOT_RESERVE_VALUE);
    if (cpu_count() == 1) { /* nobody stores in between */
        old = ir_load(ir, type, addr, 0, IRM_UPDATE);
        old = conditional_store(tr, type, addr, old, expected, value);
    } else {
        old = ir_atomic(ir, IR_atomic_cmpxchg, type, addr, 0, expected, value);
        old = ir_setcond(ir, COND_EQ, type, old, expected);
    }
    ir_put(ir, IR_I64, SLOT_RESERVE_ADDR, ppc_const(tr, IR_I64, PPC_NO_RESERVATION));
    ppc_put_cr0_eq(tr, old);
}

/* lq, stq, lqarx, stqcx., and atomic memory operations: in C. */
enum { QUAD_STORE = 1, QUAD_INDEXED = 2, QUAD_RESERVE = 4, QUAD_PREFIXED = 8 };
static void emit_quad(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned how = in->row->op;
    unsigned r = F_RT(in);
    IrVal addr, done;

    if ((r & 1) || (!(how & QUAD_STORE) && (r == F_RA(in) || (how & QUAD_INDEXED && r == F_RB(in))))) {
        ppc_emit_illegal(tr);
        return;
    }
    if (how & QUAD_INDEXED) {
        addr = ppc_address_x(tr, in);
    } else {
        int64_t disp = how & QUAD_PREFIXED ? F_D34(in) : how & QUAD_STORE ? F_DS(in) : F_DQ(in);
        bool relative = how & QUAD_PREFIXED && F_R(in);

        addr = ir_op2(tr->ir, IR_add, tr->address, relative ? ppc_pc(tr, tr->address, in->pc) : ppc_base(tr, F_RA(in)),
                      ppc_const(tr, tr->address, disp));
    }
    addr = ppc_arg(tr, addr, tr->address);
    if (!(how & QUAD_STORE)) {
        PPC_CALL3(tr, load_quad, addr, ppc_const(tr, IR_I64, r), ppc_const(tr, IR_I64, how & (QUAD_RESERVE | QUAD_PREFIXED)));
        return;
    }
    done = PPC_CALL3(tr, store_quad, addr, ppc_const(tr, IR_I64, r), ppc_const(tr, IR_I64, how & (QUAD_RESERVE | QUAD_PREFIXED)));
    if (how & QUAD_RESERVE) {
        ppc_put_cr0_eq(tr, done);
    }
}

static void emit_amo(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL4(tr, amo, ppc_arg(tr, ppc_base(tr, F_RA(in)), tr->address), ppc_const(tr, IR_I64, F_RT(in)),
              ppc_const(tr, IR_I64, F_RB(in)), ppc_const(tr, IR_I64, in->row->op));
}

#define MLS .prefix_match = 0x06000000, .prefix_mask = 0xffe00000
#define MLS_R .prefix_match = 0x06100000, .prefix_mask = 0xffe00000
#define EIGHT_LS .prefix_match = 0x04000000, .prefix_mask = 0xffe00000
#define EIGHT_LS_R .prefix_match = 0x04100000, .prefix_mask = 0xffe00000
#define PREFIXED(name, op, kind, emit, how) \
    { name, OPCD(op), emit, A_PREFIXED, ISA_V310, (how) | M_PREFIXED, kind }, \
    { name, OPCD(op), emit, A_PREFIXED, ISA_V310, (how) | M_PREFIXED, kind##_R }

const PpcRow ppc_rows_memory[] = {
    { "lwz", OPCD(32), emit_load, .op = IR_I32 },
    { "lwzu", OPCD(33), emit_load, .op = IR_I32 | M_UPDATE },
    { "lbz", OPCD(34), emit_load, .op = IR_I8 },
    { "lbzu", OPCD(35), emit_load, .op = IR_I8 | M_UPDATE },
    { "stw", OPCD(36), emit_store, .op = IR_I32 },
    { "stwu", OPCD(37), emit_store, .op = IR_I32 | M_UPDATE },
    { "stb", OPCD(38), emit_store, .op = IR_I8 },
    { "stbu", OPCD(39), emit_store, .op = IR_I8 | M_UPDATE },
    { "lhz", OPCD(40), emit_load, .op = IR_I16 },
    { "lhzu", OPCD(41), emit_load, .op = IR_I16 | M_UPDATE },
    { "lha", OPCD(42), emit_load, .op = IR_I16 | M_SIGNED },
    { "lhau", OPCD(43), emit_load, .op = IR_I16 | M_SIGNED | M_UPDATE },
    { "sth", OPCD(44), emit_store, .op = IR_I16 },
    { "sthu", OPCD(45), emit_store, .op = IR_I16 | M_UPDATE },
    { "lmw", OPCD(46), emit_lmw },
    { "stmw", OPCD(47), emit_stmw },
    { "lq", OPCD(56), emit_quad, .isa = ISA_V207 },
    { "ld", DS_FORM(58, 0), emit_load, .isa = ISA_64, .op = IR_I64 | M_DS },
    { "ldu", DS_FORM(58, 1), emit_load, .isa = ISA_64, .op = IR_I64 | M_DS | M_UPDATE },
    { "lwa", DS_FORM(58, 2), emit_load, .isa = ISA_64, .op = IR_I32 | M_DS | M_SIGNED },
    { "std", DS_FORM(62, 0), emit_store, .isa = ISA_64, .op = IR_I64 | M_DS },
    { "stdu", DS_FORM(62, 1), emit_store, .isa = ISA_64, .op = IR_I64 | M_DS | M_UPDATE },
    { "stq", DS_FORM(62, 2), emit_quad, .isa = ISA_V207, .op = QUAD_STORE },
    { "lwarx", X_FORM(31, 20), emit_larx, .op = IR_I32 },
    { "ldx", X_FORM(31, 21), emit_load, .isa = ISA_64, .op = IR_I64 | M_INDEXED },
    { "lwzx", X_FORM(31, 23), emit_load, .op = IR_I32 | M_INDEXED },
    { "lbarx", X_FORM(31, 52), emit_larx, .isa = ISA_V206, .op = IR_I8 },
    { "ldux", X_FORM(31, 53), emit_load, .isa = ISA_64, .op = IR_I64 | M_INDEXED | M_UPDATE },
    { "lwzux", X_FORM(31, 55), emit_load, .op = IR_I32 | M_INDEXED | M_UPDATE },
    { "ldarx", X_FORM(31, 84), emit_larx, .isa = ISA_64, .op = IR_I64 },
    { "lbzx", X_FORM(31, 87), emit_load, .op = IR_I8 | M_INDEXED },
    { "lharx", X_FORM(31, 116), emit_larx, .isa = ISA_V206, .op = IR_I16 },
    { "lbzux", X_FORM(31, 119), emit_load, .op = IR_I8 | M_INDEXED | M_UPDATE },
    { "stdx", X_FORM(31, 149), emit_store, .isa = ISA_64, .op = IR_I64 | M_INDEXED },
    { "stwcx.", X_RC(31, 150), emit_stcx, .op = IR_I32 },
    { "stwx", X_FORM(31, 151), emit_store, .op = IR_I32 | M_INDEXED },
    { "stdux", X_FORM(31, 181), emit_store, .isa = ISA_64, .op = IR_I64 | M_INDEXED | M_UPDATE },
    { "stqcx.", X_RC(31, 182), emit_quad, .isa = ISA_V207, .op = QUAD_STORE | QUAD_INDEXED | QUAD_RESERVE },
    { "stwux", X_FORM(31, 183), emit_store, .op = IR_I32 | M_INDEXED | M_UPDATE },
    { "stdcx.", X_RC(31, 214), emit_stcx, .isa = ISA_64, .op = IR_I64 },
    { "stbx", X_FORM(31, 215), emit_store, .op = IR_I8 | M_INDEXED },
    { "stbux", X_FORM(31, 247), emit_store, .op = IR_I8 | M_INDEXED | M_UPDATE },
    { "lqarx", X_FORM(31, 276), emit_quad, .isa = ISA_V207, .op = QUAD_INDEXED | QUAD_RESERVE },
    { "lhzx", X_FORM(31, 279), emit_load, .op = IR_I16 | M_INDEXED },
    { "lhzux", X_FORM(31, 311), emit_load, .op = IR_I16 | M_INDEXED | M_UPDATE },
    { "lwax", X_FORM(31, 341), emit_load, .isa = ISA_64, .op = IR_I32 | M_INDEXED | M_SIGNED },
    { "lhax", X_FORM(31, 343), emit_load, .op = IR_I16 | M_INDEXED | M_SIGNED },
    { "lwaux", X_FORM(31, 373), emit_load, .isa = ISA_64, .op = IR_I32 | M_INDEXED | M_SIGNED | M_UPDATE },
    { "lhaux", X_FORM(31, 375), emit_load, .op = IR_I16 | M_INDEXED | M_SIGNED | M_UPDATE },
    { "sthx", X_FORM(31, 407), emit_store, .op = IR_I16 | M_INDEXED },
    { "sthux", X_FORM(31, 439), emit_store, .op = IR_I16 | M_INDEXED | M_UPDATE },
    { "ldbrx", X_FORM(31, 532), emit_load, .isa = ISA_V206, .op = IR_I64 | M_INDEXED | M_REVERSED },
    { "lswx", X_FORM(31, 533), emit_string, .op = STRING_INDEXED },
    { "lwbrx", X_FORM(31, 534), emit_load, .op = IR_I32 | M_INDEXED | M_REVERSED },
    { "lwat", X_FORM(31, 582), emit_amo, .isa = ISA_V300, .op = 4 },
    { "lswi", X_FORM(31, 597), emit_string },
    { "ldat", X_FORM(31, 614), emit_amo, .isa = ISA_V300, .op = 8 },
    { "stdbrx", X_FORM(31, 660), emit_store, .isa = ISA_V206, .op = IR_I64 | M_INDEXED | M_REVERSED },
    { "stswx", X_FORM(31, 661), emit_string, .op = STRING_STORE | STRING_INDEXED },
    { "stwbrx", X_FORM(31, 662), emit_store, .op = IR_I32 | M_INDEXED | M_REVERSED },
    { "stbcx.", X_RC(31, 694), emit_stcx, .isa = ISA_V206, .op = IR_I8 },
    { "stwat", X_FORM(31, 710), emit_amo, .isa = ISA_V300, .op = 4 | 0x100 },
    { "stswi", X_FORM(31, 725), emit_string, .op = STRING_STORE },
    { "sthcx.", X_RC(31, 726), emit_stcx, .isa = ISA_V206, .op = IR_I16 },
    { "stdat", X_FORM(31, 742), emit_amo, .isa = ISA_V300, .op = 8 | 0x100 },
    { "lhbrx", X_FORM(31, 790), emit_load, .op = IR_I16 | M_INDEXED | M_REVERSED },
    { "sthbrx", X_FORM(31, 918), emit_store, .op = IR_I16 | M_INDEXED | M_REVERSED },
    /* Caching-inhibited, hypervisor. */
    { "lwzcix", X_FORM(31, 789), emit_load, A_HV, ISA_V205, IR_I32 | M_INDEXED },
    { "lhzcix", X_FORM(31, 821), emit_load, A_HV, ISA_V205, IR_I16 | M_INDEXED },
    { "lbzcix", X_FORM(31, 853), emit_load, A_HV, ISA_V205, IR_I8 | M_INDEXED },
    { "ldcix", X_FORM(31, 885), emit_load, A_HV, ISA_V205, IR_I64 | M_INDEXED },
    { "stwcix", X_FORM(31, 917), emit_store, A_HV, ISA_V205, IR_I32 | M_INDEXED },
    { "sthcix", X_FORM(31, 949), emit_store, A_HV, ISA_V205, IR_I16 | M_INDEXED },
    { "stbcix", X_FORM(31, 981), emit_store, A_HV, ISA_V205, IR_I8 | M_INDEXED },
    { "stdcix", X_FORM(31, 1013), emit_store, A_HV, ISA_V205, IR_I64 | M_INDEXED },
    PREFIXED("plwz", 32, MLS, emit_load, IR_I32),
    PREFIXED("plbz", 34, MLS, emit_load, IR_I8),
    PREFIXED("plhz", 40, MLS, emit_load, IR_I16),
    PREFIXED("plha", 42, MLS, emit_load, IR_I16 | M_SIGNED),
    PREFIXED("pstw", 36, MLS, emit_store, IR_I32),
    PREFIXED("pstb", 38, MLS, emit_store, IR_I8),
    PREFIXED("psth", 44, MLS, emit_store, IR_I16),
    PREFIXED("plwa", 41, EIGHT_LS, emit_load, IR_I32 | M_SIGNED),
    PREFIXED("pld", 57, EIGHT_LS, emit_load, IR_I64),
    PREFIXED("pstd", 61, EIGHT_LS, emit_store, IR_I64),
    { "plq", OPCD(56), emit_quad, A_PREFIXED, ISA_V310, QUAD_PREFIXED, EIGHT_LS },
    { "plq", OPCD(56), emit_quad, A_PREFIXED, ISA_V310, QUAD_PREFIXED, EIGHT_LS_R },
    { "pstq", OPCD(60), emit_quad, A_PREFIXED, ISA_V310, QUAD_PREFIXED | QUAD_STORE, EIGHT_LS },
    { "pstq", OPCD(60), emit_quad, A_PREFIXED, ISA_V310, QUAD_PREFIXED | QUAD_STORE, EIGHT_LS_R },
    { NULL },
};
