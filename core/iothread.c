/* I/O threads: an event loop each, and calls into it. */
#include "core/iothread.h"

#include "util/error.h"

#include <unistd.h>

struct IoThread {
    char *id;
    GMainContext *context;
    GMainLoop *loop;
    GThread *thread;
    int tid;
    int users;
};

typedef struct Call {
    void (*fn)(void *opaque);
    void *opaque;
    bool waits;
    GMutex lock;
    GCond cond;
    bool done;
} Call;

static GPtrArray *all;
static _Thread_local IoThread *current;

static void note_tid(void *opaque)
{
    ((IoThread *)opaque)->tid = gettid();
}

static gpointer run(gpointer data)
{
    IoThread *t = data;

    current = t;
    g_main_context_push_thread_default(t->context);
    g_main_loop_run(t->loop);
    g_main_context_pop_thread_default(t->context);
    return NULL;
}

IoThread *iothread_new(const char *id, GError **error)
{
    IoThread *t;

    if (iothread_find(id)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "two objects have the id '%s'", id);
        return NULL;
    }
    t = g_new0(IoThread, 1);
    t->id = g_strdup(id);
    t->context = g_main_context_new();
    t->loop = g_main_loop_new(t->context, FALSE);
    t->thread = g_thread_new(id, run, t);
    iothread_call_wait(t, note_tid, t);
    if (!all) {
        all = g_ptr_array_new();
    }
    g_ptr_array_add(all, t);
    return t;
}

IoThread *iothread_find(const char *id)
{
    for (guint i = 0; all && i < all->len; i++) {
        IoThread *t = g_ptr_array_index(all, i);

        if (g_str_equal(t->id, id)) {
            return t;
        }
    }
    return NULL;
}

void iothread_for_each(void (*fn)(IoThread *thread, void *opaque), void *opaque)
{
    for (guint i = 0; all && i < all->len; i++) {
        fn(g_ptr_array_index(all, i), opaque);
    }
}

const char *iothread_id(const IoThread *t)
{
    return t->id;
}

int iothread_tid(const IoThread *t)
{
    return t->tid;
}

void iothread_ref(IoThread *t)
{
    g_atomic_int_inc(&t->users);
}

void iothread_unref(IoThread *t)
{
    g_assert(g_atomic_int_add(&t->users, -1) > 0);
}

bool iothread_in_use(const IoThread *t)
{
    return g_atomic_int_get(&t->users) != 0;
}

bool iothread_remove(IoThread *t, GError **error)
{
    if (iothread_in_use(t)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "iothread '%s' is in use", t->id);
        return false;
    }
    iothread_call(t, (void (*)(void *))g_main_loop_quit, t->loop);
    g_thread_join(t->thread);
    g_ptr_array_remove(all, t);
    g_main_loop_unref(t->loop);
    g_main_context_unref(t->context);
    g_free(t->id);
    g_free(t);
    return true;
}

static gboolean run_call(gpointer data)
{
    Call *call = data;

    call->fn(call->opaque);
    if (call->waits) {
        g_mutex_lock(&call->lock);
        call->done = true;
        g_cond_signal(&call->cond);
        g_mutex_unlock(&call->lock);
    } else {
        g_free(call);
    }
    return G_SOURCE_REMOVE;
}

static void attach(IoThread *t, Call *call)
{
    GSource *source = g_idle_source_new();

    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, run_call, call, NULL);
    g_source_attach(source, t->context);
    g_source_unref(source);
}

void iothread_call(IoThread *t, void (*fn)(void *opaque), void *opaque)
{
    Call *call = g_new0(Call, 1);

    call->fn = fn;
    call->opaque = opaque;
    attach(t, call);
}

void iothread_call_wait(IoThread *t, void (*fn)(void *opaque), void *opaque)
{
    Call call = { .fn = fn, .opaque = opaque, .waits = true };

    g_assert(!iothread_is_current(t));
    g_mutex_init(&call.lock);
    g_cond_init(&call.cond);
    attach(t, &call);
    g_mutex_lock(&call.lock);
    while (!call.done) {
        g_cond_wait(&call.cond, &call.lock);
    }
    g_mutex_unlock(&call.lock);
    g_mutex_clear(&call.lock);
    g_cond_clear(&call.cond);
}

bool iothread_is_current(const IoThread *t)
{
    return current == t && t;
}

GMainContext *iothread_context(IoThread *t)
{
    return t->context;
}
