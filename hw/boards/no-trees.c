/* Boards of builds that cannot make device trees. */
#include "core/machine.h"
#include "util/error.h"

static bool build(const BoardType *type, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "machine '%s' needs device trees: this build is without libfdt", type->name);
    return false;
}

const BoardType bamboo_board = {
    .name = "bamboo",
    .about = "AMCC Bamboo (440EP)",
    .target = "ppc",
    .max_cpus = 1,
    .build = build,
};

const BoardType ppce500_board = {
    .name = "ppce500",
    .about = "generic paravirtual e500 board",
    .target = "ppc",
    .max_cpus = 1,
    .build = build,
};

const BoardType pseries_board = {
    .name = "pseries",
    .about = "pSeries logical partition (PAPR)",
    .target = "ppc64",
    .max_cpus = 1,
    .build = build,
};
