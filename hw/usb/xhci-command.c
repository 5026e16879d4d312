/*
 * xHCI's command ring: slots, addresses, endpoints.
 *
 * xHCI 1.2, section 4.6; contexts in 6.2.
 */
#include "hw/usb/xhci.h"

#include "hw/usb/xhci-regs.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

#define MAX_COMMANDS 256 /* in one go */
#define CONTEXT      32  /* bytes */
#define WORDS        8
enum { FLAG_BLOCK_ADDRESS = 1 << 9, FLAG_DECONFIGURE = 1 << 9 };

static unsigned slot_state(const uint32_t context[WORDS])
{
    return context[3] >> 27;
}

static void set_slot_state(uint32_t context[WORDS], unsigned state)
{
    context[3] = (context[3] & 0x07ffffff) | state << 27;
}

static void set_endpoint_state(uint32_t context[WORDS], unsigned state)
{
    context[0] = (context[0] & ~7u) | state;
}

static void forget_progress(Xhci *x, unsigned slot, unsigned endpoint)
{
    xhci_forget_part(x, slot, endpoint, -1);
    x->s.isochronous[slot * XHCI_ENDPOINTS + endpoint] = false;
}

/* ---- slots ---- */

static int enable_slot(Xhci *x, unsigned *slot)
{
    for (unsigned n = 1; n <= MIN(x->s.config & 0xff, x->slots); n++) {
        if (!x->s.slot[n]) {
            x->s.slot[n] = true;
            *slot = n;
            return CC_SUCCESS;
        }
    }
    return CC_NO_SLOTS;
}

void xhci_disable_slot(Xhci *x, unsigned slot)
{
    x->s.slot[slot] = false;
    for (unsigned e = 0; e < XHCI_ENDPOINTS; e++) {
        forget_progress(x, slot, e);
    }
}

static int disable_slot(Xhci *x, unsigned slot)
{
    uint64_t at = xhci_device_context(x, slot);
    uint32_t context[WORDS];

    if (at) {
        xhci_read_words(x, at, context, WORDS);
        set_slot_state(context, SLOT_DISABLED);
        xhci_write_words(x, at, context, WORDS);
    }
    xhci_disable_slot(x, slot);
    return CC_SUCCESS;
}

/* The address that the device gets is the slot's number. */
static int address_device(Xhci *x, unsigned slot, uint64_t input, bool block)
{
    uint32_t flags[2], context[WORDS], ep0[WORDS], old[WORDS];
    uint64_t output = xhci_device_context(x, slot);
    UsbDevice *usb;

    xhci_read_words(x, input, flags, 2);
    if (!output || flags[0] || (flags[1] & 3) != 3) {
        return CC_PARAMETER;
    }
    xhci_read_words(x, input + CONTEXT, context, WORDS);
    xhci_read_words(x, input + 2 * CONTEXT, ep0, WORDS);
    xhci_read_words(x, output, old, WORDS);
    if (slot_state(old) >= SLOT_ADDRESSED || (block && slot_state(old) == SLOT_DEFAULT)) {
        return CC_CONTEXT_STATE;
    }
    usb = xhci_find_device(x, context);
    if (!usb) {
        return CC_TRANSACTION;
    }
    context[3] = block ? 0 : slot;
    set_slot_state(context, block ? SLOT_DEFAULT : SLOT_ADDRESSED);
    set_endpoint_state(ep0, EP_RUNNING);
    usb_set_address(usb, block ? 0 : slot);
    xhci_write_words(x, output, context, WORDS);
    xhci_write_words(x, output + CONTEXT, ep0, WORDS);
    forget_progress(x, slot, 1);
    return CC_SUCCESS;
}

static int reset_device(Xhci *x, unsigned slot)
{
    uint64_t at = xhci_device_context(x, slot);
    uint32_t context[WORDS];
    UsbDevice *usb = xhci_slot_device(x, slot);

    xhci_read_words(x, at, context, WORDS);
    if (slot_state(context) < SLOT_ADDRESSED) {
        return CC_CONTEXT_STATE;
    }
    if (usb) {
        usb_set_address(usb, 0);
    }
    context[0] = (context[0] & 0x07ffffff) | 1u << 27;
    context[3] = 0;
    set_slot_state(context, SLOT_DEFAULT);
    xhci_write_words(x, at, context, WORDS);
    for (unsigned e = 2; e < XHCI_ENDPOINTS; e++) {
        uint32_t word;

        xhci_read_words(x, at + e * CONTEXT, &word, 1);
        word &= ~7u;
        xhci_write_words(x, at + e * CONTEXT, &word, 1);
        forget_progress(x, slot, e);
    }
    return CC_SUCCESS;
}

/* ---- endpoints ---- */

static bool endpoint_is_valid(const uint32_t e[WORDS])
{
    unsigned streams = e[0] >> 10 & 31;

    return (e[1] >> 3 & 7) && e[1] >> 16 && (!streams || ((e[0] & 1 << 15) && streams <= 15));
}

static void disable_endpoint(Xhci *x, unsigned slot, uint64_t at, unsigned e)
{
    uint32_t word;

    xhci_read_words(x, at + e * CONTEXT, &word, 1);
    word &= ~7u;
    xhci_write_words(x, at + e * CONTEXT, &word, 1);
    forget_progress(x, slot, e);
}

static int configure(Xhci *x, unsigned slot, uint64_t input, bool deconfigure)
{
    uint64_t at = xhci_device_context(x, slot);
    uint32_t flags[2], context[WORDS], new[WORDS];

    xhci_read_words(x, at, context, WORDS);
    if (slot_state(context) < SLOT_ADDRESSED) {
        return CC_CONTEXT_STATE;
    }
    if (deconfigure) {
        for (unsigned e = 2; e < XHCI_ENDPOINTS; e++) {
            disable_endpoint(x, slot, at, e);
        }
        set_slot_state(context, SLOT_ADDRESSED);
        context[0] = (context[0] & 0x07ffffff) | 1u << 27;
        xhci_write_words(x, at, context, WORDS);
        return CC_SUCCESS;
    }
    xhci_read_words(x, input, flags, 2);
    if ((flags[0] & 3) || (flags[1] & 3) != 1) {
        return CC_TRB;
    }
    for (unsigned e = 2; e < XHCI_ENDPOINTS; e++) { /* nothing changes unless all can */
        xhci_read_words(x, input + (e + 1) * CONTEXT, new, WORDS);
        if ((flags[1] >> e & 1) && !endpoint_is_valid(new)) {
            return CC_PARAMETER;
        }
    }
    for (unsigned e = 2; e < XHCI_ENDPOINTS; e++) {
        if (flags[0] >> e & 1) {
            disable_endpoint(x, slot, at, e);
        }
        if (flags[1] >> e & 1) {
            xhci_read_words(x, input + (e + 1) * CONTEXT, new, WORDS);
            set_endpoint_state(new, EP_RUNNING);
            xhci_write_words(x, at + e * CONTEXT, new, WORDS);
            forget_progress(x, slot, e);
        }
    }
    xhci_read_words(x, input + CONTEXT, new, WORDS);
    context[0] = (new[0] & ~0xfffffu) | (context[0] & 0xfffff); /* entries, hub and MTT, not the route */
    context[1] = (context[1] & 0x00ff0000) | (new[1] & 0xff00ffff);
    context[2] = new[2];
    set_slot_state(context, SLOT_CONFIGURED);
    xhci_write_words(x, at, context, WORDS);
    return CC_SUCCESS;
}

static int evaluate(Xhci *x, unsigned slot, uint64_t input)
{
    uint64_t at = xhci_device_context(x, slot);
    uint32_t flags[2], new[WORDS], old[WORDS];

    xhci_read_words(x, input, flags, 2);
    if (flags[0] || (flags[1] & ~3u)) {
        return CC_TRB;
    }
    xhci_read_words(x, at, old, WORDS);
    if (slot_state(old) == SLOT_DISABLED) {
        return CC_CONTEXT_STATE;
    }
    if (flags[1] & 1) {
        xhci_read_words(x, input + CONTEXT, new, WORDS);
        old[1] = (old[1] & ~0xffffu) | (new[1] & 0xffff);         /* latency */
        old[2] = (old[2] & 0x003fffff) | (new[2] & ~0x003fffffu); /* interrupter */
        xhci_write_words(x, at, old, WORDS);
    }
    if (flags[1] & 2) {
        xhci_read_words(x, input + 2 * CONTEXT, new, WORDS);
        xhci_read_words(x, at + CONTEXT, old, WORDS);
        old[1] = (old[1] & 0xffff) | (new[1] & ~0xffffu); /* packet size */
        xhci_write_words(x, at + CONTEXT, old, WORDS);
    }
    return CC_SUCCESS;
}

static int reset_endpoint(Xhci *x, unsigned slot, unsigned e, uint32_t context[WORDS])
{
    if ((context[0] & 7) != EP_HALTED) {
        return CC_CONTEXT_STATE;
    }
    set_endpoint_state(context, EP_STOPPED);
    xhci_write_words(x, xhci_device_context(x, slot) + e * CONTEXT, context, WORDS);
    forget_progress(x, slot, e);
    return CC_SUCCESS;
}

static int stop_endpoint(Xhci *x, unsigned slot, unsigned e, uint32_t context[WORDS])
{
    if ((context[0] & 7) != EP_RUNNING) {
        return CC_CONTEXT_STATE;
    }
    xhci_stop_endpoint_event(x, slot, e, context);
    set_endpoint_state(context, EP_STOPPED);
    xhci_write_words(x, xhci_device_context(x, slot) + e * CONTEXT, context, WORDS);
    x->s.isochronous[slot * XHCI_ENDPOINTS + e] = false;
    return CC_SUCCESS;
}

static int set_dequeue(Xhci *x, unsigned slot, unsigned e, uint32_t context[WORDS], const Trb *trb)
{
    unsigned stream = trb->status >> 16, streams = context[0] >> 10 & 31;
    uint32_t words[2] = { trb->parameter, trb->parameter >> 32 };

    if ((context[0] & 7) != EP_STOPPED && (context[0] & 7) != EP_ERROR) {
        return CC_CONTEXT_STATE;
    }
    if (streams) {
        uint64_t array = ((uint64_t)context[3] << 32 | context[2]) & ~15ull;

        if (!stream || stream >= 2u << streams) {
            return CC_TRB;
        }
        xhci_write_words(x, array + stream * 16, words, 2);
    } else {
        context[2] = words[0] & ~14u;
        context[3] = words[1];
    }
    set_endpoint_state(context, EP_STOPPED);
    xhci_write_words(x, xhci_device_context(x, slot) + e * CONTEXT, context, WORDS);
    xhci_forget_part(x, slot, e, streams ? (int)stream : -1);
    return CC_SUCCESS;
}

static int endpoint_command(Xhci *x, const Trb *trb, unsigned slot)
{
    unsigned e = trb->control >> 16 & 31;
    uint64_t at = xhci_device_context(x, slot);
    uint32_t context[WORDS];

    if (!e || !at) {
        return CC_TRB;
    }
    xhci_read_words(x, at + e * CONTEXT, context, WORDS);
    if ((context[0] & 7) == EP_DISABLED) {
        return CC_ENDPOINT_NOT_ENABLED;
    }
    switch (trb_type(trb)) {
    case TRB_RESET_ENDPOINT:
        return reset_endpoint(x, slot, e, context);
    case TRB_STOP_ENDPOINT:
        return stop_endpoint(x, slot, e, context);
    default:
        return set_dequeue(x, slot, e, context, trb);
    }
}

/* Shares of bandwidth, in per cent, for each port: nothing is used up. */
static int port_bandwidth(Xhci *x, uint64_t at)
{
    uint8_t shares[XHCI_MAX_PORTS + 1];
    unsigned ports = x->ports2 + x->ports3;

    memset(shares, 90, sizeof(shares));
    shares[0] = 0;
    xhci_write(x, at, shares, ports + 1);
    return CC_SUCCESS;
}

/* ---- the ring ---- */

static int perform(Xhci *x, const Trb *trb, unsigned *slot)
{
    uint64_t pointer = trb->parameter & ~15ull;

    switch (trb_type(trb)) {
    case TRB_COMMAND_NOOP:
        return CC_SUCCESS;
    case TRB_ENABLE_SLOT:
        return enable_slot(x, slot);
    case TRB_PORT_BANDWIDTH:
        return port_bandwidth(x, pointer);
    case TRB_DISABLE_SLOT ... TRB_RESET_DEVICE:
        break;
    default:
        guest_error(x->pci.dev.id, "command %u is not known", trb_type(trb));
        return CC_TRB;
    }
    *slot = trb->control >> 24;
    if (!*slot || *slot > x->slots || !x->s.slot[*slot]) {
        return CC_SLOT_NOT_ENABLED;
    }
    switch (trb_type(trb)) {
    case TRB_DISABLE_SLOT:
        return disable_slot(x, *slot);
    case TRB_ADDRESS_DEVICE:
        return address_device(x, *slot, pointer, trb->control & FLAG_BLOCK_ADDRESS);
    case TRB_CONFIGURE:
        return configure(x, *slot, pointer, trb->control & FLAG_DECONFIGURE);
    case TRB_EVALUATE:
        return evaluate(x, *slot, pointer);
    case TRB_RESET_DEVICE:
        return reset_device(x, *slot);
    default:
        return endpoint_command(x, trb, *slot);
    }
}

/*
 * SLOF writes the ring's address with a cycle bit of 0 and its commands with 1. No driver rings the doorbell of an empty ring:
 * what the first command has is right.
 */
static void adopt_cycle(Xhci *x)
{
    Trb trb;

    if (x->s.command_ring_is_new && !(x->s.command_ring & 1)) {
        trb = xhci_read_trb(x, x->s.command_ring & ~15ull);
        x->s.command_ring |= trb.control & TRB_CYCLE;
    }
    x->s.command_ring_is_new = false;
}

void xhci_run_commands(Xhci *x)
{
    Trb trb;

    if (x->in_commands) { /* an event went into the doorbell: the loop below goes on anyway */
        return;
    }
    if (x->s.command_running && xhci_running(x)) {
        adopt_cycle(x);
    }
    x->in_commands = true;
    for (int n = 0; n < MAX_COMMANDS && x->s.command_running && xhci_running(x); n++) {
        unsigned slot = 0;
        int code;

        /* Stopping an endpoint makes an event, too. */
        if (!xhci_events_fit(x, 0, 3) || !xhci_next_trb(x, &x->s.command_ring, &trb)) {
            break;
        }
        code = perform(x, &trb, &slot);
        trace("xhci_command", "%s: type %u slot %u: %d", x->pci.dev.id, trb_type(&trb), slot, code);
        xhci_put_event(x, 0, trb.at, (uint32_t)code << 24, slot << 24 | TRB_COMMAND_EVENT << 10);
    }
    x->in_commands = false;
}
