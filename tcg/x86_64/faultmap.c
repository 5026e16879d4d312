/*
 * Fault maps: for each point of a block that may fault, the guest pc and where the dirty slots are.
 *
 * Encoding: a varint of the number of records, then for each, varints of: the offset's distance, the
 * pc's signed distance, the number of places; and for each place its slot, kind and size, and varint.
 */
#include "backend.h"

enum { LONGEST_VARINT = 10, LONGEST_PLACE = 2 * LONGEST_VARINT * 4 /* an order's with three more */, LONGEST_RECORD = 3 * LONGEST_VARINT };

static void make_room(Context *c, uint32_t used, uint32_t more)
{
    if (used + more > c->max_map) {
        c->max_map = c->max_map * 2 + more;
        c->map = g_realloc(c->map, c->max_map);
    }
}

static inline uint8_t *put_varint(uint8_t *to, uint64_t v)
{
    while (G_UNLIKELY(v >= 0x80)) {
        *to++ = v | 0x80;
        v >>= 7;
    }
    *to++ = v;
    return to;
}

static inline uint8_t *put_signed(uint8_t *to, int64_t v)
{
    return put_varint(to, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

static uint8_t *put_place(const Context *c, uint8_t *to, const Place *p)
{
    to = put_varint(to, p->slot | p->kind << 6 | (uint32_t)p->size << 8);
    switch (p->kind) {
    case PLACE_REG:
        return put_varint(to, p->reg);
    case PLACE_CONST:
        return put_varint(to, p->imm);
    case PLACE_MEM:
        return put_signed(to, p->disp);
    default: /* PLACE_ORDER */
        for (unsigned k = 0; k < 3; k++) {
            to = put_place(c, to, &c->orders[p->imm].in[k]);
        }
        return to;
    }
}

uint32_t fault_map_encode(Context *c)
{
    uint32_t offset = 0;
    uint64_t pc = 0;
    uint8_t *to;

    make_room(c, 0, LONGEST_VARINT);
    to = put_varint(c->map, c->n_faults);
    for (uint32_t k = 0; k < c->n_faults; k++) {
        const FaultRecord *f = &c->faults[k];

        uint32_t used = to - c->map;

        make_room(c, used, LONGEST_RECORD + f->snapshot.count * LONGEST_PLACE);
        to = put_signed(c->map + used, (int64_t)f->offset - offset);
        to = put_signed(to, (int64_t)(f->pc - pc));
        to = put_varint(to, f->snapshot.count);
        for (uint32_t i = 0; i < f->snapshot.count; i++) {
            to = put_place(c, to, &c->places[f->snapshot.first + i]);
        }
        offset = f->offset;
        pc = f->pc;
    }
    return to - c->map;
}
