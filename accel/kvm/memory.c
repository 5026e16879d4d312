/*
 * The memory map as KVM's slots, and the display's dirty log out of the kernel's.
 *
 * Each published map is compared with the slots: those that went or changed are deleted, new ones made. ROM is a
 * read-only slot, so stores to it come out as MMIO exits, as those to devices do.
 */
#include "accel/kvm/internal.h"

#include "core/lock.h"
#include "util/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

typedef struct Slot {
    uint32_t number;
    PhysAddr start;
    uint64_t size;
    RamBlock *ram;
    uint64_t offset; /* in the block */
    uint32_t flags;
    bool kept;       /* by the map that is being applied */
} Slot;

static GArray *slots; /* of Slot */

static bool set_slot(const Slot *slot, uint64_t size)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot->number, .flags = slot->flags, .guest_phys_addr = slot->start, .memory_size = size,
        .userspace_addr = (uintptr_t)slot->ram->host + slot->offset,
    };

    if (ioctl(kvm.vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) {
        log_error("KVM: cannot %s memory at %" PRIx64 ", %" PRIu64 " bytes: %s", size ? "map" : "unmap",
                  (uint64_t)slot->start, slot->size, g_strerror(errno));
        return false;
    }
    return true;
}

static uint32_t free_number(void)
{
    for (uint32_t number = 0;; number++) {
        bool used = false;

        for (guint i = 0; i < slots->len && !used; i++) {
            used = g_array_index(slots, Slot, i).number == number;
        }
        if (!used) {
            return number;
        }
    }
}

/* What the range would be as a slot; false: the guest's accesses there must come out. */
static bool as_slot(const MemoryRange *range, Slot *out)
{
    uint64_t size = range->last - range->start + 1;

    if (!range->ram || range->ram->freed || ((range->start | range->offset | size) & (GUEST_PAGE_SIZE - 1)) || !size) {
        return false;
    }
    if (range->readonly && !kvm.readonly_memory) {
        return false;
    }
    *out = (Slot){ .start = range->start, .size = size, .ram = range->ram, .offset = range->offset,
                   .flags = (range->readonly ? KVM_MEM_READONLY : 0) |
                            (range->ram->logged && !range->readonly ? KVM_MEM_LOG_DIRTY_PAGES : 0) };
    return true;
}

static Slot *same_slot(const Slot *wanted)
{
    for (guint i = 0; i < slots->len; i++) {
        Slot *slot = &g_array_index(slots, Slot, i);

        if (slot->start == wanted->start && slot->size == wanted->size && slot->ram == wanted->ram &&
            slot->offset == wanted->offset && slot->flags == wanted->flags) {
            return slot;
        }
    }
    return NULL;
}

static void fetch_dirty(const Slot *slot);

static void map_changed(void *opaque, AddressSpace *as)
{
    g_autoptr(GArray) wanted = g_array_new(FALSE, FALSE, sizeof(Slot));
    PhysAddr at = 0;

    kvm_doorbells_changed(as);
    if (as != memory_system()) {
        return;
    }
    for (guint i = 0; i < slots->len; i++) {
        g_array_index(slots, Slot, i).kept = false;
    }
    for (;;) {
        MemoryRange range = address_space_find(as, at);
        Slot slot;

        if (as_slot(&range, &slot)) {
            Slot *old = same_slot(&slot);

            if (old) {
                old->kept = true;
            } else {
                g_array_append_val(wanted, slot);
            }
        }
        if (range.last == UINT64_MAX) {
            break;
        }
        at = range.last + 1;
    }
    for (guint i = slots->len; i-- > 0;) {
        Slot *slot = &g_array_index(slots, Slot, i);

        if (!slot->kept) {
            fetch_dirty(slot);
            set_slot(slot, 0);
            g_array_remove_index_fast(slots, i);
        }
    }
    if (slots->len + wanted->len > (guint)kvm.max_slots) {
        log_error("KVM: this kernel has %d memory slots, and the machine's memory map wants %u: what is left out is slow; "
                  "fewer devices or ROMs help", kvm.max_slots, slots->len + wanted->len);
        g_array_set_size(wanted, kvm.max_slots - slots->len);
    }
    for (guint i = 0; i < wanted->len; i++) {
        Slot slot = g_array_index(wanted, Slot, i);

        slot.number = free_number();
        if (set_slot(&slot, slot.size)) {
            g_array_append_val(slots, slot);
        }
    }
}

/* ---- dirty log ---- */

/* Pages that the guest wrote since the last time: their flags say so from now on. */
static void fetch_dirty(const Slot *slot)
{
    uint64_t pages = slot->size >> GUEST_PAGE_BITS, words = (pages + 63) / 64;
    g_autofree uint64_t *bitmap = NULL;
    struct kvm_dirty_log log = { .slot = slot->number };

    if (!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES)) {
        return;
    }
    if (kvm.dirty_ring) {
        kvm_ring_collect();
        return;
    }
    bitmap = g_new0(uint64_t, words);
    log.dirty_bitmap = bitmap;
    if (ioctl(kvm.vm, KVM_GET_DIRTY_LOG, &log) < 0) {
        ram_mark_dirty(slot->ram, slot->offset, slot->size);
        return;
    }
    for (uint64_t i = 0; i < words; i++) {
        for (uint64_t bits = bitmap[i]; bits; bits &= bits - 1) {
            uint64_t page = i * 64 + __builtin_ctzll(bits);

            ram_mark_dirty(slot->ram, slot->offset + (page << GUEST_PAGE_BITS), GUEST_PAGE_SIZE);
        }
    }
}

void kvm_slot_written(uint32_t number, uint64_t page)
{
    for (guint i = 0; i < slots->len; i++) {
        const Slot *slot = &g_array_index(slots, Slot, i);

        if (slot->number == number && page < slot->size >> GUEST_PAGE_BITS) {
            ram_mark_dirty(slot->ram, slot->offset + (page << GUEST_PAGE_BITS), GUEST_PAGE_SIZE);
            return;
        }
    }
}

static void sync_log(void *opaque, RamBlock *ram)
{
    for (guint i = 0; i < slots->len; i++) {
        const Slot *slot = &g_array_index(slots, Slot, i);

        if (slot->ram == ram) {
            fetch_dirty(slot);
        }
    }
}

/* ---- stores that the kernel collects ---- */

void kvm_flush_coalesced(void)
{
    struct kvm_coalesced_mmio_ring *ring = kvm.ring;
    static const unsigned size = (4096 - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio);

    if (!ring || ring->first == *(volatile uint32_t *)&ring->last) {
        return;
    }
    machine_lock();
    while (ring->first != *(volatile uint32_t *)&ring->last) {
        struct kvm_coalesced_mmio *store = &ring->coalesced_mmio[ring->first];

        __sync_synchronize();
        memory_write(store->pio ? memory_ports() : memory_system(), store->phys_addr, store->data, store->len);
        __sync_synchronize();
        ring->first = (ring->first + 1) % size;
    }
    machine_unlock();
}

/* The listener stays when another engine takes over, so that slots follow the map. */
void kvm_memory_enter(void)
{
    if (!slots) {
        slots = g_array_new(FALSE, FALSE, sizeof(Slot));
        memory_listen(map_changed, NULL);
        memory_set_log_sync_fn(sync_log, NULL);
        map_changed(NULL, memory_system());
        map_changed(NULL, memory_ports());
    }
}

void kvm_memory_leave(void)
{
    kvm_flush_coalesced();
    for (guint i = 0; i < slots->len; i++) {
        fetch_dirty(&g_array_index(slots, Slot, i));
    }
}
