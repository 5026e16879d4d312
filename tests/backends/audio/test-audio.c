/* Sound backends: conversion, rates, volume and mixing, as a wav file shows them. */
#include "backends/audio.h"
#include "core/clock.h"
#include "util/bits.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

enum { HEADER = 44, FRAME = 4 };

static char *wav_path;
static int backend_number;

/* A backend that writes the file anew. */
static AudioBackend *fresh(const char *more)
{
    g_autofree char *id = g_strdup_printf("snd%d", backend_number++);
    g_autofree char *text = g_strdup_printf("wav,id=%s,path=%s%s", id, wav_path, more);
    GError *error = NULL;

    audio_new_options(text, &error);
    g_assert_no_error(error);
    return audio_find(id, NULL);
}

static AudioVoice *voice(AudioBackend *b, uint32_t rate, uint8_t channels, AudioSample sample, bool big_endian)
{
    AudioVoice *v = audio_voice_new(b);

    audio_voice_set_format(v, &(AudioFormat){ rate, channels, sample, big_endian });
    audio_voice_play(v, true);
    return v;
}

/* The file's samples; the count is of frames, and agrees with its header. */
static int16_t *samples(size_t *count)
{
    char *data;
    gsize size;
    int16_t *out;

    g_assert_true(g_file_get_contents(wav_path, &data, &size, NULL));
    g_assert_cmpint(size, >=, HEADER);
    g_assert_cmpmem(data, 4, "RIFF", 4);
    g_assert_cmpint(load_le32(data + 4), ==, size - 8);
    g_assert_cmpint(load_le32(data + 40), ==, size - HEADER);
    *count = (size - HEADER) / FRAME;
    out = g_memdup2(data + HEADER, size - HEADER);
    g_free(data);
    return out;
}

static void expect(const int16_t *wanted, size_t frames)
{
    size_t count;
    g_autofree int16_t *got = samples(&count);

    g_assert_cmpint(count, ==, frames);
    for (size_t n = 0; n < frames * 2; n++) {
        g_assert_cmpint(got[n], ==, wanted[n]);
    }
}

/* A frame comes out when the next one has come in: the first out is silence. */
static void samples_of_every_kind_are_converted(void)
{
    static const struct {
        AudioFormat format;
        uint8_t data[8];
        int16_t left, right;
    } cases[] = {
        { { 44100, 2, AUDIO_S16, false }, { 0x34, 0x12, 0x00, 0x80 }, 0x1234, -0x8000 },
        { { 44100, 2, AUDIO_S16, true }, { 0x12, 0x34, 0x80, 0x00 }, 0x1234, -0x8000 },
        { { 44100, 2, AUDIO_U16, true }, { 0x92, 0x34, 0x00, 0x00 }, 0x1234, -0x8000 },
        { { 44100, 2, AUDIO_U8, false }, { 0x92, 0x00 }, 0x1200, -0x8000 },
        { { 44100, 2, AUDIO_S8, false }, { 0x12, 0x80 }, 0x1200, -0x8000 },
        { { 44100, 2, AUDIO_S32, false }, { 0x78, 0x56, 0x34, 0x12, 0xff, 0xff, 0xff, 0xff }, 0x1234, -1 },
        { { 44100, 1, AUDIO_S16, true }, { 0x12, 0x34 }, 0x1234, 0x1234 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        AudioBackend *b = fresh("");
        AudioVoice *v = audio_voice_new(b);
        uint8_t two[2 * 8] = { 0 };
        unsigned size = audio_frame_size(&cases[i].format);

        memcpy(two, cases[i].data, size);
        audio_voice_set_format(v, &cases[i].format);
        audio_voice_play(v, true);
        audio_voice_write(v, two, 2);
        expect((int16_t[]){ 0, 0, cases[i].left, cases[i].right }, 2);
        audio_voice_free(v);
    }
}

static void a_tone_keeps_its_pitch_at_another_rate(void)
{
    AudioBackend *b = fresh(",out.frequency=48000");
    AudioVoice *v = voice(b, 11025, 1, AUDIO_S16, false);
    size_t count, rises = 0;
    g_autofree int16_t *got = NULL;

    for (int n = 0; n < 11025; n++) {
        uint8_t sample[2];

        store_le16(sample, 10000 * sin(2 * M_PI * 441 * n / 11025));
        audio_voice_write(v, sample, 1);
    }
    got = samples(&count);
    g_assert_cmpint(ABS((int)count - 48000), <, 8);
    for (size_t n = 1; n < count; n++) {
        rises += got[2 * n - 2] < 0 && got[2 * n] >= 0;
        g_assert_cmpint(got[2 * n], ==, got[2 * n + 1]);
    }
    g_assert_cmpint(ABS((int)rises - 441), <, 3);
    audio_voice_free(v);
}

static void volume_is_of_each_side(void)
{
    AudioVoice *v = voice(fresh(""), 44100, 2, AUDIO_S16, false);

    audio_voice_set_volume(v, AUDIO_VOLUME_FULL / 2, 0);
    audio_voice_write(v, (int16_t[]){ 1000, 1000, 0, 0 }, 2);
    expect((int16_t[]){ 0, 0, 500, 0 }, 2);
    audio_voice_free(v);
}

static void voices_wait_for_each_other_and_are_added(void)
{
    AudioBackend *b = fresh("");
    AudioVoice *one = voice(b, 44100, 2, AUDIO_S16, false), *two = voice(b, 44100, 2, AUDIO_S16, false);

    audio_voice_write(one, (int16_t[]){ 30000, 1, 5, 5 }, 2);
    expect(NULL, 0);
    audio_voice_write(two, (int16_t[]){ 30000, 2, 0, 0 }, 2);
    expect((int16_t[]){ 0, 0, INT16_MAX, 3 }, 2);
    audio_voice_free(one);
    audio_voice_free(two);
}

static void a_voice_that_says_nothing_is_not_waited_for(void)
{
    AudioBackend *b = fresh("");
    AudioVoice *talks = voice(b, 44100, 2, AUDIO_S16, false), *silent = voice(b, 44100, 2, AUDIO_S16, false);

    clock_advance(200 * NS_PER_MS);
    audio_voice_write(talks, (int16_t[]){ 7, 8, 0, 0 }, 2);
    expect((int16_t[]){ 0, 0, 7, 8 }, 2);
    audio_voice_free(silent);
    audio_voice_free(talks);
}

static void refuse(const char *text, const char *why)
{
    GError *error = NULL;

    g_assert_false(audio_new_options(text, &error));
    g_assert_nonnull(strstr(error->message, why));
    g_clear_error(&error);
}

static void wrong_options_are_told(void)
{
    GError *error = NULL;

    refuse("trumpet,id=x", "there are: none, wav, sdl");
    refuse("none", "id=");
    refuse("none,id=x,out.frequency=12", "from 1000 to 384000");
    refuse("none,id=x,out.format=u8", "s16");
    refuse("wav,id=x,path=/nowhere/at/all.wav", "cannot write '/nowhere/at/all.wav'");
    refuse("none,id=y,colour=red", "colour");
    g_assert_null(audio_find("nobody", &error));
    g_assert_cmpstr(error->message, ==, "no audiodev 'nobody'");
    g_clear_error(&error);
}

int main(int argc, char **argv)
{
    g_autofree char *folder = g_dir_make_tmp("myna-audio-XXXXXX", NULL);
    int status;

    g_test_init(&argc, &argv, NULL);
    clock_make_manual();
    wav_path = g_build_filename(folder, "out.wav", NULL);
    g_test_add_func("/audio/wrong-options", wrong_options_are_told);
    g_test_add_func("/audio/samples", samples_of_every_kind_are_converted);
    g_test_add_func("/audio/rates", a_tone_keeps_its_pitch_at_another_rate);
    g_test_add_func("/audio/volume", volume_is_of_each_side);
    g_test_add_func("/audio/mixing", voices_wait_for_each_other_and_are_added);
    g_test_add_func("/audio/silent", a_voice_that_says_nothing_is_not_waited_for);
    status = g_test_run();
    g_unlink(wav_path);
    g_rmdir(folder);
    return status;
}
