/* Monitor commands that make and remove host ends and objects while the machine runs. */
#include "monitor/internal.h"

#include "backends/net.h"
#include "core/object.h"
#include "util/error.h"
#include "util/options.h"

#include <string.h>

static void report(Hmp *hmp, GError *error)
{
    if (error) {
        hmp_error(hmp, error);
    }
}

void hmp_object_add(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    object_add(args->rest, &error);
    report(hmp, error);
}

void hmp_object_del(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    object_del(args->argv[0], &error);
    report(hmp, error);
}

void hmp_netdev_add(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    net_new(args->rest, &error);
    report(hmp, error);
}

void hmp_netdev_del(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    net_remove(args->argv[0], &error);
    report(hmp, error);
}

/* [id] rule */
void hmp_hostfwd_add(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    bool named = args->argc > 1;

    net_user_forward(named ? args->argv[0] : NULL, args->argv[named], &error);
    report(hmp, error);
}

void hmp_hostfwd_remove(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    bool named = args->argc > 1;

    if (net_user_unforward(named ? args->argv[0] : NULL, args->argv[named], &error)) {
        hmp_printf(hmp, "host forwarding rule for %s removed\n", args->argv[named]);
    } else {
        hmp_error(hmp, error);
    }
}

void info_usernet(Hmp *hmp, const HmpArgs *args)
{
    g_autofree char *text = net_user_info();

    hmp_printf(hmp, "%s", text);
}

Json *qmp_object_add(const Json *arguments, GError **error)
{
    g_autoptr(Options) o = options_from_json(arguments);
    const Json *props = json_get(arguments, "props"); /* the spelling before "props" went flat */

    for (unsigned i = 0; i < json_count(props); i++) {
        g_autoptr(Json) one = json_object();
        g_autoptr(Options) member = NULL;

        json_set(one, json_name_at(props, i), json_copy(json_at(props, i)));
        member = options_from_json(one);
        for (int k = 0; k < options_count(member); k++) {
            g_autofree char *old = g_strconcat("props.", options_key(member, k), NULL);

            options_get(o, old);
            options_set(o, options_key(member, k), options_value(member, k));
        }
    }
    object_add_options(o, error);
    return NULL;
}

Json *qmp_object_del(const Json *arguments, GError **error)
{
    const char *id = qmp_string(arguments, "id", error);

    if (id) {
        object_del(id, error);
    }
    return NULL;
}

Json *qmp_netdev_add(const Json *arguments, GError **error)
{
    g_autoptr(Options) o = options_from_json(arguments);

    net_new_options(o, error);
    return NULL;
}

Json *qmp_netdev_del(const Json *arguments, GError **error)
{
    const char *id = qmp_string(arguments, "id", error);

    if (id) {
        net_remove(id, error);
    }
    return NULL;
}
