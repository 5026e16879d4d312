/* Option strings and the values in them. */
#include "util/options.h"

#include "util/error.h"
#include "util/json.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Option {
    char *key, *value;
    bool known; /* somebody asked for it */
} Option;

struct Options {
    GPtrArray *list; /* Option */
    GPtrArray *asked; /* keys that somebody asked for: what there could have been */
};

static void option_free(gpointer data)
{
    Option *option = data;

    g_free(option->key);
    g_free(option->value);
    g_free(option);
}

Options *options_new(void)
{
    Options *options = g_new0(Options, 1);

    options->list = g_ptr_array_new_with_free_func(option_free);
    options->asked = g_ptr_array_new_with_free_func(g_free);
    return options;
}

void options_free(Options *options)
{
    if (options) {
        g_ptr_array_free(options->list, TRUE);
        g_ptr_array_free(options->asked, TRUE);
        g_free(options);
    }
}

void options_set(Options *options, const char *key, const char *value)
{
    Option *option = g_new0(Option, 1);

    option->key = g_strdup(key);
    option->value = g_strdup(value);
    g_ptr_array_add(options->list, option);
}

/* The next item, with ",," made ","; *text moves behind the comma that ended it. */
static char *next_item(const char **text)
{
    GString *item = g_string_new(NULL);
    const char *p = *text;

    while (*p && (*p != ',' || p[1] == ',')) {
        p += *p == ',';
        g_string_append_c(item, *p++);
    }
    *text = *p ? p + 1 : p;
    return g_string_free(item, FALSE);
}

Options *options_parse(const char *text, const char *implied_key, GError **error)
{
    g_autoptr(Options) options = options_new();
    bool first = true;

    while (*text) {
        g_autofree char *item = next_item(&text);
        char *equals = strchr(item, '=');

        if (equals) {
            *equals = '\0';
            if (equals == item) {
                g_set_error(error, VM_ERROR, VM_ERROR_USER, "option '=%s' has no name",
                            equals + 1);
                return NULL;
            }
            options_set(options, item, equals + 1);
        } else if (first && implied_key) {
            options_set(options, implied_key, item);
        } else if (g_str_has_prefix(item, "no") && item[2]) {
            options_set(options, item + 2, "off");
        } else if (*item) {
            options_set(options, item, "on");
        }
        first = false;
    }
    return g_steal_pointer(&options);
}

static void add_json(Options *options, const char *key, const Json *value)
{
    g_autofree char *text = NULL;

    switch (json_kind(value)) {
    case JSON_STRING:
        options_set(options, key, json_get_string(value));
        return;
    case JSON_BOOL:
        options_set(options, key, json_get_bool(value, false) ? "on" : "off");
        return;
    case JSON_NULL:
        return;
    case JSON_OBJECT:
        if (json_count(value) == 1 && json_member_string(value, "str")) {
            options_set(options, key, json_member_string(value, "str"));
            return;
        }
        for (unsigned i = 0; i < json_count(value); i++) {
            g_autofree char *name = g_strdup_printf("%s.%s", key, json_name_at(value, i));

            add_json(options, name, json_at(value, i));
        }
        return;
    case JSON_ARRAY:
        for (unsigned i = 0; i < json_count(value); i++) {
            add_json(options, key, json_at(value, i));
        }
        return;
    default:
        text = json_write(value, false);
        options_set(options, key, text);
    }
}

Options *options_from_json(const Json *object)
{
    Options *options = options_new();

    for (unsigned i = 0; i < json_count(object); i++) {
        add_json(options, json_name_at(object, i), json_at(object, i));
    }
    return options;
}

Options *options_parse_any(const char *text, const char *implied_key, GError **error)
{
    g_autoptr(Json) json = NULL;

    if (*text != '{') {
        return options_parse(text, implied_key, error);
    }
    json = json_parse(text, error);
    return json ? options_from_json(json) : NULL;
}

int options_count(const Options *options)
{
    return options->list->len;
}

const char *options_key(const Options *options, int index)
{
    return ((Option *)options->list->pdata[index])->key;
}

const char *options_value(const Options *options, int index)
{
    return ((Option *)options->list->pdata[index])->value;
}

const char *options_get(const Options *options, const char *key)
{
    const char *value = NULL;

    g_ptr_array_add(options->asked, g_strdup(key));
    for (guint i = 0; i < options->list->len; i++) {
        Option *option = options->list->pdata[i];

        if (g_str_equal(option->key, key)) {
            option->known = true;
            value = option->value;
        }
    }
    return value;
}

bool options_has(const Options *options, const char *key)
{
    return options_get(options, key) != NULL;
}

static bool wrong(const char *key, const char *value, const char *expected, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "option '%s': '%s' is not %s", key, value,
                expected);
    return false;
}

bool options_get_bool(const Options *options, const char *key, bool *value, GError **error)
{
    const char *text = options_get(options, key);

    return !text || parse_bool(text, value) || wrong(key, text, "'on' or 'off'", error);
}

bool options_get_int(const Options *options, const char *key, int *value, GError **error)
{
    const char *text = options_get(options, key);
    int64_t number;

    if (!text) {
        return true;
    }
    if (!parse_i64(text, &number) || number < INT_MIN || number > INT_MAX) {
        return wrong(key, text, "a number", error);
    }
    *value = number;
    return true;
}

bool options_get_u64(const Options *options, const char *key, uint64_t *value, GError **error)
{
    const char *text = options_get(options, key);

    return !text || parse_u64(text, value) || wrong(key, text, "a number", error);
}

bool options_get_size(const Options *options, const char *key, uint64_t *value, GError **error)
{
    const char *text = options_get(options, key);

    return !text || parse_size(text, 1, value) ||
           wrong(key, text, "a size (a number with K, M, G or T)", error);
}

bool options_check_unknown(const Options *options, const char *what, GError **error)
{
    for (guint i = 0; i < options->list->len; i++) {
        const Option *option = options->list->pdata[i];

        if (!option->known) {
            g_autofree char *hint = NULL;

            g_ptr_array_add(options->asked, NULL);
            hint = options_hint(option->key, (const char *const *)options->asked->pdata);
            g_ptr_array_remove_index(options->asked, options->asked->len - 1);
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s does not know '%s'%s", what,
                        option->key, hint);
            return false;
        }
    }
    return true;
}

bool parse_bool(const char *text, bool *value)
{
    static const char *const words[] = { "off", "on", "no", "yes", "false", "true",
                                         "n",   "y",  "0",  "1" };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_ascii_strcasecmp(text, words[i]) == 0) {
            *value = i & 1;
            return true;
        }
    }
    return false;
}

bool parse_u64(const char *text, uint64_t *value)
{
    int base = g_ascii_strncasecmp(text, "0x", 2) == 0 ? 16 : 10;
    char *end;
    uint64_t number;

    if (!g_ascii_isdigit(*text)) {
        return false;
    }
    errno = 0;
    number = g_ascii_strtoull(text, &end, base);
    if (errno || *end) {
        return false;
    }
    *value = number;
    return true;
}

bool parse_i64(const char *text, int64_t *value)
{
    bool negative = *text == '-';
    uint64_t number;

    if (!parse_u64(text + negative, &number) || number > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    *value = negative ? (int64_t)(0 - number) : (int64_t)number;
    return true;
}

bool parse_size(const char *text, uint64_t unit, uint64_t *value)
{
    static const char suffixes[] = "bkmgtpe";
    char *end;
    const char *suffix;
    uint64_t whole;
    double fraction = 0;

    if (!g_ascii_isdigit(*text)) {
        return false;
    }
    errno = 0;
    whole = g_ascii_strtoull(text, &end, g_ascii_strncasecmp(text, "0x", 2) == 0 ? 16 : 10);
    if (errno) {
        return false;
    }
    if (*end == '.') {
        fraction = g_ascii_strtod(end, &end);
    }
    if (*end) {
        suffix = strchr(suffixes, g_ascii_tolower(*end));
        if (!suffix || (end[1] && !g_str_equal(end + 1, "iB") && !g_str_equal(end + 1, "B"))) {
            return false;
        }
        unit = 1ull << (10 * (suffix - suffixes));
    }
    if (whole && unit > UINT64_MAX / whole) {
        return false;
    }
    *value = whole * unit + (uint64_t)(fraction * unit);
    return true;
}

/* Insertions, deletions, replacements and swaps of neighbours that make a out of b. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    g_autofree size_t *rows = g_new(size_t, 3 * (m + 1));
    size_t *older = rows, *old = rows + m + 1, *row = rows + 2 * (m + 1);

    for (size_t k = 0; k <= m; k++) {
        old[k] = k;
    }
    for (size_t i = 1; i <= n; i++) {
        size_t *spare = older;

        row[0] = i;
        for (size_t k = 1; k <= m; k++) {
            size_t cost = g_ascii_tolower(a[i - 1]) != g_ascii_tolower(b[k - 1]);

            row[k] = MIN(MIN(old[k], row[k - 1]) + 1, old[k - 1] + cost);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1]) {
                row[k] = MIN(row[k], older[k - 2] + 1);
            }
        }
        older = old;
        old = row;
        row = spare;
    }
    return old[m];
}

const char *options_nearest(const char *name, const char *const *list)
{
    size_t best = strlen(name) / 4 + 1;
    const char *nearest = NULL;

    for (; *list; list++) {
        size_t d = distance(name, *list);

        if (d < best || (d == best && !nearest)) {
            best = d;
            nearest = *list;
        }
    }
    return nearest;
}

char *options_hint(const char *name, const char *const *list)
{
    const char *nearest = options_nearest(name, list);

    return nearest ? g_strdup_printf(" (did you mean '%s'?)", nearest) : g_strdup("");
}
