/*
 * myna-bridge-helper: makes a tap interface in a bridge for somebody who may not, and hands it over.
 *
 * usage: myna-bridge-helper [--use-vnet] [--acl-file=FILE] --br=BRIDGE --fd=SOCKET
 *
 * Installed with set-uid root (or the capability CAP_NET_ADMIN), it lets users into those bridges only
 * that the administrator allows in bridge.conf, line by line: "allow BRIDGE|all", "deny BRIDGE|all",
 * "include FILE". The first line that fits decides; no line means no. Only root may name another file.
 * It uses no library but libc, trusts nothing of its environment, and ends after one interface.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_INCLUDES 8

static void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "myna-bridge-helper: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    exit(1);
}

typedef enum Verdict { SILENT, ALLOWED, DENIED } Verdict;

/* A file that is not there says nothing. */
static Verdict ask_file(const char *path, const char *bridge, int depth)
{
    FILE *file = fopen(path, "re");
    char line[1024];
    Verdict verdict = SILENT;

    if (!file) {
        return SILENT;
    }
    while (verdict == SILENT && fgets(line, sizeof(line), file)) {
        char *word = strtok(line, " \t\r\n"), *value = word ? strtok(NULL, " \t\r\n") : NULL;
        bool fits = value && (strcmp(value, bridge) == 0 || strcmp(value, "all") == 0);

        if (!word || *word == '#') {
            continue;
        }
        if (!value) {
            die("%s: '%s' says nothing", path, word);
        } else if (strcmp(word, "allow") == 0) {
            verdict = fits ? ALLOWED : SILENT;
        } else if (strcmp(word, "deny") == 0) {
            verdict = fits ? DENIED : SILENT;
        } else if (strcmp(word, "include") == 0 && depth < MAX_INCLUDES) {
            verdict = ask_file(value, bridge, depth + 1);
        } else {
            die("%s: '%s' is not allow, deny or include", path, word);
        }
    }
    fclose(file);
    return verdict;
}

static bool may_use(const char *bridge, const char *acl)
{
    static const char *const usual[] = { MYNA_SYSCONFDIR "/myna/bridge.conf", "/etc/myna/bridge.conf",
                                         "/etc/qemu/bridge.conf" };
    Verdict verdict = SILENT;

    if (acl) {
        return ask_file(acl, bridge, 0) == ALLOWED;
    }
    for (size_t i = 0; i < sizeof(usual) / sizeof(*usual) && verdict == SILENT; i++) {
        verdict = ask_file(usual[i], bridge, 0);
    }
    return verdict == ALLOWED;
}

static void request(int fd, unsigned long number, struct ifreq *what, const char *verb)
{
    if (ioctl(fd, number, what) < 0) {
        die("cannot %s '%s': %s", verb, what->ifr_name, strerror(errno));
    }
}

/* A bridge takes the lowest address of its ports as its own: this one must not be it. */
static void raise_address(int control, struct ifreq *tap)
{
    request(control, SIOCGIFHWADDR, tap, "read the address of");
    tap->ifr_hwaddr.sa_data[0] = (char)0xfe;
    request(control, SIOCSIFHWADDR, tap, "set the address of");
}

static int make_tap(const char *bridge, bool vnet_header)
{
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    struct ifreq tap = { .ifr_name = "tap%d", .ifr_flags = IFF_TAP | IFF_NO_PI | (vnet_header ? IFF_VNET_HDR : 0) };
    struct ifreq other = { 0 };
    int mtu;

    if (control < 0 || tun < 0) {
        die("cannot open '/dev/net/tun': %s", strerror(errno));
    }
    request(tun, TUNSETIFF, &tap, "make interface");
    raise_address(control, &tap);
    snprintf(other.ifr_name, IFNAMSIZ, "%s", bridge);
    request(control, SIOCGIFMTU, &other, "find bridge");
    mtu = other.ifr_mtu;
    memcpy(other.ifr_name, tap.ifr_name, IFNAMSIZ);
    other.ifr_mtu = mtu;
    request(control, SIOCSIFMTU, &other, "set the frame size of");
    snprintf(other.ifr_name, IFNAMSIZ, "%s", bridge);
    memset(&other.ifr_ifru, 0, sizeof(other.ifr_ifru));
    other.ifr_ifindex = if_nametoindex(tap.ifr_name);
    request(control, SIOCBRADDIF, &other, "add an interface to bridge");
    memset(&other, 0, sizeof(other));
    memcpy(other.ifr_name, tap.ifr_name, IFNAMSIZ);
    request(control, SIOCGIFFLAGS, &other, "read the flags of");
    other.ifr_flags |= IFF_UP;
    request(control, SIOCSIFFLAGS, &other, "set up");
    close(control);
    return tun;
}

static void hand_over(int sock, int fd)
{
    char byte = 0;
    struct iovec iov = { &byte, 1 };
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof(control) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    if (sendmsg(sock, &message, MSG_NOSIGNAL) < 0) {
        die("cannot hand the interface over: %s", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    const char *bridge = NULL, *acl = NULL;
    bool vnet_header = false;
    int sock = -1;
    char *end;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--use-vnet") == 0) {
            vnet_header = true;
        } else if (strncmp(argv[i], "--br=", 5) == 0) {
            bridge = argv[i] + 5;
        } else if (strncmp(argv[i], "--acl-file=", 11) == 0 && getuid() == 0) {
            acl = argv[i] + 11;
        } else if (strncmp(argv[i], "--fd=", 5) == 0) {
            sock = strtol(argv[i] + 5, &end, 10);
        } else {
            die("usage: myna-bridge-helper [--use-vnet] [--acl-file=FILE] --br=BRIDGE --fd=SOCKET");
        }
    }
    if (!bridge || !*bridge || strlen(bridge) >= IFNAMSIZ || sock < 0) {
        die("needs --br=BRIDGE and --fd=SOCKET");
    }
    if (!may_use(bridge, acl)) {
        die("bridge '%s' is not for everybody: 'allow %s' in %s would let users in", bridge, bridge,
            acl ? acl : "/etc/myna/bridge.conf");
    }
    hand_over(sock, make_tap(bridge, vnet_header));
    return 0;
}
