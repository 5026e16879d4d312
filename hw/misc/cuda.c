/*
 * CUDA: a microcontroller behind a 6522 that has the real-time clock, the power switch and the desktop bus.
 *
 * Bytes go through the shift register of the 6522. Three lines of port B order them, all low when active: TREQ (CUDA has
 * a packet), TIP (the host is within a packet) and TACK (the host is ready for the next byte). A packet begins with its
 * kind; CUDA answers every one. Inside Macintosh tells of the calls, the sources of Linux (via-cuda.c) of the lines.
 */
#include "hw/misc/cuda.h"

#include "core/machine.h"
#include "hw/input/adb.h"
#include "hw/misc/mac-rtc.h"
#include "hw/misc/via6522.h"
#include "hw/nvram/battery.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

enum { TREQ = 0x08, TACK = 0x10, TIP = 0x20 };
enum { PACKET_ADB, PACKET_CUDA, PACKET_ERROR };
enum { FLAG_TIMEOUT = 0x02, FLAG_AUTOPOLL = 0x40 };
enum { ERROR_KIND = 1, ERROR_COMMAND, ERROR_SIZE, ERROR_DEVICE = 5 };
enum {
    CMD_AUTOPOLL = 0x01, CMD_GET_TIME = 0x03, CMD_GET_PRAM = 0x07, CMD_SET_TIME = 0x09, CMD_POWER_DOWN = 0x0a,
    CMD_SET_PRAM = 0x0c, CMD_RESET = 0x11, CMD_FILE_SERVER = 0x13, CMD_SET_RATE = 0x14, CMD_GET_RATE = 0x16,
    CMD_SET_DEVICES = 0x19, CMD_GET_DEVICES = 0x1a, CMD_ONE_SECOND = 0x1b, CMD_POWER_MESSAGES = 0x21,
};
enum { PACKET_MAX = 256 + 8, PRAM_SIZE = 256 };
#define BYTE_TIME (30 * NS_PER_US) /* software counts on a chip that is slower than itself */

#define CUDA_STATE(FIELD, ARRAY)                                                    \
    FIELD(bool, autopoll, false)                                                    \
    FIELD(uint8_t, rate, 11)         /* of polls, in milliseconds */                \
    FIELD(uint16_t, devices, 0xffff) /* addresses that are polled */                \
    FIELD(bool, syncing, false)      /* TACK came down outside of a packet */       \
    FIELD(int64_t, flag_at, -1)      /* when the byte on its way has arrived */     \
    FIELD(int64_t, poll_at, -1)                                                     \
    ARRAY(uint8_t, from_host, PACKET_MAX, 0)                                        \
    FIELD(uint16_t, received, 0)                                                    \
    ARRAY(uint8_t, to_host, PACKET_MAX, 0)                                          \
    FIELD(uint16_t, length, 0)                                                      \
    FIELD(uint16_t, sent, 0)

DEFINE_STATE(CudaState, CUDA_STATE);

typedef struct Cuda {
    Device dev;
    CudaState s;
    Via via;
    AdbBus *adb;
    Timer *timer;
    /* A battery keeps these over a reset. */
    int64_t clock_ahead;
    uint8_t pram[PRAM_SIZE];
    Battery pram_battery;
} Cuda;

static void arm_poll(Cuda *c)
{
    CudaState *s = &c->s;

    if (!s->autopoll || !adb_has_data(c->adb, s->devices)) {
        s->poll_at = -1;
    } else if (s->poll_at < 0) {
        s->poll_at = clock_now(CLOCK_GUEST) + MAX(s->rate, 1) * NS_PER_MS;
    }
}

static void cuda_update(Device *dev)
{
    Cuda *c = (Cuda *)dev;
    CudaState *s = &c->s;
    int64_t next;

    arm_poll(c);
    next = s->flag_at < 0 ? s->poll_at : s->poll_at < 0 ? s->flag_at : MIN(s->flag_at, s->poll_at);
    if (next >= 0) {
        timer_set(c->timer, next);
    } else {
        timer_cancel(c->timer);
    }
    via_update(&c->via);
}

/* The shift register is full, or empty, a little later. */
static void raise_flag(Cuda *c)
{
    c->s.flag_at = clock_now(CLOCK_GUEST) + BYTE_TIME;
}

static bool in_packet(uint8_t b)
{
    return !(b & TIP);
}

static void set_treq(Cuda *c, bool active)
{
    c->via.s.b_in = active ? c->via.s.b_in & ~TREQ : c->via.s.b_in | TREQ;
}

/* A packet for the host is there; it is offered when the lines are free. */
static void offer(Cuda *c)
{
    CudaState *s = &c->s;
    uint8_t b = via_port_b(&c->via);

    if (s->length && !s->sent && !in_packet(b) && (b & TACK) && (b & TREQ)) {
        set_treq(c, true);
        raise_flag(c);
    }
}

/* ---- packets ---- */

static uint8_t *answer(Cuda *c, uint8_t kind, uint8_t flags, uint8_t command)
{
    CudaState *s = &c->s;

    s->to_host[0] = kind;
    s->to_host[1] = flags;
    s->to_host[2] = command;
    s->length = 3;
    s->sent = 0;
    return s->to_host + 3;
}

static void answer_error(Cuda *c, uint8_t error, uint8_t kind, uint8_t command)
{
    answer(c, PACKET_ERROR, error, kind)[0] = command;
    c->s.length++;
}

static void adb_packet(Cuda *c, const uint8_t *command, int size)
{
    uint8_t data[ADB_DATA_MAX];
    int n = adb_request(c->adb, command, size, data);
    uint8_t *out = answer(c, PACKET_ADB, n < 0 ? FLAG_TIMEOUT : 0, command[0]);

    memcpy(out, data, MAX(n, 0));
    c->s.length += MAX(n, 0);
}

static void get_pram(Cuda *c, unsigned at)
{
    unsigned n = PRAM_SIZE - at;

    memcpy(answer(c, PACKET_CUDA, 0, CMD_GET_PRAM), c->pram + at, n);
    c->s.length += n;
}

static void set_pram(Cuda *c, unsigned at, const uint8_t *data, int size)
{
    memcpy(c->pram + at, data, MIN(size, (int)(PRAM_SIZE - at)));
    answer(c, PACKET_CUDA, 0, CMD_SET_PRAM);
}

/* data: what follows the command. */
static void cuda_packet(Cuda *c, uint8_t command, const uint8_t *data, int size)
{
    static const struct {
        uint8_t command, least;
    } sizes[] = {
        { CMD_AUTOPOLL, 1 }, { CMD_GET_PRAM, 2 }, { CMD_SET_TIME, 4 }, { CMD_SET_PRAM, 2 }, { CMD_SET_RATE, 1 },
        { CMD_SET_DEVICES, 2 },
    };
    CudaState *s = &c->s;
    uint8_t *out;

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        if (command == sizes[i].command && size < sizes[i].least) {
            answer_error(c, ERROR_SIZE, PACKET_CUDA, command);
            return;
        }
    }
    switch (command) {
    case CMD_GET_PRAM:
        get_pram(c, load_be16(data) & (PRAM_SIZE - 1));
        return;
    case CMD_SET_PRAM:
        set_pram(c, load_be16(data) & (PRAM_SIZE - 1), data + 2, size - 2);
        return;
    }
    out = answer(c, PACKET_CUDA, 0, command);
    switch (command) {
    case CMD_AUTOPOLL:
        s->autopoll = data[0] != 0;
        break;
    case CMD_GET_TIME:
        store_be32(out, mac_rtc_get(c->clock_ahead));
        s->length += 4;
        break;
    case CMD_SET_TIME:
        c->clock_ahead = mac_rtc_set(load_be32(data));
        break;
    case CMD_POWER_DOWN:
        machine_request_shutdown(SHUTDOWN_GUEST);
        break;
    case CMD_RESET:
        machine_request_reset(SHUTDOWN_GUEST);
        break;
    case CMD_SET_RATE:
        s->rate = data[0];
        break;
    case CMD_GET_RATE:
        out[0] = s->rate;
        s->length++;
        break;
    case CMD_SET_DEVICES:
        s->devices = load_be16(data);
        break;
    case CMD_GET_DEVICES:
        store_be16(out, s->devices);
        s->length += 2;
        break;
    case CMD_FILE_SERVER:    /* starts by itself after a power failure */
    case CMD_ONE_SECOND:     /* packets each second */
    case CMD_POWER_MESSAGES: /* of the front panel: there is none */
        break;
    default:
        guest_error(c->dev.id, "command %02x is not known", command);
        answer_error(c, ERROR_COMMAND, PACKET_CUDA, command);
    }
}

static void run_packet(Cuda *c)
{
    CudaState *s = &c->s;
    const uint8_t *p = s->from_host;
    int size = s->received;

    trace("cuda_packet", "kind %d, command %02x, %d bytes", p[0], size > 1 ? p[1] : 0, size);
    s->received = 0;
    if (size < 2) {
        answer_error(c, ERROR_SIZE, p[0], 0);
    } else if (p[0] == PACKET_ADB) {
        adb_packet(c, p + 1, size - 1);
    } else if (p[0] == PACKET_CUDA) {
        cuda_packet(c, p[1], p + 2, size - 2);
    } else {
        answer_error(c, ERROR_KIND, p[0], p[1]);
    }
}

/* ---- the lines ---- */

/* The host is ready for a byte: takes or brings one. */
static void move_byte(Cuda *c)
{
    CudaState *s = &c->s;
    Via *via = &c->via;

    if (via->s.acr & VIA_ACR_SR_OUT) {
        if (s->received < PACKET_MAX) {
            s->from_host[s->received++] = via->s.sr;
        }
        raise_flag(c);
    } else if (s->sent < s->length) {
        via->s.sr = s->to_host[s->sent++];
        if (s->sent == s->length) { /* this was the last one */
            set_treq(c, false);
        }
        raise_flag(c);
    }
}

static void end_packet(Cuda *c)
{
    CudaState *s = &c->s;

    if (s->received && s->length) { /* both began at the same time: the host lets CUDA go first */
        s->received = 0;
    } else if (s->received) {
        run_packet(c);
    } else if (s->sent) { /* what the host did not fetch is lost */
        s->length = s->sent = 0;
    }
    set_treq(c, s->length);
    raise_flag(c);
}

/* TACK without TIP: the host makes sure that nothing is under way. CUDA answers with TREQ. */
static void sync_lines(Cuda *c, bool tack)
{
    CudaState *s = &c->s;

    s->syncing = tack;
    s->received = s->length = s->sent = 0;
    set_treq(c, tack);
    raise_flag(c);
}

static void port_b_written(void *opaque, uint8_t old)
{
    Cuda *c = opaque;
    uint8_t b = via_port_b(&c->via), changed = old ^ b;

    if (in_packet(b)) {
        if (changed & (TIP | TACK)) {
            move_byte(c);
        }
    } else if (changed & TIP) {
        end_packet(c);
    } else if (changed & TACK) {
        if (!(b & TACK) || c->s.syncing) {
            sync_lines(c, !(b & TACK));
        }
    }
    if (c->s.flag_at < 0) {
        offer(c);
    }
    cuda_update(&c->dev);
}

static void poll_devices(Cuda *c)
{
    CudaState *s = &c->s;
    uint8_t packet[ADB_PACKET_MAX];
    int n;

    if (s->length || s->received || in_packet(via_port_b(&c->via))) {
        return; /* later */
    }
    n = adb_poll(c->adb, s->devices, packet);
    if (n) {
        memcpy(answer(c, PACKET_ADB, FLAG_AUTOPOLL, packet[0]), packet + 1, n - 1);
        s->length += n - 1;
    }
}

static void timer_expired(void *opaque)
{
    Cuda *c = opaque;
    CudaState *s = &c->s;
    int64_t now = clock_now(CLOCK_GUEST);

    if (s->flag_at >= 0 && now >= s->flag_at) {
        s->flag_at = -1;
        via_set_flag(&c->via, VIA_IFR_SR);
        offer(c);
    }
    if (s->poll_at >= 0 && now >= s->poll_at) {
        s->poll_at = -1;
        poll_devices(c);
        if (s->flag_at < 0) {
            offer(c);
        }
    }
    cuda_update(&c->dev);
}

static void adb_told(void *opaque)
{
    cuda_update(opaque);
}

Region *cuda_region(Device *dev)
{
    return ((Cuda *)dev)->via.region;
}

void cuda_connect(Device *dev, Line *irq)
{
    ((Cuda *)dev)->via.irq = irq;
}

static bool cuda_realize(Device *dev, GError **error)
{
    Cuda *c = (Cuda *)dev;

    via_init(&c->via, dev->id, port_b_written, c);
    battery_init(&c->pram_battery, dev, c->pram, PRAM_SIZE, NULL, NULL);
    c->timer = timer_new(CLOCK_GUEST, timer_expired, c);
    c->adb = adb_bus_new(dev, adb_told, c);
    return adb_bus_add_defaults(c->adb, error);
}

/* A Macintosh's own ROM sets the directions of port B up: firmware that stands in for it counts on that. */
static void cuda_reset(Device *dev)
{
    Via *via = &((Cuda *)dev)->via;

    via_reset(via);
    via->s.b = via->s.ddrb = TACK | TIP;
}

static void cuda_save(Device *dev, GKeyFile *out)
{
    Cuda *c = (Cuda *)dev;

    via_save(&c->via, out);
    g_key_file_set_int64(out, dev->id, "clock.ahead", c->clock_ahead);
    battery_save(&c->pram_battery, out, "pram.data");
}

static bool cuda_load(Device *dev, GKeyFile *in, GError **error)
{
    Cuda *c = (Cuda *)dev;
    CudaState *s = &c->s;

    if (g_key_file_has_key(in, dev->id, "pram.data", NULL) && !battery_load(&c->pram_battery, in, "pram.data", error)) {
        return false;
    }
    c->clock_ahead = (int32_t)g_key_file_get_int64(in, dev->id, "clock.ahead", NULL);
    s->received = MIN(s->received, PACKET_MAX);
    s->length = MIN(s->length, PACKET_MAX);
    s->sent = MIN(s->sent, s->length);
    return via_load(&c->via, in, error);
}

const DeviceType cuda_type = {
    .name = "cuda",
    .about = "CUDA: clock, power and ADB",
    .bus = "system",
    .size = sizeof(Cuda),
    .state_at = offsetof(Cuda, s),
    .state = CudaState_fields,
    .realize = cuda_realize,
    .reset = cuda_reset,
    .save_extra = cuda_save,
    .load_extra = cuda_load,
    .update = cuda_update,
};
