/* Choosing an engine, and what a debugger asks of any of them. */
#include "accel/internal.h"

#include "core/machine.h"
#include "target/guest.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

const AccelOps *const accel_types[] = {
    &tcg_accel_ops,
    &kvm_accel_ops,
    NULL,
};

const AccelOps *accel;
bool accel_guest_is_host = true;
DebugStopFn *accel_debug_stop_fn;

const AccelOps *accel_find_type(const char *name, size_t length)
{
    for (int i = 0; accel_types[i]; i++) {
        if (strlen(accel_types[i]->name) == length && !memcmp(accel_types[i]->name, name, length)) {
            return accel_types[i];
        }
    }
    return NULL;
}

static char *all_names(void)
{
    GString *names = g_string_new(NULL);

    for (int i = 0; accel_types[i]; i++) {
        g_string_append_printf(names, "%s%s", i ? ", " : "", accel_types[i]->name);
    }
    return g_string_free(names, FALSE);
}

/* One of the alternatives: "name" or "name,options". *why says why not. */
static bool try_one(const char *text, char **why, GError **error)
{
    const char *comma = strchr(text, ',');
    size_t length = comma ? comma - text : strlen(text);
    const AccelOps *type = accel_find_type(text, length);

    *why = NULL;
    if (!type) {
        g_autofree char *names = all_names();

        *why = g_strdup_printf("this build has only %s", names);
        return false;
    }
    if (type == &kvm_accel_ops && !accel_guest_is_host) {
        *why = g_strdup("it runs guests with the host's instructions only");
        return false;
    }
    if (type->available && !type->available(why)) {
        return false;
    }
    if (!type->init(comma ? comma + 1 : NULL, error)) {
        return false;
    }
    accel = type;
    type->enter();
    return true;
}

/* A kernel can also implement KVM without VT or SVM, by page tables: there the translator is much faster. */
static bool processor_virtualizes(void)
{
    g_autofree char *text = NULL;

    return g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL) &&
           g_regex_match_simple("^flags\\s*:.*\\b(vmx|svm)\\b", text, G_REGEX_MULTILINE, 0);
}

/* The best that works here, with the reason in a line. */
static const char *choose(void)
{
    g_autofree char *why = NULL;

    if (!accel_guest_is_host) {
        return tcg_accel_ops.name;
    }
    if (!kvm_accel_ops.available(&why)) {
        log_info("KVM: %s; using the translator", why);
        return tcg_accel_ops.name;
    }
    if (!processor_virtualizes()) {
        log_info("KVM is there, but the processor shows neither VT nor SVM, which makes it slow: using the translator");
        return tcg_accel_ops.name;
    }
    log_info("using KVM");
    return kvm_accel_ops.name;
}

bool accel_init(const char *spec, GError **error)
{
    g_auto(GStrv) choices = g_strsplit(spec && *spec ? spec : choose(), ":", -1);

    for (int i = 0; choices[i]; i++) {
        g_autoptr(GError) reason = NULL;
        g_autofree char *why = NULL;

        if (try_one(choices[i], &why, &reason)) {
            machine_set_pause_fns(accel_pause_all, accel_resume_all);
            return true;
        }
        if (reason) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return false;
        }
        if (!choices[i + 1]) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "accelerator '%s' does not work here: %s",
                        choices[i], why);
            return false;
        }
        log_info("accelerator '%s' does not work here (%s), trying '%s'", choices[i], why,
                 choices[i + 1]);
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "no accelerator named");
    return false;
}

bool accel_debug_translate(Cpu *cpu, VirtAddr addr, PhysAddr *phys)
{
    const GuestOps *ops = guest_ops(cpu);
    MmuResult result;

    if (!ops->walk(cpu, addr, MMU_LOAD, ops->mmu_mode(cpu, true), true, &result)) {
        return false;
    }
    *phys = mmu_phys(&result, addr);
    return true;
}

static bool debug_access(Cpu *cpu, VirtAddr addr, uint8_t *buf, uint64_t size, bool write)
{
    while (size) {
        uint64_t part = MIN(size, SMALL_PAGE - (addr & (SMALL_PAGE - 1)));
        PhysAddr phys;

        if (!accel_debug_translate(cpu, addr, &phys)) {
            return false;
        }
        if (write) {
            memory_load_rom(cpu->memory, phys, buf, part);
        } else {
            memory_read(cpu->memory, phys, buf, part);
        }
        addr += part;
        buf += part;
        size -= part;
    }
    return true;
}

bool accel_debug_read(Cpu *cpu, VirtAddr addr, void *buf, uint64_t size)
{
    return debug_access(cpu, addr, buf, size, false);
}

bool accel_debug_write(Cpu *cpu, VirtAddr addr, const void *buf, uint64_t size)
{
    return debug_access(cpu, addr, (uint8_t *)buf, size, true);
}

/*
 * What targets get while no translating engine runs (KVM, tests of a target alone): each access
 * walks the page tables, and there is nothing to flush.
 */
static PhysAddr plain_walk(Cpu *cpu, VirtAddr addr, MmuAccess access, unsigned mode)
{
    const GuestOps *ops = guest_ops(cpu);
    MmuResult result;

    if (!ops->walk(cpu, addr, access, mode, false, &result)) {
        ops->raise_mmu_fault(cpu, addr, access, mode);
    }
    return mmu_phys(&result, addr);
}

static uint64_t plain_load(Cpu *cpu, VirtAddr addr, unsigned size, unsigned mode, uintptr_t retaddr)
{
    uint64_t value = 0;
    PhysAddr last = plain_walk(cpu, addr + size - 1, MMU_LOAD, mode);
    PhysAddr first = plain_walk(cpu, addr, MMU_LOAD, mode);

    if (last == first + size - 1) {
        return memory_load(cpu->memory, first, size);
    }
    for (unsigned i = 0; i < size; i++) {
        PhysAddr phys = plain_walk(cpu, addr + i, MMU_LOAD, mode);

        value |= memory_load(cpu->memory, phys, 1) << (8 * i);
    }
    return value;
}

static void plain_store(Cpu *cpu, VirtAddr addr, uint64_t value, unsigned size, unsigned mode,
                        uintptr_t retaddr)
{
    PhysAddr last = plain_walk(cpu, addr + size - 1, MMU_STORE, mode);
    PhysAddr first = plain_walk(cpu, addr, MMU_STORE, mode);

    if (last == first + size - 1) {
        memory_store(cpu->memory, first, value, size);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        memory_store(cpu->memory, plain_walk(cpu, addr + i, MMU_STORE, mode), value >> (8 * i), 1);
    }
}

static void *plain_probe(Cpu *cpu, VirtAddr addr, unsigned size, MmuAccess access, unsigned mode,
                         uintptr_t retaddr)
{
    plain_walk(cpu, addr, access, mode);
    plain_walk(cpu, addr + size - 1, access, mode);
    return NULL;
}

static void ignore_cpu(Cpu *cpu)
{
}

static void ignore_space(Cpu *cpu, uint64_t space_id, bool keep_global)
{
}

static void ignore_renewal(Cpu *cpu, uint64_t space_id)
{
}

static void ignore_page(Cpu *cpu, VirtAddr addr)
{
}

static void ignore_pages(Cpu *cpu, VirtAddr addr, unsigned shift)
{
}

#define PLAIN_ENGINE_OPS                     \
    {                                        \
        .load = plain_load,                  \
        .store = plain_store,                \
        .probe = plain_probe,                \
        .flush_all = ignore_cpu,             \
        .flush_space = ignore_space,         \
        .renew_space = ignore_renewal,       \
        .flush_page = ignore_page,           \
        .flush_pages = ignore_pages,         \
        .flush_pages_everywhere = ignore_pages, \
        .flush_all_everywhere = ignore_cpu,  \
        .update_mode = ignore_cpu,           \
        .breakpoints_changed = ignore_cpu,   \
    }

const EngineOps plain_engine_ops = PLAIN_ENGINE_OPS;
EngineOps engine = PLAIN_ENGINE_OPS;
