/*
 * Enhanced error handling: the RTAS calls by which a guest watches and resets what is in a slot of a PCI host bridge.
 *
 * LoPAPR 1.1, 7.3.11. What can be isolated is a slot of the host's bus with all that is behind it. Nothing goes wrong on this bus, so
 * no slot is ever stopped: a guest may reset one all the same.
 */
#include "hw/papr/phb.h"

#include "util/log.h"

enum { DISABLE, ENABLE, THAW_IO, THAW_DMA };                         /* options of ibm,set-eeh-option */
enum { DEACTIVATE = 0, HOT_RESET = 1, FUNDAMENTAL_RESET = 3 };       /* of ibm,set-slot-reset */
enum { STATE_NORMAL = 0, STATE_RESET = 1, SUPPORTED = 1 };           /* what ibm,read-slot-reset-state2 tells */
enum { GET_ADDRESS = 0, GET_MODE = 1, MODE_SHARED = 2, NO_LOG = 1 }; /* of ibm,get-config-addr-info2; of ibm,slot-error-detail */
enum { IS_SLOT = 1 }; /* in the register's place of an address: it stands for the slot */

/* The function on the host's bus behind which an address lies, or which it names; NULL: there is none. */
static PciDevice *slot_of(const PaprRtas *call, Device **bridge)
{
    uint32_t address = call->args[0];
    PciDevice *pci;

    *bridge = phb_find(call->args[1], call->args[2]);
    if (!*bridge) {
        return NULL;
    }
    if (address & IS_SLOT) {
        unsigned slot = PCI_SLOT(address >> 8 & 0xff);

        for (unsigned function = 0; function < 8; function++) {
            pci = pci_bus_device(phb_bus(*bridge), PCI_DEVFN(slot, function));
            if (pci) {
                return pci;
            }
        }
        return NULL;
    }
    pci = pci_find_function(phb_bus(*bridge), address >> 16, address >> 8 & 0xff);
    while (pci && pci_bus_bridge(pci->bus)) {
        pci = pci_bus_bridge(pci->bus);
    }
    return pci;
}

/* function, bridge, what. */
static int32_t set_option(void *opaque, PaprRtas *call)
{
    Device *bridge;

    return slot_of(call, &bridge) && call->args[3] <= THAW_DMA ? RTAS_OK : RTAS_BAD;
}

/* function, bridge, what -> the slot's address, or whether several functions share it. */
static int32_t get_address(void *opaque, PaprRtas *call)
{
    Device *bridge;
    PciDevice *pci = slot_of(call, &bridge);

    if (!pci || call->args[3] > GET_MODE) {
        return RTAS_BAD;
    }
    call->rets[1] = call->args[3] == GET_MODE ? MODE_SHARED : PCI_SLOT(pci->devfn) << 11 | IS_SLOT;
    return RTAS_OK;
}

/* slot, bridge -> state, whether it can be told of errors, how long it is away, how long recovery took. */
static int32_t read_state(void *opaque, PaprRtas *call)
{
    Device *bridge;
    PciDevice *pci = slot_of(call, &bridge);

    if (!pci) {
        return RTAS_BAD;
    }
    call->rets[1] = phb_slot_in_reset(bridge, PCI_SLOT(pci->devfn)) ? STATE_RESET : STATE_NORMAL;
    call->rets[2] = SUPPORTED;
    return RTAS_OK;
}

static void reset_below(PciBus *bus, int first, int last)
{
    for (int devfn = first; devfn <= last; devfn++) {
        PciDevice *pci = pci_bus_device(bus, devfn);

        if (pci) {
            device_reset(&pci->dev);
        }
        if (pci && pci->secondary) {
            reset_below(pci->secondary, 0, 255);
        }
    }
}

/* slot, bridge, how. */
static int32_t set_reset(void *opaque, PaprRtas *call)
{
    Device *bridge;
    PciDevice *pci = slot_of(call, &bridge);
    unsigned slot = pci ? PCI_SLOT(pci->devfn) : 0;

    if (!pci || (call->args[3] != DEACTIVATE && call->args[3] != HOT_RESET && call->args[3] != FUNDAMENTAL_RESET)) {
        return RTAS_BAD;
    }
    if (call->args[3] != DEACTIVATE && !phb_slot_in_reset(bridge, slot)) {
        trace("papr_eeh", "slot %u is reset", slot);
        reset_below(phb_bus(bridge), PCI_DEVFN(slot, 0), PCI_DEVFN(slot, 7));
    }
    phb_set_slot_reset(bridge, slot, call->args[3] != DEACTIVATE);
    return RTAS_OK;
}

/* slot, bridge, buffers, severity: there is never anything to tell. */
static int32_t error_detail(void *opaque, PaprRtas *call)
{
    Device *bridge;

    return slot_of(call, &bridge) ? NO_LOG : RTAS_BAD;
}

/* slot, bridge: bridges in it get back the numbers of their buses. */
static int32_t configure(void *opaque, PaprRtas *call)
{
    Device *bridge;

    if (!slot_of(call, &bridge)) {
        return RTAS_BAD;
    }
    phb_number_buses(bridge);
    return RTAS_OK;
}

void phb_eeh_init(void)
{
    papr_rtas_add("ibm,set-eeh-option", 4, 1, set_option, NULL);
    papr_rtas_add("ibm,get-config-addr-info2", 4, 2, get_address, NULL);
    papr_rtas_add("ibm,read-slot-reset-state2", 3, 4, read_state, NULL);
    papr_rtas_add("ibm,set-slot-reset", 4, 1, set_reset, NULL);
    papr_rtas_add("ibm,slot-error-detail", 8, 1, error_detail, NULL);
    papr_rtas_add("ibm,configure-pe", 3, 1, configure, NULL);
}
