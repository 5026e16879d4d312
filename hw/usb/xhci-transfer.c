/*
 * xHCI's transfer rings: finding a transfer, moving its data, reporting it.
 *
 * xHCI 1.2, sections 4.10 (transfers and their events), 4.11 (TRBs), 4.12 (streams). A transfer that the
 * device does not acknowledge stays at the head of its ring until usb_ready or a doorbell.
 */
#include "hw/usb/xhci.h"

#include "hw/usb/xhci-regs.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

#define MAX_TRANSFERS 256  /* of a ring at one go; then others and the guest get their turn */
#define MAX_KICKS     1024
#define CONTEXT       32
#define WORDS         8

/* An endpoint as its context has it. */
typedef struct Endpoint {
    unsigned slot, number, stream;
    uint64_t context_at;  /* of the endpoint */
    uint64_t dequeue_at;  /* where the ring's address is kept: in the context, or in a stream's */
    uint32_t context[WORDS];
    uint64_t ring;        /* address and cycle bit */
    uint32_t stream_type; /* bits 3:1 of a stream context's address */
    unsigned type;        /* EP_BULK_IN ... */
    unsigned packet;
    UsbDevice *usb;
    uint32_t done; /* bytes of the first transfer that have moved */
} Endpoint;

/* ---- transfers that have moved in part ---- */

static uint32_t part_key(unsigned slot, unsigned endpoint, unsigned stream)
{
    return slot << 24 | endpoint << 16 | stream;
}

static int find_part(const Xhci *x, uint32_t key)
{
    for (int n = 0; n < XHCI_PARTS; n++) {
        if (x->s.part[n] == key) {
            return n;
        }
    }
    return -1;
}

void xhci_forget_part(Xhci *x, unsigned slot, unsigned endpoint, int stream)
{
    for (int n = 0; n < XHCI_PARTS; n++) {
        if (stream < 0 ? x->s.part[n] >> 16 == part_key(slot, endpoint, 0) >> 16
                       : x->s.part[n] == part_key(slot, endpoint, stream)) {
            x->s.part[n] = 0;
        }
    }
}

static void remember_part(Xhci *x, const Endpoint *ep)
{
    uint32_t key = part_key(ep->slot, ep->number, ep->stream);
    int n = find_part(x, key);

    n = n < 0 && ep->done ? find_part(x, 0) : n;
    if (n >= 0) {
        x->s.part[n] = ep->done ? key : 0;
        x->s.part_done[n] = ep->done;
    }
}

/* ---- contexts ---- */

uint64_t xhci_device_context(Xhci *x, unsigned slot)
{
    uint8_t raw[8];

    xhci_read(x, x->s.contexts + slot * 8, raw, sizeof(raw));
    return load_le64(raw) & ~63ull;
}

UsbDevice *xhci_find_device(Xhci *x, const uint32_t context[WORDS])
{
    UsbPort *port = xhci_socket(x, context[1] >> 16 & 0xff);
    UsbDevice *usb = port ? port->dev : NULL;

    for (uint32_t route = context[0] & 0xfffff; usb && route; route >>= 4) {
        int n = (int)(route & 15) - 1;

        port = n >= 0 && usb->ops->downstream ? usb->ops->downstream(usb, n) : NULL;
        usb = port && usb->ops->enabled(usb, n) ? port->dev : NULL;
    }
    return usb;
}

UsbDevice *xhci_slot_device(Xhci *x, unsigned slot)
{
    uint64_t at = xhci_device_context(x, slot);
    uint32_t context[WORDS];

    if (!x->s.slot[slot] || !at) {
        return NULL;
    }
    xhci_read_words(x, at, context, WORDS);
    return xhci_find_device(x, context);
}

/* The ring of an endpoint or of one of its streams; false if there is none. */
static bool find_ring(Xhci *x, Endpoint *ep)
{
    unsigned streams = ep->context[0] >> 10 & 31;
    uint64_t address = (uint64_t)ep->context[3] << 32 | ep->context[2];
    uint32_t words[2];

    ep->dequeue_at = ep->context_at + 8;
    ep->ring = address & ~14ull;
    if (!streams) {
        return ep->stream == 0;
    }
    if (!ep->stream || streams > 15 || ep->stream >= 2u << streams) {
        return false;
    }
    ep->dequeue_at = (address & ~15ull) + ep->stream * 16;
    xhci_read_words(x, ep->dequeue_at, words, 2);
    ep->ring = ((uint64_t)words[1] << 32 | words[0]) & ~14ull;
    ep->stream_type = words[0] & 14;
    return true;
}

static bool load_endpoint(Xhci *x, Endpoint *ep, const XhciKick *kick)
{
    uint64_t at = xhci_device_context(x, kick->slot);
    int part;

    *ep = (Endpoint){ .slot = kick->slot, .number = kick->endpoint, .stream = kick->stream };
    if (!x->s.slot[kick->slot] || !at || !kick->endpoint) {
        return false;
    }
    ep->context_at = at + kick->endpoint * CONTEXT;
    xhci_read_words(x, ep->context_at, ep->context, WORDS);
    ep->type = ep->context[1] >> 3 & 7;
    ep->packet = ep->context[1] >> 16;
    part = find_part(x, part_key(ep->slot, ep->number, ep->stream));
    ep->done = part >= 0 ? x->s.part_done[part] : 0;
    return find_ring(x, ep);
}

static void set_state(Xhci *x, Endpoint *ep, unsigned state)
{
    ep->context[0] = (ep->context[0] & ~7u) | state;
    xhci_write_words(x, ep->context_at, ep->context, 1);
}

static void save_ring(Xhci *x, Endpoint *ep)
{
    uint32_t words[2] = { (uint32_t)ep->ring | ep->stream_type, ep->ring >> 32 };

    xhci_write_words(x, ep->dequeue_at, words, 2);
}

/* ---- one transfer ---- */

static bool has_data(const Trb *trb)
{
    unsigned type = trb_type(trb);

    return type == TRB_NORMAL || type == TRB_DATA || type == TRB_ISOCH || type == TRB_SETUP;
}

static uint32_t trb_size(const Trb *trb)
{
    uint32_t size = has_data(trb) ? trb->status & 0x1ffff : 0;

    return trb->control & TRB_IMMEDIATE ? MIN(size, 8) : MIN(size, 65536);
}

static unsigned trb_interrupter(const Trb *trb)
{
    return trb->status >> 22;
}

/* The TRBs at *ring up to the end of the chain, to x->td; 0 if it is not all there. */
static int gather(Xhci *x, uint64_t *ring)
{
    uint64_t at = *ring;

    for (int n = 0; n < XHCI_MAX_TD; n++) {
        if (!xhci_next_trb(x, &at, &x->td[n])) {
            return 0;
        }
        if (!(x->td[n].control & TRB_CHAIN)) {
            *ring = at;
            return n + 1;
        }
    }
    guest_error(x->pci.dev.id, "a transfer of more than %d parts", XHCI_MAX_TD);
    *ring = at;
    return XHCI_MAX_TD;
}

/* Between x->data and the parts of a transfer, from byte `offset` of it on. */
static void copy(Xhci *x, int count, uint32_t offset, uint32_t size, bool to_memory)
{
    uint32_t done = 0;

    for (int n = 0; n < count && done < size; n++) {
        const Trb *trb = &x->td[n];
        uint32_t part = trb_size(trb), take;

        if (offset >= part) {
            offset -= part;
            continue;
        }
        take = MIN(part - offset, size - done);
        if (trb->control & TRB_IMMEDIATE) {
            uint8_t bytes[8];

            store_le64(bytes, trb->parameter);
            if (!to_memory) {
                memcpy(x->data + done, bytes + offset, take);
            }
        } else if (to_memory) {
            xhci_write(x, trb->parameter + offset, x->data + done, take);
        } else {
            xhci_read(x, trb->parameter + offset, x->data + done, take);
        }
        done += take;
        offset = 0;
    }
}

/* The most events that a transfer can make: one for each part that asks for it, and one if it ends early. */
static int most_events(const Xhci *x, int count)
{
    int events = 1;

    for (int n = 0; n < count; n++) {
        events += (x->td[n].control & TRB_IOC) != 0;
    }
    return events;
}

static void put_transfer_event(Xhci *x, const Endpoint *ep, const Trb *trb, unsigned code, uint32_t left)
{
    xhci_put_event(x, trb_interrupter(trb), trb->at, code << 24 | (left & 0xffffff),
                   ep->slot << 24 | ep->number << 16 | TRB_TRANSFER_EVENT << 10);
}

/* Events of a transfer that ended well, of whose bytes `done` were moved (section 4.10.1.1). */
static void report(Xhci *x, const Endpoint *ep, int count, uint32_t done, bool is_short)
{
    uint32_t at = 0, since_event = 0;
    bool cut = false, told = false; /* the short packet lies behind; an event has said so */

    for (int n = 0; n < count; n++) {
        const Trb *trb = &x->td[n];
        uint32_t size = trb_size(trb), moved = MIN(size, done - at);
        bool ends_here = is_short && !cut && moved < size;

        at += moved;
        since_event += moved;
        if (trb_type(trb) == TRB_EVENT_DATA) {
            if (trb->control & TRB_IOC) {
                xhci_put_event(x, trb_interrupter(trb), trb->parameter,
                               (cut ? CC_SHORT : CC_SUCCESS) << 24 | (since_event & 0xffffff),
                               ep->slot << 24 | ep->number << 16 | TRB_TRANSFER_EVENT << 10 | 1 << 2);
                told = true;
            }
            since_event = 0;
            continue;
        }
        if (ends_here) {
            cut = true;
            if (trb->control & (TRB_ON_SHORT | TRB_IOC)) {
                put_transfer_event(x, ep, trb, CC_SHORT, size - moved);
                told = true;
            }
        } else if (cut ? !told && n == count - 1 && (trb->control & TRB_IOC) : trb->control & TRB_IOC) {
            put_transfer_event(x, ep, trb, cut ? CC_SHORT : CC_SUCCESS, size - moved);
        }
    }
}

/* An error is always told, at the part where it happened. */
static void report_error(Xhci *x, const Endpoint *ep, int count, uint32_t done, unsigned code)
{
    int n = 0;

    while (n < count - 1 && done >= trb_size(&x->td[n]) && done) {
        done -= trb_size(&x->td[n]);
        n++;
    }
    put_transfer_event(x, ep, &x->td[n], code, trb_size(&x->td[n]) - MIN(done, trb_size(&x->td[n])));
}

static unsigned error_code(int result)
{
    return result == USB_STALL ? CC_STALL : result == USB_BABBLE ? CC_BABBLE : CC_TRANSACTION;
}

/* It goes against the data, which the request tells: SLOF has the wrong direction in the TRB (table 4-7). */
static UsbPid status_direction(const UsbDevice *usb)
{
    return (usb->core.setup[0] & 0x80) && load_le16(usb->core.setup + 6) ? USB_OUT : USB_IN;
}

static UsbPid direction(const Endpoint *ep, const Trb *first)
{
    if (ep->type == EP_CONTROL) {
        if (trb_type(first) == TRB_STATUS && ep->usb) {
            return status_direction(ep->usb);
        }
        return trb_type(first) == TRB_SETUP ? USB_SETUP : first->control & TRB_IN ? USB_IN : USB_OUT;
    }
    return ep->number & 1 ? USB_IN : USB_OUT;
}

typedef enum Outcome { WAITS, DONE, SHORT, FAILED } Outcome;

/* Moves what the device takes or gives, from where the transfer stands. *result: what it answered last. */
static Outcome move(Xhci *x, Endpoint *ep, int count, uint32_t total, int *result)
{
    UsbPid pid = direction(ep, &x->td[0]);

    ep->done = MIN(ep->done, total);
    for (;;) {
        uint32_t size = MIN(total - ep->done, XHCI_CHUNK);

        if (pid != USB_IN) {
            copy(x, count, ep->done, size, false);
        }
        *result = ep->usb ? usb_transfer(ep->usb, pid, ep->number >> 1, ep->stream, x->data, size) : USB_NO_ANSWER;
        trace("xhci_transfer", "%s: slot %u endpoint %u.%u pid %02x %u of %u, size %u: %d", x->pci.dev.id, ep->slot,
              ep->number, ep->stream, pid, ep->done, total, size, *result);
        if (*result == USB_NAK || (pid != USB_IN && *result == 0 && size)) {
            return WAITS;
        }
        if (*result < 0) {
            return FAILED;
        }
        if (pid == USB_IN) {
            copy(x, count, ep->done, *result, true);
        }
        ep->done += *result;
        if (ep->done == total) {
            return DONE;
        }
        if ((uint32_t)*result < size && (*result == 0 || !ep->packet || *result % ep->packet)) {
            return SHORT;
        }
    }
}

static bool is_isochronous(const Endpoint *ep)
{
    return ep->type == EP_ISOCH_IN || ep->type == EP_ISOCH_OUT;
}

/* False: nothing more to do with this ring for now. */
static bool run_transfer(Xhci *x, Endpoint *ep)
{
    uint64_t next = ep->ring;
    int count = gather(x, &next), result;
    uint32_t total = 0, done;
    Outcome outcome;

    if (!count) {
        return false;
    }
    for (int n = 0; n < count; n++) {
        total += trb_size(&x->td[n]);
    }
    if (!xhci_events_fit(x, trb_interrupter(&x->td[count - 1]), most_events(x, count))) {
        return false;
    }
    if (!ep->done && find_part(x, 0) < 0) { /* too many are half done: after some of these */
        x->kick_everything = true;
        timer_set(x->frame_timer, clock_now(CLOCK_GUEST) + NS_PER_MS);
        return false;
    }
    if (trb_type(&x->td[0]) == TRB_NOOP) {
        outcome = DONE;
        ep->done = 0;
    } else {
        outcome = move(x, ep, count, total, &result);
        if (is_isochronous(ep) && outcome == WAITS) {
            outcome = SHORT; /* an interval without a packet */
        }
    }
    if (outcome == WAITS) {
        remember_part(x, ep);
        return false;
    }
    done = ep->done;
    ep->done = 0;
    remember_part(x, ep);
    if (outcome == FAILED && !is_isochronous(ep)) {
        set_state(x, ep, EP_HALTED);
        report_error(x, ep, count, done, error_code(result));
        return false;
    }
    ep->ring = next;
    save_ring(x, ep);
    if (outcome == FAILED) {
        report_error(x, ep, count, done, error_code(result));
    } else {
        report(x, ep, count, done, outcome == SHORT);
    }
    return true;
}

/* True: it may have more to do. */
static bool run_endpoint(Xhci *x, const XhciKick *kick, int limit)
{
    Endpoint ep;

    if (!load_endpoint(x, &ep, kick) || (ep.context[0] & 7) != EP_RUNNING) {
        return false;
    }
    ep.usb = xhci_slot_device(x, kick->slot);
    while (limit-- > 0) {
        if (!run_transfer(x, &ep)) {
            return false;
        }
    }
    return true;
}

/* ---- what sets rings going ---- */

static void add_kick(Xhci *x, const XhciKick *kick)
{
    for (guint i = 0; i < x->kicks->len; i++) {
        if (memcmp(&g_array_index(x->kicks, XhciKick, i), kick, sizeof(*kick)) == 0) {
            return;
        }
    }
    if (x->kicks->len < MAX_KICKS) {
        g_array_append_vals(x->kicks, kick, 1);
    }
}

static void run_kicks(Xhci *x)
{
    if (x->busy || !xhci_running(x)) {
        return;
    }
    x->busy = true;
    for (int n = 0; n < MAX_KICKS && x->kicks->len; n++) {
        XhciKick kick = g_array_index(x->kicks, XhciKick, 0);

        g_array_remove_index(x->kicks, 0);
        if (run_endpoint(x, &kick, MAX_TRANSFERS)) {
            add_kick(x, &kick);
            break;
        }
    }
    x->busy = false;
    if (x->kicks->len) {
        timer_set(x->frame_timer, clock_now(CLOCK_GUEST) + 125 * NS_PER_US);
    }
}

void xhci_kick(Xhci *x, unsigned slot, unsigned endpoint, unsigned stream)
{
    XhciKick kick = { .slot = slot, .endpoint = endpoint, .stream = stream };
    Endpoint ep;

    if (!load_endpoint(x, &ep, &kick)) {
        return;
    }
    if (is_isochronous(&ep)) {
        x->s.isochronous[slot * XHCI_ENDPOINTS + endpoint] = true;
        if (!timer_pending(x->frame_timer)) {
            timer_set(x->frame_timer, clock_now(CLOCK_GUEST) + NS_PER_MS);
        }
        return;
    }
    add_kick(x, &kick);
    run_kicks(x);
}

void xhci_kick_all(Xhci *x)
{
    for (unsigned slot = 1; slot <= x->slots; slot++) {
        for (unsigned e = 1; x->s.slot[slot] && e < XHCI_ENDPOINTS; e++) {
            XhciKick kick = { .slot = slot, .endpoint = e };
            Endpoint ep;
            unsigned streams;

            load_endpoint(x, &ep, &kick);
            streams = ep.context[0] >> 10 & 31;
            if ((ep.context[0] & 7) != EP_RUNNING) {
                continue;
            }
            for (unsigned n = streams ? 1 : 0; n < (streams ? MIN(2u << MIN(streams, 15u), 256) : 1); n++) {
                kick.stream = n;
                add_kick(x, &kick);
            }
        }
    }
    run_kicks(x);
}

/* Isochronous endpoints have one transfer in each of their intervals; here they are all of one frame. */
void xhci_frame(void *opaque)
{
    Xhci *x = opaque;
    uint64_t frame = (clock_now(CLOCK_GUEST) - x->s.started_at) / NS_PER_MS;
    bool more = false;

    if (x->kick_everything && !x->busy) {
        x->kick_everything = false;
        xhci_kick_all(x);
    }
    for (unsigned n = 0; n < G_N_ELEMENTS(x->s.isochronous) && !x->busy && xhci_running(x); n++) {
        XhciKick kick = { .slot = n / XHCI_ENDPOINTS, .endpoint = n % XHCI_ENDPOINTS };
        Endpoint ep;
        unsigned interval;

        if (!x->s.isochronous[n]) {
            continue;
        }
        if (!load_endpoint(x, &ep, &kick) || (ep.context[0] & 7) != EP_RUNNING) {
            x->s.isochronous[n] = false;
            continue;
        }
        more = true;
        interval = MIN(ep.context[0] >> 16 & 0xff, 15);
        x->busy = true;
        if (interval < 3) {
            run_endpoint(x, &kick, 8 >> interval);
        } else if (frame % (1u << (interval - 3)) == 0) {
            run_endpoint(x, &kick, 1);
        }
        x->busy = false;
    }
    if (more) {
        timer_set(x->frame_timer, clock_now(CLOCK_GUEST) + NS_PER_MS);
    }
    run_kicks(x);
}

/* Stopping in the midst of a transfer tells how far it got (section 4.6.9). */
void xhci_stop_endpoint_event(Xhci *x, unsigned slot, unsigned endpoint, const uint32_t context[WORDS])
{
    XhciKick kick = { .slot = slot, .endpoint = endpoint };
    Endpoint ep;
    uint64_t ring;
    Trb trb;

    if (!load_endpoint(x, &ep, &kick)) {
        return; /* streams: each has its own ring, and the driver looks at those */
    }
    ring = ep.ring;
    if (xhci_next_trb(x, &ring, &trb)) {
        put_transfer_event(x, &ep, &trb, CC_STOPPED, trb_size(&trb) - MIN(ep.done, trb_size(&trb)));
    }
}
