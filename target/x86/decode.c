/* Decodes x86 instructions: prefixes, opcode, ModRM, SIB, displacement, immediates. */
#include "target/x86/insns.h"
#include "util/bits.h"
#include "util/clear.h"

enum { MAX_LENGTH = 15 };

typedef struct Reader {
    Translation *t;
    uint64_t pc;
    unsigned length;
    X86DecodeResult result;
    const uint8_t *bytes; /* as many as an instruction can have; NULL: each is asked for */
} Reader;

static uint8_t fetch_byte(Reader *r)
{
    uint8_t byte = 0;

    if (r->result != DECODE_OK) {
        return 0;
    }
    if (r->length == MAX_LENGTH) {
        r->result = DECODE_TOO_LONG;
        return 0;
    }
    if (!r->t->fetch(r->t, r->pc + r->length, &byte)) {
        r->result = DECODE_FETCH;
        return 0;
    }
    r->length++;
    return byte;
}

static inline uint8_t read_byte(Reader *r)
{
    return G_LIKELY(r->bytes && r->length < MAX_LENGTH) ? r->bytes[r->length++] : fetch_byte(r);
}

static uint64_t read_bytes(Reader *r, unsigned size)
{
    uint64_t value = 0;

    if (G_LIKELY(r->bytes && r->length + size <= MAX_LENGTH)) {
        const uint8_t *p = r->bytes + r->length;

        r->length += size;
        return size == 1 ? *p : size == 2 ? load_le16(p) : size == 4 ? load_le32(p) : load_le64(p);
    }
    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)read_byte(r) << (8 * i);
    }
    return value;
}

static int64_t read_signed(Reader *r, unsigned size)
{
    unsigned shift = 64 - 8 * size;

    return (int64_t)(read_bytes(r, size) << shift) >> shift;
}

/* The rightmost of the segment prefixes; ES CS SS DS do nothing in 64-bit code. */
static int segment_prefix(uint8_t byte, bool cs64)
{
    switch (byte) {
    case 0x26:
        return cs64 ? -1 : S_ES;
    case 0x2e:
        return cs64 ? -1 : S_CS;
    case 0x36:
        return cs64 ? -1 : S_SS;
    case 0x3e:
        return cs64 ? -1 : S_DS;
    case 0x64:
        return S_FS;
    default:
        return S_GS;
    }
}

static uint8_t read_prefixes(Reader *r, X86Insn *in, bool cs64)
{
    for (;;) {
        uint8_t byte = read_byte(r);

        switch (byte) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
            if (!cs64) {
                in->seg_override = segment_prefix(byte, cs64);
            }
            break;
        case 0x64:
        case 0x65:
            in->seg_override = segment_prefix(byte, cs64);
            break;
        case 0x66:
            in->opsize = true;
            break;
        case 0x67:
            in->addrsize = true;
            break;
        case 0xf0:
            in->lock = true;
            break;
        case 0xf2:
        case 0xf3:
            in->rep = byte;
            break;
        case 0x40 ... 0x4f:
            if (cs64) {
                in->rex = byte; /* counts only right before the opcode */
                continue;
            }
            return byte;
        default:
            return byte;
        }
        in->rex = 0;
        if (r->result != DECODE_OK) {
            return 0;
        }
    }
}

static void read_displacement(Reader *r, X86Insn *in, unsigned size)
{
    in->disp_at = r->length;
    in->disp_size = size;
    in->disp = read_signed(r, size);
}

/* 16-bit forms: base and index by ModRM.rm. */
static void read_memory16(Reader *r, X86Insn *in)
{
    static const int8_t bases[8] = {R_BX, R_BX, R_BP, R_BP, -1, -1, R_BP, R_BX};
    static const int8_t indexes[8] = {R_SI, R_DI, R_SI, R_DI, R_SI, R_DI, -1, -1};
    unsigned rm = in->modrm & 7;

    in->base = bases[rm];
    in->index = indexes[rm];
    if (in->mod == 0 && rm == 6) {
        in->base = -1;
        read_displacement(r, in, 2);
        in->disp = (uint16_t)in->disp;
    } else if (in->mod == 1) {
        read_displacement(r, in, 1);
    } else if (in->mod == 2) {
        read_displacement(r, in, 2);
    }
    in->seg = in->base == R_BP ? S_SS : S_DS;
}

static void read_memory(Reader *r, X86Insn *in, bool cs64, unsigned rex_x, unsigned rex_b)
{
    unsigned rm = in->modrm & 7;

    in->seg = S_DS;
    if (rm == 4) {
        uint8_t sib = read_byte(r);
        unsigned index = (sib >> 3 & 7) | rex_x;

        in->scale = sib >> 6;
        in->index = index == 4 ? -1 : index;
        in->vsib = index;
        rm = sib & 7;
        in->base = rm | rex_b;
        if (rm == 5 && in->mod == 0) {
            in->base = -1;
            read_displacement(r, in, 4);
        }
    } else if (rm == 5 && in->mod == 0) {
        read_displacement(r, in, 4);
        in->rip_relative = cs64;
    } else {
        in->base = rm | rex_b;
    }
    if (in->mod == 1) {
        read_displacement(r, in, 1);
    } else if (in->mod == 2) {
        read_displacement(r, in, 4);
    }
    if (in->base == R_SP || in->base == R_BP) {
        in->seg = S_SS;
    }
}

static void read_immediate(Reader *r, X86Insn *in, X86Operand operand, unsigned n)
{
    unsigned size = in->type == IR_I16 ? 2 : 4;

    switch (operand) {
    case O_Ib:
        if (n == 1 && in->row->operand[0] == O_Iw) {
            in->imm2 = read_byte(r); /* enter */
        } else {
            in->imm = read_byte(r);
        }
        break;
    case O_Ibs:
    case O_Jb:
        in->imm = read_signed(r, 1);
        break;
    case O_Iw:
        in->imm = read_bytes(r, 2);
        break;
    case O_Iz:
    case O_Jz:
        in->imm = read_signed(r, size);
        break;
    case O_Iv:
        in->imm = in->type == IR_I64 ? read_bytes(r, 8) : (uint64_t)read_signed(r, size);
        break;
    case O_Ap:
        in->imm = read_bytes(r, size);
        in->imm2 = read_bytes(r, 2);
        break;
    case O_Ob:
    case O_Ov:
        read_displacement(r, in, 1u << in->addr_type);
        in->disp &= ir_mask(in->addr_type);
        in->is_mem = true;
        in->seg = S_DS;
        break;
    default:
        break;
    }
}

static bool wants_modrm(const X86Row *row)
{
    if (row->attr & A_MODRM) {
        return true;
    }
    for (unsigned i = 0; i < 3; i++) {
        if (row->operand[i] >= O_Eb && row->operand[i] <= O_Sw) {
            return true;
        }
    }
    return false;
}

/* C4 and C5: VEX in 64-bit code, elsewhere if what would be ModRM says register. */
static bool read_vex(Reader *r, X86Insn *in, uint8_t opcode, bool cs64, unsigned *rxb)
{
    static const uint8_t prefixes[4] = {0, 0x66, 0xf3, 0xf2};
    Reader ahead = *r;
    uint8_t first = read_byte(&ahead), second;

    if (!cs64 && first < 0xc0) {
        return false;
    }
    *r = ahead;
    if (opcode == 0xc5) {
        *rxb = first & 0x80 ? 0 : 4;
        in->map = MAP_0F;
        second = first & 0x7f;
    } else {
        second = read_byte(r);
        *rxb = ~first >> 5 & 7;
        in->map = first & 0x1f;
        in->w = second & 0x80;
    }
    in->vvvv_unused = (second >> 3 & 15) == 15;
    if (!cs64) {
        *rxb = 0;
        second |= 0x40; /* registers 8-15 do not exist */
    }
    in->vex = second & 4 ? 2 : 1;
    in->vex_pp = prefixes[second & 3];
    in->vvvv = ~second >> 3 & 15;
    in->opcode = read_byte(r);
    return true;
}

static const X86Row *find_row(const X86Insn *in)
{
    if (in->vex) {
        bool bad = in->opsize || in->rep || in->lock || in->rex || in->map == 0 || in->map > 3;

        return bad ? &x86_row_undefined : x86_row_vex(in);
    }
    switch (in->map) {
    case MAP_ONE:
        return &x86_rows_one[in->opcode];
    case MAP_0F:
        if (in->opcode == 0x78 && (in->rep == 0xf2 || (in->opsize && !in->rep))) {
            return &x86_row_fp_iw; /* EXTRQ, INSERTQ: two bytes */
        }
        return &x86_rows_0f[in->opcode];
    case MAP_0F38:
        return x86_row_0f38(in);
    default:
        return &x86_row_fp_ib;
    }
}

static void set_types(X86Insn *in, uint64_t mode)
{
    bool cs64 = mode & MODE_CS64;
    bool cs32 = mode & MODE_CS32;
    uint16_t attr = in->row->attr;

    in->type_y = cs64 && in->w ? IR_I64 : IR_I32;
    if (cs64) {
        in->type = attr & A_F64 || in->w || (attr & A_D64 && !in->opsize) ? IR_I64
                   : in->opsize                                           ? IR_I16
                                                                          : IR_I32;
    } else {
        in->type = cs32 == in->opsize ? IR_I16 : IR_I32;
    }
}

X86DecodeResult x86_decode(Translation *t, uint64_t mode, uint64_t pc, X86Insn *in)
{
    Reader r = {.t = t, .pc = pc, .result = DECODE_OK};
    bool cs64 = mode & MODE_CS64;
    bool cs32 = mode & MODE_CS32;
    bool is_vex = false;
    unsigned rxb;
    uint8_t opcode;

    if (t->bytes) {
        r.bytes = t->bytes(t, pc, MAX_LENGTH);
    }
    clear_bytes(in, sizeof(*in));
    in->pc = pc;
    in->seg_override = in->base = in->index = in->vsib = -1;
    opcode = read_prefixes(&r, in, cs64);
    rxb = in->rex & 7;
    in->w = in->rex & 8;
    if (cs64) {
        in->addr_type = in->addrsize ? IR_I32 : IR_I64;
    } else {
        in->addr_type = cs32 == in->addrsize ? IR_I16 : IR_I32;
    }

    if (opcode == 0xc4 || opcode == 0xc5) {
        is_vex = read_vex(&r, in, opcode, cs64, &rxb);
    }
    if (!is_vex) {
        in->opcode = opcode;
        if (opcode == 0x0f) {
            in->map = MAP_0F;
            in->opcode = read_byte(&r);
            if (in->opcode == 0x38 || in->opcode == 0x3a) {
                in->map = in->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
                in->opcode = read_byte(&r);
            }
        }
    }
    in->row = find_row(in);
    if (cs64 && in->row->attr & A_I64) {
        in->row = &x86_row_undefined;
    }
    if (wants_modrm(in->row)) {
        in->modrm = read_byte(&r);
        in->mod = in->modrm >> 6;
        in->reg = (in->modrm >> 3 & 7) | (rxb & 4) << 1;
        in->is_mem = in->mod != 3;
        if (in->row->group) {
            in->row = &in->row->group[in->modrm >> 3 & 7];
        }
        if (in->map == MAP_0F && !in->vex && in->opcode >= 0x20 && in->opcode <= 0x23) {
            in->is_mem = false; /* moves to and from CRn and DRn take any mod as register */
        }
        if (!in->is_mem) {
            in->rm = (in->modrm & 7) | (rxb & 1) << 3;
        } else if (in->addr_type == IR_I16) {
            read_memory16(&r, in);
        } else {
            read_memory(&r, in, cs64, (rxb & 2) << 2, (rxb & 1) << 3);
        }
    } else {
        in->rm = (in->opcode & 7) | (rxb & 1) << 3; /* Z operands */
    }
    set_types(in, mode);
    for (unsigned i = 0; i < 3; i++) {
        if (in->row->operand[i]) {
            read_immediate(&r, in, in->row->operand[i], i);
        }
    }
    if (in->seg_override >= 0) {
        in->seg = in->seg_override;
    }
    in->length = r.length;
    in->next_pc = pc + r.length;
    if (!cs64) {
        in->next_pc = (uint32_t)in->next_pc;
    }
    return r.result;
}
