/* The pseries board of builds that cannot make device trees. */
#include "core/machine.h"
#include "util/error.h"

static bool build(const BoardType *type, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "machine 'pseries' needs device trees: this build is without libfdt");
    return false;
}

const BoardType pseries_board = {
    .name = "pseries",
    .about = "pSeries logical partition (PAPR)",
    .target = "ppc64",
    .max_cpus = 1,
    .build = build,
};
