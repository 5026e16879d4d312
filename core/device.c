/* Devices and buses: creation, realization, reset and snapshots. */
#include "core/device-internal.h"

#include "core/machine.h"
#include "util/error.h"

static GPtrArray *devices; /* realized ones, in order of creation */
static GPtrArray *buses;
static GHashTable *numbers; /* type name to the number of the next id made from it */

const DeviceType *device_type_find(const char *name)
{
    for (const DeviceType *const *type = device_types; *type; type++) {
        if (g_str_equal((*type)->name, name) ||
            ((*type)->alias && g_str_equal((*type)->alias, name))) {
            return *type;
        }
    }
    return NULL;
}

void bus_init(Bus *bus, const char *kind, const char *name, Device *owner)
{
    bus->kind = kind;
    bus->name = g_strdup(name);
    bus->owner = owner;
    bus->devices = g_ptr_array_new();
    if (!buses) {
        buses = g_ptr_array_new();
    }
    g_ptr_array_add(buses, bus);
}

Bus *bus_new(const char *kind, const char *name, Device *owner)
{
    Bus *bus = g_new0(Bus, 1);

    bus_init(bus, kind, name, owner);
    return bus;
}

void bus_clear(Bus *bus)
{
    while (bus->devices->len) {
        device_free(bus->devices->pdata[bus->devices->len - 1]);
    }
    g_ptr_array_remove(buses, bus);
    g_ptr_array_free(bus->devices, TRUE);
    bus->devices = NULL;
    g_clear_pointer(&bus->name, g_free);
}

void bus_free(Bus *bus)
{
    bus_clear(bus);
    g_free(bus);
}

void bus_for_each(void (*fn)(Bus *bus, void *opaque), void *opaque)
{
    for (guint i = 0; buses && i < buses->len; i++) {
        fn(buses->pdata[i], opaque);
    }
}

Bus *bus_find(const char *name)
{
    for (guint i = 0; buses && i < buses->len; i++) {
        Bus *bus = buses->pdata[i];

        if (g_str_equal(bus->name, name)) {
            return bus;
        }
    }
    return NULL;
}

Bus *bus_find_kind(const char *kind)
{
    for (guint i = 0; buses && i < buses->len; i++) {
        Bus *bus = buses->pdata[i];

        if (g_str_equal(bus->kind, kind)) {
            return bus;
        }
    }
    return NULL;
}

/* "e1000.0", "e1000.1" ... */
static char *make_id(const DeviceType *type)
{
    guint number;

    if (!numbers) {
        numbers = g_hash_table_new(g_str_hash, g_str_equal);
    }
    number = GPOINTER_TO_UINT(g_hash_table_lookup(numbers, type->name));
    g_hash_table_insert(numbers, (gpointer)type->name, GUINT_TO_POINTER(number + 1));
    return g_strdup_printf("%s.%u", type->name, number);
}

/* What the user wants of every device of a type. */
typedef struct UserDefault {
    const DeviceType *type;
    char *name, *value;
} UserDefault;

static GPtrArray *user_defaults;

void device_add_default(const DeviceType *type, const char *name, const char *value)
{
    UserDefault *d = g_new(UserDefault, 1);

    *d = (UserDefault){ type, g_strdup(name), g_strdup(value) };
    user_defaults = user_defaults ? user_defaults : g_ptr_array_new();
    g_ptr_array_add(user_defaults, d);
}

static void apply_defaults(Device *dev)
{
    for (guint i = 0; user_defaults && i < user_defaults->len; i++) {
        const UserDefault *d = user_defaults->pdata[i];

        if (d->type == dev->type && !dev->bad_default &&
            !device_set_property(dev, d->name, d->value, &dev->bad_default)) {
            g_prefix_error(&dev->bad_default, "-global %s.%s=%s: ", d->type->name, d->name, d->value);
        }
    }
}

Device *device_new(const DeviceType *type, const char *id)
{
    Device *dev = g_malloc0(type->size);

    g_assert(type->size >= sizeof(Device));
    dev->type = type;
    dev->bootindex = -1;
    dev->id = id ? g_strdup(id) : make_id(type);
    if (type->state) {
        state_reset(type->state, device_state(dev));
    }
    device_init_properties(dev);
    apply_defaults(dev);
    return dev;
}

static void leave_bus(Device *dev)
{
    if (dev->bus) {
        if (dev->bus->detach) {
            dev->bus->detach(dev->bus, dev);
        }
        g_ptr_array_remove(dev->bus->devices, dev);
        dev->bus = NULL;
    }
}

void device_free(Device *dev)
{
    if (!dev) {
        return;
    }
    if (dev->realized) {
        g_ptr_array_remove(devices, dev);
        if (dev->bus && dev->bus->quiesce) {
            dev->bus->quiesce(dev);
        }
        if (dev->type->unrealize) {
            dev->type->unrealize(dev);
        }
    }
    leave_bus(dev);
    device_free_properties(dev);
    g_clear_error(&dev->bad_default);
    g_free(dev->id);
    g_free(dev);
}

static DeviceUnpluggedFn *unplugged_fn;

void device_set_unplugged_fn(DeviceUnpluggedFn *fn)
{
    unplugged_fn = fn;
}

static void free_device(void *opaque)
{
    device_free(opaque);
}

void device_unplug(Device *dev)
{
    g_autofree char *id = g_strdup(dev->id);

    machine_without_cpus(free_device, dev);
    if (unplugged_fn) {
        unplugged_fn(id);
    }
}

static bool join_bus(Device *dev, Bus *bus, GError **error)
{
    if (dev->type->bus && !g_str_equal(dev->type->bus, bus->kind)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "device '%s' needs a bus of kind '%s', and '%s' is of kind '%s'",
                    dev->type->name, dev->type->bus, bus->name, bus->kind);
        return false;
    }
    if (bus->attach && !bus->attach(bus, dev, error)) {
        return false;
    }
    dev->bus = bus;
    g_ptr_array_add(bus->devices, dev);
    return true;
}

bool device_realize(Device *dev, Bus *bus, GError **error)
{
    g_assert(!dev->realized);
    if (dev->bad_default) {
        g_propagate_error(error, g_steal_pointer(&dev->bad_default));
        return false;
    }
    if (device_find(dev->id)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "there are two devices with id '%s'", dev->id);
        return false;
    }
    if (bus && !join_bus(dev, bus, error)) {
        return false;
    }
    /* Before its realize, which may create devices of its own: bridges come before what is behind. */
    if (!devices) {
        devices = g_ptr_array_new();
    }
    g_ptr_array_add(devices, dev);
    if (dev->type->realize && !dev->type->realize(dev, error)) {
        g_ptr_array_remove(devices, dev);
        leave_bus(dev);
        return false;
    }
    dev->realized = true;
    return true;
}

void *device_state(Device *dev)
{
    return (char *)dev + dev->type->state_at;
}

Device *device_find(const char *id)
{
    for (guint i = 0; devices && i < devices->len; i++) {
        Device *dev = devices->pdata[i];

        if (g_str_equal(dev->id, id)) {
            return dev;
        }
    }
    return NULL;
}

void device_for_each(void (*fn)(Device *dev, void *opaque), void *opaque)
{
    for (guint i = 0; devices && i < devices->len; i++) {
        fn(devices->pdata[i], opaque);
    }
}

void device_reset(Device *dev)
{
    if (dev->type->state) {
        state_reset(dev->type->state, device_state(dev));
    }
    if (dev->bus && dev->bus->reset) {
        dev->bus->reset(dev);
    }
    if (dev->type->reset) {
        dev->type->reset(dev);
    }
    if (dev->type->update) {
        dev->type->update(dev);
    }
}

void devices_reset_all(void)
{
    for (guint i = 0; devices && i < devices->len; i++) {
        device_reset(devices->pdata[i]);
    }
}

void device_fetch(Device *dev)
{
    if (dev->type->fetch) {
        dev->type->fetch(dev);
    }
}

void device_save(Device *dev, GKeyFile *out)
{
    device_fetch(dev);
    if (dev->type->state) {
        state_save(dev->type->state, device_state(dev), out, dev->id);
    }
    if (dev->bus && dev->bus->save) {
        dev->bus->save(dev, out);
    }
    if (dev->type->save_extra) {
        dev->type->save_extra(dev, out);
    }
}

static bool load_parts(Device *dev, GKeyFile *in, GError **error)
{
    const DeviceType *type = dev->type;

    if (type->state && !state_load(type->state, device_state(dev), in, dev->id, error)) {
        return false;
    }
    if (dev->bus && dev->bus->load && !dev->bus->load(dev, in, error)) {
        return false;
    }
    if (type->load_extra && !type->load_extra(dev, in, error)) {
        return false;
    }
    return !type->post_load || type->post_load(dev, error);
}

bool device_load(Device *dev, GKeyFile *in, GError **error)
{
    if (!load_parts(dev, in, error)) {
        device_reset(dev);
        return false;
    }
    if (dev->type->update) {
        dev->type->update(dev);
    }
    return true;
}
