/* The program's names, and what each of them emulates. */
#include "system/targets.h"

#include "target/ppc/cpu.h"
#include "target/x86/cpu.h"

static const SystemTarget targets[] = {
    { "x86_64", { "x86" }, &x86_cpu_type, NULL, NULL, true },
    { "i386", { "x86" }, &x86_cpu_type, "qemu32", NULL, true },
    { "ppc", { "ppc" }, &ppc_cpu_type, NULL, "g3beige", false },
    { "ppc64", { "ppc64", "ppc" }, &ppc_cpu_type, NULL, "pseries", false },
};

const SystemTarget *system_target_find(const char *program)
{
    static const char prefix[] = "-system-";
    const char *name = strstr(program, prefix);

    for (size_t i = 0; name && i < G_N_ELEMENTS(targets); i++) {
        if (g_str_equal(name + strlen(prefix), targets[i].name)) {
            return &targets[i];
        }
    }
    return &targets[0];
}

bool system_target_offers(const SystemTarget *target, const BoardType *board)
{
    for (size_t i = 0; i < G_N_ELEMENTS(target->boards) && target->boards[i]; i++) {
        if (g_str_equal(target->boards[i], board->target)) {
            return true;
        }
    }
    return false;
}
