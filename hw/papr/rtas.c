/*
 * RTAS calls that concern the machine as a whole: time of day, power, system parameters, events.
 *
 * LoPAPR 1.1, chapter 7; the event log's format is of 10.3.2, version 6.
 */
#include "core/clock.h"
#include "core/device.h"
#include "core/machine.h"
#include "hw/papr/papr.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

#define RTAS_STATE(FIELD, ARRAY)                                                  \
    FIELD(int64_t, clock_offset, 0) /* seconds that the guest's clock is ahead */ \
    FIELD(bool, power_button, false) /* was pressed, and the guest has not heard of it */

DEFINE_STATE(RtasState, RTAS_STATE);

typedef struct RtasDevice {
    Device dev;
    RtasState s;
    int64_t kept_offset; /* a reset leaves the clock alone, as a battery makes it do */
} RtasDevice;

/* ---- time of day ---- */

static int64_t seconds_now(void)
{
    return clock_base() + clock_now(CLOCK_GUEST) / NS_PER_SECOND;
}

/* Year, month, day, hour, minute, second, nanosecond. */
static int32_t get_time(void *opaque, PaprRtas *call)
{
    RtasDevice *rtas = opaque;
    g_autoptr(GDateTime) now = g_date_time_new_from_unix_utc(seconds_now() + rtas->s.clock_offset);

    if (!now) {
        return RTAS_HARDWARE;
    }
    call->rets[1] = g_date_time_get_year(now);
    call->rets[2] = g_date_time_get_month(now);
    call->rets[3] = g_date_time_get_day_of_month(now);
    call->rets[4] = g_date_time_get_hour(now);
    call->rets[5] = g_date_time_get_minute(now);
    call->rets[6] = g_date_time_get_second(now);
    call->rets[7] = clock_now(CLOCK_GUEST) % NS_PER_SECOND;
    return RTAS_OK;
}

static int32_t set_time(void *opaque, PaprRtas *call)
{
    RtasDevice *rtas = opaque;
    const uint32_t *a = call->args;
    g_autoptr(GDateTime) then = NULL;

    if (a[0] > 9999 || a[1] > 12 || a[2] > 31 || a[3] > 23 || a[4] > 59 || a[5] > 59) {
        return RTAS_BAD;
    }
    then = g_date_time_new_utc(a[0], a[1], a[2], a[3], a[4], a[5]);
    if (!then) {
        return RTAS_BAD;
    }
    rtas->s.clock_offset = rtas->kept_offset = g_date_time_to_unix(then) - seconds_now();
    return RTAS_OK;
}

/* ---- power ---- */

static int32_t power_off(void *opaque, PaprRtas *call)
{
    machine_request_shutdown(SHUTDOWN_GUEST);
    return RTAS_OK;
}

static int32_t system_reboot(void *opaque, PaprRtas *call)
{
    machine_request_reset(SHUTDOWN_GUEST);
    return RTAS_OK;
}

static void read_text(PhysAddr addr, char *text, size_t size)
{
    memory_read(memory_system(), addr, text, size - 1);
    text[size - 1] = '\0';
    for (char *c = text; *c; c++) {
        *c = g_ascii_isprint(*c) ? *c : ' ';
    }
}

/* The guest's operating system gave up: its last words are at the address. */
static int32_t os_term(void *opaque, PaprRtas *call)
{
    char text[128];

    read_text(call->args[0], text, sizeof(text));
    log_warn("the guest ended: %s", g_strstrip(text));
    machine_request_shutdown(SHUTDOWN_PANIC);
    return RTAS_OK;
}

/* ---- system parameters (7.3.16) ---- */

enum { PARAMETER_SPLPAR = 20, PARAMETER_DIAGNOSTICS = 42, PARAMETER_UUID = 48, NO_PARAMETER = -3 };

/* Two bytes of length, then the value, as far as there is room. */
static int32_t put_parameter(PhysAddr addr, uint32_t room, const void *value, uint16_t size)
{
    uint8_t length[2];

    if (room < 2) {
        return RTAS_BAD;
    }
    store_be16(length, size);
    memory_write(memory_system(), addr, length, 2);
    memory_write(memory_system(), addr + 2, value, MIN(size, room - 2));
    return RTAS_OK;
}

static int32_t get_parameter(void *opaque, PaprRtas *call)
{
    PhysAddr addr = call->args[1];
    uint32_t room = call->args[2];
    g_autofree char *text = NULL;

    switch (call->args[0]) {
    case PARAMETER_SPLPAR:
        text = g_strdup_printf("MaxEntCap=%d,DesMem=%" G_GUINT64_FORMAT ",DesProcs=%d,MaxPlatProcs=%d", machine_config.max_cpus,
                               machine_config.ram_size >> 20, machine_config.cpus, machine_config.max_cpus);
        return put_parameter(addr, room, text, strlen(text) + 1);
    case PARAMETER_DIAGNOSTICS:
        return put_parameter(addr, room, "", 1); /* disabled */
    case PARAMETER_UUID:
        return put_parameter(addr, room, machine_config.uuid, sizeof(machine_config.uuid));
    default:
        return NO_PARAMETER;
    }
}

static int32_t set_parameter(void *opaque, PaprRtas *call)
{
    return RTAS_NOT_AUTHORIZED;
}

/* ---- events: the power button ---- */

enum { NO_EVENT = 1, EVENT_EPOW = 0x40000000, LOG_SIZE = 8 + 48 + 24 + 28 };
enum { EPOW_SHUTDOWN = 3, EPOW_NORMAL = 1 };

static void press_power_button(void *opaque)
{
    RtasDevice *rtas = opaque;

    rtas->s.power_button = true;
    papr_irq_pulse(PAPR_IRQ_EPOW);
}

static void put_section(uint8_t *at, const char id[2], uint16_t size)
{
    memcpy(at, id, 2);
    store_be16(at + 2, size);
    at[4] = 1; /* version */
}

/* A fixed header, then the sections "PH", "UH" and "EP" (10.3.2.2). */
static void make_epow_log(uint8_t log[LOG_SIZE])
{
    uint8_t *main = log + 8, *user = main + 48, *epow = user + 24;

    memset(log, 0, LOG_SIZE);
    store_be32(log, 6u << 24 | 1u << 21 | 3u << 19 | 1u << 18 | 7u << 12 | 64); /* an event, with an extension: EPOW */
    store_be32(log + 4, LOG_SIZE - 8);
    put_section(main, "PH", 48);
    main[26] = 'H'; /* created by the hypervisor */
    main[27] = 3;   /* sections */
    put_section(user, "UH", 24);
    user[8] = 0x21; /* subsystem: power */
    user[10] = 0x20; /* severity: informational */
    put_section(epow, "EP", 28);
    epow[8] = EPOW_SHUTDOWN;
    epow[9] = EPOW_NORMAL;
}

static int32_t report_event(RtasDevice *rtas, PhysAddr addr, uint32_t room)
{
    uint8_t log[LOG_SIZE];

    if (!rtas->s.power_button) {
        return NO_EVENT;
    }
    rtas->s.power_button = false;
    make_epow_log(log);
    memory_write(memory_system(), addr, log, MIN(room, LOG_SIZE));
    return RTAS_OK;
}

/* vector, source, event mask, critical, buffer, length. */
static int32_t check_exception(void *opaque, PaprRtas *call)
{
    if (!(call->args[2] & EVENT_EPOW)) {
        return NO_EVENT;
    }
    return report_event(opaque, call->args[4], call->args[5]);
}

/* event mask, critical, buffer, length: what has an interrupt is not told here. */
static int32_t event_scan(void *opaque, PaprRtas *call)
{
    return NO_EVENT;
}

/* ---- device ---- */

static bool rtas_realize(Device *dev, GError **error)
{
    papr_rtas_add("get-time-of-day", 0, 8, get_time, dev);
    papr_rtas_add("set-time-of-day", 7, 1, set_time, dev);
    papr_rtas_add("power-off", 2, 1, power_off, dev);
    papr_rtas_add("system-reboot", 0, 1, system_reboot, dev);
    papr_rtas_add("ibm,os-term", 1, 1, os_term, dev);
    papr_rtas_add("ibm,get-system-parameter", 3, 1, get_parameter, dev);
    papr_rtas_add("ibm,set-system-parameter", 2, 1, set_parameter, dev);
    papr_rtas_add("check-exception", 6, 1, check_exception, dev);
    papr_rtas_add("event-scan", 4, 1, event_scan, dev);
    machine_on_powerdown(press_power_button, dev);
    return true;
}

static void rtas_reset(Device *dev)
{
    RtasDevice *rtas = (RtasDevice *)dev;

    rtas->s.clock_offset = rtas->kept_offset;
    papr_irq_claim(PAPR_IRQ_EPOW, PAPR_IRQ_EDGE);
}

const DeviceType spapr_rtas_type = {
    .name = "spapr-rtas",
    .about = "clock, power and events of a logical partition",
    .bus = "system",
    .size = sizeof(RtasDevice),
    .state_at = offsetof(RtasDevice, s),
    .state = RtasState_fields,
    .realize = rtas_realize,
    .reset = rtas_reset,
};
