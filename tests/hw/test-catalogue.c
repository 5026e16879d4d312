/*
 * Every device of the catalogue: it is created, comes back from a snapshot as it went in, and
 * survives random accesses by the guest and damaged snapshots.
 *
 * The devices sit on a PC board; types that the board lacks are added as -device would. With the argument "q35" it is
 * that board and what only fits there.
 */
#include "backends/fsdev.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/lock.h"
#include "core/machine.h"
#include "core/mainloop.h"
#include "hw/papr/vio.h"
#include "hw/pci/pci.h"
#include "tests/hw/rig.h"

#include <string.h>
#include <unistd.h>

extern const BoardType pc_board, q35_board;

static const BoardType *board = &pc_board;

/* What the board does not bring, and types that cannot be made without arguments. */
static const char *const extra[] = {
    /* These share two slots, for all of them are more than the bus has. */
    "virtio-balloon-pci,free-page-reporting=on,addr=1c.0",
    "virtio-rng-pci,max-bytes=1024,period=1000,addr=1c.1",
    "virtio-rng-pci-transitional,addr=1c.2",
    "virtio-rng-pci-non-transitional,addr=1c.3",
    "virtio-serial-pci,addr=1c.4",
    "virtio-serial-pci-transitional,addr=1c.5",
    "virtio-serial-pci-non-transitional,addr=1c.6",
    "virtio-blk-pci,drive=vd0,packed=on,addr=1c.7",
    "virtio-blk-pci-transitional,drive=vd1,addr=1d.0",
    "virtio-blk-pci-non-transitional,drive=vd2,addr=1d.1",
    "virtio-9p-pci,fsdev=share,mount_tag=tag,addr=1d.2",
    "virtio-9p-pci-transitional,fsdev=share,mount_tag=tag,addr=1d.3",
    "virtio-9p-pci-non-transitional,fsdev=share,mount_tag=tag,addr=1d.4",
    "pvpanic",
    "pvpanic-pci,addr=1d.5",
    "ib700",
    "i6300esb,addr=1d.6",
    "virtio-keyboard-pci,addr=1d.7",
    "virtio-mouse-pci,addr=1b.7",
    "virtio-tablet-pci,addr=1f.5",
    "pci-bridge,id=bridge1,chassis_nr=1,addr=1f.6",
    "e1000,id=behind,bus=bridge1,addr=3",
    /* Macintosh chips bring what is in them. */
    "macio-newworld,addr=18.0,multifunction=on",
    "macio-newworld,via=pmu-adb,addr=18.1",
    "macio-oldworld,addr=18.2",
    "uni-north-pci,addr=18.3",
    "uni-north-internal-pci,addr=18.4",
    "uni-north-agp,addr=18.5",
    "u3-agp,addr=18.6",
    "grackle,addr=18.7",
    "e500-host-bridge,addr=19.0,multifunction=on",
    "ppc4xx-host-bridge,addr=19.1",
    "ppc-uic",
    "ppc4xx-dcr",
    "fsl-mpic",
    "serial-mm,chardev=c6",
    "mpc8544-guts",
    "mpc8xxx_gpio",
    "uni-north",
    "sungem",
    "AC97,addr=19.2",
    "intel-hda,id=hda,addr=19.3",
    "hda-duplex,bus=hda.0",
    "hda-output,bus=hda.0",
    "hda-micro,bus=hda.0",
    "ich9-intel-hda,addr=19.4",
    "isa-serial,index=0,chardev=c0",
    "isa-parallel,index=0,chardev=c1",
    "isa-debugcon,iobase=0xe9,chardev=c2",
    "isa-debug-exit",
    "pc-testdev",
    "isa-ide,iobase=0x1e8,iobase2=0x3ee,irq=11,index=2",
    "isa-vga",
    "VGA",
    "e1000,addr=1a.0,multifunction=on",
    "e1000-82544gc,addr=1a.1",
    "e1000-82545em,addr=1a.2",
    "e1000e,addr=1a.3",
    "vmxnet3,addr=1a.4",
    "rtl8139",
    "ne2k_isa,irq=5", /* its default is wired to ACPI here */
    "ne2k_pci",
    "pcnet",
    /* As functions of two slots: a bus has 32. */
    "i82550,addr=1e.0,multifunction=on",
    "i82551,addr=1e.1,multifunction=on",
    "i82557a,addr=1e.2,multifunction=on",
    "i82557b,addr=1e.3,multifunction=on",
    "i82557c,addr=1e.4,multifunction=on",
    "i82558a,addr=1e.5,multifunction=on",
    "i82558b,addr=1e.6,multifunction=on",
    "i82559a,addr=1e.7,multifunction=on",
    "i82559b,addr=1f.0,multifunction=on",
    "i82559c,addr=1f.1,multifunction=on",
    "i82559er,addr=1f.2,multifunction=on",
    "i82562,addr=1f.3,multifunction=on",
    "i82801,addr=1f.4,multifunction=on",
    "virtio-net-pci,mq=on",
    "virtio-net-pci-transitional",
    "virtio-net-pci-non-transitional",
    "ide-cd,drive=cd,bus=ide.1,unit=0",
    "ide-hd,drive=disk,bus=ide.0,unit=0",
    "ich9-ahci,id=sata,addr=1b.3",
    "ide-hd,drive=sata-disk,bus=sata.1",
    "ide-cd,drive=sata-disc,bus=sata.2",
    "nvme,drive=nvme-disk,serial=n1,addr=1b.2",
    "nvme-ns,drive=nvme-disk2",
    "lsi53c895a,id=lsi,addr=1b.0,multifunction=on",
    "lsi53c810,addr=1b.1",
    "scsi-hd,drive=lsi-disk,bus=lsi.0",
    "virtio-scsi-pci,id=vs,addr=1b.4",
    "virtio-scsi-pci-transitional,addr=1b.5",
    "virtio-scsi-pci-non-transitional,addr=1b.6",
    "scsi-hd,drive=scsi-disk,bus=vs.0",
    "scsi-cd,drive=scsi-disc,bus=vs.0",
    "piix3-usb-uhci",
    "piix4-usb-uhci",
    "ich9-usb-uhci1",
    "ich9-usb-uhci2",
    "ich9-usb-uhci3",
    "pci-ohci",
    "usb-ehci",
    "ich9-usb-ehci1",
    "ich9-usb-ehci2",
    "qemu-xhci",
    "nec-usb-xhci",
    "usb-hub",
    "usb-kbd",
    "usb-mouse",
    "usb-storage,drive=usbdisk",
    "usb-bot",
    "usb-serial,chardev=usb-line",
    "usb-uas",
    "usb-tablet",
    /* A logical partition's, whose bus build_machine makes. */
    "spapr-irq",
    "spapr-xics",
    "spapr-xive",
    "spapr-rtas",
    "spapr-pci-host-bridge,index=1",
    "spapr-vty,chardev=c5",
    "spapr-nvram",
    "spapr-vlan",
    "spapr-vscsi",
    "virtconsole,chardev=c3,bus=virtio-serial0.0",
    "virtserialport,chardev=c4,name=org.test,bus=virtio-serial0.0",
    NULL,
};

static const char *const extra_q35[] = {
    "pcie-root-port,id=rp1,addr=2.0,multifunction=on,slot=1",
    "pcie-root-port,id=rp2,addr=2.1,slot=2,hotplug=off",
    "e1000e,bus=rp1",
    "nvme,bus=rp2,drive=nvme-disk,serial=n1",
    "ide-hd,drive=sata-disk,bus=ide.1",
    "ide-cd,drive=sata-disc,bus=ide.2",
    "VGA",
    NULL,
};

/* Those of the Q35, which only its board wires. */
static bool is_of_q35(const DeviceType *type)
{
    static const char *const names[] = { "mch", "ICH9-LPC", "ICH9-SMB", "ich9-pm", "ich9-tco", "pcie-root-port", NULL };

    return g_strv_contains(names, type->name);
}

static bool type_exists(const char *text)
{
    g_autofree char *name = g_strndup(text, strcspn(text, ","));

    return device_type_find(name) != NULL;
}

static void add_extra(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",bus=", 2);
    g_autofree char *name = g_strndup(text, strcspn(text, ","));
    const DeviceType *type = device_type_find(name);
    Bus *bus = bus_find_kind(type->bus);

    if (parts[1]) {
        g_autofree char *bus_name = g_strndup(parts[1], strcspn(parts[1], ","));
        const char *rest = parts[1] + strlen(bus_name);
        g_autofree char *joined = g_strconcat(parts[0], rest, NULL);

        bus = bus_find(bus_name);
        g_assert_nonnull(bus);
        rig_add(joined, bus);
    } else {
        rig_add(text, bus);
    }
}

static char *share_folder; /* removed at the end */

/* An empty folder, and guests that may not write: random messages leave nothing behind. */
static void make_share(void)
{
    g_autofree char *folder = g_dir_make_tmp("myna-share-XXXXXX", NULL);
    g_autofree char *text = g_strdup_printf("local,id=share,path=%s,security_model=none,readonly=on", folder);

    g_assert_true(fsdev_add(text, NULL));
    share_folder = g_steal_pointer(&folder);
}

static void build_machine(void)
{
    g_autoptr(GError) error = NULL;

    machine_lock();
    clock_make_manual();
    memory_init();
    rig_resolve();
    machine_config.ram_size = RIG_RAM;
    machine_config.cpus = 2;
    machine_config.default_devices = true;
    machine_config.hpet = machine_config.smm = true;
    machine_config.acpi = true;
    machine_config.boot_menu_timeout_ms = machine_config.reboot_timeout_ms = -1;
    rig_char("c0");
    rig_char("c1");
    rig_char("c2");
    rig_char("c3");
    rig_char("c4");
    rig_char("c5");
    rig_char("c6");
    rig_drive("disk", "none", 0, 1 << 20, false, false);
    rig_drive("cd", "none", 0, 1 << 20, true, true);
    rig_drive("sata-disk", "none", 0, 1 << 20, false, false);
    rig_drive("sata-disc", "none", 0, 1 << 20, true, true);
    rig_drive("nvme-disk", "none", 0, 1 << 20, false, false);
    rig_drive("nvme-disk2", "none", 0, 1 << 20, false, false);
    rig_drive("lsi-disk", "none", 0, 1 << 20, false, false);
    rig_drive("scsi-disk", "none", 0, 1 << 20, false, false);
    rig_drive("scsi-disc", "none", 0, 1 << 20, true, true);
    rig_char("usb-line");
    rig_drive("usbdisk", "none", 0, 1 << 20, false, false);
    rig_drive("vd0", "none", 0, 1 << 20, false, false);
    rig_drive("vd1", "none", 0, 1 << 20, false, false);
    rig_drive("vd2", "none", 0, 1 << 20, false, false);
    make_share();
    rig_drive("floppy0", "floppy", 0, 1440 * 1024, false, false);
    rig_drive("flash0", "pflash", 0, 256 << 10, true, false);
    rig_drive("flash1", "pflash", 1, 132 << 10, false, false);
    board->build(board, &error);
    g_assert_no_error(error);
    vio_bus_new();
    for (const char *const *text = board == &q35_board ? extra_q35 : extra; *text; text++) {
        if (type_exists(*text)) {
            add_extra(*text);
        }
    }
    machine_reset();
}

/* ---- all are there ---- */

static void note_type(Device *dev, void *opaque)
{
    g_hash_table_add(opaque, (gpointer)dev->type);
}

static void every_type_has_a_device(void)
{
    g_autoptr(GHashTable) there = g_hash_table_new(NULL, NULL);

    device_for_each(note_type, there);
    for (int i = 0; device_types[i]; i++) {
        const DeviceType *type = device_types[i];

        if (g_str_has_prefix(type->name, "virtio-balloon-pci-")) {
            continue; /* there can be one balloon only */
        }
        if (is_of_q35(type) != (board == &q35_board)) {
            continue;
        }
        if (!g_hash_table_contains(there, type)) {
            g_test_message("no '%s': add it to the list `extra`", type->name);
            g_test_fail();
        }
    }
}

/* ---- snapshots ---- */

static void save(Device *dev, void *opaque)
{
    device_save(dev, opaque);
}

static void load(Device *dev, void *opaque)
{
    g_autoptr(GError) error = NULL;

    device_load(dev, opaque, &error);
    g_assert_no_error(error);
}

/* Disks give up a command that a snapshot interrupts. */
static bool may_change(const char *group, const char *key)
{
    return g_str_has_prefix(group, "ide-") && g_str_equal(key, "status");
}

static void compare(GKeyFile *a, GKeyFile *b)
{
    g_auto(GStrv) groups = g_key_file_get_groups(a, NULL);

    for (char **group = groups; *group; group++) {
        g_auto(GStrv) keys = g_key_file_get_keys(a, *group, NULL, NULL);

        for (char **key = keys; *key; key++) {
            g_autofree char *before = g_key_file_get_string(a, *group, *key, NULL);
            g_autofree char *after = g_key_file_get_string(b, *group, *key, NULL);

            if (g_strcmp0(before, after) != 0 && !may_change(*group, *key)) {
                g_test_message("%s.%s: '%s' came back as '%s'", *group, *key, before, after);
                g_test_fail();
            }
        }
    }
}

static void check_round_trip(void)
{
    g_autoptr(GKeyFile) before = g_key_file_new(), after = g_key_file_new();

    rig_run(0);
    device_for_each(save, before);
    devices_reset_all();
    /* Twice: what drives a line may come after what counts its edges. */
    device_for_each(load, before);
    device_for_each(load, before);
    device_for_each(save, after);
    compare(before, after);
}

static void a_snapshot_brings_back_the_state(void)
{
    machine_reset();
    check_round_trip();
}

/* ---- random accesses ---- */

static uint32_t random_value(void)
{
    switch (g_test_rand_int_range(0, 6)) {
    case 0:
        return 0;
    case 1:
        return UINT32_MAX;
    case 2:
        return 1u << g_test_rand_int_range(0, 32);
    case 3:
        return g_test_rand_int_range(0, 256);
    case 4: /* within RAM, aligned: descriptors */
        return (uint32_t)g_test_rand_int_range(0, RIG_RAM / 16) * 16;
    default:
        return (uint32_t)g_test_rand_int();
    }
}

typedef struct Target {
    AddressSpace *as;
    PhysAddr start;
    uint64_t size;
} Target;

/* Where a device answers. */
static GArray *find_targets(AddressSpace *as, PhysAddr last)
{
    GArray *targets = g_array_new(FALSE, FALSE, sizeof(Target));
    PhysAddr addr = 0;

    for (;;) {
        MemoryRange r = address_space_find(as, addr);

        /* Not where lines are moved by hand that other devices have: they would not come back. */
        if (r.region && !r.ram && strcmp(region_name(r.region), "pc-testdev-irqs") != 0) {
            Target t = { as, r.start, r.last - r.start + 1 };

            g_array_append_val(targets, t);
        }
        if (r.last >= last) {
            return targets;
        }
        addr = r.last + 1;
    }
}

static void access_once(const Target *t)
{
    unsigned size = 1 << g_test_rand_int_range(0, 3);
    /* Often near the beginning, where the registers are. */
    uint64_t span = g_test_rand_bit() ? MIN(t->size, 64) : MIN(t->size, INT32_MAX);
    PhysAddr addr = t->start + g_test_rand_int_range(0, span);

    if (g_test_rand_int_range(0, 4)) {
        addr &= ~(PhysAddr)(size - 1);
    }
    if (g_test_rand_bit()) {
        memory_load(t->as, addr, size);
    } else {
        memory_store(t->as, addr, random_value(), size);
    }
}

static void write_config(void)
{
    uint32_t address = 0x80000000 | g_test_rand_int_range(0, 8 * 8) << 8 |
                       g_test_rand_int_range(0, 64) << 2;

    rig_out32(0xcf8, address);
    if (g_test_rand_bit()) {
        rig_in32(0xcfc);
    } else {
        unsigned size = 1 << g_test_rand_int_range(0, 3);

        memory_store(memory_ports(), 0xcfc + g_test_rand_int_range(0, 5 - size), random_value(), size);
    }
}

/* BARs where firmware might have put them, so that there is something to hit. */
static void place_bars(void)
{
    uint32_t next_port = 0xc000, next_memory = 0xf0000000;

    for (int devfn = 0; devfn < 256; devfn++) {
        PciDevice *pci = pci_bus_device((PciBus *)bus_find_kind("pci"), devfn);

        for (int bar = 0; pci && bar < 6; bar++) {
            uint64_t size = pci->bars[bar].size;
            bool is_port = pci->bars[bar].kind & PCI_BAR_IO;

            if (size) {
                uint32_t *next = is_port ? &next_port : &next_memory;

                *next = (*next + size - 1) & -(uint32_t)size;
                pci_config_write(pci->bus, 0, devfn, 0x10 + 4 * bar, *next, 4);
                *next += size;
            }
        }
        if (pci) {
            pci_config_write(pci->bus, 0, devfn, 4, 7, 2);
        }
    }
}

static void hammer(int rounds, int accesses)
{
    for (int round = 0; round < rounds; round++) {
        g_autoptr(GArray) ports = NULL, memory = NULL;

        if (round % 4 == 0) {
            machine_reset();
        }
        place_bars();
        ports = find_targets(memory_ports(), 0xffff);
        memory = find_targets(memory_system(), UINT64_C(0xfffffffff));
        for (int i = 0; i < accesses; i++) {
            GArray *targets = g_test_rand_int_range(0, 3) ? ports : memory;
            Target *t = &g_array_index(targets, Target, g_test_rand_int_range(0, targets->len));
            int stay = g_test_rand_int_range(1, 40);

            while (stay--) {
                access_once(t);
            }
            if (g_test_rand_int_range(0, 8) == 0) {
                write_config();
            }
            if (g_test_rand_int_range(0, 8) == 0) {
                rig_run(g_test_rand_int_range(0, 300 * NS_PER_US));
            }
        }
    }
}

static void devices_survive_random_accesses(void)
{
    for (int i = 0; i < (g_test_slow() ? 40 : 4); i++) {
        hammer(2, 300);
        check_round_trip();
    }
}

/* ---- damaged snapshots ---- */

static char *damage(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    int n = g_test_rand_int_range(0, g_strv_length(words) ?: 1);

    if (words[0]) {
        static const char *const values[] = { "0", "1", "ff", "7f", "80", "ffff", "ffffffff",
                                              "ffffffffffffffff", "7fffffffffffffff" };

        g_free(words[n]);
        words[n] = g_strdup(values[g_test_rand_int_range(0, G_N_ELEMENTS(values))]);
    }
    return g_strjoinv(" ", words);
}

static unsigned n_changes;

static void load_damaged(Device *dev, void *opaque)
{
    for (int i = 0; i < 40; i++) {
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_auto(GStrv) keys = NULL, groups = NULL;
        gsize count, group_count;

        device_save(dev, file);
        groups = g_key_file_get_groups(file, &group_count);
        if (!group_count) {
            return;
        }
        for (int change = g_test_rand_int_range(1, 4); change; change--) {
            const char *group = groups[g_test_rand_int_range(0, group_count)];
            g_autofree char *old = NULL, *damaged = NULL;

            g_strfreev(keys);
            keys = g_key_file_get_keys(file, group, &count, NULL);
            if (!count) {
                continue;
            }
            n_changes++;
            old = g_key_file_get_string(file, group, keys[n_changes % count], NULL);
            damaged = damage(old);
            g_key_file_set_string(file, group, keys[n_changes % count], damaged);
        }
        device_load(dev, file, NULL);
    }
}

static void devices_survive_damaged_snapshots(void)
{
    for (int i = 0; i < (g_test_slow() ? 30 : 2); i++) {
        device_for_each(load_damaged, NULL);
        hammer(1, 150);
    }
    machine_reset();
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    if (!firmware_find("bios-256k.bin")) {
        g_test_message("no firmware: skipped");
        return 77;
    }
    if (argc > 1 && g_str_equal(argv[1], "q35")) {
        board = &q35_board;
    }
    build_machine();
#define ADD(fn) g_test_add_func("/catalogue/" #fn, fn)
    ADD(every_type_has_a_device);
    ADD(a_snapshot_brings_back_the_state);
    ADD(devices_survive_random_accesses);
    ADD(devices_survive_damaged_snapshots);
    status = g_test_run();
    rmdir(share_folder);
    return status;
}
