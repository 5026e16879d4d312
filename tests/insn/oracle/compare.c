/* Runs a case on the host and translated, compares, makes a difference small, prints it as a vector. */
#include "compare.h"

#include "host.h"
#include "undefined.h"
#include "vector.h"

/* Where instructions find their operands; the rest of the data is looked at when a difference is told. */
static const struct { unsigned from, size; } windows[] = {{0, 0x100}, {0xc00, 0x800}, {0x1d00, 0x300}};

static bool in_windows(const Case *one, unsigned w, unsigned *from, unsigned *size)
{
    *from = one->far_reaching ? 0 : windows[w].from;
    *size = one->far_reaching ? ORACLE_DATA_SIZE : windows[w].size;
    return w < (one->far_reaching ? 1 : G_N_ELEMENTS(windows));
}

static void copy_data(const Case *one, uint8_t *to, const uint8_t *from)
{
    unsigned at, size;

    for (unsigned w = 0; in_windows(one, w, &at, &size); w++) {
        memcpy(to + at, from + at, size);
    }
}

static bool data_is(const Case *one, const uint8_t *what)
{
    unsigned at, size;

    for (unsigned w = 0; in_windows(one, w, &at, &size); w++) {
        if (memcmp(oracle_data() + at, what + at, size) != 0) {
            return false;
        }
    }
    return true;
}

/* Few instructions store: to look is cheaper than to copy. */
void compare_run_host(Instance *i)
{
    i->host = i->before;
    host_run(i->one->mode, i->one->with_fp, &i->host);
    i->host_stored = !data_is(i->one, i->data);
    if (i->host_stored) {
        copy_data(i->one, i->host_data, oracle_data());
        copy_data(i->one, oracle_data(), i->data);
    }
}

static uint64_t gpr_mask(const Case *one)
{
    return one->mode == ORACLE_64 ? UINT64_MAX : UINT32_MAX;
}

static bool same_fp(const OracleState *host, const OracleState *guest, bool same_x87)
{
    const FxImage *a = &host->fp.fx, *b = &guest->fp.fx;
    uint32_t mxcsr = host->vector < 0 ? UINT32_MAX : ~UINT32_C(0x3f); /* a store that faults may have noted its exceptions */
    bool x87 = a->fcw == b->fcw && a->fsw == b->fsw && a->tags == b->tags && !memcmp(a->st, b->st, sizeof(a->st));

    return (x87 || !same_x87) && !((a->mxcsr ^ b->mxcsr) & mxcsr) && !memcmp(a->xmm, b->xmm, sizeof(a->xmm)) &&
           !memcmp(host->fp.ymm_high, guest->fp.ymm_high, sizeof(host->fp.ymm_high));
}

static uint32_t flags_mask(const Instance *i, Undefined *undefined)
{
    uint32_t mask = FLAGS_ALL | EFL_DF | EFL_TF | EFL_NT | EFL_AC | EFL_ID;

    if (i->host.flags & EFL_TF) {
        mask &= ~(EFL_NT | EFL_ID); /* the kernel's return from the signal does not keep them */
    }
    *undefined = undefined_results(i->one, &i->before, i->host.vector >= 0);
    return mask & ~undefined->flags;
}

/* Near branches to addresses that are not canonical: see docs/x86.md. */
static bool same_but_late(const OracleState *host, const OracleState *guest)
{
    return host->vector == EXC_GP && guest->vector < 0 && host->pc == ORACLE_START &&
           (uint64_t)((int64_t)((guest->pc + ORACLE_CODE) << 16) >> 16) != guest->pc + ORACLE_CODE;
}

static bool same(const Instance *i, bool same_data)
{
    const OracleState *host = &i->host, *guest = &i->guest;
    uint64_t mask = gpr_mask(i->one);
    Undefined undefined;
    uint32_t flags = flags_mask(i, &undefined);

    if (guest->cr2 - ORACLE_CONTROL < ORACLE_CONTROL_SIZE) {
        return true; /* a page of the host's own */
    }
    if (same_but_late(host, guest) || undefined_order(i->one, host, guest)) {
        return true;
    }
    if (host->vector != guest->vector || host->pc != guest->pc || host->error != guest->error) {
        return false;
    }
    if (host->cr2 != guest->cr2 && (!undefined_fault_offset(i->one) || (uint32_t)(host->cr2 - guest->cr2 + 512) > 1024)) {
        return false;
    }
    if (undefined.whole) {
        return true;
    }
    if ((host->flags ^ guest->flags) & flags) {
        return false;
    }
    for (unsigned n = 0; n < 16; n++) {
        if ((host->gpr[n] ^ guest->gpr[n]) & mask && !(undefined.gprs >> n & 1)) {
            return false;
        }
    }
    return (!i->one->with_fp || same_fp(host, guest, host->vector < 0 || !undefined_mmx_switch(i->one))) &&
           (same_data || undefined_pushed_half(i->one) || (host->vector >= 0 && undefined_partial_store(i->one)));
}

bool compare_run_guest(Instance *i, GuestEngine how)
{
    bool result, same_data;

    i->guest = i->before;
    guest_run(how, i->one->with_fp, &i->guest);
    i->guest.pc &= i->one->mode == ORACLE_64 ? UINT64_MAX : UINT32_MAX;
    i->host.pc &= i->one->mode == ORACLE_64 ? UINT64_MAX : UINT32_MAX;
    same_data = data_is(i->one, i->host_stored ? i->host_data : i->data);
    result = same(i, same_data);
    if (!result) {
        memcpy(i->guest_data, oracle_data(), ORACLE_DATA_SIZE);
        if (!i->host_stored) {
            copy_data(i->one, i->host_data, i->data);
        }
    }
    if (i->host_stored || !same_data) {
        copy_data(i->one, oracle_data(), i->data);
    }
    return result;
}

/* Smaller states that differ as well: each register zero, each part of memory and FP state plain. */

static bool still_differs(Instance *i, GuestEngine how)
{
    memcpy(oracle_data(), i->data, ORACLE_DATA_SIZE);
    x86_fx_set_words(&i->before.fp.fx, i->before.fp.fx.fcw, i->before.fp.fx.fsw);
    compare_run_host(i);
    return !compare_run_guest(i, how);
}

static void try_bytes(Instance *i, GuestEngine how, void *bytes, const void *instead, unsigned size)
{
    g_autofree uint8_t *saved = g_memdup2(bytes, size);

    memcpy(bytes, instead, size);
    if (!still_differs(i, how)) {
        memcpy(bytes, saved, size);
    }
}

/* False: it does not differ any more. */
static bool minimise(Instance *i, GuestEngine how)
{
    static const uint8_t zeroes[ORACLE_DATA_SIZE];
    OracleState plain;

    if (!still_differs(i, how)) {
        return false;
    }
    vector_plain_state(&plain);
    for (unsigned n = 0; n < 16; n++) {
        if (n != R_SP) {
            try_bytes(i, how, &i->before.gpr[n], zeroes, 8);
        }
    }
    try_bytes(i, how, &i->before.flags, &plain.flags, 8);
    for (unsigned size = ORACLE_DATA_SIZE; size >= 8; size /= 4) {
        for (unsigned at = 0; at < ORACLE_DATA_SIZE; at += size) {
            try_bytes(i, how, i->data + at, zeroes, MIN(size, ORACLE_DATA_SIZE - at));
        }
    }
    if (i->one->with_fp) {
        try_bytes(i, how, &i->before.fp, &plain.fp, sizeof(plain.fp));
        try_bytes(i, how, &i->before.fp.fx.mxcsr, &plain.fp.fx.mxcsr, 4);
        try_bytes(i, how, &i->before.fp.fx.fcw, &plain.fp.fx.fcw, 2);
        try_bytes(i, how, &i->before.fp.fx.fsw, &plain.fp.fx.fsw, 2);
        try_bytes(i, how, &i->before.fp.fx.tags, &plain.fp.fx.tags, 1);
        for (unsigned n = 0; n < 16; n++) {
            try_bytes(i, how, i->before.fp.fx.xmm[n], zeroes, 16);
            try_bytes(i, how, i->before.fp.ymm_high[n], zeroes, 16);
            if (n < 8) {
                try_bytes(i, how, i->before.fp.fx.st[n], zeroes, 16);
            }
        }
    }
    return still_differs(i, how);
}

static void tell(GString *out, const char *what, unsigned n, const void *host, const void *guest, unsigned size)
{
    const uint8_t *a = host, *b = guest;

    if (!memcmp(a, b, size)) {
        return;
    }
    g_string_append_printf(out, "#   %s%x: host ", what, n);
    for (unsigned i = size; i-- > 0;) {
        g_string_append_printf(out, "%02x", a[i]);
    }
    g_string_append(out, " we ");
    for (unsigned i = size; i-- > 0;) {
        g_string_append_printf(out, "%02x", b[i]);
    }
    g_string_append_c(out, '\n');
}

static void tell_differences(const Instance *i, GString *out)
{
    const OracleState *h = &i->host, *g = &i->guest;
    Undefined undefined;
    uint32_t mask = flags_mask(i, &undefined);
    uint32_t host_flags = h->flags & mask, guest_flags = g->flags & mask;
    unsigned told = 0, from, size;

    tell(out, "exception ", 0, &h->vector, &g->vector, 4);
    tell(out, "error code ", 0, &h->error, &g->error, 4);
    tell(out, "cr2 ", 0, &h->cr2, &g->cr2, 8);
    tell(out, "pc ", 0, &h->pc, &g->pc, 8);
    tell(out, "flags ", 0, &host_flags, &guest_flags, 4);
    for (unsigned n = 0; n < 16; n++) {
        if ((h->gpr[n] ^ g->gpr[n]) & gpr_mask(i->one)) {
            tell(out, "register ", n, &h->gpr[n], &g->gpr[n], 8);
        }
    }
    if (i->one->with_fp) {
        tell(out, "fcw ", 0, &h->fp.fx.fcw, &g->fp.fx.fcw, 2);
        tell(out, "fsw ", 0, &h->fp.fx.fsw, &g->fp.fx.fsw, 2);
        tell(out, "tags ", 0, &h->fp.fx.tags, &g->fp.fx.tags, 1);
        tell(out, "mxcsr ", 0, &h->fp.fx.mxcsr, &g->fp.fx.mxcsr, 4);
        for (unsigned n = 0; n < 16; n++) {
            if (n < 8) {
                tell(out, "st", n, h->fp.fx.st[n], g->fp.fx.st[n], 16);
            }
            tell(out, "xmm", n, h->fp.fx.xmm[n], g->fp.fx.xmm[n], 16);
            tell(out, "ymm high ", n, h->fp.ymm_high[n], g->fp.ymm_high[n], 16);
        }
    }
    for (unsigned w = 0; in_windows(i->one, w, &from, &size); w++) {
        for (unsigned at = from; at < from + size && told < 4; at += 8) {
            if (memcmp(i->host_data + at, i->guest_data + at, 8)) {
                tell(out, "data +", at, i->host_data + at, i->guest_data + at, 8);
                told++;
            }
        }
    }
}

static bool looked_at(const Case *one, unsigned at)
{
    unsigned from, size;

    for (unsigned w = 0; in_windows(one, w, &from, &size); w++) {
        if (at - from < size) {
            return true;
        }
    }
    return false;
}

void compare_report(Instance *i, GuestEngine how, GString *out)
{
    static const char *const names[] = {"compiled", "interpreted", "interpreted without optimisation"};
    const Case *one = i->one;
    g_autofree char *text = guest_disassemble(one->mode, one->code, one->size), *row = row_name(one->row);
    g_autofree void *first = g_memdup2(i, sizeof(*i));
    Undefined undefined;

    if (!minimise(i, how)) {
        g_string_append(out, "# not seen again; as it was then:\n");
        memcpy(i, first, sizeof(*i));
    }
    for (unsigned at = 0; at < ORACLE_DATA_SIZE; at++) {
        if (!looked_at(one, at)) {
            i->host_data[at] = i->data[at];
        }
    }
    g_string_append_printf(out, "# row %s: %s, %s\n", row, text, names[how]);
    tell_differences(i, out);
    vector_print(i, flags_mask(i, &undefined), out);
}

bool compare_vector(const Instance *i, uint32_t flags_mask)
{
    const OracleState *want = &i->host, *got = &i->guest;
    g_autoptr(GString) out = g_string_new(NULL);
    uint32_t want_flags = want->flags & flags_mask, got_flags = got->flags & flags_mask;
    unsigned from, size;

    for (unsigned n = 0; n < 16; n++) {
        tell(out, "register ", n, &want->gpr[n], &got->gpr[n], 8);
        tell(out, "xmm", n, want->fp.fx.xmm[n], got->fp.fx.xmm[n], 16);
        tell(out, "ymm high ", n, want->fp.ymm_high[n], got->fp.ymm_high[n], 16);
    }
    tell(out, "vector ", 0, &want->vector, &got->vector, 4);
    tell(out, "error ", 0, &want->error, &got->error, 4);
    tell(out, "cr2 ", 0, &want->cr2, &got->cr2, 8);
    tell(out, "pc ", 0, &want->pc, &got->pc, 8);
    tell(out, "flags ", 0, &want_flags, &got_flags, 4);
    tell(out, "fcw ", 0, &want->fp.fx.fcw, &got->fp.fx.fcw, 2);
    tell(out, "fsw ", 0, &want->fp.fx.fsw, &got->fp.fx.fsw, 2);
    tell(out, "tags ", 0, &want->fp.fx.tags, &got->fp.fx.tags, 1);
    tell(out, "mxcsr ", 0, &want->fp.fx.mxcsr, &got->fp.fx.mxcsr, 4);
    for (unsigned w = 0; in_windows(i->one, w, &from, &size); w++) {
        for (unsigned at = from; at < from + size; at += 8) {
            tell(out, "data +", at, i->host_data + at, oracle_data() + at, 8);
        }
    }
    if (out->len) {
        g_test_message("%s", out->str);
    }
    return out->len == 0;
}
