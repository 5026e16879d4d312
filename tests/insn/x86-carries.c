/* Chains of carries: ADCX and ADOX among what changes all flags or some of them, and what reads them. */
#include "target/x86/internal.h"
#include "tests/insn/x86-random.h"

enum { COUNT = 20 };

static void instruction(Code *c, unsigned prefix, uint64_t opcode, unsigned size, uint8_t modrm)
{
    if (prefix) {
        byte(c, prefix);
    }
    if (!c->is32) {
        byte(c, 0x48);
    }
    bytes(c, opcode, size);
    byte(c, modrm);
}

void build_carries(Case *one, GRand *rand, NativeMode mode)
{
    static const uint8_t regs[] = {R_AX, R_CX, R_DX, R_BP}, conditions[] = {CC_O, CC_B, CC_E, CC_BE, CC_S, CC_P, CC_L, CC_LE};
    Code c = {.at = (uint8_t *)NATIVE_CODE, .rand = rand, .is32 = mode != NATIVE_64};
    uint8_t *begin = c.at;

    for (unsigned i = 0; i < COUNT; i++) {
        unsigned reg = regs[any(&c, 4)], rm = regs[any(&c, 4)], cc = conditions[any(&c, 8)] ^ any(&c, 2);
        unsigned kind = any(&c, 24);

        if (kind < 10) { /* adcx, adox */
            instruction(&c, kind & 1 ? 0xf3 : 0x66, 0xf6380f, 3, 0xc0 | reg << 3 | rm);
        } else if (kind < 13) { /* the same from memory */
            instruction(&c, kind & 1 ? 0xf3 : 0x66, 0xf6380f, 3, 0x40 | reg << 3 | R_BX);
            byte(&c, any(&c, 16) * 8);
        } else if (kind < 16) { /* inc, dec */
            instruction(&c, 0, 0xff, 1, 0xc0 | any(&c, 2) << 3 | rm);
        } else if (kind == 16) { /* sub to zero, neg, adc, cmp */
            instruction(&c, 0, 0x29, 1, 0xc0 | rm << 3 | rm);
        } else if (kind == 17) {
            instruction(&c, 0, any(&c, 2) ? 0x11 : 0x39, 1, 0xc0 | reg << 3 | rm);
        } else if (kind == 18) { /* stc, clc, cmc */
            static const uint8_t ops[] = {0xf9, 0xf8, 0xf5};

            byte(&c, ops[any(&c, 3)]);
        } else if (kind == 19) { /* rcl or rcr by 1: CF and OF alone */
            instruction(&c, 0, 0xd1, 1, 0xd0 | any(&c, 2) << 3 | rm);
        } else if (kind == 20) { /* mov to or from memory, where the block may be left */
            instruction(&c, 0, any(&c, 2) ? 0x89 : 0x8b, 1, 0x40 | reg << 3 | R_BX);
            byte(&c, any(&c, 16) * 8);
        } else if (kind == 21) {
            instruction(&c, 0, 0x400f | cc << 8, 2, 0xc0 | reg << 3 | rm); /* cmov */
        } else if (kind == 22) {
            bytes(&c, 0xc0900f | cc << 8 | any(&c, 3) << 16, 3); /* setcc al, cl, dl */
        } else {
            bytes(&c, 0xc8890270 | cc, 4); /* jcc over mov eax, ecx */
        }
    }
    one->undefined = 0;
    g_string_assign(one->text, "carries:");
    for (uint8_t *p = begin; p < c.at; p++) {
        g_string_append_printf(one->text, " %02x", *p);
    }
    one->size = c.at - begin;
    native_finish(c.at, mode);
}
