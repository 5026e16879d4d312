/* The guest state that translated code knows by name, and the helpers that it calls. */
#include "target/ppc/internal.h"

#define REG(n, rank)             [n] = {"r" #n, offsetof(PpcState, gpr[n]), IR_I64, rank}
#define FIELD(name, field, type) {name, offsetof(PpcState, field), type, -1}
#define CR(n)                    [SLOT_CR0 + n] = FIELD("cr" #n, cr[n], IR_I8)

/* Arguments and what compilers use first are in host registers: r3 to r10, the stack pointer, r0 and r31. */
const IrSlot ppc_slots[SLOT_COUNT] = {
    REG(0, 9), REG(1, 8), REG(2, -1), REG(3, 0), REG(4, 4), REG(5, 5), REG(6, 6), REG(7, 7),
    REG(8, 3), REG(9, 2), REG(10, 1), REG(11, -1), REG(12, -1), REG(13, -1), REG(14, -1), REG(15, -1),
    REG(16, -1), REG(17, -1), REG(18, -1), REG(19, -1), REG(20, -1), REG(21, -1), REG(22, -1), REG(23, -1),
    REG(24, -1), REG(25, -1), REG(26, -1), REG(27, -1), REG(28, -1), REG(29, -1), REG(30, -1), REG(31, 10),
    [SLOT_PC] = FIELD("pc", pc, IR_I64),
    [SLOT_LR] = FIELD("lr", lr, IR_I64),
    [SLOT_CTR] = FIELD("ctr", ctr, IR_I64),
    [SLOT_CA] = FIELD("ca", ca, IR_I8),
    [SLOT_OV] = FIELD("ov", ov, IR_I8),
    [SLOT_SO] = FIELD("so", so, IR_I8),
    [SLOT_CA32] = FIELD("ca32", ca32, IR_I8),
    [SLOT_OV32] = FIELD("ov32", ov32, IR_I8),
    CR(0), CR(1), CR(2), CR(3), CR(4), CR(5), CR(6), CR(7),
    [SLOT_RESERVE_ADDR] = FIELD("reserve_addr", reserve_addr, IR_I64),
    [SLOT_RESERVE_VALUE] = FIELD("reserve_value", reserve_value, IR_I64),
    [SLOT_RESERVE_VALUE2] = FIELD("reserve_value2", reserve_value2, IR_I64),
    [SLOT_RESERVE_SIZE] = FIELD("reserve_size", reserve_size, IR_I32),
    [SLOT_VRSAVE] = FIELD("vrsave", vrsave, IR_I32),
    [SLOT_VSCR] = FIELD("vscr", vscr, IR_I32),
    [SLOT_PMU_LEFT] = FIELD("pmu_left", pmu_left, IR_I64),
    [SLOT_PIC_PAGE] = FIELD("pic_page", hot.pic_page, IR_I64),
};

const IrHelper ppc_helpers[HELPER_COUNT] = {
#define HELPER(name, result, args, effects, reads, writes) \
    {#name, (void *)ppc_helper_##name, args, result, effects, reads, writes},
#include "target/ppc/helpers.def"
#undef HELPER
};
