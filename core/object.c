/* The registry of -object: types that the system layer lists, and the objects made of them. */
#include "core/object.h"

#include "util/error.h"

typedef struct Object {
    const ObjectType *type;
    char *id;
    void *object;
} Object;

static const ObjectType *const *types;
static GPtrArray *all; /* Object, in the order they were made */

void object_set_types(const ObjectType *const *list)
{
    types = list;
}

static const ObjectType *find_type(const char *name)
{
    for (int i = 0; types && types[i] && name; i++) {
        if (g_str_equal(types[i]->name, name)) {
            return types[i];
        }
    }
    return NULL;
}

static Object *find(const char *id)
{
    for (guint i = 0; all && i < all->len; i++) {
        Object *o = g_ptr_array_index(all, i);

        if (g_str_equal(o->id, id)) {
            return o;
        }
    }
    return NULL;
}

bool object_is_late(const char *text)
{
    g_autoptr(Options) o = options_parse_any(text, "qom-type", NULL);
    const ObjectType *type = o ? find_type(options_get(o, "qom-type")) : NULL;

    return type && type->late;
}

static void set_unknown_type(const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *hint = NULL;

    for (int i = 0; types && types[i]; i++) {
        g_ptr_array_add(names, (gpointer)types[i]->name);
    }
    g_ptr_array_add(names, NULL);
    hint = options_hint(name, (const char *const *)names->pdata);
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "no object type '%s'%s; -object help lists them", name, hint);
}

bool object_add_options(const Options *o, GError **error)
{
    const char *name = options_get(o, "qom-type"), *id = options_get(o, "id");
    const ObjectType *type = find_type(name);
    Object *object;
    void *made;

    if (!name || !id || !*id) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "an object needs a type and id=");
        return false;
    }
    if (!type) {
        set_unknown_type(name, error);
        return false;
    }
    if (find(id)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "two objects have the id '%s'", id);
        return false;
    }
    made = type->create(id, o, error);
    if (!made) {
        g_prefix_error(error, "object '%s': ", id);
        return false;
    }
    if (!options_check_unknown(o, type->name, error)) {
        type->destroy(made, NULL);
        return false;
    }
    object = g_new(Object, 1);
    *object = (Object){ type, g_strdup(id), made };
    if (!all) {
        all = g_ptr_array_new();
    }
    g_ptr_array_add(all, object);
    return true;
}

bool object_add(const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse_any(text, "qom-type", error);

    return o && object_add_options(o, error);
}

static void forget(Object *object)
{
    g_ptr_array_remove(all, object);
    g_free(object->id);
    g_free(object);
}

bool object_del(const char *id, GError **error)
{
    Object *object = find(id);

    if (!object) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "object '%s' not found", id);
        return false;
    }
    if (!object->type->destroy(object->object, error)) {
        return false;
    }
    forget(object);
    return true;
}

void *object_find(const ObjectType *type, const char *id)
{
    Object *object = find(id);

    return object && object->type == type ? object->object : NULL;
}

void object_for_each(void (*fn)(const ObjectType *type, const char *id, void *object, void *opaque), void *opaque)
{
    for (guint i = 0; all && i < all->len; i++) {
        Object *o = g_ptr_array_index(all, i);

        fn(o->type, o->id, o->object, opaque);
    }
}

void object_free_all(void)
{
    while (all && all->len) {
        Object *object = g_ptr_array_index(all, all->len - 1);

        object->type->destroy(object->object, NULL);
        forget(object);
    }
}
