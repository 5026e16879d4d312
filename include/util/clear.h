/* Clearing some hundred bytes at every turn. */
#ifndef UTIL_CLEAR_H
#define UTIL_CLEAR_H

#include <stddef.h>
#include <string.h>

/*
 * Where the compiler knows the size it writes `rep stos` (from 96 bytes on), which takes 18 ns however few they are, on a Zen 5. The
 * library's function takes 3 to 5; it uses vector registers, so this is nothing for code that is for general registers only.
 */
static inline void clear_bytes(void *p, size_t size)
{
    __asm__("" : "+r"(size)); /* as if it were not known */
    memset(p, 0, size);
}

#endif
