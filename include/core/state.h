/* One list per device is its struct, its reset values and its snapshot format. */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct StateField {
    const char *name; /* key in snapshots: never reused for another meaning */
    size_t offset;
    size_t size;  /* bytes per element: 1, 2, 4 or 8 */
    size_t count; /* elements */
    uint64_t reset;
    bool is_bool; /* 0 or 1 */
} StateField;

typedef const StateField *StateFields(size_t *count);

/*
 * DEFINE_STATE(FooState, FOO_STATE) declares struct FooState and the function FooState_fields
 * from a list of FIELD(type, name, reset) and ARRAY(type, name, count, reset) rows.
 */
#define DEFINE_STATE(Type, LIST)                                               \
    typedef struct Type {                                                      \
        LIST(STATE_MEMBER, STATE_MEMBER_ARRAY)                                 \
    } Type;                                                                    \
    G_GNUC_UNUSED static const StateField *Type##_fields(size_t *count)        \
    {                                                                          \
        typedef Type Owner;                                                    \
        static const StateField rows[] = { LIST(STATE_ROW, STATE_ROW_ARRAY) }; \
        *count = G_N_ELEMENTS(rows);                                           \
        return rows;                                                           \
    }                                                                          \
    static StateFields Type##_fields

#define STATE_MEMBER(type, name, reset)              type name;
#define STATE_MEMBER_ARRAY(type, name, count, reset) type name[count];
#define STATE_IS_BOOL(type) __builtin_types_compatible_p(type, bool)
#define STATE_ROW(type, name, reset) STATE_ROW_ARRAY(type, name, 1, reset)
#define STATE_ROW_ARRAY(type, name, n, reset) \
    { #name, offsetof(Owner, name), sizeof(type), n, reset, STATE_IS_BOOL(type) },

void state_reset(StateFields *fields, void *state);
void state_save(StateFields *fields, const void *state, GKeyFile *out, const char *id);
/* A field the snapshot lacks takes its reset value; an unknown name refuses the load. */
bool state_load(StateFields *fields, void *state, GKeyFile *in, const char *id, GError **error);

/*
 * Bytes, under a key with a dot ("nvram.data"). Loading takes as many as the caller says there are: another number, or
 * none, refuses the load and leaves them alone.
 */
void state_save_bytes(GKeyFile *out, const char *id, const char *key, const void *bytes, size_t size);
bool state_load_bytes(GKeyFile *in, const char *id, const char *key, void *bytes, size_t size, GError **error);

uint64_t state_get(const void *member, size_t size);
void state_set(void *member, size_t size, uint64_t value);

#endif
