/* QMP commands on devices: what types there are, adding, removing, properties. */
#include "monitor/internal.h"

#include "util/error.h"

#include <inttypes.h>
#include <string.h>

#define PERIPHERAL "/machine/peripheral"

/* A value as -device would spell it; commas are doubled. */
static char *option_text(const Json *value)
{
    switch (json_kind(value)) {
    case JSON_STRING: {
        g_auto(GStrv) parts = g_strsplit(json_get_string(value), ",", -1);

        return g_strjoinv(",,", parts);
    }
    case JSON_BOOL:
        return g_strdup(json_get_bool(value, false) ? "on" : "off");
    default:
        return json_write(value, false);
    }
}

Json *qmp_device_add(const Json *arguments, GError **error)
{
    const char *driver = qmp_string(arguments, "driver", error);
    g_autoptr(GString) options = NULL;

    if (!driver) {
        return NULL;
    }
    options = g_string_new(driver);
    for (unsigned i = 0; i < json_count(arguments); i++) {
        const char *name = json_name_at(arguments, i);

        if (strcmp(name, "driver")) {
            g_autofree char *value = option_text(json_at(arguments, i));

            g_string_append_printf(options, ",%s=%s", name, value);
        }
    }
    action_device_add(options->str, error);
    return NULL;
}

Json *qmp_device_del(const Json *arguments, GError **error)
{
    const char *id = qmp_string(arguments, "id", error);

    if (id) {
        action_device_del(id, error);
    }
    return NULL;
}

static const char *kind_name(PropKind kind)
{
    switch (kind) {
    case PROP_BOOL:
        return "bool";
    case PROP_U8:
        return "uint8";
    case PROP_U16:
        return "uint16";
    case PROP_U32:
        return "uint32";
    case PROP_U64:
        return "uint64";
    case PROP_I32:
        return "int32";
    case PROP_SIZE:
        return "size";
    default:
        return "str";
    }
}

static Json *describe_property(const Prop *prop)
{
    Json *property = json_object();

    json_set_string(property, "name", prop->name);
    json_set_string(property, "type", kind_name(prop->kind));
    if (prop->help) {
        json_set_string(property, "description", prop->help);
    }
    return property;
}

Json *qmp_device_list_properties(const Json *arguments, GError **error)
{
    const char *name = qmp_string(arguments, "typename", error);
    const DeviceType *type = name ? device_type_find(name) : NULL;
    Json *list;

    if (name && !type) {
        g_set_error(error, VM_ERROR, VM_ERROR_NOT_FOUND, "Device '%s' not found", name);
    }
    if (!type) {
        return NULL;
    }
    list = json_array();
    for (const Prop *prop = type->props; prop && prop->name; prop++) {
        json_append(list, describe_property(prop));
    }
    return list;
}

Json *qmp_qom_list_types(const Json *arguments, GError **error)
{
    Json *list = json_array();

    for (const DeviceType *const *type = device_types; *type; type++) {
        Json *info = json_object();

        json_set_string(info, "name", (*type)->name);
        json_set_string(info, "parent", "device");
        json_append(list, info);
    }
    return list;
}

static Json *property(const char *name, const char *type)
{
    Json *info = json_object();

    json_set_string(info, "name", name);
    json_set_string(info, "type", type);
    return info;
}

static void add_child(Device *dev, void *opaque)
{
    g_autofree char *type = g_strdup_printf("child<%s>", dev->type->name);

    json_append(opaque, property(dev->id, type));
}

/* The device that a path such as /machine/peripheral/ID names, or a bare id; else an error. */
static Device *device_at(const char *path, GError **error)
{
    const char *id = g_str_has_prefix(path, PERIPHERAL "/") ? path + strlen(PERIPHERAL "/") : path;
    Device *dev = device_find(id);

    if (!dev) {
        g_set_error(error, VM_ERROR, VM_ERROR_NOT_FOUND, "Device '%s' not found", path);
    }
    return dev;
}

Json *qmp_qom_list(const Json *arguments, GError **error)
{
    const char *path = qmp_string(arguments, "path", error);
    Device *dev;
    Json *list;

    if (!path) {
        return NULL;
    }
    list = json_array();
    json_append(list, property("type", "string"));
    if (g_str_equal(path, "/")) {
        json_append(list, property("machine", "child<machine>"));
    } else if (g_str_equal(path, "/machine")) {
        json_append(list, property("peripheral", "child<container>"));
    } else if (g_str_equal(path, PERIPHERAL)) {
        device_for_each(add_child, list);
    } else if ((dev = device_at(path, error))) {
        for (const Prop *prop = dev->type->props; prop && prop->name; prop++) {
            json_append(list, property(prop->name, kind_name(prop->kind)));
        }
    } else {
        json_free(list);
        return NULL;
    }
    return list;
}

static const Prop *find_prop(const DeviceType *type, const char *name)
{
    for (const Prop *prop = type->props; prop && prop->name; prop++) {
        if (g_str_equal(prop->name, name)) {
            return prop;
        }
    }
    return NULL;
}

static Json *typed_value(PropKind kind, const char *text)
{
    switch (kind) {
    case PROP_BOOL:
        return json_bool(g_str_equal(text, "on") || g_str_equal(text, "true"));
    case PROP_U8:
    case PROP_U16:
    case PROP_U32:
    case PROP_U64:
    case PROP_SIZE:
        return json_uint(g_ascii_strtoull(text, NULL, 0));
    case PROP_I32:
        return json_int(g_ascii_strtoll(text, NULL, 0));
    default:
        return json_string(text);
    }
}

Json *qmp_qom_get(const Json *arguments, GError **error)
{
    const char *path = qmp_string(arguments, "path", error);
    const char *name = path ? qmp_string(arguments, "property", error) : NULL;
    Device *dev = name ? device_at(path, error) : NULL;
    const Prop *prop;
    g_autofree char *value = NULL;

    if (!dev) {
        return NULL;
    }
    if (g_str_equal(name, "type")) {
        return json_string(dev->type->name);
    }
    prop = find_prop(dev->type, name);
    if (!prop) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "Property '%s.%s' not found", dev->type->name, name);
        return NULL;
    }
    value = device_get_property(dev, name);
    return typed_value(prop->kind, value ? value : "");
}
