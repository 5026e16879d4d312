/* Properties of devices: text to members and back. */
#include "core/device-internal.h"

#include "util/error.h"
#include "util/options.h"

#include <string.h>

#define KIND_COUNT (PROP_PCI_ADDR + 1)

static PropResolver *resolvers[KIND_COUNT];

static const char *const kind_names[KIND_COUNT] = {
    [PROP_BOOL] = "bool",     [PROP_U8] = "uint8",      [PROP_U16] = "uint16",
    [PROP_U32] = "uint32",    [PROP_U64] = "uint64",    [PROP_I32] = "int32",
    [PROP_SIZE] = "size",     [PROP_STRING] = "str",    [PROP_MAC] = "MAC address",
    [PROP_CHAR] = "chardev",  [PROP_DRIVE] = "drive",   [PROP_NETDEV] = "netdev",
    [PROP_PCI_ADDR] = "slot[.function]",
};

void device_set_resolver(PropKind kind, PropResolver *fn)
{
    resolvers[kind] = fn;
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

static void *member_of(Device *dev, const Prop *prop)
{
    return (char *)dev + prop->offset;
}

static bool is_pointer(const Prop *prop)
{
    return prop->kind == PROP_CHAR || prop->kind == PROP_DRIVE || prop->kind == PROP_NETDEV;
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
    uint8_t bytes[6];
    char separator = strlen(text) == 17 && text[2] == '-' ? '-' : ':';

    if (strlen(text) != 17) {
        return false;
    }
    for (int i = 0; i < 6; i++) {
        int high = g_ascii_xdigit_value(text[3 * i]), low = g_ascii_xdigit_value(text[3 * i + 1]);

        if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != separator)) {
            return false;
        }
        bytes[i] = high << 4 | low;
    }
    memcpy(mac, bytes, 6);
    return true;
}

/* Slot and function are hexadecimal, as lspci prints them. "-1": pick one. */
static bool parse_pci_addr(const char *text, int32_t *addr)
{
    char *end;
    uint64_t slot, function = 0;

    if (g_str_equal(text, "-1")) {
        *addr = -1;
        return true;
    }
    slot = g_ascii_strtoull(text, &end, 16);
    if (!g_ascii_isxdigit(*text) || slot > 31) {
        return false;
    }
    if (*end == '.') {
        const char *digits = end + 1;

        function = g_ascii_strtoull(digits, &end, 16);
        if (!g_ascii_isxdigit(*digits) || function > 7) {
            return false;
        }
    }
    if (*end) {
        return false;
    }
    *addr = slot * 8 + function;
    return true;
}

static bool parse_unsigned(const char *text, unsigned bytes, void *member)
{
    uint64_t value;

    if (!parse_u64(text, &value) || (bytes < 8 && value >> (8 * bytes))) {
        return false;
    }
    state_set(member, bytes, value);
    return true;
}

static bool parse_i32(const char *text, int32_t *member)
{
    int64_t value;

    if (!parse_i64(text, &value) || value < INT32_MIN || value > INT32_MAX) {
        return false;
    }
    *member = value;
    return true;
}

/* NULL if the text was good, else what it should have been. */
static const char *parse_value(const Prop *prop, const char *text, void *member)
{
    switch (prop->kind) {
    case PROP_BOOL:
        return parse_bool(text, member) ? NULL : "'on' or 'off'";
    case PROP_U8:
        return parse_unsigned(text, 1, member) ? NULL : "a number from 0 to 255";
    case PROP_U16:
        return parse_unsigned(text, 2, member) ? NULL : "a number from 0 to 65535";
    case PROP_U32:
        return parse_unsigned(text, 4, member) ? NULL : "a number below 2^32";
    case PROP_U64:
        return parse_unsigned(text, 8, member) ? NULL : "a number below 2^64";
    case PROP_I32:
        return parse_i32(text, member) ? NULL : "a number of 32 bits with sign";
    case PROP_SIZE:
        return parse_size(text, 1, member) ? NULL : "a size (a number with K, M, G or T)";
    case PROP_MAC:
        return parse_mac(text, member) ? NULL : "a MAC address";
    case PROP_PCI_ADDR:
        return parse_pci_addr(text, member) ? NULL : "a slot[.function], as in '3' or '1f.7'";
    default:
        g_assert_not_reached();
    }
}

static bool resolve(Device *dev, const Prop *prop, const char *id, GError **error)
{
    void *found = NULL;

    if (resolvers[prop->kind]) {
        found = resolvers[prop->kind](id, error);
    } else {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "no such %s", kind_names[prop->kind]);
    }
    if (!found) {
        g_prefix_error(error, "property '%s.%s': '%s': ", dev->type->name, prop->name, id);
        return false;
    }
    *(void **)member_of(dev, prop) = found;
    g_hash_table_replace(dev->ids, g_strdup(prop->name), g_strdup(id));
    return true;
}

static char **prop_names(const DeviceType *type)
{
    GPtrArray *names = g_ptr_array_new();

    for (const Prop *prop = type->props; prop && prop->name; prop++) {
        g_ptr_array_add(names, g_strdup(prop->name));
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

bool device_set_property(Device *dev, const char *name, const char *value, GError **error)
{
    const Prop *prop = find_prop(dev->type, name);
    const char *expected;

    if (!prop) {
        g_auto(GStrv) names = prop_names(dev->type);
        g_autofree char *hint = options_hint(name, (const char *const *)names);

        g_set_error(error, VM_ERROR, VM_ERROR_USER, "device '%s' has no property '%s'%s",
                    dev->type->name, name, hint);
        return false;
    }
    if (is_pointer(prop)) {
        return resolve(dev, prop, value, error);
    }
    if (prop->kind == PROP_STRING) {
        char **text = member_of(dev, prop);

        g_free(*text);
        *text = g_strdup(value);
        return true;
    }
    expected = parse_value(prop, value, member_of(dev, prop));
    if (expected) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "property '%s.%s': '%s' is not %s",
                    dev->type->name, name, value, expected);
        return false;
    }
    return true;
}

void device_set_pointer(Device *dev, const char *name, void *value)
{
    const Prop *prop = find_prop(dev->type, name);

    g_assert(prop && is_pointer(prop));
    *(void **)member_of(dev, prop) = value;
}

static char *value_text(Device *dev, const Prop *prop)
{
    void *member = member_of(dev, prop);
    const uint8_t *mac = member;
    int32_t number;

    switch (prop->kind) {
    case PROP_BOOL:
        return g_strdup(*(bool *)member ? "on" : "off");
    case PROP_U8:
        return g_strdup_printf("%u", *(uint8_t *)member);
    case PROP_U16:
        return g_strdup_printf("%u", *(uint16_t *)member);
    case PROP_U32:
        return g_strdup_printf("%u", *(uint32_t *)member);
    case PROP_U64:
    case PROP_SIZE:
        return g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)*(uint64_t *)member);
    case PROP_I32:
        return g_strdup_printf("%d", *(int32_t *)member);
    case PROP_STRING:
        return g_strdup(*(char **)member ? *(char **)member : "");
    case PROP_MAC:
        return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                               mac[4], mac[5]);
    case PROP_PCI_ADDR:
        number = *(int32_t *)member;
        return number < 0 ? g_strdup("-1") : g_strdup_printf("%02x.%x", number >> 3, number & 7);
    default:
        return g_strdup(g_hash_table_lookup(dev->ids, prop->name));
    }
}

char *device_get_property(Device *dev, const char *name)
{
    const Prop *prop = find_prop(dev->type, name);

    return prop ? value_text(dev, prop) : NULL;
}

/* Initial texts are ours: a wrong one is a mistake in the type's table. */
void device_init_properties(Device *dev)
{
    dev->ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (const Prop *prop = dev->type->props; prop && prop->name; prop++) {
        g_autoptr(GError) error = NULL;

        if (prop->initial && !device_set_property(dev, prop->name, prop->initial, &error)) {
            g_error("%s", error->message);
        }
    }
}

void device_free_properties(Device *dev)
{
    for (const Prop *prop = dev->type->props; prop && prop->name; prop++) {
        if (prop->kind == PROP_STRING) {
            g_clear_pointer((char **)member_of(dev, prop), g_free);
        }
    }
    g_hash_table_destroy(dev->ids);
}

char *device_help(const DeviceType *type)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "%s: %s\n", type->name, type->about ? type->about : "");
    g_string_append_printf(text, "%s options:\n", type->name);
    for (const Prop *prop = type->props; prop && prop->name; prop++) {
        g_autofree char *left = g_strdup_printf("%s=<%s>", prop->name, kind_names[prop->kind]);

        g_string_append_printf(text, "  %-24s - %s", left, prop->help ? prop->help : "");
        if (prop->initial) {
            g_string_append_printf(text, " (default: %s)", prop->initial);
        }
        g_string_append_c(text, '\n');
    }
    return g_string_free(text, FALSE);
}
