/* The memory balloon, between monitors and the device. */
#include "core/balloon.h"

#include "util/error.h"

static const BalloonOps *the_ops;
static void *the_opaque;
static BalloonChangedFn *changed_fn;

bool balloon_register(const BalloonOps *ops, void *opaque)
{
    if (the_ops) {
        return false;
    }
    the_ops = ops;
    the_opaque = opaque;
    return true;
}

void balloon_unregister(void *opaque)
{
    if (the_opaque == opaque) {
        the_ops = NULL;
        the_opaque = NULL;
    }
}

static bool is_there(GError **error)
{
    if (!the_ops) {
        g_set_error(error, VM_ERROR, VM_ERROR_INACTIVE, "No balloon device has been activated");
    }
    return the_ops != NULL;
}

bool balloon_set_target(uint64_t bytes, GError **error)
{
    if (!is_there(error)) {
        return false;
    }
    the_ops->set_target(the_opaque, bytes);
    return true;
}

bool balloon_actual(uint64_t *bytes, GError **error)
{
    if (!is_there(error)) {
        return false;
    }
    *bytes = the_ops->actual(the_opaque);
    return true;
}

bool balloon_stat(unsigned n, const char **name, uint64_t *value)
{
    return the_ops && the_ops->stat(the_opaque, n, name, value);
}

void balloon_changed(void)
{
    if (the_ops && changed_fn) {
        changed_fn(the_ops->actual(the_opaque));
    }
}

void balloon_set_changed_fn(BalloonChangedFn *fn)
{
    changed_fn = fn;
}
