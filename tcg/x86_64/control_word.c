/*
 * Where loads of the x87's control word lie.
 *
 * A Zen 5 guesses what FLDCW will load: what the last one did that had the same place of 32, by a hash of the address behind the
 * instruction. A wrong guess costs some 400 cycles (measured; LDMXCSR knows nothing of this). Programs load two words in turn,
 * one that truncates and the usual one. Where the two loads share a place, as one pair in 32 does by chance, each is guessed
 * wrong, always. So each gets a place by its displacement: words beside each other are at different places, and all loads
 * of one word at the same.
 */
#include "backend.h"
#include "tcg/raw.h"

enum { PLACES = 32 };

/* The hash: bits 0 to 13, in three rows of five whose order turns round. */
static unsigned place_of(uintptr_t end)
{
    static const uint8_t folded[] = { 0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 1, 2, 3, 4 };
    unsigned place = 0;

    for (unsigned k = 0; k < sizeof(folded); k++) {
        place ^= (end >> k & 1) << folded[k];
    }
    return place;
}

static bool loads_control_word(const IrRaw *raw)
{
    enum { FLDCW = 0xd9, DIGIT = 5 };

    return raw->x87 && raw->rm_role == RAW_MEM && raw->reg_role == RAW_DIGIT && raw->opcode == FLDCW && raw->reg == DIGIT;
}

void control_word_place(Context *c, const IrInsn *insn, Mem mem)
{
    const IrRaw *raw = &c->ir->raws[insn->bits & ~IRB_FLAGS];
    uint8_t *at = c->a.p;
    uintptr_t end;
    unsigned nops = 0;

    if (!host_has(HOST_GUESSES_FLDCW) || !loads_control_word(raw)) {
        return;
    }
    raw_encode(c, raw, RAX, mem); /* to see how long it is */
    end = (uintptr_t)c->a.p + c->a.to_exec;
    c->a.p = at;
    while (place_of(end + nops) != (uint32_t)insn->imm / 2 % PLACES) {
        nops++;
    }
    asm_nop(&c->a, nops);
}
