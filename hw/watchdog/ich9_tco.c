/*
 * The TCO watchdog of the ICH9: a timer that asks for an SMI when it runs out and resets the machine the second time.
 *
 * Intel I/O Controller Hub 9 Family data sheet (order 316972), section 13.9.
 */
#include "hw/acpi/ich9_pm.h"

#include "core/clock.h"
#include "core/incident.h"

enum {
    TCO_RELOAD = 0x00, TCO_DATA = 0x02, TCO_STATUS1 = 0x04, TCO_STATUS2 = 0x06, TCO_CONTROL1 = 0x08, TCO_CONTROL2 = 0x0a,
    TCO_MESSAGE = 0x0c, TCO_BOOT = 0x0e, TCO_TIMER = 0x12,
};
enum { STATUS1_TIMEOUT = 1 << 3, STATUS2_AGAIN = 1 << 1, CONTROL1_HALT = 1 << 11, CONTROL1_LOCK = 1 << 12 };
enum { TIMER_MASK = 0x3ff, TIMER_LEAST = 4 };
#define TICK_NS (600 * NS_PER_MS)

#define ICH9_TCO_STATE(FIELD, ARRAY)                                         \
    FIELD(uint16_t, data, 0)                                                 \
    FIELD(uint16_t, status1, 0)                                              \
    FIELD(uint16_t, status2, 0)                                              \
    FIELD(uint16_t, control1, CONTROL1_HALT)                                 \
    FIELD(uint16_t, control2, 0x08)                                          \
    FIELD(uint16_t, message, 0)                                              \
    FIELD(uint16_t, boot, 0)                                                 \
    FIELD(uint16_t, timer, TIMER_LEAST)                                      \
    FIELD(bool, again, false)    /* it ran out once */                       \
    FIELD(int64_t, deadline, 0)  /* ns of CLOCK_GUEST; 0: it stands */       \
    FIELD(int64_t, left, 0)      /* ns, while it stands */

DEFINE_STATE(Ich9TcoState, ICH9_TCO_STATE);

typedef struct Ich9Tco {
    Device dev;
    Ich9TcoState s;
    Region *region;
    Timer *timer;
    Device *pm;
    bool reboot;
} Ich9Tco;

static void ich9_tco_update(Device *dev)
{
    Ich9Tco *tco = (Ich9Tco *)dev;

    if (tco->s.deadline) {
        timer_set(tco->timer, tco->s.deadline);
    } else {
        timer_cancel(tco->timer);
    }
}

static int64_t full_time(const Ich9TcoState *s)
{
    return (s->timer < TIMER_LEAST ? TIMER_LEAST : s->timer) * TICK_NS;
}

static void reload(Ich9Tco *tco)
{
    Ich9TcoState *s = &tco->s;

    s->left = full_time(s);
    if (!(s->control1 & CONTROL1_HALT)) {
        s->deadline = clock_now(CLOCK_GUEST) + s->left;
    }
    ich9_tco_update(&tco->dev);
}

static void ran_out(void *opaque)
{
    Ich9Tco *tco = opaque;

    if (tco->s.again) {
        tco->s.status2 |= STATUS2_AGAIN;
        tco->s.again = false;
        if (tco->reboot) {
            tco->s.deadline = 0;
            incident_watchdog();
            return;
        }
    } else {
        tco->s.status1 |= STATUS1_TIMEOUT;
        tco->s.again = true;
        ich9_pm_tco_event(tco->pm);
    }
    reload(tco);
}

static int64_t time_left(const Ich9TcoState *s)
{
    int64_t left = s->deadline ? s->deadline - clock_now(CLOCK_GUEST) : s->left;

    return left > 0 ? left : 0;
}

static void write_control1(Ich9Tco *tco, uint16_t value)
{
    Ich9TcoState *s = &tco->s;
    uint16_t old = s->control1;

    s->control1 = (value & (CONTROL1_HALT | 0x0300)) | ((value | old) & CONTROL1_LOCK);
    if ((value & CONTROL1_HALT) && !(old & CONTROL1_HALT)) {
        s->left = time_left(s);
        s->deadline = 0;
    } else if (!(value & CONTROL1_HALT) && (old & CONTROL1_HALT)) {
        s->deadline = clock_now(CLOCK_GUEST) + (s->left ? s->left : full_time(s));
    }
    ich9_tco_update(&tco->dev);
}

static uint64_t tco_read(void *opaque, PhysAddr offset, unsigned size)
{
    const Ich9TcoState *s = &((Ich9Tco *)opaque)->s;

    switch (offset) {
    case TCO_RELOAD:
        return time_left(s) / TICK_NS & TIMER_MASK;
    case TCO_DATA:
        return s->data;
    case TCO_STATUS1:
        return s->status1;
    case TCO_STATUS2:
        return s->status2;
    case TCO_CONTROL1:
        return s->control1;
    case TCO_CONTROL2:
        return s->control2;
    case TCO_MESSAGE:
        return s->message;
    case TCO_BOOT:
        return s->boot;
    case TCO_TIMER:
        return s->timer;
    default:
        return 0;
    }
}

static void tco_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ich9Tco *tco = opaque;
    Ich9TcoState *s = &tco->s;

    switch (offset) {
    case TCO_RELOAD:
        s->again = false;
        reload(tco);
        break;
    case TCO_DATA:
        s->data = value;
        break;
    case TCO_STATUS1:
        s->status1 &= ~value;
        s->again = s->again && (s->status1 & STATUS1_TIMEOUT);
        break;
    case TCO_STATUS2:
        s->status2 &= ~value;
        break;
    case TCO_CONTROL1:
        write_control1(tco, value);
        break;
    case TCO_CONTROL2:
        s->control2 = value;
        break;
    case TCO_MESSAGE:
        s->message = value;
        break;
    case TCO_BOOT:
        s->boot = value & 0xff;
        break;
    case TCO_TIMER:
        s->timer = value & TIMER_MASK;
        break;
    }
}

static const RegionOps tco_ops = { tco_read, tco_write, 2, 2, ENDIAN_LITTLE };

Region *ich9_tco_region(Device *dev)
{
    return ((Ich9Tco *)dev)->region;
}

void ich9_tco_connect(Device *dev, Device *pm)
{
    ((Ich9Tco *)dev)->pm = pm;
}

void ich9_tco_set_reboot(Device *dev, bool on)
{
    ((Ich9Tco *)dev)->reboot = on;
}

static bool ich9_tco_realize(Device *dev, GError **error)
{
    Ich9Tco *tco = (Ich9Tco *)dev;

    tco->timer = timer_new(CLOCK_GUEST, ran_out, tco);
    tco->region = region_new_io("ich9-tco", &tco_ops, tco, ICH9_TCO_SIZE);
    return true;
}

const DeviceType ich9_tco_type = {
    .name = "ich9-tco", .about = "Watchdog of the ICH9", .bus = "system", .size = sizeof(Ich9Tco),
    .state_at = offsetof(Ich9Tco, s), .state = Ich9TcoState_fields, .realize = ich9_tco_realize, .update = ich9_tco_update,
};
