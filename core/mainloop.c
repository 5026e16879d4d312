/* The main loop and calls into it. */
#include "core/mainloop.h"

#include "core/clock.h"
#include "core/lock.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>
#include <glib.h>
#include <stdatomic.h>

static _Atomic bool quitting;
static _Atomic int exit_status;

static gint poll_unlocked(GPollFD *fds, guint count, gint timeout)
{
    bool held = machine_locked();
    gint result;

    if (held) {
        machine_unlock();
    }
    result = g_poll(fds, count, timeout);
    if (held) {
        machine_lock();
    }
    return result;
}

static void set_up(void)
{
    static gsize done;

    if (g_once_init_enter(&done)) {
        g_main_context_set_poll_func(NULL, poll_unlocked);
        clock_attach();
        g_once_init_leave(&done, 1);
    }
}

int main_loop_run(void)
{
    set_up();
    /* Timers must not wait for vCPUs that spin; only root may, and without it works too. vCPU threads
     * exist already and keep their priority. */
    if (setpriority(PRIO_PROCESS, gettid(), -5) < 0) {
        errno = 0;
    }
    machine_lock();
    while (!atomic_load(&quitting)) {
        g_main_context_iteration(NULL, TRUE);
    }
    machine_unlock();
    return atomic_load(&exit_status);
}

void main_loop_step(bool may_block)
{
    set_up();
    g_main_context_iteration(NULL, may_block);
}

/* The first reason to leave is the one that counts. */
void main_loop_quit(int status)
{
    if (!atomic_exchange(&quitting, true)) {
        atomic_store(&exit_status, status);
    }
    g_main_context_wakeup(NULL);
}

bool main_loop_is_current(void)
{
    return gettid() == getpid();
}

bool main_loop_quitting(void)
{
    return atomic_load(&quitting);
}

typedef struct Call {
    void (*fn)(void *opaque);
    void *opaque;
} Call;

static gboolean run_call(gpointer data)
{
    Call *call = data;
    bool taken = machine_lock_if();

    call->fn(call->opaque);
    machine_unlock_if(taken);
    return G_SOURCE_REMOVE;
}

void main_loop_call(void (*fn)(void *opaque), void *opaque)
{
    GSource *source = g_idle_source_new();
    Call *call = g_new0(Call, 1);

    call->fn = fn;
    call->opaque = opaque;
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, run_call, call, g_free);
    g_source_attach(source, NULL);
    g_source_unref(source);
}
