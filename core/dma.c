/* Lists of guest memory that the host reads and writes directly. */
#include "core/dma.h"

#include <string.h>

typedef struct DmaPiece {
    RamBlock *ram;
    uint64_t offset;
} DmaPiece;

static void append(DmaList *list, void *host, uint64_t size, RamBlock *ram, uint64_t offset)
{
    if (list->count) {
        struct iovec *last = &list->iov[list->count - 1];
        DmaPiece *piece = &list->pieces[list->count - 1];

        if (piece->ram == ram && piece->offset + last->iov_len == offset) {
            last->iov_len += size;
            return;
        }
    }
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 16;
        list->iov = g_renew(struct iovec, list->iov, list->room);
        list->pieces = g_renew(DmaPiece, list->pieces, list->room);
    }
    list->iov[list->count] = (struct iovec){ host, size };
    list->pieces[list->count] = (DmaPiece){ ram, offset };
    list->count++;
}

bool dma_list_add(DmaList *list, PhysAddr addr, uint64_t size, bool is_write)
{
    int count = list->count;
    uint64_t last = count ? list->iov[count - 1].iov_len : 0, done = 0;

    while (done < size) {
        uint64_t n = size - done, offset;
        RamBlock *ram;
        void *host = addr + done < addr ? NULL
                                        : memory_map(memory_system(), addr + done, &n, is_write, &ram, &offset);

        if (!host) {
            list->count = count;
            if (count) {
                list->iov[count - 1].iov_len = last;
            }
            return false;
        }
        append(list, host, n, ram, offset);
        done += n;
    }
    list->size += size;
    return true;
}

void dma_list_written(const DmaList *list, uint64_t size)
{
    for (int i = 0; i < list->count && size; i++) {
        uint64_t n = MIN(size, list->iov[i].iov_len);

        ram_mark_dirty(list->pieces[i].ram, list->pieces[i].offset, n);
        size -= n;
    }
}

typedef enum CopyWay { TO_LIST, FROM_LIST } CopyWay;

static uint64_t copy(const DmaList *list, uint64_t offset, uint8_t *data, uint64_t size, CopyWay way)
{
    uint64_t done = 0;

    for (int i = 0; i < list->count && done < size; i++) {
        uint64_t n;
        uint8_t *host;

        if (offset >= list->iov[i].iov_len) {
            offset -= list->iov[i].iov_len;
            continue;
        }
        host = (uint8_t *)list->iov[i].iov_base + offset;
        n = MIN(size - done, list->iov[i].iov_len - offset);
        if (way == TO_LIST) {
            memcpy(host, data + done, n);
            ram_mark_dirty(list->pieces[i].ram, list->pieces[i].offset + offset, n);
        } else {
            memcpy(data + done, host, n);
        }
        done += n;
        offset = 0;
    }
    return done;
}

uint64_t dma_list_put(const DmaList *list, uint64_t offset, const void *data, uint64_t size)
{
    return copy(list, offset, (uint8_t *)data, size, TO_LIST);
}

uint64_t dma_list_get(const DmaList *list, uint64_t offset, void *data, uint64_t size)
{
    return copy(list, offset, data, size, FROM_LIST);
}

void dma_list_clear(DmaList *list)
{
    list->count = 0;
    list->size = 0;
}

void dma_list_free(DmaList *list)
{
    g_free(list->iov);
    g_free(list->pieces);
    *list = (DmaList){ 0 };
}
