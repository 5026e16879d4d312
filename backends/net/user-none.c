/* The user network's run-time commands in a build without libslirp. */
#include "backends/net.h"
#include "util/error.h"

bool net_user_forward(const char *id, const char *rule, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "there is no user network in this build");
    return false;
}

bool net_user_unforward(const char *id, const char *rule, GError **error)
{
    return net_user_forward(id, rule, error);
}

char *net_user_info(void)
{
    return g_strdup("");
}
