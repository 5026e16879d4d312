/* Reads and writes of an address space: RAM by copying, devices in the sizes that they declare. */
#include "core/memory-internal.h"

#include "core/lock.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

static uint64_t all_ones(unsigned size)
{
    return UINT64_MAX >> (64 - 8 * size);
}

static uint64_t swap(uint64_t value, unsigned size)
{
    return __builtin_bswap64(value) >> (64 - 8 * size);
}

static unsigned min_size(const RegionOps *ops)
{
    return ops->min_size ? ops->min_size : 1;
}

static unsigned max_size(const RegionOps *ops)
{
    return ops->max_size ? ops->max_size : 4;
}

/*
 * How much of an access at offset the device takes at once: all of it if it lies within one unit of
 * max_size bytes, as on a bus with byte enables, else its first naturally aligned piece.
 */
static unsigned piece_size(const RegionOps *ops, PhysAddr offset, unsigned size)
{
    unsigned unit = size < min_size(ops) ? min_size(ops) : max_size(ops);
    unsigned piece = unit;

    if ((offset & (unit - 1)) + size <= unit && (size & (size - 1)) == 0) {
        return size;
    }
    while (piece > size || (offset & (piece - 1))) {
        piece /= 2;
    }
    return piece;
}

/*
 * A device that is told to write into registers, its own or another's, may start over from there: each round in this
 * thread goes deeper into its stack. Real buses have an end of it too.
 */
enum { MAX_DEPTH = 8 };
static __thread unsigned depth;

static bool too_deep(const Region *region)
{
    if (depth == MAX_DEPTH) {
        guest_error(region->name, "reached by a device that was reached by a device, %d times over", MAX_DEPTH);
        return true;
    }
    return false;
}

/* One call of the device; a narrow access is cut out of one of min_size. */
static uint64_t read_piece(Region *region, PhysAddr offset, unsigned size)
{
    const RegionOps *ops = region->ops;
    unsigned wide = MAX(size, min_size(ops));
    PhysAddr start = size < wide ? offset & ~(PhysAddr)(wide - 1) : offset;
    uint64_t value;

    if (!ops->read || too_deep(region)) {
        return all_ones(size);
    }
    depth++;
    value = ops->read(region->opaque, start, wide);
    depth--;
    if (ops->endian == ENDIAN_BIG) {
        value = swap(value, wide);
    }
    return value >> (8 * (offset - start)) & all_ones(size);
}

static void write_piece(Region *region, PhysAddr offset, uint64_t value, unsigned size)
{
    const RegionOps *ops = region->ops;
    unsigned wide = MAX(size, min_size(ops));
    PhysAddr start = size < wide ? offset & ~(PhysAddr)(wide - 1) : offset;

    if (!ops->write || too_deep(region)) {
        return;
    }
    value = (value & all_ones(size)) << (8 * (offset - start));
    if (ops->endian == ENDIAN_BIG) {
        value = swap(value, wide);
    }
    depth++;
    ops->write(region->opaque, start, value, wide);
    depth--;
}

static uint64_t read_device(Region *region, PhysAddr offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned done = 0; done < size;) {
        unsigned n = piece_size(region->ops, offset + done, size - done);

        value |= read_piece(region, offset + done, n) << (8 * done);
        done += n;
    }
    return value;
}

static void write_device(Region *region, PhysAddr offset, uint64_t value, unsigned size)
{
    for (unsigned done = 0; done < size;) {
        unsigned n = piece_size(region->ops, offset + done, size - done);

        write_piece(region, offset + done, value >> (8 * done), n);
        done += n;
    }
}

/* Of an access that lies within the range found, under the lock unless it is RAM or a hole. */
static uint64_t load_range(const MemoryRange *range, PhysAddr addr, unsigned size)
{
    PhysAddr offset = range->offset + (addr - range->start);

    if (range->ram) {
        return load_le(range->ram->host + offset, size);
    }
    if (range->region) {
        return read_device(range->region, offset, size);
    }
    log_if(LOG_GUEST_ERRORS, "read of %u bytes at unassigned address 0x%" G_GINT64_MODIFIER "x\n",
           size, (guint64)addr);
    return all_ones(size);
}

static bool goes_to_ram(const MemoryRange *range)
{
    return range->ram && !range->readonly;
}

static bool goes_to_device(const MemoryRange *range)
{
    return range->region && range->region->ops && (!range->ram || range->region->romd);
}

static void store_range(const MemoryRange *range, PhysAddr addr, uint64_t value, unsigned size)
{
    PhysAddr offset = range->offset + (addr - range->start);

    if (goes_to_ram(range)) {
        store_le(range->ram->host + offset, value, size);
        ram_mark_dirty(range->ram, offset, size);
    } else if (goes_to_device(range)) {
        write_device(range->region, offset, value, size);
    } else if (!range->region) {
        log_if(LOG_GUEST_ERRORS,
               "write of %u bytes at unassigned address 0x%" G_GINT64_MODIFIER "x\n", size,
               (guint64)addr);
    }
}

/* The device need not be asked under the machine lock. The map may change meanwhile; whoever takes a device out
 * of a running machine stops the vCPUs before it frees anything. */
static bool is_unlocked(const MemoryRange *range)
{
    return range->region && range->region->ops && range->region->ops->unlocked;
}

static bool contains(const MemoryRange *range, PhysAddr addr, unsigned size)
{
    return range->last - addr >= size - 1;
}

uint64_t memory_load(AddressSpace *as, PhysAddr addr, unsigned size)
{
    MemoryRange range = address_space_find(as, addr);
    uint64_t value = 0;
    bool taken;

    if (!contains(&range, addr, size)) {
        for (unsigned i = 0; i < size; i++) {
            value |= memory_load(as, addr + i, 1) << (8 * i);
        }
        return value;
    }
    if (range.ram || is_unlocked(&range)) {
        return load_range(&range, addr, size);
    }
    taken = machine_lock_if();
    if (taken) {
        /* The map may have changed, and the device be gone, until we had the lock. */
        range = address_space_find(as, addr);
        if (!contains(&range, addr, size)) {
            value = memory_load(as, addr, size);
            machine_unlock();
            return value;
        }
    }
    value = load_range(&range, addr, size);
    machine_unlock_if(taken);
    return value;
}

void memory_store(AddressSpace *as, PhysAddr addr, uint64_t value, unsigned size)
{
    MemoryRange range = address_space_find(as, addr);
    bool taken;

    if (!contains(&range, addr, size)) {
        for (unsigned i = 0; i < size; i++) {
            memory_store(as, addr + i, value >> (8 * i), 1);
        }
        return;
    }
    if (goes_to_ram(&range) || is_unlocked(&range)) {
        store_range(&range, addr, value, size);
        return;
    }
    taken = machine_lock_if();
    if (taken) {
        range = address_space_find(as, addr);
        if (!contains(&range, addr, size)) {
            memory_store(as, addr, value, size);
            machine_unlock();
            return;
        }
    }
    store_range(&range, addr, value, size);
    machine_unlock_if(taken);
}

/* Bytes from addr to the end of its range, at most size. */
static uint64_t run_length(const MemoryRange *range, PhysAddr addr, uint64_t size)
{
    uint64_t left = range->last - addr; /* less one, for 2^64 does not fit */

    return size - 1 <= left ? size : left + 1;
}

/* The next naturally aligned access of a long transfer to a device. */
static unsigned step_size(PhysAddr addr, uint64_t size)
{
    unsigned step = 8;

    while (step > size || (addr & (step - 1))) {
        step /= 2;
    }
    return step;
}

void memory_read(AddressSpace *as, PhysAddr addr, void *buf, uint64_t size)
{
    uint8_t *to = buf;

    while (size) {
        MemoryRange range = address_space_find(as, addr);
        uint64_t n = run_length(&range, addr, size);

        if (range.ram) {
            memcpy(to, range.ram->host + range.offset + (addr - range.start), n);
        } else if (!range.region) {
            memset(to, 0xff, n);
        } else {
            uint64_t value;

            n = step_size(addr, n);
            value = memory_load(as, addr, n);
            memcpy(to, &value, n);
        }
        addr += n;
        to += n;
        size -= n;
    }
}

typedef enum WriteKind { WRITE_AS_GUEST, WRITE_ROM_TOO } WriteKind;

/* Writes buf, or `byte` all along if it is NULL. */
static void write_range(AddressSpace *as, PhysAddr addr, const uint8_t *buf, uint8_t byte,
                        uint64_t size, WriteKind kind)
{
    while (size) {
        MemoryRange range = address_space_find(as, addr);
        uint64_t n = run_length(&range, addr, size);

        if (range.ram && (!range.readonly || kind == WRITE_ROM_TOO)) {
            uint64_t offset = range.offset + (addr - range.start);

            if (buf) {
                memcpy(range.ram->host + offset, buf, n);
            } else {
                memset(range.ram->host + offset, byte, n);
            }
            ram_mark_dirty(range.ram, offset, n);
        } else if (goes_to_device(&range)) {
            uint64_t value = byte * 0x0101010101010101;

            n = step_size(addr, n);
            if (buf) {
                memcpy(&value, buf, n);
            }
            memory_store(as, addr, value, n);
        }
        addr += n;
        buf = buf ? buf + n : NULL;
        size -= n;
    }
}

void memory_write(AddressSpace *as, PhysAddr addr, const void *buf, uint64_t size)
{
    write_range(as, addr, buf, 0, size, WRITE_AS_GUEST);
}

void memory_fill(AddressSpace *as, PhysAddr addr, uint8_t byte, uint64_t size)
{
    write_range(as, addr, NULL, byte, size, WRITE_AS_GUEST);
}

void memory_load_rom(AddressSpace *as, PhysAddr addr, const void *buf, uint64_t size)
{
    write_range(as, addr, buf, 0, size, WRITE_ROM_TOO);
}

void *memory_map(AddressSpace *as, PhysAddr addr, uint64_t *size, bool is_write, RamBlock **ram,
                 uint64_t *offset)
{
    MemoryRange range = address_space_find(as, addr);
    uint64_t at = range.offset + (addr - range.start);

    if (!range.ram || (is_write && range.readonly) || *size == 0) {
        return NULL;
    }
    *size = run_length(&range, addr, *size);
    if (ram) {
        *ram = range.ram;
    }
    if (offset) {
        *offset = at;
    }
    return range.ram->host + at;
}
