/* USB buses and ports: where devices are plugged in, and how packets find them. */
#include "hw/usb/internal.h"

#include "util/error.h"

#include <stdio.h>
#include <string.h>

#define MAX_TIERS 5 /* hubs between a root port and a device; USB 2.0, section 4.1.1 */

static int bus_count;

/* ---- ports ---- */

const char *usb_speed_name(UsbSpeed speed)
{
    static const char *const names[] = { "1.5", "12", "480", "5000" };

    return names[speed];
}

void usb_bus_add_port(UsbBus *bus, UsbPort *port)
{
    port->path = port->hub ? g_strdup_printf("%s.%d", port->hub->socket->path, port->index + 1)
                           : g_strdup_printf("%d", port->index + 1);
    g_ptr_array_add(bus->ports, port);
}

void usb_bus_remove_port(UsbBus *bus, UsbPort *port)
{
    g_ptr_array_remove(bus->ports, port);
    g_clear_pointer(&port->path, g_free);
}

void usb_port_connect(UsbPort *port, UsbDevice *usb)
{
    UsbPort *old = usb->port;

    if (old) {
        old->dev = NULL;
        usb->port = NULL;
        old->ops->detached(old);
    }
    if (port) {
        g_assert(!port->dev);
        port->dev = usb;
        usb->port = port;
        usb_device_bus_reset(usb);
        port->ops->attached(port);
    }
}

UsbDevice *usb_port_find(UsbPort *port, uint8_t address)
{
    UsbDevice *usb = port->dev, *found = NULL;

    if (!usb) {
        return NULL;
    }
    if (usb->core.address == address) {
        return usb;
    }
    if (usb->ops->downstream) {
        UsbPort *next;

        for (int n = 0; !found && (next = usb->ops->downstream(usb, n)); n++) {
            if (usb->ops->enabled(usb, n)) {
                found = usb_port_find(next, address);
            }
        }
    }
    return found;
}

UsbPort *usb_root_port(const UsbDevice *usb)
{
    UsbPort *port = usb->port;

    while (port && port->hub) {
        port = port->hub->port;
    }
    return port;
}

void usb_ready(UsbDevice *usb, uint8_t address, unsigned stream)
{
    UsbPort *root = usb_root_port(usb);

    if (root) {
        root->ops->ready(root, usb, address, stream);
    }
}

void usb_wakeup(UsbDevice *usb)
{
    if (usb->core.remote_wakeup && usb->port) {
        usb->port->ops->wakeup(usb->port);
    }
}

/* ---- placement ---- */

static int tiers(const UsbPort *port)
{
    int n = 0;

    for (; port->hub; port = port->hub->socket) {
        n++;
    }
    return n;
}

static UsbPort *find_port(UsbBus *bus, const char *path)
{
    for (guint i = 0; i < bus->ports->len; i++) {
        UsbPort *port = bus->ports->pdata[i];

        if (g_str_equal(port->path, path)) {
            return port;
        }
    }
    return NULL;
}

static bool usable(const UsbPort *port, const UsbDescriptors *desc, bool is_hub)
{
    return !port->owner && (port->speeds & usb_device_speeds(desc)) && (!is_hub || tiers(port) < MAX_TIERS);
}

/* The first free port, those of the controller before those of hubs. *free counts them all. */
static UsbPort *pick_port(UsbBus *bus, const UsbDescriptors *desc, bool is_hub, int *free)
{
    UsbPort *first = NULL;

    *free = 0;
    for (guint i = 0; i < bus->ports->len; i++) {
        UsbPort *port = bus->ports->pdata[i];

        if (usable(port, desc, is_hub)) {
            first = first ? first : port;
            ++*free;
        }
    }
    return first;
}

/* The last free port gets a hub, so that there is always one more. */
static bool add_hub(UsbBus *bus, GError **error)
{
    Device *hub = device_new(device_type_find("usb-hub"), NULL);

    if (!device_realize(hub, &bus->bus, error)) {
        device_free(hub);
        return false;
    }
    return true;
}

static UsbPort *place(UsbBus *bus, UsbDevice *usb, bool is_hub, GError **error)
{
    UsbPort *port;
    int free;

    if (usb->port_path) {
        port = find_port(bus, usb->port_path);
        if (!port || !usable(port, usb->desc, is_hub)) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "bus '%s' has no %s port '%s' for device '%s'",
                        bus->bus.name,
                        port ? (port->owner ? "free" : "fitting") : "such", usb->port_path, usb->dev.id);
            return NULL;
        }
        return port;
    }
    port = pick_port(bus, usb->desc, is_hub, &free);
    if (free == 1 && !is_hub && tiers(port) < MAX_TIERS && (port->speeds & ~USB_SPEED(USB_SUPER))) {
        if (!add_hub(bus, error)) {
            return NULL;
        }
        port = pick_port(bus, usb->desc, is_hub, &free);
    }
    if (!port) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "no free port on bus '%s' for device '%s' (%s%s Mb/s)",
                    bus->bus.name, usb->dev.id, usb->desc->high || usb->desc->super ? "up to " : "",
                    usb_speed_name(31 - __builtin_clz(usb_device_speeds(usb->desc))));
    }
    return port;
}

bool usb_device_init(UsbDevice *usb, const UsbDescriptors *desc, const UsbDeviceOps *ops, GError **error)
{
    UsbBus *bus = (UsbBus *)usb->dev.bus;
    UsbPort *port;

    usb->desc = desc;
    usb->ops = ops;
    port = place(bus, usb, ops->downstream != NULL, error);
    if (!port) {
        return false;
    }
    port->owner = usb;
    usb->socket = port;
    return true;
}

void usb_device_plug(UsbDevice *usb)
{
    usb_port_connect(usb->socket, usb);
}

void usb_device_unplug(UsbDevice *usb)
{
    if (usb->port) {
        usb_port_connect(NULL, usb);
    }
}

static void usb_detach(Bus *bus, Device *dev)
{
    UsbDevice *usb = (UsbDevice *)dev;

    usb_device_unplug(usb);
    if (usb->socket) {
        usb->socket->owner = NULL;
        if (usb->socket->ops->vacated) {
            usb->socket->ops->vacated(usb->socket);
        }
        usb->socket = NULL;
    }
}

static char *usb_address(Device *dev)
{
    const UsbDevice *usb = (UsbDevice *)dev;

    return g_strdup_printf("%d.%d, port %s", ((UsbBus *)dev->bus)->number, usb->core.address,
                           usb->socket ? usb->socket->path : "none");
}

/* ---- snapshots: what the core keeps of a device is a group of its own ---- */

static const StateField *core_fields(size_t *count)
{
    typedef UsbDeviceState Owner;
    static const StateField rows[] = { USB_DEVICE_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

static void usb_reset(Device *dev)
{
    state_reset(core_fields, &((UsbDevice *)dev)->core);
}

static void usb_save(Device *dev, GKeyFile *out)
{
    g_autofree char *group = g_strconcat(dev->id, "/usb", NULL);

    state_save(core_fields, &((UsbDevice *)dev)->core, out, group);
}

static bool usb_load(Device *dev, GKeyFile *in, GError **error)
{
    UsbDeviceState *core = &((UsbDevice *)dev)->core;
    g_autofree char *group = g_strconcat(dev->id, "/usb", NULL);

    if (!state_load(core_fields, core, in, group, error)) {
        return false;
    }
    if (core->control_size > USB_CONTROL_MAX || core->control_at > core->control_size) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad control transfer of '%s'", dev->id);
        return false;
    }
    return true;
}

/* ---- buses ---- */

UsbBus *usb_bus_new(Device *owner)
{
    UsbBus *bus = g_new0(UsbBus, 1);
    bool user_named = !strchr(owner->id, '.');
    g_autofree char *name = user_named ? g_strdup_printf("%s.0", owner->id)
                                       : g_strdup_printf("usb-bus.%d", bus_count);

    bus->number = bus_count++;
    bus_init(&bus->bus, "usb", name, owner);
    bus->bus.detach = usb_detach;
    bus->bus.address = usb_address;
    bus->bus.reset = usb_reset;
    bus->bus.save = usb_save;
    bus->bus.load = usb_load;
    bus->ports = g_ptr_array_new();
    return bus;
}

bool usb_bus_lend(const char *masterbus, UsbPort *ports, int count, int first, GError **error)
{
    Bus *bus = bus_find(masterbus);

    if (!bus || !g_str_equal(bus->kind, "usb")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "masterbus=%s: there is no such USB bus", masterbus);
        return false;
    }
    if (!((UsbBus *)bus)->lend) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "masterbus=%s: only a usb-ehci has companions", masterbus);
        return false;
    }
    return ((UsbBus *)bus)->lend((UsbBus *)bus, ports, count, first, error);
}

/* ---- monitor ---- */

typedef struct AddressSearch {
    int bus, address;
    UsbDevice *found;
} AddressSearch;

static void search_bus(Bus *b, void *opaque)
{
    AddressSearch *search = opaque;
    UsbBus *bus = (UsbBus *)b;

    if (!g_str_equal(b->kind, "usb") || bus->number != search->bus) {
        return;
    }
    for (guint i = 0; i < bus->ports->len; i++) {
        UsbDevice *usb = ((UsbPort *)bus->ports->pdata[i])->owner;

        if (usb && usb->core.address == search->address) {
            search->found = usb;
        }
    }
}

UsbDevice *usb_find_by_address(const char *text)
{
    AddressSearch search = { 0 };

    if (sscanf(text, "%d.%d", &search.bus, &search.address) == 2) {
        bus_for_each(search_bus, &search);
    }
    return search.found;
}

static void describe_bus(Bus *b, void *opaque)
{
    UsbBus *bus = (UsbBus *)b;
    GString *out = opaque;

    if (!g_str_equal(b->kind, "usb")) {
        return;
    }
    for (guint i = 0; i < bus->ports->len; i++) {
        UsbPort *port = bus->ports->pdata[i];
        UsbDevice *usb = port->owner;

        if (usb) {
            g_string_append_printf(out, "  Device %d.%d, Port %s, Speed %s Mb/s, Product %s", bus->number,
                                   usb->core.address, port->path, usb_speed_name(usb->speed),
                                   usb->desc->strings[usb->desc->product_string]);
            g_string_append_printf(out, ", ID: %s\n", usb->dev.id);
        }
    }
}

char *usb_describe(void)
{
    GString *out = g_string_new(NULL);

    if (!bus_find_kind("usb")) {
        g_string_append(out, "USB support not enabled\n");
        return g_string_free(out, FALSE);
    }
    bus_for_each(describe_bus, out);
    return g_string_free(out, FALSE);
}
