/* The interpreter's side of what the back-end and the engine do for translated code. */
#ifndef TCG_INTERP_H
#define TCG_INTERP_H

#include "tcg/tcg.h"

/* tcg_init calls this: whose state tcg_interpret works on, and what it calls for memory. */
void tcg_interp_init(const TcgTarget *target, const TcgRuntime *runtime);

/* Whether this thread is inside tcg_interpret: then the state is complete, retaddr is 0. */
bool tcg_interp_active(void);

/* tcg_unwind calls this first: does not return if this thread is inside tcg_interpret. */
void tcg_interp_unwind(TcgExit why);

/*
 * Signal handlers (SIGFPE, SIGSEGV, SIGBUS, SIGILL) call this first, with the ucontext_t: does not return if the
 * interpreter was executing a raw host instruction; TcgRuntime.host_fault is then called from there.
 */
void tcg_interp_signal(int signal, int code, void *ucontext);

#endif
