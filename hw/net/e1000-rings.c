/*
 * Intel 8254x Gigabit Ethernet (e1000): what its transmit ring asks of it, and the receive ring.
 *
 * PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453), chapter 3.
 */
#include "hw/net/e1000.h"
#include "hw/net/frame.h"
#include "util/bits.h"

#include <string.h>

/* ---- transmission ---- */

static TxContext context(void *card, unsigned ring)
{
    const E1000State *s = &((E1000 *)card)->s;
    TxContext c;

#define LOAD(type, name, initial) c.name = s->name;
    TX_CONTEXT(LOAD)
    return c;
}

static void set_context(void *card, unsigned ring, const uint8_t *d)
{
    E1000State *s = &((E1000 *)card)->s;
    TxContext c = e1000_read_context(d);

#define STORE(type, name, initial) s->name = c.name;
    TX_CONTEXT(STORE)
}

static void raise_causes(void *card, uint32_t causes)
{
    e1000_raise(card, causes);
}

const E1000TxOps e1000_tx_ops = { context, set_context, e1000_receive, raise_causes };

static void e1000_writable(void *opaque)
{
    e1000_tx_run(&((E1000 *)opaque)->tx);
}

/* ---- reception ---- */

static uint32_t rx_free(E1000 *e)
{
    uint32_t count = *reg(e, RDLEN) / 16, head = *reg(e, RDH), tail = *reg(e, RDT);

    if (!count || head >= count || tail >= count) {
        return 0;
    }
    return tail >= head ? tail - head : count - head + tail;
}

static bool e1000_can_receive(void *opaque)
{
    E1000 *e = opaque;

    return (*reg(e, RCTL) & RCTL_EN) && (*reg(e, STATUS) & STATUS_LU) && pci_bus_master(&e->pci) &&
           rx_free(e) * e1000_buffer_size(*reg(e, RCTL)) >= 1522;
}

void e1000_receive(void *opaque, const uint8_t *data, size_t size)
{
    E1000 *e = opaque;
    uint16_t tag = 0;
    uint32_t buffer = e1000_buffer_size(*reg(e, RCTL)), count = *reg(e, RDLEN) / 16, causes = INT_RXT0;
    uint64_t base = (*reg(e, RDBAL) & ~15u) | (uint64_t)*reg(e, RDBAH) << 32;
    uint8_t frame[MAX_FRAME + 4], sums, errors;
    size_t total, at = 0;

    if (size > MAX_FRAME || size < FRAME_HEADER || !(*reg(e, RCTL) & RCTL_EN) || !e1000_accepts(e->s.reg, data, size)) {
        return;
    }
    memset(frame, 0, 64);
    memcpy(frame, data, size);
    e1000_check_sums(e->s.reg, data, size, &sums, &errors);
    e1000_count_received(e->s.reg, data, size);
    total = MAX(size, FRAME_MIN);
    if ((*reg(e, CTRL) & CTRL_VME) && e1000_is_tagged(e->s.reg, frame, size)) {
        tag = load_be16(frame + 14);
        memmove(frame + 12, frame + 16, total - 16);
        total -= FRAME_TAG;
        sums |= RXD_VP;
    }
    if (!(*reg(e, RCTL) & RCTL_SECRC)) {
        memset(frame + total, 0, 4); /* the frame check sequence: nobody looks at it */
        total += 4;
    }
    if (rx_free(e) * (uint64_t)buffer < total) {
        ++*reg(e, MPC);
        e1000_raise(e, INT_RXO);
        return;
    }
    while (at < total) {
        uint64_t descriptor = base + (uint64_t)*reg(e, RDH) * 16;
        uint32_t n = MIN(total - at, buffer);
        uint8_t d[16];

        pci_dma_read(&e->pci, descriptor, d, sizeof(d));
        if (load_le64(d)) {
            pci_dma_write(&e->pci, load_le64(d), frame + at, n);
        }
        at += n;
        store_le16(d + 8, n);
        store_le16(d + 10, 0);
        d[12] = RXD_DD | (at == total ? RXD_EOP | sums : 0);
        d[13] = at == total ? errors : 0;
        store_le16(d + 14, tag);
        pci_dma_write(&e->pci, descriptor + 8, d + 8, 8);
        *reg(e, RDH) = *reg(e, RDH) + 1 >= count ? 0 : *reg(e, RDH) + 1;
    }
    if (rx_free(e) <= count >> ((*reg(e, RCTL) >> 8 & 3) + 1)) {
        causes |= INT_RXDMT0;
    }
    e1000_raise(e, causes);
}

const NetFrontend e1000_frontend = {
    .can_receive = e1000_can_receive,
    .receive = e1000_receive,
    .link_changed = e1000_link_changed,
    .writable = e1000_writable,
};
