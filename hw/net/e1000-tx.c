/* A transmit ring of Intel's gigabit cards, and what a snapshot has of a packet that it has begun. */
#include "hw/net/e1000-family.h"

#include "util/bits.h"
#include "util/error.h"

static uint32_t *ring_reg(const E1000Tx *tx, unsigned offset)
{
    return &tx->regs[(offset + tx->ring * 0x100) / 4];
}

static bool waits(const E1000Tx *tx)
{
    return *ring_reg(tx, TDH) != *ring_reg(tx, TDT);
}

static bool is_context(const uint8_t *d)
{
    return (d[TXD_COMMAND] & TXD_DEXT) && (load_le32(d + 8) >> 20 & 15) == 0;
}

/* What a descriptor says is done. False: there is something left of it for the next go. */
static bool do_descriptor(E1000Tx *tx, const uint8_t *d)
{
    if (!tx->s.left && is_context(d)) {
        tx->ops->set_context(tx->card, tx->ring, d);
    } else {
        TxContext context = tx->ops->context(tx->card, tx->ring);

        if (tx->s.left) {
            e1000_tx_cut(tx, &context);
        } else {
            e1000_tx_data(tx, &context, d);
        }
    }
    return !tx->s.left;
}

static void run(E1000Tx *tx)
{
    uint32_t count = *ring_reg(tx, TDLEN) / 16, causes = 0, *head = ring_reg(tx, TDH);
    uint64_t base = (*ring_reg(tx, TDBAL) & ~15u) | (uint64_t)*ring_reg(tx, TDBAH) << 32;

    if (!(tx->regs[TCTL / 4] & TCTL_EN) || *head >= count) {
        return;
    }
    /* A ring is gone round once at most: the tail may be out of it. */
    tx->spent = 0;
    for (uint32_t n = 0; n < count && waits(tx) && nic_writable(tx->nic); n++) {
        uint64_t at = base + (uint64_t)*head * 16;
        uint8_t d[16];

        if (tx->spent < E1000_TX_GO && !pci_dma_read(tx->pci, at, d, sizeof(d))) {
            break;
        }
        if (tx->spent >= E1000_TX_GO || !do_descriptor(tx, d)) {
            timer_set(tx->more, clock_now(CLOCK_GUEST) + E1000_TX_REST);
            break;
        }
        if (d[TXD_COMMAND] & TXD_RS) {
            d[TXD_STATUS] |= RXD_DD;
            pci_dma_write(tx->pci, at + TXD_STATUS, d + TXD_STATUS, 1);
            causes |= tx->done;
        }
        *head = *head + 1 >= count ? 0 : *head + 1;
    }
    tx->ops->raise(tx->card, causes | (waits(tx) ? 0 : INT_TXQE));
}

void e1000_tx_run(E1000Tx *tx)
{
    if (!tx->sending) { /* a frame that comes back may be written into the registers that it left by */
        tx->sending = true;
        run(tx);
        tx->sending = false;
    }
}

void e1000_tx_go_on(void *opaque)
{
    E1000Tx *tx = opaque;

    if (waits(tx)) {
        e1000_tx_run(tx);
    }
}

/* ---- snapshots ---- */

static char *group_of(const E1000Tx *tx)
{
    return g_strdup_printf("%s/tx%u", tx->pci->dev.id, tx->ring);
}

void e1000_tx_save(const E1000Tx *tx, GKeyFile *out)
{
    g_autofree char *group = group_of(tx);

    state_save(E1000TxState_fields, &tx->s, out, group);
    state_save_bytes(out, group, "packet.data", tx->packet, tx->s.size);
}

/* The card's registers and contexts have been loaded. Older snapshots have no packets that were begun. */
bool e1000_tx_load(E1000Tx *tx, GKeyFile *in, GError **error)
{
    g_autofree char *group = group_of(tx);
    TxContext context = tx->ops->context(tx->card, tx->ring);

    e1000_tx_reset(tx);
    if (!g_key_file_has_group(in, group)) {
        return true;
    }
    if (!state_load(E1000TxState_fields, &tx->s, in, group, error)) {
        return false;
    }
    if (tx->s.size > MAX_PACKET ||
        (tx->s.left && (!e1000_tx_can_cut(tx, &context) || tx->s.left > tx->s.size - context.header))) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad packet of '%s'", group);
        return false;
    }
    return state_load_bytes(in, group, "packet.data", tx->packet, tx->s.size, error);
}
