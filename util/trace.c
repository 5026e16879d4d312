/* Trace points: which are on, and where they write. */
#include "util/log.h"
#include "util/internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { UNKNOWN, OFF, ON };

static GMutex mutex;
static GPtrArray *patterns; /* in the order given; a leading '-' turns off */
static TracePoint *resolved;

static bool matches(const char *name)
{
    bool on = false;

    for (guint i = 0; patterns && i < patterns->len; i++) {
        const char *pattern = patterns->pdata[i];
        bool negative = *pattern == '-';

        if (g_pattern_match_simple(pattern + negative, name)) {
            on = !negative;
        }
    }
    return on;
}

void trace_enable(const char *pattern)
{
    g_mutex_lock(&mutex);
    if (!patterns) {
        patterns = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(patterns, g_strdup(pattern));
    for (TracePoint *point = resolved; point; point = point->next) {
        __atomic_store_n(&point->state, matches(point->name) ? ON : OFF, __ATOMIC_RELAXED);
    }
    g_mutex_unlock(&mutex);
}

void trace_print_enabled(void)
{
    g_mutex_lock(&mutex);
    for (guint i = 0; patterns && i < patterns->len; i++) {
        printf("%s\n", (char *)patterns->pdata[i]);
    }
    for (TracePoint *point = resolved; point; point = point->next) {
        printf("%s: %s\n", point->name, point->state == ON ? "on" : "off");
    }
    g_mutex_unlock(&mutex);
}

bool trace_resolve(TracePoint *point)
{
    int state = __atomic_load_n(&point->state, __ATOMIC_RELAXED);

    if (state == UNKNOWN) {
        g_mutex_lock(&mutex);
        if (point->state == UNKNOWN) { /* another thread may have been here first */
            point->next = resolved;
            resolved = point;
            __atomic_store_n(&point->state, matches(point->name) ? ON : OFF, __ATOMIC_RELAXED);
        }
        state = point->state;
        g_mutex_unlock(&mutex);
    }
    return state == ON;
}

void trace_write(const char *name, const char *format, ...)
{
    g_autofree char *message = NULL;
    g_autofree char *line = NULL;
    int64_t now = g_get_monotonic_time();
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    line = g_strdup_printf("%ld@%ld.%06ld:%s %s\n", syscall(SYS_gettid), (long)(now / 1000000),
                           (long)(now % 1000000), name, message);
    log_write_text(line);
}
