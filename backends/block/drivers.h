/* The catalogue of image formats and protocols. */
#ifndef BACKENDS_BLOCK_DRIVERS_H
#define BACKENDS_BLOCK_DRIVERS_H

#include "backends/block/driver.h"

#define DRIVER(name) extern const BlockDriver block_##name;
#include "backends/block/drivers.def"
#undef DRIVER

/* The format that a file which begins so most likely has. */
const BlockDriver *block_driver_probe(const uint8_t *head, size_t size, const char *name);
/* For messages: an unknown name, and those that are known. */
void block_driver_unknown(const char *name, GError **error);

#endif
