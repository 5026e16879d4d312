/* Plays two seconds of 1000 Hz through /dev/dsp: the guest's side of the tests of sound. Usage: tone RATE */
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/soundcard.h>
#include <unistd.h>

enum { HERTZ = 1000, SECONDS = 2, AMPLITUDE = 12000 };

/* Whatever is muted or low. */
static void open_mixer(void)
{
    int fd = open("/dev/mixer", O_RDWR), devices = 0;

    if (fd < 0 || ioctl(fd, SOUND_MIXER_READ_DEVMASK, &devices) < 0) {
        return;
    }
    for (int n = 0; n < SOUND_MIXER_NRDEVICES; n++) {
        int full = 100 | 100 << 8;

        if (devices >> n & 1) {
            ioctl(fd, MIXER_WRITE(n), &full);
        }
    }
    close(fd);
}

int main(int argc, char **argv)
{
    int rate = argc > 1 ? atoi(argv[1]) : 44100, channels = 2, format = AFMT_S16_NE, fd;
    int16_t buffer[1024][2];

    open_mixer();
    fd = open("/dev/dsp", O_WRONLY);
    if (fd < 0 || ioctl(fd, SNDCTL_DSP_SETFMT, &format) < 0 || ioctl(fd, SNDCTL_DSP_CHANNELS, &channels) < 0 ||
        ioctl(fd, SNDCTL_DSP_SPEED, &rate) < 0 || format != AFMT_S16_NE || channels != 2) {
        perror("TONE bad: /dev/dsp");
        return 1;
    }
    printf("TONE at %d\n", rate);
    for (int n = 0; n < rate * SECONDS;) {
        for (int i = 0; i < 1024; i++, n++) {
            buffer[i][0] = AMPLITUDE * sin(2 * M_PI * HERTZ * n / rate);
            buffer[i][1] = -buffer[i][0] / 2;
        }
        if (write(fd, buffer, sizeof(buffer)) != sizeof(buffer)) {
            perror("TONE bad: write");
            return 1;
        }
    }
    if (ioctl(fd, SNDCTL_DSP_SYNC, 0) < 0) {
        perror("TONE bad: sync");
        return 1;
    }
    close(fd);
    puts("TONE played");
    return 0;
}
