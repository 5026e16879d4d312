/* NVMe: where the data of a command lie: physical region pages and scatter gather lists (4.3, 4.4). */
#include "hw/nvme/nvme.h"

#include "util/bits.h"

#include <string.h>

enum { SGL_DATA = 0, SGL_SEGMENT = 2, SGL_LAST_SEGMENT = 3 };
#define SGL_MAX_SEGMENTS    64
#define SGL_MAX_DESCRIPTORS 256 /* of one segment; more are refused */

bool nvme_read_memory(Nvme *n, PhysAddr addr, void *buf, uint64_t size)
{
    uint8_t *to = buf;

    while (size) {
        uint64_t part = size;
        void *host = pci_dma_map(&n->pci, addr, &part, false, NULL, NULL);

        if (!host || !pci_bus_master(&n->pci)) {
            return false;
        }
        memcpy(to, host, part);
        addr += part;
        to += part;
        size -= part;
    }
    return true;
}

bool nvme_write_memory(Nvme *n, PhysAddr addr, const void *buf, uint64_t size)
{
    const uint8_t *from = buf;

    while (size) {
        uint64_t part = size, offset;
        RamBlock *ram;
        void *host = pci_dma_map(&n->pci, addr, &part, true, &ram, &offset);

        if (!host || !pci_bus_master(&n->pci)) {
            return false;
        }
        memcpy(host, from, part);
        ram_mark_dirty(ram, offset, part);
        addr += part;
        from += part;
        size -= part;
    }
    return true;
}

static NvmeStatus add(NvmeRequest *r, uint64_t addr, uint64_t size)
{
    if (!pci_bus_master(&r->n->pci) || !pci_dma_list_add(&r->n->pci, &r->list, addr, size, r->reads)) {
        return NVME_DATA_ERROR;
    }
    return NVME_OK;
}

/* ---- PRP ---- */

/* Entry by entry; the last one of a page leads to the next page of the list if more is to come (figure 107). */
static NvmeStatus map_prp_list(NvmeRequest *r, uint64_t list, uint64_t left, uint64_t page)
{
    uint64_t entries[64];
    unsigned at = 0, count = 0;

    if (list & 7) {
        return NVME_PRP_OFFSET;
    }
    while (left) {
        uint64_t in_page = (page - (list & (page - 1))) / 8, entry, size = MIN(left, page);
        NvmeStatus status;

        if (at == count) {
            at = 0;
            count = MIN(MIN(in_page, (left + page - 1) / page), G_N_ELEMENTS(entries));
            if (!nvme_read_memory(r->n, list, entries, count * 8)) {
                return NVME_DATA_ERROR;
            }
        }
        entry = entries[at++];
        if (in_page == 1 && left > page) {
            if (entry & 7) {
                return NVME_PRP_OFFSET;
            }
            list = entry;
            at = count = 0;
            continue;
        }
        list += 8;
        status = entry & (page - 1) ? NVME_PRP_OFFSET : add(r, entry, size);
        if (status) {
            return status;
        }
        left -= size;
    }
    return NVME_OK;
}

static NvmeStatus map_prp(NvmeRequest *r, uint64_t size)
{
    uint64_t page = (uint64_t)NVME_PAGE << (r->n->s.cc >> 7 & 15);
    uint64_t prp1 = load_le64(r->cmd + 24), prp2 = load_le64(r->cmd + 32);
    uint64_t first = MIN(size, page - (prp1 & (page - 1)));
    NvmeStatus status;

    if (prp1 & 3) {
        return NVME_PRP_OFFSET;
    }
    status = add(r, prp1, first);
    if (status || first == size) {
        return status;
    }
    size -= first;
    if (size > page) {
        return map_prp_list(r, prp2, size, page);
    }
    return prp2 & (page - 1) ? NVME_PRP_OFFSET : add(r, prp2, size);
}

/* ---- SGL ---- */

/* The data blocks of one segment; *next becomes its last descriptor if that leads on. */
static NvmeStatus map_descriptors(NvmeRequest *r, const uint8_t *d, unsigned count, uint64_t *left, uint8_t *next)
{
    for (unsigned i = 0; i < count; i++, d += 16) {
        unsigned type = d[15] >> 4;
        uint64_t size = load_le32(d + 8);
        NvmeStatus status;

        if (d[15] & 15) {
            return NVME_SGL_TYPE;
        }
        if (type == SGL_SEGMENT || type == SGL_LAST_SEGMENT) {
            if (i != count - 1) {
                return NVME_SGL_SEGMENT;
            }
            memcpy(next, d, 16);
            return NVME_OK;
        }
        if (type != SGL_DATA) {
            return NVME_SGL_TYPE;
        }
        size = MIN(size, *left); /* a list longer than the transfer is fine (SGLS bit 18) */
        status = size ? add(r, load_le64(d), size) : NVME_OK;
        if (status) {
            return status;
        }
        *left -= size;
    }
    return NVME_OK;
}

static NvmeStatus map_sgl(NvmeRequest *r, uint64_t size)
{
    uint8_t next[16], segment[SGL_MAX_DESCRIPTORS * 16];
    uint64_t left = size;
    NvmeStatus status = map_descriptors(r, r->cmd + 24, 1, &left, memset(next, 0, sizeof(next)));

    for (int i = 0; !status && left && (next[15] >> 4); i++) {
        uint64_t at = load_le64(next);
        uint32_t bytes = load_le32(next + 8);
        bool last = next[15] >> 4 == SGL_LAST_SEGMENT;

        if (i == SGL_MAX_SEGMENTS || !bytes || bytes % 16) {
            return NVME_SGL_SEGMENT;
        }
        if (bytes > sizeof(segment)) {
            return NVME_SGL_COUNT;
        }
        if (!nvme_read_memory(r->n, at, segment, bytes)) {
            return NVME_DATA_ERROR;
        }
        memset(next, 0, sizeof(next));
        status = map_descriptors(r, segment, bytes / 16, &left, next);
        if (!status && last && (next[15] >> 4)) {
            return NVME_SGL_SEGMENT;
        }
    }
    return status ? status : left ? NVME_SGL_LENGTH : NVME_OK;
}

NvmeStatus nvme_map(NvmeRequest *r, uint64_t size, bool to_guest)
{
    unsigned kind = r->cmd[1] >> 6;
    NvmeStatus status;

    r->reads = to_guest;
    dma_list_clear(&r->list);
    if (kind == 0) {
        status = map_prp(r, size);
    } else if (kind != 3 && r->sq != 0) { /* admin commands here have PRPs only */
        status = map_sgl(r, size);
    } else {
        status = NVME_INVALID_FIELD;
    }
    return status ? status | NVME_DNR : NVME_OK;
}

NvmeStatus nvme_answer(NvmeRequest *r, const void *data, uint32_t size)
{
    NvmeStatus status = nvme_map(r, size, true);

    if (!status) {
        dma_list_put(&r->list, 0, data, size);
    }
    return status;
}
