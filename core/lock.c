/* The machine lock. */
#include "core/lock.h"

#include <glib.h>

static GMutex mutex;
static _Thread_local bool held;

void machine_lock(void)
{
    g_assert(!held);
    g_mutex_lock(&mutex);
    held = true;
}

bool machine_trylock(void)
{
    g_assert(!held);
    held = g_mutex_trylock(&mutex);
    return held;
}

void machine_unlock(void)
{
    g_assert(held);
    held = false;
    g_mutex_unlock(&mutex);
}

bool machine_locked(void)
{
    return held;
}

bool machine_lock_if(void)
{
    if (held) {
        return false;
    }
    machine_lock();
    return true;
}

void machine_unlock_if(bool taken)
{
    if (taken) {
        machine_unlock();
    }
}
