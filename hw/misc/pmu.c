/*
 * PMU: the power management microcontroller of later Macintoshes, behind a 6522, with clock and desktop bus.
 *
 * Bytes go through the shift register: the host lowers TREQ, the PMU moves the byte and lowers TACK, the host raises
 * TREQ, the PMU raises TACK. A command has a known number of bytes, or tells it in its second one; so has its answer.
 * What the PMU has to say by itself waits until the host asks why it was interrupted. The sources of Linux
 * (via-pmu.c, include/uapi/linux/pmu.h) tell of the lines and of the sizes.
 */
#include "core/machine.h"
#include "hw/input/adb.h"
#include "hw/misc/cuda.h"
#include "hw/misc/mac-rtc.h"
#include "hw/misc/via6522.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

enum { TACK = 0x08, TREQ = 0x10 };
enum {
    CMD_ADB = 0x20, CMD_ADB_OFF = 0x21, CMD_SET_TIME = 0x30, CMD_GET_TIME = 0x38, CMD_BATTERY = 0x6b,
    CMD_SMART_BATTERY = 0x6f, CMD_SET_MASK = 0x70, CMD_WHY = 0x78, CMD_SHUTDOWN = 0x7e, CMD_POWER_EVENTS = 0x8f,
    CMD_I2C = 0x9a, CMD_RESET = 0xd0, CMD_COVER = 0xdc, CMD_VERSION = 0xea,
};
enum { WHY_AUTOPOLL = 0x04, WHY_ADB = 0x10, WHY_SECOND = 0x80 };
enum { ADB_FLAG_SET_POLL = 0x86, VERSION = 0x0c };
enum { TOLD = -1 }; /* the number of bytes comes in front of them */
enum { PHASE_COMMAND, PHASE_LENGTH, PHASE_DATA, PHASE_ANSWER };
enum { DATA_MAX = 64 };
#define POLL_TIME (11 * NS_PER_MS)

#define PMU_STATE(FIELD, ARRAY)                                        \
    FIELD(uint8_t, phase, PHASE_COMMAND)                               \
    FIELD(uint8_t, command, 0)                                         \
    FIELD(uint8_t, expected, 0)   /* bytes after the command */        \
    FIELD(uint8_t, received, 0)                                        \
    ARRAY(uint8_t, data, 256, 0)                                       \
    FIELD(uint8_t, length, 0)     /* of the answer */                  \
    FIELD(uint8_t, sent, 0)                                            \
    ARRAY(uint8_t, answer, DATA_MAX, 0)                                \
    FIELD(uint8_t, mask, 0)       /* reasons that may interrupt */     \
    FIELD(uint8_t, why, 0)        /* reasons that are there */         \
    FIELD(uint8_t, adb_length, 0)                                      \
    ARRAY(uint8_t, adb_data, DATA_MAX, 0) /* an answer, or what a device said */ \
    FIELD(uint16_t, polled, 0)    /* addresses */                      \
    FIELD(int64_t, poll_at, -1)                                        \
    FIELD(int64_t, second_at, -1)                                      \
    FIELD(bool, told, false)      /* that there is a reason */

DEFINE_STATE(PmuState, PMU_STATE);

typedef struct Pmu {
    Device dev;
    PmuState s;
    bool has_adb;
    Via via;
    AdbBus *adb; /* NULL without */
    Timer *timer;
    Line *gpio;
    int64_t clock_ahead; /* a battery keeps it */
} Pmu;

/* ---- sizes ---- */

typedef struct Sizes {
    uint8_t command;
    int8_t in, out;
} Sizes;

/* Commands with bit 3 set answer. Sizes are told in the bytes, with these exceptions. */
static const Sizes exceptions[] = {
    { 0x10, 1, 0 }, { 0x11, 1, 0 }, { 0x18, 0, 1 }, { 0x19, 0, 1 }, { 0x21, 0, 0 }, { 0x22, 2, 0 }, { 0x23, 1, 0 },
    { 0x24, 1, 0 }, { 0x28, 0, -1 }, { 0x29, 0, -1 }, { 0x2f, 0, -1 }, { 0x30, 4, 0 }, { 0x31, 20, 0 }, { 0x33, 3, 0 },
    { 0x38, 0, 4 }, { 0x39, 0, 20 }, { 0x3a, 2, -1 }, { 0x3b, 2, 1 }, { 0x3c, 3, -1 }, { 0x3f, 4, 1 }, { 0x40, 1, 0 },
    { 0x41, 1, 0 }, { 0x48, 0, 1 }, { 0x49, 0, 1 }, { 0x4b, 1, 0 }, { 0x4c, 1, 0 }, { 0x50, 1, 0 }, { 0x51, 0, 0 },
    { 0x52, 2, 0 }, { 0x53, 2, 0 }, { 0x55, 1, 0 }, { 0x56, 3, 0 }, { 0x57, 1, 0 }, { 0x58, 0, 1 }, { 0x59, 1, 0 },
    { 0x5a, 0, 2 }, { 0x5b, 0, 2 }, { 0x5c, 0, -1 }, { 0x60, 2, 0 }, { 0x68, 0, 3 }, { 0x69, 0, 3 }, { 0x6a, 0, 2 },
    { 0x6b, 0, 8 }, { 0x6c, 0, -1 }, { 0x6d, 0, -1 }, { 0x70, 1, 0 }, { 0x71, 1, 0 }, { 0x72, 1, 0 }, { 0x78, 0, -1 },
    { 0x79, 0, -1 }, { 0x7d, 4, 1 }, { 0x7e, 4, 1 }, { 0x7f, 4, 1 }, { 0xd0, 0, 0 }, { 0xd2, 1, 0 }, { 0xd3, 1, 0 },
    { 0xd8, 1, 1 }, { 0xd9, 1, 1 }, { 0xdc, 0, 1 }, { 0xdd, 0, -1 }, { 0xe1, 4, 0 }, { 0xe2, 0, 1 }, { 0xe8, 3, -1 },
    { 0xea, 0, 1 }, { 0xec, 0, -1 },
};

static Sizes sizes_of(uint8_t command)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(exceptions); i++) {
        if (exceptions[i].command == command) {
            return exceptions[i];
        }
    }
    return (Sizes){ command, TOLD, command & 8 ? TOLD : 0 };
}

/* ---- outputs ---- */

static void pmu_update(Device *dev)
{
    Pmu *p = (Pmu *)dev;
    PmuState *s = &p->s;
    bool reason = s->why & s->mask;
    int64_t next;

    if (!p->adb || !s->polled || !adb_has_data(p->adb, s->polled)) {
        s->poll_at = -1;
    } else if (s->poll_at < 0) {
        s->poll_at = clock_now(CLOCK_GUEST) + POLL_TIME;
    }
    if (!(s->mask & WHY_SECOND)) {
        s->second_at = -1;
    } else if (s->second_at < 0) {
        s->second_at = clock_now(CLOCK_GUEST) + NS_PER_SECOND;
    }
    next = s->poll_at < 0 ? s->second_at : s->second_at < 0 ? s->poll_at : MIN(s->poll_at, s->second_at);
    if (next >= 0) {
        timer_set(p->timer, next);
    } else {
        timer_cancel(p->timer);
    }
    if (reason && !s->told) {
        p->via.s.ifr |= VIA_IFR_CB1;
    }
    s->told = reason;
    line_set(p->gpio, !reason);
    via_update(&p->via);
}

/* ---- commands ---- */

static void adb_answer(PmuState *s, uint8_t why, const uint8_t *packet, int size)
{
    memcpy(s->adb_data, packet, size);
    s->adb_length = size;
    s->why = (s->why & ~WHY_AUTOPOLL) | WHY_ADB | why;
}

/*
 * The bytes are command, flags, number of bytes, bytes. OpenBIOS finds the answer behind a status and its number of bytes,
 * or a zero where nobody answered; what devices say by themselves comes behind its command byte.
 */
static void adb_command(Pmu *p)
{
    PmuState *s = &p->s;
    uint8_t request[ADB_PACKET_MAX + 1] = { s->data[0] }, packet[2 + ADB_DATA_MAX] = { 0 };
    int size = s->received > 3 ? MIN(s->received - 3, ADB_DATA_MAX) : 0, n = -1;

    if (s->received < 2) {
        return;
    }
    if (s->data[0] == 0 && s->data[1] == ADB_FLAG_SET_POLL) {
        s->polled = s->received >= 4 ? load_be16(s->data + 2) : 0;
        return;
    }
    memcpy(request + 1, s->data + 3, size);
    if (p->adb) {
        n = adb_request(p->adb, request, 1 + size, packet + 2);
    }
    packet[0] = n > 0;
    packet[1] = MAX(n, 0);
    adb_answer(s, 0, packet, n > 0 ? 2 + n : 1);
}

static void answer_why(PmuState *s)
{
    s->answer[0] = s->why;
    s->length = 1;
    if (s->why & WHY_ADB) {
        memcpy(s->answer + 1, s->adb_data, s->adb_length);
        s->length += s->adb_length;
        s->adb_length = 0;
    }
    s->why = 0;
}

static bool says(const PmuState *s, const char *word)
{
    return s->received == 4 && memcmp(s->data, word, 4) == 0;
}

/* Wake-ups that can be asked for: none. */
static void power_events(PmuState *s)
{
    s->length = s->received && s->data[0] < 0x04 ? 2 : 0;
    memset(s->answer, 0, 2);
}

static void run_command(Pmu *p)
{
    PmuState *s = &p->s;
    Sizes sizes = sizes_of(s->command);

    trace("pmu_command", "command %02x, %d bytes", s->command, s->received);
    memset(s->answer, 0, sizeof(s->answer));
    s->length = sizes.out == TOLD ? 0 : sizes.out;
    switch (s->command) {
    case CMD_ADB:
        adb_command(p);
        break;
    case CMD_ADB_OFF:
        s->polled = 0;
        break;
    case CMD_SET_TIME:
        p->clock_ahead = mac_rtc_set(load_be32(s->data));
        break;
    case CMD_GET_TIME:
        store_be32(s->answer, mac_rtc_get(p->clock_ahead));
        break;
    case CMD_SET_MASK:
        s->mask = s->data[0];
        break;
    case CMD_WHY:
        answer_why(s);
        break;
    case CMD_SHUTDOWN:
        if (says(s, "MATT")) {
            machine_request_shutdown(SHUTDOWN_GUEST);
        }
        break;
    case CMD_RESET:
        machine_request_reset(SHUTDOWN_GUEST);
        break;
    case CMD_POWER_EVENTS:
        power_events(s);
        break;
    case CMD_I2C: /* nothing is on that bus */
        s->answer[0] = 0xff;
        s->length = 1;
        break;
    case CMD_VERSION:
        s->answer[0] = VERSION;
        break;
    case CMD_BATTERY: /* zeros: none there, the cover is open */
    case CMD_SMART_BATTERY:
    case CMD_COVER:
        break;
    default:
        log_if(LOG_UNIMP, "%s: PMU command %02x does nothing\n", p->dev.id, s->command);
    }
    s->sent = 0;
    if (sizes.out == TOLD) {
        memmove(s->answer + 1, s->answer, sizeof(s->answer) - 1);
        s->answer[0] = s->length++;
    }
    s->phase = s->length ? PHASE_ANSWER : PHASE_COMMAND;
}

/* ---- bytes ---- */

static void take_byte(Pmu *p, uint8_t byte)
{
    PmuState *s = &p->s;
    int in;

    switch (s->phase) {
    case PHASE_LENGTH:
        s->expected = byte;
        s->phase = PHASE_DATA;
        break;
    case PHASE_DATA:
        s->data[s->received++] = byte;
        break;
    default:
        s->command = byte;
        s->received = 0;
        in = sizes_of(byte).in;
        s->expected = MAX(in, 0);
        s->phase = in == TOLD ? PHASE_LENGTH : PHASE_DATA;
    }
    if (s->phase == PHASE_DATA && s->received == s->expected) {
        run_command(p);
    }
}

static uint8_t give_byte(PmuState *s)
{
    uint8_t byte = 0;

    if (s->phase == PHASE_ANSWER) {
        byte = s->answer[s->sent++];
        s->phase = s->sent == s->length ? PHASE_COMMAND : PHASE_ANSWER;
    }
    return byte;
}

static void port_b_written(void *opaque, uint8_t old)
{
    Pmu *p = opaque;
    Via *via = &p->via;
    uint8_t b = via_port_b(via);

    if (!((old ^ b) & TREQ)) {
        return;
    }
    if (b & TREQ) {
        via->s.b_in |= TACK;
    } else {
        if (via->s.acr & VIA_ACR_SR_OUT) {
            take_byte(p, via->s.sr);
        } else {
            via->s.sr = give_byte(&p->s);
        }
        via->s.b_in &= ~TACK;
        via->s.ifr |= VIA_IFR_SR;
    }
    pmu_update(&p->dev);
}

static void timer_expired(void *opaque)
{
    Pmu *p = opaque;
    PmuState *s = &p->s;
    int64_t now = clock_now(CLOCK_GUEST);
    uint8_t packet[ADB_PACKET_MAX];

    if (s->poll_at >= 0 && now >= s->poll_at) {
        s->poll_at = -1;
        if (!(s->why & WHY_ADB)) { /* the last news are known */
            int n = adb_poll(p->adb, s->polled, packet);

            if (n) {
                adb_answer(s, WHY_AUTOPOLL, packet, n);
            }
        }
    }
    if (s->second_at >= 0 && now >= s->second_at) {
        s->second_at = -1;
        s->why |= WHY_SECOND;
    }
    pmu_update(&p->dev);
}

static void adb_told(void *opaque)
{
    pmu_update(opaque);
}

Region *pmu_region(Device *dev)
{
    return ((Pmu *)dev)->via.region;
}

void pmu_connect(Device *dev, Line *irq, Line *gpio)
{
    ((Pmu *)dev)->via.irq = irq;
    ((Pmu *)dev)->gpio = gpio;
}

static bool pmu_realize(Device *dev, GError **error)
{
    Pmu *p = (Pmu *)dev;

    via_init(&p->via, dev->id, port_b_written, p);
    p->timer = timer_new(CLOCK_GUEST, timer_expired, p);
    if (!p->has_adb) {
        return true;
    }
    p->adb = adb_bus_new(dev, adb_told, p);
    return adb_bus_add_defaults(p->adb, error);
}

/* Port B as a Macintosh's own ROM leaves it, which OpenBIOS counts on. */
static void pmu_reset(Device *dev)
{
    Via *via = &((Pmu *)dev)->via;

    via_reset(via);
    via->s.b = via->s.ddrb = TREQ;
}

static void pmu_save(Device *dev, GKeyFile *out)
{
    Pmu *p = (Pmu *)dev;

    via_save(&p->via, out);
    g_key_file_set_int64(out, dev->id, "clock.ahead", p->clock_ahead);
}

static bool pmu_load(Device *dev, GKeyFile *in, GError **error)
{
    Pmu *p = (Pmu *)dev;
    PmuState *s = &p->s;

    p->clock_ahead = (int32_t)g_key_file_get_int64(in, dev->id, "clock.ahead", NULL);
    s->phase &= 3;
    s->adb_length = MIN(s->adb_length, 2 + ADB_DATA_MAX);
    s->length = MIN(s->length, DATA_MAX);
    if (s->sent >= s->length && s->phase == PHASE_ANSWER) {
        s->phase = PHASE_COMMAND;
    }
    if (s->received >= s->expected && s->phase == PHASE_DATA) {
        s->phase = PHASE_COMMAND;
    }
    return via_load(&p->via, in, error);
}

static const Prop pmu_props[] = {
    PROP(Pmu, has_adb, "has-adb", PROP_BOOL, "on", "there is a desktop bus"),
    { 0 },
};

const DeviceType pmu_type = {
    .name = "via-pmu",
    .about = "PMU: clock, power and ADB",
    .bus = "system",
    .size = sizeof(Pmu),
    .state_at = offsetof(Pmu, s),
    .state = PmuState_fields,
    .props = pmu_props,
    .realize = pmu_realize,
    .reset = pmu_reset,
    .save_extra = pmu_save,
    .load_extra = pmu_load,
    .update = pmu_update,
};
