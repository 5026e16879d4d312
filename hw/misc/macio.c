/*
 * KeyLargo and Heathrow: the I/O chip of a Macintosh, a PCI function with all the board's small devices in its BAR.
 *
 * Offsets and interrupts are those that Open Firmware's device tree tells of.
 */
#include "hw/misc/macio.h"

#include "backends/block.h"
#include "backends/char.h"
#include "core/clock.h"
#include "hw/audio/screamer.h"
#include "hw/char/escc.h"
#include "hw/dma/dbdma.h"
#include "hw/ide/macio_ide.h"
#include "hw/intr/heathrow_pic.h"
#include "hw/intr/openpic.h"
#include "hw/misc/cuda.h"
#include "hw/nvram/mac_nvram.h"
#include "hw/pci/pci.h"
#include "util/bits.h"
#include "util/error.h"

#include <string.h>

enum { BAR_SIZE = 0x80000 };
enum {
    AT_FEATURES = 0x34, AT_GPIO = 0x50, AT_DBDMA = 0x8000, AT_ESCC_LEGACY = 0x12000, AT_ESCC = 0x13000, AT_SOUND = 0x14000, AT_TIMER = 0x15000,
    AT_VIA = 0x16000, AT_IDE = 0x20000, AT_OPENPIC = 0x40000, AT_HEATHROW_PIC = 0x10, AT_NVRAM = 0x60000,
};
enum { SOUND_OUT_CHANNEL = 0x10, SOUND_IN_CHANNEL = 0x12 };
enum { FEATURES = 6, GPIOS = 0x30, GPIO_EXTINT1 = 0x09 };
enum { GPIO_OUT = 0x01, GPIO_IN = 0x02, GPIO_DRIVES = 0x04 };
#define TIMER_HZ 18432000

#define MACIO_STATE(FIELD, ARRAY)                             \
    ARRAY(uint32_t, feature, FEATURES, 0)                     \
    ARRAY(uint8_t, gpio, GPIOS, 0)                            \
    FIELD(bool, extint1, true) /* the level of the PMU's wire */

DEFINE_STATE(MacioState, MACIO_STATE);

typedef struct Wiring {
    int escc_a, escc_b, via, ide[2], ide_dma[2], sound_dma[2], gpio;
} Wiring;

typedef struct Macio {
    PciDevice pci;
    MacioState s;
    bool is_newworld;
    char *via_kind, *audiodev;
    CharBackend *chr[2];
    BlockBackend *nvram_image;
    Region *bar, *features, *gpio, *timer;
    Device *pic, *via, *nvram, *dbdma;
    Line *extint1_in;
} Macio;

static const Wiring newworld = { 0x25, 0x24, 0x19, { 0x0d, 0x0e }, { 0x02, 0x03 }, { 0x09, 0x0a }, 0x2f };
static const Wiring oldworld = { 0x0f, 0x10, 0x12, { 0x0d, 0x0e }, { 0x02, 0x03 }, { 0x08, 0x09 }, -1 };
static const int ide_dma_channel[2] = { 0x16, 0x1a };

Line *macio_interrupt(Device *dev, int source)
{
    Macio *m = (Macio *)dev;

    return m->is_newworld ? openpic_input(m->pic, source) : heathrow_pic_input(m->pic, source);
}

void macio_connect(Device *dev, int cpu, Line *external)
{
    Macio *m = (Macio *)dev;

    if (m->is_newworld) {
        openpic_connect(m->pic, cpu, external);
    } else if (cpu == 0) {
        heathrow_pic_connect(m->pic, external);
    }
}

Device *macio_nvram(Device *dev)
{
    return ((Macio *)dev)->nvram;
}

/* ---- feature control: clocks and resets of what is in the chip, which is always on here ---- */

static uint64_t feature_read(void *opaque, PhysAddr offset, unsigned size)
{
    return ((Macio *)opaque)->s.feature[offset / 4];
}

static void feature_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    ((Macio *)opaque)->s.feature[offset / 4] = value;
}

static const RegionOps feature_ops = { feature_read, feature_write, 4, 4, ENDIAN_LITTLE };

/* ---- the free-running counter, 64 bits in two words ---- */

static uint64_t timer_read(void *opaque, PhysAddr offset, unsigned size)
{
    uint64_t count = mul_div(clock_now(CLOCK_GUEST), TIMER_HZ, NS_PER_SECOND);

    switch (offset) {
    case 0x38:
        return (uint32_t)count;
    case 0x3c:
        return count >> 32;
    default:
        return 0;
    }
}

static const RegionOps timer_ops = { .read = timer_read, .min_size = 4, .max_size = 4 };

/* ---- GPIO ---- */

static uint8_t gpio_value(const MacioState *s, unsigned n)
{
    uint8_t value = s->gpio[n];

    if (n == GPIO_EXTINT1) {
        return (value & ~GPIO_IN) | (s->extint1 ? GPIO_IN : 0);
    }
    return value & GPIO_DRIVES ? (value & ~GPIO_IN) | (value & GPIO_OUT ? GPIO_IN : 0) : value;
}

static uint64_t gpio_read(void *opaque, PhysAddr offset, unsigned size)
{
    return gpio_value(&((Macio *)opaque)->s, offset);
}

static void gpio_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    ((Macio *)opaque)->s.gpio[offset] = value & ~GPIO_IN;
}

static const RegionOps gpio_ops = { gpio_read, gpio_write, 1, 1, ENDIAN_LITTLE };

static void macio_update(Device *dev)
{
    Macio *m = (Macio *)dev;

    if (m->is_newworld) { /* low is active */
        line_set(macio_interrupt(dev, newworld.gpio), !m->s.extint1);
    }
}

static void extint1_changed(void *opaque, int n, bool level)
{
    Macio *m = opaque;

    m->s.extint1 = level;
    macio_update(&m->pci.dev);
}

/* ---- what is in it ---- */

static bool realize(Device *dev, GError **error)
{
    if (!device_realize(dev, NULL, error)) {
        device_free(dev);
        return false;
    }
    return true;
}

static bool make_pic(Macio *m, GError **error)
{
    m->pic = device_new(m->is_newworld ? &openpic_type : &heathrow_pic_type, NULL);
    if (!realize(m->pic, error)) {
        return false;
    }
    if (m->is_newworld) {
        region_add(m->bar, AT_OPENPIC, openpic_region(m->pic));
    } else {
        region_add(m->bar, AT_HEATHROW_PIC, heathrow_pic_region(m->pic));
    }
    return true;
}

static bool make_escc(Macio *m, const Wiring *w, GError **error)
{
    Device *escc = device_new(&escc_type, NULL);

    device_set_pointer(escc, "chrA", m->chr[0]);
    device_set_pointer(escc, "chrB", m->chr[1]);
    escc_connect(escc, ESCC_A, macio_interrupt(&m->pci.dev, w->escc_a));
    escc_connect(escc, ESCC_B, macio_interrupt(&m->pci.dev, w->escc_b));
    if (!realize(escc, error)) {
        return false;
    }
    region_add(m->bar, AT_ESCC, escc_region(escc));
    region_add(m->bar, AT_ESCC_LEGACY, escc_legacy_region(escc));
    return true;
}

static bool make_dbdma(Macio *m, GError **error)
{
    m->dbdma = device_new(&dbdma_type, NULL);
    if (!realize(m->dbdma, error)) {
        return false;
    }
    region_add(m->bar, AT_DBDMA, dbdma_region(m->dbdma));
    return true;
}

static bool make_sound(Macio *m, const Wiring *w, GError **error)
{
    Device *sound = device_new(&screamer_type, NULL);

    screamer_connect(sound, m->dbdma, SOUND_OUT_CHANNEL, macio_interrupt(&m->pci.dev, w->sound_dma[0]), SOUND_IN_CHANNEL,
                     macio_interrupt(&m->pci.dev, w->sound_dma[1]));
    if ((m->audiodev && !device_set_property(sound, "audiodev", m->audiodev, error)) || !realize(sound, error)) {
        return false;
    }
    region_add(m->bar, AT_SOUND, screamer_region(sound));
    return true;
}

static bool make_ides(Macio *m, const Wiring *w, GError **error)
{
    for (int n = 0; n < 2; n++) {
        Device *ide = device_new(&macio_ide_type, NULL);
        const char *index = n ? "1" : "0";

        macio_ide_connect(ide, macio_interrupt(&m->pci.dev, w->ide[n]), m->dbdma, ide_dma_channel[n],
                          macio_interrupt(&m->pci.dev, w->ide_dma[n]));
        if (!device_set_property(ide, "index", index, error) || !realize(ide, error)) {
            return false;
        }
        region_add(m->bar, AT_IDE + n * MACIO_IDE_WINDOW, macio_ide_region(ide));
    }
    return true;
}

static bool make_via(Macio *m, const Wiring *w, GError **error)
{
    Line *irq = macio_interrupt(&m->pci.dev, w->via);
    bool is_pmu = m->is_newworld && g_str_has_prefix(m->via_kind, "pmu");

    m->via = device_new(is_pmu ? &pmu_type : &cuda_type, NULL);
    if (is_pmu) {
        m->extint1_in = line_new(extint1_changed, m, 0);
        line_set(m->extint1_in, true);
        pmu_connect(m->via, irq, m->extint1_in);
        if (!device_set_property(m->via, "has-adb", g_str_equal(m->via_kind, "pmu-adb") ? "on" : "off", error)) {
            return false;
        }
    } else {
        cuda_connect(m->via, irq);
    }
    if (!realize(m->via, error)) {
        return false;
    }
    region_add(m->bar, AT_VIA, is_pmu ? pmu_region(m->via) : cuda_region(m->via));
    return true;
}

static bool make_rest(Macio *m, GError **error)
{
    m->features = region_new_io("macio-features", &feature_ops, m, FEATURES * 4);
    region_add(m->bar, AT_FEATURES, m->features);
    if (m->is_newworld) {
        m->gpio = region_new_io("macio-gpio", &gpio_ops, m, GPIOS);
        region_add(m->bar, AT_GPIO, m->gpio);
        m->timer = region_new_io("macio-timer", &timer_ops, m, 0x1000);
        region_add(m->bar, AT_TIMER, m->timer);
        return true;
    }
    m->nvram = device_new(&mac_nvram_type, NULL);
    device_set_pointer(m->nvram, "drive", m->nvram_image);
    if (!device_set_property(m->nvram, "it_shift", "4", error) || !realize(m->nvram, error)) {
        return false;
    }
    region_add(m->bar, AT_NVRAM, mac_nvram_region(m->nvram));
    return true;
}

static bool macio_realize(Device *dev, GError **error)
{
    static const PciInfo keylargo = {
        .vendor = 0x106b, .device = 0x0022, .class_rev = 0xff0000 << 8, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
    };
    static const PciInfo heathrow = {
        .vendor = 0x106b, .device = 0x0010, .class_rev = 0xff0000 << 8, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
    };
    static const char *const kinds[] = { "cuda", "pmu", "pmu-adb", NULL };
    Macio *m = (Macio *)dev;
    const Wiring *w;

    m->is_newworld = dev->type == &macio_newworld_type;
    w = m->is_newworld ? &newworld : &oldworld;
    if (m->is_newworld && !g_strv_contains(kinds, m->via_kind)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "via=%s: there are cuda, pmu and pmu-adb", m->via_kind);
        return false;
    }
    pci_device_init(&m->pci, m->is_newworld ? &keylargo : &heathrow);
    m->bar = region_new_container("macio", BAR_SIZE);
    pci_register_bar(&m->pci, 0, PCI_BAR_MEM32, m->bar);
    return make_pic(m, error) && make_escc(m, w, error) && make_dbdma(m, error) && make_sound(m, w, error) &&
           make_ides(m, w, error) && make_via(m, w, error) && make_rest(m, error);
}

static void macio_reset(Device *dev)
{
    Macio *m = (Macio *)dev;

    m->s.extint1 = !m->extint1_in || line_level(m->extint1_in);
}

#define SHARED_PROPS                                                                            \
    PROP(Macio, audiodev, "audiodev", PROP_STRING, NULL, "sound backend"),                      \
    PROP(Macio, chr[0], "chrA", PROP_CHAR, NULL, "character backend of the first serial port"), \
    PROP(Macio, chr[1], "chrB", PROP_CHAR, NULL, "character backend of the second serial port")

static const Prop newworld_props[] = {
    PCI_PROPS(Macio),
    PROP(Macio, via_kind, "via", PROP_STRING, "cuda", "cuda, pmu or pmu-adb"),
    SHARED_PROPS,
    { 0 },
};

const DeviceType macio_newworld_type = {
    .name = "macio-newworld",
    .about = "KeyLargo, the I/O chip of a NewWorld Macintosh",
    .bus = "pci",
    .size = sizeof(Macio),
    .state_at = offsetof(Macio, s),
    .state = MacioState_fields,
    .props = newworld_props,
    .realize = macio_realize,
    .reset = macio_reset,
    .update = macio_update,
};

static const Prop oldworld_props[] = {
    PCI_PROPS(Macio),
    PROP(Macio, nvram_image, "nvram", PROP_DRIVE, NULL, "image of the NVRAM's contents"),
    SHARED_PROPS,
    { 0 },
};

const DeviceType macio_oldworld_type = {
    .name = "macio-oldworld",
    .about = "Heathrow, the I/O chip of an OldWorld Macintosh",
    .bus = "pci",
    .size = sizeof(Macio),
    .state_at = offsetof(Macio, s),
    .state = MacioState_fields,
    .props = oldworld_props,
    .realize = macio_realize,
    .reset = macio_reset,
};
