/* The main loop: GLib's default context, run under the machine lock except while it waits. */
#ifndef CORE_MAINLOOP_H
#define CORE_MAINLOOP_H

#include <stdbool.h>

/* Called without the machine lock; returns the status given to main_loop_quit. */
int main_loop_run(void);
void main_loop_quit(int status); /* any thread */
bool main_loop_quitting(void);
bool main_loop_is_current(void); /* this is the thread that runs it: the process's first */

/* Runs fn(opaque) in the main loop under the machine lock, in order of the calls. Any thread. */
void main_loop_call(void (*fn)(void *opaque), void *opaque);

/* One iteration, for waiting with the machine lock held (draining I/O, tests). */
void main_loop_step(bool may_block);

#endif
