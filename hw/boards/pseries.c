/*
 * The pseries board: a logical partition of IBM's Power servers, as PAPR describes it, without a server below.
 *
 * There is no hardware but memory, processors and PCI cards: the rest is hypercalls, which hw/papr answers.
 */
#include "hw/boards/pseries.h"

#include "backends/block.h"
#include "backends/char.h"
#include "hw/papr/memop.h"
#include "hw/papr/nvram.h"
#include "hw/papr/phb.h"
#include "hw/papr/vio.h"
#include "hw/papr/xics.h"
#include "hw/papr/xive.h"
#include "target/ppc/cpu.h"
#include "util/error.h"
#include "util/log.h"

#include <stdlib.h>
#include <string.h>

enum { FIRMWARE_ENTRY = 0x100, MIB = 1 << 20, MIN_RAM = 128, MAX_TERMINALS = 8 };
#define TREE_LIMIT UINT64_C(0x80000000) /* firmware reads it with 32-bit addresses, below the reach of RTAS */

static Device *make(const char *type, const char *id, Bus *bus, const char *properties, GError **error)
{
    Device *dev = device_new(device_type_find(type), id);
    g_auto(GStrv) pairs = g_strsplit(properties, ",", -1);

    for (char **pair = pairs; *pair; pair++) {
        char *value = strchr(*pair, '=');

        *value++ = '\0';
        if (!device_set_property(dev, *pair, value, error)) {
            device_free(dev);
            return NULL;
        }
    }
    if (!device_realize(dev, bus, error)) {
        device_free(dev);
        return NULL;
    }
    return dev;
}

/* ---- processors and memory ---- */

static bool make_memory(GError **error)
{
    uint64_t size = machine_config.ram_size;
    Region *ram;

    if (size < (uint64_t)MIN_RAM * MIB || size % (256 * 1024)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "the pseries board needs at least %d MiB of memory, in steps of 256 KiB",
                    MIN_RAM);
        return false;
    }
    ram = region_new_ram("ppc_spapr.ram", size, error);
    if (!ram) {
        return false;
    }
    region_add(memory_system_root(), 0, ram);
    region_add(memory_system_root(), PHB_MESSAGES, phb_message_region());
    return true;
}

static bool make_cpus(Pseries *m, const BoardType *board, GError **error)
{
    const char *model = machine_config.cpu_model ? machine_config.cpu_model : board->cpu_default;

    if (machine_config.threads > 1) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-smp threads=%d: cores of the pseries board have one thread",
                    machine_config.threads);
        return false;
    }
    for (int n = 0; n < machine_config.cpus; n++) {
        Cpu *cpu = cpu_new(&ppc_cpu_type, model, n, error);

        if (!cpu) {
            return false;
        }
        ppc_set_timebase(cpu, PSERIES_TIMEBASE);
        if (!pseries_generation(cpu)) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "the pseries board has POWER7 and later processors, not '%s'", model);
            return false;
        }
    }
    m->generation = pseries_generation(cpu_get(0));
    return true;
}

/* -machine max-cpu-compat: the guest sees what processors of that generation have. */
static bool limit_cpus(Pseries *m, GError **error)
{
    const char *text = machine_config.cpu_compat, *digits = text && g_str_has_prefix(text, "power") ? text + 5 : "";
    unsigned wanted = strtoul(digits, NULL, 10);

    if (text && (wanted < 7 || wanted > 10 || strlen(digits) != (wanted < 10 ? 1 : 2))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-machine max-cpu-compat=%s: there are power7, power8, power9 and power10",
                    text);
        return false;
    }
    m->limited = text && wanted < m->generation;
    m->generation = text ? MIN(wanted, m->generation) : m->generation;
    m->can_radix = m->can_xive = m->generation >= 9;
    return true;
}

/* ---- interrupt controllers ---- */

static void interrupt_changed(void *opaque, int n, bool level)
{
    ppc_set_interrupt(cpu_get(n), PPC_INT_EXTERNAL, level);
}

static bool make_interrupts(Pseries *m, GError **error)
{
    if (!make("spapr-irq", "irq", NULL, "", error)) {
        return false;
    }
    m->xics = make("spapr-xics", "xics", NULL, "", error);
    m->xive = m->can_xive ? make("spapr-xive", "xive", NULL, "", error) : NULL;
    if (!m->xics || (m->can_xive && !m->xive)) {
        return false;
    }
    for (int n = 0; n < cpu_count(); n++) {
        Line **gate = line_or_gate(line_new(interrupt_changed, NULL, n), 2);

        xics_connect(m->xics, n, gate[0]);
        if (m->xive) {
            xive_connect(m->xive, n, gate[1]);
        }
    }
    return true;
}

/* ---- reset ---- */

/* -machine dumpdtb=FILE: the tree is all that is wanted. */
static void dump_tree(const uint8_t *tree, size_t size)
{
    g_autoptr(GError) error = NULL;

    if (g_file_set_contents(machine_config.dump_dtb, (const char *)tree, size, &error)) {
        log_info("device tree written to '%s'", machine_config.dump_dtb);
    } else {
        log_error("%s", error->message);
    }
    machine_request_exit(error ? 1 : 0);
}

/* The devices of the command line are there at the first one. */
static void pseries_resets(void *opaque)
{
    Pseries *m = opaque;
    uint8_t *tree;
    size_t size;

    pseries_hpt_reset(m);
    pseries_cas_reset(m);
    pseries_place_files(m);
    tree = pseries_tree(m, true, &size);
    m->booted = true;
    if (machine_config.dump_dtb) {
        dump_tree(tree, size);
    }
    if (m->own_firmware) {
        pseries_client_reset(m, tree);
    } else {
        PhysAddr at = MIN(machine_config.ram_size, TREE_LIMIT) - PSERIES_TREE_MAX;

        memory_write(memory_system(), at, tree, size);
        g_free(tree);
        pseries_cpu_start_at(m, FIRMWARE_ENTRY, 0, at, 0, 0);
    }
}

static bool pseries_post_load(Device *dev, GError **error)
{
    Pseries *m = (Pseries *)dev;

    m->s.use_radix &= m->can_radix;
    m->s.use_xive &= m->can_xive;
    m->s.vector5[0] = MIN(m->s.vector5[0], PSERIES_VECTOR5 - 2);
    pseries_use_platform(m);
    return pseries_hpt_post_load(m, error);
}

static bool pseries_realize(Device *dev, GError **error)
{
    return true;
}

static const DeviceType pseries_type = {
    .name = "pseries-partition",
    .about = "what a logical partition has settled with its platform",
    .bus = "system",
    .size = sizeof(Pseries),
    .state_at = offsetof(Pseries, s),
    .state = PseriesState_fields,
    .realize = pseries_realize,
    .post_load = pseries_post_load,
};

/* ---- the board ---- */

static bool make_terminals(Pseries *m, GError **error)
{
    CharBackend *chr;

    for (unsigned i = 0; i < MAX_TERMINALS; i++) {
        g_autofree char *id = g_strdup_printf("serial%u", i), *properties = g_strdup_printf("chardev=%s", id);

        chr = char_find(id);
        if (chr && !make("spapr-vty", NULL, m->vio, properties, error)) {
            return false;
        }
    }
    return true;
}

/* -hda, -cdrom and -drive without if= are disks of the virtual SCSI adapter. */
static bool add_plain_drives(GError **error)
{
    Bus *bus = bus_find_kind("scsi");

    for (int index = 0; index < 4; index++) {
        BlockBackend *blk = block_find_drive("ide", index / 2, index % 2);
        g_autofree char *target = g_strdup_printf("%d", index);
        Device *dev = blk ? device_new(device_type_find(block_is_cdrom(blk) ? "scsi-cd" : "scsi-hd"), NULL) : NULL;

        if (!blk) {
            continue;
        }
        device_set_pointer(dev, "drive", blk);
        if (!device_set_property(dev, "scsi-id", target, error) || !device_realize(dev, bus, error)) {
            device_free(dev);
            return false;
        }
    }
    return true;
}

/* With a screen of its own the board has a keyboard and a mouse. */
static bool make_input(Pseries *m, GError **error)
{
    const char *vga = machine_config.vga;
    bool input;

    m->has_screen = vga ? !g_str_equal(vga, "none") : machine_config.default_devices && !machine_config.nographic;
    input = m->has_screen && machine_config.default_devices && !machine_config.nographic;
    if (!machine_config.usb && !input) {
        return true;
    }
    if (!make("nec-usb-xhci", "usb", pci_bus_bus(phb_bus(m->phb)), "", error)) {
        return false;
    }
    return !input || (make("usb-kbd", NULL, bus_find_kind("usb"), "", error) &&
                      make("usb-mouse", NULL, bus_find_kind("usb"), "", error));
}

/* "dual" is what a guest may choose from, where the processor has both. */
static bool choose_interrupts(Pseries *m, GError **error)
{
    const char *mode = machine_config.ic_mode;

    if (!mode || g_str_equal(mode, "dual")) {
        return true;
    }
    m->only_xive = g_str_equal(mode, "xive");
    if (m->only_xive && !m->can_xive) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-machine ic-mode=xive needs a POWER9 processor or later");
        return false;
    }
    if (!m->only_xive && !g_str_equal(mode, "xics")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-machine ic-mode=%s: there are xics, xive and dual", mode);
        return false;
    }
    m->can_xive = m->only_xive;
    return true;
}

/* The image of -drive if=pflash keeps it; -prom-env changes settings in it. SLOF divides it, but is not always there. */
static bool make_nvram(Pseries *m, GError **error)
{
    Device *dev = device_new(device_type_find("spapr-nvram"), "nvram");

    device_set_pointer(dev, "drive", block_find_drive("pflash", 0, 0));
    if (!device_set_property(dev, "reg", "0x71000001", error) || !device_realize(dev, m->vio, error)) {
        device_free(dev);
        return false;
    }
    return (!machine_config.prom_env && !m->own_firmware) || spapr_nvram_prepare(dev, machine_config.prom_env, error);
}

static bool make_devices(Pseries *m, GError **error)
{
    papr_memop_init();
    papr_tce_init();
    m->vio = vio_bus_new();
    m->phb = make("spapr-pci-host-bridge", "phb0", NULL, "", error);
    if (!m->phb || !make("spapr-rtas", "rtas", NULL, "", error) || !make_nvram(m, error)) {
        return false;
    }
    if (machine_config.default_devices &&
        (!make("spapr-vscsi", "scsi", m->vio, "reg=0x71000003", error) || !add_plain_drives(error))) {
        return false;
    }
    return make_terminals(m, error) && make_input(m, error);
}

static bool build(const BoardType *type, GError **error)
{
    Pseries *m = (Pseries *)device_new(&pseries_type, "partition");

    m->own_firmware = machine_config.own_firmware;
    if (!make_memory(error) || !make_cpus(m, type, error) || !limit_cpus(m, error) || !choose_interrupts(m, error) ||
        !pseries_hpt_init(m, error) || !pseries_load_files(m, error) || !device_realize(&m->dev, NULL, error) || !make_interrupts(m, error) || !make_devices(m, error)) {
        return false;
    }
    pseries_cpu_init(m);
    pseries_cas_init(m);
    pseries_client_init(m);
    machine_on_reset(pseries_resets, m);
    return true;
}

const BoardType pseries_board = {
    .name = "pseries",
    .alias = "pseries-7.2",
    .about = "pSeries logical partition (PAPR)",
    .target = "ppc64",
    .cpu_default = "power9",
    .nic = "spapr-vlan",
    .own_serials = true,
    .has_settings = true,
    .max_cpus = PAPR_SERVERS,
    .ram_default = UINT64_C(512) << 20,
    .build = build,
};
