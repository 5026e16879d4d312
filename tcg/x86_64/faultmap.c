/*
 * Fault maps: for each point of a block that may fault, the guest pc and where the dirty slots are.
 *
 * Encoding: a varint of the number of records, then for each, varints of: the offset's distance, the
 * pc's signed distance, the number of places; and for each place its slot, kind and size, and varint.
 */
#include "backend.h"

static void put_varint(Context *c, uint32_t *n, uint64_t v)
{
    if (*n + 16 > c->max_map) {
        c->max_map = c->max_map * 2 + 256;
        c->map = g_realloc(c->map, c->max_map);
    }
    while (v >= 0x80) {
        c->map[(*n)++] = v | 0x80;
        v >>= 7;
    }
    c->map[(*n)++] = v;
}

static void put_signed(Context *c, uint32_t *n, int64_t v)
{
    put_varint(c, n, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

static void put_place(Context *c, uint32_t *n, const Place *p)
{
    const Order *o;

    put_varint(c, n, p->slot | p->kind << 6 | (uint32_t)p->size << 8);
    switch (p->kind) {
    case PLACE_REG:
        put_varint(c, n, p->reg);
        break;
    case PLACE_CONST:
        put_varint(c, n, p->imm);
        break;
    case PLACE_MEM:
        put_signed(c, n, p->disp);
        break;
    case PLACE_ORDER:
        o = &c->orders[p->imm];
        for (unsigned k = 0; k < 3; k++) {
            put_place(c, n, &o->in[k]);
        }
        break;
    }
}

uint32_t fault_map_encode(Context *c)
{
    uint32_t n = 0, offset = 0;
    uint64_t pc = 0;

    put_varint(c, &n, c->n_faults);
    for (uint32_t k = 0; k < c->n_faults; k++) {
        const FaultRecord *f = &c->faults[k];

        put_signed(c, &n, (int64_t)f->offset - offset);
        put_signed(c, &n, (int64_t)(f->pc - pc));
        put_varint(c, &n, f->snapshot.count);
        for (uint32_t i = 0; i < f->snapshot.count; i++) {
            put_place(c, &n, &c->places[f->snapshot.first + i]);
        }
        offset = f->offset;
        pc = f->pc;
    }
    return n;
}
