/* SCSI commands under way: their life, and how data move between the medium and the initiator. */
#include "hw/scsi/internal.h"

#include "util/log.h"

#include <errno.h>
#include <string.h>

unsigned scsi_cdb_size(uint8_t first)
{
    static const uint8_t sizes[8] = { 6, 10, 10, 16, 16, 12, 16, 16 };

    return sizes[first >> 5];
}

ScsiRequest *scsi_request_new(ScsiBus *bus, int channel, int target, int lun, uint64_t tag,
                              const uint8_t *cdb, unsigned size, void *hba)
{
    ScsiRequest *r = g_new0(ScsiRequest, 1);

    r->bus = bus;
    r->dev = scsi_device_find(bus, channel, target, lun);
    r->hba = hba;
    r->tag = tag;
    r->channel = channel;
    r->target = target;
    r->lun = lun;
    r->cdb_size = MIN(size ? size : scsi_cdb_size(cdb[0]), SCSI_CDB_MAX);
    memcpy(r->cdb, cdb, r->cdb_size);
    r->references = 1;
    return r;
}

ScsiRequest *scsi_request_ref(ScsiRequest *r)
{
    r->references++;
    return r;
}

void scsi_request_unref(ScsiRequest *r)
{
    g_assert(r->references > 0);
    if (--r->references == 0) {
        g_free(r->part);
        g_free(r->buffer);
        g_free(r->other);
        g_free(r);
    }
}

/* While it runs it has a reference of its own and is on its unit's list. */
static void retire(ScsiRequest *r)
{
    r->finished = true;
    if (r->dev) {
        g_ptr_array_remove(r->dev->requests, r);
    }
}

void scsi_request_start(ScsiRequest *r, const struct iovec *iov, int count)
{
    g_assert(!r->started);
    r->started = true;
    r->iov = count < 0 ? NULL : iov;
    r->iov_count = count;
    for (int i = 0; i < count; i++) {
        r->iov_total += iov[i].iov_len;
    }
    scsi_request_ref(r);
    if (r->dev) {
        g_ptr_array_add(r->dev->requests, r);
    }
    trace("scsi_command", "%s %d.%d: %02x %02x %02x%02x%02x%02x %02x%02x%02x", r->bus->bus.name, r->target, r->lun,
          r->cdb[0], r->cdb[1], r->cdb[2], r->cdb[3], r->cdb[4], r->cdb[5], r->cdb[6], r->cdb[7], r->cdb[8]);
    scsi_command(r);
}

static void tell_cancelled(ScsiRequest *r)
{
    if (r->bus->ops->cancelled) {
        r->bus->ops->cancelled(r);
    }
    scsi_request_unref(r);
}

void scsi_request_cancel(ScsiRequest *r)
{
    if (r->finished || r->cancelled || !r->started) {
        return;
    }
    r->cancelled = true;
    retire(r);
    if (!r->in_flight) {
        tell_cancelled(r);
    }
}

/* ---- ends ---- */

void scsi_finish(ScsiRequest *r, uint8_t status)
{
    if (r->finished) {
        return;
    }
    r->status = status;
    if (r->dev && !r->bus->ops->autosense && r->cdb[0] != 0x03) {
        r->dev->s.sense_key = r->sense.key;
        r->dev->s.asc = r->sense.asc;
        r->dev->s.ascq = r->sense.ascq;
    }
    retire(r);
    r->bus->ops->complete(r);
    scsi_request_unref(r);
}

void scsi_good(ScsiRequest *r)
{
    r->sense = sense_none;
    scsi_finish(r, SCSI_GOOD);
}

void scsi_check(ScsiRequest *r, ScsiSense sense)
{
    trace("scsi_check", "%s %d.%d: command %02x: sense %x/%02x/%02x", r->bus->bus.name, r->target, r->lun, r->cdb[0],
          sense.key, sense.asc, sense.ascq);
    r->sense = sense;
    scsi_finish(r, SCSI_CHECK_CONDITION);
}

void scsi_check_at(ScsiRequest *r, ScsiSense sense, uint64_t sector)
{
    r->info = sector;
    r->has_info = true;
    scsi_check(r, sense);
}

void scsi_fail_errno(ScsiRequest *r, int error, bool is_write)
{
    switch (error) {
    case ENOMEDIUM:
        scsi_check(r, sense_no_medium);
        break;
    case EROFS:
    case EPERM:
        scsi_check(r, sense_write_protected);
        break;
    case ENOSPC:
        scsi_check(r, sense_space_full);
        break;
    case EINVAL:
        scsi_check(r, sense_lba_range);
        break;
    case ENOMEM:
        scsi_check(r, sense_target_failure);
        break;
    default:
        scsi_check_at(r, is_write ? sense_write_error : sense_read_error, r->offset / r->dev->logical_block);
    }
}

static void block_ended(void *opaque, int error)
{
    ScsiRequest *r = opaque;
    ScsiBus *bus = r->bus;

    scsi_bus_enter(bus);
    r->in_flight = false;
    if (r->cancelled) {
        tell_cancelled(r);
    } else {
        r->block_done(r, error);
    }
    scsi_bus_leave(bus);
}

BlockDone *scsi_block(ScsiRequest *r, void (*done)(ScsiRequest *r, int error))
{
    r->in_flight = true;
    r->block_done = done;
    return block_ended;
}

void scsi_block_done(ScsiRequest *r, int error)
{
    if (error) {
        scsi_fail_errno(r, error, true);
    } else {
        scsi_good(r);
    }
}

/* ---- chunks ---- */

static uint8_t *get_buffer(ScsiRequest *r, uint32_t size)
{
    if (!r->buffer) {
        r->buffer = g_malloc(MIN(MAX(size, 512u), SCSI_CHUNK));
    }
    return r->buffer;
}

/* Copies between the buffer and the scatter list, from where the last copy ended. */
static void copy_scattered(ScsiRequest *r, bool to_list)
{
    uint64_t skip = r->moved;
    uint32_t done = 0;

    for (int i = 0; i < r->iov_count && done < r->chunk; i++) {
        size_t n;

        if (skip >= r->iov[i].iov_len) {
            skip -= r->iov[i].iov_len;
            continue;
        }
        n = MIN(r->iov[i].iov_len - skip, r->chunk - done);
        if (to_list) {
            memcpy((uint8_t *)r->iov[i].iov_base + skip, r->buffer + done, n);
        } else {
            memcpy(r->buffer + done, (uint8_t *)r->iov[i].iov_base + skip, n);
        }
        done += n;
        skip = 0;
    }
    if (!to_list) {
        memset(r->buffer + done, 0, r->chunk - done);
    }
    r->moved += done;
}

/* What the guest meant to be read is not written, and the reverse: the list is as good as empty. */
static void check_direction(ScsiRequest *r, ScsiDirection direction)
{
    r->direction = direction;
    if (r->iov_count > 0 && r->list_direction != direction) {
        r->iov_count = 0;
        r->iov_total = 0;
    }
}

static void move_chunk(ScsiRequest *r, ScsiDirection direction, uint32_t size, void (*step)(ScsiRequest *r))
{
    check_direction(r, direction);
    r->chunk = size;
    r->step = step;
    if (r->iov_count >= 0) {
        copy_scattered(r, direction == SCSI_TO_HOST);
        step(r);
    } else {
        r->bus->ops->data(r, direction, r->buffer, size);
    }
}

void scsi_request_continue(ScsiRequest *r)
{
    void (*step)(ScsiRequest *) = r->step;

    if (r->finished || !step) {
        return;
    }
    r->step = NULL;
    r->moved += r->chunk;
    step(r);
}

void scsi_answer(ScsiRequest *r, const void *data, uint32_t size, uint32_t allocated)
{
    size = MIN(MIN(size, allocated), SCSI_CHUNK);
    r->wanted = size;
    if (!size) {
        scsi_good(r);
        return;
    }
    memcpy(get_buffer(r, size), data, size);
    move_chunk(r, SCSI_TO_HOST, size, scsi_good);
}

void scsi_collect(ScsiRequest *r, uint32_t size, void (*received)(ScsiRequest *r))
{
    r->wanted = size;
    get_buffer(r, size);
    move_chunk(r, SCSI_FROM_HOST, size, received);
}

/* ---- the medium ---- */

/* False: the command wants more than the scatter list has, which is how it ends. */
static bool begin_medium(ScsiRequest *r, ScsiDirection direction, uint64_t offset, uint64_t size)
{
    check_direction(r, direction);
    r->offset = offset;
    r->left = size;
    r->wanted = size;
    if (r->iov_count >= 0 && size > r->iov_total) {
        scsi_good(r);
        return false;
    }
    if (!size) {
        scsi_good(r);
        return false;
    }
    return true;
}

/* The head of the scatter list, `size` bytes of it. */
static int list_head(ScsiRequest *r, uint64_t size, const struct iovec **list)
{
    int n = 0;

    *list = r->iov;
    if (size == r->iov_total) {
        return r->iov_count;
    }
    r->part = g_new(struct iovec, r->iov_count);
    while (size) {
        r->part[n] = r->iov[n];
        r->part[n].iov_len = MIN(size, r->iov[n].iov_len);
        size -= r->part[n].iov_len;
        n++;
    }
    *list = r->part;
    return n;
}

static void list_done(ScsiRequest *r, int error)
{
    if (error) {
        scsi_fail_errno(r, error, r->direction == SCSI_FROM_HOST);
        return;
    }
    r->moved = r->left;
    scsi_good(r);
}

static void read_next(ScsiRequest *r);

static void chunk_read(ScsiRequest *r, int error)
{
    if (error) {
        scsi_fail_errno(r, error, false);
        return;
    }
    r->offset += r->chunk;
    r->left -= r->chunk;
    move_chunk(r, SCSI_TO_HOST, r->chunk, r->left ? read_next : scsi_good);
}

/* Reads the next chunk into the buffer. */
static void read_chunk(ScsiRequest *r, uint8_t *buffer, uint32_t size, void (*done)(ScsiRequest *r, int error))
{
    r->chunk = size;
    r->whole = (struct iovec){ buffer, size };
    block_read(r->dev->blk, r->offset, &r->whole, 1, scsi_block(r, done), r);
}

static void read_next(ScsiRequest *r)
{
    read_chunk(r, get_buffer(r, r->left), MIN(r->left, SCSI_CHUNK), chunk_read);
}

void scsi_read_medium(ScsiRequest *r, uint64_t offset, uint64_t size)
{
    const struct iovec *list;
    int count;

    if (!begin_medium(r, SCSI_TO_HOST, offset, size)) {
        return;
    }
    if (r->iov_count < 0) {
        read_next(r);
        return;
    }
    count = list_head(r, size, &list);
    block_read(r->dev->blk, offset, list, count, scsi_block(r, list_done), r);
}

static void write_next(ScsiRequest *r);

static void chunk_written(ScsiRequest *r, int error)
{
    if (error) {
        scsi_fail_errno(r, error, true);
        return;
    }
    r->offset += r->chunk;
    r->left -= r->chunk;
    if (r->left) {
        write_next(r);
    } else {
        scsi_good(r);
    }
}

static void write_chunk(ScsiRequest *r)
{
    r->whole = (struct iovec){ r->buffer, r->chunk };
    block_write(r->dev->blk, r->offset, &r->whole, 1, r->flags, scsi_block(r, chunk_written), r);
}

static void write_next(ScsiRequest *r)
{
    get_buffer(r, r->left);
    move_chunk(r, SCSI_FROM_HOST, MIN(r->left, SCSI_CHUNK), write_chunk);
}

void scsi_write_medium(ScsiRequest *r, uint64_t offset, uint64_t size, unsigned flags)
{
    const struct iovec *list;
    int count;

    r->flags = flags;
    if (!begin_medium(r, SCSI_FROM_HOST, offset, size)) {
        return;
    }
    if (r->iov_count < 0) {
        write_next(r);
        return;
    }
    count = list_head(r, size, &list);
    block_write(r->dev->blk, offset, list, count, flags, scsi_block(r, list_done), r);
}

/* ---- VERIFY ---- */

static void compare_next(ScsiRequest *r);

static void compare_chunk(ScsiRequest *r, int error)
{
    if (error) {
        scsi_fail_errno(r, error, false);
        return;
    }
    if (memcmp(r->buffer, r->other, r->chunk) != 0) {
        scsi_check(r, sense_miscompare);
        return;
    }
    r->offset += r->chunk;
    r->left -= r->chunk;
    if (r->left) {
        compare_next(r);
    } else {
        scsi_good(r);
    }
}

static void read_to_compare(ScsiRequest *r)
{
    if (!r->other) {
        r->other = g_malloc(SCSI_CHUNK);
    }
    read_chunk(r, r->other, r->chunk, compare_chunk);
}

static void compare_next(ScsiRequest *r)
{
    get_buffer(r, r->left);
    move_chunk(r, SCSI_FROM_HOST, MIN(r->left, SCSI_CHUNK), read_to_compare);
}

void scsi_compare_medium(ScsiRequest *r, uint64_t offset, uint64_t size)
{
    if (begin_medium(r, SCSI_FROM_HOST, offset, size)) {
        compare_next(r);
    }
}

static void verify_next(ScsiRequest *r);

static void chunk_verified(ScsiRequest *r, int error)
{
    if (error) {
        scsi_fail_errno(r, error, false);
        return;
    }
    r->offset += r->chunk;
    r->left -= r->chunk;
    if (r->left) {
        verify_next(r);
    } else {
        scsi_good(r);
    }
}

static void verify_next(ScsiRequest *r)
{
    read_chunk(r, get_buffer(r, r->left), MIN(r->left, SCSI_CHUNK), chunk_verified);
}

void scsi_verify_medium(ScsiRequest *r, uint64_t offset, uint64_t size)
{
    r->offset = offset;
    r->left = size;
    if (size) {
        verify_next(r);
    } else {
        scsi_good(r);
    }
}

/* ---- READ CD with headers ---- */

#define RAW_AT_ONCE (SCSI_CHUNK / MMC_RAW_SECTOR)

static void raw_next(ScsiRequest *r);

static void raw_read(ScsiRequest *r, int error)
{
    uint32_t count = r->chunk / MMC_SECTOR;

    if (error) {
        scsi_fail_errno(r, error, false);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        mmc_make_raw(r->buffer + i * MMC_RAW_SECTOR, r->other + i * MMC_SECTOR, r->offset / MMC_SECTOR + i);
    }
    r->offset += r->chunk;
    r->left -= r->chunk;
    move_chunk(r, SCSI_TO_HOST, count * MMC_RAW_SECTOR, r->left ? raw_next : scsi_good);
}

static void raw_next(ScsiRequest *r)
{
    read_chunk(r, r->other, MIN(r->left, RAW_AT_ONCE * MMC_SECTOR), raw_read);
}

void scsi_read_raw_sectors(ScsiRequest *r, uint32_t lba, uint32_t count)
{
    r->offset = (uint64_t)lba * MMC_SECTOR;
    r->left = (uint64_t)count * MMC_SECTOR;
    r->wanted = (uint64_t)count * MMC_RAW_SECTOR;
    r->buffer = g_malloc(SCSI_CHUNK);
    r->other = g_malloc(RAW_AT_ONCE * MMC_SECTOR);
    raw_next(r);
}
