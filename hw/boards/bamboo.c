/*
 * Bamboo: AMCC's evaluation board for the PowerPC 440EP.
 *
 * PPC440EP Embedded Processor User's Manual: one interrupt controller, two serial ports, PCI with four slots.
 */
#include "hw/boards/embedded.h"
#include "hw/boards/tree.h"

#include "backends/char.h"
#include "hw/char/serial.h"
#include "hw/intr/uic.h"
#include "hw/misc/ppc4xx_dcr.h"
#include "hw/pci/ppc4xx_pci.h"
#include "target/ppc/cpu.h"
#include "util/error.h"

enum { CPU_HZ = 400000000, UART_CLOCK = 11059200, UIC_DCR = 0xc0, DCRS = 1024, UIC_PHANDLE = 2, CPU_PHANDLE = 1 };
enum { SERIALS = 2, FIRST_PCI_INPUT = 28, SLOTS = 4, OPB_HZ = 66666666 };
#define SERIAL_BASE(n) (0xef600300u + 0x100 * (n))
#define MAP_SIZE UINT64_C(0x10000000) /* the largest page of a 440 */

typedef struct Bamboo {
    Embedded boot;
    AddressSpace *dcrs;
    Device *uic, *serials[SERIALS];
    Region *ram, *pci_memory;
    PciBus *pci;
} Bamboo;

/* ---- devices ---- */

static bool make_memory(Bamboo *m, GError **error)
{
    uint64_t size = machine_config.ram_size;

    if (size < 16 << 20 || size > UINT64_C(1) << 30 || size % (4 << 20)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "machine 'bamboo' has from 16 to 1024 MiB of memory, in steps of 4");
        return false;
    }
    m->ram = region_new_ram("bamboo.ram", size, error);
    if (!m->ram) {
        return false;
    }
    region_add(memory_system_root(), 0, m->ram);
    return true;
}

static bool make_cpu(Bamboo *m, GError **error)
{
    Cpu *cpu = cpu_new(&ppc_cpu_type, machine_config.cpu_model ? machine_config.cpu_model : m->boot.board->cpu_default, 0, error);

    if (!cpu) {
        return false;
    }
    if (!g_str_equal(ppc_model_name(cpu), "440ep")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "machine 'bamboo' has a 440ep, not a '%s'", ppc_model_name(cpu));
        return false;
    }
    ppc_set_timebase(cpu, CPU_HZ);
    m->dcrs = address_space_new("dcrs", region_new_container("dcrs", DCRS * 4));
    ppc_set_dcrs(cpu, m->dcrs);
    return true;
}

static void add_dcrs(Bamboo *m, unsigned first, Region *region)
{
    region_add(address_space_root(m->dcrs), first * 4, region);
}

static bool make_chip(Bamboo *m, GError **error)
{
    g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, machine_config.ram_size);
    Device *dcr = device_new(&ppc4xx_dcr_type, NULL);

    m->uic = device_new(&uic_type, "uic0");
    if (!device_realize(m->uic, NULL, error) || !device_set_property(dcr, "ram-size", size, error) ||
        !device_realize(dcr, NULL, error)) {
        return false;
    }
    uic_connect(m->uic, ppc_interrupt_line(cpu_get(0), PPC_INT_EXTERNAL), ppc_interrupt_line(cpu_get(0), PPC_INT_CRITICAL));
    add_dcrs(m, UIC_DCR, uic_region(m->uic));
    add_dcrs(m, PPC4XX_DCR_FIRST, ppc4xx_dcr_region(dcr));
    return true;
}

static bool make_serials(Bamboo *m, GError **error)
{
    for (int n = 0; n < SERIALS; n++) {
        g_autofree char *id = g_strdup_printf("serial%d", n), *base = g_strdup_printf("%d", UART_CLOCK / 16);
        Device *dev = m->serials[n] = device_new(&serial_mm_type, NULL);

        device_set_pointer(dev, "chardev", char_find(id));
        if (!device_set_property(dev, "baudbase", base, error) || !device_realize(dev, NULL, error)) {
            return false;
        }
        serial_mm_connect(dev, uic_input(m->uic, n));
        region_add(memory_system_root(), SERIAL_BASE(n), serial_mm_region(dev));
    }
    return true;
}

static bool make_pci(Bamboo *m, GError **error)
{
    Line *lines[SLOTS];

    m->pci_memory = region_new_container("pci", UINT64_C(1) << 32);
    m->pci = ppc4xx_pci_new("pci.0", m->pci_memory, memory_ports_root(), error);
    if (!m->pci) {
        return false;
    }
    for (int n = 0; n < SLOTS; n++) {
        lines[n] = uic_input(m->uic, FIRST_PCI_INPUT - n);
    }
    ppc4xx_pci_connect(m->pci, lines);
    return true;
}

/* ---- the device tree ---- */

static void put_cpu(void *fdt)
{
    tree_begin(fdt, "cpus");
    TREE_CELLS(fdt, "#address-cells", 1);
    TREE_CELLS(fdt, "#size-cells", 0);
    tree_begin(fdt, "cpu@0");
    tree_text(fdt, "device_type", "cpu");
    tree_text(fdt, "model", "PowerPC,440EP");
    TREE_CELLS(fdt, "reg", 0);
    TREE_CELLS(fdt, "clock-frequency", CPU_HZ);
    TREE_CELLS(fdt, "timebase-frequency", CPU_HZ);
    TREE_CELLS(fdt, "i-cache-line-size", 32);
    TREE_CELLS(fdt, "d-cache-line-size", 32);
    TREE_CELLS(fdt, "i-cache-size", 0x8000);
    TREE_CELLS(fdt, "d-cache-size", 0x8000);
    tree_flag(fdt, "dcr-controller");
    tree_text(fdt, "dcr-access-method", "native");
    TREE_CELLS(fdt, "phandle", CPU_PHANDLE);
    tree_end(fdt);
    tree_end(fdt);
}

static void put_dcr_unit(void *fdt, const char *name, const char *compatible, unsigned first, unsigned count)
{
    tree_begin(fdt, "%s", name);
    tree_text(fdt, "compatible", compatible);
    TREE_CELLS(fdt, "dcr-reg", first, count);
    tree_end(fdt);
}

static void put_interrupts(void *fdt)
{
    tree_begin(fdt, "interrupt-controller0");
    tree_texts(fdt, "compatible", "ibm,uic-440ep\0ibm,uic");
    tree_flag(fdt, "interrupt-controller");
    TREE_CELLS(fdt, "cell-index", 0);
    TREE_CELLS(fdt, "dcr-reg", UIC_DCR, UIC_DCRS);
    TREE_CELLS(fdt, "#address-cells", 0);
    TREE_CELLS(fdt, "#size-cells", 0);
    TREE_CELLS(fdt, "#interrupt-cells", 2);
    TREE_CELLS(fdt, "phandle", UIC_PHANDLE);
    tree_end(fdt);
}

static void put_serial(void *fdt, int n)
{
    enum { LEVEL_HIGH = 4 };

    tree_begin(fdt, "serial@%x", SERIAL_BASE(n));
    tree_text(fdt, "device_type", "serial");
    tree_text(fdt, "compatible", "ns16550");
    TREE_CELLS(fdt, "reg", SERIAL_BASE(n), 8);
    TREE_CELLS(fdt, "virtual-reg", SERIAL_BASE(n));
    TREE_CELLS(fdt, "clock-frequency", UART_CLOCK);
    TREE_CELLS(fdt, "current-speed", 115200);
    TREE_CELLS(fdt, "interrupt-parent", UIC_PHANDLE);
    TREE_CELLS(fdt, "interrupts", n, LEVEL_HIGH);
    tree_end(fdt);
}

static void put_pci(void *fdt)
{
    enum { LEVEL_LOW = 8, PREFETCHABLE_MEMORY = 0x42000000, MEMORY = 0x02000000, IO = 0x01000000 };
    uint32_t map[SLOTS * 7];

    tree_begin(fdt, "pci@ec000000");
    tree_text(fdt, "device_type", "pci");
    TREE_CELLS(fdt, "#interrupt-cells", 1);
    TREE_CELLS(fdt, "#size-cells", 2);
    TREE_CELLS(fdt, "#address-cells", 3);
    tree_texts(fdt, "compatible", "ibm,plb440ep-pci\0ibm,plb-pci");
    tree_flag(fdt, "primary");
    TREE_CELLS(fdt, "reg", 0, 0xeec00000, 8, 0, 0xeed00000, 4, 0, 0xeed00000, 4, 0, 0xef400000, 0x40);
    TREE_CELLS(fdt, "ranges", MEMORY, 0, 0xa0000000, 0, 0xa0000000, 0, 0x20000000, IO, 0, 0, 0, 0xe8000000, 0, 0x10000);
    TREE_CELLS(fdt, "dma-ranges", PREFETCHABLE_MEMORY, 0, 0, 0, 0, 0, 0x80000000);
    TREE_CELLS(fdt, "interrupt-map-mask", 0xf800, 0, 0, 0);
    for (unsigned n = 0; n < SLOTS; n++) {
        const uint32_t row[] = { (n + 1) << 11, 0, 0, 0, UIC_PHANDLE, FIRST_PCI_INPUT - n, LEVEL_LOW };

        for (unsigned i = 0; i < G_N_ELEMENTS(row); i++) {
            map[n * G_N_ELEMENTS(row) + i] = row[i];
        }
    }
    tree_cells(fdt, "interrupt-map", map, G_N_ELEMENTS(map));
    tree_end(fdt);
}

static void put_buses(void *fdt)
{
    tree_begin(fdt, "plb");
    tree_texts(fdt, "compatible", "ibm,plb-440ep\0ibm,plb-440gp\0ibm,plb4");
    TREE_CELLS(fdt, "#address-cells", 2);
    TREE_CELLS(fdt, "#size-cells", 1);
    tree_flag(fdt, "ranges");
    TREE_CELLS(fdt, "clock-frequency", 2 * OPB_HZ);
    put_dcr_unit(fdt, "sdram", "ibm,sdram-440ep", 0x10, 2);
    tree_begin(fdt, "opb");
    tree_texts(fdt, "compatible", "ibm,opb-440ep\0ibm,opb-440gp\0ibm,opb");
    TREE_CELLS(fdt, "#address-cells", 1);
    TREE_CELLS(fdt, "#size-cells", 1);
    TREE_CELLS(fdt, "ranges", 0, 0, 0, 0x80000000, 0x80000000, 0, 0x80000000, 0x80000000);
    TREE_CELLS(fdt, "clock-frequency", OPB_HZ);
    put_dcr_unit(fdt, "ebc", "ibm,ebc-440ep", 0x12, 2);
    for (int n = 0; n < SERIALS; n++) {
        put_serial(fdt, n);
    }
    tree_end(fdt);
    put_pci(fdt);
    tree_end(fdt);
}

static void *make_tree(void)
{
    void *fdt = embedded_tree_new();

    tree_begin(fdt, "%s", "");
    TREE_CELLS(fdt, "#address-cells", 2);
    TREE_CELLS(fdt, "#size-cells", 1);
    tree_text(fdt, "model", "amcc,bamboo");
    tree_text(fdt, "compatible", "amcc,bamboo");
    TREE_CELLS(fdt, "dcr-parent", CPU_PHANDLE);
    tree_begin(fdt, "aliases");
    tree_text(fdt, "serial0", "/plb/opb/serial@ef600300");
    tree_text(fdt, "serial1", "/plb/opb/serial@ef600400");
    tree_end(fdt);
    put_cpu(fdt);
    tree_begin(fdt, "memory");
    tree_text(fdt, "device_type", "memory");
    TREE_CELLS(fdt, "reg", 0, 0, 0);
    tree_end(fdt);
    put_interrupts(fdt);
    put_dcr_unit(fdt, "sdr", "ibm,sdr-440ep", 0x0e, 2);
    put_dcr_unit(fdt, "cpr", "ibm,cpr-440ep", 0x0c, 2);
    put_buses(fdt);
    tree_begin(fdt, "chosen");
    tree_text(fdt, "linux,stdout-path", "/plb/opb/serial@ef600300");
    tree_end(fdt);
    tree_end(fdt);
    embedded_tree_finish(fdt);
    return fdt;
}

static bool build(const BoardType *type, GError **error)
{
    Bamboo *m = g_new0(Bamboo, 1);

    m->boot = (Embedded){ .board = type, .compatible = "amcc,bamboo", .map_size = MAP_SIZE };
    return make_memory(m, error) && make_cpu(m, error) && embedded_load(&m->boot, error) && make_chip(m, error) &&
           make_serials(m, error) && make_pci(m, error) && embedded_start(&m->boot, make_tree(), error);
}

const BoardType bamboo_board = {
    .name = "bamboo",
    .about = "AMCC Bamboo (440EP)",
    .target = "ppc",
    .cpu_default = "440ep",
    .nic = "e1000",
    .own_serials = true,
    .takes_tree = true,
    .headless = true,
    .max_cpus = 1,
    .ram_default = UINT64_C(128) << 20,
    .build = build,
};
