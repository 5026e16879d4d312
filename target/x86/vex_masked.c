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

/* (linear address, VexMasked) */
uint64_t helper_vex_masked(X86State *s, uint64_t addr, uint64_t operands, uint64_t c, uint64_t d)
{
    VexMasked op = {.word = operands};
    uintptr_t retaddr = tcg_caller_pc(s);
    unsigned element = op.wide ? 8 : 4, size = op.l256 ? 32 : 16;
    uint8_t value[32] = {0};

    for (unsigned i = 0; i < size; i += element) {
        if (!masked_in(s, op.mask, i, element)) {
            continue;
        }
        if (op.store) {
            x86_fp_probe_store(s, addr + i, element, retaddr);
        } else {
            x86_fp_read(s, addr + i, value + i, element, retaddr);
        }
    }
    if (!op.store) {
        put_register(s, op.reg, value);
        return 0;
    }
    for (unsigned i = 0; i < size; i += element) {
        if (masked_in(s, op.mask, i, element)) {
            x86_fp_write(s, addr + i, register_at(s, op.reg, i), element, retaddr);
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
    uint64_t base = s->mode_flags & MODE_CS64 && op.seg < S_FS ? 0 : s->seg[op.seg].base;
    uint8_t zero[32] = {0};

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
        addr = offset + ((uint64_t)index << op.scale);
        addr = base + (op.addr32 ? (uint32_t)addr : addr);
        x86_fp_read(s, addr, register_at(s, op.reg, at), element, retaddr);
        memset(mask, 0, element);
    }
    for (unsigned at = n * element; at < 32; at++) {
        *register_at(s, op.reg, at) = 0;
    }
    put_register(s, op.mask, zero);
    return 0;
}
