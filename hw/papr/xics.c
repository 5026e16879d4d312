/*
 * XICS: a presentation controller for each processor and one source controller, as hypercalls show them.
 *
 * LoPAPR 1.1, 14.5.4.7 (hypercalls) and 7.3.10 (RTAS). A processor has a priority (CPPR) and may have one source
 * presented, which a more favoured one (a lower number) displaces; what is displaced or refused waits in its source.
 */
#include "hw/papr/xics.h"

#include "hw/papr/papr.h"
#include "util/bits.h"

#include <string.h>

enum { IPI = 2, MASKED = 0xff, WORDS = PAPR_IRQS / 64 };

#define XICS_STATE(FIELD, ARRAY)                                                            \
    /* Presentation, by server. */                                                          \
    ARRAY(uint8_t, cppr, PAPR_SERVERS, 0)                                                   \
    ARRAY(uint32_t, xisr, PAPR_SERVERS, 0)           /* presented or IPI; 0: nothing */     \
    ARRAY(uint8_t, presented, PAPR_SERVERS, MASKED)  /* its priority */                     \
    ARRAY(uint8_t, mfrr, PAPR_SERVERS, MASKED)       /* priority of the IPI that waits */   \
    /* Sources, by index. */                                                                \
    ARRAY(uint16_t, server, PAPR_IRQS, 0)                                                   \
    ARRAY(uint8_t, priority, PAPR_IRQS, MASKED)                                             \
    ARRAY(uint8_t, saved_priority, PAPR_IRQS, MASKED)                                       \
    ARRAY(uint64_t, waiting, WORDS, 0) /* edge: came and is not presented; level: high */   \
    ARRAY(uint64_t, sent, WORDS, 0)    /* level: on its way to the end of interrupt */

DEFINE_STATE(XicsState, XICS_STATE);

typedef struct Xics {
    Device dev;
    XicsState s;
    Line *line[PAPR_SERVERS];
    bool in_use;
} Xics;

static bool test(const uint64_t *bits, unsigned index)
{
    return bits[index / 64] >> index % 64 & 1;
}

static void assign(uint64_t *bits, unsigned index, bool on)
{
    bits[index / 64] = bits_set(bits[index / 64], index % 64, 1, on);
}

static bool is_level(unsigned index)
{
    return papr_irq_kind(PAPR_IRQ_FIRST + index) == PAPR_IRQ_LEVEL;
}

static void update_server(Xics *x, unsigned server)
{
    line_set(x->line[server], x->in_use && x->s.xisr[server] != 0);
}

static void xics_update(Device *dev)
{
    for (unsigned server = 0; server < PAPR_SERVERS; server++) {
        update_server((Xics *)dev, server);
    }
}

/* What was presented goes back to where it came from. */
static void reject(Xics *x, uint32_t number)
{
    unsigned index = number - PAPR_IRQ_FIRST;

    if (number == IPI || index >= PAPR_IRQS) {
        return; /* an IPI waits in MFRR */
    }
    if (is_level(index)) {
        assign(x->s.sent, index, false);
    } else {
        assign(x->s.waiting, index, true);
    }
}

static bool present(Xics *x, unsigned server, uint32_t number, uint8_t priority)
{
    XicsState *s = &x->s;

    if (priority >= s->cppr[server] || (s->xisr[server] && s->presented[server] <= priority)) {
        return false;
    }
    if (s->xisr[server]) {
        reject(x, s->xisr[server]);
    }
    s->xisr[server] = number;
    s->presented[server] = priority;
    update_server(x, server);
    return true;
}

/* Tries to present a source that has something to say. */
static void offer(Xics *x, unsigned index)
{
    XicsState *s = &x->s;

    if (!test(s->waiting, index) || s->priority[index] == MASKED || (is_level(index) && test(s->sent, index))) {
        return;
    }
    if (present(x, s->server[index], PAPR_IRQ_FIRST + index, s->priority[index])) {
        assign(is_level(index) ? s->sent : s->waiting, index, is_level(index));
    }
}

static void offer_all(Xics *x, unsigned server)
{
    if (x->s.mfrr[server] < x->s.cppr[server]) {
        present(x, server, IPI, x->s.mfrr[server]);
    }
    for (unsigned word = 0; word < WORDS; word++) {
        for (uint64_t bits = x->s.waiting[word]; bits; bits &= bits - 1) {
            offer(x, word * 64 + __builtin_ctzll(bits));
        }
    }
}

/* ---- sources ---- */

static void source_level(void *opaque, unsigned index, bool level)
{
    Xics *x = opaque;

    assign(x->s.waiting, index, level);
    offer(x, index);
}

static void source_trigger(void *opaque, unsigned index)
{
    source_level(opaque, index, true);
}

static void source_claimed(void *opaque, unsigned index)
{
    Xics *x = opaque;

    assign(x->s.waiting, index, false);
    assign(x->s.sent, index, false);
    x->s.server[index] = 0;
    x->s.priority[index] = x->s.saved_priority[index] = MASKED;
}

static const PaprIrqOps source_ops = { source_level, source_trigger, source_claimed };

/* ---- hypercalls ---- */

static void set_cppr(Xics *x, unsigned server, uint8_t cppr)
{
    XicsState *s = &x->s;
    uint32_t presented = s->xisr[server];

    s->cppr[server] = cppr;
    if (presented && cppr <= s->presented[server]) {
        s->xisr[server] = 0;
        s->presented[server] = MASKED;
        update_server(x, server);
        reject(x, presented);
    }
    if (!s->xisr[server]) {
        offer_all(x, server);
    }
}

static int64_t h_cppr(void *opaque, uint64_t opcode, uint64_t *args)
{
    set_cppr(opaque, papr_server(), args[0]);
    return H_SUCCESS;
}

static uint32_t xirr(const XicsState *s, unsigned server)
{
    return (uint32_t)s->cppr[server] << 24 | s->xisr[server];
}

/* Accepts what is presented. H_XIRR_X also tells the time base, which Linux ignores. */
static int64_t h_xirr(void *opaque, uint64_t opcode, uint64_t *args)
{
    Xics *x = opaque;
    XicsState *s = &x->s;
    unsigned server = papr_server();

    args[0] = xirr(s, server);
    if (s->xisr[server]) {
        s->cppr[server] = s->presented[server];
        s->xisr[server] = 0;
        s->presented[server] = MASKED;
        update_server(x, server);
    }
    return H_SUCCESS;
}

static int64_t h_eoi(void *opaque, uint64_t opcode, uint64_t *args)
{
    Xics *x = opaque;
    unsigned index = (args[0] & 0xffffff) - PAPR_IRQ_FIRST;

    if (index < PAPR_IRQS && is_level(index)) {
        assign(x->s.sent, index, false);
    }
    set_cppr(x, papr_server(), args[0] >> 24);
    return H_SUCCESS;
}

static int64_t h_ipi(void *opaque, uint64_t opcode, uint64_t *args)
{
    Xics *x = opaque;
    uint64_t server = args[0];

    if (server >= PAPR_SERVERS || !x->line[server]) {
        return H_PARAMETER;
    }
    x->s.mfrr[server] = args[1];
    offer_all(x, server);
    return H_SUCCESS;
}

static int64_t h_ipoll(void *opaque, uint64_t opcode, uint64_t *args)
{
    Xics *x = opaque;
    uint64_t server = args[0];

    if (server >= PAPR_SERVERS || !x->line[server]) {
        return H_PARAMETER;
    }
    args[0] = xirr(&x->s, server);
    args[1] = x->s.mfrr[server];
    return H_SUCCESS;
}

/* ---- RTAS ---- */

static bool source_of(const PaprRtas *call, unsigned *index)
{
    *index = call->args[0] - PAPR_IRQ_FIRST;
    return papr_irq_kind(call->args[0]) != PAPR_IRQ_NONE;
}

static void set_source(Xics *x, unsigned index, unsigned server, uint8_t priority)
{
    x->s.server[index] = server;
    x->s.priority[index] = priority;
    offer(x, index);
}

static int32_t rtas_set_xive(void *opaque, PaprRtas *call)
{
    Xics *x = opaque;
    unsigned index;

    if (!source_of(call, &index) || call->args[1] >= PAPR_SERVERS || !x->line[call->args[1]] || call->args[2] > 0xff) {
        return RTAS_BAD;
    }
    x->s.saved_priority[index] = call->args[2];
    set_source(x, index, call->args[1], call->args[2]);
    return RTAS_OK;
}

static int32_t rtas_get_xive(void *opaque, PaprRtas *call)
{
    Xics *x = opaque;
    unsigned index;

    if (!source_of(call, &index)) {
        return RTAS_BAD;
    }
    call->rets[1] = x->s.server[index];
    call->rets[2] = x->s.priority[index];
    return RTAS_OK;
}

static int32_t rtas_int_off(void *opaque, PaprRtas *call)
{
    Xics *x = opaque;
    unsigned index;

    if (!source_of(call, &index)) {
        return RTAS_BAD;
    }
    x->s.saved_priority[index] = x->s.priority[index];
    x->s.priority[index] = MASKED;
    return RTAS_OK;
}

static int32_t rtas_int_on(void *opaque, PaprRtas *call)
{
    Xics *x = opaque;
    unsigned index;

    if (!source_of(call, &index)) {
        return RTAS_BAD;
    }
    set_source(x, index, x->s.server[index], x->s.saved_priority[index]);
    return RTAS_OK;
}

/* ---- device ---- */

void xics_connect(Device *dev, unsigned server, Line *line)
{
    ((Xics *)dev)->line[server] = line;
}

void xics_use(Device *dev)
{
    Xics *x = (Xics *)dev;

    x->in_use = true;
    papr_irq_use(&source_ops, x);
    for (unsigned index = 0; index < PAPR_IRQS; index++) {
        if (is_level(index)) {
            source_level(x, index, papr_irq_level(PAPR_IRQ_FIRST + index));
        }
    }
    xics_update(dev);
}

void xics_leave(Device *dev)
{
    ((Xics *)dev)->in_use = false;
    xics_update(dev);
}

static bool xics_realize(Device *dev, GError **error)
{
    papr_hcall_add(H_CPPR, h_cppr, dev);
    papr_hcall_add(H_IPI, h_ipi, dev);
    papr_hcall_add(H_IPOLL, h_ipoll, dev);
    papr_hcall_add(H_XIRR, h_xirr, dev);
    papr_hcall_add(H_XIRR_X, h_xirr, dev);
    papr_hcall_add(H_EOI, h_eoi, dev);
    papr_rtas_add("ibm,set-xive", 3, 1, rtas_set_xive, dev);
    papr_rtas_add("ibm,get-xive", 1, 3, rtas_get_xive, dev);
    papr_rtas_add("ibm,int-off", 1, 1, rtas_int_off, dev);
    papr_rtas_add("ibm,int-on", 1, 1, rtas_int_on, dev);
    return true;
}

/* Indices that are used without a check must be in range. */
static bool xics_post_load(Device *dev, GError **error)
{
    Xics *x = (Xics *)dev;

    for (unsigned index = 0; index < PAPR_IRQS; index++) {
        x->s.server[index] %= PAPR_SERVERS;
    }
    return true;
}

const DeviceType spapr_xics_type = {
    .name = "spapr-xics",
    .about = "XICS interrupt controller of a logical partition",
    .bus = "system",
    .size = sizeof(Xics),
    .state_at = offsetof(Xics, s),
    .state = XicsState_fields,
    .realize = xics_realize,
    .post_load = xics_post_load,
    .update = xics_update,
};
