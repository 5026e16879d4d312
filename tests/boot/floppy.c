/* Runs in a Linux guest: formats a floppy disk, track by track: floppy DEVICE [KIB], in the geometry that the driver has
 * found, or for one of the sizes of 40 tracks, which it does not look for. */
#include <fcntl.h>
#include <linux/fd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static int complain(const char *what)
{
    printf("FLOPPY-FAIL ");
    fflush(stdout);
    perror(what);
    return 1;
}

/* In a drive of 360 KB: 250 kbit/s. */
static int set_size(int fd, int kib)
{
    struct floppy_struct g = { .track = 40, .gap = 0x2a, .rate = 2, .spec1 = 0xdf, .fmt_gap = 0x50 };

    g.head = kib >= 320 ? 2 : 1;
    g.sect = kib / g.head / 20;
    g.size = g.sect * g.head * g.track;
    return ioctl(fd, FDDEFPRM, &g);
}

int main(int argc, char **argv)
{
    struct floppy_struct geometry;
    struct format_descr track;
    int fd = argc >= 2 ? open(argv[1], O_RDWR | (argc > 2 ? O_NDELAY : 0)) : -1;

    if (fd < 0) {
        return complain("open");
    }
    if (argc > 2 && set_size(fd, atoi(argv[2])) < 0) {
        return complain("FDDEFPRM");
    }
    if (ioctl(fd, FDGETPRM, &geometry) < 0 || ioctl(fd, FDFMTBEG, NULL) < 0) {
        return complain("FDFMTBEG");
    }
    for (track.track = 0; track.track < geometry.track; track.track++) {
        for (track.head = 0; track.head < geometry.head; track.head++) {
            if (ioctl(fd, FDFMTTRK, &track) < 0) {
                return complain("FDFMTTRK");
            }
        }
    }
    if (ioctl(fd, FDFMTEND, NULL) < 0) {
        return complain("FDFMTEND");
    }
    printf("FLOPPY-FORMATTED %u tracks, %u heads, %u sectors\n", geometry.track, geometry.head, geometry.sect);
    return 0;
}
