/*
 * Masked moves and gathers of AVX in C: an element that is masked out must not fault, and a gather
 * that faults keeps what it has done (SDM volume 2, VMASKMOV, VPGATHERDD).
 */
#include "target/x86/vex_masked.h"

/* Byte `offset` of a YMM register. */
static uint8_t *register_at(X86State *s, unsigned reg, unsigned offset)
{
    return offset < 16 ? &fx_image(s)->xmm[reg][offset] : &s->ymm_high[reg * 16 + offset - 16];
}

static bool masked_in(X86State *s, unsigned reg, unsigned offset, unsigned element)
{
    return *register_at(s, reg, offset + element - 1) & 0x80;
}

static void put_register(X86State *s, unsigned reg, const uint8_t value[32])
{
    memcpy(fx_image(s)->xmm[reg], value, 16);
    memcpy(&s->ymm_high[reg * 16], value + 16, 16);
}

/* Where an element is; its segment's limit is checked. */
static uint64_t linear_address(X86State *s, VexMasked op, uint64_t offset, bool write, uintptr_t retaddr)
{
    if (op.addr_type != IR_I16) { /* an operand does not wrap at 64 KiB */
        offset &= ir_mask(op.addr_type);
    }
    if (s->mode_flags & MODE_CS64) {
        return op.seg < S_FS ? offset : s->seg[op.seg].base + offset;
    }
    if (s->mode_flags & MODE_FLAT && op.seg < S_FS && op.seg != S_CS) {
        return offset;
    }
    return x86_segment_linear(s, op.seg, offset, op.wide ? 8 : 4, write, retaddr);
}

/* (offset in the segment, VexMasked) */
uint64_t helper_vex_masked(X86State *s, uint64_t offset, uint64_t operands, uint64_t c, uint64_t d)
{
    VexMasked op = {.word = operands};
    uintptr_t retaddr = tcg_caller_pc(s);
    unsigned element = op.wide ? 8 : 4, size = op.l256 ? 32 : 16;
    uint8_t value[32] = {0};
    uint64_t addresses[8];

    for (unsigned i = 0; i < size; i += element) { /* the segment's limit, before any page is looked at */
        if (masked_in(s, op.mask, i, element)) {
            addresses[i / element] = linear_address(s, op, offset + i, op.store, retaddr);
        }
    }
    for (unsigned i = 0; i < size; i += element) {
        if (masked_in(s, op.mask, i, element)) {
            if (op.store) {
                x86_fp_probe(s, addresses[i / element], element, MMU_STORE, retaddr);
            } else {
                x86_fp_read(s, addresses[i / element], value + i, element, retaddr);
            }
        }
    }
    if (!op.store) {
        put_register(s, op.reg, value);
        return 0;
    }
    for (unsigned i = 0; i < size; i += element) {
        if (masked_in(s, op.mask, i, element)) {
            x86_fp_write(s, addresses[i / element], register_at(s, op.reg, i), element, retaddr);
        }
    }
    return 0;
}

/* (offset without the index, VexMasked) */
uint64_t helper_vex_gather(X86State *s, uint64_t offset, uint64_t operands, uint64_t c, uint64_t d)
{
    VexMasked op = {.word = operands};
    uintptr_t retaddr = tcg_caller_pc(s);
    unsigned element = op.wide ? 8 : 4, index_size = op.wide_index ? 8 : 4;
    unsigned n = (op.l256 ? 32 : 16) / MAX(element, index_size);
    uint8_t zero[32] = {0};

    /* A fault shows the mask as it is used: each element all ones or zero. */
    for (unsigned at = 0; at < 32; at += element) {
        bool on = at < (op.l256 ? 32 : 16) && masked_in(s, op.mask, at, element);

        memset(register_at(s, op.mask, at), on ? 0xff : 0, element);
    }

    for (unsigned i = 0; i < n; i++) {
        unsigned at = i * element;
        uint8_t *mask = register_at(s, op.mask, at);
        int64_t index = 0;
        uint64_t addr;

        if (!masked_in(s, op.mask, at, element)) {
            continue;
        }
        memcpy(&index, register_at(s, op.index, i * index_size), index_size);
        if (!op.wide_index) {
            index = (int32_t)index;
        }
        addr = linear_address(s, op, offset + ((uint64_t)index << op.scale), false, retaddr);
        x86_fp_read(s, addr, register_at(s, op.reg, at), element, retaddr);
        memset(mask, 0, element);
        if (!op.l256) {
            memset(register_at(s, op.reg, 16), 0, 16);
        }
    }
    for (unsigned at = n * element; at < 32; at++) {
        *register_at(s, op.reg, at) = 0;
    }
    put_register(s, op.mask, zero);
    return 0;
}
