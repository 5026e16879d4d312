/* Passphrases and keys by name: -object secret,id=ID,data=TEXT|file=NAME[,format=raw|base64]. */
#ifndef UTIL_SECRET_H
#define UTIL_SECRET_H

#include "util/options.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "secret,id=...": any thread. The data of file= is read now. */
bool secret_add(const char *text, GError **error);
/* The same from options whose "type" or first word is secret. */
bool secret_add_options(const Options *options, GError **error);
bool secret_remove(const char *id);
/* A copy of the bytes; a zero byte follows them. Freed with secret_free, which wipes it. NULL: there is no such secret. */
uint8_t *secret_get(const char *id, size_t *size, GError **error);
void secret_free(uint8_t *data, size_t size);
/* Fills memory with zeros, also where nobody reads it later. */
void secret_wipe(void *data, size_t size);

#endif
