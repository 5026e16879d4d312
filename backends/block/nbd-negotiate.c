/* The NBD server: a client's options until it has chosen an export. */
#include "backends/block/nbd-server.h"

#include "util/bits.h"

#include <string.h>

#define MAX_OPTION 65536 /* bytes of one option; more is refused */
#define MAX_OPTIONS 1000 /* of one client */

typedef struct Option {
    uint32_t type, size;
    uint8_t data[MAX_OPTION];
} Option;

static bool reply(NbdClient *c, uint32_t option, uint32_t type, const void *data, uint32_t size)
{
    uint8_t head[20];

    store_be64(head, NBD_REP_MAGIC);
    store_be32(head + 8, option);
    store_be32(head + 12, type);
    store_be32(head + 16, size);
    return nbd_send(c->fd, head, sizeof(head)) && nbd_send(c->fd, data, size);
}

static bool refuse(NbdClient *c, const Option *o, uint32_t type, const char *why)
{
    return reply(c, o->type, type, why, strlen(why));
}

/* ---- exports ---- */

typedef struct Listing {
    NbdClient *client;
    bool good;
} Listing;

static void list_one(NbdExport *e, void *opaque)
{
    Listing *l = opaque;
    size_t n = strlen(e->name), more = e->description ? strlen(e->description) : 0;
    g_autofree uint8_t *data = g_malloc(4 + n + more);

    store_be32(data, n);
    memcpy(data + 4, e->name, n);
    memcpy(data + 4 + n, e->description, more);
    l->good = l->good && reply(l->client, NBD_OPT_LIST, NBD_REP_SERVER, data, 4 + n + more);
}

static bool list(NbdServer *s, NbdClient *c, const Option *o)
{
    Listing l = { c, true };

    if (o->size) {
        return refuse(c, o, NBD_REP_ERR_INVALID, "LIST has no data");
    }
    nbd_server_for_each(s, list_one, &l);
    return l.good && reply(c, o->type, NBD_REP_ACK, "", 0);
}

/* A name of `length` bytes at data + 4; NULL: it does not fit. */
static char *take_name(const Option *o, uint32_t *end)
{
    uint32_t n;

    if (o->size < 4) {
        return NULL;
    }
    n = load_be32(o->data);
    if (n > NBD_MAX_STRING || n > o->size - 4) {
        return NULL;
    }
    *end = 4 + n;
    return g_strndup((const char *)o->data + 4, n);
}

static bool send_info(NbdClient *c, const Option *o, NbdExport *e)
{
    uint8_t info[14];

    store_be16(info, NBD_INFO_EXPORT);
    store_be64(info + 2, block_image_size(e->image));
    store_be16(info + 10, nbd_export_flags(e));
    if (!reply(c, o->type, NBD_REP_INFO, info, 12)) {
        return false;
    }
    store_be16(info, NBD_INFO_BLOCK_SIZE);
    store_be32(info + 2, 1);
    store_be32(info + 6, 4096);
    store_be32(info + 10, NBD_MAX_TRANSFER);
    return reply(c, o->type, NBD_REP_INFO, info, 14) && reply(c, o->type, NBD_REP_ACK, "", 0);
}

/* INFO and GO. *chosen: the options are over. */
static bool inform(NbdServer *s, NbdClient *c, const Option *o, bool *chosen)
{
    uint32_t end;
    g_autofree char *name = take_name(o, &end);
    NbdExport *e;

    if (!name || o->size - end < 2 || o->size - end != 2 + 2 * load_be16(o->data + end)) {
        return refuse(c, o, NBD_REP_ERR_INVALID, "malformed request");
    }
    e = nbd_server_find(s, name);
    if (!e) {
        return refuse(c, o, NBD_REP_ERR_UNKNOWN, "there is no such export");
    }
    if (o->type == NBD_OPT_GO && c->has_status && c->export != e) {
        c->has_status = false; /* it was negotiated for another one */
    }
    if (!send_info(c, o, e)) {
        nbd_export_unref(e);
        return false;
    }
    if (o->type == NBD_OPT_GO) {
        if (c->export) {
            nbd_export_unref(c->export);
        }
        c->export = e;
        *chosen = true;
    } else {
        nbd_export_unref(e);
    }
    return true;
}

static bool choose_by_name(NbdServer *s, NbdClient *c, const Option *o, bool no_zeroes)
{
    g_autofree char *name = g_strndup((const char *)o->data, o->size);
    uint8_t info[10 + 124] = { 0 };
    NbdExport *e = nbd_server_find(s, name);

    if (!e) {
        return false; /* this option has no other way to say it */
    }
    if (c->export) {
        c->has_status = c->has_status && c->export == e;
        nbd_export_unref(c->export);
    }
    c->export = e;
    store_be64(info, block_image_size(e->image));
    store_be16(info + 8, nbd_export_flags(e));
    return nbd_send(c->fd, info, no_zeroes ? 10 : sizeof(info));
}

/* ---- meta contexts: base:allocation is the one there is ---- */

static bool matches(const char *query, bool listing)
{
    return g_str_equal(query, "base:allocation") || (listing && g_str_equal(query, "base:"));
}

static bool meta_context(NbdServer *s, NbdClient *c, const Option *o)
{
    static const char context[] = "base:allocation";
    bool listing = o->type == NBD_OPT_LIST_META_CONTEXT, wanted;
    uint32_t at, queries;
    g_autofree char *name = take_name(o, &at);
    uint8_t answer[4 + sizeof(context) - 1];
    NbdExport *e;

    if (!name || o->size - at < 4) {
        return refuse(c, o, NBD_REP_ERR_INVALID, "malformed request");
    }
    if (!c->structured) {
        return refuse(c, o, NBD_REP_ERR_INVALID, "structured replies come first");
    }
    queries = load_be32(o->data + at);
    at += 4;
    wanted = listing && !queries;
    for (uint32_t i = 0; i < queries; i++) {
        uint32_t n = o->size - at >= 4 ? load_be32(o->data + at) : UINT32_MAX;
        g_autofree char *query = NULL;

        if (n > o->size - at - 4 || n == UINT32_MAX) {
            return refuse(c, o, NBD_REP_ERR_INVALID, "malformed query");
        }
        query = g_strndup((const char *)o->data + at + 4, n);
        wanted |= matches(query, listing);
        at += 4 + n;
    }
    e = nbd_server_find(s, name);
    if (!e) {
        return refuse(c, o, NBD_REP_ERR_UNKNOWN, "there is no such export");
    }
    if (!listing) {
        if (c->export) {
            nbd_export_unref(c->export);
        }
        c->export = e;
        c->has_status = wanted;
    } else {
        nbd_export_unref(e);
    }
    store_be32(answer, listing ? 0 : NBD_STATUS_ID);
    memcpy(answer + 4, context, sizeof(context) - 1);
    return (!wanted || reply(c, o->type, NBD_REP_META_CONTEXT, answer, sizeof(answer))) &&
           reply(c, o->type, NBD_REP_ACK, "", 0);
}

/* ---- one after the other ---- */

/* *over: the options end here, with an export if c->export is set. */
static bool answer(NbdServer *s, NbdClient *c, const Option *o, bool no_zeroes, bool *over)
{
    switch (o->type) {
    case NBD_OPT_EXPORT_NAME:
        *over = true;
        return choose_by_name(s, c, o, no_zeroes);
    case NBD_OPT_ABORT:
        reply(c, o->type, NBD_REP_ACK, "", 0);
        return false;
    case NBD_OPT_LIST:
        return list(s, c, o);
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
        return inform(s, c, o, over);
    case NBD_OPT_STRUCTURED_REPLY:
        if (o->size) {
            return refuse(c, o, NBD_REP_ERR_INVALID, "STRUCTURED_REPLY has no data");
        }
        c->structured = true;
        return reply(c, o->type, NBD_REP_ACK, "", 0);
    case NBD_OPT_LIST_META_CONTEXT:
    case NBD_OPT_SET_META_CONTEXT:
        return meta_context(s, c, o);
    default:
        return refuse(c, o, NBD_REP_ERR_UNSUP, "unknown option");
    }
}

static bool receive_option(NbdClient *c, Option *o, bool *too_big)
{
    uint8_t head[16];

    if (!nbd_receive(c->fd, head, sizeof(head)) || load_be64(head) != NBD_OPT_MAGIC) {
        return false;
    }
    o->type = load_be32(head + 8);
    o->size = load_be32(head + 12);
    *too_big = o->size > MAX_OPTION;
    if (*too_big) {
        return o->size <= NBD_MAX_TRANSFER && nbd_skip(c->fd, o->size);
    }
    return nbd_receive(c->fd, o->data, o->size);
}

bool nbd_server_negotiate(NbdServer *s, NbdClient *c)
{
    g_autofree Option *o = g_new(Option, 1);
    uint8_t hello[18], flags[4];
    bool over = false;

    store_be64(hello, NBD_MAGIC);
    store_be64(hello + 8, NBD_OPT_MAGIC);
    store_be16(hello + 16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    if (!nbd_send(c->fd, hello, sizeof(hello)) || !nbd_receive(c->fd, flags, sizeof(flags)) ||
        load_be32(flags) & ~(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)) {
        return false;
    }
    for (int i = 0; i < MAX_OPTIONS && !over; i++) {
        bool too_big;

        if (!receive_option(c, o, &too_big) ||
            !(too_big ? refuse(c, o, NBD_REP_ERR_TOO_BIG, "too long")
                      : answer(s, c, o, load_be32(flags) & NBD_FLAG_NO_ZEROES, &over))) {
            return false;
        }
    }
    return over && c->export;
}
