/* Vectors of buffers: their size, parts of them, moving bytes in and out. */
#include "backends/block/driver.h"

#include <string.h>

size_t block_iov_size(const struct iovec *iov, int count)
{
    size_t size = 0;

    for (int i = 0; i < count; i++) {
        size += iov[i].iov_len;
    }
    return size;
}

int block_iov_part(struct iovec *out, const struct iovec *iov, int count, size_t skip, size_t size)
{
    int n = 0;

    for (int i = 0; i < count && size; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        out[n].iov_base = (char *)iov[i].iov_base + skip;
        out[n].iov_len = MIN(iov[i].iov_len - skip, size);
        size -= out[n].iov_len;
        skip = 0;
        n++;
    }
    return n;
}

void block_iov_fill(const struct iovec *iov, int count, int byte)
{
    for (int i = 0; i < count; i++) {
        memset(iov[i].iov_base, byte, iov[i].iov_len);
    }
}

void block_iov_gather(const struct iovec *iov, int count, void *to)
{
    char *at = to;

    for (int i = 0; i < count; i++) {
        memcpy(at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
}

void block_iov_scatter(const struct iovec *iov, int count, const void *from)
{
    const char *at = from;

    for (int i = 0; i < count; i++) {
        memcpy(iov[i].iov_base, at, iov[i].iov_len);
        at += iov[i].iov_len;
    }
}
