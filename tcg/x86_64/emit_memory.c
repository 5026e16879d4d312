/*
 * Guest memory: the inline TLB check, loads and stores, and their slow paths in cold stubs.
 *
 * Cold stubs hand over in memory below the state, so that no register is disturbed.
 */
#include "backend.h"

enum { MOVBE_LOAD = MAP_38 | 0xf0, MOVBE_STORE = MAP_38 | 0xf1 };
#define PAGE_MASK (~(int32_t)0xfff)

/* Constants, and sums of constants and the page that position-independent code runs at. */
static void note_page(const Context *c, const IrInsn *insn, Address *addr)
{
    const IrBlock *ir = c->ir;
    const Value *v = &c->values[insn->in[0]];
    const IrInsn *def = &ir->insns[ir->value_def[insn->in[0]]];
    uint64_t distance = v->imm;

    if (v->is_const) {
        addr->on_known_page = true;
    } else if (def->op == IR_add && ir_is_const(ir, (IrVal){ def->in[1] }, &distance)) {
        def = &ir->insns[ir->value_def[def->in[0]]];
        addr->on_known_page = def->op == IR_get && ir->slots[def->bits].offset == G_STRUCT_OFFSET(CpuHot, pic_page);
    }
    addr->page = (distance + insn->imm) >> 12;
}

/*
 * With zeros above, 64-bit sums will do: one that should have wrapped matches no page. Neither does one of what a slot has above, where
 * that mostly is zero. Displacements that mean to wrap, as those of a kernel's tables, are left to sums that do.
 */
bool sums_are_wide(const Context *c, uint32_t id, int64_t disp)
{
    enum { LOWEST = -0x10000 };
    const IrBlock *ir = c->ir;
    const Value *v = &c->values[id];

    return v->type == IR_I32 && disp >= LOWEST && (v->clean || (ir->narrow && ir->insns[ir->value_def[id]].op == IR_get));
}

Address address_of(Context *c, const IrInsn *insn)
{
    uint32_t id = insn->in[0];
    const Value *v = &c->values[id];
    Address addr = { .size = v->type == IR_I32 ? 4 : 8, .is_site = site_wanted(c, insn) };
    int64_t disp = insn->imm;

    note_page(c, insn, &addr);
    if (addr.size == 4) {
        disp = (int32_t)disp;
    }
    if (v->is_const || !fits_s32(disp + 16)) { /* room for disp + size - 1 */
        addr.reg = alloc_temp(c);
        if (v->is_const) {
            uint64_t full = v->imm + disp;

            asm_mov_ri(&c->a, addr.reg, addr.size == 4 ? (uint32_t)full : full);
            addr.is_clean = addr.is_wide = addr.size == 4;
        } else {
            int from = value_use(c, id);

            asm_mov_ri(&c->a, addr.reg, disp);
            asm_lea(&c->a, addr.size, addr.reg, mem_index(addr.reg, from, 0));
            unlock_reg(c, from);
        }
        return addr;
    }
    addr.reg = value_use(c, id);
    addr.disp = disp;
    addr.is_clean = addr.size == 4 && v->clean;
    addr.is_wide = sums_are_wide(c, id, disp);
    return addr;
}

Address probe_address_of(Context *c, const IrInsn *insn, unsigned size, unsigned align)
{
    const Value *v = &c->values[insn->in[0]];
    uint64_t full = v->imm + insn->imm;

    if (v->is_const && v->type == IR_I32) {
        full = (uint32_t)full;
    }
    if (!v->is_const || full % align || !site_can_be_late(full, size) || !site_wanted(c, insn)) {
        Address addr = address_of(c, insn);

        return align > 1 ? addr : span_find(c, insn, addr, size);
    }
    return (Address){ .reg = alloc_temp(c), .size = 8, .is_site = true, .is_late = true, .value = full,
                      .on_known_page = true, .page = full >> 12 };
}

void emit_effective(Context *c, int to, int addr_reg, int32_t disp, unsigned addr_size)
{
    if (disp == 0) {
        asm_mov_rr(&c->a, addr_size, to, addr_reg);
    } else {
        asm_lea(&c->a, addr_size, to, mem_at(addr_reg, disp));
    }
}

unsigned address_width(Address addr)
{
    return addr.is_wide ? 8 : addr.size;
}

/* From the address in t1 to its entry: in t1, with the page in t2. */
G_STATIC_ASSERT(offsetof(CpuHot, tlb_mask) < 128 && offsetof(CpuHot, tlb_load) < 128 && offsetof(CpuHot, tlb_store) < 128);
static void find_entry(Context *c, unsigned width, bool is_store, int t1)
{
    asm_shift_imm(&c->a, SH_SHR, width, t1, 12 - TLB_ENTRY_BITS);
    asm_op_state8(&c->a, ALU_AND << 3 | 3, t1, G_STRUCT_OFFSET(CpuHot, tlb_mask));
    asm_op_state8(&c->a, ALU_ADD << 3 | 3, t1, is_store ? G_STRUCT_OFFSET(CpuHot, tlb_store) : G_STRUCT_OFFSET(CpuHot, tlb_load));
}

static uint32_t compare_entry(Context *c, unsigned width, int t1, int t2)
{
    asm_alu_ri(&c->a, ALU_AND, width, rm_reg(t2), PAGE_MASK);
    asm_alu(&c->a, ALU_CMP, 8, t2, rm_mem(mem_at(t1, 0)));
    return asm_jcc(&c->a, CC_NE);
}

static uint32_t check_entry(Context *c, Address addr, unsigned size, bool is_store, int t1, int t2)
{
    unsigned width = address_width(addr);

    find_entry(c, width, is_store, t1);
    emit_effective(c, t2, addr.reg, addr.disp + size - 1, width);
    return compare_entry(c, width, t1, t2);
}

/* The entry is the first byte's, its page must be the last one's: where a table has more places than the bytes have pages,
 * both are on one page then. */
uint32_t emit_table_check_run(Context *c, int first, Mem last, unsigned width, bool is_store, int t1, int t2)
{
    asm_mov_rr(&c->a, width, t1, first);
    find_entry(c, width, is_store, t1);
    asm_lea(&c->a, width, t2, last);
    return compare_entry(c, width, t1, t2);
}

uint32_t emit_table_check(Context *c, Address addr, unsigned size, bool is_store, int t1, int t2)
{
    emit_effective(c, t1, addr.reg, addr.disp, address_width(addr));
    return check_entry(c, addr, size, is_store, t1, t2);
}

Mem emit_probe_in(Context *c, ColdStub *stub, Address addr, unsigned size, bool is_store, unsigned align, int t1, int t2)
{
    unsigned width = address_width(addr), checked_size = size;
    uint32_t start = asm_offset(&c->a);
    Address checked = addr;
    Asm *a = &c->a;

    if (addr.span) {
        checked = (Address){ .reg = addr.span_reg, .disp = addr.span_disp, .size = addr.size,
                             .is_wide = addr.is_wide && (c->ir->narrow || c->pins_clean >> addr.span_reg & 1) };
        checked_size = addr.span;
    }
    stub->temp = t1;
    stub->addr_reg = addr.reg;
    stub->disp = addr.disp;
    stub->addr_size = addr.size;
    if (addr.is_late) {
        unlock_reg(c, t2);
        return site_check_constant(c, &stub->sites[0], addr, size, is_store, t1);
    }
    emit_effective(c, t1, checked.reg, checked.disp, address_width(checked));
    if (align > 1) {
        asm_test_imm(a, 1, rm_reg(t1), align - 1);
        stub->jumps[1] = asm_jcc(a, CC_NE);
    }
    if (addr.is_site) {
        site_check(c, &stub->sites[0], addr, start, width, size, is_store, t1);
        unlock_reg(c, t2);
        return width == 8 ? mem_index(t1, addr.reg, addr.disp) : mem_at(t1, 0);
    }
    stub->jumps[0] = check_entry(c, checked, checked_size, is_store, t1, t2);
    if (width == 8) {
        unlock_reg(c, t2);
        asm_load(a, 8, t1, mem_at(t1, 8));
        return mem_index(t1, addr.reg, addr.disp);
    }
    emit_effective(c, t2, addr.reg, addr.disp, 4);
    asm_alu(a, ALU_ADD, 8, t2, rm_mem(mem_at(t1, 8)));
    unlock_reg(c, t1);
    return mem_at(t2, 0);
}

Mem emit_probe(Context *c, ColdStub *stub, Address addr, unsigned size, bool is_store, unsigned align)
{
    int t1 = alloc_temp(c), t2 = alloc_temp(c);

    return emit_probe_in(c, stub, addr, size, is_store, align, t1, t2);
}

int slow_address(Context *c, int temp, int addr_reg, int32_t disp, unsigned addr_size)
{
    if (disp == 0 && addr_size == 8) {
        return addr_reg;
    }
    emit_effective(c, temp, addr_reg, disp, addr_size);
    return temp;
}

void slow_load(Context *c, const IrInsn *insn, int address, int out, uint64_t pc, Snapshot snapshot)
{
    unsigned size = ir_type_size(insn->type);
    Thunk thunk = sized(insn->bits & IRM_UPDATE ? THUNK_UPDATE1 : THUNK_LOAD1, size);
    bool as_it_is = !(insn->bits & (IRM_SX | IRM_SX32)) && !(insn->bits & IRM_BE && size > 1);

    if (as_it_is) {
        thunk_load_at(c, thunk, address, out);
    } else {
        thunk_call_at(c, thunk, address);
    }
    fault_record(c, asm_offset(&c->a), pc, snapshot);
    if (!as_it_is) {
        emit_loaded(c, insn, out, mem_state(AREA_X0));
    }
}

void slow_store(Context *c, const IrInsn *insn, int address, int value)
{
    unsigned size = ir_type_size(insn->type);

    if (value != NO_REG && insn->bits & IRM_BE && size > 1) { /* it may be swapped on the way */
        emit_stored(c, insn, mem_state(AREA_X1), value);
        value = NO_REG;
    }
    if (value == NO_REG) {
        thunk_call_at(c, sized(THUNK_STORE1, size), address);
    } else {
        thunk_store_at(c, sized(THUNK_STORE1, size), address, value);
    }
}

static int cold_address_in(Context *c, const ColdStub *s)
{
    return slow_address(c, s->temp, s->addr_reg, s->disp, s->addr_size);
}

/* The address in the argument slot of the thunks. */
void cold_address(Context *c, const ColdStub *s)
{
    asm_store(&c->a, 8, mem_state(AREA_X0), cold_address_in(c, s));
}

void cold_size(Context *c, const ColdStub *s, unsigned size)
{
    asm_store_imm(&c->a, 8, mem_state(AREA_X2), size | (uint32_t)(s->bits & ~IRB_FLAGS) << 16);
}

void cold_call(Context *c, const ColdStub *s, Thunk thunk)
{
    thunk_call(c, thunk);
    fault_record(c, asm_offset(&c->a), s->pc, s->snapshot);
}

void patch_jumps(Context *c, const ColdStub *s)
{
    for (unsigned k = 0; k < 2 * GROUP_ROOTS; k += 2) {
        if (s->jumps[k]) {
            asm_patch_here(&c->a, s->jumps[k]);
        }
    }
    if (s->is_loop && s->kind != COLD_EXIT) {
        loop_expire(c, s->loop_left, s->temp);
    }
}

/* Misaligned: found before the TLB check, on its own jump. */
void cold_unaligned(Context *c, ColdStub *s)
{
    asm_patch_here(&c->a, s->jumps[1]);
    carry_settle(c, s->before, s->note);
    cold_address(c, s);
    asm_store_imm(&c->a, 8, mem_state(AREA_X2), s->is_store);
    cold_call(c, s, THUNK_UNALIGNED);
}

enum { SLOW_BITS = IRM_KERNEL | IRM_UPDATE };

/* bits of the memory operation that the engine wants to know of. */
static uint16_t slow_bits(const IrInsn *insn)
{
    return insn->bits & ~IRB_FLAGS;
}

void swap_bytes(Context *c, unsigned size, int reg)
{
    if (size == 2) {
        clobber_flags(c);
        asm_shift_imm(&c->a, SH_ROL, 2, reg, 8);
    } else if (size >= 4) {
        if (size == 8 || reg >= 8) {
            asm_byte(&c->a, 0x40 | (size == 8 ? 8 : 0) | reg >> 3);
        }
        asm_byte(&c->a, 0x0f);
        asm_byte(&c->a, 0xc8 | (reg & 7));
    }
}

static unsigned load_out_size(const IrInsn *insn)
{
    return insn->bits & IRM_SX ? 8 : insn->bits & IRM_SX32 ? 4 : 0;
}

/* Changes EFLAGS where the host has no movbe, which groups see to. */
static void load_swapped(Context *c, const IrInsn *insn, int out, Mem from)
{
    unsigned size = ir_type_size(insn->type), to = load_out_size(insn);

    if (host_has(HOST_MOVBE)) {
        asm_op(&c->a, MOVBE_LOAD, size, out, rm_mem(from));
    } else {
        asm_load(&c->a, size, out, from);
        swap_bytes(c, size, out);
    }
    if (to && to != size) {
        asm_sext_rr(&c->a, size, to, out, out);
    } else if (size == 2) {
        asm_zext_rr(&c->a, 2, out, out);
    }
}

void emit_loaded(Context *c, const IrInsn *insn, int out, Mem from)
{
    unsigned size = ir_type_size(insn->type), to = load_out_size(insn);

    if (insn->bits & IRM_BE && size > 1) {
        load_swapped(c, insn, out, from);
    } else if (to) {
        asm_load_signed(&c->a, size, to, out, from);
    } else {
        asm_load(&c->a, size, out, from);
    }
}

void emit_stored(Context *c, const IrInsn *insn, Mem to, int reg)
{
    unsigned size = ir_type_size(insn->type);

    if (insn->bits & IRM_BE && size > 1 && host_has(HOST_MOVBE)) {
        asm_op(&c->a, MOVBE_STORE, size, reg, rm_mem(to));
    } else {
        asm_store(&c->a, size, to, reg);
    }
}

bool stored_imm(const Context *c, const IrInsn *insn, int32_t *imm)
{
    unsigned size = ir_type_size(insn->type);
    const Value *v = &c->values[insn->in[1]];
    uint64_t swapped;

    if (!(insn->bits & IRM_BE) || size == 1) {
        return value_imm(c, insn->in[1], size, imm);
    }
    if (!v->is_const) {
        return false;
    }
    swapped = (int64_t)__builtin_bswap64(v->imm) >> (64 - 8 * size);
    *imm = swapped;
    return size < 8 || fits_s32(swapped);
}

static unsigned alignment(const IrInsn *insn)
{
    return insn->bits & IRM_ALIGNED ? ir_type_size(insn->type) : 1;
}

/* The whole access out of line, with the cold stub's jump emitted here: for rare kinds. */
static void always_slow(Context *c, ColdStub *stub, Address addr)
{
    stub->temp = alloc_temp(c);
    stub->addr_reg = addr.reg;
    stub->disp = addr.disp;
    stub->addr_size = addr.size;
    if (alignment(stub->insn) > 1) {
        emit_effective(c, stub->temp, addr.reg, addr.disp, addr.size);
        asm_test_imm(&c->a, 1, rm_reg(stub->temp), alignment(stub->insn) - 1);
        stub->jumps[1] = asm_jcc(&c->a, CC_NE);
    }
    stub->jumps[0] = asm_jmp(&c->a);
}

ColdStub *begin_access(Context *c, const IrInsn *insn, ColdKind kind, bool is_store)
{
    ColdStub *stub = cold_new(c, kind);

    stub->insn = insn;
    stub->size = ir_type_size(insn->type);
    stub->bits = slow_bits(insn);
    stub->pc = c->pc;
    stub->is_store = is_store;
    if (c->loop.running) {
        stub->is_loop = true;
        stub->loop_left = loop_access(c, c->i)->left;
    }
    return stub;
}

/* A stub for the misaligned case of the one just made. */
void end_access(Context *c, ColdStub *stub)
{
    stub->resume = asm_offset(&c->a);
    if (stub->jumps[1]) {
        ColdStub copy = *stub, *other = cold_new(c, COLD_UNALIGNED);

        copy.kind = COLD_UNALIGNED;
        *other = copy;
    }
}

bool changes_tables(const IrInsn *insn)
{
    return insn->op == IR_put_field && (insn->imm == offsetof(CpuHot, tlb_mask) || insn->imm == offsetof(CpuHot, tlb_load) ||
                                        insn->imm == offsetof(CpuHot, tlb_store));
}

bool may_be_between(const IrBlock *ir, const IrInsn *insn)
{
    switch (insn->op) {
    case IR_shld:
    case IR_shrd:
        return insn->type >= IR_I32 && ir_is_const(ir, (IrVal){ insn->in[2] }, NULL);
    case IR_mulu2:
    case IR_muls2:
    case IR_divu2:
    case IR_divs2:
        return false; /* want many registers */
    default:
        return ir_op_pure(insn->op) || insn->op == IR_get || insn->op == IR_get8h || insn->op == IR_get_field ||
               (insn->op == IR_put_field && !changes_tables(insn)) || insn->op == IR_load_code;
    }
}

/* Whether the check of an update's load can do for its store: nothing between them leaves or calls. */
static bool is_simple_update(const Context *c, const IrInsn *load)
{
    enum { NEAR = 24 };
    uint32_t end = MIN(c->ir->n_insns, (uint32_t)c->i + NEAR);

    if (load->bits & (IRM_BE | IRM_ALIGNED | IRM_KERNEL)) {
        return false;
    }
    for (uint32_t i = c->i + 1; i < end; i++) {
        const IrInsn *insn = &c->ir->insns[i];

        if (insn->op == IR_store) {
            return insn->in[0] == load->in[0] && insn->imm == load->imm && insn->type == load->type &&
                   !(insn->bits & (IRM_BE | IRM_ALIGNED | IRM_KERNEL));
        }
        if (!may_be_between(c->ir, insn) && !c->dead[i]) {
            break;
        }
    }
    return false;
}

/*
 * The load of an update keeps the host address for the store, so that one check is enough and flags
 * that are made between live on. The slow path does it all: the code between the two is repeated there.
 */
static void emit_update(Context *c, const IrInsn *insn, ColdStub *stub, Mem mem, int out)
{
    int pointer = mem.base;

    if (mem.index != NO_REG || mem.disp) {
        asm_lea(&c->a, 8, pointer, mem);
    }
    c->held = 1u << pointer;
    c->update = stub - c->cold;
    if (out == NO_REG) {
        out = alloc_temp(c);
    }
    stub->kind = COLD_UPDATE;
    stub->snapshot = snapshot_take(c, UINT64_MAX);
    stub->out = out;
    stub->value2_reg = pointer;
    emit_loaded(c, insn, out, mem_at(pointer, 0));
    stub->resume = asm_offset(&c->a);
    value_set_reg(c, insn->out, out, true);
}

static bool is_zero_at(const Context *c, const IrInsn *insn, const IrInsn *first, unsigned distance)
{
    const Value *v = &c->values[insn->in[1]];

    return insn->op == IR_store && insn->type == IR_I64 && insn->in[0] == first->in[0] && insn->imm == first->imm + distance &&
           insn->bits == first->bits && v->is_const && v->imm == 0;
}

/* PowerPC's dcbz stores lines of zeros: 32 bytes at once. */
bool store_zeros(Context *c, const IrInsn *insn, Mem to, uint32_t last)
{
    enum { VPXOR = P_66 | MAP_0F | 0xef, VMOVUPS_STORE = MAP_0F | 0x11, WIDEST = 4 };
    unsigned n = 1;
    int xmm;

    if (c->zeros_left) {
        c->zeros_left--;
        return true;
    }
    if (backend.target.use_vector_pins || !host_has(HOST_AVX2) || !is_zero_at(c, insn, insn, 0)) {
        return false;
    }
    while (n < WIDEST && c->i + n <= last && is_zero_at(c, insn + n, insn, 8 * n)) {
        n++;
    }
    n &= ~1u;
    if (n == 0) {
        return false;
    }
    xmm = xmm_alloc(c);
    asm_vex(&c->a, VPXOR, false, false, xmm, xmm, rm_reg(xmm)); /* all of the register, and its upper half stays clean */
    asm_vex(&c->a, VMOVUPS_STORE, false, n == WIDEST, xmm, 0, rm_mem(to));
    c->zeros_left = n - 1;
    return true;
}

static void put_in_memory(Context *c, const IrInsn *insn, Mem to, bool is_imm, int32_t imm, int reg)
{
    if (is_imm) {
        asm_store_imm(&c->a, ir_type_size(insn->type), to, imm);
    } else {
        emit_stored(c, insn, to, reg);
    }
}

static void finish_update(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    ColdStub *stub = &c->cold[c->update];
    int32_t imm = 0;

    stub->value_is_imm = value_imm(c, insn->in[1], size, &imm);
    stub->imm = imm;
    if (!stub->value_is_imm) {
        stub->value_reg = value_use(c, insn->in[1]);
    }
    stub->store_snapshot = snapshot_take(c, UINT64_MAX);
    stub->store_at = asm_offset(&c->a);
    stub->keep_flags = c->flags_now && c->values[c->flags_now].last_use > c->i;
    put_in_memory(c, insn, mem_at(stub->value2_reg, 0), stub->value_is_imm, imm, stub->value_reg);
    stub->end = asm_offset(&c->a);
    c->held = 0;
}

static void load_in_loop(Context *c, const IrInsn *insn)
{
    Mem mem = loop_operand(c, insn);
    int out;

    if (load_goes_to_field(c, insn)) {
        out = xmm_alloc(c);
        vector_loaded(c, insn, out, mem, true);
        vector_put(c, out);
        return;
    }
    out = load_out(c, insn);
    emit_loaded_at_once(c, insn, out, mem);
    value_set_reg(c, insn->out, out, true);
}

void emit_load(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    bool is_direct;
    Address addr;
    ColdStub *stub;
    Mem mem;
    int out;

    if (c->put_until && (uint32_t)c->i < c->put_until) { /* the second half of what has been loaded */
        return;
    }
    if (loop_covers(c, c->i)) {
        load_in_loop(c, insn);
        return;
    }
    if (emit_group(c, insn)) {
        return;
    }
    clobber_flags(c);
    addr = insn->bits & IRM_KERNEL ? address_of(c, insn) : probe_address_of(c, insn, size, alignment(insn));
    /* Whatever is in the way moves before the access; the register changes only behind it. */
    is_direct = load_goes_to_field(c, insn);
    if (is_direct) {
        direct_begin(c, insn);
    }
    out = !is_direct && c->values[insn->out].last_use >= 0 && c->values[insn->out].wish >= 0
              ? out_reg(c, insn->out, 0, 0, 0, true)
              : NO_REG;
    stub = begin_access(c, insn, COLD_LOAD, false);
    if (insn->bits & IRM_KERNEL) {
        always_slow(c, stub, addr);
        if (out == NO_REG) {
            out = stub->temp;
        }
        stub->snapshot = snapshot_take(c, UINT64_MAX);
        stub->out = out;
    } else {
        mem = emit_probe(c, stub, addr, size, insn->bits & IRM_UPDATE, alignment(insn));
        if (insn->bits & IRM_UPDATE && is_simple_update(c, insn)) {
            emit_update(c, insn, stub, mem, out);
            return;
        }
        if (is_direct) {
            stub->snapshot = snapshot_take(c, UINT64_MAX);
            stub->in_vector = true;
            stub->out = out = xmm_alloc(c);
            vector_loaded(c, insn, out, mem, true);
            end_access(c, stub);
            vector_put(c, out);
            return;
        }
        if (out == NO_REG) {
            out = mem.base;
        }
        stub->snapshot = snapshot_take(c, UINT64_MAX);
        stub->out = out;
        emit_loaded_at_once(c, insn, out, mem);
    }
    end_access(c, stub);
    value_set_reg(c, insn->out, out, true);
}

void cold_load(Context *c, ColdStub *s)
{
    patch_jumps(c, s);
    carry_settle(c, s->before, s->note);
    if (s->bits & IRM_KERNEL) {
        cold_address(c, s);
        cold_size(c, s, s->size);
        cold_call(c, s, THUNK_LOAD);
        emit_loaded(c, s->insn, s->out, mem_state(AREA_X0));
    } else if (!s->in_vector) {
        slow_load(c, s->insn, cold_address_in(c, s), s->out, s->pc, s->snapshot);
    } else {
        thunk_call_at(c, THUNK_LOAD8, cold_address_in(c, s));
        fault_record(c, asm_offset(&c->a), s->pc, s->snapshot);
    }
    xmm_reload(c, s->xmms);
    if (s->in_vector) { /* whose copy was given up for it, and is loaded no more */
        vector_loaded(c, s->insn, s->out, mem_state(AREA_X0), false);
    }
    asm_jmp_offset(&c->a, s->resume);
}

/* Copies code that has neither branches out nor calls. */
void repeat_code(Context *c, uint32_t from, uint32_t to)
{
    memcpy(c->a.p, c->a.start + from, to - from);
    c->a.p += to - from;
}

void cold_update(Context *c, ColdStub *s)
{
    Asm *a = &c->a;
    int address;

    patch_jumps(c, s);
    address = cold_address_in(c, s);
    asm_store(a, 8, mem_state(AREA_UPDATE), address);
    slow_load(c, s->insn, address, s->out, s->pc, s->snapshot);
    repeat_code(c, s->resume, s->store_at);
    if (s->keep_flags) {
        save_flags(c, AREA_X2);
    }
    if (s->value_is_imm) {
        asm_store_imm(a, 8, mem_state(AREA_X1), s->imm);
    }
    asm_load(a, 8, s->value2_reg, mem_state(AREA_UPDATE));
    slow_store(c, s->insn, s->value2_reg, s->value_is_imm ? NO_REG : s->value_reg);
    fault_record(c, asm_offset(a), s->pc, s->store_snapshot);
    if (s->keep_flags) {
        restore_flags(c, AREA_X2);
    }
    xmm_reload(c, s->xmms);
    asm_jmp_offset(a, s->end);
}

void emit_store(Context *c, const IrInsn *insn)
{
    unsigned size = ir_type_size(insn->type);
    uint32_t value = insn->in[1];
    Address addr;
    ColdStub *stub;
    Mem mem;
    int32_t imm = 0;
    bool is_imm = stored_imm(c, insn, &imm), is_covered = loop_covers(c, c->i), is_direct = store_is_direct(c, insn);
    int reg = NO_REG;

    if (c->store_until) {
        c->store_until = 0;
        return;
    }
    if (!is_covered && emit_group(c, insn)) {
        return;
    }
    if (c->held && !is_covered) {
        finish_update(c, insn);
        return;
    }
    if (is_covered) {
        mem = loop_operand(c, insn);
        if (is_direct) {
            vector_stored(c, insn, mem);
            return;
        }
    } else {
        clobber_flags(c);
        addr = insn->bits & IRM_KERNEL ? address_of(c, insn) : probe_address_of(c, insn, size, alignment(insn));
    }
    if (is_direct) {
        direct_copy(c);
    } else if (!is_imm && insn->bits & IRM_BE && size > 1 && !host_has(HOST_MOVBE)) {
        reg = alloc_temp(c);
        value_move_to(c, value, reg, size);
        swap_bytes(c, size, reg);
    } else if (!is_imm) {
        reg = value_use(c, value);
    }
    if (is_covered) {
        uint32_t last = c->i;

        while (last + 1 < c->ir->n_insns && loop_covers(c, last + 1)) {
            last++;
        }
        if (!store_zeros(c, insn, mem, last)) {
            put_in_memory(c, insn, mem, is_imm, imm, reg);
        }
        return;
    }
    stub = begin_access(c, insn, COLD_STORE, true);
    stub->value_is_imm = is_imm;
    stub->value_reg = reg;
    stub->imm = is_direct ? c->store_field : imm;
    stub->in_vector = is_direct;
    if (insn->bits & IRM_KERNEL) {
        always_slow(c, stub, addr);
        stub->snapshot = snapshot_take(c, UINT64_MAX);
    } else {
        mem = emit_probe(c, stub, addr, size, true, alignment(insn));
        stub->snapshot = snapshot_take(c, UINT64_MAX);
        if (is_direct) {
            vector_stored(c, insn, mem);
        } else {
            put_in_memory(c, insn, mem, is_imm, imm, reg);
        }
    }
    end_access(c, stub);
}

void cold_field(Context *c, const IrInsn *store, int32_t field, int temp)
{
    asm_load(&c->a, 8, temp, mem_state(field));
    if (store->bits & IRM_BE) {
        swap_bytes(c, 8, temp);
    }
    asm_store(&c->a, 8, mem_state(AREA_X1), temp);
}

void cold_store(Context *c, ColdStub *s)
{
    bool is_plain = !(s->bits & SLOW_BITS);
    int value = NO_REG;

    patch_jumps(c, s);
    carry_settle(c, s->before, s->note);
    if (s->in_vector) {
        cold_field(c, s->insn, s->imm, s->temp);
    } else if (s->value_is_imm) {
        asm_store_imm(&c->a, 8, mem_state(AREA_X1), s->imm);
    } else if (is_plain) {
        value = s->value_reg;
    } else {
        emit_stored(c, s->insn, mem_state(AREA_X1), s->value_reg);
    }
    if (is_plain) {
        slow_store(c, s->insn, cold_address_in(c, s), value);
        fault_record(c, asm_offset(&c->a), s->pc, s->snapshot);
    } else {
        cold_address(c, s);
        asm_load(&c->a, s->size, s->temp, mem_state(AREA_X1)); /* zero-extended */
        asm_store(&c->a, 8, mem_state(AREA_X1), s->temp);
        cold_size(c, s, s->size);
        cold_call(c, s, THUNK_STORE);
    }
    xmm_reload(c, s->xmms);
    asm_jmp_offset(&c->a, s->resume);
}

void emit_probe_store(Context *c, const IrInsn *insn)
{
    Address addr;
    ColdStub *stub;

    if (loop_covers(c, c->i) || emit_group(c, insn)) {
        return;
    }
    clobber_flags(c);
    addr = address_of(c, insn);
    stub = begin_access(c, insn, COLD_PROBE, true);
    if (insn->bits & IRM_KERNEL) {
        always_slow(c, stub, addr);
    } else {
        emit_probe(c, stub, addr, stub->size, true, alignment(insn));
    }
    stub->snapshot = snapshot_take(c, UINT64_MAX);
    end_access(c, stub);
}

void cold_probe(Context *c, ColdStub *s)
{
    patch_jumps(c, s);
    carry_settle(c, s->before, s->note);
    cold_address(c, s);
    cold_size(c, s, s->size);
    cold_call(c, s, THUNK_PROBE_STORE);
    xmm_reload(c, s->xmms);
    asm_jmp_offset(&c->a, s->resume);
}
