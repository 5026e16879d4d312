/*
 * spapr-pci-host-bridge: windows, interrupt wires and translated accesses of a PCI bus; its RTAS calls.
 *
 * LoPAPR 1.1, 7.3.9 (configuration), 7.3.10.5 (messages).
 */
#include "hw/papr/phb.h"

#include "hw/papr/tce.h"
#include "hw/pci/msi.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

#define GIB UINT64_C(0x40000000)
#define TIB (GIB << 10)
enum { IO_SIZE = 0x10000, SLOTS = 32, GRANTS = 128, LIOBN = 0x80000000u };
#define BUID UINT64_C(0x800000020000000)
enum { FUNCTION = 1, RESET = 2, MSI = 3, MSIX = 4, MSI_32 = 5 }; /* what ibm,change-msi asks for */
enum { TYPE_MSI = 1, TYPE_MSIX = 2 };
enum { PCI_SECONDARY = 0x19, PCI_PRIMARY = 0x18, PCI_SUBORDINATE = 0x1a };

/* Interrupt numbers that functions were granted; count 0: a free row. Slots in reset. */
#define PHB_STATE(FIELD, ARRAY)             \
    ARRAY(bool, slot_reset, SLOTS, false)   \
    ARRAY(uint32_t, grant_to, GRANTS, 0)    \
    ARRAY(uint32_t, grant_first, GRANTS, 0) \
    ARRAY(uint16_t, grant_count, GRANTS, 0)

DEFINE_STATE(PhbState, PHB_STATE);

typedef struct Phb {
    Device dev;
    PhbState s;
    uint32_t index;
    PciBus *bus;
    PaprTce *windows[PHB_DMA_WINDOWS];
    Region *memory, *ports; /* as the bus has them */
    Region *io_window, *mem32_window, *mem64_window;
} Phb;

static GPtrArray *bridges; /* Phb */

PhbLayout phb_layout(Device *dev)
{
    uint64_t n = ((Phb *)dev)->index;

    return (PhbLayout){
        .index = n, .buid = BUID + n, .io = PHB_WINDOWS + n * IO_SIZE, .io_size = IO_SIZE,
        .mem32 = PHB_WINDOWS + (n + 1) * 2 * GIB, .mem32_pci = 2 * GIB, .mem32_size = 2 * GIB,
        .mem64 = PHB_WINDOWS + (n + 1) * TIB, .mem64_size = TIB, .liobn = LIOBN | (uint32_t)n << 16, .dma_size = GIB,
        .lsi = PAPR_IRQ_LSI + n * PHB_PINS, .messages = PAPR_IRQ_FIRST + PAPR_IRQS - PAPR_IRQ_MSI,
    };
}

PciBus *phb_bus(Device *dev)
{
    return ((Phb *)dev)->bus;
}

unsigned phb_wire(unsigned slot, unsigned pin)
{
    return (slot + pin) % PHB_PINS;
}

static int map_irq(PciDevice *pci, int pin)
{
    return phb_wire(PCI_SLOT(pci->devfn), pin);
}

static void set_irq(void *opaque, int wire, bool level)
{
    papr_irq_set(phb_layout(opaque).lsi + wire, level);
}

static bool translate(void *opaque, PhysAddr addr, bool is_write, PhysAddr *phys, uint64_t *left)
{
    Phb *phb = opaque;

    return papr_tce_translate(phb->windows[addr >= PHB_DMA_HIGH], addr, is_write, phys, left);
}

PaprTce *phb_dma_window(Device *dev, unsigned n)
{
    return ((Phb *)dev)->windows[n];
}

/* ---- configuration space ---- */

static Phb *find_bridge(uint32_t high, uint32_t low)
{
    uint64_t buid = (uint64_t)high << 32 | low;

    for (guint i = 0; bridges && i < bridges->len; i++) {
        Phb *phb = bridges->pdata[i];

        if (phb_layout(&phb->dev).buid == buid) {
            return phb;
        }
    }
    return NULL;
}

bool phb_slot_in_reset(Device *dev, unsigned slot)
{
    return ((Phb *)dev)->s.slot_reset[slot];
}

void phb_set_slot_reset(Device *dev, unsigned slot, bool on)
{
    ((Phb *)dev)->s.slot_reset[slot] = on;
}

Device *phb_find(uint32_t high, uint32_t low)
{
    Phb *phb = find_bridge(high, low);

    return phb ? &phb->dev : NULL;
}

/* bus, device, function, and the register whose upper bits are at the top. */
static unsigned config_offset(uint32_t address)
{
    return (address >> 20 & 0xf00) | (address & 0xff);
}

static bool is_access(uint32_t address, uint32_t size)
{
    return (size == 1 || size == 2 || size == 4) && config_offset(address) % size == 0;
}

static int32_t read_config(Phb *phb, uint32_t address, uint32_t size, PaprRtas *call)
{
    if (!phb || !is_access(address, size)) {
        return RTAS_BAD;
    }
    call->rets[1] = pci_config_read(phb->bus, address >> 16, address >> 8 & 0xff, config_offset(address), size);
    return RTAS_OK;
}

static int32_t write_config(Phb *phb, uint32_t address, uint32_t size, uint32_t value)
{
    if (!phb || !is_access(address, size)) {
        return RTAS_BAD;
    }
    pci_config_write(phb->bus, address >> 16, address >> 8 & 0xff, config_offset(address), value, size);
    return RTAS_OK;
}

static int32_t rtas_read(void *opaque, PaprRtas *call)
{
    return read_config(find_bridge(call->args[1], call->args[2]), call->args[0], call->args[3], call);
}

static int32_t rtas_write(void *opaque, PaprRtas *call)
{
    return write_config(find_bridge(call->args[1], call->args[2]), call->args[0], call->args[3], call->args[4]);
}

/* The older calls name no bridge: the first one is meant. */
static int32_t rtas_read_first(void *opaque, PaprRtas *call)
{
    return read_config(bridges->len ? bridges->pdata[0] : NULL, call->args[0], call->args[1], call);
}

static int32_t rtas_write_first(void *opaque, PaprRtas *call)
{
    return write_config(bridges->len ? bridges->pdata[0] : NULL, call->args[0], call->args[1], call->args[2]);
}

/* ---- messages ---- */

static int find_grant(const Phb *phb, uint32_t to)
{
    for (int i = 0; i < GRANTS; i++) {
        if (phb->s.grant_count[i] && phb->s.grant_to[i] == to) {
            return i;
        }
    }
    return -1;
}

static void take_back(Phb *phb, uint32_t to)
{
    int i = find_grant(phb, to);

    if (i < 0) {
        return;
    }
    for (unsigned n = 0; n < phb->s.grant_count[i]; n++) {
        papr_irq_claim(phb->s.grant_first[i] + n, PAPR_IRQ_NONE);
    }
    phb->s.grant_count[i] = 0;
}

/* `count` free numbers in a row, whose first is a multiple of align; 0: there are none. */
static uint32_t free_numbers(unsigned count, unsigned align)
{
    for (uint32_t first = round_up(PAPR_IRQ_MSI, align); first + count <= PAPR_IRQ_FIRST + PAPR_IRQS; first += align) {
        unsigned n = 0;

        while (n < count && papr_irq_kind(first + n) == PAPR_IRQ_NONE) {
            n++;
        }
        if (n == count) {
            return first;
        }
    }
    return 0;
}

static bool grant(Phb *phb, uint32_t to, unsigned count, unsigned align, uint32_t *first)
{
    int row = 0;

    *first = free_numbers(count, align);
    while (row < GRANTS && phb->s.grant_count[row]) {
        row++;
    }
    if (row == GRANTS || !*first) {
        return false;
    }
    phb->s.grant_to[row] = to;
    phb->s.grant_first[row] = *first;
    phb->s.grant_count[row] = count;
    for (unsigned n = 0; n < count; n++) {
        papr_irq_claim(*first + n, PAPR_IRQ_EDGE);
    }
    return true;
}

static unsigned power_of_two_below(unsigned n)
{
    return n ? 1u << (31 - __builtin_clz(n)) : 0;
}

/* function, bridge, what, how many, sequence -> how many, sequence, kind. */
static int32_t rtas_change_msi(void *opaque, PaprRtas *call)
{
    const uint32_t *a = call->args;
    uint32_t to = a[0] & 0xffff00, count = a[4], first;
    Phb *phb = find_bridge(a[1], a[2]);
    PciDevice *pci = phb ? pci_find_function(phb->bus, to >> 16, to >> 8 & 0xff) : NULL;
    bool msix = a[3] == MSIX || (a[3] == FUNCTION && pci && !pci->msi_cap);

    if (!pci || a[3] < FUNCTION || a[3] > MSI_32) {
        return RTAS_BAD;
    }
    take_back(phb, to);
    count = a[3] == RESET ? 0 : MIN(count, msix ? pci_msix_vectors(pci) : power_of_two_below(MIN(count, pci_msi_vectors(pci))));
    if (count == 0 && a[4] != 0 && a[3] != RESET) {
        return RTAS_BAD;
    }
    if (count && !grant(phb, to, count, msix ? 1 : count, &first)) {
        return RTAS_HARDWARE;
    }
    if (count && !msix) {
        pci_msi_set_message(pci, PHB_MESSAGES, first, count);
    }
    for (unsigned n = 0; msix && n < count; n++) {
        pci_msix_set_message(pci, n, PHB_MESSAGES, first + n);
    }
    call->rets[1] = count;
    call->rets[2] = a[5] + 1;
    call->rets[3] = msix ? TYPE_MSIX : TYPE_MSI;
    return RTAS_OK;
}

/* function, bridge, which -> number, 1: edge. */
static int32_t rtas_query_source(void *opaque, PaprRtas *call)
{
    Phb *phb = find_bridge(call->args[1], call->args[2]);
    int i = phb ? find_grant(phb, call->args[0] & 0xffff00) : -1;

    if (i < 0 || call->args[3] >= phb->s.grant_count[i]) {
        return RTAS_BAD;
    }
    call->rets[1] = phb->s.grant_first[i] + call->args[3];
    call->rets[2] = 1;
    return RTAS_OK;
}

static void message_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    papr_irq_pulse(value);
}

static uint64_t message_read(void *opaque, PhysAddr offset, unsigned size)
{
    return 0;
}

Region *phb_message_region(void)
{
    static const RegionOps ops = { message_read, message_write, 4, 4, ENDIAN_LITTLE };

    return region_new_io("pci-messages", &ops, NULL, GUEST_PAGE_SIZE);
}

/* ---- bus numbers ---- */

/* Gives the buses below `bus` the numbers from next on; returns what follows. */
static unsigned number_below(PciBus *bus, unsigned next)
{
    for (int devfn = 0; devfn < 256; devfn++) {
        PciDevice *bridge = pci_bus_device(bus, devfn);

        if (bridge && bridge->secondary && next < 256) {
            bridge->config[PCI_PRIMARY] = pci_bus_number(bus);
            bridge->config[PCI_SECONDARY] = next;
            bridge->config[PCI_SUBORDINATE] = 0xff;
            next = number_below(bridge->secondary, next + 1);
            bridge->config[PCI_SUBORDINATE] = next - 1;
        }
    }
    return next;
}

void phb_number_buses(Device *dev)
{
    number_below(phb_bus(dev), 1);
}

/* ---- device ---- */

static Region *map_window(const char *name, Region *target, uint64_t offset, uint64_t size, PhysAddr at)
{
    Region *window = region_new_alias(name, target, offset, size);

    region_add(memory_system_root(), at, window);
    return window;
}

static void make_windows(Phb *phb)
{
    PhbLayout l = phb_layout(&phb->dev);

    /* Ports of cards that find theirs without being told are those of the first bridge. */
    phb->ports = phb->index ? region_new_container("pci-io", IO_SIZE) : memory_ports_root();
    phb->memory = region_new_container("pci-memory", UINT64_MAX);
    phb->io_window = map_window("pci-io-window", phb->ports, 0, l.io_size, l.io);
    phb->mem32_window = map_window("pci-mem32", phb->memory, l.mem32_pci, l.mem32_size, l.mem32);
    phb->mem64_window = map_window("pci-mem64", phb->memory, l.mem64, l.mem64_size, l.mem64);
}

static bool phb_realize(Device *dev, GError **error)
{
    Phb *phb = (Phb *)dev;
    PhbLayout l = phb_layout(dev);
    g_autofree char *name = g_strdup_printf("pci.%u", phb->index);

    if (phb->index >= PHB_MAX || find_bridge(l.buid >> 32, l.buid)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "PCI host bridge '%s': index %u is %s", dev->id, phb->index,
                    phb->index >= PHB_MAX ? "above 30" : "taken");
        return false;
    }
    phb->windows[0] = papr_tce_new_window(l.liobn, 0, 12, l.dma_size >> 12, error);
    phb->windows[1] = phb->windows[0] ? papr_tce_new_window(l.liobn + 1, PHB_DMA_HIGH, 12, 0, error) : NULL;
    if (!phb->windows[1]) {
        return false;
    }
    make_windows(phb);
    phb->bus = pci_bus_new(name, dev, phb->memory, phb->ports, map_irq, set_irq, phb, PHB_PINS);
    pci_bus_set_translate(phb->bus, translate, phb);
    if (!bridges) {
        bridges = g_ptr_array_new();
    }
    g_ptr_array_add(bridges, phb);
    papr_rtas_add("read-pci-config", 2, 2, rtas_read_first, NULL);
    papr_rtas_add("write-pci-config", 3, 1, rtas_write_first, NULL);
    papr_rtas_add("ibm,read-pci-config", 4, 2, rtas_read, NULL);
    papr_rtas_add("ibm,write-pci-config", 5, 1, rtas_write, NULL);
    papr_rtas_add("ibm,change-msi", 6, 3, rtas_change_msi, NULL);
    papr_rtas_add("ibm,query-interrupt-source-number", 4, 3, rtas_query_source, NULL);
    phb_dma_init();
    phb_eeh_init();
    return true;
}

static void phb_reset(Device *dev)
{
    for (unsigned wire = 0; wire < PHB_PINS; wire++) {
        papr_irq_claim(phb_layout(dev).lsi + wire, PAPR_IRQ_LEVEL);
    }
}

static bool phb_post_load(Device *dev, GError **error)
{
    Phb *phb = (Phb *)dev;

    for (int i = 0; i < GRANTS; i++) {
        if (phb->s.grant_count[i] && (phb->s.grant_first[i] < PAPR_IRQ_MSI ||
                                      phb->s.grant_first[i] + phb->s.grant_count[i] > PAPR_IRQ_FIRST + PAPR_IRQS)) {
            g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad interrupt numbers of '%s'", dev->id);
            return false;
        }
    }
    return true;
}

static const Prop phb_props[] = {
    PROP(Phb, index, "index", PROP_U32, "0", "place among the host bridges"),
    { 0 },
};

const DeviceType spapr_pci_host_bridge_type = {
    .name = "spapr-pci-host-bridge",
    .about = "PCI host bridge of a logical partition",
    .bus = "system",
    .user = true,
    .size = sizeof(Phb),
    .state_at = offsetof(Phb, s),
    .state = PhbState_fields,
    .props = phb_props,
    .realize = phb_realize,
    .reset = phb_reset,
    .post_load = phb_post_load,
};
