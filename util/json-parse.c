/* From text to JSON values (RFC 8259, and strings in single quotes). */
#include "util/json.h"

#include "util/error.h"

#include <errno.h>
#include <string.h>

#define MAX_DEPTH 1024
#define MAX_VALUE (64u << 20) /* bytes of one value in a stream */

typedef struct Parser {
    const char *at, *end;
    unsigned depth;
    GError **error;
} Parser;

static Json *parse_value(Parser *p);

static Json *fail(Parser *p, const char *what)
{
    if (p->error && !*p->error) {
        g_set_error(p->error, VM_ERROR, VM_ERROR_USER, "JSON: %s", what);
    }
    return NULL;
}

static void skip_space(Parser *p)
{
    while (p->at < p->end && strchr(" \t\r\n", *p->at) && *p->at) {
        p->at++;
    }
}

static bool take(Parser *p, char c)
{
    skip_space(p);
    if (p->at < p->end && *p->at == c) {
        p->at++;
        return true;
    }
    return false;
}

static bool parse_hex4(Parser *p, gunichar *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = p->at < p->end ? g_ascii_xdigit_value(*p->at++) : -1;

        if (digit < 0) {
            return false;
        }
        *value = *value << 4 | digit;
    }
    return true;
}

/* What follows a backslash. */
static bool parse_escape(Parser *p, GString *out)
{
    static const char from[] = "\"'\\/bfnrt", to[] = "\"'\\/\b\f\n\r\t";
    char c = p->at < p->end ? *p->at++ : '\0';
    const char *known = c ? strchr(from, c) : NULL;
    gunichar high, low;

    if (known) {
        g_string_append_c(out, to[known - from]);
        return true;
    }
    if (c != 'u' || !parse_hex4(p, &high)) {
        return false;
    }
    if (high >= 0xd800 && high < 0xdc00) {
        if (p->end - p->at < 6 || p->at[0] != '\\' || p->at[1] != 'u') {
            return false;
        }
        p->at += 2;
        if (!parse_hex4(p, &low) || low < 0xdc00 || low > 0xdfff) {
            return false;
        }
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    } else if ((high >= 0xdc00 && high < 0xe000) || high == 0) {
        return false; /* half a pair; and our strings end with NUL */
    }
    g_string_append_unichar(out, high);
    return true;
}

static char *parse_text(Parser *p)
{
    g_autoptr(GString) out = g_string_new(NULL);
    char quote = *p->at++;

    while (p->at < p->end && *p->at != quote) {
        char c = *p->at++;

        if ((uint8_t)c < 0x20) {
            fail(p, "control character in a string");
            return NULL;
        }
        if (c != '\\') {
            g_string_append_c(out, c);
        } else if (!parse_escape(p, out)) {
            fail(p, "bad escape in a string");
            return NULL;
        }
    }
    if (p->at == p->end) {
        fail(p, "string does not end");
        return NULL;
    }
    p->at++;
    if (!g_utf8_validate(out->str, out->len, NULL)) {
        fail(p, "string is not UTF-8");
        return NULL;
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static bool is_quote(const Parser *p)
{
    return p->at < p->end && (*p->at == '"' || *p->at == '\'');
}

static Json *parse_string(Parser *p)
{
    g_autofree char *text = parse_text(p);

    return text ? json_string(text) : NULL;
}

static void skip_digits(Parser *p)
{
    while (p->at < p->end && g_ascii_isdigit(*p->at)) {
        p->at++;
    }
}

static Json *parse_number(Parser *p)
{
    const char *start = p->at;
    bool real = false;
    g_autofree char *text = NULL;
    uint64_t u;

    p->at += *p->at == '-';
    if (p->at == p->end || !g_ascii_isdigit(*p->at)) {
        return fail(p, "bad number");
    }
    skip_digits(p);
    if (p->at < p->end && *p->at == '.') {
        real = true;
        p->at++;
        skip_digits(p);
    }
    if (p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
        real = true;
        p->at++;
        p->at += p->at < p->end && (*p->at == '+' || *p->at == '-');
        skip_digits(p);
    }
    if (!g_ascii_isdigit(p->at[-1])) {
        return fail(p, "bad number");
    }
    text = g_strndup(start, p->at - start);
    errno = 0;
    u = g_ascii_strtoull(text + (*text == '-'), NULL, 10);
    if (real || errno || (*text == '-' && u > (uint64_t)INT64_MAX + 1)) {
        return json_double(g_ascii_strtod(text, NULL));
    }
    return *text == '-' ? json_int((int64_t)(0 - u)) : json_uint(u);
}

static Json *parse_word(Parser *p)
{
    const char *start = p->at;
    size_t n;

    while (p->at < p->end && g_ascii_isalpha(*p->at)) {
        p->at++;
    }
    n = p->at - start;
    if (n == 4 && memcmp(start, "true", 4) == 0) {
        return json_bool(true);
    }
    if (n == 5 && memcmp(start, "false", 5) == 0) {
        return json_bool(false);
    }
    if (n == 4 && memcmp(start, "null", 4) == 0) {
        return json_null();
    }
    return fail(p, "unexpected text");
}

static Json *parse_array(Parser *p)
{
    g_autoptr(Json) array = json_array();

    p->at++;
    if (take(p, ']')) {
        return g_steal_pointer(&array);
    }
    do {
        Json *value = parse_value(p);

        if (!value) {
            return NULL;
        }
        json_append(array, value);
    } while (take(p, ','));
    return take(p, ']') ? g_steal_pointer(&array) : fail(p, "expected ',' or ']'");
}

static Json *parse_object(Parser *p)
{
    g_autoptr(Json) object = json_object();

    p->at++;
    if (take(p, '}')) {
        return g_steal_pointer(&object);
    }
    do {
        g_autofree char *name = NULL;
        Json *value;

        skip_space(p);
        if (!is_quote(p)) {
            return fail(p, "expected the name of a member");
        }
        name = parse_text(p);
        if (!name) {
            return NULL;
        }
        if (json_get(object, name)) {
            return fail(p, "a member is there twice");
        }
        if (!take(p, ':')) {
            return fail(p, "expected ':'");
        }
        value = parse_value(p);
        if (!value) {
            return NULL;
        }
        json_set(object, name, value);
    } while (take(p, ','));
    return take(p, '}') ? g_steal_pointer(&object) : fail(p, "expected ',' or '}'");
}

static Json *parse_value(Parser *p)
{
    Json *value;

    skip_space(p);
    if (p->at == p->end) {
        return fail(p, "text ends too early");
    }
    if (is_quote(p)) {
        return parse_string(p);
    }
    if (*p->at == '-' || g_ascii_isdigit(*p->at)) {
        return parse_number(p);
    }
    if (*p->at != '{' && *p->at != '[') {
        return parse_word(p);
    }
    if (++p->depth > MAX_DEPTH) {
        return fail(p, "nested too deeply");
    }
    value = *p->at == '{' ? parse_object(p) : parse_array(p);
    p->depth--;
    return value;
}

static Json *parse_all(const char *text, size_t size, GError **error)
{
    g_autoptr(GError) local = NULL;
    Parser p = { text, text + size, 0, error ? error : &local };
    g_autoptr(Json) value = parse_value(&p);

    skip_space(&p);
    if (value && p.at != p.end) {
        return fail(&p, "text goes on after the value");
    }
    return g_steal_pointer(&value);
}

Json *json_parse(const char *text, GError **error)
{
    return parse_all(text, strlen(text), error);
}

/* Bytes are collected until brackets balance; only then does the parser look at them. */
struct JsonStream {
    JsonStreamFn *fn;
    void *opaque;
    GString *text;
    unsigned depth;
    char quote; /* of the string that we are in, or 0 */
    bool escaped;
};

JsonStream *json_stream_new(JsonStreamFn *fn, void *opaque)
{
    JsonStream *stream = g_new0(JsonStream, 1);

    stream->fn = fn;
    stream->opaque = opaque;
    stream->text = g_string_new(NULL);
    return stream;
}

void json_stream_free(JsonStream *stream)
{
    if (stream) {
        g_string_free(stream->text, TRUE);
        g_free(stream);
    }
}

static void finish(JsonStream *stream)
{
    g_autoptr(GError) error = NULL;
    GString *text = stream->text;
    Json *value;

    stream->text = g_string_new(NULL); /* fn may feed us */
    stream->depth = 0;
    stream->quote = 0;
    stream->escaped = false;
    value = parse_all(text->str, text->len, &error);
    g_string_free(text, TRUE);
    stream->fn(stream->opaque, value, error);
}

static void feed_byte(JsonStream *stream, char c)
{
    bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';

    if (space && !stream->quote) {
        if (stream->depth == 0 && stream->text->len) {
            finish(stream); /* a bare number or word ends with space */
        } else if (stream->text->len) {
            g_string_append_c(stream->text, c);
        }
        return;
    }
    if (stream->quote && c == '\n') { /* no string holds one: the way out of a lost quote */
        finish(stream);
        return;
    }
    g_string_append_c(stream->text, c);
    if (stream->quote) {
        if (stream->escaped) {
            stream->escaped = false;
        } else if (c == '\\') {
            stream->escaped = true;
        } else if (c == stream->quote) {
            stream->quote = 0;
        }
    } else if (c == '"' || c == '\'') {
        stream->quote = c;
    } else if (c == '{' || c == '[') {
        stream->depth++;
    } else if (c == '}' || c == ']') {
        stream->depth -= stream->depth > 0;
        if (stream->depth == 0) {
            finish(stream);
        }
    }
    if (stream->depth > MAX_DEPTH || stream->text->len > MAX_VALUE) {
        finish(stream);
    }
}

void json_stream_feed(JsonStream *stream, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        feed_byte(stream, bytes[i]);
    }
}
