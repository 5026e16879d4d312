/*
 * Zilog 85C30 serial controller: two asynchronous channels.
 *
 * Zilog SCC/ESCC User Manual (UM010903). Bytes leave at once; synchronous modes are not there, as nobody is at the
 * other end who would speak them.
 */
#include "hw/char/escc.h"

#include "backends/char.h"
#include "util/log.h"

#include <string.h>

enum { FIFO_SIZE = 8 };
enum { CMD_POINT_HIGH = 1, CMD_RESET_EXT, CMD_NEXT_RX = 4, CMD_RESET_TX, CMD_RESET_ERROR, CMD_RESET_IUS };
enum { WR1_EXT = 0x01, WR1_TX = 0x02, WR1_RX = 0x18, WR1_RX_FIRST = 0x08, WR1_RX_SPECIAL = 0x18 };
enum { WR3_RX_ENABLE = 0x01, WR5_TX_ENABLE = 0x08, WR9_MIE = 0x08, WR9_STATUS_HIGH = 0x10, WR9_RESET_B = 0x40,
       WR9_RESET_A = 0x80, WR14_LOOPBACK = 0x10, WR15_CTS = 0x20, WR15_DCD = 0x08, WR15_BREAK = 0x80 };
enum { RR0_RX = 0x01, RR0_TX_EMPTY = 0x04, RR0_DCD = 0x08, RR0_CTS = 0x20, RR0_UNDERRUN = 0x40, RR0_BREAK = 0x80 };
enum { RR1_ALL_SENT = 0x01, RR1_RESIDUE = 0x06, RR1_OVERRUN = 0x20 };
enum { IP_EXT = 1, IP_TX = 2, IP_RX = 4 }; /* as in RR3, for B; A's are 3 bits further up */

#define ESCC_CHANNEL_STATE(FIELD, ARRAY)                               \
    ARRAY(uint8_t, wr, 16, 0)                                          \
    FIELD(uint8_t, pointer, 0)                                         \
    FIELD(uint8_t, rr0, RR0_TX_EMPTY | RR0_UNDERRUN | RR0_CTS | RR0_DCD) \
    FIELD(uint8_t, rr1, RR1_ALL_SENT | RR1_RESIDUE)                    \
    FIELD(uint8_t, pending, 0)                                         \
    FIELD(bool, first, false) /* the next byte received interrupts */  \
    ARRAY(uint8_t, fifo, FIFO_SIZE, 0)                                 \
    FIELD(uint8_t, head, 0)                                            \
    FIELD(uint8_t, count, 0)

DEFINE_STATE(EsccChannelState, ESCC_CHANNEL_STATE);

#define ESCC_STATE(FIELD, ARRAY) \
    FIELD(uint8_t, vector, 0)    \
    FIELD(uint8_t, control, 0) /* WR9 is one register for both */

DEFINE_STATE(EsccState, ESCC_STATE);

typedef struct Escc Escc;

typedef struct Channel {
    EsccChannelState s;
    Escc *escc;
    int number;
    CharBackend *chr;
    Line *irq;
} Channel;

struct Escc {
    Device dev;
    EsccState s;
    Channel channel[2];
    Region *region, *legacy;
};

static bool rx_interrupts(const EsccChannelState *s)
{
    switch (s->wr[1] & WR1_RX) {
    case 0:
        return false;
    case WR1_RX_FIRST:
        return s->count && s->first;
    case WR1_RX_SPECIAL:
        return s->rr1 & RR1_OVERRUN;
    default:
        return s->count;
    }
}

static uint8_t interrupts(const EsccChannelState *s)
{
    uint8_t ip = s->pending & ((s->wr[1] & WR1_EXT ? IP_EXT : 0) | (s->wr[1] & WR1_TX ? IP_TX : 0));

    return ip | (rx_interrupts(s) ? IP_RX : 0);
}

static void escc_update(Device *dev)
{
    Escc *e = (Escc *)dev;

    for (int n = 0; n < 2; n++) {
        line_set(e->channel[n].irq, (e->s.control & WR9_MIE) && interrupts(&e->channel[n].s));
    }
}

/* ---- bytes ---- */

static void push(EsccChannelState *s, uint8_t byte)
{
    if (s->count == FIFO_SIZE) {
        s->rr1 |= RR1_OVERRUN;
        return;
    }
    s->fifo[(s->head + s->count++) % FIFO_SIZE] = byte;
}

static uint8_t read_data(Channel *c)
{
    EsccChannelState *s = &c->s;
    uint8_t byte = s->fifo[s->head];

    if (s->count) {
        s->head = (s->head + 1) % FIFO_SIZE;
        s->count--;
        s->first = false;
        char_accept(c->chr);
    }
    return byte;
}

static void write_data(Channel *c, uint8_t byte)
{
    EsccChannelState *s = &c->s;

    s->pending &= ~IP_TX; /* until the byte has left the buffer: interrupt controllers look for the edge */
    escc_update(&c->escc->dev);
    if (s->wr[14] & WR14_LOOPBACK) {
        push(s, byte);
    } else if (s->wr[5] & WR5_TX_ENABLE) {
        char_write(c->chr, &byte, 1);
    }
    s->pending |= IP_TX;
}

static size_t can_receive(void *opaque)
{
    const EsccChannelState *s = &((Channel *)opaque)->s;

    return (s->wr[3] & WR3_RX_ENABLE) && !(s->wr[14] & WR14_LOOPBACK) ? FIFO_SIZE - s->count : 0;
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
    Channel *c = opaque;

    for (size_t i = 0; i < size; i++) {
        push(&c->s, data[i]);
    }
    escc_update(&c->escc->dev);
}

/* A break begins and, as far as the host tells, ends at once. */
static void event(void *opaque, CharEvent what)
{
    Channel *c = opaque;

    if (what == CHAR_BREAK) {
        c->s.rr0 |= RR0_BREAK;
        push(&c->s, 0);
        c->s.pending |= c->s.wr[15] & WR15_BREAK ? IP_EXT : 0;
        escc_update(&c->escc->dev);
    }
}

static const CharFrontend frontend = { can_receive, receive, event };

/* ---- registers ---- */

static void reset_channel(Channel *c)
{
    state_reset(EsccChannelState_fields, &c->s);
    c->s.wr[11] = 0x08;
    c->s.wr[15] = 0xf8;
}

/* RR2 of channel B: the vector with the reason in it (table 5-5 of the manual). */
static uint8_t modified_vector(const Escc *e)
{
    uint8_t ip_a = interrupts(&e->channel[ESCC_A].s), ip_b = interrupts(&e->channel[ESCC_B].s);
    unsigned code = ip_a & IP_RX ? 6 : ip_a & IP_TX ? 4 : ip_a & IP_EXT ? 5 : ip_b & IP_RX ? 2 : ip_b & IP_TX ? 0 :
                    ip_b & IP_EXT ? 1 : 3;

    if (e->s.control & WR9_STATUS_HIGH) { /* the three bits are turned round there */
        return (e->s.vector & 0x8f) | (code & 1) << 6 | (code & 2) << 4 | (code & 4) << 2;
    }
    return (e->s.vector & 0xf1) | code << 1;
}

static uint8_t read_register(Channel *c, int reg)
{
    EsccChannelState *s = &c->s;
    Escc *e = c->escc;

    switch (reg) {
    case 0:
    case 4:
        return s->rr0 | (s->count ? RR0_RX : 0);
    case 1:
    case 5:
        return s->rr1;
    case 2:
    case 6:
        return c->number == ESCC_A ? e->s.vector : modified_vector(e);
    case 3:
    case 7:
        return c->number == ESCC_A ? interrupts(&e->channel[ESCC_A].s) << 3 | interrupts(&e->channel[ESCC_B].s) : 0;
    case 8:
        return read_data(c);
    case 9:
    case 13:
        return s->wr[13];
    case 12:
        return s->wr[12];
    case 15:
        return s->wr[15];
    default:
        return 0;
    }
}

static void run_command(Channel *c, int command)
{
    EsccChannelState *s = &c->s;

    switch (command) {
    case CMD_POINT_HIGH:
        s->pointer |= 8;
        break;
    case CMD_RESET_EXT:
        s->pending &= ~IP_EXT;
        s->rr0 &= ~RR0_BREAK;
        break;
    case CMD_NEXT_RX:
        s->first = true;
        break;
    case CMD_RESET_TX:
        s->pending &= ~IP_TX;
        break;
    case CMD_RESET_ERROR:
        s->rr1 &= ~RR1_OVERRUN;
        break;
    case CMD_RESET_IUS: /* nothing is kept in service */
        break;
    }
}

static void write_control(Escc *e, uint8_t value)
{
    e->s.control = value & 0x3f;
    if (value & WR9_RESET_B) {
        reset_channel(&e->channel[ESCC_B]);
    }
    if (value & WR9_RESET_A) {
        reset_channel(&e->channel[ESCC_A]);
    }
    if ((value & (WR9_RESET_A | WR9_RESET_B)) == (WR9_RESET_A | WR9_RESET_B)) {
        e->s.control &= ~WR9_MIE;
    }
}

static void write_register(Channel *c, int reg, uint8_t value)
{
    EsccChannelState *s = &c->s;

    switch (reg) {
    case 0:
        s->pointer = value & 7;
        run_command(c, value >> 3 & 7);
        return;
    case 1:
        if ((value & WR1_RX) == WR1_RX_FIRST && (s->wr[1] & WR1_RX) != WR1_RX_FIRST) {
            s->first = true;
        }
        break;
    case 2:
        c->escc->s.vector = value;
        break;
    case 8:
        write_data(c, value);
        return;
    case 9:
        write_control(c->escc, value);
        return;
    }
    s->wr[reg] = value;
    if (reg == 3 || reg == 14) {
        char_accept(c->chr);
    }
}

/* Register 0 is at hand; another one is pointed at first. */
static int pointed(EsccChannelState *s)
{
    int reg = s->pointer & 15;

    s->pointer = 0;
    return reg;
}

static uint64_t escc_read(void *opaque, PhysAddr offset, unsigned size)
{
    Escc *e = opaque;
    Channel *c = &e->channel[offset >> 5 & 1];
    uint8_t value;

    if (offset & 0x10) {
        value = read_data(c);
    } else {
        value = read_register(c, pointed(&c->s));
    }
    escc_update(&e->dev);
    return value;
}

static void escc_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Escc *e = opaque;
    Channel *c = &e->channel[offset >> 5 & 1];

    if (offset & 0x10) {
        write_data(c, value);
    } else {
        write_register(c, pointed(&c->s), value);
    }
    escc_update(&e->dev);
}

static PhysAddr from_legacy(PhysAddr offset)
{
    return (offset & 2) << 4 | (offset & 4) << 2;
}

static uint64_t legacy_read(void *opaque, PhysAddr offset, unsigned size)
{
    return offset & 9 ? 0 : escc_read(opaque, from_legacy(offset), 1);
}

static void legacy_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    if (!(offset & 9)) {
        escc_write(opaque, from_legacy(offset), value, 1);
    }
}

static uint64_t window_read(void *opaque, PhysAddr offset, unsigned size)
{
    return offset & 15 ? 0 : escc_read(opaque, offset, 1);
}

static void window_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    if (!(offset & 15)) {
        escc_write(opaque, offset, value, 1);
    }
}

static const RegionOps window_ops = { window_read, window_write, 1, 1, ENDIAN_LITTLE };
static const RegionOps legacy_ops = { legacy_read, legacy_write, 1, 1, ENDIAN_LITTLE };

Region *escc_region(Device *dev)
{
    return ((Escc *)dev)->region;
}

Region *escc_legacy_region(Device *dev)
{
    return ((Escc *)dev)->legacy;
}

void escc_connect(Device *dev, int channel, Line *irq)
{
    ((Escc *)dev)->channel[channel].irq = irq;
}

static bool escc_realize(Device *dev, GError **error)
{
    Escc *e = (Escc *)dev;

    for (int n = 0; n < 2; n++) {
        Channel *c = &e->channel[n];

        c->escc = e;
        c->number = n;
        if (c->chr && !char_attach(c->chr, &frontend, c, error)) {
            return false;
        }
    }
    e->region = region_new_io("escc", &window_ops, e, 0x40);
    e->legacy = region_new_io("escc-legacy", &legacy_ops, e, 0x10);
    return true;
}

static void escc_reset(Device *dev)
{
    for (int n = 0; n < 2; n++) {
        reset_channel(&((Escc *)dev)->channel[n]);
    }
}

static char *channel_key(Device *dev, int n)
{
    return g_strdup_printf("%s.channel%d", dev->id, n);
}

static void escc_save(Device *dev, GKeyFile *out)
{
    for (int n = 0; n < 2; n++) {
        g_autofree char *id = channel_key(dev, n);

        state_save(EsccChannelState_fields, &((Escc *)dev)->channel[n].s, out, id);
    }
}

static bool escc_load(Device *dev, GKeyFile *in, GError **error)
{
    for (int n = 0; n < 2; n++) {
        g_autofree char *id = channel_key(dev, n);
        EsccChannelState *s = &((Escc *)dev)->channel[n].s;

        if (!state_load(EsccChannelState_fields, s, in, id, error)) {
            return false;
        }
        s->head %= FIFO_SIZE;
        s->count = MIN(s->count, FIFO_SIZE);
        s->pending &= IP_EXT | IP_TX | IP_RX;
    }
    return true;
}

static const Prop escc_props[] = {
    PROP(Escc, channel[ESCC_A].chr, "chrA", PROP_CHAR, NULL, "character backend of the first port"),
    PROP(Escc, channel[ESCC_B].chr, "chrB", PROP_CHAR, NULL, "character backend of the second port"),
    { 0 },
};

const DeviceType escc_type = {
    .name = "escc",
    .about = "85C30 serial controller",
    .bus = "system",
    .size = sizeof(Escc),
    .state_at = offsetof(Escc, s),
    .state = EsccState_fields,
    .props = escc_props,
    .realize = escc_realize,
    .reset = escc_reset,
    .save_extra = escc_save,
    .load_extra = escc_load,
    .update = escc_update,
};
