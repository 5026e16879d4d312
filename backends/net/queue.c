/* Frames that wait, in a queue that is bounded in bytes. */
#include "backends/net/internal.h"

#include <string.h>

void net_queue_init(NetQueue *queue, size_t limit)
{
    g_queue_init(&queue->frames);
    queue->bytes = 0;
    queue->limit = limit;
}

bool net_queue_push(NetQueue *queue, const NetHeader *header, const struct iovec *iov, int count)
{
    size_t size = iov_size(iov, count);
    NetFrame *frame;

    if (queue->bytes + size + NET_FRAME_COST > queue->limit) {
        return false;
    }
    frame = g_malloc(sizeof(*frame) + size);
    frame->has_header = header != NULL;
    frame->header = header ? *header : (NetHeader){ 0 };
    frame->size = size;
    iov_read(iov, count, 0, frame->data, size);
    queue->bytes += size + NET_FRAME_COST;
    g_queue_push_tail(&queue->frames, frame);
    return true;
}

const NetFrame *net_queue_peek(const NetQueue *queue)
{
    return queue->frames.head ? queue->frames.head->data : NULL;
}

void net_queue_pop(NetQueue *queue)
{
    NetFrame *frame = g_queue_pop_head(&queue->frames);

    queue->bytes -= frame->size + NET_FRAME_COST;
    g_free(frame);
}

void net_queue_clear(NetQueue *queue)
{
    g_queue_clear_full(&queue->frames, g_free);
    queue->bytes = 0;
}
