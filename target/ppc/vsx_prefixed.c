/* Prefixed instructions on vector registers that are no loads or stores (Power ISA 3.1, book I, 7.6.1.12): 8RR forms. */
#include "target/ppc/fp.h"
#include "target/ppc/insns.h"
#include "vec_ops.h"

enum { SPLAT_HALF, SPLAT_DOUBLE, SPLAT_WORD, BLEND_BYTES, BLEND_HALVES, BLEND_WORDS, BLEND_DOUBLES, PERMUTE, EVALUATE };

/* T with its bit TX in bit 15, where the immediate ones have it. */
static PpcVec *splat_target(PpcState *s, uint32_t insn)
{
    return vec_reg(s, (insn >> 21 & 31) | (insn >> 16 & 1) << 5);
}

static void splat(PpcState *s, unsigned op, uint32_t prefix, uint32_t insn)
{
    uint32_t value = prefix << 16 | (insn & 0xffff);
    PpcVec *t = splat_target(s, insn);

    if (op == SPLAT_DOUBLE) {
        t->d[0] = t->d[1] = fp_single_to_double(value);
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        if (op == SPLAT_WORD || (i & 1) == (insn >> 17 & 1)) {
            t->w[WORD_AT(i)] = value;
        }
    }
}

/* Elements of B where those of C are negative, else of A. */
#define BLEND(name, member, signed_member, count)                                                       \
    static PpcVec name(const PpcVec *a, const PpcVec *b, const PpcVec *c)                               \
    {                                                                                                   \
        PpcVec r;                                                                                       \
                                                                                                        \
        for (unsigned i = 0; i < count; i++) {                                                          \
            r.member[i] = c->signed_member[i] < 0 ? b->member[i] : a->member[i];                        \
        }                                                                                               \
        return r;                                                                                       \
    }
BLEND(blend_bytes, b, sb, 16)
BLEND(blend_halves, h, sh, 8)
BLEND(blend_words, w, sw, 4)
BLEND(blend_doubles, d, sd, 2)

/* As vperm, where the left three bits of a byte of C are those of the prefix; other bytes are zero. */
static PpcVec permute(const PpcVec *a, const PpcVec *b, const PpcVec *c, unsigned section)
{
    PpcVec r = vec_permute(a, b, c, 0);

    for (unsigned i = 0; i < 16; i++) {
        r.b[i] = c->b[i] >> 5 == section ? r.b[i] : 0;
    }
    return r;
}

/* Any function of three bits: the prefix has its eight values, of 000 on the left. */
static PpcVec evaluate(const PpcVec *a, const PpcVec *b, const PpcVec *c, unsigned function)
{
    PpcVec r = { .d = { 0, 0 } };

    for (unsigned k = 0; k < 8; k++) {
        for (unsigned i = 0; i < 2 && function >> (7 - k) & 1; i++) {
            r.d[i] |= (k & 4 ? a->d[i] : ~a->d[i]) & (k & 2 ? b->d[i] : ~b->d[i]) & (k & 1 ? c->d[i] : ~c->d[i]);
        }
    }
    return r;
}

/* (operation, prefix << 32 | word) */
uint64_t ppc_helper_vsx_prefixed(PpcState *s, uint64_t op, uint64_t words, uint64_t c_, uint64_t d_)
{
    uint32_t prefix = words >> 32, insn = words;
    const PpcVec *a = vec_reg(s, field_xa(insn)), *b = vec_reg(s, field_xb(insn)), *c = vec_reg(s, field_xc(insn));
    PpcVec *t = vec_reg(s, field_xt(insn));

    switch (op) {
    case BLEND_BYTES: *t = blend_bytes(a, b, c); break;
    case BLEND_HALVES: *t = blend_halves(a, b, c); break;
    case BLEND_WORDS: *t = blend_words(a, b, c); break;
    case BLEND_DOUBLES: *t = blend_doubles(a, b, c); break;
    case PERMUTE: *t = permute(a, b, c, prefix & 7); break;
    case EVALUATE: *t = evaluate(a, b, c, prefix & 0xff); break;
    default: splat(s, op, prefix, insn); break;
    }
    return 0;
}

static void emit_prefixed(PpcTranslator *tr, const PpcInsn *in)
{
    PPC_CALL2(tr, vsx_prefixed, ppc_const(tr, IR_I64, in->row->op), ppc_const(tr, IR_I64, (uint64_t)in->prefix << 32 | in->word));
}

#define ROW8(name, match, mask, op) { name, match, mask, emit_prefixed, A_VSX | A_PREFIXED, ISA_V310, op, 0x05000000, 0xfff00000 }

const PpcRow ppc_rows_vsx_prefixed[] = {
    ROW8("xxsplti32dx", 32u << 26, 0xfc1c0000, SPLAT_HALF),
    ROW8("xxspltidp", 32u << 26 | 2 << 17, 0xfc1e0000, SPLAT_DOUBLE),
    ROW8("xxspltiw", 32u << 26 | 3 << 17, 0xfc1e0000, SPLAT_WORD),
    ROW8("xxblendvb", 33u << 26, 0xfc000030, BLEND_BYTES),
    ROW8("xxblendvh", 33u << 26 | 0x10, 0xfc000030, BLEND_HALVES),
    ROW8("xxblendvw", 33u << 26 | 0x20, 0xfc000030, BLEND_WORDS),
    ROW8("xxblendvd", 33u << 26 | 0x30, 0xfc000030, BLEND_DOUBLES),
    ROW8("xxpermx", 34u << 26, 0xfc000030, PERMUTE),
    ROW8("xxeval", 34u << 26 | 0x10, 0xfc000030, EVALUATE),
    { NULL },
};
