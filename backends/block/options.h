/* Trees of image options; private to the core of the block layer. */
#ifndef BACKENDS_BLOCK_OPTIONS_H
#define BACKENDS_BLOCK_OPTIONS_H

#include "backends/block/driver.h"

/* "a.b" becomes member b of object a, "a.0" element 0 of array a. Returns a new tree; NULL: keys contradict. */
Json *block_options_nested(const Json *flat, GError **error);
/* Members of `from` win. */
void block_options_merge(Json *into, const Json *from);
/* Refuses what nobody took out. what: "format 'qcow2'". */
bool block_options_check_empty(const Json *options, const char *what, GError **error);

#endif
