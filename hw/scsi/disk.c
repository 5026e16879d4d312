/*
 * SCSI disks: the block commands.
 *
 * SBC-3.
 */
#include "hw/scsi/internal.h"

#include "util/bits.h"

#include <string.h>

/* The first block and the number of blocks of a command that moves blocks. */
typedef struct Range {
    uint64_t lba;
    uint32_t count;
} Range;

static Range range_of(const ScsiRequest *r)
{
    const uint8_t *c = r->cdb;

    switch (c[0] >> 5) {
    case 0:
        return (Range){ (c[1] & 31) << 16 | load_be16(c + 2), c[4] ? c[4] : 256 };
    case 1:
    case 2:
        return (Range){ load_be32(c + 2), load_be16(c + 7) };
    case 5:
        return (Range){ load_be32(c + 2), load_be32(c + 6) };
    default:
        return (Range){ load_be64(c + 2), load_be32(c + 10) };
    }
}

static uint64_t disk_blocks(const ScsiDevice *dev)
{
    return block_size(dev->blk) / dev->logical_block;
}

/* Ends the command with an error if the blocks are not there, or must not be written. */
static bool check_range(ScsiRequest *r, Range range, bool is_write)
{
    uint64_t total = disk_blocks(r->dev);

    if (is_write && block_readonly(r->dev->blk)) {
        scsi_check(r, sense_write_protected);
        return false;
    }
    if (range.lba > total || range.count > total - range.lba) {
        scsi_check_at(r, sense_lba_range, range.lba);
        return false;
    }
    return true;
}

/* Protection information, which the disk has none of, is asked for. */
static bool wants_protection(const ScsiRequest *r)
{
    return r->cdb_size > 6 && r->cdb[1] & 0xe0;
}

static void read_write(ScsiRequest *r, bool is_write)
{
    Range range = range_of(r);
    uint32_t block = r->dev->logical_block;

    if (wants_protection(r)) {
        scsi_check(r, sense_invalid_field);
    } else if (!check_range(r, range, is_write)) {
        return;
    } else if (is_write) {
        bool fua = r->cdb_size > 6 && r->cdb[1] & 8;

        scsi_write_medium(r, range.lba * block, (uint64_t)range.count * block, fua ? BLOCK_FUA : 0);
    } else {
        scsi_read_medium(r, range.lba * block, (uint64_t)range.count * block);
    }
}

static void write_and_verify(ScsiRequest *r)
{
    Range range = range_of(r);
    uint32_t block = r->dev->logical_block;

    if (wants_protection(r)) {
        scsi_check(r, sense_invalid_field);
    } else if (check_range(r, range, true)) {
        scsi_write_medium(r, range.lba * block, (uint64_t)range.count * block, BLOCK_FUA);
    }
}

static void verify(ScsiRequest *r)
{
    Range range = range_of(r);
    uint32_t block = r->dev->logical_block;
    unsigned compare = r->cdb[1] >> 1 & 3;

    if (wants_protection(r) || compare > 1) {
        scsi_check(r, sense_invalid_field);
    } else if (!check_range(r, range, false)) {
        return;
    } else if (compare) {
        scsi_compare_medium(r, range.lba * block, (uint64_t)range.count * block);
    } else {
        scsi_verify_medium(r, range.lba * block, (uint64_t)range.count * block);
    }
}

/* ---- WRITE SAME ---- */

#define SAME_AT_ONCE (SCSI_CHUNK)

static void same_next(ScsiRequest *r);

static void same_written(ScsiRequest *r, int error)
{
    if (error) {
        scsi_fail_errno(r, error, true);
        return;
    }
    r->offset += r->whole.iov_len;
    r->left -= r->whole.iov_len;
    if (r->left) {
        same_next(r);
    } else {
        scsi_good(r);
    }
}

static void same_next(ScsiRequest *r)
{
    r->whole = (struct iovec){ r->other, MIN(r->left, SAME_AT_ONCE) };
    block_write(r->dev->blk, r->offset, &r->whole, 1, 0, scsi_block(r, same_written), r);
}

static bool all_zero(const uint8_t *data, size_t size)
{
    return !data[0] && memcmp(data, data + 1, size - 1) == 0;
}

static void same_zero(ScsiRequest *r)
{
    block_write_zeroes(r->dev->blk, r->offset, r->left, r->cdb[1] & 8 ? BLOCK_MAY_UNMAP : 0, scsi_block(r, scsi_block_done), r);
}

static void same_received(ScsiRequest *r)
{
    uint32_t block = r->dev->logical_block;

    if (all_zero(r->buffer, block)) {
        same_zero(r);
        return;
    }
    r->other = g_malloc(SAME_AT_ONCE);
    for (uint32_t at = 0; at < SAME_AT_ONCE; at += block) {
        memcpy(r->other + at, r->buffer, block);
    }
    same_next(r);
}

static void write_same(ScsiRequest *r)
{
    Range range = range_of(r);
    uint32_t block = r->dev->logical_block;
    bool without_data = r->cdb[0] == 0x93 && r->cdb[1] & 1;

    /* Protection, anchors and the obsolete forms that write addresses. */
    if (r->cdb[1] & 0xf6 || (without_data && !(r->cdb[1] & 8))) {
        scsi_check(r, sense_invalid_field);
        return;
    }
    if (!check_range(r, range, true)) {
        return;
    }
    r->offset = range.lba * block;
    r->left = range.count ? (uint64_t)range.count * block : block_size(r->dev->blk) - r->offset;
    if (r->left > UINT64_C(1) << 31) { /* more than the block limits page allows */
        scsi_check(r, sense_invalid_field);
    } else if (!r->left) {
        scsi_good(r);
    } else if (without_data) {
        same_zero(r);
    } else {
        scsi_collect(r, block, same_received);
    }
}

/* ---- UNMAP ---- */

static void unmap_next(ScsiRequest *r, int error)
{
    ScsiDevice *dev = r->dev;

    while (!error && r->left) { /* descriptors not looked at, from r->offset in the buffer */
        const uint8_t *entry = r->buffer + r->offset;
        Range range = { load_be64(entry), load_be32(entry + 8) };

        r->left--;
        r->offset += 16;
        if (!range.count) {
            continue;
        }
        if (check_range(r, range, true)) {
                    block_discard(dev->blk, range.lba * dev->logical_block, (uint64_t)range.count * dev->logical_block,
                          scsi_block(r, unmap_next), r);
        }
        return;
    }
    if (error) {
        scsi_fail_errno(r, error, true);
    } else {
        scsi_good(r);
    }
}

static void unmap_received(ScsiRequest *r)
{
    uint32_t size = r->chunk;
    unsigned list = load_be16(r->buffer + 2);

    if (list % 16 || list > size - 8) {
        scsi_check(r, sense_parameter_length);
        return;
    }
    if (list / 16 > 255) {
        scsi_check(r, sense_parameter_value);
        return;
    }
    r->offset = 8;
    r->left = list / 16;
    unmap_next(r, 0);
}

static void unmap(ScsiRequest *r)
{
    uint32_t size = load_be16(r->cdb + 7);

    if (!scsi_discard_granularity(r->dev)) {
        scsi_check(r, sense_invalid_opcode);
    } else if (r->cdb[1] & 1) {
        scsi_check(r, sense_invalid_field);
    } else if (!size) {
        scsi_good(r);
    } else if (size < 8) {
        scsi_check(r, sense_parameter_length);
    } else {
        scsi_collect(r, size, unmap_received);
    }
}

/* ---- capacity, cache, motor ---- */

static void read_capacity_10(ScsiRequest *r)
{
    uint8_t b[8];

    store_be32(b, MIN(disk_blocks(r->dev) - 1, UINT32_MAX));
    store_be32(b + 4, r->dev->logical_block);
    scsi_answer(r, b, sizeof(b), sizeof(b));
}

static unsigned exponent(uint32_t ratio)
{
    return ratio ? 31 - __builtin_clz(ratio) : 0;
}

static void read_capacity_16(ScsiRequest *r)
{
    const ScsiDevice *dev = r->dev;
    uint8_t b[32] = { 0 };

    store_be64(b, disk_blocks(dev) - 1);
    store_be32(b + 8, dev->logical_block);
    b[13] = exponent(dev->physical_block / dev->logical_block);
    b[14] = scsi_discard_granularity(dev) ? 0x80 : 0; /* LBPME */
    scsi_answer(r, b, sizeof(b), load_be32(r->cdb + 10));
}

static void synchronize_cache(ScsiRequest *r)
{
    if (check_range(r, range_of(r), false)) {
        r->offset = 0;
            block_flush(r->dev->blk, scsi_block(r, scsi_block_done), r);
    }
}

static void start_stop(ScsiRequest *r)
{
    ScsiDevice *dev = r->dev;
    ScsiSense sense;

    if (dev->removable && (r->cdb[4] & 2)) {
        if (!mmc_start_stop(&dev->s.mmc, dev->blk, r->cdb, &sense)) {
            scsi_check(r, sense);
            return;
        }
    } else if (!(r->cdb[4] & 0xf0)) { /* power conditions are all the same to it */
        dev->s.stopped = !(r->cdb[4] & 1);
    }
    if (dev->s.stopped) {
            block_flush(dev->blk, scsi_block(r, scsi_block_done), r);
    } else {
        scsi_good(r);
    }
}

static void prevent_removal(ScsiRequest *r)
{
    if (!r->dev->removable) {
        scsi_check(r, sense_invalid_opcode);
        return;
    }
    r->dev->s.mmc.locked = r->cdb[4] & 1;
    scsi_good(r);
}

/* Whether the command ended because there is nothing to work on. */
static bool not_ready(ScsiRequest *r)
{
    ScsiDevice *dev = r->dev;

    switch (r->cdb[0]) {
    case 0x15: /* MODE SELECT and SENSE, START STOP, PREVENT, LOG SENSE need no medium */
    case 0x55:
    case 0x1a:
    case 0x5a:
    case 0x1b:
    case 0x1e:
    case 0x4d:
        return false;
    }
    if (dev->s.mmc.medium_changed) {
        dev->s.mmc.medium_changed = false;
        scsi_check(r, sense_medium_changed);
        return true;
    }
    if (!disk_blocks(dev) || dev->s.mmc.tray_open) {
        scsi_check(r, sense_no_medium);
        return true;
    }
    if (dev->s.stopped) {
        scsi_check(r, sense_not_started);
        return true;
    }
    return false;
}

void scsi_disk_command(ScsiRequest *r)
{
    if (not_ready(r)) {
        return;
    }
    switch (r->cdb[0]) {
    case 0x00: /* TEST UNIT READY */
    case 0x01: /* REZERO UNIT */
    case 0x04: /* FORMAT UNIT: formatted it is */
    case 0x0b: /* SEEK */
    case 0x2b:
        if (r->cdb[0] == 0x04 && r->cdb[1] & 0x10) {
            scsi_check(r, sense_invalid_field); /* with a list of defects */
        } else {
            scsi_good(r);
        }
        break;
    case 0x08:
    case 0x28:
    case 0xa8:
    case 0x88:
        read_write(r, false);
        break;
    case 0x0a:
    case 0x2a:
    case 0xaa:
    case 0x8a:
        read_write(r, true);
        break;
    case 0x2e:
    case 0xae:
    case 0x8e:
        write_and_verify(r);
        break;
    case 0x2f:
    case 0xaf:
    case 0x8f:
        verify(r);
        break;
    case 0x34: /* PRE-FETCH */
    case 0x90:
        if (check_range(r, range_of(r), false)) {
            scsi_good(r);
        }
        break;
    case 0x41:
    case 0x93:
        write_same(r);
        break;
    case 0x42:
        unmap(r);
        break;
    case 0x25:
        read_capacity_10(r);
        break;
    case 0x9e:
        if ((r->cdb[1] & 31) == 0x10) {
            read_capacity_16(r);
        } else {
            scsi_check(r, sense_invalid_field);
        }
        break;
    case 0x35:
    case 0x91:
        synchronize_cache(r);
        break;
    case 0x15:
    case 0x55:
        scsi_mode_select(r);
        break;
    case 0x1a:
    case 0x5a:
        scsi_mode_sense(r);
        break;
    case 0x1b:
        start_stop(r);
        break;
    case 0x1e:
        prevent_removal(r);
        break;
    case 0x4d:
        scsi_log_sense(r);
        break;
    default: /* among them PERSISTENT RESERVE IN and OUT */
        scsi_check(r, sense_invalid_opcode);
    }
}
