/* JSON values, their text, and a parser that is fed bytes as they arrive. */
#ifndef UTIL_JSON_H
#define UTIL_JSON_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum JsonKind {
    JSON_NULL,
    JSON_BOOL,
    JSON_INT,    /* fits int64_t, or uint64_t beyond it */
    JSON_DOUBLE,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT, /* keeps the order of its members */
} JsonKind;

typedef struct Json Json;

Json *json_null(void);
Json *json_bool(bool value);
Json *json_int(int64_t value);
Json *json_uint(uint64_t value);
Json *json_double(double value);
Json *json_string(const char *value);
Json *json_printf(const char *format, ...) G_GNUC_PRINTF(1, 2); /* a string */
Json *json_array(void);
Json *json_object(void);
Json *json_copy(const Json *json);
void json_free(Json *json);

/* These take the value. Adding a name that is there replaces its value. */
void json_append(Json *array, Json *value);
void json_set(Json *object, const char *name, Json *value);
void json_set_string(Json *object, const char *name, const char *value);
void json_set_int(Json *object, const char *name, int64_t value);
void json_set_bool(Json *object, const char *name, bool value);
/* Takes the member out: the caller's, to free; NULL if there is none. */
Json *json_remove(Json *object, const char *name);

JsonKind json_kind(const Json *json);
/* Values; of another kind: the default. */
bool json_get_bool(const Json *json, bool otherwise);
int64_t json_get_int(const Json *json, int64_t otherwise); /* also from a whole double */
uint64_t json_get_uint(const Json *json, uint64_t otherwise);
double json_get_double(const Json *json, double otherwise); /* also from an integer */
const char *json_get_string(const Json *json); /* borrowed; NULL if no string */
/* Elements or members; 0 for other kinds. */
unsigned json_count(const Json *json);
const Json *json_at(const Json *json, unsigned index);
const char *json_name_at(const Json *object, unsigned index);
const Json *json_get(const Json *object, const char *name); /* NULL if absent or no object */

/* Shorthands on members. */
const char *json_member_string(const Json *object, const char *name); /* NULL if none */
int64_t json_member_int(const Json *object, const char *name, int64_t otherwise);
bool json_member_bool(const Json *object, const char *name, bool otherwise);

/* One line, "{"a": 1, "b": [true]}", or indented by four. Caller frees. */
char *json_write(const Json *json, bool pretty);

/* All of the text is one value. Strings may be in ' or ". */
Json *json_parse(const char *text, GError **error);

/*
 * Finds complete values in a stream. fn owns the value; on a syntax error the value is NULL and the
 * error set, and the parser starts again behind the damage.
 */
typedef struct JsonStream JsonStream;
typedef void JsonStreamFn(void *opaque, Json *value, const GError *error);
JsonStream *json_stream_new(JsonStreamFn *fn, void *opaque);
void json_stream_feed(JsonStream *stream, const char *bytes, size_t size);
void json_stream_free(JsonStream *stream);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Json, json_free)

#endif
