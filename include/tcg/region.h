/* Memory that is gone when a region of the code buffer is filled anew: what is known of the code there. */
#ifndef TCG_REGION_H
#define TCG_REGION_H

#include <stddef.h>

/* In the region being filled; the start is a multiple of align. NULL: it is full. Under the lock that serialises compilation. */
void *tcg_region_alloc(size_t size, size_t align);

#endif
