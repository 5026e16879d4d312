/*
 * Dirty rings: each vCPU lists the pages that it wrote, instead of a bit for each page of a slot (dirty-ring-size=N).
 *
 * An entry is dirty when the kernel has put it there, and given back by asking for its reset.
 */
#include "accel/kvm/internal.h"

#include "core/lock.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

bool kvm_ring_enable(GError **error)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_DIRTY_LOG_RING, .args[0] = kvm.dirty_ring * sizeof(struct kvm_dirty_gfn),
    };
    int most = ioctl(kvm.vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING);

    if (!kvm.dirty_ring) {
        return true;
    }
    if (most <= 0) {
        log_warn("-accel kvm: dirty-ring-size=%d: this kernel's KVM has no dirty rings; using bitmaps", kvm.dirty_ring);
        kvm.dirty_ring = 0;
        return true;
    }
    if (cap.args[0] > (uint64_t)most) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-accel kvm: dirty-ring-size=%d: this kernel's KVM has at most %d",
                    kvm.dirty_ring, most / (int)sizeof(struct kvm_dirty_gfn));
        return false;
    }
    if (ioctl(kvm.vm, KVM_ENABLE_CAP, &cap) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "KVM: cannot make dirty rings: %s", g_strerror(errno));
        return false;
    }
    return true;
}

bool kvm_ring_map(KvmCpu *kc, GError **error)
{
    if (!kvm.dirty_ring) {
        return true;
    }
    kc->dirty = mmap(NULL, kvm.dirty_ring * sizeof(*kc->dirty), PROT_READ | PROT_WRITE, MAP_SHARED, kc->fd,
                     KVM_DIRTY_LOG_PAGE_OFFSET * sysconf(_SC_PAGESIZE));
    if (kc->dirty == MAP_FAILED) {
        kc->dirty = NULL;
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "KVM: cannot map a dirty ring: %s", g_strerror(errno));
        return false;
    }
    return true;
}

static bool collect(KvmCpu *kc)
{
    bool any = false;

    for (;;) {
        struct kvm_dirty_gfn *entry = &kc->dirty[kc->dirty_next % kvm.dirty_ring];

        if (__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY) {
            return any;
        }
        kvm_slot_written(entry->slot, entry->offset);
        __atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        kc->dirty_next++;
        any = true;
    }
}

/* Under the machine lock: what all vCPUs have listed is known to ram_mark_dirty. */
void kvm_ring_collect(void)
{
    bool any = false;

    for (int i = 0; i < cpu_count(); i++) {
        KvmCpu *kc = kvm_cpu(cpu_get(i));

        any |= kc && kc->dirty && collect(kc);
    }
    if (any && ioctl(kvm.vm, KVM_RESET_DIRTY_RINGS, 0) < 0) {
        log_error("KVM: cannot reset the dirty rings: %s", g_strerror(errno));
    }
}
