/*
 * A PCI Express root port (1b36:000c): a link to one device, with native hot-plug.
 *
 * PCI Express Base Specification 3.0, section 6.7 and 7.8.
 */
#include "hw/pci/bridge.h"
#include "hw/pci/express.h"
#include "hw/pci/msi.h"
#include "util/bits.h"
#include "util/error.h"

enum { FLAG_SLOT = 1 << 8 };
enum {
    SLOT_BUTTON = 1 << 0, SLOT_POWER_CONTROL = 1 << 1, SLOT_ATTENTION_LED = 1 << 3, SLOT_POWER_LED = 1 << 4,
    SLOT_SURPRISE = 1 << 5, SLOT_HOTPLUG = 1 << 6, SLOT_NUMBER_SHIFT = 19,
};
/* Bits of slot status, and of slot control those that ask for an interrupt by them. */
enum { EVENT_BUTTON = 1 << 0, EVENT_PRESENCE = 1 << 3, EVENT_COMMAND = 1 << 4, EVENT_LINK = 1 << 8, STATUS_PRESENT = 1 << 6 };
enum {
    CONTROL_INTERRUPT = 1 << 5, CONTROL_LEDS = 15 << 6, CONTROL_POWER_OFF = 1 << 10, CONTROL_LINK = 1 << 12,
    CONTROL_ENABLES = 0x1b | CONTROL_INTERRUPT,
};
#define LEDS_OFF 0x03c0

typedef struct RootPort {
    PciBridge bridge;
    uint8_t chassis, port;
    uint32_t slot;
    bool hotplug;
    uint8_t cap;
    uint16_t control; /* of the slot, before the write that is looked at */
} RootPort;

static PciDevice *occupant(const RootPort *p)
{
    for (int fn = 0; fn < 8; fn++) {
        PciDevice *pci = pci_bus_device(p->bridge.bus, fn);

        if (pci && !pci->ejected) {
            return pci;
        }
    }
    return NULL;
}

/* What the slot says of itself, and whether somebody wants to hear it. */
static void update_slot(RootPort *p)
{
    PciDevice *pci = &p->bridge.pci;
    uint8_t *c = pci->config + p->cap;
    uint16_t status = load_le16(c + EXP_SLOT_STATUS), control = load_le16(c + EXP_SLOT_CONTROL);
    bool there = occupant(p), events;

    store_le16(c + EXP_SLOT_STATUS, there ? status | STATUS_PRESENT : status & ~STATUS_PRESENT);
    pci_express_set_link(pci, p->cap, there && !(control & CONTROL_POWER_OFF));
    events = (status & control & (EVENT_BUTTON | EVENT_PRESENCE | EVENT_COMMAND)) ||
             ((status & EVENT_LINK) && (control & CONTROL_LINK));
    pci_set_intx(pci, events && (control & CONTROL_INTERRUPT));
}

static void slot_event(RootPort *p, uint16_t events)
{
    PciDevice *pci = &p->bridge.pci;
    uint8_t *c = pci->config + p->cap;
    uint16_t control = load_le16(c + EXP_SLOT_CONTROL);
    uint16_t wanted = (control & 0x1b) | (control & CONTROL_LINK ? EVENT_LINK : 0);

    store_le16(c + EXP_SLOT_STATUS, load_le16(c + EXP_SLOT_STATUS) | events);
    update_slot(p);
    if ((events & wanted) && (control & CONTROL_INTERRUPT)) {
        pci_msi_notify(pci, 0);
    }
}

/* What was asked to leave has left; whether there was something. */
static bool eject_leaving(RootPort *p)
{
    bool any = false;

    for (int fn = 0; fn < 8; fn++) {
        PciDevice *pci = pci_bus_device(p->bridge.bus, fn);

        if (pci && pci->leaving && !pci->ejected) {
            pci_eject(pci);
            any = true;
        }
    }
    return any;
}

static void slot_control_written(RootPort *p)
{
    uint16_t control = load_le16(p->bridge.pci.config + p->cap + EXP_SLOT_CONTROL), old = p->control;

    p->control = control;
    if ((control & CONTROL_POWER_OFF) && !(old & CONTROL_POWER_OFF) && eject_leaving(p)) {
        slot_event(p, EVENT_PRESENCE | EVENT_LINK);
    }
    slot_event(p, EVENT_COMMAND);
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    RootPort *p = (RootPort *)pci;
    unsigned control = p->cap + EXP_SLOT_CONTROL;

    pci_bridge_written(&p->bridge, offset);
    if (p->hotplug && offset < control + 2 && offset + size > control) {
        slot_control_written(p);
    }
    update_slot(p);
}

static void root_port_update(Device *dev)
{
    RootPort *p = (RootPort *)dev;

    p->control = load_le16(p->bridge.pci.config + p->cap + EXP_SLOT_CONTROL);
    pci_bridge_update(&p->bridge);
    update_slot(p);
}

/* ---- plugging ---- */

/* The button too: for a while after something left, Linux takes changes of presence for echoes of that. */
static void plugged(Device *dev)
{
    slot_event((RootPort *)dev->bus->owner, EVENT_PRESENCE | EVENT_LINK | EVENT_BUTTON);
}

static bool unplug_request(Device *dev, GError **error)
{
    RootPort *p = (RootPort *)dev->bus->owner;

    if (!dev->type->hotplug || !dev->type->unrealize) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "Device '%s' cannot be unplugged", dev->id);
        return false;
    }
    ((PciDevice *)dev)->leaving = true;
    slot_event(p, EVENT_BUTTON);
    return true;
}

/* ---- the device ---- */

static void add_slot(RootPort *p)
{
    PciDevice *pci = &p->bridge.pci;
    uint8_t *c = pci->config + p->cap, *w = pci->writable + p->cap;
    uint32_t hotplug = SLOT_BUTTON | SLOT_POWER_CONTROL | SLOT_ATTENTION_LED | SLOT_POWER_LED | SLOT_SURPRISE | SLOT_HOTPLUG;

    c[EXP_FLAGS + 1] |= FLAG_SLOT >> 8;
    store_le32(c + EXP_SLOT_CAP, p->slot << SLOT_NUMBER_SHIFT | (p->hotplug ? hotplug : 0));
    c[EXP_LINK_CAP + 3] = p->port;
    if (p->hotplug) {
        store_le16(w + EXP_SLOT_CONTROL, CONTROL_ENABLES | CONTROL_LEDS | CONTROL_POWER_OFF | CONTROL_LINK);
        store_le16(pci->clear_on_1 + p->cap + EXP_SLOT_STATUS, EVENT_BUTTON | EVENT_PRESENCE | EVENT_COMMAND | EVENT_LINK);
    }
    store_le16(w + EXP_ROOT_CONTROL, 0x000f);
    store_le32(pci->clear_on_1 + p->cap + EXP_ROOT_STATUS, 1 << 16);
}

static bool root_port_realize(Device *dev, GError **error)
{
    static const PciInfo info = { .vendor = 0x1b36, .device = 0x000c, .class_rev = 0x060400 << 8, .interrupt_pin = 1 };
    RootPort *p = (RootPort *)dev;
    PciDevice *pci = &p->bridge.pci;

    if (p->slot > 0x1fff) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s': slot=%u is larger than 8191", dev->id, p->slot);
        return false;
    }
    pci_bridge_init(&p->bridge, &info);
    pci_bus_set_slots(p->bridge.bus, 1);
    p->cap = pci_add_express(pci, EXPRESS_ROOT_PORT);
    add_slot(p);
    if (!pci_msi_init(pci, 1, true, error)) {
        return false;
    }
    if (p->hotplug) {
        pci_bus_bus(p->bridge.bus)->plugged = plugged;
        pci_bus_bus(p->bridge.bus)->unplug_request = unplug_request;
    }
    pci->config_written = config_written;
    return true;
}

static void root_port_reset(Device *dev)
{
    RootPort *p = (RootPort *)dev;
    uint8_t *c = p->bridge.pci.config + p->cap;

    pci_bridge_reset(&p->bridge);
    store_le16(c + EXP_SLOT_CONTROL, p->hotplug ? LEDS_OFF : 0);
    store_le16(c + EXP_SLOT_STATUS, 0);
    store_le16(c + EXP_ROOT_CONTROL, 0);
    p->control = load_le16(c + EXP_SLOT_CONTROL);
    eject_leaving(p); /* the guest will not answer any more */
}

static void root_port_fetch(Device *dev)
{
    pci_bridge_fetch(&((RootPort *)dev)->bridge);
}

static const Prop root_port_props[] = {
    PCI_PROPS_IN(RootPort, bridge.pci),
    PROP(RootPort, chassis, "chassis", PROP_U8, "0", "tells ports apart for people, with slot"),
    PROP(RootPort, slot, "slot", PROP_U32, "0", "number of the slot"),
    PROP(RootPort, port, "port", PROP_U8, "0", "number of the port"),
    PROP(RootPort, hotplug, "hotplug", PROP_BOOL, "on", "devices may come and go"),
    { 0 },
};

const DeviceType pcie_root_port_type = {
    .name = "pcie-root-port", .about = "PCI Express root port", .bus = "pci", .user = true, .size = sizeof(RootPort),
    .props = root_port_props, .realize = root_port_realize, .reset = root_port_reset, .update = root_port_update, .fetch = root_port_fetch,
};
