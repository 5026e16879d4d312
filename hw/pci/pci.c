/*
 * PCI bus: placement of functions, configuration space, base address registers, interrupt wires.
 *
 * PCI Local Bus Specification 3.0, chapter 6.
 */
#include "hw/pci/pci.h"

#include "core/dma.h"
#include "core/machine.h"
#include "core/mainloop.h"
#include "hw/pci/express.h"
#include "hw/pci/msi.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

enum {
    PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_HEADER_TYPE = 0x0e, PCI_BAR0 = 0x10,
    PCI_SECONDARY = 0x19, PCI_SUBORDINATE = 0x1a, PCI_PREFETCH = 0x24, PCI_PREFETCH_UPPER = 0x28, PCI_SUBSYSTEM = 0x2c, PCI_ROM = 0x30, PCI_CAPABILITIES = 0x34, PCI_IRQ_LINE = 0x3c,
    PCI_IRQ_PIN = 0x3d,
};
enum { COMMAND_IO = 1, COMMAND_MEMORY = 2, COMMAND_MASTER = 4, COMMAND_INTX_OFF = 0x400 };
enum { STATUS_INTX = 0x08, STATUS_CAPABILITIES = 0x10 };
#define ROM_BAR    6
#define MAX_DEVFN  256
#define UNMAPPED   UINT64_MAX

struct PciBus {
    Bus bus; /* first: a Bus of kind "pci" is one of these */
    PciDevice *bridge; /* that leads to it; NULL: the host's. What follows up to asserted is the host's bus's */
    PciMapIrq *map_irq;
    LineFn *set_irq;
    void *irq_opaque;
    int irq_count;
    int *asserted; /* functions that hold each interrupt input, behind bridges too */
    Region *memory, *ports;
    int first_slot; /* for functions without an address */
    PciTranslate *translate; /* NULL: functions see memory as it is */
    void *translate_opaque;
    int slots; /* how many there are */
    bool freeing, more; /* ejected functions go away; another was ejected meanwhile */
    PciDevice *at[MAX_DEVFN];
};

/* ---- base address registers ---- */

static unsigned bar_offset(int index)
{
    return index == ROM_BAR ? PCI_ROM : PCI_BAR0 + index * 4;
}

/* Where a BAR decodes now, by its value and the command register; UNMAPPED if nowhere. */
static uint64_t bar_address(const PciDevice *pci, int index)
{
    const PciBar *bar = &pci->bars[index];
    uint16_t command = load_le16(pci->config + PCI_COMMAND);
    uint64_t value = load_le32(pci->config + bar_offset(index)), address, limit;

    if (bar->kind & PCI_BAR_IO) {
        address = value & ~3ull & -bar->size;
        limit = 0x10000;
        if (!(command & COMMAND_IO) || !address) {
            return UNMAPPED;
        }
    } else {
        limit = UINT64_C(1) << 32;
        if (bar->kind & PCI_BAR_MEM64) {
            value |= (uint64_t)load_le32(pci->config + bar_offset(index) + 4) << 32;
            limit = UINT64_C(1) << 48;
        }
        if (!(command & COMMAND_MEMORY) || (index == ROM_BAR && !(value & 1))) {
            return UNMAPPED;
        }
        address = value & -bar->size & ~15ull;
        /* All ones is how a BAR is sized: the last bytes of the space are never a device. */
        if (!address || address + bar->size - 1 == UINT32_MAX) {
            return UNMAPPED;
        }
    }
    return address + bar->size > limit ? UNMAPPED : address;
}

static void update_bars(PciDevice *pci)
{
    bool changed = false;

    memory_begin();
    for (int i = 0; i <= ROM_BAR; i++) {
        PciBar *bar = &pci->bars[i];
        uint64_t address;

        if (!bar->region) {
            continue;
        }
        address = bar_address(pci, i);
        if (address == bar->mapped) {
            continue;
        }
        if (bar->mapped != UNMAPPED) {
            region_remove(bar->region);
        }
        if (address != UNMAPPED) {
            region_add_overlap(bar->kind & PCI_BAR_IO ? pci->bus->ports : pci->bus->memory, address,
                               bar->region, 1);
        }
        bar->mapped = address;
        changed = true;
    }
    memory_commit();
    if (changed && pci->bars_changed) {
        pci->bars_changed(pci);
    }
}

void pci_register_bar(PciDevice *pci, int index, PciBarKind kind, Region *region)
{
    PciBar *bar = &pci->bars[index];
    uint64_t size = region_size(region);
    uint64_t mask = -size;
    unsigned offset = bar_offset(index);

    g_assert((size & (size - 1)) == 0 && size >= 4);
    *bar = (PciBar){ region, size, kind, UNMAPPED };
    if (index == ROM_BAR) {
        store_le32(pci->writable + offset, mask | 1);
        return;
    }
    pci->config[offset] = kind & (PCI_BAR_IO | PCI_BAR_MEM64 | PCI_BAR_PREFETCH);
    store_le32(pci->writable + offset, mask & (kind & PCI_BAR_IO ? ~3u : ~15u));
    if (kind & PCI_BAR_MEM64) {
        store_le32(pci->writable + offset + 4, mask >> 32);
    }
}

/*
 * One ROM serves several models, or none in particular, while firmware runs it for the function that its PCIR
 * structure names (PCI Firmware Specification 3.0, 5.1): the default ROM is made to name this one. Byte 6 of the
 * images that a BIOS runs is there to make their sum zero.
 */
static void adopt_rom(const PciInfo *info, uint8_t *rom, size_t size)
{
    for (size_t at = 0; at + 0x1a <= size && load_le16(rom + at) == 0xaa55;) {
        size_t pcir = at + load_le16(rom + at + 0x18), length;
        uint8_t sum = 0;

        if (pcir + 0x18 > size || memcmp(rom + pcir, "PCIR", 4) != 0) {
            return;
        }
        for (int i = 4; i < 8; i++) {
            sum += rom[pcir + i];
        }
        store_le16(rom + pcir + 4, info->vendor);
        store_le16(rom + pcir + 6, info->device);
        for (int i = 4; i < 8; i++) {
            sum -= rom[pcir + i];
        }
        rom[at + 6] += rom[pcir + 0x14] == 0 ? sum : 0;
        length = load_le16(rom + pcir + 0x10) * 512u;
        if (!length || (rom[pcir + 0x15] & 0x80)) {
            return;
        }
        at += length;
    }
}

/* Without its ROM nothing starts from a network card: said to those who want that. */
static void hint_at_rom(const PciDevice *pci)
{
    const char *once = machine_config.boot_once, *order = machine_config.boot_order;

    if ((once && strchr(once, 'n')) || (order && strchr(order, 'n')) || pci->dev.bootindex >= 0) {
        log_warn("'%s' cannot start the machine: its option ROM '%s' is missing (Debian package ipxe-qemu)", pci->dev.id,
                 pci->info->rom);
    }
}

bool pci_load_rom(PciDevice *pci, GError **error)
{
    const char *name = pci->romfile ? pci->romfile : pci->info->rom;
    g_autofree char *path = NULL, *data = NULL;
    uint64_t room = 2048;
    Region *region;
    gsize size;

    if (!name || !*name || !pci->rombar) {
        return true;
    }
    path = g_file_test(name, G_FILE_TEST_EXISTS) ? g_strdup(name) : firmware_find(name);
    if (!path) {
        if (!pci->romfile) { /* only the default: the card works without */
            hint_at_rom(pci);
            return true;
        }
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "cannot find option ROM '%s'", name);
        return false;
    }
    if (!g_file_get_contents(path, &data, &size, error)) {
        return false;
    }
    if (size > 16 << 20) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "option ROM '%s' is larger than 16 MiB", path);
        return false;
    }
    while (room < size) {
        room *= 2;
    }
    room = MAX(room, GUEST_PAGE_SIZE);
    region = region_new_rom(name, room, error);
    if (!region) {
        return false;
    }
    memcpy(region_host(region), data, size);
    if (!pci->romfile) {
        adopt_rom(pci->info, region_host(region), size);
    }
    pci_register_bar(pci, ROM_BAR, PCI_BAR_MEM32, region);
    return true;
}

/* ---- configuration space ---- */

void pci_device_init(PciDevice *pci, const PciInfo *info)
{
    uint8_t *c = pci->config;

    pci->info = info;
    store_le16(c + 0x00, info->vendor);
    store_le16(c + 0x02, info->device);
    store_le32(c + 0x08, info->class_rev);
    store_le16(c + PCI_SUBSYSTEM, info->subsystem_vendor);
    store_le16(c + PCI_SUBSYSTEM + 2, info->subsystem);
    c[PCI_HEADER_TYPE] |= pci->multifunction ? 0x80 : 0;
    c[PCI_IRQ_PIN] = info->interrupt_pin;
    store_le16(pci->writable + PCI_COMMAND,
               COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER | 0x140 | COMMAND_INTX_OFF);
    pci->writable[0x0c] = 0xff; /* cache line size */
    pci->writable[0x0d] = 0xff; /* latency timer */
    pci->writable[PCI_IRQ_LINE] = 0xff;
    store_le16(pci->clear_on_1 + PCI_STATUS, 0xf900);
}

uint8_t pci_add_capability(PciDevice *pci, uint8_t id, uint8_t size)
{
    uint8_t at = 0x40, *c = pci->config;

    /* Capabilities lie one behind the other; each one's size is kept where nothing reads it. */
    for (uint8_t p = c[PCI_CAPABILITIES]; p; p = c[p + 1]) {
        at = MAX(at, p + pci->reset_config[p]);
    }
    g_assert(at + size <= PCI_CONFIG_SIZE);
    c[at] = id;
    c[at + 1] = c[PCI_CAPABILITIES];
    c[PCI_CAPABILITIES] = at;
    c[PCI_STATUS] |= STATUS_CAPABILITIES;
    pci->reset_config[at] = (size + 3) & ~3;
    return at;
}

static uint32_t read_config(PciDevice *pci, unsigned offset, unsigned size)
{
    uint32_t value = 0;

    if (pci->config_read) {
        return pci->config_read(pci, offset, size);
    }
    memcpy(&value, pci->config + offset, size);
    return value;
}

static void write_config(PciDevice *pci, unsigned offset, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = value >> i * 8, *c = &pci->config[offset + i];
        uint8_t writable = pci->writable[offset + i];

        *c = ((*c & ~writable) | (byte & writable)) & ~(byte & pci->clear_on_1[offset + i]);
    }
    if (offset < PCI_ROM + 4 && offset + size > PCI_COMMAND) {
        update_bars(pci);
        pci_set_intx(pci, pci->intx); /* the command register may have cut the wire */
    }
    pci_msi_config_written(pci, offset, size);
    if (pci->config_written) {
        pci->config_written(pci, offset, size);
    }
}

uint8_t pci_bus_number(const PciBus *bus)
{
    return bus->bridge ? bus->bridge->config[PCI_SECONDARY] : 0;
}

/* A bus of that number, below bridges that let it through (PCI-to-PCI Bridge Architecture Specification 1.2, 3.1.2). */
static PciBus *find_bus(PciBus *bus, uint8_t number)
{
    if (number == 0) {
        return bus;
    }
    for (int i = 0; i < MAX_DEVFN; i++) {
        PciBus *below = bus->at[i] ? bus->at[i]->secondary : NULL;

        if (!below || number < pci_bus_number(below) || number > bus->at[i]->config[PCI_SUBORDINATE] ||
            !pci_bus_number(below)) {
            continue;
        }
        return number == pci_bus_number(below) ? below : find_bus(below, number);
    }
    return NULL;
}

PciDevice *pci_find_function(PciBus *bus, uint8_t busno, int devfn)
{
    PciBus *there = find_bus(bus, busno);
    PciDevice *pci = there ? there->at[devfn & 0xff] : NULL;

    return pci && !pci->ejected ? pci : NULL;
}

uint32_t pci_config_read(PciBus *bus, uint8_t busno, int devfn, unsigned offset, unsigned size)
{
    PciDevice *pci = pci_find_function(bus, busno, devfn);
    uint32_t value = UINT32_MAX >> (32 - size * 8);

    if (pci && offset >= PCI_CONFIG_SIZE && pci_is_express(pci)) {
        return 0; /* no extended capabilities */
    }
    if (pci && offset + size <= PCI_CONFIG_SIZE) {
        value = read_config(pci, offset, size);
        trace("pci_config_read", "%s [%02x] %u -> %x", pci->dev.id, offset, size, value);
    }
    return value;
}

void pci_config_write(PciBus *bus, uint8_t busno, int devfn, unsigned offset, uint32_t value,
                      unsigned size)
{
    PciDevice *pci = pci_find_function(bus, busno, devfn);

    if (pci && offset + size <= PCI_CONFIG_SIZE) {
        trace("pci_config_write", "%s [%02x] %u <- %x", pci->dev.id, offset, size, value);
        write_config(pci, offset, value, size);
    }
}

/* ---- interrupts and DMA ---- */

/* Whether a request for INTx reaches the wire. */
static bool intx_allowed(const PciDevice *pci)
{
    return !(load_le16(pci->config + PCI_COMMAND) & COMMAND_INTX_OFF) && !pci_msi_enabled(pci) &&
           !pci_msix_enabled(pci);
}

static PciBus *host_bus(PciBus *bus)
{
    while (bus->bridge) {
        bus = bus->bridge->bus;
    }
    return bus;
}

/* Behind a bridge pins rotate with the slot, and come out at the pins of the bridge (9.1 of its specification). */
static int irq_of(PciDevice *pci)
{
    int pin = pci->config[PCI_IRQ_PIN] - 1;

    if (pin < 0) {
        return -1;
    }
    while (pci->bus->bridge) {
        pin = (PCI_SLOT(pci->devfn) + pin) & 3;
        pci = pci->bus->bridge;
    }
    return pci->bus->map_irq(pci, pin);
}

static int count_asserting(PciBus *bus, int irq)
{
    int count = 0;

    for (int i = 0; i < MAX_DEVFN; i++) {
        PciDevice *pci = bus->at[i];

        count += pci && pci->intx && irq_of(pci) == irq && intx_allowed(pci);
        count += pci && pci->secondary ? count_asserting(pci->secondary, irq) : 0;
    }
    return count;
}

static void recount(PciBus *bus, int irq)
{
    bus->asserted[irq] = count_asserting(bus, irq);
    bus->set_irq(bus->irq_opaque, irq, bus->asserted[irq] > 0);
}

void pci_set_intx(PciDevice *pci, bool level)
{
    int irq = irq_of(pci);
    bool visible = level && intx_allowed(pci);
    bool was_visible = pci->dev.type_data != NULL;
    PciBus *host = host_bus(pci->bus);

    pci->intx = level;
    pci->config[PCI_STATUS] = level ? pci->config[PCI_STATUS] | STATUS_INTX
                                    : pci->config[PCI_STATUS] & ~STATUS_INTX;
    if (visible == was_visible || irq < 0) {
        return;
    }
    pci->dev.type_data = visible ? pci : NULL; /* whether we count in asserted[] */
    host->asserted[irq] += visible ? 1 : -1;
    if (host->asserted[irq] == visible) { /* it was the first, or the last */
        host->set_irq(host->irq_opaque, irq, visible);
    }
}

void pci_bus_update_irqs(PciBus *bus)
{
    for (int irq = 0; irq < bus->irq_count; irq++) {
        recount(bus, irq);
    }
}

/* A bridge that is no master keeps what comes from behind it. */
bool pci_bus_master(const PciDevice *pci)
{
    bool master = true;

    for (; pci && master; pci = pci->bus->bridge) {
        master = pci->config[PCI_COMMAND] & COMMAND_MASTER;
    }
    return master;
}

void pci_bus_set_translate(PciBus *bus, PciTranslate *translate, void *opaque)
{
    bus->translate = translate;
    bus->translate_opaque = opaque;
}

/* Where an access of at most *left bytes begins; *left shrinks to what lies together. */
static bool translate(PciDevice *pci, PhysAddr *addr, bool is_write, uint64_t *left)
{
    PciBus *host = host_bus(pci->bus);
    uint64_t room = *left;

    if (!host->translate) {
        return true;
    }
    if (!host->translate(host->translate_opaque, *addr, is_write, addr, &room)) {
        guest_error(pci->dev.id, "may not %s %" G_GINT64_MODIFIER "x", is_write ? "write" : "read", *addr);
        return false;
    }
    *left = MIN(*left, room);
    return true;
}

/* What the bridge refuses reads as ones. */
bool pci_dma_read(PciDevice *pci, PhysAddr addr, void *buf, uint64_t size)
{
    bool good = pci_bus_master(pci);

    for (uint8_t *to = buf; size;) {
        PhysAddr phys = addr;
        uint64_t left = size;

        if (!good || !translate(pci, &phys, false, &left)) {
            memset(to, 0xff, size);
            return false;
        }
        memory_read(memory_system(), phys, to, left);
        to += left;
        addr += left;
        size -= left;
    }
    return good;
}

bool pci_dma_write(PciDevice *pci, PhysAddr addr, const void *buf, uint64_t size)
{
    bool good = pci_bus_master(pci);

    for (const uint8_t *from = buf; size;) {
        PhysAddr phys = addr;
        uint64_t left = size;

        if (!good || !translate(pci, &phys, true, &left)) {
            return false;
        }
        memory_write(memory_system(), phys, from, left);
        from += left;
        addr += left;
        size -= left;
    }
    return good;
}

void *pci_dma_map(PciDevice *pci, PhysAddr addr, uint64_t *size, bool is_write, RamBlock **ram, uint64_t *offset)
{
    return translate(pci, &addr, is_write, size) ? memory_map(memory_system(), addr, size, is_write, ram, offset) : NULL;
}

bool pci_dma_list_add(PciDevice *pci, DmaList *list, PhysAddr addr, uint64_t size, bool is_write)
{
    PhysAddr phys = addr;
    uint64_t left = size;

    if (!host_bus(pci->bus)->translate) {
        return dma_list_add(list, addr, size, is_write);
    }
    for (; size; size -= left, addr += left, phys = addr, left = size) {
        if (!translate(pci, &phys, is_write, &left) || !dma_list_add(list, phys, left, is_write)) {
            return false;
        }
    }
    return true;
}

/* ---- the bus ---- */

static bool slot_taken(const PciBus *bus, int slot)
{
    for (int fn = 0; fn < 8; fn++) {
        if (bus->at[PCI_DEVFN(slot, fn)]) {
            return true;
        }
    }
    return false;
}

static bool pci_attach(Bus *b, Device *dev, GError **error)
{
    PciBus *bus = (PciBus *)b;
    PciDevice *pci = (PciDevice *)dev;

    if (pci->devfn < 0) {
        int slot = bus->first_slot;

        while (slot < bus->slots && slot_taken(bus, slot)) {
            slot++;
        }
        if (slot == bus->slots) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "no free slot on bus '%s' for '%s'", b->name,
                        dev->id);
            return false;
        }
        pci->devfn = PCI_DEVFN(slot, 0);
    } else if (PCI_SLOT(pci->devfn) >= bus->slots) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "bus '%s' has no slot %d for '%s': its last one is %d", b->name,
                    PCI_SLOT(pci->devfn), dev->id, bus->slots - 1);
        return false;
    } else if (bus->at[pci->devfn]) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "address %02x.%d of bus '%s' is taken by '%s'",
                    PCI_SLOT(pci->devfn), PCI_FUNC(pci->devfn), b->name, bus->at[pci->devfn]->dev.id);
        return false;
    }
    pci->bus = bus;
    bus->at[pci->devfn] = pci;
    return true;
}

static void pci_detach(Bus *b, Device *dev)
{
    PciBus *bus = (PciBus *)b;
    PciDevice *pci = (PciDevice *)dev;

    if (pci->bus && bus->at[pci->devfn] == pci) {
        pci_msi_free(pci);
        region_free(pci->bars[ROM_BAR].region);
        pci->bars[ROM_BAR].region = NULL;
        bus->at[pci->devfn] = NULL;
    }
}

/* After this the type may free what its BARs show. */
static void pci_quiesce(Device *dev)
{
    PciDevice *pci = (PciDevice *)dev;

    pci_set_intx(pci, false);
    store_le16(pci->config + PCI_COMMAND, 0);
    update_bars(pci);
}

static char *pci_address(Device *dev)
{
    PciDevice *pci = (PciDevice *)dev;

    return g_strdup_printf("%02x.%x", PCI_SLOT(pci->devfn), PCI_FUNC(pci->devfn));
}

/*
 * In the main loop: vCPUs stand while a function goes away. One that waits for its requests runs the loop, which may
 * come here again for another: that is left to the call that goes on already.
 */
static void free_ejected(void *opaque)
{
    PciBus *bus = opaque;

    bus->more = true;
    if (bus->freeing) {
        return;
    }
    bus->freeing = true;
    while (bus->more) {
        bus->more = false;
        for (int i = 0; i < MAX_DEVFN; i++) {
            if (bus->at[i] && bus->at[i]->ejected) {
                device_unplug(&bus->at[i]->dev);
            }
        }
    }
    bus->freeing = false;
}

void pci_eject(PciDevice *pci)
{
    trace("pci_eject", "%s", pci->dev.id);
    pci->ejected = true;
    main_loop_call(free_ejected, pci->bus);
}

/* Everything that software can write goes back to zero; the rest is identity. */
void pci_device_reset_common(PciDevice *pci)
{
    for (int i = 0; i < PCI_CONFIG_SIZE; i++) {
        uint8_t changes = pci->writable[i] | pci->clear_on_1[i];

        if (i < 0x40) {
            pci->config[i] &= ~changes;
        }
    }
    pci_msi_reset(pci);
    pci_set_intx(pci, false);
    update_bars(pci);
}

static void pci_reset(Device *dev)
{
    pci_device_reset_common((PciDevice *)dev);
}

static void pci_save(Device *dev, GKeyFile *out)
{
    PciDevice *pci = (PciDevice *)dev;
    g_autoptr(GString) text = g_string_new(NULL);

    for (int i = 0; i < PCI_CONFIG_SIZE; i++) {
        g_string_append_printf(text, "%02x", pci->config[i]);
    }
    g_key_file_set_string(out, dev->id, "pci.config", text->str);
    g_key_file_set_boolean(out, dev->id, "pci.intx", pci->intx);
    pci_msi_save(pci, out);
}

/* What tells software which function this is, where snapshots bring only bits that software writes. */
static bool is_identity(const PciDevice *pci, unsigned i)
{
    const uint8_t *c = pci->config;

    for (uint8_t p = c[PCI_CAPABILITIES]; p; p = c[p + 1]) {
        if (i >= p && i < p + pci->reset_config[p]) {
            return true;
        }
    }
    return i < 0x10 || (i >= PCI_SUBSYSTEM && i < PCI_SUBSYSTEM + 4) || i == PCI_CAPABILITIES;
}

static bool pci_load(Device *dev, GKeyFile *in, GError **error)
{
    PciDevice *pci = (PciDevice *)dev;
    g_autofree char *text = g_key_file_get_string(in, dev->id, "pci.config", error);

    if (!text) {
        return false;
    }
    if (strlen(text) != PCI_CONFIG_SIZE * 2) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad configuration space of '%s'",
                    dev->id);
        return false;
    }
    for (int i = 0; i < PCI_CONFIG_SIZE; i++) {
        int high = g_ascii_xdigit_value(text[2 * i]), low = g_ascii_xdigit_value(text[2 * i + 1]);
        uint8_t loads = is_identity(pci, i) ? pci->writable[i] | pci->clear_on_1[i] : 0xff;

        if (high < 0 || low < 0) {
            g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad configuration space of '%s'",
                        dev->id);
            return false;
        }
        pci->config[i] = (pci->config[i] & ~loads) | ((high << 4 | low) & loads);
    }
    update_bars(pci);
    pci_set_intx(pci, g_key_file_get_boolean(in, dev->id, "pci.intx", NULL));
    return pci_msi_load(pci, in, error);
}

static bool refuse_unplug(Device *dev, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "Device '%s' is behind a bridge, where nothing is plugged or unplugged",
                dev->id);
    return false;
}

PciBus *pci_bus_new(const char *name, Device *owner, Region *memory, Region *ports,
                    PciMapIrq *map_irq, LineFn *set_irq, void *irq_opaque, int irq_count)
{
    PciBus *bus = g_new0(PciBus, 1);

    bus_init(&bus->bus, "pci", name, owner);
    bus->bus.attach = pci_attach;
    bus->bus.detach = pci_detach;
    bus->bus.quiesce = pci_quiesce;
    bus->bus.address = pci_address;
    bus->bus.reset = pci_reset;
    bus->bus.save = pci_save;
    bus->bus.load = pci_load;
    bus->memory = memory;
    bus->ports = ports;
    bus->map_irq = map_irq;
    bus->set_irq = set_irq;
    bus->irq_opaque = irq_opaque;
    bus->irq_count = irq_count;
    bus->asserted = g_new0(int, irq_count);
    bus->slots = MAX_DEVFN / 8;
    return bus;
}

PciBus *pci_bus_new_behind(const char *name, PciDevice *bridge, Region *memory, Region *ports)
{
    PciBus *bus = pci_bus_new(name, &bridge->dev, memory, ports, NULL, NULL, NULL, 0);

    bus->bridge = bridge;
    bus->bus.unplug_request = refuse_unplug;
    bridge->secondary = bus;
    return bus;
}

void pci_bus_set_slots(PciBus *bus, int slots)
{
    bus->slots = slots;
}

PciDevice *pci_bus_bridge(const PciBus *bus)
{
    return bus->bridge;
}

void pci_bus_set_first_slot(PciBus *bus, int slot)
{
    bus->first_slot = slot;
}

Bus *pci_bus_bus(PciBus *bus)
{
    return &bus->bus;
}

Region *pci_bus_memory(PciBus *bus)
{
    return bus->memory;
}

Region *pci_bus_ports(PciBus *bus)
{
    return bus->ports;
}

PciDevice *pci_bus_device(PciBus *bus, int devfn)
{
    return bus->at[devfn & 0xff];
}

/* ---- what lies above 4 GiB ---- */

static void widen(uint64_t *first, uint64_t *last, uint64_t start, uint64_t end)
{
    *first = MIN(*first, start);
    *last = MAX(*last, end);
}

static void find_high(PciBus *bus, uint64_t *first, uint64_t *last)
{
    for (int i = 0; i < MAX_DEVFN; i++) {
        PciDevice *pci = bus->at[i];

        for (int n = 0; pci && n < ROM_BAR; n++) {
            const PciBar *bar = &pci->bars[n];

            if (bar->region && !(bar->kind & PCI_BAR_IO) && bar->mapped != UNMAPPED && bar->mapped > UINT32_MAX) {
                widen(first, last, bar->mapped, bar->mapped + bar->size - 1);
            }
        }
        if (pci && pci->secondary) {
            const uint8_t *c = pci->config;
            uint64_t start = (uint64_t)load_le32(c + PCI_PREFETCH_UPPER) << 32 | (load_le16(c + PCI_PREFETCH) & 0xfff0u) << 16;
            uint64_t end = (uint64_t)load_le32(c + PCI_PREFETCH_UPPER + 4) << 32 |
                           (load_le16(c + PCI_PREFETCH + 2) & 0xfff0u) << 16 | 0xfffff;

            if (start > UINT32_MAX && start < end) {
                widen(first, last, start, end);
            }
            find_high(pci->secondary, first, last);
        }
    }
}

bool pci_bus_high_window(PciBus *bus, uint64_t *first, uint64_t *last)
{
    *first = UINT64_MAX;
    *last = 0;
    find_high(bus, first, last);
    return *first < *last;
}

/* ---- info pci ---- */

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
