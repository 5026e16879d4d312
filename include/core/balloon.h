/* The memory balloon: what `balloon` and query-balloon reach, whichever device it is. All under the machine lock. */
#ifndef CORE_BALLOON_H
#define CORE_BALLOON_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct BalloonOps {
    void (*set_target)(void *opaque, uint64_t bytes); /* what the guest shall keep */
    uint64_t (*actual)(void *opaque);                 /* what it has now */
    /* The n-th figure that the guest last told, its name; false: there is no n-th. UINT64_MAX: not told. */
    bool (*stat)(void *opaque, unsigned n, const char **name, uint64_t *value);
} BalloonOps;

bool balloon_register(const BalloonOps *ops, void *opaque); /* false: there is one */
void balloon_unregister(void *opaque);
bool balloon_set_target(uint64_t bytes, GError **error);
bool balloon_actual(uint64_t *bytes, GError **error);
bool balloon_stat(unsigned n, const char **name, uint64_t *value);
/* The device: the guest gave memory back or took it. fn hears of it ("BALLOON_CHANGE"). */
void balloon_changed(void);
typedef void BalloonChangedFn(uint64_t actual);
void balloon_set_changed_fn(BalloonChangedFn *fn);

#endif
