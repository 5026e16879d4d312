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
enum { MAX_PAGES = 1 << 22 };

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
    uint64_t *entries;
};

static GHashTable *tables; /* liobn to PaprTce */

static PaprTce *find_table(uint64_t liobn)
{
    return tables && liobn <= UINT32_MAX ? g_hash_table_lookup(tables, GUINT_TO_POINTER((guint)liobn)) : NULL;
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
    memset(tce->entries, 0, tce->made.pages * sizeof(uint64_t));
}

bool papr_tce_translate(const PaprTce *tce, uint64_t addr, bool is_write, PhysAddr *phys, uint64_t *left)
{
    uint64_t page = UINT64_C(1) << tce->s.page_bits, offset = addr - tce->s.start, entry;

    if (tce->s.bypass) {
        *phys = addr;
        *left = page - (addr & (page - 1));
        return true;
    }
    if (offset >= papr_tce_size(tce)) {
        return false;
    }
    entry = tce->entries[offset >> tce->s.page_bits];
    *phys = (entry & -page) | (offset & (page - 1));
    *left = page - (offset & (page - 1));
    return entry & (is_write ? TCE_WRITE : TCE_READ);
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

static uint64_t *find_entry(PaprTce *tce, uint64_t ioba)
{
    uint64_t offset = ioba - tce->s.start;

    return offset < papr_tce_size(tce) ? &tce->entries[offset >> tce->s.page_bits] : NULL;
}

static int64_t put(PaprTce *tce, uint64_t ioba, uint64_t value)
{
    uint64_t *entry = find_entry(tce, ioba);

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
    const uint64_t *entry = tce ? find_entry(tce, args[1]) : NULL;

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

    tce->s = tce->made;
    papr_tce_clear(tce);
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

static bool tce_load(Device *dev, GKeyFile *in, GError **error)
{
    PaprTce *tce = (PaprTce *)dev;
    g_autofree char *text = g_key_file_get_string(in, dev->id, "tce.entries", NULL);
    char *at = text;

    papr_tce_clear(tce);
    while (at && *at) {
        char *end;
        uint64_t index = strtoull(at, &end, 16), entry = strtoull(end, &at, 16);

        if (at == end || index >= tce->made.pages) {
            g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad translation table of '%s'", dev->id);
            return false;
        }
        tce->entries[index] = entry;
        while (*at == ' ') {
            at++;
        }
    }
    return true;
}

static bool tce_post_load(Device *dev, GError **error)
{
    PaprTce *tce = (PaprTce *)dev;

    if (tce->s.liobn == tce->made.liobn && tce->s.start == tce->made.start && tce->s.page_bits == tce->made.page_bits &&
        tce->s.pages == tce->made.pages) {
        return true;
    }
    tce->s = tce->made;
    g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: '%s' has another window", dev->id);
    return false;
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
    .post_load = tce_post_load,
    .save_extra = tce_save,
    .load_extra = tce_load,
};

PaprTce *papr_tce_new(uint32_t liobn, uint64_t start, unsigned page_bits, uint32_t pages, GError **error)
{
    g_autofree char *id = g_strdup_printf("tce-%x", liobn);
    PaprTce *tce;

    if (find_table(liobn) || pages > MAX_PAGES) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "translation table %#x cannot be made", liobn);
        return NULL;
    }
    tce = (PaprTce *)device_new(&spapr_tce_type, id);
    tce->made = tce->s = (TceState){ .liobn = liobn, .start = start, .page_bits = page_bits, .pages = pages };
    tce->entries = g_new0(uint64_t, pages);
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

void papr_tce_free(PaprTce *tce)
{
    if (tce) {
        device_free(&tce->dev);
    }
}
