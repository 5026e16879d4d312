/* File names of images; private to the core of the block layer. */
#ifndef BACKENDS_BLOCK_NAMES_H
#define BACKENDS_BLOCK_NAMES_H

#include "backends/block/drivers.h"
#include "util/error.h"

/* Length of "proto" in "proto:rest"; 0: a plain path. */
size_t block_name_prefix(const char *name);
/* The protocol driver that opens the name; NULL: there is no such protocol. */
const BlockDriver *block_name_protocol(const char *name, GError **error);
/* Without "file:". */
const char *block_name_path(const char *name);

#endif
