/* Network cards: -nic, -net nic / -net user, -redir, and the card that is there by default. */
#include "backends/net.h"
#include "core/device.h"
#include "system/cmdline.h"
#include "system/startup.h"
#include "util/error.h"
#include "util/log.h"
#include "util/options.h"

#include <string.h>

static int nic_count;

/* Names that other tools use for the models. */
static const char *model_device(const char *model)
{
    if (!model) {
        return "e1000";
    }
    if (g_str_equal(model, "e1000-82540em")) {
        return "e1000";
    }
    if (g_str_equal(model, "virtio")) {
        return "virtio-net-pci";
    }
    return model;
}

static bool add_card(const char *model, const char *netdev, const char *mac, const char *addr,
                     GError **error)
{
    g_autoptr(GString) text = g_string_new(model_device(model));

    if (!device_type_find(model_device(model)) && device_type_find("e1000") &&
        (g_str_equal(model_device(model), "rtl8139") || g_str_equal(model_device(model), "ne2k_pci") ||
         g_str_equal(model_device(model), "pcnet"))) {
        log_warn("network card '%s' is not there yet, an e1000 takes its place", model);
        g_string_assign(text, "e1000");
    }
    if (netdev) {
        g_string_append_printf(text, ",netdev=%s", netdev);
    }
    if (mac) {
        g_string_append_printf(text, ",mac=%s", mac);
    }
    if (addr) {
        g_string_append_printf(text, ",addr=%s", addr);
    }
    nic_count++;
    return startup_add_device(text->str, false, error) != NULL;
}

/* The options of a -nic or -net that belong to the backend, as -netdev text with an id. */
static char *backend_options(const Options *o, const char *id)
{
    GString *text = g_string_new(options_value(o, 0));

    g_string_append_printf(text, ",id=%s", id);
    for (int i = 1; i < options_count(o); i++) {
        const char *key = options_key(o, i);

        if (!g_str_equal(key, "model") && !g_str_equal(key, "mac") && !g_str_equal(key, "macaddr") &&
            !g_str_equal(key, "addr") && !g_str_equal(key, "name") && !g_str_equal(key, "vlan") &&
            !g_str_equal(key, "id")) {
            g_string_append_printf(text, ",%s=%s", key, options_value(o, i));
        }
    }
    return g_string_free(text, FALSE);
}

static bool add_nic(const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse(text, "type", error);
    g_autofree char *id = NULL, *netdev = NULL;
    const char *model, *mac;

    if (!o) {
        return false;
    }
    if (g_strcmp0(options_get(o, "type"), "none") == 0) {
        cmdline.no_net = true;
        return true;
    }
    model = options_get(o, "model");
    mac = options_get(o, "mac");
    if (model && (g_str_equal(model, "help") || g_str_equal(model, "?"))) {
        g_print("Supported NIC models:\ne1000\n");
        exit(0);
    }
    id = options_get(o, "id") ? g_strdup(options_get(o, "id")) : g_strdup_printf("net%d", nic_count);
    netdev = backend_options(o, id);
    return net_new(netdev, error) && add_card(model, id, mac, options_get(o, "addr"), error);
}

/* -net nic and -net user,... all meet on one wire, as old scripts expect: the first card gets it. */
static bool add_legacy(GError **error)
{
    g_autoptr(GString) backend = NULL;
    const char *card = NULL;
    g_autoptr(Options) nic = NULL;

    for (guint i = 0; i < cmdline.legacy_net->len; i++) {
        const char *text = g_ptr_array_index(cmdline.legacy_net, i);
        g_autoptr(Options) o = options_parse(text, "type", error);
        const char *type = o ? options_get(o, "type") : NULL;

        if (!o) {
            return false;
        }
        if (!type || g_str_equal(type, "none")) {
            cmdline.no_net = true;
        } else if (g_str_equal(type, "nic")) {
            card = text;
        } else {
            g_autofree char *options = backend_options(o, "net0");

            if (g_str_equal(type, "redir")) { /* belongs to the user network */
                const char *rest = strchr(strchr(options, ',') + 1, ',');

                if (!backend) {
                    backend = g_string_new("user,id=net0");
                }
                g_string_append(backend, rest ? rest : "");
            } else if (backend) {
                g_string_append(backend, strchr(options, ','));
            } else {
                backend = g_string_new(options);
            }
        }
    }
    if (!card && !backend) {
        return true;
    }
    if (!backend) {
        backend = g_string_new("user,id=net0");
    }
    if (!net_new(backend->str, error)) {
        return false;
    }
    nic = options_parse(card ? card : "nic", "type", error);
    return nic && add_card(options_get(nic, "model"), "net0",
                           options_get(nic, "macaddr") ? options_get(nic, "macaddr") : options_get(nic, "mac"),
                           options_get(nic, "addr"), error);
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
    if (!add_legacy(error)) {
        return false;
    }
    if (!nic_count && !cmdline.no_net && !cmdline.netdevs->len && machine_config.default_devices &&
        device_type_find("e1000") && bus_find_kind("pci")) {
        return net_new("user,id=net0", error) && add_card(NULL, "net0", NULL, NULL, error);
    }
    return true;
}
