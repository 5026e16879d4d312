/* Random IR blocks: every pure operation, slots, memory, calls and exits, within the contracts. */
#include "random-ir.h"

#include "tests/random.h"

#define NO ((IrVal){0})
#define MAX_VALUES 48
#define MAX_FLAGS  6

typedef struct Flags {
    IrVal v;
    uint32_t defined;
} Flags;

typedef struct Random {
    IrBlock *ir;
    uint64_t seed;
    unsigned what;
    uint64_t pc;
    IrVal values[MAX_VALUES];
    unsigned n_values;
    Flags flags[MAX_FLAGS];
    unsigned n_flags;
    bool put; /* this instruction has put: nothing may fault any more */
    int label; /* forward label that waits for its place, or -1 */
} Random;

static uint64_t next(Random *r)
{
    return random_step(&r->seed);
}

static unsigned below(Random *r, unsigned n)
{
    return (next(r) >> 32) % n;
}

static IrType any_type(Random *r)
{
    static const IrType types[] = {IR_I8, IR_I16, IR_I32, IR_I32, IR_I32, IR_I64, IR_I64};

    return types[below(r, G_N_ELEMENTS(types))];
}

static uint32_t any_field(Random *r)
{
    return G_STRUCT_OFFSET(TestState, fields) + below(r, sizeof(((TestState *)0)->fields) - 8);
}

static void keep(Random *r, IrVal v)
{
    r->values[r->n_values < MAX_VALUES ? r->n_values++ : below(r, MAX_VALUES)] = v;
}

static void keep_flags(Random *r, IrVal v, uint32_t defined)
{
    r->flags[r->n_flags < MAX_FLAGS ? r->n_flags++ : below(r, MAX_FLAGS)] = (Flags){v, defined};
}

static IrVal constant(Random *r, IrType type)
{
    static const uint64_t edges[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x8000, 0x7fffffff, 0x80000000, 0xffffffff,
                                     INT64_MAX, 1ull << 63, UINT64_MAX, 0xffffffff80000000};
    uint64_t v = below(r, 2) ? edges[below(r, G_N_ELEMENTS(edges))] : next(r) >> below(r, 64);

    return ir_const(r->ir, type, v);
}

static unsigned any_slot(Random *r)
{
    return below(r, TEST_SLOT_PC);
}

static IrVal got(Random *r, IrType type)
{
    unsigned slot;
    IrVal v;

    do {
        slot = any_slot(r);
    } while (test_target.slots[slot].type < type);
    v = ir_get(r->ir, type, slot);
    keep(r, v);
    return v;
}

/* A value of at least this width: recent ones are likely. */
static IrVal value(Random *r, IrType type)
{
    if (below(r, 8) == 0) {
        return constant(r, type);
    }
    for (unsigned tries = 0; tries < 4 && r->n_values; tries++) {
        IrVal v = r->values[below(r, 2) && r->n_values < MAX_VALUES
                                ? r->n_values - 1 - below(r, MIN(r->n_values, 4))
                                : below(r, r->n_values)];

        if (r->ir->value_type[v.id] >= type) {
            return v;
        }
    }
    return got(r, type);
}

/* The newest flags value that defines all of these; a new one if there is none. */
static IrVal flags_value(Random *r, uint32_t needed)
{
    IrVal a, v;
    IrType type;

    for (unsigned i = r->n_flags; i-- > 0 && below(r, 6);) {
        if ((r->flags[i].defined & needed) == needed) {
            return r->flags[i].v;
        }
    }
    type = any_type(r);
    a = value(r, type);
    v = ir_opf(r->ir, IR_cmp, type, a, value(r, type), NO).flags;
    keep_flags(r, v, FLAGS_ALL);
    return v;
}

static uint32_t cc_needs(unsigned cc)
{
    static const uint32_t needs[8] = {FLAG_OF, FLAG_CF, FLAG_ZF, FLAG_CF | FLAG_ZF,
                                      FLAG_SF, FLAG_PF, FLAG_SF | FLAG_OF, FLAG_SF | FLAG_OF | FLAG_ZF};

    return needs[cc >> 1];
}

static void arithmetic(Random *r)
{
    static const IrOp ops[] = {IR_add, IR_sub, IR_adc, IR_sbb, IR_neg, IR_and, IR_or, IR_xor, IR_cmp, IR_test,
                               IR_mul, IR_add, IR_sub};
    IrOp op = ops[below(r, G_N_ELEMENTS(ops))];
    IrType type = any_type(r);
    IrVal a = value(r, type), b = op == IR_neg ? NO : value(r, type), c = NO;
    bool flags = below(r, 2) || op == IR_cmp || op == IR_test;

    if (op == IR_adc || op == IR_sbb) {
        c = flags_value(r, FLAG_CF);
    }
    if (flags) {
        IrValFlags f = ir_opf(r->ir, op, type, a, b, c);
        bool logic = op == IR_and || op == IR_or || op == IR_xor || op == IR_test;

        if (f.value.id) {
            keep(r, f.value);
        }
        keep_flags(r, f.flags, op == IR_mul ? FLAG_CF | FLAG_OF : logic ? FLAGS_ALL & ~FLAG_AF : FLAGS_ALL);
    } else {
        keep(r, ir_op3(r->ir, op, type, a, b, c));
    }
}

static void shift(Random *r)
{
    static const IrOp ops[] = {IR_shl, IR_shr, IR_sar, IR_rol, IR_ror, IR_shld, IR_shrd, IR_bt};
    IrOp op = ops[below(r, G_N_ELEMENTS(ops))];
    IrType type = any_type(r);
    unsigned width;
    IrVal a, b, count;

    if ((op == IR_shld || op == IR_shrd || op == IR_bt) && type == IR_I8) {
        type = IR_I16;
    }
    width = ir_type_size(type) * 8;
    a = value(r, type);
    b = value(r, type);
    if (below(r, 2)) {
        count = ir_const(r->ir, op == IR_bt ? type : IR_I8, 1 + below(r, width - 1));
    } else {
        IrType count_type = op == IR_bt ? type : IR_I8;

        count = ir_op2(r->ir, IR_and, count_type, value(r, count_type), ir_const(r->ir, count_type, width - 1));
        if (op == IR_shld || op == IR_shrd) {
            count = ir_op2(r->ir, IR_or, IR_I8, count, ir_const(r->ir, IR_I8, 1));
        }
    }
    if (op == IR_bt) {
        keep_flags(r, ir_opf(r->ir, op, type, a, count, NO).flags, FLAG_CF);
    } else if (ir_is_const(r->ir, count, NULL) && below(r, 2)) {
        bool two = op == IR_shld || op == IR_shrd;
        IrValFlags f = ir_opf(r->ir, op, type, a, two ? b : count, two ? count : NO);
        uint64_t n = 0;
        uint32_t defined = FLAG_CF;

        ir_is_const(r->ir, count, &n);
        defined |= n == 1 ? FLAG_OF : 0;
        if (op != IR_rol && op != IR_ror) {
            defined |= FLAG_SF | FLAG_ZF | FLAG_PF;
        }
        keep(r, f.value);
        keep_flags(r, f.flags, n ? defined : 0);
    } else if (op == IR_shld || op == IR_shrd) {
        keep(r, ir_op3(r->ir, op, type, a, b, count));
    } else {
        keep(r, ir_op2(r->ir, op, type, a, count));
    }
}

static void instruction_ends(Random *r)
{
    r->pc += 1 + below(r, 8);
    r->put = false;
    ir_insn_start(r->ir, r->pc);
}

static void multiply_or_divide(Random *r)
{
    IrType type = any_type(r);
    IrVal a = value(r, type), b = value(r, type);
    bool is_signed = below(r, 2), flags = below(r, 2);
    IrPair p;

    if (type >= IR_I32 && below(r, 3) == 0) {
        if (r->put) {
            instruction_ends(r);
        }
        p = ir_div2(r->ir, is_signed ? IR_divs2_checked : IR_divu2_checked, type, a,
                    below(r, 2) ? ir_const(r->ir, type, 0) : value(r, type), b);
    } else if (below(r, 2)) {
        p = ir_mul2(r->ir, is_signed ? IR_muls2 : IR_mulu2, type, a, b, flags);
        if (flags) {
            keep_flags(r, p.flags, FLAG_CF | FLAG_OF);
        }
    } else {
        IrVal one = ir_const(r->ir, type, 1), high;

        /* A divisor above zero, unless any will do, and a dividend with nothing or only the sign above its low half. */
        if (type < IR_I32 || below(r, 2)) {
            b = ir_op2(r->ir, IR_or, type, ir_op2(r->ir, IR_shr, type, b, ir_const(r->ir, IR_I8, 1)), one);
        } else if (below(r, 4) == 0) { /* some have no quotient */
            b = ir_const(r->ir, type, below(r, 2) ? 0 : UINT64_MAX);
        }
        high = is_signed ? ir_op2(r->ir, IR_sar, type, a, ir_const(r->ir, IR_I8, ir_type_size(type) * 8 - 1))
                         : ir_const(r->ir, type, 0);
        p = ir_div2(r->ir, is_signed ? IR_divs2 : IR_divu2, type, a, high, b);
        if (below(r, 2)) { /* the remainder by hand */
            IrVal product = below(r, 2) ? ir_op2(r->ir, IR_mul, type, p.low, b) : ir_op2(r->ir, IR_mul, type, b, p.low);

            keep(r, ir_op2(r->ir, IR_sub, type, a, product));
        }
    }
    keep(r, p.low);
    keep(r, p.high);
}

static void unary(Random *r)
{
    static const IrOp ops[] = {IR_not, IR_neg, IR_clz, IR_ctz, IR_popcnt, IR_bswap};
    IrOp op = ops[below(r, G_N_ELEMENTS(ops))];
    IrType type = any_type(r);

    if (op == IR_bswap && type < IR_I32) {
        type = IR_I32;
    }
    keep(r, ir_op1(r->ir, op, type, value(r, type)));
}

static void extend(Random *r)
{
    IrType from = any_type(r), to = any_type(r);
    IrVal a = value(r, from);

    to = MAX(from, to);
    keep(r, below(r, 2) ? ir_sext(r->ir, to, from, a) : ir_zext(r->ir, to, from, a));
}

static void choose(Random *r)
{
    IrType type = any_type(r);
    unsigned cc = below(r, 16);
    IrVal a = value(r, type), b = value(r, type), f;

    switch (below(r, 8)) {
    case 6:
    case 7: /* read by nothing but the put: postponed */
        f = ir_order(r->ir, type, below(r, 2), a, b, below(r, 3) ? got(r, IR_I8) : value(r, IR_I8));
        if (below(r, 4)) {
            ir_put(r->ir, IR_I8, below(r, 2) ? TEST_SLOT_CC_OP : TEST_SLOT_CC_AUX, f);
        } else {
            keep(r, f);
        }
        break;
    case 0:
        keep(r, ir_setcond(r->ir, below(r, 10), type, a, b));
        break;
    case 1:
        keep(r, ir_select(r->ir, type, ir_op2(r->ir, IR_and, IR_I8, a, ir_const(r->ir, IR_I8, 1)), a, b));
        break;
    case 2:
        f = flags_value(r, cc_needs(cc));
        keep(r, ir_setcc(r->ir, cc, f));
        break;
    case 3:
        f = flags_value(r, cc_needs(cc));
        keep(r, ir_selectcc(r->ir, type, cc, f, a, b));
        break;
    case 4:
        f = flags_value(r, FLAGS_ALL);
        keep(r, ir_op1(r->ir, IR_flags_image, IR_I32, f));
        break;
    default:
        a = value(r, IR_I32);
        keep_flags(r, ir_opf(r->ir, IR_flags_from, IR_I32, a, NO, NO).flags, FLAGS_ALL);
        keep(r, ir_op2(r->ir, IR_andn, type, b, value(r, type)));
        break;
    }
}

static IrVal address(Random *r)
{
    IrType type = below(r, 2) ? IR_I32 : IR_I64;
    /* Mostly the good pages. */
    unsigned mask = below(r, 12) == 0 ? 0x7fff : below(r, 2) ? 0x5fff : 0x3fff;
    IrVal a;

    if (below(r, 6) == 0) { /* about to cross a page */
        return ir_const(r->ir, type, TEST_RAM_BASE + 0x1000 * (1 + below(r, 5)) - below(r, 10));
    }
    a = ir_op2(r->ir, IR_and, type, value(r, type), ir_const(r->ir, type, mask));
    return ir_op2(r->ir, IR_add, type, a, ir_const(r->ir, type, TEST_RAM_BASE));
}

/* A load and a store to the same place, with a few operations between. */
static void update(Random *r, IrType type, IrVal addr, int disp)
{
    IrVal v = ir_load(r->ir, type, addr, disp, IRM_UPDATE);

    keep(r, v);
    for (unsigned n = below(r, 5); n > 0; n--) {
        switch (below(r, 4)) {
        case 0:
            shift(r);
            break;
        case 1:
            choose(r);
            break;
        default:
            arithmetic(r);
            break;
        }
    }
    ir_store(r->ir, type, addr, disp, below(r, 4) ? value(r, type) : v, 0);
    if (below(r, 2)) { /* flags from in between are wanted behind it */
        flags_value(r, 0);
        choose(r);
    }
}

static void put(Random *r);

/* Accesses at small distances from one address, over several instructions. */
static void group(Random *r, IrVal addr)
{
    static const unsigned modes[] = {0, 0, 0, IRM_ZX, IRM_SX, IRM_STACK};
    bool stores = below(r, 2);
    IrType at = r->ir->value_type[addr.id];

    for (unsigned n = 2 + below(r, 5); n > 0; n--) {
        IrType type = any_type(r);
        int disp = (int)below(r, 60) - 30;

        if (stores != (below(r, 12) == 0)) {
            ir_store(r->ir, type, addr, disp, value(r, type), 0);
        } else {
            keep(r, ir_load(r->ir, type, addr, disp, modes[below(r, G_N_ELEMENTS(modes))]));
        }
        switch (below(r, 4)) {
        case 0:
            arithmetic(r);
            break;
        case 1:
            addr = ir_op2(r->ir, IR_add, at, addr, ir_const(r->ir, at, below(r, 2) ? 8 : -(uint64_t)8));
            keep(r, addr);
            break;
        case 2:
            put(r);
            break;
        }
        instruction_ends(r);
    }
}

/* A sum at most this far from an address, to be used instead of it: the address itself may be dead then. */
static IrVal moved(Random *r, IrVal addr)
{
    IrType type = r->ir->value_type[addr.id];

    return below(r, 2) ? ir_op2(r->ir, IR_add, type, addr, ir_const(r->ir, type, 8)) : addr;
}

/* An address in the good pages that is no sum. */
static IrVal whole_address(Random *r)
{
    IrVal distance = ir_op2(r->ir, IR_and, IR_I64, value(r, IR_I64), ir_const(r->ir, IR_I64, 0xfff));

    return ir_op2(r->ir, IR_sub, IR_I64, ir_const(r->ir, IR_I64, TEST_RAM_BASE + 0x1fc0), distance);
}

/* Accesses near two addresses in turn, which slots have at first; what is loaded may take their registers. */
static void two_groups(Random *r)
{
    unsigned slot[2] = { below(r, 6), 6 + below(r, 5) };
    IrVal addr[2];

    if (r->put) {
        instruction_ends(r);
    }
    for (unsigned k = 0; k < 2; k++) {
        addr[k] = whole_address(r);
        ir_put(r->ir, IR_I64, slot[k], addr[k]);
        if (below(r, 2)) { /* a second slot, maybe one in memory, keeps it as long as it is dirty */
            ir_put(r->ir, IR_I64, 8 + below(r, 8), addr[k]);
        }
        addr[k] = moved(r, addr[k]);
    }
    instruction_ends(r);
    for (unsigned n = 2 + below(r, 5); n > 0; n--) {
        unsigned k = below(r, 2);
        IrType type = any_type(r);

        if (below(r, 4) == 0) {
            ir_store(r->ir, type, addr[k], below(r, 30), value(r, type), 0);
        } else {
            IrVal v = ir_load(r->ir, type, addr[k], below(r, 30), below(r, 2) ? IRM_ZX : 0);
            unsigned to = below(r, 2) ? slot[below(r, 2)] : any_slot(r);

            ir_put(r->ir, MIN(type, test_target.slots[to].type), to, v);
            r->put = true;
        }
        instruction_ends(r);
    }
}

static void memory(Random *r)
{
    static const unsigned modes[] = {0, 0, IRM_ZX, IRM_SX, IRM_BE, IRM_ZX | IRM_BE, IRM_SX | IRM_BE, IRM_STACK};
    IrType type = any_type(r);
    unsigned mode = modes[below(r, G_N_ELEMENTS(modes))];
    int disp = below(r, 2) ? 0 : (int)below(r, 64) - 32;
    IrVal addr, v, c;

    if (r->put) {
        instruction_ends(r);
    }
    if (type < IR_I32 && mode == 0 && below(r, 2)) {
        mode = IRM_SX32;
    }
    addr = address(r);
    if (below(r, 40) == 0) {
        mode |= IRM_ALIGNED;
    }
    switch (below(r, 19)) {
    case 17 ... 18:
        two_groups(r);
        break;
    case 14 ... 16:
        group(r, addr);
        break;
    case 12 ... 13:
        update(r, type, addr, disp);
        break;
    case 0 ... 5:
        keep(r, ir_load(r->ir, type, addr, disp, mode));
        break;
    case 6:
        v = value(r, type);
        c = value(r, type);
        keep(r, ir_atomic(r->ir, IR_atomic_add + below(r, 6), type, addr, disp, v, c));
        break;
    case 7:
        ir_probe_store(r->ir, type, addr, disp, mode & IRM_STACK);
        break;
    default:
        ir_store(r->ir, type, addr, disp, value(r, type), mode & ~(IRM_ZX | IRM_SX | IRM_SX32));
        break;
    }
}

static void put(Random *r)
{
    unsigned slot = any_slot(r);
    IrType type = any_type(r);
    IrVal v;

    if (below(r, 8) == 0) {
        ir_put_field(r->ir, type, any_field(r), value(r, type));
        r->put = true;
        return;
    }
    type = MIN(type, test_target.slots[slot].type);
    v = value(r, type);
    if (below(r, 10) == 0) {
        ir_put8h(r->ir, below(r, 16), v);
    } else {
        ir_put(r->ir, type, slot, v);
    }
    r->put = true;
}

static void raw(Random *r)
{
    IrRaw paddd = {.prefix = 0x66, .map = 1, .opcode = 0xfe, .reg_role = RAW_XMM, .reg = below(r, 16),
                   .rm_role = RAW_XMM, .rm = below(r, 16)};
    IrRaw pshufd = {.prefix = 0x66, .map = 1, .opcode = 0x70, .reg_role = RAW_XMM, .reg = below(r, 16),
                    .rm_role = RAW_XMM, .rm = below(r, 16), .has_imm = true, .imm = below(r, 256)};
    IrRaw movq_in = {.prefix = 0x66, .map = 1, .opcode = 0x6e, .w = below(r, 2), .reg_role = RAW_XMM,
                     .reg = below(r, 16), .rm_role = RAW_GPR_IN};
    IrRaw movq_out = {.prefix = 0x66, .map = 1, .opcode = 0x7e, .w = below(r, 2), .reg_role = RAW_XMM,
                      .reg = below(r, 16), .rm_role = RAW_GPR_OUT};
    IrRaw ucomisd = {.prefix = 0x66, .map = 1, .opcode = 0x2e, .reg_role = RAW_XMM, .reg = below(r, 16),
                     .rm_role = RAW_XMM, .rm = below(r, 16), .may_fault = true};
    IrRaw load = {.prefix = 0x66, .map = 1, .opcode = 0xef, .reg_role = RAW_XMM, .reg = below(r, 16),
                  .rm_role = RAW_MEM, .mem_size = 16, .mem_read = true, .mem_align = 16};
    IrRaw movdqu = {.prefix = 0xf3, .map = 1, .opcode = 0x7f, .reg_role = RAW_XMM, .reg = below(r, 16),
                    .rm_role = RAW_MEM, .mem_size = 16, .mem_write = true};
    IrRaw fld = {.opcode = 0xd9, .reg_role = RAW_DIGIT, .reg = 5, .rm_role = RAW_ST, .rm = below(r, 2) ? 0 : 3,
                 .x87 = true, .may_fault = true};
    IrRaw fstp = {.opcode = 0xdd, .reg_role = RAW_DIGIT, .reg = 3, .rm_role = RAW_MEM, .mem_size = 8,
                  .mem_write = true, .x87 = true, .may_fault = true};
    IrRaw fmul = {.opcode = 0xd8, .reg_role = RAW_DIGIT, .reg = 1, .rm_role = RAW_ST, .rm = below(r, 8),
                  .x87 = true, .may_fault = true};
    IrRaw fnstsw = {.opcode = 0xdf, .reg_role = RAW_DIGIT, .reg = 4, .rm_role = RAW_AX_OUT, .x87 = true,
                    .gpr_type = IR_I32};
    IrRaw fcmov = {.opcode = 0xda, .reg_role = RAW_DIGIT, .reg = below(r, 4), .rm_role = RAW_ST,
                   .rm = below(r, 8), .x87 = true, .flags_in = true, .may_fault = true};
    unsigned which = below(r, 14);
    IrVal v;

    movq_in.gpr_type = movq_in.w ? IR_I64 : IR_I32;
    movq_out.gpr_type = movq_out.w ? IR_I64 : IR_I32;
    if (r->put && which >= 5) {
        instruction_ends(r);
    }
    switch (which) {
    case 0:
    case 1:
        ir_raw(r->ir, &paddd, NO, 0, NO, false);
        break;
    case 2:
        ir_raw(r->ir, &pshufd, NO, 0, NO, false);
        break;
    case 3:
        v = value(r, movq_in.gpr_type);
        ir_raw(r->ir, &movq_in, NO, 0, v, false);
        break;
    case 4:
        keep(r, ir_raw(r->ir, &movq_out, NO, 0, NO, false).value);
        break;
    case 5:
        v = ir_raw(r->ir, &ucomisd, NO, 0, NO, true).flags;
        keep_flags(r, v, FLAGS_ALL);
        break;
    case 6:
        v = ir_op2(r->ir, IR_and, IR_I64, value(r, IR_I64), ir_const(r->ir, IR_I64, below(r, 8) ? 0x5ff0 : 0x7fff));
        v = ir_op2(r->ir, IR_add, IR_I64, v, ir_const(r->ir, IR_I64, TEST_RAM_BASE));
        ir_raw(r->ir, &load, v, 0, NO, false);
        break;
    case 7:
        v = address(r);
        ir_raw(r->ir, &movdqu, v, 0, NO, false);
        break;
    case 8:
    case 9:
        ir_raw(r->ir, &fld, NO, 0, NO, false);
        break;
    case 10:
        v = address(r);
        ir_raw(r->ir, &fstp, v, 0, NO, false);
        break;
    case 11:
        ir_raw(r->ir, &fmul, NO, 0, NO, false);
        break;
    case 12:
        keep(r, ir_raw(r->ir, &fnstsw, NO, 0, NO, false).value);
        break;
    default:
        /* fcmovb, fcmove, fcmovbe, fcmovu */
        v = flags_value(r, FLAG_CF | FLAG_ZF | FLAG_PF);
        ir_raw(r->ir, &fcmov, NO, 0, v, false);
        break;
    }
}

static void call(Random *r)
{
    unsigned helper = below(r, test_n_helpers);
    const IrHelper *h = &test_helpers[helper];
    IrVal args[4] = {NO, NO, NO, NO}, v;

    if (h->effects & EFFECT_FP && !(r->what & RANDOM_FP)) {
        return;
    }
    if (h->effects & EFFECT_FAULT && r->put) {
        instruction_ends(r);
    }
    for (unsigned i = 0; i < h->args; i++) {
        args[i] = value(r, IR_I64);
    }
    v = ir_call(r->ir, helper, args[0], args[1], args[2], args[3]);
    if (v.id) {
        keep(r, v);
    }
}

static void forget(Random *r)
{
    r->n_values = 0;
    r->n_flags = 0;
}

static void branch(Random *r)
{
    IrType type = any_type(r);
    unsigned cc = below(r, 16);
    IrVal a, b;

    if (r->label >= 0) {
        ir_label(r->ir, r->label);
        r->label = -1;
        forget(r);
        instruction_ends(r);
        return;
    }
    r->label = ir_new_label(r->ir);
    if (below(r, 2)) {
        a = flags_value(r, cc_needs(cc));
        ir_brcc(r->ir, cc, a, r->label);
    } else {
        a = value(r, type);
        b = value(r, type);
        ir_brcond(r->ir, below(r, 10), type, a, b, r->label);
    }
}

static void side_exit(Random *r)
{
    unsigned cc = below(r, 16);
    IrVal f = flags_value(r, cc_needs(cc));

    ir_exit_if(r->ir, cc, f, 0x400000 + below(r, 0x10000));
    instruction_ends(r);
}

static void operation(Random *r)
{
    switch (below(r, 32)) {
    case 0 ... 7:
        arithmetic(r);
        break;
    case 8 ... 10:
        shift(r);
        break;
    case 11:
        multiply_or_divide(r);
        break;
    case 12:
        unary(r);
        break;
    case 13 ... 14:
        extend(r);
        break;
    case 15 ... 17:
        choose(r);
        break;
    case 18 ... 19:
        if (r->what & RANDOM_MEMORY) {
            memory(r);
        }
        break;
    case 20:
        if (r->what & RANDOM_FP) {
            raw(r);
        }
        break;
    case 21:
        if (r->what & RANDOM_CALLS && below(r, 2)) {
            call(r);
        } else {
            keep(r, ir_get8h(r->ir, below(r, 16)));
            keep(r, ir_get_field(r->ir, any_type(r), any_field(r)));
        }
        break;
    case 22 ... 27:
        put(r);
        break;
    case 28:
        if (below(r, 3) == 0) {
            side_exit(r);
        }
        break;
    case 29:
        if (r->what & RANDOM_LABELS && below(r, 2)) {
            branch(r);
        }
        break;
    default:
        instruction_ends(r);
        break;
    }
}

static void last_exit(Random *r)
{
    switch (below(r, 3)) {
    case 0:
        ir_exit_jump(r->ir, 0x400000 + below(r, 0x10000));
        break;
    case 1: {
        IrType type = below(r, 2) ? IR_I32 : IR_I64;
        IrVal pc = value(r, type);

        ir_exit_lookup(r->ir, pc, below(r, 3));
        break;
    }
    default:
        ir_put(r->ir, IR_I64, TEST_SLOT_PC, ir_const(r->ir, IR_I64, 0x500000 + below(r, 0x10000)));
        ir_exit_main(r->ir, TCG_EXIT_MODE);
        break;
    }
}

static void mark_dead_slots(IrBlock *ir)
{
    for (uint32_t i = 0; i < ir->n_insns; i++) {
        IrExitDead dead = {.insn = i, .slots = TEST_DEAD_SLOTS};

        switch (ir->insns[i].op) {
        case IR_exit_if:
        case IR_exit_jump:
        case IR_exit_lookup:
            g_array_append_val(ir->exit_dead, dead);
            break;
        }
    }
}

void random_ir(IrBlock *ir, uint64_t seed, unsigned size, unsigned what)
{
    Random r = {.ir = ir, .seed = (seed + 1) * 0x9e3779b97f4a7c15, .what = what, .pc = 0x400000, .label = -1};

    ir_poll(ir, r.pc);
    ir_insn_start(ir, r.pc);
    for (unsigned i = 0; i < size; i++) {
        operation(&r);
    }
    last_exit(&r);
    if (r.label >= 0) {
        ir_label(ir, r.label);
        forget(&r);
        last_exit(&r);
    }
    if (what & RANDOM_DEAD) {
        mark_dead_slots(ir);
    }
}
