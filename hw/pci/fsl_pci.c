/*
 * PCI host bridge of Freescale's e500 chips.
 *
 * MPC8544E PowerQUICC III Reference Manual, chapter 16 (PCI): address and data of configuration accesses, windows outwards
 * (POW) and inwards (PIW), errors. Registers are big-endian, configuration data are little-endian. Functions reach memory
 * at the same addresses, and each other: inward windows are kept and translate nothing.
 */
#include "hw/pci/fsl_pci.h"

#include "util/bits.h"

enum { CONFIG_ADDRESS = 0, CONFIG_DATA = 4, WINDOW = 0x1000, OUTWARD = 0xc00, INWARD = 0xd80, ERRORS = 0xe00, ERRORS_END = 0xe28 };
enum { WINDOWS = 5, WINDOW_WORDS = 8, INWARD_WORDS = 32, ERROR_WORDS = 10 };
enum { TARGET, TARGET_HIGH, BASE, ATTRIBUTES = 4 }; /* words of an outward window */
enum { KIND_MEMORY = 4, KIND_IO = 8 };
#define ENABLED 0x80000000u

#define FSL_PCI_STATE(FIELD, ARRAY)                    \
    FIELD(uint32_t, address, 0)                        \
    ARRAY(uint32_t, outward, WINDOWS * WINDOW_WORDS, 0) \
    ARRAY(uint32_t, inward, INWARD_WORDS, 0)           \
    ARRAY(uint32_t, error, ERROR_WORDS, 0)

DEFINE_STATE(FslPciState, FSL_PCI_STATE);

typedef struct FslPci {
    PciDevice pci;
    FslPciState s;
    Region *region, *config_data, *registers, *ports, *windows[WINDOWS];
    Region *ccsr;     /* as the bus sees it */
    Region *messages; /* the same in the machine's memory, which functions' messages are written to */
    Line *irqs[4];
} FslPci;

/* A window outwards as it is programmed. */
typedef struct Window {
    uint64_t cpu, bus, size;
    bool io, open;
} Window;

/* The first one takes what others leave, which is nothing that answers. */
static Window read_window(const FslPci *b, int n)
{
    const uint32_t *w = &b->s.outward[n * WINDOW_WORDS];
    uint64_t size = UINT64_C(2) << MIN(w[ATTRIBUTES] & 63, 40);
    unsigned kind = w[ATTRIBUTES] >> 12 & 15;
    Window window = { .cpu = (uint64_t)(w[BASE] & 0xffffff) << 12 & ~(size - 1), .bus = (uint64_t)(w[TARGET] & 0xfffff) << 12,
                      .size = size, .io = kind == KIND_IO };

    window.open = n > 0 && w[ATTRIBUTES] & ENABLED && (kind == KIND_MEMORY || kind == KIND_IO) && size >= GUEST_PAGE_SIZE &&
                  !w[TARGET_HIGH] && window.bus + size <= (window.io ? FSL_PCI_IO_SIZE : UINT64_C(1) << 32);
    return window;
}

static void place_window(FslPci *b, int n)
{
    Window w = read_window(b, n);

    region_set_enabled(b->windows[n], false);
    if (w.open) {
        region_set_alias(b->windows[n], w.io ? b->ports : pci_bus_memory(b->pci.bus), w.bus);
        region_set_size(b->windows[n], w.size);
        region_set_offset(b->windows[n], w.cpu);
        region_set_enabled(b->windows[n], true);
    }
}

/* One function finds another where the bus has it, like the script RAM of a SCSI adapter that the adapter itself reads. */
static bool translate(void *opaque, PhysAddr addr, bool is_write, PhysAddr *phys, uint64_t *left)
{
    const FslPci *b = opaque;

    *phys = addr;
    *left = UINT64_MAX - addr;
    for (int n = 1; n < WINDOWS; n++) {
        Window w = read_window(b, n);

        if (!w.open || w.io) {
            continue;
        }
        if (addr - w.bus < w.size) {
            *phys = w.cpu + (addr - w.bus);
            *left = w.size - (addr - w.bus);
            return true;
        }
        *left = MIN(*left, w.bus - addr);
    }
    return true;
}

static void bridge_update(Device *dev)
{
    FslPci *b = (FslPci *)dev;

    if (!b->windows[0]) { /* a function like any other on a bus of another host */
        return;
    }
    memory_begin();
    for (int n = 0; n < WINDOWS; n++) {
        place_window(b, n);
    }
    memory_commit();
}

static void bars_changed(PciDevice *pci)
{
    FslPci *b = (FslPci *)pci;

    if (!b->messages) {
        return;
    }
    region_set_enabled(b->messages, false);
    if (pci->bars[0].mapped != UINT64_MAX) {
        region_set_offset(b->messages, pci->bars[0].mapped);
        region_set_enabled(b->messages, true);
    }
}

static uint64_t config_read(void *opaque, PhysAddr offset, unsigned size)
{
    FslPci *b = opaque;
    uint32_t a = b->s.address;

    if (!(a & 0x80000000)) {
        return UINT64_MAX;
    }
    return pci_config_read(b->pci.bus, a >> 16, a >> 8 & 0xff, (a & 0xfc) + offset, size);
}

static void config_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    FslPci *b = opaque;
    uint32_t a = b->s.address;

    if (a & 0x80000000) {
        pci_config_write(b->pci.bus, a >> 16, a >> 8 & 0xff, (a & 0xfc) + offset, value, size);
    }
}

static uint64_t register_read(void *opaque, PhysAddr offset, unsigned size)
{
    const FslPciState *s = &((FslPci *)opaque)->s;

    if (offset == CONFIG_ADDRESS) {
        return s->address;
    }
    if (offset >= OUTWARD && offset < OUTWARD + WINDOWS * WINDOW_WORDS * 4) {
        return s->outward[(offset - OUTWARD) / 4];
    }
    if (offset >= INWARD && offset < INWARD + INWARD_WORDS * 4) {
        return s->inward[(offset - INWARD) / 4];
    }
    return offset >= ERRORS && offset < ERRORS_END ? s->error[(offset - ERRORS) / 4] : 0;
}

static void register_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    FslPci *b = opaque;
    FslPciState *s = &b->s;

    if (offset == CONFIG_ADDRESS) {
        s->address = value & 0x80fffffc;
    } else if (offset >= OUTWARD && offset < OUTWARD + WINDOWS * WINDOW_WORDS * 4) {
        s->outward[(offset - OUTWARD) / 4] = value;
        bridge_update(&b->pci.dev);
    } else if (offset >= INWARD && offset < INWARD + INWARD_WORDS * 4) {
        s->inward[(offset - INWARD) / 4] = value;
    } else if (offset == ERRORS) { /* bits that are written 1 become 0 */
        s->error[0] &= ~value;
    } else if (offset > ERRORS && offset < ERRORS_END) {
        s->error[(offset - ERRORS) / 4] = value;
    }
}

static const RegionOps register_ops = { register_read, register_write, 4, 4, ENDIAN_BIG };
static const RegionOps config_ops = { config_read, config_write, 1, 4, ENDIAN_LITTLE };

static int map_irq(PciDevice *pci, int pin)
{
    return (PCI_SLOT(pci->devfn) + pin) & 3;
}

static void set_irq(void *opaque, int n, bool level)
{
    line_set(((FslPci *)opaque)->irqs[n], level);
}

static bool bridge_realize(Device *dev, GError **error)
{
    static const PciInfo info = { .vendor = 0x1957, .device = 0x0030, .class_rev = 0x0b2000 << 8 };
    FslPci *b = (FslPci *)dev;

    pci_device_init(&b->pci, &info);
    if (b->ccsr) {
        pci_register_bar(&b->pci, 0, PCI_BAR_MEM32, b->ccsr);
        b->pci.bars_changed = bars_changed;
    }
    return true;
}

static void put_window(FslPci *b, int n, uint64_t base, uint64_t target, unsigned kind, uint64_t size)
{
    uint32_t *w = &b->s.outward[n * WINDOW_WORDS];

    w[TARGET] = target >> 12;
    w[BASE] = base >> 12;
    w[ATTRIBUTES] = ENABLED | kind << 16 | kind << 12 | (uint32_t)(__builtin_ctzll(size) - 1);
}

static void bridge_reset(Device *dev)
{
    FslPci *b = (FslPci *)dev;

    put_window(b, 1, FSL_PCI_MEMORY, FSL_PCI_MEMORY_BUS, KIND_MEMORY, FSL_PCI_MEMORY_SIZE);
    put_window(b, 2, FSL_PCI_IO, 0, KIND_IO, FSL_PCI_IO_SIZE);
}

static const Prop bridge_props[] = {
    PCI_PROPS(FslPci),
    { 0 },
};

const DeviceType fsl_pci_type = {
    .name = "e500-host-bridge",
    .about = "PCI host of Freescale's e500 chips",
    .bus = "pci",
    .size = sizeof(FslPci),
    .state_at = offsetof(FslPci, s),
    .state = FslPciState_fields,
    .props = bridge_props,
    .realize = bridge_realize,
    .reset = bridge_reset,
    .update = bridge_update,
};

PciBus *fsl_pci_new(const char *name, Region *memory, Region *ports, Region *ccsr, GError **error)
{
    enum { BEHIND_ALL = -1 };
    Device *dev = device_new(&fsl_pci_type, NULL);
    FslPci *b = (FslPci *)dev;
    PciBus *bus = pci_bus_new(name, dev, memory, ports, map_irq, set_irq, b, 4);

    pci_bus_set_translate(bus, translate, b);
    b->pci.devfn = 0;
    b->ports = ports;
    b->region = region_new_container("fsl-pci", WINDOW);
    b->registers = region_new_io("fsl-pci-registers", &register_ops, b, WINDOW);
    b->config_data = region_new_io("fsl-pci-config-data", &config_ops, b, 4);
    region_add(b->region, 0, b->registers);
    region_add_overlap(b->region, CONFIG_DATA, b->config_data, 1);
    for (int n = 0; n < WINDOWS; n++) {
        b->windows[n] = region_new_alias("pci-window", memory, 0, GUEST_PAGE_SIZE);
        region_set_enabled(b->windows[n], false);
        region_add_overlap(memory_system_root(), 0, b->windows[n], BEHIND_ALL);
    }
    b->ccsr = region_new_alias("ccsr-on-pci", ccsr, 0, region_size(ccsr));
    b->messages = region_new_alias("pci-messages", ccsr, 0, region_size(ccsr));
    region_set_enabled(b->messages, false);
    region_add_overlap(memory_system_root(), 0, b->messages, BEHIND_ALL);
    return device_realize(dev, pci_bus_bus(bus), error) ? bus : NULL;
}

static FslPci *bridge_of(PciBus *bus)
{
    return (FslPci *)pci_bus_bus(bus)->owner;
}

Region *fsl_pci_region(PciBus *bus)
{
    return bridge_of(bus)->region;
}

void fsl_pci_connect(PciBus *bus, Line *const irqs[4])
{
    for (int n = 0; n < 4; n++) {
        bridge_of(bus)->irqs[n] = irqs[n];
    }
}
