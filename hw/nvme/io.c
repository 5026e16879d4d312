/* NVMe I/O commands: the NVM command set (chapter 6). */
#include "hw/nvme/nvme.h"
#include "util/bits.h"
#include "util/log.h"

#include <errno.h>
#include <string.h>

enum { OP_FLUSH = 0x00, OP_WRITE = 0x01, OP_READ = 0x02, OP_COMPARE = 0x05, OP_WRITE_ZEROES = 0x08, OP_DSM = 0x09, OP_VERIFY = 0x0c };
enum { FUA = 1 << 30, DEALLOCATE = 1 << 25 };
#define CHUNK      (128 * 1024) /* of what goes through a buffer */

static NvmeStatus status_of(const NvmeRequest *r, int error)
{
    bool is_write = r->cmd[0] == OP_WRITE || r->cmd[0] == OP_WRITE_ZEROES || r->cmd[0] == OP_DSM;

    switch (error) {
    case 0:
        return NVME_OK;
    case EROFS:
        return NVME_READ_ONLY | NVME_DNR;
    case EINVAL:
        return NVME_LBA_RANGE | NVME_DNR;
    case ENOSPC:
        return NVME_CAPACITY | NVME_DNR;
    case ENOMEM:
        return NVME_INTERNAL;
    default:
        return is_write ? NVME_WRITE_FAULT : NVME_READ_ERROR;
    }
}

uint64_t nvme_ns_blocks(const NvmeNs *ns)
{
    return block_size(ns->blk) >> ns->shift;
}

static uint64_t first_block(const NvmeRequest *r)
{
    return load_le64(r->cmd + 40);
}

static uint32_t block_count(const NvmeRequest *r)
{
    return load_le16(r->cmd + 48) + 1u;
}

static NvmeStatus check_range(const NvmeNs *ns, uint64_t lba, uint64_t count)
{
    uint64_t total = nvme_ns_blocks(ns);

    return lba > total || count > total - lba ? NVME_LBA_RANGE | NVME_DNR : NVME_OK;
}

/* ---- READ and WRITE ---- */

static void moved(void *opaque, int error)
{
    NvmeRequest *r = opaque;
    Nvme *n = r->n;

    g_mutex_lock(&n->lock);
    if (r->reads && !error) {
        dma_list_written(&r->list, r->list.size);
    }
    nvme_complete(r, status_of(r, error));
    nvme_unlock(n);
}

static NvmeStatus read_write(NvmeRequest *r, bool is_write)
{
    Nvme *n = r->n;
    NvmeNs *ns = r->ns;
    uint64_t size = (uint64_t)block_count(r) << ns->shift;
    NvmeStatus status = check_range(ns, first_block(r), block_count(r));

    if (status) {
        return status;
    }
    if (n->mdts && size > (uint64_t)NVME_PAGE << n->mdts) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    status = nvme_map(r, size, !is_write);
    if (status) {
        return status;
    }
    if (is_write) {
        n->s.writes++;
        n->s.sectors_written += size / BLOCK_SECTOR;
        block_write(ns->blk, first_block(r) << ns->shift, r->list.iov, r->list.count,
                    load_le32(r->cmd + 48) & FUA ? BLOCK_FUA : 0, moved, r);
    } else {
        n->s.reads++;
        n->s.sectors_read += size / BLOCK_SECTOR;
        block_read(ns->blk, first_block(r) << ns->shift, r->list.iov, r->list.count, moved, r);
    }
    return NVME_OK;
}

/* ---- COMPARE and VERIFY: chunk by chunk through a buffer ---- */

static void read_chunk(NvmeRequest *r);

static bool chunk_differs(NvmeRequest *r)
{
    g_autofree uint8_t *host = NULL;

    if (r->cmd[0] != OP_COMPARE) {
        return false;
    }
    host = g_malloc(r->chunk);
    dma_list_get(&r->list, r->list.size - r->left, host, r->chunk);
    return memcmp(host, r->buffer, r->chunk) != 0;
}

static void chunk_read(void *opaque, int error)
{
    NvmeRequest *r = opaque;
    Nvme *n = r->n;

    g_mutex_lock(&n->lock);
    if (error) {
        nvme_complete(r, status_of(r, error));
    } else if (chunk_differs(r)) {
        nvme_complete(r, NVME_COMPARE_FAILED | NVME_DNR);
    } else {
        r->offset += r->chunk;
        r->left -= r->chunk;
        if (r->left && !n->resetting) {
            read_chunk(r);
        } else {
            nvme_complete(r, NVME_OK);
        }
    }
    nvme_unlock(n);
}

static void read_chunk(NvmeRequest *r)
{
    r->chunk = MIN(r->left, CHUNK);
    r->iov = (struct iovec){ r->buffer, r->chunk };
    block_read(r->ns->blk, r->offset, &r->iov, 1, chunk_read, r);
}

static NvmeStatus compare_or_verify(NvmeRequest *r)
{
    Nvme *n = r->n;
    uint64_t size = (uint64_t)block_count(r) << r->ns->shift;
    NvmeStatus status = check_range(r->ns, first_block(r), block_count(r));

    if (!status && r->cmd[0] == OP_COMPARE) {
        status = n->mdts && size > (uint64_t)NVME_PAGE << n->mdts ? NVME_INVALID_FIELD | NVME_DNR
                                                                 : nvme_map(r, size, false);
    }
    if (status) {
        return status;
    }
    r->offset = first_block(r) << r->ns->shift;
    r->left = size;
    r->buffer = g_malloc(MIN(size, CHUNK));
    read_chunk(r);
    return NVME_OK;
}

/* ---- the rest ---- */

static void ended(void *opaque, int error)
{
    NvmeRequest *r = opaque;
    Nvme *n = r->n;

    g_mutex_lock(&n->lock);
    nvme_complete(r, status_of(r, error));
    nvme_unlock(n);
}

static NvmeStatus write_zeroes(NvmeRequest *r)
{
    uint32_t dw12 = load_le32(r->cmd + 48);
    NvmeStatus status = check_range(r->ns, first_block(r), block_count(r));

    if (!status) {
        block_write_zeroes(r->ns->blk, first_block(r) << r->ns->shift, (uint64_t)block_count(r) << r->ns->shift,
                           (dw12 & DEALLOCATE ? BLOCK_MAY_UNMAP : 0) | (dw12 & FUA ? BLOCK_FUA : 0), ended, r);
    }
    return status;
}

static void deallocated(void *opaque, int error);

/* r->offset is the range to look at next, r->left how many there are from it. */
static void deallocate_next(NvmeRequest *r, int error)
{
    NvmeNs *ns = r->ns;

    while (r->left && !error && !r->n->resetting) {
        const uint8_t *range = r->buffer + r->offset;
        uint64_t lba = load_le64(range + 8);
        uint32_t count = load_le32(range + 4);

        r->offset += 16;
        r->left--;
        if (!count) {
            continue;
        }
        if (check_range(ns, lba, count)) {
            nvme_complete(r, NVME_LBA_RANGE | NVME_DNR);
            return;
        }
        block_discard(ns->blk, lba << ns->shift, (uint64_t)count << ns->shift, deallocated, r);
        return;
    }
    nvme_complete(r, status_of(r, error));
}

static void deallocated(void *opaque, int error)
{
    NvmeRequest *r = opaque;
    Nvme *n = r->n;

    g_mutex_lock(&n->lock);
    deallocate_next(r, error);
    nvme_unlock(n);
}

/* Only the attribute "deallocate" asks for something; the others are hints. */
static NvmeStatus dataset_management(NvmeRequest *r)
{
    unsigned count = r->cmd[40] + 1u;
    NvmeStatus status = nvme_map(r, count * 16, false);

    if (status || !(r->cmd[44] & 4)) {
        if (!status) {
            nvme_complete(r, NVME_OK);
        }
        return status;
    }
    r->buffer = g_malloc(count * 16);
    dma_list_get(&r->list, 0, r->buffer, count * 16);
    r->offset = 0;
    r->left = count;
    deallocate_next(r, 0);
    return NVME_OK;
}

static void flush_next(NvmeRequest *r, int error);

static void flushed(void *opaque, int error)
{
    NvmeRequest *r = opaque;
    Nvme *n = r->n;

    g_mutex_lock(&n->lock);
    flush_next(r, error);
    nvme_unlock(n);
}

/* One namespace, or all of them one after the other: r->left is the next. */
static void flush_next(NvmeRequest *r, int error)
{
    Nvme *n = r->n;
    bool all = load_le32(r->cmd + 4) == UINT32_MAX;

    while (!error && all && r->left <= n->highest_ns) {
        NvmeNs *ns = n->ns[r->left++];

        if (ns) {
            block_flush(ns->blk, flushed, r);
            return;
        }
    }
    nvme_complete(r, status_of(r, error));
}

static void flush(NvmeRequest *r)
{
    if (r->ns) {
        block_flush(r->ns->blk, ended, r);
    } else {
        r->left = 1;
        flush_next(r, 0);
    }
}

void nvme_io_command(NvmeRequest *r)
{
    Nvme *n = r->n;
    uint32_t nsid = load_le32(r->cmd + 4);
    NvmeStatus status = NVME_OK;

    r->ns = nsid <= NVME_MAX_NAMESPACES ? n->ns[nsid] : NULL;
    if (!r->ns && !(nsid == UINT32_MAX && r->cmd[0] == OP_FLUSH)) {
        nvme_complete(r, NVME_INVALID_NS | NVME_DNR);
        return;
    }
    switch (r->cmd[0]) {
    case OP_FLUSH:
        flush(r);
        return;
    case OP_WRITE:
        status = read_write(r, true);
        break;
    case OP_READ:
        status = read_write(r, false);
        break;
    case OP_COMPARE:
    case OP_VERIFY:
        status = compare_or_verify(r);
        break;
    case OP_WRITE_ZEROES:
        status = write_zeroes(r);
        break;
    case OP_DSM:
        status = dataset_management(r);
        break;
    default:
        status = NVME_INVALID_OPCODE | NVME_DNR;
    }
    if (status) {
        nvme_complete(r, status);
    }
}
