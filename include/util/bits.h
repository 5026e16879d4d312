/* Byte order, bit fields and small integer arithmetic. */
#ifndef UTIL_BITS_H
#define UTIL_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LOAD_STORE(bits, order, swap)                                             \
    static inline uint##bits##_t load_##order##bits(const void *p)                \
    {                                                                             \
        uint##bits##_t v;                                                         \
        memcpy(&v, p, sizeof(v));                                                 \
        return swap(v);                                                           \
    }                                                                             \
    static inline void store_##order##bits(void *p, uint##bits##_t v)             \
    {                                                                             \
        v = swap(v);                                                              \
        memcpy(p, &v, sizeof(v));                                                 \
    }

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BITS_SAME(v) (v)
LOAD_STORE(16, le, BITS_SAME)
LOAD_STORE(32, le, BITS_SAME)
LOAD_STORE(64, le, BITS_SAME)
LOAD_STORE(16, be, __builtin_bswap16)
LOAD_STORE(32, be, __builtin_bswap32)
LOAD_STORE(64, be, __builtin_bswap64)
#undef BITS_SAME
#else
#error "big-endian hosts are not supported"
#endif
#undef LOAD_STORE

/* Of 1, 2, 4 or 8 bytes. */
static inline uint64_t load_le(const void *p, unsigned size)
{
    switch (size) {
    case 1:
        return *(const uint8_t *)p;
    case 2:
        return load_le16(p);
    case 4:
        return load_le32(p);
    default:
        return load_le64(p);
    }
}

static inline void store_le(void *p, uint64_t v, unsigned size)
{
    switch (size) {
    case 1:
        *(uint8_t *)p = v;
        break;
    case 2:
        store_le16(p, v);
        break;
    case 4:
        store_le32(p, v);
        break;
    default:
        store_le64(p, v);
    }
}

static inline uint64_t bits_get(uint64_t v, unsigned low, unsigned width)
{
    return v >> low & (UINT64_MAX >> (64 - width));
}

static inline uint64_t bits_set(uint64_t v, unsigned low, unsigned width, uint64_t field)
{
    uint64_t mask = (UINT64_MAX >> (64 - width)) << low;

    return (v & ~mask) | (field << low & mask);
}

static inline int64_t sign_extend(uint64_t v, unsigned width)
{
    return (int64_t)(v << (64 - width)) >> (64 - width);
}

static inline uint64_t round_up(uint64_t v, uint64_t power_of_two)
{
    return (v + power_of_two - 1) & -power_of_two;
}

/* a * b / c without overflow in between. */
static inline uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
    return (unsigned __int128)a * b / c;
}

#endif
