/*
 * Translation control entries: what devices of a partition may access, as the partition said by hypercalls.
 *
 * LoPAPR 1.1, 14.5.4.2. An entry has the real page, bit 0 lets devices read it, bit 1 lets them write.
 */
#include "hw/papr/tce.h"

#include "hw/papr/papr.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <stdlib.h>
#include <string.h>

enum { TCE_READ = 1, TCE_WRITE = 2, TCE_PAGE_BITS = 12, INDIRECT_MAX = 512 };
#define TCE_STATE(FIELD, ARRAY)     \
    FIELD(uint32_t, liobn, 0)       \
    FIELD(uint64_t, start, 0)       \
    FIELD(uint8_t, page_bits, 12)   \
    FIELD(uint32_t, pages, 0)       \
    FIELD(bool, bypass, false)

DEFINE_STATE(TceState, TCE_STATE);

struct PaprTce {
    Device dev;
    TceState s;
    TceState made; /* as it was created: what a reset leaves */
    bool changes;  /* the window may become another one: there is room for the largest, which stays where it is */
    uint64_t *entries;
    uint32_t touched; /* so many of them may be other than zero */
};

static GHashTable *tables; /* liobn to PaprTce */

static PaprTce *find_table(uint64_t liobn)
{
    return tables && liobn <= UINT32_MAX ? g_hash_table_lookup(tables, GUINT_TO_POINTER((guint)liobn)) : NULL;
}

uint32_t papr_tce_liobn(const PaprTce *tce)
{
    return tce->s.liobn;
}

uint64_t papr_tce_start(const PaprTce *tce)
{
    return tce->s.start;
}

uint64_t papr_tce_size(const PaprTce *tce)
{
    return (uint64_t)tce->s.pages << tce->s.page_bits;
}

uint64_t papr_tce_end(const PaprTce *tce)
{
    return tce->s.bypass ? UINT64_MAX : tce->s.start + papr_tce_size(tce);
}

void papr_tce_set_bypass(PaprTce *tce, bool on)
{
    tce->s.bypass = on;
}

void papr_tce_clear(PaprTce *tce)
{
    memset(tce->entries, 0, tce->s.pages * sizeof(uint64_t));
}

static bool is_window(uint64_t start, unsigned page_bits, uint32_t pages)
{
    return (page_bits == 12 || page_bits == 16 || page_bits == 24) && pages <= PAPR_TCE_MAX_PAGES &&
           start <= UINT64_MAX - ((uint64_t)pages << page_bits);
}

bool papr_tce_set_window(PaprTce *tce, uint64_t start, unsigned page_bits, uint32_t pages)
{
    g_assert(tce->changes);
    if (!is_window(start, page_bits, pages)) {
        return false;
    }
    papr_tce_clear(tce);
    tce->s.start = start;
    tce->s.page_bits = page_bits;
    tce->s.pages = pages;
    tce->touched = MAX(tce->touched, pages);
    return true;
}

/* The entry for a bus address, NULL: outside of the window. Devices' threads may ask while the window changes. */
static uint64_t *find_entry(const PaprTce *tce, uint64_t addr, unsigned page_bits)
{
    uint64_t index = (addr - tce->s.start) >> page_bits;

    return index < tce->s.pages ? &tce->entries[index] : NULL;
}

bool papr_tce_translate(const PaprTce *tce, uint64_t addr, bool is_write, PhysAddr *phys, uint64_t *left)
{
    unsigned page_bits = tce->s.page_bits;
    uint64_t page = UINT64_C(1) << page_bits;
    const uint64_t *entry;

    *left = page - (addr & (page - 1)); /* windows begin at multiples of their pages */
    if (tce->s.bypass) {
        *phys = addr;
        return true;
    }
    entry = find_entry(tce, addr, page_bits);
    if (!entry) {
        return false;
    }
    *phys = (*entry & -page) | (addr & (page - 1));
    return *entry & (is_write ? TCE_WRITE : TCE_READ);
}

static bool may_access(const PaprTce *tce, uint64_t addr, uint64_t size, bool is_write)
{
    PhysAddr phys;
    uint64_t left;

    for (; size; size -= MIN(size, left), addr += left) {
        if (!papr_tce_translate(tce, addr, is_write, &phys, &left)) {
            guest_error("tce", "liobn %#x: %s of %#" G_GINT64_MODIFIER "x is not allowed", tce->s.liobn,
                        is_write ? "write" : "read", addr);
            return false;
        }
    }
    return true;
}

bool papr_tce_read(const PaprTce *tce, uint64_t addr, void *buf, uint64_t size)
{
    PhysAddr phys;
    uint64_t left;

    if (!may_access(tce, addr, size, false)) {
        memset(buf, 0, size);
        return false;
    }
    for (uint8_t *to = buf; size && papr_tce_translate(tce, addr, false, &phys, &left); addr += left) {
        left = MIN(left, size);
        memory_read(memory_system(), phys, to, left);
        to += left;
        size -= left;
    }
    return true;
}

bool papr_tce_write(const PaprTce *tce, uint64_t addr, const void *buf, uint64_t size)
{
    PhysAddr phys;
    uint64_t left;

    if (!may_access(tce, addr, size, true)) {
        return false;
    }
    for (const uint8_t *from = buf; size && papr_tce_translate(tce, addr, true, &phys, &left); addr += left) {
        left = MIN(left, size);
        memory_write(memory_system(), phys, from, left);
        from += left;
        size -= left;
    }
    return true;
}

/* ---- hypercalls ---- */

static int64_t put(PaprTce *tce, uint64_t ioba, uint64_t value)
{
    uint64_t *entry = find_entry(tce, ioba, tce->s.page_bits);

    if (!entry) {
        return H_PARAMETER;
    }
    *entry = value;
    return H_SUCCESS;
}

static int64_t h_put_tce(void *opaque, uint64_t opcode, uint64_t *args)
{
    PaprTce *tce = find_table(args[0]);

    return tce ? put(tce, args[1], args[2]) : H_PARAMETER;
}

static int64_t h_get_tce(void *opaque, uint64_t opcode, uint64_t *args)
{
    PaprTce *tce = find_table(args[0]);
    const uint64_t *entry = tce ? find_entry(tce, args[1], tce->s.page_bits) : NULL;

    if (!entry) {
        return H_PARAMETER;
    }
    args[0] = *entry;
    return H_SUCCESS;
}

static int64_t h_stuff_tce(void *opaque, uint64_t opcode, uint64_t *args)
{
    PaprTce *tce = find_table(args[0]);
    int64_t result = H_SUCCESS;

    if (!tce || args[3] > tce->s.pages) {
        return H_PARAMETER;
    }
    for (uint64_t i = 0; i < args[3] && result == H_SUCCESS; i++) {
        result = put(tce, args[1] + (i << tce->s.page_bits), args[2]);
    }
    return result;
}

static int64_t h_put_tce_indirect(void *opaque, uint64_t opcode, uint64_t *args)
{
    PaprTce *tce = find_table(args[0]);
    int64_t result = H_SUCCESS;

    if (!tce || args[3] > INDIRECT_MAX || (args[2] & ((1 << TCE_PAGE_BITS) - 1))) {
        return H_PARAMETER;
    }
    for (uint64_t i = 0; i < args[3] && result == H_SUCCESS; i++) {
        uint8_t entry[8];

        memory_read(memory_system(), args[2] + i * 8, entry, sizeof(entry));
        result = put(tce, args[1] + (i << tce->s.page_bits), load_be64(entry));
    }
    return result;
}

void papr_tce_init(void)
{
    papr_hcall_add(H_PUT_TCE, h_put_tce, NULL);
    papr_hcall_add(H_GET_TCE, h_get_tce, NULL);
    papr_hcall_add(H_STUFF_TCE, h_stuff_tce, NULL);
    papr_hcall_add(H_PUT_TCE_INDIRECT, h_put_tce_indirect, NULL);
}

/* ---- device ---- */

static void tce_reset(Device *dev)
{
    PaprTce *tce = (PaprTce *)dev;

    papr_tce_clear(tce);
    tce->s = tce->made;
}

/* "index entry" pairs of those that are not zero. */
static void tce_save(Device *dev, GKeyFile *out)
{
    PaprTce *tce = (PaprTce *)dev;
    g_autoptr(GString) text = g_string_new(NULL);

    for (uint32_t i = 0; i < tce->s.pages; i++) {
        if (tce->entries[i]) {
            g_string_append_printf(text, "%x %" G_GINT64_MODIFIER "x ", i, tce->entries[i]);
        }
    }
    g_key_file_set_string(out, dev->id, "tce.entries", text->str);
}

/* What a snapshot's state says of the window. */
static bool is_possible(const PaprTce *tce)
{
    return tce->s.liobn == tce->made.liobn &&
           (tce->changes ? is_window(tce->s.start, tce->s.page_bits, tce->s.pages)
                         : tce->s.start == tce->made.start && tce->s.page_bits == tce->made.page_bits && tce->s.pages == tce->made.pages);
}

static bool load_entries(PaprTce *tce, const char *text)
{
    while (text && *text) {
        char *end;
        uint64_t index = strtoull(text, &end, 16), entry = strtoull(end, &end, 16);

        if (end == text || index >= tce->s.pages) {
            return false;
        }
        tce->entries[index] = entry;
        for (text = end; *text == ' '; text++) {
        }
    }
    return true;
}

static void forget_entries(PaprTce *tce)
{
    memset(tce->entries, 0, tce->touched * sizeof(uint64_t));
}

static bool tce_load(Device *dev, GKeyFile *in, GError **error)
{
    PaprTce *tce = (PaprTce *)dev;
    g_autofree char *text = g_key_file_get_string(in, dev->id, "tce.entries", NULL);
    bool good = is_possible(tce);

    forget_entries(tce);
    if (good) {
        tce->touched = MAX(tce->touched, tce->s.pages);
        good = load_entries(tce, text);
    }
    if (!good) {
        forget_entries(tce);
        tce->s = tce->made;
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad translation table of '%s'", dev->id);
    }
    return good;
}

static void tce_unrealize(Device *dev)
{
    PaprTce *tce = (PaprTce *)dev;

    if (find_table(tce->made.liobn) == tce) {
        g_hash_table_remove(tables, GUINT_TO_POINTER(tce->made.liobn));
    }
    g_free(tce->entries);
    tce->entries = NULL;
}

static bool tce_realize(Device *dev, GError **error)
{
    return true;
}

const DeviceType spapr_tce_type = {
    .name = "spapr-tce-table",
    .about = "addresses of devices of a logical partition",
    .bus = "system",
    .size = sizeof(PaprTce),
    .state_at = offsetof(PaprTce, s),
    .state = TceState_fields,
    .realize = tce_realize,
    .unrealize = tce_unrealize,
    .reset = tce_reset,
    .save_extra = tce_save,
    .load_extra = tce_load,
};

static PaprTce *make_table(uint32_t liobn, uint64_t start, unsigned page_bits, uint32_t pages, bool changes, GError **error)
{
    g_autofree char *id = g_strdup_printf("tce-%x", liobn);
    PaprTce *tce;

    if (find_table(liobn) || !is_window(start, page_bits, pages)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "translation table %#x cannot be made", liobn);
        return NULL;
    }
    tce = (PaprTce *)device_new(&spapr_tce_type, id);
    tce->made = tce->s = (TceState){ .liobn = liobn, .start = start, .page_bits = page_bits, .pages = pages };
    tce->changes = changes;
    tce->touched = pages;
    tce->entries = g_new0(uint64_t, changes ? PAPR_TCE_MAX_PAGES : pages);
    if (!device_realize(&tce->dev, NULL, error)) {
        device_free(&tce->dev);
        return NULL;
    }
    if (!tables) {
        tables = g_hash_table_new(NULL, NULL);
    }
    g_hash_table_insert(tables, GUINT_TO_POINTER(liobn), tce);
    return tce;
}

PaprTce *papr_tce_new(uint32_t liobn, uint64_t start, unsigned page_bits, uint32_t pages, GError **error)
{
    return make_table(liobn, start, page_bits, pages, false, error);
}

PaprTce *papr_tce_new_window(uint32_t liobn, uint64_t start, unsigned page_bits, uint32_t pages, GError **error)
{
    return make_table(liobn, start, page_bits, pages, true, error);
}

void papr_tce_free(PaprTce *tce)
{
    if (tce) {
        device_free(&tce->dev);
    }
}
