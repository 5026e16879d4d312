/* Voices: a device's samples, made 16-bit stereo at the backend's rate and queued to be mixed. */
#include "backends/audio/voice.h"

#include "core/clock.h"
#include "util/bits.h"

#include <string.h>

/* Others wait that long for a voice that plays and writes nothing. */
#define PATIENCE_NS (100 * NS_PER_MS)
#define ONE         (UINT64_C(1) << 32)

struct AudioVoice {
    AudioBackend *owner;
    AudioFormat format;
    uint32_t rate; /* of the backend */
    unsigned volume[2];
    bool playing;
    int64_t wrote_at;
    /* Between which of its frames the next output frame lies: `previous` and the one to come, by 1/ONE. */
    AudioFrame previous;
    uint64_t position, step;
    AudioFrame *queue; /* a second in a ring */
    size_t first, count;
};

AudioVoice *voice_create(AudioBackend *owner, uint32_t backend_rate)
{
    AudioVoice *v = g_new0(AudioVoice, 1);

    v->owner = owner;
    v->rate = backend_rate;
    v->queue = g_new(AudioFrame, backend_rate);
    v->volume[0] = v->volume[1] = AUDIO_VOLUME_FULL;
    audio_voice_set_format(v, &(AudioFormat){ backend_rate, 2, AUDIO_S16, false });
    return v;
}

void audio_voice_free(AudioVoice *v)
{
    if (v) {
        audio_remove_voice(v->owner, v);
        g_free(v->queue);
        g_free(v);
    }
}

void audio_voice_set_format(AudioVoice *v, const AudioFormat *format)
{
    v->format = *format;
    v->format.rate = CLAMP(format->rate, AUDIO_RATE_MIN, AUDIO_RATE_MAX);
    v->format.channels = CLAMP(format->channels, 1, AUDIO_CHANNELS_MAX);
    v->step = (uint64_t)v->format.rate * ONE / v->rate;
}

void audio_voice_set_volume(AudioVoice *v, unsigned left, unsigned right)
{
    v->volume[0] = MIN(left, AUDIO_VOLUME_FULL);
    v->volume[1] = MIN(right, AUDIO_VOLUME_FULL);
}

void audio_voice_play(AudioVoice *v, bool on)
{
    if (v->playing != on) {
        v->playing = on;
        v->wrote_at = clock_now(CLOCK_GUEST);
        v->position = 0;
        v->previous = (AudioFrame){ 0 };
        audio_mix(v->owner);
    }
}

/* ---- the queue ---- */

bool voice_is_awaited(const AudioVoice *v)
{
    return v->count || (v->playing && clock_now(CLOCK_GUEST) - v->wrote_at < PATIENCE_NS);
}

size_t voice_queued(const AudioVoice *v)
{
    return v->count;
}

void voice_mix(AudioVoice *v, int32_t (*sum)[2], size_t count)
{
    count = MIN(count, v->count);
    for (size_t n = 0; n < count; n++) {
        AudioFrame frame = v->queue[(v->first + n) % v->rate];

        sum[n][0] += frame.left * (int)v->volume[0] / AUDIO_VOLUME_FULL;
        sum[n][1] += frame.right * (int)v->volume[1] / AUDIO_VOLUME_FULL;
    }
    v->first = (v->first + count) % v->rate;
    v->count -= count;
}

/* More than a second ahead of the others it is lost. */
static void append(AudioVoice *v, AudioFrame frame)
{
    if (v->count < v->rate) {
        v->queue[(v->first + v->count) % v->rate] = frame;
        v->count++;
    }
}

/* ---- conversion ---- */

static int16_t load_sample(const AudioFormat *f, const uint8_t *p)
{
    switch (f->sample) {
    case AUDIO_U8:
        return (*p ^ 0x80) << 8;
    case AUDIO_S8:
        return *p << 8;
    case AUDIO_U16:
        return (f->big_endian ? load_be16(p) : load_le16(p)) ^ 0x8000;
    case AUDIO_S32: /* its upper half */
        return f->big_endian ? load_be16(p) : load_le16(p + 2);
    default:
        return f->big_endian ? load_be16(p) : load_le16(p);
    }
}

static int16_t between(int16_t from, int16_t to, uint64_t position)
{
    return from + (int32_t)(((int64_t)to - from) * (int64_t)(position >> 16) / (1 << 16));
}

/* All output frames that lie before this one of the device's. */
static void resample(AudioVoice *v, AudioFrame frame)
{
    for (; v->position < ONE; v->position += v->step) {
        append(v, (AudioFrame){ between(v->previous.left, frame.left, v->position),
                                between(v->previous.right, frame.right, v->position) });
    }
    v->position -= ONE;
    v->previous = frame;
}

void audio_voice_write(AudioVoice *v, const void *data, size_t frames)
{
    const uint8_t *p = data;
    unsigned size = audio_frame_size(&v->format), second = v->format.channels > 1 ? audio_sample_size(v->format.sample) : 0;

    if (!v->playing) {
        return;
    }
    v->wrote_at = clock_now(CLOCK_GUEST);
    for (; frames; frames--, p += size) {
        resample(v, (AudioFrame){ load_sample(&v->format, p), load_sample(&v->format, p + second) });
    }
    audio_mix(v->owner);
}
