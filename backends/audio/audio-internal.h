/* What drivers of the host's sound offer to the mixer. */
#ifndef BACKENDS_AUDIO_INTERNAL_H
#define BACKENDS_AUDIO_INTERNAL_H

#include "backends/audio.h"
#include "util/options.h"

/* What is mixed: 16-bit signed stereo at the backend's rate. */
typedef struct AudioFrame {
    int16_t left, right;
} AudioFrame;

typedef struct AudioSettings {
    uint32_t rate;
    uint32_t buffer_us; /* how much may wait to be heard */
} AudioSettings;

typedef struct AudioDriver {
    const char *name, *about;
    /* Takes the options that are its own; returns what `write` and `close` get. */
    void *(*open)(const struct AudioDriver *driver, const AudioSettings *settings, const Options *o, GError **error);
    void (*write)(void *opaque, const AudioFrame *frames, size_t count);
    void (*close)(void *opaque);
    const char *host_name; /* as SDL calls it; NULL: its choice */
} AudioDriver;

/* Ends with a row without a name. */
extern const AudioDriver audio_sdl_drivers[];
extern const AudioDriver audio_wav_driver;

#endif
