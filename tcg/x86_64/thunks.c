/*
 * The code between translated code and C: entering, leaving, and calls of C functions.
 *
 * A call thunk stores pinned registers to their slots' homes and temporaries to AREA_REGS, calls with
 * RSP at the end of the area below the state, and brings back what C may have changed.
 */
#include "backend.h"

static Asm *const a = &(Asm){ 0 };
static int32_t depth = -AREA_RETURN; /* of return addresses, on entry to the thunk that is being made */

/* Registers that a C function may change, and those that it must not. */
#define CALLER_SAVED (1u << RAX | 1u << RCX | 1u << RDX | 1u << RSI | 1u << RDI | 1u << R8 | 1u << R9 | 1u << R10 | 1u << R11)
static const int8_t callee_saved[] = { RBX, RBP, R12, R13, R14, R15 };

#define ALL_REGS 0xffffu

/* A field of the state while RSP is at the end of the area. */
static Mem field(int32_t offset)
{
    return mem_at(RSP, AREA_SIZE + offset);
}

static Mem hot_field(size_t offset)
{
    return field(offset);
}

static unsigned pin_size(int reg)
{
    return ir_type_size(backend.target.slots[backend.reg_slot[reg]].type);
}

static int32_t pin_offset(int reg)
{
    return backend.target.slots[backend.reg_slot[reg]].offset;
}

enum { VINSERTF128 = 0x18, VEXTRACTF128 = 0x19 };

static void store_pins(int32_t rsp_to_state)
{
    for (int r = 0; r < HOST_REGS; r++) {
        if (backend.reg_slot[r] >= 0) {
            asm_store(a, pin_size(r), mem_at(RSP, rsp_to_state + pin_offset(r)), r);
        }
    }
}

static void load_pins(int32_t rsp_to_state, uint32_t mask)
{
    for (int r = 0; r < HOST_REGS; r++) {
        if (backend.reg_slot[r] >= 0 && mask >> r & 1) {
            asm_load(a, pin_size(r), r, mem_at(RSP, rsp_to_state + pin_offset(r)));
        }
    }
}

static bool is_temp(int reg)
{
    return reg != RSP && backend.reg_slot[reg] < 0;
}

static void fp_insn(unsigned digit, unsigned size, Mem mem)
{
    asm_op(a, 0xae | MAP_0F, size, digit, rm_mem(mem));
}

/* vextractf128 or vinsertf128 of all upper halves. base: RSP is that far below the state. */
static void move_upper_halves(uint32_t opcode, int32_t base)
{
    for (int n = 0; n < 16; n++) {
        Mem place = mem_at(RSP, base + (int32_t)backend.target.ymm_offset + 16 * n);

        asm_vex(a, opcode | MAP_3A | 0x66 << 16, false, true, n, opcode == VINSERTF128 ? n : 0, rm_mem(place));
        asm_byte(a, 1);
    }
}

static Mem fp_loaded_at(int32_t base)
{
    return mem_at(RSP, base + (int32_t)G_STRUCT_OFFSET(CpuHot, fp_loaded));
}

/* Upper halves behind, the host's are zero: instructions without VEX are slow otherwise (SDM vol. 1, 14.6). */
static void save_upper_halves(int32_t base)
{
    static const uint8_t vzeroupper[] = { 0xc5, 0xf8, 0x77 };
    uint32_t none;

    if (!backend.target.ymm_offset) {
        return;
    }
    asm_alu_ri(a, ALU_CMP, 4, rm_mem(fp_loaded_at(base)), FP_LOADED_YMM);
    none = asm_jcc(a, CC_NE);
    move_upper_halves(VEXTRACTF128, base);
    for (unsigned i = 0; i < sizeof(vzeroupper); i++) {
        asm_byte(a, vzeroupper[i]);
    }
    asm_patch_here(a, none);
}

static void load_mxcsr(int32_t base, uint32_t value)
{
    Mem mem = mem_at(RSP, base + AREA_FP_WAS + 4);

    asm_store_imm(a, 4, mem, value);
    fp_insn(2, 4, mem);
}

/* FXSAVE, and the FP environment that C expects. */
static void save_fp(int32_t base)
{
    save_upper_halves(base);
    fp_insn(0, 8, mem_at(RSP, base + (int32_t)backend.target.fxsave_offset));
    asm_byte(a, 0xdb); /* fninit */
    asm_byte(a, 0xe3);
    load_mxcsr(base, MXCSR_DEFAULT);
    asm_store_imm(a, 4, fp_loaded_at(base), FP_LOADED_NOTHING);
}

static void load_fp(int32_t base)
{
    if (backend.target.fxsave_offset) {
        fp_insn(1, 8, mem_at(RSP, base + (int32_t)backend.target.fxsave_offset)); /* fxrstor64 */
    } else if (backend.target.use_fp_traps) {
        load_mxcsr(base, MXCSR_UNMASKED);
    }
    asm_store_imm(a, 4, fp_loaded_at(base), FP_LOADED_XMM);
}

static void load_upper_halves(int32_t base)
{
    move_upper_halves(VINSERTF128, base);
    asm_store_imm(a, 4, fp_loaded_at(base), FP_LOADED_YMM);
}

static void call_begin(void)
{
    asm_alu_ri(a, ALU_SUB, 8, rm_reg(RSP), AREA_SIZE - depth);
    store_pins(AREA_SIZE);
    for (int r = 0; r < HOST_REGS; r++) {
        if (is_temp(r)) {
            asm_store(a, 8, field(AREA_REGS + 8 * r), r);
        }
    }
    asm_load(a, 4, RAX, hot_field(G_STRUCT_OFFSET(CpuHot, fp_loaded)));
    asm_store(a, 4, field(AREA_FP_WAS), RAX);
    asm_lea(a, 8, RDI, field(0));
}

/* FP state as before the call. */
static void restore_fp(void)
{
    uint32_t loaded;

    asm_load(a, 4, RCX, field(AREA_FP_WAS));
    asm_alu(a, ALU_CMP, 4, RCX, rm_mem(hot_field(G_STRUCT_OFFSET(CpuHot, fp_loaded))));
    loaded = asm_jcc(a, CC_E);
    load_fp(AREA_SIZE);
    if (backend.target.ymm_offset) {
        uint32_t none;

        asm_alu_ri(a, ALU_CMP, 4, rm_reg(RCX), FP_LOADED_YMM);
        none = asm_jcc(a, CC_NE);
        load_upper_halves(AREA_SIZE);
        asm_patch_here(a, none);
    }
    asm_patch_here(a, loaded);
}

/* After the call: the registers in `pins` from their homes, temporaries. result: where that goes, 0: there is none. */
static void call_end(uint32_t pins, int32_t result)
{
    if (result) {
        asm_store(a, 8, field(result), RAX);
    }
    load_pins(AREA_SIZE, pins);
    for (int r = 0; r < HOST_REGS; r++) {
        if (is_temp(r) && CALLER_SAVED >> r & 1) {
            asm_load(a, 8, r, field(AREA_REGS + 8 * r));
        }
    }
    asm_alu_ri(a, ALU_ADD, 8, rm_reg(RSP), AREA_SIZE - depth);
    asm_ret(a);
}

static void call_c(uintptr_t fn)
{
    asm_mov_ri(a, RAX, fn);
    asm_op(a, 0xff, 4, 2, rm_reg(RAX));
}

/* Within an instruction: the block goes on with FP state as it was. */
static void call_memory(uintptr_t fn)
{
    call_c(fn);
    restore_fp();
}

static void begin(Thunk thunk)
{
    asm_nop(a, -asm_offset(a) & 15);
    backend.thunks[thunk] = a->p + a->to_exec;
}

static void return_address_to(int reg)
{
    asm_load(a, 8, reg, field(AREA_RETURN));
}

/* A place below the state on entry to a thunk: RSP is below it by the return address. */
static Mem at_entry(int32_t offset)
{
    return mem_at(RSP, depth + offset);
}

static void move_registers(const int8_t *registers, unsigned count, bool save)
{
    for (unsigned i = 0; i < count; i++) {
        Mem place = at_entry(AREA_REGS + 8 * registers[i]);

        if (save) {
            asm_store(a, 8, place, registers[i]);
        } else {
            asm_load(a, 8, registers[i], place);
        }
    }
}

static void move_probe_registers(bool save)
{
    static const int8_t registers[] = { RAX, RCX, RDX };

    move_registers(registers, G_N_ELEMENTS(registers), save);
}

/*
 * The TLB check once more, for this access alone: a block that checks once for several accesses (emit_group.c) comes
 * here with all of them while they lie on two pages. On a hit RAX is the host address and RDX is free.
 * Returns the jump to take on a miss, to be patched behind what a hit does. size 0: it is in AREA_X2.
 */
static uint32_t probe_alone(int32_t address, unsigned size, bool is_store)
{
    size_t table = is_store ? G_STRUCT_OFFSET(CpuHot, tlb_store) : G_STRUCT_OFFSET(CpuHot, tlb_load);
    uint32_t miss;

    move_probe_registers(true);
    asm_load(a, 8, RAX, at_entry(address));
    asm_mov_rr(a, 8, RCX, RAX);
    asm_shift_imm(a, SH_SHR, 8, RCX, 12 - TLB_ENTRY_BITS);
    asm_alu(a, ALU_AND, 8, RCX, rm_mem(at_entry(G_STRUCT_OFFSET(CpuHot, tlb_mask))));
    asm_alu(a, ALU_ADD, 8, RCX, rm_mem(at_entry(table)));
    if (size) {
        asm_lea(a, 8, RDX, mem_at(RAX, size - 1));
    } else {
        asm_load(a, 2, RDX, at_entry(AREA_X2));
        asm_lea(a, 8, RDX, (Mem){ .base = RAX, .index = RDX, .disp = -1 });
    }
    asm_alu_ri(a, ALU_AND, 8, rm_reg(RDX), ~(int32_t)0xfff);
    asm_alu(a, ALU_CMP, 8, RDX, rm_mem(mem_at(RCX, 0)));
    miss = asm_jcc(a, CC_NE);
    asm_alu(a, ALU_ADD, 8, RAX, rm_mem(mem_at(RCX, 8)));
    return miss;
}

static void load_alone(int32_t argument, unsigned size, bool is_update)
{
    uint32_t miss = probe_alone(argument, size, is_update);

    asm_load(a, size, RAX, mem_at(RAX, 0));
    asm_store(a, 8, at_entry(argument), RAX);
    move_probe_registers(false);
    asm_ret(a);
    asm_patch_here(a, miss);
    move_probe_registers(false);
}

static void store_alone(unsigned size)
{
    uint32_t miss = probe_alone(AREA_X0, size, true);

    asm_load(a, size, RDX, at_entry(AREA_X1));
    asm_store(a, size, mem_at(RAX, 0), RDX);
    move_probe_registers(false);
    asm_ret(a);
    asm_patch_here(a, miss);
    move_probe_registers(false);
}

/* For a vector or x87 instruction of such a group, of AREA_X2 bytes: its host address in AREA_X1, and EFLAGS says E. */
static void make_find(Thunk thunk, bool is_store)
{
    uint32_t miss;

    begin(thunk);
    miss = probe_alone(AREA_X0, 0, is_store);
    asm_store(a, 8, at_entry(AREA_X1), RAX);
    asm_alu(a, ALU_CMP, 4, RAX, rm_reg(RAX));
    asm_patch_here(a, miss);
    move_probe_registers(false);
    asm_ret(a);
}

static Mem use_field(int reg, size_t offset)
{
    return mem_at(reg, (int32_t)offset);
}

static Mem sites_field(size_t offset)
{
    return at_entry(AREA_SITES + (int32_t)offset);
}

/* RAX: the TcgSiteUse. Once in a while the engine is to think about it. */
static void count_new_page(void)
{
    uint32_t enough, other;

    asm_alu_ri(a, ALU_SUB, 4, rm_mem(use_field(RAX, G_STRUCT_OFFSET(TcgSiteUse, left))), 1);
    enough = asm_jcc(a, CC_NE);
    asm_store_imm(a, 4, use_field(RAX, G_STRUCT_OFFSET(TcgSiteUse, left)), 1); /* another one first */
    asm_alu_ri(a, ALU_CMP, 8, rm_mem(sites_field(G_STRUCT_OFFSET(TcgSites, tired))), 0);
    other = asm_jcc(a, CC_NE);
    asm_store(a, 8, sites_field(G_STRUCT_OFFSET(TcgSites, tired)), RAX);
    asm_store_imm(a, 4, at_entry(G_STRUCT_OFFSET(CpuHot, poll)), -1);
    asm_patch_here(a, enough);
    asm_patch_here(a, other);
}

static void move_site_registers(bool save)
{
    static const int8_t registers[] = { RSI, RDI, R8, R9 };

    move_probe_registers(save);
    move_registers(registers, G_N_ELEMENTS(registers), save);
}

/* RDX: a page. Goes on to its neighbours as far as the table has them with the same addend, RAX; changes R8, R9, RDI. */
static void follow_run(size_t table, int32_t step)
{
    enum { MOST = 15 };
    uint32_t again, end, other, elsewhere;

    asm_mov_ri(a, R9, MOST);
    again = asm_offset(a);
    asm_lea(a, 8, RDI, mem_at(RDX, step));
    asm_test_rr(a, 4, step < 0 ? RDX : RDI, step < 0 ? RDX : RDI); /* 32-bit addresses wrap there */
    end = asm_jcc(a, CC_E);
    asm_mov_rr(a, 8, R8, RDI);
    asm_shift_imm(a, SH_SHR, 8, R8, 12 - TLB_ENTRY_BITS);
    asm_alu(a, ALU_AND, 8, R8, rm_mem(at_entry(G_STRUCT_OFFSET(CpuHot, tlb_mask))));
    asm_alu(a, ALU_ADD, 8, R8, rm_mem(at_entry(table)));
    asm_alu(a, ALU_CMP, 8, RDI, rm_mem(mem_at(R8, 0)));
    other = asm_jcc(a, CC_NE);
    asm_alu(a, ALU_CMP, 8, RAX, rm_mem(mem_at(R8, 8)));
    elsewhere = asm_jcc(a, CC_NE);
    asm_mov_rr(a, 8, RDX, RDI);
    asm_alu_ri(a, ALU_SUB, 4, rm_reg(R9), 1);
    asm_patch(a, asm_jcc(a, CC_NE), again);
    asm_patch_here(a, end);
    asm_patch_here(a, other);
    asm_patch_here(a, elsewhere);
}

/* RDX: the page, RAX: the addend, RSI: the entry. */
static void fill_site(void)
{
    asm_store(a, 8, mem_at(RSI, G_STRUCT_OFFSET(TcgSite, page)), RDX);
    asm_store(a, 8, mem_at(RSI, G_STRUCT_OFFSET(TcgSite, addend)), RAX);
    asm_alu(a, ALU_ADD, 8, RAX, rm_reg(RDX));
    asm_store(a, 8, mem_at(RSI, G_STRUCT_OFFSET(TcgSite, host)), RAX);
}

/* See emit_site.c. */
static void make_site(Thunk thunk, size_t table)
{
    uint32_t miss, one_page, late, done;

    begin(thunk);
    move_site_registers(true);
    asm_load(a, 8, RAX, at_entry(AREA_SITE));
    asm_load(a, 8, RCX, at_entry(AREA_X0));
    asm_load(a, 1, RDX, use_field(RAX, G_STRUCT_OFFSET(TcgSiteUse, last)));
    asm_alu(a, ALU_ADD, 8, RDX, rm_reg(RCX));
    asm_alu_ri(a, ALU_AND, 8, rm_reg(RDX), ~(int32_t)0xfff);
    asm_shift_imm(a, SH_SHR, 8, RCX, 12 - TLB_ENTRY_BITS);
    asm_alu(a, ALU_AND, 8, RCX, rm_mem(at_entry(G_STRUCT_OFFSET(CpuHot, tlb_mask))));
    asm_alu(a, ALU_ADD, 8, RCX, rm_mem(at_entry(table)));
    asm_alu(a, ALU_CMP, 8, RDX, rm_mem(mem_at(RCX, 0)));
    miss = asm_jcc(a, CC_NE);
    count_new_page();
    asm_load(a, 1, RSI, use_field(RAX, G_STRUCT_OFFSET(TcgSiteUse, group)));
    asm_store_imm(a, 1, mem_index(RSP, RSI, sites_field(G_STRUCT_OFFSET(TcgSites, empty)).disp), 0);
    asm_load_signed(a, 4, 8, RSI, use_field(RAX, G_STRUCT_OFFSET(TcgSiteUse, entry)));
    asm_lea(a, 8, RSI, mem_index(RSP, RSI, -AREA_RETURN));
    asm_load(a, 2, R9, use_field(RAX, G_STRUCT_OFFSET(TcgSiteUse, largest)));
    asm_load(a, 8, RAX, mem_at(RCX, 8));
    asm_mov_rr(a, 8, RCX, R9);
    asm_test_rr(a, 4, RCX, RCX);
    one_page = asm_jcc(a, CC_E);
    asm_store(a, 8, at_entry(AREA_SITE), RDX);
    follow_run(table, 4096);
    asm_alu(a, ALU_SUB, 8, RDX, rm_reg(RCX));
    asm_lea(a, 8, RCX, mem_at(RDX, 4096 + 1)); /* behind the last place where the largest access may begin */
    asm_load(a, 8, RDX, at_entry(AREA_SITE));
    follow_run(table, -4096);
    asm_alu(a, ALU_SUB, 8, RCX, rm_reg(RDX));
    asm_store(a, 8, mem_at(RSI, G_STRUCT_OFFSET(TcgSite, limit)), RCX);
    fill_site();
    asm_load(a, 8, RDI, at_entry(AREA_X0));
    asm_alu(a, ALU_SUB, 8, RDI, rm_reg(RDX));
    asm_alu(a, ALU_CMP, 8, RDI, rm_reg(RCX));
    late = asm_jcc(a, CC_AE);
    done = asm_jmp(a);
    asm_patch_here(a, one_page);
    asm_store_imm(a, 4, mem_at(RSI, G_STRUCT_OFFSET(TcgSite, limit)), 1); /* for tcg_sites_drop_page; nobody else looks */
    fill_site();
    asm_patch_here(a, done);
    asm_alu(a, ALU_CMP, 4, RAX, rm_reg(RAX));
    asm_patch_here(a, miss);
    move_site_registers(false);
    asm_ret(a);
    asm_patch_here(a, late); /* this one would not pass the check: it is the slow path's */
    move_site_registers(false);
    asm_test_rr(a, 8, RSP, RSP);
    asm_ret(a);
}

/* size 0: size and IrMem bits come in AREA_X2. argument: where the address is, and the result will be. */
static void make_load(Thunk thunk, int32_t argument, unsigned size, unsigned bits)
{
    begin(thunk);
    if (size) {
        load_alone(argument, size, bits & IRM_UPDATE);
    }
    call_begin();
    asm_load(a, 8, RSI, field(argument));
    if (size) {
        asm_mov_ri(a, RDX, size);
        asm_mov_ri(a, RCX, bits);
    } else {
        asm_load(a, 2, RDX, field(AREA_X2));
        asm_load(a, 2, RCX, field(AREA_X2 + 2));
    }
    return_address_to(R8);
    call_memory((uintptr_t)backend.runtime.load);
    call_end(CALLER_SAVED, argument);
}

static void make_store(Thunk thunk, unsigned size)
{
    begin(thunk);
    if (size) {
        store_alone(size);
    }
    call_begin();
    asm_load(a, 8, RSI, field(AREA_X0));
    asm_load(a, size ? size : 8, RDX, field(AREA_X1));
    if (size) {
        asm_mov_ri(a, RCX, size);
        asm_mov_ri(a, R8, 0);
    } else {
        asm_load(a, 2, RCX, field(AREA_X2));
        asm_load(a, 2, R8, field(AREA_X2 + 2));
    }
    return_address_to(R9);
    call_memory((uintptr_t)backend.runtime.store);
    call_end(CALLER_SAVED, 0);
}

static void make_bytes(Thunk thunk, uintptr_t fn)
{
    begin(thunk);
    call_begin();
    asm_load(a, 8, RSI, field(AREA_X0));
    asm_lea(a, 8, RDX, field(AREA_BOUNCE));
    asm_load(a, 2, RCX, field(AREA_X2));
    return_address_to(R8);
    call_memory(fn);
    call_end(CALLER_SAVED, 0);
}

static void make_other_memory(void)
{
    begin(THUNK_PROBE_STORE);
    call_begin();
    asm_load(a, 8, RSI, field(AREA_X0));
    asm_load(a, 2, RDX, field(AREA_X2));
    asm_load(a, 2, RCX, field(AREA_X2 + 2));
    return_address_to(R8);
    call_memory((uintptr_t)backend.runtime.probe_store);
    call_end(CALLER_SAVED, 0);

    begin(THUNK_UNALIGNED);
    call_begin();
    asm_load(a, 8, RSI, field(AREA_X0));
    asm_load(a, 4, RDX, field(AREA_X2));
    return_address_to(RCX);
    call_memory((uintptr_t)backend.runtime.unaligned);
    call_end(CALLER_SAVED, 0);

    begin(THUNK_ATOMIC);
    call_begin();
    asm_load(a, 8, RSI, field(AREA_X0));
    asm_load(a, 4, RDX, field(AREA_SAVE1));
    asm_load(a, 8, RCX, field(AREA_X1));
    asm_load(a, 8, R8, field(AREA_X2));
    return_address_to(R9);
    call_memory((uintptr_t)backend.runtime.atomic);
    call_end(CALLER_SAVED, AREA_X0);
}

static void make_call(Thunk thunk, bool writes_pins, bool uses_fp)
{
    begin(thunk);
    call_begin();
    if (uses_fp && backend.target.fxsave_offset) {
        uint32_t not_loaded;

        asm_alu_ri(a, ALU_CMP, 4, rm_reg(RAX), 0);
        not_loaded = asm_jcc(a, CC_E);
        save_fp(AREA_SIZE);
        asm_patch_here(a, not_loaded);
    }
    asm_load(a, 8, RSI, field(AREA_X0));
    asm_load(a, 8, RDX, field(AREA_X1));
    asm_load(a, 8, RCX, field(AREA_X2));
    asm_load(a, 8, R8, field(AREA_SAVE0));
    asm_op(a, 0xff, 4, 2, rm_reg(R11));
    if (backend.target.use_fp_traps) {
        restore_fp();
    }
    call_end(writes_pins ? ALL_REGS : CALLER_SAVED, AREA_X0);
}

static void pop_callee_saved(void)
{
    for (int k = G_N_ELEMENTS(callee_saved) - 1; k >= 0; k--) {
        asm_pop(a, callee_saved[k]);
    }
    asm_ret(a);
}

static void store_pc(int reg)
{
    unsigned slot = backend.target.pc_slot;

    asm_store(a, ir_type_size(backend.target.slots[slot].type), slot_home(slot), reg);
}

/* Which place of the code it was goes to tcg_enter's HostExit *. */
static void make_found_exit(Thunk thunk, unsigned why)
{
    begin(thunk);
    asm_pop(a, R11);
    asm_load(a, 8, R13, mem_state(AREA_EXIT));
    asm_store(a, 8, mem_at(R13, 0), R11);
    asm_mov_ri(a, R11, why);
    asm_jmp_to(a, backend.thunks[THUNK_EXIT]);
}

/* To the code for the pc in r13 if the runtime knows it. Temporaries are free. */
static void find_code(void)
{
    uint32_t none;

    asm_alu_ri(a, ALU_SUB, 8, rm_reg(RSP), AREA_SIZE);
    store_pins(AREA_SIZE);
    asm_lea(a, 8, RDI, field(0));
    asm_mov_rr(a, 8, RSI, R13);
    call_c((uintptr_t)backend.runtime.find_code);
    asm_mov_rr(a, 8, R11, RAX);
    load_pins(AREA_SIZE, CALLER_SAVED);
    asm_alu_ri(a, ALU_ADD, 8, rm_reg(RSP), AREA_SIZE);
    asm_test_rr(a, 8, R11, R11);
    none = asm_jcc(a, CC_E);
    asm_op(a, 0xff, 4, 4, rm_reg(R11));
    asm_patch_here(a, none);
}

static void make_exits(void)
{
    uint32_t not_loaded, miss;
    unsigned pc_shift = backend.target.pc_shift;

    /* The pc in r13 is not in its first place in the jump cache. */
    begin(THUNK_SECOND);
    asm_mov_rr(a, 8, R11, R13);
    asm_shift_imm(a, SH_SHR, 8, R11, JUMP_CACHE_SECOND_SHIFT);
    asm_alu(a, ALU_XOR, 4, R11, rm_reg(R13));
    asm_alu_ri(a, ALU_AND, 4, rm_reg(R11), (JUMP_CACHE_SIZE - 1) >> pc_shift << pc_shift);
    asm_shift_imm(a, SH_SHL, 4, R11, 4 - pc_shift);
    asm_alu(a, ALU_ADD, 8, R11, rm_mem(mem_state(G_STRUCT_OFFSET(CpuHot, jump_cache))));
    asm_alu_mr(a, ALU_CMP, 8, rm_mem(mem_at(R11, 0)), R13);
    miss = asm_jcc(a, CC_NE);
    asm_op(a, 0xff, 4, 4, rm_mem(mem_at(R11, G_STRUCT_OFFSET(JumpCacheEntry, code))));
    asm_patch_here(a, miss);
    begin(THUNK_LOOKUP);
    if (backend.runtime.find_code) {
        find_code();
    }
    asm_mov_ri(a, R11, TCG_EXIT_LOOKUP);
    begin(THUNK_EXIT_AT);
    store_pc(R13);
    begin(THUNK_EXIT);
    store_pins(0);
    if (backend.target.fxsave_offset) {
        asm_alu_ri(a, ALU_CMP, 4, rm_mem(mem_state(G_STRUCT_OFFSET(CpuHot, fp_loaded))), 0);
        not_loaded = asm_jcc(a, CC_E);
        save_fp(0);
        asm_patch_here(a, not_loaded);
    }
    asm_mov_rr(a, 4, RAX, R11);
    /* Helpers that the interpreter calls next must not find an old return address. */
    asm_store_imm(a, 8, mem_state(AREA_RETURN), 0);
    asm_load(a, 8, RSP, mem_state(AREA_HOST_RSP));
    pop_callee_saved();

    make_found_exit(THUNK_UNCHAINED, FOUND_UNCHAINED);
    make_found_exit(THUNK_POLL, FOUND_POLL);
    make_found_exit(THUNK_RETIRED, FOUND_RETIRED);
}

static const void *aligned_here(void)
{
    asm_nop(a, -asm_offset(a) & 15);
    return a->p + a->to_exec;
}

static void make_enter(void)
{
    backend.enter = (TcgExit (*)(void *, const void *, HostExit **))aligned_here();
    for (unsigned k = 0; k < G_N_ELEMENTS(callee_saved); k++) {
        asm_push(a, callee_saved[k]);
    }
    asm_store(a, 8, mem_at(RDI, AREA_HOST_RSP), RSP);
    asm_store(a, 8, mem_at(RDI, AREA_EXIT), RDX);
    asm_mov_rr(a, 8, R11, RSI);
    asm_mov_rr(a, 8, RSP, RDI);
    load_pins(0, ALL_REGS);
    asm_op(a, 0xff, 4, 4, rm_reg(R11));

    backend.unwind = (__typeof__(backend.unwind))aligned_here();
    asm_mov_rr(a, 4, RAX, RSI);
    asm_store_imm(a, 8, mem_at(RDI, AREA_RETURN), 0);
    asm_load(a, 8, RSP, mem_at(RDI, AREA_HOST_RSP));
    pop_callee_saved();
}

void thunks_init(void)
{
    buffer_begin(a, NULL);
    for (unsigned k = 0; k < 4; k++) {
        make_load(THUNK_LOAD1 + k, AREA_X0, 1 << k, 0);
        make_load(THUNK_UPDATE1 + k, AREA_X0, 1 << k, IRM_UPDATE);
        make_store(THUNK_STORE1 + k, 1 << k);
        depth -= AREA_RETURN; /* called by a thunk that the block has called: its return address is in AREA_X0 */
        make_load(THUNK_INNER_LOAD1 + k, AREA_X1, 1 << k, 0);
        make_load(THUNK_INNER_UPDATE1 + k, AREA_X1, 1 << k, IRM_UPDATE);
        depth += AREA_RETURN;
    }
    thunks_by_register_init(a);
    make_load(THUNK_LOAD, AREA_X0, 0, 0);
    make_store(THUNK_STORE, 0);
    make_bytes(THUNK_LOAD_BYTES, (uintptr_t)backend.runtime.load_bytes);
    make_bytes(THUNK_STORE_BYTES, (uintptr_t)backend.runtime.store_bytes);
    make_other_memory();
    make_find(THUNK_FIND_LOAD, false);
    make_find(THUNK_FIND_STORE, true);
    make_site(THUNK_SITE_LOAD, G_STRUCT_OFFSET(CpuHot, tlb_load));
    make_site(THUNK_SITE_STORE, G_STRUCT_OFFSET(CpuHot, tlb_store));
    make_call(THUNK_CALL, false, false);
    make_call(THUNK_CALL_WRITES, true, false);
    make_call(THUNK_CALL_FP, false, true);
    make_call(THUNK_CALL_FP_WRITES, true, true);
    begin(THUNK_FP_LOAD);
    load_fp(-AREA_RETURN); /* RSP is one return address below the state */
    asm_ret(a);
    if (backend.target.ymm_offset) {
        uint32_t has_xmm;

        begin(THUNK_YMM_LOAD);
        asm_alu_ri(a, ALU_CMP, 4, rm_mem(fp_loaded_at(-AREA_RETURN)), FP_LOADED_NOTHING);
        has_xmm = asm_jcc(a, CC_NE);
        load_fp(-AREA_RETURN);
        asm_patch_here(a, has_xmm);
        load_upper_halves(-AREA_RETURN);
        asm_ret(a);
    }
    make_exits();
    make_enter();
    buffer_end(a, NULL);
    buffer_start_regions();
}
