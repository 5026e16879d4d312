/* NVMe GET and SET FEATURES (5.21.1). */
#include "hw/nvme/nvme.h"
#include "util/bits.h"

enum {
    ARBITRATION = 1, POWER, TEMPERATURE = 4, ERROR_RECOVERY, WRITE_CACHE, QUEUES, COALESCING, VECTOR, ATOMICITY,
    EVENTS,
};
enum { SELECT_CURRENT, SELECT_DEFAULT, SELECT_SAVED, SELECT_CAPABILITIES };

static uint32_t queue_count(const Nvme *n)
{
    return (n->max_pairs - 1) << 16 | (n->max_pairs - 1);
}

/* The value in force, or after power on. */
static NvmeStatus read_feature(Nvme *n, uint8_t feature, uint32_t dw11, bool initial, uint32_t *value)
{
    const NvmeState *s = &n->s;

    switch (feature) {
    case ARBITRATION:
        *value = initial ? 0 : s->arbitration;
        return NVME_OK;
    case POWER:
    case ATOMICITY:
        *value = 0;
        return NVME_OK;
    case TEMPERATURE:
        if (dw11 >> 16 & 15) { /* only the composite temperature is there */
            return NVME_INVALID_FIELD | NVME_DNR;
        }
        *value = (dw11 >> 20 & 3) == 0 ? (initial ? NVME_TEMPERATURE + 30 : s->over_temperature)
                                       : (initial ? 0 : s->under_temperature);
        return NVME_OK;
    case ERROR_RECOVERY:
        *value = initial ? 0 : s->error_recovery;
        return NVME_OK;
    case WRITE_CACHE:
        *value = initial || s->write_cache;
        return NVME_OK;
    case QUEUES:
        *value = queue_count(n);
        return NVME_OK;
    case COALESCING:
        *value = initial ? 0 : s->coalescing;
        return NVME_OK;
    case VECTOR:
        if ((dw11 & 0xffff) >= n->vectors) {
            return NVME_INVALID_FIELD | NVME_DNR;
        }
        *value = (dw11 & 0xffff) | (!initial && n->vector_off[dw11 & 0xffff] ? 1 << 16 : 0);
        return NVME_OK;
    case EVENTS:
        *value = initial ? 0 : s->event_config;
        return NVME_OK;
    default:
        return NVME_INVALID_FIELD | NVME_DNR;
    }
}

NvmeStatus nvme_get_features(NvmeRequest *r)
{
    uint8_t feature = r->cmd[40];
    unsigned select = r->cmd[41] & 7;
    uint32_t dw11 = load_le32(r->cmd + 44);

    if (select > SELECT_CAPABILITIES) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    if (select == SELECT_CAPABILITIES) {
        uint32_t unused;
        NvmeStatus status = read_feature(r->n, feature, 0, false, &unused);

        r->result = feature == POWER || feature == ATOMICITY ? 0 : 4; /* changeable */
        return status;
    }
    return read_feature(r->n, feature, dw11, select != SELECT_CURRENT, &r->result);
}

/* A threshold below what it is now is an event. */
static void check_temperature(Nvme *n)
{
    bool out = NVME_TEMPERATURE >= n->s.over_temperature || NVME_TEMPERATURE <= n->s.under_temperature;

    if (out && !(n->s.warning & 2)) {
        n->s.warning |= 2;
        if (n->s.event_config & 2) {
            nvme_event(n, 1, 0x020100);
        }
    } else if (!out) {
        n->s.warning &= ~2;
    }
}

static NvmeStatus set_queues(NvmeRequest *r, uint32_t dw11)
{
    Nvme *n = r->n;

    if ((dw11 & 0xffff) == 0xffff || dw11 >> 16 == 0xffff) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    for (unsigned id = 1; id <= n->max_pairs; id++) {
        if (n->sq[id].size || n->cq[id].size) {
            return NVME_SEQUENCE | NVME_DNR;
        }
    }
    r->result = queue_count(n);
    return NVME_OK;
}

NvmeStatus nvme_set_features(NvmeRequest *r)
{
    Nvme *n = r->n;
    uint32_t dw11 = load_le32(r->cmd + 44), unused;
    uint8_t feature = r->cmd[40];
    NvmeStatus status = read_feature(n, feature, dw11, false, &unused);

    if (status) {
        return status;
    }
    if (r->cmd[43] & 0x80) {
        return NVME_NOT_SAVEABLE | NVME_DNR;
    }
    switch (feature) {
    case ARBITRATION:
        n->s.arbitration = dw11;
        break;
    case TEMPERATURE:
        *((dw11 >> 20 & 3) == 0 ? &n->s.over_temperature : &n->s.under_temperature) = dw11;
        check_temperature(n);
        break;
    case ERROR_RECOVERY:
        n->s.error_recovery = dw11 & 0xffff;
        break;
    case WRITE_CACHE:
        nvme_set_write_cache(n, dw11 & 1);
        break;
    case QUEUES:
        return set_queues(r, dw11);
    case COALESCING:
        n->s.coalescing = dw11 & 0xffff;
        break;
    case VECTOR:
        n->vector_off[dw11 & 0xffff] = dw11 >> 16 & 1;
        break;
    case EVENTS:
        n->s.event_config = dw11;
        break;
    case POWER:
        return dw11 & 31 ? NVME_INVALID_FIELD | NVME_DNR : NVME_OK; /* there is one state */
    default:
        return NVME_NOT_CHANGEABLE | NVME_DNR;
    }
    return NVME_OK;
}
