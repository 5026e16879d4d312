/* The catalogue of -object. */
#include "core/object.h"

#include "system/startup.h"

#include <stdio.h>

#define OBJECT(name) extern const ObjectType name##_object_type;
#include "system/objects.def"
#undef OBJECT

static const ObjectType *const types[] = {
#define OBJECT(name) &name##_object_type,
#include "system/objects.def"
#undef OBJECT
    NULL,
};

void objects_init(void)
{
    object_set_types(types);
}

void objects_print_types(void)
{
    printf("List of user creatable objects:\n");
    for (int i = 0; types[i]; i++) {
        printf("  %-20s %s\n", types[i]->name, types[i]->about);
    }
}

bool objects_create(GPtrArray *texts, bool late, GError **error)
{
    for (guint i = 0; i < texts->len; i++) {
        const char *text = g_ptr_array_index(texts, i);

        if (object_is_late(text) == late && !object_add(text, error)) {
            g_prefix_error(error, "-object %s: ", text);
            return false;
        }
    }
    return true;
}
