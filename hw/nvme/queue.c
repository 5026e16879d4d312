/* NVMe queues: doorbells, commands taken, completions posted, interrupts (4.1, 4.6, 7.2). */
#include "core/lock.h"
#include "core/mainloop.h"
#include "hw/nvme/nvme.h"
#include "hw/pci/msi.h"
#include "util/bits.h"
#include "util/log.h"

#include <stdatomic.h>
#include <string.h>

/* ---- doorbells in memory (7.13) ---- */

static bool has_shadow(const Nvme *n, unsigned id)
{
    return n->s.shadow && id;
}

static uint32_t read_shadow(Nvme *n, unsigned index, uint32_t now, uint16_t size)
{
    uint32_t value = 0;

    if (!nvme_read_memory(n, n->s.shadow + index * 4, &value, 4) || value >= size) {
        return now; /* a guest that writes nonsense there is not heard */
    }
    return value;
}

static void write_eventidx(Nvme *n, unsigned index, uint32_t value)
{
    nvme_write_memory(n, n->s.eventidx + index * 4, &value, 4);
}

/* ---- completion queues ---- */

static unsigned cq_room(const NvmeCq *cq)
{
    unsigned used = (cq->tail - cq->head + cq->size) % cq->size;

    return cq->size - 1 - used;
}

/* Whether another command may begin: its completion must have a place. */
static bool cq_takes_one_more(Nvme *n, unsigned id)
{
    NvmeCq *cq = &n->cq[id];

    if (cq_room(cq) > cq->in_flight) {
        return true;
    }
    if (!has_shadow(n, id)) {
        return false;
    }
    /* From now on the guest rings when it has made room. */
    write_eventidx(n, id * 2 + 1, cq->head);
    atomic_thread_fence(memory_order_seq_cst);
    cq->head = read_shadow(n, id * 2 + 1, cq->head, cq->size);
    return cq_room(cq) > cq->in_flight;
}

static void fatal(Nvme *n, const char *what)
{
    guest_error(n->pci.dev.id, "%s is not in memory: the controller stops", what);
    n->s.csts |= CSTS_CFS;
}

void nvme_update_intx(Nvme *n)
{
    bool level = false;

    for (unsigned i = 0; i <= n->max_pairs && !level && !pci_msix_enabled(&n->pci); i++) {
        const NvmeCq *cq = &n->cq[i];

        level = cq->size && cq->interrupts && cq->head != cq->tail && !(n->s.intms >> (cq->vector & 31) & 1);
    }
    if (level != n->intx) {
        n->intx = level;
        n->interrupts_due = true;
    }
}

/* Those messages for which there is a wire leave at once; the others' bits remain. */
static bool send_past_lock(Nvme *n, uint64_t *due, unsigned words)
{
    bool all = true;

    for (unsigned word = 0; word < words; word++) {
        for (uint64_t bits = due[word]; bits; bits &= bits - 1) {
            if (pci_msix_send(&n->pci, word * 64 + __builtin_ctzll(bits))) {
                due[word] &= ~(bits & -bits);
            }
        }
        all &= !due[word];
    }
    return all;
}

/* Wires and messages are the machine's: its lock is taken after ours was dropped. */
void nvme_unlock(Nvme *n)
{
    uint64_t due[G_N_ELEMENTS(n->vectors_due)];
    bool taken;

    if (!n->interrupts_due) {
        g_mutex_unlock(&n->lock);
        return;
    }
    memcpy(due, n->vectors_due, sizeof(due));
    memset(n->vectors_due, 0, sizeof(due));
    n->interrupts_due = false;
    g_mutex_unlock(&n->lock);
    if (send_past_lock(n, due, G_N_ELEMENTS(due)) && !n->intx && !n->pci.intx) {
        return;
    }
    taken = machine_lock_if();
    for (unsigned word = 0; word < G_N_ELEMENTS(due); word++) {
        while (due[word]) {
            pci_msix_notify(&n->pci, word * 64 + __builtin_ctzll(due[word]));
            due[word] &= due[word] - 1;
        }
    }
    pci_set_intx(&n->pci, n->intx);
    machine_unlock_if(taken);
}

static void interrupt(Nvme *n, const NvmeCq *cq)
{
    if (!cq->interrupts) {
        return;
    }
    if (pci_msix_enabled(&n->pci)) {
        n->vectors_due[cq->vector / 64] |= UINT64_C(1) << cq->vector % 64;
        n->interrupts_due = true;
    } else {
        nvme_update_intx(n);
    }
}

/* head and sq are what the entry tells of the submission queue. */
static void post(Nvme *n, unsigned id, uint16_t sq, uint16_t cid, NvmeStatus status, uint32_t result)
{
    NvmeCq *cq = &n->cq[id];
    uint8_t entry[16] = { 0 };

    store_le32(entry, result);
    store_le16(entry + 8, n->sq[sq].head);
    store_le16(entry + 10, sq);
    store_le16(entry + 12, cid);
    store_le16(entry + 14, (status & 0x7fff) << 1 | cq->phase);
    /* The phase bit tells the guest of the rest: it goes last. */
    if (!nvme_write_memory(n, cq->base + cq->tail * 16, entry, 12)) {
        fatal(n, "a completion queue");
        return;
    }
    atomic_thread_fence(memory_order_release);
    nvme_write_memory(n, cq->base + cq->tail * 16 + 12, entry + 12, 4);
    if (++cq->tail == cq->size) {
        cq->tail = 0;
        cq->phase = !cq->phase;
    }
    if (has_shadow(n, id)) {
        /* With messages nobody needs to know the head until the queue is full; a wire needs it at once. */
        if (pci_msix_enabled(&n->pci)) {
            cq->head = read_shadow(n, id * 2 + 1, cq->head, cq->size);
            write_eventidx(n, id * 2 + 1, cq->head ? cq->head - 1 : cq->size - 1);
        } else {
            write_eventidx(n, id * 2 + 1, cq->head);
        }
    }
    interrupt(n, cq);
}

/* ---- commands ---- */

static NvmeRequest *new_request(Nvme *n)
{
    NvmeRequest *r = n->free_requests;

    if (r) {
        n->free_requests = r->next;
        r->next = NULL;
    } else {
        r = g_new0(NvmeRequest, 1);
        r->n = n;
    }
    return r;
}

static void free_request(NvmeRequest *r)
{
    g_clear_pointer(&r->buffer, g_free);
    dma_list_clear(&r->list);
    r->ns = NULL;
    r->result = 0;
    r->reads = false;
    r->next = r->n->free_requests;
    r->n->free_requests = r;
}

void nvme_drop(NvmeRequest *r)
{
    Nvme *n = r->n;

    n->cq[n->sq[r->sq].cq].in_flight--;
    n->sq[r->sq].in_flight--;
    n->in_flight--;
    free_request(r);
}

void nvme_complete(NvmeRequest *r, NvmeStatus status)
{
    Nvme *n = r->n;
    NvmeSq *sq = &n->sq[r->sq];
    unsigned id = r->sq;

    trace("nvme_complete", "%s: queue %u cid %u status %x", n->pci.dev.id, id, r->cid, status);
    if (status && id) {
        n->s.errors++;
    }
    n->cq[sq->cq].in_flight--;
    sq->in_flight--;
    n->in_flight--;
    if (!n->resetting) {
        post(n, sq->cq, id, r->cid, status, r->result);
    }
    free_request(r);
    if (sq->deletion && !sq->in_flight) {
        NvmeRequest *deletion = sq->deletion;

        sq->deletion = NULL;
        n->cq[sq->cq].users--;
        sq->size = 0;
        nvme_complete(deletion, NVME_OK);
    }
    if (!n->in_flight && (n->resetting || n->shutting_down)) {
        nvme_drained(n);
    }
}

static void take(Nvme *n, unsigned id, const uint8_t cmd[64])
{
    NvmeRequest *r = new_request(n);

    memcpy(r->cmd, cmd, 64);
    r->sq = id;
    r->cid = load_le16(cmd + 2);
    n->in_flight++;
    n->sq[id].in_flight++;
    n->cq[n->sq[id].cq].in_flight++;
    trace("nvme_command", "%s: queue %u cid %u opcode %02x nsid %x dw10 %x %x %x", n->pci.dev.id, id, r->cid, cmd[0],
          load_le32(cmd + 4), load_le32(cmd + 40), load_le32(cmd + 44), load_le32(cmd + 48));
    if (cmd[1] & 3) { /* fused */
        nvme_complete(r, NVME_INVALID_FIELD | NVME_DNR);
    } else if (id) {
        nvme_io_command(r);
    } else {
        nvme_admin_command(r);
    }
}

typedef struct Later {
    Nvme *n;
    unsigned id;
} Later;

static void process_later(void *opaque)
{
    Later *later = opaque;
    Nvme *n = later->n;

    g_mutex_lock(&n->lock);
    n->later--;
    nvme_process_sq(n, later->id);
    nvme_unlock(n);
    g_free(later);
}

static void schedule(Nvme *n, unsigned id)
{
    Later *later = g_new(Later, 1);

    *later = (Later){ n, id };
    n->later++;
    if (n->thread && id) {
        iothread_call(n->thread, process_later, later);
    } else {
        main_loop_call(process_later, later);
    }
}

static void plug(Nvme *n, bool on)
{
    for (unsigned i = 1; i <= n->highest_ns; i++) {
        if (n->ns[i]) {
            on ? block_plug(n->ns[i]->blk) : block_unplug(n->ns[i]->blk);
        }
    }
}

/* One round of a queue at most: others want their turn, too. */
void nvme_process_sq(Nvme *n, unsigned id)
{
    NvmeSq *sq = &n->sq[id];
    bool shadow = has_shadow(n, id);
    unsigned budget = sq->size;

    if (!(n->s.csts & CSTS_RDY) || n->s.csts & CSTS_CFS || n->resetting || !sq->size || sq->deletion) {
        return;
    }
    if (id) {
        plug(n, true);
    }
    for (;;) {
        uint8_t cmd[64];

        if (shadow && sq->head == sq->tail) {
            sq->tail = read_shadow(n, id * 2, sq->tail, sq->size);
            if (sq->head == sq->tail) { /* nothing: ask to be rung, and look again */
                write_eventidx(n, id * 2, sq->tail);
                atomic_thread_fence(memory_order_seq_cst);
                sq->tail = read_shadow(n, id * 2, sq->tail, sq->size);
            }
        }
        if (sq->head == sq->tail || !cq_takes_one_more(n, sq->cq)) {
            break;
        }
        if (!budget--) {
            schedule(n, id);
            break;
        }
        if (!nvme_read_memory(n, sq->base + sq->head * 64, cmd, 64)) {
            fatal(n, "a submission queue");
            break;
        }
        sq->head = (sq->head + 1) % sq->size;
        take(n, id, cmd);
        if (!sq->size || sq->deletion || n->resetting) {
            break;
        }
    }
    if (id) {
        plug(n, false);
    }
}

/* In the thread whose requests these are. */
static void kick(Nvme *n, unsigned id)
{
    if (n->thread && id) {
        schedule(n, id);
    } else {
        nvme_process_sq(n, id);
    }
}

static void ring_cq(Nvme *n, unsigned id, uint32_t value)
{
    NvmeCq *cq = &n->cq[id];

    if (!cq->size || value >= cq->size) {
        guest_error(n->pci.dev.id, "completion doorbell %u: %u", id, value);
        nvme_event(n, 0, cq->size ? 0x010100 : 0x010000);
        return;
    }
    /* What is in memory may be newer than a register write that was on its way. */
    cq->head = has_shadow(n, id) ? read_shadow(n, id * 2 + 1, value, cq->size) : value;
    nvme_update_intx(n);
    for (unsigned i = 0; i <= n->max_pairs; i++) { /* those that waited for room */
        if (n->sq[i].size && n->sq[i].cq == id && n->sq[i].head != n->sq[i].tail) {
            kick(n, i);
        }
    }
    if (!id) {
        nvme_send_events(n);
    }
}

void nvme_doorbell(Nvme *n, unsigned index, uint32_t value)
{
    unsigned id = index / 2;

    if (id > n->max_pairs || !(n->s.csts & CSTS_RDY)) {
        return;
    }
    value &= 0xffff;
    if (index & 1) {
        ring_cq(n, id, value);
        return;
    }
    if (!n->sq[id].size || value >= n->sq[id].size) {
        guest_error(n->pci.dev.id, "submission doorbell %u: %u", id, value);
        nvme_event(n, 0, n->sq[id].size ? 0x010100 : 0x010000);
        return;
    }
    n->sq[id].tail = has_shadow(n, id) ? read_shadow(n, index, value, n->sq[id].size) : value;
    kick(n, id);
}

/* ---- asynchronous events (5.2) ---- */

void nvme_complete_cid(Nvme *n, uint16_t cid, NvmeStatus status, uint32_t result)
{
    post(n, 0, 0, cid, status, result);
}

void nvme_send_events(Nvme *n)
{
    for (unsigned type = 0; type < 3; type++) {
        if ((n->s.event_due >> type & 1) && !(n->s.event_masked >> type & 1) && n->s.events &&
            n->cq[0].size && cq_room(&n->cq[0]) > n->cq[0].in_flight) {
            n->s.event_due &= ~(1 << type);
            n->s.event_masked |= 1 << type;
            nvme_complete_cid(n, n->s.events_cid[--n->s.events], NVME_OK, n->s.event_data[type]);
        }
    }
}

/* result: what the completion says: log page << 16 | information << 8 | type. */
void nvme_event(Nvme *n, unsigned type, uint32_t result)
{
    if (!(n->s.csts & CSTS_RDY) || n->resetting) {
        return;
    }
    n->s.event_due |= 1 << type;
    n->s.event_data[type] = result | type;
    nvme_send_events(n);
}
