/* tap and bridge: an interface of the host's kernel (Documentation/networking/tuntap). */
#include "backends/net/internal.h"
#include "config.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_QUEUES 64
#define BATCH      64 /* frames per queue and round of the main loop */

typedef struct Tap Tap;

typedef struct TapQueue {
    Tap *tap;
    int fd;
    guint read_source, write_source;
} TapQueue;

struct Tap {
    NetBackend *net;
    TapQueue queues[MAX_QUEUES];
    int count;
    bool vnet_header;
    char *ifname, *downscript, *about;
};

/* A frame as the kernel gives it; one buffer serves all: a frame is handed on before the next is read. */
static struct {
    NetHeader header;
    uint8_t frame[NET_MAX_FRAME];
} in;

/* ---- frames ---- */

static gboolean can_write(gint fd, GIOCondition condition, gpointer opaque)
{
    TapQueue *q = opaque;

    q->write_source = 0;
    net_send_again(q->tap->net);
    return G_SOURCE_REMOVE;
}

/* Frames of one flow keep their order: addresses and ports choose the queue. */
static TapQueue *choose_queue(Tap *tap, const struct iovec *iov, int count)
{
    uint8_t flow[26] = { 0 };
    uint32_t hash = 0;

    if (tap->count == 1) {
        return tap->queues;
    }
    iov_read(iov, count, 12, flow, sizeof(flow));
    for (size_t i = 14; i < sizeof(flow); i++) {
        hash = hash * 31 + flow[i];
    }
    return tap->queues + hash % tap->count;
}

static bool tap_send(NetBackend *net, const NetHeader *header, const struct iovec *iov, int count)
{
    static const NetHeader nothing;
    Tap *tap = net_opaque(net);
    TapQueue *q = choose_queue(tap, iov, count);
    struct iovec *out = g_newa(struct iovec, count + 1);
    int skip = tap->vnet_header ? 0 : 1;

    if (q->write_source) {
        return false;
    }
    out[0] = (struct iovec){ (void *)(header ? header : &nothing), sizeof(NetHeader) };
    memcpy(out + 1, iov, count * sizeof(*iov));
    if (writev(q->fd, out + skip, count + 1 - skip) < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
        q->write_source = net_watch(q->fd, G_IO_OUT, can_write, q);
        return false;
    }
    return true; /* also while the interface is down: lost, as on a cable */
}

static gboolean can_read(gint fd, GIOCondition condition, gpointer opaque)
{
    TapQueue *q = opaque;
    Tap *tap = q->tap;
    size_t skip = tap->vnet_header ? 0 : sizeof(NetHeader);

    for (int i = 0; i < BATCH; i++) {
        ssize_t n;

        if (!net_can_deliver(tap->net)) {
            q->read_source = 0; /* tap_receive_again watches again */
            return G_SOURCE_REMOVE;
        }
        n = read(fd, (uint8_t *)&in + skip, sizeof(in) - skip);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return G_SOURCE_CONTINUE;
        }
        if (n < 0) {
            log_warn("network backend '%s': cannot read the interface any more: %s", net_id(tap->net),
                     g_strerror(errno));
            q->read_source = 0;
            return G_SOURCE_REMOVE;
        }
        if (n + skip > sizeof(NetHeader)) {
            NetHeader header = in.header;

            net_deliver_header(tap->net, tap->vnet_header ? &header : NULL, in.frame, n + skip - sizeof(NetHeader));
        }
    }
    return G_SOURCE_CONTINUE;
}

static void tap_receive_again(NetBackend *net)
{
    Tap *tap = net_opaque(net);

    for (int i = 0; i < tap->count; i++) {
        TapQueue *q = tap->queues + i;

        if (!q->read_source) {
            q->read_source = net_watch(q->fd, G_IO_IN, can_read, q);
        }
    }
}

/* ---- scripts and helpers ---- */

static bool run(const char *script, const char *ifname, GError **error)
{
    const char *argv[] = { script, ifname, NULL };
    g_autoptr(GError) why = NULL;
    int status;

    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, &why) ||
        !g_spawn_check_wait_status(status, &why)) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "script '%s' failed: %s", script, why->message);
        return false;
    }
    return true;
}

/* Without a script of the host the interface is at least up. */
static void set_up(const char *ifname)
{
    struct ifreq request = { 0 };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    g_strlcpy(request.ifr_name, ifname, IFNAMSIZ);
    if (fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0 && !(request.ifr_flags & IFF_UP)) {
        request.ifr_flags |= IFF_UP;
        if (ioctl(fd, SIOCSIFFLAGS, &request) < 0) {
            log_warn("cannot set interface '%s' up: %s", ifname, g_strerror(errno));
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

static bool run_script(const char *script, const char *ifname, GError **error)
{
    static const char *const usual[] = { "/etc/myna-ifup", "/etc/qemu-ifup" };

    if (script) {
        return g_str_equal(script, "no") || !*script || run(script, ifname, error);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(usual); i++) {
        if (access(usual[i], X_OK) == 0) {
            return run(usual[i], ifname, error);
        }
    }
    set_up(ifname);
    return true;
}

static int receive_fd(int sock)
{
    char byte;
    struct iovec iov = { &byte, 1 };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    struct cmsghdr *c;
    int fd = -1;

    if (recvmsg(sock, &message, MSG_CMSG_CLOEXEC) <= 0) {
        return -1;
    }
    c = CMSG_FIRSTHDR(&message);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int))) {
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    }
    return fd;
}

static const char *find_helper(void)
{
    static const char *const usual[] = { MYNA_LIBEXECDIR "/myna-bridge-helper", "/usr/lib/myna/myna-bridge-helper",
                                         "/usr/lib/qemu/qemu-bridge-helper" };

    for (size_t i = 0; i < G_N_ELEMENTS(usual); i++) {
        if (access(usual[i], X_OK) == 0) {
            return usual[i];
        }
    }
    return usual[0];
}

/* Starts `HELPER --use-vnet --fd=N --br=BRIDGE`, which sends an interface over socket N. */
static int ask_helper(const char *helper, const char *bridge, GError **error)
{
    g_autofree char *fd_arg = NULL, *bridge_arg = g_strdup_printf("--br=%s", bridge);
    g_auto(GStrv) argv = NULL;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) words = g_strsplit(helper ? helper : find_helper(), " ", -1);
    int pair[2], fd, status = 0;
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot make a pair of sockets: %s", g_strerror(errno));
        return -1;
    }
    fcntl(pair[0], F_SETFD, FD_CLOEXEC);
    fd_arg = g_strdup_printf("--fd=%d", pair[1]);
    g_strv_builder_addv(builder, (const char **)words);
    g_strv_builder_add_many(builder, "--use-vnet", fd_arg, bridge_arg, NULL);
    argv = g_strv_builder_end(builder);
    child = fork();
    if (child == 0) {
        execv(argv[0], argv);
        _exit(127);
    }
    close(pair[1]);
    fd = child < 0 ? -1 : receive_fd(pair[0]);
    close(pair[0]);
    if (child > 0) {
        waitpid(child, &status, 0);
    }
    if (fd < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST,
                    status == 127 << 8 ? "cannot start the bridge helper '%s'"
                                       : "the bridge helper '%s' gave no interface (its message is above)",
                    argv[0]);
    }
    return fd;
}

/* ---- interfaces ---- */

static int open_tun(char ifname[IFNAMSIZ], bool *vnet_header, bool several, GError **error)
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | (several ? IFF_MULTI_QUEUE : 0) };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    unsigned features = 0;

    if (fd < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot open '/dev/net/tun': %s", g_strerror(errno));
        return -1;
    }
    if (*vnet_header && (ioctl(fd, TUNGETFEATURES, &features) < 0 || !(features & IFF_VNET_HDR))) {
        *vnet_header = false;
    }
    request.ifr_flags |= *vnet_header ? IFF_VNET_HDR : 0;
    g_strlcpy(request.ifr_name, ifname, IFNAMSIZ);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot make interface '%s': %s", *ifname ? ifname : "tap%d",
                    errno == EPERM ? "no permission (ip tuntap add dev NAME mode tap user USER, or use the user network)"
                                   : g_strerror(errno));
        close(fd);
        return -1;
    }
    g_strlcpy(ifname, request.ifr_name, IFNAMSIZ);
    return fd;
}

/* What the kernel may leave to us; it takes all of it from us. */
static unsigned set_offloads(int fd)
{
    int size = sizeof(NetHeader);

    ioctl(fd, TUNSETVNETHDRSZ, &size);
    if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN) < 0) {
        ioctl(fd, TUNSETOFFLOAD, 0);
        return 0;
    }
    return NET_CAN_CSUM | NET_CAN_TSO4 | NET_CAN_TSO6 | NET_CAN_ECN;
}

static bool add_queue(Tap *tap, int fd, GError **error)
{
    struct ifreq request = { 0 };
    bool vnet_header;

    if (ioctl(fd, TUNGETIFF, &request) < 0 || !(request.ifr_flags & IFF_TAP)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "fd %d is not a tap interface", fd);
        close(fd);
        return false;
    }
    vnet_header = request.ifr_flags & IFF_VNET_HDR;
    if (tap->count && vnet_header != tap->vnet_header) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "the queues of one interface differ in vnet_hdr");
        close(fd);
        return false;
    }
    fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    tap->vnet_header = vnet_header;
    g_free(tap->ifname);
    tap->ifname = g_strdup(request.ifr_name);
    tap->queues[tap->count++] = (TapQueue){ tap, fd, 0, 0 };
    return true;
}

/* fd=N or fds=N:M:...; numbers of descriptors that were open when this process started. */
static bool add_passed(Tap *tap, const char *text, GError **error)
{
    g_auto(GStrv) part = g_strsplit(text, ":", -1);

    for (int i = 0; part[i]; i++) {
        uint64_t fd;

        if (i == MAX_QUEUES || !parse_u64(part[i], &fd) || fd > INT_MAX) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is not a list of descriptors", text);
            return false;
        }
        if (!add_queue(tap, fd, error)) {
            return false;
        }
    }
    return true;
}

static void tap_free_parts(Tap *tap)
{
    for (int i = 0; i < tap->count; i++) {
        TapQueue *q = tap->queues + i;

        if (q->read_source) {
            g_source_remove(q->read_source);
        }
        if (q->write_source) {
            g_source_remove(q->write_source);
        }
        close(q->fd);
    }
    g_free(tap->ifname);
    g_free(tap->downscript);
    g_free(tap->about);
    g_free(tap);
}

static void tap_free(NetBackend *net)
{
    Tap *tap = net_opaque(net);
    g_autoptr(GError) error = NULL;

    if (tap->downscript && !run(tap->downscript, tap->ifname, &error)) {
        log_warn("network backend '%s': %s", net_id(net), error->message);
    }
    tap_free_parts(tap);
}

static char *tap_describe(const NetBackend *net)
{
    const Tap *tap = net_opaque(net);

    return g_strdup_printf(",ifname=%s,vnet_hdr=%s,queues=%d%s", tap->ifname, tap->vnet_header ? "on" : "off",
                           tap->count, tap->about ? tap->about : "");
}

static const NetOps tap_ops = {
    .send = tap_send,
    .free = tap_free,
    .describe = tap_describe,
    .receive_again = tap_receive_again,
};

static NetBackend *register_tap(const char *id, const char *kind, Tap *tap)
{
    unsigned offloads = 0;

    for (int i = 0; tap->vnet_header && i < tap->count; i++) {
        offloads = set_offloads(tap->queues[i].fd);
    }
    tap->net = net_register(id, kind, &tap_ops, tap);
    net_set_host_offloads(tap->net, offloads);
    net_set_queues(tap->net, tap->count);
    tap_receive_again(tap->net);
    return tap->net;
}

/* vhost moves frames between guest memory and the kernel; here they go through this process. */
static bool check_vhost(const Options *o, GError **error)
{
    bool vhost = false, force = false;

    options_get(o, "vhostfd");
    options_get(o, "vhostfds");
    options_get(o, "poll-us");
    if (!options_get_bool(o, "vhost", &vhost, error) || !options_get_bool(o, "vhostforce", &force, error)) {
        return false;
    }
    if (force) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "vhostforce=on: there is no vhost under translation");
        return false;
    }
    if (vhost) {
        log_info("vhost=on: frames go through this process all the same");
    }
    return true;
}

static bool open_interface(Tap *tap, const Options *o, GError **error)
{
    const char *ifname = options_get(o, "ifname"), *script = options_get(o, "script");
    const char *downscript = options_get(o, "downscript");
    char name[IFNAMSIZ] = "";
    int queues = 1;
    bool vnet_header = true;

    if (!options_get_bool(o, "vnet_hdr", &vnet_header, error) || !options_get_int(o, "queues", &queues, error)) {
        return false;
    }
    if ((ifname && strlen(ifname) >= IFNAMSIZ) || queues < 1 || queues > MAX_QUEUES) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "ifname= has up to %d characters, queues= is from 1 to %d",
                    IFNAMSIZ - 1, MAX_QUEUES);
        return false;
    }
    g_strlcpy(name, ifname ? ifname : "tap%d", IFNAMSIZ);
    for (int i = 0; i < queues; i++) {
        int fd = open_tun(name, &vnet_header, queues > 1, error);

        if (fd < 0 || !add_queue(tap, fd, error)) {
            return false;
        }
    }
    if (!run_script(script, name, error)) {
        return false;
    }
    if (downscript && *downscript && !g_str_equal(downscript, "no")) {
        tap->downscript = g_strdup(downscript);
    }
    return true;
}

static NetBackend *tap_create(const char *id, const Options *o, GError **error)
{
    const char *fd = options_get(o, "fd"), *fds = options_get(o, "fds"), *helper = options_get(o, "helper");
    const char *bridge = options_get(o, "br");
    Tap *tap = g_new0(Tap, 1);
    int got;
    bool done;

    options_get(o, "sndbuf");
    if (!check_vhost(o, error)) {
        tap_free_parts(tap);
        return NULL;
    }
    if (fd || fds) {
        done = add_passed(tap, fd ? fd : fds, error);
    } else if (helper || bridge) {
        got = ask_helper(helper, bridge ? bridge : "br0", error);
        done = got >= 0 && add_queue(tap, got, error);
    } else {
        done = open_interface(tap, o, error);
    }
    if (!done) {
        tap_free_parts(tap);
        return NULL;
    }
    return register_tap(id, "tap", tap);
}

const NetType tap_net_type = { "tap", "an interface of the host: ifname=, script=, fd=, br=, queues=", tap_create };

static NetBackend *bridge_create(const char *id, const Options *o, GError **error)
{
    const char *bridge = options_get(o, "br"), *helper = options_get(o, "helper");
    int fd = ask_helper(helper, bridge ? bridge : "br0", error);
    Tap *tap;

    if (fd < 0) {
        return NULL;
    }
    tap = g_new0(Tap, 1);
    if (!add_queue(tap, fd, error)) {
        tap_free_parts(tap);
        return NULL;
    }
    tap->about = g_strdup_printf(",br=%s", bridge ? bridge : "br0");
    return register_tap(id, "bridge", tap);
}

const NetType bridge_net_type = { "bridge", "an interface in a bridge of the host, by a helper: br=, helper=",
                                  bridge_create };
