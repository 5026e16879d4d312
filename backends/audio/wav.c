/*
 * Sound into a RIFF WAVE file: PCM of 16 bits, stereo.
 *
 * Multimedia Programming Interface and Data Specifications 1.0 (IBM and Microsoft 1991), "Waveform Audio File Format".
 * The sizes in the header are right after every write, so that the file is whole however the process ends.
 */
#include "backends/audio/audio-internal.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { HEADER = 44, PCM = 1, CHANNELS = 2, BITS = 16, FRAME = CHANNELS * BITS / 8 };

typedef struct Wav {
    int fd;
    char *path;
    uint32_t rate, bytes; /* of samples */
    bool full;            /* or broken: nothing is written any more */
} Wav;

static bool write_at(Wav *w, const void *data, size_t size, off_t offset)
{
    for (const uint8_t *p = data; size;) {
        ssize_t n = pwrite(w->fd, p, size, offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        p += n;
        size -= n;
        offset += n;
    }
    return true;
}

static bool write_header(Wav *w)
{
    uint8_t h[HEADER] = { 0 };

    memcpy(h, "RIFF", 4);
    store_le32(h + 4, HEADER - 8 + w->bytes);
    memcpy(h + 8, "WAVEfmt ", 8);
    store_le32(h + 16, 16);
    store_le16(h + 20, PCM);
    store_le16(h + 22, CHANNELS);
    store_le32(h + 24, w->rate);
    store_le32(h + 28, w->rate * FRAME);
    store_le16(h + 32, FRAME);
    store_le16(h + 34, BITS);
    memcpy(h + 36, "data", 4);
    store_le32(h + 40, w->bytes);
    return write_at(w, h, HEADER, 0);
}

static void wav_write(void *opaque, const AudioFrame *frames, size_t count)
{
    Wav *w = opaque;
    size_t size = count * FRAME;
    g_autofree uint8_t *data = NULL;

    if (w->full) {
        return;
    }
    if (size > UINT32_MAX - HEADER - w->bytes) {
        log_warn("'%s' has 4 GiB, which is as large as a wav file can be", w->path);
        w->full = true;
        return;
    }
    data = g_malloc(size);
    for (size_t n = 0; n < count; n++) {
        store_le16(data + n * FRAME, frames[n].left);
        store_le16(data + n * FRAME + 2, frames[n].right);
    }
    w->full = !write_at(w, data, size, HEADER + (off_t)w->bytes);
    w->bytes += w->full ? 0 : size;
    if (w->full || !write_header(w)) {
        log_warn("cannot write '%s': %s", w->path, g_strerror(errno));
        w->full = true;
    }
}

static void wav_close(void *opaque)
{
    Wav *w = opaque;

    close(w->fd);
    g_free(w->path);
    g_free(w);
}

static void *wav_open(const AudioDriver *driver, const AudioSettings *settings, const Options *o, GError **error)
{
    const char *path = options_get(o, "path");
    Wav *w = g_new0(Wav, 1);

    w->path = g_strdup(path && *path ? path : "myna.wav");
    w->rate = settings->rate;
    w->fd = open(w->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0 || !write_header(w)) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write '%s': %s", w->path, g_strerror(errno));
        if (w->fd >= 0) {
            close(w->fd);
        }
        g_free(w->path);
        g_free(w);
        return NULL;
    }
    return w;
}

const AudioDriver audio_wav_driver = { "wav", "a file: path=FILE", wav_open, wav_write, wav_close, NULL };
