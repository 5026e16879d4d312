/* The driver's side of virtio over PCI. VIRTIO 1.2. */
#include "tests/hw/virtio/driver.h"

#include "core/clock.h"
#include "hw/pci/msi.h"
#include "util/bits.h"

#include <string.h>

enum { COMMON = 0, CONFIG = 0x2000, NOTIFY = 0x3000 };
enum { F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4, F_AVAIL = 0x80, F_USED = 0x8000 };

uint32_t driver_common(unsigned offset, unsigned size)
{
    return rig_load(DRIVER_BAR + COMMON + offset, size);
}

void driver_set_common(unsigned offset, uint32_t value, unsigned size)
{
    rig_store(DRIVER_BAR + COMMON + offset, value, size);
}

uint32_t driver_config(unsigned offset, unsigned size)
{
    return rig_load(DRIVER_BAR + CONFIG + offset, size);
}

void driver_set_config(unsigned offset, uint32_t value, unsigned size)
{
    rig_store(DRIVER_BAR + CONFIG + offset, value, size);
}

bool driver_has(const Driver *d, unsigned feature)
{
    return d->features >> feature & 1;
}

static void set_config_register(PciDevice *pci, unsigned offset, uint32_t value, unsigned size)
{
    pci_config_write(pci->bus, 0, pci->devfn, offset, value, size);
}

static void set_up_messages(PciDevice *pci)
{
    VirtioDevice *v = (VirtioDevice *)pci;

    memset(rig_ram() + DRIVER_MAIL, 0, 256);
    for (unsigned n = 0; n < v->vectors; n++) {
        rig_store(DRIVER_MSIX + n * 16, DRIVER_MAIL + n * 4, 4);
        rig_store(DRIVER_MSIX + n * 16 + 8, n + 1, 4);
        rig_store(DRIVER_MSIX + n * 16 + 12, 0, 4);
    }
    if (v->vectors) {
        set_config_register(pci, pci->msix_cap + 2, 0x8000, 2);
    }
}

uint32_t driver_mail(unsigned vector)
{
    uint32_t value = load_le32(rig_ram() + DRIVER_MAIL + vector * 4);

    store_le32(rig_ram() + DRIVER_MAIL + vector * 4, 0);
    return value;
}

void driver_start(Driver *d, Device *dev, uint64_t features)
{
    memset(d, 0, sizeof(*d));
    d->pci = (PciDevice *)dev;
    device_reset(dev);
    set_config_register(d->pci, 0x10, DRIVER_PORTS, 4);
    set_config_register(d->pci, 0x14, DRIVER_MSIX, 4);
    set_config_register(d->pci, 0x20, DRIVER_BAR, 4);
    set_config_register(d->pci, 0x24, 0, 4);
    set_config_register(d->pci, 4, 7, 2);
    set_up_messages(d->pci);
    driver_set_common(0x14, 0, 1);
    driver_set_common(0x14, 3, 1);
    for (unsigned i = 0; i < 2; i++) {
        driver_set_common(0, i, 4);
        d->features |= (uint64_t)driver_common(4, 4) << 32 * i;
    }
    d->features &= features | VIRTIO_BIT(VIRTIO_F_VERSION_1);
    for (unsigned i = 0; i < 2; i++) {
        driver_set_common(8, i, 4);
        driver_set_common(12, d->features >> 32 * i, 4);
    }
    driver_set_common(0x14, 11, 1);
    driver_set_common(0x10, 0, 2);
}

void driver_queue(Driver *d, unsigned index, unsigned size)
{
    DriverQueue *q = &d->q[index];
    PhysAddr at = DRIVER_RINGS + index * 0x10000;

    *q = (DriverQueue){ .size = size, .desc = at, .driver = at + 0x8000, .device = at + 0xa000 };
    q->avail_wrap = q->used_wrap = true;
    memset(rig_ram() + at, 0, 0x10000);
    driver_set_common(0x16, index, 2);
    driver_set_common(0x18, size, 2);
    driver_set_common(0x1a, index + 1, 2);
    driver_set_common(0x20, q->desc, 4);
    driver_set_common(0x28, q->driver, 4);
    driver_set_common(0x30, q->device, 4);
    driver_set_common(0x1c, 1, 2);
}

void driver_ok(Driver *d)
{
    driver_set_common(0x14, 15, 1);
}

static void put_descriptor(PhysAddr at, const DriverBuffer *b, uint16_t third, uint16_t fourth)
{
    uint8_t *p = rig_ram() + at;

    store_le64(p, b->addr);
    store_le32(p + 8, b->size);
    store_le16(p + 12, third);
    store_le16(p + 14, fourth);
}

static DriverBuffer make_table(Driver *d, uint16_t id, const DriverBuffer *buffers, unsigned count)
{
    PhysAddr table = DRIVER_TABLES + id * 0x1000;
    bool packed = driver_has(d, VIRTIO_F_RING_PACKED);

    for (unsigned i = 0; i < count; i++) {
        uint16_t flags = (buffers[i].is_write ? F_WRITE : 0) | (!packed && i + 1 < count ? F_NEXT : 0);

        put_descriptor(table + i * 16, &buffers[i], packed ? 0 : flags, packed ? flags : i + 1);
    }
    return (DriverBuffer){ table, count * 16, false };
}

static uint16_t add_split(DriverQueue *q, const DriverBuffer *buffers, unsigned count, uint16_t extra)
{
    uint16_t head = q->next_free, i = head;

    for (unsigned n = 0; n < count; n++) {
        uint16_t next = (i + 1) % q->size;
        uint16_t flags = (buffers[n].is_write ? F_WRITE : 0) | (n + 1 < count ? F_NEXT : 0) | extra;

        put_descriptor(q->desc + i * 16, &buffers[n], flags, next);
        i = next;
    }
    q->next_free = i;
    store_le16(rig_ram() + q->driver + 4 + 2 * (q->avail % q->size), head);
    q->avail++;
    store_le16(rig_ram() + q->driver + 2, q->avail);
    return head;
}

static uint16_t add_packed(DriverQueue *q, const DriverBuffer *buffers, unsigned count, uint16_t extra)
{
    uint16_t id = q->next_free++ % q->size, first_flags = 0, first = q->avail;

    q->slots[id] = count;
    for (unsigned n = 0; n < count; n++) {
        uint16_t flags = (buffers[n].is_write ? F_WRITE : 0) | (n + 1 < count ? F_NEXT : 0) | extra |
                         (q->avail_wrap ? F_AVAIL : F_USED);

        put_descriptor(q->desc + q->avail * 16, &buffers[n], id, n ? flags : 0);
        first_flags = n ? first_flags : flags;
        if (++q->avail == q->size) {
            q->avail = 0;
            q->avail_wrap = !q->avail_wrap;
        }
    }
    store_le16(rig_ram() + q->desc + first * 16 + 14, first_flags);
    return id;
}

uint16_t driver_add(Driver *d, unsigned index, const DriverBuffer *buffers, unsigned count, bool indirect)
{
    DriverQueue *q = &d->q[index];
    DriverBuffer table;

    if (indirect) {
        table = make_table(d, q->next_free % q->size, buffers, count);
        buffers = &table;
        count = 1;
    }
    return driver_has(d, VIRTIO_F_RING_PACKED) ? add_packed(q, buffers, count, indirect ? F_INDIRECT : 0)
                                               : add_split(q, buffers, count, indirect ? F_INDIRECT : 0);
}

void driver_kick(Driver *d, unsigned index)
{
    rig_store(DRIVER_BAR + NOTIFY + index * 4, index, 2);
}

bool driver_used(Driver *d, unsigned index, uint16_t *id, uint32_t *length)
{
    DriverQueue *q = &d->q[index];
    const uint8_t *p;

    if (!driver_has(d, VIRTIO_F_RING_PACKED)) {
        if (load_le16(rig_ram() + q->device + 2) == q->used) {
            return false;
        }
        p = rig_ram() + q->device + 4 + 8 * (q->used++ % q->size);
        *id = load_le32(p);
        *length = load_le32(p + 4);
        return true;
    }
    p = rig_ram() + q->desc + q->used * 16;
    if (!!(load_le16(p + 14) & F_USED) != q->used_wrap || !!(load_le16(p + 14) & F_AVAIL) != q->used_wrap) {
        return false;
    }
    *id = load_le16(p + 12);
    *length = load_le32(p + 8);
    q->used += q->slots[*id];
    if (q->used >= q->size) {
        q->used -= q->size;
        q->used_wrap = !q->used_wrap;
    }
    return true;
}

uint32_t driver_request(Driver *d, unsigned index, const DriverBuffer *buffers, unsigned count)
{
    uint16_t id = driver_add(d, index, buffers, count, false), back;
    uint32_t length;

    driver_kick(d, index);
    for (int i = 0; i < 1000; i++) {
        rig_run(NS_PER_US);
        if (driver_used(d, index, &back, &length)) {
            g_assert_cmpuint(back, ==, id);
            return length;
        }
    }
    g_assert_not_reached();
}
