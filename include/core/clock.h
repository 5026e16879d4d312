/* Guest time and timers. No device asks the host for the time. */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_SECOND 1000000000LL
#define NS_PER_MS     1000000LL
#define NS_PER_US     1000LL

typedef enum ClockKind {
    CLOCK_GUEST,  /* stops with the machine: what devices use */
    CLOCK_REAL,   /* host monotonic, runs always: screens, caches */
} ClockKind;

typedef struct Timer Timer;
typedef void TimerFn(void *opaque);

/* Nanoseconds since the machine was created. Callable from any thread, without a lock. */
int64_t clock_now(ClockKind kind);

/* Seconds since 1970 UTC of guest CLOCK_GUEST time 0, as -rtc base= set it. */
void clock_set_base(int64_t seconds_since_1970);
int64_t clock_base(void);

void clock_stop(void);  /* CLOCK_GUEST stands still */
void clock_start(void);
bool clock_running(void);
void clock_set_guest(int64_t ns); /* for loading snapshots, while the clock stands still */

/*
 * For a vCPU that looks at the time: runs guest timers that are later than slack, in this thread, so that
 * on a busy host the guest does not see time go by without the interrupts that belong to it.
 */
void clock_catch_up(int64_t slack_ns);

/* Tests: CLOCK_GUEST becomes a number that only clock_advance() moves, running timers on its way. */
void clock_make_manual(void);
void clock_advance(int64_t ns);

/* Hooks the timers into the default main context; main_loop_run does it. */
void clock_attach(void);

/* The function runs in the main loop, under the machine lock, at or after the deadline. */
Timer *timer_new(ClockKind kind, TimerFn *fn, void *opaque);
void timer_free(Timer *timer);
/* Under the machine lock or not; a timer has one deadline, the last one set. */
void timer_set(Timer *timer, int64_t deadline_ns);
void timer_cancel(Timer *timer);
bool timer_pending(const Timer *timer);
int64_t timer_deadline(const Timer *timer); /* -1 if not pending */

#endif
