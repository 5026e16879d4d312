/*
 * Limits on requests and bytes per second. Each limit is a leaky bucket: requests pour in, the average leaks out, and
 * while it is fuller than its burst allows, requests wait. A group's members share the buckets.
 */
#include "backends/block/backend.h"
#include "core/clock.h"
#include "util/error.h"

#include <string.h>

#define BUCKETS 6
#define DEFAULT_BURST 0.1 /* seconds of the average that may come at once */

typedef struct Bucket {
    double level, burst_level;
} Bucket;

struct ThrottleGroup {
    char *name;
    int members;
    BlockThrottle limits;
    GMutex lock;
    Bucket buckets[BUCKETS];
    int64_t leaked_at;
    RequestList waiting[2]; /* reads, writes */
    Timer *timer;
};

static GPtrArray *groups;

static const struct BlockThrottleLimit *limit(const BlockThrottle *t, int i)
{
    const struct BlockThrottleLimit *const all[BUCKETS] = { &t->iops_total, &t->iops_read, &t->iops_write,
                                                            &t->bps_total,  &t->bps_read,  &t->bps_write };

    return all[i];
}

bool throttle_any(const BlockThrottle *limits)
{
    for (int i = 0; i < BUCKETS; i++) {
        if (limit(limits, i)->average) {
            return true;
        }
    }
    return false;
}

bool throttle_check(const BlockThrottle *t, GError **error)
{
    static const char *const names[] = { "iops-total", "iops-read", "iops-write", "bps-total", "bps-read", "bps-write" };

    for (int i = 0; i < BUCKETS; i++) {
        const struct BlockThrottleLimit *l = limit(t, i);

        if (l->max && (!l->average || l->max < l->average)) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "throttling: %s-max needs a smaller %s beside it", names[i],
                        names[i]);
            return false;
        }
        if (l->max_length > 1 && !l->max) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "throttling: %s-max-length needs %s-max", names[i], names[i]);
            return false;
        }
        if (l->average > UINT64_C(1000000000000000) || l->max > UINT64_C(1000000000000000) || l->max_length > 86400) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "throttling: %s is out of range", names[i]);
            return false;
        }
    }
    for (int i = 0; i < BUCKETS; i += 3) {
        if (limit(t, i)->average && (limit(t, i + 1)->average || limit(t, i + 2)->average)) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "throttling: %s cannot be used with %s or %s", names[i],
                        names[i + 1], names[i + 2]);
            return false;
        }
    }
    if (t->iops_size && !t->iops_total.average && !t->iops_read.average && !t->iops_write.average) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "throttling: iops-size needs a limit of iops");
        return false;
    }
    return true;
}

/* ---- the buckets; under the group's lock ---- */

static void leak(ThrottleGroup *g)
{
    int64_t now = clock_now(CLOCK_REAL);
    double seconds = (double)(now - g->leaked_at) / NS_PER_SECOND;

    g->leaked_at = now;
    for (int i = 0; i < BUCKETS; i++) {
        const struct BlockThrottleLimit *l = limit(&g->limits, i);
        Bucket *b = &g->buckets[i];

        b->level = MAX(0, b->level - seconds * l->average);
        b->burst_level = MAX(0, b->burst_level - seconds * l->max);
    }
}

/* Whether the bucket counts requests of that direction. */
static bool counts(int i, bool is_write)
{
    return i % 3 == 0 || (i % 3 == 2) == is_write;
}

/* Seconds until a request of that direction may go. */
static double delay(const ThrottleGroup *g, bool is_write)
{
    double longest = 0;

    for (int i = 0; i < BUCKETS; i++) {
        const struct BlockThrottleLimit *l = limit(&g->limits, i);
        const Bucket *b = &g->buckets[i];
        double size = l->max ? (double)l->max * MAX(1, l->max_length) : l->average * DEFAULT_BURST;

        if (!l->average || !counts(i, is_write)) {
            continue;
        }
        longest = MAX(longest, (b->level - size) / l->average);
        if (l->max && l->max_length > 1) {
            longest = MAX(longest, (b->burst_level - l->max * DEFAULT_BURST) / l->max);
        }
    }
    return longest;
}

static void pour(ThrottleGroup *g, const Request *r)
{
    double ops = g->limits.iops_size && r->size > g->limits.iops_size ? (double)r->size / g->limits.iops_size : 1;
    bool is_write = r->kind != REQUEST_READ;

    for (int i = 0; i < BUCKETS; i++) {
        if (counts(i, is_write)) {
            double amount = i < 3 ? ops : r->size;

            g->buckets[i].level += amount;
            g->buckets[i].burst_level += amount;
        }
    }
}

static void dispatch_here(void *opaque)
{
    request_dispatch(opaque);
}

static void go(Request *r)
{
    if (r->blk->iothread) {
        iothread_call(r->blk->iothread, dispatch_here, r);
    } else {
        request_dispatch(r);
    }
}

/* Takes out what may go now and sets the timer for the rest. */
static RequestList due(ThrottleGroup *g)
{
    RequestList out = { NULL };
    double wait = -1;

    leak(g);
    for (int is_write = 0; is_write < 2; is_write++) {
        while (g->waiting[is_write].first && delay(g, is_write) <= 0) {
            Request *r = request_list_take(&g->waiting[is_write]);

            pour(g, r);
            request_list_add(&out, r);
        }
    }
    for (int is_write = 0; is_write < 2; is_write++) {
        if (g->waiting[is_write].first) {
            double d = delay(g, is_write);

            wait = wait < 0 ? d : MIN(wait, d);
        }
    }
    if (wait >= 0) {
        timer_set(g->timer, clock_now(CLOCK_REAL) + MAX(wait, 1e-5) * NS_PER_SECOND);
    }
    return out;
}

static void go_all(RequestList list)
{
    Request *r;

    while ((r = request_list_take(&list))) {
        go(r);
    }
}

static void on_timer(void *opaque)
{
    ThrottleGroup *g = opaque;
    RequestList list;

    g_mutex_lock(&g->lock);
    list = due(g);
    g_mutex_unlock(&g->lock);
    go_all(list);
}

bool throttle_pass(Request *r)
{
    ThrottleGroup *g = r->blk->throttle;
    bool is_write = r->kind != REQUEST_READ, pass;
    RequestList list = { NULL };

    if (r->kind == REQUEST_FLUSH || r->blk->unthrottled) {
        return true;
    }
    g_mutex_lock(&g->lock);
    leak(g);
    pass = !g->waiting[is_write].first && delay(g, is_write) <= 0;
    if (pass) {
        pour(g, r);
    } else {
        request_list_add(&g->waiting[is_write], r);
        list = due(g); /* sets the timer */
    }
    g_mutex_unlock(&g->lock);
    go_all(list);
    return pass;
}

void throttle_release(BlockBackend *blk)
{
    ThrottleGroup *g = blk->throttle;
    RequestList out = { NULL }, kept[2] = { { NULL } };
    Request *r;

    if (!g) {
        return;
    }
    g_mutex_lock(&g->lock);
    for (int i = 0; i < 2; i++) {
        while ((r = request_list_take(&g->waiting[i]))) {
            request_list_add(r->blk == blk ? &out : &kept[i], r);
        }
        g->waiting[i] = kept[i];
    }
    g_mutex_unlock(&g->lock);
    go_all(out);
}

/* ---- groups ---- */

static ThrottleGroup *find_group(const char *name)
{
    for (guint i = 0; groups && i < groups->len; i++) {
        ThrottleGroup *g = g_ptr_array_index(groups, i);

        if (g_str_equal(g->name, name)) {
            return g;
        }
    }
    return NULL;
}

static void leave_group(ThrottleGroup *g)
{
    if (--g->members == 0) {
        g_ptr_array_remove(groups, g);
        timer_free(g->timer);
        g_mutex_clear(&g->lock);
        g_free(g->name);
        g_free(g);
    }
}

void throttle_set(BlockBackend *blk, const char *name, const BlockThrottle *limits)
{
    ThrottleGroup *old = blk->throttle, *g = NULL;

    throttle_release(blk);
    if (limits) {
        name = name ? name : old ? old->name : blk->options.id;
        g = find_group(name);
        if (!g) {
            g = g_new0(ThrottleGroup, 1);
            g->name = g_strdup(name);
            g->timer = timer_new(CLOCK_REAL, on_timer, g);
            g->leaked_at = clock_now(CLOCK_REAL);
            g_mutex_init(&g->lock);
            groups = groups ? groups : g_ptr_array_new();
            g_ptr_array_add(groups, g);
        }
        g->members++;
        g_mutex_lock(&g->lock);
        g->limits = *limits;
        memset(g->buckets, 0, sizeof(g->buckets));
        g_mutex_unlock(&g->lock);
    }
    blk->throttle = g;
    if (old) {
        leave_group(old);
    }
}

bool block_set_throttle(BlockBackend *blk, const BlockThrottle *limits, const char *group, GError **error)
{
    if (!throttle_check(limits, error)) {
        return false;
    }
    throttle_set(blk, group, throttle_any(limits) ? limits : NULL);
    return true;
}

const BlockThrottle *block_throttle(const BlockBackend *blk, const char **group)
{
    static const BlockThrottle none;

    *group = blk->throttle ? blk->throttle->name : NULL;
    return blk->throttle ? &blk->throttle->limits : &none;
}
