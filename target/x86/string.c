/*
 * Repeated string instructions.
 *
 * Elements are done in runs that stay within a page on each side: both ends are translated once and
 * the host copies, fills or compares. Registers are written after each run, so a fault finds them at
 * the element that faulted. Between runs the poll word is looked at, so that an interrupt does not
 * wait for megabytes.
 */
#include "target/x86/string.h"

#include "target/x86/insns.h"
#include "target/x86/system.h"

typedef struct Repeat {
    X86State *s;
    X86StringOp op;
    unsigned size;      /* of an element */
    uint64_t addr_mask;
    bool repne, backward;
    bool is_plain;      /* upward, and pointers are addresses */
    int source_seg;
    bool is_prepared;   /* the next two are known */
    unsigned mode;      /* MMU mode */
    uintptr_t ra;
    bool compared;      /* and these two values last */
    uint64_t a, b;
} Repeat;

static uint64_t get_pointer(const Repeat *r, unsigned reg)
{
    return r->s->reg[reg] & r->addr_mask;
}

static void put_pointer(const Repeat *r, unsigned reg, uint64_t value)
{
    uint64_t old = r->s->reg[reg];

    r->s->reg[reg] = r->addr_mask == 0xffff ? (old & ~r->addr_mask) | (value & r->addr_mask) : value & r->addr_mask;
}

static void advance(const Repeat *r, unsigned reg, uint64_t elements)
{
    uint64_t bytes = elements * r->size;

    put_pointer(r, reg, get_pointer(r, reg) + (r->backward ? -bytes : bytes));
}

static void done(const Repeat *r, uint64_t elements)
{
    put_pointer(r, R_CX, get_pointer(r, R_CX) - elements);
}

/*
 * The linear address of the lowest byte of a run that begins with the element at a pointer, and its
 * length: at most *elements, which is reduced. The first element is checked; it may cross a page.
 */
static uint64_t find_run(const Repeat *r, int seg, unsigned reg, bool write, uint64_t *elements)
{
    uint64_t offset = get_pointer(r, reg);
    uint64_t linear = x86_segment_linear(r->s, seg, offset, r->size, write, r->ra);
    uint64_t room;

    if (r->backward) {
        room = MIN(offset, linear & 0xfff) / r->size + 1;
        if ((linear & 0xfff) + r->size > 0x1000) {
            room = 1;
        }
        if (!(r->s->mode_flags & MODE_CS64) && r->s->seg[seg].attr & 4) {
            room = 1; /* expand-down: the lower end is a limit */
        }
    } else {
        room = 0x1000 - (linear & 0xfff);
        if (r->addr_mask - offset < room) {
            room = r->addr_mask - offset + 1;
        }
        if (!(r->s->mode_flags & MODE_CS64)) {
            room = MIN(room, x86_segment_room(r->s, seg, offset, write));
        }
        room = MAX(room / r->size, 1);
    }
    *elements = MIN(*elements, room);
    return r->backward ? linear - (*elements - 1) * r->size : linear;
}

/* Host address of a run, or NULL if the elements have to go one by one through the slow path. A fault is that of the
 * element that comes first. */
static void *probe(const Repeat *r, uint64_t linear, uint64_t elements, MmuAccess access)
{
    if (r->backward && elements > 1) {
        engine.probe(r->s->hot.cpu, linear + (elements - 1) * r->size, r->size, access, r->mode, r->ra);
    }
    if ((linear & 0xfff) + elements * r->size > 0x1000) {
        return NULL;
    }
    return engine.probe(r->s->hot.cpu, linear, elements * r->size, access, r->mode, r->ra);
}

static uint64_t load(const Repeat *r, uint64_t linear)
{
    return engine.load(r->s->hot.cpu, linear, r->size, r->mode, r->ra);
}

static void store(const Repeat *r, uint64_t linear, uint64_t value)
{
    engine.store(r->s->hot.cpu, linear, value, r->size, r->mode, r->ra);
}

static uint64_t read_host(const void *host, unsigned size)
{
    switch (size) {
    case 1:
        return *(const uint8_t *)host;
    case 2:
        return *(const uint16_t *)host;
    case 4:
        return *(const uint32_t *)host;
    default:
        return *(const uint64_t *)host;
    }
}

/* The host's own instructions: overlapping runs come out as they should. */

#define HOST_STRING(insn, size, d, s, n) \
    __asm__ volatile(insn : "+D"(d), "+S"(s), "+c"(n) : : "memory", "cc")

static void copy_run(const Repeat *r, uint8_t *to, const uint8_t *from, uint64_t n)
{
    if (r->backward) {
        to += (n - 1) * r->size;
        from += (n - 1) * r->size;
        switch (r->size) {
        case 1:
            HOST_STRING("std; rep movsb; cld", 1, to, from, n);
            break;
        case 2:
            HOST_STRING("std; rep movsw; cld", 2, to, from, n);
            break;
        case 4:
            HOST_STRING("std; rep movsl; cld", 4, to, from, n);
            break;
        default:
            HOST_STRING("std; rep movsq; cld", 8, to, from, n);
            break;
        }
        return;
    }
    switch (r->size) {
    case 1:
        HOST_STRING("rep movsb", 1, to, from, n);
        break;
    case 2:
        HOST_STRING("rep movsw", 2, to, from, n);
        break;
    case 4:
        HOST_STRING("rep movsl", 4, to, from, n);
        break;
    default:
        HOST_STRING("rep movsq", 8, to, from, n);
        break;
    }
}

static void fill_run(const Repeat *r, uint8_t *to, uint64_t value, uint64_t n)
{
    switch (r->size) {
    case 1:
        __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
        break;
    case 2:
        __asm__ volatile("rep stosw" : "+D"(to), "+c"(n) : "a"(value) : "memory");
        break;
    case 4:
        __asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(value) : "memory");
        break;
    default:
        __asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(value) : "memory");
        break;
    }
}

/* In segments with limits the source has to be there, to its last byte, before the other segment is looked at. */
static void probe_source(const Repeat *r)
{
    uint64_t one = 1, linear = find_run(r, r->source_seg, R_SI, false, &one);
    unsigned left = 0x1000 - (linear & 0xfff);

    if (r->size <= left) {
        probe(r, linear, 1, MMU_LOAD);
    } else {
        engine.probe(r->s->hot.cpu, linear, left, MMU_LOAD, r->mode, r->ra);
        engine.probe(r->s->hot.cpu, (uint32_t)(linear + left), r->size - left, MMU_LOAD, r->mode, r->ra);
    }
}

/* Each of these does one run of at most n elements. */

static void run_movs(const Repeat *r, uint64_t n)
{
    uint64_t from = find_run(r, r->source_seg, R_SI, false, &n), to;
    void *host_from, *host_to;

    if (!(r->s->mode_flags & MODE_CS64)) {
        probe_source(r);
    }
    to = find_run(r, S_ES, R_DI, true, &n);
    if (r->backward) { /* the second may have shortened the run of the first */
        from = find_run(r, r->source_seg, R_SI, false, &n);
    }
    host_from = probe(r, from, n, MMU_LOAD);
    host_to = host_from ? probe(r, to, n, MMU_STORE) : NULL;
    if (host_to) {
        copy_run(r, host_to, host_from, n);
    } else {
        n = 1;
        from = find_run(r, r->source_seg, R_SI, false, &n);
        to = find_run(r, S_ES, R_DI, true, &n);
        store(r, to, load(r, from));
    }
    advance(r, R_SI, n);
    advance(r, R_DI, n);
    done(r, n);
}

static void run_stos(const Repeat *r, uint64_t n)
{
    uint64_t to = find_run(r, S_ES, R_DI, true, &n);
    void *host = probe(r, to, n, MMU_STORE);

    if (host) {
        fill_run(r, host, r->s->reg[R_AX], n);
    } else {
        n = 1;
        store(r, find_run(r, S_ES, R_DI, true, &n), r->s->reg[R_AX]);
    }
    advance(r, R_DI, n);
    done(r, n);
}

static void put_accumulator(const Repeat *r, uint64_t value)
{
    uint64_t mask = UINT64_MAX >> (64 - 8 * r->size);
    uint64_t *ax = &r->s->reg[R_AX];

    *ax = r->size >= 4 ? value & mask : (*ax & ~mask) | (value & mask);
}

static void run_lods(const Repeat *r, uint64_t n)
{
    uint64_t from;

    n = 1;
    from = find_run(r, r->source_seg, R_SI, false, &n);
    put_accumulator(r, load(r, from));
    advance(r, R_SI, n);
    done(r, n);
}

/* Flags change when the instruction is done; a fault leaves them as they were (SDM volume 2, REP). */
static void put_compare(const Repeat *r)
{
    X86State *s = r->s;

    if (r->compared) {
        s->cc_op = X86_CC(CC_CMP, __builtin_ctz(r->size));
        s->cc_dst = r->a;
        s->cc_src = r->b;
    }
}

static void keep_compare(Repeat *r, uint64_t a, uint64_t b)
{
    r->compared = true;
    r->a = a;
    r->b = b;
}

/* True if the comparison ended the repetition. */
static bool run_cmps(Repeat *r, uint64_t n)
{
    uint64_t mask = UINT64_MAX >> (64 - 8 * r->size);
    uint64_t first, second, one = 1, a, b, i = 0;
    const uint8_t *host_first, *host_second;

    if (!(r->s->mode_flags & MODE_CS64)) { /* processors look at the destination first, then at the other segment */
        load(r, find_run(r, S_ES, R_DI, false, &one));
    }
    first = find_run(r, r->source_seg, R_SI, false, &n);
    second = find_run(r, S_ES, R_DI, false, &n);
    first = find_run(r, r->source_seg, R_SI, false, &n);
    host_second = probe(r, second, n, MMU_LOAD);
    host_first = host_second ? probe(r, first, n, MMU_LOAD) : NULL;
    if (host_first) {
        do {
            uint64_t at = (r->backward ? n - 1 - i : i) * r->size;

            a = read_host(host_first + at, r->size);
            b = read_host(host_second + at, r->size);
            i++;
        } while (i < n && (a == b) != r->repne);
    } else {
        n = 1;
        b = load(r, find_run(r, S_ES, R_DI, false, &n));
        a = load(r, find_run(r, r->source_seg, R_SI, false, &n));
        i = 1;
    }
    keep_compare(r, a, b);
    advance(r, R_SI, i);
    advance(r, R_DI, i);
    done(r, i);
    return ((a ^ b) & mask) == 0 ? r->repne : !r->repne;
}

static bool run_scas(Repeat *r, uint64_t n)
{
    uint64_t mask = UINT64_MAX >> (64 - 8 * r->size);
    uint64_t a = r->s->reg[R_AX] & mask;
    uint64_t linear = find_run(r, S_ES, R_DI, false, &n);
    const uint8_t *host = probe(r, linear, n, MMU_LOAD);
    uint64_t b, i = 0;

    if (host) {
        do {
            b = read_host(host + (r->backward ? n - 1 - i : i) * r->size, r->size);
            i++;
        } while (i < n && (a == b) != r->repne);
    } else {
        n = i = 1;
        b = load(r, find_run(r, S_ES, R_DI, false, &n));
    }
    keep_compare(r, a, b);
    advance(r, R_DI, i);
    done(r, i);
    return a == b ? r->repne : !r->repne;
}

static void run_ins(const Repeat *r)
{
    uint64_t n = 1;
    uint64_t to = find_run(r, S_ES, R_DI, true, &n);
    unsigned first = MIN(r->size, 0x1000 - (to & 0xfff));
    uint64_t value;

    /* A port is not read for nothing. */
    engine.probe(r->s->hot.cpu, to, first, MMU_STORE, r->mode, r->ra);
    if (first < r->size) {
        engine.probe(r->s->hot.cpu, to + first, r->size - first, MMU_STORE, r->mode, r->ra);
    }
    value = helper_in(r->s, r->s->reg[R_DX] & 0xffff, r->size, 0, 0);
    store(r, to, value);
    advance(r, R_DI, 1);
    done(r, 1);
}

static void run_outs(const Repeat *r)
{
    uint64_t n = 1;
    uint64_t value = load(r, find_run(r, r->source_seg, R_SI, false, &n));

    helper_out(r->s, r->s->reg[R_DX] & 0xffff, value, r->size, 0);
    advance(r, R_SI, 1);
    done(r, 1);
}

enum { LONGEST_RUN = 64 * 1024 /* bytes between two looks at CpuHot.poll */ };

/* The host address of elements in pages that a table of the TLB knows, and which are neighbours on the host too. *n is reduced. */
static uint8_t *known_run(const Repeat *r, const void *table, uint64_t addr, uint64_t *n)
{
    unsigned shift = __builtin_ctz(r->size);
    uint8_t *host = tlb_lookup(table, r->s->hot.tlb_mask, addr);
    uint64_t room = GUEST_PAGE_SIZE - (addr & (GUEST_PAGE_SIZE - 1)), wanted = MIN(*n, LONGEST_RUN >> shift) << shift;

    while (host && room < wanted && addr + room <= r->addr_mask &&
           tlb_lookup(table, r->s->hot.tlb_mask, addr + room) == host + room) {
        room += GUEST_PAGE_SIZE;
    }
    *n = MIN(wanted, room) >> shift;
    return *n ? host : NULL;
}

/* A run of MOVS or STOS in pages that the TLB knows. False: it is something else, nothing was done. */
static bool run_known(const Repeat *r, uint64_t n)
{
    uint64_t to = get_pointer(r, R_DI), from = get_pointer(r, R_SI);
    const uint8_t *host_from;
    uint8_t *host_to = known_run(r, r->s->hot.tlb_store, to, &n);

    if (!host_to) {
        return false;
    }
    if (r->op == STRING_STOS) {
        fill_run(r, host_to, r->s->reg[R_AX], n);
    } else {
        if (!(host_from = known_run(r, r->s->hot.tlb_load, from, &n))) {
            return false;
        }
        copy_run(r, host_to, host_from, n);
        advance(r, R_SI, n);
    }
    advance(r, R_DI, n);
    done(r, n);
    return true;
}

static bool is_plain(const X86State *s, uint64_t how, unsigned seg)
{
    X86StringOp op = STRING_OP(how);
    IrType addr = STRING_ADDR_TYPE(how);

    return s->df >= 0 && (s->mode_flags & MODE_CS64 ? addr != IR_I16 : s->mode_flags & MODE_FLAT && addr == IR_I32) &&
           (op == STRING_STOS || (op == STRING_MOVS && (seg == S_DS || seg == S_ES || seg == S_SS)));
}

/* What only a run needs that is not known to the TLB. */
static void prepare(Repeat *r)
{
    if (!r->is_prepared) {
        r->is_prepared = true;
        r->mode = guest_ops(r->s->hot.cpu)->mmu_mode(r->s->hot.cpu, false);
        r->ra = tcg_caller_pc(r->s);
    }
}

/* One run of at most n elements. True if a comparison ended the repetition. */
static bool run(Repeat *r, uint64_t n)
{
    if (r->is_plain && run_known(r, n)) {
        return false;
    }
    prepare(r);
    switch (r->op) {
    case STRING_MOVS:
        run_movs(r, n);
        return false;
    case STRING_STOS:
        run_stos(r, n);
        return false;
    case STRING_LODS:
        run_lods(r, n);
        return false;
    case STRING_CMPS:
        return run_cmps(r, n);
    case STRING_SCAS:
        return run_scas(r, n);
    case STRING_INS:
        run_ins(r);
        return false;
    case STRING_OUTS:
        run_outs(r);
        return false;
    }
    g_assert_not_reached();
}

static uint64_t repeat(X86State *s, uint64_t how, unsigned seg)
{
    Repeat r = {
        .s = s,
        .op = STRING_OP(how),
        .size = 1u << STRING_TYPE(how),
        .addr_mask = ir_mask(STRING_ADDR_TYPE(how)),
        .repne = STRING_REPNE(how),
        .backward = s->df < 0,
        .is_plain = is_plain(s, how, seg),
        .source_seg = seg,
    };
    uint64_t left = get_pointer(&r, R_CX);

    while (left) {
        bool ended = run(&r, left);

        left = get_pointer(&r, R_CX);
        if (ended) {
            break;
        }
        if (left && s->hot.poll < 0) {
            put_compare(&r);
            return 1;
        }
    }
    put_compare(&r);
    return 0;
}

/* With 32-bit addresses in 64-bit code, also if nothing is repeated; as Intel's processors do it. */
static void clear_upper_halves(X86State *s, X86StringOp op)
{
    s->reg[R_CX] = (uint32_t)s->reg[R_CX];
    if (op == STRING_MOVS) {
        s->reg[R_SI] = (uint32_t)s->reg[R_SI];
    }
    if (op == STRING_MOVS || op == STRING_STOS) {
        s->reg[R_DI] = (uint32_t)s->reg[R_DI];
    }
}

/* 1: interrupted, to be begun again with what is left. */
uint64_t helper_string_rep(X86State *s, uint64_t how, uint64_t seg, uint64_t c, uint64_t d)
{
    X86StringOp op = STRING_OP(how);

    if (op == STRING_INS || op == STRING_OUTS) { /* permission is asked for before the count */
        x86_check_io(s, s->reg[R_DX] & 0xffff, 1u << STRING_TYPE(how), tcg_caller_pc(s));
    }
    if (STRING_ADDR_TYPE(how) == IR_I32) {
        clear_upper_halves(s, op);
    }
    return s->reg[R_CX] & ir_mask(STRING_ADDR_TYPE(how)) ? repeat(s, how, seg) : 0;
}
