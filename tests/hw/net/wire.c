/* The other end of a network card's cable, for tests: see wire.h. */
#include "tests/hw/net/wire.h"

#include "util/bits.h"
#include "util/checksum.h"

static NetBackend *net;
static GPtrArray *sent;
static bool is_blocked;

static bool note_frame(NetBackend *n, const NetHeader *header, const struct iovec *iov, int count)
{
    size_t size = iov_size(iov, count);
    WireFrame *f;

    if (is_blocked) {
        return false;
    }
    f = g_malloc0(sizeof(*f) + size);
    if (header) {
        f->header = *header;
    }
    f->size = size;
    iov_read(iov, count, 0, f->data, size);
    g_ptr_array_add(sent, f);
    return true;
}

static void *resolve_net(const char *id, GError **error)
{
    return net_find(id);
}

NetBackend *wire_init(void)
{
    static const NetOps ops = { .send = note_frame };

    sent = g_ptr_array_new_with_free_func(g_free);
    net = net_register("wire", "test", &ops, NULL);
    device_set_resolver(PROP_NETDEV, resolve_net);
    return net;
}

void wire_offloads(unsigned offloads)
{
    net_set_host_offloads(net, offloads);
}

void wire_block(bool blocked)
{
    is_blocked = blocked;
    if (!blocked) {
        net_send_again(net);
    }
}

void wire_clear(void)
{
    g_ptr_array_set_size(sent, 0);
}

guint wire_count(void)
{
    return sent->len;
}

const WireFrame *wire_frame(guint n)
{
    g_assert_cmpuint(n, <, sent->len);
    return sent->pdata[n];
}

void wire_fill(uint8_t *frame, size_t size, const char *to, uint8_t seed)
{
    memcpy(frame, to, 6);
    memcpy(frame + 6, "\x52\x55\x0a\x00\x02\x02\x88\xb5", 8); /* an EtherType for experiments */
    for (size_t i = 14; i < size; i++) {
        frame[i] = i + seed;
    }
}

void wire_deliver(const uint8_t *frame, size_t size)
{
    net_deliver(net, frame, size);
}

void wire_place(Device *card)
{
    PciDevice *pci = (PciDevice *)card;

    for (int i = 0; i < 6; i++) {
        if (pci->bars[i].size) {
            pci_config_write(rig_pci(), 0, pci->devfn, 0x10 + 4 * i,
                             pci->bars[i].kind & PCI_BAR_IO ? WIRE_PORTS(i) : WIRE_MEMORY(i), 4);
        }
    }
    pci_config_write(rig_pci(), 0, pci->devfn, 0x04, 7, 2);
}

size_t wire_tcp(uint8_t *p, size_t payload)
{
    memset(p, 0, 54);
    wire_fill(p, 54 + payload, "\x52\x55\x0a\x00\x02\x02", 0);
    memset(p + 12, 0, 42);
    store_be16(p + 12, 0x0800);
    p[14] = 0x45;
    store_be16(p + 16, 40 + payload);
    store_be16(p + 18, 1000); /* identification */
    p[22] = 64;
    p[23] = 6;
    store_be32(p + 26, 0x0a00020f);
    store_be32(p + 30, 0x0a000202);
    store_be16(p + 34, 1234);
    store_be16(p + 36, 80);
    store_be32(p + 38, 5000); /* sequence number */
    p[46] = 0x50;
    p[47] = 0x19; /* FIN, PSH, ACK */
    return 54 + payload;
}

void wire_check_tcp(const uint8_t *f, size_t size)
{
    g_assert_cmpuint(load_be16(f + 16), ==, size - 14);
    g_assert_cmphex(checksum_add(0, f + 14, 20), ==, 0xffff);
    g_assert_cmphex(checksum_add(checksum_add(6 + size - 34, f + 26, 8), f + 34, size - 34), ==, 0xffff);
}
