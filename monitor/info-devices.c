/* `info qtree`, and the state of single devices. */
#include "monitor/internal.h"



typedef struct TreeWalk {
    Hmp *hmp;
    int indent;
    const Device *owner; /* whose buses, or whose children, are wanted */
} TreeWalk;

static void put_device(TreeWalk *walk, Device *dev);

static void put_bus(Bus *bus, void *opaque)
{
    TreeWalk *walk = opaque;

    /* A host bridge is a function on its own bus. */
    const Device *owner = bus->owner && bus->owner->bus == bus ? NULL : bus->owner;

    if (owner != walk->owner) {
        return;
    }
    hmp_printf(walk->hmp, "%*sbus: %s\n%*s  type %s\n", walk->indent, "", bus->name, walk->indent, "",
               bus->kind);
    walk->indent += 2;
    for (guint i = 0; i < bus->devices->len; i++) {
        put_device(walk, bus->devices->pdata[i]);
    }
    walk->indent -= 2;
}

static void put_device(TreeWalk *walk, Device *dev)
{
    TreeWalk inner = { walk->hmp, walk->indent + 2, dev };

    hmp_printf(walk->hmp, "%*sdev: %s, id \"%s\"\n", walk->indent, "", dev->type->name, dev->id);
    if (dev->bus && dev->bus->address) {
        g_autofree char *address = dev->bus->address(dev);

        hmp_printf(walk->hmp, "%*saddress %s\n", inner.indent, "", address);
    }
    for (const Prop *prop = dev->type->props; prop && prop->name; prop++) {
        g_autofree char *value = device_get_property(dev, prop->name);

        hmp_printf(walk->hmp, "%*s%s = %s\n", inner.indent, "", prop->name, value ? value : "\"\"");
    }
    bus_for_each(put_bus, &inner);
}

static void put_root_device(Device *dev, void *opaque)
{
    if (!dev->bus) {
        put_device(opaque, dev);
    }
}

void info_qtree(Hmp *hmp, const HmpArgs *args)
{
    TreeWalk walk = { hmp, 0, NULL };

    hmp_printf(hmp, "bus: main-system-bus\n  type System\n");
    walk.indent = 2;
    device_for_each(put_root_device, &walk);
    bus_for_each(put_bus, &walk);
}

/* As the device says it, or all of its state. */
static void put_state(Hmp *hmp, Device *dev)
{
    hmp_printf(hmp, "%s:\n", dev->id);
    if (dev->type->describe) {
        g_autoptr(GString) text = g_string_new(NULL);

        device_fetch(dev);
        dev->type->describe(dev, text);
        hmp_printf(hmp, "%s%s", text->str, g_str_has_suffix(text->str, "\n") ? "" : "\n");
    } else {
        g_autoptr(GKeyFile) state = g_key_file_new();
        g_auto(GStrv) keys = NULL;

        device_save(dev, state);
        keys = g_key_file_get_keys(state, dev->id, NULL, NULL);
        for (char **key = keys; key && *key; key++) {
            g_autofree char *value = g_key_file_get_value(state, dev->id, *key, NULL);

            hmp_printf(hmp, "  %s = %s\n", *key, value);
        }
    }
}

void info_device(Hmp *hmp, const HmpArgs *args)
{
    Device *dev = device_find(args->argv[0]);

    if (dev) {
        put_state(hmp, dev);
    } else {
        hmp_printf(hmp, "Error: Device '%s' not found\n", args->argv[0]);
    }
}

typedef struct TypeWalk {
    Hmp *hmp;
    const char *const *names;
} TypeWalk;

static void put_if_named(Device *dev, void *opaque)
{
    TypeWalk *walk = opaque;

    if (g_strv_contains(walk->names, dev->type->name)) {
        put_state(walk->hmp, dev);
    }
}

void info_pic(Hmp *hmp, const HmpArgs *args)
{
    static const char *const names[] = { "i8259", "isa-pic", "ioapic", NULL };
    TypeWalk walk = { hmp, names };

    device_for_each(put_if_named, &walk);
}

void info_lapic(Hmp *hmp, const HmpArgs *args)
{
    static const char *const names[] = { "apic", NULL };
    TypeWalk walk = { hmp, names };

    device_for_each(put_if_named, &walk);
}
