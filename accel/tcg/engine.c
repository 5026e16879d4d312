/* The translating engine as an accelerator: options, start of CPUs, memory map changes. */
#include "accel/internal.h"
#include "accel/tcg/internal.h"

#include "util/error.h"
#include "util/log.h"

#include <stdlib.h>
#include <string.h>

/* Kernels and a few programs fit; what a session goes on to start is evicted in turn. */
EngineOptions engine_options = { .buffer_size = 128 << 20 };

static bool initialised; /* tcg_init, which wants to know the guest */
static bool active;      /* cpu->engine is ours */
static bool takes_over;  /* another engine has run these CPUs */

bool chaining_off(void)
{
    return engine_options.verify || log_enabled(LOG_EXEC | LOG_CPU | LOG_NOCHAIN);
}

static bool parse_number(const char *name, const char *value, unsigned long max,
                         unsigned long *out, GError **error)
{
    char *end;

    *out = strtoul(value, &end, 0);
    if (!*value || *end || *out > max) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-accel tcg: %s=%s is not a number up to %lu",
                    name, value, max);
        return false;
    }
    return true;
}

static bool parse_option(const char *name, const char *value, GError **error)
{
    EngineOptions *o = &engine_options;
    unsigned long number;

    if (!strcmp(name, "tb-size")) {
        if (!parse_number(name, value, 4096, &number, error)) {
            return false;
        }
        o->buffer_size = (uint64_t)number << 20;
    } else if (!strcmp(name, "verify")) {
        if (!parse_number(name, value, G_MAXUINT, &number, error)) {
            return false;
        }
        o->verify = number;
    } else if (!strcmp(name, "thread") && !strcmp(value, "single")) {
        o->single_thread = true;
    } else if (!strcmp(name, "thread") && !strcmp(value, "multi")) {
        o->single_thread = false;
    } else if (!strcmp(name, "interp") && (!strcmp(value, "on") || !strcmp(value, "off"))) {
        o->interpret = !strcmp(value, "on");
    } else if (!strcmp(name, "sites") && (!strcmp(value, "hot") || !strcmp(value, "off") || !strcmp(value, "all"))) {
        o->sites = !strcmp(value, "hot") ? SITES_HOT : !strcmp(value, "off") ? SITES_OFF : SITES_ALL;
    } else if (!strcmp(name, "perf-map") && (!strcmp(value, "on") || !strcmp(value, "off"))) {
        o->perf_map = !strcmp(value, "on");
    } else if (!strcmp(name, "host-features")) {
        /* Commas separate the options, so a list of features is joined with colons. */
        o->host_features = g_strdelimit(g_strdup(value), ":", ',');
    } else {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-accel tcg: cannot do %s=%s (there are "
                    "tb-size=MIB, thread=single|multi, interp=on|off, verify=N, host-features=LIST, "
                    "perf-map=on|off, sites=hot|all|off)",
                    name, value);
        return false;
    }
    return true;
}

/* Whether a CPU sees it; those that do later empty their tables then. */
static bool space_in_use(const AddressSpace *as)
{
    if (as == memory_system()) {
        return true;
    }
    for (int i = 0; cpu_get(i); i++) {
        if (cpu_get(i)->memory == as) {
            return true;
        }
    }
    return false;
}

/* Every other CPU empties its tables before it runs code again; this one at once. */
static void memory_changed(void *opaque, AddressSpace *as)
{
    Cpu *self = cpu_current();

    if (!active || !space_in_use(as)) {
        return;
    }
    if (self && self->engine) {
        engine_flush_all(self);
    }
    cpus_pend(self ? self->engine : NULL, PENDING_FLUSH_ALL, false);
}

static bool tcg_accel_init(const char *text, GError **error)
{
    g_auto(GStrv) items = g_strsplit(text ? text : "", ",", -1);

    for (int i = 0; items[i]; i++) {
        char *equals = strchr(items[i], '=');

        if (!*items[i]) {
            continue;
        }
        if (equals) {
            *equals = 0;
        }
        if (!parse_option(items[i], equals ? equals + 1 : "on", error)) {
            return false;
        }
    }
    memory_listen(memory_changed, NULL);
    memory_set_code_write_fn(smc_code_written, NULL);
    memory_set_clean_fn(smc_pages_cleaned, NULL);
    return true;
}

bool tcg_active(void)
{
    return active;
}

/* Guests have written to their code meanwhile, and none of the page flags has seen it. */
static void enter(void)
{
    active = true;
    takes_over = cpu_count() > 0;
    engine = tcg_engine_ops;
    index_init();
    g_mutex_lock(&tb_lock);
    blocks_kill_all();
    g_mutex_unlock(&tb_lock);
}

static void leave(void)
{
    active = false;
    engine = plain_engine_ops;
}

static bool may_leave(GError **error)
{
    if (debug_in_use()) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "a debugger has breakpoints or watchpoints in the translator: remove them");
        return false;
    }
    return true;
}

static bool fits(GError **error)
{
    for (int i = 0; i < cpu_count(); i++) {
        g_autofree char *lacks = cpu_get(i)->type->lacks ? cpu_get(i)->type->lacks(cpu_get(i), false) : NULL;

        if (lacks) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "the translator lacks what the guest's CPU has: %s (start without, "
                        "as -cpu default,-NAME)", lacks);
            return false;
        }
    }
    return true;
}

static bool start_cpu(Cpu *cpu, GError **error)
{
    TcgOptions options = { engine_options.buffer_size, engine_options.host_features };
    EngineCpu *ec;

    if (!initialised) {
        if (!tcg_init(&guest_ops(cpu)->tcg, &mmu_runtime, &options, error)) {
            return false;
        }
        initialised = true;
    }
    ec = cpu->engine;
    if (!ec) {
        ec = g_new0(EngineCpu, 1);
        ec->cpu = cpu;
        ec->ops = guest_ops(cpu);
        ec->modes_seq = 1;
        ec->chosen = ec->ops->chosen_offset ? (ChosenMode **)((uint8_t *)cpu->state + ec->ops->chosen_offset) : &ec->own_chosen;
        *ec->chosen = &ec->general;
        ec->watchpoints = g_array_new(FALSE, FALSE, sizeof(Watchpoint));
        cpu->engine = ec;
        if (cpu == cpu_get(0)) {
            hot_start(ec);
        }
        if (ec->ops->tcg.use_fp_traps) {
            tcg_fp_traps_init(cpu->state);
        }
    }
    ec->deliver_first = takes_over;
    if (takes_over) {
        engine_flush_all(cpu);
    }
    accel_cpu_add(cpu);
    cpu->thread = g_thread_try_new("vcpu", cpu_thread, ec, error);
    return cpu->thread != NULL;
}

const AccelOps tcg_accel_ops = {
    .name = "tcg",
    .smm = true,
    .about = "translates guest code",
    .init = tcg_accel_init,
    .start_cpu = start_cpu,
    .fits = fits,
    .may_leave = may_leave,
    .leave = leave,
    .enter = enter,
    .run_on_cpu = accel_cpu_run,
    .describe = engine_describe,
    .insert_breakpoint = debug_insert_breakpoint,
    .remove_breakpoint = debug_remove_breakpoint,
    .insert_watchpoint = debug_insert_watchpoint,
    .remove_watchpoint = debug_remove_watchpoint,
    .set_single_step = debug_set_single_step,
};
