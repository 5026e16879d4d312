/* A test bench for devices: see rig.h. */
#include "tests/hw/rig.h"

#include "core/clock.h"
#include "core/lock.h"
#include "core/mainloop.h"
#include "hw/dma/i8237.h"
#include "hw/isa/isa.h"
#include "util/options.h"

#include <glib/gstdio.h>
#include <string.h>

static Bus *isa;
static Device *dma;
static Region *ram;
static bool level[ISA_IRQS];
static int edges[ISA_IRQS];
static GPtrArray *images;

static void irq_changed(void *opaque, int n, bool now)
{
    level[n] = now;
    edges[n] += now;
}

static void remove_images(void)
{
    for (guint i = 0; images && i < images->len; i++) {
        g_unlink(g_ptr_array_index(images, i));
    }
}

static void *resolve_char(const char *id, GError **error)
{
    return char_find(id);
}

static void *resolve_drive(const char *id, GError **error)
{
    return block_find(id);
}

void rig_resolve(void)
{
    device_set_resolver(PROP_CHAR, resolve_char);
    device_set_resolver(PROP_DRIVE, resolve_drive);
}

void rig_init(void)
{
    Line *irqs[ISA_IRQS];

    machine_lock();
    clock_make_manual();
    memory_init();
    ram = region_new_ram("ram", RIG_RAM, NULL);
    region_add(memory_system_root(), 0, ram);
    dma = device_new(&i8237_type, "dma");
    g_assert_true(device_realize(dma, NULL, NULL));
    for (int n = 0; n < ISA_IRQS; n++) {
        irqs[n] = line_new(irq_changed, NULL, n);
    }
    isa = isa_bus_new("isa.0", NULL, memory_system_root(), memory_ports_root(), irqs, dma);
    rig_resolve();
}

Bus *rig_isa(void)
{
    return isa;
}

static bool intx;

static void intx_changed(void *opaque, int n, bool now)
{
    intx = now;
}

static int map_intx(PciDevice *pci, int pin)
{
    return 0;
}

PciBus *rig_pci(void)
{
    static PciBus *bus;

    if (!bus) {
        bus = pci_bus_new("pci.0", NULL, memory_system_root(), memory_ports_root(), map_intx,
                          intx_changed, NULL, 1);
    }
    return bus;
}

bool rig_pci_irq(void)
{
    return intx;
}

Device *rig_dma(void)
{
    return dma;
}

bool rig_irq(int n)
{
    return level[n];
}

int rig_irq_edges(int n)
{
    int seen = edges[n];

    edges[n] = 0;
    return seen;
}

uint8_t rig_in8(uint16_t port)
{
    return memory_load(memory_ports(), port, 1);
}

uint16_t rig_in16(uint16_t port)
{
    return memory_load(memory_ports(), port, 2);
}

uint32_t rig_in32(uint16_t port)
{
    return memory_load(memory_ports(), port, 4);
}

void rig_out8(uint16_t port, uint8_t value)
{
    memory_store(memory_ports(), port, value, 1);
}

void rig_out16(uint16_t port, uint16_t value)
{
    memory_store(memory_ports(), port, value, 2);
}

void rig_out32(uint16_t port, uint32_t value)
{
    memory_store(memory_ports(), port, value, 4);
}

uint32_t rig_load(PhysAddr addr, unsigned size)
{
    return memory_load(memory_system(), addr, size);
}

void rig_store(PhysAddr addr, uint32_t value, unsigned size)
{
    memory_store(memory_system(), addr, value, size);
}

uint8_t *rig_ram(void)
{
    return region_host(ram);
}

static void drain(BlockBackend *blk, void *opaque)
{
    block_drain(blk);
}

void rig_run(int64_t ns)
{
    block_for_each(drain, NULL);
    clock_advance(ns);
    block_for_each(drain, NULL);
}

Device *rig_add(const char *text, Bus *bus)
{
    g_autoptr(Options) o = options_parse(text, "driver", NULL);
    const DeviceType *type = device_type_find(options_get(o, "driver"));
    Device *dev;

    g_assert_nonnull(type);
    dev = device_new(type, options_get(o, "id"));
    for (int i = 0; i < options_count(o); i++) {
        const char *key = options_key(o, i);
        g_autoptr(GError) error = NULL;

        if (!g_str_equal(key, "driver") && !g_str_equal(key, "id")) {
            device_set_property(dev, key, options_value(o, i), &error);
            g_assert_no_error(error);
        }
    }
    {
        g_autoptr(GError) error = NULL;

        device_realize(dev, bus, &error);
        g_assert_no_error(error);
    }
    device_reset(dev);
    return dev;
}

void rig_save_and_load(Device *dev)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) error = NULL;

    device_save(dev, file);
    device_reset(dev);
    device_load(dev, file, &error);
    g_assert_no_error(error);
}

uint8_t rig_pattern(uint64_t sector)
{
    return sector * 7 + (sector >> 8) + 1;
}

char *rig_image(uint64_t size)
{
    g_autofree char *data = g_malloc(size);
    char *path;
    int fd = g_file_open_tmp("myna-test-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    for (uint64_t at = 0; at < size; at += BLOCK_SECTOR) {
        memset(data + at, rig_pattern(at / BLOCK_SECTOR), MIN(BLOCK_SECTOR, size - at));
    }
    g_assert_true(g_file_set_contents(path, data, size, NULL));
    if (!images) {
        images = g_ptr_array_new();
        atexit(remove_images);
    }
    g_ptr_array_add(images, path);
    return path;
}

BlockBackend *rig_drive(const char *id, const char *interface, int unit, uint64_t size, bool readonly,
                        bool cdrom)
{
    BlockOptions o = {
        .id = (char *)id,
        .file = size ? rig_image(size) : NULL,
        .format = size ? (char *)"raw" : NULL,
        .interface = (char *)interface,
        .bus = 0,
        .unit = unit,
        .index = -1,
        .cdrom = cdrom,
        .readonly = readonly,
    };
    g_autoptr(GError) error = NULL;
    BlockBackend *blk = block_new(&o, &error);

    g_assert_no_error(error);
    return blk;
}

/* ---- a character backend ---- */

static void rig_char_write(CharBackend *chr, const uint8_t *data, size_t size)
{
    RigChar *rc = char_opaque(chr);

    g_string_append_len(rc->written, (const char *)data, size);
}

static void rig_char_free(CharBackend *chr)
{
}

RigChar *rig_char(const char *id)
{
    static const CharOps ops = { .write = rig_char_write, .free = rig_char_free };
    RigChar *rc = g_new0(RigChar, 1);

    rc->written = g_string_new(NULL);
    rc->chr = char_register(id, &ops, rc);
    return rc;
}
