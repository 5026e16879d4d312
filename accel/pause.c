/*
 * Pausing vCPU threads and running work in them.
 *
 * A thread that is wanted gets CPU_REQ_EXIT; its engine's loop then calls accel_cpu_park. Whoever
 * waits for a vCPU gives up the machine lock meanwhile: the vCPU may need it to get there.
 */
#include "accel/internal.h"

#include "core/lock.h"

#include <stdatomic.h>

typedef struct Work {
    void (*fn)(Cpu *cpu, void *data);
    void *data;
    bool done;
} Work;

typedef struct AccelCpu {
    Cpu *cpu;
    _Atomic bool wanted;
    bool pause, standing, leave;
    GQueue work;
} AccelCpu;

static AccelCpu *parked[ACCEL_MAX_CPUS]; /* by Cpu.index */
static GMutex lock;
static GCond changed;

static AccelCpu *accel_cpu(Cpu *cpu)
{
    return cpu->index >= 0 && cpu->index < ACCEL_MAX_CPUS ? parked[cpu->index] : NULL;
}

void accel_cpu_add(Cpu *cpu)
{
    AccelCpu *a = accel_cpu(cpu);

    g_assert(cpu->index >= 0 && cpu->index < ACCEL_MAX_CPUS);
    if (!a) {
        a = g_new0(AccelCpu, 1);
        g_queue_init(&a->work);
    }
    a->leave = a->standing = false;
    a->cpu = cpu;
    a->pause = true;
    atomic_store(&a->wanted, true);
    cpu->stopped = true;
    parked[cpu->index] = a;
}

bool accel_cpu_wanted(Cpu *cpu)
{
    return atomic_load(&accel_cpu(cpu)->wanted);
}

void accel_cpu_park(Cpu *cpu)
{
    AccelCpu *a = accel_cpu(cpu);
    Work *work;

    g_mutex_lock(&lock);
    for (;;) {
        atomic_store(&a->wanted, false);
        while ((work = g_queue_pop_head(&a->work))) {
            g_mutex_unlock(&lock);
            work->fn(cpu, work->data);
            g_mutex_lock(&lock);
            work->done = true;
            g_cond_broadcast(&changed);
        }
        if (!a->pause || a->leave) {
            break;
        }
        if (!a->standing) {
            a->standing = true;
            g_cond_broadcast(&changed);
        }
        g_cond_wait(&changed, &lock);
    }
    a->standing = false;
    g_mutex_unlock(&lock);
}

bool accel_cpu_leaves(Cpu *cpu)
{
    AccelCpu *a = accel_cpu(cpu);
    bool leaves;

    g_mutex_lock(&lock);
    leaves = a->leave;
    g_mutex_unlock(&lock);
    return leaves;
}

void accel_cpus_end(void)
{
    for (int i = 0; i < cpu_count(); i++) {
        Cpu *cpu = cpu_get(i);
        AccelCpu *a = accel_cpu(cpu);

        if (!cpu->thread) {
            continue;
        }
        g_mutex_lock(&lock);
        a->leave = true;
        atomic_store(&a->wanted, true);
        g_cond_broadcast(&changed);
        g_mutex_unlock(&lock);
        cpu_request(cpu, CPU_REQ_EXIT);
        g_thread_join(cpu->thread);
        cpu->thread = NULL;
    }
}

void accel_cpu_pause_self(Cpu *cpu)
{
    AccelCpu *a = accel_cpu(cpu);

    g_mutex_lock(&lock);
    a->pause = true;
    atomic_store(&a->wanted, true);
    g_mutex_unlock(&lock);
}

/* Waits for the condition with neither the machine lock nor a hurry. */
static void wait_for(bool (*is_met)(void *data), void *data)
{
    bool locked = machine_locked();

    if (locked) {
        machine_unlock();
    }
    g_mutex_lock(&lock);
    while (!is_met(data)) {
        g_cond_wait(&changed, &lock);
    }
    g_mutex_unlock(&lock);
    if (locked) {
        machine_lock();
    }
}

static bool work_done(void *data)
{
    return ((Work *)data)->done;
}

void accel_cpu_run(Cpu *cpu, void (*fn)(Cpu *cpu, void *data), void *data)
{
    AccelCpu *a = accel_cpu(cpu);
    Work work = { .fn = fn, .data = data };

    if (!a || cpu_current() == cpu) {
        fn(cpu, data);
        return;
    }
    g_mutex_lock(&lock);
    g_queue_push_tail(&a->work, &work);
    atomic_store(&a->wanted, true);
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
    cpu_request(cpu, CPU_REQ_EXIT);
    wait_for(work_done, &work);
}

/* A CPU that pauses the machine itself stands when it comes back to its loop. */
static bool all_stand(void *data)
{
    for (int i = 0; i < ACCEL_MAX_CPUS; i++) {
        AccelCpu *a = parked[i];

        if (a && a->pause && !a->standing && cpu_current() != a->cpu) {
            return false;
        }
    }
    return true;
}

void accel_pause_all(void)
{
    for (int i = 0; i < cpu_count(); i++) {
        Cpu *cpu = cpu_get(i);

        if (accel_cpu(cpu)) {
            accel_cpu_pause_self(cpu);
            cpu_request(cpu, CPU_REQ_EXIT);
        }
    }
    wait_for(all_stand, NULL);
    for (int i = 0; i < cpu_count(); i++) {
        cpu_get(i)->stopped = true;
    }
}

void accel_resume_all(void)
{
    g_mutex_lock(&lock);
    for (int i = 0; i < cpu_count(); i++) {
        AccelCpu *a = accel_cpu(cpu_get(i));

        cpu_get(i)->stopped = false;
        if (a) {
            a->pause = false;
        }
    }
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
}
