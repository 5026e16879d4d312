/*
 * Shared libraries that are loaded when they are first wanted: what they bring along is half of what a start takes, and most
 * machines show no window and disassemble nothing.
 */
#ifndef UTIL_LIBRARY_H
#define UTIL_LIBRARY_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct LibraryFunction {
    const char *name;
    void *place; /* of the pointer to it */
} LibraryFunction;

/* Loads `file`, of this Debian package, and fills all places or none; it stays loaded. */
bool library_load(const char *file, const char *package, const LibraryFunction *functions, size_t n, GError **error);

#endif
