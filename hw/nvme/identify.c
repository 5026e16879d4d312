/* NVMe IDENTIFY: controller, namespaces and their lists (5.15). */
#include "hw/nvme/nvme.h"
#include "util/bits.h"

#include <string.h>

enum { CNS_NAMESPACE, CNS_CONTROLLER, CNS_ACTIVE_LIST, CNS_DESCRIPTORS };

static void put_padded(uint8_t *out, const char *text, size_t size)
{
    memset(out, ' ', size);
    memcpy(out, text, MIN(strlen(text), size));
}

static void put_controller(const Nvme *n, uint8_t *b)
{
    store_le16(b, load_le16(n->pci.config));
    store_le16(b + 2, 0x1af4);
    put_padded(b + 4, n->serial, 20);
    put_padded(b + 24, "Myna NVMe Ctrl", 40);
    put_padded(b + 64, "1.0", 8);
    b[72] = 6; /* recommended arbitration burst: 64 */
    b[74] = 0x54; /* 52:54:00, the last byte first */
    b[75] = 0x52;
    b[77] = n->mdts;
    store_le32(b + 80, 0x00010400);
    store_le32(b + 92, 1 << 8);      /* events: namespaces change */
    b[111] = 1;                      /* I/O controller */
    store_le16(b + 256, 1 << 8);     /* doorbell buffer config */
    b[258] = 3;                      /* ABORTs at once */
    b[259] = NVME_MAX_EVENTS - 1;
    b[260] = 1 << 1 | 1;             /* one firmware slot, read only */
    b[261] = 1 << 2 | 1 << 1;        /* log pages: offsets, command effects */
    b[262] = 0;                      /* error log: one entry */
    store_le16(b + 266, NVME_TEMPERATURE + 30);
    store_le16(b + 268, NVME_TEMPERATURE + 60);
    b[512] = 0x66;
    b[513] = 0x44;
    store_le32(b + 516, NVME_MAX_NAMESPACES);
    store_le16(b + 520, 1 << 7 | 1 << 3 | 1 << 2 | 1); /* verify, write zeroes, deallocate, compare */
    b[525] = 1 | 3 << 1;             /* volatile write cache; FLUSH of all namespaces */
    store_le32(b + 536, 1 | 1 << 18); /* SGL, which may be longer than the data */
    g_snprintf((char *)b + 768, 256, "nqn.2026-01.org.myna:%s", n->serial);
    store_le16(b + 2048, 2500);      /* 25 W */
    store_le32(b + 2052, 16);
    store_le32(b + 2056, 4);
}

static void put_namespace(const NvmeNs *ns, uint8_t *b)
{
    BlockLimits limits;
    uint64_t blocks = nvme_ns_blocks(ns);
    uint32_t granularity;

    block_limits(ns->blk, &limits);
    granularity = ns->discard_granularity >= 0 ? (uint32_t)ns->discard_granularity : limits.discard_granularity;
    store_le64(b, blocks);
    store_le64(b + 8, blocks);
    store_le64(b + 16, blocks);
    b[24] = (granularity ? 1 : 0) | 1 << 4; /* thin; the optimal sizes below are valid */
    b[33] = 1 << 3;                         /* WRITE ZEROES may deallocate */
    store_le16(b + 64, MAX(ns->physical_block >> ns->shift, 1) - 1);
    store_le16(b + 66, MAX(ns->physical_block >> ns->shift, 1) - 1);
    store_le16(b + 68, MIN(MAX(granularity >> ns->shift, 1) - 1, 0xffff));
    store_le16(b + 70, MIN(MAX(granularity >> ns->shift, 1) - 1, 0xffff));
    store_le16(b + 72, MAX(limits.opt_io >> ns->shift, 1) - 1);
    store_be64(b + 120, ns->eui64);
    b[130] = ns->shift;
    b[99] = block_readonly(ns->blk); /* write protected */
}

static unsigned put_descriptor(uint8_t *b, uint8_t type, const void *data, uint8_t size)
{
    b[0] = type;
    b[1] = size;
    memcpy(b + 4, data, size);
    return size + 4;
}

static void put_descriptors(const NvmeNs *ns, uint8_t *b)
{
    uint8_t eui[8], command_set = 0;

    store_be64(eui, ns->eui64);
    b += put_descriptor(b, 1, eui, 8);
    if (ns->uuid) {
        b += put_descriptor(b, 3, ns->uuid_bytes, 16);
    }
    put_descriptor(b, 4, &command_set, 1);
}

NvmeStatus nvme_identify(NvmeRequest *r)
{
    Nvme *n = r->n;
    uint32_t nsid = load_le32(r->cmd + 4);
    NvmeNs *ns = nsid <= NVME_MAX_NAMESPACES ? n->ns[nsid] : NULL;
    uint8_t b[4096] = { 0 };
    unsigned count = 0;

    switch (r->cmd[40]) {
    case CNS_CONTROLLER:
        put_controller(n, b);
        break;
    case CNS_NAMESPACE:
        if (!nsid || nsid > NVME_MAX_NAMESPACES) {
            return NVME_INVALID_NS | NVME_DNR;
        }
        if (ns) { /* else all zero: it is not active */
            put_namespace(ns, b);
        }
        break;
    case CNS_ACTIVE_LIST:
        if (nsid >= 0xfffffffe) {
            return NVME_INVALID_NS | NVME_DNR;
        }
        for (uint64_t i = (uint64_t)nsid + 1; i <= n->highest_ns; i++) {
            if (n->ns[i]) {
                store_le32(b + 4 * count++, i);
            }
        }
        break;
    case CNS_DESCRIPTORS:
        if (!ns) {
            return NVME_INVALID_NS | NVME_DNR;
        }
        put_descriptors(ns, b);
        break;
    default:
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    return nvme_answer(r, b, sizeof(b));
}
