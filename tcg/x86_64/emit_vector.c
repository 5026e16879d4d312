/*
 * Vector operations on fields of the state: a few host instructions each (IrFastStep), three-operand ones of AVX2.
 *
 * Where the outcome depends on numbers (four singles in a vector), all must be normal or zero: by their exponents' two
 * highest bits on the usual path, fully in cold code.
 */
#include "backend.h"

enum { VMOVD = P_66 | MAP_0F | 0x6e, VPSHUFD = P_66 | MAP_0F | 0x70, VSHIFT_D = P_66 | MAP_0F | 0x72,
       VMOVMSKPS = MAP_0F | 0x50, VPXOR = P_66 | MAP_0F | 0xef, VPAND = P_66 | MAP_0F | 0xdb, VPOR = P_66 | MAP_0F | 0xeb,
       VPADDD = P_66 | MAP_0F | 0xfe, VPSUBD = P_66 | MAP_0F | 0xfa, VPCMPEQD = P_66 | MAP_0F | 0x76, VPMINUD = P_66 | MAP_38 | 0x3b,
       SHIFT_LEFT = 6, ALL_LANES = 15, BIAS_SHIFT = 24, LEAST = 2, LAST = 253 };

static void vex(Context *c, uint32_t opcode, int to, int a, int b)
{
    asm_vex(&c->a, opcode, false, false, to, a, rm_reg(b));
}

static void shift_left(Context *c, int to, int from)
{
    vex(c, VSHIFT_D, SHIFT_LEFT, to, from);
    asm_byte(&c->a, 1);
}

static void emit_step(Context *c, const IrFastStep *step, const int8_t *regs)
{
    uint32_t opcode = step->opcode | step->map << 8 | (uint32_t)step->prefix << 16;

    if (step->how & (STEP_HALF | STEP_BITS)) {
        asm_vex(&c->a, opcode, false, false, regs[step->to], step->a == V_NONE ? 0 : regs[step->a],
                rm_mem(mem_state(step->how & STEP_HALF ? AREA_HALF_SINGLES : AREA_BITS)));
    } else if (step->how & STEP_GROUP) {
        asm_vex(&c->a, opcode, step->how & STEP_W, false, step->a, regs[step->to], rm_reg(regs[step->b]));
    } else {
        asm_vex(&c->a, opcode, step->how & STEP_W, false, regs[step->to], step->a == V_NONE ? 0 : regs[step->a],
                rm_reg(regs[step->b]));
    }
    if (step->how & STEP_IMM) {
        asm_byte(&c->a, step->imm);
    }
}

static void emit_all_steps(Context *c, const IrFast *f, const int8_t *regs)
{
    for (unsigned k = 0; k < f->n_steps; k++) {
        const IrFastStep *step = &f->steps[k];

        if (!(step->how & STEP_EVEX)) {
            emit_step(c, step, regs);
        } else if (host_has(HOST_AVX512)) {
            asm_evex(&c->a, step->opcode | step->map << 8 | (uint32_t)step->prefix << 16, step->how & STEP_W, regs[step->to], regs[step->a],
                     regs[step->b]);
            k += step->imm;
        }
    }
}

/* Every lane of `all` must have the bit that is 30 there; the mask goes to R11. */
static uint32_t unless_all_lanes(Context *c, int all)
{
    asm_vex(&c->a, VMOVMSKPS, false, false, R11, 0, rm_reg(all));
    asm_alu_ri(&c->a, ALU_CMP, 4, rm_reg(R11), ALL_LANES);
    return asm_jcc(&c->a, CC_NE);
}

/* The two highest bits of the exponents of all lanes differ. x and y are free. */
static uint32_t check_lanes(Context *c, unsigned checks, const int8_t *regs, int x, int y)
{
    bool first = true;

    for (unsigned k = 0; k < V_X; k++) {
        if (checks >> k & 1) {
            int to = first ? x : y;

            shift_left(c, to, regs[k]);
            vex(c, VPXOR, to, to, regs[k]);
            if (!first) {
                vex(c, VPAND, x, x, y);
            }
            first = false;
        }
    }
    shift_left(c, x, x);
    return unless_all_lanes(c, x);
}

static void broadcast(Context *c, int to, uint32_t value)
{
    asm_mov_ri(&c->a, R11, value);
    vex(c, VMOVD, to, 0, R11);
    vex(c, VPSHUFD, to, 0, to);
    asm_byte(&c->a, 0);
}

/* The same on second thought: each lane is zero, or normal by a margin. t: four free registers. */
static uint32_t check_lanes_fully(Context *c, unsigned checks, const int8_t *regs, const int8_t *t)
{
    int all = t[0], y = t[1], z = t[2], w = t[3];

    vex(c, VPCMPEQD, all, all, all);
    for (unsigned k = 0; k < V_X; k++) {
        if (checks >> k & 1) {
            vex(c, VPADDD, y, regs[k], regs[k]); /* without the sign */
            broadcast(c, z, (uint32_t)LEAST << BIAS_SHIFT);
            vex(c, VPSUBD, z, y, z);
            broadcast(c, w, ((uint32_t)(LAST - LEAST + 1) << BIAS_SHIFT) - 1);
            vex(c, VPMINUD, w, w, z);
            vex(c, VPCMPEQD, w, w, z);
            vex(c, VPXOR, z, z, z);
            vex(c, VPCMPEQD, z, z, y);
            vex(c, VPOR, w, w, z);
            vex(c, VPAND, all, all, w);
        }
    }
    return unless_all_lanes(c, all);
}

/* Lanes of a product that are zero must have a factor that is. */
static uint32_t check_zero_products(Context *c, const int8_t *regs, const int8_t *t)
{
    int z = t[0], x = t[1], y = t[2];

    vex(c, VPXOR, z, z, z);
    for (unsigned k = V_A; k <= V_B; k++) {
        vex(c, VPADDD, y, regs[k], regs[k]);
        vex(c, VPCMPEQD, y, y, z);
        if (k == V_A) {
            vex(c, VPOR, x, y, y);
        } else {
            vex(c, VPOR, x, x, y);
        }
    }
    vex(c, VPADDD, y, regs[V_T], regs[V_T]);
    vex(c, VPCMPEQD, y, y, z);
    vex(c, VPCMPEQD, x, x, y); /* zero exactly where it should be */
    return unless_all_lanes(c, x);
}

void emit_steps(Context *c, const IrInsn *insn)
{
    const IrFast *f = &c->ir->fasts[insn->bits];
    const int32_t fields[] = { f->a, f->b, f->c };
    ColdStub *s = NULL;
    int8_t *regs;

    if (!host_has(HOST_AVX2) || f->checks || f->traps) {
        clobber_flags(c);
        lock_reg(c, R11);
        displace(c, R11, true);
        s = cold_new(c, COLD_FAST);
        s->insn = insn;
        s->out = NO_REG;
        s->pc = c->pc;
        s->snapshot = snapshot_take(c, UINT64_MAX);
    }
    regs = c->step_regs;
    if (!host_has(HOST_AVX2)) {
        s->jumps[1] = asm_jmp(&c->a);
        xmm_forget(c, f->t);
        xmm_forget(c, f->t + 8);
    } else {
        for (unsigned k = 0; k < G_N_ELEMENTS(fields); k++) {
            regs[k] = fields[k] < 0 ? 0 : xmm_get(c, fields[k], true);
        }
        for (unsigned k = V_T; k < V_NONE; k++) {
            regs[k] = xmm_alloc(c);
        }
        if (f->traps) {
            s->trap_from = asm_offset(&c->a);
        }
        emit_all_steps(c, f, regs);
        if (f->traps) {
            s->trap_to = asm_offset(&c->a);
        }
        if (f->checks) {
            memcpy(s->step_regs, regs, sizeof(s->step_regs));
            for (unsigned k = 0; k < G_N_ELEMENTS(s->step_temps); k++) {
                s->step_temps[k] = k < 2 ? regs[V_X + k] : xmm_alloc(c);
            }
            s->jumps[0] = check_lanes(c, f->checks, regs, regs[V_X], regs[V_Y]);
            s->store_at = asm_offset(&c->a);
        }
        xmm_put(c, regs[V_T], f->t, true, false);
    }
    if (s) {
        s->resume = asm_offset(&c->a);
        s->xmms = xmm_snapshot(c);
        unlock_reg(c, R11);
    }
}

void cold_steps(Context *c, ColdStub *s, const IrFast *f)
{
    uint32_t no, no2 = 0;

    asm_patch_here(&c->a, s->jumps[0]);
    if (f->checks_again) {
        no = check_lanes_fully(c, f->checks_again, s->step_regs, s->step_temps);
        if (f->is_product) {
            no2 = check_zero_products(c, s->step_regs, s->step_temps);
        }
        asm_jmp_offset(&c->a, s->store_at);
        asm_patch_here(&c->a, no);
        if (no2) {
            asm_patch_here(&c->a, no2);
        }
    }
}
