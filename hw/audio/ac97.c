/*
 * Intel's AC'97 controller (82801AA, "ICH") with a codec: stereo out of rings of buffers; what is recorded is silence.
 *
 * Intel 82801AA and 82801AB I/O Controller Hub data sheet, chapter 13; Audio Codec '97, revision 2.3.
 */
#include "backends/audio.h"
#include "core/clock.h"
#include "hw/audio/pace.h"
#include "hw/pci/pci.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

enum { RECORD, PLAY, MICROPHONE, CHANNELS };
/* Of a channel, 16 bytes each. */
enum { BDBAR = 0, CIV = 4, LVI, SR, PICB = 8, PIV = 10, CR, CHANNEL_BYTES = 16 };
enum { GLOB_CNT = 0x2c, GLOB_STA = 0x30, CAS = 0x34, MASTER_BYTES = 0x40 };
enum { SR_HALTED = 1, SR_AT_LAST = 2, SR_LAST = 4, SR_COMPLETE = 8, SR_FIFO = 16, SR_CAUSES = SR_LAST | SR_COMPLETE | SR_FIFO };
enum { CR_RUN = 1, CR_RESET = 2, CR_LAST = 4, CR_FIFO = 8, CR_COMPLETE = 16, CR_ENABLES = CR_LAST | CR_FIFO | CR_COMPLETE };
enum { CNT_NO_RESET = 2, CNT_WARM_RESET = 4, CNT_KEPT = 0x3b, STA_CODEC_READY = 0x100 };
enum { BUFFERS = 32, INTERRUPT_ON_COMPLETION = 0x8000 };
/* Words that are moved at once, and buffers that a channel goes through before it rests. */
enum { PIECE = 2048, HOPS_MAX = 64 };
/* Registers of the codec, which are words. */
enum { MIX_MASTER = 0x02, MIX_PCM = 0x18, MIX_POWER = 0x26, MIX_EXT_ID = 0x28, MIX_EXT = 0x2a, MIX_DAC_RATE = 0x2c,
       MIX_ADC_RATE = 0x32, MIX_MIC_RATE = 0x34, MIX_VENDOR = 0x7c, MIX_BYTES = 0x100 };
enum { MUTE = 0x8000, STEPS = 0x1f, STEPS_FULL_PCM = 8, EXT_RATES = 1, EXT_MIC_RATE = 8, FIXED_RATE = 48000, LOWEST_RATE = 4000 };

#define AC97_STATE(FIELD, ARRAY)                                                      \
    ARRAY(uint16_t, mixer, MIX_BYTES / 2, 0)                                          \
    FIELD(uint32_t, glob_cnt, 0)                                                      \
    FIELD(bool, cas, false)                                                           \
    ARRAY(uint32_t, bdbar, CHANNELS, 0)                                               \
    ARRAY(uint8_t, civ, CHANNELS, 0)                                                  \
    ARRAY(uint8_t, lvi, CHANNELS, 0)                                                  \
    ARRAY(uint8_t, piv, CHANNELS, 0)                                                  \
    ARRAY(uint8_t, sr, CHANNELS, SR_HALTED)                                           \
    ARRAY(uint8_t, cr, CHANNELS, 0)                                                   \
    ARRAY(uint16_t, picb, CHANNELS, 0)                                                \
    ARRAY(bool, fetched, CHANNELS, false) /* the buffer of CIV is being moved: */     \
    ARRAY(uint32_t, addr, CHANNELS, 0)    /* ... its next byte */                     \
    ARRAY(uint16_t, flags, CHANNELS, 0)                                               \
    ARRAY(int64_t, since, CHANNELS, 0)                                                \
    ARRAY(uint64_t, frames, CHANNELS, 0)

DEFINE_STATE(Ac97State, AC97_STATE);

typedef struct Ac97 {
    PciDevice pci;
    Ac97State s;
    char *audiodev;
    Region *codec, *master;
    Timer *timer;
    AudioVoice *voice;
} Ac97;

/* ---- codec ---- */

static const struct {
    uint8_t reg;
    uint16_t reset, writable;
} codec_regs[] = {
    { MIX_MASTER, MUTE, 0x9f1f },    { 0x04, MUTE, 0x9f1f },           { 0x06, MUTE, 0x801f },
    { 0x0a, 0, 0x801e },             { 0x0c, 0x8008, 0x801f },         { 0x0e, 0x8008, 0x805f },
    { 0x10, 0x8808, 0x9f1f },        { 0x12, 0x8808, 0x9f1f },         { 0x14, 0x8808, 0x9f1f },
    { 0x16, 0x8808, 0x9f1f },        { MIX_PCM, 0x8808, 0x9f1f },      { 0x1a, 0, 0x0707 },
    { 0x1c, MUTE, 0x8f0f },          { 0x1e, MUTE, 0x800f },           { 0x20, 0, 0x8380 },
    { MIX_POWER, 0x000f, 0xff00 },   { MIX_EXT_ID, 0x0009, 0 },        { MIX_EXT, 0, 0x0009 },
    { MIX_DAC_RATE, FIXED_RATE, 0xffff }, { MIX_ADC_RATE, FIXED_RATE, 0xffff }, { MIX_MIC_RATE, FIXED_RATE, 0xffff },
    { MIX_VENDOR, 0x8384, 0 },       { MIX_VENDOR + 2, 0x7600, 0 }, /* SigmaTel STAC9700, which drivers know */
};

static void reset_codec(Ac97State *s)
{
    for (size_t i = 0; i < G_N_ELEMENTS(codec_regs); i++) {
        s->mixer[codec_regs[i].reg / 2] = codec_regs[i].reset;
    }
}

static unsigned channel_rate(const Ac97State *s, int n)
{
    static const uint8_t reg[CHANNELS] = { MIX_ADC_RATE, MIX_DAC_RATE, MIX_MIC_RATE };
    unsigned enable = n == MICROPHONE ? EXT_MIC_RATE : EXT_RATES;

    return s->mixer[MIX_EXT / 2] & enable ? MAX(s->mixer[reg[n] / 2], LOWEST_RATE) : FIXED_RATE;
}

/* Master's steps go down from full; PCM out has 12 dB of amplification, which is left out. */
static unsigned side_volume(const Ac97State *s, int shift)
{
    uint16_t master = s->mixer[MIX_MASTER / 2], pcm = s->mixer[MIX_PCM / 2];
    int steps = (pcm >> shift & STEPS) - STEPS_FULL_PCM;

    return (master | pcm) & MUTE ? 0 : pace_gain((master >> shift & STEPS) + MAX(steps, 0));
}

/* ---- outputs ---- */

static bool is_running(const Ac97State *s, int n)
{
    return s->cr[n] & CR_RUN && !(s->sr[n] & SR_HALTED) && s->fetched[n];
}

static bool interrupts(const Ac97State *s, int n)
{
    return ((s->sr[n] & SR_LAST) && (s->cr[n] & CR_LAST)) || ((s->sr[n] & SR_COMPLETE) && (s->cr[n] & CR_COMPLETE)) ||
           ((s->sr[n] & SR_FIFO) && (s->cr[n] & CR_FIFO));
}

static uint32_t global_status(const Ac97State *s)
{
    return STA_CODEC_READY | interrupts(s, RECORD) << 5 | interrupts(s, PLAY) << 6 | interrupts(s, MICROPHONE) << 7;
}

static void ac97_update(Device *dev)
{
    Ac97 *ac = (Ac97 *)dev;
    const Ac97State *s = &ac->s;
    bool runs = is_running(s, RECORD) || is_running(s, PLAY) || is_running(s, MICROPHONE);

    pci_set_intx(&ac->pci, global_status(s) != STA_CODEC_READY);
    audio_voice_set_volume(ac->voice, side_volume(s, 8), side_volume(s, 0));
    audio_voice_set_format(ac->voice, &(AudioFormat){ channel_rate(s, PLAY), 2, AUDIO_S16, false });
    audio_voice_play(ac->voice, is_running(s, PLAY));
    if (!runs) {
        timer_cancel(ac->timer);
    } else if (!timer_pending(ac->timer)) {
        timer_set(ac->timer, clock_now(CLOCK_GUEST) + PACE_PERIOD_NS);
    }
}

/* ---- channels ---- */

/* The buffer that CIV names. */
static void fetch(Ac97 *ac, int n)
{
    Ac97State *s = &ac->s;
    uint8_t descriptor[8];

    s->civ[n] %= BUFFERS;
    s->piv[n] = (s->civ[n] + 1) % BUFFERS;
    s->fetched[n] = pci_dma_read(&ac->pci, s->bdbar[n] + s->civ[n] * 8, descriptor, sizeof(descriptor));
    if (!s->fetched[n]) {
        guest_error("AC97", "channel %d: no descriptor at %08x", n, s->bdbar[n] + s->civ[n] * 8);
        s->sr[n] |= SR_HALTED | SR_FIFO;
        return;
    }
    s->addr[n] = load_le32(descriptor) & ~1u;
    s->picb[n] = load_le16(descriptor + 4);
    s->flags[n] = load_le16(descriptor + 6);
}

static void complete(Ac97 *ac, int n)
{
    Ac97State *s = &ac->s;

    if (s->flags[n] & INTERRUPT_ON_COMPLETION) {
        s->sr[n] |= SR_COMPLETE;
    }
    if (s->civ[n] == s->lvi[n]) {
        s->sr[n] |= SR_LAST | SR_AT_LAST | SR_HALTED;
        s->fetched[n] = false;
    } else {
        s->civ[n] = s->piv[n];
        fetch(ac, n);
    }
}

/* Up to `size` bytes of one buffer. */
static void move(Ac97 *ac, int n, void *data, unsigned size)
{
    Ac97State *s = &ac->s;

    if (n == PLAY) {
        if (!pci_dma_read(&ac->pci, s->addr[n], data, size)) {
            memset(data, 0, size);
        }
    } else {
        pci_dma_write(&ac->pci, s->addr[n], data, size);
    }
    s->addr[n] += size;
    s->picb[n] -= size / 2;
}

static void advance(Ac97 *ac, int n)
{
    Ac97State *s = &ac->s;
    unsigned words_of_frame = n == MICROPHONE ? 1 : 2, hops = 0, count = 0;
    uint64_t due;
    uint16_t data[PIECE] = { 0 };

    if (!is_running(s, n)) {
        return;
    }
    due = pace_due(&s->since[n], &s->frames[n], channel_rate(s, n)) * words_of_frame;
    s->frames[n] += due / words_of_frame;
    while (due && is_running(s, n) && hops < HOPS_MAX) {
        unsigned words = MIN(MIN(due, s->picb[n]), PIECE - count);

        move(ac, n, data + (n == PLAY ? count : 0), words * 2);
        due -= words;
        count += n == PLAY ? words : 0;
        if (!s->picb[n]) {
            complete(ac, n);
            hops++;
        }
        if (count == PIECE) {
            audio_voice_write(ac->voice, data, count / 2);
            count = 0;
        }
    }
    audio_voice_write(ac->voice, data, count / 2);
}

static void timer_expired(void *opaque)
{
    Ac97 *ac = opaque;

    for (int n = 0; n < CHANNELS; n++) {
        advance(ac, n);
    }
    ac97_update(&ac->pci.dev);
}

static void reset_channel(Ac97State *s, int n)
{
    s->bdbar[n] = s->addr[n] = 0;
    s->civ[n] = s->lvi[n] = s->piv[n] = 0;
    s->picb[n] = s->flags[n] = 0;
    s->sr[n] = SR_HALTED;
    s->cr[n] &= CR_ENABLES;
    s->fetched[n] = false;
}

static void go(Ac97 *ac, int n)
{
    Ac97State *s = &ac->s;

    s->sr[n] &= ~(SR_HALTED | SR_AT_LAST);
    pace_start(&s->since[n], &s->frames[n]);
    if (!s->fetched[n]) {
        fetch(ac, n);
    }
}

static void write_control(Ac97 *ac, int n, uint8_t value)
{
    Ac97State *s = &ac->s;
    bool ran = s->cr[n] & CR_RUN;

    s->cr[n] = value & (CR_RUN | CR_ENABLES);
    if (value & CR_RESET) {
        reset_channel(s, n);
    } else if (ran && !(value & CR_RUN)) {
        s->sr[n] |= SR_HALTED;
    } else if (!ran && (value & CR_RUN)) {
        go(ac, n);
    }
}

/* A channel that has come to the last buffer goes on when there are more. */
static void write_last(Ac97 *ac, int n, uint8_t value)
{
    Ac97State *s = &ac->s;

    s->lvi[n] = value % BUFFERS;
    if (s->cr[n] & CR_RUN && s->sr[n] & SR_AT_LAST && s->lvi[n] != s->civ[n]) {
        s->civ[n] = s->piv[n];
        go(ac, n);
    }
}

/* ---- registers of the bus master, byte by byte ---- */

static uint32_t put_byte(uint32_t old, unsigned n, uint8_t value)
{
    return (old & ~(0xffu << 8 * n)) | (uint32_t)value << 8 * n;
}

static uint8_t read_channel(Ac97 *ac, int n, unsigned reg)
{
    Ac97State *s = &ac->s;

    if (reg == CIV || reg == PICB) { /* where it is now; the upper half of PICB comes behind the lower */
        advance(ac, n);
        ac97_update(&ac->pci.dev);
    }
    switch (reg) {
    case BDBAR ... BDBAR + 3:
        return s->bdbar[n] >> 8 * (reg - BDBAR);
    case CIV:
        return s->civ[n];
    case LVI:
        return s->lvi[n];
    case SR:
        return s->sr[n];
    case PICB:
    case PICB + 1:
        return s->picb[n] >> 8 * (reg - PICB);
    case PIV:
        return s->piv[n];
    case CR:
        return s->cr[n];
    default:
        return 0;
    }
}

static void write_channel(Ac97 *ac, int n, unsigned reg, uint8_t value)
{
    Ac97State *s = &ac->s;

    switch (reg) {
    case BDBAR ... BDBAR + 3:
        s->bdbar[n] = put_byte(s->bdbar[n], reg - BDBAR, value) & ~7u;
        break;
    case LVI:
        write_last(ac, n, value);
        break;
    case SR:
        s->sr[n] &= ~(value & SR_CAUSES);
        break;
    case CR:
        write_control(ac, n, value);
        break;
    }
}

static void write_global(Ac97 *ac, unsigned byte, uint8_t value)
{
    Ac97State *s = &ac->s;
    uint32_t old = s->glob_cnt;

    s->glob_cnt = put_byte(old, byte, value) & CNT_KEPT; /* a warm reset is over at once */
    if ((old & CNT_NO_RESET) && !(s->glob_cnt & CNT_NO_RESET)) {
        reset_codec(s);
        for (int n = 0; n < CHANNELS; n++) {
            s->cr[n] = 0;
            reset_channel(s, n);
        }
    }
}

static uint64_t master_read(void *opaque, PhysAddr offset, unsigned size)
{
    Ac97 *ac = opaque;
    Ac97State *s = &ac->s;
    bool taken = s->cas;

    if (offset < CHANNELS * CHANNEL_BYTES && offset % CHANNEL_BYTES < 12) {
        return read_channel(ac, offset / CHANNEL_BYTES, offset % CHANNEL_BYTES);
    }
    switch (offset) {
    case GLOB_CNT ... GLOB_CNT + 3:
        return s->glob_cnt >> 8 * (offset - GLOB_CNT) & 0xff;
    case GLOB_STA ... GLOB_STA + 3:
        return global_status(s) >> 8 * (offset - GLOB_STA) & 0xff;
    case CAS: /* a semaphore that the reader has now */
        s->cas = true;
        return taken;
    default:
        return 0;
    }
}

static void master_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ac97 *ac = opaque;

    if (offset < CHANNELS * CHANNEL_BYTES && offset % CHANNEL_BYTES < 12) {
        write_channel(ac, offset / CHANNEL_BYTES, offset % CHANNEL_BYTES, value);
    } else if (offset >= GLOB_CNT && offset < GLOB_CNT + 4) {
        write_global(ac, offset - GLOB_CNT, value);
    } else if (offset == CAS) {
        ac->s.cas = value & 1;
    }
    ac97_update(&ac->pci.dev);
}

static const RegionOps master_ops = { master_read, master_write, 1, 1, ENDIAN_LITTLE };

/* ---- registers of the codec ---- */

static uint64_t codec_read(void *opaque, PhysAddr offset, unsigned size)
{
    Ac97 *ac = opaque;

    ac->s.cas = false;
    return ac->s.mixer[offset / 2];
}

static void codec_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ac97 *ac = opaque;
    Ac97State *s = &ac->s;

    s->cas = false;
    trace("ac97_codec", "register %02x: %04x", (unsigned)offset, (unsigned)value);
    if (offset == 0) {
        reset_codec(s);
    }
    for (int n = 0; n < CHANNELS; n++) {
        advance(ac, n); /* at the rate so far */
    }
    for (size_t i = 0; i < G_N_ELEMENTS(codec_regs); i++) {
        if (codec_regs[i].reg == offset) {
            s->mixer[offset / 2] = (s->mixer[offset / 2] & ~codec_regs[i].writable) | (value & codec_regs[i].writable);
        }
    }
    for (int n = 0; n < CHANNELS; n++) {
        pace_start(&s->since[n], &s->frames[n]);
    }
    ac97_update(&ac->pci.dev);
}

static const RegionOps codec_ops = { codec_read, codec_write, 2, 2, ENDIAN_LITTLE };

/* ---- the device ---- */

static void ac97_reset(Device *dev)
{
    reset_codec(&((Ac97 *)dev)->s);
}

static bool ac97_realize(Device *dev, GError **error)
{
    static const PciInfo info = {
        .vendor = 0x8086, .device = 0x2415, .class_rev = 0x040100 << 8 | 0x01,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1,
    };
    Ac97 *ac = (Ac97 *)dev;
    AudioBackend *backend = audio_find(ac->audiodev, error);

    if (!backend) {
        return false;
    }
    pci_device_init(&ac->pci, &info);
    ac->voice = audio_voice_new(backend);
    ac->codec = region_new_io("ac97-codec", &codec_ops, ac, MIX_BYTES);
    ac->master = region_new_io("ac97-master", &master_ops, ac, MASTER_BYTES);
    ac->timer = timer_new(CLOCK_GUEST, timer_expired, ac);
    pci_register_bar(&ac->pci, 0, PCI_BAR_IO, ac->codec);
    pci_register_bar(&ac->pci, 1, PCI_BAR_IO, ac->master);
    return true;
}

static void ac97_unrealize(Device *dev)
{
    Ac97 *ac = (Ac97 *)dev;

    timer_free(ac->timer);
    audio_voice_free(ac->voice);
    region_free(ac->codec);
    region_free(ac->master);
}

static const Prop ac97_props[] = {
    PCI_PROPS(Ac97),
    PROP(Ac97, audiodev, "audiodev", PROP_STRING, NULL, "id of the sound backend; the first if it is not said"),
    { 0 },
};

const DeviceType ac97_type = {
    .name = "AC97",
    .about = "Intel AC'97 sound (82801AA)",
    .bus = "pci",
    .user = true,
    .hotplug = true,
    .size = sizeof(Ac97),
    .state_at = offsetof(Ac97, s),
    .state = Ac97State_fields,
    .props = ac97_props,
    .realize = ac97_realize,
    .unrealize = ac97_unrealize,
    .reset = ac97_reset,
    .update = ac97_update,
};
