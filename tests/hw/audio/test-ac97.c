/* AC97: rings of buffers are played at the codec's pace, into a wav file. */
#include "core/clock.h"
#include "tests/hw/audio/wav-rig.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <string.h>

enum { CODEC = 0xc000, MASTER = 0xc400, PI = MASTER, PO = MASTER + 0x10, GLOB_CNT = MASTER + 0x2c, GLOB_STA = MASTER + 0x30 };
enum { BDBAR = 0, CIV = 4, LVI = 5, SR = 6, PICB = 8, PIV = 10, CR = 11 };
enum { HALTED = 1, AT_LAST = 2, LAST = 4, COMPLETE = 8, RUN = 1, RESET = 2, ON_LAST = 4, ON_COMPLETE = 16 };
enum { RING = 0x1000, DATA = 0x10000, WORDS = 1920 }; /* a buffer is 20 ms of 48 kHz */

static Device *card;

static void configure(unsigned reg, uint32_t value, unsigned size)
{
    pci_config_write(rig_pci(), 0, ((PciDevice *)card)->devfn, reg, value, size);
}

static void prepare(unsigned buffers)
{
    device_reset(card);
    configure(0x10, CODEC, 4);
    configure(0x14, MASTER, 4);
    configure(0x04, 5, 2);
    rig_out32(GLOB_CNT, 2);
    rig_out16(CODEC + 0x02, 0);
    rig_out16(CODEC + 0x18, 0x0808);
    for (unsigned n = 0; n < buffers; n++) {
        store_le32(rig_ram() + RING + 8 * n, DATA + 2 * WORDS * n);
        store_le32(rig_ram() + RING + 8 * n + 4, 0x80000000 | WORDS);
    }
    for (unsigned n = 0; n < WORDS * buffers; n++) {
        store_le16(rig_ram() + DATA + 2 * n, 1000);
    }
}

static void start(unsigned channel, unsigned last)
{
    rig_out32(channel + BDBAR, RING);
    rig_out8(channel + LVI, last);
    rig_out8(channel + CR, RUN | ON_LAST | ON_COMPLETE);
}

static void buffers_take_their_time_and_interrupt(void)
{
    size_t before = wav_rig_frames();

    prepare(2);
    start(PO, 1);
    rig_run(12 * NS_PER_MS);
    g_assert_cmpint(rig_in8(PO + CIV), ==, 0);
    g_assert_cmpint(rig_in8(PO + PIV), ==, 1);
    g_assert_cmpint(rig_in16(PO + PICB), ==, WORDS - 12 * 96);
    g_assert_false(rig_pci_irq());
    rig_run(13 * NS_PER_MS);
    g_assert_cmpint(rig_in8(PO + CIV), ==, 1);
    g_assert_cmphex(rig_in16(PO + SR), ==, COMPLETE);
    g_assert_cmphex(rig_in32(GLOB_STA), ==, 0x140);
    g_assert_true(rig_pci_irq());
    rig_out8(PO + SR, COMPLETE);
    g_assert_false(rig_pci_irq());
    rig_run(20 * NS_PER_MS);
    g_assert_cmphex(rig_in16(PO + SR), ==, HALTED | AT_LAST | LAST | COMPLETE);
    g_assert_cmpint(wav_rig_frames() - before, ==, 40 * 48);
}

static void a_new_last_buffer_goes_on(void)
{
    prepare(3);
    start(PO, 0);
    rig_run(30 * NS_PER_MS);
    g_assert_cmphex(rig_in8(PO + SR) & HALTED, ==, HALTED);
    rig_out8(PO + LVI, 0); /* the same: nothing new */
    g_assert_cmphex(rig_in8(PO + SR) & HALTED, ==, HALTED);
    rig_out8(PO + LVI, 2);
    g_assert_cmphex(rig_in8(PO + SR) & (HALTED | AT_LAST), ==, 0);
    g_assert_cmpint(rig_in8(PO + CIV), ==, 1);
    rig_run(50 * NS_PER_MS);
    g_assert_cmpint(rig_in8(PO + CIV), ==, 2);
    g_assert_cmphex(rig_in8(PO + SR) & HALTED, ==, HALTED);
}

static void a_paused_channel_stays_where_it_is(void)
{
    prepare(1);
    start(PO, 0);
    rig_run(10 * NS_PER_MS);
    g_assert_cmpint(rig_in16(PO + PICB), ==, 960);
    rig_out8(PO + CR, 0);
    rig_run(50 * NS_PER_MS);
    g_assert_cmpint(rig_in16(PO + PICB), ==, 960);
    rig_out8(PO + CR, RUN);
    rig_run(5 * NS_PER_MS);
    g_assert_cmpint(rig_in16(PO + PICB), ==, 480);
    rig_out8(PO + CR, 0);
    rig_out8(PO + CR, RESET);
    g_assert_cmphex(rig_in8(PO + CR), ==, 0);
    g_assert_cmpint(rig_in16(PO + PICB), ==, 0);
    g_assert_cmphex(rig_in32(PO + BDBAR), ==, 0);
}

static void the_codec_has_rates_volume_and_mute(void)
{
    prepare(1);
    rig_out16(CODEC + 0x2a, 1);
    rig_out16(CODEC + 0x2c, 24000);
    rig_out16(CODEC + 0x02, 0x0400); /* left 6 dB down */
    start(PO, 0);
    rig_run(12 * NS_PER_MS);
    g_assert_cmpint(rig_in16(PO + PICB), ==, WORDS - 12 * 48);
    g_assert_cmpint(wav_rig_last_left(), ==, 500);
    rig_out16(CODEC + 0x02, 0x8000);
    rig_run(12 * NS_PER_MS);
    g_assert_cmpint(wav_rig_last_left(), ==, 0);
    g_assert_cmphex(rig_in16(CODEC + 0x7c), ==, 0x8384);
}

static void what_is_recorded_is_silence(void)
{
    prepare(1);
    memset(rig_ram() + DATA, 0x55, 2 * WORDS);
    start(PI, 0);
    rig_run(30 * NS_PER_MS);
    g_assert_cmphex(rig_in8(PI + SR) & HALTED, ==, HALTED);
    for (int n = 0; n < 2 * WORDS; n++) {
        g_assert_cmpint(rig_ram()[DATA + n], ==, 0);
    }
}

static void buffers_of_no_length_do_not_hold_the_machine_up(void)
{
    prepare(32);
    for (int n = 0; n < 32; n++) {
        store_le32(rig_ram() + RING + 8 * n + 4, 0);
    }
    start(PO, 40); /* which the ring of 32 does not have: it is 8 */
    rig_run(20 * NS_PER_MS);
    g_assert_cmpint(rig_in8(PO + CIV), ==, 8);
    rig_out32(PO + BDBAR, 0xfffffff8); /* and descriptors where nothing is */
    rig_out8(PO + LVI, 31);
    rig_run(20 * NS_PER_MS);
}

static void a_snapshot_plays_on(void)
{
    prepare(2);
    start(PO, 1);
    rig_run(15 * NS_PER_MS);
    rig_save_and_load(card);
    rig_run(10 * NS_PER_MS);
    g_assert_cmpint(rig_in8(PO + CIV), ==, 1);
    rig_run(30 * NS_PER_MS);
    g_assert_cmphex(rig_in8(PO + SR) & HALTED, ==, HALTED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    wav_rig_start(48000);
    card = rig_add("AC97,audiodev=snd", pci_bus_bus(rig_pci()));
    g_test_add_func("/ac97/pace", buffers_take_their_time_and_interrupt);
    g_test_add_func("/ac97/last", a_new_last_buffer_goes_on);
    g_test_add_func("/ac97/pause", a_paused_channel_stays_where_it_is);
    g_test_add_func("/ac97/codec", the_codec_has_rates_volume_and_mute);
    g_test_add_func("/ac97/record", what_is_recorded_is_silence);
    g_test_add_func("/ac97/hostile", buffers_of_no_length_do_not_hold_the_machine_up);
    g_test_add_func("/ac97/snapshot", a_snapshot_plays_on);
    return wav_rig_run();
}
