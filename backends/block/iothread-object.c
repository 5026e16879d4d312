/* -object iothread,id=ID: a thread for devices' disk requests. */
#include "backends/block/loop.h"
#include "core/object.h"

static void *create(const char *id, const Options *o, GError **error)
{
    static const char *const polling[] = { "poll-max-ns", "poll-grow", "poll-shrink", "aio-max-batch" };

    for (size_t i = 0; i < G_N_ELEMENTS(polling); i++) {
        options_get(o, polling[i]); /* accepted: this thread never spins */
    }
    return iothread_new(id, error);
}

static bool destroy(void *object, GError **error)
{
    if (iothread_in_use(object)) {
        return iothread_remove(object, error);
    }
    block_loop_forget(object);
    return iothread_remove(object, error);
}

const ObjectType iothread_object_type = {
    .name = "iothread",
    .about = "a thread for the requests of disk devices (iothread= of the device)",
    .create = create,
    .destroy = destroy,
};
