/* filter-dump: the frames of a backend in a capture file, in the format of libpcap (man 5 pcap-savefile). */
#include "backends/net/internal.h"
#include "core/object.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { PCAP_MAGIC_US = 0xa1b2c3d4, PCAP_MAJOR = 2, PCAP_MINOR = 4, LINKTYPE_ETHERNET = 1 };

typedef struct FileHeader {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, accuracy, max_size, link_type;
} FileHeader;

typedef struct PacketHeader {
    uint32_t seconds, microseconds, kept, size;
} PacketHeader;

typedef struct Dump {
    NetFilter *filter;
    int fd;
    uint64_t max;
    char *path;
} Dump;

static bool dump_pass(NetFilter *filter, NetDirection direction, const NetHeader *header, const struct iovec *iov,
                      int count)
{
    Dump *dump = filter->opaque;
    int64_t now = g_get_real_time();
    size_t size = iov_size(iov, count), left;
    PacketHeader packet = { now / G_USEC_PER_SEC, now % G_USEC_PER_SEC, MIN(size, dump->max), size };
    struct iovec *out = g_newa(struct iovec, count + 1);

    if (dump->fd < 0) {
        return true;
    }
    out[0] = (struct iovec){ &packet, sizeof(packet) };
    left = packet.kept;
    for (int i = 0; i < count; i++) {
        out[i + 1] = (struct iovec){ iov[i].iov_base, MIN(left, iov[i].iov_len) };
        left -= out[i + 1].iov_len;
    }
    if (writev(dump->fd, out, count + 1) != (ssize_t)(sizeof(packet) + packet.kept)) {
        log_warn("cannot write '%s' any more (%s): the capture ends here", dump->path, g_strerror(errno));
        close(dump->fd);
        dump->fd = -1;
    }
    return true;
}

static const NetFilterOps dump_ops = { .pass = dump_pass };

static bool dump_destroy(void *object, GError **error)
{
    Dump *dump = object;

    if (dump->filter) {
        net_filter_free(dump->filter);
    }
    if (dump->fd >= 0) {
        close(dump->fd);
    }
    g_free(dump->path);
    g_free(dump);
    return true;
}

static bool open_file(Dump *dump, GError **error)
{
    FileHeader header = { PCAP_MAGIC_US, PCAP_MAJOR, PCAP_MINOR, 0, 0, dump->max, LINKTYPE_ETHERNET };

    dump->fd = open(dump->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (dump->fd < 0 || write(dump->fd, &header, sizeof(header)) != sizeof(header)) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write '%s': %s", dump->path, g_strerror(errno));
        return false;
    }
    return true;
}

static void *dump_create(const char *id, const Options *o, GError **error)
{
    Dump *dump = g_new0(Dump, 1);
    const char *path = options_get(o, "file");

    dump->fd = -1;
    dump->max = NET_MAX_FRAME;
    dump->path = g_strdup(path);
    if (!path) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "needs file=");
    } else if (!options_get_size(o, "maxlen", &dump->max, error)) {
        /* the error is set */
    } else if (!dump->max || dump->max > UINT32_MAX) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "maxlen=%s: not a length of frames", options_get(o, "maxlen"));
    } else if ((dump->filter = net_filter_new(&dump_ops, "filter-dump", id, dump, o, error)) && open_file(dump, error)) {
        return dump;
    }
    dump_destroy(dump, NULL);
    return NULL;
}

const ObjectType net_dump_object_type = {
    .name = "filter-dump",
    .about = "writes the frames of a network backend to a capture file: netdev=, file=, maxlen=, queue=",
    .late = true,
    .create = dump_create,
    .destroy = dump_destroy,
};
