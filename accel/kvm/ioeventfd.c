/* Doorbells that the kernel rings: a store to one of them adds to its eventfd, and the vCPU goes on at once. */
#include "accel/kvm/internal.h"

#include "util/log.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

typedef struct Bell {
    struct kvm_ioeventfd k;
    bool kept; /* by the map that is being applied */
} Bell;

static GArray *bells; /* of Bell */

static bool assign(struct kvm_ioeventfd k, uint32_t flags)
{
    k.flags |= flags;
    return ioctl(kvm.vm, KVM_IOEVENTFD, &k) >= 0;
}

static Bell *find(const struct kvm_ioeventfd *k)
{
    for (guint i = 0; i < bells->len; i++) {
        Bell *bell = &g_array_index(bells, Bell, i);

        if (!memcmp(&bell->k, k, sizeof(*k))) {
            return bell;
        }
    }
    return NULL;
}

static void add_range(const MemoryRange *range, uint32_t flags, GArray *wanted)
{
    unsigned n;
    const Doorbell *doorbells = region_doorbells(range->region, &n);

    for (unsigned i = 0; i < n; i++) {
        const Doorbell *d = &doorbells[i];
        Bell bell = { .k = { .len = d->size ? d->size : kvm.any_length ? 0 : 2, .fd = d->fd, .datamatch = d->value,
                             .flags = flags | (d->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0) } };
        Bell *old;

        if (d->offset < range->offset || d->offset - range->offset > range->last - range->start) {
            continue;
        }
        bell.k.addr = range->start + (d->offset - range->offset);
        old = find(&bell.k);
        if (old) {
            old->kept = true;
        } else {
            g_array_append_val(wanted, bell);
        }
    }
}

void kvm_doorbells_changed(AddressSpace *as)
{
    g_autoptr(GArray) wanted = g_array_new(FALSE, FALSE, sizeof(Bell));
    uint32_t flags = as == memory_ports() ? KVM_IOEVENTFD_FLAG_PIO : 0;

    if (!kvm.ioeventfd || (as != memory_ports() && as != memory_system())) {
        return;
    }
    if (!bells) {
        bells = g_array_new(FALSE, FALSE, sizeof(Bell));
    }
    for (guint i = 0; i < bells->len; i++) {
        Bell *bell = &g_array_index(bells, Bell, i);

        bell->kept = (bell->k.flags & KVM_IOEVENTFD_FLAG_PIO) != flags; /* the other space's */
    }
    for (PhysAddr at = 0;;) {
        MemoryRange range = address_space_find(as, at);

        if (range.region && !range.ram) {
            add_range(&range, flags, wanted);
        }
        if (range.last == UINT64_MAX) {
            break;
        }
        at = range.last + 1;
    }
    for (guint i = bells->len; i-- > 0;) {
        Bell *bell = &g_array_index(bells, Bell, i);

        if (!bell->kept) {
            assign(bell->k, KVM_IOEVENTFD_FLAG_DEASSIGN);
            g_array_remove_index_fast(bells, i);
        }
    }
    for (guint i = 0; i < wanted->len; i++) {
        Bell bell = g_array_index(wanted, Bell, i);

        if (assign(bell.k, 0)) {
            g_array_append_val(bells, bell);
        } else { /* stores come out, as they do without */
            trace("kvm_doorbell", "%" G_GINT64_MODIFIER "x: %s", (uint64_t)bell.k.addr, g_strerror(errno));
        }
    }
}
