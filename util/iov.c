/* Lists of buffers. */
#include "util/iov.h"

#include <string.h>

size_t iov_size(const struct iovec *iov, unsigned count)
{
    size_t size = 0;

    for (unsigned i = 0; i < count; i++) {
        size += iov[i].iov_len;
    }
    return size;
}

typedef enum Direction { READ, WRITE, FILL } Direction;

static size_t transfer(const struct iovec *iov, unsigned count, size_t offset, uint8_t *buf, uint8_t byte, size_t size,
                       Direction direction)
{
    size_t done = 0;

    for (unsigned i = 0; i < count && done < size; i++) {
        uint8_t *at = (uint8_t *)iov[i].iov_base + offset;
        size_t n;

        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        n = iov[i].iov_len - offset < size - done ? iov[i].iov_len - offset : size - done;
        switch (direction) {
        case READ:
            memcpy(buf + done, at, n);
            break;
        case WRITE:
            memcpy(at, buf + done, n);
            break;
        case FILL:
            memset(at, byte, n);
            break;
        }
        done += n;
        offset = 0;
    }
    return done;
}

size_t iov_read(const struct iovec *iov, unsigned count, size_t offset, void *buf, size_t size)
{
    return transfer(iov, count, offset, buf, 0, size, READ);
}

size_t iov_write(const struct iovec *iov, unsigned count, size_t offset, const void *buf, size_t size)
{
    return transfer(iov, count, offset, (uint8_t *)buf, 0, size, WRITE);
}

size_t iov_fill(const struct iovec *iov, unsigned count, size_t offset, uint8_t byte, size_t size)
{
    return transfer(iov, count, offset, NULL, byte, size, FILL);
}

unsigned iov_part(const struct iovec *iov, unsigned count, size_t offset, size_t size, struct iovec *to)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count && size; i++) {
        size_t length;

        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        length = iov[i].iov_len - offset < size ? iov[i].iov_len - offset : size;
        to[n++] = (struct iovec){ (uint8_t *)iov[i].iov_base + offset, length };
        size -= length;
        offset = 0;
    }
    return n;
}
