/*
 * xHCI's rings: walking those of the driver, filling event rings, and the interrupters over them.
 *
 * xHCI 1.2, sections 4.9 (rings), 4.17 (interrupters) and 5.5.2 (their registers).
 */
#include "hw/usb/xhci.h"

#include "hw/pci/msi.h"
#include "hw/usb/xhci-regs.h"
#include "util/bits.h"
#include "util/log.h"

#include <inttypes.h>

#define MAX_LINKS 32 /* that follow each other without anything between */

Trb xhci_read_trb(Xhci *x, uint64_t at)
{
    uint8_t raw[16];

    xhci_read(x, at, raw, sizeof(raw));
    return (Trb){ at, load_le64(raw), load_le32(raw + 8), load_le32(raw + 12) };
}

bool xhci_next_trb(Xhci *x, uint64_t *ring, Trb *trb)
{
    for (int links = 0; links < MAX_LINKS; links++) {
        unsigned cycle = *ring & 1;

        *trb = xhci_read_trb(x, *ring & ~15ull);
        if ((trb->control & TRB_CYCLE) != cycle) {
            return false;
        }
        if (trb_type(trb) != TRB_LINK) {
            *ring = ((*ring & ~15ull) + 16) | cycle;
            return true;
        }
        *ring = (trb->parameter & ~15ull) | (cycle ^ (trb->control & TRB_TOGGLE ? 1 : 0));
    }
    guest_error(x->pci.dev.id, "a ring of nothing but links");
    return false;
}

/* ---- event rings ---- */

typedef struct EventPlace {
    uint32_t segment, index;
    uint64_t base;
    uint32_t size;
} EventPlace;

static bool load_segment(Xhci *x, unsigned n, EventPlace *place)
{
    uint8_t entry[16];

    xhci_read(x, x->s.erst[n] + place->segment * 16, entry, sizeof(entry));
    place->base = load_le64(entry) & ~63ull;
    place->size = load_le16(entry + 8);
    return place->size >= 16 && place->index < place->size;
}

/* The place after it; *wrapped: the whole ring was gone through. */
static bool step(Xhci *x, unsigned n, EventPlace *place, bool *wrapped)
{
    if (++place->index < place->size) {
        return true;
    }
    place->index = 0;
    if (++place->segment >= x->s.erst_size[n]) {
        place->segment = 0;
        *wrapped = !*wrapped;
    }
    return load_segment(x, n, place);
}

static bool current_place(Xhci *x, unsigned n, EventPlace *place)
{
    *place = (EventPlace){ .segment = x->s.event_segment[n], .index = x->s.event_index[n] };
    return x->s.erst_size[n] && place->segment < x->s.erst_size[n] && load_segment(x, n, place);
}

static unsigned valid_interrupter(const Xhci *x, unsigned n)
{
    return n < x->intrs ? n : 0;
}

bool xhci_events_fit(Xhci *x, unsigned interrupter, int count)
{
    unsigned n = valid_interrupter(x, interrupter);
    uint64_t dequeue = x->s.event_dequeue[n] & ~15ull;
    EventPlace place;
    bool wrapped = false;

    if (!current_place(x, n, &place)) {
        x->s.events_blocked = true;
        return false;
    }
    while (count-- > 0) {
        if (!step(x, n, &place, &wrapped) || place.base + place.index * 16 == dequeue) {
            x->s.events_blocked = true;
            return false;
        }
    }
    return true;
}

/* The driver is told once, until it says that it has looked. */
static void announce_events(Xhci *x, unsigned n)
{
    x->s.event_dequeue[n] |= ERDP_BUSY;
    x->s.iman[n] |= IMAN_PENDING;
    x->s.status |= STS_EVENT;
}

void xhci_put_event(Xhci *x, unsigned interrupter, uint64_t parameter, uint32_t status, uint32_t control)
{
    unsigned n = valid_interrupter(x, interrupter);
    XhciState *s = &x->s;
    EventPlace place;
    bool wrapped = false;
    uint64_t at;
    uint8_t raw[16];

    if (!current_place(x, n, &place)) {
        guest_error(x->pci.dev.id, "event ring %u cannot take an event", n);
        return;
    }
    at = place.base + place.index * 16;
    store_le64(raw, parameter);
    store_le32(raw + 8, status);
    store_le32(raw + 12, control | s->event_cycle[n]);
    xhci_write(x, at, raw, 12); /* the word with the cycle bit last */
    xhci_write(x, at + 12, raw + 12, 4);
    step(x, n, &place, &wrapped);
    s->event_segment[n] = place.segment;
    s->event_index[n] = place.index;
    s->event_cycle[n] ^= wrapped;
    trace("xhci_event", "%s: %u type %u parameter %" PRIx64 " status %08x", x->pci.dev.id, n, control >> 10 & 63,
          parameter, status);
    if (!(s->event_dequeue[n] & ERDP_BUSY)) {
        announce_events(x, n);
    }
    xhci_update_interrupts(x);
}

/* ---- interrupts ---- */

/* Moderation: a pending interrupt waits until its interval is over. */
static bool may_interrupt(Xhci *x, unsigned n, int64_t now, int64_t *next)
{
    XhciState *s = &x->s;

    if ((s->iman[n] & (IMAN_PENDING | IMAN_ENABLE)) != (IMAN_PENDING | IMAN_ENABLE) ||
        !(s->command & CMD_INTERRUPTS)) {
        return false;
    }
    if (now < s->quiet_until[n]) {
        *next = MIN(*next, s->quiet_until[n]);
        return false;
    }
    return true;
}

static bool send_message(Xhci *x, unsigned n)
{
    if (pci_msix_enabled(&x->pci)) {
        pci_msix_notify(&x->pci, n);
        return true;
    }
    if (pci_msi_enabled(&x->pci)) {
        pci_msi_notify(&x->pci, n);
        return true;
    }
    return false;
}

void xhci_update_interrupts(Xhci *x)
{
    XhciState *s = &x->s;
    int64_t now = clock_now(CLOCK_GUEST), next = INT64_MAX;
    bool level = false;

    for (unsigned n = 0; n < x->intrs; n++) {
        if (!may_interrupt(x, n, now, &next)) {
            continue;
        }
        if (send_message(x, n)) {
            s->iman[n] &= ~(uint32_t)IMAN_PENDING; /* as if it had been written with 1 */
            s->quiet_until[n] = now + (int64_t)(s->imod[n] & 0xffff) * 250;
        } else if (n == 0) { /* the wire is the first interrupter's alone */
            level = true;
        }
    }
    if (x->pci.intx && !level) {
        s->quiet_until[0] = now + (int64_t)(s->imod[0] & 0xffff) * 250;
    }
    pci_set_intx(&x->pci, level);
    if (next != INT64_MAX) {
        timer_set(x->moderation, next);
    }
}

void xhci_moderation_over(void *opaque)
{
    xhci_update_interrupts(opaque);
}

uint32_t xhci_read_interrupter(Xhci *x, unsigned n, unsigned offset)
{
    const XhciState *s = &x->s;

    switch (offset) {
    case IR_IMAN:
        return s->iman[n];
    case IR_IMOD:
        return s->imod[n];
    case IR_ERSTSZ:
        return s->erst_size[n];
    case IR_ERSTBA:
        return s->erst[n];
    case IR_ERSTBA + 4:
        return s->erst[n] >> 32;
    case IR_ERDP:
        return s->event_dequeue[n];
    case IR_ERDP + 4:
        return s->event_dequeue[n] >> 32;
    default:
        return 0;
    }
}

/* There may be room again: what waited goes on. */
static void unblock(Xhci *x)
{
    if (x->s.events_blocked) {
        x->s.events_blocked = false;
        xhci_port_events(x);
        xhci_run_commands(x);
        xhci_kick_all(x);
    }
}

/* Whether the driver left events in the ring. */
static bool events_left(Xhci *x, unsigned n)
{
    EventPlace place;

    return current_place(x, n, &place) && place.base + place.index * 16 != (x->s.event_dequeue[n] & ~15ull);
}

static void restart_events(Xhci *x, unsigned n)
{
    x->s.event_segment[n] = x->s.event_index[n] = 0;
    x->s.event_cycle[n] = true;
}

void xhci_write_interrupter(Xhci *x, unsigned n, unsigned offset, uint32_t value)
{
    XhciState *s = &x->s;

    switch (offset) {
    case IR_IMAN:
        s->iman[n] = (s->iman[n] & ~(value & IMAN_PENDING) & IMAN_PENDING) | (value & IMAN_ENABLE);
        break;
    case IR_IMOD:
        s->imod[n] = value;
        break;
    case IR_ERSTSZ:
        s->erst_size[n] = MIN(value & 0xffff, ERST_MAX);
        break;
    case IR_ERSTBA:
        s->erst[n] = (s->erst[n] & ~0xffffffffull) | (value & ~63u);
        restart_events(x, n);
        break;
    case IR_ERSTBA + 4:
        s->erst[n] = (s->erst[n] & 0xffffffff) | (uint64_t)value << 32;
        restart_events(x, n);
        break;
    case IR_ERDP: {
        uint64_t busy = s->event_dequeue[n] & ERDP_BUSY & ~(uint64_t)value;

        s->event_dequeue[n] = (s->event_dequeue[n] & ~0xffffffffull) | (value & ~(uint32_t)ERDP_BUSY) | busy;
        if (!busy && events_left(x, n)) { /* it stopped before the last */
            announce_events(x, n);
        }
        unblock(x);
        break;
    }
    case IR_ERDP + 4:
        s->event_dequeue[n] = (s->event_dequeue[n] & 0xffffffff) | (uint64_t)value << 32;
        break;
    }
    xhci_update_interrupts(x);
}
