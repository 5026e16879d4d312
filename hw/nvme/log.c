/* NVMe GET LOG PAGE: errors, health, firmware, changed namespaces, command effects (5.14.1). */
#include "core/clock.h"
#include "hw/nvme/nvme.h"
#include "util/bits.h"

#include <string.h>

enum { LOG_ERRORS = 1, LOG_HEALTH, LOG_FIRMWARE, LOG_CHANGED_NS, LOG_EFFECTS };

static void put_health(const Nvme *n, uint8_t *b)
{
    b[0] = n->s.warning;
    store_le16(b + 1, NVME_TEMPERATURE);
    b[3] = 100; /* spare, its threshold, wear: per cent */
    b[4] = 10;
    store_le64(b + 32, (n->s.sectors_read + 999) / 1000); /* thousands of 512 bytes */
    store_le64(b + 48, (n->s.sectors_written + 999) / 1000);
    store_le64(b + 64, n->s.reads);
    store_le64(b + 80, n->s.writes);
    store_le64(b + 112, 1);
    store_le64(b + 128, clock_now(CLOCK_GUEST) / NS_PER_SECOND / 3600);
    store_le64(b + 176, n->s.errors);
}

/* Reading it is what the namespace event waited for. */
static void put_changed_namespaces(Nvme *n, uint8_t *b)
{
    for (unsigned i = 1, count = 0; i <= NVME_MAX_NAMESPACES; i++) {
        if (n->s.changed_ns[i / 8] >> i % 8 & 1) {
            store_le32(b + 4 * count++, i);
        }
    }
}

static void put_effects(uint8_t *b)
{
    static const uint8_t admin[] = { 0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x08, 0x09, 0x0a, 0x0c, 0x7c };
    static const uint8_t io[] = { 0x00, 0x01, 0x02, 0x05, 0x08, 0x09, 0x0c };

    for (size_t i = 0; i < G_N_ELEMENTS(admin); i++) {
        store_le32(b + 4 * admin[i], 1);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(io); i++) {
        bool changes = io[i] == 0x01 || io[i] == 0x08 || io[i] == 0x09;

        store_le32(b + 1024 + 4 * io[i], changes ? 3 : 1);
    }
}

NvmeStatus nvme_get_log(NvmeRequest *r)
{
    static const struct {
        uint16_t size;
        uint8_t event; /* type that reading it acknowledges, + 1 */
    } pages[] = { { 0, 0 }, { 64, 1 }, { 512, 2 }, { 512, 0 }, { 4096, 3 }, { 4096, 0 } };
    Nvme *n = r->n;
    uint8_t page = r->cmd[40], b[4096] = { 0 };
    bool retain = r->cmd[41] & 0x80;
    uint64_t dwords = (load_le16(r->cmd + 42) | (uint64_t)load_le16(r->cmd + 44) << 16) + 1;
    uint64_t offset = load_le64(r->cmd + 48), size = dwords * 4;
    g_autofree uint8_t *answer = NULL;
    NvmeStatus status;

    if (!page || page >= G_N_ELEMENTS(pages)) {
        return NVME_LOG_PAGE | NVME_DNR;
    }
    if (offset & 3 || offset > pages[page].size || size > (UINT64_C(1) << 20)) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    switch (page) {
    case LOG_HEALTH:
        put_health(n, b);
        break;
    case LOG_FIRMWARE:
        b[0] = 1;
        memcpy(b + 8, "1.0     ", 8);
        break;
    case LOG_CHANGED_NS:
        put_changed_namespaces(n, b);
        break;
    case LOG_EFFECTS:
        put_effects(b);
        break;
    }
    answer = g_malloc0(size); /* beyond the page come zeros */
    memcpy(answer, b + offset, MIN(size, pages[page].size - offset));
    status = nvme_answer(r, answer, size);
    if (!status && !retain && pages[page].event) {
        n->s.event_masked &= ~(1 << (pages[page].event - 1));
        if (page == LOG_CHANGED_NS) {
            memset(n->s.changed_ns, 0, sizeof(n->s.changed_ns));
        }
        nvme_send_events(n);
    }
    return status;
}
