/*
 * Bamboo: AMCC's evaluation board for the PowerPC 440EP.
 *
 * PPC440EP Embedded Processor User's Manual: one interrupt controller, two serial ports, PCI with four slots.
 */
#include "hw/boards/embedded.h"

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

static void put_cpu(EmbeddedTree *t)
{
    et_begin(t, "cpus");
    ET_CELLS(t, "#address-cells", 1);
    ET_CELLS(t, "#size-cells", 0);
    et_begin(t, "cpu@0");
    et_text(t, "device_type", "cpu");
    et_text(t, "model", "PowerPC,440EP");
    ET_CELLS(t, "reg", 0);
    ET_CELLS(t, "clock-frequency", CPU_HZ);
    ET_CELLS(t, "timebase-frequency", CPU_HZ);
    ET_CELLS(t, "i-cache-line-size", 32);
    ET_CELLS(t, "d-cache-line-size", 32);
    ET_CELLS(t, "i-cache-size", 0x8000);
    ET_CELLS(t, "d-cache-size", 0x8000);
    et_flag(t, "dcr-controller");
    et_text(t, "dcr-access-method", "native");
    ET_CELLS(t, "phandle", CPU_PHANDLE);
    et_end(t);
    et_end(t);
}

static void put_dcr_unit(EmbeddedTree *t, const char *name, const char *compatible, unsigned first, unsigned count)
{
    et_begin(t, "%s", name);
    et_text(t, "compatible", compatible);
    ET_CELLS(t, "dcr-reg", first, count);
    et_end(t);
}

static void put_interrupts(EmbeddedTree *t)
{
    et_begin(t, "interrupt-controller0");
    et_texts(t, "compatible", "ibm,uic-440ep\0ibm,uic");
    et_flag(t, "interrupt-controller");
    ET_CELLS(t, "cell-index", 0);
    ET_CELLS(t, "dcr-reg", UIC_DCR, UIC_DCRS);
    ET_CELLS(t, "#address-cells", 0);
    ET_CELLS(t, "#size-cells", 0);
    ET_CELLS(t, "#interrupt-cells", 2);
    ET_CELLS(t, "phandle", UIC_PHANDLE);
    et_end(t);
}

static void put_serial(EmbeddedTree *t, int n)
{
    enum { LEVEL_HIGH = 4 };

    et_begin(t, "serial@%x", SERIAL_BASE(n));
    et_text(t, "device_type", "serial");
    et_text(t, "compatible", "ns16550");
    ET_CELLS(t, "reg", SERIAL_BASE(n), 8);
    ET_CELLS(t, "virtual-reg", SERIAL_BASE(n));
    ET_CELLS(t, "clock-frequency", UART_CLOCK);
    ET_CELLS(t, "current-speed", 115200);
    ET_CELLS(t, "interrupt-parent", UIC_PHANDLE);
    ET_CELLS(t, "interrupts", n, LEVEL_HIGH);
    et_end(t);
}

static void put_pci(EmbeddedTree *t)
{
    enum { LEVEL_LOW = 8, PREFETCHABLE_MEMORY = 0x42000000, MEMORY = 0x02000000, IO = 0x01000000 };
    uint32_t map[SLOTS * 7];

    et_begin(t, "pci@ec000000");
    et_text(t, "device_type", "pci");
    ET_CELLS(t, "#interrupt-cells", 1);
    ET_CELLS(t, "#size-cells", 2);
    ET_CELLS(t, "#address-cells", 3);
    et_texts(t, "compatible", "ibm,plb440ep-pci\0ibm,plb-pci");
    et_flag(t, "primary");
    ET_CELLS(t, "reg", 0, 0xeec00000, 8, 0, 0xeed00000, 4, 0, 0xeed00000, 4, 0, 0xef400000, 0x40);
    ET_CELLS(t, "ranges", MEMORY, 0, 0xa0000000, 0, 0xa0000000, 0, 0x20000000, IO, 0, 0, 0, 0xe8000000, 0, 0x10000);
    ET_CELLS(t, "dma-ranges", PREFETCHABLE_MEMORY, 0, 0, 0, 0, 0, 0x80000000);
    ET_CELLS(t, "interrupt-map-mask", 0xf800, 0, 0, 0);
    for (unsigned n = 0; n < SLOTS; n++) {
        const uint32_t row[] = { (n + 1) << 11, 0, 0, 0, UIC_PHANDLE, FIRST_PCI_INPUT - n, LEVEL_LOW };

        for (unsigned i = 0; i < G_N_ELEMENTS(row); i++) {
            map[n * G_N_ELEMENTS(row) + i] = row[i];
        }
    }
    et_cells(t, "interrupt-map", map, G_N_ELEMENTS(map));
    et_end(t);
}

static void put_buses(EmbeddedTree *t)
{
    et_begin(t, "plb");
    et_texts(t, "compatible", "ibm,plb-440ep\0ibm,plb-440gp\0ibm,plb4");
    ET_CELLS(t, "#address-cells", 2);
    ET_CELLS(t, "#size-cells", 1);
    et_flag(t, "ranges");
    ET_CELLS(t, "clock-frequency", 2 * OPB_HZ);
    put_dcr_unit(t, "sdram", "ibm,sdram-440ep", 0x10, 2);
    et_begin(t, "opb");
    et_texts(t, "compatible", "ibm,opb-440ep\0ibm,opb-440gp\0ibm,opb");
    ET_CELLS(t, "#address-cells", 1);
    ET_CELLS(t, "#size-cells", 1);
    ET_CELLS(t, "ranges", 0, 0, 0, 0x80000000, 0x80000000, 0, 0x80000000, 0x80000000);
    ET_CELLS(t, "clock-frequency", OPB_HZ);
    put_dcr_unit(t, "ebc", "ibm,ebc-440ep", 0x12, 2);
    for (int n = 0; n < SERIALS; n++) {
        put_serial(t, n);
    }
    et_end(t);
    put_pci(t);
    et_end(t);
}

static void *make_tree(void)
{
    EmbeddedTree t = embedded_tree_new();

    et_begin(&t, "%s", "");
    ET_CELLS(&t, "#address-cells", 2);
    ET_CELLS(&t, "#size-cells", 1);
    et_text(&t, "model", "amcc,bamboo");
    et_text(&t, "compatible", "amcc,bamboo");
    ET_CELLS(&t, "dcr-parent", CPU_PHANDLE);
    et_begin(&t, "aliases");
    et_text(&t, "serial0", "/plb/opb/serial@ef600300");
    et_text(&t, "serial1", "/plb/opb/serial@ef600400");
    et_end(&t);
    put_cpu(&t);
    et_begin(&t, "memory");
    et_text(&t, "device_type", "memory");
    ET_CELLS(&t, "reg", 0, 0, 0);
    et_end(&t);
    put_interrupts(&t);
    put_dcr_unit(&t, "sdr", "ibm,sdr-440ep", 0x0e, 2);
    put_dcr_unit(&t, "cpr", "ibm,cpr-440ep", 0x0c, 2);
    put_buses(&t);
    et_begin(&t, "chosen");
    et_text(&t, "linux,stdout-path", "/plb/opb/serial@ef600300");
    et_end(&t);
    et_end(&t);
    return embedded_tree_finish(&t);
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
