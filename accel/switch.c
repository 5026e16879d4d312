/*
 * Carrying on in another engine: vCPUs stand, their threads end, and threads of the other engine begin with the same state.
 *
 * What an engine has made for a vCPU is kept for its next turn.
 */
#include "accel/internal.h"

#include "core/irqchip.h"
#include "core/lock.h"
#include "core/machine.h"
#include "util/error.h"

#include <string.h>

enum { MAX_ENGINES = 4 };

static void *kept[MAX_ENGINES][ACCEL_MAX_CPUS];
static bool initialised[MAX_ENGINES];

static int index_of(const AccelOps *type)
{
    for (int i = 0; accel_types[i]; i++) {
        if (accel_types[i] == type) {
            return i;
        }
    }
    return -1;
}

/* It can run this machine; what it needs once is done. */
static bool prepare(const AccelOps *to, GError **error)
{
    g_autofree char *why = NULL;

    if (to->available && !to->available(&why)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "engine '%s' does not work here: %s", to->name, why);
        return false;
    }
    if (!initialised[index_of(to)]) {
        if (!to->init(NULL, error)) {
            return false;
        }
        initialised[index_of(to)] = true;
    }
    return !to->fits || to->fits(error);
}

static void leave(void)
{
    accel_cpus_end();
    irqchip_switch(NULL);
    accel->leave();
    for (int i = 0; i < cpu_count(); i++) {
        Cpu *cpu = cpu_get(i);

        kept[index_of(accel)][i] = cpu->engine;
        cpu->engine = NULL;
        cpu->kick = NULL;
        cpu->sync_registers = NULL;
    }
}

static bool enter(const AccelOps *to, GError **error)
{
    accel = to;
    to->enter();
    for (int i = 0; i < cpu_count(); i++) {
        Cpu *cpu = cpu_get(i);

        cpu->engine = kept[index_of(to)][i];
        if (cpu->type->replaced) {
            cpu->type->replaced(cpu);
        }
        if (!to->start_cpu(cpu, error)) {
            return false;
        }
    }
    return true;
}

typedef struct Switch {
    const AccelOps *to;
    GError *error;
} Switch;

static void switch_now(void *opaque)
{
    Switch *s = opaque;
    const AccelOps *from = accel;

    leave();
    if (!enter(s->to, &s->error)) {
        accel_cpus_end();
        for (int i = 0; i < cpu_count(); i++) {
            cpu_get(i)->engine = NULL;
        }
        enter(from, NULL);
    }
}

bool accel_switch(const char *name, GError **error)
{
    Switch s = { .to = accel_find_type(name, strlen(name)) };

    if (!s.to) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "there is no engine '%s' (tcg, kvm)", name);
        return false;
    }
    if (s.to == accel) {
        return true;
    }
    initialised[index_of(accel)] = true;
    if (!prepare(s.to, error) || (accel->may_leave && !accel->may_leave(error))) {
        return false;
    }
    machine_without_cpus(switch_now, &s);
    if (s.error) {
        g_propagate_error(error, s.error);
        return false;
    }
    return true;
}
