/* HD Audio: commands by rings and at once, streams at their pace into a wav file, and what a hostile driver does. */
#include "core/clock.h"
#include "tests/hw/audio/wav-rig.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <string.h>

#define HDA 0xc0000000u
#define OUTPUT_STREAM(reg) (HDA + 0x80 + 4 * 0x20 + (reg))
enum { GCTL = 0x08, STATESTS = 0x0e, INTCTL = 0x20, INTSTS = 0x24, CORB = 0x40, CORBWP = 0x48, CORBRP = 0x4a, CORBCTL = 0x4c, RIRB = 0x50,
       RIRBWP = 0x58, RINTCNT = 0x5a, RIRBCTL = 0x5c, RIRBSTS = 0x5d, ICOI = 0x60, ICII = 0x64, ICIS = 0x68, DPLBASE = 0x70 };
enum { CTL = 0, STS = 3, LPIB = 4, CBL = 8, LVI = 0xc, FMT = 0x12, BDPL = 0x18 };
enum { COMMANDS = 0x1000, RESPONSES = 0x2000, LIST = 0x3000, POSITIONS = 0x4000, DATA = 0x10000, BUFFER = 3840 };
enum { RUN_AND_INTERRUPT = 6, TAG = 1 }; /* a buffer is 20 ms of 48 kHz stereo */

static Device *card;

static void configure(unsigned reg, uint32_t value, unsigned size)
{
    pci_config_write(rig_pci(), 0, ((PciDevice *)card)->devfn, reg, value, size);
}

static uint32_t command(uint32_t what)
{
    rig_store(HDA + ICOI, what, 4);
    rig_store(HDA + ICIS, 1, 2);
    g_assert_cmphex(rig_load(HDA + ICIS, 2) & 3, ==, 2);
    return rig_load(HDA + ICII, 4);
}

static uint32_t verb(unsigned node, unsigned what, unsigned payload)
{
    return node << 20 | what << 8 | payload;
}

static void start(void)
{
    device_reset(card);
    configure(0x10, HDA, 4);
    configure(0x04, 6, 2);
    rig_store(HDA + GCTL, 1, 4);
    g_assert_cmphex(rig_load(HDA + STATESTS, 2), ==, 1);
    rig_store(HDA + STATESTS, 1, 2);
}

static void play(unsigned format)
{
    for (int n = 0; n < 2; n++) {
        store_le64(rig_ram() + LIST + 16 * n, DATA + n * BUFFER);
        store_le32(rig_ram() + LIST + 16 * n + 8, BUFFER);
        store_le32(rig_ram() + LIST + 16 * n + 12, 1);
    }
    for (int n = 0; n < BUFFER; n++) {
        store_le16(rig_ram() + DATA + 2 * n, 1000);
    }
    command(verb(2, 0x706, TAG << 4));
    command(2 << 20 | 0x3 << 16 | 0xb000 | 31); /* at full level */
    command(verb(3, 0x707, 0x40));
    rig_store(OUTPUT_STREAM(FMT), format, 2);
    rig_store(OUTPUT_STREAM(CBL), 2 * BUFFER, 4);
    rig_store(OUTPUT_STREAM(LVI), 1, 2);
    rig_store(OUTPUT_STREAM(BDPL), LIST, 4);
    rig_store(OUTPUT_STREAM(CTL + 2), TAG << 4, 1);
    rig_store(OUTPUT_STREAM(CTL), RUN_AND_INTERRUPT, 1);
}

static void commands_are_answered_through_the_rings(void)
{
    start();
    store_le32(rig_ram() + COMMANDS + 4, verb(0, 0xf00, 0));           /* who are you */
    store_le32(rig_ram() + COMMANDS + 8, verb(0, 0xf00, 4));           /* what is in you */
    store_le32(rig_ram() + COMMANDS + 12, 5u << 28 | verb(0, 0xf00, 0)); /* nobody is there */
    rig_store(HDA + CORB, COMMANDS, 4);
    rig_store(HDA + RIRB, RESPONSES, 4);
    rig_store(HDA + CORBRP, 0x8000, 2);
    g_assert_cmphex(rig_load(HDA + CORBRP, 2), ==, 0x8000);
    rig_store(HDA + CORBRP, 0, 2);
    rig_store(HDA + RIRBWP, 0x8000, 2);
    rig_store(HDA + RINTCNT, 1, 2);
    rig_store(HDA + CORBCTL, 2, 1);
    rig_store(HDA + RIRBCTL, 3, 1);
    rig_store(HDA + INTCTL, 0xc0000000, 4);
    g_assert_false(rig_pci_irq());
    rig_store(HDA + CORBWP, 3, 2);
    g_assert_cmpint(rig_load(HDA + RIRBWP, 2), ==, 2);
    g_assert_cmphex(load_le32(rig_ram() + RESPONSES + 8), ==, 0x1af40022);
    g_assert_cmphex(load_le32(rig_ram() + RESPONSES + 16), ==, 0x00010001);
    g_assert_true(rig_pci_irq());
    g_assert_cmphex(rig_load(HDA + INTSTS, 4), ==, 0xc0000000);
    rig_store(HDA + RIRBSTS, 1, 1);
    g_assert_false(rig_pci_irq());
}

static void a_stream_takes_its_time_and_interrupts(void)
{
    start();
    rig_store(HDA + INTCTL, 0x80000010, 4);
    rig_store(HDA + DPLBASE, POSITIONS | 1, 4);
    play(0x0011);
    g_assert_cmphex(rig_load(OUTPUT_STREAM(STS), 1), ==, 0x20);
    rig_run(10 * NS_PER_MS);
    g_assert_cmpint(rig_load(OUTPUT_STREAM(LPIB), 4), ==, 480 * 4);
    g_assert_cmpint(rig_load(HDA + 0x2000 + 0x80 + 4 * 0x20 + LPIB, 4), ==, 480 * 4); /* the alias */
    g_assert_false(rig_pci_irq());
    rig_run(15 * NS_PER_MS);
    g_assert_true(rig_pci_irq());
    g_assert_cmphex(rig_load(HDA + INTSTS, 4), ==, 0x80000010);
    g_assert_cmpint(load_le32(rig_ram() + POSITIONS + 8 * 4), ==, 1200 * 4);
    g_assert_cmpint(wav_rig_last_left(), ==, 1000);
    rig_store(OUTPUT_STREAM(STS), 4, 1);
    g_assert_false(rig_pci_irq());
    rig_run(20 * NS_PER_MS); /* from the beginning again */
    g_assert_cmpint(rig_load(OUTPUT_STREAM(LPIB), 4), ==, 240 * 4);
}

static void the_amplifier_has_steps_and_mute(void)
{
    start();
    play(0x0011);
    command(2 << 20 | 0x3 << 16 | 0xb000 | 27);
    rig_run(10 * NS_PER_MS);
    g_assert_cmpint(wav_rig_last_left(), ==, 500);
    g_assert_cmphex(command(2 << 20 | 0xb << 16 | 0xa000), ==, 27);
    command(2 << 20 | 0x3 << 16 | 0xb000 | 0x80 | 27);
    rig_run(10 * NS_PER_MS);
    g_assert_cmpint(wav_rig_last_left(), ==, 0);
}

static void a_held_stream_begins_when_it_is_let_go(void)
{
    start();
    rig_store(HDA + 0x38, 0x10, 4);
    play(0x0011);
    rig_run(10 * NS_PER_MS);
    g_assert_cmpint(rig_load(OUTPUT_STREAM(LPIB), 4), ==, 0);
    rig_store(HDA + 0x38, 0, 4);
    rig_run(10 * NS_PER_MS);
    g_assert_cmpint(rig_load(OUTPUT_STREAM(LPIB), 4), ==, 480 * 4);
    rig_store(OUTPUT_STREAM(CTL), 1, 1);
    g_assert_cmphex(rig_load(OUTPUT_STREAM(CTL), 1), ==, 1);
    rig_store(OUTPUT_STREAM(CTL), 0, 1);
    g_assert_cmpint(rig_load(OUTPUT_STREAM(LPIB), 4), ==, 0);
}

/* Formats of 16 channels and 32 bits on one stream, stereo on another with the same tag, and lists of nothing. */
static void nonsense_does_no_harm(void)
{
    start();
    play(0x784f);
    rig_store(HDA + 0x80 + 5 * 0x20 + FMT, 0x0011, 2);
    rig_store(HDA + 0x80 + 5 * 0x20 + BDPL, LIST, 4);
    rig_store(HDA + 0x80 + 5 * 0x20 + CTL + 2, TAG << 4, 1);
    rig_store(HDA + 0x80 + 5 * 0x20 + CTL, RUN_AND_INTERRUPT, 1);
    rig_run(50 * NS_PER_MS);
    memset(rig_ram() + LIST, 0, 32);
    rig_run(50 * NS_PER_MS);
    rig_store(OUTPUT_STREAM(BDPL), 0xffffff80, 4);
    rig_run(50 * NS_PER_MS);
    rig_store(HDA + GCTL, 0, 4);
    g_assert_cmphex(rig_load(OUTPUT_STREAM(CTL), 1), ==, 0);
}

static void a_snapshot_plays_on(void)
{
    start();
    play(0x0011);
    rig_run(10 * NS_PER_MS);
    rig_save_and_load(card);
    rig_run(5 * NS_PER_MS);
    g_assert_cmpint(rig_load(OUTPUT_STREAM(LPIB), 4), ==, 720 * 4);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    wav_rig_start(48000);
    card = rig_add("intel-hda,id=hda", pci_bus_bus(rig_pci()));
    rig_add("hda-duplex,audiodev=snd", bus_find("hda.0"));
    g_test_add_func("/hda/commands", commands_are_answered_through_the_rings);
    g_test_add_func("/hda/pace", a_stream_takes_its_time_and_interrupts);
    g_test_add_func("/hda/amplifier", the_amplifier_has_steps_and_mute);
    g_test_add_func("/hda/hold", a_held_stream_begins_when_it_is_let_go);
    g_test_add_func("/hda/hostile", nonsense_does_no_harm);
    g_test_add_func("/hda/snapshot", a_snapshot_plays_on);
    return wav_rig_run();
}
