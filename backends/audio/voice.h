/* A device's voice on a backend: a queue of frames at the backend's rate. */
#ifndef BACKENDS_AUDIO_VOICE_H
#define BACKENDS_AUDIO_VOICE_H

#include "backends/audio/audio-internal.h"

AudioVoice *voice_create(AudioBackend *owner, uint32_t backend_rate);
bool voice_is_awaited(const AudioVoice *v); /* others are mixed no further than it is */
size_t voice_queued(const AudioVoice *v);   /* frames */
/* Adds up to count frames of its queue, with its volume. */
void voice_mix(AudioVoice *v, int32_t (*sum)[2], size_t count);

/* Of the backend. */
void audio_mix(AudioBackend *b); /* hands on what all voices have */
void audio_remove_voice(AudioBackend *b, AudioVoice *v);

#endif
