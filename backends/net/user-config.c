/* The user network's addresses, names and files. */
#include "backends/net/user.h"
#include "util/error.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/stat.h>

static bool wrong(const char *key, const char *text, const char *expected, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s=%s is not %s", key, text, expected);
    return false;
}

/* "10.0.2.0/24", "10.0.2.0/255.255.255.0" or "10.0.2.0" */
static bool get_network(const Options *o, SlirpConfig *c, GError **error)
{
    const char *text = options_get(o, "net");
    g_auto(GStrv) part = NULL;
    uint64_t bits = 24;

    if (!text) {
        return true;
    }
    part = g_strsplit(text, "/", 2);
    if (inet_pton(AF_INET, part[0] ? part[0] : "", &c->vnetwork) != 1) {
        return wrong("net", text, "a network as 10.0.2.0/24", error);
    }
    if (!part[1] || parse_u64(part[1], &bits)) {
        if (bits < 4 || bits > 30) {
            return wrong("net", text, "a network of 4 to 30 bits", error);
        }
        c->vnetmask.s_addr = htonl(UINT32_MAX << (32 - bits));
    } else if (inet_pton(AF_INET, part[1], &c->vnetmask) != 1) {
        return wrong("net", text, "a network as 10.0.2.0/255.255.255.0", error);
    }
    c->vnetwork.s_addr &= c->vnetmask.s_addr;
    c->vhost.s_addr = c->vnetwork.s_addr | (htonl(2) & ~c->vnetmask.s_addr);
    c->vnameserver.s_addr = c->vnetwork.s_addr | (htonl(3) & ~c->vnetmask.s_addr);
    c->vdhcp_start.s_addr = c->vnetwork.s_addr | (htonl(15) & ~c->vnetmask.s_addr);
    return true;
}

static bool get_address(const Options *o, const char *key, const SlirpConfig *c, struct in_addr *out, GError **error)
{
    const char *text = options_get(o, key);

    if (!text) {
        return true;
    }
    if (inet_pton(AF_INET, text, out) != 1) {
        return wrong(key, text, "an IPv4 address", error);
    }
    if ((out->s_addr & c->vnetmask.s_addr) != c->vnetwork.s_addr) {
        return wrong(key, text, "in the guest's network (net=)", error);
    }
    return true;
}

/* "fec0::/64", or its parts as ipv6-prefix= and ipv6-prefixlen=. */
static bool get_network6(const Options *o, SlirpConfig *c, GError **error)
{
    const char *net = options_get(o, "ipv6-net"), *prefix = options_get(o, "ipv6-prefix");
    const char *length = options_get(o, "ipv6-prefixlen");
    g_auto(GStrv) part = NULL;
    uint64_t bits = 64;

    if (net) {
        part = g_strsplit(net, "/", 2);
        prefix = part[0] ? part[0] : "";
        length = part[0] ? part[1] : NULL;
    }
    if (prefix && inet_pton(AF_INET6, prefix, &c->vprefix_addr6) != 1) {
        return wrong("ipv6-net", prefix, "an IPv6 network as fec0::/64", error);
    }
    if (length && (!parse_u64(length, &bits) || bits != 64)) { /* guests make the other 64 bits themselves */
        return wrong("ipv6-prefixlen", length, "64", error);
    }
    if (prefix) {
        memset(c->vprefix_addr6.s6_addr + 8, 0, 8);
        c->vhost6 = c->vnameserver6 = c->vprefix_addr6;
        c->vhost6.s6_addr[15] = 2;
        c->vnameserver6.s6_addr[15] = 3;
    }
    return true;
}

static bool get_address6(const Options *o, const char *key, const SlirpConfig *c, struct in6_addr *out, GError **error)
{
    const char *text = options_get(o, key);

    if (!text) {
        return true;
    }
    if (inet_pton(AF_INET6, text, out) != 1) {
        return wrong(key, text, "an IPv6 address", error);
    }
    if (memcmp(out, &c->vprefix_addr6, 8)) {
        return wrong(key, text, "in the guest's network (ipv6-net=)", error);
    }
    return true;
}

static const char *keep(UserConfig *config, const char *text)
{
    char *copy = g_strdup(text);

    if (copy) {
        g_ptr_array_add(config->texts, copy);
    }
    return copy;
}

static bool get_names(UserConfig *config, const Options *o, GError **error)
{
    SlirpConfig *c = &config->slirp;
    struct stat st;

    c->vhostname = keep(config, options_get(o, "hostname"));
    c->tftp_path = keep(config, options_get(o, "tftp"));
    c->tftp_server_name = keep(config, options_get(o, "tftp-server-name"));
    c->bootfile = keep(config, options_get(o, "bootfile"));
    c->vdomainname = keep(config, options_get(o, "domainname"));
    options_get(o, "dnssearch");
    for (int i = 0; i < options_count(o); i++) {
        if (g_str_equal(options_key(o, i), "dnssearch")) {
            g_ptr_array_add(config->search, (gpointer)keep(config, options_value(o, i)));
        }
    }
    if (config->search->len) {
        g_ptr_array_add(config->search, NULL);
        c->vdnssearch = (const char **)config->search->pdata;
    }
    if (c->vdomainname && (!*c->vdomainname || strlen(c->vdomainname) > 255)) {
        return wrong("domainname", c->vdomainname, "from 1 to 255 bytes long", error);
    }
    if (c->vhostname && strlen(c->vhostname) > 32) {
        return wrong("hostname", c->vhostname, "at most 32 bytes long", error);
    }
    if (c->tftp_server_name && strlen(c->tftp_server_name) > 63) {
        return wrong("tftp-server-name", c->tftp_server_name, "at most 63 bytes long", error);
    }
    if (c->bootfile && strlen(c->bootfile) > 127) {
        return wrong("bootfile", c->bootfile, "at most 127 bytes long", error);
    }
    if (c->tftp_path && (stat(c->tftp_path, &st) < 0 || !S_ISDIR(st.st_mode))) {
        return wrong("tftp", c->tftp_path, "a folder", error);
    }
    return true;
}

bool user_config_read(UserConfig *config, const Options *o, GError **error)
{
    SlirpConfig *c = &config->slirp;
    bool restricted = false;

    *config = (UserConfig){
        .slirp = { .version = SLIRP_CONFIG_VERSION_MAX, .in_enabled = true, .in6_enabled = true, .vprefix_len = 64 },
        .texts = g_ptr_array_new_with_free_func(g_free),
        .search = g_ptr_array_new(),
    };
    inet_pton(AF_INET, "10.0.2.0", &c->vnetwork);
    inet_pton(AF_INET, "255.255.255.0", &c->vnetmask);
    inet_pton(AF_INET, "10.0.2.2", &c->vhost);
    inet_pton(AF_INET, "10.0.2.3", &c->vnameserver);
    inet_pton(AF_INET, "10.0.2.15", &c->vdhcp_start);
    inet_pton(AF_INET6, "fec0::", &c->vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &c->vhost6);
    inet_pton(AF_INET6, "fec0::3", &c->vnameserver6);
    if (!get_network(o, c, error) || !get_address(o, "host", c, &c->vhost, error) ||
        !get_address(o, "dns", c, &c->vnameserver, error) ||
        !get_address(o, "dhcpstart", c, &c->vdhcp_start, error) || !get_network6(o, c, error) ||
        !get_address6(o, "ipv6-host", c, &c->vhost6, error) ||
        !get_address6(o, "ipv6-dns", c, &c->vnameserver6, error) || !get_names(config, o, error) ||
        !options_get_bool(o, "restrict", &restricted, error) ||
        !options_get_bool(o, "ipv4", &c->in_enabled, error) || !options_get_bool(o, "ipv6", &c->in6_enabled, error)) {
        return false;
    }
    c->restricted = restricted;
    c->if_mtu = c->if_mru = USER_SLIRP_MTU;
    if (!c->in_enabled && !c->in6_enabled) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "ipv4=off and ipv6=off leave nothing");
        return false;
    }
    if (c->vhost.s_addr == c->vnameserver.s_addr || c->vhost.s_addr == c->vdhcp_start.s_addr) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "host=, dns= and dhcpstart= must be three addresses");
        return false;
    }
    return true;
}

void user_config_clear(UserConfig *config)
{
    g_ptr_array_free(config->texts, TRUE);
    g_ptr_array_free(config->search, TRUE);
}
