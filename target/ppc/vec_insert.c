/*
 * Bytes in and out of vector registers at a place that a register tells, and shifts of register pairs by bits
 * (Power ISA 3.1, book I, 6.9). What would leave the register is undefined, and left out.
 */
#include "vec_ops.h"

static void insert(PpcState *s, uint32_t insn, unsigned at, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        if (at + i < 16) {
            vec_t(s, insn)->b[BYTE_AT(at + i)] = value >> 8 * (size - 1 - i);
        }
    }
}

#define INSERTS(letter, size)                                                                        \
    void ppc_exec_vins##letter##lx(PpcState *s, uint32_t insn)                                       \
    {                                                                                                \
        insert(s, insn, s->gpr[field_a(insn)] & 15, s->gpr[field_b(insn)], size);                    \
    }                                                                                                \
    void ppc_exec_vins##letter##rx(PpcState *s, uint32_t insn)                                       \
    {                                                                                                \
        insert(s, insn, 16 - size - (s->gpr[field_a(insn)] & 15), s->gpr[field_b(insn)], size);      \
    }
#define INSERTS_FROM_VECTOR(letter, size)                                                            \
    void ppc_exec_vins##letter##vlx(PpcState *s, uint32_t insn)                                      \
    {                                                                                                \
        insert(s, insn, s->gpr[field_a(insn)] & 15, vec_b(s, insn)->d[0], size);                     \
    }                                                                                                \
    void ppc_exec_vins##letter##vrx(PpcState *s, uint32_t insn)                                      \
    {                                                                                                \
        insert(s, insn, 16 - size - (s->gpr[field_a(insn)] & 15), vec_b(s, insn)->d[0], size);       \
    }
INSERTS(b, 1)
INSERTS(h, 2)
INSERTS(w, 4)
INSERTS(d, 8)
INSERTS_FROM_VECTOR(b, 1)
INSERTS_FROM_VECTOR(h, 2)
INSERTS_FROM_VECTOR(w, 4)

void ppc_exec_vinsw(PpcState *s, uint32_t insn) { insert(s, insn, field_a(insn) & 15, s->gpr[field_b(insn)], 4); }
void ppc_exec_vinsd(PpcState *s, uint32_t insn) { insert(s, insn, field_a(insn) & 15, s->gpr[field_b(insn)], 8); }

/* From A and B side by side into the left doubleword. */
static void extract(PpcState *s, uint32_t insn, unsigned at, unsigned size)
{
    uint64_t r = 0;

    for (unsigned i = 0; i < size; i++) {
        const PpcVec *from = at + i < 16 ? vec_a(s, insn) : vec_b(s, insn);

        r = r << 8 | (at + i < 32 ? from->b[BYTE_AT((at + i) & 15)] : 0);
    }
    *vec_t(s, insn) = (PpcVec){ .d = { r, 0 } };
}

#define EXTRACTS(letter, size)                                                                                \
    void ppc_exec_vext##letter##lx(PpcState *s, uint32_t insn) { extract(s, insn, s->gpr[field_c(insn)] & 31, size); } \
    void ppc_exec_vext##letter##rx(PpcState *s, uint32_t insn)                                                \
    {                                                                                                         \
        extract(s, insn, 32 - size - (s->gpr[field_c(insn)] & 31), size);                                     \
    }
EXTRACTS(dubv, 1)
EXTRACTS(duhv, 2)
EXTRACTS(duwv, 4)
EXTRACTS(ddv, 8)

void ppc_exec_vsldbi(PpcState *s, uint32_t insn)
{
    unsigned by = insn >> 6 & 7;
    U128 a = vec_u128(vec_a(s, insn)), b = vec_u128(vec_b(s, insn));

    vec_set_u128(vec_t(s, insn), by ? a << by | b >> (128 - by) : a);
}

void ppc_exec_vsrdbi(PpcState *s, uint32_t insn)
{
    unsigned by = insn >> 6 & 7;
    U128 a = vec_u128(vec_a(s, insn)), b = vec_u128(vec_b(s, insn));

    vec_set_u128(vec_t(s, insn), by ? b >> by | a << (128 - by) : b);
}
