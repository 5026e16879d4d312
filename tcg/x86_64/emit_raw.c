/*
 * Raw host instructions: the guest's vector and x87 instructions with their own registers, only the
 * address and general registers replaced.
 */
#include "backend.h"
#include "tcg/raw.h"

void need_fp(Context *c, unsigned level)
{
    ColdStub *stub;

    if (c->fp_known >= level) {
        return;
    }
    clobber_flags(c);
    stub = cold_new(c, COLD_FP_LOAD);
    stub->bits = level;
    asm_alu_ri(&c->a, ALU_CMP, 4, rm_mem(mem_state(G_STRUCT_OFFSET(CpuHot, fp_loaded))), level);
    stub->jumps[0] = asm_jcc(&c->a, CC_B);
    stub->resume = asm_offset(&c->a);
    c->fp_known = level;
}

void cold_fp_load(Context *c, ColdStub *s)
{
    patch_jumps(c, s);
    thunk_call(c, s->bits == FP_LOADED_YMM ? THUNK_YMM_LOAD : THUNK_FP_LOAD);
    asm_jmp_offset(&c->a, s->resume);
}

static int register_number(uint8_t role, uint8_t number, int gpr)
{
    return role == RAW_GPR_IN || role == RAW_GPR_OUT || role == RAW_GPR_INOUT ? gpr
           : role == RAW_NONE                                                  ? 0
                                                                               : number;
}

void raw_encode(Context *c, const IrRaw *raw, int gpr, Mem mem)
{
    uint32_t opcode = raw->opcode | raw->map << 8 | (uint32_t)raw->prefix << 16;
    int reg = register_number(raw->reg_role, raw->reg, gpr);
    Rm rm = raw->rm_role == RAW_MEM ? rm_mem(mem) : rm_reg(register_number(raw->rm_role, raw->rm, gpr));

    if (raw->vex && raw->rm_role == RAW_NONE) { /* vzeroupper, vzeroall */
        asm_byte(&c->a, 0xc5);
        asm_byte(&c->a, raw->vex == 2 ? 0xfc : 0xf8);
        asm_byte(&c->a, raw->opcode);
    } else if (raw->vex) {
        asm_vex(&c->a, opcode, raw->w, raw->vex == 2, reg, raw->vvvv, rm);
    } else if (raw->reg_role == RAW_NONE && raw->rm_role == RAW_NONE) {
        if (raw->prefix) {
            asm_byte(&c->a, raw->prefix);
        }
        if (raw->map) {
            asm_byte(&c->a, 0x0f);
        }
        asm_byte(&c->a, raw->opcode);
    } else {
        asm_op(&c->a, opcode, raw->w ? 8 : 4, reg, rm);
    }
    if (raw->has_imm) {
        asm_byte(&c->a, raw->imm);
    }
}

/*
 * An instruction whose output the host leaves in RCX, where a guest's register is: that is kept in the output's register
 * meanwhile, and both change places behind it. None of this changes flags.
 */
static void keep_cx(Context *c, const IrRaw *raw, int gpr)
{
    if (ir_raw_writes_cx(raw) && gpr != RCX) {
        asm_mov_rr(&c->a, 8, gpr, RCX);
    }
}

static void take_cx(Context *c, const IrRaw *raw, int gpr)
{
    if (ir_raw_writes_cx(raw) && gpr != RCX) {
        asm_exchange(&c->a, gpr, RCX);
    }
}

/* fnstsw ax, to another register. */
static void emit_status_word(Context *c, const IrInsn *insn)
{
    Mem scratch = mem_state(G_STRUCT_OFFSET(CpuHot, scratch));
    int out = alloc_temp(c);

    asm_op(&c->a, 0xdd, 4, 7, rm_mem(scratch));
    asm_load(&c->a, 2, out, scratch);
    value_set_reg(c, insn->out, out, true);
}

static bool has_role(const IrRaw *raw, RawRole role)
{
    return raw->reg_role == role || raw->rm_role == role;
}

/* The register of the general operand, RAX if there is none. */
static int general_operand(Context *c, const IrInsn *insn, const IrRaw *raw)
{
    int gpr = RAX;

    if (has_role(raw, RAW_GPR_IN)) {
        gpr = value_use(c, insn->in[1]);
    } else if (has_role(raw, RAW_GPR_INOUT)) { /* a fault must leave the input alone */
        c->values[insn->out].wish = -1;
        if (c->values[insn->in[1]].reg != NO_REG) {
            lock_reg(c, c->values[insn->in[1]].reg);
        }
        gpr = alloc_temp(c);
        value_move_to(c, insn->in[1], gpr, 8);
        if (c->values[insn->in[1]].reg != NO_REG) {
            unlock_reg(c, c->values[insn->in[1]].reg);
        }
    } else if (has_role(raw, RAW_GPR_OUT) || ir_raw_writes_cx(raw)) {
        uint32_t addr = raw->rm_role == RAW_MEM ? insn->in[0] : 0;

        gpr = out_reg(c, insn->out, 0, addr, 0, true);
    }
    return gpr;
}

void emit_raw(Context *c, const IrInsn *insn)
{
    const IrRaw *raw = &c->ir->raws[insn->bits & ~IRB_FLAGS];
    bool is_mem = raw->rm_role == RAW_MEM, is_checked = is_mem;
    Address addr = { 0 };
    ColdStub *stub = NULL;
    Mem mem = mem_state(0);
    int gpr;

    need_fp(c, raw->vex ? FP_LOADED_YMM : FP_LOADED_XMM);
    if (raw->rm_role == RAW_AX_OUT) {
        emit_status_word(c, insn);
        return;
    }
    if (is_mem && loop_covers(c, c->i)) {
        mem = loop_operand(c, insn);
        is_checked = false;
    }
    if (is_checked && emit_group(c, insn)) {
        return;
    }
    if (!raw->flags_in && (is_checked || ir_insn_defines_flags(insn))) {
        clobber_flags(c);
    }
    if (is_checked) {
        addr = probe_address_of(c, insn, raw->mem_size, MAX(raw->mem_align, 1));
    }
    gpr = general_operand(c, insn, raw);
    if (is_checked) {
        stub = begin_access(c, insn, COLD_RAW, raw->mem_write);
        stub->bits = 0;
        stub->size = raw->mem_size;
        stub->out = gpr;
        mem = emit_probe(c, stub, addr, raw->mem_size, raw->mem_write, raw->mem_align);
        stub->snapshot = snapshot_take(c, UINT64_MAX);
    }
    if (raw->flags_in) {
        need_flags(c, insn->in[1]);
    }
    keep_cx(c, raw, gpr);
    if (is_mem) {
        control_word_place(c, insn, mem);
    }
    if (raw->may_fault || is_mem) {
        fault_record(c, asm_offset(&c->a) + 1, c->pc, stub ? stub->snapshot : snapshot_take(c, UINT64_MAX));
    }
    raw_encode(c, raw, gpr, mem);
    take_cx(c, raw, gpr);
    if (stub) {
        end_access(c, stub);
    }
    if (flags_wanted(c, insn)) {
        define_flags(c, insn);
    }
    if (has_role(raw, RAW_GPR_OUT) || has_role(raw, RAW_GPR_INOUT) || ir_raw_writes_cx(raw)) {
        value_set_reg(c, insn->out, gpr, raw->gpr_type == IR_I32);
    }
}

/*
 * After an x87 store to the buffer: an unmasked exception other than precision stored nothing, and what the buffer has is
 * older. Returns the jump that is taken then.
 */
static uint32_t skip_if_nothing_stored(Context *c)
{
    enum { SAVED = AREA_BOUNCE + 64, CONTROL = SAVED + 8, STATUS = CONTROL + 2, NO_RESULT = 0x1f };
    enum { FNSTCW = 0xd9, FNSTSW = 0xdd, DIGIT_7 = 7, DIGIT_NOT = 2 };
    Asm *a = &c->a;

    asm_store(a, 8, mem_state(SAVED), RAX);
    asm_op(a, FNSTCW, 4, DIGIT_7, rm_mem(mem_state(CONTROL)));
    asm_op(a, FNSTSW, 4, DIGIT_7, rm_mem(mem_state(STATUS)));
    asm_load(a, 4, RAX, mem_state(CONTROL));
    asm_group3(a, DIGIT_NOT, 4, rm_reg(RAX));
    asm_alu(a, ALU_AND, 4, RAX, rm_mem(mem_state(STATUS)));
    asm_test_imm(a, 4, rm_reg(RAX), NO_RESULT);
    asm_load(a, 8, RAX, mem_state(SAVED));
    return asm_jcc(a, CC_NE);
}

static void call_with_record(Context *c, Thunk thunk, uint64_t pc, Snapshot snapshot)
{
    thunk_call(c, thunk);
    fault_record(c, asm_offset(&c->a), pc, snapshot);
}

/* A store is known to be possible before the instruction runs. */
/*
 * What is stored into the buffer is read at once, which takes a journey to memory behind a non-temporal store: the usual
 * one instead.
 */
static IrRaw temporal(const IrRaw *raw)
{
    IrRaw usual = *raw;

    if (raw->map == 1 && raw->mem_write && raw->opcode == 0xe7) { /* movntdq, movntq */
        usual.opcode = 0x7f;
    } else if (raw->map == 1 && raw->mem_write && raw->opcode == 0x2b) { /* movntps, movntpd; movntss, movntsd */
        usual.opcode = raw->prefix == 0xf2 || raw->prefix == 0xf3 ? 0x11 : 0x29;
    }
    return usual;
}

void raw_through_buffer(Context *c, const IrRaw *raw, int gpr, uint64_t pc, Snapshot snapshot)
{
    IrRaw usual = temporal(raw);

    asm_store_imm(&c->a, 8, mem_state(AREA_X2), raw->mem_size);
    if (raw->mem_write) {
        call_with_record(c, THUNK_PROBE_STORE, pc, snapshot);
    }
    if (raw->mem_read) {
        call_with_record(c, THUNK_LOAD_BYTES, pc, snapshot);
    }
    keep_cx(c, raw, gpr);
    fault_record(c, asm_offset(&c->a) + 1, pc, snapshot);
    raw_encode(c, &usual, gpr, mem_state(AREA_BOUNCE));
    take_cx(c, raw, gpr);
    if (raw->mem_write) {
        uint32_t skip = raw->x87 && raw->may_fault ? skip_if_nothing_stored(c) : 0;

        call_with_record(c, THUNK_STORE_BYTES, pc, snapshot);
        if (skip) {
            asm_patch_here(&c->a, skip);
        }
    }
}

void cold_raw(Context *c, ColdStub *s)
{
    patch_jumps(c, s);
    cold_address(c, s);
    raw_through_buffer(c, &c->ir->raws[s->insn->bits & ~IRB_FLAGS], s->out, s->pc, s->snapshot);
    asm_jmp_offset(&c->a, s->resume);
}
