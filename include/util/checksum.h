/* The Internet's ones' complement checksum (RFC 1071). */
#ifndef UTIL_CHECKSUM_H
#define UTIL_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/*
 * Adds the big-endian 16-bit words of data to sum and folds: the result fits 16 bits. An odd last byte
 * counts as the high half of a word, so only the last part of a message may be odd.
 */
uint32_t checksum_add(uint32_t sum, const void *data, size_t size);

#endif
