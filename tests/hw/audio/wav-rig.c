/* For tests of sound chips: the file that what they play goes to. */
#include "tests/hw/audio/wav-rig.h"

#include "backends/audio.h"
#include "util/bits.h"

#include <glib.h>
#include <glib/gstdio.h>

enum { WAV_HEADER = 44, FRAME = 4 };

static char *folder, *path;

void wav_rig_start(unsigned frequency)
{
    g_autofree char *text = NULL;

    folder = g_dir_make_tmp("myna-sound-XXXXXX", NULL);
    path = g_build_filename(folder, "out.wav", NULL);
    text = g_strdup_printf("wav,id=snd,path=%s,out.frequency=%u", path, frequency);
    g_assert_true(audio_new_options(text, NULL));
}

size_t wav_rig_frames(void)
{
    GStatBuf st;

    g_assert_cmpint(g_stat(path, &st), ==, 0);
    return (st.st_size - WAV_HEADER) / FRAME;
}

int16_t wav_rig_last_left(void)
{
    g_autofree char *data = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    return load_le16(data + size - FRAME);
}

int wav_rig_run(void)
{
    int status = g_test_run();

    g_unlink(path);
    g_rmdir(folder);
    g_free(path);
    g_free(folder);
    return status;
}
