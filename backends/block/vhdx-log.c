/*
 * Headers and log of VHDX images.
 *
 * Changes of metadata are written to the log, made stable, then made in place, and made stable again before the log is
 * used for the next ones. So the log holds at most one entry that matters, and each entry is its own tail.
 */
#include "backends/block/vhdx.h"

#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <string.h>

enum {
    ENTRY_HEADER = 64,
    DESCRIPTOR = 32,
    /* In an entry. */
    E_CHECKSUM = 4,
    E_LENGTH = 8,
    E_TAIL = 12,
    E_SEQUENCE = 16,
    E_COUNT = 24,
    E_GUID = 32,
    E_FLUSHED = 48,
    E_LAST = 56,
    /* In a descriptor. */
    D_TRAILING = 4,
    D_LEADING = 8,  /* or the length of zeros */
    D_OFFSET = 16,
    D_SEQUENCE = 24,
    MAX_PAGES = 64, /* of one entry that we write */
};

static const uint8_t no_guid[16];

uint32_t vhdx_crc32c(const void *data, size_t size)
{
    static uint32_t table[256];
    static gsize ready;
    const uint8_t *at = data;
    uint32_t crc = UINT32_MAX;

    if (g_once_init_enter(&ready)) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t v = i;

            for (int bit = 0; bit < 8; bit++) {
                v = v >> 1 ^ (v & 1 ? 0x82f63b78 : 0);
            }
            table[i] = v;
        }
        g_once_init_leave(&ready, 1);
    }
    while (size--) {
        crc = crc >> 8 ^ table[(crc ^ *at++) & 0xff];
    }
    return ~crc;
}

uint32_t vhdx_checksum(const uint8_t *data, size_t size, size_t field)
{
    g_autofree uint8_t *copy = g_memdup2(data, size);

    store_le32(copy + field, 0);
    return vhdx_crc32c(copy, size);
}

void vhdx_new_guid(uint8_t *guid)
{
    for (int i = 0; i < 4; i++) {
        store_le32(guid + 4 * i, g_random_int());
    }
    guid[7] = (guid[7] & 0x0f) | 0x40;
    guid[8] = (guid[8] & 0x3f) | 0x80;
}

/* ---- headers ---- */

static bool read_header(VhdxLog *log, bool second, uint8_t *h)
{
    return !block_image_read(log->file, second ? VHDX_HEADER_2 : VHDX_HEADER_1, h, VHDX_PAGE) &&
           !memcmp(h, "head", 4) && vhdx_checksum(h, VHDX_PAGE, VHDX_H_CHECKSUM) == load_le32(h + VHDX_H_CHECKSUM) &&
           load_le16(h + VHDX_H_VERSION) == 1;
}

static bool find_header(VhdxLog *log)
{
    uint8_t second[VHDX_PAGE];
    bool first = read_header(log, false, log->header);

    log->second = read_header(log, true, second) &&
                  (!first || load_le64(second + VHDX_H_SEQUENCE) > load_le64(log->header + VHDX_H_SEQUENCE));
    if (log->second) {
        memcpy(log->header, second, VHDX_PAGE);
    }
    return first || log->second;
}

/* The header as it is now becomes the current one on the file. */
static int write_header(VhdxLog *log)
{
    uint8_t *h = log->header;
    int error = 0;

    /* Twice, so that neither place has an older one. */
    for (int i = 0; i < 2 && !error; i++) {
        store_le64(h + VHDX_H_SEQUENCE, load_le64(h + VHDX_H_SEQUENCE) + 1);
        store_le32(h + VHDX_H_CHECKSUM, vhdx_checksum(h, VHDX_PAGE, VHDX_H_CHECKSUM));
        log->second = !log->second;
        error = block_image_write(log->file, log->second ? VHDX_HEADER_2 : VHDX_HEADER_1, h, VHDX_PAGE);
        error = error ? error : block_image_flush(log->file);
    }
    return error;
}

/* ---- replay ---- */

/* Reads from the log as the ring that it is. */
static int read_ring(VhdxLog *log, uint64_t at, void *buf, uint64_t size)
{
    uint64_t first = MIN(size, log->length - at);
    int error = block_image_read(log->file, log->offset + at, buf, first);

    return error || first == size ? error : block_image_read(log->file, log->offset, (uint8_t *)buf + first, size - first);
}

/* The entry at a place of the log, with data and checked, or NULL. */
static uint8_t *read_entry(VhdxLog *log, uint64_t at)
{
    uint8_t h[ENTRY_HEADER];
    g_autofree uint8_t *entry = NULL;
    uint64_t length, count;

    if (read_ring(log, at, h, sizeof(h)) || memcmp(h, "loge", 4) || memcmp(h + E_GUID, log->header + VHDX_H_LOG_GUID, 16)) {
        return NULL;
    }
    length = load_le32(h + E_LENGTH);
    count = load_le32(h + E_COUNT);
    if (!length || length % VHDX_PAGE || length > log->length || load_le32(h + E_TAIL) % VHDX_PAGE ||
        load_le32(h + E_TAIL) >= log->length || ENTRY_HEADER + count * DESCRIPTOR > length) {
        return NULL;
    }
    entry = g_try_malloc(length);
    if (!entry || read_ring(log, at, entry, length) ||
        vhdx_checksum(entry, length, E_CHECKSUM) != load_le32(entry + E_CHECKSUM)) {
        return NULL;
    }
    return g_steal_pointer(&entry);
}

/* A page changes, on the file or beside it. */
static int put_page(VhdxLog *log, uint64_t offset, const uint8_t *page, bool readonly)
{
    if (!readonly) {
        return block_image_write(log->file, offset, page, VHDX_PAGE);
    }
    g_hash_table_replace(log->pages, g_memdup2(&offset, sizeof(offset)), g_memdup2(page, VHDX_PAGE));
    return 0;
}

static int replay_zeros(VhdxLog *log, const uint8_t *d, bool readonly)
{
    static const uint8_t zeros[VHDX_PAGE];
    uint64_t offset = load_le64(d + D_OFFSET), length = load_le64(d + D_LEADING);
    int error = 0;

    if (offset % VHDX_PAGE || length % VHDX_PAGE || offset > INT64_MAX || length > VHDX_LOG_MAX) {
        return EINVAL;
    }
    if (!readonly) {
        return block_image_write_zeroes(log->file, offset, length, false);
    }
    for (uint64_t done = 0; done < length && !error; done += VHDX_PAGE) {
        error = put_page(log, offset + done, zeros, true);
    }
    return error;
}

static int replay_data(VhdxLog *log, const uint8_t *d, const uint8_t *sector, uint64_t sequence, bool readonly)
{
    uint64_t offset = load_le64(d + D_OFFSET);
    uint8_t page[VHDX_PAGE];

    if (offset % VHDX_PAGE || offset > INT64_MAX || memcmp(sector, "data", 4) ||
        load_le32(sector + 4) != sequence >> 32 || load_le32(sector + VHDX_PAGE - 4) != (uint32_t)sequence) {
        return EINVAL;
    }
    memcpy(page, sector, VHDX_PAGE);
    memcpy(page, d + D_LEADING, 8);
    memcpy(page + VHDX_PAGE - 4, d + D_TRAILING, 4);
    return put_page(log, offset, page, readonly);
}

static int replay_entry(VhdxLog *log, const uint8_t *entry, bool readonly)
{
    uint64_t count = load_le32(entry + E_COUNT), length = load_le32(entry + E_LENGTH);
    uint64_t sequence = load_le64(entry + E_SEQUENCE), last = load_le64(entry + E_LAST);
    uint64_t data = round_up(ENTRY_HEADER + count * DESCRIPTOR, VHDX_PAGE);
    int error = 0;

    for (uint64_t i = 0; i < count && !error; i++) {
        const uint8_t *d = entry + ENTRY_HEADER + i * DESCRIPTOR;

        if (load_le64(d + D_SEQUENCE) != sequence) {
            return EINVAL;
        }
        if (!memcmp(d, "zero", 4)) {
            error = replay_zeros(log, d, readonly);
        } else if (!memcmp(d, "desc", 4) && data + VHDX_PAGE <= length) {
            error = replay_data(log, d, entry + data, sequence, readonly);
            data += VHDX_PAGE;
        } else {
            error = EINVAL;
        }
    }
    if (!error && !readonly && last <= INT64_MAX && block_image_size(log->file) < last &&
        last - block_image_size(log->file) <= (UINT64_C(1) << 40)) {
        error = block_image_resize(log->file, last, NULL);
    }
    return error;
}

/* The entries from `tail` on as long as their numbers follow each other; true if `head` is the last of them. */
static bool follow(VhdxLog *log, uint64_t tail, uint64_t head, bool replay, bool readonly, int *failed)
{
    uint64_t at = tail, expected = 0;

    for (uint64_t passed = 0; passed < log->length;) {
        g_autofree uint8_t *entry = read_entry(log, at);
        uint64_t length;

        if (!entry || (expected && load_le64(entry + E_SEQUENCE) != expected)) {
            return false;
        }
        if (replay) {
            *failed = replay_entry(log, entry, readonly);
        }
        if (*failed || at == head) {
            return true;
        }
        expected = load_le64(entry + E_SEQUENCE) + 1;
        length = load_le32(entry + E_LENGTH);
        passed += length;
        at = (at + length) % log->length;
    }
    return false;
}

/* The newest entry whose sequence is complete; false: the log has none. */
static bool find_head(VhdxLog *log, uint64_t *head, uint64_t *tail)
{
    uint64_t best = 0;

    for (uint64_t at = 0; at < log->length; at += VHDX_PAGE) {
        uint8_t h[ENTRY_HEADER];
        g_autofree uint8_t *entry = NULL;
        int failed = 0;

        /* Most places hold no entry: look before reading all. */
        if (read_ring(log, at, h, sizeof(h)) || memcmp(h, "loge", 4) || load_le64(h + E_SEQUENCE) <= best) {
            continue;
        }
        entry = read_entry(log, at);
        if (entry && follow(log, load_le32(entry + E_TAIL), at, false, false, &failed)) {
            best = load_le64(entry + E_SEQUENCE);
            *head = at;
            *tail = load_le32(entry + E_TAIL);
        }
    }
    return best != 0;
}

static int replay(VhdxLog *log, bool readonly)
{
    uint64_t head, tail;
    int failed = 0;

    if (!memcmp(log->header + VHDX_H_LOG_GUID, no_guid, 16)) {
        return 0;
    }
    if (readonly) {
        log->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    }
    if (find_head(log, &head, &tail)) {
        follow(log, tail, head, true, readonly, &failed);
    }
    if (failed || readonly) {
        return failed;
    }
    failed = block_image_flush(log->file);
    memset(log->header + VHDX_H_LOG_GUID, 0, 16);
    return failed ? failed : write_header(log);
}

bool vhdx_log_open(VhdxLog *log, BlockImage *file, const char *name, bool readonly, GError **error)
{
    const char *what = NULL;
    int failed;

    *log = (VhdxLog){ .file = file };
    if (!find_header(log)) {
        what = "both headers are damaged";
    } else {
        log->offset = load_le64(log->header + VHDX_H_LOG_OFFSET);
        log->length = load_le32(log->header + VHDX_H_LOG_LENGTH);
        if (load_le16(log->header + VHDX_H_LOG_VERSION) || log->offset < VHDX_MIB || log->offset % VHDX_MIB ||
            !log->length || log->length % VHDX_MIB || log->length > VHDX_LOG_MAX || log->offset > INT64_MAX - log->length) {
            what = "the log's place is wrong";
        }
    }
    if (what) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s' is no usable VHDX image: %s", name, what);
        return false;
    }
    failed = replay(log, readonly);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s': the log cannot be replayed: %s", name, g_strerror(failed));
        g_clear_pointer(&log->pages, g_hash_table_destroy);
    }
    return !failed;
}

int vhdx_log_read(VhdxLog *log, uint64_t offset, void *buf, size_t size)
{
    int error = block_image_read(log->file, offset, buf, size);

    for (uint64_t page = offset / VHDX_PAGE * VHDX_PAGE; log->pages && !error && page < offset + size; page += VHDX_PAGE) {
        const uint8_t *data = g_hash_table_lookup(log->pages, &page);
        uint64_t start = MAX(page, offset), end = MIN(page + VHDX_PAGE, offset + size);

        if (data) {
            memcpy((uint8_t *)buf + (start - offset), data + (start - page), end - start);
        }
    }
    return error;
}

/* ---- writing ---- */

int vhdx_log_begin(VhdxLog *log)
{
    int error;

    if (log->writing) {
        return 0;
    }
    vhdx_new_guid(log->header + VHDX_H_FILE_GUID);
    vhdx_new_guid(log->header + VHDX_H_DATA_GUID);
    vhdx_new_guid(log->header + VHDX_H_LOG_GUID);
    error = write_header(log);
    log->writing = !error;
    return error;
}

/* The entry that changes so many pages from the offset on. */
static uint8_t *make_entry(VhdxLog *log, uint64_t offset, const uint8_t *pages, uint32_t count, uint64_t *length)
{
    uint64_t data = round_up(ENTRY_HEADER + count * DESCRIPTOR, VHDX_PAGE), end = block_image_size(log->file);
    uint8_t *e = g_malloc0(data + count * (uint64_t)VHDX_PAGE);

    *length = data + count * (uint64_t)VHDX_PAGE;
    memcpy(e, "loge", 4);
    store_le32(e + E_LENGTH, *length);
    store_le32(e + E_TAIL, log->next);
    store_le64(e + E_SEQUENCE, log->sequence);
    store_le32(e + E_COUNT, count);
    memcpy(e + E_GUID, log->header + VHDX_H_LOG_GUID, 16);
    store_le64(e + E_FLUSHED, end);
    store_le64(e + E_LAST, end);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *page = pages + i * (size_t)VHDX_PAGE;
        uint8_t *d = e + ENTRY_HEADER + i * DESCRIPTOR, *sector = e + data + i * (size_t)VHDX_PAGE;

        memcpy(d, "desc", 4);
        memcpy(d + D_TRAILING, page + VHDX_PAGE - 4, 4);
        memcpy(d + D_LEADING, page, 8);
        store_le64(d + D_OFFSET, offset + i * (uint64_t)VHDX_PAGE);
        store_le64(d + D_SEQUENCE, log->sequence);
        memcpy(sector, page, VHDX_PAGE);
        memcpy(sector, "data", 4);
        store_le32(sector + 4, log->sequence >> 32);
        store_le32(sector + VHDX_PAGE - 4, log->sequence);
    }
    store_le32(e + E_CHECKSUM, vhdx_checksum(e, *length, E_CHECKSUM));
    return e;
}

static int write_entry(VhdxLog *log, uint64_t offset, const uint8_t *pages, uint32_t count)
{
    uint64_t needed = round_up(ENTRY_HEADER + count * DESCRIPTOR, VHDX_PAGE) + count * (uint64_t)VHDX_PAGE, length;
    g_autofree uint8_t *entry = NULL;
    int error;

    if (log->next + needed > log->length) {
        log->next = 0;
    }
    log->sequence++;
    entry = make_entry(log, offset, pages, count, &length);
    error = block_image_write(log->file, log->offset + log->next, entry, length);
    error = error ? error : block_image_flush(log->file);
    error = error ? error : block_image_write(log->file, offset, pages, count * (size_t)VHDX_PAGE);
    error = error ? error : block_image_flush(log->file);
    log->next = (log->next + length) % log->length;
    return error;
}

int vhdx_log_write(VhdxLog *log, uint64_t offset, const void *pages, uint32_t count)
{
    int error = vhdx_log_begin(log);

    for (uint32_t done = 0; done < count && !error; done += MAX_PAGES) {
        error = write_entry(log, offset + done * (uint64_t)VHDX_PAGE, (const uint8_t *)pages + done * (size_t)VHDX_PAGE,
                            MIN(count - done, MAX_PAGES));
    }
    return error;
}

void vhdx_log_close(VhdxLog *log)
{
    if (log->writing && !block_image_flush(log->file)) {
        memset(log->header + VHDX_H_LOG_GUID, 0, 16);
        write_header(log);
    }
    g_clear_pointer(&log->pages, g_hash_table_destroy);
}
