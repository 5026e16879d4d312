/* The machine lock: devices, the memory map and the main loop run under it. */
#ifndef CORE_LOCK_H
#define CORE_LOCK_H

#include <stdbool.h>

void machine_lock(void);
bool machine_trylock(void); /* false: somebody has it */
void machine_unlock(void);
bool machine_locked(void); /* by this thread */

/* Takes the lock unless this thread has it; returns whether machine_unlock_if(result) must drop it. */
bool machine_lock_if(void);
void machine_unlock_if(bool taken);

#endif
