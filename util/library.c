/* Shared libraries that are loaded when they are first wanted. */
#include "util/library.h"

#include <dlfcn.h>
#include <string.h>

#include "util/error.h"

bool library_load(const char *file, const char *package, const LibraryFunction *functions, size_t n, GError **error)
{
    void *library = dlopen(file, RTLD_LAZY);

    if (!library) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot load a library (Debian package %s): %s", package, dlerror());
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!dlsym(library, functions[i].name)) {
            g_set_error(error, VM_ERROR, VM_ERROR_HOST, "library '%s' is too old: it has no %s", file, functions[i].name);
            dlclose(library);
            return false;
        }
    }
    for (size_t i = 0; i < n; i++) {
        void *found = dlsym(library, functions[i].name);

        memcpy(functions[i].place, &found, sizeof(found)); /* of whatever type of pointer */
    }
    return true;
}
