/* Sources of random numbers. */
#include "backends/rng.h"

#include "core/object.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

struct Rng {
    int fd; /* -1: getrandom */
    int users;
};

static void *create(const char *file, GError **error)
{
    Rng *rng = g_new0(Rng, 1);

    rng->fd = file ? open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    if (file && rng->fd < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open '%s': %s", file, g_strerror(errno));
        g_free(rng);
        return NULL;
    }
    return rng;
}

static void *create_random(const char *id, const Options *o, GError **error)
{
    const char *file = options_get(o, "filename");

    return create(file ? file : "/dev/urandom", error);
}

static void *create_builtin(const char *id, const Options *o, GError **error)
{
    return create(NULL, error);
}

static bool destroy(void *object, GError **error)
{
    Rng *rng = object;

    if (error && rng->users) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "a device uses this source of random numbers");
        return false;
    }
    if (rng->fd >= 0) {
        close(rng->fd);
    }
    g_free(rng);
    return true;
}

const ObjectType rng_random_object_type = {
    .name = "rng-random", .about = "random numbers from a file of the host", .create = create_random, .destroy = destroy,
};
const ObjectType rng_builtin_object_type = {
    .name = "rng-builtin", .about = "random numbers of the host's kernel", .create = create_builtin, .destroy = destroy,
};

Rng *rng_find(const char *id)
{
    Rng *rng = object_find(&rng_random_object_type, id);

    return rng ? rng : object_find(&rng_builtin_object_type, id);
}

void rng_ref(Rng *rng)
{
    if (rng) {
        rng->users++;
    }
}

void rng_unref(Rng *rng)
{
    if (rng) {
        rng->users--;
    }
}

size_t rng_read(Rng *rng, void *buf, size_t size)
{
    ssize_t n = rng && rng->fd >= 0 ? read(rng->fd, buf, size) : getrandom(buf, size, GRND_NONBLOCK);

    return n < 0 ? 0 : n;
}
