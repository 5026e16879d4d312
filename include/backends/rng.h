/* Sources of random numbers: -object rng-random,id=ID,filename=FILE and rng-builtin. */
#ifndef BACKENDS_RNG_H
#define BACKENDS_RNG_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Rng Rng;

Rng *rng_find(const char *id); /* NULL: no such object */
void rng_ref(Rng *rng);        /* keeps it from being removed; NULL does nothing */
void rng_unref(Rng *rng);
/* Never waits; returns how many bytes there were. rng NULL: the host's generator, which always has enough. */
size_t rng_read(Rng *rng, void *buf, size_t size);

#endif
