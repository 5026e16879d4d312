/* Objects of the command line that are neither devices nor backends: -object TYPE,id=ID,key=value... */
#ifndef CORE_OBJECT_H
#define CORE_OBJECT_H

#include "util/options.h"

#include <glib.h>
#include <stdbool.h>

/* Constant data, listed in system/objects.def. All functions: main loop, machine lock held. */
typedef struct ObjectType {
    const char *name;  /* "filter-dump" */
    const char *about;
    bool late;         /* made after the backends that it names; others are made before them */
    /* Asks o for its keys (options_get...); those that it did not ask for are refused by the caller. */
    void *(*create)(const char *id, const Options *o, GError **error);
    bool (*destroy)(void *object, GError **error); /* false: somebody still uses it */
} ObjectType;

/* NULL ends the list. The system layer calls it before options are looked at. */
void object_set_types(const ObjectType *const *types);
/* Whether -object's text is of a type that is made late; false also if it is nonsense. */
bool object_is_late(const char *text);
bool object_add(const char *text, GError **error);
bool object_add_options(const Options *options, GError **error); /* "qom-type" and "id" among the keys */
bool object_del(const char *id, GError **error);
/* What create returned, if that id is of that type; NULL otherwise. */
void *object_find(const ObjectType *type, const char *id);
void object_for_each(void (*fn)(const ObjectType *type, const char *id, void *object, void *opaque), void *opaque);
void object_free_all(void);

#endif
