/* The device tree of the pseries board: PCI host bridges and the functions behind them. PCI Bus Binding 2.1. */
#include "hw/boards/pseries-tree.h"

#include "hw/papr/phb.h"
#include "hw/pci/msi.h"
#include "util/bits.h"

#include <string.h>

enum { SPACE_CONFIG = 0, SPACE_IO = 1, SPACE_MEM32 = 2, SPACE_MEM64 = 3 };
enum { MAP_CELLS = 7, SLOTS = 32 };
enum {
    STATUS = 0x06, REVISION = 0x08, CACHE_LINE = 0x0c, BAR0 = 0x10, SUBSYSTEM = 0x2c, ROM = 0x30, PIN = 0x3d, MIN_GRANT = 0x3e,
    MAX_LATENCY = 0x3f,
};

/* What a class of function is called (binding, table 1). */
static const char *class_name(uint32_t class)
{
    static const struct {
        uint32_t class, mask;
        const char *name;
    } names[] = {
        { 0x010000, 0xffff00, "scsi" }, { 0x010100, 0xffff00, "ide" }, { 0x010600, 0xffff00, "sata" },
        { 0x010800, 0xffff00, "nvme" }, { 0x020000, 0xff0000, "ethernet" }, { 0x030000, 0xffff00, "vga" },
        { 0x030000, 0xff0000, "display" }, { 0x040000, 0xff0000, "sound" }, { 0x060400, 0xffff00, "pci" },
        { 0x0c0300, 0xffffff, "usb-uhci" }, { 0x0c0310, 0xffffff, "usb-ohci" }, { 0x0c0320, 0xffffff, "usb-ehci" },
        { 0x0c0330, 0xffffff, "usb-xhci" }, { 0x070000, 0xff0000, "communication-controller" },
        { 0x090000, 0xff0000, "input-controller" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if ((class & names[i].mask) == names[i].class) {
            return names[i].name;
        }
    }
    return "unknown-legacy-device";
}

static uint32_t function_address(PciDevice *pci)
{
    return (uint32_t)pci_bus_number(pci->bus) << 16 | pci->devfn << 8;
}

static unsigned space_of(const PciBar *bar)
{
    return bar->kind & PCI_BAR_IO ? SPACE_IO : bar->kind & PCI_BAR_MEM64 ? SPACE_MEM64 : SPACE_MEM32;
}

/* reg: configuration space, then a row for each register that asks for room. */
static void put_reg(Tree *t, PciDevice *pci)
{
    uint32_t cells[8 * 5] = { function_address(pci) };
    unsigned n = 5;

    for (unsigned i = 0; i < 7; i++) {
        const PciBar *bar = &pci->bars[i];

        if (bar->region) {
            cells[n] = function_address(pci) | space_of(bar) << 24 | (i == 6 ? ROM : BAR0 + i * 4) |
                       (bar->kind & PCI_BAR_PREFETCH ? 1u << 30 : 0);
            cells[n + 3] = bar->size >> 32;
            cells[n + 4] = bar->size;
            n += 5;
        }
    }
    tree_cells(t->fdt, "reg", cells, n);
}

static void put_functions(Tree *t, PciBus *bus);

static void put_function(Tree *t, PciDevice *pci)
{
    const uint8_t *c = pci->config;
    uint32_t class = load_le32(c + REVISION) >> 8;
    uint16_t status = load_le16(c + STATUS);
    g_autofree char *code = g_strdup_printf("%s:0000:%02x:%02x.%x", pci->dev.type->name, pci_bus_number(pci->bus),
                                            PCI_SLOT(pci->devfn), PCI_FUNC(pci->devfn));

    if (PCI_FUNC(pci->devfn)) {
        tree_begin(t->fdt, "%s@%x,%x", class_name(class), PCI_SLOT(pci->devfn), PCI_FUNC(pci->devfn));
    } else {
        tree_begin(t->fdt, "%s@%x", class_name(class), PCI_SLOT(pci->devfn));
    }
    put_reg(t, pci);
    TREE_CELLS(t->fdt, "vendor-id", load_le16(c));
    TREE_CELLS(t->fdt, "device-id", load_le16(c + 2));
    TREE_CELLS(t->fdt, "revision-id", c[REVISION]);
    TREE_CELLS(t->fdt, "class-code", class);
    if (c[PIN]) {
        TREE_CELLS(t->fdt, "interrupts", c[PIN]);
    }
    if (!pci->secondary) {
        TREE_CELLS(t->fdt, "min-grant", c[MIN_GRANT]);
        TREE_CELLS(t->fdt, "max-latency", c[MAX_LATENCY]);
        TREE_CELLS(t->fdt, "subsystem-id", load_le16(c + SUBSYSTEM + 2));
        TREE_CELLS(t->fdt, "subsystem-vendor-id", load_le16(c + SUBSYSTEM));
    }
    TREE_CELLS(t->fdt, "cache-line-size", c[CACHE_LINE]);
    TREE_CELLS(t->fdt, "devsel-speed", status >> 9 & 3);
    tree_text(t->fdt, "ibm,loc-code", code);
    if (pci_msi_vectors(pci)) {
        TREE_CELLS(t->fdt, "ibm,req#msi", pci_msi_vectors(pci));
    }
    if (pci_msix_vectors(pci)) {
        TREE_CELLS(t->fdt, "ibm,req#msi-x", pci_msix_vectors(pci));
    }
    if (pci->secondary) {
        TREE_CELLS(t->fdt, "#address-cells", 3);
        TREE_CELLS(t->fdt, "#size-cells", 2);
        put_functions(t, pci->secondary);
    }
    tree_end(t->fdt);
}

static void put_functions(Tree *t, PciBus *bus)
{
    for (int devfn = 0; devfn < 256; devfn++) {
        PciDevice *pci = pci_bus_device(bus, devfn);

        if (pci && !pci->ejected) {
            put_function(t, pci);
        }
    }
}

static void put_interrupt_map(Tree *t, const PhbLayout *l)
{
    uint32_t map[SLOTS * PHB_PINS * MAP_CELLS], *row = map;

    for (unsigned slot = 0; slot < SLOTS; slot++) {
        for (unsigned pin = 0; pin < PHB_PINS; pin++, row += MAP_CELLS) {
            const uint32_t cells[MAP_CELLS] = {
                slot << 11, 0, 0, pin + 1, PSERIES_PHANDLE_INTC, l->lsi + phb_wire(slot, pin), 1,
            };

            memcpy(row, cells, sizeof(cells));
        }
    }
    tree_cells(t->fdt, "interrupt-map", map, G_N_ELEMENTS(map));
    TREE_CELLS(t->fdt, "interrupt-map-mask", 0xf800, 0, 0, 0xffffffff);
}

static void put_bridge(Tree *t, Device *dev)
{
    PhbLayout l = phb_layout(dev);

    tree_begin(t->fdt, "pci@%" G_GINT64_MODIFIER "x", l.buid);
    tree_text(t->fdt, "device_type", "pci");
    tree_text(t->fdt, "compatible", "IBM,Logical_PHB");
    TREE_CELLS(t->fdt, "#address-cells", 3);
    TREE_CELLS(t->fdt, "#size-cells", 2);
    TREE_CELLS(t->fdt, "#interrupt-cells", 1);
    tree_flag(t->fdt, "used-by-rtas");
    TREE_CELLS(t->fdt, "bus-range", 0, 0xff);
    TREE_CELLS(t->fdt, "ranges", SPACE_IO << 24, 0, 0, l.io >> 32, l.io, 0, l.io_size, SPACE_MEM32 << 24, 0, l.mem32_pci,
               l.mem32 >> 32, l.mem32, 0, l.mem32_size, SPACE_MEM64 << 24, l.mem64 >> 32, l.mem64, l.mem64 >> 32, l.mem64,
               l.mem64_size >> 32, l.mem64_size);
    TREE_CELLS(t->fdt, "reg", l.buid >> 32, l.buid, 0, 0);
    TREE_CELLS(t->fdt, "ibm,pci-config-space-type", 1);
    TREE_CELLS(t->fdt, "ibm,pe-total-#msi", l.messages);
    put_interrupt_map(t, &l);
    TREE_CELLS(t->fdt, "ibm,#dma-address-cells", 2);
    TREE_CELLS(t->fdt, "ibm,#dma-size-cells", 2);
    TREE_CELLS(t->fdt, "ibm,dma-window", l.liobn, 0, 0, l.dma_size >> 32, l.dma_size);
    TREE_CELLS(t->fdt, "ibm,ddw-applicable", papr_rtas_token("ibm,query-pe-dma-window"), papr_rtas_token("ibm,create-pe-dma-window"),
               papr_rtas_token("ibm,remove-pe-dma-window"));
    TREE_CELLS(t->fdt, "ibm,ddw-extensions", 1, papr_rtas_token("ibm,reset-pe-dma-window"));
    TREE_CELLS(t->fdt, "qemu,phb-enumerated", 1);
    put_functions(t, phb_bus(dev));
    tree_end(t->fdt);
}

static void put_if_bridge(Device *dev, void *opaque)
{
    if (dev->type == &spapr_pci_host_bridge_type) {
        phb_number_buses(dev);
        put_bridge(opaque, dev);
    }
}

void tree_put_bridges(Tree *t)
{
    device_for_each(put_if_bridge, t);
}
