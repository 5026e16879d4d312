/* Network cards: -nic, -net with its vlans, -redir, and the card that is there by default. */
#include "backends/net.h"
#include "core/device.h"
#include "system/cmdline.h"
#include "system/startup.h"
#include "util/error.h"
#include "util/log.h"
#include "util/options.h"

#include <stdlib.h>
#include <string.h>

static int nic_count;

/* Names that other tools use for the models. */
static const char *model_device(const char *model)
{
    static const char *const names[][2] = {
        { "e1000-82540em", "e1000" },
        { "virtio", "virtio-net-pci" },
        { "virtio-net", "virtio-net-pci" },
    };

    for (size_t i = 0; model && i < G_N_ELEMENTS(names); i++) {
        if (g_str_equal(model, names[i][0])) {
            return names[i][1];
        }
    }
    return model ? model : machine_board->nic;
}

static bool is_card(const DeviceType *type)
{
    for (const Prop *prop = type->props; prop && prop->name; prop++) {
        if (prop->kind == PROP_NETDEV) {
            return type->user;
        }
    }
    return false;
}

static void print_models(void)
{
    g_print("Supported NIC models:\n");
    for (int i = 0; device_types[i]; i++) {
        if (is_card(device_types[i])) {
            g_print("%-20s %s\n", device_types[i]->name, device_types[i]->about);
        }
    }
}

static bool asks_for_help(const char *text)
{
    return text && (g_str_equal(text, "help") || g_str_equal(text, "?"));
}

static const DeviceType *find_card(const char *model, GError **error)
{
    const char *name = model_device(model);
    const DeviceType *type = device_type_find(name);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    if (type && is_card(type)) {
        return type;
    }
    for (int i = 0; device_types[i]; i++) {
        if (is_card(device_types[i])) {
            g_ptr_array_add(names, (gpointer)device_types[i]->name);
        }
    }
    g_ptr_array_add(names, NULL);
    hint = options_hint(name, (const char *const *)names->pdata);
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "no network card '%s'%s; -nic model=help lists them", name, hint);
    return NULL;
}

/* o: where model=, mac= or macaddr= and addr= may be; NULL: a card as usual. */
static bool add_card(const Options *o, const char *netdev, GError **error)
{
    const char *mac = o ? options_get(o, options_has(o, "macaddr") ? "macaddr" : "mac") : NULL;
    const char *addr = o ? options_get(o, "addr") : NULL, *id = o ? options_get(o, "name") : NULL;
    const DeviceType *type = find_card(o ? options_get(o, "model") : NULL, error);
    g_autoptr(GString) text = NULL;

    if (!type) {
        return false;
    }
    text = g_string_new(type->name);
    g_string_append_printf(text, ",netdev=%s", netdev);
    if (mac) {
        g_string_append_printf(text, ",mac=%s", mac);
    }
    if (addr) {
        g_string_append_printf(text, ",addr=%s", addr);
    }
    if (id && !device_find(id)) {
        g_string_append_printf(text, ",id=%s", id);
    }
    nic_count++;
    return startup_add_device(text->str, false, error) != NULL;
}

/* Makes the backend of a -nic or -net: its options without those that belong to the card or the vlan. */
static bool add_backend(const Options *o, const char *id, GError **error)
{
    static const char *const others[] = { "model", "mac", "macaddr", "addr", "name", "vlan", "id", NULL };
    g_autoptr(Options) backend = options_new();

    for (int i = 0; i < options_count(o); i++) {
        if (!g_strv_contains(others, options_key(o, i))) {
            options_set(backend, options_key(o, i), options_value(o, i));
        }
    }
    options_set(backend, "id", id);
    return net_new_options(backend, error) != NULL;
}

/* ---- -nic ---- */

static bool add_nic(const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse(text, "type", error);
    g_autofree char *id = NULL;
    const char *type = o ? options_get(o, "type") : NULL;

    if (!o) {
        return false;
    }
    if (g_strcmp0(type, "none") == 0) {
        cmdline.no_net = true;
        return true;
    }
    if (asks_for_help(options_get(o, "model"))) {
        print_models();
        exit(0);
    }
    if (asks_for_help(type)) {
        net_print_types();
        exit(0);
    }
    if (!type) {
        options_set(o, "type", "user"); /* -nic model=MODEL */
    }
    id = options_get(o, "id") ? g_strdup(options_get(o, "id")) : g_strdup_printf("net%d", nic_count);
    return add_backend(o, id, error) && add_card(o, id, error);
}

/* ---- -net: cards and backends that share a wire, by its number ---- */

typedef struct Vlan {
    uint64_t number;
    GPtrArray *cards;    /* Options */
    GPtrArray *backends; /* char *: ids */
    Options *user;       /* of -net user, made last: -redir may still add to it */
} Vlan;

static GPtrArray *vlans;

static Vlan *vlan_get(uint64_t number)
{
    Vlan *vlan;

    for (guint i = 0; i < vlans->len; i++) {
        vlan = g_ptr_array_index(vlans, i);
        if (vlan->number == number) {
            return vlan;
        }
    }
    vlan = g_new0(Vlan, 1);
    vlan->number = number;
    vlan->cards = g_ptr_array_new_with_free_func((GDestroyNotify)options_free);
    vlan->backends = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(vlans, vlan);
    return vlan;
}

static void vlan_free(gpointer data)
{
    Vlan *vlan = data;

    g_ptr_array_free(vlan->cards, TRUE);
    g_ptr_array_free(vlan->backends, TRUE);
    options_free(vlan->user);
    g_free(vlan);
}

static bool add_to_vlan(Vlan *vlan, Options *o, GError **error)
{
    static int count;
    const char *name = options_get(o, "name") ? options_get(o, "name") : options_get(o, "id");
    g_autofree char *id = name ? g_strdup(name) : g_strdup_printf("%s.%d", options_get(o, "type"), count++);

    if (!add_backend(o, id, error)) {
        return false;
    }
    g_ptr_array_add(vlan->backends, g_steal_pointer(&id));
    return true;
}

/* Options of several -net user and -redir on one wire are those of one network. */
static void merge_user(Vlan *vlan, const Options *o)
{
    for (int i = 0; i < options_count(o); i++) {
        if (!vlan->user || !g_str_equal(options_key(o, i), "type")) {
            if (!vlan->user) {
                vlan->user = options_new();
                options_set(vlan->user, "type", "user");
            }
            if (!g_str_equal(options_key(o, i), "type")) {
                options_set(vlan->user, options_key(o, i), options_value(o, i));
            }
        }
    }
}

/* -redir belongs to the first user network there is, wherever on the line; if there is none it makes one. */
static void add_redirection(const Options *o)
{
    Vlan *vlan = NULL;

    for (guint i = 0; i < vlans->len && !vlan; i++) {
        Vlan *one = g_ptr_array_index(vlans, i);

        vlan = one->user ? one : NULL;
    }
    merge_user(vlan ? vlan : vlan_get(0), o);
}

static bool add_legacy(const char *text, bool redirections, GError **error)
{
    g_autoptr(Options) o = options_parse(text, "type", error);
    const char *type = o ? options_get(o, "type") : NULL;
    uint64_t number = 0;
    Vlan *vlan;

    if (!o) {
        return false;
    }
    if ((g_strcmp0(type, "redir") == 0) != redirections) {
        return true;
    }
    if (redirections) {
        add_redirection(o);
        return true;
    }
    if (!type || g_str_equal(type, "none")) {
        cmdline.no_net = true;
        return true;
    }
    if (asks_for_help(options_get(o, "model"))) {
        print_models();
        exit(0);
    }
    if (asks_for_help(type)) {
        net_print_types();
        exit(0);
    }
    if (!options_get_u64(o, "vlan", &number, error)) {
        return false;
    }
    if (number > 255) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "vlan=%s: from 0 to 255", options_get(o, "vlan"));
        return false;
    }
    vlan = vlan_get(number);
    if (g_str_equal(type, "user")) {
        merge_user(vlan, o);
        return true;
    }
    if (!g_str_equal(type, "nic")) {
        return add_to_vlan(vlan, o, error);
    }
    options_get(o, "mac");
    options_get(o, "macaddr");
    options_get(o, "addr");
    options_get(o, "name");
    options_get(o, "id");
    options_get(o, "vectors");
    if (!options_check_unknown(o, "-net nic", error)) {
        return false;
    }
    g_ptr_array_add(vlan->cards, g_steal_pointer(&o));
    return true;
}

/* One card and one backend meet directly; more of either meet in a hub. */
static bool wire(Vlan *vlan, GError **error)
{
    static int ports;

    if (vlan->user && !add_to_vlan(vlan, vlan->user, error)) {
        return false;
    }
    if (!vlan->backends->len) { /* -net nic alone: as if there were a -net user */
        g_autoptr(Options) user = options_new();

        options_set(user, "type", "user");
        if (!add_to_vlan(vlan, user, error)) {
            return false;
        }
    }
    if (vlan->cards->len <= 1 && vlan->backends->len == 1) {
        return add_card(vlan->cards->len ? g_ptr_array_index(vlan->cards, 0) : NULL,
                        g_ptr_array_index(vlan->backends, 0), error);
    }
    for (guint i = 0; i < vlan->backends->len; i++) {
        g_autofree char *port = g_strdup_printf("hubport,id=hub%dport%d,hubid=%d,netdev=%s", (int)vlan->number,
                                                ports++, (int)vlan->number,
                                                (char *)g_ptr_array_index(vlan->backends, i));

        if (!net_new(port, error)) {
            return false;
        }
    }
    for (guint i = 0; i < MAX(1, vlan->cards->len); i++) {
        g_autofree char *id = g_strdup_printf("hub%dport%d", (int)vlan->number, ports++);
        g_autofree char *port = g_strdup_printf("hubport,id=%s,hubid=%d", id, (int)vlan->number);

        if (!net_new(port, error) ||
            !add_card(i < vlan->cards->len ? g_ptr_array_index(vlan->cards, i) : NULL, id, error)) {
            return false;
        }
    }
    return true;
}

static bool add_all_legacy(GError **error)
{
    g_autoptr(GPtrArray) list = vlans = g_ptr_array_new_with_free_func(vlan_free);

    for (guint i = 0; i < cmdline.legacy_net->len * 2; i++) {
        const char *text = g_ptr_array_index(cmdline.legacy_net, i % cmdline.legacy_net->len);

        if (!add_legacy(text, i >= cmdline.legacy_net->len, error)) {
            g_prefix_error(error, "-net %s: ", text);
            return false;
        }
    }
    for (guint i = 0; i < list->len; i++) {
        if (!wire(g_ptr_array_index(list, i), error)) {
            return false;
        }
    }
    return true;
}

/* -netdev without a -device of its own gets no card: that is how the options are documented. */
bool nics_create(GError **error)
{
    for (guint i = 0; i < cmdline.nics->len; i++) {
        if (!add_nic(g_ptr_array_index(cmdline.nics, i), error)) {
            g_prefix_error(error, "-nic %s: ", (char *)g_ptr_array_index(cmdline.nics, i));
            return false;
        }
    }
    if (!add_all_legacy(error)) {
        return false;
    }
    if (!nic_count && !cmdline.no_net && !cmdline.netdevs->len && machine_config.default_devices &&
        machine_board->nic) {
        return net_new("user,id=net0", error) && add_card(NULL, "net0", error);
    }
    return true;
}
