/* Passphrases and keys by name. */
#include "util/secret.h"

#include "util/error.h"

#include <string.h>

typedef struct Secret {
    uint8_t *data;
    size_t size;
} Secret;

static GMutex lock;
static GHashTable *secrets; /* of Secret * by id */

void secret_wipe(void *data, size_t size)
{
    memset(data, 0, size);
    __asm__ volatile("" : : "r"(data) : "memory");
}

void secret_free(uint8_t *data, size_t size)
{
    if (data) {
        secret_wipe(data, size);
        g_free(data);
    }
}

static void free_secret(void *opaque)
{
    Secret *secret = opaque;

    secret_free(secret->data, secret->size);
    g_free(secret);
}

/* The bytes that data= or file= give. */
static uint8_t *load(const Options *options, size_t *size, GError **error)
{
    const char *data = options_get(options, "data"), *file = options_get(options, "file");
    char *content;

    if (!data == !file) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "a secret needs either data= or file=");
        return NULL;
    }
    if (file) {
        return g_file_get_contents(file, &content, size, error) ? (uint8_t *)content : NULL;
    }
    *size = strlen(data);
    return (uint8_t *)g_strdup(data);
}

/* Whether text is base64 but for white space. */
static bool is_base64(const uint8_t *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!g_ascii_isalnum(text[i]) && !g_ascii_isspace(text[i]) && (!text[i] || !strchr("+/=", text[i]))) {
            return false;
        }
    }
    return true;
}

static bool decode(const char *id, const char *format, uint8_t **data, size_t *size, GError **error)
{
    uint8_t *decoded;
    size_t decoded_size;

    if (!format || !strcmp(format, "raw")) {
        return true;
    }
    if (strcmp(format, "base64")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "secret '%s': format=%s is neither raw nor base64", id, format);
        return false;
    }
    if (!is_base64(*data, *size)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "secret '%s' is not in base64", id);
        return false;
    }
    decoded = g_base64_decode((char *)*data, &decoded_size);
    secret_free(*data, *size);
    *data = g_realloc(decoded, decoded_size + 1);
    (*data)[decoded_size] = 0;
    *size = decoded_size;
    return true;
}

bool secret_add_options(const Options *options, GError **error)
{
    const char *id = options_get(options, "id");
    Secret *secret;
    uint8_t *data;
    size_t size;
    bool added;

    if (!id) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "a secret needs id=");
        return false;
    }
    data = load(options, &size, error);
    if (!data) {
        g_prefix_error(error, "secret '%s': ", id);
        return false;
    }
    if (!decode(id, options_get(options, "format"), &data, &size, error)) {
        secret_free(data, size);
        return false;
    }
    secret = g_new(Secret, 1);
    *secret = (Secret){ data, size };
    g_mutex_lock(&lock);
    if (!secrets) {
        secrets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_secret);
    }
    added = !g_hash_table_contains(secrets, id);
    if (added) {
        g_hash_table_insert(secrets, g_strdup(id), secret);
    } else {
        free_secret(secret);
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "there is already a secret '%s'", id);
    }
    g_mutex_unlock(&lock);
    return added;
}

bool secret_add(const char *text, GError **error)
{
    g_autoptr(Options) options = options_parse(text, "qom-type", error);
    const char *type = options ? options_get(options, "qom-type") : NULL;

    if (!options) {
        return false;
    }
    if (!type || strcmp(type, "secret")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "object type '%s' is unknown here: use secret,id=ID,data=TEXT or file=NAME",
                    type ? type : "");
        return false;
    }
    return secret_add_options(options, error) && options_check_unknown(options, "a secret", error);
}

bool secret_remove(const char *id)
{
    bool removed;

    g_mutex_lock(&lock);
    removed = secrets && g_hash_table_remove(secrets, id);
    g_mutex_unlock(&lock);
    return removed;
}

uint8_t *secret_get(const char *id, size_t *size, GError **error)
{
    const Secret *secret;
    uint8_t *copy = NULL;

    g_mutex_lock(&lock);
    secret = secrets ? g_hash_table_lookup(secrets, id) : NULL;
    if (secret) {
        copy = g_malloc(secret->size + 1);
        memcpy(copy, secret->data, secret->size);
        copy[secret->size] = 0;
        *size = secret->size;
    } else {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "there is no secret '%s': give -object secret,id=%s,data=TEXT or file=NAME",
                    id, id);
    }
    g_mutex_unlock(&lock);
    return copy;
}
