/*
 * Notifications that an engine turns into counts of an eventfd, so that the guest goes on at once: they are served in the main
 * loop, or in the device's I/O thread. One eventfd a device: all its queues are looked at.
 */
#include "hw/virtio/virtqueue.h"

#include <glib-unix.h>
#include <sys/eventfd.h>
#include <unistd.h>

static gboolean rung(int fd, GIOCondition condition, gpointer opaque)
{
    VirtioDevice *v = opaque;
    eventfd_t count;

    eventfd_read(fd, &count);
    virtio_lock(v);
    virtio_count_busy(v, 1);
    for (unsigned i = 0; i < v->queue_count && virtio_ready(v); i++) {
        if (v->queues[i]->s.enabled) {
            v->class->notify(v, v->queues[i]);
        }
    }
    virtio_count_busy(v, -1);
    virtio_unlock(v);
    return G_SOURCE_CONTINUE;
}

void virtio_bell_make(VirtioDevice *v)
{
    v->bell_fd = v->ioeventfd && memory_doorbells_wanted() ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    virtio_bell_attach(v);
}

static void nothing(void *opaque)
{
}

void virtio_bell_detach(VirtioDevice *v)
{
    if (v->bell) {
        g_source_destroy(v->bell);
        if (v->iothread) {
            iothread_call_wait(v->iothread, nothing, NULL); /* it may be running a last time */
        }
        g_clear_pointer(&v->bell, g_source_unref);
    }
}

void virtio_bell_attach(VirtioDevice *v)
{
    if (v->bell_fd < 0) {
        return;
    }
    v->bell = g_unix_fd_source_new(v->bell_fd, G_IO_IN);
    g_source_set_callback(v->bell, G_SOURCE_FUNC(rung), v, NULL);
    g_source_attach(v->bell, v->iothread ? iothread_context(v->iothread) : NULL);
}

void virtio_bell_free(VirtioDevice *v)
{
    virtio_bell_detach(v);
    if (v->bell_fd >= 0) {
        close(v->bell_fd);
    }
    v->bell_fd = -1;
}
