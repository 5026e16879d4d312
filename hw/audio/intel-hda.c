/*
 * Intel's High Definition Audio controller: rings of commands and responses, and eight streams of buffers.
 *
 * High Definition Audio Specification, revision 1.0a, chapters 3 and 4. Streams 0 to 3 record, which brings silence.
 * A stream moves at the pace of its format, whether a codec listens or not.
 */
#include "core/clock.h"
#include "hw/audio/hda.h"
#include "hw/audio/pace.h"
#include "hw/pci/pci.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

enum { STREAMS = 8, FIRST_OUTPUT = 4, STREAM_BYTES = 0x20, WINDOW = 0x4000, ALIASES = 0x2000 };
enum { GCAP = 0x00, VMAJ = 0x03, OUTPAY = 0x04, INPAY = 0x06, GCTL = 0x08, WAKEEN = 0x0c, STATESTS = 0x0e, INTCTL = 0x20, INTSTS = 0x24,
       WALCLK = 0x30, SSYNC_OLD = 0x34, SSYNC = 0x38, CORB = 0x40, CORBWP = 0x48, CORBRP = 0x4a, CORBCTL = 0x4c, CORBSTS = 0x4d,
       CORBSIZE = 0x4e, RIRB = 0x50, RIRBWP = 0x58, RINTCNT = 0x5a, RIRBCTL = 0x5c, RIRBSTS = 0x5d, RIRBSIZE = 0x5e, ICOI = 0x60,
       ICII = 0x64, ICIS = 0x68, DPLBASE = 0x70, FIRST_STREAM = 0x80, REGISTERS = FIRST_STREAM + STREAMS * STREAM_BYTES };
/* Of a stream. */
enum { CTL = 0x00, STS = 0x03, LPIB = 0x04, CBL = 0x08, LVI = 0x0c, FIFOS = 0x10, FMT = 0x12, BDPL = 0x18 };
enum { GCTL_OUT_OF_RESET = 1, RING_RUN = 2, RIRB_INTERRUPTS = 1, RIRB_DONE = 1, POINTER_RESET = 0x80, RING_256 = 0x42, ICIS_BUSY = 1,
       ICIS_VALID = 2, CTL_RESET = 1, CTL_RUN = 2, CTL_COMPLETE = 4, CTL_FIFO = 8, CTL_ERROR = 16, STS_COMPLETE = 4, STS_CAUSES = 0x1c,
       STS_READY = 0x20, POSITIONS = 1, GLOBAL_INTERRUPTS = 1u << 31, CONTROLLER_INTERRUPTS = 1u << 30 };
enum { RING_ENTRIES = 256, WALCLK_MHZ = 24, PIECE = 4096, HOPS_MAX = 512 };

#define HDA_STATE(FIELD, ARRAY)                                                        \
    ARRAY(uint8_t, reg, REGISTERS, 0)                                                  \
    FIELD(uint16_t, responses, 0)          /* since the last interrupt for them */     \
    ARRAY(bool, fetched, STREAMS, false)   /* a buffer is being moved: */              \
    ARRAY(uint16_t, index, STREAMS, 0)     /* ... this one of the list */              \
    ARRAY(uint64_t, addr, STREAMS, 0)      /* ... its next byte */                     \
    ARRAY(uint32_t, left, STREAMS, 0)                                                  \
    ARRAY(bool, interrupt, STREAMS, false) /* ... when it is done */                   \
    ARRAY(int64_t, since, STREAMS, 0)                                                  \
    ARRAY(uint64_t, frames, STREAMS, 0)

DEFINE_STATE(HdaState, HDA_STATE);

typedef struct IntelHda {
    PciDevice pci;
    HdaState s;
    Region *region;
    Timer *timer;
    Bus *codecs;
} IntelHda;

static const uint8_t global_writable[FIRST_STREAM] = {
    [GCTL] = 0x01, [GCTL + 1] = 0x01, [WAKEEN] = 0xff, [WAKEEN + 1] = 0x7f,
    [INTCTL] = 0xff, [INTCTL + 3] = 0xc0, [SSYNC_OLD] = 0xff, [SSYNC] = 0xff,
    [CORB] = 0x80, [CORB + 1 ... CORB + 7] = 0xff, [CORBWP] = 0xff, [CORBRP + 1] = POINTER_RESET, [CORBCTL] = 0x03,
    [RIRB] = 0x80, [RIRB + 1 ... RIRB + 7] = 0xff, [RINTCNT] = 0xff, [RIRBCTL] = 0x07,
    [ICOI ... ICOI + 3] = 0xff, [DPLBASE] = 0x81, [DPLBASE + 1 ... DPLBASE + 7] = 0xff,
};
static const uint8_t stream_writable[STREAM_BYTES] = {
    [CTL] = 0x1f, [CTL + 2] = 0xff, [CBL ... CBL + 3] = 0xff, [LVI] = 0xff, [FMT] = 0x7f, [FMT + 1] = 0x7f,
    [BDPL] = 0x80, [BDPL + 1 ... BDPL + 7] = 0xff,
};
/* Writing 1 clears. */
static const uint8_t global_clears[FIRST_STREAM] = {
    [STATESTS] = 0xff, [STATESTS + 1] = 0x7f, [CORBSTS] = 0x01, [RIRBSTS] = 0x05, [ICIS] = ICIS_VALID,
};

static uint8_t *stream_regs(HdaState *s, int n)
{
    return s->reg + FIRST_STREAM + n * STREAM_BYTES;
}

static void default_registers(HdaState *s)
{
    memset(s->reg, 0, sizeof(s->reg));
    store_le16(s->reg + GCAP, FIRST_OUTPUT << 12 | FIRST_OUTPUT << 8 | 1); /* four streams each way, 64-bit addresses */
    s->reg[VMAJ] = 1;
    store_le16(s->reg + OUTPAY, 0x3c);
    store_le16(s->reg + INPAY, 0x1d);
    s->reg[CORBSIZE] = s->reg[RIRBSIZE] = RING_256;
    for (int n = 0; n < STREAMS; n++) {
        store_le16(stream_regs(s, n) + FIFOS, 0xbf);
    }
}

/* ---- outputs ---- */

static bool is_running(HdaState *s, int n)
{
    return stream_regs(s, n)[CTL] & CTL_RUN && !((s->reg[SSYNC] | s->reg[SSYNC_OLD]) >> n & 1);
}

static unsigned tag(HdaState *s, int n)
{
    return stream_regs(s, n)[CTL + 2] >> 4;
}

static AudioFormat stream_format(HdaState *s, int n)
{
    uint16_t fmt = load_le16(stream_regs(s, n) + FMT);
    unsigned base = fmt & 0x4000 ? 44100 : 48000, times = (fmt >> 11 & 7) + 1, by = (fmt >> 8 & 7) + 1;

    return (AudioFormat){ .rate = base * MIN(times, 4) / by, .channels = (fmt & 15) + 1,
                          .sample = (fmt >> 4 & 7) > 1 ? AUDIO_S32 : AUDIO_S16 };
}

static uint32_t interrupt_status(HdaState *s)
{
    uint32_t status = 0;

    for (int n = 0; n < STREAMS; n++) {
        const uint8_t *r = stream_regs(s, n);

        if (r[STS] & r[CTL] & STS_CAUSES) { /* enables and causes are the same bits */
            status |= 1u << n;
        }
    }
    if ((s->reg[RIRBSTS] & RIRB_DONE && s->reg[RIRBCTL] & RIRB_INTERRUPTS) ||
        load_le16(s->reg + STATESTS) & load_le16(s->reg + WAKEEN)) {
        status |= CONTROLLER_INTERRUPTS;
    }
    return status & load_le32(s->reg + INTCTL) ? status | GLOBAL_INTERRUPTS : status;
}

static HdaCodec *codec_at(const IntelHda *hda, guint i)
{
    return hda->codecs->devices->pdata[i];
}

static void tell_codecs(IntelHda *hda)
{
    for (guint i = 0; i < hda->codecs->devices->len; i++) {
        HdaCodec *codec = codec_at(hda, i);
        int n = FIRST_OUTPUT;

        while (n < STREAMS && !(is_running(&hda->s, n) && hda_codec_tag(codec) && tag(&hda->s, n) == hda_codec_tag(codec))) {
            n++;
        }
        if (n < STREAMS) {
            AudioFormat format = stream_format(&hda->s, n);

            hda_codec_stream(codec, &format);
        } else {
            hda_codec_stream(codec, NULL);
        }
    }
}

static void hda_update(Device *dev)
{
    IntelHda *hda = (IntelHda *)dev;
    HdaState *s = &hda->s;
    bool runs = false;

    for (int n = 0; n < STREAMS; n++) {
        runs |= is_running(s, n);
    }
    pci_set_intx(&hda->pci, interrupt_status(s) & GLOBAL_INTERRUPTS && load_le32(s->reg + INTCTL) & GLOBAL_INTERRUPTS);
    tell_codecs(hda);
    if (!runs) {
        timer_cancel(hda->timer);
    } else if (!timer_pending(hda->timer)) {
        timer_set(hda->timer, clock_now(CLOCK_GUEST) + PACE_PERIOD_NS);
    }
}

/* ---- commands and responses ---- */

static uint32_t send(IntelHda *hda, uint32_t command)
{
    HdaCodec *codec = hda_bus_codec(hda->codecs, command >> 28);
    uint32_t response = codec ? hda_codec_command(codec, command & 0x0fffffff) : 0;

    trace("hda_command", "%08x: %08x", command, response);
    return response;
}

static void respond(IntelHda *hda, unsigned address, uint32_t response)
{
    HdaState *s = &hda->s;
    uint8_t entry[8];

    s->reg[RIRBWP]++; /* of 256 */
    store_le32(entry, response);
    store_le32(entry + 4, address);
    pci_dma_write(&hda->pci, load_le64(s->reg + RIRB) + s->reg[RIRBWP] * 8, entry, sizeof(entry));
    s->responses++;
}

/* An interrupt comes after RINTCNT responses, and when there are no more commands. */
static void run_commands(IntelHda *hda)
{
    HdaState *s = &hda->s;
    unsigned most = s->reg[RINTCNT] ? s->reg[RINTCNT] : RING_ENTRIES;

    if (!(s->reg[CORBCTL] & RING_RUN) || !(s->reg[RIRBCTL] & RING_RUN)) {
        return;
    }
    for (int n = 0; n < RING_ENTRIES && s->reg[CORBRP] != s->reg[CORBWP]; n++) {
        uint8_t entry[4];
        uint32_t command;

        s->reg[CORBRP]++;
        if (!pci_dma_read(&hda->pci, load_le64(s->reg + CORB) + s->reg[CORBRP] * 4, entry, sizeof(entry))) {
            guest_error("intel-hda", "no command can be read");
            break;
        }
        command = load_le32(entry);
        if (hda_bus_codec(hda->codecs, command >> 28)) {
            respond(hda, command >> 28, send(hda, command));
        }
        if (s->responses >= most) {
            s->reg[RIRBSTS] |= RIRB_DONE;
            s->responses = 0;
        }
    }
    if (s->responses) {
        s->reg[RIRBSTS] |= RIRB_DONE;
        s->responses = 0;
    }
}

/* One command without the rings. */
static void run_immediate(IntelHda *hda)
{
    HdaState *s = &hda->s;

    store_le32(s->reg + ICII, send(hda, load_le32(s->reg + ICOI)));
    s->reg[ICIS] = ICIS_VALID;
}

/* ---- streams ---- */

static void fetch(IntelHda *hda, int n)
{
    HdaState *s = &hda->s;
    uint8_t entry[16];

    s->fetched[n] = pci_dma_read(&hda->pci, load_le64(stream_regs(s, n) + BDPL) + s->index[n] * 16, entry, sizeof(entry));
    if (s->fetched[n]) {
        s->addr[n] = load_le64(entry);
        s->left[n] = load_le32(entry + 8);
        s->interrupt[n] = entry[12] & 1;
    }
}

/* Positions go on from 0 behind the last byte; buffers behind the last one of the list. */
static void moved(IntelHda *hda, int n, uint32_t size)
{
    HdaState *s = &hda->s;
    uint8_t *r = stream_regs(s, n);
    uint32_t position = load_le32(r + LPIB) + size;

    s->addr[n] += size;
    s->left[n] -= size;
    store_le32(r + LPIB, position >= load_le32(r + CBL) ? 0 : position);
    if (!s->left[n]) {
        if (s->interrupt[n]) {
            r[STS] |= STS_COMPLETE;
        }
        s->index[n] = s->index[n] >= r[LVI] ? 0 : s->index[n] + 1;
        s->fetched[n] = false;
    }
}

static void write_position(IntelHda *hda, int n)
{
    HdaState *s = &hda->s;
    uint64_t base = load_le64(s->reg + DPLBASE);

    if (base & POSITIONS) {
        pci_dma_write(&hda->pci, (base & ~UINT64_C(127)) + 8 * n, stream_regs(s, n) + LPIB, 4);
    }
}

static void play(IntelHda *hda, int n, const AudioFormat *format, const void *data, size_t frames)
{
    for (guint i = 0; i < hda->codecs->devices->len; i++) {
        if (tag(&hda->s, n) && tag(&hda->s, n) == hda_codec_tag(codec_at(hda, i))) {
            hda_codec_play(codec_at(hda, i), format, data, frames);
        }
    }
}

static void advance(IntelHda *hda, int n)
{
    HdaState *s = &hda->s;
    AudioFormat format = stream_format(s, n);
    unsigned frame = audio_frame_size(&format), hops = 0, count = 0;
    uint8_t data[PIECE] = { 0 };
    uint64_t due;

    if (!is_running(s, n)) {
        return;
    }
    due = pace_due(&s->since[n], &s->frames[n], format.rate);
    s->frames[n] += due;
    for (due *= frame; due && hops < HOPS_MAX; hops++) {
        uint32_t position = load_le32(stream_regs(s, n) + LPIB), all = load_le32(stream_regs(s, n) + CBL), size;

        if (!s->fetched[n]) {
            fetch(hda, n);
        }
        if (!s->fetched[n]) {
            break;
        }
        size = MIN(MIN(due, s->left[n]), PIECE / frame * frame - count);
        size = MIN(size, all > position ? all - position : size);
        if (n < FIRST_OUTPUT) {
            pci_dma_write(&hda->pci, s->addr[n], data, size);
        } else {
            if (!pci_dma_read(&hda->pci, s->addr[n], data + count, size)) {
                memset(data + count, 0, size);
            }
            count += size;
        }
        moved(hda, n, size);
        due -= size;
        if (count >= PIECE / frame * frame) {
            play(hda, n, &format, data, count / frame);
            count = 0;
        }
    }
    play(hda, n, &format, data, count / frame);
    write_position(hda, n);
}

static void timer_expired(void *opaque)
{
    IntelHda *hda = opaque;

    for (int n = 0; n < STREAMS; n++) {
        advance(hda, n);
    }
    hda_update(&hda->pci.dev);
}

static void reset_stream(HdaState *s, int n)
{
    uint8_t *r = stream_regs(s, n);

    memset(r, 0, STREAM_BYTES);
    store_le16(r + FIFOS, 0xbf);
    s->fetched[n] = false;
    s->index[n] = 0;
}

/* ---- registers, byte by byte ---- */

static void reset_controller(IntelHda *hda)
{
    HdaState *s = &hda->s;

    default_registers(s);
    s->responses = 0;
    for (int n = 0; n < STREAMS; n++) {
        reset_stream(s, n);
    }
    for (guint i = 0; i < hda->codecs->devices->len; i++) {
        hda_codec_link_reset(codec_at(hda, i));
    }
}

static void find_codecs(IntelHda *hda)
{
    uint16_t there = 0;

    for (unsigned n = 0; n < HDA_CODECS; n++) {
        there |= (hda_bus_codec(hda->codecs, n) != NULL) << n;
    }
    store_le16(hda->s.reg + STATESTS, there);
}

static void write_stream(IntelHda *hda, int n, unsigned reg, uint8_t value)
{
    HdaState *s = &hda->s;
    uint8_t *r = stream_regs(s, n), old = r[reg];
    bool ran = is_running(s, n);

    if (reg == STS) {
        r[STS] &= ~(value & STS_CAUSES);
        return;
    }
    r[reg] = (old & ~stream_writable[reg]) | (value & stream_writable[reg]);
    if (reg != CTL) {
        return;
    }
    if (value & CTL_RESET) {
        reset_stream(s, n);
        r[CTL] = CTL_RESET; /* until software takes it back */
        return;
    }
    r[STS] = r[CTL] & CTL_RUN ? r[STS] | STS_READY : r[STS] & ~STS_READY;
    if (!ran && is_running(s, n)) {
        pace_start(&s->since[n], &s->frames[n]);
    }
}

static void write_sync(IntelHda *hda, unsigned reg, uint8_t value)
{
    HdaState *s = &hda->s;
    uint8_t held = s->reg[SSYNC] | s->reg[SSYNC_OLD];

    s->reg[reg] = value;
    for (int n = 0; n < STREAMS; n++) {
        if ((held & ~(s->reg[SSYNC] | s->reg[SSYNC_OLD])) >> n & 1) {
            pace_start(&s->since[n], &s->frames[n]);
        }
    }
}

static void write_global(IntelHda *hda, unsigned reg, uint8_t value)
{
    HdaState *s = &hda->s;
    uint8_t old = s->reg[reg];

    s->reg[reg] = (old & ~(global_writable[reg] | (value & global_clears[reg]))) | (value & global_writable[reg]);
    switch (reg) {
    case GCTL:
        if (!(value & GCTL_OUT_OF_RESET)) {
            reset_controller(hda);
        } else if (!(old & GCTL_OUT_OF_RESET)) {
            find_codecs(hda);
        }
        break;
    case SSYNC:
    case SSYNC_OLD:
        s->reg[reg] = old;
        write_sync(hda, reg, value);
        break;
    case CORBRP + 1:
        if (value & POINTER_RESET) {
            s->reg[CORBRP] = 0;
        }
        break;
    case RIRBWP + 1:
        if (value & POINTER_RESET) {
            s->reg[RIRBWP] = 0;
        }
        break;
    case CORBWP:
    case CORBCTL:
    case RIRBCTL:
        run_commands(hda);
        break;
    case ICIS:
        if (value & ICIS_BUSY) {
            run_immediate(hda);
        }
        break;
    }
}

static void hda_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    IntelHda *hda = opaque;
    bool in_reset = !(hda->s.reg[GCTL] & GCTL_OUT_OF_RESET);

    if (offset >= REGISTERS || (in_reset && offset != GCTL)) {
        return;
    }
    if (offset < FIRST_STREAM) {
        write_global(hda, offset, value);
    } else {
        int n = (offset - FIRST_STREAM) / STREAM_BYTES;

        advance(hda, n); /* as it was so far */
        write_stream(hda, n, offset % STREAM_BYTES, value);
    }
    hda_update(&hda->pci.dev);
}

static uint64_t hda_read(void *opaque, PhysAddr offset, unsigned size)
{
    IntelHda *hda = opaque;
    HdaState *s = &hda->s;
    unsigned reg = offset % ALIASES; /* counters are there a second time, for user programs */

    if (reg >= REGISTERS) {
        return 0;
    }
    if (reg >= FIRST_STREAM && reg % STREAM_BYTES == LPIB) { /* where it is now; the other bytes come behind the first */
        advance(hda, (reg - FIRST_STREAM) / STREAM_BYTES);
        hda_update(&hda->pci.dev);
    }
    if (reg == WALCLK) {
        store_le32(s->reg + WALCLK, mul_div(clock_now(CLOCK_GUEST), WALCLK_MHZ, 1000));
    } else if (reg == INTSTS) {
        store_le32(s->reg + INTSTS, interrupt_status(s));
    }
    return s->reg[reg];
}

static const RegionOps hda_ops = { hda_read, hda_write, 1, 1, ENDIAN_LITTLE };

/* ---- the device ---- */

extern const DeviceType intel_hda_type, ich9_intel_hda_type;

static void hda_reset(Device *dev)
{
    default_registers(&((IntelHda *)dev)->s);
}

static bool hda_realize(Device *dev, GError **error)
{
    static const PciInfo ich6 = {
        .vendor = 0x8086, .device = 0x2668, .class_rev = 0x040300 << 8 | 0x01,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1,
    };
    static const PciInfo ich9 = {
        .vendor = 0x8086, .device = 0x293e, .class_rev = 0x040300 << 8 | 0x03,
        .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1,
    };
    IntelHda *hda = (IntelHda *)dev;

    pci_device_init(&hda->pci, dev->type == &ich9_intel_hda_type ? &ich9 : &ich6);
    hda->region = region_new_io("intel-hda", &hda_ops, hda, WINDOW);
    hda->timer = timer_new(CLOCK_GUEST, timer_expired, hda);
    hda->codecs = hda_bus_new(dev);
    pci_register_bar(&hda->pci, 0, PCI_BAR_MEM32, hda->region);
    return true;
}

static void hda_unrealize(Device *dev)
{
    IntelHda *hda = (IntelHda *)dev;

    bus_free(hda->codecs);
    timer_free(hda->timer);
    region_free(hda->region);
}

static const Prop hda_props[] = { PCI_PROPS(IntelHda), { 0 } };

#define CONTROLLER(symbol, spelling, what) \
    const DeviceType symbol = {            \
        .name = spelling,                  \
        .about = what,                     \
        .bus = "pci",                      \
        .user = true,                      \
        .size = sizeof(IntelHda),          \
        .state_at = offsetof(IntelHda, s), \
        .state = HdaState_fields,          \
        .props = hda_props,                \
        .realize = hda_realize,            \
        .unrealize = hda_unrealize,        \
        .reset = hda_reset,                \
        .update = hda_update,              \
    }

CONTROLLER(intel_hda_type, "intel-hda", "Intel HD Audio controller (ICH6); wants a codec: -device hda-duplex");
CONTROLLER(ich9_intel_hda_type, "ich9-intel-hda", "Intel HD Audio controller (ICH9); wants a codec: -device hda-duplex");
