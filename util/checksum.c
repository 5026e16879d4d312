/* The Internet's ones' complement checksum, eight bytes at a time. */
#include "util/checksum.h"

#include <glib.h>
#include <string.h>

/* RFC 1071: the sum may be made in either byte order and of words of any width, and folded at the end. */
uint32_t checksum_add(uint32_t sum, const void *data, size_t size)
{
    const uint8_t *p = data;
    uint64_t low = 0, high = 0, word = 0;

    for (; size >= 16; size -= 16, p += 16) {
        uint64_t a, b;

        memcpy(&a, p, 8);
        memcpy(&b, p + 8, 8);
        low += (a & 0xffffffff) + (b & 0xffffffff);
        high += (a >> 32) + (b >> 32);
    }
    for (; size >= 2; size -= 2, p += 2) {
        uint16_t half;

        memcpy(&half, p, 2);
        low += half;
    }
    memcpy(&word, p, size); /* an odd byte is the first of its word in memory, whatever the order */
    low += high + word;
    while (low >> 16) {
        low = (low & 0xffff) + (low >> 16);
    }
    low = GUINT16_FROM_BE((uint16_t)low) + (uint64_t)sum;
    while (low >> 16) {
        low = (low & 0xffff) + (low >> 16);
    }
    return low;
}
