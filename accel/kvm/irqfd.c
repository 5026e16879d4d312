/* Interrupt messages that the kernel takes from eventfds: each has a route of its own behind the I/O APIC's inputs. */
#include "accel/kvm/internal.h"

#include "util/log.h"

#include <errno.h>
#include <sys/ioctl.h>

typedef struct Message {
    uint64_t address; /* 0: free */
    uint32_t data;
} Message;

static GArray *messages; /* of Message; the first is of route KVM_PINS */

static bool assign(int route, int fd, uint32_t flags)
{
    struct kvm_irqfd k = { .fd = fd, .gsi = route, .flags = flags };

    return ioctl(kvm.vm, KVM_IRQFD, &k) >= 0;
}

unsigned kvm_irqfd_count(void)
{
    return messages ? messages->len : 0;
}

void kvm_irqfd_add_routes(struct kvm_irq_routing *table)
{
    for (unsigned i = 0; i < kvm_irqfd_count(); i++) {
        const Message *m = &g_array_index(messages, Message, i);

        if (m->address) {
            kvm_add_message_route(table, KVM_PINS + i, m->address, m->data);
        }
    }
}

/* Its place in the array, which grows as long as the kernel has routes. */
static int free_message(void)
{
    static const Message none = { 0 };

    if (!messages) {
        messages = g_array_new(FALSE, FALSE, sizeof(Message));
    }
    for (guint i = 0; i < messages->len; i++) {
        if (!g_array_index(messages, Message, i).address) {
            return i;
        }
    }
    if (messages->len + KVM_FIXED_ROUTES >= (guint)kvm.max_routes) {
        return -1;
    }
    g_array_append_val(messages, none);
    return messages->len - 1;
}

int kvm_irqfd_connect(int fd, uint64_t address, uint32_t data)
{
    int i = kvm.irqfd ? free_message() : -1;

    if (i < 0) {
        return -1;
    }
    g_array_index(messages, Message, i) = (Message){ address, data };
    if (!kvm_set_routes() || !assign(KVM_PINS + i, fd, 0)) {
        trace("kvm_irqfd", "route %d: %s", KVM_PINS + i, g_strerror(errno));
        g_array_index(messages, Message, i).address = 0;
        return -1;
    }
    trace("kvm_irqfd", "route %d: %x to %" G_GINT64_MODIFIER "x", KVM_PINS + i, data, address);
    return KVM_PINS + i;
}

/* The route stays in the kernel's table, unused, until that is next set. */
void kvm_irqfd_disconnect(int route, int fd)
{
    assign(route, fd, KVM_IRQFD_FLAG_DEASSIGN);
    g_array_index(messages, Message, route - KVM_PINS).address = 0;
}
