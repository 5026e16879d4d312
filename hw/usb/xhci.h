/*
 * xHCI: what its parts share.
 *
 * eXtensible Host Controller Interface for USB, revision 1.2. The device and endpoint contexts that the
 * controller owns lie in guest memory; where a ring stands is kept there and nowhere else, so a snapshot
 * holds little, and whatever a guest writes over them is checked as it is read.
 */
#ifndef HW_USB_XHCI_H
#define HW_USB_XHCI_H

#include "core/clock.h"
#include "hw/pci/pci.h"
#include "hw/usb/usb.h"

enum { XHCI_SLOTS = 64, XHCI_INTERRUPTERS = 16, XHCI_MAX_PORTS = 30, XHCI_ENDPOINTS = 32, XHCI_PARTS = 128 };
#define XHCI_CHUNK  65536 /* bytes that pass to or from a device at once; a multiple of all packet sizes */
#define XHCI_MAX_TD 1024  /* TRBs that a transfer may have */

enum { TRB_NORMAL = 1, TRB_SETUP, TRB_DATA, TRB_STATUS, TRB_ISOCH, TRB_LINK, TRB_EVENT_DATA, TRB_NOOP,
       TRB_ENABLE_SLOT, TRB_DISABLE_SLOT, TRB_ADDRESS_DEVICE, TRB_CONFIGURE, TRB_EVALUATE, TRB_RESET_ENDPOINT,
       TRB_STOP_ENDPOINT, TRB_SET_DEQUEUE, TRB_RESET_DEVICE, TRB_FORCE_EVENT, TRB_NEGOTIATE, TRB_SET_LTV,
       TRB_PORT_BANDWIDTH, TRB_FORCE_HEADER, TRB_COMMAND_NOOP,
       TRB_TRANSFER_EVENT = 32, TRB_COMMAND_EVENT, TRB_PORT_EVENT };
enum { TRB_CYCLE = 1 << 0, TRB_TOGGLE = 1 << 1, TRB_ON_SHORT = 1 << 2, TRB_CHAIN = 1 << 4, TRB_IOC = 1 << 5,
       TRB_IMMEDIATE = 1 << 6, TRB_IN = 1 << 16 };
enum { CC_SUCCESS = 1, CC_BUFFER, CC_BABBLE, CC_TRANSACTION, CC_TRB, CC_STALL, CC_NO_SLOTS = 9,
       CC_SLOT_NOT_ENABLED = 11, CC_ENDPOINT_NOT_ENABLED, CC_SHORT, CC_PARAMETER = 17, CC_CONTEXT_STATE = 19,
       CC_RING_STOPPED = 24, CC_STOPPED = 26 };
enum { EP_DISABLED, EP_RUNNING, EP_HALTED, EP_STOPPED, EP_ERROR };
enum { EP_ISOCH_OUT = 1, EP_BULK_OUT, EP_INTERRUPT_OUT, EP_CONTROL, EP_ISOCH_IN, EP_BULK_IN, EP_INTERRUPT_IN };
enum { SLOT_DISABLED, SLOT_DEFAULT, SLOT_ADDRESSED, SLOT_CONFIGURED };

typedef struct Trb {
    uint64_t at; /* its address */
    uint64_t parameter;
    uint32_t status, control;
} Trb;

static inline unsigned trb_type(const Trb *trb)
{
    return trb->control >> 10 & 63;
}

#define XHCI_STATE(FIELD, ARRAY)                                                                    \
    FIELD(uint32_t, command, 0)                                                                     \
    FIELD(uint32_t, status, 1)                                                                      \
    FIELD(uint32_t, notifications, 0)                                                               \
    FIELD(uint64_t, command_ring, 0) /* with the cycle bit */                                       \
    FIELD(bool, command_ring_is_new, false) /* written, and no command fetched since */             \
    FIELD(bool, command_running, false)                                                             \
    FIELD(uint64_t, contexts, 0)                                                                    \
    FIELD(uint32_t, config, 0)                                                                      \
    FIELD(int64_t, started_at, 0)                                                                   \
    ARRAY(uint32_t, portsc, XHCI_MAX_PORTS, 0)                                                      \
    ARRAY(uint32_t, portpmsc, XHCI_MAX_PORTS, 0)                                                    \
    ARRAY(bool, port_event, XHCI_MAX_PORTS, false) /* waits for room in the event ring */           \
    ARRAY(bool, slot, XHCI_SLOTS + 1, false)       /* enabled; [0] is unused */                     \
    /* Rings whose first transfer has moved in part, slot << 24 | endpoint << 16 | stream (0: none), and bytes. */ \
    ARRAY(uint32_t, part, XHCI_PARTS, 0)                                                            \
    ARRAY(uint32_t, part_done, XHCI_PARTS, 0)                                                       \
    ARRAY(uint32_t, iman, XHCI_INTERRUPTERS, 0)                                                     \
    ARRAY(uint32_t, imod, XHCI_INTERRUPTERS, 4000)                                                  \
    ARRAY(uint32_t, erst_size, XHCI_INTERRUPTERS, 0)                                                \
    ARRAY(uint64_t, erst, XHCI_INTERRUPTERS, 0)                                                     \
    ARRAY(uint64_t, event_dequeue, XHCI_INTERRUPTERS, 0)                                            \
    ARRAY(uint32_t, event_segment, XHCI_INTERRUPTERS, 0) /* where the next event goes */            \
    ARRAY(uint32_t, event_index, XHCI_INTERRUPTERS, 0)                                              \
    ARRAY(bool, event_cycle, XHCI_INTERRUPTERS, true)                                               \
    ARRAY(int64_t, quiet_until, XHCI_INTERRUPTERS, 0) /* moderation */                              \
    FIELD(bool, events_blocked, false) /* something waits for room in an event ring */              \
    ARRAY(bool, isochronous, (XHCI_SLOTS + 1) * XHCI_ENDPOINTS, false) /* served by the frame timer */

typedef struct XhciState {
    XHCI_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} XhciState;

/* What usb_ready and doorbells ask for while a transfer is under way. */
typedef struct XhciKick {
    uint8_t slot, endpoint;
    uint16_t stream;
} XhciKick;

typedef struct Xhci {
    PciDevice pci;
    XhciState s;
    Region *mmio;
    UsbBus *bus;
    uint32_t ports2, ports3, slots, intrs; /* properties: p2, p3, slots, intrs */
    bool use_msi, use_msix;
    UsbPort sockets[XHCI_MAX_PORTS / 2]; /* what devices are put into: a USB 2 and a USB 3 port each */
    int socket_count;
    Timer *moderation, *frame_timer;
    GArray *kicks; /* of XhciKick */
    bool busy, in_commands;
    bool kick_everything; /* at the next frame: a snapshot was loaded */
    uint8_t data[XHCI_CHUNK];
    Trb td[XHCI_MAX_TD];
} Xhci;

/* ---- xhci.c ---- */

bool xhci_running(const Xhci *x);
void xhci_read(Xhci *x, uint64_t at, void *buf, size_t size);
void xhci_write(Xhci *x, uint64_t at, const void *buf, size_t size);
void xhci_read_words(Xhci *x, uint64_t at, uint32_t *words, int count);
void xhci_write_words(Xhci *x, uint64_t at, const uint32_t *words, int count);
UsbPort *xhci_socket(Xhci *x, unsigned port); /* of a port number from 1 that has its device; or NULL */
void xhci_port_events(Xhci *x); /* puts those that are due and fit into the event ring */

/* ---- xhci-ring.c ---- */

Trb xhci_read_trb(Xhci *x, uint64_t at);
/* The next TRB of a ring that is not a link; moves *ring (address and cycle bit) past it. False: none. */
bool xhci_next_trb(Xhci *x, uint64_t *ring, Trb *trb);
/* Whether `count` more events fit; if not, what waits goes on when they do. */
bool xhci_events_fit(Xhci *x, unsigned interrupter, int count);
void xhci_put_event(Xhci *x, unsigned interrupter, uint64_t parameter, uint32_t status, uint32_t control);
void xhci_update_interrupts(Xhci *x);
void xhci_moderation_over(void *opaque);
uint32_t xhci_read_interrupter(Xhci *x, unsigned n, unsigned offset);
void xhci_write_interrupter(Xhci *x, unsigned n, unsigned offset, uint32_t value);

/* ---- xhci-command.c ---- */

void xhci_run_commands(Xhci *x);
void xhci_disable_slot(Xhci *x, unsigned slot);

/* ---- xhci-transfer.c ---- */

uint64_t xhci_device_context(Xhci *x, unsigned slot); /* its address */
UsbDevice *xhci_slot_device(Xhci *x, unsigned slot);  /* by its context's port and route; or NULL */
UsbDevice *xhci_find_device(Xhci *x, const uint32_t slot_context[8]);
/* Forgets how far the first transfer of a ring has come; stream -1: of all rings of the endpoint. */
void xhci_forget_part(Xhci *x, unsigned slot, unsigned endpoint, int stream);
void xhci_kick(Xhci *x, unsigned slot, unsigned endpoint, unsigned stream);
void xhci_kick_all(Xhci *x);
void xhci_stop_endpoint_event(Xhci *x, unsigned slot, unsigned endpoint, const uint32_t context[8]);
void xhci_frame(void *opaque);

#endif
