/* Messages to the user and the -d log. */
#include "util/log.h"

#include "util/error.h"
#include "util/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

uint32_t log_mask;

static GMutex file_mutex;
static FILE *log_file; /* NULL: standard error */

typedef struct LogItem {
    const char *name;
    LogMask bit;
    const char *about;
} LogItem;

static const LogItem log_items[] = {
    { "in_asm", LOG_IN_ASM, "guest code of each translated block" },
    { "op", LOG_OP, "IR as the front end made it" },
    { "op_opt", LOG_OP_OPT, "IR after optimisation" },
    { "out_asm", LOG_OUT_ASM, "host code of each translated block" },
    { "int", LOG_INT, "interrupts and exceptions" },
    { "cpu", LOG_CPU, "registers before each block" },
    { "exec", LOG_EXEC, "each block that runs" },
    { "guest_errors", LOG_GUEST_ERRORS, "what the guest does wrong" },
    { "mmu", LOG_MMU, "page-table walks and TLB fills" },
    { "pcall", LOG_PCALL, "far calls, interrupts and returns in protected mode" },
    { "cpu_reset", LOG_CPU_RESET, "registers before a CPU is reset" },
    { "unimp", LOG_UNIMP, "features that are missing" },
    { "trace", LOG_TRACE, "enabled trace points (trace:PATTERN enables some)" },
    { "nochain", LOG_NOCHAIN, "do not chain blocks, so that exec and cpu show all" },
    { "page", LOG_PAGE, "code pages and their invalidation" },
};

static const LogItem *find_item(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(log_items); i++) {
        if (g_str_equal(name, log_items[i].name)) {
            return &log_items[i];
        }
    }
    return NULL;
}

bool log_set_mask(const char *items, GError **error)
{
    g_auto(GStrv) names = g_strsplit(items, ",", -1);
    uint32_t mask = 0;

    for (char **name = names; *name; name++) {
        const LogItem *item = find_item(*name);

        if (item) {
            mask |= item->bit;
        } else if (g_str_has_prefix(*name, "trace:")) {
            trace_enable(*name + strlen("trace:"));
            mask |= LOG_TRACE;
        } else if (g_str_equal(*name, "all")) {
            mask |= UINT32_MAX & ~LOG_NOCHAIN;
        } else if (g_str_equal(*name, "none") || !**name) {
            mask = 0;
        } else {
            g_set_error(error, VM_ERROR, VM_ERROR_USER,
                        "unknown log item '%s' (-d help lists them)", *name);
            return false;
        }
    }
    log_mask = mask;
    return true;
}

void log_print_items(void)
{
    printf("Log items (separated by commas):\n");
    for (size_t i = 0; i < G_N_ELEMENTS(log_items); i++) {
        printf("%-14s  %s\n", log_items[i].name, log_items[i].about);
    }
    printf("%-14s  %s\n%-14s  %s\n", "all", "everything above", "none", "nothing");
}

bool log_set_file(const char *path, GError **error)
{
    FILE *file = NULL;

    if (path) {
        file = fopen(path, "we");
        if (!file) {
            g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open log file '%s': %s", path,
                        g_strerror(errno));
            return false;
        }
        setvbuf(file, NULL, _IOLBF, 64 * 1024); /* whole lines survive a crash */
    }
    g_mutex_lock(&file_mutex);
    if (log_file) {
        fclose(log_file);
    }
    log_file = file;
    g_mutex_unlock(&file_mutex);
    return true;
}

void log_write_text(const char *text)
{
    g_mutex_lock(&file_mutex);
    fputs(text, log_file ? log_file : stderr);
    g_mutex_unlock(&file_mutex);
}

void log_write(LogMask mask, const char *format, ...)
{
    va_list args;

    if (!log_enabled(mask)) {
        return;
    }
    va_start(args, format);
    g_mutex_lock(&file_mutex);
    vfprintf(log_file ? log_file : stderr, format, args);
    g_mutex_unlock(&file_mutex);
    va_end(args);
}

static void tell_user(const char *kind, const char *format, va_list args)
{
    g_autofree char *message = g_strdup_vprintf(format, args);
    const char *program = g_get_prgname();

    fprintf(stderr, "%s: %s%s\n", program ? program : "myna", kind, message);
}

void log_info(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell_user("", format, args);
    va_end(args);
}

void log_warn(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell_user("warning: ", format, args);
    va_end(args);
}

void log_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell_user("", format, args);
    va_end(args);
}

void guest_error(const char *who, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    if (!log_enabled(LOG_GUEST_ERRORS)) {
        return;
    }
    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    log_write(LOG_GUEST_ERRORS, "%s: %s\n", who ? who : "guest", message);
}
