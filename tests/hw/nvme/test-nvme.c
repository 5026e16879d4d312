/* An NVMe controller driven through its queues in memory. */
#include "core/clock.h"
#include "core/mainloop.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <string.h>

enum { BAR = 0xf0000000, ASQ = 0x10000, ACQ = 0x11000, SQ = 0x12000, CQ = 0x13000, DATA = 0x20000, LIST = 0x30000 };
enum { ENTRIES = 8, SECTORS = 4096 };

static Device *nvme;
static BlockBackend *disk;
static unsigned tail[2], head[2], phase[2];
static uint16_t next_cid;

static uint32_t load(unsigned offset)
{
    return rig_load(BAR + offset, 4);
}

static void store(unsigned offset, uint32_t value)
{
    rig_store(BAR + offset, value, 4);
}

/* Puts a command in queue 0 or 1; the completion's status field without the phase bit. */
static int run(unsigned queue, uint8_t cmd[64], uint32_t *result)
{
    uint8_t *entry;

    store_le16(cmd + 2, ++next_cid);
    memcpy(rig_ram() + (queue ? SQ : ASQ) + tail[queue] * 64, cmd, 64);
    tail[queue] = (tail[queue] + 1) % ENTRIES;
    store(0x1000 + queue * 8, tail[queue]);
    rig_run(NS_PER_MS);
    entry = rig_ram() + (queue ? CQ : ACQ) + head[queue] * 16;
    if ((entry[14] & 1) != phase[queue]) {
        return -1;
    }
    g_assert_cmpuint(load_le16(entry + 12), ==, next_cid);
    if (++head[queue] == ENTRIES) {
        head[queue] = 0;
        phase[queue] ^= 1;
    }
    store(0x1004 + queue * 8, head[queue]);
    if (result) {
        *result = load_le32(entry);
    }
    return load_le16(entry + 14) >> 1;
}

typedef struct Cmd {
    uint8_t op;
    uint32_t nsid;
    uint64_t prp1, prp2;
    uint32_t dw10, dw11, dw12;
} Cmd;

static int send(unsigned queue, Cmd c, uint32_t *result)
{
    uint8_t b[64] = { c.op };

    store_le32(b + 4, c.nsid);
    store_le64(b + 24, c.prp1);
    store_le64(b + 32, c.prp2);
    store_le32(b + 40, c.dw10);
    store_le32(b + 44, c.dw11);
    store_le32(b + 48, c.dw12);
    return run(queue, b, result);
}

static void start(void)
{
    device_reset(nvme);
    pci_config_write(rig_pci(), 0, ((PciDevice *)nvme)->devfn, 0x10, BAR, 4);
    pci_config_write(rig_pci(), 0, ((PciDevice *)nvme)->devfn, 0x04, 6, 2);
    memset(rig_ram() + ASQ, 0, 0x4000);
    memset(tail, 0, sizeof(tail));
    memset(head, 0, sizeof(head));
    phase[0] = phase[1] = 1;
    store(0x24, (ENTRIES - 1) << 16 | (ENTRIES - 1));
    store(0x28, ASQ);
    store(0x30, ACQ);
    store(0x14, 0x00460001);
    g_assert_cmphex(load(0x1c) & 3, ==, 1);
    g_assert_cmpint(send(0, (Cmd){ .op = 5, .prp1 = CQ, .dw10 = (ENTRIES - 1) << 16 | 1, .dw11 = 3 }, NULL), ==, 0);
    g_assert_cmpint(send(0, (Cmd){ .op = 1, .prp1 = SQ, .dw10 = (ENTRIES - 1) << 16 | 1, .dw11 = 1 << 16 | 1 }, NULL), ==, 0);
}

static void it_identifies_itself_and_its_namespace(void)
{
    start();
    g_assert_cmpint(send(0, (Cmd){ .op = 6, .prp1 = DATA, .dw10 = 1 }, NULL), ==, 0);
    g_assert_cmpmem(rig_ram() + DATA + 4, 3, "n-1", 3);
    g_assert_cmpint(send(0, (Cmd){ .op = 6, .nsid = 1, .prp1 = DATA }, NULL), ==, 0);
    g_assert_cmpuint(load_le64(rig_ram() + DATA), ==, SECTORS);
    g_assert_cmpuint(rig_ram()[DATA + 130], ==, 9);
    g_assert_cmpint(send(0, (Cmd){ .op = 6, .prp1 = DATA, .dw10 = 2 }, NULL), ==, 0);
    g_assert_cmpuint(load_le32(rig_ram() + DATA), ==, 1);
    g_assert_cmpuint(load_le32(rig_ram() + DATA + 4), ==, 0);
    g_assert_cmphex(send(0, (Cmd){ .op = 6, .nsid = 7, .prp1 = DATA, .dw10 = 3 }, NULL), ==, 0x400b);
}

/* An offset in the first page, a list that goes on in a second page of it. */
static void a_long_read_follows_the_list(void)
{
    start();
    memset(rig_ram() + 0x100000, 0, 0x100000);
    for (int i = 0; i < 2; i++) {
        store_le64(rig_ram() + LIST + 0xff0 + i * 8, i ? LIST + 0x1000 : 0x110000);
    }
    for (int i = 0; i < 32; i++) {
        store_le64(rig_ram() + LIST + 0x1000 + i * 8, 0x120000 + i * 0x2000);
    }
    g_assert_cmpint(send(1, (Cmd){ .op = 2, .nsid = 1, .prp1 = 0x100200, .prp2 = LIST + 0xff0, .dw10 = 100, .dw12 = 127 }, NULL), ==, 0);
    g_assert_cmphex(rig_ram()[0x1001ff], ==, 0);
    g_assert_cmphex(rig_ram()[0x100200], ==, rig_pattern(100));
    g_assert_cmphex(rig_ram()[0x110000], ==, rig_pattern(107));
    g_assert_cmphex(rig_ram()[0x120000], ==, rig_pattern(115));
    g_assert_cmphex(rig_ram()[0x122000], ==, rig_pattern(123));
    g_assert_cmphex(rig_ram()[0x120000 + 14 * 0x2000], ==, rig_pattern(227));
    g_assert_cmphex(rig_ram()[0x120000 + 14 * 0x2000 + 512], ==, 0);
}

static void writes_arrive_and_compare_and_vanish(void)
{
    uint8_t back[512];

    start();
    memset(rig_ram() + DATA, 0x77, 4096);
    g_assert_cmpint(send(1, (Cmd){ .op = 1, .nsid = 1, .prp1 = DATA, .dw10 = 40, .dw12 = 7 | 1 << 30 }, NULL), ==, 0);
    g_assert_true(block_read_sync(disk, 47 * 512, back, 512, NULL));
    g_assert_cmphex(back[511], ==, 0x77);
    g_assert_cmpint(send(1, (Cmd){ .op = 5, .nsid = 1, .prp1 = DATA, .dw10 = 40, .dw12 = 7 }, NULL), ==, 0);
    rig_ram()[DATA + 4000] = 0;
    g_assert_cmphex(send(1, (Cmd){ .op = 5, .nsid = 1, .prp1 = DATA, .dw10 = 40, .dw12 = 7 }, NULL), ==, 0x4285);
    g_assert_cmpint(send(1, (Cmd){ .op = 8, .nsid = 1, .dw10 = 41, .dw12 = 0 }, NULL), ==, 0);
    g_assert_true(block_read_sync(disk, 41 * 512, back, 512, NULL));
    g_assert_cmphex(back[0], ==, 0);
    store_le32(rig_ram() + DATA + 4, 8);
    store_le64(rig_ram() + DATA + 8, 40);
    g_assert_cmpint(send(1, (Cmd){ .op = 9, .nsid = 1, .prp1 = DATA, .dw11 = 4 }, NULL), ==, 0);
    g_assert_cmpint(send(1, (Cmd){ .op = 0xc, .nsid = 1, .dw12 = 100 }, NULL), ==, 0);
    g_assert_cmpint(send(1, (Cmd){ .op = 0, .nsid = 1 }, NULL), ==, 0);
}

static void nonsense_has_a_status(void)
{
    start();
    g_assert_cmphex(send(1, (Cmd){ .op = 2, .nsid = 1, .prp1 = DATA, .dw10 = SECTORS }, NULL), ==, 0x4080);
    g_assert_cmphex(send(1, (Cmd){ .op = 2, .nsid = 2, .prp1 = DATA }, NULL), ==, 0x400b);
    g_assert_cmphex(send(1, (Cmd){ .op = 0x55, .nsid = 1 }, NULL), ==, 0x4001);
    g_assert_cmphex(send(1, (Cmd){ .op = 2, .nsid = 1, .prp1 = BAR }, NULL), ==, 0x4004); /* itself */
    g_assert_cmphex(send(1, (Cmd){ .op = 2, .nsid = 1, .prp1 = DATA, .prp2 = DATA + 1, .dw12 = 15 }, NULL), ==, 0x4013);
    g_assert_cmphex(send(0, (Cmd){ .op = 4, .dw10 = 1 }, NULL), ==, 0x410c); /* a queue that is in use */
    g_assert_cmphex(send(0, (Cmd){ .op = 2, .prp1 = DATA, .dw10 = 0x77 }, NULL), ==, 0x4109);
}

static void doorbells_may_be_in_memory(void)
{
    uint8_t cmd[64] = { 0x02 };

    start();
    memset(rig_ram() + 0x40000, 0, 0x2000);
    g_assert_cmpint(send(0, (Cmd){ .op = 0x7c, .prp1 = 0x40000, .prp2 = 0x41000 }, NULL), ==, 0);
    store_le32(cmd + 4, 1);
    store_le64(cmd + 24, DATA);
    store_le32(cmd + 40, 9);
    memcpy(rig_ram() + SQ, cmd, 64);
    memcpy(rig_ram() + SQ + 64, cmd, 64);
    store_le32(rig_ram() + 0x40008, 2); /* both, though the register names one */
    store(0x1008, 1);
    rig_run(NS_PER_MS);
    g_assert_cmphex(rig_ram()[DATA], ==, rig_pattern(9));
    g_assert_cmphex(rig_ram()[CQ + 14] & 1, ==, 1);
    g_assert_cmphex(rig_ram()[CQ + 16 + 14] & 1, ==, 1);
    g_assert_cmpuint(load_le32(rig_ram() + 0x41008), ==, 2); /* ring me at the next */
}

static void an_event_waits_for_its_request(void)
{
    uint32_t result = 0;

    start();
    g_assert_cmpint(send(0, (Cmd){ .op = 0xc }, NULL), ==, -1); /* waits */
    store(0x1000 + 8, 99); /* a doorbell value out of range */
    g_assert_cmphex(rig_ram()[ACQ + head[0] * 16 + 14] & 1, ==, phase[0]);
    g_assert_cmphex(load_le32(rig_ram() + ACQ + head[0] * 16), ==, 0x010100);
    head[0]++;
    store(0x1004, head[0]);
    g_assert_cmpint(send(0, (Cmd){ .op = 0xa, .dw10 = 7 }, &result), ==, 0);
    g_assert_cmphex(result, ==, 3 << 16 | 3);
}

static void a_reset_waits_for_what_is_under_way(void)
{
    uint8_t cmd[64] = { 0x02 };

    start();
    store_le32(cmd + 4, 1);
    store_le64(cmd + 24, DATA);
    memcpy(rig_ram() + SQ, cmd, 64);
    store(0x1008, 1);
    store(0x14, 0x00460000);
    g_assert_cmphex(load(0x1c) & 1, ==, 1);
    rig_run(NS_PER_MS);
    g_assert_cmphex(load(0x1c) & 1, ==, 0);
    g_assert_cmphex(rig_ram()[CQ + 14], ==, 0); /* nobody hears of it */
    start();
    store(0x14, 0x00464001);
    for (int i = 0; i < 5; i++) {
        main_loop_step(false);
        rig_run(NS_PER_MS);
    }
    g_assert_cmphex(load(0x1c) & 0xc, ==, 8); /* shut down */
}

static void queues_survive_a_snapshot(void)
{
    start();
    rig_save_and_load(nvme);
    rig_save_and_load(nvme);
    g_assert_cmpint(send(1, (Cmd){ .op = 2, .nsid = 1, .prp1 = DATA, .dw10 = 3 }, NULL), ==, 0);
    g_assert_cmphex(rig_ram()[DATA], ==, rig_pattern(3));
}

static void random_commands_end(void)
{
    start();
    for (int i = 0; i < 4000; i++) {
        unsigned queue = g_test_rand_int_range(0, 4) ? 1 : 0;
        uint8_t cmd[64];

        for (int n = 0; n < 64; n++) {
            cmd[n] = g_test_rand_int_range(0, 4) ? 0 : g_test_rand_int();
        }
        cmd[0] = queue ? g_test_rand_int_range(0, 16) : g_test_rand_int();
        cmd[1] = g_test_rand_int_range(0, 8) ? 0 : g_test_rand_int();
        store_le32(cmd + 4, g_test_rand_int_range(0, 4) ? 1 : g_test_rand_int());
        store_le64(cmd + 24, g_test_rand_int_range(0, RIG_RAM / 4) * (UINT64_C(4)));
        store_le64(cmd + 32, g_test_rand_int_range(0, RIG_RAM / 8) * (UINT64_C(8)));
        if (run(queue, cmd, NULL) < 0 || load(0x1c) & 2) { /* queues deleted, or lists over queues */
            start();
        }
        if (g_test_rand_int_range(0, 50) == 0) {
            rig_save_and_load(nvme);
        }
        if (g_test_rand_int_range(0, 20) == 0) { /* lists full of nonsense */
            for (int n = 0; n < 64; n++) {
                store_le64(rig_ram() + g_test_rand_int_range(0x20000 / 8, RIG_RAM / 8) * 8, g_test_rand_int());
            }
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    disk = rig_drive("disk", "none", 0, SECTORS * 512, false, false);
    nvme = rig_add("nvme,drive=disk,serial=n-1,max_ioqpairs=4", pci_bus_bus(rig_pci()));
#define ADD(fn) g_test_add_func("/nvme/" #fn, fn)
    ADD(it_identifies_itself_and_its_namespace);
    ADD(a_long_read_follows_the_list);
    ADD(writes_arrive_and_compare_and_vanish);
    ADD(nonsense_has_a_status);
    ADD(doorbells_may_be_in_memory);
    ADD(an_event_waits_for_its_request);
    ADD(a_reset_waits_for_what_is_under_way);
    ADD(queues_survive_a_snapshot);
    ADD(random_commands_end);
    return g_test_run();
}
