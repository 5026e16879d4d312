/*
 * Screamer, the sound chip of Macintoshes after AWACS: 16-bit stereo from and to channels of descriptor-based DMA.
 *
 * Macintosh Technology in the Common Hardware Reference Platform (Apple 1995), chapter 8, and the sources of Linux
 * (sound/ppc/awacs.h) tell of the registers. What is recorded is silence: nothing is plugged in.
 */
#include "hw/audio/screamer.h"

#include "backends/audio.h"
#include "core/clock.h"
#include "hw/audio/pace.h"
#include "hw/dma/dbdma.h"
#include "util/log.h"

enum { REG_CONTROL, REG_CODEC, REG_STATUS, REG_CLIPPED, REG_SWAP };
enum { STATUS_VALID = 0x400000, REVISION_SCREAMER = 3 << 12, MAKER_CRYSTAL = 1 << 8 };
enum { CODEC_REGS = 8, MUTES = 1, HEADPHONES = 2, SPEAKER = 4, MUTE_SPEAKER = 0x080, MUTE_HEADPHONES = 0x200 };
enum { PLAY, RECORD, STREAMS };
enum { FRAME = 4, FRAMES_MAX = 1024 };

#define SCREAMER_STATE(FIELD, ARRAY)                                     \
    FIELD(uint32_t, control, 0)                                          \
    ARRAY(uint16_t, codec, CODEC_REGS, 0)                                \
    FIELD(uint32_t, swap, 0)                                             \
    ARRAY(bool, active, STREAMS, false) /* its channel has data: */      \
    ARRAY(int64_t, since, STREAMS, 0)   /* at this time */               \
    ARRAY(uint64_t, frames, STREAMS, 0) /* ... so many had gone through */

DEFINE_STATE(ScreamerState, SCREAMER_STATE);

typedef struct Screamer Screamer;
typedef struct Stream {
    Screamer *owner;
    int n, channel;
} Stream;

struct Screamer {
    Device dev;
    ScreamerState s;
    char *audiodev;
    Region *region;
    Timer *timer;
    Device *dbdma; /* wiring */
    Stream stream[STREAMS];
    AudioVoice *voice;
};

static unsigned rate(const ScreamerState *s)
{
    static const uint16_t rates[8] = { 44100, 29400, 22050, 17640, 14700, 11025, 8820, 7350 };

    return rates[s->control >> 8 & 7];
}

/* ---- volume: steps of 1.5 dB down from full, of whichever output is open ---- */

static unsigned gain(unsigned steps)
{
    return pace_gain(steps & 15);
}

static void set_volume(const Screamer *scr)
{
    const uint16_t *codec = scr->s.codec;
    unsigned left = 0, right = 0;

    if (!(codec[MUTES] & MUTE_SPEAKER)) {
        left = gain(codec[SPEAKER] >> 6);
        right = gain(codec[SPEAKER]);
    }
    if (!(codec[MUTES] & MUTE_HEADPHONES)) {
        left = MAX(left, gain(codec[HEADPHONES] >> 6));
        right = MAX(right, gain(codec[HEADPHONES]));
    }
    audio_voice_set_volume(scr->voice, left, right);
}

static void screamer_update(Device *dev)
{
    Screamer *scr = (Screamer *)dev;
    ScreamerState *s = &scr->s;

    set_volume(scr);
    audio_voice_set_format(scr->voice, &(AudioFormat){ rate(s), 2, AUDIO_S16, !(s->swap & 1) });
    audio_voice_play(scr->voice, s->active[PLAY]);
    if (!s->active[PLAY] && !s->active[RECORD]) {
        timer_cancel(scr->timer);
    } else if (!timer_pending(scr->timer)) {
        timer_set(scr->timer, clock_now(CLOCK_GUEST) + PACE_PERIOD_NS);
    }
}

/* ---- streams ---- */

static void restart(ScreamerState *s, int n)
{
    pace_start(&s->since[n], &s->frames[n]);
}

static void advance(Screamer *scr, int n)
{
    ScreamerState *s = &scr->s;
    uint64_t due = pace_due(&s->since[n], &s->frames[n], rate(s));
    uint8_t data[FRAMES_MAX * FRAME] = { 0 };

    while (due && s->active[n]) {
        uint64_t part = MIN(due, FRAMES_MAX);
        uint64_t moved = dbdma_move(scr->dbdma, scr->stream[n].channel, data, part * FRAME, n == RECORD);

        if (n == PLAY) {
            audio_voice_write(scr->voice, data, moved / FRAME);
        }
        s->frames[n] += part;
        due -= part;
        if (moved < part * FRAME) {
            break;
        }
    }
}

static void timer_expired(void *opaque)
{
    Screamer *scr = opaque;

    for (int n = 0; n < STREAMS; n++) {
        if (scr->s.active[n]) {
            advance(scr, n);
        }
    }
    screamer_update(&scr->dev);
}

/* While advance() moves the last of a program, this comes before the voice has it: the timer's update stops the voice. */
static void channel_ready(void *opaque, bool ready)
{
    Stream *stream = opaque;
    ScreamerState *s = &stream->owner->s;

    s->active[stream->n] = ready;
    if (ready) {
        restart(s, stream->n);
        screamer_update(&stream->owner->dev);
    }
}

static const DbdmaOps channel_ops = { .ready = channel_ready };

/* ---- registers ---- */

static uint64_t screamer_read(void *opaque, PhysAddr offset, unsigned size)
{
    const ScreamerState *s = &((Screamer *)opaque)->s;

    switch (offset >> 4) {
    case REG_CONTROL:
        return s->control;
    case REG_STATUS:
        return STATUS_VALID | REVISION_SCREAMER | MAKER_CRYSTAL;
    case REG_SWAP:
        return s->swap;
    default: /* a command to the codec is done at once; nothing is clipped */
        return 0;
    }
}

static void write_control(ScreamerState *s, uint32_t value)
{
    unsigned old = rate(s);

    s->control = value;
    if (rate(s) != old) {
        restart(s, PLAY);
        restart(s, RECORD);
    }
}

static void screamer_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Screamer *scr = opaque;
    ScreamerState *s = &scr->s;
    unsigned codec = value >> 12 & 0x3ff;

    switch (offset >> 4) {
    case REG_CONTROL:
        write_control(s, value);
        break;
    case REG_CODEC:
        trace("screamer_codec", "register %u: %03x", codec, (unsigned)(value & 0xfff));
        if (codec < CODEC_REGS) {
            s->codec[codec] = value & 0xfff;
        }
        break;
    case REG_SWAP:
        s->swap = value & 1;
        break;
    }
    screamer_update(&scr->dev);
}

static const RegionOps screamer_ops = { screamer_read, screamer_write, 4, 4, ENDIAN_LITTLE };

Region *screamer_region(Device *dev)
{
    return ((Screamer *)dev)->region;
}

void screamer_connect(Device *dev, Device *dbdma, int play_channel, Line *play_irq, int record_channel, Line *record_irq)
{
    Screamer *scr = (Screamer *)dev;

    scr->dbdma = dbdma;
    scr->stream[PLAY] = (Stream){ scr, PLAY, play_channel };
    scr->stream[RECORD] = (Stream){ scr, RECORD, record_channel };
    dbdma_connect(dbdma, play_channel, &channel_ops, &scr->stream[PLAY], play_irq);
    dbdma_connect(dbdma, record_channel, &channel_ops, &scr->stream[RECORD], record_irq);
}

static bool screamer_realize(Device *dev, GError **error)
{
    Screamer *scr = (Screamer *)dev;
    AudioBackend *backend = audio_find(scr->audiodev, error);

    if (!backend) {
        return false;
    }
    scr->voice = audio_voice_new(backend);
    scr->region = region_new_io("screamer", &screamer_ops, scr, SCREAMER_WINDOW);
    scr->timer = timer_new(CLOCK_GUEST, timer_expired, scr);
    return true;
}

/* A channel that the board has not connected has no data, whatever a snapshot says. */
static bool screamer_loaded(Device *dev, GError **error)
{
    Screamer *scr = (Screamer *)dev;

    if (!scr->dbdma) {
        scr->s.active[PLAY] = scr->s.active[RECORD] = false;
    }
    return true;
}

static const Prop screamer_props[] = {
    PROP(Screamer, audiodev, "audiodev", PROP_STRING, NULL, "id of the sound backend; the first if it is not said"),
    { 0 },
};

const DeviceType screamer_type = {
    .name = "screamer",
    .about = "Apple's sound chip Screamer (AWACS)",
    .bus = "system",
    .size = sizeof(Screamer),
    .state_at = offsetof(Screamer, s),
    .state = ScreamerState_fields,
    .props = screamer_props,
    .realize = screamer_realize,
    .post_load = screamer_loaded,
    .update = screamer_update,
};
