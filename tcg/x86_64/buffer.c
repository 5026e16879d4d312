/*
 * The code buffer: one memfd mapped twice, once writable and once executable, in regions that are
 * filled in turn. The thunks lie before the first region.
 *
 * What a block does usually, and what is out of line, are in two parts of the region: the host's instruction cache, its TLB and
 * what it decodes ahead have mostly the former then. Both parts are filled upward, so blocks have the same order in both.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/huge-pages.h"

#define DEFAULT_SIZE (256 * 1024 * 1024) /* a desktop's boot fills 64 MiB */
#define MIN_SIZE     (16 * 1024 * 1024)
#define MAX_SIZE     (1024 * 1024 * 1024) /* rel32 reaches everything */
#define REGIONS      16
#define THUNK_SIZE   (64 * 1024)
#define AHEAD        (256 * 1024) /* of what is written next, the host's pages are there */

static struct {
    uint8_t *write;
    const uint8_t *exec;
    uint64_t size, region_size;
    unsigned region;
    uint64_t usual_size[REGIONS];    /* of the first part */
    uint64_t used[REGIONS][2]; /* bytes of each part */
    uint64_t thunks_used;
    uint64_t populated[2]; /* of each part, from the first region on */
    bool in_regions;
} buffer;

bool buffer_init(uint64_t size, GError **error)
{
    int fd = memfd_create("myna-code", MFD_CLOEXEC);
    void *write = MAP_FAILED, *exec = MAP_FAILED;

    buffer.size = CLAMP(size ? size : DEFAULT_SIZE, MIN_SIZE, MAX_SIZE);
    buffer.region_size = buffer.size / REGIONS & ~(uint64_t)4095;
    buffer.size = buffer.region_size * REGIONS + THUNK_SIZE;
    if (fd >= 0 && ftruncate(fd, buffer.size) == 0) {
        write = mmap(NULL, buffer.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        exec = mmap(NULL, buffer.size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    if (write == MAP_FAILED || exec == MAP_FAILED) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot map %" PRIu64 " bytes for code: %s",
                    buffer.size, g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    close(fd);
    buffer.write = write;
    buffer.exec = exec;
    return true;
}

static uint64_t region_start(unsigned region)
{
    return THUNK_SIZE + region * buffer.region_size;
}

/* Many of the host's pages at once, which costs less than a fault for each. Regions are first filled in their order. */
static void populate(unsigned part, uint64_t offset)
{
    uint64_t *populated = &buffer.populated[part];

    if (offset >= *populated) {
        uint64_t start = MAX(offset & ~(uint64_t)4095, *populated);

        *populated = MIN(start + AHEAD, buffer.size);
        touch_pages(buffer.write + start, *populated - start);
#ifdef MADV_POPULATE_READ
        (void)!madvise((void *)(buffer.exec + start), *populated - start, MADV_POPULATE_READ);
#endif
    }
}

static uint64_t cold_start(unsigned region)
{
    return region_start(region) + buffer.usual_size[region];
}

/* In the proportion that the region before was filled in; that may be empty, when two vCPUs wanted room at once. */
static void divide_region(unsigned region, const uint64_t filled[2])
{
    uint64_t all = filled[0] + filled[1], quarter = buffer.region_size / 4;
    uint64_t usual = all ? (uint64_t)((double)buffer.region_size * filled[0] / all) : 2 * quarter;

    buffer.usual_size[region] = CLAMP(usual, quarter, 3 * quarter) & ~UINT64_C(63);
}

void buffer_begin(Asm *a, AsmRoom *cold)
{
    uint64_t offset = buffer.in_regions ? region_start(buffer.region) + buffer.used[buffer.region][0]
                                        : buffer.thunks_used;

    if (buffer.in_regions) {
        populate(0, offset);
    }
    a->start = a->p = buffer.write + offset;
    a->limit = buffer.write + (buffer.in_regions ? cold_start(buffer.region) : THUNK_SIZE);
    if (cold) {
        cold->p = buffer.write + cold_start(buffer.region) + buffer.used[buffer.region][1];
        cold->limit = buffer.write + region_start(buffer.region + 1);
        populate(1, cold->p - buffer.write);
    }
    a->fusible = NULL;
    a->dodge = false;
    a->to_exec = (intptr_t)buffer.exec - (intptr_t)buffer.write;
}

void buffer_start_regions(void)
{
    static const uint64_t at_first[2] = { 57, 43 };

    divide_region(0, at_first);
    buffer.in_regions = true;
}

void buffer_end(const Asm *a, const AsmRoom *cold)
{
    uint64_t end = a->p - buffer.write;

    g_assert(a->p <= a->limit);
    if (buffer.in_regions) {
        g_assert(cold->p <= cold->limit);
        buffer.used[buffer.region][0] = end - region_start(buffer.region);
        buffer.used[buffer.region][1] = cold->p - buffer.write - cold_start(buffer.region);
    } else {
        buffer.thunks_used = end;
    }
}

uint8_t *buffer_writable(const void *code)
{
    return buffer.write + ((const uint8_t *)code - buffer.exec);
}

bool tcg_is_code(uintptr_t pc)
{
    return pc - (uintptr_t)buffer.exec - THUNK_SIZE < buffer.size - THUNK_SIZE;
}

unsigned tcg_region_count(void)
{
    return REGIONS;
}

unsigned tcg_region_of(const void *code)
{
    return ((uintptr_t)code - (uintptr_t)buffer.exec - THUNK_SIZE) / buffer.region_size;
}

bool tcg_is_out_of_line(uintptr_t pc)
{
    uint64_t offset = pc - (uintptr_t)buffer.exec;

    /* A return address may be right behind the code. */
    return offset > cold_start(tcg_region_of((const void *)pc));
}

unsigned tcg_region_current(void)
{
    return buffer.region;
}

unsigned tcg_region_next(void)
{
    unsigned before = buffer.region;

    buffer.region = (buffer.region + 1) % REGIONS;
    divide_region(buffer.region, buffer.used[before]);
    buffer.used[buffer.region][0] = buffer.used[buffer.region][1] = 0;
    metadata_clear(buffer.region);
    return buffer.region;
}

void tcg_code_usage(uint64_t *used, uint64_t *size)
{
    *used = 0;
    for (unsigned i = 0; i < REGIONS; i++) {
        *used += buffer.used[i][0] + buffer.used[i][1];
    }
    *size = buffer.size - THUNK_SIZE;
}
