/* Lists of buffers: bytes in and out, and parts of them. */
#ifndef UTIL_IOV_H
#define UTIL_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

size_t iov_size(const struct iovec *iov, unsigned count);
/* Copies from, into, or fills a list from byte `offset` of it on. Returns the bytes done: fewer at the list's end. */
size_t iov_read(const struct iovec *iov, unsigned count, size_t offset, void *buf, size_t size);
size_t iov_write(const struct iovec *iov, unsigned count, size_t offset, const void *buf, size_t size);
size_t iov_fill(const struct iovec *iov, unsigned count, size_t offset, uint8_t byte, size_t size);
/* `size` bytes of a list from byte `offset` on as a list of their own in `to`, which has room for `count` entries.
 * Returns its number of entries. */
unsigned iov_part(const struct iovec *iov, unsigned count, size_t offset, size_t size, struct iovec *to);

#endif
