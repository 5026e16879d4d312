/* Monitor commands of the memory balloon. */
#include "core/balloon.h"
#include "monitor/internal.h"

#include "util/error.h"
#include "util/options.h"

Json *qmp_balloon(const Json *arguments, GError **error)
{
    int64_t value;

    if (qmp_int(arguments, "value", &value, error)) {
        if (value <= 0) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "Parameter 'target' expects a size");
        } else {
            balloon_set_target(value, error);
        }
    }
    return NULL;
}

Json *qmp_query_balloon(const Json *arguments, GError **error)
{
    uint64_t actual;
    Json *answer;

    if (!balloon_actual(&actual, error)) {
        return NULL;
    }
    answer = json_object();
    json_set_int(answer, "actual", actual);
    return answer;
}

void hmp_balloon(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    uint64_t bytes;

    if (args->argc < 1 || !parse_size(args->argv[0], 1 << 20, &bytes)) {
        hmp_printf(hmp, "balloon: a size in megabytes\n");
    } else if (!balloon_set_target(bytes, &error)) {
        hmp_error(hmp, error);
    }
}

/* The figures are of the time before: asking makes the guest send new ones. */
void info_balloon(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;
    uint64_t actual, value;
    const char *name;

    if (!balloon_actual(&actual, &error)) {
        hmp_error(hmp, error);
        return;
    }
    hmp_printf(hmp, "balloon: actual=%" G_GUINT64_FORMAT, (guint64)(actual >> 20));
    for (unsigned n = 0; balloon_stat(n, &name, &value); n++) {
        if (value != UINT64_MAX) {
            hmp_printf(hmp, " %s=%" G_GUINT64_FORMAT, name, (guint64)value);
        }
    }
    hmp_printf(hmp, "\n");
}
