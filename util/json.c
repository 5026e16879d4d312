/* JSON values and their text. */
#include "util/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct Json {
    JsonKind kind;
    bool is_unsigned; /* a JSON_INT above INT64_MAX */
    union {
        bool boolean;
        int64_t integer;
        double real;
        char *string;
        GPtrArray *values; /* elements, or values of members */
    };
    GPtrArray *names; /* of an object's members */
};

static Json *json_new(JsonKind kind)
{
    Json *json = g_new0(Json, 1);

    json->kind = kind;
    return json;
}

Json *json_null(void)
{
    return json_new(JSON_NULL);
}

Json *json_bool(bool value)
{
    Json *json = json_new(JSON_BOOL);

    json->boolean = value;
    return json;
}

Json *json_int(int64_t value)
{
    Json *json = json_new(JSON_INT);

    json->integer = value;
    return json;
}

Json *json_uint(uint64_t value)
{
    Json *json = json_int((int64_t)value);

    json->is_unsigned = value > INT64_MAX;
    return json;
}

Json *json_double(double value)
{
    Json *json = json_new(JSON_DOUBLE);

    json->real = value;
    return json;
}

static Json *take_string(char *value)
{
    Json *json = json_new(JSON_STRING);

    json->string = value;
    return json;
}

Json *json_string(const char *value)
{
    return take_string(g_strdup(value ? value : ""));
}

Json *json_printf(const char *format, ...)
{
    va_list args;
    Json *json;

    va_start(args, format);
    json = take_string(g_strdup_vprintf(format, args));
    va_end(args);
    return json;
}

static void free_value(gpointer value)
{
    json_free(value);
}

Json *json_array(void)
{
    Json *json = json_new(JSON_ARRAY);

    json->values = g_ptr_array_new_with_free_func(free_value);
    return json;
}

Json *json_object(void)
{
    Json *json = json_new(JSON_OBJECT);

    json->values = g_ptr_array_new_with_free_func(free_value);
    json->names = g_ptr_array_new_with_free_func(g_free);
    return json;
}

Json *json_copy(const Json *json)
{
    Json *copy;

    switch (json->kind) {
    case JSON_STRING:
        return json_string(json->string);
    case JSON_ARRAY:
        copy = json_array();
        for (unsigned i = 0; i < json->values->len; i++) {
            json_append(copy, json_copy(json->values->pdata[i]));
        }
        return copy;
    case JSON_OBJECT:
        copy = json_object();
        for (unsigned i = 0; i < json->values->len; i++) {
            json_set(copy, json->names->pdata[i], json_copy(json->values->pdata[i]));
        }
        return copy;
    default:
        return g_memdup2(json, sizeof(*json));
    }
}

void json_free(Json *json)
{
    if (!json) {
        return;
    }
    if (json->kind == JSON_STRING) {
        g_free(json->string);
    } else if (json->kind == JSON_ARRAY || json->kind == JSON_OBJECT) {
        g_ptr_array_free(json->values, TRUE);
        if (json->names) {
            g_ptr_array_free(json->names, TRUE);
        }
    }
    g_free(json);
}

void json_append(Json *array, Json *value)
{
    g_assert(array->kind == JSON_ARRAY);
    g_ptr_array_add(array->values, value);
}

static int find_member(const Json *object, const char *name)
{
    for (unsigned i = 0; i < object->names->len; i++) {
        if (g_str_equal(object->names->pdata[i], name)) {
            return i;
        }
    }
    return -1;
}

void json_set(Json *object, const char *name, Json *value)
{
    int i;

    g_assert(object->kind == JSON_OBJECT);
    i = find_member(object, name);
    if (i >= 0) {
        json_free(object->values->pdata[i]);
        object->values->pdata[i] = value;
        return;
    }
    g_ptr_array_add(object->names, g_strdup(name));
    g_ptr_array_add(object->values, value);
}

void json_set_string(Json *object, const char *name, const char *value)
{
    json_set(object, name, json_string(value));
}

void json_set_int(Json *object, const char *name, int64_t value)
{
    json_set(object, name, json_int(value));
}

void json_set_bool(Json *object, const char *name, bool value)
{
    json_set(object, name, json_bool(value));
}

Json *json_remove(Json *object, const char *name)
{
    int i = find_member(object, name);
    Json *value;

    if (i < 0) {
        return NULL;
    }
    value = g_ptr_array_steal_index(object->values, i);
    g_ptr_array_remove_index(object->names, i);
    return value;
}

JsonKind json_kind(const Json *json)
{
    return json->kind;
}

bool json_get_bool(const Json *json, bool otherwise)
{
    return json && json->kind == JSON_BOOL ? json->boolean : otherwise;
}

int64_t json_get_int(const Json *json, int64_t otherwise)
{
    if (json && json->kind == JSON_INT && !json->is_unsigned) {
        return json->integer;
    }
    if (json && json->kind == JSON_DOUBLE && fabs(json->real) < 0x1p63 &&
        json->real == trunc(json->real)) {
        return json->real;
    }
    return otherwise;
}

uint64_t json_get_uint(const Json *json, uint64_t otherwise)
{
    if (json && json->kind == JSON_INT && (json->is_unsigned || json->integer >= 0)) {
        return json->integer;
    }
    return otherwise;
}

double json_get_double(const Json *json, double otherwise)
{
    if (json && json->kind == JSON_DOUBLE) {
        return json->real;
    }
    if (json && json->kind == JSON_INT) {
        return json->is_unsigned ? (double)(uint64_t)json->integer : (double)json->integer;
    }
    return otherwise;
}

const char *json_get_string(const Json *json)
{
    return json && json->kind == JSON_STRING ? json->string : NULL;
}

unsigned json_count(const Json *json)
{
    return json && (json->kind == JSON_ARRAY || json->kind == JSON_OBJECT) ? json->values->len : 0;
}

const Json *json_at(const Json *json, unsigned index)
{
    return index < json_count(json) ? json->values->pdata[index] : NULL;
}

const char *json_name_at(const Json *object, unsigned index)
{
    return object->kind == JSON_OBJECT && index < object->names->len ? object->names->pdata[index]
                                                                     : NULL;
}

const Json *json_get(const Json *object, const char *name)
{
    int i = object && object->kind == JSON_OBJECT ? find_member(object, name) : -1;

    return i >= 0 ? object->values->pdata[i] : NULL;
}

const char *json_member_string(const Json *object, const char *name)
{
    return json_get_string(json_get(object, name));
}

int64_t json_member_int(const Json *object, const char *name, int64_t otherwise)
{
    return json_get_int(json_get(object, name), otherwise);
}

bool json_member_bool(const Json *object, const char *name, bool otherwise)
{
    return json_get_bool(json_get(object, name), otherwise);
}

/* Everything outside of ASCII is escaped, so that any terminal and parser takes it. */
static void write_string(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);
        const char *named = c < 0x80 && c ? strchr("\"\"\\\\\bb\ff\nn\rr\tt", c) : NULL;

        if ((gint32)c < 0) { /* not UTF-8 */
            c = 0xfffd;
            text++;
        } else {
            text = g_utf8_next_char(text);
        }
        if (c == '"' || c == '\\') {
            g_string_append_printf(out, "\\%c", (char)c);
        } else if (named && c < 0x20) {
            g_string_append_printf(out, "\\%c", named[1]);
        } else if (c >= 0x20 && c < 0x7f) {
            g_string_append_c(out, c);
        } else if (c < 0x10000) {
            g_string_append_printf(out, "\\u%04x", c);
        } else {
            g_string_append_printf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
                                   0xdc00 + ((c - 0x10000) & 0x3ff));
        }
    }
    g_string_append_c(out, '"');
}

static void write_double(GString *out, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    if (!isfinite(value)) {
        g_string_append(out, "null"); /* JSON has no other word for it */
        return;
    }
    g_ascii_formatd(text, sizeof(text), "%.15g", value);
    if (g_ascii_strtod(text, NULL) != value) {
        g_ascii_formatd(text, sizeof(text), "%.17g", value);
    }
    g_string_append(out, text);
    if (!strpbrk(text, ".e")) {
        g_string_append(out, ".0"); /* reads back as a double */
    }
}

static void new_line(GString *out, bool pretty, unsigned depth)
{
    if (pretty) {
        g_string_append_printf(out, "\n%*s", 4 * depth, "");
    }
}

static void write_value(GString *out, const Json *json, bool pretty, unsigned depth)
{
    bool object = json->kind == JSON_OBJECT;

    switch (json->kind) {
    case JSON_NULL:
        g_string_append(out, "null");
        return;
    case JSON_BOOL:
        g_string_append(out, json->boolean ? "true" : "false");
        return;
    case JSON_INT:
        g_string_append_printf(
            out, json->is_unsigned ? "%" G_GUINT64_FORMAT : "%" G_GINT64_FORMAT, json->integer);
        return;
    case JSON_DOUBLE:
        write_double(out, json->real);
        return;
    case JSON_STRING:
        write_string(out, json->string);
        return;
    default:
        break;
    }
    g_string_append_c(out, object ? '{' : '[');
    for (unsigned i = 0; i < json->values->len; i++) {
        if (i) {
            g_string_append(out, pretty ? "," : ", ");
        }
        new_line(out, pretty, depth + 1);
        if (object) {
            write_string(out, json->names->pdata[i]);
            g_string_append(out, ": ");
        }
        write_value(out, json->values->pdata[i], pretty, depth + 1);
    }
    if (json->values->len) {
        new_line(out, pretty, depth);
    }
    g_string_append_c(out, object ? '}' : ']');
}

char *json_write(const Json *json, bool pretty)
{
    GString *out = g_string_new(NULL);

    write_value(out, json, pretty, 0);
    return g_string_free(out, FALSE);
}
