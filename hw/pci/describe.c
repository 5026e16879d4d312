/* What is on PCI buses, for people: "info pci". */
#include "hw/pci/bus.h"

#include "util/bits.h"

static void describe_function(PciDevice *pci, GString *out)
{
    const uint8_t *c = pci->config;

    g_string_append_printf(out, "  Bus %2d, device %3d, function %d:\n    class %04x: PCI device %04x:%04x\n",
                           pci_bus_number(pci->bus), PCI_SLOT(pci->devfn), PCI_FUNC(pci->devfn), load_le16(c + 0x0a),
                           load_le16(c), load_le16(c + 2));
    if (c[PCI_IRQ_PIN]) {
        g_string_append_printf(out, "      IRQ %d, pin %c\n", c[PCI_IRQ_LINE], 'A' - 1 + c[PCI_IRQ_PIN]);
    }
    for (int i = 0; i <= ROM_BAR; i++) {
        const PciBar *bar = &pci->bars[i];

        if (bar->region && bar->mapped != UNMAPPED) {
            g_string_append_printf(out, "      BAR%d: %s at 0x%" G_GINT64_MODIFIER "x [0x%" G_GINT64_MODIFIER "x].\n",
                                   i, bar->kind & PCI_BAR_IO ? "I/O" : "memory", bar->mapped,
                                   bar->mapped + bar->size - 1);
        } else if (bar->region) {
            g_string_append_printf(out, "      BAR%d: %s, not mapped\n", i,
                                   bar->kind & PCI_BAR_IO ? "I/O" : "memory");
        }
    }
    g_string_append_printf(out, "      id \"%s\"\n", pci->dev.id);
}

static void describe_bus(PciBus *bus, GString *out)
{
    for (int i = 0; i < MAX_DEVFN; i++) {
        if (bus->at[i]) {
            describe_function(bus->at[i], out);
        }
        if (bus->at[i] && bus->at[i]->secondary) {
            describe_bus(bus->at[i]->secondary, out);
        }
    }
}

static void describe_host(Bus *bus, void *out)
{
    if (g_str_equal(bus->kind, "pci") && !((PciBus *)bus)->bridge) {
        describe_bus((PciBus *)bus, out);
    }
}

/* Of every host: a machine may have several, each with a bus 0. */
char *pci_describe(void)
{
    GString *out = g_string_new(NULL);

    bus_for_each(describe_host, out);
    return g_string_free(out, FALSE);
}
