/*
 * XIVE: interrupts of POWER9 and later as a partition exploits them.
 *
 * LoPAPR with its amendment "PAPR, XIVE exploitation mode", and the register layout of Linux' documentation
 * (Documentation/powerpc/xive.rst, asm/xive-regs.h). A source has two bits, P (presented) and Q (queued again), that loads
 * and stores to its pages change. What a source sends is an entry in a queue in memory, one queue for each processor and
 * priority; the processor's own page says which priorities have something, and takes what it accepts away.
 */
#include "hw/papr/xive.h"

#include "core/cpu.h"
#include "hw/papr/hpt.h"
#include "hw/papr/papr.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

enum { IPIS = PAPR_SERVERS, SOURCES = PAPR_IRQ_FIRST + PAPR_IRQS, PRIORITIES = 8, MASKED = 0xff };
enum { QUEUE_PRIORITIES = 7 }; /* 7 is the hypervisor's */
/* State of a source: P and Q, and whether a level is high. */
enum { ESB_RESET = 0, ESB_OFF = 1, ESB_PENDING = 2, ESB_QUEUED = 3 };
enum { ESB_PAGES = 0x20000, ESB_LOAD_EOI = 0x000, ESB_STORE_EOI = 0x400, ESB_GET = 0x800, ESB_SET = 0xc00 };
/* The OS ring of a thread context, and operations on it. */
enum { RING = 0x10, NSR = 0, CPPR = 1, IPB = 2, LSMFB = 3, ACK_COUNT = 4, INC = 5, AGE = 6, PIPR = 7 };
enum { NSR_EXCEPTION = 0x80, ACK_OS = 0x810, SET_OS_PENDING = 0x812 };
/* Flags of the hypercalls (bits as the manual has them from the left). */
#define SOURCE_BY_ESB (UINT64_C(1) << 3)  /* ends by H_INT_ESB, not by its page */
#define SOURCE_LEVEL  (UINT64_C(1) << 2)
#define SOURCE_STORE_EOI UINT64_C(1)
#define SET_EISN      (UINT64_C(1) << 1)
#define SET_MASK      UINT64_C(1)
#define QUEUE_ALWAYS  UINT64_C(1)
#define QUEUE_STATE   UINT64_C(1)
#define ESB_WRITE     UINT64_C(1)

#define XIVE_STATE(FIELD, ARRAY)                                              \
    /* Sources, by number. */                                                 \
    ARRAY(uint8_t, pq, SOURCES, ESB_OFF)                                      \
    ARRAY(uint8_t, source_priority, SOURCES, MASKED)                          \
    ARRAY(uint16_t, source_server, SOURCES, 0)                                \
    ARRAY(uint32_t, source_data, SOURCES, 0) /* what it writes into queues */ \
    ARRAY(bool, source_high, SOURCES, false)                                  \
    /* Queues, by server * PRIORITIES + priority. */                          \
    ARRAY(uint64_t, queue, IPIS * PRIORITIES, 0)      /* real address */      \
    ARRAY(uint8_t, queue_shift, IPIS * PRIORITIES, 0) /* log2 of bytes; 0: none */ \
    ARRAY(uint32_t, queue_next, IPIS * PRIORITIES, 0) /* entry */             \
    ARRAY(uint8_t, queue_toggle, IPIS * PRIORITIES, 0)                        \
    ARRAY(uint8_t, queue_always, IPIS * PRIORITIES, 0)                        \
    /* Thread contexts: the OS ring. */                                       \
    ARRAY(uint8_t, nsr, IPIS, 0)                                              \
    ARRAY(uint8_t, cppr, IPIS, 0)                                             \
    ARRAY(uint8_t, ipb, IPIS, 0)                                              \
    ARRAY(uint64_t, reporting_line, IPIS, 0)

DEFINE_STATE(XiveState, XIVE_STATE);

typedef struct Xive {
    Device dev;
    XiveState s;
    Line *line[IPIS];
    Region *esb, *os_page, *user_page;
    bool in_use;
} Xive;

/* ---- thread contexts ---- */

static uint8_t most_favoured(uint8_t ipb)
{
    return ipb ? __builtin_clz(ipb) - 24 : MASKED;
}

static void update_thread(Xive *x, unsigned server)
{
    XiveState *s = &x->s;

    if (most_favoured(s->ipb[server]) < s->cppr[server]) {
        s->nsr[server] |= NSR_EXCEPTION;
    }
    line_set(x->line[server], x->in_use && (s->nsr[server] & NSR_EXCEPTION));
}

static void xive_update(Device *dev)
{
    for (unsigned server = 0; server < IPIS; server++) {
        update_thread((Xive *)dev, server);
    }
}

static void set_cppr(Xive *x, unsigned server, uint8_t cppr)
{
    XiveState *s = &x->s;

    s->cppr[server] = cppr > PRIORITIES - 1 ? MASKED : cppr;
    if (most_favoured(s->ipb[server]) >= s->cppr[server]) {
        s->nsr[server] &= ~NSR_EXCEPTION;
    }
    update_thread(x, server);
}

/* Takes what is most favoured: its priority becomes the thread's. */
static uint16_t acknowledge(Xive *x, unsigned server)
{
    XiveState *s = &x->s;
    uint8_t nsr = s->nsr[server], priority = most_favoured(s->ipb[server]);

    s->nsr[server] &= ~NSR_EXCEPTION;
    if ((nsr & NSR_EXCEPTION) && priority != MASKED) {
        s->cppr[server] = priority;
        s->ipb[server] &= ~(0x80 >> priority);
    }
    update_thread(x, server);
    return nsr << 8 | s->cppr[server];
}

static uint8_t ring_byte(const Xive *x, unsigned server, unsigned at)
{
    const XiveState *s = &x->s;

    switch (at) {
    case NSR:
        return s->nsr[server];
    case CPPR:
        return s->cppr[server];
    case IPB:
        return s->ipb[server];
    case LSMFB: case ACK_COUNT: case INC: case AGE:
        return at == ACK_COUNT || at == AGE ? 0xff : 0;
    case PIPR:
        return most_favoured(s->ipb[server]);
    case 8: /* word 2: which virtual processor this is */
        return 0x80;
    case 11:
        return server;
    default:
        return 0;
    }
}

static uint64_t context_read(void *opaque, PhysAddr offset, unsigned size)
{
    Xive *x = opaque;
    unsigned server = papr_server();
    uint64_t value = 0;

    if (offset == ACK_OS) {
        return size == 2 ? acknowledge(x, server) : UINT64_MAX;
    }
    for (unsigned i = 0; i < size; i++) {
        uint64_t at = offset + i - RING;

        value = value << 8 | (at < 16 ? ring_byte(x, server, at) : 0);
    }
    return value;
}

static void context_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Xive *x = opaque;
    unsigned server = papr_server();

    if (offset == RING + CPPR && size == 1) {
        set_cppr(x, server, value);
    } else if (offset == SET_OS_PENDING && size == 1 && value < PRIORITIES) {
        x->s.ipb[server] |= 0x80 >> value;
        update_thread(x, server);
    }
}

/* The user's view shows its own ring, which is empty. */
static uint64_t user_read(void *opaque, PhysAddr offset, unsigned size)
{
    return 0;
}

static void user_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
}

/* ---- queues ---- */

static void enqueue(Xive *x, unsigned server, unsigned priority, uint32_t data)
{
    XiveState *s = &x->s;
    unsigned q = server * PRIORITIES + priority;
    PhysAddr at = s->queue[q] + (uint64_t)s->queue_next[q] * 4;
    uint8_t entry[4];

    /* Only in memory: a queue over the pages of sources would trigger these in turn. */
    if (!s->queue_shift[q] || !address_space_find(memory_system(), at).ram) {
        guest_error(x->dev.id, "an interrupt for processor %u at priority %u, which has no queue", server, priority);
        return;
    }
    store_be32(entry, (uint32_t)s->queue_toggle[q] << 31 | (data & 0x7fffffff));
    memory_write(memory_system(), at, entry, sizeof(entry));
    if (++s->queue_next[q] == 1u << (s->queue_shift[q] - 2)) {
        s->queue_next[q] = 0;
        s->queue_toggle[q] ^= 1;
    }
    s->ipb[server] |= 0x80 >> priority;
    update_thread(x, server);
}

static void send(Xive *x, unsigned source)
{
    if (x->s.source_priority[source] != MASKED) {
        enqueue(x, x->s.source_server[source], x->s.source_priority[source], x->s.source_data[source]);
    }
}

/* ---- sources ---- */

static bool is_level(unsigned source)
{
    return source >= PAPR_IRQ_FIRST && papr_irq_kind(source) == PAPR_IRQ_LEVEL;
}

static bool exists(uint64_t source)
{
    return source < (uint64_t)cpu_count() ||
           (source >= PAPR_IRQ_FIRST && source < SOURCES && papr_irq_kind(source) != PAPR_IRQ_NONE);
}

static void trigger(Xive *x, unsigned source)
{
    uint8_t *pq = &x->s.pq[source];

    if (*pq == ESB_RESET) {
        *pq = ESB_PENDING;
        send(x, source);
    } else if (*pq != ESB_OFF) {
        *pq = ESB_QUEUED;
    }
}

/* The end of one: what came meanwhile is sent now. Returns whether something was. */
static bool end(Xive *x, unsigned source)
{
    uint8_t *pq = &x->s.pq[source];
    bool again = *pq == ESB_QUEUED || (*pq == ESB_PENDING && x->s.source_high[source]);

    if (*pq != ESB_OFF) {
        *pq = ESB_RESET;
    }
    if (again) {
        *pq = ESB_PENDING;
        send(x, source);
    }
    return again;
}

static void set_pq(Xive *x, unsigned source, uint8_t pq)
{
    x->s.pq[source] = pq;
    if (pq == ESB_RESET && x->s.source_high[source]) {
        trigger(x, source);
    }
}

static uint64_t esb_load(Xive *x, unsigned source, unsigned offset)
{
    uint8_t was = x->s.pq[source];

    if (offset < ESB_STORE_EOI) {
        return end(x, source);
    }
    if (offset >= ESB_SET) {
        set_pq(x, source, offset >> 8 & 3);
    }
    return offset >= ESB_GET ? was : UINT64_MAX;
}

/* The even page triggers, the odd one manages. */
static uint64_t esb_read(void *opaque, PhysAddr offset, unsigned size)
{
    unsigned source = offset / ESB_PAGES;

    if (!(offset & XIVE_PAGE) || !exists(source)) {
        return UINT64_MAX;
    }
    return esb_load(opaque, source, offset & 0xfff);
}

static void esb_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    unsigned source = offset / ESB_PAGES, at = offset & 0xfff;

    if (!exists(source)) {
        return;
    }
    if (!(offset & XIVE_PAGE)) {
        if (at < ESB_STORE_EOI) {
            trigger(opaque, source);
        }
    } else if (at >= ESB_STORE_EOI && at < ESB_GET) {
        end(opaque, source);
    } else if (at >= ESB_SET) {
        set_pq(opaque, source, at >> 8 & 3);
    }
}

static void source_level(void *opaque, unsigned index, bool level)
{
    Xive *x = opaque;
    unsigned source = PAPR_IRQ_FIRST + index;

    x->s.source_high[source] = level;
    if (level && x->s.pq[source] == ESB_RESET) {
        trigger(x, source);
    }
}

static void source_trigger(void *opaque, unsigned index)
{
    trigger(opaque, PAPR_IRQ_FIRST + index);
}

static void forget_source(Xive *x, unsigned source)
{
    x->s.pq[source] = ESB_OFF;
    x->s.source_priority[source] = MASKED;
    x->s.source_server[source] = 0;
    x->s.source_data[source] = 0;
    x->s.source_high[source] = source >= PAPR_IRQ_FIRST && papr_irq_level(source);
}

static void source_claimed(void *opaque, unsigned index)
{
    forget_source(opaque, PAPR_IRQ_FIRST + index);
}

static const PaprIrqOps source_ops = { source_level, source_trigger, source_claimed };

/* ---- hypercalls ---- */

/* flags, source -> flags, page that ends it, page that triggers it, log2 of a page. */
static int64_t h_source_info(void *opaque, uint64_t opcode, uint64_t *args)
{
    uint64_t source = args[1], page = XIVE_SOURCES + source * ESB_PAGES;

    if (args[0]) {
        return H_PARAMETER;
    }
    if (!exists(source)) {
        return H_P2;
    }
    args[0] = is_level(source) ? SOURCE_LEVEL : 0; /* the flag of a page that both manages and triggers stays off */
    args[1] = page + XIVE_PAGE;
    args[2] = is_level(source) ? UINT64_MAX : page;
    args[3] = 16;
    return H_SUCCESS;
}

static bool is_server(const Xive *x, uint64_t server)
{
    return server < IPIS && x->line[server];
}

/* flags, source, server, priority, data. */
static int64_t h_set_source(void *opaque, uint64_t opcode, uint64_t *args)
{
    Xive *x = opaque;
    uint64_t source = args[1];

    if (args[0] & ~(SET_EISN | SET_MASK)) {
        return H_PARAMETER;
    }
    if (!exists(source)) {
        return H_P2;
    }
    if (args[3] == MASKED) {
        x->s.source_priority[source] = MASKED;
        return H_SUCCESS;
    }
    if (!is_server(x, args[2])) {
        return H_P3;
    }
    if (args[3] >= QUEUE_PRIORITIES) {
        return H_P4;
    }
    x->s.source_server[source] = args[2];
    x->s.source_priority[source] = args[3];
    if (args[0] & SET_EISN) {
        x->s.source_data[source] = args[4];
    }
    return H_SUCCESS;
}

static int64_t h_get_source(void *opaque, uint64_t opcode, uint64_t *args)
{
    Xive *x = opaque;
    uint64_t source = args[1];

    if (args[0]) {
        return H_PARAMETER;
    }
    if (!exists(source)) {
        return H_P2;
    }
    args[0] = x->s.source_server[source];
    args[1] = x->s.source_priority[source];
    args[2] = x->s.source_data[source];
    return H_SUCCESS;
}

/* flags, server, priority: checks them; *q is the queue's number. */
static int64_t find_queue(const Xive *x, const uint64_t *args, uint64_t flags, unsigned *q)
{
    if (args[0] & ~flags) {
        return H_PARAMETER;
    }
    if (!is_server(x, args[1])) {
        return H_P2;
    }
    if (args[2] >= QUEUE_PRIORITIES) {
        return H_P3;
    }
    *q = args[1] * PRIORITIES + args[2];
    return H_SUCCESS;
}

/* -> the page that manages the queue's own source (which Linux leaves alone), log2 of the queue's size. */
static int64_t h_queue_info(void *opaque, uint64_t opcode, uint64_t *args)
{
    Xive *x = opaque;
    unsigned q;
    int64_t result = find_queue(x, args, 0, &q);

    if (result == H_SUCCESS) {
        args[0] = UINT64_MAX;
        args[1] = x->s.queue_shift[q];
    }
    return result;
}

/* flags, server, priority, address, log2 of the size. */
static int64_t h_set_queue(void *opaque, uint64_t opcode, uint64_t *args)
{
    Xive *x = opaque;
    unsigned q;
    int64_t result = find_queue(x, args, QUEUE_ALWAYS, &q);

    if (result != H_SUCCESS) {
        return result;
    }
    if (args[4] && args[4] != 12 && args[4] != 16) {
        return H_P5;
    }
    if (args[4] && args[3] & ((UINT64_C(1) << args[4]) - 1)) {
        return H_P4;
    }
    x->s.queue[q] = args[4] ? args[3] : 0;
    x->s.queue_shift[q] = args[4];
    x->s.queue_next[q] = 0;
    x->s.queue_toggle[q] = 1;
    x->s.queue_always[q] = args[0] & QUEUE_ALWAYS;
    return H_SUCCESS;
}

/* -> flags, address, log2 of the size, toggle, next entry. */
static int64_t h_get_queue(void *opaque, uint64_t opcode, uint64_t *args)
{
    Xive *x = opaque;
    bool with_state = args[0] & QUEUE_STATE;
    unsigned q;
    int64_t result = find_queue(x, args, QUEUE_STATE, &q);

    if (result == H_SUCCESS) {
        args[0] = x->s.queue_always[q];
        args[1] = x->s.queue[q];
        args[2] = x->s.queue_shift[q];
        args[3] = with_state ? (uint64_t)x->s.queue_toggle[q] << 62 | x->s.queue_next[q] : 0;
    }
    return result;
}

static int64_t h_set_line(void *opaque, uint64_t opcode, uint64_t *args)
{
    ((Xive *)opaque)->s.reporting_line[papr_server()] = args[1];
    return H_SUCCESS;
}

static int64_t h_get_line(void *opaque, uint64_t opcode, uint64_t *args)
{
    Xive *x = opaque;

    if (!is_server(x, args[1])) {
        return H_P2;
    }
    args[0] = x->s.reporting_line[args[1]];
    return H_SUCCESS;
}

/* flags, source, offset into its page, data -> data. */
static int64_t h_esb(void *opaque, uint64_t opcode, uint64_t *args)
{
    if (args[0] & ~ESB_WRITE) {
        return H_PARAMETER;
    }
    if (!exists(args[1])) {
        return H_P2;
    }
    if (args[2] > 0xfff) {
        return H_P3;
    }
    if (args[0] & ESB_WRITE) {
        esb_write(opaque, args[1] * ESB_PAGES + XIVE_PAGE + args[2], args[3], 8);
        args[0] = UINT64_MAX;
    } else {
        args[0] = esb_load(opaque, args[1], args[2]);
    }
    return H_SUCCESS;
}

/* Entries are in their queues before the store that made them is over. */
static int64_t h_sync(void *opaque, uint64_t opcode, uint64_t *args)
{
    return exists(args[1]) ? H_SUCCESS : H_P2;
}

static void forget_all(Xive *x)
{
    for (unsigned source = 0; source < SOURCES; source++) {
        forget_source(x, source);
    }
    memset(x->s.queue_shift, 0, sizeof(x->s.queue_shift));
    memset(x->s.queue, 0, sizeof(x->s.queue));
    memset(x->s.queue_next, 0, sizeof(x->s.queue_next));
}

static int64_t h_reset(void *opaque, uint64_t opcode, uint64_t *args)
{
    if (args[0]) {
        return H_PARAMETER;
    }
    forget_all(opaque);
    return H_SUCCESS;
}

/* ---- device ---- */

void xive_connect(Device *dev, unsigned server, Line *line)
{
    ((Xive *)dev)->line[server] = line;
}

void xive_use(Device *dev)
{
    Xive *x = (Xive *)dev;

    x->in_use = true;
    papr_irq_use(&source_ops, x);
    for (unsigned source = PAPR_IRQ_FIRST; source < SOURCES; source++) {
        x->s.source_high[source] = papr_irq_level(source);
    }
    xive_update(dev);
}

void xive_leave(Device *dev)
{
    ((Xive *)dev)->in_use = false;
    xive_update(dev);
}

static bool xive_realize(Device *dev, GError **error)
{
    static const RegionOps esb_ops = { esb_read, esb_write, 1, 8, ENDIAN_BIG };
    static const RegionOps context_ops = { context_read, context_write, 1, 8, ENDIAN_BIG };
    static const RegionOps user_ops = { user_read, user_write, 1, 8, ENDIAN_BIG };
    Xive *x = (Xive *)dev;

    x->esb = region_new_io("xive-sources", &esb_ops, x, (uint64_t)SOURCES * ESB_PAGES);
    x->os_page = region_new_io("xive-thread", &context_ops, x, XIVE_PAGE);
    x->user_page = region_new_io("xive-user", &user_ops, x, XIVE_PAGE);
    region_add(memory_system_root(), XIVE_SOURCES, x->esb);
    region_add(memory_system_root(), XIVE_OS_PAGE, x->os_page);
    region_add(memory_system_root(), XIVE_USER_PAGE, x->user_page);
    hpt_add_window(XIVE_SOURCES, (uint64_t)SOURCES * ESB_PAGES);
    hpt_add_window(XIVE_OS_PAGE, XIVE_PAGE);
    hpt_add_window(XIVE_USER_PAGE, XIVE_PAGE);
    papr_hcall_add(H_INT_GET_SOURCE_INFO, h_source_info, x);
    papr_hcall_add(H_INT_SET_SOURCE_CONFIG, h_set_source, x);
    papr_hcall_add(H_INT_GET_SOURCE_CONFIG, h_get_source, x);
    papr_hcall_add(H_INT_GET_QUEUE_INFO, h_queue_info, x);
    papr_hcall_add(H_INT_SET_QUEUE_CONFIG, h_set_queue, x);
    papr_hcall_add(H_INT_GET_QUEUE_CONFIG, h_get_queue, x);
    papr_hcall_add(H_INT_SET_OS_REPORTING_LINE, h_set_line, x);
    papr_hcall_add(H_INT_GET_OS_REPORTING_LINE, h_get_line, x);
    papr_hcall_add(H_INT_ESB, h_esb, x);
    papr_hcall_add(H_INT_SYNC, h_sync, x);
    papr_hcall_add(H_INT_RESET, h_reset, x);
    return true;
}

/* Indices that are used without a check must be in range. */
static bool xive_post_load(Device *dev, GError **error)
{
    Xive *x = (Xive *)dev;

    for (unsigned source = 0; source < SOURCES; source++) {
        x->s.source_server[source] %= IPIS;
        x->s.pq[source] &= 3;
        if (x->s.source_priority[source] >= PRIORITIES) {
            x->s.source_priority[source] = MASKED;
        }
    }
    for (unsigned q = 0; q < IPIS * PRIORITIES; q++) {
        if (x->s.queue_shift[q] != 12 && x->s.queue_shift[q] != 16) {
            x->s.queue_shift[q] = 0;
        }
        x->s.queue_next[q] &= 0x3fff >> (x->s.queue_shift[q] == 12 ? 4 : 0);
        x->s.queue_toggle[q] &= 1;
    }
    return true;
}

const DeviceType spapr_xive_type = {
    .name = "spapr-xive",
    .about = "XIVE interrupt controller of a logical partition",
    .bus = "system",
    .size = sizeof(Xive),
    .state_at = offsetof(Xive, s),
    .state = XiveState_fields,
    .realize = xive_realize,
    .post_load = xive_post_load,
    .update = xive_update,
};
