/* Guest time and timers. */
#include "core/clock.h"

#include "core/lock.h"

#include <errno.h>
#include <glib.h>
#include <stdatomic.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NEVER INT64_MAX
#define TIMERS_PER_DISPATCH 256 /* then others get their turn */
#define OTHERS_TURN         (20 * NS_PER_US)

/*
 * CLOCK_GUEST is host time minus an offset, or a number while it stands still. Both are read
 * without a lock: a change makes the sequence odd while it lasts.
 */
static _Atomic uint32_t sequence;
static _Atomic int64_t guest_offset; /* host time at guest time 0 */
static _Atomic int64_t guest_frozen; /* the time while not running */
static _Atomic bool running;
static bool manual;
static int64_t base_seconds;

struct Timer {
    ClockKind kind;
    TimerFn *fn;
    void *opaque;
    int64_t deadline;
    uint64_t order; /* equal deadlines run in the order they were set */
    size_t slot;    /* in the heap, from 1; 0: not pending */
};

/* heap[1] is the earliest; children of i are 2i and 2i + 1. */
typedef struct Heap {
    Timer **timers;
    size_t count, capacity;
} Heap;

static GMutex mutex; /* of everything below */
static Heap heaps[2];
static uint64_t next_order;
static int timer_fd = -1;
static int64_t armed = NEVER; /* host time that the timer_fd is set to */

static int64_t host_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static int64_t host_epoch(void)
{
    static _Atomic int64_t epoch;
    int64_t known = atomic_load_explicit(&epoch, memory_order_relaxed);
    int64_t none = 0;

    if (!known) {
        known = host_now();
        if (!atomic_compare_exchange_strong(&epoch, &none, known)) {
            known = none;
        }
    }
    return known;
}

int64_t clock_now(ClockKind kind)
{
    if (kind == CLOCK_REAL) {
        return host_now() - host_epoch();
    }
    for (;;) {
        uint32_t before = atomic_load_explicit(&sequence, memory_order_acquire);
        int64_t now = atomic_load_explicit(&running, memory_order_relaxed)
                          ? host_now() - atomic_load_explicit(&guest_offset, memory_order_relaxed)
                          : atomic_load_explicit(&guest_frozen, memory_order_relaxed);

        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) &&
            atomic_load_explicit(&sequence, memory_order_relaxed) == before) {
            return now;
        }
    }
}

void clock_set_base(int64_t seconds_since_1970)
{
    base_seconds = seconds_since_1970;
}

int64_t clock_base(void)
{
    return base_seconds;
}

bool clock_running(void)
{
    return manual || atomic_load(&running);
}

static bool before(const Timer *a, const Timer *b)
{
    return a->deadline < b->deadline || (a->deadline == b->deadline && a->order < b->order);
}

static void place(Heap *heap, size_t slot, Timer *timer)
{
    heap->timers[slot] = timer;
    timer->slot = slot;
}

static void sift_up(Heap *heap, size_t slot, Timer *timer)
{
    while (slot > 1 && before(timer, heap->timers[slot / 2])) {
        place(heap, slot, heap->timers[slot / 2]);
        slot /= 2;
    }
    place(heap, slot, timer);
}

static void sift_down(Heap *heap, size_t slot, Timer *timer)
{
    for (;;) {
        size_t child = slot * 2;

        if (child < heap->count && before(heap->timers[child + 1], heap->timers[child])) {
            child++;
        }
        if (child > heap->count || !before(heap->timers[child], timer)) {
            break;
        }
        place(heap, slot, heap->timers[child]);
        slot = child;
    }
    place(heap, slot, timer);
}

static void heap_insert(Heap *heap, Timer *timer)
{
    if (heap->count + 1 >= heap->capacity) {
        heap->capacity = heap->capacity ? heap->capacity * 2 : 64;
        heap->timers = g_renew(Timer *, heap->timers, heap->capacity);
    }
    sift_up(heap, ++heap->count, timer);
}

static void heap_remove(Heap *heap, Timer *timer)
{
    size_t slot = timer->slot;
    Timer *last = heap->timers[heap->count--];

    timer->slot = 0;
    if (last == timer) {
        return;
    }
    if (slot > 1 && before(last, heap->timers[slot / 2])) {
        sift_up(heap, slot, last);
    } else {
        sift_down(heap, slot, last);
    }
}

static int64_t earliest(ClockKind kind)
{
    return heaps[kind].count ? heaps[kind].timers[1]->deadline : NEVER;
}

/* Host time of the next timer of either clock. */
static int64_t next_host_deadline(void)
{
    int64_t next = earliest(CLOCK_REAL), guest = earliest(CLOCK_GUEST);

    if (next != NEVER) {
        next += host_epoch();
    }
    if (guest != NEVER && !manual && atomic_load(&running)) {
        int64_t offset = atomic_load(&guest_offset);

        next = MIN(next, guest < NEVER - offset ? guest + offset : NEVER);
    }
    return next;
}

static void arm(int64_t host_deadline)
{
    struct itimerspec when = { 0 };

    armed = host_deadline;
    if (host_deadline != NEVER) {
        host_deadline = MAX(host_deadline, 1); /* 0 would disarm */
        when.it_value.tv_sec = host_deadline / NS_PER_SECOND;
        when.it_value.tv_nsec = host_deadline % NS_PER_SECOND;
    }
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* A deadline that moved later is not worth a system call: one idle wake-up finds out. */
static void arm_if_earlier(void)
{
    if (timer_fd >= 0) {
        int64_t next = next_host_deadline();

        if (next < armed) {
            arm(next);
        }
    }
}

static void change_guest_clock(bool run, int64_t now)
{
    g_mutex_lock(&mutex);
    atomic_fetch_add(&sequence, 1);
    atomic_store(&running, run);
    atomic_store(&guest_frozen, now);
    atomic_store(&guest_offset, host_now() - now);
    atomic_fetch_add(&sequence, 1);
    arm_if_earlier();
    g_mutex_unlock(&mutex);
}

void clock_stop(void)
{
    if (!manual && atomic_load(&running)) {
        change_guest_clock(false, clock_now(CLOCK_GUEST));
    }
}

void clock_start(void)
{
    if (!manual && !atomic_load(&running)) {
        change_guest_clock(true, clock_now(CLOCK_GUEST));
    }
}

void clock_set_guest(int64_t ns)
{
    change_guest_clock(atomic_load(&running), ns);
}

Timer *timer_new(ClockKind kind, TimerFn *fn, void *opaque)
{
    Timer *timer = g_new0(Timer, 1);

    timer->kind = kind;
    timer->fn = fn;
    timer->opaque = opaque;
    return timer;
}

void timer_free(Timer *timer)
{
    if (timer) {
        timer_cancel(timer);
        g_free(timer);
    }
}

void timer_set(Timer *timer, int64_t deadline_ns)
{
    Heap *heap = &heaps[timer->kind];

    g_mutex_lock(&mutex);
    if (timer->slot) {
        heap_remove(heap, timer);
    }
    timer->deadline = MAX(deadline_ns, 0);
    timer->order = next_order++;
    heap_insert(heap, timer);
    if (timer->slot == 1) {
        arm_if_earlier();
    }
    g_mutex_unlock(&mutex);
}

void timer_cancel(Timer *timer)
{
    g_mutex_lock(&mutex);
    if (timer->slot) {
        heap_remove(&heaps[timer->kind], timer);
    }
    g_mutex_unlock(&mutex);
}

bool timer_pending(const Timer *timer)
{
    return __atomic_load_n(&timer->slot, __ATOMIC_RELAXED) != 0;
}

int64_t timer_deadline(const Timer *timer)
{
    int64_t deadline;

    g_mutex_lock(&mutex);
    deadline = timer->slot ? timer->deadline : -1;
    g_mutex_unlock(&mutex);
    return deadline;
}

/* Takes the earliest timer due by `now` out of its heap, and runs it; false if there is none. */
static bool run_one(ClockKind kind, int64_t now)
{
    Timer *timer = NULL;

    g_mutex_lock(&mutex);
    if (earliest(kind) <= now) {
        timer = heaps[kind].timers[1];
        heap_remove(&heaps[kind], timer);
    }
    g_mutex_unlock(&mutex);
    if (!timer) {
        return false;
    }
    timer->fn(timer->opaque); /* which may set or free the timer */
    return true;
}

void clock_catch_up(int64_t slack_ns)
{
    int left = TIMERS_PER_DISPATCH;
    bool late, taken;

    if (manual || !atomic_load(&running)) {
        return;
    }
    g_mutex_lock(&mutex);
    late = earliest(CLOCK_GUEST) < clock_now(CLOCK_GUEST) - slack_ns;
    g_mutex_unlock(&mutex);
    if (!late) {
        return;
    }
    taken = machine_lock_if();
    while (left-- && atomic_load(&running) && run_one(CLOCK_GUEST, clock_now(CLOCK_GUEST))) {
    }
    machine_unlock_if(taken);
}

void clock_make_manual(void)
{
    g_mutex_lock(&mutex);
    manual = true;
    atomic_store(&running, false);
    g_mutex_unlock(&mutex);
}

void clock_advance(int64_t ns)
{
    int64_t target = clock_now(CLOCK_GUEST) + ns;
    bool taken = machine_lock_if();

    g_assert(manual);
    for (;;) {
        int64_t deadline;

        g_mutex_lock(&mutex);
        deadline = earliest(CLOCK_GUEST);
        g_mutex_unlock(&mutex);
        if (deadline > target) {
            break;
        }
        atomic_store(&guest_frozen, MAX(deadline, atomic_load(&guest_frozen)));
        run_one(CLOCK_GUEST, deadline);
    }
    atomic_store(&guest_frozen, target);
    machine_unlock_if(taken);
}

/* The timers as a GSource: polls the timer_fd, so that deadlines have its precision. */
typedef struct TimerSource {
    GSource source;
    GPollFD poll;
} TimerSource;

static gboolean source_prepare(GSource *source, gint *timeout)
{
    *timeout = -1;
    return FALSE;
}

static gboolean source_check(GSource *source)
{
    return (((TimerSource *)source)->poll.revents & G_IO_IN) != 0;
}

static gboolean source_dispatch(GSource *source, GSourceFunc unused, gpointer data)
{
    bool taken = machine_lock_if();
    uint64_t expirations;
    int left = TIMERS_PER_DISPATCH;
    int64_t not_before = 0;

    if (read(timer_fd, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN) {
        g_warning("cannot read the timer: %s", g_strerror(errno));
    }
    while (left-- && run_one(CLOCK_REAL, clock_now(CLOCK_REAL))) {
    }
    left = TIMERS_PER_DISPATCH;
    while (left-- && atomic_load(&running) && run_one(CLOCK_GUEST, clock_now(CLOCK_GUEST))) {
    }
    if (left < 0) { /* a guest with timers of a few ns: sources of lower priority must run, too */
        not_before = host_now() + OTHERS_TURN;
    }
    g_mutex_lock(&mutex);
    arm(MAX(next_host_deadline(), not_before));
    g_mutex_unlock(&mutex);
    machine_unlock_if(taken);
    return G_SOURCE_CONTINUE;
}

void clock_attach(void)
{
    static GSourceFuncs funcs = { source_prepare, source_check, source_dispatch, NULL };
    GSource *source;

    if (timer_fd >= 0) {
        return;
    }
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (timer_fd < 0) {
        g_error("cannot create a timer: %s", g_strerror(errno));
    }
    source = g_source_new(&funcs, sizeof(TimerSource));
    ((TimerSource *)source)->poll.fd = timer_fd;
    ((TimerSource *)source)->poll.events = G_IO_IN;
    g_source_add_poll(source, &((TimerSource *)source)->poll);
    g_source_set_priority(source, G_PRIORITY_HIGH);
    g_source_set_can_recurse(source, TRUE); /* else GLib stops polling the timer_fd for each dispatch, with a wake-up for either */
    g_source_attach(source, NULL);
    g_source_unref(source);
    g_mutex_lock(&mutex);
    arm(next_host_deadline());
    g_mutex_unlock(&mutex);
}
