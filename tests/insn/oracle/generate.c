/*
 * Instructions and states.
 *
 * The bytes of an instruction are chosen first, at random. Then the decoder says where its memory
 * operand is, and registers get such values that it lies where something is mapped: mostly around the
 * boundary of two pages, often across it, now and then across the end of what is mapped or nowhere.
 */
#include "generate.h"

#include "guest.h"
#include "values.h"

static bool one_in(Random *r, unsigned n)
{
    return random_below(r, n) == 0;
}

/* The bytes. */

static void put(Case *one, uint8_t byte)
{
    if (one->size < sizeof(one->code)) {
        one->code[one->size++] = byte;
    }
}

static void put_random(Case *one, Random *r, unsigned n)
{
    uint64_t value = values_integer(r);

    for (unsigned i = 0; i < n; i++) {
        put(one, value >> 8 * i);
    }
}

static bool is_string(const Row *row)
{
    return row->general && row->general->emit == x86_emit_string;
}

static bool can_lock(const Row *row)
{
    return row->general && row->general->attr & A_LOCK;
}

static void put_prefixes(Case *one, Random *r)
{
    static const uint8_t segments[] = {0x65, 0x64, 0x26, 0x2e, 0x36, 0x3e};
    const Row *row = one->row;
    uint8_t list[6];
    unsigned n = 0;
    bool addr16 = false;

    if (one_in(r, 6)) {
        list[n++] = 0x67;
        addr16 = one->mode == ORACLE_32;
    }
    if (one_in(r, addr16 ? 1 : 8)) {
        /* In 64-bit code FS is the host program's own. 16-bit addresses reach data through FS and GS only. */
        uint8_t prefix = segments[random_below(r, addr16 && !one_in(r, 6) ? 2 : 6)];

        if (prefix != 0x64 || one->mode != ORACLE_64) {
            list[n++] = prefix;
        }
    }
    if (row->is_vex) {
        if (one_in(r, 64)) {
            list[n++] = (const uint8_t[]){0x66, 0xf2, 0xf3, 0xf0}[random_below(r, 4)];
        }
    } else if (row->prefix == PREFIX_ANY) {
        if (one_in(r, 3)) {
            list[n++] = 0x66;
        }
        bool popcnt = row->general && row->general->emit == x86_emit_popcnt;

        if (is_string(row) || popcnt ? !one_in(r, 3) : one_in(r, 12)) {
            list[n++] = popcnt ? 0xf3 : 0xf2 + random_below(r, 2);
        }
    } else if (row->prefix) {
        list[n++] = row->prefix;
        if (row->prefix != 0x66 && one_in(r, 10)) {
            list[n++] = 0x66;
        }
    }
    if (can_lock(row) ? one_in(r, 2) : one_in(r, 40)) {
        list[n++] = 0xf0;
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned k = random_below(r, n);
        uint8_t swap = list[i];

        list[i] = list[k];
        list[k] = swap;
    }
    for (unsigned i = 0; i < n; i++) {
        put(one, list[i]);
    }
    if (one->mode == ORACLE_64 && (row->is_vex ? one_in(r, 64) : one_in(r, 2))) {
        put(one, 0x40 | random_below(r, 16));
    }
}

static void put_vex(Case *one, Random *r)
{
    const Row *row = one->row;
    const VexRow *vex = row->vex;
    unsigned pp = x86_prefix_index(row->prefix);
    bool w = vex && vex->w != VEX_W_IGNORED ? vex->w == VEX_W_1 : random_below(r, 2);
    bool l = vex && vex->length == VEX_L_128 ? one_in(r, 32) : vex && vex->length == VEX_L_256 ? !one_in(r, 32)
             : vex ? random_below(r, 2) : one_in(r, 32);
    bool uses_vvvv = vex ? vex->h || vex->flags & (FPF_MERGE | FPF_GATHER | FPF_MASKED) : row->general->emit != x86_emit_rorx;
    unsigned vvvv = uses_vvvv || one_in(r, 32) ? random_below(r, 16) : 0;
    unsigned rxb = one->mode == ORACLE_64 ? random_below(r, 8) : 0;

    if (row->map == MAP_0F && !w && !(rxb & 3) && random_below(r, 2)) {
        put(one, 0xc5);
        put(one, (rxb & 4 ? 0 : 0x80) | (~vvvv & 15) << 3 | l << 2 | pp);
    } else {
        put(one, 0xc4);
        put(one, (~rxb & 7) << 5 | row->map);
        put(one, w << 7 | (~vvvv & 15) << 3 | l << 2 | pp);
    }
}

static bool wants_memory(const Row *row, Random *r)
{
    unsigned attr = row->general ? row->general->attr : 0;
    unsigned rm = row->fp ? row->fp->rm : row->vex ? row->vex->rm : FP_E;
    bool usual = attr & A_MEM || rm == FP_M ? true
                 : row->registers_only || attr & A_REG || rm == FP_U || rm == FP_N ? false : !one_in(r, 3);

    if (row->registers_only) {
        return false;
    }
    return one_in(r, 64) ? !usual : usual;
}

static bool address_size_is_16(const Case *one)
{
    bool prefix = false;

    for (unsigned i = 0; i < one->size; i++) {
        prefix |= one->code[i] == 0x67;
    }
    return one->mode == ORACLE_16 ? !prefix : one->mode == ORACLE_32 && prefix;
}

static void put_modrm(Case *one, Random *r, bool addr16)
{
    const Row *row = one->row;
    unsigned reg = row->digit >= 0 ? (unsigned)row->digit : random_below(r, 8);
    unsigned mod = wants_memory(row, r) ? random_below(r, 3) : 3, rm = random_below(r, 8);
    bool gather = row->vex && row->vex->flags & FPF_GATHER;
    bool bare = false;

    if (gather && mod != 3 && !addr16 && !one_in(r, 16)) {
        rm = 4;
    }
    put(one, mod << 6 | reg << 3 | rm);
    if (mod == 3) {
        return;
    }
    if (addr16) {
        bare = mod == 0 && rm == 6;
        one->disp_size = bare || mod == 2 ? 2 : mod;
    } else {
        if (rm == 4) {
            uint8_t sib = random_next(r) >> 40;

            put(one, sib);
            rm = sib & 7;
        }
        bare = mod == 0 && rm == 5;
        one->disp_size = bare || mod == 2 ? 4 : mod;
    }
    one->disp_at = one->size;
    put_random(one, r, one->disp_size);
}

static bool is_branch(const X86Insn *in)
{
    return in->row->operand[0] == O_Jb || in->row->operand[0] == O_Jz;
}

/* A relative branch must not lead back into its own instruction or just behind it. */
static bool leads_home(const X86Insn *in)
{
    uint64_t target = in->next_pc + in->imm;

    return target < (uint64_t)in->length + 10;
}

/* Where the offset in memory is immediate or displacement, it is set to something that is mapped. */
static void aim_offset(Case *one, Random *r)
{
    X86Insn *in = &one->in;
    bool gather = one->row->vex && one->row->vex->flags & FPF_GATHER;
    uint32_t offset;
    uint8_t *at = one->code + one->disp_at;

    if (in->row->operand[0] == O_Ob || in->row->operand[0] == O_Ov || in->row->operand[1] == O_Ob || in->row->operand[1] == O_Ov) {
        uint64_t wide = values_segment_offset(one, r);

        memcpy(one->code + in->length - (1u << in->addr_type), &wide, 1u << in->addr_type);
        return;
    }
    if (!in->is_mem || in->base >= 0 || (in->index >= 0 && !gather) || one->disp_size < 2) {
        return;
    }
    offset = values_segment_offset(one, r);
    if (in->rip_relative) {
        offset -= ORACLE_CODE + ORACLE_START + in->length;
    }
    memcpy(at, &offset, one->disp_size);
}

/* REX is what 40 to 4F are in 64-bit code, and the like. */
static bool is_of_row(const Case *one)
{
    const Row *row = one->row;

    return one->in.opcode == row->opcode && one->in.map == row->map && (row->is_vex || !one->in.vex) &&
           (!row->general || row->general == one->in.row || !one->in.row->emit);
}

bool generate_case(Case *one, Row *row, OracleMode mode, Random *r)
{
    bool addr16, ok;
    unsigned opcode_end;

    *one = (Case){.mode = mode, .row = row, .with_fp = row_is_fp(row), .unmasked = one_in(r, 4)};
    put_prefixes(one, r);
    addr16 = address_size_is_16(one);
    if (row->is_vex) {
        put_vex(one, r);
    } else if (row->map != MAP_ONE) {
        put(one, 0x0f);
        if (row->map > MAP_0F) {
            put(one, row->map == MAP_0F38 ? 0x38 : 0x3a);
        }
    }
    put(one, row->opcode);
    opcode_end = one->size;
    if (row->has_modrm) {
        put_modrm(one, r, addr16);
    }
    if (one->size == sizeof(one->code)) {
        return false;
    }
    put_random(one, r, sizeof(one->code) - one->size);
    ok = guest_decode(mode, one->code, 15, &one->in);
    if (!ok || one->in.length < opcode_end) {
        return false;
    }
    one->size = one->in.length;
    one->far_reaching = is_string(row) || mode == ORACLE_16 || one->in.addr_type == IR_I16 || one->in.row->emit == x86_emit_bt;
    if (is_branch(&one->in)) {
        if (one->in.row->operand[0] == O_Jz && !one_in(r, 8)) { /* within the page of code */
            unsigned size = one->in.type == IR_I16 ? 2 : 4;
            int32_t near = (int)random_below(r, 0xf00) - ORACLE_START;

            memcpy(one->code + one->size - size, &near, size);
            guest_decode(mode, one->code, 15, &one->in);
        }
        if (leads_home(&one->in)) {
            return false;
        }
    }
    if (one->in.row->emit == x86_emit_enter && !one_in(r, 8)) { /* a frame that fits */
        one->code[one->size - 2] &= 1;
    }
    aim_offset(one, r);
    return guest_decode(mode, one->code, one->size, &one->in) && one->in.length == one->size && is_of_row(one);
}

/* The state. */

static uint64_t segment_base(const Case *one, int seg)
{
    if (one->mode == ORACLE_64) {
        return seg == S_GS ? ORACLE_GS_BASE_64 : 0;
    }
    if (seg == S_FS) {
        return ORACLE_FS_BASE;
    }
    if (seg == S_GS) {
        return ORACLE_GS_BASE;
    }
    return one->mode == ORACLE_16 ? ORACLE_DATA : 0;
}

/* An offset in the segment of the memory operand that is mapped, mostly. */
uint64_t values_segment_offset(const Case *one, Random *r)
{
    return (one->mode == ORACLE_16 ? ORACLE_DATA : 0) + (uint64_t)values_target(r, one->mode) - segment_base(one, one->in.seg);
}

static uint64_t offset_mask(const Case *one)
{
    return one->in.addr_type == IR_I16 ? 0xffff : one->in.addr_type == IR_I32 ? 0xffffffff : UINT64_MAX;
}

static void set_under(uint64_t *reg, uint64_t value, uint64_t mask)
{
    *reg = (*reg & ~mask) | (value & mask);
}

/* Divides modulo 2^64 by 1, 3, 5 or 9. */
static uint64_t divide(uint64_t value, unsigned by)
{
    static const uint64_t inverse[] = {[1] = 1, [3] = 0xaaaaaaaaaaaaaaab, [5] = 0xcccccccccccccccd, [9] = 0x8e38e38e38e38e39};

    return by == 2 ? value >> 1 : value * inverse[by];
}

static bool is_gather(const Row *row)
{
    return row->vex && row->vex->flags & FPF_GATHER;
}

static void aim_operand(const Case *one, OracleState *s, Random *r)
{
    X86Insn plain = one->in;
    const X86Insn *in = &plain;
    uint64_t mask = offset_mask(one), offset;

    if (is_gather(one->row)) {
        plain.index = -1; /* a vector */
    }
    if (!in->is_mem || (in->base < 0 && in->index < 0)) {
        return;
    }
    offset = values_segment_offset(one, r) - in->disp;
    if (in->base >= 0 && in->base == in->index) {
        set_under(&s->gpr[in->base], divide(offset, 1 + (1 << in->scale)), mask);
    } else if (in->base >= 0 && in->index >= 0) {
        if (one_in(r, 2)) { /* not far away, where base alone would do */
            set_under(&s->gpr[in->index], (int64_t)random_below(r, 64) - 32, mask);
        }
        set_under(&s->gpr[in->base], offset - (s->gpr[in->index] << in->scale), mask);
    } else if (in->base >= 0) {
        set_under(&s->gpr[in->base], offset, mask);
    } else {
        set_under(&s->gpr[in->index], offset >> in->scale, mask);
    }
}

static uint64_t pointer(const Case *one, int seg, Random *r)
{
    Case other = *one;

    other.in.seg = seg;
    return values_segment_offset(&other, r);
}

/* What instructions use without saying so: SP, BP, SI, DI, BX for XLAT, CX for counts. */
static void aim_implicit(const Case *one, OracleState *s, Random *r)
{
    const X86Insn *in = &one->in;
    uint64_t mask = offset_mask(one);
    X86Emit *emit = in->row->emit;
    int data = in->seg_override >= 0 ? in->seg_override : S_DS;

    set_under(&s->gpr[R_SI], pointer(one, data, r), mask);
    set_under(&s->gpr[R_DI], pointer(one, emit == x86_emit_string ? S_ES : data, r), mask);
    s->gpr[R_SP] = pointer(one, S_SS, r);
    set_under(&s->gpr[R_BP], pointer(one, S_SS, r), mask);
    if (emit == x86_emit_xlat) {
        set_under(&s->gpr[R_BX], pointer(one, data, r) - (s->gpr[R_AX] & 0xff), mask);
    }
    if (!one_in(r, 16)) {
        set_under(&s->gpr[R_CX], random_below(r, one_in(r, 8) ? 600 : 40), mask);
    } else if (emit == x86_emit_string && one_in(r, 2)) {
        set_under(&s->gpr[R_CX], 0, mask);
    }
    if (emit == x86_emit_bt && in->is_mem && in->row->operand[1] != O_Ib) {
        unsigned width = in->type == IR_I64 ? 64 : in->type == IR_I32 ? 32 : 16;

        s->gpr[in->reg] = (int64_t)random_below(r, 8 * width) - 4 * (int64_t)width;
    }
}

/* Indexes of a gather are small, so that most elements are mapped. */
static void aim_gather(const Case *one, OracleState *s, Random *r)
{
    const X86Insn *in = &one->in;
    unsigned index = in->vsib & 15;

    for (unsigned at = 0; at < 16; at += 4) {
        bool high = in->opcode & 1 && at & 4;
        uint32_t low = high || one_in(r, 64) ? 0 : random_below(r, 24), top = high ? 0 : random_below(r, 24);

        memcpy(s->fp.fx.xmm[index] + at, &low, 4);
        memcpy(s->fp.ymm_high[index] + at, &top, 4);
    }
}

static bool sets_pc(const X86Insn *in)
{
    X86Emit *emit = in->row->emit;

    return emit == x86_emit_jmp_ev || emit == x86_emit_call_ev || emit == x86_emit_ret;
}

void generate_state(const Case *one, OracleState *s, bool first, Random *r)
{
    const X86Insn *in = &one->in;

    values_gprs(s->gpr, r);
    s->flags = 0x202 | (random_next(r) & FLAGS_ALL) | (one->ac ? EFL_AC : 0);
    if (one_in(r, is_string(one->row) ? 4 : 16)) {
        s->flags |= EFL_DF;
    }
    if (one->with_fp) {
        values_fp(&s->fp, one->unmasked, first, r);
    }
    aim_implicit(one, s, r);
    if (sets_pc(in) && !in->is_mem && !one_in(r, 8)) {
        s->gpr[in->rm] = values_code(one->mode, r);
    }
    if (in->row->emit == x86_emit_jmp_ev || in->row->emit == x86_emit_call_ev) {
        uint64_t to = s->gpr[in->rm] - (one->mode == ORACLE_16 ? 0 : ORACLE_CODE) - ORACLE_START;

        if (to < 32) { /* back into the instruction, or behind it */
            s->gpr[in->rm] += 64;
        }
    }
    aim_operand(one, s, r);
    if (is_gather(one->row) && in->vsib >= 0) {
        aim_gather(one, s, r);
    }
    if (one->row->fp || one->row->vex) {
        unsigned flags = one->row->fp ? one->row->fp->flags : one->row->vex->flags;

        if (flags & FPF_STRING && !one_in(r, 8)) {
            s->gpr[R_AX] = (int64_t)random_below(r, 40) - 20;
            s->gpr[R_DX] = (int64_t)random_below(r, 40) - 20;
        }
    }
    for (unsigned i = 0; i < 16 && one->mode != ORACLE_64; i++) {
        s->gpr[i] = i < 8 ? (uint32_t)s->gpr[i] : 0;
    }
    if (one->mode == ORACLE_16) {
        s->gpr[R_SP] = (s->gpr[R_SP] & 0xffff) | ORACLE_ESP_16;
    }
}

/* A quarter is new for each case. */
void generate_memory(const Case *one, uint8_t *data, Random *r)
{
    static bool special = true; /* not what values_memory makes */
    unsigned size = special ? ORACLE_DATA_SIZE : ORACLE_DATA_SIZE / 4;

    values_memory(data + (special ? 0 : random_below(r, 4) * size), size, r);
    special = false;
    if (one->in.row->emit == x86_emit_grp15) { /* what FXRSTOR takes for MXCSR has no reserved bits */
        for (unsigned i = 8; i < ORACLE_DATA_SIZE; i += 16) {
            memset(data + i + 2, 0, 2);
        }
        special = true;
    }
    if (sets_pc(&one->in)) {
        for (unsigned i = 0; i < ORACLE_DATA_SIZE; i += 8) {
            uint64_t to = values_code(one->mode, r);

            memcpy(data + i, &to, 8);
        }
        special = true;
    }
}
