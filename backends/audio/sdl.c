/*
 * The host's loudspeakers, through SDL2: whatever it finds, or the sound server that the driver's name says.
 *
 * What is played waits in SDL's queue. The machine's clock and the sound card's drift apart: a queue that has run dry
 * begins anew with half its length of silence, and what does not fit into it is lost.
 */
#include "backends/audio/audio-internal.h"
#include "util/error.h"
#include "util/sdl.h"

typedef struct SdlSound {
    SDL_AudioDeviceID device;
    Uint32 most; /* bytes that may wait */
    Uint8 *silence;
} SdlSound;

static const AudioDriver *in_use; /* SDL has one driver at a time */

static void sdl_write(void *opaque, const AudioFrame *frames, size_t count)
{
    SdlSound *s = opaque;
    Uint32 queued = sdl.GetQueuedAudioSize(s->device);

    if (!queued) {
        sdl.QueueAudio(s->device, s->silence, s->most / 2);
        queued = s->most / 2;
    }
    if (queued < s->most) {
        sdl.QueueAudio(s->device, frames, count * sizeof(*frames));
    }
}

static void sdl_close(void *opaque)
{
    SdlSound *s = opaque;

    sdl.CloseAudioDevice(s->device);
    g_free(s->silence);
    g_free(s);
}

static bool start(const AudioDriver *driver, GError **error)
{
    if (in_use && in_use != driver) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-audiodev %s: this process uses '%s' already", driver->name, in_use->name);
        return false;
    }
    if (!sdl_load(error)) {
        g_prefix_error(error, "-audiodev %s: ", driver->name);
        return false;
    }
    if (!in_use && (driver->host_name ? sdl.AudioInit(driver->host_name) : sdl.InitSubSystem(SDL_INIT_AUDIO)) != 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "-audiodev %s: %s", driver->name, sdl.GetError());
        return false;
    }
    in_use = driver;
    return true;
}

static void *sdl_open(const AudioDriver *driver, const AudioSettings *settings, const Options *o, GError **error)
{
    const char *name = options_get(o, "out.dev"), *server = options_get(o, "server");
    SDL_AudioSpec wanted = { .freq = settings->rate, .format = AUDIO_S16SYS, .channels = 2, .samples = 512 };
    SdlSound *s;
    SDL_AudioDeviceID device;

    if (server) { /* the client library's own variable */
        g_setenv("PULSE_SERVER", server, TRUE);
    }
    if (!start(driver, error)) {
        return NULL;
    }
    device = sdl.OpenAudioDevice(name, 0, &wanted, NULL, 0);
    if (!device) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "-audiodev %s: cannot play: %s", driver->name, sdl.GetError());
        return NULL;
    }
    s = g_new0(SdlSound, 1);
    s->device = device;
    s->most = (uint64_t)settings->rate * settings->buffer_us / 1000000 * sizeof(AudioFrame);
    s->silence = g_malloc0(s->most);
    sdl.PauseAudioDevice(device, 0);
    return s;
}

#define SDL_DRIVER(name, about, host_name) { name, about, sdl_open, sdl_write, sdl_close, host_name }

const AudioDriver audio_sdl_drivers[] = {
    SDL_DRIVER("sdl", "what SDL finds: out.dev=NAME", NULL),
    SDL_DRIVER("alsa", "ALSA: out.dev=NAME", "alsa"),
    SDL_DRIVER("pa", "PulseAudio: server=ADDRESS, out.dev=NAME", "pulseaudio"),
    SDL_DRIVER("pipewire", "PipeWire: out.dev=NAME", "pipewire"),
    SDL_DRIVER("jack", "JACK", "jack"),
    SDL_DRIVER("oss", "the Open Sound System: out.dev=FILE", "dsp"),
    { 0 },
};
