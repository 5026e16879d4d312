/*
 * Cases of instructions whose fields go together: reservations in pairs, quadwords, atomic memory operations, strings, cache blocks,
 * branches over what follows, special registers.
 */
#include "tests/insn/ppc-oracle/oracle.h"

#include "util/bits.h"

#include <string.h>

enum { BLOCK = 128 };

typedef enum Kind { PLAIN, LOAD_RESERVE, STORE_CONDITIONAL, QUAD, AMO, STRING, BLOCK_OF_CACHE, BRANCH, MOVE_SPECIAL } Kind;

static Kind kind_of(const PpcRow *row)
{
    static const struct {
        const char *name;
        Kind kind;
    } kinds[] = {
        { "l?arx", LOAD_RESERVE }, { "st?cx.", STORE_CONDITIONAL }, { "lq", QUAD }, { "stq", QUAD }, { "l?at", AMO }, { "st?at", AMO },
        { "lsw?", STRING }, { "stsw?", STRING }, { "dcb*", BLOCK_OF_CACHE }, { "icb*", BLOCK_OF_CACHE },
        { "b", BRANCH }, { "bc", BRANCH }, { "mfspr", MOVE_SPECIAL }, { "mtspr", MOVE_SPECIAL },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (g_pattern_match_simple(kinds[i].name, row->name)) {
            return kinds[i].kind;
        }
    }
    return PLAIN;
}

bool is_special(const PpcRow *row)
{
    return kind_of(row) != PLAIN;
}

static unsigned size_of(const PpcRow *row)
{
    switch (row->name[row->name[0] == 'l' ? 1 : 2]) {
    case 'b': return 1;
    case 'h': return 2;
    case 'w': return 4;
    case 'd': return 8;
    default: return 16;
    }
}

/* A base register out of 20 to 30, with an address that is a multiple of the size. */
static unsigned make_base(OracleCase *c, unsigned size)
{
    unsigned ra = 20 + below(11);

    c->state.gpr[ra] = ORACLE_MEMORY + BLOCK + below(64) / size * size;
    return ra;
}

/* An index register that is another one, and its contents. */
static unsigned make_index(OracleCase *c, unsigned base, unsigned size)
{
    unsigned rb = base == 30 ? 20 : base + 1;
    int64_t index = ((int)below(5) - 2) * (int)size;

    c->state.gpr[rb] = is64() ? (uint64_t)index : (uint32_t)index;
    return rb;
}

static uint32_t fields(unsigned t, unsigned a, unsigned b)
{
    return t << 21 | a << 16 | b << 11;
}

/* The conditional store is of the place that was loaded, most times. */
static void make_reservation(const PpcRow *row, OracleCase *c, bool stores)
{
    static const uint32_t loads[] = { [1] = 52, [2] = 116, [4] = 20, [8] = 84, [16] = 276 };
    unsigned size = size_of(row), ra = make_base(c, size), rb = make_index(c, ra, size), other = 19;

    c->n_insns = 0;
    if (stores) {
        uint64_t index = c->state.gpr[rb] + (below(8) ? 0 : size);

        c->state.gpr[other] = is64() ? index : (uint32_t)index;
        c->insns[c->n_insns++] = 31u << 26 | fields(size == 16 ? 16 : 18, ra, other) | loads[size] << 1;
    }
    c->insns[c->n_insns++] = row->match | fields(size == 16 ? below(8) * 2 : below(18), ra, rb);
}

static void make_quad(const PpcRow *row, OracleCase *c)
{
    unsigned ra = make_base(c, 16), t = below(9) * 2;

    c->insns[0] = row->match | fields(t, ra, 0) | (((int)below(4) - 2) * 16 & 0xfff0);
    c->n_insns = 1;
}

/* Operands are in the registers behind the target; some functions use the neighbour in memory too, in the same 32 bytes. */
static void make_amo(const PpcRow *row, OracleCase *c)
{
    static const uint8_t functions[] = { 0, 1, 2, 3, 4, 5, 6, 7, 24, 8, 16, 25, 28 };
    unsigned ra = make_base(c, 32), size = size_of(row), stores = row->name[0] == 's';
    uint8_t *operand, function = functions[below(stores ? 9 : G_N_ELEMENTS(functions))];

    c->state.gpr[ra] += 16;
    operand = c->state.memory + (c->state.gpr[ra] - ORACLE_MEMORY);
    c->insns[0] = row->match | fields(below(18), ra, function);
    if (below(3) == 0) { /* equal values take other ways */
        memcpy(operand + 8, operand, 8);
        memcpy(operand + 4, operand, 4);
    }
    if (function == 28) { /* the black box takes its bound from behind the operand, not from before it */
        memcpy(operand - size, operand + size, size);
    }
    c->n_insns = 1;
}

/* Up to 32 bytes in registers from T on, which do not reach the base. */
static void make_string(const PpcRow *row, OracleCase *c)
{
    bool indexed = row->name[strlen(row->name) - 1] == 'x';
    unsigned ra = make_base(c, 1), bytes = 1 + below(32);

    c->state.xer = (c->state.xer & ~UINT64_C(0x7f)) | bytes;
    c->insns[0] = row->match | fields(below(12), ra, indexed ? make_index(c, ra, 1) : bytes & 31);
    c->n_insns = 1;
}

static void make_block(const PpcRow *row, OracleCase *c)
{
    unsigned ra = make_base(c, 1);

    c->insns[0] = row->match | fields(0, ra, make_index(c, ra, 1));
    c->n_insns = 1;
}

/* Over the second of three instructions, or not. */
static void make_branch(const PpcRow *row, OracleCase *c)
{
    static const uint8_t conditions[] = { 0, 2, 4, 8, 10, 12, 16, 18, 20 }; /* BO without hints */

    if (row->name[1] == 'c') {
        c->state.ctr = below(3) ? c->state.ctr : below(3);
        c->insns[0] = row->match | fields(conditions[below(G_N_ELEMENTS(conditions))] | below(2), below(32), 0) | 8;
    } else {
        c->insns[0] = row->match | 8;
    }
    c->insns[1] = 14u << 26 | fields(below(30), 0, 0) | (next() & 0x7fff); /* li */
    c->insns[2] = 14u << 26 | fields(below(30), 0, 0) | (next() & 0x7fff);
    c->n_insns = 3;
}

static void make_move(const PpcRow *row, OracleCase *c)
{
    static const uint16_t registers[] = { 1, 8, 9, 256 }; /* XER, LR, CTR, VRSAVE */
    unsigned spr = registers[below(setup->has_vec ? 4 : 3)];

    c->insns[0] = row->match | fields(below(30), spr & 31, spr >> 5);
    c->n_insns = 1;
}

void make_special(const PpcRow *row, OracleCase *c)
{
    switch (kind_of(row)) {
    case LOAD_RESERVE:
    case STORE_CONDITIONAL:
        make_reservation(row, c, kind_of(row) == STORE_CONDITIONAL);
        break;
    case QUAD: make_quad(row, c); break;
    case AMO: make_amo(row, c); break;
    case STRING: make_string(row, c); break;
    case BLOCK_OF_CACHE: make_block(row, c); break;
    case BRANCH: make_branch(row, c); break;
    case MOVE_SPECIAL: make_move(row, c); break;
    case PLAIN: break;
    }
}
