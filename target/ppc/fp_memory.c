/*
 * Loads and stores of FPRs and vector registers, and moves between them and GPRs (Power ISA, book I, 4.6.2, 6.7, 7.6).
 */
#include "target/ppc/fp.h"
#include "target/ppc/insns.h"

enum { HIGH, LOW };

static uint32_t vsr_offset(unsigned reg, unsigned half)
{
    return offsetof(PpcState, vsr) + reg * sizeof(PpcVsr) + half * 8;
}

static IrVal get_half(PpcTranslator *tr, unsigned reg, unsigned half)
{
    return ir_get_field(tr->ir, IR_I64, vsr_offset(reg, half));
}

static void put_half(PpcTranslator *tr, unsigned reg, unsigned half, IrVal value)
{
    ir_put_field(tr->ir, IR_I64, vsr_offset(reg, half), value);
}

/* With VSX the right doubleword becomes zero (v3.1; undefined before). */
static void put_scalar(PpcTranslator *tr, unsigned reg, IrVal value)
{
    put_half(tr, reg, HIGH, value);
    if (tr->isa & ISA_V206) {
        put_half(tr, reg, LOW, ppc_const(tr, IR_I64, 0));
    }
}

static bool is_le(const PpcTranslator *tr)
{
    return tr->mode & MODE_LE;
}

/* PpcRow.op: what is in memory, and how the address is made. */
enum {
    F_SINGLE = 1, F_DOUBLE, F_WORD_SIGNED, F_WORD, F_BYTE, F_HALF, /* of scalars */
    F_KIND = 0xf,
    F_UPDATE = 0x10, F_INDEXED = 0x20, F_DS_FORM = 0x40, F_DQ_FORM = 0x80,
    F_VSX = 0x100,  /* register number with bit TX; the other half becomes zero */
    F_VR = 0x200,   /* a VR by its number */
    F_PREFIX = 0x400,
    F_PAIR = 0x800, /* two registers */
};

static unsigned register_of(const PpcInsn *in)
{
    unsigned how = in->row->op, reg = field_t(in->word);

    if (how & F_VR) {
        return 32 + reg;
    }
    if (how & F_PREFIX) {
        return how & F_VSX ? (in->word >> 26 & 1) << 5 | reg : reg;
    }
    if (how & F_DQ_FORM) {
        return how & F_VSX ? (in->word >> 3 & 1) << 5 | reg : reg;
    }
    return how & F_VSX ? field_xt(in->word) : reg;
}

/* False: an invalid form, which has been raised. */
static bool operand_address(PpcTranslator *tr, const PpcInsn *in, IrVal *addr, int64_t *disp)
{
    unsigned how = in->row->op;

    *disp = how & F_DS_FORM ? F_DS(in) : how & F_DQ_FORM ? F_DQ(in) : F_SI(in);
    if (how & F_PREFIX) {
        bool relative = F_R(in);
        int64_t distance = F_D34(in);

        if (relative && F_RA(in)) {
            ppc_emit_illegal(tr);
            return false;
        }
        *addr = relative ? ppc_pc(tr, tr->address, in->pc + distance)
                         : ir_op2(tr->ir, IR_add, tr->address, ppc_base(tr, F_RA(in)), ppc_const(tr, tr->address, distance));
        *disp = 0;
    } else if (how & F_INDEXED) {
        *addr = how & F_UPDATE ? ppc_address_xu(tr, in) : ppc_address_x(tr, in);
        *disp = 0;
    } else if (how & F_UPDATE) {
        *addr = ir_op2(tr->ir, IR_add, tr->address, ppc_gpr_as(tr, tr->address, F_RA(in)), ppc_const(tr, tr->address, *disp));
        *disp = 0;
    } else {
        *addr = ppc_base(tr, F_RA(in));
    }
    return true;
}

static void emit_load_slowly(PpcTranslator *tr, const PpcInsn *in);
static void emit_store_slowly(PpcTranslator *tr, const PpcInsn *in);

/* Of a single that is normal or zero. The others go to cold code. */
static IrVal widen_single(PpcTranslator *tr, const PpcInsn *in, IrVal bits)
{
    IrBlock *ir = tr->ir;
    IrVal zero = ppc_const(tr, IR_I64, 0), thirty_two = ppc_const(tr, IR_I8, 32), d;
    IrVal sign = ir_op2(ir, IR_shl, IR_I64, ir_op2(ir, IR_and, IR_I64, bits, ppc_const(tr, IR_I64, 0x80000000)), thirty_two);
    IrVal m = ir_op2(ir, IR_and, IR_I64, bits, ppc_const(tr, IR_I64, 0x7fffffff));

    ppc_cold_if(tr, in, COND_LTU, IR_I32, ir_op2(ir, IR_sub, IR_I32, m, ppc_const(tr, IR_I32, 1)), ppc_const(tr, IR_I32, 0x7fffff),
                emit_load_slowly);
    ppc_cold_if(tr, in, COND_GEU, IR_I32, m, ppc_const(tr, IR_I32, 0x7f800000), emit_load_slowly);
    d = ir_op2(ir, IR_add, IR_I64, ir_op2(ir, IR_shl, IR_I64, m, ppc_const(tr, IR_I8, 29)), ppc_const(tr, IR_I64, UINT64_C(896) << 52));
    d = ir_select(ir, IR_I64, ir_setcond(ir, COND_EQ, IR_I64, m, zero), zero, d);
    return ir_op2(ir, IR_or, IR_I64, d, sign);
}

/* Of a double in the range of normal singles, infinite, NaN or zero. */
static IrVal narrow_double(PpcTranslator *tr, const PpcInsn *in, IrVal bits)
{
    IrBlock *ir = tr->ir;
    IrVal magnitude = ir_op2(ir, IR_add, IR_I64, bits, bits);

    ppc_cold_if(tr, in, COND_LTU, IR_I64, ir_op2(ir, IR_sub, IR_I64, magnitude, ppc_const(tr, IR_I64, 1)),
                ppc_const(tr, IR_I64, (UINT64_C(897) << 53) - 1), emit_store_slowly);
    return ir_op2(ir, IR_or, IR_I64,
                  ir_op2(ir, IR_and, IR_I64, ir_op2(ir, IR_shr, IR_I64, bits, ppc_const(tr, IR_I8, 32)), ppc_const(tr, IR_I64, 0xc0000000)),
                  ir_op2(ir, IR_and, IR_I64, ir_op2(ir, IR_shr, IR_I64, bits, ppc_const(tr, IR_I8, 29)), ppc_const(tr, IR_I64, 0x3fffffff)));
}

/* The host makes a double of a single, where its exceptions tell which it cannot: denormals, and NaNs that signal. */
static void put_single(PpcTranslator *tr, unsigned reg, IrVal bits)
{
    IrFast f = { .kind = FAST_WIDEN, .prefix = 0xf3, .map = 1, .opcode = 0x5a, .t = vsr_offset(reg, HIGH), .a = -1,
                 .b = offsetof(PpcState, fp_single), .c = -1, .last = -1, .traps = true, .clear = tr->isa & ISA_V206,
                 .helper = HELPER_widen_single, .args = { reg } };

    ir_put_field(tr->ir, IR_I32, f.b, bits);
    ir_fast(tr->ir, &f);
}

uint64_t ppc_helper_widen_single(PpcState *s, uint64_t reg, uint64_t b, uint64_t c, uint64_t d)
{
    fp_put_scalar(s, reg, fp_single_to_double(s->fp_single));
    return 0;
}

static IrVal load_scalar(PpcTranslator *tr, const PpcInsn *in, unsigned kind, IrVal addr, int64_t disp, bool slowly)
{
    IrVal bits;

    switch (kind) {
    case F_SINGLE:
        bits = ir_load(tr->ir, IR_I32, addr, disp, IRM_ZX | tr->order);
        return slowly ? PPC_CALL1(tr, single_to_double, bits) : widen_single(tr, in, bits);
    case F_WORD_SIGNED: return ir_load(tr->ir, IR_I32, addr, disp, IRM_SX | tr->order);
    case F_WORD: return ir_load(tr->ir, IR_I32, addr, disp, IRM_ZX | tr->order);
    case F_BYTE: return ir_load(tr->ir, IR_I8, addr, disp, IRM_ZX);
    case F_HALF: return ir_load(tr->ir, IR_I16, addr, disp, IRM_ZX | tr->order);
    default: return ir_load(tr->ir, IR_I64, addr, disp, tr->order);
    }
}

static void load(PpcTranslator *tr, const PpcInsn *in, bool slowly)
{
    unsigned how = in->row->op, reg = register_of(in);
    IrVal addr, value, second = { 0 };
    bool in_vector;
    int64_t disp;

    if (!operand_address(tr, in, &addr, &disp)) {
        return;
    }
    in_vector = !slowly && (how & F_KIND) == F_SINGLE && tr->mode & MODE_TRAP_FP;
    value = load_scalar(tr, in, in_vector ? F_WORD : how & F_KIND, addr, disp, slowly);
    if (how & F_PAIR) {
        second = load_scalar(tr, in, how & F_KIND, addr, disp + 8, slowly);
    }
    if (!in_vector && !(how & F_PAIR)) { /* right behind the load, whose value then needs no general register */
        put_scalar(tr, reg, value);
    }
    if (how & F_UPDATE) {
        ppc_put_address(tr, F_RA(in), addr);
    }
    if (in_vector) {
        put_single(tr, reg, value);
        return;
    }
    if (how & F_PAIR) { /* doublewords in memory order: the first register is the left one */
        put_scalar(tr, reg & ~1, is_le(tr) ? second : value);
        put_scalar(tr, reg | 1, is_le(tr) ? value : second);
    }
}

static void emit_load(PpcTranslator *tr, const PpcInsn *in)
{
    load(tr, in, false);
}

static void emit_load_slowly(PpcTranslator *tr, const PpcInsn *in)
{
    load(tr, in, true);
}

static void store(PpcTranslator *tr, const PpcInsn *in, bool slowly)
{
    unsigned how = in->row->op, kind = how & F_KIND, reg = register_of(in);
    IrVal addr, value;
    int64_t disp;

    if (!operand_address(tr, in, &addr, &disp)) {
        return;
    }
    if (how & F_PAIR) {
        IrVal left = get_half(tr, reg & ~1, HIGH), right = get_half(tr, reg | 1, HIGH);

        ir_probe_store(tr->ir, IR_I64, addr, disp + 8, tr->order);
        ir_store(tr->ir, IR_I64, addr, disp, is_le(tr) ? right : left, tr->order);
        ir_store(tr->ir, IR_I64, addr, disp + 8, is_le(tr) ? left : right, tr->order);
        return;
    }
    value = get_half(tr, reg, HIGH);
    switch (kind) {
    case F_SINGLE:
        value = slowly ? PPC_CALL1(tr, double_to_single, value) : narrow_double(tr, in, value);
        ir_store(tr->ir, IR_I32, addr, disp, value, tr->order);
        break;
    case F_WORD: ir_store(tr->ir, IR_I32, addr, disp, value, tr->order); break;
    case F_BYTE: ir_store(tr->ir, IR_I8, addr, disp, value, 0); break;
    case F_HALF: ir_store(tr->ir, IR_I16, addr, disp, value, tr->order); break;
    default: ir_store(tr->ir, IR_I64, addr, disp, value, tr->order); break;
    }
    if (how & F_UPDATE) {
        ppc_put_address(tr, F_RA(in), addr);
    }
}

static void emit_store(PpcTranslator *tr, const PpcInsn *in)
{
    store(tr, in, false);
}

static void emit_store_slowly(PpcTranslator *tr, const PpcInsn *in)
{
    store(tr, in, true);
}

uint64_t ppc_helper_single_to_double(PpcState *s, uint64_t bits, uint64_t b, uint64_t c, uint64_t d)
{
    return fp_single_to_double(bits);
}

uint64_t ppc_helper_double_to_single(PpcState *s, uint64_t bits, uint64_t b, uint64_t c, uint64_t d)
{
    return fp_double_to_single(bits);
}

/* Whole vectors. V_QUAD: 16 bytes as one number in the current order; the others by element. */
enum { V_QUAD = 1, V_DOUBLES, V_WORDS, V_HALVES, V_BYTES, V_SPLAT_DOUBLE, V_SPLAT_WORD, V_ALIGNED };

/* The elements of a doubleword that was loaded in little-endian order, put in the architecture's. It is its own opposite. */
static IrVal swap_elements(PpcTranslator *tr, unsigned kind, IrVal v)
{
    IrVal odd = ppc_const(tr, IR_I64, UINT64_C(0x00ff00ff00ff00ff)), eight = ppc_const(tr, IR_I8, 8);

    switch (kind) {
    case V_WORDS: return ir_op2(tr->ir, IR_rol, IR_I64, v, ppc_const(tr, IR_I8, 32));
    case V_HALVES:
        v = ir_op1(tr->ir, IR_bswap, IR_I64, v);
        return ir_op2(tr->ir, IR_or, IR_I64, ir_op2(tr->ir, IR_shl, IR_I64, ir_op2(tr->ir, IR_and, IR_I64, v, odd), eight),
                      ir_op2(tr->ir, IR_and, IR_I64, ir_op2(tr->ir, IR_shr, IR_I64, v, eight), odd));
    case V_BYTES: return ir_op1(tr->ir, IR_bswap, IR_I64, v);
    default: return v;
    }
}

static IrVal vector_address(PpcTranslator *tr, const PpcInsn *in, unsigned kind, int64_t *disp)
{
    IrVal addr = { 0 };

    operand_address(tr, in, &addr, disp);
    if (addr.id && kind == V_ALIGNED) {
        addr = ir_op2(tr->ir, IR_and, tr->address, addr, ppc_const(tr, tr->address, ~UINT64_C(15)));
    }
    return addr;
}

static void emit_load_vector(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned kind = in->row->op & F_KIND, reg = register_of(in);
    bool reversed = is_le(tr) && (kind == V_QUAD || kind == V_ALIGNED);
    IrVal addr, first, second;
    int64_t disp;

    addr = vector_address(tr, in, kind, &disp);
    if (!addr.id) {
        return;
    }
    if (kind == V_SPLAT_WORD) {
        first = ir_load(tr->ir, IR_I32, addr, disp, IRM_ZX | tr->order);
        first = second = ir_op2(tr->ir, IR_or, IR_I64, first, ir_op2(tr->ir, IR_shl, IR_I64, first, ppc_const(tr, IR_I8, 32)));
    } else if (kind == V_SPLAT_DOUBLE) {
        first = second = ir_load(tr->ir, IR_I64, addr, disp, tr->order);
    } else {
        first = ir_load(tr->ir, IR_I64, addr, disp, tr->order);
        second = ir_load(tr->ir, IR_I64, addr, disp + 8, tr->order);
        if (is_le(tr)) {
            first = swap_elements(tr, kind, first);
            second = swap_elements(tr, kind, second);
        }
    }
    put_half(tr, reg, reversed ? LOW : HIGH, first);
    put_half(tr, reg, reversed ? HIGH : LOW, second);
}

static void emit_store_vector(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned kind = in->row->op & F_KIND, reg = register_of(in);
    bool reversed = is_le(tr) && (kind == V_QUAD || kind == V_ALIGNED);
    IrVal addr, first, second;
    int64_t disp;

    addr = vector_address(tr, in, kind, &disp);
    if (!addr.id) {
        return;
    }
    first = get_half(tr, reg, reversed ? LOW : HIGH);
    second = get_half(tr, reg, reversed ? HIGH : LOW);
    if (is_le(tr)) {
        first = swap_elements(tr, kind, first);
        second = swap_elements(tr, kind, second);
    }
    if (kind != V_ALIGNED) { /* may cross into a page that faults */
        ir_probe_store(tr->ir, IR_I64, addr, disp + 8, tr->order);
    }
    ir_store(tr->ir, IR_I64, addr, disp, first, tr->order);
    ir_store(tr->ir, IR_I64, addr, disp + 8, second, tr->order);
}

/* lxvp, stxvp and their kin: an even register and the next, which has the lower address in little-endian mode. */
static unsigned pair_of(const PpcInsn *in)
{
    return (in->word >> 21 & 30) | (in->word >> 21 & 1) << 5;
}

static void emit_load_pair(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal addr = { 0 }, v[4];
    int64_t disp;

    if (!operand_address(tr, in, &addr, &disp)) {
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        v[i] = ir_load(tr->ir, IR_I64, addr, disp + 8 * i, tr->order);
    }
    for (unsigned i = 0; i < 4; i++) {
        unsigned at = is_le(tr) ? 3 - i : i;

        put_half(tr, pair_of(in) + at / 2, at & 1, v[i]);
    }
}

static void emit_store_pair(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal addr = { 0 };
    int64_t disp;

    if (!operand_address(tr, in, &addr, &disp)) {
        return;
    }
    ir_probe_store(tr->ir, IR_I64, addr, disp + 24, tr->order);
    for (unsigned i = 0; i < 4; i++) {
        unsigned at = is_le(tr) ? 3 - i : i;

        ir_store(tr->ir, IR_I64, addr, disp + 8 * i, get_half(tr, pair_of(in) + at / 2, at & 1), tr->order);
    }
}

/* lxvrbx, stxvrbx and their kin: an integer on the right of the register; op is its IrType. */
static void emit_load_right(PpcTranslator *tr, const PpcInsn *in)
{
    IrType type = in->row->op;
    unsigned mem = type == IR_I8 ? IRM_ZX : type == IR_I64 ? tr->order : IRM_ZX | tr->order;
    IrVal value = ir_load(tr->ir, type, ppc_address_x(tr, in), 0, mem);

    put_half(tr, field_xt(in->word), HIGH, ppc_const(tr, IR_I64, 0));
    put_half(tr, field_xt(in->word), LOW, value);
}

static void emit_store_right(PpcTranslator *tr, const PpcInsn *in)
{
    IrType type = in->row->op;

    ir_store(tr->ir, type, ppc_address_x(tr, in), 0, get_half(tr, field_xt(in->word), LOW), type == IR_I8 ? 0 : tr->order);
}

/* lvebx and its kin: one element at its place in an aligned quadword; the others are undefined, and stay. */
enum { E_BYTE = 0, E_HALF, E_WORD, E_STORE = 4 };

static void emit_element(PpcTranslator *tr, const PpcInsn *in)
{
    static const IrType types[] = { IR_I8, IR_I16, IR_I32 };
    unsigned size = in->row->op & 3;
    IrVal addr = ppc_address_x(tr, in), reg = ppc_const(tr, IR_I64, field_t(in->word)), value, place;
    unsigned mem = size ? tr->order : 0;

    if (size) {
        addr = ir_op2(tr->ir, IR_and, tr->address, addr, ppc_const(tr, tr->address, ~UINT64_C(0) << size));
    }
    place = ppc_arg(tr, ir_op2(tr->ir, IR_and, tr->address, addr, ppc_const(tr, tr->address, 15)), tr->address);
    if (is_le(tr)) {
        place = ir_op2(tr->ir, IR_sub, IR_I64, ppc_const(tr, IR_I64, 16 - (1 << size)), place);
    }
    if (in->row->op & E_STORE) {
        value = PPC_CALL3(tr, vec_element, reg, place, ppc_const(tr, IR_I64, 1 << size));
        ir_store(tr->ir, types[size], addr, 0, value, mem);
    } else {
        value = ir_load(tr->ir, types[size], addr, 0, IRM_ZX | mem);
        PPC_CALL4(tr, vec_set_element, reg, place, ppc_const(tr, IR_I64, 1 << size), value);
    }
}

static uint8_t *vec_byte(PpcState *s, unsigned vr, unsigned byte)
{
    return (uint8_t *)s->vsr[32 + vr] + ((byte & 15) ^ 7);
}

/* (VR, byte, size) */
uint64_t ppc_helper_vec_element(PpcState *s, uint64_t vr, uint64_t place, uint64_t size, uint64_t d)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value = value << 8 | *vec_byte(s, vr, place + i);
    }
    return value;
}

/* (VR, byte, size, value) */
uint64_t ppc_helper_vec_set_element(PpcState *s, uint64_t vr, uint64_t place, uint64_t size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++) {
        *vec_byte(s, vr, place + i) = value >> 8 * (size - 1 - i);
    }
    return 0;
}

/* The control vector for vperm that an unaligned access needs: bytes sh to sh + 15, or from 16 - sh on. */
static void emit_lvs(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal addr = ppc_address_x(tr, in), shift, ones = ppc_const(tr, IR_I64, UINT64_C(0x0101010101010101));
    bool right = in->row->op;

    shift = ppc_arg(tr, ir_op2(tr->ir, IR_and, tr->address, addr, ppc_const(tr, tr->address, 15)), tr->address);
    if (right) {
        shift = ir_op2(tr->ir, IR_sub, IR_I64, ppc_const(tr, IR_I64, 16), shift);
    }
    shift = ir_op2(tr->ir, IR_mul, IR_I64, shift, ones);
    put_half(tr, 32 + field_t(in->word), HIGH,
             ir_op2(tr->ir, IR_add, IR_I64, shift, ppc_const(tr, IR_I64, UINT64_C(0x0001020304050607))));
    put_half(tr, 32 + field_t(in->word), LOW,
             ir_op2(tr->ir, IR_add, IR_I64, shift, ppc_const(tr, IR_I64, UINT64_C(0x08090a0b0c0d0e0f))));
}

/* lxvl, stxvl and the left-justified forms: as many bytes as the left byte of RB says. */
enum { L_STORE = 1, L_LEFT = 2 };

static void emit_length(PpcTranslator *tr, const PpcInsn *in)
{
    IrVal addr = ppc_arg(tr, ppc_base(tr, F_RA(in)), tr->address);
    IrVal bytes = ir_op2(tr->ir, IR_shr, IR_I64, ppc_gpr_as(tr, IR_I64, F_RB(in)), ppc_const(tr, IR_I8, 56));
    bool left = in->row->op & L_LEFT || !is_le(tr);
    IrVal reg = ppc_const(tr, IR_I64, field_xt(in->word) | (left ? 64 : 0));

    if (in->row->op & L_STORE) {
        PPC_CALL3(tr, store_length, addr, reg, bytes);
    } else {
        PPC_CALL3(tr, load_length, addr, reg, bytes);
    }
}

/* Byte i of memory is byte i of the register, or in little-endian mode byte 15 - i. */
static uint8_t *length_byte(uint8_t *vector, uint64_t reg, unsigned i)
{
    return vector + ((reg & 64 ? i : 15 - i) ^ 7);
}

static uint64_t wrap(const PpcState *s, uint64_t addr)
{
    return s->mode_flags & MODE_SF ? addr : (uint32_t)addr;
}

/* (address, register | 64 if left-justified, bytes) */
uint64_t ppc_helper_load_length(PpcState *s, uint64_t addr, uint64_t reg, uint64_t bytes, uint64_t d)
{
    uintptr_t retaddr = tcg_caller_pc(s);
    unsigned mode = ppc_data_mode(s);
    uint8_t vector[16] = { 0 };

    for (unsigned i = 0; i < MIN(bytes, 16); i++) {
        *length_byte(vector, reg, i) = engine.load(s->hot.cpu, wrap(s, addr + i), 1, mode, retaddr);
    }
    memcpy(s->vsr[reg & 63], vector, sizeof(vector));
    return 0;
}

uint64_t ppc_helper_store_length(PpcState *s, uint64_t addr, uint64_t reg, uint64_t bytes, uint64_t d)
{
    uintptr_t retaddr = tcg_caller_pc(s);
    unsigned mode = ppc_data_mode(s);
    uint8_t *vector = (uint8_t *)s->vsr[reg & 63];

    for (unsigned i = 0; i < MIN(bytes, 16); i++) {
        engine.store(s->hot.cpu, wrap(s, addr + i), *length_byte(vector, reg, i), 1, mode, retaddr);
    }
    return 0;
}

/* Moves between GPRs and vector-scalar registers: the facility depends on the register's half. */
static bool move_unavailable(PpcTranslator *tr, const PpcInsn *in, unsigned reg)
{
    if (reg < 32 && !ppc_assume(tr, in, MODE_FP)) {
        ppc_emit_raise(tr, PPC_FPU, 0);
        return true;
    }
    if (reg >= 32 && !ppc_assume(tr, in, MODE_VEC)) {
        ppc_emit_raise(tr, PPC_VPU, 0);
        return true;
    }
    return false;
}

enum { G_MFVSRD, G_MFVSRWZ, G_MFVSRLD, G_MTVSRD, G_MTVSRWA, G_MTVSRWZ, G_MTVSRDD, G_MTVSRWS };

static void emit_move(PpcTranslator *tr, const PpcInsn *in)
{
    unsigned reg = field_xt(in->word);
    IrVal value;

    if (move_unavailable(tr, in, reg)) {
        return;
    }
    switch (in->row->op) {
    case G_MFVSRD: ppc_put_gpr(tr, F_RA(in), get_half(tr, reg, HIGH)); return;
    case G_MFVSRLD: ppc_put_gpr(tr, F_RA(in), get_half(tr, reg, LOW)); return;
    case G_MFVSRWZ: ppc_put_gpr(tr, F_RA(in), ir_zext(tr->ir, IR_I64, IR_I32, get_half(tr, reg, HIGH))); return;
    case G_MTVSRDD:
        value = F_RA(in) ? ppc_gpr_as(tr, IR_I64, F_RA(in)) : ppc_const(tr, IR_I64, 0);
        put_half(tr, reg, HIGH, value);
        put_half(tr, reg, LOW, ppc_gpr_as(tr, IR_I64, F_RB(in)));
        return;
    case G_MTVSRWS:
        value = ir_zext(tr->ir, IR_I64, IR_I32, ppc_gpr_as(tr, IR_I64, F_RA(in)));
        value = ir_op2(tr->ir, IR_or, IR_I64, value, ir_op2(tr->ir, IR_shl, IR_I64, value, ppc_const(tr, IR_I8, 32)));
        put_half(tr, reg, HIGH, value);
        put_half(tr, reg, LOW, value);
        return;
    case G_MTVSRWA: value = ir_sext(tr->ir, IR_I64, IR_I32, ppc_gpr_as(tr, IR_I64, F_RA(in))); break;
    case G_MTVSRWZ: value = ir_zext(tr->ir, IR_I64, IR_I32, ppc_gpr_as(tr, IR_I64, F_RA(in))); break;
    default: value = ppc_gpr_as(tr, IR_I64, F_RA(in)); break;
    }
    put_half(tr, reg, HIGH, value);
    put_half(tr, reg, LOW, ppc_const(tr, IR_I64, 0));
}

/* R, bit 11 of the prefix, is free. */
#define MLS_FORM(name, op, emit, how) \
    { name, OPCD(op), emit, A_FP | A_PREFIXED, ISA_V310, (how) | F_PREFIX, 0x06000000, 0xffe00000 }
#define EIGHT_LS_FORM(name, op, mask, emit, attr, how) \
    { name, (uint32_t)(op) << 26, mask, emit, (attr) | A_PREFIXED, ISA_V310, (how) | F_PREFIX, 0x04000000, 0xffe00000 }

const PpcRow ppc_rows_fp_memory[] = {
    MLS_FORM("plfs", 48, emit_load, F_SINGLE), MLS_FORM("plfd", 50, emit_load, F_DOUBLE),
    MLS_FORM("pstfs", 52, emit_store, F_SINGLE), MLS_FORM("pstfd", 54, emit_store, F_DOUBLE),
    EIGHT_LS_FORM("plxsd", 42, 0xfc000000, emit_load, A_VEC, F_DOUBLE | F_VR),
    EIGHT_LS_FORM("plxssp", 43, 0xfc000000, emit_load, A_VEC, F_SINGLE | F_VR),
    EIGHT_LS_FORM("pstxsd", 46, 0xfc000000, emit_store, A_VEC, F_DOUBLE | F_VR),
    EIGHT_LS_FORM("pstxssp", 47, 0xfc000000, emit_store, A_VEC, F_SINGLE | F_VR),
    EIGHT_LS_FORM("plxv", 50, 0xf8000000, emit_load_vector, A_VSX_VEC | A_TX5, V_QUAD | F_VSX),
    EIGHT_LS_FORM("pstxv", 54, 0xf8000000, emit_store_vector, A_VSX_VEC | A_TX5, V_QUAD | F_VSX),
    EIGHT_LS_FORM("plxvp", 58, 0xfc000000, emit_load_pair, A_VSX, 0),
    EIGHT_LS_FORM("pstxvp", 62, 0xfc000000, emit_store_pair, A_VSX, 0),
    { "lxvp", 6u << 26, 0xfc00000fu, emit_load_pair, A_VSX, ISA_V310, F_DQ_FORM, 0, 0 },
    { "stxvp", 6u << 26 | 1, 0xfc00000fu, emit_store_pair, A_VSX, ISA_V310, F_DQ_FORM, 0, 0 },
    { "lxvpx", X_FORM(31, 333), emit_load_pair, A_VSX, ISA_V310, F_INDEXED, 0, 0 },
    { "stxvpx", X_FORM(31, 461), emit_store_pair, A_VSX, ISA_V310, F_INDEXED, 0, 0 },
    { "lxvrbx", X_FORM(31, 13), emit_load_right, A_VSX_VEC, ISA_V310, IR_I8, 0, 0 },
    { "lxvrhx", X_FORM(31, 45), emit_load_right, A_VSX_VEC, ISA_V310, IR_I16, 0, 0 },
    { "lxvrwx", X_FORM(31, 77), emit_load_right, A_VSX_VEC, ISA_V310, IR_I32, 0, 0 },
    { "lxvrdx", X_FORM(31, 109), emit_load_right, A_VSX_VEC, ISA_V310, IR_I64, 0, 0 },
    { "stxvrbx", X_FORM(31, 141), emit_store_right, A_VSX_VEC, ISA_V310, IR_I8, 0, 0 },
    { "stxvrhx", X_FORM(31, 173), emit_store_right, A_VSX_VEC, ISA_V310, IR_I16, 0, 0 },
    { "stxvrwx", X_FORM(31, 205), emit_store_right, A_VSX_VEC, ISA_V310, IR_I32, 0, 0 },
    { "stxvrdx", X_FORM(31, 237), emit_store_right, A_VSX_VEC, ISA_V310, IR_I64, 0, 0 },
    { "lfs", OPCD(48), emit_load, A_FP, ISA_FPU, F_SINGLE, 0, 0 },
    { "lfsu", OPCD(49), emit_load, A_FP, ISA_FPU, F_SINGLE | F_UPDATE, 0, 0 },
    { "lfd", OPCD(50), emit_load, A_FP, ISA_FPU, F_DOUBLE, 0, 0 },
    { "lfdu", OPCD(51), emit_load, A_FP, ISA_FPU, F_DOUBLE | F_UPDATE, 0, 0 },
    { "stfs", OPCD(52), emit_store, A_FP, ISA_FPU, F_SINGLE, 0, 0 },
    { "stfsu", OPCD(53), emit_store, A_FP, ISA_FPU, F_SINGLE | F_UPDATE, 0, 0 },
    { "stfd", OPCD(54), emit_store, A_FP, ISA_FPU, F_DOUBLE, 0, 0 },
    { "stfdu", OPCD(55), emit_store, A_FP, ISA_FPU, F_DOUBLE | F_UPDATE, 0, 0 },
    { "lfsx", X_FORM(31, 535), emit_load, A_FP, ISA_FPU, F_SINGLE | F_INDEXED, 0, 0 },
    { "lfsux", X_FORM(31, 567), emit_load, A_FP, ISA_FPU, F_SINGLE | F_INDEXED | F_UPDATE, 0, 0 },
    { "lfdx", X_FORM(31, 599), emit_load, A_FP, ISA_FPU, F_DOUBLE | F_INDEXED, 0, 0 },
    { "lfdux", X_FORM(31, 631), emit_load, A_FP, ISA_FPU, F_DOUBLE | F_INDEXED | F_UPDATE, 0, 0 },
    { "stfsx", X_FORM(31, 663), emit_store, A_FP, ISA_FPU, F_SINGLE | F_INDEXED, 0, 0 },
    { "stfsux", X_FORM(31, 695), emit_store, A_FP, ISA_FPU, F_SINGLE | F_INDEXED | F_UPDATE, 0, 0 },
    { "stfdx", X_FORM(31, 727), emit_store, A_FP, ISA_FPU, F_DOUBLE | F_INDEXED, 0, 0 },
    { "stfdux", X_FORM(31, 759), emit_store, A_FP, ISA_FPU, F_DOUBLE | F_INDEXED | F_UPDATE, 0, 0 },
    { "stfiwx", X_FORM(31, 983), emit_store, A_FP, ISA_FP_OPTIONAL, F_WORD | F_INDEXED, 0, 0 },
    { "lfiwax", X_FORM(31, 855), emit_load, A_FP, ISA_V205, F_WORD_SIGNED | F_INDEXED, 0, 0 },
    { "lfiwzx", X_FORM(31, 887), emit_load, A_FP, ISA_V206, F_WORD | F_INDEXED, 0, 0 },
    { "lfdp", DS_FORM(57, 0), emit_load, A_FP, ISA_V205, F_DOUBLE | F_DS_FORM | F_PAIR, 0, 0 },
    { "stfdp", DS_FORM(61, 0), emit_store, A_FP, ISA_V205, F_DOUBLE | F_DS_FORM | F_PAIR, 0, 0 },
    { "lfdpx", X_FORM(31, 791), emit_load, A_FP, ISA_V205, F_DOUBLE | F_INDEXED | F_PAIR, 0, 0 },
    { "stfdpx", X_FORM(31, 919), emit_store, A_FP, ISA_V205, F_DOUBLE | F_INDEXED | F_PAIR, 0, 0 },
    { "lvsl", X_FORM(31, 6), emit_lvs, A_VEC, ISA_ALTIVEC, 0, 0, 0 },
    { "lvsr", X_FORM(31, 38), emit_lvs, A_VEC, ISA_ALTIVEC, 1, 0, 0 },
    { "lvebx", X_FORM(31, 7), emit_element, A_VEC, ISA_ALTIVEC, E_BYTE, 0, 0 },
    { "lvehx", X_FORM(31, 39), emit_element, A_VEC, ISA_ALTIVEC, E_HALF, 0, 0 },
    { "lvewx", X_FORM(31, 71), emit_element, A_VEC, ISA_ALTIVEC, E_WORD, 0, 0 },
    { "lvx", X_FORM(31, 103), emit_load_vector, A_VEC, ISA_ALTIVEC, V_ALIGNED | F_INDEXED | F_VR, 0, 0 },
    { "lvxl", X_FORM(31, 359), emit_load_vector, A_VEC, ISA_ALTIVEC, V_ALIGNED | F_INDEXED | F_VR, 0, 0 },
    { "stvebx", X_FORM(31, 135), emit_element, A_VEC, ISA_ALTIVEC, E_BYTE | E_STORE, 0, 0 },
    { "stvehx", X_FORM(31, 167), emit_element, A_VEC, ISA_ALTIVEC, E_HALF | E_STORE, 0, 0 },
    { "stvewx", X_FORM(31, 199), emit_element, A_VEC, ISA_ALTIVEC, E_WORD | E_STORE, 0, 0 },
    { "stvx", X_FORM(31, 231), emit_store_vector, A_VEC, ISA_ALTIVEC, V_ALIGNED | F_INDEXED | F_VR, 0, 0 },
    { "stvxl", X_FORM(31, 487), emit_store_vector, A_VEC, ISA_ALTIVEC, V_ALIGNED | F_INDEXED | F_VR, 0, 0 },
    { "lxsdx", X_FORM(31, 588), emit_load, A_VSX, ISA_V206, F_DOUBLE | F_INDEXED | F_VSX, 0, 0 },
    { "lxsspx", X_FORM(31, 524), emit_load, A_VSX, ISA_V207, F_SINGLE | F_INDEXED | F_VSX, 0, 0 },
    { "lxsiwax", X_FORM(31, 76), emit_load, A_VSX, ISA_V207, F_WORD_SIGNED | F_INDEXED | F_VSX, 0, 0 },
    { "lxsiwzx", X_FORM(31, 12), emit_load, A_VSX, ISA_V207, F_WORD | F_INDEXED | F_VSX, 0, 0 },
    { "lxsibzx", X_FORM(31, 781), emit_load, A_VSX_VEC, ISA_V300, F_BYTE | F_INDEXED | F_VSX, 0, 0 },
    { "lxsihzx", X_FORM(31, 813), emit_load, A_VSX_VEC, ISA_V300, F_HALF | F_INDEXED | F_VSX, 0, 0 },
    { "stxsdx", X_FORM(31, 716), emit_store, A_VSX, ISA_V206, F_DOUBLE | F_INDEXED | F_VSX, 0, 0 },
    { "stxsspx", X_FORM(31, 652), emit_store, A_VSX, ISA_V207, F_SINGLE | F_INDEXED | F_VSX, 0, 0 },
    { "stxsiwx", X_FORM(31, 140), emit_store, A_VSX, ISA_V207, F_WORD | F_INDEXED | F_VSX, 0, 0 },
    { "stxsibx", X_FORM(31, 909), emit_store, A_VSX_VEC, ISA_V300, F_BYTE | F_INDEXED | F_VSX, 0, 0 },
    { "stxsihx", X_FORM(31, 941), emit_store, A_VSX_VEC, ISA_V300, F_HALF | F_INDEXED | F_VSX, 0, 0 },
    { "lxvd2x", X_FORM(31, 844), emit_load_vector, A_VSX, ISA_V206, V_DOUBLES | F_INDEXED | F_VSX, 0, 0 },
    { "lxvw4x", X_FORM(31, 780), emit_load_vector, A_VSX, ISA_V206, V_WORDS | F_INDEXED | F_VSX, 0, 0 },
    { "lxvh8x", X_FORM(31, 812), emit_load_vector, A_VSX_VEC, ISA_V300, V_HALVES | F_INDEXED | F_VSX, 0, 0 },
    { "lxvb16x", X_FORM(31, 876), emit_load_vector, A_VSX_VEC, ISA_V300, V_BYTES | F_INDEXED | F_VSX, 0, 0 },
    { "lxvx", (31u << 26 | 268 << 1), 0xfc0007beu, emit_load_vector, A_VSX_VEC, ISA_V300, V_QUAD | F_INDEXED | F_VSX, 0, 0 },
    { "lxvdsx", X_FORM(31, 332), emit_load_vector, A_VSX, ISA_V206, V_SPLAT_DOUBLE | F_INDEXED | F_VSX, 0, 0 },
    { "lxvwsx", X_FORM(31, 364), emit_load_vector, A_VSX_VEC, ISA_V300, V_SPLAT_WORD | F_INDEXED | F_VSX, 0, 0 },
    { "stxvd2x", X_FORM(31, 972), emit_store_vector, A_VSX, ISA_V206, V_DOUBLES | F_INDEXED | F_VSX, 0, 0 },
    { "stxvw4x", X_FORM(31, 908), emit_store_vector, A_VSX, ISA_V206, V_WORDS | F_INDEXED | F_VSX, 0, 0 },
    { "stxvh8x", X_FORM(31, 940), emit_store_vector, A_VSX_VEC, ISA_V300, V_HALVES | F_INDEXED | F_VSX, 0, 0 },
    { "stxvb16x", X_FORM(31, 1004), emit_store_vector, A_VSX_VEC, ISA_V300, V_BYTES | F_INDEXED | F_VSX, 0, 0 },
    { "stxvx", X_FORM(31, 396), emit_store_vector, A_VSX_VEC, ISA_V300, V_QUAD | F_INDEXED | F_VSX, 0, 0 },
    { "lxv", (61u << 26 | 1), 0xfc000007u, emit_load_vector, A_VSX_VEC | A_TX28, ISA_V300, V_QUAD | F_DQ_FORM | F_VSX, 0, 0 },
    { "stxv", (61u << 26 | 5), 0xfc000007u, emit_store_vector, A_VSX_VEC | A_TX28, ISA_V300, V_QUAD | F_DQ_FORM | F_VSX, 0, 0 },
    { "lxsd", DS_FORM(57, 2), emit_load, A_VEC, ISA_V300, F_DOUBLE | F_DS_FORM | F_VR, 0, 0 },
    { "lxssp", DS_FORM(57, 3), emit_load, A_VEC, ISA_V300, F_SINGLE | F_DS_FORM | F_VR, 0, 0 },
    { "stxsd", DS_FORM(61, 2), emit_store, A_VEC, ISA_V300, F_DOUBLE | F_DS_FORM | F_VR, 0, 0 },
    { "stxssp", DS_FORM(61, 3), emit_store, A_VEC, ISA_V300, F_SINGLE | F_DS_FORM | F_VR, 0, 0 },
    { "lxvl", X_FORM(31, 269), emit_length, A_VSX_VEC, ISA_V300, 0, 0, 0 },
    { "lxvll", X_FORM(31, 301), emit_length, A_VSX_VEC, ISA_V300, L_LEFT, 0, 0 },
    { "stxvl", X_FORM(31, 397), emit_length, A_VSX_VEC, ISA_V300, L_STORE, 0, 0 },
    { "stxvll", X_FORM(31, 429), emit_length, A_VSX_VEC, ISA_V300, L_STORE | L_LEFT, 0, 0 },
    { "mfvsrd", X_FORM(31, 51), emit_move, 0, ISA_V207, G_MFVSRD, 0, 0 },
    { "mfvsrwz", X_FORM(31, 115), emit_move, 0, ISA_V207, G_MFVSRWZ, 0, 0 },
    { "mfvsrld", X_FORM(31, 307), emit_move, 0, ISA_V300, G_MFVSRLD, 0, 0 },
    { "mtvsrd", X_FORM(31, 179), emit_move, 0, ISA_V207, G_MTVSRD, 0, 0 },
    { "mtvsrwa", X_FORM(31, 211), emit_move, 0, ISA_V207, G_MTVSRWA, 0, 0 },
    { "mtvsrwz", X_FORM(31, 243), emit_move, 0, ISA_V207, G_MTVSRWZ, 0, 0 },
    { "mtvsrdd", X_FORM(31, 435), emit_move, 0, ISA_V300, G_MTVSRDD, 0, 0 },
    { "mtvsrws", X_FORM(31, 403), emit_move, 0, ISA_V300, G_MTVSRWS, 0, 0 },
    { NULL },
};
