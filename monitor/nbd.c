/* The monitors' NBD server: one, with drives and nodes of the machine as its exports. */
#include "backends/block.h"
#include "backends/nbd.h"
#include "monitor/internal.h"
#include "util/error.h"

#include <string.h>

static NbdServer *server;

static bool start(const char *path, const char *host, const char *port, int max_clients, GError **error)
{
    if (server) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "NBD server already running");
        return false;
    }
    server = nbd_server_new(path, host, port, error);
    if (server) {
        nbd_server_set_limit(server, max_clients);
    }
    return server != NULL;
}

static bool add(const char *device, const char *name, const char *description, bool writable, GError **error)
{
    if (!server) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "NBD server not running");
        return false;
    }
    return nbd_server_add_drive(server, name ? name : device, description, device, writable, error);
}

static bool remove_export(const char *name, GError **error)
{
    if (!server) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "NBD server not running");
        return false;
    }
    return nbd_server_remove(server, name, error);
}

static bool stop(GError **error)
{
    if (!server) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "NBD server not running");
        return false;
    }
    nbd_server_free(server);
    server = NULL;
    return true;
}

/* ---- QMP ---- */

Json *qmp_nbd_server_start(const Json *arguments, GError **error)
{
    const Json *addr = json_get(arguments, "addr"), *data = json_get(addr, "data");
    const char *type = json_member_string(addr, "type"), *path, *host, *port;

    data = data ? data : addr;
    path = json_member_string(data, "path");
    host = json_member_string(data, "host");
    port = json_member_string(data, "port");
    if (g_strcmp0(type, "unix") == 0 ? !path : g_strcmp0(type, "inet") != 0 || !port) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "addr needs the type unix with a path, or inet with host and port");
        return NULL;
    }
    start(g_str_equal(type, "unix") ? path : NULL, host && *host ? host : NULL, port,
          json_member_int(arguments, "max-connections", 100), error);
    return NULL;
}

Json *qmp_nbd_server_add(const Json *arguments, GError **error)
{
    const char *device = qmp_string(arguments, "device", error);

    if (device) {
        add(device, json_member_string(arguments, "name"), json_member_string(arguments, "description"),
            json_member_bool(arguments, "writable", false), error);
    }
    return NULL;
}

Json *qmp_nbd_server_remove(const Json *arguments, GError **error)
{
    const char *name = qmp_string(arguments, "name", error);

    if (name) {
        remove_export(name, error);
    }
    return NULL;
}

Json *qmp_nbd_server_stop(const Json *arguments, GError **error)
{
    stop(error);
    return NULL;
}

/* ---- HMP ---- */

static void say(Hmp *hmp, GError *error)
{
    if (error) {
        hmp_error(hmp, error);
    }
}

static void add_all(BlockBackend *blk, void *opaque)
{
    bool *writable = opaque;
    GError *error = NULL;

    if (block_inserted(blk) && !add(block_id(blk), NULL, NULL, *writable && !block_readonly(blk), &error)) {
        g_clear_error(&error);
    }
}

/* The words without the flags in front. */
static char **plain(const HmpArgs *args, int *count)
{
    int i = 0;

    while (i < args->argc && args->argv[i][0] == '-') {
        i++;
    }
    *count = args->argc - i;
    return args->argv + i;
}

void hmp_nbd_server_start(Hmp *hmp, const HmpArgs *args)
{
    bool writable = hmp_flag(args, "-w");
    GError *error = NULL;
    int count;
    char **words = plain(args, &count);
    g_autofree char *host = NULL;
    char *colon;

    if (count != 1) {
        hmp_printf(hmp, "Error: needs HOST:PORT or unix:PATH\n");
        return;
    }
    if (g_str_has_prefix(words[0], "unix:")) {
        start(words[0] + 5, NULL, NULL, 100, &error);
    } else if ((colon = strrchr(words[0], ':'))) {
        host = g_strndup(words[0], colon - words[0]);
        start(NULL, *host ? host : NULL, colon + 1, 100, &error);
    } else {
        hmp_printf(hmp, "Error: needs HOST:PORT or unix:PATH\n");
        return;
    }
    if (!error && hmp_flag(args, "-a")) {
        block_for_each(add_all, &writable);
    }
    say(hmp, error);
}

void hmp_nbd_server_add(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    int count;
    char **words = plain(args, &count);

    if (!count) {
        hmp_printf(hmp, "Error: needs a drive\n");
        return;
    }
    add(words[0], count > 1 ? words[1] : NULL, NULL, hmp_flag(args, "-w"), &error);
    say(hmp, error);
}

void hmp_nbd_server_remove(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    remove_export(args->argv[0], &error);
    say(hmp, error);
}

void hmp_nbd_server_stop(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    stop(&error);
    say(hmp, error);
}
