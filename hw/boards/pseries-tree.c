/*
 * The device tree of the pseries board: what is fixed, processors, virtual devices.
 *
 * LoPAPR 1.1, appendix B and chapter C; properties that SLOF and Linux ask for. PCI is in pseries-tree-pci.c.
 */
#include "hw/boards/pseries-tree.h"

#include "core/clock.h"
#include "hw/papr/vio.h"
#include "hw/papr/xive.h"
#include "target/ppc/cpu.h"
#include "util/bits.h"

#include <libfdt.h>
#include <string.h>

enum { FIRST_TREE = 256 << 10 };

/* ---- /rtas ---- */

static void put_call(void *opaque, const char *name, uint32_t token)
{
    TREE_CELLS(opaque, name, token);
}

static void put_rtas(Tree *t)
{
    static const char functions[] =
        "hcall-pft\0hcall-term\0hcall-dabr\0hcall-interrupt\0hcall-tce\0hcall-vio\0hcall-splpar\0hcall-join\0hcall-bulk\0"
        "hcall-set-mode\0hcall-sprg0\0hcall-copy\0hcall-debug\0hcall-multi-tce\0"
        "hcall-hpt-resize";

    tree_begin(t->fdt, "rtas");
    /* The last one is of -machine resize-hpt. */
    tree_bytes(t->fdt, "ibm,hypertas-functions", functions, sizeof(functions) - (t->m->resizes_hpt ? 0 : sizeof("hcall-hpt-resize")));
    tree_text(t->fdt, "qemu,hypertas-functions", "hcall-memop1");
    TREE_CELLS(t->fdt, "ibm,associativity-reference-points", 4, 4, 2);
    TREE_CELLS(t->fdt, "ibm,max-associativity-domains", 4, 0, 0, 0, 1);
    TREE_CELLS(t->fdt, "rtas-size", PSERIES_RTAS_SIZE);
    TREE_CELLS(t->fdt, "rtas-error-log-max", 2048);
    TREE_CELLS(t->fdt, "rtas-event-scan-rate", 1);
    tree_flag(t->fdt, "ibm,change-msix-capable");
    tree_flag(t->fdt, "ibm,extended-os-term");
    TREE_CELLS(t->fdt, "ibm,lrdr-capacity", machine_config.ram_size >> 32, machine_config.ram_size, 0, 0x10000000,
               machine_config.max_cpus);
    papr_rtas_for_each(put_call, t->fdt);
    tree_end(t->fdt);
}

/* ---- /chosen ---- */

static void put_place(Tree *t, const char *name, uint64_t addr, uint64_t size)
{
    TREE_CELLS(t->fdt, name, addr >> 32, addr, size >> 32, size);
}

/* Pairs of a byte's number in option vector 5 and what the platform supports there (B.6.2.3). */
static void put_support(Tree *t)
{
    const Pseries *m = t->m;
    uint8_t pairs[8] = { 23, m->can_xive ? 0x80 : 0x00, 24, m->can_radix ? 0x80 : 0x00, 25, 0x00, 26, 0x40 };

    if (m->only_xive) {
        pairs[1] = 0x40;
    }
    tree_bytes(t->fdt, "ibm,arch-vec-5-platform-support", pairs, sizeof(pairs));
}

static VioDevice *console(const Pseries *m)
{
    for (guint i = 0; i < m->vio->devices->len; i++) {
        VioDevice *vio = m->vio->devices->pdata[i];

        if (g_str_equal(vio->info->name, "vty")) {
            return vio;
        }
    }
    return NULL;
}

static void put_boot_order(Tree *t)
{
    const char *order = machine_config.boot_once && !t->m->booted ? machine_config.boot_once : machine_config.boot_order;

    if (order && *order) {
        tree_text(t->fdt, "qemu,boot-device", order);
    }
    if (machine_config.boot_menu) {
        TREE_CELLS(t->fdt, "qemu,boot-menu", 1);
    }
}

/* What to start, and with what: from then on this is between firmware, boot loader and kernel, which change it. */
static void put_start(Tree *t)
{
    const Pseries *m = t->m;
    VioDevice *vty = console(m);
    bool sized = machine_config.width; /* by -g */
    uint32_t seed[8];

    tree_text(t->fdt, "bootargs", machine_config.append ? machine_config.append : "");
    if (m->kernel) {
        put_place(t, "qemu,boot-kernel", m->kernel_addr, m->kernel_size);
        if (m->kernel_little) {
            tree_flag(t->fdt, "qemu,boot-kernel-le");
        }
    }
    if (m->initrd) {
        uint64_t end = m->initrd_addr + g_bytes_get_size(m->initrd);

        TREE_CELLS(t->fdt, "linux,initrd-start", m->initrd_addr);
        TREE_CELLS(t->fdt, "linux,initrd-end", end);
    }
    put_boot_order(t);
    TREE_CELLS(t->fdt, "qemu,graphic-width", sized ? machine_config.width : 800);
    TREE_CELLS(t->fdt, "qemu,graphic-height", sized ? machine_config.height : 600);
    TREE_CELLS(t->fdt, "qemu,graphic-depth", sized ? machine_config.depth : 32);
    if (vty && !m->has_screen) { /* otherwise firmware takes the screen and the keyboard */
        g_autofree char *path = g_strdup_printf("/vdevice/vty@%x", vty->reg);

        tree_text(t->fdt, "linux,stdout-path", path);
        tree_text(t->fdt, "stdout-path", path);
    }
    TREE_CELLS(t->fdt, "linux,pci-probe-only", 0);
    for (size_t i = 0; i < G_N_ELEMENTS(seed); i++) {
        seed[i] = g_random_int();
    }
    tree_cells(t->fdt, "rng-seed", seed, G_N_ELEMENTS(seed));
}

static void put_chosen(Tree *t)
{
    const Pseries *m = t->m;

    tree_begin(t->fdt, "chosen");
    if (t->starting) {
        put_start(t);
    }
    put_support(t);
    tree_bytes(t->fdt, "ibm,architecture-vec-5", m->s.vector5, m->s.vector5[0] + 2);
    tree_end(t->fdt);
}

/* ---- /cpus ---- */

/* ibm,pa-features: which parts of the architecture there are (C.6.2.2.1), by generation. */
static void put_features(Tree *t, uint32_t generation)
{
    static const uint8_t power7[] = { 6, 0, 0xf6, 0x3f, 0xc7, 0xc0, 0x80, 0xc0 };
    static const uint8_t power8[] = {
        24, 0, 0xf6, 0x3f, 0xc7, 0xc0, 0x80, 0xf0, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x00,
        0x80, 0x00, 0x80, 0x00, 0x00, 0x00,
    };
    enum { SECOND_DAWR = 2 + 64 };
    uint8_t power9[] = {
        0x42, 0x00, 0xf6, 0x3f, 0xc7, 0xc0, 0x80, 0xf0, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0x00,
        0x80, 0x00, 0x80, 0x00, 0x00, 0x00, 0x80, 0x00, 0x80, 0x00, 0x80, 0x00, 0x80, 0x00, 0x80, 0x00, 0xc0, 0x00, 0x80, 0x00,
        0x80, 0x00, 0x80, 0x00, 0x80, 0x00, 0x80, 0x00, 0x80, 0x00, 0x80, 0x00, 0x80, 0x00, 0x80, 0x00, 0x80, 0x00, 0x80, 0x00,
        0x80, 0x00, 0x80, 0x00, 0x80, 0x00, 0x00, 0x00,
    };

    if (generation >= 9) {
        power9[SECOND_DAWR] = generation >= 10 ? 0x80 : 0;
        tree_bytes(t->fdt, "ibm,pa-features", power9, sizeof(power9));
    } else if (generation == 8) {
        tree_bytes(t->fdt, "ibm,pa-features", power8, sizeof(power8));
    } else {
        tree_bytes(t->fdt, "ibm,pa-features", power7, sizeof(power7));
    }
}

/* cpu-version of processors that are what the architecture says and no more: version 2.06 and later. */
static uint32_t architected(unsigned generation)
{
    return 0x0f000003 + generation - 7;
}

static void put_cpu(Tree *t, const Cpu *cpu)
{
    unsigned n = cpu->index, generation = t->m->generation;

    tree_begin(t->fdt, "PowerPC,POWER%u@%x", pseries_generation(cpu), n);
    TREE_CELLS(t->fdt, "reg", n);
    tree_text(t->fdt, "device_type", "cpu");
    TREE_CELLS(t->fdt, "cpu-version", t->m->limited ? architected(generation) : ppc_pvr(cpu));
    TREE_CELLS(t->fdt, "d-cache-block-size", 128);
    TREE_CELLS(t->fdt, "d-cache-line-size", 128);
    TREE_CELLS(t->fdt, "i-cache-block-size", 128);
    TREE_CELLS(t->fdt, "i-cache-line-size", 128);
    TREE_CELLS(t->fdt, "d-cache-size", 0x8000);
    TREE_CELLS(t->fdt, "i-cache-size", 0x8000);
    TREE_CELLS(t->fdt, "timebase-frequency", PSERIES_TIMEBASE);
    TREE_CELLS(t->fdt, "clock-frequency", 1000000000);
    TREE_CELLS(t->fdt, "slb-size", 32);
    TREE_CELLS(t->fdt, "ibm,slb-size", 32);
    tree_text(t->fdt, "status", "okay");
    tree_flag(t->fdt, "64-bit");
    TREE_CELLS(t->fdt, "ibm,purr", 1);
    TREE_CELLS(t->fdt, "ibm,spurr", 1);
    TREE_CELLS(t->fdt, "ibm,processor-segment-sizes", 28, 40, 0xffffffff, 0xffffffff);
    TREE_CELLS(t->fdt, "ibm,vmx", generation >= 7 ? 2 : 1);
    if (generation < 10) {
        TREE_CELLS(t->fdt, "ibm,dfp", 1);
    }
    /* 4 KiB, and 64 KiB in segments of 64 KiB: shift, SLB encoding, count, pairs of shift and encoding. */
    TREE_CELLS(t->fdt, "ibm,segment-page-sizes", 12, 0, 1, 12, 0, 16, 0x110, 1, 16, 1);
    put_features(t, generation);
    TREE_CELLS(t->fdt, "ibm,chip-id", 0);
    TREE_CELLS(t->fdt, "ibm,pft-size", 0, t->m->hpt_shift);
    TREE_CELLS(t->fdt, "ibm,ppc-interrupt-server#s", n);
    TREE_CELLS(t->fdt, "ibm,ppc-interrupt-gserver#s", n, 0);
    if (t->m->can_radix) {
        TREE_CELLS(t->fdt, "ibm,processor-radix-AP-encodings", 0x0000000c, 0xa0000010, 0x20000015, 0x4000001e);
        TREE_CELLS(t->fdt, "ibm,dec-bits", 56);
    }
    tree_end(t->fdt);
}

static void put_cpus(Tree *t)
{
    tree_begin(t->fdt, "cpus");
    TREE_CELLS(t->fdt, "#address-cells", 1);
    TREE_CELLS(t->fdt, "#size-cells", 0);
    for (int n = 0; n < cpu_count(); n++) {
        put_cpu(t, cpu_get(n));
    }
    tree_end(t->fdt);
}

/* ---- /vdevice ---- */

static void put_unit(Tree *t, VioDevice *vio)
{
    const VioInfo *info = vio->info;

    tree_begin(t->fdt, "%s@%x", info->name, vio->reg);
    TREE_CELLS(t->fdt, "reg", vio->reg);
    tree_text(t->fdt, "device_type", info->device_type);
    tree_text(t->fdt, "compatible", info->compatible);
    TREE_CELLS(t->fdt, "interrupts", vio_irq(vio), 0);
    if (vio->tce) {
        TREE_CELLS(t->fdt, "ibm,#dma-address-cells", 2);
        TREE_CELLS(t->fdt, "ibm,#dma-size-cells", 2);
        TREE_CELLS(t->fdt, "ibm,my-dma-window", vio->reg, 0, 0, 0, papr_tce_size(vio->tce));
    }
    if (info->has_children) {
        TREE_CELLS(t->fdt, "#address-cells", 2);
        TREE_CELLS(t->fdt, "#size-cells", 0);
    }
    if (info->put_props) {
        info->put_props(vio, tree_bytes, t->fdt);
    }
    tree_end(t->fdt);
}

static void put_vdevice(Tree *t)
{
    GPtrArray *units = t->m->vio->devices;

    tree_begin(t->fdt, "vdevice");
    tree_text(t->fdt, "device_type", "vdevice");
    tree_text(t->fdt, "compatible", "IBM,vdevice");
    TREE_CELLS(t->fdt, "#address-cells", 1);
    TREE_CELLS(t->fdt, "#size-cells", 0);
    TREE_CELLS(t->fdt, "#interrupt-cells", 2);
    tree_flag(t->fdt, "interrupt-controller");
    /* In the order of their numbers: firmware names consoles by it. */
    for (uint32_t reg = 0x71000000; reg < 0x71000100; reg++) {
        for (guint i = 0; i < units->len; i++) {
            if (((VioDevice *)units->pdata[i])->reg == reg) {
                put_unit(t, units->pdata[i]);
            }
        }
    }
    tree_end(t->fdt);
}

/* ---- the rest ---- */

static void put_events(Tree *t)
{
    tree_begin(t->fdt, "event-sources");
    tree_flag(t->fdt, "interrupt-controller");
    TREE_CELLS(t->fdt, "#interrupt-cells", 2);
    TREE_CELLS(t->fdt, "interrupt-ranges", PAPR_IRQ_EPOW, 1);
    tree_begin(t->fdt, "epow-events");
    TREE_CELLS(t->fdt, "interrupts", PAPR_IRQ_EPOW, 0);
    tree_end(t->fdt);
    tree_end(t->fdt);
}

static void put_memory(Tree *t)
{
    uint64_t size = machine_config.ram_size;

    tree_begin(t->fdt, "memory@0");
    tree_text(t->fdt, "device_type", "memory");
    TREE_CELLS(t->fdt, "reg", 0, 0, size >> 32, size);
    TREE_CELLS(t->fdt, "ibm,associativity", 4, 0, 0, 0, 0);
    tree_end(t->fdt);
}

static void put_xics(Tree *t)
{
    tree_begin(t->fdt, "interrupt-controller");
    tree_text(t->fdt, "device_type", "PowerPC-External-Interrupt-Presentation");
    tree_text(t->fdt, "compatible", "IBM,ppc-xicp");
    tree_flag(t->fdt, "interrupt-controller");
    TREE_CELLS(t->fdt, "ibm,interrupt-server-ranges", 0, cpu_count());
    TREE_CELLS(t->fdt, "#interrupt-cells", 2);
    TREE_CELLS(t->fdt, "linux,phandle", PSERIES_PHANDLE_INTC);
    TREE_CELLS(t->fdt, "phandle", PSERIES_PHANDLE_INTC);
    tree_end(t->fdt);
}

static void put_xive(Tree *t)
{
    tree_begin(t->fdt, "interrupt-controller@%" G_GINT64_MODIFIER "x", XIVE_USER_PAGE);
    tree_text(t->fdt, "device_type", "power-ivpe");
    TREE_CELLS(t->fdt, "reg", XIVE_USER_PAGE >> 32, (uint32_t)XIVE_USER_PAGE, 0, XIVE_PAGE, XIVE_OS_PAGE >> 32,
               (uint32_t)XIVE_OS_PAGE, 0, XIVE_PAGE);
    tree_text(t->fdt, "compatible", "ibm,power-ivpe");
    TREE_CELLS(t->fdt, "ibm,xive-eq-sizes", 16);
    TREE_CELLS(t->fdt, "ibm,xive-lisn-ranges", 0, cpu_count());
    tree_flag(t->fdt, "interrupt-controller");
    TREE_CELLS(t->fdt, "#interrupt-cells", 2);
    TREE_CELLS(t->fdt, "linux,phandle", PSERIES_PHANDLE_INTC);
    TREE_CELLS(t->fdt, "phandle", PSERIES_PHANDLE_INTC);
    tree_end(t->fdt);
}

static void put_root(Tree *t)
{
    g_autofree char *uuid = NULL;
    const uint8_t *u = machine_config.uuid;

    uuid = g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3],
                           u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    tree_begin(t->fdt, "%s", "");
    tree_text(t->fdt, "device_type", "chrp");
    tree_text(t->fdt, "model", "IBM pSeries (emulated by myna)");
    tree_text(t->fdt, "compatible", "qemu,pseries"); /* the name of this platform in firmware and kernels */
    tree_text(t->fdt, "vm,uuid", uuid);
    if (machine_config.name) {
        tree_text(t->fdt, "ibm,partition-name", machine_config.name);
    }
    TREE_CELLS(t->fdt, "#address-cells", 2);
    TREE_CELLS(t->fdt, "#size-cells", 2);
    if (t->m->s.use_xive) {
        TREE_CELLS(t->fdt, "ibm,plat-res-int-priorities", 7, 0xf8); /* first and how many that are not the guest's */
        put_xive(t);
    } else {
        put_xics(t);
    }
    put_memory(t);
    put_vdevice(t);
    tree_put_bridges(t);
    put_cpus(t);
    put_events(t);
    put_rtas(t);
    put_chosen(t);
    tree_end(t->fdt);
}

uint8_t *pseries_tree(Pseries *m, bool starting, size_t *size)
{
    size_t room = FIRST_TREE;

    for (;;) {
        Tree t = { .m = m, .starting = starting, .fdt = g_malloc0(room) };
        int error;

        fdt_create(t.fdt, room);
        if (m->kernel && !m->own_firmware) {
            fdt_add_reservemap_entry(t.fdt, m->kernel_addr, m->kernel_size);
        }
        if (m->initrd && !m->own_firmware) {
            fdt_add_reservemap_entry(t.fdt, m->initrd_addr, g_bytes_get_size(m->initrd));
        }
        fdt_finish_reservemap(t.fdt);
        put_root(&t);
        error = fdt_finish(t.fdt);
        if (!error) {
            *size = fdt_totalsize(t.fdt);
            return t.fdt;
        }
        g_assert(room < PSERIES_TREE_MAX); /* its size follows from the command line's devices, which are few */
        g_free(t.fdt);
        room *= 2;
    }
}
