/* Shared by the files of the local APIC and nobody else. */
#ifndef HW_INTR_APIC_INTERNAL_H
#define HW_INTR_APIC_INTERNAL_H

#include "core/clock.h"
#include "hw/intr/apic.h"

enum { APIC_MAX = 256 };
enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };
enum {
    LVT_MODE_SHIFT = 8, LVT_PENDING = 1 << 12, LVT_REMOTE_IRR = 1 << 14, LVT_LEVEL = 1 << 15,
    LVT_MASKED = 1 << 16, LVT_PERIODIC = 1 << 17, LVT_DEADLINE = 2 << 17,
};
enum { APIC_VERSION = 0x14 | (LVT_COUNT - 1) << 16 };
enum { SVR_ENABLE = 1 << 8 };
enum { BASE_BSP = 1 << 8, BASE_X2APIC = 1 << 10, BASE_ENABLE = 1 << 11 };
enum { ESR_SEND_VECTOR = 1 << 5, ESR_RECEIVE_VECTOR = 1 << 6, ESR_REGISTER = 1 << 7 };

#define APIC_STATE(FIELD, ARRAY)                                            \
    FIELD(uint64_t, base, APIC_BASE | BASE_ENABLE)                          \
    FIELD(uint32_t, id, 0)                                                  \
    FIELD(uint8_t, tpr, 0)                                                  \
    FIELD(uint32_t, svr, 0xff)                                              \
    FIELD(uint32_t, ldr, 0)                                                 \
    FIELD(uint32_t, dfr, UINT32_MAX)                                        \
    FIELD(uint64_t, icr, 0)                                                 \
    FIELD(uint32_t, esr, 0)                                                 \
    FIELD(uint32_t, esr_new, 0)      /* shown by the next write */          \
    ARRAY(uint32_t, irr, 8, 0)                                              \
    ARRAY(uint32_t, isr, 8, 0)                                              \
    ARRAY(uint32_t, tmr, 8, 0)                                              \
    ARRAY(uint32_t, lvt, LVT_COUNT, LVT_MASKED)                             \
    ARRAY(bool, lint, 2, false)      /* levels of the pins */               \
    FIELD(uint32_t, divide, 0)                                              \
    FIELD(uint32_t, initial, 0)      /* count of the timer; 0: stopped */   \
    FIELD(int64_t, started, 0)       /* guest time of the load; before 0 if the divisor grew */ \
    FIELD(uint64_t, periods, 0)      /* whose ends have interrupted */      \
    FIELD(bool, ended, false)        /* a single shot that was fired is periodic now: stands */ \
    FIELD(uint64_t, deadline, 0)     /* TSC; 0: none */

typedef struct ApicState {
    APIC_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} ApicState;

StateFields apic_state_fields;

typedef struct Apic {
    Device dev;
    ApicState s;
    Cpu *cpu;
    uint8_t initial_id;
    ApicTscToNs *tsc_to_ns;
    int (*external)(Device *pic);
    Device *pic;
    Line *pins[2];
    Timer *timer;
} Apic;

extern Apic *apics[APIC_MAX + 1]; /* in order of creation; ends with NULL */

void apic_update(Device *dev);
void apic_set_irr(Apic *apic, uint8_t vector, bool level);
void apic_error(Apic *apic, uint32_t bit);
/* A local source fires: timer, error. */
void apic_fire_lvt(Apic *apic, int n);
/* apic-timer.c */
uint32_t apic_timer_count(Apic *apic);
uint32_t apic_timer_read(Apic *apic); /* the same for the guest: may fire */
void apic_timer_load(Apic *apic, uint32_t initial);
void apic_timer_restore(Apic *apic, uint32_t initial, uint32_t current); /* as both read; does not arm */
void apic_timer_set_lvt(Apic *apic, uint32_t lvt);
void apic_timer_set_divide(Apic *apic, uint32_t divide);
void apic_timer_set_deadline(Apic *apic, uint64_t tsc);
void apic_timer_arm(Apic *apic);
void apic_timer_expired(void *opaque);
/* apic-page.c: to and from an engine that has the APIC */
void apic_to_page(Apic *apic);
void apic_from_page(Device *dev); /* nothing if no engine has it */
/* apic-send.c */
void apic_write_icr(Apic *apic);
void apic_init(Apic *apic);
/* A destination of all ones is a broadcast; others are ids, or the 8 or 32 bits of a logical address. */
bool apic_is_target(const Apic *apic, uint32_t destination, bool logical);
/* `level`: it is level-triggered. */
void apic_broadcast_eoi(uint8_t vector, bool level);

#endif
