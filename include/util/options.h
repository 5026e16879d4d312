/* Option strings of the command line: "value,key=value,flag,noflag", sizes, switches. */
#ifndef UTIL_OPTIONS_H
#define UTIL_OPTIONS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Options Options;

/*
 * ",," is a literal comma. A first word without '=' is the value of implied_key (unless that is
 * NULL). A later bare word foo means foo=on, nofoo means foo=off.
 */
Options *options_parse(const char *text, const char *implied_key, GError **error);
/* The same from a JSON object, as QMP and some options have it: {"addr": {"type": "unix"}} is addr.type=unix, a
 * list is a key that is there several times, and {"str": "x"} is x. */
struct Json;
Options *options_from_json(const struct Json *object);
/* Text of either form: JSON if it begins with a brace. */
Options *options_parse_any(const char *text, const char *implied_key, GError **error);
Options *options_new(void);
void options_free(Options *options);
void options_set(Options *options, const char *key, const char *value); /* appends, copies */

int options_count(const Options *options);
const char *options_key(const Options *options, int index);
const char *options_value(const Options *options, int index);
/* The last value given for key, or NULL. What was asked for counts as known. */
const char *options_get(const Options *options, const char *key);
bool options_has(const Options *options, const char *key);
/* These leave *value alone if the key is absent; false: the value is wrong. */
bool options_get_bool(const Options *options, const char *key, bool *value, GError **error);
bool options_get_int(const Options *options, const char *key, int *value, GError **error);
bool options_get_u64(const Options *options, const char *key, uint64_t *value, GError **error);
bool options_get_size(const Options *options, const char *key, uint64_t *value, GError **error);
/* After all options_get: refuses keys that nobody asked for. what: "-netdev user". */
bool options_check_unknown(const Options *options, const char *what, GError **error);

/* on/off yes/no true/false y/n 1/0 */
bool parse_bool(const char *text, bool *value);
bool parse_u64(const char *text, uint64_t *value); /* decimal, 0x hexadecimal; all of the text */
bool parse_i64(const char *text, int64_t *value);
/* "512", "1.5G", "64k"; without a suffix the number counts `unit` bytes. */
bool parse_size(const char *text, uint64_t unit, uint64_t *value);

/* The name nearest to a mistyped one, or NULL if none is near. The list ends with NULL. */
const char *options_nearest(const char *name, const char *const *list);
/* " (did you mean 'x'?)" or ""; caller frees. */
char *options_hint(const char *name, const char *const *list);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Options, options_free)

#endif
