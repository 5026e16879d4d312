/* Resets, saves and loads any state that a list of fields describes. */
#include "core/state.h"

#include "util/error.h"

#include <string.h>

uint64_t state_get(const void *member, size_t size)
{
    switch (size) {
    case 1:
        return *(const uint8_t *)member;
    case 2:
        return *(const uint16_t *)member;
    case 4:
        return *(const uint32_t *)member;
    default:
        return *(const uint64_t *)member;
    }
}

void state_set(void *member, size_t size, uint64_t value)
{
    switch (size) {
    case 1:
        *(uint8_t *)member = value;
        break;
    case 2:
        *(uint16_t *)member = value;
        break;
    case 4:
        *(uint32_t *)member = value;
        break;
    default:
        *(uint64_t *)member = value;
    }
}

static char *element(const StateField *row, const void *state, size_t i)
{
    return (char *)state + row->offset + i * row->size;
}

static void reset_field(const StateField *row, void *state)
{
    for (size_t i = 0; i < row->count; i++) {
        state_set(element(row, state, i), row->size, row->reset);
    }
}

void state_reset(StateFields *fields, void *state)
{
    size_t count;
    const StateField *rows = fields(&count);

    for (size_t i = 0; i < count; i++) {
        reset_field(&rows[i], state);
    }
}

/* As %x: devices have tens of thousands of numbers, and printf takes its time. */
static void append_hex(GString *text, uint64_t value)
{
    char digits[16];
    unsigned n = sizeof(digits);

    do {
        digits[--n] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value);
    g_string_append_len(text, digits + n, sizeof(digits) - n);
}

void state_save(StateFields *fields, const void *state, GKeyFile *out, const char *id)
{
    size_t count;
    const StateField *rows = fields(&count);

    for (size_t i = 0; i < count; i++) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (size_t k = 0; k < rows[i].count; k++) {
            if (k) {
                g_string_append_c(text, ' ');
            }
            append_hex(text, state_get(element(&rows[i], state, k), rows[i].size));
        }
        g_key_file_set_string(out, id, rows[i].name, text->str);
    }
}

static const StateField *find_field(const StateField *rows, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (g_str_equal(rows[i].name, name)) {
            return &rows[i];
        }
    }
    return NULL;
}

/* Exactly `count` hexadecimal numbers that fit their elements. */
static bool load_field(const StateField *row, void *state, const char *text)
{
    for (size_t i = 0; i < row->count; i++) {
        char *after;
        uint64_t value = g_ascii_strtoull(text, &after, 16);

        if (after == text || (row->size < 8 && value >> (8 * row->size)) ||
            (row->is_bool && value > 1)) {
            return false;
        }
        state_set(element(row, state, i), row->size, value);
        text = after;
    }
    return *text == '\0';
}

/* Keys with a dot belong to other parts of the owner ("extra.fifo"), not to the list. */
bool state_load(StateFields *fields, void *state, GKeyFile *in, const char *id, GError **error)
{
    g_auto(GStrv) names = g_key_file_get_keys(in, id, NULL, NULL);
    size_t count;
    const StateField *rows = fields(&count);

    if (!names) {
        if (count == 0) {
            return true;
        }
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot has no state of '%s'", id);
        return false;
    }
    state_reset(fields, state);
    for (char **name = names; *name; name++) {
        const StateField *row = find_field(rows, count, *name);
        g_autofree char *text = NULL;

        if (!row && strchr(*name, '.')) {
            continue;
        }
        text = g_key_file_get_string(in, id, *name, NULL);
        if (!row || !text || !load_field(row, state, text)) {
            g_set_error(error, VM_ERROR, VM_ERROR_IMAGE,
                        row ? "snapshot has bad value '%s' for %s.%s"
                            : "snapshot has value '%s' for unknown field %s.%s",
                        text ? text : "", id, *name);
            state_reset(fields, state);
            return false;
        }
    }
    return true;
}

void state_save_bytes(GKeyFile *out, const char *id, const char *key, const void *bytes, size_t size)
{
    g_autofree char *text = g_base64_encode(bytes, size);

    g_key_file_set_string(out, id, key, text);
}

bool state_load_bytes(GKeyFile *in, const char *id, const char *key, void *bytes, size_t size, GError **error)
{
    g_autofree char *text = g_key_file_get_string(in, id, key, NULL);
    gsize got = 0;
    g_autofree uint8_t *data = text ? g_base64_decode(text, &got) : NULL;

    if (!text || got != size) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot has %zu bytes, not %zu, for %s.%s", (size_t)got, size, id, key);
        return false;
    }
    if (size) {
        memcpy(bytes, data, size);
    }
    return true;
}
