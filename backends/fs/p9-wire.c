/* The fields of 9P messages. */
#include "backends/fs/p9-internal.h"

#include "util/bits.h"

#include <string.h>

static const uint8_t *take(P9Request *r, size_t size)
{
    static const uint8_t zeros[8];
    const uint8_t *bytes = r->msg + r->at;

    if (r->bad || r->size - r->at < size) {
        r->bad = true;
        return zeros;
    }
    r->at += size;
    return bytes;
}

uint8_t p9_get8(P9Request *r)
{
    return *take(r, 1);
}

uint16_t p9_get16(P9Request *r)
{
    return load_le16(take(r, 2));
}

uint32_t p9_get32(P9Request *r)
{
    return load_le32(take(r, 4));
}

uint64_t p9_get64(P9Request *r)
{
    return load_le64(take(r, 8));
}

char *p9_get_text(P9Request *r)
{
    uint16_t length = p9_get16(r);
    const uint8_t *text = take(r, length);

    if (r->bad || memchr(text, 0, length)) {
        r->bad = true;
        return g_strdup("");
    }
    return g_strndup((const char *)text, length);
}

void p9_put8(P9Request *r, uint8_t value)
{
    g_byte_array_append(r->reply, &value, 1);
}

void p9_put16(P9Request *r, uint16_t value)
{
    uint8_t bytes[2];

    store_le16(bytes, value);
    g_byte_array_append(r->reply, bytes, sizeof(bytes));
}

void p9_put32(P9Request *r, uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    g_byte_array_append(r->reply, bytes, sizeof(bytes));
}

void p9_put64(P9Request *r, uint64_t value)
{
    uint8_t bytes[8];

    store_le64(bytes, value);
    g_byte_array_append(r->reply, bytes, sizeof(bytes));
}

void p9_put_text(P9Request *r, const char *text)
{
    size_t length = MIN(strlen(text), UINT16_MAX);

    p9_put16(r, length);
    g_byte_array_append(r->reply, (const uint8_t *)text, length);
}

enum { QID_FOLDER = 0x80, QID_LINK = 0x02, QID_FILE = 0 };

int p9_put_qid(P9Request *r, Node *node)
{
    struct stat st;
    int error = attr_stat(r->p->dev, node, &st);

    if (error) {
        return error;
    }
    p9_put8(r, S_ISDIR(st.st_mode) ? QID_FOLDER : S_ISLNK(st.st_mode) ? QID_LINK : QID_FILE);
    p9_put32(r, st.st_mtim.tv_sec * 1000003u ^ st.st_mtim.tv_nsec ^ (uint32_t)st.st_size << 8);
    p9_put64(r, p9_qid_path(r->p, st.st_dev, st.st_ino));
    return 0;
}

uint32_t p9_room(const P9Request *r, uint32_t header, uint32_t count)
{
    size_t most = MIN(r->in_size, r->p->msize);

    return most <= header ? 0 : MIN(count, most - header);
}
