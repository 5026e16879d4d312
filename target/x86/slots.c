/* The guest state that translated code knows by name, and the helpers that it calls. */
#include "target/x86/internal.h"

#define REG(n, rank)              {"r" #n, offsetof(X86State, reg[n]), IR_I64, rank}
#define FIELD(name, field, type)  {name, offsetof(X86State, field), type, -1}
#define BASE(name, seg_number)    {name "_base", offsetof(X86State, seg[seg_number].base), IR_I64, -1}

const IrSlot x86_slots[SLOT_COUNT] = {
    [SLOT_AX] = {"rax", offsetof(X86State, reg[R_AX]), IR_I64, 0},
    [SLOT_CX] = {"rcx", offsetof(X86State, reg[R_CX]), IR_I64, 1},
    [SLOT_DX] = {"rdx", offsetof(X86State, reg[R_DX]), IR_I64, 2},
    [SLOT_BX] = {"rbx", offsetof(X86State, reg[R_BX]), IR_I64, 3},
    [SLOT_SP] = {"rsp", offsetof(X86State, reg[R_SP]), IR_I64, 10},
    [SLOT_BP] = {"rbp", offsetof(X86State, reg[R_BP]), IR_I64, 4},
    [SLOT_SI] = {"rsi", offsetof(X86State, reg[R_SI]), IR_I64, 5},
    [SLOT_DI] = {"rdi", offsetof(X86State, reg[R_DI]), IR_I64, 6},
    [SLOT_R8] = REG(8, 7),
    [SLOT_R9] = REG(9, 8),
    [SLOT_R10] = REG(10, 9),
    [SLOT_R11] = REG(11, -1),
    [SLOT_R12] = REG(12, -1),
    [SLOT_R13] = REG(13, -1),
    [SLOT_R14] = REG(14, -1),
    [SLOT_R15] = REG(15, -1),
    [SLOT_PC] = FIELD("pc", pc, IR_I64),
    [SLOT_CC_OP] = FIELD("cc_op", cc_op, IR_I32),
    [SLOT_CC_DST] = FIELD("cc_dst", cc_dst, IR_I64),
    [SLOT_CC_SRC] = FIELD("cc_src", cc_src, IR_I64),
    [SLOT_CC_AUX_DST] = FIELD("cc_aux_dst", cc_aux_dst, IR_I64),
    [SLOT_DF] = FIELD("df", df, IR_I32),
    [SLOT_EFLAGS] = FIELD("eflags", eflags, IR_I32),
    [SLOT_PIC_PAGE] = FIELD("pic_page", hot.pic_page, IR_I64),
    [SLOT_PMU_LEFT] = FIELD("pmu_left", pmu_left, IR_I64),
    [SLOT_PMU_BRANCHES] = FIELD("pmu_branches", pmu_branches, IR_I64),
    [SLOT_ES_BASE] = BASE("es", S_ES),
    [SLOT_CS_BASE] = BASE("cs", S_CS),
    [SLOT_SS_BASE] = BASE("ss", S_SS),
    [SLOT_DS_BASE] = BASE("ds", S_DS),
    [SLOT_FS_BASE] = BASE("fs", S_FS),
    [SLOT_GS_BASE] = BASE("gs", S_GS),
    [SLOT_KERNEL_GS_BASE] = FIELD("kernel_gs_base", kernel_gs_base, IR_I64),
};

const IrHelper x86_helpers[HELPER_COUNT] = {
#define HELPER(name, result, args, effects, reads, writes) \
    {#name, (void *)helper_##name, args, result, effects, reads, writes},
#include "target/x86/helpers.def"
#undef HELPER
};
