/*
 * Intel 8255x Fast Ethernet: the command unit, which sends, and the receive unit.
 *
 * Intel 8255x 10/100 Mbps Ethernet Controller Family Open Source Software Developer Manual, chapter 6.
 */
#include "hw/net/frame.h"
#include "hw/net/i8255x.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

/* Command blocks and receive frame descriptors begin alike: status, command, link. */
enum { STATUS_C = 0x8000, STATUS_OK = 0x2000, COMMAND_EL = 0x8000, COMMAND_S = 0x4000, COMMAND_I = 0x2000,
       COMMAND_SF = 0x0008 };
enum { CMD_NOP, CMD_ADDRESS, CMD_CONFIGURE, CMD_MULTICAST, CMD_TRANSMIT, CMD_MICROCODE, CMD_DUMP, CMD_DIAGNOSE };
enum { RFD_NO_MATCH = 0x0002, RFD_EOF = 0x8000, RFD_F = 0x4000, RFD_BYTES = 16 };
enum { HEAD_BYTES = 8, TCB_BYTES = 16, TBD_BYTES = 8, DUMP_BYTES = 596, MAX_FRAME = 4096 };
enum { TURN = 1024 }; /* commands before the vCPU goes on */
#define NO_TBD   UINT32_MAX
#define PAUSE_NS (100 * NS_PER_US)

/* Bits of the configure command, by byte. */
static bool standard_tcb(const I8255x *e)
{
    return e->s.config[6] & 0x10;
}

static bool inserts_source(const I8255x *e)
{
    return !(e->s.config[10] & 0x08);
}

static bool looped_back(const I8255x *e)
{
    return e->s.config[10] & 0xc0;
}

static bool is_promiscuous(const I8255x *e)
{
    return e->s.config[15] & 0x01;
}

static bool takes_broadcast(const I8255x *e)
{
    return !(e->s.config[15] & 0x02);
}

static bool transfers_fcs(const I8255x *e)
{
    return e->s.config[18] & 0x04;
}

static bool takes_all_multicast(const I8255x *e)
{
    return e->s.config[21] & 0x08;
}

void i8255x_default_config(I8255x *e)
{
    static const uint8_t defaults[I8255X_CONFIG] = {
        0x16, 0x08, 0x00, 0x00, 0x00, 0x00, 0x32, 0x03, 0x01, 0x00, 0x2e, 0x00, 0x60, 0x00, 0xf2, 0x48, 0x00, 0x40, 0xf2,
        0x80, 0x3f, 0x05,
    };

    memcpy(e->s.config, defaults, sizeof(defaults));
}

/* ---- statistics ---- */

/* The dump's length depends on which counters the driver asked for; behind them comes a mark that it is done. */
void i8255x_dump_counters(I8255x *e, bool reset)
{
    unsigned bytes = e->s.config[6] & 0x04 ? 80 : e->s.config[6] & 0x20 ? 64 : 76;
    uint8_t dump[84];

    for (unsigned i = 0; i < bytes / 4; i++) {
        store_le32(dump + i * 4, e->s.counter[i]);
    }
    store_le32(dump + bytes, reset ? 0xa007 : 0xa005);
    pci_dma_write(&e->pci, e->s.dump, dump, bytes + 4);
    if (reset) {
        memset(e->s.counter, 0, sizeof(e->s.counter));
    }
}

/* ---- the receive unit ---- */

static bool read_rfd(I8255x *e, uint8_t rfd[RFD_BYTES])
{
    return pci_dma_read(&e->pci, e->s.ru_base + e->s.ru_at, rfd, RFD_BYTES);
}

static void stop_ru(I8255x *e, uint8_t state)
{
    e->s.ru_state = state;
    i8255x_raise(e, STAT_RNR);
}

static bool can_receive(void *opaque)
{
    I8255x *e = opaque;
    uint8_t rfd[RFD_BYTES];

    if (e->s.ru_state == RU_READY && read_rfd(e, rfd) && (load_le16(rfd + 2) & COMMAND_EL) &&
        !(load_le16(rfd + 14) & 0x3fff)) {
        stop_ru(e, RU_NO_RESOURCES); /* the last descriptor, and no buffer: a mark that drivers leave */
    }
    /* An idle unit loses what comes; otherwise frames wait for the driver's next descriptors. */
    return e->s.ru_state == RU_READY || e->s.ru_state == RU_IDLE || !pci_bus_master(&e->pci);
}

/* Returns what the status says of the address, or -1 if the frame is not wanted. */
static int match_address(const I8255x *e, const uint8_t *frame)
{
    bool wanted;

    if (frame_is_broadcast(frame)) {
        wanted = takes_broadcast(e);
    } else if (frame_is_multicast(frame)) {
        wanted = takes_all_multicast(e) || (e->s.multicast >> (frame_hash(frame) >> 26) & 1);
    } else if (memcmp(frame, e->s.address, 6) == 0) {
        return 0;
    } else {
        wanted = false;
    }
    return wanted || is_promiscuous(e) ? RFD_NO_MATCH : -1;
}

static void receive(void *opaque, const uint8_t *frame, size_t size)
{
    I8255x *e = opaque;
    uint8_t data[MAX_FRAME + FRAME_FCS], rfd[RFD_BYTES];
    uint16_t command, status = STATUS_C, room;
    int match;

    if (size < FRAME_HEADER || size > MAX_FRAME || e->s.ru_state == RU_IDLE) {
        return;
    }
    match = match_address(e, frame);
    if (match < 0) {
        return;
    }
    if (e->s.ru_state != RU_READY || !read_rfd(e, rfd)) {
        e->s.counter[COUNT_RX_RESOURCE]++;
        return;
    }
    memset(data, 0, FRAME_MIN);
    memcpy(data, frame, size);
    size = MAX(size, FRAME_MIN);
    if (transfers_fcs(e)) {
        store_le32(data + size, frame_fcs(data, size));
        size += FRAME_FCS;
    }
    command = load_le16(rfd + 2);
    room = load_le16(rfd + 14) & 0x3fff;
    status |= match | (size <= room ? STATUS_OK : 0x0040 /* no end of frame: too long for its buffer */);
    size = MIN(size, room);
    pci_dma_write(&e->pci, e->s.ru_base + e->s.ru_at + RFD_BYTES, data, size);
    store_le16(rfd + 12, size | RFD_EOF | RFD_F);
    pci_dma_write(&e->pci, e->s.ru_base + e->s.ru_at + 12, rfd + 12, 2);
    store_le16(rfd, status); /* the last: with it the descriptor is the driver's */
    pci_dma_write(&e->pci, e->s.ru_base + e->s.ru_at, rfd, 2);
    e->s.counter[COUNT_RX_GOOD]++;
    e->s.ru_at = load_le32(rfd + 4);
    if (command & COMMAND_EL) {
        stop_ru(e, RU_NO_RESOURCES);
    } else if (command & COMMAND_S) {
        stop_ru(e, RU_SUSPENDED);
    }
    i8255x_raise(e, STAT_FR);
}

void i8255x_command_ru(I8255x *e, unsigned command)
{
    I8255xState *s = &e->s;

    switch (command) {
    case 0:
        break;
    case 1:
        s->ru_at = s->pointer;
        s->ru_state = RU_READY;
        break;
    case 2:
        if (s->ru_state == RU_SUSPENDED) {
            s->ru_state = RU_READY;
        }
        break;
    case 4:
        if (s->ru_state != RU_IDLE) {
            stop_ru(e, RU_IDLE);
        }
        break;
    case 5: /* size of a separate header: of no use in simplified mode */
        break;
    case 6:
        s->ru_base = s->pointer;
        break;
    default:
        guest_error(e->pci.dev.id, "receive unit: no command %u", command);
    }
    net_flush(e->nic.net);
}

const NetFrontend i8255x_frontend = {
    .can_receive = can_receive,
    .receive = receive,
    .link_changed = i8255x_link_changed,
    .writable = i8255x_run_cu,
};

/* ---- the command unit ---- */

static void send(I8255x *e, size_t size)
{
    if (size < FRAME_HEADER) {
        return;
    }
    if (inserts_source(e)) {
        memcpy(e->packet + 6, e->s.address, 6);
    }
    if (looped_back(e)) {
        receive(e, e->packet, size);
    } else {
        nic_send(&e->nic, e->packet, size);
    }
    e->s.counter[COUNT_TX_GOOD]++;
}

static size_t gather(I8255x *e, size_t have, uint32_t address, size_t size)
{
    size = MIN(size, I8255X_PACKET - have);
    pci_dma_read(&e->pci, address, e->packet + have, size);
    return have + size;
}

static void transmit(I8255x *e, uint32_t at, uint16_t command)
{
    uint8_t tcb[TCB_BYTES];
    uint32_t array;
    unsigned immediate, count, first_two;
    size_t size;

    if (!pci_dma_read(&e->pci, at, tcb, sizeof(tcb))) {
        return;
    }
    array = load_le32(tcb + 8);
    immediate = load_le16(tcb + 12) & 0x3fff;
    count = tcb[15];
    size = gather(e, 0, at + TCB_BYTES, array == NO_TBD || !(command & COMMAND_SF) ? immediate : 0);
    if ((command & COMMAND_SF) && array != NO_TBD) {
        /* In the extended form the first two buffers are named in the block itself. */
        first_two = standard_tcb(e) ? 0 : MIN(count, 2u);
        size = gather(e, 0, at + TCB_BYTES, immediate);
        for (unsigned i = 0; i < count; i++) {
            uint32_t tbd_at = i < first_two ? at + TCB_BYTES + i * TBD_BYTES : array + (i - first_two) * TBD_BYTES;
            uint8_t tbd[TBD_BYTES];

            pci_dma_read(&e->pci, tbd_at, tbd, sizeof(tbd));
            size = gather(e, size, load_le32(tbd), load_le16(tbd + 4) & 0x7fff);
            if (load_le16(tbd + 6) & 1) {
                break;
            }
        }
    }
    send(e, size);
}

static void set_multicast(I8255x *e, uint32_t at)
{
    uint8_t bytes[6];

    e->s.multicast = 0;
    pci_dma_read(&e->pci, at + HEAD_BYTES, bytes, 2);
    for (unsigned i = 0; i < (load_le16(bytes) & 0x3fff) / 6u; i++) {
        uint8_t address[6];

        pci_dma_read(&e->pci, at + HEAD_BYTES + 2 + i * 6, address, 6);
        e->s.multicast |= UINT64_C(1) << (frame_hash(address) >> 26);
    }
}

/* Only the bytes that the command brings change. */
static void configure(I8255x *e, uint32_t at)
{
    uint8_t bytes[I8255X_CONFIG];
    unsigned count;

    pci_dma_read(&e->pci, at + HEAD_BYTES, bytes, sizeof(bytes));
    count = bytes[0] & 0x3f;
    memcpy(e->s.config, bytes, MIN(count, sizeof(bytes)));
}

static void dump_registers(I8255x *e, uint32_t at)
{
    uint8_t pointer[4], dump[DUMP_BYTES] = { 0 };

    pci_dma_read(&e->pci, at + HEAD_BYTES, pointer, sizeof(pointer));
    memcpy(dump, e->s.config, I8255X_CONFIG);
    memcpy(dump + 40, e->s.address, 6);
    pci_dma_write(&e->pci, load_le32(pointer), dump, sizeof(dump));
}

static void execute(I8255x *e, uint32_t at, uint16_t command)
{
    switch (command & 7) {
    case CMD_ADDRESS:
        pci_dma_read(&e->pci, at + HEAD_BYTES, e->s.address, 6);
        break;
    case CMD_CONFIGURE:
        configure(e, at);
        net_flush(e->nic.net);
        break;
    case CMD_MULTICAST:
        set_multicast(e, at);
        break;
    case CMD_TRANSMIT:
        transmit(e, at, command);
        break;
    case CMD_DUMP:
        dump_registers(e, at);
        break;
    case CMD_NOP:
    case CMD_MICROCODE: /* taken; this chip does what it does without */
    case CMD_DIAGNOSE:
        break;
    }
}

static void leave_cu(I8255x *e, uint8_t state)
{
    e->s.cu_state = state;
    i8255x_raise(e, STAT_CNA);
}

static void run_cu(I8255x *e)
{
    for (int n = 0; e->s.cu_state == CU_ACTIVE; n++) {
        uint32_t at = e->s.cu_base + e->s.cu_at;
        uint8_t head[HEAD_BYTES], status[2];
        uint16_t command;

        if (n == TURN) { /* a list that goes round, or a driver that adds to it all the time */
            timer_set(e->more, clock_now(CLOCK_GUEST) + PAUSE_NS);
            return;
        }
        if (!pci_dma_read(&e->pci, at, head, sizeof(head))) {
            e->s.cu_state = CU_IDLE;
            return;
        }
        command = load_le16(head + 2);
        if ((command & 7) == CMD_TRANSMIT && !nic_writable(&e->nic)) {
            return; /* `writable` goes on */
        }
        execute(e, at, command);
        store_le16(status, STATUS_C | STATUS_OK);
        pci_dma_write(&e->pci, at, status, sizeof(status));
        if (command & COMMAND_I) {
            i8255x_raise(e, STAT_CX);
        }
        if (command & COMMAND_EL) {
            leave_cu(e, CU_IDLE);
        } else if (command & COMMAND_S) {
            leave_cu(e, CU_SUSPENDED); /* at this block: its link is read when the driver resumes */
        } else {
            e->s.cu_at = load_le32(head + 4);
        }
    }
}

void i8255x_run_cu(void *opaque)
{
    I8255x *e = opaque;

    if (!e->in_cu) { /* what a command writes may reach the registers: the loop above goes on anyway */
        e->in_cu = true;
        run_cu(e);
        e->in_cu = false;
    }
}

void i8255x_start_cu(I8255x *e, uint32_t at)
{
    e->s.cu_at = at;
    e->s.cu_state = CU_ACTIVE;
    i8255x_run_cu(e);
}

void i8255x_resume_cu(I8255x *e)
{
    uint8_t link[4];

    if (e->s.cu_state != CU_SUSPENDED) {
        return;
    }
    pci_dma_read(&e->pci, e->s.cu_base + e->s.cu_at + 4, link, sizeof(link));
    i8255x_start_cu(e, load_le32(link));
}
