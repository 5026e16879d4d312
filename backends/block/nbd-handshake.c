/* The first part of an NBD connection, from the client's side: options until the export is chosen. */
#include "backends/block/nbd-handshake.h"

#include "util/bits.h"
#include "util/error.h"

#include <string.h>

#define MAX_REPLY 65536 /* of one option reply */

static bool gone(GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_HOST, "the NBD server closed the connection");
    return false;
}

static bool nonsense(const char *what, GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_HOST, "the NBD server's %s makes no sense", what);
    return false;
}

static bool send_option(int fd, uint32_t option, const void *data, uint32_t size, GError **error)
{
    uint8_t head[16];

    store_be64(head, NBD_OPT_MAGIC);
    store_be32(head + 8, option);
    store_be32(head + 12, size);
    return (nbd_send(fd, head, sizeof(head)) && nbd_send(fd, data, size)) || gone(error);
}

typedef struct Reply {
    uint32_t type, size;
    uint8_t *data; /* owned; a zero byte follows */
} Reply;

static bool receive_reply(int fd, uint32_t option, Reply *r, GError **error)
{
    uint8_t head[20];

    g_clear_pointer(&r->data, g_free);
    if (!nbd_receive(fd, head, sizeof(head))) {
        return gone(error);
    }
    r->type = load_be32(head + 12);
    r->size = load_be32(head + 16);
    if (load_be64(head) != NBD_REP_MAGIC || load_be32(head + 8) != option || r->size > MAX_REPLY) {
        return nonsense("answer", error);
    }
    r->data = g_malloc0(r->size + 1);
    return nbd_receive(fd, r->data, r->size) || gone(error);
}

static bool greet(int fd, bool *is_old, NbdSession *out, GError **error)
{
    uint8_t hello[18], flags[4];
    uint16_t server;

    if (!nbd_receive(fd, hello, 16)) {
        return gone(error);
    }
    if (load_be64(hello) != NBD_MAGIC) {
        return nonsense("greeting", error);
    }
    *is_old = load_be64(hello + 8) == UINT64_C(0x00420281861253);
    if (*is_old) { /* the oldest style: the only export follows at once */
        uint8_t rest[12];

        if (!nbd_receive(fd, rest, sizeof(rest)) || !nbd_skip(fd, 124)) {
            return gone(error);
        }
        out->size = load_be64(rest);
        out->flags = load_be32(rest + 8);
        return true;
    }
    if (load_be64(hello + 8) != NBD_OPT_MAGIC) {
        return nonsense("greeting", error);
    }
    if (!nbd_receive(fd, hello + 16, 2)) {
        return gone(error);
    }
    server = load_be16(hello + 16);
    if (!(server & NBD_FLAG_FIXED_NEWSTYLE)) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "the NBD server does not speak the fixed newstyle protocol");
        return false;
    }
    store_be32(flags, server & (NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES));
    return nbd_send(fd, flags, sizeof(flags)) || gone(error);
}

static bool ask_structured(int fd, NbdSession *out, GError **error)
{
    g_autofree uint8_t *data = NULL;
    Reply r = { 0 };
    bool good = send_option(fd, NBD_OPT_STRUCTURED_REPLY, "", 0, error) &&
                receive_reply(fd, NBD_OPT_STRUCTURED_REPLY, &r, error);

    out->structured = good && r.type == NBD_REP_ACK;
    g_free(r.data);
    return good;
}

static bool ask_status(int fd, const char *export, NbdSession *out, GError **error)
{
    static const char context[] = "base:allocation";
    g_autoptr(GByteArray) text = g_byte_array_new();
    uint8_t number[4];
    Reply r = { 0 };
    bool good;

    store_be32(number, strlen(export));
    g_byte_array_append(text, number, 4);
    g_byte_array_append(text, (const uint8_t *)export, strlen(export));
    store_be32(number, 1);
    g_byte_array_append(text, number, 4);
    store_be32(number, strlen(context));
    g_byte_array_append(text, number, 4);
    g_byte_array_append(text, (const uint8_t *)context, strlen(context));
    good = send_option(fd, NBD_OPT_SET_META_CONTEXT, text->data, text->len, error);
    do {
        good = good && receive_reply(fd, NBD_OPT_SET_META_CONTEXT, &r, error);
        if (good && r.type == NBD_REP_META_CONTEXT && r.size == 4 + strlen(context) &&
            !memcmp(r.data + 4, context, strlen(context))) {
            out->has_status = true;
            out->status_id = load_be32(r.data);
        }
    } while (good && r.type == NBD_REP_META_CONTEXT);
    g_free(r.data);
    return good;
}

static void take_info(const Reply *r, NbdSession *out, bool *known)
{
    if (r->size >= 12 && load_be16(r->data) == NBD_INFO_EXPORT) {
        out->size = load_be64(r->data + 2);
        out->flags = load_be16(r->data + 10);
        *known = true;
    } else if (r->size >= 14 && load_be16(r->data) == NBD_INFO_BLOCK_SIZE) {
        uint32_t min = load_be32(r->data + 2), max = load_be32(r->data + 10);

        out->min_block = min && !(min & (min - 1)) && min <= 65536 ? min : 1;
        out->max_block = max >= 4096 ? MIN(max, NBD_MAX_TRANSFER) : NBD_MAX_TRANSFER;
        out->max_block = out->max_block / out->min_block * out->min_block;
    }
}

/* An old server without GO: the export follows at once, and an unknown one ends the connection. */
static bool choose_by_name(int fd, const char *export, NbdSession *out, GError **error)
{
    uint8_t info[10];

    if (!send_option(fd, NBD_OPT_EXPORT_NAME, export, strlen(export), error)) {
        return false;
    }
    if (!nbd_receive(fd, info, sizeof(info))) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "the NBD server has no export '%s'", export);
        return false;
    }
    out->size = load_be64(info);
    out->flags = load_be16(info + 8);
    return true;
}

static bool choose(int fd, const char *export, NbdSession *out, GError **error)
{
    g_autoptr(GByteArray) text = g_byte_array_new();
    uint8_t number[4];
    Reply r = { 0 };
    bool known = false, good;

    store_be32(number, strlen(export));
    g_byte_array_append(text, number, 4);
    g_byte_array_append(text, (const uint8_t *)export, strlen(export));
    store_be16(number, 1);
    g_byte_array_append(text, number, 2);
    store_be16(number, NBD_INFO_BLOCK_SIZE);
    g_byte_array_append(text, number, 2);
    good = send_option(fd, NBD_OPT_GO, text->data, text->len, error);
    do {
        good = good && receive_reply(fd, NBD_OPT_GO, &r, error);
        if (good && r.type == NBD_REP_INFO) {
            take_info(&r, out, &known);
        }
    } while (good && r.type == NBD_REP_INFO);
    if (good && r.type == NBD_REP_ERR_UNSUP) {
        good = choose_by_name(fd, export, out, error);
    } else if (good && r.type != NBD_REP_ACK) {
        g_autofree char *why = r.size ? g_utf8_make_valid((char *)r.data, -1) : NULL;

        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "the NBD server refuses the export '%s'%s%s", export, why ? ": " : "",
                    why ? why : r.type == NBD_REP_ERR_UNKNOWN ? ": there is none" : "");
        good = false;
    } else if (good && !known) {
        good = nonsense("export", error);
    }
    g_free(r.data);
    return good;
}

bool nbd_handshake(int fd, const char *export, NbdSession *out, GError **error)
{
    bool is_old = false;

    *out = (NbdSession){ .min_block = 1, .max_block = NBD_MAX_TRANSFER };
    if (strlen(export) > NBD_MAX_STRING) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "the export's name is too long");
        return false;
    }
    if (!greet(fd, &is_old, out, error)) {
        return false;
    }
    if (!is_old && (!ask_structured(fd, out, error) ||
                    (out->structured && !ask_status(fd, export, out, error)) || !choose(fd, export, out, error))) {
        return false;
    }
    return out->size <= INT64_MAX || nonsense("size", error);
}

GPtrArray *nbd_list_exports(int fd, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    NbdSession session;
    bool is_old = false, good = greet(fd, &is_old, &session, error);
    Reply r = { 0 };

    if (good && is_old) {
        good = nonsense("style", error);
    }
    good = good && send_option(fd, NBD_OPT_LIST, "", 0, error);
    do {
        good = good && receive_reply(fd, NBD_OPT_LIST, &r, error);
        if (good && r.type == NBD_REP_SERVER && r.size >= 4 && load_be32(r.data) <= r.size - 4) {
            uint32_t n = load_be32(r.data);

            g_ptr_array_add(list, g_strndup((char *)r.data + 4, n));
            g_ptr_array_add(list, g_strndup((char *)r.data + 4 + n, r.size - 4 - n));
        }
    } while (good && r.type == NBD_REP_SERVER && list->len < 20000);
    if (good && r.type != NBD_REP_ACK) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "the NBD server does not list its exports");
        good = false;
    }
    g_free(r.data);
    if (good) {
        send_option(fd, NBD_OPT_ABORT, "", 0, NULL);
    }
    return good ? g_steal_pointer(&list) : NULL;
}
