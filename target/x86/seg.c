/* Descriptors, segment registers and stacks (SDM vol. 3, chapters 3 and 5). */
#include "target/x86/syscall.h"
#include "util/bits.h"

void stack_current(const X86State *s, Stack *k)
{
    const X86Segment *ss = &s->seg[S_SS];

    *k = (Stack){
        .base = is_code64(s) ? 0 : ss->base,
        .sp = s->reg[R_SP],
        .mask = stack_mask(s),
        .mode = data_mode(s, s->cpl),
        .last = ss->limit,
        .expand_down = is_protected(s) && (ss->attr & 0xc) == 0x4,
        .checked = !is_code64(s),
    };
    if (k->expand_down) {
        k->last = ss->limit;
    }
}

static void stack_check(X86State *s, const Stack *k, uint64_t offset, unsigned size, uintptr_t ra)
{
    uint64_t end = offset + size - 1;
    bool good;

    if (!k->checked) {
        if (G_UNLIKELY(!is_canonical(s, offset) || !is_canonical(s, end))) {
            x86_raise_error(s, EXC_SS, 0, ra);
        }
        return;
    }
    if (k->expand_down) {
        good = offset > k->last && end <= k->mask;
    } else {
        good = end <= k->last;
    }
    if (G_UNLIKELY(!good)) {
        x86_raise_error(s, EXC_SS, k->is_new ? k->selector & ~3 : 0, ra);
    }
}

/* What stack_look has found. */
static uint8_t *stack_seen(const Stack *k, VirtAddr addr, unsigned size)
{
    uint64_t at = addr - k->seen_from;

    return at + size <= k->seen_size && at < k->seen_size ? k->seen + at : NULL;
}

/*
 * For the first access to a frame: where the rest of it is, as far as it is on the same page. Faults as the access would.
 * NULL: each access is to go the usual way.
 */
static uint8_t *stack_look(X86State *s, Stack *k, VirtAddr addr, unsigned size, MmuAccess access, uintptr_t ra)
{
    unsigned offset = addr & 0xfff, frame = k->frame;
    VirtAddr from = addr;

    if (access == MMU_STORE) {
        from = offset + size >= frame ? addr + size - frame : addr - offset;
        frame = addr + size - from;
    } else {
        frame = MIN(frame, 0x1000 - offset);
    }
    k->frame = 0;
    if (frame <= size || offset + size > 0x1000 || !engine.probe(s->hot.cpu, addr, size, access, k->mode, ra)) {
        return NULL;
    }
    k->seen = engine.probe(s->hot.cpu, from, frame, access, k->mode, ra);
    k->seen_from = from;
    k->seen_size = k->seen ? frame : 0;
    return stack_seen(k, addr, size);
}

static uint8_t *stack_host(X86State *s, Stack *k, VirtAddr addr, unsigned size, MmuAccess access, uintptr_t ra)
{
    return k->frame ? stack_look(s, k, addr, size, access, ra) : stack_seen(k, addr, size);
}

void stack_push(X86State *s, Stack *k, unsigned size, uint64_t value, uintptr_t ra)
{
    uint64_t sp = (k->sp - size) & k->mask;
    uint8_t *host;

    stack_check(s, k, sp, size, ra);
    host = stack_host(s, k, linear(s, k->base + sp), size, MMU_STORE, ra);
    if (host) {
        store_le(host, value, size);
    } else {
        store_linear(s, k->base + sp, value, size, k->mode, ra);
    }
    k->sp = merge(k->sp, sp, k->mask);
}

uint64_t stack_peek(X86State *s, const Stack *k, unsigned offset, unsigned size, uintptr_t ra)
{
    uint64_t sp = (k->sp + offset) & k->mask;

    stack_check(s, k, sp, size, ra);
    return load_linear(s, k->base + sp, size, k->mode, ra);
}

uint64_t stack_pop(X86State *s, Stack *k, unsigned size, uintptr_t ra)
{
    uint64_t sp = k->sp & k->mask, value;
    uint8_t *host;

    stack_check(s, k, sp, size, ra);
    host = stack_host(s, k, linear(s, k->base + sp), size, MMU_LOAD, ra);
    value = host ? load_le(host, size) : load_linear(s, k->base + sp, size, k->mode, ra);

    k->sp = merge(k->sp, k->sp + size, k->mask);
    return value;
}

void stack_commit(X86State *s, const Stack *k)
{
    s->reg[R_SP] = merge(s->reg[R_SP], k->sp, k->mask);
}

bool desc_read(X86State *s, uint16_t selector, Descriptor *d, uintptr_t ra)
{
    uint64_t base, raw;
    uint32_t limit;

    if (selector & 4) {
        base = s->seg[S_LDTR].base;
        limit = s->seg[S_LDTR].limit;
        if (!(s->seg[S_LDTR].attr & SEG_P)) {
            return false;
        }
    } else {
        base = s->gdtr.base;
        limit = s->gdtr.limit;
    }
    if ((selector | 7u) > limit) {
        return false;
    }
    d->selector = selector;
    d->addr = linear(s, base + (selector & ~7));
    raw = load_linear(s, d->addr, 8, MMU_KERNEL, ra);
    d->low = raw;
    d->high = raw >> 32;
    return true;
}

void desc_fetch(X86State *s, uint16_t selector, Descriptor *d, int vector, unsigned ext, uintptr_t ra)
{
    if (!desc_read(s, selector, d, ra)) {
        x86_raise_error(s, vector, (selector & ~3) | ext, ra);
    }
}

uint64_t desc_base64(X86State *s, const Descriptor *d, uintptr_t ra)
{
    uint64_t high = load_linear(s, d->addr + 8, 4, MMU_KERNEL, ra);

    return high << 32 | desc_base(d);
}

void desc_set_accessed(X86State *s, Descriptor *d, uintptr_t ra)
{
    if (!(d->high & DESC_ACCESSED)) {
        d->high |= DESC_ACCESSED;
        store_linear(s, d->addr + 5, d->high >> 8 & 0xff, 1, MMU_KERNEL, ra);
    }
}

void desc_set_busy(X86State *s, Descriptor *d, bool busy, uintptr_t ra)
{
    d->high = busy ? d->high | DESC_TSS_BUSY : d->high & ~DESC_TSS_BUSY;
    store_linear(s, d->addr + 5, d->high >> 8 & 0xff, 1, MMU_KERNEL, ra);
}

void seg_from_descriptor(X86Segment *seg, uint16_t selector, const Descriptor *d)
{
    seg->selector = selector;
    seg->base = desc_base(d);
    seg->limit = desc_limit(d);
    seg->attr = desc_attr(d);
}

void seg_set_null(X86Segment *seg, uint16_t selector)
{
    *seg = (X86Segment){ .selector = selector };
}

void seg_load_image(const uint8_t *from, X86Segment *seg)
{
    seg->selector = load_le16(from);
    seg->attr = load_le16(from + 2) & 0xfff;
    seg->limit = load_le32(from + 4);
    seg->base = load_le64(from + 8);
}

void seg_store_image(uint8_t *to, const X86Segment *seg)
{
    store_le16(to, seg->selector);
    store_le16(to + 2, seg->attr);
    store_le32(to + 4, seg->limit);
    store_le64(to + 8, seg->base);
}

void seg_set_v86(X86State *s, int seg, uint16_t selector)
{
    s->seg[seg] = (X86Segment){
        .base = (uint32_t)selector << 4,
        .limit = 0xffff,
        .selector = selector,
        .attr = SEG_P | 3 << SEG_DPL_SHIFT | SEG_S | 3,
    };
}

void x86_load_real_segment(X86State *s, int seg, uint16_t selector)
{
    /* Limit and attributes stay: what protected mode left there is "unreal mode". */
    s->seg[seg].selector = selector;
    s->seg[seg].base = (uint32_t)selector << 4;
}

void seg_load_protected(X86State *s, X86Segment *out, int seg, uint16_t selector, unsigned cpl,
                        int vector, uintptr_t ra)
{
    Descriptor d;
    unsigned rpl = selector & 3;
    int gp = vector ? vector : EXC_GP;

    if (is_null(selector)) {
        if (seg == S_SS && !(is_long(s) && cpl < 3 && rpl == cpl &&
                             (s->seg[S_CS].attr & SEG_L))) {
            x86_raise_error(s, gp, 0, ra);
        }
        seg_set_null(out, selector);
        if (seg == S_SS) {
            out->attr = cpl << SEG_DPL_SHIFT;
        }
        return;
    }
    desc_fetch(s, selector, &d, gp, 0, ra);
    if (seg == S_SS) {
        if (!(d.high & DESC_S) || (d.high & DESC_CODE) || !(d.high & DESC_RW) || rpl != cpl ||
            desc_dpl(&d) != cpl) {
            x86_raise_error(s, gp, selector & ~3, ra);
        }
        if (!(d.high & DESC_P)) {
            x86_raise_error(s, EXC_SS, selector & ~3, ra);
        }
    } else {
        bool code = (d.high & DESC_CODE) != 0;

        if (!(d.high & DESC_S) || (code && !(d.high & DESC_RW))) {
            x86_raise_error(s, gp, selector & ~3, ra);
        }
        if (!(code && (d.high & DESC_CONFORMING)) && desc_dpl(&d) < MAX(rpl, cpl)) {
            x86_raise_error(s, gp, selector & ~3, ra);
        }
        if (!(d.high & DESC_P)) {
            x86_raise_error(s, EXC_NP, selector & ~3, ra);
        }
    }
    desc_set_accessed(s, &d, ra);
    seg_from_descriptor(out, selector, &d);
    if (!(selector & 4) && (((seg == S_DS || seg == S_ES) && desc_dpl(&d) == 3) || (seg == S_FS && cpl == 0))) {
        X86SegMemo memo = { selector, 0, (uint64_t)d.high << 32 | d.low, *out };

        if (seg == S_FS && (memo.key != s->seg_memo[seg].key || memo.raw != s->seg_memo[seg].raw)) {
            s->call[CALL_FS].mode.from = READY_NONE; /* it was another one's, that has all of memory perhaps */
        }
        s->seg_memo[seg] = memo;
    }
}

void seg_drop_privileged(X86State *s, unsigned cpl)
{
    static const uint8_t segs[] = { S_ES, S_DS, S_FS, S_GS };

    for (unsigned i = 0; i < G_N_ELEMENTS(segs); i++) {
        X86Segment *seg = &s->seg[segs[i]];
        bool conforming = (seg->attr & 0xc) == 0xc;

        if (is_null(seg->selector) && !(seg->attr & SEG_P)) {
            seg->selector = 0; /* whatever its RPL; the base stays */
            continue;
        }
        if (!conforming && (seg->attr >> SEG_DPL_SHIFT & 3u) < cpl) {
            uint64_t base = seg->base;

            seg_set_null(seg, 0);
            if (is_long(s)) {
                seg->base = base;
            }
        }
    }
}

uint64_t helper_load_seg(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    int seg = a;
    uint16_t selector = b;
    uint64_t from = s->mode_flags;

    if (!(s->cr0 & CR0_PE)) {
        x86_load_real_segment(s, seg, selector);
    } else if (s->eflags & EFL_VM) {
        seg_set_v86(s, seg, selector);
    } else {
        X86Segment loaded;

        seg_load_protected(s, &loaded, seg, selector, s->cpl, 0, tcg_caller_pc(s));
        s->seg[seg] = loaded;
    }
    if (seg <= S_DS || !(s->mode_flags & MODE_CS64)) {
        x86_update_segment(s, seg);
    }
    if (seg == S_FS && s->mode_flags != from) {
        x86_keep_fs(s, from);
    }
    return 0;
}

uint64_t helper_lldt(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t dd)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint16_t selector = a;
    X86Segment ldt;
    Descriptor d;

    if (!is_protected(s)) {
        x86_raise(s, EXC_UD, ra);
    }
    if (s->cpl) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    if (is_null(selector)) {
        seg_set_null(&s->seg[S_LDTR], selector);
        return 0;
    }
    if (selector & 4) {
        x86_raise_error(s, EXC_GP, selector & ~3, ra);
    }
    desc_fetch(s, selector, &d, EXC_GP, 0, ra);
    if ((d.high & DESC_S) || desc_type(&d) != SYS_LDT) {
        x86_raise_error(s, EXC_GP, selector & ~3, ra);
    }
    if (!(d.high & DESC_P)) {
        x86_raise_error(s, EXC_NP, selector & ~3, ra);
    }
    seg_from_descriptor(&ldt, selector, &d);
    if (is_long(s)) {
        ldt.base = desc_base64(s, &d, ra);
        if (!is_canonical_base(s, ldt.base)) {
            x86_raise_error(s, EXC_GP, selector & ~3, ra);
        }
    }
    s->seg[S_LDTR] = ldt;
    return 0;
}

uint64_t helper_ltr(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t dd)
{
    uintptr_t ra = tcg_caller_pc(s);
    uint16_t selector = a;
    X86Segment tr;
    Descriptor d;

    if (!is_protected(s)) {
        x86_raise(s, EXC_UD, ra);
    }
    if (s->cpl || is_null(selector)) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    if (selector & 4) {
        x86_raise_error(s, EXC_GP, selector & ~3, ra);
    }
    desc_fetch(s, selector, &d, EXC_GP, 0, ra);
    if ((d.high & DESC_S) || !(desc_type(&d) == SYS_TSS32 || (desc_type(&d) == SYS_TSS16 && !is_long(s)))) {
        x86_raise_error(s, EXC_GP, selector & ~3, ra);
    }
    if (!(d.high & DESC_P)) {
        x86_raise_error(s, EXC_NP, selector & ~3, ra);
    }
    seg_from_descriptor(&tr, selector, &d);
    if (is_long(s)) {
        tr.base = desc_base64(s, &d, ra);
        if (!is_canonical_base(s, tr.base)) {
            x86_raise_error(s, EXC_GP, selector & ~3, ra);
        }
    }
    desc_set_busy(s, &d, true, ra);
    tr.attr = desc_attr(&d);
    s->seg[S_TR] = tr;
    return 0;
}

static void check_umip(X86State *s, uintptr_t ra)
{
    if (s->cpl && (s->cr4 & CR4_UMIP) && (s->cr0 & CR0_PE)) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
}

uint64_t helper_sldt(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (!is_protected(s)) {
        x86_raise(s, EXC_UD, tcg_caller_pc(s));
    }
    check_umip(s, tcg_caller_pc(s));
    return s->seg[S_LDTR].selector;
}

uint64_t helper_str(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (!is_protected(s)) {
        x86_raise(s, EXC_UD, tcg_caller_pc(s));
    }
    check_umip(s, tcg_caller_pc(s));
    return s->seg[S_TR].selector;
}

/* The descriptor that LAR, LSL, VERR and VERW look at, if it is visible. */
static bool visible(X86State *s, uint16_t selector, Descriptor *d, uintptr_t ra)
{
    if (!is_protected(s)) {
        x86_raise(s, EXC_UD, ra);
    }
    if (is_null(selector) || !desc_read(s, selector, d, ra)) {
        return false;
    }
    if ((d->high & DESC_S) && (d->high & DESC_CODE) && (d->high & DESC_CONFORMING)) {
        return true;
    }
    return desc_dpl(d) >= MAX(s->cpl, selector & 3u);
}

#define INVISIBLE UINT64_MAX /* LAR, LSL: ZF = 0 */

uint64_t helper_lar(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t dd)
{
    static const uint16_t allowed32 = 1 << SYS_TSS16 | 1 << SYS_LDT | 1 << SYS_TSS16_BUSY |
                                      1 << SYS_CALL16 | 1 << SYS_TASK_GATE | 1 << SYS_TSS32 |
                                      1 << SYS_TSS32_BUSY | 1 << SYS_CALL32;
    static const uint16_t allowed64 = 1 << SYS_LDT | 1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY |
                                      1 << SYS_CALL32;
    Descriptor d;

    if (!visible(s, a, &d, tcg_caller_pc(s))) {
        return INVISIBLE;
    }
    if (!(d.high & DESC_S) && !((is_long(s) ? allowed64 : allowed32) >> desc_type(&d) & 1)) {
        return INVISIBLE;
    }
    return d.high & 0x00f0ff00;
}

uint64_t helper_lsl(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t dd)
{
    static const uint16_t allowed32 = 1 << SYS_TSS16 | 1 << SYS_LDT | 1 << SYS_TSS16_BUSY |
                                      1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY;
    static const uint16_t allowed64 = 1 << SYS_LDT | 1 << SYS_TSS32 | 1 << SYS_TSS32_BUSY;
    Descriptor d;

    if (!visible(s, a, &d, tcg_caller_pc(s))) {
        return INVISIBLE;
    }
    if (!(d.high & DESC_S) && !((is_long(s) ? allowed64 : allowed32) >> desc_type(&d) & 1)) {
        return INVISIBLE;
    }
    return desc_limit(&d);
}

uint64_t helper_verr(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t dd)
{
    Descriptor d;

    return visible(s, a, &d, tcg_caller_pc(s)) && (d.high & DESC_S) &&
           (!(d.high & DESC_CODE) || (d.high & DESC_RW));
}

uint64_t helper_verw(X86State *s, uint64_t a, uint64_t b, uint64_t c, uint64_t dd)
{
    Descriptor d;

    return visible(s, a, &d, tcg_caller_pc(s)) && (d.high & DESC_S) && !(d.high & DESC_CODE) &&
           (d.high & DESC_RW);
}

static void check_table(X86State *s, uint64_t base, uintptr_t ra)
{
    if (s->cpl) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
    if (is_long(s) && !is_canonical_base(s, base)) {
        x86_raise_error(s, EXC_GP, 0, ra);
    }
}

uint64_t helper_set_gdtr(X86State *s, uint64_t base, uint64_t limit, uint64_t c, uint64_t d)
{
    check_table(s, base, tcg_caller_pc(s));
    s->gdtr.limit = limit & 0xffff;
    s->gdtr.base = base;
    return 0;
}

uint64_t helper_set_idtr(X86State *s, uint64_t base, uint64_t limit, uint64_t c, uint64_t d)
{
    check_table(s, base, tcg_caller_pc(s));
    s->idtr.limit = limit & 0xffff;
    s->idtr.base = base;
    return 0;
}
