/* Threads that run devices' I/O beside the main loop: -object iothread,id=ID. */
#ifndef CORE_IOTHREAD_H
#define CORE_IOTHREAD_H

#include <glib.h>
#include <stdbool.h>

typedef struct IoThread IoThread;

/* Starts a thread with an event loop of its own; it never has the machine lock unless it takes it. */
IoThread *iothread_new(const char *id, GError **error);
IoThread *iothread_find(const char *id); /* NULL if none */
void iothread_for_each(void (*fn)(IoThread *thread, void *opaque), void *opaque);
const char *iothread_id(const IoThread *thread);
int iothread_tid(const IoThread *thread); /* the host's number of it */
/* A device uses it: it cannot be removed until the device is gone. */
void iothread_ref(IoThread *thread);
void iothread_unref(IoThread *thread);
bool iothread_in_use(const IoThread *thread);
bool iothread_remove(IoThread *thread, GError **error); /* ends it; false: in use */

void iothread_call(IoThread *thread, void (*fn)(void *opaque), void *opaque); /* any thread; in order of the calls */
/* Not from itself; drops no lock, so fn must not wait for one that the caller has. */
void iothread_call_wait(IoThread *thread, void (*fn)(void *opaque), void *opaque);
bool iothread_is_current(const IoThread *thread);
GMainContext *iothread_context(IoThread *thread);

#endif
