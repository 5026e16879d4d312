/* Sound backends: what -audiodev makes, and the mixing of their voices. */
#include "backends/audio/audio-internal.h"

#include "backends/audio/voice.h"
#include "util/error.h"

#include <stdio.h>
#include <string.h>

enum { DEFAULT_RATE = 44100, DEFAULT_BUFFER_US = 80000, BUFFER_US_MAX = 2000000, MIX_FRAMES = 1024 };

struct AudioBackend {
    char *id;
    const AudioDriver *driver;
    void *opaque;
    AudioSettings settings;
    GPtrArray *voices; /* borrowed */
};

static GPtrArray *backends;

/* ---- the driver that nobody hears ---- */

static void *none_open(const AudioDriver *driver, const AudioSettings *settings, const Options *o, GError **error)
{
    static char nothing;

    return &nothing;
}

static void none_write(void *opaque, const AudioFrame *frames, size_t count)
{
}

static void none_close(void *opaque)
{
}

static const AudioDriver none_driver = { "none", "nobody hears it", none_open, none_write, none_close, NULL };

/* ---- drivers ---- */

static const AudioDriver *driver_at(size_t n)
{
    static const AudioDriver *const own[] = { &none_driver, &audio_wav_driver };

    return n < G_N_ELEMENTS(own) ? own[n] : &audio_sdl_drivers[n - G_N_ELEMENTS(own)];
}

static const AudioDriver *find_driver(const char *name, GError **error)
{
    g_autoptr(GString) list = g_string_new(NULL);

    for (size_t n = 0; driver_at(n)->name; n++) {
        if (g_strcmp0(driver_at(n)->name, name) == 0) {
            return driver_at(n);
        }
        g_string_append_printf(list, "%s%s", n ? ", " : "", driver_at(n)->name);
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "-audiodev: no driver '%s'; there are: %s", name ? name : "", list->str);
    return NULL;
}

void audio_print_drivers(void)
{
    printf("Available audio drivers:\n");
    for (size_t n = 0; driver_at(n)->name; n++) {
        printf("%-9s %s\n", driver_at(n)->name, driver_at(n)->about);
    }
}

/* ---- backends ---- */

static AudioBackend *find(const char *id)
{
    for (guint i = 0; backends && i < backends->len; i++) {
        AudioBackend *b = backends->pdata[i];

        if (!id || g_str_equal(b->id, id)) {
            return b;
        }
    }
    return NULL;
}

static AudioBackend *add(const AudioDriver *driver, const char *id, const AudioSettings *settings, const Options *o,
                         GError **error)
{
    void *opaque = driver->open(driver, settings, o, error);
    AudioBackend *b;

    if (!opaque) {
        return NULL;
    }
    b = g_new0(AudioBackend, 1);
    b->id = g_strdup(id);
    b->driver = driver;
    b->opaque = opaque;
    b->settings = *settings;
    b->voices = g_ptr_array_new();
    if (!backends) {
        backends = g_ptr_array_new();
    }
    g_ptr_array_add(backends, b);
    return b;
}

/* Frequency and buffer; the mixer is stereo of 16 bits, and says so to who asks for something else. */
static bool read_settings(const Options *o, AudioSettings *settings, GError **error)
{
    static const char *const without_effect[] = { "timer-period", "out.mixing-engine", "out.fixed-settings", "out.voices",
                                                  "in.mixing-engine", "in.fixed-settings", "in.frequency", "in.channels",
                                                  "in.format", "in.voices", "in.buffer-length" };
    uint64_t rate = DEFAULT_RATE, buffer = DEFAULT_BUFFER_US, channels = 2;
    const char *format = options_get(o, "out.format");

    if (!options_get_u64(o, "out.frequency", &rate, error) || !options_get_u64(o, "out.buffer-length", &buffer, error) ||
        !options_get_u64(o, "out.channels", &channels, error)) {
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(without_effect); i++) {
        options_get(o, without_effect[i]);
    }
    if (rate < AUDIO_RATE_MIN || rate > AUDIO_RATE_MAX) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-audiodev: out.frequency is from %d to %d", AUDIO_RATE_MIN, AUDIO_RATE_MAX);
        return false;
    }
    if (channels != 2 || (format && !g_str_equal(format, "s16"))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-audiodev: what is played has out.channels=2 and out.format=s16");
        return false;
    }
    *settings = (AudioSettings){ rate, CLAMP(buffer, 1000, BUFFER_US_MAX) };
    return true;
}

bool audio_new_options(const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse_any(text, "driver", error);
    const AudioDriver *driver = o ? find_driver(options_get(o, "driver"), error) : NULL;
    const char *id;
    AudioSettings settings;
    AudioBackend *b;

    if (!driver || !read_settings(o, &settings, error)) {
        return false;
    }
    id = options_get(o, "id");
    if (!id || !*id || find(id)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-audiodev %s: needs an id= %s", text, id && *id ? "of its own" : "");
        return false;
    }
    b = add(driver, id, &settings, o, error);
    return b && options_check_unknown(o, "-audiodev", error);
}

AudioBackend *audio_find(const char *id, GError **error)
{
    AudioBackend *b = find(id && *id ? id : NULL);

    if (!b && id && *id) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "no audiodev '%s'", id);
    } else if (!b) {
        b = add(&none_driver, "none", &(AudioSettings){ DEFAULT_RATE, DEFAULT_BUFFER_US }, NULL, error);
    }
    return b;
}

void audio_cleanup(void)
{
    for (guint i = 0; backends && i < backends->len; i++) {
        AudioBackend *b = backends->pdata[i];

        b->driver->close(b->opaque);
        b->driver = &none_driver;
    }
}

/* ---- mixing ---- */

/* How many frames every voice that has to be waited for has. */
static size_t frames_ready(const AudioBackend *b)
{
    size_t least = SIZE_MAX;

    for (guint i = 0; i < b->voices->len; i++) {
        const AudioVoice *v = b->voices->pdata[i];

        if (voice_is_awaited(v)) {
            least = MIN(least, voice_queued(v));
        }
    }
    return least == SIZE_MAX ? 0 : least;
}

void audio_mix(AudioBackend *b)
{
    for (size_t left; (left = frames_ready(b)) > 0;) {
        size_t count = MIN(left, MIX_FRAMES);
        int32_t sum[MIX_FRAMES][2] = { { 0 } };
        AudioFrame out[MIX_FRAMES];

        for (guint i = 0; i < b->voices->len; i++) {
            voice_mix(b->voices->pdata[i], sum, count);
        }
        for (size_t n = 0; n < count; n++) {
            out[n] = (AudioFrame){ CLAMP(sum[n][0], INT16_MIN, INT16_MAX), CLAMP(sum[n][1], INT16_MIN, INT16_MAX) };
        }
        b->driver->write(b->opaque, out, count);
    }
}

AudioVoice *audio_voice_new(AudioBackend *b)
{
    AudioVoice *v = voice_create(b, b->settings.rate);

    g_ptr_array_add(b->voices, v);
    return v;
}

void audio_remove_voice(AudioBackend *b, AudioVoice *v)
{
    g_ptr_array_remove(b->voices, v);
    audio_mix(b);
}
