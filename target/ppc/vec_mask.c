/*
 * Masks of vector elements, and what makes, tests and uses them (Power ISA 3.1, book I, 6.16 on): moves between masks and
 * GPRs, gathered bits, isolated strings, control vectors of permutations.
 */
#include "target/ppc/internal.h"
#include "vec_ops.h"

#define DOUBLE_AT(i) (i)

/* From the right bits of a GPR, or the sign bits of B, to elements of ones and zeros. */
#define MASKS(letter, member, count, at)                                               \
    static void put_mask_##letter(PpcState *s, uint32_t insn, uint64_t bits)           \
    {                                                                                  \
        PpcVec *t = vec_t(s, insn);                                                    \
                                                                                       \
        for (unsigned i = 0; i < count; i++) {                                         \
            t->member[at(i)] = bits >> (count - 1 - i) & 1 ? -1 : 0;                   \
        }                                                                              \
    }                                                                                  \
    static uint64_t get_mask_##letter(PpcState *s, uint32_t insn)                      \
    {                                                                                  \
        const PpcVec *b = vec_b(s, insn);                                              \
        uint64_t bits = 0;                                                             \
                                                                                       \
        for (unsigned i = 0; i < count; i++) {                                         \
            bits = bits << 1 | (b->member[at(i)] < 0);                                 \
        }                                                                              \
        return bits;                                                                   \
    }                                                                                  \
    void ppc_exec_mtvsr##letter##m(PpcState *s, uint32_t insn)                         \
    {                                                                                  \
        put_mask_##letter(s, insn, s->gpr[field_b(insn)]);                             \
    }                                                                                  \
    void ppc_exec_vexpand##letter##m(PpcState *s, uint32_t insn)                       \
    {                                                                                  \
        put_mask_##letter(s, insn, get_mask_##letter(s, insn));                        \
    }                                                                                  \
    void ppc_exec_vextract##letter##m(PpcState *s, uint32_t insn)                      \
    {                                                                                  \
        s->gpr[field_t(insn)] = get_mask_##letter(s, insn);                            \
    }                                                                                  \
    /* The length that elements of one kind have, as lxvl takes it. */                 \
    void ppc_exec_vcntmb##letter(PpcState *s, uint32_t insn)                           \
    {                                                                                  \
        uint64_t set = __builtin_popcountll(get_mask_##letter(s, insn));               \
                                                                                       \
        s->gpr[field_t(insn)] = (insn & 0x10000 ? set : count - set) * (16 / count) << 56; \
    }
MASKS(b, sb, 16, BYTE_AT)
MASKS(h, sh, 8, HALF_AT)
MASKS(w, sw, 4, WORD_AT)
MASKS(d, sd, 2, DOUBLE_AT)

static void put_mask_q(PpcState *s, uint32_t insn, bool set)
{
    *vec_t(s, insn) = (PpcVec){ .sd = { set ? -1 : 0, set ? -1 : 0 } };
}

void ppc_exec_mtvsrqm(PpcState *s, uint32_t insn) { put_mask_q(s, insn, s->gpr[field_b(insn)] & 1); }
void ppc_exec_vexpandqm(PpcState *s, uint32_t insn) { put_mask_q(s, insn, vec_b(s, insn)->sd[0] < 0); }
void ppc_exec_vextractqm(PpcState *s, uint32_t insn) { s->gpr[field_t(insn)] = vec_b(s, insn)->d[0] >> 63; }

/* Sixteen bits in three fields. */
void ppc_exec_mtvsrbmi(PpcState *s, uint32_t insn)
{
    put_mask_b(s, insn, (insn & 0xffc0) | (insn >> 15 & 0x3e) | (insn & 1));
}

/* Every Nth bit, from the left. */
void ppc_exec_vgnb(PpcState *s, uint32_t insn)
{
    U128 b = vec_u128(vec_b(s, insn));
    unsigned n = insn >> 16 & 7;
    uint64_t r = 0;

    for (unsigned i = 0, to = 0; n >= 2 && i < 128; i += n, to++) {
        r |= (uint64_t)(b >> (127 - i) & 1) << (63 - to);
    }
    s->gpr[field_t(insn)] = r;
}

#define GATHER(name, expression)                                                   \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                               \
    {                                                                              \
        for (unsigned i = 0; i < 2; i++) {                                         \
            uint64_t a = vec_a(s, insn)->d[i], b = vec_b(s, insn)->d[i];           \
                                                                                   \
            vec_t(s, insn)->d[i] = expression;                                     \
        }                                                                          \
    }
GATHER(vcfuged, ppc_helper_cfuged(s, a, b, 0, 0))
GATHER(vpdepd, ppc_helper_pdepd(s, a, b, 0, 0))
GATHER(vpextd, ppc_helper_pextd(s, a, b, 0, 0))
GATHER(vclzdm, ppc_helper_zeros_under(s, a, b, 0, 0))
GATHER(vctzdm, ppc_helper_zeros_under(s, a, b, 1, 0))

/* Elements up to the first zero one; CR6 tells whether there was one. */
#define STRING(name, member, count, place)                                         \
    void ppc_exec_##name(PpcState *s, uint32_t insn)                               \
    {                                                                              \
        PpcVec b = *vec_b(s, insn), *t = vec_t(s, insn);                           \
        bool ended = false;                                                        \
                                                                                   \
        for (unsigned i = 0; i < count; i++) {                                     \
            ended |= !b.member[place];                                             \
            t->member[place] = ended ? 0 : b.member[place];                        \
        }                                                                          \
        if (insn & 0x400) {                                                        \
            s->cr[6] = ended ? 2 : 0;                                              \
        }                                                                          \
    }
STRING(vstribl, b, 16, BYTE_AT(i))
STRING(vstribr, b, 16, BYTE_AT(15 - i))
STRING(vstrihl, h, 8, HALF_AT(i))
STRING(vstrihr, h, 8, HALF_AT(7 - i))

/* Keeps so many bytes at one end. */
static void clear_bytes(PpcState *s, uint32_t insn, bool leftmost)
{
    uint64_t keep = s->gpr[field_b(insn)];
    PpcVec a = *vec_a(s, insn), *t = vec_t(s, insn);

    for (unsigned i = 0; i < 16; i++) {
        unsigned at = BYTE_AT(leftmost ? 15 - i : i);

        t->b[at] = i < keep ? a.b[at] : 0;
    }
}

void ppc_exec_vclrlb(PpcState *s, uint32_t insn) { clear_bytes(s, insn, true); }
void ppc_exec_vclrrb(PpcState *s, uint32_t insn) { clear_bytes(s, insn, false); }

/* Whether the last bits of all bytes are ones, or zeros. */
void ppc_exec_xvtlsbb(PpcState *s, uint32_t insn)
{
    const uint64_t *b = s->vsr[field_xb(insn)], ones = UINT64_C(0x0101010101010101);

    s->cr[field_bf(insn)] = ((b[0] & b[1] & ones) == ones ? 8 : 0) | (!((b[0] | b[1]) & ones) ? 2 : 0);
}

/*
 * The control vector by which vperm (vpermr: from the right) spreads packed elements to the places of the mask B, or packs
 * the elements of these places. Its bytes are numbers; elements that B leaves out come from the second source, or are zero.
 */
static void make_control(PpcState *s, uint32_t insn, unsigned size)
{
    enum { COMPRESS = 1, FROM_RIGHT = 2 };
    unsigned how = insn >> 16 & 31, n = 16 / size, used = 0;
    const PpcVec *b = vec_b(s, insn);
    PpcVec r = { .d = { 0, 0 } };

    if (how > 3) {
        return; /* reserved: the register stays */
    }
    for (unsigned i = 0; i < n; i++) {
        unsigned at = how & FROM_RIGHT ? n - 1 - i : i;
        bool set = b->sb[BYTE_AT(at * size)] < 0;
        unsigned to = how & COMPRESS ? (how & FROM_RIGHT ? n - 1 - used : used) : at;
        unsigned value = how & COMPRESS ? i : set ? used : i + n;

        if (set || !(how & COMPRESS)) {
            for (unsigned k = 0; k < size; k++) {
                r.b[BYTE_AT(to * size + k)] = value * size + (how & FROM_RIGHT ? size - 1 - k : k);
            }
        }
        used += set;
    }
    *vec_reg(s, field_xt(insn)) = r;
}

void ppc_exec_xxgenpcvbm(PpcState *s, uint32_t insn) { make_control(s, insn, 1); }
void ppc_exec_xxgenpcvhm(PpcState *s, uint32_t insn) { make_control(s, insn, 2); }
void ppc_exec_xxgenpcvwm(PpcState *s, uint32_t insn) { make_control(s, insn, 4); }
void ppc_exec_xxgenpcvdm(PpcState *s, uint32_t insn) { make_control(s, insn, 8); }
