/*
 * Which exception a memory access that fails ends in, where that depends on the instruction.
 *
 * A non-canonical address is #SS(0) if it was formed with the stack segment, else #GP(0) (SDM volume 3,
 * 6.15). A pending x87 exception comes before the memory operand of a waiting instruction is looked at
 * (table 6-2); in translated code the host reports it when the operand has been found, so the question
 * comes up here. Both are rare: the instruction is decoded again instead of keeping notes of it.
 */
#include "target/x86/faulting.h"

#include "target/x86/fp_state.h"
#include "target/x86/fp_table.h"
#include "target/x86/insns.h"
#include "target/x86/paging.h"

static bool uses_stack(const X86Insn *in)
{
    static X86Emit *const emitters[] = {
        x86_emit_push, x86_emit_pop, x86_emit_pusha, x86_emit_popa, x86_emit_push_seg, x86_emit_pop_seg,
        x86_emit_pushf, x86_emit_popf, x86_emit_enter, x86_emit_leave, x86_emit_call, x86_emit_call_ev,
        x86_emit_call_far, x86_emit_call_far_m, x86_emit_ret, x86_emit_ret_far, x86_emit_iret,
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(emitters); i++) {
        if (in->row->emit == emitters[i]) {
            return true;
        }
    }
    return false;
}

/* Whether it is the explicit operand that lies around addr. */
static bool is_operand(const X86State *s, const X86Insn *in, uint64_t addr)
{
    uint64_t start = in->disp, most = sizeof(s->fx);

    if (!in->is_mem) {
        return false;
    }
    if (in->base >= 0) {
        start += s->reg[in->base];
    }
    if (in->index >= 0) {
        start += s->reg[in->index] << in->scale;
    }
    if (in->rip_relative) {
        start += in->next_pc;
    }
    start += in->seg >= S_FS ? s->seg[in->seg].base : 0;
    return addr - start < most;
}

static bool on_stack(const X86State *s, const X86Insn *in, uint64_t addr)
{
    if (uses_stack(in) && !is_operand(s, in, addr)) {
        return true;
    }
    return in->is_mem && in->seg == S_SS;
}

static bool waits_for_x87(const X86Insn *in)
{
    unsigned prefix = in->rep ? in->rep : in->opsize ? 0x66 : 0;
    const FpRow *row;

    if (in->row->emit != x86_emit_fp || in->vex) {
        return false;
    }
    if (in->map == MAP_ONE) {
        bool control = (in->opcode == 0xd9 || in->opcode == 0xdd) && (in->reg & 7) >= 6; /* FNSTENV, FNSTCW and their like */

        return !control;
    }
    row = x86_fp_row(in->map, prefix, in->opcode);
    if (in->map == MAP_0F && in->opcode == 0x2a) {
        return false; /* CVTPI2PS and CVTPI2PD look at memory first */
    }
    return row && (row->reg == FP_P || row->rm == FP_Q || row->rm == FP_N);
}

static void pending_x87_first(X86State *s, const X86Insn *in)
{
    tcg_fp_sync(s);
    if (in && fx_image(s)->fsw & FSW_ES && waits_for_x87(in)) {
        x86_raise_x87(s, 0);
    }
}

void x86_raise_misaligned(X86State *s, const X86Insn *in)
{
    pending_x87_first(s, in);
    x86_raise_error(s, EXC_GP, 0, 0);
}

void x86_raise_memory_fault(X86State *s, const X86Insn *in, uint64_t addr, uint32_t code, bool non_canonical)
{
    pending_x87_first(s, in);
    if (non_canonical) {
        x86_raise_error(s, in && on_stack(s, in, addr) ? EXC_SS : EXC_GP, 0, 0);
    }
    s->exception.cr2 = addr;
    x86_raise_error(s, EXC_PF, code, 0);
}

unsigned x86_read_instruction(X86State *s, uint8_t bytes[15])
{
    VirtAddr pc = linear(s, (is_code64(s) ? 0 : s->seg[S_CS].base) + s->pc);
    unsigned n = 0;

    while (n < 15) {
        unsigned mode = data_mode(s, s->cpl), left = 0x1000 - (pc + n) % 0x1000;
        struct X86TableRam *ram;
        MmuResult page;
        PhysAddr at;

        if (!x86_walk(s->hot.cpu, linear(s, pc + n), MMU_FETCH, mode, true, &page)) {
            break;
        }
        at = page.phys | ((pc + n) & 0xfff);
        ram = x86_table_ram(s, at);
        if (!ram) {
            break;
        }
        for (unsigned end = MIN(n + left, 15); n < end; n++, at++) {
            bytes[n] = ram->host[at - ram->start];
        }
    }
    return n;
}

typedef struct Bytes {
    uint8_t bytes[15];
    unsigned n;
    uint64_t pc;
} Bytes;

static bool fetch(Translation *t, uint64_t pc, uint8_t *byte)
{
    const Bytes *b = t->engine;

    if (pc - b->pc >= b->n) {
        return false;
    }
    *byte = b->bytes[pc - b->pc];
    return true;
}

bool x86_insn_at_pc(X86State *s, X86Insn *in)
{
    Bytes b = {.pc = s->pc};
    BlockKey key = {.pc = s->pc, .flags = s->mode_flags};
    Translation t = {.cpu = s->hot.cpu, .key = &key, .fetch = fetch, .engine = &b};

    tcg_fp_sync(s);
    b.n = x86_read_instruction(s, b.bytes);
    return x86_decode(&t, s->mode_flags, s->pc, in) == DECODE_OK;
}
