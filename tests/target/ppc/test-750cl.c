/*
 * Andrew Church's test of a 750CL's instructions (achurch.org/cpu-tests, in the public domain), on bare metal.
 *
 * test-750cl IMAGE: the program assembled for address 100000h, without absolute branches, system calls, traps and paired singles
 * (its head names the symbols). It writes a record of eight words for each instruction that fails; their meaning is in its head.
 */
#include "tests/target/ppc/rig.h"

#include "util/bits.h"

#include <stdio.h>

enum { LOAD = 0x100000, SCRATCH = 0x400000, RECORDS = 0x500000, RETURN = 0x600000, MAX_IMAGE = 0x200000 };

/* What it expects that the architecture leaves open, or that other processors have otherwise. */
static const struct {
    uint32_t word, mask;
    const char *why;
} known[] = {
    { 0xec000032, 0xfc00003e, "an operand that is no single: undefined; the 750CL rounds frC to 25 bits, and NaNs" },
    { 0xec000038, 0xfc000038, "an operand that is no single: undefined; the 750CL rounds frC to 25 bits" },
    { 0xfc00001c, 0xfc0007fc, "the left word is undefined; the 750CL has FFF8000xh there" },
    { 0xec000030, 0xfc0007fe, "FI is undefined" },
    { 0x7c00012d, 0xfc0007ff, "at another address than lwarx had: undefined whether it stores" },
    { 0, 0, NULL },
};

static const char *explain(uint32_t word)
{
    for (unsigned i = 0; known[i].why; i++) {
        if ((word & known[i].mask) == known[i].word) {
            return known[i].why;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const uint32_t end = RIG_END;
    g_autofree char *image = NULL;
    unsigned failed, unknown = 0;
    gsize size;

    if (argc < 2 || !g_file_get_contents(argv[1], &image, &size, NULL) || size > MAX_IMAGE) {
        printf("SKIP: no image %s of the 750CL's tests\n", argc < 2 ? "" : argv[1]);
        return 77;
    }
    rig_start("750cl");
    rig_reset(MSR_FP);
    memcpy(rig_ram + LOAD, image, size);
    rig_words(RETURN, &end, 1);
    rig_state->gpr[3] = 0;
    rig_state->gpr[4] = SCRATCH;
    rig_state->gpr[5] = RECORDS;
    rig_state->vsr[1][0] = UINT64_C(0x3ff0000000000000);
    rig_state->lr = RETURN;
    rig_run(LOAD);
    failed = rig_state->gpr[3];
    for (unsigned i = 0; i < failed && i < 4096; i++) {
        const uint8_t *record = rig_ram + RECORDS + 32 * i;
        const char *why = explain(load_be32(record));

        unknown += !why;
        printf("%08x at %08x: %08x %08x %08x %08x%s%s\n", load_be32(record), load_be32(record + 4), load_be32(record + 8),
               load_be32(record + 12), load_be32(record + 16), load_be32(record + 20), why ? ": " : "", why ? why : "");
    }
    printf("%d instructions failed, %u of them without an explanation\n", (int)failed, unknown);
    return unknown || (int32_t)failed < 0;
}
