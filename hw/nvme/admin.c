/* NVMe admin commands: queues, events, shadow doorbells (chapter 5). */
#include "hw/nvme/nvme.h"
#include "hw/pci/msi.h"
#include "util/bits.h"

enum { CONTIGUOUS = 1, INTERRUPTS = 2 };

static NvmeStatus create_cq(NvmeRequest *r)
{
    Nvme *n = r->n;
    unsigned id = load_le16(r->cmd + 40), size = load_le16(r->cmd + 42) + 1u;
    uint16_t flags = load_le16(r->cmd + 44), vector = load_le16(r->cmd + 46);
    uint64_t base = load_le64(r->cmd + 24);
    NvmeCq *cq;

    if (!id || id > n->max_pairs || n->cq[id].size) {
        return NVME_QUEUE_ID | NVME_DNR;
    }
    if (size < 2 || size > NVME_MAX_ENTRIES) {
        return NVME_QUEUE_SIZE | NVME_DNR;
    }
    if (vector >= (pci_msix_enabled(&n->pci) ? n->vectors : 32)) {
        return NVME_VECTOR | NVME_DNR;
    }
    if (!(flags & CONTIGUOUS)) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    if (base & (NVME_PAGE - 1)) {
        return NVME_PRP_OFFSET | NVME_DNR;
    }
    cq = &n->cq[id];
    *cq = (NvmeCq){ .size = size, .vector = vector, .phase = true, .interrupts = flags & INTERRUPTS, .base = base };
    return NVME_OK;
}

static NvmeStatus create_sq(NvmeRequest *r)
{
    Nvme *n = r->n;
    unsigned id = load_le16(r->cmd + 40), size = load_le16(r->cmd + 42) + 1u;
    uint16_t flags = load_le16(r->cmd + 44), cq = load_le16(r->cmd + 46);
    uint64_t base = load_le64(r->cmd + 24);

    if (!cq || cq > n->max_pairs || !n->cq[cq].size) {
        return NVME_CQ_INVALID | NVME_DNR;
    }
    if (!id || id > n->max_pairs || n->sq[id].size) {
        return NVME_QUEUE_ID | NVME_DNR;
    }
    if (size < 2 || size > NVME_MAX_ENTRIES) {
        return NVME_QUEUE_SIZE | NVME_DNR;
    }
    if (!(flags & CONTIGUOUS)) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    if (base & (NVME_PAGE - 1)) {
        return NVME_PRP_OFFSET | NVME_DNR;
    }
    n->sq[id] = (NvmeSq){ .size = size, .cq = cq, .base = base };
    n->cq[cq].users++;
    return NVME_OK;
}

static NvmeStatus delete_cq(NvmeRequest *r)
{
    Nvme *n = r->n;
    unsigned id = load_le16(r->cmd + 40);

    if (!id || id > n->max_pairs || !n->cq[id].size) {
        return NVME_QUEUE_ID | NVME_DNR;
    }
    if (n->cq[id].users) {
        return NVME_QUEUE_DELETION | NVME_DNR;
    }
    n->cq[id] = (NvmeCq){ 0 };
    nvme_update_intx(n);
    return NVME_OK;
}

/* Done when the commands of the queue are. */
static void delete_sq(NvmeRequest *r)
{
    Nvme *n = r->n;
    unsigned id = load_le16(r->cmd + 40);
    NvmeSq *sq = &n->sq[MIN(id, n->max_pairs)];

    if (!id || id > n->max_pairs || !sq->size || sq->deletion) {
        nvme_complete(r, NVME_QUEUE_ID | NVME_DNR);
    } else if (sq->in_flight) {
        sq->deletion = r;
    } else {
        n->cq[sq->cq].users--;
        *sq = (NvmeSq){ 0 };
        nvme_complete(r, NVME_OK);
    }
}

/* It waits beside the queues: events are rare, and must not keep a reset waiting. */
static void async_event_request(NvmeRequest *r)
{
    Nvme *n = r->n;
    uint16_t cid = r->cid;

    if (n->s.events == NVME_MAX_EVENTS) {
        nvme_complete(r, NVME_EVENT_LIMIT | NVME_DNR);
        return;
    }
    n->s.events_cid[n->s.events++] = cid;
    nvme_drop(r);
    nvme_send_events(n);
}

static NvmeStatus doorbell_buffer(NvmeRequest *r)
{
    Nvme *n = r->n;
    uint64_t shadow = load_le64(r->cmd + 24), eventidx = load_le64(r->cmd + 32);
    uint64_t page = (uint64_t)NVME_PAGE << (n->s.cc >> 7 & 15);
    uint64_t size = (n->max_pairs + 1) * 8;
    DmaList probe = { 0 };
    bool fine;

    if ((shadow | eventidx) & (page - 1) || !shadow || !eventidx || size > page) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    fine = pci_dma_list_add(&n->pci, &probe, shadow, size, true) &&
           pci_dma_list_add(&n->pci, &probe, eventidx, size, true);
    dma_list_free(&probe);
    if (!fine) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    n->s.shadow = shadow;
    n->s.eventidx = eventidx;
    for (unsigned id = 1; id <= n->max_pairs; id++) { /* queues that exist go on from where they are */
        uint32_t tail = n->sq[id].tail, head = n->cq[id].head;

        nvme_write_memory(n, shadow + id * 8, &tail, 4);
        nvme_write_memory(n, eventidx + id * 8, &tail, 4);
        nvme_write_memory(n, shadow + id * 8 + 4, &head, 4);
        nvme_write_memory(n, eventidx + id * 8 + 4, &head, 4);
    }
    return NVME_OK;
}

void nvme_admin_command(NvmeRequest *r)
{
    NvmeStatus status = NVME_INVALID_OPCODE | NVME_DNR;

    switch (r->cmd[0]) {
    case 0x00:
        delete_sq(r);
        return;
    case 0x01:
        status = create_sq(r);
        break;
    case 0x02:
        status = nvme_get_log(r);
        break;
    case 0x04:
        status = delete_cq(r);
        break;
    case 0x05:
        status = create_cq(r);
        break;
    case 0x06:
        status = nvme_identify(r);
        break;
    case 0x08: /* ABORT: what was taken from a queue is with the host already */
        r->result = 1;
        status = NVME_OK;
        break;
    case 0x09:
        status = nvme_set_features(r);
        break;
    case 0x0a:
        status = nvme_get_features(r);
        break;
    case 0x0c:
        async_event_request(r);
        return;
    case 0x7c:
        status = doorbell_buffer(r);
        break;
    }
    nvme_complete(r, status);
}
