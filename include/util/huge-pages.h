/*
 * Memory with few faults of the host: in huge pages, one for each 512 small ones, and fewer misses in its TLB; or small ones, many
 * at once.
 */
#ifndef UTIL_HUGE_PAGES_H
#define UTIL_HUGE_PAGES_H

#include "util/bits.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

/*
 * Zeros, at a boundary of huge pages if there is room for one, and in these if the host has any; munmap() gives them back. NULL and
 * errno if there is no address space. Private, since few hosts give huge pages to shared memory. Inline, as some of who call it are
 * compiled without vectors.
 */
static inline void *huge_pages_map(size_t size)
{
    size_t align = size >= HUGE_PAGE ? HUGE_PAGE : 4096;
    uint8_t *reserved = (uint8_t *)mmap(NULL, size + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint8_t *start, *end;

    if (reserved == MAP_FAILED) {
        return NULL;
    }
    start = (uint8_t *)(uintptr_t)round_up((uintptr_t)reserved, align);
    end = start + size;
    if (start > reserved) {
        munmap(reserved, start - reserved);
    }
    if (end < reserved + size + align) {
        munmap(end, reserved + size + align - end);
    }
    if (size >= HUGE_PAGE) {
        madvise(start, size, MADV_HUGEPAGE); /* a wish */
    }
    return start;
}

/* So many bytes, from a page's start, are about to be written here and there: at once that costs less than a fault for each page. */
static inline void touch_pages(void *pages, size_t size)
{
#ifdef MADV_POPULATE_WRITE
    (void)!madvise(pages, size, MADV_POPULATE_WRITE); /* older kernels do not know it */
#endif
}

#endif
