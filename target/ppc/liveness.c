/*
 * Whether anyone will want a condition register field from its slot, by a look at the next instructions.
 *
 * A comparison's field need not be stored if the branch that reads it is in the same block, where it compares again,
 * and all ways from there overwrite the field before they read it. A fault or an interrupt in between shows an older
 * field to its handler; nothing uses it behind its return either. So no instruction that may fault can be between the
 * comparison and its branch: the block that begins there would read the slot.
 *
 * Code is looked at on the block's page only. Where it is changed later, blocks that only looked at it stay; kernels
 * change nops, so a nop on the way ends the search.
 */
#include "target/ppc/insns.h"

#include "util/bits.h"

enum { LOOK_AHEAD = 12, NOP = 0x60000000 };

typedef enum Effect { NOTHING, WRITES, UNKNOWN } Effect;

/* Extended opcodes of primary opcode 31 that are plain arithmetic or logic, with Rc where it may be set. */
static bool is_plain_alu(unsigned xo)
{
    switch (xo & 511) { /* OE apart */
    case 8: case 9: case 10: case 11: case 40: case 73: case 75: case 104: case 136: case 138: case 200: case 202: case 232:
    case 233: case 234: case 235: case 266: case 457: case 459: case 489: case 491:
        return true;
    default:
        break;
    }
    switch (xo) {
    case 24: case 26: case 27: case 28: case 58: case 60: case 124: case 284: case 316: case 412: case 444: case 476: case 536:
    case 539: case 792: case 794: case 824: case 826: case 827: case 922: case 954: case 986:
        return true;
    default:
        return false;
    }
}

static bool is_plain_indexed(unsigned xo)
{
    switch (xo) {
    case 21: case 23: case 53: case 55: case 87: case 119: case 149: case 151: case 181: case 183: case 215: case 247: case 279:
    case 311: case 341: case 343: case 373: case 375: case 407: case 439: case 534: case 662: case 790: case 918:
        return true;
    default:
        return false;
    }
}

/* What an instruction that is no branch does to a field. may_fault: whether it can leave the block. */
static Effect effect_of(uint32_t word, unsigned field, bool *may_fault)
{
    unsigned op = word >> 26, xo = word >> 1 & 1023;
    bool records = field == 0 && (word & 1);

    *may_fault = false;
    switch (op) {
    case 10: case 11:
        return (word >> 23 & 7) == field ? WRITES : NOTHING;
    case 13: case 28: case 29:
        return field == 0 ? WRITES : NOTHING;
    case 7: case 8: case 12: case 14: case 15: case 24: case 25: case 26: case 27:
        return NOTHING;
    case 20: case 21: case 23: case 30:
        return records ? WRITES : NOTHING;
    case 31:
        if (xo == 0 || xo == 32) {
            return (word >> 23 & 7) == field ? WRITES : NOTHING;
        }
        if (is_plain_alu(xo)) {
            return records ? WRITES : NOTHING;
        }
        *may_fault = true;
        if (is_plain_indexed(xo)) {
            return NOTHING;
        }
        return (xo == 339 || xo == 467) && ((word >> 16 & 31) == 8 || (word >> 16 & 31) == 9) && !(word >> 11 & 31) ? NOTHING : UNKNOWN;
    default:
        *may_fault = true;
        return (op >= 32 && op < 46) || op == 58 || op == 62 ? NOTHING : UNKNOWN;
    }
}

/* The word at pc if that is on the block's page and there to stay; prefixed instructions are none that this file knows. */
static bool look(PpcTranslator *tr, uint64_t pc, uint32_t *word)
{
    uint8_t bytes[4];

    if ((pc ^ tr->t->key->pc) >> GUEST_PAGE_BITS || (tr->t->may_be_patched && tr->t->may_be_patched(tr->t, pc, 4))) {
        return false;
    }
    for (unsigned i = 0; i < 4; i++) {
        if (!tr->t->fetch(tr->t, pc + i, &bytes[i])) {
            return false;
        }
    }
    *word = tr->mode & MODE_LE ? load_le32(bytes) : load_be32(bytes);
    return true;
}

/* Of a conditional branch: whether it reads the field, and where it goes. */
static bool branch_reads(uint32_t word, unsigned field)
{
    return !(word >> 21 & 16) && (word >> 18 & 7) == field;
}

static uint64_t branch_target(const PpcTranslator *tr, uint32_t word, uint64_t pc)
{
    int64_t by = word >> 26 == 16 ? (int16_t)(word & 0xfffc) : (int32_t)((word & 0x03fffffc) << 6) >> 6;

    if (word & 2 && tr->t->key->pic_bits) {
        return UINT64_MAX; /* not on this page, as far as anybody knows */
    }
    return ((word & 2 ? 0 : pc) + by) & tr->pc_mask;
}

/* Whether code at pc overwrites the field before it reads it. */
static bool dead_at(PpcTranslator *tr, uint64_t pc, unsigned field, unsigned depth)
{
    for (unsigned n = 0; n < LOOK_AHEAD; n++) {
        bool may_fault;
        uint32_t word;

        if (!look(tr, pc, &word) || word == NOP) {
            return false;
        }
        if (word >> 26 == 18 && !(word & 1)) {
            pc = branch_target(tr, word, pc);
            continue;
        }
        if (word >> 26 == 16) {
            if ((word & 1) || branch_reads(word, field) || !depth || !dead_at(tr, branch_target(tr, word, pc), field, depth - 1)) {
                return false;
            }
        } else {
            Effect effect = effect_of(word, field, &may_fault);

            if (effect != NOTHING) {
                return effect == WRITES;
            }
        }
        pc = (pc + 4) & tr->pc_mask;
    }
    return false;
}

bool ppc_cr_wanted(PpcTranslator *tr, unsigned field)
{
    uint64_t pc = tr->next_pc;

    if (ppc_each_insn_exits(tr) || (tr->mode & MODE_BE)) {
        return true;
    }
    for (unsigned n = 1; tr->n_insns + n <= tr->limit; n++) {
        bool may_fault;
        uint32_t word;

        /* What ends the block before the branch is in it. */
        if (tr->n_side_exits >= PPC_MAX_SIDE_EXITS || tr->n_cold + PPC_COLD_OF_ONE > PPC_MAX_COLD || !look(tr, pc, &word) ||
            (tr->t->has_breakpoint && tr->t->has_breakpoint(tr->t, pc))) {
            return true;
        }
        if (word >> 26 == 16) {
            return !branch_reads(word, field) || (word >> 16 & 3) == 3 || (word & 1) ||
                   !dead_at(tr, branch_target(tr, word, pc), field, 1) || !dead_at(tr, (pc + 4) & tr->pc_mask, field, 1);
        }
        switch (effect_of(word, field, &may_fault)) {
        case WRITES:
            return false;
        case UNKNOWN:
            return true;
        case NOTHING:
            if (may_fault) {
                return true;
            }
            break;
        }
        pc = (pc + 4) & tr->pc_mask;
    }
    return true;
}
