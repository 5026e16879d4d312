/*
 * NVM Express, shared by its files: the controller, its queues and namespaces.
 *
 * NVM Express Base Specification 1.4. Section and figure numbers are its.
 *
 * Locking: `lock` protects queues, requests and namespaces' counters. Registers are written under the machine
 * lock, and then this one is taken; completions come with the machine lock (or in the I/O thread without it).
 * Nothing waits for the machine lock while it holds this one: interrupts are sent after it was dropped.
 */
#ifndef HW_NVME_NVME_H
#define HW_NVME_NVME_H

#include "backends/block.h"
#include "core/dma.h"
#include "core/iothread.h"
#include "hw/pci/pci.h"

#define NVME_PAGE          4096
#define NVME_MAX_ENTRIES   2048 /* of a queue */
#define NVME_MAX_NAMESPACES 256
#define NVME_MAX_EVENTS    4    /* ASYNC EVENT REQUESTs that wait */
#define NVME_TEMPERATURE   (273 + 40)

enum {
    CC_EN = 1, CSTS_RDY = 1, CSTS_CFS = 2, CSTS_SHST = 3 << 2, CSTS_SHST_BUSY = 1 << 2, CSTS_SHST_DONE = 2 << 2,
};

/* Status field of a completion: code type << 8 | code; do not retry. */
typedef enum NvmeStatus {
    NVME_OK = 0, NVME_INVALID_OPCODE = 0x01, NVME_INVALID_FIELD = 0x02, NVME_DATA_ERROR = 0x04,
    NVME_INTERNAL = 0x06, NVME_ABORT_REQUESTED = 0x07, NVME_INVALID_NS = 0x0b, NVME_SEQUENCE = 0x0c,
    NVME_SGL_SEGMENT = 0x0d, NVME_SGL_COUNT = 0x0e, NVME_SGL_LENGTH = 0x0f, NVME_SGL_TYPE = 0x11,
    NVME_PRP_OFFSET = 0x13, NVME_LBA_RANGE = 0x80, NVME_CAPACITY = 0x81, NVME_CQ_INVALID = 0x100,
    NVME_QUEUE_ID = 0x101, NVME_QUEUE_SIZE = 0x102, NVME_EVENT_LIMIT = 0x105, NVME_FIRMWARE_SLOT = 0x106,
    NVME_VECTOR = 0x108, NVME_LOG_PAGE = 0x109, NVME_QUEUE_DELETION = 0x10c, NVME_NOT_SAVEABLE = 0x10d,
    NVME_NOT_CHANGEABLE = 0x10e, NVME_READ_ONLY = 0x182, NVME_WRITE_FAULT = 0x280, NVME_READ_ERROR = 0x281,
    NVME_COMPARE_FAILED = 0x285,
    NVME_DNR = 0x4000,
} NvmeStatus;

typedef struct Nvme Nvme;
typedef struct NvmeNs NvmeNs;
typedef struct NvmeRequest NvmeRequest;

typedef struct NvmeCq {
    uint16_t size;  /* entries; 0: the queue does not exist */
    uint16_t head, tail, vector;
    uint16_t users; /* submission queues */
    uint16_t in_flight; /* commands that will complete here */
    bool phase, interrupts;
    uint64_t base;
} NvmeCq;

typedef struct NvmeSq {
    uint16_t size;
    uint16_t head, tail, cq;
    uint16_t in_flight;
    uint64_t base;
    NvmeRequest *deletion; /* DELETE I/O SUBMISSION QUEUE waits for what is in flight */
} NvmeSq;

/* One command under way. */
struct NvmeRequest {
    Nvme *n;
    NvmeRequest *next; /* on the list of free ones */
    NvmeNs *ns;
    uint16_t sq, cid;
    uint8_t cmd[64];
    DmaList list;
    bool reads; /* guest memory is written at the end */
    uint32_t result;
    /* Compare, verify and deallocate: a buffer of its own, and where they are. */
    uint8_t *buffer;
    struct iovec iov;
    uint64_t offset, left;
    uint32_t chunk;
};

#define NVME_STATE(FIELD, ARRAY)                                                            \
    FIELD(uint32_t, intms, 0)                                                               \
    FIELD(uint32_t, cc, 0)                                                                  \
    FIELD(uint32_t, csts, 0)                                                                \
    FIELD(uint32_t, aqa, 0)                                                                 \
    FIELD(uint64_t, asq, 0)                                                                 \
    FIELD(uint64_t, acq, 0)                                                                 \
    FIELD(uint64_t, shadow, 0)  /* DOORBELL BUFFER CONFIG: doorbells in memory, 0: none */  \
    FIELD(uint64_t, eventidx, 0)                                                            \
    /* features */                                                                          \
    FIELD(uint32_t, arbitration, 0)                                                         \
    FIELD(uint16_t, over_temperature, NVME_TEMPERATURE + 30)                                \
    FIELD(uint16_t, under_temperature, 0)                                                   \
    FIELD(uint32_t, error_recovery, 0)                                                      \
    FIELD(bool, write_cache, true)                                                          \
    FIELD(uint32_t, coalescing, 0)                                                          \
    FIELD(uint32_t, event_config, 0)                                                        \
    FIELD(uint8_t, warning, 0)        /* SMART: critical */                                 \
    /* asynchronous events: the commands that wait, and what waits for one */               \
    ARRAY(uint16_t, events_cid, NVME_MAX_EVENTS, 0)                                         \
    FIELD(uint8_t, events, 0)                                                               \
    FIELD(uint8_t, event_due, 0)      /* bit per type */                                    \
    FIELD(uint8_t, event_masked, 0)   /* reported, its log page not yet read */             \
    ARRAY(uint32_t, event_data, 3, 0) /* result to report, by type */                       \
    ARRAY(uint8_t, changed_ns, NVME_MAX_NAMESPACES / 8 + 1, 0)                              \
    /* SMART, since power on */                                                             \
    FIELD(uint64_t, sectors_read, 0)                                                        \
    FIELD(uint64_t, sectors_written, 0)                                                     \
    FIELD(uint64_t, reads, 0)                                                               \
    FIELD(uint64_t, writes, 0)                                                              \
    FIELD(uint64_t, errors, 0)

typedef struct NvmeState {
    NVME_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} NvmeState;

struct Nvme {
    PciDevice pci;
    NvmeState s;
    Region *bar;
    Bus bus; /* of namespaces */
    GMutex lock;
    IoThread *thread;
    char *thread_id;
    char *serial;
    BlockBackend *blk; /* drive=: namespace 1 */
    uint32_t max_pairs, num_queues, vectors;
    uint8_t mdts;
    uint32_t logical_block, physical_block;
    int32_t discard_granularity;
    NvmeNs *ns[NVME_MAX_NAMESPACES + 1]; /* by number, from 1 */
    NvmeSq *sq; /* max_pairs + 1; 0 is the admin queue */
    NvmeCq *cq;
    bool *vector_off; /* coalescing disabled, by vector */
    NvmeRequest *free_requests;
    uint32_t in_flight;
    uint32_t later; /* calls of process_later on their way */
    unsigned highest_ns;
    bool resetting, shutting_down; /* wait for in_flight */
    unsigned flush_ns; /* shutting down: the namespace that is flushed next; 0: not begun */
    bool intx;
    uint64_t vectors_due[32]; /* interrupts to send once the lock is dropped */
    bool interrupts_due;
};

/* A namespace is a device on the controller's bus. */
struct NvmeNs {
    Device dev;
    Nvme *n;
    BlockBackend *blk;
    uint32_t nsid; /* from 1; 0: the next free one */
    uint64_t eui64;
    char *uuid;
    uint8_t uuid_bytes[16];
    uint32_t logical_block, physical_block;
    int32_t discard_granularity;
    unsigned shift; /* of logical_block */
};

#define NVME_BUS "nvme"

extern const DeviceType nvme_ns_type;

/* ---- queue.c, all with the lock held ---- */

void nvme_process_sq(Nvme *n, unsigned id);
void nvme_doorbell(Nvme *n, unsigned index, uint32_t value);
/* Ends a command; the request is gone. */
void nvme_complete(NvmeRequest *r, NvmeStatus status);
/* Ends a command without a completion: it waits elsewhere. */
void nvme_drop(NvmeRequest *r);
void nvme_complete_cid(Nvme *n, uint16_t cid, NvmeStatus status, uint32_t result); /* of the admin queue */
void nvme_event(Nvme *n, unsigned type, uint32_t result);
void nvme_send_events(Nvme *n);
void nvme_update_intx(Nvme *n);
/* Drops the lock and sends the interrupts that became due. */
void nvme_unlock(Nvme *n);
uint64_t nvme_ns_blocks(const NvmeNs *ns);

/* ---- data.c ---- */

/*
 * Guest memory of queues and lists. Only RAM counts, for a device would want the machine lock; false otherwise, or if
 * the function is no bus master.
 */
bool nvme_read_memory(Nvme *n, PhysAddr addr, void *buf, uint64_t size);
bool nvme_write_memory(Nvme *n, PhysAddr addr, const void *buf, uint64_t size);

/* Fills r->list with `size` bytes of what the command's data pointer names. */
NvmeStatus nvme_map(NvmeRequest *r, uint64_t size, bool to_guest);
/* Sends an answer of the controller to guest memory. */
NvmeStatus nvme_answer(NvmeRequest *r, const void *data, uint32_t size);

/* ---- commands: complete the request, now or later ---- */

void nvme_admin_command(NvmeRequest *r);
void nvme_io_command(NvmeRequest *r);
NvmeStatus nvme_identify(NvmeRequest *r);  /* identify.c */
NvmeStatus nvme_get_log(NvmeRequest *r);   /* log.c */
NvmeStatus nvme_get_features(NvmeRequest *r); /* features.c */
NvmeStatus nvme_set_features(NvmeRequest *r);

/* ---- controller.c ---- */

void nvme_drained(Nvme *n); /* nothing is in flight any more */
void nvme_set_write_cache(Nvme *n, bool on);
/* A namespace came, went or changed its size. */
void nvme_ns_changed(Nvme *n, uint32_t nsid);

#endif
