/*
 * Message signalled interrupts: a store to an address that the guest chose, instead of a wire.
 *
 * PCI Local Bus Specification 3.0, section 6.8.
 */
#include "hw/pci/msi.h"

#include "core/irqwire.h"
#include "core/lock.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

enum { CAP_MSI = 0x05, CAP_MSIX = 0x11 };
enum { COMMAND = 4 }; /* of the function, whose master bit lets messages out */
enum { CONTROL = 2 };
enum { MSI_ENABLE = 1, MSI_64 = 0x80, MSI_ADDRESS = 4, MSI_SIZE_32 = 10, MSI_SIZE_64 = 14 };
enum { MSIX_ENABLE = 0x8000, MSIX_MASK_ALL = 0x4000, MSIX_TABLE = 4, MSIX_PBA = 8, MSIX_SIZE = 12 };
enum { ENTRY_SIZE = 16, ENTRY_DATA = 8, ENTRY_CONTROL = 12, ENTRY_MASKED = 1 };
enum { MAX_MSI = 32, MAX_MSIX = 2048 };

typedef struct MsixWire {
    PciDevice *pci;
    unsigned vector;
    IrqWire *_Atomic wire; /* NULL: not opened yet */
} MsixWire;

typedef struct PciMsix {
    PciDevice *pci;
    unsigned vectors;
    MsixWire *wires;   /* vectors of them, or NULL: nobody wants any */
    uint8_t *table;    /* vectors entries */
    uint64_t *pending; /* one bit each */
    Region *table_region, *pba_region, *own_bar;
} PciMsix;

static uint16_t control_of(const PciDevice *pci, uint8_t cap)
{
    return load_le16(pci->config + cap + CONTROL);
}

bool pci_msi_enabled(const PciDevice *pci)
{
    return pci->msi_cap && (control_of(pci, pci->msi_cap) & MSI_ENABLE);
}

bool pci_msix_enabled(const PciDevice *pci)
{
    return pci->msix && (control_of(pci, pci->msix_cap) & MSIX_ENABLE);
}

static void send(PciDevice *pci, uint64_t address, uint32_t data)
{
    trace("pci_msi", "%s: %08x to %" G_GINT64_MODIFIER "x", pci->dev.id, data, address);
    pci_dma_count_writing(1);
    memory_store(memory_system(), address, data, 4);
    pci_dma_count_writing(-1);
}

/* ---- MSI ---- */

bool pci_msi_init(PciDevice *pci, unsigned vectors, bool is64, GError **error)
{
    uint8_t cap;
    unsigned log2 = 0;

    if (!vectors || vectors > MAX_MSI || (vectors & (vectors - 1))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s': %u is no number of MSI vectors (1, 2, 4 ... 32)",
                    pci->dev.id, vectors);
        return false;
    }
    while (1u << log2 < vectors) {
        log2++;
    }
    cap = pci_add_capability(pci, CAP_MSI, is64 ? MSI_SIZE_64 : MSI_SIZE_32);
    pci->msi_cap = cap;
    store_le16(pci->config + cap + CONTROL, log2 << 1 | (is64 ? MSI_64 : 0));
    store_le16(pci->writable + cap + CONTROL, 7 << 4 | MSI_ENABLE);
    store_le32(pci->writable + cap + MSI_ADDRESS, ~3u);
    if (is64) {
        store_le32(pci->writable + cap + MSI_ADDRESS + 4, UINT32_MAX);
    }
    store_le16(pci->writable + cap + (is64 ? 12 : 8), 0xffff);
    return true;
}

void pci_msi_notify(PciDevice *pci, unsigned vector)
{
    bool taken = machine_lock_if();
    const uint8_t *cap = pci->config + pci->msi_cap;

    if (pci_msi_enabled(pci) && pci_bus_master(pci)) {
        uint16_t control = load_le16(cap + CONTROL);
        unsigned granted = 1u << MIN(control >> 4 & 7, control >> 1 & 7);
        uint64_t address = load_le32(cap + MSI_ADDRESS);
        uint32_t data = load_le16(cap + (control & MSI_64 ? 12 : 8));

        if (control & MSI_64) {
            address |= (uint64_t)load_le32(cap + MSI_ADDRESS + 4) << 32;
        }
        send(pci, address, (data & ~(granted - 1)) | MIN(vector, granted - 1));
    }
    machine_unlock_if(taken);
}

unsigned pci_msi_vectors(const PciDevice *pci)
{
    return pci->msi_cap ? 1u << (control_of(pci, pci->msi_cap) >> 1 & 7) : 0;
}

/* granted: 1, 2, 4 ... */
void pci_msi_set_message(PciDevice *pci, uint64_t address, uint16_t data, unsigned granted)
{
    uint8_t *cap = pci->config + pci->msi_cap;
    uint16_t control = load_le16(cap + CONTROL);

    store_le32(cap + MSI_ADDRESS, address & ~3ull);
    if (control & MSI_64) {
        store_le32(cap + MSI_ADDRESS + 4, address >> 32);
    }
    store_le16(cap + (control & MSI_64 ? 12 : 8), data);
    store_le16(cap + CONTROL, (control & ~(7 << 4)) | (__builtin_ctz(granted) & 7) << 4);
}

/* ---- MSI-X ---- */

static bool is_masked(const PciMsix *x, unsigned vector)
{
    uint16_t control = control_of(x->pci, x->pci->msix_cap);

    return (control & MSIX_MASK_ALL) || (x->table[vector * ENTRY_SIZE + ENTRY_CONTROL] & ENTRY_MASKED);
}

static bool is_pending(const PciMsix *x, unsigned vector)
{
    return x->pending[vector / 64] >> vector % 64 & 1;
}

static void set_pending(PciMsix *x, unsigned vector, bool on)
{
    x->pending[vector / 64] = bits_set(x->pending[vector / 64], vector % 64, 1, on);
}

static void send_entry(PciMsix *x, unsigned vector)
{
    const uint8_t *entry = x->table + vector * ENTRY_SIZE;

    send(x->pci, load_le64(entry), load_le32(entry + ENTRY_DATA));
}

static bool may_send(const PciMsix *x, unsigned vector)
{
    return pci_msix_enabled(x->pci) && pci_bus_master(x->pci) && !is_masked(x, vector);
}

/* ---- MSI-X from threads without the machine lock ---- */

static void relay(void *opaque)
{
    const MsixWire *w = opaque;

    pci_msix_notify(w->pci, w->vector);
}

static void update_wire(PciMsix *x, unsigned vector)
{
    const uint8_t *entry = x->table + vector * ENTRY_SIZE;
    MsixWire *w;

    if (!x->wires) {
        return;
    }
    w = &x->wires[vector];
    if (may_send(x, vector)) {
        if (!w->wire) {
            w->pci = x->pci;
            w->vector = vector;
            w->wire = irq_wire_new(relay, w);
        }
        if (w->wire) {
            irq_wire_open(w->wire, load_le64(entry), load_le32(entry + ENTRY_DATA));
        }
    } else if (w->wire) {
        irq_wire_close(w->wire);
    }
}

void pci_msix_want_wires(PciDevice *pci)
{
    PciMsix *x = pci->msix;

    if (x && !x->wires) {
        x->wires = g_new0(MsixWire, x->vectors);
    }
}

bool pci_msix_send(PciDevice *pci, unsigned vector)
{
    const PciMsix *x = pci->msix;
    IrqWire *wire = x && x->wires && vector < x->vectors ? x->wires[vector].wire : NULL;

    return wire && irq_wire_send(wire);
}

/* ---- MSI-X: what the guest changes ---- */

/* What waited for a mask to go away is sent. */
static void vector_changed(PciMsix *x, unsigned vector)
{
    if (is_pending(x, vector) && may_send(x, vector)) {
        set_pending(x, vector, false);
        send_entry(x, vector);
    }
    update_wire(x, vector);
}

static void all_changed(PciMsix *x)
{
    for (unsigned vector = 0; vector < x->vectors; vector++) {
        vector_changed(x, vector);
    }
}

unsigned pci_msix_vectors(const PciDevice *pci)
{
    return pci->msix ? pci->msix->vectors : 0;
}

void pci_msix_set_message(PciDevice *pci, unsigned vector, uint64_t address, uint32_t data)
{
    PciMsix *x = pci->msix;

    if (x && vector < x->vectors) {
        store_le64(x->table + vector * ENTRY_SIZE, address & ~3ull);
        store_le32(x->table + vector * ENTRY_SIZE + ENTRY_DATA, data);
    }
}

void pci_msix_notify(PciDevice *pci, unsigned vector)
{
    PciMsix *x = pci->msix;
    bool taken = machine_lock_if();

    if (x && vector < x->vectors && pci_msix_enabled(pci)) {
        if (is_masked(x, vector) || !pci_bus_master(pci)) {
            set_pending(x, vector, true);
        } else {
            send_entry(x, vector);
        }
    }
    machine_unlock_if(taken);
}

void pci_msix_clear_pending(PciDevice *pci, unsigned vector)
{
    PciMsix *x = pci->msix;

    if (x && vector < x->vectors) {
        set_pending(x, vector, false);
    }
}

static uint64_t table_read(void *opaque, PhysAddr offset, unsigned size)
{
    PciMsix *x = opaque;

    return size == 8 ? load_le64(x->table + offset) : load_le32(x->table + offset);
}

static void table_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    PciMsix *x = opaque;
    uint8_t *entry = x->table + (offset & -ENTRY_SIZE);

    if (size == 8) {
        store_le64(x->table + offset, value);
    } else {
        store_le32(x->table + offset, value);
    }
    store_le32(entry, load_le32(entry) & ~3u);
    store_le32(entry + ENTRY_CONTROL, load_le32(entry + ENTRY_CONTROL) & ENTRY_MASKED);
    vector_changed(x, offset / ENTRY_SIZE);
}

static uint64_t pba_read(void *opaque, PhysAddr offset, unsigned size)
{
    PciMsix *x = opaque;

    return size == 8 ? x->pending[offset / 8] : x->pending[offset / 8] >> (offset & 4) * 8;
}

static const RegionOps table_ops = { table_read, table_write, 4, 8, ENDIAN_LITTLE };
static const RegionOps pba_ops = { pba_read, NULL, 4, 8, ENDIAN_LITTLE };

static unsigned pba_bytes(unsigned vectors)
{
    return (vectors + 63) / 64 * 8;
}

bool pci_msix_init(PciDevice *pci, unsigned vectors, int bar, Region *bar_region, uint32_t table,
                   uint32_t pba, GError **error)
{
    PciMsix *x;
    uint8_t cap;

    if (!vectors || vectors > MAX_MSIX) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s': %u is no number of MSI-X vectors (1 to %d)",
                    pci->dev.id, vectors, MAX_MSIX);
        return false;
    }
    g_assert(!(table & 7) && !(pba & 7) && table + (uint64_t)vectors * ENTRY_SIZE <= region_size(bar_region) &&
             pba + (uint64_t)pba_bytes(vectors) <= region_size(bar_region));
    x = g_new0(PciMsix, 1);
    x->pci = pci;
    x->vectors = vectors;
    x->table = g_malloc0(vectors * ENTRY_SIZE);
    x->pending = g_malloc0(pba_bytes(vectors));
    x->table_region = region_new_io("msix-table", &table_ops, x, vectors * ENTRY_SIZE);
    x->pba_region = region_new_io("msix-pba", &pba_ops, x, pba_bytes(vectors));
    region_add_overlap(bar_region, table, x->table_region, 1);
    region_add_overlap(bar_region, pba, x->pba_region, 1);
    cap = pci_add_capability(pci, CAP_MSIX, MSIX_SIZE);
    pci->msix_cap = cap;
    pci->msix = x;
    store_le16(pci->config + cap + CONTROL, vectors - 1);
    store_le16(pci->writable + cap + CONTROL, MSIX_ENABLE | MSIX_MASK_ALL);
    store_le32(pci->config + cap + MSIX_TABLE, table | bar);
    store_le32(pci->config + cap + MSIX_PBA, pba | bar);
    pci_msi_reset(pci);
    return true;
}

bool pci_msix_init_own_bar(PciDevice *pci, unsigned vectors, int bar, GError **error)
{
    uint32_t half = GUEST_PAGE_SIZE / 2;
    Region *region;

    while (half < vectors * ENTRY_SIZE && half < MAX_MSIX * ENTRY_SIZE) {
        half *= 2;
    }
    region = region_new_container("msix", half * 2);
    if (!pci_msix_init(pci, vectors, bar, region, 0, half, error)) {
        region_free(region);
        return false;
    }
    pci->msix->own_bar = region;
    pci_register_bar(pci, bar, PCI_BAR_MEM32, region);
    return true;
}

/* ---- what the PCI layer asks ---- */

static bool touches(unsigned offset, unsigned size, unsigned at, unsigned length)
{
    return offset < at + length && offset + size > at;
}

void pci_msi_config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    PciMsix *x = pci->msix;

    if (x && (touches(offset, size, pci->msix_cap + CONTROL, 2) || touches(offset, size, COMMAND, 2))) {
        all_changed(x);
    }
    if ((x && touches(offset, size, pci->msix_cap, MSIX_SIZE)) ||
        (pci->msi_cap && touches(offset, size, pci->msi_cap, 4))) {
        pci_set_intx(pci, pci->intx); /* the wire is held low while messages are on */
    }
}

static void reset_capability(PciDevice *pci, uint8_t cap, unsigned size)
{
    for (unsigned i = cap; i < cap + size; i++) {
        pci->config[i] &= ~pci->writable[i];
    }
}

void pci_msi_reset(PciDevice *pci)
{
    PciMsix *x = pci->msix;

    if (pci->msi_cap) {
        reset_capability(pci, pci->msi_cap,
                         control_of(pci, pci->msi_cap) & MSI_64 ? MSI_SIZE_64 : MSI_SIZE_32);
    }
    if (x) {
        reset_capability(pci, pci->msix_cap, MSIX_SIZE);
        memset(x->table, 0, x->vectors * ENTRY_SIZE);
        memset(x->pending, 0, pba_bytes(x->vectors));
        for (unsigned vector = 0; vector < x->vectors; vector++) {
            x->table[vector * ENTRY_SIZE + ENTRY_CONTROL] = ENTRY_MASKED;
            update_wire(x, vector);
        }
    }
}

/* One text: the table's doublewords, then the pending bits. */
void pci_msi_save(PciDevice *pci, GKeyFile *out)
{
    PciMsix *x = pci->msix;
    g_autoptr(GString) text = NULL;

    if (!x) {
        return;
    }
    for (unsigned i = 0; x->wires && i < x->vectors; i++) {
        if (x->wires[i].wire) {
            irq_wire_flush(x->wires[i].wire);
        }
    }
    text = g_string_new(NULL);
    for (unsigned i = 0; i < x->vectors * 4; i++) {
        g_string_append_printf(text, "%x ", load_le32(x->table + i * 4));
    }
    for (unsigned i = 0; i < pba_bytes(x->vectors) / 8; i++) {
        g_string_append_printf(text, "%" G_GINT64_MODIFIER "x ", x->pending[i]);
    }
    g_key_file_set_string(out, pci->dev.id, "pci.msix", text->str);
}

static bool load_table(PciMsix *x, const char *text)
{
    unsigned words = x->vectors * 4, all = words + pba_bytes(x->vectors) / 8;

    for (unsigned i = 0; i < all; i++) {
        char *end;
        uint64_t value = g_ascii_strtoull(text, &end, 16);
        uint32_t allowed = i % 4 == 0 ? ~3u : i % 4 == 3 ? ENTRY_MASKED : UINT32_MAX;

        if (end == text || (i < words && (value & ~(uint64_t)allowed))) {
            return false;
        }
        if (i < words) {
            store_le32(x->table + i * 4, value);
        } else {
            x->pending[i - words] = value;
        }
        text = end;
    }
    while (*text == ' ') {
        text++;
    }
    return *text == '\0';
}

bool pci_msi_load(PciDevice *pci, GKeyFile *in, GError **error)
{
    PciMsix *x = pci->msix;
    g_autofree char *text = NULL;

    if (!x) {
        return true;
    }
    text = g_key_file_get_string(in, pci->dev.id, "pci.msix", NULL);
    if (!text || !load_table(x, text)) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad MSI-X table of '%s'", pci->dev.id);
        return false;
    }
    for (unsigned i = 0; i < x->vectors; i++) {
        update_wire(x, i);
    }
    return true;
}

void pci_msi_free(PciDevice *pci)
{
    PciMsix *x = pci->msix;

    if (x) {
        for (unsigned i = 0; x->wires && i < x->vectors; i++) {
            irq_wire_free(x->wires[i].wire);
        }
        g_free(x->wires);
        region_free(x->table_region);
        region_free(x->pba_region);
        region_free(x->own_bar);
        g_free(x->table);
        g_free(x->pending);
        g_free(x);
        pci->msix = NULL;
    }
}
