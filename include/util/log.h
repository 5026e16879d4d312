/* Messages for the user, -d logging of what the guest does, and trace points. */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* What -d turns on. */
typedef enum LogMask {
    LOG_IN_ASM = 1 << 0,       /* guest code as it is translated */
    LOG_OP = 1 << 1,           /* IR after the front end */
    LOG_OP_OPT = 1 << 2,       /* IR after the passes */
    LOG_OUT_ASM = 1 << 3,      /* host code */
    LOG_INT = 1 << 4,          /* interrupts and exceptions */
    LOG_CPU = 1 << 5,          /* registers before each block */
    LOG_EXEC = 1 << 6,         /* each block that runs (chaining off) */
    LOG_GUEST_ERRORS = 1 << 7, /* what guests do wrong */
    LOG_MMU = 1 << 8,
    LOG_PCALL = 1 << 9,        /* far calls, interrupts and returns in protected mode */
    LOG_CPU_RESET = 1 << 10,
    LOG_UNIMP = 1 << 11,
    LOG_TRACE = 1 << 12,
    LOG_NOCHAIN = 1 << 13,
    LOG_PAGE = 1 << 14,
} LogMask;

extern uint32_t log_mask; /* read it through log_enabled() */

static inline bool log_enabled(LogMask mask)
{
    return __builtin_expect((log_mask & mask) != 0, 0);
}

/* Parses "in_asm,op,..." or "help" items for -d; lower-case names of the enum. */
bool log_set_mask(const char *items, GError **error);
void log_print_items(void);
bool log_set_file(const char *path, GError **error); /* -D; NULL is standard error */

/* Writes to the -D file if any bit of mask is on. */
void log_write(LogMask mask, const char *format, ...) G_GNUC_PRINTF(2, 3);
#define log_if(mask, ...)               \
    do {                                \
        if (log_enabled(mask)) {        \
            log_write(mask, __VA_ARGS__); \
        }                               \
    } while (0)

/* One line each to the user: standard error with the program's name in front. */
void log_info(const char *format, ...) G_GNUC_PRINTF(1, 2);
void log_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);
void log_error(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* A guest did what hardware would not like; who is a device id. Shown by -d guest_errors. */
void guest_error(const char *who, const char *format, ...) G_GNUC_PRINTF(2, 3);

/*
 * A trace point: trace("irq_raise", "line %d", n). Patterns come from -trace 'irq_*'. The enabled
 * state is cached in the static of the call site, so an idle trace point is one test.
 */
typedef struct TracePoint {
    const char *name;
    int state; /* 0 unknown, 1 off, 2 on */
    struct TracePoint *next;
} TracePoint;

void trace_enable(const char *pattern);
void trace_print_enabled(void);
bool trace_resolve(TracePoint *point);
void trace_write(const char *name, const char *format, ...) G_GNUC_PRINTF(2, 3);
#define trace(name_, ...)                                                                  \
    do {                                                                                   \
        static TracePoint point_ = { .name = (name_) };                                    \
        if (__builtin_expect(point_.state != 1, 0) && trace_resolve(&point_)) {            \
            trace_write(name_, __VA_ARGS__);                                               \
        }                                                                                  \
    } while (0)

#endif
