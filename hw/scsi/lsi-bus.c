/* The SCSI bus of the LSI controllers: a target's phases around a command. Targets stay connected until it is done. */
#include "hw/scsi/lsi.h"
#include "util/log.h"

#include <string.h>

enum { MESSAGE_COMPLETE = 0x00, MESSAGE_EXTENDED = 0x01, MESSAGE_ABORT = 0x06, MESSAGE_REJECT = 0x07, MESSAGE_RESET = 0x0c,
       MESSAGE_ABORT_TAG = 0x0d };

static void set_phase(Lsi *l, LsiPhase phase)
{
    l->s.phase = phase;
    l->s.ready = true;
    l->s.reg[SSTAT1] = (l->s.reg[SSTAT1] & ~7) | phase;
}

/* SCRIPTS that waited for the target go on. */
static void wake(Lsi *l)
{
    if (l->s.wait == WAIT_PHASE) {
        l->s.wait = WAIT_NOTHING;
        lsi_run(l);
    }
}

void lsi_bus_free(Lsi *l)
{
    l->s.connected = l->s.ready = l->s.last_message = false;
    l->s.message_size = 0;
    l->s.reg[SCNTL1] &= ~SCNTL1_CON;
    l->s.reg[ISTAT0] &= ~ISTAT_CON;
    l->s.reg[SOCL] &= ~(SOCL_ATN | SOCL_ACK);
}

/* The target leaves without a message that says so. */
static void disconnect(Lsi *l)
{
    lsi_bus_free(l);
    if (l->s.reg[SCNTL2] & SCNTL2_SDU) {
        lsi_scsi_interrupt(l, SIST0_UDC, 0);
    }
}

bool lsi_select(Lsi *l, unsigned target, bool attention)
{
    if (!scsi_target_exists(l->bus, 0, target)) {
        return false;
    }
    lsi_bus_free(l);
    l->s.target = target;
    l->s.lun = 0;
    l->s.connected = true;
    l->s.reg[SCNTL1] |= SCNTL1_CON;
    l->s.reg[ISTAT0] |= ISTAT_CON;
    l->s.reg[SSID] = target | 0x80;
    l->s.reg[SOCL] |= attention ? SOCL_ATN : 0;
    set_phase(l, attention ? PHASE_MESSAGE_OUT : PHASE_COMMAND);
    return true;
}

void lsi_set_attention(Lsi *l)
{
    l->s.reg[SOCL] |= SOCL_ATN;
    /* Between phases of its own a target looks at it at once; in data phases at the end of the chunk. */
    if (l->s.connected && l->s.ready && l->s.phase >= PHASE_STATUS) {
        set_phase(l, PHASE_MESSAGE_OUT);
    }
}

void lsi_take_identify(Lsi *l)
{
    set_phase(l, PHASE_MESSAGE_OUT);
}

/* ---- messages ---- */

static void send_message(Lsi *l, uint8_t byte, bool last)
{
    l->s.message[0] = byte;
    l->s.message_size = 1;
    l->s.last_message = last;
    set_phase(l, PHASE_MESSAGE_IN);
}

/* What follows a message: the rest of the command. */
static void go_on(Lsi *l)
{
    if (l->data_left) {
        set_phase(l, l->request->direction == SCSI_TO_HOST ? PHASE_DATA_IN : PHASE_DATA_OUT);
    } else if (l->s.busy) {
        l->s.ready = false;
    } else {
        set_phase(l, PHASE_COMMAND);
    }
}

static void abort_command(Lsi *l, bool reset)
{
    lsi_drop_command(l);
    if (reset) {
        for (guint i = 0; i < l->bus->units->len; i++) {
            if (scsi_device_target(l->bus->units->pdata[i]) == l->s.target) {
                scsi_device_reset(l->bus->units->pdata[i]);
            }
        }
    }
    disconnect(l);
}

/* Several messages may come at once: IDENTIFY, a queue tag, a negotiation. */
static void take_messages(Lsi *l, const uint8_t *m, uint32_t size)
{
    bool reject = false;

    l->s.reg[SOCL] &= ~SOCL_ATN;
    for (uint32_t i = 0; i < size; i++) {
        if (m[i] & 0x80) {
            l->s.lun = m[i] & 7;
        } else if (m[i] >= 0x20 && m[i] <= 0x2f) {
            i++; /* two bytes: the tag is not needed, for there is one command at a time */
        } else if (m[i] == MESSAGE_EXTENDED) {
            i += i + 1 < size ? 1 + (m[i + 1] ? m[i + 1] : 256) : 1;
            reject = true; /* narrow and asynchronous is all there is */
        } else if (m[i] == MESSAGE_ABORT || m[i] == MESSAGE_ABORT_TAG || m[i] == MESSAGE_RESET) {
            abort_command(l, m[i] == MESSAGE_RESET);
            return;
        }
    }
    if (reject) {
        send_message(l, MESSAGE_REJECT, false);
    } else {
        go_on(l);
    }
}

/* ---- the command ---- */

void lsi_drop_command(Lsi *l)
{
    ScsiRequest *r = l->request;

    l->request = NULL;
    l->data = NULL;
    l->data_left = 0;
    l->s.busy = false;
    if (r) {
        r->hba = NULL;
        scsi_request_cancel(r);
        scsi_request_unref(r);
    }
}

static void start_command(Lsi *l, const uint8_t *cdb, uint32_t size)
{
    uint8_t padded[16] = { 0 };

    memcpy(padded, cdb, MIN(size, sizeof(padded)));
    lsi_drop_command(l);
    l->s.busy = true;
    l->s.ready = false;
    l->request = scsi_request_new(l->bus, 0, l->s.target, l->s.lun, 0, padded, 0, l);
    scsi_request_start(scsi_request_ref(l->request), NULL, -1);
}

static void data(ScsiRequest *r, ScsiDirection direction, uint8_t *bytes, uint32_t size)
{
    Lsi *l = r->hba;

    if (!l || l->request != r) {
        return;
    }
    l->data = bytes;
    l->data_left = size;
    set_phase(l, direction == SCSI_TO_HOST ? PHASE_DATA_IN : PHASE_DATA_OUT);
    if (l->s.reg[SOCL] & SOCL_ATN) {
        set_phase(l, PHASE_MESSAGE_OUT);
    }
    wake(l);
}

static void complete(ScsiRequest *r)
{
    Lsi *l = r->hba;

    if (l && l->request == r) {
        l->request = NULL;
        l->data_left = 0;
        l->s.busy = false;
        l->s.status = r->status;
        scsi_request_unref(r);
        set_phase(l, PHASE_STATUS);
        wake(l);
    }
    scsi_request_unref(r);
}

static void cancelled(ScsiRequest *r)
{
    scsi_request_unref(r);
}

const ScsiHbaOps lsi_hba_ops = {
    .channels = 1, .targets = 8, .luns = 8, .data = data, .complete = complete, .cancelled = cancelled,
};

/* ---- bytes ---- */

static uint32_t transfer_data(Lsi *l, uint8_t *bytes, uint32_t size)
{
    uint32_t n = MIN(size, l->data_left);

    if (l->s.phase == PHASE_DATA_IN) {
        memcpy(bytes, l->data, n);
    } else {
        memcpy(l->data, bytes, n);
    }
    l->data += n;
    l->data_left -= n;
    if (!l->data_left) {
        l->s.ready = false;
        scsi_request_continue(l->request); /* may come back at once with more, or the status */
    }
    return n;
}

uint32_t lsi_transfer(Lsi *l, uint8_t *bytes, uint32_t size)
{
    uint32_t n;

    switch (l->s.phase) {
    case PHASE_DATA_IN:
    case PHASE_DATA_OUT:
        return l->data_left ? transfer_data(l, bytes, size) : 0;
    case PHASE_COMMAND:
        start_command(l, bytes, size);
        return size;
    case PHASE_MESSAGE_OUT:
        take_messages(l, bytes, size);
        return size;
    case PHASE_STATUS:
        bytes[0] = l->s.status;
        send_message(l, MESSAGE_COMPLETE, true);
        return 1;
    default:
        n = MIN(size, l->s.message_size);
        memcpy(bytes, l->s.message, n);
        l->s.message_size = 0;
        if (l->s.last_message) {
            lsi_bus_free(l);
        } else if (l->s.reg[SOCL] & SOCL_ATN) {
            set_phase(l, PHASE_MESSAGE_OUT);
        } else {
            go_on(l);
        }
        return n;
    }
}
