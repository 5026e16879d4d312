/*
 * -machine cap-NAME=VALUE of the pseries board, which hide differences between hosts from guests that move.
 *
 * Here guests see what the emulated processor has. So the values are checked, and who asks for something else is told.
 */
#include "system/cmdline.h"
#include "util/error.h"
#include "util/log.h"
#include "util/options.h"

#include <string.h>

typedef struct Capability {
    const char *name, *values; /* that there are */
    const char *missing;       /* the value that cannot be had */
    const char *without_effect;
    const char *about;
} Capability;

static const Capability capabilities[] = {
    { "cap-htm", "on off", "on", NULL, "transactional memory" },
    { "cap-vsx", "on off", NULL, "off", "vector-scalar instructions" },
    { "cap-dfp", "on off", NULL, "off", "decimal floating point" },
    { "cap-cfpc", "broken workaround fixed", NULL, NULL, "protection of the cache" },
    { "cap-sbbc", "broken workaround fixed", NULL, NULL, "speculation past bounds checks" },
    { "cap-ibs", "broken workaround fixed-ibs fixed-ccd fixed-na", NULL, NULL, "speculation of indirect branches" },
    { "cap-nested-hv", "on off", "on", NULL, "a hypervisor within the guest" },
    { "cap-large-decr", "on off", NULL, "off", "the decrementer of 56 bits" },
    { "cap-ccf-assist", "on off", NULL, NULL, "help with the count cache" },
    { "cap-fwnmi", "on off", NULL, "on", "machine checks by way of firmware" },
    { "cap-rpt-invalidate", "on off", "on", NULL, "H_RPT_INVALIDATE" },
    { "cap-ail-mode-3", "on off", NULL, "off", "interrupts with translation on" },
    { "kvm-type", "HV PR auto", NULL, NULL, "the kind of KVM" },
};

static bool refuse(const char *name, const char *value, const char *why, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "-machine %s=%s: %s", name, value, why);
    return false;
}

static bool is_among(const char *value, const char *values)
{
    g_auto(GStrv) list = g_strsplit(values, " ", -1);

    return g_strv_contains((const char *const *)list, value);
}

static bool check(const Capability *cap, const char *value, GError **error)
{
    g_autofree char *why = NULL;

    if (!is_among(value, cap->values)) {
        g_auto(GStrv) list = g_strsplit(cap->values, " ", -1);
        g_autofree char *names = g_strjoinv(", ", list);

        why = g_strdup_printf("there are %s", names);
        return refuse(cap->name, value, why, error);
    }
    if (cap->missing && g_str_equal(value, cap->missing)) {
        why = g_strdup_printf("this board does not have %s", cap->about);
        return refuse(cap->name, value, why, error);
    }
    if (cap->without_effect && g_str_equal(value, cap->without_effect)) {
        log_warn("-machine %s=%s has no effect (%s)", cap->name, value, cap->about);
    }
    return true;
}

/* Pages of 4 and 64 KiB are what there is. */
static bool check_page_size(const char *value, GError **error)
{
    enum { SMALLEST = 4096, LARGEST = 65536 };
    uint64_t size;

    if (!parse_size(value, 1, &size) || size < SMALLEST || size & (size - 1)) {
        return refuse("cap-hpt-max-page-size", value, "not a power of two from 4k on", error);
    }
    if (size < LARGEST) {
        log_warn("-machine cap-hpt-max-page-size=%s has no effect (pages of 64 KiB)", value);
    }
    return true;
}

bool capabilities_check(const Options *o, GError **error)
{
    const char *size = options_get(o, "cap-hpt-max-page-size");

    for (size_t i = 0; i < G_N_ELEMENTS(capabilities); i++) {
        const char *value = options_get(o, capabilities[i].name);

        if (value && !check(&capabilities[i], value, error)) {
            return false;
        }
    }
    return !size || check_page_size(size, error);
}
