/* Guest CPUs: their memory, requests to them, and the list of all. */
#include "core/cpu.h"

#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#define MAX_CPUS  256
#define HOST_PAGE 4096

static Cpu *all[MAX_CPUS];
static _Atomic int count;
static _Thread_local Cpu *current;

static size_t state_bytes(const CpuType *type)
{
    return round_up(type->state_size, HOST_PAGE);
}

/* [guard page][stack][state][guard page] */
static size_t mapping_bytes(const CpuType *type)
{
    return HOST_PAGE + CPU_STACK_SIZE + state_bytes(type) + HOST_PAGE;
}

static uint8_t *mapping_of(Cpu *cpu)
{
    return (uint8_t *)cpu->state - CPU_STACK_SIZE - HOST_PAGE;
}

static bool map_state(Cpu *cpu, GError **error)
{
    size_t size = CPU_STACK_SIZE + state_bytes(cpu->type);
    uint8_t *base = mmap(NULL, mapping_bytes(cpu->type), PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (base == MAP_FAILED || mprotect(base + HOST_PAGE, size, PROT_READ | PROT_WRITE) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot allocate the state of a CPU: %s",
                    g_strerror(errno));
        if (base != MAP_FAILED) {
            munmap(base, mapping_bytes(cpu->type));
        }
        return false;
    }
    cpu->state = base + HOST_PAGE + CPU_STACK_SIZE;
    cpu->hot = cpu->state;
    cpu->hot->cpu = cpu;
    return true;
}

Cpu *cpu_new(const CpuType *type, const char *model, int index, GError **error)
{
    int slot = atomic_load(&count);
    Cpu *cpu;

    if (slot == MAX_CPUS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "more than %d CPUs", MAX_CPUS);
        return NULL;
    }
    cpu = g_new0(Cpu, 1);
    cpu->type = type;
    cpu->index = index;
    cpu->memory = memory_system();
    cpu->ports = memory_ports();
    g_mutex_init(&cpu->halt_mutex);
    g_cond_init(&cpu->halt_cond);
    if (!map_state(cpu, error) || (type->init && !type->init(cpu, model, error))) {
        cpu_free(cpu);
        return NULL;
    }
    if (type->reset) {
        type->reset(cpu);
    }
    all[slot] = cpu;
    atomic_store(&count, slot + 1);
    return cpu;
}

void cpu_free(Cpu *cpu)
{
    int n = atomic_load(&count);

    for (int i = 0; i < n; i++) {
        if (all[i] == cpu) {
            memmove(&all[i], &all[i + 1], (n - i - 1) * sizeof(all[0]));
            all[--n] = NULL;
            atomic_store(&count, n);
        }
    }
    if (cpu->state) {
        munmap(mapping_of(cpu), mapping_bytes(cpu->type));
    }
    g_mutex_clear(&cpu->halt_mutex);
    g_cond_clear(&cpu->halt_cond);
    g_free(cpu);
}

void cpu_wake(Cpu *cpu)
{
    g_mutex_lock(&cpu->halt_mutex);
    g_cond_broadcast(&cpu->halt_cond);
    g_mutex_unlock(&cpu->halt_mutex);
}

/* The request first, then the poll word: who sees the poll sees the request. */
void cpu_request(Cpu *cpu, uint32_t requests)
{
    atomic_fetch_or(&cpu->requests, requests);
    atomic_store(&cpu->hot->poll, -1);
    if (cpu->kick) {
        cpu->kick(cpu);
    }
    cpu_wake(cpu);
}

void cpu_read_registers(Cpu *cpu)
{
    if (cpu->sync_registers) {
        cpu->sync_registers(cpu, false);
    }
}

void cpu_write_registers(Cpu *cpu)
{
    if (cpu->sync_registers) {
        cpu->sync_registers(cpu, true);
    }
}

void cpu_clear_request(Cpu *cpu, uint32_t requests)
{
    atomic_fetch_and(&cpu->requests, ~requests);
}

Cpu *cpu_get(int index)
{
    return index >= 0 && index < atomic_load(&count) ? all[index] : NULL;
}

int cpu_count(void)
{
    return atomic_load(&count);
}

Cpu *cpu_current(void)
{
    return current;
}

void cpu_set_current(Cpu *cpu)
{
    current = cpu;
}

void cpus_nmi(void)
{
    for (int i = 0; i < cpu_count(); i++) {
        cpu_request(all[i], CPU_REQ_NMI);
    }
}

void cpus_reset_all(void)
{
    for (int i = 0; i < cpu_count(); i++) {
        Cpu *cpu = all[i];

        atomic_store(&cpu->halted, false);
        if (cpu->type->reset) {
            cpu->type->reset(cpu);
        }
        cpu_wake(cpu);
    }
}
