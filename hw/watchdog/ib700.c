/*
 * Watchdog of the iBASE IB700 board: two ports. A write to 443h starts it or feeds it, with a time in its low four bits
 * (0 is 30 seconds, each step two less); a write to 441h stops it.
 */
#include "hw/isa/isa.h"

#include "core/clock.h"
#include "core/incident.h"

enum { STOP_PORT = 0x441, START_PORT = 0x443, LONGEST = 30 };

#define IB700_STATE(FIELD, ARRAY) FIELD(int64_t, deadline, 0) /* ns of CLOCK_GUEST; 0: it is off */

DEFINE_STATE(Ib700State, IB700_STATE);

typedef struct Ib700 {
    IsaDevice isa;
    Ib700State s;
    Region *stop, *start;
    Timer *timer;
} Ib700;

static void ib700_update(Device *dev)
{
    Ib700 *wd = (Ib700 *)dev;

    if (wd->s.deadline) {
        timer_set(wd->timer, wd->s.deadline);
    } else {
        timer_cancel(wd->timer);
    }
}

static void expired(void *opaque)
{
    Ib700 *wd = opaque;

    wd->s.deadline = 0;
    incident_watchdog();
}

static void stop_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ib700 *wd = opaque;

    wd->s.deadline = 0;
    ib700_update(&wd->isa.dev);
}

static void start_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Ib700 *wd = opaque;

    wd->s.deadline = clock_now(CLOCK_GUEST) + (LONGEST - 2 * (int64_t)(value & 15)) * NS_PER_SECOND;
    wd->s.deadline += !wd->s.deadline; /* 0 is off */
    ib700_update(&wd->isa.dev);
}

static const RegionOps stop_ops = { NULL, stop_write, 1, 1, ENDIAN_LITTLE, false };
static const RegionOps start_ops = { NULL, start_write, 1, 1, ENDIAN_LITTLE, false };

static bool ib700_realize(Device *dev, GError **error)
{
    Ib700 *wd = (Ib700 *)dev;

    wd->timer = timer_new(CLOCK_GUEST, expired, wd);
    wd->stop = region_new_io("ib700-stop", &stop_ops, wd, 1);
    wd->start = region_new_io("ib700-start", &start_ops, wd, 1);
    isa_add_ports(wd->stop, STOP_PORT);
    isa_add_ports(wd->start, START_PORT);
    return true;
}

const DeviceType ib700_type = {
    .name = "ib700", .about = "iBASE 700 watchdog", .bus = ISA_BUS, .user = true, .size = sizeof(Ib700),
    .state_at = offsetof(Ib700, s), .state = Ib700State_fields, .realize = ib700_realize, .update = ib700_update,
};
