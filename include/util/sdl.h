/* What we call of SDL2, which is loaded for a window or for sound. */
#ifndef UTIL_SDL_H
#define UTIL_SDL_H

#include <SDL.h>
#include <glib.h>
#include <stdbool.h>

#define SDL_FUNCTIONS(F)                                                                                         \
    F(AudioInit) F(CloseAudioDevice) F(CreateRenderer) F(CreateTexture) F(CreateWindow) F(DestroyTexture)         \
    F(GetDisplayUsableBounds) F(GetError) F(GetQueuedAudioSize) F(GetRendererOutputSize) F(GetWindowDisplayIndex) \
    F(GetWindowFlags) F(Init) F(InitSubSystem) F(IntersectRect) F(OpenAudioDevice) F(PauseAudioDevice)            \
    F(PollEvent) F(QueueAudio) F(Quit) F(RenderClear) F(RenderCopy) F(RenderPresent) F(SetHint)                   \
    F(SetRelativeMouseMode) F(SetRenderDrawColor) F(SetWindowFullscreen) F(SetWindowGrab) F(SetWindowPosition)    \
    F(SetWindowSize) F(SetWindowTitle) F(StartTextInput) F(StopTextInput) F(UnionRect) F(UpdateTexture)

typedef struct SdlLibrary {
#define FUNCTION(name) __typeof__(SDL_##name) *name;
    SDL_FUNCTIONS(FUNCTION)
#undef FUNCTION
} SdlLibrary;

extern SdlLibrary sdl; /* after sdl_load */

bool sdl_load(GError **error); /* by the main thread; again and again does no harm */

#endif
