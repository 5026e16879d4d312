/*
 * Sound that devices play: -audiodev DRIVER,id=ID[,...] makes a backend, a device opens a voice on one.
 *
 * A device paces itself: it writes what its converter would have played, by the machine's clock. The backend converts,
 * mixes its voices and hands the result on; one that sounds on the host drops what is more than its delay ahead.
 * All under the machine lock.
 */
#ifndef BACKENDS_AUDIO_H
#define BACKENDS_AUDIO_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct AudioBackend AudioBackend;
typedef struct AudioVoice AudioVoice;

typedef enum AudioSample { AUDIO_U8, AUDIO_S8, AUDIO_U16, AUDIO_S16, AUDIO_S32, AUDIO_SAMPLES } AudioSample;

typedef struct AudioFormat {
    uint32_t rate;    /* frames a second, AUDIO_RATE_MIN to AUDIO_RATE_MAX */
    uint8_t channels; /* 1 to AUDIO_CHANNELS_MAX; the first two are heard */
    AudioSample sample;
    bool big_endian;
} AudioFormat;

enum { AUDIO_RATE_MIN = 1000, AUDIO_RATE_MAX = 384000, AUDIO_CHANNELS_MAX = 16, AUDIO_VOLUME_FULL = 256 };

/* From an option's text, as -audiodev has it: "wav,id=snd0,path=out.wav". */
bool audio_new_options(const char *text, GError **error);
void audio_print_drivers(void);
/* By id. NULL or "": the first of the command line; without one, a backend that nobody hears. */
AudioBackend *audio_find(const char *id, GError **error);
void audio_cleanup(void); /* what was played is complete on disk */

static inline unsigned audio_sample_size(AudioSample sample)
{
    return sample == AUDIO_S32 ? 4 : sample >= AUDIO_U16 ? 2 : 1;
}

static inline unsigned audio_frame_size(const AudioFormat *format)
{
    return format->channels * audio_sample_size(format->sample);
}

AudioVoice *audio_voice_new(AudioBackend *backend);
void audio_voice_free(AudioVoice *voice); /* NULL does nothing */
/* What audio_voice_write brings from now on; a format out of bounds is taken to the nearest one. */
void audio_voice_set_format(AudioVoice *voice, const AudioFormat *format);
void audio_voice_set_volume(AudioVoice *voice, unsigned left, unsigned right); /* up to AUDIO_VOLUME_FULL */
/* A voice that stands plays what it has, and others do not wait for it. */
void audio_voice_play(AudioVoice *voice, bool on);
void audio_voice_write(AudioVoice *voice, const void *data, size_t frames);

#endif
