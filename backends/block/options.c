/* Options of images: taken one by one out of a JSON object, whose values may be texts of the command line. */
#include "backends/block/options.h"

#include "util/error.h"
#include "util/options.h"

#include <string.h>

static bool wrong(const char *name, const Json *value, const char *what, GError **error)
{
    g_autofree char *text = json_write(value, false);

    g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s=%s is not %s", name,
                json_get_string(value) ? json_get_string(value) : text, what);
    return false;
}

bool block_option_string(Json *options, const char *name, char **value, GError **error)
{
    g_autoptr(Json) given = options ? json_remove(options, name) : NULL;

    if (!given) {
        return true;
    }
    if (json_kind(given) == JSON_ARRAY || json_kind(given) == JSON_OBJECT || json_kind(given) == JSON_NULL) {
        return wrong(name, given, "a text", error);
    }
    g_free(*value);
    *value = json_kind(given) == JSON_STRING ? g_strdup(json_get_string(given))
             : json_kind(given) == JSON_BOOL ? g_strdup(json_get_bool(given, false) ? "on" : "off")
                                             : json_write(given, false);
    return true;
}

bool block_option_bool(Json *options, const char *name, bool *value, GError **error)
{
    g_autoptr(Json) given = options ? json_remove(options, name) : NULL;

    if (!given) {
        return true;
    }
    if (json_kind(given) == JSON_BOOL) {
        *value = json_get_bool(given, false);
        return true;
    }
    if (!json_get_string(given) || !parse_bool(json_get_string(given), value)) {
        return wrong(name, given, "on or off", error);
    }
    return true;
}

bool block_option_u64(Json *options, const char *name, uint64_t *value, GError **error)
{
    g_autoptr(Json) given = options ? json_remove(options, name) : NULL;

    if (!given) {
        return true;
    }
    if (json_kind(given) == JSON_INT && (json_get_int(given, -1) >= 0 || json_get_uint(given, 0))) {
        *value = json_get_uint(given, 0);
        return true;
    }
    if (!json_get_string(given) || !parse_u64(json_get_string(given), value)) {
        return wrong(name, given, "a number", error);
    }
    return true;
}

bool block_option_size(Json *options, const char *name, uint64_t *value, GError **error)
{
    const Json *given = options ? json_get(options, name) : NULL;

    if (given && json_get_string(given)) {
        g_autoptr(Json) text = json_remove(options, name);

        return parse_size(json_get_string(text), 1, value) || wrong(name, text, "a size", error);
    }
    return block_option_u64(options, name, value, error);
}

/* Puts value at "a.b.c" of the tree; takes it. */
static bool set_dotted(Json *tree, const char *key, Json *value, GError **error)
{
    const char *dot = strchr(key, '.');

    if (!dot) {
        const Json *old = json_get(tree, key);

        if (old && json_kind(old) == JSON_OBJECT && json_kind(value) == JSON_OBJECT) {
            block_options_merge(value, old);
        }
        json_set(tree, key, value);
        return true;
    }
    {
        g_autofree char *first = g_strndup(key, dot - key);
        Json *inner = json_remove(tree, first);

        if (inner && json_kind(inner) != JSON_OBJECT) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is given as a value and with '%s'", first, key);
            json_free(inner);
            json_free(value);
            return false;
        }
        inner = inner ? inner : json_object();
        json_set(tree, first, inner);
        return set_dotted(inner, dot + 1, value, error);
    }
}

/* "server.0", "server.1" ... of a command line are an array. */
static bool is_array(const Json *object)
{
    for (unsigned i = 0; i < json_count(object); i++) {
        g_autofree char *name = g_strdup_printf("%u", i);

        if (!json_get(object, name)) {
            return false;
        }
    }
    return json_count(object) > 0;
}

static Json *with_arrays(const Json *value)
{
    Json *copy;

    if (json_kind(value) != JSON_OBJECT) {
        return json_copy(value);
    }
    if (is_array(value)) {
        copy = json_array();
        for (unsigned i = 0; i < json_count(value); i++) {
            g_autofree char *name = g_strdup_printf("%u", i);

            json_append(copy, with_arrays(json_get(value, name)));
        }
        return copy;
    }
    copy = json_object();
    for (unsigned i = 0; i < json_count(value); i++) {
        json_set(copy, json_name_at(value, i), with_arrays(json_at(value, i)));
    }
    return copy;
}

static bool nest(Json *tree, const Json *flat, GError **error)
{
    for (unsigned i = 0; i < json_count(flat); i++) {
        const Json *value = json_at(flat, i);
        Json *copy = json_kind(value) == JSON_OBJECT ? json_object() : json_copy(value);

        if (json_kind(value) == JSON_OBJECT && !nest(copy, value, error)) {
            json_free(copy);
            return false;
        }
        if (!set_dotted(tree, json_name_at(flat, i), copy, error)) {
            return false;
        }
    }
    return true;
}

Json *block_options_nested(const Json *flat, GError **error)
{
    g_autoptr(Json) tree = json_object();

    return nest(tree, flat, error) ? with_arrays(tree) : NULL;
}

void block_options_merge(Json *into, const Json *from)
{
    for (unsigned i = 0; i < json_count(from); i++) {
        const char *name = json_name_at(from, i);
        const Json *value = json_at(from, i), *old = json_get(into, name);

        if (old && json_kind(old) == JSON_OBJECT && json_kind(value) == JSON_OBJECT) {
            Json *both = json_copy(old);

            block_options_merge(both, value);
            json_set(into, name, both);
        } else {
            json_set(into, name, json_copy(value));
        }
    }
}

bool block_options_check_empty(const Json *options, const char *what, GError **error)
{
    const Json *inner;
    g_autofree char *inside = NULL;

    if (!options || !json_count(options)) {
        return true;
    }
    inner = json_at(options, 0);
    if (json_kind(inner) == JSON_OBJECT && json_count(inner)) {
        inside = g_strdup_printf(".%s", json_name_at(inner, 0));
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s has no option '%s%s'", what, json_name_at(options, 0),
                inside ? inside : "");
    return false;
}
