/* filter-rate and filter-buffer: frames that wait, for tokens of a bucket or for the end of an interval. */
#include "backends/net/internal.h"
#include "core/clock.h"
#include "core/object.h"
#include "util/error.h"

#include <stdlib.h>

/* Half a second of most lines, and a bound for the fast ones. */
#define HOLD_LIMIT (1u << 20)
#define MIN_BURST  16384

/* One direction of a filter. */
typedef struct Lane {
    struct Rate *rate;
    NetDirection direction;
    uint64_t bits_per_second; /* 0: no limit */
    uint64_t burst;           /* bytes */
    int64_t tokens;           /* bytes; below 0 after a frame that was longer than what was left */
    int64_t filled_at;
    NetQueue held;
    Timer *timer;
    bool releasing;
} Lane;

typedef struct Rate {
    NetFilter *filter;
    Lane lanes[2]; /* from the NIC, towards it */
    int64_t interval_ns; /* filter-buffer; 0: tokens count */
} Rate;

static Lane *lane_of(Rate *rate, NetDirection direction)
{
    return &rate->lanes[direction == NET_TX ? 0 : 1];
}

static void fill(Lane *lane)
{
    int64_t now = clock_now(CLOCK_REAL);
    double earned = (double)(now - lane->filled_at) / NS_PER_SECOND * (lane->bits_per_second / 8.0);

    if (earned >= 1) {
        lane->tokens = MIN((int64_t)lane->burst, lane->tokens + (int64_t)MIN(earned, (double)lane->burst * 2));
        lane->filled_at = now;
    }
}

static void wait_for_tokens(Lane *lane)
{
    double missing = MAX(1, MIN(1500, (int64_t)lane->burst) - lane->tokens);

    timer_set(lane->timer, clock_now(CLOCK_REAL) +
                               (int64_t)(missing * 8 / lane->bits_per_second * NS_PER_SECOND) + 50 * NS_PER_US);
}

static void release(void *opaque)
{
    Lane *lane = opaque;
    const NetFrame *frame;

    if (lane->releasing) {
        return;
    }
    lane->releasing = true;
    fill(lane);
    while ((frame = net_queue_peek(&lane->held)) && (lane->rate->interval_ns || lane->tokens > 0)) {
        struct iovec iov = { (void *)frame->data, frame->size };

        lane->tokens -= frame->size;
        net_filter_release(lane->rate->filter, lane->direction, frame->has_header ? &frame->header : NULL, &iov, 1);
        net_queue_pop(&lane->held);
    }
    lane->releasing = false;
    if (lane->rate->interval_ns) {
        timer_set(lane->timer, clock_now(CLOCK_REAL) + lane->rate->interval_ns);
    } else if (frame) {
        wait_for_tokens(lane);
    }
    net_filter_room(lane->rate->filter, lane->direction);
}

static bool rate_pass(NetFilter *filter, NetDirection direction, const NetHeader *header, const struct iovec *iov,
                      int count)
{
    Rate *rate = filter->opaque;
    Lane *lane = lane_of(rate, direction);

    if (!rate->interval_ns) {
        if (!lane->bits_per_second) {
            return true;
        }
        fill(lane);
        if (lane->tokens > 0 && !net_queue_peek(&lane->held)) {
            lane->tokens -= iov_size(iov, count);
            return true;
        }
    }
    if (net_queue_push(&lane->held, header, iov, count) && !timer_pending(lane->timer)) {
        wait_for_tokens(lane);
    }
    return false;
}

static bool has_room(const Lane *lane)
{
    return lane->held.bytes < HOLD_LIMIT / 2;
}

static bool rate_writable(NetFilter *filter)
{
    return has_room(lane_of(filter->opaque, NET_TX));
}

static bool rate_can_deliver(NetFilter *filter)
{
    return has_room(lane_of(filter->opaque, NET_RX));
}

static const NetFilterOps rate_ops = { rate_pass, rate_writable, rate_can_deliver };

/* "10M": bits per second, with k, M and G for powers of a thousand. */
static bool get_rate(const Options *o, const char *key, uint64_t *rate, GError **error)
{
    const char *text = options_get(o, key);
    double value, unit = 1;
    char *end;

    if (!text) {
        return true;
    }
    value = g_ascii_strtod(text, &end);
    switch (g_ascii_tolower(*end)) {
    case 'g':
        unit *= 1000; /* fall through */
    case 'm':
        unit *= 1000; /* fall through */
    case 'k':
        unit *= 1000;
        end++;
    }
    if (end == text || *end || !(value * unit >= 1000) || value * unit > 1e12) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "%s=%s: not bits per second as in 500k, 10M or 1G (from 1k to 1000G)", key, text);
        return false;
    }
    *rate = value * unit;
    return true;
}

/* What is held goes its way; unless the backend went first. */
static bool rate_destroy(void *object, GError **error)
{
    Rate *rate = object;

    for (int i = 0; i < 2; i++) {
        Lane *lane = &rate->lanes[i];

        for (const NetFrame *frame; (frame = net_queue_peek(&lane->held)); net_queue_pop(&lane->held)) {
            struct iovec iov = { (void *)frame->data, frame->size };

            net_filter_release(rate->filter, lane->direction, frame->has_header ? &frame->header : NULL, &iov, 1);
        }
        timer_free(lane->timer);
    }
    if (rate->filter) {
        net_filter_free(rate->filter);
    }
    g_free(rate);
    return true;
}

static Rate *new_rate(void)
{
    Rate *rate = g_new0(Rate, 1);

    for (int i = 0; i < 2; i++) {
        Lane *lane = &rate->lanes[i];

        lane->rate = rate;
        lane->direction = i ? NET_RX : NET_TX;
        lane->filled_at = clock_now(CLOCK_REAL);
        lane->timer = timer_new(CLOCK_REAL, release, lane);
        net_queue_init(&lane->held, HOLD_LIMIT);
    }
    return rate;
}

static void *rate_create(const char *id, const Options *o, GError **error)
{
    Rate *rate = new_rate();
    uint64_t burst = 0;

    if (!get_rate(o, "out-rate", &rate->lanes[0].bits_per_second, error) ||
        !get_rate(o, "in-rate", &rate->lanes[1].bits_per_second, error) ||
        !options_get_size(o, "burst", &burst, error)) {
        rate_destroy(rate, NULL);
        return NULL;
    }
    if (!rate->lanes[0].bits_per_second && !rate->lanes[1].bits_per_second) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "needs out-rate= (what the guest sends), in-rate= or both");
        rate_destroy(rate, NULL);
        return NULL;
    }
    for (int i = 0; i < 2; i++) {
        Lane *lane = &rate->lanes[i];

        lane->burst = burst ? CLAMP(burst, 1, 1u << 30) : MAX(MIN_BURST, lane->bits_per_second / 8 / 50);
        lane->tokens = lane->burst;
    }
    rate->filter = net_filter_new(&rate_ops, "filter-rate", id, rate, o, error);
    if (!rate->filter) {
        rate_destroy(rate, NULL);
        return NULL;
    }
    return rate;
}

const ObjectType net_rate_object_type = {
    .name = "filter-rate",
    .about = "limits a network backend: netdev=, out-rate=, in-rate= in bits per second, burst=",
    .late = true,
    .create = rate_create,
    .destroy = rate_destroy,
};

static void *buffer_create(const char *id, const Options *o, GError **error)
{
    Rate *rate = new_rate();
    uint64_t interval = 0;

    if (!options_get_u64(o, "interval", &interval, error)) {
        rate_destroy(rate, NULL);
        return NULL;
    }
    if (!interval || interval > 10 * G_USEC_PER_SEC) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "needs interval= in microseconds, from 1 to 10000000");
        rate_destroy(rate, NULL);
        return NULL;
    }
    rate->interval_ns = interval * NS_PER_US;
    rate->filter = net_filter_new(&rate_ops, "filter-buffer", id, rate, o, error);
    if (!rate->filter) {
        rate_destroy(rate, NULL);
        return NULL;
    }
    for (int i = 0; i < 2; i++) {
        timer_set(rate->lanes[i].timer, clock_now(CLOCK_REAL) + rate->interval_ns);
    }
    return rate;
}

const ObjectType net_buffer_object_type = {
    .name = "filter-buffer",
    .about = "lets frames of a network backend go in groups: netdev=, interval= in microseconds",
    .late = true,
    .create = buffer_create,
    .destroy = rate_destroy,
};
