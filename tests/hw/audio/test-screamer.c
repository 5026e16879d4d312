/* Screamer: what a program of descriptors brings is played at the chip's pace, into a wav file. */
#include "hw/audio/screamer.h"
#include "core/clock.h"
#include "hw/dma/dbdma.h"
#include "tests/hw/audio/wav-rig.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <string.h>

#define DMA 0x80000000u
#define CHIP 0x80010000u
enum { PLAY = 0x10, RECORD = 0x12, PROGRAM = 0x1000, DATA = 0x10000, BYTES = 8820, FRAMES = BYTES / 4 };
enum { CONTROL = 0, STATUS = 4, POINTER = 0x0c };
enum { OUTPUT = 1 << 12, INPUT = 3 << 12, STOP = 7 << 12, INTERRUPT = 0x30, RUN = 0x8000, ACTIVE = 0x400 };
enum { RATE_44100 = 0, RATE_22050 = 2 << 8 };

static Device *dbdma, *chip;
static int interrupts;

static void dma_irq(void *opaque, int n, bool level)
{
    interrupts += level;
}

static void codec(unsigned reg, unsigned value)
{
    rig_store(CHIP + 0x10, 1 << 24 | reg << 12 | value, 4);
}

static void start(int channel, unsigned command)
{
    uint8_t *d = rig_ram() + PROGRAM;

    memset(d, 0, 32);
    store_le16(d, BYTES);
    store_le16(d + 2, command | INTERRUPT);
    store_le32(d + 4, DATA);
    store_le16(d + 18, STOP);
    interrupts = 0;
    rig_store(DMA + channel * 0x80 + CONTROL, 0xff000000, 4);
    rig_store(DMA + channel * 0x80 + POINTER, PROGRAM, 4);
    rig_store(DMA + channel * 0x80 + CONTROL, (uint32_t)RUN << 16 | RUN, 4);
}

static bool is_active(int channel)
{
    return rig_load(DMA + channel * 0x80 + STATUS, 4) & ACTIVE;
}

static void two_thousand_frames_take_their_time(void)
{
    size_t before = wav_rig_frames();

    rig_store(CHIP, RATE_44100, 4);
    start(PLAY, OUTPUT);
    rig_run(25 * NS_PER_MS); /* of 50 ms */
    g_assert_true(is_active(PLAY));
    g_assert_cmpint(wav_rig_frames() - before, >, FRAMES / 4);
    g_assert_cmpint(wav_rig_frames() - before, <, FRAMES * 3 / 4);
    rig_run(40 * NS_PER_MS);
    g_assert_false(is_active(PLAY));
    g_assert_cmpint(interrupts, ==, 1);
    g_assert_cmpint(wav_rig_frames() - before, ==, FRAMES);
}

static void half_the_rate_takes_twice_as_long(void)
{
    rig_store(CHIP, RATE_22050, 4);
    start(PLAY, OUTPUT);
    rig_run(80 * NS_PER_MS);
    g_assert_true(is_active(PLAY));
    rig_run(40 * NS_PER_MS);
    g_assert_false(is_active(PLAY));
}

/* The last frame of this test is `frame` in the file; the chip's volume is in steps of 1.5 dB. */
static int16_t play_constant(const uint8_t *sample)
{
    for (int n = 0; n < FRAMES * 2; n++) {
        memcpy(rig_ram() + DATA + 2 * n, sample, 2);
    }
    rig_store(CHIP, RATE_44100, 4);
    start(PLAY, OUTPUT);
    rig_run(80 * NS_PER_MS);
    return wav_rig_last_left();
}

static void bytes_are_big_endian_until_they_are_swapped(void)
{
    g_assert_cmpint(play_constant((uint8_t[]){ 0x12, 0x34 }), ==, 0x1234);
    rig_store(CHIP + 0x40, 1, 4);
    g_assert_cmpint(play_constant((uint8_t[]){ 0x34, 0x12 }), ==, 0x1234);
    rig_store(CHIP + 0x40, 0, 4);
}

static void outputs_have_volume_and_mute(void)
{
    static const uint8_t thousand[2] = { 1000 >> 8, 1000 & 0xff };

    codec(4, 4 << 6 | 4); /* the loudspeaker: 6 dB down */
    codec(1, 0x200);
    g_assert_cmpint(play_constant(thousand), ==, 500);
    codec(1, 0x280); /* both mute */
    g_assert_cmpint(play_constant(thousand), ==, 0);
    codec(1, 0x080); /* the headphones */
    g_assert_cmpint(play_constant(thousand), ==, 1000);
}

static void what_is_recorded_is_silence(void)
{
    memset(rig_ram() + DATA, 0x55, BYTES);
    rig_store(CHIP, RATE_44100, 4);
    start(RECORD, INPUT);
    rig_run(80 * NS_PER_MS);
    g_assert_false(is_active(RECORD));
    for (int n = 0; n < BYTES; n++) {
        g_assert_cmpint(rig_ram()[DATA + n], ==, 0);
    }
}

static void a_snapshot_plays_on(void)
{
    size_t before = wav_rig_frames();

    rig_store(CHIP, RATE_44100, 4);
    start(PLAY, OUTPUT);
    rig_run(20 * NS_PER_MS);
    rig_save_and_load(dbdma);
    rig_save_and_load(chip);
    rig_run(60 * NS_PER_MS);
    g_assert_false(is_active(PLAY));
    g_assert_cmpint(wav_rig_frames() - before, ==, FRAMES);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    wav_rig_start(44100);
    dbdma = rig_add("mac-dbdma", NULL);
    region_add(memory_system_root(), DMA, dbdma_region(dbdma));
    chip = device_new(&screamer_type, NULL);
    screamer_connect(chip, dbdma, PLAY, line_new(dma_irq, NULL, 0), RECORD, line_new(dma_irq, NULL, 0));
    g_assert_true(device_realize(chip, NULL, NULL));
    device_reset(chip);
    region_add(memory_system_root(), CHIP, screamer_region(chip));
    g_test_add_func("/screamer/pace", two_thousand_frames_take_their_time);
    g_test_add_func("/screamer/rate", half_the_rate_takes_twice_as_long);
    g_test_add_func("/screamer/bytes", bytes_are_big_endian_until_they_are_swapped);
    g_test_add_func("/screamer/volume", outputs_have_volume_and_mute);
    g_test_add_func("/screamer/record", what_is_recorded_is_silence);
    g_test_add_func("/screamer/snapshot", a_snapshot_plays_on);
    return wav_rig_run();
}
