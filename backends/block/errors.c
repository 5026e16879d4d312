/* rerror= and werror=: report a failed request, ignore it, or stop the machine and try again when it continues. */
#include "backends/block/backend.h"
#include "core/machine.h"
#include "core/mainloop.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>

static BlockEventFn *event_fn;

void block_set_event_fn(BlockEventFn *fn)
{
    event_fn = fn;
}

bool on_error_parse(const char *text, bool is_write, OnError *out, GError **error)
{
    static const char *const names[] = { "report", "ignore", "stop", "enospc" };

    for (size_t i = 0; text && i < G_N_ELEMENTS(names) - !is_write; i++) {
        if (g_str_equal(text, names[i])) {
            *out = i;
            return true;
        }
    }
    if (text) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s=%s is none of report, ignore, stop%s",
                    is_write ? "werror" : "rerror", text, is_write ? ", enospc" : "");
        return false;
    }
    *out = is_write ? ON_ERROR_ENOSPC : ON_ERROR_REPORT;
    return true;
}

static void send_event(void *opaque)
{
    Json *data = opaque;

    if (event_fn) {
        event_fn("BLOCK_IO_ERROR", data);
    } else {
        json_free(data);
    }
}

static void tell(const Request *r, ErrorAction action)
{
    static const char *const actions[] = { "report", "ignore", "stop" };
    Json *data = json_object();

    json_set_string(data, "device", r->blk->options.id);
    json_set_string(data, "node-name", block_image_node_name(r->blk->root));
    json_set_string(data, "operation", r->kind == REQUEST_READ ? "read" : "write");
    json_set_string(data, "action", actions[action]);
    json_set_bool(data, "nospace", r->error == ENOSPC);
    json_set_string(data, "reason", g_strerror(r->error));
    main_loop_call(send_event, data); /* requests of an I/O thread fail without the machine lock */
}

ErrorAction request_failed(Request *r)
{
    BlockBackend *blk = r->blk;
    OnError policy = r->kind == REQUEST_READ ? blk->on_read_error : blk->on_write_error;
    ErrorAction action = policy == ON_ERROR_IGNORE ? ACTION_IGNORE
                         : policy == ON_ERROR_STOP || (policy == ON_ERROR_ENOSPC && r->error == ENOSPC) ? ACTION_STOP
                                                                                                        : ACTION_REPORT;

    if (r->error == EPERM && r->kind == REQUEST_WRITE) {
        action = ACTION_REPORT; /* trying again would not help */
    }
    if (action == ACTION_STOP) {
        g_mutex_lock(&blk->parked_lock);
        request_list_add(&blk->parked, r);
        g_mutex_unlock(&blk->parked_lock);
        log_warn("drive '%s': %s at %" G_GUINT64_FORMAT ": %s; the machine stops, 'cont' tries again", blk->options.id,
                 r->kind == REQUEST_READ ? "read" : "write", r->offset, g_strerror(r->error));
    }
    tell(r, action);
    if (action == ACTION_STOP) {
        machine_request_stop(RUN_IO_ERROR);
    }
    return action;
}

static RequestList take_parked(BlockBackend *blk)
{
    RequestList list;

    g_mutex_lock(&blk->parked_lock);
    list = blk->parked;
    blk->parked = (RequestList){ NULL };
    g_mutex_unlock(&blk->parked_lock);
    return list;
}

static void refuse_all(BlockBackend *blk, RequestList list, int error)
{
    Request *r;

    while ((r = request_list_take(&list))) {
        atomic_fetch_add(&blk->in_flight, 1);
        r->error = error;
        r->refused = true; /* no policy for it */
        request_complete(r);
    }
}

void block_unpark(BlockBackend *blk, int error)
{
    RequestList held;

    refuse_all(blk, take_parked(blk), error);
    g_mutex_lock(&blk->parked_lock);
    held = blk->waiting;
    blk->waiting = (RequestList){ NULL };
    g_mutex_unlock(&blk->parked_lock);
    refuse_all(blk, held, error);
}

static void retry(void *opaque)
{
    BlockBackend *blk = opaque;
    RequestList list = take_parked(blk);
    Request *r;

    while ((r = request_list_take(&list))) {
        atomic_fetch_add(&blk->in_flight, 1);
        r->error = 0;
        request_dispatch(r);
    }
}

void block_retry_parked(BlockBackend *blk, void *unused)
{
    if (!blk->parked.first) {
        return;
    }
    if (blk->iothread) {
        iothread_call(blk->iothread, retry, blk);
    } else {
        retry(blk);
    }
}
