/*
 * Hypercalls on the hashed page table.
 *
 * LoPAPR 1.1, 14.5.4.1. Groups of eight entries are addressed by an index of all; the entries' bits are those of
 * Power ISA 2.07, Book III-S, 5.7.7.4.
 */
#include "hw/papr/hpt.h"

#include "hw/papr/papr.h"
#include "util/bits.h"

#include <string.h>

#define V_VALID    UINT64_C(1)
#define V_SECONDARY UINT64_C(2)
#define V_LARGE    UINT64_C(4)
#define V_BOLTED   UINT64_C(0x10)
#define V_SOFTWARE UINT64_C(0x60)       /* bits that the hypervisor keeps for itself */
#define V_TAG      (~UINT64_C(0x7f))    /* what AVPN compares */
#define R_PP0      (UINT64_C(1) << 63)
#define R_KEY_HIGH (UINT64_C(3) << 60)
#define R_RPN      UINT64_C(0x0ffffffffffff000)
#define R_LP       UINT64_C(0xff000)
#define R_KEY_LOW  UINT64_C(0xe00)
#define R_REF      UINT64_C(0x100)
#define R_CHANGE   UINT64_C(0x80)
#define R_N        UINT64_C(4)
#define R_PP       UINT64_C(3)
#define FLAG_EXACT   (UINT64_C(1) << 39)
#define FLAG_READ_4  (UINT64_C(1) << 37)
#define FLAG_AVPN    (UINT64_C(1) << 31)
#define FLAG_ANDCOND (UINT64_C(1) << 30)
enum { ENTRY = 16, GROUP = 8, WINDOWS = 8 };

/* Of H_BULK_REMOVE: what each pair of registers asks for, and what came of it. */
#define BULK_TYPE      (UINT64_C(3) << 62)
#define BULK_REQUEST   (UINT64_C(1) << 62)
#define BULK_RESPONSE  (UINT64_C(2) << 62)
#define BULK_END       (UINT64_C(3) << 62)
#define BULK_NOT_FOUND (UINT64_C(1) << 60)
#define BULK_BAD       (UINT64_C(2) << 60)
#define BULK_ANDCOND   (UINT64_C(1) << 56)
#define BULK_AVPN      (UINT64_C(2) << 56)
#define BULK_INDEX     UINT64_C(0x00ffffffffffffff)

static struct {
    uint8_t *table;
    uint64_t entries;
    uint64_t ram_size;
    struct {
        PhysAddr first, last;
    } window[WINDOWS];
    unsigned windows;
    HptFlushFn *flush;
    void *opaque;
} hpt;

static uint64_t get_v(uint64_t index)
{
    return load_be64(hpt.table + index * ENTRY);
}

static uint64_t get_r(uint64_t index)
{
    return load_be64(hpt.table + index * ENTRY + 8);
}

/* Processors read the table meanwhile: an entry is invalid while its second half changes. */
static void put(uint64_t index, uint64_t v, uint64_t r)
{
    uint64_t *entry = (uint64_t *)(hpt.table + index * ENTRY);

    __atomic_store_n(&entry[0], 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&entry[1], __builtin_bswap64(r), __ATOMIC_SEQ_CST);
    __atomic_store_n(&entry[0], __builtin_bswap64(v), __ATOMIC_SEQ_CST);
}

/* Bytes of the page that an entry maps; 0: no size that is told to guests (4 KiB, 64 KiB, 16 MiB). */
static uint64_t page_size(uint64_t v, uint64_t r)
{
    if (!(v & V_LARGE)) {
        return 4096;
    }
    switch ((r & R_LP) >> 12) {
    case 0:
        return 16 << 20;
    default:
        return ((r & R_LP) >> 12 & 0xf) == 1 ? 64 << 10 : 0;
    }
}

static bool may_map(uint64_t v, uint64_t r)
{
    uint64_t size = page_size(v, r), addr;

    if (!size) {
        return false;
    }
    addr = r & R_RPN & -size;
    for (unsigned i = 0; i < hpt.windows; i++) {
        if (addr >= hpt.window[i].first && addr <= hpt.window[i].last && size - 1 <= hpt.window[i].last - addr) {
            return true;
        }
    }
    return addr < hpt.ram_size && size <= hpt.ram_size - addr;
}

/* flags, index, first and second half -> index. */
static int64_t h_enter(void *opaque, uint64_t opcode, uint64_t *args)
{
    uint64_t index = args[1], v = args[2] & ~V_SOFTWARE, r = args[3];

    if (index >= hpt.entries || !may_map(v, r)) {
        return H_PARAMETER;
    }
    if (!(args[0] & FLAG_EXACT)) {
        uint64_t end = (index | (GROUP - 1)) + 1;

        index &= -(uint64_t)GROUP;
        while (index < end && (get_v(index) & V_VALID)) {
            index++;
        }
        if (index == end) {
            return H_PTEG_FULL;
        }
    } else if (get_v(index) & V_VALID) {
        return H_PTEG_FULL;
    }
    put(index, v | V_VALID, r);
    args[0] = index;
    return H_SUCCESS;
}

/* Whether a valid entry is there that the flags' condition lets through. */
static int64_t find(uint64_t index, uint64_t flags, uint64_t tag)
{
    uint64_t v;

    if (index >= hpt.entries) {
        return H_PARAMETER;
    }
    v = get_v(index);
    return !(v & V_VALID) || ((flags & FLAG_AVPN) && (v & V_TAG) != tag) || ((flags & FLAG_ANDCOND) && (v & tag)) ?
        H_NOT_FOUND : H_SUCCESS;
}

/* The reference and change bits may be set until no processor uses the entry any more: so they are read after that. */
static void remove_entry(uint64_t index, uint64_t *v, uint64_t *r)
{
    *v = get_v(index);
    __atomic_store_n((uint64_t *)(hpt.table + index * ENTRY), 0, __ATOMIC_SEQ_CST);
    hpt.flush(hpt.opaque, index, *v, get_r(index));
    *r = get_r(index);
}

static int64_t h_remove(void *opaque, uint64_t opcode, uint64_t *args)
{
    uint64_t index = args[1];
    int64_t result = find(index, args[0], args[2]);

    if (result == H_SUCCESS) {
        remove_entry(index, &args[0], &args[1]);
    }
    return result;
}

static int64_t h_bulk_remove(void *opaque, uint64_t opcode, uint64_t *args)
{
    int64_t result = H_SUCCESS;

    for (unsigned i = 0; i < 4; i++) {
        uint64_t *high = &args[i * 2], tag = args[i * 2 + 1], index = *high & BULK_INDEX, flags = 0, v, r;

        if ((*high & BULK_TYPE) == BULK_END) {
            break;
        }
        if ((*high & BULK_TYPE) != BULK_REQUEST || (*high & (BULK_ANDCOND | BULK_AVPN)) == (BULK_ANDCOND | BULK_AVPN)) {
            *high = BULK_RESPONSE | BULK_BAD | (*high & ~(BULK_TYPE | BULK_BAD | BULK_NOT_FOUND));
            return H_PARAMETER;
        }
        flags |= *high & BULK_ANDCOND ? FLAG_ANDCOND : 0;
        flags |= *high & BULK_AVPN ? FLAG_AVPN : 0;
        *high = BULK_RESPONSE | (*high & (BULK_ANDCOND | BULK_AVPN | BULK_INDEX));
        result = find(index, flags, tag);
        if (result == H_PARAMETER) {
            *high |= BULK_BAD;
            return result;
        }
        if (result == H_NOT_FOUND) {
            *high |= BULK_NOT_FOUND;
            continue;
        }
        remove_entry(index, &v, &r);
        *high |= (r & (R_REF | R_CHANGE)) << 51; /* to bits 59 and 58 */
    }
    return H_SUCCESS;
}

/* flags (with the new protection), index, tag. */
static int64_t h_protect(void *opaque, uint64_t opcode, uint64_t *args)
{
    uint64_t flags = args[0], index = args[1], v, r;
    int64_t result = find(index, flags & FLAG_AVPN, args[2]);

    if (result != H_SUCCESS) {
        return result;
    }
    remove_entry(index, &v, &r);
    r &= ~(R_PP0 | R_PP | R_N | R_KEY_HIGH | R_KEY_LOW);
    r |= (flags << 55 & R_PP0) | (flags << 48 & R_KEY_HIGH) | (flags & (R_PP | R_N | R_KEY_LOW));
    put(index, v, r);
    return H_SUCCESS;
}

static int64_t h_read(void *opaque, uint64_t opcode, uint64_t *args)
{
    uint64_t index = args[1];
    unsigned count = 1;

    if (index >= hpt.entries) {
        return H_PARAMETER;
    }
    if (args[0] & FLAG_READ_4) {
        index &= ~UINT64_C(3);
        count = 4;
    }
    for (unsigned i = 0; i < count; i++) {
        args[i * 2] = get_v(index + i);
        args[i * 2 + 1] = get_r(index + i);
    }
    return H_SUCCESS;
}

/* flags, index, tag -> second half as it was. */
static int64_t h_clear_bits(void *opaque, uint64_t opcode, uint64_t *args)
{
    uint64_t index = args[1], v, r;
    int64_t result = find(index, args[0] & FLAG_AVPN, args[2]);

    if (result == H_SUCCESS) {
        remove_entry(index, &v, &r);
        put(index, v, r & ~(opcode == H_CLEAR_REF ? R_REF : R_CHANGE));
        args[0] = r;
    }
    return result;
}

static int64_t h_clear(void *opaque, uint64_t opcode, uint64_t *args)
{
    hpt_clear();
    return H_SUCCESS;
}

void hpt_clear(void)
{
    memset(hpt.table, 0, hpt.entries * ENTRY);
    hpt.flush(hpt.opaque, HPT_ALL, 0, 0);
}

/* ---- another table ---- */

/* The hash of the virtual page that an entry maps: AVPN has its address from bit 23 on, the place in the table the rest. */
static uint64_t hash_of(uint64_t index, uint64_t v, uint64_t r)
{
    uint64_t size = page_size(v, r), group = v & V_SECONDARY ? ~(index / GROUP) : index / GROUP, vsid, offset;
    unsigned shift = size ? __builtin_ctzll(size) : 12, segment = v >> 62 ? 40 : 28;
    unsigned __int128 va = (unsigned __int128)(v & UINT64_C(0x3fffffffffffff80)) << 16;

    if (shift < 23) {
        va |= ((group ^ (uint64_t)(va >> segment)) << shift) & 0x7fffff;
    }
    vsid = va >> segment;
    offset = va & ((UINT64_C(1) << segment) - 1);
    return vsid ^ (segment == 40 ? vsid << 25 : 0) ^ offset >> shift;
}

static bool enter_at(uint8_t *to, uint64_t group, uint64_t v, uint64_t r)
{
    for (unsigned i = 0; i < GROUP; i++) {
        uint8_t *entry = to + (group * GROUP + i) * ENTRY;

        if (!(load_be64(entry) & V_VALID)) {
            store_be64(entry, v);
            store_be64(entry + 8, r);
            return true;
        }
    }
    return false;
}

bool hpt_rehash(uint8_t *to, unsigned shift)
{
    uint64_t size = UINT64_C(1) << shift, mask = size / (ENTRY * GROUP) - 1;

    memset(to, 0, size);
    for (uint64_t i = 0; i < hpt.entries; i++) {
        uint64_t v = get_v(i), r = get_r(i), hash;

        if ((v & (V_VALID | V_BOLTED)) != (V_VALID | V_BOLTED)) {
            continue;
        }
        hash = hash_of(i, v, r);
        if (!enter_at(to, hash & mask, v & ~V_SECONDARY, r) && !enter_at(to, ~hash & mask, v | V_SECONDARY, r)) {
            return false;
        }
    }
    return true;
}

void hpt_use(uint8_t *table, unsigned shift)
{
    hpt.table = table;
    hpt.entries = (UINT64_C(1) << shift) / ENTRY;
    hpt.flush(hpt.opaque, HPT_ALL, 0, 0);
}

void hpt_add_window(PhysAddr first, uint64_t size)
{
    for (unsigned i = 0; i < hpt.windows; i++) {
        if (hpt.window[i].first == first) {
            return;
        }
    }
    g_assert(hpt.windows < WINDOWS);
    hpt.window[hpt.windows].first = first;
    hpt.window[hpt.windows++].last = first + size - 1;
}

void hpt_init(uint8_t *table, unsigned shift, uint64_t ram_size, HptFlushFn *flush, void *opaque)
{
    hpt.table = table;
    hpt.entries = (UINT64_C(1) << shift) / ENTRY;
    hpt.ram_size = ram_size;
    hpt.windows = 0;
    hpt.flush = flush;
    hpt.opaque = opaque;
    papr_hcall_add(H_ENTER, h_enter, NULL);
    papr_hcall_add(H_REMOVE, h_remove, NULL);
    papr_hcall_add(H_BULK_REMOVE, h_bulk_remove, NULL);
    papr_hcall_add(H_PROTECT, h_protect, NULL);
    papr_hcall_add(H_READ, h_read, NULL);
    papr_hcall_add(H_CLEAR_REF, h_clear_bits, NULL);
    papr_hcall_add(H_CLEAR_MOD, h_clear_bits, NULL);
    papr_hcall_add(H_CLEAR_HPT, h_clear, NULL);
}
