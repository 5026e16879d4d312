/* Interrupt messages by eventfd: connected to the engine's kernel, or relayed by the main loop. */
#include "core/irqwire.h"

#include "core/irqchip.h"

#include <glib-unix.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { UNCONNECTED = -1 };
#define MESSAGE_BASE UINT64_C(0xfee00000) /* of local APICs; elsewhere a message is a store like any other */
#define MESSAGE_SIZE UINT64_C(0x100000)

struct IrqWire {
    int fd;
    void (*relay)(void *opaque);
    void *opaque;
    GSource *watch; /* while it is unconnected */
    int route;      /* the engine's, or UNCONNECTED */
    _Atomic bool connected;
    bool open;
    uint64_t address;
    uint32_t data;
};

static GPtrArray *wires;

static gboolean written(int fd, GIOCondition condition, gpointer opaque)
{
    irq_wire_flush(opaque);
    return G_SOURCE_CONTINUE;
}

static void watch(IrqWire *w)
{
    w->watch = g_unix_fd_source_new(w->fd, G_IO_IN);
    g_source_set_callback(w->watch, G_SOURCE_FUNC(written), w, NULL);
    g_source_attach(w->watch, NULL);
}

static void unwatch(IrqWire *w)
{
    g_source_destroy(w->watch);
    g_clear_pointer(&w->watch, g_source_unref);
}

static void disconnect(IrqWire *w)
{
    if (w->route != UNCONNECTED) {
        atomic_store(&w->connected, false);
        irqchip->disconnect(w->route, w->fd);
        w->route = UNCONNECTED;
        watch(w);
    }
}

static void connect(IrqWire *w)
{
    if (!w->open || !irqchip || !irqchip->connect || w->address - MESSAGE_BASE >= MESSAGE_SIZE) {
        return;
    }
    w->route = irqchip->connect(w->fd, w->address, w->data);
    if (w->route != UNCONNECTED) {
        unwatch(w);
        atomic_store(&w->connected, true);
    }
}

IrqWire *irq_wire_new(void (*relay)(void *opaque), void *opaque)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    IrqWire *w;

    if (fd < 0) {
        return NULL;
    }
    w = g_new0(IrqWire, 1);
    w->fd = fd;
    w->relay = relay;
    w->opaque = opaque;
    w->route = UNCONNECTED;
    watch(w);
    if (!wires) {
        wires = g_ptr_array_new();
    }
    g_ptr_array_add(wires, w);
    return w;
}

void irq_wire_free(IrqWire *w)
{
    if (w) {
        irq_wire_close(w);
        unwatch(w);
        close(w->fd);
        g_ptr_array_remove_fast(wires, w);
        g_free(w);
    }
}

void irq_wire_open(IrqWire *w, uint64_t address, uint32_t data)
{
    if (w->open && w->address == address && w->data == data) {
        return;
    }
    disconnect(w);
    w->open = true;
    w->address = address;
    w->data = data;
    connect(w);
}

void irq_wire_close(IrqWire *w)
{
    w->open = false;
    disconnect(w);
}

void irq_wire_flush(IrqWire *w)
{
    eventfd_t count;

    if (w->route == UNCONNECTED && eventfd_read(w->fd, &count) == 0) {
        w->relay(w->opaque);
    }
}

bool irq_wire_send(IrqWire *w)
{
    return atomic_load(&w->connected) && eventfd_write(w->fd, 1) == 0;
}

static void for_each(void (*fn)(IrqWire *w))
{
    for (guint i = 0; wires && i < wires->len; i++) {
        fn(g_ptr_array_index(wires, i));
    }
}

void irq_wires_cut(void)
{
    for_each(disconnect);
}

void irq_wires_join(void)
{
    for_each(connect);
}
