/* EHCI: between its registers and its schedules. */
#ifndef HW_USB_EHCI_H
#define HW_USB_EHCI_H

#include "core/clock.h"
#include "hw/pci/pci.h"
#include "hw/usb/usb.h"

enum { EHCI_PORTS = 6 };
enum { EHCI_STS_INT = 1 << 0, EHCI_STS_ERROR = 1 << 1, EHCI_STS_PORT = 1 << 2, EHCI_STS_ROLLOVER = 1 << 3,
       EHCI_STS_HOST_ERROR = 1 << 4, EHCI_STS_ADVANCE = 1 << 5, EHCI_STS_HALTED = 1 << 12,
       EHCI_STS_PERIODIC = 1 << 14, EHCI_STS_ASYNC = 1 << 15 };
#define EHCI_MAX_QTD (5 * 4096) /* bytes that one descriptor can move */

#define EHCI_STATE(FIELD, ARRAY)                                                   \
    FIELD(uint32_t, command, 0x00080000)                                           \
    FIELD(uint32_t, status, EHCI_STS_HALTED)                                       \
    FIELD(uint32_t, intr, 0)                                                       \
    FIELD(uint32_t, frindex, 0) /* microframe in which frame_at lies; a multiple of 8 */ \
    FIELD(uint32_t, periodic_list, 0)                                              \
    FIELD(uint32_t, async_list, 0)                                                 \
    FIELD(uint32_t, async_left, 0) /* the queue with which the next pass goes on; 0: with that */ \
    FIELD(uint32_t, config_flag, 0)                                                \
    ARRAY(uint32_t, portsc, EHCI_PORTS, 0)                                         \
    FIELD(int64_t, frame_at, 0) /* guest time at which the frame began */          \
    FIELD(int64_t, busy_at, 0)  /* when something was last moved */

typedef struct EhciState {
    EHCI_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} EhciState;

typedef struct Ehci {
    PciDevice pci;
    EhciState s;
    Region *mmio;
    UsbBus *bus;
    UsbPort ports[EHCI_PORTS];
    UsbPort *companion[EHCI_PORTS]; /* NULL: the port is always ours */
    int companions;                 /* controllers */
    int ports_per_companion;
    Timer *timer;
    bool moved;      /* a schedule did more than collect NAKs */
    int budget;      /* what this pass may still cost, in bytes: see ehci-schedule.c */
    uint32_t events; /* EHCI_STS_* of the schedules, for the end of the pass */
    uint8_t data[EHCI_MAX_QTD];
} Ehci;

/* The device of that address behind the ports that we own; NULL if none. */
UsbDevice *ehci_find_device(Ehci *e, uint8_t address);
/* Passes are bounded by a budget, whatever lies in memory. */
#define EHCI_PASS    (1 << 20) /* bytes; no driver queues as much for a frame, and it is copied in a fraction of one */
#define EHCI_VISIT   64        /* bytes that looking at a queue or a descriptor counts for */
void ehci_run_async(Ehci *e);
void ehci_run_frame(Ehci *e, unsigned frame); /* the periodic list's entry of that frame */
/* Isochronous descriptors at an address: all that is active in this frame. Returns the link to the next. */
uint32_t ehci_run_itd(Ehci *e, uint32_t at);
uint32_t ehci_run_sitd(Ehci *e, uint32_t at);

#endif
