/*
 * Codecs for High Definition Audio: a converter and an output, and with hda-duplex and hda-micro an input too.
 *
 * High Definition Audio Specification, revision 1.0a, chapter 7 (codec features and requirements).
 */
#include "hw/audio/hda.h"
#include "hw/audio/pace.h"
#include "util/error.h"

/* Nodes: the root, the function group, and its widgets. */
enum { ROOT, GROUP, DAC, OUT_PIN, ADC, IN_PIN, NODES };
enum { OUT, IN, SIDES };
/* Verbs of 12 bits, and those of 4 bits as they are with 16 bits of payload. */
enum { GET_PARAMETER = 0xf00, GET_CONNECTIONS = 0xf02, GET_POWER = 0xf05, SET_POWER = 0x705, GET_STREAM = 0xf06, SET_STREAM = 0x706,
       GET_PIN = 0xf07, SET_PIN = 0x707, GET_UNSOLICITED = 0xf08, SET_UNSOLICITED = 0x708, GET_SENSE = 0xf09, GET_CONFIG = 0xf1c,
       SET_CONFIG = 0x71c, GET_SUBSYSTEM = 0xf20, SET_SUBSYSTEM = 0x720, RESET = 0x7ff };
enum { SET_FORMAT = 0x2, SET_AMP = 0x3, GET_FORMAT = 0xa, GET_AMP = 0xb };
enum { PARAM_VENDOR = 0x00, PARAM_REVISION = 0x02, PARAM_NODES = 0x04, PARAM_GROUP = 0x05, PARAM_WIDGET = 0x09, PARAM_RATES = 0x0a,
       PARAM_FORMATS = 0x0b, PARAM_PIN = 0x0c, PARAM_IN_AMP = 0x0d, PARAM_CONNECTIONS = 0x0e, PARAM_POWER = 0x0f,
       PARAM_OUT_AMP = 0x12 };
enum { AMP_MUTE = 0x80, AMP_STEPS = 31, PIN_OUT = 0x40, SENSE_PRESENT = 1u << 31 };
#define AMP_CAPS  (1u << 31 | 5 << 16 | AMP_STEPS << 8 | AMP_STEPS) /* mute, steps of 1.5 dB down from 0 dB */
#define RATES_16  0x000201ff /* 8 to 96 kHz, 16 bits */
#define STATES_03 0x0000000f /* D0 to D3 */

#define CODEC_STATE(FIELD, ARRAY)                                    \
    ARRAY(uint16_t, format, SIDES, 0x0011)                           \
    ARRAY(uint8_t, stream, SIDES, 0)      /* tag and channel */      \
    ARRAY(uint8_t, amp, SIDES * 2, AMP_MUTE) /* left and right */    \
    ARRAY(uint8_t, pin, SIDES, 0)                                    \
    ARRAY(uint8_t, power, NODES, 0)                                  \
    ARRAY(uint8_t, unsolicited, NODES, 0)                            \
    ARRAY(uint32_t, config, SIDES, 0)     /* of pins */              \
    FIELD(uint32_t, subsystem, 0)                                    \
    FIELD(bool, playing, false)           /* a stream of its tag: */ \
    FIELD(uint32_t, rate, 48000)          /* ... and its format */   \
    FIELD(uint8_t, channels, 2)                                      \
    FIELD(uint8_t, sample, AUDIO_S16)

DEFINE_STATE(CodecState, CODEC_STATE);

struct HdaCodec {
    Device dev;
    CodecState s;
    uint32_t address;
    char *audiodev;
    AudioVoice *voice;
};

extern const DeviceType hda_output_type, hda_duplex_type, hda_micro_type;

static bool has_input(const HdaCodec *c)
{
    return c->dev.type != &hda_output_type;
}

/* ---- outputs ---- */

static unsigned side_volume(const CodecState *s, int side)
{
    uint8_t amp = s->amp[OUT * 2 + side];

    return amp & AMP_MUTE || !(s->pin[OUT] & PIN_OUT) ? 0 : pace_gain(AMP_STEPS - (amp & AMP_STEPS));
}

static void codec_update(Device *dev)
{
    HdaCodec *c = (HdaCodec *)dev;
    const CodecState *s = &c->s;

    audio_voice_set_volume(c->voice, side_volume(s, 0), side_volume(s, 1));
    audio_voice_set_format(c->voice, &(AudioFormat){ s->rate, s->channels, s->sample, false });
    audio_voice_play(c->voice, s->playing);
}

unsigned hda_codec_tag(const HdaCodec *c)
{
    return c->s.stream[OUT] >> 4;
}

void hda_codec_stream(HdaCodec *c, const AudioFormat *format)
{
    CodecState *s = &c->s;

    s->playing = format != NULL;
    if (format) {
        s->rate = format->rate;
        s->channels = format->channels;
        s->sample = format->sample;
    }
    codec_update(&c->dev);
}

/* Two streams of one tag, or a snapshot, may have left it with another format. */
void hda_codec_play(HdaCodec *c, const AudioFormat *format, const void *data, size_t frames)
{
    const CodecState *s = &c->s;

    if (s->playing && s->rate == format->rate && s->channels == format->channels && s->sample == format->sample) {
        audio_voice_write(c->voice, data, frames);
    }
}

/* ---- parameters ---- */

static uint32_t root_parameter(const HdaCodec *c, unsigned what)
{
    static const uint32_t nodes = GROUP << 16 | 1;

    switch (what) {
    case PARAM_VENDOR:
        return c->dev.type == &hda_output_type ? 0x1af40012 : c->dev.type == &hda_duplex_type ? 0x1af40022 : 0x1af40032;
    case PARAM_REVISION:
        return 0x00100101;
    case PARAM_NODES:
        return nodes;
    default:
        return 0;
    }
}

static uint32_t group_parameter(const HdaCodec *c, unsigned what)
{
    switch (what) {
    case PARAM_NODES:
        return DAC << 16 | (has_input(c) ? NODES - DAC : ADC - DAC);
    case PARAM_GROUP:
        return 1; /* audio */
    case PARAM_RATES:
        return RATES_16;
    case PARAM_FORMATS:
        return 1; /* PCM */
    case PARAM_POWER:
        return STATES_03;
    default:
        return 0;
    }
}

static uint32_t widget_parameter(unsigned node, unsigned what)
{
    /* Kind, then: list of connections 100h, format 10h, amplifiers 8, at the output 4, at the input 2, stereo 1. */
    static const uint32_t widgets[NODES] = { [DAC] = 0x00001d, [OUT_PIN] = 0x400101, [ADC] = 0x10011b, [IN_PIN] = 0x400001 };
    bool converter = node == DAC || node == ADC;

    switch (what) {
    case PARAM_WIDGET:
        return widgets[node];
    case PARAM_RATES:
        return converter ? RATES_16 : 0;
    case PARAM_FORMATS:
        return converter;
    case PARAM_PIN:
        return node == OUT_PIN ? 0x10 : node == IN_PIN ? 0x20 : 0;
    case PARAM_IN_AMP:
        return node == ADC ? AMP_CAPS : 0;
    case PARAM_OUT_AMP:
        return node == DAC ? AMP_CAPS : 0;
    case PARAM_CONNECTIONS:
        return node == OUT_PIN || node == ADC;
    default:
        return 0;
    }
}

static uint32_t parameter(const HdaCodec *c, unsigned node, unsigned what)
{
    return node == ROOT ? root_parameter(c, what) : node == GROUP ? group_parameter(c, what) : widget_parameter(node, what);
}

/* ---- verbs ---- */

static int side_of(unsigned node)
{
    return node == ADC || node == IN_PIN ? IN : OUT;
}

/* Bits 15 and 14 are output and input, 13 and 12 left and right. */
static void set_amp(CodecState *s, unsigned node, uint16_t payload)
{
    int side = side_of(node);

    if (payload & (side == OUT ? 0x8000 : 0x4000)) {
        if (payload & 0x2000) {
            s->amp[side * 2] = payload & (AMP_MUTE | AMP_STEPS);
        }
        if (payload & 0x1000) {
            s->amp[side * 2 + 1] = payload & (AMP_MUTE | AMP_STEPS);
        }
    }
}

static uint32_t long_verb(HdaCodec *c, unsigned node, unsigned verb, uint16_t payload)
{
    CodecState *s = &c->s;
    bool converter = node == DAC || node == ADC;

    if (!converter) {
        return 0;
    }
    switch (verb) {
    case SET_FORMAT:
        s->format[side_of(node)] = payload;
        return 0;
    case GET_FORMAT:
        return s->format[side_of(node)];
    case SET_AMP:
        set_amp(s, node, payload);
        return 0;
    case GET_AMP:
        return s->amp[side_of(node) * 2 + !(payload & 0x2000)];
    default:
        return 0;
    }
}

static uint32_t set_byte(uint32_t old, unsigned n, uint8_t value)
{
    return (old & ~(0xffu << 8 * n)) | (uint32_t)value << 8 * n;
}

static void set(HdaCodec *c, unsigned node, unsigned verb, uint8_t payload)
{
    CodecState *s = &c->s;
    bool pin = node == OUT_PIN || node == IN_PIN;

    switch (verb) {
    case SET_POWER:
        s->power[node] = payload & 3;
        break;
    case SET_STREAM:
        if (node == DAC || node == ADC) {
            s->stream[side_of(node)] = payload;
        }
        break;
    case SET_PIN:
        if (pin) {
            s->pin[side_of(node)] = payload;
        }
        break;
    case SET_UNSOLICITED:
        s->unsolicited[node] = payload;
        break;
    case SET_CONFIG ... SET_CONFIG + 3:
        if (pin) {
            s->config[side_of(node)] = set_byte(s->config[side_of(node)], verb - SET_CONFIG, payload);
        }
        break;
    case SET_SUBSYSTEM ... SET_SUBSYSTEM + 3:
        if (node == GROUP) {
            s->subsystem = set_byte(s->subsystem, verb - SET_SUBSYSTEM, payload);
        }
        break;
    case RESET:
        hda_codec_link_reset(c);
        break;
    }
}

static uint32_t get(const HdaCodec *c, unsigned node, unsigned verb, uint8_t payload)
{
    const CodecState *s = &c->s;
    bool pin = node == OUT_PIN || node == IN_PIN;

    switch (verb) {
    case GET_PARAMETER:
        return parameter(c, node, payload);
    case GET_CONNECTIONS: /* four from this one on; each has one */
        return payload ? 0 : node == OUT_PIN ? DAC : node == ADC ? IN_PIN : 0;
    case GET_POWER:
        return s->power[node] | s->power[node] << 4;
    case GET_STREAM:
        return node == DAC || node == ADC ? s->stream[side_of(node)] : 0;
    case GET_PIN:
        return pin ? s->pin[side_of(node)] : 0;
    case GET_UNSOLICITED:
        return s->unsolicited[node];
    case GET_SENSE: /* something is plugged in */
        return pin ? SENSE_PRESENT : 0;
    case GET_CONFIG:
        return pin ? s->config[side_of(node)] : 0;
    case GET_SUBSYSTEM:
        return node == GROUP ? s->subsystem : 0;
    default:
        return 0;
    }
}

uint32_t hda_codec_command(HdaCodec *c, uint32_t command)
{
    unsigned node = command >> 20 & 0x7f, verb = command >> 8 & 0xfff;
    uint32_t response = 0;

    if (node >= (has_input(c) ? NODES : ADC) || command >> 27 & 1) {
        return 0;
    }
    if (verb >> 8 == 0x7) {
        set(c, node, verb, command);
    } else if (verb >> 8 == 0xf) {
        response = get(c, node, verb, command);
    } else {
        response = long_verb(c, node, verb >> 8, command);
    }
    codec_update(&c->dev);
    return response;
}

/* ---- the device ---- */

static void set_config(HdaCodec *c)
{
    bool micro = c->dev.type == &hda_micro_type;

    c->s.config[OUT] = micro ? 0x90170110 : 0x01014010; /* a loudspeaker; a green jack for line out */
    c->s.config[IN] = micro ? 0x01a19020 : 0x01813020;  /* a pink jack for a microphone; a blue one for line in */
    c->s.subsystem = root_parameter(c, PARAM_VENDOR);
}

/* What software has set as configuration stays. */
void hda_codec_link_reset(HdaCodec *c)
{
    uint32_t config[SIDES] = { c->s.config[OUT], c->s.config[IN] }, subsystem = c->s.subsystem;

    state_reset(CodecState_fields, &c->s);
    c->s.config[OUT] = config[OUT];
    c->s.config[IN] = config[IN];
    c->s.subsystem = subsystem;
    codec_update(&c->dev);
}

static bool codec_loaded(Device *dev, GError **error)
{
    CodecState *s = &((HdaCodec *)dev)->s;

    if (s->channels < 1 || s->channels > AUDIO_CHANNELS_MAX || s->sample >= AUDIO_SAMPLES) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "device '%s': a format that there is not", dev->id);
        return false;
    }
    return true;
}

static void codec_reset(Device *dev)
{
    set_config((HdaCodec *)dev);
}

static bool codec_realize(Device *dev, GError **error)
{
    HdaCodec *c = (HdaCodec *)dev;
    AudioBackend *backend = audio_find(c->audiodev, error);

    if (!backend) {
        return false;
    }
    c->voice = audio_voice_new(backend);
    return true;
}

static void codec_unrealize(Device *dev)
{
    audio_voice_free(((HdaCodec *)dev)->voice);
}

/* ---- the bus ---- */

HdaCodec *hda_bus_codec(Bus *bus, unsigned address)
{
    for (guint i = 0; i < bus->devices->len; i++) {
        HdaCodec *c = bus->devices->pdata[i];

        if (c->address == address) {
            return c;
        }
    }
    return NULL;
}

static bool attach(Bus *bus, Device *dev, GError **error)
{
    HdaCodec *c = (HdaCodec *)dev;
    uint32_t wanted = c->address;

    c->address = UINT32_MAX; /* it may be on the bus already */
    if (wanted == UINT32_MAX) {
        for (wanted = 0; wanted < HDA_CODECS && hda_bus_codec(bus, wanted); wanted++) {
        }
    }
    if (wanted >= HDA_CODECS || hda_bus_codec(bus, wanted)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "device '%s': cad=%u is taken, or not from 0 to %d", dev->type->name, wanted,
                    HDA_CODECS - 1);
        return false;
    }
    c->address = wanted;
    return true;
}

Bus *hda_bus_new(Device *controller)
{
    g_autofree char *name = g_strdup_printf("%s.0", controller->id);
    Bus *bus = bus_new(HDA_BUS, name, controller);

    bus->attach = attach;
    return bus;
}

static const Prop codec_props[] = {
    PROP(HdaCodec, address, "cad", PROP_U32, "4294967295", "its address; the first that is free if it is not said"),
    PROP(HdaCodec, audiodev, "audiodev", PROP_STRING, NULL, "id of the sound backend; the first if it is not said"),
    { 0 },
};

#define CODEC(symbol, spelling, what)    \
    const DeviceType symbol = {          \
        .name = spelling,                \
        .about = what,                   \
        .bus = HDA_BUS,                  \
        .user = true,                    \
        .size = sizeof(HdaCodec),        \
        .state_at = offsetof(HdaCodec, s), \
        .state = CodecState_fields,      \
        .props = codec_props,            \
        .realize = codec_realize,        \
        .unrealize = codec_unrealize,    \
        .reset = codec_reset,            \
        .post_load = codec_loaded,       \
        .update = codec_update,          \
    }

CODEC(hda_output_type, "hda-output", "codec for intel-hda with line out");
CODEC(hda_duplex_type, "hda-duplex", "codec for intel-hda with line out and line in");
CODEC(hda_micro_type, "hda-micro", "codec for intel-hda with loudspeaker and microphone");
