/* What we call of SDL2. */
#include "util/sdl.h"

#include "util/library.h"

SdlLibrary sdl;

bool sdl_load(GError **error)
{
    static const LibraryFunction functions[] = {
#define FUNCTION(name) { "SDL_" #name, &sdl.name },
        SDL_FUNCTIONS(FUNCTION)
#undef FUNCTION
    };

    return sdl.Init || library_load("libSDL2-2.0.so.0", "libsdl2-2.0-0", functions, G_N_ELEMENTS(functions), error);
}
