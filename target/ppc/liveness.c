/*
 * Which condition register fields, and whether CA, need not be stored at an exit, by a look at the instructions where it leads.
 *
 * What all ways from there overwrite before they read it is dead. A fault or an interrupt in between shows an older field
 * to its handler; nothing uses it behind its return either.
 *
 * Code is looked at on the block's page only, and the block is made anew where it changes. Kernels change nops, so theirs end the search.
 */
#include "target/ppc/insns.h"

#include "util/bits.h"

enum { LOOK_AHEAD = 40, BRANCHES = 3, LOOKS_OF_BLOCK = 400, NOP = 0x60000000 };
enum { SPARE_RUNS = 1 /* with one, a run for which there is no room is refused */ };
enum { CR_ALL = 0xff, CA = 1 << 8 };

/* What an instruction does to fields (bit n: field n) and CA. */
typedef struct Effect {
    unsigned reads, writes;
} Effect;

static bool known(Effect *e, unsigned reads, unsigned writes)
{
    *e = (Effect){ reads, writes };
    return true;
}

/* FXM of mtcrf has field 0 on the left. */
static unsigned fields_of_mask(unsigned fxm)
{
    unsigned fields = 0;

    for (unsigned i = 0; i < 8; i++) {
        fields |= (fxm >> (7 - i) & 1) << i;
    }
    return fields;
}

/* Primary opcode 31; OE does not count in forms that have it. */
static bool effect_of_31(uint32_t word, Effect *e)
{
    unsigned xo = word >> 1 & 1023, rc = word & 1, field = word >> 23 & 7;

    switch (xo) {
    case 0: case 32: /* cmp, cmpl */
        return known(e, 0, 1u << field);
    case 15: /* isel */ case 47: case 79: case 111: case 143: case 175: case 207: case 239: case 271: case 303: case 335: case 367:
    case 399: case 431: case 463: case 495: case 527: case 559: case 591: case 623: case 655: case 687: case 719: case 751: case 783:
    case 815: case 847: case 879: case 911: case 943: case 975: case 1007:
        return known(e, 1u << (word >> 8 & 7), 0);
    case 19: /* mfcr */
        return known(e, CR_ALL, 0);
    case 24: case 26: case 27: case 28: case 58: case 60: case 124: case 284: case 316: case 412: case 444: case 476: case 536:
    case 539: case 922: case 954: case 986:
        return known(e, 0, rc);
    case 792: case 794: case 824: case 826: case 827: /* sraw and its kin */
        return known(e, 0, CA | rc);
    case 21: case 23: case 53: case 55: case 87: case 119: case 149: case 151: case 181: case 183: case 215: case 247: case 279:
    case 311: case 341: case 343: case 373: case 375: case 407: case 439: case 532: case 534: case 535: case 599: case 660: case 662:
    case 663: case 727: case 790: case 918: case 278: case 246: case 54: case 86: case 598: case 854:
    case 103: case 231: case 6: case 38: case 844: case 876: case 972: case 940: /* loads, stores, dcbt, dcbst, sync */
    case 122: case 378: case 506: case 508: /* popcntb, popcntw, popcntd, cmpb: without Rc */
        return known(e, 0, 0);
    case 144: /* mtcrf */
        return known(e, 0, fields_of_mask(word >> 12 & 0xff));
    case 339: case 467: /* mfspr, mtspr: LR and CTR */
        return ((word >> 16 & 31) == 8 || (word >> 16 & 31) == 9) && !(word >> 11 & 31) && known(e, 0, 0);
    default:
        break;
    }
    switch (xo & 511) {
    case 8: case 10: /* subfc, addc */
        return known(e, 0, CA | rc);
    case 136: case 138: case 200: case 202: case 232: case 234: /* subfe, adde, ... */
        return known(e, CA, CA | rc);
    case 9: case 11: case 40: case 73: case 75: case 104: case 233: case 235: case 266: case 457: case 459: case 489: case 491:
        return known(e, 0, rc);
    default:
        return false;
    }
}

/* Of an instruction that is no branch; false: anything. */
static bool effect_of(uint32_t word, Effect *e)
{
    unsigned op = word >> 26, xo = word >> 1 & 1023, field = word >> 23 & 7;

    switch (op) {
    case 10: case 11: /* cmpli, cmpi */
        return known(e, 0, 1u << field);
    case 8: case 12: /* subfic, addic */
        return known(e, 0, CA);
    case 13: /* addic. */
        return known(e, 0, CA | 1);
    case 28: case 29: /* andi., andis. */
        return known(e, 0, 1);
    case 7: case 14: case 15: case 24: case 25: case 26: case 27:
        return known(e, 0, 0);
    case 20: case 21: case 23: case 30:
        return known(e, 0, word & 1);
    case 19:
        if (xo == 0) { /* mcrf */
            return known(e, 1u << (word >> 18 & 7), 1u << field);
        }
        /* The logic of bits: even numbers there are branches, rfid. */
        return (xo & 31) == 1 && known(e, 1u << field | 1u << (word >> 18 & 7) | 1u << (word >> 13 & 7), 0);
    case 31:
        return effect_of_31(word, e);
    case 63:
        if (xo == 0 || xo == 32) { /* fcmpu, fcmpo */
            return known(e, 0, 1u << field);
        }
        return !(word & 1) && known(e, 0, 0);
    case 59:
        return !(word & 1) && known(e, 0, 0);
    default:
        return ((op >= 32 && op < 56) || op == 58 || op == 62) && known(e, 0, 0);
    }
}

/* The word at pc if that is on the block's page; prefixed instructions are none that this file knows. */
static bool look(PpcTranslator *tr, uint64_t pc, uint32_t *word)
{
    if ((pc ^ tr->t->key->pc) >> GUEST_PAGE_BITS || (tr->t->may_be_patched && tr->t->may_be_patched(tr->t, pc, 4)) ||
        translation_breaks_at(tr->t, pc)) {
        return false;
    }
    return ppc_fetch_word(tr, pc, word) && (*word != NOP || tr->mode & MODE_PR) && translation_relies_on(tr->t, pc, 4, SPARE_RUNS);
}

static uint64_t branch_target(const PpcTranslator *tr, uint32_t word, uint64_t pc)
{
    int64_t by = word >> 26 == 16 ? (int16_t)(word & 0xfffc) : (int32_t)((word & 0x03fffffc) << 6) >> 6;

    if (word & 2 && tr->t->key->pic_bits) {
        return UINT64_MAX; /* not on this page, as far as anybody knows */
    }
    return ((word & 2 ? 0 : pc) + by) & tr->pc_mask;
}

/* Which of some are dead at pc. */
static unsigned dead_at(PpcTranslator *tr, uint64_t pc, unsigned open, unsigned branches)
{
    unsigned dead = 0;

    for (unsigned n = 0; n < LOOK_AHEAD && open; n++) {
        uint32_t word;
        Effect e;

        if (tr->n_looks++ >= LOOKS_OF_BLOCK || !look(tr, pc, &word)) {
            break;
        }
        if (word >> 26 == 18) {
            pc = branch_target(tr, word, pc);
            continue;
        }
        if (word >> 26 == 16) {
            if (!(word >> 21 & 16)) { /* it looks at a bit */
                open &= ~(1u << (word >> 18 & 7));
            }
            open &= branches ? dead_at(tr, branch_target(tr, word, pc), open, branches - 1) : 0;
        } else if (effect_of(word, &e)) {
            open &= ~e.reads;
            dead |= open & e.writes;
            open &= ~e.writes;
        } else {
            break;
        }
        pc = (pc + 4) & tr->pc_mask;
    }
    return dead;
}

void ppc_mark_exit(PpcTranslator *tr, uint64_t pc)
{
    IrExitDead entry = { .insn = tr->ir->n_insns - 1 };
    unsigned open = tr->cr_put | (tr->ca_put ? CA : 0), dead;

    if (!open || (tr->ir->insns[entry.insn].op != IR_exit_jump && tr->ir->insns[entry.insn].op != IR_exit_if)) {
        return;
    }
    dead = dead_at(tr, pc, open, BRANCHES);
    if (dead) {
        entry.slots = (uint64_t)(dead & CR_ALL) << SLOT_CR0 | (dead & CA ? SLOT_MASK(SLOT_CA) | SLOT_MASK(SLOT_CA32) : 0);
        g_array_append_val(tr->ir->exit_dead, entry);
    }
}
