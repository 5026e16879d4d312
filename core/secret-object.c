/* -object secret: passphrases and keys of disk images. */
#include "core/object.h"
#include "util/secret.h"

extern const ObjectType secret_object_type;

static void *create(const char *id, const Options *options, GError **error)
{
    return secret_add_options(options, error) ? g_strdup(id) : NULL;
}

static bool destroy(void *object, GError **error)
{
    secret_remove(object);
    g_free(object);
    return true;
}

const ObjectType secret_object_type = {
    .name = "secret",
    .about = "a passphrase or key: data=TEXT or file=NAME, format=raw|base64",
    .create = create,
    .destroy = destroy,
};
