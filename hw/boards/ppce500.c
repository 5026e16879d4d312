/*
 * ppce500: a paravirtual board around an e500v2, with what an MPC8544 has of its devices, at addresses beyond 4 GiB.
 *
 * MPC8544E PowerQUICC III Reference Manual; the map is the one that Linux' "QEMU e500" platform is told by device trees.
 */
#include "hw/boards/embedded.h"
#include "hw/boards/tree.h"

#include "backends/char.h"
#include "hw/boards/ppce500-spin.h"
#include "hw/char/serial.h"
#include "hw/intr/openpic.h"
#include "hw/misc/fsl_guts.h"
#include "hw/pci/fsl_pci.h"
#include "target/ppc/cpu.h"
#include "util/error.h"

#define CCSR      UINT64_C(0xfe0000000)
#define SPIN      UINT64_C(0xfef000000)
#define MAP_SIZE  UINT64_C(0x04000000)
#define LOW(addr) ((uint32_t)(addr))
#define HIGH(addr) ((uint32_t)((addr) >> 32))
enum { CCSR_SIZE = 0x100000, CPU_HZ = 400000000, SERIALS = 2, PINS = 4, PCI_SLOTS = 32 };
/* In the CCSR. */
enum { SERIAL = 0x4500, SERIAL_STEP = 0x100, PCI = 0x8000, PIC = 0x40000, MESSAGES = 0x41600, GUTS = 0xe0000, GPIO = 0xff000 };
/* Sources of the interrupt controller; internal ones begin at 16. */
enum { FIRST_PCI_SOURCE = 1, PCI_ERROR_SOURCE = 24, SERIAL_SOURCE = 42, GPIO_SOURCE = 47, POWER_OFF_PIN = 0 };
enum { PIC_PHANDLE = 0x8003, MESSAGES_PHANDLE, GPIO_PHANDLE };
enum { EDGE_RISING = 0, LEVEL_LOW = 1, LEVEL_HIGH = 2 };

typedef struct Ppce500 {
    Embedded boot;
    Region *ram, *ccsr, *pci_memory;
    Device *pic, *gpio;
    PciBus *pci;
} Ppce500;

/* ---- devices ---- */

static bool make_memory(Ppce500 *m, GError **error)
{
    uint64_t size = machine_config.ram_size;

    if (size < 64 << 20 || size > UINT64_C(3) << 30 || size % (1 << 20)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "machine 'ppce500' has from 64 to 3072 MiB of memory");
        return false;
    }
    m->ram = region_new_ram("ppce500.ram", size, error);
    if (!m->ram) {
        return false;
    }
    region_add(memory_system_root(), 0, m->ram);
    m->ccsr = region_new_container("ccsr", CCSR_SIZE);
    region_add(memory_system_root(), CCSR, m->ccsr);
    return true;
}

static bool make_cpus(Ppce500 *m, GError **error)
{
    const char *model = machine_config.cpu_model ? machine_config.cpu_model : m->boot.board->cpu_default;

    for (int n = 0; n < machine_config.cpus; n++) {
        Cpu *cpu = cpu_new(&ppc_cpu_type, model, n, error);

        if (!cpu) {
            return false;
        }
        if (!g_str_equal(ppc_model_name(cpu), "e500v2")) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "machine 'ppce500' has an e500v2, not a '%s'", ppc_model_name(cpu));
            return false;
        }
        ppc_set_timebase(cpu, CPU_HZ);
        if (n) {
            ppc_set_reset_state(cpu, &(PpcResetState){ .given = true, .halted = true, .gpr = { [7] = SPIN_MAP_SIZE } });
        }
    }
    return true;
}

static bool make_pic(Ppce500 *m, GError **error)
{
    g_autofree char *cpus = g_strdup_printf("%d", machine_config.cpus);
    Device *spin = device_new(&ppce500_spin_type, "spin");

    m->pic = device_new(&mpic_type, "pic");
    if (!device_set_property(m->pic, "nb_cpus", cpus, error) || !device_realize(m->pic, NULL, error) ||
        !device_realize(spin, NULL, error)) {
        return false;
    }
    for (int n = 0; n < machine_config.cpus; n++) {
        openpic_connect(m->pic, n, ppc_interrupt_line(cpu_get(n), PPC_INT_EXTERNAL));
    }
    region_add(m->ccsr, PIC, openpic_region(m->pic));
    region_add(memory_system_root(), SPIN, ppce500_spin_region(spin));
    return true;
}

/* Both ports have one interrupt. */
static bool make_serials(Ppce500 *m, GError **error)
{
    g_autofree char *base = g_strdup_printf("%d", CPU_HZ / 16);
    Line **gate = line_or_gate(openpic_input(m->pic, SERIAL_SOURCE), SERIALS);

    for (int n = 0; n < SERIALS; n++) {
        g_autofree char *id = g_strdup_printf("serial%d", n);
        CharBackend *chr = char_find(id);
        Device *dev;

        if (n && !chr) {
            break;
        }
        dev = device_new(&serial_mm_type, NULL);
        device_set_pointer(dev, "chardev", chr);
        if (!device_set_property(dev, "baudbase", base, error) || !device_realize(dev, NULL, error)) {
            return false;
        }
        serial_mm_connect(dev, gate[n]);
        region_add(m->ccsr, SERIAL + n * SERIAL_STEP, serial_mm_region(dev));
    }
    g_free(gate);
    return true;
}

static void power_off(void *opaque, int n, bool level)
{
    if (level) {
        machine_request_shutdown(SHUTDOWN_GUEST);
    }
}

static bool make_utilities(Ppce500 *m, GError **error)
{
    g_autofree char *pvr = g_strdup_printf("%u", ppc_pvr(cpu_get(0)));
    Device *guts = device_new(&fsl_guts_type, "guts");

    m->gpio = device_new(&mpc8xxx_gpio_type, "gpio");
    if (!device_set_property(guts, "pvr", pvr, error) || !device_realize(guts, NULL, error) ||
        !device_realize(m->gpio, NULL, error)) {
        return false;
    }
    region_add(m->ccsr, GUTS, fsl_guts_region(guts));
    region_add(m->ccsr, GPIO, mpc8xxx_gpio_region(m->gpio));
    mpc8xxx_gpio_connect(m->gpio, openpic_input(m->pic, GPIO_SOURCE), POWER_OFF_PIN, line_new(power_off, m, 0));
    return true;
}

static bool make_pci(Ppce500 *m, GError **error)
{
    Line *lines[PINS];

    m->pci_memory = region_new_container("pci", UINT64_C(1) << 32);
    m->pci = fsl_pci_new("pci.0", m->pci_memory, memory_ports_root(), m->ccsr, error);
    if (!m->pci) {
        return false;
    }
    region_add(m->ccsr, PCI, fsl_pci_region(m->pci));
    for (int n = 0; n < PINS; n++) {
        lines[n] = openpic_input(m->pic, FIRST_PCI_SOURCE + n);
    }
    fsl_pci_connect(m->pci, lines);
    return true;
}

/* ---- the device tree ---- */

static void put_cpus(void *fdt)
{
    tree_begin(fdt, "cpus");
    TREE_CELLS(fdt, "#address-cells", 1);
    TREE_CELLS(fdt, "#size-cells", 0);
    for (int n = 0; n < machine_config.cpus; n++) {
        tree_begin(fdt, "PowerPC,8544@%d", n);
        tree_text(fdt, "device_type", "cpu");
        TREE_CELLS(fdt, "reg", n);
        TREE_CELLS(fdt, "clock-frequency", CPU_HZ);
        TREE_CELLS(fdt, "timebase-frequency", CPU_HZ);
        TREE_CELLS(fdt, "bus-frequency", 0);
        TREE_CELLS(fdt, "i-cache-line-size", 32);
        TREE_CELLS(fdt, "d-cache-line-size", 32);
        TREE_CELLS(fdt, "i-cache-size", 0x8000);
        TREE_CELLS(fdt, "d-cache-size", 0x8000);
        tree_text(fdt, "status", n ? "disabled" : "okay");
        if (n) {
            tree_text(fdt, "enable-method", "spin-table");
            TREE_CELLS(fdt, "cpu-release-addr", HIGH(SPIN), LOW(SPIN) + n * SPIN_ENTRY);
        }
        tree_end(fdt);
    }
    tree_end(fdt);
}

static void put_interrupt(void *fdt, unsigned source)
{
    TREE_CELLS(fdt, "interrupt-parent", PIC_PHANDLE);
    TREE_CELLS(fdt, "interrupts", source, LEVEL_HIGH);
}

static void put_pic(void *fdt)
{
    uint32_t shared[16];

    tree_begin(fdt, "pic@%x", PIC);
    tree_text(fdt, "device_type", "open-pic");
    tree_text(fdt, "compatible", "fsl,mpic");
    TREE_CELLS(fdt, "reg", PIC, OPENPIC_WINDOW);
    TREE_CELLS(fdt, "#address-cells", 0);
    TREE_CELLS(fdt, "#interrupt-cells", 2);
    tree_flag(fdt, "interrupt-controller");
    TREE_CELLS(fdt, "phandle", PIC_PHANDLE);
    tree_end(fdt);
    tree_begin(fdt, "msi@%x", MESSAGES);
    tree_text(fdt, "compatible", "fsl,mpic-msi");
    TREE_CELLS(fdt, "reg", MESSAGES, 0x200);
    TREE_CELLS(fdt, "msi-available-ranges", 0, 256);
    TREE_CELLS(fdt, "interrupt-parent", PIC_PHANDLE);
    for (unsigned n = 0; n < 8; n++) {
        shared[2 * n] = MPIC_SHARED + n;
        shared[2 * n + 1] = EDGE_RISING;
    }
    tree_cells(fdt, "interrupts", shared, G_N_ELEMENTS(shared));
    TREE_CELLS(fdt, "phandle", MESSAGES_PHANDLE);
    tree_end(fdt);
}

/* The last one first, as Linux numbers them from the end. */
static void put_serials(void *fdt)
{
    for (int n = SERIALS - 1; n >= 0; n--) {
        g_autofree char *id = g_strdup_printf("serial%d", n);

        if (n && !char_find(id)) {
            continue;
        }
        tree_begin(fdt, "serial@%x", SERIAL + n * SERIAL_STEP);
        tree_text(fdt, "device_type", "serial");
        tree_text(fdt, "compatible", "ns16550");
        TREE_CELLS(fdt, "cell-index", n);
        TREE_CELLS(fdt, "reg", SERIAL + n * SERIAL_STEP, SERIAL_STEP);
        TREE_CELLS(fdt, "clock-frequency", CPU_HZ);
        put_interrupt(fdt, SERIAL_SOURCE);
        tree_end(fdt);
    }
}

static void put_utilities(void *fdt)
{
    tree_begin(fdt, "global-utilities@%x", GUTS);
    tree_text(fdt, "compatible", "fsl,mpc8544-guts");
    TREE_CELLS(fdt, "reg", GUTS, 0x1000);
    tree_flag(fdt, "fsl,has-rstcr");
    tree_end(fdt);
    tree_begin(fdt, "gpio@%x", GPIO);
    tree_text(fdt, "compatible", "fsl,qoriq-gpio");
    TREE_CELLS(fdt, "reg", GPIO, 0x1000);
    put_interrupt(fdt, GPIO_SOURCE);
    TREE_CELLS(fdt, "#gpio-cells", 2);
    tree_flag(fdt, "gpio-controller");
    TREE_CELLS(fdt, "phandle", GPIO_PHANDLE);
    tree_end(fdt);
    tree_begin(fdt, "power-off");
    tree_text(fdt, "compatible", "gpio-poweroff");
    TREE_CELLS(fdt, "gpios", GPIO_PHANDLE, POWER_OFF_PIN, 0);
    tree_end(fdt);
}

static void put_ccsr(void *fdt)
{
    tree_begin(fdt, "soc@fe0000000");
    tree_text(fdt, "device_type", "soc");
    tree_texts(fdt, "compatible", "fsl,mpc8544-immr\0simple-bus");
    TREE_CELLS(fdt, "#address-cells", 1);
    TREE_CELLS(fdt, "#size-cells", 1);
    TREE_CELLS(fdt, "ranges", 0, HIGH(CCSR), LOW(CCSR), CCSR_SIZE);
    TREE_CELLS(fdt, "bus-frequency", 0);
    put_pic(fdt);
    put_serials(fdt);
    put_utilities(fdt);
    tree_end(fdt);
}

static void put_pci(void *fdt)
{
    enum { MEMORY = 0x02000000, IO = 0x01000000, ROW = 7 };
    uint32_t map[(PCI_SLOTS - 1) * PINS * ROW], *at = map;

    tree_begin(fdt, "pci@fe0008000");
    tree_text(fdt, "device_type", "pci");
    tree_text(fdt, "compatible", "fsl,mpc8540-pci");
    TREE_CELLS(fdt, "cell-index", 0);
    TREE_CELLS(fdt, "reg", HIGH(CCSR + PCI), LOW(CCSR + PCI), 0, 0x1000);
    TREE_CELLS(fdt, "bus-range", 0, 255);
    TREE_CELLS(fdt, "clock-frequency", 66666666);
    TREE_CELLS(fdt, "#interrupt-cells", 1);
    TREE_CELLS(fdt, "#size-cells", 2);
    TREE_CELLS(fdt, "#address-cells", 3);
    TREE_CELLS(fdt, "ranges", MEMORY, 0, FSL_PCI_MEMORY_BUS, HIGH(FSL_PCI_MEMORY), LOW(FSL_PCI_MEMORY), 0, FSL_PCI_MEMORY_SIZE,
               IO, 0, 0, HIGH(FSL_PCI_IO), LOW(FSL_PCI_IO), 0, FSL_PCI_IO_SIZE);
    put_interrupt(fdt, PCI_ERROR_SOURCE);
    TREE_CELLS(fdt, "fsl,msi", MESSAGES_PHANDLE);
    TREE_CELLS(fdt, "interrupt-map-mask", 0xf800, 0, 0, 7);
    for (unsigned slot = 1; slot < PCI_SLOTS; slot++) {
        for (unsigned pin = 0; pin < PINS; pin++, at += ROW) {
            const uint32_t row[ROW] = { slot << 11, 0, 0, pin + 1, PIC_PHANDLE, FIRST_PCI_SOURCE + (slot + pin) % PINS, LEVEL_LOW };

            for (unsigned i = 0; i < ROW; i++) {
                at[i] = row[i];
            }
        }
    }
    tree_cells(fdt, "interrupt-map", map, G_N_ELEMENTS(map));
    tree_end(fdt);
}

static void *make_tree(void)
{
    static const char console[] = "/soc@fe0000000/serial@4500";
    void *fdt = embedded_tree_new();

    tree_begin(fdt, "%s", "");
    TREE_CELLS(fdt, "#address-cells", 2);
    TREE_CELLS(fdt, "#size-cells", 2);
    tree_text(fdt, "model", "QEMU ppce500");
    tree_text(fdt, "compatible", "fsl,qemu-e500");
    tree_begin(fdt, "aliases");
    tree_text(fdt, "serial0", console);
    tree_text(fdt, "pci0", "/pci@fe0008000");
    tree_end(fdt);
    tree_begin(fdt, "memory");
    tree_text(fdt, "device_type", "memory");
    TREE_CELLS(fdt, "reg", 0, 0, 0, 0);
    tree_end(fdt);
    put_cpus(fdt);
    put_ccsr(fdt);
    put_pci(fdt);
    tree_begin(fdt, "chosen");
    tree_text(fdt, "stdout-path", console);
    tree_text(fdt, "linux,stdout-path", console);
    tree_end(fdt);
    tree_end(fdt);
    embedded_tree_finish(fdt);
    return fdt;
}

static bool build(const BoardType *type, GError **error)
{
    Ppce500 *m = g_new0(Ppce500, 1);

    m->boot = (Embedded){ .board = type, .compatible = "fsl,qemu-e500", .map_size = MAP_SIZE };
    return make_memory(m, error) && make_cpus(m, error) && embedded_load(&m->boot, error) && make_pic(m, error) &&
           make_serials(m, error) && make_utilities(m, error) && make_pci(m, error) &&
           embedded_start(&m->boot, make_tree(), error);
}

const BoardType ppce500_board = {
    .name = "ppce500",
    .about = "generic paravirtual e500 board",
    .target = "ppc",
    .cpu_default = "e500v2",
    .nic = "virtio-net-pci",
    .own_serials = true,
    .takes_tree = true,
    .headless = true,
    .max_cpus = SPIN_CPUS,
    .ram_default = UINT64_C(128) << 20,
    .build = build,
};
